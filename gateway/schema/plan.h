/* A plan: how one set of canonical fields of one dataset is read, checked, normalised and encoded.
 * Ownership: a plan owns its SQL texts and program; it borrows dataset, row filter and masks.
 * Never calls back.
 * Limits: PLAN_RECORD_BYTES_MAX a record; columns that no wanted field, key or row filter needs are
 *   never selected, so an ungranted field never leaves its owner's database.
 * Does not talk to a database itself. */
#ifndef SLUICE_SCHEMA_PLAN_H
#define SLUICE_SCHEMA_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "pg/db.h"
#include "schema/bundle.h"
#include "schema/filter.h"
#include "schema/mask.h"

enum {
    PLAN_RECORD_BYTES_MAX = 1024 * 1024, /* one record must fit a stream's memory promise */
    PLAN_BITMAP_BYTES = SCHEMA_FIELDS_MAX / 8,
    PLAN_KEY_TEXT_BYTES_MAX = 512,
    PLAN_PLACE_ROWS_MAX = 32, /* rows without a key may share one place */
};

/* Field bitmaps: bit `position` of schema_field, least significant bit first. */
static inline bool plan_bit(const uint8_t *bitmap, uint32_t position)
{
    return (bitmap[position / 8] >> (position % 8) & 1) != 0;
}
static inline void plan_set_bit(uint8_t *bitmap, uint32_t position)
{
    bitmap[position / 8] = (uint8_t)(bitmap[position / 8] | 1U << (position % 8));
}
static inline void plan_clear_bit(uint8_t *bitmap, uint32_t position)
{
    bitmap[position / 8] = (uint8_t)(bitmap[position / 8] & ~(1U << (position % 8)));
}

struct schema_plan;

/* `fields` has PLAN_BITMAP_BYTES. `row_filter` may be NULL and must outlive the plan. */
struct schema_plan *schema_plan_new(const struct schema_dataset *dataset, const uint8_t *fields,
                                    const struct schema_filter *row_filter, struct err *err);
void schema_plan_free(struct schema_plan **plan);
/* From now on every record leaves schema_plan_row as `masks` says; they must outlive the plan. A field of
 * MASK_DROP is to be left out of the plan's fields, so that it is not even read. */
void schema_plan_mask(struct schema_plan *plan, const struct schema_masks *masks);

/* --- statements: text from the plan's own constants, values only as parameters -----------------
 */
/* The row of a canonical key text. INVALID_ARGUMENT/KEY_INVALID when the text is no key. More than
 * one row comes back where the owner stores the same key in two forms: that is the owner's to
 * solve. */
int schema_plan_lookup(const struct schema_plan *plan, const char *key, struct arena *arena,
                       struct db_sql *sql_r, struct err *err);
/* The key in canonical form, as schema_plan_row_key writes it: two texts of one identifier give one. In
 * the arena; NULL when the text is no key. */
const char *schema_plan_canonical_key(const struct schema_plan *plan, const char *key,
                                      struct arena *arena);
/* Many rows by key; rows come in any order, schema_plan_row_key tells which is which. */
int schema_plan_batch(const struct schema_plan *plan, const char *const *keys, size_t count,
                      struct arena *arena, struct db_sql *sql_r, struct err *err);
/* Ordered by the owner's key columns, in their own collation: the order is the same on every page
 * and an index on the key serves it. `after`: canonical key text or cursor (schema_plan_row_cursor)
 * to continue behind, or NULL. `limit` 0: none. Where one canonical key has several stored forms,
 * only a cursor continues exactly; behind a key text rows may come again, but none is left out. */
int schema_plan_query(const struct schema_plan *plan, const struct schema_filter *filter,
                      const char *after, int64_t limit, struct arena *arena, struct db_sql *sql_r,
                      struct err *err);
/* The same columns of another table that was made after the mapping's own, so that the rows are read in
 * the same way, in any order: `table` is quoted. FAILED_PRECONDITION/MAPPING_ONE_WAY where the mapping
 * reads more than one table, or ranks its rows. */
int schema_plan_copy(const struct schema_plan *plan, const char *table, struct arena *arena,
                     struct db_sql *sql_r, struct err *err);
/* The statement whose description drift is checked against: every mapped column of the dataset. */
const char *schema_dataset_probe_sql(const struct schema_dataset *dataset);
/* Compares a description (db_check_describe) of that statement with what the mapping was compiled
 * for. FAILED_PRECONDITION/SCHEMA_DRIFT naming column, expected and found type. */
int schema_dataset_check_probe(const struct schema_dataset *dataset,
                               const struct db_rows *described, struct err *err);

/* --- rows ------------------------------------------------------------------------------------ */
/* ROW_DUPLICATE: another row of the same stored key is the record, by the mapping's `duplicates`
 * rule; nothing is appended. Every row a query reads is in exactly one state, so that
 * read = delivered + quarantined + duplicates of the rows that pass the filters. */
enum schema_row_state { ROW_DELIVERED, ROW_QUARANTINED, ROW_DUPLICATE };

/* Paths and fields live as long as the bundle. */
struct schema_warning {
    const struct schema_field *field; /* top-level */
    const char *path;                 /* dotted, "address.street" */
    const char *code;                 /* stable reason code, literal */
    uint32_t element;                 /* of a child table's row in its list, from 1; 0: none */
};

struct schema_row_report {
    enum schema_row_state state;
    const struct schema_field *field; /* of the rejection, top-level, may be NULL */
    const char *path;                 /* dotted name of the field that rejected, "" when none */
    uint32_t element;                 /* of a child table's row in its list, from 1; 0: none */
    const char *rule;                 /* normaliser or check that rejected, literal */
    const char *code;                 /* stable reason code, literal */
    struct schema_warning warnings[8];
    size_t warning_count; /* may exceed 8: the rest is counted only */
};

/* PostgreSQL binary row -> canonical protobuf appended to `out` (nothing is appended unless the row
 * is delivered). -1 only when `out` is full, a binary value is malformed (DATA_LOSS) or the result's
 * column types are no longer the mapping's (FAILED_PRECONDITION/SCHEMA_DRIFT; looked at with row 0 of
 * every result, so before the first row leaves). */
int schema_plan_row(const struct schema_plan *plan, const struct db_rows *rows, int row,
                    struct buf *out, struct schema_row_report *report_r, struct err *err);
/* Canonical key text of a row; false when the row's key itself is not valid. Several key fields are
 * joined by "/", with "~0" for "~" and "~1" for "/" inside them; a single one stands as it is. No
 * key holds control characters. */
bool schema_plan_row_key(const struct schema_plan *plan, const struct db_rows *rows, int row,
                         char key_r[PLAN_KEY_TEXT_BYTES_MAX]);
/* Where a stream stands behind this row, for `after` of schema_plan_query: the key text where one
 * key has one stored form, else the stored key behind a 0x1E byte. Bind it to its caller: it may
 * hold an identifier as it is stored. False when the row's key is SQL NULL, too long or not text.
 */
bool schema_plan_row_cursor(const struct schema_plan *plan, const struct db_rows *rows, int row,
                            char cursor_r[PLAN_KEY_TEXT_BYTES_MAX]);
/* Where a row stands in its owner's table, whether or not its key is valid: the stored values of the
 * key's columns, SQL NULL included. It may hold an identifier as it is stored: seal it. False when
 * it is too long or not text. */
bool schema_plan_row_place(const struct schema_plan *plan, const struct db_rows *rows, int row,
                           char place_r[PLAN_KEY_TEXT_BYTES_MAX]);
/* The rows at a place, at most PLAN_PLACE_ROWS_MAX; the agreement's row filter does not apply.
 * INVALID_ARGUMENT/PLACE_INVALID when the text is no place of this mapping. */
int schema_plan_place(const struct schema_plan *plan, const char *place, struct arena *arena,
                      struct db_sql *sql_r, struct err *err);

/* What becomes of each field of a row when no other field is looked at. */
enum schema_verdict_state {
    VERDICT_UNMAPPED, /* no column, or not in the plan */
    VERDICT_PASSED,
    VERDICT_REJECTED,
};
struct schema_verdict {
    enum schema_verdict_state state;
    bool absent;         /* the owner stores no value; a default may have stood in */
    const char *rule;    /* of the rejection, literal; "" when it passed */
    const char *code;    /* stable reason code, literal */
    const char *warning; /* first warning's code, or NULL */
};
/* One verdict for each field of the type, by position. -1 only when a binary value is malformed. */
int schema_plan_row_judge(const struct schema_plan *plan, const struct db_rows *rows, int row,
                          struct schema_verdict *verdicts_r, struct err *err);

/* Where a top-level field is stored whole: the quoted table and the column's own name, borrowed. False when it
 * is put together, or comes from a query. */
bool schema_dataset_column(const struct schema_dataset *dataset, const char *field,
                           const char **table_r, const char **column_r);

/* True when the mapping fills this top-level field, or one below it. */
bool schema_dataset_maps(const struct schema_dataset *dataset, const struct schema_field *field);

/* A stored value, as text. */
struct schema_stored {
    const char *column;
    const char *text; /* NULL: SQL NULL, or no text (NOT_UTF8, too long) */
    bool null;
};
/* What the owner stores in the columns of one field of a row, for the owner's eyes only; fills at
 * most `max`. */
size_t schema_plan_row_stored(const struct schema_plan *plan, const struct db_rows *rows, int row,
                              const struct schema_field *field, struct arena *arena,
                              struct schema_stored *stored_r, size_t max);

/* Values of fields with semantic CITIZEN_ID in an encoded record, for the person index: answers how
 * many there are, filling at most `max`. */
size_t schema_plan_persons(const struct schema_plan *plan, const uint8_t *record, size_t len,
                           struct slice *values_r, size_t max);
/* The same for those that were masked in the last row; they stand until the next one. */
size_t schema_plan_masked_persons(const struct schema_plan *plan, struct slice *values_r,
                                  size_t max);

#endif
