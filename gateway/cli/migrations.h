/* The numbered files that make the control database: reading and ordering them.
 * Ownership: the list owns its names and texts.
 * Never calls back.
 * Limits: MIGRATIONS_MAX files of MIGRATION_BYTES_MAX; a file beyond is refused, not cut.
 * Does not talk to a database (control.c does). */
#ifndef SLUICE_CLI_MIGRATIONS_H
#define SLUICE_CLI_MIGRATIONS_H

#include <stddef.h>

#include "base/err.h"

enum {
    MIGRATIONS_MAX = 999,
    MIGRATION_BYTES_MAX = 4 * 1024 * 1024,
    MIGRATION_DIGEST_TEXT = 65,
};

struct migration {
    int number;                         /* from the name */
    char *name;                         /* "001_control.sql" */
    char *sql;                          /* ends with NUL */
    char digest[MIGRATION_DIGEST_TEXT]; /* hex SHA-256 of the file */
};

struct migrations {
    struct migration *items; /* by number */
    size_t count;
};

/* Reads every NNN_name.sql of a folder. -1 with NOT_FOUND (no folder, no file) or INVALID_ARGUMENT
 * (two files of one number, not UTF-8, too large); the text names the file. */
int migrations_load(const char *dir, struct migrations *migrations_r, struct err *err);
void migrations_fini(struct migrations *migrations);

/* The number of a file name of the form NNN_name.sql, or 0. */
int migration_number(const char *name);
/* 1-based line of the 1-based character `position` of a text, as PostgreSQL counts it. */
size_t migration_line(const char *sql, size_t position);

#endif
