/* sluice doctor: what stands between this machine and an answered call; each fault names its cure.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/identity.h"
#include "cli/remote.h"
#include "cli/text.h"

enum {
    EXPIRY_WARN_SECONDS = 30 * 24 * 60 * 60,
    SKEW_WARN_SECONDS = 2, /* the Date header has whole seconds */
    SKEW_FAIL_SECONDS =
        60, /* beyond it, certificates and agreements begin and end at wrong times */
    READYZ_BYTES_MAX = 1024 * 1024,
    READYZ_TIMEOUT_MS = 5000,
};

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL, FINDING_SKIP };

static const char *const finding_names[] = { "ok", "warn", "fail", "skip" };

struct doctor {
    struct cli *cli;
    struct output *output;
    struct connect_target target;
    unsigned faults;
    bool table;
};

/* --- findings ----------------------------------------------------------------------------------
 */
static void find(struct doctor *doctor, enum finding finding, const char *check, const char *detail,
                 const char *fix)
{
    if (finding == FINDING_FAIL)
        doctor->faults++;
    if (doctor->table) {
        char *safe = text_safe(detail), *name = text_safe(check);
        printf("%-4s  %-22s  %s\n", finding_names[finding], name, safe);
        if (fix != NULL)
            printf("      %-22s  %s %s\n", "", message(MSG_DOCTOR_FIX), fix);
        fflush(stdout);
        free(safe);
        free(name);
        return;
    }
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "check", check, "state", finding_names[finding],
                            "detail", detail, "fix", fix != NULL ? fix : "");
    (void)output_row(doctor->output, row); /* cli_output_end reports a write that failed */
    json_decref(row);
}

static void find_message(struct doctor *doctor, enum finding finding, const char *check,
                         enum message_id detail, const char *argument, enum message_id fix)
{
    char *text = message_fill(detail, &argument, 1);

    find(doctor, finding, check, text, fix == MSG_NONE ? NULL : message(fix));
    free(text);
}

/* --- this machine -------------------------------------------------------------------------------
 */
static void check_validity(struct doctor *doctor, const char *check,
                           const struct identity *identity, enum message_id fix)
{
    long long now = (long long)time(NULL), left = identity->not_after - now;
    char until[IDENTITY_TIME_BYTES];

    identity_time(identity->not_after, until);
    if (identity->not_before > now) {
        identity_time(identity->not_before, until);
        find_message(doctor, FINDING_FAIL, check, MSG_CERT_NOT_YET, until, MSG_FIX_CLOCK);
    } else if (left <= 0) {
        find_message(doctor, FINDING_FAIL, check, MSG_CERT_EXPIRED, until, fix);
    } else if (left < EXPIRY_WARN_SECONDS) {
        find_message(doctor, FINDING_WARN, check, MSG_CERT_SOON, until, fix);
    } else {
        find_message(doctor, FINDING_OK, check, MSG_CERT_VALID, until, MSG_NONE);
    }
}

static void check_own_certificate(struct doctor *doctor)
{
    const struct connect_target *t = &doctor->target;
    struct identity identity;
    struct stat key;

    if (!identity_from_file(t->cert, &identity)) {
        find_message(doctor, FINDING_FAIL, "certificate", MSG_CERT_UNREADABLE, t->cert,
                     MSG_FIX_CERT);
        return;
    }
    if (identity.uri[0] == '\0')
        find_message(doctor, FINDING_FAIL, "identity", MSG_IDENTITY_NONE, t->cert,
                     MSG_FIX_IDENTITY);
    else
        find(doctor, FINDING_OK, "identity", identity.uri, NULL);
    check_validity(doctor, "certificate", &identity, MSG_FIX_CERT);
    if (!identity_key_matches(t->cert, t->key))
        find_message(doctor, FINDING_FAIL, "key", MSG_KEY_MISMATCH, t->key, MSG_FIX_KEY);
    else if (stat(t->key, &key) == 0 && (key.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        find_message(doctor, FINDING_WARN, "key", MSG_KEY_OPEN, t->key, MSG_FIX_KEY_MODE);
    else
        find_message(doctor, FINDING_OK, "key", MSG_KEY_GOOD, t->key, MSG_NONE);
}

static void check_authority(struct doctor *doctor)
{
    struct identity identity;

    if (identity_from_file(doctor->target.ca, &identity))
        check_validity(doctor, "authority", &identity, MSG_FIX_CA);
    else
        find_message(doctor, FINDING_FAIL, "authority", MSG_CERT_UNREADABLE, doctor->target.ca,
                     MSG_FIX_CA);
}

/* --- the gateway --------------------------------------------------------------------------------
 */
static void check_clock(struct doctor *doctor, const struct connect_peer *peer)
{
    long long skew = peer->asked - peer->date;
    char text[32];

    if (peer->date < 0) {
        find_message(doctor, FINDING_SKIP, "clock", MSG_CLOCK_UNKNOWN, "", MSG_NONE);
        return;
    }
    if (skew < 0)
        skew = -skew;
    snprintf(text, sizeof text, "%lld", skew);
    if (skew > SKEW_FAIL_SECONDS)
        find_message(doctor, FINDING_FAIL, "clock", MSG_CLOCK_SKEW, text, MSG_FIX_CLOCK);
    else if (skew > SKEW_WARN_SECONDS)
        find_message(doctor, FINDING_WARN, "clock", MSG_CLOCK_SKEW, text, MSG_FIX_CLOCK);
    else
        find_message(doctor, FINDING_OK, "clock", MSG_CLOCK_GOOD, "", MSG_NONE);
}

static void check_server_certificate(struct doctor *doctor, const struct connect_peer *peer)
{
    struct identity identity;

    if (peer->certificate != NULL && identity_from_pem(peer->certificate, &identity))
        check_validity(doctor, "server certificate", &identity, MSG_FIX_SERVER_CERT);
}

static void check_health(struct doctor *doctor, const json_t *answer, const struct problem *problem)
{
    const char *status = remote_text(answer, "status");

    if (answer != NULL && strcmp(status, "SERVING") == 0)
        find(doctor, FINDING_OK, "health", status, NULL);
    else if (answer != NULL)
        find_message(doctor, FINDING_FAIL, "health", MSG_HEALTH_NOT_SERVING, status,
                     MSG_FIX_HEALTH);
    else
        find(doctor, FINDING_FAIL, "health", problem->text, message(MSG_FIX_HEALTH));
}

static void check_gateway(struct doctor *doctor)
{
    struct problem problem = { 0 };
    struct connect_client *client = connect_client_open(&doctor->target, &problem);
    struct connect_peer peer;
    json_t *answer = NULL;

    if (client == NULL) {
        find(doctor, FINDING_FAIL, "connection", problem.text, NULL);
        return;
    }
    (void)connect_unary(client, "grpc.health.v1.Health/Check", json_object(), &answer, &problem);
    if (answer == NULL && problem.code[0] == '\0') { /* the way, not the gateway's answer */
        find(doctor, FINDING_FAIL, "connection", problem.text, NULL);
        connect_client_close(&client);
        return;
    }
    connect_peer_get(client, &peer);
    find_message(doctor, FINDING_OK, "connection", MSG_CONNECTED, peer.http, MSG_NONE);
    check_server_certificate(doctor, &peer);
    check_clock(doctor, &peer);
    check_health(doctor, answer, &problem);
    free(peer.certificate);
    json_decref(answer);
    connect_client_close(&client);
}

/* --- databases and audit, from the ops listener --------------------------------------------------
 */
static size_t read_body(char *data, size_t size, size_t count, void *context)
{
    return buf_append(context, data, size * count) == 0 ? size * count : 0;
}

/* {"ready": bool, "checks": {name: {"ready": bool, "reason": text}}}: the control database, the
 * audit log and each source by its name. */
static void show_checks(struct doctor *doctor, json_t *checks)
{
    const char *name;
    json_t *item;

    json_object_foreach(checks, name, item)
    {
        enum message_id fix = MSG_FIX_DATABASE;

        if (strcmp(name, "audit_log") == 0)
            fix = MSG_FIX_AUDIT;
        else if (strcmp(name, "control_database") == 0)
            fix = MSG_FIX_CONTROL;
        if (json_is_true(json_object_get(item, "ready")))
            find(doctor, FINDING_OK, name, "", NULL);
        else
            find(doctor, FINDING_FAIL, name, remote_text(item, "reason"), message(fix));
    }
}

static void show_readyz(struct doctor *doctor, long status, const struct buf *body)
{
    json_t *answer = json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, NULL);
    char number[16];

    snprintf(number, sizeof number, "%ld", status);
    show_checks(doctor, json_object_get(answer, "checks"));
    if (status == 200)
        find(doctor, FINDING_OK, "readyz", "200", NULL);
    else
        find_message(doctor, FINDING_FAIL, "readyz", MSG_READYZ_STATUS, number, MSG_FIX_READYZ);
    json_decref(answer);
}

static void check_readyz(struct doctor *doctor)
{
    const char *endpoint = cli_environment("SLUICE_OPS_ENDPOINT");
    struct buf body;
    CURL *curl;
    char *url;
    long status = 0;

    if (endpoint == NULL) {
        find_message(doctor, FINDING_SKIP, "readyz", MSG_READYZ_SKIPPED, "", MSG_NONE);
        return;
    }
    url = strstr(endpoint, "://") != NULL ? mem_format("%s/readyz", endpoint)
                                          : mem_format("http://%s/readyz", endpoint);
    curl = curl_easy_init();
    if (curl == NULL)
        abort(); /* libcurl has no memory */
    buf_init(&body, READYZ_BYTES_MAX);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the ops listener is on loopback */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)READYZ_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, read_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK)
        show_readyz(doctor, status, &body);
    else
        find_message(doctor, FINDING_FAIL, "readyz", MSG_READYZ_UNREACHABLE, url, MSG_FIX_READYZ);
    buf_fini(&body);
    curl_easy_cleanup(curl);
    free(url);
}

int doctor_run(struct cli *cli)
{
    struct doctor doctor = { .cli = cli, .table = cli->format == OUTPUT_TABLE };
    static const char *const columns[] = { "check", "state", "detail", "fix" };
    char count[16];
    int status;

    if (connect_target_get(cli, &doctor.target) != 0)
        return EXIT_USAGE;
    if (!doctor.table) {
        doctor.output = cli_output(cli);
        output_set_columns(doctor.output, columns, 4);
    }
    check_authority(&doctor);
    check_own_certificate(&doctor);
    check_gateway(&doctor);
    check_readyz(&doctor);
    snprintf(count, sizeof count, "%u", doctor.faults);
    status = doctor.faults == 0 ? EXIT_OK : EXIT_FAILED;
    if (doctor.output != NULL) {
        int written = cli_output_end(&doctor.output, EXIT_OK); /* findings are the answer, whole */
        status = written != EXIT_OK ? written : status;
    }
    NOTE(doctor.faults == 0 ? MSG_DOCTOR_GOOD : MSG_DOCTOR_FAULTS, count);
    return status;
}
