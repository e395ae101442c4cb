#include "schema/infer_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/options/field.pb-c.h"

#define SEMANTIC(name_) SLUICE__OPTIONS__SEMANTIC_TYPE__##name_

enum {
    LEAVES_MAX = 1024,
    DEPTH_MAX = 4,
    KEY_COLUMNS_MAX = 8,
    SELDOM_PERCENT = 80,
    SCORE_SEMANTIC = 60,
    SCORE_OTHER_SEMANTIC = -50,
    LOOKS_LIKE_PERCENT = 60,
    SCORE_MIN = 45, /* a word in common, or the same meaning */
};

struct leaf {
    const char *name;
    const struct schema_field *field;
    bool taken;
};

struct leaves {
    struct leaf items[LEAVES_MAX];
    size_t count;
};

static bool is_timestamp(const struct schema_field *field)
{
    return field->type == SCHEMA_MESSAGE && !field->repeated &&
           strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
}

static void collect_leaves(const struct schema_message *type, const char *scope, int depth,
                           struct arena *arena, struct leaves *leaves)
{
    for (size_t i = 0; i < type->field_count && leaves->count < LEAVES_MAX; i++) {
        const struct schema_field *field = &type->fields[i];
        const char *name = arena_format(arena, "%s%s", scope, field->name);

        if (field->type == SCHEMA_MESSAGE && !field->map && !is_timestamp(field)) {
            if (!field->repeated && depth < DEPTH_MAX)
                collect_leaves(field->message, arena_format(arena, "%s.", name), depth + 1, arena,
                               leaves);
            continue;
        }
        leaves->items[leaves->count++] = (struct leaf){ .name = name, .field = field };
    }
}

/* --- chains -------------------------------------------------------------------------------------
 */

static const char *chain_of_semantic(int semantic)
{
    switch (semantic) {
    case SEMANTIC(CITIZEN_ID):
        return "[cn_id]";
    case SEMANTIC(CREDIT_CODE):
        return "[cn_uscc]";
    case SEMANTIC(ORG_CODE):
        return "[cn_org]";
    case SEMANTIC(MOBILE_NUMBER):
        return "[cn_mobile]";
    case SEMANTIC(DATE):
        return "[cn_date]";
    case SEMANTIC(SEX):
        return "[cn_sex]";
    case SEMANTIC(MARITAL_STATUS):
        return "[cn_marital]";
    case SEMANTIC(ETHNIC_GROUP):
        return "[cn_ethnic]";
    case SEMANTIC(DIVISION_CODE):
        return "[trim, width_fold, cn_division]";
    default:
        return NULL;
    }
}

static bool is(const struct infer_guess *guess, const char *type)
{
    return strcmp(guess->mapping_type, type) == 0;
}

static bool is_text(const struct infer_guess *guess)
{
    return is(guess, "text") || is(guess, "char");
}

static bool is_number(const struct infer_guess *guess)
{
    return is(guess, "smallint") || is(guess, "integer") || is(guess, "bigint") ||
           is(guess, "numeric");
}

static bool is_array(const struct infer_guess *guess)
{
    return strchr(guess->mapping_type, '[') != NULL;
}

/* The enum value a text stands for by name or number. */
static const char *enum_value(const struct schema_field *field, const char *native)
{
    char *end;
    long number = strtol(native, &end, 10);

    for (size_t i = 0; i < field->enumeration->value_count; i++) {
        const struct schema_enum_value *value = &field->enumeration->values[i];
        if (strcasecmp(value->name, native) == 0 ||
            (*native != '\0' && *end == '\0' && value->number == number))
            return value->name;
    }
    return NULL;
}

const char *infer_code_target(const struct infer_match *match, const char *comment,
                              const char *native, struct arena *arena)
{
    bool enumerated = match->field != NULL && match->field->type == SCHEMA_ENUM;
    const char *text = native;

    if (match->legend != NULL) {
        const char *word = infer_legend(comment, native, arena);
        text = word != NULL ? infer_run(match->legend, word, arena) : NULL;
    }
    return text != NULL && enumerated ? enum_value(match->field, text) : text;
}

/* Codes of a house's own whose comment says what they mean: "1 未婚 2 已婚". */
static bool has_legend(const struct infer_column *column, const struct infer_guess *guess,
                       const char *chain, struct arena *arena)
{
    size_t said = 0;

    for (size_t i = 0; i < guess->distinct && i < INFER_CODES_MAX; i++) {
        const char *word = infer_legend(column->comment, guess->codes[i], arena);
        said += word != NULL && infer_run(chain, word, arena) != NULL;
    }
    return guess->distinct > 0 && guess->distinct <= INFER_CODES_MAX && said * 2 >= guess->distinct;
}

static bool some_target(const struct infer_match *match, const struct infer_column *column,
                        const struct infer_guess *guess, struct arena *arena)
{
    for (size_t i = 0; i < guess->distinct && i < INFER_CODES_MAX; i++)
        if (infer_code_target(match, column->comment, guess->codes[i], arena) != NULL)
            return true;
    return false;
}

static bool coded_semantic(int semantic)
{
    return semantic == SEMANTIC(SEX) || semantic == SEMANTIC(MARITAL_STATUS) ||
           semantic == SEMANTIC(ETHNIC_GROUP);
}

/* A type may leave the option out where the enum's name speaks for itself. */
static int meaning_of(const struct schema_field *field)
{
    int semantic = field->semantic;

    if (semantic == 0 && field->type == SCHEMA_ENUM)
        (void)infer_concept(field->name, field->label_zh, &semantic);
    return coded_semantic(semantic) ? semantic : field->semantic;
}

static bool feed_enum(const struct infer_column *column, const struct infer_guess *guess,
                      struct arena *arena, struct infer_match *match)
{
    int meaning = meaning_of(match->field);
    const char *chain = coded_semantic(meaning) ? chain_of_semantic(meaning) : NULL;

    if (!is_text(guess) && !is_number(guess))
        return false;
    if (chain != NULL && has_legend(column, guess, chain, arena)) {
        match->codes = true;
        match->legend = chain;
        return true;
    }
    if (chain != NULL && (guess->semantic == meaning || guess->present == 0)) {
        match->chain = chain;
        return true;
    }
    match->codes = is_text(guess) && guess->code_set && some_target(match, column, guess, arena);
    return match->codes || (is_number(guess) && chain == NULL);
}

/* The length all values share, of those a division code may have; 0: several. */
static int division_length(const struct infer_guess *guess)
{
    size_t len = guess->distinct > 0 ? strlen(guess->codes[0]) : 0;

    for (size_t i = 0; i < guess->distinct; i++)
        if (strlen(guess->codes[i]) != len)
            return 0;
    return len == 2 || len == 4 || len == 6 || len == 9 || len == 12 ? (int)len : 0;
}

static bool feed_string(const struct infer_column *column, const struct infer_guess *guess,
                        struct arena *arena, struct infer_match *match)
{
    const struct schema_field *field = match->field;
    bool money = guess->semantic == SEMANTIC(MONEY) || field->semantic == SEMANTIC(MONEY);

    if (is(guess, "bytea") || is_array(guess))
        return false;
    if (!is_text(guess) && !is_number(guess))
        return true;
    if (money)
        match->chain = "[cn_money]";
    else if (guess->semantic != 0 && (field->semantic == guess->semantic || field->semantic == 0))
        match->chain = guess->chain;
    else if (field->semantic == SEMANTIC(DIVISION_CODE) && division_length(guess) != 0)
        match->chain = arena_format(arena, "[{cn_division: {length: %d}}]", division_length(guess));
    else if (field->semantic != 0)
        match->chain = chain_of_semantic(field->semantic);
    if (coded_semantic(field->semantic) && has_legend(column, guess, match->chain, arena)) {
        match->legend = match->chain;
        match->chain = NULL;
        match->codes = true;
        return true;
    }
    match->codes = match->chain == NULL && field->semantic == 0 && guess->code_set;
    return true;
}

static bool feed_number(const struct infer_guess *guess, const struct schema_field *field,
                        struct infer_match *match)
{
    bool real = field->type == SCHEMA_DOUBLE || field->type == SCHEMA_FLOAT;
    bool money = field->semantic == SEMANTIC(MONEY);

    if (is(guess, "real") || is(guess, "double"))
        return real;
    if (!is_text(guess) && !is_number(guess))
        return false;
    if (money && !real)
        match->chain = guess->semantic == SEMANTIC(MONEY) && guess->chain != NULL
                           ? guess->chain
                           : "[{cn_money: {minor: true}}]";
    else if (is_text(guess))
        match->chain = real ? "[decimal]" : guess->integer ? guess->chain : NULL;
    return is_number(guess) || match->chain != NULL;
}

/* Whether the column can feed the field, and how. */
static bool can_feed(const struct infer_column *column, const struct infer_guess *guess,
                     const struct schema_field *field, struct arena *arena,
                     struct infer_match *match)
{
    *match = (struct infer_match){ .field = field };
    if (guess->mapping_type == NULL)
        return false;
    if (field->map)
        return is(guess, "json") || is(guess, "jsonb");
    if (field->repeated || is_array(guess))
        return field->repeated && is_array(guess) && field->type == SCHEMA_STRING;
    switch (field->type) {
    case SCHEMA_MESSAGE:
        match->timestamp = is(guess, "timestamp") || is(guess, "timestamptz");
        return match->timestamp;
    case SCHEMA_STRING:
        return feed_string(column, guess, arena, match);
    case SCHEMA_BYTES:
        return is(guess, "bytea");
    case SCHEMA_ENUM:
        return feed_enum(column, guess, arena, match);
    case SCHEMA_BOOL:
        match->chain = is_text(guess) ? "[bool]" : NULL;
        return is(guess, "boolean") ||
               (is_text(guess) && guess->chain != NULL && strcmp(guess->chain, "[bool]") == 0);
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_INT32:
    case SCHEMA_FIXED64:
    case SCHEMA_FIXED32:
    case SCHEMA_UINT32:
    case SCHEMA_SFIXED32:
    case SCHEMA_SFIXED64:
    case SCHEMA_SINT32:
    case SCHEMA_SINT64:
        return feed_number(guess, field, match);
    }
    return false;
}

/* --- matching -----------------------------------------------------------------------------------
 */

static int score(const struct infer_column *column, const struct infer_guess *guess,
                 const struct schema_field *field)
{
    int points = infer_likeness(column, field->name, field->label_zh) * 6 / 10;

    if (guess->semantic != 0 && field->semantic != 0)
        points += guess->semantic == field->semantic ? SCORE_SEMANTIC : SCORE_OTHER_SEMANTIC;
    return points;
}

static bool column_taken(const struct infer_matches *matches, size_t column)
{
    for (size_t i = 0; i < matches->count; i++)
        if (matches->items[i].column == column)
            return true;
    return false;
}

/* The best pair that is left; *rival_r: another column that fits the field just as well. */
static int best_pair(const struct infer_table *table, const struct infer_guess *guesses,
                     const struct leaves *leaves, const struct infer_matches *matches,
                     struct arena *arena, size_t *leaf_r, struct infer_match *match_r,
                     size_t *rival_r)
{
    int best = 0;

    for (size_t l = 0; l < leaves->count; l++)
        for (size_t c = 0; !leaves->items[l].taken && c < table->column_count; c++) {
            const struct schema_field *field = leaves->items[l].field;
            struct infer_match match;
            int points = score(&table->columns[c], &guesses[c], field);
            if (points < SCORE_MIN || points < best || column_taken(matches, c) ||
                !can_feed(&table->columns[c], &guesses[c], field, arena, &match))
                continue;
            if (points == best && best > 0 && l == *leaf_r)
                *rival_r = c;
            if (points <= best)
                continue;
            best = points;
            *leaf_r = l;
            *match_r = match;
            match_r->column = c;
            *rival_r = INFER_COLUMNS_MAX;
        }
    return best;
}

static void decide_match(const struct infer_table *table, const struct infer_guess *guess,
                         const struct infer_match *match, size_t rival, struct arena *arena,
                         struct infer_draft *draft)
{
    const char *column = table->columns[match->column].name;

    if (rival < INFER_COLUMNS_MAX)
        infer_decide(draft, arena, "%s comes from \"%s\"; \"%s\" fits as well", match->name, column,
                     table->columns[rival].name);
    if (match->chain != NULL && guess->semantic != match->field->semantic &&
        match->field->semantic != 0 && guess->present > 0) {
        size_t present = 0, passed = infer_passes(&table->columns[match->column], guess,
                                                  match->chain, arena, &present);
        if (passed * 100 < present * LOOKS_LIKE_PERCENT)
            infer_decide(draft, arena,
                         "%s comes from \"%s\" by its name; only %zu of %zu values pass %s",
                         match->name, column, passed, present, match->chain);
    }
    for (size_t i = 0; match->codes && i < guess->distinct; i++)
        if (infer_code_target(match, table->columns[match->column].comment, guess->codes[i],
                              arena) == NULL)
            infer_decide(draft, arena, "%s: which value is \"%s\" (%zu rows)?", match->name,
                         guess->codes[i], guess->code_rows[i]);
}

static void decide_left(const struct leaves *leaves, struct arena *arena, struct infer_draft *draft)
{
    for (size_t i = 0; i < leaves->count; i++) {
        const struct leaf *leaf = &leaves->items[i];
        if (leaf->taken)
            continue;
        infer_decide(
            draft, arena,
            leaf->field->key != 0
                ? "no column was found for %s, which is the key; the draft cannot do without"
                : "no column was found for %s",
            leaf->name);
    }
}

static void note_key(const struct infer_table *table, const struct infer_matches *matches,
                     struct arena *arena, struct infer_draft *draft)
{
    for (size_t i = 0; i < matches->count; i++) {
        const struct infer_match *match = &matches->items[i];
        bool composite = table->key_count > 1;
        if (match->field->key == 1 && !table->columns[match->column].unique_index && !composite)
            infer_decide(draft, arena,
                         "the key %s comes from \"%s\", which has no unique index of its own; "
                         "look-ups need one",
                         match->name, table->columns[match->column].name);
    }
}

void infer_match_type(const struct infer_table *table, const struct infer_guess *guesses,
                      const struct schema_message *type, struct arena *arena,
                      struct infer_matches *matches_r, struct infer_draft *draft)
{
    struct leaves *leaves = arena_alloc(arena, sizeof *leaves);
    struct infer_match match = { 0 };
    size_t leaf = 0, rival = INFER_COLUMNS_MAX;

    collect_leaves(type, "", 0, arena, leaves);
    while (matches_r->count < INFER_COLUMNS_MAX &&
           best_pair(table, guesses, leaves, matches_r, arena, &leaf, &match, &rival) >=
               SCORE_MIN) {
        leaves->items[leaf].taken = true;
        match.name = leaves->items[leaf].name;
        decide_match(table, &guesses[match.column], &match, rival, arena, draft);
        matches_r->items[matches_r->count++] = match;
        rival = INFER_COLUMNS_MAX;
    }
    decide_left(leaves, arena, draft);
    note_key(table, matches_r, arena, draft);
    /* In the order of the type, as a reader of the type expects them. */
    size_t placed = 0;
    for (size_t l = 0; l < leaves->count; l++)
        for (size_t i = placed; i < matches_r->count; i++)
            if (strcmp(matches_r->items[i].name, leaves->items[l].name) == 0) {
                struct infer_match moved = matches_r->items[i];
                matches_r->items[i] = matches_r->items[placed];
                matches_r->items[placed++] = moved;
            }
}

/* --- a type of its own --------------------------------------------------------------------------
 */

static bool name_taken(const char *const *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i], name) == 0)
            return true;
    return false;
}

static const char *field_name(const struct infer_table *table, const struct infer_guess *guess,
                              size_t column, const char *const *fields, struct arena *arena)
{
    const char *base = guess->concept;
    const char *name;

    if (base[0] == '\0')
        base = infer_snake(arena, table->columns[column].name);
    if (base[0] == '\0')
        base = arena_format(arena, "column_%zu", column + 1);
    name = base;
    for (size_t n = 2; name_taken(fields, column, name); n++)
        name = arena_format(arena, "%s_%zu", base, n);
    return name;
}

static bool identifier(const struct infer_guess *guess)
{
    return guess->semantic == SEMANTIC(CITIZEN_ID) || guess->semantic == SEMANTIC(CREDIT_CODE) ||
           guess->semantic == SEMANTIC(ORG_CODE);
}

/* Chains a look-up can go back through; the others would keep the draft from loading. */
static bool reversible(const struct infer_guess *guess)
{
    return guess->chain == NULL || identifier(guess) ||
           guess->semantic == SEMANTIC(MOBILE_NUMBER) || guess->semantic == SEMANTIC(DIVISION_CODE);
}

/* A key is text or a whole number. */
static bool can_be_key(const struct infer_guess *guess)
{
    return guess->mapping_type != NULL && (is_text(guess) || is_number(guess)) &&
           !is(guess, "numeric") && reversible(guess) && guess->present > 0;
}

static size_t pick_key(const struct infer_table *table, const struct infer_guess *guesses,
                       size_t *key_r)
{
    if (table->key_count > 0 && table->key_count <= KEY_COLUMNS_MAX) {
        memcpy(key_r, table->key, table->key_count * sizeof *key_r);
        return table->key_count;
    }
    /* Identifiers that never repeat, identifiers that seldom do, whatever never repeats. */
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < table->column_count; i++) {
            const struct infer_guess *guess = &guesses[i];
            bool seldom = guess->different * 100 >= guess->present * SELDOM_PERCENT;
            bool fits = round == 0   ? identifier(guess) && guess->unique
                        : round == 1 ? identifier(guess) && seldom
                                     : guess->unique;
            if (!can_be_key(guess) || !fits)
                continue;
            key_r[0] = i;
            return 1;
        }
    return 0;
}

static void decide_key(const struct infer_table *table, const struct infer_guess *guesses,
                       const size_t *key, size_t count, struct arena *arena,
                       struct infer_draft *draft)
{
    if (count == 0) {
        infer_decide(draft, arena,
                     "no column can be the key: none is unique in the sample; the draft does not "
                     "load until one is named (option key)");
        return;
    }
    const struct infer_guess *guess = &guesses[key[0]];
    const char *name = table->columns[key[0]].name;
    if (table->key_count == 0 && guess->unique)
        infer_decide(draft, arena,
                     "the table has no primary key; \"%s\" never repeats in the sample and was "
                     "taken as key: it needs a unique index",
                     name);
    else if (table->key_count == 0)
        infer_decide(draft, arena,
                     "the table has no primary key; \"%s\" was taken as key, but %zu of %zu rows "
                     "repeat a value: which of them counts?",
                     name, guess->present - guess->different, guess->present);
}

const struct infer_guess *infer_match_new(const struct infer_table *table,
                                          const struct infer_guess *guesses,
                                          const struct infer_names *names, struct arena *arena,
                                          struct infer_matches *matches_r,
                                          struct infer_draft *draft)
{
    struct infer_guess *own = arena_dup(arena, guesses, table->column_count * sizeof *own);
    const char **fields = arena_array(arena, table->column_count + 1, sizeof *fields);
    struct infer_table *keyed = arena_dup(arena, table, sizeof *table);
    size_t *key = arena_array(arena, KEY_COLUMNS_MAX, sizeof *key);

    keyed->key_count = pick_key(table, guesses, key);
    keyed->key = key;
    decide_key(table, guesses, key, keyed->key_count, arena, draft);
    for (size_t i = 0; i < keyed->key_count; i++)
        if (!reversible(&own[key[i]])) {
            own[key[i]].chain = NULL;
            own[key[i]].integer = false;
            own[key[i]].semantic = 0;
            own[key[i]].decide = "it is the key, so it is read as it is stored: no chain";
        }
    for (size_t i = 0; i < keyed->key_count; i++)
        own[key[i]].code_set = false;
    for (size_t i = 0; i < table->column_count; i++) {
        fields[i] = "";
        if (own[i].mapping_type == NULL)
            continue;
        fields[i] = field_name(table, &own[i], i, fields, arena);
        matches_r->items[matches_r->count++] = (struct infer_match){
            .name = fields[i],
            .column = i,
            .chain = own[i].chain,
            .codes = own[i].code_set && own[i].chain == NULL,
            .timestamp = strcmp(infer_proto_type(&own[i]), "google.protobuf.Timestamp") == 0,
        };
    }
    infer_decide(draft, arena,
                 "sensitivity of each field: it begins at a careful level; lower what you know");
    infer_put_proto(draft, keyed, own, fields, names, arena);
    return own;
}
