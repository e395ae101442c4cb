/* The manual of the configuration, made from the option table: docs/configuration.md.
 * Owns nothing.
 * Never calls back. No limits. `make lint` compares the committed page with what this prints. */
#ifndef SLUICE_DAEMON_MANUAL_H
#define SLUICE_DAEMON_MANUAL_H

#include <stdio.h>

void manual_print(FILE *out);

#endif
