/* All villages as a server stream, in the two ways a C++ team would write it.
 * Ownership: each call opens a connection of its own and closes it at the end.
 * Never calls back; both block their gRPC thread until the stream ends.
 * Limits: a batch of 1 to 10,000 records.
 * Does not order by key: neither way needs it, and it is faster without. */
#ifndef SLUICE_BENCH_STREAMS_H
#define SLUICE_BENCH_STREAMS_H

#include <string>

#include <grpcpp/grpcpp.h>

#include "peer.grpc.pb.h"

namespace bench
{

using BatchWriter = grpc::ServerWriter<sluice::bench::DivisionBatch>;

/* COPY (FORMAT binary) to the client, parsed row by row. */
grpc::Status stream_copy(const std::string &conninfo, int batch, BatchWriter *writer);
/* A binary cursor, FETCH by FETCH. */
grpc::Status stream_cursor(const std::string &conninfo, int batch, BatchWriter *writer);

} // namespace bench

#endif
