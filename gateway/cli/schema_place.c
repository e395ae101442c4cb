#include "cli/schema_place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/places.h"
#include "cli/text.h"
#include "conf/yaml.h"

/* A sample of a large view may take a while; an author waits, a department's database need not. */
#define SET_STATEMENT_TIMEOUT "SET statement_timeout = '30s'"

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, NAMES_MAX = 4096 };

char *schema_place_dir(const struct cli *cli, size_t index)
{
    return cli->operand_count > index ? mem_strdup(cli->operands[index]) : places_schemas();
}

char *schema_place_descriptors(const struct cli *cli, const char *dir)
{
    const char *given = cli_option_text(cli, OPT_DESCRIPTORS, NULL);
    char *file;

    if (given != NULL)
        return mem_strdup(given);
    file = mem_format("%s/canonical.pb", dir);
    if (access(file, R_OK) != 0 && access("build/schemas/canonical.pb", R_OK) == 0) {
        free(file);
        file = mem_strdup("build/schemas/canonical.pb");
    }
    return file;
}

int schema_place_report(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    if (err->detail[0] != '\0')
        NOTE(MSG_DETAIL, err->detail);
    return EXIT_FAILED;
}

struct schema_bundle *schema_place_bundle(const struct cli *cli, const char *dir)
{
    char *descriptors = schema_place_descriptors(cli, dir);
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = schema_bundle_load(dir, descriptors, &err);

    free(descriptors);
    if (bundle == NULL)
        (void)schema_place_report(&err);
    return bundle;
}

struct dictionary *schema_place_dictionary(const char *dir)
{
    struct err err = ERR_INIT;
    struct dictionary *dictionary = dictionary_load(dir, &err);

    if (dictionary == NULL)
        (void)schema_place_report(&err);
    return dictionary;
}

const struct schema_dataset *schema_place_dataset(const struct schema_bundle *bundle,
                                                  const char *name)
{
    const struct schema_dataset *found = schema_bundle_find(bundle, name);
    const char *names[NAMES_MAX], *near;
    size_t count = 0;

    if (found != NULL)
        return found;
    for (size_t i = 0; i < schema_bundle_count(bundle) && count < NAMES_MAX; i++)
        names[count++] = schema_bundle_at(bundle, i)->name;
    near = text_nearest(name, names, count);
    if (near != NULL)
        COMPLAIN(MSG_SCHEMA_NO_DATASET_NEAR, name, near);
    else
        COMPLAIN(MSG_SCHEMA_NO_DATASET, name);
    return NULL;
}

/* --- files --------------------------------------------------------------------------------------
 */

bool schema_place_read(const char *path, struct buf *out)
{
    struct err err = ERR_INIT;

    buf_init(out, FILE_BYTES_MAX);
    if (yaml_read_file(path, out, &err) == 0 && out->len < out->max)
        return true;
    COMPLAIN(MSG_FILE_UNREADABLE, path);
    return false;
}

static int unwritable(const char *path)
{
    COMPLAIN(MSG_SCHEMA_UNWRITABLE, path, strerror(errno));
    return EXIT_FAILED;
}

static bool make_folders(const char *path)
{
    char *copy = mem_strdup(path);
    bool fine = true;

    for (char *at = copy + 1; fine && *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        fine = mkdir(copy, 0777) == 0 || errno == EEXIST;
        *at = '/';
    }
    free(copy);
    return fine;
}

int schema_place_write(const char *path, struct slice content, bool replace)
{
    FILE *file;

    if (!make_folders(path))
        return unwritable(path);
    file = fopen(path, replace ? "w" : "wx");
    if (file == NULL && errno == EEXIST) {
        COMPLAIN(MSG_SCHEMA_FILE_EXISTS, path);
        return EXIT_FAILED;
    }
    if (file == NULL)
        return unwritable(path);
    bool written = fwrite(content.data, 1, content.len, file) == content.len;
    if (fclose(file) != 0 || !written)
        return unwritable(path);
    NOTE(MSG_SCHEMA_WROTE, path);
    return EXIT_OK;
}

/* --- a department's database --------------------------------------------------------------------
 */

static void silence(void *context, const char *text)
{
    (void)context;
    (void)text;
}

PGconn *schema_place_connect(const struct cli *cli, int *status_r)
{
    /* Whatever a view or a domain does inside: nothing is written, nothing is waited for long. */
    static const char *const opening[] = {
        "SET default_transaction_read_only = on",
        SET_STATEMENT_TIMEOUT,
        "SET lock_timeout = '5s'",
        "SET search_path = pg_catalog",
        "SET timezone = 'UTC'", /* native texts read the same for everybody */
        "SET datestyle = 'ISO'",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    static const char *const names[] = { "connect_timeout", "application_name", "client_encoding",
                                         "dbname", NULL };
    const char *conninfo = cli_option_text(cli, OPT_DATABASE, NULL);

    if (conninfo == NULL)
        conninfo = cli_environment("SLUICE_SOURCE_DATABASE");
    if (conninfo == NULL) {
        COMPLAIN(MSG_SCHEMA_NO_DATABASE);
        *status_r = EXIT_USAGE;
        return NULL;
    }
    const char *const values[] = { "10", "sluice", "UTF8", conninfo, NULL };
    PGconn *conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(conn) != CONNECTION_OK) {
        char *text = mem_strndup(PQerrorMessage(conn), strcspn(PQerrorMessage(conn), "\n"));
        COMPLAIN(MSG_SCHEMA_CONNECT, text);
        free(text);
        PQfinish(conn);
        *status_r = EXIT_UNAVAILABLE;
        return NULL;
    }
    PQsetNoticeProcessor(conn, silence, NULL);
    *status_r = EXIT_OK;
    for (size_t i = 0; i < sizeof opening / sizeof opening[0] && *status_r == EXIT_OK; i++)
        PQclear(schema_place_query(conn, opening[i], NULL, 0, status_r));
    if (*status_r == EXIT_OK)
        return conn;
    PQfinish(conn);
    return NULL;
}

int schema_place_refused(PGconn *conn, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (primary == NULL)
        primary = PQerrorMessage(conn);
    char *text = mem_strndup(primary, strcspn(primary, "\n"));
    COMPLAIN(MSG_DB_STATEMENT, text, state != NULL ? state : "-");
    free(text);
    if (state != NULL && strcmp(state, "42501") == 0) { /* insufficient_privilege */
        NOTE(MSG_SCHEMA_PRIVILEGE);
        return EXIT_DENIED;
    }
    if (state != NULL && strcmp(state, "57014") == 0) /* query_canceled: our own time limit */
        NOTE(MSG_SCHEMA_SLOW);
    if (state != NULL && strcmp(state, "22021") == 0) /* character_not_in_repertoire */
        NOTE(MSG_SCHEMA_ENCODING);
    return PQstatus(conn) == CONNECTION_OK ? EXIT_FAILED : EXIT_UNAVAILABLE;
}

PGresult *schema_place_query(PGconn *conn, const char *sql, const char *const *params, int count,
                             int *status_r)
{
    PGresult *result = PQexecParams(conn, sql, count, NULL, params, NULL, NULL, 0);

    *status_r = EXIT_OK;
    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        return result;
    *status_r = schema_place_refused(conn, result);
    PQclear(result);
    return NULL;
}

char *schema_place_mask(const char *text)
{
    enum { HEAD_MAX = 6, TAIL_MAX = 4 };
    size_t len = strlen(text), count = 0, at = 0;
    struct buf out;
    char *copy;

    if (!utf8_valid(text, len))
        return mem_strdup("***");
    for (uint32_t cp = 0; at < len; count++)
        at += utf8_decode((const uint8_t *)text + at, len - at, &cp);
    size_t head = count / 3 < HEAD_MAX ? count / 3 : HEAD_MAX;
    size_t tail = count / 4 < TAIL_MAX ? count / 4 : TAIL_MAX;
    head = count == 2 ? 1 : head;
    buf_init(&out, len + count + 1);
    at = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t cp = 0;
        size_t step = utf8_decode((const uint8_t *)text + at, len - at, &cp);
        if (i < head || i >= count - tail)
            (void)buf_append(&out, text + at, step);
        else
            (void)buf_append_byte(&out, '*');
        at += step;
    }
    copy = mem_strdup(buf_cstr(&out));
    buf_fini(&out);
    return copy;
}

void schema_place_quote(struct buf *out, const char *name)
{
    (void)buf_append_byte(out, '"');
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '"')
            (void)buf_append_byte(out, '"');
        (void)buf_append_byte(out, (uint8_t)*at);
    }
    (void)buf_append_byte(out, '"');
}
