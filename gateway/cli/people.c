/* sluice department add|list · sluice officer add|list|disable: who may take part, in the control
 * database. Every change takes an agreement epoch, so that workers see it within their next poll.
 */
#include <stdlib.h>
#include <string.h>

#include "authz/officer.h"
#include "base/mem.h"
#include "cli/control_db.h"

enum { NAME_BYTES_MAX = 63 };

/* --- names: the same rules as the CHECKs of control.department and control.officer --------------
 */
static bool name_valid(const char *name, size_t len, bool dots)
{
    if (len == 0 || len > NAME_BYTES_MAX || name[0] < 'a' || name[0] > 'z')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '-' || (dots && name[i] == '.')))
            return false;
    return true;
}

/* "civil-affairs/li.na": the department is cut off into a string to free; NULL when malformed. */
static char *split_officer(const char *text, const char **name_r)
{
    const char *slash = strchr(text, '/');

    if (slash == NULL || !name_valid(text, (size_t)(slash - text), false) ||
        !name_valid(slash + 1, strlen(slash + 1), true))
        return NULL;
    *name_r = slash + 1;
    return mem_strndup(text, (size_t)(slash - text));
}

/* --- one change in one transaction ---------------------------------------------------------------
 */
struct change {
    const char *find; /* answers one row (disabled) when the thing exists; locks it */
    const char *insert;
    const char *update; /* when it exists and is enabled; NULL: leave it */
    const char *enable; /* when it exists and is disabled and --enable was given */
    const char *const *params;
    size_t key_count; /* `find` takes the first params */
    size_t param_count;
    const char *label;
};

static int apply_change(const struct cli *cli, PGconn *conn, const struct change *change)
{
    int status;
    PGresult *found =
        control_db_query(conn, change->find, change->params, change->key_count, &status);
    bool exists, disabled;

    if (found == NULL)
        return status;
    exists = PQntuples(found) > 0;
    disabled = exists && strcmp(PQgetvalue(found, 0, 0), "t") == 0;
    PQclear(found);
    if (!exists) {
        status = control_db_run(conn, change->insert, change->params, change->param_count);
        if (status == EXIT_OK)
            NOTE(MSG_ADDED, change->label);
        return status;
    }
    if (disabled && !cli_option_set(cli, OPT_ENABLE)) {
        COMPLAIN(MSG_DISABLED, change->label);
        return EXIT_FAILED;
    }
    if (disabled || change->update != NULL)
        status = control_db_run(conn, disabled ? change->enable : change->update, change->params,
                                change->param_count);
    if (status == EXIT_OK)
        NOTE(disabled ? MSG_ENABLED : MSG_EXISTS, change->label);
    return status;
}

static int in_transaction(const struct cli *cli, const struct change *change)
{
    int status = EXIT_OK;
    PGconn *conn = control_db_open(cli, &status);

    if (conn == NULL)
        return status;
    status = control_db_run(conn, "BEGIN", NULL, 0);
    if (status == EXIT_OK)
        status = control_db_run(conn, "SET LOCAL search_path = pg_catalog", NULL, 0);
    if (status == EXIT_OK)
        status = apply_change(cli, conn, change);
    if (status == EXIT_OK)
        status = control_db_commit(conn);
    PQfinish(conn); /* rolls back what was not committed */
    return status;
}

/* --- departments ---------------------------------------------------------------------------------
 */
int department_add(struct cli *cli)
{
    const char *name = cli->operands[0];
    const char *const params[] = { name, cli_option_text(cli, OPT_TITLE, NULL),
                                   cli_option_text(cli, OPT_TITLE_ZH, NULL) };
    bool titled = params[1] != NULL || params[2] != NULL;
    struct change change = {
        .find = "SELECT disabled_at IS NOT NULL FROM control.department WHERE name = $1 FOR UPDATE",
        .insert = "INSERT INTO control.department (name, title, title_zh)"
                  " VALUES ($1, coalesce($2, ''), coalesce($3, ''))",
        .update = titled ? "UPDATE control.department SET title = coalesce($2, title),"
                           " title_zh = coalesce($3, title_zh), epoch = control.next_epoch()"
                           " WHERE name = $1"
                         : NULL,
        .enable = "UPDATE control.department SET disabled_at = NULL, title = coalesce($2, title),"
                  " title_zh = coalesce($3, title_zh), epoch = control.next_epoch()"
                  " WHERE name = $1",
        .params = params,
        .key_count = 1,
        .param_count = 3,
        .label = name,
    };

    if (!name_valid(name, strlen(name), false))
        return cli_usage(cli, MSG_USAGE_DEPARTMENT, name);
    return in_transaction(cli, &change);
}

#define STATE_SQL "CASE WHEN disabled_at IS NULL THEN 'enabled' ELSE 'disabled' END AS state"
#define CREATED_SQL                                                                                \
    "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS \"createdAt\""

int department_list(struct cli *cli)
{
    return control_db_list(cli, "SELECT name, title, title_zh AS \"titleZh\", " STATE_SQL
                                ", " CREATED_SQL " FROM control.department ORDER BY name");
}

/* --- officers ------------------------------------------------------------------------------------
 */
static int department_exists(struct cli *cli, const char *department)
{
    int status = EXIT_OK;
    PGconn *conn = control_db_open(cli, &status);
    PGresult *found =
        conn != NULL ? control_db_query(conn, "SELECT 1 FROM control.department WHERE name = $1",
                                        &department, 1, &status)
                     : NULL;

    if (found != NULL && PQntuples(found) == 0) {
        COMPLAIN(MSG_NO_DEPARTMENT, department);
        status = EXIT_NOT_FOUND;
    }
    PQclear(found);
    PQfinish(conn);
    return status;
}

/* Each word a role, the administrator's alone: as the CHECK of control.officer. */
static bool roles_valid(const char *text)
{
    unsigned all = 0;
    for (size_t len; *text != '\0'; text += len + (text[len] == ',')) {
        len = strcspn(text, ",");
        unsigned role = officer_roles_parse(text, len);
        if (role == 0 || (all & role) != 0 || strcmp(text + len, ",") == 0)
            return false;
        all |= role;
    }
    return all != 0 && ((all & OFFICER_ADMINISTRATOR) == 0 || all == OFFICER_ADMINISTRATOR);
}

int officer_add(struct cli *cli)
{
    const char *name;
    char *department = split_officer(cli->operands[0], &name);
    const char *title = cli_option_text(cli, OPT_TITLE, NULL);
    const char *roles = cli_option_text(cli, OPT_ROLES, NULL);
    const char *const params[] = { department, department != NULL ? name : NULL, title, roles };
    struct change change = {
        .find = "SELECT disabled_at IS NOT NULL FROM control.officer"
                " WHERE department = $1 AND name = $2 FOR UPDATE",
        .insert = "INSERT INTO control.officer (department, name, title, roles)"
                  " VALUES ($1, $2, coalesce($3, ''),"
                  " coalesce(string_to_array($4, ','), '{requester,approver,auditor}'))",
        .update = title != NULL || roles != NULL
                      ? "UPDATE control.officer SET title = coalesce($3, title),"
                        " roles = coalesce(string_to_array($4, ','), roles),"
                        " epoch = control.next_epoch() WHERE department = $1 AND name = $2"
                      : NULL,
        .enable = "UPDATE control.officer SET disabled_at = NULL, title = coalesce($3, title),"
                  " roles = coalesce(string_to_array($4, ','), roles),"
                  " epoch = control.next_epoch() WHERE department = $1 AND name = $2",
        .params = params,
        .key_count = 2,
        .param_count = 4,
        .label = cli->operands[0],
    };
    int status;

    if (department == NULL)
        return cli_usage(cli, MSG_USAGE_OFFICER, cli->operands[0]);
    if (roles != NULL && !roles_valid(roles)) {
        free(department);
        return cli_usage(cli, MSG_USAGE_ROLES, roles);
    }
    status = department_exists(cli, department);
    if (status == EXIT_OK)
        status = in_transaction(cli, &change);
    if (status == EXIT_OK)
        NOTE(MSG_OFFICER_URI, department, name);
    free(department);
    return status;
}

int officer_list(struct cli *cli)
{
    return control_db_list(cli, "SELECT department, name, title,"
                                " array_to_string(roles, ',') AS roles, " STATE_SQL ", " CREATED_SQL
                                " FROM control.officer ORDER BY department, name");
}

int officer_disable(struct cli *cli)
{
    const char *name;
    char *department = split_officer(cli->operands[0], &name);
    int status = EXIT_OK;
    PGconn *conn;
    PGresult *changed;

    if (department == NULL)
        return cli_usage(cli, MSG_USAGE_OFFICER, cli->operands[0]);
    conn = control_db_open(cli, &status);
    changed = conn == NULL
                  ? NULL
                  : control_db_query(conn,
                                     "UPDATE control.officer SET"
                                     " disabled_at = coalesce(disabled_at, pg_catalog.now()),"
                                     " epoch = control.next_epoch()"
                                     " WHERE department = $1 AND name = $2 RETURNING 1",
                                     (const char *const[]){ department, name }, 2, &status);
    if (changed != NULL && PQntuples(changed) == 0) {
        COMPLAIN(MSG_NO_OFFICER, cli->operands[0]);
        status = EXIT_NOT_FOUND;
    } else if (changed != NULL) {
        NOTE(MSG_OFFICER_DISABLED, cli->operands[0]);
    }
    PQclear(changed);
    PQfinish(conn);
    free(department);
    return status;
}
