/* Where in a JSON text the value stands that a path names, as the gateway names it in a refusal.
 * Ownership: texts are borrowed.
 * Never calls back.
 * Limits: none; the time is that of reading the text once.
 * Does not check the text: it has been parsed before. */
#ifndef SLUICE_CLI_JSON_PLACE_H
#define SLUICE_CLI_JSON_PLACE_H

#include <stddef.h>

/* The byte at which the value of "items[1].sourceDepartment" begins, counted from a value that begins at
 * `at`; members may stand in the text as in the .proto. `len` when there is none. */
size_t json_place_find(const char *text, size_t len, size_t at, const char *path);

#endif
