/* QualityService.ListQuarantine and ViewQuarantined. */
#include <string.h>

#include "audit/salt.h"
#include "services/quality.h"
#include "services/quarantine_item.h"

enum { STORED_VALUES_MAX = 16, CITIZEN_ID = 1 };

/* --- ListQuarantine ---------------------------------------------------------------------------- */

static const Sluice__V1__ListQuarantineRequest *list_request(const struct call *call)
{
    return (const Sluice__V1__ListQuarantineRequest *)(const void *)call->request;
}

static enum step_result list_check(struct call *call)
{
    const Sluice__V1__ListQuarantineRequest *request = list_request(call);
    struct gateway_dataset *dataset;
    if (quality_own(call, request->dataset, "", SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY,
                    &dataset) == STEP_FAIL)
        return STEP_FAIL;
    if (request->page_token[0] != '\0' && !quality_is_number(request->page_token)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "TOKEN_INVALID",
                      "the page token is not one of this method");
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static int take_list(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const Sluice__V1__ListQuarantineRequest *request = list_request(call);
    size_t page = admin_page_size(request->page_size, QUALITY_PAGE_DEFAULT, QUALITY_PAGE_MAX);
    size_t count = (size_t)db_row_count(rows);
    Sluice__V1__ListQuarantineResponse answer = SLUICE__V1__LIST_QUARANTINE_RESPONSE__INIT;
    answer.n_items = count < page ? count : page;
    answer.items = arena_array(&call->arena, answer.n_items, sizeof *answer.items);
    for (size_t i = 0; i < answer.n_items; i++)
        answer.items[i] = quarantine_message(&call->arena, rows, (int)i);
    if (count > page)
        answer.next_page_token = (char *)quality_number(&call->arena, answer.items[page - 1]->id);
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_select(struct call *call)
{
    const Sluice__V1__ListQuarantineRequest *request = list_request(call);
    size_t page = admin_page_size(request->page_size, QUALITY_PAGE_DEFAULT, QUALITY_PAGE_MAX);
    const char *params[] = {
        request->dataset,
        request->code,
        request->field,
        quality_number(&call->arena, (int64_t)request->state),
        request->page_token[0] != '\0' ? request->page_token : "999999999999999999",
        quality_number(&call->arena, (int64_t)page + 1),
    };
    const char *text = arena_format(&call->arena,
                                    "SELECT %s FROM control.quarantine WHERE dataset = $1"
                                    " AND ($2 = '' OR code = $2) AND ($3 = '' OR field = $3)"
                                    " AND ($4::integer = 0 OR state = $4::integer)"
                                    " AND id < $5::bigint ORDER BY id DESC LIMIT $6::bigint",
                                    quarantine_columns);
    struct db_sql sql = quality_sql(&call->arena, text, params, sizeof params / sizeof params[0]);
    return admin_run(call, &sql, take_list);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", list_check, NULL },
    { "record", admin_record, admin_recorded },
    { "select", list_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method quality_list_method = {
    .path = "/sluice.v1.QualityService/ListQuarantine",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__list_quarantine_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = list_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ViewQuarantined --------------------------------------------------------------------------- */

struct view {
    struct admin admin; /* first */
    struct gateway_dataset *dataset;
    struct quarantine_item *item;
    struct schema_plan *plan;
    struct db_lease *lease;
    struct db_sql sql;
    bool waiting;
    struct err failed;
    Sluice__V1__QuarantinedRow *answer;
    uint8_t person[1][HASH_BYTES];
};

static const Sluice__V1__ViewQuarantinedRequest *view_request(const struct call *call)
{
    return (const Sluice__V1__ViewQuarantinedRequest *)(const void *)call->request;
}

static enum step_result view_check(struct call *call)
{
    const Sluice__V1__ViewQuarantinedRequest *request = view_request(call);
    struct view *view = call->state;
    view->admin.object = quality_number(&call->arena, request->id);
    if (quality_own_ready(call, request->dataset, request->request_id,
                          SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY,
                          &view->dataset) == STEP_FAIL)
        return STEP_FAIL;
    if (strlen(request->reason) > QUALITY_TEXT_BYTES_MAX) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "REASON_TOO_LONG",
                      "the reason has at most %d bytes", QUALITY_TEXT_BYTES_MAX);
        return STEP_FAIL;
    }
    view->admin.purpose = request->reason;
    return STEP_NEXT;
}

static int take_item(struct call *call, const struct db_rows *rows, struct err *err)
{
    const struct gateway *gateway = call->context;
    struct view *view = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "QUARANTINE_ITEM_NOT_FOUND",
                       "the dataset has no quarantined row of this id; it may have been removed");
    view->item = quarantine_item_from_row(&call->arena, &gateway->quarantine_keys,
                                          view->dataset->dataset, rows, 0);
    return 0;
}

static enum step_result view_select(struct call *call)
{
    const Sluice__V1__ViewQuarantinedRequest *request = view_request(call);
    const char *params[] = { request->dataset, quality_number(&call->arena, request->id) };
    struct db_sql sql =
        quality_sql(&call->arena,
                    arena_format(&call->arena,
                                 "SELECT %s FROM control.quarantine WHERE dataset = $1"
                                 " AND id = $2::bigint",
                                 quarantine_columns),
                    params, 2);
    return admin_run(call, &sql, take_item);
}

static void add_values(struct call *call, const struct db_rows *rows, int row,
                       const struct schema_field *field, Sluice__V1__StoredValue **values,
                       size_t *count)
{
    const struct view *view = call->state;
    struct schema_stored stored[STORED_VALUES_MAX];
    size_t found = schema_plan_row_stored(view->plan, rows, row, field, &call->arena, stored,
                                          STORED_VALUES_MAX - *count);
    for (size_t i = 0; i < found; i++) {
        Sluice__V1__StoredValue *value = arena_alloc(&call->arena, sizeof *value);
        sluice__v1__stored_value__init(value);
        value->column = arena_strdup(&call->arena, stored[i].column);
        value->null = stored[i].null;
        if (stored[i].text != NULL)
            value->text = view->answer->masked ? quarantine_shape(&call->arena, stored[i].text)
                                               : (char *)stored[i].text;
        values[(*count)++] = value;
    }
}

/* An unmasked view of a person's row is found by whoever asks who read about that person. */
static void index_person(struct call *call, const struct db_rows *rows, int row)
{
    const struct gateway *gateway = call->context;
    struct view *view = call->state;
    const struct schema_dataset *dataset = view->dataset->dataset;
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    if (view->answer->masked || dataset->key_count != 1 ||
        dataset->key[0]->semantic != CITIZEN_ID || !schema_plan_row_key(view->plan, rows, row, key))
        return;
    salt_person_key(gateway->person_key, slice_of(key, strlen(key)), view->person[0]);
    view->admin.persons = (const uint8_t(*)[HASH_BYTES])view->person;
    view->admin.person_count = 1;
}

static int fill_answer(struct call *call, const struct db_rows *rows, struct err *err)
{
    const struct gateway *gateway = call->context;
    struct view *view = call->state;
    const struct schema_dataset *dataset = view->dataset->dataset;
    Sluice__V1__QuarantinedRow *answer = view->answer;
    struct quarantine_finding finding;
    if (quarantine_item_judge(view->item, &gateway->quarantine_keys, dataset, view->plan, rows,
                              &finding, err) < 0)
        return -1;
    answer->state = (Sluice__V1__QuarantineItem__State)finding.state;
    if (finding.code[0] != '\0') {
        answer->rule = (char *)finding.rule;
        answer->code = (char *)finding.code;
    }
    quarantine_rule_expects(answer->rule, answer->code, (const char **)&answer->expected,
                            (const char **)&answer->expected_zh);
    if (finding.row < 0)
        return 0;
    answer->values = arena_array(&call->arena, STORED_VALUES_MAX, sizeof *answer->values);
    answer->key = arena_array(&call->arena, STORED_VALUES_MAX, sizeof *answer->key);
    if (view->item->field != NULL)
        add_values(call, rows, finding.row, view->item->field, answer->values, &answer->n_values);
    for (size_t i = 0; i < dataset->key_count; i++)
        add_values(call, rows, finding.row, dataset->key[i], answer->key, &answer->n_key);
    index_person(call, rows, finding.row);
    return 0;
}

static void on_row(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    struct view *view = call->state;
    view->waiting = false;
    if (err != NULL)
        view->failed = *err;
    else
        (void)fill_answer(call, rows, &view->failed);
    call_resume(call);
}

static void on_lease(void *arg, const struct err *err)
{
    struct call *call = arg;
    struct view *view = call->state;
    if (err != NULL) {
        view->waiting = false;
        view->failed = *err;
        view->lease = NULL; /* a refused lease dies with this callback */
        call_resume(call);
        return;
    }
    db_lease_execute(view->lease, &view->sql, call->deadline_us, on_row, call);
}

static enum step_result view_read(struct call *call)
{
    struct view *view = call->state;
    const struct schema_dataset *dataset = view->dataset->dataset;
    view->answer = arena_alloc(&call->arena, sizeof *view->answer);
    sluice__v1__quarantined_row__init(view->answer);
    view->answer->item = view->item->message;
    view->answer->masked = view_request(call)->reason[0] == '\0';
    view->answer->rule = (char *)view->item->rule;
    view->answer->code = (char *)view->item->code;
    if (!view->item->readable) {
        (void)err_set(&call->err, ERR_DATA_LOSS, "QUARANTINE_SEALED",
                      "the row's place was sealed under another key; it will be noted anew when it "
                      "is met again");
        return STEP_FAIL;
    }
    view->plan = schema_plan_new(dataset, view->item->fields, NULL, &call->err);
    if (view->plan == NULL ||
        schema_plan_place(view->plan, view->item->place, &call->arena, &view->sql, &call->err) < 0)
        return STEP_FAIL;
    view->waiting = true;
    view->lease = db_lease_start(view->dataset->source->db, call->deadline_us, on_lease, call);
    return STEP_WAIT;
}

static enum step_result view_was_read(struct call *call)
{
    struct view *view = call->state;
    if (view->waiting)
        return STEP_WAIT;
    db_lease_release(&view->lease);
    if (view->failed.code != ERR_OK) {
        call->err = view->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static enum step_result view_answer(struct call *call)
{
    const struct view *view = call->state;
    call_answer(call, &view->answer->base);
    return STEP_NEXT;
}

static void view_finish(struct call *call, bool delivered)
{
    struct view *view = call->state;
    db_lease_release(&view->lease);
    schema_plan_free(&view->plan);
    admin_finish(call, delivered);
}

static enum step_result view_outcome(struct call *call)
{
    struct view *view = call->state;
    db_lease_release(&view->lease);
    return admin_outcome(call);
}

static const struct step view_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", view_check, NULL },
    { "select", view_select, admin_ran },
    { "read", view_read, view_was_read },
    { "record", admin_record, admin_recorded }, /* durable BEFORE a value leaves */
    { "answer", view_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method quality_view_method = {
    .path = "/sluice.v1.QualityService/ViewQuarantined",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__view_quarantined_request__descriptor,
    .state_size = sizeof(struct view),
    .steps = view_steps,
    .outcome = view_outcome,
    .finish = view_finish,
};
