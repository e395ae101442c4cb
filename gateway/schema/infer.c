/* One column: which normalisers its values pass, which spellings mean "nothing", is it a code set. */
#include "schema/infer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/strmap.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/dictionary.h"
#include "schema/normaliser_internal.h"
#include "sluice/options/field.pb-c.h"

#define SEMANTIC(name_) SLUICE__OPTIONS__SEMANTIC_TYPE__##name_

enum {
    STEPS_MAX = 4,
    FAILURES_MAX = 8,
    SURE_PERCENT = 60,   /* of a checksum: what else is in the column are mistakes */
    NEARLY_PERCENT = 90, /* of a weaker test */
    CODE_REPEATS_MIN = 4,
};

/* A sample as the guesses look at it. */
struct sample {
    struct arena *arena;
    const char **texts; /* present values, as they are */
    size_t count;
    const char *name;
    const char *comment;
    int hint; /* semantic that the name speaks of */
};

struct trial {
    const char *chain;
    size_t passed;
    const char *failures[FAILURES_MAX];
    size_t failure_rows[FAILURES_MAX];
    size_t failure_count;
};

/* --- null spellings -----------------------------------------------------------------------------
 */

static const char *const null_spellings[] = {
    "",    "-",    "--",   "—",    "——", "/",  "\\N",  "NA",   "N/A",
    "n/a", "NULL", "null", "None", "空", "无", "暂无", "不详", "(null)",
};

/* Blanks at both ends go, as a mapping's null_values are compared. */
static const char *trimmed(struct arena *arena, const char *text)
{
    size_t len = strlen(text), first = 0, last = 0;
    bool any = false;

    for (size_t at = 0; at < len;) {
        uint32_t cp = 0;
        size_t step = utf8_decode((const uint8_t *)text + at, len - at, &cp);
        if (!normaliser_blank(cp)) {
            first = any ? first : at;
            last = at + step;
            any = true;
        }
        at += step;
    }
    return any ? arena_strndup(arena, text + first, last - first) : "";
}

static const char *null_spelling(struct arena *arena, const char *text)
{
    const char *bare = trimmed(arena, text);

    for (size_t i = 0; i < sizeof null_spellings / sizeof null_spellings[0]; i++)
        if (strcmp(null_spellings[i], bare) == 0)
            return null_spellings[i];
    return NULL;
}

static void add_null(struct infer_guess *guess, const char *spelling)
{
    for (size_t i = 0; i < guess->null_count; i++)
        if (strcmp(guess->nulls[i], spelling) == 0)
            return;
    if (guess->null_count < sizeof guess->nulls / sizeof guess->nulls[0])
        guess->nulls[guess->null_count++] = spelling;
}

/* --- trials -------------------------------------------------------------------------------------
 */

static void count_failure(struct trial *trial, const char *code)
{
    size_t i = 0;

    while (i < trial->failure_count && strcmp(trial->failures[i], code) != 0)
        i++;
    if (i == FAILURES_MAX)
        return;
    trial->failures[i] = code;
    trial->failure_rows[i]++;
    trial->failure_count += i == trial->failure_count;
}

static const char *run_steps(const struct normaliser_step *steps, size_t count, struct buf *value)
{
    for (size_t i = 0; i < count; i++) {
        struct normaliser_result result = normaliser_run(&steps[i], value);
        if (result.verdict == NORMALISER_ERROR)
            return result.code;
    }
    return NULL;
}

/* A chain, read as the mapping loader reads it. */
struct chain {
    struct strmap none;
    struct normaliser_step steps[STEPS_MAX];
    size_t count;
};

static void close_chain(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->steps[i].kind->dispose != NULL && chain->steps[i].config != NULL)
            chain->steps[i].kind->dispose(chain->steps[i].config);
    chain->count = 0;
    strmap_fini(&chain->none);
}

/* False for one that this build does not know. */
static bool open_chain(struct chain *chain, const char *text, struct arena *arena)
{
    struct normaliser_env env = { .arena = arena, .code_tables = &chain->none };
    struct err err = ERR_INIT;
    struct yaml *yaml = yaml_parse("chain", text, strlen(text), &err);
    size_t wanted = yaml != NULL ? yaml_count(yaml_root(yaml)) : 0;
    bool fine = wanted > 0 && wanted <= STEPS_MAX;

    strmap_init(&chain->none);
    chain->count = 0;
    for (size_t i = 0; fine && i < wanted; i++) {
        fine = normaliser_step_read(yaml_item(yaml_root(yaml), i), &env,
                                    &chain->steps[chain->count], &err) == 0;
        chain->count += fine;
    }
    yaml_free(&yaml);
    if (!fine)
        close_chain(chain);
    return fine;
}

static struct trial try_chain(const struct sample *sample, const char *text)
{
    struct trial trial = { .chain = text };
    struct chain chain;
    struct buf value;

    if (!open_chain(&chain, text, sample->arena))
        return trial;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    for (size_t i = 0; i < sample->count; i++) {
        buf_reset(&value);
        (void)buf_append_str(&value, sample->texts[i]);
        const char *code = run_steps(chain.steps, chain.count, &value);
        trial.passed += code == NULL;
        if (code != NULL)
            count_failure(&trial, code);
    }
    buf_fini(&value);
    close_chain(&chain);
    return trial;
}

size_t infer_passes(const struct infer_column *column, const struct infer_guess *guess,
                    const char *chain, struct arena *arena, size_t *present_r)
{
    struct sample sample = { .arena = arena };

    sample.texts = arena_array(arena, column->value_count + 1, sizeof *sample.texts);
    for (size_t i = 0; i < column->value_count; i++) {
        const char *value = column->values[i];
        const char *spelling = value != NULL ? null_spelling(arena, value) : NULL;
        bool null = value == NULL;
        for (size_t n = 0; spelling != NULL && n < guess->null_count; n++)
            null = null || strcmp(guess->nulls[n], spelling) == 0;
        if (!null)
            sample.texts[sample.count++] = value;
    }
    *present_r = sample.count;
    return try_chain(&sample, chain).passed;
}

const char *infer_run(const char *chain_text, const char *text, struct arena *arena)
{
    const char *result = NULL;
    struct chain chain;
    struct buf value;

    if (!open_chain(&chain, chain_text, arena))
        return NULL;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    (void)buf_append_str(&value, text);
    if (run_steps(chain.steps, chain.count, &value) == NULL)
        result = arena_strdup(arena, buf_cstr(&value));
    buf_fini(&value);
    close_chain(&chain);
    return result;
}

static bool passes(const struct sample *sample, const struct trial *trial, size_t percent)
{
    return sample->count > 0 && trial->passed * 100 >= sample->count * percent;
}

static const char *share(struct arena *arena, size_t part, size_t whole)
{
    size_t tenths = whole == 0 ? 0 : part * 1000 / whole;
    return arena_format(arena, "%zu.%zu %%", tenths / 10, tenths % 10);
}

static void add_evidence(struct infer_guess *guess, const char *text)
{
    if (guess->evidence_count < sizeof guess->evidence / sizeof guess->evidence[0])
        guess->evidence[guess->evidence_count++] = text;
}

static void accept(const struct sample *sample, struct infer_guess *guess, int semantic,
                   const struct trial *trial, const char *what)
{
    const char *text =
        arena_format(sample->arena, "%s of %zu values pass %s",
                     share(sample->arena, trial->passed, sample->count), sample->count, what);

    guess->semantic = semantic;
    guess->chain = trial->chain;
    guess->passed = trial->passed;
    for (size_t i = 0; i < trial->failure_count; i++)
        text = arena_format(sample->arena, "%s%s%s %zu", text, i == 0 ? "; not: " : ", ",
                            trial->failures[i], trial->failure_rows[i]);
    add_evidence(guess, text);
}

/* --- what a value looks like --------------------------------------------------------------------
 */

static bool has_letter(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80 || (*text >= 'A' && *text <= 'Z') ||
            (*text >= 'a' && *text <= 'z'))
            return true;
    return false;
}

static size_t with_letters(const struct sample *sample)
{
    size_t count = 0;

    for (size_t i = 0; i < sample->count; i++)
        count += has_letter(sample->texts[i]);
    return count;
}

/* Texts that hold one of these words. */
static size_t with_any(const struct sample *sample, const char *const *words, size_t word_count)
{
    size_t count = 0;

    for (size_t i = 0; i < sample->count; i++) {
        bool found = false;
        for (size_t w = 0; w < word_count && !found; w++)
            found = strstr(sample->texts[i], words[w]) != NULL;
        count += found;
    }
    return count;
}

/* Codes made of digits: one begins with a zero, or all have the same length. */
static bool digit_codes(const struct sample *sample)
{
    bool same = sample->count > 0 && strlen(sample->texts[0]) > 1;

    for (size_t i = 0; i < sample->count; i++) {
        if (sample->texts[i][0] == '0' && sample->texts[i][1] >= '0' && sample->texts[i][1] <= '9')
            return true;
        same = same && strlen(sample->texts[i]) == strlen(sample->texts[0]) &&
               normaliser_all_digits(sample->texts[i], strlen(sample->texts[i]));
    }
    return same;
}

/* "2023年5月1日" -> "9999年9月9日"; runs of digits keep their length. */
static const char *shape_of(struct arena *arena, const char *text)
{
    char *shape = arena_strndup(arena, text, strnlen(text, 40));

    for (char *at = shape; *at != '\0'; at++)
        if (*at >= '0' && *at <= '9')
            *at = '9';
    return utf8_valid(shape, strlen(shape)) ? shape : "?";
}

static void shape_evidence(const struct sample *sample, struct infer_guess *guess)
{
    enum { SHAPES_MAX = 12 };
    const char *shapes[SHAPES_MAX], *text = "spellings:";
    size_t rows[SHAPES_MAX] = { 0 }, count = 0;

    for (size_t i = 0; i < sample->count; i++) {
        const char *shape = shape_of(sample->arena, sample->texts[i]);
        size_t at = 0;
        while (at < count && strcmp(shapes[at], shape) != 0)
            at++;
        if (at == SHAPES_MAX)
            continue;
        shapes[at] = shape;
        rows[at]++;
        count += at == count;
    }
    for (size_t shown = 0; shown < count && shown < 5; shown++) {
        size_t best = 0;
        for (size_t i = 1; i < count; i++)
            best = rows[i] > rows[best] ? i : best;
        text = arena_format(sample->arena, "%s%s %s (%zu)", text, shown > 0 ? "," : "",
                            shapes[best], rows[best]);
        rows[best] = 0;
    }
    add_evidence(guess, text);
}

/* --- candidates, the surest first ---------------------------------------------------------------
 */

static bool guess_identifier(const struct sample *sample, struct infer_guess *guess)
{
    static const struct {
        int semantic;
        const char *chain;
        const char *what;
    } candidates[] = {
        { SEMANTIC(CITIZEN_ID), "[cn_id]", "GB 11643" },
        { SEMANTIC(CREDIT_CODE), "[cn_uscc]", "GB 32100" },
        { SEMANTIC(MOBILE_NUMBER), "[cn_mobile]", "the mobile number rule" },
        { SEMANTIC(ORG_CODE), "[cn_org]", "GB 11714" },
    };

    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        struct trial trial = try_chain(sample, candidates[i].chain);
        /* A name that says so makes a poor column believable; the rate stands beside it. */
        if (!passes(sample, &trial, sample->hint == candidates[i].semantic ? 25 : SURE_PERCENT))
            continue;
        accept(sample, guess, candidates[i].semantic, &trial, candidates[i].what);
        return true;
    }
    return false;
}

static bool guess_word(const struct sample *sample, struct infer_guess *guess)
{
    static const struct {
        int semantic;
        const char *chain;
        const char *what;
    } candidates[] = {
        { SEMANTIC(SEX), "[cn_sex]", "GB/T 2261.1" },
        { SEMANTIC(MARITAL_STATUS), "[cn_marital]", "GB/T 2261.2" },
        { SEMANTIC(ETHNIC_GROUP), "[cn_ethnic]", "GB/T 3304" },
    };
    size_t letters = with_letters(sample);

    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        bool hinted = sample->hint == candidates[i].semantic;
        struct trial trial = try_chain(sample, candidates[i].chain);
        /* Bare digits pass many rules: without a name that says so they mean nothing. */
        if (!passes(sample, &trial, hinted ? SURE_PERCENT : NEARLY_PERCENT) ||
            (!hinted && letters * 2 < sample->count))
            continue;
        accept(sample, guess, candidates[i].semantic, &trial, candidates[i].what);
        if (i == 0 && letters == 0)
            guess->decide = "bare digits are read as GB/T 2261.1 (1 male, 2 female); if the source "
                            "means something else, write codes";
        return true;
    }
    struct trial trial = try_chain(sample, "[bool]");
    if (guess->distinct <= 4 && guess->distinct >= 2 && passes(sample, &trial, 100) &&
        letters == sample->count) {
        accept(sample, guess, 0, &trial, "as true or false");
        return true;
    }
    return false;
}

static bool guess_division(const struct sample *sample, struct infer_guess *guess)
{
    static const int lengths[] = { 12, 9, 6, 4, 2 };

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const char *plain =
            arena_format(sample->arena, "[{cn_division: {length: %d}}]", lengths[i]);
        const char *folded = arena_format(
            sample->arena, "[trim, width_fold, {cn_division: {length: %d}}]", lengths[i]);
        struct trial trial = try_chain(sample, plain), other = try_chain(sample, folded);
        bool hinted = sample->hint == SEMANTIC(DIVISION_CODE);
        /* Six digits may be a post code: a name must say more. */
        if (!passes(sample, &other, hinted ? SURE_PERCENT : 98) || (!hinted && lengths[i] < 9))
            continue;
        accept(sample, guess, SEMANTIC(DIVISION_CODE),
               other.passed > trial.passed ? &other : &trial,
               arena_format(sample->arena, "the division code rule (%d digits)", lengths[i]));
        return true;
    }
    return false;
}

/* The chain that reads the spellings of the sample with the day (or the month) before the year. */
static struct trial try_order(const struct sample *sample, bool day_first)
{
    static const char *const years[] = { "YYYYMMDD", "YYYY-M-D", "YYYY/M/D", "YYYY.M.D",
                                         "YYYY年M月D日" };
    static const char *const orders[][3] = { { "M/D/YYYY", "M-D-YYYY", "M.D.YYYY" },
                                             { "D/M/YYYY", "D-M-YYYY", "D.M.YYYY" } };
    /* Nobody writes so: what passes is canonical, and read whatever the formats are. */
    size_t canonical = try_chain(sample, "[{cn_date: {formats: [D|M|YYYY]}}]").passed;
    const char *list = "";

    for (size_t i = 0; i < 8; i++) {
        const char *format = i < 3 ? orders[day_first][i] : years[i - 3];
        const char *alone = arena_format(sample->arena, "[{cn_date: {formats: [\"%s\"]}}]", format);
        if (try_chain(sample, alone).passed > canonical)
            list = arena_format(sample->arena, "%s%s%s", list, *list != '\0' ? ", " : "", format);
    }
    if (*list == '\0')
        return (struct trial){ 0 };
    return try_chain(sample, arena_format(sample->arena, "[{cn_date: {formats: [%s]}}]", list));
}

/* 31/01/2024 says that its day stands first; 01/02/2024 says nothing. cn_date refuses both, unless
 * somebody who knows the source says how it writes. */
static bool guess_date_order(const struct sample *sample, const struct trial *plain,
                             struct infer_guess *guess)
{
    enum { ORDER_PERCENT = 10 }; /* fewer may be slips of the pen */
    struct trial day = try_order(sample, true), month = try_order(sample, false);
    const struct trial *best = day.passed > month.passed ? &day : &month;
    size_t clear =
        day.passed > month.passed ? day.passed - month.passed : month.passed - day.passed;

    if (best->passed < plain->passed ||
        (best->passed - plain->passed) * 100 < sample->count * ORDER_PERCENT ||
        !passes(sample, best, SURE_PERCENT))
        return false;
    if (clear == 0) {
        guess->decide = "whether the day or the month stands first cannot be told from the sample; "
                        "ask the source and write {cn_date: {formats: [D/M/YYYY]}} or [M/D/YYYY]";
        return false;
    }
    accept(sample, guess, SEMANTIC(DATE), best, "as a date in these formats");
    shape_evidence(sample, guess);
    guess->decide = arena_format(
        sample->arena,
        "the %s is read as standing first, because %zu of %zu values have no such %s otherwise; "
        "ask the source, no value says so itself",
        best == &day ? "day" : "month", clear, sample->count, best == &day ? "month" : "day");
    return true;
}

static bool guess_date(const struct sample *sample, struct infer_guess *guess)
{
    struct trial trial = try_chain(sample, "[cn_date]");
    bool hinted = sample->hint == SEMANTIC(DATE);
    size_t marks = 0;

    for (size_t i = 0; i < sample->count; i++)
        marks += strpbrk(sample->texts[i], "-/.") != NULL || has_letter(sample->texts[i]);
    if (marks > 0 && trial.passed < sample->count && guess_date_order(sample, &trial, guess))
        return true;
    if (!passes(sample, &trial,
                hinted      ? 25
                : marks > 0 ? SURE_PERCENT
                            : 98) ||
        (!hinted && marks == 0 && trial.passed != sample->count))
        return false;
    accept(sample, guess, SEMANTIC(DATE), &trial, "as a date (cn_date)");
    shape_evidence(sample, guess);
    if (trial.passed < sample->count)
        guess->decide = arena_format(
            sample->arena,
            "%zu of %zu values are no date that can be read for certain; their rows are "
            "quarantined until the source or the chain says more",
            sample->count - trial.passed, sample->count);
    return true;
}

static bool guess_money(const struct sample *sample, struct infer_guess *guess)
{
    static const char *const units[] = { "元", "圆", "万", "亿", "¥", "￥" };
    static const char *const ten_thousands[] = { "万元" };
    size_t marked = with_any(sample, units, 6), in_ten_thousands = 0;
    struct sample names = { .texts = (const char *[]){ sample->name, sample->comment },
                            .count = 2 };
    bool hinted = sample->hint == SEMANTIC(MONEY);
    struct trial trial = try_chain(sample, "[{cn_money: {minor: true}}]");

    if (!passes(sample, &trial, SURE_PERCENT) || (!hinted && marked * 5 < sample->count))
        return false;
    in_ten_thousands = with_any(&names, ten_thousands, 1);
    if (in_ten_thousands > 0 && marked == 0) {
        /* The unit stands in the column's name: 万元 to fen is six powers of ten. */
        struct trial scaled = try_chain(sample, "[{unit: {power: 6, scale: 0}}]");
        accept(sample, guess, SEMANTIC(MONEY), &scaled, "as 万元, the unit in the column's name");
        guess->integer = true;
        return true;
    }
    accept(sample, guess, SEMANTIC(MONEY), &trial, "as an amount (cn_money), to fen");
    guess->integer = true;
    if (marked > 0)
        add_evidence(guess, arena_format(sample->arena, "%zu values write a unit", marked));
    if (in_ten_thousands > 0 && marked < sample->count)
        guess->decide =
            "the column's name says 万元 but only some values write a unit; bare numbers "
            "are read as 元";
    return true;
}

static bool guess_number(const struct sample *sample, struct infer_guess *guess)
{
    struct trial whole = try_chain(sample, "[{decimal: {scale: 0}}]");
    struct trial any = try_chain(sample, "[decimal]");

    if (digit_codes(sample) || !passes(sample, &any, NEARLY_PERCENT))
        return false;
    guess->integer = whole.passed == any.passed;
    accept(sample, guess, 0, guess->integer ? &whole : &any,
           guess->integer ? "as a whole number" : "as a decimal number");
    return true;
}

/* --- code sets ----------------------------------------------------------------------------------
 */

static void count_codes(const struct sample *sample, struct infer_guess *guess)
{
    struct strmap seen;
    size_t all = 0;

    strmap_init(&seen);
    for (size_t i = 0; i < sample->count; i++) {
        const char *text = trimmed(sample->arena, sample->texts[i]);
        size_t at = 0;
        all += strmap_set(&seen, text, (void *)(uintptr_t)text);
        while (at < guess->distinct && strcmp(guess->codes[at], text) != 0)
            at++;
        if (at > INFER_CODES_MAX)
            continue;
        guess->codes[at] = text;
        guess->code_rows[at]++;
        guess->distinct += at == guess->distinct;
    }
    strmap_fini(&seen);
    guess->different = all;
    guess->unique = sample->count > 0 && all == sample->count;
    guess->code_set = guess->distinct > 1 && guess->distinct <= INFER_CODES_MAX &&
                      guess->distinct * CODE_REPEATS_MIN <= sample->count;
    for (size_t i = 0; guess->code_set && i < guess->distinct; i++)
        guess->code_set = strlen(guess->codes[i]) <= 60;
}

/* The order of the sample says nothing. */
static void sort_codes(struct infer_guess *guess)
{
    for (size_t i = 1; i < guess->distinct; i++)
        for (size_t j = i; j > 0 && strcmp(guess->codes[j - 1], guess->codes[j]) > 0; j--) {
            const char *text = guess->codes[j];
            size_t rows = guess->code_rows[j];
            guess->codes[j] = guess->codes[j - 1];
            guess->code_rows[j] = guess->code_rows[j - 1];
            guess->codes[j - 1] = text;
            guess->code_rows[j - 1] = rows;
        }
}

/* --- a column -----------------------------------------------------------------------------------
 */

static bool one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

static void guess_by_name(const struct sample *sample, struct infer_guess *guess)
{
    static const int nameable[] = { SEMANTIC(PERSON_NAME), SEMANTIC(PLACE_NAME), SEMANTIC(ADDRESS),
                                    SEMANTIC(FREE_TEXT) };

    for (size_t i = 0; i < sizeof nameable / sizeof nameable[0]; i++)
        if (sample->hint == nameable[i]) {
            guess->semantic = sample->hint;
            guess->code_set = false;
            add_evidence(guess, "by the column's name; the values have no check");
        }
}

/* 有 and 无 are an answer, and so is 空 where sex has a code for it. */
static void keep_meaningful_nulls(const struct infer_column *column, struct infer_guess *guess)
{
    bool has = false;
    size_t kept = 0;

    for (size_t i = 0; i < column->value_count; i++)
        has = has || (column->values[i] != NULL && strcmp(column->values[i], "有") == 0);
    for (size_t i = 0; i < guess->null_count; i++) {
        bool meant = has && strcmp(guess->nulls[i], "无") == 0;
        if (!meant)
            guess->nulls[kept++] = guess->nulls[i];
    }
    guess->null_count = kept;
}

static void gather(const struct infer_column *column, bool text, struct sample *sample,
                   struct infer_guess *guess)
{
    size_t nulls = 0;

    sample->texts = arena_array(sample->arena, column->value_count + 1, sizeof *sample->texts);
    for (size_t i = 0; text && i < column->value_count; i++) {
        const char *spelling =
            column->values[i] != NULL ? null_spelling(sample->arena, column->values[i]) : NULL;
        if (spelling != NULL)
            add_null(guess, spelling);
    }
    keep_meaningful_nulls(column, guess);
    for (size_t i = 0; i < column->value_count; i++) {
        const char *value = column->values[i];
        const char *spelling = value != NULL && text ? null_spelling(sample->arena, value) : NULL;
        bool absent = value == NULL ||
                      (spelling != NULL && one_of(spelling, guess->nulls, guess->null_count));
        if (absent)
            nulls++;
        else
            sample->texts[sample->count++] = value;
    }
    guess->present = sample->count;
    if (nulls > 0)
        add_evidence(guess, arena_format(sample->arena, "%zu of %zu rows have no value", nulls,
                                         column->value_count));
}

void infer_guess(const struct infer_column *column, struct arena *arena,
                 struct infer_guess *guess_r)
{
    static const char *const texts[] = { "text", "char" };
    static const char *const numbers[] = { "smallint", "integer", "bigint", "numeric" };
    struct sample sample = { .arena = arena, .name = column->name, .comment = column->comment };

    memset(guess_r, 0, sizeof *guess_r);
    guess_r->mapping_type = dictionary_column_type(column->oid);
    guess_r->concept = infer_concept(column->name, column->comment, &sample.hint);
    if (guess_r->mapping_type == NULL)
        return;
    bool text = one_of(guess_r->mapping_type, texts, 2);
    bool number = one_of(guess_r->mapping_type, numbers, 4);
    gather(column, text, &sample, guess_r);
    if (strcmp(guess_r->mapping_type, "date") == 0)
        guess_r->semantic = SEMANTIC(DATE);
    count_codes(&sample, guess_r);
    guess_r->unique = guess_r->unique && sample.count == column->value_count;
    sort_codes(guess_r);
    if (sample.count == 0 && (text || number))
        add_evidence(guess_r, "no value in the sample");
    if (sample.count == 0 || (!text && !number))
        return;
    bool found = guess_identifier(&sample, guess_r) ||
                 (sample.hint == SEMANTIC(MONEY) && guess_money(&sample, guess_r)) ||
                 guess_word(&sample, guess_r) || guess_division(&sample, guess_r) ||
                 guess_date(&sample, guess_r) || guess_money(&sample, guess_r);
    if (found)
        guess_r->code_set = false;
    if (!found && text)
        guess_by_name(&sample, guess_r);
    if (!found && text && guess_r->semantic == 0 && guess_number(&sample, guess_r))
        guess_r->code_set = false;
    guess_r->code_set = guess_r->code_set && text;
}
