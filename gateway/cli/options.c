#include "cli/options.h"

#include <assert.h>
#include <string.h>

static const struct cli_option_info table[OPT_COUNT] = {
    [OPT_ENDPOINT] = { "endpoint", 0, "HOST:PORT", NULL, MSG_OPT_ENDPOINT },
    [OPT_CA] = { "ca", 0, "FILE", "@file", MSG_OPT_CA },
    [OPT_CERT] = { "cert", 0, "FILE", "@file", MSG_OPT_CERT },
    [OPT_KEY] = { "key", 0, "FILE", "@file", MSG_OPT_KEY },
    [OPT_FORMAT] = { "format", 0, "FORMAT", "table json jsonl csv", MSG_OPT_FORMAT },
    [OPT_TIMEOUT] = { "timeout", 0, "SECONDS", NULL, MSG_OPT_TIMEOUT },
    [OPT_LANG] = { "lang", 0, "LANG", "en zh", MSG_OPT_LANG },
    [OPT_HELP] = { "help", 'h', NULL, NULL, MSG_OPT_HELP },
    [OPT_PURPOSE] = { "purpose", 0, "CODE", NULL, MSG_OPT_PURPOSE },
    [OPT_AGREEMENT] = { "agreement", 0, "ID", NULL, MSG_OPT_AGREEMENT },
    [OPT_FIELDS] = { "fields", 0, "A,B", NULL, MSG_OPT_FIELDS },
    [OPT_FILTER] = { "filter", 0, "FILTER", NULL, MSG_OPT_FILTER },
    [OPT_LIMIT] = { "limit", 0, "N", NULL, MSG_OPT_LIMIT },
    [OPT_PAGE_SIZE] = { "page-size", 0, "N", NULL, MSG_OPT_PAGE_SIZE },
    [OPT_RESUME] = { "resume", 0, "TOKEN", NULL, MSG_OPT_RESUME },
    [OPT_STRICT] = { "strict", 0, NULL, NULL, MSG_OPT_STRICT },
    [OPT_CSV_RAW] = { "csv-raw", 0, NULL, NULL, MSG_OPT_CSV_RAW },
    [OPT_NO_HEADER] = { "no-header", 0, NULL, NULL, MSG_OPT_NO_HEADER },
    [OPT_CONSUMER] = { "consumer", 0, "DEPT/SYSTEM", NULL, MSG_OPT_CONSUMER },
    [OPT_DATASET] = { "dataset", 0, "DEPT/NAME", NULL, MSG_OPT_DATASET },
    [OPT_PURPOSES] = { "purposes", 0, "A,B", NULL, MSG_OPT_PURPOSES },
    [OPT_MODES] = { "modes", 0, "A,B", "lookup query verify transfer lookup,query", MSG_OPT_MODES },
    [OPT_ROW_FILTER] = { "row-filter", 0, "FILTER", NULL, MSG_OPT_ROW_FILTER },
    [OPT_VALID_FROM] = { "valid-from", 0, "DATE", NULL, MSG_OPT_VALID_FROM },
    [OPT_VALID_UNTIL] = { "valid-until", 0, "DATE", NULL, MSG_OPT_VALID_UNTIL },
    [OPT_DAYS] = { "days", 0, "N", NULL, MSG_OPT_DAYS },
    [OPT_RATE] = { "rate", 0, "PER-SECOND", NULL, MSG_OPT_RATE },
    [OPT_BURST] = { "burst", 0, "N", NULL, MSG_OPT_BURST },
    [OPT_DAILY_QUOTA] = { "daily-quota", 0, "N", NULL, MSG_OPT_DAILY_QUOTA },
    [OPT_MASKS] = { "masks", 0, "A=KIND,B=KIND", NULL, MSG_OPT_MASKS },
    [OPT_NETWORKS] = { "networks", 0, "CIDR,CIDR", NULL, MSG_OPT_NETWORKS },
    [OPT_WINDOWS] = { "windows", 0, "TIMES", NULL, MSG_OPT_WINDOWS },
    [OPT_ONWARD] = { "onward", 0, "RECIPIENT", NULL, MSG_OPT_ONWARD },
    [OPT_LEGAL_BASIS] = { "legal-basis", 0, "TEXT", NULL, MSG_OPT_LEGAL_BASIS },
    [OPT_ID] = { "id", 0, "ID", NULL, MSG_OPT_ID },
    [OPT_REASON] = { "reason", 0, "TEXT", NULL, MSG_OPT_REASON },
    [OPT_LINES] = { "lines", 'n', "N", NULL, MSG_OPT_LINES },
    [OPT_FOLLOW] = { "follow", 'f', NULL, NULL, MSG_OPT_FOLLOW },
    [OPT_DESCRIPTORS] = { "descriptors", 0, "FILE", "@file", MSG_OPT_DESCRIPTORS },
    [OPT_DATABASE] = { "database", 0, "CONNINFO", NULL, MSG_OPT_DATABASE },
    [OPT_MIGRATIONS] = { "migrations", 0, "DIR", "@dir", MSG_OPT_MIGRATIONS },
    [OPT_TITLE] = { "title", 0, "TEXT", NULL, MSG_OPT_TITLE },
    [OPT_TITLE_ZH] = { "title-zh", 0, "TEXT", NULL, MSG_OPT_TITLE_ZH },
    [OPT_ENABLE] = { "enable", 0, NULL, NULL, MSG_OPT_ENABLE },
    [OPT_ROLES] = { "roles", 0, "A,B", "requester approver auditor administrator", MSG_OPT_ROLES },
    [OPT_TABLE] = { "table", 0, "TABLE", NULL, MSG_OPT_TABLE },
    [OPT_DEPARTMENT] = { "department", 0, "NAME", NULL, MSG_OPT_DEPARTMENT },
    [OPT_TYPE] = { "type", 0, "TYPE", NULL, MSG_OPT_TYPE },
    [OPT_SOURCE] = { "source", 0, "NAME", NULL, MSG_OPT_SOURCE },
    [OPT_SAMPLE] = { "sample", 0, "ROWS", NULL, MSG_OPT_SAMPLE },
    [OPT_SHOW_SAMPLES] = { "show-samples", 0, NULL, NULL, MSG_OPT_SHOW_SAMPLES },
    [OPT_AGAINST] = { "against", 0, "OLD", "@file", MSG_OPT_AGAINST },
    [OPT_RECORD] = { "record", 0, "KEY", NULL, MSG_OPT_RECORD },
    [OPT_UNMASKED] = { "unmasked", 0, NULL, NULL, MSG_OPT_UNMASKED },
    [OPT_ROLE] = { "role", 0, "ROLE", NULL, MSG_OPT_ROLE },
    [OPT_FAIL_ON_BREAKING] = { "fail-on-breaking", 0, NULL, NULL, MSG_OPT_FAIL_ON_BREAKING },
    [OPT_ROWS_PER_SECOND] = { "rows-per-second", 0, "N", NULL, MSG_OPT_ROWS_PER_SECOND },
    [OPT_RUNS] = { "runs", 0, "N", NULL, MSG_OPT_RUNS },
    [OPT_CODE] = { "code", 0, "CODE", NULL, MSG_OPT_CODE },
    [OPT_FIELD] = { "field", 0, "NAME", NULL, MSG_OPT_FIELD },
    [OPT_STATE] = { "state", 0, "STATE", "open vanished changed mended", MSG_OPT_STATE },
    [OPT_DRY_RUN] = { "dry-run", 0, NULL, NULL, MSG_OPT_DRY_RUN },
    [OPT_POLICY] = { "policy", 0, "FILE", "@file", MSG_OPT_POLICY },
    [OPT_OLDER] = { "older", 0, "PATH", "@file", MSG_OPT_OLDER },
    [OPT_CHECKPOINT] = { "checkpoint", 0, "FILE", "@file", MSG_OPT_CHECKPOINT },
    [OPT_FROM] = { "from", 0, "INDEX|TIME", NULL, MSG_OPT_FROM },
    [OPT_TO] = { "to", 0, "INDEX|TIME", NULL, MSG_OPT_TO },
    [OPT_ORIGIN] = { "origin", 0, "ORIGIN", NULL, MSG_OPT_ORIGIN },
    [OPT_SM2_KEY] = { "sm2-key", 0, "FILE", "@file", MSG_OPT_SM2_KEY },
    [OPT_NEW_SM2_KEY] = { "new-sm2-key", 0, "FILE", "@file", MSG_OPT_NEW_SM2_KEY },
    [OPT_LEAF] = { "leaf", 0, "FILE", "@file", MSG_OPT_LEAF },
    [OPT_TIMESTAMP] = { "timestamp", 0, "FILE", "@file", MSG_OPT_TIMESTAMP },
    [OPT_TIMESTAMP_CA] = { "timestamp-ca", 0, "FILE", "@file", MSG_OPT_TIMESTAMP_CA },
    [OPT_URL] = { "url", 0, "URL", NULL, MSG_OPT_URL },
    [OPT_KIND] = { "kind", 0, "KIND",
                   "decision delivery admin policy-change key-event officer-query review recovery "
                   "denials quota",
                   MSG_OPT_KIND },
    [OPT_DECISION] = { "decision", 0, "OUTCOME", "allowed refused failed cancelled",
                       MSG_OPT_DECISION },
    [OPT_OWNER] = { "owner", 0, "DEPT", NULL, MSG_OPT_OWNER },
    [OPT_SUBJECT] = { "subject", 0, "URI", NULL, MSG_OPT_SUBJECT },
    [OPT_EXCHANGE] = { "exchange", 0, "ID", NULL, MSG_OPT_EXCHANGE },
    [OPT_PRUNE] = { "prune", 0, NULL, NULL, MSG_OPT_PRUNE },
    [OPT_ARCHIVES] = { "archive", 0, "DIR,DIR", "@dir", MSG_OPT_ARCHIVES },
    [OPT_INDEXES] = { "index", 0, "FIRST-LAST", NULL, MSG_OPT_INDEXES },
    [OPT_PERSON] = { "person", 0, "NUMBER|-", NULL, MSG_OPT_PERSON },
    [OPT_BY] = { "by", 0, "A,B", "day department owner dataset kind decision", MSG_OPT_BY },
    [OPT_SCENARIO] = { "scenario", 0, "TEXT", NULL, MSG_OPT_SCENARIO },
    [OPT_SCOPE] = { "scope", 0, "TEXT", NULL, MSG_OPT_SCOPE },
    [OPT_WORKING_DAYS] = { "working-days", 0, "N", NULL, MSG_OPT_WORKING_DAYS },
    [OPT_NEGOTIATION] = { "negotiation", 0, "TEXT", NULL, MSG_OPT_NEGOTIATION },
    [OPT_FILING] = { "filing", 0, "TEXT", NULL, MSG_OPT_FILING },
    [OPT_CERTIFICATE] = { "certificate", 0, "TEXT", NULL, MSG_OPT_CERTIFICATE },
    [OPT_OVERDUE] = { "overdue", 0, NULL, NULL, MSG_OPT_OVERDUE },
    [OPT_APPLICATION_STATE] = { "in-state", 0, "STATE",
                                "draft signed-off submitted supplement-asked extended agreed "
                                "refused "
                                "provisioning active expired suspended terminated disposal-due "
                                "disposed",
                                MSG_OPT_APPLICATION_STATE },
    [OPT_AUTHORITY] = { "authority", 0, "DEPT", NULL, MSG_OPT_AUTHORITY },
    [OPT_ANSWER_DAYS] = { "answer-days", 0, "N", NULL, MSG_OPT_ANSWER_DAYS },
    [OPT_EXTENSION_DAYS] = { "extension-days", 0, "N", NULL, MSG_OPT_EXTENSION_DAYS },
    [OPT_PROVIDE_DAYS] = { "provide-days", 0, "N", NULL, MSG_OPT_PROVIDE_DAYS },
    [OPT_CLOCK] = { "clock", 0, "START", "received completed", MSG_OPT_CLOCK },
    [OPT_SECRECY] = { "secrecy", 0, "TEXT", NULL, MSG_OPT_SECRECY },
    [OPT_IMPACT] = { "impact", 0, "TEXT", NULL, MSG_OPT_IMPACT },
    [OPT_ENTRY_STATE] = { "entry-state", 0, "STATE",
                          "draft assessed dept-approved submitted published change-due retired",
                          MSG_OPT_ENTRY_STATE },
    [OPT_BOM] = { "bom", 0, NULL, NULL, MSG_OPT_BOM },
    [OPT_APPEND] = { "append", 0, NULL, NULL, MSG_OPT_APPEND },
    [OPT_CURSOR] = { "cursor", 0, "FIELD", NULL, MSG_OPT_CURSOR },
    [OPT_ACCEPT_LOSSY] = { "accept-lossy", 0, NULL, NULL, MSG_OPT_ACCEPT_LOSSY },
    [OPT_UPSERT] = { "upsert", 0, NULL, NULL, MSG_OPT_UPSERT },
    [OPT_OUT] = { "out", 'o', "PATH", "@file", MSG_OPT_OUT },
};

const struct cli_option_info *option_info(enum cli_option option)
{
    assert(option > OPT_NONE && option < OPT_COUNT);
    return &table[option];
}

enum cli_option option_find(const char *name, size_t len)
{
    for (int i = OPT_NONE + 1; i < OPT_COUNT; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return (enum cli_option)i;
    return OPT_NONE;
}

enum cli_option option_find_letter(char letter)
{
    for (int i = OPT_NONE + 1; i < OPT_COUNT; i++)
        if (table[i].letter != 0 && table[i].letter == letter)
            return (enum cli_option)i;
    return OPT_NONE;
}
