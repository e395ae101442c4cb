/* A row of the quarantine store, and what reading it again says of it.
 * Ownership: texts and messages lie in the arena given; the plan is the caller's.
 * Never calls back.
 * Limits: PLAN_PLACE_ROWS_MAX rows at one place.
 * Does not talk to a database. */
#ifndef SLUICE_SERVICES_QUARANTINE_ITEM_H
#define SLUICE_SERVICES_QUARANTINE_ITEM_H

#include "services/quarantine.h"
#include "sluice/v1/quality.pb-c.h"

struct quarantine_item {
    int64_t id;
    const struct schema_field *field; /* NULL: the row as a whole, or a field that is gone */
    const char *field_name;
    const char *rule;
    const char *code;
    enum quarantine_state state;
    uint8_t key[HASH_BYTES];
    uint8_t row[HASH_BYTES];
    uint8_t fields[PLAN_BITMAP_BYTES]; /* of the plan that read it */
    char place[PLAN_KEY_TEXT_BYTES_MAX];
    bool readable; /* the place could be opened */
    Sluice__V1__QuarantineItem *message;
};

/* The columns of a SELECT that quarantine_item_from_row reads. */
extern const char quarantine_columns[];
/* Only the message: for lists. */
Sluice__V1__QuarantineItem *quarantine_message(struct arena *arena, const struct db_rows *rows,
                                               int row);
struct quarantine_item *quarantine_item_from_row(struct arena *arena,
                                                 const struct quarantine_keys *keys,
                                                 const struct schema_dataset *dataset,
                                                 const struct db_rows *rows, int row);

struct quarantine_finding {
    enum quarantine_state state;
    int row;          /* that was judged; -1: none */
    const char *rule; /* that rejects it now, literals; "" when none does */
    const char *code;
};
/* `rows` is the answer to schema_plan_place; `plan` reads item->fields. -1 as schema_plan_row. */
int quarantine_item_judge(const struct quarantine_item *item, const struct quarantine_keys *keys,
                          const struct schema_dataset *dataset, const struct schema_plan *plan,
                          const struct db_rows *rows, struct quarantine_finding *finding_r,
                          struct err *err);

/* What a rule expects, for people, in English and Chinese; a general sentence for unknown ones. */
void quarantine_rule_expects(const char *rule, const char *code, const char **english_r,
                             const char **chinese_r);
/* The shape of a text: 9 for a digit, a or A for a letter (full width stays full width), 某 for any
 * other letter; blanks, punctuation and invisible characters, the usual culprits, stay. */
char *quarantine_shape(struct arena *arena, const char *text);

#endif
