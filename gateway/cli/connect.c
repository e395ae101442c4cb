#include "cli/connect.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    CALL_TIMEOUT_SECONDS = 30,
    CALL_TIMEOUT_SECONDS_MAX = 3600,
    STREAM_ERROR_BYTES_MAX = 64 * 1024, /* an answer that turned out to be no stream */
};

struct connect_client {
    CURL *curl;
    char *url;
    struct connect_target target;
    char curl_text[CURL_ERROR_SIZE];
    long long date;
};

/* --- target ---------------------------------------------------------------------------------- */
static const char *target_part(const struct cli *cli, enum cli_option option, const char *officer,
                               const char *variable)
{
    const char *value = cli_option_text(cli, option, NULL);

    if (value == NULL && cli->command->officer && officer != NULL)
        value = cli_environment(officer);
    return value != NULL ? value : cli_environment(variable);
}

int connect_target_get(const struct cli *cli, struct connect_target *target_r)
{
    struct connect_target *t = target_r;
    long seconds;

    memset(t, 0, sizeof *t);
    if (!cli_option_number(cli, OPT_TIMEOUT, 1, CALL_TIMEOUT_SECONDS_MAX, CALL_TIMEOUT_SECONDS,
                           &seconds))
        return -1;
    t->timeout_ms = seconds * 1000;
    t->stream_deadline = cli_option_set(cli, OPT_TIMEOUT);
    t->endpoint = target_part(cli, OPT_ENDPOINT, "SLUICE_OFFICER_ENDPOINT", "SLUICE_ENDPOINT");
    t->ca = target_part(cli, OPT_CA, NULL, "SLUICE_CA");
    t->cert = target_part(cli, OPT_CERT, "SLUICE_OFFICER_CERT", "SLUICE_CERT");
    t->key = target_part(cli, OPT_KEY, "SLUICE_OFFICER_KEY", "SLUICE_KEY");
    if (t->endpoint == NULL)
        COMPLAIN(MSG_NO_ENDPOINT);
    else if (t->ca == NULL)
        COMPLAIN(MSG_NO_CA);
    else if (t->cert == NULL || t->key == NULL)
        COMPLAIN(cli->command->officer ? MSG_NO_OFFICER_CERT : MSG_NO_CERT);
    else
        return 0;
    return -1;
}

char *connect_url(const char *endpoint)
{
    const char *scheme = strstr(endpoint, "://");
    char *url;
    size_t len;

    if (scheme == NULL)
        url = mem_format("https://%s", endpoint);
    else if (strncmp(endpoint, "https://", 8) == 0)
        url = mem_strdup(endpoint);
    else
        return NULL;
    len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        url[--len] = '\0';
    return url;
}

/* --- client ---------------------------------------------------------------------------------- */
static int check_readable(const char *path, struct problem *problem)
{
    if (access(path, R_OK) == 0)
        return 0;
    char *text = message_fill(MSG_FILE_UNREADABLE, (const char *const[]){ path }, 1);
    problem_set(problem, EXIT_USAGE, text);
    free(text);
    return -1;
}

static size_t read_header(char *data, size_t size, size_t count, void *context)
{
    struct connect_client *client = context;
    size_t len = size * count;
    char value[64];

    if (len > 5 && len < sizeof value && strncasecmp(data, "date:", 5) == 0) {
        memcpy(value, data + 5, len - 5);
        value[len - 5] = '\0';
        client->date = (long long)curl_getdate(value, NULL);
    }
    return len;
}

struct connect_client *connect_client_open(const struct connect_target *target,
                                           struct problem *problem)
{
    char *url = connect_url(target->endpoint);
    struct connect_client *client;

    if (url == NULL) {
        problem_set(problem, EXIT_USAGE, message(MSG_ENDPOINT_SCHEME));
        return NULL;
    }
    if (check_readable(target->ca, problem) != 0 || check_readable(target->cert, problem) != 0 ||
        check_readable(target->key, problem) != 0) {
        free(url);
        return NULL;
    }
    client = mem_zero(sizeof *client);
    client->url = url;
    client->target = *target;
    client->date = -1;
    client->curl = curl_easy_init();
    if (client->curl == NULL)
        abort(); /* libcurl has no memory */
    return client;
}

void connect_client_close(struct connect_client **client)
{
    if (*client == NULL)
        return;
    curl_easy_cleanup((*client)->curl);
    free((*client)->url);
    free(*client);
    *client = NULL;
}

/* Everything a call needs but its body, headers and callbacks. */
static void prepare(struct connect_client *client, const char *method, char **url_r)
{
    CURL *curl = client->curl;
    const struct connect_target *t = &client->target;

    *url_r = mem_format("%s/%s", client->url, method);
    client->curl_text[0] = '\0';
    client->date = -1;
    curl_easy_reset(curl); /* keeps connections */
    curl_easy_setopt(curl, CURLOPT_URL, *url_r);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(curl, CURLOPT_CAINFO, t->ca);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* only the authority that was named */
    curl_easy_setopt(curl, CURLOPT_SSLCERT, t->cert);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, t->key);
    curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->curl_text);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, read_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, client);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
}

/* `grace_ms` behind the deadline lets the gateway's own answer win over ours. */
static struct curl_slist *call_headers(struct connect_client *client, const char *type,
                                       bool deadline)
{
    enum { grace_ms = 1000 };
    struct curl_slist *headers = curl_slist_append(NULL, "Connect-Protocol-Version: 1");
    char text[64];

    snprintf(text, sizeof text, "Content-Type: %s", type);
    headers = curl_slist_append(headers, text);
    headers = curl_slist_append(headers, "Expect:");
    if (deadline) {
        snprintf(text, sizeof text, "Connect-Timeout-Ms: %ld", client->target.timeout_ms);
        headers = curl_slist_append(headers, text);
        curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, client->target.timeout_ms + grace_ms);
    }
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    return headers;
}

/* In TLS 1.3 the server judges our certificate after the handshake looks done to us, and its alert
 * may be lost behind our request. So ask once more with nothing but a handshake, and listen. */
static bool certificate_refused(const struct connect_client *client)
{
    enum { listen_ms = 1000 };
    struct connect_client probe = { .curl = curl_easy_init(),
                                    .url = client->url,
                                    .target = client->target };
    curl_socket_t descriptor = CURL_SOCKET_BAD;
    char *url, byte;
    size_t got;
    CURLcode heard = CURLE_AGAIN;

    if (probe.curl == NULL)
        return false;
    prepare(&probe, "", &url);
    curl_easy_setopt(probe.curl, CURLOPT_CONNECT_ONLY, 1L);
    if (curl_easy_perform(probe.curl) == CURLE_OK &&
        curl_easy_getinfo(probe.curl, CURLINFO_ACTIVESOCKET, &descriptor) == CURLE_OK &&
        descriptor != CURL_SOCKET_BAD) {
        struct pollfd wait = { .fd = descriptor, .events = POLLIN };
        if (poll(&wait, 1, listen_ms) == 1)
            heard = curl_easy_recv(probe.curl, &byte, 1, &got);
    }
    curl_easy_cleanup(probe.curl);
    free(url);
    return heard == CURLE_RECV_ERROR; /* an alert; a gateway that is content waits or says hello */
}

static bool cut_before_an_answer(struct connect_client *client, CURLcode code)
{
    long status = 0;

    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 0 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
                           code == CURLE_GOT_NOTHING || code == CURLE_HTTP2);
}

/* What to do about trouble on the way, by its kind. */
static void problem_from_curl(struct connect_client *client, CURLcode code, struct problem *problem)
{
    const char *said = client->curl_text[0] != '\0' ? client->curl_text : curl_easy_strerror(code);
    enum message_id id = MSG_CURL_OTHER;
    int status = EXIT_UNAVAILABLE;

    /* The list of libcurl's codes is long and grows; the named ones have a cure of their own. */
    if (code == CURLE_COULDNT_RESOLVE_HOST) {
        id = MSG_CURL_RESOLVE;
    } else if (code == CURLE_COULDNT_CONNECT) {
        id = MSG_CURL_CONNECT;
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        id = MSG_CURL_TIMEOUT;
    } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
        id = MSG_CURL_CA;
        status = EXIT_FAILED;
    } else if (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE) {
        id = MSG_CURL_CERT_FILE;
        status = EXIT_USAGE;
    } else if (code == CURLE_SSL_CONNECT_ERROR) {
        id = MSG_CURL_TLS;
        status = EXIT_FAILED;
    } else if (code == CURLE_URL_MALFORMAT) {
        id = MSG_CURL_URL;
        status = EXIT_USAGE;
    } else if (strstr(said, "alert") != NULL ||
               (cut_before_an_answer(client, code) && certificate_refused(client))) {
        id = MSG_CURL_REFUSED_CERT;
        if (strstr(said, "alert") == NULL)
            said = curl_easy_strerror(code); /* the text tells of the cut, not of its cause */
        status = EXIT_DENIED;
    }
    char *text = message_fill(id, (const char *const[]){ client->target.endpoint, said }, 2);
    problem_set(problem, status, text);
    free(text);
}

static bool content_type_is(struct connect_client *client, const char *type)
{
    const char *found = NULL;
    size_t len = strlen(type);

    curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &found);
    return found != NULL && strncasecmp(found, type, len) == 0 &&
           (found[len] == '\0' || found[len] == ';' || found[len] == ' ');
}

static void malformed(struct problem *problem, const char *what)
{
    char *text = message_fill(MSG_ANSWER_MALFORMED, (const char *const[]){ what }, 1);
    problem_set(problem, EXIT_FAILED, text);
    free(text);
}

/* An HTTP status that is not 200: a Connect error as JSON, or something in between answered. */
static void problem_from_answer(struct connect_client *client, long status, const struct buf *body,
                                struct problem *problem)
{
    json_t *error = content_type_is(client, "application/json")
                        ? json_loadb((const char *)body->data, body->len, 0, NULL)
                        : NULL;

    if (json_is_object(error) && json_is_string(json_object_get(error, "code")))
        problem_from_json(problem, error);
    else
        problem_from_http(problem, status);
    json_decref(error);
}

/* --- unary ----------------------------------------------------------------------------------- */
static size_t read_body(char *data, size_t size, size_t count, void *context)
{
    struct buf *body = context;

    return buf_append(body, data, size * count) == 0 ? size * count : 0;
}

static int finish_unary(struct connect_client *client, CURLcode code, const struct buf *body,
                        json_t **answer_r, struct problem *problem)
{
    long status = 0;

    if (code != CURLE_OK) {
        problem_from_curl(client, code, problem);
        return -1;
    }
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        problem_from_answer(client, status, body, problem);
        return -1;
    }
    *answer_r = content_type_is(client, "application/json")
                    ? json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    if (json_is_object(*answer_r))
        return 0;
    json_decref(*answer_r);
    *answer_r = NULL;
    malformed(problem, "application/json");
    return -1;
}

int connect_unary(struct connect_client *client, const char *method, json_t *request,
                  json_t **answer_r, struct problem *problem)
{
    char *url, *text = json_dumps(request, JSON_COMPACT);
    struct curl_slist *headers;
    struct buf body;
    CURLcode code;
    int failed;

    json_decref(request);
    *answer_r = NULL;
    buf_init(&body, CONNECT_MESSAGE_BYTES_MAX);
    prepare(client, method, &url);
    headers = call_headers(client, "application/json", true);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(text));
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, read_body);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &body);
    code = curl_easy_perform(client->curl);
    failed = finish_unary(client, code, &body, answer_r, problem);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    buf_fini(&body);
    free(text);
    free(url);
    return failed;
}

/* --- server streaming ------------------------------------------------------------------------ */
struct stream {
    struct connect_client *client;
    struct connect_frames frames;
    struct buf other; /* the body of an answer that is no stream */
    bool is_stream;
    bool checked;
};

static size_t read_stream(char *data, size_t size, size_t count, void *context)
{
    struct stream *stream = context;
    size_t len = size * count;

    if (!stream->checked) {
        stream->checked = true;
        stream->is_stream = content_type_is(stream->client, "application/connect+json");
    }
    if (!stream->is_stream)
        return buf_append(&stream->other, data, len) == 0 ? len : 0;
    return connect_frames_feed(&stream->frames, data, len) == 0 ? len : 0;
}

static int finish_stream(struct stream *stream, CURLcode code, struct problem *problem)
{
    struct connect_frames *frames = &stream->frames;
    long status = 0;

    curl_easy_getinfo(stream->client->curl, CURLINFO_RESPONSE_CODE, &status);
    memset(problem, 0, sizeof *problem);
    if (frames->stopped != 0)
        problem->exit_status = frames->stopped;
    else if (frames->fault != NULL)
        malformed(problem, frames->fault);
    else if (frames->ended && frames->error != NULL)
        problem_from_json(problem, frames->error);
    else if (frames->ended)
        return 0;
    else if (code != CURLE_OK && !(stream->checked && !stream->is_stream))
        problem_from_curl(stream->client, code, problem);
    else if (status != 200)
        problem_from_answer(stream->client, status, &stream->other, problem);
    else if (stream->checked && !stream->is_stream)
        malformed(problem, "application/connect+json");
    else
        problem_set(problem, EXIT_UNAVAILABLE, message(MSG_STREAM_CUT));
    return -1;
}

static char *envelope(const char *text, size_t len)
{
    char *bytes = mem_zero(CONNECT_ENVELOPE_BYTES + len);

    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (char)(len >> (24 - 8 * i) & 0xff);
    memcpy(bytes + CONNECT_ENVELOPE_BYTES, text, len);
    return bytes;
}

int connect_stream(struct connect_client *client, const char *method, json_t *request,
                   connect_message_fn on_message, void *context, struct problem *problem)
{
    struct stream stream = { .client = client };
    char *url, *text = json_dumps(request, JSON_COMPACT);
    size_t len = strlen(text);
    char *body = envelope(text, len);
    struct curl_slist *headers;
    CURLcode code;
    int failed;

    json_decref(request);
    connect_frames_init(&stream.frames, on_message, context);
    buf_init(&stream.other, STREAM_ERROR_BYTES_MAX);
    prepare(client, method, &url);
    headers = call_headers(client, "application/connect+json", client->target.stream_deadline);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)(CONNECT_ENVELOPE_BYTES + len));
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, read_stream);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &stream);
    code = curl_easy_perform(client->curl);
    failed = finish_stream(&stream, code, problem);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    connect_frames_fini(&stream.frames);
    buf_fini(&stream.other);
    free(body);
    free(text);
    free(url);
    return failed;
}

/* --- what doctor asks --------------------------------------------------------------------------
 */
static char *server_certificate(CURL *curl)
{
    struct curl_certinfo *chain = NULL;

    if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == NULL ||
        chain->num_of_certs < 1)
        return NULL;
    for (const struct curl_slist *line = chain->certinfo[0]; line != NULL; line = line->next)
        if (strncmp(line->data, "Cert:", 5) == 0)
            return mem_strdup(line->data + 5);
    return NULL;
}

void connect_peer_get(struct connect_client *client, struct connect_peer *peer_r)
{
    long version = 0;

    curl_easy_getinfo(client->curl, CURLINFO_HTTP_VERSION, &version);
    peer_r->date = client->date;
    peer_r->asked = (long long)time(NULL);
    peer_r->http = version == CURL_HTTP_VERSION_2_0 ? "HTTP/2" : "HTTP/1.1";
    peer_r->certificate = server_certificate(client->curl);
}
