/* A mapping file: read, compiled and, when it stands, run over a row of hostile bytes. Run from the
 * top folder. The input is the file's `fields` and what follows, then a NUL, then a row's bytes. */
#include <assert.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/mapping.h"
#include "schema/plan.h"

enum { COLUMNS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses a token's text when a long quoted key is followed by a syntax error: once
 * per refused file, in a process that ends because of it. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

static struct schema_set *types;
static struct strmap no_tables;

static void load(void)
{
    struct err err = ERR_INIT;
    struct buf content;
    buf_init(&content, SCHEMA_SET_BYTES_MAX);
    int result = yaml_read_file("tests/golden/schema/everything.pb", &content, &err);
    types = result == 0 ? schema_set_load(content.data, content.len, &err) : NULL;
    if (types == NULL)
        abort();
    buf_fini(&content);
    strmap_init(&no_tables);
}

/* Each column takes a length byte and that many bytes; 0xff is SQL NULL. */
static void run_row(const struct schema_mapping *mapping, const uint8_t *data, size_t size)
{
    PGresAttDesc columns[COLUMNS_MAX];
    struct err err = ERR_INIT;
    uint8_t fields[PLAN_BITMAP_BYTES];
    struct schema_row_report report;
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    struct slice person;
    if (mapping->column_count > COLUMNS_MAX)
        return;
    memset(columns, 0, sizeof columns);
    for (size_t i = 0; i < mapping->column_count; i++)
        columns[i].name = (char *)"c";
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    (void)PQsetResultAttrs(result, (int)mapping->column_count, columns);
    for (size_t i = 0; i < mapping->column_count; i++) {
        size_t len = size > 0 ? data[0] : 0xff;
        bool null = len == 0xff;
        data += size > 0;
        size -= size > 0;
        len = null ? 0 : len < size ? len : size;
        (void)PQsetvalue(result, 0, (int)i, (char *)(uintptr_t)data, null ? -1 : (int)len);
        data += len;
        size -= len;
    }
    memset(fields, 0xff, sizeof fields);
    struct schema_plan *plan = schema_plan_new(&mapping->dataset, fields, NULL, &err);
    struct buf out;
    buf_init(&out, PLAN_RECORD_BYTES_MAX);
    const struct db_rows *rows = (const struct db_rows *)(const void *)result;
    if (schema_plan_row(plan, rows, 0, &out, &report, &err) == 0 && report.state == ROW_QUARANTINED)
        assert(out.len == 0 && report.code[0] != '\0');
    (void)schema_plan_persons(plan, out.data, out.len, &person, 1);
    if (schema_plan_row_key(plan, rows, 0, key)) {
        struct arena arena;
        struct db_sql sql;
        arena_init(&arena);
        (void)schema_plan_lookup(plan, key, &arena, &sql, &err);
        arena_fini(&arena);
    }
    buf_fini(&out);
    schema_plan_free(&plan);
    PQclear(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "version: 1\ntitle: {en: E, zh: E}\ntype: test.v1.Everything\n"
                               "source: s\ntable: t\nsharing: open\n";
    if (types == NULL)
        load();
    const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t len = end == NULL ? size : (size_t)(end - data);
    struct buf text;
    struct err err = ERR_INIT;
    buf_init(&text, YAML_BYTES_MAX);
    (void)buf_append_str(&text, head);
    (void)buf_append(&text, data, len);
    struct yaml *yaml = yaml_parse("fuzz.yaml", (const char *)text.data, text.len, &err);
    buf_fini(&text);
    if (yaml == NULL)
        return 0;
    struct arena arena;
    arena_init(&arena);
    struct mapping_context context = {
        .env = { .arena = &arena, .code_tables = &no_tables },
        .types = types,
        .department = "d",
        .dataset = "x",
    };
    struct schema_mapping *mapping = mapping_read(yaml_root(yaml), &context, &err);
    if (mapping != NULL) {
        if (end != NULL)
            run_row(mapping, end + 1, size - len - 1);
        mapping_fini(mapping);
    } else {
        assert(strncmp(err.text, "fuzz.yaml:", 10) == 0);
    }
    yaml_free(&yaml);
    arena_fini(&arena);
    return 0;
}
