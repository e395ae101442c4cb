#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/internal.h"

enum { OWN_KEYS = 12 };

/* Handled apart, or ours to decide whatever the operator wrote. */
static bool is_own_key(const char *key)
{
    static const char *const own[] = {
        "host",       "hostaddr",        "port",           "options", "application_name",
        "gssencmode", "client_encoding", "connect_timeout"
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(key, own[i]) == 0)
            return true;
    return false;
}

static const char *value_of(const PQconninfoOption *options, const char *key)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (strcmp(option->keyword, key) == 0)
            return option->val != NULL && option->val[0] != '\0' ? option->val : NULL;
    return NULL;
}

static int count_items(const char *list)
{
    int count = 1;
    for (; *list != '\0'; list++)
        count += *list == ',';
    return count;
}

/* Item `index` of a comma-separated list, NULL when empty or absent. */
static const char *dup_item(struct arena *arena, const char *list, int index)
{
    for (; list != NULL && index > 0; index--) {
        list = strchr(list, ',');
        list = list != NULL ? list + 1 : NULL;
    }
    size_t len = list != NULL ? strcspn(list, ",") : 0;
    return len > 0 ? arena_strndup(arena, list, len) : NULL;
}

static bool is_address(const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static int read_targets(struct conninfo *info, const char *host, const char *hostaddr,
                        const char *port, struct err *err)
{
    int count = hostaddr != NULL ? count_items(hostaddr) : host != NULL ? count_items(host) : 1;
    bool lengths_fit = host == NULL || hostaddr == NULL || count_items(host) == count;
    int ports = port != NULL ? count_items(port) : 1;
    if (count > TARGETS_MAX || !lengths_fit || (ports != 1 && ports != count))
        return err_set(err, ERR_INVALID_ARGUMENT, "CONFIG_INVALID",
                       "conninfo: host, hostaddr and port must name the same hosts, %d at most",
                       TARGETS_MAX);
    info->target_count = count;
    for (int i = 0; i < count; i++) {
        struct target *target = &info->targets[i];
        target->host = dup_item(&info->arena, host, i);
        target->hostaddr = dup_item(&info->arena, hostaddr, i);
        target->port = dup_item(&info->arena, port, ports == 1 ? 0 : i);
        if (target->host == NULL || target->hostaddr != NULL)
            continue;
        bool is_socket = target->host[0] == '/' || target->host[0] == '@';
        if (!is_socket && is_address(target->host))
            target->hostaddr = target->host;
        target->lookup = !is_socket && target->hostaddr == NULL;
    }
    return 0;
}

static void copy_options(struct conninfo *info, const PQconninfoOption *options)
{
    size_t count = 0;
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        count++;
    info->keys = arena_array(&info->arena, count, sizeof *info->keys);
    info->values = arena_array(&info->arena, count, sizeof *info->values);
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL || option->val[0] == '\0' || is_own_key(option->keyword))
            continue;
        info->keys[info->count] = arena_strdup(&info->arena, option->keyword);
        info->values[info->count++] = arena_strdup(&info->arena, option->val);
    }
}

/* PQconninfoFree does not wipe, and a password lies in there. */
static void free_options(PQconninfoOption *options)
{
    for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
        if (option->val != NULL)
            explicit_bzero(option->val, strlen(option->val));
    PQconninfoFree(options);
}

int conninfo_parse(struct conninfo *info, const char *text, struct err *err)
{
    *info = (struct conninfo){ .options = "" };
    arena_init(&info->arena);
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &message);
    /* The message may quote the text, and the text may hold a password: it goes nowhere. */
    PQfreemem(message);
    if (options == NULL)
        return err_set(err, ERR_INVALID_ARGUMENT, "CONFIG_INVALID",
                       "conninfo is not of the form key=value or postgresql://");
    if (value_of(options, "service") != NULL) {
        free_options(options);
        return err_set(err, ERR_INVALID_ARGUMENT, "CONFIG_INVALID",
                       "conninfo: service files are not read; write the settings out");
    }
    copy_options(info, options);
    if (value_of(options, "options") != NULL)
        info->options = arena_strdup(&info->arena, value_of(options, "options"));
    const char *host = value_of(options, "host");
    const char *hostaddr = value_of(options, "hostaddr");
    /* libpq would take a missing host from the environment, and then look the name up blocking. */
    PQconninfoOption *defaults = host == NULL && hostaddr == NULL ? PQconndefaults() : NULL;
    if (defaults != NULL) {
        host = value_of(defaults, "host");
        hostaddr = value_of(defaults, "hostaddr");
    }
    int status = read_targets(info, host, hostaddr, value_of(options, "port"), err);
    free_options(defaults);
    free_options(options);
    return status;
}

void conninfo_fini(struct conninfo *info)
{
    for (int i = 0; i < info->count; i++)
        explicit_bzero((char *)(uintptr_t)info->values[i], strlen(info->values[i]));
    arena_fini(&info->arena);
    *info = (struct conninfo){ 0 };
}

struct parameters {
    const char **keys;
    const char **values;
    int count;
};

static void add(struct parameters *parameters, const char *key, const char *value)
{
    parameters->keys[parameters->count] = key;
    parameters->values[parameters->count++] = value;
}

/* One comma-separated list per connection key, all in the same rotated order. */
static char *join(struct arena *arena, const struct endpoint *endpoints, int count, int first,
                  const char *(*get)(const struct endpoint *))
{
    char *list = NULL;
    bool any = false;
    for (int i = 0; i < count; i++) {
        const char *item = get(&endpoints[(first + i) % count]);
        any = any || item != NULL;
        item = item != NULL ? item : "";
        list = list == NULL ? arena_strdup(arena, item) : arena_format(arena, "%s,%s", list, item);
    }
    return any ? list : NULL;
}

static const char *get_host(const struct endpoint *endpoint)
{
    return endpoint->host;
}

static const char *get_hostaddr(const struct endpoint *endpoint)
{
    return endpoint->hostaddr;
}

static const char *get_port(const struct endpoint *endpoint)
{
    return endpoint->port;
}

PGconn *conninfo_connect(const struct conninfo *info, const struct endpoint *endpoints, int count,
                         int first, const char *startup_options)
{
    struct arena arena;
    arena_init(&arena);
    size_t room = (size_t)info->count + OWN_KEYS + 1;
    struct parameters parameters = { arena_array(&arena, room, sizeof(char *)),
                                     arena_array(&arena, room, sizeof(char *)), 0 };
    /* Our keep-alive settings come first: what the operator wrote overrides them. */
    add(&parameters, "keepalives_idle", "10");
    add(&parameters, "keepalives_interval", "5");
    add(&parameters, "keepalives_count", "3");
    for (int i = 0; i < info->count; i++)
        add(&parameters, info->keys[i], info->values[i]);
    add(&parameters, "host", join(&arena, endpoints, count, first, get_host));
    add(&parameters, "hostaddr", join(&arena, endpoints, count, first, get_hostaddr));
    add(&parameters, "port", join(&arena, endpoints, count, first, get_port));
    add(&parameters, "application_name", "sluice");
    add(&parameters, "gssencmode", "disable");
    add(&parameters, "client_encoding", "UTF8");
    add(&parameters, "options",
        arena_format(&arena, "%s%s%s", info->options, info->options[0] != '\0' ? " " : "",
                     startup_options));
    PGconn *pg = PQconnectStartParams(parameters.keys, parameters.values, 0);
    arena_fini(&arena);
    return pg;
}
