#include "schema/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "schema/filter_internal.h"
#include "schema/plan_mask.h"
#include "schema/plan_sql.h"
#include "schema/program.h"

enum {
    TUPLES_MAX = 65536, /* native keys of one batch: keys times their stored forms */
    CURSOR_MARK = 0x1e, /* a native position, not a key: control characters are in no key */
    CURSOR_SPLIT = 0x1f,
    PLACE_NULL = 0x1d, /* stands for SQL NULL in a place */
};

struct schema_plan {
    struct arena arena;
    const struct schema_mapping *mapping;
    const struct schema_filter *row_filter;
    const char *select; /* SELECT ... FROM, without the source */
    struct program_columns columns;
    /* Scratch and operations of these two change while rows run, the plan does not. */
    struct program *program;
    struct plan_masks *masks; /* NULL: records leave as they are */
};

/* Native forms of one canonical key: a list for each column of the key's order. */
struct native_key {
    struct text_list columns[MAPPING_PARTS_MAX];
};

/* --- construction -------------------------------------------------------------------------------
 */

static void need_columns(const struct mapping_leaf *leaf, bool *needed)
{
    for (size_t i = 0; i < leaf->part_count; i++)
        needed[leaf->parts[i].column] = true;
    if (leaf->taken != NULL)
        need_columns(leaf->taken, needed);
}

/* Columns first, then the rows of child tables, then what tells duplicates. */
static void select_columns(struct schema_plan *plan, const uint8_t *fields)
{
    const struct schema_mapping *mapping = plan->mapping;
    bool *needed = arena_array(&plan->arena, mapping->column_count + 1, sizeof *needed);
    int *column = arena_array(&plan->arena, mapping->column_count + 1, sizeof *column);
    int *child = arena_array(&plan->arena, mapping->leaf_count + 1, sizeof *child);
    int count = 0;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (plan_bit(fields, mapping->leaves[i].path[0]->position))
            need_columns(&mapping->leaves[i], needed);
    for (size_t i = 0; i < mapping->dataset.key_count; i++)
        need_columns(mapping->key[i], needed);
    struct plan_sql sql;
    plan_sql_init(&sql, &plan->arena);
    plan_sql_text(&sql, "SELECT ");
    for (size_t i = 0; i < mapping->column_count; i++) {
        column[i] = needed[i] ? count++ : -1;
        if (needed[i])
            plan_sql_add(&sql, "%s%s", column[i] > 0 ? ", " : "", mapping->columns[i].quoted);
    }
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].child != NULL &&
            plan_bit(fields, mapping->leaves[i].path[0]->position)) {
            child[i] = count++;
            plan_sql_text(&sql, ", ");
            plan_sql_child(&sql, mapping, mapping->leaves[i].child);
        }
    bool ranked = mapping->duplicates != DUPLICATES_ERROR;
    plan->columns = (struct program_columns){ column, child, ranked ? count : -1 };
    plan_sql_text(&sql, ranked ? ", " PLAN_RANK_COLUMN " FROM " : " FROM ");
    struct db_sql text;
    plan->select = plan_sql_finish(&sql, &text, NULL) == 0 ? text.text : NULL;
}

struct schema_plan *schema_plan_new(const struct schema_dataset *dataset, const uint8_t *fields,
                                    const struct schema_filter *row_filter, struct err *err)
{
    if (row_filter != NULL && row_filter->mapping != dataset->mapping) {
        err_set(err, ERR_INTERNAL, "ROW_FILTER_FOREIGN",
                "The agreement's row filter belongs to another dataset; renew the agreement.");
        return NULL;
    }
    struct schema_plan *plan = mem_zero(sizeof *plan);
    arena_init(&plan->arena);
    plan->mapping = dataset->mapping;
    plan->row_filter = row_filter;
    select_columns(plan, fields);
    plan->program = mem_zero(sizeof *plan->program);
    program_init(plan->program, plan->mapping, fields, &plan->columns, &plan->arena);
    return plan;
}

void schema_plan_mask(struct schema_plan *plan, const struct schema_masks *masks)
{
    plan_masks_free(&plan->masks);
    plan->masks = plan_masks_new(masks);
}

void schema_plan_free(struct schema_plan **plan)
{
    if (plan == NULL || *plan == NULL)
        return;
    program_fini((*plan)->program);
    free((*plan)->program);
    plan_masks_free(&(*plan)->masks);
    arena_fini(&(*plan)->arena);
    free(*plan);
    *plan = NULL;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static int key_invalid(const struct schema_plan *plan, struct err *err)
{
    const struct schema_dataset *dataset = &plan->mapping->dataset;
    return err_set(err, ERR_INVALID_ARGUMENT, "KEY_INVALID",
                   "The key is no valid %s%s of this dataset; check it and ask again.",
                   dataset->key[0]->name, dataset->key_count > 1 ? " and what follows it" : "");
}

/* "a~1b/c" -> "a/b", "c"; false when the number of pieces is not the key's. */
static bool key_pieces(const struct schema_plan *plan, const char *key, struct arena *arena,
                       const char **pieces)
{
    size_t wanted = plan->mapping->dataset.key_count, len = strnlen(key, PLAN_KEY_TEXT_BYTES_MAX);
    if (len == 0 || len == PLAN_KEY_TEXT_BYTES_MAX || !utf8_valid(key, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
            return false;
    if (wanted == 1) {
        pieces[0] = key;
        return true;
    }
    size_t piece = 0, out = 0;
    char *text = arena_alloc(arena, len + 1);
    for (size_t i = 0;; i++) {
        if (key[i] == '/' || key[i] == '\0') {
            if (piece == wanted)
                return false;
            pieces[piece++] = arena_strndup(arena, text, out);
            out = 0;
            if (key[i] == '\0')
                return piece == wanted;
        } else if (key[i] == '~') {
            i++;
            if (key[i] != '0' && key[i] != '1')
                return false;
            text[out++] = key[i] == '0' ? '~' : '/';
        } else {
            text[out++] = key[i];
        }
    }
}

static bool native_leaf(const struct schema_plan *plan, const struct mapping_leaf *leaf,
                        const char *text, struct arena *arena, struct text_list *columns)
{
    const char *canonical = mapping_canonical(leaf, text, arena);
    const char *texts[MAPPING_PARTS_MAX];
    if (canonical == NULL)
        return false;
    if (leaf->back == LEAF_PARTS) {
        if (!mapping_split(leaf, canonical, true, arena, texts))
            return false;
        for (size_t i = 0; i < leaf->part_count; i++)
            text_list_add(&columns[i], texts[i]);
        return true;
    }
    if (leaf->back == LEAF_FORMS) {
        mapping_candidates(leaf, canonical, &columns[0]);
        return columns[0].count > 0;
    }
    const char *native =
        mapping_native(leaf, plan->mapping->columns[leaf->parts[0].column].type, canonical, arena);
    if (native != NULL)
        text_list_add(&columns[0], native);
    return native != NULL && leaf->back == LEAF_NATIVE;
}

/* Checks run too: a code of the wrong length is no key, not a row that is not there. */
static bool checks_accept(const struct mapping_leaf *leaf, const char *text)
{
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    bool fine = buf_append_str(&value, text) == 0;
    for (size_t i = 0; fine && i < leaf->step_count; i++)
        if (leaf->steps[i].kind->back == BACK_IDENTITY)
            fine = normaliser_run(&leaf->steps[i], &value).verdict != NORMALISER_ERROR;
    buf_fini(&value);
    return fine;
}

static int native_key(const struct schema_plan *plan, const char *key, struct arena *arena,
                      struct native_key *native, struct err *err)
{
    const struct schema_mapping *mapping = plan->mapping;
    const char *pieces[MAPPING_PARTS_MAX];
    size_t column = 0;
    for (size_t i = 0; i < MAPPING_PARTS_MAX; i++)
        native->columns[i] = (struct text_list){ .arena = arena };
    if (!key_pieces(plan, key, arena, pieces))
        return key_invalid(plan, err);
    for (size_t i = 0; i < mapping->dataset.key_count; i++) {
        const struct mapping_leaf *leaf = mapping->key[i];
        if (!checks_accept(leaf, pieces[i]) ||
            !native_leaf(plan, leaf, pieces[i], arena, &native->columns[column]))
            return key_invalid(plan, err);
        column += leaf->part_count;
    }
    return 0;
}

/* "/" and "~" of a piece, escaped as RFC 6901 does. */
static void put_piece(struct buf *out, const char *text, bool escape)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (escape && (*p == '~' || *p == '/'))
            (void)buf_append_str(out, *p == '~' ? "~0" : "~1");
        else
            (void)buf_append_byte(out, (uint8_t)*p);
    }
}

const char *schema_plan_canonical_key(const struct schema_plan *plan, const char *key,
                                      struct arena *arena)
{
    const struct schema_mapping *mapping = plan->mapping;
    const char *pieces[MAPPING_PARTS_MAX];
    size_t count = mapping->dataset.key_count;
    struct buf out;
    if (!key_pieces(plan, key, arena, pieces))
        return NULL;
    buf_init(&out, 2 * MAPPING_PARTS_MAX * PLAN_KEY_TEXT_BYTES_MAX);
    const char *result = "";
    for (size_t i = 0; i < count && result != NULL; i++) {
        const char *canonical = mapping_canonical(mapping->key[i], pieces[i], arena);
        if (canonical != NULL && i > 0)
            (void)buf_append_byte(&out, '/');
        if (canonical != NULL)
            put_piece(&out, canonical, count > 1);
        else
            result = NULL;
    }
    if (result != NULL)
        result = arena_strndup(arena, (const char *)out.data, out.len);
    buf_fini(&out);
    return result;
}

/* --- statements ---------------------------------------------------------------------------------
 */

static const struct mapping_column *order_column(const struct schema_plan *plan, size_t index)
{
    return &plan->mapping->columns[plan->mapping->order[index]];
}

static void add_filters(const struct schema_plan *plan, const struct schema_filter *filter,
                        const char *glue, struct plan_sql *sql)
{
    const struct schema_filter *filters[2] = { plan->row_filter, filter };
    for (size_t i = 0; i < 2; i++) {
        if (filters[i] == NULL || filters[i]->root == NULL)
            continue;
        plan_sql_text(sql, glue);
        filter_sql(filters[i], sql);
        glue = " AND ";
    }
}

struct key_condition {
    const struct schema_plan *plan;
    const struct native_key *native;
};

static void key_sql(void *arg, struct plan_sql *sql)
{
    const struct key_condition *condition = arg;
    const struct schema_plan *plan = condition->plan;
    for (size_t i = 0; i < plan->mapping->order_count; i++) {
        const struct text_list *forms = &condition->native->columns[i];
        plan_sql_add(sql, "%s%s = ", i == 0 ? " WHERE " : " AND ", order_column(plan, i)->quoted);
        /* The text is the statement's identity: whether it is a list depends on the mapping only.
         */
        if (plan->mapping->key_exact) {
            plan_sql_param(sql, forms->items[0]);
        } else {
            plan_sql_text(sql, "ANY(");
            plan_sql_array(sql, forms->items, forms->count);
            plan_sql_text(sql, ")");
        }
    }
}

int schema_plan_lookup(const struct schema_plan *plan, const char *key, struct arena *arena,
                       struct db_sql *sql_r, struct err *err)
{
    struct native_key native;
    struct key_condition condition = { plan, &native };
    if (native_key(plan, key, arena, &native, err) != 0)
        return -1;
    struct plan_sql sql;
    plan_sql_init(&sql, arena);
    plan_sql_text(&sql, plan->select);
    /* Which row is the record is decided before filters: they hide a record, they do not choose
     * another. */
    if (plan->columns.rank >= 0) {
        plan_sql_ranked(&sql, plan->mapping, RANK_LOOKUP, key_sql, &condition);
        add_filters(plan, NULL, " WHERE ", &sql);
    } else {
        plan_sql_text(&sql, plan->mapping->from_sql);
        key_sql(&condition, &sql);
        add_filters(plan, NULL, " AND ", &sql);
    }
    return plan_sql_finish(&sql, sql_r, err);
}

/* One array a column, row by row: the product of each key's forms. */
struct tuples {
    const struct schema_plan *plan;
    const char **columns[MAPPING_PARTS_MAX];
    size_t count;
};

static bool add_tuples(const struct schema_plan *plan, const struct native_key *native,
                       struct tuples *tuples)
{
    size_t at[MAPPING_PARTS_MAX] = { 0 }, width = plan->mapping->order_count;
    for (;;) {
        if (tuples->count == TUPLES_MAX)
            return false;
        for (size_t i = 0; i < width; i++)
            tuples->columns[i][tuples->count] = native->columns[i].items[at[i]];
        tuples->count++;
        size_t i = 0;
        while (i < width && ++at[i] == native->columns[i].count)
            at[i++] = 0;
        if (i == width)
            return true;
    }
}

static const char *array_cast(enum column_type type)
{
    static const char *const casts[COLUMN_TYPE_COUNT] = {
        [COLUMN_INT2] = "int2[]",       [COLUMN_INT4] = "int4[]", [COLUMN_INT8] = "int8[]",
        [COLUMN_UUID] = "uuid[]",       [COLUMN_DATE] = "date[]", [COLUMN_CHAR] = "bpchar[]",
        [COLUMN_NUMERIC] = "numeric[]",
    };
    return casts[type] != NULL ? casts[type] : "text[]";
}

static void tuples_sql(void *arg, struct plan_sql *sql)
{
    const struct tuples *tuples = arg;
    const struct schema_plan *plan = tuples->plan;
    size_t width = plan->mapping->order_count;
    if (width == 1) {
        plan_sql_add(sql, " WHERE %s = ANY(", order_column(plan, 0)->quoted);
        plan_sql_array(sql, tuples->columns[0], tuples->count);
        plan_sql_text(sql, ")");
        return;
    }
    plan_sql_text(sql, " WHERE (");
    for (size_t i = 0; i < width; i++)
        plan_sql_add(sql, "%s%s", i > 0 ? ", " : "", order_column(plan, i)->quoted);
    plan_sql_text(sql, ") IN (SELECT * FROM unnest(");
    for (size_t i = 0; i < width; i++) {
        plan_sql_text(sql, i > 0 ? ", " : "");
        plan_sql_array(sql, tuples->columns[i], tuples->count);
        plan_sql_add(sql, "::%s", array_cast(order_column(plan, i)->type));
    }
    plan_sql_text(sql, "))");
}

static int batch_sql(const struct schema_plan *plan, struct tuples *tuples, struct arena *arena,
                     struct db_sql *sql_r, struct err *err)
{
    struct plan_sql sql;
    plan_sql_init(&sql, arena);
    plan_sql_text(&sql, plan->select);
    if (plan->columns.rank >= 0) {
        plan_sql_ranked(&sql, plan->mapping, RANK_BATCH, tuples_sql, tuples);
        plan_sql_text(&sql, " WHERE " PLAN_ROW_COLUMN " = 1");
    } else {
        plan_sql_text(&sql, plan->mapping->from_sql);
        tuples_sql(tuples, &sql);
    }
    add_filters(plan, NULL, " AND ", &sql);
    return plan_sql_finish(&sql, sql_r, err);
}

int schema_plan_batch(const struct schema_plan *plan, const char *const *keys, size_t count,
                      struct arena *arena, struct db_sql *sql_r, struct err *err)
{
    struct tuples tuples = { .plan = plan };
    for (size_t i = 0; i < plan->mapping->order_count; i++)
        tuples.columns[i] = mem_array(TUPLES_MAX, sizeof *tuples.columns[i]);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct native_key native;
        result = native_key(plan, keys[i], arena, &native, err);
        if (result == 0 && !add_tuples(plan, &native, &tuples))
            result = err_set(err, ERR_INVALID_ARGUMENT, "BATCH_TOO_LARGE",
                             "The batch has too many keys; ask for fewer at once.");
    }
    if (result == 0)
        result = batch_sql(plan, &tuples, arena, sql_r, err);
    for (size_t i = 0; i < plan->mapping->order_count; i++)
        free(tuples.columns[i]);
    return result;
}

/* "(a, b) > ($1, $2)": PostgreSQL walks the key's index from there. */
static void after_native(const struct schema_plan *plan, const char *const *values,
                         struct plan_sql *sql)
{
    size_t width = plan->mapping->order_count;
    plan_sql_text(sql, width > 1 ? " WHERE (" : " WHERE ");
    for (size_t i = 0; i < width; i++)
        plan_sql_add(sql, "%s%s", i > 0 ? ", " : "", order_column(plan, i)->quoted);
    plan_sql_text(sql, width > 1 ? ") > (" : " > ");
    for (size_t i = 0; i < width; i++) {
        plan_sql_text(sql, i > 0 ? ", " : "");
        plan_sql_param(sql, values[i]);
    }
    plan_sql_text(sql, width > 1 ? ")" : "");
}

/* A key with several stored forms does not say where its row stands. The smallest form that is
 * there does, and if the row is gone the smallest form there could have been: rows may come again,
 * none is lost. schema_plan_row_cursor gives the exact place. */
static int after_forms(const struct schema_plan *plan, const struct native_key *native,
                       struct plan_sql *sql, struct err *err)
{
    const char *column = order_column(plan, 0)->quoted;
    if (plan->mapping->order_count != 1)
        return err_set(
            err, ERR_INVALID_ARGUMENT, "CURSOR_NEEDED",
            "This dataset continues behind a cursor only; use the one of the last page.");
    plan_sql_add(sql, " WHERE %s > COALESCE((SELECT min(k.%s) FROM %s AS k WHERE k.%s = ANY(",
                 column, column, plan->mapping->source_sql, column);
    plan_sql_array(sql, native->columns[0].items, native->columns[0].count);
    plan_sql_text(sql, ")), (SELECT min(f) FROM unnest(");
    plan_sql_array(sql, native->columns[0].items, native->columns[0].count);
    plan_sql_add(sql, "::%s) AS f))", array_cast(order_column(plan, 0)->type));
    return 0;
}

static bool cursor_values(const struct schema_plan *plan, const char *after, struct arena *arena,
                          const char **values)
{
    size_t len = strnlen(after, PLAN_KEY_TEXT_BYTES_MAX), width = plan->mapping->order_count;
    if (len == PLAN_KEY_TEXT_BYTES_MAX || !utf8_valid(after, len))
        return false;
    const char *at = after + 1;
    for (size_t i = 0; i < width; i++) {
        const char *end = strchr(at, CURSOR_SPLIT);
        if ((end == NULL) != (i + 1 == width))
            return false;
        size_t piece = end == NULL ? strlen(at) : (size_t)(end - at);
        values[i] = arena_strndup(arena, at, piece);
        if (mapping_native(plan->mapping->key[0], order_column(plan, i)->type, values[i], arena) ==
            NULL)
            return false;
        at += piece + 1;
    }
    return true;
}

static int add_after(const struct schema_plan *plan, const char *after, struct plan_sql *sql,
                     struct err *err)
{
    const char *values[MAPPING_PARTS_MAX];
    struct native_key native;
    if (after[0] == CURSOR_MARK) {
        if (!cursor_values(plan, after, sql->arena, values))
            return key_invalid(plan, err);
        after_native(plan, values, sql);
        return 0;
    }
    if (native_key(plan, after, sql->arena, &native, err) != 0)
        return -1;
    if (!plan->mapping->key_exact)
        return after_forms(plan, &native, sql, err);
    for (size_t i = 0; i < plan->mapping->order_count; i++)
        values[i] = native.columns[i].items[0];
    after_native(plan, values, sql);
    return 0;
}

int schema_plan_query(const struct schema_plan *plan, const struct schema_filter *filter,
                      const char *after, int64_t limit, struct arena *arena, struct db_sql *sql_r,
                      struct err *err)
{
    struct plan_sql sql;
    plan_sql_init(&sql, arena);
    plan_sql_text(&sql, plan->select);
    if (plan->columns.rank >= 0)
        plan_sql_ranked(&sql, plan->mapping, RANK_ALL, NULL, NULL);
    else
        plan_sql_text(&sql, plan->mapping->from_sql);
    if (after != NULL && add_after(plan, after, &sql, err) != 0) {
        plan_sql_drop(&sql);
        return -1;
    }
    add_filters(plan, filter, after != NULL ? " AND " : " WHERE ", &sql);
    for (size_t i = 0; i < plan->mapping->order_count; i++)
        plan_sql_add(&sql, "%s%s", i == 0 ? " ORDER BY " : ", ", order_column(plan, i)->quoted);
    if (limit > 0) {
        plan_sql_text(&sql, " LIMIT ");
        plan_sql_param(&sql, arena_format(arena, "%lld", (long long)limit));
    }
    return plan_sql_finish(&sql, sql_r, err);
}

int schema_plan_copy(const struct schema_plan *plan, const char *table, struct arena *arena,
                     struct db_sql *sql_r, struct err *err)
{
    if (plan->columns.rank >= 0 || plan->mapping->table_quoted == NULL ||
        plan->mapping->from_sql != plan->mapping->source_sql)
        return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                       "a table that is written must stand in its mapping by itself: no query, no "
                       "child tables, no rule for duplicates");
    *sql_r = (struct db_sql){
        .text = arena_format(arena, "%s%s", plan->select, table),
    };
    return 0;
}

bool schema_dataset_column(const struct schema_dataset *dataset, const char *field,
                           const char **table_r, const char **column_r)
{
    const struct schema_mapping *mapping = dataset->mapping;
    const struct schema_field *found = schema_message_field(dataset->type, field, strlen(field));
    const struct mapping_leaf *leaf = found != NULL ? mapping_leaf_of(mapping, found) : NULL;
    if (mapping->table_quoted == NULL || leaf == NULL || leaf->part_count != 1 ||
        leaf->parts[0].kind != PART_WHOLE || leaf->child != NULL)
        return false;
    *table_r = mapping->table_quoted;
    *column_r = mapping->columns[leaf->parts[0].column].name;
    return true;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

int schema_plan_row(const struct schema_plan *plan, const struct db_rows *rows, int row,
                    struct buf *out, struct schema_row_report *report_r, struct err *err)
{
    size_t before = out->len;
    int result = program_run(plan->program, rows, row, out, report_r, err);
    return plan->masks == NULL || result < 0
               ? result
               : plan_masks_run(plan->masks, before, out, report_r, err);
}

bool schema_plan_row_key(const struct schema_plan *plan, const struct db_rows *rows, int row,
                         char key_r[PLAN_KEY_TEXT_BYTES_MAX])
{
    return program_key(plan->program, rows, row, key_r);
}

bool schema_plan_row_cursor(const struct schema_plan *plan, const struct db_rows *rows, int row,
                            char cursor_r[PLAN_KEY_TEXT_BYTES_MAX])
{
    if (plan->mapping->key_exact)
        return program_key(plan->program, rows, row, cursor_r);
    const struct schema_mapping *mapping = plan->mapping;
    struct buf text;
    const char *code = NULL;
    buf_init(&text, PLAN_KEY_TEXT_BYTES_MAX - 1);
    bool fine = buf_append_byte(&text, CURSOR_MARK) == 0;
    for (size_t i = 0; fine && i < mapping->order_count; i++) {
        size_t column = mapping->order[i], before;
        fine = i == 0 || buf_append_byte(&text, CURSOR_SPLIT) == 0;
        before = text.len;
        struct db_value value = db_value(rows, row, plan->columns.column[column]);
        fine = fine &&
               program_value_text(mapping->columns[column].type, value, &text, &code) == VALUE_TEXT;
        fine = fine && memchr(text.data + before, CURSOR_SPLIT, text.len - before) == NULL;
    }
    if (fine) {
        memcpy(cursor_r, text.data, text.len);
        cursor_r[text.len] = '\0';
    }
    buf_fini(&text);
    return fine;
}

/* --- places -------------------------------------------------------------------------------------
 */

bool schema_plan_row_place(const struct schema_plan *plan, const struct db_rows *rows, int row,
                           char place_r[PLAN_KEY_TEXT_BYTES_MAX])
{
    const struct schema_mapping *mapping = plan->mapping;
    struct buf text;
    const char *code = NULL;
    buf_init(&text, PLAN_KEY_TEXT_BYTES_MAX - 1);
    bool fine = true;
    for (size_t i = 0; fine && i < mapping->order_count; i++) {
        size_t column = mapping->order[i];
        fine = i == 0 || buf_append_byte(&text, CURSOR_SPLIT) == 0;
        size_t before = text.len;
        struct db_value value = db_value(rows, row, plan->program->result.column[column]);
        if (value.data == NULL) {
            fine = fine && buf_append_byte(&text, PLACE_NULL) == 0;
            continue;
        }
        fine = fine &&
               program_value_text(mapping->columns[column].type, value, &text, &code) == VALUE_TEXT;
        for (size_t at = before; fine && at < text.len; at++)
            fine = text.data[at] != CURSOR_SPLIT && text.data[at] != PLACE_NULL;
    }
    if (fine && text.len > 0)
        memcpy(place_r, text.data, text.len);
    if (fine)
        place_r[text.len] = '\0';
    buf_fini(&text);
    return fine;
}

struct place_condition {
    const struct schema_plan *plan;
    const char *place;
    struct arena *arena;
    bool fine;
};

static void place_sql(struct place_condition *condition, struct plan_sql *sql)
{
    const struct schema_plan *plan = condition->plan;
    const size_t width = plan->mapping->order_count;
    const char *at = condition->place;
    for (size_t i = 0; condition->fine && i < width; i++) {
        const char *end = strchr(at, CURSOR_SPLIT);
        condition->fine = (end == NULL) == (i + 1 == width);
        size_t len = end != NULL ? (size_t)(end - at) : strlen(at);
        const char *value = arena_strndup(condition->arena, at, len);
        plan_sql_add(sql, "%s%s", i == 0 ? " WHERE " : " AND ", order_column(plan, i)->quoted);
        if (len == 1 && value[0] == PLACE_NULL) {
            plan_sql_text(sql, " IS NULL");
        } else {
            condition->fine = condition->fine &&
                              mapping_native(plan->mapping->key[0], order_column(plan, i)->type,
                                             value, condition->arena) != NULL;
            plan_sql_text(sql, " = ");
            plan_sql_param(sql, value);
        }
        at += len + 1;
    }
}

int schema_plan_place(const struct schema_plan *plan, const char *place, struct arena *arena,
                      struct db_sql *sql_r, struct err *err)
{
    struct place_condition condition = {
        .plan = plan,
        .place = place,
        .arena = arena,
        .fine = strnlen(place, PLAN_KEY_TEXT_BYTES_MAX) < PLAN_KEY_TEXT_BYTES_MAX,
    };
    struct plan_sql sql;
    plan_sql_init(&sql, arena);
    plan_sql_text(&sql, plan->select);
    if (plan->columns.rank >= 0)
        plan_sql_ranked(&sql, plan->mapping, RANK_ALL, NULL, NULL);
    else
        plan_sql_text(&sql, plan->mapping->from_sql);
    place_sql(&condition, &sql);
    if (!condition.fine) {
        plan_sql_drop(&sql);
        return err_set(err, ERR_INVALID_ARGUMENT, "PLACE_INVALID",
                       "The mapping's key has changed since this row was seen.");
    }
    plan_sql_add(&sql, " LIMIT %d", PLAN_PLACE_ROWS_MAX);
    return plan_sql_finish(&sql, sql_r, err);
}

/* --- judging --------------------------------------------------------------------------------------
 */

int schema_plan_row_judge(const struct schema_plan *plan, const struct db_rows *rows, int row,
                          struct schema_verdict *verdicts_r, struct err *err)
{
    return program_judge(plan->program, rows, row, verdicts_r, err);
}

bool schema_dataset_maps(const struct schema_dataset *dataset, const struct schema_field *field)
{
    const struct schema_mapping *mapping = dataset->mapping;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].path[0] == field)
            return true;
    return false;
}

size_t schema_plan_row_stored(const struct schema_plan *plan, const struct db_rows *rows, int row,
                              const struct schema_field *field, struct arena *arena,
                              struct schema_stored *stored_r, size_t max)
{
    const struct schema_mapping *mapping = plan->mapping;
    size_t count = 0;
    for (size_t i = 0; i < mapping->leaf_count; i++) {
        const struct mapping_leaf *leaf = &mapping->leaves[i];
        for (size_t part = 0; part < leaf->part_count && leaf->path[0] == field; part++) {
            const struct mapping_column *column = &mapping->columns[leaf->parts[part].column];
            int at = plan->program->result.column[leaf->parts[part].column];
            if (at < 0 || count == max)
                continue;
            struct db_value value = db_value(rows, row, at);
            struct buf text;
            const char *code = NULL;
            buf_init(&text, NORMALISER_VALUE_BYTES_MAX);
            struct schema_stored *stored = &stored_r[count++];
            *stored = (struct schema_stored){ .column = column->name, .null = value.data == NULL };
            if (program_value_text(column->type, value, &text, &code) == VALUE_TEXT)
                stored->text = arena_strndup(arena, (const char *)text.data, text.len);
            buf_fini(&text);
        }
    }
    return count;
}

/* --- persons ------------------------------------------------------------------------------------
 */

size_t schema_plan_persons(const struct schema_plan *plan, const uint8_t *record, size_t len,
                           struct slice *values_r, size_t max)
{
    return plan_persons(plan->mapping->dataset.type, plan->masks, slice_of(record, len), values_r,
                        max);
}

size_t schema_plan_masked_persons(const struct schema_plan *plan, struct slice *values_r,
                                  size_t max)
{
    return plan->masks != NULL ? plan_masks_persons(plan->masks, values_r, max) : 0;
}
