/* authz: who a certificate says its bearer is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "authz/identity.h"
#include "base/err.h"

static int parse(const char *uri, struct identity *identity, struct err *err)
{
    struct tls_peer peer = { .not_after_s = 1 };
    (void)snprintf(peer.uri, sizeof peer.uri, "%s", uri);
    return identity_from_peer("sluice.example", &peer, identity, err);
}

static void systems_and_officers_are_told_apart(void **state)
{
    (void)state;
    struct identity identity;
    struct err err = ERR_INIT;
    assert_int_equal(parse("spiffe://sluice.example/dept/health/system/triage", &identity, &err),
                     0);
    assert_int_equal(identity.kind, IDENTITY_SYSTEM);
    assert_string_equal(identity.department, "health");
    assert_string_equal(identity.name, "triage");
    assert_int_equal(
        parse("spiffe://sluice.example/dept/civil-affairs/officer/data.officer-2", &identity, &err),
        0);
    assert_int_equal(identity.kind, IDENTITY_OFFICER);
    assert_string_equal(identity.department, "civil-affairs");
}

static void everything_else_is_no_identity(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "IDENTITY_MISSING" },
        { "https://sluice.example/dept/health/system/triage", "IDENTITY_TRUST_DOMAIN" },
        { "spiffe://other.example/dept/health/system/triage", "IDENTITY_TRUST_DOMAIN" },
        { "spiffe://sluice.example.evil/dept/health/system/t", "IDENTITY_TRUST_DOMAIN" },
        { "spiffe://sluice.exampl", "IDENTITY_TRUST_DOMAIN" },
        { "spiffe://sluice.example/", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept//system/t", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept/health/system/", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept/health/system/a/b", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept/Health/system/a", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept/health/robot/a", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept/health/system/a%2Fb", "IDENTITY_INVALID" },
        { "spiffe://sluice.example/dept/health/system/a?x=1", "IDENTITY_INVALID" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct identity identity;
        struct err err = ERR_INIT;
        assert_int_equal(parse(cases[i][0], &identity, &err), -1);
        assert_int_equal(err.code, ERR_UNAUTHENTICATED);
        assert_string_equal(err.reason, cases[i][1]);
        assert_int_equal(identity.kind, IDENTITY_NONE);
    }
}

static void names_that_are_too_long_are_refused(void **state)
{
    (void)state;
    char uri[TLS_URI_BYTES_MAX];
    struct identity identity;
    struct err err = ERR_INIT;
    (void)snprintf(uri, sizeof uri, "spiffe://sluice.example/dept/%064d/system/a", 0);
    assert_int_equal(parse(uri, &identity, &err), -1);
    (void)snprintf(uri, sizeof uri, "spiffe://sluice.example/dept/%063d/system/a", 0);
    assert_int_equal(parse(uri, &identity, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systems_and_officers_are_told_apart),
        cmocka_unit_test(everything_else_is_no_identity),
        cmocka_unit_test(names_that_are_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
