#include "services/audit_request.h"

#include <string.h>

#include "base/err.h"
#include "base/ids.h"
#include "services/timestamps.h"

/* 9999-12-31T23:59:59Z, the last second of a protobuf Timestamp. */
#define SECONDS_MAX INT64_C(253402300799)

enum { MEMBERS = 12, NAMES_BYTES = 160 };

struct member {
    const char *name;
    const char *text; /* NULL: no text */
    bool given;
};

static void list_members(const Sluice__V1__SearchAuditRequest *request,
                         struct member members_r[MEMBERS])
{
    const struct member members[MEMBERS] = {
        { "department", request->department, request->department[0] != '\0' },
        { "owner", request->owner, request->owner[0] != '\0' },
        { "dataset", request->dataset, request->dataset[0] != '\0' },
        { "agreement", request->agreement, request->agreement[0] != '\0' },
        { "purpose", request->purpose, request->purpose[0] != '\0' },
        { "subject", request->subject, request->subject[0] != '\0' },
        { "kind", NULL, request->kind != 0 },
        { "outcome", NULL, request->outcome != 0 },
        { "time_from", NULL, request->time_from != NULL },
        { "time_to", NULL, request->time_to != NULL },
        { "exchange_id", request->exchange_id, request->exchange_id[0] != '\0' },
        { "person", request->person, request->person[0] != '\0' },
    };
    memcpy(members_r, members, sizeof members);
}

static int invalid(struct err *err, const char *name, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "FILTER_INVALID", "%s: %s", name, what);
}

static bool time_valid(const Google__Protobuf__Timestamp *time)
{
    return time == NULL || (time->seconds >= 0 && time->seconds <= SECONDS_MAX &&
                            time->nanos >= 0 && time->nanos < 1000000000);
}

static bool enum_valid(const ProtobufCEnumDescriptor *type, int value)
{
    return protobuf_c_enum_descriptor_get_value(type, value) != NULL;
}

int audit_request_check(const Sluice__V1__SearchAuditRequest *request, struct err *err)
{
    struct member members[MEMBERS];
    uint8_t id[UUID_BYTES];
    list_members(request, members);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].text != NULL && strlen(members[i].text) > AUDIT_REQUEST_TEXT_BYTES_MAX)
            return invalid(err, members[i].name, "longer than anything in the log");
    }
    if (request->exchange_id[0] != '\0' && !uuid_parse(request->exchange_id, id))
        return invalid(err, "exchange_id", "a UUID is expected, as answers bear it");
    if (!enum_valid(&sluice__v1__audit_entry__kind__descriptor, (int)request->kind))
        return invalid(err, "kind", "there is no such kind of entry");
    if (!enum_valid(&sluice__v1__audit_entry__outcome__descriptor, (int)request->outcome))
        return invalid(err, "outcome", "there is no such outcome");
    if (!time_valid(request->time_from) || !time_valid(request->time_to))
        return invalid(err, time_valid(request->time_from) ? "time_to" : "time_from",
                       "a time from 1970 to 9999 is expected");
    if (request->after_index < 0)
        return invalid(err, "after_index", "indexes are counted from 0");
    return 0;
}

const char *audit_request_names(const Sluice__V1__SearchAuditRequest *request, struct arena *arena)
{
    struct member members[MEMBERS];
    char text[NAMES_BYTES] = "";
    size_t len = 0;
    list_members(request, members);
    for (size_t i = 0; i < MEMBERS; i++) {
        size_t name = strlen(members[i].name);
        if (!members[i].given || len + name + 2 > sizeof text)
            continue;
        if (len > 0)
            text[len++] = ' ';
        memcpy(text + len, members[i].name, name + 1);
        len += name;
    }
    return arena_strdup(arena, text);
}

int audit_request_reason(const char *reason, struct err *err)
{
    if (reason[0] != '\0' && strlen(reason) <= AUDIT_REQUEST_REASON_BYTES_MAX)
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, "REASON", "say why, in at most %d bytes",
                   AUDIT_REQUEST_REASON_BYTES_MAX);
}

bool audit_request_scope_given(const Sluice__V1__HoldScope *scope)
{
    return scope->time_from != NULL || scope->time_to != NULL || scope->index_from != 0 ||
           scope->index_to != 0 || scope->department[0] != '\0' || scope->dataset[0] != '\0' ||
           scope->agreement[0] != '\0' || scope->exchange_id[0] != '\0';
}

int audit_request_scope(const Sluice__V1__HoldScope *scope, struct err *err)
{
    const struct {
        const char *name;
        const char *text;
    } texts[] = { { "department", scope->department },
                  { "dataset", scope->dataset },
                  { "agreement", scope->agreement } };
    const char *wrong = NULL;
    uint8_t id[UUID_BYTES];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strlen(texts[i].text) > AUDIT_REQUEST_TEXT_BYTES_MAX)
            wrong = texts[i].name;
    }
    if (scope->exchange_id[0] != '\0' && !uuid_parse(scope->exchange_id, id))
        wrong = "exchange_id";
    if (scope->index_from < 0 || scope->index_to < 0 ||
        (scope->index_to != 0 && scope->index_to <= scope->index_from))
        wrong = "index_from, index_to";
    if (!time_valid(scope->time_from) || !time_valid(scope->time_to) ||
        (scope->time_from != NULL && scope->time_to != NULL &&
         timestamp_us(scope->time_to) <= timestamp_us(scope->time_from)))
        wrong = "time_from, time_to";
    if (wrong == NULL)
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, "HOLD_SCOPE", "%s: nothing in the log can meet it",
                   wrong);
}

enum step_result audit_request_list(struct call *call, const char *page_token)
{
    struct admin *admin = call->state;
    uint8_t id[UUID_BYTES];
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    if (page_token[0] == '\0' || uuid_parse(page_token, id))
        return STEP_NEXT;
    (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "TOKEN_INVALID",
                  "the page token is not one of this method");
    return STEP_FAIL;
}

char *audit_request_text(struct call *call, const struct db_rows *rows, int row, int column)
{
    struct db_value value = db_value(rows, row, column);
    return arena_strndup(&call->arena, (const char *)value.data, value.len);
}
