/* What tells that a table holds the rows that were sent: order may differ, nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transfer/job.h"

static struct job_digest digest_of(const char *const *records, size_t count)
{
    struct transfer_job job;
    struct job_digest digest;
    memset(&job, 0, sizeof job);
    buf_init(&job.record, 1024);
    copy_digest_init(&digest);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&job.record);
        (void)buf_append_str(&job.record, records[i]);
        copy_digest(&job, &digest);
    }
    buf_fini(&job.record);
    return digest;
}

static bool same_sum(const struct job_digest *a, const struct job_digest *b)
{
    return a->count == b->count && memcmp(a->sum, b->sum, sizeof a->sum) == 0;
}

static bool same_root(const struct job_digest *a, const struct job_digest *b)
{
    uint8_t roots[2][MERKLE_HASH_BYTES];
    merkle_frontier_root(&a->tree, roots[0]);
    merkle_frontier_root(&b->tree, roots[1]);
    return memcmp(roots[0], roots[1], sizeof roots[0]) == 0;
}

#define DIGEST(...)                                                                                \
    digest_of((const char *const[]){ __VA_ARGS__ },                                                \
              sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static void test_order_is_the_tree_s_alone(void **state)
{
    (void)state;
    struct job_digest a = DIGEST("one", "two", "three", "four");
    struct job_digest b = DIGEST("four", "two", "one", "three");
    assert_true(same_sum(&a, &b));
    assert_false(same_root(&a, &b));
    b = DIGEST("one", "two", "three", "four");
    assert_true(same_sum(&a, &b) && same_root(&a, &b));
}

static void test_every_other_difference_shows(void **state)
{
    (void)state;
    struct job_digest sent = DIGEST("one", "two", "three");
    const struct job_digest others[] = {
        DIGEST("one", "two"),                   /* one is missing */
        DIGEST("one", "two", "three", "three"), /* doubled */
        DIGEST("one", "two", "threE"),          /* changed */
        DIGEST("one", "one", "three"),          /* one for another */
        DIGEST("one", "twothree", ""),
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(same_sum(&sent, &others[i]));
}

/* The sum is 256 bits with carries, not 32 sums of bytes: FIPS 180-4 leaves, added by hand. */
static void test_the_sum_carries(void **state)
{
    (void)state;
    const char *const names[] = { "a", "b" };
    uint8_t leaves[2][MERKLE_HASH_BYTES], expected[MERKLE_HASH_BYTES];
    unsigned carry = 0;
    bool carried = false;
    for (size_t i = 0; i < 2; i++)
        merkle_leaf_hash(names[i], 1, leaves[i]);
    for (int i = MERKLE_HASH_BYTES - 1; i >= 0; i--) {
        unsigned sum = (unsigned)leaves[0][i] + leaves[1][i] + carry;
        expected[i] = (uint8_t)(sum & 0xff);
        carry = sum >> 8;
        carried = carried || carry > 0;
    }
    struct job_digest digest = digest_of(names, 2);
    assert_true(carried);
    assert_memory_equal(digest.sum, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_the_tree_s_alone),
        cmocka_unit_test(test_every_other_difference_shows),
        cmocka_unit_test(test_the_sum_carries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
