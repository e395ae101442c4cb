/* Bundles: the published datasets, digests, and what a wrong mapping is told. */
#include "schema_support.h"

static const char head[] =
    "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\n"
    "table: t\nsharing: open\n"; /* 6 lines */

static void published_datasets_load(void **state)
{
    (void)state;
    static const char *const names[] = { "civil-affairs/counties", "civil-affairs/residents",
                                         "civil-affairs/towns",    "statistics/cities",
                                         "statistics/counties",    "statistics/provinces",
                                         "statistics/streets",     "statistics/villages" };
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = schema_bundle_load("schemas", canonical_pb(), &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct schema_dataset *dataset = schema_bundle_find(bundle, names[i]);
        if (dataset == NULL)
            fail_msg("missing %s", names[i]);
        assert_string_equal(dataset->name, names[i]);
        assert_int_equal(dataset->key_count, 1);
        assert_int_equal(dataset->key[0]->number, 1);
        assert_true(schema_dataset_filterable(dataset, dataset->key[0]));
        assert_true(strlen(dataset->title) > 3 && strlen(dataset->title_zh) > 3);
    }
    const struct schema_dataset *residents = schema_bundle_find(bundle, "civil-affairs/residents");
    assert_string_equal(residents->source, "civil-affairs");
    assert_string_equal(residents->department, "civil-affairs");
    assert_int_equal(residents->sharing, SHARING_CONDITIONAL);
    assert_string_equal(residents->type->full_name, "gov.person.v1.Resident");
    assert_null(schema_bundle_find(bundle, "civil-affairs/x"));
    assert_null(schema_bundle_find(bundle, ""));
    for (size_t i = 1; i < schema_bundle_count(bundle); i++)
        assert_true(
            strcmp(schema_bundle_at(bundle, i - 1)->name, schema_bundle_at(bundle, i)->name) < 0);
    schema_bundle_free(&bundle);
    assert_null(bundle);
    schema_bundle_free(&bundle);
}

static void probes_name_every_column_once_and_quoted(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything(
        "{n: bigint}",
        "  id: 'we\"ird $1 列'\n  part: 'we\"ird $1 列'\n  big: n\n  text: \"a'b\\\\c\"\n", &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    assert_string_equal(
        schema_dataset_probe_sql(schema_bundle_at(bundle, 0)),
        "SELECT \"we\"\"ird $1 列\", \"n\", \"a'b\\c\" FROM \"public\".\"t\" LIMIT 0");
    schema_bundle_free(&bundle);
}

struct refused {
    const char *head; /* NULL: the usual one */
    const char *rest;
    const char *says;
};

static const struct refused refused[] = {
    { NULL, "fields:\n  idd: a\n",
      "departments/d/x.yaml:8:3: test.v1.Everything has no field \"idd\"; did you mean \"id\"?" },
    { NULL, "fields:\n  id: {form: a}\n", ":8:8: unknown key \"form\"; did you mean \"from\"?" },
    { NULL, "fields:\n  id: a\n  id: b\n", ":9:3: the key \"id\" is given twice" },
    { NULL, "fields:\n  id: {from: a, normalise: [trimm]}\n",
      ":8:29: there is no normaliser \"trimm\"; did you mean \"trim\"?" },
    { NULL, "fields:\n  id: {from: a, codes: x}\n", ":8:24: there is no code table \"x\"" },
    { NULL, "fields:\n  text: a\n", "a key field is not mapped" },
    { NULL, "fields: {}\n", "fields needs 1 to" },
    { NULL, "", "the mapping has no fields" },
    { NULL, "fields:\n  id: {from: a, normalise: [nfc]}\n", "a key field cannot be looked up" },
    { NULL, "fields:\n  id: {from: a, default: x}\n", "a key field cannot be looked up" },
    { NULL, "fields:\n  id: {constant: x}\n", "a key field cannot be looked up" },
    { NULL, "fields:\n  id: {from: {column: a, substr: [1, 2]}}\n",
      "a key field cannot be looked up" },
    { NULL, "key: [id, zz]\nfields:\n  id: a\n", ":7:11: test.v1.Everything has no field \"zz\"" },
    { NULL, "key: [id, part]\nfields:\n  id: a\n  part: a\n", "a column may be used once" },
    { NULL, "fields:\n  id: a\n  colour: {constant: PURPLE}\n",
      ":9:22: \"PURPLE\" is no value of colour (test.v1.Colour)" },
    { NULL, "fields:\n  id: a\n  small: {from: b, default: 3000000000}\n", "is no value of small" },
    { NULL, "fields:\n  id: a\n  text: {from: b, default: x, required: true}\n",
      "required and default exclude each other" },
    { NULL, "fields:\n  id: a\n  text: {constant: x, from: b}\n",
      "a constant field takes nothing else" },
    { NULL, "fields:\n  id: a\n  text: {normalise: [trim]}\n",
      "\"from\" or \"constant\" is missing" },
    { NULL, "fields:\n  id: a\n  address: b\n", "a message field is filled field by field" },
    { NULL, "fields:\n  id: a\n  address.street: b\n  address.streett: c\n",
      ":10:3: test.v1.Address has no field \"streett\"" },
    { NULL, "fields:\n  id: a\n  inner.text: b\n  inner: c\n", "cannot both be given" },
    { NULL, "fields:\n  id: a\n  text.x: b\n", "is no single message" },
    { NULL, "fields:\n  id: a\n  tags: b\n", "a repeated field needs an array column" },
    { NULL, "columns: {b: 'text[]'}\nfields:\n  id: a\n  text: b\n",
      "a repeated field needs an array column" },
    { NULL, "fields:\n  id: a\n  extra: b\n", "a map field must be map<string, string>" },
    { NULL, "columns: {b: timestamp}\nfields:\n  id: a\n  at: b\n", "needs utc_offset" },
    { NULL, "columns: {b: timestamp}\nfields:\n  id: a\n  at: {from: b, utc_offset: 8}\n",
      "utc_offset must look like +08:00" },
    { NULL, "columns: {b: bytea}\nfields:\n  id: a\n  text: b\n", "a bytea column feeds" },
    { NULL, "columns: {b: bigintt}\nfields:\n  id: a\n  big: b\n",
      ":7:14: \"bigintt\" is no column type we read; did you mean \"bigint\"?" },
    { NULL, "columns: {zz: bigint}\nfields:\n  id: a\n",
      ":7:11: no field reads the column \"zz\"" },
    { NULL, "columns: {b: int4}\nfields:\n  id: a\n  text: {from: {column: b, length: 2}}\n",
      "only a text column can be cut" },
    { NULL, "fields:\n  id: {from: {column: a, length: 0}}\n", "the number must be from 1" },
    { NULL, "fields:\n  id: {from: {column: a, length: 2, substr: [1, 2]}}\n", "give one of" },
    { NULL, "fields:\n  id: {from: {column: a, split: {separator: '-'}}}\n", "split needs item" },
    { NULL, "fields:\n  id: {from: []}\n", "from needs 1 to 8 columns" },
    { NULL, "fields:\n  id: ''\n", "a column name must have 1 to 63 bytes" },
    { NULL,
      "fields:\n  id: "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
      "a column name must have 1 to 63 bytes" },
    { NULL, "fields:\n  id: [a]\n", NULL }, /* a list without options */
    { "version: 2\n", "", ":1:10: the number must be from 1 to 1" },
    { "vresion: 1\n", "", ":1:1: unknown key \"vresion\"; did you mean \"version\"?" },
    { "title: {en: x, zh: y}\n", "", "\"version\" is missing" },
    { "version: 1\ntitle: {en: x}\n", "", "\"zh\" is missing" },
    { "version: 1\ntitle: {en: x, zh: y}\ntype: test.v1.Nothing\n", "",
      "departments/d/x.yaml:3:7: there is no canonical type \"test.v1.Nothing\"" },
    { "version: 1\ntitle: {en: x, zh: y}\ntype: test.v1.Everything\nsource: s\ntable: t\n"
      "collation: de_DE\nsharing: open\n",
      "", "collation can only be C" },
    { "version: 1\ntitle: {en: x, zh: y}\ntype: test.v1.Everything\nsource: s\ntable: t\n"
      "sharing: public\n",
      "", "sharing must be open, conditional or denied" },
    { "- a\n", "", "this must be a mapping of keys to values, not a list" },
    { "a: [\n", "", "not valid YAML" },
};

static void wrong_mappings_are_refused_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct err err = ERR_INIT;
        char *text =
            mem_format("%s%s", refused[i].head == NULL ? head : refused[i].head, refused[i].rest);
        /* "id: [a]" is short for from and is no list of options: it is fine only under from. */
        struct file_text file = { "departments/d/x.yaml", text };
        struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
        free(text);
        if (refused[i].says == NULL) {
            if (bundle == NULL)
                fail_msg("row %zu: %s", i, err.text);
            schema_bundle_free(&bundle);
            continue;
        }
        if (bundle != NULL)
            fail_msg("row %zu was accepted: %s", i, refused[i].says);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        if (strncmp(err.text, "departments/d/x.yaml:", 21) != 0 ||
            strstr(err.text, refused[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void files_beside_the_rules_are_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct file_text files[] = { { "departments/x.yaml", "a: b\n" } };
    assert_null(bundle_from(files, 1, EVERYTHING_PB, &err));
    assert_non_null(strstr(err.text, "departments/x.yaml:1:1: a mapping lies at"));
    files[0].path = "departments/D/x.yaml";
    assert_null(bundle_from(files, 1, EVERYTHING_PB, &err));
    assert_non_null(strstr(err.text, "small letters"));
    struct file_text tables[] = { { "codes/a/x.csv", "native,canonical\n" },
                                  { "codes/b/x.csv", "native,canonical\n" } };
    assert_null(bundle_from(tables, 2, EVERYTHING_PB, &err));
    assert_non_null(strstr(err.text, "another code table has this name"));
    assert_null(bundle_from(files, 0, "/nonexistent.pb", &err));
    assert_string_equal(err.reason, "FILE_UNREADABLE");
    assert_null(bundle_from(files, 0, "tests/golden/schema/everything.proto", &err));
    assert_non_null(strstr(err.text, "canonical.pb:1:1: "));
}

static void digests_follow_contents_only(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *one = mem_format("%sfields:\n  id: a\n", head);
    char *two = mem_format("%sfields:\n  id: b\n", head);
    struct file_text files[] = { { "departments/d/x.yaml", one }, { "departments/d/y.yaml", two } };
    struct file_text turned[] = { files[1], files[0] };
    struct file_text changed[] = { { "departments/d/x.yaml", two },
                                   { "departments/d/y.yaml", one } };
    struct schema_bundle *a = bundle_from(files, 2, EVERYTHING_PB, &err);
    struct schema_bundle *b = bundle_from(turned, 2, EVERYTHING_PB, &err);
    struct schema_bundle *c = bundle_from(changed, 2, EVERYTHING_PB, &err);
    struct schema_bundle *d = bundle_from(files, 1, EVERYTHING_PB, &err);
    assert_memory_equal(schema_bundle_digest(a), schema_bundle_digest(b), SCHEMA_DIGEST_BYTES);
    assert_memory_not_equal(schema_bundle_digest(a), schema_bundle_digest(c), SCHEMA_DIGEST_BYTES);
    assert_memory_not_equal(schema_bundle_digest(a), schema_bundle_digest(d), SCHEMA_DIGEST_BYTES);
    schema_bundle_free(&a);
    schema_bundle_free(&b);
    schema_bundle_free(&c);
    schema_bundle_free(&d);
    free(one);
    free(two);
}

static void described(PGresult **result, const uint32_t *oids, size_t count)
{
    PGresAttDesc columns[ROW_COLUMNS_MAX];
    memset(columns, 0, sizeof columns);
    for (size_t i = 0; i < count; i++) {
        columns[i].name = (char *)"c";
        columns[i].typid = oids[i];
    }
    *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert_true(PQsetResultAttrs(*result, (int)count, columns));
}

static void drift_is_named(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle =
        everything("{n: bigint, t: timestamptz}", "  id: a\n  big: n\n  at: t\n", &err);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    static const struct {
        uint32_t oids[3];
        size_t count;
        const char *says; /* NULL: fine */
    } table[] = {
        { { 25, 20, 1184 }, 3, NULL },
        { { 1043, 20, 1184 }, 3, NULL },
        { { 1042, 20, 1184 }, 3, "Column \"a\" of d/x is char (type 1042), but its mapping was" },
        { { 25, 23, 1184 }, 3, "Column \"n\" of d/x is integer (type 23)" },
        { { 25, 20, 99999 }, 3, "is a type made in this database (type 99999)" },
        { { 25, 20, 0 }, 2, "has 2 of the 3 mapped columns" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        PGresult *result = NULL;
        described(&result, table[i].oids, table[i].count);
        int checked = schema_dataset_check_probe(dataset, as_rows(result), &err);
        PQclear(result);
        assert_int_equal(checked, table[i].says == NULL ? 0 : -1);
        if (table[i].says == NULL)
            continue;
        assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
        assert_string_equal(err.reason, "SCHEMA_DRIFT");
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
    schema_bundle_free(&bundle);
}

struct faults {
    char lines[16][ERR_TEXT_BYTES];
    size_t count;
};

static void collect_fault(void *arg, const struct err *fault)
{
    struct faults *faults = arg;
    assert_true(faults->count < 16);
    (void)snprintf(faults->lines[faults->count++], ERR_TEXT_BYTES, "%s", fault->text);
}

/* Each text's faults, by their places; what only follows from another fault is not told. */
static void every_fault_is_told_with_its_place(void **state)
{
    (void)state;
    static const char start[] = "version: 1\ntitle: {en: R, zh: R}\ntype: gov.person.v1.Resident\n"
                                "source: s\ntable: t\n";
    static const struct {
        const char *rest; /* from line 6 on */
        const char *places[5];
    } table[] = {
        { "sharing: open\nfields: {id_number: a}\n", { NULL } },
        { "sharing: maybe\nfields:\n  id_number: a\n  nam: b\n  sex: {from: c, normalise: [x]}\n",
          { "6:10: ", "9:3: ", "10:30: " } },
        { "sharing: open\ncolation: C\nfields:\n  id_number: a\n  nam: b\n",
          { "7:1: ", "10:3: " } },
        /* The key's own fault hides it; that it is missing then is no fault of its own. */
        { "sharing: open\nfields:\n  id_number: {form: a}\n  name: b\n", { "8:15: " } },
        { "sharing: open\nfields:\n  name: b\n", { "1:1: " } },
        { "sharing: open\nfields: {id_number: {form: a}, nam: b}\n", { "7:22: " } }, /* one line */
        { "sharing: open\n", { "1:1: " } },
        { "sharing: [\n", { "" } },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *text = mem_format("%s%s", start, table[i].rest);
        char dir[] = "/tmp/sluice-check-XXXXXX", path[512];
        struct faults faults = { .count = 0 };
        size_t wanted = 0;
        assert_non_null(mkdtemp(dir));
        (void)snprintf(path, sizeof path, "%s/departments/d/x.yaml", dir);
        make_folders(path);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        (void)fclose(file);
        struct schema_bundle *bundle =
            schema_bundle_check(dir, canonical_pb(), collect_fault, &faults);
        assert_int_equal(nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
        while (table[i].places[wanted] != NULL)
            wanted++;
        assert_int_equal(bundle == NULL, wanted > 0);
        for (size_t f = 0; f < faults.count; f++) {
            char *place =
                mem_format("departments/d/x.yaml:%s", f < wanted ? table[i].places[f] : "?");
            if (strncmp(faults.lines[f], place, strlen(place)) != 0)
                fail_msg("text %zu fault %zu: %s", i, f, faults.lines[f]);
            free(place);
        }
        assert_int_equal(faults.count, wanted);
        schema_bundle_free(&bundle);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_datasets_load),
        cmocka_unit_test(probes_name_every_column_once_and_quoted),
        cmocka_unit_test(wrong_mappings_are_refused_with_their_place),
        cmocka_unit_test(files_beside_the_rules_are_refused),
        cmocka_unit_test(digests_follow_contents_only),
        cmocka_unit_test(drift_is_named),
        cmocka_unit_test(every_fault_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
