/* sluiced: the command line, then one of the processes. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "daemon/manual.h"
#include "daemon/process.h"

static const char usage[] =
    "Usage: sluiced --config FILE\n"
    "\n"
    "The Sluice gateway. Stays in the foreground and logs to standard error.\n"
    "数闸网关：前台运行，日志写到标准错误。\n"
    "\n"
    "  --config FILE      configuration, YAML (see docs/configuration.md)\n"
    "  --check            read the configuration, say whether it is valid, and end\n"
    "  --manual           print the manual of all options as Markdown, and end\n"
    "  --version          print the version, and end\n"
    "  --help             print this, and end\n"
    "\n"
    "Signals: SIGTERM drains and ends; SIGHUP starts a new generation from the files on disk;\n"
    "SIGUSR2 replaces the master itself by the binary on disk, then does the same.\n"
    "Exit status: 0 ended by request, 64 usage, 78 configuration refused.\n";

enum {
    EXIT_USAGE_ERROR = 64,
    OPT_CONFIG = 256,
    OPT_CHECK,
    OPT_MANUAL,
    OPT_VERSION,
    OPT_HELP,
    OPT_ROLE,
    OPT_SLOT,
    OPT_GENERATION,
    OPT_CONTROL_FD,
    OPT_SYSTEMS_FD,
    OPT_OFFICERS_FD,
    OPT_OPS_FD,
    OPT_SCHEMA,
    OPT_STATE_FD,
    OPT_CHECK_STATE_FD,
};

static const struct option long_options[] = {
    { "config", required_argument, NULL, OPT_CONFIG },
    { "check", no_argument, NULL, OPT_CHECK },
    { "manual", no_argument, NULL, OPT_MANUAL },
    { "version", no_argument, NULL, OPT_VERSION },
    { "help", no_argument, NULL, OPT_HELP },
    /* Given by the master to its children only. */
    { "role", required_argument, NULL, OPT_ROLE },
    { "slot", required_argument, NULL, OPT_SLOT },
    { "generation", required_argument, NULL, OPT_GENERATION },
    { "control-fd", required_argument, NULL, OPT_CONTROL_FD },
    { "systems-fd", required_argument, NULL, OPT_SYSTEMS_FD },
    { "officers-fd", required_argument, NULL, OPT_OFFICERS_FD },
    { "ops-fd", required_argument, NULL, OPT_OPS_FD },
    { "schema", required_argument, NULL, OPT_SCHEMA },
    /* Given by a master to the binary it is to be replaced by. */
    { "state-fd", required_argument, NULL, OPT_STATE_FD },
    { "check-state-fd", required_argument, NULL, OPT_CHECK_STATE_FD },
    { NULL, 0, NULL, 0 },
};

/* The name under which a reload finds the binary on disk again, a replaced one included. */
static const char *program_path(void)
{
    static char path[4096];
    static const char deleted[] = " (deleted)";
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return "/usr/sbin/sluiced";
    path[len] = '\0';
    size_t suffix = sizeof deleted - 1;
    if ((size_t)len > suffix && strcmp(path + len - (ssize_t)suffix, deleted) == 0)
        path[(size_t)len - suffix] = '\0';
    return path;
}

static int check_config(const char *file)
{
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(file, &err);
    if (conf == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_CONFIG;
    }
    conf_free(&conf);
    (void)printf("%s: valid\n", file);
    return 0;
}

/* Answers the exit status, or -1 to go on. */
static int take_option(int option, struct process_options *options, bool *check)
{
    switch (option) {
    case OPT_CONFIG:
        options->config_file = optarg;
        return -1;
    case OPT_CHECK:
        *check = true;
        return -1;
    case OPT_MANUAL:
        manual_print(stdout);
        return 0;
    case OPT_VERSION:
        (void)printf("sluiced %s\n", SLUICE_VERSION);
        return 0;
    case OPT_HELP:
        (void)fputs(usage, stdout);
        return 0;
    case OPT_ROLE:
        options->role = strcmp(optarg, "worker") == 0    ? ROLE_WORKER
                        : strcmp(optarg, "auditor") == 0 ? ROLE_AUDITOR
                        : strcmp(optarg, "mover") == 0   ? ROLE_MOVER
                                                         : ROLE_MASTER;
        return -1;
    case OPT_SLOT:
        options->slot = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_GENERATION:
        options->generation = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_CONTROL_FD:
        options->control_fd = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_SYSTEMS_FD:
        options->systems_fd = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_OFFICERS_FD:
        options->officers_fd = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_OPS_FD:
        options->ops_fd = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_SCHEMA:
        options->schema = optarg;
        return -1;
    case OPT_STATE_FD:
        options->state_fd = (int)strtol(optarg, NULL, 10);
        return -1;
    case OPT_CHECK_STATE_FD:
        options->state_fd = (int)strtol(optarg, NULL, 10);
        *check = true;
        return -1;
    default:
        (void)fputs(usage, stderr);
        return EXIT_USAGE_ERROR;
    }
}

/* Each connection is a descriptor: take what the system allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct process_options options = { .role = ROLE_MASTER,
                                       .control_fd = -1,
                                       .systems_fd = -1,
                                       .officers_fd = -1,
                                       .ops_fd = -1,
                                       .state_fd = -1,
                                       .program = program_path() };
    bool check = false;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        int status = take_option(option, &options, &check);
        if (status >= 0)
            return status;
    }
    if (options.config_file == NULL || optind != argc) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE_ERROR;
    }
    if (check && options.state_fd >= 0)
        return master_check_state(&options);
    if (check)
        return check_config(options.config_file);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    switch (options.role) {
    case ROLE_WORKER:
        return worker_main(&options);
    case ROLE_AUDITOR:
        return auditor_main(&options);
    case ROLE_MOVER:
        return mover_main(&options);
    case ROLE_MASTER:
        break;
    }
    return master_main(&options);
}
