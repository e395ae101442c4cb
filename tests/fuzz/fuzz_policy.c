/* Fuzzes the policy of whoever checks a log. */
#include <stdint.h>
#include <stdlib.h>

#include "audit/policy.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct audit_policy *policy = audit_policy_parse(slice_of(data, size), &err);
    if ((policy == NULL) != (err.code != ERR_OK))
        abort();
    if (policy != NULL) {
        /* All witnesses are enough for any quorum, none only for none. */
        if (!audit_policy_quorum(policy, UINT32_MAX) ||
            audit_policy_quorum(policy, 0) != (policy->quorum < 0) ||
            (audit_policy_needed(policy) == 0) != (policy->quorum < 0))
            abort();
    }
    audit_policy_free(&policy);
    return 0;
}
