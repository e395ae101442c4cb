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

/* PostgreSQL's own types that no mapping reads, so that a refusal can name them. */
static const struct {
    uint32_t oid;
    const char *name;
} other_types[] = {
    { 18, "\"char\"" },    { 26, "oid" },        { 142, "xml" },        { 600, "point" },
    { 601, "lseg" },       { 602, "path" },      { 603, "box" },        { 604, "polygon" },
    { 628, "line" },       { 718, "circle" },    { 774, "macaddr8" },   { 790, "money" },
    { 829, "macaddr" },    { 1560, "bit" },      { 1562, "varbit" },    { 2249, "record" },
    { 3220, "pg_lsn" },    { 3614, "tsvector" }, { 3615, "tsquery" },   { 3904, "int4range" },
    { 3906, "numrange" },  { 3908, "tsrange" },  { 3910, "tstzrange" }, { 3912, "daterange" },
    { 3926, "int8range" }, { 4072, "jsonpath" },
};

static const char *type_of_oid(uint32_t oid, struct arena *arena)
{
    enum { OID_FIRST_USER = 16384 };
    for (size_t i = 0; i < sizeof other_types / sizeof other_types[0]; i++)
        if (other_types[i].oid == oid)
            return other_types[i].name;
    if (oid >= OID_FIRST_USER)
        return "a type made in this database";
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++) {
        struct mapping_column one = { .type = (enum column_type)type };
        struct mapping_column many = { .type = COLUMN_ARRAY, .element = one.type };
        if (one.type == COLUMN_ENUM || one.type == COLUMN_ARRAY)
            continue;
        if (column_accepts(&one, oid))
            return column_full_type(&one, arena);
        if (column_accepts(&many, oid))
            return column_full_type(&many, arena);
    }
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
                column->name, check->dataset->name, type_of_oid(oid, &arena), (unsigned)oid,
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
