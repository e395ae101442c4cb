/* The mappings and code tables of a schemas folder as documents: what people wrote, for comparing
 *   versions, for a data dictionary and for grants.
 * Ownership: a dictionary owns its documents and texts; they live until dictionary_free.
 * Never calls back; reading is synchronous, in the command line tool only.
 * Limits: DICTIONARY_*_MAX; a file that is no YAML is refused with its position.
 * Does not check a mapping (bundle.h does) and never looks at a database. */
#ifndef SLUICE_SCHEMA_DICTIONARY_H
#define SLUICE_SCHEMA_DICTIONARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;
struct schema_dataset;
struct yaml_node;

enum {
    DICTIONARY_FILES_MAX = 20000,
    DICTIONARY_COLUMNS_MAX = 1600, /* PostgreSQL's own limit of a table */
    DICTIONARY_TEXT_BYTES_MAX = 16 * 1024 * 1024,
};

struct dictionary_dataset {
    const char *name; /* "<department>/<dataset>" */
    const char *file; /* inside the folder */
    const struct yaml_node *root;
};

struct dictionary_codes {
    const char *name; /* without .csv */
    const char *text; /* the whole file, NUL-terminated */
};

struct dictionary;

/* Reads <dir>/departments/<department>/<dataset>.yaml and <dir>/codes/ (CSV files), sorted by name.
 * NULL and "file:line:column: sentence". */
struct dictionary *dictionary_load(const char *dir, struct err *err);
void dictionary_free(struct dictionary **dictionary);

size_t dictionary_count(const struct dictionary *dictionary);
const struct dictionary_dataset *dictionary_at(const struct dictionary *dictionary, size_t index);
const struct dictionary_dataset *dictionary_find(const struct dictionary *dictionary,
                                                 const char *name);
const struct dictionary_codes *dictionary_codes_find(const struct dictionary *dictionary,
                                                     const char *name);
size_t dictionary_codes_count(const struct dictionary *dictionary);
const struct dictionary_codes *dictionary_codes_at(const struct dictionary *dictionary,
                                                   size_t index);

/* --- parts of a mapping ------------------------------------------------------------------------ */
/* The entry `key` of a field, where the short form stands for {from: ...}; NULL when absent. */
const struct yaml_node *dictionary_part(const struct yaml_node *field, const char *key);
/* Columns a field reads, in file order, each once: every scalar of `from` that is no parameter of a
 * cut. Answers how many there are, filling at most `max`. */
size_t dictionary_columns(const struct yaml_node *field, const char **names_r, size_t max);
/* Calls `found` for each code table the field's chain names. */
typedef void (*dictionary_table_fn)(void *arg, const char *name);
void dictionary_tables(const struct dictionary *dictionary, const struct yaml_node *field,
                       dictionary_table_fn found, void *arg);
/* A node in YAML's flow style, on one line; equal values have equal texts. */
void dictionary_text(const struct yaml_node *node, struct buf *out);

/* --- columns of a compiled mapping ------------------------------------------------------------- */
struct dictionary_column {
    const char *name;
    const char *type; /* as a mapping writes it */
};
/* Every column the dataset reads. Answers how many there are, filling at most `max`. */
size_t dictionary_dataset_columns(const struct schema_dataset *dataset,
                                  struct dictionary_column *columns_r, size_t max);
/* The tables its lists are read from, in the order of the mapping. False behind the last. */
struct dictionary_child {
    const char *schema;
    const char *table;
};
bool dictionary_dataset_child(const struct schema_dataset *dataset, size_t index,
                              struct dictionary_child *child_r);
/* Every column of such a table that a statement names: read, joined or ordered by; a name may come
 * twice. Answers how many there are, filling at most `max`. */
size_t dictionary_child_columns(const struct schema_dataset *dataset, size_t index,
                                const char **names_r, size_t max);
/* The mapping's name for a PostgreSQL type oid; NULL when mappings cannot read it. */
const char *dictionary_column_type(uint32_t oid);
/* Whether a mapping that declares `type` reads a column of this oid. */
bool dictionary_column_fits(const char *type, uint32_t oid);

#endif
