/* Networks and windows of one agreement, from its row to what a decision asks. */
#include <string.h>

#include "authz/internal.h"
#include "base/buf.h"

/* What this version cannot read it does not guess: the agreement closes. */
static void unreadable(struct authz_grant *grant)
{
    (void)err_set(
        &grant->broken, ERR_FAILED_PRECONDITION, "AGREEMENT_OUTDATED",
        "the agreement's networks or times cannot be read by this gateway; its operator must "
        "upgrade it");
}

/* For people, so that a refusal says what would be allowed. */
static const char *joined(struct arena *arena, char *const *items, size_t count)
{
    struct buf text;
    if (count == 0)
        return "";
    buf_init(&text, (size_t)AUTHZ_NETWORKS_MAX * (AUTHZ_BOUND_TEXT_BYTES_MAX + 4));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            (void)buf_append_str(&text, i + 1 == count ? " or " : ", ");
        (void)buf_append_str(&text, items[i]);
    }
    const char *out = arena_strndup(arena, (const char *)text.data, text.len);
    buf_fini(&text);
    return out;
}

void authz_grant_bind_bounds(struct authz_grant *grant, struct db_value networks,
                             struct db_value windows)
{
    struct arena *arena = &grant->arena;
    char **items = db_texts(arena, networks, &grant->network_count);
    struct authz_network *parsed = arena_array(arena, grant->network_count, sizeof *parsed);
    for (size_t i = 0; i < grant->network_count; i++)
        if (!authz_network_parse(items[i], &parsed[i]))
            unreadable(grant);
    grant->networks = parsed;
    grant->networks_text = joined(arena, items, grant->network_count);
    items = db_texts(arena, windows, &grant->window_count);
    struct authz_window *times = arena_array(arena, grant->window_count, sizeof *times);
    for (size_t i = 0; i < grant->window_count; i++)
        if (!authz_window_parse(items[i], &times[i]))
            unreadable(grant);
    grant->windows = times;
    grant->windows_text = joined(arena, items, grant->window_count);
}
