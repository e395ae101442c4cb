/* A private PostgreSQL for one test program, with the means to hurt it.
 * Ownership: postgres_new/postgres_free; whatever is left is stopped and removed at exit.
 * Never calls back; every function waits until the thing is done, 30 s at most, or aborts the test.
 * Limits: trust authentication on loopback and a socket in a folder of its own; no fsync.
 * Does not replace a server that holds anything worth keeping. */
#ifndef SLUICE_TESTS_SUPPORT_POSTGRES_H
#define SLUICE_TESTS_SUPPORT_POSTGRES_H

#include <stdbool.h>
#include <sys/types.h>

struct postgres;

enum postgres_stop {
    POSTGRES_FAST,      /* SIGINT: ends every connection in good order */
    POSTGRES_IMMEDIATE, /* SIGQUIT: as after a crash, recovery at the next start */
    POSTGRES_KILL,      /* SIGKILL of the postmaster */
};

/* Makes the cluster, and starts it. */
struct postgres *postgres_new(void);
/* The same, without starting it. */
struct postgres *postgres_new_stopped(void);
void postgres_free(struct postgres **postgres);

/* For a server that is not running: lines of postgresql.conf, and a copy of a file in its data folder
 * that only the server may read. */
void postgres_configure(struct postgres *postgres, const char *lines);
void postgres_give_file(struct postgres *postgres, const char *path, const char *name);

void postgres_start(struct postgres *postgres);
void postgres_stop(struct postgres *postgres, enum postgres_stop how);
bool postgres_running(const struct postgres *postgres);

/* key=value for user postgres, database postgres; borrowed. */
const char *postgres_conninfo(const struct postgres *postgres);     /* Unix-domain socket */
const char *postgres_conninfo_tcp(const struct postgres *postgres); /* 127.0.0.1 */
int postgres_port(const struct postgres *postgres);
const char *postgres_socket_dir(const struct postgres *postgres);

/* Runs SQL (one or several statements) on a connection of its own; a failure aborts the test. */
void postgres_sql(const struct postgres *postgres, const char *sql);
/* First column of the first row as text, "" when there is none; the caller frees it. */
char *postgres_value(const struct postgres *postgres, const char *sql);

#endif
