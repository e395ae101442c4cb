#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/internal.h"

/* libpq resolves names with a blocking getaddrinfo; here libevent's resolver does it first. It
 * reads /etc/hosts and /etc/resolv.conf anew for each attempt, so that a repaired file needs no
 * restart. */
struct lookup {
    struct resolve *resolve;
    struct endpoint found[ADDRESSES_MAX];
    int count;
    const struct target *target;
    struct evdns_getaddrinfo_request *request;
};

struct resolve {
    struct conn *conn; /* NULL: abandoned; only the memory is waited for */
    struct loop *loop;
    resolve_fn done;
    struct evdns_base *dns;
    struct arena arena;
    struct lookup lookups[TARGETS_MAX];
    int lookup_count;
    int pending; /* lookups under way, and one while resolve_start runs */
};

static void destroy(void *object)
{
    struct resolve *resolve = object;
    if (resolve->dns != NULL)
        evdns_base_free(resolve->dns, 0);
    arena_fini(&resolve->arena);
    free(resolve);
}

static void finish_one(struct resolve *resolve)
{
    if (--resolve->pending > 0)
        return;
    loop_destroy_later(resolve->loop, destroy, resolve);
    struct conn *conn = resolve->conn;
    if (conn == NULL)
        return;
    struct endpoint endpoints[ENDPOINTS_MAX];
    int count = 0;
    for (int i = 0; i < resolve->lookup_count; i++)
        for (int k = 0; k < resolve->lookups[i].count; k++)
            endpoints[count++] = resolve->lookups[i].found[k];
    conn->resolve = NULL;
    resolve->done(conn, endpoints, count);
}

static void take_addresses(struct lookup *lookup, const struct evutil_addrinfo *list)
{
    for (; list != NULL && lookup->count < ADDRESSES_MAX; list = list->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST) != 0)
            continue;
        lookup->found[lookup->count++] =
            (struct endpoint){ lookup->target->host, arena_strdup(&lookup->resolve->arena, text),
                               lookup->target->port };
    }
}

static void on_answer(int status, struct evutil_addrinfo *list, void *arg)
{
    struct lookup *lookup = arg;
    lookup->request = NULL;
    if (status == 0 && lookup->resolve->conn != NULL)
        take_addresses(lookup, list);
    if (list != NULL)
        evutil_freeaddrinfo(list);
    finish_one(lookup->resolve);
}

static struct evdns_base *open_dns(struct event_base *base)
{
    struct evdns_base *dns =
        evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns == NULL) {
        /* No usable resolv.conf: the hosts file still names machines. */
        dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (dns == NULL)
            abort();
        (void)evdns_base_load_hosts(dns, "/etc/hosts");
    }
    return dns;
}

static void look_up(struct resolve *resolve, struct lookup *lookup)
{
    if (resolve->dns == NULL)
        resolve->dns = open_dns(loop_event_base(resolve->loop));
    struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    resolve->pending++;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(resolve->dns, lookup->target->host, NULL, &hints, on_answer, lookup);
    /* NULL: on_answer has run already and `lookup` must not be marked as waiting. */
    if (request != NULL)
        lookup->request = request;
}

void resolve_start(struct conn *conn, const struct conninfo *info, resolve_fn done)
{
    struct resolve *resolve = mem_zero(sizeof *resolve);
    resolve->conn = conn;
    resolve->loop = conn->source->loop;
    resolve->done = done;
    resolve->pending = 1;
    resolve->lookup_count = info->target_count;
    arena_init(&resolve->arena);
    conn->resolve = resolve;
    for (int i = 0; i < info->target_count; i++) {
        const struct target *target = &info->targets[i];
        struct lookup *lookup = &resolve->lookups[i];
        lookup->resolve = resolve;
        lookup->target = target;
        if (target->lookup)
            look_up(resolve, lookup);
        else
            lookup->found[lookup->count++] =
                (struct endpoint){ target->host, target->hostaddr, target->port };
    }
    finish_one(resolve);
}

void resolve_abandon(struct resolve **resolve)
{
    if (*resolve == NULL)
        return;
    (*resolve)->conn = NULL;
    for (int i = 0; i < (*resolve)->lookup_count; i++)
        if ((*resolve)->lookups[i].request != NULL)
            evdns_getaddrinfo_cancel((*resolve)->lookups[i].request);
    *resolve = NULL;
}
