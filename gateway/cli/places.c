#include "cli/places.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"

char *places_schemas(void)
{
    const char *given = cli_environment("SLUICE_SCHEMAS");
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    if (given != NULL)
        return mem_strdup(given);
    if (len > 0) {
        self[len] = '\0';
        for (int up = 0; up < 2; up++) { /* off comes "/sluice", then "/bin" */
            char *slash = strrchr(self, '/');
            if (slash != NULL)
                *slash = '\0';
        }
        char *installed = mem_format("%s/share/sluice/schemas", self);
        if (access(installed, R_OK) == 0)
            return installed;
        free(installed);
    }
    return mem_strdup("schemas");
}

char *places_migrations(void)
{
    char *schemas = places_schemas();
    char *control = mem_format("%s/control", schemas);

    free(schemas);
    return control;
}

char *places_descriptors(const char *given, const char *dir)
{
    char *file;

    if (given != NULL)
        return mem_strdup(given);
    file = mem_format("%s/canonical.pb", dir);
    if (access(file, R_OK) != 0 && access("build/schemas/canonical.pb", R_OK) == 0) {
        free(file);
        file = mem_strdup("build/schemas/canonical.pb");
    }
    return file;
}
