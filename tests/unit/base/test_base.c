/* base: errors, buffers, maps, UTF-8, identifiers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/strmap.h"
#include "base/utf8.h"

static void every_error_code_maps_to_a_status(void **state)
{
    (void)state;
    for (int code = ERR_OK; code < ERR_CODE_COUNT; code++) {
        assert_non_null(err_name((enum err_code)code));
        assert_non_null(err_connect_code((enum err_code)code));
        assert_in_range(err_grpc_status((enum err_code)code), 0, 16);
        assert_in_range(err_http_status((enum err_code)code), 200, 599);
    }
    assert_int_equal(err_grpc_status(ERR_WRITE_UNCERTAIN), 2);
    assert_int_equal(err_grpc_status(ERR_PERMISSION_DENIED), 7);
}

static void long_error_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    char wide[900] = "";
    for (int i = 0; i < 280; i++)
        memcpy(wide + 3 * i, "\xE6\x95\xB0", 4);
    for (int shift = 0; shift < 3; shift++) {
        struct err err = ERR_INIT;
        assert_int_equal(err_set(&err, ERR_INTERNAL, "X", "%.*s%s", shift, "abc", wide), -1);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_in_range(strlen(err.text), ERR_TEXT_BYTES - 5, ERR_TEXT_BYTES - 1);
    }
}

static void a_buffer_refuses_what_passes_its_ceiling(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_int_equal(buf_append(&buf, "12345678", 8), 0);
    assert_int_equal(buf_append(&buf, "abc", 3), -1);
    assert_int_equal(buf.len, 8);
    assert_int_equal(buf_append(&buf, "ab", 2), 0);
    assert_int_equal(buf_append_byte(&buf, 'x'), -1);
    buf_consume(&buf, 9);
    assert_memory_equal(buf.data, "b", 1);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -1);
    buf_fini(&buf);
}

static void varints_round_trip_and_reject_overlong(void **state)
{
    (void)state;
    const uint64_t values[] = { 0, 1, 127, 128, 300, 1ULL << 35, UINT64_MAX };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t bytes[10];
        uint64_t back = 0;
        size_t len = varint_put(bytes, values[i]);
        assert_int_equal(len, varint_size(values[i]));
        assert_int_equal(varint_get(bytes, len, &back), len);
        assert_true(back == values[i]);
        assert_int_equal(varint_get(bytes, len - 1, &back), 0);
    }
    const uint8_t endless[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01 };
    const uint8_t too_big[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02 };
    uint64_t back;
    assert_int_equal(varint_get(endless, sizeof endless, &back), 0);
    assert_int_equal(varint_get(too_big, sizeof too_big, &back), 0);
}

static void a_map_keeps_its_keys_through_growth_and_removal(void **state)
{
    (void)state;
    enum { KEYS = 2000 };
    static char keys[KEYS][16];
    struct strmap map;
    strmap_init(&map);
    assert_null(strmap_get(&map, "absent"));
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key-%d", i);
        assert_true(strmap_set(&map, keys[i], keys[i]));
    }
    assert_false(strmap_set(&map, keys[7], keys[7]));
    for (int i = 0; i < KEYS; i += 3)
        assert_ptr_equal(strmap_remove(&map, keys[i]), keys[i]);
    for (int i = 0; i < KEYS; i++)
        assert_ptr_equal(strmap_get(&map, keys[i]), i % 3 == 0 ? NULL : keys[i]);
    assert_ptr_equal(strmap_get_n(&map, "key-1xyz", 5), keys[1]);
    assert_null(strmap_get_n(&map, "key-1\0", 6)); /* a NUL inside a peer's key matches nothing */
    size_t pos = 0;
    size_t seen = 0;
    const char *key;
    void *value;
    while (strmap_next(&map, &pos, &key, &value))
        seen++;
    assert_int_equal(seen, map.count);
    strmap_fini(&map);
}

static void utf8_follows_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t valid; /* bytes */
    } cases[] = {
        { "", 0 },
        { "plain", 5 },
        { "\xE4\xB8\xAD\xE5\x9B\xBD", 6 },
        { "\xF0\xA0\x80\x80", 4 },
        { "a\xFF", 1 },
        { "\xC0\xAF", 0 },         /* overlong */
        { "\xE0\x80\xAF", 0 },     /* overlong */
        { "\xED\xA0\x80", 0 },     /* surrogate */
        { "\xF4\x90\x80\x80", 0 }, /* above U+10FFFF */
        { "12345678\xE4\xB8", 8 }, /* cut short */
        { "\x80", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(utf8_check(cases[i].text, strlen(cases[i].text)), cases[i].valid);
    assert_int_equal(utf8_columns("a\xE4\xB8\xAD"), 3);
    for (uint32_t cp = 1; cp < 0x110000; cp += 97) {
        uint8_t bytes[4];
        uint32_t back;
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        size_t len = utf8_encode(cp, bytes);
        assert_int_equal(utf8_decode(bytes, len, &back), len);
        assert_int_equal(back, cp);
    }
}

/* The check takes eight bytes at once where it can; utf8_decode goes one character at a time. */
static void utf8_check_agrees_with_decoding(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 'a',  0x7F, 0x80, 0xA0, 0xBF, 0xC2, 0xE0,
                                     0xE1, 0xED, 0xEE, 0xEF, 0xF0, 0xFF };
    enum { KINDS = sizeof bytes, PLACES = 6 };
    uint8_t text[PLACES + 3] = { 0, 0, 0, 0, 0, 0, 'x', 'y', 'z' };
    size_t all = 1;
    for (size_t i = 0; i < PLACES; i++)
        all *= KINDS;
    for (size_t number = 0; number < all; number++) {
        size_t rest = number, good = 0;
        uint32_t cp;
        for (size_t i = 0; i < PLACES; i++, rest /= KINDS)
            text[i] = bytes[rest % KINDS];
        while (good < sizeof text) {
            size_t step = utf8_decode(text + good, sizeof text - good, &cp);
            if (step == 0)
                break;
            good += step;
        }
        if (utf8_check(text, sizeof text) != good || utf8_check_text(text, sizeof text) != good)
            fail_msg("combination %zu is valid for %zu bytes", number, good);
    }
}

static void uuids_are_version_7_and_ordered_by_time(void **state)
{
    (void)state;
    uint8_t first[UUID_BYTES];
    uint8_t second[UUID_BYTES];
    uint8_t parsed[UUID_BYTES];
    char text[UUID_TEXT_BYTES];
    uuid7_make(first);
    int64_t start = clock_wall_us();
    while (clock_wall_us() / 1000 == start / 1000)
        ;
    uuid7_make(second);
    assert_int_equal(first[6] >> 4, 7);
    assert_int_equal(first[8] >> 6, 2);
    assert_true(memcmp(first, second, 6) < 0);
    uuid_format(first, text);
    assert_true(uuid_parse(text, parsed));
    assert_memory_equal(first, parsed, UUID_BYTES);
    assert_false(uuid_parse("not-a-uuid", parsed));
    text[10] = 'g';
    assert_false(uuid_parse(text, parsed));
}

static void times_read_as_their_standards_say(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *rfc3339, *http;
    } vectors[] = {
        { 784111777000001, "1994-11-06T08:49:37.000001Z", "Sun, 06 Nov 1994 08:49:37 GMT" },
        { 951782400000000, "2000-02-29T00:00:00.000000Z", "Tue, 29 Feb 2000 00:00:00 GMT" },
        { 0, "1970-01-01T00:00:00.000000Z", "Thu, 01 Jan 1970 00:00:00 GMT" },
        { -1, "1969-12-31T23:59:59.999999Z", "Wed, 31 Dec 1969 23:59:59 GMT" },
    };
    char text[CLOCK_TEXT_BYTES];
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        clock_format(vectors[i].us, text);
        assert_string_equal(text, vectors[i].rfc3339);
        clock_format_http(vectors[i].us, text);
        assert_string_equal(text, vectors[i].http);
    }
}

static void base64_follows_rfc_4648(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char text[32];
        uint8_t back[32];
        size_t len = strlen(vectors[i][0]);
        base64_encode(vectors[i][0], len, text);
        assert_string_equal(text, vectors[i][1]);
        assert_int_equal(base64_decode(text, strlen(text), back), (long)len);
        assert_memory_equal(back, vectors[i][0], len);
        base64_encode_unpadded(vectors[i][0], len, text);
        assert_int_equal(base64_decode(text, strlen(text), back), (long)len);
    }
    uint8_t out[32];
    assert_int_equal(base64_decode("A", 1, out), -1);
    assert_int_equal(base64_decode("Zg=!", 4, out), -1);
}

static void an_arena_serves_small_and_large_wishes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    char *small = arena_strdup(&arena, "small");
    char *large = arena_alloc(&arena, 100000);
    memset(large, 'x', 100000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal((uintptr_t)arena_alloc(&arena, (size_t)i) % sizeof(void *), 0);
    assert_string_equal(small, "small");
    assert_string_equal(arena_format(&arena, "%d-%s", 7, "y"), "7-y");
    arena_fini(&arena);
}

static void listening_addresses_are_numeric_with_a_port(void **state)
{
    (void)state;
    static const char *const good[] = { "127.0.0.1:8443", "0.0.0.0:1", "[::1]:65535", "[::]:0" };
    static const char *const bad[] = {
        "",        "127.0.0.1",   "localhost:1", "127.0.0.1:65536", "127.0.0.1:",  "[::1]",
        "[::1:80", "1.2.3.4:80x", "::1:80",      "127.0.0.1:-1",    "[1.2.3.4]:1", "300.0.0.1:1"
    };
    struct sockaddr_storage address;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_not_equal(address_parse(good[i], &address), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(address_parse(bad[i], &address), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_code_maps_to_a_status),
        cmocka_unit_test(long_error_texts_are_cut_at_a_character),
        cmocka_unit_test(a_buffer_refuses_what_passes_its_ceiling),
        cmocka_unit_test(varints_round_trip_and_reject_overlong),
        cmocka_unit_test(a_map_keeps_its_keys_through_growth_and_removal),
        cmocka_unit_test(utf8_follows_rfc_3629),
        cmocka_unit_test(utf8_check_agrees_with_decoding),
        cmocka_unit_test(uuids_are_version_7_and_ordered_by_time),
        cmocka_unit_test(times_read_as_their_standards_say),
        cmocka_unit_test(base64_follows_rfc_4648),
        cmocka_unit_test(listening_addresses_are_numeric_with_a_port),
        cmocka_unit_test(an_arena_serves_small_and_large_wishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
