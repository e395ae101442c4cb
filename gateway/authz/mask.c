/* An agreement's masks: whether they may be, what they leave, and what follows for filters and claims. */
#include <string.h>

#include "authz/internal.h"

/* --- which masks may be --------------------------------------------------------------------------- */

static bool in_key(const struct schema_dataset *dataset, const struct schema_field *field)
{
    for (size_t i = 0; i < dataset->key_count; i++)
        if (dataset->key[i] == field)
            return true;
    return false;
}

int authz_check_mask(const struct schema_dataset *dataset, unsigned modes,
                     const struct schema_field *field, const struct schema_mask *mask,
                     struct err *err)
{
    if ((modes & ~(unsigned)AUTHZ_VERIFY) == 0)
        return err_set(
            err, ERR_INVALID_ARGUMENT, "MASK_MODE",
            "a mask needs a mode in which records leave; verify answers no values, and a "
            "masked field cannot be verified");
    /* Whoever looks up knows the key: beside it a hash would be no secret, and a copy is matched by it. */
    if (modes != AUTHZ_QUERY && in_key(dataset, field))
        return err_set(err, ERR_INVALID_ARGUMENT, "MASK_KEY",
                       "%s is part of the record's key, which can be masked only when query is the "
                       "agreement's one mode",
                       field->name);
    return schema_mask_check(mask, field, err);
}

/* --- binding -------------------------------------------------------------------------------------- */

static int outdated(struct authz_grant *grant, const char *text)
{
    (void)err_set(
        &grant->broken, ERR_FAILED_PRECONDITION, "AGREEMENT_OUTDATED",
        "the agreement's mask of %.60s no longer fits the dataset; ask for a new agreement", text);
    return -1;
}

/* "field=kind:keep:character" */
static int bind_mask(struct authz_grant *grant, char *text)
{
    struct schema_mask mask;
    struct err err = ERR_INIT;
    char *spec = strchr(text, '=');
    if (spec == NULL)
        return outdated(grant, "a field");
    *spec++ = '\0';
    const struct schema_field *field =
        schema_message_field(grant->dataset->type, text, strlen(text));
    if (field == NULL || !schema_mask_parse(spec, &mask))
        return outdated(grant, text);
    if (authz_check_mask(grant->dataset, grant->modes, field, &mask, &err) < 0) {
        (void)outdated(grant, text);
        return err_detail(&grant->broken, "%s", err.text);
    }
    schema_masks_add(grant->masks, field, &mask);
    plan_clear_bit(grant->unmasked, field->position);
    if (mask.kind == MASK_DROP)
        plan_clear_bit(grant->delivered, field->position);
    return 0;
}

/* Pseudonyms of another key would be strangers to those that were delivered before. */
static int bind_key(const struct authz *authz, struct authz_grant *grant, struct db_value known)
{
    uint8_t key[SCHEMA_MASK_KEY_BYTES], check[SCHEMA_MASK_CHECK_BYTES];
    if (authz->mask_key == NULL)
        return err_set(
            &grant->broken, ERR_FAILED_PRECONDITION, "MASK_KEY_MISSING",
            "this gateway has no mask key, so the agreement's hashes cannot be made; its "
            "operator must configure mask_key");
    schema_mask_key(authz->mask_key, grant->id, key);
    schema_mask_key_check(key, check);
    bool same = known.len == sizeof check && memcmp(known.data, check, sizeof check) == 0;
    if (same)
        schema_masks_set_key(grant->masks, key);
    explicit_bzero(key, sizeof key);
    if (same)
        return 0;
    return err_set(&grant->broken, ERR_FAILED_PRECONDITION, "MASK_KEY_CHANGED",
                   "the gateway's mask key is not the one the agreement was granted with; its "
                   "operator must restore it, or the owner grants a new agreement");
}

void authz_grant_bind_masks(const struct authz *authz, struct authz_grant *grant,
                            struct db_value texts, struct db_value key_check)
{
    size_t count;
    char **items = db_texts(&grant->arena, texts, &count);
    memcpy(grant->delivered, grant->fields, sizeof grant->delivered);
    memcpy(grant->unmasked, grant->fields, sizeof grant->unmasked);
    if (count == 0)
        return;
    grant->masks = schema_masks_new();
    for (size_t i = 0; i < count; i++)
        if (bind_mask(grant, items[i]) < 0)
            return;
    if (schema_masks_hash(grant->masks))
        (void)bind_key(authz, grant, key_check);
}

/* --- what follows --------------------------------------------------------------------------------- */

const uint8_t *authz_answer_granted(const struct authz_answer *answer)
{
    return answer->grant->unmasked;
}

struct schema_filter *authz_answer_filter(const struct authz_answer *answer, const char *text,
                                          struct err *err)
{
    const struct authz_grant *grant = answer->grant;
    struct err unused = ERR_INIT;
    struct schema_filter *filter = schema_filter_parse(grant->dataset, text, grant->unmasked, err);
    if (filter != NULL || grant->masks == NULL)
        return filter;
    filter = schema_filter_parse(grant->dataset, text, grant->fields, &unused);
    if (filter != NULL)
        (void)err_set(err, ERR_INVALID_ARGUMENT, "FIELD_MASKED",
                      "the filter uses a field that the agreement masks; filter by other fields");
    schema_filter_free(&filter);
    return NULL;
}

int authz_answer_unmasked(const struct authz_answer *answer, const struct schema_field *field,
                          struct err *err)
{
    if (schema_masks_of(answer->grant->masks, field) == NULL)
        return 0;
    return err_set(err, ERR_PERMISSION_DENIED, "FIELD_MASKED",
                   "the agreement masks the field %s, so it can be neither verified nor compared",
                   field->name);
}

const char *authz_answer_rule(const struct authz_answer *answer)
{
    const struct authz_grant *grant = answer->grant;
    bool masked = false;
    for (size_t i = 0; grant->masks != NULL && i < PLAN_BITMAP_BYTES && !masked; i++)
        masked = (answer->fields[i] & ~grant->unmasked[i]) != 0 ||
                 (grant->fields[i] & ~grant->delivered[i]) != 0;
    return masked ? "agreement.masks" : "agreement";
}
