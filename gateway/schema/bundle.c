#include "schema/bundle.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/mapping.h"

enum {
    FILES_MAX = 20000,
    NAME_BYTES_MAX = 64, /* of a department or dataset */
    FOLDER_DEPTH_MAX = 4,
    FAULTS_MAX = 100, /* of one file: more are no help */
};

/* One file of the bundle, by its path inside it. */
struct bundle_file {
    const char *path;
    struct buf content;
};

struct schema_bundle {
    struct arena arena;
    const char *dir;
    struct schema_set *types;
    struct strmap code_tables;
    struct bundle_file *files; /* only while loading */
    size_t file_count;
    struct schema_mapping **mappings; /* sorted by dataset name */
    size_t mapping_count;
    uint8_t digest[SCHEMA_DIGEST_BYTES];
    schema_fault_fn tell; /* NULL: the first fault ends loading */
    void *tell_arg;
    size_t fault_count;
};

static int load_files(struct schema_bundle *bundle, const char *folder, const char *suffix,
                      int depth, struct err *err);
static int read_types(struct schema_bundle *bundle, const char *path, struct err *err);
static int take_files(struct schema_bundle *bundle, const struct schema_file *files, size_t count,
                      struct err *err);
static int load_types(struct schema_bundle *bundle, struct err *err);
static int load_code_tables(struct schema_bundle *bundle, struct err *err);
static int load_mappings(struct schema_bundle *bundle, struct err *err);
static void make_digest(struct schema_bundle *bundle);
static void free_files(struct schema_bundle *bundle);

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct bundle_file *)a)->path, ((const struct bundle_file *)b)->path);
}

static int by_name(const void *a, const void *b)
{
    const struct schema_mapping *const *left = a, *const *right = b;
    return strcmp((*left)->dataset.name, (*right)->dataset.name);
}

static struct schema_bundle *new_bundle(const char *dir)
{
    struct schema_bundle *bundle = mem_zero(sizeof *bundle);
    arena_init(&bundle->arena);
    strmap_init(&bundle->code_tables);
    bundle->dir = arena_strdup(&bundle->arena, dir);
    return bundle;
}

static int read_folder(struct schema_bundle *bundle, const char *descriptor_file, struct err *err)
{
    if (read_types(bundle, descriptor_file, err) != 0 ||
        load_files(bundle, "codes", ".csv", 0, err) != 0 ||
        load_files(bundle, "departments", ".yaml", 0, err) != 0)
        return -1;
    qsort(bundle->files, bundle->file_count, sizeof *bundle->files, by_path);
    return 0;
}

/* What follows the reading is the same wherever the files came from. Takes the bundle; `result` is the
 * reading's. */
static struct schema_bundle *compile(struct schema_bundle *bundle, int result, struct err *err)
{
    if (result == 0 && (load_types(bundle, err) != 0 || load_code_tables(bundle, err) != 0 ||
                        load_mappings(bundle, err) != 0))
        result = -1;
    if (result == 0)
        make_digest(bundle);
    else if (bundle->tell != NULL)
        bundle->tell(bundle->tell_arg, err);
    free_files(bundle);
    if (result != 0 || bundle->fault_count > 0)
        schema_bundle_free(&bundle);
    return bundle;
}

struct schema_bundle *schema_bundle_load(const char *dir, const char *descriptor_file,
                                         struct err *err)
{
    struct schema_bundle *bundle = new_bundle(dir);
    return compile(bundle, read_folder(bundle, descriptor_file, err), err);
}

struct schema_bundle *schema_bundle_check(const char *dir, const char *descriptor_file,
                                          schema_fault_fn tell, void *arg)
{
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = new_bundle(dir);
    bundle->tell = tell;
    bundle->tell_arg = arg;
    return compile(bundle, read_folder(bundle, descriptor_file, &err), &err);
}

struct schema_bundle *schema_bundle_load_files(const struct schema_file *files, size_t count,
                                               struct err *err)
{
    struct schema_bundle *bundle = new_bundle("");
    return compile(bundle, take_files(bundle, files, count, err), err);
}

/* 0 when loading goes on behind this fault. */
static int fault(struct schema_bundle *bundle, const struct err *err)
{
    if (bundle->tell == NULL)
        return -1;
    bundle->fault_count++;
    bundle->tell(bundle->tell_arg, err);
    return 0;
}

struct schema_bundle *schema_bundle_empty(void)
{
    struct schema_bundle *bundle = new_bundle("");
    bundle->mappings = mem_array(1, sizeof(struct schema_mapping *));
    make_digest(bundle);
    return bundle;
}

int schema_bundle_read(const char *dir, const char *descriptor_file, schema_file_fn take, void *arg,
                       struct err *err)
{
    struct schema_bundle *bundle = new_bundle(dir);
    int result = read_folder(bundle, descriptor_file, err);
    for (size_t i = 0; i < bundle->file_count && result == 0; i++) {
        const struct schema_file file = { .path = bundle->files[i].path,
                                          .data = bundle->files[i].content.data,
                                          .len = bundle->files[i].content.len };
        take(arg, &file);
    }
    free_files(bundle);
    schema_bundle_free(&bundle);
    return result;
}

void schema_bundle_free(struct schema_bundle **bundle)
{
    if (bundle == NULL || *bundle == NULL)
        return;
    struct schema_bundle *old = *bundle;
    for (size_t i = 0; i < old->mapping_count; i++)
        mapping_fini(old->mappings[i]);
    const char *name = NULL;
    void *table = NULL;
    size_t pos = 0;
    while (strmap_next(&old->code_tables, &pos, &name, &table))
        code_table_fini(table);
    strmap_fini(&old->code_tables);
    schema_set_free(&old->types);
    free(old->mappings);
    arena_fini(&old->arena);
    free(old);
    *bundle = NULL;
}

const uint8_t *schema_bundle_digest(const struct schema_bundle *bundle)
{
    return bundle->digest;
}

const struct schema_set *schema_bundle_types(const struct schema_bundle *bundle)
{
    return bundle->types;
}

size_t schema_bundle_count(const struct schema_bundle *bundle)
{
    return bundle->mapping_count;
}

const struct schema_dataset *schema_bundle_at(const struct schema_bundle *bundle, size_t index)
{
    return &bundle->mappings[index]->dataset;
}

const struct schema_dataset *schema_bundle_find(const struct schema_bundle *bundle,
                                                const char *name)
{
    size_t low = 0, high = bundle->mapping_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, bundle->mappings[middle]->dataset.name);
        if (order == 0)
            return &bundle->mappings[middle]->dataset;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool schema_dataset_filterable(const struct schema_dataset *dataset,
                               const struct schema_field *field)
{
    const struct mapping_leaf *leaf = mapping_leaf_of(dataset->mapping, field);
    return leaf != NULL && leaf->back != LEAF_ONE_WAY;
}

bool schema_dataset_provides(const struct schema_dataset *dataset, const struct schema_field *field)
{
    const struct schema_mapping *mapping = dataset->mapping;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].path[0] == field && mapping->leaves[i].constant == NULL)
            return true;
    return false;
}

/* --- files --------------------------------------------------------------------------------------
 */

/* NULL when there are too many. */
static struct bundle_file *new_file(struct schema_bundle *bundle, const char *path, size_t max,
                                    struct err *err)
{
    if (bundle->file_count == FILES_MAX) {
        (void)err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_TOO_LARGE",
                      "%s:1:1: the bundle has more than %d files", path, FILES_MAX);
        return NULL;
    }
    size_t count = bundle->file_count;
    if ((count & (count - 1)) == 0) /* grows at powers of two */
        bundle->files =
            mem_resize(bundle->files, (count == 0 ? 1 : 2 * count) * sizeof *bundle->files);
    struct bundle_file *file = &bundle->files[bundle->file_count++];
    file->path = path;
    buf_init(&file->content, max);
    return file;
}

static int add_file(struct schema_bundle *bundle, const char *path, struct err *err)
{
    struct bundle_file *file = new_file(bundle, path, CODE_TABLE_BYTES_MAX + 1, err);
    if (file == NULL)
        return -1;
    char *full = mem_format("%s/%s", bundle->dir, path);
    int result = yaml_read_file(full, &file->content, err);
    free(full);
    if (result != 0) /* the folder is our business, not the reader's */
        return err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE", "%s:1:1: the file cannot be read",
                       path);
    if (file->content.len > CODE_TABLE_BYTES_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_TOO_LARGE",
                       "%s:1:1: the file is larger than %d bytes", path, CODE_TABLE_BYTES_MAX);
    return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), wanted = strlen(suffix);
    return len > wanted && strcmp(name + len - wanted, suffix) == 0;
}

static int load_entry(struct schema_bundle *bundle, const char *path, const char *suffix, int depth,
                      struct err *err)
{
    struct stat status;
    char *full = mem_format("%s/%s", bundle->dir, path);
    int found = stat(full, &status);
    free(full);
    if (found != 0)
        return err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE", "%s:1:1: the file cannot be read",
                       path);
    if (S_ISDIR(status.st_mode))
        return load_files(bundle, path, suffix, depth + 1, err);
    return has_suffix(path, suffix) ? add_file(bundle, path, err) : 0;
}

/* A missing folder is an empty one. */
static int load_files(struct schema_bundle *bundle, const char *folder, const char *suffix,
                      int depth, struct err *err)
{
    if (depth > FOLDER_DEPTH_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_TOO_DEEP",
                       "%s:1:1: the folders are nested too deeply", folder);
    char *full = mem_format("%s/%s", bundle->dir, folder);
    DIR *open = opendir(full);
    free(full);
    if (open == NULL)
        return errno == ENOENT ? 0
                               : err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE",
                                         "%s:1:1: the folder cannot be read", folder);
    int result = 0;
    for (struct dirent *entry = readdir(open); entry != NULL && result == 0;
         entry = readdir(open)) {
        if (entry->d_name[0] == '.')
            continue;
        const char *path = arena_format(&bundle->arena, "%s/%s", folder, entry->d_name);
        result = load_entry(bundle, path, suffix, depth, err);
    }
    closedir(open);
    return result;
}

static void free_files(struct schema_bundle *bundle)
{
    for (size_t i = 0; i < bundle->file_count; i++)
        buf_fini(&bundle->files[i].content);
    free(bundle->files);
    bundle->files = NULL;
    bundle->file_count = 0;
}

static const char types_path[] = "canonical.pb";

static int read_types(struct schema_bundle *bundle, const char *path, struct err *err)
{
    struct bundle_file *file = new_file(bundle, types_path, SCHEMA_SET_BYTES_MAX + 1, err);
    if (file == NULL || yaml_read_file(path, &file->content, err) != 0)
        return err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE",
                       "canonical.pb:1:1: the descriptor set cannot be read");
    return 0;
}

/* --- files from a list --------------------------------------------------------------------------
 */

/* A path as the folder would have it: no other file may hide in a bundle. */
static bool path_is_known(const char *path)
{
    if (strcmp(path, types_path) == 0)
        return true;
    bool codes = strncmp(path, "codes/", strlen("codes/")) == 0 && has_suffix(path, ".csv");
    bool mapping =
        strncmp(path, "departments/", strlen("departments/")) == 0 && has_suffix(path, ".yaml");
    if ((!codes && !mapping) || strlen(path) > SCHEMA_PATH_BYTES_MAX ||
        strpbrk(path, "\\\n\r\t") != NULL)
        return false;
    int depth = 0;
    for (const char *part = strchr(path, '/'); part != NULL; part = strchr(part + 1, '/')) {
        depth++;
        if (part[1] == '.' || part[1] == '/')
            return false;
    }
    return depth <= FOLDER_DEPTH_MAX + 1;
}

static int take_file(struct schema_bundle *bundle, const struct schema_file *given, struct err *err)
{
    if (!path_is_known(given->path))
        return err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_INVALID",
                       "%.200s:1:1: a bundle holds canonical.pb, codes/*.csv and "
                       "departments/<department>/<dataset>.yaml",
                       given->path);
    const char *path = arena_strdup(&bundle->arena, given->path);
    bool types = strcmp(path, types_path) == 0;
    int max = types ? SCHEMA_SET_BYTES_MAX : CODE_TABLE_BYTES_MAX;
    struct bundle_file *file = new_file(bundle, path, (size_t)max, err);
    if (file == NULL)
        return -1;
    if (buf_append(&file->content, given->data, given->len) != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_TOO_LARGE",
                       "%s:1:1: the file is larger than %d bytes", path, max);
    return 0;
}

static int take_files(struct schema_bundle *bundle, const struct schema_file *files, size_t count,
                      struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (take_file(bundle, &files[i], err) != 0)
            return -1;
    if (count > 0)
        qsort(bundle->files, bundle->file_count, sizeof *bundle->files, by_path);
    for (size_t i = 1; i < bundle->file_count; i++)
        if (strcmp(bundle->files[i - 1].path, bundle->files[i].path) == 0)
            return err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_INVALID",
                           "%s:1:1: the bundle has this file twice", bundle->files[i].path);
    return 0;
}

/* --- contents -----------------------------------------------------------------------------------
 */

static int load_types(struct schema_bundle *bundle, struct err *err)
{
    const struct bundle_file *file = NULL;
    for (size_t i = 0; i < bundle->file_count; i++)
        if (strcmp(bundle->files[i].path, types_path) == 0)
            file = &bundle->files[i];
    if (file == NULL)
        return err_set(err, ERR_INVALID_ARGUMENT, "BUNDLE_INVALID",
                       "canonical.pb:1:1: the bundle has no descriptor set");
    bundle->types = schema_set_load(file->content.data, file->content.len, err);
    if (bundle->types != NULL)
        return 0;
    struct err cause = *err;
    err_set(err, cause.code, cause.reason, "canonical.pb:1:1: %.250s", cause.text);
    return err_detail(err, "%.250s", cause.detail);
}

/* --- contents -----------------------------------------------------------------------------------
 */

static int load_code_table(struct schema_bundle *bundle, const struct bundle_file *file,
                           struct err *err)
{
    const char *base = strrchr(file->path, '/') + 1;
    const char *name = arena_strndup(&bundle->arena, base, strlen(base) - strlen(".csv"));
    if (strmap_get(&bundle->code_tables, name) != NULL)
        return err_set(err, ERR_INVALID_ARGUMENT, "CODE_TABLE_INVALID",
                       "%s:1:1: another code table has this name; rename one", file->path);
    struct code_table *table = code_table_parse(
        &bundle->arena, file->path, name, (const char *)file->content.data, file->content.len, err);
    if (table == NULL)
        return -1;
    strmap_set(&bundle->code_tables, table->name, table);
    return 0;
}

static int load_code_tables(struct schema_bundle *bundle, struct err *err)
{
    for (size_t i = 0; i < bundle->file_count; i++)
        if (has_suffix(bundle->files[i].path, ".csv") &&
            load_code_table(bundle, &bundle->files[i], err) != 0 && fault(bundle, err) != 0)
            return -1;
    return 0;
}

static EVP_MD_CTX *hash_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int fine = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    assert(fine);
    (void)fine;
    return context;
}

/* Every piece carries its length, so that no two bundles share a byte string. */
static void hash_piece(EVP_MD_CTX *context, const void *data, size_t len)
{
    uint8_t size[8];
    for (size_t i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)len >> (8 * i));
    int fine = EVP_DigestUpdate(context, size, sizeof size) &&
               EVP_DigestUpdate(context, len > 0 ? data : "", len);
    assert(fine);
    (void)fine;
}

static void hash_end(EVP_MD_CTX *context, uint8_t digest_r[SCHEMA_DIGEST_BYTES])
{
    unsigned len = 0;
    int fine = EVP_DigestFinal_ex(context, digest_r, &len);
    assert(fine && len == SCHEMA_DIGEST_BYTES);
    (void)fine;
    EVP_MD_CTX_free(context);
}

static void hash_file(EVP_MD_CTX *context, const struct bundle_file *file)
{
    hash_piece(context, file->path, strlen(file->path));
    hash_piece(context, file->content.data, file->content.len);
}

static void make_digest(struct schema_bundle *bundle)
{
    EVP_MD_CTX *context = hash_new();
    for (size_t i = 0; i < bundle->file_count; i++)
        hash_file(context, &bundle->files[i]);
    hash_end(context, bundle->digest);
}

/* --- fingerprints -------------------------------------------------------------------------------
 */

/* True when a scalar anywhere below names the table. Rather once too often: a dataset that is said
 * to have changed only asks its owner. */
static bool yaml_mentions(const struct yaml_node *node, const char *name)
{
    if (yaml_kind(node) == YAML_SCALAR)
        return strstr(yaml_text(node), name) != NULL;
    bool mapping = yaml_kind(node) == YAML_MAPPING;
    for (size_t i = 0; i < yaml_count(node); i++)
        if ((mapping && strstr(yaml_text(yaml_key(node, i)), name) != NULL) ||
            yaml_mentions(mapping ? yaml_value(node, i) : yaml_item(node, i), name))
            return true;
    return false;
}

static void make_fingerprint(const struct schema_bundle *bundle, const struct bundle_file *file,
                             const struct yaml_node *root, struct schema_dataset *dataset)
{
    struct buf closure;
    buf_init(&closure, 2 * SCHEMA_SET_BYTES_MAX);
    int fine = schema_set_closure(bundle->types, dataset->type->file, &closure);
    assert(fine == 0);
    (void)fine;
    EVP_MD_CTX *context = hash_new();
    hash_file(context, file);
    hash_piece(context, closure.data, closure.len);
    for (size_t i = 0; i < bundle->file_count; i++) {
        const struct bundle_file *codes = &bundle->files[i];
        if (!has_suffix(codes->path, ".csv"))
            continue;
        const char *base = strrchr(codes->path, '/') + 1;
        char *name = mem_strndup(base, strlen(base) - strlen(".csv"));
        if (yaml_mentions(root, name))
            hash_file(context, codes);
        free(name);
    }
    hash_end(context, dataset->fingerprint);
    buf_fini(&closure);
}

static bool name_is_valid(const char *name, size_t len)
{
    if (len == 0 || len > NAME_BYTES_MAX || name[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '-' || name[i] == '_'))
            return false;
    return true;
}

static struct schema_mapping *load_mapping(struct schema_bundle *bundle,
                                           const struct bundle_file *file, struct err *err)
{
    const char *department = file->path + strlen("departments/");
    size_t department_len = strcspn(department, "/");
    const char *dataset = department + department_len + (department[department_len] == '/');
    size_t dataset_len = strlen(dataset) > 5 ? strlen(dataset) - strlen(".yaml") : 0;
    if (!name_is_valid(department, department_len) || !name_is_valid(dataset, dataset_len)) {
        err_set(
            err, ERR_INVALID_ARGUMENT, "MAPPING_INVALID",
            "%s:1:1: a mapping lies at departments/<department>/<dataset>.yaml; names have small "
            "letters, digits, - and _",
            file->path);
        return NULL;
    }
    struct yaml *yaml =
        yaml_parse(file->path, (const char *)file->content.data, file->content.len, err);
    if (yaml == NULL)
        return NULL;
    struct mapping_context context = {
        .env = { .arena = &bundle->arena, .code_tables = &bundle->code_tables },
        .types = bundle->types,
        .department = arena_strndup(&bundle->arena, department, department_len),
        .dataset = arena_strndup(&bundle->arena, dataset, dataset_len),
    };
    struct schema_mapping *mapping = mapping_read(yaml_root(yaml), &context, err);
    if (mapping != NULL)
        make_fingerprint(bundle, file, yaml_root(yaml), &mapping->dataset);
    yaml_free(&yaml);
    return mapping;
}

/* --- more than one fault in a file --------------------------------------------------------------
 */

/* Line of the fault in "file:line:column: ..."; 0 when it has none. */
static int fault_line(const struct bundle_file *file, const struct err *err)
{
    size_t len = strlen(file->path);
    bool ours = strncmp(err->text, file->path, len) == 0 && err->text[len] == ':';
    return ours ? (int)strtol(err->text + len + 1, NULL, 10) : 0;
}

static int last_line(const struct yaml_node *node)
{
    int last = yaml_line(node);
    for (size_t i = 0; yaml_kind(node) != YAML_SCALAR && i < yaml_count(node); i++) {
        bool mapping = yaml_kind(node) == YAML_MAPPING;
        int line = last_line(mapping ? yaml_value(node, i) : yaml_item(node, i));
        last = line > last ? line : last;
    }
    return last;
}

/* Lines of the entry of `mapping` that holds `line`; false when the lines are not its own alone. */
static bool entry_lines(const struct yaml_node *mapping, int line, int *first_r, int *last_r)
{
    for (size_t i = 0; yaml_kind(mapping) == YAML_MAPPING && i < yaml_count(mapping); i++) {
        *first_r = yaml_line(yaml_key(mapping, i));
        *last_r = last_line(yaml_value(mapping, i));
        if (line < *first_r || line > *last_r)
            continue;
        bool alone = i == 0 || last_line(yaml_value(mapping, i - 1)) < *first_r;
        bool last = i + 1 == yaml_count(mapping);
        return alone && (last || yaml_line(yaml_key(mapping, i + 1)) > *last_r) &&
               yaml_count(mapping) > 1;
    }
    return false;
}

/* Empties the lines, so that those behind keep their numbers, and puts `text` into the first. */
static void replace_lines(struct buf *content, int first, int last, const char *text)
{
    struct buf out;
    int line = 1;
    buf_init(&out, CODE_TABLE_BYTES_MAX + 1);
    if (first == 1)
        (void)buf_append_str(&out, text);
    for (size_t i = 0; i < content->len; i++) {
        bool end = content->data[i] == '\n';
        if (end || line < first || line > last)
            (void)buf_append_byte(&out, content->data[i]);
        line += end;
        if (end && line == first)
            (void)buf_append_str(&out, text);
    }
    buf_fini(content);
    *content = out;
}

/* What stands in for a faulty entry of the head, so that the fields can be looked at; NULL for the
 * fields as a whole. */
static const char *stand_in(const struct yaml_node *root, int line)
{
    static const char *const entries[][2] = {
        { "version", "version: 1" },    { "title", "title: {en: x, zh: x}" },
        { "source", "source: x" },      { "table", "table: x" },
        { "sharing", "sharing: open" }, { "fields", NULL },
    };
    for (size_t i = 0; yaml_kind(root) == YAML_MAPPING && i < yaml_count(root); i++)
        for (size_t j = 0; j < sizeof entries / sizeof entries[0]; j++)
            if (yaml_line(yaml_key(root, i)) == line &&
                strcmp(yaml_text(yaml_key(root, i)), entries[j][0]) == 0)
                return entries[j][1];
    return "";
}

/* Where the entry with the fault stands and what replaces it; false when there is no going on. */
static bool faulty_entry(const struct yaml_node *root, int line, int *first_r, int *last_r,
                         const char **text_r)
{
    const struct yaml_node *fields =
        yaml_kind(root) == YAML_MAPPING ? yaml_get(root, "fields") : NULL;
    *text_r = "";
    if (fields == NULL)
        return false;
    if (entry_lines(fields, line, first_r, last_r))
        return true;
    *text_r = entry_lines(root, line, first_r, last_r) ? stand_in(root, *first_r) : NULL;
    return *text_r != NULL;
}

/* What is missing as a whole stands where the mapping begins, and a key may miss the field that was
 * taken out. */
static bool of_the_hole(const struct yaml_node *root, const struct bundle_file *file,
                        const struct err *err)
{
    char *start = mem_format("%s:%d:%d: ", file->path, yaml_line(root), yaml_column(root));
    bool whole = strncmp(err->text, start, strlen(start)) == 0;
    free(start);
    return whole || strcmp(err->reason, "MAPPING_KEY") == 0;
}

/* Takes the entry with the known fault out of the text and reads the mapping again, until what is
 * left has no fault, or one that only the hole has made. */
static void find_more_faults(struct schema_bundle *bundle, const struct bundle_file *file,
                             struct err *err)
{
    struct bundle_file copy = { .path = file->path };
    int line = fault_line(file, err);
    buf_init(&copy.content, CODE_TABLE_BYTES_MAX + 1);
    (void)buf_append(&copy.content, file->content.data, file->content.len);
    for (int round = 0; round < FAULTS_MAX && line > 0; round++) {
        struct err unused = ERR_INIT;
        struct yaml *yaml =
            yaml_parse(copy.path, (const char *)copy.content.data, copy.content.len, &unused);
        int first = 0, last = 0;
        const char *text = "";
        bool known = yaml != NULL && !(round > 0 && of_the_hole(yaml_root(yaml), file, err)) &&
                     faulty_entry(yaml_root(yaml), line, &first, &last, &text);
        yaml_free(&yaml);
        if (!known)
            break;
        if (round > 0)
            (void)fault(bundle, err);
        replace_lines(&copy.content, first, last, text);
        struct schema_mapping *mapping = load_mapping(bundle, &copy, err);
        int before = line;
        line = mapping == NULL ? fault_line(file, err) : 0;
        if (line == before) /* the hole itself */
            line = 0;
        if (mapping != NULL)
            mapping_fini(mapping);
    }
    buf_fini(&copy.content);
}

static int load_mappings(struct schema_bundle *bundle, struct err *err)
{
    bundle->mappings = mem_array(bundle->file_count + 1, sizeof(struct schema_mapping *));
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (!has_suffix(bundle->files[i].path, ".yaml"))
            continue;
        struct schema_mapping *mapping = load_mapping(bundle, &bundle->files[i], err);
        if (mapping == NULL && fault(bundle, err) != 0)
            return -1;
        if (mapping == NULL) {
            find_more_faults(bundle, &bundle->files[i], err);
            continue;
        }
        bundle->mappings[bundle->mapping_count++] = mapping;
    }
    qsort(bundle->mappings, bundle->mapping_count, sizeof(struct schema_mapping *), by_name);
    return 0;
}
