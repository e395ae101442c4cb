#include "services/catalogue_overlap.h"

#include <string.h>

#include "base/mem.h"
#include "services/admin.h"
#include "services/agreement_rows.h"
#include "services/catalogue_methods.h"
#include "sluice/v1/catalog.pb-c.h"

enum { OVERLAP_PAGE_DEFAULT = 100, OVERLAP_PAGE_MAX = 500 };

/* --- one application -------------------------------------------------------------------------- */

/* NULL: it offers none of them. */
static Sluice__V1__AlreadyAvailable *offer_of(struct call *call, const struct schema_dataset *other,
                                              char *const *fields, size_t field_count)
{
    const struct gateway *gateway = call->context;
    uint8_t granted[PLAN_BITMAP_BYTES] = { 0 };
    Sluice__V1__AlreadyAvailable *out = arena_alloc(&call->arena, sizeof *out);
    sluice__v1__already_available__init(out);
    out->dataset = (char *)other->name;
    out->department = (char *)other->department;
    out->fields = arena_array(&call->arena, field_count, sizeof *out->fields);
    out->granted = authz_sees_dataset(gateway->authz, &call->identity, other, granted);
    for (size_t i = 0; i < field_count; i++) {
        const struct schema_field *field =
            schema_message_field(other->type, fields[i], strlen(fields[i]));
        if (field == NULL || !schema_dataset_provides(other, field))
            continue;
        out->fields[out->n_fields++] = fields[i];
        out->granted =
            out->granted && plan_bit(granted, (uint32_t)(field - other->type->fields)) != 0;
    }
    return out->n_fields > 0 ? out : NULL;
}

Sluice__V1__AlreadyAvailable **catalogue_available(struct call *call,
                                                   const struct schema_dataset *dataset,
                                                   char *const *fields, size_t field_count,
                                                   size_t *count_r)
{
    const struct gateway *gateway = call->context;
    size_t count = schema_bundle_count(gateway->bundle);
    Sluice__V1__AlreadyAvailable **out = arena_array(&call->arena, count, sizeof *out);
    *count_r = 0;
    for (size_t i = 0; i < count; i++) {
        const struct schema_dataset *other = schema_bundle_at(gateway->bundle, i);
        if (other->type != dataset->type || strcmp(other->department, dataset->department) == 0 ||
            authz_sharing(gateway->authz, other) == SHARING_DENIED)
            continue;
        out[*count_r] = offer_of(call, other, fields, field_count);
        *count_r += out[*count_r] != NULL;
    }
    return out;
}

/* --- ListOverlaps ------------------------------------------------------------------------------- */

/* What the mappings offer, as parallel lists for unnest. */
struct mapped {
    char **elements;
    char **datasets;
    char **departments;
    char **items;
    size_t count;
};

static const Sluice__V1__ListOverlapsRequest *overlaps_request(const struct call *call)
{
    return (const Sluice__V1__ListOverlapsRequest *)(const void *)call->request;
}

static size_t page_size(const struct call *call)
{
    return admin_page_size(overlaps_request(call)->page_size, OVERLAP_PAGE_DEFAULT,
                           OVERLAP_PAGE_MAX);
}

static void add_dataset(struct call *call, const struct schema_dataset *dataset,
                        struct mapped *mapped)
{
    const struct gateway *gateway = call->context;
    if (authz_sharing(gateway->authz, dataset) == SHARING_DENIED &&
        strcmp(dataset->department, call->identity.department) != 0)
        return;
    for (size_t i = 0; i < dataset->type->field_count; i++) {
        const struct schema_field *field = &dataset->type->fields[i];
        if (!schema_dataset_provides(dataset, field))
            continue;
        size_t at = mapped->count++;
        mapped->elements[at] =
            arena_format(&call->arena, "%s.%s", dataset->type->full_name, field->name);
        mapped->datasets[at] = (char *)dataset->name;
        mapped->departments[at] = (char *)dataset->department;
        mapped->items[at] = (char *)field->name;
    }
}

static struct mapped all_mapped(struct call *call)
{
    const struct gateway *gateway = call->context;
    size_t room = 0;
    for (size_t i = 0; i < schema_bundle_count(gateway->bundle); i++)
        room += schema_bundle_at(gateway->bundle, i)->type->field_count;
    struct mapped mapped = {
        .elements = arena_array(&call->arena, room, sizeof(char *)),
        .datasets = arena_array(&call->arena, room, sizeof(char *)),
        .departments = arena_array(&call->arena, room, sizeof(char *)),
        .items = arena_array(&call->arena, room, sizeof(char *)),
    };
    for (size_t i = 0; i < schema_bundle_count(gateway->bundle); i++)
        add_dataset(call, schema_bundle_at(gateway->bundle, i), &mapped);
    return mapped;
}

static const char overlaps_sql[] =
    "WITH force AS (SELECT e.dataset, e.department, e.published_edition AS edition, e.state,"
    " d.sharing FROM control.catalogue_entry AS e JOIN control.catalogue_edition AS d"
    " ON d.dataset = e.dataset AND d.edition = e.published_edition),"
    " offers AS (SELECT i.element, f.dataset, f.department, i.name, i.source_department,"
    " true AS catalogued FROM force AS f JOIN control.catalogue_item AS i"
    " ON i.dataset = f.dataset AND i.edition = f.edition"
    " WHERE f.state <> 'RETIRED' AND (f.sharing <> 'DENIED' OR f.department = $1)"
    " UNION ALL SELECT m.element, m.dataset, m.department, m.name, '', false"
    " FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])"
    " AS m (element, dataset, department, name)"
    " WHERE NOT EXISTS (SELECT FROM force AS f WHERE f.dataset = m.dataset)),"
    " chosen AS (SELECT o.element COLLATE \"C\" AS element, max(o.source_department) AS source"
    " FROM offers AS o WHERE o.element COLLATE \"C\" > $7 GROUP BY o.element COLLATE \"C\""
    " HAVING count(DISTINCT o.department) > 1 AND ($6 = '' OR bool_or(o.dataset = $6))"
    " ORDER BY 1 LIMIT $8::bigint)"
    " SELECT o.element, c.source, o.dataset, o.department, o.name, o.catalogued"
    " FROM chosen AS c JOIN offers AS o ON o.element = c.element"
    " ORDER BY o.element COLLATE \"C\", o.dataset COLLATE \"C\"";

static Sluice__V1__Offer *take_offer(struct arena *arena, const struct db_rows *rows, int row)
{
    Sluice__V1__Offer *offer = arena_alloc(arena, sizeof *offer);
    sluice__v1__offer__init(offer);
    offer->dataset = db_text(arena, db_value(rows, row, 2));
    offer->department = db_text(arena, db_value(rows, row, 3));
    offer->item = db_text(arena, db_value(rows, row, 4));
    offer->catalogued = db_bool(db_value(rows, row, 5));
    return offer;
}

static int take_overlaps(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct arena *arena = &call->arena;
    size_t page = page_size(call), count = (size_t)db_row_count(rows);
    Sluice__V1__ListOverlapsResponse answer = SLUICE__V1__LIST_OVERLAPS_RESPONSE__INIT;
    Sluice__V1__Overlap *last = NULL;
    Sluice__V1__Offer **offers = arena_array(arena, count, sizeof *offers);
    answer.overlaps = arena_array(arena, page, sizeof *answer.overlaps);
    for (size_t i = 0; i < count; i++) {
        char *element = db_text(arena, db_value(rows, (int)i, 0));
        if (last == NULL || strcmp(last->element, element) != 0) {
            if (answer.n_overlaps == page) {
                answer.next_page_token = answer.overlaps[page - 1]->element;
                break;
            }
            last = arena_alloc(arena, sizeof *last);
            sluice__v1__overlap__init(last);
            last->element = element;
            last->source_department = db_text(arena, db_value(rows, (int)i, 1));
            last->offers = &offers[i];
            answer.overlaps[answer.n_overlaps++] = last;
        }
        last->offers[last->n_offers++] = take_offer(arena, rows, (int)i);
    }
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result overlaps_select(struct call *call)
{
    struct arena *arena = &call->arena;
    struct mapped mapped = all_mapped(call);
    const char *params[] = { call->identity.department,
                             agreement_array(arena, mapped.elements, mapped.count),
                             agreement_array(arena, mapped.datasets, mapped.count),
                             agreement_array(arena, mapped.departments, mapped.count),
                             agreement_array(arena, mapped.items, mapped.count),
                             overlaps_request(call)->dataset,
                             overlaps_request(call)->page_token,
                             arena_format(arena, "%zu", page_size(call) + 1) };
    struct db_sql sql = {
        .text = overlaps_sql,
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_overlaps);
}

static const struct step overlaps_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", overlaps_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method catalogue_overlaps_method = {
    .path = "/sluice.v1.CatalogService/ListOverlaps",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_overlaps_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = overlaps_steps,
    .finish = admin_finish,
};
