#include "cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli/help.h"
#include "cli/text.h"

enum { SUGGESTIONS_MAX = 64 };

/* --- environment and options --------------------------------------------------------------------
 */
const char *cli_environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *cli_option_text(const struct cli *cli, enum cli_option option, const char *fallback)
{
    return cli->options[option] != NULL ? cli->options[option] : fallback;
}

bool cli_option_set(const struct cli *cli, enum cli_option option)
{
    return cli->options[option] != NULL;
}

bool cli_option_required(const struct cli *cli, enum cli_option option)
{
    const char *value = cli->options[option];

    if (value != NULL && value[0] != '\0')
        return true;
    (void)cli_usage(cli, MSG_USAGE_REQUIRED, option_info(option)->name);
    return false;
}

bool cli_option_number(const struct cli *cli, enum cli_option option, long min, long max,
                       long fallback, long *value_r)
{
    const char *text = cli->options[option];
    char *end, low[24], high[24];

    *value_r = fallback;
    if (text == NULL)
        return true;
    errno = 0;
    *value_r = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *value_r >= min && *value_r <= max &&
        text_is_number(text))
        return true;
    snprintf(low, sizeof low, "%ld", min);
    snprintf(high, sizeof high, "%ld", max);
    COMPLAIN(MSG_USAGE_NUMBER, option_info(option)->name, low, high, text);
    return false;
}

bool cli_option_decimal(const struct cli *cli, enum cli_option option, double fallback,
                        double *value_r)
{
    const char *text = cli->options[option];

    *value_r = fallback;
    if (text == NULL)
        return true;
    *value_r = text_is_number(text) ? strtod(text, NULL) : -1;
    if (*value_r >= 0 && isfinite(*value_r))
        return true;
    COMPLAIN(MSG_USAGE_DECIMAL, option_info(option)->name, text);
    return false;
}

/* --- speaking ------------------------------------------------------------------------------------
 */
void cli_complain(enum message_id id, const char *const *args, size_t count)
{
    char *text = message_fill(id, args, count);

    fflush(stdout);
    fprintf(stderr, "sluice: %s\n", text);
    free(text);
}

void cli_note(enum message_id id, const char *const *args, size_t count)
{
    char *text = message_fill(id, args, count);

    fflush(stdout);
    fprintf(stderr, "%s\n", text);
    free(text);
}

int cli_usage(const struct cli *cli, enum message_id id, const char *argument)
{
    const struct cli_command *command = cli->command;

    cli_complain(id, &argument, argument != NULL ? 1 : 0);
    if (command == NULL)
        NOTE(MSG_SEE_HELP);
    else
        NOTE(MSG_SEE_COMMAND_HELP, command->group != NULL ? command->group : "",
             command->group != NULL ? " " : "", command->name);
    return EXIT_USAGE;
}

struct output *cli_output(const struct cli *cli)
{
    struct output *output = output_new(stdout, cli->format);

    output_set_csv(output, cli_option_set(cli, OPT_CSV_RAW), !cli_option_set(cli, OPT_NO_HEADER));
    output_set_terminal(output, isatty(STDOUT_FILENO) == 1);
    return output;
}

/* A reader that closed the pipe (`| head`) ends us as it ends any filter. */
static void die_of_closed_pipe(void)
{
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

int cli_output_end(struct output **output, int status)
{
    int failed = status == EXIT_OK ? output_finish(*output) : output_flush(*output);
    int cause = output_cause(*output);
    const char *unknown = output_unknown(*output);

    if (cause == EPIPE)
        die_of_closed_pipe();
    if (cause != 0) {
        COMPLAIN(MSG_OUTPUT_FAILED, strerror(cause));
        status = EXIT_FAILED;
    } else if (unknown != NULL) {
        COMPLAIN(MSG_UNKNOWN_COLUMN, unknown);
        status = EXIT_FAILED;
    } else if (failed != 0) {
        status = EXIT_FAILED;
    }
    output_free(output);
    return status;
}

/* --- the command line ------------------------------------------------------------------------ */
static int unknown_option(const struct cli *cli, const char *word)
{
    const char *names[OPT_COUNT], *near;

    for (int i = OPT_NONE + 1; i < OPT_COUNT; i++)
        names[i - 1] = option_info((enum cli_option)i)->name;
    near = text_nearest(word + strspn(word, "-"), names, OPT_COUNT - 1);
    if (near != NULL) {
        COMPLAIN(MSG_USAGE_OPTION_NEAR, word, near);
        return EXIT_USAGE;
    }
    return cli_usage(cli, MSG_USAGE_OPTION, word);
}

/* One word that begins with a dash; `at` moves on when the value is the next word. */
static int parse_option(struct cli *cli, char **argv, int argc, int *at)
{
    const char *word = argv[*at], *value = NULL;
    enum cli_option option;

    if (word[1] == '-') {
        size_t len = strcspn(word + 2, "=");
        option = option_find(word + 2, len);
        if (word[2 + len] == '=')
            value = word + 2 + len + 1;
    } else {
        option = option_find_letter(word[1]);
        if (word[2] != '\0')
            value = word + 2;
    }
    if (option == OPT_NONE)
        return unknown_option(cli, word);
    if (option_info(option)->value == NULL) {
        if (value != NULL)
            return cli_usage(cli, MSG_USAGE_FLAG_VALUE, option_info(option)->name);
        cli->options[option] = "";
        return EXIT_OK;
    }
    if (value == NULL) {
        if (*at + 1 >= argc)
            return cli_usage(cli, MSG_USAGE_NO_VALUE, option_info(option)->name);
        value = argv[++*at];
    }
    cli->options[option] = value;
    return EXIT_OK;
}

static int parse_words(struct cli *cli, int argc, char **argv)
{
    bool only_operands = false;

    for (int i = 1; i < argc; i++) {
        int status = EXIT_OK;

        if (!utf8_valid(argv[i], strlen(argv[i])))
            return cli_usage(cli, MSG_USAGE_UTF8, argv[i]);
        if (!only_operands && strcmp(argv[i], "--") == 0)
            only_operands = true;
        else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0')
            status = parse_option(cli, argv, argc, &i);
        else if (cli->operand_count == CLI_ARGS_MAX)
            status = cli_usage(cli, MSG_USAGE_TOO_MANY, argv[i]);
        else
            cli->operands[cli->operand_count++] = argv[i];
        if (status != EXIT_OK)
            return status;
    }
    return EXIT_OK;
}

static void drop_operands(struct cli *cli, size_t count)
{
    cli->operand_count -= count;
    memmove(cli->operands, cli->operands + count, cli->operand_count * sizeof *cli->operands);
}

static int unknown_command(const struct cli *cli, const char *group, const char *word)
{
    const char *names[SUGGESTIONS_MAX], *near;
    const struct cli_command *c;
    size_t count = 0;

    for (size_t i = 0; (c = cli_command_at(i)) != NULL && count < SUGGESTIONS_MAX; i++)
        if (group == NULL || (c->group != NULL && strcmp(c->group, group) == 0))
            names[count++] = group != NULL || c->group == NULL ? c->name : c->group;
    near = text_nearest(word, names, count);
    if (near != NULL) {
        COMPLAIN(MSG_USAGE_COMMAND_NEAR, word, near);
        return EXIT_USAGE;
    }
    return cli_usage(cli, MSG_USAGE_COMMAND, word);
}

/* Finds the command and leaves its operands. A group alone, or nothing, asks for help. */
static int find_command(struct cli *cli)
{
    const char *first = cli->operand_count > 0 ? cli->operands[0] : NULL;
    const char *second = cli->operand_count > 1 ? cli->operands[1] : NULL;
    const struct cli_command *c;
    bool group_known = false;

    if (first == NULL)
        return EXIT_OK;
    for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
        bool group = c->group != NULL && strcmp(c->group, first) == 0;

        group_known = group_known || group;
        if ((c->group == NULL && strcmp(c->name, first) == 0) ||
            (group && second != NULL && strcmp(c->name, second) == 0)) {
            cli->command = c;
            drop_operands(cli, group ? 2 : 1);
            return EXIT_OK;
        }
    }
    if (group_known && second == NULL)
        return EXIT_OK;
    return group_known ? unknown_command(cli, first, second) : unknown_command(cli, NULL, first);
}

static bool takes_option(const struct cli_command *command, enum cli_option option)
{
    if (option_global(option))
        return true;
    for (size_t i = 0; i < CLI_OPTIONS_MAX && command->options[i] != OPT_NONE; i++)
        if (command->options[i] == option)
            return true;
    return false;
}

static int check_command(const struct cli *cli)
{
    const struct cli_command *command = cli->command;

    for (int i = OPT_NONE + 1; i < OPT_COUNT; i++)
        if (cli->options[i] != NULL && !takes_option(command, (enum cli_option)i))
            return cli_usage(cli, MSG_USAGE_FOREIGN_OPTION, option_info((enum cli_option)i)->name);
    if (cli->operand_count < command->operands_min)
        return cli_usage(cli, MSG_USAGE_TOO_FEW, command->operands);
    if (cli->operand_count > command->operands_max)
        return cli_usage(cli, MSG_USAGE_TOO_MANY, cli->operands[command->operands_max]);
    return EXIT_OK;
}

/* --lang, else the locale's variables in their order of weight (POSIX: LC_ALL, LC_MESSAGES, LANG).
 */
static int choose_language(const struct cli *cli)
{
    static const char *const variables[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    const char *wanted = cli_option_text(cli, OPT_LANG, NULL);

    if (wanted != NULL && strcmp(wanted, "en") != 0 && strcmp(wanted, "zh") != 0)
        return cli_usage(cli, MSG_USAGE_LANG, wanted);
    for (size_t i = 0; i < 3 && wanted == NULL; i++)
        wanted = cli_environment(variables[i]);
    messages_set_language(wanted != NULL && strncmp(wanted, "zh", 2) == 0 ? LANGUAGE_ZH
                                                                          : LANGUAGE_EN);
    return EXIT_OK;
}

static int run(struct cli *cli)
{
    const char *format = cli_option_text(cli, OPT_FORMAT, "table");
    int status = find_command(cli);

    if (status != EXIT_OK)
        return status;
    if (cli_option_set(cli, OPT_HELP) || cli->command == NULL)
        return help_print(cli);
    if (!output_format_parse(format, &cli->format))
        return cli_usage(cli, MSG_USAGE_FORMAT, format);
    status = check_command(cli);
    return status == EXIT_OK ? cli->command->run(cli) : status;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = { 0 };
    int parsed, status;

    setlocale(LC_CTYPE, ""); /* not LC_NUMERIC: numbers on the wire have a point */
    signal(SIGPIPE, SIG_IGN);
    (void)choose_language(&cli); /* for complaints before --lang is read */
    curl_global_init(CURL_GLOBAL_DEFAULT);
    parsed = parse_words(&cli, argc, argv);
    status = choose_language(&cli);
    if (parsed != EXIT_OK || status != EXIT_OK)
        status = parsed != EXIT_OK ? parsed : status;
    else
        status = run(&cli);
    curl_global_cleanup();
    return status;
}

int version_print(struct cli *cli)
{
    (void)cli;
    return printf("sluice %s\n", SLUICE_VERSION) < 0 ? EXIT_FAILED : EXIT_OK;
}
