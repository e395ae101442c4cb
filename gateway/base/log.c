#include "base/log.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

static struct {
    enum log_level level;
    enum log_format format;
    const char *process;
} settings = { .level = LOG_INFO, .format = LOG_LOGFMT, .process = "sluice" };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

struct line {
    char text[LOG_LINE_BYTES];
    size_t len;
};

static void put(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof line->text - 2 - line->len; /* keeps room for "}\n" */
    if (len > room)
        len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_quoted(struct line *line, const char *text)
{
    put(line, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        char escape[8];
        if (*p == '"' || *p == '\\') {
            escape[0] = '\\';
            escape[1] = (char)*p;
            put(line, escape, 2);
        } else if (*p < 0x20 || *p == 0x7F) {
            int len = snprintf(escape, sizeof escape, "\\u%04x", *p);
            put(line, escape, (size_t)len);
        } else {
            put(line, (const char *)p, 1);
        }
    }
    put(line, "\"", 1);
}

static bool is_bare(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text <= ' ' || *text == '"' || *text == '=' || *text == '\\' ||
            *text == 0x7F)
            return false;
    return true;
}

static void put_field(struct line *line, const struct log_field *field)
{
    bool json = settings.format == LOG_JSON;
    if (line->len > 0 && line->text[line->len - 1] != '{')
        put(line, json ? "," : " ", 1);
    if (json) {
        put_quoted(line, field->name);
        put(line, ":", 1);
    } else {
        put_str(line, field->name);
        put(line, "=", 1);
    }
    if (field->text == NULL) {
        char number[24];
        int len = snprintf(number, sizeof number, "%" PRId64, field->number);
        put(line, number, (size_t)len);
    } else if (json || !is_bare(field->text)) {
        put_quoted(line, field->text);
    } else {
        put_str(line, field->text);
    }
}

void log_configure(enum log_level level, enum log_format format, const char *process)
{
    settings.level = level;
    settings.format = format;
    settings.process = process;
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + len, sizeof text - len, ".%06ldZ", now.tv_nsec / 1000);
    put_field(line, &LOG_STR("time", text));
}

void log_write(enum log_level level, const struct log_context *context, const char *event,
               const struct log_field *fields, size_t count)
{
    if (level < settings.level)
        return;
    struct line line = { .len = 0 };
    if (settings.format == LOG_JSON)
        put(&line, "{", 1);
    put_time(&line);
    put_field(&line, &LOG_STR("level", level_names[level]));
    put_field(&line, &LOG_STR("process", settings.process));
    put_field(&line, &LOG_INT("pid", getpid()));
    put_field(&line, &LOG_STR("event", event));
    if (context != NULL) {
        if (context->request_id != NULL)
            put_field(&line, &LOG_STR("request_id", context->request_id));
        if (context->subject != NULL)
            put_field(&line, &LOG_STR("subject", context->subject));
        if (context->method != NULL)
            put_field(&line, &LOG_STR("method", context->method));
    }
    for (size_t i = 0; i < count; i++)
        put_field(&line, &fields[i]);
    if (settings.format == LOG_JSON)
        line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    /* One write a line keeps lines of several processes whole; a full pipe loses log, never
     * service. */
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written;
}

void log_error(enum log_level level, const struct log_context *context, const char *event,
               const struct err *err)
{
    log_event(level, context, event, LOG_STR("code", err_name(err->code)),
              LOG_STR("reason", err->reason), LOG_STR("text", err->text),
              LOG_STR("detail", err->detail));
}
