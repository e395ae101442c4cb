#include "audit/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"

enum { ROOT_TEXT_BYTES = 44, SIZE_DIGITS_MAX = 13, CHECKPOINT_TEXT_BYTES_MAX = 512 };

int checkpoint_write(const struct checkpoint *checkpoint, struct buf *out)
{
    char root[ROOT_TEXT_BYTES + 1];
    (void)base64_encode(checkpoint->root, MERKLE_HASH_BYTES, root);
    return buf_append_format(out, "%s\n%" PRIu64 "\n%s\n", checkpoint->origin, checkpoint->size,
                             root);
}

static int malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "CHECKPOINT_MALFORMED", "Not a checkpoint: %s.",
                   what);
}

/* The next line without its newline; false when there is none. */
static bool next_line(struct slice *rest, struct slice *line_r)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL)
        return false;
    size_t len = (size_t)(end - rest->data);
    *line_r = slice_of(rest->data, len);
    *rest = slice_of(rest->data + len + 1, rest->len - len - 1);
    return true;
}

static bool parse_size(struct slice line, uint64_t *size_r)
{
    if (line.len == 0 || line.len > SIZE_DIGITS_MAX || (line.data[0] == '0' && line.len > 1))
        return false;
    uint64_t size = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        size = size * 10 + (uint64_t)(line.data[i] - '0');
    }
    *size_r = size;
    return size <= MERKLE_SIZE_MAX;
}

static bool parse_root(struct slice line, uint8_t root_r[MERKLE_HASH_BYTES])
{
    uint8_t bytes[ROOT_TEXT_BYTES / 4 * 3 + 3];
    char again[ROOT_TEXT_BYTES + 1];
    if (line.len != ROOT_TEXT_BYTES ||
        base64_decode((const char *)line.data, line.len, bytes) != MERKLE_HASH_BYTES)
        return false;
    /* The decoder takes more spellings than the one that was signed by honest logs. */
    (void)base64_encode(bytes, MERKLE_HASH_BYTES, again);
    if (memcmp(again, line.data, ROOT_TEXT_BYTES) != 0)
        return false;
    memcpy(root_r, bytes, MERKLE_HASH_BYTES);
    return true;
}

int checkpoint_parse(struct slice text, struct checkpoint *checkpoint_r, struct err *err)
{
    struct slice rest = text, line;
    if (!next_line(&rest, &line) || line.len == 0 || line.len > CHECKPOINT_ORIGIN_BYTES_MAX ||
        memchr(line.data, '\0', line.len) != NULL)
        return malformed(err, "the first line must be the log's origin");
    memcpy(checkpoint_r->origin, line.data, line.len);
    checkpoint_r->origin[line.len] = '\0';
    if (!next_line(&rest, &line) || !parse_size(line, &checkpoint_r->size))
        return malformed(err, "the second line must be the size in decimal");
    if (!next_line(&rest, &line) || !parse_root(line, checkpoint_r->root))
        return malformed(err, "the third line must be the root hash in base64");
    while (rest.len > 0) {
        if (!next_line(&rest, &line) || line.len == 0)
            return malformed(err, "an extension line is empty or cut short");
    }
    return 0;
}

int checkpoint_sign(const struct note_signer *signer, const struct checkpoint *checkpoint,
                    struct buf *out)
{
    struct buf text;
    buf_init(&text, CHECKPOINT_TEXT_BYTES_MAX);
    int result = checkpoint_write(checkpoint, &text);
    if (result == 0)
        result = note_sign(signer, buf_slice(&text), out);
    buf_fini(&text);
    return result;
}

int checkpoint_open(struct slice note, const char *origin,
                    const struct note_verifier *const *verifiers, size_t count,
                    struct checkpoint *checkpoint_r, uint32_t *verified_r, struct err *err)
{
    struct slice text;
    if (note_open(note, verifiers, count, &text, verified_r, err) != 0 ||
        checkpoint_parse(text, checkpoint_r, err) != 0)
        return -1;
    if (strcmp(checkpoint_r->origin, origin) != 0)
        return err_set(err, ERR_PERMISSION_DENIED, "CHECKPOINT_ORIGIN_WRONG",
                       "The checkpoint is of another log than the one expected.");
    return 0;
}
