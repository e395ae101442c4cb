/* A worker's dealings with the schema bundles of the control database: fetch one, say how it went.
 * Ownership: a fetch and a report are their starter's until the callback or the cancel.
 * Callbacks: once, never inside the start, never after the cancel; a fetched bundle is the callee's.
 * Limits: SCHEMA_STORE_WAIT_MS for each; files as the bundle loader bounds them.
 * Does not decide which bundle is in force: approvals do (schemas/control/004_schema_bundle.sql). */
#ifndef SLUICE_SERVICES_SCHEMA_STORE_H
#define SLUICE_SERVICES_SCHEMA_STORE_H

#include <stdint.h>

#include "schema/bundle.h"

struct db_source;
struct err;
struct loop;

enum { SCHEMA_STORE_WAIT_MS = 5000 };

struct schema_fetch;
/* `bundle` NULL: `err` says why; `digest` (32 bytes) is then the bundle that cannot be loaded, NULL
 * when the database is the trouble and another try may help. Without a current bundle it is the
 * empty one. */
typedef void (*schema_fetch_fn)(void *arg, struct schema_bundle *bundle, const uint8_t *digest,
                                const struct err *err);
/* `digest` NULL: the current bundle. What was read must have the digest it is stored under. */
struct schema_fetch *schema_fetch_start(struct loop *loop, struct db_source *control,
                                        const uint8_t *digest, schema_fetch_fn done, void *arg);
void schema_fetch_cancel(struct schema_fetch **fetch);

struct schema_report;
typedef void (*schema_report_fn)(void *arg, const struct err *err);
/* Writes what SchemaService shows of this gateway: it serves the bundle (`text` ""), or why not. */
struct schema_report *schema_report_start(struct loop *loop, struct db_source *control,
                                          const char *instance, const uint8_t *digest,
                                          const char *text, schema_report_fn done, void *arg);
void schema_report_cancel(struct schema_report **report);

#endif
