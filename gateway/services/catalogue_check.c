#include "services/catalogue_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "authz/calendar.h"
#include "base/err.h"
#include "services/catalogue_rows.h"

enum {
    PROVIDER_CODE_BYTES = 18, /* 统一社会信用代码, GB 32100 */
    CODE_HEAD_DIGITS = 6,     /* class 1, item 2, sub-item 3 */
    CODE_BYTES_MAX = 64,
};

static int complain(const Sluice__V1__CatalogueContent *content, struct err *err,
                    const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int complain(const Sluice__V1__CatalogueContent *content, struct err *err,
                    const char *reason, const char *format, ...)
{
    char what[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return err_set(err, ERR_INVALID_ARGUMENT, reason, "%.127s: %.300s", content->dataset, what);
}

/* --- names, codes, texts ---------------------------------------------------------------------- */

static bool is_name(const char *text, size_t len, const char *letters)
{
    if (len == 0 || len > 63 || text[0] < 'a' || text[0] > 'z')
        return false;
    for (size_t i = 0; i < len; i++)
        if (strchr(letters, text[i]) == NULL)
            return false;
    return true;
}

bool catalogue_name_valid(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash != NULL &&
           is_name(name, (size_t)(slash - name), "abcdefghijklmnopqrstuvwxyz0123456789-") &&
           is_name(slash + 1, strlen(slash + 1), "abcdefghijklmnopqrstuvwxyz0123456789-_");
}

/* Class, item, sub-item, detail of any length, '/', serial: "307001/12". */
static bool is_code(const char *code)
{
    size_t head = strspn(code, "0123456789");
    if (head < CODE_HEAD_DIGITS || code[0] == '0' || code[head] != '/')
        return false;
    const char *serial = code + head + 1;
    return serial[0] != '\0' && serial[strspn(serial, "0123456789")] == '\0' &&
           strlen(code) <= CODE_BYTES_MAX;
}

static int check_texts(const Sluice__V1__CatalogueContent *content, struct err *err)
{
    const struct {
        const char *column;
        const char *text;
        bool compulsory;
    } texts[] = {
        { "category", content->category, false },
        { "title", content->title, true },
        { "provider", content->provider, true },
        { "summary", content->summary, true },
        { "format", content->format, true },
        { "conditions", content->conditions, false },
        { "legal_basis", content->legal_basis, false },
        { "public_conditions", content->public_conditions, false },
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].compulsory && texts[i].text[0] == '\0')
            return complain(content, err, "ENTRY_INCOMPLETE", "say the %s", texts[i].column);
        if (strlen(texts[i].text) > CATALOGUE_TEXT_BYTES_MAX)
            return complain(content, err, "TEXT_TOO_LONG", "the %s has at most 1,024 bytes",
                            texts[i].column);
    }
    return 0;
}

static int check_codes(const Sluice__V1__CatalogueContent *content, struct err *err)
{
    static const char text[] = "a code is six or more digits, '/' and a serial number: 307001/12";
    int32_t day;
    if (content->code[0] != '\0' && !is_code(content->code))
        return complain(content, err, "CODE_INVALID", "%s", text);
    if (content->n_related_codes > CATALOGUE_ITEMS_MAX)
        return complain(content, err, "CODE_INVALID", "at most 500 codes are related");
    for (size_t i = 0; i < content->n_related_codes; i++)
        if (!is_code(content->related_codes[i]))
            return complain(content, err, "CODE_INVALID", "%s", text);
    size_t len = strlen(content->provider_code);
    if (len > 0 && (len != PROVIDER_CODE_BYTES ||
                    strspn(content->provider_code, "0123456789ABCDEFGHJKLMNPQRTUWXY") != len))
        return complain(content, err, "CODE_INVALID",
                        "the provider's code is a unified social credit code of 18 characters");
    if (content->released_on[0] != '\0' &&
        !calendar_date_parse(content->released_on, strlen(content->released_on), &day))
        return complain(content, err, "DATE_INVALID", "the date of release is like 2026-11-24");
    return 0;
}

/* --- sharing ---------------------------------------------------------------------------------- */

static int check_modes(const Sluice__V1__CatalogueContent *content, struct err *err)
{
    unsigned seen = 0;
    if (content->n_modes == 0 && content->sharing != SLUICE__V1__SHARING_CATEGORY__DENIED)
        return complain(content, err, "ENTRY_INCOMPLETE",
                        "say the modes of sharing: API, BATCH or FILE");
    for (size_t i = 0; i < content->n_modes; i++) {
        int mode = (int)content->modes[i];
        if (mode < 1 || mode > SLUICE__V1__CATALOGUE_CONTENT__MODE__FILE || (seen >> mode & 1) != 0)
            return complain(content, err, "MODE_INVALID",
                            "a mode of sharing is API, BATCH or FILE, each once");
        seen |= 1U << mode;
    }
    return 0;
}

static int check_sharing(const Sluice__V1__CatalogueContent *content,
                         const struct schema_dataset *dataset, struct err *err)
{
    int sharing = (int)content->sharing;
    bool denied = sharing == SLUICE__V1__SHARING_CATEGORY__DENIED;
    if (sharing < SLUICE__V1__SHARING_CATEGORY__OPEN ||
        sharing > SLUICE__V1__SHARING_CATEGORY__DENIED)
        return complain(content, err, "SHARING_INVALID",
                        "the sharing category is OPEN, CONDITIONAL or DENIED");
    if (denied && content->legal_basis[0] == '\0')
        return complain(content, err, "LEGAL_BASIS_MISSING",
                        "what is not shared cites the law or State Council decision it rests on");
    if (!denied && content->legal_basis[0] != '\0')
        return complain(content, err, "LEGAL_BASIS_EXTRA",
                        "a legal basis is cited only for what is not shared");
    if (sharing == SLUICE__V1__SHARING_CATEGORY__CONDITIONAL && content->conditions[0] == '\0')
        return complain(content, err, "CONDITIONS_MISSING",
                        "say the conditions: for whom and for what use it is shared");
    if (sharing == SLUICE__V1__SHARING_CATEGORY__OPEN && content->conditions[0] != '\0')
        return complain(content, err, "CONDITIONS_EXTRA",
                        "what is shared without conditions names none");
    if (dataset != NULL && sharing < (int)dataset->sharing)
        return complain(content, err, "SHARING_WIDENED",
                        "the published mapping shares this dataset more strictly; change it first");
    if ((int)content->cycle < 1 ||
        (int)content->cycle > SLUICE__V1__CATALOGUE_CONTENT__CYCLE__IRREGULAR)
        return complain(content, err, "CYCLE_INVALID", "say the cycle of updating: DAILY, ...");
    return check_modes(content, err);
}

/* --- items ------------------------------------------------------------------------------------ */

static bool is_grade(int grade)
{
    return grade >= SLUICE__OPTIONS__SENSITIVITY__GENERAL_1 &&
           grade <= SLUICE__OPTIONS__SENSITIVITY__CORE;
}

static int check_field(const Sluice__V1__CatalogueContent *content,
                       const Sluice__V1__CatalogueItem *item, const struct schema_dataset *dataset,
                       struct err *err)
{
    const struct schema_field *field =
        dataset != NULL ? schema_message_field(dataset->type, item->field, strlen(item->field))
                        : NULL;
    if (field == NULL)
        return complain(content, err, "FIELD_UNKNOWN",
                        dataset != NULL ? "the dataset has no field \"%.60s\""
                                        : "the gateway does not serve this dataset, so it has no "
                                          "field \"%.60s\"",
                        item->field);
    int stated = field->sensitivity == SLUICE__OPTIONS__SENSITIVITY__SENSITIVITY_UNSPECIFIED
                     ? SLUICE__OPTIONS__SENSITIVITY__GENERAL_4
                     : (int)field->sensitivity;
    if ((int)item->sensitivity < stated)
        return complain(content, err, "SENSITIVITY_LOWERED",
                        "the schema says that field \"%.60s\" is more sensitive; change it first",
                        item->field);
    return 0;
}

static int check_item(const Sluice__V1__CatalogueContent *content,
                      const Sluice__V1__CatalogueItem *item, const struct schema_dataset *dataset,
                      struct err *err)
{
    if (item->name[0] == '\0' || item->type[0] == '\0' || item->source_department[0] == '\0')
        return complain(content, err, "ENTRY_INCOMPLETE",
                        "each data item has a name, a type and a source department");
    if (strlen(item->name) > CATALOGUE_TEXT_BYTES_MAX ||
        strlen(item->type) > CATALOGUE_TEXT_BYTES_MAX)
        return complain(content, err, "TEXT_TOO_LONG",
                        "the name and type of a data item have at most 1,024 bytes");
    if (!is_grade((int)item->sensitivity))
        return complain(content, err, "GRADE_INVALID",
                        "say how sensitive item \"%.60s\" is: GENERAL_1 to GENERAL_4, IMPORTANT, "
                        "CORE",
                        item->name);
    if ((int)item->sensitivity > (int)content->grade)
        return complain(content, err, "GRADE_INVALID", "the grade is below that of item \"%.60s\"",
                        item->name);
    if ((int)item->personal < 1 ||
        (int)item->personal > SLUICE__V1__CATALOGUE_ITEM__PERSONAL__SENSITIVE)
        return complain(content, err, "ITEM_INVALID",
                        "say whether item \"%.60s\" is personal information: NONE, GENERAL, "
                        "SENSITIVE",
                        item->name);
    return item->field[0] != '\0' ? check_field(content, item, dataset, err) : 0;
}

int catalogue_check(struct arena *arena, Sluice__V1__CatalogueContent *content,
                    const struct schema_dataset *dataset, struct err *err)
{
    if (check_texts(content, err) < 0 || check_codes(content, err) < 0 ||
        check_sharing(content, dataset, err) < 0)
        return -1;
    if (!is_grade((int)content->grade))
        return complain(content, err, "GRADE_INVALID",
                        "say the grade: GENERAL_1 to GENERAL_4, IMPORTANT or CORE");
    if (content->n_items == 0 || content->n_items > CATALOGUE_ITEMS_MAX)
        return complain(content, err, "ITEMS_MISSING", "list 1 to 500 data items");
    for (size_t i = 0; i < content->n_items; i++) {
        Sluice__V1__CatalogueItem *item = content->items[i];
        if (check_item(content, item, dataset, err) < 0)
            return -1;
        for (size_t j = 0; j < i; j++)
            if (strcmp(content->items[j]->name, item->name) == 0 ||
                (item->field[0] != '\0' && strcmp(content->items[j]->field, item->field) == 0))
                return complain(content, err, "ITEM_TWICE", "item \"%.60s\" stands there twice",
                                item->name);
        item->element = item->field[0] != '\0'
                            ? arena_format(arena, "%s.%s", dataset->type->full_name, item->field)
                            : arena_strdup(arena, item->name);
    }
    return 0;
}

bool catalogue_has_personal(const Sluice__V1__CatalogueContent *content)
{
    for (size_t i = 0; i < content->n_items; i++)
        if (content->items[i]->personal != SLUICE__V1__CATALOGUE_ITEM__PERSONAL__NONE)
            return true;
    return false;
}
