/* Filters in the AIP-160 subset: = != < <= > >= : AND OR NOT ( ), typed against the canonical
 *   schema.
 * Ownership: a filter owns its tree; it borrows the dataset, which must outlive it.
 * Never calls back.
 * Limits: FILTER_*_MAX; positions in errors are 1-based characters of the filter text.
 * Does not evaluate rows: it becomes SQL with parameters (plan.h). */
#ifndef SLUICE_SCHEMA_FILTER_H
#define SLUICE_SCHEMA_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "schema/bundle.h"

enum {
    FILTER_BYTES_MAX = 8192,
    FILTER_DEPTH_MAX = 32,
    FILTER_TERMS_MAX = 200, /* leaves room for keys and row filter under DB_PARAMS_MAX */
};

/* OR binds tighter than AND, as AIP-160 says: a AND b OR c is a AND (b OR c). `field:*` is
 * presence, `text_field:"x"` contains. Terms that merely stand side by side, wildcards and
 * functions are refused. An absent value equals its type's default and is below or above nothing;
 * != and NOT are the exact opposite of = and of what follows. */
struct schema_filter;

/* INVALID_ARGUMENT with reason FILTER_SYNTAX, FILTER_FIELD (unknown or not filterable), FILTER_TYPE
 * or FILTER_TOO_LARGE; the text says "position N" and what was expected (did-you-mean for fields).
 * `allowed`: bitmap of fields the caller may use (NULL: all); others answer like unknown ones. */
struct schema_filter *schema_filter_parse(const struct schema_dataset *dataset, const char *text,
                                          const uint8_t *allowed, struct err *err);
void schema_filter_free(struct schema_filter **filter);

#endif
