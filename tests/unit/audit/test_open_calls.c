/* audit: what a dead worker left open gets its entries; what was settled does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "audit/open_calls.h"
#include "base/err.h"
#include "base/mem.h"

enum { TAKEN_MAX = 1100 };

struct taken {
    Sluice__V1__AuditEntry *entries[TAKEN_MAX];
    size_t count;
};

static void take(void *arg, const Sluice__Internal__AppendRequest *request)
{
    struct taken *taken = arg;
    assert_int_equal(request->n_entries, 1);
    assert_true(taken->count < TAKEN_MAX);
    ProtobufCBinaryData leaf = request->entries[0]->leaf;
    taken->entries[taken->count] = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    assert_non_null(taken->entries[taken->count++]);
}

static void clear(struct taken *taken)
{
    for (size_t i = 0; i < taken->count; i++)
        sluice__v1__audit_entry__free_unpacked(taken->entries[i], NULL);
    taken->count = 0;
}

static void id_of(unsigned number, uint8_t id[UUID_BYTES])
{
    memset(id, 0, UUID_BYTES);
    id[0] = (uint8_t)number;
    id[1] = (uint8_t)(number >> 8);
    id[2] = (uint8_t)(number >> 16);
}

static void note(struct open_calls *open, struct audit_source *source, unsigned number,
                 Sluice__V1__AuditEntry__Kind kind, Sluice__V1__AuditEntry__Outcome outcome)
{
    uint8_t exchange[UUID_BYTES], id[UUID_BYTES];
    struct err err = ERR_INIT;
    struct buf bytes;
    id_of(number, exchange);
    struct audit_entry_fields fields = { .kind = kind,
                                         .outcome = outcome,
                                         .exchange_id = slice_of(exchange, UUID_BYTES),
                                         .subject = "spiffe://d/dept/health/system/s",
                                         .dataset = "statistics/streets",
                                         .request_id = "r" };
    buf_init(&bytes, AUDIT_APPEND_BYTES_MAX);
    assert_int_equal(audit_entry_build(source, &fields, &bytes, id, &err), 0);
    Sluice__Internal__AppendRequest request = SLUICE__INTERNAL__APPEND_REQUEST__INIT;
    Sluice__Internal__Append *append =
        sluice__internal__append__unpack(NULL, bytes.len, bytes.data);
    request.n_entries = 1;
    request.entries = &append;
    open_calls_note(open, &request);
    sluice__internal__append__free_unpacked(append, NULL);
    buf_fini(&bytes);
}

#define DECISION SLUICE__V1__AUDIT_ENTRY__KIND__DECISION
#define DELIVERY SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY
#define ALLOWED  SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED
#define REFUSED  SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED

static void only_open_calls_are_named(void **state)
{
    (void)state;
    struct open_calls *open = open_calls_new();
    struct audit_source worker, auditor;
    struct taken taken = { .count = 0 };
    uint8_t ids[2 * UUID_BYTES];
    audit_source_init(&worker, "o", "i");
    audit_source_init(&auditor, "o", "i");
    note(open, &worker, 1, DECISION, ALLOWED);
    note(open, &worker, 1, DECISION, ALLOWED); /* sent again */
    note(open, &worker, 2, DECISION, REFUSED);
    note(open, &worker, 3, DECISION, ALLOWED);
    note(open, &worker, 4, DECISION, ALLOWED);
    note(open, &worker, 4, DELIVERY, REFUSED);
    assert_int_equal(open_calls_count(open), 2);
    id_of(3, ids);
    id_of(9, ids + UUID_BYTES); /* never opened */
    open_calls_settle(open, ids, sizeof ids);
    open_calls_settle(open, ids, UUID_BYTES - 1); /* half an id */
    assert_int_equal(open_calls_count(open), 1);
    open_calls_recover(open, &auditor, take, &taken);
    assert_int_equal(taken.count, 2);
    char boot[33];
    hex_encode(worker.boot_id, sizeof worker.boot_id, boot);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(taken.entries[i]->kind, SLUICE__V1__AUDIT_ENTRY__KIND__RECOVERY);
        assert_string_equal(taken.entries[i]->what->object, boot);
        assert_string_equal(taken.entries[i]->decision->reason, "DELIVERY_UNKNOWN");
        assert_memory_equal(taken.entries[i]->boot_id.data, auditor.boot_id, 16);
    }
    assert_int_equal(taken.entries[0]->stands_for, 1);
    assert_int_equal(taken.entries[0]->exchange_id.len, 0);
    id_of(1, ids);
    assert_int_equal(taken.entries[1]->stands_for, 0);
    assert_memory_equal(taken.entries[1]->exchange_id.data, ids, UUID_BYTES);
    assert_string_equal(taken.entries[1]->what->dataset, "statistics/streets");
    clear(&taken);
    open_calls_recover(open, &auditor, take, &taken); /* once */
    assert_int_equal(taken.count, 0);
    open_calls_free(&open);
    open_calls_free(&open);
    audit_source_fini(&worker);
    audit_source_fini(&auditor);
}

static void many_are_summed_up(void **state)
{
    (void)state;
    struct open_calls *open = open_calls_new();
    struct audit_source worker, auditor;
    struct taken *taken = mem_zero(sizeof *taken);
    audit_source_init(&worker, "o", "i");
    audit_source_init(&auditor, "o", "i");
    for (unsigned i = 0; i < OPEN_CALLS_MAX + 5; i++)
        note(open, &worker, i, DECISION, ALLOWED);
    open_calls_recover(open, &auditor, take, taken);
    assert_int_equal(taken->count, 1 + OPEN_CALLS_NAMED_MAX);
    assert_int_equal(taken->entries[0]->stands_for, OPEN_CALLS_MAX + 5);
    clear(taken);
    free(taken);
    open_calls_free(&open);
    audit_source_fini(&worker);
    audit_source_fini(&auditor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_open_calls_are_named),
        cmocka_unit_test(many_are_summed_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
