/* Masks at work: an encoded record goes in, what may leave comes out. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "schema/mask.h"
#include "schema/normaliser_internal.h"
#include "schema/program.h"
#include "schema/wire_read.h"

enum {
    HASH_BYTES_OF_MASK = 32,
    CHINA_OFFSET_S = 8 * 3600,
    DAY_S = 86400,
    SEMANTIC_CITIZEN = 1,
};

struct entry {
    const struct schema_field *field;
    struct schema_mask mask;
};

struct schema_masks {
    struct entry *entries;
    size_t count;
    EVP_MAC_CTX *hash; /* keyed; NULL without a key */
    struct buf value;  /* scratch: the value in hand, masked */
};

enum value_result { VALUE_MASKED, VALUE_LEFT_OUT, VALUE_FULL };

/* --- keyed hashes --------------------------------------------------------------------------------- */

static EVP_MAC_CTX *keyed(const uint8_t key[SCHEMA_MASK_KEY_BYTES])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                            OSSL_PARAM_construct_end() };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    if (context == NULL || EVP_MAC_init(context, key, SCHEMA_MASK_KEY_BYTES, params) != 1)
        abort();
    EVP_MAC_free(mac);
    return context;
}

/* The context keeps its key from one value to the next. */
static void keyed_hash(EVP_MAC_CTX *context, const void *data, size_t len,
                       uint8_t out_r[HASH_BYTES_OF_MASK])
{
    size_t size = 0;
    if (EVP_MAC_init(context, NULL, 0, NULL) != 1 || EVP_MAC_update(context, data, len) != 1 ||
        EVP_MAC_final(context, out_r, &size, HASH_BYTES_OF_MASK) != 1 || size != HASH_BYTES_OF_MASK)
        abort();
}

void schema_mask_key(const uint8_t master[SCHEMA_MASK_KEY_BYTES], const char *agreement,
                     uint8_t key_r[SCHEMA_MASK_KEY_BYTES])
{
    static const char word[] = "agreement-mask"; /* with its NUL */
    struct buf text;
    buf_init(&text, 4096);
    (void)buf_append(&text, word, sizeof word);
    (void)buf_append_str(&text, agreement);
    EVP_MAC_CTX *context = keyed(master);
    keyed_hash(context, text.data, text.len, key_r);
    EVP_MAC_CTX_free(context);
    buf_fini(&text);
}

/* The word ends with a NUL, which no text value holds: no masked value is a check. */
void schema_mask_key_check(const uint8_t key[SCHEMA_MASK_KEY_BYTES],
                           uint8_t check_r[SCHEMA_MASK_CHECK_BYTES])
{
    static const char word[] = "mask-key-check";
    uint8_t digest[HASH_BYTES_OF_MASK];
    EVP_MAC_CTX *context = keyed(key);
    keyed_hash(context, word, sizeof word, digest);
    EVP_MAC_CTX_free(context);
    memcpy(check_r, digest, SCHEMA_MASK_CHECK_BYTES);
}

/* --- the set -------------------------------------------------------------------------------------- */

struct schema_masks *schema_masks_new(void)
{
    struct schema_masks *masks = mem_zero(sizeof *masks);
    buf_init_large(&masks->value, PLAN_RECORD_BYTES_MAX);
    return masks;
}

void schema_masks_free(struct schema_masks **masks)
{
    if (*masks == NULL)
        return;
    EVP_MAC_CTX_free((*masks)->hash);
    buf_fini(&(*masks)->value);
    free((*masks)->entries);
    free(*masks);
    *masks = NULL;
}

static const struct entry *find(const struct schema_masks *masks, uint32_t number)
{
    for (size_t i = 0; i < masks->count; i++)
        if (masks->entries[i].field->number == number)
            return &masks->entries[i];
    return NULL;
}

void schema_masks_add(struct schema_masks *masks, const struct schema_field *field,
                      const struct schema_mask *mask)
{
    if (find(masks, field->number) != NULL)
        return;
    masks->entries = mem_resize(masks->entries, (masks->count + 1) * sizeof *masks->entries);
    masks->entries[masks->count++] = (struct entry){ field, *mask };
}

void schema_masks_set_key(struct schema_masks *masks, const uint8_t key[SCHEMA_MASK_KEY_BYTES])
{
    EVP_MAC_CTX_free(masks->hash);
    masks->hash = keyed(key);
}

bool schema_masks_hash(const struct schema_masks *masks)
{
    for (size_t i = 0; i < masks->count; i++)
        if (masks->entries[i].mask.kind == MASK_HASH)
            return true;
    return false;
}

const struct schema_mask *schema_masks_of(const struct schema_masks *masks,
                                          const struct schema_field *field)
{
    const struct entry *entry = masks != NULL ? find(masks, field->number) : NULL;
    return entry != NULL ? &entry->mask : NULL;
}

/* --- text ----------------------------------------------------------------------------------------- */

static bool starts_character(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

/* Bytes before character `n` of valid UTF-8. */
static size_t offset_of(struct slice text, size_t n)
{
    size_t at = 0;
    for (size_t seen = 0; at < text.len; at++)
        if (starts_character(text.data[at]) && seen++ == n)
            break;
    return at;
}

static enum value_result keep(const struct schema_mask *mask, struct slice text, struct buf *out)
{
    size_t count = 0, kept = (size_t)mask->keep, width = strlen(mask->character);
    for (size_t i = 0; i < text.len; i++)
        count += starts_character(text.data[i]);
    if (count <= kept)
        kept = 0;
    bool first = mask->kind == MASK_KEEP_FIRST;
    size_t split = offset_of(text, first ? kept : count - kept);
    if (buf_reserve(out, text.len + (count - kept) * width) < 0)
        return VALUE_FULL;
    if (first)
        (void)buf_append(out, text.data, split);
    for (size_t i = kept; i < count; i++)
        (void)buf_append(out, mask->character, width);
    if (!first)
        (void)buf_append(out, text.data + split, text.len - split);
    return VALUE_MASKED;
}

static enum value_result hash(const struct schema_masks *masks, struct slice text, struct buf *out)
{
    uint8_t digest[HASH_BYTES_OF_MASK];
    char hex[2 * HASH_BYTES_OF_MASK + 1];
    if (masks->hash == NULL)
        return VALUE_LEFT_OUT;
    keyed_hash(masks->hash, text.data, text.len, digest);
    hex_encode(digest, sizeof digest, hex);
    return buf_append(out, hex, 2 * sizeof digest) < 0 ? VALUE_FULL : VALUE_MASKED;
}

static bool is_digits(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] < '0' || data[i] > '9')
            return false;
    return true;
}

/* YYYY-MM-DD to its first 4 or 7 bytes. */
static enum value_result date(size_t kept, struct slice text, struct buf *out)
{
    if (text.len != 10 || !is_digits(text.data, 4) || text.data[4] != '-' ||
        !is_digits(text.data + 5, 2) || text.data[7] != '-' || !is_digits(text.data + 8, 2))
        return VALUE_LEFT_OUT;
    return buf_append(out, text.data, kept) < 0 ? VALUE_FULL : VALUE_MASKED;
}

/* A shorter code would leave whole. */
static enum value_result prefix(size_t kept, struct slice text, struct buf *out)
{
    if (text.len <= kept)
        return VALUE_LEFT_OUT;
    for (size_t i = 0; i < kept; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return VALUE_LEFT_OUT;
    }
    return buf_append(out, text.data, kept) < 0 ? VALUE_FULL : VALUE_MASKED;
}

/* --- times ---------------------------------------------------------------------------------------- */

/* The first day of the year or month that `day` is in. */
static int64_t first_day(int64_t day, bool of_year)
{
    int year = (int)(1970 + day / (day < 0 ? 365 : 366) - 1), month = 1;
    while (normaliser_days_of(year + 1, 1, 1) <= day)
        year++;
    while (!of_year && month < 12 && normaliser_days_of(year, month + 1, 1) <= day)
        month++;
    return normaliser_days_of(year, month, 1);
}

static bool read_seconds(struct slice message, int64_t *seconds_r)
{
    struct wire_field part;
    *seconds_r = 0;
    for (const uint8_t *p = message.data, *end = p + message.len; p < end;) {
        p = wire_next(p, end, &part);
        if (p == NULL)
            return false;
        if (part.number == 1 && part.wire == WIRE_VARINT)
            *seconds_r = (int64_t)part.value;
    }
    return program_timestamp_fits(*seconds_r);
}

/* With its length before it, as program_put_timestamp writes it. */
static enum value_result time_start(bool of_year, struct slice message, struct buf *out)
{
    int64_t seconds = 0;
    if (!read_seconds(message, &seconds))
        return VALUE_LEFT_OUT;
    int64_t local = seconds + CHINA_OFFSET_S;
    int64_t day = local / DAY_S - (local % DAY_S < 0);
    int64_t start = first_day(day, of_year) * DAY_S - CHINA_OFFSET_S;
    if (!program_timestamp_fits(start))
        return VALUE_LEFT_OUT;
    if (buf_reserve(out, 32) < 0)
        return VALUE_FULL;
    program_put_timestamp(start, 0, out);
    return VALUE_MASKED;
}

/* --- records -------------------------------------------------------------------------------------- */

static enum value_result mask_value(struct schema_masks *masks, const struct entry *entry,
                                    struct slice value)
{
    struct buf *out = &masks->value;
    bool text = entry->field->type == SCHEMA_STRING;
    size_t kept = (size_t)entry->mask.keep;
    switch (entry->mask.kind) {
    case MASK_KEEP_FIRST:
    case MASK_KEEP_LAST:
        return text ? keep(&entry->mask, value, out) : VALUE_LEFT_OUT;
    case MASK_HASH:
        return text ? hash(masks, value, out) : VALUE_LEFT_OUT;
    case MASK_YEAR:
        return text ? date(4, value, out) : time_start(true, value, out);
    case MASK_MONTH:
        return text ? date(7, value, out) : time_start(false, value, out);
    case MASK_PREFIX:
        return text ? prefix(kept, value, out) : VALUE_LEFT_OUT;
    case MASK_DROP:
        break;
    }
    return VALUE_LEFT_OUT;
}

static enum value_result put_field(struct schema_masks *masks, const struct entry *entry,
                                   struct slice value, struct buf *out)
{
    uint8_t tag[5];
    buf_reset(&masks->value);
    enum value_result result = mask_value(masks, entry, value);
    if (result != VALUE_MASKED)
        return result;
    size_t tag_len = program_tag(entry->field, tag), len = masks->value.len;
    if (buf_reserve(out, tag_len + 10 + len) < 0)
        return VALUE_FULL;
    (void)buf_append(out, tag, tag_len);
    if (entry->field->type == SCHEMA_STRING)
        (void)buf_append_varint(out, len);
    (void)buf_append(out, masks->value.data, len);
    return VALUE_MASKED;
}

static int note_person(const struct entry *entry, struct slice value, struct buf *persons)
{
    if (entry->field->type != SCHEMA_STRING || entry->field->semantic != SEMANTIC_CITIZEN)
        return 0;
    if (buf_reserve(persons, value.len + 10) < 0)
        return -1;
    (void)buf_append_varint(persons, value.len);
    return buf_append(persons, value.data, value.len);
}

enum schema_masks_result schema_masks_apply(const struct schema_masks *masks, struct slice record,
                                            struct buf *out, struct buf *persons)
{
    /* Scratch changes while records run, the set does not. */
    struct schema_masks *scratch = (struct schema_masks *)(uintptr_t)masks;
    const uint8_t *end = record.data + record.len, *plain = record.data;
    struct wire_field part;
    for (const uint8_t *p = record.data, *next; p < end; p = next) {
        next = wire_next(p, end, &part);
        if (next == NULL)
            return MASKS_MALFORMED;
        const struct entry *entry = find(masks, part.number);
        if (entry == NULL)
            continue;
        /* What stood unmasked before it leaves in one piece. */
        if (buf_append(out, plain, (size_t)(p - plain)) < 0)
            return MASKS_FULL;
        plain = next;
        struct slice value = slice_of(part.data, (size_t)part.value);
        if (part.wire == WIRE_LEN && (note_person(entry, value, persons) < 0 ||
                                      put_field(scratch, entry, value, out) == VALUE_FULL))
            return MASKS_FULL;
    }
    return buf_append(out, plain, (size_t)(end - plain)) < 0 ? MASKS_FULL : MASKS_DONE;
}
