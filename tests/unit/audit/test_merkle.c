#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/hash.h"
#include "audit/merkle.h"
#include "base/ids.h"

/* The 8-leaf tree of RFC 6962 implementations (transparency-dev/merkle, testonly). */
static const char *const leaves[] = {
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
};
static const char *const roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void expect_hex(const uint8_t hash[32], const char *hex)
{
    char text[65];
    hex_encode(hash, 32, text);
    assert_string_equal(text, hex);
}

static void reference_tree(void **state)
{
    (void)state;
    struct merkle_frontier frontier;
    uint8_t root[32], hashes[8 * 32];
    merkle_frontier_init(&frontier);
    merkle_frontier_root(&frontier, root);
    expect_hex(root, roots[0]);
    for (size_t i = 0; i < 8; i++) {
        uint8_t leaf[16];
        size_t len = strlen(leaves[i]) / 2;
        assert_true(hex_decode(leaves[i], 2 * len, leaf));
        merkle_leaf_hash(leaf, len, hashes + i * 32);
        merkle_frontier_append(&frontier, hashes + i * 32);
        merkle_frontier_root(&frontier, root);
        expect_hex(root, roots[i + 1]);
        merkle_root_of(hashes, i + 1, root);
        expect_hex(root, roots[i + 1]);
    }
}

/* RFC 6962 section 2.1 written down as it stands there. */
static void recursive_root(const uint8_t *hashes, size_t count, uint8_t out[32])
{
    if (count == 0) {
        hash_sha256(NULL, 0, out);
        return;
    }
    if (count == 1) {
        memcpy(out, hashes, 32);
        return;
    }
    size_t split = 1;
    while (split * 2 < count)
        split *= 2;
    uint8_t joined[65] = { 1 };
    recursive_root(hashes, split, joined + 1);
    recursive_root(hashes + split * 32, count - split, joined + 33);
    struct slice piece = slice_of(joined, sizeof joined);
    hash_sha256(&piece, 1, out);
}

static void agrees_with_recursion(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static uint8_t hashes[COUNT * 32];
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (size_t size = 0; size <= COUNT; size++) {
        uint8_t expected[32], root[32];
        recursive_root(hashes, size, expected);
        merkle_frontier_root(&frontier, root);
        assert_memory_equal(root, expected, 32);
        merkle_root_of(hashes, size, root);
        assert_memory_equal(root, expected, 32);
        if (size < COUNT) {
            merkle_leaf_hash(&size, sizeof size, hashes + size * 32);
            merkle_frontier_append(&frontier, hashes + size * 32);
        }
    }
}

static void frontier_survives_writing(void **state)
{
    (void)state;
    struct merkle_frontier frontier, again;
    merkle_frontier_init(&frontier);
    for (uint64_t size = 0; size < 70; size++) {
        struct buf out;
        uint8_t root[32], root_again[32];
        buf_init(&out, 4096);
        assert_int_equal(merkle_frontier_write(&frontier, &out), 0);
        assert_int_equal(out.len, 8 + 32 * (size_t)__builtin_popcountll(size));
        assert_int_equal(merkle_frontier_parse(out.data, out.len, &again), 0);
        merkle_frontier_root(&frontier, root);
        merkle_frontier_root(&again, root_again);
        assert_memory_equal(root, root_again, 32);
        /* Every other length is refused. */
        for (size_t len = 0; len < out.len; len++)
            assert_int_equal(merkle_frontier_parse(out.data, len, &again), -1);
        assert_int_equal(buf_append_byte(&out, 0), 0);
        assert_int_equal(merkle_frontier_parse(out.data, out.len, &again), -1);
        buf_fini(&out);
        merkle_leaf_hash(&size, sizeof size, root);
        merkle_frontier_append(&frontier, root);
    }
}

static void frontier_limits(void **state)
{
    (void)state;
    uint8_t bytes[8 + 41 * 32] = { 0 };
    struct merkle_frontier frontier;
    bytes[2] = 1; /* 2^40 leaves: one more than there may be */
    assert_int_equal(merkle_frontier_parse(bytes, 8 + 32, &frontier), -1);
    memset(bytes, 0xff, 8);
    assert_int_equal(
        merkle_frontier_parse(bytes, 8 + 64 * 32 > sizeof bytes ? sizeof bytes : 0, &frontier), -1);
    /* 2^40 - 1 leaves: a full frontier. */
    memset(bytes, 0, 3);
    assert_int_equal(merkle_frontier_parse(bytes, 8 + 40 * 32, &frontier), 0);
    assert_int_equal(frontier.size, MERKLE_SIZE_MAX);
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(merkle_frontier_write(&frontier, &out), -1);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_tree),
        cmocka_unit_test(agrees_with_recursion),
        cmocka_unit_test(frontier_survives_writing),
        cmocka_unit_test(frontier_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
