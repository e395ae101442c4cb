/* What went wrong in a call, as a person should read it, and the exit status it means.
 * Ownership: everything is inside the struct, on the caller's stack.
 * Never calls back.
 * Limits: texts are cut at a UTF-8 boundary when they do not fit.
 * Does not retry anything. */
#ifndef SLUICE_CLI_PROBLEM_H
#define SLUICE_CLI_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { PROBLEM_TEXT_BYTES = 2048, PROBLEM_WORD_BYTES = 64 };

struct problem {
    int exit_status;               /* enum cli_exit; 0: no problem */
    bool local;                    /* `text` is already in the reader's language */
    char code[PROBLEM_WORD_BYTES]; /* Connect code, "" for trouble on the way */
    char reason[PROBLEM_WORD_BYTES];
    char text[PROBLEM_TEXT_BYTES];
};

/* The exit status of a Connect code and ErrorInfo reason. */
int problem_exit_status(const char *code, const char *reason);

/* Reads a Connect error object {code, message, details}. A malformed one becomes code "unknown". */
void problem_from_json(struct problem *problem, const json_t *error);
/* An HTTP answer that is no Connect error (https://connectrpc.com/docs/protocol, "Error codes"). */
void problem_from_http(struct problem *problem, long status);
/* Trouble of our own; the text is complete. */
void problem_set(struct problem *problem, int exit_status, const char *text);

/* Writes "sluice: <sentence> [REASON]" to standard error; answers the exit status. */
int problem_report(const struct problem *problem);

/* ErrorInfo.reason (google/rpc/error_details.proto) from its protobuf bytes; false when absent. */
bool problem_reason_from_bytes(const unsigned char *data, size_t len,
                               char reason_r[PROBLEM_WORD_BYTES]);

#endif
