/* The `write:` section of a mapping: what the way back to a table cannot learn from the way out.
 * Ownership: everything lives in the arena of the bundle; mapping_write_fini frees what an arena
 *   cannot.
 * Never calls back.
 * Limits: those of mapping.h; every refusal names file, line and column.
 * Private to schema/. Does not write rows (writer.h). */
#ifndef SLUICE_SCHEMA_MAPPING_WRITE_H
#define SLUICE_SCHEMA_MAPPING_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/mapping.h"

struct err;
struct yaml_node;

enum mapping_write_kind {
    WRITE_SKIP,    /* the table does not take this field */
    WRITE_CHECK,   /* compared with what other fields wrote, writes nothing itself */
    WRITE_INSTEAD, /* has columns and a chain of its own */
};

struct mapping_write_field {
    const char *name; /* dotted */
    enum mapping_write_kind kind;
    struct mapping_leaf leaf; /* WRITE_INSTEAD */
};

enum mapping_fill_kind {
    FILL_CONSTANT,
    FILL_NOW,     /* the moment the writer was made */
    FILL_BATCH,   /* a name the caller gives to one run */
    FILL_DEFAULT, /* left out: the database's own default */
};

/* A column that no field feeds. */
struct mapping_fill {
    size_t column; /* of the target */
    enum mapping_fill_kind kind;
    const char *text; /* FILL_CONSTANT */
};

struct mapping_write {
    /* Table and columns of the target: the mapping's own columns first, under the same index. Its
     * `leaves` are not used. */
    struct schema_mapping target;
    struct mapping_write_field *fields;
    size_t field_count;
    struct mapping_fill *fills;
    size_t fill_count;
};

/* Reads the section; *write_r is set also when it fails, for mapping_write_fini. */
int mapping_write_read(const struct schema_mapping *mapping, const struct yaml_node *section,
                       const struct mapping_context *context, struct mapping_write **write_r,
                       struct err *err);
void mapping_write_fini(struct mapping_write *write);

/* What the section says about a field; NULL: nothing. */
const struct mapping_write_field *mapping_write_field(const struct mapping_write *write,
                                                      const char *name);

#endif
