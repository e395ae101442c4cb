#include "schema/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

/* sluice.options.SemanticType */
enum {
    SEMANTIC_PERSON_NAME = 5,
    SEMANTIC_PLACE_NAME = 6,
    SEMANTIC_DATE = 8,
    SEMANTIC_ADDRESS = 13
};
enum { SEMANTIC_FREE_TEXT = 14 };

static const struct kind {
    const char *word;
    enum schema_mask_kind kind;
    bool counts; /* "word:N" */
    bool draws;  /* "word:N:C" */
} kinds[] = {
    { "keep-first", MASK_KEEP_FIRST, true, true }, { "keep-last", MASK_KEEP_LAST, true, true },
    { "hash", MASK_HASH, false, false },           { "year", MASK_YEAR, false, false },
    { "month", MASK_MONTH, false, false },         { "prefix", MASK_PREFIX, true, false },
    { "drop", MASK_DROP, false, false },
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static const struct kind *kind_of(enum schema_mask_kind kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return NULL;
}

/* --- text ----------------------------------------------------------------------------------------- */

/* At most four digits, so that nothing overflows; the limits are schema_mask_check's. */
static const char *parse_count(const char *text, int32_t *count_r)
{
    const char *at = text;
    *count_r = 0;
    for (; at - text < 4 && *at >= '0' && *at <= '9'; at++)
        *count_r = *count_r * 10 + (*at - '0');
    return at > text ? at : NULL;
}

bool schema_mask_parse(const char *text, struct schema_mask *mask_r)
{
    size_t len = strcspn(text, ":");
    *mask_r = (struct schema_mask){ 0 };
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kind *kind = &kinds[i];
        if (strlen(kind->word) != len || memcmp(kind->word, text, len) != 0)
            continue;
        const char *at = text + len;
        mask_r->kind = kind->kind;
        if (kind->draws)
            mask_r->character[0] = '*';
        if (kind->counts && (*at++ != ':' || (at = parse_count(at, &mask_r->keep)) == NULL))
            return false;
        if (!kind->draws || *at == '\0')
            return *at == '\0';
        size_t bytes = strlen(++at);
        if (at[-1] != ':' || bytes == 0 || bytes >= sizeof mask_r->character)
            return false;
        memcpy(mask_r->character, at, bytes + 1);
        return true;
    }
    return false;
}

void schema_mask_format(const struct schema_mask *mask, char text_r[SCHEMA_MASK_TEXT_BYTES])
{
    const struct kind *kind = kind_of(mask->kind);
    const char *word = kind != NULL ? kind->word : "?";
    if (kind == NULL || !kind->counts)
        (void)snprintf(text_r, SCHEMA_MASK_TEXT_BYTES, "%s", word);
    else
        (void)snprintf(text_r, SCHEMA_MASK_TEXT_BYTES, "%s:%d%s%s", word, mask->keep,
                       kind->draws ? ":" : "", kind->draws ? mask->character : "");
}

/* --- fit ------------------------------------------------------------------------------------------ */

static bool is_text(const struct schema_field *field)
{
    return field->type == SCHEMA_STRING && !field->map;
}

static bool is_time(const struct schema_field *field)
{
    return field->type == SCHEMA_MESSAGE &&
           strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
}

static bool is_date(const struct schema_field *field)
{
    return is_text(field) && field->semantic == SEMANTIC_DATE;
}

/* Words are no codes: the beginning of a name is what keep-first is for. */
static bool is_code(const struct schema_field *field)
{
    return is_text(field) && field->semantic != SEMANTIC_DATE &&
           field->semantic != SEMANTIC_PERSON_NAME && field->semantic != SEMANTIC_PLACE_NAME &&
           field->semantic != SEMANTIC_ADDRESS && field->semantic != SEMANTIC_FREE_TEXT;
}

/* NULL, or what the field would have to be. */
static const char *unfit(const struct schema_mask *mask, const struct schema_field *field)
{
    switch (mask->kind) {
    case MASK_KEEP_FIRST:
    case MASK_KEEP_LAST:
        return is_text(field) && !is_date(field) ? NULL : "text that is no date";
    case MASK_HASH:
        return is_text(field) ? NULL : "text";
    case MASK_YEAR:
    case MASK_MONTH:
        return is_date(field) || is_time(field) ? NULL : "a date or a time";
    case MASK_PREFIX:
        return is_code(field) ? NULL : "a code";
    case MASK_DROP:
        break;
    }
    return NULL;
}

/* One code point that can be seen. */
static bool is_visible(const char *character)
{
    size_t len = strnlen(character, sizeof((struct schema_mask *)0)->character);
    uint32_t code_point = 0;
    if (len == 0 || len > 4 || !utf8_valid(character, len) ||
        utf8_decode((const uint8_t *)character, len, &code_point) != len)
        return false;
    return code_point > 0x20 && !(code_point >= 0x7f && code_point <= 0xa0) &&
           code_point != 0x3000 && utf8_columns(character) > 0;
}

int schema_mask_check(const struct schema_mask *mask, const struct schema_field *field,
                      struct err *err)
{
    const struct kind *kind = kind_of(mask->kind);
    int32_t min = mask->kind == MASK_PREFIX ? 1 : 0;
    int32_t max = mask->kind == MASK_PREFIX ? SCHEMA_MASK_PREFIX_MAX : SCHEMA_MASK_KEEP_MAX;
    if (kind == NULL)
        return err_set(err, ERR_INVALID_ARGUMENT, "MASK_INVALID",
                       "the mask of %s is of no kind; it is keep-first, keep-last, hash, year, "
                       "month, prefix or drop",
                       field->name);
    if (kind->counts ? mask->keep < min || mask->keep > max : mask->keep != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "MASK_INVALID",
                       "the mask of %s keeps %d; %s keeps %d to %d", field->name, mask->keep,
                       kind->word, kind->counts ? min : 0, kind->counts ? max : 0);
    if (kind->draws ? !is_visible(mask->character) : mask->character[0] != '\0')
        return err_set(err, ERR_INVALID_ARGUMENT, "MASK_INVALID", "the mask of %s %s", field->name,
                       kind->draws ? "needs one visible character to stand for the others"
                                   : "draws no character");
    const char *wanted = unfit(mask, field);
    if (wanted == NULL)
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, "MASK_UNFIT",
                   "the mask %s needs %s; %s is of type %s%s", kind->word, wanted, field->name,
                   field->map ? "map" : schema_field_type_name(field),
                   is_date(field) ? ", a date: use year, month, hash or drop" : "");
}
