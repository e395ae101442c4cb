"""Catalogue entries: from draft to retirement, each step by whom it belongs to, each with its entry."""

import json
import os
import re
import signal
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace

import grpc
import psycopg2
import pytest

import clients
from audit_log import AuditLog
from clients import Peer
from harness import run, wait_for

DENIED = grpc.StatusCode.PERMISSION_DENIED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
SHANGHAI = timezone(timedelta(hours=8))
PROVINCES = "statistics/provinces"
CITIES = "statistics/cities"  # no test grants the health department any of it
LAW = "统计法 第二十五条"


def today():
    return datetime.now(SHANGHAI).date()


def working_days_after(start, count):
    """What a calendar says whose only holiday is New Year's Day."""
    day = start
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5 and (day.month, day.day) != (1, 1)
    return day


@pytest.fixture(scope="module")
def people(cluster, pki, stubs, gateway, admin_environment):
    """Two officers for each of two departments and for civil affairs, which is the sharing authority."""
    made = SimpleNamespace()
    for department in ("health", "statistics", "civil-affairs"):
        short = department.replace("-", "_")
        setattr(made, short, Peer(stubs, gateway, f"{department}-officer", "officers"))
        run("sluice", "officer", "add", f"{department}/second", "--enable", "--database", cluster.conninfo["control"],
            env=admin_environment)
        certificate = pki.issue(f"{department}-second", f"spiffe://sluice.example/dept/{department}/officer/second")
        setattr(made, f"{short}_second", Peer(stubs, gateway, certificate, "officers"))
    cluster.rows("control", "UPDATE control.application_policy SET authority = 'civil-affairs'")
    for year in range(today().year, today().year + 3):
        cluster.rows("control", "INSERT INTO control.workday_year (year, source) VALUES (%s, 'synthetic, for tests')"
                     " ON CONFLICT DO NOTHING", [year])
        cluster.rows("control", "INSERT INTO control.workday_calendar (day, year, kind) VALUES (%s, %s, 'off')"
                     " ON CONFLICT DO NOTHING", [date(year, 1, 1), year])
    for peer in (made.health_second, made.statistics_second, made.civil_affairs_second):
        wait_for(lambda peer=peer: lists(peer), 3, "the new officer to be known")
    yield made
    cluster.rows("control", "UPDATE control.application_policy SET authority = DEFAULT, update_days = DEFAULT")
    cluster.rows("control", "DELETE FROM control.workday_year")
    for peer in vars(made).values():
        peer.close()


def lists(peer):
    try:
        return peer.catalog.ListCatalogueEntries(peer.stubs.catalog.ListCatalogueEntriesRequest(), timeout=5)
    except grpc.RpcError:
        return None


def item(name="行政区划名称", **changes):
    return {"name": name, "type": "字符型", "sensitivity": "GENERAL_1", "personal": "NONE",
            "source_department": "statistics", **changes}


def content(dataset, **changes):
    return {"dataset": dataset, "category": "基础信息", "title": "行政区划", "code": "307001/12", "provider": "统计局",
            "provider_code": "11100000000013338W", "summary": "用于统计的区划代码", "format": "数据库",
            "sharing": "OPEN", "modes": ["API", "BATCH"], "cycle": "YEARLY", "released_on": "2026-01-01",
            "grade": "GENERAL_2", "items": [item()], **changes}


class Life:
    """One entry and those who move it."""

    def __init__(self, people, stubs, cluster, dataset=None):
        self.people, self.pb, self.cluster = people, stubs.catalog, cluster
        self.log = AuditLog(cluster, stubs)
        self.dataset = dataset or f"statistics/{clients.unique('entry')}"

    def write(self, peer=None, dry_run=False, request_id=None, entries=None, **changes):
        return (peer or self.people.statistics).catalog.ImportCatalogue(self.pb.ImportCatalogueRequest(
            entries=entries or [content(self.dataset, **changes)], dry_run=dry_run,
            request_id=request_id or clients.unique("request")), timeout=10)

    def step(self, peer, kind, **values):
        return peer.catalog.TakeCatalogueStep(self.pb.TakeCatalogueStepRequest(
            dataset=self.dataset, kind=kind, **values), timeout=10)

    def refused(self, peer, kind, **values):
        failure = peer.failure(lambda: self.step(peer, kind, **values))
        return failure.code, failure.reason

    def get(self, peer=None):
        return (peer or self.people.statistics).catalog.GetCatalogueEntry(
            self.pb.GetCatalogueEntryRequest(dataset=self.dataset), timeout=10)

    def to(self, state, **changes):
        """Walks the usual way up to `state`; writes first."""
        p = self.people
        self.write(**changes)
        return self.on(state, [
            ("ASSESSED", lambda: self.step(p.statistics, "ASSESS", secrecy_ref="S-1", impact_ref="P-1")),
            ("DEPT_APPROVED", lambda: self.step(p.statistics_second, "APPROVE")),
            ("SUBMITTED", lambda: self.step(p.statistics_second, "SUBMIT")),
            ("PUBLISHED", lambda: self.step(p.civil_affairs, "PUBLISH"))])

    def again(self, **changes):
        """From PUBLISHED over a change to PUBLISHED."""
        p = self.people
        self.step(p.statistics, "CHANGE", note="new divisions")
        self.write(**changes)
        self.step(p.statistics, "ASSESS", secrecy_ref="S-2", impact_ref="P-2")
        self.step(p.statistics_second, "SUBMIT")
        return self.step(p.civil_affairs, "PUBLISH")

    def on(self, state, way):
        for name, go in way:
            answer = go()
            assert answer.state == getattr(self.pb.CatalogueEntry, name), name
            if name == state:
                return answer
        raise AssertionError(f"no way to {state}")

    def entries(self):
        """(rule, outcome, reason) of the policy entries about this catalogue entry."""
        return [(e.decision.rule, e.decision.outcome, e.decision.reason) for e in self.log.entries()
                if e.kind == self.log.entry_type.POLICY_CHANGE and e.what.object == self.dataset]


@pytest.fixture
def life(people, stubs, cluster):
    return lambda dataset=None: Life(people, stubs, cluster, dataset)


# --- the whole life ---------------------------------------------------------------------------------

def test_a_life_from_draft_to_retirement_and_its_entries(life, people, stubs):
    one, p, state = life(), people, stubs.catalog.CatalogueEntry
    assert list(one.write(dry_run=True).written) == [one.dataset]
    assert p.statistics.failure(one.get).reason == "CATALOGUE_NOT_FOUND"
    published = one.to("PUBLISHED")
    assert (published.edition, published.published_edition, published.content.title) == (1, 1, "行政区划")
    assert published.content.items[0].element == "行政区划名称" and not published.HasField("deadline")
    due = one.step(p.statistics, "CHANGE", note="new divisions")
    assert due.state == state.CHANGE_DUE and due.deadline.kind == stubs.agreement.ApplicationDeadline.UPDATE
    assert date.fromisoformat(due.deadline.due) == working_days_after(today(), 10)
    assert one.refused(p.statistics_second, "SUBMIT") == (PRECONDITION, "CATALOGUE_UNCHANGED")
    one.step(p.statistics, "ASK_EXTENSION", note="they come in May", days=5)
    assert one.refused(p.statistics, "ASK_EXTENSION", note="again", days=1) == (PRECONDITION, "EXTENSION_ASKED")
    extended = one.step(p.civil_affairs_second, "EXTEND")
    assert date.fromisoformat(extended.deadline.due) == working_days_after(today(), 15)
    assert one.refused(p.civil_affairs, "EXTEND") == (PRECONDITION, "EXTENSION_GIVEN")
    assert list(one.write(title="行政区划（新）").written) == [one.dataset]
    assert list(one.write(title="行政区划（新）").unchanged) == [one.dataset]
    assert one.get().content.title == "行政区划（新）"
    assert one.get(p.health).content.title == "行政区划", "the old edition is in force"
    assert one.refused(p.statistics_second, "SUBMIT") == (PRECONDITION, "CATALOGUE_UNASSESSED")
    one.step(p.statistics, "ASSESS", secrecy_ref="S-2")
    assert one.refused(p.statistics, "SUBMIT") == (DENIED, "CATALOGUE_OWN")
    submitted = one.step(p.statistics_second, "SUBMIT")
    assert submitted.deadline.kind == stubs.agreement.ApplicationDeadline.REVIEW
    assert date.fromisoformat(submitted.deadline.due) == working_days_after(today(), 2)
    returned = one.step(p.civil_affairs, "RETURN", note="which area")
    assert returned.state == state.CHANGE_DUE and returned.published_edition == 1
    assert date.fromisoformat(returned.deadline.due) == working_days_after(today(), 15)
    one.step(p.statistics, "ASSESS", secrecy_ref="S-3")
    one.step(p.statistics_second, "SUBMIT")
    assert one.step(p.civil_affairs, "PUBLISH").published_edition == 2
    assert one.get(p.health).content.title == "行政区划（新）"
    assert one.step(p.statistics_second, "RETIRE", note="merged").state == state.RETIRED
    assert p.health.failure(lambda: one.get(p.health)).reason == "CATALOGUE_NOT_FOUND"
    steps = one.get().steps
    assert [s.number for s in steps] == list(range(1, len(steps) + 1)) and len(steps) == 16
    allowed = one.log.entry_type.ALLOWED
    kinds = [stubs.catalog.CatalogueStep.Kind.Name(s.kind).lower().replace("_", "-") for s in steps]
    assert [rule for rule, outcome, _ in one.entries() if outcome == allowed] == [f"catalogue.{k}" for k in kinds]
    assert ("catalogue.submit", one.log.entry_type.REFUSED, "CATALOGUE_OWN") in one.entries()


def test_a_draft_is_returned_and_written_anew(life, people, stubs):
    one, p, state = life(), people, stubs.catalog.CatalogueEntry
    one.to("SUBMITTED")
    assert one.refused(p.statistics, "WRITE") == (INVALID, "CATALOGUE_STEP")
    assert p.statistics.failure(lambda: one.write(title="x")).reason == "CATALOGUE_STATE"
    assert one.refused(p.civil_affairs, "RETURN") == (INVALID, "REASON_MISSING")
    assert one.step(p.civil_affairs, "RETURN", note="which area").state == state.DRAFT
    one.step(p.statistics, "ASSESS", secrecy_ref="S-1")
    one.write(peer=p.statistics_second, title="又一版")
    entry = one.get()
    assert (entry.state, entry.edition, entry.secrecy_ref) == (state.DRAFT, 2, "")
    one.step(p.statistics, "ASSESS", secrecy_ref="S-1")
    assert one.refused(p.statistics_second, "APPROVE") == (DENIED, "CATALOGUE_OWN")
    assert one.step(p.statistics, "APPROVE").state == state.DEPT_APPROVED


def test_who_reviews_did_not_take_part(life, people, cluster):
    one, p = life(), people
    cluster.rows("control", "UPDATE control.application_policy SET authority = 'statistics'")
    try:
        one.to("SUBMITTED")
        assert one.refused(p.statistics, "PUBLISH") == (DENIED, "CATALOGUE_OWN")
        assert one.refused(p.statistics_second, "PUBLISH") == (DENIED, "CATALOGUE_OWN")
        assert one.refused(p.civil_affairs, "PUBLISH") == (NOT_FOUND, "CATALOGUE_NOT_FOUND")
    finally:
        cluster.rows("control", "UPDATE control.application_policy SET authority = 'civil-affairs'")
    assert one.refused(p.statistics, "PUBLISH") == (DENIED, "CATALOGUE_OWN")
    assert one.refused(p.statistics_second, "PUBLISH") == (DENIED, "CATALOGUE_ROLE")
    assert one.step(p.civil_affairs, "PUBLISH")


def test_the_same_request_twice_takes_one_step(life, people):
    one = life()
    for _ in range(2):
        one.write(request_id="one")
    assert one.step(people.statistics, "ASSESS", secrecy_ref="S-1", request_id="two").version == 2
    assert one.step(people.statistics, "ASSESS", secrecy_ref="S-1", request_id="two").version == 2


def test_personal_information_needs_an_impact_assessment(life, people, cluster):
    one = life()
    one.write(items=[item(personal="SENSITIVE", sensitivity="GENERAL_2")])
    assert one.refused(people.statistics, "ASSESS") == (INVALID, "SECRECY_REF_MISSING")
    assert one.refused(people.statistics, "ASSESS", secrecy_ref="S-1") == (INVALID, "IMPACT_REF_MISSING")
    with pytest.raises(psycopg2.errors.CheckViolation):
        cluster.rows("worker", WORKER_STEP, [one.dataset, 2, "ASSESS", *officer("statistics"), "r", "S-1"])
    assert one.step(people.statistics, "ASSESS", secrecy_ref="S-1", impact_ref="P-1").impact_ref == "P-1"


def test_a_data_item_has_one_source_department(life, people, cluster):
    name = clients.unique("item")
    first, second = life(), life()
    first.to("PUBLISHED", items=[item(name)])
    second.to("SUBMITTED", items=[item("另一项"), item(name, source_department="health")])
    failure = people.civil_affairs.failure(lambda: second.step(people.civil_affairs, "PUBLISH"))
    assert (failure.code, failure.reason) == (PRECONDITION, "SOURCE_CONFLICT") and name in failure.text
    with pytest.raises(psycopg2.errors.CheckViolation, match="another source department"):
        cluster.rows("worker", WORKER_STEP, [second.dataset, 5, "PUBLISH", *officer("civil-affairs"), "r", ""])
    first.step(people.statistics_second, "RETIRE", note="moved")
    assert second.step(people.civil_affairs, "PUBLISH").published_edition == 1


# --- what an entry does to its dataset -----------------------------------------------------------------

def test_an_entry_that_denies_closes_its_dataset_to_applications_and_grants(life, people, stubs, cluster, consumer):
    one, p, pb = life(PROVINCES), people, stubs.agreement

    def apply():
        terms = pb.Agreement(consumer=consumer.name, dataset=PROVINCES, fields=["code"], purposes=[clients.PURPOSE],
                             modes=["LOOKUP"], legal_basis="条例 第二十条")
        terms.valid_until.FromDatetime(datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(days=9))
        application = pb.Application(terms=terms, scenario="s", scope="s")
        return p.health.agreements.RequestAccess(pb.RequestAccessRequest(
            application=application, request_id=clients.unique("request")), timeout=10)

    fields = [item("代码", field="code"), item("名称", field="name")]
    assert apply().open
    one.to("PUBLISHED", sharing="CONDITIONAL", conditions="民政部门用于救助", items=fields)
    assert not apply().open
    dataset = p.statistics.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=PROVINCES))
    assert dataset.sharing == stubs.catalog.CONDITIONAL
    try:
        one.again(sharing="DENIED", legal_basis=LAW, items=fields)
        absent = p.health.failure(lambda: one.get(p.health))
        assert absent.reason == "CATALOGUE_NOT_FOUND"
        assert p.health.failure(apply).reason == "DATASET_NOT_FOUND"
        failure = p.statistics.failure(lambda: p.statistics.grant(consumer.name, PROVINCES, ["code"]))
        assert (failure.code, failure.reason) == (PRECONDITION, "DATASET_DENIED")
        for table in ("agreement", "application"):
            with pytest.raises(psycopg2.errors.CheckViolation, match="does not share"):
                cluster.rows("control", f"INSERT INTO control.{table} (id, dataset) VALUES ('x', %s)", [PROVINCES])
    finally:
        one.again(items=fields)
    assert apply().open and p.statistics.grant(consumer.name, PROVINCES, ["code"]).id


def test_an_entry_is_never_wider_than_the_schema(people, life):
    one = life("civil-affairs/residents")
    p = people.civil_affairs
    cases = [({}, "SHARING_WIDENED"),
             ({"sharing": "CONDITIONAL", "conditions": "c", "items": [item(field="no_such")]}, "FIELD_UNKNOWN"),
             ({"sharing": "CONDITIONAL", "conditions": "c", "items": [item(field="id_number")]}, "SENSITIVITY_LOWERED")]
    for changes, reason in cases:
        failure = p.failure(lambda: one.write(peer=p, **changes))
        assert (failure.code, failure.reason) == (INVALID, reason)


# --- hidden and absent -----------------------------------------------------------------------------------

@pytest.fixture
def statements(cluster):
    """statements(call): what the call failed with, and the statements that the control database saw for it."""
    log, settings = cluster.place() / "log/server.log", cluster.place() / "data/postgresql.auto.conf"
    before = settings.read_text()

    def set_to(text):
        settings.write_text(text)
        os.kill(int((cluster.place() / "data/postmaster.pid").read_text().split()[0]), signal.SIGHUP)

    def seen(peer, call):
        start = log.stat().st_size
        failure = peer.failure(call)
        lines = log.read_bytes()[start:].decode().splitlines()
        said = [line.split("]", 1)[1].split(":", 2)[-1].strip() for line in lines
                if "gateway_worker@control" in line and "execute" in line]
        # Workers poll the epoch all the time, and what has changed behind it.
        return (failure.code, failure.reason, failure.text), [
            s for s in said if re.search(r"control\.(catalogue|application|agreement\b)", s) and "epoch > $1" not in s]
    try:
        set_to(f"{before}log_statement = 'all'\n")
        probe = "SELECT 'logged' || 1"
        wait_for(lambda: cluster.rows("worker", probe) and probe in log.read_text(errors="replace"), 5, "the log")
        yield seen
    finally:
        set_to(before)


def test_hidden_and_absent_answer_identically(life, people, stubs, statements):
    """Status, reason, text and the statements behind them: nothing tells one from the other, not even time."""
    draft, denied, retired = life(), life(), life()
    draft.write()
    denied.to("PUBLISHED", sharing="DENIED", legal_basis=LAW)
    retired.to("PUBLISHED")
    retired.step(people.statistics_second, "RETIRE", note="merged")
    absent, p, kinds = life(), people.health, stubs.catalog.CatalogueStep.Kind.values()
    ways = {"get": lambda one: one.get(p)}
    for kind in (k for k in kinds if k > stubs.catalog.CatalogueStep.WRITE):
        ways[f"step {kind}"] = lambda one, kind=kind: one.step(p, kind, note="n", secrecy_ref="S", days=1)
    for name, way in ways.items():
        wanted, ran = statements(p, lambda way=way: way(absent))
        assert wanted[:2] == (NOT_FOUND, "CATALOGUE_NOT_FOUND")
        assert len([s for s in ran if "catalogue_entry" in s]) == 1, name
        for one in (draft, denied, retired):
            assert statements(p, lambda one=one, way=way: way(one)) == (wanted, ran), name
    listed = [e.content.dataset for e in lists(p).entries]
    assert not {draft.dataset, denied.dataset, retired.dataset} & set(listed)


def test_a_denied_dataset_and_none_answer_identically(life, people, stubs, statements, consumer):
    one, p, fields = life(CITIES), people.health_second, [item("代码", field="code")]
    apply = dict(purposes=[clients.PURPOSE], modes=["LOOKUP"], legal_basis="b", fields=["code"], consumer=consumer.name)

    def ways(dataset):
        terms = stubs.agreement.Agreement(dataset=dataset, **apply)
        application = stubs.agreement.Application(terms=terms, scenario="s", scope="s")
        return [lambda: p.agreements.RequestAccess(stubs.agreement.RequestAccessRequest(application=application)),
                lambda: p.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=dataset)),
                lambda: consumer.peer.lookup(dataset, "11")]
    one.to("PUBLISHED", sharing="DENIED", legal_basis=LAW, items=fields)
    try:
        for hidden, absent in zip(ways(CITIES), ways("statistics/no-such")):
            wanted = statements(p, absent)
            assert wanted[0][:2] == (NOT_FOUND, "DATASET_NOT_FOUND") and wanted[1] == []
            assert statements(p, hidden) == wanted
    finally:
        one.again(items=fields)


# --- overlaps ---------------------------------------------------------------------------------------------

def overlaps(peer, **values):
    request = peer.stubs.catalog.ListOverlapsRequest(**values)
    while True:
        answer = peer.catalog.ListOverlaps(request, timeout=10)
        yield from answer.overlaps
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def test_items_that_two_departments_offer_are_reported_with_their_source(life, people):
    code = "gov.division.v1.Division.code"
    found = {o.element: o for o in overlaps(people.health, page_size=2)}
    assert {(o.dataset, o.department, o.catalogued) for o in found[code].offers} >= {
        ("statistics/streets", "statistics", False), ("civil-affairs/towns", "civil-affairs", False)}
    assert list(found) == sorted(found) == [o.element for o in overlaps(people.health)]
    assert not any(o.element.startswith("gov.person") for o in found.values()), "one department has residents"
    name, one, other = clients.unique("item"), life(), life(f"health/{clients.unique('entry')}")
    one.to("PUBLISHED", items=[item(name)])
    assert name not in {o.element for o in overlaps(people.health)}, "one department offers it"
    p = people
    other.write(peer=p.health, items=[item(name)])
    other.step(p.health, "ASSESS", secrecy_ref="S-1")
    other.step(p.health_second, "APPROVE")
    other.step(p.health_second, "SUBMIT")
    assert name not in {o.element for o in overlaps(people.health)}, "it is not in force"
    other.step(p.civil_affairs, "PUBLISH")
    mine, = [o for o in overlaps(p.civil_affairs, dataset=one.dataset)]
    assert (mine.element, mine.source_department) == (name, "statistics")
    assert [(o.dataset, o.item, o.catalogued) for o in mine.offers] == [
        (other.dataset, name, True), (one.dataset, name, True)]
    one.step(p.statistics_second, "RETIRE", note="the other has it")
    assert not list(overlaps(p.civil_affairs, dataset=one.dataset))


def test_an_application_is_told_who_else_offers_the_same(people, stubs, consumer, sluice):
    p, pb = people, stubs.agreement

    def drafted():
        terms = pb.Agreement(consumer=consumer.name, dataset="statistics/streets", fields=["code", "level"],
                             purposes=[clients.PURPOSE], modes=["LOOKUP"], legal_basis="条例 第二十条")
        terms.valid_until.FromDatetime(datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(days=9))
        answer = p.health.agreements.RequestAccess(pb.RequestAccessRequest(
            application=pb.Application(terms=terms, scenario="s", scope="s")), timeout=10)
        return {a.dataset: a for a in answer.already_available}
    told = drafted()
    assert all(not name.startswith("statistics/") for name in told)
    assert list(told["civil-affairs/towns"].fields) == ["code"], "a level that is a constant is no data"
    assert told["civil-affairs/towns"].department == "civil-affairs"
    p.civil_affairs.grant(consumer.name, "civil-affairs/towns", ["code"])
    assert drafted()["civil-affairs/towns"].granted
    done = sluice("application", "request", "--consumer", consumer.name, "--dataset", "statistics/streets", "--fields",
                  "code", "--purposes", clients.PURPOSE, "--modes", "lookup", "--days", 30, "--legal-basis", "b",
                  "--scenario", "s", "--scope", "s", officer="health-officer")
    assert "already available from civil-affairs/towns: code (your department has an agreement)" in done.stderr
    listed = sluice("catalog", "overlaps", "statistics/streets", "--format", "csv", officer="health-officer").stdout
    assert any(line.startswith("gov.division.v1.Division.code,") and line.endswith(",civil-affairs/towns,code,false")
               for line in listed.splitlines())


# --- what is due, and how it was kept ----------------------------------------------------------------------

@pytest.fixture
def shift(cluster):
    """shift(table, key, id): its deadline ended two days ago."""
    def back(table, key, value):
        with cluster.connect("control") as connection, connection.cursor() as cursor:
            cursor.execute(f"BEGIN; ALTER TABLE control.{table} DISABLE TRIGGER guard")
            since = "clock_from - interval '25 days'"
            change = f", change_from = {since}" if table == "catalogue_entry" else ""
            cursor.execute(f"UPDATE control.{table} SET due_on = %s, clock_from = {since}{change} WHERE {key} = %s",
                           [today() - timedelta(days=2), value])
            cursor.execute(f"ALTER TABLE control.{table} ENABLE TRIGGER guard; COMMIT")
    return back


def scores(peer, month=""):
    answer = peer.agreements.GetScorecard(peer.stubs.agreement.GetScorecardRequest(month=month), timeout=10)
    kinds = peer.stubs.agreement.ApplicationDeadline.Kind
    return {(line.department, kinds.Name(line.kind)): (line.ended, line.late, line.untold, line.overdue)
            for line in answer.lines}, answer


def change(before, after, *key):
    return tuple(b - a for a, b in zip(before.get(key, (0, 0, 0, 0)), after.get(key, (0, 0, 0, 0))))


def test_late_answers_and_updates_stand_on_the_scorecard(life, people, stubs, consumer, shift, cluster, sluice):
    p, pb, one = people, stubs.agreement, life()
    due_month = (today() - timedelta(days=2)).strftime("%Y-%m")
    before, fallen = scores(p.statistics)[0], scores(p.statistics, due_month)[0]

    def due(peer, within=0):
        return {(d.application or d.entry): d for d in peer.agreements.ListDue(pb.ListDueRequest(within=within)).due}
    terms = pb.Agreement(consumer=consumer.name, dataset="statistics/streets", fields=["code"], modes=["LOOKUP"],
                         purposes=[clients.PURPOSE], legal_basis="条例 第二十条")
    terms.valid_until.FromDatetime(datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(days=9))
    application = p.health.agreements.RequestAccess(pb.RequestAccessRequest(
        application=pb.Application(terms=terms, scenario="s", scope="s")), timeout=10).id
    p.health_second.agreements.SignOff(pb.ApplicationStepRequest(id=application), timeout=10)
    p.health.agreements.SubmitApplication(pb.ApplicationStepRequest(id=application), timeout=10)
    one.to("PUBLISHED")
    one.step(p.statistics, "CHANGE", note="new divisions")
    assert application in due(p.statistics, within=1) and application not in due(p.health)
    assert one.dataset in due(p.statistics) and one.dataset not in due(p.statistics, within=9)
    shift("application", "id", application)
    shift("catalogue_entry", "dataset", one.dataset)
    assert due(p.statistics, within=1)[one.dataset].deadline.overdue
    assert change(fallen, scores(p.statistics, due_month)[0], "statistics", "UPDATE")[3] == 1
    listed = sluice("application", "due", "--working-days", 1, "--format", "csv", officer="statistics-officer").stdout
    assert any(line.startswith(f"{one.dataset},{one.dataset},CHANGE_DUE,UPDATE,") and line.endswith(",true")
               for line in listed.splitlines())
    one.write(title="新")
    one.step(p.statistics, "ASSESS", secrecy_ref="S-1")
    one.step(p.statistics_second, "SUBMIT")
    assert one.get().steps[-1].late
    p.statistics.agreements.Decide(pb.DecideRequest(id=application, decision="REFUSE", note="n"), timeout=10)
    assert one.dataset in due(p.civil_affairs), "the review waits for the authority"
    cluster.rows("control", "DELETE FROM control.workday_year WHERE year = %s", [today().year])
    try:
        assert due(p.civil_affairs)[one.dataset].deadline.due, "what was told stands"
        after, answer = scores(p.statistics)
        assert answer.calendar_missing == today().year and answer.month == today().strftime("%Y-%m")
    finally:
        cluster.rows("control", "INSERT INTO control.workday_year (year, source) VALUES (%s, 'synthetic, for tests')",
                     [today().year])
    assert change(before, after, "statistics", "ANSWER")[:3] == (1, 1, 0)
    assert change(before, after, "statistics", "UPDATE")[:3] == (1, 1, 0)
    assert not [key for key in scores(p.health)[0] if key[0] != "health"], "a department sees its own"
    assert scores(p.civil_affairs)[0][("statistics", "UPDATE")] == after[("statistics", "UPDATE")]
    assert not scores(p.civil_affairs, "2001-01")[0]
    table = sluice("application", "scorecard", "--format", "csv", officer="civil-affairs-officer").stdout.splitlines()
    assert table[0] == "department,kind,ended,late,untold,overdue" and any(
        line.startswith("statistics,UPDATE,") for line in table)
    for month in ("2026", "2026-13", "2026-1x", "2026-111"):
        assert p.health.failure(lambda month=month: scores(p.health, month)).reason == "MONTH_INVALID"
    assert p.health.failure(lambda: due(p.health, within=-1)).reason == "DAYS_INVALID"


def test_what_could_not_be_told_is_counted_as_that(life, people, cluster):
    one, p = life(), people
    years = cluster.rows("control", "SELECT year FROM control.workday_year")
    before = scores(p.statistics)[0]
    cluster.rows("control", "DELETE FROM control.workday_year")
    try:
        one.to("PUBLISHED")
        entry = one.step(p.statistics, "CHANGE", note="new divisions")
        assert not entry.deadline.due and entry.deadline.calendar_missing == today().year
        one.write(title="新")
        one.step(p.statistics, "ASSESS", secrecy_ref="S-1")
        one.step(p.statistics_second, "SUBMIT")
    finally:
        for year, in years:
            cluster.rows("control", "INSERT INTO control.workday_year (year, source) VALUES (%s, 'synthetic, for tests')",
                         [year])
    assert change(before, scores(p.statistics)[0], "statistics", "UPDATE") == (1, 0, 1, 0)


# --- imports that make no sense ---------------------------------------------------------------------------

@pytest.mark.parametrize("change, code, reason", [
    ({"dataset": "health/beds"}, DENIED, "NOT_OWNER"),
    ({"dataset": "Statistics/x"}, INVALID, "DATASET_INVALID"),
    ({"title": ""}, INVALID, "ENTRY_INCOMPLETE"),
    ({"summary": "x" * 1025}, INVALID, "TEXT_TOO_LONG"),
    ({"sharing": 0}, INVALID, "SHARING_INVALID"),
    ({"sharing": "DENIED"}, INVALID, "LEGAL_BASIS_MISSING"),
    ({"legal_basis": LAW}, INVALID, "LEGAL_BASIS_EXTRA"),
    ({"sharing": "CONDITIONAL"}, INVALID, "CONDITIONS_MISSING"),
    ({"conditions": "c"}, INVALID, "CONDITIONS_EXTRA"),
    ({"modes": []}, INVALID, "ENTRY_INCOMPLETE"),
    ({"modes": ["API", "API"]}, INVALID, "MODE_INVALID"),
    ({"cycle": 0}, INVALID, "CYCLE_INVALID"),
    ({"code": "7/1"}, INVALID, "CODE_INVALID"),
    ({"provider_code": "x"}, INVALID, "CODE_INVALID"),
    ({"related_codes": ["307001"]}, INVALID, "CODE_INVALID"),
    ({"released_on": "2026-02-30"}, INVALID, "DATE_INVALID"),
    ({"grade": 0}, INVALID, "GRADE_INVALID"),
    ({"items": []}, INVALID, "ITEMS_MISSING"),
    ({"items": [item(), item()]}, INVALID, "ITEM_TWICE"),
    ({"items": [item(sensitivity="CORE")]}, INVALID, "GRADE_INVALID"),
    ({"items": [item(personal=0)]}, INVALID, "ITEM_INVALID"),
    ({"items": [item(field="code")]}, INVALID, "FIELD_UNKNOWN"),
    ({"items": [item(source_department="forestry")]}, INVALID, "SOURCE_UNKNOWN"),
])
def test_an_import_that_makes_no_sense_is_refused_as_a_whole(life, people, change, code, reason):
    one, good = life(), f"statistics/{clients.unique('good')}"
    failure = people.statistics.failure(
        lambda: one.write(entries=[content(good), {**content(one.dataset), **change}]))
    assert (failure.code, failure.reason) == (code, reason)
    one.dataset = good
    assert people.statistics.failure(one.get).reason == "CATALOGUE_NOT_FOUND"


def test_an_entry_stands_once_in_an_import(life, people):
    one = life()
    failure = people.statistics.failure(lambda: one.write(entries=[content(one.dataset)] * 2))
    assert failure.reason == "ENTRY_TWICE"
    assert people.statistics.failure(
        lambda: people.statistics.catalog.ImportCatalogue(one.pb.ImportCatalogueRequest())).reason == "ENTRIES_MISSING"


# --- the database, whatever a gateway says ------------------------------------------------------------

WORKER_STEP = ("INSERT INTO control.catalogue_step (dataset, n, event, actor, department, request_id, secrecy_ref, note)"
               " VALUES (%s, %s, %s, %s, %s, %s, %s, 'a note')")


def officer(department, name="data-officer"):
    return f"spiffe://sluice.example/dept/{department}/officer/{name}", department


def test_the_database_refuses_every_step_that_is_no_rule(life, cluster):
    rules = {(event, state): roles for event, state, roles in cluster.rows(
        "control", "SELECT event, state_from, roles FROM control.catalogue_rule")}
    events = sorted({event for event, _ in rules})
    parties = {"AUTHOR": officer("statistics"), "COLLEAGUE": officer("statistics", "second"),
               "AUTHORITY": officer("civil-affairs"), "STRANGER": officer("health")}
    tried = 0
    for state in ("ASSESSED", "DEPT_APPROVED", "SUBMITTED", "PUBLISHED"):
        one = life()
        version = one.to(state).version
        for event in events:
            for role, who in parties.items():
                if role in rules.get((event, state), ()):
                    continue
                with pytest.raises(psycopg2.errors.CheckViolation):
                    cluster.rows("worker", WORKER_STEP, [one.dataset, version + 1, event, *who, f"{event}{role}", "S"])
                tried += 1
        assert one.get().version == version
    assert tried > 150


def test_the_database_lets_nothing_else_be_written(life, people, cluster):
    one = life()
    version = one.to("SUBMITTED").version
    for statement in ("UPDATE control.catalogue_entry SET state = 'PUBLISHED'", "DELETE FROM control.catalogue_entry",
                      "UPDATE control.catalogue_edition SET content = '{}'", "DELETE FROM control.catalogue_step",
                      "INSERT INTO control.catalogue_rule VALUES ('PUBLISH', 'DRAFT', 'PUBLISHED', '{AUTHOR}')",
                      "INSERT INTO control.catalogue_item (dataset) VALUES ('x')"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cluster.rows("worker", statement)
    with pytest.raises(psycopg2.errors.SerializationFailure):
        cluster.rows("worker", WORKER_STEP, [one.dataset, version, "PUBLISH", *officer("civil-affairs"), "late", ""])
    with pytest.raises(psycopg2.errors.CheckViolation, match="registered officer"):
        cluster.rows("worker", WORKER_STEP, [one.dataset, version + 1, "PUBLISH", *officer("civil-affairs", "x"), "x", ""])
    for change in ("state = 'PUBLISHED', version = version + 1, published_by = author", "department = 'health'",
                   "state = 'DRAFT'", "edition = 9", "version = version + 2"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            cluster.rows("control", f"UPDATE control.catalogue_entry SET {change} WHERE dataset = %s", [one.dataset])
    write = "SELECT control.catalogue_write(%s, %s, 'r', %s)"
    foreign = json.dumps([content("health/beds")])
    for who in (officer("statistics"), officer("statistics", "nobody"), ("gateway", "statistics")):
        with pytest.raises(psycopg2.errors.CheckViolation):
            cluster.rows("worker", write, [*who, foreign])
    # A legal basis is the database's to insist on, too.
    denied = json.dumps([{**content(f"statistics/{clients.unique('x')}"), "sharing": "DENIED", "legal_basis": ""}])
    with pytest.raises(psycopg2.errors.CheckViolation):
        cluster.rows("worker", write, [*officer("statistics"), denied])


# --- the command line -----------------------------------------------------------------------------------

def test_officers_walk_through_a_life_on_the_command_line(sluice, people, workspace):
    name = f"statistics/{clients.unique('cli')}"

    def command(who, *words, status=0):
        done = sluice("catalog", *words, officer=who)
        assert done.returncode == status, done.stderr
        return done

    file = workspace / clients.unique("entries")
    file.write_text(json.dumps([content(name)], ensure_ascii=False))
    assert "nothing written; 1 would be" in command("statistics-officer", "import", "--dry-run", file).stderr
    assert "1 written, 0 unchanged" in command("statistics-officer", "import", file).stderr
    assert "0 written, 1 unchanged" in command("statistics-officer", "import", file).stderr
    command("statistics-officer", "assess", name, status=2)
    command("statistics-officer", "assess", name, "--secrecy", "S-1")
    assert "[CATALOGUE_OWN]" in command("statistics-officer", "approve", name, status=4).stderr
    command("statistics-second", "approve", name)
    command("statistics-second", "submit", name)
    assert "PUBLISHED" in command("civil-affairs-officer", "publish", name).stdout
    listed = command("health-officer", "entries", "--department", "statistics", "--format", "csv").stdout
    assert any(line.startswith(f"{name},行政区划,OPEN,PUBLISHED,1") for line in listed.splitlines())
    assert "workingDaysLeft" in command("statistics-officer", "change", name, "--reason", "new").stdout
    listed = command("statistics-officer", "entries", "--entry-state", "change-due", "--format", "csv").stdout
    assert name in listed
    shown = command("statistics-officer", "entry", name, "--lang", "zh").stdout
    assert "PUBLISH spiffe://" in shown and "行政区划名称 字符型 GENERAL_1 NONE statistics" in shown
    command("statistics-second", "retire", name, "--reason", "merged")


def test_what_is_exported_imports_to_the_same(sluice, people, life, workspace):
    """CSV and JSON, UTF-8 with and without a byte order mark, GB 18030: nothing changes, and what is changed back is equal."""
    one, other, file = life(), life(), workspace / clients.unique("export")
    fields = {"conditions": "=民政,\"救助\"\n二", "sharing": "CONDITIONAL", "modes": ["FILE", "API"], "public": True,
              "public_conditions": "'@", "related_codes": ["307001/1", "307002/2"], "provider_code": ""}
    one.write(items=[item("甲", personal="SENSITIVE"), item("乙", sensitivity="GENERAL_2", type="日期型")], **fields)
    other.write(sharing="DENIED", legal_basis=LAW, modes=[], grade="CORE")
    before = one.get().content, other.get().content

    def export(*options):
        done = sluice("catalog", "export", "--department", "statistics", "--entry-state", "draft", *options,
                      officer="statistics-officer")
        assert done.returncode == 0, done.stderr
        assert one.dataset in done.stdout and other.dataset in done.stdout
        return done.stdout
    plain = export()
    assert plain.splitlines()[0].startswith("数据集,信息资源分类,信息资源名称,信息资源代码,信息资源提供方,")
    bytes_of = {"csv": plain.encode(), "bom": export("--bom", "--format", "csv").encode(), "gb": plain.encode("gb18030"),
                "json": export("--format", "json").encode(), "json-gb": export("--format", "json").encode("gb18030")}
    assert bytes_of["bom"] == b"\xef\xbb\xbf" + bytes_of["csv"]
    for name, content_bytes in bytes_of.items():
        file.write_bytes(content_bytes)
        done = sluice("catalog", "import", file, officer="statistics-officer")
        assert done.returncode == 0 and " 0 written" in f" {done.stderr}", (name, done.stderr)
        one.write(title="另一个")
        done = sluice("catalog", "import", file, officer="statistics-officer")
        assert "1 written" in done.stderr, (name, done.stderr)
        assert (one.get().content, other.get().content) == before, name
    assert sluice("catalog", "export", "--format", "jsonl").returncode == 2


@pytest.mark.parametrize("text, complaint", [
    ("数据集,信息项名称,什么\n", ":1:11: there is no column \"什么\""),
    ("数据集,信息项名称,更新周期\nGOOD,x,偶尔\n", ":2:{end}: \"偶尔\" is none of the words"),
    ('[{"dataset": "GOOD",\n "title" "y"}]', ":2:"),
    ('{"no": 1}', ":1:1: this is no list of entries"),
    ('[{"dataset": "GOOD"},\n {"titel": "y"}]', ":2:2: In \"entries[1]\""),
    ('{"entries": [{"dataset": "GOOD",\n "sharing":  "PUBLIC"}]}', ":2:14: In \"entries[0].sharing\""),
    ("数据集,信息项名称\nGOOD,x\nstatistics/bad,y\n", ":2:1: GOOD: say the title [ENTRY_INCOMPLETE]; nothing was written"),
    ("数据集,信息项名称\nhealth/beds,x\n", ":2:1: health/beds: write entries of your own department only [NOT_OWNER]"),
    (b"\xff\xff", ":1:1: this is neither UTF-8 nor GB 18030"),
    ("数据集\0", ":1:4: this is neither UTF-8 nor GB 18030"),
])
def test_a_malformed_file_is_refused_with_line_and_column_and_nothing_written(
        sluice, people, life, workspace, text, complaint):
    one, file = life(), workspace / clients.unique("malformed")
    text, complaint = (text.replace("GOOD", one.dataset) if isinstance(text, str) else text,
                       complaint.replace("GOOD", one.dataset).replace("{end}", str(len(one.dataset) + 4)))
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    done = sluice("catalog", "import", file, officer="statistics-officer")
    assert done.returncode in (1, 4) and complaint in done.stderr, done.stderr
    assert people.statistics.failure(one.get).reason == "CATALOGUE_NOT_FOUND"
