#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_mapping {
    const char *name;
    const char *connect_code;
    int grpc_status;
    int http_status;
};

/* Connect's HTTP statuses: https://connectrpc.com/docs/protocol/#error-codes */
static const struct err_mapping mappings[ERR_CODE_COUNT] = {
    [ERR_OK] = { "OK", "ok", 0, 200 },
    [ERR_CANCELLED] = { "CANCELLED", "canceled", 1, 499 },
    [ERR_UNKNOWN] = { "UNKNOWN", "unknown", 2, 500 },
    [ERR_INVALID_ARGUMENT] = { "INVALID_ARGUMENT", "invalid_argument", 3, 400 },
    [ERR_DEADLINE_EXCEEDED] = { "DEADLINE_EXCEEDED", "deadline_exceeded", 4, 504 },
    [ERR_NOT_FOUND] = { "NOT_FOUND", "not_found", 5, 404 },
    [ERR_ALREADY_EXISTS] = { "ALREADY_EXISTS", "already_exists", 6, 409 },
    [ERR_PERMISSION_DENIED] = { "PERMISSION_DENIED", "permission_denied", 7, 403 },
    [ERR_RESOURCE_EXHAUSTED] = { "RESOURCE_EXHAUSTED", "resource_exhausted", 8, 429 },
    [ERR_FAILED_PRECONDITION] = { "FAILED_PRECONDITION", "failed_precondition", 9, 400 },
    [ERR_ABORTED] = { "ABORTED", "aborted", 10, 409 },
    [ERR_OUT_OF_RANGE] = { "OUT_OF_RANGE", "out_of_range", 11, 400 },
    [ERR_UNIMPLEMENTED] = { "UNIMPLEMENTED", "unimplemented", 12, 501 },
    [ERR_INTERNAL] = { "INTERNAL", "internal", 13, 500 },
    [ERR_UNAVAILABLE] = { "UNAVAILABLE", "unavailable", 14, 503 },
    [ERR_DATA_LOSS] = { "DATA_LOSS", "data_loss", 15, 500 },
    [ERR_UNAUTHENTICATED] = { "UNAUTHENTICATED", "unauthenticated", 16, 401 },
    [ERR_WRITE_UNCERTAIN] = { "WRITE_UNCERTAIN", "unknown", 2, 500 },
};

/* vsnprintf may stop inside a character; the peer must still get valid UTF-8. */
static void cut_at_character(char *text, int wanted)
{
    if (wanted < ERR_TEXT_BYTES)
        return;
    size_t end = strlen(text);
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    if (end > 0 && (unsigned char)text[end - 1] >= 0xC0)
        end--;
    text[end] = '\0';
}

int err_set(struct err *err, enum err_code code, const char *reason, const char *format, ...)
{
    if (err == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    err->code = code;
    err->reason = reason;
    err->detail[0] = '\0';
    err->retry_after_ms = 0;
    cut_at_character(err->text, vsnprintf(err->text, sizeof err->text, format, args));
    va_end(args);
    return -1;
}

int err_detail(struct err *err, const char *format, ...)
{
    if (err == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    cut_at_character(err->detail, vsnprintf(err->detail, sizeof err->detail, format, args));
    va_end(args);
    return -1;
}

int err_retry_after(struct err *err, long after_ms)
{
    if (err != NULL)
        err->retry_after_ms = after_ms;
    return -1;
}

void err_clear(struct err *err)
{
    err->code = ERR_OK;
    err->reason = "";
    err->text[0] = '\0';
    err->detail[0] = '\0';
}

int err_grpc_status(enum err_code code)
{
    return mappings[code].grpc_status;
}

const char *err_name(enum err_code code)
{
    return mappings[code].name;
}

const char *err_connect_code(enum err_code code)
{
    return mappings[code].connect_code;
}

int err_http_status(enum err_code code)
{
    return mappings[code].http_status;
}
