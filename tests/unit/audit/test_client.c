#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/client.h"
#include "audit/denials.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"

#define SUBJECT "spiffe://gov.example/dept/civil/system/a"

/* A worker with a pretended auditor at the other end. */
enum { FRAMES_MAX = 64 };
struct bench {
    struct loop *loop;
    struct audit_client *client;
    Sluice__Internal__IpcMessage *frames[FRAMES_MAX];
    size_t frame_count;
    size_t late_count;
    int64_t late_index;
    struct loop_timer timer;
    bool over_quota; /* answer() refuses what charges */
};

static void on_send(void *arg, const uint8_t *message, size_t len)
{
    struct bench *bench = arg;
    assert_true(bench->frame_count < FRAMES_MAX);
    Sluice__Internal__IpcMessage *frame = sluice__internal__ipc_message__unpack(NULL, len, message);
    assert_non_null(frame);
    assert_int_equal(frame->body_case, SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPEND);
    bench->frames[bench->frame_count++] = frame;
}

static void on_late(void *arg, struct slice exchange_id, int64_t index)
{
    struct bench *bench = arg;
    assert_int_equal(exchange_id.len, 16);
    bench->late_count++;
    bench->late_index = index;
}

static void on_turn_over(void *arg)
{
    struct bench *bench = arg;
    loop_stop(bench->loop);
}

/* Lets everything that is due run: tasks run before the timer of the same turn can. */
static void turn(struct bench *bench, int64_t ms)
{
    loop_timer_start(&bench->timer, ms);
    loop_run(bench->loop);
}

static void setup(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->loop = loop_new();
    struct audit_client_options options = {
        .origin = "log.example", .instance = "gw-1", .send = on_send, .late = on_late, .arg = bench
    };
    bench->client = audit_client_new(bench->loop, &options);
    loop_timer_init(&bench->timer, bench->loop, on_turn_over, bench);
}

static void drop_frames(struct bench *bench)
{
    for (size_t i = 0; i < bench->frame_count; i++)
        sluice__internal__ipc_message__free_unpacked(bench->frames[i], NULL);
    bench->frame_count = 0;
}

static void teardown(struct bench *bench)
{
    drop_frames(bench);
    audit_client_free(&bench->client);
    loop_timer_fini(&bench->timer);
    loop_free(&bench->loop);
}

static const uint8_t exchange[16] = { 1, 2, 3 };

static struct audit_entry_fields decision(Sluice__V1__AuditEntry__Outcome outcome)
{
    return (struct audit_entry_fields){
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .outcome = outcome,
        .subject = SUBJECT,
        .dataset = "gov.person.v1",
        .exchange_id = slice_of(exchange, sizeof exchange),
    };
}

static const uint8_t salt[SALT_BYTES] = { 3 };

static struct audit_entry_fields allowed(void)
{
    struct audit_entry_fields fields = decision(SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED);
    fields.salt = salt;
    return fields;
}

static struct audit_entry_fields refused(void)
{
    return decision(SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED);
}

struct outcome {
    struct bench *bench; /* to ask for the charge; may be NULL */
    struct audit_charge charge;
    long retry_after_ms;
    int calls;
    int64_t index;
    char reason[64];
    char checkpoint[64];
};

static void on_done(void *arg, int64_t index, struct slice checkpoint, const struct err *err)
{
    struct outcome *outcome = arg;
    outcome->calls++;
    outcome->index = index;
    if (outcome->bench != NULL)
        outcome->charge = audit_client_charge(outcome->bench->client);
    outcome->retry_after_ms = err != NULL ? err->retry_after_ms : 0;
    (void)snprintf(outcome->reason, sizeof outcome->reason, "%s", err != NULL ? err->reason : "");
    (void)snprintf(outcome->checkpoint, sizeof outcome->checkpoint, "%.*s", (int)checkpoint.len,
                   checkpoint.len > 0 ? (const char *)checkpoint.data : "");
}

static int64_t in_ms(int64_t ms)
{
    return clock_monotonic_us() + ms * 1000;
}

static size_t entries_of(const struct bench *bench)
{
    size_t count = 0;
    for (size_t i = 0; i < bench->frame_count; i++)
        count += bench->frames[i]->append->n_entries;
    return count;
}

static const Sluice__Internal__Append *entry_at(const struct bench *bench, size_t which)
{
    for (size_t i = 0; i < bench->frame_count; i++) {
        if (which < bench->frames[i]->append->n_entries)
            return bench->frames[i]->append->entries[which];
        which -= bench->frames[i]->append->n_entries;
    }
    fail_msg("no entry");
    return NULL;
}

/* Answers all entries sent so far, the first with index `first`. */
static void answer(struct bench *bench, int64_t first)
{
    for (size_t f = 0; f < bench->frame_count; f++) {
        const Sluice__Internal__AppendRequest *request = bench->frames[f]->append;
        Sluice__Internal__AppendReply reply = SLUICE__INTERNAL__APPEND_REPLY__INIT;
        Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
        reply.n_results = request->n_entries;
        reply.results = mem_array(request->n_entries, sizeof *reply.results);
        for (size_t i = 0; i < request->n_entries; i++) {
            reply.results[i] = mem_zero(sizeof **reply.results);
            sluice__internal__append_reply__result__init(reply.results[i]);
            reply.results[i]->id = request->entries[i]->id;
            reply.results[i]->index = first++;
            if (request->entries[i]->charge > 0) {
                reply.results[i]->refused = bench->over_quota;
                reply.results[i]->charged = bench->over_quota ? 0 : request->entries[i]->charge;
                reply.results[i]->charge_day = 20000;
                reply.results[i]->retry_after_ms = bench->over_quota ? 7000 : 0;
            }
        }
        reply.checkpoint.data = (uint8_t *)"note";
        reply.checkpoint.len = 4;
        message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPENDED;
        message.appended = &reply;
        audit_client_on_message(bench->client, &message);
        for (size_t i = 0; i < request->n_entries; i++)
            free(reply.results[i]);
        free(reply.results);
    }
}

static void durable_entry(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome outcome = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    assert_int_equal(bench.frame_count, 0);
    turn(&bench, 1);
    assert_int_equal(bench.frame_count, 1); /* one frame a turn */
    assert_int_equal(entries_of(&bench), 2);
    assert_false(entry_at(&bench, 0)->resent);
    assert_int_equal(outcome.calls, 0);
    answer(&bench, 40);
    assert_int_equal(outcome.calls, 2);
    assert_int_equal(outcome.index, 41);
    assert_string_equal(outcome.reason, "");
    assert_string_equal(outcome.checkpoint, "note");
    answer(&bench, 40); /* an answer twice is harmless */
    assert_int_equal(outcome.calls, 2);
    struct audit_client_stats stats;
    audit_client_stats(bench.client, &stats);
    assert_int_equal(stats.unresolved, 0);
    assert_int_equal(stats.unresolved_bytes, 0);
    assert_int_equal(stats.resolved, 2);
    teardown(&bench);
}

static void a_charge_is_told_and_a_refusal_is_an_error_with_an_index(void **state)
{
    (void)state;
    struct bench bench;
    setup(&bench);
    struct outcome outcome = { .bench = &bench };
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    fields.charge = 12;
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    turn(&bench, 1);
    const Sluice__Internal__Append *entry = entry_at(&bench, 0);
    assert_int_equal(entry->charge, 12);
    /* The two leaves are one entry: same id, time and counter. */
    Sluice__V1__AuditEntry *leaf =
        sluice__v1__audit_entry__unpack(NULL, entry->leaf.len, entry->leaf.data);
    Sluice__V1__AuditEntry *no =
        sluice__v1__audit_entry__unpack(NULL, entry->refused_leaf.len, entry->refused_leaf.data);
    assert_non_null(leaf);
    assert_non_null(no);
    assert_memory_equal(leaf->id.data, no->id.data, UUID_BYTES);
    assert_true(leaf->time_us == no->time_us && leaf->counter == no->counter);
    assert_int_equal(no->decision->outcome, SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED);
    assert_string_equal(no->decision->reason, "QUOTA_EXHAUSTED");
    assert_int_equal(leaf->decision->outcome, SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED);
    sluice__v1__audit_entry__free_unpacked(leaf, NULL);
    sluice__v1__audit_entry__free_unpacked(no, NULL);
    answer(&bench, 3);
    assert_string_equal(outcome.reason, "");
    assert_true(outcome.charge.records == 12 && outcome.charge.day == 20000);
    assert_int_equal(audit_client_charge(bench.client).records, 0); /* of the callback only */
    bench.over_quota = true;
    drop_frames(&bench);
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    turn(&bench, 1);
    answer(&bench, 4);
    assert_int_equal(outcome.calls, 2);
    assert_int_equal(outcome.index, 4);
    assert_string_equal(outcome.reason, "QUOTA_EXHAUSTED");
    assert_int_equal(outcome.retry_after_ms, 7000);
    /* Refused after its call gave up: the log says so already, nothing is to be marked. */
    drop_frames(&bench);
    struct audit_ticket *ticket =
        audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    turn(&bench, 1);
    audit_client_cancel(&ticket);
    answer(&bench, 5);
    struct audit_client_stats stats;
    audit_client_stats(bench.client, &stats);
    assert_int_equal(stats.unresolved, 0);
    assert_int_equal(stats.late, 0);
    assert_int_equal(outcome.calls, 2);
    teardown(&bench);
}

static void errors_come_later(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome outcome = { 0 }, cancelled = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    fields.subject = "\xff";
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    struct audit_ticket *ticket =
        audit_client_append(bench.client, &fields, in_ms(5000), on_done, &cancelled);
    assert_int_equal(outcome.calls, 0);
    audit_client_cancel(&ticket);
    assert_null(ticket);
    audit_client_cancel(&ticket);
    turn(&bench, 1);
    assert_int_equal(outcome.calls, 1);
    assert_string_equal(outcome.reason, "ENTRY_INVALID");
    assert_int_equal(cancelled.calls, 0);
    assert_int_equal(bench.frame_count, 0);
    teardown(&bench);
}

static void backlog_is_bounded(void **state)
{
    (void)state;
    struct bench bench;
    static struct outcome outcomes[AUDIT_UNRESOLVED_MAX + 1];
    memset(outcomes, 0, sizeof outcomes);
    setup(&bench);
    struct audit_entry_fields fields = allowed();
    for (int i = 0; i <= AUDIT_UNRESOLVED_MAX; i++)
        (void)audit_client_append(bench.client, &fields, in_ms(60000), on_done, &outcomes[i]);
    turn(&bench, 1);
    assert_int_equal(outcomes[AUDIT_UNRESOLVED_MAX].calls, 1);
    assert_string_equal(outcomes[AUDIT_UNRESOLVED_MAX].reason, "AUDIT_BACKLOG");
    assert_int_equal(outcomes[0].calls, 0);
    /* A new auditor gets them all, in order and in bounded frames. */
    audit_client_attached(bench.client);
    turn(&bench, 1);
    assert_int_equal(entries_of(&bench), AUDIT_UNRESOLVED_MAX);
    assert_int_equal(bench.frame_count, AUDIT_UNRESOLVED_MAX / 512);
    answer(&bench, 0);
    for (int i = 0; i < AUDIT_UNRESOLVED_MAX; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].index, i);
    }
    teardown(&bench);
}

static void deadline_then_late(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome outcome = { 0 }, patient = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    (void)audit_client_append(bench.client, &fields, in_ms(15), on_done, &outcome);
    (void)audit_client_append(bench.client, &fields, in_ms(60000), on_done, &patient);
    turn(&bench, 200);
    assert_int_equal(outcome.calls, 1);
    assert_string_equal(outcome.reason, "AUDIT_UNAVAILABLE");
    assert_int_equal(outcome.index, -1);
    assert_int_equal(patient.calls, 0);
    assert_int_equal(bench.late_count, 0);
    /* The entry becomes durable after all: the log must not claim a release. */
    answer(&bench, 7);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(patient.calls, 1);
    assert_int_equal(bench.late_count, 1);
    assert_int_equal(bench.late_index, 7);
    drop_frames(&bench);
    turn(&bench, 1);
    assert_int_equal(entries_of(&bench), 1);
    const Sluice__Internal__Append *append = entry_at(&bench, 0);
    assert_int_equal(append->kind, SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY);
    assert_int_equal(append->outcome, SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED);
    assert_string_equal(append->subject, SUBJECT);
    assert_memory_equal(append->exchange_id.data, exchange, 16);
    assert_int_equal(append->salt.len, 0);
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, append->leaf.len, append->leaf.data);
    assert_string_equal(entry->decision->reason, "NOT_RELEASED");
    assert_int_equal(entry->counter, 3);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    /* The mark itself needs no mark. */
    answer(&bench, 9);
    drop_frames(&bench);
    turn(&bench, 1);
    assert_int_equal(bench.frame_count, 0);
    teardown(&bench);
}

static void cancel_then_result(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome outcome = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields yes = allowed(), no = refused();
    struct audit_ticket *a =
        audit_client_append(bench.client, &yes, in_ms(5000), on_done, &outcome);
    struct audit_ticket *b = audit_client_append(bench.client, &no, in_ms(5000), on_done, &outcome);
    audit_client_cancel(&a);
    audit_client_cancel(&b);
    turn(&bench, 1);
    assert_int_equal(entries_of(&bench), 2); /* still recorded */
    assert_false(entry_at(&bench, 0)->denied);
    assert_true(entry_at(&bench, 1)->denied);
    answer(&bench, 0);
    assert_int_equal(outcome.calls, 0);
    drop_frames(&bench);
    turn(&bench, 1);
    assert_int_equal(entries_of(&bench), 1); /* a refusal released nothing: no mark for it */
    assert_int_equal(entry_at(&bench, 0)->kind, SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY);
    assert_int_equal(entry_at(&bench, 0)->outcome, SLUICE__V1__AUDIT_ENTRY__OUTCOME__CANCELLED);
    teardown(&bench);
}

static void new_auditor_gets_unresolved_again(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome first = { 0 }, second = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &first);
    turn(&bench, 1);
    uint8_t id[16];
    memcpy(id, entry_at(&bench, 0)->id.data, 16);
    drop_frames(&bench);
    audit_client_detached(bench.client);
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &second);
    turn(&bench, 1);
    assert_int_equal(bench.frame_count, 0);
    audit_client_attached(bench.client);
    turn(&bench, 1);
    assert_int_equal(entries_of(&bench), 2);
    assert_memory_equal(entry_at(&bench, 0)->id.data, id, 16);
    assert_true(entry_at(&bench, 0)->resent);
    assert_false(entry_at(&bench, 1)->resent);
    answer(&bench, 5);
    assert_int_equal(first.index, 5);
    assert_int_equal(second.index, 6);
    teardown(&bench);
}

static void denials_share_and_answer_at_once(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome separate = { 0 }, counted = { 0 }, allowed_one = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields no = refused(), yes = allowed();
    for (int i = 0; i < DENIALS_SEPARATE; i++)
        (void)audit_client_append(bench.client, &no, in_ms(5000), on_done, &separate);
    for (int i = 0; i < 100; i++)
        (void)audit_client_append(bench.client, &no, in_ms(5000), on_done, &counted);
    (void)audit_client_append(bench.client, &yes, in_ms(5000), on_done, &allowed_one);
    assert_int_equal(counted.calls, 0);
    turn(&bench, 1);
    assert_int_equal(counted.calls, 100);
    assert_int_equal(counted.index, -1);
    assert_string_equal(counted.reason, "");
    assert_int_equal(separate.calls, 0);
    assert_int_equal(entries_of(&bench), DENIALS_SEPARATE + 1);
    drop_frames(&bench);
    audit_client_drain(bench.client);
    assert_int_equal(entries_of(&bench), 1);
    const Sluice__Internal__Append *append = entry_at(&bench, 0);
    assert_int_equal(append->kind, SLUICE__V1__AUDIT_ENTRY__KIND__DENIALS);
    assert_true(append->denied);
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, append->leaf.len, append->leaf.data);
    assert_int_equal(entry->stands_for, 100);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    teardown(&bench);
}

static void state_of_the_log(void **state)
{
    (void)state;
    struct bench bench;
    const char *reason;
    setup(&bench);
    assert_false(audit_client_writable(bench.client, &reason));
    audit_client_attached(bench.client);
    assert_false(audit_client_writable(bench.client, &reason));
    Sluice__Internal__AuditState told = SLUICE__INTERNAL__AUDIT_STATE__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_AUDIT_STATE;
    message.audit_state = &told;
    told.writable = 1;
    audit_client_on_message(bench.client, &message);
    assert_true(audit_client_writable(bench.client, &reason));
    told.writable = 0;
    told.reason = (char *)"disk full";
    audit_client_on_message(bench.client, &message);
    assert_false(audit_client_writable(bench.client, &reason));
    assert_string_equal(reason, "disk full");
    told.writable = 1;
    audit_client_on_message(bench.client, &message);
    audit_client_detached(bench.client);
    assert_false(audit_client_writable(bench.client, NULL));
    teardown(&bench);
}

static void hostile_replies(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome outcome = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    (void)audit_client_append(bench.client, &fields, in_ms(5000), on_done, &outcome);
    turn(&bench, 1);
    Sluice__Internal__AppendReply__Result result = SLUICE__INTERNAL__APPEND_REPLY__RESULT__INIT;
    Sluice__Internal__AppendReply__Result *results[] = { &result };
    Sluice__Internal__AppendReply reply = SLUICE__INTERNAL__APPEND_REPLY__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    reply.n_results = 1;
    reply.results = results;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPENDED;
    message.appended = &reply;
    uint8_t unknown[16] = { 0 };
    const ProtobufCBinaryData ids[] = { { 0, NULL }, { 15, unknown }, { 16, unknown } };
    for (size_t i = 0; i < 3; i++) {
        result.id = ids[i];
        audit_client_on_message(bench.client, &message);
    }
    result.id = entry_at(&bench, 0)->id;
    result.index = -1;
    audit_client_on_message(bench.client, &message);
    assert_int_equal(outcome.calls, 0);
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY__NOT_SET;
    audit_client_on_message(bench.client, &message);
    teardown(&bench);
}

/* A callback that appends and cancels others must not upset the walk over what is due. */
struct rude {
    struct bench *bench;
    struct audit_ticket *victim;
    struct outcome *outcome;
    int calls;
};

static void on_rude(void *arg, int64_t index, struct slice checkpoint, const struct err *err)
{
    struct rude *rude = arg;
    (void)index;
    (void)checkpoint;
    (void)err;
    rude->calls++;
    audit_client_cancel(&rude->victim);
    struct audit_entry_fields fields = allowed();
    (void)audit_client_append(rude->bench->client, &fields, in_ms(60000), on_done, rude->outcome);
}

static void callbacks_may_append_and_cancel(void **state)
{
    (void)state;
    struct bench bench;
    struct outcome victim = { 0 }, more = { 0 };
    setup(&bench);
    audit_client_attached(bench.client);
    struct audit_entry_fields fields = allowed();
    struct rude rude = { .bench = &bench, .outcome = &more };
    (void)audit_client_append(bench.client, &fields, in_ms(15), on_rude, &rude);
    rude.victim = audit_client_append(bench.client, &fields, in_ms(15), on_done, &victim);
    turn(&bench, 200);
    assert_int_equal(rude.calls, 1);
    assert_int_equal(victim.calls, 0);
    answer(&bench, 0);
    assert_int_equal(more.calls, 1);
    teardown(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durable_entry),
        cmocka_unit_test(a_charge_is_told_and_a_refusal_is_an_error_with_an_index),
        cmocka_unit_test(errors_come_later),
        cmocka_unit_test(backlog_is_bounded),
        cmocka_unit_test(deadline_then_late),
        cmocka_unit_test(cancel_then_result),
        cmocka_unit_test(new_auditor_gets_unresolved_again),
        cmocka_unit_test(denials_share_and_answer_at_once),
        cmocka_unit_test(state_of_the_log),
        cmocka_unit_test(hostile_replies),
        cmocka_unit_test(callbacks_may_append_and_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
