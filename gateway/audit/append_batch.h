/* One group of entries under way: which they are, what became of each, and the answers to their
 *   workers.
 * Ownership: the batch owns its items until append_batch_clear, which frees them.
 * Callbacks: `send` of append_batch_answer, once for each worker.
 * Limits: APPENDER_BATCH_MAX items and APPENDER_BATCH_BYTES_MAX, at least one item.
 * Inside the room only. */
#ifndef SLUICE_AUDIT_APPEND_BATCH_H
#define SLUICE_AUDIT_APPEND_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/append_item.h"
#include "audit/appender.h"

struct append_batch {
    uint8_t id[UUID_BYTES];
    struct append_item *items[APPENDER_BATCH_MAX];
    size_t count;
    struct append_item
        *fresh[APPENDER_BATCH_MAX]; /* those to insert, in order; borrowed from items */
    size_t fresh_count;
    bool careful; /* some of it may be in the log: look before inserting */
    bool charges; /* some of it is charged to a daily quota */
};

/* Moves the next items off the queues, allowed ones first. The batch must be empty. */
void append_batch_take(struct append_batch *batch, struct list *allowed, struct list *denied);
/* The batch was committed with its first fresh item at `first`. */
void append_batch_settle(struct append_batch *batch, int64_t first);
/* Notes which items the store knows: 24 bytes each, id and index. Makes `fresh` the rest, each id
 * once. Answers how many are known, or -1 for bytes that are not such a list. */
int append_batch_known(struct append_batch *batch, struct slice known);
/* Takes the store's verdict on charges: 24 bytes each, id and records charged, 0 for a refusal. `day` is
 * the day they count for, `left_ms` what is left of it. -1 for bytes that are not such a list, or when
 * an item that charges is not in it. */
int append_batch_charged(struct append_batch *batch, struct slice charged, int32_t day,
                         int64_t left_ms);
void append_batch_answer(const struct append_batch *batch, struct slice checkpoint,
                         void (*send)(void *arg, void *worker, const uint8_t *message, size_t len),
                         void *arg);
void append_batch_clear(struct append_batch *batch);
/* `to` must be empty; `from` is afterwards. */
void append_batch_move(struct append_batch *to, struct append_batch *from);
/* This worker is gone: its items are appended and answered to nobody. */
void append_batch_forget(struct append_batch *batch, const void *worker);

#endif
