"""2 x workers x pool must fit the connection limits: checked at the start, named with its numbers."""

import grpc
import psycopg2
import pytest

from clients import Peer
from conftest import STREETS, TOWNS
from harness import wait_for

WORKERS = 2
CONTROL = 2 * WORKERS * (1 + 3 + 1)
SOURCE = 2 * WORKERS * (2 + 8 + 1)


@pytest.fixture
def own(new_cluster, stubs, new_gateway):
    """Databases of its own, whose limits a test may change, and a gateway that is not started."""
    cluster = new_cluster("control", "statistics", "civil-affairs")
    return cluster, new_gateway(cluster=cluster)


def limit(cluster, role, number):
    user = psycopg2.extensions.parse_dsn(cluster.conninfo[role])["user"]
    cluster.rows("admin", f'ALTER ROLE "{user}" CONNECTION LIMIT {number}')


def seen(gateway, stubs, name, by):
    peer = Peer(stubs, gateway, f"{by}-officer", "officers")
    try:
        return peer.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=name), timeout=5)
    except grpc.RpcError:
        return None
    finally:
        peer.close()


def test_a_control_database_with_too_few_connections_refuses_the_start(own):
    cluster, gateway = own
    limit(cluster, "worker", CONTROL - 1)
    gateway.spawn()
    assert gateway.process.wait(20) == 78
    assert (f"control database: 2 generations x {WORKERS} workers x 5 connections = {CONTROL}, but its role"
            f" allows {CONTROL - 1}") in gateway.log()
    limit(cluster, "worker", CONTROL)
    gateway.start()
    before = set(gateway.children("worker"))
    # A reload that asks for more is refused; what runs goes on.
    gateway.change(workers=WORKERS + 1)
    mark = len(gateway.log())
    gateway.reload()
    wait_for(lambda: "generation_refused" in gateway.log()[mark:], 15, "the refusal")
    assert f"but its role allows {CONTROL}" in gateway.log()[mark:]
    wait_for(lambda: set(gateway.children("worker")) == before, 5, "the generation before alone")
    assert gateway.ready()


def test_a_source_with_too_few_connections_is_closed_and_opens_by_itself(own, stubs):
    cluster, gateway = own
    limit(cluster, "statistics", SOURCE - 1)
    gateway.start()
    closed = wait_for(lambda: seen(gateway, stubs, STREETS, "statistics"), 10, "the dataset to be listed")
    assert closed.state == "closed"
    assert f"= {SOURCE}, but its role allows {SOURCE - 1}" in closed.state_reason
    assert seen(gateway, stubs, TOWNS, "civil-affairs").state == "ready"
    limit(cluster, "statistics", SOURCE)
    wait_for(lambda: seen(gateway, stubs, STREETS, "statistics").state == "ready", 10, "it to open")
    limit(cluster, "statistics", SOURCE - 1)
    wait_for(lambda: seen(gateway, stubs, STREETS, "statistics").state == "closed", 10, "it to close")


def test_the_servers_own_limit_counts(own):
    cluster, gateway = own
    gateway.change(workers=64)
    gateway.spawn()
    assert gateway.process.wait(30) == 78
    assert "2 generations x 64 workers x 5 connections = 640, but the server allows" in gateway.log()
