/* The draft of a mapping: which column feeds which field, and why, as YAML with comments. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/infer.h"
#include "schema/infer_match.h"
#include "schema/mapping.h"

void infer_decide(struct infer_draft *draft, struct arena *arena, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (draft->decision_count < INFER_DECISIONS_MAX)
        draft->decisions[draft->decision_count++] = arena_strdup(arena, text);
}

/* --- YAML text ----------------------------------------------------------------------------------
 */

static bool plain_scalar(const char *text)
{
    static const char *const words[] = {
        "null", "true", "false", "yes", "no", "on", "off", "y", "n"
    };
    bool letter = false;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i], text) == 0)
            return false;
    for (const char *at = text; *at != '\0'; at++) {
        bool word = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_';
        bool digit = (*at >= '0' && *at <= '9') || *at == '-';
        letter = letter || word;
        if (!word && !(digit && at > text))
            return false;
    }
    return letter;
}

void infer_put_scalar(struct buf *out, const char *text)
{
    bool plain = plain_scalar(text);

    (void)buf_append_str(out, plain ? "" : "\"");
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            (void)buf_append_byte(out, '\\');
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            (void)buf_append_format(out, "\\x%02x", (unsigned)(unsigned char)*at);
        else
            (void)buf_append_byte(out, (uint8_t)*at);
    }
    (void)buf_append_str(out, plain ? "" : "\"");
}

/* Comments are one line each, whatever a column is called. */
static void put_comment(struct buf *out, const char *indent, const char *text)
{
    (void)buf_append_format(out, "%s# ", indent);
    for (const char *at = text; *at != '\0'; at++)
        (void)buf_append_byte(out, (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : (uint8_t)*at);
    (void)buf_append_byte(out, '\n');
}

static void put_list(struct buf *out, const char *const *items, size_t count)
{
    (void)buf_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        (void)buf_append_str(out, i > 0 ? ", " : "");
        infer_put_scalar(out, items[i]);
    }
    (void)buf_append_str(out, "]");
}

/* --- fields -------------------------------------------------------------------------------------
 */

static void put_evidence(struct buf *out, const struct infer_column *column,
                         const struct infer_guess *guess, struct arena *arena)
{
    put_comment(out, "    ",
                arena_format(arena, "%s%s%s", column->type_name,
                             column->comment[0] != '\0' ? ", " : "", column->comment));
    for (size_t i = 0; i < guess->evidence_count; i++)
        put_comment(out, "    ", guess->evidence[i]);
    for (size_t i = 0; i < column->sample_count; i++)
        put_comment(out, "    ", arena_format(arena, "for example: %s", column->samples[i]));
}

static void put_codes(struct buf *out, const struct infer_guess *guess,
                      const struct infer_match *match, const char *comment, struct arena *arena)
{
    (void)buf_append_str(out, "    codes:\n");
    for (size_t i = 0; i < guess->distinct; i++) {
        const char *to = infer_code_target(match, comment, guess->codes[i], arena);
        /* A native text without a value is left out: its rows are quarantined, not guessed. */
        (void)buf_append_str(out, to != NULL ? "      " : "      # ");
        infer_put_scalar(out, guess->codes[i]);
        (void)buf_append_str(out, ": ");
        if (to != NULL)
            infer_put_scalar(out, to);
        else
            (void)buf_append_byte(out, '?');
        (void)buf_append_format(out, " # %zu rows\n", guess->code_rows[i]);
    }
}

static void put_field(struct buf *out, const struct infer_table *table,
                      const struct infer_guess *guess, const struct infer_match *match,
                      struct arena *arena)
{
    const struct infer_column *column = &table->columns[match->column];
    bool folded = match->codes && match->chain == NULL;

    (void)buf_append_format(out, "  %s:\n", match->name);
    put_evidence(out, column, guess, arena);
    (void)buf_append_str(out, "    from: ");
    infer_put_scalar(out, column->name);
    (void)buf_append_byte(out, '\n');
    if (match->chain != NULL || folded)
        (void)buf_append_format(out, "    normalise: %s\n", folded ? "[trim]" : match->chain);
    else if (match->bare)
        (void)buf_append_str(out, "    normalise: []\n");
    if (match->codes)
        put_codes(out, guess, match, column->comment, arena);
    if (strcmp(guess->mapping_type, "timestamp") == 0 && match->timestamp)
        (void)buf_append_str(out, "    utc_offset: \"+08:00\"\n");
    if (guess->null_count > 0) {
        (void)buf_append_str(out, "    null_values: ");
        put_list(out, guess->nulls, guess->null_count);
        (void)buf_append_byte(out, '\n');
    }
}

/* --- head ---------------------------------------------------------------------------------------
 */

/* "daily_reports" -> "Daily reports". */
static const char *title_of(struct arena *arena, const char *dataset)
{
    char *title = arena_strdup(arena, dataset);

    for (char *at = title; *at != '\0'; at++)
        *at = *at == '_' || *at == '-' ? ' ' : *at;
    if (title[0] >= 'a' && title[0] <= 'z')
        title[0] = (char)(title[0] - 'a' + 'A');
    return title;
}

static bool matched(const struct infer_matches *matches, size_t column)
{
    for (size_t i = 0; i < matches->count; i++)
        if (matches->items[i].column == column)
            return true;
    return false;
}

static void put_columns(struct buf *out, const struct infer_table *table,
                        const struct infer_guess *guesses, const struct infer_matches *matches)
{
    bool head = false;

    for (size_t i = 0; i < table->column_count; i++) {
        if (!matched(matches, i) || strcmp(guesses[i].mapping_type, "text") == 0)
            continue;
        (void)buf_append_str(out, head ? "" : "columns:\n");
        head = true;
        (void)buf_append_str(out, "  ");
        infer_put_scalar(out, table->columns[i].name);
        (void)buf_append_str(out, ": ");
        (void)buf_append_format(out,
                                strchr(guesses[i].mapping_type, '[') != NULL ? "\"%s\"\n" : "%s\n",
                                guesses[i].mapping_type);
    }
}

/* The order of text columns is known to be that of bytes only when each of them says so. */
static bool bytewise(const struct infer_table *table, const struct infer_guess *guesses,
                     const struct infer_matches *matches)
{
    bool any = false;

    for (size_t i = 0; i < table->column_count; i++) {
        bool text =
            guesses[i].mapping_type != NULL && (strcmp(guesses[i].mapping_type, "text") == 0 ||
                                                strcmp(guesses[i].mapping_type, "char") == 0);
        if (!text || !matched(matches, i))
            continue;
        if (!table->columns[i].bytewise)
            return false;
        any = true;
    }
    return any;
}

static void put_head(struct buf *out, const struct infer_table *table,
                     const struct infer_guess *guesses, const struct infer_matches *matches,
                     const struct infer_names *names, const char *type, struct arena *arena)
{
    (void)buf_append_str(out, "version: 1\ntitle: {en: ");
    infer_put_scalar(out, title_of(arena, names->dataset));
    (void)buf_append_str(out, ", zh: ");
    infer_put_scalar(out, table->comment[0] != '\0' ? table->comment : table->table);
    (void)buf_append_format(out, "}\ntype: %s\nsource: ", type);
    infer_put_scalar(out, names->source);
    if (strcmp(table->schema, "public") != 0) {
        (void)buf_append_str(out, "\nschema: ");
        infer_put_scalar(out, table->schema);
    }
    (void)buf_append_str(out, "\ntable: ");
    infer_put_scalar(out, table->table);
    (void)buf_append_str(out, "\n");
    if (bytewise(table, guesses, matches))
        (void)buf_append_str(out, "collation: C\n");
    (void)buf_append_str(out, "sharing: conditional\n");
    put_columns(out, table, guesses, matches);
}

static void put_decisions(struct buf *out, const struct infer_table *table,
                          const struct infer_draft *draft, struct arena *arena)
{
    put_comment(out, "",
                arena_format(arena,
                             "Drafted by \"sluice schema infer\" from %s.%s: %zu columns, "
                             "%zu rows looked at.",
                             table->schema, table->table, table->column_count, table->row_count));
    put_comment(out, "", "Comments below say what was found; take them out as you check them.");
    if (draft->decision_count > 0)
        put_comment(out, "", "For you to decide:");
    for (size_t i = 0; i < draft->decision_count; i++)
        put_comment(out, "", arena_format(arena, "  %zu. %s", i + 1, draft->decisions[i]));
}

/* --- the draft ----------------------------------------------------------------------------------
 */

static void decide_columns(struct infer_draft *draft, const struct infer_table *table,
                           const struct infer_guess *guesses, const struct infer_matches *matches,
                           struct arena *arena)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const char *name = table->columns[i].name;
        if (guesses[i].mapping_type == NULL)
            infer_decide(
                draft, arena,
                "column \"%s\" is %s, which a mapping cannot read; a view that casts it to "
                "text can be mapped",
                name, table->columns[i].type_name);
        else if (!matched(matches, i))
            infer_decide(draft, arena, "column \"%s\" feeds no field", name);
        else if (guesses[i].decide != NULL)
            infer_decide(draft, arena, "column \"%s\": %s", name, guesses[i].decide);
        if (guesses[i].mapping_type != NULL && matched(matches, i) &&
            strcmp(guesses[i].mapping_type, "timestamp") == 0)
            infer_decide(draft, arena,
                         "column \"%s\" has no time zone; +08:00 is assumed (utc_offset)", name);
    }
}

void infer_draft(const struct infer_table *table, const struct infer_guess *guesses,
                 const struct infer_names *names, const struct schema_message *type,
                 struct arena *arena, struct infer_draft *draft_r)
{
    struct infer_matches matches = { .count = 0 };
    struct buf body;
    const char *type_name = type != NULL ? type->full_name : infer_type_name(names, arena);

    memset(draft_r, 0, sizeof *draft_r);
    buf_init(&draft_r->mapping, INFER_DRAFT_BYTES_MAX);
    buf_init(&draft_r->proto, INFER_DRAFT_BYTES_MAX);
    buf_init(&body, INFER_DRAFT_BYTES_MAX);
    if (type != NULL)
        infer_match_type(table, guesses, type, arena, &matches, draft_r);
    else
        guesses = infer_match_new(table, guesses, names, arena, &matches, draft_r);
    decide_columns(draft_r, table, guesses, &matches, arena);
    put_head(&body, table, guesses, &matches, names, type_name, arena);
    (void)buf_append_str(&body, matches.count > 0 ? "fields:\n" : "fields: {}\n");
    for (size_t i = 0; i < matches.count; i++)
        put_field(&body, table, &guesses[matches.items[i].column], &matches.items[i], arena);
    put_decisions(&draft_r->mapping, table, draft_r, arena);
    (void)buf_append(&draft_r->mapping, body.data, body.len);
    buf_fini(&body);
}

int infer_draft_check(const struct infer_draft *draft, const struct infer_names *names,
                      const struct schema_set *types, struct err *err)
{
    struct arena arena;
    struct strmap none;
    struct yaml *yaml =
        yaml_parse("draft", (const char *)draft->mapping.data, draft->mapping.len, err);
    struct mapping_context context = {
        .env = { .arena = &arena, .code_tables = &none },
        .types = types,
        .department = names->department,
        .dataset = names->dataset,
    };
    struct schema_mapping *mapping = NULL;

    arena_init(&arena);
    strmap_init(&none);
    if (yaml != NULL)
        mapping = mapping_read(yaml_root(yaml), &context, err);
    int result = mapping != NULL ? 0 : -1;
    if (mapping != NULL)
        mapping_fini(mapping);
    yaml_free(&yaml);
    strmap_fini(&none);
    arena_fini(&arena);
    return result;
}
