/* Reads one gRPC server stream of record batches over mutual TLS and counts it, without making
 * messages.
 *
 *   stream_client TARGET METHOD REQUEST_FILE CA CERTIFICATE KEY
 *
 * METHOD as "/package.Service/Method"; REQUEST_FILE holds the request message. Records are the
 * occurrences of field 1 of each message. Prints one JSON object: status, records, record_bytes,
 * message_bytes, messages, seconds (from the call to its status; the handshake is over by then),
 * and the CPU seconds of this process. The exit status is 0 whenever there was a status. */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

using google::protobuf::io::CodedInputStream;

enum { CONNECT_SECONDS = 10, CALL_SECONDS = 120, RECEIVE_BYTES_MAX = 64 << 20 };

struct Counts {
    long long records = 0, record_bytes = 0, message_bytes = 0, messages = 0;
};

static std::string read_file(const char *path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "stream_client: %s cannot be read\n", path);
        std::exit(2);
    }
    return { std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>() };
}

/* Protobuf's wire format: a tag, then a varint, 8 bytes, a length with bytes, or 4 bytes. */
static bool count_message(const std::string &bytes, Counts *counts)
{
    CodedInputStream in(reinterpret_cast<const uint8_t *>(bytes.data()),
                        static_cast<int>(bytes.size()));
    uint32_t tag, length;
    uint64_t varint;
    while ((tag = in.ReadTag()) != 0) {
        switch (tag & 7) {
        case 0:
            if (!in.ReadVarint64(&varint))
                return false;
            break;
        case 1:
            if (!in.Skip(8))
                return false;
            break;
        case 2:
            if (!in.ReadVarint32(&length) || !in.Skip(static_cast<int>(length)))
                return false;
            if (tag >> 3 == 1) {
                counts->records++;
                counts->record_bytes += length;
            }
            break;
        case 5:
            if (!in.Skip(4))
                return false;
            break;
        default:
            return false;
        }
    }
    counts->messages++;
    counts->message_bytes += static_cast<long long>(bytes.size());
    return in.ConsumedEntireMessage();
}

static std::string flatten(const grpc::ByteBuffer &buffer)
{
    std::vector<grpc::Slice> slices;
    std::string bytes;
    bytes.reserve(buffer.Length());
    if (buffer.Dump(&slices).ok())
        for (const grpc::Slice &slice : slices)
            bytes.append(reinterpret_cast<const char *>(slice.begin()), slice.size());
    return bytes;
}

/* One call with one thing in flight at a time, as the synchronous API does it. */
class Call
{
  public:
    Call(const std::shared_ptr<grpc::Channel> &channel, const std::string &method) : stub(channel)
    {
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(CALL_SECONDS));
        stream = stub.PrepareCall(&context, method, &queue);
    }

    grpc::Status run(const std::string &request, Counts *counts)
    {
        grpc::Slice slice(request);
        grpc::ByteBuffer out(&slice, 1), in;
        stream->StartCall(this);
        if (done()) {
            stream->WriteLast(out, grpc::WriteOptions(), this);
            done();
            for (stream->Read(&in, this); done(); stream->Read(&in, this))
                if (!count_message(flatten(in), counts)) {
                    std::fputs("stream_client: a message that is not protobuf\n", stderr);
                    std::exit(1);
                }
        }
        grpc::Status status;
        stream->Finish(&status, this);
        done();
        return status;
    }

  private:
    bool done()
    {
        void *tag;
        bool ok = false;
        return queue.Next(&tag, &ok) && ok;
    }

    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    grpc::GenericStub stub;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream;
};

static double seconds_of(const timeval &t)
{
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        std::fputs("usage: stream_client TARGET METHOD REQUEST_FILE CA CERTIFICATE KEY\n", stderr);
        return 2;
    }
    std::string request = read_file(argv[3]);
    grpc::SslCredentialsOptions tls{ read_file(argv[4]), read_file(argv[6]), read_file(argv[5]) };
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(RECEIVE_BYTES_MAX);
    arguments.SetInt("grpc.enable_http_proxy", 0);
    auto channel = grpc::CreateCustomChannel(argv[1], grpc::SslCredentials(tls), arguments);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() +
                                   std::chrono::seconds(CONNECT_SECONDS))) {
        std::fputs("stream_client: no connection\n", stderr);
        return 1;
    }
    Counts counts;
    auto start = std::chrono::steady_clock::now();
    grpc::Status status = Call(channel, argv[2]).run(request, &counts);
    std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    std::printf(
        "{\"status\": %d, \"records\": %lld, \"record_bytes\": %lld, \"message_bytes\": %lld, "
        "\"messages\": %lld, \"seconds\": %.6f, \"client_cpu\": %.3f}\n",
        static_cast<int>(status.error_code()), counts.records, counts.record_bytes,
        counts.message_bytes, counts.messages, wall.count(),
        seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    if (!status.ok())
        std::fprintf(stderr, "stream_client: %s\n", status.error_message().c_str());
    return 0;
}
