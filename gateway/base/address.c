#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535, PORT_DIGITS_MAX = 5 };

static bool parse_port(const char *text, in_port_t *port_r)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long port = strtoul(text, NULL, 10);
    if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] != '\0' || port > PORT_MAX)
        return false;
    *port_r = htons((uint16_t)port);
    return true;
}

socklen_t address_parse(const char *text, struct sockaddr_storage *address_r)
{
    char host[INET6_ADDRSTRLEN];
    bool is_v6 = text[0] == '[';
    const char *begin = is_v6 ? text + 1 : text;
    const char *end = strchr(begin, is_v6 ? ']' : ':');
    *address_r = (struct sockaddr_storage){ 0 };
    if (end == NULL || (size_t)(end - begin) >= sizeof host || (is_v6 && end[1] != ':'))
        return 0;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    const char *port = end + (is_v6 ? 2 : 1);
    if (is_v6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)address_r;
        in6->sin6_family = AF_INET6;
        return parse_port(port, &in6->sin6_port) && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1
                   ? sizeof *in6
                   : 0;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)address_r;
    in->sin_family = AF_INET;
    return parse_port(port, &in->sin_port) && inet_pton(AF_INET, host, &in->sin_addr) == 1
               ? sizeof *in
               : 0;
}
