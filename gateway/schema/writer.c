#include "schema/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "schema/prescan.h"
#include "schema/writer_internal.h"

enum {
    SCRATCH_BYTES = 256,
    VALUE_ROOM = 64, /* what a binary value may need beyond the bytes of its text */
};

static const uint8_t header[] = { 'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n',
                                  0,   0,   0,   0,   0,   0,   0,    0,    0 };
static const uint8_t trailer[] = { 0xff, 0xff };
const struct slice schema_writer_header = { header, sizeof header };
const struct slice schema_writer_trailer = { trailer, sizeof trailer };

/* A tuple being made; the first problem ends it. */
struct row {
    struct schema_writer *writer;
    struct buf *tuple;
    bool full; /* the caller's buffer, not the value, is at its end */
};

struct schema_writer *schema_writer_new(const struct schema_dataset *dataset, const uint8_t *fields,
                                        struct err *err)
{
    struct schema_writer *writer = mem_zero(sizeof *writer);
    arena_init(&writer->arena);
    writer->dataset = dataset;
    /* Whole seconds: a column may keep no fraction. */
    writer->made_us = clock_wall_us() / 1000000 * 1000000;
    struct buf *scratch[] = { &writer->text, &writer->joined, &writer->pieces, &writer->back };
    for (size_t i = 0; i < sizeof scratch / sizeof scratch[0]; i++) {
        buf_init(scratch[i], 4 * (size_t)PLAN_RECORD_BYTES_MAX);
        (void)buf_reserve(scratch[i], SCRATCH_BYTES);
    }
    if (writer_compile(writer, fields, err) != 0 ||
        writer_check_fills(writer, "MAPPING_ONE_WAY", err) != 0)
        schema_writer_free(&writer);
    return writer;
}

void schema_writer_free(struct schema_writer **writer)
{
    if (writer == NULL || *writer == NULL)
        return;
    program_fini(&(*writer)->program);
    scan_fini(&(*writer)->given);
    scan_fini(&(*writer)->seen);
    buf_fini(&(*writer)->text);
    buf_fini(&(*writer)->joined);
    buf_fini(&(*writer)->pieces);
    buf_fini(&(*writer)->back);
    arena_fini(&(*writer)->arena);
    free(*writer);
    *writer = NULL;
}

void schema_writer_set_batch(struct schema_writer *writer, const char *batch)
{
    writer->batch = arena_strdup(&writer->arena, batch);
}

const char *schema_writer_table(const struct schema_writer *writer)
{
    return writer->target.table_quoted;
}

const char *schema_writer_columns(const struct schema_writer *writer)
{
    return writer->column_list;
}

/* --- lists of columns ----------------------------------------------------------------------------
 */

static bool is_key_column(const struct schema_writer *writer, size_t index)
{
    for (size_t i = 0; i < writer->target.order_count; i++)
        if (writer->target.order[i] == index)
            return true;
    return false;
}

static void add_column_by(struct buf *list, const char *pattern, const char *separator,
                          const char *quoted)
{
    (void)buf_append_str(list, list->len > 0 ? separator : "");
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '%')
            (void)buf_append_str(list, quoted);
        else
            (void)buf_append_byte(list, (uint8_t)*pattern);
    }
}

const char *schema_writer_each(const struct schema_writer *writer, enum schema_writer_part part,
                               const char *pattern, const char *separator, struct arena *arena)
{
    struct buf list;
    buf_init(&list, (size_t)MAPPING_COLUMNS_MAX * 512);
    if (part == WRITER_KEY)
        for (size_t i = 0; i < writer->target.order_count; i++)
            add_column_by(&list, pattern, separator,
                          writer->target.columns[writer->target.order[i]].quoted);
    for (size_t i = 0; part != WRITER_KEY && i < writer->column_count; i++) {
        const struct writer_column *column = &writer->columns[i];
        if (part == WRITER_DATA ? column->source != SOURCE_FILL
                                : !is_key_column(writer, column->index))
            add_column_by(&list, pattern, separator, column->column->quoted);
    }
    const char *text = arena_strndup(arena, buf_cstr(&list), list.len);
    buf_fini(&list);
    return text;
}

/* --- values -------------------------------------------------------------------------------------
 */

static const char *put_null(struct row *row, int column)
{
    struct writer_column *to = &row->writer->columns[column];
    to->null = true;
    row->full = writer_put32(UINT32_MAX, row->tuple) != NULL;
    return row->full ? "OUTPUT_FULL" : NULL;
}

/* Leaves room for the length, which is known behind the value. */
static const char *begin_value(struct row *row, int column, size_t room)
{
    struct writer_column *to = &row->writer->columns[column];
    row->full = buf_reserve(row->tuple, room + VALUE_ROOM) != 0;
    if (row->full)
        return "OUTPUT_FULL";
    (void)writer_put32(0, row->tuple);
    to->at = row->tuple->len;
    to->null = false;
    return NULL;
}

static void end_value(struct row *row, int column)
{
    struct writer_column *to = &row->writer->columns[column];
    to->len = (uint32_t)(row->tuple->len - to->at);
    for (size_t i = 0; i < 4; i++)
        row->tuple->data[to->at - 4 + i] = (uint8_t)(to->len >> (24 - 8 * i));
}

static const char *put_value(struct row *row, int column, struct slice text)
{
    const struct writer_column *to = &row->writer->columns[column];
    size_t before = row->tuple->len;
    const char *problem = begin_value(row, column, text.len);
    if (problem == NULL)
        problem = to->type->encode(text, &to->limits, row->tuple);
    if (problem == NULL)
        end_value(row, column);
    else
        row->tuple->len = before;
    return problem;
}

static const char *put_nulls(struct row *row, const struct writer_leaf *leaf)
{
    const char *problem = NULL;
    for (size_t i = 0; i < leaf->leaf->part_count && problem == NULL; i++)
        if (leaf->columns[i] != NO_COLUMN)
            problem = put_null(row, leaf->columns[i]);
    return problem;
}

/* --- parts --------------------------------------------------------------------------------------
 */

/* Bytes of so many characters; SIZE_MAX when there are not as many. */
static size_t bytes_of(struct slice text, uint32_t characters)
{
    size_t at = 0;
    for (; characters > 0 && at < text.len; characters--) {
        at++;
        while (at < text.len && (text.data[at] & 0xC0) == 0x80)
            at++;
    }
    return characters == 0 ? at : SIZE_MAX;
}

/* Cuts what one part holds from the front of `rest`. */
static const char *cut(const struct mapping_leaf *leaf, size_t index, struct slice *rest,
                       struct slice *piece_r)
{
    const struct mapping_part *part = &leaf->parts[index];
    bool last = index + 1 == leaf->part_count;
    size_t width = leaf->separator != NULL ? strlen(leaf->separator) : 0;
    size_t len = rest->len;
    if (part->kind == PART_FIXED)
        len = bytes_of(*rest, part->length);
    if (len == SIZE_MAX)
        return "PART_LENGTH";
    if (width > 0) {
        const uint8_t *end =
            rest->len == 0 ? NULL : memmem(rest->data, rest->len, leaf->separator, width);
        if ((end == NULL) != last) /* a separator inside of a part would tell two stories */
            return last ? "PART_AMBIGUOUS" : "PART_MISSING";
        if (end != NULL && part->kind == PART_WHOLE)
            len = (size_t)(end - rest->data);
    }
    *piece_r = slice_of(rest->data, len);
    *rest = slice_of(rest->data + len, rest->len - len);
    if (last)
        return rest->len == 0 ? NULL : "PART_LENGTH";
    if (width > 0 && (rest->len < width || memcmp(rest->data, leaf->separator, width) != 0))
        return "PART_LENGTH";
    *rest = slice_of(rest->data + width, rest->len - width);
    return NULL;
}

/* Native text of a leaf into its columns. */
static const char *put_parts(struct row *row, struct writer_leaf *leaf, struct slice text)
{
    struct schema_writer *writer = row->writer;
    const struct mapping_leaf *from = leaf->leaf;
    enum part_kind kind = from->parts[0].kind;
    const char *problem = NULL;
    if (from->part_count == 1 && kind == PART_WHOLE)
        return put_value(row, leaf->columns[0], text);
    if (kind == PART_SUBSTR || kind == PART_SPLIT) {
        leaf->piece_set = true;
        leaf->piece_at = writer->pieces.len;
        leaf->piece_len = text.len;
        return buf_append(&writer->pieces, text.data, text.len) == 0 ? NULL : "VALUE_TOO_LONG";
    }
    for (size_t i = 0; i < from->part_count && problem == NULL; i++) {
        struct slice piece;
        problem = cut(from, i, &text, &piece);
        if (problem != NULL || leaf->columns[i] == NO_COLUMN)
            continue;
        if (from->parts[i].kind == PART_FIXED && from->parts[i].rest[0] != '\0') {
            buf_reset(&writer->joined);
            if (buf_append(&writer->joined, piece.data, piece.len) != 0 ||
                buf_append_str(&writer->joined, from->parts[i].rest) != 0)
                return "VALUE_TOO_LONG";
            piece = buf_slice(&writer->joined);
        }
        problem = put_value(row, leaf->columns[i], piece);
    }
    return problem;
}

/* --- leaves -------------------------------------------------------------------------------------
 */

static const struct writer_choice *find_choice(const struct writer_leaf *leaf, int64_t number)
{
    size_t low = 0, high = leaf->choice_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (leaf->choices[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < leaf->choice_count && leaf->choices[low].number == number ? &leaf->choices[low]
                                                                           : NULL;
}

static const char *put_choice(struct row *row, struct writer_leaf *leaf, int64_t number)
{
    const struct writer_choice *choice = find_choice(leaf, number);
    if (choice == NULL)
        return "ENUM_UNKNOWN";
    if (choice->native == NULL)
        return "NO_NATIVE_FORM";
    return put_parts(row, leaf, slice_of(choice->native, choice->len));
}

static const char *put_array(struct row *row, const struct writer_leaf *leaf,
                             const struct scan *scan, const struct scan_slot *slot)
{
    struct schema_writer *writer = row->writer;
    int column = leaf->columns[0];
    const struct writer_column *to = &writer->columns[column];
    size_t before = row->tuple->len;
    const char *problem = begin_value(row, column, 0);
    if (problem == NULL)
        writer_array_begin(slot->count, to->limits.oid, row->tuple);
    for (uint32_t at = slot->first; at != 0 && problem == NULL; at = scan->items[at].next) {
        buf_reset(&writer->text);
        problem = writer_item_text(leaf->leaf->field, &scan->items[at], &writer->text);
        if (problem == NULL)
            problem = writer_chain(leaf->leaf, &writer->text);
        if (problem != NULL)
            break;
        row->full = buf_reserve(row->tuple, writer->text.len + VALUE_ROOM) != 0;
        if (row->full)
            return "OUTPUT_FULL";
        size_t start = row->tuple->len;
        (void)writer_put32((uint32_t)writer->text.len, row->tuple);
        problem = to->type->encode(buf_slice(&writer->text), &to->limits, row->tuple);
        /* every element is text: its length is what came in */
        if (problem == NULL && row->tuple->len - start - 4 != writer->text.len)
            problem = "VALUE_TOO_LONG";
    }
    if (problem == NULL)
        end_value(row, column);
    else
        row->tuple->len = before;
    return problem;
}

/* An absent value without presence is the type's default, which has a native text of its own. */
static const char *put_default(struct row *row, struct writer_leaf *leaf)
{
    struct schema_writer *writer = row->writer;
    const struct schema_field *field = leaf->leaf->field;
    static const struct scan_slot nothing;
    if (field->repeated && !field->map)
        return put_array(row, leaf, &writer->given, &nothing);
    if (leaf->choices != NULL)
        return put_choice(row, leaf, 0);
    buf_reset(&writer->text);
    const char *problem = NULL;
    if (field->map)
        problem = buf_append_str(&writer->text, "{}") == 0 ? NULL : "VALUE_TOO_LONG";
    else if (field->type != SCHEMA_STRING && field->type != SCHEMA_BYTES)
        problem = buf_append_byte(&writer->text, '0') == 0 ? NULL : "VALUE_TOO_LONG";
    if (problem == NULL)
        problem = writer_chain(leaf->leaf, &writer->text);
    return problem != NULL ? problem : put_parts(row, leaf, buf_slice(&writer->text));
}

static bool nullable(const struct schema_writer *writer, const struct writer_leaf *leaf)
{
    if (leaf->leaf->required || leaf->leaf->fallback != NULL)
        return false;
    for (size_t i = 0; i < leaf->leaf->part_count; i++)
        if (leaf->columns[i] != NO_COLUMN && writer->columns[leaf->columns[i]].required)
            return false;
    return true;
}

static const char *put_absent(struct row *row, struct writer_leaf *leaf)
{
    const struct mapping_leaf *from = leaf->leaf;
    enum part_kind kind = from->parts[0].kind;
    if (kind == PART_SUBSTR || kind == PART_SPLIT)
        return NULL; /* the column is put together without it */
    if (nullable(row->writer, leaf))
        return put_nulls(row, leaf);
    bool presence = from->field->has_presence || writer_is_timestamp(from->field);
    if (!presence) {
        size_t before = row->tuple->len;
        const char *problem = put_default(row, leaf);
        if (problem == NULL || row->full)
            return problem;
        row->tuple->len = before;
    }
    /* NULL would be read back as the default: that is found when it is compared. */
    return from->required || from->fallback == NULL ? "REQUIRED_MISSING" : put_nulls(row, leaf);
}

static const char *put_leaf(struct row *row, size_t index)
{
    struct schema_writer *writer = row->writer;
    struct writer_leaf *leaf = &writer->leaves[index];
    const struct scan_slot *slot = &writer->given.slots[index];
    const struct mapping_leaf *from = leaf->leaf;
    if (!slot->seen)
        return put_absent(row, leaf);
    if (leaf->plain)
        return put_value(row, leaf->columns[0], slot->text);
    if (leaf->choices != NULL)
        return put_choice(row, leaf, (int64_t)slot->bits);
    if (from->field->repeated && !from->field->map)
        return put_array(row, leaf, &writer->given, slot);
    enum column_type type = writer->target.columns[from->parts[0].column].type;
    if (leaf->instant && slot->nanos >= 0 && slot->nanos <= 999999999 &&
        slot->seconds >= -62135596800 && slot->seconds <= 253402300799) {
        int column = leaf->columns[0];
        const char *problem = begin_value(row, column, 0);
        if (problem == NULL)
            problem = writer_encode_instant(
                slot->seconds + (type == COLUMN_TIMESTAMP ? from->utc_offset_s : 0), slot->nanos,
                &writer->columns[column].limits, row->tuple);
        if (problem == NULL)
            end_value(row, column);
        return problem;
    }
    buf_reset(&writer->text);
    const char *problem = writer_text(&writer->given, index, slot, type, &writer->text);
    if (problem == NULL)
        problem = writer_chain(from, &writer->text);
    return problem != NULL ? problem : put_parts(row, leaf, buf_slice(&writer->text));
}

/* --- columns without a leaf of their own --------------------------------------------------------
 */

static const char *put_pieces(struct row *row, int index)
{
    struct schema_writer *writer = row->writer;
    const struct writer_column *column = &writer->columns[index];
    size_t set = 0;
    buf_reset(&writer->joined);
    for (size_t i = 0; i < column->piece_count; i++) {
        const struct writer_leaf *leaf = &writer->leaves[column->pieces[i]];
        set += leaf->piece_set;
        if ((i > 0 && buf_append_str(&writer->joined, column->separator) != 0) ||
            (leaf->piece_set && buf_append(&writer->joined, writer->pieces.data + leaf->piece_at,
                                           leaf->piece_len) != 0))
            return "VALUE_TOO_LONG";
    }
    if (set == 0)
        return column->required ? "REQUIRED_MISSING" : put_null(row, index);
    if (set < column->piece_count && column->separator[0] == '\0')
        return "PART_MISSING"; /* the others would move to its place */
    return put_value(row, index, buf_slice(&writer->joined));
}

static const char *put_fill(struct row *row, int index)
{
    const struct schema_writer *writer = row->writer;
    const struct writer_column *column = &writer->columns[index];
    char moment[CLOCK_TEXT_BYTES];
    const char *text = column->fill->text;
    size_t len = 0;
    if (column->fill->kind == FILL_BATCH)
        text = writer->batch;
    if (column->fill->kind == FILL_NOW) {
        clock_format(writer->made_us, moment);
        text = moment;
        len = strlen(moment);
        if (column->column->type == COLUMN_DATE)
            len = 10;
        else if (column->column->type == COLUMN_TIMESTAMP)
            len--; /* without Z: in UTC */
    } else if (text != NULL) {
        len = strlen(text);
    }
    if (text != NULL)
        return put_value(row, index, slice_of(text, len));
    return column->required ? "REQUIRED_MISSING" : put_null(row, index);
}

int writer_check_fills(struct schema_writer *writer, const char *reason, struct err *err)
{
    struct buf unused;
    struct row row = { .writer = writer, .tuple = &unused };
    int result = 0;
    buf_init(&unused, PLAN_RECORD_BYTES_MAX);
    for (size_t i = 0; i < writer->column_count && result == 0; i++) {
        const struct writer_column *column = &writer->columns[i];
        if (column->source != SOURCE_FILL)
            continue;
        const char *problem = put_fill(&row, (int)i);
        if (problem != NULL)
            result =
                err_set(err, ERR_FAILED_PRECONDITION, reason,
                        "%s cannot be written: column \"%s\" is %s, and what it is to be "
                        "filled with is no such value (%s).",
                        writer->dataset->name, column->column->name, column->type->name, problem);
    }
    buf_fini(&unused);
    return result;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static void quarantine(struct schema_row_report *report, const struct schema_field *field,
                       const char *rule, const char *code)
{
    report->state = ROW_QUARANTINED;
    report->field = field;
    report->rule = rule;
    report->code = code;
}

/* Every column of the tuple; false after a problem, which is in the report unless `full`. */
static bool put_row(struct row *row, struct schema_row_report *report)
{
    struct schema_writer *writer = row->writer;
    buf_reset(&writer->pieces);
    row->full = writer_put16((uint16_t)writer->column_count, row->tuple) != NULL;
    for (size_t i = 0; i < writer->leaf_count && !row->full; i++) {
        writer->leaves[i].piece_set = false;
        const char *problem = writer->leaves[i].writes ? put_leaf(row, i) : NULL;
        if (problem != NULL) {
            quarantine(report, writer->leaves[i].leaf->path[0], "write", problem);
            return false;
        }
    }
    for (size_t i = 0; i < writer->column_count && !row->full; i++) {
        const struct writer_column *column = &writer->columns[i];
        const char *problem = column->source == SOURCE_PIECES ? put_pieces(row, (int)i)
                              : column->source == SOURCE_FILL ? put_fill(row, (int)i)
                                                              : NULL;
        if (problem != NULL) {
            quarantine(report,
                       column->piece_count > 0 ? writer->leaves[column->pieces[0]].leaf->path[0]
                                               : NULL,
                       "write", problem);
            return false;
        }
    }
    return !row->full;
}

/* Why a leaf came back different. */
static const char *difference(const struct writer_leaf *leaf)
{
    if (leaf->leaf->part_count == 0)
        return "CONSTANT_DIFFERS";
    enum part_kind kind = leaf->leaf->parts[0].kind;
    if (leaf->writes && (kind == PART_SUBSTR || kind == PART_SPLIT))
        return "NOT_REVERSIBLE";
    for (size_t i = 0; i < leaf->leaf->part_count; i++)
        if (leaf->columns[i] == NO_COLUMN)
            return "FIELDS_DISAGREE"; /* another field wrote that column */
    return "NOT_REVERSIBLE";
}

/* Reads the row just made as the mapping reads the table, and compares it with the record. What
 * was derived is thus never trusted. */
static void read_back(struct schema_writer *writer, const uint8_t *record, size_t len,
                      const struct buf *tuple, struct schema_row_report *report)
{
    const struct schema_field *field = NULL;
    for (size_t i = 0; i < writer->column_count; i++) {
        const struct writer_column *column = &writer->columns[i];
        writer->values[i] = column->null
                                ? (struct db_value){ NULL, 0 }
                                : (struct db_value){ tuple->data + column->at, column->len };
    }
    const struct db_tuple values = { writer->values, (int)writer->column_count };
    struct err unused = ERR_INIT;
    buf_reset(&writer->back);
    if (program_run(&writer->program, db_rows_of_tuple(&values), 0, &writer->back, report,
                    &unused) != 0) {
        quarantine(report, NULL, "write", "RECORD_TOO_LARGE");
        return;
    }
    if (report->state != ROW_DELIVERED ||
        (writer->back.len == len && memcmp(writer->back.data, record, len) == 0))
        return;
    const char *problem = scan_record(&writer->seen, writer->back.data, writer->back.len, &field);
    for (size_t i = 0; i < writer->leaf_count && problem == NULL; i++)
        if (!scan_slot_equal(&writer->given, &writer->seen, i)) {
            problem = difference(&writer->leaves[i]);
            field = writer->leaves[i].leaf->path[0];
        }
    if (problem != NULL)
        quarantine(report, field, "write", problem);
}

int schema_writer_row(struct schema_writer *writer, const uint8_t *record, size_t len,
                      struct buf *tuple, struct schema_row_report *report_r, struct err *err)
{
    const struct schema_field *field = NULL;
    struct err refused = ERR_INIT;
    struct row row = { .writer = writer, .tuple = tuple };
    size_t before = tuple->len;
    *report_r = (struct schema_row_report){ .state = ROW_DELIVERED, .rule = "", .code = "" };
    if (len > PLAN_RECORD_BYTES_MAX) {
        quarantine(report_r, NULL, "record", "RECORD_TOO_LARGE");
        return 0;
    }
    if (schema_prescan(writer->dataset->type, record, len, &refused) != 0) {
        quarantine(report_r, NULL, "record", refused.reason);
        return 0;
    }
    const char *problem = scan_record(&writer->given, record, len, &field);
    if (problem != NULL) {
        quarantine(report_r, field, "record", problem);
        return 0;
    }
    if (put_row(&row, report_r))
        read_back(writer, record, len, tuple, report_r);
    if (row.full || report_r->state != ROW_DELIVERED)
        tuple->len = before;
    if (!row.full)
        return 0;
    return err_set(err, ERR_RESOURCE_EXHAUSTED, "OUTPUT_FULL",
                   "The rows waiting for the target are more than may wait; send them first.");
}
