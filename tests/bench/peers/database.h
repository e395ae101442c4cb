/* The peers' blocking side of PostgreSQL: connections, prepared statements, rows to records.
 * Ownership: a Connection owns its PGconn; a PoolLease gives its Connection back.
 * Never calls back.
 * Limits: none; the peers answer a benchmark on loopback and nothing else.
 * Does not pipeline: see pipeline.h. */
#ifndef SLUICE_BENCH_DATABASE_H
#define SLUICE_BENCH_DATABASE_H

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <libpq-fe.h>

#include "gov/division/v1/division.pb.h"

namespace bench
{

struct ConnectionDeleter {
    void operator()(PGconn *connection) const
    {
        PQfinish(connection);
    }
};
struct ResultDeleter {
    void operator()(PGresult *result) const
    {
        PQclear(result);
    }
};
using Connection = std::unique_ptr<PGconn, ConnectionDeleter>;
using Result = std::unique_ptr<PGresult, ResultDeleter>;

extern const char *const kLookupStatement; /* name of the prepared SELECT of one street */

/* Ends the process with the server's sentence when there is no connection. */
Connection connect(const std::string &conninfo);
/* The same, with the lookup or the audit INSERT prepared. */
Connection connect_for_lookup(const std::string &conninfo);
Connection connect_for_audit(const std::string &conninfo);

/* What one village row holds; every member points into memory of the caller. */
struct VillageRow {
    std::string_view code, name, province, city, county, town;
};
/* False when a code is not made of exactly its digits: such a record must not be answered. */
bool fill_village(const VillageRow &row, gov::division::v1::Division *record);

/* The answer to the prepared lookup. */
grpc::Status street_from_result(const PGresult *result, gov::division::v1::Division *record);

grpc::Status lookup_blocking(PGconn *connection, const std::string &code,
                             gov::division::v1::Division *record);
/* One durable entry: returns after its COMMIT. The key is stored as a digest. */
grpc::Status audit_blocking(PGconn *connection, const std::string &caller, const std::string &code,
                            bool allowed);

/* What one request of a blocking server needs; `audit` is empty without audit. */
struct Session {
    Connection source;
    Connection audit;
};

class Pool
{
  public:
    Pool(size_t size, const std::string &source, const std::string &audit);

    class Lease
    {
      public:
        explicit Lease(Pool &owner);
        ~Lease();
        Lease(const Lease &) = delete;
        Lease &operator=(const Lease &) = delete;
        Session &operator*() const
        {
            return *session;
        }

      private:
        Pool &pool;
        Session *session;
    };

  private:
    std::mutex mutex;
    std::condition_variable returned;
    std::vector<Session> sessions;
    std::vector<Session *> idle;
};

/* Lookup, and its audit entry when the session has a connection for it. */
grpc::Status serve_lookup(Session &session, const std::string &caller, const std::string &code,
                          gov::division::v1::Division *record);

} // namespace bench

#endif
