"""A new revocation list takes effect without a generation: new handshakes, live connections, running calls."""

import os
import shutil

import grpc
import pytest

from clients import Peer, unique
from conftest import STREETS, VILLAGES
from harness import Pki, run, wait_for
from load import Load

KEY = "110101001"
SECONDS = 8


def lookup(peer, request_id):
    assert peer.lookup(STREETS, KEY, request_id=request_id, timeout=10).record.value


def answers(peer):
    try:
        lookup(peer, unique("warm"))
        return True
    except grpc.RpcError:
        return False


@pytest.fixture
def own(new_gateway, pki, stubs, officers, workspace):
    """own(3): a gateway with an authority of its own and as many systems, each with an agreement."""
    peers = []
    folder = workspace / unique("pki")
    shutil.copytree(pki.folder, folder)
    copy = Pki(folder)

    def make(count):
        gateway = new_gateway(pki=copy).start()
        for _ in range(count):
            name = unique()
            certificate = copy.system("health", name)
            for dataset in (STREETS, VILLAGES):
                officers["statistics"].grant(f"health/{name}", dataset, ["code", "name"])
            peers.append(Peer(stubs, gateway, certificate))
            wait_for(lambda: answers(peers[-1]), 5, "the agreement to be known")
        return gateway, peers
    yield make
    for peer in peers:
        peer.close()


def test_a_revoked_peer_is_cut_and_others_go_on(own, stubs):
    gateway, (revoked, *others) = own(3)
    workers = set(gateway.children("worker"))
    with Load(others, lookup, prefix=unique("c")) as load:
        wait_for(lambda: len(load.answered) > 10, 10, "load")
        gateway.pki.revoke(revoked.certificate)
        wait_for(lambda: not answers(revoked), SECONDS, "the revoked peer to be refused")
        done = len(load.answered)
        wait_for(lambda: len(load.answered) > done + 20, 10, "the others' calls")
    assert not load.errors, load.errors[:3]
    assert set(gateway.children("worker")) == workers
    again = Peer(stubs, gateway, revoked.certificate)
    assert again.failure(lambda: lookup(again, unique())).code == grpc.StatusCode.UNAVAILABLE
    again.close()


def test_a_running_stream_of_a_revoked_peer_ends(own, villages):
    gateway, (peer,) = own(1)
    stream = peer.query(VILLAGES, timeout=60)
    next(stream)
    gateway.pki.revoke(peer.certificate)
    # The reader stops, so that the stream is still running when the list is read.
    wait_for(lambda: "peer_certificate_revoked" in gateway.log(), SECONDS, "the list to be read")
    failure = peer.failure(lambda: list(stream))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED"), failure


@pytest.mark.parametrize("broken", ["text", "cut", "stranger", "expired", "gone"])
def test_a_broken_list_keeps_the_one_before(own, broken, workspace):
    gateway, (revoked, other) = own(2)
    mark = len(gateway.log())
    gateway.pki.revoke(revoked.certificate)
    # Both have it: a worker that has not keeps the list without the revocation.
    wait_for(lambda: gateway.log()[mark:].count("crl_renewed") == 2, SECONDS, "both workers to read the list")
    wait_for(lambda: not answers(revoked), SECONDS, "the revoked peer to be refused")
    crl = gateway.pki.path("crl.pem")
    good = crl.read_bytes()
    mark = len(gateway.log())
    if broken == "text":
        content = b"no list\n"
    elif broken == "cut":
        content = good[:len(good) // 2]
    elif broken == "stranger":
        content = Pki(workspace / unique("stranger")).read("crl.pem")
    elif broken == "expired":
        ca = gateway.pki.folder / "ca"
        run("openssl", "ca", "-config", ca / "openssl.cnf", "-gencrl", "-crl_lastupdate", "20200101000000Z",
            "-crl_nextupdate", "20200102000000Z", "-out", ca / "old.pem")
        content = (ca / "old.pem").read_bytes()
    if broken == "gone":
        crl.unlink()
    else:
        fresh = crl.with_suffix(".new")
        fresh.write_bytes(content)
        os.rename(fresh, crl)
    wait_for(lambda: gateway.log()[mark:].count("crl_refused") == 2, SECONDS, "both workers to refuse it")
    assert answers(other)
    assert not answers(revoked)
    crl.write_bytes(good)
    mark = len(gateway.log())
    wait_for(lambda: gateway.log()[mark:].count("crl_renewed") == 2, SECONDS, "the good list again")
    assert answers(other)
