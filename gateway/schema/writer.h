/* A writer: how canonical records of one dataset become rows of a table, for COPY BINARY.
 * Ownership: a writer owns its program and scratch; it borrows the dataset.
 * Never calls back; one thread at a time.
 * Limits: PLAN_RECORD_BYTES_MAX a record. A record that the table cannot hold exactly is
 *   quarantined with a reason; nothing is cut, rounded or guessed: every row is read back through
 *   the mapping before it is given out, and compared with the record.
 * Does not talk to a database. Triggers, rules and constraints of the target are not seen here. */
#ifndef SLUICE_SCHEMA_WRITER_H
#define SLUICE_SCHEMA_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "pg/db.h"
#include "schema/bundle.h"
#include "schema/plan.h"

struct err;
struct schema_writer;

/* Head and end of a COPY BINARY stream (PostgreSQL, "COPY", Binary Format). */
extern const struct slice schema_writer_header;
extern const struct slice schema_writer_trailer;

/* `fields`: PLAN_BITMAP_BYTES, or NULL for all. NULL with FAILED_PRECONDITION/MAPPING_ONE_WAY and a
 * sentence that names field or column and what to write in the mapping when there is no way back:
 * a normaliser without one, a column that is read in pieces only, a column two fields would write
 * differently, a key that is not written, a list of messages. */
struct schema_writer *schema_writer_new(const struct schema_dataset *dataset, const uint8_t *fields,
                                        struct err *err);
void schema_writer_free(struct schema_writer **writer);

/* What `fill: {x: batch}` columns get; the text is copied, once a run, before the target is checked.
 * Without it they are NULL. */
void schema_writer_set_batch(struct schema_writer *writer, const char *batch);

/* "schema"."table" and "a", "b", ...: both quoted, in the order of the tuples. Borrowed. */
const char *schema_writer_table(const struct schema_writer *writer);
const char *schema_writer_columns(const struct schema_writer *writer);

/* The columns of a part, each put for % of `pattern`, joined by `separator`: lists for statements. In the
 * arena; "" for no column. KEY in the order of the key, the others in that of schema_writer_columns. */
enum schema_writer_part {
    WRITER_KEY,
    WRITER_REST, /* all but the key */
    WRITER_DATA, /* all that a field feeds: what `fill:` writes is left out */
};
const char *schema_writer_each(const struct schema_writer *writer, enum schema_writer_part part,
                               const char *pattern, const char *separator, struct arena *arena);

/* Appends one tuple (field count, then length and bytes a column), or nothing when the record is
 * quarantined: report_r has field, rule and stable code. Hostile bytes are quarantined too. -1 only
 * with RESOURCE_EXHAUSTED/OUTPUT_FULL when `tuple` is full. */
int schema_writer_row(struct schema_writer *writer, const uint8_t *record, size_t len,
                      struct buf *tuple, struct schema_row_report *report_r, struct err *err);

/* --- the target --------------------------------------------------------------------------------
 */
/* Describes the target from pg_catalog; values as parameters, results to be read in binary. */
int schema_writer_target(const struct schema_writer *writer, struct arena *arena,
                         struct db_sql *sql_r, struct err *err);
/* Compares that description with what will be written, and takes lengths, scales and labels from
 * it: values the columns would cut, round or refuse are quarantined from here on.
 * FAILED_PRECONDITION with TARGET_TABLE_MISSING, TARGET_NOT_TABLE, TARGET_COLUMN_MISSING,
 * TARGET_COLUMN_TYPE, TARGET_COLUMN_GENERATED, TARGET_COLUMN_REQUIRED or TARGET_COLUMN_VALUE. */
int schema_writer_check_target(struct schema_writer *writer, const struct db_rows *described,
                               struct err *err);

/* --- what survives -----------------------------------------------------------------------------
 */
enum schema_lossiness_kind {
    /* Canonical to native to canonical and native to canonical to native are both the identity. */
    LOSSLESS,
    /* Every record that is written reads back the same; the owner's spelling of a value may not
     * survive the other way round. */
    CANONICAL_LOSSLESS,
    /* A record may read back different. */
    LOSSY,
    /* The table does not hold this field. */
    ABSENT,
    /* A column that no field feeds. */
    FILLED,
};

struct schema_lossiness {
    const char *name; /* of the field (dotted), or of the column when FILLED */
    enum schema_lossiness_kind kind;
    const char *sentence;
    const char *sentence_zh;
};

/* In the order of the type's fields, then the filled columns; borrowed from the writer. */
const struct schema_lossiness *schema_writer_lossiness(const struct schema_writer *writer,
                                                       size_t *count_r);
const char *schema_lossiness_name(enum schema_lossiness_kind kind); /* "LOSSLESS" */

#endif
