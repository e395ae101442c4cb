#include "audit/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/hash.h"
#include "audit/tile.h"
#include "audit/tile_store.h"
#include "base/err.h"
#include "base/ids.h"

struct manifest {
    struct tile_store *store;
    struct checkpoint checkpoint;
    struct log_writer_range range;
    struct buf file;
    struct buf *out;
    struct err *err;
};

/* --- making --------------------------------------------------------------------------------------- */

static int add_file(struct manifest *manifest, const char *name)
{
    uint8_t digest[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    int found = tile_store_read(manifest->store, name, &manifest->file, manifest->err);
    if (found < 0)
        return -1;
    if (found == 0)
        return err_set(manifest->err, ERR_DATA_LOSS, "ARCHIVE_INCOMPLETE", "%s is missing.", name);
    struct slice whole = buf_slice(&manifest->file);
    hash_sha256(&whole, 1, digest);
    hex_encode(digest, sizeof digest, hex);
    if (buf_append_format(manifest->out, "%s  %zu  %s\n", hex, whole.len, name) != 0)
        return err_set(
            manifest->err, ERR_FAILED_PRECONDITION, "ARCHIVE_TOO_LARGE",
            "The archive has more files than a manifest can name; archive less at once.");
    return 0;
}

static int add_tile(struct manifest *manifest, enum tile_kind kind, unsigned level, uint64_t index)
{
    char path[TILE_PATH_BYTES];
    struct tile tile = { .kind = kind, .level = level, .index = index };
    tile.width = tile_width(manifest->checkpoint.size, level, index);
    tile_path(&tile, path);
    return add_file(manifest, path);
}

/* Every file that such an archive has, in an order that does not depend on the disk. */
static int add_files(struct manifest *manifest)
{
    uint64_t size = manifest->checkpoint.size;
    int result = add_file(manifest, "checkpoint");
    if (result == 0)
        result = add_file(manifest, "range");
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        for (uint64_t i = 0; result == 0 && tile_width(size, level, i) > 0; i++)
            result = add_tile(manifest, TILE_HASHES, level, i);
    }
    uint64_t last = (manifest->range.to + TILE_WIDTH - 1) / TILE_WIDTH;
    for (uint64_t i = manifest->range.from / TILE_WIDTH; result == 0 && i < last; i++) {
        if (add_tile(manifest, TILE_ENTRIES, 0, i) != 0 ||
            add_tile(manifest, TILE_COLUMNS, 0, i) != 0 ||
            add_tile(manifest, TILE_BATCHES, 0, i) != 0)
            result = -1;
    }
    return result;
}

static int not_an_archive(struct err *err)
{
    return err_set(err, ERR_FAILED_PRECONDITION, "NOT_AN_ARCHIVE",
                   "The folder has no checkpoint or no range: it is no archive of a log.");
}

static int read_header(struct manifest *manifest)
{
    struct slice text, signatures;
    struct err ignored = ERR_INIT;
    int found = tile_store_read(manifest->store, "checkpoint", &manifest->file, manifest->err);
    if (found < 0)
        return -1;
    if (found == 0 || note_split(buf_slice(&manifest->file), &text, &signatures, &ignored) != 0 ||
        checkpoint_parse(text, &manifest->checkpoint, &ignored) != 0)
        return not_an_archive(manifest->err);
    /* Origin, size and root as the checkpoint has them: its first three lines. */
    const uint8_t *end = memchr(text.data, '\n', text.len);
    size_t origin = end != NULL ? (size_t)(end - text.data) : 0;
    const uint8_t *root = end != NULL ? memchr(end + 1, '\n', text.len - origin - 1) : NULL;
    if (root == NULL)
        return not_an_archive(manifest->err);
    size_t rest = text.len - (size_t)(root + 1 - text.data);
    const uint8_t *root_end = memchr(root + 1, '\n', rest);
    int root_len = (int)(root_end != NULL ? (size_t)(root_end - root - 1) : rest);
    (void)buf_append_format(manifest->out, "sluice-archive/1\norigin %.*s\n", (int)origin,
                            (const char *)text.data);
    struct buf header;
    buf_init(&header, 1024);
    (void)buf_append_format(&header, "size %" PRIu64 "\nroot %.*s\n\n", manifest->checkpoint.size,
                            root_len, (const char *)root + 1);
    found = log_writer_read_range(manifest->store, &manifest->range, manifest->err);
    if (found == 1 && manifest->range.to > manifest->checkpoint.size)
        manifest->range.to = manifest->checkpoint.size;
    if (found == 1 && manifest->range.from < manifest->range.to)
        (void)buf_append_format(manifest->out, "first %" PRIu64 "\nlast %" PRIu64 "\n%s",
                                manifest->range.from, manifest->range.to - 1, buf_cstr(&header));
    else if (found >= 0)
        found = not_an_archive(manifest->err);
    buf_fini(&header);
    return found < 0 ? -1 : 0;
}

int archive_manifest(const char *folder, struct log_writer_range *range_r, struct buf *manifest_r,
                     struct err *err)
{
    struct manifest manifest = { .out = manifest_r, .err = err };
    manifest.store = tile_store_open(folder, false, err);
    if (manifest.store == NULL)
        return -1;
    buf_init(&manifest.file, TILE_STORE_FILE_BYTES_MAX);
    buf_reset(manifest_r);
    int result = read_header(&manifest);
    if (result == 0)
        result = add_files(&manifest);
    *range_r = manifest.range;
    buf_fini(&manifest.file);
    tile_store_close(&manifest.store);
    return result;
}

int archive_seal(const char *folder, struct err *err)
{
    struct log_writer_range range;
    struct buf text;
    buf_init(&text, ARCHIVE_MANIFEST_BYTES_MAX);
    int result = archive_manifest(folder, &range, &text, err);
    struct tile_store *store = result == 0 ? tile_store_open(folder, false, err) : NULL;
    if (store != NULL)
        result = tile_store_put(store, ARCHIVE_MANIFEST, buf_slice(&text), err);
    tile_store_close(&store);
    buf_fini(&text);
    return result;
}

int archive_read(const char *folder, struct buf *manifest_r, struct err *err)
{
    struct tile_store *store = tile_store_open(folder, false, err);
    if (store == NULL)
        return -1;
    int found = tile_store_read(store, ARCHIVE_MANIFEST, manifest_r, err);
    tile_store_close(&store);
    return found;
}

/* --- checking ------------------------------------------------------------------------------------- */

static struct slice take_line(struct slice *rest)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
    struct slice line = slice_of(rest->data, len);
    size_t taken = end != NULL ? len + 1 : len;
    *rest = slice_of(rest->data + taken, rest->len - taken);
    return line;
}

/* Names the first line that differs: for a file that is the line with its name. */
static void compare(struct verify_report *report, struct slice kept, struct slice made)
{
    while (kept.len > 0 || made.len > 0) {
        struct slice line = take_line(&kept), wanted = take_line(&made);
        if (line.len == wanted.len && memcmp(line.data, wanted.data, line.len) == 0)
            continue;
        const char *text = (const char *)wanted.data;
        size_t name = wanted.len;
        while (name > 0 && text[name - 1] != ' ')
            name--;
        verify_report_add(report, VERIFY_MANIFEST, -1, "%.*s", (int)(wanted.len - name),
                          text + name);
        return;
    }
}

int archive_verify(const char *folder, struct verify_report *report, struct err *err)
{
    struct log_writer_range range;
    struct buf kept, made;
    buf_init(&kept, ARCHIVE_MANIFEST_BYTES_MAX);
    buf_init(&made, ARCHIVE_MANIFEST_BYTES_MAX);
    int result = archive_read(folder, &kept, err) < 0 ? -1 : 0;
    if (result == 0 && archive_manifest(folder, &range, &made, err) != 0) {
        if (err->code == ERR_DATA_LOSS) {
            verify_report_add(report, VERIFY_MANIFEST, -1, "%s", err->text);
            err_clear(err);
        } else {
            result = -1;
        }
    } else if (result == 0) {
        compare(report, buf_slice(&kept), buf_slice(&made));
    }
    buf_fini(&kept);
    buf_fini(&made);
    return result;
}
