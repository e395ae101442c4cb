/* What the schema commands share: which folder, which descriptor set, which database.
 * Ownership: paths are the caller's to free, bundles to schema_bundle_free, connections to PQfinish.
 * Never calls back.
 * Limits: a statement in a database takes at most 30 s, read-only, in one snapshot.
 * Does not change anything anywhere. */
#ifndef SLUICE_CLI_SCHEMA_PLACE_H
#define SLUICE_CLI_SCHEMA_PLACE_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "schema/bundle.h"
#include "schema/dictionary.h"

/* The operand at `index`, else SLUICE_SCHEMAS or as installed. */
char *schema_place_dir(const struct cli *cli, size_t index);
/* --descriptors, else DIR/canonical.pb, else what `make` left. */
char *schema_place_descriptors(const struct cli *cli, const char *dir);

/* Complains "file:line:column: sentence [REASON]"; answers EXIT_FAILED. */
int schema_place_report(const struct err *err);

/* NULL after a complaint. */
struct schema_bundle *schema_place_bundle(const struct cli *cli, const char *dir);
struct dictionary *schema_place_dictionary(const char *dir);
/* The dataset, or NULL after a complaint with a suggestion. */
const struct schema_dataset *schema_place_dataset(const struct schema_bundle *bundle,
                                                  const char *name);
/* A whole file; false after a complaint. `out` is initialised in any case. */
bool schema_place_read(const char *path, struct buf *out);
/* Writes a new file, with its folders; EXIT_OK or a complaint. `replace`: an old one may be there. */
int schema_place_write(const char *path, struct slice content, bool replace);

/* --- a department's database ------------------------------------------------------------------- */
/* --database or SLUICE_SOURCE_DATABASE; a read-only snapshot is open. NULL after a complaint. */
PGconn *schema_place_connect(const struct cli *cli, int *status_r);

/* One statement with text parameters; NULL after a complaint, `status_r` then holds the status. */
PGresult *schema_place_query(PGconn *conn, const char *sql, const char *const *params, int count,
                             int *status_r);
/* Complains about a result that failed; answers the exit status. */
int schema_place_refused(PGconn *conn, const PGresult *result);

/* "110105********0012": the ends of a text stay, for people to recognise what kind of value it is.
 * The caller frees. */
char *schema_place_mask(const char *text);

/* An SQL identifier, quoted, appended. */
void schema_place_quote(struct buf *out, const char *name);

#endif
