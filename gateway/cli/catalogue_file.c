#include "cli/catalogue_file.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "cli/catalogue_csv.h"
#include "cli/cli.h"
#include "cli/json_place.h"
#include "conf/yaml.h"
#include "schema/csv.h"

enum { COMPLAINT_BYTES = 4096 };

/* --- encoding ------------------------------------------------------------------------------------
 */
/* GB 18030 grows by half at most: two bytes are three of UTF-8. */
static bool from_gb18030(struct buf *text, size_t *bad_r)
{
    iconv_t converter = iconv_open("UTF-8", "GB18030");
    size_t room = text->len * 2 + 4, in_left = text->len, out_left = room;
    char *in = (char *)text->data, *out = malloc(room), *at = out;
    bool good = false;

    *bad_r = 0;
    if (out == NULL)
        abort();
    if (converter != (iconv_t)-1) {
        good = iconv(converter, &in, &in_left, &at, &out_left) != (size_t)-1 && in_left == 0;
        *bad_r = text->len - in_left;
        (void)iconv_close(converter);
    }
    if (good) {
        buf_reset(text);
        text->max = room;
        (void)buf_append(text, out, room - out_left);
    }
    free(out);
    return good;
}

bool catalogue_file_decode(struct buf *text, size_t *bad_r)
{
    const char *nul = text->len > 0 ? memchr(text->data, '\0', text->len) : NULL;

    *bad_r = nul != NULL ? (size_t)(nul - (const char *)text->data) : 0;
    if (nul != NULL)
        return false;
    if (!utf8_valid(text->data, text->len) && !from_gb18030(text, bad_r))
        return false;
    if (text->len >= 3 && memcmp(text->data, "\xef\xbb\xbf", 3) == 0)
        buf_consume(text, 3);
    return true;
}

/* --- places --------------------------------------------------------------------------------------
 */
static struct csv_place place_of(const struct buf *text, size_t at)
{
    struct csv_reader reader;

    csv_start(&reader, (const char *)text->data, text->len);
    return csv_place_of(&reader, at);
}

static void complain_at(const char *path, struct csv_place place, const char *sentence)
{
    char line[16], column[16];

    (void)snprintf(line, sizeof line, "%d", place.line);
    (void)snprintf(column, sizeof column, "%d", place.column);
    COMPLAIN(MSG_CATALOGUE_FILE, path, line, column, sentence);
}

bool catalogue_file_place(const struct catalogue_file *file, const char *dataset, int *line_r,
                          int *column_r)
{
    size_t len = strlen(dataset);
    const char *text = (const char *)file->text.data, *end = text + file->text.len;

    for (const char *at = text; len > 0 && at + len <= end; at++) {
        at = memchr(at, dataset[0], (size_t)(end - at));
        if (at == NULL || at + len > end)
            return false;
        /* A whole name: neither letters, digits nor '-' and '_' go on behind it. */
        if (memcmp(at, dataset, len) == 0 &&
            (at + len == end ||
             strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", at[len]) == NULL)) {
            struct csv_place place = place_of(&file->text, (size_t)(at - text));
            *line_r = place.line;
            *column_r = place.column;
            return true;
        }
    }
    return false;
}

/* A list of entries is what the request calls "entries"; an object has them by that name. */
bool catalogue_file_path(const struct catalogue_file *file, const char *path, int *line_r,
                         int *column_r)
{
    static const char entries[] = "entries";
    const char *text = (const char *)file->text.data;
    size_t len = file->text.len, list = 0;

    while (list < len && text[list] != '[' && text[list] != '{')
        list++;
    if (list >= len || strncmp(path, entries, strlen(entries)) != 0)
        return false;
    size_t at = json_place_find(text, len, list, text[list] == '[' ? path + strlen(entries) : path);
    struct csv_place place = place_of(&file->text, at);
    *line_r = place.line;
    *column_r = place.column;
    return at < len;
}

/* --- the file ------------------------------------------------------------------------------------
 */
/* A list of entries, or an object that has it as "entries", as the gateway answers. */
static json_t *read_json(const char *path, const struct buf *text)
{
    json_error_t where;
    json_t *whole = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, &where);
    json_t *entries = json_is_object(whole) ? json_object_get(whole, "entries") : whole;

    if (whole == NULL)
        complain_at(path, (struct csv_place){ where.line, where.column }, where.text);
    else if (!json_is_array(entries))
        complain_at(path, (struct csv_place){ 1, 1 }, message(MSG_CATALOGUE_NO_ENTRIES));
    entries = json_is_array(entries) ? json_incref(entries) : NULL;
    json_decref(whole);
    return entries;
}

static json_t *read_csv(const char *path, const struct buf *text)
{
    struct buf complaint;
    json_t *entries;

    buf_init(&complaint, COMPLAINT_BYTES);
    entries = catalogue_csv_read(path, (const char *)text->data, text->len, &complaint);
    if (entries == NULL)
        COMPLAIN(MSG_PLAIN, buf_cstr(&complaint));
    buf_fini(&complaint);
    return entries;
}

/* JSON begins with a bracket, and no column is named so. */
static bool looks_like_json(const struct buf *text)
{
    size_t at = 0;

    while (at < text->len && strchr(" \t\r\n", text->data[at]) != NULL)
        at++;
    return at < text->len && (text->data[at] == '[' || text->data[at] == '{');
}

int catalogue_file_read(struct catalogue_file *file, const char *path)
{
    struct err err = ERR_INIT;
    size_t bad;

    file->entries = NULL;
    buf_init(&file->text, CATALOGUE_FILE_BYTES_MAX + 1);
    if (yaml_read_file(path, &file->text, &err) != 0) {
        COMPLAIN(MSG_PLAIN, err.text);
        return -1;
    }
    if (file->text.len > CATALOGUE_FILE_BYTES_MAX) {
        complain_at(path, (struct csv_place){ 1, 1 }, message(MSG_CATALOGUE_TOO_LARGE));
        return -1;
    }
    if (!catalogue_file_decode(&file->text, &bad)) {
        complain_at(path, place_of(&file->text, bad), message(MSG_CATALOGUE_ENCODING));
        return -1;
    }
    file->entries =
        looks_like_json(&file->text) ? read_json(path, &file->text) : read_csv(path, &file->text);
    return file->entries != NULL ? 0 : -1;
}

void catalogue_file_fini(struct catalogue_file *file)
{
    json_decref(file->entries);
    buf_fini(&file->text);
}
