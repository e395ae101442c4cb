"""Applications for access: from draft to disposal, each step by whom it belongs to, each with its entry."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace

import grpc
import psycopg2
import pytest

import clients
from audit_log import AuditLog
from clients import PURPOSE
from conftest import RESIDENTS, STREETS
from harness import REPO, run, wait_for

DENIED = grpc.StatusCode.PERMISSION_DENIED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
KEY = "110101001"
SHANGHAI = timezone(timedelta(hours=8))


def today():
    return datetime.now(SHANGHAI).date()


def working_days_after(start, count):
    """What a calendar says whose only holiday is New Year's Day."""
    day = start
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5 and (day.month, day.day) != (1, 1)
    return day


@pytest.fixture
def workdays(cluster):
    """Synthetic calendars of this year and the next two, whose only holiday is the 1st of January."""
    def load(years):
        for year in years:
            cluster.rows("control", "INSERT INTO control.workday_year (year, source) VALUES (%s, 'synthetic, for tests')"
                         " ON CONFLICT DO NOTHING", [year])
            cluster.rows("control", "INSERT INTO control.workday_calendar (day, year, kind) VALUES (%s, %s, 'off')"
                         " ON CONFLICT DO NOTHING", [date(year, 1, 1), year])
    cluster.rows("control", "DELETE FROM control.workday_year")
    load(range(today().year, today().year + 3))
    yield load
    cluster.rows("control", "DELETE FROM control.workday_year")


@pytest.fixture
def people(cluster, pki, connect, admin_environment):
    """A second officer for each department, and the civil-affairs officers as the sharing authority."""
    made = SimpleNamespace()
    for department in ("health", "statistics", "civil-affairs"):
        short = department.replace("-", "_")
        setattr(made, short, connect(f"{department}-officer", "officers"))
        run("sluice", "officer", "add", f"{department}/second", "--database", cluster.conninfo["control"],
            env=admin_environment)
        certificate = pki.issue(f"{department}-second", f"spiffe://sluice.example/dept/{department}/officer/second")
        setattr(made, f"{short}_second", connect(certificate, "officers"))
    cluster.rows("control", "UPDATE control.application_policy SET authority = 'civil-affairs'")
    # A worker knows a new officer when it has read the next epoch.
    for peer in (made.health_second, made.statistics_second, made.civil_affairs_second):
        wait_for(lambda peer=peer: lists(peer), 3, "the new officer to be known")
    yield made
    cluster.rows("control", "UPDATE control.application_policy SET authority = DEFAULT, answer_days = DEFAULT,"
                 " extension_days = DEFAULT, provide_days = DEFAULT, clock = DEFAULT")


def lists(peer):
    try:
        return peer.agreements.ListApplications(peer.stubs.agreement.ListApplicationsRequest(), timeout=5)
    except grpc.RpcError:
        return None


class Life:
    """One application and those who move it."""

    def __init__(self, people, stubs, cluster):
        self.people, self.pb, self.cluster = people, stubs.agreement, cluster
        self.log = AuditLog(cluster, stubs)
        self.id = None

    def draft(self, consumer, dataset=STREETS, fields=("code", "name"), peer=None, until=timedelta(days=30), **changes):
        terms = {"consumer": consumer.name, "dataset": dataset, "fields": fields, "purposes": [PURPOSE],
                 "modes": ["LOOKUP"], "legal_basis": "政务数据共享条例 第二十条", **changes.pop("terms", {})}
        application = self.pb.Application(**{"terms": self.pb.Agreement(**terms), "scenario": "address check at triage",
                                             "scope": "the triage desks of one hospital", **changes})
        application.terms.valid_until.FromDatetime((datetime.now(timezone.utc) + until).replace(tzinfo=None))
        peer = peer or self.people.health
        answer = peer.agreements.RequestAccess(self.pb.RequestAccessRequest(
            application=application, request_id=clients.unique("request")), timeout=10)
        self.id = answer.id
        return answer

    def step(self, peer, method, **values):
        requests = {"AskExtension": self.pb.AskExtensionRequest, "Decide": self.pb.DecideRequest,
                    "Terminate": self.pb.TerminateRequest, "RequireDisposal": self.pb.RequireDisposalRequest}
        request = requests.get(method, self.pb.ApplicationStepRequest)(id=self.id, **values)
        return getattr(peer.agreements, method)(request, timeout=10)

    def refused(self, peer, method, **values):
        failure = peer.failure(lambda: self.step(peer, method, **values))
        return failure.code, failure.reason

    def get(self, peer=None):
        return (peer or self.people.health).agreements.GetApplication(
            self.pb.GetApplicationRequest(id=self.id), timeout=10)

    def to(self, state):
        """Walks the usual way up to `state`."""
        p = self.people
        way = [("SIGNED_OFF", lambda: self.step(p.health_second, "SignOff")),
               ("SUBMITTED", lambda: self.step(p.health, "SubmitApplication")),
               ("AGREED", lambda: self.step(p.statistics, "Decide", decision="AGREE")),
               ("PROVISIONING", lambda: self.step(p.statistics, "Provision")),
               ("ACTIVE", lambda: self.step(p.statistics, "Activate")),
               ("SUSPENDED", lambda: self.step(p.statistics, "Suspend", note="wrong use")),
               ("TERMINATED", lambda: self.step(p.statistics, "Terminate", note="not put in order",
                                                negotiation_ref="N-1", filing_ref="F-1")),
               ("DISPOSAL_DUE", lambda: self.step(p.statistics, "RequireDisposal", days=5)),
               ("DISPOSED", lambda: self.step(p.health, "ConfirmDisposal", note="certificate 7"))]
        for name, go in way:
            answer = go()
            assert answer.state == getattr(self.pb.Application, name), name
            if name == state:
                return answer
        raise AssertionError(f"no way to {state}")

    def entries(self):
        """(rule, outcome, reason) of the policy entries about this application."""
        return [(e.decision.rule, e.decision.outcome, e.decision.reason) for e in self.log.entries()
                if e.kind == self.log.entry_type.POLICY_CHANGE and e.what.object == self.id]


@pytest.fixture
def life(people, stubs, cluster, workdays):
    return lambda: Life(people, stubs, cluster)


def looked_up(consumer):
    try:
        return consumer.peer.lookup(STREETS, KEY).record.value
    except grpc.RpcError:
        return None


# --- the whole life ---------------------------------------------------------------------------------

def test_a_life_from_draft_to_disposal_and_its_entries(life, people, consumer, stubs):
    one, state, p = life(), stubs.agreement.Application, people
    drafted = one.draft(consumer)
    assert drafted.state == state.DRAFT and drafted.open and not drafted.HasField("deadline")
    assert drafted.applicant == "spiffe://sluice.example/dept/health/officer/data-officer"
    submitted = one.to("SUBMITTED")
    assert submitted.deadline.working_days == 1 and submitted.deadline.working_days_left == 1
    assert date.fromisoformat(submitted.deadline.due) == working_days_after(today(), 1)
    assert not submitted.deadline.overdue
    assert not looked_up(consumer)
    agreed = one.step(p.statistics, "Decide", decision="AGREE", note="within the catalogue's conditions")
    assert (agreed.state, agreed.deadline.kind) == (state.AGREED, stubs.agreement.ApplicationDeadline.PROVIDE)
    assert date.fromisoformat(agreed.deadline.due) == working_days_after(today(), 20)
    one.step(p.statistics, "Provision")
    active = one.step(p.statistics, "Activate")
    assert active.state == state.ACTIVE and active.agreement.startswith("agr-")
    assert not active.HasField("deadline")
    # Its answer came when every worker knew.
    assert consumer.peer.lookup(STREETS, KEY, agreement=active.agreement).record.value

    agreement = p.statistics.agreements.GetAgreement(stubs.agreement.GetAgreementRequest(id=active.agreement))
    for member in ("consumer", "dataset", "fields", "purposes", "modes", "valid_until", "legal_basis"):
        assert getattr(agreement, member) == getattr(drafted.terms, member)
    assert agreement.state == stubs.agreement.ACTIVE and len(agreement.digest) == 64

    one.step(p.statistics, "Suspend", note="used for something else")
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, agreement=active.agreement))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_SUSPENDED")
    suspended = p.statistics.agreements.GetAgreement(stubs.agreement.GetAgreementRequest(id=active.agreement))
    assert suspended.state == stubs.agreement.SUSPENDED
    one.step(p.statistics, "Resume", note="put in order")
    assert consumer.peer.lookup(STREETS, KEY, agreement=active.agreement).record.value
    one.step(p.statistics, "Suspend", note="again")
    one.step(p.statistics, "Terminate", note="not put in order", negotiation_ref="N-7", filing_ref="F-9")
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, agreement=active.agreement))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_REVOKED")
    due = one.step(p.statistics, "RequireDisposal", days=5)
    assert date.fromisoformat(due.deadline.due) == working_days_after(today(), 5)
    disposed = one.step(p.health_second, "ConfirmDisposal", note="certificate 2026-7")
    assert disposed.state == state.DISPOSED

    steps = one.get().steps
    kind = stubs.agreement.ApplicationStep
    assert [s.kind for s in steps] == [
        kind.SIGN_OFF, kind.SUBMIT, kind.AGREE, kind.PROVISION, kind.ACTIVATE, kind.SUSPEND, kind.RESUME,
        kind.SUSPEND, kind.TERMINATE, kind.REQUIRE_DISPOSAL, kind.CONFIRM_DISPOSAL]
    assert [s.number for s in steps] == list(range(1, 12)) and not any(s.late for s in steps)
    assert (steps[8].negotiation_ref, steps[8].filing_ref) == ("N-7", "F-9")
    allowed = one.log.entry_type.ALLOWED
    assert one.entries() == [(f"application.{name}", allowed, "") for name in (
        "request", "sign-off", "submit", "agree", "provision", "activate", "suspend", "resume", "suspend",
        "terminate", "require-disposal", "confirm-disposal")]
    activation = [e for e in one.log.entries() if e.decision.rule == "application.activate" and e.what.object == one.id]
    assert [(e.why.agreement, e.what.dataset, e.what.owner) for e in activation] == [
        (active.agreement, STREETS, "statistics")]


def test_a_running_stream_ends_when_its_application_is_suspended(life, people, consumer, villages):
    one = life()
    one.draft(consumer, dataset="statistics/villages", terms={"modes": ["QUERY"]})
    agreement = one.to("ACTIVE").agreement
    stream = consumer.peer.query("statistics/villages", agreement=agreement)
    next(stream)
    one.step(people.statistics, "Suspend", note="stop")
    failure = consumer.peer.failure(lambda: list(stream))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_SUSPENDED")


def test_a_suspension_holds_on_another_gateway_when_it_is_answered(life, people, consumer, new_gateway, connect):
    one = life()
    one.draft(consumer)
    agreement = one.to("ACTIVE").agreement
    other = connect(consumer.certificate, to=new_gateway().start())
    assert other.lookup(STREETS, KEY, agreement=agreement).record.value
    one.step(people.statistics, "Suspend", note="stop")
    assert other.failure(lambda: other.lookup(STREETS, KEY, agreement=agreement)).reason == "AGREEMENT_SUSPENDED"
    one.step(people.statistics, "Resume", note="go on")
    assert other.lookup(STREETS, KEY, agreement=agreement).record.value


# --- who ---------------------------------------------------------------------------------------------

def test_nobody_signs_off_or_decides_their_own_application(life, people, consumer):
    one = life()
    one.draft(consumer)
    assert one.refused(people.health, "SignOff") == (DENIED, "APPLICATION_OWN")
    one.to("SUBMITTED")
    for decision in ("AGREE", "REFUSE"):
        assert one.refused(people.health, "Decide", decision=decision, note="x") == (DENIED, "APPLICATION_OWN")
        assert one.refused(people.health_second, "Decide", decision=decision, note="x") == (DENIED, "APPLICATION_ROLE")
        assert one.refused(people.civil_affairs, "Decide", decision=decision, note="x") == (DENIED, "APPLICATION_ROLE")
    refused = one.log.entry_type.REFUSED
    assert one.entries().count(("application.agree", refused, "APPLICATION_OWN")) == 1
    assert one.entries().count(("application.refuse", refused, "APPLICATION_ROLE")) == 2
    assert one.get().version == 2


def test_each_step_in_a_wrong_state_is_refused_with_a_reason(life, people, consumer, stubs):
    """Every method at every state of the usual way, by whoever may take it somewhere."""
    p = people
    methods = {
        "SignOff": (p.health_second, {}, {"DRAFT"}), "SubmitApplication": (p.health, {}, {"SIGNED_OFF"}),
        "AskSupplement": (p.statistics, {"note": "x"}, {"SUBMITTED"}),
        "AnswerSupplement": (p.health, {"note": "x"}, {"SUPPLEMENT_ASKED"}),
        "AskExtension": (p.statistics, {"note": "x", "days": 2}, {"SUBMITTED"}),
        "Extend": (p.civil_affairs, {}, {"SUBMITTED"}),
        "Decide": (p.statistics, {"decision": "AGREE"}, {"SUBMITTED", "EXTENDED"}),
        "Provision": (p.statistics, {}, {"AGREED"}), "Activate": (p.statistics, {}, {"PROVISIONING"}),
        "Suspend": (p.statistics, {"note": "x"}, {"ACTIVE"}), "Resume": (p.statistics, {"note": "x"}, {"SUSPENDED"}),
        "Terminate": (p.statistics, {"note": "x", "negotiation_ref": "n", "filing_ref": "f"}, {"SUSPENDED"}),
        "RequireDisposal": (p.statistics, {"days": 1}, {"EXPIRED", "TERMINATED"}),
        "ConfirmDisposal": (p.health, {"note": "x"}, {"DISPOSAL_DUE"})}
    one = life()
    one.draft(consumer)
    for state in ("SIGNED_OFF", "SUBMITTED", "AGREED", "PROVISIONING", "ACTIVE", "SUSPENDED", "TERMINATED",
                  "DISPOSAL_DUE", "DISPOSED"):
        one = life()
        one.draft(consumer)
        version = one.to(state).version
        for method, (peer, values, states) in methods.items():
            if state in states:
                continue
            received = state not in ("DRAFT", "SIGNED_OFF") or peer in (p.health, p.health_second)
            expected = (PRECONDITION, "APPLICATION_STATE") if received else (NOT_FOUND, "APPLICATION_NOT_FOUND")
            assert one.refused(peer, method, **values) == expected, (state, method)
        assert one.get().version == version
        if state == "ACTIVE":
            one.step(p.statistics, "Suspend", note="end of the test")


def test_an_application_is_known_to_its_parties_only(life, people, consumer, pki, connect):
    one = life()
    one.draft(consumer)
    hidden = one.refused(people.statistics, "Provision")
    one_id, one.id = one.id, "app-222222222222"
    assert hidden == one.refused(people.statistics, "Provision") == (NOT_FOUND, "APPLICATION_NOT_FOUND")
    one.id = one_id
    one.to("SUBMITTED")
    assert one.get(people.statistics).id == one.get(people.civil_affairs).id == one.id
    one.cluster.rows("control", "UPDATE control.application_policy SET authority = NULL")
    failure = people.civil_affairs.failure(lambda: one.get(people.civil_affairs))
    assert (failure.code, failure.reason) == (NOT_FOUND, "APPLICATION_NOT_FOUND")
    assert one.refused(people.civil_affairs, "Extend") == (NOT_FOUND, "APPLICATION_NOT_FOUND")
    listed = lists(people.civil_affairs)
    assert one.id not in [a.id for a in listed.applications]
    assert one.id in [a.id for a in lists(people.statistics_second).applications]


def test_of_two_officers_who_decide_at_once_one_does(life, people, consumer):
    one = life()
    one.draft(consumer)
    one.to("SUBMITTED")

    def decide(peer, decision):
        try:
            one.step(peer, "Decide", decision=decision, note="at once")
            return "taken"
        except grpc.RpcError as error:
            return clients.Failure(peer.stubs, error).reason
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(decide, [people.statistics, people.statistics_second] * 4,
                                 ["AGREE", "REFUSE"] * 4))
    assert outcomes.count("taken") == 1
    assert set(outcomes) <= {"taken", "APPLICATION_STATE", "SOURCE_CONFLICT"}
    assert one.get().version == 3 and len(one.get().steps) == 3


def test_an_agreement_that_its_owner_revoked_is_not_resumed(life, people, consumer):
    one = life()
    one.draft(consumer)
    agreement = one.to("ACTIVE").agreement
    people.statistics.revoke(agreement, reason="an incident")
    assert not looked_up(consumer) and one.get().agreement_revoked
    one.step(people.statistics, "Suspend", note="an incident")
    assert one.refused(people.statistics, "Resume", note="over") == (PRECONDITION, "AGREEMENT_REVOKED")
    one.step(people.statistics, "Terminate", note="an incident", negotiation_ref="N", filing_ref="F")


# --- supplements, extensions, refusals ----------------------------------------------------------------

@pytest.fixture
def resident_life(people, stubs, cluster, workdays):
    """An application for a CONDITIONAL dataset; civil affairs owns it, statistics is the authority."""
    cluster.rows("control", "UPDATE control.application_policy SET authority = 'statistics'")

    def make(consumer):
        one = Life(people, stubs, cluster)
        one.draft(consumer, dataset=RESIDENTS, fields=["id_number", "name"])
        one.step(people.health_second, "SignOff")
        return one, one.step(people.health, "SubmitApplication")
    return make


def test_supplements_are_asked_for_once_and_the_clock_is_strict(resident_life, people, consumer):
    one, submitted = resident_life(consumer)
    due = submitted.deadline.due
    assert not submitted.open and submitted.deadline.working_days == 10
    assert date.fromisoformat(due) == working_days_after(today(), 10)
    assert one.refused(people.civil_affairs, "AskSupplement") == (INVALID, "REASON_MISSING")
    asked = one.step(people.civil_affairs, "AskSupplement", note="the legal basis does not name the register")
    assert asked.deadline.due == due and asked.supplement_asked
    assert one.refused(people.civil_affairs, "Decide", decision="REFUSE", note="x") == (PRECONDITION, "APPLICATION_STATE")
    answered = one.step(people.health, "AnswerSupplement", note="Art. 12 of the register's own rules")
    assert answered.deadline.due == due
    assert one.refused(people.civil_affairs, "AskSupplement", note="more") == (PRECONDITION, "SUPPLEMENT_USED")


def test_an_extension_needs_the_authority(resident_life, people, consumer, stubs):
    one, _ = resident_life(consumer)
    assert one.refused(people.statistics, "Extend") == (PRECONDITION, "EXTENSION_NOT_ASKED")
    for days in (0, -1, 11):
        assert one.refused(people.civil_affairs, "AskExtension", note="x", days=days) == (INVALID, "DAYS_INVALID")
    asked = one.step(people.civil_affairs, "AskExtension", note="the register is being moved", days=7)
    assert asked.state == stubs.agreement.Application.SUBMITTED and asked.deadline.working_days == 10
    assert one.refused(people.civil_affairs, "AskExtension", note="x", days=3) == (PRECONDITION, "EXTENSION_ASKED")
    assert one.refused(people.civil_affairs_second, "Extend") == (DENIED, "APPLICATION_ROLE")
    extended = one.step(people.statistics, "Extend", note="agreed")
    assert extended.state == stubs.agreement.Application.EXTENDED and extended.deadline.working_days == 17
    assert date.fromisoformat(extended.deadline.due) == working_days_after(today(), 17)
    assert one.refused(people.civil_affairs, "Decide", decision="REFUSE") == (INVALID, "REASON_MISSING")
    assert one.refused(people.civil_affairs, "Decide") == (INVALID, "DECISION_MISSING")
    refused = one.step(people.civil_affairs, "Decide", decision="REFUSE", note="condition 2 of the catalogue is not met")
    assert refused.decision_reason == "condition 2 of the catalogue is not met"
    assert refused.decided_by.endswith("/civil-affairs/officer/data-officer")


def test_who_asked_for_an_extension_does_not_consent_to_it(resident_life, people, consumer, cluster):
    one, _ = resident_life(consumer)
    cluster.rows("control", "UPDATE control.application_policy SET authority = 'civil-affairs'")
    one.step(people.civil_affairs, "AskExtension", note="x", days=1)
    assert one.refused(people.civil_affairs, "Extend") == (DENIED, "APPLICATION_OWN")
    assert one.step(people.civil_affairs_second, "Extend").deadline.working_days == 11


def test_an_open_dataset_is_not_extended(life, people, consumer):
    one = life()
    one.draft(consumer)
    one.to("SUBMITTED")
    assert one.refused(people.statistics, "AskExtension", note="x", days=1) == (PRECONDITION, "EXTENSION_OPEN")


def test_deadlines_may_be_made_shorter_and_not_longer(resident_life, people, consumer, cluster):
    for change in ("answer_days = 11", "answer_days = 0", "extension_days = 11", "provide_days = 21", "clock = 'never'"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            cluster.rows("control", f"UPDATE control.application_policy SET {change}")
    cluster.rows("control", "UPDATE control.application_policy SET answer_days = 5, provide_days = 3,"
                 " extension_days = 2, clock = 'completed'")
    one, submitted = resident_life(consumer)
    assert submitted.deadline.working_days == 5
    assert one.refused(people.civil_affairs, "AskExtension", note="x", days=3) == (INVALID, "DAYS_INVALID")
    one.step(people.civil_affairs, "AskSupplement", note="x")
    answered = one.step(people.health, "AnswerSupplement", note="y")
    assert getattr(answered.deadline, "from") == answered.completed_at != answered.received_at
    assert one.step(people.civil_affairs, "Decide", decision="AGREE").deadline.working_days == 3


# --- time ---------------------------------------------------------------------------------------------

def test_a_year_without_a_calendar_is_flagged_and_told_once_it_is_loaded(life, people, consumer, cluster, workdays):
    cluster.rows("control", "DELETE FROM control.workday_year")
    one = life()
    one.draft(consumer)
    submitted = one.to("SUBMITTED")
    assert (submitted.deadline.due, submitted.deadline.overdue) == ("", False)
    assert submitted.deadline.calendar_missing == (today() + timedelta(days=1)).year
    workdays(range(today().year, today().year + 3))
    shown = one.get().deadline
    assert date.fromisoformat(shown.due) == working_days_after(today(), 1) and shown.calendar_missing == 0


def back(cluster, one, days):
    """Moves an application's clock into the past, as only the owner of its table could."""
    with cluster.connect("control") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("ALTER TABLE control.application DISABLE TRIGGER guard")
        cursor.execute("UPDATE control.application SET clock_from = clock_from - %s, due_on = due_on - %s WHERE id = %s",
                       [timedelta(days=days), days, one.id])
        cursor.execute("ALTER TABLE control.application ENABLE TRIGGER guard")
        cursor.execute("COMMIT")


def test_what_is_late_is_flagged_and_may_still_be_answered(life, people, consumer, cluster, stubs):
    one = life()
    one.draft(consumer)
    one.to("SUBMITTED")
    back(cluster, one, 14)
    late = one.get().deadline
    assert late.overdue and late.working_days_left < 0

    def overdue(flag):
        return [a.id for a in people.statistics.agreements.ListApplications(
            stubs.agreement.ListApplicationsRequest(overdue=flag, dataset=STREETS)).applications]
    fresh = life()
    fresh.draft(consumer)
    fresh.to("SUBMITTED")
    assert one.id in overdue(True) and fresh.id not in overdue(True)
    assert overdue(False).index(fresh.id) < overdue(False).index(one.id), "newest first"
    agreed = one.step(people.statistics, "Decide", decision="AGREE")
    assert not agreed.deadline.overdue
    assert [s.late for s in one.get().steps] == [False, False, True]


def test_what_is_over_expires_by_the_clock_with_an_entry_of_its_own(life, people, consumer, cluster, stubs):
    one = life()
    one.draft(consumer, until=timedelta(seconds=6))
    agreement = one.to("ACTIVE").agreement
    assert consumer.peer.lookup(STREETS, KEY, agreement=agreement).record.value
    state = stubs.agreement.Application
    wait_for(lambda: one.get().state == state.EXPIRED, 10, "the application to expire")
    assert consumer.peer.failure(
        lambda: consumer.peer.lookup(STREETS, KEY, agreement=agreement)).reason == "AGREEMENT_EXPIRED"
    assert one.refused(people.statistics, "Suspend", note="x") == (PRECONDITION, "APPLICATION_STATE")
    assert one.step(people.health, "RequireDisposal", days=3).state == state.DISPOSAL_DUE
    steps = one.get().steps
    assert [(s.kind, s.actor) for s in steps[-2:]] == [
        (stubs.agreement.ApplicationStep.EXPIRE, "gateway"),
        (stubs.agreement.ApplicationStep.REQUIRE_DISPOSAL, steps[0].actor.replace("second", "data-officer"))]
    allowed, refused = one.log.entry_type.ALLOWED, one.log.entry_type.REFUSED
    assert one.entries()[-3:] == [("application.expire", allowed, ""),
                                  ("application.suspend", refused, "APPLICATION_STATE"),
                                  ("application.require-disposal", allowed, "")]


# --- requests that make no sense ------------------------------------------------------------------------

@pytest.mark.parametrize("change, code, reason", [
    ({"terms": {"dataset": "statistics/no-such"}}, NOT_FOUND, "DATASET_NOT_FOUND"),
    ({"terms": {"fields": ["no_such"]}}, INVALID, "FIELD_UNKNOWN"),
    ({"terms": {"fields": []}}, INVALID, "FIELDS_MISSING"),
    ({"terms": {"purposes": ["No Such"]}}, INVALID, "PURPOSE_INVALID"),
    ({"terms": {"modes": []}}, INVALID, "MODES_MISSING"),
    ({"terms": {"legal_basis": ""}}, INVALID, "APPLICATION_INCOMPLETE"),
    ({"scenario": ""}, INVALID, "APPLICATION_INCOMPLETE"),
    ({"scope": ""}, INVALID, "APPLICATION_INCOMPLETE"),
    ({"scope": "x" * 1025}, INVALID, "TEXT_TOO_LONG"),
    ({"terms": {"consumer": "statistics/collector"}}, INVALID, "CONSUMER_FOREIGN"),
    ({"terms": {"row_filter": "code = = 1"}}, INVALID, "FILTER_SYNTAX"),
    ({"terms": {"masks": [{"field": "name", "kind": "YEAR"}]}}, INVALID, "MASK_UNFIT"),
    ({"until": timedelta(days=-1)}, INVALID, "VALIDITY_INVALID"),
])
def test_a_request_that_makes_no_sense_is_refused(life, people, consumer, change, code, reason):
    failure = people.health.failure(lambda: life().draft(consumer, **change))
    assert (failure.code, failure.reason) == (code, reason)


def test_a_dataset_that_is_not_shared_is_applied_for_like_one_that_does_not_exist(
        people, stubs, cluster, workspace, new_gateway, connect, consumer):
    schemas = workspace / clients.unique("schemas")
    shutil.copytree(REPO / "schemas", schemas)
    mapping = schemas / "departments/statistics/cities.yaml"
    mapping.write_text(mapping.read_text().replace("sharing: open", "sharing: denied"))
    gateway = new_gateway(schemas={"directory": str(schemas)}).start()
    peer = connect("health-officer", "officers", to=gateway)
    one = Life(people, stubs, cluster)
    name = "statistics/cities"  # no other test lets the health department see it
    hidden = peer.failure(lambda: one.draft(consumer, peer=peer, dataset=name))
    absent = peer.failure(lambda: one.draft(consumer, peer=peer, dataset="statistics/no-such"))
    assert (hidden.code, hidden.reason, hidden.text) == (absent.code, absent.reason, absent.text)
    assert hidden.reason == "DATASET_NOT_FOUND"
    owner = connect("statistics-officer", "officers", to=gateway)
    failure = owner.failure(lambda: one.draft(SimpleNamespace(name="statistics/collector"), peer=owner, dataset=name))
    assert (failure.code, failure.reason) == (PRECONDITION, "DATASET_DENIED")


def test_what_was_applied_for_may_be_over_before_it_is_activated(life, people, consumer):
    one = life()
    one.draft(consumer, until=timedelta(seconds=2))
    one.to("PROVISIONING")
    until = one.get().terms.valid_until.ToDatetime()
    wait_for(lambda: datetime.now(timezone.utc).replace(tzinfo=None) > until, 5, "its time to be over")
    assert one.refused(people.statistics, "Activate") == (PRECONDITION, "VALIDITY_OVER")


def test_nobody_applies_for_their_own_dataset(life, people, consumer):
    failure = people.statistics.failure(lambda: life().draft(
        SimpleNamespace(name="statistics/collector"), peer=people.statistics))
    assert (failure.code, failure.reason) == (PRECONDITION, "DATASET_OWN")


def test_texts_and_days_have_limits(life, people, consumer):
    one = life()
    one.draft(consumer)
    assert one.refused(people.health_second, "SignOff", note="x" * 1025) == (INVALID, "TEXT_TOO_LONG")
    assert one.refused(people.statistics, "RequireDisposal", days=367) == (INVALID, "DAYS_INVALID")
    assert one.refused(people.statistics, "Terminate", note="x") == (INVALID, "REFERENCES_MISSING")
    one.id = "x" * 5000
    assert one.refused(people.health_second, "SignOff") == (INVALID, "APPLICATION_ID")


def test_the_same_request_twice_takes_one_step(life, people, consumer, stubs):
    one = life()
    one.draft(consumer)
    first = one.step(people.health_second, "SignOff", request_id="again")
    second = one.step(people.health_second, "SignOff", request_id="again")
    assert first.version == second.version == 1
    assert len(one.entries()) == 2


# --- the command line -----------------------------------------------------------------------------------

TABLE = """year: 2026
source: "synthetic, for tests"
off: [2026-01-01..2026-01-03, 2026-05-01]
work: [2026-01-04]
"""


def test_an_operator_checks_and_loads_a_calendar(sluice, workdays, cluster, workspace):
    file = workspace / clients.unique("calendar")
    file.write_text(TABLE)
    checked = sluice("calendar", "check", file)
    assert checked.returncode == 0 and "2026 is sound: 4 days off, 1 weekend days worked" in checked.stderr
    for text in (TABLE, TABLE.replace(", 2026-05-01", "")):
        file.write_text(text)
        assert sluice("calendar", "load", file).returncode == 0
    assert cluster.rows("control", "SELECT kind, count(*) FROM control.workday_calendar WHERE year = 2026"
                        " GROUP BY kind ORDER BY kind") == [("off", 3), ("work", 1)]
    row = next(line for line in sluice("calendar", "list", "--format", "csv").stdout.splitlines() if line.startswith("2026"))
    assert row.startswith('2026,3,1,"synthetic, for tests"')
    file.write_text(TABLE.replace("2026-01-04", "2026-01-05"))
    for command in ("check", "load"):
        wrong = sluice("calendar", command, file)
        assert wrong.returncode == 1 and ":4:8: 2026-01-05 is no weekend day" in wrong.stderr
    assert sluice("calendar", "check", workspace / "no-such").returncode == 1


def test_an_operator_settles_the_policy(sluice, people):
    shown = sluice("application", "policy", "--authority", "statistics", "--answer-days", 5, "--clock", "completed",
                   "--format", "csv")
    assert shown.stdout.splitlines() == ["authority,answerDays,extensionDays,provideDays,clock",
                                         "statistics,5,10,20,completed"]
    assert sluice("application", "policy", "--authority", "", "--format", "csv").stdout.splitlines()[1].startswith(",5,")
    for wrong in (["--answer-days", 11], ["--provide-days", 21], ["--clock", "never"]):
        assert sluice("application", "policy", *wrong).returncode == 2
    assert sluice("application", "policy", "--authority", "no-such").returncode == 1


def test_masks_applied_for_are_masks_agreed(life, people, consumer, cluster):
    one = life()
    drafted = one.draft(consumer, terms={
        "masks": [one.pb.AgreementMask(field="name", kind="KEEP_FIRST", keep=1)], "networks": ["127.0.0.0/8"],
        "windows": ["00:00-24:00"], "onward_recipient": "the district's clinics"})
    assert [(m.field, m.keep, m.character) for m in drafted.terms.masks] == [("name", 1, "*")]
    one.to("PROVISIONING")
    with pytest.raises(psycopg2.Error, match="not what was agreed"):  # an agreement without them, past the gateway
        cluster.rows("worker", """WITH g AS (INSERT INTO control.agreement (id, consumer_department, consumer_system,
            dataset, owner_department, fields, purposes, modes, valid_from, valid_until, legal_basis, granted_by,
            request_id, digest) SELECT 'agr-' || substr(a.id, 5), requester_department, consumer_system, dataset,
            owner_department, fields, purposes, modes, now(), valid_until, legal_basis, %s, 'r-' || a.id, sha256('')
            FROM control.application AS a WHERE id = %s RETURNING id)
            INSERT INTO control.application_step (application, n, event, actor, department, request_id, agreement)
            SELECT %s, 5, 'ACTIVATE', %s, 'statistics', 'x', g.id FROM g""",
                     (officer("statistics")[0], one.id, one.id, officer("statistics")[0]))
    active = one.step(people.statistics, "Activate")
    agreement = people.statistics.agreements.GetAgreement(one.pb.GetAgreementRequest(id=active.agreement))
    for member in ("masks", "networks", "windows", "onward_recipient"):
        assert getattr(agreement, member) == getattr(drafted.terms, member) == getattr(one.get().terms, member)
    assert "东****".encode() in looked_up(consumer)
    with pytest.raises(psycopg2.Error, match="does not change"):
        cluster.rows("control", "UPDATE control.application SET masks = '{}', version = version + 1 WHERE id = %s",
                     (one.id,))


def test_officers_walk_through_a_life_on_the_command_line(sluice, people, workdays, consumer):
    def step(officer, name, *rest, status=0):
        done = sluice("application", name, *rest, officer=officer)
        assert done.returncode == status, done.stderr
        return done

    drafted = step("health-officer", "request", "--consumer", consumer.name, "--dataset", STREETS, "--fields", "code,name",
                   "--purposes", PURPOSE, "--modes", "lookup", "--days", 30, "--legal-basis", "条例 第二十条",
                   "--scenario", "分诊", "--scope", "一家医院", "--format", "json").stdout
    one = json.loads(drafted)["id"]
    assert "[APPLICATION_OWN]" in step("health-officer", "sign-off", one, status=4).stderr
    assert "不能审批自己的申请" in step("health-officer", "sign-off", one, "--lang", "zh", status=4).stderr
    step("health-second", "sign-off", one, "--reason", "needed")
    assert "workingDaysLeft" in step("health-officer", "submit", one).stdout
    assert step("statistics-officer", "decide", one, "perhaps", status=2)
    assert step("statistics-officer", "decide", one, "refuse", status=2)
    listed = step("statistics-officer", "list", "--in-state", "submitted", "--format", "csv").stdout
    assert any(line.startswith(f"{one},{STREETS},{consumer.name},SUBMITTED,") for line in listed.splitlines())
    step("statistics-officer", "decide", one, "agree")
    step("statistics-officer", "provision", one)
    step("statistics-officer", "activate", one)
    assert looked_up(consumer)
    step("statistics-officer", "suspend", one, "--reason", "wrong use")
    assert not looked_up(consumer)
    step("statistics-officer", "terminate", one, "--reason", "stays so", "--negotiation", "N-1", status=2)
    step("statistics-officer", "terminate", one, "--reason", "stays so", "--negotiation", "N-1", "--filing", "F-1")
    step("statistics-officer", "dispose", one, "--working-days", 3)
    step("health-officer", "confirm-disposal", one, "--certificate", "C-1")
    shown = step("health-officer", "show", one).stdout
    assert re.search(r"step 1\b.* SIGN_OFF spiffe://.*/health/officer/second: needed", shown)
    assert "DISPOSED" in shown and "CONFIRM_DISPOSAL" in shown
    assert step("civil-affairs-officer", "show", "app-222222222222", status=3)


# --- the database, whatever a gateway says ------------------------------------------------------------

WORKER_STEP = ("INSERT INTO control.application_step (application, n, event, actor, department, request_id, note)"
               " VALUES (%s, %s, %s, %s, %s, %s, 'a note')")


def officer(department, name="data-officer"):
    return f"spiffe://sluice.example/dept/{department}/officer/{name}", department


def test_the_database_refuses_every_step_that_is_no_rule(life, people, consumer, cluster):
    """Every event by every party at every state, written past the gateway with the worker's own role."""
    rules = {(event, state): roles for event, state, roles in cluster.rows(
        "control", "SELECT event, state_from, roles FROM control.application_rule")}
    events = sorted({event for event, _ in rules})
    parties = {"APPLICANT": officer("health"), "COLLEAGUE": officer("health", "second"), "OWNER": officer("statistics"),
               "AUTHORITY": officer("civil-affairs"), "CLOCK": ("gateway", "")}
    tried = 0
    for state in ("SIGNED_OFF", "SUBMITTED", "AGREED", "PROVISIONING", "ACTIVE", "SUSPENDED", "TERMINATED",
                  "DISPOSAL_DUE", "DISPOSED"):
        one = life()
        one.draft(consumer)
        version = one.to(state).version
        for event in events:
            for role, (actor, department) in parties.items():
                if role in rules.get((event, state), ()):
                    continue
                with pytest.raises(psycopg2.errors.CheckViolation):
                    cluster.rows("worker", WORKER_STEP, [one.id, version + 1, event, actor, department, f"{event}{role}"])
                tried += 1
        assert one.get().version == version
    assert tried > 600


def test_the_database_lets_nothing_else_be_written(life, people, consumer, cluster):
    one = life()
    one.draft(consumer)
    version = one.to("SUBMITTED").version
    for statement in ("UPDATE control.application SET state = 'ACTIVE'", "DELETE FROM control.application",
                      "UPDATE control.application_step SET note = ''", "DELETE FROM control.application_step",
                      "UPDATE control.application_policy SET provide_days = 1",
                      "INSERT INTO control.application (state) VALUES ('ACTIVE')",
                      "INSERT INTO control.application_rule VALUES ('AGREE', 'DRAFT', 'AGREED', '{APPLICANT}')"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cluster.rows("worker", statement)
    stale = WORKER_STEP.replace("'a note'", "''")
    with pytest.raises(psycopg2.errors.SerializationFailure):
        cluster.rows("worker", WORKER_STEP, [one.id, version, "AGREE", *officer("statistics"), "late"])
    with pytest.raises(psycopg2.errors.CheckViolation):
        cluster.rows("worker", stale, [one.id, version + 1, "REFUSE", *officer("statistics"), "no reason"])
    with pytest.raises(psycopg2.errors.CheckViolation):
        cluster.rows("worker", WORKER_STEP, [one.id, version + 1, "AGREE", *officer("statistics", "nobody"), "stranger"])
    # Even the owner of the tables moves an application by its rules only, and leaves its terms.
    for change in ("state = 'ACTIVE', version = version + 1", "dataset = 'x'", "state = 'AGREED'",
                   "fields = '{id}', version = version + 1, state = 'AGREED'"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            cluster.rows("control", f"UPDATE control.application SET {change} WHERE id = %s", [one.id])


def test_an_agreement_that_says_more_than_was_agreed_is_refused(life, people, consumer, cluster):
    one = life()
    one.draft(consumer)
    version = one.to("PROVISIONING").version
    wider = people.statistics.grant(consumer.name, STREETS, ["code", "name", "town_code"], modes=["LOOKUP"])
    with pytest.raises(psycopg2.errors.CheckViolation, match="not what was agreed"):
        cluster.rows("worker", WORKER_STEP.replace("note)", "note, agreement)").replace("'a note'", "'', %s"),
                     [one.id, version + 1, "ACTIVATE", *officer("statistics"), "wider", wider.id])
