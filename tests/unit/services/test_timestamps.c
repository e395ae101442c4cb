/* services: microseconds of rows and timestamps of messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services/timestamps.h"

static void times_come_back(void **state)
{
    (void)state;
    static const int64_t times[] = { 0, 1, 999999, 1000000, INT64_C(1790000000123456) };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        assert_int_equal(timestamp_us(timestamp_from_us(&arena, times[i])), times[i]);
    assert_int_equal(timestamp_us(NULL), 0);
    assert_null(timestamp_from_us(&arena, 0));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
