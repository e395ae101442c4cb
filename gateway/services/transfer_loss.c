#include "services/transfer_loss.h"

#include <string.h>

#include "base/err.h"

/* Those named in a sentence; the report has all of them. */
enum { NAMES_BYTES_MAX = 160 };

/* NULL: not of this transfer. */
static const struct schema_field *moved_field(const struct authz_answer *grant, const char *name)
{
    const struct schema_field *field =
        schema_message_field(grant->dataset->type, name, strcspn(name, "."));
    bool moved = field != NULL && plan_bit(grant->fields, field->position) &&
                 schema_dataset_maps(grant->dataset, field);
    return moved ? field : NULL;
}

static Sluice__V1__TransferLoss__Kind kind_of(enum schema_lossiness_kind kind)
{
    switch (kind) {
    case CANONICAL_LOSSLESS:
        return SLUICE__V1__TRANSFER_LOSS__KIND__CANONICAL_LOSSLESS;
    case LOSSY:
        return SLUICE__V1__TRANSFER_LOSS__KIND__LOSSY;
    case ABSENT:
        return SLUICE__V1__TRANSFER_LOSS__KIND__ABSENT;
    case LOSSLESS:
    case FILLED:
        break;
    }
    return SLUICE__V1__TRANSFER_LOSS__KIND__KIND_UNSPECIFIED;
}

static Sluice__V1__TransferLoss *copy_of(struct arena *arena, const struct schema_lossiness *found)
{
    Sluice__V1__TransferLoss *loss = arena_alloc(arena, sizeof *loss);
    sluice__v1__transfer_loss__init(loss);
    loss->field = arena_strdup(arena, found->name);
    loss->kind = kind_of(found->kind);
    loss->sentence = arena_strdup(arena, found->sentence);
    loss->sentence_zh = arena_strdup(arena, found->sentence_zh);
    return loss;
}

static void add_name(struct buf *names, const char *name)
{
    const char *separator = names->len > 0 ? ", " : "";
    if (strlen(separator) + strlen(name) <= names->max - names->len)
        (void)buf_append_format(names, "%s%s", separator, name);
}

int transfer_weigh(struct arena *arena, const struct authz_answer *grant,
                   const struct schema_writer *writer, bool accepted,
                   struct transfer_losses *losses_r, struct err *err)
{
    size_t count;
    const struct schema_lossiness *found = schema_writer_lossiness(writer, &count);
    struct buf lost;
    buf_init(&lost, NAMES_BYTES_MAX);
    *losses_r =
        (struct transfer_losses){ .items = arena_array(arena, count, sizeof *losses_r->items) };
    for (size_t i = 0; i < count; i++) {
        if (found[i].kind == FILLED || found[i].kind == LOSSLESS ||
            moved_field(grant, found[i].name) == NULL)
            continue;
        losses_r->items[losses_r->count++] = copy_of(arena, &found[i]);
        if (found[i].kind != CANONICAL_LOSSLESS)
            add_name(&lost, found[i].name);
    }
    bool refused = lost.len > 0 && !accepted;
    if (refused)
        (void)err_set(
            err, ERR_FAILED_PRECONDITION, "FIELDS_LOST",
            "the target's table does not keep %s; name the fields to copy, or accept the loss "
            "with accept_lossy",
            buf_cstr(&lost));
    buf_fini(&lost);
    return refused ? -1 : 0;
}
