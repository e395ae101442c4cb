/* A gRPC C++ server over the same tables as the gateway, over mutual TLS; the peer of `make bench`.
 *
 *   peer MODE PORT CA CERTIFICATE KEY DATABASE [AUDIT_DATABASE]
 *
 *   sync      synchronous API, 16 blocking libpq connections; serves the streams too
 *   callback  callback API, 16 threads with a blocking connection each
 *   pipeline  callback API, one epoll thread with 4 connections in libpq pipeline mode
 *
 * With AUDIT_DATABASE (sync only) every lookup is answered after one durable INSERT. Nothing here
 * checks agreements, purposes or fields: a peer does less than the gateway, never more. */
#include <csignal>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "database.h"
#include "peer.grpc.pb.h"
#include "pipeline.h"
#include "streams.h"

using gov::division::v1::Division;
using sluice::bench::DivisionPeer;
using sluice::bench::StreetRequest;
using sluice::bench::VillagesRequest;

enum { POOL_SIZE = 16, PIPELINE_CONNECTIONS = 4 };

static std::string caller_of(const grpc::ServerContextBase &context)
{
    for (const grpc::string_ref &name :
         context.auth_context()->FindPropertyValues("x509_subject_alternative_name"))
        return { name.data(), name.size() };
    return {};
}

class SyncPeer final : public DivisionPeer::Service
{
  public:
    SyncPeer(const std::string &source, const std::string &audit)
        : conninfo(source), audited(!audit.empty()), pool(POOL_SIZE, source, audit)
    {
    }

    grpc::Status Lookup(grpc::ServerContext *context, const StreetRequest *request,
                        Division *record) override
    {
        std::string caller = audited ? caller_of(*context) : std::string();
        bench::Pool::Lease session(pool);
        return bench::serve_lookup(*session, caller, request->code(), record);
    }

    grpc::Status StreamCopy(grpc::ServerContext *, const VillagesRequest *request,
                            bench::BatchWriter *writer) override
    {
        return bench::stream_copy(conninfo, request->batch(), writer);
    }

    grpc::Status StreamCursor(grpc::ServerContext *, const VillagesRequest *request,
                              bench::BatchWriter *writer) override
    {
        return bench::stream_cursor(conninfo, request->batch(), writer);
    }

  private:
    const std::string conninfo;
    const bool audited;
    bench::Pool pool;
};

class CallbackPeer final : public DivisionPeer::CallbackService
{
  public:
    explicit CallbackPeer(const std::string &source)
    {
        for (int i = 0; i < POOL_SIZE; i++)
            std::thread([this, session = bench::connect_for_lookup(source)] {
                for (;;)
                    serve_next(session.get());
            }).detach();
    }

    grpc::ServerUnaryReactor *Lookup(grpc::CallbackServerContext *context,
                                     const StreetRequest *request, Division *record) override
    {
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
        {
            std::lock_guard<std::mutex> lock(mutex);
            jobs.push_back({ &request->code(), record, reactor });
        }
        arrived.notify_one();
        return reactor;
    }

  private:
    void serve_next(PGconn *session)
    {
        bench::Pipeline::Job job;
        {
            std::unique_lock<std::mutex> lock(mutex);
            arrived.wait(lock, [this] { return !jobs.empty(); });
            job = jobs.front();
            jobs.pop_front();
        }
        job.reactor->Finish(bench::lookup_blocking(session, *job.code, job.record));
    }

    std::mutex mutex;
    std::condition_variable arrived;
    std::deque<bench::Pipeline::Job> jobs; /* guarded by mutex */
};

class PipelinePeer final : public DivisionPeer::CallbackService
{
  public:
    explicit PipelinePeer(const std::string &source) : pipeline(PIPELINE_CONNECTIONS, source)
    {
    }

    grpc::ServerUnaryReactor *Lookup(grpc::CallbackServerContext *context,
                                     const StreetRequest *request, Division *record) override
    {
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
        pipeline.submit({ &request->code(), record, reactor });
        return reactor;
    }

  private:
    bench::Pipeline pipeline;
};

static std::string read_file(const char *path)
{
    std::ifstream file(path, std::ios::binary);
    return { std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>() };
}

static std::unique_ptr<grpc::Service>
make_service(const std::string &mode, const std::string &source, const std::string &audit)
{
    if (mode == "sync")
        return std::make_unique<SyncPeer>(source, audit);
    if (mode == "callback" && audit.empty())
        return std::make_unique<CallbackPeer>(source);
    if (mode == "pipeline" && audit.empty())
        return std::make_unique<PipelinePeer>(source);
    return nullptr;
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8) {
        std::fputs("usage: peer MODE PORT CA CERTIFICATE KEY DATABASE [AUDIT_DATABASE]\n", stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    std::unique_ptr<grpc::Service> service =
        make_service(argv[1], argv[6], argc == 8 ? argv[7] : "");
    if (!service) {
        std::fputs("peer: unknown mode; choose from: sync callback pipeline; audit needs sync\n",
                   stderr);
        return 2;
    }
    grpc::SslServerCredentialsOptions tls(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = read_file(argv[3]);
    tls.pem_key_cert_pairs.push_back({ read_file(argv[5]), read_file(argv[4]) });
    grpc::ServerBuilder builder;
    builder.AddListeningPort(std::string("127.0.0.1:") + argv[2], grpc::SslServerCredentials(tls));
    builder.RegisterService(service.get());
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server) {
        std::fputs("peer: the server did not start\n", stderr);
        return 1;
    }
    server->Wait();
    return 0;
}
