#include "audit/head_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"

enum { FILE_BYTES_MAX = NOTE_BYTES_MAX + 4096 };

static const char first_line[] =
    "sluice audit head 1\n"; /* then base64 frontier, blank line, note */

static int unusable(struct err *err, const char *path, const char *what)
{
    (void)err_set(
        err, ERR_FAILED_PRECONDITION, "AUDIT_STATE_FILE_INVALID",
        "The auditor's state file is damaged; restore it, or remove it after checking the "
        "log against a checkpoint held elsewhere.");
    return err_detail(err, "%s: %s", path, what);
}

static int read_all(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : unusable(err, path, strerror(errno));
    (void)buf_reserve(out, FILE_BYTES_MAX);
    ssize_t len;
    do {
        len = read(fd, out->data + out->len, FILE_BYTES_MAX - out->len);
        if (len > 0)
            out->len += (size_t)len;
    } while (len > 0 || (len < 0 && errno == EINTR));
    int cause = errno;
    (void)close(fd);
    return len < 0 ? unusable(err, path, strerror(cause)) : 1;
}

static int parse_frontier(const char *text, size_t len, struct merkle_frontier *frontier_r)
{
    uint8_t bytes[MERKLE_FRONTIER_BYTES_MAX + 8];
    if (len / 4 * 3 + 3 > sizeof bytes)
        return -1;
    long written = base64_decode(text, len, bytes);
    return written < 0 ? -1 : merkle_frontier_parse(bytes, (size_t)written, frontier_r);
}

static int parse(const struct buf *file, const char *path, const char *origin,
                 struct merkle_frontier *frontier_r, struct err *err)
{
    enum { FIRST = sizeof first_line - 1 };
    const char *text = (const char *)file->data;
    const char *end = file->len > FIRST ? memchr(text + FIRST, '\n', file->len - FIRST) : NULL;
    if (end == NULL || memcmp(text, first_line, FIRST) != 0 || end + 2 > text + file->len ||
        end[1] != '\n')
        return unusable(err, path, "not a state file");
    if (parse_frontier(text + FIRST, (size_t)(end - text) - FIRST, frontier_r) != 0)
        return unusable(err, path, "bad frontier");
    struct slice note = slice_of(end + 2, file->len - (size_t)(end + 2 - text));
    struct slice body, signatures;
    struct checkpoint checkpoint;
    uint8_t root[MERKLE_HASH_BYTES];
    struct err why = ERR_INIT;
    if (note_split(note, &body, &signatures, &why) != 0 ||
        checkpoint_parse(body, &checkpoint, &why) != 0)
        return unusable(err, path, why.text);
    merkle_frontier_root(frontier_r, root);
    if (checkpoint.size != frontier_r->size || memcmp(checkpoint.root, root, sizeof root) != 0)
        return unusable(err, path, "frontier and checkpoint differ");
    if (strcmp(checkpoint.origin, origin) != 0)
        return unusable(err, path, "of another log");
    return 1;
}

int head_file_load(const char *path, const char *origin, struct merkle_frontier *frontier_r,
                   struct err *err)
{
    struct buf file;
    buf_init(&file, FILE_BYTES_MAX);
    int result = read_all(path, &file, err);
    if (result == 1)
        result = parse(&file, path, origin, frontier_r, err);
    buf_fini(&file);
    return result;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        data += written;
        len -= (size_t)written;
    }
    return 0;
}

static int replace(const char *path, const char *temporary, const struct buf *file)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int result = write_all(fd, file->data, file->len);
    if (result == 0)
        result = fsync(fd);
    if (close(fd) != 0)
        result = -1;
    return result == 0 ? rename(temporary, path) : -1;
}

/* While a new generation takes over, two auditors of one gateway share the file: a lock on its
 * folder orders them, and the one that is behind leaves the other's newer checkpoint alone. */
static int lock_folder(const char *path)
{
    char *copy = mem_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static bool holds_newer(const char *path, uint64_t size, struct slice note)
{
    struct slice text, signatures;
    struct checkpoint ours;
    struct merkle_frontier stored;
    return note_split(note, &text, &signatures, NULL) == 0 &&
           checkpoint_parse(text, &ours, NULL) == 0 &&
           head_file_load(path, ours.origin, &stored, NULL) == 1 && stored.size > size;
}

static void write_file(const struct merkle_frontier *frontier, struct slice note, struct buf *file)
{
    struct buf bytes;
    buf_init(&bytes, MERKLE_FRONTIER_BYTES_MAX);
    (void)merkle_frontier_write(frontier, &bytes);
    (void)buf_append_str(file, first_line);
    (void)buf_reserve(file, base64_size(bytes.len));
    file->len += base64_encode(bytes.data, bytes.len, (char *)file->data + file->len);
    (void)buf_append_str(file, "\n\n");
    (void)buf_append(file, note.data, note.len);
    buf_fini(&bytes);
}

int head_file_store(const char *path, const struct merkle_frontier *frontier, struct slice note,
                    struct err *err)
{
    int folder = lock_folder(path);
    int result = folder >= 0 ? 0 : -1;
    if (result == 0 && !holds_newer(path, frontier->size, note)) {
        struct buf file;
        buf_init(&file, FILE_BYTES_MAX);
        write_file(frontier, note, &file);
        char *temporary = mem_format("%s.new", path);
        result = replace(path, temporary, &file);
        if (result == 0)
            result = fsync(folder);
        free(temporary);
        buf_fini(&file);
    }
    int cause = errno;
    if (folder >= 0)
        (void)close(folder);
    if (result == 0)
        return 0;
    (void)err_set(err, ERR_UNAVAILABLE, "AUDIT_STATE_FILE",
                  "The auditor cannot write its state file; free space or mend its folder.");
    return err_detail(err, "%s: %s", path, strerror(cause));
}
