"""What is measured, against whom, and how good it has to be. Ratios are ours / peer, paired per round."""

from dataclasses import dataclass
from typing import Optional

# Servers.
PLAIN = "gateway, audit off"
AUDITED = "gateway"
PIPELINE = "C++ callback + pipeline"
CALLBACK = "C++ callback + pool 16"
SYNC = "C++ sync + pool 16"
SYNC_INSERT = "C++ sync + audit INSERT"
PSQL_COPY = "psql COPY to /dev/null"
CPP_COPY = "C++ stream, COPY"
CPP_CURSOR = "C++ stream, cursor"
ROW_PROGRAM = "row program alone"
VERIFIER = "sluice audit verify"
APPENDER = "audit log"
PSQL_PIPE = "psql COPY | psql COPY"


@dataclass(frozen=True)
class Shape:
    """How h2load drives a server; per_client is requests per second of each client, 0 for all it can."""

    name: str
    clients: int
    streams: int
    per_client: int = 0

    @property
    def fixed_rate(self):
        return self.clients * self.per_client


M16 = Shape("-c16 -m16", 16, 16)
C64 = Shape("-c64 -m1", 64, 1)
PACED = Shape("1,500 req/s", 15, 1, 100)

UNARY_RUNS = {
    M16: (PLAIN, PIPELINE, CALLBACK, SYNC, AUDITED, SYNC_INSERT),
    C64: (PLAIN, PIPELINE, CALLBACK, AUDITED, SYNC_INSERT),
    PACED: (PLAIN, PIPELINE, AUDITED, SYNC_INSERT),
}
STREAM_RUNS = (AUDITED, PSQL_COPY, CPP_COPY, CPP_CURSOR)
STREAM = "stream of all villages"
BULK_RUNS = (AUDITED, PSQL_PIPE)
BULK = "bulk copy of all villages"
IDLE = "idle"
TYPICAL_ROWS = "rows of 13 columns"
FULL_SCAN = "export of a log"
APPENDING = "appending to a log"

# Fields of one measurement, with their units.
RATE = "req/s"
CPU = "CPU s/100k"
P50 = "p50 ms"
ROWS = "rows/s"
RSS = "RSS MiB"
BULK_CPU = "CPU s/M rows"
CORE_ROWS = "rows/s per core"
GROWTH = "RSS last / first"
CORE_ENTRIES = "entries/s per core"
ENTRIES = "entries/s"
ENTRY_P50 = "p50 ms at 10,000/s"
ENTRY_P99 = "p99 ms at 10,000/s"
ENTRY_CPU = "CPU us/entry"
ENTRY_BYTES = "bytes/entry"
PROOF_BYTES = "bytes"
PROOF_MS = "ms to verify"


@dataclass(frozen=True)
class Target:
    bench: str
    metric: str
    ours: str
    shape: str
    peer: Optional[str]
    must: float
    goal: float
    # False where less is better.
    more: bool = True

    def verdict(self, value):
        def reached(limit):
            return value >= limit if self.more else value <= limit
        if reached(self.goal):
            return "goal met"
        return "must met" if reached(self.must) else "below must"


def less(*arguments):
    return Target(*arguments, more=False)


TARGETS = (
    Target("unary -c16 -m16, audit off, vs best C++ peer", RATE, PLAIN, M16.name, PIPELINE, 2.0, 3.0),
    less("unary -c16 -m16, audit off, vs best C++ peer", CPU, PLAIN, M16.name, PIPELINE, 0.30, 0.18),
    Target("unary -c16 -m16, audit off, vs callback pool", RATE, PLAIN, M16.name, CALLBACK, 3.0, 4.5),
    Target("unary -c16 -m16, audit off, vs sync pool", RATE, PLAIN, M16.name, SYNC, 5.0, 7.0),
    Target("unary -c64 -m1, audit off, vs best C++ peer", RATE, PLAIN, C64.name, PIPELINE, 1.3, 1.6),
    less("unary -c64 -m1, audit off, vs best C++ peer", CPU, PLAIN, C64.name, PIPELINE, 0.60, 0.42),
    Target("unary -c16 -m16, audited, vs C++ sync + INSERT", RATE, AUDITED, M16.name, SYNC_INSERT, 4.0, 7.0),
    Target("unary -c64 -m1, audited, vs C++ sync + INSERT", RATE, AUDITED, C64.name, SYNC_INSERT, 2.5, 4.0),
    Target("unary -c16 -m16, audited, vs best C++ peer without", RATE, AUDITED, M16.name, PIPELINE, 1.0, 1.5),
    Target("unary -c16 -m16, audited vs unaudited", RATE, AUDITED, M16.name, PLAIN, 0.35, 0.55),
    less("p50 at 1,500 req/s, audit off, vs best C++ peer", P50, PLAIN, PACED.name, PIPELINE, 0.80, 0.55),
    less("p50 at 1,500 req/s, audited, vs C++ sync + INSERT", P50, AUDITED, PACED.name, SYNC_INSERT, 0.60, 0.40),
    Target("stream, audited, vs COPY to /dev/null", ROWS, AUDITED, STREAM, PSQL_COPY, 0.85, 1.0),
    Target("stream, audited, vs C++ COPY", ROWS, AUDITED, STREAM, CPP_COPY, 0.95, 1.05),
    Target("stream, audited, vs C++ cursor", ROWS, AUDITED, STREAM, CPP_CURSOR, 1.6, 1.9),
    # The pipe normalises nothing, records nothing and reads nothing back; both fill a table with a key.
    Target("bulk copy, audited and read back, vs raw binary pipe", ROWS, AUDITED, BULK, PSQL_PIPE, 0.90, 1.10),
    less("bulk copy, CPU vs the two psql", BULK_CPU, AUDITED, BULK, PSQL_PIPE, 1.0, 0.7),
    Target("row program alone, typical 13-column row", CORE_ROWS, ROW_PROGRAM, TYPICAL_ROWS, None, 2e6, 5e6),
    less("row program alone, memory of a long run", GROWTH, ROW_PROGRAM, TYPICAL_ROWS, None, 1.05, 1.01),
    Target("audit log, full check of an export", CORE_ENTRIES, VERIFIER, FULL_SCAN, None, 1e6, 1.5e6),
    less("audit log, full check, memory", RSS, VERIFIER, FULL_SCAN, None, 16.0, 12.0),
    Target("audit log, durable, indexed, signed", ENTRIES, APPENDER, APPENDING, None, 8e3, 15e3),
    less("audit log, added at 10,000 entries/s", ENTRY_P50, APPENDER, APPENDING, None, 3.0, 2.0),
    less("audit log, added at 10,000 entries/s", ENTRY_P99, APPENDER, APPENDING, None, 12.0, 8.0),
    less("audit log, all processes", ENTRY_CPU, APPENDER, APPENDING, None, 80.0, 40.0),
    less("audit log, on disk", ENTRY_BYTES, APPENDER, APPENDING, None, 1024.0, 900.0),
    less("audit log, proof of one of 2^27 entries", PROOF_BYTES, APPENDER, APPENDING, None, 1600.0, 1500.0),
    less("audit log, proof of one of 2^27 entries", PROOF_MS, APPENDER, APPENDING, None, 0.3, 0.15),
    less("memory, whole gateway idle", RSS, AUDITED, IDLE, None, 64.0, 32.0),
    less("memory, whole gateway under -c64, vs C++ callback", RSS, AUDITED, C64.name, CALLBACK, 1.0, 0.7),
)
