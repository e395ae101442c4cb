#include "cli/help.h"

#include <string.h>

#include "base/utf8.h"
#include "cli/cli.h"

enum { NAME_COLUMNS = 34 };

/* At least two blanks, so that a wide name and its text stay apart for people and for programs. */
static void pad(FILE *out, size_t used, size_t width)
{
    fputs("  ", out);
    for (used += 2; used < width; used++)
        fputc(' ', out);
}

static void print_option(FILE *out, enum cli_option option)
{
    const struct cli_option_info *info = option_info(option);
    int used = info->letter != 0 ? fprintf(out, "  -%c, --%s", info->letter, info->name)
                                 : fprintf(out, "  --%s", info->name);

    if (info->value != NULL)
        used += fprintf(out, " %s", info->value);
    pad(out, (size_t)used, NAME_COLUMNS + 2);
    fprintf(out, "%s\n", message(info->help));
}

/* A command that works without the gateway has no use for its address. */
static void print_globals(FILE *out, bool remote)
{
    fprintf(out, "\n%s\n", message(MSG_HELP_GLOBAL_OPTIONS));
    for (int i = OPT_NONE + 1; i <= OPT_GLOBAL_LAST; i++)
        if (remote || i == OPT_FORMAT || i == OPT_LANG || i == OPT_HELP)
            print_option(out, (enum cli_option)i);
}

static void print_command_line(FILE *out, const struct cli_command *c)
{
    int used = c->group != NULL ? fprintf(out, "  %s %s", c->group, c->name)
                                : fprintf(out, "  %s", c->name);

    if (c->operands[0] != '\0')
        used += fprintf(out, " %s", c->operands);
    pad(out, (size_t)used, NAME_COLUMNS + 2);
    fprintf(out, "%s\n", message(c->summary));
}

static void print_command(FILE *out, const struct cli_command *c)
{
    fprintf(out, "%s sluice %s%s%s%s%s %s\n\n%s\n\n%s\n", message(MSG_HELP_USAGE),
            c->group != NULL ? c->group : "", c->group != NULL ? " " : "", c->name,
            c->operands[0] != '\0' ? " " : "", c->operands, message(MSG_HELP_OPTIONS_WORD),
            message(c->summary), message(c->help));
    if (c->options[0] != OPT_NONE)
        fprintf(out, "\n%s\n", message(MSG_HELP_OPTIONS));
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i] != OPT_NONE; i++)
        print_option(out, c->options[i]);
    print_globals(out, c->remote);
}

static void print_group(FILE *out, const char *group)
{
    const struct cli_command *c;

    fprintf(out, "%s\n", message(MSG_HELP_COMMANDS));
    for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
        if (group == NULL || (c->group != NULL && strcmp(c->group, group) == 0))
            print_command_line(out, c);
}

static void print_all(FILE *out)
{
    fprintf(out, "%s\n\n", message(MSG_HELP_INTRO));
    print_group(out, NULL);
    print_globals(out, true);
    fprintf(out, "\n%s\n\n%s\n", message(MSG_HELP_ENVIRONMENT), message(MSG_HELP_EXIT));
}

int help_print(const struct cli *cli)
{
    const char *group = cli->operand_count > 0 ? cli->operands[0] : NULL;
    bool asked = cli_option_set(cli, OPT_HELP) || group != NULL;
    FILE *out = asked ? stdout : stderr;

    if (cli->command != NULL)
        print_command(out, cli->command);
    else if (group != NULL)
        print_group(out, group);
    else
        print_all(out);
    return fflush(out) != 0 ? EXIT_FAILED : asked ? EXIT_OK : EXIT_USAGE;
}
