#include "services/drift_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "services/timestamps.h"

enum { KINDS = DRIFT_LABELS_CHANGED + 1 };

struct drift_watch {
    const struct schema_dataset *dataset;
    struct arena arena; /* of the statement */
    const struct db_sql *sql;
    int64_t due_us;
    struct schema_catalogue *first; /* as the tables were when the dataset was first served */
    struct arena kept;              /* of the notices */
    struct drift_notice *notices;
    size_t count;
    size_t counts[KINDS];
};

struct drift_watch *drift_watch_new(const struct schema_dataset *dataset)
{
    struct drift_watch *watch = mem_zero(sizeof *watch);
    watch->dataset = dataset;
    arena_init(&watch->arena);
    arena_init(&watch->kept);
    watch->sql = schema_catalogue_sql(dataset, &watch->arena);
    return watch;
}

void drift_watch_free(struct drift_watch **watch)
{
    if (watch == NULL || *watch == NULL)
        return;
    schema_catalogue_free(&(*watch)->first);
    arena_fini(&(*watch)->arena);
    arena_fini(&(*watch)->kept);
    free(*watch);
    *watch = NULL;
}

const struct db_sql *drift_watch_due(const struct drift_watch *watch, int64_t now_us)
{
    return now_us >= watch->due_us ? watch->sql : NULL;
}

void drift_watch_soon(struct drift_watch *watch)
{
    watch->due_us = 0;
}

/* --- notices in force --------------------------------------------------------------------------- */

/* What has changed says more than what does not fit: the new name of a column that is missing. */
static bool told(const struct schema_drift *changes, const struct schema_notice *misfit)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct schema_notice *change = &changes->notices[i];
        bool same = change->kind == misfit->kind ||
                    (change->kind == DRIFT_COLUMN_RENAMED && misfit->kind == DRIFT_COLUMN_MISSING);
        if (same && strcmp(change->table, misfit->table) == 0 &&
            strcmp(change->column, misfit->column) == 0)
            return true;
    }
    return false;
}

static const char *cut(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    if (len <= DRIFT_TEXT_BYTES_MAX)
        return arena_strdup(arena, text);
    len = DRIFT_TEXT_BYTES_MAX;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) /* inside a UTF-8 character */
        len--;
    return arena_strndup(arena, text, len);
}

static bool equal(const struct schema_notice *a, const struct schema_notice *b)
{
    return a->kind == b->kind && strcmp(a->table, b->table) == 0 &&
           strcmp(a->column, b->column) == 0 && strcmp(a->expected, b->expected) == 0 &&
           strcmp(a->found, b->found) == 0;
}

static const struct drift_notice *find(const struct drift_notice *notices, size_t count,
                                       const struct schema_notice *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (equal(&notices[i].notice, wanted))
            return &notices[i];
    return NULL;
}

struct taking {
    struct arena kept;
    struct drift_notice *notices;
    size_t count;
    size_t counts[KINDS];
};

static void keep(struct taking *taking, const struct schema_drift *drift,
                 const struct schema_drift *known, bool compatible)
{
    for (size_t i = 0; i < drift->count; i++) {
        struct schema_notice notice = drift->notices[i];
        if (notice.compatible != compatible || (known != NULL && told(known, &notice)))
            continue;
        taking->counts[notice.kind]++;
        if (taking->count == DRIFT_NOTICES_MAX)
            continue;
        notice.table = cut(&taking->kept, notice.table);
        notice.column = cut(&taking->kept, notice.column);
        notice.expected = cut(&taking->kept, notice.expected);
        notice.found = cut(&taking->kept, notice.found);
        taking->notices[taking->count++].notice = notice;
    }
}

static void log_notice(const struct drift_watch *watch, const char *event,
                       const struct schema_notice *notice)
{
    log_event(notice->compatible ? LOG_INFO : LOG_WARN, NULL, event,
              LOG_STR("dataset", watch->dataset->name), LOG_STR("table", notice->table),
              LOG_STR("column", notice->column),
              LOG_STR("kind", schema_drift_kind_name(notice->kind)),
              LOG_STR("expected", notice->expected), LOG_STR("found", notice->found),
              LOG_INT("compatible", notice->compatible));
}

/* The new notices take the place of the old ones; what comes and what goes is logged once. */
static void replace(struct drift_watch *watch, struct taking *taking)
{
    int64_t now = clock_wall_us();
    for (size_t i = 0; i < taking->count; i++) {
        struct drift_notice *notice = &taking->notices[i];
        const struct drift_notice *old = find(watch->notices, watch->count, &notice->notice);
        notice->found_us = old != NULL ? old->found_us : now;
        if (old == NULL)
            log_notice(watch, "schema_drift", &notice->notice);
    }
    for (size_t i = 0; i < watch->count; i++)
        if (find(taking->notices, taking->count, &watch->notices[i].notice) == NULL)
            log_notice(watch, "schema_drift_over", &watch->notices[i].notice);
    arena_fini(&watch->kept);
    watch->kept = taking->kept;
    watch->notices = taking->notices;
    watch->count = taking->count;
    memcpy(watch->counts, taking->counts, sizeof watch->counts);
}

static void judge(struct drift_watch *watch, const struct schema_catalogue *now)
{
    struct arena arena;
    struct schema_drift changes = { .compatible = true };
    struct schema_drift misfits;
    struct taking taking = { .count = 0 };
    arena_init(&arena);
    arena_init(&taking.kept);
    taking.notices = arena_array(&taking.kept, DRIFT_NOTICES_MAX, sizeof *taking.notices);
    if (watch->first != NULL)
        schema_catalogue_compare(watch->dataset, watch->first, now, &arena, &changes);
    schema_catalogue_check(watch->dataset, now, &arena, &misfits);
    for (int compatible = 0; compatible < 2; compatible++) {
        keep(&taking, &changes, NULL, compatible != 0);
        keep(&taking, &misfits, &changes, compatible != 0);
    }
    replace(watch, &taking);
    arena_fini(&arena);
}

void drift_watch_take(struct drift_watch *watch, const struct db_rows *rows, const struct err *err,
                      bool ready, int64_t now_us)
{
    struct err problem = ERR_INIT;
    struct schema_catalogue *now = err == NULL ? schema_catalogue_read(rows, &problem) : NULL;
    watch->due_us = now_us + (int64_t)(now != NULL ? DRIFT_LOOK_MS : DRIFT_RETRY_MS) * 1000;
    if (now == NULL) { /* the probe still watches; what is known stays */
        log_error(LOG_DEBUG, NULL, "schema_drift_unknown", err != NULL ? err : &problem);
        return;
    }
    judge(watch, now);
    if (!ready || watch->first != NULL) {
        schema_catalogue_free(&now);
        return;
    }
    watch->first = now;
    log_event(LOG_DEBUG, NULL, "schema_drift_watched", LOG_STR("dataset", watch->dataset->name));
}

/* --- what others read --------------------------------------------------------------------------- */

const struct drift_notice *drift_watch_notices(const struct drift_watch *watch, size_t *count_r)
{
    *count_r = watch->count;
    return watch->count > 0 ? watch->notices : NULL;
}

size_t drift_watch_count(const struct drift_watch *watch, enum schema_drift_kind kind)
{
    return watch->counts[kind];
}

void drift_watch_explain(const struct drift_watch *watch, struct err *err)
{
    static const char mend[] = "mend the table or update the mapping";
    const char *name = watch->dataset->name;
    if (strcmp(err->reason, "SCHEMA_DRIFT") != 0 || watch->count == 0 ||
        watch->notices[0].notice.compatible) /* the incompatible ones come first */
        return;
    const struct schema_notice *notice = &watch->notices[0].notice;
    if (notice->kind == DRIFT_TABLE_MISSING)
        (void)err_set(err, err->code, "SCHEMA_DRIFT",
                      "%s is paused: the table %s is not there or its schema is hidden from the "
                      "gateway's role; %s",
                      name, notice->table, mend);
    else if (notice->kind == DRIFT_COLUMN_RENAMED)
        (void)err_set(err, err->code, "SCHEMA_DRIFT",
                      "%s is paused: column \"%s\" of %s is now called \"%s\"; %s", name,
                      notice->column, notice->table, notice->found, mend);
    else if (notice->kind == DRIFT_COLUMN_MISSING)
        (void)err_set(err, err->code, "SCHEMA_DRIFT",
                      "%s is paused: column \"%s\" of %s is gone (it was %s); %s", name,
                      notice->column, notice->table, notice->expected, mend);
    else
        (void)err_set(err, err->code, "SCHEMA_DRIFT",
                      "%s is paused: column \"%s\" of %s is %s instead of %s; %s", name,
                      notice->column, notice->table, notice->found, notice->expected, mend);
}

static Sluice__V1__DriftNotice__Kind message_kind(enum schema_drift_kind kind)
{
    switch (kind) {
    case DRIFT_TABLE_MISSING:
        return SLUICE__V1__DRIFT_NOTICE__KIND__TABLE_MISSING;
    case DRIFT_COLUMN_MISSING:
        return SLUICE__V1__DRIFT_NOTICE__KIND__COLUMN_MISSING;
    case DRIFT_COLUMN_RENAMED:
        return SLUICE__V1__DRIFT_NOTICE__KIND__COLUMN_RENAMED;
    case DRIFT_COLUMN_ADDED:
        return SLUICE__V1__DRIFT_NOTICE__KIND__COLUMN_ADDED;
    case DRIFT_TYPE_CHANGED:
        return SLUICE__V1__DRIFT_NOTICE__KIND__TYPE_CHANGED;
    case DRIFT_NOW_NULLABLE:
        return SLUICE__V1__DRIFT_NOTICE__KIND__NOW_NULLABLE;
    case DRIFT_NOW_NOT_NULL:
        return SLUICE__V1__DRIFT_NOTICE__KIND__NOW_NOT_NULL;
    case DRIFT_LABELS_CHANGED:
        return SLUICE__V1__DRIFT_NOTICE__KIND__LABELS_CHANGED;
    }
    return SLUICE__V1__DRIFT_NOTICE__KIND__KIND_UNSPECIFIED;
}

Sluice__V1__DriftNotice **drift_watch_messages(const struct drift_watch *watch, struct arena *arena,
                                               size_t *count_r)
{
    *count_r = watch->count;
    if (watch->count == 0)
        return NULL;
    Sluice__V1__DriftNotice **list = arena_array(arena, watch->count, sizeof *list);
    for (size_t i = 0; i < watch->count; i++) {
        const struct drift_notice *from = &watch->notices[i];
        Sluice__V1__DriftNotice *out = arena_alloc(arena, sizeof *out);
        sluice__v1__drift_notice__init(out);
        out->kind = message_kind(from->notice.kind);
        out->table = arena_strdup(arena, from->notice.table);
        out->column = arena_strdup(arena, from->notice.column);
        out->expected = arena_strdup(arena, from->notice.expected);
        out->found = arena_strdup(arena, from->notice.found);
        out->compatible = from->notice.compatible;
        out->found_at = timestamp_from_us(arena, from->found_us);
        list[i] = out;
    }
    return list;
}
