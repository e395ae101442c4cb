#include "schema/prescan.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "schema/descriptor.h"
#include "schema/wire_read.h"

enum { PATH_BYTES_MAX = 160 };

/* A message being read; frame 0 is the one given. */
struct frame {
    const struct schema_message *message;
    const struct schema_field *via; /* the parent's field it came in */
    const uint8_t *end;
};

struct scan {
    struct frame frames[PRESCAN_DEPTH_MAX + 1];
    size_t depth;
    size_t elements;
    struct err *err;
};

/* "fields.paths", or the message's name when no field is known. */
static const char *path_of(const struct scan *scan, const struct schema_field *field,
                           char path_r[PATH_BYTES_MAX])
{
    size_t len = 0;
    path_r[0] = '\0';
    for (size_t i = 1; i <= scan->depth + 1; i++) {
        const struct schema_field *part = i <= scan->depth ? scan->frames[i].via : field;
        if (part == NULL)
            continue;
        int wrote =
            snprintf(path_r + len, PATH_BYTES_MAX - len, "%s%s", len > 0 ? "." : "", part->name);
        if (wrote < 0 || (size_t)wrote >= PATH_BYTES_MAX - len)
            break; /* a cut path still says where to look; names are ASCII */
        len += (size_t)wrote;
    }
    return path_r;
}

static int malformed(const struct scan *scan, const struct schema_field *field, const char *what)
{
    char path[PATH_BYTES_MAX];
    const char *name = scan->frames[0].message->full_name;
    (void)path_of(scan, field, path);
    if (path[0] == '\0')
        return err_set(scan->err, ERR_INVALID_ARGUMENT, "MESSAGE_MALFORMED",
                       "The message is not a valid %s: %s.", name, what);
    return err_set(scan->err, ERR_INVALID_ARGUMENT, "MESSAGE_MALFORMED",
                   "The message is not a valid %s: field \"%s\": %s.", name, path, what);
}

static int too_many(const struct scan *scan)
{
    return err_set(scan->err, ERR_INVALID_ARGUMENT, "MESSAGE_TOO_MANY_ELEMENTS",
                   "The message has more than %d fields and elements; send it in smaller parts.",
                   PRESCAN_ELEMENTS_MAX);
}

static int check_text(const struct scan *scan, const struct schema_field *field,
                      const struct wire_field *wire)
{
    char path[PATH_BYTES_MAX];
    if (!utf8_valid(wire->data, (size_t)wire->value))
        return err_set(scan->err, ERR_INVALID_ARGUMENT, "MESSAGE_NOT_UTF8",
                       "Field \"%s\" is not valid UTF-8; send text as UTF-8.",
                       path_of(scan, field, path));
    /* C strings end at NUL: what follows would be in the bytes but invisible to every check. */
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): data is set when value > 0 */
    if (wire->value > 0 && memchr(wire->data, '\0', (size_t)wire->value) != NULL)
        return malformed(scan, field, "text must not contain the character U+0000");
    return 0;
}

static int enter(struct scan *scan, const struct schema_field *field, const struct wire_field *wire)
{
    if (scan->depth == PRESCAN_DEPTH_MAX) {
        char path[PATH_BYTES_MAX];
        return err_set(scan->err, ERR_INVALID_ARGUMENT, "MESSAGE_TOO_DEEP",
                       "Messages are nested more than %d deep at \"%s\"; send a flatter message.",
                       PRESCAN_DEPTH_MAX, path_of(scan, field, path));
    }
    scan->frames[++scan->depth] = (struct frame){
        .message = field->message,
        .via = field,
        .end = wire->data + wire->value,
    };
    return 0;
}

/* A length-delimited field that is declared as something else: packed elements, or a mistake. */
static int check_packed(struct scan *scan, const struct schema_field *field,
                        const struct wire_field *wire)
{
    if (!field->repeated)
        return malformed(scan, field, "its wire type is not the declared one");
    long count = wire_packed_count(wire->data, (size_t)wire->value, schema_wire_of(field->type));
    if (count < 0)
        return malformed(scan, field, "its packed elements are cut short");
    scan->elements += (size_t)count;
    return scan->elements > PRESCAN_ELEMENTS_MAX ? too_many(scan) : 0;
}

static int check_field(struct scan *scan, const struct schema_field *field,
                       const struct wire_field *wire)
{
    if (wire->wire != schema_wire_of(field->type)) {
        if (wire->wire == WIRE_LEN)
            return check_packed(scan, field, wire);
        return malformed(scan, field, "its wire type is not the declared one");
    }
    if (field->type == SCHEMA_STRING)
        return check_text(scan, field, wire);
    if (field->type == SCHEMA_MESSAGE)
        return enter(scan, field, wire);
    return 0;
}

int schema_prescan(const struct schema_message *message, const uint8_t *data, size_t len,
                   struct err *err)
{
    if (len == 0)
        return 0; /* `data` may be NULL */
    struct scan
        scan; /* frames are set when entered: clearing them all would cost more than a scan */
    scan.depth = 0;
    scan.elements = 0;
    scan.err = err;
    scan.frames[0] = (struct frame){ .message = message, .end = data + len };
    const uint8_t *p = data;
    for (;;) {
        const struct frame *frame = &scan.frames[scan.depth];
        if (p == frame->end) {
            if (scan.depth == 0)
                return 0;
            scan.depth--;
            continue;
        }
        struct wire_field wire;
        const uint8_t *next = wire_next(p, frame->end, &wire);
        if (next == NULL)
            return malformed(&scan, NULL, "a field is cut short, or of an unknown wire type");
        if (++scan.elements > PRESCAN_ELEMENTS_MAX)
            return too_many(&scan);
        const struct schema_field *field = schema_message_number(frame->message, wire.number);
        size_t depth = scan.depth;
        if (field != NULL && check_field(&scan, field, &wire) < 0)
            return -1;
        p = scan.depth > depth ? wire.data : next;
    }
}
