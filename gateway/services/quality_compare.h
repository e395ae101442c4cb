/* Private to CompareDatasets: what its steps share. quality_compare.c runs the passes,
 *   quality_compare_rights.c decides, quality_compare_values.c reads and shows the conflicts.
 * Ownership: struct compare is the call's state; keys and values lie in the call's arena.
 * Callbacks: through the call's steps.
 * Limits: COMPARE_*_MAX.
 * Not for other services. */
#ifndef SLUICE_SERVICES_QUALITY_COMPARE_H
#define SLUICE_SERVICES_QUALITY_COMPARE_H

#include "services/compare_table.h"
#include "services/exchange.h"
#include "services/quality.h"
#include "services/quality_reader.h"

enum {
    COMPARE_TABLE_BYTES_MAX = 16 * 1024 * 1024, /* about 200,000 keys of five fields a pass */
    COMPARE_PASSES_MAX = 64,                    /* each reads both datasets once more */
    COMPARE_CONFLICTS_DEFAULT = 100,
    COMPARE_CONFLICTS_MAX = 1000, /* as the audit log's row form */
    COMPARE_VALUES_BYTES_MAX = 4 * 1024 * 1024,
};

struct compare_input {
    struct gateway_dataset *dataset;
    struct schema_plan *plan;
    bool own; /* the caller's department owns it, and the plan is this call's */
    uint64_t rows;
    uint64_t unreadable;
};

struct compare_part {
    uint32_t parts;
    uint32_t part;
};

struct compare_conflict {
    const char *key;
    uint64_t digest;
    uint64_t mask; /* of compare->fields */
    struct slice records[2];
};

struct compare {
    struct exchange exchange; /* first: the grant is for the dataset of the other department */
    struct compare_input inputs[2];
    const struct schema_message *type;
    const struct schema_field *fields[COMPARE_FIELDS_MAX];
    size_t field_count;
    const struct schema_field *vintage; /* NULL: not readable on both sides */
    struct compare_table table;
    struct compare_counts counts;
    struct quality_reader reader;
    enum compare_side side;
    struct buf record; /* scratch of one */
    int32_t pass;
    int32_t passes;
    struct compare_part later[COMPARE_PASSES_MAX];
    size_t later_count;
    int64_t progress_us;
    struct compare_conflict *conflicts;
    size_t conflict_count;
    size_t conflicts_before; /* of the passes that are over */
    size_t conflicts_max;
    int64_t rate;
    struct db_lease *lease; /* of the side whose values are read */
    struct db_sql sql;
    size_t value_at; /* conflicts whose values this side has read */
    size_t value_bytes;
    bool waiting;
    struct err failed;
    Sluice__V1__Comparison *answer;
};

enum step_result compare_authorise(struct call *call);
enum step_result compare_values(struct call *call);
enum step_result compare_values_read(struct call *call);
enum step_result compare_build(struct call *call);

#endif
