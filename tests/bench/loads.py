"""Drives one server once and measures it: h2load for lookups, the C++ client for streams, psql for COPY."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from answers import GRPC_PREFIX_BYTES
from processes import BenchError, PeakMemory, cpu_seconds, machine_busy_seconds
from targets import (CORE_ENTRIES, CORE_ROWS, CPU, ENTRIES, ENTRY_BYTES, ENTRY_CPU, ENTRY_P50, ENTRY_P99, GROWTH, P50,
                     PROOF_BYTES, PROOF_MS, RATE, ROWS, RSS)

RUN_SECONDS_MAX = 120
# An Any of more than 127 bytes needs another length byte, and a record may carry a warning.
ANSWER_BYTES_TOLERANCE = 0.03
SCANNED_ENTRIES = 500_000


class Meter:
    """CPU of the server, of PostgreSQL, of the client and of everybody else, over one run."""

    def __init__(self, server_pid, postgres_pid):
        self.pids = {"server": server_pid, "postgres": postgres_pid}
        self.memory = PeakMemory(server_pid)

    def sample(self):
        return {name: cpu_seconds(pid) if pid else 0.0 for name, pid in self.pids.items()}

    def __enter__(self):
        # What the run before left behind is not ours.
        time.sleep(0.15)
        self.before = self.sample()
        self.client_before = os.times()
        self.busy_before, self.start = machine_busy_seconds(), time.monotonic()
        self.memory.__enter__()
        return self

    def __exit__(self, kind, *_):
        self.memory.__exit__()
        if kind:
            return
        elapsed = time.monotonic() - self.start
        busy, client = machine_busy_seconds() - self.busy_before, os.times()
        # A server may still close connections when its client has ended.
        time.sleep(0.05)
        self.used = {name: after - self.before[name] for name, after in self.sample().items()}
        self.used["client"] = (client.children_user + client.children_system
                               - self.client_before.children_user - self.client_before.children_system)
        own = client.user + client.system - self.client_before.user - self.client_before.system
        foreign = busy - own - sum(self.used.values())
        self.foreign = max(0.0, foreign / (elapsed * os.cpu_count()))

    def result(self, count):
        """CPU seconds per 100,000 of `count`, peak memory, and the share of the machine others used."""
        return {CPU: self.used["server"] * 1e5 / count, "PG CPU s/100k": self.used["postgres"] * 1e5 / count,
                "client CPU s/100k": self.used["client"] * 1e5 / count, RSS: self.memory.peak,
                "foreign": self.foreign}


def run_command(command, environment=None):
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX, env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        raise BenchError(f"{command[0]} did not end within {RUN_SECONDS_MAX} s") from None
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended {done.returncode}: {done.stdout}{done.stderr}")
    return done


def number(pattern, text):
    found = re.search(pattern, text, re.M)
    if not found:
        raise BenchError(f"h2load's report has no {pattern}:\n{text}")
    return float(found.group(1))


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Bench:
    """Where things are; the methods measure."""

    def __init__(self, work, postgres_pid, streets):
        self.binaries = work / "bin"
        self.pki = work / "pki"
        self.scratch = work / "run"
        self.scratch.mkdir(exist_ok=True)
        self.postgres_pid = postgres_pid
        self.streets = streets
        self.exported = False

    def unary(self, server, shape, requests):
        """`requests` lookups of one shape; every answer's status and the sum of their bytes are checked."""
        log, status = self.scratch / "h2load.log", self.scratch / "h2load.status"
        for old in (log, status):
            old.unlink(missing_ok=True)
        command = ["h2load", "-t1", "-n", requests, "-c", shape.clients, "-m", shape.streams, "-d", server.body,
                   "-H", "content-type: application/grpc", "-H", "te: trailers"]
        if shape.per_client:
            command += [f"--rps={shape.per_client}", f"--log-file={log}"]
        environment = {"LD_PRELOAD": str(self.binaries / "h2load_preload.so"),
                       "BENCH_CERT": str(self.pki / "health-triage.pem"),
                       "BENCH_KEY": str(self.pki / "health-triage.key"),
                       "BENCH_BODY": str(server.body), "BENCH_BODIES": str(server.bodies),
                       "BENCH_STATUS": str(status)}
        with Meter(server.pid, self.postgres_pid) as meter:
            text = run_command([*command, server.url], environment).stdout
        self.check_unary(server, shape, requests, text, status)
        result = {RATE: number(r"^finished in .*, ([0-9.]+) req/s", text), **meter.result(requests)}
        if shape.per_client:
            micros = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
            result[P50] = percentile(micros, 0.5) / 1000
            result["p99 ms"] = percentile(micros, 0.99) / 1000
        return result

    def check_unary(self, server, shape, requests, text, status):
        where = f"{server.name}, {shape.name}"
        succeeded = number(r"(\d+) succeeded", text)
        good, bad = (int(word) for word in status.read_text().split())
        if succeeded != requests or good != requests or bad != 0:
            raise BenchError(f"{where}: of {requests} calls {succeeded:.0f} had HTTP status 200, {good} had "
                             f"grpc-status 0 and {bad} another; see the server's log")
        got = number(r"^traffic:.*\((\d+)\) data", text)
        expected = self.streets.record_bytes(requests) + requests * (server.interface.overhead + GRPC_PREFIX_BYTES)
        if abs(got - expected) > expected * ANSWER_BYTES_TOLERANCE:
            raise BenchError(f"{where}: {got:.0f} bytes of answers, expected {expected}")

    def stream_once(self, server, method, request, expected):
        """-> ((records, record bytes), seconds); expected is the former, or None to learn it."""
        done = run_command([self.binaries / "stream_client", f"127.0.0.1:{server.port}", method, request,
                            self.pki / "ca.pem", self.pki / "health-triage.pem", self.pki / "health-triage.key"])
        counted = json.loads(done.stdout)
        if counted["status"] != 0:
            raise BenchError(f"{server.name}: the stream ended with status {counted['status']}: {done.stderr}")
        got = (counted["records"], counted["record_bytes"])
        if expected and got != expected:
            raise BenchError(f"{server.name}: {got} records and bytes, expected {expected}")
        return got, counted["seconds"]

    def stream(self, server, method, times, expected):
        """The stream, `times` times one after the other, through the C++ client."""
        request = self.scratch / "stream.request"
        request.write_bytes(server.interface.stream_request().SerializeToString())
        with Meter(server.pid, self.postgres_pid) as meter:
            runs = [self.stream_once(server, method, request, expected) for _ in range(times)]
        records = sum(got[0] for got, _ in runs)
        rate = records / sum(seconds for _, seconds in runs)
        return runs[0][0], {ROWS: rate, **meter.result(records)}

    def psql_copy(self, conninfo, times, rows):
        """PostgreSQL's own limit: the same rows to a client that drops them; psql's \\timing counts."""
        copies = ["-c", "COPY village TO STDOUT (FORMAT binary)"] * times
        with Meter(None, self.postgres_pid) as meter:
            done = run_command(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-o", "/dev/null",
                                "-c", r"\timing on", *copies])
        milliseconds = [float(one) for one in re.findall(r"^Time: ([0-9.]+) ms", done.stdout, re.M)]
        if len(milliseconds) != times:
            raise BenchError(f"psql timed {len(milliseconds)} of {times} copies: {done.stdout}")
        return {ROWS: rows * times / sum(milliseconds) * 1000, **meter.result(rows * times)}

    def row_program(self, seconds):
        """Normalisation and encoding alone: no database, no network, one core."""
        done = run_command([self.binaries / "row_program", Path(__file__).with_name("schema"),
                            self.binaries / "bench.pb", seconds])
        counted = json.loads(done.stdout)
        return {CORE_ROWS: counted["rows"] / counted["cpu_seconds"],
                GROWTH: counted["last_kib"] / counted["first_kib"]}

    def audit_append(self, seconds):
        """The audit log alone with a server of its own, whose commits reach the disk."""
        migrations = Path(__file__).parents[2] / "schemas/control"
        seconds = int(max(5, min(seconds, 20)))  # shorter ones see too few commits
        counted = json.loads(run_command([self.binaries / "audit_append", seconds, migrations]).stdout)
        return {ENTRIES: counted["entries_per_second"], ENTRY_P50: counted["p50_ms"], ENTRY_P99: counted["p99_ms"],
                ENTRY_CPU: counted["cpu_us"], ENTRY_BYTES: counted["bytes"], PROOF_BYTES: counted["proof_bytes"],
                PROOF_MS: counted["verify_ms"]}

    def full_scan(self):
        """`sluice audit verify` over an export of invented entries: tree, columns, counters, batches."""
        export = self.scratch / "export"
        policy = export.with_suffix(".policy")
        if not self.exported:  # once a run: an older one may be of another format
            shutil.rmtree(export, ignore_errors=True)
            run_command([self.binaries / "sample_export", export, SCANNED_ENTRIES])
            self.exported = True
        command = [self.binaries / "sluice", "audit", "verify", export, "--policy", policy, "--format", "json"]
        # The process's own peak as wait4 tells it begins with that of the interpreter it was forked from.
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE) as process, \
                PeakMemory(process.pid) as memory:
            found = json.loads(process.stdout.read() or "{}")
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise BenchError(f"sluice audit verify ended {process.returncode}: {found}")
        if found["entries"] != SCANNED_ENTRIES:
            raise BenchError(f"sluice audit verify checked {found['entries']} entries of {SCANNED_ENTRIES}")
        return {CORE_ENTRIES: SCANNED_ENTRIES / (used.ru_utime + used.ru_stime), RSS: memory.peak}
