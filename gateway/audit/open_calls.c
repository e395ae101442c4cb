#include "audit/open_calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strmap.h"

struct open_call {
    char id[UUID_TEXT_BYTES]; /* the key */
    size_t leaf_len;
    uint8_t leaf[];
};

struct open_calls {
    struct strmap calls;
    uint64_t uncounted; /* above OPEN_CALLS_MAX; never settled again, so rather too many */
};

struct open_calls *open_calls_new(void)
{
    struct open_calls *open = mem_zero(sizeof *open);
    strmap_init(&open->calls);
    return open;
}

static void forget_all(struct open_calls *open)
{
    size_t pos = 0;
    const char *key;
    void *call;
    while (strmap_next(&open->calls, &pos, &key, &call))
        free(call);
    strmap_fini(&open->calls);
    strmap_init(&open->calls);
    open->uncounted = 0;
}

void open_calls_free(struct open_calls **open)
{
    if (*open == NULL)
        return;
    forget_all(*open);
    strmap_fini(&(*open)->calls);
    free(*open);
    *open = NULL;
}

static void settle(struct open_calls *open, const uint8_t id[UUID_BYTES])
{
    char text[UUID_TEXT_BYTES];
    uuid_format(id, text);
    free(strmap_remove(&open->calls, text));
}

static void add(struct open_calls *open, const Sluice__Internal__Append *append)
{
    char text[UUID_TEXT_BYTES];
    uuid_format(append->exchange_id.data, text);
    if (strmap_get(&open->calls, text) != NULL)
        return; /* sent again to this auditor */
    if (open->calls.count >= OPEN_CALLS_MAX) {
        open->uncounted++;
        return;
    }
    struct open_call *call = mem_zero(sizeof *call + append->leaf.len);
    memcpy(call->id, text, sizeof text);
    memcpy(call->leaf, append->leaf.data, append->leaf.len);
    call->leaf_len = append->leaf.len;
    (void)strmap_set(&open->calls, call->id, call);
}

void open_calls_note(struct open_calls *open, const Sluice__Internal__AppendRequest *request)
{
    for (size_t i = 0; i < request->n_entries; i++) {
        const Sluice__Internal__Append *append = request->entries[i];
        if (append->exchange_id.len != UUID_BYTES || append->leaf.len == 0 ||
            append->leaf.len > AUDIT_LEAF_BYTES_MAX)
            continue;
        if (append->kind == SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY)
            settle(open, append->exchange_id.data);
        else if (append->kind == SLUICE__V1__AUDIT_ENTRY__KIND__DECISION &&
                 append->outcome == SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED)
            add(open, append);
    }
}

void open_calls_settle(struct open_calls *open, const uint8_t *ids, size_t len)
{
    for (size_t at = 0; at + UUID_BYTES <= len; at += UUID_BYTES)
        settle(open, ids + at);
}

size_t open_calls_count(const struct open_calls *open)
{
    return open->calls.count + open->uncounted;
}

/* --- entries -------------------------------------------------------------------------------------- */

static void emit(struct audit_source *source, const struct audit_entry_fields *fields,
                 open_calls_fn take, void *arg)
{
    struct buf bytes;
    uint8_t id[UUID_BYTES];
    struct err err = ERR_INIT;
    buf_init(&bytes, AUDIT_APPEND_BYTES_MAX);
    if (audit_entry_build(source, fields, &bytes, id, &err) < 0) {
        log_error(LOG_ERROR, NULL, "audit_entry_lost", &err);
        buf_fini(&bytes);
        return;
    }
    Sluice__Internal__Append *append =
        sluice__internal__append__unpack(NULL, bytes.len, bytes.data);
    if (append != NULL) {
        Sluice__Internal__AppendRequest request = SLUICE__INTERNAL__APPEND_REQUEST__INIT;
        request.n_entries = 1;
        request.entries = &append;
        take(arg, &request);
        sluice__internal__append__free_unpacked(append, NULL);
    }
    buf_fini(&bytes);
}

static void set_outcome(struct audit_entry_fields *fields, const char *boot)
{
    fields->kind = SLUICE__V1__AUDIT_ENTRY__KIND__RECOVERY;
    fields->outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED;
    fields->rule = "recovery";
    fields->reason = "DELIVERY_UNKNOWN";
    fields->status = err_grpc_status(ERR_UNAVAILABLE);
    fields->object = boot;
}

static void emit_sum(const struct open_calls *open, struct audit_source *source, const char *boot,
                     open_calls_fn take, void *arg)
{
    struct audit_entry_fields fields = { .stands_for = open_calls_count(open) };
    set_outcome(&fields, boot);
    emit(source, &fields, take, arg);
}

void open_calls_recover(struct open_calls *open, struct audit_source *source, open_calls_fn take,
                        void *arg)
{
    size_t pos = 0, named = 0;
    const char *key;
    void *value;
    while (named < OPEN_CALLS_NAMED_MAX && strmap_next(&open->calls, &pos, &key, &value)) {
        const struct open_call *call = value;
        Sluice__V1__AuditEntry *entry =
            sluice__v1__audit_entry__unpack(NULL, call->leaf_len, call->leaf);
        if (entry == NULL)
            continue;
        char *boot = mem_zero(2 * entry->boot_id.len + 1);
        struct audit_entry_fields fields;
        hex_encode(entry->boot_id.data, entry->boot_id.len, boot);
        if (named++ == 0)
            emit_sum(open, source, boot, take, arg);
        audit_entry_fields_from(entry, &fields);
        set_outcome(&fields, boot);
        emit(source, &fields, take, arg);
        free(boot);
        sluice__v1__audit_entry__free_unpacked(entry, NULL);
    }
    forget_all(open);
}
