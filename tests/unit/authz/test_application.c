/* The life of an application: every state, event and role, against the rules written down here a
 * second time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "authz/application.h"
#include "base/err.h"

/* "event: from > to, roles", after the regulation's Art. 20 to 22 and 27. */
static const char *const legal[] = {
    "SIGN_OFF: DRAFT > SIGNED_OFF, COLLEAGUE",
    "SUBMIT: SIGNED_OFF > SUBMITTED, APPLICANT COLLEAGUE",
    "ASK_SUPPLEMENT: SUBMITTED > SUPPLEMENT_ASKED, OWNER",
    "ANSWER_SUPPLEMENT: SUPPLEMENT_ASKED > SUBMITTED, APPLICANT COLLEAGUE",
    "ASK_EXTENSION: SUBMITTED > SUBMITTED, OWNER",
    "EXTEND: SUBMITTED > EXTENDED, AUTHORITY",
    "AGREE: SUBMITTED > AGREED, OWNER",
    "AGREE: EXTENDED > AGREED, OWNER",
    "REFUSE: SUBMITTED > REFUSED, OWNER",
    "REFUSE: EXTENDED > REFUSED, OWNER",
    "PROVISION: AGREED > PROVISIONING, OWNER",
    "ACTIVATE: PROVISIONING > ACTIVE, OWNER",
    "EXPIRE: ACTIVE > EXPIRED, CLOCK",
    "SUSPEND: ACTIVE > SUSPENDED, OWNER",
    "RESUME: SUSPENDED > ACTIVE, OWNER",
    "TERMINATE: SUSPENDED > TERMINATED, OWNER",
    "REQUIRE_DISPOSAL: EXPIRED > DISPOSAL_DUE, APPLICANT COLLEAGUE OWNER",
    "REQUIRE_DISPOSAL: TERMINATED > DISPOSAL_DUE, APPLICANT COLLEAGUE OWNER",
    "CONFIRM_DISPOSAL: DISPOSAL_DUE > DISPOSED, APPLICANT COLLEAGUE",
};
enum { LEGAL = sizeof legal / sizeof legal[0] };

/* The state that `legal` lists for a triple; "" when it is not legal. */
static const char *expected(const char *event, const char *from, const char *role)
{
    static char to[32];
    char start[80], word[32];
    (void)snprintf(start, sizeof start, "%s: %s > ", event, from);
    (void)snprintf(word, sizeof word, " %s", role);
    for (size_t i = 0; i < LEGAL; i++) {
        if (strncmp(legal[i], start, strlen(start)) != 0)
            continue;
        const char *roles = strchr(legal[i], ',');
        const char *at = strstr(roles, word);
        if (at == NULL || (at[strlen(word)] != '\0' && at[strlen(word)] != ' '))
            continue;
        (void)snprintf(to, sizeof to, "%.*s", (int)(roles - legal[i] - (long)strlen(start)),
                       legal[i] + strlen(start));
        return to;
    }
    return "";
}

/* Facts under which nothing but state and role decides. */
static struct application_facts permissive(enum application_state state,
                                           enum application_event event)
{
    return (struct application_facts){ .state = state,
                                       .extension_asked = event == APPLICATION_EXTEND,
                                       .validity_over = event == APPLICATION_EXPIRE };
}

static void every_triple_is_legal_or_refused_with_a_reason(void **test_state)
{
    (void)test_state;
    int allowed = 0, refused = 0;
    /* One beyond each end, too. */
    for (unsigned state = 0; state <= APPLICATION_STATE_END; state++)
        for (unsigned event = 0; event <= APPLICATION_EVENT_END; event++)
            for (unsigned role = 0; role <= APPLICATION_ROLE_END; role++) {
                struct application_facts facts =
                    permissive((enum application_state)state, (enum application_event)event);
                enum application_state next = 99;
                struct err err = ERR_INIT;
                int result = application_next(&facts, (enum application_event)event, 1U << role,
                                              &next, &err);
                const char *to = expected(application_event_name((enum application_event)event),
                                          application_state_name((enum application_state)state),
                                          application_role_name((enum application_role)role));
                if (to[0] != '\0') {
                    assert_int_equal(result, 0);
                    assert_string_equal(application_state_name(next), to);
                    allowed++;
                    continue;
                }
                assert_int_equal(result, -1);
                assert_int_equal(next, 99);
                assert_true(err.code == ERR_PERMISSION_DENIED || err.code == ERR_NOT_FOUND ||
                            err.code == ERR_FAILED_PRECONDITION ||
                            err.code == ERR_INVALID_ARGUMENT);
                assert_true(err.reason[0] != '\0' && err.text[0] != '\0');
                refused++;
            }
    assert_int_equal(allowed, 26);
    assert_int_equal(refused, (APPLICATION_STATE_END + 1) * (APPLICATION_EVENT_END + 1) *
                                      (APPLICATION_ROLE_END + 1) -
                                  26);
}

static const char *reason(enum application_state state, enum application_event event,
                          unsigned roles)
{
    struct application_facts facts = permissive(state, event);
    enum application_state next;
    static struct err err;
    err_clear(&err);
    assert_int_equal(application_next(&facts, event, roles, &next, &err), -1);
    return err.reason;
}

static void a_refusal_says_whether_the_role_or_the_state_was_wrong(void **test_state)
{
    (void)test_state;
    static const enum application_event checks[] = { APPLICATION_SIGN_OFF, APPLICATION_AGREE,
                                                     APPLICATION_REFUSE, APPLICATION_EXTEND };
    for (unsigned state = 1; state < APPLICATION_STATE_END; state++) {
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
            assert_string_equal(
                reason((enum application_state)state, checks[i], 1U << APPLICATION_APPLICANT),
                "APPLICATION_OWN");
        for (unsigned event = 1; event < APPLICATION_EVENT_END; event++)
            assert_string_equal(reason((enum application_state)state, (enum application_event)event,
                                       1U << APPLICATION_STRANGER),
                                "APPLICATION_NOT_FOUND");
        assert_string_equal(
            reason((enum application_state)state, APPLICATION_AGREE, 1U << APPLICATION_COLLEAGUE),
            "APPLICATION_ROLE");
    }
    assert_string_equal(reason(APPLICATION_REFUSED, APPLICATION_AGREE, 1U << APPLICATION_OWNER),
                        "APPLICATION_STATE");
    struct application_facts facts = { .state = APPLICATION_SUPPLEMENT_ASKED };
    enum application_state next;
    struct err err = ERR_INIT;
    (void)application_next(&facts, APPLICATION_AGREE, 1U << APPLICATION_OWNER, &next, &err);
    assert_string_equal(err.text, "the application is supplement asked; this step is taken when it "
                                  "is submitted or extended");
    (void)application_next(&facts, APPLICATION_SUBMIT, 1U << APPLICATION_OWNER, &next, &err);
    assert_string_equal(err.text, "this step is taken by the applicant or another officer of the "
                                  "applicant's department");
}

struct fact_case {
    struct application_facts facts;
    enum application_event event;
    unsigned roles;
    const char *reason; /* NULL: allowed */
};

static void facts_decide_what_the_table_cannot(void **test_state)
{
    (void)test_state;
    unsigned owner = 1U << APPLICATION_OWNER, authority = 1U << APPLICATION_AUTHORITY;
    const struct fact_case cases[] = {
        { { .state = APPLICATION_SUBMITTED, .supplement_used = true },
          APPLICATION_ASK_SUPPLEMENT,
          owner,
          "SUPPLEMENT_USED" },
        { { .state = APPLICATION_SUBMITTED, .open = true },
          APPLICATION_ASK_EXTENSION,
          owner,
          "EXTENSION_OPEN" },
        { { .state = APPLICATION_SUBMITTED, .extension_asked = true },
          APPLICATION_ASK_EXTENSION,
          owner,
          "EXTENSION_ASKED" },
        { { .state = APPLICATION_SUBMITTED },
          APPLICATION_EXTEND,
          authority,
          "EXTENSION_NOT_ASKED" },
        { { .state = APPLICATION_SUBMITTED, .extension_asked = true, .extension_by_caller = true },
          APPLICATION_EXTEND,
          authority | owner,
          "APPLICATION_OWN" },
        { { .state = APPLICATION_SUBMITTED, .extension_asked = true },
          APPLICATION_EXTEND,
          authority | owner,
          NULL },
        { { .state = APPLICATION_PROVISIONING, .validity_over = true },
          APPLICATION_ACTIVATE,
          owner,
          "VALIDITY_OVER" },
        { { .state = APPLICATION_SUSPENDED, .validity_over = true },
          APPLICATION_RESUME,
          owner,
          "VALIDITY_OVER" },
        { { .state = APPLICATION_ACTIVE },
          APPLICATION_EXPIRE,
          1U << APPLICATION_CLOCK,
          "VALIDITY_LEFT" },
        /* A strict clock: what is late may still be decided. */
        { { .state = APPLICATION_SUBMITTED, .open = true, .supplement_used = true },
          APPLICATION_AGREE,
          owner,
          NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum application_state next;
        struct err err = ERR_INIT;
        int result = application_next(&cases[i].facts, cases[i].event, cases[i].roles, &next, &err);
        assert_int_equal(result, cases[i].reason == NULL ? 0 : -1);
        if (cases[i].reason != NULL)
            assert_string_equal(err.reason, cases[i].reason);
    }
}

static void an_applicant_is_nothing_else(void **test_state)
{
    (void)test_state;
    struct application_parties parties = { .applicant = "spiffe://x/dept/health/officer/li",
                                           .requester = "health",
                                           .owner = "statistics",
                                           .authority = "health" };
    assert_int_equal(application_roles(&parties, parties.applicant, "health"),
                     1U << APPLICATION_APPLICANT);
    assert_int_equal(application_roles(&parties, parties.applicant, "statistics"),
                     1U << APPLICATION_APPLICANT);
    assert_int_equal(application_roles(&parties, "spiffe://x/dept/health/officer/wu", "health"),
                     1U << APPLICATION_COLLEAGUE | 1U << APPLICATION_AUTHORITY);
    assert_int_equal(application_roles(&parties, "s", "statistics"), 1U << APPLICATION_OWNER);
    assert_int_equal(application_roles(&parties, "s", "forestry"), 1U << APPLICATION_STRANGER);
    parties.authority = "";
    assert_int_equal(application_roles(&parties, "s", ""), 1U << APPLICATION_STRANGER);
}

static void names_lead_back_to_their_values(void **test_state)
{
    (void)test_state;
    for (unsigned i = 1; i < APPLICATION_STATE_END; i++)
        assert_int_equal(application_state_of(application_state_name((enum application_state)i)),
                         i);
    for (unsigned i = 1; i < APPLICATION_EVENT_END; i++)
        assert_int_equal(application_event_of(application_event_name((enum application_event)i)),
                         i);
    assert_int_equal(application_state_of(""), 0);
    assert_int_equal(application_event_of("sign_off"), 0);
    assert_true(application_needs_text(APPLICATION_REFUSE));
    assert_false(application_needs_text(APPLICATION_AGREE));
    assert_false(application_needs_text(APPLICATION_EVENT_END));
}

/* From each state something leads on, but for the two in which a life ends; all are reached. */
static void no_state_is_a_trap(void **test_state)
{
    (void)test_state;
    unsigned reached = 1U << APPLICATION_DRAFT, leads = 0;
    struct application_rule rule;
    for (unsigned i = 0; application_rule_at(i, &rule); i++) {
        reached |= 1U << rule.to;
        leads |= 1U << rule.from;
    }
    unsigned all = (1U << APPLICATION_STATE_END) - 2;
    assert_int_equal(reached, all);
    assert_int_equal(leads, all & ~(1U << APPLICATION_REFUSED | 1U << APPLICATION_DISPOSED));
}

/* The database has the same rows: "    ('SIGN_OFF', 'DRAFT', 'SIGNED_OFF', '{COLLEAGUE}')," */
static void the_database_has_the_same_rules(void **test_state)
{
    (void)test_state;
    char line[300], want[300];
    unsigned found = 0;
    struct application_rule rule;
    FILE *file = fopen("schemas/control/010_application.sql", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "    ('", 6) != 0)
            continue;
        assert_true(application_rule_at(found++, &rule));
        int len = snprintf(want, sizeof want, "    ('%s', '%s', '%s', '{",
                           application_event_name(rule.event), application_state_name(rule.from),
                           application_state_name(rule.to));
        const char *comma = "";
        for (unsigned role = 1; role < APPLICATION_ROLE_END; role++) {
            if ((rule.roles >> role & 1) == 0)
                continue;
            len += snprintf(want + len, sizeof want - (size_t)len, "%s%s", comma,
                            application_role_name((enum application_role)role));
            comma = ",";
        }
        (void)snprintf(want + len, sizeof want - (size_t)len, "}')");
        assert_int_equal(strncmp(line, want, strlen(want)), 0);
    }
    (void)fclose(file);
    assert_false(application_rule_at(found, &rule));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_triple_is_legal_or_refused_with_a_reason),
        cmocka_unit_test(a_refusal_says_whether_the_role_or_the_state_was_wrong),
        cmocka_unit_test(facts_decide_what_the_table_cannot),
        cmocka_unit_test(an_applicant_is_nothing_else),
        cmocka_unit_test(names_lead_back_to_their_values),
        cmocka_unit_test(no_state_is_a_trap),
        cmocka_unit_test(the_database_has_the_same_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
