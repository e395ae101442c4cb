#include "audit/log_keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static const char change_line[] = "sluice/key-change/v1";

/* The texts of a change note. */
struct change {
    size_t count;
    char *texts[POLICY_KEYS_MAX];
};

static void change_fini(struct change *change)
{
    for (size_t i = 0; i < change->count; i++)
        free(change->texts[i]);
    change->count = 0;
}

void log_keys_init(struct log_keys *keys, const struct audit_policy *policy)
{
    memset(keys, 0, sizeof *keys);
    keys->origin = mem_strdup(policy->origin);
    keys->count = 1;
    struct log_key_set *set = &keys->sets[0];
    set->count = policy->key_count;
    for (size_t i = 0; i < set->count; i++) {
        struct err ignored = ERR_INIT;
        set->texts[i] = mem_strdup(policy->key_texts[i]);
        set->keys[i] = note_verifier_new(set->texts[i], &ignored);
        assert(set->keys[i] != NULL); /* the policy has read the same text */
    }
}

void log_keys_fini(struct log_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        for (size_t k = 0; k < keys->sets[i].count; k++) {
            note_verifier_free(&keys->sets[i].keys[k]);
            free(keys->sets[i].texts[k]);
        }
    }
    free(keys->origin);
    memset(keys, 0, sizeof *keys);
}

int log_keys_change_write(const char *origin, const struct note_signer *old,
                          const struct note_signer *next, struct buf *out)
{
    struct buf text;
    buf_init(&text, LOG_KEYS_NOTE_BYTES_MAX);
    int result = buf_append_format(&text, "%s\n%s\n", change_line, origin);
    if (result == 0)
        result = note_signer_ed25519_text(next, &text);
    if (result == 0)
        result = buf_append_byte(&text, '\n');
    if (result == 0 && note_signer_sm2_text(next, &text) == 0)
        result = buf_append_byte(&text, '\n');
    if (result == 0)
        result = note_sign(old, buf_slice(&text), out);
    buf_fini(&text);
    return result;
}

static int malformed(struct err *err)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "KEY_CHANGE_INVALID",
                   "This is not a key change of this log; make it with: sluice audit rotate-key.");
}

static bool take_line(struct slice *rest, struct slice *line_r)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL)
        return false;
    *line_r = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - line_r->len - 1);
    return true;
}

static bool line_is(struct slice line, const char *text)
{
    return line.len == strlen(text) && memcmp(line.data, text, line.len) == 0;
}

/* Reads the text of a change; each key must be one, of the log's name, of the kind of its place. */
static int read_change(struct slice text, const char *origin, struct change *change_r,
                       struct err *err)
{
    struct slice rest = text, line;
    change_r->count = 0;
    if (!take_line(&rest, &line) || !line_is(line, change_line) || !take_line(&rest, &line) ||
        !line_is(line, origin))
        return malformed(err);
    while (take_line(&rest, &line) && change_r->count < POLICY_KEYS_MAX) {
        enum note_kind kind = change_r->count == 0 ? NOTE_KIND_ED25519 : NOTE_KIND_SM2;
        char *key_text = mem_strndup((const char *)line.data, line.len);
        struct note_verifier *key = note_verifier_new(key_text, err);
        bool good = key != NULL && note_verifier_kind(key) == kind &&
                    strcmp(note_verifier_name(key), origin) == 0;
        note_verifier_free(&key);
        change_r->texts[change_r->count++] = key_text;
        if (!good) {
            change_fini(change_r);
            return malformed(err);
        }
    }
    if (change_r->count == 0 || rest.len > 0) {
        change_fini(change_r);
        return malformed(err);
    }
    return 0;
}

int log_keys_change_check(struct slice note, const char *origin, struct err *err)
{
    struct slice text, signatures;
    struct change change = { 0 };
    if (note.len > LOG_KEYS_NOTE_BYTES_MAX || note_split(note, &text, &signatures, err) != 0 ||
        read_change(text, origin, &change, err) != 0)
        return malformed(err);
    change_fini(&change);
    return 0;
}

int log_keys_change(struct log_keys *keys, struct slice note, struct err *err)
{
    const struct log_key_set *now = &keys->sets[keys->count - 1];
    struct change change = { 0 };
    struct slice text;
    uint32_t signed_by;
    if (log_keys_change_check(note, keys->origin, err) != 0 ||
        note_open(note, (const struct note_verifier *const *)now->keys, now->count, &text,
                  &signed_by, err) != 0)
        return -1;
    if (signed_by != (UINT32_C(1) << now->count) - 1)
        return err_set(err, ERR_PERMISSION_DENIED, "NOTE_UNSIGNED",
                       "Not all keys of the log signed this key change.");
    if (keys->count == LOG_KEYS_CHANGES_MAX + 1)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, "KEY_CHANGES",
                       "The log changed its keys more often than this program follows; pin a newer "
                       "key.");
    if (read_change(text, keys->origin, &change, err) != 0)
        return -1;
    struct log_key_set *set = &keys->sets[keys->count++];
    set->count = change.count;
    for (size_t i = 0; i < change.count; i++) {
        set->texts[i] = change.texts[i];
        set->keys[i] = note_verifier_new(change.texts[i], err);
        assert(set->keys[i] != NULL); /* read_change has read it */
    }
    return 0;
}

/* 0 when all keys of the set signed. */
static int open_with(const struct log_keys *keys, const struct log_key_set *set,
                     const struct audit_policy *policy, struct slice note,
                     struct checkpoint *checkpoint_r, uint32_t *witnesses_r, struct err *err)
{
    const struct note_verifier *verifiers[POLICY_KEYS_MAX + POLICY_WITNESSES_MAX];
    uint32_t verified, all = (UINT32_C(1) << set->count) - 1;
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        verifiers[count++] = set->keys[i];
    for (size_t i = 0; i < policy->witness_count; i++)
        verifiers[count++] = policy->witnesses[i];
    if (checkpoint_open(note, keys->origin, verifiers, count, checkpoint_r, &verified, err) != 0)
        return -1;
    if ((verified & all) != all)
        return err_set(err, ERR_PERMISSION_DENIED, "NOTE_UNSIGNED",
                       "Not all of the log's keys signed the checkpoint.");
    *witnesses_r = verified >> set->count;
    return 0;
}

int log_keys_checkpoint(const struct log_keys *keys, const struct audit_policy *policy,
                        struct slice note, size_t back, struct checkpoint *checkpoint_r,
                        uint32_t *witnesses_r, struct err *err)
{
    struct err first = ERR_INIT;
    for (size_t i = 0; i < keys->count && i <= back; i++) {
        const struct log_key_set *set = &keys->sets[keys->count - 1 - i];
        if (open_with(keys, set, policy, note, checkpoint_r, witnesses_r, i == 0 ? &first : err) ==
            0)
            return 0;
    }
    *err = first;
    return -1;
}
