#include "schema/drift.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "schema/plan_sql.h"

enum {
    CATALOGUE_FIELDS = 8, /* columns of the statement's result */
    TEXT_BYTES_MAX = 65536,
    NOTICES_MAX = 2 * CATALOGUE_COLUMNS_MAX,
};

struct catalogue_column {
    const char *table;
    const char *name;
    int32_t number;   /* keeps its column through a rename */
    const char *type; /* as SQL writes it, "character varying(20)" */
    uint32_t oid;     /* of the type, a domain's base */
    uint32_t element; /* of an array's element, a domain's base; 0: no array */
    bool not_null;
    bool enumeration;   /* the type, or the element */
    const char *labels; /* of an enumeration, joined by a comma and a blank */
};

struct schema_catalogue {
    struct arena arena;
    struct catalogue_column *columns;
    size_t count;
};

const char *schema_drift_kind_name(enum schema_drift_kind kind)
{
    static const char *const names[] = {
        [DRIFT_TABLE_MISSING] = "table_missing",   [DRIFT_COLUMN_MISSING] = "column_missing",
        [DRIFT_COLUMN_RENAMED] = "column_renamed", [DRIFT_COLUMN_ADDED] = "column_added",
        [DRIFT_TYPE_CHANGED] = "type_changed",     [DRIFT_NOW_NULLABLE] = "now_nullable",
        [DRIFT_NOW_NOT_NULL] = "now_not_null",     [DRIFT_LABELS_CHANGED] = "labels_changed",
    };
    return names[kind];
}

/* --- the statement ------------------------------------------------------------------------------ */

/* $1: tables as "schema"."table". A base type is what stands below all domains. */
static const char catalogue_sql[] =
    "SELECT w.name, a.attname::text, a.attnum::int4, "
    "pg_catalog.format_type(a.atttypid, a.atttypmod), t.oid::int8, "
    "COALESCE(e.oid, 0)::int8, a.attnotnull OR d.domain_not_null, "
    "(SELECT pg_catalog.string_agg(l.enumlabel::text, ', ' ORDER BY l.enumsortorder) "
    "FROM pg_catalog.pg_enum AS l WHERE l.enumtypid IN (t.oid, e.oid)) "
    "FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS w(name, n) "
    "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = pg_catalog.to_regclass(w.name) "
    "AND a.attnum > 0 AND NOT a.attisdropped "
    "CROSS JOIN LATERAL (WITH RECURSIVE b AS (SELECT y.oid, y.typbasetype, y.typnotnull "
    "FROM pg_catalog.pg_type AS y WHERE y.oid = a.atttypid UNION ALL "
    "SELECT y.oid, y.typbasetype, y.typnotnull FROM b JOIN pg_catalog.pg_type AS y "
    "ON y.oid = b.typbasetype) SELECT pg_catalog.max(b.oid) FILTER (WHERE b.typbasetype = 0) "
    "AS base, pg_catalog.bool_or(b.typnotnull) AS domain_not_null FROM b) AS d "
    "JOIN pg_catalog.pg_type AS t ON t.oid = d.base "
    "LEFT JOIN LATERAL (WITH RECURSIVE b AS (SELECT y.oid, y.typbasetype "
    "FROM pg_catalog.pg_type AS y WHERE y.oid = t.typelem AND t.typcategory = 'A' UNION ALL "
    "SELECT y.oid, y.typbasetype FROM b JOIN pg_catalog.pg_type AS y ON y.oid = b.typbasetype) "
    "SELECT b.oid FROM b WHERE b.typbasetype = 0) AS e ON true "
    "ORDER BY w.n, a.attnum";

const struct db_sql *schema_catalogue_sql(const struct schema_dataset *dataset, struct arena *arena)
{
    const struct schema_mapping *mapping = dataset->mapping;
    const char **tables = arena_array(arena, mapping->leaf_count + 1, sizeof *tables);
    size_t count = 0;
    if (mapping->table_quoted != NULL)
        tables[count++] = mapping->table_quoted;
    for (size_t i = 0; i < mapping->leaf_count; i++) {
        const struct mapping_child *child = mapping->leaves[i].child;
        bool seen = child == NULL;
        for (size_t j = 0; !seen && j < count; j++)
            seen = strcmp(tables[j], child->table_quoted) == 0;
        if (!seen)
            tables[count++] = child->table_quoted;
    }
    if (count == 0)
        return NULL;
    struct plan_sql list;
    struct db_sql *sql = arena_alloc(arena, sizeof *sql);
    plan_sql_init(&list, arena);
    plan_sql_array(&list, tables, count);
    if (plan_sql_finish(&list, sql, NULL) != 0)
        return NULL;
    sql->text = catalogue_sql;
    return sql;
}

/* --- reading ------------------------------------------------------------------------------------ */

static const char *text_of(struct schema_catalogue *catalogue, struct db_value value)
{
    if (value.data == NULL || value.len > TEXT_BYTES_MAX || !utf8_valid(value.data, value.len))
        return NULL;
    return arena_strndup(&catalogue->arena, (const char *)value.data, value.len);
}

static bool read_column(struct schema_catalogue *catalogue, const struct db_rows *rows, int row,
                        struct catalogue_column *column_r)
{
    struct db_value labels = db_value(rows, row, 7);
    *column_r = (struct catalogue_column){
        .table = text_of(catalogue, db_value(rows, row, 0)),
        .name = text_of(catalogue, db_value(rows, row, 1)),
        .number = db_int4(db_value(rows, row, 2)),
        .type = text_of(catalogue, db_value(rows, row, 3)),
        .oid = (uint32_t)db_int8(db_value(rows, row, 4)),
        .element = (uint32_t)db_int8(db_value(rows, row, 5)),
        .not_null = db_bool(db_value(rows, row, 6)),
        .enumeration = labels.data != NULL,
        .labels = labels.data == NULL ? "" : text_of(catalogue, labels),
    };
    return column_r->table != NULL && column_r->name != NULL && column_r->type != NULL &&
           column_r->labels != NULL && column_r->number > 0 && column_r->oid != 0;
}

struct schema_catalogue *schema_catalogue_read(const struct db_rows *rows, struct err *err)
{
    int count = db_row_count(rows);
    if (count > CATALOGUE_COLUMNS_MAX) {
        err_set(err, ERR_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                "The tables of the dataset have more than %d columns; map a view instead.",
                CATALOGUE_COLUMNS_MAX);
        return NULL;
    }
    struct schema_catalogue *catalogue = mem_zero(sizeof *catalogue);
    arena_init(&catalogue->arena);
    catalogue->columns =
        arena_array(&catalogue->arena, (size_t)count + 1, sizeof *catalogue->columns);
    bool fine = count == 0 || db_column_count(rows) == CATALOGUE_FIELDS;
    for (int i = 0; fine && i < count; i++)
        fine = read_column(catalogue, rows, i, &catalogue->columns[catalogue->count++]);
    if (fine)
        return catalogue;
    schema_catalogue_free(&catalogue);
    err_set(err, ERR_DATA_LOSS, "SOURCE_MALFORMED",
            "The owner's database answered about its tables in a form the gateway does not "
            "understand.");
    return NULL;
}

void schema_catalogue_free(struct schema_catalogue **catalogue)
{
    if (catalogue == NULL || *catalogue == NULL)
        return;
    arena_fini(&(*catalogue)->arena);
    free(*catalogue);
    *catalogue = NULL;
}

/* --- notices ------------------------------------------------------------------------------------ */

struct collector {
    struct arena *arena;
    struct schema_drift *drift;
    size_t cap;
};

static void collect(struct collector *collector, struct schema_notice notice)
{
    struct schema_drift *drift = collector->drift;
    if (drift->count == collector->cap) {
        size_t cap = collector->cap == 0 ? 8 : 2 * collector->cap;
        struct schema_notice *list = arena_array(collector->arena, cap, sizeof *list);
        if (drift->count > 0)
            memcpy(list, drift->notices, drift->count * sizeof *list);
        drift->notices = list;
        collector->cap = cap;
    }
    notice.table = arena_strdup(collector->arena, notice.table);
    notice.column = arena_strdup(collector->arena, notice.column);
    notice.expected = arena_strdup(collector->arena, notice.expected);
    notice.found = arena_strdup(collector->arena, notice.found);
    drift->compatible = drift->compatible && notice.compatible;
    if (drift->count < NOTICES_MAX)
        drift->notices[drift->count++] = notice;
}

static const struct catalogue_column *find_name(const struct schema_catalogue *catalogue,
                                                const char *table, const char *name)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (strcmp(catalogue->columns[i].table, table) == 0 &&
            (name == NULL || strcmp(catalogue->columns[i].name, name) == 0))
            return &catalogue->columns[i];
    return NULL;
}

static const struct catalogue_column *find_number(const struct schema_catalogue *catalogue,
                                                  const char *table, int32_t number)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (catalogue->columns[i].number == number &&
            strcmp(catalogue->columns[i].table, table) == 0)
            return &catalogue->columns[i];
    return NULL;
}

/* As schema_dataset_check_probe sees it. */
static bool fits(const struct mapping_column *wanted, const struct catalogue_column *found)
{
    if (wanted->type == COLUMN_ENUM)
        return found->enumeration && found->element == 0;
    if (wanted->type != COLUMN_ARRAY)
        return column_type_accepts(wanted->type, found->oid) && found->element == 0;
    return wanted->element == COLUMN_ENUM ? found->enumeration && found->element != 0
                                          : column_type_accepts(wanted->element, found->element);
}

static void check_column(struct collector *collector, const char *table,
                         const struct mapping_column *wanted, bool required,
                         const struct schema_catalogue *catalogue)
{
    const struct catalogue_column *found = find_name(catalogue, table, wanted->name);
    struct schema_notice notice = { .table = table,
                                    .column = wanted->name,
                                    .expected = column_full_type(wanted, collector->arena),
                                    .found = found == NULL ? "" : found->type };
    if (found == NULL || !fits(wanted, found)) {
        notice.kind = found == NULL ? DRIFT_COLUMN_MISSING : DRIFT_TYPE_CHANGED;
        collect(collector, notice);
    } else if (required && !found->not_null) {
        notice.kind = DRIFT_NOW_NULLABLE;
        notice.expected = "not null";
        notice.found = "nullable";
        notice.compatible = true; /* a row without the value is quarantined */
        collect(collector, notice);
    }
}

static bool is_required(const struct mapping_leaf *leaves, size_t count, size_t column)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; leaves[i].required && !leaves[i].coalesce && leaves[i].taken == NULL &&
                           j < leaves[i].part_count;
             j++)
            if (leaves[i].parts[j].column == column)
                return true;
    return false;
}

static void check_table(struct collector *collector, const char *table,
                        const struct mapping_column *columns, size_t column_count,
                        const struct mapping_leaf *leaves, size_t leaf_count,
                        const struct schema_catalogue *catalogue)
{
    if (find_name(catalogue, table, NULL) == NULL) {
        collect(collector, (struct schema_notice){ .kind = DRIFT_TABLE_MISSING,
                                                   .table = table,
                                                   .column = "",
                                                   .expected = "a table or view",
                                                   .found = "" });
        return;
    }
    for (size_t i = 0; i < column_count; i++)
        check_column(collector, table, &columns[i], is_required(leaves, leaf_count, i), catalogue);
}

void schema_catalogue_check(const struct schema_dataset *dataset,
                            const struct schema_catalogue *catalogue, struct arena *arena,
                            struct schema_drift *drift_r)
{
    const struct schema_mapping *mapping = dataset->mapping;
    struct collector collector = { .arena = arena, .drift = drift_r };
    *drift_r = (struct schema_drift){ .compatible = true };
    if (mapping->table_quoted != NULL)
        check_table(&collector, mapping->table_quoted, mapping->columns, mapping->column_count,
                    mapping->leaves, mapping->leaf_count, catalogue);
    for (size_t i = 0; i < mapping->leaf_count; i++) {
        const struct mapping_child *child = mapping->leaves[i].child;
        if (child != NULL)
            check_table(&collector, child->table_quoted, child->columns, child->column_count,
                        child->leaves, child->leaf_count, catalogue);
    }
}

/* --- two states --------------------------------------------------------------------------------- */

/* The mapping's column of this table and name; NULL: it is not read. Columns of joins and orders that
 * no field reads count as read when they go: *named_r. */
static const struct mapping_column *mapped(const struct schema_mapping *mapping, const char *table,
                                           const char *name, struct arena *arena, bool *named_r)
{
    const char *quoted = mapping_quote(arena, name, '"');
    *named_r = false;
    if (mapping->table_quoted != NULL && strcmp(mapping->table_quoted, table) == 0)
        for (size_t i = 0; i < mapping->column_count; i++)
            if (strcmp(mapping->columns[i].name, name) == 0) {
                *named_r = true;
                return &mapping->columns[i];
            }
    const struct mapping_column *found = NULL;
    for (size_t i = 0; i < mapping->leaf_count; i++) {
        const struct mapping_child *child = mapping->leaves[i].child;
        if (child == NULL || strcmp(child->table_quoted, table) != 0)
            continue;
        for (size_t j = 0; j < child->column_count; j++)
            if (strcmp(child->columns[j].name, name) == 0)
                found = &child->columns[j];
        for (size_t j = 0; j < child->join_count; j++)
            *named_r = *named_r || strcmp(child->join_quoted[j], quoted) == 0;
        for (size_t j = 0; j < child->order_count; j++)
            *named_r = *named_r || strcmp(child->order_quoted[j], quoted) == 0;
    }
    *named_r = *named_r || found != NULL;
    return found;
}

static void compare_column(struct collector *collector, const struct schema_mapping *mapping,
                           const struct catalogue_column *old, const struct schema_catalogue *after)
{
    bool named = false;
    const struct mapping_column *wanted =
        mapped(mapping, old->table, old->name, collector->arena, &named);
    const struct catalogue_column *now = find_name(after, old->table, old->name);
    struct schema_notice notice = { .table = old->table,
                                    .column = old->name,
                                    .expected = old->type,
                                    .found = "",
                                    .compatible = !named };
    if (now == NULL) {
        const struct catalogue_column *renamed = find_number(after, old->table, old->number);
        notice.kind = renamed != NULL ? DRIFT_COLUMN_RENAMED : DRIFT_COLUMN_MISSING;
        notice.expected = renamed != NULL ? old->name : old->type;
        notice.found = renamed != NULL ? renamed->name : "";
        collect(collector, notice);
        return;
    }
    notice.found = now->type;
    notice.compatible = wanted == NULL || fits(wanted, now);
    notice.kind = DRIFT_TYPE_CHANGED;
    if (strcmp(old->type, now->type) != 0 || old->oid != now->oid)
        collect(collector, notice);
    notice.compatible = true;
    notice.kind = now->not_null ? DRIFT_NOW_NOT_NULL : DRIFT_NOW_NULLABLE;
    notice.expected = old->not_null ? "not null" : "nullable";
    notice.found = now->not_null ? "not null" : "nullable";
    if (old->not_null != now->not_null)
        collect(collector, notice);
    notice.kind = DRIFT_LABELS_CHANGED;
    notice.expected = old->labels;
    notice.found = now->labels;
    if (old->enumeration && now->enumeration && strcmp(old->labels, now->labels) != 0)
        collect(collector, notice);
}

static bool is_new(const struct schema_catalogue *before, const struct catalogue_column *now)
{
    return find_name(before, now->table, now->name) == NULL &&
           find_number(before, now->table, now->number) == NULL;
}

void schema_catalogue_compare(const struct schema_dataset *dataset,
                              const struct schema_catalogue *before,
                              const struct schema_catalogue *after, struct arena *arena,
                              struct schema_drift *drift_r)
{
    struct collector collector = { .arena = arena, .drift = drift_r };
    const char *gone = "";
    *drift_r = (struct schema_drift){ .compatible = true };
    for (size_t i = 0; i < before->count; i++) {
        const struct catalogue_column *old = &before->columns[i];
        if (find_name(after, old->table, NULL) != NULL) {
            compare_column(&collector, dataset->mapping, old, after);
        } else if (strcmp(gone, old->table) != 0) {
            gone = old->table;
            collect(&collector, (struct schema_notice){ .kind = DRIFT_TABLE_MISSING,
                                                        .table = old->table,
                                                        .column = "",
                                                        .expected = "a table or view",
                                                        .found = "" });
        }
    }
    for (size_t i = 0; i < after->count; i++)
        if (is_new(before, &after->columns[i]))
            collect(&collector, (struct schema_notice){ .kind = DRIFT_COLUMN_ADDED,
                                                        .table = after->columns[i].table,
                                                        .column = after->columns[i].name,
                                                        .expected = "",
                                                        .found = after->columns[i].type,
                                                        .compatible = true });
}
