/* sluice completion bash|zsh: scripts made from the tables of commands and options.
 * deploy/completion/ holds the same output for packages. */
#include <string.h>

#include "cli/cli.h"

/* Each group once, and each command of one word. */
static void print_first_words(void)
{
    const struct cli_command *c;
    const char *last = "";

    for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
        const char *word = c->group != NULL ? c->group : c->name;
        if (strcmp(word, last) != 0)
            printf("%s%s", i == 0 ? "" : " ", word);
        last = word;
    }
}

static void print_option_words(const struct cli_command *command)
{
    for (size_t i = 0; i < CLI_OPTIONS_MAX && command->options[i] != OPT_NONE; i++)
        printf(" --%s", option_info(command->options[i])->name);
    for (int i = OPT_NONE + 1; i <= OPT_GLOBAL_LAST; i++)
        printf(" --%s", option_info((enum cli_option)i)->name);
}

static void print_groups(const char *format)
{
    const struct cli_command *c, *member;

    for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
        const struct cli_command *before = i > 0 ? cli_command_at(i - 1) : NULL;
        if (c->group == NULL ||
            (before != NULL && before->group != NULL && strcmp(before->group, c->group) == 0))
            continue;
        printf("    %s) %s", c->group, format);
        for (size_t m = i; (member = cli_command_at(m)) != NULL && member->group != NULL &&
                           strcmp(member->group, c->group) == 0;
             m++)
            printf("%s%s", m == i ? "" : " ", member->name);
        puts("\" ;;");
    }
    puts("    completion) subcommands=\"bash zsh\" ;;");
}

static void print_option_cases(void)
{
    const struct cli_command *c;

    for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
        if (c->group != NULL)
            printf("    \"%s %s\") options=\"", c->group, c->name);
        else
            printf("    \"%s \"*) options=\"", c->name);
        print_option_words(c);
        puts("\" ;;");
    }
}

/* Options with a value, by what completes it. */
static void print_value_cases(const char *file, const char *dir, const char *words_begin,
                              const char *words_end)
{
    for (int i = OPT_NONE + 1; i < OPT_COUNT; i++) {
        const struct cli_option_info *info = option_info((enum cli_option)i);
        if (info->value == NULL)
            continue;
        printf("    --%s) ", info->name);
        if (info->words == NULL)
            puts("return ;;");
        else if (strcmp(info->words, "@file") == 0)
            printf("%s; return ;;\n", file);
        else if (strcmp(info->words, "@dir") == 0)
            printf("%s; return ;;\n", dir);
        else
            printf("%s%s%s; return ;;\n", words_begin, info->words, words_end);
    }
}

/* The command's words are the first two that are no option; a value of a global option in front of
 * them only costs the suggestion, never a wrong command. */
static void print_bash(void)
{
    puts("# bash completion for sluice; written by `sluice completion bash`.\n"
         "_sluice() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local first=\"\" second=\"\" word subcommands=\"\" options=\"\"\n"
         "  COMPREPLY=()\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    [[ $word == -* ]] && continue\n"
         "    if [[ -z $first ]]; then first=$word; elif [[ -z $second ]]; then second=$word; fi\n"
         "  done\n"
         "  case $previous in");
    print_value_cases("COMPREPLY=($(compgen -f -- \"$current\"))",
                      "COMPREPLY=($(compgen -d -- \"$current\"))", "COMPREPLY=($(compgen -W \"",
                      "\" -- \"$current\"))");
    printf("  esac\n"
           "  if [[ -z $first && $current != -* ]]; then\n"
           "    COMPREPLY=($(compgen -W \"");
    print_first_words();
    puts("\" -- \"$current\")); return\n"
         "  fi\n"
         "  case $first in");
    print_groups("subcommands=\"");
    puts("  esac\n"
         "  if [[ -n $subcommands && -z $second && $current != -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$subcommands\" -- \"$current\")); return\n"
         "  fi\n"
         "  case \"$first $second\" in");
    print_option_cases();
    puts("  esac\n"
         "  if [[ $current == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _sluice sluice");
}

static void print_zsh(void)
{
    puts("#compdef sluice\n"
         "# zsh completion for sluice; written by `sluice completion zsh`.\n"
         "_sluice() {\n"
         "  local current=${words[CURRENT]} previous=${words[CURRENT-1]}\n"
         "  local first=\"\" second=\"\" word subcommands=\"\" options=\"\"\n"
         "  for word in ${words[2,CURRENT-1]}; do\n"
         "    [[ $word == -* ]] && continue\n"
         "    if [[ -z $first ]]; then first=$word; elif [[ -z $second ]]; then second=$word; fi\n"
         "  done\n"
         "  case $previous in");
    print_value_cases("_files", "_files -/", "compadd -- ", "");
    printf("  esac\n"
           "  if [[ -z $first && $current != -* ]]; then\n"
           "    compadd -- ");
    print_first_words();
    puts("; return\n"
         "  fi\n"
         "  case $first in");
    print_groups("subcommands=\"");
    puts("  esac\n"
         "  if [[ -n $subcommands && -z $second && $current != -* ]]; then\n"
         "    compadd -- ${=subcommands}; return\n"
         "  fi\n"
         "  case \"$first $second\" in");
    print_option_cases();
    puts("  esac\n"
         "  if [[ $current == -* ]]; then\n"
         "    compadd -- ${=options}\n"
         "  else\n"
         "    _files\n"
         "  fi\n"
         "}\n"
         "if [[ $funcstack[1] == _sluice ]]; then _sluice \"$@\"; else compdef _sluice sluice; fi");
}

int completion_print(struct cli *cli)
{
    if (strcmp(cli->operands[0], "bash") == 0)
        print_bash();
    else if (strcmp(cli->operands[0], "zsh") == 0)
        print_zsh();
    else
        return cli_usage(cli, MSG_USAGE_SHELL, cli->operands[0]);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}
