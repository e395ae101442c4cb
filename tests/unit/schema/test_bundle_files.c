/* Bundles from a list of files: the same bundle as from the folder, and nothing that no folder gives.
 */
#include "schema_support.h"

enum { FILES_MAX = 64 };

struct copies {
    struct schema_file files[FILES_MAX];
    size_t count;
};

static void keep(void *arg, const struct schema_file *file)
{
    struct copies *copies = arg;
    assert_true(copies->count < FILES_MAX);
    copies->files[copies->count++] =
        (struct schema_file){ .path = mem_strdup(file->path),
                              .data = mem_dup(file->len > 0 ? file->data : (const uint8_t *)"",
                                              file->len > 0 ? file->len : 1),
                              .len = file->len };
}

static void release(struct copies *copies)
{
    for (size_t i = 0; i < copies->count; i++) {
        free((char *)(uintptr_t)copies->files[i].path);
        free((uint8_t *)(uintptr_t)copies->files[i].data);
    }
}

static struct copies published_files(void)
{
    struct copies copies = { .count = 0 };
    struct err err = ERR_INIT;
    if (schema_bundle_read("schemas", canonical_pb(), keep, &copies, &err) != 0)
        fail_msg("%s", err.text);
    return copies;
}

static struct schema_file *find(struct copies *copies, const char *path)
{
    for (size_t i = 0; i < copies->count; i++)
        if (strcmp(copies->files[i].path, path) == 0)
            return &copies->files[i];
    fail_msg("no %s", path);
    return NULL;
}

static void a_list_gives_the_folders_bundle_in_any_order(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct copies copies = published_files();
    struct schema_bundle *folder = schema_bundle_load("schemas", canonical_pb(), &err);
    struct schema_file turned[FILES_MAX];
    for (size_t i = 0; i < copies.count; i++)
        turned[i] = copies.files[copies.count - 1 - i];
    struct schema_bundle *list = schema_bundle_load_files(turned, copies.count, &err);
    if (list == NULL)
        fail_msg("%s", err.text);
    assert_memory_equal(schema_bundle_digest(folder), schema_bundle_digest(list),
                        SCHEMA_DIGEST_BYTES);
    assert_int_equal(schema_bundle_count(folder), schema_bundle_count(list));
    for (size_t i = 0; i < schema_bundle_count(folder); i++)
        assert_memory_equal(schema_bundle_at(folder, i)->fingerprint,
                            schema_bundle_at(list, i)->fingerprint, SCHEMA_DIGEST_BYTES);
    schema_bundle_free(&folder);
    schema_bundle_free(&list);
    release(&copies);
}

/* Which fingerprints differ from the published ones when one file has a byte more at its end. */
static void assert_touches(const char *path, const char *const *expected, size_t expected_count)
{
    struct err err = ERR_INIT;
    struct copies copies = published_files();
    struct schema_bundle *before = schema_bundle_load_files(copies.files, copies.count, &err);
    struct schema_file *file = find(&copies, path);
    uint8_t *longer = mem_zero(file->len + 1);
    memcpy(longer, file->data, file->len);
    longer[file->len] = '\n';
    free((uint8_t *)(uintptr_t)file->data);
    file->data = longer;
    file->len++;
    struct schema_bundle *after = schema_bundle_load_files(copies.files, copies.count, &err);
    if (after == NULL)
        fail_msg("%s: %s", path, err.text);
    assert_memory_not_equal(schema_bundle_digest(before), schema_bundle_digest(after),
                            SCHEMA_DIGEST_BYTES);
    for (size_t i = 0; i < schema_bundle_count(before); i++) {
        const char *name = schema_bundle_at(before, i)->name;
        bool differs = memcmp(schema_bundle_at(before, i)->fingerprint,
                              schema_bundle_at(after, i)->fingerprint, SCHEMA_DIGEST_BYTES) != 0;
        bool wanted = false;
        for (size_t e = 0; e < expected_count; e++)
            wanted = wanted || strcmp(expected[e], name) == 0;
        if (differs != wanted)
            fail_msg("%s: %s %s", path, name, differs ? "differs" : "does not differ");
    }
    schema_bundle_free(&before);
    schema_bundle_free(&after);
    release(&copies);
}

static void a_fingerprint_follows_mapping_and_code_tables(void **state)
{
    (void)state;
    static const char *const towns[] = { "civil-affairs/towns" };
    static const char *const residents[] = { "civil-affairs/residents" };
    assert_touches("departments/civil-affairs/towns.yaml", towns, 1);
    assert_touches("codes/marital.csv", residents, 1);
}

static void a_fingerprint_follows_the_type(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct copies copies = published_files();
    struct schema_bundle *before = schema_bundle_load_files(copies.files, copies.count, &err);
    /* One letter of a comment in division.proto. */
    struct schema_file *file = find(&copies, "canonical.pb");
    static const char word[] = "division code";
    uint8_t *letter = NULL;
    for (size_t i = 0; i + sizeof word < file->len && letter == NULL; i++)
        if (strncasecmp((const char *)file->data + i, word, sizeof word - 1) == 0)
            letter = (uint8_t *)(uintptr_t)file->data + i + sizeof word - 2;
    assert_non_null(letter);
    *letter = 'x';
    struct schema_bundle *after = schema_bundle_load_files(copies.files, copies.count, &err);
    if (after == NULL)
        fail_msg("%s", err.text);
    size_t differing = 0;
    for (size_t i = 0; i < schema_bundle_count(before); i++)
        differing += memcmp(schema_bundle_at(before, i)->fingerprint,
                            schema_bundle_at(after, i)->fingerprint, SCHEMA_DIGEST_BYTES) != 0;
    assert_in_range(differing, 1, schema_bundle_count(before));
    schema_bundle_free(&before);
    schema_bundle_free(&after);
    release(&copies);
}

static void what_no_folder_gives_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *says;
    } table[] = {
        { "../codes/x.csv", "a bundle holds" },
        { "/codes/x.csv", "a bundle holds" },
        { "codes/../x.csv", "a bundle holds" },
        { "codes/.x.csv", "a bundle holds" },
        { "codes//x.csv", "a bundle holds" },
        { "codes/x.txt", "a bundle holds" },
        { "codes/x\n.csv", "a bundle holds" },
        { "codes/a/b/c/d/e/f.csv", "a bundle holds" },
        { "departments/d/x.csv", "a bundle holds" },
        { "control/001_control.sql", "a bundle holds" },
        { "", "a bundle holds" },
        { "canonical.pb", "twice" },
        { "codes/marital.csv", "twice" },
        { "departments/x.yaml", "a mapping lies at" },
    };
    struct copies copies = published_files();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        struct schema_file files[FILES_MAX];
        memcpy(files, copies.files, sizeof files);
        files[copies.count] = (struct schema_file){ table[i].path, (const uint8_t *)"a: b\n", 5 };
        assert_null(schema_bundle_load_files(files, copies.count + 1, &err));
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("%s: %s", table[i].path, err.text);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
    }
    release(&copies);
}

static void a_list_needs_its_types(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_file mapping = { "departments/d/x.yaml", (const uint8_t *)"a: b\n", 5 };
    assert_null(schema_bundle_load_files(&mapping, 1, &err));
    assert_non_null(strstr(err.text, "canonical.pb:1:1: the bundle has no descriptor set"));
    assert_null(schema_bundle_load_files(NULL, 0, &err));
}

static void the_empty_bundle_has_nothing(void **state)
{
    (void)state;
    struct schema_bundle *bundle = schema_bundle_empty();
    assert_int_equal(schema_bundle_count(bundle), 0);
    assert_null(schema_bundle_types(bundle));
    assert_null(schema_bundle_find(bundle, "a/b"));
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_gives_the_folders_bundle_in_any_order),
        cmocka_unit_test(a_fingerprint_follows_mapping_and_code_tables),
        cmocka_unit_test(a_fingerprint_follows_the_type),
        cmocka_unit_test(what_no_folder_gives_is_refused),
        cmocka_unit_test(a_list_needs_its_types),
        cmocka_unit_test(the_empty_bundle_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
