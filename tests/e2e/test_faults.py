"""kill -9 of a worker, the auditor, the control database and a department's database under load: only
retryable errors, no record without its audit entry, service back within 5 s unaided."""

import contextlib
import os
import re
import signal
import subprocess
import time
from types import SimpleNamespace

import grpc
import pytest

from audit_log import AuditLog, leaf_hash, root
from clients import Peer, Records, unique
from conftest import STREETS
from harness import run, wait_for
from load import Load

KEYS = ["110101001", "110101002", "110101003", "110105001"]
BACK_SECONDS = 5


@pytest.fixture
def house(new_cluster, new_gateway, pki, stubs):
    """A house of its own: control and departments in separate clusters, a gateway, a consumer with an
    agreement, and clients on several connections."""
    control = new_cluster("control")
    departments = new_cluster("statistics", "civil-affairs")
    gateway = new_gateway(cluster=control, departments=departments).start()
    name = unique()
    certificate = pki.system("health", name)
    peers = []

    def connect(certificate, listener="systems"):
        # Reconnect at once: the test measures the gateway, not the client's back-off.
        peers.append(Peer(stubs, gateway, certificate, listener, options=[
            ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200),
            # also the time-out of one attempt to connect
            ("grpc.min_reconnect_backoff_ms", 2000)]))
        return peers[-1]
    officer = connect("statistics-officer", "officers")
    dataset = officer.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=STREETS), timeout=10)
    officer.grant(f"health/{name}", STREETS, [field.name for field in dataset.fields])
    house = SimpleNamespace(control=control, departments=departments, gateway=gateway, officer=officer,
                            audit=AuditLog(control, stubs), records=Records(dataset),
                            peers=[connect(certificate) for _ in range(6)])
    for peer in house.peers:
        wait_for(lambda: works(peer), 5, "the agreement to be known")
    yield house
    for peer in peers:
        peer.close()


def works(peer):
    try:
        return bool(peer.lookup(STREETS, KEYS[0], timeout=2).record.value)
    except grpc.RpcError:
        return False


def lookup(peer, request_id):
    key = KEYS[hash(request_id) % len(KEYS)]
    answer = peer.lookup(STREETS, key, request_id=request_id, timeout=3)
    assert answer.record.value


def query(peer, request_id):
    records = 0
    for batch in peer.query(STREETS, request_id=request_id, timeout=10):
        records += len(batch.records)
    assert records == 41352, f"a stream ended well with {records} records"


def survives(house, break_it, call=lookup, repair=None):
    """Breaks something under load and checks the promise."""
    with Load(house.peers, call, prefix=unique("f")) as load:
        wait_for(lambda: len(load.answered) > 30 if call is lookup else len(load.answered) > 3, 30,
                 lambda: f"load; errors {load.codes()}\n{house.gateway.log()[-2000:]}")
        break_it()
        if repair:
            repair()
        broken = time.monotonic()
        wait_for(lambda: load.done_since(broken + 0.2) > (20 if call is lookup else 2), BACK_SECONDS,
                 lambda: f"service to be back; errors {load.codes()}\n{house.gateway.log()[-2000:]}")
        # Every connection must be back, not just one.
        wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "every connection to work")
    load.only_retryable()
    every_answer_is_in_the_log(house, load)
    return load


def every_answer_is_in_the_log(house, load):
    entry = house.audit.entry_type
    logged = {}
    for one in house.audit.entries():
        if one.kind == entry.DECISION and one.decision.outcome == entry.ALLOWED:
            logged[one.request_id] = logged.get(one.request_id, 0) + 1
    missing = [request_id for request_id, _ in load.answered if logged.get(request_id) != 1]
    assert not missing, f"{len(missing)} of {len(load.answered)} answers without exactly one entry"
    size, head_root, leaves = house.audit.head()
    assert len(leaves) == size
    assert root([leaf_hash(leaf) for leaf in leaves]) == head_root
    assert house.audit.ids_are_unique()


def kill(pids):
    assert pids, "nothing to kill"
    os.kill(pids[0], signal.SIGKILL)


@pytest.mark.parametrize("call", [lookup, query], ids=["lookups", "streams"])
def test_kill_of_a_worker(house, call):
    survives(house, lambda: kill(house.gateway.children("worker")), call)
    assert len(house.gateway.children("worker")) == 2


@pytest.mark.parametrize("call", [lookup, query], ids=["lookups", "streams"])
def test_what_a_dead_worker_had_decided_is_marked(house, call):
    """A decision in the log whose answer nobody got has a DELIVERY or a RECOVERY entry."""
    house.gateway.reload()
    wait_for(lambda: "generation_gone" in house.gateway.log(), 20, "a reload")
    wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "service")
    entry = house.audit.entry_type
    assert not [one for one in house.audit.entries() if one.kind == entry.RECOVERY], "nobody has died yet"
    def recovered():
        return any(one.kind == entry.RECOVERY for one in house.audit.entries())
    for _ in range(6):  # a worker that dies between two calls leaves none open
        load = survives(house, lambda: kill(house.gateway.children("worker")), call)
        with contextlib.suppress(AssertionError):
            wait_for(recovered, 5, "the entries")
            break
    assert recovered()
    entries = house.audit.entries()
    answered = {request_id for request_id, _ in load.answered}
    marked = {one.exchange_id for one in entries if one.kind in (entry.DELIVERY, entry.RECOVERY)}
    open_ = [one for one in entries if one.kind == entry.DECISION and one.decision.outcome == entry.ALLOWED
             and one.request_id.startswith(load.prefix) and one.request_id not in answered]
    assert not [one.request_id for one in open_ if one.exchange_id not in marked]
    recovery = [one for one in entries if one.kind == entry.RECOVERY]
    sums = [one for one in recovery if one.stands_for]
    named = [one for one in recovery if not one.stands_for]
    assert len(sums) == 1 and sums[0].stands_for == len(named) <= 2 * len(house.peers)
    decided = {one.exchange_id: one for one in entries if one.kind == entry.DECISION}
    for one in named:
        # The dead worker's own, with who, why and what of its decision.
        assert decided[one.exchange_id].boot_id.hex() == one.what.object == sums[0].what.object
        assert one.who == decided[one.exchange_id].who and one.what.dataset == STREETS
        assert (one.decision.outcome, one.decision.reason) == (entry.FAILED, "DELIVERY_UNKNOWN")


@pytest.mark.parametrize("call", [lookup, query], ids=["lookups", "streams"])
def test_kill_of_the_auditor(house, call):
    survives(house, lambda: kill(house.gateway.children("auditor")), call)
    assert len(house.gateway.children("auditor")) == 1


@pytest.mark.parametrize("call", [lookup, query], ids=["lookups", "streams"])
def test_kill_of_the_control_database(house, call):
    survives(house, house.control.kill, call, repair=house.control.up)


@pytest.mark.parametrize("call", [lookup, query], ids=["lookups", "streams"])
def test_kill_of_a_departments_database(house, call):
    survives(house, house.departments.kill, call, repair=house.departments.up)


def test_an_immediate_restart_of_the_control_database_loses_nothing(house):
    for _ in range(3):
        survives(house, house.control.kill, repair=house.control.up)


def test_with_the_audit_store_down_no_record_leaves(house):
    """Promise 1: a clear error, no record, and recovery alone."""
    house.control.down()
    wait_for(lambda: not works(house.peers[0]), 3, "the gateway to notice")
    failure = house.peers[0].failure(lambda: house.peers[0].lookup(STREETS, KEYS[0], timeout=5))
    assert failure.code == grpc.StatusCode.UNAVAILABLE
    assert failure.text
    assert not any(works(peer) for peer in house.peers)
    house.control.up()
    wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "recovery")


def test_with_the_audit_store_read_only_no_record_leaves(house):
    role = "gateway_auditor"
    house.control.rows("admin", f"ALTER ROLE {role} SET default_transaction_read_only = on")
    house.control.rows("admin", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
    try:
        wait_for(lambda: not works(house.peers[0]), 5, "the gateway to notice")
        assert not any(works(peer) for peer in house.peers)
    finally:
        house.control.rows("admin", f"ALTER ROLE {role} RESET default_transaction_read_only")
        house.control.rows("admin", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
    wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "recovery")


@contextlib.contextmanager
def small_disk(folder, mebibytes):
    """A file system of its own, which a test may fill."""
    privileged = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder.mkdir()
    run(*privileged, "mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0777", "tmpfs", folder)
    try:
        yield folder
    finally:
        # Lazily: PostgreSQL still has files open there.
        run(*privileged, "umount", "--lazy", folder)


def test_with_the_audit_stores_disk_full_no_record_leaves(house, workspace):
    """ENOSPC while an entry is written: it is an error of the call, nothing leaves, nothing breaks."""
    with small_disk(workspace / unique("disk"), 16) as disk:
        space = disk / "space"
        run("install", "-d", "-m", "0700", "-o", str((house.control.place() / "data").stat().st_uid), space)
        house.control.rows("admin", f"CREATE TABLESPACE small LOCATION '{space}'")
        house.control.rows("admin", "GRANT CREATE ON TABLESPACE small TO PUBLIC")
        for (part,) in house.control.rows("control", "SELECT inhrelid::regclass::text FROM pg_inherits"
                                          " WHERE inhparent = 'audit.entry'::regclass"):
            house.control.rows("control", f"ALTER TABLE {part} SET TABLESPACE small")
        wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "service from the small disk")
        with Load(house.peers, lookup, prefix=unique("full")) as load:
            wait_for(lambda: len(load.answered) > 30, 30, "load")
            with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
                while filler.write(bytes(65536)):
                    pass
            # What room its last pages had is used up, and then no call is answered any more.
            wait_for(lambda: load.errors, 30, "the disk to be felt")
            quiet = time.monotonic()
            wait_for(lambda: time.monotonic() > quiet + 1, 2, "a second")
            assert not load.done_since(quiet + 0.5)
            failure = house.peers[0].failure(lambda: house.peers[0].lookup(STREETS, KEYS[0], timeout=5))
            assert failure.code == grpc.StatusCode.UNAVAILABLE and failure.text
            (disk / "filler").unlink()
            free = time.monotonic()
            wait_for(lambda: load.done_since(free) > 20, BACK_SECONDS, lambda: f"recovery\n{house.gateway.log()[-2000:]}")
        load.only_retryable()
        every_answer_is_in_the_log(house, load)
        house.gateway.stop()
        house.control.down()


def test_a_department_that_is_down_closes_only_its_datasets(house):
    """Its own calls fail with a retryable error; the gateway stays ready for others."""
    house.departments.down()
    wait_for(lambda: not works(house.peers[0]), 3, "the gateway to notice")
    failure = house.peers[0].failure(lambda: house.peers[0].lookup(STREETS, KEYS[0], timeout=5))
    assert failure.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    listed = house.officer.agreements.ListAgreements(
        house.officer.stubs.agreement.ListAgreementsRequest(), timeout=5)
    assert listed.agreements
    house.departments.up()
    wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "recovery")


def test_a_frozen_control_database_ends_the_lease(house):
    """SIGSTOP, so that connections stay open and say nothing: within the lease nothing leaves any more."""
    pids = house.control.processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        frozen = time.monotonic()
        wait_for(lambda: time.monotonic() > frozen + 1.0, 2, "the lease to end")
        for peer in house.peers:
            failure = peer.failure(lambda: peer.lookup(STREETS, KEYS[0], timeout=1))
            assert failure.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "recovery")


@pytest.mark.long
@pytest.mark.parametrize("round", range(50))
def test_campaign_of_kills(house, round):
    """Each round one of the four, at a moment that the load decides."""
    faults = [lambda: survives(house, lambda: kill(house.gateway.children("worker"))),
              lambda: survives(house, lambda: kill(house.gateway.children("auditor"))),
              lambda: survives(house, house.control.kill, repair=house.control.up),
              lambda: survives(house, house.departments.kill, repair=house.departments.up)]
    faults[round % 4]()


class Tracer:
    """strace(1) on a process and what it starts; with a fault, which it injects into the third such call."""

    def __init__(self, pid, folder, *options):
        self.out = folder / unique("strace")
        self.process = subprocess.Popen(["strace", "-f", "-p", str(pid), "-o", str(self.out), *options],
                                        stderr=subprocess.PIPE, text=True)
        assert "attached" in self.process.stderr.readline()

    def seen(self):
        return self.out.read_text(errors="replace") if self.out.exists() else ""

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.process.stderr.close()
        return self.seen()


def calls_of_the_auditor(house, folder):
    """Names of the system calls with which it appends under load."""
    tracer = Tracer(house.gateway.children("auditor")[0], folder)
    with Load(house.peers, lookup, prefix=unique("s")) as load:
        wait_for(lambda: len(load.answered) > 200, 60, "load under the tracer")
    names = set(re.findall(r"^\d+ +(\w+)\(", tracer.stop(), re.MULTILINE))
    assert {"epoll_wait", "fdatasync"} <= names, names
    return sorted(names)


def strike(house, folder, name, fault):
    """Makes the auditor's third such call from now fail, under load; answers the seconds without service, or
    None when no such call came."""
    tracer = Tracer(house.gateway.children("auditor")[0], folder, "-e", f"trace={name}",
                    "-e", f"inject={name}:{fault}:when=3")

    def injected():
        return "INJECTED" in tracer.seen() or "SIGKILL" in tracer.seen()
    with Load(house.peers, lookup, prefix=unique("f")) as load:
        with contextlib.suppress(AssertionError):
            wait_for(injected, 10, "the fault")
        felt = injected()
        struck = time.monotonic()
        tracer.stop()
        wait_for(lambda: load.done_since(struck + 0.2) > 20, 60,
                 lambda: f"service after {name}; errors {load.codes()}\n{house.gateway.log()[-2000:]}")
        seconds = time.monotonic() - struck
        wait_for(lambda: all(works(peer) for peer in house.peers), BACK_SECONDS, "every connection to work")
    load.only_retryable()
    every_answer_is_in_the_log(house, load)
    return seconds if felt else None


def test_a_way_to_the_auditor_that_breaks_is_made_anew(house, workspace):
    """The auditor lives and has only let go of one process: it must not stay cut off."""
    auditor = house.gateway.children("auditor")
    seconds = strike(house, workspace, "recvmsg", "error=EIO")
    assert seconds is not None and seconds < BACK_SECONDS
    assert "auditor_gone" in house.gateway.log() and house.gateway.children("auditor") == auditor


@pytest.mark.long
@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_each_system_call_of_an_append_may_fail(house, workspace, fault):
    """What the kernel refuses the auditor, or kills it at, loses no entry, doubles none and releases nothing."""
    house.gateway.may_abort = True  # without random numbers, or events, it can but end and be started again
    seconds = {name: strike(house, workspace, name, fault) for name in calls_of_the_auditor(house, workspace)}
    felt = {name: round(value, 1) for name, value in seconds.items() if value is not None}
    print(f"{fault}: seconds until 20 answers: {felt}")
    # libpq keeps a send that failed to itself until a read fails too: the commit's time limit ends that.
    slow = {name for name, value in felt.items() if value > BACK_SECONDS}
    assert len(felt) >= 8 and slow <= {"sendto"}, felt
