/* audit: an opened salt checks the call's key, the whole answer and the rows, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audit/evidence.h"
#include "sluice/v1/audit_entry.pb-c.h"

static const uint8_t salt[SALT_BYTES] = { 1, 2, 3 };

static struct slice text(const char *bytes)
{
    return slice_of(bytes, strlen(bytes));
}

static struct slice leaf_of(const uint8_t *with, uint8_t out[4096])
{
    Sluice__V1__AuditEntry entry = SLUICE__V1__AUDIT_ENTRY__INIT;
    Sluice__V1__AuditEntry__What what = SLUICE__V1__AUDIT_ENTRY__WHAT__INIT;
    Sluice__V1__AuditEntry__Rows rows = SLUICE__V1__AUDIT_ENTRY__ROWS__INIT;
    uint8_t filter[HASH_BYTES], answer[HASH_BYTES];
    salt_filter_digest(with, text("110101001"), filter);
    salt_answer_digest(with, text("the answer"), answer);
    what.filter_digest = (ProtobufCBinaryData){ .data = filter, .len = sizeof filter };
    rows.response_digest = (ProtobufCBinaryData){ .data = answer, .len = sizeof answer };
    entry.what = &what;
    entry.rows = &rows;
    return slice_of(out, sluice__v1__audit_entry__pack(&entry, out));
}

static void what_the_salt_opens_is_checked(void **state)
{
    (void)state;
    uint8_t bytes[4096], other[SALT_BYTES] = { 9 };
    struct slice leaf = leaf_of(salt, bytes);
    assert_null(evidence_check_salted(salt, EVIDENCE_FILTER, text("110101001"), leaf));
    assert_null(evidence_check_salted(salt, EVIDENCE_ANSWER, text("the answer"), leaf));
    assert_non_null(evidence_check_salted(salt, EVIDENCE_FILTER, text("110101002"), leaf));
    assert_non_null(evidence_check_salted(salt, EVIDENCE_FILTER, text(""), leaf));
    assert_non_null(evidence_check_salted(salt, EVIDENCE_ANSWER, text("110101001"), leaf));
    assert_non_null(evidence_check_salted(other, EVIDENCE_FILTER, text("110101001"), leaf));
    assert_non_null(evidence_check_salted(salt, EVIDENCE_FILTER, text("110101001"), text("\xff")));
    assert_non_null(evidence_check_salted(salt, EVIDENCE_FILTER, text("110101001"), text("")));
}

static void a_salt_is_written_and_read(void **state)
{
    (void)state;
    const struct evidence_opening opening = { .id = "019ab5a0-0000-7000-8000-000000000001",
                                              .requested_by = "spiffe://a/b",
                                              .approved_by = "spiffe://a/c",
                                              .reason = "复核 \"order\"\n",
                                              .approved_us = INT64_C(1790000000000000) };
    struct evidence_opening bad = opening;
    static const char *const broken[] = {
        "", "{}", "[]", "{\"salt\": \"00\"}", "{\"salt\": 5}", "{\"salt\": \"zz\", \"salt\": \"\"}"
    };
    uint8_t back[SALT_BYTES];
    struct buf json;
    buf_init(&json, 65536);
    assert_int_equal(evidence_open_salt(&opening, salt, &json), 0);
    assert_null(evidence_read_salt(buf_slice(&json), back));
    assert_memory_equal(back, salt, SALT_BYTES);
    bad.reason = "\xff";
    assert_int_equal(evidence_open_salt(&bad, salt, &json), -1);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_non_null(evidence_read_salt(text(broken[i]), back));
    buf_fini(&json);
}

static void sub_salts_must_be_the_salts_own(void **state)
{
    (void)state;
    uint8_t digests[3 * HASH_BYTES] = { 0 }, other[SALT_BYTES] = { 9 };
    struct buf json;
    buf_init(&json, 65536);
    assert_int_equal(evidence_disclose(salt, digests, 3, 1, text("record"), &json), 0);
    assert_null(evidence_check_sub_salt(salt, buf_slice(&json)));
    assert_non_null(evidence_check_sub_salt(other, buf_slice(&json)));
    assert_non_null(evidence_check_sub_salt(salt, text("{}")));
    assert_non_null(evidence_check_sub_salt(salt, text("{\"row\": -1}")));
    buf_fini(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_salt_opens_is_checked),
        cmocka_unit_test(a_salt_is_written_and_read),
        cmocka_unit_test(sub_salts_must_be_the_salts_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
