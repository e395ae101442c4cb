#include "audit/tile_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/proof.h"
#include "base/err.h"
#include "base/mem.h"

/* No name of ours begins so; what a crash leaves there is overwritten by the next writer. */
static const char temporary_name[] = ".writing";

struct tile_store {
    int folder;
    struct buf old; /* of a file that is there already */
};

static int disk(struct err *err, const char *what, const char *name)
{
    int cause = errno;
    (void)err_set(err, ERR_FAILED_PRECONDITION, "TILE_STORE",
                  "The folder of the log's files cannot be %s: %s.", what, strerror(cause));
    return err_detail(err, "%s: %s", name, strerror(cause));
}

struct tile_store *tile_store_open(const char *path, bool create, struct err *err)
{
    if (create && mkdir(path, 0755) != 0 && errno != EEXIST) {
        (void)disk(err, "made", path);
        return NULL;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)disk(err, "opened", path);
        return NULL;
    }
    struct tile_store *store = mem_zero(sizeof *store);
    store->folder = fd;
    buf_init(&store->old, TILE_STORE_FILE_BYTES_MAX);
    return store;
}

void tile_store_close(struct tile_store **store)
{
    if (*store == NULL)
        return;
    (void)close((*store)->folder);
    buf_fini(&(*store)->old);
    free(*store);
    *store = NULL;
}

/* --- reading ------------------------------------------------------------------------------------
 */

int tile_store_read(struct tile_store *store, const char *name, struct buf *data_r, struct err *err)
{
    struct stat info;
    int fd = openat(store->folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    buf_reset(data_r);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : disk(err, "read", name);
    int result = fstat(fd, &info);
    if (result == 0 && (!S_ISREG(info.st_mode) ||
                        buf_reserve(data_r, info.st_size > 0 ? (size_t)info.st_size : 1) != 0)) {
        errno = EFBIG;
        result = -1;
    }
    while (result == 0 && data_r->len < (size_t)info.st_size) {
        ssize_t got = read(fd, data_r->data + data_r->len, (size_t)info.st_size - data_r->len);
        if (got > 0)
            data_r->len += (size_t)got;
        else if (got == 0)
            break;
        else if (errno != EINTR)
            result = -1;
    }
    if (result != 0)
        (void)disk(err, "read", name);
    (void)close(fd);
    return result == 0 ? 1 : -1;
}

int tile_store_hashes(struct tile_store *store, uint64_t size, unsigned level, uint64_t index,
                      struct buf *data_r, struct err *err)
{
    char path[TILE_PATH_BYTES];
    struct tile tile = { .kind = TILE_HASHES, .level = level, .index = index };
    tile.width = tile_width(size, level, index);
    size_t wanted = (size_t)tile.width * MERKLE_HASH_BYTES;
    buf_reset(data_r);
    if (tile.width == 0)
        return 0;
    tile_path(&tile, path);
    int found = tile_store_read(store, path, data_r, err);
    if (found == 0 && tile.width < TILE_WIDTH) {
        tile.width = TILE_WIDTH;
        tile_path(&tile, path);
        found = tile_store_read(store, path, data_r, err);
        if (found == 1 && data_r->len == TILE_BYTES_MAX)
            data_r->len = wanted;
    }
    if (found == 1 && data_r->len != wanted)
        return err_set(err, ERR_DATA_LOSS, "TILE_DAMAGED", "%s has a wrong size.", path);
    return found;
}

/* One node: some neighbouring hashes of one tile, folded. */
static int read_node(struct tile_store *store, uint64_t size, const struct proof_node *node,
                     struct buf *tile, uint8_t hash_r[MERKLE_HASH_BYTES], struct err *err)
{
    unsigned level = node->level / TILE_HEIGHT, above = node->level % TILE_HEIGHT;
    uint64_t first = node->index << above;
    int found = tile_store_hashes(store, size, level, first / TILE_WIDTH, tile, err);
    size_t offset = (size_t)(first % TILE_WIDTH) * MERKLE_HASH_BYTES;
    if (found < 0)
        return -1;
    if (found == 0 || tile->len < offset + ((size_t)MERKLE_HASH_BYTES << above))
        return err_set(err, ERR_DATA_LOSS, "TILE_MISSING",
                       "A tile of level %u that the proof needs is missing.", level);
    merkle_root_of(tile->data + offset, (size_t)1 << above, hash_r);
    return 0;
}

int tile_store_prove(struct tile_store *store, uint64_t size, const struct proof_plan *plan,
                     struct proof *proof_r, struct err *err)
{
    uint8_t nodes[PROOF_NODES_MAX][MERKLE_HASH_BYTES];
    struct buf tile;
    int result = 0;
    buf_init(&tile, TILE_BYTES_MAX);
    for (size_t i = 0; i < plan->count && result == 0; i++)
        result = read_node(store, size, &plan->nodes[i], &tile, nodes[i], err);
    buf_fini(&tile);
    if (result == 0)
        proof_make(plan, (const uint8_t(*)[MERKLE_HASH_BYTES])nodes, proof_r);
    return result;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static int write_all(int fd, struct slice data)
{
    while (data.len > 0) {
        ssize_t written = write(fd, data.data, data.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        data = slice_of(data.data + written, data.len - (size_t)written);
    }
    return 0;
}

/* The folders of a name, each synced into the one above it when it is new. */
static int make_folders(struct tile_store *store, const char *name)
{
    char path[TILE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s", name);
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdirat(store->folder, path, 0755);
        if (made != 0 && errno != EEXIST)
            return -1;
        *slash = '/';
    }
    return 0;
}

/* A rename lasts once the folder that holds the name is synced, and the folders above it. */
static int sync_folders(struct tile_store *store, const char *name)
{
    char path[TILE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s", name);
    for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
        *slash = '\0';
        int fd = openat(store->folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int result = fd >= 0 ? fsync(fd) : -1;
        if (fd >= 0)
            (void)close(fd);
        if (result != 0)
            return -1;
    }
    return fsync(store->folder);
}

int tile_store_replace(struct tile_store *store, const char *name, struct slice data,
                       struct err *err)
{
    if (make_folders(store, name) != 0)
        return disk(err, "written", name);
    int fd = openat(store->folder, temporary_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return disk(err, "written", name);
    int result = write_all(fd, data);
    if (result == 0)
        result = fsync(fd);
    if (close(fd) != 0)
        result = -1;
    if (result == 0)
        result = renameat(store->folder, temporary_name, store->folder, name);
    if (result == 0)
        result = sync_folders(store, name);
    return result == 0 ? 0 : disk(err, "written", name);
}

int tile_store_put(struct tile_store *store, const char *name, struct slice data, struct err *err)
{
    int found = tile_store_read(store, name, &store->old, err);
    if (found < 0)
        return -1;
    if (found == 0)
        return tile_store_replace(store, name, data, err);
    if (store->old.len != data.len || memcmp(store->old.data, data.data, data.len) != 0)
        return err_set(err, ERR_DATA_LOSS, "TILE_DIFFERS",
                       "%s was written before with other bytes; it was left as it is.", name);
    return 0;
}

void tile_store_drop_partial(struct tile_store *store, const struct tile *full)
{
    struct tile tile = *full;
    char path[TILE_PATH_BYTES];
    tile.width = 1;
    tile_path(&tile, path);
    *strrchr(path, '/') = '\0';
    int fd = openat(store->folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    for (struct dirent *item = readdir(folder); item != NULL; item = readdir(folder)) {
        if (item->d_name[0] != '.')
            (void)unlinkat(fd, item->d_name, 0);
    }
    (void)closedir(folder);
    (void)unlinkat(store->folder, path, AT_REMOVEDIR);
}
