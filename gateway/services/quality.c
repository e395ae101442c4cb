#include "services/quality.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

enum {
    POSTGRES_EPOCH_S = 946684800,        /* 2000-01-01 */
    STREAM_MESSAGE_BYTES_MAX = 16 << 20, /* a comparison with 1,000 conflicts of wide fields */
};

enum step_result quality_own(struct call *call, const char *dataset, const char *request_id,
                             Sluice__V1__AuditEntry__Kind kind, struct gateway_dataset **dataset_r)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    admin->kind = kind;
    admin->rule = "request";
    admin->dataset = dataset;
    if (call_set_request_id(call, request_id, &call->err) < 0)
        return STEP_FAIL;
    admin->rule = "owner";
    *dataset_r = gateway_dataset_find(gateway, dataset);
    if (*dataset_r == NULL ||
        strcmp((*dataset_r)->dataset->department, call->identity.department) != 0) {
        (void)err_set(&call->err, ERR_PERMISSION_DENIED, "NOT_OWNER",
                      "your department owns no dataset of this name");
        return STEP_FAIL;
    }
    admin->owner = (*dataset_r)->dataset->department;
    return STEP_NEXT;
}

enum step_result quality_own_ready(struct call *call, const char *dataset, const char *request_id,
                                   Sluice__V1__AuditEntry__Kind kind,
                                   struct gateway_dataset **dataset_r)
{
    struct admin *admin = call->state;
    if (quality_own(call, dataset, request_id, kind, dataset_r) == STEP_FAIL)
        return STEP_FAIL;
    if ((*dataset_r)->ready)
        return STEP_NEXT;
    admin->rule = "dataset.state";
    gateway_dataset_closed_to_owner(*dataset_r, &call->err);
    return STEP_FAIL;
}

struct schema_plan *quality_whole_plan(const struct schema_dataset *dataset,
                                       uint8_t fields_r[PLAN_BITMAP_BYTES], struct err *err)
{
    memset(fields_r, 0, PLAN_BITMAP_BYTES);
    for (uint32_t i = 0; i < dataset->type->field_count; i++)
        plan_set_bit(fields_r, i);
    return schema_plan_new(dataset, fields_r, NULL, err);
}

struct db_sql quality_sql(struct arena *arena, const char *text, const char *const *params,
                          size_t count)
{
    return (struct db_sql){ .text = text,
                            .param_count = (int)count,
                            .params = arena_dup(arena, params, count * sizeof *params) };
}

const char *quality_number(struct arena *arena, int64_t number)
{
    return arena_format(arena, "%" PRId64, number);
}

const char *quality_bytea(struct arena *arena, const void *data, size_t len)
{
    char *text = arena_alloc(arena, 2 * len + 3);
    text[0] = '\\';
    text[1] = 'x';
    hex_encode(data, len, text + 2);
    return text;
}

const char *quality_text(struct arena *arena, const struct db_rows *rows, int row, int column)
{
    struct db_value value = db_value(rows, row, column);
    return arena_strndup(arena, (const char *)value.data, value.len);
}

const char *quality_uuid(struct arena *arena, struct db_value value)
{
    char *text = arena_alloc(arena, UUID_TEXT_BYTES);
    if (value.len == UUID_BYTES)
        uuid_format(value.data, text);
    return text;
}

Google__Protobuf__Timestamp *quality_timestamp(struct arena *arena, struct db_value value)
{
    if (value.data == NULL || value.len != 8)
        return NULL;
    int64_t us = db_int8(value);
    int64_t rest = us % 1000000;
    Google__Protobuf__Timestamp *timestamp = arena_alloc(arena, sizeof *timestamp);
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = us / 1000000 + POSTGRES_EPOCH_S - (rest < 0);
    timestamp->nanos = (int32_t)((rest < 0 ? rest + 1000000 : rest) * 1000);
    return timestamp;
}

const char *quality_numbers(struct arena *arena, const uint64_t *numbers, size_t count)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    (void)buf_append_byte(&text, '{');
    for (size_t i = 0; i < count; i++)
        (void)buf_append_format(&text, "%s%" PRIu64, i > 0 ? "," : "", numbers[i]);
    (void)buf_append_byte(&text, '}');
    const char *out = arena_strndup(arena, (const char *)text.data, text.len);
    buf_fini(&text);
    return out;
}

bool quality_is_number(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 18 && strspn(text, "0123456789") == len;
}

int quality_send(struct call *call, const ProtobufCMessage *message)
{
    struct buf bytes;
    size_t size = protobuf_c_message_get_packed_size(message);
    buf_init(&bytes, STREAM_MESSAGE_BYTES_MAX);
    if (buf_reserve(&bytes, size + 1) < 0) {
        buf_fini(&bytes);
        return err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "OUTPUT_FULL",
                       "the answer is larger than one message may be; ask for less");
    }
    bytes.len = protobuf_c_message_pack(message, bytes.data);
    int result = call_send(call, bytes.data, bytes.len);
    buf_fini(&bytes);
    return result;
}
