/* services: two generations' pools fit the limits of role, database and server, or are refused with
 * the numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "services/pools.h"

static void pools_fit_or_are_refused_with_the_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t workers, pool;
        struct pools_limits limits;
        const char *says; /* NULL: fits */
    } table[] = {
        { 2, 11, { -1, -1, 97 }, NULL },
        { 2, 11, { 44, 44, 44 }, NULL }, /* exactly */
        { 2, 11, { -1, -1, -1 }, NULL },
        { 2, 11, { 43, -1, 97 }, "= 44, but its role allows 43; " },
        { 2, 11, { 44, 43, 97 }, "the database allows 43" },
        { 2, 11, { -1, -1, 43 }, "the server allows 43" },
        { 2, 11, { 0, -1, 97 }, "its role allows 0" },
        { 64, 129, { -1, -1, 16384 }, "2 generations x 64 workers x 129 connections = 16512" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        int result =
            pools_check("source s", table[i].workers, table[i].pool, &table[i].limits, &err);
        assert_int_equal(result, table[i].says == NULL ? 0 : -1);
        if (table[i].says == NULL)
            continue;
        assert_string_equal(err.reason, "POOL_LIMIT");
        assert_int_equal(strncmp(err.text, "source s: ", 10), 0);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("%zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_fit_or_are_refused_with_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
