#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "audit/entry_view.h"
#include "audit/evidence.h"
#include "audit/hash.h"
#include "audit/tlog_proof.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "sluice/v1/audit_entry.pb-c.h"

struct member {
    char name[EVIDENCE_NAME_BYTES_MAX];
    struct buf data;
    bool summed;  /* SHA256SUMS speaks of it */
    bool damaged; /* its bytes do not fit the ZIP file's own checksum */
};

struct bundle {
    struct member *members;
    size_t count;
    const struct audit_policy *policy;
    struct verify_report *report;
    struct log_keys keys;
    int64_t index; /* of the entry, -1: not known */
};

/* --- reading ------------------------------------------------------------------------------------
 */

static int unreadable(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "EVIDENCE_UNREADABLE",
                   "The bundle cannot be read: %s.", what);
}

static int read_member(zip_t *zip, zip_uint64_t at, struct member *member, struct err *err)
{
    zip_stat_t info;
    if (zip_stat_index(zip, at, 0, &info) != 0 ||
        (info.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE)) != (ZIP_STAT_NAME | ZIP_STAT_SIZE) ||
        strlen(info.name) >= sizeof member->name || info.size > EVIDENCE_MEMBER_BYTES_MAX)
        return unreadable(err, "a member has a strange name or is too large");
    memcpy(member->name, info.name, strlen(info.name) + 1);
    zip_file_t *file = zip_fopen_index(zip, at, 0);
    member->damaged = file == NULL;
    if (file == NULL)
        return 0;
    (void)buf_reserve(&member->data, (size_t)info.size + 1);
    zip_int64_t got = zip_fread(file, member->data.data, info.size);
    /* The checksum is compared when the end is read. */
    uint8_t beyond;
    zip_int64_t end = zip_fread(file, &beyond, 1);
    int closed = zip_fclose(file);
    member->damaged = got < 0 || (zip_uint64_t)got != info.size || end != 0 || closed != 0;
    member->data.len = member->damaged ? 0 : (size_t)got;
    return 0;
}

static int read_members(struct bundle *bundle, zip_t *zip, struct err *err)
{
    zip_int64_t count = zip_get_num_entries(zip, 0);
    size_t bytes = 0;
    if (count < 0 || count > EVIDENCE_MEMBERS_MAX)
        return unreadable(err, "it has too many members");
    bundle->members = mem_array((size_t)count + 1, sizeof *bundle->members);
    for (zip_int64_t i = 0; i < count; i++) {
        struct member *member = &bundle->members[bundle->count++];
        buf_init(&member->data, EVIDENCE_MEMBER_BYTES_MAX + 1);
        if (read_member(zip, (zip_uint64_t)i, member, err) != 0)
            return -1;
        bytes += member->data.len;
        if (bytes > EVIDENCE_BYTES_MAX)
            return unreadable(err, "it is too large once unpacked");
    }
    return 0;
}

static int open_bundle(struct bundle *bundle, struct slice zip, struct err *err)
{
    zip_source_t *source = zip_source_buffer_create(zip.data, zip.len, 0, NULL);
    if (source == NULL)
        abort();
    zip_t *archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, NULL);
    if (archive == NULL) {
        zip_source_free(source);
        return unreadable(err, "it is no whole ZIP file");
    }
    int result = read_members(bundle, archive, err);
    zip_discard(archive);
    return result;
}

/* --- checks ------------------------------------------------------------------------------------- */

static void wrong(struct bundle *bundle, const char *name, const char *what)
{
    verify_report_add(bundle->report, VERIFY_MEMBER, bundle->index, "%s: %s", name, what);
}

static struct member *find(struct bundle *bundle, const char *name)
{
    for (size_t i = 0; i < bundle->count; i++) {
        if (strcmp(bundle->members[i].name, name) == 0)
            return &bundle->members[i];
    }
    return NULL;
}

/* The member's bytes, or none after a finding. */
static struct slice need(struct bundle *bundle, const char *name)
{
    const struct member *member = find(bundle, name);
    if (member != NULL)
        return buf_slice(&member->data);
    wrong(bundle, name, "missing");
    return slice_of("", 0);
}

static void check_sum(struct bundle *bundle, struct slice line)
{
    enum { DIGEST = 2 * HASH_BYTES };
    char name[EVIDENCE_NAME_BYTES_MAX];
    uint8_t expected[HASH_BYTES], digest[HASH_BYTES];
    if (line.len < DIGEST + 3 || line.len >= DIGEST + 2 + sizeof name ||
        memcmp(line.data + DIGEST, "  ", 2) != 0 ||
        !hex_decode((const char *)line.data, DIGEST, expected)) {
        wrong(bundle, "SHA256SUMS", "a line cannot be read");
        return;
    }
    memcpy(name, line.data + DIGEST + 2, line.len - DIGEST - 2);
    name[line.len - DIGEST - 2] = '\0';
    struct member *member = find(bundle, name);
    if (member == NULL) {
        wrong(bundle, name, "missing");
        return;
    }
    struct slice data = buf_slice(&member->data);
    hash_sha256(&data, 1, digest);
    if (member->damaged || memcmp(digest, expected, sizeof digest) != 0)
        wrong(bundle, name, member->damaged ? "damaged" : "not what SHA256SUMS says");
    member->summed = true;
}

static bool may_be_unlisted(const char *name)
{
    return strcmp(name, "SHA256SUMS") == 0 || strcmp(name, EVIDENCE_TIMESTAMP) == 0 ||
           strncmp(name, "opened/", 7) == 0;
}

static void check_sums(struct bundle *bundle)
{
    struct slice rest = need(bundle, "SHA256SUMS");
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        check_sum(bundle, slice_of(rest.data, len));
        rest = slice_of(rest.data + len + (end != NULL ? 1 : 0), rest.len - len - (end != NULL));
    }
    for (size_t i = 0; i < bundle->count; i++) {
        const struct member *member = &bundle->members[i];
        if (!member->summed && !may_be_unlisted(member->name))
            wrong(bundle, member->name, "SHA256SUMS does not list it");
        else if (!member->summed && member->damaged)
            wrong(bundle, member->name, "damaged");
    }
}

static void check_keys(struct bundle *bundle)
{
    char name[EVIDENCE_NAME_BYTES_MAX];
    for (size_t i = 1; i <= LOG_KEYS_CHANGES_MAX; i++) {
        struct err err = ERR_INIT;
        (void)snprintf(name, sizeof name, "key-changes/%04zu.note", i);
        const struct member *change = find(bundle, name);
        if (change == NULL)
            break;
        if (log_keys_change(&bundle->keys, buf_slice(&change->data), &err) != 0)
            wrong(bundle, name, err.text);
    }
    bundle->report->key_changes = bundle->keys.count - 1;
}

void evidence_verify_proof(struct slice proof, struct slice leaf, const struct log_keys *keys,
                           const struct audit_policy *policy, struct verify_report *report)
{
    struct proof path;
    struct slice note;
    struct err err = ERR_INIT;
    uint64_t index;
    uint8_t hash[MERKLE_HASH_BYTES];
    if (tlog_proof_parse(proof, &index, &path, &note, &err) != 0) {
        verify_report_add(report, VERIFY_PROOF, -1, "%s", err.text);
        return;
    }
    if (!verify_checkpoint(report, keys, policy, note, false, &report->checkpoint))
        return;
    report->checkpoint_read = true;
    merkle_leaf_hash(leaf.data, leaf.len, hash);
    report->entries = 1;
    report->bytes = leaf.len;
    if (!proof_verify_inclusion(index, report->checkpoint.size, hash, &path,
                                report->checkpoint.root))
        verify_report_add(report, VERIFY_PROOF, (int64_t)index, "%zu hashes", path.count);
}

static void check_proof(struct bundle *bundle, struct slice leaf)
{
    struct slice proof = need(bundle, "entry.tlog-proof"), note, text = need(bundle, "checkpoint");
    struct proof path;
    struct err err = ERR_INIT;
    uint64_t index;
    if (tlog_proof_parse(proof, &index, &path, &note, &err) == 0) {
        bundle->index = (int64_t)index;
        if (note.len != text.len || note.len == 0 || memcmp(note.data, text.data, note.len) != 0)
            wrong(bundle, "checkpoint", "not the one of entry.tlog-proof");
    }
    evidence_verify_proof(proof, leaf, &bundle->keys, bundle->policy, bundle->report);
}

static void same_text(struct bundle *bundle, const char *name, int made, const struct buf *expected)
{
    struct slice data = need(bundle, name);
    if (made != 0 || data.len != expected->len || data.len == 0 ||
        memcmp(data.data, expected->data, data.len) != 0)
        wrong(bundle, name, "not what the entry says");
}

/* What people read must be what was logged. */
static void check_views(struct bundle *bundle, struct slice leaf, struct slice agreement)
{
    struct buf text;
    uint64_t index = bundle->index >= 0 ? (uint64_t)bundle->index : 0;
    buf_init(&text, EVIDENCE_MEMBER_BYTES_MAX);
    same_text(bundle, "entry.json", entry_view_json(leaf, index, &text), &text);
    buf_reset(&text);
    same_text(bundle, "view.html", entry_view_html(leaf, index, agreement, &text), &text);
    buf_reset(&text);
    if (agreement.len > 0)
        same_text(bundle, "agreement.json", entry_view_agreement(agreement, &text), &text);
    buf_fini(&text);
}

static void check_entry(struct bundle *bundle, struct slice leaf, struct slice agreement)
{
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    uint8_t digest[HASH_BYTES];
    if (entry == NULL || strcmp(entry->origin, bundle->policy->origin) != 0)
        verify_report_add(bundle->report, VERIFY_ENTRY, bundle->index, "entry.bin");
    hash_sha256(&agreement, 1, digest);
    if (agreement.len > 0 &&
        (entry == NULL || entry->why == NULL || entry->why->agreement_digest.len != HASH_BYTES ||
         memcmp(entry->why->agreement_digest.data, digest, HASH_BYTES) != 0))
        wrong(bundle, "agreement.bin", "not the agreement of the entry");
    if (entry != NULL)
        sluice__v1__audit_entry__free_unpacked(entry, NULL);
}

/* `salt`: NULL when it is not in the bundle. */
static const char *check_open_member(const struct member *member, const uint8_t *salt,
                                     struct slice leaf)
{
    struct slice data = buf_slice(&member->data);
    uint8_t ignored[SALT_BYTES];
    bool filter = strcmp(member->name, "opened/filter.txt") == 0;
    if (strcmp(member->name, "opened/salt.json") == 0)
        return evidence_read_salt(data, ignored);
    if (filter || strcmp(member->name, "opened/answer.bin") == 0) {
        if (salt == NULL)
            return "opened/salt.json is missing, without which it cannot be checked";
        return evidence_check_salted(salt, filter ? EVIDENCE_FILTER : EVIDENCE_ANSWER, data, leaf);
    }
    const char *fault = evidence_check_row(data, leaf);
    return fault != NULL || salt == NULL ? fault : evidence_check_sub_salt(salt, data);
}

static void check_opened(struct bundle *bundle, struct slice leaf)
{
    const struct member *opened = find(bundle, "opened/salt.json");
    uint8_t salt[SALT_BYTES];
    bool known = opened != NULL && evidence_read_salt(buf_slice(&opened->data), salt) == NULL;
    for (size_t i = 0; i < bundle->count; i++) {
        const struct member *member = &bundle->members[i];
        if (strncmp(member->name, "opened/", 7) != 0)
            continue;
        const char *fault = check_open_member(member, known ? salt : NULL, leaf);
        if (fault != NULL)
            verify_report_add(bundle->report, VERIFY_ROW, bundle->index, "%s: %s", member->name,
                              fault);
    }
}

static void check_timestamp(struct bundle *bundle, const struct timestamp_trust *trust)
{
    const struct member *stamp = find(bundle, EVIDENCE_TIMESTAMP);
    const struct member *checkpoint = find(bundle, "checkpoint");
    if (stamp != NULL && checkpoint != NULL) /* else its absence was found before */
        verify_timestamp(bundle->report, buf_slice(&stamp->data), buf_slice(&checkpoint->data),
                         trust);
}

static void close_bundle(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->count; i++)
        buf_fini(&bundle->members[i].data);
    free(bundle->members);
}

int evidence_member(struct slice zip, const char *name, struct buf *out, struct err *err)
{
    struct bundle bundle = { .index = -1 };
    int result = open_bundle(&bundle, zip, err);
    const struct member *member = result == 0 ? find(&bundle, name) : NULL;
    if (result == 0 && (member == NULL || member->damaged ||
                        buf_append(out, member->data.data, member->data.len) != 0))
        result = unreadable(err, "a member is missing or damaged");
    close_bundle(&bundle);
    return result;
}

int evidence_verify(struct slice zip, const struct audit_policy *policy,
                    const struct timestamp_trust *trust, struct verify_report *report,
                    struct err *err)
{
    struct bundle bundle = { .policy = policy, .report = report, .index = -1 };
    int result = open_bundle(&bundle, zip, err);
    log_keys_init(&bundle.keys, policy);
    if (result == 0) {
        struct slice leaf = need(&bundle, "entry.bin");
        const struct member *member = find(&bundle, "agreement.bin");
        struct slice agreement = member != NULL ? buf_slice(&member->data) : slice_of("", 0);
        check_keys(&bundle);
        check_proof(&bundle, leaf);
        check_sums(&bundle);
        check_entry(&bundle, leaf, agreement);
        check_views(&bundle, leaf, agreement);
        check_opened(&bundle, leaf);
        check_timestamp(&bundle, trust);
    }
    close_bundle(&bundle);
    log_keys_fini(&bundle.keys);
    return result;
}
