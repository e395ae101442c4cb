#include "loopback/loopback.h"

#include <assert.h>
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
#include "base/mem.h"
#include "base/strmap.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/server.h"
#include "services/services.h"
#include "sluice/v1/exchange.pb-c.h"

#define ORIGIN "test.example/audit"

enum { METHODS_MAX = 128, STEPS_MAX = 16, ENTRIES_TEXT_BYTES = 32768 };

/* A method whose steps pass through here, so that a test may cut in at each. */
struct cut_method {
    struct rpc_method method;
    const struct rpc_method *original;
    struct step steps[STEPS_MAX];
};

static struct cut_method methods[METHODS_MAX];
static const struct rpc_method *method_list[METHODS_MAX + 1];
static struct loopback *cutting;
static struct note_signer *signer;
static uint8_t salt_key[SALT_KEY_BYTES];
static char folder[64];

/* --- cutting in -------------------------------------------------------------------------------- */

static const struct step *original_step(const struct call *call)
{
    const struct cut_method *method = list_item(call->method, struct cut_method, method);
    return &method->original->steps[call->step];
}

static void cut_in(struct call *call, const struct step *step, bool resumed)
{
    struct loopback_cut *cut = &cutting->cut;
    if (cut->hook == NULL || cut->resumed != resumed || strcmp(cut->step, step->name) != 0)
        return;
    loopback_hook hook = cut->hook;
    cut->hook = NULL;
    cutting->cuts++;
    hook(cutting, call);
}

static enum step_result cut_run(struct call *call)
{
    const struct step *step = original_step(call);
    enum step_result result = step->run(call);
    cut_in(call, step, false);
    return result;
}

static enum step_result cut_resumed(struct call *call)
{
    const struct step *step = original_step(call);
    enum step_result result = step->resumed != NULL ? step->resumed(call) : STEP_NEXT;
    cut_in(call, step, true);
    return result;
}

static void wrap_methods(void)
{
    size_t count = 0;
    for (const struct rpc_method *const *m = services_methods; *m != NULL; m++) {
        assert(count < METHODS_MAX);
        struct cut_method *wrapped = &methods[count];
        wrapped->method = **m;
        wrapped->original = *m;
        for (size_t i = 0; (*m)->steps[i].name != NULL; i++) {
            assert(i + 1 < STEPS_MAX);
            wrapped->steps[i] = (struct step){ (*m)->steps[i].name, cut_run, cut_resumed };
        }
        wrapped->method.steps = wrapped->steps;
        method_list[count++] = &wrapped->method;
    }
}

/* --- what all cases share ---------------------------------------------------------------------- */

static char *read_text(const char *path)
{
    static char text[64 * 1024];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return text;
}

static void write_key(const char *name)
{
    char path[128];
    uint8_t key[SALT_KEY_BYTES];
    ids_random(key, sizeof key);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(key, 1, sizeof key, file), sizeof key);
    (void)fclose(file);
}

static void make_keys(void)
{
    char *pem;
    struct err err = ERR_INIT;
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &pem);
    signer = note_signer_new(ORIGIN, slice_of(pem, (size_t)len), slice_of(NULL, 0), &err);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    ids_random(salt_key, sizeof salt_key);
    write_key("person.key");
    write_key("token.key");
}

static void make_tables(struct postgres *postgres)
{
    postgres_sql(postgres,
                 "CREATE ROLE sluice_worker NOLOGIN; CREATE ROLE sluice_auditor NOLOGIN; "
                 "CREATE ROLE worker LOGIN IN ROLE sluice_worker; "
                 "CREATE ROLE auditor LOGIN IN ROLE sluice_auditor; CREATE ROLE reader LOGIN");
    postgres_sql(postgres, read_text("schemas/control/001_control.sql"));
    postgres_sql(postgres, read_text("schemas/control/002_audit.sql"));
    postgres_sql(postgres, read_text("schemas/control/004_schema_bundle.sql"));
    postgres_sql(postgres, read_text("schemas/control/006_verify.sql"));
    postgres_sql(postgres, read_text("schemas/control/007_quota.sql"));
    postgres_sql(postgres, read_text("schemas/control/010_application.sql"));
    postgres_sql(postgres, read_text("schemas/control/014_agreement_masks.sql"));
    postgres_sql(postgres, read_text("schemas/control/015_catalogue.sql"));
    postgres_sql(postgres, read_text("schemas/control/017_officer_roles.sql"));
    postgres_sql(postgres, "INSERT INTO control.department (name) VALUES ('health'), ('registry')");
    /* A county has 600 towns at most. 110101000 is in good order, 110101001 has no name. */
    postgres_sql(postgres, "CREATE TABLE towns (code text COLLATE \"C\" PRIMARY KEY, name text);"
                           "INSERT INTO towns SELECT (110101000 + n / 600 * 1000 + n % 600)::text, "
                           "CASE WHEN n <> 1 THEN "
                           "rpad('town ' || n, 240, '.') END FROM generate_series(0, 19999) n;"
                           "GRANT SELECT ON towns TO reader");
}

int loopback_start(void **state)
{
    struct loopback *world = mem_zero(sizeof *world);
    log_configure(getenv("LOOPBACK_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_LOGFMT, "test");
    (void)snprintf(folder, sizeof folder, "/tmp/sluice-loopback-XXXXXX");
    assert_non_null(mkdtemp(folder));
    world->postgres = postgres_new();
    make_keys();
    make_tables(world->postgres);
    wrap_methods();
    cutting = world;
    *state = world;
    return 0;
}

static void remove_file(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
}

int loopback_stop(void **state)
{
    struct loopback *world = *state;
    postgres_free(&world->postgres);
    note_signer_free(&signer);
    remove_file("person.key");
    remove_file("token.key");
    remove_file("head");
    (void)rmdir(folder);
    free(world);
    return 0;
}

/* --- waiting ----------------------------------------------------------------------------------- */

static void on_patience(void *arg)
{
    (void)arg;
    fail_msg("it did not get there in time");
}

static void on_tick(void *arg)
{
    struct loopback *world = arg;
    if (world->until(world))
        loop_stop(world->loop);
    else
        loop_timer_start(&world->tick, 1);
}

void loopback_until(struct loopback *world, bool (*until)(struct loopback *world))
{
    world->until = until;
    loop_timer_start(&world->patience, LOOPBACK_PATIENCE_MS);
    loop_timer_start(&world->tick, 0);
    loop_run(world->loop);
    loop_timer_cancel(&world->patience);
}

static bool all_settled(struct loopback *world)
{
    struct rpc_stats stats;
    struct audit_client_stats audit;
    rpc_server_stats(world->systems, &stats);
    audit_client_stats(world->gateway.audit, &audit);
    return stats.calls == 0 && audit.unresolved == 0 && audit_appender_idle(world->appender);
}

static bool call_settled(struct loopback *world)
{
    return (world->call == NULL || world->call->closed || wire_ended(world->wire)) &&
           all_settled(world);
}

void loopback_settle(struct loopback *world)
{
    loopback_until(world, call_settled);
}

/* --- a gateway --------------------------------------------------------------------------------- */

static void to_auditor(void *arg, const uint8_t *data, size_t len)
{
    struct loopback *world = arg;
    Sluice__Internal__IpcMessage *message = sluice__internal__ipc_message__unpack(NULL, len, data);
    assert_non_null(message);
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPEND)
        audit_appender_receive(world->appender, world, message->append);
    sluice__internal__ipc_message__free_unpacked(message, NULL);
}

static void to_worker(void *arg, void *worker, const uint8_t *data, size_t len)
{
    (void)worker;
    struct loopback *world = arg;
    Sluice__Internal__IpcMessage *message = sluice__internal__ipc_message__unpack(NULL, len, data);
    assert_non_null(message);
    audit_client_on_message(world->gateway.audit, message);
    sluice__internal__ipc_message__free_unpacked(message, NULL);
}

static void on_audit_state(void *arg, bool writable, const char *reason)
{
    struct loopback *world = arg;
    Sluice__Internal__AuditState state = SLUICE__INTERNAL__AUDIT_STATE__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    state.writable = writable;
    state.reason = (char *)(uintptr_t)reason;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_AUDIT_STATE;
    message.audit_state = &state;
    audit_client_on_message(world->gateway.audit, &message);
}

static void on_authz_changed(void *arg)
{
    struct loopback *world = arg;
    if (world->systems != NULL)
        rpc_server_sweep(world->systems);
}

static char *conninfo_of(struct loopback *world, const char *role)
{
    return mem_format("host=%s port=%d user=%s dbname=postgres",
                      postgres_socket_dir(world->postgres), postgres_port(world->postgres), role);
}

static void make_conf(struct loopback *world)
{
    const char *out = getenv("O");
    struct conf *conf = &world->conf;
    *conf = (struct conf){
        .control_database = conninfo_of(world, "worker"),
        .audit_person_key = mem_format("%s/person.key", folder),
        .token_key = mem_format("%s/token.key", folder),
        .schemas_directory = mem_strdup("tests/loopback/schemas"),
        .schemas_descriptors = mem_format("%s/schemas/canonical.pb", out != NULL ? out : "build"),
        .lookup_timeout_ms = 1000,
        .streams_per_source = 8,
        .sources = &world->source,
        .source_count = 1,
    };
    world->source = (struct conf_source){ .name = mem_strdup("registry"),
                                          .database = conninfo_of(world, "reader"),
                                          .shared_connections = 1,
                                          .leased_connections = 3 };
}

static void free_conf(struct loopback *world)
{
    free(world->conf.control_database);
    free(world->conf.audit_person_key);
    free(world->conf.token_key);
    free(world->conf.schemas_directory);
    free(world->conf.schemas_descriptors);
    free(world->source.name);
    free(world->source.database);
}

static void open_audit(struct loopback *world)
{
    struct err err = ERR_INIT;
    char *conninfo = conninfo_of(world, "auditor");
    char *head = mem_format("%s/head", folder);
    struct db_source_options source = { .name = "audit",
                                        .conninfo = conninfo,
                                        .leased_connections_max = 1,
                                        .connect_timeout_ms = 2000,
                                        .shared_statement_timeout_ms = 1000,
                                        .shared_in_flight_max = 1 };
    struct audit_appender_options appender = { .origin = ORIGIN,
                                               .signer = signer,
                                               .salt_key = salt_key,
                                               .state_path = head,
                                               .send = to_worker,
                                               .state = on_audit_state,
                                               .arg = world };
    struct audit_client_options client = {
        .origin = ORIGIN, .instance = "test", .send = to_auditor, .arg = world
    };
    world->audit_source = db_source_new(world->loop, &source);
    world->gateway.audit = audit_client_new(world->loop, &client);
    world->appender = audit_appender_new(world->loop, world->audit_source, &appender, &err);
    assert_non_null(world->appender);
    audit_client_attached(world->gateway.audit);
    free(conninfo);
    free(head);
}

static void open_server(struct loopback *world)
{
    struct rpc_server_options options = {
        .name = "systems",
        .listener = RPC_SYSTEMS,
        .methods = method_list,
        .context = &world->gateway,
        .trust_domain = "test.example",
        .api_types = rpc_api_types(),
        .record_types = schema_bundle_types(world->gateway.bundle),
        .request_bytes_max = 1024 * 1024,
        .deadline_default_ms = 5000,
        .deadline_max_ms = 60000,
        .stream_ms_max = 600000,
        .connection_age_max_ms = 3600000,
        .connections_max = 100,
    };
    world->listener = wire_listener();
    world->systems = rpc_server_new(world->loop, world->listener, &options);
}

static bool ready(struct loopback *world)
{
    const struct gateway_dataset *dataset = gateway_dataset_find(&world->gateway, LOOPBACK_TOWNS);
    return authz_ready(world->gateway.authz) && dataset != NULL && dataset->ready &&
           audit_client_writable(world->gateway.audit, NULL);
}

/* One agreement for each case, since a revoked one stays revoked. */
static void grant(struct loopback *world)
{
    static int number;
    number++;
    char *sql = mem_format(
        "UPDATE control.agreement SET revoked_by = 'test', revoked_at = now(), "
        "revoke_reason = 'next case', epoch = control.next_epoch() WHERE revoked_at IS NULL;"
        "INSERT INTO control.agreement (id, consumer_department, consumer_system, dataset, "
        "owner_department, fields, purposes, modes, valid_from, valid_until, granted_by, "
        "request_id, digest) VALUES ('agr-%d', 'health', '*', '" LOOPBACK_TOWNS
        "', 'registry', '{code,name,level}', '{" LOOPBACK_PURPOSE "}', '{1,2}', "
        "now() - interval '1 day', now() + interval '1 day', 'test', 'r-%d', sha256('x'))",
        number, number);
    postgres_sql(world->postgres, sql);
    free(sql);
}

void loopback_rewire(struct loopback *world, const struct wire_options *options)
{
    wire_free(&world->wire);
    world->call = NULL;
    world->wire = wire_open(world->loop, world->listener, options);
}

static uint64_t log_size(struct loopback *world)
{
    char *size = postgres_value(world->postgres, "SELECT count(*) FROM audit.entry");
    uint64_t count = strtoull(size, NULL, 10);
    free(size);
    return count;
}

int loopback_open(void **state)
{
    static const struct wire_options options = { .uri = LOOPBACK_SUBJECT, .window_bytes = 65535 };
    struct loopback *world = *state;
    struct err err = ERR_INIT;
    grant(world);
    memset(&world->gateway, 0, sizeof world->gateway);
    world->loop = loop_new();
    loop_timer_init(&world->patience, world->loop, on_patience, world);
    loop_timer_init(&world->tick, world->loop, on_tick, world);
    make_conf(world);
    struct schema_bundle *bundle =
        schema_bundle_load(world->conf.schemas_directory, world->conf.schemas_descriptors, &err);
    if (bundle == NULL || gateway_open(&world->gateway, world->loop, &world->conf, &err) < 0 ||
        gateway_serve(&world->gateway, bundle, &err) < 0)
        fail_msg("%s; %s", err.text, err.detail);
    world->gateway.authz = authz_new(world->loop, world->gateway.control, world->gateway.bundle,
                                     on_authz_changed, world);
    open_audit(world);
    open_server(world);
    world->cut = (struct loopback_cut){ 0 };
    world->cuts = 0;
    loopback_rewire(world, &options);
    loopback_until(world, ready);
    world->entries_before = log_size(world);
    return 0;
}

int loopback_close(void **state)
{
    struct loopback *world = *state;
    wire_free(&world->wire);
    world->call = NULL;
    rpc_server_free(&world->systems);
    audit_appender_free(&world->appender);
    gateway_fini(&world->gateway);
    db_source_free(&world->audit_source);
    loop_timer_fini(&world->patience);
    loop_timer_fini(&world->tick);
    loop_free(&world->loop);
    wire_listener_free(world->listener);
    free_conf(world);
    return 0;
}

void loopback_sql(struct loopback *world, const char *sql)
{
    postgres_sql(world->postgres, sql);
}

void loopback_revoke(struct loopback *world)
{
    loopback_sql(world, "UPDATE control.agreement SET revoked_by = 'test', revoked_at = now(), "
                        "revoke_reason = 'test', epoch = control.next_epoch() "
                        "WHERE revoked_at IS NULL");
}

/* --- requests ---------------------------------------------------------------------------------- */

static char *text_or(const char *text, const char *otherwise)
{
    return (char *)(uintptr_t)(text != NULL ? text : otherwise);
}

static void pack(const ProtobufCMessage *message, struct buf *out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    assert_int_equal(buf_reserve(out, len + 1), 0);
    out->len += protobuf_c_message_pack(message, out->data + out->len);
}

void loopback_lookup_bytes(const struct loopback_ask *ask, struct buf *out)
{
    Sluice__V1__LookupRequest request = SLUICE__V1__LOOKUP_REQUEST__INIT;
    request.dataset = text_or(ask->dataset, LOOPBACK_TOWNS);
    request.key = text_or(ask->key, "110101000");
    request.purpose = text_or(ask->purpose, LOOPBACK_PURPOSE);
    request.request_id = text_or(ask->request_id, "");
    pack(&request.base, out);
}

void loopback_query_bytes(const struct loopback_ask *ask, struct buf *out)
{
    Sluice__V1__QueryRequest request = SLUICE__V1__QUERY_REQUEST__INIT;
    request.dataset = text_or(ask->dataset, LOOPBACK_TOWNS);
    request.filter = text_or(ask->filter, "");
    request.purpose = text_or(ask->purpose, LOOPBACK_PURPOSE);
    request.request_id = text_or(ask->request_id, "");
    request.page_size = ask->page_size;
    pack(&request.base, out);
}

void loopback_batch_bytes(size_t count, struct buf *out)
{
    Sluice__V1__BatchLookupRequest request = SLUICE__V1__BATCH_LOOKUP_REQUEST__INIT;
    char(*keys)[10] = mem_array(count, sizeof *keys);
    char **list = mem_array(count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "%u",
                       110101000U + (unsigned)(i / 600 * 1000 + i % 600) % 100000U);
        list[i] = keys[i];
    }
    request.dataset = text_or(NULL, LOOPBACK_TOWNS);
    request.purpose = text_or(NULL, LOOPBACK_PURPOSE);
    request.n_keys = count;
    request.keys = list;
    pack(&request.base, out);
    free(list);
    free(keys);
}

void loopback_envelope(const struct buf *message, struct buf *out)
{
    uint8_t head[5] = { 0, (uint8_t)(message->len >> 24), (uint8_t)(message->len >> 16),
                        (uint8_t)(message->len >> 8), (uint8_t)message->len };
    (void)buf_append(out, head, sizeof head);
    (void)buf_append(out, message->data, message->len);
}

struct wire_call *loopback_call(struct loopback *world, const char *path, const char *content_type,
                                const char *const *headers, const void *body, size_t len)
{
    world->call = wire_request(world->wire, path, content_type, headers);
    wire_send(world->call, body, len, true);
    loopback_settle(world);
    return world->call;
}

struct wire_call *loopback_lookup(struct loopback *world, const char *key)
{
    struct loopback_ask ask = { .key = key };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_lookup_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    struct wire_call *call =
        loopback_call(world, LOOPBACK_LOOKUP, "application/grpc", NULL, body.data, body.len);
    buf_fini(&message);
    buf_fini(&body);
    return call;
}

/* --- answers ----------------------------------------------------------------------------------- */

/* Finds "name":"value" in what Connect says of an error. */
static const char *connect_text(const struct wire_call *call, const char *name)
{
    static char value[128];
    char *pattern = mem_format("\"%s\":\"", name);
    const char *found = memmem(call->body.data, call->body.len, pattern, strlen(pattern));
    value[0] = '\0';
    if (found != NULL) {
        const char *text = found + strlen(pattern);
        size_t left = call->body.len - (size_t)((const uint8_t *)text - call->body.data);
        const char *end = memchr(text, '"', left);
        if (end != NULL)
            (void)snprintf(value, sizeof value, "%.*s", (int)(end - text), text);
    }
    free(pattern);
    return value;
}

int loopback_status(const struct wire_call *call)
{
    char text[64];
    if (wire_header(call, "grpc-status", text, sizeof text)[0] != '\0')
        return (int)strtol(text, NULL, 10);
    const char *code = connect_text(call, "code");
    for (int i = 1; code[0] != '\0' && i < ERR_WRITE_UNCERTAIN; i++)
        if (strcmp(err_connect_code((enum err_code)i), code) == 0)
            return err_grpc_status((enum err_code)i);
    bool good = strcmp(wire_header(call, ":status", text, sizeof text), "200") == 0;
    return good && call->ended ? 0 : -1;
}

const char *loopback_reason(const struct wire_call *call)
{
    static char reason[128];
    char text[2048];
    uint8_t bytes[2048];
    wire_header(call, "grpc-status-details-bin", text, sizeof text);
    if (text[0] == '\0')
        return connect_text(call, "reason");
    long len = base64_decode(text, strlen(text), bytes);
    assert_true(len > 0);
    Google__Rpc__Status *status = google__rpc__status__unpack(NULL, (size_t)len, bytes);
    assert_non_null(status);
    assert_int_equal(status->n_details, 1);
    Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(
        NULL, status->details[0]->value.len, status->details[0]->value.data);
    assert_non_null(info);
    (void)snprintf(reason, sizeof reason, "%s", info->reason);
    google__rpc__error_info__free_unpacked(info, NULL);
    google__rpc__status__free_unpacked(status, NULL);
    return reason;
}

static void append_entry(struct buf *out, const uint8_t *leaf, size_t len)
{
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, len, leaf);
    assert_non_null(entry);
    const ProtobufCEnumValue *kind = protobuf_c_enum_descriptor_get_value(
        &sluice__v1__audit_entry__kind__descriptor, (int)entry->kind);
    const ProtobufCEnumValue *outcome = protobuf_c_enum_descriptor_get_value(
        &sluice__v1__audit_entry__outcome__descriptor, (int)entry->decision->outcome);
    (void)buf_append_format(out, "%s%s %s%s%s", out->len > 0 ? ", " : "", kind->name, outcome->name,
                            entry->decision->reason[0] != '\0' ? " " : "", entry->decision->reason);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
}

const char *loopback_entries(struct loopback *world)
{
    static char kept[ENTRIES_TEXT_BYTES];
    struct buf text;
    buf_init(&text, ENTRIES_TEXT_BYTES);
    char *sql = mem_format("SELECT leaf FROM audit.entry WHERE index >= %llu ORDER BY index",
                           (unsigned long long)world->entries_before);
    PGconn *conn = PQconnectdb(postgres_conninfo(world->postgres));
    PGresult *rows = PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, 1);
    assert_int_equal(PQresultStatus(rows), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(rows); i++)
        append_entry(&text, (const uint8_t *)PQgetvalue(rows, i, 0),
                     (size_t)PQgetlength(rows, i, 0));
    world->entries_before += (uint64_t)PQntuples(rows);
    PQclear(rows);
    PQfinish(conn);
    free(sql);
    (void)snprintf(kept, sizeof kept, "%.*s", (int)text.len,
                   text.data != NULL ? (const char *)text.data : "");
    buf_fini(&text);
    return kept;
}
