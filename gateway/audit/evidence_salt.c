/* An opened salt in a bundle, and what it lets one check: the filter, the answer, rows. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/evidence.h"
#include "base/ids.h"
#include "sluice/v1/audit_entry.pb-c.h"

int evidence_open_salt(const struct evidence_opening *opening, const uint8_t *salt, struct buf *out)
{
    char hex[2 * SALT_BYTES + 1];
    hex_encode(salt, SALT_BYTES, hex);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "opening", opening->id, "requested_by",
                  opening->requested_by, "approved_by", opening->approved_by, "reason",
                  opening->reason, "approved_us", (json_int_t)opening->approved_us, "salt", hex);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2)) : NULL;
    int result = text != NULL ? buf_append_str(out, text) : -1;
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    explicit_bzero(hex, sizeof hex);
    free(text);
    json_decref(object);
    return result;
}

const char *evidence_read_salt(struct slice json, uint8_t salt_r[SALT_BYTES])
{
    json_error_t ignored;
    json_t *object =
        json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &ignored);
    const json_t *salt = json_object_get(object, "salt");
    bool good = json_string_length(salt) == 2 * SALT_BYTES &&
                hex_decode(json_string_value(salt), 2 * SALT_BYTES, salt_r);
    json_decref(object);
    return good ? NULL : "the salt cannot be read";
}

static bool same(ProtobufCBinaryData digest, const uint8_t expected[HASH_BYTES])
{
    return digest.len == HASH_BYTES && memcmp(digest.data, expected, HASH_BYTES) == 0;
}

const char *evidence_check_salted(const uint8_t *salt, enum evidence_salted what, struct slice data,
                                  struct slice leaf)
{
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    uint8_t digest[HASH_BYTES];
    bool good = false;
    if (what == EVIDENCE_FILTER)
        salt_filter_digest(salt, data, digest);
    else
        salt_answer_digest(salt, data, digest);
    if (entry != NULL && what == EVIDENCE_FILTER)
        good = entry->what != NULL && same(entry->what->filter_digest, digest);
    else if (entry != NULL)
        good = entry->rows != NULL && same(entry->rows->response_digest, digest);
    if (entry != NULL)
        sluice__v1__audit_entry__free_unpacked(entry, NULL);
    return good ? NULL : "its digest under the opened salt is not the one in the entry";
}

const char *evidence_check_sub_salt(const uint8_t *salt, struct slice json)
{
    json_error_t ignored;
    json_t *object =
        json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &ignored);
    const json_t *text = json_object_get(object, "sub_salt");
    json_int_t row = json_integer_value(json_object_get(object, "row"));
    uint8_t sub[SALT_BYTES], expected[SALT_BYTES];
    bool good = row >= 0 && json_string_length(text) == 2 * SALT_BYTES &&
                hex_decode(json_string_value(text), 2 * SALT_BYTES, sub);
    json_decref(object);
    if (good) {
        salt_sub(salt, (uint64_t)row, expected);
        good = memcmp(sub, expected, SALT_BYTES) == 0;
    }
    return good ? NULL : "its sub-salt is not one of the opened salt";
}
