#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "audit/entry_view.h"
#include "audit/evidence.h"
#include "audit/hash.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"

/* Files that stand in every bundle as they are. */
__asm__(".section .rodata\n"
        ".global sluice_evidence_readme\n"
        ".global sluice_evidence_program\n"
        ".global sluice_evidence_end\n"
        "sluice_evidence_readme:\n"
        ".incbin \"gateway/audit/evidence/README.txt\"\n"
        "sluice_evidence_program:\n"
        ".incbin \"gateway/audit/evidence/verify.py\"\n"
        "sluice_evidence_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const uint8_t sluice_evidence_readme[], sluice_evidence_program[], sluice_evidence_end[];

struct bundle {
    zip_t *zip;
    struct buf sums;
    bool failed;
};

/* Adds a member; libzip takes a copy of the bytes. Stored, not packed: what is inside can be read
 * with any tool, and a changed byte is one changed byte. */
static void add(struct bundle *bundle, const char *name, struct slice data, bool listed)
{
    uint8_t digest[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    hash_sha256(&data, 1, digest);
    hex_encode(digest, sizeof digest, hex);
    if (listed && buf_append_format(&bundle->sums, "%s  %s\n", hex, name) != 0)
        bundle->failed = true;
    void *copy = data.len > 0 ? mem_dup(data.data, data.len) : NULL;
    zip_source_t *source = zip_source_buffer(bundle->zip, copy, data.len, 1);
    if (source == NULL) {
        free(copy);
        bundle->failed = true;
        return;
    }
    zip_int64_t at = zip_file_add(bundle->zip, name, source, ZIP_FL_ENC_UTF_8 | ZIP_FL_OVERWRITE);
    if (at < 0) {
        zip_source_free(source);
        bundle->failed = true;
        return;
    }
    (void)zip_set_file_compression(bundle->zip, (zip_uint64_t)at, ZIP_CM_STORE, 0);
}

static int add_views(struct bundle *bundle, const struct evidence_input *input, struct err *err)
{
    struct buf text;
    int result;
    buf_init(&text, EVIDENCE_MEMBER_BYTES_MAX);
    result = entry_view_json(input->leaf, input->index, &text);
    add(bundle, "entry.json", buf_slice(&text), true);
    buf_reset(&text);
    if (result == 0)
        result = entry_view_html(input->leaf, input->index, input->agreement, &text);
    add(bundle, "view.html", buf_slice(&text), true);
    buf_reset(&text);
    if (result == 0 && input->agreement.len > 0) {
        result = entry_view_agreement(input->agreement, &text);
        add(bundle, "agreement.bin", input->agreement, true);
        add(bundle, "agreement.json", buf_slice(&text), true);
    }
    buf_fini(&text);
    return result == 0 ? 0
                       : err_set(err, ERR_DATA_LOSS, "AUDIT_ENTRY_DAMAGED",
                                 "the entry cannot be read; verify the log");
}

static int unmade(struct err *err)
{
    return err_set(err, ERR_INTERNAL, "EVIDENCE_FAILED", "the evidence bundle could not be made");
}

static int fill(struct bundle *bundle, const struct evidence_input *input, struct err *err)
{
    char name[EVIDENCE_NAME_BYTES_MAX];
    add(bundle, "README.txt",
        slice_of(sluice_evidence_readme,
                 (size_t)(sluice_evidence_program - sluice_evidence_readme)),
        true);
    add(bundle, "verify.py",
        slice_of(sluice_evidence_program, (size_t)(sluice_evidence_end - sluice_evidence_program)),
        true);
    add(bundle, "entry.bin", input->leaf, true);
    add(bundle, "entry.tlog-proof", input->proof, true);
    add(bundle, "checkpoint", input->checkpoint, true);
    for (size_t i = 0; i < input->key_change_count; i++) {
        (void)snprintf(name, sizeof name, "key-changes/%04zu.note", i + 1);
        add(bundle, name, input->key_changes[i], true);
    }
    if (input->opened.len > 0)
        add(bundle, "opened/salt.json", input->opened, true);
    if (add_views(bundle, input, err) != 0)
        return -1;
    add(bundle, "SHA256SUMS", buf_slice(&bundle->sums), false);
    return bundle->failed ? unmade(err) : 0;
}

static int read_back(zip_source_t *source, struct buf *zip_r)
{
    zip_stat_t info;
    if (zip_source_stat(source, &info) != 0 || (info.valid & ZIP_STAT_SIZE) == 0 ||
        info.size > EVIDENCE_BYTES_MAX || buf_reserve(zip_r, (size_t)info.size) != 0 ||
        zip_source_open(source) != 0)
        return -1;
    zip_int64_t got = zip_source_read(source, zip_r->data + zip_r->len, info.size);
    (void)zip_source_close(source);
    if (got < 0 || (zip_uint64_t)got != info.size)
        return -1;
    zip_r->len += (size_t)got;
    return 0;
}

/* Closes the archive and reads what it became, unless it failed before. */
static int finish(struct bundle *bundle, zip_source_t *source, int result, struct buf *zip_r,
                  struct err *err)
{
    if (result != 0)
        zip_discard(bundle->zip);
    else if (zip_close(bundle->zip) != 0 || read_back(source, zip_r) != 0)
        result = unmade(err);
    zip_source_free(source);
    buf_fini(&bundle->sums);
    return result;
}

int evidence_build(const struct evidence_input *input, struct buf *zip_r, struct err *err)
{
    struct bundle bundle = { 0 };
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, NULL);
    if (source == NULL)
        abort();
    bundle.zip = zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    if (bundle.zip == NULL)
        abort();
    zip_source_keep(source); /* closing the archive lets go of it */
    buf_init(&bundle.sums, EVIDENCE_MEMBER_BYTES_MAX);
    return finish(&bundle, source, fill(&bundle, input, err), zip_r, err);
}

int evidence_add(struct slice zip, const char *name, struct slice data, struct buf *zip_r,
                 struct err *err)
{
    struct bundle bundle = { 0 };
    /* A copy of libzip's own: while it writes, libzip 1.7 takes a source's bytes for its own. */
    zip_source_t *source = zip_source_buffer_create(mem_dup(zip.data, zip.len), zip.len, 1, NULL);
    if (source == NULL)
        abort();
    bundle.zip = zip_open_from_source(source, ZIP_CHECKCONS, NULL);
    if (bundle.zip == NULL) {
        zip_source_free(source);
        return err_set(err, ERR_INVALID_ARGUMENT, "EVIDENCE_UNREADABLE",
                       "The bundle cannot be read: it is no whole ZIP file.");
    }
    zip_source_keep(source);
    buf_init(&bundle.sums, EVIDENCE_MEMBER_BYTES_MAX);
    add(&bundle, name, data, false);
    return finish(&bundle, source, bundle.failed ? unmade(err) : 0, zip_r, err);
}
