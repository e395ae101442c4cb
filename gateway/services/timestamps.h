/* google.protobuf.Timestamp and microseconds since 1970, in which the control database's rows count.
 * Ownership: messages lie in the arena given.
 * Never calls back.
 * Limits: times after 1970; nanoseconds below a microsecond are dropped.
 * Does not check what a peer sent, nor read PostgreSQL's own binary times. */
#ifndef SLUICE_SERVICES_TIMESTAMPS_H
#define SLUICE_SERVICES_TIMESTAMPS_H

#include "base/arena.h"
#include "google/protobuf/timestamp.pb-c.h"

/* NULL for 0, by which rows say that there is no time. */
Google__Protobuf__Timestamp *timestamp_from_us(struct arena *arena, int64_t us);
/* 0 for NULL. */
int64_t timestamp_us(const Google__Protobuf__Timestamp *timestamp);

#endif
