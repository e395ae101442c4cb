/* What the gateway's processes share: their command line, their tie to the master, their exit.
 * Ownership: plain values; descriptors are inherited and owned by the process.
 * Callbacks: none.
 * Limits: none.
 * Each process has its own file: master.c, worker.c, auditor.c, mover.c. */
#ifndef SLUICE_DAEMON_PROCESS_H
#define SLUICE_DAEMON_PROCESS_H

#include <stdint.h>

#include "base/buf.h"
#include "conf/conf.h"

struct ipc;

enum process_role { ROLE_MASTER, ROLE_WORKER, ROLE_AUDITOR, ROLE_MOVER };

/* As given on the command line; -1 = no such descriptor. */
struct process_options {
    enum process_role role;
    const char *config_file;
    int slot;       /* worker slot from 0 */
    int generation; /* for logs */
    int control_fd; /* socketpair to the master */
    int systems_fd; /* listening sockets */
    int officers_fd;
    int ops_fd;
    const char *program; /* the binary on disk, for exec */
    int state_fd;        /* of a master that was upgraded in place */
    const char *schema;  /* hex digest of the generation's bundle; NULL: the current one */
};

/* Exit statuses; sysexits.h. */
enum { EXIT_CONFIG = 78 };

int master_main(const struct process_options *options);
/* Whether this binary could take over from the master that wrote `state_fd`: 0 or EXIT_CONFIG, with
 * the reason on standard error. */
int master_check_state(const struct process_options *options);
int worker_main(const struct process_options *options);
int auditor_main(const struct process_options *options);
int mover_main(const struct process_options *options);

void process_configure_log(const struct conf *conf, const char *process);
/* Tells the master READY (`failure` NULL) or FAILED with a sentence; written before it returns.
 * `schema` (SCHEMA_DIGEST_BYTES or NULL): the bundle that is served, or that cannot be loaded. */
void process_report(struct ipc *master, const char *failure, const uint8_t *schema);
/* From here on the process only tidies up: a SIGTERM that comes late does not spoil its exit status. */
void process_ending(void);
/* Prometheus text of this process, for whoever answers /metrics. */
void process_send_stats(struct ipc *master, const struct buf *text);

#endif
