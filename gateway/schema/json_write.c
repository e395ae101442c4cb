#include "schema/json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "schema/json_internal.h"

enum { BASE64_CHUNK_BYTES = 3072 };

int json_put(struct json_writer *w, const void *data, size_t len)
{
    if (buf_append(w->out, data, len) == 0)
        return 0;
    return err_set(w->err, ERR_RESOURCE_EXHAUSTED, "JSON_TOO_LARGE",
                   "The answer does not fit as JSON; ask for fewer records or use protobuf.");
}

int json_put_text(struct json_writer *w, const char *text)
{
    return json_put(w, text, strlen(text));
}

int json_put_quoted(struct json_writer *w, const char *text)
{
    return json_put(w, "\"", 1) < 0 || json_put_text(w, text) < 0 ? -1 : json_put(w, "\"", 1);
}

static int put_escape(struct json_writer *w, uint8_t c)
{
    char text[8];
    const char *known = strchr("\"\"\\\\\bb\ff\nn\rr\tt", c);
    if (c != '\0' && known != NULL)
        (void)snprintf(text, sizeof text, "\\%c", known[1]);
    else
        (void)snprintf(text, sizeof text, "\\u%04x", c);
    return json_put_text(w, text);
}

/* RFC 8259 section 7; the text is valid UTF-8. */
int json_put_string(struct json_writer *w, const uint8_t *data, size_t len)
{
    if (json_put(w, "\"", 1) < 0)
        return -1;
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] >= 0x20 && data[i] != '"' && data[i] != '\\')
            continue;
        if ((i > start && json_put(w, data + start, i - start) < 0) || put_escape(w, data[i]) < 0)
            return -1;
        start = i + 1;
    }
    if (len > start && json_put(w, data + start, len - start) < 0)
        return -1;
    return json_put(w, "\"", 1);
}

int json_put_base64(struct json_writer *w, const uint8_t *data, size_t len)
{
    char text[BASE64_CHUNK_BYTES / 3 * 4 + 1];
    if (json_put(w, "\"", 1) < 0)
        return -1;
    for (size_t done = 0; done < len; done += BASE64_CHUNK_BYTES) {
        size_t part = len - done < BASE64_CHUNK_BYTES ? len - done : BASE64_CHUNK_BYTES;
        if (json_put(w, text, base64_encode(data + done, part, text)) < 0)
            return -1;
    }
    return json_put(w, "\"", 1);
}

int json_put_real(struct json_writer *w, double value, bool is_float)
{
    char text[JSON_NUMBER_TEXT_BYTES];
    if (isnan(value))
        return json_put_text(w, "\"NaN\"");
    if (isinf(value))
        return json_put_text(w, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    if (is_float)
        json_float_format((float)value, text);
    else
        json_double_format(value, text);
    return json_put_text(w, text);
}

int json_put_integer(struct json_writer *w, const char *quote, int64_t value)
{
    char text[JSON_NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%s%" PRId64 "%s", quote, value, quote);
    return json_put_text(w, text);
}

int json_put_unsigned(struct json_writer *w, const char *quote, uint64_t value)
{
    char text[JSON_NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%s%" PRIu64 "%s", quote, value, quote);
    return json_put_text(w, text);
}
