/* What the tests of mappings, filters and plans share: bundles in a temporary folder, binary
 *   rows.
 * Ownership: bundles and results are the test's; the folder is removed by bundle_from.
 * Never calls back.
 * Limits: ROW_COLUMNS_MAX columns. A db_rows is a PGresult seen through a narrower window, so
 *   rows are made with libpq. */
#ifndef SLUICE_TESTS_SCHEMA_SUPPORT_H
#define SLUICE_TESTS_SCHEMA_SUPPORT_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "schema/bundle.h"
#include "schema/filter.h"
#include "schema/json.h"
#include "schema/plan.h"

enum { ROW_COLUMNS_MAX = 32 };

struct file_text {
    const char *path; /* "departments/d/x.yaml" */
    const char *text;
};

static inline void make_folders(const char *path)
{
    char copy[512];
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *p = copy + 1; *p != '\0'; p++)
        if (*p == '/') {
            *p = '\0';
            (void)mkdir(copy, 0700);
            *p = '/';
        }
}

static inline int remove_entry(const char *path, const struct stat *status, int flag,
                               struct FTW *at)
{
    (void)status;
    (void)flag;
    (void)at;
    return remove(path);
}

static inline struct schema_bundle *bundle_from(const struct file_text *files, size_t count,
                                                const char *descriptors, struct err *err)
{
    char dir[] = "/tmp/sluice-bundle-XXXXXX", path[512];
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i].path);
        make_folders(path);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(files[i].text, file) >= 0);
        (void)fclose(file);
    }
    struct schema_bundle *bundle = schema_bundle_load(dir, descriptors, err);
    assert_int_equal(nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    return bundle;
}

#define EVERYTHING_PB "tests/golden/schema/everything.pb"

static inline const char *canonical_pb(void)
{
    static char path[512];
    const char *out = getenv("O");
    (void)snprintf(path, sizeof path, "%s/schemas/canonical.pb", out != NULL ? out : "build");
    return path;
}

/* A mapping of test.v1.Everything with these columns and fields. */
static inline struct schema_bundle *everything(const char *columns, const char *fields,
                                               struct err *err)
{
    char *text = mem_format("version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\n"
                            "source: s\ntable: t\nsharing: open\n%s%s%sfields:\n%s",
                            columns[0] != '\0' ? "columns: " : "", columns,
                            columns[0] != '\0' ? "\n" : "", fields);
    struct file_text file = { "departments/d/x.yaml", text };
    struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, err);
    free(text);
    return bundle;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

struct cell {
    const void *data; /* NULL: SQL NULL */
    size_t len;
};
#define CELL(text_)                                                                                \
    (struct cell)                                                                                  \
    {                                                                                              \
        (text_), strlen(text_)                                                                     \
    }
#define BYTES(bytes_)                                                                              \
    (struct cell)                                                                                  \
    {                                                                                              \
        (bytes_), sizeof(bytes_) - 1                                                               \
    }
#define NULL_CELL                                                                                  \
    (struct cell)                                                                                  \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static inline PGresult *new_rows(const struct cell *cells, size_t count)
{
    PGresAttDesc columns[ROW_COLUMNS_MAX];
    memset(columns, 0, sizeof columns);
    assert_true(count <= ROW_COLUMNS_MAX);
    for (size_t i = 0; i < count; i++) {
        columns[i].name = (char *)"c";
        columns[i].format = 1;
    }
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert_true(PQsetResultAttrs(result, (int)count, columns));
    for (size_t i = 0; i < count; i++)
        assert_true(PQsetvalue(result, 0, (int)i, (char *)(uintptr_t)cells[i].data,
                               cells[i].data == NULL ? -1 : (int)cells[i].len));
    return result;
}

static inline const struct db_rows *as_rows(const PGresult *result)
{
    return (const struct db_rows *)(const void *)result;
}

static inline void all_fields(uint8_t bitmap[PLAN_BITMAP_BYTES])
{
    memset(bitmap, 0xff, PLAN_BITMAP_BYTES);
}

static inline struct schema_bundle *published(void)
{
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = schema_bundle_load("schemas", canonical_pb(), &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    return bundle;
}

static inline struct schema_plan *full_plan(const struct schema_dataset *dataset)
{
    uint8_t fields[PLAN_BITMAP_BYTES];
    struct err err = ERR_INIT;
    all_fields(fields);
    struct schema_plan *plan = schema_plan_new(dataset, fields, NULL, &err);
    assert_non_null(plan);
    return plan;
}

struct outcome {
    char json[4096];
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    bool has_key;
    int result;
    struct schema_row_report report;
};

static inline void run_row(const struct schema_dataset *dataset, const struct schema_set *types,
                           const struct cell *cells, size_t count, struct outcome *outcome_r)
{
    struct err err = ERR_INIT;
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = new_rows(cells, count);
    struct buf record, json;
    buf_init(&record, 4 * PLAN_RECORD_BYTES_MAX);
    buf_init(&json, 8 * PLAN_RECORD_BYTES_MAX);
    outcome_r->result = schema_plan_row(plan, as_rows(rows), 0, &record, &outcome_r->report, &err);
    if (outcome_r->result != 0 || outcome_r->report.state != ROW_DELIVERED)
        assert_int_equal(record.len, 0);
    const struct schema_set *sets[] = { types };
    struct schema_json_options options = { .sets = sets,
                                           .set_count = 1,
                                           .proto_field_names = true };
    if (schema_json_encode(&options, dataset->type, record.data, record.len, &json, &err) != 0)
        fail_msg("%s %s", err.text, err.detail);
    (void)snprintf(outcome_r->json, sizeof outcome_r->json, "%s", buf_cstr(&json));
    outcome_r->has_key = schema_plan_row_key(plan, as_rows(rows), 0, outcome_r->key);
    buf_fini(&record);
    buf_fini(&json);
    PQclear(rows);
    schema_plan_free(&plan);
}

#endif
