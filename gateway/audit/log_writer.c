#include "audit/log_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/columns.h"
#include "audit/proof.h"
#include "audit/tile_builder.h"
#include "audit/tile_store.h"
#include "base/err.h"
#include "base/mem.h"

enum { NUMBER_DIGITS_MAX = 13 };

struct log_writer {
    struct tile_store *store;
    uint64_t size;
    struct checkpoint published; /* size 0: none */
    struct tile_builder tiles;
    struct buf bundle;
    struct buf columns;
    struct buf batches;
    bool restricted;
    struct log_writer_range range;
};

/* --- going on -----------------------------------------------------------------------------------
 */

static int read_checkpoint(struct log_writer *writer, struct err *err)
{
    struct buf note;
    struct slice text, signatures;
    buf_init(&note, NOTE_BYTES_MAX);
    int found = tile_store_read(writer->store, "checkpoint", &note, err);
    int result = found < 0 ? -1 : 0;
    if (found == 1 && (note_split(buf_slice(&note), &text, &signatures, err) != 0 ||
                       checkpoint_parse(text, &writer->published, err) != 0))
        result = -1;
    buf_fini(&note);
    return result;
}

static int one_node(struct log_writer *writer, unsigned level, uint64_t index,
                    uint8_t hash_r[MERKLE_HASH_BYTES], struct err *err)
{
    struct proof_plan plan = {
        .hashes = 1, .fold = { 1 }, .count = 1, .nodes = { { level, index } }
    };
    struct proof proof;
    if (tile_store_prove(writer->store, writer->published.size, &plan, &proof, err) != 0)
        return -1;
    memcpy(hash_r, proof.hash[0], MERKLE_HASH_BYTES);
    return 0;
}

/* The tree and the open tiles as they were behind the last full bundle. */
static int restore(struct log_writer *writer, struct err *err)
{
    uint64_t size = writer->published.size / TILE_WIDTH * TILE_WIDTH;
    for (unsigned bit = TILE_HEIGHT; bit < MERKLE_LEVELS; bit++) {
        if ((size >> bit & 1) != 0 &&
            one_node(writer, bit, (size >> bit) - 1, writer->tiles.tree.node[bit], err) != 0)
            return -1;
    }
    for (unsigned at = 1; at < TILE_LEVELS; at++) {
        struct tile_level *level = &writer->tiles.levels[at];
        uint64_t hashes = size >> (TILE_HEIGHT * at);
        level->tile = hashes / TILE_WIDTH;
        level->count = (unsigned)(hashes % TILE_WIDTH);
        for (unsigned i = 0; i < level->count; i++) {
            if (one_node(writer, TILE_HEIGHT * at, level->tile * TILE_WIDTH + i,
                         level->hashes + (size_t)i * MERKLE_HASH_BYTES, err) != 0)
                return -1;
        }
    }
    writer->tiles.levels[0].tile = size / TILE_WIDTH;
    writer->tiles.tree.size = size;
    writer->size = size;
    return 0;
}

struct log_writer *log_writer_open(const char *path, struct err *err)
{
    struct tile_store *store = tile_store_open(path, true, err);
    if (store == NULL)
        return NULL;
    struct log_writer *writer = mem_zero(sizeof *writer);
    writer->store = store;
    tile_builder_init(&writer->tiles);
    buf_init(&writer->bundle, TILE_BUNDLE_BYTES_MAX);
    buf_init(&writer->columns, (size_t)TILE_WIDTH * COLUMNS_LINE_BYTES_MAX);
    buf_init(&writer->batches, TILE_STORE_FILE_BYTES_MAX);
    if (read_checkpoint(writer, err) != 0 || restore(writer, err) != 0)
        log_writer_close(&writer);
    return writer;
}

void log_writer_close(struct log_writer **writer)
{
    if (*writer == NULL)
        return;
    tile_store_close(&(*writer)->store);
    buf_fini(&(*writer)->bundle);
    buf_fini(&(*writer)->columns);
    buf_fini(&(*writer)->batches);
    free(*writer);
    *writer = NULL;
}

uint64_t log_writer_next(const struct log_writer *writer)
{
    return writer->size;
}

uint64_t log_writer_published(const struct log_writer *writer)
{
    return writer->published.size;
}

const struct merkle_frontier *log_writer_tree(const struct log_writer *writer)
{
    return &writer->tiles.tree;
}

static bool take_number(struct slice *rest, char end, uint64_t *value_r)
{
    size_t at = 0;
    *value_r = 0;
    for (;
         at < rest->len && at < NUMBER_DIGITS_MAX && rest->data[at] >= '0' && rest->data[at] <= '9';
         at++)
        *value_r = *value_r * 10 + (uint64_t)(rest->data[at] - '0');
    if (at == 0 || at == rest->len || rest->data[at] != (uint8_t)end)
        return false;
    *rest = slice_of(rest->data + at + 1, rest->len - at - 1);
    return true;
}

int log_writer_read_range(struct tile_store *store, struct log_writer_range *range_r,
                          struct err *err)
{
    struct buf text;
    buf_init(&text, TILE_STORE_FILE_BYTES_MAX);
    int found = tile_store_read(store, "range", &text, err);
    struct slice rest = buf_slice(&text);
    if (found == 1 &&
        (!take_number(&rest, ' ', &range_r->from) || !take_number(&rest, '\n', &range_r->to)))
        found = err_set(err, ERR_FAILED_PRECONDITION, "NOT_AN_EXPORT",
                        "The file `range` of the export cannot be read.");
    buf_fini(&text);
    return found;
}

/* --- writing ------------------------------------------------------------------------------------
 */

int log_writer_restrict(struct log_writer *writer, const struct log_writer_range *range,
                        struct err *err)
{
    struct buf text;
    writer->restricted = true;
    writer->range = *range;
    buf_init(&text, TILE_PATH_BYTES);
    (void)buf_append_format(&text, "%" PRIu64 " %" PRIu64 "\n", range->from, range->to);
    int result = tile_store_put(writer->store, "range", buf_slice(&text), err);
    buf_fini(&text);
    return result;
}

static int put_tile(struct log_writer *writer, enum tile_kind kind, unsigned at, struct slice data,
                    struct err *err)
{
    const struct tile_level *level = &writer->tiles.levels[at];
    struct tile tile = { .kind = kind, .level = at, .index = level->tile, .width = level->count };
    char path[TILE_PATH_BYTES];
    tile_path(&tile, path);
    if (tile_store_put(writer->store, path, data, err) != 0)
        return -1;
    if (tile.width == TILE_WIDTH)
        tile_store_drop_partial(writer->store, &tile);
    return 0;
}

static int put_hashes(struct log_writer *writer, unsigned at, struct err *err)
{
    const struct tile_level *level = &writer->tiles.levels[at];
    return put_tile(writer, TILE_HASHES, at,
                    slice_of(level->hashes, (size_t)level->count * MERKLE_HASH_BYTES), err);
}

static int put_bundle(struct log_writer *writer, struct err *err)
{
    uint64_t first = writer->tiles.levels[0].tile * TILE_WIDTH;
    if (writer->restricted && (first >= writer->range.to || writer->size <= writer->range.from))
        return 0;
    if (put_tile(writer, TILE_ENTRIES, 0, buf_slice(&writer->bundle), err) != 0 ||
        put_tile(writer, TILE_COLUMNS, 0, buf_slice(&writer->columns), err) != 0)
        return -1;
    return put_tile(writer, TILE_BATCHES, 0, buf_slice(&writer->batches), err);
}

struct filled {
    struct log_writer *writer;
    struct err *err;
};

static int on_full(void *arg, unsigned at, struct tile_level *level)
{
    const struct filled *filled = arg;
    struct log_writer *writer = filled->writer;
    (void)level;
    if ((at == 0 && put_bundle(writer, filled->err) != 0) ||
        put_hashes(writer, at, filled->err) != 0)
        return -1;
    if (at == 0) {
        buf_reset(&writer->bundle);
        buf_reset(&writer->columns);
        buf_reset(&writer->batches);
    }
    return 0;
}

/* Passing the size that was published before, the entries must make the root published then. */
static int check_published(const struct log_writer *writer,
                           const uint8_t leaf_hash[MERKLE_HASH_BYTES], struct err *err)
{
    uint8_t root[MERKLE_HASH_BYTES];
    if (writer->size != writer->published.size)
        return 0;
    struct merkle_frontier tree = writer->tiles.tree;
    merkle_frontier_append(&tree, leaf_hash);
    merkle_frontier_root(&tree, root);
    if (memcmp(root, writer->published.root, sizeof root) == 0)
        return 0;
    return err_set(err, ERR_DATA_LOSS, "TILE_DIFFERS",
                   "The entries are not those that this folder was written from; it was left as "
                   "it is.");
}

int log_writer_batch(struct log_writer *writer, struct slice line, struct err *err)
{
    if (buf_append(&writer->batches, line.data, line.len) == 0)
        return 0;
    return err_set(err, ERR_DATA_LOSS, "BATCHES_TOO_MANY",
                   "More batches begin at entry %" PRIu64 " than there can be.", writer->size);
}

int log_writer_add(struct log_writer *writer, struct slice leaf,
                   const uint8_t leaf_hash[MERKLE_HASH_BYTES], struct slice columns,
                   struct err *err)
{
    if (tile_entry_write(&writer->bundle, leaf) != 0 ||
        buf_append(&writer->columns, columns.data, columns.len) != 0)
        return err_set(err, ERR_DATA_LOSS, "ENTRY_TOO_LARGE",
                       "Entry %" PRIu64 " is larger than an entry can be.", writer->size);
    writer->size++;
    if (check_published(writer, leaf_hash, err) != 0)
        return -1;
    struct filled filled = { .writer = writer, .err = err };
    return tile_builder_push(&writer->tiles, leaf_hash, false, on_full, &filled);
}

int log_writer_publish(struct log_writer *writer, struct slice note,
                       const struct checkpoint *checkpoint, bool regardless, bool *matches_r,
                       struct err *err)
{
    uint8_t root[MERKLE_HASH_BYTES];
    assert(checkpoint->size == writer->size);
    merkle_frontier_root(&writer->tiles.tree, root);
    *matches_r = memcmp(root, checkpoint->root, sizeof root) == 0;
    if (!*matches_r && !regardless)
        return 0;
    if (writer->tiles.levels[0].count > 0 && put_bundle(writer, err) != 0)
        return -1;
    for (unsigned at = 0; at < TILE_LEVELS; at++) {
        if (writer->tiles.levels[at].count > 0 && put_hashes(writer, at, err) != 0)
            return -1;
    }
    /* Last: whoever reads the checkpoint finds all that it covers. */
    if (tile_store_replace(writer->store, "checkpoint", note, err) != 0)
        return -1;
    writer->published = *checkpoint;
    return 0;
}
