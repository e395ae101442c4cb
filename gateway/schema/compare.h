/* What changed between two versions of the canonical types, and of the mappings.
 * Ownership: changes are told while the comparison runs; their texts die with the callback.
 * Callbacks fire inside compare_types and compare_mappings only.
 * Limits: those of the descriptor loader and of dictionary.h; COMPARE_CODE_ROWS_MAX rows of one code
 *   table are told one by one, the rest as a count.
 * Does not judge whether a change is wanted: breaking means that somebody who reads the old version
 * can no longer read every record as before. */
#ifndef SLUICE_SCHEMA_COMPARE_H
#define SLUICE_SCHEMA_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/dictionary.h"

struct err;
struct schema_set;

enum { COMPARE_CODE_ROWS_MAX = 20 };

struct compare_change {
    const char *subject; /* full name of a message or enum; or "<department>/<dataset>" */
    const char *item;    /* field or enum value; "" for the subject itself */
    const char *what;    /* stable code such as "FIELD_REMOVED", literal */
    const char *before;  /* "" when there was nothing */
    const char *after;
    bool breaking;
};

typedef void (*compare_fn)(void *arg, const struct compare_change *change);

/* Two serialised FileDescriptorSets. Types of google.protobuf and of sluice.options are left out.
 * -1 with DESCRIPTOR_INVALID when one of them cannot be read. */
int compare_types(struct slice before, struct slice after, compare_fn tell, void *arg,
                  struct err *err);

/* True when a record of message `type` can hold the message or enum `name`. */
bool compare_type_holds(const struct schema_set *types, const char *type, const char *name);

void compare_mappings(const struct dictionary *before, const struct dictionary *after,
                      compare_fn tell, void *arg);

#endif
