/* A schema bundle: descriptor set, mappings and code tables, loaded and compiled as one.
 * Ownership: the bundle owns its datasets; they live until schema_bundle_free.
 * Calls back only while schema_bundle_check runs; loading is synchronous.
 * Limits: named in the mapping loader; a file beyond them is refused with its position.
 * Does not talk to a database: drift is checked by whoever owns the connection (plan.h). */
#ifndef SLUICE_SCHEMA_BUNDLE_H
#define SLUICE_SCHEMA_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/descriptor.h"

struct err;
struct schema_mapping; /* compiled form, private to schema/ */

enum {
    SCHEMA_DIGEST_BYTES = 32,
    SCHEMA_PATH_BYTES_MAX = 255,
};

enum schema_sharing { SHARING_OPEN = 1, SHARING_CONDITIONAL = 2, SHARING_DENIED = 3 };

/* When too many rows are bad, a job stops instead of delivering a crippled dataset. All zero: no
 * limit. */
struct schema_thresholds {
    uint32_t quarantined_per_million_max; /* share of the rows read */
    uint64_t quarantined_rows_max;
    uint64_t rows_min; /* the share is judged from this many rows on */
};

/* The newest value of a time or date field may be this old. `field` NULL: not said. */
struct schema_freshness {
    const struct schema_field *field;
    int64_t max_age_s;
};

/* A share of the delivered records has this field. */
struct schema_expectation {
    const struct schema_field *field;
    uint32_t present_per_million_min;
};

struct schema_dataset {
    const char *name;  /* "<department>/<dataset>" */
    const char *title; /* English */
    const char *title_zh;
    const char *department; /* owner */
    const char *source;     /* name of the configured source database */
    enum schema_sharing sharing;
    const struct schema_message *type;
    const struct schema_field *const *key; /* key fields in order */
    size_t key_count;
    struct schema_thresholds thresholds;
    struct schema_freshness freshness;
    const struct schema_expectation *expectations;
    size_t expectation_count;
    const struct schema_mapping *mapping;
    /* SHA-256 over the mapping, its type with all that refers to, and the code tables it names: two
     * bundles treat the dataset alike when these are equal. */
    uint8_t fingerprint[SCHEMA_DIGEST_BYTES];
};

struct schema_bundle;

/* Reads <dir>/departments/<department>/<dataset>.yaml and <dir>/codes/ (recursively for yaml) and
 * the descriptor set in `descriptor_file`. On failure NULL; err->text starts with
 * "file:line:column: ". */
struct schema_bundle *schema_bundle_load(const char *dir, const char *descriptor_file,
                                         struct err *err);
/* The same for people who write mappings: goes on behind a fault and tells each one, those of other
 * files and of other fields too, in order of file and line. NULL when there was any. */
typedef void (*schema_fault_fn)(void *arg, const struct err *fault);
struct schema_bundle *schema_bundle_check(const char *dir, const char *descriptor_file,
                                          schema_fault_fn tell, void *arg);
/* The same from a list in any order, its paths relative to the folder and the descriptor set under
 * "canonical.pb"; a file that no folder would give is refused. Everything is copied. Equal files
 * make equal digests from either source. */
struct schema_file {
    const char *path;
    const uint8_t *data;
    size_t len;
};
struct schema_bundle *schema_bundle_load_files(const struct schema_file *files, size_t count,
                                               struct err *err);
/* A bundle without a file: no dataset, no type. What a gateway serves before the first approval. */
struct schema_bundle *schema_bundle_empty(void);
/* Reads the files that schema_bundle_load would read, in order of path, and judges none; borrowed
 * during `take`. Errors as there. */
typedef void (*schema_file_fn)(void *arg, const struct schema_file *file);
int schema_bundle_read(const char *dir, const char *descriptor_file, schema_file_fn take, void *arg,
                       struct err *err);
void schema_bundle_free(struct schema_bundle **bundle);

/* SHA-256 over the sorted contents: equal bundles have equal digests wherever they lie. */
const uint8_t *schema_bundle_digest(const struct schema_bundle *bundle);
/* NULL for the empty bundle. */
const struct schema_set *schema_bundle_types(const struct schema_bundle *bundle);
size_t schema_bundle_count(const struct schema_bundle *bundle);
const struct schema_dataset *schema_bundle_at(const struct schema_bundle *bundle, size_t index);
const struct schema_dataset *schema_bundle_find(const struct schema_bundle *bundle,
                                                const char *name); /* sorted by name */
/* True when a filter may use the field: its mapping can be reversed onto the owner's columns. */
bool schema_dataset_filterable(const struct schema_dataset *dataset,
                               const struct schema_field *field);
/* True when the mapping fills this field of the record, or a part of it, from the owner's tables: a
 * constant is no data. */
bool schema_dataset_provides(const struct schema_dataset *dataset,
                             const struct schema_field *field);

#endif
