#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault/test_audit_gateway.h"

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

/* A proxy that swallows the answer to some COMMITs and cuts the connection: the server has
 * committed, and the auditor cannot know. */
struct proxy_link {
    struct proxy *proxy;
    struct loop_io from_client, from_server;
    int client, server;
};
struct proxy {
    struct loop *loop;
    struct loop_io io;
    int fd;
    struct proxy_link links[64];
    size_t used;
    unsigned commits, swallowed, each;
};

static void cut(struct proxy_link *link)
{
    loop_io_fini(&link->from_client);
    loop_io_fini(&link->from_server);
    (void)close(link->client);
    (void)close(link->server);
    link->client = -1;
}

static void pass_on(struct proxy_link *link, int from, int to)
{
    char bytes[16384];
    ssize_t len = recv(from, bytes, sizeof bytes, 0);
    bool commit =
        len > 0 && from == link->server && memmem(bytes, (size_t)len, "COMMIT", 7) != NULL;
    bool swallow = commit && ++link->proxy->commits % link->proxy->each == 0;
    if (swallow)
        link->proxy->swallowed++;
    if (len <= 0 || swallow || send(to, bytes, (size_t)len, MSG_NOSIGNAL) != len)
        cut(link);
}

static void on_client_bytes(void *arg, int ready)
{
    struct proxy_link *link = arg;
    (void)ready;
    pass_on(link, link->client, link->server);
}

static void on_server_bytes(void *arg, int ready)
{
    struct proxy_link *link = arg;
    (void)ready;
    pass_on(link, link->server, link->client);
}

static int loopback_socket(int port, struct sockaddr_in *address_r)
{
    *address_r = (struct sockaddr_in){ .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void on_proxy_client(void *arg, int ready)
{
    struct proxy *proxy = arg;
    struct sockaddr_in address;
    (void)ready;
    assert_true(proxy->used < sizeof proxy->links / sizeof *proxy->links);
    struct proxy_link *link = &proxy->links[proxy->used++];
    link->proxy = proxy;
    link->client = accept(proxy->fd, NULL, NULL);
    link->server = loopback_socket(postgres_port(postgres), &address);
    assert_int_equal(connect(link->server, (struct sockaddr *)&address, sizeof address), 0);
    loop_io_init(&link->from_client, proxy->loop, link->client, on_client_bytes, link);
    loop_io_init(&link->from_server, proxy->loop, link->server, on_server_bytes, link);
    loop_io_want(&link->from_client, LOOP_READ);
    loop_io_want(&link->from_server, LOOP_READ);
}

static void commit_answers_lost(void **state)
{
    (void)state;
    enum { ENTRIES = 12000 };
    static struct proxy proxy;
    struct gateway gateway;
    struct audit_appender_stats stats;
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    memset(&proxy, 0, sizeof proxy);
    proxy.each = 7;
    proxy.fd = loopback_socket(0, &address);
    assert_int_equal(bind(proxy.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(proxy.fd, 8), 0);
    assert_int_equal(getsockname(proxy.fd, (struct sockaddr *)&address, &len), 0);
    proxy_port = ntohs(address.sin_port);
    gateway_open(&gateway);
    proxy.loop = gateway.loop;
    loop_io_init(&proxy.io, gateway.loop, proxy.fd, on_proxy_client, &proxy);
    loop_io_want(&proxy.io, LOOP_READ);
    start_work(&gateway, ENTRIES, 40);
    run_until(&gateway, work_over);
    assert_int_equal(resolved(&gateway), ENTRIES);
    assert_int_equal(check_log(&gateway), ENTRIES);
    audit_appender_stats(gateway.appender, &stats);
    print_message("%u COMMIT answers lost: %llu entries found in the log behind its lock\n",
                  proxy.swallowed, (unsigned long long)stats.known);
    assert_true(proxy.swallowed >= 5);
    assert_true(stats.known > 0);
    for (size_t i = 0; i < proxy.used; i++) {
        if (proxy.links[i].client >= 0)
            cut(&proxy.links[i]);
    }
    loop_io_fini(&proxy.io);
    (void)close(proxy.fd);
    proxy_port = 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(four_workers, empty_log),
        cmocka_unit_test_setup(crashes, empty_log),
        cmocka_unit_test_setup(commit_answers_lost, empty_log),
        cmocka_unit_test_setup(auditor_replaced, empty_log),
        cmocka_unit_test_setup(two_gateways, empty_log),
        cmocka_unit_test_setup(throughput, empty_log),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
