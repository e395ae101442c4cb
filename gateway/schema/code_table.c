#include "schema/code_table.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

struct csv {
    const char *file;
    const char *text;
    size_t len;
    size_t at;
    int line;
};

struct csv_field {
    char text[CODE_TABLE_TEXT_BYTES_MAX];
    bool last; /* of its record */
};

static int read_field(struct csv *csv, struct csv_field *field_r, struct err *err);

struct code_table *code_table_new(struct arena *arena, const char *name)
{
    struct code_table *table = arena_alloc(arena, sizeof *table);
    table->name = arena_strdup(arena, name);
    strmap_init(&table->by_native);
    return table;
}

void code_table_fini(struct code_table *table)
{
    strmap_fini(&table->by_native);
}

bool code_table_add(struct arena *arena, struct code_table *table, const char *native,
                    const char *canonical)
{
    if (strmap_get(&table->by_native, native) != NULL)
        return false;
    if (table->row_count == table->row_cap) {
        size_t cap = table->row_cap == 0 ? 32 : table->row_cap * 2;
        struct code_row *rows = arena_array(arena, cap, sizeof *rows);
        if (table->row_count > 0)
            memcpy(rows, table->rows, table->row_count * sizeof *rows);
        table->rows = rows;
        table->row_cap = cap;
    }
    struct code_row *row = &table->rows[table->row_count++];
    row->native = arena_strdup(arena, native);
    row->canonical = arena_strdup(arena, canonical);
    strmap_set(&table->by_native, row->native, (void *)(uintptr_t)row->canonical);
    return true;
}

const char *code_table_canonical(const struct code_table *table, const char *native, size_t len)
{
    return strmap_get_n(&table->by_native, native, len);
}

bool code_table_has(const struct code_table *table, const char *native, size_t len)
{
    return strmap_get_n(&table->by_native, native, len) != NULL;
}

void code_table_natives(const struct code_table *table, const char *canonical,
                        struct text_list *natives)
{
    for (size_t i = 0; i < table->row_count; i++)
        if (strcmp(table->rows[i].canonical, canonical) == 0)
            text_list_add(natives, table->rows[i].native);
}

const struct code_table *code_table_named(const struct normaliser_env *env,
                                          const struct yaml_node *node, struct err *err)
{
    const struct code_table *table =
        yaml_kind(node) == YAML_SCALAR ? strmap_get(env->code_tables, yaml_text(node)) : NULL;
    if (table != NULL)
        return table;
    enum { NAMES_MAX = 256 };
    const char *names[NAMES_MAX], *name;
    size_t count = 0, pos = 0;
    void *unused;
    while (count < NAMES_MAX && strmap_next(env->code_tables, &pos, &name, &unused))
        names[count++] = name;
    const char *near = yaml_nearest(yaml_text(node), strlen(yaml_text(node)), names, count);
    yaml_error(node, err, "MAPPING_CODES", "there is no code table \"%.64s\"%s%s%s",
               yaml_text(node), near != NULL ? "; did you mean \"" : "",
               near != NULL ? near : "; put it into the folder codes as a .csv file",
               near != NULL ? "\"?" : "");
    return NULL;
}

/* --- CSV ---------------------------------------------------------------------------------------
 */

static int csv_error(const struct csv *csv, struct err *err, const char *sentence)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "CODE_TABLE_INVALID", "%s:%d:1: %s", csv->file,
                   csv->line, sentence);
}

static int read_header(struct csv *csv, struct csv_field *field, struct err *err)
{
    static const char *const wanted[] = { "native", "canonical" };
    for (size_t i = 0; i < 2; i++) {
        if (csv->at >= csv->len || read_field(csv, field, err) != 0 ||
            strcmp(field->text, wanted[i]) != 0 || (i == 0 && field->last))
            return csv_error(csv, err, "the first line must be native,canonical");
    }
    while (!field->last)
        if (read_field(csv, field, err) != 0)
            return -1;
    return 0;
}

static int read_row(struct csv *csv, struct csv_field *field, struct arena *arena,
                    struct code_table *table, struct err *err)
{
    int line = csv->line;
    char native[CODE_TABLE_TEXT_BYTES_MAX];
    if (read_field(csv, field, err) != 0)
        return -1;
    if (field->last && field->text[0] == '\0')
        return 0; /* an empty line */
    if (field->last) {
        csv->line = line;
        return csv_error(csv, err, "a row needs a native and a canonical code");
    }
    memcpy(native, field->text, strlen(field->text) + 1);
    if (read_field(csv, field, err) != 0)
        return -1;
    if (!code_table_add(arena, table, native, field->text)) {
        csv->line = line;
        return csv_error(csv, err, "this native code is given twice; remove one");
    }
    while (!field->last)
        if (read_field(csv, field, err) != 0)
            return -1;
    return 0;
}

struct code_table *code_table_parse(struct arena *arena, const char *file, const char *name,
                                    const char *text, size_t len, struct err *err)
{
    struct csv csv = { .file = file, .text = text, .len = len, .line = 1 };
    size_t bad = utf8_check(text, len);
    if (bad < len || memchr(text, '\0', len) != NULL) {
        for (size_t i = 0; i < bad; i++)
            csv.line += text[i] == '\n';
        csv_error(&csv, err, "the file is not UTF-8 text here; save it as UTF-8");
        return NULL;
    }
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        csv.at = 3; /* spreadsheets write a byte order mark */
    struct code_table *table = code_table_new(arena, name);
    struct csv_field field;
    int result = read_header(&csv, &field, err);
    while (result == 0 && csv.at < csv.len) {
        if (table->row_count == CODE_TABLE_ROWS_MAX)
            result = csv_error(&csv, err, "the table has too many rows");
        else
            result = read_row(&csv, &field, arena, table, err);
    }
    if (result != 0) {
        code_table_fini(table);
        return NULL;
    }
    return table;
}

/* One field with its separator or line end. */
static int read_field(struct csv *csv, struct csv_field *field_r, struct err *err)
{
    size_t len = 0;
    bool quoted = csv->at < csv->len && csv->text[csv->at] == '"';
    bool inside = quoted;
    csv->at += quoted;
    while (csv->at < csv->len) {
        char c = csv->text[csv->at];
        if (inside && c == '"') {
            csv->at++;
            if (csv->at < csv->len && csv->text[csv->at] == '"')
                csv->at++; /* a doubled quote is one */
            else {
                inside = false;
                continue;
            }
        } else if (!inside && (c == ',' || c == '\n' || c == '\r'))
            break;
        else if (quoted && !inside)
            return csv_error(csv, err, "only a comma or the line's end may follow a quoted value");
        else
            csv->at++;
        csv->line += c == '\n';
        if (len + 1 == sizeof field_r->text)
            return csv_error(csv, err, "a value is longer than 1023 bytes");
        field_r->text[len++] = c;
    }
    if (inside)
        return csv_error(csv, err, "a quoted value does not end");
    field_r->text[len] = '\0';
    field_r->last = csv->at >= csv->len || csv->text[csv->at] != ',';
    if (csv->at < csv->len && csv->text[csv->at] == '\r')
        csv->at++;
    if (csv->at < csv->len && (csv->text[csv->at] == '\n' || !field_r->last)) {
        csv->line += csv->text[csv->at] == '\n';
        csv->at++;
    }
    return 0;
}
