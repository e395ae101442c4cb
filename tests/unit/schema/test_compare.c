/* Two versions of types and of mappings: what changed, and what breaks. */
#include "unit/schema/schema_support.h"

#include "conf/yaml.h"
#include "schema/compare.h"
#include "schema/dictionary.h"

enum { CHANGES_MAX = 64 };

struct seen {
    char lines[CHANGES_MAX][256];
    size_t count;
};

static void collect(void *arg, const struct compare_change *change)
{
    struct seen *seen = arg;

    assert_true(seen->count < CHANGES_MAX);
    (void)snprintf(seen->lines[seen->count++], sizeof seen->lines[0], "%s %s.%s %s",
                   change->breaking ? "!" : "-", change->subject, change->item, change->what);
}

static bool saw(const struct seen *seen, const char *line)
{
    for (size_t i = 0; i < seen->count; i++)
        if (strcmp(seen->lines[i], line) == 0)
            return true;
    return false;
}

/* --- types --------------------------------------------------------------------------------------
 */

/* A field whose options are raw bytes of sluice.options: semantic, sensitivity, key. */
struct field_spec {
    const char *name;
    int number;
    int type;
    int label;
    int semantic, sensitivity, key;
};

struct type_spec {
    struct field_spec fields[6];
    size_t field_count;
    int reserved; /* a number, with the name "gone"; 0: none */
    struct {
        const char *name;
        int number;
    } values[4];
    size_t value_count;
};

static void put_option(struct buf *out, uint32_t number, int value)
{
    (void)buf_append_varint(out, (uint64_t)number << 3);
    (void)buf_append_varint(out, (uint64_t)value);
}

/* Length-delimited piece of a message. */
static void put_piece(struct buf *out, uint32_t number, const void *data, size_t len)
{
    (void)buf_append_varint(out, (uint64_t)number << 3 | 2);
    (void)buf_append_varint(out, len);
    (void)buf_append(out, data, len);
}

static void put_number(struct buf *out, uint32_t number, int value)
{
    put_option(out, number, value);
}

static void put_field(struct buf *message, const struct field_spec *spec)
{
    struct buf field, options;

    buf_init(&field, 4096);
    buf_init(&options, 4096);
    put_piece(&field, 1, spec->name, strlen(spec->name));
    put_number(&field, 3, spec->number);
    put_number(&field, 4, spec->label);
    put_number(&field, 5, spec->type);
    put_option(&options, 50801, spec->semantic);
    put_option(&options, 50802, spec->sensitivity);
    put_option(&options, 50803, spec->key);
    put_piece(&field, 8, options.data, options.len);
    put_piece(message, 2, field.data, field.len);
    buf_fini(&field);
    buf_fini(&options);
}

/* FileDescriptorSet of one file with message t.T and, where there are values, enum t.E. */
static struct buf set_of(const struct type_spec *spec)
{
    struct buf set, file, message, one;

    buf_init(&set, 65536);
    buf_init(&file, 65536);
    buf_init(&message, 65536);
    put_piece(&message, 1, "T", 1);
    for (size_t i = 0; i < spec->field_count; i++)
        put_field(&message, &spec->fields[i]);
    if (spec->reserved != 0) {
        buf_init(&one, 64);
        put_number(&one, 1, spec->reserved);
        put_number(&one, 2, spec->reserved + 1);
        put_piece(&message, 9, one.data, one.len);
        buf_fini(&one);
        put_piece(&message, 10, "gone", 4);
    }
    put_piece(&file, 1, "t.proto", 7);
    put_piece(&file, 2, "t", 1);
    put_piece(&file, 4, message.data, message.len);
    if (spec->value_count > 0) {
        buf_init(&one, 4096);
        put_piece(&one, 1, "E", 1);
        for (size_t i = 0; i < spec->value_count; i++) {
            struct buf value;
            buf_init(&value, 256);
            put_piece(&value, 1, spec->values[i].name, strlen(spec->values[i].name));
            put_number(&value, 2, spec->values[i].number);
            put_piece(&one, 2, value.data, value.len);
            buf_fini(&value);
        }
        put_piece(&file, 5, one.data, one.len);
        buf_fini(&one);
    }
    put_piece(&file, 12, "proto3", 6);
    put_piece(&set, 1, file.data, file.len);
    buf_fini(&file);
    buf_fini(&message);
    return set;
}

enum { STRING = 9, INT64 = 3, SINGLE = 1, REPEATED = 3 };
#define FIELD(name_, number_)                                                                      \
    {                                                                                              \
        name_, number_, STRING, SINGLE, 1, 3, 0                                                    \
    }

static const struct type_spec original = {
    .fields = { { "id", 1, STRING, SINGLE, 1, 4, 1 }, FIELD("name", 2), FIELD("gone", 3) },
    .field_count = 3,
    .values = { { "ZERO", 0 }, { "ONE", 1 } },
    .value_count = 2,
};

static void compare(const struct type_spec *after, struct seen *seen)
{
    struct buf a = set_of(&original), b = set_of(after);
    struct err err = ERR_INIT;

    seen->count = 0;
    if (compare_types(buf_slice(&a), buf_slice(&b), collect, seen, &err) != 0)
        fail_msg("%s %s", err.text, err.detail);
    buf_fini(&a);
    buf_fini(&b);
}

static void test_equal_types_have_no_changes(void **state)
{
    struct seen seen;

    (void)state;
    compare(&original, &seen);
    assert_int_equal(seen.count, 0);
}

static void test_each_change_of_a_type(void **state)
{
    static const struct {
        struct field_spec
            field; /* replaces the one at `at`, or is added behind; NULL name: taken out */
        size_t at;
        int reserved;
        const char *line;
    } cases[] = {
        { { 0 }, 2, 0, "! t.T.gone FIELD_REMOVED" },
        { { 0 }, 2, 3, "- t.T.gone FIELD_REMOVED" },
        { FIELD("other", 2), 1, 0, "! t.T.name FIELD_RENAMED" },
        { { "other", 2, INT64, SINGLE, 1, 3, 0 }, 1, 0, "! t.T.name NUMBER_REUSED" },
        { FIELD("name", 9), 1, 0, "! t.T.name FIELD_RENUMBERED" },
        { { "name", 2, INT64, SINGLE, 1, 3, 0 }, 1, 0, "! t.T.name FIELD_TYPE_CHANGED" },
        { { "name", 2, STRING, REPEATED, 1, 3, 0 }, 1, 0, "! t.T.name FIELD_LABEL_CHANGED" },
        { { "name", 2, STRING, SINGLE, 5, 3, 0 }, 1, 0, "! t.T.name SEMANTIC_CHANGED" },
        { { "name", 2, STRING, SINGLE, 1, 2, 0 }, 1, 0, "! t.T.name SENSITIVITY_LOWERED" },
        { { "name", 2, STRING, SINGLE, 1, 4, 0 }, 1, 0, "- t.T.name SENSITIVITY_RAISED" },
        { { "name", 2, STRING, SINGLE, 1, 3, 2 }, 1, 0, "! t.T.name KEY_CHANGED" },
        { FIELD("more", 4), 3, 0, "- t.T.more FIELD_ADDED" },
        { { "more", 4, STRING, SINGLE, 1, 3, 2 }, 3, 0, "! t.T.more KEY_CHANGED" },
    };
    struct seen seen;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct type_spec after = original;
        after.fields[cases[i].at] = cases[i].field;
        after.reserved = cases[i].reserved;
        after.field_count = cases[i].field.name == NULL ? cases[i].at : cases[i].at == 3 ? 4 : 3;
        compare(&after, &seen);
        if (seen.count != 1 || !saw(&seen, cases[i].line))
            fail_msg("%s: %zu changes, first \"%s\"", cases[i].line, seen.count, seen.lines[0]);
    }
}

static void test_unspecified_sensitivity_counts_as_level_four(void **state)
{
    struct type_spec after = original;
    struct seen seen;

    (void)state;
    after.fields[0].sensitivity = 0; /* was 4 */
    compare(&after, &seen);
    assert_int_equal(seen.count, 0);
    after.fields[1].sensitivity = 0; /* was 3 */
    compare(&after, &seen);
    assert_true(saw(&seen, "- t.T.name SENSITIVITY_RAISED"));
}

static void test_enum_values(void **state)
{
    struct type_spec after = original;
    struct seen seen;

    (void)state;
    after.values[1].number = 2;
    compare(&after, &seen);
    assert_true(saw(&seen, "! t.E.ONE ENUM_VALUE_RENUMBERED"));
    after.value_count = 1;
    compare(&after, &seen);
    assert_true(saw(&seen, "! t.E.ONE ENUM_VALUE_REMOVED"));
    after = original;
    after.values[2].name = "TWO";
    after.values[2].number = 2;
    after.value_count = 3;
    compare(&after, &seen);
    assert_true(seen.count == 1 && saw(&seen, "- t.E.TWO ENUM_VALUE_ADDED"));
    after.value_count = 0;
    compare(&after, &seen);
    assert_true(saw(&seen, "! t.E. ENUM_REMOVED"));
}

static void test_malformed_sets_are_refused(void **state)
{
    static const uint8_t bad[] = { 0x0a, 0x7f, 0x01 };
    struct buf good = set_of(&original);
    struct seen seen = { .count = 0 };
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        compare_types(slice_of(bad, sizeof bad), buf_slice(&good), collect, &seen, &err), -1);
    assert_int_equal(
        compare_types(buf_slice(&good), slice_of(bad, sizeof bad), collect, &seen, &err), -1);
    assert_int_equal(seen.count, 0);
    buf_fini(&good);
}

static void test_who_holds_a_type(void **state)
{
    struct schema_bundle *bundle = published();
    const struct schema_set *types = schema_bundle_types(bundle);

    (void)state;
    assert_true(compare_type_holds(types, "gov.person.v1.Resident", "gov.person.v1.Resident"));
    assert_true(compare_type_holds(types, "gov.person.v1.Resident", "gov.person.v1.Sex"));
    assert_false(compare_type_holds(types, "gov.person.v1.Resident", "gov.division.v1.Division"));
    assert_true(compare_type_holds(types, "not.there", "not.there"));
    schema_bundle_free(&bundle);
}

/* --- mappings -----------------------------------------------------------------------------------
 */

static struct dictionary *dictionary_from(const char *mapping, const char *codes)
{
    char dir[] = "/tmp/sluice-dictionary-XXXXXX", path[512];
    const char *const texts[2] = { mapping, codes };
    static const char *const names[2] = { "departments/d/x.yaml", "codes/kind.csv" };
    struct err err = ERR_INIT;

    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < 2; i++) {
        if (texts[i] == NULL)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        make_folders(path);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(texts[i], file) >= 0);
        (void)fclose(file);
    }
    struct dictionary *dictionary = dictionary_load(dir, &err);
    if (dictionary == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    return dictionary;
}

#define HEAD  "version: 1\ntype: a.B\ntable: t\nsharing: open\nfields:\n"
#define CODES "native,canonical\n1,ONE\n2,TWO\n"

static void test_each_change_of_a_mapping(void **state)
{
    static const struct {
        const char *before, *after, *codes;
        const char *line; /* NULL: no change */
    } cases[] = {
        { HEAD "  a: x\n", HEAD "  a: {from: x}\n", CODES, NULL },
        { HEAD "  a: x\n", HEAD "  a: \"x\"\n", CODES, NULL }, /* only written another way */
        { HEAD "  a: x\n", HEAD "  a: y\n", CODES, "- d/x.a SOURCE_CHANGED" },
        { HEAD "  a: x\n", HEAD "  a: {from: x, normalise: [trim]}\n", CODES,
          "- d/x.a CHAIN_CHANGED" },
        { HEAD "  a: {from: x, null_values: [NA]}\n", HEAD "  a: x\n", CODES,
          "- d/x.a NULL_RULE_CHANGED" },
        { HEAD "  a: x\n", HEAD "  a: {from: x, required: true}\n", CODES, "- d/x.a RULE_CHANGED" },
        { HEAD "  a: x\n  b: y\n", HEAD "  a: x\n", CODES, "! d/x.b FIELD_REMOVED" },
        { HEAD "  a: x\n", HEAD "  a: x\n  b: y\n", CODES, "- d/x.b FIELD_ADDED" },
        { HEAD "  a: x\n", "key: [a]\n" HEAD "  a: x\n", CODES, "! d/x.key KEY_CHANGED" },
        { HEAD "  a: x\n", "collation: C\n" HEAD "  a: x\n", CODES,
          "- d/x.collation SETTING_CHANGED" },
        { HEAD "  a: {from: x, codes: {1: A, 2: B}}\n", HEAD "  a: {from: x, codes: {2: B}}\n",
          CODES, "! d/x.a CODE_REMOVED" },
        { HEAD "  a: {from: x, codes: {1: A}}\n", HEAD "  a: {from: x, codes: {1: B}}\n", CODES,
          "! d/x.a CODE_CHANGED" },
        { HEAD "  a: {from: x, codes: {1: A}}\n", HEAD "  a: {from: x, codes: {1: A, 2: B}}\n",
          CODES, "- d/x.a CODE_ADDED" },
        { HEAD "  a: {from: x, codes: kind}\n", HEAD "  a: {from: x, codes: kind}\n",
          "native,canonical\n1,ONE\n2,DEUX\n", "! d/x.a (kind.csv) CODE_CHANGED" },
        { HEAD "  a: {from: x, codes: kind}\n", HEAD "  a: {from: x, codes: kind}\n",
          CODES "\"3,x\",THREE\n", "- d/x.a (kind.csv) CODE_ADDED" },
        { HEAD "  a: {from: x, normalise: [{cn_division: {length: 6, table: kind}}]}\n",
          HEAD "  a: {from: x, normalise: [{cn_division: {length: 6, table: kind}}]}\n",
          "native,canonical\n1,ONE\n", "! d/x.a (kind.csv) CODE_REMOVED" },
        { HEAD "  a: x\n", HEAD "  a: x\n", "native,canonical\n", NULL }, /* nobody uses it */
    };
    struct seen seen;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dictionary *before = dictionary_from(cases[i].before, CODES);
        struct dictionary *after = dictionary_from(cases[i].after, cases[i].codes);

        seen.count = 0;
        compare_mappings(before, after, collect, &seen);
        if (cases[i].line == NULL ? seen.count != 0 : seen.count != 1 || !saw(&seen, cases[i].line))
            fail_msg("%s: %zu changes, first \"%s\"", cases[i].after, seen.count, seen.lines[0]);
        dictionary_free(&before);
        dictionary_free(&after);
    }
}

static void test_sharing_and_datasets(void **state)
{
    struct dictionary *open = dictionary_from("sharing: open\nfields: {a: x}\n", NULL);
    struct dictionary *denied = dictionary_from("sharing: denied\nfields: {a: x}\n", NULL);
    struct dictionary *empty = dictionary_from(NULL, CODES);
    struct seen seen = { .count = 0 };

    (void)state;
    compare_mappings(open, denied, collect, &seen);
    compare_mappings(denied, open, collect, &seen);
    compare_mappings(open, empty, collect, &seen);
    compare_mappings(empty, open, collect, &seen);
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.lines[0], "! d/x.sharing SHARING_CHANGED");
    assert_string_equal(seen.lines[1], "- d/x.sharing SHARING_CHANGED");
    assert_string_equal(seen.lines[2], "! d/x. DATASET_REMOVED");
    assert_string_equal(seen.lines[3], "- d/x. DATASET_ADDED");
    dictionary_free(&open);
    dictionary_free(&denied);
    dictionary_free(&empty);
}

/* A department that replaces a table of thousands does not want thousands of lines. */
static void test_many_rows_are_counted(void **state)
{
    struct buf text;
    struct seen seen = { .count = 0 };

    (void)state;
    buf_init(&text, 65536);
    (void)buf_append_str(&text, "native,canonical\n");
    for (int i = 0; i < 100; i++)
        (void)buf_append_format(&text, "n%d,X\n", i);
    struct dictionary *before = dictionary_from(HEAD "  a: {from: x, codes: kind}\n", CODES);
    struct dictionary *after =
        dictionary_from(HEAD "  a: {from: x, codes: kind}\n", buf_cstr(&text));
    compare_mappings(before, after, collect, &seen);
    assert_int_equal(seen.count, COMPARE_CODE_ROWS_MAX + 1);
    assert_true(saw(&seen, "! d/x.a (kind.csv) CODES_MORE"));
    dictionary_free(&before);
    dictionary_free(&after);
    buf_fini(&text);
}

static void test_columns_of_a_field(void **state)
{
    struct dictionary *dictionary = dictionary_from(
        "fields:\n"
        "  a: x\n"
        "  b: {from: [{column: x, length: 3, rest: \"000\"}, y, {column: x, substr: [1, 2]}]}\n"
        "  c: {constant: K}\n"
        "  d: {from: {column: \"z z\", split: {separator: \"-\", item: 2}}}\n",
        NULL);
    const struct yaml_node *root = dictionary_at(dictionary, 0)->root;
    const struct yaml_node *fields = yaml_get(root, "fields");
    const char *names[4];

    (void)state;
    assert_int_equal(dictionary_columns(yaml_get(fields, "a"), names, 4), 1);
    assert_string_equal(names[0], "x");
    assert_int_equal(dictionary_columns(yaml_get(fields, "b"), names, 4), 2);
    assert_string_equal(names[1], "y");
    assert_int_equal(dictionary_columns(yaml_get(fields, "c"), names, 4), 0);
    assert_int_equal(dictionary_columns(yaml_get(fields, "d"), names, 4), 1);
    assert_string_equal(names[0], "z z");
    dictionary_free(&dictionary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_types_have_no_changes),
        cmocka_unit_test(test_each_change_of_a_type),
        cmocka_unit_test(test_unspecified_sensitivity_counts_as_level_four),
        cmocka_unit_test(test_enum_values),
        cmocka_unit_test(test_malformed_sets_are_refused),
        cmocka_unit_test(test_who_holds_a_type),
        cmocka_unit_test(test_each_change_of_a_mapping),
        cmocka_unit_test(test_sharing_and_datasets),
        cmocka_unit_test(test_many_rows_are_counted),
        cmocka_unit_test(test_columns_of_a_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
