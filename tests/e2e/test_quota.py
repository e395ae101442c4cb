"""Daily quotas: exact over workers and gateways, charged in the transaction that logs the release."""

import hashlib
import json
import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from audit_log import AuditLog, leaf_hash
from audit_log import root as tree_root
from clients import PURPOSE, Peer
from conftest import RESIDENTS, STREETS, VILLAGES
from harness import wait_for

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
KEY = "110101001"


@pytest.fixture
def used(cluster):
    return lambda agreement: sum(row[0] for row in cluster.rows(
        "control", "SELECT records FROM control.quota_use WHERE agreement = %s", [agreement.id]))


def over(consumer, call):
    failure = consumer.peer.failure(call)
    assert (failure.code, failure.reason) == (EXHAUSTED, "QUOTA_EXHAUSTED")
    assert 0 < failure.retry_s <= 86400
    return failure


def records_of(stream):
    """(records, error or None, last resume token)"""
    count, token = 0, ""
    try:
        for batch in stream:
            count += len(batch.records)
            token = batch.resume_token or token
    except grpc.RpcError as error:
        return count, error, token
    return count, None, token


# --- lookups ----------------------------------------------------------------------------------------

def test_each_record_of_a_lookup_counts_and_what_is_not_found_does_not(consumer, grant, used):
    agreement = grant(STREETS, daily_quota=3)
    for _ in range(2):
        assert consumer.peer.lookup(STREETS, KEY).record.value
    for _ in range(3):
        assert consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, "110101099")).reason == "RECORD_NOT_FOUND"
    assert consumer.peer.lookup(STREETS, KEY).record.value
    over(consumer, lambda: consumer.peer.lookup(STREETS, KEY))
    assert used(agreement) == 3


def test_an_agreement_without_a_quota_is_not_counted(consumer, grant, used):
    agreement = grant(STREETS)
    for _ in range(5):
        assert consumer.peer.lookup(STREETS, KEY).record.value
    assert used(agreement) == 0 and agreement.daily_quota == 0


def test_a_batch_counts_what_it_delivers_and_leaves_whole_or_not_at_all(consumer, grant, used, cluster):
    agreement = grant(STREETS, daily_quota=10)
    keys = [code for code, in cluster.rows("statistics_owner", "SELECT code FROM street ORDER BY code LIMIT 8")]
    assert len(consumer.peer.batch_lookup(STREETS, keys + ["110101099"]).results) == 9
    assert used(agreement) == 8
    over(consumer, lambda: consumer.peer.batch_lookup(STREETS, keys[:3]))
    assert used(agreement) == 8
    consumer.peer.batch_lookup(STREETS, keys[:2])
    assert used(agreement) == 10
    over(consumer, lambda: consumer.peer.batch_lookup(STREETS, keys[:1]))


def test_a_new_day_begins_anew(consumer, grant, used, cluster):
    agreement = grant(STREETS, daily_quota=1)
    assert consumer.peer.lookup(STREETS, KEY).record.value
    over(consumer, lambda: consumer.peer.lookup(STREETS, KEY))
    cluster.rows("control", "UPDATE control.quota_use SET day = day - 1 WHERE agreement = %s", [agreement.id])

    def again():
        try:
            return consumer.peer.lookup(STREETS, KEY).record.value
        except grpc.RpcError:
            return None
    wait_for(again, 3, "the next day to be seen")


def test_verify_is_not_charged(consumer, grant, used, stubs, resident):
    agreement = grant(RESIDENTS, modes=["VERIFY"], daily_quota=1)
    request = stubs.exchange.VerifyRequest(
        dataset=RESIDENTS, key=resident(20).id_number, purpose=PURPOSE,
        claims=[stubs.exchange.VerifyClaim(field="name", value=resident(20).xm)])
    for _ in range(3):
        assert consumer.peer.exchange.Verify(request, timeout=5).outcome == stubs.exchange.VerifyResponse.MATCH
    assert used(agreement) == 0


def test_the_refusal_is_in_the_log_once_and_nothing_is_missing(consumer, grant, cluster, stubs):
    grant(STREETS, daily_quota=1)
    log = AuditLog(cluster, stubs)
    above = log.size() - 1
    consumer.peer.lookup(STREETS, KEY, request_id="first")
    over(consumer, lambda: consumer.peer.lookup(STREETS, KEY, request_id="second"))
    entries = log.entries(above=above, subject=consumer.uri)
    kinds = log.entry_type
    assert [(e.kind, e.decision.outcome, e.decision.reason, e.decision.rule, e.rows.count) for e in entries] == [
        (kinds.DECISION, kinds.ALLOWED, "", "agreement", 1),
        (kinds.DECISION, kinds.REFUSED, "QUOTA_EXHAUSTED", "agreement.quota", 0)]
    assert entries[1].decision.status == EXHAUSTED.value[0]
    stored = cluster.rows("control", "SELECT outcome FROM audit.entry WHERE index > %s AND subject = %s "
                          "ORDER BY index", [above, consumer.uri])
    assert stored == [(kinds.ALLOWED,), (kinds.REFUSED,)]
    assert log.counters_are_gapless() and log.ids_are_unique()
    size, root, leaves = log.head()
    assert size == len(leaves) and root == tree_root([leaf_hash(leaf) for leaf in leaves])


# --- streams ----------------------------------------------------------------------------------------

def test_a_stream_takes_no_more_than_it_delivers(consumer, grant, used):
    agreement = grant(STREETS, daily_quota=100000)
    count, error, _ = records_of(consumer.peer.query(STREETS, limit=700))
    assert (count, error) == (700, None)
    assert used(agreement) == 700
    count, error, _ = records_of(consumer.peer.query(STREETS, filter='code = "110101001"'))
    assert (count, error, used(agreement)) == (1, None, 701)
    count, error, _ = records_of(consumer.peer.query(STREETS, page_size=10))
    assert (count, error, used(agreement)) == (10, None, 711)


@pytest.mark.parametrize("quota", [1, 255, 256, 257, 1000, 5000])
def test_a_stream_ends_at_the_quota_exactly_and_goes_on_the_next_day(
        consumer, grant, used, cluster, datasets, quota):
    agreement = grant(STREETS, daily_quota=quota)
    count, error, token = records_of(consumer.peer.query(STREETS))
    assert error.code() == EXHAUSTED and count == quota and used(agreement) == quota
    over(consumer, lambda: consumer.peer.lookup(STREETS, KEY))
    cluster.rows("control", "UPDATE control.quota_use SET day = day - 1 WHERE agreement = %s", [agreement.id])
    following = cluster.rows("statistics_owner", "SELECT code FROM street ORDER BY code COLLATE \"C\" OFFSET %s LIMIT 1",
                             [quota])[0][0]

    def rest():
        try:
            return list(datasets(STREETS).records.of_stream(consumer.peer.query(STREETS, resume_token=token, limit=1)))
        except grpc.RpcError:
            return None
    assert [record.code for record in wait_for(rest, 3, "the next day")] == [following]


def test_a_stream_whose_rows_end_with_the_quota_is_whole(consumer, grant, used, cluster):
    beijing = cluster.rows("statistics_owner", "SELECT count(*) FROM street WHERE \"areaCode\" = '110101'")[0][0]
    agreement = grant(STREETS, daily_quota=beijing)
    count, error, _ = records_of(consumer.peer.query(STREETS, filter='county_code = "110101"'))
    assert (count, error, used(agreement)) == (beijing, None, beijing)


def test_a_stream_that_is_left_gives_back_what_it_did_not_deliver(consumer, grant, used, villages):
    agreement = grant(VILLAGES, daily_quota=10_000_000)
    stream = consumer.peer.query(VILLAGES)
    got = len(next(stream).records)
    stream.cancel()
    wait_for(lambda: used(agreement) < 620_000 and settled(used, agreement), 10, "the rest to be given back")
    assert got <= used(agreement)


def settled(used, agreement):
    first = used(agreement)
    threading.Event().wait(0.3)
    return first == used(agreement)


def known(peers, stubs):
    request = stubs.catalog.GetDatasetRequest(name=STREETS)
    try:
        return all(any(f.granted for f in p.catalog.GetDataset(request, timeout=5).fields) for p in peers)
    except grpc.RpcError:
        return False


# --- exactness --------------------------------------------------------------------------------------

def test_a_thousand_a_day_is_a_thousand_over_two_gateways_of_two_workers(
        consumer, grant, used, gateway, new_gateway, stubs, cluster):
    agreement = grant(STREETS, daily_quota=1000)
    second = new_gateway().start()
    peers = [Peer(stubs, (gateway, second)[i % 2], consumer.certificate) for i in range(50)]
    wait_for(lambda: known(peers, stubs), 5, "the agreement at both gateways")
    begin = threading.Barrier(len(peers))

    def calls(peer):
        found = Counter()
        begin.wait(20)
        for _ in range(40):
            try:
                found["answered"] += bool(peer.lookup(STREETS, KEY).record.value)
            except grpc.RpcError as error:
                found[error.code().name] += 1
        return found

    with ThreadPoolExecutor(len(peers)) as pool:
        found = sum(pool.map(calls, peers), Counter())
    for peer in peers:
        peer.close()
    assert found == {"answered": 1000, "RESOURCE_EXHAUSTED": 1000}
    assert used(agreement) == 1000
    allowed = cluster.rows("control", "SELECT count(*) FROM audit.entry WHERE agreement = %s AND kind = 1 "
                           "AND outcome = 1", [agreement.id])
    assert allowed == [(1000,)]


def test_streams_and_lookups_together_never_exceed_the_quota(consumer, grant, used, gateway, new_gateway, stubs):
    agreement = grant(STREETS, daily_quota=5000)
    second = new_gateway().start()
    peers = [Peer(stubs, (gateway, second)[i % 2], consumer.certificate) for i in range(12)]
    wait_for(lambda: known(peers, stubs), 5, "the agreement at both gateways")

    def work(number):
        if number % 3:
            return records_of(peers[number].query(STREETS, limit=900))[0]
        done = 0
        for _ in range(100):
            try:
                done += bool(peers[number].lookup(STREETS, KEY).record.value)
            except grpc.RpcError as error:
                assert error.code() == EXHAUSTED
        return done

    with ThreadPoolExecutor(len(peers)) as pool:
        delivered = sum(pool.map(work, range(len(peers))))
    for peer in peers:
        peer.close()
    assert delivered <= 5000
    wait_for(lambda: used(agreement) == delivered, 5, f"the use to settle at {delivered}, not {used(agreement)}")


def test_a_killed_auditor_neither_loses_nor_doubles_a_charge(consumer, grant, used, new_gateway, stubs, cluster):
    agreement = grant(STREETS, daily_quota=100000)
    own = new_gateway().start()
    peers = [Peer(stubs, own, consumer.certificate) for _ in range(8)]
    stop = threading.Event()

    def calls(peer):
        answered = 0
        while not stop.is_set():
            try:
                answered += bool(peer.lookup(STREETS, KEY, timeout=5).record.value)
            except grpc.RpcError:
                pass
        return answered

    with ThreadPoolExecutor(len(peers)) as pool:
        running = [pool.submit(calls, peer) for peer in peers]
        for _ in range(4):
            before = used(agreement)
            wait_for(lambda: used(agreement) > before + 20, 10, "calls to be charged")
            os.kill(own.children("auditor")[0], signal.SIGKILL)
        before = used(agreement)
        wait_for(lambda: used(agreement) > before + 20, 10, "calls after the last kill")
        stop.set()
        answered = sum(one.result() for one in running)
    for peer in peers:
        peer.close()
    allowed = cluster.rows("control", "SELECT count(*) FROM audit.entry WHERE agreement = %s AND kind = 1 "
                           "AND outcome = 1", [agreement.id])[0][0]
    assert used(agreement) == allowed >= answered


# --- terms ------------------------------------------------------------------------------------------

def test_the_digest_covers_the_quota_and_it_never_changes(consumer, datasets, cluster):
    owner, fields = datasets(STREETS).owner, datasets(STREETS).fields
    agreement = owner.grant(consumer.name, STREETS, fields, daily_quota=7)
    assert agreement.daily_quota == 7
    listed = owner.agreements.GetAgreement(owner.stubs.agreement.GetAgreementRequest(id=agreement.id), timeout=5)
    assert listed.daily_quota == 7 and listed.digest == agreement.digest
    bound = owner.stubs.agreement.Agreement()
    bound.CopyFrom(agreement)
    for name in ("state", "granted_by", "granted_at", "epoch", "digest"):
        bound.ClearField(name)
    assert hashlib.sha256(bound.SerializeToString(deterministic=True)).hexdigest() == agreement.digest
    bound.daily_quota = 8
    assert hashlib.sha256(bound.SerializeToString(deterministic=True)).hexdigest() != agreement.digest
    with pytest.raises(Exception, match="only be revoked"):
        cluster.rows("control", "UPDATE control.agreement SET daily_quota = 8 WHERE id = %s", [agreement.id])


@pytest.mark.parametrize("quota", [-1, 1_000_000_000_001])
def test_a_quota_out_of_range_is_refused(consumer, datasets, quota):
    owner = datasets(STREETS).owner
    failure = owner.failure(lambda: owner.grant(consumer.name, STREETS, ["code"], daily_quota=quota))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "QUOTA_INVALID")


def test_the_command_grants_and_shows_it(sluice, consumer):
    granted = sluice("agreement", "grant", "--consumer", consumer.name, "--dataset", STREETS, "--fields", "code,name",
                     "--purposes", PURPOSE, "--modes", "lookup", "--days", 1, "--daily-quota", 2, "--format", "json",
                     officer="statistics-officer")
    assert granted.returncode == 0, granted.stderr
    agreement = json.loads(granted.stdout)
    assert agreement["dailyQuota"] == "2"
    for command in (("show", agreement["id"]), ("list", "--consumer", consumer.name)):
        shown = sluice("agreement", *command, officer="statistics-officer")
        assert "dailyQuota" in shown.stdout and " 2" in shown.stdout
    statuses = [sluice("lookup", STREETS, KEY, "--purpose", PURPOSE, certificate=consumer.certificate).returncode
                for _ in range(3)]
    assert statuses == [0, 0, 5]
    assert sluice("agreement", "grant", "--daily-quota", 0, officer="statistics-officer").returncode == 2
