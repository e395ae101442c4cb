/* The life of a catalogue entry: every state, event and role, against the rules written down here a
 * second time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "authz/catalogue.h"
#include "base/err.h"

/* "event: from > to, roles", after the regulation's Art. 13 to 17. */
static const char *const legal[] = {
    "WRITE: DRAFT > DRAFT, AUTHOR COLLEAGUE",
    "WRITE: ASSESSED > DRAFT, AUTHOR COLLEAGUE",
    "WRITE: DEPT_APPROVED > DRAFT, AUTHOR COLLEAGUE",
    "WRITE: CHANGE_DUE > CHANGE_DUE, AUTHOR COLLEAGUE",
    "ASSESS: DRAFT > ASSESSED, AUTHOR COLLEAGUE",
    "ASSESS: CHANGE_DUE > CHANGE_DUE, AUTHOR COLLEAGUE",
    "APPROVE: ASSESSED > DEPT_APPROVED, COLLEAGUE",
    "SUBMIT: DEPT_APPROVED > SUBMITTED, COLLEAGUE",
    "SUBMIT: CHANGE_DUE > SUBMITTED, COLLEAGUE",
    "PUBLISH: SUBMITTED > PUBLISHED, AUTHORITY",
    "RETURN: SUBMITTED > DRAFT, AUTHORITY",
    "RETURN_CHANGE: SUBMITTED > CHANGE_DUE, AUTHORITY",
    "CHANGE: PUBLISHED > CHANGE_DUE, AUTHOR COLLEAGUE",
    "ASK_EXTENSION: CHANGE_DUE > CHANGE_DUE, AUTHOR COLLEAGUE",
    "EXTEND: CHANGE_DUE > CHANGE_DUE, AUTHORITY",
    "RETIRE: PUBLISHED > RETIRED, COLLEAGUE",
    "RETIRE: CHANGE_DUE > RETIRED, COLLEAGUE",
};
enum { LEGAL = sizeof legal / sizeof legal[0], TRIPLES = 25 };

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
        if (role[0] == '\0' || at == NULL || (at[strlen(word)] != '\0' && at[strlen(word)] != ' '))
            continue;
        (void)snprintf(to, sizeof to, "%.*s", (int)(roles - legal[i] - (long)strlen(start)),
                       legal[i] + strlen(start));
        return to;
    }
    return "";
}

/* Facts under which nothing but state and role decides. */
static struct catalogue_facts permissive(enum catalogue_state state, enum catalogue_event event)
{
    return (struct catalogue_facts){ .state = state,
                                     .fresh = true,
                                     .assessed = true,
                                     .published = event == CATALOGUE_RETURN_CHANGE,
                                     .extension_asked = event == CATALOGUE_EXTEND };
}

static void every_triple_is_legal_or_refused_with_a_reason(void **test_state)
{
    (void)test_state;
    int allowed = 0;
    /* One beyond each end, too. */
    for (unsigned state = 0; state <= CATALOGUE_STATE_END; state++)
        for (unsigned event = 0; event <= CATALOGUE_EVENT_END; event++)
            for (unsigned role = 0; role <= CATALOGUE_ROLE_END; role++) {
                struct catalogue_facts facts =
                    permissive((enum catalogue_state)state, (enum catalogue_event)event);
                enum catalogue_state next = 99;
                struct err err = ERR_INIT;
                int result =
                    catalogue_next(&facts, (enum catalogue_event)event, 1U << role, &next, &err);
                const char *to = expected(catalogue_event_name((enum catalogue_event)event),
                                          catalogue_state_name((enum catalogue_state)state),
                                          catalogue_role_name((enum catalogue_role)role));
                if (to[0] != '\0') {
                    assert_int_equal(result, 0);
                    assert_string_equal(catalogue_state_name(next), to);
                    allowed++;
                    continue;
                }
                assert_int_equal(result, -1);
                assert_int_equal(next, 99);
                assert_true(err.code == ERR_PERMISSION_DENIED || err.code == ERR_NOT_FOUND ||
                            err.code == ERR_FAILED_PRECONDITION ||
                            err.code == ERR_INVALID_ARGUMENT);
                assert_true(err.reason[0] != '\0' && err.text[0] != '\0');
            }
    assert_int_equal(allowed, TRIPLES);
}

static void who_wrote_an_edition_checks_nothing_of_it(void **test_state)
{
    (void)test_state;
    static const enum catalogue_event checks[] = { CATALOGUE_APPROVE,       CATALOGUE_SUBMIT,
                                                   CATALOGUE_PUBLISH,       CATALOGUE_RETURN,
                                                   CATALOGUE_RETURN_CHANGE, CATALOGUE_EXTEND,
                                                   CATALOGUE_RETIRE };
    for (unsigned state = 1; state < CATALOGUE_STATE_END; state++)
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
            struct catalogue_facts facts = permissive((enum catalogue_state)state, checks[i]);
            enum catalogue_state next;
            struct err err = ERR_INIT;
            assert_int_equal(catalogue_next(&facts, checks[i], 1U << CATALOGUE_AUTHOR, &next, &err),
                             -1);
            assert_string_equal(err.reason, "CATALOGUE_OWN");
        }
    struct catalogue_parties parties = { .author = "spiffe://x/dept/data/officer/li",
                                         .department = "data",
                                         .authority = "data" };
    assert_int_equal(catalogue_roles(&parties, parties.author, "data"), 1U << CATALOGUE_AUTHOR);
    assert_int_equal(catalogue_roles(&parties, "spiffe://x/dept/data/officer/wu", "data"),
                     1U << CATALOGUE_COLLEAGUE | 1U << CATALOGUE_AUTHORITY);
    assert_int_equal(catalogue_roles(&parties, "s", "forestry"), 1U << CATALOGUE_STRANGER);
    parties.authority = "";
    assert_int_equal(catalogue_roles(&parties, "s", ""), 1U << CATALOGUE_STRANGER);
}

static void facts_decide_what_the_table_cannot(void **test_state)
{
    (void)test_state;
    unsigned colleague = 1U << CATALOGUE_COLLEAGUE, authority = 1U << CATALOGUE_AUTHORITY;
    const struct {
        struct catalogue_facts facts;
        enum catalogue_event event;
        unsigned roles;
        const char *reason; /* NULL: allowed */
    } cases[] = {
        { { .state = CATALOGUE_CHANGE_DUE }, CATALOGUE_ASSESS, colleague, "CATALOGUE_UNCHANGED" },
        { { .state = CATALOGUE_CHANGE_DUE }, CATALOGUE_SUBMIT, colleague, "CATALOGUE_UNCHANGED" },
        { { .state = CATALOGUE_CHANGE_DUE, .fresh = true },
          CATALOGUE_SUBMIT,
          colleague,
          "CATALOGUE_UNASSESSED" },
        { { .state = CATALOGUE_SUBMITTED, .took_part = true },
          CATALOGUE_PUBLISH,
          authority | colleague,
          "CATALOGUE_OWN" },
        { { .state = CATALOGUE_SUBMITTED, .took_part = true },
          CATALOGUE_RETURN,
          authority | colleague,
          "CATALOGUE_OWN" },
        { { .state = CATALOGUE_SUBMITTED, .published = true },
          CATALOGUE_RETURN,
          authority,
          "CATALOGUE_STATE" },
        { { .state = CATALOGUE_SUBMITTED }, CATALOGUE_RETURN_CHANGE, authority, "CATALOGUE_STATE" },
        { { .state = CATALOGUE_SUBMITTED, .published = true },
          CATALOGUE_RETURN_CHANGE,
          authority,
          NULL },
        { { .state = CATALOGUE_CHANGE_DUE, .extension_asked = true },
          CATALOGUE_ASK_EXTENSION,
          colleague,
          "EXTENSION_ASKED" },
        { { .state = CATALOGUE_CHANGE_DUE }, CATALOGUE_EXTEND, authority, "EXTENSION_NOT_ASKED" },
        { { .state = CATALOGUE_CHANGE_DUE, .extension_asked = true, .extension_by_caller = true },
          CATALOGUE_EXTEND,
          authority,
          "CATALOGUE_OWN" },
        { { .state = CATALOGUE_CHANGE_DUE, .extension_asked = true, .extended = true },
          CATALOGUE_EXTEND,
          authority,
          "EXTENSION_GIVEN" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum catalogue_state next;
        struct err err = ERR_INIT;
        int result = catalogue_next(&cases[i].facts, cases[i].event, cases[i].roles, &next, &err);
        assert_int_equal(result, cases[i].reason == NULL ? 0 : -1);
        if (cases[i].reason != NULL)
            assert_string_equal(err.reason, cases[i].reason);
    }
}

static void names_lead_back_to_their_values_and_no_state_is_a_trap(void **test_state)
{
    (void)test_state;
    for (unsigned i = 1; i < CATALOGUE_STATE_END; i++)
        assert_int_equal(catalogue_state_of(catalogue_state_name((enum catalogue_state)i)), i);
    for (unsigned i = 1; i < CATALOGUE_EVENT_END; i++)
        assert_int_equal(catalogue_event_of(catalogue_event_name((enum catalogue_event)i)), i);
    assert_int_equal(catalogue_state_of(""), 0);
    assert_int_equal(catalogue_event_of("publish"), 0);
    assert_true(catalogue_needs_text(CATALOGUE_RETIRE));
    assert_false(catalogue_needs_text(CATALOGUE_PUBLISH));
    assert_false(catalogue_needs_text(CATALOGUE_EVENT_END));
    unsigned reached = 1U << CATALOGUE_DRAFT, leads = 0;
    struct catalogue_rule rule;
    for (unsigned i = 0; catalogue_rule_at(i, &rule); i++) {
        reached |= 1U << rule.to;
        leads |= 1U << rule.from;
    }
    unsigned all = (1U << CATALOGUE_STATE_END) - 2;
    assert_int_equal(reached, all);
    assert_int_equal(leads, all & ~(1U << CATALOGUE_RETIRED));
}

/* The database has the same rows: "    ('WRITE', 'DRAFT', 'DRAFT', '{AUTHOR,COLLEAGUE}')," */
static void the_database_has_the_same_rules(void **test_state)
{
    (void)test_state;
    char line[300], want[300];
    unsigned found = 0;
    struct catalogue_rule rule;
    FILE *file = fopen("schemas/control/015_catalogue.sql", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "    ('", 6) != 0)
            continue;
        assert_true(catalogue_rule_at(found++, &rule));
        int len = snprintf(want, sizeof want, "    ('%s', '%s', '%s', '{",
                           catalogue_event_name(rule.event), catalogue_state_name(rule.from),
                           catalogue_state_name(rule.to));
        const char *comma = "";
        for (unsigned role = 1; role < CATALOGUE_ROLE_END; role++) {
            if ((rule.roles >> role & 1) == 0)
                continue;
            len += snprintf(want + len, sizeof want - (size_t)len, "%s%s", comma,
                            catalogue_role_name((enum catalogue_role)role));
            comma = ",";
        }
        (void)snprintf(want + len, sizeof want - (size_t)len, "}')");
        assert_int_equal(strncmp(line, want, strlen(want)), 0);
    }
    (void)fclose(file);
    assert_false(catalogue_rule_at(found, &rule));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_triple_is_legal_or_refused_with_a_reason),
        cmocka_unit_test(who_wrote_an_edition_checks_nothing_of_it),
        cmocka_unit_test(facts_decide_what_the_table_cannot),
        cmocka_unit_test(names_lead_back_to_their_values_and_no_state_is_a_trap),
        cmocka_unit_test(the_database_has_the_same_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
