#include "services/quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "services/behind.h"

enum { BATCH_BYTES_MAX = 4 * 1024 * 1024 };

struct quarantine_pending {
    const char *dataset; /* of the bundle, as long as the gateway */
    const char *field;
    const char *rule;
    const char *code;
    bool placed;
    uint8_t exchange_id[UUID_BYTES];
    uint8_t key[HASH_BYTES];
    uint8_t row[HASH_BYTES];
    uint8_t fields[PLAN_BITMAP_BYTES];
    size_t sealed_len;
    uint8_t sealed[QUARANTINE_SEALED_BYTES_MAX];
};

struct quarantine {
    struct loop *loop;
    struct behind *behind;
    struct quarantine_keys keys;
    struct loop_timer timer;
    struct quarantine_pending *ring;
    size_t first;
    size_t count;
    size_t writing; /* notes of the statement in flight, still in front of the ring */
    bool armed;
    struct list waits; /* struct quarantine_wait */
    struct quarantine_stats stats;
};

static void flush(void *arg);

struct quarantine *quarantine_new(struct loop *loop, struct behind *behind,
                                  const struct quarantine_keys *keys)
{
    struct quarantine *quarantine = mem_zero(sizeof *quarantine);
    quarantine->loop = loop;
    quarantine->behind = behind;
    quarantine->keys = *keys;
    quarantine->ring = mem_array(QUARANTINE_PENDING_MAX, sizeof *quarantine->ring);
    list_init(&quarantine->waits);
    loop_timer_init(&quarantine->timer, loop, flush, quarantine);
    return quarantine;
}

void quarantine_free(struct quarantine **quarantine)
{
    if (*quarantine == NULL)
        return;
    loop_timer_fini(&(*quarantine)->timer);
    quarantine_keys_wipe(&(*quarantine)->keys);
    free((*quarantine)->ring);
    free(*quarantine);
    *quarantine = NULL;
}

static struct quarantine_pending *pending_at(const struct quarantine *quarantine, size_t index)
{
    return &quarantine->ring[(quarantine->first + index) % QUARANTINE_PENDING_MAX];
}

/* --- one statement ------------------------------------------------------------------------------ */

enum {
    ARRAY_KEYS,
    ARRAY_PLACES,
    ARRAY_ROWS,
    ARRAY_FIELDS,
    ARRAY_EXCHANGES,
    ARRAY_NAMES,
    ARRAY_RULES,
    ARRAY_CODES,
    ARRAY_COUNT
};

static void add_bytes(struct buf *out, const uint8_t *data, size_t len)
{
    (void)buf_append_str(out, "\"\\\\x");
    (void)buf_reserve(out, 2 * len + 2);
    hex_encode(data, len, (char *)out->data + out->len);
    out->len += 2 * len;
    (void)buf_append_byte(out, '"');
}

/* Names come from a descriptor set and our own literals: letters, digits and '_'. */
static void add_name(struct buf *out, const char *name)
{
    (void)buf_append_format(out, "\"%s\"", name);
}

static void add_note(struct buf *arrays, const struct quarantine_pending *note, bool first)
{
    char exchange[UUID_TEXT_BYTES];
    size_t fields = PLAN_BITMAP_BYTES;
    while (fields > 0 && note->fields[fields - 1] == 0)
        fields--;
    for (size_t i = 0; i < ARRAY_COUNT; i++)
        (void)buf_append_byte(&arrays[i], first ? '{' : ',');
    if (note->placed) {
        add_bytes(&arrays[ARRAY_KEYS], note->key, sizeof note->key);
        add_bytes(&arrays[ARRAY_PLACES], note->sealed, note->sealed_len);
    } else {
        (void)buf_append_str(&arrays[ARRAY_KEYS], "NULL");
        (void)buf_append_str(&arrays[ARRAY_PLACES], "NULL");
    }
    add_bytes(&arrays[ARRAY_ROWS], note->row, sizeof note->row);
    add_bytes(&arrays[ARRAY_FIELDS], note->fields, fields);
    uuid_format(note->exchange_id, exchange);
    add_name(&arrays[ARRAY_EXCHANGES], exchange);
    add_name(&arrays[ARRAY_NAMES], note->field);
    add_name(&arrays[ARRAY_RULES], note->rule);
    add_name(&arrays[ARRAY_CODES], note->code);
}

/* All waiting notes of the first one's dataset are brought to the front, up to a batch. */
static size_t gather(struct quarantine *quarantine)
{
    const char *dataset = pending_at(quarantine, 0)->dataset;
    size_t taken = 1;
    for (size_t i = 1; i < quarantine->count && taken < QUARANTINE_BATCH_MAX; i++) {
        if (strcmp(pending_at(quarantine, i)->dataset, dataset) != 0)
            continue;
        if (i != taken) {
            struct quarantine_pending other = *pending_at(quarantine, taken);
            *pending_at(quarantine, taken) = *pending_at(quarantine, i);
            *pending_at(quarantine, i) = other;
        }
        taken++;
    }
    return taken;
}

static void arm(struct quarantine *quarantine, int64_t delay_ms)
{
    if (quarantine->armed || quarantine->writing > 0 || quarantine->count == 0)
        return;
    quarantine->armed = true;
    loop_timer_start(&quarantine->timer, delay_ms);
}

static bool any_of(const struct quarantine *quarantine, const char *dataset)
{
    for (size_t i = 0; i < quarantine->count; i++)
        if (strcmp(pending_at(quarantine, i)->dataset, dataset) == 0)
            return true;
    return false;
}

static void tell_waits(struct quarantine *quarantine)
{
    list_for_each(link, &quarantine->waits)
    {
        struct quarantine_wait *wait = list_item(link, struct quarantine_wait, link);
        if (any_of(quarantine, wait->dataset))
            continue;
        list_remove(&wait->link);
        loop_task_post(quarantine->loop, &wait->task);
    }
}

static void on_written(void *arg, const struct err *err)
{
    struct quarantine *quarantine = arg;
    quarantine->first = (quarantine->first + quarantine->writing) % QUARANTINE_PENDING_MAX;
    quarantine->count -= quarantine->writing;
    if (err == NULL)
        quarantine->stats.noted += quarantine->writing;
    else
        quarantine->stats.lost += quarantine->writing;
    quarantine->writing = 0;
    bool hurry = quarantine->count >= QUARANTINE_BATCH_MAX || !list_empty(&quarantine->waits);
    arm(quarantine, err != NULL ? QUARANTINE_RETRY_MS : hurry ? 0 : QUARANTINE_FLUSH_MS);
    tell_waits(quarantine);
}

static int write_notes(struct quarantine *quarantine, size_t count)
{
    struct buf arrays[ARRAY_COUNT];
    char rows_max[24], keep_days[24];
    for (size_t i = 0; i < ARRAY_COUNT; i++)
        buf_init(&arrays[i], BATCH_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        add_note(arrays, pending_at(quarantine, i), i == 0);
    const char *params[1 + ARRAY_COUNT + 2] = { pending_at(quarantine, 0)->dataset };
    for (size_t i = 0; i < ARRAY_COUNT; i++) {
        (void)buf_append_byte(&arrays[i], '}');
        params[1 + i] = buf_cstr(&arrays[i]);
    }
    (void)snprintf(rows_max, sizeof rows_max, "%d", QUARANTINE_DATASET_ROWS_MAX);
    (void)snprintf(keep_days, sizeof keep_days, "%d", QUARANTINE_KEEP_DAYS);
    params[1 + ARRAY_COUNT] = rows_max;
    params[2 + ARRAY_COUNT] = keep_days;
    struct db_sql sql = {
        .text = "SELECT control.quarantine_note($1, $2::bytea[], $3::bytea[], $4::bytea[],"
                " $5::bytea[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::integer,"
                " $11::integer)",
        .param_count = sizeof params / sizeof params[0],
        .params = params,
    };
    int result = behind_run(quarantine->behind, &sql, on_written, quarantine);
    for (size_t i = 0; i < ARRAY_COUNT; i++)
        buf_fini(&arrays[i]);
    return result;
}

static void flush(void *arg)
{
    struct quarantine *quarantine = arg;
    quarantine->armed = false;
    if (quarantine->count == 0 || quarantine->writing > 0)
        return;
    quarantine->writing = gather(quarantine);
    if (write_notes(quarantine, quarantine->writing) < 0) {
        quarantine->writing = 0;
        arm(quarantine, QUARANTINE_RETRY_MS);
    }
}

/* --- notes --------------------------------------------------------------------------------------- */

void quarantine_note(struct quarantine *quarantine, const struct quarantine_sighting *sighting,
                     const struct db_rows *rows, int row)
{
    char place[PLAN_KEY_TEXT_BYTES_MAX];
    if (quarantine->count == QUARANTINE_PENDING_MAX) {
        quarantine->stats.lost++;
        return;
    }
    struct quarantine_pending *note = pending_at(quarantine, quarantine->count);
    note->dataset = sighting->dataset->name;
    note->field = sighting->field != NULL ? sighting->field->name : "";
    note->rule = sighting->rule;
    note->code = sighting->code;
    memcpy(note->exchange_id, sighting->exchange_id, sizeof note->exchange_id);
    memcpy(note->fields, sighting->fields, sizeof note->fields);
    quarantine_row_digest(&quarantine->keys, rows, row, note->row);
    note->placed = schema_plan_row_place(sighting->plan, rows, row, place);
    if (note->placed) {
        quarantine_key_digest(&quarantine->keys, note->dataset, place, note->key);
        note->sealed_len = quarantine_seal(&quarantine->keys, note->key, place, note->sealed);
    }
    explicit_bzero(place, sizeof place);
    quarantine->count++;
    arm(quarantine, QUARANTINE_FLUSH_MS);
    if (quarantine->count - quarantine->writing >= QUARANTINE_BATCH_MAX && quarantine->armed)
        loop_timer_start(&quarantine->timer, 0);
}

bool quarantine_busy(const struct quarantine *quarantine)
{
    return quarantine->count > QUARANTINE_PENDING_MAX / 2;
}

void quarantine_wait_start(struct quarantine *quarantine, struct quarantine_wait *wait,
                           const char *dataset, void (*run)(void *arg), void *arg)
{
    wait->dataset = dataset;
    list_init(&wait->link);
    loop_task_init(&wait->task, run, arg);
    list_append(&quarantine->waits, &wait->link);
    if (quarantine->armed)
        loop_timer_start(&quarantine->timer, 0);
    tell_waits(quarantine);
}

void quarantine_wait_cancel(struct quarantine_wait *wait)
{
    list_remove(&wait->link);
    loop_task_cancel(&wait->task);
}

void quarantine_stats(const struct quarantine *quarantine, struct quarantine_stats *stats_r)
{
    *stats_r = quarantine->stats;
    stats_r->pending = quarantine->count;
}
