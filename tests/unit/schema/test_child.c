/* Rows of child tables as repeated fields, read from a real PostgreSQL; and hostile records. */
#include "database.h"

#define MAPPING_HEAD                                                                               \
    "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\ntable: resident\n"  \
    "sharing: open\n"

static const char full[] = MAPPING_HEAD
    "columns: {org: integer}\n"
    "fields:\n"
    "  id: sfzh\n"
    "  text: xm\n"
    "  addresses:\n"
    "    child: {table: '住 址', join: {resident_id: sfzh, org: org}, order: [seq], max: 3,\n"
    "            columns: {wd: float8, bz: 'text[]', qsrq: timestamp}}\n"
    "    fields:\n"
    "      street: {from: jd, required: true, normalise: [trim]}\n"
    "      kind: {from: lx, codes: {户籍: RED, 居住: GREEN}, null_values: ['']}\n"
    "      geo.latitude: wd\n"
    "      notes: bz\n"
    "      since: {from: qsrq, utc_offset: '+08:00'}\n"
    "  tags:\n"
    "    child: {table: label, join: {r: sfzh}, order: [n]}\n"
    "    from: v\n"
    "    normalise: [trim, upper]\n"
    "  numbers:\n"
    "    child: {table: label, join: {r: sfzh}, order: [n], max: 4, columns: {n: smallint}}\n"
    "    from: n\n";

static void make_residents(void)
{
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
            "CREATE TABLE public.resident (sfzh text PRIMARY KEY, xm text, org int); "
            "CREATE TABLE public.\"住 址\" (resident_id text, org int, seq int, jd varchar(40), lx "
            "text, "
            "  wd double precision, bz text[], qsrq timestamp); "
            "CREATE TABLE public.label (r text, n smallint, v text); "
            "INSERT INTO public.resident VALUES ('a', '甲', 1), ('b', '乙', 1), ('c', '丙', NULL); "
            "INSERT INTO public.\"住 址\" VALUES "
            "  ('a', 1, 2, ' s2 ', '居住', NULL, '{x,y}', '2020-01-01 08:00'), "
            "  ('a', 1, 1, 's1', '户籍', 1.5, NULL, NULL), "
            "  ('a', 2, 0, 'of another org', '户籍', 1.5, NULL, NULL); "
            "INSERT INTO public.label VALUES ('a', 3, 'z '), ('a', 1, ' x'), ('a', 1, 'w')");
}

static const char rows_of_all[] =
    "{\"id\":\"a\",\"text\":\"甲\",\"tags\":[\"X\",\"W\",\"Z\"],\"numbers\":[1,1,3],\"addresses\":["
    "{\"street\":\"s1\",\"geo\":{\"latitude\":1.5},\"kind\":\"RED\"},"
    "{\"street\":\"s2\",\"kind\":\"GREEN\",\"notes\":[\"x\",\"y\"],"
    "\"since\":\"2020-01-01T00:00:00Z\"}]}\n"
    "{\"id\":\"b\",\"text\":\"乙\"}\n"
    "{\"id\":\"c\",\"text\":\"丙\"}\n";

static void rows_become_elements_in_order(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    make_residents();
    struct schema_bundle *bundle = one_mapping(full);
    if (probe(schema_bundle_at(bundle, 0), &err) != 0)
        fail_msg("%s", err.text);
    expect_text(query_texts(bundle, NULL), rows_of_all);
    expect_text(query_texts(bundle, "text = 乙"), "{\"id\":\"b\",\"text\":\"乙\"}\n");
    expect_text(lookup_texts(bundle, "b"), "{\"id\":\"b\",\"text\":\"乙\"}\n");
    static const char *const keys[] = { "a", "b", "c" };
    expect_text(batch_texts(bundle, keys, 3), rows_of_all);
    /* Ties in `order` are broken by bytes, however the rows lie in the table. */
    run_sql("DELETE FROM public.label; "
            "INSERT INTO public.label VALUES ('a', 1, 'w'), ('a', 3, 'z '), ('a', 1, ' x')");
    expect_text(query_texts(bundle, NULL), rows_of_all);
    schema_bundle_free(&bundle);
}

static void a_child_s_error_quarantines_the_record(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *text;
        const char *path;
        uint32_t element;
    } table[] = {
        { "UPDATE public.\"住 址\" SET lx = '租' WHERE seq = 2", "! addresses codes CODE_UNKNOWN\n",
          "addresses.kind", 2 },
        { "UPDATE public.\"住 址\" SET jd = NULL WHERE seq = 1",
          "! addresses required REQUIRED_MISSING\n", "addresses.street", 1 },
        { "UPDATE public.\"住 址\" SET wd = 'NaN' WHERE seq = 1",
          "! addresses type NUMBER_NOT_FINITE\n", "addresses.geo.latitude", 1 },
        { "UPDATE public.\"住 址\" SET bz = '{NULL}' WHERE seq = 1",
          "! addresses array ARRAY_NULL_ELEMENT\n", "addresses.notes", 1 },
        { "UPDATE public.label SET v = NULL WHERE n = 3", "! tags child CHILD_NULL_ELEMENT\n",
          "tags", 3 },
        { "INSERT INTO public.\"住 址\" SELECT 'a', 1, n, 's' FROM generate_series(3, 4) AS n",
          "! addresses child CHILD_TOO_MANY\n", "addresses", 0 },
        { "INSERT INTO public.label SELECT 'a', 9, 'v' FROM generate_series(1, 2)",
          "! numbers child CHILD_TOO_MANY\n", "numbers", 0 },
    };
    struct schema_bundle *bundle = one_mapping(full);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        make_residents();
        run_sql(table[i].sql);
        expect_text(lookup_texts(bundle, "a"), table[i].text);
        struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
        struct schema_row_report report;
        struct err err = ERR_INIT;
        struct arena arena;
        struct db_sql sql;
        struct buf out;
        arena_init(&arena);
        buf_init(&out, PLAN_RECORD_BYTES_MAX);
        assert_int_equal(schema_plan_lookup(plan, "a", &arena, &sql, &err), 0);
        PGresult *rows = ask(&sql);
        assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &out, &report, &err), 0);
        assert_string_equal(report.path, table[i].path);
        assert_int_equal(report.element, table[i].element);
        PQclear(rows);
        buf_fini(&out);
        arena_fini(&arena);
        schema_plan_free(&plan);
    }
    schema_bundle_free(&bundle);
}

/* Without a grant for the field, the other table is not touched. */
static void ungranted_children_are_not_read(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    struct arena arena;
    struct db_sql sql;
    struct schema_bundle *bundle = one_mapping(full);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    plan_set_bit(fields, schema_message_field(dataset->type, "text", 4)->position);
    plan_set_bit(fields, schema_message_field(dataset->type, "tags", 4)->position);
    struct schema_plan *plan = schema_plan_new(dataset, fields, NULL, &err);
    arena_init(&arena);
    assert_int_equal(schema_plan_query(plan, NULL, NULL, 0, &arena, &sql, &err), 0);
    assert_null(strstr(sql.text, "住 址"));
    assert_non_null(strstr(sql.text, "\"label\""));
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

static void drift_of_a_child_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *says;
    } table[] = {
        { "ALTER TABLE public.label ALTER n TYPE bigint", "Column \"n\" of d/x is bigint" },
        { "ALTER TABLE public.\"住 址\" ALTER bz TYPE int[] USING NULL",
          "Column \"bz\" of d/x is" },
        { "ALTER TABLE public.\"住 址\" DROP COLUMN jd", "jd" },
        { "ALTER TABLE public.\"住 址\" DROP COLUMN seq", "seq" },
        { "ALTER TABLE public.resident ALTER org TYPE text", "operator does not exist" },
        { "DROP TABLE public.label", "label" },
    };
    struct schema_bundle *bundle = one_mapping(full);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        make_residents();
        run_sql(table[i].sql);
        assert_int_equal(probe(schema_bundle_at(bundle, 0), &err), -1);
        assert_string_equal(err.reason, "SCHEMA_DRIFT");
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
    schema_bundle_free(&bundle);
}

static void wrong_children_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *rest; /* line 8 on */
        const char *says;
    } table[] = {
        { "  addresses: a\n", ":9:14: a repeated field needs an array column" },
        { "  tags: {child: {join: {a: b}, order: [c]}, from: d}\n",
          "\"table\" is missing; add it" },
        { "  tags: {child: {table: t, order: [c]}, from: d}\n", "\"join\" is missing" },
        { "  tags: {child: {table: t, join: {a: b}}, from: d}\n", "\"order\" is missing" },
        { "  tags: {child: {table: t, join: {}, order: [c]}, from: d}\n", "join needs 1 to" },
        { "  tags: {child: {table: t, join: {a: b}, order: []}, from: d}\n", "order needs a list" },
        { "  tags: {child: {table: t, join: {a: b}, order: [c], max: 0}, from: d}\n",
          "the number must be from 1" },
        { "  tags: {child: {table: t, join: {a: b}, order: [c], oder: 1}, from: d}\n",
          "did you mean \"order\"?" },
        { "  tags: {child: {table: t, join: {a: b}, order: [c]}}\n", "\"from\" or \"constant\"" },
        { "  tags: {child: {table: t, join: {a: b}, order: [c]}, fields: {x: y}}\n",
          "tags is no message; write \"from\"" },
        { "  tags: {child: {table: t, join: {a: b}, order: [c]}, from: d, default: x}\n",
          "is no value of tags" },
        /* What only finds and orders the rows may be declared, though its type is not asked for. */
        { "  tags: {child: {table: t, join: {a: b}, order: [c], columns: {c: int4, a: int8, zz: "
          "int4}}, "
          "from: d}\n",
          "no field reads the column \"zz\"" },
        { "  text: {child: {table: t, join: {a: b}, order: [c]}, from: d}\n",
          "text is no repeated field" },
        { "  extra: {child: {table: t, join: {a: b}, order: [c]}, from: d}\n",
          "extra is no repeated field" },
        { "  addresses: {child: {table: t, join: {a: b}, order: [c]}, from: d}\n",
          "unknown key \"from\"" },
        { "  addresses: {child: {table: t, join: {a: b}, order: [c]}}\n",
          "a repeated message needs \"fields\"" },
        { "  addresses: {child: {table: t, join: {a: b}, order: [c]}, fields: {stret: d}}\n",
          "test.v1.Address has no field \"stret\"; did you mean \"street\"?" },
        { "  addresses: {child: {table: t, join: {a: b}, order: [c]}, fields: {street: {constant: "
          "d}}}\n",
          "no field reads a column of the child" },
        { "  addresses: {child: {table: t, join: {a: b}, order: [c]}, fields: {notes: {child: "
          "{table: "
          "u, join: {a: b}, order: [c]}, from: d}}}\n",
          "a child table has no child tables" },
        { "  address: {fields: {street: d}}\n", "fields stand beside a child table" },
        { "  tags: {child: {table: t, join: {a: b}, order: [c]}, from: d}\n  numbers: {from: e}\n",
          "a repeated field needs an array column" },
        { "key: [tags]\n  tags: {child: {table: t, join: {a: b}, order: [c]}, from: d}\n", "" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *yaml = mem_format(MAPPING_HEAD "fields:\n  id: a\n%s", table[i].rest);
        struct file_text file = { "departments/d/x.yaml", yaml };
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
        if (bundle != NULL)
            fail_msg("row %zu is accepted", i);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
        free(yaml);
    }
}

/* --- hostile records ---------------------------------------------------------------------------- */

/* One column of the table, the rows of `label` as (n smallint): header, then what a test says. */
static const char lists[] =
    "\0\0\0\1\0\0\0\0\0\0\x08\xC9\0\0\0\2\0\0\0\1" /* 1 dimension, record, 2 elements */
    "\0\0\0\x0E\0\0\0\1\0\0\0\x15\0\0\0\2\0\7"     /* a record of one int2 */
    "\0\0\0\x0E\0\0\0\1\0\0\0\x15\0\0\0\2\0\x09";
enum { LISTS_BYTES = sizeof lists - 1 };

static int run_child(struct schema_plan *plan, const void *data, size_t len,
                     struct schema_row_report *report)
{
    struct cell cells[] = { CELL("k"), { data, len } };
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, PLAN_RECORD_BYTES_MAX);
    PGresult *rows = new_rows(cells, 2);
    int result = schema_plan_row(plan, as_rows(rows), 0, &out, report, &err);
    if (result != 0)
        assert_string_equal(err.reason, "SOURCE_MALFORMED");
    if (result != 0 || report->state != ROW_DELIVERED)
        assert_int_equal(out.len, 0);
    PQclear(rows);
    buf_fini(&out);
    return result;
}

static void hostile_records_are_refused(void **state)
{
    (void)state;
    struct schema_row_report report;
    struct schema_bundle *bundle =
        one_mapping(MAPPING_HEAD "fields:\n  id: a\n  numbers: {child: {table: t, join: {a: a}, "
                                 "order: [n], max: 2, columns: {n: smallint}}, from: n}\n");
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    assert_int_equal(run_child(plan, lists, LISTS_BYTES, &report), 0);
    assert_int_equal(report.state, ROW_DELIVERED);
    for (size_t len = 0; len < LISTS_BYTES; len++) /* cut anywhere */
        assert_int_equal(run_child(plan, lists, len, &report), -1);
    char copy[LISTS_BYTES + 1];
    memcpy(copy, lists, LISTS_BYTES);
    copy[LISTS_BYTES] = 0;
    assert_int_equal(run_child(plan, copy, LISTS_BYTES + 1, &report),
                     -1); /* bytes behind the end */
    static const struct {
        size_t at;
        unsigned char byte;
    } flips[] = {
        { 3, 2 },     /* two dimensions */
        { 3, 0 },     /* none, yet bytes follow */
        { 0, 0xFF },  /* a negative number of dimensions */
        { 12, 0xFF }, /* a negative number of elements */
        { 15, 100 },  /* more elements than bytes */
        { 20, 0xFF }, /* a record's length is negative */
        { 23, 3 },    /* and too short */
        { 27, 0 },    /* no column */
        { 27, 2 },    /* two columns */
        { 31, 0x14 }, /* bigint in the place of smallint */
        { 35, 1 },    /* a length of one byte */
        { 35, 9 },    /* and one that reaches over the end */
        { 32, 0x80 }, /* a negative one that is not NULL's */
    };
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        memcpy(copy, lists, LISTS_BYTES);
        copy[flips[i].at] = (char)flips[i].byte;
        if (run_child(plan, copy, LISTS_BYTES, &report) != -1)
            fail_msg("flip %zu is accepted", i);
    }
    struct cell null[] = { CELL("k"), NULL_CELL };
    struct outcome outcome;
    run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), null, 2, &outcome);
    assert_int_equal(outcome.result, -1); /* ARRAY(SELECT ...) is never NULL */
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_elements_in_order),
        cmocka_unit_test(a_child_s_error_quarantines_the_record),
        cmocka_unit_test(ungranted_children_are_not_read),
        cmocka_unit_test(drift_of_a_child_is_named),
        cmocka_unit_test(wrong_children_are_refused_with_their_place),
        cmocka_unit_test(hostile_records_are_refused),
    };
    return cmocka_run_group_tests(tests, database_open, database_close);
}
