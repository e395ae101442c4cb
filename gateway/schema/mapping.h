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
    COLUMN_TIME,
    COLUMN_TIMETZ,
    COLUMN_INTERVAL,
    COLUMN_INET,
    COLUMN_CIDR,
    COLUMN_ENUM,  /* of one database: its oid is not known before */
    COLUMN_ARRAY, /* of `element` */
    COLUMN_TYPE_COUNT
};

struct mapping_column {
    const char *name;
    const char *quoted; /* as an SQL identifier */
    enum column_type type;
    enum column_type element; /* COLUMN_ARRAY */
    const char *type_name;    /* "text[]" */
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
    LEAF_ELEMENTS, /* an array: has-element only */
};

/* What a citizen number says about its bearer, in canonical form. */
enum leaf_take { TAKE_BIRTH_DATE, TAKE_SEX, TAKE_DIVISION };

struct mapping_child;

/* Exactly one of these is where a leaf comes from: parts, constant, child; or `taken`, alone or with
 * parts. */
struct mapping_leaf {
    const struct schema_field *const *path; /* from the top-level field to `field` */
    size_t depth;
    const struct schema_field *field;
    const char *name; /* dotted */
    const struct mapping_part *parts;
    size_t part_count;
    const char *separator;
    bool coalesce; /* the first part that has a value, instead of all of them joined */
    const struct normaliser_step *steps;
    size_t step_count;
    const char *constant; /* text, or NULL */
    const char *fallback; /* text of the default, or NULL */
    const char *const *nulls;
    size_t null_count;
    bool required;
    bool absent_on_error;              /* a bad value is left out with a warning */
    const struct mapping_child *child; /* rows of another table, or NULL */
    const struct mapping_leaf *taken;  /* the field the value is taken from, or NULL */
    enum leaf_take take;
    bool field_decides;   /* where `taken` and the parts disagree */
    int32_t utc_offset_s; /* of a timestamp without time zone */
    enum leaf_back back;
    bool ordered; /* canonical order is the column's order, under COLLATE "C" for text */
};

/* A repeated field read from another table: one element a row. */
struct mapping_child {
    const char *schema;
    const char *table;
    const char *table_quoted;       /* "schema"."table" */
    const char *const *join_names;  /* child columns, compared with `join` */
    const char *const *join_quoted; /* the same as SQL has them */
    const size_t *join;             /* columns of the parent */
    size_t join_count;
    const char *const *order_names;
    const char *const *order_quoted;
    size_t order_count;
    uint32_t rows_max;
    struct mapping_column *columns;
    size_t column_count;
    bool scalar;                 /* one leaf, the repeated field itself */
    struct mapping_leaf *leaves; /* else their paths begin in the element's message */
    size_t leaf_count;
};

enum duplicates_keep { DUPLICATES_ERROR, DUPLICATES_REJECT, DUPLICATES_FIRST, DUPLICATES_LAST };

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
    enum duplicates_keep duplicates;
    size_t duplicates_column;     /* FIRST, LAST: what decides */
    const char *const *escalated; /* codes of warnings that reject, sorted as written */
    size_t escalated_count;
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
/* A type's name in a mapping, into `type` and `element`; -1 with a suggestion. */
int column_type_read(const struct yaml_node *node, struct mapping_column *column, struct err *err);
/* "text[]", in the arena for an array. */
const char *column_full_type(const struct mapping_column *column, struct arena *arena);
/* Whether a described column of this type oid is what the mapping was written for. What belongs to
 * one database (enum, arrays of enums and domains) is only known to be nothing of PostgreSQL's own:
 * the probe statement asks for the rest. */
bool column_accepts(const struct mapping_column *column, uint32_t oid);
bool column_type_accepts(enum column_type type, uint32_t oid);
/* The same inside a record, where a domain keeps its own oid. */
bool column_accepts_within(const struct mapping_column *column, uint32_t oid);
bool column_is_text(enum column_type type);
bool column_is_integer(enum column_type type);

/* Quotes an identifier or a literal for SQL; these come from the mapping or our constants only. */
char *mapping_quote(struct arena *arena, const char *text, char quote);

#endif
