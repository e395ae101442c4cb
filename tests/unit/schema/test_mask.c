/* Masks: their texts, what fits which type, every mask at work, whole records, keys. */
#include "schema_support.h"

#include "base/ids.h"
#include "schema/mask.h"
#include "schema/record.h"

/* --- texts ---------------------------------------------------------------------------------------- */

static void texts_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } good[] = {
        { "keep-first:1", "keep-first:1:*" },
        { "keep-first:0:#", "keep-first:0:#" },
        { "keep-last:256:＊", "keep-last:256:＊" },
        { "keep-last:4:𝕏", "keep-last:4:𝕏" },
        { "keep-first:1::", "keep-first:1::" },
        { "hash", "hash" },
        { "year", "year" },
        { "month", "month" },
        { "prefix:6", "prefix:6" },
        { "drop", "drop" },
    };
    static const char *const bad[] = { "",
                                       "keep",
                                       "keep-first",
                                       "keep-first:",
                                       "keep-first:x",
                                       "keep-first:-1",
                                       "keep-first:1:",
                                       "keep-first:12345",
                                       "keep-first:1:abcde",
                                       "hash:1",
                                       "prefix",
                                       "prefix:6:*",
                                       "drop ",
                                       " drop",
                                       "DROP",
                                       "year:2" };
    struct schema_mask mask;
    char text[SCHEMA_MASK_TEXT_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(schema_mask_parse(good[i].text, &mask));
        schema_mask_format(&mask, text);
        assert_string_equal(text, good[i].written);
        assert_true(schema_mask_parse(text, &mask));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (schema_mask_parse(bad[i], &mask))
            fail_msg("\"%s\" was taken for a mask", bad[i]);
}

/* --- fit ------------------------------------------------------------------------------------------ */

static struct schema_bundle *every_type(void)
{
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything("", "  id: i\n", &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    return bundle;
}

static const struct schema_field *field_of(const struct schema_bundle *bundle, const char *name)
{
    const struct schema_message *type = schema_bundle_find(bundle, "d/x")->type;
    const struct schema_field *field = schema_message_field(type, name, strlen(name));
    assert_non_null(field);
    return field;
}

static const char *reason_of(const char *text, const struct schema_field *field)
{
    static struct err err;
    struct schema_mask mask;
    err = (struct err)ERR_INIT;
    assert_true(schema_mask_parse(text, &mask));
    return schema_mask_check(&mask, field, &err) == 0 ? "" : err.reason;
}

/* One row for each kind of field, one letter for each mask: keep-first keep-last hash year month prefix
 * drop; a dot where it does not fit. */
static void masks_fit_their_types_only(void **state)
{
    (void)state;
    static const char *const masks[] = { "keep-first:1", "keep-last:1", "hash", "year",
                                         "month",        "prefix:2",    "drop" };
    static const struct {
        const char *field, *fits;
    } rows[] = {
        { "text", "FLH..PD" },    { "maybe", "FLH..PD" },   { "phone", "FLH..PD" },
        { "tags", "FLH..PD" },    { "person", "FLH..PD" },  { "day", "..HYM.D" },
        { "at", "...YM.D" },      { "big", "......D" },     { "small", "......D" },
        { "natural", "......D" }, { "zigzag", "......D" },  { "fixed", "......D" },
        { "wide", "......D" },    { "flag", "......D" },    { "real", "......D" },
        { "narrow", "......D" },  { "blob", "......D" },    { "colour", "......D" },
        { "address", "......D" }, { "numbers", "......D" }, { "extra", "......D" },
    };
    struct schema_bundle *bundle = every_type();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t j = 0; j < sizeof masks / sizeof masks[0]; j++) {
            const char *reason = reason_of(masks[j], field_of(bundle, rows[i].field));
            if (strcmp(reason, rows[i].fits[j] != '.' ? "" : "MASK_UNFIT") != 0)
                fail_msg("%s of %s: \"%s\"", masks[j], rows[i].field, reason);
        }
    schema_bundle_free(&bundle);
}

static void names_are_no_codes(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_message *type = schema_bundle_find(bundle, "civil-affairs/residents")->type;
    assert_string_equal(reason_of("prefix:6", schema_message_field(type, "division_code", 13)), "");
    assert_string_equal(reason_of("prefix:1", schema_message_field(type, "name", 4)), "MASK_UNFIT");
    assert_string_equal(reason_of("prefix:1", schema_message_field(type, "address", 7)),
                        "MASK_UNFIT");
    assert_string_equal(reason_of("year", schema_message_field(type, "updated_at", 10)), "");
    schema_bundle_free(&bundle);
}

static void numbers_and_characters_have_limits(void **state)
{
    (void)state;
    static const struct {
        struct schema_mask mask;
        const char *reason;
    } rows[] = {
        { { MASK_KEEP_FIRST, 0, "*" }, "" },
        { { MASK_KEEP_FIRST, SCHEMA_MASK_KEEP_MAX, "*" }, "" },
        { { MASK_KEEP_FIRST, SCHEMA_MASK_KEEP_MAX + 1, "*" }, "MASK_INVALID" },
        { { MASK_KEEP_LAST, -1, "*" }, "MASK_INVALID" },
        { { MASK_PREFIX, 0, "" }, "MASK_INVALID" },
        { { MASK_PREFIX, SCHEMA_MASK_PREFIX_MAX, "" }, "" },
        { { MASK_PREFIX, SCHEMA_MASK_PREFIX_MAX + 1, "" }, "MASK_INVALID" },
        { { MASK_HASH, 1, "" }, "MASK_INVALID" },
        { { MASK_HASH, 0, "*" }, "MASK_INVALID" },
        { { (enum schema_mask_kind)0, 0, "" }, "MASK_INVALID" },
        { { (enum schema_mask_kind)99, 0, "" }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, "" }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, "ab" }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, " " }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, "\n" }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, "\x7f" }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, "\xe3\x80\x80" }, "MASK_INVALID" }, /* a wide space */
        { { MASK_KEEP_FIRST, 1, "\xcc\x81" }, "MASK_INVALID" },     /* an accent without a letter */
        { { MASK_KEEP_FIRST, 1, "\xff" }, "MASK_INVALID" },
        { { MASK_KEEP_FIRST, 1, "●" }, "" },
    };
    struct schema_bundle *bundle = every_type();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = ERR_INIT;
        (void)schema_mask_check(&rows[i].mask, field_of(bundle, "text"), &err);
        if (strcmp(err.code == ERR_OK ? "" : err.reason, rows[i].reason) != 0)
            fail_msg("row %zu: %s", i, err.text);
    }
    schema_bundle_free(&bundle);
}

/* --- values --------------------------------------------------------------------------------------- */

static const uint8_t key_a[SCHEMA_MASK_KEY_BYTES] = { 1 };

static void put_text(struct buf *record, const struct schema_field *field, const char *text)
{
    (void)buf_append_varint(record, (uint64_t)field->number << 3 | 2);
    (void)buf_append_varint(record, strlen(text));
    (void)buf_append_str(record, text);
}

/* "-": the field was left out. */
static void masked_text(const struct schema_bundle *bundle, const char *name, const char *spec,
                        const char *text, char out_r[256])
{
    const struct schema_field *field = field_of(bundle, name);
    struct schema_masks *masks = schema_masks_new();
    struct schema_mask mask;
    struct buf record, out, persons;
    struct schema_record_field item;
    buf_init(&record, 4096);
    buf_init(&out, 4096);
    buf_init(&persons, 4096);
    assert_true(schema_mask_parse(spec, &mask));
    schema_masks_add(masks, field, &mask);
    schema_masks_set_key(masks, key_a);
    put_text(&record, field, text);
    assert_int_equal(schema_masks_apply(masks, buf_slice(&record), &out, &persons), MASKS_DONE);
    struct slice rest = buf_slice(&out);
    (void)snprintf(out_r, 256, "-");
    if (schema_record_next(schema_bundle_find(bundle, "d/x")->type, &rest, &item))
        (void)snprintf(out_r, 256, "%.*s", (int)item.value.len, (const char *)item.value.data);
    assert_int_equal(rest.len, 0);
    buf_fini(&record);
    buf_fini(&out);
    buf_fini(&persons);
    schema_masks_free(&masks);
}

static void values_are_masked(void **state)
{
    (void)state;
    static const struct {
        const char *field, *mask, *in, *out;
    } rows[] = {
        { "text", "keep-first:1", "张三丰", "张**" },
        { "text", "keep-first:1", "张", "*" }, /* it would leave whole */
        { "text", "keep-first:2", "张三", "**" },
        { "text", "keep-first:0", "张三", "**" },
        { "text", "keep-first:9", "abc", "***" },
        { "text", "keep-last:4", "13800138000", "*******8000" },
        { "text", "keep-last:4:＃", "8000", "＃＃＃＃" },
        { "text", "keep-last:1:●", "欧阳锋", "●●锋" },
        { "text", "keep-last:1", "a𠀀b𠀁", "***𠀁" },    /* four bytes are one character */
        { "text", "keep-first:1", "e\xcc\x81z", "e**" }, /* an accent is a character of its own */
        { "text", "keep-first:3", "", "" },
        { "person", "keep-first:6", "11010519491231002X", "110105************" },
        { "day", "year", "2024-02-29", "2024" },
        { "day", "month", "2024-02-29", "2024-02" },
        { "day", "month", "0001-01-01", "0001-01" },
        { "day", "year", "2024-02", "-" },
        { "day", "year", "2024年2月", "-" },
        { "day", "year", "20240229", "-" },
        { "day", "year", "2024-02-29T00:00:00", "-" },
        { "text", "prefix:6", "110101001002", "110101" },
        { "text", "prefix:6", "110101", "-" }, /* it would leave whole */
        { "text", "prefix:6", "11", "-" },
        { "text", "prefix:2", "张三丰", "-" },
        { "text", "prefix:2", "1 01", "-" },
        { "text", "drop", "x", "-" },
        { "tags", "keep-first:1", "ab", "a*" },
    };
    struct schema_bundle *bundle = every_type();
    char out[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        masked_text(bundle, rows[i].field, rows[i].mask, rows[i].in, out);
        if (strcmp(out, rows[i].out) != 0)
            fail_msg("%s of \"%s\" is \"%s\", not \"%s\"", rows[i].mask, rows[i].in, out,
                     rows[i].out);
    }
    schema_bundle_free(&bundle);
}

/* HMAC-SHA-256 with the key 01 00 …, computed with another program:
 *   printf abc | openssl dgst -sha256 -mac HMAC -macopt hexkey:01000000…00 */
static void a_hash_is_a_keyed_one(void **state)
{
    (void)state;
    struct schema_bundle *bundle = every_type();
    char out[256], again[256], other[256];
    masked_text(bundle, "text", "hash", "abc", out);
    masked_text(bundle, "phone", "hash", "abc", again);
    masked_text(bundle, "text", "hash", "abd", other);
    assert_string_equal(out, "df55998f9fc33d78ac99d1d8ebc2b6e16aa076c4189946942a82b55d5dee8dc7");
    assert_string_equal(out, again);
    assert_string_not_equal(out, other);
    schema_bundle_free(&bundle);
}

static void agreements_have_keys_of_their_own(void **state)
{
    (void)state;
    uint8_t a[SCHEMA_MASK_KEY_BYTES], b[SCHEMA_MASK_KEY_BYTES], again[SCHEMA_MASK_KEY_BYTES];
    uint8_t check_a[SCHEMA_MASK_CHECK_BYTES], check_b[SCHEMA_MASK_CHECK_BYTES];
    schema_mask_key(key_a, "agr-1", a);
    schema_mask_key(key_a, "agr-2", b);
    schema_mask_key(key_a, "agr-1", again);
    assert_memory_equal(a, again, sizeof a);
    assert_memory_not_equal(a, b, sizeof a);
    schema_mask_key_check(a, check_a);
    schema_mask_key_check(b, check_b);
    assert_memory_not_equal(check_a, check_b, sizeof check_a);
    assert_memory_not_equal(check_a, a, sizeof check_a);
}

/* Without a key a hash is no plain one: the field is left out. */
static void without_a_key_nothing_leaves(void **state)
{
    (void)state;
    struct schema_bundle *bundle = every_type();
    const struct schema_field *field = field_of(bundle, "text");
    struct schema_masks *masks = schema_masks_new();
    struct schema_mask mask = { .kind = MASK_HASH };
    struct buf record, out, persons;
    buf_init(&record, 4096);
    buf_init(&out, 4096);
    buf_init(&persons, 4096);
    schema_masks_add(masks, field, &mask);
    assert_true(schema_masks_hash(masks));
    put_text(&record, field, "abc");
    assert_int_equal(schema_masks_apply(masks, buf_slice(&record), &out, &persons), MASKS_DONE);
    assert_int_equal(out.len, 0);
    /* Bytes that are no record do not leave either. */
    (void)buf_append_byte(&record, 0xff);
    assert_int_equal(schema_masks_apply(masks, buf_slice(&record), &out, &persons),
                     MASKS_MALFORMED);
    buf_fini(&record);
    buf_fini(&out);
    buf_fini(&persons);
    schema_masks_free(&masks);
    schema_bundle_free(&bundle);
}

/* --- records -------------------------------------------------------------------------------------- */

static const char mapping[] = "  id: i\n"
                              "  text: {from: t, normalise: [trim]}\n"
                              "  person: {from: p, normalise: [cn_id]}\n"
                              "  day: {from: d, normalise: [cn_date]}\n"
                              "  at: a\n"
                              "  small: s\n"
                              "  maybe: {constant: fixed}\n";
static const struct cell stored[] = {
    { "k", 1 },
    { " 张三丰 ", 11 },
    { "110105491231002", 15 },
    { "2024年2月29日", 16 },
    { "2024-02-29T23:30:00+08:00", 25 },
    { "7", 1 },
};

static char *masked_json(const char *const *specs, size_t count, struct slice *person_r,
                         size_t *persons_r)
{
    static char person[64];
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = everything("", mapping, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    const struct schema_dataset *dataset = schema_bundle_find(bundle, "d/x");
    struct schema_masks *masks = schema_masks_new();
    for (size_t i = 0; i < count; i++) {
        struct schema_mask mask;
        const char *spec = strchr(specs[i], '=');
        const struct schema_field *field =
            schema_message_field(dataset->type, specs[i], (size_t)(spec - specs[i]));
        assert_true(schema_mask_parse(spec + 1, &mask));
        assert_int_equal(schema_mask_check(&mask, field, &err), 0);
        schema_masks_add(masks, field, &mask);
    }
    schema_masks_set_key(masks, key_a);
    struct schema_plan *plan = full_plan(dataset);
    schema_plan_mask(plan, masks);
    PGresult *rows = new_rows(stored, sizeof stored / sizeof stored[0]);
    struct buf record, json;
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    buf_init(&json, 4096);
    (void)buf_append_str(&record, "before");
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &record, &report, &err), 0);
    assert_int_equal(report.state, ROW_DELIVERED);
    assert_memory_equal(record.data, "before", 6);
    struct slice seen[4];
    *persons_r = schema_plan_persons(plan, record.data + 6, record.len - 6, seen, 4);
    size_t masked = schema_plan_masked_persons(plan, seen, 4);
    *person_r = slice_of(person, 0);
    if (masked == 1) {
        memcpy(person, seen[0].data, seen[0].len);
        *person_r = slice_of(person, seen[0].len);
    }
    struct schema_json_options options = { .proto_field_names = true };
    if (schema_json_encode(&options, dataset->type, record.data + 6, record.len - 6, &json, &err) !=
        0)
        fail_msg("%s", err.text);
    char *text = mem_strndup((const char *)json.data, json.len);
    buf_fini(&record);
    buf_fini(&json);
    PQclear(rows);
    schema_plan_free(&plan);
    schema_masks_free(&masks);
    schema_bundle_free(&bundle);
    return text;
}

static void whole_records_are_masked(void **state)
{
    (void)state;
    static const char *const specs[] = { "text=keep-first:1", "person=keep-last:4",
                                         "day=year",          "at=month",
                                         "small=drop",        "maybe=keep-last:0" };
    struct slice person;
    size_t plain;
    char *text = masked_json(specs, sizeof specs / sizeof specs[0], &person, &plain);
    assert_string_equal(text, "{\"id\":\"k\",\"text\":\"张**\",\"at\":\"2024-01-31T16:00:00Z\","
                              "\"person\":\"**************002X\","
                              "\"day\":\"2024\",\"maybe\":\"*****\"}");
    /* The person index hears of the person, not of the mask. */
    assert_int_equal(plain, 0);
    assert_int_equal(person.len, 18);
    assert_memory_equal(person.data, "11010519491231002X", 18);
    free(text);
}

static void years_begin_in_china(void **state)
{
    (void)state;
    static const char *const specs[] = { "at=year" };
    struct slice person;
    size_t plain;
    char *text = masked_json(specs, 1, &person, &plain);
    assert_non_null(strstr(text, "\"at\":\"2023-12-31T16:00:00Z\""));
    assert_non_null(strstr(text, "\"text\":\"张三丰\""));
    assert_int_equal(plain, 1);
    assert_int_equal(person.len, 0);
    free(text);
}

/* Every value that a mask could make longer than a record may be is refused, not cut. */
static void a_record_that_grows_too_large_is_quarantined(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = everything("", "  id: i\n  text: t\n", &err);
    const struct schema_dataset *dataset = schema_bundle_find(bundle, "d/x");
    struct schema_masks *masks = schema_masks_new();
    struct schema_mask mask;
    assert_true(schema_mask_parse("keep-first:1:𝕏", &mask));
    schema_masks_add(masks, schema_message_field(dataset->type, "text", 4), &mask);
    struct schema_plan *plan = full_plan(dataset);
    schema_plan_mask(plan, masks);
    size_t len = PLAN_RECORD_BYTES_MAX / 2;
    char *large = mem_zero(len);
    memset(large, 'a', len);
    struct cell cells[] = { { "k", 1 }, { large, len } };
    PGresult *rows = new_rows(cells, 2);
    struct buf record;
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &record, &report, &err), 0);
    assert_int_equal(report.state, ROW_QUARANTINED);
    assert_string_equal(report.code, "RECORD_TOO_LARGE");
    assert_int_equal(record.len, 0);
    buf_fini(&record);
    free(large);
    PQclear(rows);
    schema_plan_free(&plan);
    schema_masks_free(&masks);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_and_written),
        cmocka_unit_test(masks_fit_their_types_only),
        cmocka_unit_test(names_are_no_codes),
        cmocka_unit_test(numbers_and_characters_have_limits),
        cmocka_unit_test(values_are_masked),
        cmocka_unit_test(a_hash_is_a_keyed_one),
        cmocka_unit_test(agreements_have_keys_of_their_own),
        cmocka_unit_test(without_a_key_nothing_leaves),
        cmocka_unit_test(whole_records_are_masked),
        cmocka_unit_test(years_begin_in_china),
        cmocka_unit_test(a_record_that_grows_too_large_is_quarantined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
