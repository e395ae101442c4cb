/* CompareDatasets: the values and vintages of the conflicts that are shown. */
#include <stdlib.h>
#include <string.h>

#include "schema/json.h"
#include "schema/record.h"
#include "services/quality_compare.h"

enum { KEYS_AT_ONCE = 100, VALUE_JSON_BYTES_MAX = 1024 * 1024 };

static struct compare *compare_of(const struct call *call)
{
    return call->state;
}

/* --- reading ------------------------------------------------------------------------------------ */

static void read_next(struct call *call);

static void values_over(struct call *call)
{
    compare_of(call)->waiting = false;
    call_resume(call);
}

static int take_row(struct call *call, const struct db_rows *rows, int row, struct err *err)
{
    struct compare *compare = compare_of(call);
    const struct schema_plan *plan = compare->inputs[compare->side].plan;
    struct schema_row_report report;
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    buf_reset(&compare->record);
    if (!schema_plan_row_key(plan, rows, row, key))
        return 0;
    if (schema_plan_row(plan, rows, row, &compare->record, &report, err) < 0)
        return -1;
    if (report.state != ROW_DELIVERED ||
        compare->value_bytes + compare->record.len > COMPARE_VALUES_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < compare->conflict_count; i++) {
        struct compare_conflict *conflict = &compare->conflicts[i];
        if (conflict->records[compare->side].data != NULL || strcmp(conflict->key, key) != 0)
            continue;
        /* One byte more: an empty record is not an absent one. */
        uint8_t *copy = arena_alloc(&call->arena, compare->record.len + 1);
        if (compare->record.len > 0)
            memcpy(copy, compare->record.data, compare->record.len);
        conflict->records[compare->side] = slice_of(copy, compare->record.len);
        compare->value_bytes += compare->record.len;
        break;
    }
    return 0;
}

static void on_rows(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    struct compare *compare = compare_of(call);
    if (err != NULL)
        compare->failed = *err;
    for (int i = 0; compare->failed.code == ERR_OK && i < db_row_count(rows); i++)
        (void)take_row(call, rows, i, &compare->failed);
    if (compare->failed.code == ERR_OK)
        read_next(call);
    else
        values_over(call);
}

static void read_next(struct call *call)
{
    struct compare *compare = compare_of(call);
    const char *keys[KEYS_AT_ONCE];
    size_t count = 0;
    while (count < KEYS_AT_ONCE && compare->value_at < compare->conflict_count)
        keys[count++] = compare->conflicts[compare->value_at++].key;
    if (count == 0 || schema_plan_batch(compare->inputs[compare->side].plan, keys, count,
                                        &call->arena, &compare->sql, &compare->failed) < 0) {
        values_over(call);
        return;
    }
    db_lease_execute(compare->lease, &compare->sql, call->deadline_us, on_rows, call);
}

static void on_lease(void *arg, const struct err *err)
{
    struct call *call = arg;
    struct compare *compare = compare_of(call);
    if (err != NULL) {
        compare->failed = *err;
        compare->lease = NULL; /* a refused lease dies with this callback */
        values_over(call);
        return;
    }
    read_next(call);
}

static enum step_result read_values(struct call *call, enum compare_side side)
{
    struct compare *compare = compare_of(call);
    compare->side = side;
    compare->value_at = 0;
    compare->waiting = true;
    compare->lease = db_lease_start(compare->inputs[side].dataset->source->db, call->deadline_us,
                                    on_lease, call);
    return STEP_WAIT;
}

enum step_result compare_values(struct call *call)
{
    return compare_of(call)->conflict_count > 0 ? read_values(call, COMPARE_A) : STEP_NEXT;
}

enum step_result compare_values_read(struct call *call)
{
    struct compare *compare = compare_of(call);
    if (compare->waiting)
        return STEP_WAIT;
    db_lease_release(&compare->lease);
    if (compare->failed.code != ERR_OK) {
        call->err = compare->failed;
        return STEP_FAIL;
    }
    return compare->side == COMPARE_A ? read_values(call, COMPARE_B) : STEP_NEXT;
}

/* --- the answer --------------------------------------------------------------------------------- */

/* proto3 JSON of one field of a record; "" when the record has none. */
static char *value_text(struct call *call, const struct schema_field *field, struct slice record)
{
    const struct gateway *gateway = call->context;
    const struct compare *compare = compare_of(call);
    const struct schema_set *sets[] = { schema_bundle_types(gateway->bundle) };
    struct schema_json_options options = { .sets = sets,
                                           .set_count = 1,
                                           .proto_field_names = true };
    struct schema_record_field item;
    struct buf only, json;
    char *text = (char *)"";
    buf_init(&only, PLAN_RECORD_BYTES_MAX);
    buf_init(&json, VALUE_JSON_BYTES_MAX);
    while (schema_record_next(compare->type, &record, &item))
        if (item.field == field)
            (void)buf_append(&only, item.bytes.data, item.bytes.len);
    /* {"name":value} */
    size_t head = strlen(field->name) + 4;
    if (only.len > 0 &&
        schema_json_encode(&options, compare->type, only.data, only.len, &json, NULL) == 0 &&
        json.len > head + 1)
        text = arena_strndup(&call->arena, (const char *)json.data + head, json.len - head - 1);
    buf_fini(&only);
    buf_fini(&json);
    return text;
}

static Google__Protobuf__Timestamp *vintage_of(struct call *call, struct slice record)
{
    const struct compare *compare = compare_of(call);
    int64_t seconds;
    if (compare->vintage == NULL ||
        !schema_record_seconds(compare->type, compare->vintage, record, &seconds))
        return NULL;
    Google__Protobuf__Timestamp *timestamp = arena_alloc(&call->arena, sizeof *timestamp);
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = seconds;
    return timestamp;
}

static Sluice__V1__Conflict *build_conflict(struct call *call,
                                            const struct compare_conflict *conflict)
{
    const struct compare *compare = compare_of(call);
    Sluice__V1__Conflict *out = arena_alloc(&call->arena, sizeof *out);
    sluice__v1__conflict__init(out);
    out->key = (char *)conflict->key;
    out->vintage_a = vintage_of(call, conflict->records[COMPARE_A]);
    out->vintage_b = vintage_of(call, conflict->records[COMPARE_B]);
    out->fields = arena_array(&call->arena, compare->field_count, sizeof *out->fields);
    for (size_t i = 0; i < compare->field_count; i++) {
        if ((conflict->mask >> i & 1) == 0)
            continue;
        Sluice__V1__ConflictField *field = arena_alloc(&call->arena, sizeof *field);
        sluice__v1__conflict_field__init(field);
        field->field = (char *)compare->fields[i]->name;
        field->value_a = value_text(call, compare->fields[i], conflict->records[COMPARE_A]);
        field->value_b = value_text(call, compare->fields[i], conflict->records[COMPARE_B]);
        out->fields[out->n_fields++] = field;
    }
    return out;
}

static void build_fields(struct call *call, Sluice__V1__Comparison *answer)
{
    const struct compare *compare = compare_of(call);
    answer->fields = arena_array(&call->arena, compare->field_count, sizeof *answer->fields);
    for (size_t i = 0; i < compare->field_count; i++) {
        Sluice__V1__FieldDifference *field = arena_alloc(&call->arena, sizeof *field);
        sluice__v1__field_difference__init(field);
        field->field = (char *)compare->fields[i]->name;
        field->different = (int64_t)compare->counts.fields[i];
        answer->fields[answer->n_fields++] = field;
    }
}

static void build_conflicts(struct call *call, Sluice__V1__Comparison *answer)
{
    struct compare *compare = compare_of(call);
    answer->conflicts =
        arena_array(&call->arena, compare->conflict_count, sizeof *answer->conflicts);
    for (size_t i = 0; i < compare->conflict_count; i++) {
        const struct compare_conflict *conflict = &compare->conflicts[i];
        /* Mended, gone or too large since it was counted: there is nothing to show. */
        if (conflict->records[COMPARE_A].data == NULL || conflict->records[COMPARE_B].data == NULL)
            continue;
        answer->conflicts[answer->n_conflicts++] = build_conflict(call, conflict);
        for (size_t side = 0; side < 2; side++)
            if (!compare->inputs[side].own)
                exchange_add_record(call, conflict->records[side]);
    }
}

enum step_result compare_build(struct call *call)
{
    struct compare *compare = compare_of(call);
    const struct compare_counts *counts = &compare->counts;
    Sluice__V1__Comparison *answer = arena_alloc(&call->arena, sizeof *answer);
    char *id = arena_alloc(&call->arena, UUID_TEXT_BYTES);
    sluice__v1__comparison__init(answer);
    uuid_format(call->exchange_id, id);
    answer->exchange_id = id;
    answer->only_a = (int64_t)counts->only_a;
    answer->only_b = (int64_t)counts->only_b;
    answer->equal = (int64_t)counts->equal;
    answer->different = (int64_t)counts->different;
    answer->unreadable_a = (int64_t)compare->inputs[COMPARE_A].unreadable;
    answer->unreadable_b = (int64_t)compare->inputs[COMPARE_B].unreadable;
    answer->repeated_a = (int64_t)counts->repeated_a;
    answer->repeated_b = (int64_t)counts->repeated_b;
    answer->vintage_field = (char *)(compare->vintage != NULL ? compare->vintage->name : "");
    build_fields(call, answer);
    build_conflicts(call, answer);
    compare->answer = answer;
    return STEP_NEXT;
}
