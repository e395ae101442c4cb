#include "services/catalogue_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "rpc/server.h"
#include "schema/descriptor.h"
#include "schema/json.h"
#include "services/calendar_rows.h"
#include "services/timestamps.h"

#define US(column_) "coalesce((extract(epoch FROM " column_ ") * 1000000)::bigint, 0)"
/* Of several rows only the first carries the calendar. */
#define FIRST(query_)                                                                              \
    "coalesce(CASE WHEN row_number() OVER (ORDER BY e.dataset COLLATE \"C\") = 1 THEN (" query_    \
    ") END, '')"
/* Who prepares or reviews the latest edition is shown it, everybody else what is in force. */
#define INSIDER "(e.department = $4 OR coalesce(p.authority, '') = $4 AND e.state = 'SUBMITTED')"

#define COLUMNS(X)                                                                                 \
    X(DEPARTMENT, "e.department")                                                                  \
    X(INSIDE, INSIDER)                                                                             \
    X(STATE, "e.state")                                                                            \
    X(STATE_SINCE, US("e.state_since"))                                                            \
    X(VERSION, "e.version")                                                                        \
    X(EDITION, "d.edition")                                                                        \
    X(CONTENT, "d.content::text")                                                                  \
    X(AUTHOR, "e.author")                                                                          \
    X(SECRECY_REF, "e.secrecy_ref")                                                                \
    X(IMPACT_REF, "e.impact_ref")                                                                  \
    X(ASSESSED_BY, "coalesce(e.assessed_by, '')")                                                  \
    X(APPROVED_BY, "coalesce(e.approved_by, '')")                                                  \
    X(SUBMITTED_BY, "coalesce(e.submitted_by, '')")                                                \
    X(PUBLISHED, "coalesce(e.published_edition, 0)")                                               \
    X(PUBLISHED_BY, "coalesce(e.published_by, '')")                                                \
    X(PUBLISHED_AT, US("e.published_at"))                                                          \
    X(CHANGE_FROM, US("e.change_from"))                                                            \
    X(CHANGE_DAYS, "coalesce(e.change_days, 0)")                                                   \
    X(EXTENSION_ASKED_BY, "coalesce(e.extension_asked_by, '')")                                    \
    X(EXTENSION_DAYS, "coalesce(e.extension_days, 0)")                                             \
    X(CLOCK, "coalesce(e.clock, '')")                                                              \
    X(CLOCK_FROM, US("e.clock_from"))                                                              \
    X(CLOCK_DAYS, "coalesce(e.clock_days, 0)")                                                     \
    X(DUE, "e.due_on - date '1970-01-01'")                                                         \
    X(NOW, US("now()"))                                                                            \
    X(AUTHORITY, "coalesce(p.authority, '')")                                                      \
    X(UPDATE_DAYS, "p.update_days")                                                                \
    X(UPDATE_EXTENSION_DAYS, "p.update_extension_days")                                            \
    X(REVIEW_DAYS, "p.review_days")                                                                \
    X(CONFLICT, "CASE WHEN $3 = 'PUBLISH' THEN"                                                    \
                " coalesce(control.catalogue_conflict(e.dataset, e.edition), '') ELSE '' END")     \
    X(REPEATED, "EXISTS (SELECT FROM control.catalogue_step AS s WHERE s.dataset = e.dataset"      \
                " AND s.actor = $1 AND s.request_id = $2 AND s.event = $3)")                       \
    X(YEARS_LOADED, FIRST(CALENDAR_YEARS_SQL))                                                     \
    X(DAYS_OFF, FIRST(CALENDAR_OFF_SQL))                                                           \
    X(DAYS_WORK, FIRST(CALENDAR_WORK_SQL))

#define AS_COLUMN(name_, sql_) COLUMN_##name_,
enum { COLUMN_DATASET, COLUMNS(AS_COLUMN) };
#define AS_SQL(name_, sql_) ", " sql_
const char catalogue_columns[] = "e.dataset" COLUMNS(AS_SQL);

const char catalogue_from[] =
    "control.catalogue_entry AS e CROSS JOIN control.application_policy AS p"
    " JOIN control.catalogue_edition AS d ON d.dataset = e.dataset"
    " AND d.edition = CASE WHEN " INSIDER " THEN e.edition ELSE e.published_edition END";
const char catalogue_visible[] = "(e.department = $4 OR coalesce(p.authority, '') = $4"
                                 " OR e.state <> 'RETIRED' AND d.sharing <> 'DENIED')";

const char catalogue_step_columns[] =
    "n, event, actor, " US("at") ", state_from, state_to, edition, note, days, late";

/* --- editions --------------------------------------------------------------------------------- */

static const struct schema_message *content_type(void)
{
    return schema_set_message(rpc_api_types(), "sluice.v1.CatalogueContent");
}

int catalogue_encode(const Sluice__V1__CatalogueContent *content, struct buf *json, struct err *err)
{
    const struct schema_set *const sets[] = { rpc_api_types() };
    const struct schema_json_options options = {
        .sets = sets, .set_count = 1, .proto_field_names = true, .emit_defaults = true
    };
    size_t len = sluice__v1__catalogue_content__get_packed_size(content);
    uint8_t *bytes = mem_zero(len + 1);
    (void)sluice__v1__catalogue_content__pack(content, bytes);
    int result = schema_json_encode(&options, content_type(), bytes, len, json, err);
    free(bytes);
    return result;
}

static void *arena_allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void arena_release(void *arena, void *memory)
{
    (void)arena;
    (void)memory; /* the arena frees everything at once */
}

static int decode_content(struct arena *arena, struct db_value json,
                          Sluice__V1__CatalogueContent **content_r, struct err *err)
{
    const struct schema_set *const sets[] = { rpc_api_types() };
    const struct schema_json_options options = { .sets = sets, .set_count = 1 };
    ProtobufCAllocator allocator = { .alloc = arena_allocate,
                                     .free = arena_release,
                                     .allocator_data = arena };
    struct err cause = ERR_INIT;
    struct buf bytes;
    buf_init(&bytes, CATALOGUE_JSON_BYTES_MAX);
    *content_r = NULL;
    if (schema_json_decode(&options, content_type(), (const char *)json.data, (size_t)json.len,
                           &bytes, &cause) == 0)
        *content_r = sluice__v1__catalogue_content__unpack(&allocator, bytes.len, bytes.data);
    buf_fini(&bytes);
    if (*content_r != NULL)
        return 0;
    (void)err_set(err, ERR_INTERNAL, "CATALOGUE_CONTENT",
                  "a stored edition cannot be read by this gateway; it has been logged");
    (void)err_detail(err, "%s", cause.text);
    return -1;
}

bool catalogue_equal(const Sluice__V1__CatalogueContent *one,
                     const Sluice__V1__CatalogueContent *other)
{
    size_t len = sluice__v1__catalogue_content__get_packed_size(one);
    if (len != sluice__v1__catalogue_content__get_packed_size(other))
        return false;
    uint8_t *bytes = mem_zero(2 * len + 1);
    (void)sluice__v1__catalogue_content__pack(one, bytes);
    (void)sluice__v1__catalogue_content__pack(other, bytes + len);
    bool equal = memcmp(bytes, bytes + len, len) == 0;
    free(bytes);
    return equal;
}

/* --- one entry -------------------------------------------------------------------------------- */

static void take_inside(struct arena *arena, const struct db_rows *rows, int row,
                        struct calendar *calendar, struct catalogue_row *out)
{
    Sluice__V1__CatalogueEntry *message = out->message;
    message->author = db_text(arena, db_value(rows, row, COLUMN_AUTHOR));
    message->secrecy_ref = db_text(arena, db_value(rows, row, COLUMN_SECRECY_REF));
    message->impact_ref = db_text(arena, db_value(rows, row, COLUMN_IMPACT_REF));
    message->assessed_by = db_text(arena, db_value(rows, row, COLUMN_ASSESSED_BY));
    message->approved_by = db_text(arena, db_value(rows, row, COLUMN_APPROVED_BY));
    message->submitted_by = db_text(arena, db_value(rows, row, COLUMN_SUBMITTED_BY));
    message->published_by = db_text(arena, db_value(rows, row, COLUMN_PUBLISHED_BY));
    message->extension_days = db_int4(db_value(rows, row, COLUMN_EXTENSION_DAYS));
    struct calendar_clock clock = {
        .name = db_text(arena, db_value(rows, row, COLUMN_CLOCK)),
        .from_us = db_int8(db_value(rows, row, COLUMN_CLOCK_FROM)),
        .days = db_int4(db_value(rows, row, COLUMN_CLOCK_DAYS)),
        .due_stored = out->due_stored,
        .due = out->due,
    };
    if (clock.name[0] != '\0')
        message->deadline = calendar_deadline(arena, &clock, out->now_us, calendar);
}

int catalogue_from_row(struct arena *arena, const struct db_rows *rows, int row,
                       const char *department, struct calendar *calendar,
                       struct catalogue_row *row_r, struct err *err)
{
    if (row == 0)
        calendar_take(arena, rows, row, COLUMN_YEARS_LOADED, calendar);
    Sluice__V1__CatalogueEntry *message = arena_alloc(arena, sizeof *message);
    sluice__v1__catalogue_entry__init(message);
    struct db_value due = db_value(rows, row, COLUMN_DUE);
    *row_r = (struct catalogue_row){
        .message = message,
        .state = catalogue_state_of(db_text(arena, db_value(rows, row, COLUMN_STATE))),
        .authority = db_text(arena, db_value(rows, row, COLUMN_AUTHORITY)),
        .extension_asked_by = db_text(arena, db_value(rows, row, COLUMN_EXTENSION_ASKED_BY)),
        .conflict = db_text(arena, db_value(rows, row, COLUMN_CONFLICT)),
        .now_us = db_int8(db_value(rows, row, COLUMN_NOW)),
        .change_from_us = db_int8(db_value(rows, row, COLUMN_CHANGE_FROM)),
        .change_days = db_int4(db_value(rows, row, COLUMN_CHANGE_DAYS)),
        .due_stored = due.data != NULL,
        .due = db_int4(due),
        .update_days = db_int4(db_value(rows, row, COLUMN_UPDATE_DAYS)),
        .update_extension_days = db_int4(db_value(rows, row, COLUMN_UPDATE_EXTENSION_DAYS)),
        .review_days = db_int4(db_value(rows, row, COLUMN_REVIEW_DAYS)),
        .repeated = db_bool(db_value(rows, row, COLUMN_REPEATED)),
    };
    if (decode_content(arena, db_value(rows, row, COLUMN_CONTENT), &message->content, err) < 0)
        return -1;
    message->department = db_text(arena, db_value(rows, row, COLUMN_DEPARTMENT));
    message->edition = db_int4(db_value(rows, row, COLUMN_EDITION));
    message->published_edition = db_int4(db_value(rows, row, COLUMN_PUBLISHED));
    message->published_at =
        timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_PUBLISHED_AT)));
    message->version = db_int4(db_value(rows, row, COLUMN_VERSION));
    message->state = (Sluice__V1__CatalogueEntry__State)row_r->state;
    message->state_since =
        timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_STATE_SINCE)));
    bool own = strcmp(message->department, department) == 0;
    bool authority = row_r->authority[0] != '\0' && strcmp(row_r->authority, department) == 0;
    if (own || authority) {
        take_inside(arena, rows, row, calendar, row_r);
    } else { /* what is in force; what its department prepares is its own business */
        message->state = (Sluice__V1__CatalogueEntry__State)CATALOGUE_PUBLISHED;
        message->state_since = message->published_at;
        message->version = 0;
    }
    return 0;
}

void catalogue_take_steps(struct arena *arena, const struct db_rows *rows,
                          Sluice__V1__CatalogueEntry *message)
{
    message->n_steps = (size_t)db_row_count(rows);
    message->steps = arena_array(arena, message->n_steps, sizeof *message->steps);
    for (int i = 0; i < db_row_count(rows); i++) {
        Sluice__V1__CatalogueStep *out = arena_alloc(arena, sizeof *out);
        sluice__v1__catalogue_step__init(out);
        out->number = db_int4(db_value(rows, i, 0));
        out->kind = (Sluice__V1__CatalogueStep__Kind)catalogue_event_of(
            db_text(arena, db_value(rows, i, 1)));
        out->actor = db_text(arena, db_value(rows, i, 2));
        out->at = timestamp_from_us(arena, db_int8(db_value(rows, i, 3)));
        out->from = (Sluice__V1__CatalogueEntry__State)catalogue_state_of(
            db_text(arena, db_value(rows, i, 4)));
        out->to = (Sluice__V1__CatalogueEntry__State)catalogue_state_of(
            db_text(arena, db_value(rows, i, 5)));
        out->edition = db_int4(db_value(rows, i, 6));
        out->note = db_text(arena, db_value(rows, i, 7));
        out->days = db_int4(db_value(rows, i, 8));
        out->late = db_bool(db_value(rows, i, 9));
        message->steps[i] = out;
    }
}

/* --- what the state machine asks ---------------------------------------------------------------- */

struct catalogue_facts catalogue_facts_of(const struct catalogue_row *row, const char *subject)
{
    const Sluice__V1__CatalogueEntry *message = row->message;
    return (struct catalogue_facts){
        .state = row->state,
        .published = message->published_edition > 0,
        .fresh = message->edition != message->published_edition,
        .assessed = message->secrecy_ref[0] != '\0',
        .took_part = strcmp(message->approved_by, subject) == 0 ||
                     strcmp(message->submitted_by, subject) == 0,
        .extension_asked = row->extension_asked_by[0] != '\0',
        .extension_by_caller = strcmp(row->extension_asked_by, subject) == 0,
        .extended = row->change_days > row->update_days,
    };
}

unsigned catalogue_roles_of(const struct catalogue_row *row, const char *subject,
                            const char *department)
{
    struct catalogue_parties parties = { .author = row->message->author,
                                         .department = row->message->department,
                                         .authority = row->authority };
    return catalogue_roles(&parties, subject, department);
}

/* The trigger of control.catalogue_step counts the days likewise. */
const char *catalogue_next_due(struct arena *arena, const struct catalogue_row *row,
                               const struct calendar *calendar, enum catalogue_event event,
                               enum catalogue_state next)
{
    int64_t from_us = row->now_us;
    int days = row->review_days;
    int32_t due = row->due;
    bool counted = false;
    if (next == CATALOGUE_CHANGE_DUE) {
        from_us = event == CATALOGUE_CHANGE ? row->now_us : row->change_from_us;
        days = event == CATALOGUE_CHANGE   ? row->update_days
               : event == CATALOGUE_EXTEND ? row->change_days + row->message->extension_days
                                           : row->change_days;
        counted = row->due_stored && row->state == next && event != CATALOGUE_EXTEND;
    } else if (next != CATALOGUE_SUBMITTED || row->message->published_edition == 0) {
        return NULL;
    }
    if (!counted && calendar_due(calendar, from_us, days, &due, NULL, NULL) < 0)
        return NULL;
    char text[CALENDAR_DATE_BYTES];
    calendar_date_format(due, text);
    return arena_strdup(arena, text);
}
