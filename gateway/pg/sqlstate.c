#include <string.h>

#include "pg/internal.h"

/* SQLSTATE -> what a peer is told. A row with two characters stands for the whole class; the first
 * match wins, so single codes come before their class.
 * https://www.postgresql.org/docs/15/errcodes-appendix.html */
struct sqlstate_rule {
    const char *prefix;
    enum err_code code;
    const char *reason;
    const char *text;
};

static const char text_unavailable[] = "the owner's database cannot be reached; try again";
static const char text_drift[] =
    "the owner's tables no longer match the published schema; ask the owning department";

static const struct sqlstate_rule rules[] = {
    { "57014", ERR_DEADLINE_EXCEEDED, "SOURCE_TIMEOUT",
      "the owner's database did not answer in time; narrow the request or try again" },
    { "57P0", ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE", text_unavailable },
    { "08", ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE", text_unavailable },
    { "53300", ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE", text_unavailable },
    { "25006", ERR_UNAVAILABLE, "SOURCE_READ_ONLY",
      "the database accepts no writes at the moment; try again" },
    { "26000", ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE", text_unavailable },
    { "53", ERR_RESOURCE_EXHAUSTED, "SOURCE_EXHAUSTED",
      "the owner's database is short of resources; try again later" },
    { "42501", ERR_FAILED_PRECONDITION, "SOURCE_PERMISSION",
      "the owner's database does not grant the gateway access; ask the owning department" },
    { "42", ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", text_drift },
    { "3F000", ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", text_drift },
    { "0A000", ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", text_drift },
    { "21000", ERR_FAILED_PRECONDITION, "KEY_TWICE",
      "two rows of one key cannot be written at the same time" },
    { "22", ERR_INVALID_ARGUMENT, "VALUE_INVALID",
      "a value does not fit the type of its field; correct the request" },
    { "23505", ERR_ALREADY_EXISTS, "DUPLICATE_KEY", "a row with this key exists already" },
    { "23", ERR_FAILED_PRECONDITION, "CONSTRAINT_VIOLATED",
      "the database refuses the values by one of its constraints" },
    { "40003", ERR_WRITE_UNCERTAIN, "WRITE_UNCERTAIN",
      "whether the change took place is not known yet; ask for its state before trying again" },
    { "40", ERR_ABORTED, "SOURCE_CONFLICT",
      "the database aborted the transaction in favour of another; try again" },
    { "55P03", ERR_ABORTED, "SOURCE_CONFLICT",
      "the database could not lock what the request needs; try again" },
};

int err_set_unavailable(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE", "%s", text_unavailable);
}

static const char *field(const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);
    return text != NULL ? text : "";
}

void err_from_result(struct err *err, const PGresult *result)
{
    const char *sqlstate = field(result, PG_DIAG_SQLSTATE);
    const struct sqlstate_rule *rule = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0] && rule == NULL; i++)
        if (strncmp(sqlstate, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            rule = &rules[i];
    if (sqlstate[0] == '\0')
        (void)err_set_unavailable(err); /* libpq's own error: the connection broke */
    else if (rule != NULL)
        (void)err_set(err, rule->code, rule->reason, "%s", rule->text);
    else
        (void)err_set(err, ERR_INTERNAL, "SOURCE_ERROR",
                      "the owner's database reported an error; it has been logged");
    /* Messages of class 22 quote the value they refuse, and a log never holds payload. */
    const char *message = strncmp(sqlstate, "22", 2) == 0 ? "data exception"
                          : sqlstate[0] == '\0'           ? PQresultErrorMessage(result)
                                                          : field(result, PG_DIAG_MESSAGE_PRIMARY);
    (void)err_detail(err, "sqlstate %s: %s", sqlstate[0] != '\0' ? sqlstate : "none", message);
}

void err_from_connection(struct err *err, const PGconn *pg)
{
    (void)err_set_unavailable(err);
    (void)err_detail(err, "%s", PQerrorMessage(pg));
}

bool sqlstate_commit_refused(const char *sqlstate)
{
    return strncmp(sqlstate, "23", 2) == 0 || strcmp(sqlstate, "40001") == 0 ||
           strcmp(sqlstate, "40002") == 0 || strcmp(sqlstate, "40P01") == 0;
}
