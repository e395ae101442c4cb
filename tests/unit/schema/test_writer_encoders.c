/* Every encoder's bytes are those a real PostgreSQL 15 sends for the same text. */
#include "writer_database.h"

#include "schema/writer_value.h"

enum { VALUES = 2000 };

/* --- encoders -----------------------------------------------------------------------------------
 */

struct encoder_case {
    const char *type; /* in a mapping */
    const char *sql;  /* in PostgreSQL */
    const char *texts[20];
};

static const struct encoder_case encoder_cases[] = {
    { "text", "text", { "", "a", "中文 \"'\\", "  blanks  " } },
    { "char", "char(6)", { "a", "中文", "" } },
    { "smallint", "int2", { "0", "-1", "32767", "-32768" } },
    { "integer", "int4", { "0", "-1", "2147483647", "-2147483648" } },
    { "bigint", "int8", { "0", "-1", "9223372036854775807", "-9223372036854775808" } },
    { "boolean", "bool", { "true", "false" } },
    { "real", "float4", { "0", "-0", "1.5", "3.4028235e+38", "1e-45", "0.1" } },
    { "double", "float8", { "0", "-0", "1.5", "1.7976931348623157e+308", "5e-324", "0.1" } },
    { "numeric",
      "numeric",
      { "0", "0.00", "1", "-1", "10", "9999", "10000", "10001.0001", "0.0001", "0.00010",
        "0.000001", "123456789.123456789", "-0.5", "100000000", "1.10", "00012",
        "12345678901234567890", "0.00000000000000000001" } },
    { "date", "date", { "2000-01-01", "1999-12-31", "0001-01-01", "9999-12-31", "2024-02-29" } },
    { "time",
      "time",
      { "00:00:00", "23:59:59.999999", "24:00:00", "12:34:56.5", "01:02:03.000004" } },
    { "timestamp",
      "timestamp",
      { "2000-01-01T00:00:00", "1999-12-31 23:59:59.999999", "0001-01-01T00:00:00",
        "9999-12-31T23:59:59.5" } },
    { "timestamptz",
      "timestamptz",
      { "2000-01-01T00:00:00Z", "2026-11-23T08:00:00.000001+08:00", "1969-12-31T23:59:59-05:30" } },
    { "uuid", "uuid", { "00112233-4455-6677-8899-aabbccddeeff" } },
    { "json", "json", { "{}", "[1, 2.5e3, \"\\u4e2d\", null]", " true " } },
    { "inet",
      "inet",
      { "192.168.1.1", "10.0.0.0/8", "::1", "2001:db8::/32", "fe80::1/64", "0.0.0.0/0" } },
    { "enum", "colours", { "red", "dark blue", "绿" } },
};

static const char *encode(const struct writer_type *type, const char *text, int32_t modifier,
                          struct buf *out)
{
    struct writer_limits limits = { .modifier = modifier };
    buf_reset(out);
    return type->encode(slice_of(text, strlen(text)), &limits, out);
}

static void test_encoders_agree(void **state)
{
    (void)state;
    struct buf out;
    char sql[128];
    buf_init(&out, 1 << 20);
    (void)buf_reserve(&out, 64);
    run_sql("CREATE TYPE colours AS ENUM ('red', 'dark blue', '绿')");
    for (size_t i = 0; i < sizeof encoder_cases / sizeof encoder_cases[0]; i++) {
        const struct encoder_case *c = &encoder_cases[i];
        const struct writer_type *type = writer_type_find(c->type);
        assert_non_null(type);
        (void)snprintf(sql, sizeof sql, "SELECT $1::text::%s", c->sql);
        for (size_t j = 0; c->texts[j] != NULL; j++) {
            const char *problem = encode(type, c->texts[j], WRITER_NO_MODIFIER, &out);
            PGresult *result = must(ask(sql, 1, &c->texts[j]), c->texts[j]);
            size_t len = (size_t)PQgetlength(result, 0, 0);
            if (strcmp(c->type, "char") == 0) /* padding is the server's */
                while (len > 0 && PQgetvalue(result, 0, 0)[len - 1] == ' ')
                    len--;
            if (problem != NULL || len != out.len ||
                memcmp(PQgetvalue(result, 0, 0), out.data, len) != 0)
                fail_msg("%s: %s (%s)", c->type, c->texts[j], problem != NULL ? problem : "bytes");
            PQclear(result);
        }
    }
    run_sql("DROP TYPE colours");
    buf_fini(&out);
}

/* jsonb takes a text and stores its own: what arrives is what a cast would have made. */
static void test_json_checks_agree(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"a\": {\"b\": [1, -2.5E+3]}}",
        "\"\\ud83d\\ude00\"",
        "\"\\u0000\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "[1,]",
        "01",
        "1.",
        "-",
        "+1",
        ".5",
        "1e",
        "tru",
        "nul",
        "\"\t\"",
        "\"\\x\"",
        "",
        "  ",
        "1 2",
        "{\"a\":1}}",
        "[[[[]]]]",
        "{1:2}",
        "\"中\"",
        "1e999999",
        "[\"a\", 1, true, null]",
        "-0",
        "{\"\":\"\"}",
    };
    struct buf out;
    buf_init(&out, 4096);
    (void)buf_reserve(&out, 64);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (int binary = 0; binary < 2; binary++) {
            const char *sql = binary ? "SELECT $1::text::jsonb" : "SELECT $1::text::json";
            const char *problem = encode(writer_type_find(binary ? "jsonb" : "json"), texts[i],
                                         WRITER_NO_MODIFIER, &out);
            PGresult *result = ask(sql, 1, &texts[i]);
            bool taken = PQresultStatus(result) == PGRES_TUPLES_OK;
            if (taken != (problem == NULL))
                fail_msg("%s of %s: we say %s", binary ? "jsonb" : "json", texts[i],
                         problem != NULL ? problem : "fine");
            PQclear(result);
        }
    buf_fini(&out);
}

/* PostgreSQL rounds or refuses: we refuse, and agree wherever we do not. */
static void test_modifiers_agree(void **state)
{
    (void)state;
    static const struct {
        const char *type, *sql;
    } columns[] = {
        { "numeric", "numeric(5,2)" },   { "numeric", "numeric(3,0)" },
        { "numeric", "numeric(2,4)" },   { "numeric", "numeric(3,-2)" },
        { "numeric", "numeric(20,10)" }, { "timestamp", "timestamp(0)" },
        { "timestamp", "timestamp(3)" }, { "time", "time(2)" },
        { "text", "varchar(5)" },        { "char", "char(3)" },
    };
    struct buf out, text;
    uint64_t seed = 20261123;
    buf_init(&out, 4096);
    buf_init(&text, 4096);
    (void)buf_reserve(&out, 64);
    (void)buf_reserve(&text, 64);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        char sql[256];
        int taken = 0, refused = 0;
        run_sql("CREATE TABLE m (x %s)", columns[i].sql);
        PGresult *described = must(ask("SELECT atttypmod FROM pg_attribute WHERE attrelid = "
                                       "'m'::regclass AND attnum = 1",
                                       0, NULL),
                                   "typmod");
        int32_t modifier = db_int4(db_value(as_rows(described), 0, 0));
        PQclear(described);
        const char *base = strcmp(columns[i].type, "char") == 0 ? "text" : columns[i].type;
        (void)snprintf(sql, sizeof sql,
                       "SELECT $1::text::%s, ($1::text::%s)::text = ($1::text::%s)::text OR '%s' = "
                       "'numeric' AND ($1::text::%s)::text::numeric = $1::text::numeric",
                       columns[i].sql, columns[i].sql, base, base,
                       strcmp(base, "numeric") == 0 ? columns[i].sql : "text");
        if (strcmp(base, "numeric") != 0)
            (void)snprintf(sql, sizeof sql,
                           "SELECT $1::text::%s, ($1::text::%s)::text = ($1::text::%s)::text",
                           columns[i].sql, columns[i].sql, base);
        for (size_t n = 0; n < 400; n++) {
            buf_reset(&text);
            if (strcmp(base, "numeric") == 0) {
                if (random_below(&seed, 2) == 0)
                    (void)buf_append_format(&text, "0.00%02u", (unsigned)random_below(&seed, 100));
                else if (random_below(&seed, 2) == 0)
                    (void)buf_append_format(&text, "%u00", (unsigned)random_below(&seed, 2000));
                else
                    random_decimal(&seed, &text);
            } else if (strcmp(base, "time") == 0 || strcmp(base, "timestamp") == 0) {
                (void)buf_append_format(&text, "%s%02u:00:01", base[4] == '\0' ? "" : "2020-01-01T",
                                        (unsigned)random_below(&seed, 24));
                if (random_below(&seed, 2) == 0)
                    (void)buf_append_format(&text, ".%u", (unsigned)random_below(&seed, 30000));
            } else {
                random_words(&seed, &text);
                while (text.len > 0 && text.data[text.len - 1] == ' ')
                    text.len--;
            }
            const char *value = buf_cstr(&text);
            const char *problem = encode(writer_type_find(columns[i].type), value, modifier, &out);
            PGresult *result = ask(sql, 1, &value);
            bool exact = PQresultStatus(result) == PGRES_TUPLES_OK &&
                         db_bool(db_value(as_rows(result), 0, 1));
            size_t len = exact ? (size_t)PQgetlength(result, 0, 0) : 0;
            while (strcmp(columns[i].type, "char") == 0 && len > 0 &&
                   PQgetvalue(result, 0, 0)[len - 1] == ' ')
                len--;
            if (exact != (problem == NULL) ||
                (exact && (len != out.len || memcmp(PQgetvalue(result, 0, 0), out.data, len) != 0)))
                fail_msg("%s: \"%s\": we say %s, the server %s %s", columns[i].sql, value,
                         problem != NULL ? problem : "fine", exact ? "takes it" : "does not",
                         PQresultErrorMessage(result));
            *(exact ? &taken : &refused) += 1;
            PQclear(result);
        }
        if (taken < 10 || refused < 10)
            fail_msg("%s: %d taken, %d refused", columns[i].sql, taken, refused);
        run_sql("DROP TABLE m");
    }
    buf_fini(&out);
    buf_fini(&text);
}

static void test_random_numbers_agree(void **state)
{
    (void)state;
    static const char *const types[] = { "numeric", "date", "timestamptz" };
    uint64_t seed = 7;
    struct buf out, list, texts;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        char sql[256], *copies[VALUES];
        buf_init(&out, 4096);
        buf_init(&texts, 4096);
        buf_init(&list, 1 << 20);
        (void)buf_append_byte(&list, '{');
        for (size_t i = 0; i < VALUES; i++) {
            buf_reset(&texts);
            do {
                buf_reset(&texts);
                if (t == 0)
                    random_decimal(&seed, &texts);
                else if (t == 1)
                    random_date(&seed, &texts);
                else
                    random_timestamp(&seed, &texts);
            } while (t == 2 && texts.len == 30); /* nanoseconds have no native form */
            copies[i] = mem_strdup(buf_cstr(&texts));
            (void)buf_append_format(&list, "%s%s", i > 0 ? "," : "", copies[i]);
        }
        (void)buf_append_byte(&list, '}');
        const char *param = buf_cstr(&list);
        (void)snprintf(sql, sizeof sql,
                       "SELECT x::%s FROM unnest($1::text[]) WITH ORDINALITY AS u(x, n) ORDER BY n",
                       types[t]);
        PGresult *result = must(ask(sql, 1, &param), sql);
        assert_int_equal(PQntuples(result), VALUES);
        for (int i = 0; i < VALUES; i++) {
            const char *problem =
                encode(writer_type_find(types[t]), copies[i], WRITER_NO_MODIFIER, &out);
            if (problem != NULL || PQgetlength(result, i, 0) != (int)out.len ||
                memcmp(PQgetvalue(result, i, 0), out.data, out.len) != 0)
                fail_msg("%s %s %s", types[t], copies[i], problem != NULL ? problem : "bytes");
            free(copies[i]);
        }
        PQclear(result);
        buf_fini(&out);
        buf_fini(&list);
        buf_fini(&texts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoders_agree),
        cmocka_unit_test(test_json_checks_agree),
        cmocka_unit_test(test_modifiers_agree),
        cmocka_unit_test(test_random_numbers_agree),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
