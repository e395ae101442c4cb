#include "cli/problem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/text.h"

enum { DETAIL_BYTES_MAX = 64 * 1024 };

static const struct {
    const char *code;
    int exit_status;
    enum message_id hint;
} codes[] = {
    { "canceled", EXIT_FAILED, MSG_CODE_CANCELED },
    { "unknown", EXIT_FAILED, MSG_CODE_UNKNOWN },
    { "invalid_argument", EXIT_FAILED, MSG_CODE_INVALID_ARGUMENT },
    { "deadline_exceeded", EXIT_UNAVAILABLE, MSG_CODE_DEADLINE_EXCEEDED },
    { "not_found", EXIT_NOT_FOUND, MSG_CODE_NOT_FOUND },
    { "already_exists", EXIT_FAILED, MSG_CODE_ALREADY_EXISTS },
    { "permission_denied", EXIT_DENIED, MSG_CODE_PERMISSION_DENIED },
    { "resource_exhausted", EXIT_UNAVAILABLE, MSG_CODE_RESOURCE_EXHAUSTED },
    { "failed_precondition", EXIT_FAILED, MSG_CODE_FAILED_PRECONDITION },
    { "aborted", EXIT_UNAVAILABLE, MSG_CODE_ABORTED },
    { "out_of_range", EXIT_FAILED, MSG_CODE_INVALID_ARGUMENT },
    { "unimplemented", EXIT_FAILED, MSG_CODE_UNIMPLEMENTED },
    { "internal", EXIT_FAILED, MSG_CODE_INTERNAL },
    { "unavailable", EXIT_UNAVAILABLE, MSG_CODE_UNAVAILABLE },
    { "data_loss", EXIT_FAILED, MSG_CODE_DATA_LOSS },
    { "unauthenticated", EXIT_DENIED, MSG_CODE_UNAUTHENTICATED },
};

static void copy_cut(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size)
        len = utf8_check(text, size - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

int problem_exit_status(const char *code, const char *reason)
{
    if (strcmp(reason, "RECORD_QUARANTINED") == 0)
        return EXIT_QUARANTINED;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].exit_status;
    return EXIT_FAILED;
}

static bool is_reason(const char *text, size_t len)
{
    if (len == 0 || len >= PROBLEM_WORD_BYTES)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= '0' && text[i] <= '9') ||
              text[i] == '_'))
            return false;
    return true;
}

bool problem_reason_from_bytes(const unsigned char *data, size_t len,
                               char reason_r[PROBLEM_WORD_BYTES])
{
    size_t at = 0;

    while (at < len) {
        uint64_t tag, size;
        size_t used = varint_get(data + at, len - at, &tag);

        if (used == 0 || (tag & 7) != 2) /* every member of ErrorInfo is length-delimited */
            return false;
        at += used;
        used = varint_get(data + at, len - at, &size);
        if (used == 0 || size > len - at - used)
            return false;
        at += used;
        if (tag >> 3 == 1 && is_reason((const char *)data + at, (size_t)size)) {
            memcpy(reason_r, data + at, (size_t)size);
            reason_r[size] = '\0';
            return true;
        }
        at += (size_t)size;
    }
    return false;
}

static bool reason_from_detail(const json_t *detail, char reason_r[PROBLEM_WORD_BYTES])
{
    const char *type = json_string_value(json_object_get(detail, "type"));
    const json_t *value = json_object_get(detail, "value");
    const char *debug =
        json_string_value(json_object_get(json_object_get(detail, "debug"), "reason"));
    size_t len = json_string_length(value);
    bool found = false;

    if (type == NULL || strcmp(type, "google.rpc.ErrorInfo") != 0)
        return false;
    if (json_is_string(value) && len <= DETAIL_BYTES_MAX) {
        uint8_t *bytes = mem_zero(len / 4 * 3 + 3);
        long size = base64_decode(json_string_value(value), len, bytes);

        found = size > 0 && problem_reason_from_bytes(bytes, (size_t)size, reason_r);
        free(bytes);
    }
    if (!found && debug != NULL && is_reason(debug, strlen(debug))) {
        copy_cut(reason_r, PROBLEM_WORD_BYTES, debug);
        found = true;
    }
    return found;
}

void problem_from_json(struct problem *problem, const json_t *error)
{
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *text = json_string_value(json_object_get(error, "message"));
    const json_t *details = json_object_get(error, "details");

    memset(problem, 0, sizeof *problem);
    copy_cut(problem->code, sizeof problem->code, code != NULL ? code : "unknown");
    copy_cut(problem->text, sizeof problem->text, text != NULL ? text : "");
    for (size_t i = 0; i < json_array_size(details); i++)
        if (reason_from_detail(json_array_get(details, i), problem->reason))
            break;
    problem->exit_status = problem_exit_status(problem->code, problem->reason);
}

void problem_from_http(struct problem *problem, long status)
{
    const char *code = "unknown";
    char number[16];

    memset(problem, 0, sizeof *problem);
    switch (status) {
    case 400:
        code = "internal";
        break;
    case 401:
        code = "unauthenticated";
        break;
    case 403:
        code = "permission_denied";
        break;
    case 404:
        code = "unimplemented";
        break;
    case 429:
    case 502:
    case 503:
    case 504:
        code = "unavailable";
        break;
    default:
        break;
    }
    snprintf(number, sizeof number, "%ld", status);
    char *text = message_fill(MSG_HTTP_STATUS, (const char *const[]){ number }, 1);
    copy_cut(problem->code, sizeof problem->code, code);
    copy_cut(problem->text, sizeof problem->text, text);
    free(text);
    problem->local = true;
    problem->exit_status = problem_exit_status(code, "");
}

void problem_set(struct problem *problem, int exit_status, const char *text)
{
    memset(problem, 0, sizeof *problem);
    problem->exit_status = exit_status;
    problem->local = true;
    copy_cut(problem->text, sizeof problem->text, text);
}

static const char *hint_of(const struct problem *problem)
{
    const char *hint = message_reason_hint(problem->reason);

    for (size_t i = 0; hint == NULL && i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i].code, problem->code) == 0)
            hint = message(codes[i].hint);
    return hint != NULL ? hint : message(MSG_CODE_UNKNOWN);
}

int problem_report(const struct problem *problem)
{
    char *text = text_safe(problem->text);

    fflush(stdout); /* what was delivered stands before the reason why no more came */
    if (problem->local)
        fprintf(stderr, "sluice: %s", problem->text); /* safe, and may have lines */
    else if (text[0] == '\0')
        fprintf(stderr, "sluice: %s", hint_of(problem));
    else if (messages_language() == LANGUAGE_EN)
        fprintf(stderr, "sluice: %s", text);
    else
        fprintf(stderr, "sluice: %s\n  (%s)", hint_of(problem), text);
    if (problem->reason[0] != '\0')
        fprintf(stderr, " [%s]", problem->reason);
    fputc('\n', stderr);
    free(text);
    return problem->exit_status;
}
