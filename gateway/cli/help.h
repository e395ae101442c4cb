/* `--help` in both languages, made from the tables of commands and options.
 * Owns nothing.
 * Never calls back.
 * Limits: a help page is a text in messages.c and two tables.
 * Does not parse (cli.c). */
#ifndef SLUICE_CLI_HELP_H
#define SLUICE_CLI_HELP_H

struct cli;

/* Help of the running command; without one, of all. EXIT_OK when it was asked for with --help or as
 * a group, EXIT_USAGE when nothing was asked at all. */
int help_print(const struct cli *cli);

#endif
