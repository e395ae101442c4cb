/* services: what the quarantine store keeps of a row, and what reading it again says. */
#include "unit/schema/schema_support.h"

#include "base/ids.h"
#include "services/quarantine_item.h"

static struct quarantine_keys test_keys(void)
{
    uint8_t person[QUARANTINE_KEY_BYTES];
    struct quarantine_keys keys;
    for (size_t i = 0; i < sizeof person; i++)
        person[i] = (uint8_t)i;
    quarantine_keys_derive(person, &keys);
    return keys;
}

static void assert_hex(const uint8_t *bytes, const char *hex)
{
    char text[2 * HASH_BYTES + 1];
    hex_encode(bytes, HASH_BYTES, text);
    assert_string_equal(text, hex);
}

/* Vectors by Python's hmac and hashlib, RFC 5869 written out. */
static void keys_and_digests_are_those_of_the_standards(void **state)
{
    (void)state;
    struct quarantine_keys keys = test_keys();
    uint8_t digest[HASH_BYTES];
    assert_hex(keys.seal, "39b8089cf22d5534b7d22492a914de21e502e7a673693bc90618f78cd31d46a2");
    assert_hex(keys.digest, "7a7680cc06864789840bcfd0ea82f0932e40c4ba95dfedfa1c2c5fb3ffc2e690");
    quarantine_key_digest(&keys, "d/x", "k", digest);
    assert_hex(digest, "923ac81cd9e7e43ac66b94eb8791b9b436f294f0b8bbff9ec7961ea5a80473ef");
    const struct cell cells[] = { CELL("k"), NULL_CELL, CELL("") };
    PGresult *rows = new_rows(cells, 3);
    quarantine_row_digest(&keys, as_rows(rows), 0, digest);
    assert_hex(digest, "16cd77e8cde812be8449157697070aab8da0b01154ce5120d64bb8a0a84140c6");
    PQclear(rows);
}

static void rows_that_differ_anywhere_have_other_digests(void **state)
{
    (void)state;
    struct quarantine_keys keys = test_keys();
    const struct cell rows[][3] = {
        { CELL("ab"), CELL("c"), CELL("") },  { CELL("a"), CELL("bc"), CELL("") },
        { CELL("ab"), CELL("c"), NULL_CELL }, { CELL("ab"), CELL("C"), CELL("") },
        { CELL(""), CELL("abc"), CELL("") },
    };
    uint8_t digests[5][HASH_BYTES];
    for (size_t i = 0; i < 5; i++) {
        PGresult *result = new_rows(rows[i], 3);
        quarantine_row_digest(&keys, as_rows(result), 0, digests[i]);
        PQclear(result);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(digests[i], digests[j], HASH_BYTES);
    }
}

static void a_sealed_place_opens_for_its_own_row_only(void **state)
{
    (void)state;
    static const char *const places[] = { "", "11010519491231002X", "\x1d\x1f中" };
    struct quarantine_keys keys = test_keys(), others = test_keys();
    others.seal[0] ^= 1;
    for (size_t i = 0; i < 3; i++) {
        uint8_t digest[HASH_BYTES], sealed[QUARANTINE_SEALED_BYTES_MAX],
            again[QUARANTINE_SEALED_BYTES_MAX];
        char place[PLAN_KEY_TEXT_BYTES_MAX];
        quarantine_key_digest(&keys, "d/x", places[i], digest);
        size_t len = quarantine_seal(&keys, digest, places[i], sealed);
        assert_int_equal(len, strlen(places[i]) + 28);
        assert_int_equal(quarantine_open(&keys, digest, sealed, len, place), 0);
        assert_string_equal(place, places[i]);
        (void)quarantine_seal(&keys, digest, places[i], again);
        assert_memory_not_equal(sealed, again, len); /* a nonce of its own each time */
        if (strlen(places[i]) > 4)
            assert_null(memmem(sealed, len, places[i], strlen(places[i])));
        assert_int_equal(quarantine_open(&others, digest, sealed, len, place), -1);
        assert_int_equal(quarantine_open(&keys, digest, sealed, len - 1, place), -1);
        assert_int_equal(quarantine_open(&keys, digest, sealed, 27, place), -1);
        for (size_t bit = 0; bit < 8 * len; bit += 7) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(quarantine_open(&keys, digest, sealed, len, place), -1);
            assert_string_equal(place, "");
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        quarantine_key_digest(&keys, "d/y", places[i], digest);
        assert_int_equal(quarantine_open(&keys, digest, sealed, len, place), -1);
    }
}

static void the_longest_place_is_sealed(void **state)
{
    (void)state;
    struct quarantine_keys keys = test_keys();
    uint8_t digest[HASH_BYTES] = { 0 }, sealed[QUARANTINE_SEALED_BYTES_MAX + 1] = { 0 };
    char place[PLAN_KEY_TEXT_BYTES_MAX], back[PLAN_KEY_TEXT_BYTES_MAX];
    memset(place, 'x', sizeof place);
    place[sizeof place - 1] = '\0';
    size_t len = quarantine_seal(&keys, digest, place, sealed);
    assert_int_equal(len, QUARANTINE_SEALED_BYTES_MAX - 1);
    assert_int_equal(quarantine_open(&keys, digest, sealed, len, back), 0);
    assert_string_equal(back, place);
    assert_int_equal(quarantine_open(&keys, digest, sealed, sizeof sealed, back), -1);
}

/* --- judging again ------------------------------------------------------------------------------ */

static void every_state_is_told_apart(void **state)
{
    (void)state;
    const struct {
        struct cell before;
        struct cell now;
        int rows;
        const char *code; /* recorded */
        enum quarantine_state state;
        const char *code_now;
    } cases[] = {
        { CELL("x1"), CELL("x1"), 1, "INTEGER_SYNTAX", QUARANTINE_OPEN, "INTEGER_SYNTAX" },
        { CELL("x1"), CELL("x2"), 1, "INTEGER_SYNTAX", QUARANTINE_CHANGED, "INTEGER_SYNTAX" },
        { CELL("x1"), CELL("99999999999999999999"), 1, "INTEGER_SYNTAX", QUARANTINE_CHANGED,
          "INTEGER_RANGE" },
        { CELL("x1"), CELL("12"), 1, "INTEGER_SYNTAX", QUARANTINE_MENDED, "" },
        { CELL("x1"), NULL_CELL, 1, "INTEGER_SYNTAX", QUARANTINE_MENDED, "" },
        { CELL("x1"), CELL("x1"), 0, "INTEGER_SYNTAX", QUARANTINE_VANISHED, "" },
        /* the row is the same, but the mapping finds another fault than it once did */
        { CELL("x1"), CELL("x1"), 1, "NUMBER_SYNTAX", QUARANTINE_CHANGED, "INTEGER_SYNTAX" },
    };
    struct quarantine_keys keys = test_keys();
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything("", "  id: i\n  big: b\n", &err);
    assert_non_null(bundle);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    struct schema_plan *plan = full_plan(dataset);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct quarantine_item item = { .field = &dataset->type->fields[3],
                                        .field_name = "big",
                                        .rule = "type",
                                        .code = cases[i].code };
        struct quarantine_finding finding;
        PGresult *before = new_rows((const struct cell[]){ CELL("k"), cases[i].before }, 2);
        PGresult *now = cases[i].rows > 0
                            ? new_rows((const struct cell[]){ CELL("k"), cases[i].now }, 2)
                            : PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
        quarantine_row_digest(&keys, as_rows(before), 0, item.row);
        assert_int_equal(
            quarantine_item_judge(&item, &keys, dataset, plan, as_rows(now), &finding, &err), 0);
        assert_int_equal(finding.state, cases[i].state);
        assert_string_equal(finding.code, cases[i].code_now);
        assert_int_equal(finding.row, cases[i].rows - 1);
        PQclear(before);
        PQclear(now);
    }
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

static void a_shape_shows_what_is_wrong_and_not_what_it_is(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "" },
        { "11010519491231002x", "99999999999999999a" },
        { " 138 0013-8000", " 999 9999-9999" },
        { "１２Ａｂ", "９９Ａａ" },
        { "张三（女）", "某某（某）" },
        { "2001-02-30", "9999-99-99" },
        { "a\xE2\x80\x8B"
          "b",
          "a\xE2\x80\x8B"
          "a" },
        { "é\t", "某\t" },
        { "中、国。", "某、某。" },
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(quarantine_shape(&arena, cases[i][0]), cases[i][1]);
    arena_fini(&arena);
}

static void every_rule_says_what_it_expects(void **state)
{
    (void)state;
    static const char *const rules[] = { "cn_id", "cn_date", "required", "type", "codes", "from" };
    const char *english, *chinese, *general;
    quarantine_rule_expects("no-such-rule", "", &general, &chinese);
    assert_true(strlen(general) > 0 && strlen(chinese) > 0);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        quarantine_rule_expects(rules[i], "", &english, &chinese);
        assert_string_not_equal(english, general);
        assert_true((unsigned char)chinese[0] >= 0x80 || strncmp(chinese, "GB", 2) == 0);
    }
    quarantine_rule_expects("type", "NOT_UTF8", &english, &chinese);
    assert_non_null(strstr(english, "UTF-8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_digests_are_those_of_the_standards),
        cmocka_unit_test(rows_that_differ_anywhere_have_other_digests),
        cmocka_unit_test(a_sealed_place_opens_for_its_own_row_only),
        cmocka_unit_test(the_longest_place_is_sealed),
        cmocka_unit_test(every_state_is_told_apart),
        cmocka_unit_test(a_shape_shows_what_is_wrong_and_not_what_it_is),
        cmocka_unit_test(every_rule_says_what_it_expects),
    };
    return cmocka_run_group_tests_name("services/quarantine", tests, NULL, NULL);
}
