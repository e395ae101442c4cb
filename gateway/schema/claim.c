#include "schema/claim.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "schema/mapping.h"
#include "schema/program.h"
#include "schema/record.h"

/* sluice.options.SemanticType */
enum {
    SEMANTIC_CITIZEN_ID = 1,
    SEMANTIC_CREDIT_CODE = 2,
    SEMANTIC_ORG_CODE = 3,
    SEMANTIC_MOBILE_NUMBER = 7,
    SEMANTIC_DATE = 8,
};

enum { DATE_BYTES = 10 };

static bool is_timestamp(const struct schema_field *field)
{
    return strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
}

bool schema_dataset_verifiable(const struct schema_dataset *dataset,
                               const struct schema_field *field)
{
    if (field->repeated || field->map || field->type == SCHEMA_BYTES)
        return false;
    if (field->type == SCHEMA_MESSAGE && !is_timestamp(field))
        return false;
    return mapping_leaf_of(dataset->mapping, field) != NULL;
}

/* --- canonical form ------------------------------------------------------------------------------
 */

static const struct normaliser_kind *kind_of(int semantic)
{
    switch (semantic) {
    case SEMANTIC_CITIZEN_ID:
        return &normaliser_cn_id;
    case SEMANTIC_CREDIT_CODE:
        return &normaliser_cn_uscc;
    case SEMANTIC_ORG_CODE:
        return &normaliser_cn_org;
    case SEMANTIC_MOBILE_NUMBER:
        return &normaliser_cn_mobile;
    default:
        return NULL;
    }
}

/* YYYY-MM-DD of a day that was or will be. */
static bool is_date(const char *text)
{
    static const char shape[] = "dddd-dd-dd";
    int parts[3] = { 0, 0, 0 };
    if (strlen(text) != DATE_BYTES)
        return false;
    for (size_t i = 0, part = 0; i < DATE_BYTES; i++) {
        if (shape[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
        if (shape[i] == '-')
            part++;
        else
            parts[part] = parts[part] * 10 + (text[i] - '0');
    }
    return normaliser_real_date(parts[0], parts[1], parts[2]);
}

/* Checks that stand behind every step which may change a value hold for canonical values too. */
static bool checks_accept(const struct mapping_leaf *leaf, struct buf *value)
{
    size_t first = leaf->step_count;
    while (first > 0 && leaf->steps[first - 1].kind->back == BACK_IDENTITY)
        first--;
    for (size_t i = first; i < leaf->step_count; i++)
        if (normaliser_run(&leaf->steps[i], value).verdict == NORMALISER_ERROR)
            return false;
    return true;
}

/* `value` holds the text and becomes canonical. False: no value of the field. */
static bool make_canonical(const struct mapping_leaf *leaf, struct buf *value, struct arena *arena)
{
    const struct schema_field *field = leaf->field;
    const struct normaliser_kind *kind =
        field->type == SCHEMA_STRING ? kind_of(field->semantic) : NULL;
    if (!utf8_valid(buf_cstr(value), value->len))
        return false;
    if (kind != NULL && kind->base.run(NULL, value).verdict == NORMALISER_ERROR)
        return false;
    const char *canonical = mapping_canonical(leaf, arena_strdup(arena, buf_cstr(value)), arena);
    if (canonical == NULL)
        return false;
    if (field->type == SCHEMA_STRING && field->semantic == SEMANTIC_DATE && !is_date(canonical))
        return false;
    buf_reset(value);
    return buf_append_str(value, canonical) == 0 && checks_accept(leaf, value);
}

static void digest(const uint8_t *bytes, size_t len, uint8_t out_r[CLAIM_DIGEST_BYTES])
{
    if (EVP_Digest(bytes, len, out_r, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

/* A default stays unwritten in a record, so it is compared as nothing. */
static void digest_encoded(const struct schema_field *field, const uint8_t *bytes, size_t len,
                           uint8_t out_r[CLAIM_DIGEST_BYTES])
{
    digest(bytes, program_encoded_default(field, bytes, len) ? 0 : len, out_r);
}

int schema_claim_init(struct schema_claim *claim_r, const struct schema_dataset *dataset,
                      const struct schema_field *field, const char *value, struct arena *arena,
                      struct err *err)
{
    size_t len = strlen(value);
    *claim_r = (struct schema_claim){ .field = field };
    if (!schema_dataset_verifiable(dataset, field))
        return err_set(err, ERR_INVALID_ARGUMENT, "FIELD_NOT_VERIFIABLE",
                       "The field %s cannot be verified; the catalogue says which can.",
                       field->name);
    if (len > CLAIM_VALUE_BYTES_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "CLAIM_TOO_LONG",
                       "A claimed value has at most %d bytes; that of %s has more.",
                       CLAIM_VALUE_BYTES_MAX, field->name);
    const struct mapping_leaf *leaf = mapping_leaf_of(dataset->mapping, field);
    struct buf text, encoded;
    buf_init(&text, NORMALISER_VALUE_BYTES_MAX);
    buf_init(&encoded, NORMALISER_VALUE_BYTES_MAX);
    claim_r->canonical = buf_append(&text, value, len) == 0 && make_canonical(leaf, &text, arena) &&
                         program_encode_text(field, text.data, text.len, &encoded) == NULL;
    digest_encoded(field, encoded.data, claim_r->canonical ? encoded.len : 0, claim_r->digest);
    buf_fini(&text);
    buf_fini(&encoded);
    return 0;
}

/* --- comparison -----------------------------------------------------------------------------------
 */

/* The encoded value of a field in a record, without its tag; empty when it is not there. */
static struct slice value_in(const struct schema_message *type, const struct schema_field *field,
                             struct slice record)
{
    struct schema_record_field item;
    uint8_t tag[5];
    size_t tag_len = program_tag(field, tag);
    struct slice value = slice_of(NULL, 0);
    while (schema_record_next(type, &record, &item))
        if (item.field == field && item.bytes.len >= tag_len)
            value = slice_of(item.bytes.data + tag_len, item.bytes.len - tag_len);
    return value;
}

int schema_claims_compare(const struct schema_plan *plan, const struct schema_dataset *dataset,
                          const struct schema_claim *claims, size_t count,
                          const struct db_rows *rows, int row, struct slice record,
                          struct arena *arena, enum schema_claims_verdict *verdict_r,
                          struct err *err)
{
    struct schema_verdict *verdicts =
        arena_array(arena, dataset->type->field_count, sizeof *verdicts);
    unsigned different = 0, unknown = 0;
    if (schema_plan_row_judge(plan, rows, row, verdicts, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct schema_claim *claim = &claims[i];
        const struct schema_verdict *verdict = &verdicts[claim->field->position];
        struct slice stored = value_in(dataset->type, claim->field, record);
        uint8_t found[CLAIM_DIGEST_BYTES];
        digest_encoded(claim->field, stored.data, stored.len, found);
        different |= CRYPTO_memcmp(found, claim->digest, sizeof found) != 0;
        unknown |= !claim->canonical | verdict->absent | (verdict->state != VERDICT_PASSED);
        OPENSSL_cleanse(found, sizeof found);
    }
    *verdict_r = unknown != 0     ? CLAIMS_INCONCLUSIVE
                 : different != 0 ? CLAIMS_MISMATCH
                                  : CLAIMS_MATCH;
    return 0;
}
