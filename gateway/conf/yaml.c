#include "conf/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "base/utf8.h"

enum {
    WORD_BYTES_MAX = 64, /* longer words get no suggestion */
    READ_BYTES = 16384,
};

struct yaml_node {
    const struct yaml *owner;
    enum yaml_kind kind;
    bool quoted;
    int line;
    int column;
    const char *text;
    const struct yaml_node **children; /* mapping: key, value, key, value... */
    size_t child_count;
};

struct yaml {
    struct arena arena;
    const char *file;
    const struct yaml_node *root;
    size_t node_count;
};

/* A collection whose end has not been seen; children gather in a heap array until then. */
struct open_node {
    struct yaml_node *node;
    const struct yaml_node **children;
    size_t count;
    size_t cap;
    struct strmap keys; /* of a mapping, against duplicates */
};

struct builder {
    struct yaml *yaml;
    struct open_node open[YAML_DEPTH_MAX];
    size_t depth;
    size_t documents;
    struct err *err;
};

static int build(struct builder *builder, struct fy_parser *parser);
static int take_event(struct builder *builder, struct fy_event *event);
static int syntax_error(struct yaml *yaml, struct fy_diag *diag, struct err *err);

/* --- loading -----------------------------------------------------------------------------------
 */

struct yaml *yaml_load(const char *path, struct err *err)
{
    struct buf content;
    buf_init(&content, YAML_BYTES_MAX + 1);
    struct yaml *yaml = NULL;
    if (yaml_read_file(path, &content, err) == 0)
        yaml = yaml_parse(path, (const char *)content.data, content.len, err);
    buf_fini(&content);
    return yaml;
}

static int check_bytes(const char *name, const char *text, size_t len, struct err *err)
{
    if (len > YAML_BYTES_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "YAML_INVALID",
                       "%s:1:1: the file is larger than %d bytes; split it", name, YAML_BYTES_MAX);
    size_t bad = utf8_check(text, len);
    const char *nul = len == 0 ? NULL : memchr(text, '\0', len);
    if (nul != NULL && (size_t)(nul - text) < bad)
        bad = (size_t)(nul - text);
    if (bad == len)
        return 0;
    int line = 1;
    size_t start = 0;
    for (size_t i = 0; i < bad; i++)
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    int column = 1;
    for (size_t i = start; i < bad; i++)
        column += ((unsigned char)text[i] & 0xC0) != 0x80;
    return err_set(err, ERR_INVALID_ARGUMENT, "YAML_INVALID",
                   "%s:%d:%d: the file is not UTF-8 text here; save it as UTF-8", name, line,
                   column);
}

struct yaml *yaml_parse(const char *name, const char *text, size_t len, struct err *err)
{
    if (check_bytes(name, text, len, err) != 0)
        return NULL;
    struct yaml *yaml = mem_zero(sizeof *yaml);
    arena_init(&yaml->arena);
    yaml->file = arena_strdup(&yaml->arena, name);

    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = { .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag };
    struct fy_parser *parser = fy_parser_create(&config);
    struct builder builder = { .yaml = yaml, .err = err };
    int result = -1;
    if (parser == NULL || fy_parser_set_string(parser, len == 0 ? "" : text, len) != 0)
        err_set(err, ERR_INTERNAL, "YAML_PARSER", "%s: the YAML parser does not start", name);
    else
        result = build(&builder, parser);
    if (result == -2)
        result = syntax_error(yaml, diag, err);
    for (size_t i = 0; i < builder.depth; i++) {
        free(builder.open[i].children);
        strmap_fini(&builder.open[i].keys);
    }
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    if (result != 0)
        yaml_free(&yaml);
    return yaml;
}

void yaml_free(struct yaml **yaml)
{
    if (yaml == NULL || *yaml == NULL)
        return;
    arena_fini(&(*yaml)->arena);
    free(*yaml);
    *yaml = NULL;
}

int yaml_read_file(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        int saved = fd < 0 ? errno : EINVAL;
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE", "%s: the file cannot be read (%s)",
                       path, strerror(saved));
    }
    int result = 0;
    for (;;) {
        size_t room = out->max - out->len < READ_BYTES ? out->max - out->len : READ_BYTES;
        if (room == 0 || buf_reserve(out, room) != 0)
            break; /* too large: the caller sees a full buffer and says so with its limit */
        ssize_t got = read(fd, out->data + out->len, room);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            result = err_set(err, ERR_NOT_FOUND, "FILE_UNREADABLE",
                             "%s: the file cannot be read (%s)", path, strerror(errno));
            break;
        }
        out->len += (size_t)got;
    }
    close(fd);
    return result;
}

/* --- events to nodes ---------------------------------------------------------------------------
 */

/* 0; -1 when builder->err is filled; -2 when the parser's own diagnostics say what is wrong. */
static int build(struct builder *builder, struct fy_parser *parser)
{
    for (;;) {
        struct fy_event *event = fy_parser_parse(parser);
        if (event == NULL)
            break;
        bool end = event->type == FYET_STREAM_END;
        int result = take_event(builder, event);
        fy_parser_event_free(parser, event);
        if (result != 0)
            return result;
        if (end)
            break;
    }
    if (fy_parser_get_stream_error(parser) || builder->depth > 0)
        return -2;
    struct yaml *yaml = builder->yaml;
    if (yaml->root == NULL) {
        struct yaml_node *node = arena_alloc(&yaml->arena, sizeof *node);
        *node = (struct yaml_node){ .owner = yaml, .line = 1, .column = 1, .text = "" };
        yaml->root = node;
    }
    return 0;
}

static int syntax_error(struct yaml *yaml, struct fy_diag *diag, struct err *err)
{
    void *previous = NULL;
    struct fy_diag_error *first = fy_diag_errors_iterate(diag, &previous);
    if (first == NULL)
        return err_set(err, ERR_INVALID_ARGUMENT, "YAML_INVALID", "%s:1:1: this is not YAML",
                       yaml->file);
    int length = (int)strcspn(first->msg, "\n");
    return err_set(err, ERR_INVALID_ARGUMENT, "YAML_INVALID", "%s:%d:%d: not valid YAML: %.*s",
                   yaml->file, first->line > 0 ? first->line : 1,
                   first->column > 0 ? first->column : 1, length, first->msg);
}

static struct yaml_node *new_node(struct builder *builder, struct fy_event *event,
                                  enum yaml_kind kind)
{
    struct yaml *yaml = builder->yaml;
    struct yaml_node *node = arena_alloc(&yaml->arena, sizeof *node);
    const struct fy_mark *mark = fy_event_start_mark(event);
    *node = (struct yaml_node){ .owner = yaml,
                                .kind = kind,
                                .line = mark == NULL ? 1 : mark->line + 1,
                                .column = mark == NULL ? 1 : mark->column + 1,
                                .text = "" };
    yaml->node_count++;
    return node;
}

static int refuse(struct builder *builder, struct fy_event *event, const char *sentence)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    return err_set(builder->err, ERR_INVALID_ARGUMENT, "YAML_INVALID", "%s:%d:%d: %s",
                   builder->yaml->file, mark == NULL ? 1 : mark->line + 1,
                   mark == NULL ? 1 : mark->column + 1, sentence);
}

static int check_key(struct open_node *parent, const struct yaml_node *key, struct builder *builder)
{
    if (key->kind != YAML_SCALAR)
        return yaml_error(key, builder->err, "YAML_INVALID", "a key must be plain text");
    if (strmap_get(&parent->keys, key->text) != NULL)
        return yaml_error(key, builder->err, "YAML_INVALID",
                          "the key \"%s\" is given twice; remove one", key->text);
    strmap_set(&parent->keys, key->text, parent->node);
    return 0;
}

static int attach(struct builder *builder, const struct yaml_node *node)
{
    if (builder->depth == 0) {
        builder->yaml->root = node;
        return 0;
    }
    struct open_node *parent = &builder->open[builder->depth - 1];
    bool is_key = parent->node->kind == YAML_MAPPING && parent->count % 2 == 0;
    if (is_key && check_key(parent, node, builder) != 0)
        return -1;
    if (parent->count == parent->cap) {
        parent->cap = parent->cap == 0 ? 8 : parent->cap * 2;
        parent->children = mem_resize(parent->children, parent->cap * sizeof(void *));
    }
    parent->children[parent->count++] = node;
    return 0;
}

static int open_collection(struct builder *builder, struct fy_event *event, enum yaml_kind kind)
{
    if (builder->depth == YAML_DEPTH_MAX)
        return refuse(builder, event, "values are nested too deeply (at most 32 levels)");
    struct yaml_node *node = new_node(builder, event, kind);
    if (attach(builder, node) != 0)
        return -1;
    struct open_node *open = &builder->open[builder->depth++];
    *open = (struct open_node){ .node = node };
    strmap_init(&open->keys);
    return 0;
}

static void close_collection(struct builder *builder)
{
    struct open_node *open = &builder->open[--builder->depth];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): an open collection has its node */
    open->node->child_count = open->count;
    if (open->count > 0)
        open->node->children =
            arena_dup(&builder->yaml->arena, open->children, open->count * sizeof(void *));
    free(open->children);
    strmap_fini(&open->keys);
}

static int take_scalar(struct builder *builder, struct fy_event *event)
{
    struct yaml_node *node = new_node(builder, event, YAML_SCALAR);
    size_t len = 0;
    const char *text = NULL;
    if (event->scalar.value != NULL) {
        text = fy_token_get_text(event->scalar.value, &len);
        enum fy_scalar_style style = fy_scalar_token_get_style(event->scalar.value);
        node->quoted = style != FYSS_PLAIN && style != FYSS_ANY;
        if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED)
            node->column--; /* libfyaml's mark is behind the quote */
    }
    if (text != NULL && memchr(text, '\0', len) != NULL)
        return yaml_error(node, builder->err, "YAML_INVALID",
                          "a value may not contain a NUL character");
    node->text = text == NULL ? "" : arena_strndup(&builder->yaml->arena, text, len);
    return attach(builder, node);
}

static int take_event(struct builder *builder, struct fy_event *event)
{
    if (builder->yaml->node_count > YAML_NODES_MAX)
        return refuse(builder, event, "the file has too many values (at most 100000)");
    if (event->type == FYET_DOCUMENT_START && ++builder->documents > 1)
        return refuse(builder, event, "the file has more than one document; keep one");
    if ((event->type == FYET_SCALAR && event->scalar.anchor != NULL) ||
        (event->type == FYET_SEQUENCE_START && event->sequence_start.anchor != NULL) ||
        (event->type == FYET_MAPPING_START && event->mapping_start.anchor != NULL) ||
        event->type == FYET_ALIAS)
        return refuse(builder, event, "anchors and aliases are not allowed; repeat the value");
    if ((event->type == FYET_SCALAR && event->scalar.tag != NULL) ||
        (event->type == FYET_SEQUENCE_START && event->sequence_start.tag != NULL) ||
        (event->type == FYET_MAPPING_START && event->mapping_start.tag != NULL))
        return refuse(builder, event, "tags are not allowed; write the value without one");
    if (event->type == FYET_SCALAR)
        return take_scalar(builder, event);
    if (event->type == FYET_MAPPING_START)
        return open_collection(builder, event, YAML_MAPPING);
    if (event->type == FYET_SEQUENCE_START)
        return open_collection(builder, event, YAML_SEQUENCE);
    if (event->type == FYET_MAPPING_END || event->type == FYET_SEQUENCE_END)
        close_collection(builder);
    return 0;
}

/* --- reading -----------------------------------------------------------------------------------
 */

const struct yaml_node *yaml_root(const struct yaml *yaml)
{
    return yaml->root;
}

const char *yaml_file(const struct yaml_node *node)
{
    return node->owner->file;
}

int yaml_line(const struct yaml_node *node)
{
    return node->line;
}

int yaml_column(const struct yaml_node *node)
{
    return node->column;
}

enum yaml_kind yaml_kind(const struct yaml_node *node)
{
    return node->kind;
}

bool yaml_is_null(const struct yaml_node *node)
{
    if (node->kind != YAML_SCALAR || node->quoted)
        return false;
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

bool yaml_is_quoted(const struct yaml_node *node)
{
    return node->quoted;
}

size_t yaml_count(const struct yaml_node *node)
{
    return node->kind == YAML_MAPPING ? node->child_count / 2 : node->child_count;
}

const struct yaml_node *yaml_item(const struct yaml_node *sequence, size_t index)
{
    return sequence->children[index];
}

const struct yaml_node *yaml_key(const struct yaml_node *mapping, size_t index)
{
    return mapping->children[2 * index];
}

const struct yaml_node *yaml_value(const struct yaml_node *mapping, size_t index)
{
    return mapping->children[2 * index + 1];
}

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->child_count; i += 2)
        if (strcmp(mapping->children[i]->text, key) == 0)
            return mapping->children[i + 1];
    return NULL;
}

const char *yaml_text(const struct yaml_node *node)
{
    return node->text;
}

int yaml_read_bool(const struct yaml_node *node, bool *value_r, struct err *err)
{
    bool yes = node->kind == YAML_SCALAR && !node->quoted && strcmp(node->text, "true") == 0;
    bool no = node->kind == YAML_SCALAR && !node->quoted && strcmp(node->text, "false") == 0;
    if (!yes && !no)
        return yaml_error(node, err, "YAML_TYPE", "expected true or false");
    *value_r = yes;
    return 0;
}

int yaml_read_int(const struct yaml_node *node, int64_t min, int64_t max, int64_t *value_r,
                  struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(node->text, &end, 10);
    bool digits = node->text[0] == '-' ? node->text[1] >= '0' && node->text[1] <= '9'
                                       : node->text[0] >= '0' && node->text[0] <= '9';
    if (node->kind != YAML_SCALAR || node->quoted || !digits || *end != '\0')
        return yaml_error(node, err, "YAML_TYPE", "expected a whole number");
    if (errno == ERANGE || value < min || value > max)
        return yaml_error(node, err, "YAML_TYPE", "the number must be from %lld to %lld",
                          (long long)min, (long long)max);
    *value_r = value;
    return 0;
}

int yaml_expect(const struct yaml_node *node, enum yaml_kind kind, const char *what,
                struct err *err)
{
    static const char *const shapes[] = { "a single value", "a mapping of keys to values",
                                          "a list" };
    if (node->kind == kind)
        return 0;
    return yaml_error(node, err, "YAML_TYPE", "%s must be %s, not %s", what, shapes[kind],
                      shapes[node->kind]);
}

int yaml_check_keys(const struct yaml_node *mapping, const char *const *allowed, struct err *err)
{
    if (yaml_expect(mapping, YAML_MAPPING, "this", err) != 0)
        return -1;
    size_t count = 0;
    while (allowed[count] != NULL)
        count++;
    for (size_t i = 0; i < mapping->child_count; i += 2) {
        const struct yaml_node *key = mapping->children[i];
        size_t j = 0;
        while (j < count && strcmp(key->text, allowed[j]) != 0)
            j++;
        if (j < count)
            continue;
        const char *near = yaml_nearest(key->text, strlen(key->text), allowed, count);
        if (near != NULL)
            return yaml_error(key, err, "YAML_KEY", "unknown key \"%.64s\"; did you mean \"%s\"?",
                              key->text, near);
        return yaml_error(key, err, "YAML_KEY", "unknown key \"%.64s\"; remove it", key->text);
    }
    return 0;
}

/* --- errors ------------------------------------------------------------------------------------
 */

int yaml_error(const struct yaml_node *node, struct err *err, const char *reason,
               const char *format, ...)
{
    char sentence[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    /* vsnprintf may have stopped inside a character */
    sentence[utf8_check(sentence, strlen(sentence))] = '\0';
    return err_set(err, ERR_INVALID_ARGUMENT, reason, "%s:%d:%d: %s", node->owner->file, node->line,
                   node->column, sentence);
}

static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *yaml_nearest(const char *word, size_t len, const char *const *candidates, size_t count)
{
    if (len == 0 || len > WORD_BYTES_MAX)
        return NULL;
    const char *best = NULL;
    size_t best_distance = len / 3 + 2; /* exclusive */
    for (size_t i = 0; i < count; i++) {
        size_t candidate_len = strlen(candidates[i]);
        if (candidate_len > WORD_BYTES_MAX)
            continue;
        size_t distance = edit_distance(word, len, candidates[i], candidate_len);
        if (distance < best_distance && distance < candidate_len) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}
