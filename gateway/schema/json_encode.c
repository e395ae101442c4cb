/* Protobuf bytes -> JSON. One pass over a message's bytes threads the occurrences of each field on
 * a chain; then the fields are written in order of their numbers. Linear in the bytes, whatever
 * their order; nested messages use the same two stacks above their parent's part. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "schema/descriptor_internal.h"
#include "schema/json_internal.h"
#include "schema/json_write.h"
#include "schema/prescan.h"
#include "schema/wire_read.h"

enum { NO_OCCURRENCE = UINT32_MAX };

struct occurrence {
    uint64_t value;      /* varint, fixed bits, or length */
    const uint8_t *data; /* of a length-delimited field */
    uint32_t next;       /* index of the field's next occurrence */
    uint32_t wire;
};

struct chain {
    uint32_t first;
    uint32_t last;
};

struct encoder {
    const struct schema_json_options *options;
    struct json_writer to;
    struct occurrence *occurrences;
    size_t occurrence_count;
    size_t occurrence_cap;
    struct chain *chains;
    size_t chain_count;
    size_t chain_cap;
    size_t elements; /* of the message from outside that is being written */
    unsigned depth;
    bool proto_names;
};

/* A message whose occurrences are on the stacks. */
struct view {
    const struct schema_message *message;
    size_t occurrence_base;
    size_t chain_base; /* one chain a field, then one a oneof: `first` is its member's position */
};

static int encode_message(struct encoder *e, const struct schema_message *message,
                          const uint8_t *data, size_t len);

/* --- errors and names ---------------------------------------------------------------------------
 */

static int malformed(struct encoder *e, const char *name, const char *what)
{
    return err_set(e->to.err, ERR_DATA_LOSS, "MESSAGE_MALFORMED",
                   "A stored message cannot be shown as JSON: \"%.160s\": %s.", name, what);
}

static int put_name(struct encoder *e, const char *name, bool *first)
{
    if (!*first && json_put(&e->to, ",", 1) < 0)
        return -1;
    *first = false;
    return json_put_string(&e->to, (const uint8_t *)name, strlen(name)) < 0
               ? -1
               : json_put(&e->to, ":", 1);
}

/* --- index ---------------------------------------------------------------------------------------
 */

static struct chain *chain_of(struct encoder *e, const struct view *view, size_t position)
{
    return &e->chains[view->chain_base + position];
}

static const struct occurrence *first_of(struct encoder *e, const struct view *view,
                                         const struct schema_field *field)
{
    uint32_t at = chain_of(e, view, field->position)->first;
    return at != NO_OCCURRENCE ? &e->occurrences[at] : NULL;
}

static const struct occurrence *last_of(struct encoder *e, const struct view *view,
                                        const struct schema_field *field)
{
    uint32_t at = chain_of(e, view, field->position)->last;
    return at != NO_OCCURRENCE ? &e->occurrences[at] : NULL;
}

static void push_chains(struct encoder *e, size_t count)
{
    while (e->chain_count + count > e->chain_cap) {
        e->chain_cap = e->chain_cap > 0 ? 2 * e->chain_cap : 128;
        e->chains = mem_resize(e->chains, e->chain_cap * sizeof *e->chains);
    }
    for (size_t i = 0; i < count; i++)
        e->chains[e->chain_count + i] = (struct chain){ NO_OCCURRENCE, NO_OCCURRENCE };
    e->chain_count += count;
}

static int count_elements(struct encoder *e, const struct schema_message *message, size_t count)
{
    e->elements += count;
    return e->elements > PRESCAN_ELEMENTS_MAX
               ? malformed(e, message->full_name, "it has too many elements")
               : 0;
}

/* The last member of a oneof on the wire is the one that is set. */
static void choose_member(struct encoder *e, const struct view *view,
                          const struct schema_field *field)
{
    if (field->oneof < 0)
        return;
    struct chain *current = chain_of(e, view, view->message->field_count + (size_t)field->oneof);
    if (current->first != NO_OCCURRENCE && current->first != field->position)
        *chain_of(e, view, current->first) = (struct chain){ NO_OCCURRENCE, NO_OCCURRENCE };
    current->first = field->position;
}

static int add_occurrence(struct encoder *e, const struct view *view,
                          const struct schema_field *field, const struct wire_field *wire)
{
    const struct schema_message *message = view->message;
    if (wire->wire != schema_wire_of(field->type)) {
        if (wire->wire != WIRE_LEN || !field->repeated)
            return malformed(e, message->full_name, "a field has the wrong wire type");
        long count =
            wire_packed_count(wire->data, (size_t)wire->value, schema_wire_of(field->type));
        if (count < 0)
            return malformed(e, message->full_name, "packed elements are cut short");
        if (count_elements(e, message, (size_t)count) < 0)
            return -1;
    }
    choose_member(e, view, field);
    if (e->occurrence_count == e->occurrence_cap) {
        e->occurrence_cap = e->occurrence_cap > 0 ? 2 * e->occurrence_cap : 128;
        e->occurrences = mem_resize(e->occurrences, e->occurrence_cap * sizeof *e->occurrences);
    }
    uint32_t at = (uint32_t)e->occurrence_count++;
    e->occurrences[at] = (struct occurrence){ wire->value, wire->data, NO_OCCURRENCE, wire->wire };
    struct chain *chain = chain_of(e, view, field->position);
    if (chain->first == NO_OCCURRENCE)
        chain->first = at;
    else
        e->occurrences[chain->last].next = at;
    chain->last = at;
    return 0;
}

static int view_open(struct encoder *e, const struct schema_message *message, const uint8_t *data,
                     size_t len, struct view *view_r)
{
    *view_r = (struct view){ message, e->occurrence_count, e->chain_count };
    push_chains(e, message->field_count + message->oneof_count);
    const uint8_t *end = len > 0 ? data + len : data;
    for (const uint8_t *p = data; p != end;) {
        struct wire_field wire;
        p = wire_next(p, end, &wire);
        if (p == NULL)
            return malformed(e, message->full_name, "its bytes are cut short");
        if (count_elements(e, message, 1) < 0)
            return -1;
        const struct schema_field *field = schema_message_number(message, wire.number);
        if (field != NULL && add_occurrence(e, view_r, field, &wire) < 0)
            return -1;
    }
    return 0;
}

static void view_close(struct encoder *e, const struct view *view)
{
    e->occurrence_count = view->occurrence_base;
    e->chain_count = view->chain_base;
}

/* --- single values -------------------------------------------------------------------------------
 */

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return (double)value;
}

static int64_t zigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (~(value & 1) + 1));
}

static int put_enum(struct encoder *e, const struct schema_enum *enumeration, int32_t number)
{
    if (strcmp(enumeration->full_name, "google.protobuf.NullValue") == 0)
        return json_put_text(&e->to, "null");
    const struct schema_enum_value *value = schema_enum_by_number(enumeration, number);
    return value != NULL ? json_put_quoted(&e->to, value->name)
                         : json_put_integer(&e->to, "", number);
}

static int put_field_string(struct encoder *e, const struct schema_field *field,
                            const uint8_t *data, size_t len)
{
    if (!utf8_valid(data, len))
        return err_set(e->to.err, ERR_DATA_LOSS, "MESSAGE_NOT_UTF8",
                       "A stored message cannot be shown as JSON: field \"%.160s\" is not UTF-8.",
                       field->name);
    return json_put_string(&e->to, data, len);
}

static int put_value(struct encoder *e, const struct schema_field *field, uint64_t value,
                     const uint8_t *data)
{
    switch (field->type) {
    case SCHEMA_DOUBLE:
        return json_put_real(&e->to, double_of(value), false);
    case SCHEMA_FLOAT:
        return json_put_real(&e->to, float_of(value), true);
    case SCHEMA_INT64:
    case SCHEMA_SFIXED64:
        return json_put_integer(&e->to, "\"", (int64_t)value);
    case SCHEMA_SINT64:
        return json_put_integer(&e->to, "\"", zigzag(value));
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
        return json_put_unsigned(&e->to, "\"", value);
    case SCHEMA_INT32:
    case SCHEMA_SFIXED32:
        return json_put_integer(&e->to, "", (int32_t)(uint32_t)value);
    case SCHEMA_SINT32:
        return json_put_integer(&e->to, "", (int32_t)zigzag((uint32_t)value));
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        return json_put_unsigned(&e->to, "", (uint32_t)value);
    case SCHEMA_BOOL:
        return json_put_text(&e->to, value != 0 ? "true" : "false");
    case SCHEMA_ENUM:
        return put_enum(e, field->enumeration, (int32_t)(uint32_t)value);
    case SCHEMA_STRING:
        return put_field_string(e, field, data, (size_t)value);
    case SCHEMA_BYTES:
        return json_put_base64(&e->to, data, (size_t)value);
    case SCHEMA_MESSAGE:
        return encode_message(e, field->message, data, (size_t)value);
    }
    return -1;
}

/* Empty text, zero, false, or the enum value 0; a floating -0 is not the default. */
static bool is_default(const struct schema_field *field, const struct occurrence *occurrence)
{
    if (field->type == SCHEMA_ENUM || field->type == SCHEMA_INT32 || field->type == SCHEMA_UINT32 ||
        field->type == SCHEMA_SINT32)
        return (uint32_t)occurrence->value == 0;
    return occurrence->value == 0;
}

/* Several occurrences of a message merge, and the merge of messages is the sum of their bytes. */
static int put_merged(struct encoder *e, const struct view *view, const struct schema_field *field)
{
    const struct chain chain = *chain_of(e, view, field->position);
    if (chain.first == chain.last)
        return put_value(e, field, e->occurrences[chain.first].value,
                         e->occurrences[chain.first].data);
    struct buf joined;
    buf_init(&joined, SIZE_MAX);
    for (uint32_t at = chain.first; at != NO_OCCURRENCE; at = e->occurrences[at].next)
        (void)buf_append(&joined, e->occurrences[at].data, (size_t)e->occurrences[at].value);
    int result = put_value(e, field, joined.len, joined.data);
    buf_fini(&joined);
    return result;
}

/* --- records: Any and typed bytes ----------------------------------------------------------------
 */

struct record_state {
    size_t elements;
    bool proto_names;
};

/* A record is a message of its own: own element count, canonical field names. */
static struct record_state record_enter(struct encoder *e)
{
    struct record_state state = { e->elements, e->proto_names };
    e->elements = 0;
    e->proto_names = true;
    return state;
}

static void record_leave(struct encoder *e, struct record_state state)
{
    e->elements = state.elements;
    e->proto_names = state.proto_names;
}

static int find_type(struct encoder *e, const uint8_t *name, size_t len,
                     const struct schema_message **type_r)
{
    *type_r = len > 0 ? json_find_type(e->options, (const char *)name, len) : NULL;
    if (*type_r != NULL)
        return 0;
    char shown[JSON_SHOWN_TEXT_BYTES];
    return err_set(
        e->to.err, ERR_NOT_FOUND, "TYPE_UNKNOWN",
        "The record type \"%s\" is not known here; ask for protobuf, or publish its schema.",
        json_shown((const char *)name, len, shown));
}

/* Bytes whose type a sibling string names, wherever in the message that string stands. */
static int record_type(struct encoder *e, const struct view *view, const struct schema_field *field,
                       const struct schema_message **type_r)
{
    const struct schema_field *sibling = schema_message_field(
        view->message, field->message_type_from, strlen(field->message_type_from));
    const struct occurrence *name = last_of(e, view, sibling);
    return find_type(e, name != NULL ? name->data : NULL, name != NULL ? (size_t)name->value : 0,
                     type_r);
}

static int put_record(struct encoder *e, const struct schema_message *type, const uint8_t *data,
                      size_t len)
{
    struct record_state state = record_enter(e);
    int result = encode_message(e, type, data, len);
    record_leave(e, state);
    return result;
}

/* --- repeated fields and maps --------------------------------------------------------------------
 */

static int put_packed(struct encoder *e, const struct schema_field *field, const uint8_t *data,
                      size_t len, bool *first)
{
    enum schema_wire wire = schema_wire_of(field->type);
    size_t size = wire == WIRE_I64 ? 8 : 4;
    const uint8_t *end = data + len;
    for (const uint8_t *p = data; p != end;) {
        uint64_t value;
        if (wire == WIRE_VARINT) {
            p = wire_varint(p, end, &value);
            if (p == NULL)
                return malformed(e, field->name, "packed elements are cut short");
        } else {
            value = wire_fixed(p, size);
            p += size;
        }
        if ((!*first && json_put(&e->to, ",", 1) < 0) || put_value(e, field, value, NULL) < 0)
            return -1;
        *first = false;
    }
    return 0;
}

static int put_list(struct encoder *e, const struct view *view, const struct schema_field *field)
{
    const struct schema_message *type = NULL;
    uint32_t at = chain_of(e, view, field->position)->first;
    if (at != NO_OCCURRENCE && field->message_type_from != NULL &&
        record_type(e, view, field, &type) < 0)
        return -1;
    if (json_put(&e->to, "[", 1) < 0)
        return -1;
    bool first = true;
    while (at != NO_OCCURRENCE) {
        const struct occurrence item = e->occurrences[at]; /* the stack may move below */
        at = item.next;
        int result;
        if (item.wire != schema_wire_of(field->type)) {
            result = put_packed(e, field, item.data, (size_t)item.value, &first);
        } else if (!first && json_put(&e->to, ",", 1) < 0) {
            result = -1;
        } else {
            first = false;
            result = type != NULL ? put_record(e, type, item.data, (size_t)item.value)
                                  : put_value(e, field, item.value, item.data);
        }
        if (result < 0)
            return -1;
    }
    return json_put(&e->to, "]", 1);
}

struct map_item {
    struct slice entry;
    struct slice text; /* key of a string map */
    uint64_t number;   /* key of any other */
    uint32_t order;
};

static int compare_keys(const struct map_item *a, const struct map_item *b)
{
    if (a->text.data == NULL || b->text.data == NULL)
        return (a->number > b->number) - (a->number < b->number);
    size_t common = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = common > 0 ? memcmp(a->text.data, b->text.data, common) : 0;
    return order != 0 ? order : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

static int by_key(const void *left, const void *right)
{
    const struct map_item *a = left;
    const struct map_item *b = right;
    int order = compare_keys(a, b);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

/* The key as it compares: 32-bit keys cut to their width, so that equal keys have equal numbers. */
static uint64_t key_number(enum schema_type type, uint64_t value)
{
    if (type == SCHEMA_BOOL)
        return value != 0;
    return type == SCHEMA_INT32 || type == SCHEMA_UINT32 || type == SCHEMA_SINT32 ? (uint32_t)value
                                                                                  : value;
}

/* Finds the key without counting elements: writing the entry counts them. */
static int read_key(struct encoder *e, const struct schema_message *entry, struct map_item *item)
{
    static const uint8_t empty[1] = { 0 };
    const struct schema_field *key = &entry->fields[0];
    bool is_text = key->type == SCHEMA_STRING;
    item->text = slice_of(is_text ? empty : NULL, 0);
    item->number = 0;
    const uint8_t *end = item->entry.data + item->entry.len;
    for (const uint8_t *p = item->entry.data; p != end;) {
        struct wire_field wire;
        p = wire_next(p, end, &wire);
        if (p == NULL || (wire.number == 1 && wire.wire != schema_wire_of(key->type)))
            return malformed(e, entry->full_name, "a map entry is not well formed");
        if (wire.number != 1)
            continue;
        if (is_text)
            item->text = slice_of(wire.data, (size_t)wire.value);
        else
            item->number = key_number(key->type, wire.value);
    }
    return 0;
}

/* Names are strings in JSON; 64-bit numbers already are. */
static bool key_needs_quotes(enum schema_type type)
{
    return type == SCHEMA_BOOL || type == SCHEMA_INT32 || type == SCHEMA_UINT32 ||
           type == SCHEMA_SINT32 || type == SCHEMA_FIXED32 || type == SCHEMA_SFIXED32;
}

static int put_map_entry(struct encoder *e, const struct schema_message *entry,
                         const struct map_item *item)
{
    const struct schema_field *key = &entry->fields[0];
    const struct schema_field *value = &entry->fields[1];
    if (e->depth > PRESCAN_DEPTH_MAX)
        return malformed(e, entry->full_name, "messages are nested too deep");
    e->depth++;
    struct view view;
    if (view_open(e, entry, item->entry.data, item->entry.len, &view) < 0)
        return -1;
    bool quote = key_needs_quotes(key->type);
    uint64_t number = item->text.data != NULL ? item->text.len : item->number;
    if ((quote && json_put(&e->to, "\"", 1) < 0) ||
        put_value(e, key, number, item->text.data) < 0 ||
        (quote && json_put(&e->to, "\"", 1) < 0) || json_put(&e->to, ":", 1) < 0)
        return -1;
    int result;
    if (first_of(e, &view, value) != NULL)
        result = value->type == SCHEMA_MESSAGE
                     ? put_merged(e, &view, value)
                     : put_value(e, value, last_of(e, &view, value)->value,
                                 last_of(e, &view, value)->data);
    else
        result = put_value(e, value, 0, NULL);
    view_close(e, &view);
    e->depth--;
    return result;
}

/* Keys in order, so that equal maps make equal texts; of equal keys the last on the wire counts. */
static int put_map(struct encoder *e, const struct view *view, const struct schema_field *field)
{
    size_t count = 0;
    uint32_t at = chain_of(e, view, field->position)->first;
    for (uint32_t i = at; i != NO_OCCURRENCE; i = e->occurrences[i].next)
        count++;
    struct map_item *items = mem_array(count + 1, sizeof *items);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++, at = e->occurrences[at].next) {
        items[i].entry = slice_of(e->occurrences[at].data, (size_t)e->occurrences[at].value);
        items[i].order = (uint32_t)i;
        result = read_key(e, field->message, &items[i]);
    }
    if (result == 0)
        qsort(items, count, sizeof *items, by_key);
    if (result == 0)
        result = json_put(&e->to, "{", 1);
    bool first = true;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (i + 1 < count && compare_keys(&items[i], &items[i + 1]) == 0)
            continue;
        if (!first)
            result = json_put(&e->to, ",", 1);
        first = false;
        if (result == 0)
            result = put_map_entry(e, field->message, &items[i]);
    }
    free(items);
    return result < 0 ? -1 : json_put(&e->to, "}", 1);
}

/* --- messages ------------------------------------------------------------------------------------
 */

static int put_singular(struct encoder *e, const struct view *view,
                        const struct schema_field *field)
{
    if (field->type == SCHEMA_MESSAGE)
        return put_merged(e, view, field);
    const struct occurrence last = *last_of(e, view, field);
    if (field->message_type_from != NULL) {
        const struct schema_message *type;
        if (record_type(e, view, field, &type) < 0)
            return -1;
        return put_record(e, type, last.data, (size_t)last.value);
    }
    return put_value(e, field, last.value, last.data);
}

/* A field that is not there, when the caller wants to see defaults. A record of no type has none.
 */
static int put_default(struct encoder *e, const struct schema_field *field)
{
    if (field->repeated)
        return json_put_text(&e->to, field->map ? "{}" : "[]");
    return field->message_type_from != NULL ? json_put_text(&e->to, "null")
                                            : put_value(e, field, 0, NULL);
}

static int put_field(struct encoder *e, const struct view *view, const struct schema_field *field,
                     bool *first)
{
    const char *name = e->proto_names ? field->name : field->json_name;
    const struct occurrence *last = last_of(e, view, field);
    bool present = last != NULL;
    if (present && !field->repeated && !field->has_presence)
        present = !is_default(field, last);
    if (!present) {
        if (!e->options->emit_defaults || field->has_presence)
            return 0;
        return put_name(e, name, first) < 0 ? -1 : put_default(e, field);
    }
    if (put_name(e, name, first) < 0)
        return -1;
    if (field->map)
        return put_map(e, view, field);
    return field->repeated ? put_list(e, view, field) : put_singular(e, view, field);
}

/* The fields of a message without its braces; `first`: no comma before the first of them. */
static int encode_fields(struct encoder *e, const struct schema_message *message,
                         const uint8_t *data, size_t len, bool first)
{
    struct view view;
    if (view_open(e, message, data, len, &view) < 0)
        return -1;
    for (size_t i = 0; i < message->field_count; i++)
        if (put_field(e, &view, &message->fields[i], &first) < 0)
            return -1;
    view_close(e, &view);
    return 0;
}

/* --- well-known types: their shapes were checked when the set was loaded -------------------------
 */

static uint64_t number_at(struct encoder *e, const struct view *view, size_t position)
{
    const struct occurrence *last = last_of(e, view, &view->message->fields[position]);
    return last != NULL ? last->value : 0;
}

static struct slice bytes_at(struct encoder *e, const struct view *view, size_t position)
{
    const struct occurrence *last = last_of(e, view, &view->message->fields[position]);
    return last != NULL ? slice_of(last->data, (size_t)last->value) : slice_of(NULL, 0);
}

static int put_any(struct encoder *e, const struct view *view)
{
    struct slice url = bytes_at(e, view, 0);
    struct slice value = bytes_at(e, view, 1);
    if (url.len == 0)
        return value.len == 0 ? json_put(&e->to, "{}", 2)
                              : malformed(e, view->message->full_name, "it names no type");
    const struct schema_message *type;
    size_t prefix = json_type_url_prefix((const char *)url.data, url.len);
    if (find_type(e, url.data + prefix, prefix > 0 ? url.len - prefix : 0, &type) < 0)
        return -1;
    if (json_put_text(&e->to, "{\"@type\":") < 0 ||
        put_field_string(e, &view->message->fields[0], url.data, url.len) < 0)
        return -1;
    struct record_state state = record_enter(e);
    int result;
    if (schema_well_known(type) != WELL_KNOWN_NONE) {
        result = json_put_text(&e->to, ",\"value\":");
        if (result == 0)
            result = encode_message(e, type, value.data, value.len);
    } else if (e->depth > PRESCAN_DEPTH_MAX) {
        result = malformed(e, type->full_name, "messages are nested too deep");
    } else {
        e->depth++;
        result = encode_fields(e, type, value.data, value.len, false);
        e->depth--;
    }
    record_leave(e, state);
    return result < 0 ? -1 : json_put(&e->to, "}", 1);
}

static int put_time(struct encoder *e, const struct view *view, bool is_timestamp)
{
    char text[JSON_TIME_TEXT_BYTES];
    int64_t seconds = (int64_t)number_at(e, view, 0);
    int32_t nanos = (int32_t)(uint32_t)number_at(e, view, 1);
    bool good = is_timestamp ? json_timestamp_format(seconds, nanos, text)
                             : json_duration_format(seconds, nanos, text);
    return good ? json_put_quoted(&e->to, text)
                : malformed(e, view->message->full_name, "it is outside of its range");
}

static int put_mask(struct encoder *e, const struct view *view)
{
    if (json_put(&e->to, "\"", 1) < 0)
        return -1;
    uint32_t at = chain_of(e, view, 0)->first;
    for (bool first = true; at != NO_OCCURRENCE; at = e->occurrences[at].next, first = false) {
        const struct occurrence *path = &e->occurrences[at];
        if (path->value > SCHEMA_NAME_BYTES_MAX)
            return malformed(e, view->message->full_name, "a path is too long");
        char camel[2 * SCHEMA_NAME_BYTES_MAX];
        size_t len;
        if (!json_mask_to_camel(path->data, (size_t)path->value, camel, &len))
            return malformed(e, view->message->full_name, "a path cannot be written in JSON");
        if ((!first && json_put(&e->to, ",", 1) < 0) || json_put(&e->to, camel, len) < 0)
            return -1;
    }
    return json_put(&e->to, "\"", 1);
}

static int put_wrapper(struct encoder *e, const struct view *view)
{
    const struct schema_field *field = &view->message->fields[0];
    const struct occurrence *last = last_of(e, view, field);
    return put_value(e, field, last != NULL ? last->value : 0, last != NULL ? last->data : NULL);
}

/* google.protobuf.Value: whichever member is set. A number must be one that JSON can hold. */
static int put_any_value(struct encoder *e, const struct view *view)
{
    for (size_t i = 0; i < view->message->field_count; i++) {
        const struct schema_field *field = &view->message->fields[i];
        const struct occurrence *last = last_of(e, view, field);
        if (last == NULL)
            continue;
        if (field->type == SCHEMA_DOUBLE && !isfinite(double_of(last->value)))
            return malformed(e, view->message->full_name, "its number is not finite");
        return put_singular(e, view, field);
    }
    return json_put_text(&e->to, "null");
}

static int put_well_known(struct encoder *e, enum well_known kind, const struct view *view)
{
    switch (kind) {
    case WELL_KNOWN_ANY:
        return put_any(e, view);
    case WELL_KNOWN_TIMESTAMP:
        return put_time(e, view, true);
    case WELL_KNOWN_DURATION:
        return put_time(e, view, false);
    case WELL_KNOWN_FIELD_MASK:
        return put_mask(e, view);
    case WELL_KNOWN_WRAPPER:
        return put_wrapper(e, view);
    case WELL_KNOWN_STRUCT:
        return put_map(e, view, &view->message->fields[0]);
    case WELL_KNOWN_LIST:
        return put_list(e, view, &view->message->fields[0]);
    case WELL_KNOWN_VALUE:
        return put_any_value(e, view);
    case WELL_KNOWN_NONE:
        break;
    }
    return -1;
}

/* A nested message; the outermost one is not counted as nested. */
static int encode_message(struct encoder *e, const struct schema_message *message,
                          const uint8_t *data, size_t len)
{
    if (e->depth > PRESCAN_DEPTH_MAX)
        return malformed(e, message->full_name, "messages are nested too deep");
    e->depth++;
    int result;
    enum well_known kind = schema_well_known(message);
    if (kind != WELL_KNOWN_NONE) {
        struct view view;
        result = view_open(e, message, data, len, &view);
        if (result == 0)
            result = put_well_known(e, kind, &view);
        view_close(e, &view);
    } else {
        result = json_put(&e->to, "{", 1);
        if (result == 0)
            result = encode_fields(e, message, data, len, true);
        if (result == 0)
            result = json_put(&e->to, "}", 1);
    }
    e->depth--;
    return result;
}

int schema_json_encode(const struct schema_json_options *options,
                       const struct schema_message *message, const uint8_t *data, size_t len,
                       struct buf *out, struct err *err)
{
    struct encoder e = {
        .options = options,
        .to = { out, err },
        .proto_names = options->proto_field_names,
    };
    size_t before = out->len;
    int result = encode_message(&e, message, data, len);
    free(e.occurrences);
    free(e.chains);
    if (result < 0)
        out->len = before;
    return result;
}
