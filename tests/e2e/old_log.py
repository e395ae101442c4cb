"""A control database with a gateway of its own, and entries of years ago in it, appended as another gateway would."""

import hashlib
import hmac
import os
import subprocess
import time
import uuid
from contextlib import contextmanager
from types import SimpleNamespace

from clients import Peer
from harness import BUILD, Cluster, Gateway, register, run

ORIGIN = "sluice.example/audit/test"
DAY_US = 86_400_000_000
NUMBER = "11010519491231002X"
OFFICERS = ("statistics-officer", "statistics-second", "health-officer")


@contextmanager
def old_house(folder, pki, stubs, databases, before=lambda house: None):
    """Control database and gateway, two officers of statistics and one of health. `before` may fill the log before
    the gateway starts."""
    cluster = Cluster(folder / "db", "control")
    try:
        register(cluster)
        run(BUILD / "sluice", "officer", "add", "statistics/second", "--database", cluster.conninfo["control"])
        if not pki.path("statistics-second.pem").exists():
            pki.issue("statistics-second", "spiffe://sluice.example/dept/statistics/officer/second")
        house = SimpleNamespace(cluster=cluster, stubs=stubs, pki=pki, types=stubs.audit_entry.AuditEntry)
        before(house)
        house.gateway = gateway = Gateway(folder / "gateway", cluster, pki, databases, workers=1).start()
        peers = [Peer(stubs, gateway, name, "officers") for name in OFFICERS]
        house.first, house.second, house.health = peers

        def sluice(*arguments, officer="statistics-officer"):
            environment = {
                **os.environ, "SLUICE_CA": str(pki.path("ca.pem")), "LC_ALL": "C.UTF-8",
                "SLUICE_OFFICER_ENDPOINT": f"https://127.0.0.1:{gateway.ports['officers']}",
                "SLUICE_OFFICER_CERT": str(pki.path(f"{officer}.pem")),
                "SLUICE_OFFICER_KEY": str(pki.path(f"{officer}.key")),
                "SLUICE_CONTROL_DATABASE": cluster.conninfo["control"]}
            return subprocess.run([str(BUILD / "sluice"), *map(str, arguments)], env=environment, capture_output=True,
                                  text=True, timeout=60)
        house.sluice = sluice
        yield house
        for peer in peers:
            peer.close()
        assert gateway.stop() == 0
    finally:
        cluster.remove()


def as_owner(house, statement, values=()):
    return house.cluster.rows("control", statement, values)


def without_triggers(house, table, statement, values=()):
    """What only the owner with the triggers off can do: time passes."""
    as_owner(house, f"ALTER TABLE audit.{table} DISABLE TRIGGER USER; {statement};"
                    f"ALTER TABLE audit.{table} ENABLE TRIGGER USER", values)


def extend(frontier, hashes):
    """Frontier and root of the log with more leaf hashes behind it."""
    size = int.from_bytes(frontier[:8], "big")
    roots = [frontier[at:at + 32] for at in range(8, len(frontier), 32)]
    for node in hashes:
        bits = size
        while bits & 1:
            node = hashlib.sha256(b"\x01" + roots.pop() + node).digest()
            bits >>= 1
        roots.append(node)
        size += 1
    root = roots[-1]
    for left in roots[-2::-1]:
        root = hashlib.sha256(b"\x01" + left + root).digest()
    return size.to_bytes(8, "big") + b"".join(roots), root


def append(house, count=1, days=2000, kind=1, outcome=1, dataset="statistics/streets", owner="statistics",
           department="health", agreement="agr-old", salted=True, committed_days=None, exchange=None):
    """Appends entries of `days` ago through the auditor's own role; answers the index of the first."""
    boot, moment = uuid.uuid4().bytes, int(time.time() * 1e6) - days * DAY_US
    entries = []
    for n in range(count):
        entry = house.types(version=1, origin=ORIGIN, instance="other", boot_id=boot, counter=n + 1, kind=kind,
                            id=uuid.uuid4().bytes, exchange_id=exchange or uuid.uuid4().bytes, time_us=moment + n)
        entry.who.subject = f"spiffe://sluice.example/dept/{department}/system/old"
        entry.who.department, entry.what.dataset, entry.what.owner = department, dataset, owner
        entry.why.agreement, entry.why.purpose, entry.decision.outcome = agreement, "medical-triage", outcome
        entries.append(entry)
    leaves = [entry.SerializeToString() for entry in entries]
    hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    person = hmac.digest(house.pki.read("audit-person.key"), b"citizen-id\0" + NUMBER.encode(), "sha256")
    at, starts = 1, []
    for leaf in leaves:
        starts.append(at)
        at += len(leaf)
    while True:
        (size, root, epoch, frontier), = as_owner(house, "SELECT size, root, epoch, frontier FROM audit.head")
        new_frontier, new_root = extend(bytes(frontier), hashes)
        batch = str(uuid.uuid4())

        def column(value):
            return [value] * count
        done, = house.cluster.rows("auditor", """
            SELECT audit.append(%s::uuid, %s, %s, %s, %s, %s, %s, %s::uuid[], %s, %s::integer[], %s::integer[], %s,
                %s::bigint[], %s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::smallint[], %s::uuid[], %s::bytea[], %s::integer[], %s::bytea[])""",
            [batch, ORIGIN, size, root, epoch, new_frontier, new_root, [str(uuid.UUID(bytes=e.id)) for e in entries],
             b"".join(leaves), starts, [len(leaf) for leaf in leaves], b"".join(hashes),
             [e.time_us for e in entries], column(kind), [e.who.subject for e in entries], column(department),
             column(owner), column(dataset), column(agreement), column("medical-triage"), column(outcome),
             [str(uuid.UUID(bytes=e.exchange_id)) for e in entries], column(b"w" * 60 if salted else None),
             list(range(count)) if salted else [],
             column(person) if salted else []])
        if done[0]:
            break
    without_triggers(house, "batch", "UPDATE audit.batch SET committed_at = now() - %s * interval '1 day' WHERE id = %s",
                     [days if committed_days is None else committed_days, batch])
    return size
