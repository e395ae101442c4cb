"""Every call, allowed or not, leaves exactly one decision entry, and the log proves itself."""

import base64

import grpc
import psycopg2
import pytest

from audit_log import AuditLog, leaf_hash, parse_note, root
from clients import unique
from conftest import RESIDENTS, STREETS
from harness import wait_for

KEY = "110101001"


@pytest.fixture
def audit(cluster, stubs):
    return AuditLog(cluster, stubs)


@pytest.fixture
def outcome(stubs):
    return stubs.audit_entry.AuditEntry


def one(entries):
    assert len(entries) == 1, entries
    return entries[0]


def test_an_allowed_lookup_leaves_one_complete_entry(consumer, grant, audit, outcome, pki):
    agreement = grant(STREETS)
    request_id = unique("req")
    answer = consumer.peer.lookup(STREETS, KEY, agreement=agreement.id, request_id=request_id)
    entry = one(audit.decisions(request_id=request_id))
    assert entry.decision.outcome == outcome.ALLOWED
    assert entry.who.subject == consumer.uri
    assert entry.who.department == "health"
    assert len(entry.who.credential) == 32
    assert entry.why.purpose == "medical-triage"
    assert entry.why.agreement == agreement.id
    assert entry.why.agreement_digest.hex() == agreement.digest
    assert entry.what.method == "/sluice.v1.ExchangeService/Lookup"
    assert (entry.what.dataset, entry.what.owner) == (STREETS, "statistics")
    assert len(entry.what.schema_digest) == 32
    assert entry.rows.count == 1
    assert entry.rows.form == outcome.Rows.ROW
    assert entry.exchange_id.hex() == answer.exchange_id.replace("-", "")


@pytest.mark.parametrize("arguments, status", [
    ({"purpose": "marketing"}, grpc.StatusCode.PERMISSION_DENIED),
    ({"key": "110101099"}, grpc.StatusCode.NOT_FOUND),
    ({"key": "no key"}, grpc.StatusCode.INVALID_ARGUMENT),
    ({"fields": ["no_such_field"]}, grpc.StatusCode.INVALID_ARGUMENT),
    ({"dataset": "statistics/no-such"}, grpc.StatusCode.NOT_FOUND),
])
def test_a_call_that_is_not_answered_leaves_one_entry_too(consumer, grant, audit, arguments, status):
    grant(STREETS)
    request_id = unique("req")
    arguments = {"dataset": STREETS, "key": KEY, "request_id": request_id, **arguments}
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(**arguments))
    assert failure.code == status
    entry = one(audit.decisions(request_id=request_id))
    assert entry.decision.status == failure.code.value[0]
    assert entry.rows.count == 0


def test_a_denied_call_names_its_rule_and_reason(consumer, grant, audit, outcome):
    grant(STREETS)
    request_id = unique("req")
    failure = consumer.peer.failure(
        lambda: consumer.peer.lookup(STREETS, KEY, purpose="marketing", request_id=request_id))
    entry = one(audit.decisions(request_id=request_id))
    assert entry.decision.outcome == outcome.REFUSED
    assert entry.decision.reason == failure.reason
    assert entry.decision.rule


def test_a_stream_leaves_a_decision_before_and_a_delivery_after(consumer, grant, audit, outcome):
    grant(STREETS)
    request_id = unique("req")
    rows = sum(len(batch.records) for batch in consumer.peer.query(STREETS, request_id=request_id))
    entries = audit.entries(request_id=request_id)
    assert [entry.kind for entry in entries] == [outcome.DECISION, outcome.DELIVERY]
    assert entries[0].exchange_id == entries[1].exchange_id
    assert entries[1].rows.count == rows
    assert entries[1].rows.form == outcome.Rows.BATCH
    assert entries[1].decision.outcome == outcome.ALLOWED


def test_a_cancelled_stream_says_so(consumer, grant, audit, outcome, villages):
    grant("statistics/villages")
    request_id = unique("req")
    stream = consumer.peer.query("statistics/villages", request_id=request_id)
    next(stream)
    stream.cancel()
    entries = wait_for(lambda: (lambda found: found if len(found) == 2 else None)(
        audit.entries(request_id=request_id)), 5, "the delivery entry")
    assert entries[1].kind == outcome.DELIVERY
    assert entries[1].decision.outcome == outcome.CANCELLED


def test_a_batch_lookup_counts_what_it_released(consumer, grant, audit):
    grant(STREETS)
    request_id = unique("req")
    consumer.peer.batch_lookup(STREETS, [KEY, "110101099", "110101002"], request_id=request_id)
    assert one(audit.decisions(request_id=request_id)).rows.count == 2


def test_granting_and_revoking_are_entries(consumer, grant, officers, audit, outcome):
    agreement = grant(STREETS)
    officers["statistics"].revoke(agreement.id)
    changes = [entry for entry in audit.entries() if entry.kind == outcome.POLICY_CHANGE
               and entry.what.object == agreement.id]
    assert len(changes) == 2
    assert all(entry.who.subject.endswith("/officer/data-officer") for entry in changes)


def test_reading_the_log_is_an_entry(officers, audit, outcome, stubs):
    before = audit.size()
    officers["statistics"].audit.Search(stubs.audit.SearchAuditRequest(page_size=1), timeout=5)
    after = audit.entries(above=before - 1)
    assert outcome.OFFICER_QUERY in [entry.kind for entry in after]


def test_an_officer_sees_only_entries_of_the_own_department(officers, consumer, grant, stubs):
    grant(STREETS)
    consumer.peer.lookup(STREETS, KEY)
    for name in ("statistics", "health"):  # owner and consumer
        found = officers[name].audit.Search(stubs.audit.SearchAuditRequest(
            dataset=STREETS, subject=consumer.uri), timeout=5)
        assert found.records, name
    found = officers["civil-affairs"].audit.Search(stubs.audit.SearchAuditRequest(
        dataset=STREETS, subject=consumer.uri), timeout=5)
    assert not found.records


def test_the_root_recomputed_from_the_leaves_is_the_signed_one(consumer, grant, audit, officers, stubs):
    grant(STREETS)
    consumer.peer.lookup(STREETS, KEY)
    checkpoint = officers["statistics"].audit.GetCheckpoint(stubs.audit.GetCheckpointRequest(), timeout=5)
    origin, size, signed_root, signatures = parse_note(checkpoint.note)
    assert origin == "sluice.example/audit/test"
    assert (size, signed_root) == (checkpoint.size, checkpoint.root)
    assert signatures and signatures[0].startswith("— ")
    leaves = audit.leaves()[:size]
    assert len(leaves) == size
    assert root([leaf_hash(leaf) for leaf in leaves]) == signed_root


def test_the_head_row_holds_the_root_of_all_leaves(audit):
    size, head_root, leaves = audit.head()
    assert len(leaves) == size
    assert root([leaf_hash(leaf) for leaf in leaves]) == head_root


def test_search_columns_say_what_the_leaf_says(cluster, stubs):
    for leaf, subject, department, owner, dataset, agreement, purpose, outcome in cluster.rows(
            "control", "SELECT leaf, subject, department, owner, dataset, agreement, purpose, outcome "
                       "FROM audit.entry ORDER BY index"):
        entry = stubs.audit_entry.AuditEntry.FromString(bytes(leaf))
        assert (entry.who.subject, entry.who.department, entry.what.owner, entry.what.dataset,
                entry.why.agreement, entry.why.purpose, entry.decision.outcome) == (
                    subject, department, owner, dataset, agreement, purpose, outcome)


def test_the_log_cannot_be_changed_by_the_gateways_roles(cluster):
    for role in ("worker", "auditor"):
        for statement in ("UPDATE audit.entry SET subject = ''", "DELETE FROM audit.entry",
                          "TRUNCATE audit.entry", "UPDATE audit.head SET size = 0",
                          "DELETE FROM audit.entry_id"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cluster.rows(role, statement)


def test_the_checkpoint_is_signed_by_the_audit_key(officers, stubs, pki, tmp_path):
    """Ed25519 checked by openssl, which knows nothing of ours."""
    from harness import run
    note = officers["statistics"].audit.GetCheckpoint(stubs.audit.GetCheckpointRequest(), timeout=5).note
    text, _, signatures = note.partition("\n\n")
    signature = base64.b64decode(signatures.split("\n")[0].split(" ")[2])
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "signature").write_bytes(signature[4:])  # behind the key id
    run("openssl", "pkey", "-in", pki.path("audit-signing.key"), "-pubout", "-out", tmp_path / "public.pem")
    run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "public.pem", "-rawin",
        "-in", tmp_path / "text", "-sigfile", tmp_path / "signature")


def test_counters_have_no_gaps_and_ids_no_twins(audit):
    assert audit.counters_are_gapless()
    assert audit.ids_are_unique()


def test_no_value_stands_in_the_log_in_the_clear(consumer, grant, audit, datasets, resident):
    grant(RESIDENTS)
    request_id = unique("req")
    record = datasets(RESIDENTS).records.read(
        consumer.peer.lookup(RESIDENTS, resident(1).id_number, request_id=request_id).record)
    entry = one(audit.decisions(request_id=request_id))
    raw = entry.SerializeToString()
    for value in (record.id_number, record.name):
        assert value.encode() not in raw


def test_many_denials_share_entries_but_none_is_lost(connect, pki, audit, outcome):
    name = unique()
    peer = connect(pki.system("health", name))
    calls = 60
    for _ in range(calls):
        peer.failure(lambda: peer.lookup(STREETS, KEY))
    uri = f"spiffe://sluice.example/dept/health/system/{name}"

    def accounted():
        entries = audit.decisions(subject=uri)
        return sum(entry.stands_for if entry.kind == outcome.DENIALS else 1 for entry in entries)
    wait_for(lambda: accounted() == calls, 15, "every denial to be accounted for")
    assert len(audit.decisions(subject=uri)) < calls
