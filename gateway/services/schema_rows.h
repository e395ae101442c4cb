/* Schema bundles between their rows and their messages.
 * Ownership: messages and texts lie in the arena given.
 * Never calls back.
 * Limits: those of the statements that select the rows.
 * Does not decide who may publish or approve: schema.c and the control database do. */
#ifndef SLUICE_SERVICES_SCHEMA_ROWS_H
#define SLUICE_SERVICES_SCHEMA_ROWS_H

#include "base/arena.h"
#include "pg/db.h"
#include "schema/bundle.h"
#include "sluice/v1/schema.pb-c.h"

/* One row for each approval of a bundle, at least one for each bundle, bundles together. Put the
 * subselect of control.schema_bundle between the two halves; the second orders the rows. */
extern const char schema_bundles_head[];
extern const char schema_bundles_tail[];
/* Bundles of these rows; `count_r` of them. */
Sluice__V1__SchemaBundle **schema_bundles_from_rows(struct arena *arena, const struct db_rows *rows,
                                                    size_t *count_r);

/* Rows of control.schema_changes: dataset, department, change. */
Sluice__V1__SchemaChange **schema_changes_from_rows(struct arena *arena, const struct db_rows *rows,
                                                    size_t *count_r);

extern const char schema_gateways_sql[];
/* What another department's files say stays between the gateway and that department. */
Sluice__V1__SchemaGateway **schema_gateways_from_rows(struct arena *arena,
                                                      const struct db_rows *rows,
                                                      const char *department, size_t *count_r);

extern const char schema_files_sql[]; /* $1 digest, $2 with content, $3 the caller's department */
Sluice__V1__SchemaFile **schema_files_from_rows(struct arena *arena, const struct db_rows *rows,
                                                size_t *count_r);

/* "\x…" of bytes, as a bytea parameter. */
char *schema_bytea(struct arena *arena, const void *data, size_t len);

#endif
