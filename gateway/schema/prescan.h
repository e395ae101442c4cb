/* Checks protobuf bytes from outside against their descriptor before protobuf-c sees them.
 * Owns nothing; never calls back.
 * Limits: PRESCAN_DEPTH_MAX nested messages, PRESCAN_ELEMENTS_MAX fields and packed or repeated
 *   elements in all, lengths inside their parent, strings valid UTF-8, no groups, field numbers
 *   1..536870911, wire types as declared (unknown fields are skipped but counted).
 * Does not check what values mean. */
#ifndef SLUICE_SCHEMA_PRESCAN_H
#define SLUICE_SCHEMA_PRESCAN_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct schema_message;

enum {
    PRESCAN_DEPTH_MAX = 64,       /* protobuf-c recurses without a limit and dies near 10,000 */
    PRESCAN_ELEMENTS_MAX = 65536, /* 4 MiB of empty map entries would become 112 MiB of objects */
};

/* 0, or -1 with INVALID_ARGUMENT and reason MESSAGE_MALFORMED, MESSAGE_TOO_DEEP,
 * MESSAGE_TOO_MANY_ELEMENTS or MESSAGE_NOT_UTF8; the text names the field path where it is known.
 */
int schema_prescan(const struct schema_message *message, const uint8_t *data, size_t len,
                   struct err *err);

#endif
