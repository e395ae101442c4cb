#include "streams.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include <endian.h>

#include "database.h"

namespace bench
{

using sluice::bench::DivisionBatch;

enum { COLUMNS = 6, COPY_BATCH = 500, CURSOR_BATCH = 2000, BATCH_MAX = 10000, BINARY = 1 };

#define VILLAGE_COLUMNS "code, name, \"provinceCode\", \"cityCode\", \"areaCode\", \"streetCode\""

/* PostgreSQL documentation, COPY, "Binary Format": signature, flags, length of the extension. */
static const size_t kCopyHeaderBytes = 11 + 4 + 4;

static const grpc::Status kDatabaseFailed{ grpc::StatusCode::UNAVAILABLE,
                                           "the database did not answer" };
static const grpc::Status kRowRefused{ grpc::StatusCode::DATA_LOSS,
                                       "a stored row breaks the rules" };

static int batch_size(int wanted, int fallback)
{
    return wanted > 0 && wanted <= BATCH_MAX ? wanted : fallback;
}

struct FreeCopyData {
    void operator()(char *data) const
    {
        PQfreemem(data);
    }
};

/* One tuple: a 16-bit field count, then length and bytes of each field. False for the trailer. */
static bool next_copy_row(std::string_view data, std::array<std::string_view, COLUMNS> *cells)
{
    uint16_t count;
    if (data.size() < sizeof count)
        return false;
    std::memcpy(&count, data.data(), sizeof count);
    if (be16toh(count) != COLUMNS)
        return false;
    data.remove_prefix(sizeof count);
    for (std::string_view &one : *cells) {
        uint32_t length;
        if (data.size() < sizeof length)
            return false;
        std::memcpy(&length, data.data(), sizeof length);
        length = be32toh(length);
        data.remove_prefix(sizeof length);
        if (length > data.size())
            return false;
        one = data.substr(0, length);
        data.remove_prefix(length);
    }
    return true;
}

grpc::Status stream_copy(const std::string &conninfo, int batch, BatchWriter *writer)
{
    Connection connection = connect(conninfo);
    Result started(PQexec(connection.get(), "COPY (SELECT " VILLAGE_COLUMNS
                                            " FROM public.village) TO STDOUT (FORMAT binary)"));
    if (PQresultStatus(started.get()) != PGRES_COPY_OUT)
        return kDatabaseFailed;
    int limit = batch_size(batch, COPY_BATCH), length;
    size_t skip = kCopyHeaderBytes;
    DivisionBatch out;
    char *data;
    while ((length = PQgetCopyData(connection.get(), &data, 0)) > 0) {
        std::unique_ptr<char, FreeCopyData> owner(data);
        std::string_view row(data, static_cast<size_t>(length));
        row.remove_prefix(std::min(skip, row.size()));
        skip = 0;
        std::array<std::string_view, COLUMNS> c;
        if (!next_copy_row(row, &c))
            continue;
        if (!fill_village({ c[0], c[1], c[2], c[3], c[4], c[5] }, out.add_records()))
            return kRowRefused;
        if (out.records_size() < limit)
            continue;
        if (!writer->Write(out))
            return grpc::Status::CANCELLED;
        out.Clear();
    }
    Result ended(PQgetResult(connection.get()));
    if (length != -1 || PQresultStatus(ended.get()) != PGRES_COMMAND_OK)
        return kDatabaseFailed;
    if (out.records_size() > 0)
        writer->Write(out);
    return grpc::Status::OK;
}

grpc::Status stream_cursor(const std::string &conninfo, int batch, BatchWriter *writer)
{
    Connection connection = connect(conninfo);
    Result declared(PQexec(connection.get(),
                           "BEGIN READ ONLY; DECLARE villages BINARY NO SCROLL CURSOR FOR "
                           "SELECT " VILLAGE_COLUMNS " FROM public.village"));
    std::string fetch =
        "FETCH " + std::to_string(batch_size(batch, CURSOR_BATCH)) + " FROM villages";
    Result prepared(PQprepare(connection.get(), "fetch", fetch.c_str(), 0, nullptr));
    if (PQresultStatus(declared.get()) != PGRES_COMMAND_OK ||
        PQresultStatus(prepared.get()) != PGRES_COMMAND_OK)
        return kDatabaseFailed;
    DivisionBatch out;
    for (;;) {
        Result rows(
            PQexecPrepared(connection.get(), "fetch", 0, nullptr, nullptr, nullptr, BINARY));
        if (PQresultStatus(rows.get()) != PGRES_TUPLES_OK)
            return kDatabaseFailed;
        int count = PQntuples(rows.get());
        if (count == 0)
            return grpc::Status::OK;
        out.Clear();
        for (int row = 0; row < count; row++) {
            std::array<std::string_view, COLUMNS> c;
            for (int i = 0; i < COLUMNS; i++)
                c[static_cast<size_t>(i)] = { PQgetvalue(rows.get(), row, i),
                                              static_cast<size_t>(
                                                  PQgetlength(rows.get(), row, i)) };
            if (!fill_village({ c[0], c[1], c[2], c[3], c[4], c[5] }, out.add_records()))
                return kRowRefused;
        }
        if (!writer->Write(out))
            return grpc::Status::CANCELLED;
    }
}

} // namespace bench
