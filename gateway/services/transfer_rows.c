#include "services/transfer_rows.h"
#include "services/timestamps.h"

#include <string.h>

const char transfer_columns[] =
    "id::text, dataset, target, target_database, target_table, mode::integer, agreement, purpose,"
    " filter, array_to_string(fields, E'\\x1f'), state::integer, rows_read, rows_delivered,"
    " rows_quarantined, rows_filtered, rows_duplicate, manifest, failure_reason, failure_text,"
    " failure_code::integer, attempts, created_by, consumer_department, owner_department,"
    " coalesce(owner, ''), (extract(epoch FROM created_at) * 1000000)::bigint,"
    " coalesce((extract(epoch FROM started_at) * 1000000)::bigint, 0),"
    " coalesce((extract(epoch FROM ended_at) * 1000000)::bigint, 0), wanted::integer, salt,"
    " rows_per_second, cursor_field";

static Sluice__V1__TransferCounts *counts_of(struct arena *arena, const struct db_rows *rows,
                                             int row)
{
    Sluice__V1__TransferCounts *counts = arena_alloc(arena, sizeof *counts);
    sluice__v1__transfer_counts__init(counts);
    counts->read = db_int8(db_value(rows, row, 11));
    counts->delivered = db_int8(db_value(rows, row, 12));
    counts->quarantined = db_int8(db_value(rows, row, 13));
    counts->filtered = db_int8(db_value(rows, row, 14));
    counts->duplicates = db_int8(db_value(rows, row, 15));
    return counts;
}

static void *arena_take(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void arena_leave(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

/* Our own bytes, written by a mover. */
static Sluice__V1__TransferManifest *manifest_of(struct arena *arena, struct db_value value)
{
    ProtobufCAllocator allocator = { .alloc = arena_take,
                                     .free = arena_leave,
                                     .allocator_data = arena };
    return value.data == NULL
               ? NULL
               : sluice__v1__transfer_manifest__unpack(&allocator, value.len, value.data);
}

static Sluice__V1__TransferFailure *failure_of(struct arena *arena, const struct db_rows *rows,
                                               int row)
{
    Sluice__V1__TransferFailure *failure = arena_alloc(arena, sizeof *failure);
    sluice__v1__transfer_failure__init(failure);
    failure->reason = db_text(arena, db_value(rows, row, 17));
    failure->text = db_text(arena, db_value(rows, row, 18));
    failure->status = db_int4(db_value(rows, row, 19));
    return failure->reason[0] != '\0' ? failure : NULL;
}

bool transfer_has_ended(const Sluice__V1__Transfer *transfer)
{
    return transfer->state == SLUICE__V1__TRANSFER_STATE__TRANSFER_SUCCEEDED ||
           transfer->state == SLUICE__V1__TRANSFER_STATE__TRANSFER_FAILED ||
           transfer->state == SLUICE__V1__TRANSFER_STATE__TRANSFER_CANCELLED;
}

Sluice__V1__Transfer *transfer_from_row(struct arena *arena, const struct db_rows *rows, int row)
{
    Sluice__V1__Transfer *out = arena_alloc(arena, sizeof *out);
    sluice__v1__transfer__init(out);
    out->id = db_text(arena, db_value(rows, row, 0));
    out->dataset = db_text(arena, db_value(rows, row, 1));
    out->target = db_text(arena, db_value(rows, row, 2));
    out->target_database = db_text(arena, db_value(rows, row, 3));
    out->target_table = db_text(arena, db_value(rows, row, 4));
    out->mode = (Sluice__V1__TransferMode)db_int4(db_value(rows, row, 5));
    out->agreement = db_text(arena, db_value(rows, row, 6));
    out->purpose = db_text(arena, db_value(rows, row, 7));
    out->filter = db_text(arena, db_value(rows, row, 8));
    out->fields = db_texts(arena, db_value(rows, row, 9), &out->n_fields);
    out->state = (Sluice__V1__TransferState)db_int4(db_value(rows, row, 10));
    out->counts = counts_of(arena, rows, row);
    out->manifest = manifest_of(arena, db_value(rows, row, 16));
    out->attempts = db_int4(db_value(rows, row, 20));
    out->created_by = db_text(arena, db_value(rows, row, 21));
    out->consumer = db_text(arena, db_value(rows, row, 22));
    out->owner = db_text(arena, db_value(rows, row, 23));
    out->mover = db_text(arena, db_value(rows, row, 24));
    out->created_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 25)));
    out->started_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 26)));
    out->ended_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 27)));
    out->rows_per_second = db_int8(db_value(rows, row, 30));
    out->cursor = db_text(arena, db_value(rows, row, 31));
    bool open = !transfer_has_ended(out);
    if (out->state != SLUICE__V1__TRANSFER_STATE__TRANSFER_SUCCEEDED)
        out->failure = failure_of(arena, rows, row);
    out->pausing = out->state == SLUICE__V1__TRANSFER_STATE__TRANSFER_RUNNING &&
                   db_int4(db_value(rows, row, 28)) == 2;
    out->cancelling = open && db_int4(db_value(rows, row, 28)) == 3;
    return out;
}

int transfer_take(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct transfer_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "TRANSFER_NOT_FOUND",
                       "there is no such transfer, or it has ended already");
    state->transfer = transfer_from_row(&call->arena, rows, 0);
    struct db_value salt = db_value(rows, 0, 29);
    if (salt.len == sizeof state->salt)
        memcpy(state->salt, salt.data, sizeof state->salt);
    return 0;
}

static const char *officer_flag(const struct call *call)
{
    return call->identity.kind == IDENTITY_OFFICER ? "true" : "false";
}

enum step_result transfer_select(struct call *call, const char *id)
{
    uint8_t bytes[UUID_BYTES];
    if (!uuid_parse(id, bytes)) {
        (void)err_set(&call->err, ERR_NOT_FOUND, "TRANSFER_NOT_FOUND",
                      "there is no such transfer, or it has ended already");
        return STEP_FAIL;
    }
    const char *params[] = { id, call->identity.department, officer_flag(call) };
    struct db_sql sql = {
        .text =
            arena_format(&call->arena,
                         "SELECT %s FROM control.transfer WHERE id = $1::uuid AND"
                         " (consumer_department = $2 OR ($3::boolean AND owner_department = $2))",
                         transfer_columns),
        .param_count = 3,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, transfer_take);
}

enum step_result transfer_answer(struct call *call)
{
    const struct transfer_call *state = call->state;
    call_answer(call, &state->transfer->base);
    return STEP_NEXT;
}
