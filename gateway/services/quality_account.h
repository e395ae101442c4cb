/* The accounts of one assessment: rows, fields, reasons, keys and ages, added row by row.
 * Ownership: the struct is the caller's; what it holds is freed by quality_account_fini.
 * Never calls back.
 * Limits: QUALITY_REASONS_MAX different reasons; QUALITY_KEYS_BYTES_MAX for keys whose stored form
 *   is not their canonical one. Beyond that one key in 2, 4, 8 … is compared with all its rows, and
 *   the figures say so. Memory does not grow with rows.
 * Does not read rows and does not store anything. */
#ifndef SLUICE_SERVICES_QUALITY_ACCOUNT_H
#define SLUICE_SERVICES_QUALITY_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/hash.h"
#include "schema/plan.h"

enum {
    QUALITY_REASONS_MAX = 512,
    QUALITY_KEYS_SLOTS_MAX = 1 << 19,
    QUALITY_KEYS_BYTES_MAX = QUALITY_KEYS_SLOTS_MAX * 24, /* 12 MiB: 393,216 keys exactly */
    QUALITY_AGE_BUCKETS = 9,
};

/* read = delivered + quarantined + filtered + duplicates */
struct quality_rows {
    uint64_t read;
    uint64_t delivered;
    uint64_t quarantined;
    uint64_t filtered;
    uint64_t duplicates;
};
/* Counts one row by what schema_plan_row said of it. */
void quality_rows_add(struct quality_rows *rows, enum schema_row_state state);
bool quality_rows_balance(const struct quality_rows *rows);

/* Why a job of these rows must stop, as a sentence in `text_r`; false: it may go on. The share is
 * judged from thresholds->rows_min rows on; where that is 0, when all rows are read (`whole`): one
 * bad row at the beginning is a share of 100 %. */
enum { QUALITY_SENTENCE_BYTES = 200 };
bool quality_thresholds_exceeded(const struct schema_thresholds *thresholds,
                                 const struct quality_rows *rows, bool whole,
                                 char text_r[QUALITY_SENTENCE_BYTES]);

struct quality_field {
    uint64_t present;
    uint64_t rejected; /* of these */
    uint64_t missing;  /* required and absent */
    uint64_t warned;
    uint64_t delivered; /* records with a stored value that passed */
    bool mapped;
};

struct quality_reason {
    const struct schema_field *field; /* NULL: the row as a whole */
    const char *rule;                 /* literals; "" is a warning */
    const char *code;
    uint64_t count;
};

struct quality_keys {
    uint64_t rows; /* compared */
    uint64_t keys;
    uint64_t repeated;
    uint32_t sampled; /* one key in so many */
    struct quality_key_slot *slots;
    size_t slot_count;
    size_t used;
    bool ordered; /* equal keys stand side by side: nothing needs to be kept */
    char last[PLAN_KEY_TEXT_BYTES_MAX];
    uint32_t last_record;
};

struct quality_account {
    const struct schema_dataset *dataset;
    uint8_t key[HASH_BYTES]; /* of this run's digests, random */
    int64_t now_s;
    struct quality_rows rows;
    struct quality_field *fields; /* by position */
    struct schema_verdict *verdicts;
    struct quality_reason *reasons;
    size_t reason_count;
    uint64_t reasons_left_out;
    struct quality_keys keys;
    const struct schema_field *vintage; /* the mapping's freshness field, or a guess; NULL: none */
    uint64_t ages[QUALITY_AGE_BUCKETS];
    int64_t newest_s;      /* INT64_MIN: no row has a value */
    int64_t newest_past_s; /* the same without what lies in the future */
};

/* What the mapping expects of the dataset (its keys `freshness` and `expect`), judged. */
enum quality_expectation_kind { QUALITY_FRESHNESS = 1, QUALITY_PRESENCE = 2 };
enum { QUALITY_NOTHING_FOUND = -1 }; /* no value, no record: nothing meets an expectation then */

struct quality_expectation {
    enum quality_expectation_kind kind;
    const struct schema_field *field;
    int64_t bound; /* seconds at most, or millionths of the delivered records at least */
    int64_t found; /* in the same unit, rounded to the worse side; or QUALITY_NOTHING_FOUND */
    bool met;
};

void quality_account_init(struct quality_account *account, const struct schema_dataset *dataset,
                          int64_t now_s);
void quality_account_fini(struct quality_account *account);

/* Judges one row. `record` is what schema_plan_row made of it, empty unless it was delivered.
 * account->verdicts holds each field's verdict afterwards. -1 as schema_plan_row_judge. */
int quality_account_row(struct quality_account *account, const struct schema_plan *plan,
                        const struct db_rows *rows, int row, const struct schema_row_report *report,
                        struct slice record, struct err *err);

/* Into `out`, which has room for one more than the dataset's expectations; answers how many. */
size_t quality_account_expectations(const struct quality_account *account,
                                    struct quality_expectation *out);

/* The parts of it that tests look at by themselves. `key` NULL: no valid key. `record_digest` 0: no
 * record. */
void quality_keys_init(struct quality_keys *keys, bool ordered);
void quality_keys_add(struct quality_keys *keys, const uint8_t hash_key[HASH_BYTES],
                      const char *key, uint32_t record_digest);
void quality_keys_fini(struct quality_keys *keys);
void quality_ages_add(struct quality_account *account, int64_t seconds);
/* English label of a bucket: "up to 1 day" … "over 10 years", "in the future". */
const char *quality_age_label(size_t bucket);
/* The bucket that holds the middle row; QUALITY_AGE_BUCKETS when there is none. */
size_t quality_age_median(const uint64_t ages[QUALITY_AGE_BUCKETS]);
/* Share of rows at most so many days old; 1 of the limits 1, 7, 30, 90, 365. */
double quality_age_within(const uint64_t ages[QUALITY_AGE_BUCKETS], int days);

#endif
