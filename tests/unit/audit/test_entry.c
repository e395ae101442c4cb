#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/denials.h"
#include "audit/entry.h"
#include "base/clock.h"
#include "base/err.h"

#define SUBJECT "spiffe://gov.example/dept/civil/system/a"

static uint8_t digest[HASH_BYTES] = { 1, 2, 3 };
static uint8_t exchange[16] = { 9, 8, 7 };
static uint8_t salt[SALT_BYTES] = { 5 };
static uint8_t persons[2][HASH_BYTES] = { { 1 }, { 2 } };

static struct audit_entry_fields full_fields(const struct audit_rows *rows)
{
    return (struct audit_entry_fields){
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .exchange_id = slice_of(exchange, sizeof exchange),
        .trace_id = "0af7651916cd43dd8448eb211c80319c",
        .request_id = "r-1",
        .peer_exchange_id = "peer",
        .subject = SUBJECT,
        .department = "civil",
        .credential = slice_of(digest, sizeof digest),
        .auth_method = "mtls",
        .delegate = "",
        .purpose = "marriage-check",
        .legal_basis = "law 1",
        .agreement = "agr-1",
        .agreement_digest = slice_of(digest, sizeof digest),
        .method = "/sluice.v1.ExchangeService/Lookup",
        .dataset = "gov.person.v1",
        .owner = "police",
        .schema_digest = slice_of(digest, sizeof digest),
        .fields = slice_of("\x07", 1),
        .filter_digest = slice_of(digest, sizeof digest),
        .object = "",
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
        .rule = "agreement.purpose",
        .agreement_epoch = 77,
        .rows = rows,
        .response_digest = slice_of(digest, sizeof digest),
        .quarantined = 1,
        .salt = salt,
        .persons = (const uint8_t(*)[HASH_BYTES])persons,
        .person_count = 2,
    };
}

struct built {
    struct buf bytes;
    Sluice__Internal__Append *append;
    Sluice__V1__AuditEntry *entry;
    uint8_t id[UUID_BYTES];
};

static int build(struct audit_source *source, const struct audit_entry_fields *fields,
                 struct built *built_r, struct err *err)
{
    memset(built_r, 0, sizeof *built_r);
    buf_init(&built_r->bytes, AUDIT_APPEND_BYTES_MAX);
    if (audit_entry_build(source, fields, &built_r->bytes, built_r->id, err) != 0)
        return -1;
    built_r->append =
        sluice__internal__append__unpack(NULL, built_r->bytes.len, built_r->bytes.data);
    assert_non_null(built_r->append);
    built_r->entry = sluice__v1__audit_entry__unpack(NULL, built_r->append->leaf.len,
                                                     built_r->append->leaf.data);
    assert_non_null(built_r->entry);
    return 0;
}

static void unbuild(struct built *built)
{
    if (built->append != NULL)
        sluice__internal__append__free_unpacked(built->append, NULL);
    if (built->entry != NULL)
        sluice__v1__audit_entry__free_unpacked(built->entry, NULL);
    buf_fini(&built->bytes);
}

static void says_everything_once(void **state)
{
    (void)state;
    struct audit_source source;
    struct audit_rows rows;
    struct built built;
    struct err err = ERR_INIT;
    uint8_t root[32];
    audit_source_init(&source, "log.example", "gw-1");
    audit_rows_init(&rows, AUDIT_ROWS_ROW, salt);
    (void)audit_rows_add(&rows, slice_of("abc", 3));
    audit_rows_root(&rows, root);
    struct audit_entry_fields fields = full_fields(&rows);
    int64_t before_us = clock_wall_us();
    assert_int_equal(build(&source, &fields, &built, &err), 0);
    const Sluice__V1__AuditEntry *e = built.entry;
    const Sluice__Internal__Append *a = built.append;
    assert_int_equal(e->version, 1);
    assert_string_equal(e->origin, "log.example");
    assert_string_equal(e->instance, "gw-1");
    assert_memory_equal(e->id.data, built.id, 16);
    assert_memory_equal(e->boot_id.data, source.boot_id, 16);
    assert_int_equal(e->counter, 1);
    assert_true(e->time_us >= before_us);
    assert_string_equal(e->who->subject, SUBJECT);
    assert_string_equal(e->why->legal_basis, "law 1");
    assert_string_equal(e->what->method, "/sluice.v1.ExchangeService/Lookup");
    assert_int_equal(e->decision->agreement_epoch, 77);
    assert_int_equal(e->rows->count, 1);
    assert_int_equal(e->rows->form, SLUICE__V1__AUDIT_ENTRY__ROWS__FORM__ROW);
    assert_memory_equal(e->rows->root.data, root, 32);
    assert_int_equal(e->rows->quarantined, 1);
    /* The search columns repeat the leaf. */
    assert_memory_equal(a->id.data, e->id.data, 16);
    assert_int_equal(a->time_us, e->time_us);
    assert_int_equal(a->kind, e->kind);
    assert_int_equal(a->outcome, e->decision->outcome);
    assert_string_equal(a->subject, e->who->subject);
    assert_string_equal(a->department, e->who->department);
    assert_string_equal(a->owner, e->what->owner);
    assert_string_equal(a->dataset, e->what->dataset);
    assert_string_equal(a->agreement, e->why->agreement);
    assert_string_equal(a->purpose, e->why->purpose);
    assert_memory_equal(a->exchange_id.data, e->exchange_id.data, 16);
    assert_int_equal(a->n_persons, 2);
    assert_memory_equal(a->persons[1].data, persons[1], 32);
    assert_memory_equal(a->salt.data, salt, 32);
    assert_false(a->denied);
    assert_false(a->resent);
    /* The salt is beside the leaf, never in it. */
    assert_null(memmem(a->leaf.data, a->leaf.len, salt, sizeof salt));
    unbuild(&built);
    audit_source_fini(&source);
}

static void counter_has_no_gaps(void **state)
{
    (void)state;
    struct audit_source source;
    struct err err = ERR_INIT;
    uint8_t last[16] = { 0 };
    audit_source_init(&source, "log.example", "gw-1");
    for (uint64_t expected = 1; expected < 20; expected++) {
        struct audit_entry_fields bad = { .subject = "\xff" };
        struct audit_entry_fields good = { .kind = SLUICE__V1__AUDIT_ENTRY__KIND__ADMIN };
        struct built built;
        assert_int_equal(build(&source, &bad, &built, &err), -1);
        unbuild(&built);
        assert_int_equal(build(&source, &good, &built, &err), 0);
        assert_int_equal(built.entry->counter, expected);
        assert_memory_not_equal(built.id, last, 16);
        memcpy(last, built.id, 16);
        assert_null(built.entry->rows);
        assert_int_equal(built.append->salt.len, 0);
        unbuild(&built);
    }
    audit_source_fini(&source);
}

static void limits(void **state)
{
    (void)state;
    static char text[AUDIT_TEXT_BYTES_MAX + 2];
    struct audit_source source;
    struct built built;
    struct err err = ERR_INIT;
    audit_source_init(&source, "log.example", "gw-1");
    memset(text, 'a', sizeof text - 1);
    text[AUDIT_TEXT_BYTES_MAX] = '\0';

    struct audit_entry_fields fields = { .subject = text };
    assert_int_equal(build(&source, &fields, &built, &err), 0);
    unbuild(&built);
    text[AUDIT_TEXT_BYTES_MAX] = 'a';
    assert_int_equal(build(&source, &fields, &built, &err), -1);
    assert_string_equal(err.reason, "ENTRY_INVALID");
    unbuild(&built);

    text[AUDIT_TEXT_BYTES_MAX] = '\0';
    fields = (struct audit_entry_fields){ .subject = text,
                                          .department = text,
                                          .delegate = text,
                                          .purpose = text,
                                          .legal_basis = text,
                                          .agreement = text,
                                          .dataset = text,
                                          .owner = text };
    assert_int_equal(build(&source, &fields, &built, &err), -1);
    assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "ENTRY_TOO_LARGE");
    assert_int_equal(source.counter, 1);
    assert_int_equal(built.bytes.len, 0);
    unbuild(&built);

    static const struct {
        size_t credential, exchange, bitmap, persons;
    } bad[] = { { 31, 0, 0, 0 }, { 33, 0, 0, 0 },  { 0, 15, 0, 0 },
                { 0, 17, 0, 0 }, { 0, 0, 513, 0 }, { 0, 0, 0, AUDIT_PERSONS_MAX + 1 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fields = (struct audit_entry_fields){ .credential = slice_of(text, bad[i].credential),
                                              .exchange_id = slice_of(text, bad[i].exchange),
                                              .fields = slice_of(text, bad[i].bitmap),
                                              .person_count = bad[i].persons };
        assert_int_equal(build(&source, &fields, &built, &err), -1);
        assert_string_equal(err.reason, "ENTRY_INVALID");
        unbuild(&built);
    }
    audit_source_fini(&source);
}

static void most_persons_fit(void **state)
{
    (void)state;
    static uint8_t many[AUDIT_PERSONS_MAX][HASH_BYTES];
    struct audit_source source;
    struct built built;
    struct err err = ERR_INIT;
    audit_source_init(&source, "log.example", "gw-1");
    struct audit_entry_fields fields = full_fields(NULL);
    fields.persons = (const uint8_t(*)[HASH_BYTES])many;
    fields.person_count = AUDIT_PERSONS_MAX;
    assert_int_equal(build(&source, &fields, &built, &err), 0);
    assert_int_equal(built.append->n_persons, AUDIT_PERSONS_MAX);
    unbuild(&built);
    audit_source_fini(&source);
}

static void which_are_denied(void **state)
{
    (void)state;
    struct audit_entry_fields fields = full_fields(NULL);
    assert_false(audit_entry_denied(&fields));
    fields.outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED;
    assert_true(audit_entry_denied(&fields));
    fields.kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    assert_false(audit_entry_denied(&fields));
    fields.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DENIALS;
    assert_true(audit_entry_denied(&fields));
}

/* --- denials -------------------------------------------------------------------------------------
 */

struct shared {
    int count;
    uint64_t stands_for;
    char subject[128], dataset[128], reason[128];
};

static void on_shared(void *arg, const struct audit_entry_fields *fields)
{
    struct shared *shared = arg;
    shared->count++;
    shared->stands_for += fields->stands_for;
    assert_int_equal(fields->kind, SLUICE__V1__AUDIT_ENTRY__KIND__DENIALS);
    (void)snprintf(shared->subject, sizeof shared->subject, "%s", fields->subject);
    (void)snprintf(shared->dataset, sizeof shared->dataset, "%s",
                   fields->dataset != NULL ? fields->dataset : "");
    (void)snprintf(shared->reason, sizeof shared->reason, "%s",
                   fields->reason != NULL ? fields->reason : "");
}

static struct audit_entry_fields denial(const char *subject, const char *dataset)
{
    return (struct audit_entry_fields){
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED,
        .subject = subject,
        .dataset = dataset,
        .reason = "NO_AGREEMENT",
    };
}

enum { SECOND_US = 1000 * 1000 };

static void first_twenty_are_separate(void **state)
{
    (void)state;
    struct denials *denials = denials_new();
    struct shared shared = { 0 };
    int64_t now_us = 1000 * (int64_t)SECOND_US;
    struct audit_entry_fields a = denial("a", "d1"), b = denial("a", "d2"), c = denial("c", "d1");
    for (int i = 0; i < DENIALS_SEPARATE; i++)
        assert_false(denials_count(denials, &a, now_us + i));
    assert_int_equal(denials_due_us(denials), -1);
    assert_true(denials_count(denials, &a, now_us + SECOND_US));
    assert_true(denials_count(denials, &b, now_us + SECOND_US));
    /* Another subject is not affected. */
    assert_false(denials_count(denials, &c, now_us + SECOND_US));
    assert_int_equal(denials_due_us(denials), now_us + SECOND_US + DENIALS_WINDOW_US);
    denials_flush(denials, now_us + DENIALS_WINDOW_US, on_shared, &shared);
    assert_int_equal(shared.count, 0);
    denials_flush(denials, now_us + SECOND_US + DENIALS_WINDOW_US, on_shared, &shared);
    assert_int_equal(shared.count, 1);
    assert_int_equal(shared.stands_for, 2);
    assert_string_equal(shared.subject, "a");
    assert_string_equal(shared.dataset, ""); /* differed */
    assert_string_equal(shared.reason, "NO_AGREEMENT");
    assert_int_equal(denials_due_us(denials), -1);
    denials_free(&denials);
}

static void slow_denials_stay_separate(void **state)
{
    (void)state;
    struct denials *denials = denials_new();
    struct audit_entry_fields a = denial("a", "d1");
    int64_t now_us = 1000 * (int64_t)SECOND_US;
    for (int i = 0; i < 200; i++, now_us += SECOND_US)
        assert_false(denials_count(denials, &a, now_us));
    denials_free(&denials);
}

/* A flood of one subject: 20 entries and then one each 10 s, and none is uncounted. */
static void flood(void **state)
{
    (void)state;
    struct denials *denials = denials_new();
    struct shared shared = { 0 };
    struct audit_entry_fields a = denial("a", "d1");
    uint64_t separate = 0;
    int64_t now_us = 1000 * (int64_t)SECOND_US, end_us = now_us + 100 * (int64_t)SECOND_US;
    for (; now_us < end_us; now_us += 10 * 1000) {
        separate += denials_count(denials, &a, now_us) ? 0 : 1;
        if (denials_due_us(denials) >= 0 && denials_due_us(denials) <= now_us)
            denials_flush(denials, now_us, on_shared, &shared);
    }
    denials_flush(denials, INT64_MAX, on_shared, &shared);
    assert_int_equal(separate, DENIALS_SEPARATE);
    assert_int_equal(separate + shared.stands_for, 10000);
    assert_in_range(shared.count, 9, 11);
    denials_free(&denials);
}

static void table_is_bounded(void **state)
{
    (void)state;
    struct denials *denials = denials_new();
    int64_t now_us = 1000 * (int64_t)SECOND_US;
    char name[32];
    for (int i = 0; i < DENIALS_SUBJECTS_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        struct audit_entry_fields f = denial(name, "d");
        assert_false(denials_count(denials, &f, now_us));
    }
    /* Full of recent ones: a further subject is never shared, so nothing goes uncounted. */
    struct audit_entry_fields late = denial("late", "d");
    for (int i = 0; i < 100; i++)
        assert_false(denials_count(denials, &late, now_us + i));
    /* Once they are silent there is room again. */
    now_us += DENIALS_WINDOW_US + 1;
    for (int i = 0; i < DENIALS_SEPARATE; i++)
        assert_false(denials_count(denials, &late, now_us));
    assert_true(denials_count(denials, &late, now_us));
    denials_free(&denials);
}

static void cost(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    struct audit_source source;
    struct audit_rows rows;
    struct buf out;
    struct err err = ERR_INIT;
    uint8_t id[16];
    audit_source_init(&source, "log.example", "gw-1");
    audit_rows_init(&rows, AUDIT_ROWS_ROW, salt);
    struct audit_entry_fields fields = full_fields(&rows);
    buf_init(&out, AUDIT_APPEND_BYTES_MAX);
    int64_t start_us = clock_monotonic_us();
    for (int i = 0; i < ROUNDS; i++) {
        buf_reset(&out);
        assert_int_equal(audit_entry_build(&source, &fields, &out, id, &err), 0);
    }
    print_message("building an entry of %zu bytes: %.2f us\n", out.len,
                  (double)(clock_monotonic_us() - start_us) / ROUNDS);
    buf_fini(&out);
    audit_source_fini(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_everything_once),
        cmocka_unit_test(counter_has_no_gaps),
        cmocka_unit_test(limits),
        cmocka_unit_test(most_persons_fit),
        cmocka_unit_test(which_are_denied),
        cmocka_unit_test(first_twenty_are_separate),
        cmocka_unit_test(slow_denials_stay_separate),
        cmocka_unit_test(flood),
        cmocka_unit_test(table_is_bounded),
        cmocka_unit_test(cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
