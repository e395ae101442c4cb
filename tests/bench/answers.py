"""What the right answers are: all streets as the database holds them, the calls that ask for them, and a
client that nobody here wrote (Debian's grpcio) to check a server's answer before it is timed."""

import csv
import os
import random
import struct
import subprocess

# grpc's fork handlers are not needed: h2load and the others are executed, not forked into.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc  # noqa: E402
import peer_pb2  # noqa: E402
import peer_pb2_grpc  # noqa: E402
from gov.division.v1.division_pb2 import Division  # noqa: E402
from sluice.v1 import exchange_pb2, exchange_pb2_grpc  # noqa: E402

from processes import BenchError  # noqa: E402

PURPOSE = "medical-triage"
STREETS, VILLAGES = "statistics/streets", "statistics/villages"
# Granted by run.sh.
STREETS_AGREEMENT, VILLAGES_AGREEMENT = "bench-streets", "bench-villages"
GRPC_PREFIX_BYTES = 5
CALL_SECONDS = 10


def psql(conninfo, *arguments):
    done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo, *arguments],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise BenchError(f"psql failed: {done.stderr.strip()}")
    return done.stdout


class Streets:
    """The streets in the order in which every run asks for them, and how long each record is."""

    def __init__(self, conninfo):
        text = psql(conninfo, "-c", 'COPY (SELECT code, name, "provinceCode", "cityCode", "areaCode" '
                    "FROM street ORDER BY code) TO STDOUT (FORMAT csv)")
        self.records = [
            Division(code=code, name=name, level=Division.TOWN, province_code=province, city_code=city,
                     county_code=county, town_code=code)
            for code, name, province, city, county in csv.reader(text.splitlines())]
        if len({len(record.code) for record in self.records}) != 1:
            raise BenchError("the streets' codes have different lengths; h2load needs equal bodies")
        # The same order in every run of every checkout.
        random.Random(20260101).shuffle(self.records)
        self.sums = [0]
        for record in self.records:
            self.sums.append(self.sums[-1] + record.ByteSize())

    def record_bytes(self, requests):
        """Bytes of the records that `requests` requests in order are answered with."""
        turns, rest = divmod(requests, len(self.records))
        return turns * self.sums[-1] + self.sums[rest]


def frame(message):
    """gRPC's length-prefixed message: not compressed, four bytes of length."""
    data = message.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def write_bodies(folder, name, messages):
    """-> (file with the first body, file with all of them)."""
    first, every = folder / f"{name}.body", folder / f"{name}.bodies"
    frames = [frame(message) for message in messages]
    if len({len(one) for one in frames}) != 1:
        raise BenchError(f"the requests to {name} have different lengths")
    first.write_bytes(frames[0])
    every.write_bytes(b"".join(frames))
    return first, every


class Interface:
    """How one kind of server is called. `overhead` is what an answer holds besides the record."""

    path = ""

    def __init__(self, port, pki):
        read = [(pki / name).read_bytes() for name in ("ca.pem", "health-triage.key", "health-triage.pem")]
        self.channel = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(*read),
                                           options=[("grpc.enable_http_proxy", 0)])
        self.overhead = 0

    def wait(self, seconds):
        try:
            grpc.channel_ready_future(self.channel).result(seconds)
        except grpc.FutureTimeoutError:
            raise BenchError("a server did not accept a connection") from None

    def check(self, name, expected):
        """One call through grpcio; its status must be OK and its record the row of the database."""
        try:
            record, overhead = self.call(expected.code)
        except grpc.RpcError as error:
            raise BenchError(f"{name} answered {error.code().name}: {error.details()}") from None
        if record != expected:
            raise BenchError(f"{name} answered a wrong record for {expected.code}: {record}")
        self.overhead = overhead


class GatewayInterface(Interface):
    path = "/sluice.v1.ExchangeService/Lookup"
    stream_path = "/sluice.v1.ExchangeService/Query"

    @staticmethod
    def request(code):
        return exchange_pb2.LookupRequest(dataset=STREETS, key=code, purpose=PURPOSE,
                                          agreement=STREETS_AGREEMENT)

    @staticmethod
    def stream_request():
        return exchange_pb2.QueryRequest(dataset=VILLAGES, purpose=PURPOSE, agreement=VILLAGES_AGREEMENT)

    def call(self, code):
        stub = exchange_pb2_grpc.ExchangeServiceStub(self.channel)
        answer = stub.Lookup(self.request(code), timeout=CALL_SECONDS)
        return Division.FromString(answer.record.value), answer.ByteSize() - len(answer.record.value)


class PeerInterface(Interface):
    path = "/sluice.bench.DivisionPeer/Lookup"

    @staticmethod
    def request(code):
        return peer_pb2.StreetRequest(code=code)

    @staticmethod
    def stream_request():
        return peer_pb2.VillagesRequest()

    def call(self, code):
        stub = peer_pb2_grpc.DivisionPeerStub(self.channel)
        return stub.Lookup(self.request(code), timeout=CALL_SECONDS), 0
