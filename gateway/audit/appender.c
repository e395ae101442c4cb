#include "audit/appender.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/append_batch.h"
#include "audit/append_params.h"
#include "audit/checkpoint.h"
#include "audit/head_file.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "pg/db.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 1000,
    IDLE_CHECK_MS = 1000,
    LEASE_WAIT_US = 3 * 1000 * 1000,
    STATEMENT_US = 5 * 1000 * 1000,
    COMMIT_US =
        30 * 1000 * 1000, /* a standby may be slow; giving up early would only make it uncertain */
    TAIL_MAX = 16384,     /* leaf hashes of other gateways fetched at once */
    PARTITION_AHEAD = 1000 * 1000,
    LOCK_PARAMS = 4,
    LOCK_COLUMNS = 7,
    LOCK_CHARGE_COLUMNS = 10,
};

static const char sql_begin[] = "BEGIN";
static const char sql_commit[] = "COMMIT";
static const char sql_rollback[] = "ROLLBACK";
static const char sql_head[] =
    "SELECT origin, size, root, epoch, frontier, "
    "current_setting('transaction_read_only')::pg_catalog.bool FROM audit.head";
static const char sql_tail[] =
    "SELECT coalesce(string_agg(leaf_hash, '' ORDER BY index), '') FROM audit.entry "
    "WHERE index >= $1::pg_catalog.int8 AND index < $2::pg_catalog.int8";
static const char sql_partition[] = "SELECT audit.ensure_partition($1::pg_catalog.int8)";
static const char sql_lock[] =
    "SELECT origin, size, root, epoch, batch_first, known, tail FROM audit.lock_head("
    "$1::pg_catalog.uuid, $2::pg_catalog.uuid[], $3::pg_catalog.int8, $4::pg_catalog.int4)";
/* The same, and charges daily quotas behind the lock. */
static const char sql_lock_charge[] =
    "SELECT origin, size, root, epoch, batch_first, known, tail, charged, day, seconds_left "
    "FROM audit.lock_charge($1,$2,$3,$4,$5,$6,$7,$8,$9)";
static const char sql_append[] =
    "SELECT audit.append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,"
    "$21,$22,$23,$24,$25)";

enum appender_state {
    APPENDER_DOWN,       /* waits for the back-off timer */
    APPENDER_LEASING,    /* waits for a connection */
    APPENDER_CHECKING,   /* proves that the store extends what was signed */
    APPENDER_IDLE,       /* has a connection and nothing to do */
    APPENDER_COMMITTING, /* a batch is under way */
};

static const char *const state_names[] = { "down", "leasing", "checking", "idle", "committing" };

struct head {
    uint64_t size;
    uint8_t root[MERKLE_HASH_BYTES];
    int64_t epoch;
};

struct audit_appender {
    struct loop *loop;
    struct db_source *source;
    struct audit_appender_options options;
    char *origin;
    char *state_path;
    uint8_t salt_key[SALT_KEY_BYTES];
    enum appender_state state;
    struct db_lease *lease;
    struct list allowed;
    struct list denied;
    size_t queued;
    struct append_batch batch;
    struct append_batch committed; /* waits for its checkpoint to be kept */
    struct append_params params;
    struct merkle_frontier tree; /* of the committed log, as far as it is proven */
    struct merkle_frontier next; /* with the batch under way; or as far as a check has come */
    struct head target;          /* what a check must arrive at */
    bool tree_known;             /* from the file or from a head adopted at the first start */
    int64_t epoch;               /* of the head when we began; 0: not seen */
    int64_t partition_end;       /* first index that has no partition yet */
    bool locked;                 /* the batch holds the head's lock */
    bool meets_others; /* other gateways append too: lock first, or a batch would be sent twice */
    struct buf note;   /* the newest signed checkpoint */
    bool note_current; /* it is of `tree` */
    bool note_kept;    /* it is in the state file */
    struct loop_task next_task;
    struct loop_timer timer; /* back-off or idle check */
    int backoff_ms;
    bool writable;
    char reason[ERR_TEXT_BYTES];
    struct audit_appender_stats stats;
};

static void run_next(void *arg);
static void on_begun(void *arg, const struct db_rows *rows, const struct err *err);
static void start_lock(struct audit_appender *appender);
static void next_page(struct audit_appender *appender);

static void set_state(struct audit_appender *appender, enum appender_state state)
{
    if (appender->state != state)
        log_event(LOG_DEBUG, NULL, "audit_appender_state",
                  LOG_STR("from", state_names[appender->state]), LOG_STR("to", state_names[state]));
    appender->state = state;
}

static void set_writable(struct audit_appender *appender, bool writable, const char *reason)
{
    if (appender->writable == writable && strcmp(appender->reason, reason) == 0)
        return;
    appender->writable = writable;
    (void)snprintf(appender->reason, sizeof appender->reason, "%s", reason);
    log_event(writable ? LOG_INFO : LOG_WARN, NULL, "audit_state", LOG_INT("writable", writable),
              LOG_STR("why", reason));
    appender->options.state(appender->options.arg, writable, appender->reason);
}

/* Every failure ends here: the connection is given up, what was under way is tried again later. */
static void fail(struct audit_appender *appender, const struct err *err)
{
    log_error(LOG_WARN, NULL, "audit_append_failed", err);
    appender->stats.failures++;
    db_lease_release(&appender->lease);
    appender->locked = false;
    /* Whatever the failure was, the look-up behind the head's lock tells what became of the batch.
     */
    appender->batch.careful = true;
    set_state(appender, APPENDER_DOWN);
    set_writable(appender, false, err->text);
    loop_timer_start(&appender->timer, appender->backoff_ms);
    appender->backoff_ms *= 2;
    if (appender->backoff_ms > BACKOFF_MAX_MS)
        appender->backoff_ms = BACKOFF_MAX_MS;
}

static void refuse(struct audit_appender *appender, const char *text, const char *detail)
{
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_FAILED_PRECONDITION, "AUDIT_LOG_REFUSED", "%s", text);
    (void)err_detail(&err, "%s", detail);
    fail(appender, &err);
}

static void malformed(struct audit_appender *appender, const char *what)
{
    refuse(appender, "The audit store answered something unexpected; check its schema version.",
           what);
}

static void execute(struct audit_appender *appender, const char *text, int count,
                    const char *const *params, db_done_fn done)
{
    struct db_sql sql = { .text = text, .param_count = count, .params = params };
    db_lease_execute(appender->lease, &sql, loop_now_us(appender->loop) + STATEMENT_US, done,
                     appender);
}

static struct slice bytes_of(struct db_value value)
{
    return slice_of(value.data, value.len);
}

/* One row of `columns`, or the failure is dealt with and false is answered. */
static bool one_row(struct audit_appender *appender, const struct db_rows *rows,
                    const struct err *err, int columns)
{
    if (err != NULL) {
        fail(appender, err);
        return false;
    }
    if (db_row_count(rows) == 1 && db_column_count(rows) == columns)
        return true;
    malformed(appender, "wrong shape of result");
    return false;
}

/* --- checking that the store extends what was signed ----------------------------------------- */

/* Reads origin, size, root, epoch from columns 0 to 3 and judges them against what is known. */
static bool read_head(struct audit_appender *appender, const struct db_rows *rows,
                      struct head *head_r)
{
    struct slice origin = bytes_of(db_value(rows, 0, 0)), root = bytes_of(db_value(rows, 0, 2));
    struct db_value size = db_value(rows, 0, 1), epoch = db_value(rows, 0, 3);
    if (size.len != 8 || epoch.len != 8 || root.len != MERKLE_HASH_BYTES || db_int8(size) < 0 ||
        (uint64_t)db_int8(size) > MERKLE_SIZE_MAX) {
        malformed(appender, "bad head");
        return false;
    }
    head_r->size = (uint64_t)db_int8(size);
    head_r->epoch = db_int8(epoch);
    memcpy(head_r->root, root.data, MERKLE_HASH_BYTES);
    bool ours = origin.len == strlen(appender->origin) &&
                memcmp(origin.data, appender->origin, origin.len) == 0;
    if (!ours && !(origin.len == 0 && head_r->size == 0)) {
        refuse(appender, "The audit store holds the log of another origin.", "head.origin");
        return false;
    }
    if (appender->epoch != 0 && appender->epoch != head_r->epoch) {
        refuse(appender, "This gateway was fenced off the audit log; restart it.", "head.epoch");
        return false;
    }
    if (appender->tree_known && head_r->size < appender->tree.size) {
        refuse(appender, "The audit store was rolled back behind a signed checkpoint.",
               "head.size");
        return false;
    }
    return true;
}

/* Adds leaf hashes to `next` and judges it once it has the head's size. */
static bool extend(struct audit_appender *appender, struct slice hashes, const struct head *head)
{
    if (hashes.len % MERKLE_HASH_BYTES != 0 ||
        hashes.len / MERKLE_HASH_BYTES > head->size - appender->next.size) {
        malformed(appender, "bad leaf hashes");
        return false;
    }
    for (size_t at = 0; at < hashes.len; at += MERKLE_HASH_BYTES)
        merkle_frontier_append(&appender->next, hashes.data + at);
    if (appender->next.size < head->size)
        return true;
    uint8_t root[MERKLE_HASH_BYTES];
    merkle_frontier_root(&appender->next, root);
    if (memcmp(root, head->root, sizeof root) == 0)
        return true;
    refuse(appender, "The audit store does not extend the last signed checkpoint.", "head.root");
    return false;
}

/* Signs the proven tree, unless that is done. */
static void sign_tree(struct audit_appender *appender)
{
    struct checkpoint checkpoint = { .size = appender->tree.size };
    if (appender->note_current)
        return;
    (void)snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", appender->origin);
    merkle_frontier_root(&appender->tree, checkpoint.root);
    buf_reset(&appender->note);
    int full = checkpoint_sign(appender->options.signer, &checkpoint, &appender->note);
    assert(full == 0);
    appender->note_current = true;
    appender->note_kept = false;
}

/* Writes the newest checkpoint to its file and answers whom it covers. False when it could not be kept:
 * then nobody may be answered. A commit under way is not given up for that; its end tries again. */
static bool keep_and_answer(struct audit_appender *appender)
{
    struct err err = ERR_INIT;
    if (!appender->note_kept && head_file_store(appender->state_path, &appender->tree,
                                                buf_slice(&appender->note), &err) != 0) {
        if (appender->state == APPENDER_COMMITTING) {
            log_error(LOG_WARN, NULL, "audit_append_failed", &err);
            set_writable(appender, false, err.text);
        } else {
            fail(appender, &err);
        }
        return false;
    }
    appender->note_kept = true;
    if (appender->committed.count > 0)
        append_batch_answer(&appender->committed, buf_slice(&appender->note),
                            appender->options.send, appender->options.arg);
    append_batch_clear(&appender->committed);
    return true;
}

static void work_again(struct audit_appender *appender)
{
    appender->backoff_ms = BACKOFF_FIRST_MS;
    set_writable(appender, true, "");
}

static void check_done(struct audit_appender *appender)
{
    if (appender->next.size != appender->tree.size)
        appender->note_current = false;
    appender->tree = appender->next;
    appender->epoch = appender->target.epoch;
    appender->stats.size = appender->tree.size;
    /* After a crash the committed head is signed again: it may be newer than the last answer. */
    sign_tree(appender);
    if (!keep_and_answer(appender))
        return;
    set_state(appender, APPENDER_IDLE);
    /* With a batch at hand only its COMMIT can show that the store takes entries. */
    if (appender->batch.count == 0)
        work_again(appender);
    loop_timer_start(&appender->timer, IDLE_CHECK_MS);
    loop_task_post(appender->loop, &appender->next_task);
}

static void on_partition(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    if (!one_row(appender, rows, err, 1))
        return;
    struct db_value end = db_value(rows, 0, 0);
    if (end.len != 8) {
        malformed(appender, "bad partition end");
        return;
    }
    appender->partition_end = db_int8(end);
    check_done(appender);
}

static bool partition_near(const struct audit_appender *appender, uint64_t size)
{
    return appender->partition_end < (int64_t)size + PARTITION_AHEAD / 2;
}

static void check_partition(struct audit_appender *appender)
{
    char upto[24];
    const char *const params[] = { upto };
    if (!partition_near(appender, appender->next.size)) {
        check_done(appender);
        return;
    }
    (void)snprintf(upto, sizeof upto, "%llu",
                   (unsigned long long)appender->next.size + PARTITION_AHEAD);
    execute(appender, sql_partition, 1, params, on_partition);
}

static void on_page(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    if (!one_row(appender, rows, err, 1))
        return;
    struct slice hashes = bytes_of(db_value(rows, 0, 0));
    if (hashes.len == 0)
        refuse(appender, "The audit store lost entries that its head counts.",
               "missing leaf hashes");
    else if (extend(appender, hashes, &appender->target))
        next_page(appender);
}

static void next_page(struct audit_appender *appender)
{
    char from[24], to[24];
    const char *const params[] = { from, to };
    uint64_t end = appender->next.size + TAIL_MAX;
    if (end > appender->target.size)
        end = appender->target.size;
    if (appender->next.size == end) {
        check_partition(appender);
        return;
    }
    (void)snprintf(from, sizeof from, "%llu", (unsigned long long)appender->next.size);
    (void)snprintf(to, sizeof to, "%llu", (unsigned long long)end);
    execute(appender, sql_tail, 2, params, on_page);
}

/* With no file of our own the head found first is taken as it is; from then on it must be extended.
 */
static bool adopt(struct audit_appender *appender, struct slice frontier)
{
    uint8_t root[MERKLE_HASH_BYTES];
    if (merkle_frontier_parse(frontier.data, frontier.len, &appender->tree) != 0 ||
        appender->tree.size != appender->target.size) {
        malformed(appender, "bad frontier");
        return false;
    }
    merkle_frontier_root(&appender->tree, root);
    if (memcmp(root, appender->target.root, sizeof root) != 0) {
        refuse(appender, "The head of the audit store contradicts itself.", "head.frontier");
        return false;
    }
    appender->tree_known = true;
    if (appender->tree.size > 0)
        log_event(LOG_WARN, NULL, "audit_log_adopted", LOG_INT("size", appender->tree.size),
                  LOG_STR("why", "there is no state file yet"));
    return true;
}

static void on_head(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    if (!one_row(appender, rows, err, 6) || !read_head(appender, rows, &appender->target))
        return;
    if (db_bool(db_value(rows, 0, 5))) {
        refuse(appender,
               "The audit store is read-only; nothing is released until it can be written.",
               "transaction_read_only");
        return;
    }
    if (!appender->tree_known && !adopt(appender, bytes_of(db_value(rows, 0, 4))))
        return;
    appender->next = appender->tree;
    /* Compares the roots at once when nothing was added. */
    if (extend(appender, slice_of(NULL, 0), &appender->target))
        next_page(appender);
}

static void start_check(struct audit_appender *appender)
{
    set_state(appender, APPENDER_CHECKING);
    execute(appender, sql_head, 0, NULL, on_head);
}

static void on_leased(void *arg, const struct err *err)
{
    struct audit_appender *appender = arg;
    if (err != NULL)
        fail(appender, err);
    else
        start_check(appender);
}

static void start_lease(struct audit_appender *appender)
{
    set_state(appender, APPENDER_LEASING);
    appender->lease = db_lease_start(appender->source, loop_now_us(appender->loop) + LEASE_WAIT_US,
                                     on_leased, appender);
}

static void on_timer(void *arg)
{
    struct audit_appender *appender = arg;
    if (appender->state == APPENDER_DOWN)
        start_lease(appender);
    else if (appender->state == APPENDER_IDLE)
        start_check(appender);
}

/* --- one batch ---------------------------------------------------------------------------------
 */

/* Durable and signed. The next batch is sent before the checkpoint is written to its file, so that the
 * store and the disk work at the same time; only when it is kept may anybody hear of it. */
static void batch_done(struct audit_appender *appender)
{
    sign_tree(appender);
    set_state(appender, APPENDER_IDLE);
    /* The batch before this one could not be answered yet. */
    if (appender->committed.count > 0 && !keep_and_answer(appender))
        return;
    appender->stats.batches++;
    appender->stats.entries += appender->batch.fresh_count;
    appender->stats.size = appender->tree.size;
    append_batch_move(&appender->committed, &appender->batch);
    loop_timer_start(&appender->timer, IDLE_CHECK_MS);
    run_next(appender);
    if (keep_and_answer(appender))
        work_again(appender);
}

static void on_committed(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    (void)rows;
    if (err != NULL) {
        fail(appender, err);
        return;
    }
    appender->locked = false;
    if (appender->batch.fresh_count > 0) {
        append_batch_settle(&appender->batch, (int64_t)appender->tree.size);
        appender->tree = appender->next;
        appender->note_current = false;
    }
    batch_done(appender);
}

static void start_commit(struct audit_appender *appender)
{
    execute(appender, sql_commit, 0, NULL, on_committed);
}

static void on_appended(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    if (!one_row(appender, rows, err, 1))
        return;
    if (db_bool(db_value(rows, 0, 0)))
        start_commit(appender);
    else
        malformed(appender, "the head moved under its lock");
}

/* Of the short way: the transaction is over already. */
static void on_transacted(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    if (!one_row(appender, rows, err, 1))
        return;
    if (db_bool(db_value(rows, 0, 0))) {
        on_committed(appender, rows, NULL);
        return;
    }
    appender->meets_others = true; /* it changed nothing; now behind the head's lock */
    execute(appender, sql_begin, 0, NULL, on_begun);
}

static void fill_params(struct audit_appender *appender)
{
    struct append_batch *batch = &appender->batch;
    appender->next = appender->tree;
    for (size_t i = 0; i < batch->fresh_count; i++)
        merkle_frontier_append(&appender->next, append_item_hash(batch->fresh[i]));
    struct append_head head = {
        .origin = appender->origin,
        .epoch = appender->epoch,
        .before = &appender->tree,
        .after = &appender->next,
    };
    append_params_fill(&appender->params, batch->id, &head, batch->fresh, batch->fresh_count,
                       appender->salt_key);
}

static void start_append(struct audit_appender *appender)
{
    fill_params(appender);
    execute(appender, sql_append, APPEND_PARAM_COUNT, appender->params.values, on_appended);
}

/* Assumes the head is where we left it; the store answers false, and changes nothing, when it is
 * not. The whole transaction then takes one round trip and locks the row for the shortest time. */
static void start_transaction(struct audit_appender *appender)
{
    fill_params(appender);
    struct db_sql sql = { .text = sql_append,
                          .param_count = APPEND_PARAM_COUNT,
                          .params = appender->params.values };
    db_lease_transact(appender->lease, &sql, loop_now_us(appender->loop) + COMMIT_US, on_transacted,
                      appender);
}

static void on_rolled_back(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    (void)rows;
    appender->locked = false;
    if (err != NULL)
        fail(appender, err);
    else
        start_check(appender);
}

static void on_locked(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    struct append_batch *batch = &appender->batch;
    struct head head;
    if (!one_row(appender, rows, err, batch->charges ? LOCK_CHARGE_COLUMNS : LOCK_COLUMNS) ||
        !read_head(appender, rows, &head))
        return;
    struct db_value first = db_value(rows, 0, 4), tail = db_value(rows, 0, 6);
    appender->locked = true;
    if (tail.data == NULL) {
        /* Others wrote much meanwhile: catch up in pages, without holding the lock. */
        execute(appender, sql_rollback, 0, NULL, on_rolled_back);
        return;
    }
    appender->next = appender->tree;
    if (!extend(appender, bytes_of(tail), &head))
        return;
    if (appender->next.size != head.size) {
        refuse(appender, "The audit store lost entries that its head counts.",
               "missing leaf hashes");
        return;
    }
    appender->meets_others = appender->tree.size != head.size;
    if (appender->meets_others) {
        appender->note_current = false;
        appender->stats.contended++;
    }
    appender->tree = appender->next;
    int known = append_batch_known(batch, bytes_of(db_value(rows, 0, 5)));
    /* A batch is in the log as a whole or not at all. */
    if (known < 0 || (first.data != NULL && batch->fresh_count > 0)) {
        malformed(appender, "bad list of known entries");
        return;
    }
    if (batch->charges &&
        append_batch_charged(batch, bytes_of(db_value(rows, 0, 7)), db_int4(db_value(rows, 0, 8)),
                             (int64_t)db_int4(db_value(rows, 0, 9)) * 1000) != 0) {
        malformed(appender, "bad list of charges");
        return;
    }
    appender->stats.known += (uint64_t)known;
    if (batch->fresh_count > 0)
        start_append(appender);
    else
        start_commit(appender);
}

static void start_lock(struct audit_appender *appender)
{
    char batch_id[UUID_TEXT_BYTES], from[24], tail_max[24];
    struct buf ids;
    buf_init(&ids, (UUID_TEXT_BYTES + 1) * (APPENDER_BATCH_MAX + 1));
    uuid_format(appender->batch.id, batch_id);
    append_params_ids(&ids, appender->batch.items, appender->batch.count);
    (void)snprintf(from, sizeof from, "%llu", (unsigned long long)appender->tree.size);
    (void)snprintf(tail_max, sizeof tail_max, "%d", TAIL_MAX);
    const char *params[LOCK_PARAMS + APPEND_CHARGE_PARAM_COUNT] = { batch_id, buf_cstr(&ids), from,
                                                                    tail_max };
    if (appender->batch.charges) {
        append_params_charges(&appender->params, appender->batch.items, appender->batch.count);
        memcpy(params + LOCK_PARAMS, appender->params.values,
               APPEND_CHARGE_PARAM_COUNT * sizeof *params);
        execute(appender, sql_lock_charge, LOCK_PARAMS + APPEND_CHARGE_PARAM_COUNT, params,
                on_locked);
    } else {
        execute(appender, sql_lock, LOCK_PARAMS, params, on_locked);
    }
    buf_fini(&ids);
}

static void on_begun(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct audit_appender *appender = arg;
    (void)rows;
    if (err != NULL)
        fail(appender, err);
    else
        start_lock(appender);
}

/* Starts the next batch as soon as nothing is under way: what arrived meanwhile is in it. */
static void run_next(void *arg)
{
    struct audit_appender *appender = arg;
    if (appender->state != APPENDER_IDLE)
        return;
    if (appender->batch.count == 0) {
        append_batch_take(&appender->batch, &appender->allowed, &appender->denied);
        appender->queued -= appender->batch.count;
    }
    if (appender->batch.count == 0)
        return;
    loop_timer_cancel(&appender->timer);
    if (partition_near(appender, appender->tree.size)) {
        start_check(appender);
        return;
    }
    set_state(appender, APPENDER_COMMITTING);
    /* What a quota refuses changes the leaves, so their hashes are known only behind the lock. */
    if (appender->batch.careful || appender->meets_others || appender->batch.charges)
        execute(appender, sql_begin, 0, NULL, on_begun);
    else
        start_transaction(appender);
}

/* --- for the owner ------------------------------------------------------------------------------
 */

struct audit_appender *audit_appender_new(struct loop *loop, struct db_source *source,
                                          const struct audit_appender_options *options,
                                          struct err *err)
{
    struct audit_appender *appender = mem_zero(sizeof *appender);
    appender->loop = loop;
    appender->source = source;
    appender->options = *options;
    appender->origin = mem_strdup(options->origin);
    appender->state_path = mem_strdup(options->state_path);
    memcpy(appender->salt_key, options->salt_key, SALT_KEY_BYTES);
    list_init(&appender->allowed);
    list_init(&appender->denied);
    append_params_init(&appender->params);
    buf_init(&appender->note, NOTE_BYTES_MAX);
    loop_task_init(&appender->next_task, run_next, appender);
    loop_timer_init(&appender->timer, loop, on_timer, appender);
    appender->backoff_ms = BACKOFF_FIRST_MS;
    (void)snprintf(appender->reason, sizeof appender->reason, "%s",
                   "The auditor is still checking the audit store.");
    int loaded = head_file_load(appender->state_path, appender->origin, &appender->tree, err);
    if (loaded < 0) {
        audit_appender_free(&appender);
        return NULL;
    }
    appender->tree_known = loaded == 1;
    loop_timer_start(&appender->timer, 0);
    return appender;
}

static void free_queue(struct list *queue)
{
    for (struct list *link; (link = list_pop(queue)) != NULL;) {
        struct append_item *item = list_item(link, struct append_item, link);
        append_item_free(&item);
    }
}

void audit_appender_free(struct audit_appender **appender)
{
    struct audit_appender *a = *appender;
    if (a == NULL)
        return;
    db_lease_release(&a->lease);
    loop_task_cancel(&a->next_task);
    loop_timer_fini(&a->timer);
    append_batch_clear(&a->batch);
    append_batch_clear(&a->committed);
    free_queue(&a->allowed);
    free_queue(&a->denied);
    append_params_fini(&a->params);
    buf_fini(&a->note);
    OPENSSL_cleanse(a->salt_key, sizeof a->salt_key);
    free(a->origin);
    free(a->state_path);
    free(a);
    *appender = NULL;
}

void audit_appender_receive(struct audit_appender *appender, void *worker,
                            const Sluice__Internal__AppendRequest *request)
{
    for (size_t i = 0; i < request->n_entries; i++) {
        struct err err = ERR_INIT;
        struct append_item *item = append_item_new(worker, request->entries[i], &err);
        if (item == NULL) {
            appender->stats.invalid++;
            log_error(LOG_ERROR, NULL, "audit_entry_invalid", &err);
            continue;
        }
        list_append(item->denied ? &appender->denied : &appender->allowed, &item->link);
        appender->queued++;
    }
    loop_task_post(appender->loop, &appender->next_task);
}

static void forget_in(struct list *queue, const void *worker)
{
    list_for_each(link, queue)
    {
        struct append_item *item = list_item(link, struct append_item, link);
        if (item->worker == worker)
            item->worker = NULL;
    }
}

void audit_appender_forget(struct audit_appender *appender, void *worker)
{
    forget_in(&appender->allowed, worker);
    forget_in(&appender->denied, worker);
    append_batch_forget(&appender->batch, worker);
    append_batch_forget(&appender->committed, worker);
}

int audit_appender_unwrap(const struct audit_appender *appender, struct slice entry_id,
                          struct slice wrapped, uint8_t salt_r[SALT_BYTES])
{
    if (entry_id.len != UUID_BYTES)
        return -1;
    return salt_unwrap(appender->salt_key, entry_id.data, wrapped.data, wrapped.len, salt_r);
}

bool audit_appender_writable(const struct audit_appender *appender, const char **reason_r)
{
    if (reason_r != NULL)
        *reason_r = appender->reason;
    return appender->writable;
}

bool audit_appender_idle(const struct audit_appender *appender)
{
    return appender->queued == 0 && appender->batch.count == 0 && appender->committed.count == 0;
}

struct slice audit_appender_checkpoint(const struct audit_appender *appender)
{
    return buf_slice(&appender->note);
}

void audit_appender_stats(const struct audit_appender *appender,
                          struct audit_appender_stats *stats_r)
{
    *stats_r = appender->stats;
    stats_r->queued = appender->queued;
}
