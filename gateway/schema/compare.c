/* Canonical types: two descriptor sets, message by message. */
#include "schema/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "schema/descriptor_options.h"
#include "sluice/options/field.pb-c.h"

typedef Google__Protobuf__FileDescriptorSet FileSet;
typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__DescriptorProto Message;
typedef Google__Protobuf__FieldDescriptorProto Field;
typedef Google__Protobuf__EnumDescriptorProto Enum;
typedef Google__Protobuf__EnumValueDescriptorProto EnumValue;

struct side {
    FileSet *files;
    struct strmap messages; /* full name -> Message */
    struct strmap enums;    /* full name -> Enum */
    const char **names;     /* of messages and enums, in file order */
    size_t count;
};

struct comparison {
    struct arena *arena;
    struct side before, after;
    compare_fn tell;
    void *arg;
};

static void tell(struct comparison *c, const char *subject, const char *item, const char *what,
                 const char *before, const char *after, bool breaking)
{
    struct compare_change change = { .subject = subject,
                                     .item = item,
                                     .what = what,
                                     .before = before != NULL ? before : "",
                                     .after = after != NULL ? after : "",
                                     .breaking = breaking };
    c->tell(c->arg, &change);
}

/* --- reading a side -----------------------------------------------------------------------------
 */

static void add_name(struct side *side, const char *name)
{
    if ((side->count & (side->count - 1)) == 0) /* grows at powers of two */
        side->names =
            mem_resize(side->names, (side->count == 0 ? 1 : 2 * side->count) * sizeof *side->names);
    side->names[side->count++] = name;
}

static const char *join(struct arena *arena, const char *scope, const char *name)
{
    return scope[0] == '\0' ? arena_strdup(arena, name) : arena_format(arena, "%s.%s", scope, name);
}

static void index_enum(struct arena *arena, struct side *side, const char *scope, Enum *one)
{
    const char *name = join(arena, scope, one->name != NULL ? one->name : "");

    if (strmap_set(&side->enums, name, one))
        add_name(side, name);
}

static void index_message(struct arena *arena, struct side *side, const char *scope, Message *one,
                          int depth)
{
    const char *name = join(arena, scope, one->name != NULL ? one->name : "");

    if (!strmap_set(&side->messages, name, one) || depth > 32)
        return;
    add_name(side, name);
    for (size_t i = 0; i < one->n_nested_type; i++)
        index_message(arena, side, name, one->nested_type[i], depth + 1);
    for (size_t i = 0; i < one->n_enum_type; i++)
        index_enum(arena, side, name, one->enum_type[i]);
}

/* Types that come with protobuf and with the gateway change with them, not with a department. */
static bool foreign(const File *file)
{
    const char *package = file->package != NULL ? file->package : "";
    return strncmp(package, "google.protobuf", 15) == 0 || strncmp(package, "sluice.", 7) == 0;
}

static int read_side(struct arena *arena, struct side *side, struct slice bytes, struct err *err)
{
    strmap_init(&side->messages);
    strmap_init(&side->enums);
    /* The loader knows every limit and every malformed shape; it says what is wrong. */
    struct schema_set *checked = schema_set_load(bytes.data, bytes.len, err);
    if (checked == NULL)
        return -1;
    schema_set_free(&checked);
    side->files = google__protobuf__file_descriptor_set__unpack(NULL, bytes.len, bytes.data);
    if (side->files == NULL)
        return err_set(err, ERR_INVALID_ARGUMENT, "DESCRIPTOR_INVALID",
                       "The descriptor set cannot be read.");
    for (size_t i = 0; i < side->files->n_file; i++) {
        const File *file = side->files->file[i];
        const char *package = file->package != NULL ? file->package : "";
        if (foreign(file))
            continue;
        for (size_t j = 0; j < file->n_message_type; j++)
            index_message(arena, side, package, file->message_type[j], 0);
        for (size_t j = 0; j < file->n_enum_type; j++)
            index_enum(arena, side, package, file->enum_type[j]);
    }
    return 0;
}

static void free_side(struct side *side)
{
    if (side->files != NULL)
        google__protobuf__file_descriptor_set__free_unpacked(side->files, NULL);
    strmap_fini(&side->messages);
    strmap_fini(&side->enums);
    free(side->names);
}

/* --- fields -------------------------------------------------------------------------------------
 */

static const char *type_text(struct comparison *c, const Field *field)
{
    static const char *const names[] = { "",         "double",   "float",   "int64",  "uint64",
                                         "int32",    "fixed64",  "fixed32", "bool",   "string",
                                         "group",    "message",  "bytes",   "uint32", "enum",
                                         "sfixed32", "sfixed64", "sint32",  "sint64" };
    const char *named = field->type_name != NULL ? field->type_name : "";

    if (named[0] != '\0')
        return arena_strdup(c->arena, named + (named[0] == '.'));
    return field->type >= 1 && field->type <= 18 ? names[field->type] : "unknown";
}

static const char *label_text(struct comparison *c, const Message *message, const Field *field)
{
    if (field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED)
        return "repeated";
    if (field->has_oneof_index && field->oneof_index >= 0 &&
        (size_t)field->oneof_index < message->n_oneof_decl)
        return arena_format(c->arena, "oneof %s", message->oneof_decl[field->oneof_index]->name);
    return "singular";
}

static const Field *field_by_number(const Message *message, int32_t number)
{
    for (size_t i = 0; i < message->n_field; i++)
        if (message->field[i]->number == number)
            return message->field[i];
    return NULL;
}

static const Field *field_by_name(const Message *message, const char *name)
{
    for (size_t i = 0; i < message->n_field; i++)
        if (strcmp(message->field[i]->name, name) == 0)
            return message->field[i];
    return NULL;
}

static bool reserved(const Message *message, int32_t number, const char *name)
{
    bool number_kept = false, name_kept = false;

    for (size_t i = 0; i < message->n_reserved_range; i++)
        number_kept = number_kept || (number >= message->reserved_range[i]->start &&
                                      number < message->reserved_range[i]->end);
    for (size_t i = 0; i < message->n_reserved_name; i++)
        name_kept = name_kept || strcmp(message->reserved_name[i], name) == 0;
    return number_kept && name_kept;
}

static const char *enum_name(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found != NULL ? found->name : "?";
}

/* The options of a field that the loader has read already: they cannot fail now. */
static struct schema_field options_of(struct comparison *c, const Field *proto)
{
    struct schema_field field = { .label_zh = "" };
    struct err err = ERR_INIT;

    (void)schema_field_options(c->arena, "", proto, &field, &err);
    return field;
}

/* Unspecified is treated as GENERAL_4 (field.proto). */
static int guard_level(int sensitivity)
{
    return sensitivity == SLUICE__OPTIONS__SENSITIVITY__SENSITIVITY_UNSPECIFIED
               ? SLUICE__OPTIONS__SENSITIVITY__GENERAL_4
               : sensitivity;
}

static void compare_options(struct comparison *c, const char *subject, const Field *a,
                            const Field *b)
{
    const struct schema_field before = options_of(c, a), after = options_of(c, b);
    const ProtobufCEnumDescriptor *semantics = &sluice__options__semantic_type__descriptor;
    const ProtobufCEnumDescriptor *levels = &sluice__options__sensitivity__descriptor;

    if (before.key != after.key)
        tell(c, subject, a->name, "KEY_CHANGED", arena_format(c->arena, "%u", before.key),
             arena_format(c->arena, "%u", after.key), true);
    if (before.semantic != after.semantic)
        tell(c, subject, a->name, "SEMANTIC_CHANGED", enum_name(semantics, before.semantic),
             enum_name(semantics, after.semantic), true);
    if (guard_level(before.sensitivity) != guard_level(after.sensitivity)) {
        bool lowered = guard_level(after.sensitivity) < guard_level(before.sensitivity);
        tell(c, subject, a->name, lowered ? "SENSITIVITY_LOWERED" : "SENSITIVITY_RAISED",
             enum_name(levels, before.sensitivity), enum_name(levels, after.sensitivity), lowered);
    }
    if (strcmp(before.label_zh != NULL ? before.label_zh : "",
               after.label_zh != NULL ? after.label_zh : "") != 0)
        tell(c, subject, a->name, "LABEL_CHANGED", before.label_zh, after.label_zh, false);
}

static void compare_field(struct comparison *c, const char *subject, const Message *old,
                          const Message *new, const Field *a, const Field *b)
{
    const char *types[2] = { type_text(c, a), type_text(c, b) };
    const char *labels[2] = { label_text(c, old, a), label_text(c, new, b) };

    if (strcmp(a->name, b->name) != 0) {
        bool moved = field_by_name(new, a->name) != NULL || strcmp(types[0], types[1]) != 0;
        tell(c, subject, a->name, moved ? "NUMBER_REUSED" : "FIELD_RENAMED",
             arena_format(c->arena, "%s = %d", a->name, a->number),
             arena_format(c->arena, "%s = %d", b->name, b->number), true);
        return;
    }
    if (strcmp(types[0], types[1]) != 0)
        tell(c, subject, a->name, "FIELD_TYPE_CHANGED", types[0], types[1], true);
    if (strcmp(labels[0], labels[1]) != 0)
        tell(c, subject, a->name, "FIELD_LABEL_CHANGED", labels[0], labels[1], true);
    if (a->json_name != NULL && b->json_name != NULL && strcmp(a->json_name, b->json_name) != 0)
        tell(c, subject, a->name, "JSON_NAME_CHANGED", a->json_name, b->json_name, true);
    compare_options(c, subject, a, b);
}

static void compare_message(struct comparison *c, const char *name, const Message *old,
                            const Message *new)
{
    for (size_t i = 0; i < old->n_field; i++) {
        const Field *a = old->field[i], *b = field_by_number(new, a->number);
        const Field *same_name = field_by_name(new, a->name);

        if (b != NULL)
            compare_field(c, name, old, new, a, b);
        else if (same_name != NULL)
            tell(c, name, a->name, "FIELD_RENUMBERED", arena_format(c->arena, "%d", a->number),
                 arena_format(c->arena, "%d", same_name->number), true);
        else
            tell(c, name, a->name, "FIELD_REMOVED",
                 arena_format(c->arena, "%s %s = %d", type_text(c, a), a->name, a->number),
                 reserved(new, a->number, a->name) ? "reserved" : "",
                 !reserved(new, a->number, a->name));
    }
    for (size_t i = 0; i < new->n_field; i++) {
        const Field *b = new->field[i];
        bool known = field_by_number(old, b->number) != NULL || field_by_name(old, b->name) != NULL;
        const char *text =
            arena_format(c->arena, "%s %s = %d", type_text(c, b), b->name, b->number);

        if (known)
            continue;
        if (reserved(old, b->number, b->name))
            tell(c, name, b->name, "NUMBER_REUSED", "reserved", text, true);
        else if (options_of(c, b).key != 0)
            tell(c, name, b->name, "KEY_CHANGED", "0",
                 arena_format(c->arena, "%u", options_of(c, b).key), true);
        else
            tell(c, name, b->name, "FIELD_ADDED", "", text, false);
    }
}

static const EnumValue *value_by_name(const Enum *type, const char *name)
{
    for (size_t i = 0; i < type->n_value; i++)
        if (strcmp(type->value[i]->name, name) == 0)
            return type->value[i];
    return NULL;
}

static void compare_enum(struct comparison *c, const char *name, const Enum *old, const Enum *new)
{
    for (size_t i = 0; i < old->n_value; i++) {
        const EnumValue *a = old->value[i], *b = value_by_name(new, a->name);
        const char *before = arena_format(c->arena, "%s = %d", a->name, a->number);

        if (b == NULL)
            tell(c, name, a->name, "ENUM_VALUE_REMOVED", before, "", true);
        else if (a->number != b->number)
            tell(c, name, a->name, "ENUM_VALUE_RENUMBERED", before,
                 arena_format(c->arena, "%s = %d", b->name, b->number), true);
    }
    for (size_t i = 0; i < new->n_value; i++)
        if (value_by_name(old, new->value[i]->name) == NULL)
            tell(c, name, new->value[i]->name, "ENUM_VALUE_ADDED", "",
                 arena_format(c->arena, "%s = %d", new->value[i]->name, new->value[i]->number),
                 false);
}

static void compare_sides(struct comparison *c)
{
    for (size_t i = 0; i < c->before.count; i++) {
        const char *name = c->before.names[i];
        const Message *old = strmap_get(&c->before.messages, name);
        const Enum *old_enum = strmap_get(&c->before.enums, name);
        const Message *new = strmap_get(&c->after.messages, name);
        const Enum *new_enum = strmap_get(&c->after.enums, name);

        if (old != NULL && new != NULL)
            compare_message(c, name, old, new);
        else if (old != NULL)
            tell(c, name, "", "MESSAGE_REMOVED", name, "", true);
        else if (new_enum != NULL)
            compare_enum(c, name, old_enum, new_enum);
        else
            tell(c, name, "", "ENUM_REMOVED", name, "", true);
    }
    for (size_t i = 0; i < c->after.count; i++) {
        const char *name = c->after.names[i];
        bool message = strmap_get(&c->after.messages, name) != NULL;

        if (strmap_get(message ? &c->before.messages : &c->before.enums, name) == NULL)
            tell(c, name, "", message ? "MESSAGE_ADDED" : "ENUM_ADDED", "", name, false);
    }
}

int compare_types(struct slice before, struct slice after, compare_fn tell_change, void *arg,
                  struct err *err)
{
    struct arena arena;
    struct comparison c = { .arena = &arena, .tell = tell_change, .arg = arg };
    int result;

    arena_init(&arena);
    result = read_side(&arena, &c.before, before, err);
    if (result == 0)
        result = read_side(&arena, &c.after, after, err);
    if (result == 0)
        compare_sides(&c);
    free_side(&c.before);
    free_side(&c.after);
    arena_fini(&arena);
    return result;
}

/* --- who is affected ----------------------------------------------------------------------------
 */

static bool holds(const struct schema_message *message, const char *name, struct strmap *seen)
{
    if (strcmp(message->full_name, name) == 0)
        return true;
    if (!strmap_set(seen, message->full_name, (void *)(uintptr_t)message))
        return false;
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        if (field->type == SCHEMA_ENUM && strcmp(field->enumeration->full_name, name) == 0)
            return true;
        if (field->type == SCHEMA_MESSAGE && holds(field->message, name, seen))
            return true;
    }
    return false;
}

bool compare_type_holds(const struct schema_set *types, const char *type, const char *name)
{
    const struct schema_message *message = schema_set_message(types, type);
    struct strmap seen;
    bool found;

    strmap_init(&seen);
    found = message != NULL ? holds(message, name, &seen) : strcmp(type, name) == 0;
    strmap_fini(&seen);
    return found;
}
