/* Reads sluice.options from a field's descriptor; private to schema/.
 * Ownership: texts are copied into the arena given.
 * Never calls back.
 * Limits: a label of OPTION_TEXT_BYTES_MAX.
 * Does not check that message_type_from names a field: the loader does, when all fields are known.
 */
#ifndef SLUICE_SCHEMA_DESCRIPTOR_OPTIONS_H
#define SLUICE_SCHEMA_DESCRIPTOR_OPTIONS_H

#include "base/arena.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "schema/descriptor.h"

enum { OPTION_TEXT_BYTES_MAX = 512 };

/* -1 with DESCRIPTOR_INVALID when an option has the wrong wire type or an unknown value: reading a
 * sensitivity as "none" because it is newer than this gateway would open the field. */
int schema_field_options(struct arena *arena, const char *owner,
                         const Google__Protobuf__FieldDescriptorProto *proto,
                         struct schema_field *field, struct err *err);

#endif
