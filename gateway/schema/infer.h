/* Guesses what a table's columns mean from their types, names, comments and a sample of values, and
 *   drafts a mapping and, where there is none, a canonical type.
 * Ownership: texts live in the caller's arena; input is borrowed.
 * Never calls back.
 * Limits: INFER_COLUMNS_MAX columns; the caller bounds the sample.
 * Does not decide what only a person can: that is listed in infer_draft.decisions. Never puts a
 * sample value into a draft, except members of a small code set and masked ones where asked. */
#ifndef SLUICE_SCHEMA_INFER_H
#define SLUICE_SCHEMA_INFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

struct err;
struct schema_set;
struct schema_message;

enum {
    INFER_COLUMNS_MAX = 1600,
    INFER_CODES_MAX = 24, /* distinct values of a small code set */
    INFER_DECISIONS_MAX = 64,
    INFER_DRAFT_BYTES_MAX = 8 * 1024 * 1024,
};

struct infer_column {
    const char *name;
    const char *comment;       /* "" when none */
    uint32_t oid;              /* of its base type */
    const char *type_name;     /* as PostgreSQL writes it */
    bool bytewise;             /* a text column whose collation orders by bytes */
    bool unique_index;         /* one of its own */
    const char *const *values; /* texts; NULL: SQL NULL */
    size_t value_count;
    const char *const *samples; /* masked, to be shown; NULL: none */
    size_t sample_count;
};

/* Which normaliser fits, how sure that is, and why. */
struct infer_guess {
    const char *mapping_type; /* "text", "bigint" ...; NULL: no mapping can read the column */
    const char *concept;      /* English word for the column, "" when its name says nothing */
    int semantic;             /* sluice.options.SemanticType; 0: unknown */
    const char *chain;        /* YAML of `normalise`, or NULL */
    bool integer;             /* texts that are whole numbers, after the chain */
    size_t present;           /* values that are neither NULL nor a null spelling */
    size_t passed;            /* of these, through the chain */
    size_t distinct;          /* at most INFER_CODES_MAX + 1 */
    const char *codes[INFER_CODES_MAX + 1];
    size_t code_rows[INFER_CODES_MAX + 1];
    bool code_set;         /* few values, each often */
    size_t different;      /* distinct values, however many */
    bool unique;           /* no value twice, none absent */
    const char *nulls[16]; /* spellings of "no value" that occur */
    size_t null_count;
    const char *evidence[6];
    size_t evidence_count;
    const char *decide; /* NULL: nothing */
};

void infer_guess(const struct infer_column *column, struct arena *arena,
                 struct infer_guess *guess_r);

/* Values of the column that pass a chain written as in a mapping; *present_r: of how many. */
size_t infer_passes(const struct infer_column *column, const struct infer_guess *guess,
                    const char *chain, struct arena *arena, size_t *present_r);
/* One text through a chain; NULL when it does not pass. */
const char *infer_run(const char *chain, const char *text, struct arena *arena);

struct infer_table {
    const char *schema;
    const char *table;
    const char *comment;
    const struct infer_column *columns;
    size_t column_count;
    const size_t *key; /* columns of the primary key or a unique index */
    size_t key_count;
    const char *key_kind; /* "primary key", "unique index"; "" when there is none */
    size_t row_count;     /* of the sample */
};

struct infer_names {
    const char *department;
    const char *dataset;
    const char *source;
};

struct infer_draft {
    struct buf mapping;
    struct buf proto;       /* empty when the type was given */
    const char *proto_file; /* inside canonical/ */
    const char *decisions[INFER_DECISIONS_MAX];
    size_t decision_count;
};

/* `type` NULL: the draft brings its own. The buffers are the caller's to buf_fini. */
void infer_draft(const struct infer_table *table, const struct infer_guess *guesses,
                 const struct infer_names *names, const struct schema_message *type,
                 struct arena *arena, struct infer_draft *draft_r);

/* Reads the draft as the gateway would; -1 with the place and the sentence. */
int infer_draft_check(const struct infer_draft *draft, const struct infer_names *names,
                      const struct schema_set *types, struct err *err);

/* --- names (infer_names.c) --------------------------------------------------------------------- */
/* What a name or a comment speaks of, as an English field name; "" when nothing is recognised.
 * *semantic_r: what such a column usually is, or 0. */
const char *infer_concept(const char *name, const char *comment, int *semantic_r);
/* 0 (nothing alike) to 100 (the same word) between a column and a canonical field. */
int infer_likeness(const struct infer_column *column, const char *field, const char *label_zh);
/* The word behind a code in a comment such as "1 未婚 2 已婚" or "1:男,2:女"; NULL when there is none. */
const char *infer_legend(const char *comment, const char *code, struct arena *arena);
/* "Annual Report 2023" -> "annual_report_2023"; "" when no letter is ASCII. */
const char *infer_snake(struct arena *arena, const char *name);

/* --- pieces of a draft (infer_draft.c) --------------------------------------------------------- */
void infer_put_scalar(struct buf *out, const char *text);
void infer_decide(struct infer_draft *draft, struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The .proto of a drafted type; `fields` has one name a column ("" : left out). */
void infer_put_proto(struct infer_draft *draft, const struct infer_table *table,
                     const struct infer_guess *guesses, const char *const *fields,
                     const struct infer_names *names, struct arena *arena);
/* Full name of that type. */
const char *infer_type_name(const struct infer_names *names, struct arena *arena);
/* How a drafted type holds the column: "string", "int64", "google.protobuf.Timestamp" ... */
const char *infer_proto_type(const struct infer_guess *guess);

#endif
