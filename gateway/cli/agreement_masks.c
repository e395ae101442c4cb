/* --masks of `sluice agreement grant` and `sluice application request`, and how masks are shown. */
#include <string.h>

#include "cli/agreement.h"
#include "cli/remote.h"
#include "cli/text.h"
#include "schema/mask.h"

/* By enum schema_mask_kind. */
static const char *const kind_names[] = { NULL,   "KEEP_FIRST", "KEEP_LAST", "HASH",
                                          "YEAR", "MONTH",      "PREFIX",    "DROP" };
enum { KIND_COUNT = sizeof kind_names / sizeof kind_names[0] };

/* "name=keep-first:1" -> an AgreementMask; NULL when it is none. */
static json_t *mask_of(const char *text)
{
    struct schema_mask mask;
    const char *spec = strchr(text, '=');

    if (spec == NULL || spec == text || !schema_mask_parse(spec + 1, &mask))
        return NULL;
    json_t *object = json_pack("{s:s%, s:s}", "field", text, (size_t)(spec - text), "kind",
                               kind_names[mask.kind]);
    if (mask.keep != 0)
        json_object_set_new(object, "keep", json_integer(mask.keep));
    if (mask.character[0] != '\0')
        remote_add_text(object, "character", mask.character);
    return object;
}

int agreement_add_masks(struct cli *cli, json_t *terms)
{
    const char *text = cli_option_text(cli, OPT_MASKS, NULL);

    if (text == NULL)
        return 0;
    json_t *words = text_split(text), *masks = json_array();
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        json_t *mask = mask_of(word);
        if (mask == NULL)
            (void)cli_usage(cli, MSG_USAGE_MASK, word);
        if (mask == NULL || json_array_append_new(masks, mask) != 0)
            break;
    }
    if (words == NULL)
        (void)cli_usage(cli, MSG_USAGE_LIST, "--masks");
    bool whole = words != NULL && json_array_size(masks) == json_array_size(words);
    json_decref(words);
    if (!whole) {
        json_decref(masks);
        return -1;
    }
    json_object_set_new(terms, "masks", masks);
    return 0;
}

static json_t *text_of(const json_t *object)
{
    struct schema_mask mask = { .keep = (int32_t)remote_integer(object, "keep") };
    const char *kind = remote_text(object, "kind"), *character = remote_text(object, "character");
    char text[SCHEMA_MASK_TEXT_BYTES];

    for (size_t i = 1; i < KIND_COUNT; i++)
        if (strcmp(kind_names[i], kind) == 0)
            mask.kind = (enum schema_mask_kind)i;
    if (strlen(character) < sizeof mask.character)
        memcpy(mask.character, character, strlen(character) + 1);
    schema_mask_format(&mask, text);
    return json_sprintf("%s=%s", remote_text(object, "field"), text);
}

void agreement_show_masks(const struct cli *cli, json_t *terms)
{
    const json_t *masks = remote_member(terms, "masks");
    json_t *texts;

    if (masks == NULL || cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL)
        return;
    texts = json_array();
    for (size_t i = 0; i < json_array_size(masks); i++)
        json_array_append_new(texts, text_of(json_array_get(masks, i)));
    json_object_set_new(terms, "masks", texts);
}
