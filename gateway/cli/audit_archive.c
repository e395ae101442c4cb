/* sluice audit archive: old entries as files, checked by reading them back; only then may they be pruned. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/archive.h"
#include "audit/hash.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/audit_export.h"
#include "cli/audit_files.h"
#include "cli/control_db.h"
#include "cli/remote.h"
#include "cli/text.h"

enum { BLOCK = 1024 }; /* archives have whole blocks, see migration 013 */

static const char bounds_sql[] =
    "SELECT m.index, coalesce(audit.archivable(), 0) FROM audit.minimum m";

struct archive {
    struct cli *cli;
    const char *folder;
    PGconn *conn;
    struct log_writer_range range;
    char manifest[2 * HASH_BYTES + 1];
};

static int cannot(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    return EXIT_FAILED;
}

/* --- what to archive ------------------------------------------------------------------------------ */

/* From the minimum index to --to, or as far as entries are old enough. */
static int find_range(struct archive *archive)
{
    int status = EXIT_OK;
    long to;
    PGresult *rows = control_db_query(archive->conn, bounds_sql, NULL, 0, &status);

    if (rows == NULL)
        return status;
    archive->range.from = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
    uint64_t most = strtoull(PQgetvalue(rows, 0, 1), NULL, 10);
    PQclear(rows);
    if (!cli_option_number(archive->cli, OPT_TO, 1, LONG_MAX, (long)most, &to))
        return EXIT_USAGE;
    archive->range.to = (uint64_t)to;
    if (archive->range.to % BLOCK != 0)
        return cli_usage(archive->cli, MSG_ARCHIVE_BLOCKS, NULL);
    if (archive->range.to <= most && archive->range.from < archive->range.to)
        return EXIT_OK;
    char from[24], end[24];
    snprintf(from, sizeof from, "%" PRIu64, archive->range.from);
    snprintf(end, sizeof end, "%" PRIu64, most);
    COMPLAIN(MSG_ARCHIVE_TOO_YOUNG, from, end);
    return EXIT_FAILED;
}

/* --- writing and reading back --------------------------------------------------------------------- */

static int write_archive(struct archive *archive)
{
    struct err err = ERR_INIT;
    struct stat info;
    int status = find_range(archive);

    if (status != EXIT_OK)
        return status;
    if (stat(archive->folder, &info) == 0) {
        COMPLAIN(MSG_ARCHIVE_EXISTS, archive->folder);
        return EXIT_FAILED;
    }
    status = audit_export_folder(archive->cli, archive->folder, &archive->range);
    if (status == EXIT_OK && archive_seal(archive->folder, &err) != 0)
        status = cannot(&err);
    return status;
}

/* From the disk alone, as whoever checks it later: signatures, every file, the tree. */
static int read_back(struct archive *archive, const struct audit_policy *policy)
{
    struct verify_log_options options = { .policy = policy };
    struct verify_report *report = mem_zero(sizeof *report);
    struct err err = ERR_INIT;
    int status = EXIT_OK;

    verify_report_init(report);
    if (verify_log(archive->folder, &options, report, &err) != 0 ||
        archive_verify(archive->folder, report, &err) != 0)
        status = cannot(&err);
    else if (report->bad > 0)
        status = EXIT_FAILED;
    if (status == EXIT_FAILED)
        COMPLAIN(MSG_ARCHIVE_DAMAGED, archive->folder);
    free(report);
    return status;
}

static int read_manifest(struct archive *archive)
{
    uint8_t digest[HASH_BYTES];
    struct err err = ERR_INIT;
    struct buf text;
    int status = EXIT_OK;

    buf_init(&text, ARCHIVE_MANIFEST_BYTES_MAX);
    if (archive_manifest(archive->folder, &archive->range, &text, &err) != 0)
        status = cannot(&err);
    struct slice whole = buf_slice(&text);
    hash_sha256(&whole, 1, digest);
    hex_encode(digest, sizeof digest, archive->manifest);
    buf_fini(&text);
    return status;
}

/* --- pruning -------------------------------------------------------------------------------------- */

/* An entry of the log tells of the archive before anything goes. */
static int announce(const struct archive *archive)
{
    uint8_t digest[HASH_BYTES];
    char encoded[2 * HASH_BYTES];
    json_t *answer;
    int status;
    struct connect_client *client = remote_open(archive->cli, &status);

    if (client == NULL)
        return status;
    (void)hex_decode(archive->manifest, 2 * sizeof digest, digest);
    base64_encode(digest, sizeof digest, encoded);
    status = remote_call(client, "sluice.v1.AuditService/AnnounceArchive",
                         json_pack("{s:I, s:I, s:s}", "first", (json_int_t)archive->range.from,
                                   "last", (json_int_t)archive->range.to - 1, "manifest", encoded),
                         &answer);
    connect_client_close(&client);
    if (status == EXIT_OK)
        json_decref(answer);
    return status;
}

static int prune(const struct archive *archive)
{
    const char *const params[] = { archive->manifest };
    int status = announce(archive);

    if (status == EXIT_OK)
        status = control_db_run(archive->conn, "SELECT audit.prune(decode($1, 'hex'))", params, 1);
    if (status == EXIT_OK)
        NOTE(MSG_ARCHIVE_PRUNED, archive->folder);
    return status;
}

/* --- the command ---------------------------------------------------------------------------------- */

static int run(struct archive *archive, const struct audit_policy *policy)
{
    struct err err = ERR_INIT;
    struct buf text;
    int status;

    archive->conn = control_db_open(archive->cli, &status);
    if (archive->conn == NULL)
        return status;
    /* One that is whole already, of a run that did not come to pruning, is not written again. */
    buf_init(&text, ARCHIVE_MANIFEST_BYTES_MAX);
    struct stat info;
    int found = stat(archive->folder, &info) == 0 ? archive_read(archive->folder, &text, &err) : 0;
    buf_fini(&text);
    if (found < 0)
        return cannot(&err);
    status = found == 0 ? write_archive(archive) : EXIT_OK;
    if (status == EXIT_OK)
        status = read_back(archive, policy);
    if (status == EXIT_OK)
        status = read_manifest(archive);
    if (status == EXIT_OK) {
        char first[24], last[24];
        snprintf(first, sizeof first, "%" PRIu64, archive->range.from);
        snprintf(last, sizeof last, "%" PRIu64, archive->range.to - 1);
        NOTE(MSG_ARCHIVED, first, last, archive->manifest);
    }
    if (status == EXIT_OK && cli_option_set(archive->cli, OPT_PRUNE))
        status = prune(archive);
    return status;
}

int audit_archive(struct cli *cli)
{
    struct archive archive = { .cli = cli, .folder = cli->operands[0] };
    struct audit_policy *policy = audit_policy_file(cli);
    int status = EXIT_USAGE;

    if (policy != NULL)
        status = run(&archive, policy);
    PQfinish(archive.conn);
    audit_policy_free(&policy);
    return status;
}
