/* Writers without a server: the `write:` section, refusals, protobuf's rules, reasons, bytes. */
#include "writer_support.h"

static struct schema_writer *writer_of(struct schema_bundle *bundle)
{
    struct err err = ERR_INIT;
    struct schema_writer *writer = schema_writer_new(schema_bundle_at(bundle, 0), NULL, &err);
    if (writer == NULL)
        fail_msg("%s", err.text);
    return writer;
}

/* --- mappings -----------------------------------------------------------------------------------
 */

struct mapping_case {
    const char *columns;
    const char *fields; /* and what follows */
    const char *text;   /* in the refusal; NULL: it can be written */
};

static const struct mapping_case mapping_cases[] = {
    { "", "  id: i\n  text: t\n", NULL },
    { "", "  id: i\n  text: t\nwrite: {table: other, schema: s}\n", NULL },
    { "", "  id: i\n  text: t\nwrite: {fields: {text: {skip: true}}}\n", NULL },
    { "", "  id: i\n  text: t\nwrite: {fields: {text: {from: u, normalise: [upper]}}}\n", NULL },
    { "", "  id: i\n  text: t\nwrite: {fields: {mail: m}}\n", NULL },
    { "", "  id: i\nwrite: {fill: {at: now, run: batch, o: {constant: x}, d: default}}\n", NULL },
    { "", "  id: i\nwrite: {columns: {at: date}, fill: {at: now}}\n", NULL },
    { "", "  id: i\n  text: {from: {column: t, substr: [1, 2]}}\n  part: t\n", NULL },
    { "",
      "  id: i\n  text: {from: {column: t, substr: [1, 2]}}\n"
      "  part: {from: {column: t, substr: [3, 1]}}\n",
      NULL },
    /* refused when the file is read */
    { "", "  id: i\nwrite: {tabel: x}\n", "did you mean \"table\"" },
    { "", "  id: i\nwrite: {schema: x}\n", "\"schema\" needs \"table\"" },
    { "", "  id: i\nwrite: {table: ''}\n", "1 to 63 bytes" },
    { "", "  id: i\nwrite: {columns: {x: text}}\n", "nothing writes the column \"x\"" },
    { "", "  id: i\nwrite: {columns: {i: txt}}\n", "did you mean \"text\"" },
    { "", "  id: i\nwrite: {fields: {text: {skip: true}}}\n", "not among the fields" },
    { "", "  id: i\n  text: t\nwrite: {fields: {txet: {skip: true}}}\n", "did you mean \"text\"" },
    { "", "  id: i\n  text: t\nwrite: {fields: {text: {skip: false}}}\n", "write {skip: true}" },
    { "", "  id: i\nwrite: {fields: {nothing: x}}\n", "has no field \"nothing\"" },
    { "", "  id: i\nwrite: {fields: {text: {from: x, normalise: [uper]}}}\n", "\"upper\"" },
    { "", "  id: i\nwrite: {fill: {x: yesterday}}\n", "now, batch, default" },
    { "", "  id: i\nwrite: {fill: {x: {constat: 1}}}\n", "did you mean \"constant\"" },
    { "", "  id: i\nwrite: []\n", "x.yaml:" },
    /* refused when a writer is made */
    { "", "  id: i\n  text: t\nwrite: {fill: {t: now}}\n", "is filled and also read" },
    { "", "  id: i\nwrite: {columns: {n: integer}, fill: {n: {constant: x}}}\n",
      "what it is to be filled with" },
    { "", "  id: i\nwrite: {columns: {n: boolean}, fill: {n: now}}\n", "BOOL_SYNTAX" },
    { "", "  id: i\n  text: t\nwrite: {fields: {id: {skip: true}}}\n", "part of the key" },
    { "", "  id: i\n  text: t\nwrite: {fields: {id: {check: true}}}\n",
      "no field says what column \"i\" holds" },
    { "{b: bytea}", "  id: i\n  text: {from: b, normalise: [gb18030]}\n", NULL },
    { "", "  id: i\n  text: {from: t, normalise: [{regex: {match: '(a)b', replace: '$1'}}]}\n",
      "no way back" },
    { "", "  id: i\n  text: {from: {column: t, substr: [2, 2]}}\n", "overlap or leave gaps" },
    { "",
      "  id: i\n  text: {from: {column: t, split: {separator: '-', item: 1}}}\n"
      "  part: {from: {column: t, split: {separator: '/', item: 2}}}\n",
      "overlap or leave gaps" },
    { "", "  id: i\n  text: {from: [a, b]}\n", "no field says what column \"a\" holds" },
    { "", "  id: i\n  text: {from: t, normalise: [upper]}\n  part: {from: t, normalise: [lower]}\n",
      "both write column \"t\"" },
    { "", "  id: i\n  tags: {child: {table: l, join: {r: i}, order: [n]}, from: v}\n",
      "child tables are not written yet" },
    { "",
      "  id: i\n  addresses: {child: {table: l, join: {r: i}, order: [n]}, fields: {street: s}}\n",
      "child tables are not written yet" },
    { "",
      "  id: i\n  tags: {child: {table: l, join: {r: i}, order: [n]}, from: v}\n"
      "write: {fields: {tags: {skip: true}}}\n",
      NULL },
    { "",
      "  id: i\n  tags: {child: {table: l, join: {r: i}, order: [n]}, from: v}\n"
      "write: {columns: {g: 'text[]'}, fields: {tags: g}}\n",
      NULL },
    { "", "  id: i\n  text: {coalesce: [a, b]}\n", "no field says what column \"a\" holds" },
    { "", "  id: i\n  text: {coalesce: [a, b]}\n  part: a\n  mail: b\n", NULL },
};

static void test_mappings_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mapping_cases / sizeof mapping_cases[0]; i++) {
        const struct mapping_case *c = &mapping_cases[i];
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = everything(c->columns, c->fields, &err);
        struct schema_writer *writer =
            bundle == NULL ? NULL : schema_writer_new(schema_bundle_at(bundle, 0), NULL, &err);
        if ((writer != NULL) != (c->text == NULL) ||
            (c->text != NULL && strstr(err.text, c->text) == NULL))
            fail_msg("%s: %s", c->fields, err.text);
        if (bundle != NULL && writer == NULL) {
            assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
            assert_string_equal(err.reason, "MAPPING_ONE_WAY");
        }
        schema_writer_free(&writer);
        schema_bundle_free(&bundle);
    }
}

/* Reading is not touched by how one writes. */
static void test_reading_ignores_the_section(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything(
        "", "  id: i\n  text: t\nwrite: {table: o, fields: {text: u}, fill: {at: now}}\n", &err);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    assert_string_equal(schema_dataset_probe_sql(dataset),
                        "SELECT \"i\", \"t\" FROM \"public\".\"t\" LIMIT 0");
    struct schema_writer *writer = writer_of(bundle);
    assert_string_equal(schema_writer_table(writer), "\"public\".\"o\"");
    assert_string_equal(schema_writer_columns(writer), "\"i\", \"u\", \"at\"");
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

/* Lists of columns for statements: a name may hold what the pattern uses. */
static void test_columns_by_part(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena arena;
    struct schema_bundle *bundle = everything(
        "", "  id: i\n  text: 'a% \"b'\n  mail: m\nwrite: {fill: {at: now, run: batch}}\n", &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    struct schema_writer *writer = writer_of(bundle);
    arena_init(&arena);
    assert_string_equal(schema_writer_each(writer, WRITER_KEY, "t.% = s.%", " AND ", &arena),
                        "t.\"i\" = s.\"i\"");
    assert_string_equal(schema_writer_each(writer, WRITER_REST, "% = excluded.%", ", ", &arena),
                        "\"a% \"\"b\" = excluded.\"a% \"\"b\", \"m\" = excluded.\"m\", "
                        "\"at\" = excluded.\"at\", \"run\" = excluded.\"run\"");
    assert_string_equal(schema_writer_each(writer, WRITER_DATA, "s.%", ", ", &arena),
                        "s.\"i\", s.\"a% \"\"b\", s.\"m\"");
    assert_string_equal(schema_writer_each(writer, WRITER_KEY, "", "", &arena), "");
    arena_fini(&arena);
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

static void test_field_choice_limits_columns(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything("", "  id: i\n  text: t\n  mail: m\n", &err);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    plan_set_bit(fields, schema_message_field(dataset->type, "mail", 4)->position);
    assert_null(schema_writer_new(dataset, fields, &err));
    assert_non_null(strstr(err.text, "part of the key"));
    plan_set_bit(fields, schema_message_field(dataset->type, "id", 2)->position);
    struct schema_writer *writer = schema_writer_new(dataset, fields, &err);
    assert_non_null(writer);
    assert_string_equal(schema_writer_columns(writer), "\"i\", \"m\"");
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

struct record_case {
    const char *columns;
    const char *fields; /* below `id: {from: i, normalise: []}` */
    struct cell record; /* behind an id "k" */
    const char *tuple;  /* columns behind id: text, "NULL", or hexadecimal in <> */
    const char *rule;
    const char *code; /* NULL: written */
};

/* Everything's tags: text 1a, big 20, small 28, flag 50, real 59, colour 70, at 7a, address 8201,
 * tags 8a01, numbers 9201, extra 9a01, phone a201, mail aa01, amount c201, maybe ca01. */
static const struct record_case record_cases[] = {
    { "", "  text: t\n", BYTES("\x1a\x01x"), "x", NULL, NULL },
    { "", "  text: t\n", BYTES(""), "NULL", NULL, NULL },
    { "", "  text: t\n", BYTES("\x1a\x00"), "NULL", NULL, NULL },
    { "", "  text: {from: t, required: true}\n", BYTES(""), "", NULL, NULL },
    { "", "  maybe: t\n", BYTES("\xca\x01\x00"), "", NULL, NULL },
    { "", "  maybe: t\n", BYTES(""), "NULL", NULL, NULL },
    { "", "  maybe: {from: t, required: true}\n", BYTES(""), NULL, "write", "REQUIRED_MISSING" },
    { "", "  text: t\n",
      BYTES("\x1a\x03"
            "a\0b"),
      NULL, "record", "MESSAGE_MALFORMED" }, /* a NUL does not pass the pre-scan */
    /* protobuf's rules */
    { "", "  text: t\n", BYTES("\x1a\x01x\x1a\x01y"), "y", NULL, NULL },
    { "", "  text: t\n", BYTES("\x1a\x01x\x1a\x00"), "NULL", NULL, NULL },
    { "", "  text: t\n", BYTES("\x1a\x01x\x98\x06\x01"), NULL, "record", "FIELD_UNKNOWN" },
    { "", "  text: t\n", BYTES("\x1a\x05x"), NULL, "record", "MESSAGE_MALFORMED" },
    { "", "  text: t\n", BYTES("\x1a\x01\xff"), NULL, "record", "MESSAGE_NOT_UTF8" },
    { "", "  text: t\n", BYTES("\x1a\x01x\x20\x07"), "x", NULL, NULL }, /* big is absent here */
    { "", "  phone: p\n  mail: m\n", BYTES("\xa2\x01\x01p\xaa\x01\x01m"), "NULL|m", NULL, NULL },
    { "", "  phone: p\n", BYTES("\xa2\x01\x01p\xaa\x01\x01m"), "NULL", NULL, NULL },
    { "", "  address.street: s\n  address.town: t\n",
      BYTES("\x82\x01\x03\x0a\x01s\x82\x01\x03\x12\x01t"), "s|t", NULL, NULL },
    { "", "  address.street: s\n", BYTES("\x82\x01\x00"), NULL, "record", "MESSAGE_EMPTY" },
    { "", "  address.street: s\n", BYTES("\x82\x01\x02\x0a\x00"), NULL, "record", "MESSAGE_EMPTY" },
    { "", "  address.street: s\n", BYTES("\x82\x01\x03\x12\x01t"), "NULL", NULL, NULL },
    { "{a: timestamptz}", "  at: a\n", BYTES("\x7a\x02\x08\x01\x7a\x03\x10\xe8\x07"),
      "<fffca2fec4d76241>", NULL, NULL },
    { "{a: timestamptz}", "  at: a\n", BYTES("\x7a\x02\x10\x01"), NULL, "write",
      "TIMESTAMP_PRECISION" },
    { "{a: timestamptz}", "  at: a\n", BYTES("\x7a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
      NULL, "write", "TIMESTAMP_RANGE" },
    { "{a: timestamp}", "  at: {from: a, utc_offset: '+08:00'}\n", BYTES("\x7a\x00"),
      "<fffca30579654000>", NULL, NULL },
    { "{a: 'text[]'}", "  numbers: a\n", BYTES("\x92\x01\x02\x01\x02\x90\x01\x03"),
      "<00000001 00000000 00000019 00000003 00000001 00000001 31 00000001 32 00000001 33>", NULL,
      NULL },
    { "{a: 'text[]'}", "  tags: {from: a, required: true}\n", BYTES(""),
      "<00000000 00000000 00000019>", NULL, NULL },
    { "{a: jsonb}", "  extra: a\n",
      BYTES("\x9a\x01\x06\x0a\x01"
            "b\x12\x01x\x9a\x01\x06\x0a\x01"
            "a\x12\x01\"\x9a\x01\x06\x0a\x01"
            "b\x12\x01y"),
      "\x01{\"a\": \"\\\"\", \"b\": \"y\"}", NULL, NULL },
    /* values */
    { "{a: smallint}", "  big: a\n", BYTES("\x20\xff\xff\x01"), "<7fff>", NULL, NULL },
    { "{a: smallint}", "  big: a\n", BYTES("\x20\x80\x80\x02"), NULL, "write", "INTEGER_RANGE" },
    { "{a: integer}", "  small: a\n", BYTES("\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
      "<ffffffff>", NULL, NULL },
    { "{a: real}", "  real: a\n", BYTES("\x59\x9a\x99\x99\x99\x99\x99\xb9\x3f"), "<3dcccccd>", NULL,
      NULL },
    { "{a: real}", "  real: a\n", BYTES("\x59\x18\x2d\x44\x54\xfb\x21\x09\x40"), NULL, "write",
      "NOT_REVERSIBLE" },
    { "{a: double}", "  real: a\n", BYTES("\x59\x00\x00\x00\x00\x00\x00\xf8\x7f"), NULL, "write",
      "NUMBER_NOT_FINITE" },
    { "{a: integer}", "  colour: a\n", BYTES("\x70\x02"), "<00000002>", NULL, NULL },
    { "", "  colour: a\n", BYTES("\x70\x02"), "GREEN", NULL, NULL },
    { "", "  colour: a\n", BYTES("\x70\x07"), NULL, "write", "ENUM_UNKNOWN" },
    { "", "  colour: {from: a, normalise: [{enum: {RED: [r, R], GREEN: g}}]}\n", BYTES("\x70\x01"),
      "r", NULL, NULL },
    { "", "  colour: {from: a, normalise: [{enum: {RED: [r, R], GREEN: g}}]}\n",
      BYTES("\x70\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NULL, "write", "NO_NATIVE_FORM" },
    { "", "  flag: {from: a, normalise: [bool]}\n", BYTES("\x50\x01"), "true", NULL, NULL },
    { "{a: smallint}", "  flag: {from: a, normalise: [bool]}\n", BYTES("\x50\x01"), "<0001>", NULL,
      NULL },
    { "", "  flag: {from: a, codes: {'是': 'true', N: 'false'}}\n", BYTES("\x50\x01"), "是", NULL,
      NULL },
    { "{a: uuid}", "  text: a\n", BYTES("\x1a\x01x"), NULL, "write", "UUID_SYNTAX" },
    { "{a: json}", "  text: a\n", BYTES("\x1a\x01{"), NULL, "write", "JSON_SYNTAX" },
    { "{a: date}", "  text: a\n",
      BYTES("\x1a\x0a"
            "2021-02-29"),
      NULL, "write", "DATE_SYNTAX" },
    /* what would come back different */
    { "", "  text: {from: t, normalise: [upper]}\n", BYTES("\x1a\x01x"), NULL, "write",
      "NOT_REVERSIBLE" },
    { "", "  text: {from: t, null_values: ['-']}\n", BYTES("\x1a\x01-"), NULL, "write",
      "NOT_REVERSIBLE" },
    { "", "  text: {from: t, default: d}\n", BYTES(""), "", NULL, NULL },
    { "", "  maybe: {from: t, default: d}\n", BYTES(""), NULL, "write", "NOT_REVERSIBLE" },
    { "{t: char}", "  text: t\n", BYTES("\x1a\x02x "), NULL, "write", "NOT_REVERSIBLE" },
    { "", "  person: t\n", BYTES("\xb2\x01\x01x"), NULL, "cn_id", "CN_ID_LENGTH" },
    { "", "  text: {constant: c}\n",
      BYTES("\x1a\x01"
            "c"),
      "", NULL, NULL },
    { "", "  text: {constant: c}\n",
      BYTES("\x1a\x01"
            "d"),
      NULL, "write", "CONSTANT_DIFFERS" },
    { "", "  text: t\n  part: t\n", BYTES("\x12\x01x\x1a\x01x"), "x", NULL, NULL },
    { "", "  text: t\n  part: t\n", BYTES("\x12\x01x\x1a\x01y"), NULL, "write", "FIELDS_DISAGREE" },
    { "", "  part: {from: {column: t, substr: [1, 1]}}\n  text: t\n", BYTES("\x12\x01x\x1a\x02yz"),
      NULL, "write", "FIELDS_DISAGREE" },
    /* parts */
    { "", "  text: {from: [{column: a, length: 1, rest: '0'}, b]}\n", BYTES("\x1a\x04中x"), "中0|x",
      NULL, NULL },
    { "", "  text: {from: [{column: a, length: 2}, b]}\n", BYTES("\x1a\x01x"), NULL, "write",
      "PART_LENGTH" },
    { "", "  text: {from: [a, b], separator: '--'}\n", BYTES("\x1a\x04x--y"), "x|y", NULL, NULL },
    { "", "  text: {from: [a, b], separator: '--'}\n", BYTES("\x1a\x07x--y--z"), NULL, "write",
      "PART_AMBIGUOUS" },
    { "", "  text: {from: [a, b], separator: '--'}\n", BYTES("\x1a\x01x"), NULL, "write",
      "PART_MISSING" },
    { "",
      "  text: {from: {column: a, substr: [1, 2]}}\n"
      "  part: {from: {column: a, substr: [3, 1]}}\n",
      BYTES("\x12\x01z\x1a\x02xy"), "xyz", NULL, NULL },
    { "",
      "  text: {from: {column: a, substr: [1, 2]}}\n"
      "  part: {from: {column: a, substr: [3, 1]}}\n",
      BYTES("\x12\x01z"), NULL, "write", "PART_MISSING" },
    { "",
      "  text: {from: {column: a, split: {separator: '/', item: 1}}}\n"
      "  part: {from: {column: a, split: {separator: '/', item: 2}}}\n",
      BYTES("\x12\x01z"), "/z", NULL, NULL },
    { "",
      "  text: {from: {column: a, split: {separator: '/', item: 1}}}\n"
      "  part: {from: {column: a, split: {separator: '/', item: 2}}}\n",
      BYTES("\x12\x01z\x1a\x03x/y"), NULL, "write", "NOT_REVERSIBLE" },
};

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = 0;
    int digits = 0;
    unsigned byte = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (strchr("0123456789abcdef", *p) == NULL)
            continue;
        byte = byte << 4 | (unsigned)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
        if (++digits % 2 == 0)
            out[len++] = (uint8_t)byte;
    }
    return len;
}

/* "x|NULL|<00ff>" as columns of a tuple, behind the key's. */
static void expect_tuple(const char *expected, struct buf *out)
{
    uint8_t bytes[256];
    char item[256];
    struct buf body;
    unsigned columns = 1;
    buf_init(&body, 4096);
    for (const char *at = expected; *expected != '\0' || columns == 1;) {
        size_t len = strcspn(at, "|");
        (void)snprintf(item, sizeof item, "%.*s", (int)len, at);
        uint8_t head[4] = { 0, 0, 0, (uint8_t)len };
        if (strcmp(item, "NULL") == 0) {
            (void)buf_append(&body, "\xff\xff\xff\xff", 4);
        } else if (item[0] == '<') {
            head[3] = (uint8_t)unhex(item, bytes);
            (void)buf_append(&body, head, 4);
            (void)buf_append(&body, bytes, head[3]);
        } else {
            (void)buf_append(&body, head, 4);
            (void)buf_append(&body, item, len);
        }
        columns++;
        at += len;
        if (*at++ == '\0')
            break;
    }
    uint8_t count[2] = { 0, (uint8_t)columns };
    (void)buf_append(out, count, 2);
    (void)buf_append(out, "\0\0\0\1k", 5);
    (void)buf_append(out, body.data, body.len);
    buf_fini(&body);
}

static void test_records_become_tuples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof record_cases / sizeof record_cases[0]; i++) {
        const struct record_case *c = &record_cases[i];
        struct err err = ERR_INIT;
        struct schema_row_report report;
        struct buf record, tuple, expected;
        char *fields = mem_format("  id: {from: i, normalise: []}\n%s", c->fields);
        struct schema_bundle *bundle = everything(c->columns, fields, &err);
        if (bundle == NULL)
            fail_msg("%s", err.text);
        struct schema_writer *writer = writer_of(bundle);
        buf_init(&record, 4096);
        buf_init(&tuple, 4096);
        buf_init(&expected, 4096);
        (void)buf_append(&record, "\x0a\x01k", 3);
        (void)buf_append(&record, c->record.data, c->record.len);
        (void)buf_append_str(&tuple, "before");
        (void)buf_append_str(&expected, "before");
        assert_int_equal(schema_writer_row(writer, record.data, record.len, &tuple, &report, &err),
                         0);
        bool constant = c->tuple != NULL && strstr(c->fields, "constant") != NULL;
        if (c->code == NULL && constant)
            (void)buf_append(&expected, "\0\1\0\0\0\1k", 7);
        else if (c->code == NULL)
            expect_tuple(c->tuple, &expected);
        if (strcmp(report.code, c->code == NULL ? "" : c->code) != 0 ||
            strcmp(report.rule, c->rule == NULL ? "" : c->rule) != 0 || tuple.len != expected.len ||
            memcmp(tuple.data, expected.data, tuple.len) != 0)
            fail_msg("case %zu, %s: %s %s, %zu bytes", i, c->fields, report.rule, report.code,
                     tuple.len);
        assert_int_equal(report.state, c->code == NULL ? ROW_DELIVERED : ROW_QUARANTINED);
        buf_fini(&record);
        buf_fini(&tuple);
        buf_fini(&expected);
        schema_writer_free(&writer);
        schema_bundle_free(&bundle);
        free(fields);
    }
}

static void test_full_buffer_changes_nothing(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = everything("", "  id: i\n  text: t\n", &err);
    struct schema_writer *writer = writer_of(bundle);
    for (size_t room = 0; room < 200; room++) {
        struct buf tuple;
        buf_init(&tuple, 6 + room);
        (void)buf_append_str(&tuple, "before");
        int result = schema_writer_row(writer, (const uint8_t *)"\x0a\x01k\x1a\x01x", 6, &tuple,
                                       &report, &err);
        assert_int_equal(tuple.len, result == 0 ? 6 + 12 : 6);
        if (result != 0)
            assert_string_equal(err.reason, "OUTPUT_FULL");
        if (room == 199)
            assert_int_equal(result, 0);
        buf_fini(&tuple);
    }
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

static void test_record_size_is_bounded(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = everything("", "  id: i\n  text: t\n", &err);
    struct schema_writer *writer = writer_of(bundle);
    struct buf record, tuple;
    buf_init(&record, 4 * PLAN_RECORD_BYTES_MAX);
    buf_init(&tuple, 4 * PLAN_RECORD_BYTES_MAX);
    for (size_t len = PLAN_RECORD_BYTES_MAX - 16; len < PLAN_RECORD_BYTES_MAX + 16; len += 8) {
        buf_reset(&record);
        buf_reset(&tuple);
        (void)buf_append(&record, "\x0a\x01k\x1a", 4);
        (void)buf_append_varint(&record, len - 7);
        for (size_t i = 0; i < len - 7; i++)
            (void)buf_append_byte(&record, 'x');
        assert_int_equal(record.len, len);
        assert_int_equal(schema_writer_row(writer, record.data, record.len, &tuple, &report, &err),
                         0);
        assert_string_equal(report.code, len <= PLAN_RECORD_BYTES_MAX ? "" : "RECORD_TOO_LARGE");
    }
    buf_fini(&record);
    buf_fini(&tuple);
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

static void test_fills(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = everything(
        "",
        "  id: i\nwrite: {columns: {n: integer, day: date, local: timestamp}, fill: {run: batch, "
        "n: {constant: -1}, d: default, day: now, local: now, word: now}}\n",
        &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    struct schema_writer *writer = writer_of(bundle);
    assert_string_equal(schema_writer_columns(writer),
                        "\"i\", \"run\", \"n\", \"day\", \"local\", \"word\"");
    struct buf tuple;
    buf_init(&tuple, 4096);
    assert_int_equal(
        schema_writer_row(writer, (const uint8_t *)"\x0a\x01k", 3, &tuple, &report, &err), 0);
    assert_memory_equal(tuple.data, "\0\6\0\0\0\1k\xff\xff\xff\xff\0\0\0\4\xff\xff\xff\xff", 19);
    schema_writer_set_batch(writer, "run-7");
    buf_reset(&tuple);
    assert_int_equal(
        schema_writer_row(writer, (const uint8_t *)"\x0a\x01k", 3, &tuple, &report, &err), 0);
    assert_memory_equal(tuple.data, "\0\6\0\0\0\1k\0\0\0\5run-7\0\0\0\4\xff\xff\xff\xff", 24);
    assert_memory_equal(tuple.data + 24, "\0\0\0\4", 4);
    assert_memory_equal(tuple.data + 32, "\0\0\0\x8", 4);
    buf_fini(&tuple);
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

static void test_stream_ends(void **state)
{
    (void)state;
    assert_int_equal(schema_writer_header.len, 19);
    assert_memory_equal(schema_writer_header.data, "PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", 19);
    assert_int_equal(schema_writer_trailer.len, 2);
    assert_memory_equal(schema_writer_trailer.data, "\xff\xff", 2);
}

/* --- lossiness ----------------------------------------------------------------------------------
 */

static void test_losses_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum schema_lossiness_kind kind;
    } expected[] = {
        { "id", LOSSLESS },
        { "part", CANONICAL_LOSSLESS },  /* a piece */
        { "text", CANONICAL_LOSSLESS },  /* NULL and "" */
        { "big", CANONICAL_LOSSLESS },   /* NULL and 0 */
        { "small", CANONICAL_LOSSLESS }, /* "007" */
        { "natural", ABSENT },
        { "zigzag", ABSENT },
        { "fixed", LOSSLESS },
        { "wide", ABSENT },
        { "flag", CANONICAL_LOSSLESS },
        { "real", CANONICAL_LOSSLESS }, /* from an integer */
        { "narrow", ABSENT },
        { "blob", ABSENT },
        { "colour", CANONICAL_LOSSLESS },
        { "at", LOSSLESS },
        { "address.street", CANONICAL_LOSSLESS },
        { "address.town", ABSENT },
        { "address.geo", ABSENT },
        { "address.kind", ABSENT },
        { "address.notes", ABSENT },
        { "address.since", ABSENT },
        { "tags", CANONICAL_LOSSLESS },
        { "numbers", ABSENT },
        { "extra", CANONICAL_LOSSLESS },
        { "phone", LOSSLESS },
        { "mail", ABSENT }, /* left out */
        { "person", CANONICAL_LOSSLESS },
        { "day", LOSSY },                 /* jsonb */
        { "amount", CANONICAL_LOSSLESS }, /* default */
        { "maybe", LOSSLESS },
        { "inner", ABSENT },
        { "count", LOSSLESS }, /* constant */
        { "addresses", ABSENT },
        { "colours", ABSENT },
        { "times", ABSENT },
        { "blobs", ABSENT },
        { "loaded", FILLED },
    };
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything(
        "{big: bigint, fixed: bigint, flag: boolean, n: bigint, at: timestamptz, tags: 'text[]', "
        "x: jsonb, d: jsonb}",
        "  id: {from: i, required: true, normalise: []}\n"
        "  part: {from: {column: t, substr: [1, 1]}}\n  text: t\n  big: big\n  small: word\n"
        "  fixed: {from: fixed, required: true}\n  flag: flag\n  real: {from: n, required: true}\n"
        "  colour: {from: c, required: true}\n  at: at\n"
        "  address.street: {from: s, normalise: [trim]}\n  tags: tags\n  extra: x\n"
        "  phone: p\n  mail: m\n  person: id18\n  day: {from: d, required: true}\n"
        "  amount: {from: a, default: '0'}\n  maybe: may\n  count: {constant: 7}\n"
        "write: {fields: {mail: {skip: true}}, fill: {loaded: now}}\n",
        &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    struct schema_writer *writer = writer_of(bundle);
    size_t count = 0;
    const struct schema_lossiness *losses = schema_writer_lossiness(writer, &count);
    assert_int_equal(count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(losses[i].name, expected[i].name);
        if (losses[i].kind != expected[i].kind)
            fail_msg("%s is %s", losses[i].name, schema_lossiness_name(losses[i].kind));
        assert_true(utf8_valid(losses[i].sentence_zh, strlen(losses[i].sentence_zh)));
        assert_true(losses[i].sentence[0] != '\0' && losses[i].sentence_zh[0] != '\0');
    }
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

/* The example of docs/mapping.md, as printed. */
static void test_manual_example_is_true(void **state)
{
    (void)state;
    static char manual[128 * 1024], text[8192];
    FILE *file = fopen("docs/mapping.md", "rb");
    assert_non_null(file);
    manual[fread(manual, 1, sizeof manual - 1, file)] = '\0';
    (void)fclose(file);
    char *section = strstr(manual, "## 7. Writing");
    assert_non_null(section);
    char *start = strstr(section, "```yaml\n"), *end = strstr(start + 8, "```");
    assert_non_null(end);
    (void)snprintf(text, sizeof text,
                   "version: 1\ntitle: {en: E, zh: 全}\ntype: gov.division.v1.Division\n"
                   "source: s\ntable: t\nsharing: open\n%.*s",
                   (int)(end - start - 8), start + 8);
    struct err err = ERR_INIT;
    struct file_text entry = { "departments/d/x.yaml", text };
    struct schema_bundle *bundle = bundle_from(&entry, 1, canonical_pb(), &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    struct schema_writer *writer = writer_of(bundle);
    assert_string_equal(schema_writer_table(writer), "\"public\".\"town_import\"");
    assert_string_equal(schema_writer_columns(writer),
                        "\"code\", \"mc\", \"jb\", \"loaded_on\", \"run\", \"origin\"");
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

/* Nothing a peer may send ends a writer, and nothing is added for a record that is refused. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = published();
    uint64_t seed = 99;
    struct buf record, tuple;
    buf_init(&record, 1 << 20);
    buf_init(&tuple, 1 << 22);
    for (size_t d = 0; d < schema_bundle_count(bundle); d++) {
        const struct schema_dataset *dataset = schema_bundle_at(bundle, d);
        struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
        assert_non_null(writer);
        for (int i = 0; i < 5000; i++) {
            random_record(&seed, dataset, &record);
            for (size_t n = random_below(&seed, 4); n > 0 && record.len > 0; n--)
                record.data[random_below(&seed, record.len)] = (uint8_t)random_next(&seed);
            buf_reset(&tuple);
            assert_int_equal(
                schema_writer_row(writer, record.data, record.len, &tuple, &report, &err), 0);
            assert_int_equal(tuple.len > 0, report.state == ROW_DELIVERED);
            assert_int_equal(report.code[0] == '\0', report.state == ROW_DELIVERED);
        }
        schema_writer_free(&writer);
    }
    buf_fini(&record);
    buf_fini(&tuple);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappings_are_judged),
        cmocka_unit_test(test_reading_ignores_the_section),
        cmocka_unit_test(test_columns_by_part),
        cmocka_unit_test(test_field_choice_limits_columns),
        cmocka_unit_test(test_records_become_tuples),
        cmocka_unit_test(test_full_buffer_changes_nothing),
        cmocka_unit_test(test_record_size_is_bounded),
        cmocka_unit_test(test_fills),
        cmocka_unit_test(test_stream_ends),
        cmocka_unit_test(test_losses_are_named),
        cmocka_unit_test(test_manual_example_is_true),
        cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
