/* A mapping: how one department's table becomes one canonical type, read from YAML and checked.
 * Ownership: everything lives in the arena of the bundle; mapping_fini frees what an arena cannot.
 * Never calls back.
 * Limits: MAPPING_*_MAX; every refusal names file, line and column.
 * Private to schema/. Does not run rows (program.h) or build statements (plan.c). */
#ifndef SLUICE_SCHEMA_MAPPING_H
#define SLUICE_SCHEMA_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "schema/bundle.h"
#include "schema/descriptor.h"
#include "schema/normaliser_internal.h"

struct err;
struct mapping_write;
struct yaml_node;

enum {
    MAPPING_COLUMNS_MAX = 1600, /* PostgreSQL's own limit */
    MAPPING_LEAVES_MAX = 1024,
    MAPPING_PARTS_MAX = 8,
    MAPPING_STEPS_MAX = 16,
    MAPPING_NULLS_MAX = 32,
    MAPPING_DEPTH_MAX = 8,             /* of a dotted canonical path */
    MAPPING_IDENTIFIER_BYTES_MAX = 63, /* NAMEDATALEN - 1: longer names would be cut */
};

enum column_type {
    COLUMN_TEXT, /* text, varchar, name: one binary form */
    COLUMN_CHAR, /* character(n): trailing blanks are padding */
    COLUMN_INT2,
    COLUMN_INT4,
    COLUMN_INT8,
    COLUMN_BOOL,
    COLUMN_FLOAT4,
    COLUMN_FLOAT8,
    COLUMN_NUMERIC,
    COLUMN_DATE,
    COLUMN_TIMESTAMP,
    COLUMN_TIMESTAMPTZ,
    COLUMN_UUID,
    COLUMN_BYTEA,
    COLUMN_JSON,
    COLUMN_JSONB,
    COLUMN_TEXT_ARRAY,
    COLUMN_TYPE_COUNT
};

struct mapping_column {
    const char *name;
    const char *quoted; /* as an SQL identifier */
    enum column_type type;
};

enum part_kind {
    PART_WHOLE,
    PART_FIXED,  /* exactly `length` characters, then `rest` */
    PART_SUBSTR, /* `length` characters from `start`; what is around is not looked at */
    PART_SPLIT,  /* item number `start` of a list with separator `rest` */
};

struct mapping_part {
    enum part_kind kind;
    size_t column;
    uint32_t start; /* from 0 */
    uint32_t length;
    const char *rest;
};

/* How a filter or a key gets from a canonical value to the owner's columns. */
enum leaf_back {
    LEAF_ONE_WAY,  /* not at all */
    LEAF_CONSTANT, /* the same in every row */
    LEAF_NATIVE,   /* one column, compared with a value of its own type */
    LEAF_FORMS,    /* fold(column) is one of a finite list of native texts */
    LEAF_PARTS,    /* fixed-width texts put together */
    LEAF_SUBSTR,   /* a fixed piece of one text column */
    LEAF_ELEMENTS, /* text[]: has-element only */
};

struct mapping_leaf {
    const struct schema_field *const *path; /* from the top-level field to `field` */
    size_t depth;
    const struct schema_field *field;
    const char *name; /* dotted */
    const struct mapping_part *parts;
    size_t part_count; /* 0: constant */
    const char *separator;
    const struct normaliser_step *steps;
    size_t step_count;
    const char *constant; /* text, or NULL */
    const char *fallback; /* text of the default, or NULL */
    const char *const *nulls;
    size_t null_count;
    bool required;
    int32_t utc_offset_s; /* of a timestamp without time zone */
    enum leaf_back back;
    bool ordered; /* canonical order is the column's order, under COLLATE "C" for text */
};

struct schema_mapping {
    struct schema_dataset dataset;
    const char *table_quoted; /* "schema"."table" of a table or view; NULL for a query */
    const char *source_sql;   /* that, or the query in brackets: not readable without an alias */
    const char *from_sql;     /* what follows FROM */
    struct mapping_column *columns;
    size_t column_count;
    struct mapping_leaf *leaves;
    size_t leaf_count;
    const struct mapping_leaf **key; /* in key order */
    const size_t *order;             /* columns of the key, in key order, each once */
    size_t order_count;
    bool key_exact;   /* one canonical key has one native key */
    bool collation_c; /* text columns compare by bytes */
    const char *probe_sql;
    struct mapping_write *write; /* its `write:` section, or NULL (mapping_write.h) */
};

/* What a mapping is read with. */
struct mapping_context {
    struct normaliser_env env;
    const struct schema_set *types;
    const char *department;
    const char *dataset; /* name within the department */
};

/* NULL with "file:line:column: sentence". */
struct schema_mapping *mapping_read(const struct yaml_node *root,
                                    const struct mapping_context *context, struct err *err);
void mapping_fini(struct schema_mapping *mapping);

/* Reads one entry of `fields`, for the section about writing: new columns are added to `mapping`,
 * whose `types` may name theirs. */
int mapping_leaf_read(struct schema_mapping *mapping, const struct mapping_context *context,
                      const struct yaml_node *types, const struct yaml_node *key,
                      const struct yaml_node *value, struct mapping_leaf *leaf, struct err *err);
void mapping_leaf_fini(struct mapping_leaf *leaf);

/* Leaves of a top-level field; NULL when the field is not mapped or mapped below itself. */
const struct mapping_leaf *mapping_leaf_of(const struct schema_mapping *mapping,
                                           const struct schema_field *field);

/* --- reversal (mapping_back.c) ------------------------------------------------------------------
 */
/* Fills leaf->back and leaf->ordered. */
void mapping_leaf_analyse(const struct schema_mapping *mapping, struct mapping_leaf *leaf);
bool mapping_leaf_exact(const struct mapping_leaf *leaf); /* at most one native form */

/* Brings a value given by a caller into canonical form by the field's meaning, for instance an
 * 18-character number with a small x; NULL when it is none. */
const char *mapping_canonical(const struct mapping_leaf *leaf, const char *text,
                              struct arena *arena);
/* Every folded native form of a canonical text, for LEAF_FORMS; an empty list: no row can match. */
void mapping_forms(const struct mapping_leaf *leaf, const char *canonical, struct text_list *forms);
/* Stored forms that an index look-up tries, for LEAF_FORMS. */
void mapping_candidates(const struct mapping_leaf *leaf, const char *canonical,
                        struct text_list *forms);
/* One native text a part, for LEAF_PARTS. `whole`: the value must have exactly the key's width;
 * otherwise a shorter one gives shorter or empty texts, for comparisons. False: no such value. */
bool mapping_split(const struct mapping_leaf *leaf, const char *canonical, bool whole,
                   struct arena *arena, const char *texts_r[MAPPING_PARTS_MAX]);
/* Native literal of a canonical text for LEAF_NATIVE ("true" -> "t"); NULL: not of the type. */
const char *mapping_native(const struct mapping_leaf *leaf, enum column_type type,
                           const char *canonical, struct arena *arena);

/* --- columns (mapping_column.c) -----------------------------------------------------------------
 */
const char *column_type_name(enum column_type type);
/* A type's name in a mapping; -1 with a suggestion. */
int column_type_read(const struct yaml_node *node, enum column_type *type_r, struct err *err);
/* Whether a described column of this type oid is what the mapping was written for. */
bool column_type_accepts(enum column_type type, uint32_t oid);
bool column_is_text(enum column_type type);
bool column_is_integer(enum column_type type);

/* Quotes an identifier or a literal for SQL; these come from the mapping or our constants only. */
char *mapping_quote(struct arena *arena, const char *text, char quote);

#endif
