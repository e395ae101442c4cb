"""Fixtures. One cluster and one gateway serve all tests that do not break them; tests that kill, reload
or reconfigure ask for a gateway (and where needed a cluster) of their own."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

import clients
import harness


@pytest.fixture(scope="session")
def workspace():
    """Not pytest's own tmp folder: PostgreSQL's user must be able to reach it."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
    folder.chmod(0o711)
    yield folder
    if os.environ.get("KEEP"):
        print(f"\nkept {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stubs(workspace):
    folder = workspace / "stubs"
    folder.mkdir()
    return clients.make_stubs(folder)


@pytest.fixture(scope="session")
def pki(workspace):
    return harness.Pki(workspace / "pki")


@pytest.fixture(scope="session")
def databases(workspace):
    """The cluster with its data, before the gateway knows anything of it."""
    cluster = harness.Cluster(workspace / "db", "control", "statistics", "villages", "civil-affairs")
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def cluster(databases):
    harness.register(databases)
    return databases


@pytest.fixture(scope="session")
def admin_environment(databases):
    """A shell's environment in which psql, createdb and `sluice` reach the cluster as its owner."""
    conninfo = dict(re.findall(r"(\w+)=('[^']*'|\S+)", databases.conninfo["control"]))
    environment = {
        **os.environ, "PATH": f"{harness.BUILD}:{harness.PG_BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
        "PGHOST": conninfo["host"].strip("'"), "PGPORT": conninfo["port"], "PGUSER": "sluice_admin",
        "PGPASSFILE": str(databases.folder / "secrets/sluice_admin.pgpass")}
    for name in ("SLUICE_SCHEMAS", "SLUICE_SOURCE_DATABASE", "PGDATABASE", "PGOPTIONS"):
        environment.pop(name, None)
    return environment


@pytest.fixture
def villages(cluster):
    """Says that a test wants the 620,573 villages, because the amount is what matters."""
    return cluster


@pytest.fixture(scope="session")
def gateway(workspace, cluster, pki):
    gateway = harness.Gateway(workspace / "gateway", cluster, pki).start()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def new_gateway(workspace, cluster, pki):
    """new_gateway(limits={...}) makes a gateway of the test's own, not started yet."""
    with contextlib.ExitStack() as stops:  # one that fails to stop does not keep the others running

        def make(cluster=cluster, departments=None, pki=pki, **changes):
            folder = workspace / clients.unique("gateway")
            made = harness.Gateway(folder, cluster, pki, departments, **changes)
            stops.callback(made.stop)
            return made
        yield make


@pytest.fixture
def new_cluster(workspace):
    """new_cluster("control") makes a cluster of the test's own; for tests that kill it."""
    made = []

    def make(*parts):
        folder = workspace / clients.unique("db")
        made.append(harness.Cluster(folder, *parts))
        if "control" in parts:
            harness.register(made[-1])
        return made[-1]
    yield make
    for one in made:
        one.remove()


@pytest.fixture
def connect(stubs, gateway):
    """connect("health-triage") or connect("statistics-officer", "officers"): a client to the gateway."""
    made = []

    def make(certificate, listener="systems", to=None, **rest):
        made.append(clients.Peer(stubs, to or gateway, certificate, listener, **rest))
        return made[-1]
    yield make
    for peer in made:
        peer.close()


@pytest.fixture
def consumer(pki, connect):
    """A system of the health department that no other test knows: name, certificate and client."""
    name = clients.unique()
    certificate = pki.system("health", name)
    return SimpleNamespace(name=f"health/{name}", certificate=certificate, peer=connect(certificate),
                           uri=f"spiffe://{harness.TRUST_DOMAIN}/dept/health/system/{name}")


@pytest.fixture
def officers(connect):
    """officers["statistics"]: the department's data officer."""
    return {name: connect(f"{name}-officer", "officers") for name in harness.DEPARTMENTS}


STREETS = "statistics/streets"
TOWNS = "civil-affairs/towns"
RESIDENTS = "civil-affairs/residents"
VILLAGES = "statistics/villages"


@pytest.fixture
def datasets(officers):
    """datasets[name]: name, all field names, owner's officer; from the owner's view of the catalogue."""

    def describe(name):
        owner = officers[name.split("/")[0]]
        dataset = owner.catalog.GetDataset(owner.stubs.catalog.GetDatasetRequest(name=name), timeout=10)
        return SimpleNamespace(name=name, fields=[f.name for f in dataset.fields], owner=owner,
                               message=dataset, records=clients.Records(dataset))
    return describe


def canonical_number(raw):
    """GB 11643, written here a second time: width, spaces, case, 15 digits, check character."""
    text = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in raw).strip(" \u3000").upper()
    if len(text) == 15:
        text = text[:6] + "19" + text[6:]
        weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
        text += "10X98765432"[sum(w * int(c) for w, c in zip(weights, text)) % 11]
    return text


@pytest.fixture(scope="session")
def resident(databases):
    """resident(7): the invented resident as civil affairs stores it, and the canonical number beside."""
    columns = ("id", "sfzh", "xm", "xb", "csrq")
    rows = databases.rows("civil_affairs_owner", f"SELECT {', '.join(columns)} FROM resident ORDER BY id")
    people = [SimpleNamespace(**dict(zip(columns, row)), id_number=canonical_number(row[1])) for row in rows]
    return lambda number: people[number - 1]


@pytest.fixture
def grant(consumer, datasets):
    """grant("statistics/streets", fields=[…]) for this test's consumer; all fields when none is named.
    Answers the agreement. wait: until the worker at the other end of the consumer's connection knows it."""

    def granted(name):
        request = consumer.peer.stubs.catalog.GetDatasetRequest(name=name)
        try:
            seen = consumer.peer.catalog.GetDataset(request, timeout=5)
        except grpc.RpcError:
            return False
        return any(field.granted for field in seen.fields)

    def make(name, fields=None, wait=True, **rest):
        dataset = datasets(name)
        agreement = dataset.owner.grant(consumer.name, name, fields or dataset.fields, **rest)
        if wait:
            harness.wait_for(lambda: granted(name), 3, f"the agreement for {name} to be known")
        return agreement
    return make


@pytest.fixture
def sluice(gateway, pki, cluster):
    """sluice("lookup", …) runs the command line tool as the demo's consumer; answers CompletedProcess."""

    def command(*arguments, certificate="health-triage", officer=None, to=gateway):
        environment = {
            **os.environ, "SLUICE_CA": str(pki.path("ca.pem")), "LC_ALL": "C.UTF-8",
            "SLUICE_ENDPOINT": f"https://127.0.0.1:{to.ports['systems']}",
            "SLUICE_OFFICER_ENDPOINT": f"https://127.0.0.1:{to.ports['officers']}",
            "SLUICE_CERT": str(pki.path(f"{certificate}.pem")),
            "SLUICE_KEY": str(pki.path(f"{certificate}.key")),
            "SLUICE_OFFICER_CERT": str(pki.path(f"{officer or 'civil-affairs-officer'}.pem")),
            "SLUICE_OFFICER_KEY": str(pki.path(f"{officer or 'civil-affairs-officer'}.key")),
            "SLUICE_CONTROL_DATABASE": cluster.conninfo["control"]}
        return subprocess.run([str(harness.BUILD / "sluice"), *map(str, arguments)], env=environment,
                              capture_output=True, text=True, timeout=60)
    return command
