/* QualityService.CompareDatasets: where two departments hold the same key with different values. */
#include <string.h>

#include "schema/record.h"
#include "services/compare_table.h"
#include "services/exchange.h"
#include "services/quality.h"
#include "services/quality_compare.h"
#include "services/quality_reader.h"

enum { PROGRESS_US = 500000 };

static struct compare *compare_of(const struct call *call)
{
    return call->state;
}

/* --- one pass over both sides ------------------------------------------------------------------- */

/* A digest for each compared field: of its bytes, with all its occurrences; 0 when it is absent. */
static void digest_fields(const struct compare *compare, struct slice record, uint64_t *digests)
{
    struct schema_record_field item;
    memset(digests, 0, compare->field_count * sizeof *digests);
    while (schema_record_next(compare->type, &record, &item))
        for (size_t i = 0; i < compare->field_count; i++)
            if (compare->fields[i] == item.field)
                digests[i] = (digests[i] << 1 | digests[i] >> 63) ^
                             (compare_digest(&compare->table, item.bytes.data, item.bytes.len) | 1);
}

/* A pass that has become half of one gives back what the other half found: it comes again. */
static void drop_conflicts(struct compare *compare)
{
    size_t kept = compare->conflicts_before;
    for (size_t i = kept; i < compare->conflict_count; i++)
        if (compare_table_holds(&compare->table, compare->conflicts[i].digest))
            compare->conflicts[kept++] = compare->conflicts[i];
    compare->conflict_count = kept;
}

static void add_conflict(struct call *call, const char *key, uint64_t digest, uint64_t mask)
{
    struct compare *compare = compare_of(call);
    if (compare->conflict_count == compare->conflicts_max)
        return;
    compare->conflicts[compare->conflict_count++] = (struct compare_conflict){
        .key = arena_strdup(&call->arena, key), .digest = digest, .mask = mask
    };
}

static int split_pass(struct compare *compare, uint32_t parts_before, struct err *err)
{
    for (uint32_t parts = parts_before; parts < compare->table.parts; parts *= 2) {
        if (compare->passes == COMPARE_PASSES_MAX)
            return err_set(err, ERR_RESOURCE_EXHAUSTED, "COMPARISON_TOO_LARGE",
                           "the datasets need more than %d passes; compare fewer fields",
                           COMPARE_PASSES_MAX);
        compare->later[compare->later_count++] =
            (struct compare_part){ .parts = 2 * parts, .part = compare->table.part + parts };
        compare->passes++;
    }
    if (parts_before != compare->table.parts)
        drop_conflicts(compare);
    return 0;
}

static void compare_row(struct call *call, const struct db_rows *row)
{
    struct compare *compare = compare_of(call);
    struct compare_input *input = &compare->inputs[compare->side];
    struct schema_row_report report;
    struct err err = ERR_INIT;
    uint64_t digests[COMPARE_FIELDS_MAX];
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    input->rows += compare->pass == 1;
    buf_reset(&compare->record);
    if (schema_plan_row(input->plan, row, 0, &compare->record, &report, &err) < 0) {
        quality_reader_fail(&compare->reader, &err);
        return;
    }
    bool keyed = schema_plan_row_key(input->plan, row, 0, key);
    bool readable = keyed && report.state == ROW_DELIVERED;
    input->unreadable += !readable && compare->pass == 1;
    if (!keyed)
        return;
    uint64_t digest = compare_digest(&compare->table, key, strlen(key));
    if (!compare_table_holds(&compare->table, digest))
        return;
    digest_fields(compare, buf_slice(&compare->record), digests);
    uint32_t parts = compare->table.parts;
    uint64_t mask =
        compare_table_add(&compare->table, compare->side, digest, readable ? digests : NULL);
    if (split_pass(compare, parts, &err) < 0) {
        quality_reader_fail(&compare->reader, &err);
        return;
    }
    if (mask != 0 && compare_table_holds(&compare->table, digest))
        add_conflict(call, key, digest, mask);
}

static bool compare_tick(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct compare *compare = compare_of(call);
    int64_t now = loop_now_us(gateway->loop);
    if (now - compare->progress_us < PROGRESS_US)
        return false;
    Sluice__V1__CompareProgress progress = SLUICE__V1__COMPARE_PROGRESS__INIT;
    progress.rows_a = (int64_t)compare->inputs[COMPARE_A].rows;
    progress.rows_b = (int64_t)compare->inputs[COMPARE_B].rows;
    progress.pass = compare->pass;
    progress.passes = compare->passes;
    compare->progress_us = now;
    (void)quality_send(call, &progress.base);
    return false;
}

static enum step_result read_side(struct call *call, enum compare_side side)
{
    struct compare *compare = compare_of(call);
    struct compare_input *input = &compare->inputs[side];
    struct db_sql sql;
    compare->side = side;
    compare->reader.on_row = compare_row;
    compare->reader.on_tick = compare_tick;
    if (schema_plan_query(input->plan, NULL, NULL, 0, &call->arena, &sql, &call->err) < 0 ||
        quality_reader_start(&compare->reader, call, input->dataset->source, &sql, compare->rate,
                             &call->err) < 0)
        return STEP_FAIL;
    return STEP_WAIT;
}

static enum step_result compare_read(struct call *call)
{
    struct compare *compare = compare_of(call);
    compare->passes = compare->pass = 1;
    return read_side(call, COMPARE_A);
}

/* A, then B, then both again for what did not fit. */
static enum step_result compare_was_read(struct call *call)
{
    struct compare *compare = compare_of(call);
    enum step_result result = quality_reader_result(&compare->reader);
    if (result != STEP_NEXT)
        return result;
    quality_reader_stop(&compare->reader);
    if (compare->side == COMPARE_A)
        return read_side(call, COMPARE_B);
    compare_table_count(&compare->table, &compare->counts);
    compare->conflicts_before = compare->conflict_count;
    if (compare->later_count == 0)
        return STEP_NEXT;
    const struct compare_part *part = &compare->later[--compare->later_count];
    compare_table_start(&compare->table, part->parts, part->part);
    compare->pass++;
    return read_side(call, COMPARE_A);
}

/* --- the end ------------------------------------------------------------------------------------ */

static enum step_result compare_decide(struct call *call)
{
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DECISION);
}

static enum step_result compare_deliver(struct call *call)
{
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY);
}

static enum step_result compare_answer(struct call *call)
{
    struct compare *compare = compare_of(call);
    Sluice__V1__CompareProgress last = SLUICE__V1__COMPARE_PROGRESS__INIT;
    last.rows_a = (int64_t)compare->inputs[COMPARE_A].rows;
    last.rows_b = (int64_t)compare->inputs[COMPARE_B].rows;
    last.pass = compare->pass;
    last.passes = compare->passes;
    last.comparison = compare->answer;
    return quality_send(call, &last.base) < 0 ? STEP_FAIL : STEP_NEXT;
}

static void compare_finish(struct call *call, bool delivered)
{
    struct compare *compare = compare_of(call);
    quality_reader_stop(&compare->reader);
    db_lease_release(&compare->lease);
    for (size_t i = 0; i < 2; i++)
        if (compare->inputs[i].own)
            schema_plan_free(&compare->inputs[i].plan);
    compare_table_fini(&compare->table);
    buf_fini(&compare->record);
    exchange_finish(call, delivered);
}

static enum step_result compare_outcome(struct call *call)
{
    struct compare *compare = compare_of(call);
    quality_reader_stop(&compare->reader);
    db_lease_release(&compare->lease);
    return exchange_outcome(call);
}

static const struct step compare_steps[] = {
    { "authorise", compare_authorise, NULL }, /* owner of one, agreement for the other */
    { "decide", compare_decide, exchange_recorded },
    { "read", compare_read, compare_was_read },
    { "values", compare_values, compare_values_read }, /* of the conflicts that are shown */
    { "build", compare_build, NULL },
    { "deliver", compare_deliver, exchange_recorded }, /* durable BEFORE a value leaves */
    { "answer", compare_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method quality_compare_method = {
    .path = "/sluice.v1.QualityService/CompareDatasets",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__compare_datasets_request__descriptor,
    .state_size = sizeof(struct compare),
    .steps = compare_steps,
    .outcome = compare_outcome,
    .may_release = exchange_may_release,
    .finish = compare_finish,
};
