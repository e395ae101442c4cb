/* Drift: what a description says, compared with what the mapping was compiled for. A description does
 * not tell all: it names a domain's base type, but an enumeration and an array of domains by the oids of
 * one database. So the probe asks for expressions that only exist for the right kind of type: of an
 * array its element, of an enumeration enum_range. */
#include <string.h>

#include "base/err.h"
#include "schema/plan.h"
#include "schema/plan_sql.h"

enum { OID_RECORD_ARRAY = 2287 }; /* pg_type.dat */

const char *schema_dataset_probe_sql(const struct schema_dataset *dataset)
{
    return dataset->mapping->probe_sql;
}

/* --- the comparison ----------------------------------------------------------------------------- */

struct check {
    const struct schema_dataset *dataset;
    const struct db_rows *described;
    int at; /* next column of the description */
    struct err *err;
};

static const char *type_of_oid(uint32_t oid)
{
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++)
        if (type != COLUMN_ENUM && column_type_accepts((enum column_type)type, oid))
            return column_type_name((enum column_type)type);
    return "another type";
}

static int drift(const struct check *check, const struct mapping_column *column, uint32_t oid)
{
    struct arena arena;
    arena_init(&arena);
    int result =
        err_set(check->err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
                "Column \"%s\" of %s is %s (type %u), but its mapping was written for %s; the "
                "owner must update the mapping.",
                column->name, check->dataset->name, type_of_oid(oid), (unsigned)oid,
                column_full_type(column, &arena));
    arena_fini(&arena);
    return result;
}

static int check_column(struct check *check, const struct mapping_column *column)
{
    uint32_t oid = db_column_type(check->described, check->at++);
    bool array = column->type == COLUMN_ARRAY;
    if (!column_accepts(column, oid))
        return drift(check, column, oid);
    if (!array && column->type != COLUMN_ENUM)
        return 0;
    uint32_t kind = db_column_type(check->described, check->at++);
    /* enum_range has answered by being there at all. */
    bool enumeration = column->type == COLUMN_ENUM || column->element == COLUMN_ENUM;
    return enumeration || column_type_accepts(column->element, kind) ? 0
                                                                     : drift(check, column, kind);
}

static int column_total(const struct mapping_column *columns, size_t count)
{
    int total = 0;
    for (size_t i = 0; i < count; i++)
        total += columns[i].type == COLUMN_ARRAY || columns[i].type == COLUMN_ENUM ? 2 : 1;
    return total;
}

static int probe_total(const struct schema_mapping *mapping)
{
    int total = column_total(mapping->columns, mapping->column_count);
    for (size_t i = 0; i < mapping->leaf_count; i++) {
        const struct mapping_child *child = mapping->leaves[i].child;
        total += child == NULL ? 0 : 1 + column_total(child->columns, child->column_count);
    }
    return total;
}

static int check_child(struct check *check, const struct mapping_leaf *leaf)
{
    uint32_t oid = db_column_type(check->described, check->at++);
    if (oid != OID_RECORD_ARRAY)
        return err_set(check->err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
                       "The rows of %s of %s come as type %u instead of records; the owner must "
                       "update the mapping.",
                       leaf->name, check->dataset->name, (unsigned)oid);
    for (size_t i = 0; i < leaf->child->column_count; i++)
        if (check_column(check, &leaf->child->columns[i]) != 0)
            return -1;
    return 0;
}

int schema_dataset_check_probe(const struct schema_dataset *dataset,
                               const struct db_rows *described, struct err *err)
{
    const struct schema_mapping *mapping = dataset->mapping;
    struct check check = { .dataset = dataset, .described = described, .err = err };
    if (db_column_count(described) != probe_total(mapping))
        return err_set(err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
                       "The table of %s has %d of the %d mapped columns; the owner must update the "
                       "mapping.",
                       dataset->name, db_column_count(described), probe_total(mapping));
    for (size_t i = 0; i < mapping->column_count; i++)
        if (check_column(&check, &mapping->columns[i]) != 0)
            return -1;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].child != NULL && check_child(&check, &mapping->leaves[i]) != 0)
            return -1;
    return 0;
}
