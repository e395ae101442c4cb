/* What the tests of the audit store share: a server, a gateway with four workers, and a check of
 *   the log as a stranger would make it.
 * Ownership: one server and one key for the whole program; each case opens and closes its
 *   gateways.
 * Callbacks: assertions fail the running case.
 * Limits: a case that does not get there within PATIENCE_MS fails.
 * Does not use sockets between workers and auditor. */
#ifndef SLUICE_TESTS_FAULT_TEST_AUDIT_GATEWAY_H
#define SLUICE_TESTS_FAULT_TEST_AUDIT_GATEWAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "audit/appender.h"
#include "audit/checkpoint.h"
#include "audit/client.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "pg/db.h"
#include "support/postgres.h"

#define ORIGIN "log.example/sluice"

enum { WORKERS = 4, PATIENCE_MS = 30000 };

static struct postgres *postgres;
static struct note_signer *signer;
static struct note_verifier *verifier;
static uint8_t salt_key[SALT_KEY_BYTES];
static int proxy_port;      /* 0: straight to the server */
static int64_t charge_each; /* records that a decision charges to the agreement's daily quota */
static char state_path[64], first_path[64], second_path[64];

/* --- a gateway: one auditor, four workers, no sockets between them --------------------------- */

struct gateway;
struct worker {
    struct gateway *gateway;
    struct audit_client *client;
    uint64_t wanted;   /* entries still to append */
    uint64_t running;  /* tickets that wait */
    uint64_t resolved; /* callbacks with an index */
    uint64_t failed;
    uint64_t charged; /* records that its answers say were charged */
    uint64_t refused; /* entries that the quota refused */
    unsigned width;   /* tickets at once */
};

struct gateway {
    struct loop *loop;
    struct db_source *source;
    struct audit_appender *appender;
    struct worker workers[WORKERS];
    struct loop_timer patience;
    struct loop_timer tick;
    bool (*until)(const struct gateway *gateway);
    bool writable;
    uint64_t size_answered; /* of the newest checkpoint that reached a worker */
};

static inline void on_send(void *arg, void *to, const uint8_t *data, size_t len)
{
    (void)arg;
    struct worker *worker = to;
    Sluice__Internal__IpcMessage *message = sluice__internal__ipc_message__unpack(NULL, len, data);
    assert_non_null(message);
    audit_client_on_message(worker->client, message);
    sluice__internal__ipc_message__free_unpacked(message, NULL);
}

static inline void on_state(void *arg, bool writable, const char *reason)
{
    struct gateway *gateway = arg;
    (void)reason;
    gateway->writable = writable;
}

static inline void to_auditor(void *arg, const uint8_t *data, size_t len)
{
    struct worker *worker = arg;
    Sluice__Internal__IpcMessage *message = sluice__internal__ipc_message__unpack(NULL, len, data);
    assert_non_null(message);
    audit_appender_receive(worker->gateway->appender, worker, message->append);
    sluice__internal__ipc_message__free_unpacked(message, NULL);
}

static inline void out_of_patience(void *arg)
{
    (void)arg;
    fail_msg("the log did not get there in time");
}

static inline void on_tick(void *arg)
{
    struct gateway *gateway = arg;
    if (gateway->until(gateway))
        loop_stop(gateway->loop);
    else
        loop_timer_start(&gateway->tick, 1);
}

static inline void run_until(struct gateway *gateway, bool (*until)(const struct gateway *gateway))
{
    gateway->until = until;
    loop_timer_start(&gateway->patience, PATIENCE_MS);
    loop_timer_start(&gateway->tick, 0);
    loop_run(gateway->loop);
    loop_timer_cancel(&gateway->patience);
}

static inline void open_auditor(struct gateway *gateway)
{
    struct audit_appender_options options = {
        .origin = ORIGIN,
        .signer = signer,
        .salt_key = salt_key,
        .state_path = state_path,
        .send = on_send,
        .state = on_state,
        .arg = gateway,
    };
    struct err err = ERR_INIT;
    gateway->appender = audit_appender_new(gateway->loop, gateway->source, &options, &err);
    assert_non_null(gateway->appender);
}

static inline void gateway_open(struct gateway *gateway)
{
    char conninfo[256];
    memset(gateway, 0, sizeof *gateway);
    gateway->loop = loop_new();
    if (proxy_port != 0)
        (void)snprintf(conninfo, sizeof conninfo,
                       "host=127.0.0.1 port=%d user=auditor dbname=postgres", proxy_port);
    else
        (void)snprintf(conninfo, sizeof conninfo, "host=%s port=%d user=auditor dbname=postgres",
                       postgres_socket_dir(postgres), postgres_port(postgres));
    struct db_source_options source = { .name = "audit",
                                        .conninfo = conninfo,
                                        .leased_connections_max = 1,
                                        .connect_timeout_ms = 2000,
                                        .shared_statement_timeout_ms = 1000,
                                        .shared_in_flight_max = 1 };
    gateway->source = db_source_new(gateway->loop, &source);
    open_auditor(gateway);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &gateway->workers[i];
        struct audit_client_options options = {
            .origin = ORIGIN, .instance = "gw-1", .send = to_auditor, .arg = worker
        };
        worker->gateway = gateway;
        worker->client = audit_client_new(gateway->loop, &options);
        audit_client_attached(worker->client);
    }
    loop_timer_init(&gateway->patience, gateway->loop, out_of_patience, gateway);
    loop_timer_init(&gateway->tick, gateway->loop, on_tick, gateway);
}

static inline void gateway_close(struct gateway *gateway)
{
    audit_appender_free(&gateway->appender);
    for (int i = 0; i < WORKERS; i++)
        audit_client_free(&gateway->workers[i].client);
    loop_timer_fini(&gateway->patience);
    loop_timer_fini(&gateway->tick);
    db_source_free(&gateway->source);
    loop_free(&gateway->loop);
}

/* --- work ----------------------------------------------------------------------------------------
 */

static inline void pump(struct worker *worker);

static inline void on_done(void *arg, int64_t index, struct slice note, const struct err *err)
{
    struct worker *worker = arg;
    worker->running--;
    if (err != NULL && (index < 0 || strcmp(err->reason, AUDIT_QUOTA_REASON) != 0)) {
        worker->failed++;
        return;
    }
    worker->refused += err != NULL;
    worker->charged += (uint64_t)audit_client_charge(worker->client).records;
    const struct note_verifier *list[] = { verifier };
    struct checkpoint checkpoint;
    uint32_t verified;
    worker->resolved++;
    /* Checking one receipt of a batch is enough, and signatures are slow. */
    if (worker->resolved % 16 == 1) {
        assert_int_equal(checkpoint_open(note, ORIGIN, list, 1, &checkpoint, &verified, NULL), 0);
        assert_true((uint64_t)index < checkpoint.size);
        assert_true(checkpoint.size >= worker->gateway->size_answered);
        worker->gateway->size_answered = checkpoint.size;
    }
    pump(worker);
}

static inline void append_one(struct worker *worker)
{
    static const uint8_t person[1][HASH_BYTES] = { { 7 } };
    uint8_t exchange[UUID_BYTES], salt[SALT_BYTES];
    uint64_t n = worker->wanted;
    uuid7_make(exchange);
    memset(salt, (int)n, sizeof salt);
    struct audit_entry_fields fields = {
        .kind = n % 10 == 0 ? SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY
                            : SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
        .exchange_id = slice_of(exchange, sizeof exchange),
        .subject = "spiffe://gov.example/dept/civil/system/\xe5\xa9\x9a\"{},\\NULL",
        .department = "civil",
        .credential = slice_of(person[0], HASH_BYTES),
        .auth_method = "mtls",
        .purpose = n % 3 == 0 ? "" : "NULL",
        .agreement = "agr-1",
        .method = "/sluice.v1.ExchangeService/Lookup",
        .dataset = "gov.person.v1",
        .owner = "police",
        .filter_digest = slice_of(person[0], HASH_BYTES),
        .response_digest = slice_of(person[0], HASH_BYTES),
        .salt = n % 2 == 0 ? salt : NULL,
        .persons = person,
        .person_count = n % 2 == 0 ? 1 : 0,
        .charge = n % 10 == 0 ? 0 : charge_each,
    };
    (void)audit_client_append(worker->client, &fields, clock_monotonic_us() + PATIENCE_MS * 1000LL,
                              on_done, worker);
}

static inline void pump(struct worker *worker)
{
    for (; worker->wanted > 0 && worker->running < worker->width; worker->wanted--) {
        worker->running++;
        append_one(worker);
    }
}

static inline void start_work(struct gateway *gateway, uint64_t entries, unsigned width)
{
    for (int i = 0; i < WORKERS; i++) {
        gateway->workers[i].wanted = entries / WORKERS;
        gateway->workers[i].width = width;
        pump(&gateway->workers[i]);
    }
}

static inline bool work_over(const struct gateway *gateway)
{
    for (int i = 0; i < WORKERS; i++) {
        if (gateway->workers[i].wanted > 0 || gateway->workers[i].running > 0)
            return false;
    }
    return true;
}

static inline uint64_t resolved(const struct gateway *gateway)
{
    uint64_t sum = 0;
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(gateway->workers[i].failed, 0);
        sum += gateway->workers[i].resolved;
    }
    return sum;
}

static inline bool is_writable(const struct gateway *gateway)
{
    return gateway->writable;
}

static inline bool not_writable(const struct gateway *gateway)
{
    return !gateway->writable;
}

/* --- the log as a stranger would check it ---------------------------------------------------- */

static struct slice cell(const PGresult *rows, int row, int column)
{
    return slice_of(PQgetvalue(rows, row, column), (size_t)PQgetlength(rows, row, column));
}

static inline bool same(struct slice a, const char *text)
{
    return a.len == strlen(text) && memcmp(a.data, text, a.len) == 0;
}

static inline int64_t number(struct slice value)
{
    int64_t sum = 0;
    for (size_t i = 0; i < value.len; i++)
        sum = (int64_t)((uint64_t)sum << 8 | value.data[i]);
    return sum;
}

/* Counters of each process must be 1..n without gaps, in any order. */
enum { BOOTS_MAX = 64, COUNTERS_MAX = 200000 };
struct boots {
    uint8_t ids[BOOTS_MAX][16];
    uint8_t *seen[BOOTS_MAX];
    uint64_t count[BOOTS_MAX], highest[BOOTS_MAX];
    size_t used;
};

static inline void count_boot(struct boots *boots, const Sluice__V1__AuditEntry *entry)
{
    size_t i = 0;
    while (i < boots->used && memcmp(boots->ids[i], entry->boot_id.data, 16) != 0)
        i++;
    if (i == boots->used) {
        assert_true(boots->used++ < BOOTS_MAX);
        memcpy(boots->ids[i], entry->boot_id.data, 16);
        boots->seen[i] = mem_zero(COUNTERS_MAX);
    }
    assert_true(entry->counter > 0 && entry->counter < COUNTERS_MAX);
    assert_int_equal(boots->seen[i][entry->counter], 0);
    boots->seen[i][entry->counter] = 1;
    boots->count[i]++;
    if (entry->counter > boots->highest[i])
        boots->highest[i] = entry->counter;
}

static inline void check_row(const PGresult *rows, int row, struct merkle_frontier *tree,
                             struct boots *boots)
{
    uint8_t hash[32];
    struct slice leaf = cell(rows, row, 1);
    assert_int_equal(number(cell(rows, row, 0)), tree->size);
    merkle_leaf_hash(leaf.data, leaf.len, hash);
    assert_memory_equal(cell(rows, row, 2).data, hash, 32);
    merkle_frontier_append(tree, hash);
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    assert_non_null(entry);
    assert_memory_equal(cell(rows, row, 3).data, entry->id.data, 16);
    assert_int_equal(number(cell(rows, row, 4)), entry->time_us);
    assert_int_equal(number(cell(rows, row, 5)), entry->kind);
    assert_int_equal(number(cell(rows, row, 6)), entry->decision->outcome);
    assert_true(same(cell(rows, row, 7), entry->who->subject));
    assert_true(same(cell(rows, row, 8), entry->who->department));
    assert_true(same(cell(rows, row, 9), entry->what->owner));
    assert_true(same(cell(rows, row, 10), entry->what->dataset));
    assert_true(same(cell(rows, row, 11), entry->why->agreement));
    assert_true(same(cell(rows, row, 12), entry->why->purpose));
    assert_memory_equal(cell(rows, row, 13).data, entry->exchange_id.data, 16);
    count_boot(boots, entry);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
}

static inline PGresult *ask(PGconn *conn, const char *sql)
{
    PGresult *rows = PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, 1);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(conn));
    return rows;
}

static inline void check_salts(PGconn *conn)
{
    PGresult *rows = ask(conn, "SELECT entry_id, wrapped FROM audit.salt LIMIT 100");
    for (int i = 0; i < PQntuples(rows); i++) {
        uint8_t salt[SALT_BYTES];
        struct slice wrapped = cell(rows, i, 1);
        assert_int_equal(
            salt_unwrap(salt_key, cell(rows, i, 0).data, wrapped.data, wrapped.len, salt), 0);
        assert_int_equal(salt[0], salt[31]);
    }
    PQclear(rows);
}

/* Answers the number of entries. */
static inline uint64_t check_log(const struct gateway *gateway)
{
    static struct boots boots;
    struct merkle_frontier tree;
    uint8_t root[32];
    memset(&boots, 0, sizeof boots);
    merkle_frontier_init(&tree);
    PGconn *conn = PQconnectdb(postgres_conninfo(postgres));
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    PGresult *rows = ask(
        conn, "SELECT index, leaf, leaf_hash, id, time_us, kind, outcome, subject, department, "
              "owner, dataset, agreement, purpose, exchange_id FROM audit.entry ORDER BY index");
    for (int i = 0; i < PQntuples(rows); i++)
        check_row(rows, i, &tree, &boots);
    PQclear(rows);
    for (size_t i = 0; i < boots.used; i++) {
        assert_int_equal(boots.count[i], boots.highest[i]);
        free(boots.seen[i]);
    }
    merkle_frontier_root(&tree, root);
    rows =
        ask(conn, "SELECT size, root, (SELECT count(*) FROM audit.entry_id i JOIN audit.entry e "
                  "USING (id, index)), (SELECT sum(count)::int8 FROM audit.batch) FROM audit.head");
    assert_int_equal(number(cell(rows, 0, 0)), tree.size);
    assert_memory_equal(cell(rows, 0, 1).data, root, 32);
    assert_int_equal(number(cell(rows, 0, 2)), tree.size);
    assert_int_equal(number(cell(rows, 0, 3)), tree.size);
    PQclear(rows);
    check_salts(conn);
    PQfinish(conn);

    const struct note_verifier *list[] = { verifier };
    struct checkpoint checkpoint;
    uint32_t verified;
    struct slice note = audit_appender_checkpoint(gateway->appender);
    assert_int_equal(checkpoint_open(note, ORIGIN, list, 1, &checkpoint, &verified, NULL), 0);
    assert_int_equal(checkpoint.size, tree.size);
    assert_memory_equal(checkpoint.root, root, 32);
    return tree.size;
}

/* --- one server for all cases, an empty log for each ----------------------------------------- */

static inline char *read_text(const char *path)
{
    static char text[64 * 1024];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return text;
}

static inline int empty_log(void **state)
{
    (void)state;
    postgres_sql(postgres,
                 "SET client_min_messages = warning; DROP SCHEMA IF EXISTS audit CASCADE");
    postgres_sql(postgres, read_text("schemas/control/002_audit.sql"));
    (void)unlink(state_path);
    return 0;
}

/* The same with the control database beside it, and a quota. */
static inline int empty_log_with_quota(void **state)
{
    (void)empty_log(state);
    postgres_sql(postgres,
                 "SET client_min_messages = warning; DROP SCHEMA IF EXISTS control CASCADE");
    postgres_sql(postgres, read_text("schemas/control/001_control.sql"));
    postgres_sql(postgres, read_text("schemas/control/006_verify.sql"));
    postgres_sql(postgres, read_text("schemas/control/007_quota.sql"));
    postgres_sql(
        postgres,
        "INSERT INTO control.department (name) VALUES ('civil'), ('police');"
        "INSERT INTO control.agreement (id, consumer_department, consumer_system, dataset, "
        "owner_department, fields, purposes, modes, valid_from, valid_until, granted_by, "
        "request_id, digest, daily_quota) VALUES ('agr-1', 'civil', '*', 'police/people', "
        "'police', '{a}', '{p-1}', '{1}', now(), now() + interval '1 day', 'x', 'x', "
        "sha256(''), 4000)");
    return 0;
}

static inline void make_keys(void)
{
    char *pem;
    struct buf text;
    struct err err = ERR_INIT;
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &pem);
    signer = note_signer_new(ORIGIN, slice_of(pem, (size_t)len), slice_of(NULL, 0), &err);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    buf_init(&text, 1024);
    (void)note_signer_ed25519_text(signer, &text);
    verifier = note_verifier_new(buf_cstr(&text), &err);
    buf_fini(&text);
    ids_random(salt_key, sizeof salt_key);
    (void)snprintf(first_path, sizeof first_path, "/tmp/sluice-audit-head-%d", (int)getpid());
    (void)snprintf(second_path, sizeof second_path, "/tmp/sluice-audit-head-%d.b", (int)getpid());
    memcpy(state_path, first_path, sizeof state_path);
}

static inline int start_all(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_LOGFMT, "test");
    make_keys();
    postgres = postgres_new();
    postgres_sql(postgres, "CREATE ROLE sluice_worker NOLOGIN; CREATE ROLE sluice_auditor NOLOGIN; "
                           "CREATE ROLE auditor LOGIN IN ROLE sluice_auditor; "
                           "CREATE ROLE worker LOGIN IN ROLE sluice_worker");
    return 0;
}

static inline int stop_all(void **state)
{
    (void)state;
    postgres_free(&postgres);
    note_signer_free(&signer);
    note_verifier_free(&verifier);
    (void)unlink(state_path);
    return 0;
}

static int64_t wait_until_us;
static inline bool time_over(const struct gateway *gateway)
{
    (void)gateway;
    return clock_monotonic_us() >= wait_until_us;
}

#endif
