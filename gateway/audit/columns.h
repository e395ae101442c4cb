/* Search columns of an entry as one line of text, so that an export can be checked against its
 *   leaves without the database.
 * Ownership: struct audit_columns borrows everything.
 * Never calls back.
 * Limits: a line of COLUMNS_LINE_BYTES_MAX.
 * Does not read the database. A line has the columns in order, a tab between them and a newline at
 *   the end; texts are escaped as COPY of PostgreSQL writes them, "\N" is an absent value. */
#ifndef SLUICE_AUDIT_COLUMNS_H
#define SLUICE_AUDIT_COLUMNS_H

#include <stdint.h>

#include "audit/merkle.h"
#include "base/buf.h"
#include "sluice/v1/audit_entry.pb-c.h"

enum { COLUMNS_TEXTS = 6, COLUMNS_LINE_BYTES_MAX = 32 * 1024 };

struct audit_columns {
    struct slice leaf_hash;
    struct slice id;
    int64_t time_us;
    int64_t kind;
    int64_t outcome;
    struct slice texts[COLUMNS_TEXTS]; /* subject department owner dataset agreement purpose */
    struct slice exchange_id;          /* empty: absent */
    int64_t id_index;                  /* what audit.entry_id says of the id; -1: nothing */
};

/* Appends one line. -1: over the ceiling of `out`. */
int columns_write(const struct audit_columns *columns, struct buf *out);
/* What the columns of a leaf must be. */
void columns_from_entry(const Sluice__V1__AuditEntry *entry, int64_t index,
                        const uint8_t leaf_hash[MERKLE_HASH_BYTES],
                        struct audit_columns *columns_r);
/* Name of the first column in which two lines differ; NULL when they do not. */
const char *columns_differ(struct slice line, struct slice other);

#endif
