#include "audit/append_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { KNOWN_BYTES = UUID_BYTES + 8 };

static void take_from(struct append_batch *batch, struct list *queue, size_t count_max,
                      size_t *bytes)
{
    while (batch->count < count_max && !list_empty(queue) && *bytes < APPENDER_BATCH_BYTES_MAX) {
        struct append_item *item = list_item(list_pop(queue), struct append_item, link);
        *bytes += item->size;
        batch->careful |= item->resent;
        batch->charges |= item->charge != 0;
        batch->items[batch->count++] = item;
    }
}

void append_batch_take(struct append_batch *batch, struct list *allowed, struct list *denied)
{
    assert(batch->count == 0);
    size_t bytes = 0;
    size_t kept = list_empty(denied) ? 0 : APPENDER_DENIED_SHARE;
    batch->careful = false;
    batch->charges = false;
    take_from(batch, allowed, APPENDER_BATCH_MAX - kept, &bytes);
    take_from(batch, denied, APPENDER_BATCH_MAX, &bytes);
    memcpy(batch->fresh, batch->items, batch->count * sizeof *batch->items);
    batch->fresh_count = batch->count;
    uuid7_make(batch->id);
}

static struct append_item *item_of(struct append_item *const *items, size_t count,
                                   const uint8_t *id)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(items[i]->id, id, UUID_BYTES) == 0)
            return items[i];
    }
    return NULL;
}

void append_batch_settle(struct append_batch *batch, int64_t first)
{
    for (size_t i = 0; i < batch->fresh_count; i++)
        batch->fresh[i]->index = first + (int64_t)i;
    /* An id that came twice has one index. */
    for (size_t i = 0; i < batch->count; i++) {
        struct append_item *item = batch->items[i];
        if (item->index < 0)
            item->index = item_of(batch->fresh, batch->fresh_count, item->id)->index;
    }
}

static int64_t be64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

int append_batch_known(struct append_batch *batch, struct slice known)
{
    if (known.len % KNOWN_BYTES != 0)
        return -1;
    int found = 0;
    for (size_t at = 0; at < known.len; at += KNOWN_BYTES) {
        struct append_item *item = item_of(batch->items, batch->count, known.data + at);
        if (item == NULL)
            return -1;
        item->index = be64(known.data + at + UUID_BYTES);
        found++;
    }
    batch->fresh_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct append_item *item = batch->items[i];
        struct append_item *twin = item_of(batch->items, i, item->id);
        if (twin != NULL)
            item->index = twin->index;
        else if (item->index < 0)
            batch->fresh[batch->fresh_count++] = item;
    }
    return found;
}

int append_batch_charged(struct append_batch *batch, struct slice charged, int32_t day,
                         int64_t left_ms)
{
    if (charged.len % KNOWN_BYTES != 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i]->charged = -1;
    for (size_t at = 0; at < charged.len; at += KNOWN_BYTES) {
        int64_t records = be64(charged.data + at + UUID_BYTES);
        if (records < 0 || item_of(batch->items, batch->count, charged.data + at) == NULL)
            return -1;
        /* An entry that came twice has one verdict. */
        for (size_t i = 0; i < batch->count; i++)
            if (memcmp(batch->items[i]->id, charged.data + at, UUID_BYTES) == 0)
                batch->items[i]->charged = records;
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct append_item *item = batch->items[i];
        if (item->charge > 0 && item->charged < 0)
            return -1;
        item->refused = item->charge > 0 && item->charged == 0;
        item->charge_day = item->charge > 0 ? day : item->charge_day;
        item->retry_after_ms = item->refused ? left_ms : 0;
    }
    return 0;
}

/* Answers those items of one worker that come at `from` or later. */
static void answer_worker(const struct append_batch *batch, size_t from, struct slice checkpoint,
                          void (*send)(void *arg, void *worker, const uint8_t *message, size_t len),
                          void *arg)
{
    Sluice__Internal__AppendReply__Result results[APPENDER_BATCH_MAX];
    Sluice__Internal__AppendReply__Result *pointers[APPENDER_BATCH_MAX];
    Sluice__Internal__AppendReply reply = SLUICE__INTERNAL__APPEND_REPLY__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    void *worker = batch->items[from]->worker;
    for (size_t i = from; i < batch->count; i++) {
        struct append_item *item = batch->items[i];
        if (item->worker != worker)
            continue;
        Sluice__Internal__AppendReply__Result *result = &results[reply.n_results];
        sluice__internal__append_reply__result__init(result);
        result->id = (ProtobufCBinaryData){ .len = UUID_BYTES, .data = item->id };
        result->index = item->index;
        if (item->charge > 0) {
            result->refused = item->refused;
            result->charged = item->charged;
            result->charge_day = item->charge_day;
            result->retry_after_ms = item->retry_after_ms;
        }
        pointers[reply.n_results++] = result;
    }
    reply.results = pointers;
    reply.checkpoint =
        (ProtobufCBinaryData){ .len = checkpoint.len, .data = (uint8_t *)checkpoint.data };
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPENDED;
    message.appended = &reply;
    size_t len = sluice__internal__ipc_message__get_packed_size(&message);
    uint8_t *packed = mem_zero(len);
    (void)sluice__internal__ipc_message__pack(&message, packed);
    send(arg, worker, packed, len);
    free(packed);
}

void append_batch_answer(const struct append_batch *batch, struct slice checkpoint,
                         void (*send)(void *arg, void *worker, const uint8_t *message, size_t len),
                         void *arg)
{
    for (size_t i = 0; i < batch->count; i++) {
        void *worker = batch->items[i]->worker;
        bool answered = worker == NULL;
        for (size_t j = 0; j < i && !answered; j++)
            answered = batch->items[j]->worker == worker;
        if (!answered)
            answer_worker(batch, i, checkpoint, send, arg);
    }
}

void append_batch_clear(struct append_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        append_item_free(&batch->items[i]);
    batch->count = 0;
    batch->fresh_count = 0;
}

void append_batch_move(struct append_batch *to, struct append_batch *from)
{
    assert(to->count == 0);
    *to = *from;
    from->count = 0;
    from->fresh_count = 0;
}

void append_batch_forget(struct append_batch *batch, const void *worker)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i]->worker == worker)
            batch->items[i]->worker = NULL;
}
