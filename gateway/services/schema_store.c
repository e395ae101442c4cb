#include "services/schema_store.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "net/loop.h"
#include "pg/db.h"

static const char current_sql[] = "SELECT digest FROM control.schema_current";
static const char files_sql[] = "SELECT f.path, b.content FROM control.schema_file f JOIN "
                                "control.schema_blob b ON b.id = f.blob"
                                " WHERE f.digest = $1::bytea ORDER BY f.path";
static const char report_sql[] = "SELECT control.report_schema($1, $2::bytea, $3)";

enum { DIGEST_PARAM_BYTES = 2 * SCHEMA_DIGEST_BYTES + 3 };

static void digest_param(const uint8_t *digest, char text_r[DIGEST_PARAM_BYTES])
{
    text_r[0] = '\\';
    text_r[1] = 'x';
    hex_encode(digest, SCHEMA_DIGEST_BYTES, text_r + 2);
}

static int64_t deadline_us(const struct loop *loop)
{
    return loop_now_us(loop) + (int64_t)SCHEMA_STORE_WAIT_MS * 1000;
}

/* --- fetch -------------------------------------------------------------------------------------- */

struct schema_fetch {
    struct loop *loop;
    struct db_lease *lease;
    schema_fetch_fn done;
    void *arg;
    bool known; /* `digest` is set */
    uint8_t digest[SCHEMA_DIGEST_BYTES];
    struct schema_file *files;
    size_t count;
};

static void free_fetch(struct schema_fetch *fetch)
{
    db_lease_release(&fetch->lease);
    for (size_t i = 0; i < fetch->count; i++) {
        free((char *)(uintptr_t)fetch->files[i].path);
        free((uint8_t *)(uintptr_t)fetch->files[i].data);
    }
    free(fetch->files);
    loop_free_later(fetch->loop, fetch);
}

static void finish(struct schema_fetch *fetch, struct schema_bundle *bundle, const struct err *err)
{
    /* A database that does not answer says nothing of the bundle. */
    bool refused = err != NULL && fetch->known && err->code != ERR_UNAVAILABLE &&
                   err->code != ERR_DEADLINE_EXCEEDED && err->code != ERR_RESOURCE_EXHAUSTED;
    fetch->done(fetch->arg, bundle, refused ? fetch->digest : NULL, err);
    free_fetch(fetch);
}

static void load(struct schema_fetch *fetch)
{
    struct err err = ERR_INIT;
    if (fetch->count == 0) {
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "BUNDLE_UNKNOWN",
                      "the control database does not hold this schema bundle");
        finish(fetch, NULL, &err);
        return;
    }
    struct schema_bundle *bundle = schema_bundle_load_files(fetch->files, fetch->count, &err);
    if (bundle != NULL &&
        memcmp(schema_bundle_digest(bundle), fetch->digest, sizeof fetch->digest) != 0) {
        schema_bundle_free(&bundle);
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "BUNDLE_ALTERED",
                      "the files of the bundle in the control database do not have its digest");
    }
    finish(fetch, bundle, bundle != NULL ? NULL : &err);
}

static void on_file(void *arg, const struct db_rows *row)
{
    struct schema_fetch *fetch = arg;
    struct db_value path = db_value(row, 0, 0), content = db_value(row, 0, 1);
    if ((fetch->count & (fetch->count - 1)) == 0) /* grows at powers of two */
        fetch->files = mem_resize(fetch->files, (fetch->count == 0 ? 1 : 2 * fetch->count) *
                                                    sizeof *fetch->files);
    fetch->files[fetch->count++] =
        (struct schema_file){ .path = mem_strndup((const char *)path.data, path.len),
                              .data = mem_dup(content.data, content.len),
                              .len = content.len };
}

static void on_files(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    struct schema_fetch *fetch = arg;
    if (err != NULL)
        finish(fetch, NULL, err);
    else
        load(fetch);
}

static void read_files(struct schema_fetch *fetch)
{
    char digest[DIGEST_PARAM_BYTES];
    digest_param(fetch->digest, digest);
    const char *params[] = { digest };
    struct db_sql sql = { .text = files_sql, .param_count = 1, .params = params };
    db_lease_query(fetch->lease, &sql, deadline_us(fetch->loop), on_file, on_files, fetch);
}

static void on_current(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct schema_fetch *fetch = arg;
    if (err != NULL) {
        finish(fetch, NULL, err);
        return;
    }
    struct db_value digest = { .data = NULL };
    if (db_row_count(rows) == 1)
        digest = db_value(rows, 0, 0);
    if (digest.data == NULL || digest.len != sizeof fetch->digest) {
        finish(fetch, schema_bundle_empty(), NULL);
        return;
    }
    memcpy(fetch->digest, digest.data, sizeof fetch->digest);
    fetch->known = true;
    read_files(fetch);
}

static void on_lease(void *arg, const struct err *err)
{
    struct schema_fetch *fetch = arg;
    if (err != NULL) {
        fetch->lease = NULL;  /* a refused lease dies with this callback */
        fetch->known = false; /* nothing was learnt of the bundle */
        finish(fetch, NULL, err);
        return;
    }
    if (fetch->known) {
        read_files(fetch);
        return;
    }
    struct db_sql sql = { .text = current_sql };
    db_lease_execute(fetch->lease, &sql, deadline_us(fetch->loop), on_current, fetch);
}

struct schema_fetch *schema_fetch_start(struct loop *loop, struct db_source *control,
                                        const uint8_t *digest, schema_fetch_fn done, void *arg)
{
    struct schema_fetch *fetch = mem_zero(sizeof *fetch);
    fetch->loop = loop;
    fetch->done = done;
    fetch->arg = arg;
    if (digest != NULL) {
        fetch->known = true;
        memcpy(fetch->digest, digest, sizeof fetch->digest);
    }
    fetch->lease = db_lease_start(control, deadline_us(loop), on_lease, fetch);
    return fetch;
}

void schema_fetch_cancel(struct schema_fetch **fetch)
{
    if (*fetch != NULL)
        free_fetch(*fetch);
    *fetch = NULL;
}

/* --- report ---------------------------------------------------------------------------------- */

struct schema_report {
    struct loop *loop;
    struct db_lease *lease;
    schema_report_fn done;
    void *arg;
    char *instance;
    char digest[DIGEST_PARAM_BYTES];
    char *text;
};

static void free_report(struct schema_report *report)
{
    db_lease_release(&report->lease);
    free(report->instance);
    free(report->text);
    loop_free_later(report->loop, report);
}

static void reported(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    struct schema_report *report = arg;
    report->done(report->arg, err);
    free_report(report);
}

static void on_report_lease(void *arg, const struct err *err)
{
    struct schema_report *report = arg;
    if (err != NULL) {
        report->lease = NULL; /* a refused lease dies with this callback */
        reported(report, NULL, err);
        return;
    }
    const char *params[] = { report->instance, report->digest, report->text };
    struct db_sql sql = { .text = report_sql, .param_count = 3, .params = params };
    db_lease_execute(report->lease, &sql, deadline_us(report->loop), reported, report);
}

struct schema_report *schema_report_start(struct loop *loop, struct db_source *control,
                                          const char *instance, const uint8_t *digest,
                                          const char *text, schema_report_fn done, void *arg)
{
    struct schema_report *report = mem_zero(sizeof *report);
    report->loop = loop;
    report->done = done;
    report->arg = arg;
    report->instance = mem_strdup(instance);
    report->text = mem_strdup(text);
    digest_param(digest, report->digest);
    report->lease = db_lease_start(control, deadline_us(loop), on_report_lease, report);
    return report;
}

void schema_report_cancel(struct schema_report **report)
{
    if (*report != NULL)
        free_report(*report);
    *report = NULL;
}
