/* What a catalogue entry must say before it is written, whatever its state.
 * Ownership: elements lie in the arena given; the content is changed in place.
 * Never calls back.
 * Limits: those of catalogue_rows.h.
 * Does not know who is registered: a source department is asked for by the caller. */
#ifndef SLUICE_SERVICES_CATALOGUE_CHECK_H
#define SLUICE_SERVICES_CATALOGUE_CHECK_H

#include "base/arena.h"
#include "schema/bundle.h"
#include "sluice/v1/catalog.pb-c.h"

struct err;

/* "<department>/<dataset>" of lower-case letters, digits, '-' and, in the second part, '_'. */
bool catalogue_name_valid(const char *name);
/* `dataset`: NULL when the gateway does not serve it. Fills in each item's element. -1 with
 * INVALID_ARGUMENT and "<dataset>: <what to do>": reasons ENTRY_INCOMPLETE, TEXT_TOO_LONG,
 * SHARING_INVALID, SHARING_WIDENED, LEGAL_BASIS_MISSING, LEGAL_BASIS_EXTRA, CONDITIONS_MISSING,
 * CONDITIONS_EXTRA, MODE_INVALID, CYCLE_INVALID, CODE_INVALID, DATE_INVALID, ITEMS_MISSING,
 * ITEM_INVALID, ITEM_TWICE, FIELD_UNKNOWN, GRADE_INVALID, SENSITIVITY_LOWERED. */
int catalogue_check(struct arena *arena, Sluice__V1__CatalogueContent *content,
                    const struct schema_dataset *dataset, struct err *err);
/* True when an item is personal information: an impact assessment is needed. */
bool catalogue_has_personal(const Sluice__V1__CatalogueContent *content);

#endif
