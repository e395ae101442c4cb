/* Why a call would be allowed or refused, and what would be allowed instead. */
#include <stdio.h>
#include <string.h>

#include "authz/internal.h"
#include "base/clock.h"

static const char *const mode_names[] = { NULL, "lookup", "query", "verify", "transfer" };
enum { MODE_COUNT = sizeof mode_names / sizeof mode_names[0] };

struct words {
    char *text;
    size_t len;
};

/* What does not fit is cut: these are words for people. */
static void add(struct words *words, const char *glue, const char *word)
{
    int len =
        snprintf(words->text + words->len, AUTHZ_WOULD_BYTES - words->len, "%s%s", glue, word);
    words->len += len > 0 ? (size_t)len : 0;
    if (words->len >= AUTHZ_WOULD_BYTES)
        words->len = AUTHZ_WOULD_BYTES - 1;
}

static void add_purposes(struct words *words, const struct authz_grant *grant)
{
    add(words, "", "a purpose the agreement covers");
    for (size_t i = 0; i < grant->purpose_count; i++)
        add(words, i == 0 ? ": " : ", ", grant->purposes[i]);
}

static void add_modes(struct words *words, const struct authz_grant *grant)
{
    const char *glue = ": ";
    add(words, "", "a mode the agreement covers");
    for (size_t i = 1; i < MODE_COUNT; i++)
        if ((grant->modes >> i & 1) != 0) {
            add(words, glue, mode_names[i]);
            glue = ", ";
        }
}

static void add_remedy(struct words *words, const char *rule, const struct authz_grant *grant)
{
    static const struct {
        const char *rule, *text;
    } remedies[] = {
        { "dataset", "an agreement of the owner with this consumer; apply for one" },
        { "agreement", "the id of one of this consumer's agreements for this dataset" },
        { "agreement.revoked", "a new agreement of the owner" },
        { "agreement.suspended", "resuming it, once what the owner asks for is in order" },
        { "agreement.validity", "the agreement while it is valid, or a new one" },
        { "agreement.fields", "an agreement that grants the field" },
        { "agreement.masks", "an agreement that grants the field without a mask" },
        { "agreement.schema", "a new agreement that fits the dataset as it is now" },
        { "request.agreement", "naming the agreement to use" },
        { "department", "registering the consumer's department with this gateway" },
    };
    if (grant != NULL && strcmp(rule, "agreement.purpose") == 0)
        add_purposes(words, grant);
    else if (grant != NULL && strcmp(rule, "agreement.mode") == 0)
        add_modes(words, grant);
    else if (grant != NULL && strcmp(rule, "agreement.network") == 0)
        add(words, "a call from ", grant->networks_text);
    else if (grant != NULL && strcmp(rule, "agreement.window") == 0)
        add(words, "a call in Asia/Shanghai at ", grant->windows_text);
    for (size_t i = 0; words->len == 0 && i < sizeof remedies / sizeof remedies[0]; i++)
        if (strcmp(remedies[i].rule, rule) == 0)
            add(words, "", remedies[i].text);
}

int authz_explain(struct authz *authz, const struct authz_ask *ask, struct authz_answer *answer_r,
                  char would_r[AUTHZ_WOULD_BYTES], struct err *err)
{
    struct words words = { .text = would_r };
    *answer_r = (struct authz_answer){ .rule = "department", .epoch = authz->epoch };
    would_r[0] = '\0';
    int result = 0;
    if (!authz_department_known(authz, ask->who->department))
        result = err_set(err, ERR_PERMISSION_DENIED, "DEPARTMENT_UNKNOWN",
                         "the consumer's department is not registered with this gateway");
    else
        result = authz_judge(authz, ask, clock_wall_us(), answer_r, err);
    if (result == 0)
        answer_r->rule = authz_answer_rule(answer_r);
    else
        add_remedy(&words, answer_r->rule, answer_r->grant);
    return result;
}

bool authz_party_to_dataset(const struct authz *authz, const char *department,
                            const struct schema_dataset *dataset)
{
    const struct authz_dataset *entry = strmap_get(&authz->datasets, dataset->name);
    if (strcmp(dataset->department, department) == 0)
        return true;
    if (entry == NULL)
        return false;
    list_for_each(link, &entry->grants)
    {
        const struct authz_grant *grant = list_item(link, struct authz_grant, link);
        if (strcmp(grant->consumer_department, department) == 0)
            return true;
    }
    return false;
}
