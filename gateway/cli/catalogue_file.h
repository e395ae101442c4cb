/* Files of catalogue entries, read for import: JSON, or CSV with the guideline's column names.
 * Ownership: the list and the text are the file's, until catalogue_file_fini.
 * Never calls back.
 * Limits: CATALOGUE_FILE_BYTES_MAX; how many entries an import has is the gateway's to say.
 * Does not judge what an entry says: the gateway does. */
#ifndef SLUICE_CLI_CATALOGUE_FILE_H
#define SLUICE_CLI_CATALOGUE_FILE_H

#include <jansson.h>

#include "base/buf.h"

enum { CATALOGUE_FILE_BYTES_MAX = 4 * 1024 * 1024 }; /* as the gateway takes in one request */

struct catalogue_file {
    struct buf text; /* UTF-8, whatever the file is in */
    json_t *entries; /* proto3 JSON of sluice.v1.CatalogueContent */
};

/* Text with or without a byte order mark, or GB 18030. -1 after a complaint with file, line and column;
 * there is something to release either way. */
int catalogue_file_read(struct catalogue_file *file, const char *path);
void catalogue_file_fini(struct catalogue_file *file);
/* Where a dataset is named first; false when it is not. */
bool catalogue_file_place(const struct catalogue_file *file, const char *dataset, int *line_r,
                          int *column_r);

/* Where the value stands that a refusal of the gateway's names by its path, "entries[0].items[1].type". */
bool catalogue_file_path(const struct catalogue_file *file, const char *path, int *line_r,
                         int *column_r);

/* Makes UTF-8 of `text` in place. True; false when it is neither UTF-8 nor GB 18030, or has a NUL, and
 * `bad_r` is the first byte that is not. */
bool catalogue_file_decode(struct buf *text, size_t *bad_r);

#endif
