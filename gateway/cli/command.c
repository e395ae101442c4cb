/* The table of commands: help, parsing and completion read it. */
#include <stddef.h>

#include "cli/cli.h"

#define ROWS    OPT_CSV_RAW, OPT_NO_HEADER
#define REMOTE  .remote = true
#define OFFICER .remote = true, .officer = true

static const struct cli_command commands[] = {
    { "catalog", "list", "", 0, 0, MSG_SUM_CATALOG_LIST, MSG_HELP_CATALOG_LIST, REMOTE,
      .run = catalog_list, .options = { ROWS } },
    { "catalog", "show", "DATASET", 1, 1, MSG_SUM_CATALOG_SHOW, MSG_HELP_CATALOG_SHOW, REMOTE,
      .run = catalog_show, .options = { ROWS } },
    { NULL, "lookup", "DATASET KEY", 2, 2, MSG_SUM_LOOKUP, MSG_HELP_LOOKUP, REMOTE,
      .run = exchange_lookup, .options = { OPT_PURPOSE, OPT_AGREEMENT, OPT_FIELDS, ROWS } },
    { NULL, "query", "DATASET", 1, 1, MSG_SUM_QUERY, MSG_HELP_QUERY, REMOTE, .run = exchange_query,
      .options = { OPT_PURPOSE, OPT_FILTER, OPT_FIELDS, OPT_LIMIT, OPT_PAGE_SIZE, OPT_AGREEMENT,
                   OPT_RESUME, OPT_STRICT, ROWS } },
    { "agreement", "grant", "", 0, 0, MSG_SUM_AGREEMENT_GRANT, MSG_HELP_AGREEMENT_GRANT, OFFICER,
      .run = agreement_grant,
      .options = { OPT_CONSUMER, OPT_DATASET, OPT_FIELDS, OPT_PURPOSES, OPT_MODES, OPT_ROW_FILTER,
                   OPT_VALID_FROM, OPT_VALID_UNTIL, OPT_DAYS, OPT_RATE, OPT_BURST, OPT_LEGAL_BASIS,
                   OPT_ID } },
    { "agreement", "list", "", 0, 0, MSG_SUM_AGREEMENT_LIST, MSG_HELP_AGREEMENT_LIST, OFFICER,
      .run = agreement_list, .options = { OPT_DATASET, OPT_CONSUMER, ROWS } },
    { "agreement", "show", "ID", 1, 1, MSG_SUM_AGREEMENT_SHOW, MSG_HELP_AGREEMENT_SHOW, OFFICER,
      .run = agreement_show, .options = { ROWS } },
    { "agreement", "revoke", "ID", 1, 1, MSG_SUM_AGREEMENT_REVOKE, MSG_HELP_AGREEMENT_REVOKE,
      OFFICER, .run = agreement_revoke, .options = { OPT_REASON } },
    { "audit", "tail", "", 0, 0, MSG_SUM_AUDIT_TAIL, MSG_HELP_AUDIT_TAIL, OFFICER,
      .run = audit_tail, .options = { OPT_LINES, OPT_FOLLOW, OPT_DATASET, OPT_AGREEMENT, ROWS } },
    { "audit", "checkpoint", "", 0, 0, MSG_SUM_AUDIT_CHECKPOINT, MSG_HELP_AUDIT_CHECKPOINT, OFFICER,
      .run = audit_checkpoint },
    { "schema", "check", "[DIR]", 0, 1, MSG_SUM_SCHEMA_CHECK, MSG_HELP_SCHEMA_CHECK,
      .run = schema_check, .options = { OPT_AGAINST, OPT_DESCRIPTORS, ROWS } },
    { "schema", "infer", "", 0, 0, MSG_SUM_SCHEMA_INFER, MSG_HELP_SCHEMA_INFER, .run = schema_infer,
      .options = { OPT_TABLE, OPT_DEPARTMENT, OPT_DATASET, OPT_TYPE, OPT_SOURCE, OPT_OUT,
                   OPT_SAMPLE, OPT_SHOW_SAMPLES, OPT_DATABASE, OPT_DESCRIPTORS } },
    { "schema", "preview", "DATASET [DIR]", 1, 2, MSG_SUM_SCHEMA_PREVIEW, MSG_HELP_SCHEMA_PREVIEW,
      .run = schema_preview,
      .options = { OPT_DATABASE, OPT_LIMIT, OPT_SAMPLE, OPT_RECORD, OPT_UNMASKED, OPT_DESCRIPTORS,
                   ROWS } },
    { "schema", "diff", "OLD-DIR NEW-DIR", 2, 2, MSG_SUM_SCHEMA_DIFF, MSG_HELP_SCHEMA_DIFF,
      .run = schema_diff, .options = { OPT_FAIL_ON_BREAKING, ROWS } },
    { "schema", "grants", "[DATASET...] [DIR]", 0, CLI_ARGS_MAX, MSG_SUM_SCHEMA_GRANTS,
      MSG_HELP_SCHEMA_GRANTS, .run = schema_grants,
      .options = { OPT_ROLE, OPT_DATABASE, OPT_DESCRIPTORS, ROWS } },
    { "schema", "docs", "[DIR]", 0, 1, MSG_SUM_SCHEMA_DOCS, MSG_HELP_SCHEMA_DOCS,
      .run = schema_docs, .options = { OPT_OUT, OPT_DESCRIPTORS } },
    { "schema", "lossiness", "[DATASET] [DIR]", 0, 2, MSG_SUM_SCHEMA_LOSSINESS,
      MSG_HELP_SCHEMA_LOSSINESS, .run = schema_lossiness, .options = { OPT_DESCRIPTORS, ROWS } },
    { "config", "check", "FILE", 1, 1, MSG_SUM_CONFIG_CHECK, MSG_HELP_CONFIG_CHECK,
      .run = check_config },
    { NULL, "doctor", "", 0, 0, MSG_SUM_DOCTOR, MSG_HELP_DOCTOR, REMOTE, .run = doctor_run },
    { "control", "init", "", 0, 0, MSG_SUM_CONTROL_INIT, MSG_HELP_CONTROL_INIT, .run = control_init,
      .options = { OPT_DATABASE, OPT_MIGRATIONS } },
    { "control", "migrate", "", 0, 0, MSG_SUM_CONTROL_MIGRATE, MSG_HELP_CONTROL_MIGRATE,
      .run = control_migrate, .options = { OPT_DATABASE, OPT_MIGRATIONS } },
    { "department", "add", "NAME", 1, 1, MSG_SUM_DEPARTMENT_ADD, MSG_HELP_DEPARTMENT_ADD,
      .run = department_add, .options = { OPT_TITLE, OPT_TITLE_ZH, OPT_ENABLE, OPT_DATABASE } },
    { "department", "list", "", 0, 0, MSG_SUM_DEPARTMENT_LIST, MSG_HELP_DEPARTMENT_LIST,
      .run = department_list, .options = { OPT_DATABASE, ROWS } },
    { "officer", "add", "DEPT/NAME", 1, 1, MSG_SUM_OFFICER_ADD, MSG_HELP_OFFICER_ADD,
      .run = officer_add, .options = { OPT_TITLE, OPT_ENABLE, OPT_DATABASE } },
    { "officer", "list", "", 0, 0, MSG_SUM_OFFICER_LIST, MSG_HELP_OFFICER_LIST, .run = officer_list,
      .options = { OPT_DATABASE, ROWS } },
    { "officer", "disable", "DEPT/NAME", 1, 1, MSG_SUM_OFFICER_DISABLE, MSG_HELP_OFFICER_DISABLE,
      .run = officer_disable, .options = { OPT_DATABASE } },
    { NULL, "version", "", 0, 0, MSG_SUM_VERSION, MSG_HELP_VERSION, .run = version_print },
    { NULL, "completion", "bash|zsh", 1, 1, MSG_SUM_COMPLETION, MSG_HELP_COMPLETION,
      .run = completion_print },
};

const struct cli_command *cli_command_at(size_t index)
{
    return index < sizeof commands / sizeof commands[0] ? &commands[index] : NULL;
}
