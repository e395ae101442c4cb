/* Structured log lines on standard error: logfmt or JSON, one event a line.
 * Ownership: everything passed is copied or used before the call returns.
 * Never calls back.
 * Limits: a line is cut at LOG_LINE_BYTES; values are escaped, so a peer cannot forge a line.
 * Never takes payload or secrets: callers log ids, names, counts and error texts only. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

struct err;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };
enum { LOG_LINE_BYTES = 4096 };

/* What every line of one call carries. Any member may be NULL. */
struct log_context {
    const char *request_id;
    const char *subject; /* spiffe id of the caller */
    const char *method;  /* "/package.Service/Method" */
};

struct log_field {
    const char *name;
    const char *text; /* NULL: `number` is the value */
    int64_t number;
};

#define LOG_STR(name_, text_)                                                                      \
    (struct log_field)                                                                             \
    {                                                                                              \
        .name = (name_), .text = (text_) != NULL ? (text_) : ""                                    \
    }
#define LOG_INT(name_, number_)                                                                    \
    (struct log_field)                                                                             \
    {                                                                                              \
        .name = (name_), .number = (int64_t)(number_)                                              \
    }

void log_configure(enum log_level level, enum log_format format, const char *process);
void log_write(enum log_level level, const struct log_context *context, const char *event,
               const struct log_field *fields, size_t count);

/* log_event(LOG_INFO, NULL, "listener_ready", LOG_STR("address", a), LOG_INT("port", p)); */
#define log_event(level, context, event, ...)                                                      \
    log_write(level, context, event, (const struct log_field[]){ __VA_ARGS__ },                    \
              sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

/* An error with its reason, text and detail. */
void log_error(enum log_level level, const struct log_context *context, const char *event,
               const struct err *err);

#endif
