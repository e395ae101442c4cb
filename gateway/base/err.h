/* Errors: one value on the caller's stack, filled by the room that failed, reported once.
 * Ownership: `reason` is a string literal; `text` and `detail` are inside the struct.
 * `text` may be shown to a peer and says what to do; `detail` goes to the log only.
 * Limits: both texts are cut at a UTF-8 boundary when they do not fit.
 * Does not log, does not allocate. */
#ifndef SLUICE_BASE_ERR_H
#define SLUICE_BASE_ERR_H

#include <stdbool.h>

/* Every code maps to exactly one gRPC status and one Connect code (err_grpc_status,
 * err_connect_code). */
enum err_code {
    ERR_OK = 0,
    ERR_CANCELLED,
    ERR_UNKNOWN,
    ERR_INVALID_ARGUMENT,
    ERR_DEADLINE_EXCEEDED,
    ERR_NOT_FOUND,
    ERR_ALREADY_EXISTS,
    ERR_PERMISSION_DENIED,
    ERR_RESOURCE_EXHAUSTED,
    ERR_FAILED_PRECONDITION,
    ERR_ABORTED,
    ERR_OUT_OF_RANGE,
    ERR_UNIMPLEMENTED,
    ERR_INTERNAL,
    ERR_UNAVAILABLE,
    ERR_DATA_LOSS,
    ERR_UNAUTHENTICATED,
    ERR_WRITE_UNCERTAIN, /* a commit whose outcome is not known yet; UNKNOWN to a peer */
    ERR_CODE_COUNT
};

enum { ERR_TEXT_BYTES = 320 };

struct err {
    enum err_code code;
    const char *reason; /* UPPER_SNAKE_CASE literal, the ErrorInfo reason; never NULL once set */
    char text[ERR_TEXT_BYTES];
    char detail[ERR_TEXT_BYTES];
    long retry_after_ms; /* when the same call may succeed; 0: not known */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .code = ERR_OK, .reason = ""                                                               \
    }

/* Fills `err` (which may be NULL: the caller does not care) and answers -1, so that a function can
 * `return err_set(...)`. The first error wins a race only by order of calls: a later call replaces
 * it. */
int err_set(struct err *err, enum err_code code, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds what only the log may see (SQL state, path, system error). Answers -1. */
int err_detail(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says when the same call may succeed: google.rpc.RetryInfo for a peer. Answers -1. */
int err_retry_after(struct err *err, long after_ms);

void err_clear(struct err *err);

/* Numeric gRPC status code (https://grpc.io/docs/guides/status-codes/). */
int err_grpc_status(enum err_code code);
/* Upper-case name used in logs and metrics, for example "PERMISSION_DENIED". */
const char *err_name(enum err_code code);
/* Lower-case name of the Connect protocol, for example "permission_denied". */
const char *err_connect_code(enum err_code code);
/* HTTP status of a failed Connect unary call. */
int err_http_status(enum err_code code);

#endif
