#include "authz/officer.h"

#include <assert.h>
#include <string.h>

static const struct role {
    enum officer_role role;
    const char *name;
} roles[] = {
    { OFFICER_REQUESTER, "requester" },
    { OFFICER_APPROVER, "approver" },
    { OFFICER_AUDITOR, "auditor" },
    { OFFICER_ADMINISTRATOR, "administrator" },
};
enum { ROLES = sizeof roles / sizeof roles[0] };

const char *officer_role_name(enum officer_role role)
{
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].role == role)
            return roles[i].name;
    assert(!"one role");
    return "";
}

static unsigned parse_one(const char *text, size_t len)
{
    for (size_t i = 0; i < ROLES; i++)
        if (strlen(roles[i].name) == len && memcmp(roles[i].name, text, len) == 0)
            return roles[i].role;
    return 0;
}

unsigned officer_roles_parse(const char *text, size_t len)
{
    unsigned found = 0;
    while (len > 0) {
        const char *comma = memchr(text, ',', len);
        size_t word = comma != NULL ? (size_t)(comma - text) : len;
        found |= parse_one(text, word);
        text += word + (comma != NULL);
        len -= word + (comma != NULL);
    }
    return found;
}
