/* sluice audit export: the log as static files, from the control database. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/columns.h"
#include "audit/log_writer.h"
#include "audit/tile.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/audit_export.h"
#include "cli/audit_files.h"
#include "cli/control_db.h"
#include "cli/remote.h"
#include "cli/text.h"

enum {
    PAGE_ENTRIES = 2048,
    FOLLOW_PAUSE_SECONDS = 2,
};

static const char page_sql[] =
    "SELECT e.index, e.leaf, e.leaf_hash, e.id, e.time_us, e.kind::bigint, e.outcome::bigint,"
    " e.subject, e.department, e.owner, e.dataset, e.agreement, e.purpose, e.exchange_id, i.index"
    " FROM audit.entry e LEFT JOIN audit.entry_id i ON i.id = e.id"
    " WHERE e.index >= $1::bigint AND e.index < $2::bigint ORDER BY e.index";
static const char minimum_sql[] = "SELECT index FROM audit.minimum";
static const char tiles_sql[] = "SELECT tile * 256, hashes FROM audit.hash_tile"
                                " WHERE tile >= $1::bigint / 256 AND tile < $2::bigint / 256"
                                " ORDER BY tile";
enum page_column {
    COLUMN_INDEX,
    COLUMN_LEAF,
    COLUMN_LEAF_HASH,
    COLUMN_ID,
    COLUMN_TIME,
    COLUMN_KIND,
    COLUMN_OUTCOME,
    COLUMN_TEXTS,
    COLUMN_EXCHANGE = COLUMN_TEXTS + COLUMNS_TEXTS,
    COLUMN_ID_INDEX,
};
static const char batches_sql[] =
    "SELECT first, id::text || ' ' || first::text || ' ' || count::text || chr(10)"
    " FROM audit.batch WHERE first >= $1::bigint AND first < $2::bigint ORDER BY first, id";

struct export
{
    const struct cli *cli;
    const char *folder;
    PGconn *conn;
    uint64_t minimum; /* entries below were pruned: only their hashes are there */
    struct log_writer *writer;
    struct buf note;
    struct checkpoint checkpoint;
    struct merkle_frontier trial; /* what the leaves make, before anything is written */
    bool same_hashes;             /* as those the database holds beside them */
    bool trying;
    PGresult *batches; /* that begin in the page */
    int batch;         /* the next of them */
    struct buf line;
    uint64_t next; /* index wanted next */
    bool progress;
};

/* --- rows --------------------------------------------------------------------------------------
 */

static struct slice value(const PGresult *rows, int row, int column)
{
    if (PQgetisnull(rows, row, column))
        return slice_of("", 0);
    return slice_of(PQgetvalue(rows, row, column), (size_t)PQgetlength(rows, row, column));
}

static int64_t number(const PGresult *rows, int row, int column)
{
    struct slice bytes = value(rows, row, column);
    uint64_t result = 0;

    if (bytes.len != 8)
        return -1;
    for (size_t i = 0; i < 8; i++)
        result = result << 8 | bytes.data[i];
    return (int64_t)result;
}

static int write_entry(struct export *export, struct slice leaf, const uint8_t *leaf_hash)
{
    struct err err = ERR_INIT;
    int result = 0;

    for (; export->batch < PQntuples(export->batches) && result == 0 &&
           number(export->batches, export->batch, 0) < (int64_t) export->next;
         export->batch++)
        result = log_writer_batch(export->writer, value(export->batches, export->batch, 1), &err);
    if (result == 0)
        result = log_writer_add(export->writer, leaf, leaf_hash, buf_slice(&export->line), &err);
    if (result == 0)
        return EXIT_OK;
    COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
    return EXIT_FAILED;
}

static int add(struct export *export, struct slice leaf, const uint8_t *leaf_hash)
{
    uint8_t hash[MERKLE_HASH_BYTES];

    export->next++;
    if (!export->trying)
        return write_entry(export, leaf, leaf_hash);
    merkle_leaf_hash(leaf.data, leaf.len, hash);
    merkle_frontier_append(&export->trial, hash);
    export->same_hashes = export->same_hashes && memcmp(hash, leaf_hash, sizeof hash) == 0;
    return EXIT_OK;
}

/* An entry that is not there stands as an empty one, which no entry is. */
static int add_missing(struct export *export, uint64_t until)
{
    uint8_t hash[MERKLE_HASH_BYTES];
    int status = EXIT_OK;

    merkle_leaf_hash("", 0, hash);
    buf_reset(&export->line);
    (void)buf_append_str(&export->line, "missing\n");
    while (status == EXIT_OK && export->next < until) {
        export->same_hashes = false;
        status = add(export, slice_of("", 0), hash);
    }
    return status;
}

static int add_row(struct export *export, const PGresult *rows, int row)
{
    struct slice leaf = value(rows, row, COLUMN_LEAF);
    struct slice hash = value(rows, row, COLUMN_LEAF_HASH);
    uint8_t none[MERKLE_HASH_BYTES] = { 0 };
    struct audit_columns columns = {
        .leaf_hash = hash,
        .id = value(rows, row, COLUMN_ID),
        .time_us = number(rows, row, COLUMN_TIME),
        .kind = number(rows, row, COLUMN_KIND),
        .outcome = number(rows, row, COLUMN_OUTCOME),
        .exchange_id = value(rows, row, COLUMN_EXCHANGE),
        .id_index = number(rows, row, COLUMN_ID_INDEX),
    };

    for (int i = 0; i < COLUMNS_TEXTS; i++)
        columns.texts[i] = value(rows, row, COLUMN_TEXTS + i);
    buf_reset(&export->line);
    if (leaf.len > TILE_ENTRY_BYTES_MAX || columns_write(&columns, &export->line) != 0) {
        char index[24];
        snprintf(index, sizeof index, "%" PRIu64, export->next);
        COMPLAIN(MSG_EXPORT_TOO_LARGE, index);
        return EXIT_FAILED;
    }
    return add(export, leaf, hash.len == sizeof none ? hash.data : none);
}

static int take_page(struct export *export, const PGresult *rows, uint64_t until)
{
    int status = EXIT_OK;

    for (int row = 0; row < PQntuples(rows) && status == EXIT_OK; row++) {
        uint64_t index = (uint64_t)number(rows, row, COLUMN_INDEX);
        if (index < export->next) {
            char text[24];
            snprintf(text, sizeof text, "%" PRIu64, index);
            COMPLAIN(MSG_EXPORT_TWICE, text);
            return EXIT_FAILED;
        }
        status = add_missing(export, index);
        if (status == EXIT_OK)
            status = add_row(export, rows, row);
    }
    return status == EXIT_OK ? add_missing(export, until) : status;
}

/* Hashes that are kept of entries that were pruned. */
static int add_pruned(struct export *export, const char *const *range, uint64_t until)
{
    int status = EXIT_OK;
    PGresult *rows = control_db_query_binary(export->conn, tiles_sql, range, 2, &status);

    buf_reset(&export->line);
    for (int row = 0; rows != NULL && row < PQntuples(rows) && status == EXIT_OK; row++) {
        struct slice hashes = value(rows, row, 1);
        if (number(rows, row, 0) != (int64_t) export->next || hashes.len != TILE_BYTES_MAX)
            break;
        for (size_t at = 0; at < hashes.len && status == EXIT_OK; at += MERKLE_HASH_BYTES) {
            if (export->trying) {
                export->next++;
                merkle_frontier_append(&export->trial, hashes.data + at);
            } else {
                status = add(export, slice_of("", 0), hashes.data + at);
            }
        }
    }
    PQclear(rows);
    return status == EXIT_OK ? add_missing(export, until) : status;
}

static void show_progress(const struct export *export)
{
    char done[TEXT_COUNT_BYTES], all[TEXT_COUNT_BYTES];

    if (!export->progress)
        return;
    text_count(export->next, done);
    text_count(export->checkpoint.size, all);
    fprintf(stderr, "\r%s / %s ", done, all);
    if (export->next == export->checkpoint.size)
        fputc('\n', stderr);
}

static int each_page(struct export *export, const char *const *range, uint64_t until)
{
    int status = EXIT_OK;
    PGresult *rows = control_db_query_binary(export->conn, page_sql, range, 2, &status);

    if (rows != NULL && !export->trying)
        export->batches = control_db_query_binary(export->conn, batches_sql, range, 2, &status);
    if (status == EXIT_OK)
        status = take_page(export, rows, until);
    PQclear(rows);
    PQclear(export->batches);
    export->batches = NULL;
    export->batch = 0;
    return status;
}

/* All entries from the writer's next up to the checkpoint: tried, or written. */
static int each_entry(struct export *export, bool trying)
{
    int status = EXIT_OK;

    export->trying = trying;
    export->next = log_writer_next(export->writer);
    while (status == EXIT_OK && export->next < export->checkpoint.size) {
        char from[24], to[24];
        bool pruned = export->next < export->minimum;
        uint64_t until = export->next + PAGE_ENTRIES;
        uint64_t end = pruned ? export->minimum : export->checkpoint.size;
        if (until > end)
            until = end;
        snprintf(from, sizeof from, "%" PRIu64, export->next);
        snprintf(to, sizeof to, "%" PRIu64, until);
        const char *const range[] = { from, to };
        status = pruned ? add_pruned(export, range, until) : each_page(export, range, until);
        if (!trying)
            show_progress(export);
    }
    return status;
}

/* --- one run ------------------------------------------------------------------------------------
 */

/* Whether the database holds what the checkpoint says, without writing anything. */
static int try_entries(struct export *export, bool *good_r)
{
    uint8_t root[MERKLE_HASH_BYTES];

    export->trial = *log_writer_tree(export->writer);
    export->same_hashes = true;
    int status = each_entry(export, true);
    merkle_frontier_root(&export->trial, root);
    *good_r = export->same_hashes && memcmp(root, export->checkpoint.root, sizeof root) == 0;
    return status;
}

static int write_entries(struct export *export, bool good)
{
    struct err err = ERR_INIT;
    bool matches = false;
    int status = each_entry(export, false);

    if (status != EXIT_OK)
        return status;
    if (log_writer_publish(export->writer, buf_slice(&export->note), &export->checkpoint, !good,
                           &matches, &err) != 0) {
        COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
        return EXIT_FAILED;
    }
    return good && matches ? EXIT_OK : EXIT_FAILED;
}

/* A folder that was good so far stays good: entries that do not match its checkpoint go only into a
 * fresh one, for `audit verify` to find the place. */
static int export_once(struct export *export)
{
    bool good = false, fresh = log_writer_published(export->writer) == 0;
    int status;

    if (export->checkpoint.size < log_writer_published(export->writer)) {
        COMPLAIN(MSG_EXPORT_BEHIND);
        return EXIT_FAILED;
    }
    if (export->checkpoint.size == log_writer_published(export->writer) && !fresh)
        return EXIT_OK;
    status = try_entries(export, &good);
    if (status != EXIT_OK)
        return status;
    if (!good && (!fresh || cli_option_set(export->cli, OPT_FOLLOW))) {
        COMPLAIN(MSG_EXPORT_REFUSED);
        return EXIT_FAILED;
    }
    status = write_entries(export, good);
    if (!good && status == EXIT_FAILED)
        COMPLAIN(MSG_EXPORT_DAMAGED, export->folder);
    return status;
}

static int read_checkpoint(struct export *export)
{
    const char *path = cli_option_text(export->cli, OPT_CHECKPOINT, NULL);

    return path != NULL ? audit_note_file(path, &export->note, &export->checkpoint)
                        : audit_note_ask(export->cli, &export->note, &export->checkpoint);
}

static int follow(struct export *export)
{
    const struct timespec pause = { .tv_sec = FOLLOW_PAUSE_SECONDS };
    const char *path = export->folder;
    int status = EXIT_OK;

    while (status == EXIT_OK) {
        struct err err = ERR_INIT;
        nanosleep(&pause, NULL);
        status = read_checkpoint(export);
        if (status != EXIT_OK || export->checkpoint.size == log_writer_published(export->writer))
            continue;
        /* A writer goes on from full tiles; the partial ones are begun again. */
        log_writer_close(&export->writer);
        export->writer = log_writer_open(path, &err);
        if (export->writer == NULL) {
            COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
            return EXIT_FAILED;
        }
        status = export_once(export);
    }
    return status;
}

static int read_minimum(struct export *export)
{
    int status = EXIT_OK;
    PGresult *rows = control_db_query_binary(export->conn, minimum_sql, NULL, 0, &status);

    if (rows != NULL && PQntuples(rows) == 1)
        export->minimum = (uint64_t)number(rows, 0, 0);
    PQclear(rows);
    return status;
}

static int cannot(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    return EXIT_FAILED;
}

/* `range` NULL: all that is there. */
static int restrict_range(struct export *export, const struct log_writer_range *range)
{
    struct log_writer_range wanted = { export->minimum, LOG_WRITER_NO_END };
    bool fresh = log_writer_published(export->writer) == 0;
    struct err err = ERR_INIT;
    char minimum[24];

    snprintf(minimum, sizeof minimum, "%" PRIu64, export->minimum);
    if (range != NULL) {
        wanted = *range;
        if (wanted.to > export->checkpoint.size)
            wanted.to = export->checkpoint.size;
        if (wanted.from >= wanted.to)
            return cli_usage(export->cli, MSG_EXPORT_RANGE, NULL);
    }
    if (range == NULL &&
        (export->minimum == 0 || (!fresh && log_writer_next(export->writer) >= export->minimum)))
        return EXIT_OK;
    if (wanted.from < export->minimum || (range == NULL && !fresh)) {
        COMPLAIN(MSG_EXPORT_PRUNED, minimum);
        return EXIT_FAILED;
    }
    return log_writer_restrict(export->writer, &wanted, &err) == 0 ? EXIT_OK : cannot(&err);
}

static int run(struct export *export, const struct log_writer_range *range)
{
    struct err err = ERR_INIT;
    char count[TEXT_COUNT_BYTES];
    int status = read_checkpoint(export);

    if (status != EXIT_OK)
        return status;
    export->conn = control_db_open(export->cli, &status);
    if (export->conn == NULL)
        return status;
    status = read_minimum(export);
    if (status != EXIT_OK)
        return status;
    export->writer = log_writer_open(export->folder, &err);
    if (export->writer == NULL)
        return cannot(&err);
    status = restrict_range(export, range);
    if (status == EXIT_OK)
        status = export_once(export);
    if (status == EXIT_OK && cli_option_set(export->cli, OPT_FOLLOW))
        status = follow(export);
    if (status == EXIT_OK) {
        text_count(export->checkpoint.size, count);
        NOTE(MSG_EXPORTED, count, export->folder);
    }
    return status;
}

int audit_export_folder(const struct cli *cli, const char *folder,
                        const struct log_writer_range *range)
{
    struct export *export = mem_zero(sizeof *export);
    int status;

    export->cli = cli;
    export->folder = folder;
    export->progress = isatty(STDERR_FILENO) == 1;
    buf_init(&export->note, NOTE_BYTES_MAX);
    buf_init(&export->line, COLUMNS_LINE_BYTES_MAX);
    status = run(export, range);
    log_writer_close(&export->writer);
    PQfinish(export->conn);
    buf_fini(&export->note);
    buf_fini(&export->line);
    free(export);
    return status;
}

int audit_export(struct cli *cli)
{
    struct log_writer_range range;
    long from, to;
    bool ranged = cli_option_set(cli, OPT_FROM) || cli_option_set(cli, OPT_TO);

    if (!cli_option_number(cli, OPT_FROM, 0, LONG_MAX, 0, &from) ||
        !cli_option_number(cli, OPT_TO, 1, LONG_MAX, LONG_MAX, &to))
        return EXIT_USAGE;
    if (ranged && (cli_option_set(cli, OPT_FOLLOW) || from >= to))
        return cli_usage(cli, MSG_EXPORT_RANGE, NULL);
    range = (struct log_writer_range){ (uint64_t)from, (uint64_t)to };
    return audit_export_folder(cli, cli->operands[0], ranged ? &range : NULL);
}
