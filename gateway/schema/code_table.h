/* Code tables: native text to canonical text, with validity and successors; from CSV or a mapping.
 * Ownership: a table and its texts live in the arena they were read into; code_table_fini the rest.
 * Never calls back.
 * Limits: CODE_TABLE_*_MAX; a native code twice, a circle of successors are refused with their line.
 * Does not fold or trim: that is the chain's part before the table. */
#ifndef SLUICE_SCHEMA_CODE_TABLE_H
#define SLUICE_SCHEMA_CODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    CODE_TABLE_CHAIN_MAX = 64, /* successors one after another; real codes change a few times */
    CODE_TABLE_SUCCESSORS_MAX = 64, /* parts of one split code */
};

/* Days since 1970-01-01. */
#define CODE_DAY_FIRST INT32_MIN
#define CODE_DAY_LAST  INT32_MAX

struct code_row {
    const char *native;
    const char *canonical;
    int32_t valid_from;  /* first day */
    int32_t valid_until; /* last day */
    uint32_t successor;  /* row number + 1 of the only successor; 0: none */
    uint32_t next;       /* row number + 1 of the next row with this canonical text; 0: none */
    bool split;          /* several successors: only a person can say which */
    bool preferred;      /* written for its canonical text */
};

struct code_table {
    const char *name;
    struct code_row *rows;
    size_t row_count;
    size_t row_cap;
    bool versioned;             /* some row is not valid for ever */
    struct strmap by_native;    /* native -> row number + 1 */
    struct strmap by_canonical; /* canonical -> row number + 1, the preferred or first */
};

/* On which day a table is read, and what becomes of codes that have ended by then. */
struct code_view {
    int32_t as_of;    /* CODE_DAY_LAST: the newest state, where every code with an end has ended */
    bool successors;  /* an ended code becomes its successor */
    bool others_keep; /* a code the table does not list stays as it is */
};

enum code_state {
    CODE_STATE_FOUND,
    CODE_STATE_MAPPED, /* ended; the canonical text is its successor's */
    CODE_STATE_UNKNOWN,
    CODE_STATE_RETIRED,
    CODE_STATE_SPLIT,
    CODE_STATE_EARLY, /* not valid yet */
};

/* RFC 4180 text whose header begins with native,canonical. Further columns named valid_from,
 * valid_until, successor and preferred are read; others are for people. NULL with
 * "file:line:column: sentence". The strmaps are freed by code_table_fini. */
struct code_table *code_table_parse(struct arena *arena, const char *file, const char *name,
                                    const char *text, size_t len, struct err *err);
void code_table_fini(struct code_table *table);

struct code_table *code_table_new(struct arena *arena, const char *name);
/* NULL when the native code is there already. Texts are copied into the arena; the row is valid for
 * ever. The pointer holds until the next row. */
struct code_row *code_table_add(struct arena *arena, struct code_table *table, const char *native,
                                const char *canonical);
/* After the last row: makes the way back. */
void code_table_seal(struct code_table *table);

bool code_table_has(const struct code_table *table, const char *native, size_t len);
/* *canonical_r is set for FOUND and MAPPED; it may be `native` itself (others_keep). */
enum code_state code_table_resolve(const struct code_table *table, const struct code_view *view,
                                   const char *native, size_t len, const char **canonical_r);
/* Appends every native code that resolves to a canonical text. */
void code_table_natives(const struct code_table *table, const struct code_view *view,
                        const char *canonical, struct text_list *natives);
/* The most native codes one canonical text has. */
size_t code_table_natives_max(const struct code_table *table, const struct code_view *view);
/* The native code to write: the preferred one, or the first, among those valid on the view's day.
 * NULL: none. */
const char *code_table_native(const struct code_table *table, const struct code_view *view,
                              const char *canonical, size_t len);
/* Every canonical text has exactly one native code. */
bool code_table_one_to_one(const struct code_table *table);
/* A day written YYYY-MM-DD, or YYYY: its first day, or its last with `end`. False: neither. */
bool code_table_day(const char *text, bool end, int32_t *day_r);
/* The table a scalar node names, or NULL with a suggestion. */
const struct code_table *code_table_named(const struct normaliser_env *env,
                                          const struct yaml_node *node, struct err *err);

#endif
