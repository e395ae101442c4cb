/* What Lookup, BatchLookup, Query and Verify share: authorise, record, outcome, release, finish.
 * Ownership: struct exchange is the first member of each method's call->state.
 * Callbacks: through the call's steps.
 * Limits: AUDIT_WAIT_MS for an entry of a refused call, the call's deadline for a released one.
 * Does not read rows. */
#ifndef SLUICE_SERVICES_EXCHANGE_H
#define SLUICE_SERVICES_EXCHANGE_H

#include "google/protobuf/field_mask.pb-c.h"
#include "rpc/call.h"
#include "services/gateway.h"

/* How long the answer of a call that did not succeed waits for its entry. */
enum { EXCHANGE_OUTCOME_WAIT_MS = 1000 };

struct exchange {
    struct authz_answer grant;
    struct gateway_dataset *dataset;
    const char *dataset_name; /* as asked */
    const char *purpose;
    const char *agreement; /* as asked */
    bool for_department;   /* an officer asks as the whole department; set before authorise */
    const char *object;    /* what else the entry names, or NULL */
    const char *filter;    /* key or filter text: only its keyed digest is recorded */
    struct db_call *db;
    struct db_lease *lease;
    struct audit_ticket *ticket;
    uint8_t salt[SALT_BYTES];
    struct audit_rows rows;
    uint8_t (*persons)[HASH_BYTES]; /* person-index keys, in the call's arena */
    size_t person_count;
    size_t person_cap;
    uint64_t quarantined;
    /* Daily quota, see exchange_charge. */
    int64_t charge;   /* records that the next entry charges */
    int64_t reserved; /* charged so far */
    int64_t spent;    /* of them, delivered by a stream */
    int32_t charge_day;
    bool charge_partly; /* a stream: takes what is left, gives back what it did not deliver */
    bool refused;       /* by the quota: the log has the refused entry */
    bool salted;
    bool recorded;     /* the decision entry is durable */
    bool late;         /* an entry was admitted, and nothing was heard of it in time */
    bool closed;       /* a DELIVERY entry says how it ended */
    struct err failed; /* of the entry in flight */
};

static inline struct gateway *exchange_gateway(const struct call *call)
{
    return call->context;
}

/* Request id, identity, agreement, dataset state; fills call->state's exchange. */
enum step_result exchange_authorise(struct call *call, const char *dataset, const char *agreement,
                                    const char *purpose, const char *request_id,
                                    const Google__Protobuf__FieldMask *fields,
                                    enum authz_mode mode);
/* Starts the salted digests of what will be released. */
void exchange_start_rows(struct call *call, enum audit_rows_form form);
/* Digests one record and its persons; row form. */
void exchange_add_record(struct call *call, struct slice record);

/* Persons of the row just read whose numbers the agreement masks: they are told of nevertheless. */
void exchange_add_masked_persons(struct call *call);

/* Notes whom the exchange is about, by the canonical number, in the person index. */
void exchange_add_person(struct call *call, struct slice value);

/* Notes a row that the plan rejected; anything else is passed over. Never waits and never fails. */
void exchange_note_row(struct call *call, const struct db_rows *rows, int row,
                       const struct schema_row_report *report);

/* The next entry charges so many records to the agreement's daily quota; nothing without a quota. Lookups
 * stay charged whatever becomes of them. */
void exchange_charge(struct call *call, int64_t records);
/* Whether the agreement has a daily quota that this gateway must keep. */
bool exchange_has_quota(const struct call *call);

/* Step: appends an ALLOWED entry of this kind and waits until it is durable. */
enum step_result exchange_record(struct call *call, Sluice__V1__AuditEntry__Kind kind);
/* Its resumed half: goes on only when the entry is durable and the agreement still lives. */
enum step_result exchange_recorded(struct call *call);

/* Hooks of struct rpc_method. */
enum step_result exchange_outcome(struct call *call);
bool exchange_may_release(const struct call *call, struct err *why);
void exchange_finish(struct call *call, bool delivered);

extern const struct rpc_method exchange_lookup_method;
extern const struct rpc_method exchange_batch_lookup_method;
extern const struct rpc_method exchange_query_method;
extern const struct rpc_method exchange_verify_method;

#endif
