/* sluice audit evidence: one entry with all that proves it, as a ZIP file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/evidence.h"
#include "base/ids.h"
#include "base/mem.h"
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

static int write_file(const char *path, const struct buf *data)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool good = fd >= 0 && write(fd, data->data, data->len) == (ssize_t)data->len;

    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (!good) {
        COMPLAIN(MSG_OUTPUT_FAILED, strerror(errno));
        return EXIT_FAILED;
    }
    NOTE(MSG_EVIDENCE_WRITTEN, path);
    return EXIT_OK;
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
        status = write_file(cli_option_text(cli, OPT_OUT, name), &zip);
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
