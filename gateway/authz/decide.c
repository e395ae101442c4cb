/* The one decision: may this caller have these fields of this dataset, for this purpose, this way?
 */
#include <stdio.h>
#include <string.h>

#include "authz/internal.h"
#include "base/clock.h"

static int refuse(struct authz_answer *answer, const char *rule, struct err *err,
                  enum err_code code, const char *reason, const char *text)
{
    answer->rule = rule;
    return err_set(err, code, reason, "%s", text);
}

static bool is_consumer(const struct authz_grant *grant, const struct identity *who)
{
    return who->kind == IDENTITY_SYSTEM &&
           strcmp(grant->consumer_department, who->department) == 0 &&
           (strcmp(grant->consumer_system, "*") == 0 ||
            strcmp(grant->consumer_system, who->name) == 0);
}

/* An officer is no system: only what the department as a whole was granted is theirs to use, and only
 * in calls that say so. */
static bool may_use(const struct authz_grant *grant, const struct authz_ask *ask)
{
    if (!ask->for_department)
        return is_consumer(grant, ask->who);
    return ask->who->kind == IDENTITY_OFFICER &&
           strcmp(grant->consumer_department, ask->who->department) == 0 &&
           strcmp(grant->consumer_system, "*") == 0;
}

static bool has_purpose(const struct authz_grant *grant, const char *purpose)
{
    for (size_t i = 0; i < grant->purpose_count; i++)
        if (strcmp(grant->purposes[i], purpose) == 0)
            return true;
    return false;
}

static bool is_open(const struct authz_grant *grant, int64_t now_us)
{
    return grant->window_count == 0 ||
           authz_windows_open(grant->windows, grant->window_count, now_us);
}

static bool comes_from_inside(const struct authz_grant *grant, const struct authz_ask *ask)
{
    return grant->network_count == 0 || ask->resumed ||
           authz_networks_hold(grant->networks, grant->network_count, ask->who->address);
}

static bool is_valid_now(const struct authz_grant *grant, int64_t now_us)
{
    return !grant->revoked && !grant->suspended && now_us >= grant->valid_from_us &&
           now_us < grant->valid_until_us;
}

/* Without an agreement id: the only live one for this purpose and mode; else the caller must
 * choose. */
static struct authz_grant *choose(const struct authz_dataset *dataset, const struct authz_ask *ask,
                                  int64_t now_us, bool *ambiguous_r)
{
    struct authz_grant *best = NULL;
    int best_score = -1;
    *ambiguous_r = false;
    list_for_each(link, &dataset->grants)
    {
        struct authz_grant *grant = list_item(link, struct authz_grant, link);
        if (!may_use(grant, ask))
            continue;
        bool fits = has_purpose(grant, ask->purpose) && (grant->modes & ask->mode) != 0;
        bool usable =
            is_valid_now(grant, now_us) && is_open(grant, now_us) && comes_from_inside(grant, ask);
        int score = (usable ? 2 : 0) + (fits ? 1 : 0);
        if (score == 3 && best_score == 3)
            *ambiguous_r = true;
        /* Of equals the newest explains the refusal best. */
        if (score >= best_score) {
            best = grant;
            best_score = score;
        }
    }
    return best;
}

static int check_validity(const struct authz_grant *grant, int64_t now_us,
                          struct authz_answer *answer, struct err *err)
{
    if (grant->revoked)
        return refuse(answer, "agreement.revoked", err, ERR_PERMISSION_DENIED, "AGREEMENT_REVOKED",
                      "the agreement was revoked; ask the owner for a new one");
    if (grant->suspended)
        return refuse(answer, "agreement.suspended", err, ERR_PERMISSION_DENIED,
                      "AGREEMENT_SUSPENDED",
                      "the agreement is suspended; ask the owner what must be put in order");
    if (now_us < grant->valid_from_us)
        return refuse(answer, "agreement.validity", err, ERR_PERMISSION_DENIED,
                      "AGREEMENT_NOT_YET_VALID", "the agreement is not in force yet");
    if (now_us >= grant->valid_until_us)
        return refuse(answer, "agreement.validity", err, ERR_PERMISSION_DENIED, "AGREEMENT_EXPIRED",
                      "the agreement has expired; ask the owner for a new one");
    if (is_open(grant, now_us))
        return 0;
    answer->rule = "agreement.window";
    return err_set(err, ERR_PERMISSION_DENIED, "WINDOW_CLOSED",
                   "the agreement is for %s (Asia/Shanghai); call again then", grant->windows_text);
}

static int check_network(const struct authz_grant *grant, const struct authz_ask *ask,
                         struct authz_answer *answer, struct err *err)
{
    if (comes_from_inside(grant, ask))
        return 0;
    answer->rule = "agreement.network";
    return err_set(err, ERR_PERMISSION_DENIED, "NETWORK_NOT_GRANTED",
                   "the agreement does not cover calls from this address; call from %s",
                   grant->networks_text);
}

static int check_scope(const struct authz_grant *grant, const struct authz_ask *ask,
                       struct authz_answer *answer, struct err *err)
{
    if (ask->purpose[0] == '\0')
        return refuse(answer, "request.purpose", err, ERR_INVALID_ARGUMENT, "PURPOSE_MISSING",
                      "name the purpose of this call");
    if (!has_purpose(grant, ask->purpose))
        return refuse(answer, "agreement.purpose", err, ERR_PERMISSION_DENIED,
                      "PURPOSE_NOT_GRANTED", "the agreement does not cover this purpose");
    if ((grant->modes & ask->mode) == 0)
        return refuse(answer, "agreement.mode", err, ERR_PERMISSION_DENIED, "MODE_NOT_GRANTED",
                      "the agreement does not cover this kind of call");
    if (grant->broken.code != ERR_OK) {
        answer->rule = "agreement.schema";
        *err = grant->broken;
        return -1;
    }
    return 0;
}

static int check_fields(const struct authz_grant *grant, const struct authz_ask *ask,
                        struct authz_answer *answer, struct err *err)
{
    if (ask->field_count == 0) {
        memcpy(answer->fields, grant->delivered, sizeof answer->fields);
        return 0;
    }
    for (size_t i = 0; i < ask->field_count; i++) {
        const char *name = ask->fields[i];
        const struct schema_field *field =
            schema_message_field(grant->dataset->type, name, strlen(name));
        if (field == NULL) {
            answer->rule = "request.fields";
            return err_set(err, ERR_INVALID_ARGUMENT, "FIELD_UNKNOWN",
                           "the dataset has no field \"%.60s\"", name);
        }
        if (!plan_bit(grant->fields, field->position)) {
            answer->rule = "agreement.fields";
            return err_set(err, ERR_PERMISSION_DENIED, "FIELD_NOT_GRANTED",
                           "the agreement does not cover the field %s", field->name);
        }
        if (ask->mode == AUTHZ_VERIFY && authz_answer_unmasked(answer, field, err) < 0) {
            answer->rule = "agreement.masks";
            return -1;
        }
        if (plan_bit(grant->delivered, field->position))
            plan_set_bit(answer->fields, field->position);
    }
    return 0;
}

/* Only what the audit transaction said a moment ago. */
static int check_quota(const struct authz *authz, const struct authz_grant *grant,
                       const struct authz_ask *ask, struct authz_answer *answer, struct err *err)
{
    int64_t now_us = loop_now_us(authz->loop);
    if (now_us >= grant->quota_shut_us || (ask->mode & (AUTHZ_LOOKUP | AUTHZ_QUERY)) == 0)
        return 0;
    answer->retry_after_ms = (grant->quota_new_day_us - now_us) / 1000;
    (void)refuse(answer, "agreement.quota", err, ERR_RESOURCE_EXHAUSTED, "QUOTA_EXHAUSTED",
                 "the agreement's daily quota is used up; it begins anew at midnight "
                 "(Asia/Shanghai)");
    return err_retry_after(err, (long)answer->retry_after_ms);
}

void authz_quota_used_up(struct authz *authz, const struct authz_answer *answer, int64_t left_ms)
{
    int64_t now_us = loop_now_us(authz->loop);
    int64_t shut_ms = left_ms < AUTHZ_QUOTA_SHUT_MS ? left_ms : AUTHZ_QUOTA_SHUT_MS;
    answer->grant->quota_shut_us = now_us + shut_ms * 1000;
    answer->grant->quota_new_day_us = now_us + left_ms * 1000;
}

/* A token bucket in this worker: approximate, as documented. */
static int take_token(struct authz *authz, struct authz_grant *grant, struct authz_answer *answer,
                      struct err *err)
{
    if (grant->rate_per_second <= 0)
        return 0;
    int64_t now = loop_now_us(authz->loop);
    if (grant->tokens_at_us > 0)
        grant->tokens += (double)(now - grant->tokens_at_us) * grant->rate_per_second / 1e6;
    grant->tokens_at_us = now;
    if (grant->tokens > grant->burst)
        grant->tokens = grant->burst;
    if (grant->tokens < 1) {
        answer->retry_after_ms = (int64_t)((1 - grant->tokens) * 1000 / grant->rate_per_second) + 1;
        (void)refuse(answer, "agreement.rate", err, ERR_RESOURCE_EXHAUSTED, "RATE_LIMITED",
                     "the agreement's call rate is used up; try again in a moment");
        return err_retry_after(err, (long)answer->retry_after_ms);
    }
    grant->tokens -= 1;
    return 0;
}

static int find_plan(struct authz_grant *grant, struct authz_answer *answer, struct err *err)
{
    for (size_t i = 0; i < grant->plan_count; i++) {
        if (memcmp(grant->plans[i].fields, answer->fields, PLAN_BITMAP_BYTES) == 0) {
            answer->plan = grant->plans[i].plan;
            return 0;
        }
    }
    answer->plan = schema_plan_new(grant->dataset, answer->fields, grant->row_filter, err);
    if (answer->plan == NULL)
        return -1;
    if (grant->masks != NULL)
        schema_plan_mask(answer->plan, grant->masks);
    if (grant->plan_count == AUTHZ_PLANS_MAX) {
        answer->own_plan = true;
        return 0;
    }
    struct authz_plan *slot = &grant->plans[grant->plan_count++];
    memcpy(slot->fields, answer->fields, PLAN_BITMAP_BYTES);
    slot->plan = answer->plan;
    return 0;
}

static int find_grant(struct authz *authz, const struct authz_ask *ask, int64_t now_us,
                      struct authz_answer *answer, struct err *err)
{
    static const char hidden[] = "no dataset of this name is shared with you";
    const struct authz_dataset *dataset = strmap_get(&authz->datasets, ask->dataset);
    bool ambiguous = false;
    struct authz_grant *any = dataset != NULL ? choose(dataset, ask, now_us, &ambiguous) : NULL;
    if (any == NULL || any->dataset == NULL)
        return refuse(answer, "dataset", err, ERR_NOT_FOUND, "DATASET_NOT_FOUND", hidden);
    answer->dataset = any->dataset;
    if (ask->agreement[0] == '\0') {
        answer->grant = any;
        any->refs++;
        if (ambiguous)
            return refuse(answer, "request.agreement", err, ERR_INVALID_ARGUMENT,
                          "AGREEMENT_AMBIGUOUS",
                          "several agreements fit this call; name the one to use");
        return 0;
    }
    struct authz_grant *named = strmap_get(&authz->grants, ask->agreement);
    if (named == NULL || !may_use(named, ask) || strcmp(named->dataset_name, ask->dataset) != 0)
        return refuse(answer, "agreement", err, ERR_PERMISSION_DENIED, "AGREEMENT_NOT_FOUND",
                      "you have no agreement of this id for this dataset");
    answer->grant = named;
    named->refs++;
    return 0;
}

int authz_judge(struct authz *authz, const struct authz_ask *ask, int64_t now_us,
                struct authz_answer *answer, struct err *err)
{
    if (find_grant(authz, ask, now_us, answer, err) < 0 ||
        check_validity(answer->grant, now_us, answer, err) < 0 ||
        check_network(answer->grant, ask, answer, err) < 0 ||
        check_scope(answer->grant, ask, answer, err) < 0)
        return -1;
    return check_fields(answer->grant, ask, answer, err);
}

int authz_decide(struct authz *authz, const struct authz_ask *ask, struct authz_answer *answer_r,
                 struct err *err)
{
    *answer_r = (struct authz_answer){ .rule = "lease", .epoch = authz->epoch };
    int64_t now_us = clock_wall_us();
    if (!authz_ready(authz))
        return err_set(err, ERR_UNAVAILABLE, "LEASE_EXPIRED",
                       "agreements cannot be checked at the moment; try again");
    if (!authz_department_known(authz, ask->who->department))
        return refuse(answer_r, "department", err, ERR_PERMISSION_DENIED, "DEPARTMENT_UNKNOWN",
                      "your department is not registered with this gateway");
    if (ask->for_department && authz_check_officer(authz, ask->who, OFFICER_CASEWORK, err) < 0) {
        answer_r->rule = "officer";
        return -1;
    }
    if (authz_judge(authz, ask, now_us, answer_r, err) < 0 ||
        check_quota(authz, answer_r->grant, ask, answer_r, err) < 0 ||
        take_token(authz, answer_r->grant, answer_r, err) < 0 ||
        find_plan(answer_r->grant, answer_r, err) < 0)
        return -1;
    answer_r->rule = authz_answer_rule(answer_r);
    return 0;
}

bool authz_live(const struct authz *authz, const struct authz_answer *answer, struct err *err)
{
    struct authz_answer unused;
    if (!authz_ready(authz)) {
        (void)err_set(err, ERR_UNAVAILABLE, "LEASE_EXPIRED",
                      "agreements cannot be checked at the moment; try again");
        return false;
    }
    return answer->grant == NULL ||
           check_validity(answer->grant, clock_wall_us(), &unused, err) == 0;
}

void authz_answer_fini(struct authz *authz, struct authz_answer *answer)
{
    (void)authz;
    if (answer->own_plan)
        schema_plan_free(&answer->plan);
    authz_grant_unref(answer->grant);
    *answer = (struct authz_answer){ .rule = "" };
}

enum schema_sharing authz_sharing(const struct authz *authz, const struct schema_dataset *dataset)
{
    const struct authz_dataset *entry = strmap_get(&authz->datasets, dataset->name);
    return entry != NULL && entry->sharing > (int)dataset->sharing
               ? (enum schema_sharing)entry->sharing
               : dataset->sharing;
}

bool authz_catalogue_forbids(const struct authz *authz, const char *dataset)
{
    const struct authz_dataset *entry = strmap_get(&authz->datasets, dataset);
    return entry != NULL && entry->sharing == SHARING_DENIED;
}

bool authz_department_known(const struct authz *authz, const char *department)
{
    return strmap_get(&authz->departments, department) != NULL;
}

/* Names what would allow it. */
static int role_lacking(unsigned roles, struct err *err)
{
    char names[64] = "";
    size_t len = 0;
    for (unsigned role = OFFICER_REQUESTER; role <= OFFICER_ADMINISTRATOR; role <<= 1)
        if ((roles & role) != 0 && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len > 0 ? " or " : "",
                                    officer_role_name(role));
    return err_set(err, ERR_PERMISSION_DENIED, "ROLE_LACKING",
                   "this takes an officer with the role %s; the gateway's operators give roles",
                   names);
}

int authz_check_officer(const struct authz *authz, const struct identity *who, unsigned roles,
                        struct err *err)
{
    char key[2 * IDENTITY_NAME_BYTES + 1];
    size_t len = strlen(who->department);
    memcpy(key, who->department, len);
    key[len] = '/';
    memcpy(key + len + 1, who->name, strlen(who->name) + 1);
    if (!authz_ready(authz))
        return err_set(err, ERR_UNAVAILABLE, "LEASE_EXPIRED",
                       "officers cannot be checked at the moment; try again");
    if (!authz_department_known(authz, who->department))
        return err_set(err, ERR_PERMISSION_DENIED, "DEPARTMENT_UNKNOWN",
                       "your department is not registered with this gateway");
    const struct authz_officer *officer = strmap_get(&authz->officers, key);
    if (who->kind != IDENTITY_OFFICER || officer == NULL)
        return err_set(err, ERR_PERMISSION_DENIED, "OFFICER_UNKNOWN",
                       "you are not registered as an officer of your department");
    return (officer->roles & roles) != 0 ? 0 : role_lacking(roles, err);
}

static bool concerns(const struct authz_grant *grant, const struct identity *who)
{
    return is_consumer(grant, who) || (who->kind == IDENTITY_OFFICER &&
                                       strcmp(grant->consumer_department, who->department) == 0);
}

unsigned authz_granted_modes(const struct authz *authz, const struct identity *who,
                             const struct schema_dataset *dataset)
{
    unsigned modes = 0;
    int64_t now_us = clock_wall_us();
    const struct authz_dataset *entry = strmap_get(&authz->datasets, dataset->name);
    if (entry == NULL)
        return 0;
    list_for_each(link, &entry->grants)
    {
        const struct authz_grant *grant = list_item(link, struct authz_grant, link);
        if (concerns(grant, who) && grant->dataset != NULL && is_valid_now(grant, now_us))
            modes |= grant->modes;
    }
    return modes;
}

bool authz_sees_dataset(const struct authz *authz, const struct identity *who,
                        const struct schema_dataset *dataset, uint8_t *granted_r)
{
    bool seen = who->kind == IDENTITY_OFFICER && strcmp(who->department, dataset->department) == 0;
    int64_t now_us = clock_wall_us();
    const struct authz_dataset *entry = strmap_get(&authz->datasets, dataset->name);
    if (entry == NULL)
        return seen;
    list_for_each(link, &entry->grants)
    {
        const struct authz_grant *grant = list_item(link, struct authz_grant, link);
        if (!concerns(grant, who) || grant->dataset == NULL || !is_valid_now(grant, now_us))
            continue;
        seen = true;
        for (size_t i = 0; granted_r != NULL && i < PLAN_BITMAP_BYTES; i++)
            granted_r[i] = (uint8_t)(granted_r[i] | grant->fields[i]);
    }
    return seen;
}

const char *authz_agreement_dataset(const struct authz *authz, const char *id, const char *owner)
{
    const struct authz_grant *grant = strmap_get(&authz->grants, id);
    return grant != NULL && strcmp(grant->owner, owner) == 0 ? grant->dataset_name : NULL;
}
