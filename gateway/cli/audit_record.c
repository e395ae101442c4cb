#include "cli/audit_record.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "cli/dates.h"
#include "cli/remote.h"

static const char *const narrow[] = { "index",   "time",   "kind",    "outcome",
                                      "subject", "method", "dataset", "agreement",
                                      "purpose", "rows",   "reason" };
static const char *const wide[] = { "index",   "time",       "kind",    "outcome",
                                    "subject", "department", "method",  "dataset",
                                    "owner",   "agreement",  "purpose", "rows",
                                    "reason",  "standsFor",  "object",  "exchangeId" };
#define COUNT(names_) (sizeof(names_) / sizeof(names_)[0])

/* --- rows --------------------------------------------------------------------------------------- */

void audit_record_columns(struct output *output, bool whole)
{
    output_set_columns(output, whole ? wide : narrow, whole ? COUNT(wide) : COUNT(narrow));
}

static void copy_text(json_t *row, const char *column, const json_t *from, const char *name)
{
    json_object_set_new(row, column, json_string(remote_text(from, name)));
}

/* proto3 JSON has bytes as base64; people know exchanges by their UUID. */
static void copy_exchange(json_t *row, const json_t *entry)
{
    const char *text = remote_text(entry, "exchangeId");
    size_t len = strlen(text);
    uint8_t id[3 * UUID_BYTES];
    char uuid[UUID_TEXT_BYTES] = "";

    if (len <= 2 * UUID_BYTES && base64_decode(text, len, id) == UUID_BYTES)
        uuid_format(id, uuid);
    json_object_set_new(row, "exchangeId", json_string(uuid));
}

json_t *audit_record_row(const json_t *record, bool whole)
{
    const json_t *entry = remote_member(record, "entry");
    const json_t *what = remote_member(entry, "what"), *why = remote_member(entry, "why");
    const json_t *who = remote_member(entry, "who");
    const json_t *decision = remote_member(entry, "decision");
    const char *method = remote_text(what, "method");
    json_t *row = json_object();

    if (strncmp(method, "/sluice.v1.", 11) == 0)
        method += 11;
    json_object_set_new(row, "index", json_integer(remote_integer(record, "index")));
    copy_text(row, "time", record, "time");
    copy_text(row, "kind", entry, "kind");
    copy_text(row, "outcome", decision, "outcome");
    copy_text(row, "subject", who, "subject");
    json_object_set_new(row, "method", json_string(method));
    copy_text(row, "dataset", what, "dataset");
    copy_text(row, "agreement", why, "agreement");
    copy_text(row, "purpose", why, "purpose");
    json_object_set_new(row, "rows",
                        json_integer(remote_integer(remote_member(entry, "rows"), "count")));
    copy_text(row, "reason", decision, "reason");
    if (whole) {
        copy_text(row, "department", who, "department");
        copy_text(row, "owner", what, "owner");
        copy_text(row, "object", what, "object");
        json_object_set_new(row, "standsFor", json_integer(remote_integer(entry, "standsFor")));
        copy_exchange(row, entry);
    }
    return row;
}

/* --- searches ----------------------------------------------------------------------------------- */

bool audit_record_word(struct cli *cli, enum cli_option option, json_t *request, const char *member)
{
    const char *word = cli_option_text(cli, option, NULL), *words = option_info(option)->words;
    size_t len = word != NULL ? strlen(word) : 0;

    if (word == NULL)
        return true;
    for (const char *at = words; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        if (len != strcspn(at, " ") || memcmp(at, word, len) != 0)
            continue;
        char *name = mem_strdup(word);
        for (size_t i = 0; i < len; i++)
            name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
        json_object_set_new(request, member, json_string(name));
        free(name);
        return true;
    }
    char *shown = mem_format("--%s", option_info(option)->name);
    COMPLAIN(MSG_USAGE_WORD, shown, word);
    free(shown);
    return false;
}

static bool add_time(struct cli *cli, enum cli_option option, enum dates_side side, json_t *request,
                     const char *member)
{
    const char *text = cli_option_text(cli, option, NULL);
    char time[DATES_TEXT_BYTES];

    if (text == NULL)
        return true;
    if (!dates_parse(text, side, time)) {
        (void)cli_usage(cli, MSG_USAGE_DATE, text);
        return false;
    }
    json_object_set_new(request, member, json_string(time));
    return true;
}

int audit_record_search(struct cli *cli, json_t *request)
{
    static const struct {
        enum cli_option option;
        const char *member;
    } texts[] = {
        { OPT_DATASET, "dataset" },     { OPT_AGREEMENT, "agreement" },
        { OPT_PURPOSE, "purpose" },     { OPT_DEPARTMENT, "department" },
        { OPT_OWNER, "owner" },         { OPT_SUBJECT, "subject" },
        { OPT_EXCHANGE, "exchangeId" },
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        remote_add_text(request, texts[i].member, cli_option_text(cli, texts[i].option, NULL));
    return audit_record_word(cli, OPT_KIND, request, "kind") &&
                   audit_record_word(cli, OPT_DECISION, request, "outcome") &&
                   add_time(cli, OPT_FROM, DATES_START_OF_DAY, request, "timeFrom") &&
                   add_time(cli, OPT_TO, DATES_NEXT_DAY, request, "timeTo")
               ? EXIT_OK
               : EXIT_USAGE;
}
