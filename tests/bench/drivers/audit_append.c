/* audit_append SECONDS MIGRATIONS: what the audit log costs, with a PostgreSQL of its own on the same machine, as in
 * production: every commit reaches the disk, every batch is signed and kept. First as many entries as go,
 * then 10,000 a second, then a proof as a log of 2^27 entries has them. Prints one JSON line. */
#include <dirent.h>
#include <sys/resource.h>

#include "../../fault/test_audit_gateway.h"
#include "audit/tlog_proof.h"

enum {
    OFFERED_PER_SECOND = 10000,
    SAMPLES_MAX = 20 * OFFERED_PER_SECOND, /* a phase ends before the tests' patience does */
    PROOFS = 200,
    LEVELS = 27, /* 134 million entries */
};

/* --- processor time --------------------------------------------------------------------------- */

static double own_cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Of the server's processes that are alive; -1: this one is none of them. */
static double process_cpu_seconds(const char *pid, const char *data)
{
    char path[300], where[512], line[1024];
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof path, "/proc/%s/cwd", pid);
    ssize_t len = readlink(path, where, sizeof where - 1);
    if (len < 0)
        return -1;
    where[len] = '\0';
    if (strcmp(where, data) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    const char *fields = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    if (fields == NULL || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                 &user, &system) != 2)
        return -1;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double server_cpu_seconds(void)
{
    DIR *proc = opendir("/proc");
    char *data = postgres_value(postgres, "SHOW data_directory");
    double sum = 0;
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        double one = process_cpu_seconds(entry->d_name, data);
        sum += one > 0 ? one : 0;
    }
    (void)closedir(proc);
    free(data);
    return sum;
}

static double stored_bytes(void)
{
    char *text =
        postgres_value(postgres, "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c"
                                 " JOIN pg_namespace n ON n.oid = c.relnamespace"
                                 " WHERE n.nspname = 'audit' AND c.relkind = 'r'");
    double bytes = strtod(text, NULL);
    free(text);
    return bytes;
}

/* --- as many as go ------------------------------------------------------------------------------ */

static uint64_t answered(const struct gateway *gateway)
{
    uint64_t sum = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += gateway->workers[i].resolved;
    return sum;
}

static void as_many_as_go(struct gateway *gateway, int64_t seconds)
{
    double bytes = stored_bytes();
    double own = own_cpu_seconds(), server = server_cpu_seconds();
    int64_t start_us = clock_monotonic_us();
    wait_until_us = start_us + seconds * 1000000;
    start_work(gateway, WORKERS * 100000000ULL, 128);
    run_until(gateway, time_over);
    for (int i = 0; i < WORKERS; i++)
        gateway->workers[i].wanted = 0;
    run_until(gateway, work_over);
    double entries = (double)answered(gateway);
    double elapsed = (double)(clock_monotonic_us() - start_us) / 1e6;
    printf("\"entries_per_second\": %.0f, \"cpu_us\": %.2f, \"bytes\": %.0f, ", entries / elapsed,
           1e6 * (own_cpu_seconds() - own + server_cpu_seconds() - server) / entries,
           (stored_bytes() - bytes) / entries);
}

/* --- 10,000 a second -------------------------------------------------------------------------- */

static int64_t samples[SAMPLES_MAX];
static size_t sample_count, samples_wanted, samples_sent;
static int64_t paced_start_us;

struct paced {
    int64_t start_us;
};

static void on_paced(void *arg, int64_t index, struct slice note, const struct err *err)
{
    struct paced *paced = arg;
    (void)note;
    assert_true(err == NULL && index >= 0);
    samples[sample_count++] = clock_monotonic_us() - paced->start_us;
    free(paced);
}

static void append_paced(struct worker *worker, int64_t due_us)
{
    static const uint8_t digest[HASH_BYTES] = { 7 };
    uint8_t exchange[UUID_BYTES], salt[SALT_BYTES] = { 1 };
    struct paced *paced = mem_zero(sizeof *paced);
    /* From when it was due: waiting to be offered counts too. */
    paced->start_us = due_us;
    uuid7_make(exchange);
    struct audit_entry_fields fields = {
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
        .exchange_id = slice_of(exchange, sizeof exchange),
        .subject = "spiffe://gov.example/dept/civil/system/triage",
        .department = "civil",
        .credential = slice_of(digest, HASH_BYTES),
        .auth_method = "mtls",
        .purpose = "medical-triage",
        .agreement = "agr-1",
        .method = "/sluice.v1.ExchangeService/Lookup",
        .dataset = "gov.person.v1",
        .owner = "police",
        .filter_digest = slice_of(digest, HASH_BYTES),
        .response_digest = slice_of(digest, HASH_BYTES),
        .salt = salt,
    };
    (void)audit_client_append(worker->client, &fields, clock_monotonic_us() + PATIENCE_MS * 1000LL,
                              on_paced, paced);
}

static void offer(struct gateway *gateway)
{
    int64_t now_us = clock_monotonic_us();
    for (; samples_sent < samples_wanted; samples_sent++) {
        int64_t due_us = paced_start_us + (int64_t)samples_sent * 1000000 / OFFERED_PER_SECOND;
        if (due_us > now_us)
            break;
        append_paced(&gateway->workers[samples_sent % WORKERS], due_us);
    }
}

static bool paced_over(const struct gateway *gateway)
{
    offer((struct gateway *)(uintptr_t)gateway);
    return sample_count == samples_wanted;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void at_a_rate(struct gateway *gateway, int64_t seconds)
{
    samples_wanted = (size_t)(seconds * OFFERED_PER_SECOND);
    paced_start_us = clock_monotonic_us();
    run_until(gateway, paced_over);
    qsort(samples, sample_count, sizeof samples[0], by_size);
    printf("\"p50_ms\": %.3f, \"p99_ms\": %.3f, ", (double)samples[sample_count / 2] / 1e3,
           (double)samples[sample_count * 99 / 100] / 1e3);
}

/* --- proofs ------------------------------------------------------------------------------------- */

static void proofs(void)
{
    struct checkpoint checkpoint = { .size = 1ULL << LEVELS };
    struct proof path = { .count = LEVELS };
    struct buf note, text;
    uint8_t leaf[MERKLE_HASH_BYTES];
    uint64_t index = 0x5a5a5a5 & (checkpoint.size - 1);
    ids_random(leaf, sizeof leaf);
    memcpy(checkpoint.root, leaf, sizeof leaf);
    for (int level = 0; level < LEVELS; level++) {
        uint8_t *sibling = path.hash[level];
        ids_random(sibling, MERKLE_HASH_BYTES);
        bool right = (index >> level & 1) != 0;
        merkle_node_hash(right ? sibling : checkpoint.root, right ? checkpoint.root : sibling,
                         checkpoint.root);
    }
    (void)snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", ORIGIN);
    buf_init(&note, NOTE_BYTES_MAX);
    buf_init(&text, TLOG_PROOF_BYTES_MAX);
    assert_int_equal(checkpoint_sign(signer, &checkpoint, &note), 0);
    assert_int_equal(tlog_proof_write(index, &path, buf_slice(&note), &text), 0);
    double start = own_cpu_seconds();
    for (int i = 0; i < PROOFS; i++) {
        const struct note_verifier *list[] = { verifier };
        struct checkpoint read;
        struct proof again;
        struct slice inner;
        struct err err = ERR_INIT;
        uint64_t at;
        uint32_t verified;
        assert_int_equal(tlog_proof_parse(buf_slice(&text), &at, &again, &inner, &err), 0);
        assert_int_equal(checkpoint_open(inner, ORIGIN, list, 1, &read, &verified, NULL), 0);
        assert_true(proof_verify_inclusion(at, read.size, leaf, &again, read.root));
    }
    printf("\"proof_bytes\": %zu, \"verify_ms\": %.4f}\n", text.len,
           1e3 * (own_cpu_seconds() - start) / PROOFS);
    buf_fini(&note);
    buf_fini(&text);
}

int main(int argc, char **argv)
{
    static const char *const migrations[] = { "001_control", "002_audit", "005_audit_proofs",
                                              "009_audit_search" };
    long seconds = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    struct gateway gateway;
    if (seconds < 1 || seconds > SAMPLES_MAX / OFFERED_PER_SECOND) {
        (void)fprintf(stderr, "usage: audit_append SECONDS MIGRATIONS, from 1 to %d s\n",
                      SAMPLES_MAX / OFFERED_PER_SECOND);
        return 2;
    }
    (void)start_all(NULL);
    for (size_t i = 0; i < sizeof migrations / sizeof migrations[0]; i++) {
        char *path = mem_format("%s/%s.sql", argv[2], migrations[i]);
        postgres_sql(postgres, read_text(path));
        free(path);
    }
    postgres_sql(postgres, "ALTER SYSTEM SET fsync = on");
    postgres_sql(postgres, "SELECT pg_reload_conf()");
    gateway_open(&gateway);
    run_until(&gateway, is_writable);
    printf("{");
    as_many_as_go(&gateway, seconds);
    at_a_rate(&gateway, seconds);
    proofs();
    gateway_close(&gateway);
    (void)stop_all(NULL);
    return 0;
}
