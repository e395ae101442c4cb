/* Rows on standard output: an aligned table, JSON, JSON lines or CSV.
 * Ownership: the writer copies column names; rows stay the caller's, the file is borrowed.
 * Never calls back.
 * Limits: a table or a CSV without given columns looks at OUTPUT_SAMPLE_ROWS rows first and then
 *   streams, so memory does not grow with rows; a row's text is at most OUTPUT_ROW_BYTES_MAX.
 * Does not reorder rows and never drops a member silently: see output_row. */
#ifndef SLUICE_CLI_OUTPUT_H
#define SLUICE_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_CSV };

enum { OUTPUT_SAMPLE_ROWS = 200, OUTPUT_ROW_BYTES_MAX = 64 * 1024 * 1024 };

struct output;

/* False for an unknown name. */
bool output_format_parse(const char *name, enum output_format *format_r);

struct output *output_new(FILE *file, enum output_format format);
void output_free(struct output **output); /* without writing what is held back */

/* Columns of a table or CSV, in order; before the first row. Without them the first rows decide. */
void output_set_columns(struct output *output, const char *const *names, size_t count);
/* The same of fields of records, whose names are not translated in the heading of a table. */
void output_set_fields(struct output *output, const char *const *names, size_t count);
/* `raw`: CSV text cells that begin with = + - @ are written as they are. `header`: write one. */
void output_set_csv(struct output *output, bool raw, bool header);
/* CSV text is escaped like table text when it goes to a terminal. */
void output_set_terminal(struct output *output, bool terminal);

/* One JSON object. -1 when it has a member that is no column (output_unknown names it) or when
 * writing failed (output_cause). JSON formats write every member. */
int output_row(struct output *output, const json_t *row);
const char *output_unknown(const struct output *output); /* NULL when that was not the trouble */
int output_cause(const struct output *output);           /* errno of the first failed write, or 0 */

/* One JSON object as the whole answer: a table and a CSV show a line per member, JSON the object.
 */
int output_object(struct output *output, const json_t *object);

/* Writes the rows held back so far, if any: the columns stand from here on. An answer that failed
 * ends with this alone, so that a cut JSON array does not look whole. */
int output_flush(struct output *output);
/* Ends the answer and flushes. Without rows and without given columns a table or CSV is empty. */
int output_finish(struct output *output);

#endif
