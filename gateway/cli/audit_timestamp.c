/* sluice audit timestamp: has an authority (RFC 3161) stamp the checkpoint of a bundle, or a checkpoint. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "audit/evidence.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/audit_files.h"
#include "cli/text.h"

enum {
    AUTHORITY_TIMEOUT_MS = 30000, /* some answer through a queue */
};

static size_t read_body(char *data, size_t size, size_t count, void *context)
{
    return buf_append(context, data, size * count) == 0 ? size * count : 0;
}

static int complain(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    return EXIT_FAILED;
}

/* RFC 3161 3.4: one POST, and one answer. */
static int ask(const char *url, const struct buf *request, struct buf *reply_r)
{
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/timestamp-query");
    CURL *curl = curl_easy_init();
    long http = 0;

    if (curl == NULL || headers == NULL)
        abort(); /* libcurl has no memory */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)AUTHORITY_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request->len);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, read_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply_r);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (code == CURLE_OK && http == 200)
        return EXIT_OK;
    char *status = mem_format("HTTP %ld", http);
    COMPLAIN(MSG_TIMESTAMP_UNANSWERED, url, code != CURLE_OK ? curl_easy_strerror(code) : status);
    free(status);
    return EXIT_FAILED;
}

/* The answer is checked before anything is written. */
static int stamp(struct cli *cli, struct slice checkpoint, const struct timestamp_trust *trust,
                 struct buf *reply_r)
{
    const char *url = cli_option_text(cli, OPT_URL, "");
    struct err err = ERR_INIT;
    struct buf request;
    int64_t time_us;

    buf_init(&request, TIMESTAMP_BYTES_MAX);
    int status = timestamp_request(checkpoint, &request, &err) == 0 ? EXIT_OK : complain(&err);
    if (status == EXIT_OK)
        status = ask(url, &request, reply_r);
    if (status == EXIT_OK && timestamp_accept(buf_slice(reply_r), buf_slice(&request), &err) != 0)
        status = complain(&err);
    buf_fini(&request);
    const char *fault =
        status == EXIT_OK ? timestamp_check(buf_slice(reply_r), checkpoint, trust, &time_us) : NULL;
    if (fault != NULL) {
        COMPLAIN(MSG_TIMESTAMP_BAD, url, fault);
        status = EXIT_FAILED;
    }
    if (status == EXIT_OK) {
        char time[CLOCK_TEXT_BYTES];
        clock_format(time_us, time);
        NOTE(MSG_TIMESTAMPED, time);
    }
    return status;
}

static int stamp_bundle(struct cli *cli, const struct buf *zip, const struct timestamp_trust *trust)
{
    struct buf checkpoint, reply, stamped;
    struct err err = ERR_INIT;

    buf_init(&checkpoint, EVIDENCE_MEMBER_BYTES_MAX);
    buf_init(&reply, TIMESTAMP_BYTES_MAX);
    buf_init(&stamped, EVIDENCE_BYTES_MAX);
    int status = evidence_member(buf_slice(zip), "checkpoint", &checkpoint, &err) == 0
                     ? stamp(cli, buf_slice(&checkpoint), trust, &reply)
                     : complain(&err);
    if (status == EXIT_OK &&
        evidence_add(buf_slice(zip), EVIDENCE_TIMESTAMP, buf_slice(&reply), &stamped, &err) != 0)
        status = complain(&err);
    if (status == EXIT_OK)
        status = audit_file_write(cli_option_text(cli, OPT_OUT, cli->operands[0]), &stamped);
    buf_fini(&checkpoint);
    buf_fini(&reply);
    buf_fini(&stamped);
    return status;
}

static int stamp_checkpoint(struct cli *cli, const struct timestamp_trust *trust)
{
    char *beside = mem_format("%s.tsr", cli->operands[0]);
    struct checkpoint checkpoint;
    struct buf note, reply;

    buf_init(&note, NOTE_BYTES_MAX);
    buf_init(&reply, TIMESTAMP_BYTES_MAX);
    int status = audit_note_file(cli->operands[0], &note, &checkpoint);
    if (status == EXIT_OK)
        status = stamp(cli, buf_slice(&note), trust, &reply);
    if (status == EXIT_OK)
        status = audit_file_write(cli_option_text(cli, OPT_OUT, beside), &reply);
    buf_fini(&note);
    buf_fini(&reply);
    free(beside);
    return status;
}

int audit_timestamp(struct cli *cli)
{
    struct buf file;
    int status;

    if (!cli_option_required(cli, OPT_URL))
        return EXIT_USAGE;
    struct timestamp_trust *trust = audit_timestamp_trust(cli, &status);
    buf_init(&file, EVIDENCE_BYTES_MAX);
    if (status == EXIT_OK)
        status = audit_file_read(cli->operands[0], &file);
    if (status == EXIT_OK)
        status = file.len >= 2 && memcmp(file.data, "PK", 2) == 0 ? stamp_bundle(cli, &file, trust)
                                                                  : stamp_checkpoint(cli, trust);
    buf_fini(&file);
    timestamp_trust_free(&trust);
    return status;
}
