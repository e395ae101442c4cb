/* sluice config check: offline, with the gateway's own loader. */
#include "base/err.h"
#include "cli/cli.h"
#include "conf/conf.h"

static int report(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    if (err->detail[0] != '\0')
        NOTE(MSG_DETAIL, err->detail);
    return EXIT_FAILED;
}

int check_config(struct cli *cli)
{
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(cli->operands[0], &err);

    if (conf == NULL)
        return report(&err);
    conf_free(&conf);
    NOTE(MSG_CONFIG_OK, cli->operands[0]);
    return EXIT_OK;
}
