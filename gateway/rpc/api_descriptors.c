/* The descriptor set of proto/, put into the binary by the build. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "rpc/server.h"
#include "schema/descriptor.h"

__asm__(".section .rodata\n"
        ".global sluice_api_descriptors\n"
        ".global sluice_api_descriptors_end\n"
        "sluice_api_descriptors:\n"
        ".incbin \"" API_DESCRIPTOR_FILE "\"\n"
        "sluice_api_descriptors_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const uint8_t sluice_api_descriptors[];
extern const uint8_t sluice_api_descriptors_end[];

const struct schema_set *rpc_api_types(void)
{
    static struct schema_set *set;
    if (set == NULL) {
        struct err err = ERR_INIT;
        set = schema_set_load(sluice_api_descriptors,
                              (size_t)(sluice_api_descriptors_end - sluice_api_descriptors), &err);
        if (set == NULL) {
            log_error(LOG_ERROR, NULL, "api_descriptors_broken", &err);
            abort();
        }
    }
    return set;
}
