#include "schema/writer_scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/prescan.h"
#include "schema/wire_read.h"

enum { NOTHING = -1 };

/* A field of a message: it is a leaf, leads to leaves, or is not held by the table. */
struct scan_entry {
    int leaf;
    int node;
};

struct scan_node {
    const struct schema_message *message;
    struct scan_entry *entries; /* as message->fields */
    int parent;
    const struct schema_field *top; /* the record's field this lies under; NULL for the record */
    bool seen;
    bool other; /* holds something the table does not take */
    bool filled;
};

/* --- building -----------------------------------------------------------------------------------
 */

static int add_node(struct scan *scan, const struct schema_message *message, int parent,
                    const struct schema_field *top, struct arena *arena)
{
    struct scan_node *node = &scan->nodes[scan->node_count];
    node->message = message;
    node->parent = parent;
    node->top = top;
    node->entries = arena_array(arena, message->field_count + 1, sizeof *node->entries);
    for (size_t i = 0; i < message->field_count; i++)
        node->entries[i] = (struct scan_entry){ NOTHING, NOTHING };
    return (int)scan->node_count++;
}

void scan_init(struct scan *scan, const struct schema_message *type,
               const struct mapping_leaf *const *leaves, size_t leaf_count, struct arena *arena)
{
    size_t nodes = 1;
    for (size_t i = 0; i < leaf_count; i++)
        nodes += leaves[i]->depth;
    *scan = (struct scan){ .leaves = leaves, .leaf_count = leaf_count };
    scan->nodes = arena_array(arena, nodes, sizeof *scan->nodes);
    scan->slots = arena_array(arena, leaf_count + 1, sizeof *scan->slots);
    (void)add_node(scan, type, NOTHING, NULL, arena);
    for (size_t i = 0; i < leaf_count; i++) {
        const struct mapping_leaf *leaf = leaves[i];
        int at = 0;
        for (size_t d = 0; d + 1 < leaf->depth; d++) {
            struct scan_entry *entry = &scan->nodes[at].entries[leaf->path[d]->position];
            if (entry->node == NOTHING)
                entry->node = add_node(scan, leaf->path[d]->message, at, leaf->path[0], arena);
            at = entry->node;
        }
        scan->nodes[at].entries[leaf->field->position].leaf = (int)i;
    }
}

void scan_fini(struct scan *scan)
{
    free(scan->items);
    free(scan->order);
    scan->items = NULL;
    scan->order = NULL;
}

/* --- values -------------------------------------------------------------------------------------
 */

/* A wire value as the field's own number. */
static uint64_t number_of(const struct schema_field *field, uint64_t raw)
{
    switch (field->type) {
    case SCHEMA_INT32:
    case SCHEMA_SFIXED32:
    case SCHEMA_ENUM:
        return (uint64_t)(int64_t)(int32_t)(uint32_t)raw;
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
    case SCHEMA_FLOAT:
        return (uint32_t)raw;
    case SCHEMA_SINT32:
        raw = (uint32_t)raw;
        /* fall through */
    case SCHEMA_SINT64:
        return raw >> 1 ^ (0 - (raw & 1));
    case SCHEMA_BOOL:
        return raw != 0;
    case SCHEMA_DOUBLE:
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_MESSAGE:
        break;
    }
    return raw;
}

static bool is_text(const struct schema_field *field)
{
    return field->type == SCHEMA_STRING || field->type == SCHEMA_BYTES;
}

static struct scan_item *add_item(struct scan *scan, struct scan_slot *slot)
{
    if (scan->item_count + 1 >= scan->item_cap) {
        scan->item_cap = scan->item_cap == 0 ? 16 : 2 * scan->item_cap;
        scan->items = mem_resize(scan->items, scan->item_cap * sizeof *scan->items);
    }
    uint32_t number = ++scan->item_count;
    struct scan_item *item = &scan->items[number];
    *item = (struct scan_item){ .next = 0 };
    if (slot->count == 0)
        slot->first = number;
    else
        scan->items[slot->last].next = number;
    slot->last = number;
    slot->count++;
    slot->seen = true;
    return item;
}

static const char *read_packed(struct scan *scan, struct scan_slot *slot,
                               const struct schema_field *field, const uint8_t *p, size_t len)
{
    enum schema_wire wire = schema_wire_of(field->type);
    const uint8_t *end = p + len;
    while (p < end) {
        uint64_t raw = 0;
        size_t size = wire == WIRE_I64 ? 8 : 4;
        if (wire == WIRE_VARINT) {
            p = wire_varint(p, end, &raw);
            if (p == NULL)
                return "MESSAGE_MALFORMED";
        } else {
            if ((size_t)(end - p) < size)
                return "MESSAGE_MALFORMED";
            raw = wire_fixed(p, size);
            p += size;
        }
        add_item(scan, slot)->bits = number_of(field, raw);
    }
    return NULL;
}

/* An entry of a map<string, string>. */
static const char *read_entry(struct scan_item *item, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    struct wire_field wire;
    while (p < end) {
        p = wire_next(p, end, &wire);
        if (p == NULL)
            return "MESSAGE_MALFORMED";
        if (wire.number > 2 || wire.wire != WIRE_LEN)
            return "FIELD_UNKNOWN";
        struct slice text = slice_of(wire.data, (size_t)wire.value);
        *(wire.number == 1 ? &item->text : &item->value) = text;
    }
    return NULL;
}

static const char *read_timestamp(struct scan_slot *slot, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    struct wire_field wire;
    if (!slot->seen) {
        slot->seconds = 0;
        slot->nanos = 0;
        slot->seen = true;
    }
    while (p < end) {
        p = wire_next(p, end, &wire);
        if (p == NULL)
            return "MESSAGE_MALFORMED";
        if (wire.number > 2 || wire.wire != WIRE_VARINT)
            return "FIELD_UNKNOWN";
        if (wire.number == 1)
            slot->seconds = (int64_t)wire.value;
        else
            slot->nanos = (int32_t)(uint32_t)wire.value;
    }
    return NULL;
}

static const char *read_leaf(struct scan *scan, size_t leaf, const struct wire_field *wire)
{
    const struct schema_field *field = scan->leaves[leaf]->field;
    struct scan_slot *slot = &scan->slots[leaf];
    size_t len = (size_t)wire->value;
    if (field->map)
        return read_entry(add_item(scan, slot), wire->data, len);
    if (field->type == SCHEMA_MESSAGE)
        return read_timestamp(slot, wire->data, len);
    if (field->repeated && is_text(field)) {
        add_item(scan, slot)->text = slice_of(wire->data, len);
        return NULL;
    }
    if (field->repeated && wire->wire == WIRE_LEN)
        return read_packed(scan, slot, field, wire->data, len);
    if (field->repeated) {
        add_item(scan, slot)->bits = number_of(field, wire->value);
        return NULL;
    }
    if (is_text(field)) {
        slot->text = slice_of(wire->data, len);
        slot->seen = field->has_presence || len > 0;
        return NULL;
    }
    slot->bits = number_of(field, wire->value);
    slot->seen = field->has_presence || slot->bits != 0;
    return NULL;
}

/* --- messages -----------------------------------------------------------------------------------
 */

static void forget(struct scan *scan, const struct scan_entry *entry)
{
    if (entry->leaf != NOTHING)
        scan->slots[entry->leaf] = (struct scan_slot){ .seen = false };
    if (entry->node == NOTHING)
        return;
    struct scan_node *node = &scan->nodes[entry->node];
    node->seen = false;
    node->other = false;
    for (size_t i = 0; i < node->message->field_count; i++)
        forget(scan, &node->entries[i]);
}

/* The other members of a oneof are gone when one comes. */
static void choose(struct scan *scan, struct scan_node *node, const struct schema_field *field)
{
    for (size_t i = 0; i < node->message->field_count; i++)
        if (node->message->fields[i].oneof == field->oneof && &node->message->fields[i] != field)
            forget(scan, &node->entries[i]);
}

/* The depth is that of the mapping's paths. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static const char *scan_message(struct scan *scan, int at, const uint8_t *p, size_t len,
                                const struct schema_field **top_r)
{
    struct scan_node *node = &scan->nodes[at];
    const struct schema_message *message = node->message;
    const uint8_t *end = p + len;
    size_t hint = 0;
    struct wire_field wire;
    node->seen = true;
    while (p < end) {
        p = wire_next(p, end, &wire);
        if (p == NULL)
            return "MESSAGE_MALFORMED";
        while (hint < message->field_count && message->fields[hint].number < wire.number)
            hint++;
        const struct schema_field *field =
            hint < message->field_count && message->fields[hint].number == wire.number
                ? &message->fields[hint]
                : schema_message_number(message, wire.number);
        if (at == 0)
            *top_r = field;
        if (field == NULL)
            return "FIELD_UNKNOWN"; /* of a newer type: the table has no place for it */
        if (field->oneof >= 0)
            choose(scan, node, field);
        const struct scan_entry *entry = &node->entries[field->position];
        const char *problem = NULL;
        if (entry->leaf != NOTHING)
            problem = read_leaf(scan, (size_t)entry->leaf, &wire);
        else if (entry->node != NOTHING)
            problem = scan_message(scan, entry->node, wire.data, (size_t)wire.value, top_r);
        else
            node->other = true;
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

/* A row has no place for "there, but empty": it would come back as "not there". */
static const char *find_empty(struct scan *scan, const struct schema_field **top_r)
{
    for (size_t i = 0; i < scan->leaf_count; i++) {
        if (!scan->slots[i].seen || scan->leaves[i]->depth == 1)
            continue;
        int at = 0;
        for (size_t d = 0; d + 1 < scan->leaves[i]->depth; d++) {
            at = scan->nodes[at].entries[scan->leaves[i]->path[d]->position].node;
            scan->nodes[at].filled = true;
        }
    }
    for (size_t i = scan->node_count; i > 1; i--) {
        const struct scan_node *node = &scan->nodes[i - 1];
        if (node->seen && node->other && node->parent > 0)
            scan->nodes[node->parent].other = true; /* children stand behind their parents */
        if (node->seen && !node->filled && !node->other) {
            *top_r = node->top;
            return "MESSAGE_EMPTY";
        }
    }
    return NULL;
}

/* --- maps ---------------------------------------------------------------------------------------
 */

/* As jsonb orders keys: by length, then by bytes; equal ones in the order they came. */
static int compare_items(const void *a, const void *b, void *items)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    const struct scan_item *x = (const struct scan_item *)items + left;
    const struct scan_item *y = (const struct scan_item *)items + right;
    if (x->text.len != y->text.len)
        return x->text.len < y->text.len ? -1 : 1;
    int order = x->text.len == 0 ? 0 : memcmp(x->text.data, y->text.data, x->text.len);
    if (order != 0)
        return order;
    return left < right ? -1 : left > right;
}

/* One entry a key, the last one, in jsonb's order. */
static void order_map(struct scan *scan, struct scan_slot *slot)
{
    if (scan->order_cap < slot->count) {
        scan->order_cap = slot->count < 16 ? 16 : slot->count;
        scan->order = mem_resize(scan->order, scan->order_cap * sizeof *scan->order);
    }
    uint32_t count = 0;
    for (uint32_t at = slot->first; at != 0; at = scan->items[at].next)
        scan->order[count++] = at;
    qsort_r(scan->order, count, sizeof *scan->order, compare_items, scan->items);
    slot->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct scan_item *item = &scan->items[scan->order[i]];
        const struct scan_item *next = i + 1 < count ? &scan->items[scan->order[i + 1]] : NULL;
        if (next != NULL && next->text.len == item->text.len &&
            (item->text.len == 0 || memcmp(next->text.data, item->text.data, item->text.len) == 0))
            continue;
        if (slot->count == 0)
            slot->first = scan->order[i];
        else
            scan->items[slot->last].next = scan->order[i];
        slot->last = scan->order[i];
        slot->count++;
        item->next = 0;
    }
}

/* --- records ------------------------------------------------------------------------------------
 */

const char *scan_record(struct scan *scan, const uint8_t *data, size_t len,
                        const struct schema_field **field_r)
{
    *field_r = NULL;
    scan->item_count = 0;
    for (size_t i = 0; i < scan->leaf_count; i++) {
        scan->slots[i].seen = false;
        scan->slots[i].first = 0;
        scan->slots[i].count = 0;
    }
    for (size_t i = 0; i < scan->node_count; i++) {
        scan->nodes[i].seen = false;
        scan->nodes[i].other = false;
        scan->nodes[i].filled = false;
    }
    const char *problem = scan_message(scan, 0, data, len, field_r);
    if (problem == NULL && scan->node_count > 1)
        problem = find_empty(scan, field_r);
    for (size_t i = 0; problem == NULL && i < scan->leaf_count; i++)
        if (scan->leaves[i]->field->map && scan->slots[i].count > 0)
            order_map(scan, &scan->slots[i]);
    return problem;
}

static bool same_text(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool scan_slot_equal(const struct scan *a, const struct scan *b, size_t leaf)
{
    const struct scan_slot *x = &a->slots[leaf], *y = &b->slots[leaf];
    const struct schema_field *field = a->leaves[leaf]->field;
    if (!x->seen || !y->seen)
        return x->seen == y->seen;
    if (field->repeated) {
        uint32_t i = x->first, j = y->first;
        if (x->count != y->count)
            return false;
        for (; i != 0 && j != 0; i = a->items[i].next, j = b->items[j].next)
            if (a->items[i].bits != b->items[j].bits ||
                !same_text(a->items[i].text, b->items[j].text) ||
                !same_text(a->items[i].value, b->items[j].value))
                return false;
        return i == j;
    }
    if (field->type == SCHEMA_MESSAGE)
        return x->seconds == y->seconds && x->nanos == y->nanos;
    return is_text(field) ? same_text(x->text, y->text) : x->bits == y->bits;
}
