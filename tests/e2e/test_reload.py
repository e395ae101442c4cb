"""Reload, certificate rotation and shutdown drop no request that ends within its drain limit."""

import ssl
import socket
import time

import grpc
import pytest

from clients import Peer, unique
from conftest import STREETS, VILLAGES
from harness import tls_context, wait_for
from load import Load

KEY = "110101001"


def lookup(peer, request_id):
    assert peer.lookup(STREETS, KEY, request_id=request_id, timeout=10).record.value


@pytest.fixture
def own(new_gateway, pki, stubs, officers, workspace):
    """own(): a started gateway with certificates of its own, an agreement and `count` clients."""
    import shutil
    peers = []

    def make(count=4, **changes):
        from harness import Pki
        folder = workspace / unique("pki")
        shutil.copytree(pki.folder, folder)
        gateway = new_gateway(pki=Pki(folder), **changes).start()
        name = unique()
        certificate = pki.system("health", name)
        for suffix in ("pem", "key"):
            shutil.copy(pki.path(f"{certificate}.{suffix}"), folder)
        for dataset in (STREETS, VILLAGES):
            officers["statistics"].grant(f"health/{name}", dataset, ["code", "name"])
        for _ in range(count):
            peers.append(Peer(stubs, gateway, certificate))
            wait_for(lambda: answers(peers[-1]), 5, "the agreement to be known")
        return gateway, peers[-count:]
    yield make
    for peer in peers:
        peer.close()


def answers(peer):
    try:
        lookup(peer, unique("warm"))
        return True
    except grpc.RpcError:
        return False


def generation(gateway):
    return frozenset(gateway.children("worker"))


def serial(gateway):
    """Serial number of the certificate that the gateway shows now."""
    with socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5) as raw:
        with tls_context(gateway.pki, "health-triage").wrap_socket(raw, server_hostname="localhost") as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def reload_and_wait(gateway):
    before = generation(gateway)
    gateway.reload()
    wait_for(lambda: generation(gateway) - before and not generation(gateway) & before, 30,
             lambda: f"a new generation alone\n{gateway.log()[-2000:]}")


def reloads_drop_nothing(own, count):
    gateway, peers = own()
    with Load(peers, lookup, prefix=unique("r")) as load:
        for number in range(count):
            before = serial(gateway)
            gateway.pki.renew_gateway()
            started = time.monotonic()
            reload_and_wait(gateway)
            wait_for(lambda: load.done_since(started) > 5, 10, f"calls after reload {number}")
            assert serial(gateway) != before
    assert not load.errors, (load.codes(), load.errors[:3])
    assert gateway.process.poll() is None


def test_reloads_with_new_certificates_drop_no_call(own):
    reloads_drop_nothing(own, 5)


@pytest.mark.long
def test_a_hundred_reloads_with_new_certificates_drop_no_call(own):
    reloads_drop_nothing(own, 100)


def test_new_connections_during_reloads_are_not_reset(own, stubs):
    """Each call on a connection of its own, so that queued connections are exercised too."""
    gateway, peers = own(1)

    def fresh(_, request_id):
        peer = Peer(stubs, gateway, peers[0].certificate)
        try:
            lookup(peer, request_id)
        finally:
            peer.close()
    with Load([None] * 4, fresh, prefix=unique("n")) as load:
        for _ in range(3):
            reload_and_wait(gateway)
    assert len(load.answered) > 20
    assert not load.errors, (load.codes(), load.errors[:3])


def test_a_stream_that_runs_over_a_reload_is_complete(own, villages):
    gateway, peers = own(1)
    stream = peers[0].query(VILLAGES, timeout=120)
    received = len(next(stream).records)
    gateway.reload()
    received += sum(len(batch.records) for batch in stream)
    assert received == 620573


def test_a_reload_waits_while_three_generations_run(own, villages):
    gateway, peers = own(1)
    streams = []
    for _ in range(2):
        before = generation(gateway)
        streams.append(peers[0].query(VILLAGES, timeout=120))
        next(streams[-1])  # nobody reads on: its generation lives
        gateway.reload()
        wait_for(lambda: len(generation(gateway) - before) == 2, 30, "the next generation")
        # The client takes the newest generation for its next stream.
        wait_for(lambda: answers(peers[0]), 5, "an answer of the next generation")
    newest = generation(gateway) - before
    gateway.reload()
    wait_for(lambda: "reload_waits" in gateway.log(), 10, "the notice that it waits")
    assert newest <= generation(gateway)
    streams[0].cancel()
    wait_for(lambda: not newest & generation(gateway), 30, lambda: f"the reload\n{gateway.log()[-2000:]}")
    lookup(peers[0], unique())
    streams[1].cancel()


def test_a_bad_file_is_refused_and_the_old_goes_on(own):
    gateway, peers = own(1)
    before = generation(gateway)
    good = gateway.config_file.read_text()
    gateway.config_file.write_text(good.replace('"workers": 2', '"workers": 2, "wrokers": 3'))
    gateway.reload()
    wait_for(lambda: f"{gateway.config_file}:" in gateway.log() and "wrokers" in gateway.log(), 10,
             "the refusal in the log")
    assert generation(gateway) == before
    lookup(peers[0], unique())
    gateway.config_file.write_text(good)
    reload_and_wait(gateway)
    lookup(peers[0], unique())


def test_a_bad_certificate_is_refused_and_the_old_goes_on(own):
    gateway, peers = own(1)
    before = generation(gateway)
    certificate = gateway.pki.path("gateway.pem")
    good = certificate.read_bytes()
    certificate.write_bytes(b"no certificate\n")
    mark = len(gateway.log())
    gateway.reload()
    wait_for(lambda: "gateway.pem" in gateway.log()[mark:], 10, "the refusal in the log")
    wait_for(lambda: generation(gateway) == before, 5, "the refused generation to be gone")
    lookup(peers[0], unique())
    certificate.write_bytes(good)


def test_more_workers_after_a_reload(own):
    gateway, peers = own(1)
    gateway.change(workers=3)
    gateway.reload()
    wait_for(lambda: len(generation(gateway)) == 3, 15, "three workers")
    lookup(peers[0], unique())


def test_sigterm_lets_running_calls_finish(own, villages):
    gateway, peers = own(1)
    stream = peers[0].query(VILLAGES, timeout=60)
    received = len(next(stream).records)
    gateway.terminate()
    received += sum(len(batch.records) for batch in stream)
    assert received == 620573
    assert gateway.process.wait(35) == 0


def test_sigterm_under_load_drops_no_call(own):
    """What was accepted is answered; only then new calls find nobody."""
    gateway, peers = own()
    with Load(peers, lookup, prefix=unique("t")) as load:
        wait_for(lambda: len(load.answered) > 50, 20, "load")
        gateway.terminate()
        assert gateway.process.wait(35) == 0
    # A call that began after the listener was gone is UNAVAILABLE; none may end in any other way.
    assert set(load.codes()) <= {grpc.StatusCode.UNAVAILABLE}


def test_a_reader_that_never_reads_does_not_hold_up_shutdown(own, villages):
    gateway, peers = own(1, limits={"drain_ms": 1500})
    stream = peers[0].query(VILLAGES, timeout=60)
    next(stream)
    began = time.monotonic()
    gateway.terminate()
    assert gateway.process.wait(10) == 0
    assert time.monotonic() - began < 8
    with pytest.raises(grpc.RpcError) as error:
        for _ in stream:
            pass
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_new_revocation_list_cuts_a_live_peer_on_reload(own, pki):
    gateway, peers = own(1)
    gateway.pki.revoke(peers[0].certificate)
    gateway.reload()
    wait_for(lambda: not answers(peers[0]), 10, "the revoked peer to be refused")


def test_a_connection_ends_with_its_certificate(own, pki, stubs, gateway):
    """The certificate is good for six seconds; the connection may not outlive it."""
    name = unique()
    certificate = pki.system("health", name, "6s")
    peer = Peer(stubs, gateway, certificate)
    # Any refusal shows that the connection stood.
    assert peer.failure(lambda: peer.lookup(STREETS, KEY)).code != grpc.StatusCode.UNAVAILABLE
    wait_for(lambda: peer.failure(lambda: peer.lookup(STREETS, KEY, timeout=3)).code
             == grpc.StatusCode.UNAVAILABLE, 15, "the connection to end")
    peer.close()


def test_connections_are_asked_to_go_after_their_age(own):
    """connection_age_max: the client moves to a new connection and loses nothing."""
    gateway, peers = own(2, limits={"connection_age_max_ms": 1000})
    with Load(peers, lookup, prefix=unique("a")) as load:
        began = time.monotonic()
        wait_for(lambda: load.done_since(began + 5) > 10, 20, "calls over several connection ages")
    assert not load.errors, (load.codes(), load.errors[:3])
