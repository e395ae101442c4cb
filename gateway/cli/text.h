/* Text for people: escaping of hostile bytes, JSON text, numbers.
 * Ownership: output goes to the caller's buffer or is the caller's to free.
 * Never calls back.
 * Limits: the caller's buffer limit; appending past it is reported by the buffer.
 * Does not translate (messages.h) and does not write to a file. */
#ifndef SLUICE_CLI_TEXT_H
#define SLUICE_CLI_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Appends `text` so that a terminal shows it and does nothing else: C0 and C1 controls, DEL, line
 * separators and bidirectional overrides become \xNN or \u{N}, so do bytes that are not UTF-8. */
int text_append_safe(struct buf *out, const char *text, size_t len);
/* The same as a string to free. */
char *text_safe(const char *text);

/* JSON text (RFC 8259) of a value. `indent` 0: one line. Real numbers take the shortest text that
 * reads back to the same value; what text_append_safe escapes is written as \uNNNN, which is the
 * same value. */
int text_append_json(struct buf *out, const json_t *value, int indent);

/* The text of a value in a cell: strings as they are, null empty, objects and arrays as JSON. */
int text_append_cell(struct buf *out, const json_t *value);

/* "41,352"; `text_r` has TEXT_COUNT_BYTES. */
enum { TEXT_COUNT_BYTES = 32 };
void text_count(uint64_t count, char text_r[TEXT_COUNT_BYTES]);

/* "3 d 4 h", the two largest units of d, h, min, s; `text_r` has TEXT_DURATION_BYTES. */
enum { TEXT_DURATION_BYTES = 64 };
void text_duration(uint64_t seconds, char text_r[TEXT_DURATION_BYTES]);

/* True for a JSON number written as text, as proto3 JSON writes 64-bit integers. */
bool text_is_number(const char *text);

/* "county_code" -> "countyCode", as proto3 JSON writes field paths. The caller frees. */
char *text_lower_camel(const char *snake);

/* The paths of a FieldMask, which proto3 JSON writes as one string: ["a_b", "c"] -> "aB,c". The
 * caller frees. */
char *text_field_mask(const json_t *names);

/* Splits "a, b,c" into a JSON array of its trimmed parts; NULL when a part is empty. */
json_t *text_split(const char *list);

/* The name among `names` that is at most two typing errors away from `word`, or NULL. */
const char *text_nearest(const char *word, const char *const *names, size_t count);

#endif
