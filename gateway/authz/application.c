#include "authz/application.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define ROLE(name_) (1U << APPLICATION_##name_)
#define REQUESTER   (ROLE(APPLICANT) | ROLE(COLLEAGUE))
/* Steps that check what somebody else made: never the applicant's. */
#define CHECKS                                                                                     \
    (1U << APPLICATION_SIGN_OFF | 1U << APPLICATION_EXTEND | 1U << APPLICATION_AGREE |             \
     1U << APPLICATION_REFUSE)

/* Everything that may happen. The database has the same rows (schemas/control/010_application.sql);
 * a test compares them. */
static const struct application_rule rules[] = {
    { APPLICATION_SIGN_OFF, APPLICATION_DRAFT, APPLICATION_SIGNED_OFF, ROLE(COLLEAGUE) },
    { APPLICATION_SUBMIT, APPLICATION_SIGNED_OFF, APPLICATION_SUBMITTED, REQUESTER },
    { APPLICATION_ASK_SUPPLEMENT, APPLICATION_SUBMITTED, APPLICATION_SUPPLEMENT_ASKED,
      ROLE(OWNER) },
    { APPLICATION_ANSWER_SUPPLEMENT, APPLICATION_SUPPLEMENT_ASKED, APPLICATION_SUBMITTED,
      REQUESTER },
    { APPLICATION_ASK_EXTENSION, APPLICATION_SUBMITTED, APPLICATION_SUBMITTED, ROLE(OWNER) },
    { APPLICATION_EXTEND, APPLICATION_SUBMITTED, APPLICATION_EXTENDED, ROLE(AUTHORITY) },
    { APPLICATION_AGREE, APPLICATION_SUBMITTED, APPLICATION_AGREED, ROLE(OWNER) },
    { APPLICATION_AGREE, APPLICATION_EXTENDED, APPLICATION_AGREED, ROLE(OWNER) },
    { APPLICATION_REFUSE, APPLICATION_SUBMITTED, APPLICATION_REFUSED, ROLE(OWNER) },
    { APPLICATION_REFUSE, APPLICATION_EXTENDED, APPLICATION_REFUSED, ROLE(OWNER) },
    { APPLICATION_PROVISION, APPLICATION_AGREED, APPLICATION_PROVISIONING, ROLE(OWNER) },
    { APPLICATION_ACTIVATE, APPLICATION_PROVISIONING, APPLICATION_ACTIVE, ROLE(OWNER) },
    { APPLICATION_EXPIRE, APPLICATION_ACTIVE, APPLICATION_EXPIRED, ROLE(CLOCK) },
    { APPLICATION_SUSPEND, APPLICATION_ACTIVE, APPLICATION_SUSPENDED, ROLE(OWNER) },
    { APPLICATION_RESUME, APPLICATION_SUSPENDED, APPLICATION_ACTIVE, ROLE(OWNER) },
    { APPLICATION_TERMINATE, APPLICATION_SUSPENDED, APPLICATION_TERMINATED, ROLE(OWNER) },
    { APPLICATION_REQUIRE_DISPOSAL, APPLICATION_EXPIRED, APPLICATION_DISPOSAL_DUE,
      ROLE(OWNER) | REQUESTER },
    { APPLICATION_REQUIRE_DISPOSAL, APPLICATION_TERMINATED, APPLICATION_DISPOSAL_DUE,
      ROLE(OWNER) | REQUESTER },
    { APPLICATION_CONFIRM_DISPOSAL, APPLICATION_DISPOSAL_DUE, APPLICATION_DISPOSED, REQUESTER },
};
enum { RULES = sizeof rules / sizeof rules[0] };

static const char *const state_names[APPLICATION_STATE_END] = {
    [APPLICATION_DRAFT] = "DRAFT",
    [APPLICATION_SIGNED_OFF] = "SIGNED_OFF",
    [APPLICATION_SUBMITTED] = "SUBMITTED",
    [APPLICATION_SUPPLEMENT_ASKED] = "SUPPLEMENT_ASKED",
    [APPLICATION_EXTENDED] = "EXTENDED",
    [APPLICATION_AGREED] = "AGREED",
    [APPLICATION_REFUSED] = "REFUSED",
    [APPLICATION_PROVISIONING] = "PROVISIONING",
    [APPLICATION_ACTIVE] = "ACTIVE",
    [APPLICATION_EXPIRED] = "EXPIRED",
    [APPLICATION_SUSPENDED] = "SUSPENDED",
    [APPLICATION_TERMINATED] = "TERMINATED",
    [APPLICATION_DISPOSAL_DUE] = "DISPOSAL_DUE",
    [APPLICATION_DISPOSED] = "DISPOSED",
};

static const char *const event_names[APPLICATION_EVENT_END] = {
    [APPLICATION_SIGN_OFF] = "SIGN_OFF",
    [APPLICATION_SUBMIT] = "SUBMIT",
    [APPLICATION_ASK_SUPPLEMENT] = "ASK_SUPPLEMENT",
    [APPLICATION_ANSWER_SUPPLEMENT] = "ANSWER_SUPPLEMENT",
    [APPLICATION_ASK_EXTENSION] = "ASK_EXTENSION",
    [APPLICATION_EXTEND] = "EXTEND",
    [APPLICATION_AGREE] = "AGREE",
    [APPLICATION_REFUSE] = "REFUSE",
    [APPLICATION_PROVISION] = "PROVISION",
    [APPLICATION_ACTIVATE] = "ACTIVATE",
    [APPLICATION_EXPIRE] = "EXPIRE",
    [APPLICATION_SUSPEND] = "SUSPEND",
    [APPLICATION_RESUME] = "RESUME",
    [APPLICATION_TERMINATE] = "TERMINATE",
    [APPLICATION_REQUIRE_DISPOSAL] = "REQUIRE_DISPOSAL",
    [APPLICATION_CONFIRM_DISPOSAL] = "CONFIRM_DISPOSAL",
};

static const char *const role_names[APPLICATION_ROLE_END] = {
    [APPLICATION_APPLICANT] = "APPLICANT", [APPLICATION_COLLEAGUE] = "COLLEAGUE",
    [APPLICATION_OWNER] = "OWNER",         [APPLICATION_AUTHORITY] = "AUTHORITY",
    [APPLICATION_CLOCK] = "CLOCK",         [APPLICATION_STRANGER] = "STRANGER",
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

const char *application_state_name(enum application_state state)
{
    return name_at(state_names, APPLICATION_STATE_END, state);
}

const char *application_event_name(enum application_event event)
{
    return name_at(event_names, APPLICATION_EVENT_END, event);
}

const char *application_role_name(enum application_role role)
{
    return name_at(role_names, APPLICATION_ROLE_END, role);
}

enum application_state application_state_of(const char *name)
{
    return (enum application_state)find_name(state_names, APPLICATION_STATE_END, name);
}

enum application_event application_event_of(const char *name)
{
    return (enum application_event)find_name(event_names, APPLICATION_EVENT_END, name);
}

bool application_rule_at(unsigned index, struct application_rule *rule_r)
{
    if (index >= RULES)
        return false;
    *rule_r = rules[index];
    return true;
}

bool application_needs_text(enum application_event event)
{
    /* Art. 21: refusing needs reasons, an incomplete file is told what it lacks; Art. 27. */
    static const unsigned needing =
        1U << APPLICATION_ASK_SUPPLEMENT | 1U << APPLICATION_ANSWER_SUPPLEMENT |
        1U << APPLICATION_ASK_EXTENSION | 1U << APPLICATION_REFUSE | 1U << APPLICATION_SUSPEND |
        1U << APPLICATION_RESUME | 1U << APPLICATION_TERMINATE | 1U << APPLICATION_CONFIRM_DISPOSAL;
    return event < APPLICATION_EVENT_END && (needing >> event & 1) != 0;
}

/* --- roles ------------------------------------------------------------------------------------ */

unsigned application_roles(const struct application_parties *parties, const char *subject,
                           const char *department)
{
    unsigned roles = 0;
    if (strcmp(subject, parties->applicant) == 0)
        return ROLE(APPLICANT); /* no second role by which to check their own application */
    if (strcmp(department, parties->requester) == 0)
        roles |= ROLE(COLLEAGUE);
    if (strcmp(department, parties->owner) == 0)
        roles |= ROLE(OWNER);
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

static int refuse_role(enum application_event event, unsigned allowed, unsigned roles,
                       struct err *err)
{
    static const char *const who[APPLICATION_ROLE_END] = {
        [APPLICATION_APPLICANT] = "the applicant",
        [APPLICATION_COLLEAGUE] = "another officer of the applicant's department",
        [APPLICATION_OWNER] = "an officer of the department that owns the dataset",
        [APPLICATION_AUTHORITY] = "an officer of the sharing authority",
        [APPLICATION_CLOCK] = "the gateway itself",
    };
    struct buf text;
    if ((roles & ROLE(APPLICANT)) != 0 && (CHECKS >> event & 1) != 0)
        return err_set(err, ERR_PERMISSION_DENIED, "APPLICATION_OWN",
                       "an application is not decided by its applicant; another officer takes this "
                       "step");
    buf_init(&text, ERR_TEXT_BYTES);
    for (unsigned role = 1; role < APPLICATION_STRANGER; role++)
        if ((allowed >> role & 1) != 0)
            append_list(&text, who[role]);
    (void)err_set(err, ERR_PERMISSION_DENIED, "APPLICATION_ROLE", "this step is taken by %s",
                  buf_cstr(&text));
    buf_fini(&text);
    return -1;
}

static int refuse_state(enum application_event event, enum application_state state, struct err *err)
{
    struct buf is, wanted;
    buf_init(&is, ERR_TEXT_BYTES);
    buf_init(&wanted, ERR_TEXT_BYTES);
    append_list(&is, application_state_name(state));
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].event == event)
            append_list(&wanted, application_state_name(rules[i].from));
    (void)err_set(err, ERR_FAILED_PRECONDITION, "APPLICATION_STATE",
                  "the application is %s; this step is taken when it is %s", buf_cstr(&is),
                  buf_cstr(&wanted));
    buf_fini(&is);
    buf_fini(&wanted);
    return -1;
}

static int refuse(struct err *err, const char *reason, const char *text)
{
    return err_set(err, ERR_FAILED_PRECONDITION, reason, "%s", text);
}

/* What the table cannot say: how often, and when. */
static int check_facts(const struct application_facts *facts, enum application_event event,
                       struct err *err)
{
    bool extends = event == APPLICATION_ASK_EXTENSION || event == APPLICATION_EXTEND;
    if (event == APPLICATION_ASK_SUPPLEMENT && facts->supplement_used)
        return refuse(
            err, "SUPPLEMENT_USED",
            "supplements are asked for once, and they have been; decide on what there is");
    if (extends && facts->open)
        return refuse(err, "EXTENSION_OPEN",
                      "a dataset that is shared without conditions is answered within one working "
                      "day, without extension");
    if (event == APPLICATION_ASK_EXTENSION && facts->extension_asked)
        return refuse(err, "EXTENSION_ASKED", "the extension has been asked for already");
    if (event == APPLICATION_EXTEND && !facts->extension_asked)
        return refuse(err, "EXTENSION_NOT_ASKED", "the owner has not asked for an extension");
    if (event == APPLICATION_EXTEND && facts->extension_by_caller)
        return err_set(err, ERR_PERMISSION_DENIED, "APPLICATION_OWN",
                       "you asked for this extension yourself; another officer consents to it");
    if ((event == APPLICATION_ACTIVATE || event == APPLICATION_RESUME) && facts->validity_over)
        return refuse(err, "VALIDITY_OVER",
                      "the time that was applied for is over; a new application is needed");
    if (event == APPLICATION_EXPIRE && !facts->validity_over)
        return refuse(err, "VALIDITY_LEFT", "the time that was applied for is not over");
    return 0;
}

int application_next(const struct application_facts *facts, enum application_event event,
                     unsigned roles, enum application_state *next_r, struct err *err)
{
    unsigned allowed = 0;
    const struct application_rule *found = NULL;
    if ((roles &
         (ROLE(APPLICANT) | ROLE(COLLEAGUE) | ROLE(OWNER) | ROLE(AUTHORITY) | ROLE(CLOCK))) == 0)
        return err_set(err, ERR_NOT_FOUND, "APPLICATION_NOT_FOUND",
                       "there is no application of this id");
    for (size_t i = 0; i < RULES; i++) {
        if (rules[i].event != event)
            continue;
        allowed |= rules[i].roles;
        if (rules[i].from == facts->state)
            found = &rules[i];
    }
    if (allowed == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "APPLICATION_STEP",
                       "an application has no such step");
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
