/* sluice.v1.AuditService/Search: officers read the log; each page read is itself an entry. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/hash.h"
#include "schema/normaliser.h"
#include "services/admin.h"
#include "services/audit_request.h"
#include "services/timestamps.h"
#include "services/token.h"
#include "sluice/v1/audit_entry.pb-c.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 500, PARAM_COUNT = 17 };

struct search {
    struct admin admin; /* first */
    uint8_t query[TOKEN_DIGEST_BYTES];
    uint8_t person[1][HASH_BYTES];
    int64_t above;
    int64_t below;
    bool oldest_first;
};

static const Sluice__V1__SearchAuditRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__SearchAuditRequest *)(const void *)call->request;
}

/* --- check -------------------------------------------------------------------------------------- */

/* The person index is over canonical citizen numbers. */
static int key_person(struct call *call, struct search *search, const char *person)
{
    const struct gateway *gateway = call->context;
    const struct normaliser *normaliser = normaliser_find("cn_id", strlen("cn_id"));
    struct buf value;
    int result = 0;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    if (buf_append_str(&value, person) != 0 ||
        normaliser->run(NULL, &value).verdict == NORMALISER_ERROR)
        result = err_set(&call->err, ERR_INVALID_ARGUMENT, "PERSON",
                         "person must be a citizen number of 18 (or 15) digits");
    else
        salt_person_key(gateway->person_key, buf_slice(&value), search->person[0]);
    explicit_bzero(value.data, value.len);
    buf_fini(&value);
    search->admin.persons = (const uint8_t(*)[HASH_BYTES])search->person;
    search->admin.person_count = result == 0;
    return result;
}

/* What a page token is bound to: the caller and the query without the page. */
static void digest_query(const struct call *call, uint8_t query_r[TOKEN_DIGEST_BYTES])
{
    Sluice__V1__SearchAuditRequest query = *request_of(call);
    struct slice pieces[2] = { slice_of(call->identity.subject,
                                        strlen(call->identity.subject) + 1) };
    struct buf packed;
    query.page_size = 0;
    query.page_token = (char *)"";
    size_t len = sluice__v1__search_audit_request__get_packed_size(&query);
    buf_init(&packed, len + 1);
    (void)buf_reserve(&packed, len);
    packed.len = sluice__v1__search_audit_request__pack(&query, packed.data);
    pieces[1] = buf_slice(&packed);
    hash_sha256(pieces, 2, query_r);
    explicit_bzero(packed.data, packed.len); /* it may hold a person's number */
    buf_fini(&packed);
}

static int take_page(struct call *call, struct search *search)
{
    const struct gateway *gateway = call->context;
    const Sluice__V1__SearchAuditRequest *request = request_of(call);
    char at[PLAN_KEY_TEXT_BYTES_MAX];
    search->oldest_first = request->after_index > 0;
    search->above = search->oldest_first ? request->after_index : -1;
    search->below = INT64_MAX;
    digest_query(call, search->query);
    if (request->page_token[0] == '\0')
        return 0;
    if (token_open(gateway->token_key, search->query, request->page_token, at, &call->err) != 0)
        return -1;
    int64_t *bound = search->oldest_first ? &search->above : &search->below;
    *bound = strtoll(at, NULL, 10);
    return 0;
}

static enum step_result search_check(struct call *call)
{
    const Sluice__V1__SearchAuditRequest *request = request_of(call);
    struct search *search = call->state;
    struct admin *admin = &search->admin;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    if (audit_request_check(request, &call->err) != 0)
        return STEP_FAIL;
    admin->dataset = request->dataset;
    admin->agreement = request->agreement;
    admin->object = audit_request_names(request, &call->arena);
    if (request->person[0] != '\0' && key_person(call, search, request->person) != 0)
        return STEP_FAIL;
    return take_page(call, search) == 0 ? STEP_NEXT : STEP_FAIL;
}

/* --- answer ------------------------------------------------------------------------------------- */

static int make_record(struct call *call, const struct db_rows *rows, int row,
                       Sluice__V1__AuditRecord *record, struct err *err)
{
    struct db_value leaf = db_value(rows, row, 1);
    record->index = db_int8(db_value(rows, row, 0));
    record->leaf.data = arena_dup(&call->arena, leaf.data, leaf.len);
    record->leaf.len = leaf.len;
    record->entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    if (record->entry == NULL)
        return err_set(err, ERR_DATA_LOSS, "AUDIT_ENTRY_DAMAGED",
                       "entry %" PRId64 " of the log cannot be read; verify the log",
                       record->index);
    record->time = timestamp_from_us(&call->arena, record->entry->time_us);
    return 0;
}

static void next_page(struct call *call, int64_t last, Sluice__V1__SearchAuditResponse *answer)
{
    const struct gateway *gateway = call->context;
    const struct search *search = call->state;
    char *text = arena_alloc(&call->arena, TOKEN_TEXT_BYTES_MAX);
    token_seal(gateway->token_key, search->query, arena_format(&call->arena, "%" PRId64, last),
               text);
    answer->next_page_token = text;
}

static int take_entries(struct call *call, const struct db_rows *rows, struct err *err)
{
    size_t page = admin_page_size(request_of(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    size_t count = (size_t)db_row_count(rows);
    size_t shown = count < page ? count : page;
    Sluice__V1__SearchAuditResponse answer = SLUICE__V1__SEARCH_AUDIT_RESPONSE__INIT;
    answer.records = arena_array(&call->arena, shown, sizeof *answer.records);
    int result = 0;
    for (size_t i = 0; i < shown && result == 0; i++) {
        Sluice__V1__AuditRecord *record = arena_alloc(&call->arena, sizeof *record);
        sluice__v1__audit_record__init(record);
        answer.records[answer.n_records++] = record;
        result = make_record(call, rows, (int)i, record, err);
    }
    if (result == 0 && count > page)
        next_page(call, answer.records[shown - 1]->index, &answer);
    if (result == 0)
        call_answer(call, &answer.base);
    for (size_t i = 0; i < answer.n_records; i++)
        if (answer.records[i]->entry != NULL)
            sluice__v1__audit_entry__free_unpacked(answer.records[i]->entry, NULL);
    return result;
}

/* NULL: filters nothing. */
static const char *text_param(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static const char *number_param(struct call *call, bool given, int64_t number)
{
    return given ? arena_format(&call->arena, "%" PRId64, number) : NULL;
}

static const char *person_param(struct call *call, const struct search *search)
{
    char hex[2 * HASH_BYTES + 1];
    if (search->admin.person_count == 0)
        return NULL;
    hex_encode(search->person[0], HASH_BYTES, hex);
    return arena_format(&call->arena, "\\x%s", hex);
}

static const char search_sql[] =
    "SELECT index, leaf FROM audit.search($1, $2, $3, $4, $5, $6, $7, $8::smallint, $9::smallint,"
    " $10::bigint, $11::bigint, $12::uuid, $13::bytea,"
    " greatest($14::bigint, (SELECT m.index - 1 FROM audit.minimum m)), $15::bigint, $16::boolean,"
    " $17::bigint)";

static enum step_result search_select(struct call *call)
{
    const Sluice__V1__SearchAuditRequest *request = request_of(call);
    const struct search *search = call->state;
    size_t page = admin_page_size(request->page_size, PAGE_DEFAULT, PAGE_MAX);
    const Google__Protobuf__Timestamp *from = request->time_from;
    const Google__Protobuf__Timestamp *to = request->time_to;
    const char *params[PARAM_COUNT] = {
        call->identity.department,
        text_param(request->department),
        text_param(request->owner),
        text_param(request->dataset),
        text_param(request->agreement),
        text_param(request->purpose),
        text_param(request->subject),
        number_param(call, request->kind != 0, (int64_t)request->kind),
        number_param(call, request->outcome != 0, (int64_t)request->outcome),
        number_param(call, from != NULL, timestamp_us(from)),
        number_param(call, to != NULL, timestamp_us(to)),
        text_param(request->exchange_id),
        person_param(call, search),
        number_param(call, true, search->above),
        number_param(call, true, search->below),
        search->oldest_first ? "true" : "false",
        number_param(call, true, (int64_t)page + 1),
    };
    struct db_sql sql = { .text = search_sql,
                          .param_count = PARAM_COUNT,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_entries);
}

static const struct step search_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", search_check, NULL },
    { "record", admin_record, admin_recorded },
    { "select", search_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_search_method = {
    .path = "/sluice.v1.AuditService/Search",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__search_audit_request__descriptor,
    .state_size = sizeof(struct search),
    .steps = search_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
