/* What the tests of writers share: random canonical records of any type, from a fixed seed.
 * Ownership: buffers are the test's.
 * Never calls back.
 * Limits: messages down to the depth of the mapping; records hold mapped fields only.
 * Synthetic values: no person or place is meant. */
#ifndef SLUICE_TESTS_WRITER_SUPPORT_H
#define SLUICE_TESTS_WRITER_SUPPORT_H

#include "schema_support.h"

#include "base/utf8.h"
#include "schema/program.h"
#include "schema/writer.h"

static inline uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static inline uint64_t random_below(uint64_t *seed, uint64_t limit)
{
    return random_next(seed) % limit;
}

static inline void random_digits(uint64_t *seed, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        (void)buf_append_byte(out, (uint8_t)('0' + random_below(seed, 10)));
}

static inline void random_words(uint64_t *seed, struct buf *out)
{
    static const char *const pieces[] = { "a", "Z", "0",  "中", "村",   "\"",  "\\", "'",
                                          " ", ",", "{",  "}",  "ä",    "😀",   "\t", "\n",
                                          "-", "/", "　", "１", "NULL", "\x7f" };
    size_t count = random_below(seed, 12);
    for (size_t i = 0; i < count; i++)
        (void)buf_append_str(out, pieces[random_below(seed, sizeof pieces / sizeof pieces[0])]);
}

static inline void random_date(uint64_t *seed, struct buf *out)
{
    int year = 0, month = 0, day = 0;
    normaliser_date_of((int64_t)random_below(seed, 3652059) - 719162, &year, &month, &day);
    (void)buf_append_format(out, "%04d-%02d-%02d", year, month, day);
}

/* GB 11643, born 1950 to 2009. */
static inline void random_citizen(uint64_t *seed, struct buf *out)
{
    static const int weights[17] = { 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2 };
    char id[24];
    int sum = 0;
    (void)snprintf(id, sizeof id, "11%04u%04u%02u%02u%03u", (unsigned)random_below(seed, 10000),
                   (unsigned)(1950 + random_below(seed, 60)),
                   (unsigned)(1 + random_below(seed, 12)), (unsigned)(1 + random_below(seed, 28)),
                   (unsigned)random_below(seed, 990));
    for (size_t i = 0; i < 17; i++)
        sum += (id[i] - '0') * weights[i];
    (void)buf_append_format(out, "%s%c", id, "10X98765432"[sum % 11]);
}

static inline void random_number(uint64_t *seed, enum schema_type type, struct buf *out)
{
    static const char *const edges[] = { "0",      "1",     "-1",         "127",   "32767",
                                         "-32768", "32768", "2147483647", "65535", "-2147483648" };
    bool real = type == SCHEMA_DOUBLE || type == SCHEMA_FLOAT;
    if (real && random_below(seed, 2) == 0)
        (void)buf_append_format(out, "%.*g", type == SCHEMA_DOUBLE ? 17 : 9,
                                (double)(int64_t)random_next(seed) / 1e9);
    else if (random_below(seed, 3) == 0)
        (void)buf_append_str(out, edges[random_below(seed, sizeof edges / sizeof edges[0])]);
    else
        (void)buf_append_format(out, "%u", (unsigned)random_below(seed, 40000));
}

static inline void random_timestamp(uint64_t *seed, struct buf *out)
{
    random_date(seed, out);
    (void)buf_append_format(out, "T%02u:%02u:%02u", (unsigned)random_below(seed, 24),
                            (unsigned)random_below(seed, 60), (unsigned)random_below(seed, 60));
    switch (random_below(seed, 20)) {
    case 0:
        (void)buf_append_format(out, ".%09u", (unsigned)random_below(seed, 1000000000));
        break;
    case 1:
    case 2:
    case 3:
        (void)buf_append_format(out, ".%06u", (unsigned)random_below(seed, 1000000));
        break;
    default:
        break;
    }
    (void)buf_append_byte(out, 'Z');
}

static inline void random_decimal(uint64_t *seed, struct buf *out)
{
    if (random_below(seed, 3) == 0)
        (void)buf_append_byte(out, '-');
    random_digits(seed, 1 + random_below(seed, 12), out);
    if (random_below(seed, 2) == 0) {
        (void)buf_append_byte(out, '.');
        random_digits(seed, 1 + random_below(seed, 9), out);
    }
}

/* Text of a value for a leaf: by its name, then its meaning, then its type. */
static inline void random_value(uint64_t *seed, const struct mapping_leaf *leaf, struct buf *out)
{
    enum { CITIZEN_ID = 1, MOBILE_NUMBER = 7 };
    const struct schema_field *field = leaf->field;
    const char *name = leaf->name;
    bool junk = random_below(seed, 40) == 0;
    buf_reset(out);
    if (field->type == SCHEMA_ENUM)
        (void)buf_append_str(
            out,
            field->enumeration->values[random_below(seed, field->enumeration->value_count)].name);
    else if (field->type == SCHEMA_BOOL)
        (void)buf_append_str(out, random_below(seed, 2) == 0 ? "true" : "false");
    else if (field->type == SCHEMA_MESSAGE)
        random_timestamp(seed, out);
    else if (field->type == SCHEMA_BYTES)
        for (size_t i = random_below(seed, 9); i > 0; i--)
            (void)buf_append_byte(out, (uint8_t)random_next(seed));
    else if (strcmp(name, "address.geo.longitude") == 0 && !junk) /* a real column */
        (void)buf_append_format(out, "%g", (double)random_below(seed, 1440) / 4 - 180);
    else if (strcmp(name, "small") == 0 && !junk)
        (void)buf_append_format(out, "%d", (int)random_below(seed, 65536) - 32768);
    else if (field->type != SCHEMA_STRING)
        random_number(seed, field->type, out);
    else if (junk)
        random_words(seed, out);
    else if (field->semantic == CITIZEN_ID)
        random_citizen(seed, out);
    else if (strcmp(name, "mobile") == 0)
        (void)buf_append_format(out, "139%08u", (unsigned)random_below(seed, 100000000));
    else if (strstr(name, "date") != NULL || strstr(name, "day") != NULL)
        random_date(seed, out);
    else if (strcmp(name, "inner.amount") == 0)
        (void)buf_append_format(out, "%u.%u", (unsigned)random_below(seed, 1000),
                                (unsigned)random_below(seed, 1000));
    else if (strstr(name, "amount") != NULL)
        random_decimal(seed, out);
    else if (strcmp(name, "address.street") == 0) /* in upper case */
        random_digits(seed, random_below(seed, 5), out);
    else if (strcmp(name, "division_code") == 0)
        (void)buf_append_format(out, "%06u", (unsigned)(110000 + random_below(seed, 500000)));
    else if (strcmp(name, "ethnic_group") == 0)
        (void)buf_append_format(out, "%02u", (unsigned)(1 + random_below(seed, 56)));
    else if (strcmp(name, "inner.id") == 0)
        (void)buf_append_format(out, "%08x-1234-5678-9abc-%012llx", (unsigned)random_next(seed),
                                (unsigned long long)(random_next(seed) & 0xffffffffffffULL));
    else
        random_words(seed, out);
}

static inline void append_field(const struct mapping_leaf *leaf, const struct buf *text,
                                struct buf *out)
{
    uint8_t tag[5];
    size_t before = out->len, len = program_tag(leaf->field, tag);
    assert_int_equal(buf_append(out, tag, len), 0);
    if (program_encode_text(leaf->field, text->len > 0 ? text->data : (const uint8_t *)"",
                            text->len, out) != NULL ||
        (!leaf->field->repeated &&
         program_encoded_default(leaf->field, out->data + before + len, out->len - before - len)))
        out->len = before;
}

static inline void random_list(uint64_t *seed, const struct mapping_leaf *leaf, struct buf *text,
                               struct buf *out)
{
    struct buf packed;
    uint8_t tag[5];
    buf_init(&packed, 4096);
    for (size_t i = random_below(seed, 4); i > 0; i--) {
        random_value(seed, leaf, text);
        if (!leaf->field->packed)
            append_field(leaf, text, out);
        else if (program_encode_text(leaf->field, text->data, text->len, &packed) != NULL)
            continue;
    }
    if (packed.len > 0) {
        (void)buf_append(out, tag, program_tag(leaf->field, tag));
        (void)buf_append_varint(out, packed.len);
        (void)buf_append(out, packed.data, packed.len);
    }
    buf_fini(&packed);
}

/* Keys of growing length: in jsonb's order. */
static inline void random_map(uint64_t *seed, const struct mapping_leaf *leaf, struct buf *text,
                              struct buf *out)
{
    size_t count = random_below(seed, 4);
    for (size_t i = 0; i < count; i++) {
        uint8_t tag[5];
        size_t key_len = 3 * i + 1;
        buf_reset(text);
        random_words(seed, text);
        (void)buf_append(out, tag, program_tag(leaf->field, tag));
        (void)buf_append_varint(out, 4 + key_len + text->len);
        (void)buf_append_byte(out, 1 << 3 | WIRE_LEN);
        (void)buf_append_varint(out, key_len);
        for (size_t j = 0; j < key_len; j++)
            (void)buf_append_byte(out, (uint8_t) "k\"\\中"[j % 3]);
        (void)buf_append_byte(out, 2 << 3 | WIRE_LEN);
        (void)buf_append_varint(out, text->len);
        (void)buf_append(out, text->data, text->len);
    }
}

static inline int compare_leaf_paths(const void *a, const void *b)
{
    const struct mapping_leaf *x = *(const struct mapping_leaf *const *)a;
    const struct mapping_leaf *y = *(const struct mapping_leaf *const *)b;
    for (size_t i = 0; i < x->depth && i < y->depth; i++)
        if (x->path[i]->number != y->path[i]->number)
            return x->path[i]->number < y->path[i]->number ? -1 : 1;
    return 0;
}

/* The leaves [from, to) lie in one message at `depth`; they are in the order of their paths. */
static inline void random_message(uint64_t *seed, const struct mapping_leaf **leaves, size_t from,
                                  size_t to, size_t depth, struct buf *out)
{
    struct buf text, body;
    int oneofs_taken = 0;
    buf_init(&text, 1 << 20);
    (void)buf_reserve(&text, 64);
    for (size_t i = from; i < to;) {
        const struct mapping_leaf *leaf = leaves[i];
        const struct schema_field *field = leaf->path[depth];
        size_t end = i + 1;
        while (end < to && leaves[end]->path[depth] == field)
            end++;
        bool take = random_below(seed, 5) > 0 || field->key > 0;
        if (take && field->oneof >= 0) {
            take = (oneofs_taken >> field->oneof & 1) == 0 && random_below(seed, 2) == 0;
            oneofs_taken |= take ? 1 << field->oneof : 0;
        }
        if (take && leaf->depth > depth + 1) {
            uint8_t tag[5];
            buf_init(&body, 1 << 20);
            random_message(seed, leaves, i, end, depth + 1, &body);
            if (body.len > 0) {
                (void)buf_append(out, tag, program_tag(field, tag));
                (void)buf_append_varint(out, body.len);
                (void)buf_append(out, body.data, body.len);
            }
            buf_fini(&body);
        } else if (take && field->map) {
            random_map(seed, leaf, &text, out);
        } else if (take && field->repeated) {
            random_list(seed, leaf, &text, out);
        } else if (take) {
            random_value(seed, leaf, &text);
            append_field(leaf, &text, out);
        }
        i = end;
    }
    buf_fini(&text);
}

/* Codes of a division and those it lies in agree. */
static inline void random_division(uint64_t *seed, const struct schema_dataset *dataset,
                                   struct buf *out)
{
    static const size_t widths[] = { 2, 4, 6, 9, 12 };
    static const char *const names[] = { "code",      "name",        "level",    "province_code",
                                         "city_code", "county_code", "town_code" };
    const struct schema_mapping *mapping = dataset->mapping;
    struct buf text;
    char code[13];
    size_t level = 0;
    buf_init(&text, 4096);
    (void)snprintf(code, sizeof code, "%02u%02u%02u%03u%03u",
                   (unsigned)(11 + random_below(seed, 50)), (unsigned)random_below(seed, 100),
                   (unsigned)random_below(seed, 100), (unsigned)random_below(seed, 600),
                   (unsigned)random_below(seed, 1000));
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (strcmp(mapping->leaves[i].name, "level") == 0)
            for (size_t k = 0; k < 5; k++)
                if (strcmp(mapping->leaves[i].constant,
                           mapping->leaves[i].field->enumeration->values[k + 1].name) == 0)
                    level = k;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        for (size_t i = 0; i < mapping->leaf_count; i++) {
            const struct mapping_leaf *leaf = &mapping->leaves[i];
            if (strcmp(leaf->name, names[n]) != 0)
                continue;
            buf_reset(&text);
            if (n == 0)
                (void)buf_append(&text, code, widths[level]);
            else if (n == 1)
                (void)buf_append_format(&text, "地名 %u", (unsigned)random_below(seed, 1000));
            else if (n == 2)
                (void)buf_append_str(&text, leaf->constant);
            else if (random_below(seed, 30) > 0)
                (void)buf_append(&text, code, widths[n - 3]);
            append_field(leaf, &text, out);
        }
    buf_fini(&text);
}

static inline void random_record(uint64_t *seed, const struct schema_dataset *dataset,
                                 struct buf *out)
{
    const struct schema_mapping *mapping = dataset->mapping;
    const struct mapping_leaf *leaves[MAPPING_LEAVES_MAX];
    buf_reset(out);
    if (strcmp(dataset->type->full_name, "gov.division.v1.Division") == 0) {
        random_division(seed, dataset, out);
        return;
    }
    for (size_t i = 0; i < mapping->leaf_count; i++)
        leaves[i] = &mapping->leaves[i];
    qsort(leaves, mapping->leaf_count, sizeof *leaves, compare_leaf_paths);
    random_message(seed, leaves, 0, mapping->leaf_count, 0, out);
}

#endif
