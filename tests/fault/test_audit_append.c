#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault/test_audit_gateway.h"
#include "fault/test_audit_proxy.h"

static void four_workers(void **state)
{
    (void)state;
    struct gateway gateway;
    gateway_open(&gateway);
    start_work(&gateway, 8000, 400);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), 8000);
    assert_int_equal(check_log(&gateway), 8000);
    char *persons = postgres_value(postgres, "SELECT count(*) FROM audit.person");
    assert_string_equal(persons, "4000");
    free(persons);
    gateway_close(&gateway);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static uint64_t entries_before_crash;
static bool crash_due(const struct gateway *gateway)
{
    return resolved(gateway) >= entries_before_crash;
}

/* The server dies at arbitrary moments under load; nothing may be lost, doubled or left unanswered.
 */
static void crashes(void **state)
{
    (void)state;
    enum { CRASHES = 20, STRIDE = 1000 };
    struct gateway gateway;
    struct audit_appender_stats stats;
    uint64_t seed = 20261123;
    gateway_open(&gateway);
    start_work(&gateway, (CRASHES + 2) * STRIDE, 150);
    for (uint64_t i = 0; i < CRASHES; i++) {
        entries_before_crash = i * STRIDE + next_random(&seed) % (STRIDE / 2);
        run_until(&gateway, crash_due);
        postgres_stop(postgres, i % 2 == 0 ? POSTGRES_IMMEDIATE : POSTGRES_KILL);
        run_until(&gateway, not_writable);
        postgres_start(postgres);
    }
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), (CRASHES + 2) * STRIDE);
    assert_int_equal(check_log(&gateway), (CRASHES + 2) * STRIDE);
    audit_appender_stats(gateway.appender, &stats);
    assert_true(stats.failures >= CRASHES);
    print_message("%d crashes: %llu entries found committed although no answer had come\n", CRASHES,
                  (unsigned long long)stats.known);
    gateway_close(&gateway);
}

/* The server has committed, the answer is swallowed and the connection cut: the auditor cannot know.
 */
static bool each_seventh_commit(struct proxy_link *link, bool from_server, const char *bytes,
                                size_t len)
{
    return from_server && proxy_has(bytes, len, "COMMIT") && ++link->proxy->seen % 7 == 0;
}

static void commit_answers_lost(void **state)
{
    (void)state;
    enum { ENTRIES = 12000 };
    static struct proxy proxy;
    struct gateway gateway;
    struct audit_appender_stats stats;
    memset(&proxy, 0, sizeof proxy);
    proxy.cuts = each_seventh_commit;
    proxy_start(&proxy, &gateway);
    start_work(&gateway, ENTRIES, 40);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), ENTRIES);
    assert_int_equal(check_log(&gateway), ENTRIES);
    audit_appender_stats(gateway.appender, &stats);
    print_message("%u COMMIT answers lost: %llu entries found in the log behind its lock\n",
                  proxy.swallowed, (unsigned long long)stats.known);
    assert_true(proxy.swallowed >= 5);
    assert_true(stats.known > 0);
    proxy_stop(&proxy);
    gateway_close(&gateway);
}

/* The other way: the COMMIT itself is lost, so the server rolls back, and again nobody can know. */
static bool each_ninth_commit_before(struct proxy_link *link, bool from_server, const char *bytes,
                                     size_t len)
{
    if (from_server) {
        link->appended = (link->began && proxy_has(bytes, len, "SELECT 1")) || link->appended;
        link->began = proxy_has(bytes, len, "BEGIN");
        return false;
    }
    bool commit = link->appended;
    link->appended = false;
    return commit && ++link->proxy->seen % 9 == 0;
}

static void commits_lost(void **state)
{
    (void)state;
    enum { ENTRIES = 12000 };
    static struct proxy proxy;
    struct gateway gateway;
    struct audit_appender_stats stats;
    memset(&proxy, 0, sizeof proxy);
    proxy.cuts = each_ninth_commit_before;
    proxy_start(&proxy, &gateway);
    start_work(&gateway, ENTRIES, 40);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), ENTRIES);
    assert_int_equal(check_log(&gateway), ENTRIES);
    audit_appender_stats(gateway.appender, &stats);
    print_message("%u COMMITs lost: their entries were appended again\n", proxy.swallowed);
    assert_true(proxy.swallowed >= 5);
    assert_int_equal(stats.known, 0);
    assert_true(stats.failures >= proxy.swallowed);
    proxy_stop(&proxy);
    gateway_close(&gateway);
}

/* The auditor dies between two turns; the next one gets everything unresolved again. */
static void auditor_replaced(void **state)
{
    (void)state;
    enum { REPLACED = 30, STRIDE = 500 };
    struct gateway gateway;
    struct audit_appender_stats stats;
    uint64_t known = 0;
    gateway_open(&gateway);
    start_work(&gateway, (REPLACED + 2) * STRIDE, 200);
    for (uint64_t i = 0; i < REPLACED; i++) {
        entries_before_crash = i * STRIDE;
        run_until(&gateway, crash_due);
        audit_appender_stats(gateway.appender, &stats);
        known += stats.known;
        audit_appender_free(&gateway.appender);
        for (int w = 0; w < WORKERS; w++)
            audit_client_detached(gateway.workers[w].client);
        open_auditor(&gateway);
        for (int w = 0; w < WORKERS; w++)
            audit_client_attached(gateway.workers[w].client);
    }
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), (REPLACED + 2) * STRIDE);
    assert_int_equal(check_log(&gateway), (REPLACED + 2) * STRIDE);
    print_message("%d auditors replaced: %llu resent entries were in the log already\n", REPLACED,
                  (unsigned long long)known);
    gateway_close(&gateway);
}

/* Two gateways share one log. */
static struct gateway pair[2];

static bool both_over(const struct gateway *gateway)
{
    (void)gateway;
    return work_over(&pair[0]) && work_over(&pair[1]);
}

static void two_gateways(void **state)
{
    (void)state;
    gateway_open(&pair[0]);
    memcpy(state_path, second_path, sizeof state_path);
    gateway_open(&pair[1]);
    memcpy(state_path, first_path, sizeof state_path);
    start_work(&pair[0], 6000, 100);
    start_work(&pair[1], 6000, 100);
    /* Each has a loop of its own: turn by turn. */
    while (!both_over(NULL)) {
        wait_until_us = clock_monotonic_us() + 2000;
        run_until(&pair[0], time_over);
        wait_until_us = clock_monotonic_us() + 2000;
        run_until(&pair[1], time_over);
    }
    assert_int_equal(resolved(&pair[0]) + resolved(&pair[1]), 12000);
    struct audit_appender_stats a, b;
    audit_appender_stats(pair[0].appender, &a);
    audit_appender_stats(pair[1].appender, &b);
    print_message("two gateways: %llu of %llu batches met the other's head\n",
                  (unsigned long long)(a.contended + b.contended),
                  (unsigned long long)(a.batches + b.batches));
    assert_int_equal(check_log(a.size > b.size ? &pair[0] : &pair[1]), 12000);
    gateway_close(&pair[0]);
    gateway_close(&pair[1]);
    (void)unlink(second_path);
}

/* --- daily quotas under the same faults ----------------------------------------------------------
 */

/* Every tenth entry is uncharged, and the quota is used up on the way: whatever happens, what the log allows is what the table counts, and it is the quota to the record. */
static void exactly_the_quota(void **state, void (*faults)(void **state))
{
    charge_each = 1;
    faults(state);
    charge_each = 0;
    char *used = postgres_value(postgres, "SELECT sum(records) FROM control.quota_use");
    char *allowed =
        postgres_value(postgres, "SELECT count(*) FROM audit.entry WHERE kind = 1 AND outcome = 1");
    char *persons = postgres_value(postgres, "SELECT count(*) FROM audit.person p "
                                             "JOIN audit.entry e USING (index) WHERE outcome = 2");
    assert_string_equal(used, "4000");
    assert_string_equal(allowed, "4000");
    assert_string_equal(persons, "0");
    free(used);
    free(allowed);
    free(persons);
}

static void quota_four_workers(void **state)
{
    (void)state;
    struct gateway gateway;
    uint64_t charged = 0, refused = 0;
    charge_each = 3; /* 4,000 is no multiple: one record is left over */
    gateway_open(&gateway);
    start_work(&gateway, 8000, 400);
    run_until(&gateway, work_over);
    charge_each = 0;
    assert_int_equal(resolved(&gateway), 8000);
    assert_int_equal(check_log(&gateway), 8000);
    for (int i = 0; i < WORKERS; i++) {
        charged += gateway.workers[i].charged;
        refused += gateway.workers[i].refused;
    }
    assert_int_equal(charged, 3999);
    assert_int_equal(refused, 8000 - 800 - 1333);
    gateway_close(&gateway);
}

static void quota_crashes(void **state)
{
    exactly_the_quota(state, crashes);
}

static void quota_commit_answers_lost(void **state)
{
    exactly_the_quota(state, commit_answers_lost);
}

static void quota_auditor_replaced(void **state)
{
    exactly_the_quota(state, auditor_replaced);
}

static void quota_two_gateways(void **state)
{
    exactly_the_quota(state, two_gateways);
}

static void throughput(void **state)
{
    (void)state;
    enum { ENTRIES = 60000 };
    struct gateway gateway;
    struct audit_appender_stats stats;
    gateway_open(&gateway);
    /* As in production, every commit reaches the disk. */
    postgres_sql(postgres, "ALTER SYSTEM SET fsync = on");
    postgres_sql(postgres, "SELECT pg_reload_conf()");
    run_until(&gateway, is_writable);
    int64_t start_us = clock_monotonic_us();
    start_work(&gateway, ENTRIES, 512);
    run_until(&gateway, work_over);
    double seconds = (double)(clock_monotonic_us() - start_us) / 1e6;
    audit_appender_stats(gateway.appender, &stats);
    print_message("%d entries in %.2f s: %.0f entries/s, %.1f ms and %.0f entries a batch\n",
                  ENTRIES, seconds, ENTRIES / seconds, 1e3 * seconds / (double)stats.batches,
                  (double)ENTRIES / (double)stats.batches);
    assert_int_equal(resolved(&gateway), ENTRIES);
    gateway_close(&gateway);
}

static void quota_throughput(void **state)
{
    exactly_the_quota(state, throughput);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(four_workers, empty_log),
        cmocka_unit_test_setup(crashes, empty_log),
        cmocka_unit_test_setup(commit_answers_lost, empty_log),
        cmocka_unit_test_setup(commits_lost, empty_log),
        cmocka_unit_test_setup(auditor_replaced, empty_log),
        cmocka_unit_test_setup(two_gateways, empty_log),
        cmocka_unit_test_setup(quota_four_workers, empty_log_with_quota),
        cmocka_unit_test_setup(quota_crashes, empty_log_with_quota),
        cmocka_unit_test_setup(quota_commit_answers_lost, empty_log_with_quota),
        cmocka_unit_test_setup(quota_auditor_replaced, empty_log_with_quota),
        cmocka_unit_test_setup(quota_two_gateways, empty_log_with_quota),
        cmocka_unit_test_setup(throughput, empty_log),
        cmocka_unit_test_setup(quota_throughput, empty_log_with_quota),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
