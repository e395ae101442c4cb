/* The auditor at its edges: much to catch up with, fenced off, a state file that cannot be written, the
 * end of a partition, more waiting than fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fault/test_audit_gateway.h"

/* --- catching up ------------------------------------------------------------------------------- */

enum { FOREIGN = 40000 }; /* more than two pages of leaf hashes */

static void append_elsewhere(uint64_t entries)
{
    struct gateway other;
    memcpy(state_path, second_path, sizeof state_path);
    gateway_open(&other);
    start_work(&other, entries, 512);
    run_until(&other, work_over);
    assert_int_equal(resolved(&other), entries);
    gateway_close(&other);
    memcpy(state_path, first_path, sizeof state_path);
    (void)unlink(second_path);
}

/* Behind its lock the head has moved on by more than one answer holds: the lock is given back and
 * the log read in pages. */
static void much_foreign_while_connected(void **state)
{
    (void)state;
    struct gateway gateway;
    struct audit_appender_stats stats;
    gateway_open(&gateway);
    start_work(&gateway, 400, 100);
    run_until(&gateway, work_over);
    append_elsewhere(FOREIGN);
    start_work(&gateway, 400, 100);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), 800);
    assert_int_equal(check_log(&gateway), FOREIGN + 800);
    audit_appender_stats(gateway.appender, &stats);
    assert_int_equal(stats.failures, 0);
    gateway_close(&gateway);
}

static void much_foreign_while_away(void **state)
{
    (void)state;
    struct gateway gateway;
    gateway_open(&gateway);
    start_work(&gateway, 400, 100);
    run_until(&gateway, work_over);
    gateway_close(&gateway);
    append_elsewhere(FOREIGN);
    gateway_open(&gateway);
    start_work(&gateway, 400, 100);
    run_until(&gateway, work_over);
    assert_int_equal(check_log(&gateway), FOREIGN + 800);
    gateway_close(&gateway);
}

/* One leaf hash among the foreign ones is not what the head says: nothing is appended on top. */
static void a_foreign_page_that_lies(void **state)
{
    (void)state;
    struct gateway gateway;
    gateway_open(&gateway);
    start_work(&gateway, 400, 100);
    run_until(&gateway, work_over);
    append_elsewhere(FOREIGN);
    postgres_sql(postgres, "ALTER TABLE audit.entry DISABLE TRIGGER append_only; "
                           "UPDATE audit.entry SET leaf_hash = sha256('x') WHERE index = 20000");
    start_work(&gateway, 400, 100);
    run_until(&gateway, not_writable);
    wait_until_us = clock_monotonic_us() + 1500 * 1000;
    run_until(&gateway, time_over);
    assert_false(gateway.writable);
    assert_int_equal(resolved(&gateway), 400);
    gateway_close(&gateway);
}

/* --- fencing ----------------------------------------------------------------------------------- */

static void raised_epoch(void **state)
{
    (void)state;
    struct gateway gateway;
    gateway_open(&gateway);
    start_work(&gateway, 400, 100);
    run_until(&gateway, work_over);
    postgres_sql(postgres, "UPDATE audit.head SET epoch = epoch + 1");
    start_work(&gateway, 400, 100);
    run_until(&gateway, not_writable);
    wait_until_us = clock_monotonic_us() + 1500 * 1000;
    run_until(&gateway, time_over);
    const char *reason;
    assert_false(audit_appender_writable(gateway.appender, &reason));
    assert_non_null(strstr(reason, "fenced"));
    assert_int_equal(resolved(&gateway), 400);
    char *size = postgres_value(postgres, "SELECT size FROM audit.head");
    assert_string_equal(size, "400");
    free(size);
    /* Only a fresh auditor takes part again. */
    audit_appender_free(&gateway.appender);
    for (int w = 0; w < WORKERS; w++)
        audit_client_detached(gateway.workers[w].client);
    open_auditor(&gateway);
    for (int w = 0; w < WORKERS; w++)
        audit_client_attached(gateway.workers[w].client);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), 800);
    assert_int_equal(check_log(&gateway), 800);
    gateway_close(&gateway);
}

/* --- the state file ---------------------------------------------------------------------------- */

static char state_folder[48], moved_folder[64];

static void disk_full(bool full)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = full ? 0 : limit.rlim_max;
    (void)signal(SIGXFSZ, full ? SIG_IGN : SIG_DFL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void folder_gone(bool gone)
{
    assert_int_equal(gone ? rename(state_folder, moved_folder) : rename(moved_folder, state_folder),
                     0);
}

/* What was committed is not answered before its checkpoint is kept; then it is, and exactly once. */
static void state_file_cannot_be_written(void **state)
{
    (void)state;
    static void (*const faults[])(bool) = { disk_full, folder_gone };
    (void)snprintf(state_folder, sizeof state_folder, "/tmp/sluice-audit-state-%d", (int)getpid());
    (void)snprintf(moved_folder, sizeof moved_folder, "%s.moved", state_folder);
    assert_int_equal(mkdir(state_folder, 0700), 0);
    (void)snprintf(state_path, sizeof state_path, "%s/head", state_folder);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        (void)empty_log(NULL);
        struct gateway gateway;
        gateway_open(&gateway);
        start_work(&gateway, 400, 100);
        run_until(&gateway, work_over);
        faults[i](true);
        start_work(&gateway, 400, 100);
        run_until(&gateway, not_writable);
        wait_until_us = clock_monotonic_us() + 1000 * 1000;
        run_until(&gateway, time_over);
        bool still_refused = !gateway.writable;
        uint64_t answered = resolved(&gateway);
        const char *reason;
        (void)audit_appender_writable(gateway.appender, &reason);
        bool named = strstr(reason, "state file") != NULL;
        faults[i](false); /* before anything is asserted: others need the disk */
        assert_true(still_refused && named);
        assert_int_equal(answered, 400);
        run_until(&gateway, work_over);
        assert_int_equal(resolved(&gateway), 800);
        assert_int_equal(check_log(&gateway), 800);
        gateway_close(&gateway);
    }
    (void)unlink(state_path);
    (void)rmdir(state_folder);
    memcpy(state_path, first_path, sizeof state_path);
}

/* --- partitions -------------------------------------------------------------------------------- */

enum { BOUNDARY = 10000000, BEFORE = 300 };

/* A head of BOUNDARY - BEFORE entries that nobody has to have written: only its subtrees count. */
static void place_head(struct merkle_frontier *tree)
{
    uint8_t bytes[MERKLE_FRONTIER_BYTES_MAX] = { 0 };
    uint64_t size = BOUNDARY - BEFORE;
    size_t len = 8;
    uint8_t root[MERKLE_HASH_BYTES];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(size >> (56 - 8 * i));
    len += (size_t)__builtin_popcountll(size) * MERKLE_HASH_BYTES;
    ids_random(bytes + 8, len - 8);
    assert_int_equal(merkle_frontier_parse(bytes, len, tree), 0);
    merkle_frontier_root(tree, root);
    char frontier_hex[2 * sizeof bytes + 1], root_hex[2 * sizeof root + 1];
    hex_encode(bytes, len, frontier_hex);
    hex_encode(root, sizeof root, root_hex);
    char *sql = mem_format("ALTER TABLE audit.head DISABLE TRIGGER USER; UPDATE audit.head SET "
                           "origin = '" ORIGIN "', size = %llu, frontier = '\\x%s', "
                           "root = '\\x%s'; ALTER TABLE audit.head ENABLE TRIGGER USER",
                           (unsigned long long)size, frontier_hex, root_hex);
    postgres_sql(postgres, sql);
    free(sql);
}

static void partition_boundary(void **state)
{
    (void)state;
    enum { ENTRIES = 2000 };
    struct gateway gateway;
    struct merkle_frontier tree;
    uint8_t root[MERKLE_HASH_BYTES];
    place_head(&tree);
    gateway_open(&gateway);
    start_work(&gateway, ENTRIES, 100);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), ENTRIES);
    char *counts = postgres_value(postgres, "SELECT string_agg(n::text, ' ' ORDER BY p) FROM "
                                            "(SELECT tableoid::regclass::text AS p, count(*) AS n "
                                            "FROM audit.entry GROUP BY 1) x");
    assert_string_equal(counts, "300 1700");
    free(counts);
    PGconn *conn = PQconnectdb(postgres_conninfo(postgres));
    PGresult *rows = ask(conn, "SELECT leaf_hash FROM audit.entry ORDER BY index");
    for (int i = 0; i < PQntuples(rows); i++)
        merkle_frontier_append(&tree, cell(rows, i, 0).data);
    PQclear(rows);
    PQfinish(conn);
    merkle_frontier_root(&tree, root);
    const struct note_verifier *list[] = { verifier };
    struct checkpoint checkpoint;
    uint32_t verified;
    assert_int_equal(checkpoint_open(audit_appender_checkpoint(gateway.appender), ORIGIN, list, 1,
                                     &checkpoint, &verified, NULL),
                     0);
    assert_int_equal(checkpoint.size, BOUNDARY - BEFORE + ENTRIES);
    assert_memory_equal(checkpoint.root, root, sizeof root);
    gateway_close(&gateway);
}

/* --- more than fits ---------------------------------------------------------------------------- */

static unsigned large_done, large_refused;

static void on_large(void *arg, int64_t index, struct slice note, const struct err *err)
{
    (void)arg;
    (void)index;
    (void)note;
    if (err == NULL) {
        large_done++;
        return;
    }
    assert_string_equal(err->reason, "AUDIT_BACKLOG");
    assert_int_equal(err->code, ERR_RESOURCE_EXHAUSTED);
    large_refused++;
}

static void append_large(struct audit_client *client)
{
    static uint8_t persons[AUDIT_PERSONS_MAX][HASH_BYTES];
    uint8_t exchange[UUID_BYTES];
    uuid7_make(exchange);
    ids_random(persons, sizeof persons);
    struct audit_entry_fields fields = {
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
        .exchange_id = slice_of(exchange, sizeof exchange),
        .subject = "spiffe://gov.example/dept/civil/system/x",
        .method = "/sluice.v1.ExchangeService/BatchLookup",
        .persons = (const uint8_t(*)[HASH_BYTES])persons,
        .person_count = AUDIT_PERSONS_MAX,
    };
    (void)audit_client_append(client, &fields, clock_monotonic_us() + PATIENCE_MS * 1000LL,
                              on_large, NULL);
}

static bool all_large_done(const struct gateway *gateway)
{
    struct audit_client_stats stats;
    audit_client_stats(gateway->workers[0].client, &stats);
    return stats.unresolved == 0;
}

static void backlog_of_32_mib(void **state)
{
    (void)state;
    enum { ENTRIES = 1200 }; /* of 34 kB each */
    struct gateway gateway;
    struct audit_client_stats stats;
    large_done = 0;
    large_refused = 0;
    gateway_open(&gateway);
    run_until(&gateway, is_writable);
    postgres_stop(postgres, POSTGRES_FAST);
    run_until(&gateway, not_writable);
    struct audit_client *client = gateway.workers[0].client;
    for (int i = 0; i < ENTRIES; i++)
        append_large(client);
    wait_until_us = clock_monotonic_us() + 10 * 1000;
    run_until(&gateway, time_over);
    audit_client_stats(client, &stats);
    assert_true(large_refused > 0);
    assert_int_equal(stats.unresolved + large_refused, ENTRIES);
    assert_true(stats.unresolved_bytes >= AUDIT_UNRESOLVED_BYTES_MAX);
    assert_true(stats.unresolved_bytes < AUDIT_UNRESOLVED_BYTES_MAX + AUDIT_APPEND_BYTES_MAX);
    postgres_start(postgres);
    run_until(&gateway, all_large_done);
    assert_int_equal(large_done + large_refused, ENTRIES);
    append_large(client);
    run_until(&gateway, all_large_done);
    assert_int_equal(large_done + large_refused, ENTRIES + 1);
    char *size = postgres_value(postgres, "SELECT size FROM audit.head");
    assert_int_equal(strtoul(size, NULL, 10), large_done);
    free(size);
    gateway_close(&gateway);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(much_foreign_while_connected, empty_log),
        cmocka_unit_test_setup(much_foreign_while_away, empty_log),
        cmocka_unit_test_setup(a_foreign_page_that_lies, empty_log),
        cmocka_unit_test_setup(raised_epoch, empty_log),
        cmocka_unit_test_setup(state_file_cannot_be_written, empty_log),
        cmocka_unit_test_setup(partition_boundary, empty_log),
        cmocka_unit_test_setup(backlog_of_32_mib, empty_log),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
