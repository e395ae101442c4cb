#include "schema/plan_mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { PERSON_DEPTH_MAX = 8 };

struct plan_masks {
    const struct schema_masks *set;
    struct buf record;  /* scratch */
    struct buf persons; /* of the last row */
};

struct plan_masks *plan_masks_new(const struct schema_masks *set)
{
    struct plan_masks *masks = mem_zero(sizeof *masks);
    masks->set = set;
    buf_init_large(&masks->record, PLAN_RECORD_BYTES_MAX);
    buf_init_large(&masks->persons, PLAN_RECORD_BYTES_MAX);
    return masks;
}

void plan_masks_free(struct plan_masks **masks)
{
    if (*masks == NULL)
        return;
    buf_fini(&(*masks)->record);
    buf_fini(&(*masks)->persons);
    free(*masks);
    *masks = NULL;
}

int plan_masks_run(struct plan_masks *masks, size_t before, struct buf *out,
                   struct schema_row_report *report, struct err *err)
{
    struct slice record = slice_of(out->data + before, out->len - before);
    buf_reset(&masks->record);
    buf_reset(&masks->persons);
    if (report->state != ROW_DELIVERED)
        return 0;
    enum schema_masks_result result =
        schema_masks_apply(masks->set, record, &masks->record, &masks->persons);
    out->len = before;
    if (result == MASKS_DONE && buf_append(out, masks->record.data, masks->record.len) == 0)
        return 0;
    if (masks->record.refused || masks->persons.refused)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, "MEMORY",
                       "The gateway has no memory for this record; try again.");
    if (result == MASKS_DONE)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, "OUTPUT_FULL",
                       "The answer is larger than one message may be; ask for fewer records.");
    if (result == MASKS_MALFORMED)
        return err_set(err, ERR_INTERNAL, "RECORD_MALFORMED", "The record could not be masked.");
    report->state = ROW_QUARANTINED;
    report->rule = "record";
    report->code = "RECORD_TOO_LARGE";
    return 0;
}

size_t plan_masks_persons(const struct plan_masks *masks, struct slice *values_r, size_t max)
{
    const struct buf *persons = &masks->persons;
    size_t count = 0;
    uint64_t len = 0;
    for (size_t at = 0; at < persons->len; at += (size_t)len) {
        at += varint_get(persons->data + at, persons->len - at, &len);
        if (count < max)
            values_r[count] = slice_of(persons->data + at, (size_t)len);
        count++;
    }
    return count;
}

/* --- persons ------------------------------------------------------------------------------------
 */

struct person_list {
    const struct schema_masks *masks; /* their fields hold no number any more */
    struct slice *values;
    size_t max;
    size_t count;
};

/* Our own encoding, so every length is checked but nothing is reported. */
static void find_persons(const struct schema_message *type, const uint8_t *data, size_t len,
                         int depth, struct person_list *list)
{
    enum { CITIZEN_ID = 1 };
    for (size_t at = 0; at < len;) {
        uint64_t tag = 0, size = 0;
        size_t used = varint_get(data + at, len - at, &tag);
        if (used == 0)
            return;
        at += used;
        unsigned wire = (unsigned)(tag & 7);
        used = wire == WIRE_VARINT || wire == WIRE_LEN ? varint_get(data + at, len - at, &size) : 0;
        if ((wire == WIRE_VARINT || wire == WIRE_LEN) && used == 0)
            return;
        at += used;
        if (wire == WIRE_VARINT)
            continue;
        size = wire == WIRE_I64 ? 8 : wire == WIRE_I32 ? 4 : size;
        if (size > len - at)
            return;
        const struct schema_field *field =
            wire == WIRE_LEN ? schema_message_number(type, (uint32_t)(tag >> 3)) : NULL;
        if (field != NULL && depth == 0 && schema_masks_of(list->masks, field) != NULL) {
            at += (size_t)size;
            continue;
        }
        if (field != NULL && field->type == SCHEMA_STRING && field->semantic == CITIZEN_ID) {
            if (list->count < list->max)
                list->values[list->count] = slice_of(data + at, (size_t)size);
            list->count++;
        } else if (field != NULL && field->type == SCHEMA_MESSAGE && depth < PERSON_DEPTH_MAX) {
            find_persons(field->message, data + at, (size_t)size, depth + 1, list);
        }
        at += (size_t)size;
    }
}

size_t plan_persons(const struct schema_message *type, const struct plan_masks *masks,
                    struct slice record, struct slice *values_r, size_t max)
{
    struct person_list list = { .masks = masks != NULL ? masks->set : NULL,
                                .values = values_r,
                                .max = max };
    find_persons(type, record.data, record.len, 0, &list);
    return list.count;
}
