/* A normaliser step from its YAML, and table vectors: what goes in, what comes out, which code.
 * Ownership: `normaliser_fixture` is the test program's, made by set_up and freed by tear_down.
 * Never calls back.
 * Limits: one fixture a program.
 * Does not know what is right: the tables of the tests say it. */
#ifndef SLUICE_TESTS_NORMALISER_SUPPORT_H
#define SLUICE_TESTS_NORMALISER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strmap.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/normaliser.h"
#include "schema/normaliser_internal.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

struct fixture {
    struct arena arena;
    struct strmap tables;
};

static struct fixture fixture;

static inline void add_table(const char *name, const char *csv)
{
    struct err err = ERR_INIT;
    struct code_table *table =
        code_table_parse(&fixture.arena, "table.csv", name, csv, strlen(csv), &err);
    if (table == NULL)
        fail_msg("%s", err.text);
    strmap_set(&fixture.tables, table->name, table);
}

static inline int set_up(void **state)
{
    (void)state;
    arena_init(&fixture.arena);
    strmap_init(&fixture.tables);
    add_table("divisions", "native,canonical\n110105,朝阳区\n110000,北京市\n");
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    const char *name = NULL;
    void *table = NULL;
    size_t pos = 0;
    while (strmap_next(&fixture.tables, &pos, &name, &table))
        code_table_fini(table);
    strmap_fini(&fixture.tables);
    arena_fini(&fixture.arena);
    return 0;
}

/* A step from its YAML; dispose with drop_step. */
static inline struct normaliser_step read_step(const char *text, struct err *err)
{
    struct normaliser_env env = { .arena = &fixture.arena, .code_tables = &fixture.tables };
    struct normaliser_step step = { 0 };
    struct yaml *yaml = yaml_parse("step.yaml", text, strlen(text), err);
    assert_non_null(yaml);
    if (normaliser_step_read(yaml_root(yaml), &env, &step, err) != 0)
        step.kind = NULL;
    yaml_free(&yaml);
    return step;
}

static inline void drop_step(struct normaliser_step *step)
{
    if (step->kind->dispose != NULL)
        step->kind->dispose(step->config);
}

struct vector {
    const char *step;
    const char *in;
    const char *out;  /* NULL: an error */
    const char *code; /* of the error or warning; NULL: none */
};

static inline void run_vector(size_t index, const struct vector *vector)
{
    struct err err = ERR_INIT;
    struct normaliser_step step = read_step(vector->step, &err);
    if (step.kind == NULL)
        fail_msg("%s: %s", vector->step, err.text);
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    buf_append_str(&value, vector->in);
    bool settled = step.kind->settled != NULL &&
                   step.kind->settled(step.config, vector->in, strlen(vector->in));
    struct normaliser_result result = normaliser_run(&step, &value);
    if (settled && (result.verdict != NORMALISER_OK || vector->code != NULL))
        fail_msg("row %zu %s(%s) is called settled", index, vector->step, vector->in);
    const char *got = buf_cstr(&value);
    const char *code = vector->code == NULL ? "" : vector->code;
    if (vector->out == NULL) {
        if (result.verdict != NORMALISER_ERROR || strcmp(result.code, code) != 0)
            fail_msg("row %zu %s(%s): verdict %d %s %s", index, vector->step, vector->in,
                     (int)result.verdict, result.code, got);
    } else {
        enum normaliser_verdict wanted = vector->code != NULL ? NORMALISER_WARN
                                         : strcmp(vector->in, vector->out) == 0
                                             ? NORMALISER_OK
                                             : NORMALISER_CHANGED;
        if (result.verdict != wanted || strcmp(result.code, code) != 0 ||
            strcmp(got, vector->out) != 0)
            fail_msg("row %zu %s(%s): verdict %d %s %s", index, vector->step, vector->in,
                     (int)result.verdict, result.code, got);
    }
    buf_fini(&value);
    drop_step(&step);
}

#endif
