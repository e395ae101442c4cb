/* sluice audit evidence: one entry with all that proves it, as a ZIP file. */
#include <stdlib.h>
#include <string.h>

#include "audit/evidence.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/audit_files.h"
#include "cli/remote.h"
#include "cli/text.h"

static int take_chunk(void *context, json_t *chunk)
{
    struct buf *zip = context;
    const char *text = remote_text(chunk, "data");
    size_t len = strlen(text);

    if (buf_reserve(zip, len / 4 * 3 + 3) == 0) {
        long got = base64_decode(text, len, zip->data + zip->len);
        if (got >= 0) {
            zip->len += (size_t)got;
            return 0;
        }
    }
    COMPLAIN(MSG_ANSWER_MALFORMED, "data");
    return EXIT_FAILED;
}

int audit_evidence(struct cli *cli)
{
    struct problem problem = { 0 };
    struct buf zip;
    const char *which = cli->operands[0];
    bool number = which[strspn(which, "0123456789")] == '\0' && strlen(which) <= 18;
    struct connect_client *client;
    int status;

    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    buf_init(&zip, EVIDENCE_BYTES_MAX);
    if (connect_stream(client, "sluice.v1.AuditService/ExportEvidence",
                       json_pack("{s:s}", number ? "index" : "entryId", which), take_chunk, &zip,
                       &problem) == 0) {
        char *name = mem_format("evidence-%s.zip", number ? which : "entry");
        status = audit_file_write(cli_option_text(cli, OPT_OUT, name), &zip);
        if (status == EXIT_OK)
            NOTE(MSG_EVIDENCE_WRITTEN, cli_option_text(cli, OPT_OUT, name));
        free(name);
    } else if (problem.text[0] == '\0' && problem.code[0] == '\0') {
        status = problem.exit_status;
    } else {
        status = problem_report(&problem);
    }
    connect_client_close(&client);
    buf_fini(&zip);
    return status;
}
