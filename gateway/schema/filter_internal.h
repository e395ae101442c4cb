/* The typed tree of a filter and its way into SQL.
 * Ownership: nodes live in the filter's arena.
 * Never calls back.
 * Limits: FILTER_* of filter.h.
 * Private to schema/. */
#ifndef SLUICE_SCHEMA_FILTER_INTERNAL_H
#define SLUICE_SCHEMA_FILTER_INTERNAL_H

#include <stdbool.h>

#include "base/arena.h"
#include "schema/filter.h"
#include "schema/mapping.h"
#include "schema/plan_sql.h"

enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TERM };

enum filter_op {
    FILTER_EQ,
    FILTER_NE,
    FILTER_LT,
    FILTER_LE,
    FILTER_GT,
    FILTER_GE,
    FILTER_HAS,     /* contains the text or the element */
    FILTER_PRESENT, /* :* */
};

struct filter_node {
    enum filter_kind kind;
    const struct filter_node *left; /* FILTER_NOT: the only one */
    const struct filter_node *right;
    const struct mapping_leaf *leaf;
    enum filter_op op;
    const char *value; /* canonical text; NULL for FILTER_PRESENT */
};

struct schema_filter {
    struct arena arena;
    const struct schema_mapping *mapping;
    const struct filter_node *root; /* NULL: an empty filter lets everything through */
};

/* Appends a condition in parentheses; nothing when the filter is empty (answers false). */
bool filter_sql(const struct schema_filter *filter, struct plan_sql *sql);

#endif
