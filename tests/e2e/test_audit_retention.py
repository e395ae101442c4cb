"""How long the log is kept: legal floors, legal holds, erasing a salt by two officers. One control database of its
own, in which entries of years ago are appended as another gateway would, and then made as old as they say."""

import json
import uuid
from types import SimpleNamespace

import psycopg2
import pytest

from harness import BUILD, run, wait_for
from old_log import NUMBER, ORIGIN, append, as_owner, old_house, without_triggers

REASON = "当事人要求删除 case 9"


@pytest.fixture(scope="module")
def house(workspace, pki, stubs, databases):
    with old_house(workspace / "retention", pki, stubs, databases) as made:
        yield made


def salt_of(house, index):
    return as_owner(house, "SELECT 1 FROM audit.salt s JOIN audit.entry e ON e.id = s.entry_id WHERE e.index = %s", [index])


def persons_of(house, index):
    return as_owner(house, "SELECT count(*) FROM audit.person WHERE index = %s", [index])[0][0]


def request(house, peer, index, reason=REASON):
    return peer.audit.RequestErasure(house.stubs.audit.RequestErasureRequest(index=index, reason=reason), timeout=5)


def approve(house, peer, erasure):
    return peer.audit.ApproveErasure(house.stubs.audit.ApproveErasureRequest(id=erasure.id), timeout=5)


def refused(peer, call):
    failure = peer.failure(call)
    return failure.code.name, failure.reason


def log_entries(house, above):
    return [house.types.FromString(bytes(leaf)) for leaf, in as_owner(
        house, "SELECT leaf FROM audit.entry WHERE index > %s ORDER BY index", [above])]


# --- erasure --------------------------------------------------------------------------------------------

def test_two_officers_erase_what_one_cannot(house):
    index = append(house)
    state = house.stubs.audit.Erasure
    found = house.stubs.audit.SearchAuditRequest(person=NUMBER, agreement="agr-old")
    assert index in {one.index for one in house.first.audit.Search(found, timeout=5).records}
    before = as_owner(house, "SELECT max(index) FROM audit.entry")[0][0]
    erasure = request(house, house.first, index)
    assert (erasure.index, erasure.state, erasure.department) == (index, state.REQUESTED, "statistics")
    assert salt_of(house, index)
    assert refused(house.first, lambda: approve(house, house.first, erasure)) == ("PERMISSION_DENIED", "SAME_OFFICER")
    assert refused(house.health, lambda: approve(house, house.health, erasure)) == ("NOT_FOUND", "ERASURE_NOT_FOUND")
    assert salt_of(house, index) and persons_of(house, index) == 1

    done = approve(house, house.second, erasure)
    assert done.state == state.ERASED and done.approved_by != done.requested_by
    assert not salt_of(house, index) and persons_of(house, index) == 0
    assert index not in {one.index for one in house.first.audit.Search(found, timeout=5).records}
    opening = house.stubs.audit.RequestOpeningRequest(index=index, reason="too late")
    assert refused(house.first, lambda: house.first.audit.RequestOpening(opening, timeout=5)) == (
        "FAILED_PRECONDITION", "SALT_ABSENT")
    assert refused(house.first, lambda: request(house, house.first, index)) == ("FAILED_PRECONDITION", "SALT_ABSENT")
    assert refused(house.second, lambda: approve(house, house.second, erasure)) == ("FAILED_PRECONDITION", "ERASURE_OVER")
    listed = house.second.audit.ListErasures(house.stubs.audit.ListErasuresRequest(page_size=1), timeout=5)
    assert [one.id for one in listed.erasures] == [erasure.id]
    assert not house.health.audit.ListErasures(house.stubs.audit.ListErasuresRequest(), timeout=5).erasures

    steps = [one for one in log_entries(house, before) if f"erasure {erasure.id}" in one.what.object]
    told = [(one.what.method.rsplit("/")[-1], one.kind, one.decision.outcome) for one in steps]
    types = house.types
    assert told == [("RequestErasure", types.REVIEW, types.ALLOWED), ("ApproveErasure", types.REVIEW, types.REFUSED),
                    ("ApproveErasure", types.REVIEW, types.REFUSED), ("ApproveErasure", types.REVIEW, types.ALLOWED),
                    ("ApproveErasure", types.REVIEW, types.REFUSED)]
    assert steps[0].why.purpose == REASON and str(index) in steps[0].what.object


def test_proofs_stay_whole_when_a_salt_is_gone(house, tmp_path):
    index = append(house, count=3)
    proof = house.stubs.audit.GetInclusionProofRequest(index=index + 1)
    wait_for(lambda: not house.sluice("audit", "checkpoint").returncode, 5, "a checkpoint")
    assert house.first.audit.GetInclusionProof(proof, timeout=10)
    approve(house, house.second, request(house, house.first, index + 1))
    assert house.first.audit.GetInclusionProof(proof, timeout=10)
    policy = tmp_path / "policy.txt"
    policy.write_text(run(BUILD / "sluice", "audit", "policy", house.pki.path("audit-signing.key"), "--origin", ORIGIN))
    done = house.sluice("audit", "export", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    done = house.sluice("audit", "verify", tmp_path / "out", "--policy", policy, "--format", "json")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("what, code", [
    (dict(days=1095), "RETENTION_FLOOR"), (dict(days=1097), None),
    (dict(days=1097, committed_days=1095), "RETENTION_FLOOR"),  # its gateway's clock was wrong, or lied
    (dict(days=182, outcome=2), "RETENTION_FLOOR"), (dict(days=184, outcome=2), None),  # nothing was provided
    (dict(salted=False), "SALT_ABSENT")])
def test_a_salt_is_kept_as_long_as_the_law_asks(house, what, code):
    index = append(house, **what)
    if code is None:
        approve(house, house.second, request(house, house.first, index))
        assert not salt_of(house, index)
    else:
        assert refused(house.first, lambda: request(house, house.first, index)) == ("FAILED_PRECONDITION", code)


def test_who_may_ask_for_what(house):
    index = append(house)
    unowned = append(house, owner="", department="health")
    for peer, call, answer in [
            (house.first, lambda: request(house, house.first, index, reason=""), ("INVALID_ARGUMENT", "REASON")),
            (house.first, lambda: request(house, house.first, index, "x" * 513), ("INVALID_ARGUMENT", "REASON")),
            (house.health, lambda: request(house, house.health, index), ("PERMISSION_DENIED", "NOT_OWNER")),
            (house.first, lambda: request(house, house.first, unowned), ("NOT_FOUND", "ENTRY_NOT_FOUND")),
            (house.first, lambda: request(house, house.first, 2**40), ("NOT_FOUND", "ENTRY_NOT_FOUND")),
            (house.first, lambda: approve(house, house.first, SimpleNamespace(id="x")),
             ("INVALID_ARGUMENT", "ERASURE_ID"))]:
        assert refused(peer, call) == answer
    assert salt_of(house, index)
    assert request(house, house.health, unowned).department == "health"


def test_the_database_keeps_the_rules_too(house):
    """A worker that lies, an auditor that lies, and the tables' owner."""
    index, young = append(house), append(house, days=10)
    erasure = request(house, house.first, index)
    worker = house.cluster
    for officer, department in ((erasure.requested_by, "statistics"), ("somebody", "health")):
        assert worker.rows("worker", "SELECT audit.approve_erasure(%s, %s, %s)", [erasure.id, department, officer]) == [
            ("ERASURE_OVER",)]
    assert worker.rows("worker", "SELECT audit.request_erasure(%s, %s, 'statistics', 'a', 'b', 7)",
                       [str(uuid.uuid4()), young]) == [("RETENTION_FLOOR",)]
    for role in ("worker", "auditor"):
        for statement in ("DELETE FROM audit.salt", "DELETE FROM audit.person", "DELETE FROM audit.entry",
                          "DELETE FROM audit.hold", "UPDATE audit.minimum SET index = 1024", "DELETE FROM audit.batch",
                          "SELECT audit.prune('\\x00')", "UPDATE audit.retention SET days = 1096",
                          "INSERT INTO audit.archive VALUES (sha256(''), 0, 1024, 1024, 'x')",
                          "INSERT INTO audit.batch VALUES (gen_random_uuid(), 0, 1, '2000-01-01')"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                worker.rows(role, statement)
    salt = "DELETE FROM audit.salt s USING audit.entry e WHERE e.id = s.entry_id AND e.index = %s"
    for statement, values in [
            (salt, [index]), ("DELETE FROM audit.person WHERE index = %s", [index]), ("TRUNCATE audit.salt", []),
            ("UPDATE audit.salt SET wrapped = ''", []), ("DELETE FROM audit.entry WHERE index = %s", [index]),
            ("DELETE FROM audit.entry_id WHERE index = %s", [index]), ("DELETE FROM audit.batch", []),
            ("UPDATE audit.minimum SET index = 1024", []), ("DELETE FROM audit.erasure", []),
            ("UPDATE audit.erasure SET expires_at = now() + interval '1 year' WHERE id = %s", [erasure.id]),
            ("INSERT INTO audit.erasure SELECT gen_random_uuid(), index, entry_id, dataset, department, reason, 'a', "
             "now(), 'b', now(), now() FROM audit.erasure WHERE id = %s", [erasure.id]),
            ("DELETE FROM audit.retention", [])]:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_owner(house, statement, values)
    for statement in ("UPDATE audit.erasure SET approved_by = requested_by, approved_at = now() WHERE id = %s",
                      "UPDATE audit.retention SET days = 1095 WHERE class = 'usage' AND %s IS NOT NULL",
                      "UPDATE audit.retention SET days = 182 WHERE class = 'network' AND %s IS NOT NULL"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            as_owner(house, statement, [erasure.id])
    assert salt_of(house, index)


def test_requests_expire(house):
    index = append(house)
    erasure = request(house, house.first, index)
    assert (erasure.expire_time.seconds - erasure.request_time.seconds) == 7 * 86400
    without_triggers(house, "erasure", "UPDATE audit.erasure SET expires_at = now() - interval '1 second' WHERE id = %s",
                     [erasure.id])
    assert refused(house.second, lambda: approve(house, house.second, erasure)) == (
        "FAILED_PRECONDITION", "ERASURE_EXPIRED")
    assert salt_of(house, index)


# --- floors ---------------------------------------------------------------------------------------------

def kept(house):
    return dict(as_owner(house, "SELECT class, days FROM audit.retention"))


def test_configuration_only_makes_it_longer(house):
    """What the configuration asks for reaches the database, where it is the rule for everybody."""
    assert kept(house) == {"usage": 1096, "network": 183}
    index = append(house, days=1200)
    try:
        house.gateway.change(audit={"usage_days": 1300})
        house.gateway.reload()
        wait_for(lambda: kept(house)["usage"] == 1300, 20, "the longer term to reach the database")
        assert refused(house.first, lambda: request(house, house.first, index)) == (
            "FAILED_PRECONDITION", "RETENTION_FLOOR")
        assert house.cluster.rows("worker", "SELECT audit.keep_longer(1096, 183)") and kept(house)["usage"] == 1300
    finally:
        house.gateway.change(audit={"usage_days": 1096})
        as_owner(house, "UPDATE audit.retention SET days = 1096 WHERE class = 'usage'")
    text = house.gateway.config_file.read_text()
    line = next(n for n, text_line in enumerate(text.splitlines(), 1) if '"usage_days"' in text_line)
    short = house.gateway.folder / "short.yaml"
    short.write_text(text.replace('"usage_days": 1096', '"usage_days": 1095'))
    done = house.sluice("config", "check", short)
    assert done.returncode != 0 and f":{line}:" in done.stderr + done.stdout and "1096" in done.stderr + done.stdout


# --- holds ----------------------------------------------------------------------------------------------

def place(house, peer, reason=REASON, **scope):
    return peer.audit.PlaceHold(house.stubs.audit.PlaceHoldRequest(
        scope=house.stubs.audit.HoldScope(**scope), reason=reason), timeout=5)


def lift(house, hold, by=None, then=None):
    (by or house.first).audit.RequestLift(
        house.stubs.audit.RequestLiftRequest(id=hold.id, reason="case closed"), timeout=5)
    return (then or house.second).audit.ApproveLift(house.stubs.audit.ApproveLiftRequest(id=hold.id), timeout=5)


def test_what_a_hold_covers(house):
    """Each member of the scope: what meets it is held, what does not is not."""
    exchange = uuid.uuid4()
    index = append(house, dataset="statistics/held", agreement="agr-held", exchange=exchange.bytes)
    moment = as_owner(house, "SELECT time_us FROM audit.entry WHERE index = %s", [index])[0][0]

    def when(us):
        return dict(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1000)
    for scope, held in [
            (dict(dataset="statistics/held"), True), (dict(dataset="statistics/other"), False),
            (dict(agreement="agr-held"), True), (dict(agreement="agr-other"), False),
            (dict(exchange_id=str(exchange)), True), (dict(exchange_id=str(uuid.uuid4())), False),
            (dict(department="health"), True), (dict(department="statistics"), True),
            (dict(department="civil-affairs"), False),
            (dict(index_from=index), True), (dict(index_from=index + 1), False),
            (dict(index_to=index + 1), True), (dict(index_to=index), False),
            (dict(time_from=when(moment)), True), (dict(time_from=when(moment + 1)), False),
            (dict(time_to=when(moment + 1)), True), (dict(time_to=when(moment)), False),
            (dict(dataset="statistics/held", agreement="agr-other"), False)]:
        hold = place(house, house.first, **scope)
        over = as_owner(house, "SELECT audit.hold_over(%s, %s)", [index, index + 1])[0][0]
        assert (over == hold.id) == held, scope
        lift(house, hold)
        assert as_owner(house, "SELECT audit.hold_over(%s, %s)", [index, index + 1]) == [(None,)]


def test_a_hold_stops_an_erasure_until_two_officers_lift_it(house):
    index = append(house)
    erasure = request(house, house.first, index)
    before = as_owner(house, "SELECT max(index) FROM audit.entry")[0][0]
    hold = place(house, house.health, index_from=index, index_to=index + 1)  # the other department that is concerned
    state = house.stubs.audit.Hold
    assert (hold.state, hold.department, hold.reason) == (state.STANDING, "health", REASON)
    for call in (lambda: approve(house, house.second, erasure), lambda: request(house, house.first, index)):
        assert refused(house.second, call) == ("FAILED_PRECONDITION", "LEGAL_HOLD")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_owner(house, "UPDATE audit.erasure SET approved_by = 'x', approved_at = now() WHERE id = %s", [erasure.id])
    ask = house.stubs.audit.RequestLiftRequest(id=hold.id, reason="case closed")
    yes = house.stubs.audit.ApproveLiftRequest(id=hold.id)
    assert refused(house.first, lambda: house.first.audit.RequestLift(ask, timeout=5)) == ("NOT_FOUND", "HOLD_NOT_FOUND")
    assert refused(house.health, lambda: house.health.audit.ApproveLift(yes, timeout=5)) == (
        "FAILED_PRECONDITION", "LIFT_NOT_REQUESTED")
    assert house.health.audit.RequestLift(ask, timeout=5).state == state.LIFT_REQUESTED
    assert refused(house.health, lambda: house.health.audit.ApproveLift(yes, timeout=5)) == (
        "PERMISSION_DENIED", "SAME_OFFICER")
    uri = hold.placed_by
    assert house.cluster.rows("worker", "SELECT audit.lift_hold(%s, 'health', %s)", [hold.id, uri]) == [(False,)]
    assert house.cluster.rows("worker", "SELECT audit.lift_hold(%s, 'statistics', 'x')", [hold.id]) == [(False,)]
    for statement in ("UPDATE audit.hold SET index_to = 1 WHERE id = %s", "DELETE FROM audit.hold WHERE id = %s",
                      "UPDATE audit.hold SET lift_requested_by = 'x', lifted_by = 'y', lifted_at = now() WHERE id = %s"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_owner(house, statement, [hold.id])
    with pytest.raises(psycopg2.errors.CheckViolation):
        as_owner(house, "UPDATE audit.hold SET lifted_by = lift_requested_by, lifted_at = now() WHERE id = %s", [hold.id])
    assert refused(house.second, lambda: approve(house, house.second, erasure)) == ("FAILED_PRECONDITION", "LEGAL_HOLD")
    assert house.cluster.rows("worker", "SELECT audit.lift_hold(%s, 'health', 'another')", [hold.id]) == [(True,)]
    assert refused(house.health, lambda: house.health.audit.RequestLift(ask, timeout=5)) == (
        "FAILED_PRECONDITION", "HOLD_LIFTED")
    approve(house, house.second, erasure)
    steps = [(one.what.method.rsplit("/")[-1], one.decision.outcome) for one in log_entries(house, before)
             if f"hold {hold.id}" in one.what.object and one.who.department == "health"]
    types = house.types
    assert steps == [("PlaceHold", types.ALLOWED), ("ApproveLift", types.REFUSED), ("RequestLift", types.ALLOWED),
                     ("ApproveLift", types.REFUSED), ("RequestLift", types.REFUSED)]


def test_scopes_that_hold_nothing_are_refused(house):
    for scope, reason, code in [
            ({}, REASON, "HOLD_SCOPE"), (dict(dataset="statistics/streets"), "", "REASON"),
            (dict(index_from=-1), REASON, "HOLD_SCOPE"), (dict(index_from=5, index_to=5), REASON, "HOLD_SCOPE"),
            (dict(exchange_id="x"), REASON, "HOLD_SCOPE"),
            (dict(time_from=dict(seconds=9), time_to=dict(seconds=9)), REASON, "HOLD_SCOPE")]:
        assert refused(house.first, lambda: place(house, house.first, reason, **scope)) == ("INVALID_ARGUMENT", code)


def test_the_commands(house):
    index = append(house)

    def good(*arguments, officer="statistics-officer"):
        done = house.sluice("audit", *arguments, officer=officer)
        assert done.returncode == 0, done.stderr
        return done
    done = good("hold", "place", "--index", f"{index}-{index}", "--dataset", "statistics/streets", "--from", "2000-01-01",
                "--to", "2099-01-01", "--reason", REASON, "--format", "json")
    hold = json.loads(done.stdout)
    assert hold["scope"]["indexTo"] == str(index + 1)
    listed = good("hold", "list").stdout
    assert hold["id"] in listed and "dataset=statistics/streets" in listed
    done = house.sluice("audit", "erasure", "request", index, "--reason", REASON)
    assert done.returncode not in (0, 2) and "legal hold" in done.stderr
    assert hold["id"] in good("hold", "lift", hold["id"], "--reason", "closed").stderr  # what to do next
    good("hold", "approve", hold["id"], officer="statistics-second")
    erasure = json.loads(good("erasure", "request", index, "--reason", REASON, "--format", "json").stdout)
    assert erasure["id"] in good("erasure", "list", "--lang", "zh").stdout
    assert "ERASED" in good("erasure", "approve", erasure["id"], officer="statistics-second").stdout
    for wrong in (("hold", "place", "--dataset", "x"), ("hold", "place", "--index", "9-x", "--reason", "x"), ("hold", "lift"),
                  ("hold", "list", "x"), ("erasure", "request", "1"), ("erasure", "approve"), ("erasure", "x", "1")):
        assert house.sluice("audit", *wrong).returncode == 2, wrong
