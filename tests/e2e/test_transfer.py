"""Whole datasets move between department databases. What arrived is compared with the source by SQL that
knows nothing of the gateway; processes are killed half-way; targets that cannot take the rows stay as they
were."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
from types import SimpleNamespace

import grpc
import psycopg2
import pytest

import harness
from audit_log import AuditLog
from clients import PURPOSE, Peer, unique
from conftest import TOWNS, VILLAGES
from harness import wait_for


MAPPING = """
version: 1
title: {en: Towns received, zh: 接收的乡级行政区划}
type: gov.division.v1.Division
source: statistics
table: town_received
collation: C
sharing: denied
fields:
  code: {from: code, normalise: [{cn_division: {length: 9}}]}
  name: {from: name, required: true}
  level: {constant: TOWN}
  province_code: province_code
  city_code: city_code
  county_code: county_code
  town_code: code
"""
TABLE = """
CREATE TABLE town_received (code text PRIMARY KEY, name text NOT NULL, province_code text NOT NULL,
    city_code text, county_code text, arrived_at timestamptz NOT NULL DEFAULT now())
"""
# The register's own columns, put together by hand.
EXPECTED = """SELECT substr(code, 1, 6) || substr(town, 1, 3), name, province, substr(province, 1, 2) ||
    substr(city, 1, 2), code FROM town ORDER BY substr(code, 1, 6) || substr(town, 1, 3) COLLATE "C" """
FOUND = 'SELECT code, name, province_code, city_code, county_code FROM town_received ORDER BY code COLLATE "C"'
SETTLED = ("TRANSFER_SUCCEEDED", "TRANSFER_FAILED", "TRANSFER_CANCELLED")


def admin(cluster, statement, database="statistics"):
    conninfo = re.sub(r"dbname=\S+", f"dbname={database}", cluster.conninfo["admin"])
    with contextlib.closing(psycopg2.connect(conninfo)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


VILLAGES_MAPPING = """
version: 1
title: {en: Villages received, zh: 接收的村级区划}
type: gov.division.v1.Division
source: civil-affairs
table: village_received
collation: C
sharing: denied
fields:
  code: {from: code, normalise: [{cn_division: {length: 12}}]}
  name: {from: name, required: true}
  level: {constant: VILLAGE}
  province_code: province
  city_code: city
  county_code: county
  town_code: town
"""
VILLAGES_TABLE = """CREATE TABLE village_received (code text PRIMARY KEY, name text NOT NULL, province text,
    city text, county text, town text)"""
FIELDS = ["code", "name", "level", "province_code", "city_code", "county_code", "town_code"]


@pytest.fixture(scope="module")
def schemas(workspace):
    """The schemas of the checkout, and tables that are to be filled: good ones and bad ones."""
    folder = workspace / unique("schemas")
    shutil.copytree(harness.REPO / "schemas", folder)
    mappings = {"towns_received": MAPPING}
    for name, change in (("missing_table", ("table: town_received", "table: town_nowhere")),
                         ("missing_column", ("city_code: city_code", "city_code: prefecture")),
                         ("wrong_type", ("table: town_received", "table: town_typed")),
                         ("foreign", ("table: town_received", "table: town_foreign")),
                         ("strict", ("table: town_received", "table: town_strict"))):
        mappings[name] = MAPPING.replace(*change)
    for name, text in mappings.items():
        (folder / f"departments/statistics/{name}.yaml").write_text(text)
    (folder / "departments/civil-affairs/villages_received.yaml").write_text(VILLAGES_MAPPING)
    return folder


@pytest.fixture(scope="module")
def prepared(cluster):
    """Both departments' databases as docs/transfer.md asks for it."""
    for database in ("statistics", "civil_affairs"):
        admin(cluster, "DROP SCHEMA IF EXISTS sluice CASCADE", database)
        admin(cluster, f"CREATE SCHEMA sluice AUTHORIZATION {database}_owner", database)
    for statement in (TABLE, TABLE.replace("town_received", "town_strict"),
                      "ALTER TABLE town_strict ADD CHECK (name <> '东华门街道')",
                      TABLE.replace("town_received", "town_typed").replace("county_code text", "county_code date")):
        cluster.rows("statistics_owner", statement)
    cluster.rows("civil_affairs_owner", VILLAGES_TABLE)
    admin(cluster, TABLE.replace("town_received", "town_foreign"))
    for database in ("statistics", "civil_affairs"):
        admin(cluster, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {database}_reader", database)
    admin(cluster, "GRANT SELECT ON town_foreign TO statistics_owner")
    yield cluster
    for name in ("town_received", "town_strict", "town_typed", "town_foreign"):
        admin(cluster, f"DROP TABLE {name}")
    admin(cluster, "DROP TABLE village_received", "civil_affairs")


@pytest.fixture(scope="module")
def mover(workspace, prepared, pki, schemas):
    targets = [{"name": "statistics", "database": prepared.conninfo["statistics_owner"]},
               {"name": "civil-affairs", "database": prepared.conninfo["civil_affairs_owner"]}]
    gateway = harness.Gateway(workspace / unique("gateway"), prepared, pki,
                              schemas={"directory": schemas}, targets=targets).start()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def side(mover, pki, stubs, prepared):
    """side("statistics", TOWNS): a system of that department, with an agreement of its own."""
    peers = []

    def make(department, dataset, modes=("TRANSFER",), **rest):
        name = unique()
        peers.append(Peer(stubs, mover, pki.system(department, name)))
        peers.append(Peer(stubs, mover, f"{dataset.split('/')[0]}-officer", "officers"))
        agreement = peers[-1].grant(f"{department}/{name}", dataset, FIELDS, modes=modes, **rest)
        return SimpleNamespace(peer=peers[-2], officer=peers[-1], agreement=agreement, name=name,
                               stubs=stubs.transfer, gateway=mover, cluster=prepared)
    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def bureau(side, prepared):
    """A system of the statistics bureau that may copy the towns; the tables to be filled are empty."""
    prepared.rows("statistics_owner", "TRUNCATE town_received, town_strict")
    return side("statistics", TOWNS)


def create(bureau, target="statistics/towns_received", dataset=TOWNS, **rest):
    request = bureau.stubs.CreateTransferRequest(dataset=dataset, target=target, purpose=PURPOSE, **rest)
    return bureau.peer.transfers.CreateTransfer(request, timeout=10)


def get(bureau, job):
    return bureau.peer.transfers.GetTransfer(bureau.stubs.GetTransferRequest(id=job.id), timeout=10)


def state(bureau, job):
    return bureau.stubs.TransferState.Name(get(bureau, job).state)


def settled(bureau, job, seconds=60):
    try:
        wait_for(lambda: state(bureau, job) in SETTLED, seconds, "the transfer to end")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{get(bureau, job)}\n{moved(bureau.gateway)}") from None
    return get(bureau, job)


def moved(gateway):
    """What the movers logged."""
    return "\n".join(re.findall(r"^.*(?:process=mover|process_ended).*$", gateway.log(), re.M)[-60:])


def succeeded(bureau, job, seconds=60):
    done = settled(bureau, job, seconds)
    assert done.state == bureau.stubs.TRANSFER_SUCCEEDED, f"{done}\n{moved(bureau.gateway)}"
    return done


def source_rows(cluster):
    return cluster.rows("civil_affairs_owner", EXPECTED)


def target_rows(cluster):
    return cluster.rows("statistics_owner", FOUND)


def leftovers(cluster):
    return cluster.rows("statistics_owner", "SELECT tablename FROM pg_tables WHERE schemaname = 'sluice' AND "
                                            "tablename LIKE 'staging%%'")


def balances(counts):
    return counts.read == counts.delivered + counts.quarantined + counts.filtered + counts.duplicates


def verify(bureau, job):
    request = bureau.stubs.VerifyTransferRequest(id=job.id)
    return bureau.peer.transfers.VerifyTransfer(request, timeout=30)


def test_the_copy_equals_the_source(bureau):
    done = succeeded(bureau, create(bureau))
    expected = source_rows(bureau.cluster)
    assert len(expected) > 40000
    assert target_rows(bureau.cluster) == expected
    counts = done.manifest.counts
    assert balances(counts) and counts.read == counts.delivered == len(expected)
    assert counts == done.counts
    assert re.fullmatch(r"\d+:\d+:.*", done.manifest.snapshot)
    assert len(done.manifest.root) == 32 and len(done.manifest.table_root) == 32
    assert not leftovers(bureau.cluster)
    verified = verify(bureau, done)
    assert verified.equal and verified.found == len(expected)
    assert verified.table_root == done.manifest.table_root.hex() == verified.manifest_root
    # Verify can fail.
    bureau.cluster.rows("statistics_owner", "UPDATE town_received SET name = name || '?' WHERE code = '110101001'")
    assert not verify(bureau, done).equal
    # Replacing puts it right, and what was there goes.
    bureau.cluster.rows("statistics_owner", "INSERT INTO town_received VALUES ('999999999', 'x', '99', '9999', '999999')")
    succeeded(bureau, create(bureau))
    assert target_rows(bureau.cluster) == expected


@contextlib.contextmanager
def held(cluster, table="town_received"):
    """Somebody else works on the target table, so that a transfer waits before it puts rows in place."""
    with contextlib.closing(psycopg2.connect(cluster.conninfo["statistics_owner"])) as connection:
        connection.cursor().execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        yield


def waits_for_lock(cluster):
    return cluster.rows("statistics_owner", "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                                            "query LIKE 'LOCK TABLE%%'")


def publishing(bureau):
    wait_for(lambda: waits_for_lock(bureau.cluster), 30, "the transfer to come to its last step")


def kill_mover(gateway):
    pid, = wait_for(lambda: gateway.children("mover"), 10, "a mover")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gateway.children("mover") not in ([pid], []), 10, "another mover")


def progress(cluster, job):
    """(epoch, chunks) of the attempt at work."""
    with contextlib.suppress(psycopg2.errors.UndefinedTable):
        rows = cluster.rows("civil_affairs_owner",
                            "SELECT epoch, chunks FROM sluice.transfer_progress WHERE job = %s", (job.id,))
        return rows[0] if rows else (0, 0)
    return (0, 0)


@pytest.fixture
def civil(side, prepared):
    """A system of civil affairs that may copy the 620,573 villages."""
    prepared.rows("civil_affairs_owner", "TRUNCATE village_received")
    return side("civil-affairs", VILLAGES)


def all_villages(cluster):
    expected = cluster.rows("statistics_owner", 'SELECT code, name, "provinceCode", "cityCode", "areaCode", '
                            '"streetCode" FROM village ORDER BY code COLLATE "C"')
    found = cluster.rows("civil_affairs_owner", "SELECT code, name, province, city, county, town FROM "
                                                'village_received ORDER BY code COLLATE "C"')
    assert found == expected
    return len(found)


def test_killed_half_way_again_and_again_it_ends_equal(civil, prepared):
    """A mover dies after so many chunks, each time another number of them."""
    job = create(civil, target="civil-affairs/villages_received", dataset=VILLAGES)
    for number, chunks in enumerate((1, 5, 20)):
        reached(civil, job, number + 1, chunks)
        kill_mover(civil.gateway)
        assert state(civil, job) == "TRANSFER_RUNNING"
        assert prepared.rows("civil_affairs_owner", "SELECT count(*) FROM village_received") == [(0,)]
    done = succeeded(civil, job, 120)
    assert progress(prepared, job)[0] == 4
    assert all_villages(prepared) == done.manifest.counts.delivered
    verified = verify(civil, done)
    assert verified.equal and verified.found == done.manifest.counts.delivered


def reached(civil, job, epoch, chunks):
    def there():
        now = progress(civil.cluster, job)
        return now[0] >= epoch and now[1] >= chunks
    wait_for(there, 60, f"epoch {epoch}, {chunks} chunks")


def end_backends(cluster, user, words):
    """Ends the server's side of a role's connections by what they last ran; answers how many."""
    return len(cluster.rows("admin", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s "
                                     "AND usename = %s", (words, user)))


def test_a_target_that_breaks_off_gets_each_chunk_once(civil, prepared):
    """The source's snapshot lives on, so the copy goes on where the progress row says it is."""
    job = create(civil, target="civil-affairs/villages_received", dataset=VILLAGES)

    def broken_off():
        return any([end_backends(prepared, "civil_affairs_owner", text) for text in ("%staging_%", "COMMIT")])
    for chunks in range(2, 44, 6):
        reached(civil, job, 1, chunks)
        # Between two statements of the mover there is nothing to end.
        wait_for(broken_off, 10, "a backend at work on the copy")
    done = succeeded(civil, job, 120)
    assert progress(prepared, job)[0] == 1, moved(civil.gateway)  # one attempt
    assert all_villages(prepared) == done.manifest.counts.delivered


def test_a_lost_snapshot_begins_anew(civil, prepared):
    job = create(civil, target="civil-affairs/villages_received", dataset=VILLAGES)
    reached(civil, job, 1, 3)
    assert end_backends(prepared, "statistics_reader", '%"village"%ORDER BY%')
    done = succeeded(civil, job, 120)
    assert progress(prepared, job)[0] == 2 and done.attempts == 1
    assert all_villages(prepared) == done.manifest.counts.delivered


def test_whatever_dies_at_whatever_chunk_it_ends_equal(civil, prepared):
    """TRANSFER_KILLS says how many; what dies and when is drawn, and told when it fails."""
    seed = int(os.environ.get("TRANSFER_SEED", random.randrange(1 << 30)))
    draw = random.Random(seed)
    job = create(civil, target="civil-affairs/villages_received", dataset=VILLAGES)
    killed = []
    try:
        for _ in range(int(os.environ.get("TRANSFER_KILLS", 5))):
            epoch, chunks = progress(prepared, job)[0], draw.randrange(1, 70)
            wait_for(lambda: progress(prepared, job) >= (max(epoch, 1), chunks) or state(civil, job) in SETTLED, 90,
                     "the next chunk")
            if state(civil, job) in SETTLED:
                break
            victim = draw.choice(("mover", "target", "source", "auditor"))
            killed.append((victim, *progress(prepared, job)))
            if victim == "mover":
                kill_mover(civil.gateway)
            elif victim == "target":
                end_backends(prepared, "civil_affairs_owner", "%")
            elif victim == "source":
                end_backends(prepared, "statistics_reader", "%")
            else:
                auditor, = wait_for(lambda: civil.gateway.children("auditor"), 10, "an auditor")
                os.kill(auditor, signal.SIGKILL)
        done = succeeded(civil, job, 180)
        assert all_villages(prepared) == done.manifest.counts.delivered
        assert balances(done.manifest.counts) and verify(civil, done).equal
        print(f"{len(killed)} killed, seed {seed}")
    except AssertionError as error:
        raise AssertionError(f"TRANSFER_SEED={seed} {killed}\n{error}\n{moved(civil.gateway)}") from None


def test_it_reads_no_faster_than_it_was_told(bureau):
    """The last chunk may come early, nothing else; the rate is over the whole copy."""
    (rows, codes), = bureau.cluster.rows("civil_affairs_owner", "SELECT count(*), count(DISTINCT province) FROM town")
    assert codes > 1
    rate = rows // 4
    done = settled(bureau, create(bureau, rows_per_second=rate))
    assert done.state == bureau.stubs.TRANSFER_SUCCEEDED and done.counts.delivered == rows
    assert done.rows_per_second == rate
    seconds = (done.ended_at.ToMicroseconds() - done.started_at.ToMicroseconds()) / 1e6
    assert seconds >= (rows - min(rate, 8192)) / rate - 1
    for wrong in (-1, 1000001):
        failure = bureau.peer.failure(lambda: create(bureau, rows_per_second=wrong))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ROWS_PER_SECOND_INVALID")


def test_memory_does_not_grow_with_rows(civil, prepared):
    """What the mover's process takes while it moves 620,573 rows: 32 MiB at most."""
    pid, = civil.gateway.children("mover")
    job = create(civil, target="civil-affairs/villages_received", dataset=VILLAGES)
    most = 0
    while state(civil, job) not in SETTLED:
        most = max(most, civil.gateway.resident_bytes(pid))
    done = succeeded(civil, job)
    seconds = (done.ended_at.ToNanoseconds() - done.started_at.ToNanoseconds()) / 1e9
    print(f"{done.manifest.counts.delivered / seconds:.0f} rows/s, {most / 2**20:.1f} MiB")
    assert civil.gateway.children("mover") == [pid] and 0 < most <= 32 << 20


def test_a_reload_and_an_upgrade_hand_the_job_on(civil, prepared):
    job = create(civil, target="civil-affairs/villages_received", dataset=VILLAGES)
    for number, signalled in enumerate((signal.SIGHUP, signal.SIGUSR2)):
        reached(civil, job, number + 1, 3)
        before = set(civil.gateway.children("mover"))
        civil.gateway.process.send_signal(signalled)
        wait_for(lambda: set(civil.gateway.children("mover")) - before, 20, "a new mover")
        wait_for(lambda: not before & set(civil.gateway.children("mover")), 30, "the old mover to go")
    done = succeeded(civil, job, 120)
    assert done.attempts == 0
    assert all_villages(prepared) == done.manifest.counts.delivered


def test_killed_while_it_puts_rows_in_place(bureau):
    with held(bureau.cluster):
        job = create(bureau)
        publishing(bureau)
        kill_mover(bureau.gateway)
        assert target_rows(bureau.cluster) == []
    succeeded(bureau, job)
    assert target_rows(bureau.cluster) == source_rows(bureau.cluster)
    assert not leftovers(bureau.cluster)


def test_a_mover_that_stood_still_writes_nothing_any_more(bureau):
    with held(bureau.cluster):
        job = create(bureau)
        publishing(bureau)
        pid, = bureau.gateway.children("mover")
        os.kill(pid, signal.SIGSTOP)
        try:
            # Another gateway takes the job over; its first act in the target waits for the sleeper's
            # transaction, which ends without it.
            other = harness.Gateway(bureau.gateway.folder.parent / unique("gateway"), bureau.cluster,
                                    bureau.gateway.pki, instance="other",
                                    schemas={"directory": bureau.gateway.config["schemas"]["directory"]},
                                    targets=bureau.gateway.config["targets"]).start()
            wait_for(lambda: get(bureau, job).mover == "other", 20, "the other gateway to take it")
            bureau.cluster.rows("statistics_owner", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                                    "WHERE query LIKE 'LOCK TABLE%%' AND pid <> pg_backend_pid()")
        finally:
            os.kill(pid, signal.SIGCONT)
    done = succeeded(bureau, job, 90)
    assert done.mover == "other"
    assert target_rows(bureau.cluster) == source_rows(bureau.cluster)
    assert other.stop() == 0


def test_a_revoked_agreement_stops_it_and_nothing_shows(bureau):
    bureau.cluster.rows("statistics_owner", "INSERT INTO town_received VALUES ('1', 'before', '1', '1', '1')")
    with held(bureau.cluster):
        job = create(bureau)
        publishing(bureau)
        bureau.officer.revoke(bureau.agreement.id)
        failed = settled(bureau, job)
    assert failed.state == bureau.stubs.TRANSFER_FAILED
    assert failed.failure.reason == "AGREEMENT_REVOKED"
    assert target_rows(bureau.cluster) == [("1", "before", "1", "1", "1")]
    assert not leftovers(bureau.cluster)


@pytest.mark.parametrize("target, reason", [
    ("missing_table", "TARGET_TABLE_MISSING"), ("missing_column", "TARGET_COLUMN_MISSING"),
    ("wrong_type", "TARGET_COLUMN_TYPE"), ("foreign", "TARGET_PERMISSION"), ("strict", "TARGET_CONSTRAINT")])
def test_a_bad_target_says_why_and_stays_as_it_was(bureau, target, reason):
    bureau.cluster.rows("statistics_owner", "INSERT INTO town_strict VALUES ('1', 'before', '1', '1', '1')")
    failed = settled(bureau, create(bureau, target=f"statistics/{target}"))
    assert failed.state == bureau.stubs.TRANSFER_FAILED
    assert failed.failure.reason == reason and len(failed.failure.text) > 20
    assert not leftovers(bureau.cluster)
    assert bureau.cluster.rows("statistics_owner", "SELECT name FROM town_strict") == [("before",)]


def test_a_table_that_changes_one_row_on_its_way_in(bureau):
    """Everything is read back: a trigger that alters a single name of 41,000 is found, and nothing shows."""
    admin(bureau.cluster, """CREATE FUNCTION town_altered() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.code = '110101001' THEN NEW.name := NEW.name || '?'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER altered BEFORE INSERT ON town_received FOR EACH ROW EXECUTE FUNCTION town_altered()""")
    try:
        job = create(bureau)
        wait_for(lambda: get(bureau, job).failure.reason == "TARGET_DIFFERS", 30, "the difference to be found")
        assert target_rows(bureau.cluster) == []
    finally:
        admin(bureau.cluster, "DROP FUNCTION town_altered CASCADE")
    # It would be tried again by itself; resuming does so at once, and forgets how often it failed.
    wait_for(lambda: state(bureau, job) == "TRANSFER_PENDING", 10, "the attempt to be over")
    bureau.cluster.rows("control", "UPDATE control.transfer SET next_attempt_at = now() + interval '1 hour' WHERE id = %s",
                        (job.id,))
    resumed = bureau.peer.transfers.ResumeTransfer(bureau.stubs.ResumeTransferRequest(id=job.id), timeout=5)
    assert resumed.attempts == 0
    succeeded(bureau, job)
    assert target_rows(bureau.cluster) == source_rows(bureau.cluster)


def test_who_may_do_what(bureau, side):
    def refused(who, call, reason):
        failure = who.peer.failure(call)
        assert failure.reason == reason, failure

    stubs = bureau.stubs
    job = create(bureau)
    other = side("health", TOWNS)
    request = stubs.GetTransferRequest(id=job.id)
    refused(other, lambda: other.peer.transfers.GetTransfer(request, timeout=5), "TRANSFER_NOT_FOUND")
    refused(other, lambda: other.peer.transfers.CancelTransfer(stubs.CancelTransferRequest(id=job.id), timeout=5),
            "TRANSFER_NOT_FOUND")
    assert bureau.officer.transfers.GetTransfer(request, timeout=5).id == job.id  # the owner's officer reads
    failure = bureau.officer.failure(lambda: bureau.officer.transfers.CancelTransfer(
        stubs.CancelTransferRequest(id=job.id), timeout=5))
    assert failure.reason == "TRANSFER_NOT_FOUND"  # and does not steer
    refused(other, lambda: create(other), "TARGET_NOT_FOUND")
    reader = side("statistics", TOWNS, modes=("QUERY",))
    refused(reader, lambda: create(reader), "MODE_NOT_GRANTED")
    refused(bureau, lambda: create(bureau, target="statistics/no-such"), "TARGET_NOT_FOUND")
    refused(bureau, lambda: create(bureau, filter="code ="), "FILTER_SYNTAX")
    listed = other.peer.transfers.ListTransfers(stubs.ListTransfersRequest(), timeout=5)
    assert job.id not in [one.id for one in listed.transfers]
    listed = bureau.peer.transfers.ListTransfers(stubs.ListTransfersRequest(), timeout=5)
    assert job.id in [one.id for one in listed.transfers]
    settled(bureau, job)


def test_the_states_of_a_job_are_checked(bureau):
    """By the control database, whoever writes there."""
    def refused(change):
        with pytest.raises(psycopg2.errors.CheckViolation):
            bureau.cluster.rows("control", f"UPDATE control.transfer SET {change} WHERE id = %s", (job.id,))

    with held(bureau.cluster):
        job = create(bureau)
        publishing(bureau)
        refused("epoch = epoch - 1")
        refused("state = 4, ended_at = now()")  # succeeded without a manifest
        refused("state = 5, ended_at = now()")  # failed without a reason
        refused("state = 6")                    # ended without a time
        refused("target_table = 'public.other'")
        refused("owner = NULL")
    succeeded(bureau, job)
    refused("state = 1, ended_at = NULL, manifest = NULL")
    refused("snapshot = 'another'")


def test_only_the_consumer_verifies(bureau):
    done = succeeded(bureau, create(bureau))
    failure = bureau.officer.failure(lambda: bureau.officer.transfers.VerifyTransfer(
        bureau.stubs.VerifyTransferRequest(id=done.id), timeout=10))
    assert failure.reason == "NOT_CONSUMER"


def test_one_request_makes_one_job(bureau):
    first = create(bureau, request_id="same")
    assert create(bureau, request_id="same").id == first.id
    succeeded(bureau, first)


def test_appending_keeps_what_is_there_or_changes_nothing(bureau):
    beijing = 'province_code = "11"'
    succeeded(bureau, create(bureau, filter=beijing, mode="REPLACE"))
    before = target_rows(bureau.cluster)
    assert before == [row for row in source_rows(bureau.cluster) if row[2] == "11"] and before
    done = succeeded(bureau, create(bureau, filter='province_code = "12"', mode="APPEND"))
    after = target_rows(bureau.cluster)
    assert after == [row for row in source_rows(bureau.cluster) if row[2] in ("11", "12")]
    assert done.manifest.counts.delivered == len(after) - len(before)
    failed = settled(bureau, create(bureau, filter=beijing, mode="APPEND"))
    assert failed.failure.reason == "TARGET_CONSTRAINT"
    assert target_rows(bureau.cluster) == after


def test_pause_resume_cancel(bureau):
    stubs, transfers = bureau.stubs, bureau.peer.transfers
    with held(bureau.cluster):
        job = create(bureau)
        publishing(bureau)
        transfers.PauseTransfer(stubs.PauseTransferRequest(id=job.id), timeout=5)
        wait_for(lambda: state(bureau, job) == "TRANSFER_PAUSED", 10, "the pause")
        wait_for(lambda: not waits_for_lock(bureau.cluster), 10, "its connection to be given back")
    assert target_rows(bureau.cluster) == []
    transfers.ResumeTransfer(stubs.ResumeTransferRequest(id=job.id), timeout=5)
    succeeded(bureau, job)
    assert target_rows(bureau.cluster) == source_rows(bureau.cluster)
    bureau.cluster.rows("statistics_owner", "TRUNCATE town_received")
    with held(bureau.cluster):
        job = create(bureau)
        publishing(bureau)
        transfers.CancelTransfer(stubs.CancelTransferRequest(id=job.id), timeout=5)
        assert settled(bureau, job).state == stubs.TRANSFER_CANCELLED
    assert target_rows(bureau.cluster) == [] and not leftovers(bureau.cluster)
    failure = bureau.peer.failure(lambda: transfers.ResumeTransfer(
        stubs.ResumeTransferRequest(id=job.id), timeout=5))
    assert failure.reason == "TRANSFER_NOT_FOUND"


def test_watching_ends_with_the_transfer(bureau):
    seen = list(bureau.peer.transfers.WatchTransfer(
        bureau.stubs.WatchTransferRequest(id=create(bureau).id), timeout=60))
    assert seen[-1].state == bureau.stubs.TRANSFER_SUCCEEDED
    assert all(one.state < bureau.stubs.TRANSFER_SUCCEEDED for one in seen[:-1])


def test_every_chunk_has_its_decision_and_its_delivery(bureau, stubs):
    audit, kinds = AuditLog(bureau.cluster, stubs), stubs.audit_entry.AuditEntry
    done = succeeded(bureau, create(bureau))
    entries = [entry for entry in audit.entries() if entry.what.object == "statistics/towns_received"
               and entry.why.agreement == bureau.agreement.id]
    decided = [entry for entry in entries if entry.kind == kinds.DECISION]
    delivered = [entry for entry in entries if entry.kind == kinds.DELIVERY]
    assert len(decided) == len(delivered) == done.manifest.chunks > 1
    assert sum(entry.rows.count for entry in decided) == done.manifest.counts.delivered
    assert [entry.kind for entry in entries if entry.kind in (kinds.DECISION, kinds.DELIVERY)] == \
        [kinds.DECISION, kinds.DELIVERY] * len(decided)
    assert {entry.decision.outcome for entry in entries} == {kinds.ALLOWED}


def test_the_quota_of_the_agreement_counts(bureau, side):
    small = side("statistics", TOWNS, daily_quota=10000)
    failed = settled(small, create(small))
    assert failed.failure.reason == "QUOTA_EXHAUSTED"
    assert target_rows(bureau.cluster) == [] and not leftovers(bureau.cluster)


def test_the_command_line(bureau, sluice, pki):
    def run(*words):
        return sluice("transfer", *words, certificate=f"statistics-{bureau.name}", to=bureau.gateway)

    made = run("create", TOWNS, "statistics/towns_received", "--purpose", PURPOSE, "--follow", "--format", "json")
    assert made.returncode == 0, made.stderr
    job = json.loads(made.stdout)
    assert job["state"] == "TRANSFER_SUCCEEDED"
    assert target_rows(bureau.cluster) == source_rows(bureau.cluster)
    assert job["id"] in run("list").stdout
    assert job["manifest"]["snapshot"] in run("show", job["id"]).stdout
    verified = run("verify", job["id"])
    assert verified.returncode == 0 and "equal" in verified.stderr, verified
    bureau.cluster.rows("statistics_owner", "DELETE FROM town_received WHERE code = '110101001'")
    assert run("verify", job["id"]).returncode == 1
    late = run("cancel", job["id"])
    assert late.returncode == 3 and "no such transfer" in late.stderr
    failed = run("create", TOWNS, "statistics/strict", "--purpose", PURPOSE, "--follow", "--format", "json")
    assert failed.returncode == 1 and json.loads(failed.stdout)["failure"]["reason"] == "TARGET_CONSTRAINT"
    assert run("create", TOWNS, "statistics/towns_received").returncode == 2
