/* Fuzzes the reader of evidence bundles: ZIP files from strangers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/evidence.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy_text[] =
    "log PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\nquorum none\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct audit_policy *policy;
    struct verify_report report;
    struct err err = ERR_INIT;
    if (policy == NULL)
        policy = audit_policy_parse(slice_of(policy_text, strlen(policy_text)), &err);
    verify_report_init(&report);
    /* Nobody has that key, so nothing may pass. */
    if (evidence_verify(slice_of(data, size), policy, NULL, &report, &err) == 0 && report.bad == 0)
        abort();
    return 0;
}
