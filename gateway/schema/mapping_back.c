/* The way back: from canonical values to the owner's columns, for filters and keys. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "schema/mapping.h"
#include "schema/program.h"

/* The text of a date column is canonical: cn_date finds nothing to do. */
static bool steps_are_identity(const struct mapping_leaf *leaf, enum column_type type)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->back != BACK_IDENTITY &&
            !(type == COLUMN_DATE && leaf->steps[i].kind == &normaliser_cn_date))
            return false;
    return true;
}

/* Folds first, then at most one finite step, then only checks: then SQL can follow the chain. */
static bool steps_have_forms(const struct mapping_leaf *leaf)
{
    bool finite = false;
    for (size_t i = 0; i < leaf->step_count; i++) {
        enum normaliser_back back = leaf->steps[i].kind->back;
        if (back == BACK_NONE || (finite && back != BACK_IDENTITY))
            return false;
        finite = finite || back == BACK_FINITE;
    }
    return true;
}

static const struct normaliser_step *finite_step(const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->back == BACK_FINITE)
            return &leaf->steps[i];
    return NULL;
}

static bool is_timestamp(const struct schema_field *field)
{
    return field->type == SCHEMA_MESSAGE && !field->repeated &&
           strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
}

static bool is_integer_field(const struct schema_field *field)
{
    switch (field->type) {
    case SCHEMA_INT64:
    case SCHEMA_INT32:
    case SCHEMA_UINT64:
    case SCHEMA_UINT32:
    case SCHEMA_SINT64:
    case SCHEMA_SINT32:
    case SCHEMA_FIXED64:
    case SCHEMA_FIXED32:
    case SCHEMA_SFIXED64:
    case SCHEMA_SFIXED32:
        return true;
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
    case SCHEMA_BOOL:
    case SCHEMA_STRING:
    case SCHEMA_MESSAGE:
    case SCHEMA_BYTES:
    case SCHEMA_ENUM:
        return false;
    }
    return false;
}

/* A string field: the column's own comparison is that of its canonical text. */
static bool text_compares(enum column_type type, bool *ordered_r)
{
    *ordered_r =
        type == COLUMN_TEXT || type == COLUMN_ENUM || type == COLUMN_DATE || type == COLUMN_TIME;
    return *ordered_r || type == COLUMN_CHAR || type == COLUMN_UUID || type == COLUMN_INET ||
           type == COLUMN_CIDR || column_is_integer(type);
}

/* One whole column, or the first of several, whose own comparison is the canonical one. */
static bool compares_natively(const struct mapping_leaf *leaf, enum column_type type,
                              bool *ordered_r)
{
    const struct schema_field *field = leaf->field;
    *ordered_r = true;
    if (field->repeated)
        return false;
    if (field->type == SCHEMA_STRING)
        return text_compares(type, ordered_r);
    if (is_integer_field(field)) /* a numeric that is no integer is quarantined */
        return column_is_integer(type) || type == COLUMN_NUMERIC;
    if (field->type == SCHEMA_ENUM)
        return column_is_integer(type);
    if (field->type == SCHEMA_BOOL) {
        *ordered_r = false;
        return type == COLUMN_BOOL;
    }
    /* Each with its own: a literal is rounded to the width before it is compared. */
    if (field->type == SCHEMA_DOUBLE)
        return type == COLUMN_FLOAT8;
    if (field->type == SCHEMA_FLOAT)
        return type == COLUMN_FLOAT4;
    if (is_timestamp(field))
        return type == COLUMN_TIMESTAMPTZ || type == COLUMN_TIMESTAMP;
    return false;
}

/* COALESCE of columns of one type. */
static bool first_compares(const struct schema_mapping *mapping, const struct mapping_leaf *leaf)
{
    enum column_type type = mapping->columns[leaf->parts[0].column].type;
    for (size_t i = 0; i < leaf->part_count; i++)
        if (leaf->parts[i].kind != PART_WHOLE ||
            mapping->columns[leaf->parts[i].column].type != type)
            return false;
    return leaf->null_count == 0 && type != COLUMN_ENUM;
}

static bool elements_compare(const struct mapping_column *column, const struct mapping_leaf *leaf)
{
    enum column_type type = column->element;
    bool text = leaf->field->type == SCHEMA_STRING &&
                (type == COLUMN_TEXT || type == COLUMN_ENUM || type == COLUMN_UUID ||
                 type == COLUMN_DATE || type == COLUMN_TIME || column_is_integer(type));
    bool number = is_integer_field(leaf->field) && column_is_integer(type);
    return leaf->step_count == 0 && (text || number);
}

/* Null values are compared with the column's text in SQL, which is the canonical one of these. */
static bool nulls_compare(const struct mapping_leaf *leaf, enum column_type type)
{
    return leaf->null_count == 0 || column_is_text(type) || column_is_integer(type) ||
           type == COLUMN_UUID || type == COLUMN_ENUM;
}

static bool parts_are_fixed(const struct schema_mapping *mapping, const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->part_count; i++) {
        bool last_whole = i + 1 == leaf->part_count && leaf->parts[i].kind == PART_WHOLE;
        if (mapping->columns[leaf->parts[i].column].type != COLUMN_TEXT ||
            (leaf->parts[i].kind != PART_FIXED && !last_whole))
            return false;
    }
    return true;
}

void mapping_leaf_analyse(const struct schema_mapping *mapping, struct mapping_leaf *leaf)
{
    leaf->back = LEAF_ONE_WAY;
    leaf->ordered = false;
    if (leaf->constant != NULL) {
        leaf->back = LEAF_CONSTANT;
        return;
    }
    /* A value left out for being bad is absent, which no condition on the column tells. */
    if (leaf->child != NULL || leaf->taken != NULL || leaf->absent_on_error)
        return;
    const struct mapping_column *column = &mapping->columns[leaf->parts[0].column];
    enum column_type type = column->type;
    bool whole = leaf->coalesce ? first_compares(mapping, leaf)
                                : leaf->part_count == 1 && leaf->parts[0].kind == PART_WHOLE;
    bool texty = leaf->field->type == SCHEMA_STRING && !leaf->field->repeated;
    bool ordered = false, same = steps_are_identity(leaf, type);
    if (leaf->separator != NULL || !nulls_compare(leaf, type))
        return;
    if (type == COLUMN_ARRAY) {
        if (elements_compare(column, leaf))
            leaf->back = LEAF_ELEMENTS;
    } else if (whole && same && compares_natively(leaf, type, &ordered)) {
        leaf->back = LEAF_NATIVE;
        leaf->ordered = ordered;
    } else if (leaf->coalesce) {
        return;
    } else if (whole && steps_have_forms(leaf) && !leaf->field->repeated &&
               (column_is_text(type) || type == COLUMN_ENUM ||
                (column_is_integer(type) && finite_step(leaf) != NULL && leaf->step_count == 1)) &&
               (texty || leaf->field->type == SCHEMA_ENUM || leaf->field->type == SCHEMA_BOOL)) {
        leaf->back = LEAF_FORMS;
    } else if (texty && same && leaf->null_count == 0 && parts_are_fixed(mapping, leaf)) {
        leaf->back = LEAF_PARTS;
        leaf->ordered = true;
    } else if (texty && same && leaf->part_count == 1 && leaf->parts[0].kind == PART_SUBSTR) {
        leaf->back = LEAF_SUBSTR;
    }
}

bool mapping_leaf_exact(const struct mapping_leaf *leaf)
{
    return leaf->back == LEAF_NATIVE || leaf->back == LEAF_PARTS;
}

/* --- values -------------------------------------------------------------------------------------
 */

static const char *run_kind(const struct normaliser_kind *kind, const char *text,
                            struct arena *arena)
{
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    const char *result = NULL;
    if (buf_append_str(&value, text) == 0) {
        struct normaliser_result verdict = kind->base.run(NULL, &value);
        if (verdict.verdict != NORMALISER_ERROR)
            result = arena_strndup(arena, (const char *)value.data, value.len);
    }
    buf_fini(&value);
    return result;
}

static const char *canonical_string(const struct mapping_leaf *leaf, const char *text,
                                    struct arena *arena)
{
    const struct normaliser_step *step = finite_step(leaf);
    if (step == NULL)
        return text;
    const struct normaliser_kind *kind = step->kind;
    if (kind == &normaliser_cn_id || kind == &normaliser_cn_uscc || kind == &normaliser_cn_org ||
        kind == &normaliser_cn_mobile)
        return run_kind(kind, text, arena);
    return text;
}

const char *mapping_canonical(const struct mapping_leaf *leaf, const char *text,
                              struct arena *arena)
{
    const struct schema_field *field = leaf->field;
    if (field->type == SCHEMA_STRING)
        return canonical_string(leaf, text, arena);
    if (field->type == SCHEMA_ENUM) {
        const struct schema_enum_value *value = program_enum_value(field, text, strlen(text));
        return value == NULL ? NULL : value->name;
    }
    struct buf unused;
    buf_init(&unused, 1024);
    const char *code = program_encode_text(field, (const uint8_t *)text, strlen(text), &unused);
    buf_fini(&unused);
    return code == NULL ? text : NULL;
}

/* The checks behind the finite step accept the value, and the folds leave it alone. */
static bool chain_accepts(const struct mapping_leaf *leaf, const char *canonical)
{
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    bool fine = buf_append_str(&value, canonical) == 0;
    bool finite = finite_step(leaf) != NULL;
    for (size_t i = 0; fine && i < leaf->step_count; i++) {
        enum normaliser_back back = leaf->steps[i].kind->back;
        if (back == BACK_FINITE || (finite && back == BACK_FOLD))
            continue;
        enum normaliser_verdict verdict = normaliser_run(&leaf->steps[i], &value).verdict;
        fine = verdict == NORMALISER_OK || verdict == NORMALISER_WARN;
    }
    buf_fini(&value);
    return fine;
}

static void forms_of_text(const struct mapping_leaf *leaf, const char *text,
                          struct text_list *forms)
{
    if (!chain_accepts(leaf, text))
        return;
    const struct normaliser_step *step = finite_step(leaf);
    if (step == NULL)
        text_list_add(forms, text);
    else
        (void)step->kind->reverse(step->config, text, forms);
}

void mapping_forms(const struct mapping_leaf *leaf, const char *canonical, struct text_list *forms)
{
    if (leaf->field->type != SCHEMA_ENUM) {
        forms_of_text(leaf, canonical, forms);
        return;
    }
    /* A chain may end in the value's name or in its number, and aliases share a number. */
    const struct schema_enum *e = leaf->field->enumeration;
    const struct schema_enum_value *value = schema_enum_by_name(e, canonical, strlen(canonical));
    for (size_t i = 0; value != NULL && i < e->value_count; i++)
        if (e->values[i].number == value->number)
            forms_of_text(leaf, e->values[i].name, forms);
    if (value != NULL)
        forms_of_text(leaf, arena_format(forms->arena, "%" PRId32, value->number), forms);
}

void mapping_candidates(const struct mapping_leaf *leaf, const char *canonical,
                        struct text_list *forms)
{
    mapping_forms(leaf, canonical, forms);
    for (size_t i = leaf->step_count; i > 0; i--)
        if (leaf->steps[i - 1].kind->fold != NULL)
            normaliser_widen(leaf->steps[i - 1].kind->fold, forms);
}

bool mapping_split(const struct mapping_leaf *leaf, const char *canonical, bool whole,
                   struct arena *arena, const char *texts_r[MAPPING_PARTS_MAX])
{
    const char *at = canonical;
    if (whole && !chain_accepts(leaf, canonical))
        return false;
    for (size_t i = 0; i < leaf->part_count; i++) {
        const struct mapping_part *part = &leaf->parts[i];
        size_t bytes = 0, left = strlen(at);
        if (part->kind == PART_WHOLE) {
            texts_r[i] = at;
            at += left;
            continue;
        }
        uint32_t characters = 0, cp = 0;
        while (characters < part->length && bytes < left) {
            bytes += utf8_decode((const uint8_t *)at + bytes, left - bytes, &cp);
            characters++;
        }
        if (whole && characters < part->length)
            return false;
        bool complete = characters == part->length;
        texts_r[i] = arena_format(arena, "%.*s%s", (int)bytes, at, complete ? part->rest : "");
        at += bytes;
    }
    return *at == '\0';
}

/* --- native literals ----------------------------------------------------------------------------
 */

static bool integer_fits(enum column_type type, const char *text)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    char canonical[32];
    (void)snprintf(canonical, sizeof canonical, "%lld", value);
    if (errno != 0 || strcmp(canonical, text) != 0)
        return false;
    if (type == COLUMN_INT2)
        return value >= INT16_MIN && value <= INT16_MAX;
    return type == COLUMN_INT8 || (value >= INT32_MIN && value <= INT32_MAX);
}

static bool uuid_fits(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !hex)
            return false;
    }
    return text[36] == '\0';
}

static bool date_fits(const char *text)
{
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !normaliser_all_digits(text, 4) ||
        !normaliser_all_digits(text + 5, 2) || !normaliser_all_digits(text + 8, 2))
        return false;
    return normaliser_real_date((int)strtol(text, NULL, 10), (int)strtol(text + 5, NULL, 10),
                                (int)strtol(text + 8, NULL, 10));
}

/* HH:MM:SS, and six digits of a fraction that is not zero. */
static bool time_fits(const char *text)
{
    size_t len = strlen(text);
    if ((len != 8 && len != 15) || text[2] != ':' || text[5] != ':' ||
        !normaliser_all_digits(text, 2) || !normaliser_all_digits(text + 3, 2) ||
        !normaliser_all_digits(text + 6, 2))
        return false;
    if (len == 15 &&
        (text[8] != '.' || !normaliser_all_digits(text + 9, 6) || strcmp(text + 9, "000000") == 0))
        return false;
    return memcmp(text, "24", 2) < 0 && text[3] < '6' && text[6] < '6';
}

/* The text program_value_text would write, with or without bits. */
static bool inet_fits(const char *text, bool network)
{
    unsigned char address[16];
    char copy[INET6_ADDRSTRLEN + 4], again[INET6_ADDRSTRLEN];
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    size_t full = family == AF_INET6 ? 128 : 32, bits = full;
    if (strlen(text) >= sizeof copy)
        return false;
    (void)snprintf(copy, sizeof copy, "%s", text);
    char *slash = strchr(copy, '/');
    if (slash != NULL) {
        size_t len = strlen(slash + 1);
        if (len == 0 || len > 3 || !normaliser_all_digits(slash + 1, len) ||
            (len > 1 && slash[1] == '0'))
            return false;
        bits = (size_t)strtoul(slash + 1, NULL, 10);
        *slash = '\0';
    }
    if (bits > full || (network ? slash == NULL : slash != NULL && bits == full))
        return false;
    if (inet_pton(family, copy, address) != 1)
        return false;
    for (size_t bit = bits; network && bit < full; bit++)
        if ((address[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return false; /* PostgreSQL refuses a network with host bits */
    return inet_ntop(family, address, again, sizeof again) != NULL && strcmp(again, copy) == 0;
}

/* PostgreSQL refuses a literal that rounds to zero; a number written out does not. */
static const char *float_literal(enum column_type type, const char *text, struct arena *arena)
{
    return type == COLUMN_FLOAT8 ? arena_format(arena, "%.17g", strtod(text, NULL))
                                 : arena_format(arena, "%.9g", (double)strtof(text, NULL));
}

/* A timestamp column holds local time of a known offset: the instant is moved there. */
static const char *timestamp_literal(const struct mapping_leaf *leaf, enum column_type type,
                                     const char *text, struct arena *arena)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (!program_parse_timestamp((const uint8_t *)text, strlen(text), &seconds, &nanos))
        return NULL;
    bool local = type == COLUMN_TIMESTAMP;
    if (local)
        seconds += leaf->utc_offset_s;
    int64_t days = seconds / 86400 - (seconds % 86400 < 0);
    int64_t rest = seconds - days * 86400;
    int year = 0, month = 0, day = 0;
    normaliser_date_of(days, &year, &month, &day);
    if (year < 1 || year > 9999 || nanos % 1000 != 0)
        return NULL; /* PostgreSQL keeps microseconds */
    return arena_format(arena, "%04d-%02d-%02d %02d:%02d:%02d.%06d%s", year, month, day,
                        (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60), nanos / 1000,
                        local ? "" : "+00");
}

const char *mapping_native(const struct mapping_leaf *leaf, enum column_type type,
                           const char *canonical, struct arena *arena)
{
    if (leaf->field->type == SCHEMA_ENUM) {
        const struct schema_enum_value *value =
            program_enum_value(leaf->field, canonical, strlen(canonical));
        return value == NULL ? NULL : arena_format(arena, "%" PRId32, value->number);
    }
    if (column_is_integer(type))
        return integer_fits(type, canonical) ? canonical : NULL;
    if (type == COLUMN_TIMESTAMP || type == COLUMN_TIMESTAMPTZ)
        return timestamp_literal(leaf, type, canonical, arena);
    if (type == COLUMN_UUID)
        return uuid_fits(canonical) ? canonical : NULL;
    if (type == COLUMN_DATE)
        return date_fits(canonical) ? canonical : NULL;
    if (type == COLUMN_TIME)
        return time_fits(canonical) ? canonical : NULL;
    if (type == COLUMN_INET || type == COLUMN_CIDR)
        return inet_fits(canonical, type == COLUMN_CIDR) ? canonical : NULL;
    if (type == COLUMN_FLOAT8 || type == COLUMN_FLOAT4)
        return float_literal(type, canonical, arena);
    return canonical; /* text, bool, numeric: the encoder has checked the value already */
}
