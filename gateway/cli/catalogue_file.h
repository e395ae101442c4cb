/* Files of catalogue entries, read for import.
 * Ownership: the list is the caller's to json_decref.
 * Never calls back.
 * Limits: CATALOGUE_FILE_BYTES_MAX; how many entries an import has is the gateway's to say.
 * Does not judge what an entry says: the gateway does. */
#ifndef SLUICE_CLI_CATALOGUE_FILE_H
#define SLUICE_CLI_CATALOGUE_FILE_H

#include <jansson.h>

enum { CATALOGUE_FILE_BYTES_MAX = 4 * 1024 * 1024 }; /* as the gateway takes in one request */

/* The entries of a file as proto3 JSON of sluice.v1.CatalogueContent; NULL after a complaint with file,
 * line and column. */
json_t *catalogue_file_read(const char *path);

#endif
