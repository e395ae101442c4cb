/* One disclosed row of an answer: opened sub-salt against the root that the entry holds. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/evidence.h"
#include "audit/proof.h"
#include "audit/salt.h"
#include "base/ids.h"
#include "base/mem.h"
#include "sluice/v1/audit_entry.pb-c.h"

static void leaf_hashes(const uint8_t *digests, uint64_t rows, uint8_t *hashes_r)
{
    for (uint64_t i = 0; i < rows; i++)
        merkle_leaf_hash(digests + i * HASH_BYTES, HASH_BYTES, hashes_r + i * MERKLE_HASH_BYTES);
}

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
    char text[2 * MERKLE_HASH_BYTES + 1];
    hex_encode(bytes, len, text);
    return json_string(text);
}

int evidence_disclose(const uint8_t *salt, const uint8_t *digests, uint64_t rows, uint64_t row,
                      struct slice record, struct buf *out)
{
    struct proof_plan plan;
    struct proof proof;
    uint8_t nodes[PROOF_NODES_MAX][MERKLE_HASH_BYTES], sub[SALT_BYTES];
    if (proof_plan_inclusion(row, rows, &plan, NULL) != 0)
        return -1;
    uint8_t *hashes = mem_array(rows, MERKLE_HASH_BYTES);
    leaf_hashes(digests, rows, hashes);
    for (size_t i = 0; i < plan.count; i++)
        merkle_root_of(hashes + (plan.nodes[i].index << plan.nodes[i].level) * MERKLE_HASH_BYTES,
                       (size_t)1 << plan.nodes[i].level, nodes[i]);
    proof_make(&plan, (const uint8_t(*)[MERKLE_HASH_BYTES])nodes, &proof);
    free(hashes);
    json_t *siblings = json_array();
    for (size_t i = 0; i < proof.count; i++)
        json_array_append_new(siblings, hex_json(proof.hash[i], MERKLE_HASH_BYTES));
    char *encoded = mem_zero(base64_size(record.len));
    (void)base64_encode(record.data, record.len, encoded);
    salt_sub(salt, row, sub);
    json_t *object = json_pack("{s:s, s:I, s:I, s:o, s:s, s:o}", "form", "ROW", "row",
                               (json_int_t)row, "rows", (json_int_t)rows, "sub_salt",
                               hex_json(sub, sizeof sub), "record", encoded, "siblings", siblings);
    salt_wipe(sub);
    free(encoded);
    char *text = json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    int result = text != NULL ? buf_append_str(out, text) : -1;
    free(text);
    return result;
}

static bool read_hex(const json_t *value, uint8_t out_r[MERKLE_HASH_BYTES])
{
    return json_string_length(value) == 2 * MERKLE_HASH_BYTES &&
           hex_decode(json_string_value(value), 2 * MERKLE_HASH_BYTES, out_r);
}

static bool read_path(const json_t *siblings, struct proof *proof_r)
{
    if (!json_is_array(siblings) || json_array_size(siblings) > PROOF_HASHES_MAX)
        return false;
    proof_r->count = json_array_size(siblings);
    for (size_t i = 0; i < proof_r->count; i++) {
        if (!read_hex(json_array_get(siblings, i), proof_r->hash[i]))
            return false;
    }
    return true;
}

static const char *check(const json_t *object, const Sluice__V1__AuditEntry__Rows *rows)
{
    bool batch = rows->form == SLUICE__V1__AUDIT_ENTRY__ROWS__FORM__BATCH;
    const json_t *record = json_object_get(object, "record");
    const char *form = json_string_value(json_object_get(object, "form"));
    json_int_t row = json_integer_value(json_object_get(object, "row"));
    json_int_t count = json_integer_value(json_object_get(object, "rows"));
    uint8_t sub[SALT_BYTES], digest[HASH_BYTES], hash[MERKLE_HASH_BYTES];
    struct proof proof;
    if (form == NULL || strcmp(form, batch ? "BATCH" : "ROW") != 0)
        return "the form is not the entry's";
    if (row < 0 || count < 0 || (uint64_t)count != (batch ? rows->batches : rows->count))
        return "the number of rows is not the entry's";
    if (!read_hex(json_object_get(object, "sub_salt"), sub) ||
        !read_path(json_object_get(object, "siblings"), &proof) || !json_is_string(record))
        return "sub_salt, record or siblings cannot be read";
    size_t text_len = json_string_length(record);
    uint8_t *bytes = mem_zero(text_len / 4 * 3 + 3);
    long len = base64_decode(json_string_value(record), text_len, bytes);
    if (len >= 0 && batch)
        salt_batch_digest(sub, slice_of(bytes, (size_t)len), digest);
    else if (len >= 0)
        salt_row_digest(sub, slice_of(bytes, (size_t)len), digest);
    free(bytes);
    if (len < 0)
        return "the record is not base64";
    merkle_leaf_hash(digest, sizeof digest, hash);
    if (!proof_verify_inclusion((uint64_t)row, (uint64_t)count, hash, &proof, rows->root.data))
        return "it does not lead to the root in the entry";
    return NULL;
}

const char *evidence_check_row(struct slice json, struct slice leaf)
{
    const char *wrong = "the entry tells of no rows";
    json_error_t ignored;
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    json_t *object =
        json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &ignored);
    if (object == NULL)
        wrong = "it is not JSON";
    else if (entry != NULL && entry->rows != NULL && entry->rows->root.len == MERKLE_HASH_BYTES)
        wrong = check(object, entry->rows);
    json_decref(object);
    if (entry != NULL)
        sluice__v1__audit_entry__free_unpacked(entry, NULL);
    return wrong;
}
