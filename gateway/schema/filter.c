#include "schema/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/filter_internal.h"
#include "schema/plan.h"

/* Grammar (AIP-160; OR binds tighter than AND):
 *   expression  = factor { AND factor }
 *   factor      = term { OR term }
 *   term        = [ NOT | "-" ] simple
 *   simple      = "(" expression ")" | field operator value */
struct parser {
    struct schema_filter *filter;
    const struct schema_dataset *dataset;
    const uint8_t *allowed;
    const char *text;
    size_t len;
    size_t at;
    int depth;
    int terms;
    struct err *err;
};

static const struct filter_node *parse_expression(struct parser *parser);

/* --- errors and words ---------------------------------------------------------------------------
 */

static int position(const struct parser *parser, size_t at)
{
    int characters = 1;
    for (size_t i = 0; i < at && i < parser->len; i++)
        characters += ((unsigned char)parser->text[i] & 0xC0) != 0x80;
    return characters;
}

static const struct filter_node *syntax(struct parser *parser, size_t at, const char *expected)
{
    err_set(parser->err, ERR_INVALID_ARGUMENT, "FILTER_SYNTAX",
            "The filter is wrong at position %d: expected %s.", position(parser, at), expected);
    return NULL;
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->len && strchr(" \t\r\n", parser->text[parser->at]) != NULL)
        parser->at++;
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* Accepts a keyword that stands alone. */
static bool accept_word(struct parser *parser, const char *word)
{
    skip_blanks(parser);
    size_t len = strlen(word);
    if (parser->len - parser->at < len || memcmp(parser->text + parser->at, word, len) != 0)
        return false;
    if (parser->at + len < parser->len && word_byte(parser->text[parser->at + len]))
        return false;
    parser->at += len;
    return true;
}

static bool accept_mark(struct parser *parser, const char *mark)
{
    skip_blanks(parser);
    size_t len = strlen(mark);
    if (parser->len - parser->at < len || memcmp(parser->text + parser->at, mark, len) != 0)
        return false;
    parser->at += len;
    return true;
}

static struct filter_node *new_node(struct parser *parser, enum filter_kind kind,
                                    const struct filter_node *left, const struct filter_node *right)
{
    struct filter_node *node = arena_alloc(&parser->filter->arena, sizeof *node);
    *node = (struct filter_node){ .kind = kind, .left = left, .right = right };
    return node;
}

/* --- fields -------------------------------------------------------------------------------------
 */

static bool allowed(const struct parser *parser, const struct schema_field *field)
{
    return parser->allowed == NULL || plan_bit(parser->allowed, field->position);
}

/* Unknown and forbidden fields get the same answer, with suggestions among the allowed only. */
static int unknown_field(struct parser *parser, size_t start, size_t len)
{
    const struct schema_message *type = parser->dataset->type;
    const char *names[SCHEMA_FIELDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < type->field_count; i++)
        if (allowed(parser, &type->fields[i]) &&
            schema_dataset_filterable(parser->dataset, &type->fields[i]))
            names[count++] = type->fields[i].name;
    const char *near = yaml_nearest(parser->text + start, len, names, count);
    return err_set(parser->err, ERR_INVALID_ARGUMENT, "FILTER_FIELD",
                   "The filter names an unknown field at position %d%s%s%s.",
                   position(parser, start), near != NULL ? "; did you mean \"" : "",
                   near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static const struct mapping_leaf *parse_field(struct parser *parser)
{
    skip_blanks(parser);
    size_t start = parser->at;
    while (parser->at < parser->len && word_byte(parser->text[parser->at]))
        parser->at++;
    size_t len = parser->at - start;
    if (len == 0) {
        syntax(parser, start, "a field name");
        return NULL;
    }
    const struct schema_field *field =
        schema_message_field(parser->dataset->type, parser->text + start, len);
    if (field == NULL || !allowed(parser, field)) {
        unknown_field(parser, start, len);
        return NULL;
    }
    if (!schema_dataset_filterable(parser->dataset, field)) {
        err_set(parser->err, ERR_INVALID_ARGUMENT, "FILTER_FIELD",
                "The field at position %d cannot be filtered in this dataset: its values are not "
                "stored in a form that can be searched exactly. Filter on another field.",
                position(parser, start));
        return NULL;
    }
    return mapping_leaf_of(parser->dataset->mapping, field);
}

/* --- values -------------------------------------------------------------------------------------
 */

static bool parse_operator(struct parser *parser, enum filter_op *op_r)
{
    static const struct {
        const char *mark;
        enum filter_op op;
    } marks[] = { { "<=", FILTER_LE }, { ">=", FILTER_GE }, { "!=", FILTER_NE }, { "=", FILTER_EQ },
                  { "<", FILTER_LT },  { ">", FILTER_GT },  { ":", FILTER_HAS } };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (accept_mark(parser, marks[i].mark)) {
            *op_r = marks[i].op;
            return true;
        }
    return false;
}

/* A quoted value with \\ escapes; NULL when it does not end. */
static const char *parse_quoted(struct parser *parser, bool *wildcard_r)
{
    char quote = parser->text[parser->at];
    size_t start = parser->at++, out = 0;
    char *value = arena_alloc(&parser->filter->arena, parser->len - parser->at + 1);
    for (; parser->at < parser->len; parser->at++) {
        char c = parser->text[parser->at];
        if (c == quote) {
            parser->at++;
            return value;
        }
        if (c == '\\' && parser->at + 1 < parser->len)
            c = parser->text[++parser->at];
        else if (c == '*')
            *wildcard_r = true;
        value[out++] = c;
    }
    syntax(parser, start, "a closing quote for the text that begins here");
    return NULL;
}

/* A bare word up to a blank or a bracket, so that 2026-11-23T08:00:00Z needs no quotes. */
static const char *parse_bare(struct parser *parser, bool *wildcard_r)
{
    size_t start = parser->at;
    /* "a == b" is a slip of the pen, not a search for the value "=". */
    bool is_operator = start < parser->len && strchr("=<>!:", parser->text[start]) != NULL;
    while (!is_operator && parser->at < parser->len &&
           strchr(" \t\r\n()\"'", parser->text[parser->at]) == NULL) {
        *wildcard_r = *wildcard_r || parser->text[parser->at] == '*';
        parser->at++;
    }
    if (parser->at == start) {
        syntax(parser, start, "a value");
        return NULL;
    }
    return arena_strndup(&parser->filter->arena, parser->text + start, parser->at - start);
}

static const struct filter_node *type_error(struct parser *parser, size_t at, const char *sentence)
{
    err_set(parser->err, ERR_INVALID_ARGUMENT, "FILTER_TYPE",
            "The filter is wrong at position %d: %s.", position(parser, at), sentence);
    return NULL;
}

static bool is_string(const struct mapping_leaf *leaf)
{
    return leaf->field->type == SCHEMA_STRING;
}

/* NULL, or why this field does not take this operator. */
static const char *operator_problem(const struct mapping_leaf *leaf, enum filter_op op)
{
    if (op == FILTER_PRESENT)
        return NULL;
    if (leaf->back == LEAF_ELEMENTS)
        return op == FILTER_HAS ? NULL : "a list is searched with field:value";
    if (op == FILTER_EQ || op == FILTER_NE)
        return NULL;
    if (op == FILTER_HAS) {
        bool text = leaf->back == LEAF_CONSTANT || leaf->back == LEAF_NATIVE;
        return is_string(leaf) && text ? NULL
                                       : "\":\" works on plain text fields only; use = or != here";
    }
    bool ordered =
        leaf->ordered && leaf->field->type != SCHEMA_ENUM && leaf->field->type != SCHEMA_BOOL;
    return ordered ? NULL : "this field can only be compared with = and !=";
}

static const char *expected_value(const struct schema_field *field)
{
    enum { CITIZEN_ID = 1 };
    if (field->type == SCHEMA_ENUM)
        return "this is no value of the field; use one of its names, as the catalogue lists them";
    if (field->type == SCHEMA_BOOL)
        return "expected true or false";
    if (field->type == SCHEMA_MESSAGE)
        return "expected a time like 2026-11-23T08:00:00Z";
    if (field->type == SCHEMA_STRING)
        return field->semantic == CITIZEN_ID ? "this is no valid citizen number"
                                             : "this is no valid value of the field";
    return "expected a number in the field's range";
}

/* Text search works on text columns; a date or number column has no text in it. */
static bool searchable(const struct schema_filter *filter, const struct mapping_leaf *leaf)
{
    if (leaf->back != LEAF_NATIVE)
        return true;
    return filter->mapping->columns[leaf->parts[0].column].type == COLUMN_TEXT;
}

static const struct filter_node *check_term(struct parser *parser, struct filter_node *term,
                                            size_t operator_at, size_t at)
{
    const struct mapping_leaf *leaf = term->leaf;
    const char *problem = operator_problem(leaf, term->op);
    if (problem != NULL)
        return type_error(parser, operator_at, problem);
    if (term->op == FILTER_PRESENT)
        return term;
    if (term->op == FILTER_HAS && leaf->back != LEAF_ELEMENTS)
        return searchable(parser->filter, leaf)
                   ? term
                   : type_error(parser, at, "this field can only be compared as a whole");
    const char *canonical = mapping_canonical(leaf, term->value, &parser->filter->arena);
    if (canonical == NULL)
        return type_error(parser, at, expected_value(leaf->field));
    term->value = canonical;
    const char *texts[MAPPING_PARTS_MAX];
    bool ordering = term->op != FILTER_EQ && term->op != FILTER_NE;
    if (leaf->back == LEAF_NATIVE && ordering &&
        mapping_native(leaf, parser->filter->mapping->columns[leaf->parts[0].column].type,
                       canonical, &parser->filter->arena) == NULL)
        return type_error(parser, at, expected_value(leaf->field));
    if (leaf->back == LEAF_PARTS && ordering &&
        !mapping_split(leaf, canonical, false, &parser->filter->arena, texts))
        return type_error(parser, at, "the value is longer than the field's values are");
    return term;
}

static const struct filter_node *parse_restriction(struct parser *parser)
{
    struct filter_node *term = new_node(parser, FILTER_TERM, NULL, NULL);
    bool wildcard = false;
    if (++parser->terms > FILTER_TERMS_MAX) {
        err_set(parser->err, ERR_INVALID_ARGUMENT, "FILTER_TOO_LARGE",
                "The filter has more than %d conditions; split the request.", FILTER_TERMS_MAX);
        return NULL;
    }
    term->leaf = parse_field(parser);
    if (term->leaf == NULL)
        return NULL;
    skip_blanks(parser);
    size_t operator_at = parser->at;
    if (!parse_operator(parser, &term->op))
        return syntax(parser, operator_at, "one of = != < <= > >= :");
    skip_blanks(parser);
    size_t at = parser->at;
    if (at == parser->len)
        return syntax(parser, at, "a value");
    bool quoted = parser->text[at] == '"' || parser->text[at] == '\'';
    term->value = quoted ? parse_quoted(parser, &wildcard) : parse_bare(parser, &wildcard);
    if (term->value == NULL)
        return NULL;
    if (term->op == FILTER_HAS && !quoted && strcmp(term->value, "*") == 0) {
        term->op = FILTER_PRESENT;
        wildcard = false;
    }
    if (wildcard)
        return type_error(parser, at,
                          "wildcards are not supported; search inside text with field:\"text\", or "
                          "write \\* in quotes for a star");
    return check_term(parser, term, operator_at, at);
}

/* --- structure ----------------------------------------------------------------------------------
 */

static const struct filter_node *parse_simple(struct parser *parser)
{
    skip_blanks(parser);
    size_t at = parser->at;
    if (!accept_mark(parser, "("))
        return parse_restriction(parser);
    const struct filter_node *node = parse_expression(parser);
    if (node != NULL && !accept_mark(parser, ")"))
        return syntax(parser, parser->at < parser->len ? parser->at : at,
                      parser->at < parser->len ? "AND, OR or a closing bracket"
                                               : "a closing bracket for this one");
    return node;
}

static const struct filter_node *parse_term(struct parser *parser)
{
    if (!accept_word(parser, "NOT") && !accept_mark(parser, "-"))
        return parse_simple(parser);
    const struct filter_node *inner = parse_simple(parser);
    return inner == NULL ? NULL : new_node(parser, FILTER_NOT, inner, NULL);
}

static const struct filter_node *parse_factor(struct parser *parser)
{
    const struct filter_node *node = parse_term(parser);
    while (node != NULL && accept_word(parser, "OR")) {
        const struct filter_node *right = parse_term(parser);
        node = right == NULL ? NULL : new_node(parser, FILTER_OR, node, right);
    }
    return node;
}

static const struct filter_node *parse_expression(struct parser *parser)
{
    if (++parser->depth > FILTER_DEPTH_MAX) {
        err_set(parser->err, ERR_INVALID_ARGUMENT, "FILTER_TOO_LARGE",
                "The filter has brackets nested deeper than %d; simplify it.", FILTER_DEPTH_MAX);
        return NULL;
    }
    const struct filter_node *node = parse_factor(parser);
    while (node != NULL && accept_word(parser, "AND")) {
        const struct filter_node *right = parse_factor(parser);
        node = right == NULL ? NULL : new_node(parser, FILTER_AND, node, right);
    }
    parser->depth--;
    return node;
}

static int check_text(const char *text, size_t len, struct err *err)
{
    if (len > FILTER_BYTES_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "FILTER_TOO_LARGE",
                       "The filter is longer than %d bytes; split the request.", FILTER_BYTES_MAX);
    if (!utf8_valid(text, len))
        return err_set(err, ERR_INVALID_ARGUMENT, "FILTER_SYNTAX",
                       "The filter is not valid UTF-8; send it as UTF-8.");
    return 0;
}

struct schema_filter *schema_filter_parse(const struct schema_dataset *dataset, const char *text,
                                          const uint8_t *allowed_fields, struct err *err)
{
    size_t len = strnlen(text, FILTER_BYTES_MAX + 1);
    if (check_text(text, len, err) != 0)
        return NULL;
    struct schema_filter *filter = mem_zero(sizeof *filter);
    arena_init(&filter->arena);
    filter->mapping = dataset->mapping;
    struct parser parser = { .filter = filter,
                             .dataset = dataset,
                             .allowed = allowed_fields,
                             .text = text,
                             .len = len,
                             .err = err };
    skip_blanks(&parser);
    bool fine = true;
    if (parser.at < len) {
        filter->root = parse_expression(&parser);
        fine = filter->root != NULL;
        skip_blanks(&parser);
        if (fine && parser.at < len)
            fine = syntax(&parser, parser.at, "AND, OR or the end") != NULL;
    }
    if (!fine)
        schema_filter_free(&filter);
    return filter;
}

void schema_filter_free(struct schema_filter **filter)
{
    if (filter == NULL || *filter == NULL)
        return;
    arena_fini(&(*filter)->arena);
    free(*filter);
    *filter = NULL;
}
