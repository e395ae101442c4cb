/* Applications: ids that sort by time, and the deadline that a step begins, keeps or ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "services/application_rows.h"

enum { NOON_2026_03_02_S = 1772424000 }; /* a Monday, 12:00 in Shanghai */

static void ids_have_one_form_and_sort_by_time(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    const char *before = "app-222222222222";
    /* From 2026 on, each a millisecond or more later, to the end of forty bits of milliseconds. */
    for (int64_t ms = 1; ms < 1LL << 40; ms = ms * 3 / 2 + 1) {
        const char *id = application_make_id(&arena, (INT64_C(1767225600000) + ms) * 1000);
        assert_int_equal(strlen(id), APPLICATION_ID_BYTES_MAX);
        assert_int_equal(strspn(id + 4, "abcdefghijklmnopqrstuvwxyz234567"), 12);
        assert_true(strcmp(before, id) < 0);
        before = id;
    }
    assert_string_not_equal(application_make_id(&arena, 1800000000000000),
                            application_make_id(&arena, 1800000000000000));
    arena_fini(&arena);
}

/* A year without holidays. */
static struct calendar *weekends_only(void)
{
    struct err err = ERR_INIT;
    struct calendar *calendar = calendar_new();
    assert_int_equal(calendar_add_year(calendar, 2026, &err), 0);
    return calendar;
}

static struct application_row row_with(Sluice__V1__Application *message, bool open)
{
    sluice__v1__application__init(message);
    message->open = open;
    message->extension_days = 3;
    return (struct application_row){ .message = message,
                                     .now_us = NOON_2026_03_02_S * INT64_C(1000000),
                                     .answer_days = 10,
                                     .provide_days = 20 };
}

static void each_step_has_its_deadline(void **state)
{
    (void)state;
    static const struct {
        enum application_event event;
        enum application_state next;
        bool open;
        int days;
        const char *due; /* NULL: none */
    } cases[] = {
        { APPLICATION_SIGN_OFF, APPLICATION_SIGNED_OFF, false, 0, NULL },
        { APPLICATION_SUBMIT, APPLICATION_SUBMITTED, false, 0, "2026-03-16" },
        { APPLICATION_SUBMIT, APPLICATION_SUBMITTED, true, 0, "2026-03-03" },
        { APPLICATION_AGREE, APPLICATION_AGREED, false, 0, "2026-03-30" },
        { APPLICATION_REFUSE, APPLICATION_REFUSED, false, 0, NULL },
        { APPLICATION_ACTIVATE, APPLICATION_ACTIVE, false, 0, NULL },
        { APPLICATION_REQUIRE_DISPOSAL, APPLICATION_DISPOSAL_DUE, false, 5, "2026-03-09" },
        { APPLICATION_CONFIRM_DISPOSAL, APPLICATION_DISPOSED, false, 0, NULL },
    };
    struct arena arena;
    struct calendar *calendar = weekends_only();
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Sluice__V1__Application message;
        struct application_row row = row_with(&message, cases[i].open);
        const char *due = application_next_due(&arena, &row, calendar, cases[i].event,
                                               cases[i].next, cases[i].days);
        if (cases[i].due == NULL)
            assert_null(due);
        else
            assert_string_equal(due, cases[i].due);
    }
    calendar_free(&calendar);
    arena_fini(&arena);
}

static void a_running_deadline_goes_on_is_lengthened_or_counted_anew(void **state)
{
    (void)state;
    struct arena arena;
    struct calendar *calendar = weekends_only();
    Sluice__V1__Application message;
    struct application_row row = row_with(&message, false);
    arena_init(&arena);
    /* Received a week ago: due on 2026-03-09. */
    row.runs = true;
    row.clock_from_us = row.now_us - 7 * INT64_C(86400000000);
    row.clock_days = 10;
    row.due_stored = true;
    assert_true(calendar_date_parse("2026-03-09", 10, &row.due));
    assert_string_equal(application_next_due(&arena, &row, calendar, APPLICATION_ASK_SUPPLEMENT,
                                             APPLICATION_SUPPLEMENT_ASKED, 0),
                        "2026-03-09");
    assert_string_equal(application_next_due(&arena, &row, calendar, APPLICATION_ANSWER_SUPPLEMENT,
                                             APPLICATION_SUBMITTED, 0),
                        "2026-03-09");
    assert_string_equal(
        application_next_due(&arena, &row, calendar, APPLICATION_EXTEND, APPLICATION_EXTENDED, 0),
        "2026-03-12");
    row.clock_from_completed = true;
    assert_string_equal(application_next_due(&arena, &row, calendar, APPLICATION_ANSWER_SUPPLEMENT,
                                             APPLICATION_SUBMITTED, 0),
                        "2026-03-16");
    /* What was told stands, whatever calendar is loaded; what has to be counted needs one. */
    struct calendar *none = calendar_new();
    assert_string_equal(application_next_due(&arena, &row, none, APPLICATION_ASK_SUPPLEMENT,
                                             APPLICATION_SUPPLEMENT_ASKED, 0),
                        "2026-03-09");
    assert_null(
        application_next_due(&arena, &row, none, APPLICATION_EXTEND, APPLICATION_EXTENDED, 0));
    row.due_stored = false;
    assert_string_equal(application_next_due(&arena, &row, calendar, APPLICATION_PROVISION,
                                             APPLICATION_PROVISIONING, 0),
                        "2026-03-09");
    calendar_free(&none);
    calendar_free(&calendar);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_one_form_and_sort_by_time),
        cmocka_unit_test(each_step_has_its_deadline),
        cmocka_unit_test(a_running_deadline_goes_on_is_lengthened_or_counted_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
