"""Upgrade in place: SIGUSR2 puts the binary on disk in the place of the running master; no call is dropped."""

import os
import shutil
import signal
import socket

import grpc
import pytest

from clients import Peer, unique
from conftest import STREETS, VILLAGES
from harness import BUILD, wait_for
from load import Load

KEY = "110101001"


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
    """own(4): a gateway whose binary is a file of its own, and clients of a system with an agreement."""
    peers = []

    def make(count):
        gateway = new_gateway()
        gateway.program = gateway.folder / "sluiced"
        shutil.copy(BUILD / "sluiced", gateway.program)
        gateway.start()
        name = unique()
        certificate = pki.system("health", name)
        for dataset in (STREETS, VILLAGES):
            officers["statistics"].grant(f"health/{name}", dataset, ["code", "name"])
        for _ in range(count):
            peers.append(Peer(stubs, gateway, certificate))
            wait_for(lambda: answers(peers[-1]), 5, "the agreement to be known")
        return gateway, peers[-count:]
    yield make
    for peer in peers:
        peer.close()


def replace(gateway, content):
    """As a package manager does: another file under the same name."""
    fresh = gateway.program.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    os.rename(fresh, gateway.program)


def running_inode(gateway):
    return os.stat(f"/proc/{gateway.process.pid}/exe").st_ino


def upgrade(gateway, alone=True):
    """alone: until the generation before has gone too, which a running stream keeps."""
    replace(gateway, (BUILD / "sluiced").read_bytes())
    before = set(gateway.children("worker"))
    gateway.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: running_inode(gateway) == os.stat(gateway.program).st_ino, 15,
             lambda: f"the new binary\n{gateway.log()[-3000:]}")
    wait_for(lambda: len(set(gateway.children("worker")) - before) == len(before)
             and not (alone and before & set(gateway.children("worker"))), 20,
             lambda: f"a generation of the new binary\n{gateway.log()[-3000:]}")


def refused(gateway, content):
    pid, inode = gateway.process.pid, running_inode(gateway)
    children = set(gateway.children())
    mark = len(gateway.log())
    replace(gateway, content)
    gateway.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: "upgrade_refused" in gateway.log()[mark:], 15, "the refusal")
    assert gateway.process.poll() is None and gateway.process.pid == pid
    assert running_inode(gateway) == inode
    wait_for(lambda: set(gateway.children()) == children, 5, "the same processes")


def test_an_upgrade_drops_no_call(own):
    gateway, peers = own(4)
    pid = gateway.process.pid
    with Load(peers, lookup, prefix=unique("u")) as load:
        for _ in range(3):
            done = len(load.answered)
            upgrade(gateway)
            wait_for(lambda: len(load.answered) > done + 20, 20, "calls after the upgrade")
    assert not load.errors, (load.codes(), load.errors[:3])
    assert gateway.process.pid == pid and gateway.process.poll() is None
    assert gateway.log().count("event=upgraded") == 3


def test_new_connections_during_an_upgrade_are_not_reset(own, stubs):
    gateway, peers = own(1)

    def fresh(_, request_id):
        peer = Peer(stubs, gateway, peers[0].certificate)
        try:
            lookup(peer, request_id)
        finally:
            peer.close()
    with Load([None] * 4, fresh, prefix=unique("n")) as load:
        for _ in range(2):
            upgrade(gateway)
    assert len(load.answered) > 20
    assert not load.errors, (load.codes(), load.errors[:3])


def test_a_stream_that_runs_over_an_upgrade_is_complete(own, villages):
    gateway, peers = own(1)
    stream = peers[0].query(VILLAGES, timeout=120)
    received = len(next(stream).records)
    upgrade(gateway, alone=False)
    assert len(gateway.children("worker")) > 2
    received += sum(len(batch.records) for batch in stream)
    assert received == 620573


def test_the_upgraded_master_looks_after_its_processes(own):
    """It starts dead ones again, reloads, sees generations end, and drains on SIGTERM."""
    gateway, peers = own(1)
    upgrade(gateway)
    wait_for(lambda: len(gateway.children()) == 3, 20, "the generation before to be gone")
    for name in ("worker", "auditor"):
        count = len(gateway.children(name))
        killed = gateway.children(name)[0]
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len(gateway.children(name)) == count and killed not in gateway.children(name), 5,
                 f"the {name} again")
    wait_for(lambda: answers(peers[0]), 5, "service")
    before = set(gateway.children("worker"))
    gateway.reload()
    wait_for(lambda: not before & set(gateway.children("worker")), 20, "a reload")
    with socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5):
        pass
    gateway.terminate()
    assert gateway.process.wait(35) == 0


@pytest.mark.parametrize("content", [
    b"#!/bin/sh\nexit 1\n", b"", b"no program\n", b"#!/bin/sh\nkill -9 $$\n", b"\x7fELF"],
    ids=["fails", "empty", "text", "dies", "cut"])
def test_a_binary_that_fails_its_check_is_refused(own, content):
    gateway, peers = own(2)
    with Load(peers, lookup, prefix=unique("x")) as load:
        wait_for(lambda: len(load.answered) > 5, 10, "load")
        refused(gateway, content)
        done = len(load.answered)
        wait_for(lambda: len(load.answered) > done + 20, 20, "service")
    assert not load.errors, load.errors[:3]
    upgrade(gateway)


def test_a_binary_that_hangs_in_its_check_is_refused(own):
    gateway, peers = own(1)
    pid = gateway.process.pid
    mark = len(gateway.log())
    replace(gateway, b"#!/bin/sh\nexec sleep 60\n")
    gateway.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: "upgrade_refused" in gateway.log()[mark:], 20, "the refusal")
    assert gateway.process.pid == pid
    lookup(peers[0], unique())


def test_a_bad_configuration_refuses_the_upgrade(own):
    gateway, peers = own(1)
    good = gateway.config_file.read_text()
    gateway.config_file.write_text(good.replace('"workers": 2', '"workers": 2, "wrokers": 3'))
    refused(gateway, (BUILD / "sluiced").read_bytes())
    assert "wrokers" in gateway.log()
    lookup(peers[0], unique())
    gateway.config_file.write_text(good)
    upgrade(gateway)
