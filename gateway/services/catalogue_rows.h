/* Catalogue entries between their rows, their messages and what the state machine asks.
 * Ownership: texts and messages lie in the arena given; the calendar is the caller's.
 * Never calls back.
 * Limits: CATALOGUE_*_MAX.
 * Does not decide who may take a step: authz/catalogue.h and catalogue.c do. */
#ifndef SLUICE_SERVICES_CATALOGUE_ROWS_H
#define SLUICE_SERVICES_CATALOGUE_ROWS_H

#include "authz/calendar.h"
#include "authz/catalogue.h"
#include "base/arena.h"
#include "base/buf.h"
#include "pg/db.h"
#include "sluice/v1/catalog.pb-c.h"

enum {
    CATALOGUE_TEXT_BYTES_MAX = 1024, /* as the database has it */
    CATALOGUE_NAME_BYTES_MAX = 127,  /* of a dataset: two names of 63 bytes */
    CATALOGUE_ITEMS_MAX = 500,       /* of an entry; a table of more columns is several */
    CATALOGUE_ENTRIES_MAX = 200,     /* of one import, each of which is an audit entry */
    CATALOGUE_STEPS_MAX = 1000,      /* shown of one entry, the latest */
    /* A page of entries with 500 items of a few hundred bytes stays below what clients accept. */
    CATALOGUE_PAGE_DEFAULT = 50,
    CATALOGUE_PAGE_MAX = 200,
    CATALOGUE_JSON_BYTES_MAX = 32 * 1024 * 1024, /* what an import makes of the largest request */
};

struct catalogue_row {
    Sluice__V1__CatalogueEntry *message;
    enum catalogue_state state;
    const char *authority; /* department, "": none */
    const char *extension_asked_by;
    const char *conflict; /* PUBLISH: an item that comes from elsewhere already, "": none */
    int64_t now_us;       /* by the database's clock */
    int64_t change_from_us;
    int change_days;
    bool due_stored;
    int32_t due;
    /* The operator's policy. */
    int update_days;
    int update_extension_days;
    int review_days;
    bool repeated; /* the step of the call's request id stands already */
};

/* The select list that catalogue_from_row reads, of catalogue_from; $1 is the caller's subject, $2 its
 * request id, $3 an event, $4 the caller's department. */
extern const char catalogue_columns[];
/* FROM: each entry with the edition that the caller is shown, and the policy. */
extern const char catalogue_from[];
/* WHERE: the caller may know of the entry. */
extern const char catalogue_visible[];

/* Row 0 carries the calendar: it is loaded into `calendar` first. `department`: the caller's. -1 with
 * INTERNAL when the stored edition cannot be read. */
int catalogue_from_row(struct arena *arena, const struct db_rows *rows, int row,
                       const char *department, struct calendar *calendar,
                       struct catalogue_row *row_r, struct err *err);
/* The steps of a SELECT of catalogue_step_columns. */
extern const char catalogue_step_columns[];
void catalogue_take_steps(struct arena *arena, const struct db_rows *rows,
                          Sluice__V1__CatalogueEntry *message);

/* An edition as the database keeps it: proto3 JSON by the names of the .proto, all members, appended to
 * `json`. -1 with RESOURCE_EXHAUSTED or INVALID_ARGUMENT. */
int catalogue_encode(const Sluice__V1__CatalogueContent *content, struct buf *json,
                     struct err *err);
bool catalogue_equal(const Sluice__V1__CatalogueContent *one,
                     const Sluice__V1__CatalogueContent *other);

/* What the state machine asks of an entry when `subject` takes a step. */
struct catalogue_facts catalogue_facts_of(const struct catalogue_row *row, const char *subject);
unsigned catalogue_roles_of(const struct catalogue_row *row, const char *subject,
                            const char *department);
/* The last day of the deadline that runs once `event` has led to `next`, as text; NULL when none runs
 * or a year of the calendar is missing. */
const char *catalogue_next_due(struct arena *arena, const struct catalogue_row *row,
                               const struct calendar *calendar, enum catalogue_event event,
                               enum catalogue_state next);

#endif
