/* Networks and windows: what is one, who is inside, when it is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "authz/bounds.h"

static void networks_are_read(void **state)
{
    (void)state;
    static const char *const good[] = { "10.1.0.0/16", "10.1.2.3",    "0.0.0.0/0",
                                        "10.1.2.3/32", "10.1.2.2/31", "2001:db8::/32",
                                        "::/0",        "::1",         "2001:db8::1/128" };
    static const char *const bad[] = {
        "",
        "/16",
        "10.1.0.0/",
        "10.1.0.0/33",
        "10.1.0.0/016",
        "10.1.0.0/1x",
        "10.1.0.0/-1",
        "10.1.0.0/9999999999",
        "10.1.2.3/16",
        "10.1/16",
        "10.1.0.256",
        "010.1.0.0/16",
        " 10.1.0.0/16",
        "10.1.0.0/16 ",
        "2001:db8::/129",
        "2001:db8::1/32",
        "2001:db8:::/32",
        "::ffff:10.1.0.0/112", /* is the IPv4 network */
        "fe80::1%lo/128",
        "localhost",
        "10.1.0.0/16/8",
        "1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234/64"
    };
    struct authz_network network;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!authz_network_parse(good[i], &network))
            fail_msg("%s was refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (authz_network_parse(bad[i], &network))
            fail_msg("\"%s\" was taken", bad[i]);
}

static void addresses_are_inside_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool inside;
    } rows[] = {
        { "10.1.0.0/16", "10.1.0.0:1", true },
        { "10.1.0.0/16", "10.1.255.255:65535", true },
        { "10.1.0.0/16", "10.2.0.0:1", false },
        { "10.1.0.0/16", "10.0.255.255:1", false },
        { "10.1.128.0/17", "10.1.127.255:1", false },
        { "10.1.128.0/17", "10.1.128.0:1", true },
        { "10.1.2.2/31", "10.1.2.3:1", true },
        { "10.1.2.2/31", "10.1.2.4:1", false },
        { "10.1.2.3", "10.1.2.3:9", true },
        { "10.1.2.3", "10.1.2.2:9", false },
        { "0.0.0.0/0", "255.1.2.3:9", true },
        { "0.0.0.0/0", "2001:db8::1:9", false },
        { "::/0", "2001:db8::1:9", true },
        { "::/0", "10.1.2.3:9", false },
        { "2001:db8::/33", "2001:db8:7fff::1:443", true },
        { "2001:db8::/33", "2001:db8:8000::1:443", false },
        { "10.1.0.0/16", "::ffff:10.1.2.3:443", true }, /* a listener for both families */
        { "::/0", "::ffff:10.1.2.3:443", false },
        { "::1", "::1:443", true },
        /* What cannot be read is inside nothing. */
        { "0.0.0.0/0", "", false },
        { "0.0.0.0/0", "?:0", false },
        { "0.0.0.0/0", "10.1.2.3", false },
        { "::/0", "?:0", false },
    };
    struct authz_network network;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(authz_network_parse(rows[i].network, &network));
        if (authz_networks_hold(&network, 1, rows[i].address) != rows[i].inside)
            fail_msg("%s in %s", rows[i].address, rows[i].network);
    }
    struct authz_network two[2];
    assert_true(authz_network_parse("10.1.0.0/16", &two[0]));
    assert_true(authz_network_parse("2001:db8::/32", &two[1]));
    assert_true(authz_networks_hold(two, 2, "2001:db8::7:1"));
    assert_true(authz_networks_hold(two, 2, "10.1.0.7:1"));
    assert_false(authz_networks_hold(two, 2, "10.2.0.7:1"));
    assert_false(authz_networks_hold(two, 0, "10.1.0.7:1"));
}

static void windows_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int weekdays, from, until;
    } good[] = {
        { "08:30-17:30", 0x7f, 510, 1050 },
        { "00:00-24:00", 0x7f, 0, 1440 },
        { "mon-fri 08:30-17:30", 0x1f, 510, 1050 },
        { "sat+sun 10:00-12:00", 0x60, 600, 720 },
        { "sat,sun 10:00-12:00", 0x60, 600, 720 },
        { "mon 00:00-00:01", 0x01, 0, 1 },
        { "mon-wed+fri 09:00-10:00", 0x17, 540, 600 },
        { "sun-sun 23:59-24:00", 0x40, 1439, 1440 },
    };
    static const char *const bad[] = { "",
                                       "mon",
                                       "mon ",
                                       "mon-fri",
                                       "mon-fri08:30-17:30",
                                       "mon-fri  08:30-17:30",
                                       "fri-mon 08:30-17:30",
                                       "Mon 08:30-17:30",
                                       "mon+ 08:30-17:30",
                                       "monday 08:30-17:30",
                                       "mon- 08:30-17:30",
                                       "xyz 08:30-17:30",
                                       "8:30-17:30",
                                       "08:30-08:30",
                                       "17:30-08:30",
                                       "08:60-17:30",
                                       "08:30-24:01",
                                       "08:30-25:00",
                                       "99:99-99:99",
                                       "08:30-17:30 ",
                                       "08:30–17:30",
                                       "08.30-17.30",
                                       "08:30-17:3" };
    struct authz_window window;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!authz_window_parse(good[i].text, &window))
            fail_msg("%s was refused", good[i].text);
        assert_int_equal(window.weekdays, good[i].weekdays);
        assert_int_equal(window.from, good[i].from);
        assert_int_equal(window.until, good[i].until);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (authz_window_parse(bad[i], &window))
            fail_msg("\"%s\" was taken", bad[i]);
}

/* Instants by `date -u -d … +%s`. */
static void windows_open_and_close_in_china(void **state)
{
    (void)state;
    static const struct {
        const char *window;
        int64_t seconds;
        bool open;
    } rows[] = {
        /* Tuesday 2026-11-24 08:30:00 in China is 00:30:00 UTC. */
        { "mon-fri 08:30-17:30", 1795480199, false },
        { "mon-fri 08:30-17:30", 1795480200, true },
        { "mon-fri 08:30-17:30", 1795512599, true },
        { "mon-fri 08:30-17:30", 1795512600, false },
        { "tue 08:30-17:30", 1795480200, true },
        { "mon+wed 08:30-17:30", 1795480200, false },
        /* Monday 16:00 UTC is Tuesday 00:00 in China. */
        { "mon 00:00-24:00", 1795449599, true },
        { "mon 00:00-24:00", 1795449600, false },
        { "tue 00:00-24:00", 1795449600, true },
        { "sun 00:00-24:00", 1795276800, true }, /* Saturday 16:00 UTC */
        { "sun 00:00-24:00", 1795276799, false },
        { "00:00-24:00", 0, true },
        { "thu 08:00-08:01", 0, true },  /* 1970-01-01 was a Thursday */
        { "thu 07:59-08:00", -1, true }, /* and before it */
        { "wed 00:00-24:00", -28801, true },
    };
    struct authz_window window;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(authz_window_parse(rows[i].window, &window));
        if (authz_windows_open(&window, 1, rows[i].seconds * 1000000) != rows[i].open)
            fail_msg("%s at %lld", rows[i].window, (long long)rows[i].seconds);
    }
    assert_false(authz_windows_open(&window, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(addresses_are_inside_or_not),
        cmocka_unit_test(windows_are_read),
        cmocka_unit_test(windows_open_and_close_in_china),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
