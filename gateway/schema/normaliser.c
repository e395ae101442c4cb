#include "schema/normaliser.h"

#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

static const struct normaliser_kind *const kinds[] = {
    &normaliser_trim,        &normaliser_width_fold, &normaliser_upper,    &normaliser_lower,
    &normaliser_nfc,         &normaliser_nfkc,       &normaliser_unaccent, &normaliser_gb18030,
    &normaliser_pua_fold,    &normaliser_strip,      &normaliser_replace,  &normaliser_split,
    &normaliser_concat,      &normaliser_regex,      &normaliser_cn_id,    &normaliser_cn_uscc,
    &normaliser_cn_org,      &normaliser_cn_date,    &normaliser_cn_sex,   &normaliser_cn_ethnic,
    &normaliser_cn_marital,  &normaliser_cn_mobile,  &normaliser_cn_phone, &normaliser_cn_money,
    &normaliser_cn_division, &normaliser_decimal,    &normaliser_unit,     &normaliser_bool,
    &normaliser_codes,       &normaliser_enum,
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

const struct normaliser *normaliser_find(const char *name, size_t len)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strlen(kinds[i]->base.name) == len && memcmp(kinds[i]->base.name, name, len) == 0)
            return &kinds[i]->base;
    return NULL;
}

const struct normaliser *normaliser_at(size_t index)
{
    return index < KIND_COUNT ? &kinds[index]->base : NULL;
}

const struct normaliser_kind *normaliser_kind_find(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i]->base.name, name) == 0)
            return kinds[i];
    return NULL;
}

const char *const *normaliser_names(size_t *count_r)
{
    static const char *names[KIND_COUNT + 1];
    for (size_t i = 0; i < KIND_COUNT; i++)
        names[i] = kinds[i]->base.name;
    *count_r = KIND_COUNT;
    return names;
}

int normaliser_step_read(const struct yaml_node *node, const struct normaliser_env *env,
                         struct normaliser_step *step_r, struct err *err)
{
    const struct yaml_node *name = node, *params = NULL;
    if (yaml_kind(node) == YAML_MAPPING && yaml_count(node) == 1) {
        name = yaml_key(node, 0);
        params = yaml_value(node, 0);
    }
    if (yaml_kind(name) != YAML_SCALAR || yaml_is_null(name))
        return yaml_error(node, err, "MAPPING_NORMALISER",
                          "expected the name of a normaliser, or one name with its parameters");
    const struct normaliser_kind *kind = normaliser_kind_find(yaml_text(name));
    if (kind == NULL) {
        size_t count = 0;
        const char *const *names = normaliser_names(&count);
        const char *near = yaml_nearest(yaml_text(name), strlen(yaml_text(name)), names, count);
        return yaml_error(name, err, "MAPPING_NORMALISER", "there is no normaliser \"%.64s\"%s%s%s",
                          yaml_text(name), near != NULL ? "; did you mean \"" : "",
                          near != NULL ? near : "", near != NULL ? "\"?" : "");
    }
    if (kind->configure == NULL && params != NULL)
        return yaml_error(params, err, "MAPPING_NORMALISER", "%s takes no parameters",
                          kind->base.name);
    return normaliser_step_configure(kind, name, params, env, step_r, err);
}

int normaliser_step_configure(const struct normaliser_kind *kind, const struct yaml_node *at,
                              const struct yaml_node *params, const struct normaliser_env *env,
                              struct normaliser_step *step_r, struct err *err)
{
    *step_r = (struct normaliser_step){ .kind = kind };
    if (kind->configure == NULL)
        return 0;
    if (kind->configure(at, params, env, &step_r->config, err) == 0) {
        if (kind->variant != NULL)
            step_r->kind = kind->variant(step_r->config);
        return 0;
    }
    if (step_r->config != NULL && kind->dispose != NULL)
        kind->dispose(step_r->config);
    return -1;
}

/* --- the way back ------------------------------------------------------------------------------
 */

enum normaliser_loss normaliser_loss(const struct normaliser_step *step)
{
    const struct normaliser_kind *kind = step->kind;
    return kind->loss_of != NULL ? kind->loss_of(step->config) : kind->loss;
}

const char *normaliser_loss_name(enum normaliser_loss loss)
{
    switch (loss) {
    case LOSS_ONE_WAY:
        return "one way";
    case LOSS_SOME_VALUES:
        return "some values";
    case LOSS_NATIVE:
        return "canonical";
    case LOSS_NONE:
        return "exact";
    }
    return "one way";
}

/* A native text that reads back as something else would change data without a word: so it is read
 * back, always. A warning is no change. */
static bool reads_back(const struct normaliser_step *step, const struct buf *native,
                       const struct buf *canonical)
{
    struct buf again;
    buf_init(&again, NORMALISER_VALUE_BYTES_MAX);
    bool same = buf_append(&again, native->data, native->len) == 0 &&
                normaliser_run(step, &again).verdict != NORMALISER_ERROR &&
                again.len == canonical->len &&
                (again.len == 0 || memcmp(again.data, canonical->data, again.len) == 0);
    buf_fini(&again);
    return same;
}

int normaliser_write(const struct normaliser_step *step, struct buf *value)
{
    if (normaliser_loss(step) == LOSS_ONE_WAY)
        return -1;
    struct buf canonical;
    buf_init(&canonical, NORMALISER_VALUE_BYTES_MAX);
    if (buf_append(&canonical, value->data, value->len) != 0)
        return -1;
    bool fine = (step->kind->write == NULL || step->kind->write(step->config, value) == 0) &&
                reads_back(step, value, &canonical);
    if (!fine) {
        buf_reset(value);
        (void)buf_append(value, canonical.data, canonical.len); /* fits: it stood there before */
    }
    buf_fini(&canonical);
    return fine ? 0 : -1;
}

/* --- lists of texts ----------------------------------------------------------------------------
 */

bool text_list_has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

bool text_list_add(struct text_list *list, const char *text)
{
    if (text_list_has(list, text))
        return true;
    if (list->count == TEXT_LIST_MAX)
        return false;
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 16 : list->cap * 2;
        const char **items = arena_array(list->arena, cap, sizeof *items);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = arena_strdup(list->arena, text);
    return true;
}

static const char *lower_form(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);
    for (char *p = copy; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    return copy;
}

static const char *wide_form(struct arena *arena, const char *text)
{
    char *copy = arena_alloc(arena, 3 * strlen(text) + 1);
    size_t len = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == ' ')
            len += utf8_encode(0x3000, (uint8_t *)copy + len);
        else if (*p > ' ' && *p < 0x7f)
            len += utf8_encode((uint32_t)*p + 0xFEE0, (uint8_t *)copy + len);
        else
            copy[len++] = *p;
    }
    return copy;
}

void normaliser_widen(const struct normaliser_fold *fold, struct text_list *forms)
{
    struct arena *arena = forms->arena;
    size_t count = forms->count;
    if (fold->variants & VARIANT_LOWER)
        for (size_t i = 0; i < count; i++)
            text_list_add(forms, lower_form(arena, forms->items[i]));
    count = forms->count;
    if (fold->variants & VARIANT_WIDE)
        for (size_t i = 0; i < count; i++)
            text_list_add(forms, wide_form(arena, forms->items[i]));
    count = forms->count;
    if (fold->variants & VARIANT_BLANK)
        for (size_t i = 0; i < count; i++) {
            text_list_add(forms, arena_format(arena, " %s", forms->items[i]));
            text_list_add(forms, arena_format(arena, "%s ", forms->items[i]));
            text_list_add(forms, arena_format(arena, " %s ", forms->items[i]));
            text_list_add(forms, arena_format(arena, "%s\u3000", forms->items[i]));
        }
}

/* --- helpers -----------------------------------------------------------------------------------
 */

/* ASCII in identifiers: blanks go, letters become upper case. */
enum { DROPPED = 0xFF };

static inline uint8_t fold_ascii(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - ('a' - 'A'));
    return c == ' ' || (c >= '\t' && c <= '\r') ? DROPPED : c;
}

size_t normaliser_identifier(const struct buf *value, char out[IDENTIFIER_BYTES_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < value->len;) {
        if (len + 5 > IDENTIFIER_BYTES_MAX)
            return IDENTIFIER_BYTES_MAX;
        if (value->data[i] < 0x80) {
            uint8_t c = fold_ascii(value->data[i++]);
            out[len] = (char)c;
            len += c != DROPPED;
            continue;
        }
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0)
            return IDENTIFIER_BYTES_MAX;
        if (cp >= 0xFF01 && cp <= 0xFF5E) {
            out[len++] = (char)fold_ascii((uint8_t)(cp - 0xFEE0));
        } else if (!normaliser_blank(cp)) {
            memcpy(out + len, value->data + i, step);
            len += step;
        }
        i += step;
    }
    out[len] = '\0';
    return len;
}

struct normaliser_result normaliser_become(struct buf *value, const char *text, size_t len)
{
    if (value->len == len && (len == 0 || memcmp(value->data, text, len) == 0))
        return NORMALISER_IS_OK;
    buf_reset(value);
    if (buf_append(value, text, len) != 0)
        return NORMALISER_FAILS("VALUE_TOO_LONG");
    return (struct normaliser_result){ NORMALISER_CHANGED, "" };
}

struct normaliser_result normaliser_become_warned(struct buf *value, const char *text, size_t len,
                                                  const char *code)
{
    struct normaliser_result result = normaliser_become(value, text, len);
    if (result.verdict == NORMALISER_ERROR)
        return result;
    return (struct normaliser_result){ NORMALISER_WARN, code };
}

bool normaliser_real_date(int year, int month, int day)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

/* Howard Hinnant's civil-calendar algorithms, with March as the first month. */
int64_t normaliser_days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void normaliser_date_of(int64_t days, int *year_r, int *month_r, int *day_r)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    *day_r = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *month_r = (int)(month < 10 ? month + 3 : month - 9);
    *year_r = (int)(year_of_era + era * 400 + (*month_r <= 2));
}
