/* What a plan reads from: child tables, one row of each key where a key has several; and the probe
 * that asks whether it is all still there. */
#include <string.h>

#include "schema/plan_sql.h"

/* Orders rows that are equal in all that was asked for, the same way everywhere: by bytes. Types that
 * PostgreSQL does not order are ordered by their text. */
static void order_key(struct plan_sql *sql, const char *qualifier,
                      const struct mapping_column *column)
{
    bool text = column->type == COLUMN_TEXT || column->type == COLUMN_CHAR;
    bool cast =
        column->type == COLUMN_JSON || column->type == COLUMN_JSONB || column->type == COLUMN_ARRAY;
    plan_sql_add(sql, ", %s%s%s%s", qualifier, column->quoted, cast ? "::text" : "",
                 text || cast ? " COLLATE \"C\"" : "");
}

void plan_sql_child(struct plan_sql *sql, const struct schema_mapping *mapping,
                    const struct mapping_child *child)
{
    plan_sql_text(sql, "ARRAY(SELECT ROW(");
    for (size_t i = 0; i < child->column_count; i++)
        plan_sql_add(sql, "%s\"child\".%s", i > 0 ? ", " : "", child->columns[i].quoted);
    plan_sql_add(sql, ") FROM %s AS \"child\"", child->table_quoted);
    for (size_t i = 0; i < child->join_count; i++)
        plan_sql_add(sql, "%s\"child\".%s = \"source\".%s", i == 0 ? " WHERE " : " AND ",
                     child->join_quoted[i], mapping->columns[child->join[i]].quoted);
    for (size_t i = 0; i < child->order_count; i++)
        plan_sql_add(sql, "%s\"child\".%s", i == 0 ? " ORDER BY " : ", ", child->order_quoted[i]);
    for (size_t i = 0; i < child->column_count; i++)
        order_key(sql, "\"child\".", &child->columns[i]);
    /* One more than may be: then it shows. */
    plan_sql_add(sql, " LIMIT %lu)", (unsigned long)child->rows_max + 1);
}

static void partition(struct plan_sql *sql, const struct schema_mapping *mapping)
{
    for (size_t i = 0; i < mapping->order_count; i++)
        plan_sql_add(sql, "%s%s", i > 0 ? ", " : "PARTITION BY ",
                     mapping->columns[mapping->order[i]].quoted);
}

/* The record first. Every mapped column breaks ties, granted or not: who asks does not decide. */
static void precedence(struct plan_sql *sql, const struct schema_mapping *mapping)
{
    plan_sql_add(sql, " ORDER BY %s %s NULLS LAST",
                 mapping->columns[mapping->duplicates_column].quoted,
                 mapping->duplicates == DUPLICATES_FIRST ? "ASC" : "DESC");
    for (size_t i = 0; i < mapping->column_count; i++)
        order_key(sql, "", &mapping->columns[i]);
}

/* Rows without a key are no duplicates of each other: each is quarantined for that. */
static void rank(struct plan_sql *sql, const struct schema_mapping *mapping)
{
    bool reject = mapping->duplicates == DUPLICATES_REJECT;
    plan_sql_text(sql, ", CASE WHEN ");
    for (size_t i = 0; i < mapping->order_count; i++)
        plan_sql_add(sql, "%s%s IS NULL", i > 0 ? " OR " : "",
                     mapping->columns[mapping->order[i]].quoted);
    plan_sql_text(sql, reject ? " THEN 1::int8 ELSE count(*) OVER ("
                              : " THEN 1::int8 ELSE row_number() OVER (");
    partition(sql, mapping);
    if (!reject)
        precedence(sql, mapping);
    plan_sql_text(sql, ") END AS " PLAN_RANK_COLUMN);
}

void plan_sql_ranked(struct plan_sql *sql, const struct schema_mapping *mapping,
                     enum plan_rank which, plan_where_fn where, void *arg)
{
    bool reject = mapping->duplicates == DUPLICATES_REJECT;
    plan_sql_text(sql, "(SELECT ");
    for (size_t i = 0; i < mapping->column_count; i++)
        plan_sql_add(sql, "%s%s", i > 0 ? ", " : "", mapping->columns[i].quoted);
    if (which == RANK_LOOKUP)
        plan_sql_text(sql, reject ? ", count(*) OVER () AS " PLAN_RANK_COLUMN
                                  : ", 1::int8 AS " PLAN_RANK_COLUMN);
    else
        rank(sql, mapping);
    if (which == RANK_BATCH) {
        plan_sql_text(sql, ", row_number() OVER (");
        partition(sql, mapping);
        if (!reject)
            precedence(sql, mapping);
        plan_sql_text(sql, ") AS " PLAN_ROW_COLUMN);
    }
    plan_sql_add(sql, " FROM %s", mapping->from_sql);
    if (where != NULL)
        where(arg, sql);
    if (which == RANK_LOOKUP) {
        if (!reject)
            precedence(sql, mapping);
        plan_sql_text(sql, " LIMIT 1");
    }
    plan_sql_text(sql, ") AS \"source\"");
}

/* --- the probe ---------------------------------------------------------------------------------- */

/* What only describes; nothing of it is ever run, since the probe reads no row. */
static void kind_sql(struct plan_sql *sql, const struct mapping_column *column,
                     const char *expression)
{
    bool array = column->type == COLUMN_ARRAY;
    bool enumeration = column->type == COLUMN_ENUM || (array && column->element == COLUMN_ENUM);
    if (!array && !enumeration)
        return;
    /* COALESCE smashes a domain to its base type; enum_range takes no domain. */
    plan_sql_add(sql, ", %s%s%s%s%s", enumeration ? "enum_range(COALESCE(" : "",
                 array ? "(array_append(" : "", expression, array ? ", NULL))[1]" : "",
                 enumeration ? ", NULL))" : "");
}

static void child_sql(struct plan_sql *sql, const struct schema_mapping *mapping,
                      const struct mapping_child *child)
{
    plan_sql_text(sql, ", ");
    plan_sql_child(sql, mapping, child);
    for (size_t i = 0; i < child->column_count; i++) {
        const char *one =
            arena_format(sql->arena, "(SELECT \"child\".%s FROM %s AS \"child\" LIMIT 1)",
                         child->columns[i].quoted, child->table_quoted);
        plan_sql_add(sql, ", %s", one);
        kind_sql(sql, &child->columns[i], one);
    }
}

const char *plan_probe_sql(const struct schema_mapping *mapping, struct arena *arena)
{
    struct plan_sql sql;
    struct db_sql text = { .text = NULL };
    plan_sql_init(&sql, arena);
    plan_sql_text(&sql, "SELECT ");
    for (size_t i = 0; i < mapping->column_count; i++) {
        plan_sql_add(&sql, "%s%s", i > 0 ? ", " : "", mapping->columns[i].quoted);
        kind_sql(&sql, &mapping->columns[i], mapping->columns[i].quoted);
    }
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].child != NULL)
            child_sql(&sql, mapping, mapping->leaves[i].child);
    plan_sql_add(&sql, " FROM %s LIMIT 0", mapping->from_sql);
    return plan_sql_finish(&sql, &text, NULL) == 0 ? text.text : NULL;
}
