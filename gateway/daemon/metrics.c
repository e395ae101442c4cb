#include "daemon/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "services/quarantine.h"

static void value(struct buf *out, const char *name, const char *labels, uint64_t number)
{
    (void)buf_append_format(out, "%s{%s} %llu\n", name, labels, (unsigned long long)number);
}

static uint64_t resident_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    const char *second = fgets(line, sizeof line, file) != NULL ? strchr(line, ' ') : NULL;
    (void)fclose(file);
    unsigned long resident = second != NULL ? strtoul(second, NULL, 10) : 0; /* pages */
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

/* Notices in force, from the last look. */
static void metrics_of_drift(struct buf *out, const char *labels, const struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->dataset_count; i++) {
        const struct gateway_dataset *dataset = &gateway->datasets[i];
        for (int kind = 0; kind <= DRIFT_LABELS_CHANGED; kind++) {
            size_t count = drift_watch_count(dataset->drift, (enum schema_drift_kind)kind);
            if (count == 0)
                continue;
            char *more = mem_format("%s,dataset=\"%s\",kind=\"%s\"", labels, dataset->dataset->name,
                                    schema_drift_kind_name((enum schema_drift_kind)kind));
            value(out, "sluice_schema_drift_notices", more, count);
            free(more);
        }
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
    metrics_of_drift(out, labels, gateway);
    struct quarantine_stats quarantine;
    quarantine_stats(gateway->quarantine, &quarantine);
    value(out, "sluice_quarantine_noted_total", labels, quarantine.noted);
    value(out, "sluice_quarantine_lost_total", labels, quarantine.lost);
    value(out, "sluice_quarantine_pending", labels, quarantine.pending);
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

/* --- all processes --------------------------------------------------------------------------- */

struct line {
    const char *text;
    size_t len;
    size_t name_len;
    size_t order; /* keeps the processes' own order inside one metric */
};

static int by_name(const void *left, const void *right)
{
    const struct line *a = left;
    const struct line *b = right;
    size_t shorter = a->name_len < b->name_len ? a->name_len : b->name_len;
    int result = memcmp(a->text, b->text, shorter);
    if (result == 0)
        result = (a->name_len > b->name_len) - (a->name_len < b->name_len);
    return result != 0 ? result : (a->order > b->order) - (a->order < b->order);
}

static size_t split_lines(const struct buf *text, struct line *lines, size_t max)
{
    const char *p = (const char *)text->data;
    const char *end = p + text->len;
    size_t count = 0;
    while (p < end && count < max) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        const char *brace = stop != NULL ? memchr(p, '{', (size_t)(stop - p)) : NULL;
        if (stop == NULL)
            break;
        if (brace != NULL) {
            lines[count] = (struct line){ .text = p,
                                          .len = (size_t)(stop - p) + 1,
                                          .name_len = (size_t)(brace - p),
                                          .order = count };
            count++;
        }
        p = stop + 1;
    }
    return count;
}

static bool is_counter(const struct line *line)
{
    static const char suffix[] = "_total";
    size_t len = sizeof suffix - 1;
    return line->name_len > len && memcmp(line->text + line->name_len - len, suffix, len) == 0;
}

void metrics_render(const struct buf *text, struct buf *out)
{
    size_t max = text->len / 2 + 1;
    struct line *lines = mem_array(max, sizeof *lines);
    size_t count = split_lines(text, lines, max);
    qsort(lines, count, sizeof *lines, by_name);
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &lines[i];
        bool same = i > 0 && lines[i - 1].name_len == line->name_len &&
                    memcmp(lines[i - 1].text, line->text, line->name_len) == 0;
        if (!same)
            (void)buf_append_format(out, "# TYPE %.*s %s\n", (int)line->name_len, line->text,
                                    is_counter(line) ? "counter" : "gauge");
        (void)buf_append(out, line->text, line->len);
    }
    free(lines);
}
