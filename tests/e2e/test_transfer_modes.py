"""Transfers that change a table by key: everything at once (upsert), or what changed since the last time (cursor).
The rows are invented. What arrived is compared by SQL that knows nothing of the gateway."""

import contextlib
import json
import shutil
from types import SimpleNamespace

import grpc
import psycopg2
import pytest

import harness
from clients import PURPOSE, Peer, unique
from harness import wait_for
from test_transfer import (admin, balances, create, end_backends, get, held, leftovers, publishing, settled,
                           succeeded, verify, waits_for_lock)

REGISTER, RECEIVED = "civil-affairs/register", "statistics/persons_received"
FIELDS = ["id_number", "name", "updated_at"]
ROWS = 9000
SOURCE_MAPPING = """
version: 1
title: {en: Register (synthetic), zh: 人口登记（虚构数据）}
type: gov.person.v1.Resident
source: civil-affairs
table: person_register
collation: C
sharing: conditional
columns: {changed: timestamptz}
fields:
  id_number: {from: number, normalise: [cn_id]}
  name: {from: name, required: true}
  updated_at: changed
"""
TARGET_MAPPING = """
version: 1
title: {en: Persons received (synthetic), zh: 接收的人员（虚构数据）}
type: gov.person.v1.Resident
source: statistics
table: person_received
collation: C
sharing: denied
columns: {"changed at": timestamptz}
fields:
  id_number: {from: id, normalise: [cn_id]}
  name: {from: 'the "name"', required: true}
  updated_at: changed at
"""
SOURCE_TABLE = "CREATE TABLE {} (number text PRIMARY KEY, name text NOT NULL, changed timestamptz NOT NULL DEFAULT now())"
TARGET_TABLE = """CREATE TABLE {} (id text PRIMARY KEY, "the ""name\""" text NOT NULL, "changed at" timestamptz,
    arrived timestamptz NOT NULL DEFAULT now())"""


def number(i):
    """A number of GB 11643 in the range that nobody has: order codes 996 to 999."""
    day, order = divmod(i, 4)
    body = f"110101{1950 + day // 336}{1 + day // 28 % 12:02}{1 + day % 28:02}{996 + order}"
    weights = [pow(2, 17 - place, 11) for place in range(17)]
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights)) % 11]


@pytest.fixture(scope="module")
def house(workspace, cluster, pki, stubs):
    """One gateway, one register and one table to be filled, for all tests here."""
    folder = workspace / unique("schemas")
    shutil.copytree(harness.REPO / "schemas", folder)
    (folder / "departments/civil-affairs/register.yaml").write_text(SOURCE_MAPPING)
    for name, table in (("persons_received", "person_received"), ("persons_copied", "person_copied"),
                        ("persons_keyless", "person_keyless")):
        (folder / f"departments/statistics/{name}.yaml").write_text(
            TARGET_MAPPING.replace("person_received", table))
    (folder / "departments/statistics/persons_short.yaml").write_text(
        TARGET_MAPPING.replace("person_received", "person_copied").replace("  updated_at: changed at\n", "")
        .replace('columns: {"changed at": timestamptz}\n', ""))
    admin(cluster, "DROP SCHEMA IF EXISTS sluice CASCADE")
    admin(cluster, "CREATE SCHEMA sluice AUTHORIZATION statistics_owner")
    cluster.rows("civil_affairs_owner", SOURCE_TABLE.format("person_register"))
    cluster.rows("civil_affairs_owner", "GRANT SELECT ON person_register TO civil_affairs_reader")
    cluster.rows("statistics_owner", TARGET_TABLE.format("person_received"))
    cluster.rows("statistics_owner", TARGET_TABLE.format("person_copied"))
    cluster.rows("statistics_owner", TARGET_TABLE.format("person_keyless").replace("PRIMARY KEY", "NOT NULL"))
    admin(cluster, "GRANT pg_read_all_stats TO civil_affairs_reader", "civil_affairs")
    admin(cluster, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO statistics_reader")
    gateway = harness.Gateway(workspace / unique("gateway"), cluster, pki, schemas={"directory": folder},
                              targets=[{"name": "statistics", "database": cluster.conninfo["statistics_owner"]}]).start()
    name = unique()
    peer = Peer(stubs, gateway, pki.system("statistics", name))
    officer = Peer(stubs, gateway, "civil-affairs-officer", "officers")
    agreement = officer.grant(f"statistics/{name}", REGISTER, FIELDS, modes=("TRANSFER",))
    yield SimpleNamespace(gateway=gateway, peer=peer, officer=officer, cluster=cluster, stubs=stubs.transfer,
                          agreement=agreement, name=name)
    peer.close()
    officer.close()
    assert gateway.stop() == 0
    admin(cluster, "REVOKE pg_read_all_stats FROM civil_affairs_reader", "civil_affairs")
    cluster.rows("civil_affairs_owner", "DROP TABLE person_register")
    cluster.rows("statistics_owner", "DROP TABLE person_received, person_copied, person_keyless")


@pytest.fixture
def fresh(house):
    """A full register, an empty table, and nothing known of either."""
    source(house, "TRUNCATE person_register")
    with contextlib.closing(psycopg2.connect(house.cluster.conninfo["civil_affairs_owner"])) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO person_register SELECT *, now() - interval '1 hour' FROM unnest(%s, %s)",
                           ([number(i) for i in range(ROWS)], [f"虚构{i}" for i in range(ROWS)]))
    target(house, "TRUNCATE person_received")
    for table in ("transfer_write", "transfer_conflict", "transfer_watermark"):
        with contextlib.suppress(psycopg2.errors.UndefinedTable):
            target(house, f"DELETE FROM sluice.{table}")
    return house


def source(house, statement, *parameters):
    return house.cluster.rows("civil_affairs_owner", statement, parameters or None)


def target(house, statement, *parameters):
    return house.cluster.rows("statistics_owner", statement, parameters or None)


def expected(house):
    return source(house, 'SELECT number, name, changed FROM person_register ORDER BY number COLLATE "C"')


def found(house, where="true"):
    return target(house, f'SELECT id, "the ""name""", "changed at" FROM person_received WHERE {where} '
                         'ORDER BY id COLLATE "C"')


def move(house, mode="UPSERT", **rest):
    done = succeeded(house, create(house, target=RECEIVED, dataset=REGISTER, mode=mode, **rest))
    assert balances(done.manifest.counts) and not leftovers(house.cluster)
    return done


def upserted(done):
    counts = done.manifest.upserted
    assert counts.inserted + counts.updated + counts.unchanged + counts.conflicts == done.manifest.counts.delivered
    return counts.inserted, counts.updated, counts.unchanged, counts.conflicts


def conflicts(house):
    return target(house, "SELECT key, held, sent FROM sluice.transfer_conflict ORDER BY key")


def test_rows_are_inserted_and_updated_by_key_and_others_stay(fresh):
    target(fresh, "INSERT INTO person_received VALUES ('mine', 'mine', NULL)")
    assert upserted(move(fresh)) == (ROWS, 0, 0, 0)
    assert found(fresh, "id <> 'mine'") == expected(fresh) and len(found(fresh)) == ROWS + 1
    arrived = target(fresh, "SELECT max(arrived) FROM person_received")
    source(fresh, "UPDATE person_register SET name = name || '改' WHERE number IN (%s, %s)", number(3), number(8999))
    source(fresh, "INSERT INTO person_register VALUES (%s, '新')", number(ROWS))
    source(fresh, "DELETE FROM person_register WHERE number = %s", number(5))
    done = move(fresh)
    assert upserted(done) == (1, 2, ROWS - 3, 0)
    # What the owner deleted stays: an upsert adds and changes.
    assert found(fresh, f"id NOT IN ('mine', '{number(5)}')") == expected(fresh)
    assert found(fresh, "id = 'mine'") == [("mine", "mine", None)]
    # Rows that are the same are not written.
    assert target(fresh, "SELECT count(*) FROM person_received WHERE arrived <= %s", arrived[0][0]) == [(ROWS + 1,)]
    failure = fresh.peer.failure(lambda: verify(fresh, done))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TRANSFER_NOT_VERIFIABLE")


def test_what_somebody_else_changed_stays_and_both_versions_are_kept(fresh):
    move(fresh)
    theirs = (number(7), number(77), number(777))
    # One is changed differently on both sides, one only here, one to the same value.
    source(fresh, "UPDATE person_register SET name = 'owner' WHERE number IN (%s, %s)", theirs[0], theirs[2])
    target(fresh, 'UPDATE person_received SET "the ""name""" = %s WHERE id IN (%s, %s)', "mine", *theirs[:2])
    target(fresh, 'UPDATE person_received SET ("the ""name""", "changed at") = (%s, %s) WHERE id = %s', "owner",
           source(fresh, "SELECT changed FROM person_register WHERE number = %s", theirs[2])[0][0], theirs[2])
    assert upserted(move(fresh)) == (0, 0, ROWS - 2, 2)
    assert [row[1] for row in found(fresh, f"id IN {theirs}")] == ["mine", "mine", "owner"]
    kept = {key["id"]: (before['the "name"'], sent['the "name"']) for key, before, sent in conflicts(fresh)}
    assert kept == {theirs[0]: ("mine", "owner"), theirs[1]: ("mine", "虚构77")}
    # Settled in favour of the owner by deleting the row; the other is found again.
    target(fresh, "DELETE FROM person_received WHERE id = %s", theirs[0])
    assert upserted(move(fresh)) == (1, 0, ROWS - 2, 1)
    assert [key["id"] for key, _, _ in conflicts(fresh)] == [theirs[1]]
    # Replacing asks nobody, and leaves nothing to be held back.
    succeeded(fresh, create(fresh, target=RECEIVED, dataset=REGISTER, mode="REPLACE"))
    assert found(fresh) == expected(fresh)
    assert upserted(move(fresh)) == (0, 0, ROWS, 0)
    assert not conflicts(fresh)


def test_a_row_that_was_there_before_any_transfer_is_not_covered(fresh):
    target(fresh, "INSERT INTO person_received VALUES (%s, 'before', now())", number(1))
    assert upserted(move(fresh)) == (ROWS - 1, 0, 0, 1)
    assert found(fresh, f"id = '{number(1)}'")[0][1] == "before"


def test_an_older_snapshot_does_not_cover_a_newer_one(fresh):
    """Another transfer of the same rows comes in between: the first one looks at its source again."""
    move(fresh)
    with held(fresh.cluster, "person_received"):
        older = create(fresh, target=RECEIVED, dataset=REGISTER, mode="UPSERT")
        publishing(fresh)
        source(fresh, "UPDATE person_register SET name = 'newest' WHERE number = %s", number(1))
        newer = create(fresh, target=RECEIVED, dataset=REGISTER, mode="UPSERT")
        wait_for(lambda: get(fresh, newer).counts.delivered == ROWS, 20, "the other one to have read all")
    done = [succeeded(fresh, job) for job in (older, newer)]
    assert found(fresh) == expected(fresh)
    assert sorted(upserted(one)[:3] for one in done) == [(0, 0, ROWS), (0, 1, ROWS - 1)]
    assert sorted(one.attempts for one in done) == [0, 1]


def test_a_table_without_the_key_says_so(fresh):
    failed = settled(fresh, create(fresh, target="statistics/persons_keyless", dataset=REGISTER, mode="UPSERT"))
    assert failed.failure.reason == "TARGET_KEY_MISSING"
    assert not leftovers(fresh.cluster)


def follow(house, **rest):
    return move(house, "CURSOR", cursor="updated_at", **rest)


def change(house, i, name):
    source(house, "UPDATE person_register SET (name, changed) = (%s, now()) WHERE number = %s", name, number(i))


@contextlib.contextmanager
def writing(house, *statements):
    """A transaction of the owner's that has written and commits when the block ends."""
    with contextlib.closing(psycopg2.connect(house.cluster.conninfo["civil_affairs_owner"])) as connection:
        for statement, *parameters in statements:
            connection.cursor().execute(statement, parameters)
        yield connection
        connection.commit()


LATE = ("UPDATE person_register SET (name, changed) = ('late', now()) WHERE number = %s", number(11))


def test_a_cursor_reads_what_changed_and_nothing_twice_for_good(fresh):
    first = follow(fresh)
    assert upserted(first) == (ROWS, 0, 0, 0) and found(fresh) == expected(fresh)
    assert first.manifest.cursor.field == first.cursor == "updated_at"
    assert not first.manifest.cursor.HasField("from") and first.manifest.cursor.HasField("next")
    assert "no index" in first.manifest.cursor.advice[0]
    source(fresh, "CREATE INDEX person_changed ON person_register (changed)")
    change(fresh, 4, "second")
    source(fresh, "INSERT INTO person_register VALUES (%s, 'new')", number(ROWS))
    source(fresh, "DELETE FROM person_register WHERE number = %s", number(6))
    second = follow(fresh)
    assert second.manifest.counts.read == 2 and upserted(second) == (1, 1, 0, 0)
    assert getattr(second.manifest.cursor, "from") == first.manifest.cursor.next
    assert not second.manifest.cursor.advice
    # What the owner deleted is still there, so nobody says that the two are equal.
    assert found(fresh, f"id <> '{number(6)}'") == expected(fresh) and len(found(fresh)) == ROWS + 1
    failure = fresh.peer.failure(lambda: verify(fresh, second))
    assert failure.reason == "TRANSFER_NOT_VERIFIABLE" and "never called equal" in failure.text
    # Another filter shows rows that were not seen before: all of them are read.
    assert not follow(fresh, filter="name != ''").manifest.cursor.HasField("from")
    # And after rows came in another mode, which may have been older.
    move(fresh, "UPSERT")
    assert follow(fresh).manifest.counts.read == ROWS
    source(fresh, "DROP INDEX person_changed")


def test_what_commits_late_is_not_missed(fresh):
    """The transaction began before the copy, wrote before it or behind it, and commits when it is over."""
    with writing(fresh, LATE) as early, writing(fresh, ("SELECT 1",)) as idle:
        done = follow(fresh)
        assert found(fresh, f"id = '{number(11)}'")[0][1] == "虚构11"
        change(fresh, 12, "prompt")
        again = follow(fresh)
        # The oldest of them holds the watermark.
        assert again.manifest.cursor.next == done.manifest.cursor.next
        idle.cursor().execute(LATE[0], (number(13),))
        early.commit()
        idle.commit()
    follow(fresh)
    assert found(fresh) == expected(fresh)
    assert {row[1] for row in found(fresh, f"id IN {(number(11), number(12), number(13))}")} == {"late", "prompt"}


def test_prepared_transactions_hold_the_watermark(fresh):
    name = unique()
    with contextlib.closing(psycopg2.connect(fresh.cluster.conninfo["civil_affairs_owner"])) as connection:
        connection.cursor().execute(*LATE[:1], (number(21),))
        connection.cursor().execute(f"PREPARE TRANSACTION '{name}'")
    try:
        first = follow(fresh)
        # Nobody knows when it began: the next copy reads everything again.
        assert not first.manifest.cursor.HasField("next") and "prepared" in first.manifest.cursor.advice[0]
        assert follow(fresh).manifest.counts.read == ROWS
    finally:
        admin(fresh.cluster, f"COMMIT PREPARED '{name}'", "civil_affairs")
    assert upserted(follow(fresh)) == (0, 1, ROWS - 1, 0)
    assert found(fresh) == expected(fresh)


def test_the_watermark_moves_with_its_rows_or_not_at_all(fresh):
    follow(fresh)
    change(fresh, 31, "killed")
    with held(fresh.cluster, "person_received"):
        job = create(fresh, target=RECEIVED, dataset=REGISTER, mode="CURSOR", cursor="updated_at")
        publishing(fresh)
        before = target(fresh, "SELECT watermark FROM sluice.transfer_watermark")
        assert len(before) == 1
        assert end_backends(fresh.cluster, "statistics_owner", 'LOCK TABLE "%')  # not the one who holds it
        wait_for(lambda: waits_for_lock(fresh.cluster), 20, "the transfer to come to its last step again")
        assert found(fresh) != expected(fresh)
        assert target(fresh, "SELECT watermark FROM sluice.transfer_watermark") == before
    done = succeeded(fresh, job)
    assert upserted(done)[:2] == (0, 1) and found(fresh) == expected(fresh)
    assert target(fresh, "SELECT watermark FROM sluice.transfer_watermark") > before


def test_what_a_cursor_needs(fresh):
    def refused(reason, **rest):
        failure = fresh.peer.failure(lambda: create(fresh, target=RECEIVED, dataset=REGISTER, **rest))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    refused("CURSOR_REQUIRED", mode="CURSOR")
    refused("CURSOR_REQUIRED", mode="UPSERT", cursor="updated_at")
    for field in ("name", "mobile", "no_such", 'name" OR "'):
        refused("CURSOR_FIELD", mode="CURSOR", cursor=field)
    admin(fresh.cluster, "REVOKE pg_read_all_stats FROM civil_affairs_reader", "civil_affairs")
    try:
        failed = settled(fresh, create(fresh, target=RECEIVED, dataset=REGISTER, mode="CURSOR", cursor="updated_at"))
        assert failed.failure.reason == "SOURCE_STATS_DENIED"
        assert failed.failure.text.endswith("GRANT pg_read_all_stats TO civil_affairs_reader")
    finally:
        admin(fresh.cluster, "GRANT pg_read_all_stats TO civil_affairs_reader", "civil_affairs")
    assert not found(fresh) and not leftovers(fresh.cluster)


def test_what_would_be_lost_is_told_before_the_first_row(fresh):
    short, kinds = dict(target="statistics/persons_short", dataset=REGISTER), fresh.stubs.TransferLoss
    failure = fresh.peer.failure(lambda: create(fresh, **short))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FIELDS_LOST")
    assert "updated_at" in failure.text and "name" not in failure.text.split(";")[0]
    job = create(fresh, accept_lossy=True, **short)
    assert {loss.field: loss.kind for loss in job.losses} == {
        "id_number": kinds.CANONICAL_LOSSLESS, "updated_at": kinds.ABSENT}
    assert all(loss.sentence and loss.sentence_zh for loss in job.losses)
    assert succeeded(fresh, job).manifest.fields == ["id_number", "name"]
    assert target(fresh, 'SELECT count(*), count("changed at") FROM person_copied') == [(ROWS, 0)]
    # What is not asked for is not lost; a table that has everything loses nothing.
    asked = create(fresh, fields={"paths": ["id_number", "name"]}, **short)
    assert [loss.field for loss in asked.losses] == ["id_number"]
    whole = create(fresh, target=RECEIVED, dataset=REGISTER)
    assert {loss.kind for loss in whole.losses} == {kinds.CANONICAL_LOSSLESS}
    for job in (asked, whole):
        succeeded(fresh, job)


def test_the_command_line(fresh, sluice):
    short = sluice("transfer", "create", REGISTER, "statistics/persons_short", "--purpose", PURPOSE, "--accept-lossy",
                   certificate=f"statistics-{fresh.name}", to=fresh.gateway)
    assert short.returncode == 0 and "updated_at: The table does not hold this field" in short.stderr, short

    def run(*words):
        return sluice("transfer", "create", REGISTER, RECEIVED, "--purpose", PURPOSE, "--follow", "--format", "json",
                      *words, certificate=f"statistics-{fresh.name}", to=fresh.gateway)
    for words in (("--upsert",), ("--cursor", "updated_at")):
        made = run(*words)
        assert made.returncode == 0, made.stderr
        counts = json.loads(made.stdout)["manifest"]["upserted"]
        assert int(counts["inserted" if words[0] == "--upsert" else "unchanged"]) == ROWS
    assert run("--upsert", "--append").returncode == 2
