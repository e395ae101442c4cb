/* Which column feeds which canonical field of a draft, and through which chain.
 * Ownership: texts live in the caller's arena.
 * Never calls back.
 * Limits: INFER_COLUMNS_MAX matches; each column and each field at most once.
 * Private to the drafting code. Does not render anything. */
#ifndef SLUICE_SCHEMA_INFER_MATCH_H
#define SLUICE_SCHEMA_INFER_MATCH_H

#include "schema/descriptor.h"
#include "schema/infer.h"

struct infer_match {
    const char *name;                 /* dotted */
    const struct schema_field *field; /* NULL: of a type that is drafted as well */
    size_t column;
    const char *chain;  /* YAML, or NULL */
    bool codes;         /* the column's code set is written out */
    const char *legend; /* chain for the words the column's comment gives its codes; or NULL */
    bool bare;          /* no chain, also where the field's meaning would imply one */
    bool timestamp;
};

struct infer_matches {
    struct infer_match items[INFER_COLUMNS_MAX];
    size_t count;
};

/* Columns to the fields of a given type, by meaning, name and label. */
void infer_match_type(const struct infer_table *table, const struct infer_guess *guesses,
                      const struct schema_message *type, struct arena *arena,
                      struct infer_matches *matches_r, struct infer_draft *draft);
/* A field for every column, and draft->proto for them. Answers the guesses as they were used: a key
 * has no chain that a look-up could not go back through. */
const struct infer_guess *infer_match_new(const struct infer_table *table,
                                          const struct infer_guess *guesses,
                                          const struct infer_names *names, struct arena *arena,
                                          struct infer_matches *matches_r,
                                          struct infer_draft *draft);

/* What a native code of the match becomes; NULL when that is not plain. */
const char *infer_code_target(const struct infer_match *match, const char *comment,
                              const char *native, struct arena *arena);

#endif
