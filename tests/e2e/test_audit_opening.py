"""An entry's salt is opened by two officers, never by one; then evidence proves what was asked and answered."""

import hmac
import io
import json
import zipfile

import grpc
import psycopg2
import pytest

from audit_log import AuditLog
from clients import unique
from conftest import STREETS
from harness import BUILD, run, wait_for

ORIGIN = "sluice.example/audit/test"
KEY = "110101001"
REASON = "复核 court order 17"


@pytest.fixture
def audit(cluster, stubs):
    return AuditLog(cluster, stubs)


@pytest.fixture
def second(cluster, pki, connect, officers, stubs):
    """Another officer of the statistics department."""
    name = unique("reviewer")
    run(BUILD / "sluice", "officer", "add", f"statistics/{name}", "--database", cluster.conninfo["control"])
    certificate = pki.issue(f"statistics-{name}", f"spiffe://sluice.example/dept/statistics/officer/{name}")
    peer = connect(certificate, "officers")

    def known():
        try:
            return peer.audit.ListFilters(stubs.audit.ListFiltersRequest(), timeout=5) is not None
        except grpc.RpcError:
            return False
    wait_for(known, 5, "the new officer to be known")
    return peer


@pytest.fixture
def entry(consumer, grant, audit):
    """(index, entry) of a lookup of this test's consumer."""
    grant(STREETS)
    consumer.peer.lookup(STREETS, KEY)
    index, = [i for i, one in enumerate(audit.entries()) if one.who.subject == consumer.uri]
    return index, audit.entries()[index]


def request(peer, stubs, index, reason=REASON, **rest):
    return peer.audit.RequestOpening(stubs.audit.RequestOpeningRequest(index=index, reason=reason, **rest), timeout=5)


def approve(peer, stubs, opening):
    return peer.audit.ApproveOpening(stubs.audit.ApproveOpeningRequest(id=opening.id), timeout=5)


def evidence(peer, stubs, index):
    chunks = peer.audit.ExportEvidence(stubs.audit.ExportEvidenceRequest(index=index), timeout=20)
    return zipfile.ZipFile(io.BytesIO(b"".join(chunk.data for chunk in chunks)))


def salt_in(bundle):
    if "opened/salt.json" not in bundle.namelist():
        return None
    return bytes.fromhex(json.loads(bundle.read("opened/salt.json"))["salt"])


def test_two_officers_open_what_one_cannot(officers, second, entry, audit, stubs):
    index, logged = entry
    first = officers["statistics"]
    state = stubs.audit.Opening
    assert salt_in(evidence(first, stubs, index)) is None
    opening = request(first, stubs, index)
    assert (opening.index, opening.state, opening.reason) == (index, state.REQUESTED, REASON)
    assert opening.approver_department == "statistics" and opening.dataset == STREETS
    assert salt_in(evidence(first, stubs, index)) is None
    failure = first.failure(lambda: approve(first, stubs, opening))
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SAME_OFFICER")
    assert salt_in(evidence(first, stubs, index)) is None

    approved = approve(second, stubs, opening)
    assert approved.state == state.APPROVED and approved.approved_by != approved.requested_by
    for peer in (first, second):
        bundle = evidence(peer, stubs, index)
        salt = salt_in(bundle)
        assert hmac.digest(salt, b"filter\0" + KEY.encode(), "sha256") == logged.what.filter_digest
        told = json.loads(bundle.read("opened/salt.json"))
        assert (told["opening"], told["requested_by"], told["approved_by"], told["reason"]) == (
            opening.id, approved.requested_by, approved.approved_by, REASON)
    assert salt_in(evidence(officers["health"], stubs, index)) is None  # sees the entry, opened nothing
    failure = second.failure(lambda: approve(second, stubs, opening))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OPENING_APPROVED")


def test_each_step_is_an_entry(officers, second, entry, audit, stubs):
    index, _ = entry
    before = audit.size()
    opening = request(officers["statistics"], stubs, index)
    officers["statistics"].failure(lambda: approve(officers["statistics"], stubs, opening))
    approve(second, stubs, opening)
    evidence(second, stubs, index)
    types = stubs.audit_entry.AuditEntry
    steps = [one for one in audit.entries(above=before - 1) if opening.id in one.what.object]
    told = [(one.what.method.rsplit("/")[-1], one.kind, one.decision.outcome) for one in steps]
    assert told == [("RequestOpening", types.REVIEW, types.ALLOWED), ("ApproveOpening", types.REVIEW, types.REFUSED),
                    ("ApproveOpening", types.REVIEW, types.ALLOWED),
                    ("ExportEvidence", types.OFFICER_QUERY, types.ALLOWED)]
    assert steps[0].why.purpose == REASON and str(index) in steps[0].what.object
    assert steps[1].decision.reason == "SAME_OFFICER"


def test_the_owner_approves_what_the_consumer_asks_for(officers, second, entry, stubs):
    index, _ = entry
    opening = request(officers["health"], stubs, index)
    failure = officers["civil-affairs"].failure(lambda: approve(officers["civil-affairs"], stubs, opening))
    assert failure.code == grpc.StatusCode.NOT_FOUND
    own = request(officers["statistics"], stubs, index)
    failure = officers["health"].failure(lambda: approve(officers["health"], stubs, own))
    assert failure.code == grpc.StatusCode.NOT_FOUND  # concerns statistics only
    approve(second, stubs, opening)
    assert salt_in(evidence(officers["health"], stubs, index))
    assert salt_in(evidence(officers["statistics"], stubs, index)) is None


def test_what_cannot_be_opened(officers, entry, audit, stubs):
    index, _ = entry
    peer = officers["statistics"]
    unsalted = next(i for i, one in enumerate(audit.entries()) if one.who.department == "statistics"
                    and one.kind == stubs.audit_entry.AuditEntry.OFFICER_QUERY)
    for call, code, reason in [
            (lambda: request(peer, stubs, index, reason=""), "INVALID_ARGUMENT", "REASON"),
            (lambda: request(peer, stubs, index, reason="x" * 513), "INVALID_ARGUMENT", "REASON"),
            (lambda: request(officers["civil-affairs"], stubs, index), "NOT_FOUND", "ENTRY_NOT_FOUND"),
            (lambda: request(peer, stubs, 2**40), "NOT_FOUND", "ENTRY_NOT_FOUND"),
            (lambda: request(peer, stubs, unsalted), "FAILED_PRECONDITION", "SALT_ABSENT"),
            (lambda: approve(peer, stubs, stubs.audit.Opening(id="x")), "INVALID_ARGUMENT", "OPENING_ID")]:
        failure = peer.failure(call)
        assert (failure.code.name, failure.reason) == (code, reason)


def as_owner(cluster, statement, values=()):
    with cluster.connect("control") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
    connection.close()


def test_the_database_keeps_the_rule_too(cluster, officers, second, entry, stubs):
    """A worker that lies, and the tables' owner, cannot make one officer two."""
    index, _ = entry
    opening = request(officers["statistics"], stubs, index)
    uri = opening.requested_by
    assert cluster.rows("worker", "SELECT audit.approve_opening(%s, 'statistics', %s, 7)", [opening.id, uri]) == [(False,)]
    assert cluster.rows("worker", "SELECT audit.approve_opening(%s, 'health', 'x', 7)", [opening.id]) == [(False,)]
    assert cluster.rows("worker", "SELECT * FROM audit.opened_salt(%s, NULL, %s)", [index, uri]) == []
    for statement in ("SELECT * FROM audit.salt", "UPDATE audit.opening SET reason = 'x'",
                      "DELETE FROM audit.opening", "INSERT INTO audit.opening SELECT * FROM audit.opening"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cluster.rows("worker", statement)
    with pytest.raises(psycopg2.errors.CheckViolation):
        as_owner(cluster, "UPDATE audit.opening SET approved_by = requested_by, approved_at = now() WHERE id = %s",
                 [opening.id])
    approve(second, stubs, opening)
    for statement in ("UPDATE audit.opening SET expires_at = now() + interval '1 year' WHERE id = %s",
                      "UPDATE audit.opening SET requested_by = 'x' WHERE id = %s", "DELETE FROM audit.opening WHERE id = %s"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_owner(cluster, statement, [opening.id])


def expire(cluster, opening):
    """Time passes, which nothing but a superuser with the trigger off can do here."""
    as_owner(cluster, "ALTER TABLE audit.opening DISABLE TRIGGER opening_once; UPDATE audit.opening SET expires_at = "
                      "now() - interval '1 second' WHERE id = %s; ALTER TABLE audit.opening ENABLE TRIGGER opening_once",
             [opening.id])


def test_requests_and_approvals_expire(cluster, officers, second, entry, stubs):
    index, _ = entry
    first = officers["statistics"]
    opening = request(first, stubs, index)
    days = (opening.expire_time.seconds - opening.request_time.seconds) / 86400
    assert days == 7
    expire(cluster, opening)
    failure = second.failure(lambda: approve(second, stubs, opening))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OPENING_EXPIRED")
    opening = request(first, stubs, index)
    approve(second, stubs, opening)
    assert salt_in(evidence(first, stubs, index))
    expire(cluster, opening)
    assert salt_in(evidence(first, stubs, index)) is None
    listed = first.audit.ListOpenings(stubs.audit.ListOpeningsRequest(page_size=2), timeout=5)
    assert [one.state for one in listed.openings] == [stubs.audit.Opening.EXPIRED] * 2
    rest = first.audit.ListOpenings(stubs.audit.ListOpeningsRequest(page_token=listed.next_page_token), timeout=5)
    assert not {one.id for one in rest.openings} & {one.id for one in listed.openings}
    seen = officers["health"].audit.ListOpenings(stubs.audit.ListOpeningsRequest(page_size=500), timeout=5).openings
    assert opening.id not in {one.id for one in seen}


def test_an_erased_salt_cannot_be_opened(cluster, officers, second, entry, stubs):
    index, logged = entry
    opening = request(officers["statistics"], stubs, index)
    approve(second, stubs, opening)
    # The real way takes years: test_audit_retention.py.
    as_owner(cluster, "ALTER TABLE audit.salt DISABLE TRIGGER goes; DELETE FROM audit.salt WHERE entry_id = "
                      "encode(%s, 'hex')::uuid; ALTER TABLE audit.salt ENABLE TRIGGER goes", [psycopg2.Binary(logged.id)])
    assert salt_in(evidence(second, stubs, index)) is None
    failure = second.failure(lambda: request(second, stubs, index))
    assert failure.reason == "SALT_ABSENT"


def test_what_the_salt_opens_is_verified(officers, second, entry, stubs, pki, sluice, tmp_path):
    """The command, then the bundle with the key of the call added: right and wrong."""
    index, _ = entry
    done = sluice("audit", "opening", "request", index, "--reason", REASON, "--format", "json",
                  officer="statistics-officer")
    assert done.returncode == 0, done.stderr
    opening = json.loads(done.stdout)
    assert opening["id"] in done.stderr  # what to do next
    assert sluice("audit", "opening", "approve", opening["id"], officer="statistics-officer").returncode == 4
    done = sluice("audit", "opening", "approve", opening["id"], officer=second.certificate)
    assert done.returncode == 0 and "APPROVED" in done.stdout
    assert opening["id"] in sluice("audit", "opening", "list", officer=second.certificate).stdout
    for wrong in (("request", str(index)), ("list", "x"), ("approve",), ("close", "x")):
        assert sluice("audit", "opening", *wrong, officer="statistics-officer").returncode == 2

    bundle = tmp_path / "evidence.zip"
    done = sluice("audit", "evidence", index, "--out", bundle, officer="statistics-officer")
    assert done.returncode == 0, done.stderr
    policy = tmp_path / "policy.txt"
    policy.write_text(run(BUILD / "sluice", "audit", "policy", pki.path("audit-signing.key"), "--origin", ORIGIN))

    def verify():
        done = sluice("audit", "verify", bundle, "--policy", policy, "--format", "json")
        return done.returncode, json.loads(done.stdout)

    def add(name, data):
        with zipfile.ZipFile(bundle, "a") as out:
            out.writestr(name, data)

    assert verify()[0] == 0
    add("opened/filter.txt", KEY)
    assert verify()[0] == 0
    add("opened/answer.bin", b"not the answer")
    status, report = verify()
    assert status == 1 and "opened/answer.bin" in json.dumps(report) and "filter.txt" not in json.dumps(report)
