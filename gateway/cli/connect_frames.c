/* Connect's streaming envelopes: one flag byte, four bytes of length, the message. */
#include <string.h>

#include "cli/connect.h"

enum { FLAG_COMPRESSED = 0x01, FLAG_END_STREAM = 0x02 };

void connect_frames_init(struct connect_frames *frames, connect_message_fn on_message,
                         void *context)
{
    memset(frames, 0, sizeof *frames);
    buf_init(&frames->pending, CONNECT_ENVELOPE_BYTES + CONNECT_MESSAGE_BYTES_MAX);
    frames->on_message = on_message;
    frames->context = context;
}

void connect_frames_fini(struct connect_frames *frames)
{
    buf_fini(&frames->pending);
    json_decref(frames->error);
    frames->error = NULL;
}

static int fault(struct connect_frames *frames, const char *text)
{
    frames->fault = text;
    return -1;
}

static int end_stream(struct connect_frames *frames, const json_t *message)
{
    json_t *error = json_object_get(message, "error");

    frames->ended = true;
    if (error != NULL && !json_is_object(error))
        return fault(frames, "an error that is no object");
    frames->error = json_incref(error);
    return 0;
}

static int take_message(struct connect_frames *frames, uint8_t flags, const uint8_t *data,
                        size_t len)
{
    json_t *message;
    int failed = 0;

    if (frames->ended)
        return fault(frames, "bytes behind the end of the stream");
    if ((flags & FLAG_COMPRESSED) != 0)
        return fault(frames, "a compressed message that was not asked for");
    message = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(message)) {
        json_decref(message);
        return fault(frames, "a message that is no JSON object");
    }
    if ((flags & FLAG_END_STREAM) != 0) {
        failed = end_stream(frames, message);
    } else {
        frames->stopped = frames->on_message(frames->context, message);
        failed = frames->stopped != 0 ? -1 : 0;
    }
    json_decref(message);
    return failed;
}

static size_t envelope_length(const uint8_t *head)
{
    return (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
}

int connect_frames_feed(struct connect_frames *frames, const void *data, size_t len)
{
    struct buf *pending = &frames->pending;
    size_t at = 0;

    if (buf_append(pending, data, len) != 0)
        return fault(frames, "a message that is too long");
    while (pending->len - at >= CONNECT_ENVELOPE_BYTES) {
        const uint8_t *head = pending->data + at;
        size_t size = envelope_length(head);

        if (size > CONNECT_MESSAGE_BYTES_MAX)
            return fault(frames, "a message that is too long");
        if (pending->len - at - CONNECT_ENVELOPE_BYTES < size)
            break;
        if (take_message(frames, head[0], head + CONNECT_ENVELOPE_BYTES, size) != 0)
            return -1;
        at += CONNECT_ENVELOPE_BYTES + size;
    }
    buf_consume(pending, at);
    return 0;
}
