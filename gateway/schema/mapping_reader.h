/* What the readers of a mapping file share: the mapping in hand and the place of an error.
 * Ownership: a reader lives on the stack of mapping_read; what it makes is in the bundle's arena.
 * Never calls back.
 * Limits: MAPPING_*_MAX of mapping.h. Private to schema/.
 * Does not run rows or build statements. */
#ifndef SLUICE_SCHEMA_MAPPING_READER_H
#define SLUICE_SCHEMA_MAPPING_READER_H

#include <stddef.h>

#include "schema/mapping.h"

struct mapping_reader {
    struct schema_mapping *mapping;
    const struct mapping_context *context;
    struct arena *arena;
    struct err *err;
    const struct yaml_node *types; /* the `columns` mapping, or NULL */
};

/* All answer 0, or -1 with an error that names the place. */
/* mapping_head.c */
int mapping_read_head(struct mapping_reader *reader, const struct yaml_node *root);
int mapping_read_text(struct mapping_reader *reader, const struct yaml_node *root, const char *key,
                      const char **text_r);
/* mapping_query.c */
int mapping_read_query(struct mapping_reader *reader, const struct yaml_node *node);
/* mapping_part.c: a column is found or added */
int mapping_read_identifier(struct mapping_reader *reader, const struct yaml_node *node,
                            const char *what, const char **name_r);
int mapping_read_column(struct mapping_reader *reader, const struct yaml_node *node,
                        size_t *column_r);
int mapping_read_parts(struct mapping_reader *reader, const struct yaml_node *from,
                       struct mapping_leaf *leaf);
/* mapping_field.c */
int mapping_read_fields(struct mapping_reader *reader, const struct yaml_node *fields);
int mapping_unknown_field(struct mapping_reader *reader, const struct yaml_node *at,
                          const struct schema_message *message, const char *name, size_t len);
/* mapping_key.c */
int mapping_read_key(struct mapping_reader *reader, const struct yaml_node *root);

#endif
