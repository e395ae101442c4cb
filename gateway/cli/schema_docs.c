/* sluice schema docs: the data dictionary of a schemas folder, Markdown and HTML, in both languages. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/schema_page.h"
#include "cli/schema_place.h"
#include "conf/yaml.h"
#include "schema/descriptor.h"
#include "sluice/options/field.pb-c.h"

enum {
    TYPES_MAX = 4096,
    CODE_ROWS_SHOWN = 200, /* of a CSV file; a table of all villages is no reading */
};

struct docs {
    struct arena arena;
    struct schema_page *page;
    const struct schema_bundle *bundle;
    const struct dictionary *dictionary;
    const struct schema_message *types[TYPES_MAX]; /* in the order datasets reach them */
    size_t type_count;
    const struct schema_enum *enums[TYPES_MAX];
    size_t enum_count;
};

static const char *enum_text(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return value != 0 && found != NULL ? found->name : "";
}

static const char *node_text(struct docs *docs, const struct yaml_node *node)
{
    struct buf text;
    const char *copy;

    if (node == NULL)
        return "";
    if (yaml_kind(node) == YAML_SCALAR)
        return yaml_text(node);
    buf_init(&text, DICTIONARY_TEXT_BYTES_MAX);
    dictionary_text(node, &text);
    copy = arena_strndup(&docs->arena, (const char *)text.data, text.len);
    buf_fini(&text);
    return copy;
}

/* --- types --------------------------------------------------------------------------------------
 */

static void collect_type(struct docs *docs, const struct schema_message *type)
{
    if (strncmp(type->full_name, "google.protobuf.", 16) == 0 || docs->type_count == TYPES_MAX)
        return;
    for (size_t i = 0; i < docs->type_count; i++)
        if (docs->types[i] == type)
            return;
    docs->types[docs->type_count++] = type;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct schema_field *field = &type->fields[i];
        if (field->type == SCHEMA_MESSAGE)
            collect_type(docs, field->message);
        if (field->type != SCHEMA_ENUM || docs->enum_count == TYPES_MAX)
            continue;
        size_t at = 0;
        while (at < docs->enum_count && docs->enums[at] != field->enumeration)
            at++;
        docs->enums[at] = field->enumeration;
        docs->enum_count += at == docs->enum_count;
    }
}

/* Comments of a .proto run over several lines. */
static const char *one_line(struct docs *docs, const char *text)
{
    char *copy = arena_strdup(&docs->arena, text);
    size_t len = strlen(copy);

    while (len > 0 && (copy[len - 1] == '\n' || copy[len - 1] == ' '))
        copy[--len] = '\0';
    for (char *at = copy; *at != '\0'; at++)
        *at = *at == '\n' ? ' ' : *at;
    return copy + strspn(copy, " ");
}

static void write_type(struct docs *docs, const struct schema_message *type)
{
    const char *const heads[] = { message(MSG_DOCS_FIELD),    message(MSG_DOCS_TYPE),
                                  message(MSG_DOCS_LABEL),    message(MSG_DOCS_MEANING),
                                  message(MSG_DOCS_SEMANTIC), message(MSG_DOCS_SENSITIVITY),
                                  message(MSG_DOCS_KEY) };

    schema_page_heading(docs->page, 3, type->full_name);
    schema_page_table(docs->page, heads, 7);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct schema_field *field = &type->fields[i];
        const char *cells[7] = {
            field->name,
            arena_format(&docs->arena, "%s%s", field->repeated ? "repeated " : "",
                         schema_field_type_name(field)),
            field->label_zh,
            one_line(docs, field->comment),
            enum_text(&sluice__options__semantic_type__descriptor, field->semantic),
            enum_text(&sluice__options__sensitivity__descriptor, field->sensitivity),
            field->key != 0 ? arena_format(&docs->arena, "%u", field->key) : "",
        };
        schema_page_row(docs->page, cells, 0x33);
    }
    schema_page_table_end(docs->page);
}

static void write_enum(struct docs *docs, const struct schema_enum *type)
{
    schema_page_heading(docs->page, 3, type->full_name);
    schema_page_table(
        docs->page, (const char *const[]){ message(MSG_DOCS_VALUE), message(MSG_DOCS_NUMBER) }, 2);
    for (size_t i = 0; i < type->value_count; i++)
        schema_page_row(
            docs->page,
            (const char *const[]){ type->values[i].name,
                                   arena_format(&docs->arena, "%d", type->values[i].number) },
            0x3);
    schema_page_table_end(docs->page);
}

/* --- code tables --------------------------------------------------------------------------------
 */

static size_t row_bytes(const char *at)
{
    bool quoted = false;
    size_t len = 0;

    for (; at[len] != '\0' && (quoted || at[len] != '\n'); len++)
        quoted = at[len] == '"' ? !quoted : quoted;
    return len;
}

/* Cells of one CSV row (RFC 4180), at most `max`; answers where the next row begins. */
static const char *csv_row(struct docs *docs, const char *at, const char **cells, size_t max,
                           size_t *count_r)
{
    char *text = arena_alloc(&docs->arena, row_bytes(at) + 1);
    bool quoted = false, ended = false;
    size_t len = 0;

    *count_r = 0;
    for (; !ended; at++) {
        if (*at == '"' && quoted && at[1] == '"')
            text[len++] = *at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (*at != '\0' && (quoted || (*at != ',' && *at != '\n' && *at != '\r')))
            text[len++] = *at;
        else if (*at != '\r') {
            if (*count_r < max)
                cells[(*count_r)++] = arena_strndup(&docs->arena, text, len);
            len = 0;
            ended = *at != ',';
            if (*at == '\0')
                break;
        }
    }
    return at;
}

static void write_csv(struct docs *docs, const struct dictionary_codes *codes)
{
    enum { CELLS_MAX = 12 };
    const char *cells[CELLS_MAX];
    size_t columns = 0, count = 0, rows = 0;
    struct arena keep = docs->arena; /* the rows' texts die with their own arena */
    const char *at;

    arena_init(&docs->arena);
    schema_page_heading(docs->page, 3, codes->name);
    at = csv_row(docs, codes->text, cells, CELLS_MAX, &columns);
    schema_page_table(docs->page, cells, columns);
    while (*at != '\0') {
        at = csv_row(docs, at, cells, CELLS_MAX, &count);
        for (; count < columns; count++)
            cells[count] = "";
        if (rows++ < CODE_ROWS_SHOWN)
            schema_page_row(docs->page, cells, 0x3);
    }
    schema_page_table_end(docs->page);
    if (rows > CODE_ROWS_SHOWN) {
        const char *total = arena_format(&docs->arena, "%zu", rows - CODE_ROWS_SHOWN);
        char *text = message_fill(MSG_DOCS_MORE_ROWS, &total, 1);
        schema_page_paragraph(docs->page, text);
        free(text);
    }
    arena_fini(&docs->arena);
    docs->arena = keep;
}

static void write_inline(struct docs *docs, const char *field, const struct yaml_node *codes)
{
    schema_page_heading(docs->page, 4, field);
    schema_page_table(
        docs->page, (const char *const[]){ message(MSG_DOCS_NATIVE), message(MSG_DOCS_CANONICAL) },
        2);
    for (size_t i = 0; i < yaml_count(codes); i++)
        schema_page_row(docs->page,
                        (const char *const[]){ yaml_text(yaml_key(codes, i)),
                                               node_text(docs, yaml_value(codes, i)) },
                        0x3);
    schema_page_table_end(docs->page);
}

/* --- datasets -----------------------------------------------------------------------------------
 */

/* What decides about absent values, as the mapping writes it. */
static const char *null_rule(struct docs *docs, const struct yaml_node *field)
{
    static const char *const keys[] = { "null_values", "default", "required" };
    const char *text = "";

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *node = dictionary_part(field, keys[i]);
        if (node != NULL)
            text = arena_format(&docs->arena, "%s%s%s: %s", text, text[0] != '\0' ? "; " : "",
                                keys[i], node_text(docs, node));
    }
    return text;
}

static bool filterable(const struct schema_dataset *dataset, const char *name)
{
    const struct schema_field *field =
        schema_message_field(dataset->type, name, strcspn(name, "."));
    return strchr(name, '.') == NULL && field != NULL && schema_dataset_filterable(dataset, field);
}

/* Where the value comes from: columns with their cuts, or a constant. */
static const char *origin(struct docs *docs, const struct yaml_node *field)
{
    static const char *const keys[] = { "constant", "coalesce", "from_field", "separator" };
    const char *text = node_text(docs, dictionary_part(field, "from"));

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *node =
            yaml_kind(field) == YAML_MAPPING ? yaml_get(field, keys[i]) : NULL;
        if (node != NULL)
            text = arena_format(&docs->arena, "%s%s%s: %s", text, text[0] != '\0' ? "; " : "",
                                keys[i], node_text(docs, node));
    }
    return text;
}

static void write_fields(struct docs *docs, const struct schema_dataset *dataset,
                         const struct yaml_node *fields)
{
    const char *const heads[] = { message(MSG_DOCS_FIELD),      message(MSG_DOCS_FROM),
                                  message(MSG_DOCS_CHAIN),      message(MSG_DOCS_CODES),
                                  message(MSG_DOCS_NULL_RULES), message(MSG_DOCS_FILTERABLE) };

    schema_page_table(docs->page, heads, 6);
    for (size_t i = 0; i < yaml_count(fields); i++) {
        const struct yaml_node *field = yaml_value(fields, i);
        const struct yaml_node *codes = dictionary_part(field, "codes");
        const char *name = yaml_text(yaml_key(fields, i));
        const char *cells[6] = {
            name,
            origin(docs, field),
            node_text(docs, dictionary_part(field, "normalise")),
            codes == NULL                      ? ""
            : yaml_kind(codes) == YAML_MAPPING ? message(MSG_DOCS_BELOW)
                                               : yaml_text(codes),
            null_rule(docs, field),
            message(filterable(dataset, name) ? MSG_DOCS_YES : MSG_DOCS_NO),
        };
        schema_page_row(docs->page, cells, 0x1f);
    }
    schema_page_table_end(docs->page);
    for (size_t i = 0; i < yaml_count(fields); i++) {
        const struct yaml_node *codes = dictionary_part(yaml_value(fields, i), "codes");
        if (codes != NULL && yaml_kind(codes) == YAML_MAPPING)
            write_inline(docs, yaml_text(yaml_key(fields, i)), codes);
    }
}

static void write_dataset(struct docs *docs, const struct schema_dataset *dataset)
{
    static const enum message_id sharing[] = { MSG_DOCS_NO, MSG_DOCS_SHARING_OPEN,
                                               MSG_DOCS_SHARING_CONDITIONAL,
                                               MSG_DOCS_SHARING_DENIED };
    const struct dictionary_dataset *document = dictionary_find(docs->dictionary, dataset->name);
    const struct yaml_node *root = document->root, *schema = yaml_get(root, "schema");
    const char *key = "", *table = node_text(docs, yaml_get(root, "table"));
    bool zh = messages_language() == LANGUAGE_ZH;

    for (size_t i = 0; i < dataset->key_count; i++)
        key = arena_format(&docs->arena, "%s%s%s", key, i > 0 ? ", " : "", dataset->key[i]->name);
    if (schema != NULL)
        table = arena_format(&docs->arena, "%s.%s", yaml_text(schema), table);
    if (table[0] == '\0')
        table = node_text(docs, yaml_get(root, "query"));
    schema_page_heading(docs->page, 3,
                        arena_format(&docs->arena, zh ? "%s　%s" : "%s: %s", dataset->name,
                                     zh ? dataset->title_zh : dataset->title));
    schema_page_table(docs->page,
                      (const char *const[]){ message(MSG_DOCS_PROPERTY), message(MSG_DOCS_VALUE) },
                      2);
    const char *const rows[][2] = {
        { message(MSG_DOCS_OWNER), dataset->department },
        { message(MSG_DOCS_TYPE), dataset->type->full_name },
        { message(MSG_DOCS_SOURCE), dataset->source },
        { message(MSG_DOCS_TABLE), table },
        { message(MSG_DOCS_KEY), key },
        { message(MSG_DOCS_SHARING), message(sharing[dataset->sharing]) },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        schema_page_row(docs->page, rows[i], 0x2);
    schema_page_table_end(docs->page);
    if (yaml_get(root, "fields") != NULL)
        write_fields(docs, dataset, yaml_get(root, "fields"));
}

/* --- pages --------------------------------------------------------------------------------------
 */

static void write_page(struct docs *docs)
{
    char digest[2 * SCHEMA_DIGEST_BYTES + 1];
    const char *argument = digest;
    char *text;

    hex_encode(schema_bundle_digest(docs->bundle), SCHEMA_DIGEST_BYTES, digest);
    schema_page_heading(docs->page, 1, message(MSG_DOCS_TITLE));
    text = message_fill(MSG_DOCS_DIGEST, &argument, 1);
    schema_page_paragraph(docs->page, text);
    free(text);
    schema_page_heading(docs->page, 2, message(MSG_DOCS_DATASETS));
    for (size_t i = 0; i < schema_bundle_count(docs->bundle); i++) {
        collect_type(docs, schema_bundle_at(docs->bundle, i)->type);
        write_dataset(docs, schema_bundle_at(docs->bundle, i));
    }
    schema_page_heading(docs->page, 2, message(MSG_DOCS_TYPES));
    for (size_t i = 0; i < docs->type_count; i++)
        write_type(docs, docs->types[i]);
    for (size_t i = 0; i < docs->enum_count; i++)
        write_enum(docs, docs->enums[i]);
    if (dictionary_codes_count(docs->dictionary) == 0)
        return;
    schema_page_heading(docs->page, 2, message(MSG_DOCS_CODE_TABLES));
    for (size_t i = 0; i < dictionary_codes_count(docs->dictionary); i++)
        write_csv(docs, dictionary_codes_at(docs->dictionary, i));
}

/* One page; to a file, or to standard output when `path` is NULL. */
static int make_page(const struct schema_bundle *bundle, const struct dictionary *dictionary,
                     enum language language, bool html, const char *path)
{
    enum language spoken = messages_language();
    struct docs *docs = mem_zero(sizeof *docs);
    int status = EXIT_OK;

    arena_init(&docs->arena);
    docs->bundle = bundle;
    docs->dictionary = dictionary;
    messages_set_language(language);
    docs->page =
        schema_page_new(html, language == LANGUAGE_ZH ? "zh-CN" : "en", message(MSG_DOCS_TITLE));
    write_page(docs);
    messages_set_language(spoken);
    struct slice text = schema_page_end(docs->page);
    if (schema_page_full(docs->page)) {
        COMPLAIN(MSG_SCHEMA_DOCS_TOO_LARGE);
        status = EXIT_FAILED;
    } else if (path != NULL) {
        status = schema_place_write(path, text, true);
    } else if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0) {
        status = EXIT_FAILED;
    }
    schema_page_free(&docs->page);
    arena_fini(&docs->arena);
    free(docs);
    return status;
}

static int make_folder(const struct schema_bundle *bundle, const struct dictionary *dictionary,
                       const char *folder)
{
    static const struct {
        const char *name;
        enum language language;
        bool html;
    } pages[] = {
        { "dictionary.md", LANGUAGE_EN, false },
        { "dictionary.zh-CN.md", LANGUAGE_ZH, false },
        { "dictionary.html", LANGUAGE_EN, true },
        { "dictionary.zh-CN.html", LANGUAGE_ZH, true },
    };
    int status = EXIT_OK;

    for (size_t i = 0; i < sizeof pages / sizeof pages[0] && status == EXIT_OK; i++) {
        char *path = mem_format("%s/%s", folder, pages[i].name);
        status = make_page(bundle, dictionary, pages[i].language, pages[i].html, path);
        free(path);
    }
    return status;
}

int schema_docs(struct cli *cli)
{
    const char *folder = cli_option_text(cli, OPT_OUT, NULL);
    char *dir = schema_place_dir(cli, 0);
    struct schema_bundle *bundle = schema_place_bundle(cli, dir);
    struct dictionary *dictionary = bundle != NULL ? schema_place_dictionary(dir) : NULL;
    int status = EXIT_FAILED;

    if (dictionary != NULL && folder != NULL)
        status = make_folder(bundle, dictionary, folder);
    else if (dictionary != NULL)
        status = make_page(bundle, dictionary, messages_language(), false, NULL);
    dictionary_free(&dictionary);
    schema_bundle_free(&bundle);
    free(dir);
    return status;
}
