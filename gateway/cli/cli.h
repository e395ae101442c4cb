/* The `sluice` command: officers and operators call the gateway's own RPCs with it.
 * Ownership: `struct cli` lives for one run and borrows argv and the environment.
 * Never calls back; every command runs to its end.
 * Limits: CLI_OPTIONS_MAX options a command, CLI_ARGS_MAX words a command line.
 * Does not hold state between runs; writes files only into a folder that --out names. */
#ifndef SLUICE_CLI_CLI_H
#define SLUICE_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/messages.h"
#include "cli/options.h"
#include "cli/output.h"

/* Documented in `sluice --help` and docs/cli.md; scripts depend on them. */
enum cli_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* refused or failed by the gateway, or a check found a fault */
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_DENIED = 4,
    EXIT_UNAVAILABLE = 5, /* try again later */
    EXIT_QUARANTINED = 6, /* verify: inconclusive */
    EXIT_MISMATCH = 1,    /* of verify, as diff and grep do */
    EXIT_TROUBLE = 7,     /* of verify, what EXIT_FAILED is elsewhere */
};

enum { CLI_OPTIONS_MAX = 20, CLI_ARGS_MAX = 64 };

struct cli;

struct cli_command {
    const char *group; /* "catalog", or NULL for a command of one word */
    const char *name;
    const char *operands; /* as shown in the usage line, "" when it takes none */
    size_t operands_min;
    size_t operands_max;
    enum message_id summary;
    enum message_id help;
    bool remote;  /* calls the gateway */
    bool officer; /* prefers SLUICE_OFFICER_* */
    int (*run)(struct cli *cli);
    enum cli_option options[CLI_OPTIONS_MAX]; /* ends with OPT_NONE */
};

struct cli {
    const struct cli_command *command;
    const char *options[OPT_COUNT]; /* NULL: not given; flags hold "" */
    const char *operands[CLI_ARGS_MAX];
    size_t operand_count;
    enum output_format format;
};

/* Answers the exit status. */
int cli_main(int argc, char **argv);

/* All commands in the order of the help; `index` from 0, NULL behind the last. */
const struct cli_command *cli_command_at(size_t index);

/* --- for the command files ------------------------------------------------------------------- */
/* The value of an option, or `fallback` when it was not given. */
const char *cli_option_text(const struct cli *cli, enum cli_option option, const char *fallback);
bool cli_option_set(const struct cli *cli, enum cli_option option);
/* A whole number between min and max. False after a usage complaint. */
bool cli_option_number(const struct cli *cli, enum cli_option option, long min, long max,
                       long fallback, long *value_r);
/* A decimal number from 0. False after a usage complaint. */
bool cli_option_decimal(const struct cli *cli, enum cli_option option, double fallback,
                        double *value_r);
/* False after a usage complaint when the option is missing or empty. */
bool cli_option_required(const struct cli *cli, enum cli_option option);
/* A non-empty environment variable, or NULL. */
const char *cli_environment(const char *name);

/* Writes "sluice: <message>" to standard error. The %s of the message take `args`, in order. */
void cli_complain(enum message_id id, const char *const *args, size_t count);
#define COMPLAIN(id_, ...)                                                                         \
    cli_complain(id_, &(const char *const[]){ NULL, __VA_ARGS__ }[1],                              \
                 sizeof((const char *const[]){ NULL, __VA_ARGS__ }) / sizeof(char *) - 1)
/* The same without the prefix, for notes that are no complaint. */
void cli_note(enum message_id id, const char *const *args, size_t count);
#define NOTE(id_, ...)                                                                             \
    cli_note(id_, &(const char *const[]){ NULL, __VA_ARGS__ }[1],                                  \
             sizeof((const char *const[]){ NULL, __VA_ARGS__ }) / sizeof(char *) - 1)
/* Complains with a hint at `--help` of the running command; answers EXIT_USAGE. */
int cli_usage(const struct cli *cli, enum message_id id, const char *argument);

/* A writer on standard output in the format the caller asked for. */
struct output *cli_output(const struct cli *cli);
/* Ends the writer; answers `status`, or EXIT_FAILED after a complaint when writing failed. */
int cli_output_end(struct output **output, int status);

/* --- command groups, one file each ----------------------------------------------------------- */
int catalog_list(struct cli *cli);
int catalog_show(struct cli *cli);
int catalog_drift(struct cli *cli);
int catalogue_entries(struct cli *cli);
int catalogue_entry(struct cli *cli);
int catalogue_import(struct cli *cli);
int catalogue_export(struct cli *cli);
int catalogue_overlaps(struct cli *cli);
int catalogue_step(struct cli *cli);
int exchange_lookup(struct cli *cli);
int exchange_query(struct cli *cli);
int verify_run(struct cli *cli);
int transfer_create(struct cli *cli);
int transfer_list(struct cli *cli);
int transfer_show(struct cli *cli);
int transfer_watch(struct cli *cli);
int transfer_pause(struct cli *cli);
int transfer_resume(struct cli *cli);
int transfer_cancel(struct cli *cli);
int transfer_verify(struct cli *cli);
int agreement_grant(struct cli *cli);
int agreement_list(struct cli *cli);
int agreement_show(struct cli *cli);
int agreement_explain(struct cli *cli);
int agreement_revoke(struct cli *cli);
int application_request(struct cli *cli);
int application_step(struct cli *cli);
int application_list(struct cli *cli);
int application_show(struct cli *cli);
int application_policy(struct cli *cli);
int application_due(struct cli *cli);
int application_scorecard(struct cli *cli);
int calendar_check(struct cli *cli);
int calendar_load(struct cli *cli);
int calendar_list(struct cli *cli);
int audit_tail(struct cli *cli);
int audit_checkpoint(struct cli *cli);
int schema_check(struct cli *cli);
int schema_infer(struct cli *cli);
int schema_preview(struct cli *cli);
int schema_diff(struct cli *cli);
int schema_grants(struct cli *cli);
int schema_docs(struct cli *cli);
int quality_assess(struct cli *cli);
int quality_report(struct cli *cli);
int quality_compare(struct cli *cli);
int quality_quarantine(struct cli *cli);
int quality_view(struct cli *cli);
int quality_replay(struct cli *cli);
int audit_export(struct cli *cli);
int audit_verify(struct cli *cli);
int audit_evidence(struct cli *cli);
int audit_timestamp(struct cli *cli);
int audit_policy_print(struct cli *cli);
int audit_rotate(struct cli *cli);
int audit_announce(struct cli *cli);
int audit_search(struct cli *cli);
int audit_filter(struct cli *cli);
int audit_statistics(struct cli *cli);
int audit_opening(struct cli *cli);
int audit_erasure(struct cli *cli);
int audit_hold(struct cli *cli);
int audit_archive(struct cli *cli);
int audit_restore(struct cli *cli);
int check_config(struct cli *cli);
int schema_lossiness(struct cli *cli);
int schema_publish(struct cli *cli);
int schema_approve(struct cli *cli);
int schema_status(struct cli *cli);
int doctor_run(struct cli *cli);
int control_init(struct cli *cli);
int control_migrate(struct cli *cli);
int department_add(struct cli *cli);
int department_list(struct cli *cli);
int officer_add(struct cli *cli);
int officer_list(struct cli *cli);
int officer_disable(struct cli *cli);
int completion_print(struct cli *cli);
int version_print(struct cli *cli);

#endif
