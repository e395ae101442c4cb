/* audit: an archive names each of its files, and a pruned log is whole again with its archives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/archive.h"
#include "audit/tile.h"
#include "audit/tile_store.h"
#include "base/err.h"
#include "base/mem.h"
#include "support/sample_log.h"

enum { ENTRIES = 2100, CUT = 1024 };

static struct sample_log sample;

/* --- folders ------------------------------------------------------------------------------------ */

static void put(const char *folder, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    struct tile_store *store = tile_store_open(folder, false, &err);
    assert_int_equal(tile_store_replace(store, name, slice_of(text, strlen(text)), &err), 0);
    tile_store_close(&store);
}

static void drop(const char *folder, enum tile_kind kind, uint64_t bundle)
{
    char path[TILE_PATH_BYTES];
    struct tile tile = { .kind = kind, .index = bundle };
    tile.width = tile_width(ENTRIES, 0, bundle);
    tile_path(&tile, path);
    char *whole = mem_format("%s/%s", folder, path);
    assert_int_equal(unlink(whole), 0);
    free(whole);
}

/* The sample's export, with bundles of [from, to) only. */
static char *make_folder(uint64_t from, uint64_t to, const char *range)
{
    struct buf note;
    char *folder = sample_folder();
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_sign(&sample, sample.signer, ENTRIES, &note);
    sample_log_export(&sample, folder, buf_slice(&note));
    buf_fini(&note);
    for (uint64_t i = 0; i * TILE_WIDTH < ENTRIES; i++) {
        if (i * TILE_WIDTH >= from && i * TILE_WIDTH < to)
            continue;
        drop(folder, TILE_ENTRIES, i);
        drop(folder, TILE_COLUMNS, i);
        drop(folder, TILE_BATCHES, i);
    }
    if (range != NULL)
        put(folder, "range", range);
    return folder;
}

static void remove_folder(char *folder)
{
    sample_folder_remove(folder);
    free(folder);
}

static int verify(const char *folder, const char *const *archives, size_t count,
                  struct verify_report *report)
{
    struct err err = ERR_INIT;
    struct verify_log_options options = { .policy = sample.policy,
                                          .archives = archives,
                                          .archive_count = count };
    verify_report_init(report);
    return verify_log(folder, &options, report, &err);
}

/* --- tests -------------------------------------------------------------------------------------- */

static void an_archive_names_its_files(void **state)
{
    (void)state;
    struct verify_report report;
    struct err err = ERR_INIT;
    struct buf text;
    char *folder = make_folder(0, CUT, "0 1024\n");
    buf_init(&text, ARCHIVE_MANIFEST_BYTES_MAX);
    assert_int_equal(archive_read(folder, &text, &err), 0);
    assert_int_equal(archive_seal(folder, &err), 0);
    assert_int_equal(archive_seal(folder, &err), 0); /* the same again */
    assert_int_equal(archive_read(folder, &text, &err), 1);
    assert_non_null(strstr(buf_cstr(&text), "sluice-archive/1\norigin " SAMPLE_ORIGIN
                                            "\nfirst 0\nlast 1023\nsize 2100\nroot "));
    assert_non_null(strstr(buf_cstr(&text), "  tile/entries/003\n"));
    assert_null(strstr(buf_cstr(&text), "  tile/entries/004\n"));
    assert_non_null(strstr(buf_cstr(&text), "  tile/0/008.p/52\n"));
    assert_int_equal(verify(folder, NULL, 0, &report), 0);
    assert_int_equal(archive_verify(folder, &report, &err), 0);
    assert_int_equal(report.bad, 0);
    assert_int_equal(report.covered_to, CUT);
    assert_int_equal(report.entries, CUT);
    buf_fini(&text);
    remove_folder(folder);
}

static void what_differs_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "columns/002", "batches/001", "tile/1/000.p/8", "range" };
    struct err err = ERR_INIT;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct verify_report report;
        char *folder = make_folder(0, CUT, "0 1024\n");
        assert_int_equal(archive_seal(folder, &err), 0);
        put(folder, names[i], strcmp(names[i], "range") == 0 ? "0 768\n" : "x");
        verify_report_init(&report);
        assert_int_equal(archive_verify(folder, &report, &err), 0);
        assert_int_equal(report.bad, 1);
        assert_int_equal(report.findings[0].check, VERIFY_MANIFEST);
        if (strcmp(names[i], "range") != 0) /* there, the line of the last index */
            assert_string_equal(report.findings[0].detail, names[i]);
        remove_folder(folder);
    }
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    struct verify_report report;
    struct err err = ERR_INIT;
    char *folder = make_folder(0, CUT, "0 1024\n");
    assert_int_equal(archive_seal(folder, &err), 0);
    drop(folder, TILE_COLUMNS, 3);
    verify_report_init(&report);
    assert_int_equal(archive_verify(folder, &report, &err), 0);
    assert_int_equal(report.bad, 1);
    assert_non_null(strstr(report.findings[0].detail, "columns/003"));
    remove_folder(folder);

    folder = make_folder(0, CUT, NULL); /* no range: an export, no archive */
    assert_int_equal(archive_seal(folder, &err), -1);
    assert_string_equal(err.reason, "NOT_AN_ARCHIVE");
    remove_folder(folder);
}

static void manifests_cut_at_each_line_are_found(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf text;
    char *folder = make_folder(0, CUT, "0 1024\n");
    buf_init(&text, ARCHIVE_MANIFEST_BYTES_MAX);
    assert_int_equal(archive_seal(folder, &err), 0);
    assert_int_equal(archive_read(folder, &text, &err), 1);
    char *whole = mem_strdup(buf_cstr(&text));
    for (size_t at = 0; at < strlen(whole); at++) {
        struct verify_report report;
        if (at > 0 && whole[at - 1] != '\n')
            continue;
        char kept = whole[at];
        whole[at] = '\0';
        put(folder, ARCHIVE_MANIFEST, whole);
        whole[at] = kept;
        verify_report_init(&report);
        assert_int_equal(archive_verify(folder, &report, &err), 0);
        assert_int_equal(report.bad, 1);
    }
    free(whole);
    buf_fini(&text);
    remove_folder(folder);
}

static void a_pruned_log_is_whole_with_its_archives(void **state)
{
    (void)state;
    struct verify_report report;
    char *first = make_folder(0, CUT, "0 1024\n");
    char *second = make_folder(CUT, 2048, "1024 2048\n");
    char *rest = make_folder(2048, ENTRIES, "2048 9999999999999\n");
    const char *const both[] = { first, second }, *const gap[] = { second },
                      *const one[] = { first };
    assert_int_equal(verify(rest, NULL, 0, &report), 0);
    assert_int_equal(report.bad, 0);
    assert_int_equal(report.notices, 1); /* partial */
    assert_int_equal(report.covered_from, 2048);
    assert_int_equal(verify(rest, both, 2, &report), 0);
    assert_int_equal(report.bad + report.notices, 0);
    assert_int_equal(report.entries, ENTRIES);
    assert_int_equal(report.covered_from, 0);
    assert_int_equal(verify(rest, gap, 1, &report), -1);
    assert_int_equal(verify(rest, one, 1, &report), 0);
    assert_int_equal(report.covered_from, 2048); /* what lies between is nowhere */
    drop(second, TILE_ENTRIES, 5);
    assert_int_equal(verify(rest, both, 2, &report), 0);
    assert_int_equal(report.first_bad, 5 * TILE_WIDTH);
    put(second, "range", "1024 what\n");
    assert_int_equal(verify(rest, both, 2, &report), -1);
    remove_folder(first);
    remove_folder(second);
    remove_folder(rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_names_its_files),
        cmocka_unit_test(what_differs_is_named),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(manifests_cut_at_each_line_are_found),
        cmocka_unit_test(a_pruned_log_is_whole_with_its_archives),
    };
    sample_log_init(&sample, false);
    sample_log_grow(&sample, ENTRIES);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sample_log_fini(&sample);
    return failed;
}
