/* Where installed files lie: beside the program, or in a checkout.
 * Ownership: paths are the caller's to free.
 * Never calls back.
 * Limits: PATH_MAX of the system.
 * Does not read the files. */
#ifndef SLUICE_CLI_PLACES_H
#define SLUICE_CLI_PLACES_H

/* The schemas folder: SLUICE_SCHEMAS, else <prefix>/share/sluice/schemas when the program is
 * installed as <prefix>/bin/sluice, else "schemas". */
char *places_schemas(void);
/* Its folder "control". */
char *places_migrations(void);
/* The descriptor set: `given` (may be NULL), or as installed in `dir`, or as `make` leaves it. */
char *places_descriptors(const char *given, const char *dir);

#endif
