/* A worker's questions to the auditor, which alone has the key of the salts: unwrap this one.
 * Ownership: the opener owns its questions; a caller borrows one until its callback or its cancel.
 *   Salts are wiped when the callback returns.
 * Callbacks: `done` never inside salt_opener_ask, never after cancel, otherwise exactly once.
 * Limits: SALT_QUESTIONS_MAX wait at once; each has a deadline.
 * Does not decide what may be opened: the database gives no wrapped salt to a worker that two
 *   officers have not opened. */
#ifndef SLUICE_AUDIT_SALT_OPENER_H
#define SLUICE_AUDIT_SALT_OPENER_H

#include <stddef.h>
#include <stdint.h>

#include "audit/salt.h"
#include "sluice/internal/ipc.pb-c.h"

struct err;
struct loop;

enum { SALT_QUESTIONS_MAX = 64 };

struct salt_opener;
struct salt_question;

/* `send` takes the bytes of one packed sluice.internal.IpcMessage. */
typedef void (*salt_send_fn)(void *arg, const uint8_t *message, size_t len);
struct salt_opener *salt_opener_new(struct loop *loop, salt_send_fn send, void *arg);
void salt_opener_free(struct salt_opener **opener);

/* `salt` has SALT_BYTES and is valid during the callback; NULL with `err`: UNAVAILABLE
 * AUDIT_UNAVAILABLE (the deadline passed), DATA_LOSS SALT_DAMAGED. */
typedef void (*salt_opened_fn)(void *arg, const uint8_t *salt, const struct err *err);
/* `entry_id` has 16 bytes; both are used before the return. NULL with RESOURCE_EXHAUSTED
 * SALT_BUSY. */
struct salt_question *salt_opener_ask(struct salt_opener *opener, const uint8_t *entry_id,
                                      struct slice wrapped, int64_t deadline_us,
                                      salt_opened_fn done, void *arg, struct err *err);
/* Sets *question to NULL; accepts NULL. */
void salt_question_cancel(struct salt_question **question);

void salt_opener_on_message(struct salt_opener *opener,
                            const Sluice__Internal__SaltUnwrapped *message);

#endif
