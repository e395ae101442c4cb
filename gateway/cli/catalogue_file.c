#include "cli/catalogue_file.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "conf/yaml.h"

static void complain_at(const char *path, int line, int column, const char *text)
{
    char line_text[16], column_text[16];

    (void)snprintf(line_text, sizeof line_text, "%d", line);
    (void)snprintf(column_text, sizeof column_text, "%d", column);
    COMPLAIN(MSG_CATALOGUE_FILE, path, line_text, column_text, text);
}

/* A list of entries, or an object that has it as "entries", as `sluice catalog entries` answers. */
static json_t *read_json(const char *path, const struct buf *text)
{
    json_error_t where;
    json_t *whole = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, &where);
    json_t *entries = json_is_object(whole) ? json_object_get(whole, "entries") : whole;

    if (whole == NULL)
        complain_at(path, where.line, where.column, where.text);
    else if (!json_is_array(entries))
        COMPLAIN(MSG_CATALOGUE_NO_ENTRIES, path);
    entries = json_is_array(entries) ? json_incref(entries) : NULL;
    json_decref(whole);
    return entries;
}

json_t *catalogue_file_read(const char *path)
{
    struct err err = ERR_INIT;
    struct buf text;
    json_t *entries = NULL;

    buf_init(&text, CATALOGUE_FILE_BYTES_MAX + 1);
    if (yaml_read_file(path, &text, &err) == 0)
        entries = read_json(path, &text);
    else
        COMPLAIN(MSG_PLAIN, err.text);
    buf_fini(&text);
    return entries;
}
