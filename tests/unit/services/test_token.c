/* services: page and resume tokens can be neither read, forged nor carried to another query. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "services/token.h"

static const uint8_t key[32] = { 1 };
static const uint8_t query[TOKEN_DIGEST_BYTES] = { 2 };

static void a_token_gives_back_its_key(void **state)
{
    (void)state;
    static const char *const keys[] = { "", "110101001", "a~b", "\xE4\xB8\xAD" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char text[TOKEN_TEXT_BYTES_MAX];
        char back[PLAN_KEY_TEXT_BYTES_MAX];
        struct err err = ERR_INIT;
        token_seal(key, query, keys[i], text);
        assert_null(strpbrk(text, "+/="));
        assert_int_equal(token_open(key, query, text, back, &err), 0);
        assert_string_equal(back, keys[i]);
    }
}

static void other_keys_queries_and_changed_bytes_are_refused(void **state)
{
    (void)state;
    const uint8_t other[32] = { 3 };
    char text[TOKEN_TEXT_BYTES_MAX];
    char back[PLAN_KEY_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;
    token_seal(key, query, "110101001", text);
    assert_int_equal(token_open(other, query, text, back, &err), -1);
    assert_int_equal(token_open(key, other, text, back, &err), -1);
    assert_string_equal(err.reason, "TOKEN_INVALID");
    for (size_t i = 0; text[i] != '\0'; i++) {
        char saved = text[i];
        text[i] = saved == 'A' ? 'B' : 'A';
        /* The last character of unpadded base64 has spare bits that carry nothing. */
        if (text[i + 1] != '\0')
            assert_int_equal(token_open(key, query, text, back, &err), -1);
        text[i] = saved;
    }
}

static void garbage_is_refused(void **state)
{
    (void)state;
    char long_text[TOKEN_TEXT_BYTES_MAX * 2];
    char back[PLAN_KEY_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;
    memset(long_text, 'A', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(token_open(key, query, long_text, back, &err), -1);
    long_text[TOKEN_TEXT_BYTES_MAX - 1] = '\0';
    assert_int_equal(token_open(key, query, long_text, back, &err), -1);
    assert_int_equal(token_open(key, query, "A", back, &err), -1);
    assert_int_equal(token_open(key, query, "!!!!", back, &err), -1);
    assert_int_equal(token_open(key, query, "AAAA", back, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_gives_back_its_key),
        cmocka_unit_test(other_keys_queries_and_changed_bytes_are_refused),
        cmocka_unit_test(garbage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
