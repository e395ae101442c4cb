#include "services/timestamps.h"

Google__Protobuf__Timestamp *timestamp_from_us(struct arena *arena, int64_t us)
{
    if (us == 0)
        return NULL;
    Google__Protobuf__Timestamp *timestamp = arena_alloc(arena, sizeof *timestamp);
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = us / 1000000;
    timestamp->nanos = (int32_t)(us % 1000000) * 1000;
    return timestamp;
}

int64_t timestamp_us(const Google__Protobuf__Timestamp *timestamp)
{
    return timestamp != NULL ? timestamp->seconds * 1000000 + timestamp->nanos / 1000 : 0;
}
