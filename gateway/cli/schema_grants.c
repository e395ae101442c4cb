/* sluice schema grants: what the department's DBA lets the gateway's role read, column by column. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/schema_place.h"
#include "cli/text.h"
#include "conf/yaml.h"

enum { STATEMENT_BYTES_MAX = 1024 * 1024 };

/* A table that mappings read, with every column they need. */
struct need {
    const char *source;
    const char *schema;
    const char *table;
    const char **columns;
    size_t column_count;
    bool wanted; /* by a dataset named on the command line */
};

struct grants {
    const struct cli *cli;
    const char *role;
    struct need *needs;
    size_t count;
    const char *source; /* of the wanted datasets; NULL: several */
    json_t *rows;
};

static const char *root_text(const struct yaml_node *root, const char *key, const char *fallback)
{
    const struct yaml_node *node = yaml_get(root, key);
    return node != NULL && yaml_kind(node) == YAML_SCALAR ? yaml_text(node) : fallback;
}

static struct need *need_of(struct grants *grants, const char *source, const char *schema,
                            const char *table)
{
    for (size_t i = 0; i < grants->count; i++)
        if (strcmp(grants->needs[i].source, source) == 0 &&
            strcmp(grants->needs[i].schema, schema) == 0 &&
            strcmp(grants->needs[i].table, table) == 0)
            return &grants->needs[i];
    grants->needs = mem_resize(grants->needs, (grants->count + 1) * sizeof *grants->needs);
    grants->needs[grants->count] = (struct need){
        .source = source,
        .schema = schema,
        .table = table,
        .columns = mem_array(DICTIONARY_COLUMNS_MAX, sizeof(char *)),
    };
    return &grants->needs[grants->count++];
}

static bool need_has(const struct need *need, const char *column)
{
    for (size_t i = 0; i < need->column_count; i++)
        if (strcmp(need->columns[i], column) == 0)
            return true;
    return false;
}

static void need_column(struct need *need, const char *column)
{
    if (!need_has(need, column) && need->column_count < DICTIONARY_COLUMNS_MAX)
        need->columns[need->column_count++] = column;
}

/* The tables of its lists, which a query has too. */
static void collect_children(struct grants *grants, const struct schema_dataset *dataset,
                             bool wanted)
{
    const char **names = mem_array(DICTIONARY_COLUMNS_MAX, sizeof *names);
    struct dictionary_child child;

    for (size_t i = 0; dictionary_dataset_child(dataset, i, &child); i++) {
        struct need *need = need_of(grants, dataset->source, child.schema, child.table);
        size_t count = dictionary_child_columns(dataset, i, names, DICTIONARY_COLUMNS_MAX);

        need->wanted = need->wanted || wanted;
        for (size_t c = 0; c < count && c < DICTIONARY_COLUMNS_MAX; c++)
            need_column(need, names[c]);
    }
    free(names);
}

static void collect(struct grants *grants, const struct schema_dataset *dataset,
                    const struct yaml_node *root, bool wanted)
{
    struct dictionary_column *columns = mem_array(DICTIONARY_COLUMNS_MAX, sizeof *columns);
    size_t count = dictionary_dataset_columns(dataset, columns, DICTIONARY_COLUMNS_MAX);
    struct need *need = need_of(grants, dataset->source, root_text(root, "schema", "public"),
                                root_text(root, "table", ""));

    need->wanted = need->wanted || wanted;
    for (size_t i = 0; i < count && i < DICTIONARY_COLUMNS_MAX; i++)
        need_column(need, columns[i].name);
    free(columns);
}

/* Operands are datasets and at most one folder: "a/b" may be either, so the disk decides. */
static bool is_dataset(const char *word)
{
    char *departments = mem_format("%s/departments", word);
    bool folder = access(departments, F_OK) == 0 || strchr(word, '/') == NULL || word[0] == '.' ||
                  word[0] == '/';

    free(departments);
    return !folder;
}

static bool wanted_dataset(const struct cli *cli, const char *name, bool *any_r)
{
    bool found = false;

    *any_r = false;
    for (size_t i = 0; i < cli->operand_count; i++) {
        if (!is_dataset(cli->operands[i]))
            continue;
        *any_r = true;
        found = found || strcmp(cli->operands[i], name) == 0;
    }
    return found || !*any_r;
}

/* --- statements ---------------------------------------------------------------------------------
 */

static void add_statement(struct grants *grants, const char *source, const struct buf *sql)
{
    json_array_append_new(grants->rows, json_pack("{s:s, s:s%}", "source", source, "statement",
                                                  (const char *)sql->data, sql->len));
}

static void begin(struct buf *sql, const char *text)
{
    buf_init(sql, STATEMENT_BYTES_MAX);
    (void)buf_append_str(sql, text);
}

static void put_table(struct buf *sql, const char *schema, const char *table)
{
    schema_place_quote(sql, schema);
    (void)buf_append_byte(sql, '.');
    schema_place_quote(sql, table);
}

static void end(struct grants *grants, const char *source, struct buf *sql, const char *glue)
{
    (void)buf_append_str(sql, glue);
    schema_place_quote(sql, grants->role);
    (void)buf_append_byte(sql, ';');
    add_statement(grants, source, sql);
    buf_fini(sql);
}

static void grant_needs(struct grants *grants)
{
    struct buf sql;

    for (size_t i = 0; i < grants->count; i++) {
        const struct need *need = &grants->needs[i];
        bool schema_done = false;

        for (size_t j = 0; j < i; j++)
            schema_done = schema_done || (grants->needs[j].wanted &&
                                          strcmp(grants->needs[j].source, need->source) == 0 &&
                                          strcmp(grants->needs[j].schema, need->schema) == 0);
        if (!need->wanted)
            continue;
        if (!schema_done) {
            begin(&sql, "GRANT USAGE ON SCHEMA ");
            schema_place_quote(&sql, need->schema);
            end(grants, need->source, &sql, " TO ");
        }
        begin(&sql, "GRANT SELECT (");
        for (size_t c = 0; c < need->column_count; c++) {
            (void)buf_append_str(&sql, c > 0 ? ", " : "");
            schema_place_quote(&sql, need->columns[c]);
        }
        (void)buf_append_str(&sql, ") ON TABLE ");
        put_table(&sql, need->schema, need->table);
        end(grants, need->source, &sql, " TO ");
    }
}

/* --- what the role has already ------------------------------------------------------------------
 */

/* Granted by name to this role: what comes through groups or PUBLIC is not ours to take away. */
static const char held_sql[] =
    "SELECT n.nspname, c.relname, NULL::text AS attname, x.privilege_type"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,"
    " LATERAL pg_catalog.aclexplode(c.relacl) x"
    " JOIN pg_catalog.pg_roles r ON r.oid = x.grantee"
    " WHERE r.rolname = $1 AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relowner <> r.oid"
    " UNION ALL"
    " SELECT n.nspname, c.relname, a.attname, x.privilege_type"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,"
    " LATERAL pg_catalog.aclexplode(a.attacl) x"
    " JOIN pg_catalog.pg_roles r ON r.oid = x.grantee"
    " WHERE r.rolname = $1 AND NOT a.attisdropped AND c.relowner <> r.oid"
    " ORDER BY 1, 2, 3 NULLS FIRST, 4";

static bool still_needed(const struct grants *grants, const PGresult *held, int row)
{
    if (PQgetisnull(held, row, 2) || strcmp(PQgetvalue(held, row, 3), "SELECT") != 0)
        return false; /* a whole table, or more than reading */
    for (size_t i = 0; i < grants->count; i++)
        if (strcmp(grants->needs[i].source, grants->source) == 0 &&
            strcmp(grants->needs[i].schema, PQgetvalue(held, row, 0)) == 0 &&
            strcmp(grants->needs[i].table, PQgetvalue(held, row, 1)) == 0)
            return need_has(&grants->needs[i], PQgetvalue(held, row, 2));
    return false;
}

/* Revokes go first: one of a whole table takes the columns' grants with it. */
static int revoke_held(struct grants *grants, PGconn *conn)
{
    const char *params[1] = { grants->role };
    int status;
    PGresult *held = schema_place_query(conn, held_sql, params, 1, &status);
    struct buf sql;

    for (int row = 0; held != NULL && row < PQntuples(held); row++) {
        if (still_needed(grants, held, row))
            continue;
        begin(&sql, "REVOKE ");
        (void)buf_append_str(&sql, PQgetvalue(held, row, 3));
        if (!PQgetisnull(held, row, 2)) {
            (void)buf_append_str(&sql, " (");
            schema_place_quote(&sql, PQgetvalue(held, row, 2));
            (void)buf_append_byte(&sql, ')');
        }
        (void)buf_append_str(&sql, " ON TABLE ");
        put_table(&sql, PQgetvalue(held, row, 0), PQgetvalue(held, row, 1));
        end(grants, grants->source, &sql, " FROM ");
    }
    PQclear(held);
    return status;
}

static const char role_sql[] =
    "SELECT pg_catalog.current_database(),"
    " (SELECT pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')"
    " FROM pg_catalog.pg_roles r WHERE r.rolname = $1)";

static int read_catalogue(struct grants *grants)
{
    const char *params[1] = { grants->role };
    int status;
    struct buf sql;
    PGconn *conn = schema_place_connect(grants->cli, &status);
    PGresult *role = conn != NULL ? schema_place_query(conn, role_sql, params, 1, &status) : NULL;

    if (role != NULL && PQgetisnull(role, 0, 1))
        NOTE(MSG_SCHEMA_NO_ROLE, grants->role);
    if (role != NULL && strcmp(PQgetvalue(role, 0, 1), "t") != 0) {
        begin(&sql, "GRANT CONNECT ON DATABASE ");
        schema_place_quote(&sql, PQgetvalue(role, 0, 0));
        end(grants, grants->source, &sql, " TO ");
    }
    if (role != NULL)
        status = revoke_held(grants, conn);
    PQclear(role);
    PQfinish(conn);
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static int print(const struct grants *grants)
{
    struct output *output;
    const char *last = "";
    int failed = 0;

    if (grants->cli->format == OUTPUT_TABLE) {
        for (size_t i = 0; i < json_array_size(grants->rows); i++) {
            const json_t *row = json_array_get(grants->rows, i);
            const char *source = json_string_value(json_object_get(row, "source"));
            if (strcmp(source, last) != 0) {
                char *safe = text_safe(source); /* a line feed would end the comment */
                printf("%s-- source %s\n", i > 0 ? "\n" : "", safe);
                free(safe);
            }
            puts(json_string_value(json_object_get(row, "statement")));
            last = source;
        }
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    output = cli_output(grants->cli);
    output_set_columns(output, (const char *const[]){ "source", "statement" }, 2);
    for (size_t i = 0; i < json_array_size(grants->rows) && failed == 0; i++)
        failed = output_row(output, json_array_get(grants->rows, i));
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

/* Every dataset of the folder counts as a need, those asked for are printed. */
static int collect_all(struct grants *grants, const struct schema_bundle *bundle,
                       const struct dictionary *dictionary)
{
    bool any;

    for (size_t i = 0; i < grants->cli->operand_count; i++)
        if (is_dataset(grants->cli->operands[i]) &&
            schema_place_dataset(bundle, grants->cli->operands[i]) == NULL)
            return EXIT_NOT_FOUND;
    for (size_t i = 0; i < schema_bundle_count(bundle); i++) {
        const struct schema_dataset *dataset = schema_bundle_at(bundle, i);
        const struct dictionary_dataset *document = dictionary_find(dictionary, dataset->name);
        bool wanted = wanted_dataset(grants->cli, dataset->name, &any);

        collect_children(grants, dataset, wanted);
        if (document == NULL || root_text(document->root, "table", NULL) == NULL) {
            if (wanted)
                NOTE(MSG_SCHEMA_GRANTS_NO_TABLE, dataset->name);
            continue;
        }
        collect(grants, dataset, document->root, wanted);
        if (wanted && grants->source != NULL && strcmp(grants->source, dataset->source) != 0 &&
            cli_option_set(grants->cli, OPT_DATABASE)) {
            COMPLAIN(MSG_SCHEMA_GRANTS_SOURCES, grants->source, dataset->source);
            return EXIT_USAGE;
        }
        if (wanted)
            grants->source = dataset->source;
    }
    return EXIT_OK;
}

int schema_grants(struct cli *cli)
{
    struct grants grants = { .cli = cli, .role = cli->options[OPT_ROLE], .rows = json_array() };
    size_t folder = CLI_ARGS_MAX; /* none: the folder of the installation */
    int status = EXIT_FAILED;

    if (!cli_option_required(cli, OPT_ROLE)) {
        json_decref(grants.rows);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < cli->operand_count; i++)
        if (!is_dataset(cli->operands[i]))
            folder = i;
    char *dir = schema_place_dir(cli, folder);
    struct schema_bundle *bundle = schema_place_bundle(cli, dir);
    struct dictionary *dictionary = bundle != NULL ? schema_place_dictionary(dir) : NULL;
    if (dictionary != NULL)
        status = collect_all(&grants, bundle, dictionary);
    if (status == EXIT_OK && cli_option_set(cli, OPT_DATABASE) && grants.source != NULL)
        status = read_catalogue(&grants);
    if (status == EXIT_OK) {
        grant_needs(&grants);
        status = print(&grants);
    }
    for (size_t i = 0; i < grants.count; i++)
        free(grants.needs[i].columns);
    free(grants.needs);
    json_decref(grants.rows);
    dictionary_free(&dictionary);
    schema_bundle_free(&bundle);
    free(dir);
    return status;
}
