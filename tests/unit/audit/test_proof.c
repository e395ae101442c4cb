/* Proofs of all small trees and of random large ones, and the names of tiles. SLUICE_PROOF_VECTORS names
 * a file to write the proofs to, in the form of transparency-dev/merkle, for other implementations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/counters.h"
#include "audit/proof.h"
#include "audit/tile.h"
#include "audit/tlog_proof.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "support/sample_log.h"

enum { SMALL = 64, LARGE = 70000, LARGE_CASES = 3000 };

static uint8_t (*leaves)[MERKLE_HASH_BYTES];
static FILE *vectors;
static unsigned long vector_count;

static void open_leaves(void)
{
    leaves = mem_array(LARGE, sizeof *leaves);
    for (uint32_t i = 0; i < LARGE; i++)
        merkle_leaf_hash(&i, sizeof i, leaves[i]);
    const char *path = getenv("SLUICE_PROOF_VECTORS");
    vectors = path != NULL ? fopen(path, "w") : NULL;
}

static void print_base64(const char *name, const uint8_t *hash)
{
    char text[48];
    (void)base64_encode(hash, MERKLE_HASH_BYTES, text);
    fprintf(vectors, "\"%s\": \"%s\", ", name, text);
}

static void print_proof(const struct proof *proof, bool wrong)
{
    fputs("\"proof\": [", vectors);
    for (size_t i = 0; i < proof->count; i++) {
        char text[48];
        (void)base64_encode(proof->hash[i], MERKLE_HASH_BYTES, text);
        fprintf(vectors, "%s\"%s\"", i > 0 ? ", " : "", text);
    }
    fprintf(vectors, "], \"wantErr\": %s}\n", wrong ? "true" : "false");
    vector_count++;
}

static void nodes_of(const struct proof_plan *plan, uint8_t nodes[][MERKLE_HASH_BYTES])
{
    for (size_t i = 0; i < plan->count; i++)
        merkle_root_of(leaves[plan->nodes[i].index << plan->nodes[i].level],
                       (size_t)1 << plan->nodes[i].level, nodes[i]);
}

static void make(const struct proof_plan *plan, struct proof *proof_r)
{
    uint8_t nodes[PROOF_NODES_MAX][MERKLE_HASH_BYTES];
    nodes_of(plan, nodes);
    proof_make(plan, (const uint8_t(*)[MERKLE_HASH_BYTES])nodes, proof_r);
}

/* RFC 6962 section 2.1.1, word by word. */
static void path_by_the_book(uint64_t m, const uint8_t (*d)[MERKLE_HASH_BYTES], uint64_t n,
                             struct proof *out)
{
    if (n == 1)
        return;
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    if (m < k) {
        path_by_the_book(m, d, k, out);
        merkle_root_of(d[k], n - k, out->hash[out->count++]);
    } else {
        path_by_the_book(m - k, d + k, n - k, out);
        merkle_root_of(d[0], k, out->hash[out->count++]);
    }
}

/* RFC 6962 section 2.1.2. */
static void subproof_by_the_book(uint64_t m, const uint8_t (*d)[MERKLE_HASH_BYTES], uint64_t n,
                                 bool b, struct proof *out)
{
    if (m == n) {
        if (!b)
            merkle_root_of(d[0], n, out->hash[out->count++]);
        return;
    }
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    if (m <= k) {
        subproof_by_the_book(m, d, k, b, out);
        merkle_root_of(d[k], n - k, out->hash[out->count++]);
    } else {
        subproof_by_the_book(m - k, d + k, n - k, false, out);
        merkle_root_of(d[0], k, out->hash[out->count++]);
    }
}

static void assert_same(const struct proof *one, const struct proof *other)
{
    assert_int_equal(one->count, other->count);
    assert_memory_equal(one->hash, other->hash, one->count * MERKLE_HASH_BYTES);
}

static void write_inclusion(uint64_t index, uint64_t size, const uint8_t *root,
                            const struct proof *proof, bool wrong)
{
    if (vectors == NULL)
        return;
    fprintf(vectors, "{\"kind\": \"inclusion\", \"leafIdx\": %llu, \"treeSize\": %llu, ",
            (unsigned long long)index, (unsigned long long)size);
    print_base64("root", root);
    print_base64("leafHash", leaves[index]);
    print_proof(proof, wrong);
}

static void try_inclusion(uint64_t index, uint64_t size, bool book)
{
    struct proof_plan plan;
    struct proof proof, expected = { 0 };
    uint8_t root[MERKLE_HASH_BYTES];
    struct err err = ERR_INIT;
    assert_int_equal(proof_plan_inclusion(index, size, &plan, &err), 0);
    make(&plan, &proof);
    merkle_root_of(leaves[0], size, root);
    if (book) {
        path_by_the_book(index, (const uint8_t(*)[MERKLE_HASH_BYTES])leaves, size, &expected);
        assert_same(&proof, &expected);
    }
    assert_true(proof_verify_inclusion(index, size, leaves[index], &proof, root));
    write_inclusion(index, size, root, &proof, false);
    /* Anything else does not hold. */
    assert_false(proof_verify_inclusion(index + 1, size, leaves[index], &proof, root));
    if (index > 0)
        assert_false(proof_verify_inclusion(index - 1, size, leaves[index], &proof, root));
    assert_false(proof_verify_inclusion(index, size, leaves[(index + 1) % LARGE], &proof, root));
    if (proof.count == 0)
        return;
    struct proof bad = proof;
    bad.hash[index % proof.count][size % MERKLE_HASH_BYTES] ^= 4;
    assert_false(proof_verify_inclusion(index, size, leaves[index], &bad, root));
    write_inclusion(index, size, root, &bad, true);
    bad = proof;
    bad.count--;
    assert_false(proof_verify_inclusion(index, size, leaves[index], &bad, root));
    write_inclusion(index, size, root, &bad, true);
    bad = proof;
    memcpy(bad.hash[bad.count++], root, MERKLE_HASH_BYTES);
    assert_false(proof_verify_inclusion(index, size, leaves[index], &bad, root));
    write_inclusion(index, size, root, &bad, true);
}

static void write_consistency(uint64_t old, uint64_t size, const uint8_t *old_root,
                              const uint8_t *root, const struct proof *proof, bool wrong)
{
    if (vectors == NULL)
        return;
    fprintf(vectors, "{\"kind\": \"consistency\", \"size1\": %llu, \"size2\": %llu, ",
            (unsigned long long)old, (unsigned long long)size);
    print_base64("root1", old_root);
    print_base64("root2", root);
    print_proof(proof, wrong);
}

static void try_consistency(uint64_t old, uint64_t size, bool book)
{
    struct proof_plan plan;
    struct proof proof, expected = { 0 };
    uint8_t old_root[MERKLE_HASH_BYTES], root[MERKLE_HASH_BYTES];
    struct err err = ERR_INIT;
    assert_int_equal(proof_plan_consistency(old, size, &plan, &err), 0);
    make(&plan, &proof);
    merkle_root_of(leaves[0], old, old_root);
    merkle_root_of(leaves[0], size, root);
    if (book) {
        subproof_by_the_book(old, (const uint8_t(*)[MERKLE_HASH_BYTES])leaves, size, true,
                             &expected);
        assert_same(&proof, &expected);
    }
    assert_true(proof_verify_consistency(old, size, old_root, root, &proof));
    write_consistency(old, size, old_root, root, &proof, false);
    struct proof bad = proof;
    memcpy(bad.hash[bad.count++], root, MERKLE_HASH_BYTES);
    assert_false(proof_verify_consistency(old, size, old_root, root, &bad));
    write_consistency(old, size, old_root, root, &bad, true);
    if (old == size)
        return;
    assert_false(proof_verify_consistency(old, size, root, root, &proof));
    assert_false(proof_verify_consistency(old, size, old_root, old_root, &proof));
    assert_false(proof_verify_consistency(old + 1, size, old_root, root, &proof));
    bad = proof;
    bad.hash[old % proof.count][size % MERKLE_HASH_BYTES] ^= 4;
    assert_false(proof_verify_consistency(old, size, old_root, root, &bad));
    write_consistency(old, size, old_root, root, &bad, true);
    bad = proof;
    bad.count--;
    assert_false(proof_verify_consistency(old, size, old_root, root, &bad));
    write_consistency(old, size, old_root, root, &bad, true);
}

static void test_all_small_trees(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= SMALL; size++) {
        for (uint64_t at = 0; at < size; at++) {
            try_inclusion(at, size, true);
            try_consistency(at + 1, size, true);
        }
    }
}

static void test_random_large_trees(void **state)
{
    (void)state;
    uint32_t seed = 4;
    for (int i = 0; i < LARGE_CASES / 20; i++) {
        seed = seed * 1664525 + 1013904223;
        uint64_t size = 65 + (seed >> 4) % (LARGE - 65);
        seed = seed * 1664525 + 1013904223;
        try_inclusion((seed >> 4) % size, size, true);
        try_consistency(1 + (seed >> 5) % size, size, true);
    }
    static const uint64_t edges[] = { 255, 256, 257, 65535, 65536, 65537 };
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        try_inclusion(edges[i] - 1, edges[i], true);
        try_inclusion(0, edges[i], true);
        try_consistency(edges[i], edges[i], true);
        try_consistency(edges[i] - 1, edges[i], true);
        try_consistency(256 < edges[i] ? 256 : 255, edges[i], true);
    }
    if (vectors != NULL) {
        assert_int_equal(fclose(vectors), 0);
        print_message("%lu vectors\n", vector_count);
    }
    vectors = NULL;
}

static void test_ranges_are_refused(void **state)
{
    (void)state;
    struct proof_plan plan;
    struct proof empty = { 0 };
    struct err err = ERR_INIT;
    uint8_t root[MERKLE_HASH_BYTES], other[MERKLE_HASH_BYTES] = { 1 };
    merkle_root_of(NULL, 0, root);
    assert_int_equal(proof_plan_inclusion(0, 0, &plan, &err), -1);
    assert_int_equal(proof_plan_inclusion(5, 5, &plan, &err), -1);
    assert_int_equal(proof_plan_inclusion(0, UINT64_MAX, &plan, &err), -1);
    assert_int_equal(proof_plan_consistency(0, 5, &plan, &err), -1);
    assert_int_equal(proof_plan_consistency(6, 5, &plan, &err), -1);
    assert_int_equal(proof_plan_consistency(1, UINT64_MAX, &plan, &err), -1);
    assert_false(proof_verify_inclusion(0, 0, other, &empty, root));
    assert_true(proof_verify_consistency(0, 0, root, root, &empty));
    assert_true(proof_verify_consistency(0, 9, root, other, &empty));
    assert_false(proof_verify_consistency(0, 9, other, other, &empty));
    assert_false(proof_verify_consistency(9, 8, other, other, &empty));
    /* The largest tree there can be. */
    assert_int_equal(proof_plan_inclusion(MERKLE_SIZE_MAX - 1, MERKLE_SIZE_MAX, &plan, &err), 0);
    assert_int_equal(proof_plan_consistency(MERKLE_SIZE_MAX / 3, MERKLE_SIZE_MAX, &plan, &err), 0);
    assert_int_equal(proof_plan_inclusion(0, MERKLE_SIZE_MAX, &plan, &err), 0);
    assert_true(plan.hashes <= PROOF_HASHES_MAX && plan.count <= PROOF_NODES_MAX);
}

/* 10^8 entries: at most 27 hashes, and 1.6 KB of text with the checkpoint. */
static void test_proofs_are_small(void **state)
{
    (void)state;
    struct proof_plan plan;
    struct proof proof = { 0 };
    struct buf text, note;
    struct err err = ERR_INIT;
    struct sample_log log;
    sample_log_init(&log, false);
    sample_log_grow(&log, 1);
    buf_init(&text, TLOG_PROOF_BYTES_MAX);
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_sign(&log, log.signer, 1, &note);
    for (uint64_t index = 0; index < 100000000; index += 999983) {
        assert_int_equal(proof_plan_inclusion(index, 100000000, &plan, &err), 0);
        assert_true(plan.hashes <= 27);
        assert_int_equal(proof_plan_consistency(index + 1, 100000000, &plan, &err), 0);
        assert_true(plan.hashes <= 63);
    }
    proof.count = 27;
    assert_int_equal(tlog_proof_write(99999999, &proof, buf_slice(&note), &text), 0);
    assert_true(text.len <= 1600);
    buf_fini(&text);
    buf_fini(&note);
    sample_log_fini(&log);
}

/* --- names and files ---------------------------------------------------------------------------- */

static void test_tile_names(void **state)
{
    (void)state;
    static const struct {
        struct tile tile;
        const char *path;
    } good[] = {
        { { TILE_HASHES, 0, 0, 256 }, "tile/0/000" },
        { { TILE_HASHES, 3, 1234067, 256 }, "tile/3/x001/x234/067" },
        { { TILE_HASHES, 1, 999, 1 }, "tile/1/999.p/1" },
        { { TILE_ENTRIES, 0, 1000, 255 }, "tile/entries/x001/000.p/255" },
        { { TILE_COLUMNS, 0, 12, 256 }, "columns/012" },
        { { TILE_BATCHES, 0, 12, 7 }, "batches/012.p/7" },
    };
    struct tile tile;
    char path[TILE_PATH_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        tile_path(&good[i].tile, path);
        assert_string_equal(path, good[i].path);
        assert_true(tile_path_parse(path, &tile));
        assert_int_equal(tile.kind, good[i].tile.kind);
        assert_int_equal(tile.level, good[i].tile.level);
        assert_int_equal(tile.index, good[i].tile.index);
        assert_int_equal(tile.width, good[i].tile.width);
    }
    static const char *const bad[] = {
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/5/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/entries/00a",
        "columns/../000",
        "tile/0/x999/x999/x999/x999/999",
        "tile/0/x001/x001/x001/x001/x001/x001/x001/x001/x001/x001/x001/001",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(tile_path_parse(bad[i], &tile));
    assert_int_equal(tile_width(0, 0, 0), 0);
    assert_int_equal(tile_width(1, 0, 0), 1);
    assert_int_equal(tile_width(256, 0, 0), 256);
    assert_int_equal(tile_width(257, 0, 1), 1);
    assert_int_equal(tile_width(257, 1, 0), 1);
    assert_int_equal(tile_width(65535, 1, 0), 255);
    assert_int_equal(tile_width(MERKLE_SIZE_MAX, 4, 0), 255);
}

static void test_bundles(void **state)
{
    (void)state;
    struct buf bundle;
    struct slice rest, leaf;
    uint8_t *large = mem_zero(TILE_ENTRY_BYTES_MAX + 1);
    buf_init(&bundle, TILE_BUNDLE_BYTES_MAX);
    assert_int_equal(tile_entry_write(&bundle, slice_of("abc", 3)), 0);
    assert_int_equal(tile_entry_write(&bundle, slice_of("", 0)), 0);
    assert_int_equal(tile_entry_write(&bundle, slice_of(large, TILE_ENTRY_BYTES_MAX)), 0);
    assert_int_equal(tile_entry_write(&bundle, slice_of(large, TILE_ENTRY_BYTES_MAX + 1)), -1);
    rest = buf_slice(&bundle);
    assert_int_equal(tile_entry_next(&rest, &leaf), 1);
    assert_memory_equal(leaf.data, "abc", 3);
    assert_int_equal(tile_entry_next(&rest, &leaf), 1);
    assert_int_equal(leaf.len, 0);
    assert_int_equal(tile_entry_next(&rest, &leaf), 1);
    assert_int_equal(leaf.len, TILE_ENTRY_BYTES_MAX);
    assert_int_equal(tile_entry_next(&rest, &leaf), 0);
    static const char *const cut[] = { "\0", "\0\3ab", "\x40\1" };
    static const size_t lengths[] = { 1, 4, 2 };
    for (size_t i = 0; i < 3; i++) {
        rest = slice_of(cut[i], lengths[i]);
        assert_int_equal(tile_entry_next(&rest, &leaf), -1);
    }
    free(large);
    buf_fini(&bundle);
}

static void test_counters(void **state)
{
    (void)state;
    struct counters counters;
    uint8_t boot[COUNTERS_BOOT_BYTES] = { 7 };
    counters_init(&counters);
    assert_int_equal(counters_add(&counters, boot, 0, 0, 0), COUNTERS_ZERO);
    /* 1 to 100, each third late; 50 never comes. */
    for (uint64_t pass = 0; pass < 2; pass++) {
        for (uint64_t count = 1; count <= 100; count++) {
            if (count != 50 && (count % 3 == 0) == (pass == 1))
                assert_int_equal(counters_add(&counters, boot, count, count, 0), COUNTERS_OK);
        }
    }
    assert_int_equal(counters_add(&counters, boot, 99, 0, 0), COUNTERS_TWICE);
    assert_int_equal(counters_add(&counters, boot, 1, 0, 0), COUNTERS_TWICE);
    size_t at = 0, gap_at = 0;
    const struct counters_boot *found;
    const struct counters_gap *gap;
    assert_true(counters_next_gap(&counters, &at, &gap_at, &found, &gap));
    assert_int_equal(gap->from, 50);
    assert_int_equal(gap->to, 50);
    assert_false(counters_next_gap(&counters, &at, &gap_at, &found, &gap));
    /* Very many processes, and one that leaves too much out. */
    for (uint32_t i = 0; i < 5000; i++) {
        memcpy(boot, &i, sizeof i);
        memcpy(boot + 8, &i, sizeof i);
        boot[15] = 1;
        assert_int_equal(counters_add(&counters, boot, 1, i, 0), COUNTERS_OK);
    }
    uint64_t count = 1;
    for (int i = 0; i < COUNTERS_OPEN_MAX; i++)
        assert_int_equal(counters_add(&counters, boot, count += 2, 0, 0), COUNTERS_OK);
    assert_int_equal(counters_add(&counters, boot, count + 2, 0, 0), COUNTERS_FULL);
    counters_fini(&counters);
}

static void test_proof_files(void **state)
{
    (void)state;
    static const char hash[] = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    struct proof proof;
    struct slice note;
    struct err err = ERR_INIT;
    uint64_t index;
    char *text = mem_format("c2sp.org/tlog-proof@v1\nindex 5\n%s\n%s\n\nthe note", hash, hash);
    assert_int_equal(tlog_proof_parse(slice_of(text, strlen(text)), &index, &proof, &note, &err),
                     0);
    assert_int_equal(index, 5);
    assert_int_equal(proof.count, 2);
    assert_int_equal(proof.hash[1][31], 32);
    assert_memory_equal(note.data, "the note", 8);
    free(text);
    static const char *const bad[] = {
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v2\nindex 5\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex \n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 05\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -5\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 99999999999999\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\nAAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\nAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB=\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\n",
        "c2sp.org/tlog-proof@v1\nextra \nextra \nindex 5\n\nnote",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(
            tlog_proof_parse(slice_of(bad[i], strlen(bad[i])), &index, &proof, &note, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_small_trees),    cmocka_unit_test(test_random_large_trees),
        cmocka_unit_test(test_ranges_are_refused), cmocka_unit_test(test_proofs_are_small),
        cmocka_unit_test(test_tile_names),         cmocka_unit_test(test_bundles),
        cmocka_unit_test(test_counters),           cmocka_unit_test(test_proof_files),
    };
    open_leaves();
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    free(leaves);
    return result;
}
