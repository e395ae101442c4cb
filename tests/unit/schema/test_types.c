/* Every PostgreSQL type a mapping reads, with values a real PostgreSQL has made; and bytes it would not
 * make. */
#include "database.h"

struct type_case {
    const char *type;  /* in the mapping */
    const char *sql;   /* in the table */
    const char *value; /* an SQL expression */
    const char *field;
    const char *answer; /* "field":value of the record, "" for an absent one; else !code */
};

static const struct type_case cases[] = {
    { "text", "text", "'中a'", "text", "\"text\":\"中a\"" },
    { "text", "varchar(9)", "'b'", "text", "\"text\":\"b\"" },
    { "varchar(9)", "varchar(9)", "'b'", "text", "\"text\":\"b\"" },
    { "name", "name", "'c'", "text", "\"text\":\"c\"" },
    { "text", "text", "repeat('x', 70000)", "text: {from: x, normalise: [trim]}",
      "!VALUE_TOO_LONG" },
    { "char", "char(5)", "'ab'", "text", "\"text\":\"ab\"" },
    { "character(5)", "bpchar", "'ab '", "text", "\"text\":\"ab\"" },
    { "text", "citizen", "'d'", "text", "\"text\":\"d\"" },           /* a domain over varchar */
    { "integer", "age", "42", "small", "\"small\":42" },              /* a domain over int4 */
    { "numeric", "price", "1.50", "amount", "\"amount\":\"1.50\"" },  /* over numeric */
    { "int4[]", "ages", "'{1,2}'", "numbers", "\"numbers\":[1,2]" },  /* over an array */
    { "int4[]", "age[]", "'{1,2}'", "numbers", "\"numbers\":[1,2]" }, /* an array of domains */
    { "text[]", "citizen[]", "'{a,b}'", "tags", "\"tags\":[\"a\",\"b\"]" },
    { "enum", "colour", "'rot'", "text", "\"text\":\"rot\"" },
    { "enum", "colour", "'grün \"x'", "text", "\"text\":\"grün \\\"x\"" },
    { "enum", "colour", "'RED'", "colour", "\"colour\":\"RED\"" },
    { "enum", "colour", "'rot'", "colour", "!ENUM_UNKNOWN" },
    { "enum", "colour", "'rot'", "colour: {from: x, codes: {rot: RED}}", "\"colour\":\"RED\"" },
    { "enum", "own_colour", "'RED'", "colour", "\"colour\":\"RED\"" }, /* a domain over an enum */
    { "enum[]", "colour[]", "'{RED,rot}'", "tags", "\"tags\":[\"RED\",\"rot\"]" },
    { "enum[]", "colour[]", "'{RED}'", "colours", "\"colours\":[\"RED\"]" },

    { "smallint", "smallint", "-32768", "small", "\"small\":-32768" },
    { "int4", "int", "-2147483648", "small", "\"small\":-2147483648" },
    { "int8", "bigint", "9223372036854775807", "big", "\"big\":\"9223372036854775807\"" },
    { "int8", "bigint", "-9223372036854775808", "text", "\"text\":\"-9223372036854775808\"" },
    { "int8", "bigint", "4294967296", "count", "!INTEGER_RANGE" },
    { "int8", "bigint", "-1", "natural", "!INTEGER_RANGE" },
    { "int8", "bigint", "-1", "zigzag", "\"zigzag\":\"-1\"" },
    { "int8", "bigint", "-1", "wide", "\"wide\":\"-1\"" },
    { "int4", "int", "-1", "fixed", "!INTEGER_RANGE" },
    { "int2", "int2", "0", "small", "" },
    { "int4", "int", "2", "colour", "\"colour\":\"GREEN\"" },
    { "int4", "int", "9", "colour", "!ENUM_UNKNOWN" },
    { "int2[]", "int2[]", "'{1,-2}'", "numbers", "\"numbers\":[1,-2]" },
    { "int8[]", "int8[]", "'{9999999999}'", "numbers", "!INTEGER_RANGE" },
    { "int4[]", "int4[]", "'{{1,2},{3,4}}'", "numbers", "!ARRAY_DIMENSIONS" },
    { "int4[]", "int4[]", "'{1,NULL}'", "numbers", "!ARRAY_NULL_ELEMENT" },
    { "int4[]", "int4[]", "'{}'", "numbers", "" },
    { "int4[]", "int4[]", "'[5:6]={1,2}'::int4[]", "numbers", "\"numbers\":[1,2]" },
    { "int4[]", "int4[]", "array_fill(7, ARRAY[65536])", "numbers", "!RECORD_ELEMENTS" },
    { "int4[]", "int4[]", "array_fill(7, ARRAY[70000])", "numbers", "!ARRAY_TOO_LONG" },

    { "numeric", "numeric", "'-0.00010'", "amount", "\"amount\":\"-0.00010\"" },
    { "numeric", "numeric", "'12345678901234567890.123456789'", "amount",
      "\"amount\":\"12345678901234567890.123456789\"" },
    { "numeric", "numeric(9,3)", "'7'", "amount", "\"amount\":\"7.000\"" },
    { "numeric(9, 3)", "numeric(9,3)", "'0'", "amount", "\"amount\":\"0.000\"" },
    { "numeric", "numeric", "'100000000'", "amount", "\"amount\":\"100000000\"" },
    { "numeric", "numeric", "'7'", "big", "\"big\":\"7\"" },
    { "numeric", "numeric", "'7.0'", "big", "!INTEGER_SYNTAX" },
    { "numeric", "numeric", "'1e-40'", "amount",
      "\"amount\":\"0.0000000000000000000000000000000000000001\"" },
    { "numeric", "numeric", "'NaN'", "amount", "!NUMBER_NOT_FINITE" },
    { "numeric", "numeric", "'Infinity'", "amount", "!NUMBER_NOT_FINITE" },
    { "numeric", "numeric", "'-Infinity'", "amount", "!NUMBER_NOT_FINITE" },
    { "numeric", "numeric", "repeat('9', 20000)::numeric", "amount", "!VALUE_TOO_LONG" },
    { "numeric[]", "numeric[]", "'{1.0,2}'", "tags", "\"tags\":[\"1.0\",\"2\"]" },
    { "float4", "real", "'0.1'", "text", "\"text\":\"0.1\"" },
    { "float4", "real", "'3.4028235e38'", "narrow", "\"narrow\":3.4028235e+38" },
    { "float8", "float8", "'0.1'", "real", "\"real\":0.1" },
    { "float8", "float8", "'-0'", "text", "\"text\":\"-0\"" },
    { "float8", "float8", "'5e-324'", "text", "\"text\":\"4.94065645841247e-324\"" },
    { "float8", "float8", "'NaN'", "real", "!NUMBER_NOT_FINITE" },
    { "float4", "real", "'-inf'", "text", "!NUMBER_NOT_FINITE" },
    { "float8", "float8", "1e300", "narrow", "!NUMBER_RANGE" },
    { "float8[]", "float8[]", "'{0.5,NaN}'", "tags", "!NUMBER_NOT_FINITE" },
    { "bool", "boolean", "true", "flag", "\"flag\":true" },
    { "bool", "boolean", "false", "text", "\"text\":\"false\"" },
    { "bool[]", "boolean[]", "'{t,f}'", "tags", "\"tags\":[\"true\",\"false\"]" },

    { "bytea", "bytea", "'\\x00ff'", "blob", "\"blob\":\"AP8=\"" },
    { "bytea[]", "bytea[]", "ARRAY['\\x00'::bytea, '']", "blobs", "\"blobs\":[\"AA==\",\"\"]" },
    { "uuid", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "text",
      "\"text\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"" },
    { "uuid[]", "uuid[]", "'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'", "tags",
      "\"tags\":[\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"]" },
    { "json", "json", "'{\"a\" : 1}'", "text", "\"text\":\"{\\\"a\\\" : 1}\"" },
    { "jsonb", "jsonb", "'{\"a\" :1}'", "text", "\"text\":\"{\\\"a\\\": 1}\"" },
    { "jsonb", "jsonb", "'{\"a\" :1.50}'", "extra", "\"extra\":{\"a\":\"1.50\"}" },
    { "jsonb[]", "jsonb[]", "ARRAY['[]'::jsonb]", "tags", "\"tags\":[\"[]\"]" },

    { "date", "date", "'2024-02-29'", "day", "\"day\":\"2024-02-29\"" },
    { "date", "date", "'0001-01-01'", "day", "\"day\":\"0001-01-01\"" },
    { "date", "date", "'9999-12-31'", "day", "\"day\":\"9999-12-31\"" },
    { "date", "date", "'0001-12-31 BC'", "day", "!DATE_RANGE" },
    { "date", "date", "'10000-01-01'", "day", "!DATE_RANGE" },
    { "date", "date", "'infinity'", "day", "!DATE_INFINITE" },
    { "date", "date", "'-infinity'", "day", "!DATE_INFINITE" },
    { "date", "date", "'2024-02-29'", "day: {from: x, normalise: [cn_date]}",
      "\"day\":\"2024-02-29\"" },
    { "date[]", "date[]", "'{2024-02-29,infinity}'", "tags", "!DATE_INFINITE" },
    { "time", "time", "'08:05:00'", "text", "\"text\":\"08:05:00\"" },
    { "time", "time", "'23:59:59.999999'", "text", "\"text\":\"23:59:59.999999\"" },
    { "time", "time", "'00:00:00.000100'", "text", "\"text\":\"00:00:00.000100\"" },
    { "time", "time", "'24:00:00'", "text", "!TIME_END_OF_DAY" },
    { "timetz", "timetz", "'08:05:00+08'", "text", "\"text\":\"08:05:00+08:00\"" },
    { "timetz", "timetz", "'08:05:00-03:30'", "text", "\"text\":\"08:05:00-03:30\"" },
    { "timetz", "timetz", "'08:05:00+00'", "text", "\"text\":\"08:05:00+00:00\"" },
    { "timetz", "timetz", "'24:00:00+08'", "text", "!TIME_END_OF_DAY" },
    { "timetz", "timetz", "'08:05:00+08:05:43'", "text", "!TIME_ZONE_SECONDS" },
    { "time[]", "time[]", "'{01:02:03}'", "tags", "\"tags\":[\"01:02:03\"]" },
    { "timestamptz", "timestamptz", "'2024-02-29 08:00:00.5+08'", "at",
      "\"at\":\"2024-02-29T00:00:00.500Z\"" },
    { "timestamptz", "timestamptz", "'2024-02-29 08:00:00.5+08'", "text",
      "\"text\":\"2024-02-29T00:00:00.500000Z\"" },
    { "timestamp", "timestamp", "'2024-02-29 08:00:00'", "text",
      "\"text\":\"2024-02-29T08:00:00\"" },
    { "timestamp", "timestamp", "'2024-02-29 08:00:00'", "at: {from: x, utc_offset: '+08:00'}",
      "\"at\":\"2024-02-29T00:00:00Z\"" },
    { "timestamp", "timestamp", "'0001-01-01 00:00:00'", "at: {from: x, utc_offset: '+08:00'}",
      "!TIMESTAMP_RANGE" },
    { "timestamptz", "timestamptz", "'infinity'", "at", "!TIMESTAMP_INFINITE" },
    { "timestamptz", "timestamptz", "'-infinity'", "text", "!TIMESTAMP_INFINITE" },
    { "timestamptz", "timestamptz", "'0044-03-15 00:00:00+00 BC'", "at", "!TIMESTAMP_RANGE" },
    { "timestamptz", "timestamptz", "'294276-01-01 00:00:00+00'", "text", "!TIMESTAMP_RANGE" },
    { "timestamptz[]", "timestamptz[]", "'{2024-02-29 00:00:00.25+00}'", "times",
      "\"times\":[\"2024-02-29T00:00:00.250Z\"]" },
    { "interval", "interval", "'1 year 2 months 3 days 04:05:06.7'", "text",
      "\"text\":\"P1Y2M3DT4H5M6.7S\"" },
    { "interval", "interval", "'0'", "text", "\"text\":\"PT0S\"" },
    { "interval", "interval", "'14 months'", "text", "\"text\":\"P1Y2M\"" },
    { "interval", "interval", "'36 hours'", "text", "\"text\":\"PT36H\"" },
    { "interval", "interval", "'-1 day -00:00:00.000001'", "text", "\"text\":\"-P1DT0.000001S\"" },
    { "interval", "interval", "'1 month -1 day'", "text", "!INTERVAL_SIGN" },
    { "interval", "interval", "'178000000 years'", "text", "\"text\":\"P178000000Y\"" },
    { "interval[]", "interval[]", "'{1 day,1 hour}'", "tags", "\"tags\":[\"P1D\",\"PT1H\"]" },

    { "inet", "inet", "'192.168.0.1'", "text", "\"text\":\"192.168.0.1\"" },
    { "inet", "inet", "'192.168.0.1/24'", "text", "\"text\":\"192.168.0.1/24\"" },
    { "inet", "inet", "'2001:DB8::1'", "text", "\"text\":\"2001:db8::1\"" },
    { "inet", "inet", "'::ffff:1.2.3.4'", "text", "\"text\":\"::ffff:1.2.3.4\"" },
    { "inet", "inet", "'::/0'", "text", "\"text\":\"::/0\"" },
    { "cidr", "cidr", "'10/8'", "text", "\"text\":\"10.0.0.0/8\"" },
    { "cidr", "cidr", "'1.2.3.4'", "text", "\"text\":\"1.2.3.4/32\"" },
    { "inet[]", "inet[]", "'{1.2.3.4,::1}'", "tags", "\"tags\":[\"1.2.3.4\",\"::1\"]" },
    { "cidr[]", "cidr[]", "'{10/8}'", "tags", "\"tags\":[\"10.0.0.0/8\"]" },
};
enum { CASE_COUNT = sizeof cases / sizeof cases[0] };

static void make_types(void)
{
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET search_path = public; "
            "CREATE DOMAIN citizen AS varchar(18); CREATE DOMAIN age AS int CHECK (VALUE >= 0); "
            "CREATE DOMAIN price AS numeric(10, 2); CREATE DOMAIN ages AS int[]; "
            "CREATE TYPE colour AS ENUM ('rot', 'grün \"x', 'RED'); CREATE DOMAIN own_colour AS "
            "colour; "
            "CREATE TYPE pair AS (a int, b int)");
}

static struct schema_bundle *case_mapping(const struct type_case *c)
{
    bool short_form = strchr(c->field, ':') == NULL;
    char *yaml =
        mem_format("version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\n"
                   "table: t\nsharing: open\ncolumns: {x: '%s'}\nfields:\n  id: i\n  %s%s\n",
                   c->type, c->field, short_form ? ": x" : "");
    struct schema_bundle *bundle = one_mapping(yaml);
    free(yaml);
    return bundle;
}

static void make_table(const char *type, const char *value)
{
    char *sql = mem_format("DROP TABLE IF EXISTS t; CREATE TABLE t (i text PRIMARY KEY, x %s); "
                           "INSERT INTO t VALUES ('k', %s)",
                           type, value);
    run_sql(sql);
    free(sql);
}

static void every_type_has_its_text(void **state)
{
    (void)state;
    make_types();
    for (size_t i = 0; i < CASE_COUNT; i++) {
        const struct type_case *c = &cases[i];
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = case_mapping(c);
        make_table(c->sql, c->value);
        if (probe(schema_bundle_at(bundle, 0), &err) != 0)
            fail_msg("%s %s: %s", c->sql, c->value, err.text);
        char *text = query_texts(bundle, NULL);
        char *wanted = c->answer[0] == '!' ? mem_format(" %s\n", c->answer + 1)
                                           : mem_format("{\"id\":\"k\"%s%s}\n",
                                                        c->answer[0] != '\0' ? "," : "", c->answer);
        bool fine = c->answer[0] == '!' ? text[0] == '!' && strstr(text, wanted) != NULL
                                        : strcmp(text, wanted) == 0;
        if (!fine)
            fail_msg("%s %s: %.200s", c->sql, c->value, text);
        free(text);
        free(wanted);
        run_sql("UPDATE t SET x = NULL");
        expect_text(query_texts(bundle, NULL), "{\"id\":\"k\"}\n");
        schema_bundle_free(&bundle);
    }
}

/* Cut, lengthened and twisted: each answer is a record, a quarantine or SOURCE_MALFORMED, and a cut
 * value of a fixed width is never a record. */
static void twisted_values_are_never_taken(void **state)
{
    (void)state;
    make_types();
    for (size_t i = 0; i < CASE_COUNT; i++) {
        const struct type_case *c = &cases[i];
        struct schema_bundle *bundle = case_mapping(c);
        make_table(c->sql, c->value);
        PGresult *real = PQexecParams(conn, "SELECT x FROM t", 0, NULL, NULL, NULL, NULL, 1);
        size_t len = (size_t)PQgetlength(real, 0, 0);
        char *copy = mem_zero(len + 2);
        memcpy(copy, PQgetvalue(real, 0, 0), len);
        bool flexible =
            strstr("text varchar(9) name char character(5) enum bytea json jsonb", c->type) != NULL;
        struct outcome outcome;
        for (size_t cut = 0; cut <= len + 1 && len < 100; cut++) {
            struct cell cells[] = { CELL("k"), { copy, cut } };
            run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 2, &outcome);
            if (cut != len && !flexible && outcome.result == 0 &&
                outcome.report.state == ROW_DELIVERED && c->answer[0] != '\0')
                fail_msg("%s %s cut to %zu of %zu: %s", c->sql, c->value, cut, len, outcome.json);
        }
        for (size_t at = 0; at < len && len < 100; at++)
            for (int bit = 0; bit < 8; bit++) {
                struct cell cells[] = { CELL("k"), { copy, len } };
                copy[at] = (char)(copy[at] ^ 1 << bit);
                run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 2,
                        &outcome);
                copy[at] = (char)(copy[at] ^ 1 << bit);
            }
        free(copy);
        PQclear(real);
        schema_bundle_free(&bundle);
    }
}

static void other_types_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *type; /* in the mapping */
        const char *sql;
        const char *says;
    } table[] = {
        { "text", "money", "is money (type 790)" },
        { "text", "xml", "is xml" },
        { "text", "point", "is point" },
        { "text", "bit(3)", "is bit" },
        { "text", "int4range", "is int4range" },
        { "text", "tsvector", "is tsvector" },
        { "text", "macaddr", "is macaddr" },
        { "text", "\"char\"", "is \"char\"" },
        { "text", "oid", "is oid" },
        { "text", "pair", "is a type made in this database" },
        { "text", "colour", "is a type made in this database" },
        { "text", "text[]", "is text[] (type 1009), but its mapping was written for text" },
        { "int4", "age[]", "is a type made in this database" },
        { "text[]", "text", "" }, /* array_append is asked and is not there */
        { "text[]", "int[]", "is integer[]" },
        { "int4[]", "citizen[]", "is text" },
        { "text[]", "point[]", "is another type" },
        { "enum", "text", "enum_range" },
        { "enum", "pair", "" }, /* enum_range */
        { "enum", "age", "enum_range" },
        { "enum[]", "age[]", "" },
        { "enum[]", "text[]", "" },
        { "int4", "bigint", "is bigint (type 20), but its mapping was written for integer" },
        { "json", "jsonb", "is jsonb" },
        { "inet", "cidr", "is cidr" },
        { "timestamp", "timestamptz", "is timestamptz" },
        { "timetz", "time", "is time " },
        { "date", "timestamp", "is timestamp" },
        { "numeric", "float8", "is double" },
    };
    make_types();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        bool array = strstr(table[i].type, "[]") != NULL;
        struct type_case c = { .type = table[i].type, .field = array ? "tags" : "text" };
        struct schema_bundle *bundle = case_mapping(&c);
        make_table(table[i].sql, "NULL");
        if (probe(schema_bundle_at(bundle, 0), &err) == 0)
            fail_msg("%s is taken for %s", table[i].sql, table[i].type);
        assert_string_equal(err.reason, "SCHEMA_DRIFT");
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
        schema_bundle_free(&bundle);
    }
}

static void unknown_types_are_refused_at_load(void **state)
{
    (void)state;
    static const char *const names[] = { "money",    "xml",       "point",      "text[][]",
                                         "numeric(", "numeric)(", "numeric(x)", "int4range",
                                         "[]",       "" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct err err = ERR_INIT;
        char *columns = mem_format("{x: '%s'}", names[i]);
        assert_null(everything(columns, "  id: i\n  text: x\n", &err));
        char *says = mem_format(":7:14: \"%s\" is no column type we read", names[i]);
        if (strstr(err.text, says) == NULL)
            fail_msg("%s: %s", names[i], err.text);
        free(says);
        free(columns);
    }
}

/* What changes between a connection's check and a statement is seen in the statement's own result. */
static void a_result_of_other_types_is_drift(void **state)
{
    (void)state;
    struct type_case c = { .type = "int4", .field = "small" };
    make_types();
    make_table("real", "1.5");
    struct schema_bundle *bundle = case_mapping(&c);
    expect_text(query_texts(bundle, NULL), "!! SCHEMA_DRIFT\n");
    schema_bundle_free(&bundle);
}

/* --- filters ------------------------------------------------------------------------------------ */

static void filters_find_what_the_records_say(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *sql;
        const char *values; /* of rows k1, k2 ... */
        const char *field;
        const char *filter;
        const char *keys; /* the last characters of the keys found */
    } table[] = {
        { "date", "date", "('2024-02-28'), ('2024-02-29'), (NULL)", "day", "day = 2024-02-29",
          "2" },
        { "date", "date", "('2024-02-28'), ('2024-02-29'), (NULL)", "day", "day > 2024-02-28",
          "2" },
        { "date", "date", "('2024-02-28'), ('2024-02-29'), (NULL)", "day", "day != 2024-02-29",
          "13" },
        { "date", "date", "('2024-02-28'), ('2024-02-29')", "day: {from: x, normalise: [cn_date]}",
          "day >= 2024-02-29", "2" },
        { "date", "date", "('2024-02-28')", "day", "day = 2024-02-30", "" },
        { "time", "time", "('08:00'), ('08:00:00.5'), ('09:00')", "text",
          "text <= '08:00:00.500000'", "12" },
        { "time", "time", "('08:00'), ('09:00')", "text", "text = 8", "" },
        { "enum", "colour", "('rot'), ('RED'), (NULL)", "text", "text = rot", "1" },
        { "enum", "colour", "('rot'), ('RED'), (NULL)", "text", "text = blau", "" },
        { "enum", "colour", "('rot'), ('RED')", "text", "text < a", "2" },
        { "enum", "colour", "('rot'), ('RED'), (NULL)",
          "colour: {from: x, codes: {rot: GREEN, RED: RED}}",
          "colour = GREEN OR colour = COLOUR_UNSPECIFIED", "13" },
        { "enum", "colour", "('rot'), ('RED')", "text: {from: x, null_values: [rot]}", "text:*",
          "2" },
        { "inet", "inet", "('1.2.3.4'), ('1.2.3.4/24')", "text", "text = '1.2.3.4'", "1" },
        { "inet", "inet", "('1.2.3.4'), ('2001:db8::1')", "text", "text = '2001:DB8::1'", "" },
        { "cidr", "cidr", "('10/8')", "text", "text = '10.0.0.0/8'", "1" },
        { "cidr", "cidr", "('10/8')", "text", "text = '10.0.0.1/8'", "" },
        { "numeric", "numeric", "(7), (8), (-9)", "big", "big >= 8", "2" },
        { "float4", "real", "(0.1), (0.2)", "narrow", "narrow = 0.1", "1" },
        { "float8", "float8", "(0), (0.2)", "real", "real = 1e-400", "1" },
        { "int4[]", "int4[]", "('{1,2}'), ('{3}')", "numbers", "numbers:2", "1" },
        { "int2[]", "int2[]", "('{1,2}'), ('{3}')", "numbers", "numbers:99999", "" },
        { "enum[]", "colour[]", "('{rot,RED}'), ('{rot}')", "tags", "tags:RED", "1" },
        { "enum[]", "colour[]", "('{rot,RED}'), ('{}')", "tags", "tags:*", "1" },
        { "date[]", "date[]", "('{2024-02-29}'), ('{}')", "tags", "tags:'2024-02-29'", "1" },
        { "uuid[]", "uuid[]", "('{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}')", "tags", "tags:x", "" },
        { "text", "text", "('a'), (NULL)", "text: {coalesce: [x, i]}", "text = k2", "2" },
        { "text", "text", "('a'), (NULL)", "text: {coalesce: [x, i]}", "text > b", "2" },
        { "text", "text", "('a'), (NULL)", "text: {coalesce: [x, i]}", "text:'a'", "1" },
    };
    make_types();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct type_case c = { .type = table[i].type, .field = table[i].field };
        struct schema_bundle *bundle = case_mapping(&c);
        char *sql = mem_format("DROP TABLE IF EXISTS t; CREATE TABLE t (n serial, x %s, i text "
                               "GENERATED ALWAYS AS ('k' "
                               "|| n) STORED); INSERT INTO t (x) VALUES %s",
                               table[i].sql, table[i].values);
        run_sql(sql);
        char *text = query_texts(bundle, table[i].filter), keys[16] = "";
        for (char *at = strstr(text, "\"id\":\"k"); at != NULL; at = strstr(at + 1, "\"id\":\"k"))
            (void)snprintf(keys + strlen(keys), 3, "%c", at[7]);
        if (strcmp(keys, table[i].keys) != 0 || strchr(text, '!') != NULL)
            fail_msg("row %zu: %s: %s", i, table[i].filter, text);
        free(text);
        free(sql);
        schema_bundle_free(&bundle);
    }
}

static void inexact_filters_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *field;
        const char *filter;
        const char *reason;
    } table[] = {
        { "numeric", "amount", "amount = 1.5", "FILTER_FIELD" }, /* 1.5 and 1.50 are two texts */
        { "float4", "real", "real = 0.5", "FILTER_FIELD" },
        { "timetz", "text", "text = '08:00:00+00:00'", "FILTER_FIELD" },
        { "interval", "text", "text = P1D", "FILTER_FIELD" },
        { "timestamptz", "text", "text = x", "FILTER_FIELD" },
        { "inet", "text", "text > '1.2.3.4'", "FILTER_TYPE" },
        { "timestamptz", "at: {from: x, null_values: ['2000-01-01T00:00:00Z']}",
          "at > 2000-01-01T00:00:00Z", "FILTER_FIELD" },
        { "text", "text: {from: x, on_error: absent}", "text = a", "FILTER_FIELD" },
        { "text", "text: {coalesce: [x, i], null_values: ['-']}", "text = a", "FILTER_FIELD" },
        { "int4[]", "numbers", "numbers:x", "FILTER_TYPE" },
        { "int4[]", "numbers", "numbers = 1", "FILTER_TYPE" },
        { "enum", "text", "text:'r'", "FILTER_TYPE" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        struct type_case c = { .type = table[i].type, .field = table[i].field };
        struct schema_bundle *bundle = case_mapping(&c);
        struct schema_filter *filter =
            schema_filter_parse(schema_bundle_at(bundle, 0), table[i].filter, NULL, &err);
        if (filter != NULL || strcmp(err.reason, table[i].reason) != 0)
            fail_msg("row %zu: %s", i, filter != NULL ? "accepted" : err.text);
        schema_bundle_free(&bundle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_text),
        cmocka_unit_test(twisted_values_are_never_taken),
        cmocka_unit_test(other_types_are_refused_by_name),
        cmocka_unit_test(unknown_types_are_refused_at_load),
        cmocka_unit_test(a_result_of_other_types_is_drift),
        cmocka_unit_test(filters_find_what_the_records_say),
        cmocka_unit_test(inexact_filters_are_refused),
    };
    return cmocka_run_group_tests(tests, database_open, database_close);
}
