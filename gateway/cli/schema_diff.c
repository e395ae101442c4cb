/* sluice schema diff: two schemas folders, by dataset and field. */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/schema_changes.h"
#include "cli/schema_place.h"

/* Types are compared where both folders bring their descriptor set. */
static int compare_types_of(struct schema_changes *changes, const char *old_dir,
                            const char *new_dir)
{
    char *old_file = mem_format("%s/canonical.pb", old_dir);
    char *new_file = mem_format("%s/canonical.pb", new_dir);
    struct buf before = { 0 }, after = { 0 };
    int status = EXIT_OK;

    if (access(old_file, R_OK) != 0 || access(new_file, R_OK) != 0)
        NOTE(MSG_SCHEMA_DIFF_NO_TYPES);
    else if (!schema_place_read(old_file, &before) || !schema_place_read(new_file, &after))
        status = EXIT_FAILED;
    else
        status = schema_changes_types(changes, buf_slice(&before), buf_slice(&after));
    buf_fini(&before);
    buf_fini(&after);
    free(old_file);
    free(new_file);
    return status;
}

int schema_diff(struct cli *cli)
{
    const char *old_dir = cli->operands[0], *new_dir = cli->operands[1];
    struct dictionary *before = schema_place_dictionary(old_dir);
    struct dictionary *after = before != NULL ? schema_place_dictionary(new_dir) : NULL;
    struct schema_changes changes = { .rows = json_array() };
    int status = EXIT_FAILED;

    if (after != NULL) {
        compare_mappings(before, after, schema_changes_add, &changes);
        changes.dictionary = after;
        status = compare_types_of(&changes, old_dir, new_dir);
    }
    if (status == EXIT_OK)
        status = schema_changes_print(cli, &changes);
    if (status == EXIT_OK && changes.breaking > 0 && cli_option_set(cli, OPT_FAIL_ON_BREAKING))
        status = EXIT_FAILED;
    json_decref(changes.rows);
    dictionary_free(&before);
    dictionary_free(&after);
    return status;
}
