/* Fuzzes the parser of signed checkpoints: first byte chooses what the rest is. What parses must
 * write itself back to what was read, extension lines apart. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/merkle.h"
#include "audit/note.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char known_key[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

static void must(int ok)
{
    if (!ok)
        abort();
}

static void fuzz_note(struct slice note)
{
    static struct note_verifier *verifier;
    struct err err = ERR_INIT;
    struct slice text;
    uint32_t verified;
    if (verifier == NULL)
        verifier = note_verifier_new(known_key, &err);
    const struct note_verifier *list[] = { verifier };
    if (note_open(note, list, 1, &text, &verified, &err) == 0)
        must(verified == 1 && text.len < note.len && text.data[text.len - 1] == '\n');
    else
        must(err.code != ERR_OK);
}

static void fuzz_checkpoint(struct slice text)
{
    struct checkpoint checkpoint;
    struct err err = ERR_INIT;
    struct buf again;
    if (checkpoint_parse(text, &checkpoint, &err) != 0)
        return;
    buf_init(&again, NOTE_BYTES_MAX);
    must(checkpoint_write(&checkpoint, &again) == 0);
    must(again.len <= text.len && memcmp(again.data, text.data, again.len) == 0);
    buf_fini(&again);
}

static void fuzz_frontier(struct slice bytes)
{
    struct merkle_frontier frontier;
    struct buf again;
    if (merkle_frontier_parse(bytes.data, bytes.len, &frontier) != 0)
        return;
    buf_init(&again, MERKLE_FRONTIER_BYTES_MAX);
    must(merkle_frontier_write(&frontier, &again) == 0);
    must(again.len == bytes.len && memcmp(again.data, bytes.data, again.len) == 0);
    buf_fini(&again);
}

static void fuzz_verifier(struct slice text)
{
    struct err err = ERR_INIT;
    char *copy = strndup((const char *)text.data, text.len);
    struct note_verifier *verifier = note_verifier_new(copy, &err);
    note_verifier_free(&verifier);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        fuzz_note(rest);
        break;
    case 1:
        fuzz_checkpoint(rest);
        break;
    case 2:
        fuzz_frontier(rest);
        break;
    default:
        fuzz_verifier(rest);
        break;
    }
    return 0;
}
