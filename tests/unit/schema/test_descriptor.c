#include "kitchen.h"

#include "google/protobuf/descriptor.pb-c.h"
#include "schema/prescan.h"

static struct schema_set *set;

static int setup(void **state)
{
    (void)state;
    kitchen_make();
    set = kitchen_load();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schema_set_free(&set);
    assert_null(set);
    kitchen_remove();
    return 0;
}

static const struct schema_field *field(const char *message, const char *name)
{
    const struct schema_message *found = schema_set_message(set, message);
    assert_non_null(found);
    const struct schema_field *result = schema_message_field(found, name, strlen(name));
    assert_non_null(result);
    return result;
}

static void names_resolve(void **state)
{
    (void)state;
    const struct schema_message *sink = schema_set_message(set, "test.kitchen.Sink");
    assert_non_null(sink);
    assert_string_equal(sink->file, "kitchen_sink.proto");
    assert_ptr_equal(field("test.kitchen.Sink", "child")->message, sink);
    assert_ptr_equal(schema_set_message_n(set, "test.kitchen.Sink-", 17), sink);
    assert_null(schema_set_message(set, ".test.kitchen.Sink"));
    assert_null(schema_set_message(set, "test.kitchen.Level"));
    assert_null(schema_set_message_n(set, "test.kitchen.Sink\0x", 19));
    assert_null(schema_set_message(set, ""));
    const struct schema_enum *colour = schema_set_enum(set, "test.kitchen.Sink.Inner.Colour");
    assert_non_null(colour);
    assert_ptr_equal(field("test.kitchen.Sink.Inner", "colour")->enumeration, colour);
    assert_string_equal(schema_field_type_name(field("test.kitchen.Sink", "inner")),
                        "test.kitchen.Sink.Inner");
    assert_string_equal(schema_field_type_name(field("test.kitchen.Scalars", "sint32_value")),
                        "sint32");
}

static void every_type_has_its_number_and_wire(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum schema_type type;
        enum schema_wire wire;
    } rows[] = {
        { "int32_value", SCHEMA_INT32, WIRE_VARINT },
        { "int64_value", SCHEMA_INT64, WIRE_VARINT },
        { "uint32_value", SCHEMA_UINT32, WIRE_VARINT },
        { "uint64_value", SCHEMA_UINT64, WIRE_VARINT },
        { "sint32_value", SCHEMA_SINT32, WIRE_VARINT },
        { "sint64_value", SCHEMA_SINT64, WIRE_VARINT },
        { "fixed32_value", SCHEMA_FIXED32, WIRE_I32 },
        { "fixed64_value", SCHEMA_FIXED64, WIRE_I64 },
        { "sfixed32_value", SCHEMA_SFIXED32, WIRE_I32 },
        { "sfixed64_value", SCHEMA_SFIXED64, WIRE_I64 },
        { "float_value", SCHEMA_FLOAT, WIRE_I32 },
        { "double_value", SCHEMA_DOUBLE, WIRE_I64 },
        { "bool_value", SCHEMA_BOOL, WIRE_VARINT },
        { "string_value", SCHEMA_STRING, WIRE_LEN },
        { "bytes_value", SCHEMA_BYTES, WIRE_LEN },
        { "level_value", SCHEMA_ENUM, WIRE_VARINT },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct schema_field *found = field("test.kitchen.Scalars", rows[i].name);
        assert_int_equal(found->type, rows[i].type);
        assert_int_equal(found->number, i + 1);
        assert_int_equal(found->position, i);
        assert_int_equal(schema_wire_of(found->type), rows[i].wire);
        assert_false(found->has_presence);
        assert_int_equal(found->oneof, -1);
    }
}

static void packing_follows_the_syntax(void **state)
{
    (void)state;
    assert_true(field("test.kitchen.Lists", "int32_list")->packed);
    assert_true(field("test.kitchen.Lists", "level_list")->packed);
    assert_false(field("test.kitchen.Lists", "loose_list")->packed);
    assert_false(field("test.kitchen.Lists", "string_list")->packed);
    assert_false(field("test.kitchen.Lists", "scalars_list")->packed);
    assert_false(field("test.old.Old", "loose")->packed);
    assert_true(field("test.old.Old", "tight")->packed);
    assert_true(field("test.old.Old", "id")->has_presence);
    assert_true(field("test.old.Old", "name")->has_presence);
    assert_false(field("test.old.Old", "tight")->has_presence);
}

static void presence_and_oneofs(void **state)
{
    (void)state;
    const char *type = "test.kitchen.Optionals";
    assert_int_equal(schema_set_message(set, type)->oneof_count, 2);
    assert_true(field(type, "number")->has_presence);
    assert_int_equal(field(type, "number")->oneof, -1);
    assert_int_equal(field(type, "level")->oneof, -1);
    assert_true(field(type, "choice_text")->has_presence);
    assert_int_equal(field(type, "choice_text")->oneof, 0);
    assert_int_equal(field(type, "choice_scalars")->oneof, 0);
    assert_int_equal(field(type, "other_bytes")->oneof, 1);
    assert_true(field("test.kitchen.Known", "at")->has_presence);
    assert_false(field("test.kitchen.Known", "times")->has_presence);
}

static void maps_are_seen(void **state)
{
    (void)state;
    const struct schema_field *map = field("test.kitchen.Maps", "scalars_map");
    assert_true(map->map && map->repeated && map->message->map_entry);
    assert_int_equal(map->message->fields[0].type, SCHEMA_STRING);
    assert_string_equal(map->message->fields[1].message->full_name, "test.kitchen.Scalars");
    assert_false(field("test.kitchen.Lists", "scalars_list")->map);
}

static void options_and_comments_are_read(void **state)
{
    (void)state;
    const struct schema_field *id = field("test.kitchen.Sink.Inner", "id_number");
    assert_int_equal(id->semantic, 1);
    assert_int_equal(id->sensitivity, 3);
    assert_int_equal(id->key, 1);
    assert_string_equal(id->label_zh, "公民身份号码");
    assert_string_equal(id->json_name, "idNumber");
    assert_null(id->message_type_from);
    assert_string_equal(id->comment, "");
    const struct schema_field *colour = field("test.kitchen.Sink.Inner", "colour");
    assert_string_equal(colour->comment, "Inner colour.\nSecond line.");
    assert_string_equal(colour->label_zh, "");
    assert_int_equal(colour->key, 0);
    assert_string_equal(field("test.kitchen.Scalars", "int32_value")->comment, "A whole number.");
    assert_string_equal(field("sluice.v1.RecordBatch", "records")->message_type_from, "type_name");
}

static void fields_are_found_by_name_and_number(void **state)
{
    (void)state;
    const struct schema_message *inner = schema_set_message(set, "test.kitchen.Sink.Inner");
    assert_int_equal(inner->fields[0].number, 1); /* declared second */
    assert_ptr_equal(schema_message_field_json(inner, "idNumber", 8), &inner->fields[0]);
    assert_ptr_equal(schema_message_field_json(inner, "id_number", 9), &inner->fields[0]);
    assert_ptr_equal(schema_message_field_json(inner, "other\"Name", 10), &inner->fields[1]);
    assert_null(schema_message_field(inner, "idNumber", 8));
    assert_null(schema_message_field(inner, "id_numbe", 8));
    assert_null(schema_message_field(inner, "id_number\0", 10));
    const struct schema_message *sink = schema_set_message(set, "test.kitchen.Sink");
    assert_string_equal(schema_message_number(sink, 536870911)->name, "far");
    assert_string_equal(schema_message_number(sink, 8)->name, "inner");
    assert_null(schema_message_number(sink, 0));
    assert_null(schema_message_number(sink, 9));
    assert_null(schema_message_number(sink, UINT32_MAX));
}

static void enums_are_found(void **state)
{
    (void)state;
    const struct schema_enum *level = schema_set_enum(set, "test.kitchen.Level");
    assert_int_equal(level->value_count, 5);
    assert_int_equal(schema_enum_by_name(level, "BELOW", 5)->number, -1);
    assert_string_equal(schema_enum_by_number(level, 2)->name, "VILLAGE"); /* before its alias */
    assert_int_equal(schema_enum_by_name(level, "HAMLET", 6)->number, 2);
    assert_null(schema_enum_by_name(level, "town", 4));
    assert_null(schema_enum_by_number(level, 7));
}

static void services_have_methods(void **state)
{
    (void)state;
    const struct schema_service *kitchen = NULL;
    for (size_t i = 0; i < schema_set_service_count(set); i++)
        if (strcmp(schema_set_service(set, i)->full_name, "test.kitchen.Kitchen") == 0)
            kitchen = schema_set_service(set, i);
    assert_non_null(kitchen);
    assert_int_equal(kitchen->method_count, 2);
    assert_string_equal(kitchen->methods[1].path, "/test.kitchen.Kitchen/Serve");
    assert_true(kitchen->methods[1].client_streaming && kitchen->methods[1].server_streaming);
    assert_false(kitchen->methods[0].server_streaming);
    assert_string_equal(kitchen->methods[0].output->full_name, "test.kitchen.Sink");
    assert_null(schema_set_service(set, schema_set_service_count(set)));
}

static void reflection_keeps_the_bytes(void **state)
{
    (void)state;
    static const char *const symbols[] = { "test.kitchen.Sink", "test.kitchen.Sink.Inner.Colour",
                                           "test.kitchen.Kitchen", "test.kitchen.Kitchen.Cook" };
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        assert_string_equal(schema_set_file_of_symbol(set, symbols[i]), "kitchen_sink.proto");
    assert_null(schema_set_file_of_symbol(set, "test.kitchen"));
    struct slice bytes = schema_set_file(set, "kitchen_sink.proto");
    Google__Protobuf__FileDescriptorProto *file =
        google__protobuf__file_descriptor_proto__unpack(NULL, bytes.len, bytes.data);
    assert_non_null(file);
    assert_string_equal(file->name, "kitchen_sink.proto");
    google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
    assert_int_equal(schema_set_file(set, "none.proto").len, 0);
    const char *const *imports = schema_set_imports(set, "kitchen_sink.proto");
    assert_string_equal(imports[0], "google/protobuf/any.proto");
    assert_null(imports[8]);
    assert_null(schema_set_imports(set, "none.proto"));
}

static void closure_holds_file_and_imports(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(schema_set_closure(set, "sluice/v1/exchange.proto", &out), 0);
    struct err err = ERR_INIT;
    struct schema_set *part = schema_set_load(out.data, out.len, &err);
    assert_non_null(part);
    assert_non_null(schema_set_message(part, "sluice.v1.RecordBatch"));
    assert_non_null(schema_set_message(part, "google.protobuf.FileDescriptorSet"));
    assert_null(schema_set_message(part, "test.kitchen.Sink"));
    schema_set_free(&part);
    buf_fini(&out);
    buf_init(&out, 100);
    assert_int_equal(schema_set_closure(set, "sluice/v1/exchange.proto", &out), -1);
    assert_int_equal(out.len, 0);
    assert_int_equal(schema_set_closure(set, "none.proto", &out), -1);
    buf_fini(&out);
}

static void the_api_loads(void **state)
{
    (void)state;
    const char *folder = getenv("O");
    char path[KITCHEN_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/gen/api.pb", folder != NULL ? folder : "build");
    size_t len;
    uint8_t *data = kitchen_read(path, &len);
    struct err err = ERR_INIT;
    struct schema_set *api = schema_set_load(data, len, &err);
    assert_non_null(api);
    assert_non_null(schema_set_message(api, "sluice.v1.LookupRequest"));
    /* Every prefix is refused or loads, and never reads beyond its end. */
    for (size_t cut = 0; cut < len; cut += cut < 600 ? 1 : 97) {
        uint8_t *part = mem_dup(data, cut);
        struct schema_set *short_set = schema_set_load(part, cut, &err);
        schema_set_free(&short_set);
        free(part);
    }
    schema_set_free(&api);
    free(data);
}

/* --- refusals: sets written in text format ------------------------------------------------------
 */

#define FILE_OF(body_)    "file { name: \"a.proto\" syntax: \"proto3\" package: \"p\" " body_ " }"
#define MESSAGE_OF(body_) FILE_OF("message_type { name: \"M\" " body_ " }")
#define FIELD_OF(body_)   MESSAGE_OF("field { name: \"f\" label: LABEL_OPTIONAL " body_ " }")
#define PLAIN_FIELD(name_, number_)                                                                \
    "field { name: \"" name_ "\" number: " number_ " label: LABEL_OPTIONAL type: TYPE_INT32 }"

static void check_set(const char *text, const char *part)
{
    size_t len;
    uint8_t *data = kitchen_encode("google.protobuf.FileDescriptorSet", text, &len);
    struct err err = ERR_INIT;
    struct schema_set *loaded = schema_set_load(data, len, &err);
    free(data);
    if (part == NULL) {
        if (loaded == NULL)
            fail_msg("refused: %s\n%s", text, err.text);
    } else {
        if (loaded != NULL)
            fail_msg("accepted: %s", text);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "DESCRIPTOR_INVALID");
        if (strstr(err.text, part) == NULL)
            fail_msg("%s\nhas not: %s", err.text, part);
    }
    schema_set_free(&loaded);
}

static void bad_sets_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { FIELD_OF("number: 1 type: TYPE_INT32"), NULL },
        { FIELD_OF("number: 536870911 type: TYPE_INT32"), NULL },
        { FIELD_OF("number: 0 type: TYPE_INT32"), "536870911" },
        { FIELD_OF("number: -1 type: TYPE_INT32"), "536870911" },
        { FIELD_OF("number: 536870912 type: TYPE_INT32"), "536870911" },
        { FIELD_OF("type: TYPE_INT32"), "536870911" },
        { FIELD_OF("number: 1"), "no type" },
        { FIELD_OF("number: 1 type: TYPE_GROUP type_name: \".p.M\""), "group" },
        { FIELD_OF("number: 1 type: TYPE_MESSAGE type_name: \".p.None\""), "not in the set" },
        { FIELD_OF("number: 1 type: TYPE_MESSAGE type_name: \"p.M\""), "not in the set" },
        { FIELD_OF("number: 1 type: TYPE_MESSAGE"), "not in the set" },
        { FIELD_OF("number: 1 type: TYPE_ENUM type_name: \".p.M\""), "enum" },
        { FIELD_OF("number: 1 type: TYPE_INT32 oneof_index: 0"), "oneof" },
        { FIELD_OF("number: 1 type: TYPE_INT32 oneof_index: -1"), "oneof" },
        { FIELD_OF("number: 1 type: TYPE_INT32 options { [sluice.options.sensitivity]: CORE }"),
          NULL },
        { FIELD_OF(
              "number: 1 type: TYPE_BYTES options { [sluice.options.message_type_from]: \"x\" }"),
          "message_type_from" },
        { FIELD_OF(
              "number: 1 type: TYPE_INT32 options { [sluice.options.message_type_from]: \"f\" }"),
          "message_type_from" },
        { FIELD_OF("number: 1 type: TYPE_INT32 options { [sluice.options.key]: 2000 }"), "50803" },
        { MESSAGE_OF(PLAIN_FIELD("a", "1") PLAIN_FIELD("b", "1")), "same number" },
        { MESSAGE_OF(PLAIN_FIELD("a", "1") PLAIN_FIELD("a", "2")), "same name" },
        { MESSAGE_OF(PLAIN_FIELD("a_b", "1") PLAIN_FIELD("aB", "2")), "JSON name" },
        { MESSAGE_OF(PLAIN_FIELD("1a", "1")), "identifier" },
        { MESSAGE_OF(PLAIN_FIELD("", "1")), "identifier" },
        { MESSAGE_OF("options { message_set_wire_format: true }"), "message sets" },
        { MESSAGE_OF("options { map_entry: true }"), "map entry" },
        { FILE_OF("message_type { name: \"M.x\" }"), "identifier" },
        { FILE_OF("message_type { }"), "no name" },
        { FILE_OF("message_type { name: \"M\" } message_type { name: \"M\" }"), "declared twice" },
        { FILE_OF("message_type { name: \"M\" } enum_type { name: \"M\" value { name: \"Z\" "
                  "number: 0 } }"),
          "declared twice" },
        { FILE_OF("enum_type { name: \"E\" }"), "at least one value" },
        { FILE_OF("enum_type { name: \"E\" value { name: \"Z\" number: 0 } value { name: \"Z\" "
                  "number: 1 } }"),
          "same name" },
        { FILE_OF("enum_type { name: \"E\" value { name: \"Z\" } }"), "no name or number" },
        { FILE_OF("dependency: \"b.proto\""), "import" },
        { FILE_OF("service { name: \"S\" method { name: \"M\" input_type: \".p.X\" output_type: "
                  "\".p.X\" } }"),
          "request or answer" },
        { FILE_OF("") FILE_OF(""), "twice" },
        { "file { syntax: \"proto3\" }", "no name" },
        { "file { name: \"a.proto\" package: \"p..q\" }", "dotted" },
        { "file { name: \"a.proto\" package: \"p.\" }", "dotted" },
        { "file { name: \"a.proto\" syntax: \"editions\" }", "syntax" },
        { "file { name: \"数据/a.proto\" dependency: \"目录/b.proto\" }", "目录/b.proto" },
        { "file { name: \"google/protobuf/timestamp.proto\" syntax: \"proto3\" package: "
          "\"google.protobuf\" message_type { name: \"Timestamp\" } }",
          "well-known" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_set(rows[i][0], rows[i][1]);
}

static void raw_bytes_are_checked_first(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_null(schema_set_load((const uint8_t *)"", 0, &err));
    static const struct {
        const char *bytes;
        size_t len;
        const char *part;
    } rows[] = {
        { "\x0a\x05\x0a\x03\xff\xfe\xfd", 7, "UTF-8" },
        { "\x0a\x05\x0a\x03"
          "a\0b",
          7, "U+0000" },
        { "\x0a\x05\x0a\x04"
          "abc",
          7, "cut short" },
        { "\x0b\x0c", 2, "cut short" },
        { "\x08\x01", 2, "wire type" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_null(schema_set_load((const uint8_t *)rows[i].bytes, rows[i].len, &err));
        assert_non_null(strstr(err.text, rows[i].part));
    }
    /* nested_type (3) inside nested_type ..., each level two or three bytes longer than the last */
    uint8_t deep[4096];
    size_t at = sizeof deep;
    size_t len = 0;
    for (int i = 0; i < 200; i++) {
        uint8_t head[12];
        head[0] = i < 198 ? 0x1A : i == 198 ? 0x22 : 0x0A;
        size_t size = 1 + varint_put(head + 1, len);
        at -= size;
        memcpy(deep + at, head, size);
        len += size;
    }
    assert_null(schema_set_load(deep + at, len, &err));
    assert_non_null(strstr(err.text, "too deep"));
    uint8_t *many = mem_zero(3 * 1000 * 1000);
    for (size_t i = 0; i < 3 * 1000 * 1000; i += 2)
        many[i] = 0x0A;
    assert_null(schema_set_load(many, 3 * 1000 * 1000, &err));
    assert_non_null(strstr(err.text, "too many elements"));
    free(many);
}

static void too_many_fields_are_refused(void **state)
{
    (void)state;
    struct buf text;
    for (int count = SCHEMA_FIELDS_MAX; count <= SCHEMA_FIELDS_MAX + 1; count++) {
        buf_init(&text, 1 << 20);
        (void)buf_append_str(
            &text, "file { name: \"a.proto\" syntax: \"proto3\" message_type { name: \"M\" ");
        for (int i = 1; i <= count; i++)
            (void)buf_append_format(
                &text, "field { name: \"f%d\" number: %d label: LABEL_OPTIONAL type: TYPE_BOOL } ",
                i, i);
        (void)buf_append_str(&text, "} }");
        check_set(buf_cstr(&text), count > SCHEMA_FIELDS_MAX ? "too many fields" : NULL);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_resolve),
        cmocka_unit_test(every_type_has_its_number_and_wire),
        cmocka_unit_test(packing_follows_the_syntax),
        cmocka_unit_test(presence_and_oneofs),
        cmocka_unit_test(maps_are_seen),
        cmocka_unit_test(options_and_comments_are_read),
        cmocka_unit_test(fields_are_found_by_name_and_number),
        cmocka_unit_test(enums_are_found),
        cmocka_unit_test(services_have_methods),
        cmocka_unit_test(reflection_keeps_the_bytes),
        cmocka_unit_test(closure_holds_file_and_imports),
        cmocka_unit_test(the_api_loads),
        cmocka_unit_test(bad_sets_are_refused),
        cmocka_unit_test(raw_bytes_are_checked_first),
        cmocka_unit_test(too_many_fields_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
