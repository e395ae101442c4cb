"""The long campaign: processes and backends are killed at random moments of full and cursor transfers while the
owner goes on writing. A history that the owner's own trigger keeps says what each snapshot has seen
(pg_visible_in_snapshot), so that what arrived is judged by SQL that knows nothing of the gateway."""

import contextlib
import os
import random
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest

import harness
from clients import Peer, unique
from harness import wait_for
from test_transfer import SETTLED, admin, balances, create, get, leftovers, moved, state, succeeded
from test_transfer_modes import REGISTER, found, house, number, source, target  # noqa: F401

ROWS = 40000
KILLS_EACH = 8
HISTORY = """
CREATE TABLE person_history (seq bigint GENERATED ALWAYS AS IDENTITY, number text NOT NULL, name text,
    changed timestamptz, xid xid8 NOT NULL DEFAULT pg_current_xact_id());
CREATE FUNCTION person_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO person_history (number) VALUES (OLD.number);
    ELSE
        INSERT INTO person_history (number, name, changed) VALUES (NEW.number, NEW.name, NEW.changed);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER person_kept AFTER INSERT OR UPDATE OR DELETE ON person_register FOR EACH ROW EXECUTE FUNCTION person_kept();
CREATE INDEX ON person_register (changed);
INSERT INTO person_history (number, name, changed) SELECT * FROM person_register;
"""
# Of each number, the last that the snapshot has seen; deleted ones have no name.
SEEN = """SELECT * FROM (SELECT DISTINCT ON (number) number, name, changed FROM person_history
    WHERE pg_visible_in_snapshot(xid, %s::pg_snapshot) ORDER BY number, seq DESC) AS last ORDER BY number COLLATE "C" """


class Writer(threading.Thread):
    """Inserts, updates and deletes in transactions that stay open for a while, are rolled back or prepared."""

    def __init__(self, conninfo, seed):
        super().__init__(daemon=True)
        self.conninfo, self.draw, self.over, self.next, self.committed = conninfo, random.Random(seed), False, ROWS, 0

    def run(self):
        while not self.over:
            # The database may be down, or this backend may have been the one that was killed.
            with contextlib.suppress(psycopg2.Error), \
                    contextlib.closing(psycopg2.connect(self.conninfo)) as connection:
                while not self.over:
                    self.transaction(connection)

    def transaction(self, connection):
        cursor, draw = connection.cursor(), self.draw
        for _ in range(draw.randrange(1, 6)):
            kind, i = draw.random(), draw.randrange(self.next)
            if kind < 0.25:
                self.next += 1
                cursor.execute("INSERT INTO person_register VALUES (%s, %s) ON CONFLICT DO NOTHING",
                               (number(self.next), f"新{self.next}"))
            elif kind < 0.95:
                cursor.execute("UPDATE person_register SET (name, changed) = (%s, now()) WHERE number = %s",
                               (f"改{draw.random()}", number(i)))
            else:
                cursor.execute("DELETE FROM person_register WHERE number = %s", (number(i),))
            time.sleep(draw.random() * 0.02)
        if draw.random() < 0.15:
            time.sleep(draw.random() * 2)
        if draw.random() < 0.1:
            connection.rollback()
        elif draw.random() < 0.1:
            name = f"writer-{draw.random()}"
            cursor.execute(f"PREPARE TRANSACTION '{name}'")
            connection.commit()
            connection.autocommit = True
            time.sleep(draw.random())
            cursor.execute(f"COMMIT PREPARED '{name}'")
            connection.autocommit = False
        else:
            connection.commit()
        self.committed += 1


@pytest.fixture
def busy(house):  # noqa: F811
    """The register with its history; nobody writes yet."""
    source(house, "INSERT INTO person_register SELECT *, now() - interval '1 hour' FROM unnest(%s, %s)",
           [number(i) for i in range(ROWS)], [f"虚构{i}" for i in range(ROWS)])
    source(house, HISTORY)
    admin(house.cluster, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO civil_affairs_owner", "civil_affairs")
    yield house
    source(house, "DROP TABLE person_history CASCADE")
    source(house, "DROP FUNCTION person_kept CASCADE")


def end_backends(cluster, user):
    return cluster.rows("admin", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s "
                                 "AND application_name LIKE 'sluice%%'", (user,))


def kill(house, victim, draw):  # noqa: F811
    if victim in ("mover", "auditor", "worker"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(draw.choice(wait_for(lambda: house.gateway.children(victim), 20, f"a {victim}")), signal.SIGKILL)
    elif victim == "crash":
        # The server restarts all of itself when a backend is killed so; unlogged tables are empty then.
        # Of the gateway's own, if it has any open at the moment.
        pids = patient(lambda: house.cluster.rows(
            "admin", "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluice%%' "
                     "AND usename IN ('statistics_owner', 'civil_affairs_reader')"))[0][0]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(pids), signal.SIGKILL)
    else:
        patient(lambda: end_backends(house.cluster,
                                     {"source": "civil_affairs_reader", "target": "statistics_owner"}[victim]))


def patient(call):
    """The gateway may have lost a process a moment ago, or the server may restart."""
    def tried():
        with contextlib.suppress(Exception):
            return call() or True
        return None
    return wait_for(tried, 60, "an answer")


def check(house, full, cursor):  # noqa: F811
    """What arrived is what each snapshot has seen."""
    seen = [row for row in source(house, SEEN, full.manifest.snapshot) if row[1] is not None]
    copied = target(house, 'SELECT id, "the ""name""", "changed at" FROM person_copied ORDER BY id COLLATE "C"')
    assert copied == seen, difference(copied, seen)
    assert full.manifest.counts.delivered == len(seen) and balances(full.manifest.counts)
    everything = source(house, SEEN, cursor.manifest.snapshot)
    deleted = {row[0] for row in everything if row[1] is None}
    here = [row for row in found(house) if row[0] not in deleted]
    expected = [row for row in everything if row[1] is not None]
    assert here == expected, difference(here, expected)
    assert balances(cursor.manifest.counts) and cursor.manifest.upserted.conflicts == 0
    assert not leftovers(house.cluster)


def difference(ours, theirs):
    return f"{sorted(set(ours) - set(theirs))[:5]} are wrong, {sorted(set(theirs) - set(ours))[:5]} are missing"


@pytest.mark.long
def test_whatever_is_killed_whenever_nothing_is_lost_or_doubled(busy):
    """TRANSFER_CAMPAIGN kills (default 500), eight to a pair of jobs: one copies everything, one follows by cursor."""
    seed = int(os.environ.get("TRANSFER_SEED", random.randrange(1 << 30)))
    draw, wanted = random.Random(seed), int(os.environ.get("TRANSFER_CAMPAIGN", 500))
    writer = Writer(busy.cluster.conninfo["civil_affairs_owner"], seed)
    writer.start()
    kills, pairs, counted, began = 0, 0, {}, time.monotonic()
    victims = ("mover", "auditor", "worker", "source", "target") * 5 + ("crash",)
    try:
        while kills < wanted:
            rate = draw.choice((0, 25000))
            requests = [dict(target="statistics/persons_copied", mode="REPLACE", rows_per_second=rate),
                        dict(target="statistics/persons_received", mode="CURSOR", cursor="updated_at")]
            jobs = []
            for request in requests:
                once = f"{seed}-{pairs}-{request['mode']}"
                jobs.append(patient(lambda: create(busy, dataset=REGISTER, request_id=once, **request)))
            for _ in range(KILLS_EACH):
                time.sleep(draw.random() * 1.2)
                victim = draw.choice(victims)
                kill(busy, victim, draw)
                kills += 1
                counted[victim] = counted.get(victim, 0) + 1
            # What was put off for some seconds is tried now: it is the kills that are to take the time.
            patient(lambda: busy.cluster.rows("control", "UPDATE control.transfer SET next_attempt_at = now() "
                                                         "WHERE state = 1"))
            wait_for(lambda: all(patient(lambda: state(busy, job)) in SETTLED for job in jobs), 180, "both to end")
            full, cursor = (patient(lambda: get(busy, job)) for job in jobs)
            assert {full.state, cursor.state} == {busy.stubs.TRANSFER_SUCCEEDED}, f"{full}\n{cursor}"
            check(busy, full, cursor)
            pairs += 1
            if pairs % 5 == 0:
                print(f"{kills} kills, {pairs} pairs, {writer.committed} transactions, "
                      f"{time.monotonic() - began:.0f} s", flush=True)
    except AssertionError as error:
        raise AssertionError(f"TRANSFER_SEED={seed} after {kills} kills\n{error}\n{moved(busy.gateway)}") from None
    finally:
        writer.over = True
        writer.join(20)
    print(f"{kills} kills {counted}, {pairs} pairs of jobs, {writer.committed} transactions of the owner's, seed {seed}")


BIG_MAPPING = """
version: 1
title: {en: Invented divisions, zh: 虚构区划}
type: gov.division.v1.Division
source: SOURCE
table: TABLE
collation: C
sharing: conditional
fields:
  code: {from: code, normalise: [{cn_division: {length: 12}}]}
  name: {from: name, required: true}
  level: {constant: VILLAGE}
  province_code: province
  city_code: city
  county_code: county
  town_code: town
"""
BIG_TABLE = """CREATE UNLOGGED TABLE {} (code text COLLATE "C" PRIMARY KEY, name text NOT NULL, province text, city text,
    county text, town text)"""
BIG_FIELDS = ["code", "name", "level", "province_code", "city_code", "county_code", "town_code"]
SIZES = {"small": 100_000, "large": 10_000_000}


@pytest.fixture
def big(workspace, cluster, pki, stubs):
    """Two registers of invented divisions, two empty tables, and a gateway of its own."""
    folder = workspace / "schemas-big"
    shutil.copytree(harness.REPO / "schemas", folder)
    for size, rows in SIZES.items():
        for department, table in (("statistics", f"division_{size}"), ("civil-affairs", f"division_{size}_received")):
            (folder / f"departments/{department}/{table}.yaml").write_text(
                BIG_MAPPING.replace("SOURCE", department).replace("TABLE", table))
        cluster.rows("statistics_owner", BIG_TABLE.format(f"division_{size}"))
        cluster.rows("statistics_owner", f"""INSERT INTO division_{size} SELECT code, '虚构村委会' || code,
            substr(code, 1, 2), substr(code, 1, 4), substr(code, 1, 6), substr(code, 1, 9)
            FROM (SELECT (110101 + i / 400000)::text || (101 + mod(i, 400000) / 900) || (100 + mod(mod(i, 400000), 900))
                  AS code FROM generate_series(1, {rows}) i) AS made""")
        cluster.rows("statistics_owner", f"GRANT SELECT ON division_{size} TO statistics_reader")
        cluster.rows("civil_affairs_owner", BIG_TABLE.format(f"division_{size}_received"))
    admin(cluster, "DROP SCHEMA IF EXISTS sluice CASCADE", "civil_affairs")
    admin(cluster, "CREATE SCHEMA sluice AUTHORIZATION civil_affairs_owner", "civil_affairs")
    gateway = harness.Gateway(workspace / unique("gateway"), cluster, pki, schemas={"directory": folder}, targets=[
        {"name": "civil-affairs", "database": cluster.conninfo["civil_affairs_owner"]}]).start()
    name = unique()
    peer = Peer(stubs, gateway, pki.system("civil-affairs", name))
    officer = Peer(stubs, gateway, "statistics-officer", "officers")
    for size in SIZES:
        officer.grant(f"civil-affairs/{name}", f"statistics/division_{size}", BIG_FIELDS, modes=("TRANSFER",))
    yield SimpleNamespace(gateway=gateway, peer=peer, cluster=cluster, stubs=stubs.transfer)
    peer.close()
    officer.close()
    assert gateway.stop() == 0
    for size in SIZES:
        cluster.rows("statistics_owner", f"DROP TABLE division_{size}")
        cluster.rows("civil_affairs_owner", f"DROP TABLE division_{size}_received")


def peak_bytes(pid, run):
    """The largest resident set of a process while `run` runs, as the kernel counts it (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    run()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) * 1024


@pytest.mark.long
def test_memory_of_ten_million_rows(big):
    """At most 32 MiB, and no more than 1.05 times what 100,000 rows take."""
    pid, = big.gateway.children("mover")
    peaks = {}
    for size, rows in SIZES.items():
        def move():
            job = create(big, target=f"civil-affairs/division_{size}_received", dataset=f"statistics/division_{size}")
            done = succeeded(big, job, 1200)
            assert done.manifest.counts.delivered == rows
            seconds = (done.ended_at.ToMicroseconds() - done.started_at.ToMicroseconds()) / 1e6
            print(f"{rows} rows in {seconds:.1f} s, {rows / seconds:.0f} rows/s")
        peaks[size] = peak_bytes(pid, move)
        digest = "SELECT count(*), sum(hashtextextended({0}::text, 0)) FROM {0}"
        sent = big.cluster.rows("statistics_owner", digest.format(f"division_{size}"))
        assert big.cluster.rows("civil_affairs_owner", digest.format(f"division_{size}_received")) == sent
    print({size: f"{peak / 2**20:.2f} MiB" for size, peak in peaks.items()})
    assert big.gateway.children("mover") == [pid]
    assert 0 < peaks["large"] <= 32 << 20 and peaks["large"] <= 1.05 * peaks["small"]
