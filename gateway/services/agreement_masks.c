/* The masks of an agreement's terms: checked, and between their messages and the database. */
#include <string.h>

#include "base/ids.h"
#include "schema/mask.h"
#include "services/agreement_terms.h"
#include "services/gateway.h"

/* --- messages and texts --------------------------------------------------------------------------- */

/* False when its character is longer than one. */
static bool mask_of(const Sluice__V1__AgreementMask *message, struct schema_mask *mask_r)
{
    size_t len = strlen(message->character);
    *mask_r =
        (struct schema_mask){ .kind = (enum schema_mask_kind)message->kind, .keep = message->keep };
    if (len >= sizeof mask_r->character)
        return false;
    memcpy(mask_r->character, message->character, len + 1);
    return true;
}

void agreement_take_masks(struct arena *arena, struct db_value texts, Sluice__V1__Agreement *out)
{
    char **items = db_texts(arena, texts, &out->n_masks);
    out->masks = arena_array(arena, out->n_masks, sizeof *out->masks);
    for (size_t i = 0; i < out->n_masks; i++) {
        Sluice__V1__AgreementMask *mask = arena_alloc(arena, sizeof *mask);
        struct schema_mask known = { 0 };
        char *spec = strchr(items[i], '=');
        sluice__v1__agreement_mask__init(mask);
        out->masks[i] = mask;
        mask->field = items[i];
        if (spec == NULL)
            continue;
        *spec++ = '\0';
        if (!schema_mask_parse(spec, &known))
            continue;
        mask->kind = (Sluice__V1__AgreementMask__Kind)known.kind;
        mask->keep = known.keep;
        mask->character = arena_strdup(arena, known.character);
    }
}

char *agreement_masks_array(struct arena *arena, const Sluice__V1__Agreement *agreement)
{
    char **items = arena_array(arena, agreement->n_masks, sizeof *items);
    for (size_t i = 0; i < agreement->n_masks; i++) {
        struct schema_mask mask;
        char text[SCHEMA_MASK_TEXT_BYTES];
        (void)mask_of(agreement->masks[i], &mask);
        schema_mask_format(&mask, text);
        items[i] = arena_format(arena, "%s=%s", agreement->masks[i]->field, text);
    }
    return agreement_array(arena, items, agreement->n_masks);
}

/* --- checks --------------------------------------------------------------------------------------- */

static unsigned modes_of(const Sluice__V1__Agreement *agreement)
{
    unsigned modes = 0;
    for (size_t i = 0; i < agreement->n_modes; i++)
        modes |= 1U << (unsigned)agreement->modes[i];
    return modes;
}

static bool is_granted(const Sluice__V1__Agreement *agreement, const char *field)
{
    for (size_t i = 0; i < agreement->n_fields; i++)
        if (strcmp(agreement->fields[i], field) == 0)
            return true;
    return false;
}

static int check_mask(struct call *call, const struct schema_dataset *dataset,
                      Sluice__V1__Agreement *agreement, size_t at)
{
    static char star[] = "*";
    const struct gateway *gateway = call->context;
    Sluice__V1__AgreementMask *message = agreement->masks[at];
    struct schema_mask mask;
    const char *name = message->field;
    if (!is_granted(agreement, name))
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "MASK_FIELD",
                       "\"%.60s\" is masked and not granted; a mask is for a granted field", name);
    for (size_t i = 0; i < at; i++)
        if (strcmp(agreement->masks[i]->field, name) == 0)
            return err_set(&call->err, ERR_INVALID_ARGUMENT, "MASK_REPEATED",
                           "the field %.60s has two masks; give each field one", name);
    bool keeps = message->kind == SLUICE__V1__AGREEMENT_MASK__KIND__KEEP_FIRST ||
                 message->kind == SLUICE__V1__AGREEMENT_MASK__KIND__KEEP_LAST;
    /* Set before the digest is taken: the agreement says what it does. */
    if (keeps && message->character[0] == '\0')
        message->character = star;
    if (!mask_of(message, &mask))
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "MASK_INVALID",
                       "the mask of %.60s has more than one character", name);
    if (mask.kind == MASK_HASH && !gateway->masks_hash)
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "MASK_KEY_MISSING",
                       "this gateway has no mask key; its operator must configure mask_key before "
                       "hash masks can be granted");
    return authz_check_mask(dataset, modes_of(agreement),
                            schema_message_field(dataset->type, name, strlen(name)), &mask,
                            &call->err);
}

int agreement_check_masks(struct call *call, const struct schema_dataset *dataset,
                          Sluice__V1__Agreement *agreement)
{
    for (size_t i = 0; i < agreement->n_masks; i++)
        if (check_mask(call, dataset, agreement, i) < 0)
            return -1;
    return 0;
}

char *agreement_mask_key_check(struct call *call, const Sluice__V1__Agreement *agreement)
{
    const struct gateway *gateway = call->context;
    uint8_t key[SCHEMA_MASK_KEY_BYTES], check[SCHEMA_MASK_CHECK_BYTES];
    char hex[2 * SCHEMA_MASK_CHECK_BYTES + 1];
    bool hashes = false;
    for (size_t i = 0; i < agreement->n_masks; i++)
        hashes = hashes || agreement->masks[i]->kind == SLUICE__V1__AGREEMENT_MASK__KIND__HASH;
    if (!hashes)
        return NULL;
    schema_mask_key(gateway->mask_key, agreement->id, key);
    schema_mask_key_check(key, check);
    explicit_bzero(key, sizeof key);
    hex_encode(check, sizeof check, hex);
    return arena_format(&call->arena, "\\x%s", hex);
}
