"""Memory does not grow with rows; a slow reader slows the database, not the gateway."""

import threading
import time

from conftest import STREETS, VILLAGES
from clients import Peer, unique
from harness import wait_for

MIB = 1 << 20
KEY = "110101001"


def total(gateway):
    return sum(gateway.resident_bytes(pid) for pid in [gateway.process.pid, *gateway.children()])


def largest_worker(gateway):
    return max(gateway.resident_bytes(pid) for pid in gateway.children("worker"))


def agree(officers, pki):
    name = unique()
    officers["statistics"].grant(f"health/{name}", VILLAGES, ["code", "name"])
    officers["statistics"].grant(f"health/{name}", STREETS, ["code", "name"])
    return pki.system("health", name)


def test_the_idle_gateway_is_small(new_gateway):
    gateway = new_gateway().start()
    assert total(gateway) < 64 * MIB, total(gateway) / MIB


def test_it_is_ready_within_a_second(new_gateway):
    gateway = new_gateway()
    began = time.monotonic()
    gateway.start()
    assert time.monotonic() - began < 1.0


def test_a_reader_that_stops_costs_the_worker_nothing(new_gateway, villages, officers, pki, stubs, cluster):
    """620,573 villages to a reader that stops reading for ten seconds: RSS grows below 8 MiB and the
    database backend waits for its client."""
    gateway = new_gateway(workers=1).start()
    certificate = agree(officers, pki)
    peer = Peer(stubs, gateway, certificate)
    wait_for(lambda: small_call(peer), 5, "the agreement")
    list(peer.query(VILLAGES, limit=5000))  # what a first stream allocates once
    before = largest_worker(gateway)
    stream = peer.query(VILLAGES, timeout=120)
    received = len(next(stream).records)

    def backend_waits():
        rows = cluster.rows("admin", "SELECT wait_event FROM pg_stat_activity WHERE datname = 'statistics' "
                            "AND usename = 'statistics_reader' AND state = 'active'")
        return ("ClientWrite",) in rows  # the drift probe may be active beside it
    wait_for(backend_waits, 10, "the backend to wait for the gateway")
    peak = before
    until = time.monotonic() + 10  # the ten seconds of the promise
    while time.monotonic() < until:
        peak = max(peak, largest_worker(gateway))
        # A sample may fall into the moment in which the backend wakes, or takes the little that the
        # client's own window grew by; it must be waiting again at once.
        wait_for(backend_waits, 1, "the backend to wait for the gateway again")
        threading.Event().wait(0.2)
    received += sum(len(batch.records) for batch in stream)
    peak = max(peak, largest_worker(gateway))
    assert received == 620573
    assert peak - before < 8 * MIB, (peak - before) / MIB
    peer.close()


def test_one_stalled_stream_starves_no_other_on_its_connection(new_gateway, villages, officers, pki, stubs):
    gateway = new_gateway(workers=1).start()
    peer = Peer(stubs, gateway, agree(officers, pki))
    wait_for(lambda: small_call(peer), 5, "the agreement")
    stalled = peer.query(VILLAGES, timeout=60)
    next(stalled)
    for _ in range(50):
        assert small_call(peer)
    assert sum(len(batch.records) for batch in peer.query(STREETS)) == 41352
    stalled.cancel()
    peer.close()


def test_a_stream_holds_no_more_for_more_rows(new_gateway, villages, officers, pki, stubs):
    gateway = new_gateway(workers=1).start()
    peer = Peer(stubs, gateway, agree(officers, pki))
    wait_for(lambda: small_call(peer), 5, "the agreement")
    peaks = []
    for limit in (20000, 620573):
        peak = 0
        for batch in peer.query(VILLAGES, limit=limit, timeout=120):
            peak = max(peak, largest_worker(gateway))
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 2 * MIB, [peak / MIB for peak in peaks]
    peer.close()


def small_call(peer):
    import grpc
    try:
        return bool(peer.lookup(STREETS, KEY, timeout=5).record.value)
    except grpc.RpcError:
        return False
