"""Schema bundles in the control database: publish, approve, a new generation; what is refused, and where."""

import os
import shutil
import signal
import time
from types import SimpleNamespace

import grpc
import psycopg2
import pytest

from audit_log import AuditLog
from clients import Peer, unique
from conftest import STREETS, TOWNS
from harness import BUILD, REPO, Cluster, register, wait_for
from load import Load

KEY = "110101001"
SWITCH_SECONDS = 10


class Folder:
    """A copy of schemas/ that a test edits, and its files as the RPC takes them."""

    def __init__(self, path):
        self.path = path
        for part in ("departments", "codes"):
            shutil.copytree(REPO / "schemas" / part, path / part)
        shutil.copy(BUILD / "schemas/canonical.pb", path / "canonical.pb")

    def edit(self, name, old, new):
        file = self.path / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        return self

    def copy_dataset(self, old, new):
        shutil.copy(self.path / f"departments/{old}.yaml", self.path / f"departments/{new}.yaml")
        return self

    def files(self, stubs):
        return [stubs.schema.SchemaFile(path=str(file.relative_to(self.path)), content=file.read_bytes())
                for file in sorted(self.path.rglob("*")) if file.is_file()]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "schemas")


@pytest.fixture(scope="module")
def control(workspace):
    """A control database for the tests of this file."""
    made = Cluster(workspace / unique("db"), "control")
    register(made)
    yield made
    made.remove()


def as_superuser(control, *statements):
    """What no role of the gateway may do: without the triggers that keep bundles as they are."""
    database = psycopg2.extensions.parse_dsn(control.conninfo["control"])["dbname"]
    connection = psycopg2.connect(control.conninfo["admin"], dbname=database)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
    connection.close()


@pytest.fixture
def house(control, cluster, new_gateway, pki, stubs):
    """A gateway that takes its schemas from the control database, in which nothing is published."""
    as_superuser(control, "TRUNCATE control.schema_blob, control.schema_bundle, control.schema_file,"
                 " control.schema_dataset, control.schema_history, control.schema_approval,"
                 " control.schema_gateway, control.schema_current",
                 "INSERT INTO control.schema_current (n) VALUES (0)",
                 "UPDATE control.schema_policy SET single_officer = false")
    gateway = new_gateway(cluster=control, departments=cluster, schemas={"from": "control"}).start()
    peers = {}

    def officer(department):
        if department not in peers:
            peers[department] = Peer(stubs, gateway, f"{department}-officer", "officers")
        return peers[department]

    def publish(files, by="health"):
        request = stubs.schema.PublishSchemaRequest(files=files)
        return officer(by).schemas.Publish(request, timeout=20)

    def approve(digest, by, reason="checked"):
        request = stubs.schema.ApproveSchemaRequest(digest=digest, reason=reason)
        return officer(by).schemas.Approve(request, timeout=10)

    def serve(folder, *approvers, by="health"):
        """Publishes, approves and waits until the gateway has gone over."""
        mark = len(gateway.log())
        bundle = publish(folder.files(stubs), by)
        for department in approvers:
            bundle = approve(bundle.digest, department)
        assert bundle.state == stubs.schema.SCHEMA_CURRENT
        wait_for(lambda: served() == bundle.digest and "generation_ready" in gateway.log()[mark:], SWITCH_SECONDS,
                 lambda: f"the gateway to serve it\n{gateway.log()[-3000:]}")
        return bundle.digest

    def served():
        rows = control.rows("control", "SELECT encode(serving, 'hex') FROM control.schema_gateway")
        return rows[0][0] if rows else None

    house = SimpleNamespace(control=control, gateway=gateway, officer=officer, publish=publish,
                            approve=approve, serve=serve, served=served, stubs=stubs,
                            audit=AuditLog(control, stubs))
    house.mark = house.audit.size() - 1
    yield house
    for peer in peers.values():
        peer.close()


@pytest.fixture
def consumers(house, pki, stubs):
    """consumers(4): clients of one system that may read the streets."""
    peers = []

    def make(count):
        name = unique()
        certificate = pki.system("health", name)
        for dataset in (STREETS,):
            wait_for(lambda: granted(name, dataset), SWITCH_SECONDS, "the grant")
        peers.extend(Peer(stubs, house.gateway, certificate) for _ in range(count))
        for peer in peers:
            wait_for(lambda: works(peer), 5, "the agreement to be known")
        return peers

    def granted(name, dataset):
        try:
            return house.officer("statistics").grant(f"health/{name}", dataset, ["code", "name"])
        except grpc.RpcError:
            return None  # the officer's connection still ends in the generation before
    yield make
    for peer in peers:
        peer.close()


def lookup(peer, request_id):
    assert peer.lookup(STREETS, KEY, request_id=request_id, timeout=10).record.value


def works(peer):
    try:
        lookup(peer, unique("warm"))
        return True
    except grpc.RpcError:
        return False


def names(house, department):
    peer = Peer(house.stubs, house.gateway, f"{department}-officer", "officers")
    try:
        listed = peer.catalog.ListDatasets(house.stubs.catalog.ListDatasetsRequest(), timeout=5)
        return {dataset.name for dataset in listed.datasets}
    finally:
        peer.close()


def test_publish_approve_and_a_new_generation_without_a_dropped_call(house, folder, consumers, stubs):
    assert names(house, "statistics") == set()
    first = house.serve(folder, "civil-affairs", "statistics")
    wait_for(lambda: STREETS in names(house, "statistics"), SWITCH_SECONDS, "the first datasets")
    peers = consumers(4)
    folder.copy_dataset("statistics/streets", "statistics/streets-two")
    with Load(peers, lookup, prefix=unique("s")) as load:
        wait_for(lambda: len(load.answered) > 20, 20, "load")
        began = time.monotonic()
        second = house.serve(folder, "statistics")
        wait_for(lambda: "statistics/streets-two" in names(house, "statistics"), SWITCH_SECONDS,
                 "the new dataset")
        assert time.monotonic() - began < SWITCH_SECONDS
        switched = time.monotonic()
        wait_for(lambda: load.done_since(switched) > 50, 20, "load on the new generation")
    assert not load.errors, (load.codes(), load.errors[:3])
    cited = [entry.what.schema_digest.hex() for entry in house.audit.entries(above=house.mark)
             if entry.kind == house.audit.entry_type.DECISION]
    assert first != second and {first, second} == set(cited)
    assert cited[-1] == second


def test_every_call_is_an_entry(house, folder, stubs):
    digest = house.serve(folder, "civil-affairs", "statistics")
    officer = house.officer("health")
    officer.schemas.Check(stubs.schema.CheckSchemaRequest(files=folder.files(stubs)), timeout=20)
    officer.schemas.Diff(stubs.schema.DiffSchemasRequest(old_digest=digest), timeout=5)
    officer.schemas.Get(stubs.schema.GetSchemaRequest(), timeout=5)
    officer.schemas.List(stubs.schema.ListSchemasRequest(), timeout=5)
    entry = house.audit.entry_type
    found = {(one.what.method.rsplit("/", 1)[1], one.kind, one.decision.outcome)
             for one in house.audit.entries(above=house.mark) if "SchemaService" in one.what.method}
    assert found == {
        ("Publish", entry.POLICY_CHANGE, entry.ALLOWED), ("Approve", entry.POLICY_CHANGE, entry.ALLOWED),
        ("Check", entry.OFFICER_QUERY, entry.ALLOWED), ("Diff", entry.OFFICER_QUERY, entry.ALLOWED),
        ("Get", entry.OFFICER_QUERY, entry.ALLOWED), ("List", entry.OFFICER_QUERY, entry.ALLOWED)}
    objects = {one.what.object for one in house.audit.entries(above=house.mark)
               if one.what.method.endswith("/Approve")}
    assert objects == {digest}


def test_a_broken_bundle_is_refused_at_publish(house, folder, stubs):
    folder.edit("departments/statistics/streets.yaml", "fields:", "feilds:")
    officer = house.officer("health")
    failure = officer.failure(lambda: house.publish(folder.files(stubs)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BUNDLE_REFUSED")
    assert failure.text.startswith("departments/statistics/streets.yaml:")
    check = officer.schemas.Check(stubs.schema.CheckSchemaRequest(files=folder.files(stubs)), timeout=20)
    assert not check.valid and check.problem == failure.text
    assert house.control.rows("control", "SELECT count(*) FROM control.schema_bundle") == [(0,)]
    entry = house.audit.entry_type
    refused = [one for one in house.audit.entries(above=house.mark) if one.what.method.endswith("/Publish")]
    assert [one.decision.outcome for one in refused] == [entry.REFUSED]


@pytest.mark.parametrize("files, reason", [
    ([], "BUNDLE_INVALID"),
    ([("../x.csv", b"")], "BUNDLE_REFUSED"),
    ([("departments/d/x.yaml", b"a: b\n")], "BUNDLE_REFUSED"),
    ([("canonical.pb", b"\xff\xff\xff")], "BUNDLE_REFUSED"),
    ([("canonical.pb", b""), ("canonical.pb", b"")], "BUNDLE_REFUSED"),
    ([("codes/x.csv", b"x" * (8 << 20)), ("codes/y.csv", b"y")], "BUNDLE_TOO_LARGE"),
    ([("codes/x.csv", b"x" * (12 << 20))], "MESSAGE_TOO_LARGE"),
], ids=["none", "path", "no-types", "broken-types", "twice", "too-large", "message"])
def test_what_is_no_bundle_is_refused(house, stubs, files, reason):
    files = [stubs.schema.SchemaFile(path=path, content=content) for path, content in files]
    failure = house.officer("health").failure(lambda: house.publish(files))
    assert failure.reason == reason, failure
    assert house.officer("health").schemas.List(stubs.schema.ListSchemasRequest(), timeout=5)


def test_a_large_bundle_is_published_while_calls_go_on(house, folder, consumers, stubs):
    """7 MiB of codes: the worker that takes them answers look-ups meanwhile."""
    house.serve(folder, "civil-affairs", "statistics")
    peers = consumers(4)
    lines = "".join(f"{number},{number:08d}\n" for number in range(400000))
    (folder.path / "codes/large.csv").write_text("native,canonical\n" + lines)
    slow = []

    def timed(peer, request_id):
        began = time.monotonic()
        lookup(peer, request_id)
        slow.append(time.monotonic() - began)
    with Load(peers, timed, prefix=unique("l")) as load:
        wait_for(lambda: len(load.answered) > 20, 20, "load")
        bundle = house.publish(folder.files(stubs))
    assert not load.errors, load.errors[:3]
    # Nobody maps to the table: any other officer may approve.
    assert list(bundle.missing_departments) == ["*"]
    assert max(slow) < 2, max(slow)
    house.approve(bundle.digest, "statistics")
    wait_for(lambda: house.served() == bundle.digest, SWITCH_SECONDS, "the large bundle to be served")


def test_a_bundle_that_fails_only_at_load_leaves_the_old_generation(house, folder, consumers, stubs):
    """The mapping is right, but no gateway has that source: only a generation can say so."""
    good = house.serve(folder, "civil-affairs", "statistics")
    peers = consumers(2)
    before = set(house.gateway.children("worker"))
    folder.edit("departments/statistics/streets.yaml", "source: statistics", "source: elsewhere")
    check = house.officer("health").schemas.Check(
        stubs.schema.CheckSchemaRequest(files=folder.files(stubs)), timeout=20)
    assert check.valid and "elsewhere" in check.warnings[0]
    mark = len(house.gateway.log())
    with Load(peers, lookup, prefix=unique("b")) as load:
        bad = house.approve(house.publish(folder.files(stubs)).digest, "statistics").digest
        status = wait_for(lambda: [one for one in house.officer("statistics").schemas.List(
            stubs.schema.ListSchemasRequest(), timeout=5).gateways if one.refused], SWITCH_SECONDS,
            "the refusal in the status")
        # Later polls see the same digest: no second attempt.
        seen = time.monotonic()
        wait_for(lambda: time.monotonic() > seen + 2, 3, "a few polls more")
    assert not load.errors, load.errors[:3]
    assert status[0].refused == bad and status[0].serving == good
    assert "statistics/streets" in status[0].refused_text and "elsewhere" in status[0].refused_text
    assert house.gateway.log()[mark:].count("generation_refused") == 1
    assert set(house.gateway.children("worker")) == before
    # A reload still brings what else has changed, with the bundle that works.
    house.gateway.change(workers=3)
    house.gateway.reload()
    wait_for(lambda: len(set(house.gateway.children("worker")) - before) == 3
             and not before & set(house.gateway.children("worker")), 20, "the reload")
    lookup(peers[0], unique())
    # Mended by going back: the earlier bundle is approved again.
    back = house.approve(good, "statistics")
    assert back.state == stubs.schema.SCHEMA_CURRENT
    lookup(peers[0], unique())


def test_a_worker_that_dies_comes_back_with_its_generations_bundle(house, folder, consumers):
    good = house.serve(folder, "civil-affairs", "statistics")
    peers = consumers(4)
    folder.edit("departments/statistics/streets.yaml", "source: statistics", "source: elsewhere")
    house.approve(house.publish(folder.files(house.stubs)).digest, "statistics")
    wait_for(lambda: "generation_refused" in house.gateway.log(), SWITCH_SECONDS, "the refusal")
    killed = house.gateway.children("worker")[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(house.gateway.children("worker")) == 2
             and killed not in house.gateway.children("worker"), 5, "the worker to be started again")
    for peer in peers:
        wait_for(lambda: works(peer), 5, "service")
    assert house.served() == good


def test_who_may_approve(house, folder, stubs):
    digest = house.publish(folder.files(stubs), by="civil-affairs").digest

    def refusal(by):
        return house.officer(by).failure(lambda: house.approve(digest, by))
    own = refusal("civil-affairs")
    assert (own.code, own.reason) == (grpc.StatusCode.PERMISSION_DENIED, "BUNDLE_OWN")
    other = refusal("health")
    assert (other.code, other.reason) == (grpc.StatusCode.PERMISSION_DENIED, "BUNDLE_NOT_CONCERNED")
    pending = house.approve(digest, "statistics")
    assert pending.state == stubs.schema.SCHEMA_PENDING
    assert list(pending.missing_departments) == ["civil-affairs"]
    assert [one.department for one in pending.approvals] == ["statistics"]
    # Another officer publishes the same files: still the first publisher's.
    assert house.publish(folder.files(stubs), by="health").published_by == pending.published_by
    unknown = house.officer("health").failure(lambda: house.approve("0" * 64, "health"))
    assert unknown.reason == "BUNDLE_NOT_FOUND"
    invalid = house.officer("health").failure(lambda: house.approve("xyz", "health"))
    assert invalid.reason == "DIGEST_INVALID"
    empty = house.officer("health").failure(lambda: house.approve(digest, "health", reason=""))
    assert empty.reason == "REASON_MISSING"


def test_an_approval_holds_against_the_current_bundle_only(house, folder, stubs, tmp_path):
    house.serve(folder, "civil-affairs", "statistics")
    both = Folder(tmp_path / "both")
    both.edit("departments/statistics/streets.yaml", "title:", "# a note\ntitle:")
    both.edit("departments/civil-affairs/towns.yaml", "title:", "# a note\ntitle:")
    digest = house.publish(both.files(stubs)).digest
    assert list(house.approve(digest, "statistics").missing_departments) == ["civil-affairs"]
    folder.edit("departments/statistics/cities.yaml", "title:", "# another\ntitle:")
    house.serve(folder, "statistics")
    # It would now undo the change of the cities, which nobody has looked at in it.
    after = house.approve(digest, "civil-affairs")
    assert list(after.missing_departments) == ["statistics"]
    diff = house.officer("health").schemas.Diff(
        stubs.schema.DiffSchemasRequest(new_digest=digest), timeout=5)
    assert {(one.dataset, one.change) for one in diff.changes} == {
        (STREETS, "changed"), (TOWNS, "changed"), ("statistics/cities", "changed")}


def test_the_database_itself_keeps_four_eyes(house, folder, stubs):
    digest = house.publish(folder.files(stubs), by="statistics").digest
    publisher = house.control.rows("control", "SELECT published_by FROM control.schema_bundle")[0][0]
    insert = ("INSERT INTO control.schema_approval (digest, n, department, approved_by, reason,"
              " single_officer) VALUES (%s, 0, 'statistics', %s, 'r', true)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        house.control.rows("control", insert, [bytes.fromhex(digest), publisher])
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        house.control.rows("worker", insert, [bytes.fromhex(digest), "spiffe://x/dept/health/officer/o"])
    for statement in ("DELETE FROM control.schema_blob", "UPDATE control.schema_file SET path = 'x'",
                      "TRUNCATE control.schema_approval"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            house.control.rows("control", statement)
    with pytest.raises(psycopg2.errors.RaiseException):
        house.control.rows("worker", "SELECT control.publish_schema(%s, %s, 'statistics', 'data-officer',"
                           " '{canonical.pb}', 'x', '{1}', '{1}', '{}', '{}', '{}')",
                           [bytes(32), publisher])


def test_a_single_officer_needs_file_and_database(house, folder, stubs):
    bundle = house.publish(folder.files(stubs), by="statistics")
    house.approve(bundle.digest, "civil-affairs")
    house.control.rows("control", "UPDATE control.schema_policy SET single_officer = true")
    failure = house.officer("statistics").failure(lambda: house.approve(bundle.digest, "statistics"))
    assert failure.reason == "BUNDLE_OWN"
    before = set(house.gateway.children("worker"))
    house.gateway.change(schemas={"single_officer": True})
    house.gateway.reload()
    wait_for(lambda: not before & set(house.gateway.children("worker")), 20, "the reload")

    def approved():
        try:
            return house.approve(bundle.digest, "statistics")
        except grpc.RpcError:
            return None  # still the generation before
    done = wait_for(approved, 5, "the approval")
    assert done.state == stubs.schema.SCHEMA_CURRENT
    rows = house.control.rows("control", "SELECT department, single_officer FROM control.schema_approval"
                              " ORDER BY department")
    assert rows == [("civil-affairs", False), ("statistics", True)]


def test_mappings_of_others_come_without_content(house, folder, stubs):
    digest = house.publish(folder.files(stubs)).digest
    request = stubs.schema.GetSchemaRequest(digest=digest, with_content=True)
    bundle = house.officer("statistics").schemas.Get(request, timeout=5)
    sent = {file.path: file.content for file in folder.files(stubs)}
    assert {file.path for file in bundle.files} == set(sent)
    for file in bundle.files:
        assert file.size == len(sent[file.path])
        foreign = file.path.startswith("departments/civil-affairs/")
        assert file.content == (b"" if foreign else sent[file.path])


def test_a_bundle_that_was_altered_in_the_database_is_not_served(house, folder, stubs):
    digest = house.serve(folder, "civil-affairs", "statistics")
    as_superuser(house.control, "UPDATE control.schema_file SET path = 'departments/statistics/alleys.yaml'"
                 " WHERE path = 'departments/statistics/streets.yaml'")
    house.gateway.reload()
    wait_for(lambda: "do not have its digest" in house.gateway.log(), SWITCH_SECONDS, "the refusal")
    assert house.served() == digest


def test_without_the_control_database_the_start_says_so(new_cluster, cluster, new_gateway):
    control = new_cluster("control")
    control.down()
    gateway = new_gateway(cluster=control, departments=cluster, schemas={"from": "control"}).spawn()
    assert gateway.process.wait(30) == 78
    assert "the schema bundle cannot be read from the control database" in gateway.log()


def test_a_configuration_without_files_is_refused(new_gateway):
    gateway = new_gateway()
    del gateway.config["schemas"]["directory"]
    gateway.change()
    gateway.spawn()
    assert gateway.process.wait(10) == 78
    assert "schemas.directory is missing" in gateway.log()


def test_the_command_line(house, folder, sluice):
    def run(*arguments, officer="health"):
        return sluice(*arguments, officer=f"{officer}-officer", to=house.gateway)
    dry = run("schema", "publish", folder.path, "--dry-run")
    assert dry.returncode == 0 and "nothing was published" in dry.stderr, dry
    published = run("schema", "publish", folder.path)
    assert published.returncode == 0, published
    assert "still to approve: civil-affairs, statistics" in published.stderr
    digest = published.stderr.split("published ")[1].split()[0]
    assert run("schema", "approve", digest).returncode == 2
    assert run("schema", "approve", digest, "--reason", "x").returncode == 4
    assert run("schema", "approve", "ffffffff", "--reason", "x").returncode == 3
    assert run("schema", "approve", digest[:8], "--reason", "x", officer="statistics").returncode == 0
    last = run("schema", "approve", digest, "--reason", "x", officer="civil-affairs")
    assert last.returncode == 0 and "is current" in last.stderr, last
    wait_for(lambda: house.served() == digest, SWITCH_SECONDS, "the switch")
    status = run("schema", "status")
    assert status.returncode == 0 and digest in status.stdout and "SCHEMA_CURRENT" in status.stdout
    assert "test" in status.stdout.split("instance")[1]
    folder.edit("departments/statistics/streets.yaml", "fields:", "feilds:")
    broken = run("schema", "publish", folder.path)
    assert broken.returncode == 1 and "streets.yaml:" in broken.stderr, broken
    dry = run("schema", "publish", folder.path, "--dry-run")
    assert dry.returncode == 1 and "streets.yaml:" in dry.stderr, dry
