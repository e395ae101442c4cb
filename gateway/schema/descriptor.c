#include "schema/descriptor.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/descriptor_internal.h"

static const char *const type_names[] = {
    [SCHEMA_DOUBLE] = "double",   [SCHEMA_FLOAT] = "float",       [SCHEMA_INT64] = "int64",
    [SCHEMA_UINT64] = "uint64",   [SCHEMA_INT32] = "int32",       [SCHEMA_FIXED64] = "fixed64",
    [SCHEMA_FIXED32] = "fixed32", [SCHEMA_BOOL] = "bool",         [SCHEMA_STRING] = "string",
    [SCHEMA_MESSAGE] = "message", [SCHEMA_BYTES] = "bytes",       [SCHEMA_UINT32] = "uint32",
    [SCHEMA_ENUM] = "enum",       [SCHEMA_SFIXED32] = "sfixed32", [SCHEMA_SFIXED64] = "sfixed64",
    [SCHEMA_SINT32] = "sint32",   [SCHEMA_SINT64] = "sint64",
};

void schema_set_free(struct schema_set **set)
{
    if (*set == NULL)
        return;
    strmap_fini(&(*set)->symbols);
    strmap_fini(&(*set)->names);
    arena_fini(&(*set)->arena);
    free(*set);
    *set = NULL;
}

/* --- types and services --------------------------------------------------------------------------
 */

static void *symbol_object(const struct schema_set *set, const char *name, size_t len,
                           enum symbol_kind kind)
{
    /* Names come from peers too (Any): one with a NUL inside must not reach a C string. */
    if (len > 2 * SCHEMA_NAME_BYTES_MAX || memchr(name, '\0', len) != NULL)
        return NULL;
    const struct symbol *symbol = strmap_get_n(&set->symbols, name, len);
    return symbol != NULL && symbol->kind == kind ? symbol->object : NULL;
}

const struct schema_message *schema_set_message_n(const struct schema_set *set,
                                                  const char *full_name, size_t len)
{
    return symbol_object(set, full_name, len, SYMBOL_MESSAGE);
}

const struct schema_message *schema_set_message(const struct schema_set *set, const char *full_name)
{
    return schema_set_message_n(set, full_name, strlen(full_name));
}

const struct schema_enum *schema_set_enum(const struct schema_set *set, const char *full_name)
{
    return symbol_object(set, full_name, strlen(full_name), SYMBOL_ENUM);
}

size_t schema_set_service_count(const struct schema_set *set)
{
    return set->service_count;
}

const struct schema_service *schema_set_service(const struct schema_set *set, size_t index)
{
    return index < set->service_count ? &set->services[index] : NULL;
}

/* --- fields and enum values ----------------------------------------------------------------------
 */

static bool same_text(const char *text, const char *name, size_t len)
{
    return strlen(text) == len && memcmp(text, name, len) == 0;
}

const struct schema_field *schema_message_field(const struct schema_message *message,
                                                const char *name, size_t len)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (same_text(message->fields[i].name, name, len))
            return &message->fields[i];
    return NULL;
}

const struct schema_field *schema_message_field_json(const struct schema_message *message,
                                                     const char *name, size_t len)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (same_text(message->fields[i].json_name, name, len))
            return &message->fields[i];
    return schema_message_field(message, name, len);
}

const struct schema_field *schema_message_number(const struct schema_message *message,
                                                 uint32_t number)
{
    /* Most messages number their fields 1, 2, 3 ...; 0 wraps to a number no index reaches. */
    if (number - 1 < message->field_count && message->fields[number - 1].number == number)
        return &message->fields[number - 1];
    size_t low = 0;
    size_t high = message->field_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (message->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < message->field_count && message->fields[low].number == number
               ? &message->fields[low]
               : NULL;
}

const struct schema_enum_value *schema_enum_by_name(const struct schema_enum *e, const char *name,
                                                    size_t len)
{
    for (size_t i = 0; i < e->value_count; i++)
        if (same_text(e->values[i].name, name, len))
            return &e->values[i];
    return NULL;
}

/* With allow_alias several names share a number: the first declared is the canonical one. */
const struct schema_enum_value *schema_enum_by_number(const struct schema_enum *e, int32_t number)
{
    for (size_t i = 0; i < e->value_count; i++)
        if (e->values[i].number == number)
            return &e->values[i];
    return NULL;
}

enum schema_wire schema_wire_of(enum schema_type type)
{
    switch (type) {
    case SCHEMA_DOUBLE:
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
        return WIRE_I64;
    case SCHEMA_FLOAT:
    case SCHEMA_FIXED32:
    case SCHEMA_SFIXED32:
        return WIRE_I32;
    case SCHEMA_STRING:
    case SCHEMA_MESSAGE:
    case SCHEMA_BYTES:
        return WIRE_LEN;
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_INT32:
    case SCHEMA_BOOL:
    case SCHEMA_UINT32:
    case SCHEMA_ENUM:
    case SCHEMA_SINT32:
    case SCHEMA_SINT64:
        return WIRE_VARINT;
    }
    return WIRE_LEN;
}

const char *schema_field_type_name(const struct schema_field *field)
{
    if (field->message != NULL)
        return field->message->full_name;
    if (field->enumeration != NULL)
        return field->enumeration->full_name;
    return type_names[field->type];
}

/* --- reflection ----------------------------------------------------------------------------------
 */

struct slice schema_set_file(const struct schema_set *set, const char *file)
{
    const struct schema_file *found = strmap_get(&set->names, file);
    return found != NULL ? found->bytes : slice_of(NULL, 0);
}

const char *schema_set_file_of_symbol(const struct schema_set *set, const char *symbol)
{
    const struct symbol *found = strmap_get(&set->symbols, symbol);
    return found != NULL ? found->file : NULL;
}

const char *const *schema_set_imports(const struct schema_set *set, const char *file)
{
    const struct schema_file *found = strmap_get(&set->names, file);
    return found != NULL ? found->imports : NULL;
}

static int append_file(const struct schema_file *file, struct buf *out)
{
    if (buf_append_byte(out, 1 << 3 | WIRE_LEN) < 0 || buf_append_varint(out, file->bytes.len) < 0)
        return -1;
    return buf_append(out, file->bytes.data, file->bytes.len);
}

/* Files keep the order of the set, in which protoc puts imports before those who import them. */
int schema_set_closure(const struct schema_set *set, const char *file, struct buf *out)
{
    const struct schema_file *first = strmap_get(&set->names, file);
    if (first == NULL)
        return -1;
    bool *wanted = mem_array(set->file_count, sizeof *wanted);
    const struct schema_file **queue =
        mem_array(set->file_count, sizeof(const struct schema_file *));
    size_t queued = 0;
    queue[queued++] = first;
    wanted[first->index] = true;
    for (size_t i = 0; i < queued; i++) {
        for (const char **import = queue[i]->imports; *import != NULL; import++) {
            const struct schema_file *next = strmap_get(&set->names, *import);
            if (wanted[next->index])
                continue;
            wanted[next->index] = true;
            queue[queued++] = next;
        }
    }
    size_t before = out->len;
    int result = 0;
    for (size_t i = 0; i < set->file_count && result == 0; i++)
        if (wanted[i])
            result = append_file(&set->files[i], out);
    if (result < 0)
        out->len = before;
    free(wanted);
    free(queue);
    return result;
}
