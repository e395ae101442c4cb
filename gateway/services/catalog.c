/* sluice.v1.CatalogService: the datasets a caller may see. */
#include <string.h>

#include "schema/claim.h"
#include "services/admin.h"
#include "services/gateway.h"
#include "sluice/v1/catalog.pb-c.h"

enum {
    CATALOG_PAGE_DEFAULT = 100,
    CATALOG_PAGE_MAX = 1000,
    CATALOG_DESCRIPTOR_BYTES_MAX = 4 * 1024 * 1024,
};

static Sluice__V1__DatasetField *make_field(struct call *call, const struct schema_dataset *dataset,
                                            const struct schema_field *field, bool granted)
{
    Sluice__V1__DatasetField *out = arena_alloc(&call->arena, sizeof *out);
    sluice__v1__dataset_field__init(out);
    out->name = (char *)field->name;
    out->type = (char *)schema_field_type_name(field);
    out->label_zh = (char *)field->label_zh;
    out->semantic = (Sluice__Options__SemanticType)field->semantic;
    out->sensitivity = (Sluice__Options__Sensitivity)field->sensitivity;
    out->filterable = schema_dataset_filterable(dataset, field);
    out->granted = granted;
    out->verifiable = schema_dataset_verifiable(dataset, field);
    return out;
}

static void take_modes(struct call *call, const struct schema_dataset *dataset,
                       Sluice__V1__Dataset *out)
{
    const struct gateway *gateway = call->context;
    unsigned modes = authz_granted_modes(gateway->authz, &call->identity, dataset);
    out->granted_modes = arena_array(&call->arena, 32, sizeof *out->granted_modes);
    for (unsigned mode = 1; mode < 32; mode++)
        if ((modes >> mode & 1) != 0)
            out->granted_modes[out->n_granted_modes++] = (Sluice__V1__AgreementMode)mode;
}

/* Names of the owner's tables and columns are for these people only. */
static bool is_owners_officer(const struct call *call, const struct gateway_dataset *entry)
{
    return call->identity.kind == IDENTITY_OFFICER &&
           strcmp(call->identity.department, entry->dataset->department) == 0;
}

/* The owner's officer reads what is wrong with the table; others, that the owner must mend it. */
static const char *state_reason(struct call *call, const struct gateway_dataset *entry)
{
    struct err shown = ERR_INIT;
    if (is_owners_officer(call, entry))
        gateway_dataset_closed_to_owner(entry, &shown);
    else
        gateway_dataset_closed(entry, &shown);
    return arena_strdup(&call->arena, shown.text);
}

static Sluice__V1__Dataset *make_dataset(struct call *call, const struct gateway_dataset *entry,
                                         const uint8_t *granted)
{
    const struct gateway *gateway = call->context;
    const struct schema_dataset *dataset = entry->dataset;
    Sluice__V1__Dataset *out = arena_alloc(&call->arena, sizeof *out);
    sluice__v1__dataset__init(out);
    out->name = (char *)dataset->name;
    out->title = (char *)dataset->title;
    out->title_zh = (char *)dataset->title_zh;
    out->department = (char *)dataset->department;
    out->type_name = (char *)dataset->type->full_name;
    out->sharing = (Sluice__V1__SharingCategory)authz_sharing(gateway->authz, dataset);
    out->n_fields = dataset->type->field_count;
    out->fields = arena_array(&call->arena, out->n_fields, sizeof *out->fields);
    for (size_t i = 0; i < out->n_fields; i++)
        out->fields[i] =
            make_field(call, dataset, &dataset->type->fields[i], plan_bit(granted, (uint32_t)i));
    out->n_key = dataset->key_count;
    out->key = arena_array(&call->arena, out->n_key, sizeof *out->key);
    for (size_t i = 0; i < out->n_key; i++)
        out->key[i] = (char *)dataset->key[i]->name;
    out->state = (char *)(entry->ready ? "ready" : "closed");
    out->state_reason = (char *)(entry->ready ? "" : state_reason(call, entry));
    char *digest = arena_alloc(&call->arena, 2 * SCHEMA_DIGEST_BYTES + 1);
    hex_encode(schema_bundle_digest(gateway->bundle), SCHEMA_DIGEST_BYTES, digest);
    out->schema_digest = digest;
    take_modes(call, dataset, out);
    return out;
}

/* --- ListDatasets ---------------------------------------------------------------------------- */

static enum step_result list_answer(struct call *call)
{
    const Sluice__V1__ListDatasetsRequest *request =
        (const Sluice__V1__ListDatasetsRequest *)(const void *)call->request;
    const struct gateway *gateway = call->context;
    size_t page = admin_page_size(request->page_size, CATALOG_PAGE_DEFAULT, CATALOG_PAGE_MAX);
    Sluice__V1__ListDatasetsResponse answer = SLUICE__V1__LIST_DATASETS_RESPONSE__INIT;
    answer.datasets = arena_array(&call->arena, gateway->dataset_count, sizeof *answer.datasets);
    /* The token is the last name shown: a name is no secret to whoever was shown it. */
    for (size_t i = 0; i < gateway->dataset_count; i++) {
        const struct gateway_dataset *entry = &gateway->datasets[i];
        uint8_t granted[PLAN_BITMAP_BYTES] = { 0 };
        if (strcmp(entry->dataset->name, request->page_token) <= 0 ||
            !authz_sees_dataset(gateway->authz, &call->identity, entry->dataset, granted))
            continue;
        if (answer.n_datasets == page) {
            answer.next_page_token = answer.datasets[page - 1]->name;
            break;
        }
        answer.datasets[answer.n_datasets++] = make_dataset(call, entry, granted);
    }
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "answer", list_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method catalog_list_method = {
    .path = "/sluice.v1.CatalogService/ListDatasets",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_datasets_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = list_steps,
};

/* --- GetDataset ------------------------------------------------------------------------------ */

static enum step_result get_answer(struct call *call)
{
    const Sluice__V1__GetDatasetRequest *request =
        (const Sluice__V1__GetDatasetRequest *)(const void *)call->request;
    const struct gateway *gateway = call->context;
    const struct gateway_dataset *entry = gateway_dataset_find(gateway, request->name);
    uint8_t granted[PLAN_BITMAP_BYTES] = { 0 };
    if (entry == NULL ||
        !authz_sees_dataset(gateway->authz, &call->identity, entry->dataset, granted)) {
        (void)err_set(&call->err, ERR_NOT_FOUND, "DATASET_NOT_FOUND",
                      "no dataset of this name is shared with you");
        return STEP_FAIL;
    }
    Sluice__V1__Dataset *answer = make_dataset(call, entry, granted);
    if (is_owners_officer(call, entry))
        answer->drift = drift_watch_messages(entry->drift, &call->arena, &answer->n_drift);
    struct buf descriptors;
    buf_init(&descriptors, CATALOG_DESCRIPTOR_BYTES_MAX);
    if (schema_set_closure(schema_bundle_types(gateway->bundle), entry->dataset->type->file,
                           &descriptors) == 0) {
        answer->descriptor_set.len = descriptors.len;
        answer->descriptor_set.data = descriptors.data;
    }
    call_answer(call, &answer->base);
    buf_fini(&descriptors);
    return STEP_NEXT;
}

static const struct step get_steps[] = {
    { "admit", admin_admit, NULL },
    { "answer", get_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method catalog_get_method = {
    .path = "/sluice.v1.CatalogService/GetDataset",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_dataset_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = get_steps,
};
