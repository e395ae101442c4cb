/* Catalogue entries as CSV with the guideline's column names, a row for each data item.
 * Ownership: lists are the caller's to json_decref; text goes to the caller's buffer.
 * Never calls back.
 * Limits: CATALOGUE_CSV_CELL_BYTES a cell; each column once.
 * Does not judge what an entry says: the gateway does. */
#ifndef SLUICE_CLI_CATALOGUE_CSV_H
#define SLUICE_CLI_CATALOGUE_CSV_H

#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"

/* A list of codes or an item's texts; every single text has at most 1,024 bytes, codes many. */
enum { CATALOGUE_CSV_CELL_BYTES = 32 * 1024 };

/* `text` is UTF-8 without NUL; `file` stands for it in positions. The entries as proto3 JSON of
 * sluice.v1.CatalogueContent; NULL with "file:line:column: what to do", in the reader's language, in
 * `complaint`, which is empty otherwise. */
json_t *catalogue_csv_read(const char *file, const char *text, size_t len, struct buf *complaint);

/* The rows of one entry behind those that are there; the header first when `out` is empty. Reading what
 * was written gives equal entries. -1: out of room. */
int catalogue_csv_write(const json_t *content, struct buf *out);
int catalogue_csv_write_header(struct buf *out);

#endif
