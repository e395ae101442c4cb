/* sluice calendar check|load|list · sluice application policy: what an operator settles about deadlines.
 */
#include <stdlib.h>
#include <string.h>

#include "authz/calendar.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/control_db.h"
#include "conf/yaml.h"

/* --- a file --------------------------------------------------------------------------------------
 */
/* NULL after a complaint. */
static struct calendar_table *read_table(const char *path)
{
    struct err err = ERR_INIT;
    struct buf text;
    struct calendar_table *table = NULL;

    buf_init(&text, CALENDAR_TABLE_BYTES_MAX + 1);
    if (yaml_read_file(path, &text, &err) == 0)
        table = calendar_table_parse(path, (const char *)text.data, text.len, &err);
    buf_fini(&text);
    if (table == NULL)
        COMPLAIN(MSG_PLAIN, err.text);
    return table;
}

static void say(enum message_id id, const struct calendar_table *table)
{
    char year[16], off[24], work[24];
    size_t working = 0;

    for (size_t i = 0; i < table->day_count; i++)
        working += table->days[i].working;
    (void)snprintf(year, sizeof year, "%d", table->year);
    (void)snprintf(off, sizeof off, "%zu", table->day_count - working);
    (void)snprintf(work, sizeof work, "%zu", working);
    NOTE(id, year, off, work);
}

int calendar_check(struct cli *cli)
{
    struct calendar_table *table = read_table(cli->operands[0]);

    if (table == NULL)
        return EXIT_FAILED;
    say(MSG_CALENDAR_SOUND, table);
    calendar_table_free(&table);
    return EXIT_OK;
}

/* --- into the control database -------------------------------------------------------------------
 */
/* "{2026-01-01,…}" of the days of one kind. */
static void append_days(struct buf *out, const struct calendar_table *table, bool working)
{
    char date[CALENDAR_DATE_BYTES];
    const char *comma = "";

    (void)buf_append_str(out, "{");
    for (size_t i = 0; i < table->day_count; i++) {
        if (table->days[i].working != working)
            continue;
        calendar_date_format(table->days[i].day, date);
        (void)buf_append_str(out, comma);
        (void)buf_append_str(out, date);
        comma = ",";
    }
    (void)buf_append_str(out, "}");
}

/* A year that is there already is replaced: notices are amended. */
static int store(PGconn *conn, const struct calendar_table *table)
{
    static const char *const statements[] = {
        "DELETE FROM control.workday_year WHERE year = $1::integer",
        "INSERT INTO control.workday_year (year, source) VALUES ($1::integer, $2)",
        "INSERT INTO control.workday_calendar (day, year, kind)"
        " SELECT day, $1::integer, 'off' FROM unnest($2::date[]) AS day",
        "INSERT INTO control.workday_calendar (day, year, kind)"
        " SELECT day, $1::integer, 'work' FROM unnest($2::date[]) AS day",
    };
    struct buf off, work;
    char year[16];
    int status = control_db_run(conn, "BEGIN", NULL, 0);

    buf_init(&off, CALENDAR_TABLE_BYTES_MAX);
    buf_init(&work, CALENDAR_TABLE_BYTES_MAX);
    append_days(&off, table, false);
    append_days(&work, table, true);
    (void)snprintf(year, sizeof year, "%d", table->year);
    const char *const second[] = { NULL, table->source, buf_cstr(&off), buf_cstr(&work) };
    if (status == EXIT_OK)
        status = control_db_run(conn, "SET LOCAL search_path = pg_catalog", NULL, 0);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && status == EXIT_OK; i++)
        status = control_db_run(conn, statements[i], (const char *const[]){ year, second[i] },
                                second[i] != NULL ? 2 : 1);
    if (status == EXIT_OK)
        status = control_db_commit(conn);
    buf_fini(&off);
    buf_fini(&work);
    return status;
}

int calendar_load(struct cli *cli)
{
    struct calendar_table *table = read_table(cli->operands[0]);
    int status = EXIT_FAILED;
    PGconn *conn;

    if (table == NULL)
        return status;
    conn = control_db_open(cli, &status);
    if (conn != NULL) {
        status = store(conn, table);
        PQfinish(conn); /* rolls back what was not committed */
        if (status == EXIT_OK)
            say(MSG_CALENDAR_LOADED, table);
    }
    calendar_table_free(&table);
    return status;
}

int calendar_list(struct cli *cli)
{
    return control_db_list(
        cli, "SELECT y.year::text AS year, count(*) FILTER (WHERE d.kind = 'off') AS off,"
             " count(*) FILTER (WHERE d.kind = 'work') AS work, y.source,"
             " to_char(y.loaded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
             " AS \"loadedAt\" FROM control.workday_year AS y"
             " LEFT JOIN control.workday_calendar AS d ON d.year = y.year"
             " GROUP BY y.year ORDER BY y.year");
}

/* --- the policy ----------------------------------------------------------------------------------
 */
static const char policy_sql[] = "SELECT coalesce(authority, '') AS authority,"
                                 " answer_days AS \"answerDays\","
                                 " extension_days AS \"extensionDays\","
                                 " provide_days AS \"provideDays\", clock"
                                 " FROM control.application_policy";

int application_policy(struct cli *cli)
{
    static const struct {
        enum cli_option option;
        long max; /* the regulation's, Art. 21 and 22 */
    } numbers[] = { { OPT_ANSWER_DAYS, 10 }, { OPT_EXTENSION_DAYS, 10 }, { OPT_PROVIDE_DAYS, 20 } };
    const char *params[5] = { cli_option_text(cli, OPT_AUTHORITY, NULL) };
    const char *clock = cli_option_text(cli, OPT_CLOCK, NULL);
    bool changes = params[0] != NULL || clock != NULL;
    int status = EXIT_OK;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        long value;
        if (!cli_option_number(cli, numbers[i].option, 1, numbers[i].max, 0, &value))
            return EXIT_USAGE;
        params[1 + i] = cli_option_text(cli, numbers[i].option, NULL);
        changes = changes || params[1 + i] != NULL;
    }
    if (clock != NULL && strcmp(clock, "received") != 0 && strcmp(clock, "completed") != 0)
        return cli_usage(cli, MSG_USAGE_CLOCK, clock);
    params[4] = clock;
    if (changes) {
        PGconn *conn = control_db_open(cli, &status);
        if (conn == NULL)
            return status;
        status = control_db_run(conn,
                                "UPDATE control.application_policy SET"
                                " authority = CASE WHEN $1::text IS NULL THEN authority"
                                " ELSE nullif($1::text, '') END,"
                                " answer_days = coalesce($2::integer, answer_days),"
                                " extension_days = coalesce($3::integer, extension_days),"
                                " provide_days = coalesce($4::integer, provide_days),"
                                " clock = coalesce($5::text, clock)",
                                params, 5);
        PQfinish(conn);
    }
    return status == EXIT_OK ? control_db_list(cli, policy_sql) : status;
}
