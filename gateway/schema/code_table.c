#include "schema/code_table.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

struct code_table *code_table_new(struct arena *arena, const char *name)
{
    struct code_table *table = arena_alloc(arena, sizeof *table);
    table->name = arena_strdup(arena, name);
    strmap_init(&table->by_native);
    strmap_init(&table->by_canonical);
    return table;
}

void code_table_fini(struct code_table *table)
{
    strmap_fini(&table->by_native);
    strmap_fini(&table->by_canonical);
}

/* Maps hold row numbers, because rows move while the table grows. */
static size_t row_number(const struct strmap *map, const char *text, size_t len)
{
    return (size_t)(uintptr_t)strmap_get_n(map, text, len);
}

struct code_row *code_table_add(struct arena *arena, struct code_table *table, const char *native,
                                const char *canonical)
{
    if (strmap_get(&table->by_native, native) != NULL)
        return NULL;
    if (table->row_count == table->row_cap) {
        size_t cap = table->row_cap == 0 ? 32 : table->row_cap * 2;
        struct code_row *rows = arena_array(arena, cap, sizeof *rows);
        if (table->row_count > 0)
            memcpy(rows, table->rows, table->row_count * sizeof *rows);
        table->rows = rows;
        table->row_cap = cap;
    }
    struct code_row *row = &table->rows[table->row_count++];
    *row = (struct code_row){
        .native = arena_strdup(arena, native),
        .canonical = arena_strdup(arena, canonical),
        .valid_from = CODE_DAY_FIRST,
        .valid_until = CODE_DAY_LAST,
    };
    strmap_set(&table->by_native, row->native, (void *)(uintptr_t)table->row_count);
    return row;
}

/* From the last row to the first, so that each list begins with the first; then a preferred row
 * moves to the front. */
void code_table_seal(struct code_table *table)
{
    for (size_t i = table->row_count; i > 0; i--) {
        struct code_row *row = &table->rows[i - 1];
        size_t first = row_number(&table->by_canonical, row->canonical, strlen(row->canonical));
        bool keep = first > 0 && table->rows[first - 1].preferred && !row->preferred;
        if (keep) {
            row->next = table->rows[first - 1].next;
            table->rows[first - 1].next = (uint32_t)i;
        } else {
            row->next = (uint32_t)first;
            strmap_set(&table->by_canonical, row->canonical, (void *)(uintptr_t)i);
        }
        table->versioned = table->versioned || row->valid_from != CODE_DAY_FIRST ||
                           row->valid_until != CODE_DAY_LAST;
    }
}

bool code_table_has(const struct code_table *table, const char *native, size_t len)
{
    return strmap_get_n(&table->by_native, native, len) != NULL;
}

static enum code_state resolve_row(const struct code_table *table, const struct code_view *view,
                                   const struct code_row *row, const char **canonical_r)
{
    enum code_state found = CODE_STATE_FOUND;
    /* Circles were refused when the table was read. */
    while (view->as_of > row->valid_until) {
        if (row->split)
            return view->successors ? CODE_STATE_SPLIT : CODE_STATE_RETIRED;
        if (!view->successors || row->successor == 0)
            return CODE_STATE_RETIRED;
        row = &table->rows[row->successor - 1];
        found = CODE_STATE_MAPPED;
    }
    if (view->as_of < row->valid_from)
        return CODE_STATE_EARLY;
    *canonical_r = row->canonical;
    return found;
}

enum code_state code_table_resolve(const struct code_table *table, const struct code_view *view,
                                   const char *native, size_t len, const char **canonical_r)
{
    size_t number = row_number(&table->by_native, native, len);
    if (number > 0)
        return resolve_row(table, view, &table->rows[number - 1], canonical_r);
    *canonical_r = native;
    return view->others_keep ? CODE_STATE_FOUND : CODE_STATE_UNKNOWN;
}

void code_table_natives(const struct code_table *table, const struct code_view *view,
                        const char *canonical, struct text_list *natives)
{
    size_t len = strlen(canonical);
    if (view->others_keep && !code_table_has(table, canonical, len))
        text_list_add(natives, canonical);
    if (!table->versioned) {
        for (size_t at = row_number(&table->by_canonical, canonical, len); at > 0;
             at = table->rows[at - 1].next)
            text_list_add(natives, table->rows[at - 1].native);
        return;
    }
    for (size_t i = 0; i < table->row_count; i++) {
        const char *becomes = NULL;
        enum code_state state = resolve_row(table, view, &table->rows[i], &becomes);
        if ((state == CODE_STATE_FOUND || state == CODE_STATE_MAPPED) &&
            strcmp(becomes, canonical) == 0)
            text_list_add(natives, table->rows[i].native);
    }
}

size_t code_table_natives_max(const struct code_table *table, const struct code_view *view)
{
    struct strmap counts;
    size_t most = 0;
    strmap_init(&counts);
    for (size_t i = 0; i < table->row_count; i++) {
        const char *becomes = NULL;
        enum code_state state = resolve_row(table, view, &table->rows[i], &becomes);
        if (state != CODE_STATE_FOUND && state != CODE_STATE_MAPPED)
            continue;
        size_t count = row_number(&counts, becomes, strlen(becomes)) + 1;
        strmap_set(&counts, becomes, (void *)(uintptr_t)count);
        most = count > most ? count : most;
    }
    strmap_fini(&counts);
    return most + view->others_keep;
}

const char *code_table_native(const struct code_table *table, const struct code_view *view,
                              const char *canonical, size_t len)
{
    for (size_t at = row_number(&table->by_canonical, canonical, len); at > 0;
         at = table->rows[at - 1].next) {
        const char *becomes = NULL;
        if (resolve_row(table, view, &table->rows[at - 1], &becomes) == CODE_STATE_FOUND)
            return table->rows[at - 1].native;
    }
    return view->others_keep && !code_table_has(table, canonical, len) ? canonical : NULL;
}

bool code_table_one_to_one(const struct code_table *table)
{
    return !table->versioned && table->by_canonical.count == table->row_count;
}

bool code_table_day(const char *text, bool end, int32_t *day_r)
{
    size_t len = strlen(text);
    bool dashed = len == 10 && text[4] == '-' && text[7] == '-';
    if (!(len == 4 || dashed) || !normaliser_all_digits(text, 4) ||
        (dashed && (!normaliser_all_digits(text + 5, 2) || !normaliser_all_digits(text + 8, 2))))
        return false;
    int year = 0, month = end ? 12 : 1, day = end ? 31 : 1;
    for (size_t i = 0; i < 4; i++)
        year = year * 10 + (text[i] - '0');
    if (dashed) {
        month = (text[5] - '0') * 10 + (text[6] - '0');
        day = (text[8] - '0') * 10 + (text[9] - '0');
    }
    if (!normaliser_real_date(year, month, day))
        return false;
    *day_r = (int32_t)normaliser_days_of(year, month, day);
    return true;
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
