/* sluice schema infer: reads a table's catalogue entries and a sample, and prints or writes a draft. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/schema_place.h"
#include "cli/text.h"
#include "schema/infer.h"

enum {
    SAMPLE_DEFAULT = 2000,
    SAMPLE_MAX = 100000,
    VALUE_CHARACTERS_MAX = 512, /* a longer one is text, whatever it says */
    SAMPLES_SHOWN = 3,
    TABLES_MAX = 4096,
    NAME_BYTES_MAX = 64,
};

struct inference {
    const struct cli *cli;
    struct arena arena;
    PGconn *conn;
    const char *oid; /* of the table, as text */
    char relkind;
    double row_estimate;
    struct infer_table table;
    struct infer_column *columns;
};

/* A database without an encoding may hold anything: what is no UTF-8 is shown escaped. */
static const char *keep(struct inference *in, const char *text)
{
    const char *copy;

    if (utf8_valid(text, strlen(text)))
        return arena_strdup(&in->arena, text);
    char *safe = text_safe(text);
    copy = arena_strdup(&in->arena, safe);
    free(safe);
    return copy;
}

/* --- the table ----------------------------------------------------------------------------------
 */

/* As one would write it in SQL: "schema"."table", schema.table, or a table's bare name. */
static bool read_name(const char **at, char *out, size_t size)
{
    size_t len = 0;
    bool quoted = **at == '"';

    for (*at += quoted; **at != '\0' && len + 1 < size; (*at)++) {
        if (quoted && (*at)[0] == '"' && (*at)[1] == '"')
            (*at)++;
        else if (quoted ? **at == '"' : **at == '.')
            break;
        out[len++] = **at;
    }
    out[len] = '\0';
    *at += quoted && **at == '"';
    return len > 0;
}

static const char table_sql[] =
    "SELECT c.oid, c.relkind, c.reltuples, n.nspname, c.relname,"
    " COALESCE(pg_catalog.obj_description(c.oid, 'pg_class'), '')"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p')";

static PGresult *look_up(struct inference *in, const char *schema, const char *table, int *status_r)
{
    const char *params[2] = { schema, table };
    PGresult *found = schema_place_query(in->conn, table_sql, params, 2, status_r);

    if (found != NULL && PQntuples(found) > 0)
        return found;
    PQclear(found);
    return NULL;
}

static int no_table(struct inference *in, const char *given)
{
    static const char sql[] =
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 4096";
    const char *names[TABLES_MAX], *near = NULL;
    int status;
    PGresult *tables = schema_place_query(in->conn, sql, NULL, 0, &status);
    size_t count = 0;

    for (int i = 0; tables != NULL && i < PQntuples(tables) && count < TABLES_MAX; i++)
        names[count++] = PQgetvalue(tables, i, 0);
    near = text_nearest(given, names, count);
    if (near != NULL)
        COMPLAIN(MSG_SCHEMA_NO_TABLE_NEAR, given, near);
    else
        COMPLAIN(MSG_SCHEMA_NO_TABLE, given);
    PQclear(tables);
    return EXIT_NOT_FOUND;
}

static int find_table(struct inference *in)
{
    const char *given = in->cli->options[OPT_TABLE], *at = given;
    char first[256], second[256] = "";
    int status = EXIT_OK;
    PGresult *found = look_up(in, "public", given, &status); /* a name may have a dot in it */

    if (found == NULL && status == EXIT_OK && read_name(&at, first, sizeof first)) {
        if (*at == '.') {
            at++;
            (void)read_name(&at, second, sizeof second);
        }
        found = second[0] != '\0' ? look_up(in, first, second, &status)
                                  : look_up(in, "public", first, &status);
    }
    if (found == NULL)
        return status != EXIT_OK ? status : no_table(in, given);
    in->oid = arena_strdup(&in->arena, PQgetvalue(found, 0, 0));
    in->relkind = PQgetvalue(found, 0, 1)[0];
    in->row_estimate = strtod(PQgetvalue(found, 0, 2), NULL);
    in->table.schema = keep(in, PQgetvalue(found, 0, 3));
    in->table.table = keep(in, PQgetvalue(found, 0, 4));
    in->table.comment = keep(in, PQgetvalue(found, 0, 5));
    PQclear(found);
    return EXIT_OK;
}

static const char columns_sql[] =
    "SELECT a.attname, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END,"
    " pg_catalog.format_type(a.atttypid, a.atttypmod),"
    " COALESCE(pg_catalog.col_description(a.attrelid, a.attnum), ''),"
    " COALESCE((CASE WHEN co.collname = 'default' THEN d.datcollate ELSE co.collcollate END)"
    " IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8'), false), a.attnum,"
    " EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique"
    " AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation"
    " JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()"
    " WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attnum";

/* The primary key, else the narrowest unique index over columns that are never null. */
static const char key_sql[] =
    "SELECT i.indisprimary, k.attnum FROM (SELECT x.* FROM pg_catalog.pg_index x"
    " WHERE x.indrelid = $1::pg_catalog.oid AND x.indisunique AND x.indisvalid"
    " AND x.indpred IS NULL AND x.indexprs IS NULL AND (x.indisprimary OR NOT EXISTS"
    " (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.indrelid"
    " AND a.attnum = ANY (x.indkey) AND NOT a.attnotnull))"
    " ORDER BY x.indisprimary DESC, x.indnkeyatts, x.indexrelid LIMIT 1) i,"
    " LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, place)"
    " WHERE k.place <= i.indnkeyatts ORDER BY k.place";

static int read_key(struct inference *in, const PGresult *columns)
{
    int status;
    PGresult *key = schema_place_query(in->conn, key_sql, &in->oid, 1, &status);
    size_t *list = arena_array(&in->arena, INFER_COLUMNS_MAX, sizeof *list);

    in->table.key = list;
    in->table.key_kind = "";
    for (int i = 0; key != NULL && i < PQntuples(key); i++) {
        in->table.key_kind = PQgetvalue(key, i, 0)[0] == 't' ? "primary key" : "unique index";
        for (int c = 0; c < PQntuples(columns) && c < INFER_COLUMNS_MAX; c++)
            if (strcmp(PQgetvalue(columns, c, 5), PQgetvalue(key, i, 1)) == 0)
                list[in->table.key_count++] = (size_t)c;
    }
    PQclear(key);
    return status;
}

static int read_columns(struct inference *in)
{
    int status;
    PGresult *found = schema_place_query(in->conn, columns_sql, &in->oid, 1, &status);
    int count = found != NULL ? PQntuples(found) : 0;

    count = count < INFER_COLUMNS_MAX ? count : INFER_COLUMNS_MAX;
    in->columns = arena_array(&in->arena, (size_t)count + 1, sizeof *in->columns);
    in->table.columns = in->columns;
    in->table.column_count = (size_t)count;
    for (int i = 0; i < count; i++)
        in->columns[i] = (struct infer_column){
            .name = keep(in, PQgetvalue(found, i, 0)),
            .oid = (uint32_t)strtoul(PQgetvalue(found, i, 1), NULL, 10),
            .type_name = keep(in, PQgetvalue(found, i, 2)),
            .comment = keep(in, PQgetvalue(found, i, 3)),
            .bytewise = PQgetvalue(found, i, 4)[0] == 't',
            .unique_index = PQgetvalue(found, i, 6)[0] == 't',
        };
    if (found != NULL)
        status = read_key(in, found);
    PQclear(found);
    return status;
}

/* --- the sample ---------------------------------------------------------------------------------
 */

/* Of a large table some pages all over it, else its first rows. */
static void put_sample_sql(const struct inference *in, long rows, bool pages, struct buf *sql)
{
    (void)buf_append_str(sql, "SELECT ");
    for (size_t i = 0; i < in->table.column_count; i++) {
        (void)buf_append_str(sql, i > 0 ? ", " : "");
        (void)buf_append_str(sql, "pg_catalog.left(");
        schema_place_quote(sql, in->columns[i].name);
        (void)buf_append_format(sql, "::pg_catalog.text, %d)", VALUE_CHARACTERS_MAX);
    }
    (void)buf_append_str(sql, " FROM ");
    schema_place_quote(sql, in->table.schema);
    (void)buf_append_byte(sql, '.');
    schema_place_quote(sql, in->table.table);
    if (pages) /* four times what is asked for, since pages are filled unevenly */
        (void)buf_append_format(sql, " TABLESAMPLE SYSTEM (%.6f) REPEATABLE (1)",
                                400.0 * (double)rows / in->row_estimate);
    (void)buf_append_format(sql, " LIMIT %ld", rows);
}

static PGresult *sample_rows(const struct inference *in, long rows, int *status_r)
{
    bool pages = (in->relkind == 'r' || in->relkind == 'm' || in->relkind == 'p') &&
                 in->row_estimate > 20.0 * (double)rows;
    PGresult *found = NULL;
    struct buf sql;

    for (; found == NULL; pages = false) {
        buf_init(&sql, 1024 * 1024);
        put_sample_sql(in, rows, pages, &sql);
        found = schema_place_query(in->conn, buf_cstr(&sql), NULL, 0, status_r);
        buf_fini(&sql);
        if (found == NULL || !pages || PQntuples(found) > 0)
            break;
        PQclear(found);
        found = NULL;
    }
    return found;
}

static void add_samples(struct inference *in, struct infer_column *column)
{
    const char **samples = arena_array(&in->arena, SAMPLES_SHOWN, sizeof *samples);

    for (size_t i = 0; i < column->value_count && column->sample_count < SAMPLES_SHOWN; i++) {
        if (column->values[i] == NULL || column->values[i][0] == '\0')
            continue;
        char *masked = schema_place_mask(column->values[i]);
        bool seen = false;
        for (size_t s = 0; s < column->sample_count; s++)
            seen = seen || strcmp(samples[s], masked) == 0;
        if (!seen)
            samples[column->sample_count++] = arena_strdup(&in->arena, masked);
        free(masked);
    }
    column->samples = samples;
}

static int read_sample(struct inference *in, long rows)
{
    int status;
    PGresult *found = sample_rows(in, rows, &status);
    int count = found != NULL ? PQntuples(found) : 0;

    in->table.row_count = (size_t)count;
    for (size_t c = 0; found != NULL && c < in->table.column_count; c++) {
        const char **values = arena_array(&in->arena, (size_t)count + 1, sizeof *values);
        for (int r = 0; r < count; r++)
            if (!PQgetisnull(found, r, (int)c))
                values[r] = keep(in, PQgetvalue(found, r, (int)c));
        in->columns[c].values = values;
        in->columns[c].value_count = (size_t)count;
        if (cli_option_set(in->cli, OPT_SHOW_SAMPLES))
            add_samples(in, &in->columns[c]);
    }
    PQclear(found);
    return status;
}

/* --- the draft ----------------------------------------------------------------------------------
 */

static int deliver(const struct inference *in, const struct infer_draft *draft,
                   const struct infer_names *names)
{
    const char *out = cli_option_text(in->cli, OPT_OUT, NULL);
    int status = EXIT_OK;

    if (out == NULL) {
        bool written =
            fwrite(draft->mapping.data, 1, draft->mapping.len, stdout) == draft->mapping.len;
        return written && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    char *mapping = mem_format("%s/departments/%s/%s.yaml", out, names->department, names->dataset);
    if (draft->proto.len > 0) {
        char *proto = mem_format("%s/canonical/%s", out, draft->proto_file);
        status = schema_place_write(proto, buf_slice(&draft->proto), false);
        free(proto);
    }
    if (status == EXIT_OK)
        status = schema_place_write(mapping, buf_slice(&draft->mapping), false);
    free(mapping);
    return status;
}

static void report(const struct inference *in, const struct infer_draft *draft,
                   const struct infer_names *names, const struct schema_set *types)
{
    struct err err = ERR_INIT;
    char columns[24], rows[24], decisions[24];

    snprintf(columns, sizeof columns, "%zu", in->table.column_count);
    snprintf(rows, sizeof rows, "%zu", in->table.row_count);
    snprintf(decisions, sizeof decisions, "%zu", draft->decision_count);
    NOTE(MSG_SCHEMA_INFER_DONE, columns, rows, decisions);
    for (size_t i = 0; i < draft->decision_count; i++)
        NOTE(MSG_SCHEMA_INFER_DECIDE, draft->decisions[i]);
    if (types != NULL && infer_draft_check(draft, names, types, &err) != 0)
        NOTE(MSG_SCHEMA_INFER_FAULT, err.text);
}

static int make_draft(struct inference *in, const struct infer_names *names,
                      const struct schema_set *types, const struct schema_message *type)
{
    struct infer_guess *guesses =
        arena_array(&in->arena, in->table.column_count + 1, sizeof *guesses);
    struct infer_draft *draft = arena_alloc(&in->arena, sizeof *draft);
    int status;

    for (size_t i = 0; i < in->table.column_count; i++)
        infer_guess(&in->columns[i], &in->arena, &guesses[i]);
    infer_draft(&in->table, guesses, names, type, &in->arena, draft);
    status = deliver(in, draft, names);
    if (status == EXIT_OK)
        report(in, draft, names, type != NULL ? types : NULL);
    buf_fini(&draft->mapping);
    buf_fini(&draft->proto);
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static bool name_is_valid(const char *name)
{
    size_t len = strlen(name);

    if (len > 0 && len <= NAME_BYTES_MAX && name[0] != '-' && name[0] != '_' &&
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len)
        return true;
    COMPLAIN(MSG_SCHEMA_INFER_NAME, name);
    return false;
}

/* Loads the types and finds the one that was named; EXIT_OK without --type, too. */
static int load_type(const struct cli *cli, struct schema_set **types_r,
                     const struct schema_message **type_r)
{
    const char *name = cli_option_text(cli, OPT_TYPE, NULL);
    char *dir = schema_place_dir(cli, 0), *file = schema_place_descriptors(cli, dir);
    struct err err = ERR_INIT;
    struct buf bytes = { 0 };
    int status = EXIT_OK;

    *types_r = NULL;
    *type_r = NULL;
    if (name != NULL && !schema_place_read(file, &bytes))
        status = EXIT_FAILED;
    if (name != NULL && status == EXIT_OK) {
        *types_r = schema_set_load(bytes.data, bytes.len, &err);
        if (*types_r == NULL)
            status = schema_place_report(&err);
        else
            *type_r = schema_set_message(*types_r, name);
        if (*types_r != NULL && *type_r == NULL) {
            COMPLAIN(MSG_SCHEMA_INFER_NO_TYPE, name);
            status = EXIT_NOT_FOUND;
        }
    }
    buf_fini(&bytes);
    free(file);
    free(dir);
    return status;
}

static int run(struct inference *in, const struct infer_names *names, long rows)
{
    struct schema_set *types;
    const struct schema_message *type;
    int status = load_type(in->cli, &types, &type);

    if (status == EXIT_OK)
        in->conn = schema_place_connect(in->cli, &status);
    if (in->conn != NULL)
        status = find_table(in);
    if (in->conn != NULL && status == EXIT_OK)
        status = read_columns(in);
    if (in->conn != NULL && status == EXIT_OK)
        status = read_sample(in, rows);
    if (in->conn != NULL && status == EXIT_OK)
        status = make_draft(in, names, types, type);
    PQfinish(in->conn);
    schema_set_free(&types);
    return status;
}

int schema_infer(struct cli *cli)
{
    static const enum cli_option required[] = { OPT_TABLE, OPT_DEPARTMENT, OPT_DATASET };
    struct inference in = { .cli = cli };
    long rows;
    int status;

    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (!cli_option_required(cli, required[i]))
            return EXIT_USAGE;
    struct infer_names names = { .department = cli->options[OPT_DEPARTMENT],
                                 .dataset = cli->options[OPT_DATASET] };
    names.source = cli_option_text(cli, OPT_SOURCE, names.department);
    if (!name_is_valid(names.department) || !name_is_valid(names.dataset) ||
        !cli_option_number(cli, OPT_SAMPLE, 1, SAMPLE_MAX, SAMPLE_DEFAULT, &rows))
        return EXIT_USAGE;
    if (!cli_option_set(cli, OPT_TYPE) && !cli_option_set(cli, OPT_OUT))
        return cli_usage(cli, MSG_SCHEMA_INFER_NEEDS_OUT, NULL);
    arena_init(&in.arena);
    status = run(&in, &names, rows);
    arena_fini(&in.arena);
    return status;
}
