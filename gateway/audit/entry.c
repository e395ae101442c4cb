#include "audit/entry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    ENTRY_VERSION = 1,
    EXCHANGE_ID_BYTES = 16,
    FIELDS_BITMAP_BYTES_MAX = 512,
    STATUS_RESOURCE_EXHAUSTED = 8, /* gRPC */
};

typedef Sluice__V1__AuditEntry entry_message;

void audit_source_init(struct audit_source *source, const char *origin, const char *instance)
{
    source->origin = mem_strdup(origin);
    source->instance = mem_strdup(instance);
    ids_random(source->boot_id, sizeof source->boot_id);
    source->counter = 0;
}

void audit_source_fini(struct audit_source *source)
{
    free(source->origin);
    free(source->instance);
    memset(source, 0, sizeof *source);
}

static int invalid(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "ENTRY_INVALID",
                   "The call cannot be recorded: %s. Shorten or correct it and call again.", what);
}

static bool text_valid(const char *text)
{
    if (text == NULL)
        return true;
    size_t len = strnlen(text, AUDIT_TEXT_BYTES_MAX + 1);
    return len <= AUDIT_TEXT_BYTES_MAX && utf8_valid(text, len);
}

/* What the database or a later reader of the log would stumble over. */
static int check_fields(const struct audit_entry_fields *fields, struct err *err)
{
    const char *const texts[] = {
        fields->trace_id,  fields->request_id, fields->peer_exchange_id,
        fields->subject,   fields->department, fields->auth_method,
        fields->delegate,  fields->purpose,    fields->legal_basis,
        fields->agreement, fields->method,     fields->dataset,
        fields->owner,     fields->object,     fields->rule,
        fields->reason,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!text_valid(texts[i]))
            return invalid(err, "a name or id in it is not UTF-8 or is longer than 2,048 bytes");
    }
    const struct slice digests[] = { fields->credential, fields->agreement_digest,
                                     fields->schema_digest, fields->filter_digest,
                                     fields->response_digest };
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        if (digests[i].len != 0 && digests[i].len != HASH_BYTES)
            return invalid(err, "a digest has a wrong size");
    }
    if (fields->exchange_id.len != 0 && fields->exchange_id.len != EXCHANGE_ID_BYTES)
        return invalid(err, "its exchange id has a wrong size");
    if (fields->fields.len > FIELDS_BITMAP_BYTES_MAX)
        return invalid(err, "it names too many fields");
    if (fields->person_count > AUDIT_PERSONS_MAX)
        return invalid(err, "it names too many persons");
    return 0;
}

static char *text(const char *value)
{
    return (char *)(value != NULL ? value : "");
}

static ProtobufCBinaryData bytes(struct slice value)
{
    return (ProtobufCBinaryData){ .len = value.len, .data = (uint8_t *)value.data };
}

/* The message with its parts; everything in it is borrowed. */
struct draft {
    entry_message entry;
    Sluice__V1__AuditEntry__Who who;
    Sluice__V1__AuditEntry__Why why;
    Sluice__V1__AuditEntry__What what;
    Sluice__V1__AuditEntry__Decision decision;
    Sluice__V1__AuditEntry__Rows rows;
    uint8_t root[MERKLE_HASH_BYTES];
};

static void draft_rows(struct draft *draft, const struct audit_entry_fields *fields)
{
    sluice__v1__audit_entry__rows__init(&draft->rows);
    draft->rows.response_digest = bytes(fields->response_digest);
    draft->rows.quarantined = fields->quarantined;
    if (fields->rows != NULL) {
        draft->rows.count = fields->rows->count;
        draft->rows.bytes = fields->rows->bytes;
        draft->rows.batches = fields->rows->batches;
        draft->rows.form = fields->rows->form == AUDIT_ROWS_BATCH
                               ? SLUICE__V1__AUDIT_ENTRY__ROWS__FORM__BATCH
                               : SLUICE__V1__AUDIT_ENTRY__ROWS__FORM__ROW;
        audit_rows_root(fields->rows, draft->root);
        draft->rows.root = bytes(slice_of(draft->root, sizeof draft->root));
    }
    if (fields->rows != NULL || fields->response_digest.len > 0 || fields->quarantined > 0)
        draft->entry.rows = &draft->rows;
}

static void draft_parts(struct draft *draft, const struct audit_entry_fields *fields)
{
    sluice__v1__audit_entry__who__init(&draft->who);
    draft->who.subject = text(fields->subject);
    draft->who.department = text(fields->department);
    draft->who.credential = bytes(fields->credential);
    draft->who.auth_method = text(fields->auth_method);
    draft->who.delegate = text(fields->delegate);
    draft->entry.who = &draft->who;

    sluice__v1__audit_entry__why__init(&draft->why);
    draft->why.purpose = text(fields->purpose);
    draft->why.legal_basis = text(fields->legal_basis);
    draft->why.agreement = text(fields->agreement);
    draft->why.agreement_digest = bytes(fields->agreement_digest);
    draft->entry.why = &draft->why;

    sluice__v1__audit_entry__what__init(&draft->what);
    draft->what.method = text(fields->method);
    draft->what.dataset = text(fields->dataset);
    draft->what.owner = text(fields->owner);
    draft->what.schema_digest = bytes(fields->schema_digest);
    draft->what.fields = bytes(fields->fields);
    draft->what.filter_digest = bytes(fields->filter_digest);
    draft->what.object = text(fields->object);
    draft->entry.what = &draft->what;

    sluice__v1__audit_entry__decision__init(&draft->decision);
    draft->decision.outcome = fields->outcome;
    draft->decision.rule = text(fields->rule);
    draft->decision.reason = text(fields->reason);
    draft->decision.status = fields->status;
    draft->decision.agreement_epoch = fields->agreement_epoch;
    draft->entry.decision = &draft->decision;
    draft_rows(draft, fields);
}

static void draft_entry(struct draft *draft, const struct audit_source *source,
                        const struct audit_entry_fields *fields, const uint8_t id[UUID_BYTES])
{
    sluice__v1__audit_entry__init(&draft->entry);
    draft->entry.version = ENTRY_VERSION;
    draft->entry.origin = source->origin;
    draft->entry.id = bytes(slice_of(id, UUID_BYTES));
    draft->entry.exchange_id = bytes(fields->exchange_id);
    draft->entry.time_us = clock_wall_us();
    draft->entry.instance = source->instance;
    draft->entry.boot_id = bytes(slice_of(source->boot_id, sizeof source->boot_id));
    draft->entry.counter = source->counter + 1;
    draft->entry.trace_id = text(fields->trace_id);
    draft->entry.kind = fields->kind;
    draft->entry.peer_exchange_id = text(fields->peer_exchange_id);
    draft->entry.request_id = text(fields->request_id);
    draft->entry.stands_for = fields->stands_for;
    draft_parts(draft, fields);
}

bool audit_entry_denied(const struct audit_entry_fields *fields)
{
    return fields->kind == SLUICE__V1__AUDIT_ENTRY__KIND__DENIALS ||
           (fields->kind == SLUICE__V1__AUDIT_ENTRY__KIND__DECISION &&
            fields->outcome == SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED);
}

/* Packs the Append around a leaf; the search columns come from the drafted message itself. */
static int pack_append(const struct draft *draft, const struct audit_entry_fields *fields,
                       struct slice leaf, struct slice refused, struct buf *out)
{
    Sluice__Internal__Append append = SLUICE__INTERNAL__APPEND__INIT;
    ProtobufCBinaryData *persons = NULL;
    if (fields->person_count > 0)
        persons = mem_array(fields->person_count, sizeof *persons);
    for (size_t i = 0; i < fields->person_count; i++)
        persons[i] = bytes(slice_of(fields->persons[i], HASH_BYTES));
    append.id = draft->entry.id;
    append.leaf = bytes(leaf);
    append.denied = audit_entry_denied(fields);
    append.salt = bytes(slice_of(fields->salt, fields->salt != NULL ? SALT_BYTES : 0));
    append.time_us = draft->entry.time_us;
    append.kind = (uint32_t)draft->entry.kind;
    append.subject = draft->who.subject;
    append.department = draft->who.department;
    append.owner = draft->what.owner;
    append.dataset = draft->what.dataset;
    append.agreement = draft->why.agreement;
    append.purpose = draft->why.purpose;
    append.outcome = (uint32_t)draft->decision.outcome;
    append.exchange_id = draft->entry.exchange_id;
    append.n_persons = fields->person_count;
    append.persons = persons;
    append.charge = fields->charge;
    append.charge_partly = fields->charge_partly;
    append.charge_day = fields->charge_day;
    append.refused_leaf = bytes(refused);
    append.refused_outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED;
    size_t len = sluice__internal__append__get_packed_size(&append);
    int result = buf_reserve(out, len);
    if (result == 0)
        out->len += sluice__internal__append__pack(&append, out->data + out->len);
    free(persons);
    return result;
}

/* The same entry as the quota would refuse it: same id, time and counter, so the log has one of the two
 * and no gap. Answers its length in `leaf`, 0 when the entry charges nothing. */
static size_t pack_refused(const struct draft *draft, const struct audit_entry_fields *fields,
                           uint8_t leaf[AUDIT_LEAF_BYTES_MAX])
{
    struct draft refused = *draft;
    if (fields->charge <= 0)
        return 0;
    refused.entry.decision = &refused.decision;
    refused.entry.rows = NULL;
    refused.decision.outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED;
    refused.decision.rule = text(AUDIT_QUOTA_RULE);
    refused.decision.reason = text(AUDIT_QUOTA_REASON);
    refused.decision.status = STATUS_RESOURCE_EXHAUSTED;
    size_t len = sluice__v1__audit_entry__get_packed_size(&refused.entry);
    return len <= AUDIT_LEAF_BYTES_MAX ? sluice__v1__audit_entry__pack(&refused.entry, leaf)
                                       : AUDIT_LEAF_BYTES_MAX + 1;
}

static int too_large(struct err *err)
{
    return err_set(err, ERR_RESOURCE_EXHAUSTED, "ENTRY_TOO_LARGE",
                   "The call's audit entry would exceed 16 KiB; use shorter names and ids.");
}

int audit_entry_build(struct audit_source *source, const struct audit_entry_fields *fields,
                      struct buf *append_r, uint8_t id_r[UUID_BYTES], struct err *err)
{
    struct draft draft;
    uint8_t leaf[AUDIT_LEAF_BYTES_MAX], refused[AUDIT_LEAF_BYTES_MAX];
    if (check_fields(fields, err) != 0)
        return -1;
    uuid7_make(id_r);
    draft_entry(&draft, source, fields, id_r);
    size_t len = sluice__v1__audit_entry__get_packed_size(&draft.entry);
    size_t refused_len = pack_refused(&draft, fields, refused);
    if (len > sizeof leaf || refused_len > sizeof refused)
        return too_large(err);
    (void)sluice__v1__audit_entry__pack(&draft.entry, leaf);
    if (pack_append(&draft, fields, slice_of(leaf, len), slice_of(refused, refused_len),
                    append_r) != 0)
        return append_r->refused
                   ? err_set(err, ERR_RESOURCE_EXHAUSTED, "WORKER_MEMORY",
                             "This gateway process has no memory left for the call's audit entry; "
                             "try again.")
                   : too_large(err);
    /* Only now: an entry that could not be made must not leave a gap that looks like an omission.
     */
    source->counter++;
    return 0;
}

static struct slice borrowed(ProtobufCBinaryData data)
{
    return slice_of(data.data, data.len);
}

void audit_entry_fields_from(const Sluice__V1__AuditEntry *entry,
                             struct audit_entry_fields *fields_r)
{
    *fields_r = (struct audit_entry_fields){
        .kind = entry->kind,
        .exchange_id = borrowed(entry->exchange_id),
        .trace_id = entry->trace_id,
        .request_id = entry->request_id,
        .peer_exchange_id = entry->peer_exchange_id,
    };
    if (entry->who != NULL) {
        fields_r->subject = entry->who->subject;
        fields_r->department = entry->who->department;
        fields_r->credential = borrowed(entry->who->credential);
        fields_r->auth_method = entry->who->auth_method;
        fields_r->delegate = entry->who->delegate;
    }
    if (entry->why != NULL) {
        fields_r->purpose = entry->why->purpose;
        fields_r->legal_basis = entry->why->legal_basis;
        fields_r->agreement = entry->why->agreement;
        fields_r->agreement_digest = borrowed(entry->why->agreement_digest);
    }
    if (entry->what != NULL) {
        fields_r->method = entry->what->method;
        fields_r->dataset = entry->what->dataset;
        fields_r->owner = entry->what->owner;
        fields_r->schema_digest = borrowed(entry->what->schema_digest);
        fields_r->fields = borrowed(entry->what->fields);
        fields_r->object = entry->what->object;
    }
}
