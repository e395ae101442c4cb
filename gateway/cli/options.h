/* The options of `sluice`: one table that parsing, help and shell completion share.
 * Owns nothing: names are literals.
 * Never calls back.
 * Limits: an option has one long name and at most one letter.
 * Does not know which command takes which option (command.c does). */
#ifndef SLUICE_CLI_OPTIONS_H
#define SLUICE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/messages.h"

enum cli_option {
    OPT_NONE,
    /* global */
    OPT_ENDPOINT,
    OPT_CA,
    OPT_CERT,
    OPT_KEY,
    OPT_FORMAT,
    OPT_TIMEOUT,
    OPT_LANG,
    OPT_HELP,
    OPT_GLOBAL_LAST = OPT_HELP,
    /* of commands */
    OPT_PURPOSE,
    OPT_AGREEMENT,
    OPT_FIELDS,
    OPT_FILTER,
    OPT_LIMIT,
    OPT_PAGE_SIZE,
    OPT_RESUME,
    OPT_STRICT,
    OPT_CSV_RAW,
    OPT_NO_HEADER,
    OPT_CONSUMER,
    OPT_DATASET,
    OPT_PURPOSES,
    OPT_MODES,
    OPT_ROW_FILTER,
    OPT_VALID_FROM,
    OPT_VALID_UNTIL,
    OPT_DAYS,
    OPT_RATE,
    OPT_BURST,
    OPT_DAILY_QUOTA,
    OPT_MASKS,
    OPT_NETWORKS,
    OPT_WINDOWS,
    OPT_ONWARD,
    OPT_LEGAL_BASIS,
    OPT_ID,
    OPT_REASON,
    OPT_LINES,
    OPT_FOLLOW,
    OPT_DESCRIPTORS,
    OPT_DATABASE,
    OPT_MIGRATIONS,
    OPT_TITLE,
    OPT_TITLE_ZH,
    OPT_ENABLE,
    OPT_ROLES,
    OPT_TABLE,
    OPT_DEPARTMENT,
    OPT_TYPE,
    OPT_SOURCE,
    OPT_SAMPLE,
    OPT_SHOW_SAMPLES,
    OPT_OUT,
    OPT_AGAINST,
    OPT_RECORD,
    OPT_UNMASKED,
    OPT_ROLE,
    OPT_FAIL_ON_BREAKING,
    OPT_ROWS_PER_SECOND,
    OPT_RUNS,
    OPT_CODE,
    OPT_FIELD,
    OPT_STATE,
    OPT_DRY_RUN,
    OPT_POLICY,
    OPT_OLDER,
    OPT_CHECKPOINT,
    OPT_FROM,
    OPT_TO,
    OPT_ORIGIN,
    OPT_SM2_KEY,
    OPT_NEW_SM2_KEY,
    OPT_LEAF,
    OPT_TIMESTAMP,
    OPT_TIMESTAMP_CA,
    OPT_URL,
    OPT_KIND,
    OPT_DECISION,
    OPT_OWNER,
    OPT_SUBJECT,
    OPT_EXCHANGE,
    OPT_PERSON,
    OPT_INDEXES,
    OPT_PRUNE,
    OPT_ARCHIVES,
    OPT_BY,
    OPT_SCENARIO,
    OPT_SCOPE,
    OPT_WORKING_DAYS,
    OPT_NEGOTIATION,
    OPT_FILING,
    OPT_CERTIFICATE,
    OPT_OVERDUE,
    OPT_APPLICATION_STATE,
    OPT_AUTHORITY,
    OPT_ANSWER_DAYS,
    OPT_EXTENSION_DAYS,
    OPT_PROVIDE_DAYS,
    OPT_CLOCK,
    OPT_APPEND,
    OPT_UPSERT,
    OPT_CURSOR,
    OPT_SECRECY,
    OPT_IMPACT,
    OPT_ENTRY_STATE,
    OPT_ACCEPT_LOSSY,
    OPT_BOM,
    OPT_COUNT
};

struct cli_option_info {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* what the help shows for its value; NULL: a flag */
    const char *words; /* completion: words separated by spaces, "@file", "@dir" or NULL */
    enum message_id help;
};

const struct cli_option_info *option_info(enum cli_option option);
/* OPT_NONE when there is none of that name. */
enum cli_option option_find(const char *name, size_t len);
enum cli_option option_find_letter(char letter);
static inline bool option_global(enum cli_option option)
{
    return option > OPT_NONE && option <= OPT_GLOBAL_LAST;
}

#endif
