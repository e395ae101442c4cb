"""Bulk copies of all villages from one department's database into another's: a transfer of the gateway, and
two psql with a pipe between them into a table of the same shape. Both targets are emptied before each run."""

import json
import os
import subprocess
import time
from datetime import datetime

from answers import psql
from loads import RUN_SECONDS_MAX, Meter, run_command
from processes import BenchError
from targets import BULK_CPU, ROWS

PIPED = ('COPY (SELECT code, name, "provinceCode", "cityCode", "areaCode", "streetCode" FROM village) '
         "TO STDOUT (FORMAT binary)")


class Bulk:
    def __init__(self, bench, work, databases, server):
        self.bench, self.work, self.databases, self.server = bench, work, databases, server
        self.rows = int(psql(databases["SLUICE_STATISTICS_DATABASE"], "-Atc", "SELECT count(*) FROM village"))

    def empty(self, table):
        psql(self.databases["SLUICE_CIVIL_AFFAIRS_OWNER_DATABASE"], "-c", f"TRUNCATE {table}")
        psql(self.databases["SLUICE_ADMIN_DATABASE"], "-c", "CHECKPOINT")

    def check(self, table):
        """The same rows under the same keys, by SQL that knows nothing of the gateway."""
        digest = "SELECT count(*), sum(hashtextextended({}::text, 0)) FROM {}"
        sent = psql(self.databases["SLUICE_STATISTICS_DATABASE"], "-Atc", digest.format(
            'ROW(code, name, "provinceCode", "cityCode", "areaCode", "streetCode")', "village"))
        found = psql(self.databases["SLUICE_CIVIL_AFFAIRS_OWNER_DATABASE"], "-Atc",
                     digest.format("ROW(code, name, province, city, county, town)", table))
        if sent != found:
            raise BenchError(f"{table} holds {found.strip()}, the source {sent.strip()}")

    def result(self, meter, who, seconds):
        used = meter.result(self.rows)
        return {**used, ROWS: self.rows / seconds, BULK_CPU: meter.used[who] * 1e6 / self.rows}

    def transfer(self):
        """From the claim of the job to its end: rows are audited, read back and in place by then."""
        self.empty("village_received")
        pki = self.work / "pki"
        environment = {"SLUICE_ENDPOINT": f"https://127.0.0.1:{self.server.port}", "SLUICE_CA": str(pki / "ca.pem"),
                       "SLUICE_CERT": str(pki / "civil-affairs-registry.pem"),
                       "SLUICE_KEY": str(pki / "civil-affairs-registry.key")}
        with Meter(self.server.pid, self.bench.postgres_pid) as meter:
            done = run_command([self.work / "bin/sluice", "transfer", "create", "statistics/villages",
                                "civil-affairs/villages_received", "--purpose", "address-check", "--follow",
                                "--format", "json"], environment)
        job = json.loads(done.stdout)
        if job["state"] != "TRANSFER_SUCCEEDED" or int(job["manifest"]["counts"]["delivered"]) != self.rows:
            raise BenchError(f"the transfer ended otherwise: {done.stdout}")
        self.check("village_received")
        began, ended = (datetime.fromisoformat(job[field].replace("Z", "+00:00"))
                        for field in ("startedAt", "endedAt"))
        return self.result(meter, "server", (ended - began).total_seconds())

    def pipe(self):
        """Without normalisation, audit or any check of what arrived."""
        self.empty("village_piped")
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"]
        with Meter(None, self.bench.postgres_pid) as meter:
            began = time.monotonic()
            with subprocess.Popen([*command, self.databases["SLUICE_STATISTICS_DATABASE"], "-c", PIPED],
                                  stdout=subprocess.PIPE, env=os.environ) as reader:
                writer = subprocess.run([*command, self.databases["SLUICE_CIVIL_AFFAIRS_OWNER_DATABASE"], "-c",
                                         "COPY village_piped FROM STDIN (FORMAT binary)"], stdin=reader.stdout,
                                        timeout=RUN_SECONDS_MAX)
            seconds = time.monotonic() - began
        if reader.returncode != 0 or writer.returncode != 0:
            raise BenchError("psql could not copy the villages")
        self.check("village_piped")
        return self.result(meter, "client", seconds)
