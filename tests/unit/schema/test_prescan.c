#include "kitchen.h"

#include "base/clock.h"
#include "schema/prescan.h"

static struct schema_set *set;

static int setup(void **state)
{
    (void)state;
    kitchen_make();
    set = kitchen_load();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schema_set_free(&set);
    kitchen_remove();
    return 0;
}

/* Scans a copy of exactly this length, so that a sanitiser sees a byte read too many. */
static int scan(const char *type, const void *data, size_t len, struct err *err)
{
    const struct schema_message *message = schema_set_message(set, type);
    assert_non_null(message);
    uint8_t *copy = mem_dup(data, len);
    int result = schema_prescan(message, copy, len, err);
    free(copy);
    return result;
}

struct row {
    const char *type;
    const char *bytes;
    size_t len;
    const char *reason; /* NULL: accepted */
    const char *part;
};

#define ROW(type_, bytes_, reason_, part_)                                                         \
    {                                                                                              \
        "test.kitchen." type_, bytes_, sizeof bytes_ - 1, reason_, part_                           \
    }
#define BAD "MESSAGE_MALFORMED"

static const struct row rows[] = {
    ROW("Scalars", "", NULL, NULL),
    ROW("Scalars", "\x08\x01", NULL, NULL),
    ROW("Scalars", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", NULL, NULL),
    ROW("Scalars", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", BAD, "cut short"),
    ROW("Scalars", "\x08", BAD, "cut short"),
    ROW("Scalars", "\x08\x80", BAD, "cut short"),
    ROW("Scalars", "\x88", BAD, "cut short"),
    ROW("Scalars", "\x00\x01", BAD, "cut short"),
    ROW("Scalars", "\x0d\x01\x02\x03\x04", BAD, "\"int32_value\""),
    ROW("Scalars", "\x0a\x01\x01", BAD, "wire type"), /* packed, but not repeated */
    ROW("Scalars", "\x3d\x01\x02\x03\x04", NULL, NULL),
    ROW("Scalars", "\x3d\x01\x02\x03", BAD, "cut short"),
    ROW("Scalars", "\x41\x01\x02\x03\x04\x05\x06\x07\x08", NULL, NULL),
    ROW("Scalars", "\x41\x01\x02\x03\x04\x05\x06\x07", BAD, "cut short"),
    ROW("Scalars", "\x72\x03\xe6\x95\xb0", NULL, NULL),
    ROW("Scalars", "\x72\x03\xe6\x95", BAD, "cut short"),
    ROW("Scalars", "\x72\x02\xe6\x95", "MESSAGE_NOT_UTF8", "\"string_value\""),
    ROW("Scalars", "\x72\x02\xff\xfe", "MESSAGE_NOT_UTF8", "\"string_value\""),
    ROW("Scalars", "\x72\x03\xed\xa0\x80", "MESSAGE_NOT_UTF8", "UTF-8"), /* a surrogate */
    ROW("Scalars",
        "\x72\x03"
        "a\0b",
        BAD, "U+0000"),
    ROW("Scalars", "\x7a\x02\xff\xfe", NULL, NULL), /* bytes may hold anything */
    ROW("Scalars", "\x0b\x0c", BAD, "cut short"),   /* a group */
    ROW("Scalars", "\x0c", BAD, "cut short"),
    ROW("Scalars", "\x0e", BAD, "cut short"),                         /* wire type 6 */
    ROW("Scalars", "\xf8\xff\xff\xff\x0f\x01", NULL, NULL),           /* unknown field 536870911 */
    ROW("Scalars", "\xf8\xff\xff\xff\x1f\x01", BAD, "cut short"),     /* beyond 32 bits of tag */
    ROW("Scalars", "\x88\x80\x80\x80\x80\x00\x01", BAD, "cut short"), /* six-byte tag */
    ROW("Scalars", "\x72\xff\xff\xff\xff\x0f", BAD, "cut short"),
    ROW("Scalars", "\xfa\x3e\x02zz", NULL, NULL), /* unknown length-delimited */
    ROW("Scalars", "\xfa\x3e\x03zz", BAD, "cut short"),
    ROW("Scalars", "\xfb\x3e\xfc\x3e", BAD, "cut short"),     /* unknown group */
    ROW("Lists", "\x0a\x03\x01\x02\x03\x08\x04", NULL, NULL), /* packed and not */
    ROW("Lists", "\x0a\x00", NULL, NULL),
    ROW("Lists", "\x0a\x02\x01\x80", BAD, "packed"),
    ROW("Lists", "\x22\x05\x01\x02\x03\x04\x05", BAD, "\"fixed32_list\""),
    ROW("Lists", "\x22\x08\x01\x02\x03\x04\x05\x06\x07\x08", NULL, NULL),
    ROW("Lists", "\x5a\x02\x01\x02\x58\x01", NULL, NULL), /* [packed = false] reads both too */
    ROW("Lists", "\x38\x01", BAD, "\"string_list\""),
    ROW("Lists", "\x52\x02\x08\x01\x52\x00", NULL, NULL),
    ROW("Lists", "\x52\x03\x08\x01", BAD, "cut short"),
    ROW("Lists", "\x52\x04\x72\x02\xff\xfe", "MESSAGE_NOT_UTF8", "\"scalars_list.string_value\""),
    ROW("Lists", "\x52\x03\x72\x02z", BAD, "\"scalars_list\""), /* child beyond its parent */
    ROW("Maps", "\x0a\x06\x0a\x01k\x12\x01v", NULL, NULL),
    ROW("Maps", "\x0a\x00", NULL, NULL),
    ROW("Maps", "\x0a\x03\x0a\x01\xff", "MESSAGE_NOT_UTF8", "\"text_map.key\""),
    ROW("Maps", "\x0a\x03\x12\x01\xff", "MESSAGE_NOT_UTF8", "\"text_map.value\""),
    ROW("Maps", "\x0a\x02\x08\x01", BAD, "\"text_map.key\""),
    ROW("Optionals", "\x20\x01\x2a\x01x\x20\x02", NULL, NULL), /* a oneof may change its mind */
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = ERR_INIT;
        int result = scan(rows[i].type, rows[i].bytes, rows[i].len, &err);
        if (rows[i].reason == NULL) {
            if (result != 0)
                fail_msg("row %zu refused: %s", i, err.text);
            continue;
        }
        if (result == 0)
            fail_msg("row %zu accepted", i);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        if (strcmp(err.reason, rows[i].reason) != 0 || strstr(err.text, rows[i].part) == NULL)
            fail_msg("row %zu: %s %s", i, err.reason, err.text);
    }
}

/* `levels` messages inside the outermost one, through field 6 of Sink. */
static uint8_t *nested(int levels, size_t *len_r)
{
    size_t cap = (size_t)levels * 6 + 1;
    uint8_t *data = mem_zero(cap);
    size_t at = cap;
    size_t len = 0;
    for (int i = 0; i < levels; i++) {
        uint8_t head[12] = { 0x32 };
        size_t size = 1 + varint_put(head + 1, len);
        at -= size;
        memcpy(data + at, head, size);
        len += size;
    }
    memmove(data, data + at, len);
    *len_r = len;
    return data;
}

static void depth_ends_at_64(void **state)
{
    (void)state;
    static const struct {
        int levels;
        int result;
    } cases[] = { { 1, 0 }, { 63, 0 }, { 64, 0 }, { 65, -1 }, { 10000, -1 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len;
        uint8_t *data = nested(cases[i].levels, &len);
        struct err err = ERR_INIT;
        assert_int_equal(scan("test.kitchen.Sink", data, len, &err), cases[i].result);
        if (cases[i].result < 0) {
            assert_string_equal(err.reason, "MESSAGE_TOO_DEEP");
            assert_non_null(strstr(err.text, "\"child.child."));
        }
        free(data);
    }
}

/* The message's own field and each packed element count. */
static void elements_end_at_65536(void **state)
{
    (void)state;
    for (size_t count = PRESCAN_ELEMENTS_MAX; count <= PRESCAN_ELEMENTS_MAX + 1; count++) {
        struct err err = ERR_INIT;
        int wanted = count > PRESCAN_ELEMENTS_MAX ? -1 : 0;
        uint8_t *loose = mem_zero(2 * count);
        for (size_t i = 0; i < count; i++)
            loose[2 * i] = 0x0A; /* empty map entries */
        assert_int_equal(scan("test.kitchen.Maps", loose, 2 * count, &err), wanted);
        for (size_t i = 0; i < count; i++)
            loose[2 * i] = 0x60; /* a field nobody knows */
        assert_int_equal(scan("test.old.Old", loose, 2 * count, &err), wanted);
        free(loose);
        uint8_t *packed = mem_zero(count + 8);
        packed[0] = 0x0A;
        size_t head = 1 + varint_put(packed + 1, count - 1);
        assert_int_equal(scan("test.kitchen.Lists", packed, head + count - 1, &err), wanted);
        if (wanted < 0)
            assert_string_equal(err.reason, "MESSAGE_TOO_MANY_ELEMENTS");
        free(packed);
    }
}

static void no_bytes_at_all(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(schema_prescan(schema_set_message(set, "test.kitchen.Sink"), NULL, 0, &err),
                     0);
    assert_int_equal(
        schema_prescan(schema_set_message(set, "test.old.Old"), (const uint8_t *)"\x08", 1, NULL),
        -1); /* a caller that does not care why */
}

static void a_real_request_passes_and_its_cuts_do_not_crash(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data =
        kitchen_encode("sluice.v1.LookupRequest",
                       "dataset: \"civil-affairs/towns\" key: \"110105\" purpose: \"P1\" "
                       "request_id: \"r-1\" fields { paths: \"code\" paths: \"name\" }",
                       &len);
    struct err err = ERR_INIT;
    assert_int_equal(scan("sluice.v1.LookupRequest", data, len, &err), 0);
    for (size_t cut = 0; cut < len; cut++)
        (void)scan("sluice.v1.LookupRequest", data, cut, &err);
    /* Cheap: far more than a million small requests a second on any machine of this decade. */
    const struct schema_message *message = schema_set_message(set, "sluice.v1.LookupRequest");
    int64_t start = clock_monotonic_us();
    for (int i = 0; i < 100000; i++)
        assert_int_equal(schema_prescan(message, data, len, &err), 0);
    print_message("prescan of %zu bytes: %.0f ns\n", len,
                  (double)(clock_monotonic_us() - start) / 100.0);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(depth_ends_at_64),
        cmocka_unit_test(elements_end_at_65536),
        cmocka_unit_test(no_bytes_at_all),
        cmocka_unit_test(a_real_request_passes_and_its_cuts_do_not_crash),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
