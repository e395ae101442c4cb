/* Filter trees as SQL. An absent value compares false with everything, except that it equals the
 * default of a field without presence; NOT and != are the exact opposite (IS NOT TRUE), so that no
 * row escapes both a condition and its negation. */
#include <string.h>

#include "schema/filter_internal.h"
#include "schema/program.h"

static const char *const comparisons[] = { "=", "=", "<", "<=", ">", ">=", "", "" };

static const struct mapping_column *column_of(const struct schema_mapping *mapping,
                                              const struct mapping_leaf *leaf, size_t part)
{
    return &mapping->columns[leaf->parts[part].column];
}

/* The text a field without a value stands for, or NULL when absence is visible. */
static const char *absent_value(const struct mapping_leaf *leaf)
{
    const struct schema_field *field = leaf->field;
    if (leaf->fallback != NULL)
        return leaf->fallback;
    if (field->has_presence || leaf->required)
        return NULL;
    if (field->type == SCHEMA_STRING)
        return "";
    if (field->type == SCHEMA_BOOL)
        return "false";
    if (field->type != SCHEMA_ENUM)
        return "0";
    const struct schema_enum_value *zero = schema_enum_by_number(field->enumeration, 0);
    return zero == NULL ? NULL : zero->name;
}

static bool same_value(const struct mapping_leaf *leaf, const char *a, const char *b)
{
    if (leaf->field->type != SCHEMA_ENUM)
        return strcmp(a, b) == 0;
    const struct schema_enum_value *left = program_enum_value(leaf->field, a, strlen(a));
    const struct schema_enum_value *right = program_enum_value(leaf->field, b, strlen(b));
    return left != NULL && right != NULL && left->number == right->number;
}

static void collate(struct plan_sql *sql, const struct schema_mapping *mapping,
                    const struct mapping_column *column, enum filter_op op)
{
    bool foreign = column->type == COLUMN_ENUM || !mapping->collation_c;
    if ((column->type == COLUMN_TEXT || column->type == COLUMN_ENUM) && foreign && op != FILTER_EQ)
        plan_sql_text(sql, " COLLATE \"C\"");
}

static void native_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                       enum filter_op op, const char *value, struct plan_sql *sql)
{
    const struct mapping_column *column = column_of(mapping, leaf, 0);
    if (op == FILTER_HAS) {
        plan_sql_text(sql, "strpos(");
        plan_sql_operand(sql, mapping, leaf);
        plan_sql_text(sql, ", ");
        plan_sql_param(sql, value);
        plan_sql_text(sql, ") > 0");
        return;
    }
    const char *native = mapping_native(leaf, column->type, value, sql->arena);
    if (native == NULL) {
        plan_sql_text(sql, "FALSE"); /* no stored value can be this one */
        return;
    }
    plan_sql_operand(sql, mapping, leaf);
    collate(sql, mapping, column, op);
    plan_sql_add(sql, " %s ", comparisons[op]);
    plan_sql_param(sql, native);
}

static void forms_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                      const char *value, struct plan_sql *sql)
{
    struct text_list forms = { .arena = sql->arena };
    bool integer = column_is_integer(column_of(mapping, leaf, 0)->type);
    mapping_forms(leaf, value, &forms);
    if (forms.count == 0) {
        plan_sql_text(sql, "FALSE");
        return;
    }
    /* A code table may list texts that no integer column can hold; as text they just do not match.
     */
    plan_sql_folded(sql, mapping, leaf);
    plan_sql_text(sql, integer ? "::text = ANY(" : " = ANY(");
    plan_sql_array(sql, forms.items, forms.count);
    plan_sql_text(sql, ")");
}

static void parts_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                      enum filter_op op, const char *value, struct plan_sql *sql)
{
    const char *texts[MAPPING_PARTS_MAX];
    bool equal = op == FILTER_EQ;
    if (!mapping_split(leaf, value, equal, sql->arena, texts)) {
        plan_sql_text(sql, "FALSE");
        return;
    }
    plan_sql_text(sql, "(");
    for (size_t i = 0; equal && i < leaf->part_count; i++) {
        plan_sql_add(sql, "%s%s = ", i > 0 ? " AND " : "", column_of(mapping, leaf, i)->quoted);
        plan_sql_param(sql, texts[i]);
    }
    for (size_t i = 0; !equal && i < leaf->part_count; i++) {
        plan_sql_add(sql, "%s%s", i > 0 ? ", " : "(", column_of(mapping, leaf, i)->quoted);
        collate(sql, mapping, column_of(mapping, leaf, i), op);
    }
    if (!equal)
        plan_sql_add(sql, ") %s ", comparisons[op]);
    for (size_t i = 0; !equal && i < leaf->part_count; i++) {
        plan_sql_text(sql, i > 0 ? ", " : "(");
        plan_sql_param(sql, texts[i]);
    }
    plan_sql_text(sql, equal ? ")" : "))");
}

static void constant_sql(const struct mapping_leaf *leaf, enum filter_op op, const char *value,
                         struct plan_sql *sql)
{
    bool matches = op == FILTER_HAS ? strstr(leaf->constant, value) != NULL
                                    : same_value(leaf, leaf->constant, value);
    plan_sql_text(sql, matches ? "TRUE" : "FALSE");
}

static void elements_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                         const char *value, struct plan_sql *sql)
{
    const struct mapping_column *column = column_of(mapping, leaf, 0);
    const char *native = mapping_native(leaf, column->element, value, sql->arena);
    if (native == NULL) {
        plan_sql_text(sql, "FALSE");
        return;
    }
    plan_sql_param(sql, native);
    plan_sql_add(sql, " = ANY(%s%s)", column->quoted,
                 column->element == COLUMN_ENUM ? "::text[]" : "");
}

/* One comparison, without the part about absent values. */
static void compare_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                        enum filter_op op, const char *value, struct plan_sql *sql)
{
    switch (leaf->back) {
    case LEAF_CONSTANT:
        constant_sql(leaf, op, value, sql);
        break;
    case LEAF_NATIVE:
        native_sql(mapping, leaf, op, value, sql);
        break;
    case LEAF_FORMS:
        forms_sql(mapping, leaf, value, sql);
        break;
    case LEAF_PARTS:
        parts_sql(mapping, leaf, op, value, sql);
        break;
    case LEAF_SUBSTR:
        plan_sql_add(sql, "substr(%s, %u, %u) = ", column_of(mapping, leaf, 0)->quoted,
                     (unsigned)leaf->parts[0].start + 1, (unsigned)leaf->parts[0].length);
        plan_sql_param(sql, value);
        break;
    case LEAF_ELEMENTS:
        elements_sql(mapping, leaf, value, sql);
        break;
    case LEAF_ONE_WAY:
        plan_sql_text(sql, "FALSE");
        break;
    }
}

static void equal_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                      enum filter_op op, const char *value, struct plan_sql *sql)
{
    const char *absent = leaf->part_count == 0 ? NULL : absent_value(leaf);
    bool or_absent = op == FILTER_EQ && absent != NULL && same_value(leaf, absent, value);
    plan_sql_text(sql, "(");
    compare_sql(mapping, leaf, op, value, sql);
    if (leaf->null_count > 0) {
        plan_sql_text(sql, " AND NOT ");
        plan_sql_absent(sql, mapping, leaf);
    }
    if (or_absent) {
        plan_sql_text(sql, " OR ");
        plan_sql_absent(sql, mapping, leaf);
    }
    plan_sql_text(sql, ")");
}

static void present_sql(const struct schema_mapping *mapping, const struct mapping_leaf *leaf,
                        struct plan_sql *sql)
{
    if (leaf->back == LEAF_ELEMENTS) {
        plan_sql_add(sql, "(cardinality(%s) > 0)", column_of(mapping, leaf, 0)->quoted);
        return;
    }
    const char *zero = leaf->field->has_presence ? NULL : absent_value(leaf);
    if (leaf->part_count == 0 || (leaf->fallback != NULL && zero == NULL)) {
        plan_sql_text(sql, "TRUE");
    } else if (zero != NULL && leaf->fallback == NULL) {
        plan_sql_text(sql, "(");
        equal_sql(mapping, leaf, FILTER_EQ, zero, sql);
        plan_sql_text(sql, " IS NOT TRUE)");
    } else {
        plan_sql_text(sql, "(NOT ");
        plan_sql_absent(sql, mapping, leaf);
        plan_sql_text(sql, ")");
    }
}

static void node_sql(const struct schema_mapping *mapping, const struct filter_node *node,
                     struct plan_sql *sql)
{
    switch (node->kind) {
    case FILTER_AND:
    case FILTER_OR:
        plan_sql_text(sql, "(");
        node_sql(mapping, node->left, sql);
        plan_sql_text(sql, node->kind == FILTER_AND ? " AND " : " OR ");
        node_sql(mapping, node->right, sql);
        plan_sql_text(sql, ")");
        break;
    case FILTER_NOT:
        plan_sql_text(sql, "(");
        node_sql(mapping, node->left, sql);
        plan_sql_text(sql, " IS NOT TRUE)");
        break;
    case FILTER_TERM:
        if (node->op == FILTER_PRESENT) {
            present_sql(mapping, node->leaf, sql);
        } else if (node->op == FILTER_NE) {
            plan_sql_text(sql, "(");
            equal_sql(mapping, node->leaf, FILTER_EQ, node->value, sql);
            plan_sql_text(sql, " IS NOT TRUE)");
        } else {
            equal_sql(mapping, node->leaf, node->op, node->value, sql);
        }
        break;
    }
}

bool filter_sql(const struct schema_filter *filter, struct plan_sql *sql)
{
    if (filter == NULL || filter->root == NULL)
        return false;
    node_sql(filter->mapping, filter->root, sql);
    return true;
}
