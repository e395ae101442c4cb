/* VerifyTransfer: the target table is read now and compared with the manifest. */
#include <string.h>

#include "services/quality_reader.h"
#include "services/transfer_rows.h"

struct verify {
    struct transfer_call base; /* first */
    struct quality_reader reader;
    struct schema_plan *plan;
    struct buf record; /* salt, then the record */
    bool opened;
    uint64_t found;
    struct merkle_frontier tree;
};

static enum step_result verify_select(struct call *call)
{
    const Sluice__V1__VerifyTransferRequest *request =
        (const Sluice__V1__VerifyTransferRequest *)(const void *)call->request;
    return transfer_select(call, request->id);
}

/* A row that is no valid record counts, and makes the roots differ. */
static void on_row(struct call *call, const struct db_rows *rows)
{
    struct verify *verify = call->state;
    struct schema_row_report report;
    struct err err = ERR_INIT;
    uint8_t leaf[MERKLE_HASH_BYTES];
    buf_reset(&verify->record);
    (void)buf_append(&verify->record, verify->base.salt, sizeof verify->base.salt);
    if (schema_plan_row(verify->plan, rows, 0, &verify->record, &report, &err) < 0) {
        quality_reader_fail(&verify->reader, &err);
        return;
    }
    merkle_leaf_hash(verify->record.data, verify->record.len, leaf);
    merkle_frontier_append(&verify->tree, leaf);
    verify->found++;
}

/* Nothing is sent before the end, so there is nothing to wait for. */
static bool on_tick(struct call *call)
{
    (void)call;
    return false;
}

static int fields_of(const Sluice__V1__TransferManifest *manifest,
                     const struct schema_dataset *dataset, uint8_t fields_r[PLAN_BITMAP_BYTES],
                     struct err *err)
{
    memset(fields_r, 0, PLAN_BITMAP_BYTES);
    for (size_t i = 0; i < manifest->n_fields; i++) {
        const char *name = manifest->fields[i];
        const struct schema_field *field = schema_message_field(dataset->type, name, strlen(name));
        if (field == NULL)
            return err_set(err, ERR_FAILED_PRECONDITION, "SCHEMA_CHANGED",
                           "the type has lost the field %.60s since the transfer", name);
        plan_set_bit(fields_r, field->position);
    }
    return 0;
}

static int open_verify(struct call *call, struct verify *verify)
{
    struct gateway *gateway = call->context;
    const Sluice__V1__Transfer *transfer = verify->base.transfer;
    const Sluice__V1__TransferManifest *manifest = transfer->manifest;
    uint8_t fields[PLAN_BITMAP_BYTES];
    struct db_sql sql;
    if (strcmp(transfer->consumer, call->identity.department) != 0) /* an officer of the owner */
        return err_set(&call->err, ERR_PERMISSION_DENIED, "NOT_CONSUMER",
                       "the table is another department's; its own people verify it");
    if (transfer->mode == SLUICE__V1__TRANSFER_MODE__CURSOR)
        return err_set(
            &call->err, ERR_FAILED_PRECONDITION, "TRANSFER_NOT_VERIFIABLE",
            "a copy by cursor does not see what the owner deleted, so its table is never "
            "called equal to the source; replace it now and then to make it so");
    if (manifest == NULL || manifest->table_root.len != MERKLE_HASH_BYTES)
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "TRANSFER_NOT_VERIFIABLE",
                       "only a transfer that has succeeded, with mode replace, can be compared "
                       "with its table: "
                       "with the others the table holds rows that no transfer sent");
    struct gateway_dataset *target = gateway_dataset_find(gateway, transfer->target);
    if (target == NULL)
        return err_set(&call->err, ERR_NOT_FOUND, "TARGET_NOT_FOUND",
                       "the target is no dataset any more");
    if (fields_of(manifest, target->dataset, fields, &call->err) < 0)
        return -1;
    verify->plan = schema_plan_new(target->dataset, fields, NULL, &call->err);
    if (verify->plan == NULL ||
        schema_plan_query(verify->plan, NULL, NULL, 0, &call->arena, &sql, &call->err) < 0)
        return -1;
    merkle_frontier_init(&verify->tree);
    buf_init_large(&verify->record, PLAN_RECORD_BYTES_MAX + SALT_BYTES);
    verify->opened = true;
    verify->reader.on_row = on_row;
    verify->reader.on_tick = on_tick;
    return quality_reader_start(&verify->reader, call, target->source, &sql, QUALITY_RATE_MAX,
                                &call->err);
}

static enum step_result verify_read(struct call *call)
{
    return open_verify(call, call->state) < 0 ? STEP_FAIL : STEP_WAIT;
}

static enum step_result verify_was_read(struct call *call)
{
    struct verify *verify = call->state;
    return quality_reader_result(&verify->reader);
}

static enum step_result verify_answer(struct call *call)
{
    const struct verify *verify = call->state;
    const Sluice__V1__TransferManifest *manifest = verify->base.transfer->manifest;
    Sluice__V1__VerifyTransferResponse answer = SLUICE__V1__VERIFY_TRANSFER_RESPONSE__INIT;
    uint8_t root[MERKLE_HASH_BYTES];
    char texts[2][2 * MERKLE_HASH_BYTES + 1];
    merkle_frontier_root(&verify->tree, root);
    hex_encode(manifest->table_root.data, MERKLE_HASH_BYTES, texts[0]);
    hex_encode(root, MERKLE_HASH_BYTES, texts[1]);
    answer.delivered = manifest->counts != NULL ? manifest->counts->delivered : 0;
    answer.found = (int64_t)verify->found;
    answer.manifest_root = texts[0];
    answer.table_root = texts[1];
    answer.equal = answer.delivered == answer.found && strcmp(texts[0], texts[1]) == 0;
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static void verify_finish(struct call *call, bool delivered)
{
    struct verify *verify = call->state;
    admin_finish(call, delivered);
    quality_reader_stop(&verify->reader);
    if (verify->opened)
        buf_fini(&verify->record);
    schema_plan_free(&verify->plan);
}

static const struct step verify_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", verify_select, admin_ran },
    { "read", verify_read, verify_was_read },
    { "answer", verify_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method transfer_verify_method = {
    .path = "/sluice.v1.TransferService/VerifyTransfer",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_CASEWORK | OFFICER_AUDITOR,
    .input = &sluice__v1__verify_transfer_request__descriptor,
    .state_size = sizeof(struct verify),
    .steps = verify_steps,
    .finish = verify_finish,
};
