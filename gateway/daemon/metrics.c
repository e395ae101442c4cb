#include "daemon/metrics.h"

#include <stdio.h>
#include <unistd.h>

static void value(struct buf *out, const char *name, const char *labels, uint64_t number)
{
    (void)buf_append_format(out, "%s{%s} %llu\n", name, labels, (unsigned long long)number);
}

static uint64_t resident_bytes(void)
{
    unsigned long size = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    (void)fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void metrics_of_server(struct buf *out, const char *labels, const struct rpc_server *server)
{
    struct rpc_stats stats;
    char more[200];
    rpc_server_stats(server, &stats);
    const char *port = rpc_server_options_of(server)->name;
    for (size_t i = 0; i < sizeof stats.calls_by_status / sizeof stats.calls_by_status[0]; i++) {
        if (stats.calls_by_status[i] == 0)
            continue;
        (void)snprintf(more, sizeof more, "%s,port=\"%s\",grpc_status=\"%zu\"", labels, port, i);
        value(out, "sluice_calls_total", more, stats.calls_by_status[i]);
    }
    (void)snprintf(more, sizeof more, "%s,port=\"%s\"", labels, port);
    value(out, "sluice_calls_running", more, (uint64_t)stats.calls);
    value(out, "sluice_connections", more, (uint64_t)stats.connections);
}

static void metrics_of_sources(struct buf *out, const char *labels, const struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->source_count; i++) {
        const struct gateway_source *source = &gateway->sources[i];
        struct db_stats stats;
        char more[200];
        db_source_stats(source->db, &stats);
        (void)snprintf(more, sizeof more, "%s,source=\"%s\"", labels, source->conf->name);
        value(out, "sluice_source_up", more, db_source_up(source->db) ? 1 : 0);
        value(out, "sluice_source_statements_total", more, stats.statements);
        value(out, "sluice_source_failures_total", more, stats.failures);
        value(out, "sluice_source_reconnects_total", more, stats.reconnects);
        value(out, "sluice_source_leases_busy", more, (uint64_t)stats.leased_busy);
        value(out, "sluice_source_waiting", more, (uint64_t)stats.waiting);
    }
}

void metrics_of_worker(struct buf *out, const char *labels, const struct gateway *gateway,
                       const struct rpc_server *systems, const struct rpc_server *officers)
{
    value(out, "sluice_resident_bytes", labels, resident_bytes());
    value(out, "sluice_agreement_epoch", labels, (uint64_t)authz_epoch(gateway->authz));
    value(out, "sluice_lease_valid", labels, authz_ready(gateway->authz) ? 1 : 0);
    metrics_of_server(out, labels, systems);
    metrics_of_server(out, labels, officers);
    metrics_of_sources(out, labels, gateway);
    if (gateway->audit == NULL)
        return;
    struct audit_client_stats stats;
    audit_client_stats(gateway->audit, &stats);
    value(out, "sluice_audit_admitted_total", labels, stats.admitted);
    value(out, "sluice_audit_unresolved", labels, stats.unresolved);
    value(out, "sluice_audit_expired_total", labels, stats.expired);
    value(out, "sluice_audit_late_total", labels, stats.late);
}

void metrics_of_auditor(struct buf *out, const char *labels, const struct audit_appender *appender)
{
    struct audit_appender_stats stats;
    audit_appender_stats(appender, &stats);
    value(out, "sluice_resident_bytes", labels, resident_bytes());
    value(out, "sluice_audit_log_size", labels, stats.size);
    value(out, "sluice_audit_writable", labels, audit_appender_writable(appender, NULL) ? 1 : 0);
    value(out, "sluice_audit_queued", labels, stats.queued);
    value(out, "sluice_audit_batches_total", labels, stats.batches);
    value(out, "sluice_audit_entries_total", labels, stats.entries);
    value(out, "sluice_audit_failures_total", labels, stats.failures);
}
