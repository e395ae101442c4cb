/* services: what officers search by is checked member by member, and named without its values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "services/audit_request.h"

typedef Sluice__V1__SearchAuditRequest request_type;

static Google__Protobuf__Timestamp make_time(int64_t seconds, int32_t nanos)
{
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = seconds;
    time.nanos = nanos;
    return time;
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static char longest[AUDIT_REQUEST_TEXT_BYTES_MAX + 1],
        too_long[AUDIT_REQUEST_TEXT_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    memset(too_long, 'x', sizeof too_long - 1);
    Google__Protobuf__Timestamp first = make_time(0, 0), last = make_time(253402300799, 999999999);
    Google__Protobuf__Timestamp before = make_time(-1, 0), after = make_time(253402300800, 0);
    Google__Protobuf__Timestamp nanos = make_time(1, 1000000000), negative = make_time(1, -1);
    request_type request = SLUICE__V1__SEARCH_AUDIT_REQUEST__INIT;
    struct err err = ERR_INIT;
    assert_int_equal(audit_request_check(&request, &err), 0);
#define GOOD(member_, value_)                                                                      \
    do {                                                                                           \
        request_type good = SLUICE__V1__SEARCH_AUDIT_REQUEST__INIT;                                \
        good.member_ = value_;                                                                     \
        assert_int_equal(audit_request_check(&good, &err), 0);                                     \
    } while (0)
#define BAD(member_, value_)                                                                       \
    do {                                                                                           \
        request_type bad = SLUICE__V1__SEARCH_AUDIT_REQUEST__INIT;                                 \
        struct err found = ERR_INIT;                                                               \
        bad.member_ = value_;                                                                      \
        assert_int_equal(audit_request_check(&bad, &found), -1);                                   \
        assert_int_equal(found.code, ERR_INVALID_ARGUMENT);                                        \
        assert_string_equal(found.reason, "FILTER_INVALID");                                       \
        assert_ptr_equal(strstr(found.text, #member_), found.text);                                \
    } while (0)
    GOOD(dataset, longest);
    BAD(dataset, too_long);
    BAD(person, too_long);
    BAD(subject, too_long);
    GOOD(exchange_id, (char *)"019ab5a0-0000-7000-8000-000000000001");
    BAD(exchange_id, (char *)"019ab5a0");
    GOOD(kind, SLUICE__V1__AUDIT_ENTRY__KIND__QUOTA);
    BAD(kind, (Sluice__V1__AuditEntry__Kind)99);
    GOOD(outcome, SLUICE__V1__AUDIT_ENTRY__OUTCOME__CANCELLED);
    BAD(outcome, (Sluice__V1__AuditEntry__Outcome)-1);
    GOOD(time_from, &first);
    GOOD(time_to, &last);
    BAD(time_from, &before);
    BAD(time_to, &after);
    BAD(time_from, &nanos);
    BAD(time_to, &negative);
    BAD(after_index, -1);
#undef GOOD
#undef BAD
}

static void members_are_named_without_values(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    Google__Protobuf__Timestamp time = make_time(1, 0);
    request_type request = SLUICE__V1__SEARCH_AUDIT_REQUEST__INIT;
    assert_string_equal(audit_request_names(&request, &arena), "");
    request.person = (char *)"11010119900307002X";
    assert_string_equal(audit_request_names(&request, &arena), "person");
    request.department = request.owner = request.dataset = request.agreement = (char *)"a";
    request.purpose = request.subject = request.exchange_id = (char *)"a";
    request.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    request.outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED;
    request.time_from = request.time_to = &time;
    assert_string_equal(audit_request_names(&request, &arena),
                        "department owner dataset agreement purpose subject kind outcome time_from "
                        "time_to exchange_id person");
    arena_fini(&arena);
}

static void scopes_of_holds_can_be_met(void **state)
{
    (void)state;
    static char longest[AUDIT_REQUEST_TEXT_BYTES_MAX + 1],
        too_long[AUDIT_REQUEST_TEXT_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    memset(too_long, 'x', sizeof too_long - 1);
    Google__Protobuf__Timestamp one = make_time(1, 0), two = make_time(2, 0),
                                bad = make_time(-1, 0);
    const struct {
        int64_t index_from, index_to;
        Google__Protobuf__Timestamp *time_from, *time_to;
        char *department, *dataset, *agreement, *exchange; /* NULL: "" */
        bool empty;
        bool bad;
    } cases[] = {
        { .empty = true },
        { .index_from = 1 },
        { .index_to = 1 },
        { .index_from = 5, .index_to = 6 },
        { .index_from = 5, .index_to = 5, .bad = true },
        { .index_from = -1, .bad = true },
        { .index_to = -1, .bad = true },
        { .time_from = &one },
        { .time_from = &one, .time_to = &two },
        { .time_from = &two, .time_to = &two, .bad = true },
        { .time_from = &bad, .bad = true },
        { .time_to = &bad, .bad = true },
        { .department = longest },
        { .department = too_long, .bad = true },
        { .dataset = longest },
        { .dataset = too_long, .bad = true },
        { .agreement = longest },
        { .agreement = too_long, .bad = true },
        { .exchange = (char[]){ "019ab5a0-1c2d-7e3f-8a4b-5c6d7e8f9a0b" } },
        { .exchange = (char[]){ "019ab5a0" }, .bad = true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Sluice__V1__HoldScope scope = SLUICE__V1__HOLD_SCOPE__INIT;
        struct err err = ERR_INIT;
        scope.index_from = cases[i].index_from;
        scope.index_to = cases[i].index_to;
        scope.time_from = cases[i].time_from;
        scope.time_to = cases[i].time_to;
        if (cases[i].department != NULL)
            scope.department = cases[i].department;
        if (cases[i].dataset != NULL)
            scope.dataset = cases[i].dataset;
        if (cases[i].agreement != NULL)
            scope.agreement = cases[i].agreement;
        if (cases[i].exchange != NULL)
            scope.exchange_id = cases[i].exchange;
        assert_int_equal(audit_request_scope_given(&scope), !cases[i].empty);
        assert_int_equal(audit_request_scope(&scope, &err), cases[i].bad ? -1 : 0);
        assert_string_equal(err.reason, cases[i].bad ? "HOLD_SCOPE" : "");
    }
}

static void reasons_are_stated(void **state)
{
    (void)state;
    char text[AUDIT_REQUEST_REASON_BYTES_MAX + 2];
    struct err err = ERR_INIT;
    memset(text, 'x', sizeof text);
    text[AUDIT_REQUEST_REASON_BYTES_MAX + 1] = '\0';
    assert_int_equal(audit_request_reason(text, &err), -1);
    assert_string_equal(err.reason, "REASON");
    text[AUDIT_REQUEST_REASON_BYTES_MAX] = '\0';
    err_clear(&err);
    assert_int_equal(audit_request_reason(text, &err), 0);
    assert_int_equal(audit_request_reason("", &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(members_are_named_without_values),
        cmocka_unit_test(scopes_of_holds_can_be_met),
        cmocka_unit_test(reasons_are_stated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
