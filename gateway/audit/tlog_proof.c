#include "audit/tlog_proof.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"

enum { HASH_TEXT_BYTES = 44, INDEX_DIGITS_MAX = 13 };

static const char first_line[] = "c2sp.org/tlog-proof@v1";

int tlog_proof_write(uint64_t index, const struct proof *proof, struct slice note, struct buf *out)
{
    if (buf_append_format(out, "%s\nindex %" PRIu64 "\n", first_line, index) != 0)
        return -1;
    for (size_t i = 0; i < proof->count; i++) {
        char text[HASH_TEXT_BYTES + 1];
        (void)base64_encode(proof->hash[i], MERKLE_HASH_BYTES, text);
        if (buf_append_format(out, "%s\n", text) != 0)
            return -1;
    }
    return buf_append_byte(out, '\n') != 0 ? -1 : buf_append(out, note.data, note.len);
}

static int malformed(struct err *err)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "PROOF_MALFORMED", "This is not a proof file.");
}

static bool take_line(struct slice *rest, struct slice *line_r)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL)
        return false;
    *line_r = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - line_r->len - 1);
    return true;
}

static bool begins(struct slice line, const char *text)
{
    size_t len = strlen(text);
    return line.len >= len && memcmp(line.data, text, len) == 0;
}

static bool read_index(struct slice line, uint64_t *index_r)
{
    const size_t word = strlen("index ");
    uint64_t index = 0;
    if (!begins(line, "index ") || line.len == word || line.len > word + INDEX_DIGITS_MAX ||
        (line.data[word] == '0' && line.len > word + 1))
        return false;
    for (size_t i = word; i < line.len; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        index = index * 10 + (uint64_t)(line.data[i] - '0');
    }
    *index_r = index;
    return index < MERKLE_SIZE_MAX;
}

static bool read_hash(struct slice line, uint8_t hash_r[MERKLE_HASH_BYTES])
{
    uint8_t bytes[HASH_TEXT_BYTES / 4 * 3 + 3];
    char again[HASH_TEXT_BYTES + 1];
    if (line.len != HASH_TEXT_BYTES ||
        base64_decode((const char *)line.data, line.len, bytes) != MERKLE_HASH_BYTES)
        return false;
    (void)base64_encode(bytes, MERKLE_HASH_BYTES, again);
    memcpy(hash_r, bytes, MERKLE_HASH_BYTES);
    return memcmp(again, line.data, HASH_TEXT_BYTES) == 0;
}

int tlog_proof_parse(struct slice text, uint64_t *index_r, struct proof *proof_r,
                     struct slice *note_r, struct err *err)
{
    struct slice rest = text, line;
    if (text.len > TLOG_PROOF_BYTES_MAX || !take_line(&rest, &line) ||
        line.len != strlen(first_line) || !begins(line, first_line) || !take_line(&rest, &line))
        return malformed(err);
    if (begins(line, "extra ") && !take_line(&rest, &line))
        return malformed(err);
    if (!read_index(line, index_r))
        return malformed(err);
    proof_r->count = 0;
    for (;;) {
        if (!take_line(&rest, &line))
            return malformed(err);
        if (line.len == 0)
            break;
        if (proof_r->count == PROOF_HASHES_MAX || !read_hash(line, proof_r->hash[proof_r->count]))
            return malformed(err);
        proof_r->count++;
    }
    *note_r = rest;
    return 0;
}
