#include "schema/program.h"

#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "schema/prescan.h"
#include "schema/program_run.h"

/* --- verdicts ----------------------------------------------------------------------------------- */

enum outcome program_reject(struct run *run, const struct mapping_leaf *leaf, const char *rule,
                            const char *code)
{
    struct schema_row_report *report = run->report;
    const struct mapping_leaf *top = run->parent != NULL ? run->parent : leaf;
    report->state = ROW_QUARANTINED;
    report->field = top == NULL ? NULL : top->path[0];
    report->path = leaf == NULL ? "" : leaf->name;
    report->element = run->element;
    report->rule = rule;
    report->code = code;
    return OUTCOME_REJECTED;
}

enum outcome program_warn(struct run *run, const struct mapping_leaf *leaf, const char *code)
{
    struct schema_row_report *report = run->report;
    const struct schema_mapping *mapping = run->program->mapping;
    const struct mapping_leaf *top = run->parent != NULL ? run->parent : leaf;
    size_t room = sizeof report->warnings / sizeof report->warnings[0];
    if (run->silent)
        return OUTCOME_DONE;
    for (size_t i = 0; i < mapping->escalated_count; i++)
        if (strcmp(mapping->escalated[i], code) == 0)
            return program_reject(run, leaf, "escalate", code);
    if (report->warning_count < room)
        report->warnings[report->warning_count] = (struct schema_warning){
            .field = top->path[0], .path = leaf->name, .code = code, .element = run->element
        };
    report->warning_count++;
    return OUTCOME_DONE;
}

/* --- operations --------------------------------------------------------------------------------- */

/* The fast path: one copy, and the check that it is text. */
static enum outcome run_text(struct run *run, const struct program_op *op)
{
    struct db_value value = run_cell(run, op->column);
    if (value.data == NULL)
        return program_absent(run, op);
    const char *code = program_text_problem(value.data, value.len);
    if (code != NULL)
        return program_reject(run, op->leaf, "type", code);
    if (value.len > PLAN_RECORD_BYTES_MAX)
        return program_reject(run, op->leaf, "record", "RECORD_TOO_LARGE");
    return program_put_text(run, op, value.data, value.len);
}

static enum outcome run_constant(struct run *run, const struct program_op *op)
{
    if (op->bytes_len == 0)
        return OUTCOME_DONE;
    if (buf_append(run->out, op->bytes, op->bytes_len) != 0)
        return OUTCOME_FULL;
    return program_take_oneof(run, op);
}

static enum outcome run_op(struct run *run, const struct program_op *op)
{
    switch (op->kind) {
    case OP_TEXT:
        return run_text(run, op);
    case OP_INTEGER:
        return program_run_integer(run, op);
    case OP_INSTANT:
        return program_run_instant(run, op);
    case OP_CHAIN:
        return program_run_chain(run, op);
    case OP_LEAF:
        return program_run_leaf(run, op);
    case OP_ARRAY:
        return program_run_array(run, op);
    case OP_CHILD:
        return program_run_child(run, op);
    case OP_TAKEN:
        return program_run_taken(run, op);
    case OP_CONSTANT:
        return run_constant(run, op);
    case OP_OPEN:
    case OP_CLOSE:
        break;
    }
    return OUTCOME_DONE;
}

enum outcome program_close_message(struct run *run, const struct program_op *op, size_t start)
{
    struct buf *out = run->out;
    size_t len = out->len - start;
    size_t head = op->tag_len + varint_size(len);
    if (buf_reserve(out, head) != 0)
        return OUTCOME_FULL;
    memmove(out->data + start + head, out->data + start, len);
    memcpy(out->data + start, op->tag, op->tag_len);
    (void)varint_put(out->data + start + op->tag_len, len);
    out->len += head;
    return OUTCOME_DONE;
}

/* The record goes on without the field, which says why. */
static enum outcome leave_out(struct run *run, const struct program_op *op, size_t before)
{
    const char *code = run->report->code;
    run->out->len = before;
    run->report->state = ROW_DELIVERED;
    return program_warn(run, op->leaf, code);
}

enum outcome program_run_ops(struct run *run)
{
    struct program *program = run->program;
    size_t starts[MAPPING_DEPTH_MAX], depth = 0;
    enum outcome outcome = OUTCOME_DONE;
    if (program->oneof_count > 0)
        memset(program->oneof_taken, 0, program->oneof_count * sizeof(bool));
    for (size_t i = 0; i < program->op_count && outcome == OUTCOME_DONE; i++) {
        const struct program_op *op = &program->ops[i];
        size_t before = run->out->len;
        if (op->kind == OP_OPEN) {
            starts[depth++] = before;
        } else if (op->kind == OP_CLOSE) {
            /* NOLINTNEXTLINE(clang-analyzer-core.*): the builder pairs OPEN and CLOSE */
            size_t start = starts[--depth];
            if (start == before)
                continue; /* nothing around an empty message */
            outcome = program_close_message(run, op, start);
            if (outcome == OUTCOME_DONE)
                outcome = program_take_oneof(run, op);
        } else {
            outcome = run_op(run, op);
            if (outcome == OUTCOME_REJECTED && op->leaf->absent_on_error)
                outcome = leave_out(run, op, before);
        }
    }
    return outcome;
}

/* --- rows --------------------------------------------------------------------------------------- */

static int malformed(struct err *err)
{
    return err_set(err, ERR_DATA_LOSS, "SOURCE_MALFORMED",
                   "The owner's database answered in a form the gateway does not understand; the "
                   "owner must check the mapping.");
}

/* Said to whoever asked for the row: the names of the owner's columns are for the log. */
static int drifted(const struct program *program, const struct mapping_column *column,
                   struct err *err)
{
    (void)err_set(err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
                  "The table of %s no longer has the types its mapping was written for; the owner "
                  "must update the mapping.",
                  program->mapping->dataset.name);
    return err_detail(err, "column \"%s\"", column->name);
}

/* By the statement's own count: which of several rows of one key this is, or how many there are. */
static enum outcome check_rank(struct run *run)
{
    const struct program *program = run->program;
    struct db_value rank = db_value(run->rows, run->row, program->result.rank);
    if (rank.data == NULL || rank.len != 8)
        return OUTCOME_MALFORMED;
    if (get64(rank.data) <= 1)
        return OUTCOME_DONE;
    if (program->mapping->duplicates == DUPLICATES_REJECT)
        return program_reject(run, program->mapping->key[0], "duplicates", "KEY_DUPLICATE");
    run->report->state = ROW_DUPLICATE;
    return OUTCOME_REJECTED;
}

/* A receiver's pre-scan refuses more fields and elements than a small record has bytes. */
static enum outcome check_large(struct run *run, size_t before)
{
    size_t len = run->out->len - before;
    const struct schema_message *type = run->program->mapping->dataset.type;
    if (len > PLAN_RECORD_BYTES_MAX)
        return program_reject(run, NULL, "record", "RECORD_TOO_LARGE");
    if (schema_prescan(type, run->out->data + before, len, NULL) != 0)
        return program_reject(run, NULL, "record", "RECORD_ELEMENTS");
    return OUTCOME_DONE;
}

int program_run(struct program *program, const struct db_rows *rows, int row, struct buf *out,
                struct schema_row_report *report_r, struct err *err)
{
    size_t before = out->len;
    struct run run = {
        .program = program, .rows = rows, .row = row, .out = out, .report = report_r
    };
    report_r->state = ROW_DELIVERED;
    report_r->field = NULL;
    report_r->path = "";
    report_r->element = 0;
    report_r->rule = "";
    report_r->code = "";
    report_r->warning_count = 0;
    if (row == 0) {
        const struct mapping_column *column = program_check_types(program, rows);
        if (column != NULL)
            return drifted(program, column, err);
    }
    enum outcome outcome = program->result.rank < 0 ? OUTCOME_DONE : check_rank(&run);
    if (outcome == OUTCOME_DONE)
        outcome = program_run_ops(&run);
    if (outcome == OUTCOME_DONE && out->len - before > PRESCAN_ELEMENTS_MAX)
        outcome = check_large(&run, before);
    if (outcome == OUTCOME_DONE)
        return 0;
    out->len = before;
    if (outcome == OUTCOME_REJECTED)
        return 0;
    if (outcome == OUTCOME_MALFORMED)
        return malformed(err);
    return err_set(err, ERR_RESOURCE_EXHAUSTED, "OUTPUT_FULL",
                   "The answer is larger than one message may be; ask for fewer records.");
}

/* Each leaf by itself, so that a field behind a rejected one is judged too. A field of several
 * leaves is absent when all are, and rejected when one is. */
int program_judge(struct program *program, const struct db_rows *rows, int row,
                  struct schema_verdict *verdicts_r, struct err *err)
{
    size_t count = program->mapping->dataset.type->field_count;
    for (size_t i = 0; i < count; i++)
        verdicts_r[i] = (struct schema_verdict){ .absent = true, .rule = "", .code = "" };
    for (size_t i = 0; i < program->op_count; i++) {
        const struct program_op *op = &program->ops[i];
        if (op->kind == OP_OPEN || op->kind == OP_CLOSE)
            continue;
        struct schema_row_report report = { .rule = "", .code = "" };
        struct run run = {
            .program = program, .rows = rows, .row = row, .out = &program->judged, .report = &report
        };
        struct schema_verdict *verdict = &verdicts_r[op->leaf->path[0]->position];
        if (program->oneof_count > 0)
            memset(program->oneof_taken, 0, program->oneof_count * sizeof(bool));
        buf_reset(&program->judged);
        enum outcome outcome = run_op(&run, op);
        if (outcome == OUTCOME_MALFORMED)
            return malformed(err);
        verdict->absent = verdict->absent && run.absent;
        if (verdict->warning == NULL && report.warning_count > 0)
            verdict->warning = report.warnings[0].code;
        if (verdict->state == VERDICT_REJECTED)
            continue;
        verdict->state = outcome == OUTCOME_DONE ? VERDICT_PASSED : VERDICT_REJECTED;
        verdict->rule = outcome == OUTCOME_FULL ? "record" : report.rule;
        verdict->code = outcome == OUTCOME_FULL ? "RECORD_TOO_LARGE" : report.code;
    }
    return 0;
}

/* Several key fields are joined with '/', where '~' is ~0 and '/' is ~1 (as RFC 6901 escapes). */
static bool add_key_text(const struct buf *value, bool escape, char *key, size_t *len)
{
    for (size_t i = 0; i < value->len; i++) {
        uint8_t c = value->data[i];
        if (c < 0x20 || c == 0x7f || *len + 3 > PLAN_KEY_TEXT_BYTES_MAX)
            return false;
        if (escape && (c == '~' || c == '/')) {
            key[(*len)++] = '~';
            c = c == '~' ? '0' : '1';
        }
        key[(*len)++] = (char)c;
    }
    return true;
}

bool program_key(struct program *program, const struct db_rows *rows, int row,
                 char key_r[PLAN_KEY_TEXT_BYTES_MAX])
{
    struct schema_row_report report = { .state = ROW_DELIVERED };
    struct run run = {
        .program = program, .rows = rows, .row = row, .report = &report, .silent = true
    };
    size_t len = 0, count = program->mapping->dataset.key_count;
    const char *code = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct mapping_leaf *leaf = program->mapping->key[i];
        if (len + 2 > PLAN_KEY_TEXT_BYTES_MAX)
            return false;
        if (i > 0)
            key_r[len++] = '/';
        if (program_leaf_text(&run, leaf, program->key_columns[i], &code) != VALUE_TEXT ||
            program_run_steps(&run, leaf) != OUTCOME_DONE ||
            !add_key_text(&program->value, count > 1, key_r, &len))
            return false;
    }
    key_r[len] = '\0';
    return len > 0;
}
