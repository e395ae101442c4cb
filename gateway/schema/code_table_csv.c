/* Code tables from CSV files (RFC 4180), with the checks that need the whole table. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "schema/code_table.h"
#include "schema/normaliser_internal.h"

enum {
    COLUMNS_MAX = 64, /* of one file; the rest of a table is for people */
    COLUMN_NATIVE = 1,
    COLUMN_CANONICAL,
    COLUMN_FROM,
    COLUMN_UNTIL,
    COLUMN_SUCCESSOR,
    COLUMN_PREFERRED,
};

struct place {
    int line;
    int column;
};

/* The successors of one row, as written: they may stand further down. */
struct pending {
    size_t row;
    const char *text;
    struct place place;
    struct pending *next;
};

struct csv {
    const char *file;
    const char *text;
    size_t len;
    size_t at;
    size_t line_start;
    int line;
    int meanings[COLUMNS_MAX]; /* COLUMN_*; 0: for people */
    size_t column_count;
    struct pending *first, **last;
};

struct csv_field {
    char text[CODE_TABLE_TEXT_BYTES_MAX];
    struct place place;
    bool last; /* of its record */
};

static int csv_error(const struct csv *csv, const struct place *place, struct err *err,
                     const char *sentence)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "CODE_TABLE_INVALID", "%s:%d:%d: %s", csv->file,
                   place->line, place->column, sentence);
}

static struct place here(const struct csv *csv)
{
    struct place place = { .line = csv->line, .column = 1 };
    for (size_t i = csv->line_start; i < csv->at; i++)
        place.column += ((unsigned char)csv->text[i] & 0xC0) != 0x80;
    return place;
}

static void pass_byte(struct csv *csv)
{
    bool line_end = csv->text[csv->at] == '\n';
    csv->at++;
    if (line_end) {
        csv->line++;
        csv->line_start = csv->at;
    }
}

static void pass_separator(struct csv *csv, struct csv_field *field)
{
    field->last = csv->at >= csv->len || csv->text[csv->at] != ',';
    if (csv->at < csv->len && csv->text[csv->at] == '\r')
        pass_byte(csv);
    if (csv->at < csv->len && (csv->text[csv->at] == '\n' || !field->last))
        pass_byte(csv);
}

/* One field with its separator or line end. */
static int read_field(struct csv *csv, struct csv_field *field, struct err *err)
{
    size_t len = 0;
    field->place = here(csv);
    bool quoted = csv->at < csv->len && csv->text[csv->at] == '"';
    bool inside = quoted;
    csv->at += quoted;
    while (csv->at < csv->len) {
        char c = csv->text[csv->at];
        if (inside && c == '"') {
            csv->at++;
            inside = csv->at < csv->len && csv->text[csv->at] == '"'; /* a doubled quote is one */
            if (!inside)
                continue;
        } else if (!inside && (c == ',' || c == '\n' || c == '\r')) {
            break;
        } else if (quoted && !inside) {
            return csv_error(csv, &field->place, err,
                             "only a comma or the line's end may follow a quoted value");
        }
        pass_byte(csv);
        if (len + 1 == sizeof field->text)
            return csv_error(csv, &field->place, err, "a value is longer than 1023 bytes");
        field->text[len++] = c;
    }
    if (inside)
        return csv_error(csv, &field->place, err, "a quoted value does not end");
    field->text[len] = '\0';
    pass_separator(csv, field);
    return 0;
}

/* --- header -------------------------------------------------------------------------------------
 */

static int column_meaning(const char *name)
{
    static const char *const names[] = { "native",      "canonical", "valid_from",
                                         "valid_until", "successor", "preferred" };
    for (int i = 0; i < 6; i++)
        if (strcmp(names[i], name) == 0)
            return i + 1;
    return 0;
}

static int read_header(struct csv *csv, struct csv_field *field, struct err *err)
{
    unsigned seen = 0;
    do {
        if (read_field(csv, field, err) != 0)
            return -1;
        size_t at = csv->column_count;
        int meaning = column_meaning(field->text);
        if ((at < 2 && meaning != (int)at + 1) || (at == 0 && field->last))
            return csv_error(csv, &field->place, err,
                             "the first line must begin with native,canonical");
        if (at == COLUMNS_MAX)
            return csv_error(csv, &field->place, err, "the table has more than 64 columns");
        if (meaning != 0 && (seen & (1U << meaning)) != 0)
            return csv_error(csv, &field->place, err, "this column is named twice; remove one");
        seen |= 1U << meaning;
        csv->meanings[csv->column_count++] = meaning;
    } while (!field->last);
    return 0;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static int read_preferred(const struct csv *csv, const struct csv_field *field,
                          struct code_row *row, struct err *err)
{
    if (strcmp(field->text, "yes") == 0)
        row->preferred = true;
    else if (field->text[0] != '\0' && strcmp(field->text, "no") != 0)
        return csv_error(csv, &field->place, err, "preferred is yes, no or empty");
    return 0;
}

/* A cell beyond the first two. */
static int read_cell(struct csv *csv, const struct csv_field *field, int meaning,
                     struct arena *arena, struct code_table *table, struct err *err)
{
    struct code_row *row = &table->rows[table->row_count - 1];
    if (meaning == 0 || field->text[0] == '\0')
        return 0;
    if (meaning == COLUMN_PREFERRED)
        return read_preferred(csv, field, row, err);
    if (meaning == COLUMN_SUCCESSOR) {
        struct pending *pending = arena_alloc(arena, sizeof *pending);
        *pending = (struct pending){ .row = table->row_count - 1,
                                     .text = arena_strdup(arena, field->text),
                                     .place = field->place };
        *csv->last = pending;
        csv->last = &pending->next;
        return 0;
    }
    bool until = meaning == COLUMN_UNTIL;
    if (!code_table_day(field->text, until, until ? &row->valid_until : &row->valid_from))
        return csv_error(csv, &field->place, err,
                         "a day is written 2021-03-31, or 2021 for the whole year");
    if (row->valid_from > row->valid_until)
        return csv_error(csv, &field->place, err, "this code ends before it begins");
    return 0;
}

static int read_row(struct csv *csv, struct csv_field *field, struct arena *arena,
                    struct code_table *table, struct err *err)
{
    char native[CODE_TABLE_TEXT_BYTES_MAX];
    if (read_field(csv, field, err) != 0)
        return -1;
    if (field->last && field->text[0] == '\0')
        return 0; /* an empty line */
    struct place place = field->place;
    if (field->last)
        return csv_error(csv, &place, err, "a row needs a native and a canonical code");
    memcpy(native, field->text, strlen(field->text) + 1);
    if (read_field(csv, field, err) != 0)
        return -1;
    if (code_table_add(arena, table, native, field->text) == NULL)
        return csv_error(csv, &place, err, "this native code is given twice; remove one");
    for (size_t column = 2; !field->last; column++) {
        if (read_field(csv, field, err) != 0)
            return -1;
        int meaning = column < csv->column_count ? csv->meanings[column] : 0;
        if (read_cell(csv, field, meaning, arena, table, err) != 0)
            return -1;
    }
    return 0;
}

/* --- the whole table ----------------------------------------------------------------------------
 */

static int link_successors(const struct csv *csv, const struct pending *pending,
                           struct code_table *table, struct err *err)
{
    struct code_row *row = &table->rows[pending->row];
    const char *at = pending->text;
    size_t count = 0;
    if (row->valid_until == CODE_DAY_LAST)
        row->valid_until = CODE_DAY_FIRST; /* no date of its end: it has ended on every day */
    for (;;) {
        size_t len = strcspn(at, "|");
        size_t number = (size_t)(uintptr_t)strmap_get_n(&table->by_native, at, len);
        if (number == 0 || ++count > CODE_TABLE_SUCCESSORS_MAX)
            return csv_error(csv, &pending->place, err,
                             number == 0 ? "a successor must be a native code of this table"
                                         : "a code has more than 64 successors");
        row->successor = (uint32_t)number;
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    row->split = count > 1;
    if (row->split)
        row->successor = 0;
    return 0;
}

static int check_chain(const struct csv *csv, const struct pending *pending,
                       const struct code_table *table, struct err *err)
{
    const struct code_row *row = &table->rows[pending->row];
    for (int steps = 0; row->successor != 0; steps++) {
        if (steps == CODE_TABLE_CHAIN_MAX)
            return csv_error(csv, &pending->place, err,
                             "the successors of this code run in a circle, or through more than "
                             "64 codes");
        row = &table->rows[row->successor - 1];
    }
    return 0;
}

static int check_table(const struct csv *csv, struct code_table *table, struct err *err)
{
    for (const struct pending *p = csv->first; p != NULL; p = p->next)
        if (link_successors(csv, p, table, err) != 0)
            return -1;
    for (const struct pending *p = csv->first; p != NULL; p = p->next)
        if (check_chain(csv, p, table, err) != 0)
            return -1;
    code_table_seal(table);
    return 0;
}

static int check_text(struct csv *csv, struct err *err)
{
    size_t bad = utf8_check(csv->text, csv->len);
    const char *nul = memchr(csv->text, '\0', bad);
    if (nul != NULL)
        bad = (size_t)(nul - csv->text);
    if (bad == csv->len)
        return 0;
    while (csv->at < bad)
        pass_byte(csv);
    struct place place = here(csv);
    return csv_error(csv, &place, err, "the file is not UTF-8 text here; save it as UTF-8");
}

struct code_table *code_table_parse(struct arena *arena, const char *file, const char *name,
                                    const char *text, size_t len, struct err *err)
{
    struct csv csv = { .file = file, .text = text, .len = len, .line = 1 };
    csv.last = &csv.first;
    if (check_text(&csv, err) != 0)
        return NULL;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        csv.at = csv.line_start = 3; /* spreadsheets write a byte order mark */
    struct code_table *table = code_table_new(arena, name);
    struct csv_field field;
    int result = read_header(&csv, &field, err);
    while (result == 0 && csv.at < csv.len) {
        struct place place = here(&csv);
        if (table->row_count == CODE_TABLE_ROWS_MAX)
            result = csv_error(&csv, &place, err, "the table has too many rows");
        else
            result = read_row(&csv, &field, arena, table, err);
    }
    if (result == 0)
        result = check_table(&csv, table, err);
    if (result != 0) {
        code_table_fini(table);
        return NULL;
    }
    return table;
}
