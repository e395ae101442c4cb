/* sluice audit verify: offline, without database and network. Keys and origin come from the policy
 * alone. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/archive.h"
#include "audit/evidence.h"
#include "audit/tile.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/audit_files.h"
#include "cli/text.h"

static const enum message_id texts[VERIFY_CHECK_COUNT] = {
    [VERIFY_CHECKPOINT] = MSG_VERIFY_CHECKPOINT,
    [VERIFY_WITNESSES] = MSG_VERIFY_WITNESSES,
    [VERIFY_ROOT] = MSG_VERIFY_ROOT,
    [VERIFY_MISSING] = MSG_VERIFY_MISSING,
    [VERIFY_LEAF] = MSG_VERIFY_LEAF,
    [VERIFY_ENTRY] = MSG_VERIFY_ENTRY,
    [VERIFY_COLUMNS] = MSG_VERIFY_COLUMNS,
    [VERIFY_TILE] = MSG_VERIFY_TILE,
    [VERIFY_COUNTER_GAP] = MSG_VERIFY_COUNTER_GAP,
    [VERIFY_COUNTER_TWICE] = MSG_VERIFY_COUNTER_TWICE,
    [VERIFY_BATCHES] = MSG_VERIFY_BATCHES,
    [VERIFY_OLDER] = MSG_VERIFY_OLDER,
    [VERIFY_PROOF] = MSG_VERIFY_PROOF,
    [VERIFY_ROW] = MSG_VERIFY_ROW,
    [VERIFY_MEMBER] = MSG_VERIFY_MEMBER,
    [VERIFY_MANIFEST] = MSG_VERIFY_MANIFEST,
    [VERIFY_TIMESTAMP] = MSG_VERIFY_TIMESTAMP,
    [VERIFY_NOTICE_TIME] = MSG_VERIFY_NOTICE_TIME,
    [VERIFY_NOTICE_OPEN_GAP] = MSG_VERIFY_NOTICE_OPEN_GAP,
    [VERIFY_NOTICE_RECOVERED] = MSG_VERIFY_NOTICE_RECOVERED,
    [VERIFY_NOTICE_KEY] = MSG_VERIFY_NOTICE_KEY,
    [VERIFY_NOTICE_OLD_KEY] = MSG_VERIFY_NOTICE_OLD_KEY,
    [VERIFY_NOTICE_PARTIAL] = MSG_VERIFY_NOTICE_PARTIAL,
};

struct verify {
    struct cli *cli;
    const char *path;
    const char *kind;
    struct audit_policy *policy;
    struct timestamp_trust *trust; /* NULL: authorities are not checked */
    struct verify_report report;
    bool progress;
    bool progress_shown;
    int64_t started_us;
    int64_t shown_us;
};

/* --- progress -----------------------------------------------------------------------------------
 */

static void show_progress(void *arg, uint64_t entries, uint64_t of, uint64_t bytes)
{
    struct verify *verify = arg;
    int64_t now = clock_monotonic_us();
    char done[TEXT_COUNT_BYTES], all[TEXT_COUNT_BYTES], megabytes[TEXT_COUNT_BYTES];

    if (!verify->progress || (now - verify->shown_us < 500000 && entries < of) ||
        (entries == of && !verify->progress_shown))
        return;
    verify->shown_us = now;
    verify->progress_shown = true;
    text_count(entries, done);
    text_count(of, all);
    text_count(bytes >> 20, megabytes);
    fprintf(stderr, "\r%s / %s  %s MiB%s", done, all, megabytes, entries == of ? "\n" : " ");
}

/* --- the result ---------------------------------------------------------------------------------
 */

static json_t *finding_json(const struct verify_finding *finding)
{
    json_t *object = json_pack("{s:s}", "check", verify_check_name(finding->check));

    if (finding->index >= 0)
        json_object_set_new(object, "index", json_integer(finding->index));
    json_object_set_new(object, "text", json_string(message(texts[finding->check])));
    if (finding->detail[0] != '\0')
        json_object_set_new(object, "detail", json_string(finding->detail));
    return object;
}

static json_t *result_json(const struct verify *verify)
{
    const struct verify_report *report = &verify->report;
    json_t *result = json_pack("{s:s, s:s, s:b}", "path", verify->path, "kind", verify->kind, "ok",
                               report->bad == 0);
    json_t *findings = json_array(), *notices = json_array();
    char root[2 * MERKLE_HASH_BYTES + 1], stamped[CLOCK_TEXT_BYTES];

    json_object_set_new(result, "origin", json_string(verify->policy->origin));
    if (report->checkpoint_read) {
        hex_encode(report->checkpoint.root, MERKLE_HASH_BYTES, root);
        json_object_set_new(result, "size", json_integer((json_int_t)report->checkpoint.size));
        json_object_set_new(result, "root", json_string(root));
    }
    json_object_set_new(result, "entries", json_integer((json_int_t)report->entries));
    json_object_set_new(result, "witnesses", json_integer(report->witnesses));
    json_object_set_new(result, "witnessesRequired", json_integer(report->witnesses_needed));
    json_object_set_new(result, "keyChanges", json_integer((json_int_t)report->key_changes));
    if (report->covered_to > 0) {
        json_object_set_new(result, "firstIndex", json_integer((json_int_t)report->covered_from));
        json_object_set_new(result, "lastIndex", json_integer((json_int_t)report->covered_to - 1));
    }
    if (report->stamped) {
        clock_format(report->stamped_us, stamped);
        json_object_set_new(
            result, "timestamp",
            json_pack("{s:s, s:b}", "time", stamped, "authorityChecked", report->stamp_trusted));
    }
    if (report->first_bad >= 0)
        json_object_set_new(result, "firstBadIndex", json_integer(report->first_bad));
    for (size_t i = 0; i < report->kept; i++)
        json_array_append_new(report->findings[i].check < VERIFY_NOTICES_FROM ? findings : notices,
                              finding_json(&report->findings[i]));
    json_object_set_new(result, "findingCount", json_integer((json_int_t)report->bad));
    json_object_set_new(result, "findings", findings);
    json_object_set_new(result, "notices", notices);
    json_object_set_new(result, "milliseconds",
                        json_integer((clock_monotonic_us() - verify->started_us) / 1000));
    return result;
}

static void print_line(enum message_id id, const char *const *args, size_t count)
{
    char *text = message_fill(id, args, count);

    puts(text);
    free(text);
}
#define PRINT(id_, ...)                                                                            \
    print_line(id_, (const char *const[]){ __VA_ARGS__ },                                          \
               sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void print_finding(const struct verify_finding *finding)
{
    char index[24];

    snprintf(index, sizeof index, "%" PRId64, finding->index);
    if (finding->index >= 0)
        PRINT(finding->check < VERIFY_NOTICES_FROM ? MSG_VERIFY_LINE_AT : MSG_VERIFY_NOTICE_AT,
              index, message(texts[finding->check]), finding->detail);
    else
        PRINT(finding->check < VERIFY_NOTICES_FROM ? MSG_VERIFY_LINE : MSG_VERIFY_NOTICE,
              message(texts[finding->check]), finding->detail);
}

static void print_result(const struct verify *verify)
{
    const struct verify_report *report = &verify->report;
    char size[TEXT_COUNT_BYTES], entries[TEXT_COUNT_BYTES], count[TEXT_COUNT_BYTES], first[24];
    char root[2 * MERKLE_HASH_BYTES + 1], seen[16], needed[16], stamped[CLOCK_TEXT_BYTES];

    text_count(report->checkpoint.size, size);
    text_count(report->entries, entries);
    text_count(report->bad, count);
    hex_encode(report->checkpoint.root, MERKLE_HASH_BYTES, root);
    snprintf(seen, sizeof seen, "%u", report->witnesses);
    snprintf(needed, sizeof needed, "%u", report->witnesses_needed);
    PRINT(MSG_VERIFY_ORIGIN, verify->policy->origin);
    if (report->checkpoint_read)
        PRINT(MSG_VERIFY_SIZE, size, root);
    PRINT(MSG_VERIFY_CHECKED, entries, seen, needed);
    if (report->covered_to > 0) {
        text_count(report->covered_from, size);
        text_count(report->covered_to - 1, entries);
        PRINT(MSG_VERIFY_COVERS, size, entries);
    }
    if (report->stamped) {
        clock_format(report->stamped_us, stamped);
        PRINT(report->stamp_trusted ? MSG_VERIFY_STAMPED : MSG_VERIFY_STAMPED_BY_ANYONE, stamped);
    }
    for (size_t i = 0; i < report->kept; i++)
        print_finding(&report->findings[i]);
    if (report->bad == 0) {
        PRINT(MSG_VERIFY_OK, verify->path);
    } else if (report->first_bad >= 0) {
        snprintf(first, sizeof first, "%" PRId64, report->first_bad);
        PRINT(MSG_VERIFY_BAD_AT, verify->path, count, first);
    } else {
        PRINT(MSG_VERIFY_BAD, verify->path, count);
    }
}

static int finish(struct verify *verify)
{
    int status = verify->report.bad == 0 ? EXIT_OK : EXIT_FAILED;
    struct output *output;

    if (verify->cli->format == OUTPUT_TABLE) {
        print_result(verify);
        return fflush(stdout) == 0 ? status : EXIT_FAILED;
    }
    output = cli_output(verify->cli);
    json_t *result = result_json(verify);
    int failed = output_object(output, result);
    json_decref(result);
    return cli_output_end(&output, EXIT_OK) == EXIT_OK && failed == 0 ? status : EXIT_FAILED;
}

/* --- kinds of input -------------------------------------------------------------------------- */

static int cannot(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    return EXIT_USAGE;
}

static int verify_folder(struct verify *verify)
{
    const char *archives[VERIFY_ARCHIVES_MAX];
    const char *names = cli_option_text(verify->cli, OPT_ARCHIVES, NULL);
    char *copy = names != NULL ? mem_strdup(names) : NULL;
    struct err err = ERR_INIT;
    struct buf manifest;
    struct verify_log_options options = { .policy = verify->policy,
                                          .archives = archives,
                                          .older = cli_option_text(verify->cli, OPT_OLDER, NULL),
                                          .progress = show_progress,
                                          .arg = verify };
    int status = audit_archive_names(copy, archives, &options.archive_count);

    buf_init(&manifest, ARCHIVE_MANIFEST_BYTES_MAX);
    int sealed = status == EXIT_OK ? archive_read(verify->path, &manifest, &err) : 0;
    buf_fini(&manifest);
    verify->kind = sealed == 1 ? "archive" : "export";
    if (sealed < 0 ||
        (status == EXIT_OK && verify_log(verify->path, &options, &verify->report, &err) != 0) ||
        (sealed == 1 && archive_verify(verify->path, &verify->report, &err) != 0))
        status = cannot(&err);
    for (size_t i = 0; i < options.archive_count && status == EXIT_OK; i++) {
        if (archive_verify(archives[i], &verify->report, &err) != 0)
            status = cannot(&err);
    }
    free(copy);
    return status;
}

static bool begins(const struct buf *data, const char *text)
{
    return data->len >= strlen(text) && memcmp(data->data, text, strlen(text)) == 0;
}

static int verify_proof(struct verify *verify, const struct buf *proof, const struct log_keys *keys)
{
    struct buf leaf;
    int status;

    if (!cli_option_required(verify->cli, OPT_LEAF))
        return EXIT_USAGE;
    buf_init(&leaf, TILE_ENTRY_BYTES_MAX);
    status = audit_file_read(cli_option_text(verify->cli, OPT_LEAF, ""), &leaf);
    verify->kind = "proof";
    if (status == EXIT_OK)
        evidence_verify_proof(buf_slice(proof), buf_slice(&leaf), keys, verify->policy,
                              &verify->report);
    buf_fini(&leaf);
    return status;
}

/* A checkpoint, and its time stamp where one is given. */
static int verify_note(struct verify *verify, struct slice note, const struct log_keys *keys)
{
    const char *path = cli_option_text(verify->cli, OPT_TIMESTAMP, NULL);
    struct buf stamp;
    int status = EXIT_OK;

    verify->kind = "checkpoint";
    verify->report.checkpoint_read = verify_checkpoint(&verify->report, keys, verify->policy, note,
                                                       false, &verify->report.checkpoint);
    if (path == NULL)
        return EXIT_OK;
    buf_init(&stamp, TIMESTAMP_BYTES_MAX);
    status = audit_file_read(path, &stamp);
    if (status == EXIT_OK)
        verify_timestamp(&verify->report, buf_slice(&stamp), note, verify->trust);
    buf_fini(&stamp);
    return status;
}

static int verify_file(struct verify *verify)
{
    struct log_keys keys;
    struct err err = ERR_INIT;
    struct buf data;
    int status;

    buf_init(&data, EVIDENCE_BYTES_MAX);
    log_keys_init(&keys, verify->policy);
    status = audit_file_read(verify->path, &data);
    if (status == EXIT_OK && begins(&data, "PK")) {
        verify->kind = "evidence";
        if (evidence_verify(buf_slice(&data), verify->policy, verify->trust, &verify->report,
                            &err) != 0)
            status = cannot(&err);
    } else if (status == EXIT_OK && begins(&data, "c2sp.org/tlog-proof@")) {
        status = verify_proof(verify, &data, &keys);
    } else if (status == EXIT_OK) {
        status = verify_note(verify, buf_slice(&data), &keys);
    }
    log_keys_fini(&keys);
    buf_fini(&data);
    return status;
}

int audit_verify(struct cli *cli)
{
    struct verify verify = { .cli = cli,
                             .path = cli->operands[0],
                             .progress = isatty(STDERR_FILENO) == 1,
                             .started_us = clock_monotonic_us() };
    struct stat info;
    int status;

    verify.policy = audit_policy_file(cli);
    if (verify.policy == NULL)
        return EXIT_USAGE;
    verify.trust = audit_timestamp_trust(cli, &status);
    verify_report_init(&verify.report);
    if (status == EXIT_OK)
        status = stat(verify.path, &info) == 0 && S_ISDIR(info.st_mode) ? verify_folder(&verify)
                                                                        : verify_file(&verify);
    if (status == EXIT_OK)
        status = finish(&verify);
    timestamp_trust_free(&verify.trust);
    audit_policy_free(&verify.policy);
    return status;
}
