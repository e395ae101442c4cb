#include "audit/columns.h"

#include <string.h>

#include "base/ids.h"

static const char *const names[] = { "leaf_hash",     "id",        "time_us",    "kind",
                                     "outcome",       "subject",   "department", "owner",
                                     "dataset",       "agreement", "purpose",    "exchange_id",
                                     "entry_id.index" };

static int write_bytes(struct buf *out, struct slice bytes)
{
    if (bytes.len == 0)
        return buf_append_str(out, "\\N");
    if (buf_reserve(out, 2 * bytes.len + 1) != 0)
        return -1;
    hex_encode(bytes.data, bytes.len, (char *)out->data + out->len);
    out->len += 2 * bytes.len;
    return 0;
}

/* COPY escapes these: \b \t \n \v \f \r and the backslash. */
static bool is_special(uint8_t byte)
{
    return byte == '\\' || (byte >= '\b' && byte <= '\r');
}

static int write_text(struct buf *out, struct slice text)
{
    static const char escaped[] = "btnvfr"; /* in the order of their codes */
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (!is_special(byte))
            continue;
        const char pair[2] = { '\\', byte == '\\' ? '\\' : escaped[byte - '\b'] };
        if (buf_append(out, text.data + start, i - start) != 0 ||
            buf_append(out, pair, sizeof pair) != 0)
            return -1;
        start = i + 1;
    }
    return buf_append(out, text.data + start, text.len - start);
}

static int write_number(struct buf *out, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    return buf_append(out, digits + at, sizeof digits - at);
}

int columns_write(const struct audit_columns *columns, struct buf *out)
{
    if (write_bytes(out, columns->leaf_hash) != 0 || buf_append_byte(out, '\t') != 0 ||
        write_bytes(out, columns->id) != 0 || buf_append_byte(out, '\t') != 0)
        return -1;
    const int64_t numbers[] = { columns->time_us, columns->kind, columns->outcome };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (write_number(out, numbers[i]) != 0 || buf_append_byte(out, '\t') != 0)
            return -1;
    }
    for (size_t i = 0; i < COLUMNS_TEXTS; i++) {
        if (write_text(out, columns->texts[i]) != 0 || buf_append_byte(out, '\t') != 0)
            return -1;
    }
    return write_bytes(out, columns->exchange_id) != 0 || buf_append_byte(out, '\t') != 0 ||
                   write_number(out, columns->id_index) != 0
               ? -1
               : buf_append_byte(out, '\n');
}

static struct slice text_of(const char *text)
{
    return slice_of(text, strlen(text));
}

void columns_from_entry(const Sluice__V1__AuditEntry *entry, int64_t index,
                        const uint8_t leaf_hash[MERKLE_HASH_BYTES], struct audit_columns *columns_r)
{
    const struct slice none = slice_of("", 0);
    *columns_r = (struct audit_columns){
        .leaf_hash = slice_of(leaf_hash, MERKLE_HASH_BYTES),
        .id = slice_of(entry->id.data, entry->id.len),
        .time_us = entry->time_us,
        .kind = (int64_t)entry->kind,
        .outcome = entry->decision != NULL ? (int64_t)entry->decision->outcome : 0,
        .texts = { entry->who != NULL ? text_of(entry->who->subject) : none,
                   entry->who != NULL ? text_of(entry->who->department) : none,
                   entry->what != NULL ? text_of(entry->what->owner) : none,
                   entry->what != NULL ? text_of(entry->what->dataset) : none,
                   entry->why != NULL ? text_of(entry->why->agreement) : none,
                   entry->why != NULL ? text_of(entry->why->purpose) : none },
        .exchange_id = slice_of(entry->exchange_id.data, entry->exchange_id.len),
        .id_index = index,
    };
}

const char *columns_differ(struct slice line, struct slice other)
{
    size_t column = 0, at = 0;
    if (line.len == other.len && (line.len == 0 || memcmp(line.data, other.data, line.len) == 0))
        return NULL;
    const size_t last = sizeof names / sizeof names[0] - 1;
    while (at < line.len && at < other.len && line.data[at] == other.data[at]) {
        if (line.data[at] == '\t' && column < last)
            column++;
        at++;
    }
    return names[column];
}
