#include "services/quality_account.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "schema/record.h"

enum { SLOTS_FIRST = 1024, DAY_S = 86400 };

struct quality_key_slot {
    uint64_t key; /* 0: free */
    uint32_t record;
    uint32_t rows;
    uint32_t repeated;
};

/* --- rows ------------------------------------------------------------------------------------------ */

void quality_rows_add(struct quality_rows *rows, enum schema_row_state state)
{
    rows->read++;
    switch (state) {
    case ROW_DELIVERED:
        rows->delivered++;
        break;
    case ROW_QUARANTINED:
        rows->quarantined++;
        break;
    case ROW_DUPLICATE:
        rows->duplicates++;
        break;
    }
}

bool quality_rows_balance(const struct quality_rows *rows)
{
    return rows->read == rows->delivered + rows->quarantined + rows->filtered + rows->duplicates;
}

bool quality_thresholds_exceeded(const struct schema_thresholds *thresholds,
                                 const struct quality_rows *rows, bool whole,
                                 char text_r[QUALITY_SENTENCE_BYTES])
{
    uint64_t limit = thresholds->quarantined_per_million_max;
    if (thresholds->quarantined_rows_max > 0 &&
        rows->quarantined > thresholds->quarantined_rows_max) {
        (void)snprintf(text_r, QUALITY_SENTENCE_BYTES,
                       "%" PRIu64 " rows are in quarantine; the dataset allows %" PRIu64,
                       rows->quarantined, thresholds->quarantined_rows_max);
        return true;
    }
    /* 128 bits: a share of rows must not wrap however many they are. */
    bool over =
        (unsigned __int128)rows->quarantined * 1000000 > (unsigned __int128)rows->read * limit;
    if (limit > 0 && over && rows->read >= thresholds->rows_min &&
        (whole || thresholds->rows_min > 0)) {
        (void)snprintf(text_r, QUALITY_SENTENCE_BYTES,
                       "%" PRIu64 " of %" PRIu64
                       " rows are in quarantine; the dataset allows %" PRIu64 " in a million",
                       rows->quarantined, rows->read, limit);
        return true;
    }
    text_r[0] = '\0';
    return false;
}

/* --- life ------------------------------------------------------------------------------------------ */

void quality_account_init(struct quality_account *account, const struct schema_dataset *dataset,
                          int64_t now_s)
{
    *account = (struct quality_account){ .dataset = dataset, .now_s = now_s };
    ids_random(account->key, sizeof account->key);
    account->fields = mem_array(dataset->type->field_count + 1, sizeof *account->fields);
    account->verdicts = mem_array(dataset->type->field_count + 1, sizeof *account->verdicts);
    account->reasons = mem_array(QUALITY_REASONS_MAX, sizeof *account->reasons);
    account->vintage = dataset->freshness.field != NULL ? dataset->freshness.field
                                                        : schema_record_vintage(dataset->type);
    account->newest_s = account->newest_past_s = INT64_MIN;
    quality_keys_init(&account->keys, false);
}

void quality_account_fini(struct quality_account *account)
{
    free(account->fields);
    free(account->verdicts);
    free(account->reasons);
    quality_keys_fini(&account->keys);
    explicit_bzero(account->key, sizeof account->key);
}

/* --- reasons ---------------------------------------------------------------------------------------- */

static void add_reason(struct quality_account *account, const struct schema_field *field,
                       const char *rule, const char *code)
{
    for (size_t i = 0; i < account->reason_count; i++) {
        struct quality_reason *reason = &account->reasons[i];
        if (reason->field == field && strcmp(reason->code, code) == 0 &&
            strcmp(reason->rule, rule) == 0) {
            reason->count++;
            return;
        }
    }
    if (account->reason_count == QUALITY_REASONS_MAX) {
        account->reasons_left_out++;
        return;
    }
    account->reasons[account->reason_count++] =
        (struct quality_reason){ .field = field, .rule = rule, .code = code, .count = 1 };
}

static void add_verdict(struct quality_account *account, const struct schema_field *field,
                        const struct schema_verdict *verdict, bool delivered)
{
    struct quality_field *figures = &account->fields[field->position];
    if (verdict->state == VERDICT_UNMAPPED)
        return;
    figures->mapped = true;
    figures->present += !verdict->absent;
    if (verdict->warning != NULL) {
        figures->warned++;
        add_reason(account, field, "", verdict->warning);
    }
    if (verdict->state != VERDICT_REJECTED) {
        figures->delivered += delivered && !verdict->absent;
        return;
    }
    figures->rejected += !verdict->absent;
    figures->missing += verdict->absent;
    add_reason(account, field, verdict->rule, verdict->code);
}

/* --- keys ------------------------------------------------------------------------------------------- */

void quality_keys_init(struct quality_keys *keys, bool ordered)
{
    *keys = (struct quality_keys){ .sampled = 1, .ordered = ordered };
}

void quality_keys_fini(struct quality_keys *keys)
{
    free(keys->slots);
    keys->slots = NULL;
    explicit_bzero(keys->last, sizeof keys->last);
}

static struct quality_key_slot *find_slot(const struct quality_keys *keys, uint64_t key)
{
    /* The lowest bits choose the sample, so the place is taken from the highest. */
    size_t at = (size_t)(key >> 32) & (keys->slot_count - 1);
    while (keys->slots[at].key != 0 && keys->slots[at].key != key)
        at = (at + 1) & (keys->slot_count - 1);
    return &keys->slots[at];
}

/* Twice the slots; at the limit half the keys go instead, with all that was counted of them. */
static void make_room(struct quality_keys *keys)
{
    struct quality_key_slot *old = keys->slots;
    size_t old_count = keys->slot_count;
    if (old_count < QUALITY_KEYS_SLOTS_MAX)
        keys->slot_count = old_count == 0 ? SLOTS_FIRST : old_count * 2;
    else
        keys->sampled *= 2;
    keys->slots = mem_array(keys->slot_count, sizeof *keys->slots);
    keys->used = 0;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].key == 0)
            continue;
        if (old[i].key % keys->sampled != 0) {
            keys->rows -= old[i].rows;
            keys->repeated -= old[i].repeated;
            keys->keys--;
            continue;
        }
        *find_slot(keys, old[i].key) = old[i];
        keys->used++;
    }
    free(old);
}

void quality_keys_add(struct quality_keys *keys, const uint8_t hash_key[HASH_BYTES],
                      const char *key, uint32_t record_digest)
{
    if (key == NULL)
        return;
    if (keys->ordered) {
        bool same = keys->rows > 0 && strcmp(keys->last, key) == 0;
        keys->rows++;
        keys->keys += !same;
        keys->repeated += same && record_digest != 0 && record_digest == keys->last_record;
        memcpy(keys->last, key, strlen(key) + 1);
        keys->last_record = record_digest;
        return;
    }
    uint8_t digest[HASH_BYTES];
    uint64_t number;
    struct slice piece = slice_of(key, strlen(key));
    hash_hmac(hash_key, HASH_BYTES, &piece, 1, digest);
    memcpy(&number, digest, sizeof number);
    number |= (uint64_t)1 << 63; /* never 0 */
    if (number % keys->sampled != 0)
        return;
    if (keys->used * 4 >= keys->slot_count * 3)
        make_room(keys);
    if (number % keys->sampled != 0)
        return;
    struct quality_key_slot *slot = find_slot(keys, number);
    bool repeated = slot->key != 0 && record_digest != 0 && slot->record == record_digest;
    if (slot->key == 0) {
        *slot = (struct quality_key_slot){ .key = number, .record = record_digest };
        keys->used++;
        keys->keys++;
    }
    slot->rows++;
    slot->repeated += repeated;
    keys->rows++;
    keys->repeated += repeated;
}

/* --- ages ------------------------------------------------------------------------------------------- */

static const struct {
    int days;
    const char *label;
} buckets[QUALITY_AGE_BUCKETS] = {
    { 0, "in the future" },   { 1, "up to 1 day" },      { 7, "1 to 7 days" },
    { 30, "7 to 30 days" },   { 90, "30 to 90 days" },   { 365, "90 to 365 days" },
    { 1096, "1 to 3 years" }, { 3653, "3 to 10 years" }, { 0, "over 10 years" },
};

const char *quality_age_label(size_t bucket)
{
    return bucket < QUALITY_AGE_BUCKETS ? buckets[bucket].label : "";
}

void quality_ages_add(struct quality_account *account, int64_t seconds)
{
    size_t bucket = 0;
    if (seconds <= account->now_s) {
        /* Instants of canonical records lie within 0001 to 9999: no difference overflows. */
        int64_t age_s = account->now_s - seconds;
        bucket = 1;
        while (bucket + 1 < QUALITY_AGE_BUCKETS && age_s > (int64_t)buckets[bucket].days * DAY_S)
            bucket++;
    }
    account->ages[bucket]++;
    if (seconds > account->newest_s)
        account->newest_s = seconds;
    if (seconds > account->newest_past_s && seconds <= account->now_s)
        account->newest_past_s = seconds;
}

static uint64_t age_rows(const uint64_t ages[QUALITY_AGE_BUCKETS])
{
    uint64_t rows = 0;
    for (size_t i = 0; i < QUALITY_AGE_BUCKETS; i++)
        rows += ages[i];
    return rows;
}

size_t quality_age_median(const uint64_t ages[QUALITY_AGE_BUCKETS])
{
    uint64_t half = age_rows(ages) / 2, seen = 0;
    for (size_t i = 0; i < QUALITY_AGE_BUCKETS; i++) {
        seen += ages[i];
        if (seen > half)
            return i;
    }
    return QUALITY_AGE_BUCKETS;
}

/* A date in the future says nothing of how fresh a record is: such rows are in no share. */
double quality_age_within(const uint64_t ages[QUALITY_AGE_BUCKETS], int days)
{
    uint64_t rows = age_rows(ages), fresh = 0;
    for (size_t i = 1; i + 1 < QUALITY_AGE_BUCKETS && buckets[i].days <= days; i++)
        fresh += ages[i];
    return rows > 0 ? (double)fresh / (double)rows : 0;
}

/* --- expectations ---------------------------------------------------------------------------------- */

size_t quality_account_expectations(const struct quality_account *account,
                                    struct quality_expectation *out)
{
    const struct schema_dataset *dataset = account->dataset;
    const struct schema_freshness *freshness = &dataset->freshness;
    size_t count = 0;
    if (freshness->field != NULL) {
        bool dated = account->newest_past_s != INT64_MIN;
        int64_t age_s = dated ? account->now_s - account->newest_past_s : QUALITY_NOTHING_FOUND;
        out[count++] = (struct quality_expectation){
            .kind = QUALITY_FRESHNESS,
            .field = freshness->field,
            .bound = freshness->max_age_s,
            .found = age_s,
            .met = dated && age_s <= freshness->max_age_s,
        };
    }
    for (size_t i = 0; i < dataset->expectation_count; i++) {
        const struct schema_expectation *expected = &dataset->expectations[i];
        uint64_t present = account->fields[expected->field->position].delivered;
        uint64_t records = account->rows.delivered;
        int64_t share = records > 0 ? (int64_t)((unsigned __int128)present * 1000000 / records)
                                    : QUALITY_NOTHING_FOUND;
        out[count++] = (struct quality_expectation){
            .kind = QUALITY_PRESENCE,
            .field = expected->field,
            .bound = expected->present_per_million_min,
            .found = share,
            .met = share >= (int64_t)expected->present_per_million_min,
        };
    }
    return count;
}

/* --- one row ---------------------------------------------------------------------------------------- */

static void add_key(struct quality_account *account, const struct schema_plan *plan,
                    const struct db_rows *rows, int row, struct slice record)
{
    char key[PLAN_KEY_TEXT_BYTES_MAX], cursor[PLAN_KEY_TEXT_BYTES_MAX];
    uint32_t number = 0;
    if (!schema_plan_row_key(plan, rows, row, key))
        return;
    /* Where the cursor is the key itself, one key has one stored form, and the rows come in its
     * order. */
    if (account->keys.rows == 0)
        account->keys.ordered =
            schema_plan_row_cursor(plan, rows, row, cursor) && strcmp(cursor, key) == 0;
    if (record.len > 0) {
        uint8_t digest[HASH_BYTES];
        hash_hmac(account->key, sizeof account->key, &record, 1, digest);
        memcpy(&number, digest, sizeof number);
        number |= 1;
    }
    quality_keys_add(&account->keys, account->key, key, number);
}

int quality_account_row(struct quality_account *account, const struct schema_plan *plan,
                        const struct db_rows *rows, int row, const struct schema_row_report *report,
                        struct slice record, struct err *err)
{
    const struct schema_message *type = account->dataset->type;
    if (schema_plan_row_judge(plan, rows, row, account->verdicts, err) < 0)
        return -1;
    quality_rows_add(&account->rows, report->state);
    for (size_t i = 0; i < type->field_count; i++)
        add_verdict(account, &type->fields[i], &account->verdicts[i],
                    report->state == ROW_DELIVERED);
    if (report->state == ROW_QUARANTINED && report->field == NULL)
        add_reason(account, NULL, report->rule, report->code);
    add_key(account, plan, rows, row, record);
    int64_t seconds = 0;
    if (account->vintage != NULL && record.len > 0 &&
        schema_record_seconds(type, account->vintage, record, &seconds))
        quality_ages_add(account, seconds);
    return 0;
}
