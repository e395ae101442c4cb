/* Types for the schema fuzzers: the gateway's own API, loaded once.
 * Ownership: the set lives as long as the program.
 * Never calls back.
 * Limits: started from the top of the checkout, or with O naming the output folder.
 * Does not report: a set that cannot be loaded aborts. */
#ifndef SLUICE_TESTS_FUZZ_SUPPORT_H
#define SLUICE_TESTS_FUZZ_SUPPORT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "schema/descriptor.h"

enum { FUZZ_SET_BYTES_MAX = 1 << 20 };

/* SCHEMA_SET names another descriptor set than the API's. */
static inline const struct schema_set *fuzz_types(void)
{
    static const struct schema_set *set;
    if (set != NULL)
        return set;
    const char *folder = getenv("O");
    const char *other = getenv("SCHEMA_SET");
    char *path = other != NULL ? mem_strdup(other)
                               : mem_format("%s/gen/api.pb", folder != NULL ? folder : "build");
    FILE *file = fopen(path, "rb");
    uint8_t *data = mem_zero(FUZZ_SET_BYTES_MAX);
    size_t len = file != NULL ? fread(data, 1, FUZZ_SET_BYTES_MAX, file) : 0;
    if (file != NULL)
        (void)fclose(file);
    free(path);
    set = schema_set_load(data, len, NULL);
    free(data);
    if (set == NULL)
        abort();
    return set;
}

/* A message type chosen by the first byte of the input, so that one target covers many. */
static inline const struct schema_message *fuzz_message(uint8_t choice)
{
    static const char *const names[] = {
        "sluice.v1.LookupRequest",
        "sluice.v1.RecordBatch",
        "sluice.v1.LookupResponse",
        "google.rpc.ErrorInfo",
        "google.rpc.Status",
        "sluice.v1.QueryRequest",
        "google.protobuf.Duration",
        "google.protobuf.FieldMask",
        "test.kitchen.Sink",
        "test.kitchen.Maps",
        "test.kitchen.Known",
        "test.kitchen.Lists",
        "test.kitchen.Scalars",
        "test.kitchen.Optionals",
        "test.kitchen.Batch",
        "google.protobuf.Struct",
        "google.protobuf.FileDescriptorSet",
    };
    const struct schema_set *set = fuzz_types();
    const struct schema_message *found =
        schema_set_message(set, names[choice % (sizeof names / sizeof names[0])]);
    return found != NULL ? found : schema_set_message(set, names[choice % 8]);
}

#endif
