#include "audit/head_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"

enum {
    SLOT_BYTES = NOTE_BYTES_MAX + 4096,
    SLOTS = 2,
    FILE_BYTES = SLOTS * SLOT_BYTES,
    /* Another holds the folder for one flush of a disk. A process that is stopped while it does must not
     * stop this one too: waiting blocks the loop. */
    LOCK_WAIT_MS = 250,
};

/* A slot: this line, base64 frontier, a blank line, the note, NUL. Before there were slots, the whole file
 * was such a text with a 1 in its first line; it is read, and replaced at the next store. */
static const char first_line[] = "sluice audit head 2\n";
static const char first_line_alone[] = "sluice audit head 1\n";

static int unusable(struct err *err, const char *path, const char *what)
{
    (void)err_set(
        err, ERR_FAILED_PRECONDITION, "AUDIT_STATE_FILE_INVALID",
        "The auditor's state file is damaged; restore it, or remove it after checking the "
        "log against a checkpoint held elsewhere.");
    return err_detail(err, "%s: %s", path, what);
}

static bool is_alone(const struct buf *file)
{
    return file->len < SLOT_BYTES && file->len > sizeof first_line_alone &&
           memcmp(file->data, first_line_alone, sizeof first_line_alone - 1) == 0;
}

/* 1: read, 0: there is none. A NUL stands behind the bytes. */
static int read_all(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : unusable(err, path, strerror(errno));
    (void)buf_reserve(out, FILE_BYTES + 1);
    ssize_t len;
    do {
        len = read(fd, out->data + out->len, FILE_BYTES + 1 - out->len);
        if (len > 0)
            out->len += (size_t)len;
    } while (len > 0 || (len < 0 && errno == EINTR));
    int cause = errno;
    (void)close(fd);
    if (len < 0)
        return unusable(err, path, strerror(cause));
    (void)buf_cstr(out);
    return out->len == FILE_BYTES || is_alone(out) ? 1 : unusable(err, path, "wrong size");
}

static int parse_frontier(const char *text, size_t len, struct merkle_frontier *frontier_r)
{
    uint8_t bytes[MERKLE_FRONTIER_BYTES_MAX + 8];
    if (len / 4 * 3 + 3 > sizeof bytes)
        return -1;
    long written = base64_decode(text, len, bytes);
    return written < 0 ? -1 : merkle_frontier_parse(bytes, (size_t)written, frontier_r);
}

static int parse_slot(const char *text, const char *head, const char *path, const char *origin,
                      struct merkle_frontier *frontier_r, struct err *err)
{
    enum { FIRST = sizeof first_line - 1 };
    size_t len = strnlen(text, SLOT_BYTES);
    const char *end = len > FIRST ? memchr(text + FIRST, '\n', len - FIRST) : NULL;
    if (len == SLOT_BYTES || end == NULL || memcmp(text, head, FIRST) != 0 ||
        end + 2 > text + len || end[1] != '\n')
        return unusable(err, path, "not a state file");
    if (parse_frontier(text + FIRST, (size_t)(end - text) - FIRST, frontier_r) != 0)
        return unusable(err, path, "bad frontier");
    struct slice note = slice_of(end + 2, len - (size_t)(end + 2 - text));
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
    if (origin != NULL && strcmp(checkpoint.origin, origin) != 0)
        return unusable(err, path, "of another log");
    return 1;
}

/* The newer of the slots that can be used; its number in `slot_r`. -1 with the first slot's trouble. */
static int newest_slot(const struct buf *file, const char *path, const char *origin,
                       struct merkle_frontier *frontier_r, int *slot_r, struct err *err)
{
    struct merkle_frontier found;
    *slot_r = -1;
    if (is_alone(file))
        return parse_slot((const char *)file->data, first_line_alone, path, origin, frontier_r,
                          err);
    for (int i = SLOTS - 1; i >= 0; i--) {
        const char *text = (const char *)file->data + (size_t)i * SLOT_BYTES;
        if (parse_slot(text, first_line, path, origin, &found, err) != 1)
            continue;
        if (*slot_r < 0 || found.size > frontier_r->size) {
            *frontier_r = found;
            *slot_r = i;
        }
    }
    return *slot_r < 0 ? -1 : 1;
}

int head_file_load(const char *path, const char *origin, struct merkle_frontier *frontier_r,
                   struct err *err)
{
    struct buf file;
    int slot;
    buf_init(&file, FILE_BYTES + 1);
    int result = read_all(path, &file, err);
    if (result == 1)
        result = newest_slot(&file, path, origin, frontier_r, &slot, err);
    buf_fini(&file);
    return result;
}

bool head_file_note(struct slice file, struct slice *note_r)
{
    struct buf whole = { .data = (uint8_t *)(uintptr_t)file.data, .len = file.len };
    struct merkle_frontier frontier;
    struct err err;
    int slot;
    const uint8_t *blank = is_alone(&whole) ? memmem(file.data, file.len, "\n\n", 2) : NULL;
    if (blank != NULL) {
        *note_r = slice_of(blank + 2, file.len - (size_t)(blank + 2 - file.data));
        return true;
    }
    if (file.len != FILE_BYTES || newest_slot(&whole, "", NULL, &frontier, &slot, &err) != 1)
        return false;
    const char *text = (const char *)file.data + (size_t)slot * SLOT_BYTES;
    const char *note = strstr(text, "\n\n") + 2; /* it was parsed: the blank line is there */
    *note_r = slice_of(note, strlen(note));
    return true;
}

static int write_at(int fd, const uint8_t *data, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t written = pwrite(fd, data, len, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        data += written;
        len -= (size_t)written;
        at += written;
    }
    return 0;
}

/* The whole file with its first slot filled: space is taken here, so that a full disk shows now. */
static int create(const char *path, const struct buf *slot, int folder)
{
    char *temporary = mem_format("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int result = fd >= 0 ? 0 : -1;
    if (result == 0) {
        errno = posix_fallocate(fd, 0, FILE_BYTES);
        result = errno == 0 ? write_at(fd, slot->data, slot->len, 0) : -1;
        if (result == 0)
            result = fsync(fd);
        if (close(fd) != 0)
            result = -1;
    }
    if (result == 0)
        result = rename(temporary, path);
    if (result == 0)
        result = fsync(folder);
    free(temporary);
    return result;
}

/* The space is there and the size stays: one flush, and no entry in the file system's journal. */
static int overwrite(const char *path, const struct buf *slot, int number)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = write_at(fd, slot->data, slot->len, (off_t)number * SLOT_BYTES);
    if (result == 0)
        result = fdatasync(fd);
    if (close(fd) != 0)
        result = -1;
    return result;
}

/* While a new generation takes over, two auditors of one gateway share the file: a lock on its
 * folder orders them, and the one that is behind leaves the other's newer checkpoint alone. */
static int lock_folder(const char *path)
{
    static const struct timespec step = { .tv_nsec = 1000000 };
    char *copy = mem_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int waited_ms = 0;
    free(copy);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR || (errno == EWOULDBLOCK && waited_ms++ < LOCK_WAIT_MS)) {
            (void)nanosleep(&step, NULL);
            continue;
        }
        int cause = errno;
        (void)close(fd);
        errno = cause;
        fd = -1;
    }
    return fd;
}

static void unlock_folder(int fd)
{
    (void)flock(fd, LOCK_UN); /* not left to close(2), which may fail */
    (void)close(fd);
}

static void write_slot(const struct merkle_frontier *frontier, struct slice note, struct buf *file)
{
    struct buf bytes;
    buf_init(&bytes, MERKLE_FRONTIER_BYTES_MAX);
    (void)merkle_frontier_write(frontier, &bytes);
    (void)buf_append_str(file, first_line);
    (void)buf_reserve(file, base64_size(bytes.len));
    file->len += base64_encode(bytes.data, bytes.len, (char *)file->data + file->len);
    (void)buf_append_str(file, "\n\n");
    (void)buf_append(file, note.data, note.len);
    (void)buf_append_byte(file, '\0');
    buf_fini(&bytes);
}

static int store(const char *path, const struct merkle_frontier *frontier, struct slice note,
                 int folder)
{
    struct slice text, signatures;
    struct checkpoint ours;
    struct merkle_frontier stored;
    struct buf file, slot;
    struct err err;
    int number = -1;
    buf_init(&file, FILE_BYTES + 1);
    bool readable = note_split(note, &text, &signatures, &err) == 0 &&
                    checkpoint_parse(text, &ours, &err) == 0 && read_all(path, &file, &err) == 1 &&
                    newest_slot(&file, path, ours.origin, &stored, &number, &err) == 1;
    buf_fini(&file);
    if (readable && stored.size > frontier->size)
        return 0;
    buf_init(&slot, SLOT_BYTES);
    write_slot(frontier, note, &slot);
    int result =
        readable && number >= 0 ? overwrite(path, &slot, 1 - number) : create(path, &slot, folder);
    buf_fini(&slot);
    return result;
}

int head_file_store(const char *path, const struct merkle_frontier *frontier, struct slice note,
                    struct err *err)
{
    int folder = lock_folder(path);
    int result = folder >= 0 ? store(path, frontier, note, folder) : -1;
    int cause = errno;
    if (folder >= 0)
        unlock_folder(folder);
    if (result == 0)
        return 0;
    (void)err_set(err, ERR_UNAVAILABLE, "AUDIT_STATE_FILE",
                  "The auditor cannot write its state file; free space or mend its folder.");
    return err_detail(err, "%s: %s", path, strerror(cause));
}
