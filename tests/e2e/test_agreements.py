"""No record leaves without a live agreement for that consumer, dataset, fields, purpose and mode. Each
rule has an allow and a deny test."""

import threading
import time
from datetime import timedelta

import grpc
import pytest

from clients import PURPOSE
from conftest import RESIDENTS, STREETS, VILLAGES
from harness import wait_for

KEY = "110101001"
DENIED = grpc.StatusCode.PERMISSION_DENIED


def test_with_an_agreement_the_call_is_allowed(consumer, grant):
    agreement = grant(STREETS)
    assert consumer.peer.lookup(STREETS, KEY, agreement=agreement.id).record.value


def test_without_an_agreement_a_dataset_answers_like_one_that_does_not_exist(consumer):
    """Code, reason and sentence are equal but for the name that the caller itself gave."""
    hidden = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY))
    absent = consumer.peer.failure(lambda: consumer.peer.lookup("statistics/no-such", KEY))
    assert hidden.code == absent.code
    assert hidden.reason == absent.reason
    assert hidden.text.replace(STREETS, "X") == absent.text.replace("statistics/no-such", "X")


def test_the_catalogue_hides_what_the_caller_may_not_see(consumer, stubs):
    listed = consumer.peer.catalog.ListDatasets(stubs.catalog.ListDatasetsRequest(), timeout=5)
    assert STREETS not in [dataset.name for dataset in listed.datasets]
    failure = consumer.peer.failure(lambda: consumer.peer.catalog.GetDataset(
        stubs.catalog.GetDatasetRequest(name=STREETS), timeout=5))
    assert failure.code == grpc.StatusCode.NOT_FOUND


def test_the_catalogue_shows_what_is_granted_field_by_field(consumer, grant, stubs):
    grant(STREETS, fields=["code", "name"])
    seen = consumer.peer.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=STREETS), timeout=5)
    assert {field.name for field in seen.fields if field.granted} == {"code", "name"}


def test_a_wrong_purpose_is_denied(consumer, grant):
    grant(STREETS, purposes=["address-check"])
    assert consumer.peer.lookup(STREETS, KEY, purpose="address-check").record.value
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, purpose="marketing"))
    assert (failure.code, failure.reason) == (DENIED, "PURPOSE_NOT_GRANTED")


def test_a_missing_purpose_is_refused(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, purpose=""))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PURPOSE_MISSING")


def test_a_wrong_mode_is_denied(consumer, grant):
    grant(STREETS, modes=["LOOKUP"])
    assert consumer.peer.lookup(STREETS, KEY).record.value
    failure = consumer.peer.failure(lambda: consumer.peer.query(STREETS, limit=1))
    assert (failure.code, failure.reason) == (DENIED, "MODE_NOT_GRANTED")


def test_an_ungranted_field_cannot_be_filtered_on(consumer, grant):
    """A filter on a hidden field would tell its values one yes-or-no at a time."""
    grant(RESIDENTS, fields=["id_number", "name"])
    failure = consumer.peer.failure(
        lambda: consumer.peer.query(RESIDENTS, filter='mobile = "14100000000"'))
    unknown = consumer.peer.failure(lambda: consumer.peer.query(RESIDENTS, filter='no_such = "1"'))
    assert (failure.code, failure.reason) == (unknown.code, unknown.reason)


def test_an_expired_agreement_is_denied(consumer, grant):
    agreement = grant(STREETS, valid_until=timedelta(seconds=3))
    assert consumer.peer.lookup(STREETS, KEY, agreement=agreement.id).record.value
    wait_for(lambda: refused(consumer, agreement.id), 6, "the agreement to expire")
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, agreement=agreement.id))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_EXPIRED")


def test_an_agreement_that_begins_later_is_denied(consumer, grant):
    later = grant(STREETS, wait=False, valid_from=timedelta(hours=1))
    grant(STREETS, modes=["QUERY"])  # a later epoch: when it is known, the other is too
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, agreement=later.id))
    assert (failure.code, failure.reason) == (DENIED, "AGREEMENT_NOT_YET_VALID")


def test_another_systems_agreement_is_of_no_use(consumer, grant, connect, pki):
    agreement = grant(STREETS)
    other = connect(pki.system("health", f"other-{consumer.name[7:]}"))
    failure = other.failure(lambda: other.lookup(STREETS, KEY, agreement=agreement.id))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")


def test_a_departments_agreement_serves_each_of_its_systems_and_no_other(consumer, datasets, connect):
    agreement = datasets(STREETS).owner.grant("health/*", STREETS, ["code", "name"], purposes=["any-system"])
    wait_for(lambda: not refused(consumer, agreement.id, purpose="any-system"), 3, "the agreement")
    outsider = connect("civil-affairs-registry")
    failure = outsider.failure(
        lambda: outsider.lookup(STREETS, KEY, purpose="any-system", agreement=agreement.id))
    assert failure.code in (DENIED, grpc.StatusCode.NOT_FOUND)
    datasets(STREETS).owner.revoke(agreement.id)


def test_two_agreements_that_both_fit_must_be_told_apart(consumer, grant):
    first, second = grant(STREETS), grant(STREETS)
    wait_for(lambda: not refused(consumer, second.id), 3, "the second agreement")
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "AGREEMENT_AMBIGUOUS")
    assert consumer.peer.lookup(STREETS, KEY, agreement=first.id).record.value


def test_a_rate_limit_holds_back_a_burst(consumer, grant):
    agreement = grant(STREETS, rate_per_second=1.0, rate_burst=5)
    outcomes = [refused(consumer, agreement.id, want=grpc.StatusCode.RESOURCE_EXHAUSTED) for _ in range(40)]
    assert any(outcomes), "40 calls at once passed a limit of 1 a second"
    assert not all(outcomes), "not even the burst passed"


# --- granting and revoking --------------------------------------------------------------------------
def test_only_an_officer_of_the_owner_may_grant(consumer, officers):
    for stranger in ("health", "civil-affairs"):
        peer = officers[stranger]
        failure = peer.failure(lambda: peer.grant(consumer.name, STREETS, ["code"]))
        assert failure.code in (DENIED, grpc.StatusCode.NOT_FOUND)


def test_only_an_officer_of_the_owner_may_revoke(consumer, grant, officers):
    agreement = grant(STREETS)
    failure = officers["health"].failure(lambda: officers["health"].revoke(agreement.id))
    assert failure.code in (DENIED, grpc.StatusCode.NOT_FOUND)
    assert not refused(consumer, agreement.id)


def test_a_system_may_not_grant(consumer, connect):
    system = connect("statistics-collector", "officers")
    failure = system.failure(lambda: system.grant(consumer.name, STREETS, ["code"]))
    assert (failure.code, failure.reason) == (DENIED, "WRONG_PORT")


def test_the_systems_port_serves_no_agreements(connect, consumer):
    officer = connect("statistics-officer", "systems")
    failure = officer.failure(lambda: officer.grant(consumer.name, STREETS, ["code"]))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")


def test_an_unregistered_officer_may_not_grant(pki, connect, consumer):
    name = pki.issue("statistics-nobody", "spiffe://sluice.example/dept/statistics/officer/nobody")
    peer = connect(name, "officers")
    failure = peer.failure(lambda: peer.grant(consumer.name, STREETS, ["code"]))
    assert (failure.code, failure.reason) == (DENIED, "OFFICER_UNKNOWN")


@pytest.mark.parametrize("change", [
    {"fields": []}, {"fields": ["no_such_field"]}, {"purposes": []}, {"modes": []},
    {"consumer": "nobody"}, {"consumer": "forestry/register"}, {"dataset": "statistics/no-such"},
    {"row_filter": "code = = 1"}, {"valid_until": timedelta(days=-1)}, {"rate_per_second": -1.0},
])
def test_a_grant_that_makes_no_sense_is_refused(consumer, officers, change):
    values = {"consumer": consumer.name, "dataset": STREETS, "fields": ["code"], **change}
    owner = officers["statistics"]
    failure = owner.failure(lambda: owner.grant(**values))
    assert failure.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, DENIED)
    assert failure.reason


def test_a_repeated_grant_request_makes_one_agreement(officers, consumer, stubs):
    """Same request id, same content: the officer's client may retry."""
    owner = officers["statistics"]
    agreement = stubs.agreement.Agreement(consumer=consumer.name, dataset=STREETS, fields=["code"],
                                          purposes=[PURPOSE], modes=["LOOKUP"])
    agreement.valid_until.GetCurrentTime()
    agreement.valid_until.seconds += 3600
    request = stubs.agreement.GrantAgreementRequest(agreement=agreement, request_id=f"again-{consumer.name[-10:]}")
    first = owner.agreements.GrantAgreement(request, timeout=5)
    second = owner.agreements.GrantAgreement(request, timeout=5)
    assert first.id == second.id


def test_revoking_needs_a_reason_and_works_once(consumer, grant, officers):
    agreement = grant(STREETS)
    owner = officers["statistics"]
    assert owner.failure(lambda: owner.revoke(agreement.id, reason="")).code == grpc.StatusCode.INVALID_ARGUMENT
    assert owner.revoke(agreement.id).state == owner.stubs.agreement.REVOKED
    assert owner.failure(lambda: owner.revoke("agr-nosuchagreem")).code == grpc.StatusCode.NOT_FOUND


# --- revocation ------------------------------------------------------------------------------------
def refused(consumer, agreement_id, purpose=PURPOSE, want=None):
    try:
        consumer.peer.lookup(STREETS, KEY, purpose=purpose, agreement=agreement_id)
        return False
    except grpc.RpcError as error:
        if want is not None:
            assert error.code() == want, error
        return True


def test_a_revoked_agreement_stops_calls_within_a_second_on_every_worker(consumer, grant, officers, connect):
    agreement = grant(STREETS)
    # Each connection lands on some worker; with this many each worker has one.
    peers = [connect(consumer.certificate) for _ in range(12)]

    def allowed(peer):
        try:
            peer.lookup(STREETS, KEY, agreement=agreement.id, timeout=5)
            return True
        except grpc.RpcError:
            return False
    wait_for(lambda: all(allowed(peer) for peer in peers), 5, "every worker to know the agreement")
    officers["statistics"].revoke(agreement.id)
    revoked = time.monotonic()
    last_allowed = revoked
    while time.monotonic() < revoked + 1.5:
        for peer in peers:
            began = time.monotonic()
            if allowed(peer):
                last_allowed = max(last_allowed, began)
    assert last_allowed < revoked + 1.0
    assert not any(allowed(peer) for peer in peers)


def test_a_revoked_agreement_stops_a_running_stream_within_a_second(consumer, grant, officers, villages,
                                                                     connect):
    """The reader pauses after its first batch; what comes after the revocation is only what the kernel
    and the reader's own window already held."""
    agreement = grant(VILLAGES)
    peer = connect(consumer.certificate, options=[("grpc.http2.lookahead_bytes", 65536),
                                                  ("grpc.http2.bdp_probe", 0)])
    stream = peer.query(VILLAGES, agreement=agreement.id, timeout=60)
    first = next(stream)
    officers["statistics"].revoke(agreement.id)
    threading.Event().wait(1.0)  # the promise itself: one second, not a guess
    received = len(first.records)
    with pytest.raises(grpc.RpcError) as error:
        for batch in stream:
            received += len(batch.records)
    assert error.value.code() in (DENIED, grpc.StatusCode.UNAVAILABLE)
    assert received < 100000, "the stream went on after the revocation"


def test_a_stream_under_a_reading_consumer_ends_within_a_second_of_revocation(consumer, grant, officers,
                                                                              villages):
    agreement = grant(VILLAGES)
    revoked_at = []

    def revoke_soon():
        officers["statistics"].revoke(agreement.id)
        revoked_at.append(time.monotonic())
    last = 0.0
    thread = None
    with pytest.raises(grpc.RpcError):
        while True:  # streams one after the other until one is refused
            for number, batch in enumerate(consumer.peer.query(VILLAGES, agreement=agreement.id)):
                last = time.monotonic()
                assert not revoked_at or last < revoked_at[0] + 1.0, "records arrived a second after revocation"
                if number == 5 and thread is None:
                    thread = threading.Thread(target=revoke_soon)
                    thread.start()
    thread.join()
    assert last < revoked_at[0] + 1.0
