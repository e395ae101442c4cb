#include "audit/client.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "audit/denials.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

enum {
    BUCKETS = 16384, /* a power of two above AUDIT_UNRESOLVED_MAX */
    FRAME_ENTRIES_MAX = 512,
    DEADLINE_GRAIN_US = 10 * 1000, /* many deadlines at once cost one scan */
    STATUS_CANCELLED = 1,
    STATUS_UNAVAILABLE = 14,
    TAG_APPEND_REQUEST = 20 << 3 | 2, /* IpcMessage.append */
    TAG_ENTRIES = 1 << 3 | 2,         /* AppendRequest.entries */
    TAG_RESENT = 5 << 3,              /* Append.resent */
};

/* A ticket's list is its state: ready (its callback is due), unsent, or sent. */
struct audit_ticket {
    struct list link;
    struct list due; /* on client.due while its deadline is being told */
    struct audit_ticket *bucket_next;
    struct buf append; /* packed sluice.internal.Append; empty when never admitted */
    uint8_t id[UUID_BYTES];
    audit_done_fn done; /* NULL: fired or cancelled */
    void *arg;
    int64_t deadline_us;
    bool marks;     /* an allowed decision: needs a mark when its call has given up */
    bool cancelled; /* by its caller, not by its deadline */
    bool resent;
    struct err err; /* ready only; code OK: a counted denial */
};

struct audit_client {
    struct loop *loop;
    struct audit_client_options options;
    struct audit_source source;
    struct denials *denials;
    struct list ready;
    struct list unsent;
    struct list sent;
    struct list due;
    struct audit_ticket **buckets;
    struct loop_task ready_task;
    struct loop_task flush_task;
    struct loop_timer deadline_timer;
    struct loop_timer denials_timer;
    struct loop_timer settled_timer;
    struct buf settled;        /* exchange ids to tell */
    int64_t deadline_armed_us; /* 0: not armed */
    bool attached;
    bool writable;
    char reason[ERR_TEXT_BYTES];
    struct audit_charge charge; /* of the entry being answered */
    struct salt_opener *salts;
    struct audit_client_stats stats;
};

static void run_ready(void *arg);
static void run_flush(void *arg);
static void run_deadlines(void *arg);
static void run_denials(void *arg);
static void run_settled(void *arg);
static void send_question(void *arg, const uint8_t *message, size_t len);

struct audit_client *audit_client_new(struct loop *loop, const struct audit_client_options *options)
{
    struct audit_client *client = mem_zero(sizeof *client);
    client->loop = loop;
    client->options = *options;
    audit_source_init(&client->source, options->origin, options->instance);
    client->options.origin = client->source.origin;
    client->options.instance = client->source.instance;
    client->denials = denials_new();
    list_init(&client->ready);
    list_init(&client->unsent);
    list_init(&client->sent);
    list_init(&client->due);
    client->buckets = mem_array(BUCKETS, sizeof *client->buckets);
    loop_task_init(&client->ready_task, run_ready, client);
    loop_task_init(&client->flush_task, run_flush, client);
    loop_timer_init(&client->deadline_timer, loop, run_deadlines, client);
    loop_timer_init(&client->denials_timer, loop, run_denials, client);
    loop_timer_init(&client->settled_timer, loop, run_settled, client);
    buf_init(&client->settled, AUDIT_FRAME_BYTES_MAX);
    client->salts = salt_opener_new(loop, send_question, client);
    return client;
}

static void ticket_free(struct audit_ticket *ticket)
{
    /* It holds the entry's salt. */
    if (ticket->append.len > 0)
        OPENSSL_cleanse(ticket->append.data, ticket->append.len);
    buf_fini(&ticket->append);
    free(ticket);
}

static void free_all(struct list *tickets)
{
    for (struct list *link; (link = list_pop(tickets)) != NULL;)
        ticket_free(list_item(link, struct audit_ticket, link));
}

void audit_client_free(struct audit_client **client)
{
    struct audit_client *c = *client;
    if (c == NULL)
        return;
    loop_task_cancel(&c->ready_task);
    loop_task_cancel(&c->flush_task);
    loop_timer_fini(&c->deadline_timer);
    loop_timer_fini(&c->denials_timer);
    loop_timer_fini(&c->settled_timer);
    buf_fini(&c->settled);
    salt_opener_free(&c->salts);
    free_all(&c->ready);
    free_all(&c->unsent);
    free_all(&c->sent);
    denials_free(&c->denials);
    audit_source_fini(&c->source);
    free(c->buckets);
    free(c);
    *client = NULL;
}

/* --- unresolved tickets by id -------------------------------------------------------------------
 */

static struct audit_ticket **bucket_of(struct audit_client *client, const uint8_t *id)
{
    /* The last bytes of a UUIDv7 are random. */
    size_t hash = (size_t)id[14] << 8 | id[15];
    return &client->buckets[hash & (BUCKETS - 1)];
}

static void remember(struct audit_client *client, struct audit_ticket *ticket)
{
    struct audit_ticket **bucket = bucket_of(client, ticket->id);
    ticket->bucket_next = *bucket;
    *bucket = ticket;
    client->stats.unresolved++;
    client->stats.unresolved_bytes += ticket->append.len;
}

/* Takes the ticket out; NULL when the id is not waited for (an answer twice, after a resend). */
static struct audit_ticket *recall(struct audit_client *client, const uint8_t *id)
{
    struct audit_ticket **at = bucket_of(client, id);
    while (*at != NULL && memcmp((*at)->id, id, UUID_BYTES) != 0)
        at = &(*at)->bucket_next;
    struct audit_ticket *ticket = *at;
    if (ticket == NULL)
        return NULL;
    *at = ticket->bucket_next;
    list_remove(&ticket->link);
    list_remove(&ticket->due);
    client->stats.unresolved--;
    client->stats.unresolved_bytes -= ticket->append.len;
    return ticket;
}

/* --- admission ----------------------------------------------------------------------------------
 */

static void arm_deadline(struct audit_client *client, int64_t deadline_us)
{
    if (client->deadline_armed_us != 0 && client->deadline_armed_us <= deadline_us)
        return;
    int64_t delay_us = deadline_us - loop_now_us(client->loop);
    if (delay_us < DEADLINE_GRAIN_US)
        delay_us = DEADLINE_GRAIN_US;
    client->deadline_armed_us = loop_now_us(client->loop) + delay_us;
    loop_timer_start_us(&client->deadline_timer, delay_us);
}

/* Serialises and queues; -1 with the ticket's error. */
static int admit(struct audit_client *client, struct audit_ticket *ticket,
                 const struct audit_entry_fields *fields)
{
    if (audit_entry_build(&client->source, fields, &ticket->append, ticket->id, &ticket->err) != 0)
        return -1;
    ticket->marks = fields->kind == SLUICE__V1__AUDIT_ENTRY__KIND__DECISION &&
                    fields->outcome == SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED;
    remember(client, ticket);
    list_append(&client->unsent, &ticket->link);
    client->stats.admitted++;
    if (client->attached)
        loop_task_post(client->loop, &client->flush_task);
    return 0;
}

static struct audit_ticket *ticket_new(void)
{
    struct audit_ticket *ticket = mem_zero(sizeof *ticket);
    list_init(&ticket->link);
    list_init(&ticket->due);
    buf_init_large(&ticket->append, AUDIT_APPEND_BYTES_MAX);
    return ticket;
}

static bool backlog_full(const struct audit_client *client)
{
    return client->stats.unresolved >= AUDIT_UNRESOLVED_MAX ||
           client->stats.unresolved_bytes >= AUDIT_UNRESOLVED_BYTES_MAX;
}

static bool shared_denial(struct audit_client *client, const struct audit_entry_fields *fields)
{
    bool waiting = denials_due_us(client->denials) >= 0;
    if (fields->kind != SLUICE__V1__AUDIT_ENTRY__KIND__DECISION || !audit_entry_denied(fields) ||
        !denials_count(client->denials, fields, loop_now_us(client->loop)))
        return false;
    client->stats.denials_shared++;
    if (!waiting)
        loop_timer_start_us(&client->denials_timer, DENIALS_WINDOW_US);
    return true;
}

struct audit_ticket *audit_client_append(struct audit_client *client,
                                         const struct audit_entry_fields *fields,
                                         int64_t deadline_us, audit_done_fn done, void *arg)
{
    /* An allowed decision releases something, so somebody must wait for it. */
    assert(done != NULL || fields->kind != SLUICE__V1__AUDIT_ENTRY__KIND__DECISION);
    struct audit_ticket *ticket = ticket_new();
    ticket->done = done;
    ticket->arg = arg;
    ticket->deadline_us = deadline_us;
    bool waits = false;
    if (!shared_denial(client, fields)) {
        if (backlog_full(client))
            (void)err_set(&ticket->err, ERR_RESOURCE_EXHAUSTED, "AUDIT_BACKLOG",
                          "The audit log is behind; wait a moment and call again.");
        else
            waits = admit(client, ticket, fields) == 0;
        if (!waits)
            client->stats.refused++;
    }
    if (waits) {
        arm_deadline(client, deadline_us);
    } else {
        list_append(&client->ready, &ticket->link);
        loop_task_post(client->loop, &client->ready_task);
    }
    return ticket;
}

/* An entry of our own, which replaces one that was just resolved or stands for many. */
static void append_own(struct audit_client *client, const struct audit_entry_fields *fields)
{
    struct audit_ticket *ticket = ticket_new();
    if (admit(client, ticket, fields) != 0) {
        log_error(LOG_ERROR, NULL, "audit_entry_lost", &ticket->err);
        ticket_free(ticket);
    }
}

void audit_client_cancel(struct audit_ticket **ticket)
{
    struct audit_ticket *t = *ticket;
    *ticket = NULL;
    if (t == NULL)
        return;
    t->done = NULL;
    t->cancelled = true;
    list_remove(&t->due);
    if (t->append.len == 0) { /* ready, never admitted */
        list_remove(&t->link);
        ticket_free(t);
    }
}

static void run_ready(void *arg)
{
    struct audit_client *client = arg;
    for (struct list *link; (link = list_pop(&client->ready)) != NULL;) {
        struct audit_ticket *ticket = list_item(link, struct audit_ticket, link);
        bool refused = ticket->err.code != ERR_OK;
        if (ticket->done != NULL)
            ticket->done(ticket->arg, -1, slice_of(NULL, 0), refused ? &ticket->err : NULL);
        else if (refused)
            log_error(LOG_ERROR, NULL, "audit_entry_lost", &ticket->err);
        ticket_free(ticket);
    }
}

static void share_denials(void *arg, const struct audit_entry_fields *fields)
{
    append_own(arg, fields);
}

static void run_denials(void *arg)
{
    struct audit_client *client = arg;
    denials_flush(client->denials, loop_now_us(client->loop), share_denials, client);
    int64_t due_us = denials_due_us(client->denials);
    if (due_us >= 0)
        loop_timer_start_us(&client->denials_timer, due_us - loop_now_us(client->loop));
}

void audit_client_drain(struct audit_client *client)
{
    denials_flush(client->denials, INT64_MAX, share_denials, client);
    loop_timer_cancel(&client->denials_timer);
    if (client->attached)
        run_flush(client);
    run_settled(client);
}

/* --- deadlines ----------------------------------------------------------------------------------
 */

static void expire(struct audit_client *client, struct audit_ticket *ticket)
{
    struct err err = ERR_INIT;
    audit_done_fn done = ticket->done;
    (void)err_set(&err, ERR_UNAVAILABLE, "AUDIT_UNAVAILABLE",
                  "The audit log did not answer in time, so nothing was released; call again.");
    if (!client->writable)
        (void)err_detail(&err, "auditor: %s", client->attached ? client->reason : "not attached");
    ticket->done = NULL;
    client->stats.expired++;
    if (done != NULL)
        done(ticket->arg, -1, slice_of(NULL, 0), &err);
}

/* Puts what is due on client->due and answers the next deadline behind `now_us`, 0: none. */
static int64_t collect_due(struct audit_client *client, struct list *tickets, int64_t now_us,
                           int64_t next_us)
{
    list_for_each(link, tickets)
    {
        struct audit_ticket *ticket = list_item(link, struct audit_ticket, link);
        if (ticket->done == NULL)
            continue;
        if (ticket->deadline_us <= now_us)
            list_append(&client->due, &ticket->due);
        else if (next_us == 0 || ticket->deadline_us < next_us)
            next_us = ticket->deadline_us;
    }
    return next_us;
}

static void run_deadlines(void *arg)
{
    struct audit_client *client = arg;
    int64_t now_us = loop_now_us(client->loop);
    int64_t next_us = collect_due(client, &client->sent, now_us, 0);
    next_us = collect_due(client, &client->unsent, now_us, next_us);
    client->deadline_armed_us = 0;
    if (next_us != 0)
        arm_deadline(client, next_us);
    /* A callback may append and cancel others: cancelling takes them off this list. */
    for (struct list *link; (link = list_pop(&client->due)) != NULL;)
        expire(client, list_item(link, struct audit_ticket, due));
}

/* --- to the auditor ------------------------------------------------------------------------------
 */

static size_t wrapped_size(size_t len)
{
    return 1 + varint_size(len) + len;
}

static size_t entry_size(const struct audit_ticket *ticket)
{
    return ticket->append.len + (ticket->resent ? 2 : 0);
}

/* Writes IpcMessage{append: {entries: [...]}} around the packed entries from `first` up to `end`.
 */
static void send_frame(struct audit_client *client, struct list *first, const struct list *end,
                       size_t body_len)
{
    struct buf frame;
    buf_init(&frame, AUDIT_FRAME_BYTES_MAX + AUDIT_APPEND_BYTES_MAX + 64);
    (void)buf_append_varint(&frame, TAG_APPEND_REQUEST);
    (void)buf_append_varint(&frame, body_len);
    for (struct list *link = first; link != end; link = link->next) {
        struct audit_ticket *ticket = list_item(link, struct audit_ticket, link);
        (void)buf_append_byte(&frame, TAG_ENTRIES);
        (void)buf_append_varint(&frame, entry_size(ticket));
        int full = buf_append(&frame, ticket->append.data, ticket->append.len);
        assert(full == 0);
        if (ticket->resent) {
            /* Fields may come in any order, so the flag is set without packing anew. */
            (void)buf_append_byte(&frame, TAG_RESENT);
            (void)buf_append_byte(&frame, 1);
        }
    }
    client->options.send(client->options.arg, frame.data, frame.len);
    OPENSSL_cleanse(frame.data, frame.len);
    buf_fini(&frame);
}

static void run_flush(void *arg)
{
    struct audit_client *client = arg;
    if (!client->attached)
        return;
    while (!list_empty(&client->unsent)) {
        struct list *first = client->unsent.next, *end = first;
        size_t body_len = 0;
        for (unsigned n = 0; end != &client->unsent && n < FRAME_ENTRIES_MAX &&
                             body_len < AUDIT_FRAME_BYTES_MAX - AUDIT_LEAF_BYTES_MAX;
             n++, end = end->next)
            body_len += wrapped_size(entry_size(list_item(end, struct audit_ticket, link)));
        send_frame(client, first, end, body_len);
        while (client->unsent.next != end) {
            struct list *link = list_pop(&client->unsent);
            list_append(&client->sent, link);
        }
    }
    if (client->settled.len > 0)
        run_settled(client);
}

/* Rides behind the next entries, or goes alone a little later. */
static void run_settled(void *arg)
{
    struct audit_client *client = arg;
    Sluice__Internal__Settled settled = SLUICE__INTERNAL__SETTLED__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    loop_timer_cancel(&client->settled_timer);
    if (client->attached && client->settled.len > 0) {
        settled.exchange_ids.data = client->settled.data;
        settled.exchange_ids.len = client->settled.len;
        message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_SETTLED;
        message.settled = &settled;
        size_t len = sluice__internal__ipc_message__get_packed_size(&message);
        uint8_t *bytes = mem_zero(len);
        (void)sluice__internal__ipc_message__pack(&message, bytes);
        client->options.send(client->options.arg, bytes, len);
        free(bytes);
    }
    buf_reset(&client->settled); /* another auditor knows nothing of them */
}

void audit_client_settled(struct audit_client *client, const uint8_t *exchange_id)
{
    if (client->settled.len == 0)
        loop_timer_start(&client->settled_timer, AUDIT_SETTLED_MS);
    if (buf_append(&client->settled, exchange_id, UUID_BYTES) == 0)
        return;
    run_settled(client);
    (void)buf_append(&client->settled, exchange_id, UUID_BYTES);
    loop_timer_start(&client->settled_timer, AUDIT_SETTLED_MS);
}

/* Without an auditor the question waits for its deadline. */
static void send_question(void *arg, const uint8_t *message, size_t len)
{
    struct audit_client *client = arg;
    if (client->attached)
        client->options.send(client->options.arg, message, len);
}

struct salt_question *audit_client_unwrap(struct audit_client *client, const uint8_t *entry_id,
                                          struct slice wrapped, int64_t deadline_us,
                                          salt_opened_fn done, void *arg, struct err *err)
{
    return salt_opener_ask(client->salts, entry_id, wrapped, deadline_us, done, arg, err);
}

void audit_client_attached(struct audit_client *client)
{
    client->attached = true;
    /* In the order of admission: what was sent comes before what was not. */
    while (!list_empty(&client->sent)) {
        struct list *link = client->sent.prev;
        list_remove(link);
        list_prepend(&client->unsent, link);
        list_item(link, struct audit_ticket, link)->resent = true;
    }
    if (!list_empty(&client->unsent))
        loop_task_post(client->loop, &client->flush_task);
}

void audit_client_detached(struct audit_client *client)
{
    client->attached = false;
    client->writable = false;
}

bool audit_client_writable(const struct audit_client *client, const char **reason_r)
{
    if (reason_r != NULL)
        *reason_r = !client->attached   ? "the auditor is starting"
                    : !client->writable ? client->reason
                                        : "";
    return client->attached && client->writable;
}

void audit_client_stats(const struct audit_client *client, struct audit_client_stats *stats_r)
{
    *stats_r = client->stats;
}

/* --- from the auditor ----------------------------------------------------------------------------
 */

/* Decided and logged, but its call had given up: say so, or the log would claim a release. */
static void mark_unreleased(struct audit_client *client, const struct audit_ticket *ticket,
                            int64_t index)
{
    Sluice__Internal__Append *append =
        sluice__internal__append__unpack(NULL, ticket->append.len, ticket->append.data);
    assert(append != NULL);
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, append->leaf.len, append->leaf.data);
    assert(entry != NULL);
    struct audit_entry_fields fields;
    audit_entry_fields_from(entry, &fields);
    fields.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    fields.outcome = ticket->cancelled ? SLUICE__V1__AUDIT_ENTRY__OUTCOME__CANCELLED
                                       : SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED;
    fields.status = ticket->cancelled ? STATUS_CANCELLED : STATUS_UNAVAILABLE;
    fields.reason = "NOT_RELEASED";
    append_own(client, &fields);
    client->stats.late++;
    if (client->options.late != NULL)
        client->options.late(client->options.arg, fields.exchange_id, index);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    if (append->salt.len > 0)
        OPENSSL_cleanse(append->salt.data, append->salt.len);
    sluice__internal__append__free_unpacked(append, NULL);
}

/* The log itself says that nothing was released, so nothing is left to mark. */
static void over_quota(const struct audit_ticket *ticket,
                       const Sluice__Internal__AppendReply__Result *result, struct slice checkpoint)
{
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, AUDIT_QUOTA_REASON,
                  "the agreement's daily quota does not allow this many more records today; it "
                  "begins anew at midnight (Asia/Shanghai)");
    (void)err_retry_after(&err, (long)result->retry_after_ms);
    if (ticket->done != NULL)
        ticket->done(ticket->arg, result->index, checkpoint, &err);
}

static void resolve(struct audit_client *client,
                    const Sluice__Internal__AppendReply__Result *result, struct slice checkpoint)
{
    if (result->id.len != UUID_BYTES || result->index < 0)
        return;
    struct audit_ticket *ticket = recall(client, result->id.data);
    if (ticket == NULL)
        return;
    client->stats.resolved++;
    client->charge = (struct audit_charge){ result->charged, result->charge_day };
    if (result->refused)
        over_quota(ticket, result, checkpoint);
    else if (ticket->done != NULL)
        ticket->done(ticket->arg, result->index, checkpoint, NULL);
    else if (ticket->marks)
        mark_unreleased(client, ticket, result->index);
    client->charge = (struct audit_charge){ 0, 0 };
    ticket_free(ticket);
}

struct audit_charge audit_client_charge(const struct audit_client *client)
{
    return client->charge;
}

static void on_state(struct audit_client *client, const Sluice__Internal__AuditState *state)
{
    client->writable = state->writable;
    client->reason[0] = '\0';
    strncat(client->reason, state->reason, sizeof client->reason - 1);
}

void audit_client_on_message(struct audit_client *client,
                             const Sluice__Internal__IpcMessage *message)
{
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_AUDIT_STATE)
        on_state(client, message->audit_state);
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_SALT_UNWRAPPED)
        salt_opener_on_message(client->salts, message->salt_unwrapped);
    if (message->body_case != SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPENDED)
        return;
    const Sluice__Internal__AppendReply *reply = message->appended;
    struct slice checkpoint = slice_of(reply->checkpoint.data, reply->checkpoint.len);
    for (size_t i = 0; i < reply->n_results; i++)
        resolve(client, reply->results[i], checkpoint);
}
