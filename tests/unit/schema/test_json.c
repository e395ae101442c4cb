#include "kitchen.h"

#include "base/ids.h"
#include "schema/json.h"
#include "schema/prescan.h"

enum { OUT_BYTES_MAX = 16 << 20, ORACLE_CASES = 150 };

static struct schema_set *set;
static const struct schema_set *sets[1];
static struct schema_json_options options = { .sets = sets, .set_count = 1 };

static int setup(void **state)
{
    (void)state;
    kitchen_make();
    set = kitchen_load();
    sets[0] = set;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schema_set_free(&set);
    kitchen_remove();
    return 0;
}

static const struct schema_message *type_of(const char *name)
{
    const struct schema_message *message = schema_set_message(set, name);
    if (message == NULL)
        fail_msg("no type %s", name);
    return message;
}

/* --- wire -> JSON -------------------------------------------------------------------------------
 */

static void check_json(const char *type, const void *data, size_t len, const char *json)
{
    struct buf out;
    struct err err = ERR_INIT;
    buf_init(&out, OUT_BYTES_MAX);
    uint8_t *copy = mem_dup(data, len);
    int result = schema_json_encode(&options, type_of(type), copy, len, &out, &err);
    free(copy);
    if (result < 0)
        fail_msg("%s: %s", json, err.text);
    assert_string_equal(buf_cstr(&out), json);
    buf_fini(&out);
}

/* From text format, through protoc's own encoder. */
static void check_text(const char *type, const char *text, const char *json)
{
    size_t len;
    uint8_t *data = kitchen_encode(type, text, &len);
    check_json(type, data, len, json);
    free(data);
}

static void scalars_as_the_mapping_says(void **state)
{
    (void)state;
    check_text(
        "test.kitchen.Scalars",
        "int32_value: -1 int64_value: -9223372036854775808 uint32_value: 4294967295 "
        "uint64_value: 18446744073709551615 sint32_value: -2147483648 sint64_value: -7 "
        "fixed32_value: 4000000000 fixed64_value: 9007199254740993 sfixed32_value: -5 "
        "sfixed64_value: -6 float_value: 0.1 double_value: 0.1 bool_value: true "
        "string_value: \"\\\"\\\\/\\n\\001\\177数\" bytes_value: \"\\377\\376\" level_value: "
        "HAMLET",
        "{\"int32Value\":-1,\"int64Value\":\"-9223372036854775808\",\"uint32Value\":4294967295,"
        "\"uint64Value\":\"18446744073709551615\",\"sint32Value\":-2147483648,"
        "\"sint64Value\":\"-7\",\"fixed32Value\":4000000000,"
        "\"fixed64Value\":\"9007199254740993\",\"sfixed32Value\":-5,\"sfixed64Value\":\"-6\","
        "\"floatValue\":0.1,\"doubleValue\":0.1,\"boolValue\":true,"
        "\"stringValue\":\"\\\"\\\\/\\n\\u0001\x7f数\",\"bytesValue\":\"//4=\","
        "\"levelValue\":\"VILLAGE\"}");
    check_text("test.kitchen.Scalars", "level_value: 77", "{\"levelValue\":77}");
    check_json("test.kitchen.Scalars",
               "\x72\x03"
               "a\0b",
               5, "{\"stringValue\":\"a\\u0000b\"}");
}

static void real_numbers_are_short_and_exact(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "1", "1" },
        { "1.5", "1.5" },
        { "1e22", "1e+22" },
        { "5e-324", "5e-324" },
        { "-0.0", "-0.0" },
        { "0.3333333333333333", "0.3333333333333333" },
        { "nan", "\"NaN\"" },
        { "inf", "\"Infinity\"" },
        { "-inf", "\"-Infinity\"" },
        { "123456789.125", "123456789.125" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        char json[96];
        (void)snprintf(text, sizeof text, "double_value: %s", rows[i][0]);
        (void)snprintf(json, sizeof json, "{\"doubleValue\":%s}", rows[i][1]);
        check_text("test.kitchen.Scalars", text, json);
    }
    check_text("test.kitchen.Scalars", "float_value: 3.4028235e38",
               "{\"floatValue\":3.4028235e+38}");
    check_text("test.kitchen.Scalars", "float_value: 1e-45", "{\"floatValue\":1e-45}");
    check_text("test.kitchen.Scalars", "float_value: 16777216", "{\"floatValue\":16777216}");
}

static void defaults_are_left_out_or_shown(void **state)
{
    (void)state;
    check_json("test.kitchen.Scalars", "\x08\x00\x72\x00\x10\x00", 6, "{}");
    check_json("test.kitchen.Optionals", "\x08\x00\x12\x00\x20\x00", 6,
               "{\"number\":0,\"text\":\"\",\"choiceNumber\":0}");
    options.emit_defaults = true;
    check_json("test.kitchen.Optionals", "", 0, "{}");
    check_json("test.kitchen.Sink.Inner", "", 0,
               "{\"idNumber\":\"\",\"other\\\"Name\":\"\",\"colour\":\"RED\"}");
    check_json("sluice.v1.QueryTotals", "\x08\x07", 2,
               "{\"read\":\"7\",\"delivered\":\"0\",\"quarantined\":\"0\",\"filtered\":\"0\","
               "\"duplicates\":\"0\"}");
    check_json("test.kitchen.Batch", "", 0,
               "{\"records\":[],\"typeName\":\"\",\"single\":null,\"singleType\":\"\"}");
    options.emit_defaults = false;
    options.proto_field_names = true;
    check_text("test.kitchen.Sink", "inner { id_number: \"x\" } far: \"y\"",
               "{\"inner\":{\"id_number\":\"x\"},\"far\":\"y\"}");
    options.proto_field_names = false;
}

static void order_and_repetition_on_the_wire(void **state)
{
    (void)state;
    /* the last scalar wins; fields come in order of their numbers */
    check_json("test.kitchen.Scalars", "\x68\x01\x08\x01\x08\x02\x68\x00", 8, "{\"int32Value\":2}");
    /* packed and loose elements, two fields interleaved */
    check_json("test.kitchen.Lists",
               "\x08\x01\x10\x09\x0a\x02\x02\x03\x12\x01\x08\x08\x04\x3a\x01x", 16,
               "{\"int32List\":[1,2,3,4],\"int64List\":[\"9\",\"8\"],\"stringList\":[\"x\"]}");
    /* two halves of one message merge */
    check_json("test.kitchen.Sink", "\x0a\x02\x08\x01\x0a\x02\x68\x01", 8,
               "{\"scalars\":{\"int32Value\":1,\"boolValue\":true}}");
    /* the last member of a oneof is the one that is set, and forgets what it held before */
    check_json("test.kitchen.Optionals", "\x20\x01\x2a\x01x", 5, "{\"choiceText\":\"x\"}");
    check_json("test.kitchen.Optionals", "\x32\x02\x08\x01\x20\x01\x32\x02\x68\x01", 10,
               "{\"choiceScalars\":{\"boolValue\":true}}");
    /* unknown fields are passed over */
    check_json("test.kitchen.Scalars", "\xfa\x3e\x02zz\x08\x01", 7, "{\"int32Value\":1}");
}

static void maps_are_sorted_and_the_last_key_wins(void **state)
{
    (void)state;
    check_text("test.kitchen.Maps",
               "text_map { key: \"b\" value: \"1\" } text_map { key: \"a\" } "
               "text_map { key: \"b\" value: \"2\" } int32_map { key: -1 value: \"m\" } "
               "int64_map { key: 5 value: -5 } bool_map { key: true value: TOWN } bool_map { } "
               "scalars_map { key: \"s\" value { int32_value: 1 } } scalars_map { key: \"t\" } "
               "sint32_map { key: -3 value: \"z\" } fixed64_map { key: 9 value: true }",
               "{\"textMap\":{\"a\":\"\",\"b\":\"2\"},\"int32Map\":{\"-1\":\"m\"},"
               "\"int64Map\":{\"5\":\"-5\"},\"boolMap\":{\"false\":\"LEVEL_UNSPECIFIED\","
               "\"true\":\"TOWN\"},\"scalarsMap\":{\"s\":{\"int32Value\":1},\"t\":{}},"
               "\"sint32Map\":{\"-3\":\"eg==\"},\"fixed64Map\":{\"9\":true}}");
    check_json("test.kitchen.Maps", "\x0a\x00", 2, "{\"textMap\":{\"\":\"\"}}");
}

static void well_known_types_have_their_forms(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "at { seconds: 0 }", "{\"at\":\"1970-01-01T00:00:00Z\"}" },
        { "at { seconds: -62135596800 }", "{\"at\":\"0001-01-01T00:00:00Z\"}" },
        { "at { seconds: 253402300799 nanos: 999999999 }",
          "{\"at\":\"9999-12-31T23:59:59.999999999Z\"}" },
        { "at { seconds: 951782400 nanos: 10000000 }", "{\"at\":\"2000-02-29T00:00:00.010Z\"}" },
        { "at { seconds: -1 nanos: 1000 }", "{\"at\":\"1969-12-31T23:59:59.000001Z\"}" },
        { "lasting { seconds: 3 }", "{\"lasting\":\"3s\"}" },
        { "lasting { seconds: -3 nanos: -500000000 }", "{\"lasting\":\"-3.500s\"}" },
        { "lasting { nanos: -1 }", "{\"lasting\":\"-0.000000001s\"}" },
        { "fields { paths: \"id_number\" paths: \"a.b_c\" }", "{\"fields\":\"idNumber,a.bC\"}" },
        { "fields { }", "{\"fields\":\"\"}" },
        { "maybe_text { } maybe_long { value: 5 } maybe_bool { value: true }",
          "{\"maybeText\":\"\",\"maybeLong\":\"5\",\"maybeBool\":true}" },
        { "maybe_double { value: inf } maybe_bytes { value: \"a\" } maybe_uint32 { }",
          "{\"maybeDouble\":\"Infinity\",\"maybeBytes\":\"YQ==\",\"maybeUint32\":0}" },
        { "empty { }", "{\"empty\":{}}" },
        { "struct { fields { key: \"k\" value { list_value { values { null_value: NULL_VALUE } "
          "values { number_value: 1.5 } values { bool_value: false } } } } }",
          "{\"struct\":{\"k\":[null,1.5,false]}}" },
        { "value { string_value: \"\" }", "{\"value\":\"\"}" },
        { "any { }", "{\"any\":{}}" },
        { "any { [type.googleapis.com/test.kitchen.Sink.Inner] { id_number: \"1\" colour: GREEN } "
          "}",
          "{\"any\":{\"@type\":\"type.googleapis.com/test.kitchen.Sink.Inner\",\"id_number\":\"1\","
          "\"colour\":\"GREEN\"}}" },
        { "any { [type.googleapis.com/google.protobuf.Duration] { seconds: 1 } }",
          "{\"any\":{\"@type\":\"type.googleapis.com/"
          "google.protobuf.Duration\",\"value\":\"1s\"}}" },
        { "any { [type.googleapis.com/google.protobuf.Empty] { } }",
          "{\"any\":{\"@type\":\"type.googleapis.com/google.protobuf.Empty\"}}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_text("test.kitchen.Known", rows[i][0], rows[i][1]);
}

static void records_are_objects_with_canonical_names(void **state)
{
    (void)state;
    /* the type's name stands behind the records */
    check_text(
        "test.kitchen.Batch",
        "records: \"\\n\\00212\\030\\005\" records: \"\" type_name: \"test.kitchen.Sink.Inner\" "
        "single: \"\\010\\001\" single_type: \"test.kitchen.Scalars\"",
        "{\"records\":[{\"id_number\":\"12\",\"colour\":\"GREEN\"},{}],"
        "\"typeName\":\"test.kitchen.Sink.Inner\",\"single\":{\"int32_value\":1},"
        "\"singleType\":\"test.kitchen.Scalars\"}");
}

static void bad_bytes_are_data_loss(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *bytes;
        size_t len;
        enum err_code code;
        const char *reason;
    } rows[] = {
        { "Scalars", "\x08", 1, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Scalars", "\x0a\x01\x01", 3, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Scalars", "\x72\x01\xff", 3, ERR_DATA_LOSS, "MESSAGE_NOT_UTF8" },
        { "Scalars", "\x0b\x0c", 2, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Lists", "\x0a\x01\x80", 3, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Maps", "\x0a\x02\x08\x01", 4, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Maps", "\x0a\x03\x0a\x01\xff", 5, ERR_DATA_LOSS, "MESSAGE_NOT_UTF8" },
        { "Known", "\x0a\x02\x10\x01\x0a\x06\x08\xff\xff\xff\xff\x7f", 12, ERR_OK, "" },
        { "Known", "\x0a\x07\x08\xff\xff\xff\xff\xff\x7f", 9, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Known", "\x0a\x06\x10\x80\x94\xeb\xdc\x03", 8, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Known", "\x12\x04\x08\x01\x10\x81", 6, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Known", "\x1a\x03\x0a\x01X", 5, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Known", "\x62\x09\x11\0\0\0\0\0\0\xf0\x7f", 11, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Known", "\x22\x03\x12\x01x", 5, ERR_DATA_LOSS, "MESSAGE_MALFORMED" },
        { "Known", "\x22\x05\x0a\x03x/y", 7, ERR_NOT_FOUND, "TYPE_UNKNOWN" },
        { "Known", "\x22\x03\x0a\x01x", 5, ERR_NOT_FOUND, "TYPE_UNKNOWN" },
        { "Known", "\x22\x19\x0a\x17x/test.kitchen.Scalars\0", 27, ERR_NOT_FOUND, "TYPE_UNKNOWN" },
        { "Batch", "\x0a\x00", 2, ERR_NOT_FOUND, "TYPE_UNKNOWN" },
        { "Batch", "\x0a\x00\x12\x01x", 5, ERR_NOT_FOUND, "TYPE_UNKNOWN" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char type[64];
        (void)snprintf(type, sizeof type, "test.kitchen.%s", rows[i].type);
        struct buf out;
        buf_init(&out, OUT_BYTES_MAX);
        (void)buf_append_str(&out, "kept");
        struct err err = ERR_INIT;
        int result = schema_json_encode(&options, type_of(type), (const uint8_t *)rows[i].bytes,
                                        rows[i].len, &out, &err);
        if (err.code != rows[i].code || strcmp(err.reason, rows[i].reason) != 0)
            fail_msg("row %zu: %d %s %s", i, result, err.reason, err.text);
        if (result < 0)
            assert_string_equal(buf_cstr(&out), "kept");
        buf_fini(&out);
    }
}

static void output_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const char text[] = "\x08\x01\x72\x03\xe6\x95\xb0\x7a\x01x";
    for (size_t room = 0; room < 64; room++) {
        struct buf out;
        struct err err = ERR_INIT;
        buf_init(&out, room);
        int result = schema_json_encode(&options, type_of("test.kitchen.Scalars"),
                                        (const uint8_t *)text, sizeof text - 1, &out, &err);
        if (room < strlen("{\"int32Value\":1,\"stringValue\":\"数\",\"bytesValue\":\"eA==\"}")) {
            assert_int_equal(result, -1);
            assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
            assert_int_equal(out.len, 0);
        } else {
            assert_int_equal(result, 0);
        }
        buf_fini(&out);
    }
}

/* --- JSON -> wire -------------------------------------------------------------------------------
 */

static int decode(const char *type, const char *json, struct buf *out, struct err *err)
{
    size_t len = strlen(json);
    char *copy = mem_dup(json, len); /* without a NUL behind it */
    int result = schema_json_decode(&options, type_of(type), copy, len, out, err);
    free(copy);
    return result;
}

/* Decodes, lets the pre-scan see the bytes, and compares with protoc's encoding of `text`. */
static void check_wire(const char *type, const char *json, const char *text)
{
    struct buf out;
    struct err err = ERR_INIT;
    buf_init(&out, OUT_BYTES_MAX);
    if (decode(type, json, &out, &err) < 0)
        fail_msg("%s: %s", json, err.text);
    assert_int_equal(schema_prescan(type_of(type), out.data, out.len, &err), 0);
    size_t len;
    uint8_t *wanted = kitchen_encode(type, text, &len);
    if (out.len != len || (len > 0 && memcmp(out.data, wanted, len) != 0))
        fail_msg("%s is not %s", json, text);
    free(wanted);
    buf_fini(&out);
}

static void both_names_and_any_number_form_are_read(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "Scalars", "{\"int32_value\":1,\"int64Value\":\"-5\"}",
          "int32_value: 1 int64_value: -5" },
        { "Scalars", "{\"boolValue\":true,\"int32Value\":1}", "int32_value: 1 bool_value: true" },
        { "Scalars", "{\"int32Value\":\"12\",\"uint32Value\":1e3,\"sint32Value\":-2.0}",
          "int32_value: 12 uint32_value: 1000 sint32_value: -2" },
        { "Scalars", "{\"int32Value\":\"1e2\",\"uint64Value\":\"18446744073709551615\"}",
          "int32_value: 100 uint64_value: 18446744073709551615" },
        { "Scalars", "{\"int64Value\":9223372036854775807,\"sfixed64Value\":-9223372036854775808}",
          "int64_value: 9223372036854775807 sfixed64_value: -9223372036854775808" },
        { "Scalars",
          "{\"sint64Value\":-1,\"fixed32Value\":7,\"sfixed32Value\":-7,\"fixed64Value\":8}",
          "sint64_value: -1 fixed32_value: 7 sfixed32_value: -7 fixed64_value: 8" },
        { "Scalars", "{\"floatValue\":\"NaN\",\"doubleValue\":\"-Infinity\"}",
          "float_value: nan double_value: -inf" },
        { "Scalars", "{\"floatValue\":1,\"doubleValue\":\"2.5e1\"}",
          "float_value: 1 double_value: 25" },
        { "Scalars", "{\"doubleValue\":-0.0}", "double_value: -0.0" },
        { "Scalars", "{\"levelValue\":\"HAMLET\",\"bytesValue\":\"_-8\"}",
          "level_value: HAMLET bytes_value: \"\\377\\357\"" },
        { "Scalars", "{\"levelValue\":-1}", "level_value: BELOW" },
        { "Scalars", "{\"levelValue\":99}", "level_value: 99" },
        { "Scalars", "{\"int32Value\":null,\"stringValue\":null,\"levelValue\":null}", "" },
        { "Scalars",
          "{\"int32Value\":0,\"stringValue\":\"\",\"boolValue\":false,\"doubleValue\":0}", "" },
        { "Scalars", "{\"stringValue\":\"\\ud83d\\ude00\\u6570\"}", "string_value: \"😀数\"" },
        { "Optionals", "{\"number\":0,\"text\":\"\",\"choiceText\":\"\"}",
          "number: 0 text: \"\" choice_text: \"\"" },
        { "Optionals", "{\"choiceNull\":null}", "choice_null: NULL_VALUE" },
        { "Optionals", "{\"choiceNumber\":null,\"choiceText\":\"x\"}", "choice_text: \"x\"" },
        { "Lists",
          "{\"int32List\":[1,\"2\"],\"looseList\":[3,4],\"scalarsList\":[{},{\"int32Value\":1}]}",
          "int32_list: [1, 2] loose_list: [3, 4] scalars_list {} scalars_list { int32_value: 1 }" },
        { "Lists", "{\"int32List\":[],\"stringList\":null,\"levelList\":[\"TOWN\",-1]}",
          "level_list: [TOWN, BELOW]" },
        { "Maps",
          "{\"textMap\":{\"k\":\"v\"},\"int32Map\":{\"-1\":\"\"},\"boolMap\":{\"true\":\"TOWN\"}}",
          "text_map { key: \"k\" value: \"v\" } int32_map { key: -1 value: \"\" } "
          "bool_map { key: true value: TOWN }" },
        { "Maps",
          "{\"scalarsMap\":{\"s\":{\"int32Value\":1}},\"uint64Map\":{\"18446744073709551615\":1}}",
          "uint64_map { key: 18446744073709551615 value: 1 } "
          "scalars_map { key: \"s\" value { int32_value: 1 } }" },
        { "Sink", "{\"far\":\"f\",\"inner\":{\"other\\\"Name\":\"n\"}}",
          "inner { renamed: \"n\" } far: \"f\"" },
        { "Sink", " \n{\"child\":{\"child\":{}}}\t", "child { child { } }" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char type[64];
        (void)snprintf(type, sizeof type, "test.kitchen.%s", rows[i][0]);
        check_wire(type, rows[i][1], rows[i][2]);
    }
}

static void well_known_forms_are_read(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "{\"at\":\"2000-02-29T08:00:00.010+08:00\"}",
          "at { seconds: 951782400 nanos: 10000000 }" },
        { "{\"at\":\"1970-01-01T00:00:00Z\"}", "at { }" },
        { "{\"at\":\"0001-01-01T00:00:00Z\"}", "at { seconds: -62135596800 }" },
        { "{\"at\":\"9999-12-31T23:59:59.999999999Z\"}",
          "at { seconds: 253402300799 nanos: 999999999 }" },
        { "{\"lasting\":\"-1.5s\"}", "lasting { seconds: -1 nanos: -500000000 }" },
        { "{\"lasting\":\"0.000000001s\"}", "lasting { nanos: 1 }" },
        { "{\"fields\":\"idNumber,id_number,a.bC\"}",
          "fields { paths: \"id_number\" paths: \"id_number\" paths: \"a.b_c\" }" },
        { "{\"fields\":\"\"}", "fields { }" },
        { "{\"maybeText\":\"\",\"maybeLong\":\"5\",\"maybeUint32\":6}",
          "maybe_text { } maybe_long { value: 5 } maybe_uint32 { value: 6 }" },
        { "{\"maybeText\":null,\"at\":null,\"struct\":null}", "" },
        { "{\"value\":null}", "value { null_value: NULL_VALUE }" },
        { "{\"value\":[1,\"a\",true,null,{\"k\":[]}]}",
          "value { list_value { values { number_value: 1 } values { string_value: \"a\" } "
          "values { bool_value: true } values { null_value: NULL_VALUE } "
          "values { struct_value { fields { key: \"k\" value { list_value { } } } } } } }" },
        { "{\"struct\":{\"a\":1.5}}",
          "struct { fields { key: \"a\" value { number_value: 1.5 } } }" },
        { "{\"list\":[false]}", "list { values { bool_value: false } }" },
        { "{\"empty\":{}}", "empty { }" },
        { "{\"any\":{}}", "any { }" },
        { "{\"any\":{\"colour\":\"GREEN\",\"@type\":\"type.googleapis.com/"
          "test.kitchen.Sink.Inner\",\"idNumber\":\"1\"}}",
          "any { [type.googleapis.com/test.kitchen.Sink.Inner] { id_number: \"1\" colour: GREEN } "
          "}" },
        { "{\"any\":{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"1s\"}}",
          "any { [type.googleapis.com/google.protobuf.Duration] { seconds: 1 } }" },
        { "{\"anys\":[{\"@type\":\"type.googleapis.com/google.protobuf.Empty\"}]}",
          "anys { type_url: \"type.googleapis.com/google.protobuf.Empty\" }" },
        { "{\"times\":[\"1970-01-01T00:00:01Z\"]}", "times { seconds: 1 }" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_wire("test.kitchen.Known", rows[i][0], rows[i][1]);
    check_wire(
        "test.kitchen.Batch",
        "{\"records\":[{\"idNumber\":\"12\",\"colour\":\"GREEN\"},{}],"
        "\"typeName\":\"test.kitchen.Sink.Inner\",\"single\":{\"int32_value\":1},"
        "\"single_type\":\"test.kitchen.Scalars\"}",
        "records: \"\\n\\00212\\030\\005\" records: \"\" type_name: \"test.kitchen.Sink.Inner\" "
        "single: \"\\010\\001\" single_type: \"test.kitchen.Scalars\"");
    check_wire("google.protobuf.Timestamp", "\"1970-01-01T00:00:05Z\"", "seconds: 5");
}

static const char *const wrong_rows[][3] = {
    { "Scalars", "", "line 1" },
    { "Scalars", "{", "too early" },
    { "Scalars", "{\n  \"int32Value\": 1,\n}", "line 3" },
    { "Scalars", "[]", "an object is expected" },
    { "Scalars", "null", "an object is expected" },
    { "Scalars", "{} x", "not JSON" },
    { "Scalars", "{\"int32Value\":1,\"int32Value\":2}", "twice" },
    { "Scalars", "{\"int32Value\":1,\"int32_value\":2}", "twice" },
    { "Scalars", "{\"int32Vlue\":1}", "did you mean \"int32Value\"" },
    { "Scalars", "{\"int32_valeu\":1}", "did you mean \"int32_value\"" },
    { "Scalars", "{\"something\":1}", "has no field \"something\"." },
    { "Scalars", "{\"a\\u0001b\":1}", "\"a?b\"" },
    { "Scalars", "{\"int32Value\":2147483648}", "\"int32Value\"" },
    { "Scalars", "{\"int32Value\":-2147483649}", "signed 32-bit" },
    { "Scalars", "{\"uint32Value\":-1}", "unsigned 32-bit" },
    { "Scalars", "{\"uint64Value\":\"18446744073709551616\"}", "whole number" },
    { "Scalars", "{\"uint64Value\":18446744073709551615}", "as strings" },
    { "Scalars", "{\"int64Value\":9007199254740993.0}", "whole number" },
    { "Scalars", "{\"int64Value\":\"9223372036854775808\"}", "signed 64-bit" },
    { "Scalars", "{\"int32Value\":1.5}", "whole number" },
    { "Scalars", "{\"int32Value\":\" 1\"}", "whole number" },
    { "Scalars", "{\"int32Value\":\"01\"}", "whole number" },
    { "Scalars", "{\"int32Value\":\"\"}", "whole number" },
    { "Scalars", "{\"int32Value\":true}", "whole number" },
    { "Scalars", "{\"floatValue\":3.5e38}", "range of a float" },
    { "Scalars", "{\"doubleValue\":1e400}", "too big" },
    { "Scalars", "{\"doubleValue\":\"1e400\"}", "a number" },
    { "Scalars", "{\"doubleValue\":\"nan\"}", "a number" },
    { "Scalars", "{\"boolValue\":1}", "true or false" },
    { "Scalars", "{\"stringValue\":1}", "a string is expected" },
    { "Scalars", "{\"stringValue\":\"\\u0000\"}", "U+0000" },
    { "Scalars", "{\"stringValue\":\"\xff\"}", "UTF-8" },
    { "Scalars", "{\"bytesValue\":\"a*b\"}", "base64" },
    { "Scalars", "{\"levelValue\":\"CITY\"}", "\"CITY\" is not a value of test.kitchen.Level" },
    { "Scalars", "{\"levelValue\":1.5}", "whole number" },
    { "Lists", "{\"int32List\":5}", "a list" },
    { "Lists", "{\"int32List\":[1,null]}", "\"int32List[1]\"" },
    { "Lists", "{\"scalarsList\":[{},{\"boolValue\":2}]}", "\"scalarsList[1].boolValue\"" },
    { "Maps", "{\"textMap\":{\"k\":null}}", "\"textMap.k\"" },
    { "Maps", "{\"int32Map\":{\"x\":\"\"}}", "whole number" },
    { "Maps", "{\"boolMap\":{\"TRUE\":0}}", "neither" },
    { "Maps", "{\"textMap\":[]}", "an object" },
    { "Optionals", "{\"choiceNumber\":1,\"choiceText\":\"x\"}", "only one of" },
    { "Optionals", "{\"choiceNumber\":1,\"choiceNull\":null}", "only one of" },
    { "Known", "{\"at\":\"2001-02-29T00:00:00Z\"}", "\"at\"" },
    { "Known", "{\"at\":\"2000-01-01T00:00:00\"}", "a time such as" },
    { "Known", "{\"at\":\"2000-01-01T24:00:00Z\"}", "a time such as" },
    { "Known", "{\"at\":\"2000-01-01t00:00:00Z\"}", "a time such as" },
    { "Known", "{\"at\":\"2000-01-01T00:00:00.Z\"}", "a time such as" },
    { "Known", "{\"at\":\"2000-01-01T00:00:00.0000000001Z\"}", "a time such as" },
    { "Known", "{\"at\":\"0001-01-01T00:00:00+08:00\"}", "a time such as" },
    { "Known", "{\"at\":5}", "a time such as" },
    { "Known", "{\"lasting\":\"1\"}", "a duration such as" },
    { "Known", "{\"lasting\":\"s\"}", "a duration such as" },
    { "Known", "{\"lasting\":\"315576000001s\"}", "a duration such as" },
    { "Known", "{\"fields\":\"a,,b\"}", "not a field path" },
    { "Known", "{\"fields\":\"a,\"}", "not a field path" },
    { "Known", "{\"fields\":\"a b\"}", "not a field path" },
    { "Known", "{\"any\":{\"x\":1}}", "@type" },
    { "Known", "{\"any\":{\"@type\":\"t/no.Such\"}}", "not known here" },
    { "Known", "{\"any\":{\"@type\":\"test.kitchen.Scalars\"}}", "not known here" },
    { "Known", "{\"any\":{\"@type\":\"type.googleapis.com/google.protobuf.Duration\"}}",
      "\"value\"" },
    { "Known", "{\"any\":{\"@type\":\"type.googleapis.com/test.kitchen.Scalars\",\"nope\":1}}",
      "no field \"nope\"" },
    { "Batch", "{\"records\":[{}]}", "must name the type" },
    { "Batch", "{\"records\":[{}],\"typeName\":\"no.Such\"}", "not known here" },
    { "Batch", "{\"records\":[\"AA==\"],\"typeName\":\"test.kitchen.Scalars\"}", "an object" },
};

static void wrong_json_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_rows / sizeof wrong_rows[0]; i++) {
        char type[64];
        (void)snprintf(type, sizeof type, "test.kitchen.%s", wrong_rows[i][0]);
        struct buf out;
        struct err err = ERR_INIT;
        buf_init(&out, OUT_BYTES_MAX);
        (void)buf_append_str(&out, "kept");
        if (decode(type, wrong_rows[i][1], &out, &err) == 0)
            fail_msg("accepted: %s", wrong_rows[i][1]);
        if (strstr(err.text, wrong_rows[i][2]) == NULL)
            fail_msg("%s: \"%s\" has not \"%s\"", wrong_rows[i][1], err.text, wrong_rows[i][2]);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "JSON_INVALID");
        assert_string_equal(buf_cstr(&out), "kept");
        buf_fini(&out);
    }
}

/* --- limits -------------------------------------------------------------------------------------
 */

static void repeat(struct buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_append_str(out, text), 0);
}

/* What JSON accepts, the pre-scan accepts and JSON writes again; one level more and neither does.
 */
static void depth_is_the_same_everywhere(void **state)
{
    (void)state;
    static const struct {
        const char *open;
        const char *close;
    } shapes[] = { { "{\"child\":", "}" }, { "{\"children\":[", "]}" } };
    for (size_t shape = 0; shape < 2; shape++) {
        for (size_t levels = PRESCAN_DEPTH_MAX; levels <= PRESCAN_DEPTH_MAX + 1; levels++) {
            struct buf json;
            struct buf wire;
            struct buf again;
            struct err err = ERR_INIT;
            buf_init(&json, OUT_BYTES_MAX);
            buf_init(&wire, OUT_BYTES_MAX);
            buf_init(&again, OUT_BYTES_MAX);
            repeat(&json, shapes[shape].open, levels);
            repeat(&json, "{}", 1);
            repeat(&json, shapes[shape].close, levels);
            const struct schema_message *sink = type_of("test.kitchen.Sink");
            int result = decode("test.kitchen.Sink", buf_cstr(&json), &wire, &err);
            if (levels > PRESCAN_DEPTH_MAX) {
                assert_int_equal(result, -1);
                assert_non_null(strstr(err.text, "too deep"));
            } else {
                assert_int_equal(result, 0);
                assert_int_equal(schema_prescan(sink, wire.data, wire.len, &err), 0);
                assert_int_equal(
                    schema_json_encode(&options, sink, wire.data, wire.len, &again, &err), 0);
                assert_string_equal(buf_cstr(&again), buf_cstr(&json));
            }
            buf_fini(&json);
            buf_fini(&wire);
            buf_fini(&again);
        }
    }
    struct buf deep;
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&deep, OUT_BYTES_MAX);
    repeat(&deep, "[", 100000);
    assert_int_equal(decode("test.kitchen.Sink", buf_cstr(&deep), &out, &err), -1);
    assert_non_null(strstr(err.text, "too deep"));
    buf_fini(&deep);
    buf_fini(&out);
}

static void depth_of_stored_bytes_is_bounded(void **state)
{
    (void)state;
    uint8_t data[4096];
    size_t at = sizeof data;
    size_t len = 0;
    for (int i = 0; i < PRESCAN_DEPTH_MAX + 1; i++) {
        uint8_t head[12] = { 0x32 };
        size_t size = 1 + varint_put(head + 1, len);
        at -= size;
        memcpy(data + at, head, size);
        len += size;
    }
    struct buf out;
    struct err err = ERR_INIT;
    buf_init(&out, OUT_BYTES_MAX);
    assert_int_equal(
        schema_json_encode(&options, type_of("test.kitchen.Sink"), data + at, len, &out, &err), -1);
    assert_int_equal(err.code, ERR_DATA_LOSS);
    assert_non_null(strstr(err.text, "too deep"));
    buf_fini(&out);
}

static void elements_are_bounded(void **state)
{
    (void)state;
    struct buf json;
    struct buf wire;
    struct err err = ERR_INIT;
    buf_init(&json, OUT_BYTES_MAX);
    buf_init(&wire, OUT_BYTES_MAX);
    repeat(&json, "{\"int32List\":[0", 1);
    repeat(&json, ",0", PRESCAN_ELEMENTS_MAX - 2);
    repeat(&json, "]}", 1);
    assert_int_equal(decode("test.kitchen.Lists", buf_cstr(&json), &wire, &err), 0);
    assert_int_equal(schema_prescan(type_of("test.kitchen.Lists"), wire.data, wire.len, &err), 0);
    json.len -= 2;
    repeat(&json, ",0]}", 1);
    assert_int_equal(decode("test.kitchen.Lists", buf_cstr(&json), &wire, &err), -1);
    assert_non_null(strstr(err.text, "65536"));
    buf_reset(&json);
    repeat(&json, "[{}", 1);
    repeat(&json, ",{}", 200000);
    repeat(&json, "]", 1);
    assert_int_equal(decode("test.kitchen.Lists", buf_cstr(&json), &wire, &err), -1);
    assert_non_null(strstr(err.text, "too many values"));
    buf_fini(&json);
    buf_fini(&wire);
}

/* A batch at its limit: linear, and the records' own fields do not count against the batch. */
static void a_batch_of_thousands_is_linear(void **state)
{
    (void)state;
    enum { RECORDS = 60000 };
    struct buf wire;
    struct buf json;
    struct err err = ERR_INIT;
    buf_init(&wire, OUT_BYTES_MAX);
    buf_init(&json, OUT_BYTES_MAX);
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(buf_append(&wire,
                                    "\x0a\x06\x0a\x02"
                                    "12\x18\x05",
                                    8),
                         0);
    static const char name[] = "\x12\x17test.kitchen.Sink.Inner";
    assert_int_equal(buf_append(&wire, name, sizeof name - 1), 0);
    const struct schema_message *batch = type_of("test.kitchen.Batch");
    assert_int_equal(schema_json_encode(&options, batch, wire.data, wire.len, &json, &err), 0);
    struct buf again;
    buf_init(&again, OUT_BYTES_MAX);
    /* jansson would hold 180,000 values: more than a request may have */
    assert_int_equal(
        schema_json_decode(&options, batch, (const char *)json.data, json.len, &again, &err), -1);
    assert_non_null(strstr(err.text, "too many values"));
    buf_fini(&again);
    buf_fini(&wire);
    buf_fini(&json);
}

static void a_request_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const char json[] =
        "{\"scalars\":{\"stringValue\":\"数\",\"fixed64Value\":\"1\"},"
        "\"lists\":{\"int32List\":[1,2]},\"maps\":{\"textMap\":{\"a\":\"b\"}}}";
    for (size_t room = 0; room < 40; room++) {
        struct buf out;
        struct err err = ERR_INIT;
        buf_init(&out, room);
        if (decode("test.kitchen.Sink", json, &out, &err) < 0)
            assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
        else
            assert_true(room >= 32);
        buf_fini(&out);
    }
}

/* --- the foreign oracle -------------------------------------------------------------------------
 */

static void answer(FILE *answers, char *line)
{
    char *rest = NULL;
    const char *type = strtok_r(line, "\t", &rest);
    /* an empty message has an empty column, which strtok_r would skip */
    char *wire_text = rest;
    char *json_text = strchr(rest, '\t');
    assert_non_null(json_text);
    *json_text++ = '\0';
    json_text[strcspn(json_text, "\n")] = '\0';
    uint8_t *wire = mem_zero(strlen(wire_text) / 2 + 1);
    uint8_t *json = mem_zero(strlen(json_text) / 2 + 1);
    assert_true(hex_decode(wire_text, strlen(wire_text), wire));
    assert_true(hex_decode(json_text, strlen(json_text), json));
    for (int i = 0; i < 3; i++) {
        struct buf out;
        struct err err = ERR_INIT;
        buf_init(&out, OUT_BYTES_MAX);
        options.emit_defaults = i == 1;
        int result = i < 2 ? schema_json_encode(&options, type_of(type), wire,
                                                strlen(wire_text) / 2, &out, &err)
                           : schema_json_decode(&options, type_of(type), (const char *)json,
                                                strlen(json_text) / 2, &out, &err);
        if (result < 0)
            fail_msg("%s: %s\n%s", type, err.text, (const char *)json);
        char *hex = mem_zero(2 * out.len + 1);
        hex_encode(out.data, out.len, hex);
        (void)fprintf(answers, "%s%c", hex, i < 2 ? '\t' : '\n');
        free(hex);
        buf_fini(&out);
    }
    options.emit_defaults = false;
    free(wire);
    free(json);
}

static void agrees_with_protobuf_for_python(void **state)
{
    (void)state;
    char count[16];
    (void)snprintf(count, sizeof count, "%d", ORACLE_CASES);
    kitchen_run("protoc $P --python_out=$F kitchen_sink.proto sluice/options/field.proto && "
                "/usr/bin/python3 tests/unit/schema/data/oracle.py make $F $A 20261123",
                count);
    char path[2 * KITCHEN_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/cases", kitchen_folder);
    FILE *cases = fopen(path, "r");
    (void)snprintf(path, sizeof path, "%s/answers", kitchen_folder);
    FILE *answers = fopen(path, "w");
    assert_true(cases != NULL && answers != NULL);
    char *line = NULL;
    size_t cap = 0;
    int lines = 0;
    for (; getline(&line, &cap, cases) > 0; lines++)
        answer(answers, line);
    free(line);
    (void)fclose(cases);
    (void)fclose(answers);
    assert_int_equal(lines, ORACLE_CASES);
    kitchen_run("/usr/bin/python3 tests/unit/schema/data/oracle.py check $F", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_as_the_mapping_says),
        cmocka_unit_test(real_numbers_are_short_and_exact),
        cmocka_unit_test(defaults_are_left_out_or_shown),
        cmocka_unit_test(order_and_repetition_on_the_wire),
        cmocka_unit_test(maps_are_sorted_and_the_last_key_wins),
        cmocka_unit_test(well_known_types_have_their_forms),
        cmocka_unit_test(records_are_objects_with_canonical_names),
        cmocka_unit_test(bad_bytes_are_data_loss),
        cmocka_unit_test(output_that_does_not_fit_is_refused),
        cmocka_unit_test(both_names_and_any_number_form_are_read),
        cmocka_unit_test(well_known_forms_are_read),
        cmocka_unit_test(wrong_json_is_refused_with_its_place),
        cmocka_unit_test(depth_is_the_same_everywhere),
        cmocka_unit_test(depth_of_stored_bytes_is_bounded),
        cmocka_unit_test(elements_are_bounded),
        cmocka_unit_test(a_batch_of_thousands_is_linear),
        cmocka_unit_test(a_request_that_does_not_fit_is_refused),
        cmocka_unit_test(agrees_with_protobuf_for_python),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
