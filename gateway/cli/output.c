#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/messages.h"
#include "cli/text.h"

enum {
    COLUMNS_MAX = 1100,    /* the fields of one message and a little */
    COLUMN_WIDTH_MAX = 60, /* display cells that a wide value may push the others aside */
    COLUMN_GAP = 2,
};

struct output {
    FILE *file;
    enum output_format format;
    char **columns;
    size_t *widths;
    size_t column_count;
    bool columns_given;
    bool own; /* the columns are the command's, not fields of somebody's records */
    bool csv_raw;
    bool csv_header;
    bool terminal;
    bool single;  /* one object is the whole answer */
    bool started; /* header or bracket is written */
    json_t *held; /* sample rows of a table or CSV, NULL once they are out */
    struct buf line;
    char *unknown;
    int cause; /* errno of the first write that failed */
};

static const char *const format_names[] = {
    [OUTPUT_TABLE] = "table",
    [OUTPUT_JSON] = "json",
    [OUTPUT_JSONL] = "jsonl",
    [OUTPUT_CSV] = "csv",
};

bool output_format_parse(const char *name, enum output_format *format_r)
{
    for (size_t i = 0; i < sizeof format_names / sizeof format_names[0]; i++) {
        if (strcmp(name, format_names[i]) == 0) {
            *format_r = (enum output_format)i;
            return true;
        }
    }
    return false;
}

struct output *output_new(FILE *file, enum output_format format)
{
    struct output *output = mem_zero(sizeof *output);

    output->file = file;
    output->format = format;
    output->csv_header = true;
    if (format == OUTPUT_TABLE || format == OUTPUT_CSV)
        output->held = json_array();
    buf_init(&output->line, OUTPUT_ROW_BYTES_MAX);
    return output;
}

void output_free(struct output **output)
{
    struct output *o = *output;

    if (o == NULL)
        return;
    for (size_t i = 0; i < o->column_count; i++)
        free(o->columns[i]);
    free(o->columns);
    free(o->widths);
    free(o->unknown);
    json_decref(o->held);
    buf_fini(&o->line);
    free(o);
    *output = NULL;
}

static void add_column(struct output *o, const char *name)
{
    if (o->columns == NULL) {
        o->columns = mem_array(COLUMNS_MAX, sizeof *o->columns);
        o->widths = mem_array(COLUMNS_MAX, sizeof *o->widths);
    }
    if (o->column_count < COLUMNS_MAX)
        o->columns[o->column_count++] = mem_strdup(name);
}

static bool has_column(const struct output *o, const char *name)
{
    for (size_t i = 0; i < o->column_count; i++)
        if (strcmp(o->columns[i], name) == 0)
            return true;
    return false;
}

void output_set_columns(struct output *output, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has_column(output, names[i]))
            add_column(output, names[i]);
    output->columns_given = count > 0;
    output->own = true;
}

void output_set_fields(struct output *output, const char *const *names, size_t count)
{
    output_set_columns(output, names, count);
    output->own = false;
}

void output_set_csv(struct output *output, bool raw, bool header)
{
    output->csv_raw = raw;
    output->csv_header = header;
}

void output_set_terminal(struct output *output, bool terminal)
{
    output->terminal = terminal;
}

const char *output_unknown(const struct output *output)
{
    return output->unknown;
}

static int note_failure(struct output *o)
{
    if (o->cause == 0)
        o->cause = errno;
    buf_reset(&o->line);
    return -1;
}

static int write_line(struct output *o)
{
    size_t len = o->line.len;
    size_t written = len == 0 ? 0 : fwrite(o->line.data, 1, len, o->file);

    if (written == len && !ferror(o->file)) {
        buf_reset(&o->line);
        return 0;
    }
    return note_failure(o);
}

/* --- table ----------------------------------------------------------------------------------- */
static char *table_cell(const json_t *value)
{
    struct buf raw, safe;
    size_t len;

    buf_init(&raw, OUTPUT_ROW_BYTES_MAX);
    buf_init(&safe, OUTPUT_ROW_BYTES_MAX);
    (void)text_append_cell(&raw, value);
    (void)text_append_safe(&safe, (const char *)raw.data, raw.len);
    buf_fini(&raw);
    (void)buf_cstr(&safe);
    return (char *)buf_steal(&safe, &len);
}

static void append_padded(struct buf *line, const char *cell, size_t width, bool last)
{
    size_t columns = utf8_columns(cell);

    (void)buf_append_str(line, cell);
    if (last)
        return;
    for (size_t i = columns; i < width; i++)
        (void)buf_append_byte(line, ' ');
    for (int i = 0; i < COLUMN_GAP; i++)
        (void)buf_append_byte(line, ' ');
}

/* Programs read JSON and CSV by their names; a table is for people. */
static char *table_heading(const struct output *o, size_t column)
{
    return text_safe(o->own ? message_heading(o->columns[column]) : o->columns[column]);
}

static int table_header(struct output *o)
{
    for (size_t i = 0; i < o->column_count; i++) {
        char *name = table_heading(o, i);
        append_padded(&o->line, name, o->widths[i], i + 1 == o->column_count);
        free(name);
    }
    (void)buf_append_byte(&o->line, '\n');
    for (size_t i = 0; i < o->column_count; i++) {
        for (size_t n = 0; n < o->widths[i]; n++)
            (void)buf_append_byte(&o->line, '-');
        (void)buf_append_str(&o->line, i + 1 == o->column_count ? "\n" : "  ");
    }
    return write_line(o);
}

static int table_row(struct output *o, const json_t *row)
{
    for (size_t i = 0; i < o->column_count; i++) {
        char *cell = table_cell(json_object_get(row, o->columns[i]));
        append_padded(&o->line, cell, o->widths[i], i + 1 == o->column_count);
        free(cell);
    }
    (void)buf_append_byte(&o->line, '\n');
    return write_line(o);
}

static void table_measure(struct output *o)
{
    for (size_t i = 0; i < o->column_count; i++) {
        char *name = table_heading(o, i);
        o->widths[i] = utf8_columns(name);
        free(name);
        for (size_t r = 0; r < json_array_size(o->held); r++) {
            char *cell = table_cell(json_object_get(json_array_get(o->held, r), o->columns[i]));
            size_t width = utf8_columns(cell);

            if (width > COLUMN_WIDTH_MAX)
                width = COLUMN_WIDTH_MAX;
            if (width > o->widths[i])
                o->widths[i] = width;
            free(cell);
        }
    }
}

/* --- CSV (RFC 4180) -------------------------------------------------------------------------- */
/* Spreadsheets run text that begins like a formula; an apostrophe in front makes it text again. */
static bool looks_like_formula(const json_t *value)
{
    const char *text = json_string_value(value);

    return text != NULL && text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL &&
           !text_is_number(text);
}

static void csv_cell(struct output *o, const json_t *value)
{
    struct buf raw, safe;
    const struct buf *cell = &raw;

    buf_init(&raw, OUTPUT_ROW_BYTES_MAX);
    buf_init(&safe, OUTPUT_ROW_BYTES_MAX);
    if (!o->csv_raw && looks_like_formula(value))
        (void)buf_append_byte(&raw, '\'');
    (void)text_append_cell(&raw, value);
    if (o->terminal) {
        (void)text_append_safe(&safe, (const char *)raw.data, raw.len);
        cell = &safe;
    }
    bool quote = false;
    for (size_t i = 0; i < cell->len && !quote; i++)
        quote = strchr(",\"\r\n", cell->data[i]) != NULL && cell->data[i] != '\0';
    if (quote)
        (void)buf_append_byte(&o->line, '"');
    for (size_t i = 0; i < cell->len; i++) {
        if (cell->data[i] == '"')
            (void)buf_append_byte(&o->line, '"');
        (void)buf_append_byte(&o->line, cell->data[i]);
    }
    if (quote)
        (void)buf_append_byte(&o->line, '"');
    buf_fini(&raw);
    buf_fini(&safe);
}

static int csv_header(struct output *o)
{
    for (size_t i = 0; i < o->column_count; i++) {
        json_t *name = json_string(o->columns[i]);
        csv_cell(o, name);
        json_decref(name);
        (void)buf_append_str(&o->line, i + 1 == o->column_count ? "\r\n" : ",");
    }
    return write_line(o);
}

static int csv_row(struct output *o, const json_t *row)
{
    for (size_t i = 0; i < o->column_count; i++) {
        csv_cell(o, json_object_get(row, o->columns[i]));
        (void)buf_append_str(&o->line, i + 1 == o->column_count ? "\r\n" : ",");
    }
    return write_line(o);
}

/* --- held-back rows -------------------------------------------------------------------------- */
static void derive_columns(struct output *o)
{
    for (size_t r = 0; r < json_array_size(o->held); r++) {
        const char *key;
        json_t *member;

        json_object_foreach(json_array_get(o->held, r), key, member)
        {
            if (!has_column(o, key))
                add_column(o, key);
        }
    }
}

static int cells_row(struct output *o, const json_t *row)
{
    const char *key;
    json_t *member;

    json_object_foreach((json_t *)(uintptr_t)row, key, member)
    {
        if (!has_column(o, key)) {
            o->unknown = text_safe(key);
            return -1;
        }
    }
    return o->format == OUTPUT_TABLE ? table_row(o, row) : csv_row(o, row);
}

static int release_held(struct output *o)
{
    json_t *rows = o->held;
    int failed = 0;

    if (!o->columns_given)
        derive_columns(o);
    if (o->format == OUTPUT_TABLE)
        table_measure(o);
    if (o->column_count > 0 && o->format == OUTPUT_TABLE)
        failed = table_header(o);
    else if (o->column_count > 0 && o->csv_header)
        failed = csv_header(o);
    o->held = NULL;
    for (size_t i = 0; i < json_array_size(rows) && failed == 0; i++)
        failed = cells_row(o, json_array_get(rows, i));
    json_decref(rows);
    return failed;
}

/* --- public ---------------------------------------------------------------------------------- */
int output_row(struct output *output, const json_t *row)
{
    struct output *o = output;

    switch (o->format) {
    case OUTPUT_TABLE:
    case OUTPUT_CSV:
        if (o->held == NULL)
            return cells_row(o, row);
        json_array_append(o->held, (json_t *)(uintptr_t)row);
        if (json_array_size(o->held) < OUTPUT_SAMPLE_ROWS &&
            !(o->format == OUTPUT_CSV && o->columns_given))
            return 0;
        return release_held(o);
    case OUTPUT_JSON:
        if (buf_append_str(&o->line, o->started ? ",\n" : "[\n") != 0)
            return -1;
        o->started = true;
        if (text_append_json(&o->line, row, 0) != 0)
            return -1;
        return write_line(o);
    case OUTPUT_JSONL:
        if (text_append_json(&o->line, row, 0) != 0 || buf_append_byte(&o->line, '\n') != 0)
            return -1;
        return write_line(o);
    }
    return -1;
}

int output_object(struct output *output, const json_t *object)
{
    struct output *o = output;
    const char *key;
    json_t *member;
    static const char *const columns[] = { "field", "value" };

    o->single = true;
    if (o->format == OUTPUT_JSON || o->format == OUTPUT_JSONL) {
        if (text_append_json(&o->line, object, o->format == OUTPUT_JSON ? 2 : 0) != 0 ||
            buf_append_byte(&o->line, '\n') != 0)
            return -1;
        return write_line(o);
    }
    output_set_columns(o, columns, 2);
    json_object_foreach((json_t *)(uintptr_t)object, key, member)
    {
        json_t *row = json_pack("{s:s, s:O}", "field", key, "value", member);
        int failed = output_row(o, row);
        json_decref(row);
        if (failed != 0)
            return -1;
    }
    return 0;
}

int output_flush(struct output *output)
{
    int failed = json_array_size(output->held) > 0 ? release_held(output) : 0;

    return fflush(output->file) == 0 ? failed : note_failure(output);
}

int output_cause(const struct output *output)
{
    return output->cause;
}

int output_finish(struct output *output)
{
    struct output *o = output;
    int failed = 0;

    if (o->held != NULL)
        failed = release_held(o);
    if (o->format == OUTPUT_JSON && !o->single)
        failed |= fputs(o->started ? "\n]\n" : "[]\n", o->file) < 0 ? -1 : 0;
    return fflush(o->file) == 0 ? failed : note_failure(o);
}
