/* Every normaliser over arbitrary bytes. The first byte of the input chooses a configuration, the
 * rest is the value. What must hold: valid UTF-8 out, a code for every warning and error, the same
 * answer twice, fixed points, and that what is written reads back. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/strmap.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/normaliser_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDED_DIGITS_MAX = 40 }; /* as enum normaliser_loss has it */
enum { TRANSFORMS = 1 }; /* not idempotent by nature: another run is another transformation */

static const struct target {
    const char *step;
    int flags;
} targets[] = {
    { "trim", 0 },
    { "width_fold", 0 },
    { "upper", 0 },
    { "lower", 0 },
    { "nfc", 0 },
    { "nfkc", 0 },
    { "unaccent", 0 },
    { "gb18030", TRANSFORMS },
    { "pua_fold", 0 },
    { "strip: {classes: [blank, control, punctuation]}", 0 },
    { "strip: {classes: [digit, mark, symbol], characters: \"甲-a\"}", 0 },
    { "strip: {classes: [letter]}", 0 },
    { "replace: {words: {Rd: Road, 自治县: 县, a: '', 乙: '', 甲丙: 丁, xy: yx}}", 0 },
    { "split: {separator: /, item: 2}", TRANSFORMS },
    { "split: {separator: '、', item: -1}", TRANSFORMS },
    { "concat: {prefix: 京, suffix: x}", TRANSFORMS },
    { "regex: '[A-Z]{2}[0-9]+'", 0 },
    { "regex: '(a+)+[bd]|\\w*\\d?'", 0 },
    { "regex: {match: '(?s)(.)(.*)(?:x|())', replace: '$2-$1$3'}", TRANSFORMS },
    { "cn_id", 0 },
    { "cn_uscc", 0 },
    { "cn_org", 0 },
    { "cn_mobile", 0 },
    { "cn_phone", 0 },
    { "cn_phone: {area: '0571'}", 0 },
    { "cn_division", 0 },
    { "cn_division: {length: 6, table: divisions}", 0 },
    { "cn_date", 0 },
    { "cn_date: {excel: true}", 0 },
    { "cn_date: {formats: [DD/MM/YYYY, YYMMDD, YYYY年M月D日], century: {pivot: 30}}", 0 },
    { "cn_sex", 0 },
    { "cn_ethnic", 0 },
    { "cn_marital", 0 },
    { "bool", 0 },
    { "cn_money", 0 },
    { "cn_money: {minor: true}", TRANSFORMS },
    { "decimal", 0 },
    { "decimal: {scale: 2}", 0 },
    { "decimal: {scale: 3, rounding: half_even}", 0 },
    { "decimal: {scale: 0, rounding: up}", 0 },
    { "decimal: {minor: 2, rounding: down}", TRANSFORMS },
    { "unit: {power: -18}", TRANSFORMS },
    { "unit: {power: 18, scale: 30, rounding: half_up}", TRANSFORMS },
    { "unit: {from: 亩, to: m2}", TRANSFORMS },
    { "unit: {from: 万亩, to: cm2, scale: 2, rounding: half_even}", TRANSFORMS },
    { "unit: {from: m2, to: 万亩, scale: 6, rounding: up}", TRANSFORMS },
    { "codes: divisions", 0 },
    { "codes: {table: divisions, retired: successor, others: keep}", 0 },
    { "codes: {a: b, b: a}", TRANSFORMS },
    { "enum: {MALE: [男, '1'], FEMALE: 女}", TRANSFORMS },
};
enum { TARGET_COUNT = sizeof targets / sizeof targets[0] };

static struct normaliser_step steps[TARGET_COUNT];

static void load(void)
{
    static const char csv[] = "native,canonical,valid_until,successor\n1,1,,\n2,2,2020,1\n"
                              "3,3,2020,1|2\n4,4,2021,2\n5,5,2000,\n110105,110105,,\n";
    static struct arena arena;
    static struct strmap tables;
    struct err err = ERR_INIT;
    arena_init(&arena);
    strmap_init(&tables);
    struct code_table *table =
        code_table_parse(&arena, "d.csv", "divisions", csv, sizeof csv - 1, &err);
    if (table == NULL)
        abort();
    strmap_set(&tables, "divisions", table);
    const struct normaliser_env env = { .arena = &arena, .code_tables = &tables };
    for (size_t i = 0; i < TARGET_COUNT; i++) {
        struct yaml *yaml = yaml_parse("step.yaml", targets[i].step, strlen(targets[i].step), &err);
        if (yaml == NULL || normaliser_step_read(yaml_root(yaml), &env, &steps[i], &err) != 0) {
            (void)fprintf(stderr, "%s: %s\n", targets[i].step, err.text);
            abort();
        }
        yaml_free(&yaml);
    }
}

static void fill(struct buf *buf, const uint8_t *data, size_t size)
{
    buf_init(buf, NORMALISER_VALUE_BYTES_MAX);
    (void)buf_append(buf, data, size);
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void check_result(struct normaliser_result result, const struct buf *value, bool changed)
{
    switch (result.verdict) {
    case NORMALISER_OK:
        assert(!changed && result.code[0] == '\0');
        break;
    case NORMALISER_CHANGED:
        assert(result.code[0] == '\0');
        break;
    case NORMALISER_WARN:
    case NORMALISER_ERROR:
        assert(result.code[0] != '\0');
        break;
    }
    if (result.verdict != NORMALISER_ERROR)
        assert(utf8_valid(value->data, value->len));
}

/* A delivered value stays what it is, and can be written unless the step says otherwise. */
static void check_canonical(size_t target, const struct buf *canonical)
{
    const struct normaliser_step *step = &steps[target];
    struct buf again;
    if ((targets[target].flags & TRANSFORMS) == 0) {
        fill(&again, canonical->data, canonical->len);
        struct normaliser_result result = normaliser_run(step, &again);
        assert(result.verdict == NORMALISER_OK || result.verdict == NORMALISER_WARN);
        assert(same(&again, canonical));
        buf_fini(&again);
    }
    fill(&again, canonical->data, canonical->len);
    enum normaliser_loss loss = normaliser_loss(step);
    int written = normaliser_write(step, &again);
    if (step->kind == &normaliser_unit && canonical->len > ROUNDED_DIGITS_MAX)
        loss = LOSS_SOME_VALUES;
    assert(loss == LOSS_ONE_WAY ? written != 0 : written == 0 || loss == LOSS_SOME_VALUES);
    if (written == 0) {
        assert(normaliser_run(step, &again).verdict != NORMALISER_ERROR);
        assert(same(&again, canonical));
    }
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (steps[0].kind == NULL)
        load();
    if (size == 0 || size > NORMALISER_VALUE_BYTES_MAX)
        return 0;
    size_t target = data[0] % TARGET_COUNT;
    data++;
    size--;
    bool text = utf8_valid(data, size);
    struct buf value, twin, input;
    fill(&value, data, size);
    fill(&twin, data, size);
    fill(&input, data, size);
    bool settled = steps[target].kind->settled != NULL &&
                   steps[target].kind->settled(steps[target].config, (const char *)data, size);
    struct normaliser_result first = normaliser_run(&steps[target], &value);
    if (settled) {
        assert(first.verdict == NORMALISER_OK && same(&value, &input));
        for (size_t i = 0; i < size; i++)
            assert(data[i] > 0 && data[i] < 0x80);
    }
    struct normaliser_result second = normaliser_run(&steps[target], &twin);
    assert(first.verdict == second.verdict && strcmp(first.code, second.code) == 0);
    /* Text columns are checked before a chain runs; only gb18030 sees other bytes. */
    if (text || steps[target].kind->takes_bytes) {
        assert(first.verdict == NORMALISER_ERROR || same(&value, &twin));
        check_result(first, &value, !same(&value, &input));
        if (first.verdict != NORMALISER_ERROR)
            check_canonical(target, &value);
    }
    if (text) { /* a peer's value, canonical or not: refused and left alone, or written */
        if (normaliser_write(&steps[target], &input) == 0)
            (void)normaliser_run(&steps[target], &input);
        assert(input.len == size && (size == 0 || memcmp(input.data, data, size) == 0));
    }
    buf_fini(&value);
    buf_fini(&twin);
    buf_fini(&input);
    return 0;
}
