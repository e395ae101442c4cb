/* The whole check of an export: rebuilds the tree from the entries and compares all that lies beside
 * them. One bundle is in memory at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/columns.h"
#include "audit/counters.h"
#include "audit/head_file.h"
#include "audit/log_writer.h"
#include "audit/tile_builder.h"
#include "audit/tile_store.h"
#include "audit/verify.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"

enum {
    UNPACK_BYTES = 1024 * 1024, /* an entry of 16 KiB in memory, unknown fields included */
    NUMBER_DIGITS_MAX = 13,
    OPEN_GAP_US = 10 * 1000000, /* no call waits longer for its entry */
    PROGRESS_EVERY = 4096,
};

#define TIME_US_MAX (INT64_C(1) << 60) /* the year 38505: sums of times stay in 64 bits */

/* What an earlier copy says. */
struct older {
    struct tile_store *store; /* NULL: only a checkpoint */
    struct buf note;
    struct checkpoint checkpoint;
    bool read; /* the checkpoint can be compared */
    bool differed;
    struct merkle_frontier tree; /* of the copy's own hashes */
    struct buf tile;
};

struct walk {
    const struct verify_log_options *options;
    struct verify_report *report;
    struct tile_store *store;
    struct log_keys keys;
    struct buf note;
    struct buf bundle;
    struct buf columns;
    struct buf batches;
    struct buf hashes;
    struct buf line;
    uint64_t size;
    uint64_t index; /* of the next entry */
    bool whole;     /* every entry is in the export */
    struct log_writer_range range;
    struct tile_builder tiles;
    struct counters counters;
    int64_t latest_us;
    uint64_t batch_next; /* where the next batch must begin */
    bool batches_bad;    /* reported once */
    struct older older;
    struct tile_store *archives[VERIFY_ARCHIVES_MAX];
    size_t archive_count;
    uint64_t archived; /* they hold all entries below this one */
    uint8_t *unpack;
    size_t unpacked;
    struct err *err;
};

/* --- entries ------------------------------------------------------------------------------------
 */

static void *take_memory(void *arg, size_t size)
{
    struct walk *walk = arg;
    size_t rounded = (size + 15) & ~(size_t)15;
    if (rounded > UNPACK_BYTES - walk->unpacked)
        return NULL;
    void *memory = walk->unpack + walk->unpacked;
    walk->unpacked += rounded;
    return memory;
}

static void keep_memory(void *arg, void *memory)
{
    (void)arg;
    (void)memory;
}

static void check_counter(struct walk *walk, const Sluice__V1__AuditEntry *entry)
{
    char boot[2 * COUNTERS_BOOT_BYTES + 1];
    enum counters_result result = counters_add(&walk->counters, entry->boot_id.data, entry->counter,
                                               walk->index, entry->time_us);
    if (result == COUNTERS_OK)
        return;
    hex_encode(entry->boot_id.data, COUNTERS_BOOT_BYTES, boot);
    if (result == COUNTERS_TWICE)
        verify_report_add(walk->report, VERIFY_COUNTER_TWICE, (int64_t)walk->index,
                          "count %" PRIu64 " of process %s", entry->counter, boot);
    else if (result == COUNTERS_ZERO)
        verify_report_add(walk->report, VERIFY_ENTRY, (int64_t)walk->index, "no count");
    else if (result == COUNTERS_FULL)
        verify_report_add(walk->report, VERIFY_COUNTER_GAP, (int64_t)walk->index,
                          "too many counts of process %s are missing", boot);
}

/* The RECOVERY entry that sums up names the worker that died. */
static void note_death(struct walk *walk, const Sluice__V1__AuditEntry *entry)
{
    uint8_t boot[COUNTERS_BOOT_BYTES];
    const char *object = entry->what != NULL ? entry->what->object : "";
    if (entry->kind == SLUICE__V1__AUDIT_ENTRY__KIND__RECOVERY && entry->stands_for > 0 &&
        strlen(object) == 2 * sizeof boot && hex_decode(object, 2 * sizeof boot, boot))
        counters_died(&walk->counters, boot, walk->index, entry->time_us);
}

static void check_entry(struct walk *walk, const Sluice__V1__AuditEntry *entry)
{
    int64_t index = (int64_t)walk->index;
    if (strcmp(entry->origin, walk->keys.origin) != 0)
        verify_report_add(walk->report, VERIFY_ENTRY, index, "of another log");
    if (entry->id.len != UUID_BYTES || entry->boot_id.len != COUNTERS_BOOT_BYTES)
        verify_report_add(walk->report, VERIFY_ENTRY, index, "no id or no process id");
    else
        check_counter(walk, entry);
    note_death(walk, entry);
    if (entry->time_us < 0 || entry->time_us > TIME_US_MAX)
        verify_report_add(walk->report, VERIFY_ENTRY, index, "no time");
    else if (entry->time_us < walk->latest_us - VERIFY_CLOCK_SLACK_US)
        verify_report_add(walk->report, VERIFY_NOTICE_TIME, index, "%" PRId64 " s before others",
                          (walk->latest_us - entry->time_us) / 1000000);
    if (entry->time_us > walk->latest_us && entry->time_us <= TIME_US_MAX)
        walk->latest_us = entry->time_us;
    if (entry->kind == SLUICE__V1__AUDIT_ENTRY__KIND__KEY_EVENT && entry->what != NULL) {
        struct err err = ERR_INIT;
        struct slice note = slice_of(entry->what->object, strlen(entry->what->object));
        if (log_keys_change(&walk->keys, note, &err) != 0)
            verify_report_add(walk->report, VERIFY_NOTICE_KEY, index, "%s", err.text);
    }
}

/* The columns line of this entry, taken off `rest`, against what the entry makes of it. */
static void check_columns(struct walk *walk, const Sluice__V1__AuditEntry *entry,
                          const uint8_t hash[MERKLE_HASH_BYTES], struct slice *rest)
{
    struct audit_columns columns;
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL) {
        verify_report_add(walk->report, VERIFY_COLUMNS, (int64_t)walk->index, "no line");
        *rest = slice_of(rest->data, 0);
        return;
    }
    struct slice line = slice_of(rest->data, (size_t)(end - rest->data) + 1);
    *rest = slice_of(end + 1, rest->len - line.len);
    if (entry == NULL)
        return;
    buf_reset(&walk->line);
    columns_from_entry(entry, (int64_t)walk->index, hash, &columns);
    const char *name = columns_write(&columns, &walk->line) == 0
                           ? columns_differ(line, buf_slice(&walk->line))
                           : "text";
    if (name != NULL)
        verify_report_add(walk->report, VERIFY_COLUMNS, (int64_t)walk->index, "%s", name);
}

static void check_leaf(struct walk *walk, struct slice leaf, const uint8_t hash[MERKLE_HASH_BYTES],
                       struct slice *lines)
{
    ProtobufCAllocator memory = { .alloc = take_memory,
                                  .free = keep_memory,
                                  .allocator_data = walk };
    walk->unpacked = 0;
    walk->report->entries++;
    walk->report->bytes += leaf.len;
    const Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(&memory, leaf.len, leaf.data);
    if (entry == NULL)
        verify_report_add(walk->report, VERIFY_ENTRY, (int64_t)walk->index, "not readable");
    else
        check_entry(walk, entry);
    check_columns(walk, entry, hash, lines);
}

/* --- hashes -------------------------------------------------------------------------------------
 */

/* Compares an open or full tile of a level above the lowest with the file. */
static int check_tile(struct walk *walk, unsigned at, struct tile_level *level)
{
    int found =
        tile_store_hashes(walk->store, walk->size, at, level->tile, &walk->hashes, walk->err);
    uint64_t first = level->tile * TILE_WIDTH;
    size_t len = (size_t)level->count * MERKLE_HASH_BYTES;
    if (found < 0 && walk->err->code != ERR_DATA_LOSS)
        return -1;
    if (found != 1 || walk->hashes.len != len) {
        verify_report_add(walk->report, VERIFY_TILE, (int64_t)(first << (TILE_HEIGHT * at)),
                          "tile %" PRIu64 " of level %u is missing or of a wrong size", level->tile,
                          at);
        err_clear(walk->err);
        return 0;
    }
    for (unsigned i = 0; i < level->count; i++) {
        size_t offset = (size_t)i * MERKLE_HASH_BYTES;
        if (level->doubtful[i] ||
            memcmp(level->hashes + offset, walk->hashes.data + offset, MERKLE_HASH_BYTES) == 0)
            continue;
        level->doubtful[i] = true;
        verify_report_add(walk->report, VERIFY_TILE, (int64_t)((first + i) << (TILE_HEIGHT * at)),
                          "hash %u of tile %" PRIu64 " of level %u", i, level->tile, at);
    }
    return 0;
}

static int on_full(void *arg, unsigned at, struct tile_level *level)
{
    return at == 0 ? 0 : check_tile(arg, at, level);
}

static void check_older_root(struct walk *walk)
{
    struct older *older = &walk->older;
    uint8_t root[MERKLE_HASH_BYTES];
    merkle_frontier_root(&walk->tiles.tree, root);
    if (older->differed || memcmp(root, older->checkpoint.root, sizeof root) == 0)
        return;
    older->differed = true;
    verify_report_add(walk->report, VERIFY_OLDER, -1,
                      "the first %" PRIu64 " entries are not those of the older checkpoint",
                      older->checkpoint.size);
}

/* The older copy's hash of this entry. */
static int check_older(struct walk *walk, const uint8_t hash[MERKLE_HASH_BYTES])
{
    struct older *older = &walk->older;
    unsigned slot = (unsigned)(walk->index % TILE_WIDTH);
    if (older->store == NULL || walk->index >= older->checkpoint.size)
        return 0;
    if (slot == 0) {
        int found = tile_store_hashes(older->store, older->checkpoint.size, 0,
                                      walk->index / TILE_WIDTH, &older->tile, walk->err);
        if (found == 0)
            return err_set(walk->err, ERR_FAILED_PRECONDITION, "OLDER_INCOMPLETE",
                           "The older copy has lost its hash tiles; give its checkpoint alone.");
        if (found < 0)
            return -1;
    }
    const uint8_t *kept = older->tile.data + (size_t)slot * MERKLE_HASH_BYTES;
    merkle_frontier_append(&older->tree, kept);
    if (!older->differed && memcmp(kept, hash, MERKLE_HASH_BYTES) != 0) {
        older->differed = true;
        verify_report_add(walk->report, VERIFY_OLDER, (int64_t)walk->index,
                          "not the entry of the older copy");
    }
    return 0;
}

static int add_hash(struct walk *walk, const uint8_t hash[MERKLE_HASH_BYTES], bool doubtful)
{
    if (check_older(walk, hash) != 0 ||
        tile_builder_push(&walk->tiles, hash, doubtful, on_full, walk) != 0)
        return -1;
    walk->index++;
    if (walk->older.read && walk->index == walk->older.checkpoint.size)
        check_older_root(walk);
    if (walk->options->progress != NULL &&
        (walk->index % PROGRESS_EVERY == 0 || walk->index == walk->size))
        walk->options->progress(walk->options->arg, walk->index, walk->size, walk->report->bytes);
    return 0;
}

/* --- bundles ------------------------------------------------------------------------------------
 */

static int read_part(struct walk *walk, enum tile_kind kind, uint64_t bundle, struct buf *out)
{
    char path[TILE_PATH_BYTES];
    struct tile tile = { .kind = kind, .index = bundle };
    tile.width = tile_width(walk->size, 0, bundle);
    tile_path(&tile, path);
    int found = tile_store_read(walk->store, path, out, walk->err);
    for (size_t i = 0; i < walk->archive_count && found == 0; i++)
        found = tile_store_read(walk->archives[i], path, out, walk->err);
    return found;
}

/* One entry of a bundle. `kept` is its hash in the tile, NULL when the tile is missing. 1: the bundle
 * cannot be read on from here. */
static int take_entry(struct walk *walk, struct slice *rest, struct slice *lines,
                      const uint8_t *kept)
{
    uint8_t hash[MERKLE_HASH_BYTES];
    struct slice leaf;
    if (tile_entry_next(rest, &leaf) != 1)
        return 1;
    merkle_leaf_hash(leaf.data, leaf.len, hash);
    bool differs = kept != NULL && memcmp(kept, hash, sizeof hash) != 0;
    if (leaf.len == 0)
        verify_report_add(walk->report, VERIFY_MISSING, (int64_t)walk->index, "entry");
    else if (differs)
        verify_report_add(walk->report, VERIFY_LEAF, (int64_t)walk->index, "hash differs");
    if (leaf.len > 0)
        check_leaf(walk, leaf, hash, lines);
    else
        check_columns(walk, NULL, hash, lines);
    return add_hash(walk, hash, differs);
}

static int walk_entries(struct walk *walk, unsigned width, bool tile)
{
    struct slice rest = buf_slice(&walk->bundle), lines = buf_slice(&walk->columns);
    struct buf kept; /* check_tile uses walk->hashes for the levels above */
    int result = 0;
    buf_init(&kept, TILE_BYTES_MAX);
    if (tile)
        (void)buf_append(&kept, walk->hashes.data, walk->hashes.len);
    for (unsigned i = 0; i < width && result == 0; i++) {
        const uint8_t *hash = tile ? kept.data + (size_t)i * MERKLE_HASH_BYTES : NULL;
        result = take_entry(walk, &rest, &lines, hash);
        if (result != 1)
            continue;
        verify_report_add(walk->report, VERIFY_MISSING, (int64_t)walk->index,
                          "the bundle ends before this entry does");
        result = 0;
        for (; tile && i < width && result == 0; i++)
            result = add_hash(walk, kept.data + (size_t)i * MERKLE_HASH_BYTES, true);
        rest.len = lines.len = 0;
        i = width;
    }
    if (result == 0 && (rest.len > 0 || lines.len > 0))
        verify_report_add(walk->report, VERIFY_TILE, (int64_t)walk->index,
                          "%s behind the last entry of a bundle", rest.len > 0 ? "bytes" : "lines");
    buf_fini(&kept);
    return result;
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

static bool take_batch(struct slice *rest, uint64_t *first_r, uint64_t *count_r)
{
    char id[UUID_TEXT_BYTES];
    uint8_t bytes[UUID_BYTES];
    if (rest->len < UUID_TEXT_BYTES || rest->data[UUID_TEXT_BYTES - 1] != ' ')
        return false;
    memcpy(id, rest->data, sizeof id);
    id[sizeof id - 1] = '\0';
    *rest = slice_of(rest->data + sizeof id, rest->len - sizeof id);
    return uuid_parse(id, bytes) && take_number(rest, ' ', first_r) &&
           take_number(rest, '\n', count_r) && *count_r > 0;
}

/* Each entry came in exactly one batch. */
static int check_batches(struct walk *walk, uint64_t bundle, unsigned width)
{
    uint64_t first, count;
    int found = read_part(walk, TILE_BATCHES, bundle, &walk->batches);
    if (found < 0)
        return -1;
    struct slice rest = buf_slice(&walk->batches);
    bool good = found == 1;
    while (good && rest.len > 0) {
        good = take_batch(&rest, &first, &count) && (first == walk->batch_next || !walk->whole);
        if (good)
            walk->batch_next = first + count;
    }
    if (good && (!walk->whole || walk->batch_next >= walk->index + width))
        return 0;
    if (!walk->batches_bad)
        verify_report_add(
            walk->report, VERIFY_BATCHES,
            (int64_t)(walk->batch_next > walk->index ? walk->batch_next : walk->index),
            found == 1 ? "the batches do not go on at this entry" : "missing");
    walk->batches_bad = true;
    return 0;
}

static bool wanted(const struct walk *walk, uint64_t first, unsigned width)
{
    return walk->whole || (first < walk->range.to && first + width > walk->range.from);
}

/* 1: the log ends here, though it should not. */
static int walk_bundle(struct walk *walk)
{
    uint64_t bundle = walk->index / TILE_WIDTH;
    unsigned width = tile_width(walk->size, 0, bundle);
    int tile = tile_store_hashes(walk->store, walk->size, 0, bundle, &walk->hashes, walk->err);
    if (tile < 0 && walk->err->code != ERR_DATA_LOSS)
        return -1;
    if (tile != 1) {
        verify_report_add(walk->report, VERIFY_TILE, (int64_t)walk->index,
                          "tile %" PRIu64 " of level 0 is missing or of a wrong size", bundle);
        err_clear(walk->err);
    }
    int entries = 0;
    if (wanted(walk, walk->index, width)) {
        entries = read_part(walk, TILE_ENTRIES, bundle, &walk->bundle);
        if (entries < 0 || read_part(walk, TILE_COLUMNS, bundle, &walk->columns) < 0 ||
            check_batches(walk, bundle, width) != 0)
            return -1;
        if (entries == 0)
            verify_report_add(walk->report, VERIFY_MISSING, (int64_t)walk->index, "bundle %" PRIu64,
                              bundle);
    }
    if (entries == 1)
        return walk_entries(walk, width, tile == 1);
    for (unsigned i = 0; i < width && tile == 1; i++) {
        uint8_t hash[MERKLE_HASH_BYTES];
        if (i == 0)
            (void)buf_reserve(&walk->bundle, TILE_BYTES_MAX);
        if (i == 0)
            memcpy(walk->bundle.data, walk->hashes.data, walk->hashes.len);
        memcpy(hash, walk->bundle.data + (size_t)i * MERKLE_HASH_BYTES, sizeof hash);
        if (add_hash(walk, hash, false) != 0)
            return -1;
    }
    return tile == 1 ? 0 : 1;
}

/* --- what lies beside ---------------------------------------------------------------------------
 */

/* A process takes what it counted in its last seconds along when it dies. Nothing was released for
 * it, because nobody is answered before the entry is stored; only so much does a death explain. */
static bool recovered(const struct counters_boot *boot, const struct counters_gap *gap)
{
    return boot->died_us > 0 && gap->time_us > boot->died_us - OPEN_GAP_US &&
           gap->time_us <= boot->died_us;
}

static void check_gaps(struct walk *walk)
{
    size_t at = 0, gap_at = 0;
    const struct counters_boot *boot;
    const struct counters_gap *gap;
    while (counters_next_gap(&walk->counters, &at, &gap_at, &boot, &gap)) {
        char id[2 * COUNTERS_BOOT_BYTES + 1];
        hex_encode(boot->id, COUNTERS_BOOT_BYTES, id);
        if (recovered(boot, gap)) {
            verify_report_add(walk->report, VERIFY_NOTICE_RECOVERED, (int64_t)gap->index,
                              "counts %" PRIu64 " to %" PRIu64 " of process %s; entry %" PRIu64,
                              gap->from, gap->to, id, boot->died_index);
            continue;
        }
        bool open = gap->time_us > walk->latest_us - OPEN_GAP_US;
        verify_report_add(walk->report, open ? VERIFY_NOTICE_OPEN_GAP : VERIFY_COUNTER_GAP,
                          (int64_t)gap->index, "counts %" PRIu64 " to %" PRIu64 " of process %s",
                          gap->from, gap->to, id);
    }
}

static int check_rest(struct walk *walk)
{
    uint8_t root[MERKLE_HASH_BYTES];
    struct verify_report *report = walk->report;
    for (unsigned at = 1; at < TILE_LEVELS; at++) {
        struct tile_level *level = &walk->tiles.levels[at];
        if (level->count > 0 && check_tile(walk, at, level) != 0)
            return -1;
    }
    merkle_frontier_root(&walk->tiles.tree, root);
    if (memcmp(root, report->checkpoint.root, sizeof root) != 0) {
        bool placed = report->first_bad >= 0;
        /* Nothing else shows where: entries, hashes and columns were changed together. */
        uint64_t from = walk->older.read && !walk->older.differed ? walk->older.checkpoint.size : 0;
        verify_report_add(report, VERIFY_ROOT, placed || from >= walk->size ? -1 : (int64_t)from,
                          placed ? "the entries do not make it"
                                 : "the entries do not make it; the place is here or behind");
    }
    if (!walk->whole)
        return 0;
    check_gaps(walk);
    if (walk->batch_next != walk->size && !walk->batches_bad)
        verify_report_add(report, VERIFY_BATCHES, -1, "the last batch ends elsewhere");
    return 0;
}

/* --- the older copy -----------------------------------------------------------------------------
 */

static int open_older(struct walk *walk)
{
    struct older *older = &walk->older;
    const char *path = walk->options->older;
    struct stat info;
    struct slice text, signatures;
    if (path == NULL)
        return 0;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        older->store = tile_store_open(path, false, walk->err);
        if (older->store == NULL)
            return -1;
    }
    struct tile_store *here =
        older->store != NULL ? older->store : tile_store_open(".", false, walk->err);
    int found = here != NULL ? tile_store_read(here, older->store != NULL ? "checkpoint" : path,
                                               &older->note, walk->err)
                             : -1;
    if (here != older->store)
        tile_store_close(&here);
    if (found < 0)
        return -1;
    if (found == 0)
        return err_set(walk->err, ERR_FAILED_PRECONDITION, "OLDER_MISSING",
                       "There is no older checkpoint at the place given.");
    struct err err = ERR_INIT;
    struct slice note;
    if (head_file_note(buf_slice(&older->note), &note)) { /* an auditor's state file will do too */
        memmove(older->note.data, note.data, note.len);
        older->note.len = note.len;
    }
    if (note_split(buf_slice(&older->note), &text, &signatures, &err) != 0 ||
        checkpoint_parse(text, &older->checkpoint, &err) != 0) {
        verify_report_add(walk->report, VERIFY_OLDER, -1, "%s", err.text);
        tile_store_close(&older->store);
        return 0;
    }
    older->read = older->checkpoint.size > 0;
    return 0;
}

static void finish_older(struct walk *walk)
{
    struct older *older = &walk->older;
    struct checkpoint ignored;
    uint8_t root[MERKLE_HASH_BYTES];
    if (!older->read || !verify_checkpoint(walk->report, &walk->keys, walk->options->policy,
                                           buf_slice(&older->note), true, &ignored))
        return;
    if (older->checkpoint.size > walk->size) {
        verify_report_add(walk->report, VERIFY_OLDER, (int64_t)walk->size,
                          "the older log has %" PRIu64 " entries, this one %" PRIu64,
                          older->checkpoint.size, walk->size);
        return;
    }
    merkle_frontier_root(&older->tree, root);
    if (older->store != NULL && older->tree.size == older->checkpoint.size &&
        memcmp(root, older->checkpoint.root, sizeof root) != 0)
        verify_report_add(walk->report, VERIFY_OLDER, -1, "the older copy is damaged itself");
}

/* --- the whole ----------------------------------------------------------------------------------
 */

/* Reads size and root; whether they are signed is known once the log's key changes are. */
static int read_checkpoint(struct walk *walk)
{
    struct verify_report *report = walk->report;
    struct slice text, signatures;
    struct err err = ERR_INIT;
    int found = tile_store_read(walk->store, "checkpoint", &walk->note, walk->err);
    if (found < 0)
        return -1;
    if (found == 0)
        return err_set(walk->err, ERR_FAILED_PRECONDITION, "NOT_AN_EXPORT",
                       "There is no checkpoint in the folder: it is no export of a log.");
    if (note_split(buf_slice(&walk->note), &text, &signatures, &err) != 0 ||
        checkpoint_parse(text, &report->checkpoint, &err) != 0) {
        verify_report_add(report, VERIFY_CHECKPOINT, -1, "%s", err.text);
        return 1;
    }
    report->checkpoint_read = true;
    walk->size = report->checkpoint.size;
    return 0;
}

/* Of what lies in archives, the part that goes on where the others end. */
static int open_archives(struct walk *walk)
{
    const struct verify_log_options *options = walk->options;
    for (size_t i = 0; i < options->archive_count; i++) {
        struct log_writer_range range;
        walk->archives[i] = tile_store_open(options->archives[i], false, walk->err);
        if (walk->archives[i] == NULL)
            return -1;
        walk->archive_count = i + 1;
        int found = log_writer_read_range(walk->archives[i], &range, walk->err);
        if (found < 0)
            return -1;
        if (found == 0)
            return err_set(walk->err, ERR_FAILED_PRECONDITION, "NOT_AN_ARCHIVE",
                           "One of the archives given is none: it has no range.");
        if (range.from > walk->archived || range.to % TILE_WIDTH != 0)
            return err_set(walk->err, ERR_FAILED_PRECONDITION, "ARCHIVES_GAP",
                           "Between the archives given entries are missing; name all, the oldest "
                           "first.");
        if (range.to > walk->archived)
            walk->archived = range.to;
    }
    return 0;
}

static int read_range(struct walk *walk)
{
    int found = log_writer_read_range(walk->store, &walk->range, walk->err);
    if (found < 0 || open_archives(walk) != 0)
        return -1;
    if (found == 0)
        walk->range = (struct log_writer_range){ 0, walk->size };
    if (walk->range.to > walk->size)
        walk->range.to = walk->size;
    if (walk->archived >= walk->range.from && walk->archived > 0)
        walk->range.from = 0;
    walk->whole = walk->range.from == 0 && walk->range.to == walk->size;
    walk->report->covered_from = walk->range.from;
    walk->report->covered_to = walk->range.to;
    if (!walk->whole)
        verify_report_add(walk->report, VERIFY_NOTICE_PARTIAL, -1,
                          "entries %" PRIu64 " to %" PRIu64, walk->range.from, walk->range.to);
    return 0;
}

static int run(struct walk *walk)
{
    int result = read_checkpoint(walk);
    if (result == 0)
        result = read_range(walk) < 0 ? -1 : open_older(walk);
    bool read = result == 0;
    while (result == 0 && walk->index < walk->size)
        result = walk_bundle(walk);
    if (result < 0)
        return -1;
    struct checkpoint ignored;
    (void)verify_checkpoint(walk->report, &walk->keys, walk->options->policy,
                            buf_slice(&walk->note), false, &ignored);
    walk->report->key_changes = walk->keys.count - 1;
    if (read)
        finish_older(walk);
    return result == 0 ? check_rest(walk) : 0;
}

static void walk_init(struct walk *walk)
{
    log_keys_init(&walk->keys, walk->options->policy);
    buf_init(&walk->note, NOTE_BYTES_MAX);
    buf_init(&walk->bundle, TILE_BUNDLE_BYTES_MAX);
    buf_init(&walk->columns, TILE_STORE_FILE_BYTES_MAX);
    buf_init(&walk->batches, TILE_STORE_FILE_BYTES_MAX);
    buf_init(&walk->hashes, TILE_BYTES_MAX);
    buf_init(&walk->line, COLUMNS_LINE_BYTES_MAX);
    buf_init(&walk->older.note, HEAD_FILE_BYTES_MAX);
    buf_init(&walk->older.tile, TILE_BYTES_MAX);
    merkle_frontier_init(&walk->older.tree);
    tile_builder_init(&walk->tiles);
    counters_init(&walk->counters);
    walk->latest_us = 0;
    walk->unpack = mem_zero(UNPACK_BYTES);
}

int verify_log(const char *folder, const struct verify_log_options *options,
               struct verify_report *report, struct err *err)
{
    struct tile_store *store = tile_store_open(folder, false, err);
    if (store == NULL)
        return -1;
    struct walk *walk = mem_zero(sizeof *walk);
    walk->options = options;
    walk->report = report;
    walk->store = store;
    walk->err = err;
    walk_init(walk);
    int result = run(walk);
    tile_store_close(&walk->store);
    tile_store_close(&walk->older.store);
    for (size_t i = 0; i < VERIFY_ARCHIVES_MAX; i++)
        tile_store_close(&walk->archives[i]);
    log_keys_fini(&walk->keys);
    counters_fini(&walk->counters);
    struct buf *bufs[] = { &walk->batches, &walk->note, &walk->bundle,     &walk->columns,
                           &walk->hashes,  &walk->line, &walk->older.note, &walk->older.tile };
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_fini(bufs[i]);
    free(walk->unpack);
    free(walk);
    return result;
}
