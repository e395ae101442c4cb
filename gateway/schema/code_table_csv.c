/* Code tables from CSV files (RFC 4180), with the checks that need the whole table. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "schema/code_table.h"
#include "schema/csv.h"
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

/* The successors of one row, as written: they may stand further down. */
struct pending {
    size_t row;
    const char *text;
    struct csv_place place;
    struct pending *next;
};

struct csv {
    const char *file;
    struct csv_reader reader;
    int meanings[COLUMNS_MAX]; /* COLUMN_*; 0: for people */
    size_t column_count;
    struct pending *first, **last;
};

struct csv_field {
    char text[CODE_TABLE_TEXT_BYTES_MAX];
    struct csv_place place;
    bool last; /* of its record */
};

static int csv_error(const struct csv *csv, const struct csv_place *place, struct err *err,
                     const char *sentence)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "CODE_TABLE_INVALID", "%s:%d:%d: %s", csv->file,
                   place->line, place->column, sentence);
}

/* One field with its separator or line end. */
static int read_field(struct csv *csv, struct csv_field *field, struct err *err)
{
    static const char *const complaints[] = {
        [CSV_TOO_LONG] = "a value is longer than 1023 bytes",
        [CSV_AFTER_QUOTE] = "only a comma or the line's end may follow a quoted value",
        [CSV_UNENDED] = "a quoted value does not end",
    };
    enum csv_result result =
        csv_read_field(&csv->reader, field->text, sizeof field->text, &field->place, &field->last);
    return result == CSV_FIELD ? 0 : csv_error(csv, &field->place, err, complaints[result]);
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
    struct csv_place place = field->place;
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

static int check_text(const struct csv *csv, const char *text, size_t len, struct err *err)
{
    size_t bad = utf8_check(text, len);
    const char *nul = memchr(text, '\0', bad);
    if (nul != NULL)
        bad = (size_t)(nul - text);
    if (bad == len)
        return 0;
    struct csv_place place = csv_place_of(&csv->reader, bad);
    return csv_error(csv, &place, err, "the file is not UTF-8 text here; save it as UTF-8");
}

struct code_table *code_table_parse(struct arena *arena, const char *file, const char *name,
                                    const char *text, size_t len, struct err *err)
{
    struct csv csv = { .file = file };
    csv.last = &csv.first;
    csv_start(&csv.reader, text, len);
    if (check_text(&csv, text, len, err) != 0)
        return NULL;
    struct code_table *table = code_table_new(arena, name);
    struct csv_field field;
    int result = read_header(&csv, &field, err);
    while (result == 0 && csv_more(&csv.reader)) {
        struct csv_place place = csv_here(&csv.reader);
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
