#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/hash.h"
#include "audit/salt.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"

static const uint8_t salt[SALT_BYTES] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                          11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                          22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static void expect_hex(const uint8_t hash[32], const char *hex)
{
    char text[65];
    hex_encode(hash, 32, text);
    assert_string_equal(text, hex);
}

static struct slice text_slice(const char *text)
{
    return slice_of(text, strlen(text));
}

/* RFC 4231, cases 1, 2 and 3. */
static void hmac_vectors(void **state)
{
    (void)state;
    uint8_t key[20], data[50], out[32];
    memset(key, 0x0b, sizeof key);
    struct slice piece = text_slice("Hi There");
    hash_hmac(key, sizeof key, &piece, 1, out);
    expect_hex(out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");

    struct slice pieces[] = { text_slice("what do ya "), text_slice(""),
                              text_slice("want for nothing?") };
    hash_hmac((const uint8_t *)"Jefe", 4, pieces, 3, out);
    expect_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    struct hash_stream stream;
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    hash_stream_init(&stream, key, sizeof key);
    for (size_t i = 0; i < sizeof data; i++)
        hash_stream_add(&stream, data + i, 1);
    hash_stream_final(&stream, out);
    expect_hex(out, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    hash_stream_fini(&stream);
}

/* Made with another implementation (Python's hmac). */
static void digest_vectors(void **state)
{
    (void)state;
    uint8_t sub[32], out[32];
    salt_sub(salt, 258, sub);
    expect_hex(sub, "647020dd490435411b87e7a3ac27d4e20087578f9264b9d6af5a3c414c3679df");
    salt_sub(salt, 0, sub);
    expect_hex(sub, "8b4e3025153cacdf31cc6efe8b61e5c4c076330e0f1b62d9084d560b4ca92390");
    salt_row_digest(sub, text_slice("record"), out);
    expect_hex(out, "2244bde691be248afee1888b32fbfa75a150e4393fbd528fa14361a3e94409c7");
    salt_sub(salt, 1, sub);
    salt_batch_digest(sub, text_slice("batch"), out);
    expect_hex(out, "d6622beeda4679410176a2bc7f9336e73cfafc864e1f63c99618a755836f89a6");
    salt_filter_digest(salt, text_slice("name = 1"), out);
    expect_hex(out, "6a2b7af82d6e9febae02b95e7758d082b7f16098302fe6c48bb3265a7361f0bd");
    salt_answer_digest(salt, text_slice("hello"), out);
    expect_hex(out, "ad3857ece296a1197eb4e6f7a843d65438ca26b7151c65cbdafaf1ad3fb59b7c");
    salt_person_key(salt, text_slice("11010519491231002X"), out);
    expect_hex(out, "f2f3d32ed33b6a76c902248dd25556df1a24d060e2802826a5a7f67d96d733e7");

    struct hash_stream stream;
    salt_answer_start(salt, &stream);
    hash_stream_add(&stream, "hel", 3);
    hash_stream_add(&stream, "lo", 2);
    hash_stream_final(&stream, out);
    expect_hex(out, "ad3857ece296a1197eb4e6f7a843d65438ca26b7151c65cbdafaf1ad3fb59b7c");
}

/* A peer chooses filters and keys; none may make the log print a sub-salt. */
static void filter_cannot_be_a_sub_salt(void **state)
{
    (void)state;
    static const char evil[] = "row\0\0\0\0\0\0\0";
    uint8_t sub[32], out[32];
    salt_sub(salt, 0, sub);
    salt_filter_digest(salt, slice_of(evil, 11), out);
    assert_memory_not_equal(out, sub, 32);
    salt_answer_digest(salt, slice_of(evil, 11), out);
    assert_memory_not_equal(out, sub, 32);
}

static void rows_root_opens_row_by_row(void **state)
{
    (void)state;
    struct audit_rows rows;
    uint8_t hashes[5 * 32], sub[32], digest[32], root[32], expected[32];
    audit_rows_init(&rows, AUDIT_ROWS_ROW, salt);
    for (uint64_t i = 0; i < 5; i++) {
        char record[16];
        (void)snprintf(record, sizeof record, "record %d", (int)i);
        assert_int_equal(audit_rows_add(&rows, text_slice(record)), 0);
        salt_sub(salt, i, sub);
        salt_row_digest(sub, text_slice(record), digest);
        merkle_leaf_hash(digest, 32, hashes + i * 32);
    }
    merkle_root_of(hashes, 5, expected);
    audit_rows_root(&rows, root);
    assert_memory_equal(root, expected, 32);
    assert_int_equal(rows.count, 5);
    assert_int_equal(rows.bytes, 5 * 8);
    audit_rows_fini(&rows);
    for (size_t i = 0; i < SALT_BYTES; i++)
        assert_int_equal(rows.salt[i], 0);
}

static void row_form_has_a_limit(void **state)
{
    (void)state;
    struct audit_rows rows;
    uint8_t before[32], after[32];
    audit_rows_init(&rows, AUDIT_ROWS_ROW, salt);
    for (int i = 0; i < AUDIT_ROWS_MAX; i++)
        assert_int_equal(audit_rows_add(&rows, text_slice("r")), 0);
    audit_rows_root(&rows, before);
    assert_int_equal(audit_rows_add(&rows, text_slice("r")), -1);
    audit_rows_root(&rows, after);
    assert_memory_equal(before, after, 32);
    assert_int_equal(rows.count, AUDIT_ROWS_MAX);
    audit_rows_fini(&rows);
}

static void batch_form(void **state)
{
    (void)state;
    struct audit_rows rows;
    uint8_t hashes[3 * 32], sub[32], digest[32], root[32], expected[32];
    audit_rows_init(&rows, AUDIT_ROWS_BATCH, salt);
    for (uint64_t i = 0; i < 3; i++) {
        audit_rows_add_batch(&rows, text_slice("batch"), 500);
        salt_sub(salt, i, sub);
        salt_batch_digest(sub, text_slice("batch"), digest);
        merkle_leaf_hash(digest, 32, hashes + i * 32);
    }
    merkle_root_of(hashes, 3, expected);
    audit_rows_root(&rows, root);
    assert_memory_equal(root, expected, 32);
    assert_int_equal(rows.count, 1500);
    assert_int_equal(rows.batches, 3);
    assert_int_equal(rows.bytes, 15);
    audit_rows_fini(&rows);
}

static void wrapping_is_bound_to_the_entry(void **state)
{
    (void)state;
    uint8_t key[32], other_key[32], id[16], wrapped[SALT_WRAPPED_BYTES], out[32];
    ids_random(key, sizeof key);
    ids_random(other_key, sizeof other_key);
    uuid7_make(id);
    salt_wrap(key, id, salt, wrapped);
    assert_int_equal(salt_unwrap(key, id, wrapped, sizeof wrapped, out), 0);
    assert_memory_equal(out, salt, 32);
    assert_int_equal(salt_unwrap(other_key, id, wrapped, sizeof wrapped, out), -1);
    assert_int_equal(salt_unwrap(key, id, wrapped, sizeof wrapped - 1, out), -1);
    id[3] ^= 1;
    assert_int_equal(salt_unwrap(key, id, wrapped, sizeof wrapped, out), -1);
    id[3] ^= 1;
    for (size_t i = 0; i < sizeof wrapped; i++) {
        wrapped[i] ^= 0x10;
        assert_int_equal(salt_unwrap(key, id, wrapped, sizeof wrapped, out), -1);
        wrapped[i] ^= 0x10;
    }
    /* Wrapping the same salt twice never looks the same. */
    uint8_t again[SALT_WRAPPED_BYTES];
    salt_wrap(key, id, salt, again);
    assert_memory_not_equal(again, wrapped, sizeof wrapped);
}

static void key_files(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 31, 32, 33 };
    for (size_t i = 0; i < 4; i++) {
        char path[] = "/tmp/sluice-key-XXXXXX";
        uint8_t key[32];
        struct err err = ERR_INIT;
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "0123456789abcdef0123456789abcdefX", lengths[i]), lengths[i]);
        (void)close(fd);
        assert_int_equal(salt_key_load(path, key, &err), lengths[i] == 32 ? 0 : -1);
        if (lengths[i] == 32)
            assert_memory_equal(key, "0123456789abcdef0123456789abcdef", 32);
        else
            assert_string_equal(err.reason, "KEY_FILE_INVALID");
        (void)unlink(path);
        assert_int_equal(salt_key_load(path, key, &err), -1);
        assert_string_equal(err.reason, "KEY_FILE_UNREADABLE");
        assert_null(strstr(err.text, "/tmp"));
    }
}

/* What one lookup needs: sub-salt, row, filter, answer and person. Printed, not judged: machines
 * differ. */
static void cost(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    uint8_t record[400] = { 7 }, out[32];
    int64_t start_us = clock_monotonic_us();
    for (int i = 0; i < ROUNDS; i++) {
        struct audit_rows rows;
        audit_rows_init(&rows, AUDIT_ROWS_ROW, salt);
        (void)audit_rows_add(&rows, slice_of(record, sizeof record));
        audit_rows_root(&rows, out);
        audit_rows_fini(&rows);
        salt_filter_digest(salt, text_slice("11010519491231002X"), out);
        salt_answer_digest(salt, slice_of(record, sizeof record), out);
        salt_person_key(salt, text_slice("11010519491231002X"), out);
    }
    print_message("digests of one lookup: %.2f us\n",
                  (double)(clock_monotonic_us() - start_us) / ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(digest_vectors),
        cmocka_unit_test(filter_cannot_be_a_sub_salt),
        cmocka_unit_test(rows_root_opens_row_by_row),
        cmocka_unit_test(row_form_has_a_limit),
        cmocka_unit_test(batch_form),
        cmocka_unit_test(wrapping_is_bound_to_the_entry),
        cmocka_unit_test(key_files),
        cmocka_unit_test(cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
