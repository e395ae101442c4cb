#include "audit/append_params.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/ids.h"

/* In the order of the function's parameters. */
enum param {
    P_BATCH,
    P_ORIGIN,
    P_SIZE,
    P_ROOT,
    P_EPOCH,
    P_NEW_FRONTIER,
    P_NEW_ROOT,
    P_IDS,
    P_LEAVES,
    P_STARTS,
    P_LENGTHS,
    P_HASHES,
    P_TIMES,
    P_KINDS,
    P_SUBJECTS,
    P_DEPARTMENTS,
    P_OWNERS,
    P_DATASETS,
    P_AGREEMENTS,
    P_PURPOSES,
    P_OUTCOMES,
    P_EXCHANGES,
    P_SALTS,
    P_PERSON_ITEMS,
    P_PERSONS,
    P_COUNT
};
_Static_assert((int)P_COUNT == (int)APPEND_PARAM_COUNT, "one text for each parameter");

enum { PARAM_BYTES_MAX = 256 * 1024 * 1024 };

void append_params_init(struct append_params *params)
{
    for (int i = 0; i < P_COUNT; i++)
        buf_init(&params->text[i], PARAM_BYTES_MAX);
}

void append_params_fini(struct append_params *params)
{
    for (int i = 0; i < P_COUNT; i++)
        buf_fini(&params->text[i]);
}

static void room(struct buf *out, size_t more)
{
    int full = buf_reserve(out, more);
    assert(full == 0); /* a batch is bounded far below */
}

static void put(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    room(out, len);
    (void)buf_append(out, text, len);
}

static void put_hex(struct buf *out, const void *data, size_t len)
{
    room(out, 2 * len + 1);
    hex_encode(data, len, (char *)out->data + out->len);
    out->len += 2 * len;
}

static void put_number(struct buf *out, int64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, number);
    put(out, text);
}

/* An array element always in quotes, so that NULL, braces and commas mean themselves. */
static void put_quoted(struct buf *out, const char *text)
{
    room(out, 2 * strlen(text) + 2);
    (void)buf_append_byte(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            (void)buf_append_byte(out, '\\');
        (void)buf_append_byte(out, (uint8_t)*c);
    }
    (void)buf_append_byte(out, '"');
}

static void put_uuid(struct buf *out, const uint8_t id[UUID_BYTES])
{
    char text[UUID_TEXT_BYTES];
    uuid_format(id, text);
    put(out, text);
}

static void begin_element(struct buf *out)
{
    put(out, out->len == 0 ? "{" : ",");
}

static void end_array(struct buf *out)
{
    put(out, out->len == 0 ? "{}" : "}");
}

static void add_text(struct buf *out, const char *text)
{
    begin_element(out);
    put_quoted(out, text);
}

static void add_number(struct buf *out, int64_t number)
{
    begin_element(out);
    put_number(out, number);
}

static void add_id(struct buf *out, const uint8_t *id)
{
    begin_element(out);
    if (id != NULL)
        put_uuid(out, id);
    else
        put(out, "NULL");
}

static void fill_head(struct append_params *params, const uint8_t batch_id[UUID_BYTES],
                      const struct append_head *head)
{
    uint8_t root[MERKLE_HASH_BYTES];
    struct buf frontier;
    put_uuid(&params->text[P_BATCH], batch_id);
    put(&params->text[P_ORIGIN], head->origin);
    put_number(&params->text[P_SIZE], (int64_t)head->before->size);
    put_number(&params->text[P_EPOCH], head->epoch);
    merkle_frontier_root(head->before, root);
    put(&params->text[P_ROOT], "\\x");
    put_hex(&params->text[P_ROOT], root, sizeof root);
    merkle_frontier_root(head->after, root);
    put(&params->text[P_NEW_ROOT], "\\x");
    put_hex(&params->text[P_NEW_ROOT], root, sizeof root);
    buf_init(&frontier, MERKLE_FRONTIER_BYTES_MAX);
    (void)merkle_frontier_write(head->after, &frontier);
    put(&params->text[P_NEW_FRONTIER], "\\x");
    put_hex(&params->text[P_NEW_FRONTIER], frontier.data, frontier.len);
    buf_fini(&frontier);
}

/* `start` is the leaf's first byte in the joined leaves, counted from 1 as SQL does. */
static void fill_item(struct append_params *params, const struct append_item *item, size_t start)
{
    struct buf *text = params->text;
    struct slice leaf = append_item_leaf(item);
    add_id(&text[P_IDS], item->id);
    put_hex(&text[P_LEAVES], leaf.data, leaf.len);
    add_number(&text[P_STARTS], (int64_t)start);
    add_number(&text[P_LENGTHS], (int64_t)leaf.len);
    put_hex(&text[P_HASHES], append_item_hash(item), MERKLE_HASH_BYTES);
    add_number(&text[P_TIMES], item->time_us);
    add_number(&text[P_KINDS], item->kind);
    add_text(&text[P_SUBJECTS], item->subject);
    add_text(&text[P_DEPARTMENTS], item->department);
    add_text(&text[P_OWNERS], item->owner);
    add_text(&text[P_DATASETS], item->dataset);
    add_text(&text[P_AGREEMENTS], item->agreement);
    add_text(&text[P_PURPOSES], item->purpose);
    add_number(&text[P_OUTCOMES], item->refused ? item->refused_outcome : item->outcome);
    add_id(&text[P_EXCHANGES], item->has_exchange ? item->exchange_id : NULL);
}

static void fill_secrets(struct append_params *params, const struct append_item *item,
                         size_t number, const uint8_t salt_key[SALT_KEY_BYTES])
{
    struct buf *text = params->text;
    begin_element(&text[P_SALTS]);
    if (item->salted) {
        uint8_t wrapped[SALT_WRAPPED_BYTES];
        salt_wrap(salt_key, item->id, item->salt, wrapped);
        put(&text[P_SALTS], "\"\\\\x");
        put_hex(&text[P_SALTS], wrapped, sizeof wrapped);
        put(&text[P_SALTS], "\"");
    } else {
        put(&text[P_SALTS], "NULL");
    }
    for (size_t i = 0; !item->refused && i < item->persons.len / HASH_BYTES; i++) {
        add_number(&text[P_PERSON_ITEMS], (int64_t)number);
        begin_element(&text[P_PERSONS]);
        put(&text[P_PERSONS], "\"\\\\x");
        put_hex(&text[P_PERSONS], item->persons.data + i * HASH_BYTES, HASH_BYTES);
        put(&text[P_PERSONS], "\"");
    }
}

void append_params_fill(struct append_params *params, const uint8_t batch_id[UUID_BYTES],
                        const struct append_head *head, struct append_item *const *items,
                        size_t count, const uint8_t salt_key[SALT_KEY_BYTES])
{
    static const enum param arrays[] = {
        P_IDS,         P_STARTS, P_LENGTHS,      P_TIMES,      P_KINDS,    P_SUBJECTS,
        P_DEPARTMENTS, P_OWNERS, P_DATASETS,     P_AGREEMENTS, P_PURPOSES, P_OUTCOMES,
        P_EXCHANGES,   P_SALTS,  P_PERSON_ITEMS, P_PERSONS,
    };
    for (int i = 0; i < P_COUNT; i++)
        buf_reset(&params->text[i]);
    fill_head(params, batch_id, head);
    put(&params->text[P_LEAVES], "\\x");
    put(&params->text[P_HASHES], "\\x");
    size_t start = 1;
    for (size_t i = 0; i < count; i++) {
        fill_item(params, items[i], start);
        fill_secrets(params, items[i], i, salt_key);
        start += append_item_leaf(items[i]).len;
    }
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        end_array(&params->text[arrays[i]]);
    for (int i = 0; i < P_COUNT; i++)
        params->values[i] = buf_cstr(&params->text[i]);
}

void append_params_ids(struct buf *out, struct append_item *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_id(out, items[i]->id);
    end_array(out);
}

/* Sent again within one batch: it charges once. */
static bool came_before(struct append_item *const *items, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (memcmp(items[i]->id, items[at]->id, UUID_BYTES) == 0)
            return true;
    return false;
}

void append_params_charges(struct append_params *params, struct append_item *const *items,
                           size_t count)
{
    struct buf *text = params->text;
    for (int i = 0; i < APPEND_CHARGE_PARAM_COUNT; i++)
        buf_reset(&text[i]);
    for (size_t i = 0; i < count; i++) {
        const struct append_item *item = items[i];
        if (item->charge == 0 || came_before(items, i))
            continue;
        add_id(&text[0], item->id);
        add_text(&text[1], item->agreement);
        add_number(&text[2], item->charge);
        begin_element(&text[3]);
        put(&text[3], item->charge_partly ? "t" : "f");
        add_number(&text[4], item->charge_day);
    }
    for (int i = 0; i < APPEND_CHARGE_PARAM_COUNT; i++) {
        end_array(&text[i]);
        params->values[i] = buf_cstr(&text[i]);
    }
}
