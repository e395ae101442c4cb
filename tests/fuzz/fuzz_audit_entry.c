/* Fuzzes what the audit room reads back: leaves of the log, the auditor's state file, signing keys
 * as PEM; and entries made of any texts. The first byte chooses which. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit/entry.h"
#include "audit/head_file.h"
#include "audit/note.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct audit_source source;

static void must(int ok)
{
    if (!ok)
        abort();
}

/* Builds an entry and reads its leaf again: it must say the same. */
static void build(const struct audit_entry_fields *fields)
{
    struct buf append;
    uint8_t id[UUID_BYTES];
    struct err err = ERR_INIT;
    buf_init(&append, AUDIT_APPEND_BYTES_MAX);
    uint64_t counter = source.counter;
    if (audit_entry_build(&source, fields, &append, id, &err) != 0) {
        must(source.counter == counter && append.len == 0 && err.code != ERR_OK);
        buf_fini(&append);
        return;
    }
    Sluice__Internal__Append *packed =
        sluice__internal__append__unpack(NULL, append.len, append.data);
    must(packed != NULL && packed->leaf.len <= AUDIT_LEAF_BYTES_MAX);
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, packed->leaf.len, packed->leaf.data);
    must(entry != NULL && entry->counter == counter + 1);
    must(strcmp(entry->who->subject, packed->subject) == 0);
    struct audit_entry_fields again;
    audit_entry_fields_from(entry, &again);
    must(strcmp(again.subject, fields->subject != NULL ? fields->subject : "") == 0);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    sluice__internal__append__free_unpacked(packed, NULL);
    buf_fini(&append);
}

static void fuzz_leaf(struct slice leaf)
{
    Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    if (entry == NULL)
        return;
    struct audit_entry_fields fields;
    audit_entry_fields_from(entry, &fields);
    fields.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    build(&fields);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
}

/* Texts separated by zero bytes. */
static void fuzz_texts(struct slice bytes)
{
    char *texts[10];
    char *copy = malloc(bytes.len + 1);
    must(copy != NULL);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    char *at = copy;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        texts[i] = at;
        at += strlen(at);
        if (at < copy + bytes.len)
            at++;
    }
    struct audit_entry_fields fields = {
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
        .trace_id = texts[0],
        .request_id = texts[1],
        .subject = texts[2],
        .department = texts[3],
        .purpose = texts[4],
        .agreement = texts[5],
        .dataset = texts[6],
        .method = texts[7],
        .reason = texts[8],
        .filter_digest = slice_of(texts[9], strlen(texts[9])),
    };
    build(&fields);
    free(copy);
}

static void fuzz_state_file(struct slice bytes)
{
    char path[64];
    struct merkle_frontier frontier;
    struct err err = ERR_INIT;
    int fd = memfd_create("state", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int result = head_file_load(path, "test.example/audit", &frontier, &err);
    must(result == 1 || (result == -1 && err.code != ERR_OK));
    (void)close(fd);
}

static void fuzz_pem(struct slice bytes)
{
    struct err err = ERR_INIT;
    struct note_signer *signer =
        note_signer_new("test.example/audit", bytes, slice_of(NULL, 0), &err);
    must(signer != NULL || err.code != ERR_OK);
    note_signer_free(&signer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (source.origin == NULL)
        audit_source_init(&source, "test.example/audit", "fuzz");
    if (size < 1)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        fuzz_leaf(rest);
        break;
    case 1:
        fuzz_texts(rest);
        break;
    case 2:
        fuzz_state_file(rest);
        break;
    default:
        fuzz_pem(rest);
        break;
    }
    return 0;
}
