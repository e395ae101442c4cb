#include "support/sample_log.h"

#include <assert.h>
#include <ftw.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/columns.h"
#include "audit/entry.h"
#include "audit/log_writer.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void pem_of(EVP_PKEY *pkey, struct buf *out)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
    long len = BIO_get_mem_data(bio, &data);
    must(buf_append(out, data, (size_t)len) == 0);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

struct note_signer *sample_signer(const char *name, bool sm2)
{
    struct buf ed25519_pem, sm2_pem;
    struct err err = ERR_INIT;
    buf_init(&ed25519_pem, NOTE_BYTES_MAX);
    buf_init(&sm2_pem, NOTE_BYTES_MAX);
    pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &ed25519_pem);
    if (sm2)
        pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), &sm2_pem);
    struct note_signer *signer =
        note_signer_new(name, buf_slice(&ed25519_pem), buf_slice(&sm2_pem), &err);
    must(signer != NULL);
    buf_fini(&ed25519_pem);
    buf_fini(&sm2_pem);
    return signer;
}

char *sample_policy(const struct note_signer *signer)
{
    struct buf text;
    buf_init(&text, POLICY_BYTES_MAX);
    (void)buf_append_str(&text, "# keys of an invented log\nlog ");
    must(note_signer_ed25519_text(signer, &text) == 0);
    (void)buf_append_str(&text, "\n");
    struct buf sm2;
    buf_init(&sm2, POLICY_BYTES_MAX);
    if (note_signer_sm2_text(signer, &sm2) == 0)
        (void)buf_append_format(&text, "log %s\nsm2-distid 1234567812345678\n", buf_cstr(&sm2));
    (void)buf_append_str(&text, "quorum none\n");
    char *copy = mem_strdup(buf_cstr(&text));
    buf_fini(&text);
    buf_fini(&sm2);
    return copy;
}

void sample_log_init(struct sample_log *log, bool sm2)
{
    struct err err = ERR_INIT;
    memset(log, 0, sizeof *log);
    log->signer = sample_signer(SAMPLE_ORIGIN, sm2);
    log->policy_text = sample_policy(log->signer);
    log->policy = audit_policy_parse(slice_of(log->policy_text, strlen(log->policy_text)), &err);
    must(log->policy != NULL);
    log->time_us = INT64_C(1790000000000000);
}

void sample_entry_fini(struct sample_entry *entry)
{
    free(entry->leaf);
    free(entry->columns);
}

void sample_log_fini(struct sample_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        sample_entry_fini(&log->entries[i]);
    free(log->entries);
    free(log->policy_text);
    audit_policy_free(&log->policy);
    note_signer_free(&log->signer);
}

struct sample_entry sample_entry_dup(const struct sample_entry *entry)
{
    struct sample_entry copy = *entry;
    copy.leaf = mem_dup(entry->leaf, entry->leaf_len);
    copy.columns = mem_strdup(entry->columns);
    return copy;
}

void sample_entry_fit(struct sample_entry *entry, size_t index)
{
    struct buf line;
    struct audit_columns columns;
    merkle_leaf_hash(entry->leaf, entry->leaf_len, entry->leaf_hash);
    Sluice__V1__AuditEntry *message =
        sluice__v1__audit_entry__unpack(NULL, entry->leaf_len, entry->leaf);
    if (message == NULL)
        return;
    buf_init(&line, COLUMNS_LINE_BYTES_MAX);
    columns_from_entry(message, (int64_t)index, entry->leaf_hash, &columns);
    must(columns_write(&columns, &line) == 0);
    free(entry->columns);
    entry->columns = mem_strdup(buf_cstr(&line));
    sluice__v1__audit_entry__free_unpacked(message, NULL);
    buf_fini(&line);
}

static void add(struct sample_log *log, const struct audit_entry_fields *fields)
{
    static const char *const instances[] = { "gateway-a", "gateway-b" };
    struct audit_source source = { 0 };
    struct buf packed;
    struct err err = ERR_INIT;
    uint8_t id[UUID_BYTES];
    size_t who = log->count % 3 == 0 ? 1 : 0;
    audit_source_init(&source, SAMPLE_ORIGIN, instances[who]);
    memset(source.boot_id, (int)(who + 1), sizeof source.boot_id);
    source.counter = log->next_counter[who]++;
    buf_init(&packed, AUDIT_APPEND_BYTES_MAX);
    must(audit_entry_build(&source, fields, &packed, id, &err) == 0);
    Sluice__Internal__Append *append =
        sluice__internal__append__unpack(NULL, packed.len, packed.data);
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, append->leaf.len, append->leaf.data);
    log->time_us += 1000000; /* a log of some age, though it is made at once */
    entry->time_us = log->time_us;
    if (log->count == log->room) {
        log->room = log->room > 0 ? 2 * log->room : 64;
        log->entries = mem_resize(log->entries, log->room * sizeof *log->entries);
    }
    struct sample_entry *made = &log->entries[log->count];
    made->leaf_len = sluice__v1__audit_entry__get_packed_size(entry);
    made->leaf = mem_zero(made->leaf_len);
    (void)sluice__v1__audit_entry__pack(entry, made->leaf);
    made->columns = NULL;
    sample_entry_fit(made, log->count++);
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    sluice__internal__append__free_unpacked(append, NULL);
    buf_fini(&packed);
    audit_source_fini(&source);
}

void sample_log_grow(struct sample_log *log, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char request[32];
        uint8_t exchange[UUID_BYTES];
        uuid7_make(exchange);
        (void)snprintf(request, sizeof request, "req-%zu", log->count);
        struct audit_entry_fields fields = {
            .kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION,
            .exchange_id = slice_of(exchange, i % 5 == 0 ? 0 : sizeof exchange),
            .request_id = request,
            .subject = "spiffe://example/dept/health/system/triage",
            .department = "health",
            .auth_method = "mtls",
            .purpose = "medical-triage",
            .agreement = "agr-sample",
            .method = "/sluice.v1.ExchangeService/Lookup",
            .dataset = "statistics/streets",
            .owner = "statistics",
            .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
            .rule = "agreement",
        };
        add(log, &fields);
    }
}

void sample_log_recovery(struct sample_log *log, size_t who)
{
    uint8_t boot[16];
    char hex[2 * sizeof boot + 1];
    memset(boot, (int)(who + 1), sizeof boot);
    hex_encode(boot, sizeof boot, hex);
    struct audit_entry_fields fields = {
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__RECOVERY,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED,
        .rule = "recovery",
        .reason = "DELIVERY_UNKNOWN",
        .object = hex,
        .stands_for = 1,
    };
    add(log, &fields);
}

void sample_log_key_event(struct sample_log *log, const char *object)
{
    struct audit_entry_fields fields = {
        .kind = SLUICE__V1__AUDIT_ENTRY__KIND__KEY_EVENT,
        .object = object,
        .outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED,
    };
    add(log, &fields);
}

void sample_log_sign(const struct sample_log *log, const struct note_signer *signer, size_t count,
                     struct buf *note_r)
{
    struct merkle_frontier tree;
    struct checkpoint checkpoint = { .size = count };
    (void)snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", SAMPLE_ORIGIN);
    merkle_frontier_init(&tree);
    for (size_t i = 0; i < count; i++)
        merkle_frontier_append(&tree, log->entries[i].leaf_hash);
    merkle_frontier_root(&tree, checkpoint.root);
    buf_reset(note_r);
    must(checkpoint_sign(signer, &checkpoint, note_r) == 0);
}

void sample_log_export(const struct sample_log *log, const char *folder, struct slice note)
{
    struct err err = ERR_INIT;
    struct checkpoint checkpoint;
    struct slice text, signatures;
    bool matches;
    must(note_split(note, &text, &signatures, &err) == 0 &&
         checkpoint_parse(text, &checkpoint, &err) == 0);
    struct log_writer *writer = log_writer_open(folder, &err);
    must(writer != NULL && checkpoint.size <= log->count);
    for (uint64_t i = log_writer_next(writer); i < checkpoint.size; i++) {
        const struct sample_entry *entry = &log->entries[i];
        /* Batches of seven. */
        if (i % 7 == 0) {
            uint8_t id[UUID_BYTES] = { 0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80 };
            char text_id[UUID_TEXT_BYTES], line[96];
            memcpy(id + 9, &i, 7);
            uuid_format(id, text_id);
            (void)snprintf(line, sizeof line, "%s %llu %llu\n", text_id, (unsigned long long)i,
                           (unsigned long long)(checkpoint.size - i < 7 ? checkpoint.size - i : 7));
            must(log_writer_batch(writer, slice_of(line, strlen(line)), &err) == 0);
        }
        must(log_writer_add(writer, slice_of(entry->leaf, entry->leaf_len), entry->leaf_hash,
                            slice_of(entry->columns, strlen(entry->columns)), &err) == 0);
    }
    must(log_writer_publish(writer, note, &checkpoint, true, &matches, &err) == 0);
    log_writer_close(&writer);
}

char *sample_folder(void)
{
    char path[] = "/dev/shm/sluice-sample-XXXXXX";
    char *made = mkdtemp(path);
    must(made != NULL);
    return mem_strdup(made);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void sample_folder_remove(const char *folder)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
