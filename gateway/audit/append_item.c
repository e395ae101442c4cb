#include "audit/append_item.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    KIND_MAX = 1000,         /* the columns are small integers */
    CHARGE_MAX = 1000000000, /* of one entry: sums stay far from overflow */
};

/* Whoever charges says what is logged when the quota refuses. */
static bool charge_valid(const Sluice__Internal__Append *append)
{
    bool charges = append->charge > 0;
    return append->charge >= -CHARGE_MAX && append->charge <= CHARGE_MAX &&
           (append->refused_leaf.len > 0) == charges &&
           append->refused_leaf.len <= AUDIT_LEAF_BYTES_MAX && append->refused_outcome < KIND_MAX;
}

static bool valid(const Sluice__Internal__Append *append)
{
    const char *const texts[] = { append->subject, append->department, append->owner,
                                  append->dataset, append->agreement,  append->purpose };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = strnlen(texts[i], AUDIT_TEXT_BYTES_MAX + 1);
        if (len > AUDIT_TEXT_BYTES_MAX || !utf8_valid(texts[i], len))
            return false;
    }
    if (append->n_persons > AUDIT_PERSONS_MAX)
        return false;
    for (size_t i = 0; i < append->n_persons; i++) {
        if (append->persons[i].len != HASH_BYTES)
            return false;
    }
    return append->id.len == UUID_BYTES && append->leaf.len > 0 &&
           append->leaf.len <= AUDIT_LEAF_BYTES_MAX &&
           (append->salt.len == 0 || append->salt.len == SALT_BYTES) &&
           (append->exchange_id.len == 0 || append->exchange_id.len == UUID_BYTES) &&
           append->kind < KIND_MAX && append->outcome < KIND_MAX && charge_valid(append);
}

static char *put(char **at, const void *data, size_t len)
{
    char *start = *at;
    if (len > 0)
        memcpy(start, data, len);
    *at += len;
    return start;
}

static const char *put_text(char **at, const char *text)
{
    return put(at, text, strlen(text) + 1);
}

static size_t block_size(const Sluice__Internal__Append *append)
{
    return sizeof(struct append_item) + append->leaf.len + append->refused_leaf.len +
           append->n_persons * HASH_BYTES + strlen(append->subject) + strlen(append->department) +
           strlen(append->owner) + strlen(append->dataset) + strlen(append->agreement) +
           strlen(append->purpose) + 6;
}

struct append_item *append_item_new(void *worker, const Sluice__Internal__Append *append,
                                    struct err *err)
{
    if (!valid(append)) {
        (void)err_set(err, ERR_INVALID_ARGUMENT, "ENTRY_INVALID",
                      "A worker sent an audit entry that cannot be stored.");
        return NULL;
    }
    size_t size = block_size(append);
    struct append_item *item = mem_zero(size);
    char *at = (char *)(item + 1);
    list_init(&item->link);
    item->size = size;
    item->worker = worker;
    item->index = -1;
    item->resent = append->resent;
    item->denied = append->denied;
    memcpy(item->id, append->id.data, UUID_BYTES);
    item->has_exchange = append->exchange_id.len > 0;
    if (item->has_exchange)
        memcpy(item->exchange_id, append->exchange_id.data, UUID_BYTES);
    item->salted = append->salt.len > 0;
    if (item->salted)
        memcpy(item->salt, append->salt.data, SALT_BYTES);
    item->time_us = append->time_us;
    item->kind = append->kind;
    item->outcome = append->outcome;
    item->leaf = slice_of(put(&at, append->leaf.data, append->leaf.len), append->leaf.len);
    merkle_leaf_hash(item->leaf.data, item->leaf.len, item->leaf_hash);
    item->charge = append->charge;
    item->charge_partly = append->charge_partly;
    item->charge_day = append->charge_day;
    item->refused_outcome = append->refused_outcome;
    item->refused_leaf = slice_of(put(&at, append->refused_leaf.data, append->refused_leaf.len),
                                  append->refused_leaf.len);
    merkle_leaf_hash(item->refused_leaf.data, item->refused_leaf.len, item->refused_hash);
    item->persons = slice_of(at, append->n_persons * HASH_BYTES);
    for (size_t i = 0; i < append->n_persons; i++)
        (void)put(&at, append->persons[i].data, HASH_BYTES);
    item->subject = put_text(&at, append->subject);
    item->department = put_text(&at, append->department);
    item->owner = put_text(&at, append->owner);
    item->dataset = put_text(&at, append->dataset);
    item->agreement = put_text(&at, append->agreement);
    item->purpose = put_text(&at, append->purpose);
    return item;
}

void append_item_free(struct append_item **item)
{
    if (*item == NULL)
        return;
    OPENSSL_cleanse(*item, (*item)->size);
    free(*item);
    *item = NULL;
}
