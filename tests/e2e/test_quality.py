"""Quarantine and quality: every bad row is found, counted, shown to its owner's officer only, and judged
anew when it is mended. The rows are made here, with faults that the test knows one by one."""

import contextlib
import csv
import io
import json
import shutil
import threading
import time
from datetime import date, timedelta
from types import SimpleNamespace

import grpc
import pytest

from audit_log import AuditLog
from clients import Failure, Peer, unique
from conftest import canonical_number
from harness import BUILD, REPO, Gateway, wait_for

MIB = 1 << 20
DIRTY = "civil-affairs/dirty"
BIG = "civil-affairs/big"
COPY_OF_DIRTY = "statistics/residents"
LIMITED = "civil-affairs/limited"
PROMISED = "civil-affairs/promised"
VILLAGES = "statistics/villages"
DENIED = grpc.StatusCode.PERMISSION_DENIED
ROWS = 1000

MAPPING = """version: 1
title: {{en: Residents with faults (synthetic), zh: 虚构脏数据}}
type: gov.person.v1.Resident
source: {source}
table: {table}
sharing: conditional
columns:
  gxsj: timestamptz
fields:
  id_number: {{from: sfzh, normalise: [cn_id]}}
  name: {{from: xm, required: true}}
  sex: {{from: xb, normalise: [cn_sex], null_values: [""]}}
  birth_date: {{from: csrq, normalise: [cn_date], null_values: [""]}}
  mobile: {{from: lxdh, normalise: [cn_mobile]}}
  updated_at: gxsj
"""


def number(i):
    """A citizen number that nobody has: sequence 996 of a day since 1920."""
    text = f"110105{date(1920, 1, 1) + timedelta(days=i % 36000):%Y%m%d}{996 + i // 36000 % 4}"
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return text + "10X98765432"[sum(w * int(c) for w, c in zip(weights, text)) % 11]


def row(i):
    """The i-th row: columns, age in days, and which fault the test put into it."""
    sfzh, xm, xb, csrq, lxdh, broken = number(i), f"张{i}", "男", "1990-01-02", "14100000000", ""
    fault = i % 50
    if fault == 0:
        sfzh, broken = sfzh[:-1] + ("1" if sfzh[-1] != "1" else "2"), "CN_ID_CHECKSUM"
    elif fault == 1:
        csrq, broken = "2001-02-30", "DATE_INVALID"
    elif fault == 2:
        xb, broken = "错", "CN_SEX_UNKNOWN_WORD"
    elif fault == 3:
        xm, broken = None, "REQUIRED_MISSING"
    elif fault == 4:
        lxdh = None
    return sfzh, xm, xb, csrq, lxdh, (3, 20, 20, 100, 3, 20, 20, 1000)[i % 8], broken


def fill(cluster, role, reader, table, rows):
    """Makes the table anew."""
    with cluster.connect(role) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(f"CREATE TABLE {table} (sfzh text, xm text, xb text, csrq text, lxdh text,"
                       " gxsj timestamptz, broken text, days integer)")
        cursor.execute(f"CREATE INDEX ON {table} (sfzh)")
        cursor.execute(f"GRANT SELECT ON {table} TO {reader}")
    refill(cluster, role, table, rows)


def refill(cluster, role, table, rows):
    text = io.StringIO("".join("\t".join("\\N" if v is None else str(v) for v in values) + "\n"
                               for values in rows))
    with cluster.connect(role) as connection, connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        cursor.copy_expert(f"COPY {table} (sfzh, xm, xb, csrq, lxdh, days, broken) FROM STDIN", text)
        cursor.execute(f"UPDATE {table} SET gxsj = now() - days * interval '1 day' - interval '1 minute'")
        cursor.execute(f"ANALYZE {table}")


@pytest.fixture(scope="module")
def schemas(workspace):
    """The house's own mappings and five more."""
    folder = workspace / unique("schemas")
    shutil.copytree(REPO / "schemas", folder)
    for source, name, table in (("civil-affairs", "dirty", "dirty"), ("civil-affairs", "big", "big_resident"),
                                ("statistics", "residents", "surveyed")):
        (folder / f"departments/{source}/{name}.yaml").write_text(MAPPING.format(source=source, table=table))
    for name, rule in (("limited", "quality: {quarantined_rows_max: 5}"),
                       ("promised", "freshness: {field: updated_at, max_age: 7d}\n"
                                    'expect: [{field: mobile, present_min: "95%"}, {field: name, present_min: "100%"}]')):
        (folder / f"departments/civil-affairs/{name}.yaml").write_text(
            MAPPING.format(source="civil-affairs", table="dirty") + rule + "\n")
    return {"directory": folder, "descriptors": BUILD / "schemas/canonical.pb"}


@pytest.fixture(scope="module")
def served(workspace, cluster, schemas, pki):
    """One gateway over the dirty tables for all tests of this file."""
    for role, reader, table in (("civil_affairs_owner", "civil_affairs_reader", "dirty"),
                                ("civil_affairs_owner", "civil_affairs_reader", "big_resident"),
                                ("statistics_owner", "statistics_reader", "surveyed")):
        fill(cluster, role, reader, table, [row(7)])
    gateway = Gateway(workspace / unique("gateway"), cluster, pki, workers=1, schemas=schemas).start()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def house(cluster, served, pki, stubs):
    """Fresh dirty rows, their officers, and an empty quarantine."""
    refill(cluster, "civil_affairs_owner", "dirty", map(row, range(ROWS)))
    peers = []

    def connect(certificate, listener="officers"):
        peers.append(Peer(stubs, served, certificate, listener))
        return peers[-1]
    house = SimpleNamespace(gateway=served, connect=connect, owner=connect("civil-affairs-officer"),
                            other=connect("statistics-officer"), cluster=cluster, stubs=stubs, pki=pki,
                            api=stubs.quality, audit=AuditLog(cluster, stubs))
    wait_for(lambda: metric(house, "sluice_quarantine_pending") == 0, 10, "earlier notes to be written")
    cluster.rows("control", "TRUNCATE control.quarantine, control.quarantine_total, control.quarantine_size,"
                 " control.quality_run, control.quality_field, control.quality_reason, control.quality_expectation")
    yield house
    for peer in peers:
        peer.close()


def metric(house, name):
    return sum(int(line.split()[-1]) for line in house.gateway.ops("/metrics")[1].splitlines()
               if line.startswith(f"{name}{{"))


def assess(house, dataset=DIRTY, peer=None, timeout=60, **rest):
    """The run that the last message holds."""
    request = house.api.AssessRequest(dataset=dataset, **rest)
    messages = list((peer or house.owner).quality.Assess(request, timeout=timeout))
    assert not any(message.HasField("run") for message in messages[:-1])
    return messages[-1].run


def items(house, dataset=DIRTY, peer=None, **rest):
    found, token = [], ""
    while True:
        answer = (peer or house.owner).quality.ListQuarantine(
            house.api.ListQuarantineRequest(dataset=dataset, page_token=token, **rest), timeout=10)
        found += answer.items
        token = answer.next_page_token
        if not token:
            return found


def noted(house, count, dataset=DIRTY):
    """Notes are written behind the answers."""
    return wait_for(lambda: len(found := items(house, dataset)) >= count and found, 10, f"{count} notes")


def view(house, item, peer=None, **rest):
    return (peer or house.owner).quality.ViewQuarantined(
        house.api.ViewQuarantinedRequest(dataset=DIRTY, id=item.id, **rest), timeout=10)


def replay(house, peer=None, **rest):
    messages = list((peer or house.owner).quality.Replay(
        house.api.ReplayRequest(dataset=DIRTY, **rest), timeout=60))
    assert messages[-1].done and not any(message.done for message in messages[:-1])
    return messages[-1]


def change(house, statement, values=()):
    house.cluster.rows("civil_affairs_owner", statement, values)


def balances(accounts):
    return accounts.read == (accounts.delivered + accounts.quarantined + accounts.filtered +
                             accounts.duplicates)


# --- assessment -------------------------------------------------------------------------------------
def test_the_accounts_are_what_the_owners_own_sql_counts(house):
    accounts = assess(house).accounts
    (read, good), = house.cluster.rows(
        "civil_affairs_owner", "SELECT count(*), count(*) FILTER (WHERE broken = '') FROM dirty")
    assert balances(accounts)
    assert (accounts.read, accounts.delivered, accounts.quarantined) == (read, good, read - good)


def test_each_field_has_its_completeness_and_validity(house):
    fields = {field.field: field for field in assess(house).fields}
    sql = {name: house.cluster.rows("civil_affairs_owner", f"SELECT count({column}) FROM dirty")[0][0]
           for name, column in (("id_number", "sfzh"), ("name", "xm"), ("mobile", "lxdh"))}
    for name, present in sql.items():
        assert fields[name].present == present
        assert fields[name].completeness == pytest.approx(present / ROWS)
    assert fields["name"].missing == ROWS - sql["name"] == 20
    assert fields["birth_date"].rejected == 20
    assert fields["birth_date"].validity == pytest.approx(980 / 1000)
    assert fields["mobile"].validity == 1
    assert "address" not in fields, "a field that the mapping does not fill has no figures"


def test_a_field_behind_a_rejected_one_is_judged_too(house):
    change(house, "UPDATE dirty SET xb = '错', csrq = '2001-02-30' WHERE sfzh = %s", [number(7)])
    run = assess(house)
    fields = {field.field: field for field in run.fields}
    assert (fields["sex"].rejected, fields["birth_date"].rejected) == (21, 21)
    assert run.accounts.quarantined == 81
    noted(house, 82)  # one for each rejected field


def test_reasons_are_counted(house):
    reasons = {reason.code: reason.count for reason in assess(house).reasons}
    assert reasons == {code: 20 for code in
                       ("CN_ID_CHECKSUM", "DATE_INVALID", "CN_SEX_UNKNOWN_WORD", "REQUIRED_MISSING")}


def test_keys_are_unique_only_after_normalisation(house):
    """The same number with a small x, or in full width, is the same key; an exact copy is told apart from
    another record of the same key."""
    with_x = next(number(i) for i in range(5, 45) if number(i).endswith("X"))
    change(house, "INSERT INTO dirty SELECT lower(sfzh), xm, xb, csrq, lxdh, gxsj FROM dirty WHERE sfzh = %s",
           [with_x])
    change(house, "INSERT INTO dirty SELECT sfzh, '另一人', xb, csrq, lxdh, gxsj FROM dirty WHERE sfzh = %s",
           [number(8)])
    key = assess(house).key
    assert (key.rows, key.keys, key.repeated, key.sampled_one_in) == (982, 980, 1, 1)
    assert key.uniqueness == pytest.approx(980 / 982)


def test_ages_come_from_the_field_that_says_when_a_record_changed(house):
    age = assess(house).age
    (rows, week, month, year), = house.cluster.rows(
        "civil_affairs_owner", "SELECT count(*), count(*) FILTER (WHERE gxsj > now() - interval '7 days'),"
        " count(*) FILTER (WHERE gxsj > now() - interval '30 days'),"
        " count(*) FILTER (WHERE gxsj > now() - interval '365 days') FROM dirty WHERE broken = ''")
    assert (age.field, age.rows) == ("updated_at", rows)
    assert age.within_7_days == pytest.approx(week / rows)
    assert age.within_30_days == pytest.approx(month / rows)
    assert age.within_365_days == pytest.approx(year / rows)
    assert sum(bucket.rows for bucket in age.buckets) == rows
    assert age.median == "7 to 30 days"


def test_a_report_says_what_became_better_and_what_worse(house):
    first = assess(house)
    change(house, "UPDATE dirty SET xb = '男' WHERE broken = 'CN_SEX_UNKNOWN_WORD'")
    change(house, "UPDATE dirty SET lxdh = NULL WHERE sfzh = %s", [number(9)])
    second = assess(house)
    assert first.id != second.id
    report = house.owner.quality.GetReport(house.api.GetQualityReportRequest(dataset=DIRTY), timeout=10)
    assert report.run == second
    fields = {field.field: field for field in report.run.fields}
    Trend = house.api.QualityRun
    assert fields["sex"].validity_trend == Trend.BETTER
    assert fields["mobile"].completeness_trend == Trend.WORSE
    assert fields["name"].completeness_trend == Trend.UNCHANGED
    assert [run.id for run in report.runs] == [second.id, first.id]
    assert report.runs[0].trend == Trend.BETTER
    wait_for(lambda: sum(count.rows for count in house.owner.quality.GetReport(
        house.api.GetQualityReportRequest(dataset=DIRTY), timeout=10).quarantine) == 80, 10, "the notes")


def test_what_the_mapping_promises_is_judged(house, sluice):
    kind = house.api.ExpectationResult
    def judged():
        run = assess(house, PROMISED)
        report = house.owner.quality.GetReport(house.api.GetQualityReportRequest(dataset=PROMISED), timeout=10)
        assert report.run == run
        return {(one.kind, one.field): one for one in run.expectations}
    first = judged()
    assert list(first) == [(kind.FRESHNESS, "updated_at"), (kind.PRESENCE, "mobile"), (kind.PRESENCE, "name")]
    assert all(one.met for one in first.values())
    fresh, mobile = first[kind.FRESHNESS, "updated_at"], first[kind.PRESENCE, "mobile"]
    assert fresh.max_age_seconds == 7 * 86400
    assert 3 * 86400 <= fresh.age_seconds <= 3 * 86400 + 600
    assert (mobile.present_min, mobile.present) == (0.95, pytest.approx(900 / 920, abs=1e-6))
    change(house, "UPDATE dirty SET gxsj = gxsj - interval '5 days'")
    change(house, "UPDATE dirty SET lxdh = NULL WHERE broken = '' AND right(sfzh, 1) = '1'")
    second = judged()
    assert [one.met for one in second.values()] == [False, False, True]
    def report():
        done = sluice("quality", "report", PROMISED, to=house.gateway, officer="civil-affairs-officer")
        assert done.returncode == 0, done.stderr
        return done.stderr
    said = report()
    assert "MISSED: the newest updated_at is 8 d old, at most 7 d expected" in said
    assert f"MISSED: mobile is present in {100 * second[kind.PRESENCE, 'mobile'].present:.3f} %" in said
    assert "met: name is present in 100.000 % of the delivered records, at least 100.000 % expected" in said
    change(house, "DELETE FROM dirty")
    assert all(not one.met and one.nothing_found for one in judged().values())
    said = report()
    assert "no delivered record has a updated_at" in said and "no record was delivered" in said


def test_a_dataset_without_a_run_has_no_report(house):
    failure = house.owner.failure(lambda: house.owner.quality.GetReport(
        house.api.GetQualityReportRequest(dataset=DIRTY), timeout=10))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "REPORT_NOT_FOUND")


def test_a_second_run_of_a_dataset_waits_its_turn(house):
    """Slow on purpose; cancelling the first one makes way at once, and leaves a run that says so."""
    first = house.owner.quality.Assess(
        house.api.AssessRequest(dataset=DIRTY, rows_per_second=10), timeout=60)
    next(iter(first))
    failure = house.owner.failure(lambda: house.owner.quality.Assess(
        house.api.AssessRequest(dataset=DIRTY), timeout=10))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ASSESSMENT_RUNNING")
    first.cancel()
    wait_for(lambda: house.cluster.rows("control", "SELECT state FROM control.quality_run") == [(4,)], 5,
             "the run to be marked as cancelled")
    assert assess(house).accounts.read == ROWS


def test_a_run_is_no_faster_than_it_was_told(house):
    began = time.monotonic()
    run = assess(house, rows_per_second=500)
    assert run.accounts.read == ROWS
    assert time.monotonic() - began > 1.5, "1,000 rows at 500 rows a second"


def test_a_run_whose_process_died_is_given_up(house):
    house.cluster.rows("control", "INSERT INTO control.quality_run (id, dataset, started_by, schema_digest,"
                       " beat_at) VALUES (gen_random_uuid(), %s, 'x', sha256(''), now() - interval '1 hour')",
                       [DIRTY])
    assert assess(house).accounts.read == ROWS
    assert house.cluster.rows("control", "SELECT state FROM control.quality_run ORDER BY state") == [(2,), (5,)]


def test_a_run_is_an_entry_of_the_log(house):
    run = assess(house, request_id=(request_id := unique("assess")))
    entry, = house.audit.entries(request_id=request_id)
    assert entry.kind == house.audit.entry_type.ADMIN
    assert entry.what.object == run.id
    assert (entry.what.dataset, entry.what.owner) == (DIRTY, "civil-affairs")


def test_no_answer_but_a_view_holds_a_value(house):
    """Neither figures nor lists nor the control database show a name, a number or a mistaken word."""
    run = assess(house)
    listed = noted(house, 80)
    report = house.owner.quality.GetReport(house.api.GetQualityReportRequest(dataset=DIRTY), timeout=10)
    stored = house.cluster.rows("control", "SELECT q::text FROM control.quarantine q")
    text = "".join(map(str, [run, listed, report, stored]))
    for value in ("错", "2001-02-30", "张", "110105", row(0)[0], row(50)[0].encode().hex()):
        assert value not in text


# --- memory -----------------------------------------------------------------------------------------
def peak_while(house, call):
    pids = house.gateway.children("worker")
    before = max(house.gateway.resident_bytes(pid) for pid in pids)
    peak, stop = [before], threading.Event()

    def watch():
        while not stop.wait(0.02):
            peak[0] = max(peak[0], max(house.gateway.resident_bytes(pid) for pid in pids))
    thread = threading.Thread(target=watch)
    thread.start()
    answer = call()
    stop.set()
    thread.join()
    return answer, (peak[0] - before) / MIB


def test_memory_does_not_grow_with_rows(house, villages):
    """620,573 rows whose key is exact: nothing is kept of a row."""
    assess(house, DIRTY)  # what a first run allocates once
    run, grown = peak_while(house, lambda: assess(
        house, VILLAGES, peer=house.other, rows_per_second=1000000, timeout=120))
    assert (run.accounts.read, run.key.keys, run.key.sampled_one_in) == (620573, 620573, 1)
    assert grown < 8, grown


def test_memory_for_keys_with_several_forms_is_bounded(house):
    """300,000 different citizen numbers are compared exactly, within the documented 12 MiB."""
    def people():
        for i in range(300000):
            day = date(1900, 1, 1) + timedelta(days=i % 40000)
            text = f"{110101 + i // 40000}{day:%Y%m%d}996"
            yield (canonical_18(text), f"张{i}", "男", "1990-01-02", "14100000000",
                   3, "")
    refill(house.cluster, "civil_affairs_owner", "big_resident", people())
    assess(house, DIRTY)
    run, grown = peak_while(house, lambda: assess(house, BIG, rows_per_second=1000000, timeout=120))
    assert (run.accounts.read, run.key.keys, run.key.repeated, run.key.sampled_one_in) == (300000, 300000, 0, 1)
    assert grown < 26, grown


def canonical_18(text):
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return text + "10X98765432"[sum(w * int(c) for w, c in zip(weights, text)) % 11]


def test_an_assessment_loses_no_note_however_many_rows_are_bad(house):
    """20,000 bad rows as fast as they can be read: the read waits for the store, not the store for the read."""
    refill(house.cluster, "civil_affairs_owner", "big_resident",
           ((number(i), f"张{i}", "男", "1990-01-02", "123", 3, "CN_MOBILE_LENGTH") for i in range(20000)))
    before = metric(house, "sluice_quarantine_lost_total")
    run = assess(house, BIG, rows_per_second=1000000)
    assert run.accounts.quarantined == 20000
    wait_for(lambda: house.cluster.rows("control", "SELECT held FROM control.quarantine_size") == [(20000,)], 20,
             "all notes")
    assert metric(house, "sluice_quarantine_lost_total") == before


# --- what exchanges note ----------------------------------------------------------------------------
@pytest.fixture
def reader(house):
    """A system with an agreement for the dirty dataset."""
    name = unique()
    certificate = house.pki.system("health", name)
    house.owner.grant(f"health/{name}", DIRTY,
                      ["id_number", "name", "sex", "birth_date", "mobile", "updated_at"])
    peer = house.connect(certificate, "systems")
    wait_for(lambda: answers(peer), 5, "the agreement")
    return peer


def answers(peer):
    try:
        return bool(peer.lookup(DIRTY, number(5), timeout=5).record.value)
    except grpc.RpcError:
        return False


def test_a_lookup_of_a_bad_row_notes_it(house, reader):
    failure = reader.failure(lambda: reader.lookup(DIRTY, number(2)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.DATA_LOSS, "RECORD_QUARANTINED")
    item, = noted(house, 1)
    assert (item.field, item.rule, item.code, item.count) == ("sex", "cn_sex", "CN_SEX_UNKNOWN_WORD", 1)
    assert item.state == house.api.QuarantineItem.OPEN
    reader.failure(lambda: reader.lookup(DIRTY, number(2)))
    wait_for(lambda: [i.count for i in items(house)] == [2], 5, "the second sighting")
    assert items(house)[0].id == item.id


def test_a_batch_notes_its_bad_rows(house, reader):
    reader.batch_lookup(DIRTY, [number(1), number(2), number(5)])
    assert {item.code for item in noted(house, 2)} == {"DATE_INVALID", "CN_SEX_UNKNOWN_WORD"}


def test_a_query_notes_its_bad_rows_and_its_accounts_balance(house, reader):
    batches = list(reader.query(DIRTY))
    totals = batches[-1].totals
    assert balances(totals)
    assert (totals.read, totals.quarantined) == (ROWS, 80)
    assert len(noted(house, 80)) == 80
    assert metric(house, "sluice_quarantine_noted_total") >= 80


def test_a_query_beyond_the_threshold_ends_with_its_accounts(house):
    name = unique()
    certificate = house.pki.system("health", name)
    house.owner.grant(f"health/{name}", LIMITED, ["id_number", "name", "sex", "birth_date"])
    peer = house.connect(certificate, "systems")
    batches = []
    def read():
        batches.clear()
        for batch in peer.query(LIMITED, timeout=30):
            batches.append(batch)
    def ends():
        try:
            read()
        except grpc.RpcError as error:
            return Failure(house.stubs, error)
        return None
    failure = wait_for(lambda: (found := ends()) and found.code != DENIED and found, 10, "the agreement")
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "QUARANTINE_THRESHOLD")
    totals = batches[-1].totals
    assert balances(totals) and totals.quarantined == 6
    assert totals.delivered == sum(len(batch.records) for batch in batches) < 920
    change(house, "DELETE FROM dirty WHERE broken <> ''")
    read()
    totals = batches[-1].totals
    assert (totals.read, totals.delivered, totals.quarantined) == (920, 920, 0)


def test_a_run_and_an_exchange_meet_the_same_row(house, reader):
    reader.failure(lambda: reader.lookup(DIRTY, number(2)))
    noted(house, 1)
    assess(house)
    wait_for(lambda: sorted(i.count for i in items(house))[-1] == 2 and len(items(house)) == 80, 10, "both")


def test_notes_that_cannot_be_written_are_lost_but_exchanges_answer(house, reader):
    """The function that writes is taken away: the nearest thing to a store that fails while agreements
    still can be read. Lookups answer as ever, and the loss is counted."""
    house.cluster.rows("control", "ALTER FUNCTION control.quarantine_note(text, bytea[], bytea[], bytea[],"
                       " bytea[], uuid[], text[], text[], text[], integer, integer) RENAME TO gone")
    before = metric(house, "sluice_quarantine_lost_total")
    try:
        for _ in range(3):
            failure = reader.failure(lambda: reader.lookup(DIRTY, number(2)))
            assert failure.reason == "RECORD_QUARANTINED"
        assert reader.lookup(DIRTY, number(5)).record.value
        assert list(reader.query(DIRTY))[-1].totals.quarantined == 80
        wait_for(lambda: metric(house, "sluice_quarantine_lost_total") >= before + 83, 20, "the loss")
    finally:
        house.cluster.rows("control", "ALTER FUNCTION control.gone(text, bytea[], bytea[], bytea[],"
                           " bytea[], uuid[], text[], text[], text[], integer, integer)"
                           " RENAME TO quarantine_note")
    assert items(house) == []
    list(reader.query(DIRTY))
    assert len(noted(house, 80)) == 80


def test_with_the_control_database_down_a_lookup_in_its_lease_answers(new_cluster, new_gateway, cluster, pki,
                                                                     served, schemas, stubs):
    """The store dies under load: whatever an exchange answers, it answers without waiting for a note."""
    refill(cluster, "civil_affairs_owner", "dirty", map(row, range(50)))
    control = new_cluster("control")
    gateway = new_gateway(cluster=control, departments=cluster, workers=1, schemas=schemas).start()
    officer = Peer(stubs, gateway, "civil-affairs-officer", "officers")
    name = unique()
    certificate = pki.system("health", name)
    officer.grant(f"health/{name}", DIRTY, ["id_number", "name", "sex"])
    peer = Peer(stubs, gateway, certificate)
    wait_for(lambda: answers(peer), 5, "the agreement")
    control.kill()
    for _ in range(20):
        began = time.monotonic()
        failure = peer.failure(lambda: peer.lookup(DIRTY, number(2), timeout=5))
        assert time.monotonic() - began < 3
        assert failure.code in (grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAVAILABLE)
    control.up()
    wait_for(lambda: answers(peer), 15, "service to be back")
    peer.close()
    officer.close()


# --- list, view, replay -----------------------------------------------------------------------------
def test_a_list_comes_in_pages_and_through_filters(house):
    assess(house)
    every = noted(house, 80)
    assert [item.id for item in items(house, page_size=7)] == [item.id for item in every]
    assert sorted((item.id for item in every), reverse=True) == [item.id for item in every]
    assert len(items(house, code="DATE_INVALID")) == 20
    assert {item.code for item in items(house, field="sex")} == {"CN_SEX_UNKNOWN_WORD"}
    assert items(house, state="MENDED") == []
    assert len(items(house, state="OPEN")) == 80
    failure = house.owner.failure(lambda: items_page(house, "not-a-token"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOKEN_INVALID")


def items_page(house, token):
    return house.owner.quality.ListQuarantine(
        house.api.ListQuarantineRequest(dataset=DIRTY, page_token=token), timeout=10)


def test_a_view_shows_the_shape_and_with_a_reason_the_value(house):
    assess(house)
    noted(house, 80)
    item = items(house, code="DATE_INVALID")[0]
    masked = view(house, item)
    assert masked.masked and masked.state == house.api.QuarantineItem.OPEN
    assert [(value.column, value.text) for value in masked.values] == [("csrq", "9999-99-99")]
    assert masked.key[0].text in ("9" * 18, "9" * 17 + "A")
    assert "date" in masked.expected and masked.expected_zh
    request_id = unique("view")
    shown = view(house, item, reason="修复登记信息", request_id=request_id)
    assert [(value.column, value.text) for value in shown.values] == [("csrq", "2001-02-30")]
    key = shown.key[0].text
    assert key in {row(i)[0] for i in range(1, ROWS, 50)}
    entry, = house.audit.entries(request_id=request_id)
    assert entry.why.purpose == "修复登记信息"
    assert entry.what.object == str(item.id)
    persons = house.cluster.rows(
        "control", "SELECT count(*) FROM audit.person p JOIN audit.entry_id e ON e.index = p.index"
        " WHERE e.id = %s::uuid", [entry.id.hex()])
    assert persons == [(1,)], "who read about this person finds the view"


def test_a_missing_value_is_shown_as_null(house):
    assess(house)
    noted(house, 80)
    found = view(house, items(house, code="REQUIRED_MISSING")[0], reason="test")
    assert [(value.column, value.text, value.null) for value in found.values] == [("xm", "", True)]


def test_every_state_is_found_by_view_and_replay(house):
    """One row each is mended, changed, deleted and left alone; another fails for another reason now."""
    assess(house)
    noted(house, 80)
    State = house.api.QuarantineItem
    change(house, "UPDATE dirty SET csrq = '2001-02-28' WHERE sfzh = %s", [number(1)])
    change(house, "DELETE FROM dirty WHERE sfzh = %s", [number(51)])
    change(house, "UPDATE dirty SET csrq = '2001-02-31' WHERE sfzh = %s", [number(101)])
    change(house, "UPDATE dirty SET csrq = 'gestern' WHERE sfzh = %s", [number(151)])
    wanted = {number(1): State.MENDED, number(51): State.VANISHED, number(101): State.CHANGED,
              number(151): State.CHANGED}
    dates = items(house, code="DATE_INVALID")
    seen = [view(house, item, reason="test") for item in dates]
    states = {answer.key[0].text: answer.state for answer in seen if answer.key}
    assert {key: states[key] for key in wanted if key in states} == {
        key: state for key, state in wanted.items() if state != State.VANISHED}
    assert sum(answer.state == State.VANISHED for answer in seen) == 1
    assert all(item.state == State.OPEN for item in items(house)), "a view changes nothing"
    outcome = replay(house)
    assert (outcome.judged, outcome.open, outcome.mended, outcome.vanished, outcome.changed) == (80, 76, 1, 1, 2)
    wait_for(lambda: len(items(house)) == 81, 5, "the new reason to be noted")
    assert len(items(house, state="MENDED")) == 1
    assert len(items(house, state="VANISHED")) == 1
    assert len(items(house, state="CHANGED")) == 2
    new, = [item for item in items(house, field="birth_date") if item.code != "DATE_INVALID"]
    assert new.code.startswith("DATE_")


def test_a_row_that_breaks_again_is_open_again(house):
    assess(house)
    noted(house, 80)
    change(house, "UPDATE dirty SET xb = '女' WHERE broken = 'CN_SEX_UNKNOWN_WORD'")
    assert replay(house, field="sex").mended == 20
    assert len(items(house, state="MENDED")) == 20
    change(house, "UPDATE dirty SET xb = '错' WHERE sfzh = %s", [number(2)])
    assess(house)
    wait_for(lambda: len(items(house, state="MENDED")) == 19, 10, "the row to be open again")


def test_rows_without_a_valid_key_are_found_again(house):
    """The key itself is what is wrong: the stored one leads back to the row."""
    assess(house)
    noted(house, 80)
    found = items(house, code="CN_ID_CHECKSUM")
    assert len(found) == 20
    assert {view(house, item, reason="test").values[0].text for item in found} == {
        row(i)[0] for i in range(0, ROWS, 50)}
    change(house, "UPDATE dirty SET sfzh = NULL WHERE sfzh = %s", [row(0)[0]])
    assess(house)
    wait_for(lambda: len(items(house)) == 81, 10, "the row without a key")
    missing, = items(house, field="id_number", code="REQUIRED_MISSING")
    assert view(house, missing).state == house.api.QuarantineItem.OPEN


def test_the_store_has_room_for_so_many_rows(house):
    """The cap is a parameter of the function that writes: three rows here. Mended ones make room."""
    def note(keys, cap):
        arrays = [[bytes([key]) * 32 for key in keys], [bytes(28)] * len(keys), [bytes(32)] * len(keys),
                  [b""] * len(keys)]
        house.cluster.rows("worker", "SELECT control.quarantine_note(%s, %s::bytea[], %s::bytea[], %s::bytea[],"
                           " %s::bytea[], %s::uuid[], %s, %s, %s, %s, 365)",
                           [DIRTY, *arrays, ["00000000-0000-0000-0000-000000000000"] * len(keys),
                            ["sex"] * len(keys), ["cn_sex"] * len(keys), ["X"] * len(keys), cap])
    note([1, 2, 2, 3, 4], 3)
    assert sorted(item.count for item in items(house)) in ([1, 1, 1], [1, 1, 2])
    assert house.cluster.rows("control", "SELECT held, left_out FROM control.quarantine_size") == [(3, 1)]
    assert house.cluster.rows("control", "SELECT sightings FROM control.quarantine_total") == [(5,)]
    house.cluster.rows("control", "UPDATE control.quarantine SET state = 4 WHERE key_digest = %s", [bytes([1]) * 32])
    note([9], 3)
    keys = {bytes(key)[0] for key, in house.cluster.rows("control", "SELECT key_digest FROM control.quarantine")}
    assert 9 in keys and 1 not in keys and len(keys) == 3


# --- who may ----------------------------------------------------------------------------------------
METHODS = {
    "assess": lambda peer, api, name: peer.quality.Assess(api.AssessRequest(dataset=name), timeout=20),
    "report": lambda peer, api, name: peer.quality.GetReport(
        api.GetQualityReportRequest(dataset=name), timeout=10),
    "list": lambda peer, api, name: peer.quality.ListQuarantine(
        api.ListQuarantineRequest(dataset=name), timeout=10),
    "view": lambda peer, api, name: peer.quality.ViewQuarantined(
        api.ViewQuarantinedRequest(dataset=name, id=1), timeout=10),
    "replay": lambda peer, api, name: peer.quality.Replay(api.ReplayRequest(dataset=name), timeout=20),
}


@pytest.mark.parametrize("method", METHODS)
def test_another_departments_officer_is_denied_as_if_there_were_no_dataset(house, method):
    call = METHODS[method]
    real = house.other.failure(lambda: call(house.other, house.api, DIRTY))
    absent = house.other.failure(lambda: call(house.other, house.api, "civil-affairs/no-such"))
    assert (real.code, real.reason) == (DENIED, "NOT_OWNER")
    assert (absent.code, absent.reason, absent.text) == (real.code, real.reason, real.text)


@pytest.mark.parametrize("method", METHODS)
def test_an_officer_nobody_registered_is_denied(house, method):
    name = unique("stranger")
    house.pki.issue(name, f"spiffe://sluice.example/dept/civil-affairs/officer/{name}")
    peer = house.connect(name)
    failure = peer.failure(lambda: METHODS[method](peer, house.api, DIRTY))
    assert (failure.code, failure.reason) == (DENIED, "OFFICER_UNKNOWN")


@pytest.mark.parametrize("method", METHODS)
def test_a_system_of_the_owner_is_denied_on_the_officers_port(house, method):
    peer = house.connect("civil-affairs-registry")
    failure = peer.failure(lambda: METHODS[method](peer, house.api, DIRTY))
    assert failure.code == DENIED


@pytest.mark.parametrize("method", METHODS)
def test_the_systems_port_does_not_know_the_service(house, method):
    peer = house.connect("civil-affairs-officer", "systems")
    failure = peer.failure(lambda: METHODS[method](peer, house.api, DIRTY))
    assert failure.code in (grpc.StatusCode.UNIMPLEMENTED, DENIED)


def test_a_worker_writes_through_the_functions_only(house):
    """What a worker's role could do to these tables beside the functions: nothing."""
    import psycopg2
    for statement in ("INSERT INTO control.quality_run (id, dataset, started_by, schema_digest)"
                      " VALUES (gen_random_uuid(), 'x', 'x', sha256(''))",
                      "UPDATE control.quarantine SET state = 4", "DELETE FROM control.quarantine",
                      "DELETE FROM control.quality_run", "UPDATE control.quarantine_size SET held = 0",
                      "SELECT control.quarantine_newest('{}','{}','{}','{}','{}','{}','{}','{}')"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            house.cluster.rows("worker", statement)


# --- comparison -------------------------------------------------------------------------------------
FIELDS = ["id_number", "name", "sex", "birth_date", "mobile", "updated_at"]


def compare(house, a=DIRTY, b=COPY_OF_DIRTY, peer=None, purpose="data-quality", fields=(), timeout=60, **rest):
    request = house.api.CompareDatasetsRequest(dataset_a=a, dataset_b=b, purpose=purpose, **rest)
    request.fields.paths.extend(fields)
    messages = list((peer or house.owner).quality.CompareDatasets(request, timeout=timeout))
    assert not any(message.HasField("comparison") for message in messages[:-1])
    return messages[-1].comparison


@pytest.fixture
def surveyed(house):
    """What the statistics department holds of the same people: some missing, some more, some different."""
    def rows():
        for i in range(5, 305):
            values = list(row(i))
            if i % 50 in (0, 1, 2, 3):
                continue
            if i == 10:
                values[1] = "李十"
            if i == 11:
                values[2] = "女性"
            if i == 12:
                values[0] = values[0].lower()  # another spelling is no conflict
            if i == 13:
                values[3] = "19900102"
            yield tuple(values)
        for i in range(2000, 2010):
            yield row(i)[0] if i % 50 else number(i), *row(i + 5)[1:]
    refill(house.cluster, "statistics_owner", "surveyed", rows())
    return house


@pytest.fixture
def agreed(surveyed):
    """Statistics lets the whole civil affairs department query its residents."""
    def grant(**rest):
        values = {"consumer": "civil-affairs/*", "dataset": COPY_OF_DIRTY, "fields": FIELDS,
                  "purposes": ["data-quality"], "modes": ["QUERY"], **rest}
        return surveyed.other.grant(**values)
    agreements = []

    def make(**rest):
        agreements.append(grant(**rest))
        return agreements[-1]
    yield make
    for agreement in agreements:
        with contextlib.suppress(grpc.RpcError):  # a test may have revoked it
            surveyed.other.revoke(agreement.id, "end of test")


def counted(house):
    """The same comparison in SQL, over the faultless rows of both sides."""
    def people(role, table):
        return {canonical_number(sfzh): (xm, xb[0], csrq.replace("-", ""), lxdh) for sfzh, xm, xb, csrq, lxdh in
                house.cluster.rows(role, f"SELECT sfzh, xm, xb, csrq, lxdh FROM {table} WHERE broken = ''")}
    ours = people("civil_affairs_owner", "dirty")
    theirs = people("statistics_owner", "surveyed")
    both = ours.keys() & theirs.keys()
    return (len(ours.keys() - both), len(theirs.keys() - both),
            sum(ours[key] == theirs[key] for key in both), sum(ours[key] != theirs[key] for key in both))


def test_a_comparison_finds_conflicts_after_normalisation(surveyed, agreed):
    agreement = agreed()
    found = compare(surveyed, agreement=agreement.id)
    assert (found.only_a, found.only_b, found.equal, found.different) == counted(surveyed)
    assert {field.field: field.different for field in found.fields if field.different} == {"name": 1, "sex": 1}
    conflicts = {conflict.key: conflict for conflict in found.conflicts}
    assert set(conflicts) == {number(10), number(11)}
    field, = conflicts[number(10)].fields
    assert (field.field, json.loads(field.value_a), json.loads(field.value_b)) == ("name", "张10", "李十")
    field, = conflicts[number(11)].fields
    assert (json.loads(field.value_a), json.loads(field.value_b)) == ("MALE", "FEMALE")
    assert found.vintage_field == "updated_at"
    assert conflicts[number(10)].vintage_a.seconds > 0 and conflicts[number(10)].vintage_b.seconds > 0
    swapped = compare(surveyed, a=COPY_OF_DIRTY, b=DIRTY, agreement=agreement.id)
    assert (swapped.only_b, swapped.only_a, swapped.equal, swapped.different) == counted(surveyed)


def test_a_comparison_in_several_passes_counts_the_same(house, villages):
    """620,573 villages against 41,352 streets hold no key in common, and need more than one pass. Both are
    the department's own, so no agreement is needed."""
    request = house.api.CompareDatasetsRequest(dataset_a=VILLAGES, dataset_b="statistics/streets",
                                               purpose="data-quality", rows_per_second=1000000)
    request.fields.paths.extend(["name", "town_code"])
    messages = list(house.other.quality.CompareDatasets(request, timeout=300))
    last = messages[-1]
    assert last.passes > 1 and last.passes == getattr(last, "pass")
    assert (last.comparison.only_a, last.comparison.only_b, last.comparison.equal) == (620573, 41352, 0)


def test_what_a_comparison_shows_is_in_the_log_first(surveyed, agreed):
    agreement = agreed()
    request_id = unique("compare")
    compare(surveyed, agreement=agreement.id, request_id=request_id)
    entries = surveyed.audit.entries(request_id=request_id)
    kinds = [entry.kind for entry in entries]
    Entry = surveyed.audit.entry_type
    assert kinds == [Entry.DECISION, Entry.DELIVERY]
    assert all(entry.what.dataset == COPY_OF_DIRTY and entry.what.owner == "statistics" and
               entry.what.object == DIRTY and entry.why.agreement == agreement.id for entry in entries)
    assert entries[1].rows.count == 2
    persons = surveyed.cluster.rows(
        "control", "SELECT count(*) FROM audit.person p JOIN audit.entry_id e ON e.index = p.index"
        " WHERE e.id = %s::uuid", [entries[1].id.hex()])
    assert persons == [(2,)]


@pytest.mark.parametrize("changes, reason", [
    ({"consumer": "civil-affairs/registry"}, "AGREEMENT_NOT_FOUND"), ({"modes": ["LOOKUP"]}, "MODE_NOT_GRANTED"),
    ({"purposes": ["other-purpose"]}, "PURPOSE_NOT_GRANTED"), ({"fields": ["id_number", "name"]}, "FIELD_NOT_GRANTED"),
    ({"fields": ["name", "sex"]}, "FIELD_NOT_GRANTED"),
], ids=["one-system-only", "mode", "purpose", "field", "key"])
def test_a_comparison_needs_a_fitting_agreement(surveyed, agreed, changes, reason):
    agreement = agreed(**changes)
    failure = surveyed.owner.failure(lambda: compare(surveyed, fields=["name", "sex"], agreement=agreement.id))
    hidden = (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")  # as long as nothing else was ever granted
    allowed = [(DENIED, reason)] + ([hidden] if reason == "AGREEMENT_NOT_FOUND" else [])
    assert (failure.code, failure.reason) in allowed


def test_a_revoked_agreement_compares_nothing(surveyed, agreed):
    agreement = agreed()
    assert compare(surveyed, agreement=agreement.id).equal > 0
    surveyed.other.revoke(agreement.id)
    failure = surveyed.owner.failure(lambda: compare(surveyed, agreement=agreement.id))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_REVOKED")


def test_a_department_that_owns_neither_compares_nothing(surveyed, agreed):
    agreed()
    health = surveyed.connect("health-officer")
    failure = health.failure(lambda: compare(surveyed, peer=health))
    assert (failure.code, failure.reason) == (DENIED, "NOT_OWNER")


def test_a_system_and_the_systems_port_compare_nothing(surveyed, agreed):
    agreement = agreed()
    system = surveyed.connect("civil-affairs-registry")
    failure = system.failure(lambda: compare(surveyed, peer=system, agreement=agreement.id))
    assert failure.code == DENIED
    other_port = surveyed.connect("civil-affairs-officer", "systems")
    failure = other_port.failure(lambda: compare(surveyed, peer=other_port, agreement=agreement.id))
    assert failure.code in (grpc.StatusCode.UNIMPLEMENTED, DENIED)


def test_an_officer_may_not_look_up_with_the_departments_agreement(surveyed, agreed):
    """What an officer may use for a comparison opens no exchange."""
    agreement = agreed(modes=["LOOKUP", "QUERY"])
    peer = surveyed.connect("civil-affairs-officer", "systems")
    failure = peer.failure(lambda: peer.lookup(COPY_OF_DIRTY, number(5), purpose="data-quality",
                                               agreement=agreement.id))
    assert (failure.code, failure.reason) == (DENIED, "WRONG_PORT")


def test_a_row_filter_of_the_agreement_holds_in_a_comparison(surveyed, agreed):
    agreement = agreed(row_filter=f'id_number = "{number(10)}"')
    found = compare(surveyed, agreement=agreement.id)
    assert (found.only_b, found.different, found.equal) == (0, 1, 0)


def test_unlike_datasets_are_not_compared(house, agreed):
    failure = house.owner.failure(lambda: compare(house, a=DIRTY, b="civil-affairs/towns"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TYPES_DIFFER")
    failure = house.owner.failure(lambda: compare(house, a=DIRTY, b=DIRTY))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DATASETS_EQUAL")


# --- the command ------------------------------------------------------------------------------------
def test_the_command_tells_the_whole_story(house, sluice):
    def run(*arguments, **rest):
        return sluice("quality", *arguments, to=house.gateway, officer="civil-affairs-officer", **rest)
    done = run("assess", DIRTY)
    assert done.returncode == 0, done.stderr
    assert "read 1,000 = delivered 920 + quarantined 80 + filtered 0 + duplicates 0" in done.stderr
    assert "birth_date" in done.stdout
    assert run("assess", DIRTY, "--strict").returncode == 6
    noted(house, 80)
    done = run("report", DIRTY, "--format", "json")
    assert json.loads(done.stdout)["run"]["accounts"]["quarantined"] == "80"
    done = run("report", DIRTY, "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 6
    done = run("quarantine", DIRTY, "--code", "DATE_INVALID", "--format", "jsonl")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(listed) == 20
    done = run("view", DIRTY, listed[0]["id"])
    assert "9999-99-99" in done.stdout and "2001-02-30" not in done.stdout + done.stderr
    done = run("view", DIRTY, listed[0]["id"], "--reason", "test")
    assert "2001-02-30" in done.stdout
    change(house, "UPDATE dirty SET csrq = '2001-02-28' WHERE broken = 'DATE_INVALID'")
    done = run("replay", DIRTY, "--field", "birth_date", "--format", "json")
    assert json.loads(done.stdout) == {"judged": 20, "open": 0, "vanished": 0, "changed": 0, "mended": 20}


@pytest.mark.parametrize("arguments, status", [
    (["report", DIRTY], 3), (["view", DIRTY, "999999999"], 3), (["view", DIRTY, "x"], 2),
    (["quarantine", DIRTY, "--state", "x"], 2), (["assess", "statistics/streets"], 4), (["compare", DIRTY], 2),
    (["assess", DIRTY, "--rows-per-second", "0"], 2),
], ids=["no-run", "no-item", "no-number", "no-state", "not-mine", "one-dataset", "no-rate"])
def test_the_command_tells_failures_apart(house, sluice, arguments, status):
    done = sluice("quality", *arguments, to=house.gateway, officer="civil-affairs-officer")
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr


def test_the_command_compares(surveyed, agreed, sluice):
    agreement = agreed()
    done = sluice("quality", "compare", DIRTY, COPY_OF_DIRTY, "--purpose", "data-quality", "--agreement",
                  agreement.id, "--format", "csv", to=surveyed.gateway, officer="civil-affairs-officer")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {(line["key"], line["field"]) for line in rows} == {(number(10), "name"), (number(11), "sex")}
