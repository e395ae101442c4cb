"""Verify (核验): an answer without a value, and no way to guess one."""

import json
import re
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from audit_log import AuditLog
from clients import PURPOSE, Peer, unique
from conftest import RESIDENTS
from harness import wait_for

DENIED = grpc.StatusCode.PERMISSION_DENIED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
KEY_MISMATCHES = 5
PURPOSE_MISSES = 1000


@pytest.fixture
def ask(consumer, stubs):
    """ask(key, sex="MALE") -> name of the outcome; whole=True: the answer itself."""

    def call(key, dataset=RESIDENTS, purpose=PURPOSE, whole=False, peer=None, claims=None, **fields):
        claims = claims or list(fields.items())
        request = stubs.exchange.VerifyRequest(
            dataset=dataset, key=key, purpose=purpose,
            claims=[stubs.exchange.VerifyClaim(field=name, value=value) for name, value in claims])
        answer = (peer or consumer.peer).exchange.Verify(request, timeout=10)
        return answer if whole else stubs.exchange.VerifyResponse.Outcome.Name(answer.outcome)
    return call


@pytest.fixture
def verify_only(grant):
    return lambda fields=("id_number", "name", "sex", "birth_date", "mobile"), **rest: grant(
        RESIDENTS, fields=list(fields), modes=["VERIFY"], **rest)


@pytest.fixture
def truth(cluster, datasets, connect, officers, pki):
    """What the gateway itself delivers of resident 1, through an agreement of somebody else."""
    name = unique("truth")
    peer = connect(pki.system("health", name))
    officers["civil-affairs"].grant(f"health/{name}", RESIDENTS, datasets(RESIDENTS).fields)
    return lambda row: datasets(RESIDENTS).records.read(wait_for(lambda: looked_up(peer, row), 3, "a record").record)


def looked_up(peer, row):
    try:
        return peer.lookup(RESIDENTS, row.id_number)
    except grpc.RpcError:
        return None


# --- outcomes ---------------------------------------------------------------------------------------

def test_true_claims_match_and_a_false_one_does_not_say_which(verify_only, ask, resident, truth):
    verify_only()
    row, record = resident(1), truth(resident(1))
    sex = {1: "MALE", 2: "FEMALE"}[record.sex]
    other = {1: "FEMALE", 2: "MALE"}[record.sex]
    assert ask(row.id_number, name=record.name) == "MATCH"
    assert ask(row.id_number, name=record.name, sex=sex, birth_date=record.birth_date) == "MATCH"
    assert ask(row.id_number, name=record.name, sex=other) == "MISMATCH"
    assert ask(row.id_number, name="某人", sex=sex) == "MISMATCH"


def test_a_claimed_number_may_be_written_as_a_filter_takes_it(verify_only, ask, resident):
    verify_only()
    row = next(resident(n) for n in range(1, 190) if resident(n).id_number.endswith("X"))
    assert ask(row.id_number, id_number=row.id_number.lower()) == "MATCH"
    assert ask(row.id_number.lower(), id_number=row.id_number) == "MATCH"


def test_a_missing_record_is_an_answer_not_an_error(verify_only, ask):
    verify_only()
    assert ask("110101199003070038", name="张三") == "NO_RECORD"


def test_a_record_outside_the_row_filter_is_as_if_it_were_not_there(verify_only, ask, resident, truth):
    row, record = resident(2), truth(resident(2))
    verify_only(row_filter=f'id_number != "{row.id_number}"')
    assert ask(row.id_number, name=record.name) == "NO_RECORD"


def test_what_cannot_be_said_is_inconclusive(verify_only, ask, resident, cluster):
    verify_only()
    row = resident(200)  # its sex is one that no standard knows
    assert ask(row.id_number, sex="MALE") == "INCONCLUSIVE"
    assert ask(resident(3).id_number, birth_date="1990-02-30", name="某人") == "INCONCLUSIVE"
    without = cluster.rows("civil_affairs_owner",
                           "SELECT id FROM resident WHERE lxdh IS NULL OR lxdh IN ('', '-') ORDER BY id LIMIT 1")
    assert ask(resident(without[0][0]).id_number, mobile="13800000000") == "INCONCLUSIVE"


def test_a_record_may_match_in_other_fields_than_the_one_that_is_bad(verify_only, ask, resident):
    """Only claimed fields are fetched and judged."""
    verify_only()
    assert ask(resident(200).id_number, name=resident(200).xm) == "MATCH"


# --- who may ----------------------------------------------------------------------------------------

def test_verify_alone_allows_neither_lookup_nor_query(consumer, verify_only, ask, resident):
    agreement = verify_only()
    row = resident(4)
    assert ask(row.id_number, name=row.xm) == "MATCH"
    for call in (lambda: consumer.peer.lookup(RESIDENTS, row.id_number, agreement=agreement.id),
                 lambda: consumer.peer.batch_lookup(RESIDENTS, [row.id_number], agreement=agreement.id),
                 lambda: consumer.peer.query(RESIDENTS, agreement=agreement.id)):
        failure = consumer.peer.failure(call)
        assert (failure.code, failure.reason) == (DENIED, "MODE_NOT_GRANTED")


def test_lookup_and_query_do_not_imply_verify(consumer, grant, ask, resident):
    grant(RESIDENTS)
    failure = consumer.peer.failure(lambda: ask(resident(4).id_number, name="x"))
    assert (failure.code, failure.reason) == (DENIED, "MODE_NOT_GRANTED")


def test_only_granted_fields_may_be_claimed(consumer, verify_only, ask, resident):
    verify_only(fields=["name"])
    assert ask(resident(5).id_number, name=resident(5).xm) == "MATCH"
    failure = consumer.peer.failure(lambda: ask(resident(5).id_number, name=resident(5).xm, sex="MALE"))
    assert (failure.code, failure.reason) == (DENIED, "FIELD_NOT_GRANTED")


def test_without_an_agreement_the_dataset_is_hidden(consumer, ask):
    hidden = consumer.peer.failure(lambda: ask("1", name="x"))
    absent = consumer.peer.failure(lambda: ask("1", dataset="civil-affairs/none", name="x"))
    assert (hidden.code, hidden.reason, hidden.text) == (absent.code, absent.reason, absent.text)


def test_a_revoked_agreement_verifies_nothing(consumer, verify_only, ask, resident, officers):
    agreement = verify_only()
    officers["civil-affairs"].revoke(agreement.id)
    failure = consumer.peer.failure(lambda: ask(resident(5).id_number, name="x"))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_REVOKED")


@pytest.mark.parametrize("claims, reason", [
    ([], "CLAIMS_COUNT"),
    ([("name", "x")] * 33, "CLAIMS_COUNT"),
    ([("name", "x"), ("name", "y")], "CLAIM_REPEATED"),
    ([("name", "x" * 1025)], "CLAIM_TOO_LONG"),
    ([("no_such", "x")], "FIELD_UNKNOWN"),
    ([("", "x")], "FIELD_UNKNOWN")])
def test_bad_requests_have_their_reason(consumer, verify_only, ask, resident, stubs, claims, reason):
    verify_only()
    request = stubs.exchange.VerifyRequest(
        dataset=RESIDENTS, key=resident(6).id_number, purpose=PURPOSE,
        claims=[stubs.exchange.VerifyClaim(field=f, value=v) for f, v in claims])
    failure = consumer.peer.failure(lambda: consumer.peer.exchange.Verify(request, timeout=5))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


def test_a_key_that_is_none_is_refused(consumer, verify_only, ask):
    verify_only()
    failure = consumer.peer.failure(lambda: ask("not a number", name="x"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_INVALID")


def test_the_catalogue_says_what_can_be_verified(consumer, verify_only, stubs):
    verify_only(fields=["name", "sex"])
    seen = consumer.peer.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=RESIDENTS), timeout=5)
    assert list(seen.granted_modes) == [stubs.agreement.VERIFY]
    assert {field.name for field in seen.fields if field.granted and field.verifiable} == {"name", "sex"}


# --- nothing else is said ---------------------------------------------------------------------------

def outcomes(ask, resident, truth):
    """One answer of each outcome."""
    row, record = resident(7), truth(resident(7))
    return {"MATCH": ask(row.id_number, name=record.name, whole=True),
            "MISMATCH": ask(row.id_number, name="某人", whole=True),
            "NO_RECORD": ask("110101199003070038", name="张三", whole=True),
            "INCONCLUSIVE": ask(row.id_number, birth_date="1990-02-30", whole=True)}


def test_all_answers_have_one_size_and_no_value(verify_only, ask, resident, truth, stubs):
    verify_only()
    answers = outcomes(ask, resident, truth)
    names = stubs.exchange.VerifyResponse.Outcome.Name
    assert {name: names(answer.outcome) for name, answer in answers.items()} == {n: n for n in answers}
    assert len({answer.ByteSize() for answer in answers.values()}) == 1
    for answer in answers.values():
        assert {field.name for field, _ in answer.ListFields()} == {"outcome", "exchange_id", "padding"}
        assert answer.padding.strip() == ""


def curl(gateway, pki, certificate, body):
    command = ["curl", "-sS", "--noproxy", "*", "--max-time", "20", "-D", "-", "--cacert", pki.path("ca.pem"),
               "--cert", pki.path(f"{certificate}.pem"), "--key", pki.path(f"{certificate}.key"),
               "-H", "Content-Type: application/json", "--data-binary", "@-",
               f"https://127.0.0.1:{gateway.ports['systems']}/sluice.v1.ExchangeService/Verify"]
    done = subprocess.run([str(word) for word in command], input=json.dumps(body).encode(), capture_output=True)
    assert done.returncode == 0, done.stderr
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def test_json_answers_have_one_size_too(gateway, pki, consumer, verify_only, resident, truth):
    verify_only()
    row, record = resident(8), truth(resident(8))
    found = {}
    for key, field, value in ((row.id_number, "name", record.name), (row.id_number, "name", "某人"),
                              ("110101199003070038", "name", "张三"), (row.id_number, "birthDate", "1"),
                              (row.id_number, "birth_date", "1")):
        status, body = curl(gateway, pki, consumer.certificate, {
            "dataset": RESIDENTS, "key": key, "purpose": PURPOSE, "claims": [{"field": field, "value": value}]})
        if field == "birthDate":  # a claim names the canonical field, it is no member of the request
            assert (status, "FIELD_UNKNOWN" in body.decode()) == (400, True)
            continue
        assert status == 200, body
        found[json.loads(body)["outcome"]] = len(body)
    assert set(found) == {"MATCH", "MISMATCH", "NO_RECORD", "INCONCLUSIVE"}
    assert len(set(found.values())) == 1, found


def test_each_answer_is_in_the_log_with_its_outcome_and_without_values(
        consumer, verify_only, ask, resident, truth, cluster, stubs):
    agreement = verify_only()
    log = AuditLog(cluster, stubs)
    above = log.size() - 1
    outcomes(ask, resident, truth)
    entries = log.entries(above=above, subject=consumer.uri)
    assert [entry.what.object for entry in entries] == ["MATCH", "MISMATCH", "NO_RECORD", "INCONCLUSIVE"]
    record = truth(resident(7))
    for entry in entries:
        assert entry.kind == log.entry_type.DECISION and entry.decision.outcome == log.entry_type.ALLOWED
        assert entry.why.agreement == agreement.id and entry.what.filter_digest
        assert entry.rows.count == 0
    leaves = b"".join(log.leaves(above))
    assert resident(7).id_number.encode() not in leaves and record.name.encode() not in leaves
    persons = cluster.rows("control", "SELECT count(DISTINCT key), count(*) FROM audit.person WHERE index > %s "
                           "AND index IN (SELECT index FROM audit.entry WHERE agreement = %s)",
                           [above, agreement.id])
    assert persons == [(2, 4)]  # who asked about a person is found, whatever the answer was


# --- guessing ---------------------------------------------------------------------------------------

def test_guessing_ends_at_the_budget_and_even_the_truth_is_not_told_then(
        consumer, verify_only, ask, resident, truth, cluster):
    agreement = verify_only()
    row, record = resident(9), truth(resident(9))
    # A guesser walks through birth dates; each spelling of the key is the same key.
    keys = [row.id_number, row.id_number.lower(), "".join(chr(ord(c) + 0xFEE0) for c in row.id_number)]
    found = []
    for day in range(1, KEY_MISMATCHES + 1):
        found.append(ask(keys[day % 3], birth_date=f"1800-01-{day:02}"))
    assert found == ["MISMATCH"] * KEY_MISMATCHES
    for value in ("1800-02-01", record.birth_date):
        failure = consumer.peer.failure(lambda: ask(row.id_number, birth_date=value))
        assert (failure.code, failure.reason) == (EXHAUSTED, "VERIFY_BUDGET")
        assert 0 < failure.retry_s <= 86400
    # Another key and another purpose have their own.
    other = truth(resident(10))
    assert ask(resident(10).id_number, name=other.name) == "MATCH"
    stored = cluster.rows("control", "SELECT mismatches, key FROM control.verify_key WHERE agreement = %s "
                          "ORDER BY mismatches DESC", [agreement.id])
    assert stored[0][0] == KEY_MISMATCHES and len(stored) == 2
    assert row.id_number.encode() not in b"".join(bytes(key) for _, key in stored)
    # Tomorrow is another day.
    cluster.rows("control", "UPDATE control.verify_key SET day = day - 1 WHERE agreement = %s", [agreement.id])
    assert ask(row.id_number, birth_date=record.birth_date) == "MATCH"


def test_what_is_inconclusive_or_absent_does_not_use_up_a_keys_budget(verify_only, ask, resident, truth):
    verify_only()
    row, record = resident(11), truth(resident(11))
    for _ in range(KEY_MISMATCHES + 1):
        assert ask(row.id_number, birth_date="x") == "INCONCLUSIVE"
    assert ask(row.id_number, name=record.name) == "MATCH"


def test_a_guess_at_each_person_ends_at_the_budget_of_the_purpose(
        consumer, verify_only, ask, resident, truth, cluster):
    agreement = verify_only(purposes=[PURPOSE, "other-purpose"])
    row, record = resident(12), truth(resident(12))
    assert ask(row.id_number, name="某人") == "MISMATCH"
    cluster.rows("control", "UPDATE control.verify_purpose SET misses = %s WHERE agreement = %s",
                 [PURPOSE_MISSES - 1, agreement.id])
    assert ask("110101199003070038", name="张三") == "NO_RECORD"
    for key, name in ((resident(13).id_number, "某人"), (row.id_number, record.name)):
        failure = consumer.peer.failure(lambda: ask(key, name=name))
        assert (failure.code, failure.reason) == (EXHAUSTED, "VERIFY_BUDGET")
    assert ask(row.id_number, name=record.name, purpose="other-purpose") == "MATCH"
    rows = cluster.rows("control", "SELECT misses FROM control.verify_purpose WHERE agreement = %s", [agreement.id])
    assert rows == [(PURPOSE_MISSES,)]


def test_the_budget_is_exact_across_workers_and_gateways(
        consumer, verify_only, ask, resident, new_gateway, gateway, stubs):
    """40 callers at two gateways of two workers guess about one person at once."""
    agreement = verify_only()
    second = new_gateway(audit={"person_key": gateway.config["audit"]["person_key"]}).start()
    peers = [Peer(stubs, gateway if i % 2 else second, consumer.certificate) for i in range(40)]
    row = resident(14)
    begin = threading.Barrier(len(peers))

    def guess(number):
        begin.wait(20)
        try:
            return ask(row.id_number, peer=peers[number], birth_date=f"18{number:02}-01-01")
        except grpc.RpcError as error:
            return error.code().name

    wait_for(lambda: known(peers, stubs), 5, "the agreement at both gateways")
    with ThreadPoolExecutor(len(peers)) as pool:
        found = Counter(pool.map(guess, range(len(peers))))
    assert found == {"MISMATCH": KEY_MISMATCHES, "RESOURCE_EXHAUSTED": len(peers) - KEY_MISMATCHES}, agreement.id
    for peer in peers:
        peer.close()


def known(peers, stubs):
    request = stubs.catalog.GetDatasetRequest(name=RESIDENTS)
    try:
        return all(any(f.granted for f in peer.catalog.GetDataset(request, timeout=5).fields) for peer in peers)
    except grpc.RpcError:
        return False


def test_when_the_budget_cannot_be_kept_nothing_is_answered(consumer, verify_only, ask, resident, cluster):
    verify_only()
    signature = "control.verify_charge(text, text, bytea, boolean, boolean, integer, integer)"
    cluster.rows("control", f"REVOKE EXECUTE ON FUNCTION {signature} FROM sluice_worker")
    try:
        failure = consumer.peer.failure(lambda: ask(resident(15).id_number, name=resident(15).xm))
        assert failure.code != grpc.StatusCode.OK and "verify_charge" not in failure.text
    finally:
        cluster.rows("control", f"GRANT EXECUTE ON FUNCTION {signature} TO sluice_worker")
    assert ask(resident(15).id_number, name=resident(15).xm) == "MATCH"


# --- the command line -------------------------------------------------------------------------------

def test_the_command_answers_by_its_exit_status(sluice, officers, datasets, consumer, pki, resident, truth):
    granted = sluice("agreement", "grant", "--consumer", consumer.name, "--dataset", RESIDENTS, "--fields",
                     "name,sex,birth_date", "--purposes", PURPOSE, "--modes", "verify", "--days", 1)
    assert granted.returncode == 0, granted.stderr
    row, record = resident(16), truth(resident(16))

    def verify(key, *claims, purpose=("--purpose", PURPOSE), more=()):
        return sluice("verify", RESIDENTS, key, *claims, *purpose, *more, certificate=consumer.certificate)

    for key, claim, status in ((row.id_number, f"name={record.name}", 0), (row.id_number, "name=某=人", 1),
                               ("110101199003070038", "name=x", 3), (row.id_number, "birth_date=1", 6),
                               ("nonsense", "name=x", 7), (row.id_number, "mobile=1", 4),
                               (row.id_number, "name", 2), (row.id_number, "=x", 2)):
        done = verify(key, claim)
        assert done.returncode == status, (claim, done.stdout, done.stderr)
    assert verify(row.id_number, f"name={record.name}", purpose=()).returncode == 2
    done = verify(row.id_number, f"name={record.name}", more=("--format", "json"))
    assert set(json.loads(done.stdout)) == {"outcome", "exchangeId"}
    done = verify(row.id_number, "name=某人", more=("--lang", "zh"))
    assert "核验不一致" in done.stderr
    assert re.search(r"MISMATCH", done.stdout)
