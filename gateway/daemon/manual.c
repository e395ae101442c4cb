#include "daemon/manual.h"

#include <string.h>

#include "conf/conf.h"

static const char head[] =
    "# Configuration · 配置\n"
    "\n"
    "One YAML file, read by `sluiced --config FILE` and checked by `sluice config check FILE`. It "
    "is\n"
    "constant for the life of a process: change the file, then send SIGHUP; a bad file is refused "
    "with\n"
    "file, line and column, and the old configuration goes on. This page is printed by\n"
    "`sluiced --manual`; do not edit it by hand.\n"
    "\n"
    "一个 YAML 文件。修改后发送 SIGHUP 生效；文件有误时指出文件、行、列并拒绝，原配置继续运行。\n"
    "\n"
    "| option | type | default | range | meaning · 含义 |\n"
    "|---|---|---|---|---|\n";

static const char *type_name(const struct conf_option *option)
{
    switch (option->type) {
    case CONF_STRING:
        return option->secret ? "text, secret" : "text";
    case CONF_FILE:
        return "file";
    case CONF_ADDRESS:
        return "address:port";
    case CONF_INT:
        return "integer";
    case CONF_BOOL:
        return "true or false";
    case CONF_CHOICE:
        return "choice";
    }
    return "";
}

void manual_print(FILE *out)
{
    const struct conf_option *option;
    (void)fputs(head, out);
    for (size_t i = 0; (option = conf_option_at(i)) != NULL; i++) {
        (void)fprintf(out, "| `%s` | %s | ", option->name, type_name(option));
        if (option->fallback == NULL)
            (void)fputs("required", out);
        else if (option->fallback[0] == '\0')
            (void)fputs("none", out);
        else
            (void)fprintf(out, "`%s`", option->fallback);
        (void)fputs(" | ", out);
        if (option->type == CONF_INT)
            (void)fprintf(out, "%lld–%lld %s", (long long)option->min, (long long)option->max,
                          option->unit);
        else if (option->type == CONF_CHOICE)
            (void)fprintf(out, "%s", option->choices);
        else if (option->type == CONF_STRING)
            (void)fprintf(out, "%lld–%lld bytes", (long long)option->min, (long long)option->max);
        (void)fprintf(out, " | %s %s |\n", option->help, option->help_zh);
    }
}
