#include "services/agreement_rows.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "services/timestamps.h"

const char agreement_columns[] =
    "id, consumer_department || '/' || consumer_system, dataset, array_to_string(fields, E'\\x1f'),"
    " row_filter, array_to_string(purposes, E'\\x1f'), array_to_string(modes, E'\\x1f'),"
    " (extract(epoch FROM valid_from) * 1000000)::bigint,"
    " (extract(epoch FROM valid_until) * 1000000)::bigint,"
    " (rate_per_second * 1000000)::bigint, rate_burst, legal_basis, granted_by,"
    " (extract(epoch FROM granted_at) * 1000000)::bigint, coalesce(revoked_by, ''),"
    " coalesce((extract(epoch FROM revoked_at) * 1000000)::bigint, 0),"
    " coalesce(revoke_reason, ''), epoch, digest, daily_quota,"
    " suspended_at IS NOT NULL, array_to_string(masks, E'\\x1f'),"
    " array_to_string(networks, E'\\x1f'), array_to_string(windows, E'\\x1f'), onward_recipient";

static void take_modes(struct arena *arena, struct db_value value, Sluice__V1__Agreement *out)
{
    char **modes = db_texts(arena, value, &out->n_modes);
    out->modes = arena_array(arena, out->n_modes, sizeof *out->modes);
    for (size_t i = 0; i < out->n_modes; i++)
        out->modes[i] = (Sluice__V1__AgreementMode)strtol(modes[i], NULL, 10);
}

Sluice__V1__Agreement *agreement_from_row(struct arena *arena, const struct db_rows *rows, int row)
{
    Sluice__V1__Agreement *out = arena_alloc(arena, sizeof *out);
    sluice__v1__agreement__init(out);
    out->id = db_text(arena, db_value(rows, row, 0));
    out->consumer = db_text(arena, db_value(rows, row, 1));
    out->dataset = db_text(arena, db_value(rows, row, 2));
    out->fields = db_texts(arena, db_value(rows, row, 3), &out->n_fields);
    out->row_filter = db_text(arena, db_value(rows, row, 4));
    out->purposes = db_texts(arena, db_value(rows, row, 5), &out->n_purposes);
    take_modes(arena, db_value(rows, row, 6), out);
    out->valid_from = timestamp_from_us(arena, db_int8(db_value(rows, row, 7)));
    out->valid_until = timestamp_from_us(arena, db_int8(db_value(rows, row, 8)));
    out->rate_per_second = (double)db_int8(db_value(rows, row, 9)) / 1e6;
    out->rate_burst = db_int4(db_value(rows, row, 10));
    out->legal_basis = db_text(arena, db_value(rows, row, 11));
    out->granted_by = db_text(arena, db_value(rows, row, 12));
    out->granted_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 13)));
    out->revoked_by = db_text(arena, db_value(rows, row, 14));
    out->revoked_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 15)));
    out->revoke_reason = db_text(arena, db_value(rows, row, 16));
    out->epoch = db_int8(db_value(rows, row, 17));
    struct db_value digest = db_value(rows, row, 18);
    out->digest = arena_alloc(arena, 2 * (size_t)digest.len + 1);
    hex_encode(digest.data, digest.len, out->digest);
    out->daily_quota = db_int8(db_value(rows, row, 19));
    agreement_take_masks(arena, db_value(rows, row, 21), out);
    out->networks = db_texts(arena, db_value(rows, row, 22), &out->n_networks);
    out->windows = db_texts(arena, db_value(rows, row, 23), &out->n_windows);
    out->onward_recipient = db_text(arena, db_value(rows, row, 24));
    if (out->revoked_at != NULL)
        out->state = SLUICE__V1__AGREEMENT_STATE__REVOKED;
    else if (db_int8(db_value(rows, row, 8)) <= clock_wall_us())
        out->state = SLUICE__V1__AGREEMENT_STATE__EXPIRED;
    else if (db_bool(db_value(rows, row, 20)))
        out->state = SLUICE__V1__AGREEMENT_STATE__SUSPENDED;
    else
        out->state = SLUICE__V1__AGREEMENT_STATE__ACTIVE;
    return out;
}

struct slice agreement_bound(struct arena *arena, const Sluice__V1__Agreement *agreement)
{
    Sluice__V1__Agreement bound = SLUICE__V1__AGREEMENT__INIT;
    bound.id = agreement->id;
    bound.consumer = agreement->consumer;
    bound.dataset = agreement->dataset;
    bound.n_fields = agreement->n_fields;
    bound.fields = agreement->fields;
    bound.row_filter = agreement->row_filter;
    bound.n_purposes = agreement->n_purposes;
    bound.purposes = agreement->purposes;
    bound.n_modes = agreement->n_modes;
    bound.modes = agreement->modes;
    bound.valid_from = agreement->valid_from;
    bound.valid_until = agreement->valid_until;
    bound.rate_per_second = agreement->rate_per_second;
    bound.rate_burst = agreement->rate_burst;
    bound.legal_basis = agreement->legal_basis;
    bound.daily_quota = agreement->daily_quota;
    bound.n_masks = agreement->n_masks;
    bound.masks = agreement->masks;
    bound.n_networks = agreement->n_networks;
    bound.networks = agreement->networks;
    bound.n_windows = agreement->n_windows;
    bound.windows = agreement->windows;
    bound.onward_recipient = agreement->onward_recipient;
    size_t len = sluice__v1__agreement__get_packed_size(&bound);
    uint8_t *bytes = arena_alloc(arena, len);
    (void)sluice__v1__agreement__pack(&bound, bytes);
    return slice_of(bytes, len);
}

void agreement_digest(const Sluice__V1__Agreement *agreement,
                      uint8_t digest_r[AGREEMENT_DIGEST_BYTES])
{
    struct arena arena;
    arena_init(&arena);
    struct slice bytes = agreement_bound(&arena, agreement);
    unsigned int digest_len = AGREEMENT_DIGEST_BYTES;
    if (EVP_Digest(bytes.data, bytes.len, digest_r, &digest_len, EVP_sha256(), NULL) != 1)
        abort();
    arena_fini(&arena);
}

char *agreement_array(struct arena *arena, char *const *items, size_t count)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    (void)buf_append_byte(&text, '{');
    for (size_t i = 0; i < count; i++) {
        (void)buf_append_str(&text, i > 0 ? ",\"" : "\"");
        for (const char *p = items[i]; *p != '\0'; p++) {
            if (*p == '"' || *p == '\\')
                (void)buf_append_byte(&text, '\\');
            (void)buf_append_byte(&text, (uint8_t)*p);
        }
        (void)buf_append_byte(&text, '"');
    }
    (void)buf_append_byte(&text, '}');
    char *out = arena_strndup(arena, (const char *)text.data, text.len);
    buf_fini(&text);
    return out;
}
