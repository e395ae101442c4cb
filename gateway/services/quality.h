/* What the methods of QualityService share: ownership, texts of parameters, rows to messages.
 * Ownership: messages and texts lie in the call's arena.
 * Callbacks: through the call's steps.
 * Limits: QUALITY_*_MAX.
 * Does not judge rows: quality_account.h and quarantine_item.h do. */
#ifndef SLUICE_SERVICES_QUALITY_H
#define SLUICE_SERVICES_QUALITY_H

#include "google/protobuf/timestamp.pb-c.h"
#include "rpc/call.h"
#include "services/admin.h"
#include "services/gateway.h"
#include "sluice/v1/quality.pb-c.h"

enum {
    QUALITY_PAGE_DEFAULT = 100,
    QUALITY_PAGE_MAX = 1000,
    QUALITY_TEXT_BYTES_MAX = 1024, /* a reason */
};

/* Step: fills call->state's struct admin and finds the dataset, which must be of the officer's own
 * department. A dataset of somebody else answers like one that does not exist. */
enum step_result quality_own(struct call *call, const char *dataset, const char *request_id,
                             Sluice__V1__AuditEntry__Kind kind, struct gateway_dataset **dataset_r);
/* The same, and its table can be read now. */
enum step_result quality_own_ready(struct call *call, const char *dataset, const char *request_id,
                                   Sluice__V1__AuditEntry__Kind kind,
                                   struct gateway_dataset **dataset_r);
/* A plan of all fields without an agreement's row filter: for the owner's own eyes. */
struct schema_plan *quality_whole_plan(const struct schema_dataset *dataset,
                                       uint8_t fields_r[PLAN_BITMAP_BYTES], struct err *err);

/* A statement whose parameters are copied into the arena. */
struct db_sql quality_sql(struct arena *arena, const char *text, const char *const *params,
                          size_t count);
const char *quality_number(struct arena *arena, int64_t number);
/* "\x…" */
const char *quality_bytea(struct arena *arena, const void *data, size_t len);
const char *quality_text(struct arena *arena, const struct db_rows *rows, int row, int column);
const char *quality_uuid(struct arena *arena, struct db_value value);
/* A timestamptz in binary; NULL for SQL NULL. */
Google__Protobuf__Timestamp *quality_timestamp(struct arena *arena, struct db_value value);
/* Numbers as an array literal "{1,2}". */
const char *quality_numbers(struct arena *arena, const uint64_t *numbers, size_t count);
/* Only digits, at most 18. */
bool quality_is_number(const char *text);

/* A message of a server stream. */
int quality_send(struct call *call, const ProtobufCMessage *message);

extern const struct rpc_method quality_assess_method;
extern const struct rpc_method quality_report_method;
extern const struct rpc_method quality_compare_method;
extern const struct rpc_method quality_list_method;
extern const struct rpc_method quality_view_method;
extern const struct rpc_method quality_replay_method;

#endif
