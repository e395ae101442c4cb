#include "audit/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { WORDS_MAX = 3 + 2 * POLICY_WITNESSES_MAX };

struct parser {
    struct audit_policy *policy;
    unsigned line;
    char *words[WORDS_MAX];
    size_t count;
    bool distid;
    bool quorum;
    struct err *err;
};

static int refuse(const struct parser *parser, const char *what)
{
    return err_set(parser->err, ERR_INVALID_ARGUMENT, "POLICY_INVALID",
                   "Line %u of the policy: %s.", parser->line, what);
}

static struct note_verifier *read_key(const struct parser *parser, const char *text)
{
    struct note_verifier *verifier = note_verifier_new(text, parser->err);
    if (verifier == NULL)
        (void)refuse(parser, "a verifier key reads name+key id+base64; copy it again");
    return verifier;
}

static int take_log(struct parser *parser)
{
    struct audit_policy *policy = parser->policy;
    if (parser->count < 2 || parser->count > 3)
        return refuse(parser, "write: log <verifier key>");
    if (policy->key_count == POLICY_KEYS_MAX)
        return refuse(parser, "a log has at most one Ed25519 and one SM2 key");
    struct note_verifier *key = read_key(parser, parser->words[1]);
    if (key == NULL)
        return -1;
    enum note_kind kind = note_verifier_kind(key);
    policy->key_texts[policy->key_count] = mem_strdup(parser->words[1]);
    policy->keys[policy->key_count++] = key;
    if (kind != (policy->key_count == 1 ? NOTE_KIND_ED25519 : NOTE_KIND_SM2))
        return refuse(parser, "the log's Ed25519 key comes first, then its SM2 key, if any");
    if (policy->origin == NULL)
        policy->origin = mem_strdup(note_verifier_name(key));
    if (strcmp(policy->origin, note_verifier_name(key)) != 0)
        return refuse(parser, "both keys of a log bear its origin as their name");
    return 0;
}

static int take_distid(struct parser *parser)
{
    if (parser->count != 2 || strcmp(parser->words[1], note_sm2_identity()) != 0)
        return refuse(parser, "the SM2 identity this version verifies with is 1234567812345678");
    parser->distid = true;
    return 0;
}

static long find_voter(const struct audit_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->voter_count; i++) {
        if (strcmp(policy->voters[i].name, name) == 0)
            return (long)i;
    }
    return -1;
}

static struct policy_voter *new_voter(struct parser *parser, const char *name)
{
    struct audit_policy *policy = parser->policy;
    if (policy->voter_count == sizeof policy->voters / sizeof policy->voters[0]) {
        (void)refuse(parser, "there are too many witnesses and groups");
        return NULL;
    }
    if (strcmp(name, "none") == 0 || find_voter(policy, name) >= 0) {
        (void)refuse(parser, "this name is taken");
        return NULL;
    }
    struct policy_voter *voter = &policy->voters[policy->voter_count++];
    voter->name = mem_strdup(name);
    return voter;
}

static int take_witness(struct parser *parser)
{
    struct audit_policy *policy = parser->policy;
    if (parser->count < 3 || parser->count > 4)
        return refuse(parser, "write: witness <name> <verifier key>");
    if (policy->witness_count == POLICY_WITNESSES_MAX)
        return refuse(parser, "there are too many witnesses");
    struct note_verifier *key = read_key(parser, parser->words[2]);
    if (key == NULL)
        return -1;
    policy->witnesses[policy->witness_count++] = key;
    if (note_verifier_kind(key) != NOTE_KIND_COSIGNATURE)
        return refuse(parser, "a witness has a key of type 0x04 (cosignature)");
    struct policy_voter *voter = new_voter(parser, parser->words[1]);
    if (voter == NULL)
        return -1;
    voter->witness = policy->witness_count - 1;
    voter->needed = 1;
    return 0;
}

static bool parse_number(const char *text, unsigned *value_r)
{
    size_t len = strlen(text);
    if (len == 0 || len > 2 || strspn(text, "0123456789") != len)
        return false;
    *value_r = 0;
    for (size_t i = 0; i < len; i++)
        *value_r = *value_r * 10 + (unsigned)(text[i] - '0');
    return true;
}

static int take_group(struct parser *parser)
{
    if (parser->count < 4)
        return refuse(parser, "write: group <name> <k|all|any> <member>...");
    struct policy_voter *voter = new_voter(parser, parser->words[1]);
    if (voter == NULL)
        return -1;
    for (size_t i = 3; i < parser->count; i++) {
        long member = find_voter(parser->policy, parser->words[i]);
        if (member < 0 || &parser->policy->voters[member] == voter)
            return refuse(parser, "a member must be a witness or group of an earlier line");
        for (size_t k = 0; k < voter->member_count; k++) {
            if (voter->members[k] == (size_t)member)
                return refuse(parser, "a member stands there twice");
        }
        voter->members[voter->member_count++] = (size_t)member;
    }
    if (strcmp(parser->words[2], "all") == 0)
        voter->needed = (unsigned)voter->member_count;
    else if (strcmp(parser->words[2], "any") == 0)
        voter->needed = 1;
    else if (!parse_number(parser->words[2], &voter->needed) || voter->needed == 0 ||
             voter->needed > voter->member_count)
        return refuse(parser, "a group needs all, any, or a number up to that of its members");
    return 0;
}

static int take_quorum(struct parser *parser)
{
    if (parser->count != 2 || parser->quorum)
        return refuse(parser, "write once: quorum <name of a witness or group>, or quorum none");
    parser->quorum = true;
    parser->policy->quorum = find_voter(parser->policy, parser->words[1]);
    if (parser->policy->quorum < 0 && strcmp(parser->words[1], "none") != 0)
        return refuse(parser, "the quorum must be a witness or group of an earlier line");
    return 0;
}

static const struct {
    const char *word;
    int (*take)(struct parser *parser);
} lines[] = {
    { "log", take_log },     { "sm2-distid", take_distid }, { "witness", take_witness },
    { "group", take_group }, { "quorum", take_quorum },
};

static int take_line(struct parser *parser, char *line)
{
    char *rest = NULL;
    parser->count = 0;
    if (line[strspn(line, " \t")] == '#')
        return 0;
    for (char *word = strtok_r(line, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest)) {
        if (parser->count == WORDS_MAX)
            return refuse(parser, "it has too many words");
        parser->words[parser->count++] = word;
    }
    if (parser->count == 0)
        return 0;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strcmp(parser->words[0], lines[i].word) == 0)
            return lines[i].take(parser);
    }
    return refuse(parser, "it begins with none of: log, sm2-distid, witness, group, quorum");
}

static int finish(struct parser *parser)
{
    if (parser->policy->key_count == 0)
        return refuse(parser, "there is no log line; pin the log's key");
    if ((parser->policy->key_count == POLICY_KEYS_MAX) != parser->distid)
        return refuse(parser, "an SM2 key and a line sm2-distid go together");
    if (!parser->quorum)
        return refuse(parser, "there is no quorum line; write: quorum none");
    return 0;
}

struct audit_policy *audit_policy_parse(struct slice text, struct err *err)
{
    struct parser parser = { .err = err };
    parser.policy = mem_zero(sizeof *parser.policy);
    parser.policy->quorum = -1;
    int result = 0;
    if (text.len == 0)
        text = slice_of("", 0); /* where there is nothing, there may be no pointer either */
    if (text.len > POLICY_BYTES_MAX || memchr(text.data, '\0', text.len) != NULL ||
        !utf8_valid(text.data, text.len))
        result = refuse(&parser, "a policy is UTF-8 text of at most 64 KiB");
    char *copy =
        mem_strndup(result == 0 ? (const char *)text.data : "", result == 0 ? text.len : 0);
    char *rest = copy;
    while (result == 0 && rest != NULL) {
        char *line = strsep(&rest, "\n");
        parser.line++;
        line[strcspn(line, "\r")] = '\0';
        result = take_line(&parser, line);
    }
    free(copy);
    if (result == 0)
        result = finish(&parser);
    if (result != 0)
        audit_policy_free(&parser.policy);
    return parser.policy;
}

void audit_policy_free(struct audit_policy **policy)
{
    if (*policy == NULL)
        return;
    for (size_t i = 0; i < (*policy)->key_count; i++) {
        note_verifier_free(&(*policy)->keys[i]);
        free((*policy)->key_texts[i]);
    }
    for (size_t i = 0; i < (*policy)->witness_count; i++)
        note_verifier_free(&(*policy)->witnesses[i]);
    for (size_t i = 0; i < (*policy)->voter_count; i++)
        free((*policy)->voters[i].name);
    free((*policy)->origin);
    free(*policy);
    *policy = NULL;
}

bool audit_policy_quorum(const struct audit_policy *policy, uint32_t witnesses)
{
    bool holds[2 * POLICY_WITNESSES_MAX] = { false };
    if (policy->quorum < 0)
        return true;
    /* Members stand before their groups, so one pass is enough. */
    for (size_t i = 0; i < policy->voter_count; i++) {
        const struct policy_voter *voter = &policy->voters[i];
        unsigned votes = 0;
        for (size_t k = 0; k < voter->member_count; k++)
            votes += holds[voter->members[k]] ? 1 : 0;
        holds[i] = voter->member_count == 0 ? (witnesses >> voter->witness & 1) != 0
                                            : votes >= voter->needed;
    }
    return holds[policy->quorum];
}

unsigned audit_policy_needed(const struct audit_policy *policy)
{
    return policy->quorum < 0 ? 0 : policy->voters[policy->quorum].needed;
}
