#!/usr/bin/python3
"""measure.py WORK OUT [--rounds N] [--seconds S] [--name NAME] [--bulk]

Run by run.sh, which has filled WORK with databases, certificates, binaries and two running gateways.
Starts the C++ peers, measures in interleaved rounds, writes OUT/NAME.json and OUT/NAME.txt and prints the
table. Ends with 0 when everything ran and every answer was right, however fast it was."""

import argparse
import contextlib
import random
import shlex
import socket
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("work", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--seconds", type=float, default=2.0, help="of one run")
parser.add_argument("--name", default="exchange")
parser.add_argument("--bulk", action="store_true", help="bulk copies only")
options = parser.parse_args()
sys.path.insert(0, str(options.work / "bin/stubs"))

import report  # noqa: E402
import targets  # noqa: E402
from answers import GatewayInterface, PeerInterface, Streets, psql, write_bodies  # noqa: E402
from bulk import Bulk  # noqa: E402
from loads import Bench  # noqa: E402
from processes import BenchError, describe_machine, pss_mib, rss_mib, tree  # noqa: E402

WARM_UP_REQUESTS = 2048
# One takes a fraction of a second.
STREAMS_PER_RUN = 3
READY_SECONDS = 20
PEERS = {targets.PIPELINE: "pipeline", targets.CALLBACK: "callback", targets.SYNC: "sync",
         targets.SYNC_INSERT: "sync"}
GATEWAYS = {targets.PLAIN: "unaudited", targets.AUDITED: "audited"}
STREAM_METHODS = {targets.CPP_COPY: "/sluice.bench.DivisionPeer/StreamCopy",
                  targets.CPP_CURSOR: "/sluice.bench.DivisionPeer/StreamCursor"}
# After these the cluster writes its log back; the next server shall not pay for that.
WRITERS = (targets.AUDITED, targets.SYNC_INSERT)


class Server:
    """A gRPC server under test."""

    def __init__(self, name, pid, port, interface):
        self.name, self.pid, self.port = name, pid, port
        self.interface = interface(port, options.work / "pki")
        self.url = f"https://127.0.0.1:{port}{interface.path}"
        self.rates = {}

    def write_requests(self, folder, streets):
        self.body, self.bodies = write_bodies(
            folder, f"port-{self.port}", [self.interface.request(record.code) for record in streets.records])

    def requests_for(self, shape, seconds):
        """As many as take `seconds` at the rate of the run before."""
        wanted = int((shape.fixed_rate or self.rates[shape]) * seconds)
        return max(wanted // shape.clients, 1) * shape.clients


def free_port():
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError("no free port between 20000 and 32000")


def connection_strings():
    found = {}
    for line in (options.work / "database.env").read_text().splitlines():
        name, value = shlex.split(line)[1].split("=", 1)
        found[name] = value
    return found


def postgres_pid():
    place = Path((options.work / "pg.place").read_text().strip())
    return int((place / "data/postmaster.pid").read_text().split()[0])


def gateway(name):
    folder = options.work / GATEWAYS[name]
    return Server(name, int((folder / "state/gateway").read_text().split()[0]),
                  int((folder / "ports/systems").read_text()), GatewayInterface)


@contextlib.contextmanager
def peers(databases):
    """Starts the C++ peers and ends them, whatever happens."""
    pki, running, servers = options.work / "pki", [], []
    try:
        for name, mode in PEERS.items():
            port = free_port()
            command = [options.work / "bin/peer", mode, port, pki / "ca.pem", pki / "gateway.pem",
                       pki / "gateway.key", databases["SLUICE_STATISTICS_DATABASE"]]
            if name == targets.SYNC_INSERT:
                command.append(databases["BENCH_AUDIT_DATABASE"])
            with (options.work / "peers.log").open("ab") as log:
                # They end with this process, however it ends.
                running.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            servers.append(Server(name, running[-1].pid, port, PeerInterface))
        yield servers
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def rotated(names, number):
    first = number % len(names)
    return names[first:] + names[:first]


class Rounds:
    def __init__(self, bench, servers, databases):
        self.bench, self.databases = bench, databases
        self.servers = {server.name: server for server in servers}
        self.random = random.Random(7)
        self.series = {}
        self.expected_stream = None
        self.bulk = Bulk(bench, options.work, databases, self.servers[targets.AUDITED])

    def add(self, server, load, measured):
        self.series.setdefault((server, load), []).append(measured)

    def check(self, server):
        server.interface.check(server.name, self.random.choice(self.bench.streets.records))

    def idle(self):
        pids = tree(self.servers[targets.AUDITED].pid)
        self.add(targets.AUDITED, targets.IDLE, {targets.RSS: rss_mib(pids), "PSS MiB": pss_mib(pids)})

    def warm_up(self):
        """Fills caches, and learns how many requests a run needs. Checks that streams agree."""
        for shape, names in targets.UNARY_RUNS.items():
            for name in names:
                server = self.servers[name]
                self.check(server)
                if not shape.fixed_rate:
                    server.rates[shape] = self.bench.unary(server, shape, WARM_UP_REQUESTS)[targets.RATE]
        rows = int(psql(self.databases["SLUICE_STATISTICS_DATABASE"], "-Atc", "SELECT count(*) FROM village"))
        for name in targets.STREAM_RUNS:
            if name != targets.PSQL_COPY:
                self.expected_stream, _ = self.stream(name, 1)
        if self.expected_stream[0] != rows:
            raise BenchError(f"{self.expected_stream[0]} records were streamed, the table has {rows}")

    def stream(self, name, times):
        server = self.servers[targets.SYNC if name in STREAM_METHODS else name]
        method = STREAM_METHODS.get(name, GatewayInterface.stream_path)
        return self.bench.stream(server, method, times, self.expected_stream)

    def settle(self, name):
        if name in WRITERS:
            psql(self.databases["SLUICE_ADMIN_DATABASE"], "-c", "CHECKPOINT")

    def run_bulk(self, number):
        for name in rotated(targets.BULK_RUNS, number):
            self.add(name, targets.BULK, self.bulk.pipe() if name == targets.PSQL_PIPE else self.bulk.transfer())

    def run(self, number, seconds):
        """One round: every server under every load, each time with another one first."""
        for shape, names in targets.UNARY_RUNS.items():
            for name in rotated(names, number):
                server = self.servers[name]
                self.check(server)
                measured = self.bench.unary(server, shape, server.requests_for(shape, seconds))
                server.rates[shape] = measured[targets.RATE]
                self.add(name, shape.name, measured)
                self.settle(name)
        for name in rotated(targets.STREAM_RUNS, number):
            if name == targets.PSQL_COPY:
                measured = self.bench.psql_copy(self.databases["SLUICE_STATISTICS_DATABASE"],
                                                STREAMS_PER_RUN, self.expected_stream[0])
            else:
                _, measured = self.stream(name, STREAMS_PER_RUN)
            self.add(name, targets.STREAM, measured)
        self.run_bulk(number)
        self.add(targets.ROW_PROGRAM, targets.TYPICAL_ROWS, self.bench.row_program(seconds))
        self.add(targets.APPENDER, targets.APPENDING, self.bench.audit_append(seconds))
        self.add(targets.VERIFIER, targets.FULL_SCAN, self.bench.full_scan())


def measure():
    databases = connection_strings()
    streets = Streets(databases["SLUICE_STATISTICS_DATABASE"])
    bench = Bench(options.work, postgres_pid(), streets)
    with peers(databases) as cpp:
        servers = [gateway(targets.PLAIN), gateway(targets.AUDITED), *cpp]
        rounds = Rounds(bench, servers, databases)
        rounds.idle()
        for server in servers:
            server.interface.wait(READY_SECONDS)
            server.write_requests(bench.scratch, streets)
        if not options.bulk:
            rounds.warm_up()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            if options.bulk:
                rounds.run_bulk(number)
            else:
                rounds.run(number, options.seconds)
    built = report.build(describe_machine(), options.rounds, rounds.series)
    print("\n" + report.write(built, options.out, options.name))
    print(f"{options.out / options.name}.json, {options.name}.txt")


try:
    measure()
except BenchError as error:
    sys.exit(f"bench: {error}")
