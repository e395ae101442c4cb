#include "services/pools.h"

#include <inttypes.h>

#include "base/err.h"

const char pools_sql[] =
    "SELECT r.rolconnlimit::bigint, d.datconnlimit::bigint,"
    " pg_catalog.current_setting('max_connections')::bigint"
    " - pg_catalog.current_setting('superuser_reserved_connections')::bigint"
    " FROM pg_catalog.pg_roles r, pg_catalog.pg_database d"
    " WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()";

void pools_limits_from_row(const struct db_rows *rows, struct pools_limits *limits_r)
{
    *limits_r = (struct pools_limits){ -1, -1, -1 };
    if (db_row_count(rows) != 1)
        return;
    limits_r->role = db_int8(db_value(rows, 0, 0));
    limits_r->database = db_int8(db_value(rows, 0, 1));
    limits_r->server = db_int8(db_value(rows, 0, 2));
}

int pools_check(const char *what, int64_t workers, int64_t pool, const struct pools_limits *limits,
                struct err *err)
{
    const struct {
        int64_t limit;
        const char *whose;
        const char *mend;
    } all[] = {
        { limits->role, "its role", "ALTER ROLE ... CONNECTION LIMIT" },
        { limits->database, "the database", "ALTER DATABASE ... CONNECTION LIMIT" },
        { limits->server, "the server", "max_connections" },
    };
    int64_t wanted = 2 * workers * pool;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].limit >= 0 && all[i].limit < wanted)
            return err_set(err, ERR_FAILED_PRECONDITION, "POOL_LIMIT",
                           "%s: 2 generations x %" PRId64 " workers x %" PRId64
                           " connections = %" PRId64 ", but %s allows %" PRId64
                           "; lower workers or pools, or raise %s",
                           what, workers, pool, wanted, all[i].whose, all[i].limit, all[i].mend);
    return 0;
}
