/* Listening addresses as people write them: "127.0.0.1:8443", "[::1]:8443".
 * Ownership: plain values.
 * Never calls back.
 * Limits: numeric only; a listener must not wait for a resolver.
 * Does not open sockets. */
#ifndef SLUICE_BASE_ADDRESS_H
#define SLUICE_BASE_ADDRESS_H

#include <sys/socket.h>

/* Length of the socket address, or 0 when the text is no address and port. */
socklen_t address_parse(const char *text, struct sockaddr_storage *address_r);

#endif
