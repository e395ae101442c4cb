/* sluice audit restore: a log's files, verified first, into the empty log of a new control database. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/archive.h"
#include "audit/columns.h"
#include "audit/tile.h"
#include "audit/tile_store.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/audit_files.h"
#include "cli/control_db.h"
#include "cli/text.h"

static const char begin_sql[] =
    "BEGIN; CREATE TEMP TABLE restore_entry (index bigint PRIMARY KEY, leaf bytea, leaf_hash bytea,"
    " id uuid, time_us bigint, kind smallint, outcome smallint, subject text, department text,"
    " owner text, dataset text, agreement text, purpose text, exchange_id uuid, id_index bigint)"
    " ON COMMIT DROP; CREATE TEMP TABLE restore_batch (id uuid, first bigint, count bigint)"
    " ON COMMIT DROP; SELECT size FROM audit.head FOR UPDATE";
static const char entries_sql[] = "COPY pg_temp.restore_entry FROM STDIN";
static const char batches_sql[] = "COPY pg_temp.restore_batch FROM STDIN (DELIMITER ' ')";
static const char finish_sql[] =
    "INSERT INTO audit.entry SELECT index, leaf, leaf_hash, id, time_us, kind, outcome, subject,"
    " department, owner, dataset, agreement, purpose, exchange_id FROM pg_temp.restore_entry;"
    " INSERT INTO audit.entry_id SELECT id, index FROM pg_temp.restore_entry;"
    " INSERT INTO audit.batch SELECT b.id, b.first, count(*), to_timestamp(max(e.time_us) / 1e6)"
    " FROM pg_temp.restore_batch b JOIN pg_temp.restore_entry e"
    " ON e.index >= b.first AND e.index < b.first + b.count GROUP BY b.id, b.first";
static const char head_sql[] =
    "UPDATE audit.head SET origin = $1, size = $2::bigint, frontier = decode($3, 'hex'),"
    " root = decode($4, 'hex') WHERE size = 0";

struct restore {
    struct cli *cli;
    const char *folders[VERIFY_ARCHIVES_MAX + 1]; /* the one restored, then its archives */
    struct tile_store *stores[VERIFY_ARCHIVES_MAX + 1];
    size_t count;
    struct audit_policy *policy;
    struct verify_report *report;
    PGconn *conn;
    struct merkle_frontier tree;
    struct buf bundle, columns, batches, copy;
};

static int cannot(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    return EXIT_FAILED;
}

/* --- before anything is loaded -------------------------------------------------------------------- */

static int verify(struct restore *restore)
{
    struct verify_log_options options = { .policy = restore->policy,
                                          .archives = restore->folders + 1,
                                          .archive_count = restore->count - 1 };
    struct err err = ERR_INIT;

    verify_report_init(restore->report);
    if (verify_log(restore->folders[0], &options, restore->report, &err) != 0)
        return cannot(&err);
    for (size_t i = 0; i < restore->count; i++) {
        struct buf manifest;
        buf_init(&manifest, ARCHIVE_MANIFEST_BYTES_MAX);
        int found = archive_read(restore->folders[i], &manifest, &err);
        buf_fini(&manifest);
        if (found < 0 ||
            (found == 1 && archive_verify(restore->folders[i], restore->report, &err) != 0))
            return cannot(&err);
    }
    if (restore->report->bad > 0) {
        COMPLAIN(MSG_RESTORE_DAMAGED, restore->folders[0]);
        return EXIT_FAILED;
    }
    if (restore->report->covered_from == 0 && restore->report->covered_to > 0)
        return EXIT_OK;
    COMPLAIN(MSG_RESTORE_BEGINNING);
    return EXIT_FAILED;
}

/* What the gateway has signed already must all be there, or the log would go back behind it. */
static int check_rollback(const struct restore *restore)
{
    const char *path = cli_option_text(restore->cli, OPT_CHECKPOINT, NULL);
    char here[24], signed_size[24];
    struct checkpoint newest;
    struct buf note;
    int status;

    if (path == NULL) {
        NOTE(MSG_RESTORE_UNCHECKED);
        return EXIT_OK;
    }
    buf_init(&note, NOTE_BYTES_MAX);
    status = audit_note_file(path, &note, &newest);
    buf_fini(&note);
    if (status != EXIT_OK || newest.size <= restore->report->covered_to)
        return status;
    snprintf(here, sizeof here, "%" PRIu64, restore->report->covered_to);
    snprintf(signed_size, sizeof signed_size, "%" PRIu64, newest.size);
    COMPLAIN(MSG_RESTORE_ROLLBACK, here, signed_size);
    return EXIT_FAILED;
}

/* --- loading -------------------------------------------------------------------------------------- */

static int read_part(struct restore *restore, enum tile_kind kind, uint64_t bundle, struct buf *out)
{
    char path[TILE_PATH_BYTES];
    struct tile tile = { .kind = kind, .index = bundle };
    struct err err = ERR_INIT;
    int found = 0;

    tile.width = tile_width(restore->report->checkpoint.size, 0, bundle);
    tile_path(&tile, path);
    for (size_t i = 0; i < restore->count && found == 0; i++)
        found = tile_store_read(restore->stores[i], path, out, &err);
    if (found == 0)
        (void)err_set(&err, ERR_DATA_LOSS, "TILE_MISSING", "%s is missing.", path);
    return found == 1 ? EXIT_OK : cannot(&err);
}

static int copy_in(struct restore *restore, const char *sql, struct slice data)
{
    PGresult *result = PQexec(restore->conn, sql);
    bool good = PQresultStatus(result) == PGRES_COPY_IN;

    PQclear(result);
    good = good && PQputCopyData(restore->conn, (const char *)data.data, (int)data.len) == 1 &&
           PQputCopyEnd(restore->conn, NULL) == 1;
    int status = EXIT_OK;
    while ((result = PQgetResult(restore->conn)) != NULL) {
        if (status == EXIT_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
            status = control_db_complain(restore->conn, result);
        PQclear(result);
    }
    return good || status != EXIT_OK ? status : EXIT_FAILED;
}

/* A line for COPY: index and leaf, then the columns as they lie there, which begin with the hash. */
static int add_line(struct restore *restore, struct slice leaf, struct slice *lines)
{
    uint8_t hash[MERKLE_HASH_BYTES];
    const uint8_t *end = lines->len > 0 ? memchr(lines->data, '\n', lines->len) : NULL;
    struct buf *copy = &restore->copy;

    if (end == NULL || buf_append_format(copy, "%" PRIu64 "\t\\\\x", restore->tree.size) != 0 ||
        buf_reserve(copy, 2 * leaf.len + 1) != 0)
        return EXIT_FAILED;
    hex_encode(leaf.data, leaf.len, (char *)copy->data + copy->len);
    copy->len += 2 * leaf.len;
    size_t len = (size_t)(end - lines->data) + 1;
    if (buf_append_str(copy, "\t\\\\x") != 0 || buf_append(copy, lines->data, len) != 0)
        return EXIT_FAILED;
    *lines = slice_of(lines->data + len, lines->len - len);
    merkle_leaf_hash(leaf.data, leaf.len, hash);
    merkle_frontier_append(&restore->tree, hash);
    return EXIT_OK;
}

static int load_bundle(struct restore *restore, uint64_t bundle)
{
    int status = read_part(restore, TILE_ENTRIES, bundle, &restore->bundle);

    if (status == EXIT_OK)
        status = read_part(restore, TILE_COLUMNS, bundle, &restore->columns);
    if (status == EXIT_OK)
        status = read_part(restore, TILE_BATCHES, bundle, &restore->batches);
    struct slice rest = buf_slice(&restore->bundle), lines = buf_slice(&restore->columns), leaf;
    buf_reset(&restore->copy);
    while (status == EXIT_OK && tile_entry_next(&rest, &leaf) == 1)
        status = add_line(restore, leaf, &lines);
    if (status == EXIT_OK)
        status = copy_in(restore, entries_sql, buf_slice(&restore->copy));
    return status == EXIT_OK && restore->batches.len > 0
               ? copy_in(restore, batches_sql, buf_slice(&restore->batches))
               : status;
}

static int begin(struct restore *restore)
{
    PGresult *result = control_db_script(restore->conn, begin_sql);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    int status = good ? EXIT_OK : control_db_complain(restore->conn, result);

    if (good && strcmp(PQgetvalue(result, 0, 0), "0") != 0) {
        COMPLAIN(MSG_RESTORE_NOT_EMPTY);
        status = EXIT_FAILED;
    }
    PQclear(result);
    return status;
}

static int set_head(struct restore *restore)
{
    const struct verify_report *report = restore->report;
    uint8_t root[MERKLE_HASH_BYTES];
    char root_hex[2 * MERKLE_HASH_BYTES + 1], size[24];
    struct buf frontier;

    merkle_frontier_root(&restore->tree, root);
    if (restore->tree.size != report->covered_to ||
        (restore->tree.size == report->checkpoint.size &&
         memcmp(root, report->checkpoint.root, sizeof root) != 0)) {
        COMPLAIN(MSG_RESTORE_DAMAGED, restore->folders[0]);
        return EXIT_FAILED;
    }
    hex_encode(root, sizeof root, root_hex);
    snprintf(size, sizeof size, "%" PRIu64, restore->tree.size);
    buf_init(&frontier, MERKLE_FRONTIER_BYTES_MAX);
    (void)merkle_frontier_write(&restore->tree, &frontier);
    char *hex = mem_zero(2 * frontier.len + 1);
    hex_encode(frontier.data, frontier.len, hex);
    const char *const params[] = { restore->policy->origin, size, hex, root_hex };
    int status = control_db_run(restore->conn, head_sql, params, 4);
    free(hex);
    buf_fini(&frontier);
    return status;
}

static int load(struct restore *restore)
{
    uint64_t end = restore->report->covered_to;
    char last[24];
    int status = begin(restore);

    snprintf(last, sizeof last, "%" PRIu64, end - 1);
    const char *const params[] = { last };
    if (status == EXIT_OK)
        status =
            control_db_run(restore->conn, "SELECT audit.ensure_partition($1::bigint)", params, 1);
    for (uint64_t i = 0; i * TILE_WIDTH < end && status == EXIT_OK; i++)
        status = load_bundle(restore, i);
    if (status != EXIT_OK)
        return status;
    PGresult *result = control_db_script(restore->conn, finish_sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        status = control_db_complain(restore->conn, result);
    PQclear(result);
    if (status == EXIT_OK)
        status = set_head(restore);
    return status == EXIT_OK ? control_db_commit(restore->conn) : status;
}

/* --- the command ---------------------------------------------------------------------------------- */

static int run(struct restore *restore)
{
    struct err err = ERR_INIT;
    char count[TEXT_COUNT_BYTES];
    int status = verify(restore);

    if (status == EXIT_OK)
        status = check_rollback(restore);
    for (size_t i = 0; i < restore->count && status == EXIT_OK; i++) {
        restore->stores[i] = tile_store_open(restore->folders[i], false, &err);
        if (restore->stores[i] == NULL)
            status = cannot(&err);
    }
    if (status == EXIT_OK)
        restore->conn = control_db_open(restore->cli, &status);
    if (status == EXIT_OK)
        status = load(restore);
    if (status == EXIT_OK) {
        text_count(restore->tree.size, count);
        NOTE(MSG_RESTORED, count, restore->folders[0]);
    }
    return status;
}

int audit_restore(struct cli *cli)
{
    struct restore *restore = mem_zero(sizeof *restore);
    const char *names = cli_option_text(cli, OPT_ARCHIVES, NULL);
    char *copy = names != NULL ? mem_strdup(names) : NULL;
    int status = EXIT_USAGE;

    restore->cli = cli;
    restore->folders[0] = cli->operands[0];
    restore->report = mem_zero(sizeof *restore->report);
    restore->policy = audit_policy_file(cli);
    merkle_frontier_init(&restore->tree);
    buf_init(&restore->bundle, TILE_BUNDLE_BYTES_MAX);
    buf_init(&restore->columns, TILE_STORE_FILE_BYTES_MAX);
    buf_init(&restore->batches, TILE_STORE_FILE_BYTES_MAX);
    buf_init(&restore->copy, (size_t)4 * TILE_BUNDLE_BYTES_MAX);
    if (restore->policy != NULL)
        status = audit_archive_names(copy, restore->folders + 1, &restore->count);
    restore->count++;
    if (status == EXIT_OK)
        status = run(restore);
    PQfinish(restore->conn);
    for (size_t i = 0; i < restore->count; i++)
        tile_store_close(&restore->stores[i]);
    struct buf *bufs[] = { &restore->bundle, &restore->columns, &restore->batches, &restore->copy };
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_fini(bufs[i]);
    audit_policy_free(&restore->policy);
    free(restore->report);
    free(copy);
    free(restore);
    return status;
}
