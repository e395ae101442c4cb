#include "authz/catalogue.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define ROLE(name_) (1U << CATALOGUE_##name_)
#define DEPARTMENT  (ROLE(AUTHOR) | ROLE(COLLEAGUE))
/* Steps that check what somebody else wrote: never its author's. */
#define CHECKS                                                                                     \
    (1U << CATALOGUE_APPROVE | 1U << CATALOGUE_SUBMIT | 1U << CATALOGUE_PUBLISH |                  \
     1U << CATALOGUE_RETURN | 1U << CATALOGUE_RETURN_CHANGE | 1U << CATALOGUE_EXTEND |             \
     1U << CATALOGUE_RETIRE)

/* Everything that may happen. The database has the same rows (schemas/control/015_catalogue.sql); a
 * test compares them. */
static const struct catalogue_rule rules[] = {
    { CATALOGUE_WRITE, CATALOGUE_DRAFT, CATALOGUE_DRAFT, DEPARTMENT },
    { CATALOGUE_WRITE, CATALOGUE_ASSESSED, CATALOGUE_DRAFT, DEPARTMENT },
    { CATALOGUE_WRITE, CATALOGUE_DEPT_APPROVED, CATALOGUE_DRAFT, DEPARTMENT },
    { CATALOGUE_WRITE, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, DEPARTMENT },
    { CATALOGUE_ASSESS, CATALOGUE_DRAFT, CATALOGUE_ASSESSED, DEPARTMENT },
    { CATALOGUE_ASSESS, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, DEPARTMENT },
    { CATALOGUE_APPROVE, CATALOGUE_ASSESSED, CATALOGUE_DEPT_APPROVED, ROLE(COLLEAGUE) },
    { CATALOGUE_SUBMIT, CATALOGUE_DEPT_APPROVED, CATALOGUE_SUBMITTED, ROLE(COLLEAGUE) },
    { CATALOGUE_SUBMIT, CATALOGUE_CHANGE_DUE, CATALOGUE_SUBMITTED, ROLE(COLLEAGUE) },
    { CATALOGUE_PUBLISH, CATALOGUE_SUBMITTED, CATALOGUE_PUBLISHED, ROLE(AUTHORITY) },
    { CATALOGUE_RETURN, CATALOGUE_SUBMITTED, CATALOGUE_DRAFT, ROLE(AUTHORITY) },
    { CATALOGUE_RETURN_CHANGE, CATALOGUE_SUBMITTED, CATALOGUE_CHANGE_DUE, ROLE(AUTHORITY) },
    { CATALOGUE_CHANGE, CATALOGUE_PUBLISHED, CATALOGUE_CHANGE_DUE, DEPARTMENT },
    { CATALOGUE_ASK_EXTENSION, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, DEPARTMENT },
    { CATALOGUE_EXTEND, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, ROLE(AUTHORITY) },
    { CATALOGUE_RETIRE, CATALOGUE_PUBLISHED, CATALOGUE_RETIRED, ROLE(COLLEAGUE) },
    { CATALOGUE_RETIRE, CATALOGUE_CHANGE_DUE, CATALOGUE_RETIRED, ROLE(COLLEAGUE) },
};
enum { RULES = sizeof rules / sizeof rules[0] };

static const char *const state_names[CATALOGUE_STATE_END] = {
    [CATALOGUE_DRAFT] = "DRAFT",
    [CATALOGUE_ASSESSED] = "ASSESSED",
    [CATALOGUE_DEPT_APPROVED] = "DEPT_APPROVED",
    [CATALOGUE_SUBMITTED] = "SUBMITTED",
    [CATALOGUE_PUBLISHED] = "PUBLISHED",
    [CATALOGUE_CHANGE_DUE] = "CHANGE_DUE",
    [CATALOGUE_RETIRED] = "RETIRED",
};

static const char *const event_names[CATALOGUE_EVENT_END] = {
    [CATALOGUE_WRITE] = "WRITE",
    [CATALOGUE_ASSESS] = "ASSESS",
    [CATALOGUE_APPROVE] = "APPROVE",
    [CATALOGUE_SUBMIT] = "SUBMIT",
    [CATALOGUE_PUBLISH] = "PUBLISH",
    [CATALOGUE_RETURN] = "RETURN",
    [CATALOGUE_RETURN_CHANGE] = "RETURN_CHANGE",
    [CATALOGUE_CHANGE] = "CHANGE",
    [CATALOGUE_ASK_EXTENSION] = "ASK_EXTENSION",
    [CATALOGUE_EXTEND] = "EXTEND",
    [CATALOGUE_RETIRE] = "RETIRE",
};

static const char *const role_names[CATALOGUE_ROLE_END] = {
    [CATALOGUE_AUTHOR] = "AUTHOR",
    [CATALOGUE_COLLEAGUE] = "COLLEAGUE",
    [CATALOGUE_AUTHORITY] = "AUTHORITY",
    [CATALOGUE_STRANGER] = "STRANGER",
};

/* --- names ------------------------------------------------------------------------------------ */

static const char *name_at(const char *const *names, unsigned count, unsigned index)
{
    return index < count && names[index] != NULL ? names[index] : "";
}

static unsigned find_name(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 1; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

const char *catalogue_state_name(enum catalogue_state state)
{
    return name_at(state_names, CATALOGUE_STATE_END, state);
}

const char *catalogue_event_name(enum catalogue_event event)
{
    return name_at(event_names, CATALOGUE_EVENT_END, event);
}

const char *catalogue_role_name(enum catalogue_role role)
{
    return name_at(role_names, CATALOGUE_ROLE_END, role);
}

enum catalogue_state catalogue_state_of(const char *name)
{
    return (enum catalogue_state)find_name(state_names, CATALOGUE_STATE_END, name);
}

enum catalogue_event catalogue_event_of(const char *name)
{
    return (enum catalogue_event)find_name(event_names, CATALOGUE_EVENT_END, name);
}

bool catalogue_rule_at(unsigned index, struct catalogue_rule *rule_r)
{
    if (index >= RULES)
        return false;
    *rule_r = rules[index];
    return true;
}

bool catalogue_needs_text(enum catalogue_event event)
{
    static const unsigned needing = 1U << CATALOGUE_RETURN | 1U << CATALOGUE_RETURN_CHANGE |
                                    1U << CATALOGUE_CHANGE | 1U << CATALOGUE_ASK_EXTENSION |
                                    1U << CATALOGUE_RETIRE;
    return event < CATALOGUE_EVENT_END && (needing >> event & 1) != 0;
}

/* --- roles ------------------------------------------------------------------------------------ */

unsigned catalogue_roles(const struct catalogue_parties *parties, const char *subject,
                         const char *department)
{
    unsigned roles = 0;
    if (strcmp(subject, parties->author) == 0)
        return ROLE(AUTHOR); /* no second role by which to check what they wrote */
    if (strcmp(department, parties->department) == 0)
        roles |= ROLE(COLLEAGUE);
    if (parties->authority[0] != '\0' && strcmp(department, parties->authority) == 0)
        roles |= ROLE(AUTHORITY);
    return roles != 0 ? roles : ROLE(STRANGER);
}

/* --- the decision ----------------------------------------------------------------------------- */

static void append_list(struct buf *text, const char *word)
{
    if (text->len > 0)
        (void)buf_append_str(text, " or ");
    for (; *word != '\0'; word++) {
        char lower = *word == '_' ? ' ' : (char)(*word >= 'A' && *word <= 'Z' ? *word + 32 : *word);
        (void)buf_append_byte(text, (uint8_t)lower);
    }
}

static int refuse_role(enum catalogue_event event, unsigned allowed, unsigned roles,
                       struct err *err)
{
    static const char *const who[CATALOGUE_ROLE_END] = {
        [CATALOGUE_AUTHOR] = "the author",
        [CATALOGUE_COLLEAGUE] = "another officer of the department than who wrote it",
        [CATALOGUE_AUTHORITY] = "an officer of the sharing authority",
    };
    struct buf text;
    if ((roles & ROLE(AUTHOR)) != 0 && (CHECKS >> event & 1) != 0)
        return err_set(err, ERR_PERMISSION_DENIED, "CATALOGUE_OWN",
                       "an entry is not approved, submitted, published or retired by who wrote it; "
                       "another officer takes this step");
    buf_init(&text, ERR_TEXT_BYTES);
    for (unsigned role = 1; role < CATALOGUE_STRANGER; role++)
        if ((allowed >> role & 1) != 0)
            append_list(&text, who[role]);
    (void)err_set(err, ERR_PERMISSION_DENIED, "CATALOGUE_ROLE", "this step is taken by %s",
                  buf_cstr(&text));
    buf_fini(&text);
    return -1;
}

static int refuse_state(enum catalogue_event event, enum catalogue_state state, struct err *err)
{
    struct buf is, wanted;
    buf_init(&is, ERR_TEXT_BYTES);
    buf_init(&wanted, ERR_TEXT_BYTES);
    append_list(&is, catalogue_state_name(state));
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].event == event)
            append_list(&wanted, catalogue_state_name(rules[i].from));
    (void)err_set(err, ERR_FAILED_PRECONDITION, "CATALOGUE_STATE",
                  "the entry is %s; this step is taken when it is %s", buf_cstr(&is),
                  buf_cstr(&wanted));
    buf_fini(&is);
    buf_fini(&wanted);
    return -1;
}

static int refuse(struct err *err, const char *reason, const char *text)
{
    return err_set(err, ERR_FAILED_PRECONDITION, reason, "%s", text);
}

/* What the table cannot say: how often, and on what grounds. */
static int check_facts(const struct catalogue_facts *facts, enum catalogue_event event,
                       struct err *err)
{
    bool returns = event == CATALOGUE_RETURN || event == CATALOGUE_RETURN_CHANGE;
    if ((event == CATALOGUE_ASSESS || event == CATALOGUE_SUBMIT) && !facts->fresh)
        return refuse(err, "CATALOGUE_UNCHANGED",
                      "the latest edition is the one in force; write the change first");
    if (event == CATALOGUE_SUBMIT && !facts->assessed)
        return refuse(err, "CATALOGUE_UNASSESSED",
                      "the assessments of the latest edition are not on record");
    if ((event == CATALOGUE_PUBLISH || returns) && facts->took_part)
        return err_set(err, ERR_PERMISSION_DENIED, "CATALOGUE_OWN",
                       "you approved or submitted this entry yourself; another officer reviews it");
    if (returns && facts->published != (event == CATALOGUE_RETURN_CHANGE))
        return refuse(err, "CATALOGUE_STATE",
                      "a published entry is returned as a change, any other as a draft");
    if (event == CATALOGUE_ASK_EXTENSION && facts->extension_asked)
        return refuse(err, "EXTENSION_ASKED", "the extension has been asked for already");
    if (event == CATALOGUE_EXTEND && !facts->extension_asked)
        return refuse(err, "EXTENSION_NOT_ASKED", "the department has not asked for an extension");
    if (event == CATALOGUE_EXTEND && facts->extension_by_caller)
        return err_set(err, ERR_PERMISSION_DENIED, "CATALOGUE_OWN",
                       "you asked for this extension yourself; another officer agrees to it");
    if (event == CATALOGUE_EXTEND && facts->extended)
        return refuse(err, "EXTENSION_GIVEN", "the extension has been agreed to already");
    return 0;
}

int catalogue_next(const struct catalogue_facts *facts, enum catalogue_event event, unsigned roles,
                   enum catalogue_state *next_r, struct err *err)
{
    unsigned allowed = 0;
    const struct catalogue_rule *found = NULL;
    if ((roles & (ROLE(AUTHOR) | ROLE(COLLEAGUE) | ROLE(AUTHORITY))) == 0)
        return err_set(err, ERR_NOT_FOUND, "CATALOGUE_NOT_FOUND",
                       "there is no catalogue entry of this name");
    for (size_t i = 0; i < RULES; i++) {
        if (rules[i].event != event)
            continue;
        allowed |= rules[i].roles;
        if (rules[i].from == facts->state)
            found = &rules[i];
    }
    if (allowed == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "CATALOGUE_STEP",
                       "a catalogue entry has no such step");
    /* A step has the same roles in every state, so a role is judged first and a state is told only to
     * those who may take the step. */
    if ((allowed & roles) == 0)
        return refuse_role(event, allowed, roles, err);
    if (found == NULL)
        return refuse_state(event, facts->state, err);
    if (check_facts(facts, event, err) < 0)
        return -1;
    *next_r = found->to;
    return 0;
}
