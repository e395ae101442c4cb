/* Whoever changes a log is found, and the first entry concerned is named. Two campaigns take long and run
 * alone: SLUICE_TAMPER_BITS=1 flips every bit of a log of 300 entries, SLUICE_TAMPER_EDITS=100000 makes so
 * many random edits of one of 5,000 (SLUICE_TAMPER_SEED chooses others). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "audit/tile.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "support/sample_log.h"

static struct sample_log sample;
static char *folder;

static void open_sample(size_t count, bool sm2)
{
    struct buf note;
    sample_log_init(&sample, sm2);
    sample_log_grow(&sample, count);
    folder = sample_folder();
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_sign(&sample, sample.signer, count, &note);
    sample_log_export(&sample, folder, buf_slice(&note));
    buf_fini(&note);
}

static void close_sample(void)
{
    sample_folder_remove(folder);
    free(folder);
    sample_log_fini(&sample);
}

static void check(const char *place, const char *older, struct verify_report *report)
{
    struct err err = ERR_INIT;
    struct verify_log_options options = { .policy = sample.policy, .older = older };
    verify_report_init(report);
    int result = verify_log(place, &options, report, &err);
    if (result != 0)
        print_error("%s\n", err.text);
    assert_int_equal(result, 0);
}

static bool has(const struct verify_report *report, enum verify_check wanted, int64_t index)
{
    for (size_t i = 0; i < report->kept; i++) {
        if (report->findings[i].check == wanted && report->findings[i].index == index)
            return true;
    }
    return false;
}

static void print_findings(const struct verify_report *report)
{
    for (size_t i = 0; i < report->kept; i++)
        print_error("%s at %lld: %s\n", verify_check_name(report->findings[i].check),
                    (long long)report->findings[i].index, report->findings[i].detail);
}

/* --- good logs --------------------------------------------------------------------------------- */

static void test_good_logs_of_all_sizes_pass(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 1000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct verify_report report;
        open_sample(sizes[i], i % 2 == 1);
        check(folder, NULL, &report);
        if (report.bad + report.notices > 0)
            print_findings(&report);
        assert_int_equal(report.bad + report.notices, 0);
        assert_int_equal(report.entries, sizes[i]);
        assert_int_equal(report.checkpoint.size, sizes[i]);
        close_sample();
    }
}

/* An export that grows by and by is the export made at once, partial tiles apart. */
static void test_an_export_goes_on(void **state)
{
    (void)state;
    struct verify_report report;
    struct buf note;
    buf_init(&note, NOTE_BYTES_MAX);
    open_sample(100, false);
    static const size_t steps[] = { 1, 155, 0, 1, 300, 700, 65536 };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        /* Batches of the sample are cut at the end of each export, so it grows by whole ones. */
        sample_log_grow(&sample, steps[i]);
        sample_log_sign(&sample, sample.signer, sample.count, &note);
        if (i == 6) {
            sample_folder_remove(folder);
            free(folder);
            folder = sample_folder();
        }
        sample_log_export(&sample, folder, buf_slice(&note));
        check(folder, NULL, &report);
        for (size_t k = 0; k < report.kept; k++)
            assert_int_equal(report.findings[k].check, VERIFY_BATCHES);
        assert_int_equal(report.entries, sample.count);
    }
    buf_fini(&note);
    close_sample();
}

static void test_a_missing_folder_cannot_be_checked(void **state)
{
    (void)state;
    open_sample(3, false);
    struct verify_report report;
    struct err err = ERR_INIT;
    struct verify_log_options options = { .policy = sample.policy };
    verify_report_init(&report);
    assert_int_equal(verify_log("no-such-folder", &options, &report, &err), -1);
    options.older = "no-such-file";
    assert_int_equal(verify_log(folder, &options, &report, &err), -1);
    close_sample();
}

/* --- bits --------------------------------------------------------------------------------------- */

struct files {
    char *paths[512];
    size_t count;
};
static struct files *listing;

static int list_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)walk;
    if (kind == FTW_F && listing->count < 512 && strstr(path, ".writing") == NULL)
        listing->paths[listing->count++] = mem_strdup(path);
    return 0;
}

static void list_files(struct files *files)
{
    files->count = 0;
    listing = files;
    assert_int_equal(nftw(folder, list_one, 16, FTW_PHYS), 0);
}

static size_t read_file(const char *path, uint8_t **data_r)
{
    struct stat info;
    int fd = open(path, O_RDONLY);
    assert_int_equal(fstat(fd, &info), 0);
    *data_r = mem_zero((size_t)info.st_size + 1);
    assert_int_equal(read(fd, *data_r, (size_t)info.st_size), info.st_size);
    (void)close(fd);
    return (size_t)info.st_size;
}

static void write_file(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0644);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    (void)close(fd);
}

static void poke(const char *path, size_t at, uint8_t byte)
{
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    (void)close(fd);
}

/* The entry a byte of a file belongs to; -1: none (checkpoint). -2: a batch id, which nothing that is
 * signed speaks of. */
static int64_t owner_of(const char *path, const uint8_t *data, size_t at)
{
    struct tile tile;
    size_t entry = 0;
    if (!tile_path_parse(path + strlen(folder) + 1, &tile))
        return -1;
    if (tile.kind == TILE_HASHES)
        return (int64_t)((tile.index * TILE_WIDTH + at / MERKLE_HASH_BYTES)
                         << (TILE_HEIGHT * tile.level));
    if (tile.kind == TILE_ENTRIES) {
        for (size_t next = 0;; entry++) {
            next += 2 + ((size_t)data[next] << 8 | data[next + 1]);
            if (at < next)
                return (int64_t)(tile.index * TILE_WIDTH + entry);
        }
    }
    size_t line = 0, column = 0;
    for (size_t i = 0; i < at; i++) {
        column = data[i] == '\n' ? 0 : column + 1;
        line += data[i] == '\n' ? 1 : 0;
    }
    if (tile.kind == TILE_COLUMNS)
        return (int64_t)(tile.index * TILE_WIDTH + line);
    return -2;
}

/* Every byte, each time with the next of its bits; or every bit. */
static uint64_t flip_all(size_t bits_each)
{
    struct files files;
    uint64_t flips = 0;
    list_files(&files);
    for (size_t f = 0; f < files.count; f++) {
        uint8_t *data;
        size_t len = read_file(files.paths[f], &data);
        for (size_t at = 0; at < len; at++) {
            int64_t owner = owner_of(files.paths[f], data, at);
            for (size_t b = 0; b < bits_each; b++) {
                struct verify_report report;
                struct err err = ERR_INIT;
                struct verify_log_options options = { .policy = sample.policy };
                unsigned bit = (unsigned)(bits_each == 8 ? b : at % 8);
                poke(files.paths[f], at, (uint8_t)(data[at] ^ 1u << bit));
                verify_report_init(&report);
                int result = verify_log(folder, &options, &report, &err);
                bool found = result != 0 || report.bad > 0;
                /* A batch's id may become another id, and hex may change its case. */
                if (owner != -2 && (!found || (owner >= 0 && report.first_bad != owner))) {
                    print_error("%s byte %zu bit %u: expected %lld, found %lld\n", files.paths[f],
                                at, bit, (long long)owner, (long long)report.first_bad);
                    print_findings(&report);
                    fail();
                }
                flips++;
            }
            poke(files.paths[f], at, data[at]);
        }
        free(data);
        free(files.paths[f]);
    }
    return flips;
}

static void test_every_byte_of_a_small_log(void **state)
{
    (void)state;
    open_sample(64, false);
    assert_true(flip_all(1) > 20000);
    close_sample();
}

/* --- edits ------------------------------------------------------------------------------------- */

enum edit {
    EDIT_LEAF_BYTE,     /* the bytes alone */
    EDIT_LEAF_FITTED,   /* bytes, hash and columns together */
    EDIT_HASH,          /* the stored hash alone */
    EDIT_COLUMN,        /* a search column alone */
    EDIT_DELETE,        /* the row is gone */
    EDIT_DELETE_FITTED, /* and those behind it are numbered anew */
    EDIT_INSERT_FITTED, /* a copy put in, the others numbered anew */
    EDIT_SWAP,          /* two rows in each other's place, with all their columns */
    EDIT_TRUNCATE,      /* the end is gone */
    EDIT_COUNT
};

static const char *const edit_names[EDIT_COUNT] = { "leaf byte", "leaf fitted", "hash",
                                                    "column",    "delete",      "delete fitted",
                                                    "insert",    "swap",        "truncate" };

static void refit(struct sample_log *log, size_t from)
{
    for (size_t i = from; i < log->count; i++) {
        /* The id's index is the last column. */
        char *tab = strrchr(log->entries[i].columns, '\t');
        char *line = mem_format("%.*s\t%zu\n", (int)(tab - log->entries[i].columns),
                                log->entries[i].columns, i);
        free(log->entries[i].columns);
        log->entries[i].columns = line;
    }
}

static void put_empty(struct sample_entry *entry)
{
    sample_entry_fini(entry);
    entry->leaf = mem_zero(1);
    entry->leaf_len = 0;
    entry->columns = mem_strdup("missing\n");
    merkle_leaf_hash("", 0, entry->leaf_hash);
}

/* A copy of the sample with one edit at `at`; answers the first entry concerned. */
static size_t edit(struct sample_log *copy, enum edit kind, size_t at, unsigned random)
{
    struct sample_entry *entry = &copy->entries[at], other;
    size_t second = (at + 1 + random % 50) % copy->count;
    switch (kind) {
    case EDIT_LEAF_BYTE:
    case EDIT_LEAF_FITTED:
        entry->leaf[random % entry->leaf_len] ^= (uint8_t)(1 + random % 255);
        if (kind == EDIT_LEAF_FITTED)
            sample_entry_fit(entry, at);
        break;
    case EDIT_HASH:
        entry->leaf_hash[random % MERKLE_HASH_BYTES] ^= (uint8_t)(1 + random % 255);
        break;
    case EDIT_COLUMN:
        entry->columns[random % (strlen(entry->columns) - 1)] ^= 1;
        break;
    case EDIT_DELETE:
        put_empty(entry);
        break;
    case EDIT_DELETE_FITTED:
        sample_entry_fini(entry);
        memmove(entry, entry + 1, (--copy->count - at) * sizeof *entry);
        refit(copy, at);
        sample_log_grow(copy, 1);
        break;
    case EDIT_INSERT_FITTED:
        other = sample_entry_dup(&copy->entries[second]);
        sample_entry_fini(&copy->entries[--copy->count]);
        memmove(entry + 1, entry, (copy->count++ - at) * sizeof *entry);
        *entry = other;
        refit(copy, at);
        break;
    case EDIT_SWAP:
        other = *entry;
        *entry = copy->entries[second];
        copy->entries[second] = other;
        refit(copy, 0);
        at = second < at ? second : at;
        break;
    case EDIT_TRUNCATE:
        for (size_t i = at; i < copy->count; i++)
            put_empty(&copy->entries[i]);
        break;
    case EDIT_COUNT:
        break;
    }
    return at;
}

static struct sample_log sample_copy(void)
{
    struct sample_log copy = sample;
    copy.room = copy.count + 8;
    copy.entries = mem_array(copy.room, sizeof *copy.entries);
    for (size_t i = 0; i < copy.count; i++)
        copy.entries[i] = sample_entry_dup(&sample.entries[i]);
    return copy;
}

static void free_copy(struct sample_log *copy)
{
    for (size_t i = 0; i < copy->count; i++)
        sample_entry_fini(&copy->entries[i]);
    free(copy->entries);
}

/* Exports the edited copy under the true checkpoint and looks whether the place is named, with an
 * older export at hand. */
static void edit_and_check(enum edit kind, size_t at, unsigned random, struct slice note,
                           const char *older)
{
    struct sample_log copy = sample_copy();
    char *place = sample_folder();
    struct verify_report report;
    size_t first = edit(&copy, kind, at, random);
    sample_log_export(&copy, place, note);
    check(place, older, &report);
    if (report.bad == 0 || report.first_bad != (int64_t)first) {
        print_error("%s at %zu, random %u: named %lld, wanted %zu\n", edit_names[kind], at, random,
                    (long long)report.first_bad, first);
        print_findings(&report);
        fail();
    }
    sample_folder_remove(place);
    free(place);
    free_copy(&copy);
}

static void run_edits(size_t size, uint64_t edits, uint32_t seed)
{
    struct buf note;
    int64_t shown = clock_monotonic_us();
    open_sample(size, false);
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_sign(&sample, sample.signer, size, &note);
    for (uint64_t i = 0; i < edits; i++) {
        seed = seed * 1664525 + 1013904223;
        unsigned random = seed >> 8;
        edit_and_check((enum edit)(i % EDIT_COUNT), random % size, random ^ seed << 3,
                       buf_slice(&note), folder);
        if (clock_monotonic_us() - shown > 60000000) {
            shown = clock_monotonic_us();
            print_message("%llu edits\n", (unsigned long long)(i + 1));
        }
    }
    buf_fini(&note);
    close_sample();
}

static void test_edits_of_all_kinds(void **state)
{
    (void)state;
    run_edits(600, 20 * EDIT_COUNT, 1);
}

static void test_every_bit_of_a_larger_log(void **state)
{
    (void)state;
    open_sample(300, false);
    print_message("%llu bits of a log of 300 entries\n", (unsigned long long)flip_all(8));
    close_sample();
}

static void test_random_edits_of_a_larger_log(void **state)
{
    (void)state;
    const char *edits = getenv("SLUICE_TAMPER_EDITS");
    const char *seed = getenv("SLUICE_TAMPER_SEED");
    run_edits(5000, strtoull(edits, NULL, 10),
              seed != NULL ? (uint32_t)strtoul(seed, NULL, 10) : 7);
}

/* Entries, hashes and columns changed together and no older copy: the root shows it, not where. */
static void test_a_careful_forger_is_found_without_an_older_copy(void **state)
{
    (void)state;
    struct buf note;
    struct verify_report report;
    open_sample(400, false);
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_sign(&sample, sample.signer, 400, &note);
    struct sample_log copy = sample_copy();
    (void)edit(&copy, EDIT_LEAF_FITTED, 300, 77);
    char *place = sample_folder();
    sample_log_export(&copy, place, buf_slice(&note));
    check(place, NULL, &report);
    assert_true(report.bad > 0);

    /* A checkpoint kept from before the place narrows it. */
    char *kept = mem_format("%s/kept", place);
    sample_log_sign(&sample, sample.signer, 290, &note);
    write_file(kept, note.data, note.len);
    check(place, kept, &report);
    assert_true(report.bad > 0 && report.first_bad >= 290 && report.first_bad <= 300);

    /* One from behind it shows that the log is not the one that was signed then. */
    sample_log_sign(&sample, sample.signer, 350, &note);
    write_file(kept, note.data, note.len);
    check(place, kept, &report);
    assert_true(has(&report, VERIFY_OLDER, -1));
    free(kept);
    sample_folder_remove(place);
    free(place);
    free_copy(&copy);
    buf_fini(&note);
    close_sample();
}

/* A log rewritten with its own key is a good log; only what somebody kept shows it. */
static void test_a_rewritten_log_is_found_by_what_was_kept(void **state)
{
    (void)state;
    struct buf note;
    struct verify_report report;
    open_sample(500, false);
    buf_init(&note, NOTE_BYTES_MAX);
    struct sample_log copy = sample_copy();
    (void)edit(&copy, EDIT_LEAF_FITTED, 123, 9);
    copy.signer = sample.signer;
    sample_log_sign(&copy, sample.signer, 500, &note);
    char *place = sample_folder();
    sample_log_export(&copy, place, buf_slice(&note));
    check(place, folder, &report);
    assert_int_equal(report.first_bad, 123);
    assert_true(has(&report, VERIFY_OLDER, 123));

    /* Rolled back: fewer entries than the copy kept. */
    sample_folder_remove(place);
    sample_log_sign(&sample, sample.signer, 450, &note);
    sample_log_export(&sample, place, buf_slice(&note));
    check(place, folder, &report);
    assert_true(has(&report, VERIFY_OLDER, 450));
    sample_folder_remove(place);
    free(place);
    free_copy(&copy);
    buf_fini(&note);
    close_sample();
}

/* --- counters, keys, ranges ------------------------------------------------------------------- */

static void test_an_entry_that_never_came_leaves_a_gap(void **state)
{
    (void)state;
    struct verify_report report;
    struct buf note;
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_init(&sample, false);
    sample_log_grow(&sample, 40);
    sample.next_counter[0]++; /* admitted, and dropped before the queue */
    sample_log_grow(&sample, 40);
    folder = sample_folder();
    sample_log_sign(&sample, sample.signer, sample.count, &note);
    sample_log_export(&sample, folder, buf_slice(&note));
    check(folder, NULL, &report);
    assert_int_equal(report.bad, 1);
    assert_true(has(&report, VERIFY_COUNTER_GAP, 40));
    close_sample();

    /* One of the last moments may still be on its way. */
    sample_log_init(&sample, false);
    sample_log_grow(&sample, 40);
    sample.next_counter[0]++;
    sample_log_grow(&sample, 2);
    folder = sample_folder();
    sample_log_sign(&sample, sample.signer, sample.count, &note);
    sample_log_export(&sample, folder, buf_slice(&note));
    check(folder, NULL, &report);
    assert_int_equal(report.bad, 0);
    assert_int_equal(report.notices, 1);
    close_sample();

    /* A count used twice. */
    sample_log_init(&sample, false);
    sample_log_grow(&sample, 40);
    sample.next_counter[0] -= 2;
    sample_log_grow(&sample, 1);
    folder = sample_folder();
    sample_log_sign(&sample, sample.signer, sample.count, &note);
    sample_log_export(&sample, folder, buf_slice(&note));
    check(folder, NULL, &report);
    assert_true(has(&report, VERIFY_COUNTER_TWICE, 40));
    close_sample();
    buf_fini(&note);
}

/* Only what a process counted in its last seconds goes with it; anything else looks like an omission. */
static void test_a_death_explains_the_gap_before_it(void **state)
{
    (void)state;
    static const struct {
        size_t between; /* seconds from the gap to the entry that tells of the death */
        size_t who;
        bool before; /* told before the gap */
        bool explained;
    } cases[] = { { 3, 0, false, true },
                  { 30, 0, false, false },
                  { 3, 1, false, false },
                  { 3, 0, true, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verify_report report;
        struct buf note;
        buf_init(&note, NOTE_BYTES_MAX);
        sample_log_init(&sample, false);
        sample_log_grow(&sample, 40);
        if (cases[i].before)
            sample_log_recovery(&sample, cases[i].who);
        sample.next_counter[0]++;
        sample_log_grow(&sample, cases[i].between);
        if (!cases[i].before)
            sample_log_recovery(&sample, cases[i].who);
        sample_log_grow(&sample, 60);
        folder = sample_folder();
        sample_log_sign(&sample, sample.signer, sample.count, &note);
        sample_log_export(&sample, folder, buf_slice(&note));
        check(folder, NULL, &report);
        assert_int_equal(report.bad, cases[i].explained ? 0 : 1);
        assert_int_equal(report.notices, cases[i].explained ? 1 : 0);
        assert_int_equal(report.findings[0].check,
                         cases[i].explained ? VERIFY_NOTICE_RECOVERED : VERIFY_COUNTER_GAP);
        close_sample();
        buf_fini(&note);
    }
}

static void change_keys(const struct note_signer *from, const struct note_signer *to)
{
    struct buf change;
    buf_init(&change, LOG_KEYS_NOTE_BYTES_MAX);
    assert_int_equal(log_keys_change_write(SAMPLE_ORIGIN, from, to, &change), 0);
    sample_log_key_event(&sample, buf_cstr(&change));
    buf_fini(&change);
}

static void export_signed(const struct note_signer *signer, struct verify_report *report)
{
    struct buf note;
    buf_init(&note, NOTE_BYTES_MAX);
    sample_folder_remove(folder);
    sample_log_sign(&sample, signer, sample.count, &note);
    sample_log_export(&sample, folder, buf_slice(&note));
    check(folder, NULL, report);
    buf_fini(&note);
}

static void test_keys_follow_the_chain_from_the_pinned_one(void **state)
{
    (void)state;
    for (int sm2 = 0; sm2 < 2; sm2++) {
        struct verify_report report;
        struct note_signer *second = sample_signer(SAMPLE_ORIGIN, sm2 == 1);
        struct note_signer *third = sample_signer(SAMPLE_ORIGIN, sm2 == 1);
        open_sample(10, sm2 == 1);
        export_signed(second, &report);
        assert_true(has(&report, VERIFY_CHECKPOINT, -1)); /* not named by anybody */
        change_keys(sample.signer, second);
        sample_log_grow(&sample, 5);
        export_signed(second, &report);
        assert_int_equal(report.bad + report.notices, 0);
        assert_int_equal(report.key_changes, 1);
        export_signed(sample.signer, &report); /* between the entry and the change */
        assert_int_equal(report.bad, 0);
        assert_true(has(&report, VERIFY_NOTICE_OLD_KEY, -1));
        change_keys(sample.signer, third); /* the old key has no say any more */
        export_signed(third, &report);
        assert_true(report.bad > 0 && has(&report, VERIFY_NOTICE_KEY, 16));
        change_keys(second, third);
        export_signed(third, &report);
        assert_int_equal(report.bad, 0);
        assert_int_equal(report.key_changes, 2);
        export_signed(sample.signer, &report); /* two changes ago */
        assert_true(has(&report, VERIFY_CHECKPOINT, -1));
        note_signer_free(&second);
        note_signer_free(&third);
        close_sample();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_logs_of_all_sizes_pass),
        cmocka_unit_test(test_an_export_goes_on),
        cmocka_unit_test(test_a_missing_folder_cannot_be_checked),
        cmocka_unit_test(test_every_byte_of_a_small_log),
        cmocka_unit_test(test_edits_of_all_kinds),
        cmocka_unit_test(test_a_careful_forger_is_found_without_an_older_copy),
        cmocka_unit_test(test_a_rewritten_log_is_found_by_what_was_kept),
        cmocka_unit_test(test_an_entry_that_never_came_leaves_a_gap),
        cmocka_unit_test(test_a_death_explains_the_gap_before_it),
        cmocka_unit_test(test_keys_follow_the_chain_from_the_pinned_one),
    };
    const struct CMUnitTest bits[] = { cmocka_unit_test(test_every_bit_of_a_larger_log) };
    const struct CMUnitTest edits[] = { cmocka_unit_test(test_random_edits_of_a_larger_log) };
    if (getenv("SLUICE_TAMPER_BITS") != NULL)
        return cmocka_run_group_tests(bits, NULL, NULL);
    if (getenv("SLUICE_TAMPER_EDITS") != NULL)
        return cmocka_run_group_tests(edits, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
