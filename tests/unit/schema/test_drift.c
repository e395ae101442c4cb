/* Drift, one kind after the other, in a real PostgreSQL: what the probe closes and what notices say. */
#include "database.h"

#include "schema/drift.h"

static const char yaml[] =
    "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\ntable: t\n"
    "sharing: open\ncolumns: {n: int4, e: enum, a: 'int4[]', d: numeric}\nfields:\n"
    "  id: k\n  text: {from: v, required: true}\n  big: n\n  part: e\n  numbers: a\n  amount: d\n"
    "  addresses:\n    child: {table: 'c 1', join: {tk: k}, order: [seq]}\n"
    "    fields: {street: s}\n";

static void make_tables(void)
{
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET search_path = public; "
            "CREATE TYPE colour AS ENUM ('red', 'green'); CREATE DOMAIN price AS numeric(9, 2); "
            "CREATE TABLE t (k varchar(18) PRIMARY KEY, v varchar(10) NOT NULL, n int, e colour, "
            "a int[], d price, unread text); "
            "CREATE TABLE \"c 1\" (tk text, seq int, s text); SET search_path = ''");
}

static struct schema_catalogue *catalogue_of(const struct schema_dataset *dataset)
{
    struct err err = ERR_INIT;
    struct arena arena;
    arena_init(&arena);
    const struct db_sql *sql = schema_catalogue_sql(dataset, &arena);
    assert_non_null(sql);
    PGresult *rows = ask(sql);
    struct schema_catalogue *catalogue = schema_catalogue_read(as_rows(rows), &err);
    if (catalogue == NULL)
        fail_msg("%s", err.text);
    PQclear(rows);
    arena_fini(&arena);
    return catalogue;
}

static char *drift_text(const struct schema_drift *drift)
{
    struct buf text;
    bool compatible = true;
    buf_init(&text, 10000);
    for (size_t i = 0; i < drift->count; i++) {
        const struct schema_notice *notice = &drift->notices[i];
        compatible = compatible && notice->compatible;
        (void)buf_append_format(&text, "%s%s %s[%s>%s]", notice->compatible ? "" : "!",
                                schema_drift_kind_name(notice->kind), notice->column,
                                notice->expected, notice->found);
    }
    assert_int_equal(drift->compatible, compatible);
    char *copy = mem_strdup(buf_cstr(&text));
    buf_fini(&text);
    return copy;
}

static const struct {
    const char *sql;
    const char *changes; /* from the state before; ! marks what is incompatible */
    const char *checked; /* against the mapping alone */
    bool open;           /* whether the probe still opens the dataset */
} kinds[] = {
    { "SELECT 1", "", "", true },
    { "ALTER TABLE t ADD extra int", "column_added extra[>integer]", "", true },
    { "ALTER TABLE t DROP unread", "column_missing unread[text>]", "", true },
    { "ALTER TABLE t RENAME unread TO other", "column_renamed unread[unread>other]", "", true },
    { "ALTER TABLE t ALTER unread TYPE int USING 1", "type_changed unread[text>integer]", "",
      true },
    { "ALTER TABLE t ALTER v TYPE varchar(20)",
      "type_changed v[character varying(10)>character varying(20)]", "", true },
    { "ALTER TABLE t ALTER v TYPE text", "type_changed v[character varying(10)>text]", "", true },
    { "ALTER TABLE t ALTER v DROP NOT NULL", "now_nullable v[not null>nullable]",
      "now_nullable v[not null>nullable]", true },
    { "ALTER TABLE t ALTER n SET NOT NULL", "now_not_null n[nullable>not null]", "", true },
    { "ALTER TYPE colour ADD VALUE 'blue'", "labels_changed e[red, green>red, green, blue]", "",
      true },
    { "ALTER TYPE colour RENAME VALUE 'red' TO 'rouge'",
      "labels_changed e[red, green>rouge, green]", "", true },
    { "ALTER DOMAIN price SET NOT NULL", "now_not_null d[nullable>not null]", "", true },
    { "ALTER TABLE t ALTER d TYPE numeric(11, 2)", "type_changed d[price>numeric(11,2)]", "",
      true },
    { "ALTER TABLE t DROP v", "!column_missing v[character varying(10)>]",
      "!column_missing v[text>]", false },
    { "ALTER TABLE t RENAME v TO w", "!column_renamed v[v>w]", "!column_missing v[text>]", false },
    { "ALTER TABLE t ALTER n TYPE bigint", "!type_changed n[integer>bigint]",
      "!type_changed n[integer>bigint]", false },
    { "ALTER TABLE t ALTER e TYPE text", "!type_changed e[colour>text]",
      "!type_changed e[enum>text]", false },
    { "ALTER TABLE t ALTER a TYPE text[]", "!type_changed a[integer[]>text[]]",
      "!type_changed a[integer[]>text[]]", false },
    { "ALTER TABLE t ALTER a TYPE int USING 1", "!type_changed a[integer[]>integer]",
      "!type_changed a[integer[]>integer]", false },
    { "ALTER TABLE t ALTER d TYPE float8", "!type_changed d[price>double precision]",
      "!type_changed d[numeric>double precision]", false },
    { "ALTER TABLE t RENAME TO t2", "!table_missing [a table or view>]",
      "!table_missing [a table or view>]", false },
    { "ALTER TABLE \"c 1\" RENAME seq TO nr", "!column_renamed seq[seq>nr]", "", false },
    { "ALTER TABLE \"c 1\" DROP tk", "!column_missing tk[text>]", "", false },
    { "ALTER TABLE \"c 1\" ALTER s TYPE int USING 1", "!type_changed s[text>integer]",
      "!type_changed s[text>integer]", false },
    { "DROP TABLE \"c 1\"", "!table_missing [a table or view>]",
      "!table_missing [a table or view>]", false },
};

static void every_kind_is_found(void **state)
{
    (void)state;
    struct schema_bundle *bundle = one_mapping(yaml);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct err err = ERR_INIT;
        struct schema_drift drift;
        struct arena arena;
        arena_init(&arena);
        make_tables();
        assert_int_equal(probe(dataset, &err), 0);
        struct schema_catalogue *before = catalogue_of(dataset);
        run_sql("SET search_path = public");
        run_sql(kinds[i].sql);
        run_sql("SET search_path = ''");
        struct schema_catalogue *after = catalogue_of(dataset);
        schema_catalogue_compare(dataset, before, after, &arena, &drift);
        /* The type's schema is in its name where no search path shows it. */
        char *text = drift_text(&drift), *at;
        while ((at = strstr(text, "public.")) != NULL)
            memmove(at, at + 7, strlen(at + 7) + 1);
        if (strcmp(text, kinds[i].changes) != 0)
            fail_msg("%s: %s", kinds[i].sql, text);
        free(text);
        schema_catalogue_check(dataset, after, &arena, &drift);
        text = drift_text(&drift);
        if (strcmp(text, kinds[i].checked) != 0)
            fail_msg("%s: %s", kinds[i].sql, text);
        free(text);
        bool open = probe(dataset, &err) == 0;
        if (open != kinds[i].open || (!open && strcmp(err.reason, "SCHEMA_DRIFT") != 0))
            fail_msg("%s: %s", kinds[i].sql, open ? "still open" : err.text);
        schema_catalogue_free(&before);
        schema_catalogue_free(&after);
        arena_fini(&arena);
    }
    schema_bundle_free(&bundle);
}

/* What the catalogue calls fit, the probe opens, and the other way round: for every pair of types. */
static void catalogue_and_probe_agree(void **state)
{
    (void)state;
    static const char *const mapped[] = { "text",   "char",   "int4",   "numeric", "date", "enum",
                                          "text[]", "int4[]", "enum[]", "inet",    "jsonb" };
    static const char *const stored[] = {
        "text",  "varchar(3)", "citizen",      "char(3)", "int",       "age",   "numeric",
        "date",  "colour",     "own_colour",   "text[]",  "citizen[]", "int[]", "age[]",
        "ages",  "colour[]",   "own_colour[]", "inet",    "cidr",      "jsonb", "json",
        "point", "point[]",    "pair",         "name"
    };
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET search_path = public; "
            "CREATE DOMAIN citizen AS varchar(18); CREATE DOMAIN age AS int CHECK (VALUE >= 0); "
            "CREATE DOMAIN ages AS int[]; CREATE TYPE colour AS ENUM ('red'); "
            "CREATE DOMAIN own_colour AS colour; CREATE TYPE pair AS (a int, b int)");
    for (size_t i = 0; i < sizeof stored / sizeof stored[0]; i++) {
        char *sql = mem_format("DROP TABLE IF EXISTS t; CREATE TABLE t (k text, x %s)", stored[i]);
        run_sql(sql);
        free(sql);
        for (size_t j = 0; j < sizeof mapped / sizeof mapped[0]; j++) {
            bool list = strchr(mapped[j], '[') != NULL;
            char *columns = mem_format("{x: '%s'}", mapped[j]);
            struct err err = ERR_INIT;
            struct schema_drift drift;
            struct arena arena;
            struct schema_bundle *bundle =
                everything(columns, list ? "  id: k\n  tags: x\n" : "  id: k\n  text: x\n", &err);
            assert_non_null(bundle);
            const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
            arena_init(&arena);
            struct schema_catalogue *catalogue = catalogue_of(dataset);
            schema_catalogue_check(dataset, catalogue, &arena, &drift);
            /* The key's column is nullable in this table: that is a notice. */
            if (drift.compatible != (probe(dataset, &err) == 0))
                fail_msg("%s as %s: the catalogue says %s", stored[i], mapped[j],
                         drift.compatible ? "yes" : "no");
            schema_catalogue_free(&catalogue);
            arena_fini(&arena);
            schema_bundle_free(&bundle);
            free(columns);
        }
    }
}

static void hostile_catalogues_are_refused(void **state)
{
    (void)state;
    static const struct cell good[] = { { "\"public\".\"t\"", 12 },
                                        { "k", 1 },
                                        { "\0\0\0\1", 4 },
                                        { "text", 4 },
                                        { "\0\0\0\0\0\0\0\x19", 8 },
                                        { "\0\0\0\0\0\0\0\0", 8 },
                                        { "\1", 1 },
                                        { NULL, 0 } };
    static const struct {
        size_t column;
        struct cell cell;
    } bad[] = { { 0, { NULL, 0 } },   { 1, { "\xff", 1 } }, { 2, { "\0\0\0\0", 4 } },
                { 2, { "\0\1", 2 } }, { 3, { NULL, 0 } },   { 4, { NULL, 0 } },
                { 4, { "\1", 1 } },   { 7, { "\xff", 1 } } };
    struct err err = ERR_INIT;
    PGresult *rows = new_rows(good, 8);
    struct schema_catalogue *catalogue = schema_catalogue_read(as_rows(rows), &err);
    assert_non_null(catalogue);
    schema_catalogue_free(&catalogue);
    PQclear(rows);
    rows = new_rows(good, 7);
    assert_null(schema_catalogue_read(as_rows(rows), &err));
    assert_string_equal(err.reason, "SOURCE_MALFORMED");
    PQclear(rows);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cell cells[8];
        memcpy(cells, good, sizeof cells);
        cells[bad[i].column] = bad[i].cell;
        rows = new_rows(cells, 8);
        if (schema_catalogue_read(as_rows(rows), &err) != NULL)
            fail_msg("row %zu is accepted", i);
        PQclear(rows);
    }
}

/* A query's own columns are in its description; the catalogue has those of its children. */
static void a_query_without_children_has_no_catalogue(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct schema_bundle *bundle =
        one_mapping("version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\n"
                    "query: SELECT 1::text AS k\nsharing: open\nfields:\n  id: k\n");
    assert_null(schema_catalogue_sql(schema_bundle_at(bundle, 0), &arena));
    schema_bundle_free(&bundle);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_found),
        cmocka_unit_test(catalogue_and_probe_agree),
        cmocka_unit_test(hostile_catalogues_are_refused),
        cmocka_unit_test(a_query_without_children_has_no_catalogue),
    };
    return cmocka_run_group_tests(tests, database_open, database_close);
}
