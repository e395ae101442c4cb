#include "schema/dictionary.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/yaml.h"
#include "schema/mapping.h"

enum { FOLDER_DEPTH_MAX = 4, TEXT_DEPTH_MAX = 32 };

struct document {
    struct dictionary_dataset dataset;
    struct yaml *yaml;
};

struct dictionary {
    struct arena arena;
    const char *dir;
    struct document *documents; /* sorted by name */
    size_t document_count;
    struct dictionary_codes *codes; /* sorted by name */
    size_t codes_count;
};

static int read_folder(struct dictionary *dictionary, const char *folder, const char *suffix,
                       int depth, struct err *err);

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct document *)a)->dataset.name,
                  ((const struct document *)b)->dataset.name);
}

static int by_codes(const void *a, const void *b)
{
    return strcmp(((const struct dictionary_codes *)a)->name,
                  ((const struct dictionary_codes *)b)->name);
}

struct dictionary *dictionary_load(const char *dir, struct err *err)
{
    struct dictionary *dictionary = mem_zero(sizeof *dictionary);
    struct stat status;

    arena_init(&dictionary->arena);
    dictionary->dir = arena_strdup(&dictionary->arena, dir);
    if (stat(dir, &status) != 0 || !S_ISDIR(status.st_mode)) {
        err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE", "%.200s:1:1: there is no such folder", dir);
        dictionary_free(&dictionary);
        return NULL;
    }
    if (read_folder(dictionary, "departments", ".yaml", 0, err) != 0 ||
        read_folder(dictionary, "codes", ".csv", 0, err) != 0) {
        dictionary_free(&dictionary);
        return NULL;
    }
    if (dictionary->document_count > 0)
        qsort(dictionary->documents, dictionary->document_count, sizeof *dictionary->documents,
              by_name);
    if (dictionary->codes_count > 0)
        qsort(dictionary->codes, dictionary->codes_count, sizeof *dictionary->codes, by_codes);
    return dictionary;
}

void dictionary_free(struct dictionary **dictionary)
{
    struct dictionary *old = dictionary != NULL ? *dictionary : NULL;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->document_count; i++)
        yaml_free(&old->documents[i].yaml);
    free(old->documents);
    free(old->codes);
    arena_fini(&old->arena);
    free(old);
    *dictionary = NULL;
}

/* --- files --------------------------------------------------------------------------------------
 */

/* Grows at powers of two. */
static void *grow(void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    return mem_resize(items, (count == 0 ? 1 : 2 * count) * size);
}

static int add_mapping(struct dictionary *dictionary, const char *path, const struct buf *content,
                       struct err *err)
{
    struct yaml *yaml = yaml_parse(path, (const char *)content->data, content->len, err);
    const char *name = path + strlen("departments/");

    if (yaml == NULL)
        return -1;
    dictionary->documents =
        grow(dictionary->documents, dictionary->document_count, sizeof *dictionary->documents);
    dictionary->documents[dictionary->document_count++] = (struct document){
        .dataset = { .name = arena_strndup(&dictionary->arena, name, strlen(name) - 5),
                     .file = path,
                     .root = yaml_root(yaml) },
        .yaml = yaml,
    };
    return 0;
}

static void add_codes(struct dictionary *dictionary, const char *path, const struct buf *content)
{
    const char *base = strrchr(path, '/') + 1;

    dictionary->codes = grow(dictionary->codes, dictionary->codes_count, sizeof *dictionary->codes);
    dictionary->codes[dictionary->codes_count++] = (struct dictionary_codes){
        .name = arena_strndup(&dictionary->arena, base, strlen(base) - 4),
        .text = arena_strndup(&dictionary->arena,
                              content->len > 0 ? (const char *)content->data : "", content->len),
    };
}

static int add_file(struct dictionary *dictionary, const char *path, bool mapping, struct err *err)
{
    char *full = mem_format("%s/%s", dictionary->dir, path);
    struct buf content;
    int result;

    buf_init(&content, DICTIONARY_TEXT_BYTES_MAX);
    result = yaml_read_file(full, &content, err);
    free(full);
    if (result != 0 || content.len == content.max)
        result = err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE",
                         "%.200s:1:1: the file cannot be read, or is larger than 16 MiB", path);
    else if (dictionary->document_count + dictionary->codes_count == DICTIONARY_FILES_MAX)
        result = err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_TOO_LARGE",
                         "%.200s:1:1: there are more than %d files", path, DICTIONARY_FILES_MAX);
    else if (mapping)
        result = add_mapping(dictionary, path, &content, err);
    else
        add_codes(dictionary, path, &content);
    buf_fini(&content);
    return result;
}

static int read_entry(struct dictionary *dictionary, const char *path, const char *suffix,
                      int depth, struct err *err)
{
    char *full = mem_format("%s/%s", dictionary->dir, path);
    size_t len = strlen(path), tail = strlen(suffix);
    struct stat status;
    int found = stat(full, &status);

    free(full);
    if (found == 0 && S_ISDIR(status.st_mode))
        return read_folder(dictionary, path, suffix, depth + 1, err);
    if (len > tail && strcmp(path + len - tail, suffix) == 0)
        return add_file(dictionary, path, suffix[1] == 'y', err);
    return 0;
}

/* A missing folder is an empty one. */
static int read_folder(struct dictionary *dictionary, const char *folder, const char *suffix,
                       int depth, struct err *err)
{
    char *full = mem_format("%s/%s", dictionary->dir, folder);
    DIR *open = depth > FOLDER_DEPTH_MAX ? NULL : opendir(full);
    int cause = depth > FOLDER_DEPTH_MAX ? ELOOP : errno, result = 0;

    free(full);
    if (open == NULL)
        return cause == ENOENT ? 0
                               : err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE",
                                         "%.200s:1:1: the folder cannot be read", folder);
    for (struct dirent *entry = readdir(open); entry != NULL && result == 0;
         entry = readdir(open)) {
        if (entry->d_name[0] == '.')
            continue;
        result =
            read_entry(dictionary, arena_format(&dictionary->arena, "%s/%s", folder, entry->d_name),
                       suffix, depth, err);
    }
    closedir(open);
    return result;
}

/* --- finding ------------------------------------------------------------------------------------
 */

size_t dictionary_count(const struct dictionary *dictionary)
{
    return dictionary->document_count;
}

const struct dictionary_dataset *dictionary_at(const struct dictionary *dictionary, size_t index)
{
    return &dictionary->documents[index].dataset;
}

const struct dictionary_dataset *dictionary_find(const struct dictionary *dictionary,
                                                 const char *name)
{
    for (size_t i = 0; i < dictionary->document_count; i++)
        if (strcmp(dictionary->documents[i].dataset.name, name) == 0)
            return &dictionary->documents[i].dataset;
    return NULL;
}

const struct dictionary_codes *dictionary_codes_find(const struct dictionary *dictionary,
                                                     const char *name)
{
    for (size_t i = 0; i < dictionary->codes_count; i++)
        if (strcmp(dictionary->codes[i].name, name) == 0)
            return &dictionary->codes[i];
    return NULL;
}

size_t dictionary_codes_count(const struct dictionary *dictionary)
{
    return dictionary->codes_count;
}

const struct dictionary_codes *dictionary_codes_at(const struct dictionary *dictionary,
                                                   size_t index)
{
    return &dictionary->codes[index];
}

/* --- parts of a mapping -------------------------------------------------------------------------
 */

const struct yaml_node *dictionary_part(const struct yaml_node *field, const char *key)
{
    if (yaml_kind(field) == YAML_MAPPING)
        return yaml_get(field, key);
    return strcmp(key, "from") == 0 ? field : NULL;
}

struct column_list {
    const char **names;
    size_t max;
    size_t count;
};

static void add_column(struct column_list *list, const char *name)
{
    for (size_t i = 0; i < list->count && i < list->max; i++)
        if (strcmp(list->names[i], name) == 0)
            return;
    if (list->count < list->max)
        list->names[list->count] = name;
    list->count++;
}

/* In a mapping only `column` and what nests further columns is looked at: the rest are parameters. */
static void collect_columns(const struct yaml_node *from, struct column_list *list)
{
    static const char *const nests[] = { "column", "from", "coalesce", "columns" };

    switch (yaml_kind(from)) {
    case YAML_SCALAR:
        add_column(list, yaml_text(from));
        return;
    case YAML_SEQUENCE:
        for (size_t i = 0; i < yaml_count(from); i++)
            collect_columns(yaml_item(from, i), list);
        return;
    case YAML_MAPPING:
        for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++)
            if (yaml_get(from, nests[i]) != NULL)
                collect_columns(yaml_get(from, nests[i]), list);
        return;
    }
}

size_t dictionary_columns(const struct yaml_node *field, const char **names_r, size_t max)
{
    struct column_list list = { .names = names_r, .max = max };
    const struct yaml_node *from = dictionary_part(field, "from");
    const struct yaml_node *coalesce = dictionary_part(field, "coalesce");

    if (from != NULL)
        collect_columns(from, &list);
    if (coalesce != NULL)
        collect_columns(coalesce, &list);
    return list.count;
}

static void collect_tables(const struct dictionary *dictionary, const struct yaml_node *node,
                           dictionary_table_fn found, void *arg)
{
    if (yaml_kind(node) == YAML_SCALAR) {
        if (dictionary_codes_find(dictionary, yaml_text(node)) != NULL)
            found(arg, yaml_text(node));
        return;
    }
    for (size_t i = 0; i < yaml_count(node); i++)
        collect_tables(dictionary,
                       yaml_kind(node) == YAML_MAPPING ? yaml_value(node, i) : yaml_item(node, i),
                       found, arg);
}

void dictionary_tables(const struct dictionary *dictionary, const struct yaml_node *field,
                       dictionary_table_fn found, void *arg)
{
    const struct yaml_node *codes = dictionary_part(field, "codes");
    const struct yaml_node *chain = dictionary_part(field, "normalise");

    if (codes != NULL && yaml_kind(codes) == YAML_SCALAR)
        collect_tables(dictionary, codes, found, arg);
    /* Only parameters name tables: the normalisers' own names are keys or plain items. */
    for (size_t i = 0; chain != NULL && i < yaml_count(chain); i++) {
        const struct yaml_node *step =
            yaml_kind(chain) == YAML_SEQUENCE ? yaml_item(chain, i) : chain;
        for (size_t j = 0; yaml_kind(step) == YAML_MAPPING && j < yaml_count(step); j++)
            collect_tables(dictionary, yaml_value(step, j), found, arg);
        if (step == chain)
            break;
    }
}

/* A plain scalar where YAML reads the same text back, else double quotes, however it was written:
 * only a null is something else in quotes. */
static void append_scalar(const struct yaml_node *node, struct buf *out)
{
    const char *text = yaml_text(node);
    bool quoted_null =
        yaml_is_quoted(node) && (strcmp(text, "null") == 0 || strcmp(text, "~") == 0);
    bool plain = text[0] != '\0' && !quoted_null && strpbrk(text, ",:#[]{}\"'") == NULL &&
                 text[0] != ' ' && text[strlen(text) - 1] != ' ';

    if (plain) {
        (void)buf_append_str(out, text);
        return;
    }
    (void)buf_append_byte(out, '"');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            (void)buf_append_byte(out, '\\');
        if ((unsigned char)*at < 0x20)
            (void)buf_append_format(out, "\\x%02x", (unsigned)(unsigned char)*at);
        else
            (void)buf_append_byte(out, (uint8_t)*at);
    }
    (void)buf_append_byte(out, '"');
}

static void append_node(const struct yaml_node *node, struct buf *out, int depth)
{
    bool mapping = yaml_kind(node) == YAML_MAPPING;

    if (yaml_kind(node) == YAML_SCALAR || depth == TEXT_DEPTH_MAX) {
        append_scalar(node, out);
        return;
    }
    (void)buf_append_byte(out, mapping ? '{' : '[');
    for (size_t i = 0; i < yaml_count(node); i++) {
        (void)buf_append_str(out, i > 0 ? ", " : "");
        if (mapping) {
            append_scalar(yaml_key(node, i), out);
            (void)buf_append_str(out, ": ");
        }
        append_node(mapping ? yaml_value(node, i) : yaml_item(node, i), out, depth + 1);
    }
    (void)buf_append_byte(out, mapping ? '}' : ']');
}

void dictionary_text(const struct yaml_node *node, struct buf *out)
{
    append_node(node, out, 0);
}

/* --- columns of a compiled mapping --------------------------------------------------------------
 */

size_t dictionary_dataset_columns(const struct schema_dataset *dataset,
                                  struct dictionary_column *columns_r, size_t max)
{
    const struct schema_mapping *mapping = dataset->mapping;

    for (size_t i = 0; i < mapping->column_count && i < max; i++)
        columns_r[i] = (struct dictionary_column){
            .name = mapping->columns[i].name,
            .type = mapping->columns[i].type_name,
        };
    return mapping->column_count;
}

static const struct mapping_child *child_at(const struct schema_dataset *dataset, size_t index)
{
    const struct schema_mapping *mapping = dataset->mapping;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].child != NULL && index-- == 0)
            return mapping->leaves[i].child;
    return NULL;
}

bool dictionary_dataset_child(const struct schema_dataset *dataset, size_t index,
                              struct dictionary_child *child_r)
{
    const struct mapping_child *child = child_at(dataset, index);
    if (child != NULL)
        *child_r = (struct dictionary_child){ .schema = child->schema, .table = child->table };
    return child != NULL;
}

size_t dictionary_child_columns(const struct schema_dataset *dataset, size_t index,
                                const char **names_r, size_t max)
{
    const struct mapping_child *child = child_at(dataset, index);
    size_t count = 0;
    for (size_t i = 0; child != NULL && i < child->column_count; i++, count++)
        if (count < max)
            names_r[count] = child->columns[i].name;
    for (size_t i = 0; child != NULL && i < child->join_count; i++, count++)
        if (count < max)
            names_r[count] = child->join_names[i];
    for (size_t i = 0; child != NULL && i < child->order_count; i++, count++)
        if (count < max)
            names_r[count] = child->order_names[i];
    return count;
}

const char *dictionary_column_type(uint32_t oid)
{
    for (int type = 0; type < COLUMN_TYPE_COUNT; type++)
        if (column_type_accepts((enum column_type)type, oid))
            return column_type_name((enum column_type)type);
    return NULL;
}

bool dictionary_column_fits(const char *type, uint32_t oid)
{
    size_t len = strlen(type);
    bool array = len > 2 && strcmp(type + len - 2, "[]") == 0;
    for (int i = 0; i < COLUMN_TYPE_COUNT; i++) {
        const char *name = column_type_name((enum column_type)i);
        struct mapping_column column = { .type = array ? COLUMN_ARRAY : (enum column_type)i,
                                         .element = (enum column_type)i };
        if (strlen(name) == len - (array ? 2 : 0) && strncmp(name, type, strlen(name)) == 0 &&
            column_accepts(&column, oid))
            return true;
    }
    return false;
}
