/* YAML 1.2 files as a small read-only tree that remembers where every value stood.
 * Ownership: a struct yaml owns its nodes, texts and file name; all live until yaml_free.
 * Never calls back; loading is synchronous.
 * Limits: YAML_*_MAX; anchors, aliases, tags, duplicate keys and several documents are refused.
 * Does not convert values by itself: a scalar is text until a reader below asks for more. */
#ifndef SLUICE_CONF_YAML_H
#define SLUICE_CONF_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct yaml;
struct yaml_node;

enum {
    YAML_BYTES_MAX = 8 * 1024 * 1024, /* a mapping of a thousand fields is below 1 MiB */
    YAML_NODES_MAX = 100000,
    YAML_DEPTH_MAX = 32,
};

enum yaml_kind { YAML_SCALAR, YAML_MAPPING, YAML_SEQUENCE };

/* NULL on failure: INVALID_ARGUMENT/YAML_INVALID, text "file:line:column: sentence", or
 * NOT_FOUND/FILE_UNREADABLE with "file: sentence". An empty file is a null scalar. */
struct yaml *yaml_load(const char *path, struct err *err);
/* The same from memory; `name` stands for the file in positions. Everything is copied. */
struct yaml *yaml_parse(const char *name, const char *text, size_t len, struct err *err);
void yaml_free(struct yaml **yaml);
/* Reads a regular file whole, appended to `out`. A larger one than out->max leaves `out` full
 * without an error: give room for one byte more than is allowed. NOT_FOUND/FILE_UNREADABLE
 * otherwise. */
int yaml_read_file(const char *path, struct buf *out, struct err *err);

const struct yaml_node *yaml_root(const struct yaml *yaml);
const char *yaml_file(const struct yaml_node *node);
int yaml_line(const struct yaml_node *node);   /* from 1 */
int yaml_column(const struct yaml_node *node); /* from 1, in characters */

enum yaml_kind yaml_kind(const struct yaml_node *node);
/* True for a plain (unquoted) empty, `~` or `null` scalar. */
bool yaml_is_null(const struct yaml_node *node);
/* True for a scalar written in quotes or as a block. */
bool yaml_is_quoted(const struct yaml_node *node);

/* Pairs of a mapping or items of a sequence, in file order; 0 for a scalar. */
size_t yaml_count(const struct yaml_node *node);
const struct yaml_node *yaml_item(const struct yaml_node *sequence, size_t index);
const struct yaml_node *yaml_key(const struct yaml_node *mapping, size_t index); /* a scalar */
const struct yaml_node *yaml_value(const struct yaml_node *mapping, size_t index);
/* The value of a key; NULL when absent or when `mapping` is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
/* Text of a scalar (NUL-terminated; it may not contain NUL); "" for anything else. */
const char *yaml_text(const struct yaml_node *node);

/* Typed readers of a scalar: 0, or -1 with an error that names the place and what was expected. */
int yaml_read_bool(const struct yaml_node *node, bool *value_r, struct err *err); /* true/false */
int yaml_read_int(const struct yaml_node *node, int64_t min, int64_t max, int64_t *value_r,
                  struct err *err);
int yaml_expect(const struct yaml_node *node, enum yaml_kind kind, const char *what,
                struct err *err);
/* Refuses keys that are not in the NULL-terminated `allowed`, with a suggestion. */
int yaml_check_keys(const struct yaml_node *mapping, const char *const *allowed, struct err *err);

/* Fills err with INVALID_ARGUMENT/`reason` and "file:line:column: " + the sentence; answers -1. */
int yaml_error(const struct yaml_node *node, struct err *err, const char *reason,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The candidate nearest to `word` by edit distance, or NULL when none is near enough to suggest.
 * `word` is not NUL-terminated. Distances beyond a third of the word are no suggestion. */
const char *yaml_nearest(const char *word, size_t len, const char *const *candidates, size_t count);

#endif
