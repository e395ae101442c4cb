/* Fuzzes what a checker of the log reads: the first byte chooses proof files, tile names, bundles of
 * entries, key changes or disclosed rows. What parses must write itself back to what was read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/evidence.h"
#include "audit/log_keys.h"
#include "audit/tile.h"
#include "audit/tlog_proof.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok)
        abort();
}

static void fuzz_proof(struct slice text)
{
    struct proof proof;
    struct slice note;
    struct err err = ERR_INIT;
    struct buf again;
    uint64_t index;
    uint8_t hash[MERKLE_HASH_BYTES] = { 1 };
    if (tlog_proof_parse(text, &index, &proof, &note, &err) != 0) {
        must(err.code != ERR_OK);
        return;
    }
    (void)proof_verify_inclusion(index, index + 1 + text.len, hash, &proof, hash);
    (void)proof_verify_consistency(index, index + text.len, hash, hash, &proof);
    buf_init(&again, 2 * TLOG_PROOF_BYTES_MAX);
    must(tlog_proof_write(index, &proof, note, &again) == 0);
    /* An "extra" line is not kept. */
    must(again.len <= text.len &&
         memcmp(again.data + again.len - note.len, note.data, note.len) == 0);
    buf_fini(&again);
}

static void fuzz_tile_path(struct slice text)
{
    char path[256], again[TILE_PATH_BYTES];
    struct tile tile;
    size_t len = text.len < sizeof path - 1 ? text.len : sizeof path - 1;
    memcpy(path, text.data, len);
    path[len] = '\0';
    if (!tile_path_parse(path, &tile))
        return;
    tile_path(&tile, again);
    must(strcmp(path, again) == 0);
}

static void fuzz_bundle(struct slice bytes)
{
    struct slice rest = bytes, leaf;
    struct buf again;
    int result;
    buf_init(&again, TILE_BUNDLE_BYTES_MAX);
    while ((result = tile_entry_next(&rest, &leaf)) == 1)
        must(tile_entry_write(&again, leaf) == 0);
    must(again.len + rest.len == bytes.len);
    must(again.len == 0 || memcmp(again.data, bytes.data, again.len) == 0);
    buf_fini(&again);
}

static void fuzz_key_change(struct slice note)
{
    struct err err = ERR_INIT;
    (void)log_keys_change_check(note, "log.example/sample", &err);
}

/* An entry of a released row whose root is all zeros; then the JSON. */
static void fuzz_row(struct slice json)
{
    static const uint8_t leaf[] = { 0x72, 0x26, 0x08, 1, 0x1a, 0x20, 0, 0, 0, 0, 0,    0, 0, 0,
                                    0,    0,    0,    0, 0,    0,    0, 0, 0, 0, 0,    0, 0, 0,
                                    0,    0,    0,    0, 0,    0,    0, 0, 0, 0, 0x20, 1 };
    must(evidence_check_row(json, slice_of(leaf, sizeof leaf)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct slice bytes) = { fuzz_proof, fuzz_tile_path, fuzz_bundle,
                                                           fuzz_key_change, fuzz_row };
    if (size > 0)
        targets[data[0] % 5](slice_of(data + 1, size - 1));
    return 0;
}
