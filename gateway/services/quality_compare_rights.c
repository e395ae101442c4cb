/* CompareDatasets: who may compare what. */
#include <string.h>

#include "schema/record.h"
#include "services/quality_compare.h"

static const Sluice__V1__CompareDatasetsRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__CompareDatasetsRequest *)(const void *)call->request;
}

static int refuse(struct call *call, const char *rule, enum err_code code, const char *reason,
                  const char *text)
{
    ((struct compare *)call->state)->exchange.grant.rule = rule;
    return err_set(&call->err, code, reason, "%s", text);
}

/* The caller's own side is found first; of the other side nothing is told before it is decided. */
static int find_own(struct call *call, enum compare_side *other_r)
{
    const Sluice__V1__CompareDatasetsRequest *request = request_of(call);
    const struct gateway *gateway = call->context;
    struct compare *compare = call->state;
    const char *names[] = { request->dataset_a, request->dataset_b };
    int owned = 0;
    compare->exchange.grant.rule = "officer";
    if (authz_check_officer(gateway->authz, &call->identity, call->method->officer_roles,
                            &call->err) < 0)
        return -1;
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        struct gateway_dataset *dataset = gateway_dataset_find(gateway, names[i]);
        if (dataset == NULL || strcmp(dataset->dataset->department, call->identity.department) != 0)
            continue;
        compare->inputs[i].dataset = dataset;
        compare->inputs[i].own = true;
        owned++;
    }
    *other_r = compare->inputs[COMPARE_B].own ? COMPARE_A : COMPARE_B;
    compare->exchange.dataset_name = names[*other_r];
    compare->exchange.object = names[1 - *other_r];
    if (owned == 0)
        return refuse(call, "owner", ERR_PERMISSION_DENIED, "NOT_OWNER",
                      "your department owns neither dataset; one of the two must be yours");
    if (strcmp(names[0], names[1]) == 0)
        return refuse(call, "request", ERR_INVALID_ARGUMENT, "DATASETS_EQUAL",
                      "name two different datasets");
    return 0;
}

static int decide(struct call *call, enum compare_side other, Google__Protobuf__FieldMask *fields)
{
    const Sluice__V1__CompareDatasetsRequest *request = request_of(call);
    const struct gateway *gateway = call->context;
    struct compare *compare = call->state;
    authz_answer_fini(gateway->authz, &compare->exchange.grant);
    compare->exchange.for_department = true;
    if (exchange_authorise(call, compare->exchange.dataset_name, request->agreement,
                           request->purpose, request->request_id, fields, AUTHZ_QUERY) == STEP_FAIL)
        return -1;
    compare->inputs[other].dataset = compare->exchange.dataset;
    compare->inputs[other].plan = compare->exchange.grant.plan;
    return 0;
}

static int check_pair(struct call *call)
{
    struct compare *compare = call->state;
    const struct schema_dataset *a = compare->inputs[COMPARE_A].dataset->dataset;
    const struct schema_dataset *b = compare->inputs[COMPARE_B].dataset->dataset;
    bool same_key = a->key_count == b->key_count;
    if (a->type != b->type)
        return refuse(call, "request", ERR_INVALID_ARGUMENT, "TYPES_DIFFER",
                      "the datasets hold records of different types; only like compares with like");
    for (size_t i = 0; same_key && i < a->key_count; i++)
        same_key = a->key[i] == b->key[i];
    if (!same_key)
        return refuse(call, "request", ERR_INVALID_ARGUMENT, "KEYS_DIFFER",
                      "the datasets have different keys, so no record of one is one of the other");
    compare->type = a->type;
    for (size_t i = 0; i < 2; i++) {
        if (compare->inputs[i].dataset->ready)
            continue;
        compare->exchange.grant.rule = "dataset.state";
        gateway_dataset_closed(compare->inputs[i].dataset, &call->err);
        return -1;
    }
    return 0;
}

static bool both_map(const struct compare *compare, const struct schema_field *field)
{
    return schema_dataset_maps(compare->inputs[COMPARE_A].dataset->dataset, field) &&
           schema_dataset_maps(compare->inputs[COMPARE_B].dataset->dataset, field);
}

static bool in_key(const struct compare *compare, const struct schema_field *field)
{
    const struct schema_dataset *dataset = compare->inputs[COMPARE_A].dataset->dataset;
    for (size_t i = 0; i < dataset->key_count; i++)
        if (dataset->key[i] == field)
            return true;
    return false;
}

/* Records are matched by their keys, so a masked key would be known again. */
static int check_key(struct call *call)
{
    const struct compare *compare = call->state;
    const struct schema_dataset *dataset = compare->exchange.grant.dataset;
    for (size_t i = 0; i < dataset->key_count; i++)
        if (authz_answer_unmasked(&compare->exchange.grant, dataset->key[i], &call->err) < 0)
            return -1;
    return 0;
}

/* The fields to compare: those asked for, or all that both sides map and `granted` has. */
static int choose_fields(struct call *call, const uint8_t *granted)
{
    const Google__Protobuf__FieldMask *asked = request_of(call)->fields;
    struct compare *compare = call->state;
    const struct schema_field *vintage = schema_record_vintage(compare->type);
    bool all = asked == NULL || asked->n_paths == 0;
    for (size_t i = 0; !all && i < asked->n_paths; i++) {
        const struct schema_field *field =
            schema_message_field(compare->type, asked->paths[i], strlen(asked->paths[i]));
        if (field == NULL || !both_map(compare, field) || in_key(compare, field))
            return err_set(&call->err, ERR_INVALID_ARGUMENT, "FIELD_UNKNOWN",
                           "\"%.60s\" is no field beside the key that both datasets fill",
                           asked->paths[i]);
        if (granted != NULL &&
            authz_answer_unmasked(&compare->exchange.grant, field, &call->err) < 0)
            return -1;
        if (compare->field_count < COMPARE_FIELDS_MAX)
            compare->fields[compare->field_count++] = field;
    }
    for (size_t i = 0; all && i < compare->type->field_count; i++) {
        const struct schema_field *field = &compare->type->fields[i];
        if (field != vintage && !in_key(compare, field) && both_map(compare, field) &&
            (granted == NULL || plan_bit(granted, field->position)) &&
            compare->field_count < COMPARE_FIELDS_MAX)
            compare->fields[compare->field_count++] = field;
    }
    if (compare->field_count == 0)
        return refuse(call, "request", ERR_INVALID_ARGUMENT, "FIELDS_MISSING",
                      "there is no field beside the key that both datasets fill and you may read");
    if (vintage != NULL && both_map(compare, vintage) &&
        (granted == NULL || plan_bit(granted, vintage->position)))
        compare->vintage = vintage;
    return 0;
}

/* Exactly what is compared, key and vintage: no other column is read. */
static Google__Protobuf__FieldMask *exact_fields(struct call *call,
                                                 uint8_t bitmap_r[PLAN_BITMAP_BYTES])
{
    const struct compare *compare = call->state;
    Google__Protobuf__FieldMask *mask = arena_alloc(&call->arena, sizeof *mask);
    google__protobuf__field_mask__init(mask);
    mask->paths = arena_array(&call->arena, compare->type->field_count, sizeof *mask->paths);
    memset(bitmap_r, 0, PLAN_BITMAP_BYTES);
    for (size_t i = 0; i < compare->type->field_count; i++) {
        const struct schema_field *field = &compare->type->fields[i];
        bool wanted = in_key(compare, field) || field == compare->vintage;
        for (size_t j = 0; j < compare->field_count; j++)
            wanted = wanted || compare->fields[j] == field;
        if (!wanted)
            continue;
        mask->paths[mask->n_paths++] = (char *)field->name;
        plan_set_bit(bitmap_r, field->position);
    }
    return mask;
}

static int own_plans(struct call *call, const uint8_t *bitmap)
{
    struct compare *compare = call->state;
    for (size_t i = 0; i < 2; i++) {
        struct compare_input *input = &compare->inputs[i];
        if (!input->own)
            continue;
        input->plan = schema_plan_new(input->dataset->dataset, bitmap, NULL, &call->err);
        if (input->plan == NULL)
            return -1;
    }
    return 0;
}

static int authorise(struct call *call)
{
    const Sluice__V1__CompareDatasetsRequest *request = request_of(call);
    struct compare *compare = call->state;
    uint8_t bitmap[PLAN_BITMAP_BYTES];
    enum compare_side other;
    if (find_own(call, &other) < 0 ||
        quality_rate(request->rows_per_second, &compare->rate, &call->err) < 0)
        return -1;
    compare->conflicts_max =
        admin_page_size(request->conflicts, COMPARE_CONFLICTS_DEFAULT, COMPARE_CONFLICTS_MAX);
    compare->conflicts =
        arena_array(&call->arena, compare->conflicts_max, sizeof *compare->conflicts);
    compare->exchange.purpose = request->purpose;
    bool both_own = compare->inputs[other].own;
    /* Decided twice: for what was asked, and for exactly what will be read. */
    if (!both_own && (decide(call, other, request->fields) < 0 || check_key(call) < 0))
        return -1;
    if (check_pair(call) < 0 ||
        choose_fields(call, both_own ? NULL : authz_answer_granted(&compare->exchange.grant)) < 0)
        return -1;
    Google__Protobuf__FieldMask *mask = exact_fields(call, bitmap);
    if (!both_own && decide(call, other, mask) < 0)
        return -1;
    if (own_plans(call, bitmap) < 0)
        return -1;
    compare->exchange.grant.rule = both_own ? "owner" : authz_answer_rule(&compare->exchange.grant);
    return 0;
}

enum step_result compare_authorise(struct call *call)
{
    struct compare *compare = call->state;
    buf_init(&compare->record, PLAN_RECORD_BYTES_MAX);
    if (authorise(call) < 0)
        return STEP_FAIL;
    compare_table_init(&compare->table, compare->field_count, COMPARE_TABLE_BYTES_MAX);
    exchange_start_rows(call, AUDIT_ROWS_ROW);
    return STEP_NEXT;
}
