#include "schema/plan_sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

void plan_sql_init(struct plan_sql *sql, struct arena *arena)
{
    *sql = (struct plan_sql){ .arena = arena };
    buf_init(&sql->text, PLAN_SQL_BYTES_MAX);
}

void plan_sql_drop(struct plan_sql *sql)
{
    buf_fini(&sql->text);
}

int plan_sql_finish(struct plan_sql *sql, struct db_sql *sql_r, struct err *err)
{
    int result = 0;
    if (sql->overflow)
        result = err_set(err, ERR_INVALID_ARGUMENT, "FILTER_TOO_LARGE",
                         "The filter has too many conditions; split the request.");
    else
        *sql_r = (struct db_sql){
            .text = arena_strndup(sql->arena, (const char *)sql->text.data, sql->text.len),
            .param_count = sql->param_count,
            .params = arena_dup(sql->arena, sql->params,
                                (size_t)sql->param_count * sizeof sql->params[0]),
        };
    plan_sql_drop(sql);
    return result;
}

void plan_sql_text(struct plan_sql *sql, const char *text)
{
    if (buf_append_str(&sql->text, text) != 0)
        sql->overflow = true;
}

void plan_sql_add(struct plan_sql *sql, const char *format, ...)
{
    char small[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof small) {
        plan_sql_text(sql, small);
        return;
    }
    char *large = arena_alloc(sql->arena, (size_t)len + 1);
    va_start(args, format);
    (void)vsnprintf(large, (size_t)len + 1, format, args);
    va_end(args);
    plan_sql_text(sql, large);
}

void plan_sql_param(struct plan_sql *sql, const char *value)
{
    if (sql->param_count == DB_PARAMS_MAX) {
        sql->overflow = true;
        return;
    }
    sql->params[sql->param_count++] = value;
    plan_sql_add(sql, "$%d", sql->param_count);
}

/* {"a","b"}: every element quoted, quotes and backslashes escaped (PostgreSQL 8.15.6). */
void plan_sql_array(struct plan_sql *sql, const char *const *items, size_t count)
{
    size_t size = 3;
    for (size_t i = 0; i < count; i++)
        size += 2 * strlen(items[i]) + 3;
    char *text = arena_alloc(sql->arena, size);
    size_t len = 0;
    text[len++] = '{';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text[len++] = ',';
        text[len++] = '"';
        for (const char *p = items[i]; *p != '\0'; p++) {
            if (*p == '"' || *p == '\\')
                text[len++] = '\\';
            text[len++] = *p;
        }
        text[len++] = '"';
    }
    text[len++] = '}';
    plan_sql_param(sql, text);
}

static void open_fold(struct plan_sql *sql, const struct normaliser_fold *fold)
{
    plan_sql_text(sql, fold->from != NULL ? "translate(" : "");
    plan_sql_text(sql, fold->trim ? "btrim(" : "");
}

static void close_fold(struct plan_sql *sql, const struct normaliser_fold *fold)
{
    if (fold->trim)
        plan_sql_add(sql, ", %s)", mapping_quote(sql->arena, TEXT_BLANKS, '\''));
    if (fold->from != NULL)
        plan_sql_add(sql, ", %s, %s)", mapping_quote(sql->arena, fold->from, '\''),
                     mapping_quote(sql->arena, fold->to, '\''));
}

void plan_sql_operand(struct plan_sql *sql, const struct schema_mapping *mapping,
                      const struct mapping_leaf *leaf)
{
    plan_sql_text(sql, leaf->coalesce ? "COALESCE(" : "");
    for (size_t i = 0; i < (leaf->coalesce ? leaf->part_count : 1); i++)
        plan_sql_add(sql, "%s%s", i > 0 ? ", " : "",
                     mapping->columns[leaf->parts[i].column].quoted);
    plan_sql_text(sql, leaf->coalesce ? ")" : "");
    /* A label that the enumeration does not have is no error, just nowhere. */
    if (mapping->columns[leaf->parts[0].column].type == COLUMN_ENUM)
        plan_sql_text(sql, "::text");
}

void plan_sql_folded(struct plan_sql *sql, const struct schema_mapping *mapping,
                     const struct mapping_leaf *leaf)
{
    for (size_t i = leaf->step_count; i > 0; i--)
        if (leaf->steps[i - 1].kind->fold != NULL)
            open_fold(sql, leaf->steps[i - 1].kind->fold);
    plan_sql_operand(sql, mapping, leaf);
    for (size_t i = 0; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->fold != NULL)
            close_fold(sql, leaf->steps[i].kind->fold);
}

void plan_sql_absent(struct plan_sql *sql, const struct schema_mapping *mapping,
                     const struct mapping_leaf *leaf)
{
    plan_sql_text(sql, "(");
    for (size_t i = 0; i < leaf->part_count; i++)
        plan_sql_add(sql, "%s%s IS NULL", i > 0 ? " AND " : "",
                     mapping->columns[leaf->parts[i].column].quoted);
    if (leaf->null_count > 0) {
        plan_sql_add(sql, " OR btrim(%s::text, %s) = ANY(",
                     mapping->columns[leaf->parts[0].column].quoted,
                     mapping_quote(sql->arena, TEXT_BLANKS, '\''));
        plan_sql_array(sql, leaf->nulls, leaf->null_count);
        plan_sql_text(sql, ")");
    }
    plan_sql_text(sql, ")");
}
