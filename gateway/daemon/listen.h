/* The master's listening sockets: one SO_REUSEPORT socket for each worker slot and port.
 * Ownership: the master; children inherit duplicates. They are never closed while the address is
 *   in use: closing one would reset the connections queued on it.
 * Never calls back.
 * Limits: the kernel's backlog.
 * Does not accept. */
#ifndef SLUICE_DAEMON_LISTEN_H
#define SLUICE_DAEMON_LISTEN_H

#include "base/arena.h"
#include "sluice/internal/ipc.pb-c.h"

struct err;

/* The socket of `slot` on `address` ("127.0.0.1:8443", "[::1]:8443"), opened at the first call and
 * kept. -1 with FAILED_PRECONDITION/ADDRESS_IN_USE or ADDRESS_UNUSABLE. */
int listen_socket(const char *address, int slot, struct err *err);

/* For the master's upgrade in place: what is open, into the state (memory of `arena`), and back. */
void listen_save(Sluice__Internal__MasterState *state, struct arena *arena);
void listen_restore(const Sluice__Internal__MasterState *state);

#endif
