/* Reads the fields of comma-separated values (RFC 4180), with the place of each.
 * Ownership: the text is borrowed while it is read; a field goes to the caller's storage.
 * Never calls back.
 * Limits: a field by the caller's storage.
 * Does not know what columns mean, and does not check that the text is UTF-8. */
#ifndef SLUICE_SCHEMA_CSV_H
#define SLUICE_SCHEMA_CSV_H

#include <stdbool.h>
#include <stddef.h>

/* Line and column from 1; a column is a character. */
struct csv_place {
    int line;
    int column;
};

struct csv_reader {
    const char *text;
    size_t len;
    size_t at;
    size_t line_start;
    int line;
};

enum csv_result {
    CSV_FIELD,       /* there is one */
    CSV_TOO_LONG,    /* it does not fit */
    CSV_AFTER_QUOTE, /* something follows a quoted value */
    CSV_UNENDED,     /* a quoted value does not end */
};

/* A byte order mark, which spreadsheets write, is passed. */
void csv_start(struct csv_reader *reader, const char *text, size_t len);
static inline bool csv_more(const struct csv_reader *reader)
{
    return reader->at < reader->len;
}
struct csv_place csv_here(const struct csv_reader *reader);
/* Of a byte further on. */
struct csv_place csv_place_of(const struct csv_reader *reader, size_t at);
/* One field with its separator or line end; `text_r` has `size` bytes and gets a NUL. `last_r`: of its
 * record. The place is where the field begins, whatever the answer. */
enum csv_result csv_read_field(struct csv_reader *reader, char *text_r, size_t size,
                               struct csv_place *place_r, bool *last_r);

#endif
