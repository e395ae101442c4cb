/* Filter text from a peer: parsed, and what parses becomes a statement. Run from the top folder
 * with O pointing to a build that has schemas/canonical.pb. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "schema/bundle.h"
#include "schema/filter.h"
#include "schema/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema_bundle *bundle;
static struct schema_plan *plans[16];
static size_t plan_count;

static void load(void)
{
    char path[512];
    struct err err = ERR_INIT;
    uint8_t fields[PLAN_BITMAP_BYTES];
    const char *out = getenv("O");
    (void)snprintf(path, sizeof path, "%s/schemas/canonical.pb", out != NULL ? out : "build");
    bundle = schema_bundle_load("schemas", path, &err);
    if (bundle == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    memset(fields, 0xff, sizeof fields);
    plan_count = schema_bundle_count(bundle) < 16 ? schema_bundle_count(bundle) : 16;
    for (size_t i = 0; i < plan_count; i++)
        plans[i] = schema_plan_new(schema_bundle_at(bundle, i), fields, NULL, &err);
}

/* The first byte chooses the dataset, the second the use: filter, key or place to continue. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (bundle == NULL)
        load();
    if (size < 2)
        return 0;
    size_t index = data[0] % plan_count;
    char *text = mem_strndup((const char *)data + 2, size - 2);
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    if (data[1] % 3 == 0) {
        struct schema_filter *filter =
            schema_filter_parse(schema_bundle_at(bundle, index), text, NULL, &err);
        if (filter == NULL)
            assert(err.code == ERR_INVALID_ARGUMENT && err.text[0] != '\0');
        else if (schema_plan_query(plans[index], filter, NULL, 0, &arena, &sql, &err) == 0)
            assert(sql.param_count <= DB_PARAMS_MAX);
        schema_filter_free(&filter);
    } else if (data[1] % 3 == 1) {
        (void)schema_plan_lookup(plans[index], text, &arena, &sql, &err);
    } else {
        (void)schema_plan_query(plans[index], NULL, text, 0, &arena, &sql, &err);
    }
    arena_fini(&arena);
    free(text);
    return 0;
}
