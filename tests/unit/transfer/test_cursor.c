/* What an incremental copy asks its source for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transfer/cursor.h"

static void test_the_filter_keeps_its_meaning(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    assert_string_equal(transfer_cursor_filter(&arena, "", "updated_at", 0),
                        "updated_at >= \"1970-01-01T00:00:00.000000Z\"");
    /* 2026-11-24T13:00:00.000001Z; the brackets keep an OR to itself. */
    assert_string_equal(
        transfer_cursor_filter(&arena, "a = 1 OR b = 2", "updated_at", INT64_C(1795525200000001)),
        "(a = 1 OR b = 2) AND updated_at >= \"2026-11-24T13:00:00.000001Z\"");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_filter_keeps_its_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
