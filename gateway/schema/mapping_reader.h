/* What the readers of a mapping file share: the mapping in hand and the place of an error.
 * Ownership: a reader lives on the stack of mapping_read; what it makes is in the bundle's arena.
 * Never calls back.
 * Limits: MAPPING_*_MAX of mapping.h. Private to schema/.
 * Does not run rows or build statements. */
#ifndef SLUICE_SCHEMA_MAPPING_READER_H
#define SLUICE_SCHEMA_MAPPING_READER_H

#include <stddef.h>

#include "schema/mapping.h"

/* Where columns and fields are looked for: the dataset's own table, or a child's. */
struct mapping_scope {
    const struct schema_message *message; /* paths begin here */
    const char *prefix;                   /* of names, "addresses." */
    bool scalar;                          /* a child without a message: the field itself */
    struct mapping_column *columns;
    size_t *column_count;
    const struct yaml_node *types;     /* the `columns` mapping, or NULL */
    const struct mapping_child *child; /* whose table it is, or NULL: the dataset's */
    struct mapping_leaf *leaves;
    size_t *leaf_count;
};

struct mapping_reader {
    struct schema_mapping *mapping;
    const struct mapping_context *context;
    struct arena *arena;
    struct err *err;
    struct mapping_scope *scope;
    struct mapping_scope own;       /* of the dataset's table */
    const struct yaml_node **takes; /* by leaf of the dataset: its from_field, or NULL */
};

/* All answer 0, or -1 with an error that names the place. */
/* mapping_head.c */
int mapping_read_head(struct mapping_reader *reader, const struct yaml_node *root);
int mapping_read_text(struct mapping_reader *reader, const struct yaml_node *root, const char *key,
                      const char **text_r);
/* `schema` NULL: "public". All three names are in the arena. */
int mapping_read_table(struct mapping_reader *reader, const struct yaml_node *table,
                       const struct yaml_node *schema, const char **schema_r, const char **table_r,
                       const char **quoted_r);
/* mapping_query.c */
int mapping_read_query(struct mapping_reader *reader, const struct yaml_node *node);
/* mapping_part.c: a column is found or added */
int mapping_read_identifier(struct mapping_reader *reader, const struct yaml_node *node,
                            const char *what, const char **name_r);
int mapping_read_column(struct mapping_reader *reader, const struct yaml_node *node,
                        size_t *column_r);
int mapping_check_types(struct mapping_reader *reader, const struct mapping_scope *scope);
int mapping_read_parts(struct mapping_reader *reader, const struct yaml_node *from,
                       struct mapping_leaf *leaf);
/* mapping_field.c */
int mapping_read_fields(struct mapping_reader *reader, const struct yaml_node *fields);
/* What follows a field's name, but for a child. */
int mapping_read_value(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf);
int mapping_read_path(struct mapping_reader *reader, const struct yaml_node *key,
                      struct mapping_leaf *leaf);
int mapping_unknown_field(struct mapping_reader *reader, const struct yaml_node *at,
                          const struct schema_message *message, const char *name, size_t len);
/* mapping_value.c: what stands beside a field's columns */
int mapping_read_options(struct mapping_reader *reader, const struct yaml_node *value,
                         struct mapping_leaf *leaf);
int mapping_read_fixed(struct mapping_reader *reader, const struct yaml_node *node,
                       const struct mapping_leaf *leaf, const char **text_r);
int mapping_read_steps(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf);
/* mapping_child.c */
int mapping_read_child(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf);
/* mapping_take.c: from_field; the other field may stand further down in the file */
int mapping_read_take(struct mapping_reader *reader, const struct yaml_node *node,
                      struct mapping_leaf *leaf);
int mapping_resolve_takes(struct mapping_reader *reader);
/* mapping_key.c */
int mapping_read_key(struct mapping_reader *reader, const struct yaml_node *root);
/* mapping_rules.c: duplicates, escalate, quality, freshness, expect */
int mapping_read_rules(struct mapping_reader *reader, const struct yaml_node *root);

#endif
