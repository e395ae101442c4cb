#include <libpq-fe.h>
#include <string.h>

#include "base/arena.h"
#include "pg/db.h"

/* A db_rows is a PGresult seen through a narrower window: no copy, and unit tests of other rooms
 * can make one with PQmakeEmptyPGresult. */
static const PGresult *result_of(const struct db_rows *rows)
{
    return (const PGresult *)(const void *)rows;
}

/* A tuple is told from a result by the lowest bit of its address, which allocation keeps clear: a
 * row read back a million times a second cannot be built in libpq's memory first. */
enum { TUPLE_BIT = 1 };

const struct db_rows *db_rows_of_tuple(const struct db_tuple *tuple)
{
    return (const struct db_rows *)((uintptr_t)tuple | TUPLE_BIT);
}

static const struct db_tuple *tuple_of(const struct db_rows *rows)
{
    uintptr_t address = (uintptr_t)rows;
    return (address & TUPLE_BIT) != 0 ? (const struct db_tuple *)(address - TUPLE_BIT) : NULL;
}

int db_row_count(const struct db_rows *rows)
{
    return tuple_of(rows) != NULL ? 1 : PQntuples(result_of(rows));
}

int db_column_count(const struct db_rows *rows)
{
    const struct db_tuple *tuple = tuple_of(rows);
    return tuple != NULL ? tuple->count : PQnfields(result_of(rows));
}

struct db_value db_value(const struct db_rows *rows, int row, int column)
{
    const struct db_tuple *tuple = tuple_of(rows);
    if (tuple != NULL)
        return row == 0 && column >= 0 && column < tuple->count ? tuple->values[column]
                                                                : (struct db_value){ NULL, 0 };
    const PGresult *result = result_of(rows);
    if (row < 0 || row >= PQntuples(result) || column < 0)
        return (struct db_value){ NULL, 0 };
    /* 0 for SQL NULL and for a column that is not there: libpq looks at that itself. */
    int len = PQgetlength(result, row, column);
    if (len == 0 && PQgetisnull(result, row, column))
        return (struct db_value){ NULL, 0 };
    return (struct db_value){ (const uint8_t *)PQgetvalue(result, row, column), (uint32_t)len };
}

uint32_t db_column_type(const struct db_rows *rows, int column)
{
    return tuple_of(rows) != NULL ? 0 : PQftype(result_of(rows), column);
}

int32_t db_column_modifier(const struct db_rows *rows, int column)
{
    return tuple_of(rows) != NULL ? -1 : PQfmod(result_of(rows), column);
}

const char *db_column_name(const struct db_rows *rows, int column)
{
    const char *name = tuple_of(rows) != NULL ? NULL : PQfname(result_of(rows), column);
    return name != NULL ? name : "";
}

const char *db_command_tag(const struct db_rows *rows)
{
    /* libpq 15 takes a pointer to non-const but only reads. */
    return PQcmdStatus((PGresult *)(uintptr_t)result_of(rows));
}

static uint64_t big_endian(struct db_value value)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < value.len; i++)
        number = number << 8 | value.data[i];
    return number;
}

int64_t db_int8(struct db_value value)
{
    return value.data != NULL && value.len == 8 ? (int64_t)big_endian(value) : 0;
}

int32_t db_int4(struct db_value value)
{
    return value.data != NULL && value.len == 4 ? (int32_t)(uint32_t)big_endian(value) : 0;
}

bool db_bool(struct db_value value)
{
    return value.data != NULL && value.len == 1 && value.data[0] != 0;
}

char *db_text(struct arena *arena, struct db_value value)
{
    return arena_strndup(arena, (const char *)value.data, value.len);
}

char **db_texts(struct arena *arena, struct db_value value, size_t *count_r)
{
    char *rest = db_text(arena, value);
    size_t count = rest[0] != '\0' ? 1 : 0;
    for (const char *p = rest; *p != '\0'; p++)
        count += *p == '\x1f';
    char **items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = strsep(&rest, "\x1f");
    *count_r = count;
    return items;
}
