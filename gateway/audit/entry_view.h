/* An entry, and the agreement it names, as texts for people and programs: JSON and HTML.
 * Ownership: output goes to the caller's buffer.
 * Never calls back.
 * Limits: the buffer's ceiling.
 * Does not prove anything. The same bytes give the same text, so that a checker can make it again
 *   and compare; everything that stands in an entry is escaped. */
#ifndef SLUICE_AUDIT_ENTRY_VIEW_H
#define SLUICE_AUDIT_ENTRY_VIEW_H

#include <stdint.h>

#include "base/buf.h"

/* -1: the leaf is not an entry, or over the ceiling of `out`. */
int entry_view_json(struct slice leaf, uint64_t index, struct buf *out);
/* `agreement` is the serialised agreement, or empty. */
int entry_view_html(struct slice leaf, uint64_t index, struct slice agreement, struct buf *out);
/* -1: the bytes are no agreement. */
int entry_view_agreement(struct slice agreement, struct buf *out);

#endif
