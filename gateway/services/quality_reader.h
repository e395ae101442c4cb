/* Reads one dataset from beginning to end for a call: leased, paced, paused while its user is busy.
 * Ownership: the struct lies in the call's state; quality_reader_stop ends it, started or not.
 * Callbacks: `row` for each row, `tick` every QUALITY_TICK_MS while rows are read; the end of the
 *   read resumes the call. None after quality_reader_stop.
 * Limits: counts as a stream of its source; rows per second as asked; the call's deadline.
 * Does not know what rows mean. */
#ifndef SLUICE_SERVICES_QUALITY_READER_H
#define SLUICE_SERVICES_QUALITY_READER_H

#include "rpc/call.h"
#include "services/gateway.h"

enum {
    QUALITY_TICK_MS = 50,
    QUALITY_RATE_DEFAULT = 50000, /* rows a second: a tenth of what one stream can read */
    QUALITY_RATE_MAX = 1000000,
};

struct quality_reader {
    struct call *call;
    struct gateway_source *source; /* NULL: not started */
    struct db_lease *lease;
    struct db_sql sql;
    struct loop_timer tick;
    int64_t rate;
    int64_t started_us;
    uint64_t rows;
    bool paused;
    bool done;
    struct err failed;
    void (*on_row)(struct call *call, const struct db_rows *row);
    /* May send progress; true: hold the read until the next tick. */
    bool (*on_tick)(struct call *call);
};

/* The rate that was asked for, or the default; -1 with INVALID_ARGUMENT/RATE_INVALID. */
int quality_rate(int64_t asked, int64_t *rate_r, struct err *err);
/* -1 with RESOURCE_EXHAUSTED/SOURCE_STREAMS_FULL. Parameters of `sql` live in the call's arena. */
int quality_reader_start(struct quality_reader *reader, struct call *call,
                         struct gateway_source *source, const struct db_sql *sql, int64_t rate,
                         struct err *err);
/* Pauses the read from within on_row; a tick without a reason to hold goes on. */
void quality_reader_hold(struct quality_reader *reader);
/* A row that cannot be used ends the read; the call is resumed. */
void quality_reader_fail(struct quality_reader *reader, const struct err *err);
/* For the resumed half of a step: WAIT until the read is over, then NEXT or FAIL. */
enum step_result quality_reader_result(struct quality_reader *reader);
void quality_reader_stop(struct quality_reader *reader);
/* Rows a second since the start. */
int64_t quality_reader_pace(const struct quality_reader *reader);

#endif
