/* Policies, key changes, disclosed rows and evidence bundles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "audit/entry.h"
#include "audit/entry_view.h"
#include "audit/evidence.h"
#include "audit/hash.h"
#include "audit/tlog_proof.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "support/sample_log.h"

/* --- policies --------------------------------------------------------------------------------- */

static struct audit_policy *parse(const char *text, struct err *err)
{
    return audit_policy_parse(slice_of(text, strlen(text)), err);
}

/* A witness's verifier key, and the private key when asked for. */
static char *witness_key(const char *name, EVP_PKEY **pkey_r)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    uint8_t encoded[33] = { 0x04 }, digest[HASH_BYTES];
    size_t len = 32;
    char text[64], id[9];
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, encoded + 1, &len), 1);
    struct slice pieces[] = { slice_of(name, strlen(name)), slice_of("\n", 1),
                              slice_of(encoded, sizeof encoded) };
    hash_sha256(pieces, 3, digest);
    hex_encode(digest, 4, id);
    (void)base64_encode(encoded, sizeof encoded, text);
    if (pkey_r != NULL)
        *pkey_r = pkey;
    else
        EVP_PKEY_free(pkey);
    return mem_format("%s+%s+%s", name, id, text);
}

static void test_policies(void **state)
{
    (void)state;
    struct note_signer *signer = sample_signer(SAMPLE_ORIGIN, true);
    struct note_signer *other = sample_signer("log.example/other", true);
    struct buf ed, sm2, strange;
    struct err err = ERR_INIT;
    buf_init(&ed, 4096);
    buf_init(&sm2, 4096);
    buf_init(&strange, 4096);
    assert_int_equal(note_signer_ed25519_text(signer, &ed), 0);
    assert_int_equal(note_signer_sm2_text(signer, &sm2), 0);
    assert_int_equal(note_signer_sm2_text(other, &strange), 0);
    char *w1 = witness_key("w1", NULL), *w2 = witness_key("w2", NULL),
         *w3 = witness_key("w3", NULL);
    char *witnesses = mem_format("witness a %s\nwitness b %s\nwitness c %s\n", w1, w2, w3);
    char *log = mem_format("log %s\n", buf_cstr(&ed)),
         *log2 = mem_format("log %s\n", buf_cstr(&sm2));
    char *log3 = mem_format("log %s\n", buf_cstr(&strange));
    static const char distid[] = "sm2-distid 1234567812345678\n";
    const struct {
        const char *parts[5];
        bool good;
    } cases[] = {
        { { log, "quorum none\n" }, true },
        { { log, "  # a comment\n\n\t\nquorum none" }, true },
        { { log, log2, distid, "quorum none\r\n" }, true },
        { { log, witnesses, "group g 2 a b c\nquorum g\n" }, true },
        { { log, witnesses, "group g any a b\ngroup h all g c\nquorum h\n" }, true },
        { { log, witnesses, "quorum a\n" }, true },
        { { "" }, false },
        { { "quorum none\n" }, false },
        { { log }, false },
        { { log, "quorum none\nquorum none\n" }, false },
        { { log2, distid, "quorum none\n" }, false },
        { { log, log, "quorum none\n" }, false },
        { { log, log2, "quorum none\n" }, false }, /* the identity is never left to be guessed */
        { { log, distid, "quorum none\n" }, false },
        { { log, log2, "sm2-distid other\n", "quorum none\n" }, false },
        { { log, log3, distid, "quorum none\n" }, false },
        { { log, "quorum a\n" }, false },
        { { log, "witness a ", buf_cstr(&ed), "\nquorum a\n" }, false },
        { { log, witnesses, "witness a x\nquorum a\n" }, false },
        { { log, witnesses, "group a any b\nquorum a\n" }, false },
        { { log, witnesses, "group none any b\nquorum none\n" }, false },
        { { log, witnesses, "group g 0 a\nquorum g\n" }, false },
        { { log, witnesses, "group g 3 a b\nquorum g\n" }, false },
        { { log, witnesses, "group g -1 a b\nquorum g\n" }, false },
        { { log, witnesses, "group g 1 a a\nquorum g\n" }, false },
        { { log, witnesses, "group g 1 g\nquorum g\n" }, false },
        { { log, witnesses, "group g 1 h\ngroup h 1 a\nquorum g\n" }, false },
        { { log, "sing a song\nquorum none\n" }, false },
        { { log, "\xff\nquorum none\n" }, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf text;
        buf_init(&text, POLICY_BYTES_MAX);
        for (size_t k = 0; k < 5 && cases[i].parts[k] != NULL; k++)
            (void)buf_append_str(&text, cases[i].parts[k]);
        struct audit_policy *policy = audit_policy_parse(buf_slice(&text), &err);
        if ((policy != NULL) != cases[i].good)
            fail_msg("case %zu: %s", i, err.text);
        audit_policy_free(&policy);
        buf_fini(&text);
    }
    char *text = mem_format("%s%sgroup g 2 a b c\nquorum g\n", log, witnesses);
    struct audit_policy *policy = parse(text, &err);
    assert_int_equal(audit_policy_needed(policy), 2);
    assert_false(audit_policy_quorum(policy, 0));
    assert_false(audit_policy_quorum(policy, 4));
    assert_true(audit_policy_quorum(policy, 5));
    audit_policy_free(&policy);
    char *const texts[] = { w1, w2, w3, witnesses, log, log2, log3, text };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    buf_fini(&ed);
    buf_fini(&sm2);
    buf_fini(&strange);
    note_signer_free(&signer);
    note_signer_free(&other);
}

/* A line of C2SP tlog-cosignature over the note's text. */
static void cosign(struct buf *note, const char *name, const char *key, EVP_PKEY *pkey)
{
    uint8_t blob[4 + 8 + 64] = { 0 };
    char line[160];
    size_t len = 64;
    struct slice text, signatures;
    struct err err = ERR_INIT;
    struct buf message;
    assert_int_equal(note_split(buf_slice(note), &text, &signatures, &err), 0);
    assert_true(hex_decode(strchr(key, '+') + 1, 8, blob));
    blob[11] = 99; /* seconds since 1970 */
    buf_init(&message, NOTE_BYTES_MAX);
    (void)buf_append_str(&message, "cosignature/v1\ntime 99\n");
    (void)buf_append(&message, text.data, text.len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(context, blob + 12, &len, message.data, message.len), 1);
    EVP_MD_CTX_free(context);
    (void)base64_encode(blob, sizeof blob, line);
    assert_int_equal(buf_append_format(note, "\xe2\x80\x94 %s %s\n", name, line), 0);
    buf_fini(&message);
}

static void test_witnesses_are_counted(void **state)
{
    (void)state;
    struct sample_log log;
    struct buf note;
    struct err err = ERR_INIT;
    struct verify_report report;
    struct checkpoint checkpoint;
    EVP_PKEY *first, *second;
    char *w1 = witness_key("w1", &first), *w2 = witness_key("w2", &second);
    sample_log_init(&log, false);
    sample_log_grow(&log, 3);
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_sign(&log, log.signer, 3, &note);
    char *text = mem_format("%.*switness a %s\nwitness b %s\ngroup g 2 a b\nquorum g\n",
                            (int)(strstr(log.policy_text, "quorum") - log.policy_text),
                            log.policy_text, w1, w2);
    struct audit_policy *policy = parse(text, &err);
    assert_non_null(policy);
    struct log_keys keys;
    log_keys_init(&keys, policy);
    for (unsigned signed_by = 0; signed_by <= 2; signed_by++) {
        verify_report_init(&report);
        assert_true(
            verify_checkpoint(&report, &keys, policy, buf_slice(&note), false, &checkpoint));
        assert_int_equal(report.witnesses, signed_by);
        assert_int_equal(report.bad, signed_by < 2 ? 1 : 0);
        if (signed_by < 2)
            cosign(&note, signed_by == 0 ? "w1" : "w2", signed_by == 0 ? w1 : w2,
                   signed_by == 0 ? first : second);
    }
    /* A witness's line over another text. */
    sample_log_sign(&log, log.signer, 2, &note);
    cosign(&note, "w1", w1, second);
    verify_report_init(&report);
    assert_false(verify_checkpoint(&report, &keys, policy, buf_slice(&note), false, &checkpoint));
    log_keys_fini(&keys);
    audit_policy_free(&policy);
    EVP_PKEY_free(first);
    EVP_PKEY_free(second);
    free(w1);
    free(w2);
    free(text);
    buf_fini(&note);
    sample_log_fini(&log);
}

/* --- disclosed rows ---------------------------------------------------------------------------- */

static struct slice leaf_with_rows(struct audit_rows *rows, struct buf *packed)
{
    struct audit_source source;
    struct err err = ERR_INIT;
    uint8_t id[UUID_BYTES];
    struct audit_entry_fields fields = { .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
                                         .rows = rows };
    audit_source_init(&source, SAMPLE_ORIGIN, "gateway");
    assert_int_equal(audit_entry_build(&source, &fields, packed, id, &err), 0);
    audit_source_fini(&source);
    Sluice__Internal__Append *append =
        sluice__internal__append__unpack(NULL, packed->len, packed->data);
    buf_reset(packed);
    (void)buf_append(packed, append->leaf.data, append->leaf.len);
    sluice__internal__append__free_unpacked(append, NULL);
    return buf_slice(packed);
}

static void test_one_row_is_disclosed(void **state)
{
    (void)state;
    enum { ROWS = 13 };
    uint8_t salt[SALT_BYTES], sub[SALT_BYTES], digests[ROWS * HASH_BYTES];
    struct audit_rows rows;
    struct buf packed, json;
    salt_make(salt);
    audit_rows_init(&rows, AUDIT_ROWS_ROW, salt);
    for (uint8_t i = 0; i < ROWS; i++) {
        uint8_t record[3] = { 'r', i, 0 };
        salt_sub(salt, i, sub);
        salt_row_digest(sub, slice_of(record, 3), digests + i * HASH_BYTES);
        assert_int_equal(audit_rows_add(&rows, slice_of(record, 3)), 0);
    }
    buf_init(&packed, AUDIT_APPEND_BYTES_MAX);
    buf_init(&json, 65536);
    struct slice leaf = leaf_with_rows(&rows, &packed);
    for (uint8_t i = 0; i < ROWS; i++) {
        uint8_t record[3] = { 'r', i, 0 };
        buf_reset(&json);
        assert_int_equal(evidence_disclose(salt, digests, ROWS, i, slice_of(record, 3), &json), 0);
        assert_null(evidence_check_row(buf_slice(&json), leaf));
        /* Another record, row or salt is not in the answer. */
        record[2] = 1;
        buf_reset(&json);
        assert_int_equal(evidence_disclose(salt, digests, ROWS, i, slice_of(record, 3), &json), 0);
        assert_non_null(evidence_check_row(buf_slice(&json), leaf));
        record[2] = 0;
        salt[0] ^= 1;
        buf_reset(&json);
        assert_int_equal(evidence_disclose(salt, digests, ROWS, i, slice_of(record, 3), &json), 0);
        assert_non_null(evidence_check_row(buf_slice(&json), leaf));
        salt[0] ^= 1;
    }
    assert_int_equal(evidence_disclose(salt, digests, ROWS, ROWS, slice_of("", 0), &json), -1);
    static const char *const bad[] = { "",
                                       "{}",
                                       "[]",
                                       "{\"form\": \"ROW\"}",
                                       "{\"form\": \"ROW\", \"row\": 0, \"rows\": 13}",
                                       "{\"form\"" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(evidence_check_row(slice_of(bad[i], strlen(bad[i])), leaf));
    audit_rows_fini(&rows);
    buf_fini(&packed);
    buf_fini(&json);
}

/* --- bundles ------------------------------------------------------------------------------------ */

static void test_hostile_texts_are_shown_harmless(void **state)
{
    (void)state;
    struct sample_log log;
    struct buf note, proof_text, zip;
    struct proof proof = { 0 };
    struct err err = ERR_INIT;
    struct verify_report report;
    sample_log_init(&log, false);
    sample_log_key_event(&log, "<script>alert(1)</script>&\"'\x01\xe6\x95\xb0");
    buf_init(&note, NOTE_BYTES_MAX);
    buf_init(&proof_text, TLOG_PROOF_BYTES_MAX);
    buf_init(&zip, EVIDENCE_BYTES_MAX);
    sample_log_sign(&log, log.signer, 1, &note);
    assert_int_equal(tlog_proof_write(0, &proof, buf_slice(&note), &proof_text), 0);
    struct evidence_input input = { .leaf = slice_of(log.entries[0].leaf, log.entries[0].leaf_len),
                                    .proof = buf_slice(&proof_text),
                                    .checkpoint = buf_slice(&note) };
    assert_int_equal(evidence_build(&input, &zip, &err), 0);
    struct buf page;
    buf_init(&page, EVIDENCE_MEMBER_BYTES_MAX);
    assert_int_equal(entry_view_html(input.leaf, 0, slice_of("", 0), &page), 0);
    assert_null(memmem(page.data, page.len, "<script", 7));
    assert_non_null(memmem(page.data, page.len, "&#60;script&#62;", 16));
    buf_fini(&page);
    verify_report_init(&report);
    assert_int_equal(evidence_verify(buf_slice(&zip), log.policy, NULL, &report, &err), 0);
    assert_int_equal(report.bad, 0);

    /* What is added, and put in the place of what was added before, is there; the rest is as it was. */
    struct buf more, member;
    buf_init(&more, EVIDENCE_BYTES_MAX);
    buf_init(&member, EVIDENCE_MEMBER_BYTES_MAX);
    static const char *const stamps[] = { "first", "the second" };
    for (size_t i = 0; i < 2; i++) {
        struct slice stamp = slice_of(stamps[i], strlen(stamps[i]));
        struct slice base = buf_slice(i == 0 ? &zip : &more);
        struct buf next;
        buf_init(&next, EVIDENCE_BYTES_MAX);
        assert_int_equal(evidence_add(base, EVIDENCE_TIMESTAMP, stamp, &next, &err), 0);
        buf_fini(&more);
        more = next;
        buf_reset(&member);
        assert_int_equal(evidence_member(buf_slice(&more), EVIDENCE_TIMESTAMP, &member, &err), 0);
        assert_string_equal(buf_cstr(&member), stamps[i]);
    }
    verify_report_init(&report);
    assert_int_equal(evidence_verify(buf_slice(&more), log.policy, NULL, &report, &err), 0);
    assert_int_equal(report.bad, 1); /* neither is a time stamp */
    assert_int_equal(report.findings[0].check, VERIFY_TIMESTAMP);
    assert_int_equal(evidence_member(buf_slice(&more), "nothing", &member, &err), -1);
    assert_int_equal(evidence_add(slice_of("PK", 2), "x", slice_of("", 0), &member, &err), -1);
    buf_fini(&more);
    buf_fini(&member);

    /* Cut short anywhere, it is not taken for whole. */
    for (size_t len = 0; len < zip.len; len += 97) {
        verify_report_init(&report);
        assert_true(evidence_verify(slice_of(zip.data, len), log.policy, NULL, &report, &err) !=
                        0 ||
                    report.bad > 0);
    }
    input.leaf = slice_of("\xff", 1);
    buf_reset(&zip);
    assert_int_equal(evidence_build(&input, &zip, &err), -1);
    buf_fini(&note);
    buf_fini(&proof_text);
    buf_fini(&zip);
    sample_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_witnesses_are_counted),
        cmocka_unit_test(test_one_row_is_disclosed),
        cmocka_unit_test(test_hostile_texts_are_shown_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
