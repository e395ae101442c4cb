/* sluice audit statistics */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/dates.h"
#include "cli/remote.h"
#include "cli/text.h"

enum { COLUMNS = 6, DAY_BYTES = 10 };

/* Words of --by, names of GetStatisticsRequest.Column, members of Statistic. */
static const struct {
    const char *word, *column, *member;
} columns[COLUMNS] = {
    { "day", "DAY", "day" },       { "department", "DEPARTMENT", "department" },
    { "owner", "OWNER", "owner" }, { "dataset", "DATASET", "dataset" },
    { "kind", "KIND", "kind" },    { "decision", "OUTCOME", "outcome" },
};

/* False after a usage complaint. `shown_r`: the columns of the answer, in the order of --by. */
static bool read_by(struct cli *cli, json_t *request, const char **shown_r, size_t *count_r)
{
    const char *by = cli_option_text(cli, OPT_BY, NULL);
    json_t *words = by != NULL ? text_split(by) : json_array(), *list = json_array();
    bool good = words != NULL && json_array_size(words) <= COLUMNS;

    *count_r = 0;
    for (size_t i = 0; good && i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        size_t at = 0;
        while (at < COLUMNS && strcmp(columns[at].word, word) != 0)
            at++;
        good = at < COLUMNS;
        if (good) {
            json_array_append_new(list, json_string(columns[at].column));
            shown_r[(*count_r)++] = columns[at].member;
        }
    }
    if (!good)
        COMPLAIN(MSG_USAGE_WORD, "--by", by);
    json_decref(words);
    json_object_set_new(request, "by", list);
    return good;
}

static bool read_day(struct cli *cli, enum cli_option option, json_t *request, const char *member)
{
    const char *day = cli_option_text(cli, option, NULL);
    char ignored[DATES_TEXT_BYTES], name[16];

    if (day == NULL)
        return true;
    if (strlen(day) != DAY_BYTES || !dates_parse(day, DATES_START_OF_DAY, ignored)) {
        snprintf(name, sizeof name, "--%s", option_info(option)->name);
        COMPLAIN(MSG_USAGE_DAY, name);
        return false;
    }
    json_object_set_new(request, member, json_string(day));
    return true;
}

static int show(struct cli *cli, const json_t *answer, const char **shown, size_t count)
{
    const json_t *statistics = remote_member(answer, "statistics");
    struct output *output = cli_output(cli);
    char size[TEXT_COUNT_BYTES];
    int status = EXIT_OK;

    if (cli->format == OUTPUT_JSON) {
        status = output_object(output, answer) == 0 ? EXIT_OK : EXIT_FAILED;
        return cli_output_end(&output, status);
    }
    shown[count++] = "entries";
    shown[count++] = "calls";
    output_set_columns(output, shown, count);
    for (size_t i = 0; i < json_array_size(statistics) && status == EXIT_OK; i++) {
        json_t *row = remote_project(json_array_get(statistics, i), shown, count);
        status = output_row(output, row) == 0 ? EXIT_OK : EXIT_FAILED;
        json_decref(row);
    }
    status = cli_output_end(&output, status);
    text_count((uint64_t)remote_integer(answer, "logSize"), size);
    NOTE(MSG_STATISTICS_OVER, size);
    return status;
}

int audit_statistics(struct cli *cli)
{
    const char *shown[COLUMNS + 2];
    size_t count;
    json_t *request = json_object(), *answer;
    struct connect_client *client = NULL;
    int status = EXIT_USAGE;

    if (read_by(cli, request, shown, &count) && read_day(cli, OPT_FROM, request, "dayFrom") &&
        read_day(cli, OPT_TO, request, "dayTo"))
        client = remote_open(cli, &status);
    if (client == NULL) {
        json_decref(request);
        return status;
    }
    status = remote_call(client, "sluice.v1.AuditService/GetStatistics", request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    status = show(cli, answer, shown, count);
    json_decref(answer);
    return status;
}
