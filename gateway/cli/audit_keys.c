/* sluice audit policy|rotate|announce: the log's keys, for who pins them and for who changes them. */
#include <stdlib.h>
#include <string.h>

#include "audit/log_keys.h"
#include "base/err.h"
#include "cli/audit_files.h"
#include "cli/remote.h"

static struct note_signer *load(const struct cli *cli, const char *path, enum cli_option sm2)
{
    struct err err = ERR_INIT;
    struct note_signer *signer = note_signer_load(cli_option_text(cli, OPT_ORIGIN, ""), path,
                                                  cli_option_text(cli, sm2, NULL), &err);

    if (signer == NULL)
        COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
    return signer;
}

static int print(const struct buf *text)
{
    return fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0
               ? EXIT_OK
               : EXIT_FAILED;
}

/* What others pin: from the private key, so run by who holds it. */
int audit_policy_print(struct cli *cli)
{
    struct note_signer *signer;
    struct buf text;
    int status = EXIT_FAILED;

    if (!cli_option_required(cli, OPT_ORIGIN))
        return EXIT_USAGE;
    signer = load(cli, cli->operands[0], OPT_SM2_KEY);
    if (signer == NULL)
        return EXIT_FAILED;
    buf_init(&text, POLICY_BYTES_MAX);
    if (buf_append_str(&text, "log ") == 0 && note_signer_ed25519_text(signer, &text) == 0 &&
        buf_append_str(&text, "\n") == 0) {
        size_t before = text.len;
        if (buf_append_str(&text, "log ") != 0 || note_signer_sm2_text(signer, &text) != 0)
            text.len = before;
        else
            (void)buf_append_format(&text, "\nsm2-distid %s\n", note_sm2_identity());
        (void)buf_append_str(&text, "quorum none\n");
        status = print(&text);
    }
    note_signer_free(&signer);
    buf_fini(&text);
    return status;
}

/* The note by which the keys in use name the next ones. */
int audit_rotate(struct cli *cli)
{
    struct note_signer *old, *next = NULL;
    struct buf note;
    int status = EXIT_FAILED;

    if (!cli_option_required(cli, OPT_ORIGIN))
        return EXIT_USAGE;
    old = load(cli, cli->operands[0], OPT_SM2_KEY);
    if (old != NULL)
        next = load(cli, cli->operands[1], OPT_NEW_SM2_KEY);
    buf_init(&note, LOG_KEYS_NOTE_BYTES_MAX);
    if (next != NULL &&
        log_keys_change_write(cli_option_text(cli, OPT_ORIGIN, ""), old, next, &note) == 0) {
        status = print(&note);
        NOTE(MSG_ROTATE_NEXT);
    }
    note_signer_free(&old);
    note_signer_free(&next);
    buf_fini(&note);
    return status;
}

/* Has the gateway log a key change. */
int audit_announce(struct cli *cli)
{
    struct buf note;
    json_t *answer;
    int status;
    struct connect_client *client;

    buf_init(&note, LOG_KEYS_NOTE_BYTES_MAX);
    status = audit_file_read(cli->operands[0], &note);
    client = status == EXIT_OK ? remote_open(cli, &status) : NULL;
    if (client != NULL) {
        json_t *text = json_stringn((const char *)note.data, note.len);
        status =
            remote_call(client, "sluice.v1.AuditService/RecordKeyChange",
                        json_pack("{s:o}", "note", text != NULL ? text : json_string("")), &answer);
        connect_client_close(&client);
        if (status == EXIT_OK) {
            NOTE(MSG_ANNOUNCED, remote_text(answer, "index"));
            json_decref(answer);
        }
    }
    buf_fini(&note);
    return status;
}
