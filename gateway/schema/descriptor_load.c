/* Reads a FileDescriptorSet into a struct schema_set, in two passes: names first, so that types may
 * be used before they are declared, then fields, services and comments. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "schema/descriptor_internal.h"
#include "schema/descriptor_options.h"
#include "schema/wire_read.h"

typedef Google__Protobuf__FileDescriptorSet set_proto;
typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;
typedef Google__Protobuf__MethodDescriptorProto method_proto;

enum { TYPE_GROUP = 10, LABEL_OPTIONAL = 1, LABEL_REPEATED = 3, SHOWN_NAME_BYTES_MAX = 160 };

struct item {
    struct schema_message *message;
    const message_proto *proto;
    bool proto3;
};

struct load {
    struct schema_set *set;
    set_proto *proto;
    struct item *items; /* one for each message */
    size_t item_cap;
    size_t service_total;
    struct err *err;
};

static int invalid(const struct load *load, const char *name, const char *what)
{
    size_t len = strlen(name);
    if (len > SHOWN_NAME_BYTES_MAX) /* file names may be Chinese: cut between characters */
        for (len = SHOWN_NAME_BYTES_MAX; len > 0 && ((uint8_t)name[len] & 0xC0) == 0x80;)
            len--;
    return err_set(load->err, ERR_INVALID_ARGUMENT, "DESCRIPTOR_INVALID",
                   "The descriptor set cannot be used: \"%.*s\": %s.", (int)len, name, what);
}

/* --- names ---------------------------------------------------------------------------------------
 */

static bool is_identifier(const char *name, bool dotted)
{
    bool first = true;
    for (const char *p = name; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        if (dotted && *p == '.' && !first) {
            first = true;
            continue;
        }
        if (!letter && (first || *p < '0' || *p > '9'))
            return false;
        first = false;
    }
    return !first;
}

/* "<scope>.<name>" checked and kept, or NULL. */
static const char *full_name(const struct load *load, const char *scope, const char *name)
{
    if (name == NULL || !is_identifier(name, false)) {
        (void)invalid(load, scope, "something in it has no name, or one that is not an identifier");
        return NULL;
    }
    if (strlen(scope) + strlen(name) + 1 > SCHEMA_NAME_BYTES_MAX) {
        (void)invalid(load, name, "its full name is too long");
        return NULL;
    }
    return arena_format(&load->set->arena, "%s%s%s", scope, scope[0] != '\0' ? "." : "", name);
}

static int declare(const struct load *load, const char *name, enum symbol_kind kind, void *object,
                   const char *file)
{
    struct symbol *symbol = arena_alloc(&load->set->arena, sizeof *symbol);
    *symbol = (struct symbol){ .kind = kind, .object = object, .file = file };
    if (!strmap_set(&load->set->symbols, name, symbol))
        return invalid(load, name, "it is declared twice");
    return 0;
}

/* What a reference such as ".pkg.Name" stands for. protoc always writes the leading dot. */
static void *resolve(const struct load *load, const char *reference, enum symbol_kind kind)
{
    if (reference == NULL || reference[0] != '.')
        return NULL;
    const struct symbol *symbol = strmap_get(&load->set->symbols, reference + 1);
    return symbol != NULL && symbol->kind == kind ? symbol->object : NULL;
}

static const char *keep(const struct load *load, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(&load->set->arena, text) : "";
}

/* --- first pass: what there is -------------------------------------------------------------------
 */

static int declare_enum(struct load *load, const enum_proto *proto, const char *scope,
                        const char *file)
{
    struct schema_enum *made = arena_alloc(&load->set->arena, sizeof *made);
    made->full_name = full_name(load, scope, proto->name);
    if (made->full_name == NULL)
        return -1;
    if (proto->n_value == 0 || proto->n_value > SCHEMA_ENUM_VALUES_MAX)
        return invalid(load, made->full_name, "an enum needs at least one value and not too many");
    struct schema_enum_value *values =
        arena_array(&load->set->arena, proto->n_value, sizeof *values);
    struct strmap seen;
    strmap_init(&seen);
    int result = 0;
    for (size_t i = 0; i < proto->n_value && result == 0; i++) {
        const char *name = proto->value[i]->name;
        if (name == NULL || !is_identifier(name, false) || !proto->value[i]->has_number) {
            result = invalid(load, made->full_name, "one of its values has no name or number");
            break;
        }
        values[i] = (struct schema_enum_value){ keep(load, name), proto->value[i]->number };
        if (!strmap_set(&seen, values[i].name, &values[i]))
            result = invalid(load, made->full_name, "two of its values have the same name");
    }
    strmap_fini(&seen);
    made->values = values;
    made->value_count = proto->n_value;
    return result < 0 ? -1 : declare(load, made->full_name, SYMBOL_ENUM, made, file);
}

static int add_item(struct load *load, struct item item)
{
    size_t count = load->set->message_count;
    if (count == SCHEMA_MESSAGES_MAX)
        return invalid(load, item.message->full_name, "there are too many messages in the set");
    if (count == load->item_cap) {
        load->item_cap = count > 0 ? 2 * count : 64;
        load->items = mem_resize(load->items, load->item_cap * sizeof *load->items);
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): grown above */
    load->items[load->set->message_count++] = item;
    return 0;
}

/* Recursion is bounded by schema_set_check_bytes. */
static int declare_message(struct load *load, const message_proto *proto, const char *scope,
                           const char *file, bool proto3)
{
    struct schema_message *made = arena_alloc(&load->set->arena, sizeof *made);
    made->full_name = full_name(load, scope, proto->name);
    if (made->full_name == NULL)
        return -1;
    made->file = file;
    if (proto->n_field > SCHEMA_FIELDS_MAX)
        return invalid(load, made->full_name, "it has too many fields");
    if (proto->options != NULL && proto->options->message_set_wire_format)
        return invalid(load, made->full_name, "message sets are not supported");
    made->map_entry = proto->options != NULL && proto->options->map_entry;
    if (declare(load, made->full_name, SYMBOL_MESSAGE, made, file) < 0 ||
        add_item(load, (struct item){ made, proto, proto3 }) < 0)
        return -1;
    for (size_t i = 0; i < proto->n_enum_type; i++)
        if (declare_enum(load, proto->enum_type[i], made->full_name, file) < 0)
            return -1;
    for (size_t i = 0; i < proto->n_nested_type; i++)
        if (declare_message(load, proto->nested_type[i], made->full_name, file, proto3) < 0)
            return -1;
    return 0;
}

static int declare_service(struct load *load, const service_proto *proto, const char *scope,
                           const char *file)
{
    struct schema_service *made = &load->set->services[load->set->service_count++];
    made->full_name = full_name(load, scope, proto->name);
    made->file = file;
    if (made->full_name == NULL || declare(load, made->full_name, SYMBOL_SERVICE, made, file) < 0)
        return -1;
    struct schema_method *methods =
        arena_array(&load->set->arena, proto->n_method, sizeof *methods);
    made->methods = methods;
    made->method_count = proto->n_method;
    for (size_t i = 0; i < proto->n_method; i++) {
        const char *name = full_name(load, made->full_name, proto->method[i]->name);
        if (name == NULL || declare(load, name, SYMBOL_METHOD, &methods[i], file) < 0)
            return -1;
    }
    return 0;
}

static int declare_file(struct load *load, const file_proto *proto, const char *file)
{
    const char *package = proto->package != NULL ? proto->package : "";
    if (package[0] != '\0' &&
        (!is_identifier(package, true) || strlen(package) > SCHEMA_NAME_BYTES_MAX))
        return invalid(load, file, "its package is not a dotted name");
    bool proto3 = proto->syntax != NULL && strcmp(proto->syntax, "proto3") == 0;
    if (!proto3 && proto->syntax != NULL && proto->syntax[0] != '\0' &&
        strcmp(proto->syntax, "proto2") != 0)
        return invalid(load, file, "its syntax is neither proto2 nor proto3");
    for (size_t i = 0; i < proto->n_enum_type; i++)
        if (declare_enum(load, proto->enum_type[i], package, file) < 0)
            return -1;
    for (size_t i = 0; i < proto->n_message_type; i++)
        if (declare_message(load, proto->message_type[i], package, file, proto3) < 0)
            return -1;
    for (size_t i = 0; i < proto->n_service; i++)
        if (declare_service(load, proto->service[i], package, file) < 0)
            return -1;
    return 0;
}

/* --- second pass: fields -------------------------------------------------------------------------
 */

/* "id_number" -> "idNumber", as protoc derives it. */
static const char *derive_json_name(const struct load *load, const char *name)
{
    char *made = arena_alloc(&load->set->arena, strlen(name) + 1);
    size_t len = 0;
    bool upper = false;
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '_') {
            upper = true;
            continue;
        }
        made[len++] = upper && *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        upper = false;
    }
    return made;
}

static bool is_packable(enum schema_type type)
{
    return type != SCHEMA_STRING && type != SCHEMA_BYTES && type != SCHEMA_MESSAGE;
}

static int resolve_type(const struct load *load, const struct schema_message *owner,
                        const field_proto *proto, struct schema_field *field)
{
    if (!proto->has_type || (int)proto->type < SCHEMA_DOUBLE || (int)proto->type > SCHEMA_SINT64 ||
        (int)proto->type == TYPE_GROUP)
        return invalid(load, owner->full_name, "a field has no type, or is a group");
    field->type = (enum schema_type)proto->type;
    if (field->type == SCHEMA_MESSAGE) {
        field->message = resolve(load, proto->type_name, SYMBOL_MESSAGE);
        field->map = field->repeated && field->message != NULL && field->message->map_entry;
        if (field->message == NULL)
            return invalid(load, proto->type_name != NULL ? proto->type_name : owner->full_name,
                           "this message type is not in the set; use --include_imports");
        if (field->message->map_entry && !field->repeated)
            return invalid(load, owner->full_name, "a map entry stands outside a map");
    }
    if (field->type == SCHEMA_ENUM) {
        field->enumeration = resolve(load, proto->type_name, SYMBOL_ENUM);
        if (field->enumeration == NULL)
            return invalid(load, proto->type_name != NULL ? proto->type_name : owner->full_name,
                           "this enum type is not in the set; use --include_imports");
    }
    return 0;
}

static int fill_field(const struct load *load, const struct item *item, const field_proto *proto,
                      struct schema_field *field)
{
    const char *owner = item->message->full_name;
    if (proto->name == NULL || !is_identifier(proto->name, false) ||
        strlen(proto->name) > SCHEMA_NAME_BYTES_MAX)
        return invalid(load, owner, "a field has no name, or one that is not an identifier");
    if (!proto->has_number || proto->number < 1 || proto->number > WIRE_NUMBER_MAX)
        return invalid(load, owner, "a field number is not between 1 and 536870911");
    field->name = keep(load, proto->name);
    field->number = (uint32_t)proto->number;
    field->json_name = proto->json_name != NULL && proto->json_name[0] != '\0'
                           ? keep(load, proto->json_name)
                           : derive_json_name(load, field->name);
    if (strlen(field->json_name) > SCHEMA_NAME_BYTES_MAX)
        return invalid(load, owner, "the JSON name of a field is too long");
    if (!proto->has_label || (int)proto->label < LABEL_OPTIONAL ||
        (int)proto->label > LABEL_REPEATED)
        return invalid(load, owner, "a field is neither singular nor repeated");
    field->repeated = (int)proto->label == LABEL_REPEATED;
    field->comment = "";
    field->label_zh = "";
    if (resolve_type(load, item->message, proto, field) < 0)
        return -1;
    if (field->repeated && is_packable(field->type))
        field->packed = proto->options != NULL && proto->options->has_packed
                            ? proto->options->packed != 0
                            : item->proto3;
    field->has_presence = !field->repeated && (field->type == SCHEMA_MESSAGE || !item->proto3 ||
                                               proto->has_oneof_index || proto->proto3_optional);
    return schema_field_options(&load->set->arena, owner, proto, field, load->err);
}

/* Numbers the real oneofs; one that proto3 made up for `optional` has a single optional member. */
static int fill_oneofs(const struct load *load, const struct item *item,
                       struct schema_field *fields)
{
    const message_proto *proto = item->proto;
    int *real = mem_array(proto->n_oneof_decl + 1, sizeof *real);
    for (size_t i = 0; i < proto->n_field; i++) {
        const field_proto *field = proto->field[i];
        if (!field->has_oneof_index)
            continue;
        if (field->oneof_index < 0 || (size_t)field->oneof_index >= proto->n_oneof_decl ||
            fields[i].repeated) {
            free(real);
            return invalid(load, item->message->full_name, "a field is in a oneof that cannot be");
        }
        if (!field->proto3_optional)
            real[field->oneof_index] = 1;
    }
    int next = 0;
    for (size_t i = 0; i < proto->n_oneof_decl; i++)
        real[i] = real[i] == 1 ? next++ : -1;
    for (size_t i = 0; i < proto->n_field; i++)
        fields[i].oneof = proto->field[i]->has_oneof_index && !proto->field[i]->proto3_optional
                              ? real[proto->field[i]->oneof_index]
                              : -1;
    item->message->oneof_count = (size_t)next;
    free(real);
    return 0;
}

static int by_number(const void *left, const void *right)
{
    const struct schema_field *a = left;
    const struct schema_field *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static int check_unique(const struct load *load, const struct item *item)
{
    const struct schema_message *message = item->message;
    struct strmap names;
    struct strmap json_names;
    strmap_init(&names);
    strmap_init(&json_names);
    const char *wrong = NULL;
    for (size_t i = 0; i < message->field_count && wrong == NULL; i++) {
        const struct schema_field *field = &message->fields[i];
        if (i > 0 && field[-1].number == field->number)
            wrong = "two fields have the same number";
        else if (!strmap_set(&names, field->name, NULL))
            wrong = "two fields have the same name";
        else if (!strmap_set(&json_names, field->json_name, NULL) && item->proto3)
            wrong = "two fields have the same JSON name";
    }
    strmap_fini(&names);
    strmap_fini(&json_names);
    return wrong != NULL ? invalid(load, message->full_name, wrong) : 0;
}

static int check_map_entry(const struct load *load, const struct schema_message *entry)
{
    if (!entry->map_entry)
        return 0;
    const struct schema_field *fields = entry->fields;
    bool good = entry->field_count == 2 && fields[0].number == 1 && fields[1].number == 2 &&
                !fields[0].repeated && !fields[1].repeated && entry->oneof_count == 0;
    if (good) {
        enum schema_type key = fields[0].type;
        good = key != SCHEMA_MESSAGE && key != SCHEMA_BYTES && key != SCHEMA_ENUM &&
               key != SCHEMA_DOUBLE && key != SCHEMA_FLOAT;
    }
    return good ? 0
                : invalid(load, entry->full_name, "it is not a map entry as protoc writes them");
}

static int fill_message(const struct load *load, const struct item *item)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every message has an item */
    const message_proto *proto = item->proto;
    struct schema_message *message = item->message;
    struct schema_field *fields = arena_array(&load->set->arena, proto->n_field, sizeof *fields);
    for (size_t i = 0; i < proto->n_field; i++)
        if (fill_field(load, item, proto->field[i], &fields[i]) < 0)
            return -1;
    if (fill_oneofs(load, item, fields) < 0)
        return -1;
    if (proto->n_field > 1)
        qsort(fields, proto->n_field, sizeof *fields, by_number);
    for (size_t i = 0; i < proto->n_field; i++)
        fields[i].position = (uint32_t)i;
    message->fields = fields;
    message->field_count = proto->n_field;
    if (check_unique(load, item) < 0 || check_map_entry(load, message) < 0)
        return -1;
    for (size_t i = 0; i < message->field_count; i++) {
        if (fields[i].message_type_from == NULL)
            continue;
        const struct schema_field *type = schema_message_field(message, fields[i].message_type_from,
                                                               strlen(fields[i].message_type_from));
        if (fields[i].type != SCHEMA_BYTES || type == NULL || type->type != SCHEMA_STRING ||
            type->repeated)
            return invalid(load, message->full_name,
                           "message_type_from stands on bytes and names a sibling string");
    }
    return 0;
}

/* --- second pass: services and comments ----------------------------------------------------------
 */

static int fill_service(const struct load *load, const service_proto *proto,
                        struct schema_service *service)
{
    struct schema_method *methods = (struct schema_method *)(uintptr_t)service->methods;
    for (size_t i = 0; i < proto->n_method; i++) {
        const method_proto *method = proto->method[i];
        methods[i] = (struct schema_method){
            .name = keep(load, method->name),
            .path = arena_format(&load->set->arena, "/%s/%s", service->full_name, method->name),
            .input = resolve(load, method->input_type, SYMBOL_MESSAGE),
            .output = resolve(load, method->output_type, SYMBOL_MESSAGE),
            .client_streaming = method->client_streaming != 0,
            .server_streaming = method->server_streaming != 0,
        };
        if (methods[i].input == NULL || methods[i].output == NULL)
            return invalid(load, methods[i].path, "its request or answer type is not in the set");
    }
    return 0;
}

/* A comment without the blank that usually follows "//", and without its last line break. */
static const char *clean_comment(const struct load *load, const char *text)
{
    char *made = arena_alloc(&load->set->arena, strlen(text) + 1);
    size_t len = 0;
    for (const char *p = text; *p != '\0'; p++)
        if (*p != ' ' || (p != text && p[-1] != '\n'))
            made[len++] = *p;
    while (len > 0 && (made[len - 1] == '\n' || made[len - 1] == ' '))
        made[--len] = '\0';
    return made;
}

/* The field at a SourceCodeInfo path: 4, message, (3, nested)*, 2, field. */
static struct schema_field *field_at(const struct load *load, const file_proto *file,
                                     const int32_t *path, size_t len)
{
    if (len < 4 || len % 2 != 0 || path[0] != 4 || path[len - 2] != 2 || path[1] < 0 ||
        (size_t)path[1] >= file->n_message_type)
        return NULL;
    char name[SCHEMA_NAME_BYTES_MAX + 2];
    const message_proto *message = file->message_type[path[1]];
    const char *package = file->package != NULL ? file->package : "";
    int used = snprintf(name, sizeof name, ".%s%s%s", package, package[0] != '\0' ? "." : "",
                        message->name);
    for (size_t i = 2; i + 2 < len; i += 2) {
        if (path[i] != 3 || path[i + 1] < 0 || (size_t)path[i + 1] >= message->n_nested_type)
            return NULL;
        message = message->nested_type[path[i + 1]];
        used += snprintf(name + used, sizeof name - (size_t)used, ".%s", message->name);
    }
    if (path[len - 1] < 0 || (size_t)path[len - 1] >= message->n_field)
        return NULL;
    const struct schema_message *made = resolve(load, name, SYMBOL_MESSAGE);
    uint32_t number = (uint32_t)message->field[path[len - 1]]->number;
    /* The tables are const to everyone but their loader. */
    return made != NULL ? (struct schema_field *)(uintptr_t)schema_message_number(made, number)
                        : NULL;
}

static void fill_comments(const struct load *load, const file_proto *file)
{
    if (file->source_code_info == NULL)
        return;
    for (size_t i = 0; i < file->source_code_info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *at = file->source_code_info->location[i];
        if (at->leading_comments == NULL || at->leading_comments[0] == '\0')
            continue;
        struct schema_field *field = field_at(load, file, at->path, at->n_path);
        if (field != NULL)
            field->comment = clean_comment(load, at->leading_comments);
    }
}

/* --- files ---------------------------------------------------------------------------------------
 */

/* The n-th field 1 of the set's bytes is the n-th file: kept as it came, for reflection. */
static int find_files(const struct load *load, const uint8_t *data, size_t len)
{
    struct schema_set *set = load->set;
    set->files = arena_array(&set->arena, load->proto->n_file, sizeof *set->files);
    const uint8_t *end = data + len;
    struct wire_field wire;
    for (const uint8_t *p = data; p < end && (p = wire_next(p, end, &wire)) != NULL;) {
        if (wire.number != 1 || set->file_count == load->proto->n_file)
            continue;
        struct schema_file *file = &set->files[set->file_count];
        const char *name = load->proto->file[set->file_count]->name;
        if (name == NULL || name[0] == '\0' || strlen(name) > SCHEMA_NAME_BYTES_MAX)
            return invalid(load, "file", "a file has no name, or one that is too long");
        *file = (struct schema_file){
            .name = keep(load, name),
            .bytes = slice_of(wire.data, (size_t)wire.value),
            .index = set->file_count,
        };
        if (!strmap_set(&set->names, file->name, file))
            return invalid(load, file->name, "this file is in the set twice");
        set->file_count++;
    }
    return 0;
}

static int fill_imports(const struct load *load, size_t index)
{
    struct schema_set *set = load->set;
    const file_proto *proto = load->proto->file[index];
    const char **imports = arena_array(&set->arena, proto->n_dependency + 1, sizeof *imports);
    for (size_t i = 0; i < proto->n_dependency; i++) {
        const struct schema_file *file = strmap_get(&set->names, proto->dependency[i]);
        if (file == NULL)
            return invalid(load, proto->dependency[i],
                           "this import is not in the set; use --include_imports");
        imports[i] = file->name;
    }
    set->files[index].imports = imports;
    return 0;
}

static int build(struct load *load, const uint8_t *data, size_t len)
{
    struct schema_set *set = load->set;
    const set_proto *proto = load->proto;
    if (find_files(load, data, len) < 0)
        return -1;
    for (size_t i = 0; i < set->file_count; i++)
        load->service_total += proto->file[i]->n_service;
    set->services = arena_array(&set->arena, load->service_total, sizeof *set->services);
    for (size_t i = 0; i < set->file_count; i++)
        if (fill_imports(load, i) < 0 || declare_file(load, proto->file[i], set->files[i].name) < 0)
            return -1;
    for (size_t i = 0; i < set->message_count; i++)
        if (fill_message(load, &load->items[i]) < 0)
            return -1;
    for (size_t i = 0; i < set->message_count; i++)
        if (!schema_well_known_shape(load->items[i].message))
            return invalid(load, load->items[i].message->full_name,
                           "this well-known type does not have its well-known fields");
    size_t service = 0;
    for (size_t i = 0; i < set->file_count; i++) {
        for (size_t j = 0; j < proto->file[i]->n_service; j++)
            if (fill_service(load, proto->file[i]->service[j], &set->services[service++]) < 0)
                return -1;
        fill_comments(load, proto->file[i]);
    }
    return 0;
}

struct schema_set *schema_set_load(const uint8_t *data, size_t len, struct err *err)
{
    if (len == 0 || len > SCHEMA_SET_BYTES_MAX) {
        (void)err_set(err, ERR_INVALID_ARGUMENT, "DESCRIPTOR_INVALID",
                      "A descriptor set has 1 to %d bytes.", SCHEMA_SET_BYTES_MAX);
        return NULL;
    }
    if (schema_set_check_bytes(data, len, err) < 0)
        return NULL;
    struct schema_set *set = mem_zero(sizeof *set);
    arena_init(&set->arena);
    strmap_init(&set->symbols);
    strmap_init(&set->names);
    const uint8_t *copy = arena_dup(&set->arena, data, len);
    struct load load = { .set = set, .err = err };
    load.proto = google__protobuf__file_descriptor_set__unpack(NULL, len, copy);
    int result = load.proto == NULL ? invalid(&load, "file", "protobuf-c could not read it")
                                    : build(&load, copy, len);
    free(load.items);
    if (load.proto != NULL)
        google__protobuf__file_descriptor_set__free_unpacked(load.proto, NULL);
    if (result < 0)
        schema_set_free(&set);
    return set;
}
