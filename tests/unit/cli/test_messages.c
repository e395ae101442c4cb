#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "cli/cli.h"

/* Number of %s; -1 for any other placeholder. */
static int placeholders(const char *text)
{
    int count = 0;

    for (const char *at = text; (at = strchr(at, '%')) != NULL; at++) {
        if (at[1] == 'F') /* date +%F, in an example */
            continue;
        if (at[1] != 's')
            return -1;
        count++;
    }
    return count;
}

static void test_every_message_in_both_languages(void **state)
{
    (void)state;
    for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
        const char *en = message_in((enum message_id)id, LANGUAGE_EN);
        const char *zh = message_in((enum message_id)id, LANGUAGE_ZH);

        if (en == NULL || zh == NULL || en[0] == '\0' || zh[0] == '\0')
            fail_msg("message %d lacks a language", id);
        if (placeholders(en) < 0 || placeholders(en) != placeholders(zh))
            fail_msg("placeholders differ: %s | %s", en, zh);
        assert_true(utf8_valid(en, strlen(en)));
        assert_true(utf8_valid(zh, strlen(zh)));
    }
}

static void test_fill_replaces_and_escapes(void **state)
{
    char *text = message_fill(MSG_USAGE_COMMAND_NEAR, (const char *const[]){ "a%sb\033", "c" }, 2);

    (void)state;
    assert_string_equal(text, "there is no command \"a%sb\\x1b\"; did you mean \"c\"?");
    free(text);
}

static void test_hints_are_chinese_only(void **state)
{
    (void)state;
    assert_null(message_reason_hint("RECORD_QUARANTINED"));
    messages_set_language(LANGUAGE_ZH);
    assert_non_null(message_reason_hint("RECORD_QUARANTINED"));
    assert_null(message_reason_hint("NO_SUCH_REASON"));
    assert_null(message_reason_hint(""));
    messages_set_language(LANGUAGE_EN);
}

/* The tables that help and completion are made from. */
static void test_commands_and_options(void **state)
{
    const struct cli_command *c;

    (void)state;
    for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
        assert_non_null(c->name);
        assert_non_null(c->run);
        assert_true(c->operands_min <= c->operands_max);
        assert_true(c->operands_max == 0 || c->operands[0] != '\0');
        for (size_t o = 0; o < CLI_OPTIONS_MAX && c->options[o] != OPT_NONE; o++) {
            assert_false(option_global(c->options[o]));
            for (size_t p = 0; p < o; p++)
                assert_int_not_equal(c->options[p], c->options[o]);
        }
        for (size_t j = 0; j < i; j++) {
            const struct cli_command *other = cli_command_at(j);
            bool same_group = (c->group == NULL) == (other->group == NULL) &&
                              (c->group == NULL || strcmp(c->group, other->group) == 0);
            assert_false(same_group && strcmp(c->name, other->name) == 0);
        }
    }
    for (int i = OPT_NONE + 1; i < OPT_COUNT; i++) {
        const struct cli_option_info *info = option_info((enum cli_option)i);
        assert_non_null(info->name);
        assert_int_equal(option_find(info->name, strlen(info->name)), i);
        if (info->letter != 0)
            assert_int_equal(option_find_letter(info->letter), i);
    }
    assert_int_equal(option_find("nothing", 7), OPT_NONE);
    assert_int_equal(option_find_letter('\0'), OPT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_in_both_languages),
        cmocka_unit_test(test_fill_replaces_and_escapes),
        cmocka_unit_test(test_hints_are_chinese_only),
        cmocka_unit_test(test_commands_and_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
