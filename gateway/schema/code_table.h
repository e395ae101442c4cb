/* Code tables: native text to canonical text, from a CSV file or written inside a mapping.
 * Ownership: a table and its texts live in the arena they were read into.
 * Never calls back.
 * Limits: CODE_TABLE_*_MAX; a native code twice is refused with its line.
 * Does not fold or trim: that is the chain's part before the table. */
#ifndef SLUICE_SCHEMA_CODE_TABLE_H
#define SLUICE_SCHEMA_CODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/strmap.h"

struct err;
struct normaliser_env;
struct text_list;
struct yaml_node;

enum {
    CODE_TABLE_BYTES_MAX = 16 * 1024 * 1024, /* every division of the country is 12 MiB */
    CODE_TABLE_ROWS_MAX = 1000000,
    CODE_TABLE_TEXT_BYTES_MAX = 1024,
};

struct code_row {
    const char *native;
    const char *canonical;
};

struct code_table {
    const char *name;
    struct code_row *rows;
    size_t row_count;
    size_t row_cap;
    struct strmap by_native; /* native -> struct code_row */
};

/* RFC 4180 text whose header is native,canonical and may go on with columns for people.
 * NULL with "file:line:column: sentence". The strmap is freed by code_table_fini. */
struct code_table *code_table_parse(struct arena *arena, const char *file, const char *name,
                                    const char *text, size_t len, struct err *err);
void code_table_fini(struct code_table *table);

struct code_table *code_table_new(struct arena *arena, const char *name);
/* False when the native code is there already. Texts are copied into the arena. */
bool code_table_add(struct arena *arena, struct code_table *table, const char *native,
                    const char *canonical);

const char *code_table_canonical(const struct code_table *table, const char *native, size_t len);
bool code_table_has(const struct code_table *table, const char *native, size_t len);
/* Appends every native code of a canonical text. */
void code_table_natives(const struct code_table *table, const char *canonical,
                        struct text_list *natives);
/* The table a scalar node names, or NULL with a suggestion. */
const struct code_table *code_table_named(const struct normaliser_env *env,
                                          const struct yaml_node *node, struct err *err);

#endif
