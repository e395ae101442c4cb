/* A small invented log in memory, and its export as static files.
 * Ownership: sample_log_fini frees everything.
 * Never calls back.
 * Limits: as many entries as memory holds; made for tests only.
 * Does not need a database. Edits change what the export is written from, as whoever owns the
 *   database could. */
#ifndef SLUICE_TESTS_SAMPLE_LOG_H
#define SLUICE_TESTS_SAMPLE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/note.h"
#include "audit/policy.h"
#include "base/buf.h"

#define SAMPLE_ORIGIN "log.example/sample"

struct sample_entry {
    uint8_t *leaf;
    size_t leaf_len;
    uint8_t leaf_hash[MERKLE_HASH_BYTES]; /* as the database would hold it */
    char *columns;                        /* the line, as the database would make it */
};

struct sample_log {
    struct note_signer *signer;
    struct audit_policy *policy;
    char *policy_text;
    struct sample_entry *entries;
    size_t count;
    size_t room;
    uint64_t next_counter[2]; /* of two gateway processes */
    int64_t time_us;
};

/* sm2: keys of both kinds. */
void sample_log_init(struct sample_log *log, bool sm2);
void sample_log_fini(struct sample_log *log);
struct note_signer *sample_signer(const char *name, bool sm2);
/* The policy text that pins a signer's keys; the caller frees. */
char *sample_policy(const struct note_signer *signer);

/* Appends entries of invented calls. */
void sample_log_grow(struct sample_log *log, size_t count);
/* Appends an entry of kind KEY_EVENT that says `object`. */
void sample_log_key_event(struct sample_log *log, const char *object);
/* Appends the entry that tells of the death of one of the two processes. */
void sample_log_recovery(struct sample_log *log, size_t who);
/* Makes hash and columns of an entry fit its leaf, as a careful forger would. */
void sample_entry_fit(struct sample_entry *entry, size_t index);
struct sample_entry sample_entry_dup(const struct sample_entry *entry);
void sample_entry_fini(struct sample_entry *entry);

/* The signed checkpoint over the first `count` entries as they are. */
void sample_log_sign(const struct sample_log *log, const struct note_signer *signer, size_t count,
                     struct buf *note_r);
/* Writes entries up to the note's size into a fresh or grown folder; fails the test on an error. */
void sample_log_export(const struct sample_log *log, const char *folder, struct slice note);

/* A new empty folder of the test's own; the caller frees. */
char *sample_folder(void);
void sample_folder_remove(const char *folder);

#endif
