#include "services/application_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "services/agreement_rows.h"
#include "services/calendar_rows.h"
#include "services/timestamps.h"

#define US(column_)   "coalesce((extract(epoch FROM " column_ ") * 1000000)::bigint, 0)"
#define LIST(column_) "array_to_string(" column_ ", E'\\x1f')"
/* Of several rows only the first carries the calendar. */
#define FIRST(query_)                                                                              \
    "coalesce(CASE WHEN row_number() OVER (ORDER BY a.id COLLATE \"C\" DESC) = 1 THEN (" query_    \
    ") END, '')"

#define COLUMNS(X)                                                                                 \
    X(CONSUMER, "a.requester_department || '/' || a.consumer_system")                              \
    X(DATASET, "a.dataset")                                                                        \
    X(FIELDS, LIST("a.fields"))                                                                    \
    X(ROW_FILTER, "a.row_filter")                                                                  \
    X(PURPOSES, LIST("a.purposes"))                                                                \
    X(MODES, LIST("a.modes"))                                                                      \
    X(VALID_FROM, US("a.valid_from"))                                                              \
    X(VALID_UNTIL, US("a.valid_until"))                                                            \
    X(RATE, "(a.rate_per_second * 1000000)::bigint")                                               \
    X(BURST, "a.rate_burst")                                                                       \
    X(QUOTA, "a.daily_quota")                                                                      \
    X(MASKS, LIST("a.masks"))                                                                      \
    X(NETWORKS, LIST("a.networks"))                                                                \
    X(WINDOWS, LIST("a.windows"))                                                                  \
    X(ONWARD, "a.onward_recipient")                                                                \
    X(LEGAL_BASIS, "a.legal_basis")                                                                \
    X(SCENARIO, "a.scenario")                                                                      \
    X(SCOPE, "a.scope")                                                                            \
    X(STATE, "a.state")                                                                            \
    X(STATE_SINCE, US("a.state_since"))                                                            \
    X(APPLICANT, "a.applicant")                                                                    \
    X(REQUESTER, "a.requester_department")                                                         \
    X(OWNER, "a.owner_department")                                                                 \
    X(OPEN, "a.open")                                                                              \
    X(CREATED, US("a.created_at"))                                                                 \
    X(SIGNED_OFF_BY, "coalesce(a.signed_off_by, '')")                                              \
    X(RECEIVED, US("a.received_at"))                                                               \
    X(COMPLETED, US("a.completed_at"))                                                             \
    X(DECIDED_BY, "coalesce(a.decided_by, '')")                                                    \
    X(DECISION_REASON, "coalesce(a.decision_reason, '')")                                          \
    X(SUPPLEMENT, "a.supplement_asked")                                                            \
    X(EXTENSION_DAYS, "coalesce(a.extension_days, 0)")                                             \
    X(EXTENSION_ASKED_BY, "coalesce(a.extension_asked_by, '')")                                    \
    X(AGREEMENT, "coalesce(a.agreement, '')")                                                      \
    X(REVOKED, "EXISTS (SELECT FROM control.agreement AS g WHERE g.id = a.agreement"               \
               " AND g.revoked_at IS NOT NULL)")                                                   \
    X(VERSION, "a.version")                                                                        \
    X(CLOCK, "coalesce(a.clock, '')")                                                              \
    X(CLOCK_FROM, US("a.clock_from"))                                                              \
    X(CLOCK_DAYS, "coalesce(a.clock_days, 0)")                                                     \
    X(DUE, "a.due_on - date '1970-01-01'")                                                         \
    X(NOW, US("now()"))                                                                            \
    X(AUTHORITY, "coalesce(p.authority, '')")                                                      \
    X(ANSWER_DAYS, "p.answer_days")                                                                \
    X(EXTENSION_DAYS_MAX, "p.extension_days")                                                      \
    X(PROVIDE_DAYS, "p.provide_days")                                                              \
    X(CLOCK_COMPLETED, "p.clock = 'completed'")                                                    \
    X(REPEATED, "EXISTS (SELECT FROM control.application_step AS s WHERE s.application = a.id"     \
                " AND s.actor = $1 AND s.request_id = $2 AND s.event = $3)")                       \
    X(YEARS_LOADED, FIRST(CALENDAR_YEARS_SQL))                                                     \
    X(DAYS_OFF, FIRST(CALENDAR_OFF_SQL))                                                           \
    X(DAYS_WORK, FIRST(CALENDAR_WORK_SQL))

#define AS_COLUMN(name_, sql_) COLUMN_##name_,
enum { COLUMN_ID, COLUMNS(AS_COLUMN) };
#define AS_SQL(name_, sql_) ", " sql_
const char application_columns[] = "a.id" COLUMNS(AS_SQL);

const char application_visible[] =
    "(a.requester_department = $4 OR a.received_at IS NOT NULL"
    " AND (a.owner_department = $4 OR coalesce(p.authority, '') = $4))";
const char application_shown[] =
    "CASE WHEN a.state = 'ACTIVE' AND a.valid_until <= now() THEN 'EXPIRED' ELSE a.state END";

const char application_step_columns[] =
    "n, event, actor, " US("at") ", state_from, state_to, note, negotiation_ref, filing_ref, days, "
                                 "late";

/* --- one application -------------------------------------------------------------------------- */

static Sluice__V1__Agreement *terms_of(struct arena *arena, const struct db_rows *rows, int row)
{
    Sluice__V1__Agreement *out = arena_alloc(arena, sizeof *out);
    sluice__v1__agreement__init(out);
    out->consumer = db_text(arena, db_value(rows, row, COLUMN_CONSUMER));
    out->dataset = db_text(arena, db_value(rows, row, COLUMN_DATASET));
    out->fields = db_texts(arena, db_value(rows, row, COLUMN_FIELDS), &out->n_fields);
    out->row_filter = db_text(arena, db_value(rows, row, COLUMN_ROW_FILTER));
    out->purposes = db_texts(arena, db_value(rows, row, COLUMN_PURPOSES), &out->n_purposes);
    char **modes = db_texts(arena, db_value(rows, row, COLUMN_MODES), &out->n_modes);
    out->modes = arena_array(arena, out->n_modes, sizeof *out->modes);
    for (size_t i = 0; i < out->n_modes; i++)
        out->modes[i] = (Sluice__V1__AgreementMode)strtol(modes[i], NULL, 10);
    out->valid_from = timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_VALID_FROM)));
    out->valid_until = timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_VALID_UNTIL)));
    out->rate_per_second = (double)db_int8(db_value(rows, row, COLUMN_RATE)) / 1e6;
    out->rate_burst = db_int4(db_value(rows, row, COLUMN_BURST));
    out->daily_quota = db_int8(db_value(rows, row, COLUMN_QUOTA));
    agreement_take_masks(arena, db_value(rows, row, COLUMN_MASKS), out);
    out->networks = db_texts(arena, db_value(rows, row, COLUMN_NETWORKS), &out->n_networks);
    out->windows = db_texts(arena, db_value(rows, row, COLUMN_WINDOWS), &out->n_windows);
    out->onward_recipient = db_text(arena, db_value(rows, row, COLUMN_ONWARD));
    out->legal_basis = db_text(arena, db_value(rows, row, COLUMN_LEGAL_BASIS));
    return out;
}

static Sluice__V1__Application *message_of(struct arena *arena, const struct db_rows *rows, int row)
{
    Sluice__V1__Application *out = arena_alloc(arena, sizeof *out);
    sluice__v1__application__init(out);
    out->id = db_text(arena, db_value(rows, row, COLUMN_ID));
    out->terms = terms_of(arena, rows, row);
    out->scenario = db_text(arena, db_value(rows, row, COLUMN_SCENARIO));
    out->scope = db_text(arena, db_value(rows, row, COLUMN_SCOPE));
    out->state_since = timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_STATE_SINCE)));
    out->applicant = db_text(arena, db_value(rows, row, COLUMN_APPLICANT));
    out->owner_department = db_text(arena, db_value(rows, row, COLUMN_OWNER));
    out->open = db_bool(db_value(rows, row, COLUMN_OPEN));
    out->created_at = timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_CREATED)));
    out->signed_off_by = db_text(arena, db_value(rows, row, COLUMN_SIGNED_OFF_BY));
    out->received_at = timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_RECEIVED)));
    out->completed_at = timestamp_from_us(arena, db_int8(db_value(rows, row, COLUMN_COMPLETED)));
    out->decided_by = db_text(arena, db_value(rows, row, COLUMN_DECIDED_BY));
    out->decision_reason = db_text(arena, db_value(rows, row, COLUMN_DECISION_REASON));
    out->supplement_asked = db_bool(db_value(rows, row, COLUMN_SUPPLEMENT));
    out->extension_days = db_int4(db_value(rows, row, COLUMN_EXTENSION_DAYS));
    out->agreement = db_text(arena, db_value(rows, row, COLUMN_AGREEMENT));
    out->agreement_revoked = db_bool(db_value(rows, row, COLUMN_REVOKED));
    out->version = db_int4(db_value(rows, row, COLUMN_VERSION));
    return out;
}

static void fill_deadline(struct arena *arena, const struct application_row *row, const char *clock,
                          const struct calendar *calendar)
{
    struct calendar_clock running = { .name = clock,
                                      .from_us = row->clock_from_us,
                                      .days = row->clock_days,
                                      .due_stored = row->due_stored,
                                      .due = row->due };
    if (row->runs)
        row->message->deadline = calendar_deadline(arena, &running, row->now_us, calendar);
}

struct application_row application_from_row(struct arena *arena, const struct db_rows *rows,
                                            int row, struct calendar *calendar)
{
    if (row == 0)
        calendar_take(arena, rows, row, COLUMN_YEARS_LOADED, calendar);
    struct application_row out = { .message = message_of(arena, rows, row) };
    const char *state = db_text(arena, db_value(rows, row, COLUMN_STATE));
    const char *clock = db_text(arena, db_value(rows, row, COLUMN_CLOCK));
    struct db_value due = db_value(rows, row, COLUMN_DUE);
    out.state = application_state_of(state);
    out.requester = db_text(arena, db_value(rows, row, COLUMN_REQUESTER));
    out.extension_asked_by = db_text(arena, db_value(rows, row, COLUMN_EXTENSION_ASKED_BY));
    out.authority = db_text(arena, db_value(rows, row, COLUMN_AUTHORITY));
    out.now_us = db_int8(db_value(rows, row, COLUMN_NOW));
    out.over = db_int8(db_value(rows, row, COLUMN_VALID_UNTIL)) <= out.now_us;
    out.runs = clock[0] != '\0';
    out.clock_from_us = db_int8(db_value(rows, row, COLUMN_CLOCK_FROM));
    out.clock_days = db_int4(db_value(rows, row, COLUMN_CLOCK_DAYS));
    out.due_stored = due.data != NULL;
    out.due = db_int4(due);
    out.answer_days = db_int4(db_value(rows, row, COLUMN_ANSWER_DAYS));
    out.extension_days = db_int4(db_value(rows, row, COLUMN_EXTENSION_DAYS_MAX));
    out.provide_days = db_int4(db_value(rows, row, COLUMN_PROVIDE_DAYS));
    out.clock_from_completed = db_bool(db_value(rows, row, COLUMN_CLOCK_COMPLETED));
    out.repeated = db_bool(db_value(rows, row, COLUMN_REPEATED));
    bool lapsed = out.state == APPLICATION_ACTIVE && out.over;
    out.message->state = (Sluice__V1__Application__State)(lapsed ? APPLICATION_EXPIRED : out.state);
    if (lapsed)
        out.message->state_since = out.message->terms->valid_until;
    fill_deadline(arena, &out, clock, calendar);
    return out;
}

void application_take_steps(struct arena *arena, const struct db_rows *rows,
                            Sluice__V1__Application *message)
{
    message->n_steps = (size_t)db_row_count(rows);
    message->steps = arena_array(arena, message->n_steps, sizeof *message->steps);
    for (int i = 0; i < db_row_count(rows); i++) {
        Sluice__V1__ApplicationStep *out = arena_alloc(arena, sizeof *out);
        sluice__v1__application_step__init(out);
        out->number = db_int4(db_value(rows, i, 0));
        out->kind = (Sluice__V1__ApplicationStep__Kind)application_event_of(
            db_text(arena, db_value(rows, i, 1)));
        out->actor = db_text(arena, db_value(rows, i, 2));
        out->at = timestamp_from_us(arena, db_int8(db_value(rows, i, 3)));
        out->from = (Sluice__V1__Application__State)application_state_of(
            db_text(arena, db_value(rows, i, 4)));
        out->to = (Sluice__V1__Application__State)application_state_of(
            db_text(arena, db_value(rows, i, 5)));
        out->note = db_text(arena, db_value(rows, i, 6));
        out->negotiation_ref = db_text(arena, db_value(rows, i, 7));
        out->filing_ref = db_text(arena, db_value(rows, i, 8));
        out->days = db_int4(db_value(rows, i, 9));
        out->late = db_bool(db_value(rows, i, 10));
        message->steps[i] = out;
    }
}

/* --- deadlines -------------------------------------------------------------------------------- */

static bool is_waited_for(enum application_state state)
{
    return state == APPLICATION_SUBMITTED || state == APPLICATION_SUPPLEMENT_ASKED ||
           state == APPLICATION_EXTENDED || state == APPLICATION_AGREED ||
           state == APPLICATION_PROVISIONING || state == APPLICATION_DISPOSAL_DUE;
}

/* The trigger of control.application_step counts the days likewise. */
const char *application_next_due(struct arena *arena, const struct application_row *row,
                                 const struct calendar *calendar, enum application_event event,
                                 enum application_state next, int days)
{
    int64_t from_us = row->clock_from_us;
    int length = row->clock_days;
    int32_t due = row->due;
    bool counted = row->due_stored;
    if (!is_waited_for(next))
        return NULL;
    if (event == APPLICATION_SUBMIT || event == APPLICATION_AGREE ||
        event == APPLICATION_REQUIRE_DISPOSAL) {
        from_us = row->now_us;
        length = event == APPLICATION_SUBMIT  ? (row->message->open ? 1 : row->answer_days)
                 : event == APPLICATION_AGREE ? row->provide_days
                                              : days;
        counted = false;
    } else if (event == APPLICATION_ANSWER_SUPPLEMENT && row->clock_from_completed) {
        from_us = row->now_us;
        counted = false;
    } else if (event == APPLICATION_EXTEND) {
        length += row->message->extension_days;
        counted = false;
    }
    if (!counted && calendar_due(calendar, from_us, length, &due, NULL, NULL) < 0)
        return NULL;
    char text[CALENDAR_DATE_BYTES];
    calendar_date_format(due, text);
    return arena_strdup(arena, text);
}

char *application_make_id(struct arena *arena, int64_t wall_us)
{
    static const char digits[] = "234567abcdefghijklmnopqrstuvwxyz"; /* in order of their bytes */
    enum { TIME_DIGITS = 8, RANDOM_DIGITS = 4 };
    /* Forty bits of milliseconds since 2026 last until 2060, then ids no longer sort; twenty of chance. */
    uint64_t ms = (uint64_t)(wall_us / 1000 - INT64_C(1767225600000));
    uint8_t random[RANDOM_DIGITS];
    char text[TIME_DIGITS + RANDOM_DIGITS + 1] = { 0 };
    ids_random(random, sizeof random);
    for (size_t i = 0; i < TIME_DIGITS; i++)
        text[i] = digits[ms >> (5 * (TIME_DIGITS - 1 - i)) & 31];
    for (size_t i = 0; i < RANDOM_DIGITS; i++)
        text[TIME_DIGITS + i] = digits[random[i] & 31];
    return arena_format(arena, "app-%s", text);
}
