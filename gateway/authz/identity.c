#include "authz/identity.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

/* Copies one path segment; answers what follows its '/', or NULL when it is no name. */
static const char *take_name(const char *text, char name_r[IDENTITY_NAME_BYTES])
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.");
    if (len == 0 || len >= IDENTITY_NAME_BYTES)
        return NULL;
    memcpy(name_r, text, len);
    name_r[len] = '\0';
    return text + len;
}

static const char *skip(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text != NULL && strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static bool parse_path(const char *path, struct identity *identity)
{
    const char *rest = skip(path, "/dept/");
    if (rest == NULL || (rest = take_name(rest, identity->department)) == NULL)
        return false;
    const char *name = skip(rest, "/system/");
    identity->kind = IDENTITY_SYSTEM;
    if (name == NULL) {
        name = skip(rest, "/officer/");
        identity->kind = IDENTITY_OFFICER;
    }
    return name != NULL && (name = take_name(name, identity->name)) != NULL && *name == '\0';
}

int identity_from_peer(const char *trust_domain, const struct tls_peer *peer,
                       struct identity *identity_r, struct err *err)
{
    *identity_r = (struct identity){ .kind = IDENTITY_NONE };
    memcpy(identity_r->subject, peer->uri, sizeof identity_r->subject);
    memcpy(identity_r->credential, peer->fingerprint, sizeof identity_r->credential);
    if (peer->uri[0] == '\0')
        return err_set(err, ERR_UNAUTHENTICATED, "IDENTITY_MISSING",
                       "the client certificate needs exactly one URI name, a SPIFFE id");
    const char *rest = skip(peer->uri, "spiffe://");
    size_t domain_len = strlen(trust_domain);
    if (rest == NULL || strncmp(rest, trust_domain, domain_len) != 0 || rest[domain_len] != '/')
        return err_set(err, ERR_UNAUTHENTICATED, "IDENTITY_TRUST_DOMAIN",
                       "the client certificate belongs to another trust domain");
    if (!parse_path(rest + domain_len, identity_r)) {
        identity_r->kind = IDENTITY_NONE;
        return err_set(err, ERR_UNAUTHENTICATED, "IDENTITY_INVALID",
                       "the client certificate's SPIFFE id must end in "
                       "/dept/<department>/system/<name> or /dept/<department>/officer/<name>");
    }
    return 0;
}
