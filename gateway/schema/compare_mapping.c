/* Mappings and code tables: two schemas folders, dataset by dataset and field by field. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/compare.h"

struct comparison {
    struct arena arena; /* texts of the dataset in hand */
    const struct dictionary *before, *after;
    const char *dataset;
    compare_fn tell;
    void *arg;
};

static void tell(struct comparison *c, const char *item, const char *what, const char *before,
                 const char *after, bool breaking)
{
    struct compare_change change = { .subject = c->dataset,
                                     .item = item,
                                     .what = what,
                                     .before = before,
                                     .after = after,
                                     .breaking = breaking };
    c->tell(c->arg, &change);
}

/* "" for an absent node. */
static const char *text_of(struct comparison *c, const struct yaml_node *node)
{
    struct buf text;
    const char *copy;

    if (node == NULL)
        return "";
    buf_init(&text, DICTIONARY_TEXT_BYTES_MAX);
    dictionary_text(node, &text);
    copy = arena_strndup(&c->arena, (const char *)text.data, text.len);
    buf_fini(&text);
    return copy;
}

/* --- heads --------------------------------------------------------------------------------------
 */

static int sharing_rank(const char *text)
{
    return strcmp(text, "open") == 0 ? 0 : strcmp(text, "conditional") == 0 ? 1 : 2;
}

static void compare_head(struct comparison *c, const struct yaml_node *a, const struct yaml_node *b)
{
    /* What a reader depends on; everything else of the head is the owner's own affair. */
    static const struct {
        const char *key;
        const char *what;
        bool breaking;
    } known[] = {
        { "type", "TYPE_CHANGED", true },        { "key", "KEY_CHANGED", true },
        { "source", "SOURCE_CHANGED", false },   { "schema", "SOURCE_CHANGED", false },
        { "table", "SOURCE_CHANGED", false },    { "query", "SOURCE_CHANGED", false },
        { "title", "TITLE_CHANGED", false },     { "columns", "COLUMN_TYPES_CHANGED", false },
        { "sharing", "SHARING_CHANGED", false },
    };
    const struct yaml_node *const sides[2] = { a, b };

    for (int side = 0; side < 2; side++)
        for (size_t i = 0; yaml_kind(sides[side]) == YAML_MAPPING && i < yaml_count(sides[side]);
             i++) {
            const char *key = yaml_text(yaml_key(sides[side], i));
            const char *before = text_of(c, yaml_get(a, key)),
                       *after = text_of(c, yaml_get(b, key));
            const char *what = "SETTING_CHANGED";
            bool breaking = false;

            if (strcmp(key, "fields") == 0 || strcmp(before, after) == 0 ||
                (side == 1 && yaml_get(a, key) != NULL))
                continue;
            for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
                if (strcmp(known[k].key, key) == 0) {
                    what = known[k].what;
                    breaking = known[k].breaking;
                }
            if (strcmp(key, "sharing") == 0)
                breaking = sharing_rank(after) > sharing_rank(before);
            tell(c, key, what, before, after, breaking);
        }
}

/* --- code tables --------------------------------------------------------------------------------
 */

/* Native text -> rest of the row. A native text with several rows (validity dates) is its whole row,
 * so that each of them is compared. */
struct rows {
    struct strmap map;
    const char **keys;
    const char **values;
    size_t count;
};

static void add_row(struct rows *rows, const char *key, const char *value)
{
    if ((rows->count & (rows->count - 1)) == 0) { /* grows at powers of two */
        size_t room = (rows->count == 0 ? 1 : 2 * rows->count) * sizeof *rows->keys;
        rows->keys = mem_resize(rows->keys, room);
        rows->values = mem_resize(rows->values, room);
    }
    rows->keys[rows->count] = key;
    rows->values[rows->count++] = value;
}

/* End of the first cell of a CSV row (RFC 4180). */
static size_t first_cell(const char *row, size_t len)
{
    bool quoted = false;
    size_t i = 0;

    for (; i < len && (quoted || row[i] != ','); i++)
        quoted = row[i] == '"' ? !quoted : quoted;
    return i;
}

static void read_csv(struct comparison *c, const char *text, struct rows *rows)
{
    bool header = true;

    for (const char *at = text; *at != '\0';) {
        size_t len = 0, cell;
        bool quoted = false;

        for (; at[len] != '\0' && (quoted || at[len] != '\n'); len++)
            quoted = at[len] == '"' ? !quoted : quoted;
        size_t row = len > 0 && at[len - 1] == '\r' ? len - 1 : len;
        cell = first_cell(at, row);
        if (!header && row > 0) {
            const char *key = arena_strndup(&c->arena, at, cell);
            const char *value =
                arena_strndup(&c->arena, at + cell + (cell < row), row - cell - (cell < row));
            if (strmap_get(&rows->map, key) != NULL)
                key = arena_strndup(&c->arena, at, row);
            add_row(rows, key, value);
            strmap_set(&rows->map, key, (void *)(uintptr_t)value);
        }
        header = false;
        at += len + (at[len] != '\0');
    }
}

static void read_inline(struct comparison *c, const struct yaml_node *codes, struct rows *rows)
{
    for (size_t i = 0; i < yaml_count(codes); i++) {
        const char *key = yaml_text(yaml_key(codes, i));
        const char *value = text_of(c, yaml_value(codes, i));
        add_row(rows, key, value);
        strmap_set(&rows->map, key, (void *)(uintptr_t)value);
    }
}

static void free_rows(struct rows *rows)
{
    strmap_fini(&rows->map);
    free(rows->keys);
    free(rows->values);
}

static void tell_row(struct comparison *c, size_t *told, const char *item, const char *what,
                     const char *native, const char *before, const char *after, bool breaking)
{
    if ((*told)++ >= COMPARE_CODE_ROWS_MAX)
        return;
    tell(c, item, what, before == NULL ? "" : arena_format(&c->arena, "%s: %s", native, before),
         after == NULL ? "" : arena_format(&c->arena, "%s: %s", native, after), breaking);
}

static void compare_rows(struct comparison *c, const char *item, const struct rows *a,
                         const struct rows *b)
{
    size_t told = 0;

    for (size_t i = 0; i < a->count; i++) {
        const char *now = strmap_get(&b->map, a->keys[i]);
        if (now == NULL)
            tell_row(c, &told, item, "CODE_REMOVED", a->keys[i], a->values[i], NULL, true);
        else if (strcmp(now, a->values[i]) != 0)
            tell_row(c, &told, item, "CODE_CHANGED", a->keys[i], a->values[i], now, true);
    }
    for (size_t i = 0; i < b->count; i++)
        if (strmap_get(&a->map, b->keys[i]) == NULL)
            tell_row(c, &told, item, "CODE_ADDED", b->keys[i], NULL, b->values[i], false);
    if (told > COMPARE_CODE_ROWS_MAX)
        tell(c, item, "CODES_MORE", "",
             arena_format(&c->arena, "%zu more rows", told - COMPARE_CODE_ROWS_MAX), true);
}

struct table_use {
    struct comparison *comparison;
    const char *field;
};

/* The same table on both sides, with other rows. */
static void compare_table(void *arg, const char *name)
{
    struct table_use *use = arg;
    struct comparison *c = use->comparison;
    const struct dictionary_codes *a = dictionary_codes_find(c->before, name);
    const struct dictionary_codes *b = dictionary_codes_find(c->after, name);
    struct rows before = { .count = 0 }, after = { .count = 0 };

    if (a == NULL || b == NULL || strcmp(a->text, b->text) == 0)
        return;
    strmap_init(&before.map);
    strmap_init(&after.map);
    read_csv(c, a->text, &before);
    read_csv(c, b->text, &after);
    compare_rows(c, arena_format(&c->arena, "%s (%s.csv)", use->field, name), &before, &after);
    free_rows(&before);
    free_rows(&after);
}

/* --- fields -------------------------------------------------------------------------------------
 */

static bool both_inline(const struct yaml_node *a, const struct yaml_node *b)
{
    return a != NULL && b != NULL && yaml_kind(a) == YAML_MAPPING && yaml_kind(b) == YAML_MAPPING;
}

static void compare_codes(struct comparison *c, const char *name, const struct yaml_node *a,
                          const struct yaml_node *b)
{
    struct rows before = { .count = 0 }, after = { .count = 0 };

    strmap_init(&before.map);
    strmap_init(&after.map);
    read_inline(c, a, &before);
    read_inline(c, b, &after);
    compare_rows(c, name, &before, &after);
    free_rows(&before);
    free_rows(&after);
}

/* What changed in one entry of a field, by the entry's name. */
static const char *part_change(const char *key)
{
    static const char *const source[] = { "from", "constant", "separator", "coalesce",
                                          "from_field" };

    for (size_t i = 0; i < sizeof source / sizeof source[0]; i++)
        if (strcmp(source[i], key) == 0)
            return "SOURCE_CHANGED";
    if (strcmp(key, "normalise") == 0 || strcmp(key, "codes") == 0)
        return "CHAIN_CHANGED";
    return strcmp(key, "null_values") == 0 ? "NULL_RULE_CHANGED" : "RULE_CHANGED";
}

static void compare_part(struct comparison *c, const char *name, const char *key,
                         const struct yaml_node *a, const struct yaml_node *b)
{
    const char *before = text_of(c, a), *after = text_of(c, b);

    if (strcmp(before, after) == 0)
        return;
    if (strcmp(key, "codes") == 0 && both_inline(a, b)) {
        compare_codes(c, name, a, b);
        return;
    }
    bool rule = strcmp(part_change(key), "RULE_CHANGED") == 0;
    tell(c, name, part_change(key),
         rule && a != NULL ? arena_format(&c->arena, "%s: %s", key, before) : before,
         rule && b != NULL ? arena_format(&c->arena, "%s: %s", key, after) : after, false);
}

static void compare_field(struct comparison *c, const char *name, const struct yaml_node *a,
                          const struct yaml_node *b)
{
    const struct yaml_node *const sides[2] = { a, b };
    struct table_use use = { .comparison = c, .field = name };

    if (yaml_kind(a) != YAML_MAPPING || yaml_kind(b) != YAML_MAPPING)
        compare_part(c, name, "from", dictionary_part(a, "from"), dictionary_part(b, "from"));
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; yaml_kind(sides[side]) == YAML_MAPPING && i < yaml_count(sides[side]);
             i++) {
            const char *key = yaml_text(yaml_key(sides[side], i));
            bool short_from = strcmp(key, "from") == 0 &&
                              (yaml_kind(a) != YAML_MAPPING || yaml_kind(b) != YAML_MAPPING);
            bool seen = side == 1 && yaml_kind(a) == YAML_MAPPING && yaml_get(a, key) != NULL;
            if (!short_from && !seen)
                compare_part(c, name, key, dictionary_part(a, key), dictionary_part(b, key));
        }
    dictionary_tables(c->after, b, compare_table, &use);
}

static void compare_fields(struct comparison *c, const struct yaml_node *a,
                           const struct yaml_node *b)
{
    for (size_t i = 0; yaml_kind(a) == YAML_MAPPING && i < yaml_count(a); i++) {
        const char *name = yaml_text(yaml_key(a, i));
        const struct yaml_node *now = yaml_get(b, name);
        if (now == NULL)
            tell(c, name, "FIELD_REMOVED", text_of(c, yaml_value(a, i)), "", true);
        else
            compare_field(c, name, yaml_value(a, i), now);
    }
    for (size_t i = 0; yaml_kind(b) == YAML_MAPPING && i < yaml_count(b); i++) {
        const char *name = yaml_text(yaml_key(b, i));
        if (yaml_get(a, name) == NULL)
            tell(c, name, "FIELD_ADDED", "", text_of(c, yaml_value(b, i)), false);
    }
}

static void compare_dataset(struct comparison *c, const struct dictionary_dataset *a,
                            const struct dictionary_dataset *b)
{
    const struct yaml_node *old_fields = yaml_get(a->root, "fields");
    const struct yaml_node *new_fields = yaml_get(b->root, "fields");

    compare_head(c, a->root, b->root);
    if (old_fields != NULL && new_fields != NULL)
        compare_fields(c, old_fields, new_fields);
}

void compare_mappings(const struct dictionary *before, const struct dictionary *after,
                      compare_fn tell_change, void *arg)
{
    struct comparison c = { .before = before, .after = after, .tell = tell_change, .arg = arg };

    for (size_t i = 0; i < dictionary_count(before); i++) {
        const struct dictionary_dataset *a = dictionary_at(before, i);
        const struct dictionary_dataset *b = dictionary_find(after, a->name);
        c.dataset = a->name;
        arena_init(&c.arena);
        if (b == NULL)
            tell(&c, "", "DATASET_REMOVED", a->file, "", true);
        else
            compare_dataset(&c, a, b);
        arena_fini(&c.arena);
    }
    for (size_t i = 0; i < dictionary_count(after); i++) {
        const struct dictionary_dataset *b = dictionary_at(after, i);
        c.dataset = b->name;
        if (dictionary_find(before, b->name) == NULL)
            tell(&c, "", "DATASET_ADDED", "", b->file, false);
    }
}
