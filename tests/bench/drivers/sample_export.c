/* sample_export FOLDER ENTRIES: an invented log as `sluice audit export` leaves it in FOLDER, which must not
 * be there, with FOLDER.policy beside it: what `sluice audit verify` is timed on. Prints one JSON line: the
 * entries, and the bytes of their leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "support/sample_log.h"

static void stop(const char *what)
{
    (void)fprintf(stderr, "sample_export: %s\n", what);
    exit(1);
}

int main(int argc, char **argv)
{
    enum { ENTRIES_MAX = 4 * 1000 * 1000 }; /* they are in memory */
    if (argc != 3)
        stop("usage: sample_export FOLDER ENTRIES");
    long entries = strtol(argv[2], NULL, 10);
    if (entries < 1 || entries > ENTRIES_MAX)
        stop("from 1 to 4,000,000 entries");
    struct sample_log log;
    struct buf note;
    size_t bytes = 0;
    buf_init(&note, NOTE_BYTES_MAX);
    sample_log_init(&log, false);
    sample_log_grow(&log, (size_t)entries);
    sample_log_sign(&log, log.signer, log.count, &note);
    if (mkdir(argv[1], 0700) != 0)
        stop("the folder is there, or cannot be made");
    sample_log_export(&log, argv[1], buf_slice(&note));
    char *policy = mem_format("%s.policy", argv[1]);
    FILE *file = fopen(policy, "w");
    if (file == NULL || fputs(log.policy_text, file) < 0 || fclose(file) != 0)
        stop("the policy cannot be written");
    free(policy);
    for (size_t i = 0; i < log.count; i++)
        bytes += log.entries[i].leaf_len;
    printf("{\"entries\": %zu, \"leaf_bytes\": %zu}\n", log.count, bytes);
    sample_log_fini(&log);
    buf_fini(&note);
    return 0;
}
