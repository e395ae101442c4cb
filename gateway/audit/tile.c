#include "audit/tile.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "x001/x234/067": groups of three digits, all but the last marked. */
static size_t write_index(uint64_t index, char *out)
{
    unsigned groups[8];
    size_t count = 0;
    do {
        groups[count++] = (unsigned)(index % 1000);
        index /= 1000;
    } while (index > 0);
    size_t len = 0;
    while (count-- > 0)
        len += (size_t)snprintf(out + len, TILE_PATH_BYTES - len, count > 0 ? "x%03u/" : "%03u",
                                groups[count]);
    return len;
}

void tile_path(const struct tile *tile, char path_r[TILE_PATH_BYTES])
{
    assert(tile->index <= MERKLE_SIZE_MAX && tile->width > 0 && tile->width <= TILE_WIDTH);
    int len = 0;
    switch (tile->kind) {
    case TILE_HASHES:
        len = snprintf(path_r, TILE_PATH_BYTES, "tile/%u/", tile->level);
        break;
    case TILE_ENTRIES:
        len = snprintf(path_r, TILE_PATH_BYTES, "tile/entries/");
        break;
    case TILE_COLUMNS:
        len = snprintf(path_r, TILE_PATH_BYTES, "columns/");
        break;
    case TILE_BATCHES:
        len = snprintf(path_r, TILE_PATH_BYTES, "batches/");
        break;
    }
    size_t used = (size_t)len + write_index(tile->index, path_r + len);
    if (tile->width < TILE_WIDTH)
        (void)snprintf(path_r + used, TILE_PATH_BYTES - used, ".p/%u", tile->width);
}

static bool take(const char **text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(*text, prefix, len) != 0)
        return false;
    *text += len;
    return true;
}

static bool take_digits(const char **text, size_t min, size_t max, uint64_t *value_r)
{
    size_t len = strspn(*text, "0123456789");
    if (len < min || len > max)
        return false;
    *value_r = 0;
    for (size_t i = 0; i < len; i++)
        *value_r = *value_r * 10 + (uint64_t)((*text)[i] - '0');
    *text += len;
    return true;
}

static bool take_index(const char **text, uint64_t *index_r)
{
    uint64_t index = 0, group;
    for (bool last = false; !last;) {
        last = !take(text, "x");
        if (!take_digits(text, 3, 3, &group) || (!last && !take(text, "/")))
            return false;
        index = index * 1000 + group;
        if (index > MERKLE_SIZE_MAX)
            return false;
    }
    *index_r = index;
    return true;
}

bool tile_path_parse(const char *path, struct tile *tile_r)
{
    const char *text = path;
    uint64_t number = 0;
    *tile_r = (struct tile){ .kind = TILE_HASHES, .width = TILE_WIDTH };
    if (strnlen(path, TILE_PATH_BYTES) == TILE_PATH_BYTES)
        return false;
    if (take(&text, "columns/"))
        tile_r->kind = TILE_COLUMNS;
    else if (take(&text, "batches/"))
        tile_r->kind = TILE_BATCHES;
    else if (take(&text, "tile/entries/"))
        tile_r->kind = TILE_ENTRIES;
    else if (!take(&text, "tile/") || !take_digits(&text, 1, 1, &number) || !take(&text, "/"))
        return false;
    tile_r->level = (unsigned)number;
    if (number >= TILE_LEVELS || !take_index(&text, &tile_r->index))
        return false;
    if (take(&text, ".p/")) {
        if (!take_digits(&text, 1, 3, &number) || number == 0 || number >= TILE_WIDTH)
            return false;
        tile_r->width = (unsigned)number;
    }
    /* One tile has one name: no leading zeros, no empty groups in front. */
    char again[TILE_PATH_BYTES];
    tile_path(tile_r, again);
    return strcmp(again, path) == 0;
}

unsigned tile_width(uint64_t size, unsigned level, uint64_t index)
{
    uint64_t hashes = size >> (TILE_HEIGHT * level);
    uint64_t first = index * TILE_WIDTH;
    if (hashes <= first)
        return 0;
    return hashes - first < TILE_WIDTH ? (unsigned)(hashes - first) : TILE_WIDTH;
}

int tile_entry_write(struct buf *bundle, struct slice leaf)
{
    if (leaf.len > TILE_ENTRY_BYTES_MAX || buf_reserve(bundle, leaf.len + 2) != 0)
        return -1;
    (void)buf_append_byte(bundle, (uint8_t)(leaf.len >> 8));
    (void)buf_append_byte(bundle, (uint8_t)leaf.len);
    return buf_append(bundle, leaf.data, leaf.len);
}

int tile_entry_next(struct slice *rest, struct slice *leaf_r)
{
    if (rest->len == 0)
        return 0;
    size_t len = rest->len >= 2 ? (size_t)rest->data[0] << 8 | rest->data[1] : 0;
    if (rest->len < 2 + len || len > TILE_ENTRY_BYTES_MAX || rest->len < 2)
        return -1;
    *leaf_r = slice_of(rest->data + 2, len);
    *rest = slice_of(rest->data + 2 + len, rest->len - 2 - len);
    return 1;
}
