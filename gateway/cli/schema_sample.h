/* Rows of a department's table through the gateway's own row program, field by field.
 * Ownership: a sample owns its plans; connection and dataset are borrowed.
 * Callbacks fire inside schema_sample_run, one for each row in order; what they get dies with them.
 * Limits: rows are read one at a time; a record of PLAN_RECORD_BYTES_MAX.
 * Does not print and never writes to the database. */
#ifndef SLUICE_CLI_SCHEMA_SAMPLE_H
#define SLUICE_CLI_SCHEMA_SAMPLE_H

#include <jansson.h>
#include <libpq-fe.h>

#include "cli/schema_place.h"
#include "schema/plan.h"

struct schema_sample;

/* What became of one field of one row. */
struct schema_sample_field {
    const struct schema_field *field;
    const char *native;    /* texts of its columns, joined by " | "; NULL: all are SQL NULL */
    const char *canonical; /* NULL: no value */
    const char *verdict;   /* OK, CHANGED, ABSENT, WARN or ERROR */
    const char *code;      /* stable reason code, "" when there is none */
    const char *rule;      /* what rejected, "" */
};

struct schema_sample_row {
    size_t index;    /* from 0 */
    const char *key; /* canonical key text; NULL: it is not valid */
    bool delivered;
    const struct schema_sample_field *rejected; /* of a row that is not delivered */
    const struct schema_sample_field *fields;   /* the mapped ones; NULL behind `detail` rows */
    size_t field_count;
};

typedef void (*schema_sample_fn)(void *arg, const struct schema_sample_row *row);

/* NULL after a complaint. */
struct schema_sample *schema_sample_new(PGconn *conn, const struct schema_bundle *bundle,
                                        const struct schema_dataset *dataset,
                                        const struct yaml_node *fields);
void schema_sample_free(struct schema_sample **sample);

/* At most `rows` rows in key order, or the rows of `key`; every field of the first `detail`. EXIT_OK
 * or an exit status after a complaint. */
int schema_sample_run(struct schema_sample *sample, const char *key, long rows, size_t detail,
                      schema_sample_fn tell, void *arg);

#endif
