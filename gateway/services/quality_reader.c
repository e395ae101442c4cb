#include "services/quality_reader.h"

static void finish(struct quality_reader *reader)
{
    reader->done = true;
    loop_timer_cancel(&reader->tick);
    call_resume(reader->call);
}

int64_t quality_reader_pace(const struct quality_reader *reader)
{
    const struct gateway *gateway = reader->call->context;
    int64_t elapsed_us = loop_now_us(gateway->loop) - reader->started_us;
    return elapsed_us > 0 ? (int64_t)((double)reader->rows * 1e6 / (double)elapsed_us) : 0;
}

/* How many rows may have come by now: those of the time gone by and of one tick more. */
static uint64_t allowed(const struct quality_reader *reader)
{
    const struct gateway *gateway = reader->call->context;
    double elapsed_s = (double)(loop_now_us(gateway->loop) - reader->started_us) / 1e6;
    return (uint64_t)((elapsed_s + (double)QUALITY_TICK_MS / 1000) * (double)reader->rate) + 1;
}

void quality_reader_hold(struct quality_reader *reader)
{
    if (reader->paused)
        return;
    reader->paused = true;
    db_lease_pause(reader->lease);
}

static void on_row(void *arg, const struct db_rows *row)
{
    struct quality_reader *reader = arg;
    if (reader->done)
        return;
    reader->rows++;
    reader->on_row(reader->call, row);
    if (!reader->done && reader->rows >= allowed(reader))
        quality_reader_hold(reader);
}

static void on_read(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    struct quality_reader *reader = arg;
    if (err != NULL && reader->failed.code == ERR_OK)
        reader->failed = *err;
    finish(reader);
}

static void on_tick(void *arg)
{
    struct quality_reader *reader = arg;
    bool hold = reader->on_tick(reader->call);
    if (reader->done)
        return;
    if (hold) {
        quality_reader_hold(reader);
    } else if (reader->paused && reader->rows < allowed(reader)) {
        reader->paused = false;
        db_lease_resume(reader->lease);
    }
    loop_timer_start(&reader->tick, QUALITY_TICK_MS);
}

static void on_lease(void *arg, const struct err *err)
{
    struct quality_reader *reader = arg;
    const struct gateway *gateway = reader->call->context;
    if (err != NULL) {
        reader->failed = *err;
        reader->lease = NULL; /* a refused lease dies with this callback */
        finish(reader);
        return;
    }
    reader->started_us = loop_now_us(gateway->loop);
    loop_timer_start(&reader->tick, QUALITY_TICK_MS);
    db_lease_query(reader->lease, &reader->sql, reader->call->deadline_us, on_row, on_read, reader);
}

int quality_rate(int64_t asked, int64_t *rate_r, struct err *err)
{
    if (asked < 0 || asked > QUALITY_RATE_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "RATE_INVALID", "rows_per_second may be 0 to %d",
                       QUALITY_RATE_MAX);
    *rate_r = asked > 0 ? asked : QUALITY_RATE_DEFAULT;
    return 0;
}

int quality_reader_start(struct quality_reader *reader, struct call *call,
                         struct gateway_source *source, const struct db_sql *sql, int64_t rate,
                         struct err *err)
{
    const struct gateway *gateway = call->context;
    if (source->streams >= gateway->conf->streams_per_source)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, "SOURCE_STREAMS_FULL",
                       "the owner's database already serves as many streams as it allows; try "
                       "again later");
    source->streams++;
    reader->call = call;
    reader->source = source;
    reader->sql = *sql;
    reader->rate = rate;
    reader->rows = 0;
    reader->paused = false;
    reader->done = false;
    err_clear(&reader->failed);
    reader->started_us = loop_now_us(gateway->loop);
    loop_timer_init(&reader->tick, gateway->loop, on_tick, reader);
    reader->lease = db_lease_start(source->db, call->deadline_us, on_lease, reader);
    return 0;
}

void quality_reader_fail(struct quality_reader *reader, const struct err *err)
{
    reader->failed = *err;
    finish(reader);
}

enum step_result quality_reader_result(struct quality_reader *reader)
{
    if (!reader->done)
        return STEP_WAIT;
    if (reader->failed.code == ERR_OK)
        return STEP_NEXT;
    reader->call->err = reader->failed;
    return STEP_FAIL;
}

void quality_reader_stop(struct quality_reader *reader)
{
    if (reader->source == NULL)
        return;
    reader->source->streams--;
    reader->source = NULL;
    reader->done = true;
    db_lease_release(&reader->lease);
    loop_timer_fini(&reader->tick);
}
