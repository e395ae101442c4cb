"""Starts what a test needs: databases, certificates, a gateway. Nothing here waits by sleeping a fixed
time: wait_for() asks until a condition holds or its limit is over."""

import contextlib
import json
import os
import random
import re
import shlex
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("O", "build"))
BUILD = BUILD if BUILD.is_absolute() else REPO / BUILD
PG_BIN = Path("/usr/lib/postgresql/15/bin")
TRUST_DOMAIN = "sluice.example"
DEPARTMENTS = {"civil-affairs": "民政", "statistics": "统计", "health": "卫生健康"}


def wait_for(condition, seconds=10.0, what="the condition"):
    """Answers the first true value of condition(); fails after `seconds`, with `what`: a text, or a function
    that makes one of how things are by then."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what() if callable(what) else what}")
        time.sleep(0.02)


def run(*command, **options):
    """Runs a command that must succeed; shows what it said when it does not."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(
            f"{shlex.join(str(c) for c in command)} ended {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    """A port below the kernel's range for outgoing connections, and of a range of this test process's
    own, so that nobody gets it in between."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first = 20000 + process % 4 * 3000
    for _ in range(200):
        port = random.randrange(first, first + 3000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


class Cluster:
    """A private PostgreSQL, run by the scripts that the demo uses."""

    script = REPO / "deploy/demo/database.sh"

    def __init__(self, folder, *parts):
        self.folder = Path(folder)
        self.up(*parts)

    def up(self, *parts):
        # Without a part it only starts what is there.
        if parts:
            run(self.script, "up", self.folder, *parts)
        else:
            run("bash", "-euc", f'. {REPO}/deploy/lib/common.sh; . {REPO}/deploy/lib/postgres.sh; '
                'pg_start "$1"', "-", self.folder)
        self.conninfo = {}
        for line in (self.folder / "database.env").read_text().splitlines():
            name, value = shlex.split(line)[1].split("=", 1)
            self.conninfo[re.sub(r"^SLUICE_(.*)_DATABASE$", r"\1", name).lower()] = value

    def down(self):
        run(self.script, "down", self.folder)

    def remove(self):
        run(self.script, "remove", self.folder)

    def kill(self):
        """kill -9 of the postmaster; its children notice and end."""
        pid = int((self.place() / "data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.processes(), 10, "PostgreSQL's processes to end")

    def place(self):
        return Path((self.folder / "pg.place").read_text().strip())

    def processes(self):
        data = str(self.place() / "data")
        found = []
        for proc in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(proc / "cwd") == data:
                    found.append(int(proc.name))
        return found

    @contextlib.contextmanager
    def connect(self, role):
        """role: control, statistics_owner, civil_affairs_owner, worker, …"""
        connection = psycopg2.connect(self.conninfo[role])
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, role, statement, values=()):
        with self.connect(role) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


class Pki:
    def __init__(self, folder):
        self.folder = Path(folder)
        run(REPO / "certs/make-pki.sh", "--tests", "--instance", "test", self.folder)

    def path(self, name):
        return self.folder / name

    def read(self, name):
        return (self.folder / name).read_bytes()

    def issue(self, name, uri, days=None):
        command = [REPO / "certs/issue.sh", self.folder, name, uri]
        run(*command, *([str(days)] if days is not None else []))
        return name

    def system(self, department, name, days=None):
        """Issues a system's certificate; answers the certificate's file name without suffix."""
        uri = f"spiffe://{TRUST_DOMAIN}/dept/{department}/system/{name}"
        return self.issue(f"{department}-{name}", uri, days)

    def revoke(self, name):
        run("bash", "-euc", f'. {REPO}/certs/lib.sh; pki_revoke "$1" "$2"; pki_crl "$1"', "-",
            self.folder, name)

    def renew_gateway(self):
        run("bash", "-euc", f'. {REPO}/certs/lib.sh; pki_issue "$1" gateway serverAuth '
            '"DNS:localhost,IP:127.0.0.1,URI:spiffe://sluice.example/gateway/test" '
            '"now - 1 minute" "now + 365 days"', "-", self.folder)


def register(cluster):
    """Control tables, departments and officers, through the command line tool as an operator would."""
    environment = {**os.environ, "SLUICE_CONTROL_DATABASE": cluster.conninfo["control"]}
    sluice = BUILD / "sluice"
    run(sluice, "control", "init", "--database", cluster.conninfo["control"],
        "--migrations", REPO / "schemas/control", env=environment)
    for name, title_zh in DEPARTMENTS.items():
        run(sluice, "department", "add", name, "--title", name, "--title-zh", title_zh, env=environment)
        run(sluice, "officer", "add", f"{name}/data-officer", env=environment)


class Gateway:
    """One sluiced with its own folder, ports, configuration and log."""

    def __init__(self, folder, cluster, pki, departments=None, **changes):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pki = pki
        self.may_abort = False  # a test whose fault leaves a process nothing else
        self.ports = {name: free_port() for name in ("systems", "officers", "ops")}
        self.config = self.default_config(cluster, departments or cluster)
        self.change(**changes)
        self.process = None
        self.program = BUILD / "sluiced"

    def default_config(self, cluster, departments):
        pki = self.pki.path
        listen = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        return {
            "instance": "test", "trust_domain": TRUST_DOMAIN, "workers": 2, "listen": listen,
            "tls": {"certificate": pki("gateway.pem"), "key": pki("gateway.key"),
                    "client_ca": pki("ca.pem"), "crl": pki("crl.pem")},
            "control": {"database": cluster.conninfo["worker"]},
            "audit": {"database": cluster.conninfo["auditor"], "origin": "sluice.example/audit/test",
                      "signing_key": pki("audit-signing.key"), "salt_key": pki("audit-salt.key"),
                      "person_key": pki("audit-person.key"),
                      "checkpoint_file": self.folder / "checkpoint"},
            "token_key": pki("token.key"), "mask_key": pki("mask.key"),
            "schemas": {"directory": REPO / "schemas", "descriptors": BUILD / "schemas/canonical.pb"},
            "sources": [
                {"name": "statistics", "database": departments.conninfo["statistics"]},
                {"name": "civil-affairs", "database": departments.conninfo["civil_affairs"]}],
            "log": {"level": "debug", "format": "logfmt"},
        }

    def change(self, **changes):
        """change(limits={"drain_ms": 500}): merges into the configuration and writes the file."""
        for section, values in changes.items():
            if isinstance(values, dict):
                self.config.setdefault(section, {}).update(values)
            else:
                self.config[section] = values
        # JSON is YAML 1.2.
        self.config_file.write_text(json.dumps(self.config, default=str, indent=2, ensure_ascii=False))

    @property
    def config_file(self):
        return self.folder / "sluiced.yaml"

    @property
    def log_file(self):
        return self.folder / "sluiced.log"

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def spawn(self):
        """Starts it without waiting; for tests of what it says when it cannot start."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen([str(self.program), "--config", str(self.config_file)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        return self

    def start(self, seconds=20):
        self.spawn()
        self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=20):
        def ready_or_dead():
            if self.process.poll() is not None:
                raise AssertionError(f"sluiced ended {self.process.returncode}\n{self.log()[-4000:]}")
            return self.ready()
        wait_for(ready_or_dead, seconds, lambda: f"{self.folder.name} to be ready\n{self.log()[-4000:]}")

    def ops(self, path):
        """(status, text) of the ops listener."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.ports['ops']}{path}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self):
        return self.ops("/readyz")[0] == 200

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds=40):
        """SIGTERM and its exit status; killed and failed when it does not end."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                for pid in [self.process.pid, *self.children()]:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                self.process.wait(5)
                raise AssertionError(f"sluiced did not end within {seconds} s\n{self.log()[-4000:]}")
        self.check_for_crashes()
        return self.process.returncode

    def check_for_crashes(self):
        """A process that died of anything but our own kill -9, or a sanitizer's complaint. A worker that
        is replaced at once would otherwise hide it."""
        marks = rf"signal=(?!0\b|9\b{self.may_abort * '|6'})\d+|AddressSanitizer|runtime error:|Assertion .* failed|double free"
        found = re.findall(rf"^.*(?:{marks}).*$", self.log(), re.M)
        assert not found, "\n".join(found[:10])

    def children(self, name=None):
        """Process ids below the master; name picks those whose title or arguments contain it."""
        found = []
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                stat = (proc / "stat").read_text()
                if int(stat.rsplit(")", 1)[1].split()[1]) != self.process.pid:
                    continue
                words = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode() + stat.split(")")[0]
            except (OSError, ValueError):
                continue
            if name is None or name in words:
                found.append(int(proc.name))
        return found

    def resident_bytes(self, pid):
        text = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M).group(1)) * 1024


def tls_context(pki, client=None):
    """A client context; client names the certificate, None shows none."""
    context = ssl.create_default_context(cafile=str(pki.path("ca.pem")))
    context.set_alpn_protocols(["h2"])
    if client:
        context.load_cert_chain(pki.path(f"{client}.pem"), pki.path(f"{client}.key"))
    return context
