#include "database.h"

#include <cstdio>
#include <cstdlib>

#include <openssl/sha.h>

namespace bench
{

using gov::division::v1::Division;

const char *const kLookupStatement = "lookup";

static const char *const kLookupSql =
    "SELECT code, name, \"provinceCode\", \"cityCode\", \"areaCode\" "
    "FROM public.street WHERE code = $1";
static const char *const kAuditStatement = "audit";
static const char *const kAuditSql =
    "INSERT INTO public.peer_audit (caller, dataset, purpose, key_digest, outcome, records) "
    "VALUES ($1, 'statistics/streets', 'medical-triage', $2, $3, $4)";

enum {
    PROVINCE_DIGITS = 2,
    CITY_DIGITS = 4,
    COUNTY_DIGITS = 6,
    TOWN_DIGITS = 9,
    VILLAGE_DIGITS = 12
};
enum { BINARY = 1 };

static void give_up(const char *what, const PGconn *connection)
{
    std::fprintf(stderr, "peer: %s: %s\n", what, PQerrorMessage(connection));
    std::exit(1);
}

Connection connect(const std::string &conninfo)
{
    Connection connection(PQconnectdb(conninfo.c_str()));
    if (PQstatus(connection.get()) != CONNECTION_OK)
        give_up("no database", connection.get());
    return connection;
}

static Connection connect_and_prepare(const std::string &conninfo, const char *name,
                                      const char *sql)
{
    Connection connection = connect(conninfo);
    Result result(PQprepare(connection.get(), name, sql, 0, nullptr));
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK)
        give_up("the statement was not prepared", connection.get());
    return connection;
}

Connection connect_for_lookup(const std::string &conninfo)
{
    return connect_and_prepare(conninfo, kLookupStatement, kLookupSql);
}

Connection connect_for_audit(const std::string &conninfo)
{
    return connect_and_prepare(conninfo, kAuditStatement, kAuditSql);
}

static bool is_code(std::string_view text, size_t digits)
{
    if (text.size() != digits)
        return false;
    for (char c : text)
        if (c < '0' || c > '9')
            return false;
    return true;
}

/* What a street and a village have in common. */
static bool fill(const VillageRow &row, Division::Level level, size_t digits, Division *record)
{
    if (!is_code(row.code, digits) || row.name.empty() || !is_code(row.province, PROVINCE_DIGITS) ||
        !is_code(row.city, CITY_DIGITS) || !is_code(row.county, COUNTY_DIGITS) ||
        !is_code(row.town, TOWN_DIGITS))
        return false;
    record->set_code(row.code.data(), row.code.size());
    record->set_name(row.name.data(), row.name.size());
    record->set_level(level);
    record->set_province_code(row.province.data(), row.province.size());
    record->set_city_code(row.city.data(), row.city.size());
    record->set_county_code(row.county.data(), row.county.size());
    record->set_town_code(row.town.data(), row.town.size());
    return true;
}

bool fill_village(const VillageRow &row, Division *record)
{
    return fill(row, Division::VILLAGE, VILLAGE_DIGITS, record);
}

static std::string_view cell(const PGresult *result, int column)
{
    return { PQgetvalue(result, 0, column), static_cast<size_t>(PQgetlength(result, 0, column)) };
}

grpc::Status street_from_result(const PGresult *result, Division *record)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return { grpc::StatusCode::UNAVAILABLE, "the database did not answer" };
    if (PQntuples(result) == 0)
        return { grpc::StatusCode::NOT_FOUND, "no such street" };
    std::string_view code = cell(result, 0);
    VillageRow row{
        code, cell(result, 1), cell(result, 2), cell(result, 3), cell(result, 4), code
    };
    if (!fill(row, Division::TOWN, TOWN_DIGITS, record))
        return { grpc::StatusCode::DATA_LOSS, "the stored row breaks the rules" };
    return grpc::Status::OK;
}

grpc::Status lookup_blocking(PGconn *connection, const std::string &code, Division *record)
{
    const char *values[] = { code.c_str() };
    Result result(
        PQexecPrepared(connection, kLookupStatement, 1, values, nullptr, nullptr, BINARY));
    return street_from_result(result.get(), record);
}

grpc::Status audit_blocking(PGconn *connection, const std::string &caller, const std::string &code,
                            bool allowed)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char *>(code.data()), code.size(), digest);
    const char *values[] = { caller.c_str(), reinterpret_cast<const char *>(digest),
                             allowed ? "0" : "1", allowed ? "1" : "0" };
    const int lengths[] = { 0, SHA256_DIGEST_LENGTH, 0, 0 };
    const int formats[] = { 0, BINARY, 0, 0 };
    Result result(PQexecPrepared(connection, kAuditStatement, 4, values, lengths, formats, BINARY));
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK)
        return { grpc::StatusCode::UNAVAILABLE, "the audit entry was not stored" };
    return grpc::Status::OK;
}

Pool::Pool(size_t size, const std::string &source, const std::string &audit)
{
    sessions.reserve(size);
    for (size_t i = 0; i < size; i++) {
        sessions.push_back({ connect_for_lookup(source),
                             audit.empty() ? Connection() : connect_for_audit(audit) });
        idle.push_back(&sessions.back());
    }
}

Pool::Lease::Lease(Pool &owner) : pool(owner)
{
    std::unique_lock<std::mutex> lock(pool.mutex);
    pool.returned.wait(lock, [this] { return !pool.idle.empty(); });
    session = pool.idle.back();
    pool.idle.pop_back();
}

Pool::Lease::~Lease()
{
    {
        std::lock_guard<std::mutex> lock(pool.mutex);
        pool.idle.push_back(session);
    }
    pool.returned.notify_one();
}

grpc::Status serve_lookup(Session &session, const std::string &caller, const std::string &code,
                          Division *record)
{
    grpc::Status answer = lookup_blocking(session.source.get(), code, record);
    if (!session.audit)
        return answer;
    grpc::Status audited = audit_blocking(session.audit.get(), caller, code, answer.ok());
    return audited.ok() ? answer : audited;
}

} // namespace bench
