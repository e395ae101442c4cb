#include "services/schema_rows.h"

#include <string.h>

#include "base/ids.h"
#include "services/timestamps.h"

#define MICROSECONDS(column_) "coalesce((extract(epoch FROM " column_ ") * 1000000)::bigint, 0)"

const char schema_bundles_head[] =
    "SELECT b.digest, CASE WHEN c.digest = b.digest THEN 2::bigint"
    " WHEN EXISTS (SELECT FROM control.schema_history h WHERE h.digest = b.digest) THEN 3 ELSE 1 "
    "END,"
    " b.published_by, " MICROSECONDS(
        "b.published_at") ","
                          " array_to_string(control.schema_missing(b.digest), ' '),"
                          " a.department, a.approved_by, " MICROSECONDS(
                              "a.approved_at") ", a.reason FROM (";
const char schema_bundles_tail[] =
    ") b CROSS JOIN control.schema_current c LEFT JOIN control.schema_approval a"
    " ON a.digest = b.digest AND a.n = CASE WHEN c.digest = b.digest THEN c.n - 1 ELSE c.n END"
    " ORDER BY b.published_at DESC, b.digest DESC, a.department";
const char schema_gateways_sql[] = "SELECT instance, serving, " MICROSECONDS(
    "serving_at") ", refused, refused_text,"
                  " " MICROSECONDS(
                      "refused_at") " FROM control.schema_gateway ORDER BY instance LIMIT 1000";
const char schema_files_sql[] =
    "SELECT f.path, f.blob, octet_length(b.content)::bigint, CASE WHEN $2::boolean AND"
    " (f.path NOT LIKE 'departments/%' OR f.path LIKE 'departments/' || $3 || '/%')"
    " THEN b.content END FROM control.schema_file f JOIN control.schema_blob b ON b.id = f.blob"
    " WHERE f.digest = $1::bytea ORDER BY f.path";

static char *text_of(struct arena *arena, struct db_value value)
{
    return arena_strndup(arena, (const char *)value.data, value.len);
}

static char *hex_of(struct arena *arena, struct db_value value)
{
    char *hex = arena_alloc(arena, 2 * (size_t)value.len + 1);
    hex_encode(value.data, value.len, hex);
    return hex;
}

char *schema_bytea(struct arena *arena, const void *data, size_t len)
{
    char *text = arena_alloc(arena, 2 * len + 3);
    text[0] = '\\';
    text[1] = 'x';
    hex_encode(data, len, text + 2);
    return text;
}

static char **words_of(struct arena *arena, struct db_value value, size_t *count_r)
{
    char *rest = text_of(arena, value);
    size_t count = rest[0] != '\0' ? 1 : 0;
    for (const char *p = rest; *p != '\0'; p++)
        count += *p == ' ';
    char **words = arena_array(arena, count, sizeof *words);
    for (size_t i = 0; i < count; i++)
        words[i] = strsep(&rest, " ");
    *count_r = count;
    return words;
}

static Sluice__V1__SchemaApproval *approval_from_row(struct arena *arena,
                                                     const struct db_rows *rows, int row)
{
    Sluice__V1__SchemaApproval *out = arena_alloc(arena, sizeof *out);
    sluice__v1__schema_approval__init(out);
    out->department = text_of(arena, db_value(rows, row, 5));
    out->approved_by = text_of(arena, db_value(rows, row, 6));
    out->approved_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 7)));
    out->reason = text_of(arena, db_value(rows, row, 8));
    return out;
}

/* `rows_of` rows from `row` on belong to this bundle. */
static Sluice__V1__SchemaBundle *bundle_from_rows(struct arena *arena, const struct db_rows *rows,
                                                  int row, int rows_of)
{
    Sluice__V1__SchemaBundle *out = arena_alloc(arena, sizeof *out);
    sluice__v1__schema_bundle__init(out);
    out->digest = hex_of(arena, db_value(rows, row, 0));
    out->state = (Sluice__V1__SchemaState)db_int8(db_value(rows, row, 1));
    out->published_by = text_of(arena, db_value(rows, row, 2));
    out->published_at = timestamp_from_us(arena, db_int8(db_value(rows, row, 3)));
    out->missing_departments = words_of(arena, db_value(rows, row, 4), &out->n_missing_departments);
    out->approvals = arena_array(arena, (size_t)rows_of, sizeof *out->approvals);
    for (int i = row; i < row + rows_of; i++)
        if (db_value(rows, i, 5).data != NULL)
            out->approvals[out->n_approvals++] = approval_from_row(arena, rows, i);
    return out;
}

static bool same_bundle(const struct db_rows *rows, int a, int b)
{
    struct db_value left = db_value(rows, a, 0), right = db_value(rows, b, 0);
    return left.len == right.len && memcmp(left.data, right.data, left.len) == 0;
}

Sluice__V1__SchemaBundle **schema_bundles_from_rows(struct arena *arena, const struct db_rows *rows,
                                                    size_t *count_r)
{
    int count = db_row_count(rows);
    Sluice__V1__SchemaBundle **out = arena_array(arena, (size_t)count, sizeof *out);
    *count_r = 0;
    for (int row = 0; row < count;) {
        int end = row + 1;
        while (end < count && same_bundle(rows, row, end))
            end++;
        out[(*count_r)++] = bundle_from_rows(arena, rows, row, end - row);
        row = end;
    }
    return out;
}

Sluice__V1__SchemaChange **schema_changes_from_rows(struct arena *arena, const struct db_rows *rows,
                                                    size_t *count_r)
{
    *count_r = (size_t)db_row_count(rows);
    Sluice__V1__SchemaChange **out = arena_array(arena, *count_r, sizeof *out);
    for (int i = 0; i < db_row_count(rows); i++) {
        out[i] = arena_alloc(arena, sizeof **out);
        sluice__v1__schema_change__init(out[i]);
        out[i]->dataset = text_of(arena, db_value(rows, i, 0));
        out[i]->department = text_of(arena, db_value(rows, i, 1));
        out[i]->change = text_of(arena, db_value(rows, i, 2));
    }
    return out;
}

static bool may_read(const char *text, const char *department)
{
    static const char folder[] = "departments/";
    size_t len = strlen(department);
    if (strncmp(text, folder, sizeof folder - 1) != 0)
        return true;
    text += sizeof folder - 1;
    return strncmp(text, department, len) == 0 && text[len] == '/';
}

Sluice__V1__SchemaGateway **schema_gateways_from_rows(struct arena *arena,
                                                      const struct db_rows *rows,
                                                      const char *department, size_t *count_r)
{
    *count_r = (size_t)db_row_count(rows);
    Sluice__V1__SchemaGateway **out = arena_array(arena, *count_r, sizeof *out);
    for (int i = 0; i < db_row_count(rows); i++) {
        out[i] = arena_alloc(arena, sizeof **out);
        sluice__v1__schema_gateway__init(out[i]);
        out[i]->instance = text_of(arena, db_value(rows, i, 0));
        out[i]->serving = hex_of(arena, db_value(rows, i, 1));
        out[i]->serving_at = timestamp_from_us(arena, db_int8(db_value(rows, i, 2)));
        out[i]->refused = hex_of(arena, db_value(rows, i, 3));
        out[i]->refused_text = text_of(arena, db_value(rows, i, 4));
        out[i]->refused_at = timestamp_from_us(arena, db_int8(db_value(rows, i, 5)));
        if (!may_read(out[i]->refused_text, department))
            out[i]->refused_text =
                arena_strdup(arena, "a mapping of another department is refused; "
                                    "its officer reads here which and why");
    }
    return out;
}

Sluice__V1__SchemaFile **schema_files_from_rows(struct arena *arena, const struct db_rows *rows,
                                                size_t *count_r)
{
    *count_r = (size_t)db_row_count(rows);
    Sluice__V1__SchemaFile **out = arena_array(arena, *count_r, sizeof *out);
    for (int i = 0; i < db_row_count(rows); i++) {
        out[i] = arena_alloc(arena, sizeof **out);
        sluice__v1__schema_file__init(out[i]);
        out[i]->path = text_of(arena, db_value(rows, i, 0));
        out[i]->sha256 = hex_of(arena, db_value(rows, i, 1));
        out[i]->size = db_int8(db_value(rows, i, 2));
        struct db_value content = db_value(rows, i, 3);
        out[i]->content.data = arena_dup(arena, content.data, content.len);
        out[i]->content.len = content.len;
    }
    return out;
}
