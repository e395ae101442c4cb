/* A worker's or the mover's way to the auditor: the socketpair that the master made for the two.
 * Ownership: the link owns its socket and borrows master and client; free it before them.
 * Callbacks: what arrives goes to the audit client.
 * Limits: when the way is lost, the master is asked for a new one every AUDITOR_AGAIN_MS.
 * Does not know what an entry is. */
#ifndef SLUICE_DAEMON_AUDITOR_LINK_H
#define SLUICE_DAEMON_AUDITOR_LINK_H

#include <stddef.h>
#include <stdint.h>

struct audit_client;
struct auditor_link;
struct ipc;
struct loop;

struct auditor_link *auditor_link_new(struct loop *loop, struct ipc *master);
/* Accepts NULL. */
void auditor_link_free(struct auditor_link **link);
/* Without a client every descriptor that comes is closed. */
void auditor_link_serve(struct auditor_link *link, struct audit_client *client);
/* The `send` of audit_client_options, with the link as its argument. */
void auditor_link_send(void *link, const uint8_t *message, size_t len);
/* The link takes `fd`, in place of the one it has. */
void auditor_link_attach(struct auditor_link *link, int fd);
/* Blocks until what is queued is written: for the last words of a process. */
void auditor_link_flush(struct auditor_link *link);

#endif
