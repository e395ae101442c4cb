#include "cli/audit_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/head_file.h"
#include "audit/verify.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/remote.h"

static int unreadable(const char *path, int cause)
{
    COMPLAIN(MSG_FILE_UNREADABLE, path, strerror(cause));
    return EXIT_USAGE;
}

int audit_file_read(const char *path, struct buf *data_r)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    ssize_t got = 1;

    buf_reset(data_r);
    if (fd < 0)
        return unreadable(path, errno);
    int result = fstat(fd, &info);
    if (result == 0 && (S_ISDIR(info.st_mode) || info.st_size > (off_t)data_r->max)) {
        errno = S_ISDIR(info.st_mode) ? EISDIR : EFBIG;
        result = -1;
    }
    while (result == 0 && got > 0) {
        size_t room = data_r->max - data_r->len < 65536 ? data_r->max - data_r->len : 65536;
        if (room == 0)
            break;
        (void)buf_reserve(data_r, room);
        got = read(fd, data_r->data + data_r->len, room);
        if (got > 0)
            data_r->len += (size_t)got;
        else if (got < 0 && errno != EINTR)
            result = -1;
        else if (got < 0)
            got = 1;
    }
    int cause = errno;
    (void)close(fd);
    return result == 0 ? EXIT_OK : unreadable(path, cause);
}

int audit_file_write(const char *path, const struct buf *data)
{
    char *beside = mem_format("%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool good = fd >= 0 && write(fd, data->data, data->len) == (ssize_t)data->len && fsync(fd) == 0;

    if (fd >= 0 && close(fd) != 0)
        good = false;
    good = good && rename(beside, path) == 0;
    int cause = errno;
    if (!good) {
        (void)unlink(beside);
        COMPLAIN(MSG_OUTPUT_FAILED, strerror(cause));
    }
    free(beside);
    return good ? EXIT_OK : EXIT_FAILED;
}

static int parse_note(struct buf *note, struct checkpoint *checkpoint_r)
{
    struct slice text, signatures;
    struct err err = ERR_INIT;

    if (note_split(buf_slice(note), &text, &signatures, &err) == 0 &&
        checkpoint_parse(text, checkpoint_r, &err) == 0)
        return EXIT_OK;
    COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
    return EXIT_USAGE;
}

int audit_note_file(const char *path, struct buf *note_r, struct checkpoint *checkpoint_r)
{
    struct buf file;
    buf_init(&file, HEAD_FILE_BYTES_MAX);
    int status = audit_file_read(path, &file);
    struct slice note = buf_slice(&file);

    (void)head_file_note(buf_slice(&file), &note); /* else it is a note as it stands */
    buf_reset(note_r);
    if (status == EXIT_OK && buf_append(note_r, note.data, note.len) != 0)
        status = unreadable(path, EFBIG);
    buf_fini(&file);
    return status == EXIT_OK ? parse_note(note_r, checkpoint_r) : status;
}

int audit_note_ask(const struct cli *cli, struct buf *note_r, struct checkpoint *checkpoint_r)
{
    json_t *answer;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = remote_call(client, "sluice.v1.AuditService/GetCheckpoint", json_object(), &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    buf_reset(note_r);
    if (buf_append_str(note_r, remote_text(answer, "note")) != 0)
        buf_reset(note_r);
    json_decref(answer);
    return parse_note(note_r, checkpoint_r);
}

struct timestamp_trust *audit_timestamp_trust(const struct cli *cli, int *status_r)
{
    const char *path = cli_option_text(cli, OPT_TIMESTAMP_CA, NULL);
    struct err err = ERR_INIT;

    *status_r = EXIT_OK;
    if (path == NULL)
        return NULL;
    struct timestamp_trust *trust = timestamp_trust_load(path, &err);
    if (trust == NULL) {
        COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
        *status_r = EXIT_USAGE;
    }
    return trust;
}

int audit_archive_names(char *names, const char **names_r, size_t *count_r)
{
    char *rest = names;

    *count_r = 0;
    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ",")) {
        if (*count_r == VERIFY_ARCHIVES_MAX) {
            COMPLAIN(MSG_ARCHIVES_TOO_MANY);
            return EXIT_USAGE;
        }
        names_r[(*count_r)++] = name;
    }
    return EXIT_OK;
}

struct audit_policy *audit_policy_file(const struct cli *cli)
{
    struct buf text;
    struct err err = ERR_INIT;
    struct audit_policy *policy = NULL;

    if (!cli_option_required(cli, OPT_POLICY))
        return NULL;
    buf_init(&text, POLICY_BYTES_MAX);
    if (audit_file_read(cli_option_text(cli, OPT_POLICY, ""), &text) == EXIT_OK) {
        policy = audit_policy_parse(buf_slice(&text), &err);
        if (policy == NULL)
            COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
    }
    buf_fini(&text);
    return policy;
}
