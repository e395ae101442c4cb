#include "cli/catalogue_csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/messages.h"
#include "cli/remote.h"
#include "schema/csv.h"

/* --- columns -------------------------------------------------------------------------------------
 */
/* A word of the guideline and the enum's name, which is read too. */
struct word {
    const char *zh;
    const char *name;
};

static const struct word sharing_words[] = { { "无条件共享", "OPEN" },
                                             { "有条件共享", "CONDITIONAL" },
                                             { "不予共享", "DENIED" },
                                             { NULL, NULL } };
static const struct word mode_words[] = {
    { "服务接口", "API" }, { "批量交换", "BATCH" }, { "文件下载", "FILE" }, { NULL, NULL }
};
static const struct word cycle_words[] = {
    { "实时", "REAL_TIME" }, { "每日", "DAILY" },       { "每周", "WEEKLY" },
    { "每月", "MONTHLY" },   { "每季度", "QUARTERLY" }, { "每半年", "HALF_YEARLY" },
    { "每年", "YEARLY" },    { "不定期", "IRREGULAR" }, { NULL, NULL }
};
static const struct word grade_words[] = { { "一般1级", "GENERAL_1" },
                                           { "一般2级", "GENERAL_2" },
                                           { "一般3级", "GENERAL_3" },
                                           { "一般4级", "GENERAL_4" },
                                           { "重要", "IMPORTANT" },
                                           { "核心", "CORE" },
                                           { NULL, NULL } };
static const struct word personal_words[] = { { "非个人信息", "NONE" },
                                              { "个人信息", "GENERAL" },
                                              { "敏感个人信息", "SENSITIVE" },
                                              { NULL, NULL } };
static const struct word truth_words[] = { { "是", "true" }, { "否", "false" }, { NULL, NULL } };

enum kind { TEXT, WORD, WORDS, TRUTH, TEXTS };

/* In the order of the guideline; what it has no column for stands behind. */
static const struct column {
    const char *heading;
    const char *member;
    const struct word *words;
    enum kind kind;
    bool of_item;
} columns[] = {
    { "数据集", "dataset", NULL, TEXT, false },
    { "信息资源分类", "category", NULL, TEXT, false },
    { "信息资源名称", "title", NULL, TEXT, false },
    { "信息资源代码", "code", NULL, TEXT, false },
    { "信息资源提供方", "provider", NULL, TEXT, false },
    { "信息资源提供方代码", "providerCode", NULL, TEXT, false },
    { "信息资源摘要", "summary", NULL, TEXT, false },
    { "信息资源格式", "format", NULL, TEXT, false },
    { "信息项名称", "name", NULL, TEXT, true },
    { "数据类型", "type", NULL, TEXT, true },
    { "共享类型", "sharing", sharing_words, WORD, false },
    { "共享条件", "conditions", NULL, TEXT, false },
    { "共享方式", "modes", mode_words, WORDS, false },
    { "是否向社会开放", "public", truth_words, TRUTH, false },
    { "开放条件", "publicConditions", NULL, TEXT, false },
    { "更新周期", "cycle", cycle_words, WORD, false },
    { "发布日期", "releasedOn", NULL, TEXT, false },
    { "关联资源代码", "relatedCodes", NULL, TEXTS, false },
    { "不予共享依据", "legalBasis", NULL, TEXT, false },
    { "数据分级", "grade", grade_words, WORD, false },
    { "规范字段", "field", NULL, TEXT, true },
    { "敏感级别", "sensitivity", grade_words, WORD, true },
    { "个人信息类别", "personal", personal_words, WORD, true },
    { "数源部门", "sourceDepartment", NULL, TEXT, true },
};
enum { COLUMNS = sizeof columns / sizeof columns[0], DATASET = 0, ITEM_NAME = 8 };

static const char list_separator[] = ";";

/* --- reading -------------------------------------------------------------------------------------
 */
struct reading {
    const char *file;
    struct csv_reader csv;
    size_t order[COLUMNS]; /* of the file's columns: which of ours */
    size_t count;
    json_t *entries;
    json_t *entry;          /* the one whose rows are being read */
    json_t *cells[COLUMNS]; /* of its first row */
    struct buf *complaint;
    char text[CATALOGUE_CSV_CELL_BYTES];
};

/* Always false. */
static bool complain(struct reading *reading, const struct csv_place *place, enum message_id id,
                     const char *what)
{
    char position[64];
    char *sentence = message_fill(id, (const char *const[]){ what }, 1);

    (void)snprintf(position, sizeof position, ":%d:%d: ", place->line, place->column);
    (void)buf_append_str(reading->complaint, reading->file);
    (void)buf_append_str(reading->complaint, position);
    (void)buf_append_str(reading->complaint, sentence);
    free(sentence);
    return false;
}

static bool read_field(struct reading *reading, struct csv_place *place, bool *last)
{
    static const enum message_id complaints[] = { [CSV_TOO_LONG] = MSG_CSV_TOO_LONG,
                                                  [CSV_AFTER_QUOTE] = MSG_CSV_AFTER_QUOTE,
                                                  [CSV_UNENDED] = MSG_CSV_UNENDED };
    enum csv_result result =
        csv_read_field(&reading->csv, reading->text, sizeof reading->text, place, last);

    if (result == CSV_FIELD)
        return true;
    reading->text[0] = '\0';
    return complain(reading, place, complaints[result], "");
}

static bool read_header(struct reading *reading)
{
    bool last = false, seen[COLUMNS] = { false };
    struct csv_place place;

    while (!last) {
        size_t column = 0;
        if (!read_field(reading, &place, &last))
            return false;
        while (column < COLUMNS && strcmp(columns[column].heading, reading->text) != 0)
            column++;
        if (column == COLUMNS)
            return complain(reading, &place, MSG_CSV_COLUMN_UNKNOWN, reading->text);
        if (seen[column])
            return complain(reading, &place, MSG_CSV_COLUMN_TWICE, reading->text);
        seen[column] = true;
        reading->order[reading->count++] = column;
    }
    for (size_t i = DATASET; i <= ITEM_NAME; i += ITEM_NAME - DATASET)
        if (!seen[i])
            return complain(reading, &(struct csv_place){ 1, 1 }, MSG_CSV_COLUMN_MISSING,
                            columns[i].heading);
    return true;
}

/* Text that a spreadsheet would run is written with an apostrophe in front: it goes again. */
static const char *without_apostrophe(const char *text)
{
    size_t quotes = strspn(text, "'");

    return quotes > 0 && text[quotes] != '\0' && strchr("=+-@\t\r", text[quotes]) != NULL ? text + 1
                                                                                          : text;
}

static const struct word *find_word(const struct word *words, const char *text, size_t len)
{
    for (; words->zh != NULL; words++)
        if ((strlen(words->zh) == len && memcmp(words->zh, text, len) == 0) ||
            (strlen(words->name) == len && memcmp(words->name, text, len) == 0))
            return words;
    return NULL;
}

/* "a; b；c" -> its parts, as words or as texts. */
static json_t *read_list(struct reading *reading, const struct column *column,
                         const struct csv_place *place)
{
    static const char wide[] = "；";
    json_t *list = json_array();
    const char *at = reading->text;

    for (;;) {
        const char *narrow_end = strchr(at, ';'), *wide_end = strstr(at, wide);
        const char *end = wide_end != NULL && (narrow_end == NULL || wide_end < narrow_end)
                              ? wide_end
                              : narrow_end;
        size_t len = end != NULL ? (size_t)(end - at) : strlen(at);
        const char *text = at + strspn(at, " ");
        len = text - at <= (ptrdiff_t)len ? len - (size_t)(text - at) : 0;
        while (len > 0 && text[len - 1] == ' ')
            len--;
        const struct word *word =
            column->words != NULL ? find_word(column->words, text, len) : NULL;
        if (len == 0 || (column->words != NULL && word == NULL)) {
            (void)complain(reading, place, MSG_CSV_WORD, reading->text);
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list,
                              word != NULL ? json_string(word->name) : json_stringn(text, len));
        if (end == NULL)
            return list;
        at = end + (end == wide_end ? strlen(wide) : 1);
    }
}

/* The value of the cell that was read; NULL after a complaint, JSON null when it is empty. */
static json_t *read_value(struct reading *reading, const struct column *column,
                          const struct csv_place *place)
{
    const struct word *word = NULL;

    if (reading->text[0] == '\0')
        return json_null();
    if (column->kind == TEXT)
        return json_string(without_apostrophe(reading->text));
    if (column->kind == WORDS || column->kind == TEXTS)
        return read_list(reading, column, place);
    word = find_word(column->words, reading->text, strlen(reading->text));
    if (word == NULL)
        (void)complain(reading, place, MSG_CSV_WORD, reading->text);
    else if (column->kind == TRUTH) /* in proto3 JSON what is false is left out */
        return strcmp(word->name, "true") == 0 ? json_true() : json_null();
    return word != NULL ? json_string(word->name) : NULL;
}

static void forget_entry(struct reading *reading)
{
    reading->entry = NULL;
    for (size_t i = 0; i < COLUMNS; i++) {
        json_decref(reading->cells[i]);
        reading->cells[i] = NULL;
    }
}

/* Takes the values of a row: to the entry that runs, or to a new one. */
static bool take_row(struct reading *reading, json_t *values[COLUMNS],
                     const struct csv_place places[COLUMNS])
{
    const json_t *name = values[DATASET];
    json_t *item = json_object();
    bool begins = json_is_string(name) &&
                  (reading->entry == NULL || !json_equal(name, reading->cells[DATASET]));

    if (reading->entry == NULL && !begins) {
        json_decref(item);
        return complain(reading, &places[DATASET], MSG_CSV_NO_DATASET, "");
    }
    for (size_t i = 0; begins && i < json_array_size(reading->entries); i++)
        if (json_equal(name, json_object_get(json_array_get(reading->entries, i), "dataset"))) {
            json_decref(item);
            return complain(reading, &places[DATASET], MSG_CSV_ENTRY_TWICE,
                            json_string_value(name));
        }
    if (begins) {
        forget_entry(reading);
        reading->entry = json_pack("{s:[]}", "items");
        json_array_append_new(reading->entries, reading->entry);
    }
    json_array_append_new(json_object_get(reading->entry, "items"), item);
    for (size_t i = 0; i < COLUMNS; i++) {
        const struct column *column = &columns[i];
        if (!column->of_item && !begins) {
            if (values[i] != NULL && !json_is_null(values[i]) &&
                !json_equal(values[i], reading->cells[i]))
                return complain(reading, &places[i], MSG_CSV_DIFFERS, column->heading);
            continue;
        }
        if (!column->of_item)
            reading->cells[i] = json_incref(values[i]);
        if (values[i] != NULL && !json_is_null(values[i]))
            json_object_set(column->of_item ? item : reading->entry, column->member, values[i]);
    }
    return true;
}

static bool read_cells(struct reading *reading, json_t *values[COLUMNS],
                       struct csv_place places[COLUMNS], bool *empty)
{
    bool last = false;
    struct csv_place place;

    for (size_t i = 0; !last; i++) {
        if (!read_field(reading, &place, &last))
            return false;
        *empty = i == 0 && last && reading->text[0] == '\0';
        if (*empty)
            return true;
        if (i >= reading->count || (last && i + 1 < reading->count))
            return complain(reading, &place, MSG_CSV_ROW_LENGTH, "");
        size_t column = reading->order[i];
        places[column] = place;
        values[column] = read_value(reading, &columns[column], &place);
        if (values[column] == NULL)
            return false;
    }
    return true;
}

static bool read_row(struct reading *reading)
{
    json_t *values[COLUMNS] = { NULL };
    struct csv_place places[COLUMNS] = { { 0, 0 } };
    bool empty = false;
    bool good =
        read_cells(reading, values, places, &empty) && (empty || take_row(reading, values, places));

    for (size_t i = 0; i < COLUMNS; i++)
        json_decref(values[i]);
    return good;
}

json_t *catalogue_csv_read(const char *file, const char *text, size_t len, struct buf *complaint)
{
    struct reading *reading = calloc(1, sizeof *reading);
    json_t *entries = json_array();
    bool good;

    if (reading == NULL)
        abort();
    reading->file = file;
    reading->entries = entries;
    reading->complaint = complaint;
    csv_start(&reading->csv, text, len);
    good = read_header(reading);
    while (good && csv_more(&reading->csv))
        good = read_row(reading);
    forget_entry(reading);
    free(reading);
    if (!good) {
        json_decref(entries);
        entries = NULL;
    }
    return entries;
}

/* --- writing -------------------------------------------------------------------------------------
 */
/* RFC 4180: quoted where it must be. */
static int write_text(struct buf *out, const char *text)
{
    int failed;

    if (text[strcspn(text, ",\"\r\n")] == '\0')
        return buf_append_str(out, text);
    failed = buf_append_str(out, "\"");
    for (; *text != '\0'; text++)
        failed |= *text == '"' ? buf_append_str(out, "\"\"") : buf_append(out, text, 1);
    return failed | buf_append_str(out, "\"");
}

static const char *word_of(const struct column *column, const char *name)
{
    for (const struct word *word = column->words; word != NULL && word->zh != NULL; word++)
        if (strcmp(word->name, name) == 0)
            return word->zh;
    return name; /* of a newer gateway */
}

/* Spreadsheets run text that begins like a formula; apostrophes in front of such are doubled up. */
static int append_plain(struct buf *cell, const char *text)
{
    size_t quotes = strspn(text, "'");
    bool formula = text[quotes] != '\0' && strchr("=+-@\t\r", text[quotes]) != NULL;

    return buf_append_str(cell, formula ? "'" : "") | buf_append_str(cell, text);
}

static int write_cell(struct buf *out, const struct column *column, const json_t *value)
{
    struct buf cell;
    int failed = 0;

    buf_init(&cell, CATALOGUE_CSV_CELL_BYTES);
    if (column->kind == TRUTH)
        failed = buf_append_str(&cell, json_is_true(value) ? "是" : "");
    else if (json_is_array(value))
        for (size_t i = 0; i < json_array_size(value); i++)
            failed |=
                buf_append_str(&cell, i > 0 ? list_separator : "") |
                buf_append_str(&cell, word_of(column, json_string_value(json_array_get(value, i))));
    else if (json_is_string(value))
        failed = column->words != NULL
                     ? buf_append_str(&cell, word_of(column, json_string_value(value)))
                     : append_plain(&cell, json_string_value(value));
    failed |= write_text(out, buf_cstr(&cell));
    buf_fini(&cell);
    return failed;
}

int catalogue_csv_write_header(struct buf *out)
{
    int failed = 0;

    for (size_t i = 0; i < COLUMNS; i++)
        failed |= buf_append_str(out, i > 0 ? "," : "") | buf_append_str(out, columns[i].heading);
    return failed | buf_append_str(out, "\r\n");
}

int catalogue_csv_write(const json_t *content, struct buf *out)
{
    const json_t *items = remote_member(content, "items");
    int failed = 0;

    for (size_t row = 0; row < json_array_size(items); row++) {
        for (size_t i = 0; i < COLUMNS; i++) {
            const json_t *object = columns[i].of_item ? json_array_get(items, row) : content;
            failed |= buf_append_str(out, i > 0 ? "," : "") |
                      write_cell(out, &columns[i], remote_member(object, columns[i].member));
        }
        failed |= buf_append_str(out, "\r\n");
    }
    return failed;
}
