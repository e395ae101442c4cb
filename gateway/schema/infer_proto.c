/* The draft of a canonical type: one message whose fields follow the table's columns. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "schema/infer.h"
#include "sluice/options/field.pb-c.h"

#define SEMANTIC(name_) SLUICE__OPTIONS__SEMANTIC_TYPE__##name_

/* "daily-reports" -> "DailyReports". */
static const char *camel(struct arena *arena, const char *name)
{
    char *text = arena_alloc(arena, strlen(name) + 2);
    size_t out = 0;
    bool upper = true;

    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '-' || *at == '_') {
            upper = true;
            continue;
        }
        if (out == 0 && *at >= '0' && *at <= '9')
            text[out++] = 'N'; /* a message's name begins with a letter */
        text[out++] = upper ? (char)toupper((unsigned char)*at) : *at;
        upper = false;
    }
    return text;
}

/* Parts of a package are identifiers. */
static const char *package_part(struct arena *arena, const char *name)
{
    char *text = arena_format(arena, "%s%s", name[0] >= '0' && name[0] <= '9' ? "n" : "", name);

    for (char *at = text; *at != '\0'; at++)
        *at = *at == '-' ? '_' : *at;
    return text;
}

const char *infer_type_name(const struct infer_names *names, struct arena *arena)
{
    return arena_format(arena, "%s.%s.v1.%s", package_part(arena, names->department),
                        package_part(arena, names->dataset), camel(arena, names->dataset));
}

const char *infer_proto_type(const struct infer_guess *guess)
{
    static const char *const types[][2] = {
        { "smallint", "int32" },
        { "integer", "int32" },
        { "bigint", "int64" },
        { "boolean", "bool" },
        { "real", "float" },
        { "double", "double" },
        { "bytea", "bytes" },
        { "timestamp", "google.protobuf.Timestamp" },
        { "timestamptz", "google.protobuf.Timestamp" },
    };

    if (guess->chain != NULL && strcmp(guess->chain, "[bool]") == 0)
        return "bool";
    if (guess->semantic == SEMANTIC(MONEY) || (guess->chain != NULL && guess->integer))
        return "int64";
    if (guess->chain != NULL)
        return "string";
    if (strchr(guess->mapping_type, '[') != NULL)
        return "repeated string";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i][0], guess->mapping_type) == 0)
            return types[i][1];
    return "string"; /* text, numeric (exact), date, uuid, json */
}

/* Careful until somebody who knows lowers it. */
static const char *sensitivity(const struct infer_guess *guess)
{
    switch (guess->semantic) {
    case SEMANTIC(CREDIT_CODE):
    case SEMANTIC(ORG_CODE):
    case SEMANTIC(DIVISION_CODE):
    case SEMANTIC(PLACE_NAME):
        return "GENERAL_2";
    case SEMANTIC(CITIZEN_ID):
    case SEMANTIC(FREE_TEXT):
        return "GENERAL_4";
    default:
        return "GENERAL_3";
    }
}

static bool has_chinese(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0xe3)
            return true;
    return false;
}

/* In quotes, as protoc reads it; line feeds and the like become blanks. */
static void put_string(struct buf *out, const char *text)
{
    (void)buf_append_byte(out, '"');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            (void)buf_append_byte(out, '\\');
        (void)buf_append_byte(out, (unsigned char)*at < 0x20 ? ' ' : (uint8_t)*at);
    }
    (void)buf_append_byte(out, '"');
}

static void put_comment(struct buf *out, const char *indent, const char *text)
{
    (void)buf_append_format(out, "%s// ", indent);
    for (const char *at = text; *at != '\0'; at++)
        (void)buf_append_byte(out, (unsigned char)*at < 0x20 ? ' ' : (uint8_t)*at);
    (void)buf_append_byte(out, '\n');
}

static void put_field(struct buf *out, const struct infer_column *column,
                      const struct infer_guess *guess, const char *name, size_t number, size_t key)
{
    const ProtobufCEnumValue *semantic = protobuf_c_enum_descriptor_get_value(
        &sluice__options__semantic_type__descriptor, guess->semantic);
    const char *label = has_chinese(column->comment) ? column->comment
                        : has_chinese(column->name)  ? column->name
                                                     : "";

    if (guess->semantic == SEMANTIC(MONEY))
        put_comment(out, "  ", "In fen.");
    else if (guess->semantic == SEMANTIC(DATE))
        put_comment(out, "  ", "Calendar date, YYYY-MM-DD.");
    else if (column->comment[0] != '\0')
        put_comment(out, "  ", column->comment);
    (void)buf_append_format(out, "  %s %s = %zu [\n", infer_proto_type(guess), name, number);
    if (key > 0)
        (void)buf_append_format(out, "    (sluice.options.key) = %zu,\n", key);
    if (guess->semantic != 0 && semantic != NULL)
        (void)buf_append_format(out, "    (sluice.options.semantic) = %s,\n", semantic->name);
    (void)buf_append_format(out, "    (sluice.options.sensitivity) = %s", sensitivity(guess));
    if (label[0] != '\0') {
        (void)buf_append_str(out, ",\n    (sluice.options.label_zh) = ");
        put_string(out, label);
    }
    (void)buf_append_str(out, "\n  ];\n");
}

void infer_put_proto(struct infer_draft *draft, const struct infer_table *table,
                     const struct infer_guess *guesses, const char *const *fields,
                     const struct infer_names *names, struct arena *arena)
{
    struct buf *out = &draft->proto;
    const char *department = package_part(arena, names->department);
    const char *dataset = package_part(arena, names->dataset);
    bool timestamps = false;

    for (size_t i = 0; i < table->column_count; i++)
        timestamps = timestamps || (fields[i][0] != '\0' &&
                                    strstr(infer_proto_type(&guesses[i]), "Timestamp") != NULL);
    draft->proto_file = arena_format(arena, "%s/%s/v1/%s.proto", department, dataset, dataset);
    (void)buf_append_str(out, "syntax = \"proto3\";\n\n");
    put_comment(out, "",
                arena_format(arena, "Drafted by \"sluice schema infer\" from %s.%s.", table->schema,
                             table->table));
    (void)buf_append_format(out, "package %s.%s.v1;\n\n", department, dataset);
    if (timestamps)
        (void)buf_append_str(out, "import \"google/protobuf/timestamp.proto\";\n");
    (void)buf_append_str(out, "import \"sluice/options/field.proto\";\n\n");
    if (table->comment[0] != '\0')
        put_comment(out, "", table->comment);
    (void)buf_append_format(out, "message %s {\n", camel(arena, names->dataset));
    for (size_t i = 0, number = 1; i < table->column_count; i++) {
        size_t key = 0;
        for (size_t k = 0; k < table->key_count; k++)
            key = table->key[k] == i ? k + 1 : key;
        if (fields[i][0] != '\0')
            put_field(out, &table->columns[i], &guesses[i], fields[i], number++, key);
    }
    (void)buf_append_str(out, "}\n");
}
