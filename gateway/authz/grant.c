/* One agreement, from its row to what a decision needs. */
#include <stdlib.h>
#include <string.h>

#include "authz/internal.h"
#include "base/log.h"
#include "base/mem.h"

/* Arrays come as db_texts takes them. */
const char authz_grants_sql[] =
    "SELECT id, consumer_department, consumer_system, dataset, owner_department,"
    " array_to_string(fields, E'\\x1f'), row_filter, array_to_string(purposes, E'\\x1f'),"
    " array_to_string(modes, E'\\x1f'),"
    " (extract(epoch FROM valid_from) * 1000000)::bigint,"
    " (extract(epoch FROM valid_until) * 1000000)::bigint,"
    " (rate_per_second * 1000000)::bigint, rate_burst, legal_basis, digest,"
    " (revoked_at IS NOT NULL), daily_quota, (suspended_at IS NOT NULL),"
    " array_to_string(masks, E'\\x1f'), mask_key_check,"
    " array_to_string(networks, E'\\x1f'), array_to_string(windows, E'\\x1f'), onward_recipient"
    " FROM control.agreement WHERE epoch > $1::bigint ORDER BY epoch";

static unsigned parse_modes(struct arena *arena, struct db_value value)
{
    size_t count;
    char **items = db_texts(arena, value, &count);
    unsigned modes = 0;
    for (size_t i = 0; i < count; i++) {
        long mode = strtol(items[i], NULL, 10);
        if (mode > 0 && mode < 31)
            modes |= 1U << mode;
    }
    return modes;
}

static void bind_fields(struct authz_grant *grant, struct db_value value)
{
    size_t count;
    char **names = db_texts(&grant->arena, value, &count);
    for (size_t i = 0; i < count; i++) {
        const struct schema_field *field =
            schema_message_field(grant->dataset->type, names[i], strlen(names[i]));
        if (field != NULL)
            plan_set_bit(grant->fields, field->position);
        else
            (void)err_set(&grant->broken, ERR_FAILED_PRECONDITION, "AGREEMENT_OUTDATED",
                          "the agreement grants the field %s, which the dataset no longer has; "
                          "ask for a new agreement",
                          names[i]);
    }
}

static void bind_filter(struct authz_grant *grant, struct db_value value)
{
    const char *text = db_text(&grant->arena, value);
    if (text[0] == '\0')
        return;
    struct err err = ERR_INIT;
    grant->row_filter = schema_filter_parse(grant->dataset, text, NULL, &err);
    if (grant->row_filter == NULL) {
        (void)err_set(&grant->broken, ERR_FAILED_PRECONDITION, "AGREEMENT_OUTDATED",
                      "the agreement's row filter no longer fits the dataset; ask for a new "
                      "agreement");
        (void)err_detail(&grant->broken, "%s", err.text);
    }
}

struct authz_grant *authz_grant_new(const struct authz *authz, const struct db_rows *rows, int row)
{
    struct authz_grant *grant = mem_zero(sizeof *grant);
    struct arena *arena = &grant->arena;
    arena_init(arena);
    list_init(&grant->link);
    grant->refs = 1;
    grant->id = db_text(arena, db_value(rows, row, 0));
    grant->consumer_department = db_text(arena, db_value(rows, row, 1));
    grant->consumer_system = db_text(arena, db_value(rows, row, 2));
    grant->dataset_name = db_text(arena, db_value(rows, row, 3));
    grant->owner = db_text(arena, db_value(rows, row, 4));
    grant->purposes = db_texts(arena, db_value(rows, row, 7), &grant->purpose_count);
    grant->modes = parse_modes(arena, db_value(rows, row, 8));
    grant->valid_from_us = db_int8(db_value(rows, row, 9));
    grant->valid_until_us = db_int8(db_value(rows, row, 10));
    grant->rate_per_second = (double)db_int8(db_value(rows, row, 11)) / 1e6;
    int32_t burst = db_int4(db_value(rows, row, 12));
    grant->burst = burst > 0 ? burst : (grant->rate_per_second > 1 ? grant->rate_per_second : 1);
    grant->tokens = grant->burst;
    grant->legal_basis = db_text(arena, db_value(rows, row, 13));
    struct db_value digest = db_value(rows, row, 14);
    if (digest.len == sizeof grant->digest)
        memcpy(grant->digest, digest.data, sizeof grant->digest);
    grant->revoked = db_bool(db_value(rows, row, 15));
    grant->daily_quota = db_int8(db_value(rows, row, 16));
    grant->suspended = db_bool(db_value(rows, row, 17));
    grant->onward = db_text(arena, db_value(rows, row, 22));
    authz_grant_bind_bounds(grant, db_value(rows, row, 20), db_value(rows, row, 21));
    grant->dataset = schema_bundle_find(authz->bundle, grant->dataset_name);
    if (grant->dataset == NULL) {
        (void)err_set(&grant->broken, ERR_NOT_FOUND, "DATASET_NOT_FOUND",
                      "no dataset of this name is shared with you");
        return grant;
    }
    bind_fields(grant, db_value(rows, row, 5));
    bind_filter(grant, db_value(rows, row, 6));
    authz_grant_bind_masks(authz, grant, db_value(rows, row, 18), db_value(rows, row, 19));
    if (grant->broken.code != ERR_OK)
        log_error(LOG_WARN, NULL, "agreement_outdated", &grant->broken);
    return grant;
}

void authz_grant_unref(struct authz_grant *grant)
{
    if (grant == NULL || --grant->refs > 0)
        return;
    for (size_t i = 0; i < grant->plan_count; i++)
        schema_plan_free(&grant->plans[i].plan);
    schema_masks_free(&grant->masks);
    schema_filter_free(&grant->row_filter);
    arena_fini(&grant->arena);
    free(grant);
}

const char *authz_grant_id(const struct authz_grant *grant)
{
    return grant->id;
}

const char *authz_grant_legal_basis(const struct authz_grant *grant)
{
    return grant->legal_basis;
}

int64_t authz_grant_daily_quota(const struct authz_grant *grant)
{
    return grant->daily_quota;
}

const char *authz_grant_onward(const struct authz_grant *grant)
{
    return grant->onward;
}

const uint8_t *authz_grant_digest(const struct authz_grant *grant)
{
    return grant->digest;
}
