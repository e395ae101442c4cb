"""An outsider checks the log: exports, proofs and evidence, offline, and whoever changed something in the
database or in the files is found with the first bad entry named."""

import base64
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import time
import zipfile
from types import SimpleNamespace

import grpc
import psycopg2
import psycopg2.extensions
import pytest

import audit_log
import harness
from clients import Peer, unique
from conftest import STREETS
from harness import BUILD, run, wait_for

ORIGIN = "sluice.example/audit/test"
KEY = "110101001"
OK, WRONG, CANNOT = 0, 1, 2


def offline(*arguments, **environment):
    """sluice without gateway, database and network settings."""
    return subprocess.run([str(BUILD / "sluice"), *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment})


def policy_of(folder, key, *more):
    path = folder / unique("policy")
    path.write_text(run(BUILD / "sluice", "audit", "policy", key, "--origin", ORIGIN, *more))
    return path


def verify(path, policy, *more):
    done = offline("audit", "verify", path, "--policy", policy, "--format", "json", *more)
    assert done.returncode in (OK, WRONG), done
    result = json.loads(done.stdout)
    assert result["ok"] == (done.returncode == OK)
    return result


@pytest.fixture
def house(new_cluster, new_gateway, databases, pki, stubs, tmp_path):
    """A log of its own, so that it may be damaged."""
    control = new_cluster("control")
    gateway = new_gateway(cluster=control, departments=databases)
    house = SimpleNamespace(control=control, gateway=gateway, folder=tmp_path, peers=[])

    def start():
        gateway.start()
        house.officer = Peer(stubs, gateway, "statistics-officer", "officers")
        house.peers.append(house.officer)

    def grow(count):
        for _ in range(count):
            house.officer.audit.GetCheckpoint(stubs.audit.GetCheckpointRequest(), timeout=10)

    def export(name, *more, status=OK):
        folder = tmp_path / name
        done = offline("audit", "export", folder, "--checkpoint", gateway.folder / "checkpoint", *more,
                       SLUICE_CONTROL_DATABASE=control.conninfo["control"])
        assert done.returncode == status, done
        house.said = done.stderr
        return folder
    house.start, house.grow, house.export = start, grow, export
    house.policy = policy_of(tmp_path, pki.path("audit-signing.key"))
    yield house
    for peer in house.peers:
        peer.close()


@pytest.fixture
def shared(cluster, gateway, pki, stubs, officers, tmp_path):
    """The log that all tests write."""
    return SimpleNamespace(policy=policy_of(tmp_path, pki.path("audit-signing.key")), officer=officers["statistics"],
                           stubs=stubs, log=audit_log.AuditLog(cluster, stubs))


@pytest.fixture
def entry_index(consumer, grant, shared):
    """Index of the entry of one lookup that was answered."""
    agreement = grant(STREETS)
    request_id = unique("req")
    consumer.peer.lookup(STREETS, KEY, agreement=agreement.id, request_id=request_id)
    leaves = shared.log.leaves()
    return next(i for i in reversed(range(len(leaves)))
                if shared.log.entry_type.FromString(leaves[i]).request_id == request_id)


# --- a second implementation, after the pseudo code of RFC 9162 ---------------------------------------

def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion_root(index, size, leaf_hash, path):
    fn, sn, r = index, size - 1, leaf_hash
    for p in path:
        assert sn
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


# --- exports ------------------------------------------------------------------------------------------

def test_an_export_verifies_without_gateway_or_database(house):
    house.start()
    house.grow(600)
    folder = house.export("export")
    result = verify(folder, house.policy)
    assert result["ok"] and result["entries"] == result["size"] >= 600
    assert result["witnesses"] == result["witnessesRequired"] == 0
    assert result["findings"] == result["notices"] == []
    text = offline("audit", "verify", folder, "--policy", house.policy)
    assert text.returncode == OK and "all good" in text.stdout and "0 of 0 required" in text.stdout
    assert "全部正确" in offline("audit", "verify", folder, "--policy", house.policy, "--lang", "zh").stdout

    # What lies there is what the specification says, read by other code.
    origin, size, root, _ = audit_log.parse_note((folder / "checkpoint").read_text())
    hashes = (folder / "tile/0/000").read_bytes() + (folder / "tile/0/001").read_bytes()
    hashes += (folder / f"tile/0/002.p/{size - 512}").read_bytes()
    leaves = []
    for name in ("000", "001", f"002.p/{size - 512}"):
        rest = (folder / "tile/entries" / name).read_bytes()
        while rest:
            length = int.from_bytes(rest[:2], "big")
            leaves.append(rest[2:2 + length])
            rest = rest[2 + length:]
    assert [audit_log.leaf_hash(leaf) for leaf in leaves] == [hashes[i:i + 32] for i in range(0, len(hashes), 32)]
    assert audit_log.root([audit_log.leaf_hash(leaf) for leaf in leaves]) == root
    assert origin == ORIGIN

    # Going on writes nothing twice.
    before = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    house.grow(300)
    assert house.export("export") == folder
    for path, inode in before.items():
        if path.name != "checkpoint" and path.exists():
            assert path.stat().st_ino == inode, path
    assert verify(folder, house.policy)["size"] == size + 300

    part = house.export("part", "--from", 300, "--to", 310)
    result = verify(part, house.policy)
    assert result["ok"] and result["entries"] == 256 and result["notices"][0]["check"] == "partial"


def test_what_cannot_be_checked_ends_with_2(house, pki):
    house.start()
    folder = house.export("export")
    bad = house.folder / "bad"
    for text in ("", "quorum none\n", "log x+12345678+AAAA\nquorum none\n", "nonsense\n",
                 house.policy.read_text().replace("quorum none", "quorum somebody")):
        bad.write_text(text)
        done = offline("audit", "verify", folder, "--policy", bad)
        assert done.returncode == CANNOT and done.stdout == "" and done.stderr, text
    assert offline("audit", "verify", folder).returncode == CANNOT
    assert offline("audit", "verify", folder / "nowhere", "--policy", house.policy).returncode == CANNOT
    assert offline("audit", "verify", house.folder, "--policy", house.policy).returncode == CANNOT


def test_another_key_is_not_believed(house, pki):
    house.start()
    folder = house.export("export")
    other = house.folder / "other.key"
    run("openssl", "genpkey", "-algorithm", "ED25519", "-out", other)
    result = verify(folder, policy_of(house.folder, other))
    assert [finding["check"] for finding in result["findings"]] == ["checkpoint"]


def test_following_survives_kill_9(house):
    """Whenever the exporter dies, the folder is a whole log, and the next one goes on."""
    house.start()
    house.grow(10)
    folder = house.folder / "www"
    command = [str(BUILD / "sluice"), "audit", "export", str(folder), "--follow", "--checkpoint",
               str(house.gateway.folder / "checkpoint"), "--database", house.control.conninfo["control"]]
    chance = random.Random(5)
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as exporter:
            house.grow(chance.randrange(20, 120))
            time.sleep(chance.random() * 0.5)  # not awaited: any moment will do
            exporter.send_signal(signal.SIGKILL)
        if (folder / "checkpoint").exists():
            assert verify(folder, house.policy)["ok"]
    exporter = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        house.grow(5)
        size = house.officer.audit.GetCheckpoint(house.officer.stubs.audit.GetCheckpointRequest(), timeout=5).size
        wait_for(lambda: (folder / "checkpoint").exists() and
                 audit_log.parse_note((folder / "checkpoint").read_text())[1] >= size, 15, "the exporter")
    finally:
        exporter.kill()
        exporter.wait()
    assert verify(folder, house.policy)["ok"]


# --- a superuser of the database ----------------------------------------------------------------------

COLUMNS = ("leaf, leaf_hash, id, time_us, kind, outcome, subject, department, owner, dataset, agreement, purpose, "
           "exchange_id")
TAMPER = {
    "leaf": "UPDATE audit.entry SET leaf = set_byte(leaf, 20, get_byte(leaf, 20) # 1) WHERE index = {i}",
    "leaf and hash": "UPDATE audit.entry SET leaf = set_byte(leaf, 20, get_byte(leaf, 20) # 1) WHERE index = {i};"
                     "UPDATE audit.entry SET leaf_hash = sha256('\\x00' || leaf) WHERE index = {i}",
    "hash": "UPDATE audit.entry SET leaf_hash = sha256('x') WHERE index = {i}",
    "subject": "UPDATE audit.entry SET subject = 'somebody else' WHERE index = {i}",
    "time": "UPDATE audit.entry SET time_us = time_us + 1 WHERE index = {i}",
    "purpose": "UPDATE audit.entry SET purpose = 'p' WHERE index = {i}",
    "id": "UPDATE audit.entry SET id = gen_random_uuid() WHERE index = {i}",
    "id table": "UPDATE audit.entry_id SET index = index + 1 WHERE index = {i}",
    "exchange": "UPDATE audit.entry SET exchange_id = NULL WHERE index = {i}",
    "delete": "DELETE FROM audit.entry WHERE index = {i}",
    "delete many": "DELETE FROM audit.entry WHERE index BETWEEN {i} AND {i} + 20",
    "delete and close up": "DELETE FROM audit.entry WHERE index = {i};"
                           "DELETE FROM audit.entry_id WHERE index = {i};"
                           "UPDATE audit.entry SET index = index + 1000000 WHERE index > {i};"
                           "UPDATE audit.entry SET index = index - 1000001 WHERE index > 1000000;"
                           "UPDATE audit.entry_id SET index = index - 1 WHERE index > {i}",
    "insert": "UPDATE audit.entry SET index = index + 1000000 WHERE index >= {i};"
              "UPDATE audit.entry SET index = index - 999999 WHERE index >= 1000000;"
              "UPDATE audit.entry_id SET index = index + 1 WHERE index >= {i};"
              f"INSERT INTO audit.entry (index, {COLUMNS}) SELECT {{i}}, {COLUMNS} FROM audit.entry WHERE index = 3",
    "swap": "UPDATE audit.entry SET index = 1000000 WHERE index = {i};"
            "UPDATE audit.entry SET index = {i} WHERE index = {i} + 7;"
            "UPDATE audit.entry SET index = {i} + 7 WHERE index = 1000000",
    "truncate": "DELETE FROM audit.entry WHERE index >= {i}",
    "batches": "DELETE FROM audit.batch WHERE first = {i}",
}


def superuser(cluster):
    database = psycopg2.extensions.parse_dsn(cluster.conninfo["control"])["dbname"]
    return contextlib.closing(psycopg2.connect(cluster.conninfo["admin"], dbname=database))


def test_whatever_a_superuser_changes_is_named(house):
    house.start()
    house.grow(420)
    house.gateway.stop()
    good = house.export("good")
    assert verify(good, house.policy)["ok"]
    dump = {table: house.control.rows("control", f"SELECT * FROM audit.{table}")
            for table in ("entry", "entry_id", "batch")}
    assert len(dump["entry"]) >= 420
    chance = random.Random(11)
    for name, statements in TAMPER.items():
        index = chance.randrange(20, 400)
        with superuser(house.control) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")  # no trigger fires
                for statement in statements.format(i=index).split(";"):
                    cursor.execute(statement)
                    assert cursor.rowcount != 0, (name, statement)
            connection.commit()
            fresh = house.export(unique("export"), status=OK if name in QUIET else WRONG)
            result = verify(fresh, house.policy, "--older", good)
            assert not result["ok"] and result["firstBadIndex"] == index, (name, index, result)
            # Also what the public folder holds stays good: nothing wrong is added to it.
            assert verify(good, house.policy)["ok"]
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")
                for table, rows in dump.items():
                    cursor.execute(f"DELETE FROM audit.{table}")
                    marks = ", ".join(["%s"] * len(rows[0]))
                    cursor.executemany(f"INSERT INTO audit.{table} VALUES ({marks})", rows)
            connection.commit()
    assert verify(house.export("again"), house.policy, "--older", good)["ok"]


# Entries and hashes are untouched there, so the export matches its checkpoint.
QUIET = {"subject", "time", "purpose", "id", "id table", "exchange", "batches"}


def test_a_head_rolled_back_is_found_by_an_older_checkpoint(house, pki):
    house.start()
    house.grow(50)
    older = house.folder / "older"
    older.write_text(house.officer.audit.GetCheckpoint(
        house.officer.stubs.audit.GetCheckpointRequest(), timeout=5).note)
    assert verify(older, house.policy)["ok"]
    house.grow(20)
    folder = house.export("export")
    assert verify(folder, house.policy, "--older", older)["ok"]
    note = older.read_text()
    older.write_text(note.replace(note.split("\n")[2], base64.b64encode(b"x" * 32).decode()))
    assert not verify(folder, house.policy, "--older", older)["ok"]
    (folder / "checkpoint").write_text(note)
    shutil.copy(house.gateway.folder / "checkpoint", older)
    text = older.read_text()
    older.write_text(text[text.index("\n\n") + 2:])  # the note in the auditor's state file
    assert not verify(folder, house.policy, "--older", older)["ok"]


# --- proofs -------------------------------------------------------------------------------------------

def test_an_officer_gets_an_entry_and_its_proof(shared, entry_index, tmp_path):
    stubs, audit = shared.stubs.audit, shared.officer.audit
    record = audit.GetEntry(stubs.GetEntryRequest(index=entry_index), timeout=10)
    assert record.leaf == shared.log.leaves()[entry_index]
    assert audit.GetEntry(stubs.GetEntryRequest(entry_id=str(uuid_text(record.entry.id))), timeout=10) == record
    proof = audit.GetInclusionProof(stubs.GetInclusionProofRequest(index=entry_index), timeout=10)
    _, size, root, _ = audit_log.parse_note(proof.note)
    assert proof.size == size > entry_index
    assert inclusion_root(entry_index, size, audit_log.leaf_hash(record.leaf), proof.hashes) == root
    file, leaf = tmp_path / "entry.tlog-proof", tmp_path / "leaf"
    file.write_text(proof.proof)
    leaf.write_bytes(record.leaf)
    assert verify(file, shared.policy, "--leaf", leaf)["ok"]
    leaf.write_bytes(record.leaf[:-1])
    result = verify(file, shared.policy, "--leaf", leaf)
    assert result["findings"][0]["check"] == "proof" and result["firstBadIndex"] == entry_index

    # Reading is an entry that names what was read.
    reads = [entry for entry in shared.log.entries(above=entry_index) if entry.what.object == str(entry_index)]
    assert [entry.what.method.rsplit("/")[-1] for entry in reads] == ["GetEntry", "GetInclusionProof"]
    assert all(entry.kind == shared.log.entry_type.OFFICER_QUERY for entry in reads)


def uuid_text(raw):
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def test_consistency_from_every_old_size(shared, officers):
    stubs, audit = shared.stubs.audit, shared.officer.audit
    hashes = [audit_log.leaf_hash(leaf) for leaf in shared.log.leaves()]
    for old in {1, 2, 3, len(hashes) // 2, len(hashes) - 1, len(hashes), *range(250, min(262, len(hashes)))}:
        proof = audit.GetConsistencyProof(stubs.GetConsistencyProofRequest(old_size=old), timeout=10)
        assert proof.old_root == audit_log.root(hashes[:old])
        assert proof.size > len(hashes) and len(proof.hashes) <= 2 * proof.size.bit_length()
    for old in (0, -1, 1 << 50):
        failure = shared.officer.failure(lambda old=old: audit.GetConsistencyProof(
            stubs.GetConsistencyProofRequest(old_size=old), timeout=10))
        assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


def test_another_departments_entry_does_not_exist(shared, officers, entry_index):
    stubs = shared.stubs.audit
    stranger = officers["civil-affairs"]  # neither owner nor consumer of this exchange
    absent = stranger.failure(lambda: stranger.audit.GetEntry(stubs.GetEntryRequest(index=1 << 40), timeout=10))
    for call, request in ((stranger.audit.GetEntry, stubs.GetEntryRequest),
                          (stranger.audit.GetInclusionProof, stubs.GetInclusionProofRequest),
                          (stranger.audit.ExportEvidence, stubs.ExportEvidenceRequest)):
        failure = stranger.failure(lambda call=call, request=request: call(request(index=entry_index), timeout=10))
        assert (failure.code, failure.reason) == (absent.code, absent.reason)
        assert failure.code == grpc.StatusCode.NOT_FOUND


def test_systems_cannot_read_the_log(shared, consumer, gateway):
    failure = consumer.peer.failure(lambda: consumer.peer.audit.GetEntry(
        shared.stubs.audit.GetEntryRequest(index=0), timeout=10))
    assert failure.code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED)


# --- evidence -----------------------------------------------------------------------------------------

@pytest.fixture
def evidence(sluice, entry_index, tmp_path):
    path = tmp_path / "evidence.zip"
    done = sluice("audit", "evidence", entry_index, "--out", path, officer="statistics-officer")
    assert done.returncode == 0, done
    return path


def test_evidence_is_checked_by_public_tools_alone(evidence, shared, entry_index, tmp_path):
    result = verify(evidence, shared.policy)
    assert result["ok"] and result["kind"] == "evidence"
    with zipfile.ZipFile(evidence) as bundle:
        names = set(bundle.namelist())
        bundle.extractall(tmp_path / "bundle")
    assert names >= {"README.txt", "verify.py", "entry.bin", "entry.json", "entry.tlog-proof", "checkpoint",
                     "agreement.bin", "agreement.json", "view.html", "SHA256SUMS"}
    run("sha256sum", "-c", "SHA256SUMS", cwd=tmp_path / "bundle")
    said = run("/usr/bin/python3", "-I", tmp_path / "bundle/verify.py", evidence, shared.policy)
    assert said.startswith("OK")
    entry = json.loads((tmp_path / "bundle/entry.json").read_text())
    assert entry["index"] == str(entry_index) and entry["what.dataset"] == STREETS
    assert entry["why.agreement_digest"] == hashlib.sha256(
        (tmp_path / "bundle/agreement.bin").read_bytes()).hexdigest()
    page = (tmp_path / "bundle/view.html").read_text()
    assert "审计证据" in page and "Agreement as it stood" in page and "<script" not in page


def test_any_flipped_bit_of_evidence_is_found_or_changes_nothing(evidence, shared, tmp_path):
    data = bytearray(evidence.read_bytes())
    members = contents(bytes(data))
    chance = random.Random(3)
    flipped, found = tmp_path / "flipped.zip", 0
    for _ in range(250):
        at = chance.randrange(len(data) * 8)
        data[at // 8] ^= 1 << at % 8
        flipped.write_bytes(data)
        done = offline("audit", "verify", flipped, "--policy", shared.policy)
        assert done.returncode in (OK, WRONG, CANNOT)
        if done.returncode == OK:  # a time stamp or an attribute of the ZIP file itself
            assert contents(bytes(data)) == members, at
        else:
            found += 1
        data[at // 8] ^= 1 << at % 8
    assert found > 200


def test_the_place_of_a_flipped_byte_is_named(evidence, shared, entry_index, tmp_path):
    data = bytearray(evidence.read_bytes())
    for name, member in contents(bytes(data)).items():
        at = bytes(data).rindex(member) + len(member) // 2  # the proof holds the checkpoint too
        data[at] ^= 1
        flipped = tmp_path / "flipped.zip"
        flipped.write_bytes(data)
        result = verify(flipped, shared.policy)
        # A sum that was changed accuses the file it is about.
        assert any(finding["check"] == "member" and
                   (finding["detail"].startswith(name + ":") or name == "SHA256SUMS")
                   for finding in result["findings"]), (name, result)
        if name != "entry.tlog-proof":  # where the index stands
            assert result["firstBadIndex"] == entry_index, name
        data[at] ^= 1


def contents(data):
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def rebuilt(path, members):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path


def summed(members):
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items() if name != "SHA256SUMS"]
    return {**members, "SHA256SUMS": "".join(lines).encode()}


def test_a_careful_forger_of_evidence_is_found(evidence, shared, entry_index, tmp_path):
    """Members changed and their sums made to fit."""
    members = contents(evidence.read_bytes())
    assert verify(rebuilt(tmp_path / "same.zip", summed(members)), shared.policy)["ok"]
    leaf = bytearray(members["entry.bin"])
    leaf[-1] ^= 1
    forged = {
        "entry.bin": bytes(leaf),
        "entry.json": members["entry.json"].replace(b"medical-triage", b"medical-trials"),
        "view.html": members["view.html"].replace(b"medical-triage", b"medical-trials"),
        "agreement.bin": members["agreement.bin"].replace(b"medical-triage", b"medical-trials"),
        "agreement.json": members["agreement.json"].replace(b"medical-triage", b"medical-trials"),
        "checkpoint": members["checkpoint"].replace(b"\n\n", b"\nextension\n\n", 1),
        "entry.tlog-proof": members["entry.tlog-proof"].replace(
            f"index {entry_index}\n".encode(), f"index {entry_index - 1}\n".encode()),
    }
    for name, data in forged.items():
        assert data != members[name]
        result = verify(rebuilt(tmp_path / "forged.zip", summed({**members, name: data})), shared.policy)
        assert not result["ok"], name
    for name in members:
        rest = {key: value for key, value in members.items() if key != name}
        result = verify(rebuilt(tmp_path / "less.zip", rest), shared.policy)
        assert not result["ok"], name
    more = {**members, "verdict.txt": b"guilty"}
    assert not verify(rebuilt(tmp_path / "more.zip", more), shared.policy)["ok"]


# --- keys ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sm2", [False, True])
def test_the_keys_change_and_who_pinned_the_first_can_follow(house, pki, sm2):
    folder, sluice = house.folder, BUILD / "sluice"
    keys = {}
    for name in ("one", "two"):
        keys[name] = folder / f"{name}.key"
        run("openssl", "genpkey", "-algorithm", "ED25519", "-out", keys[name])
        keys[name + "-sm2"] = folder / f"{name}-sm2.key"
        run("openssl", "genpkey", "-algorithm", "SM2", "-out", keys[name + "-sm2"])

    def use(name):
        more = {"sm2_key": keys[name + "-sm2"]} if sm2 else {}
        house.gateway.change(audit={"signing_key": keys[name], **more})
    use("one")
    policy = policy_of(folder, keys["one"], *(["--sm2-key", keys["one-sm2"]] if sm2 else []))
    assert ("sm2-distid 1234567812345678" in policy.read_text()) == sm2
    house.start()
    house.grow(5)
    first = house.export("first")
    assert verify(first, policy)["ok"]
    change = folder / "change.note"
    change.write_text(run(sluice, "audit", "rotate", keys["one"], keys["two"], "--origin", ORIGIN, *(
        ["--sm2-key", keys["one-sm2"], "--new-sm2-key", keys["two-sm2"]] if sm2 else [])))
    officer = {"SLUICE_CA": str(pki.path("ca.pem")), "SLUICE_ENDPOINT": f"127.0.0.1:{house.gateway.ports['officers']}",
               "SLUICE_CERT": str(pki.path("statistics-officer.pem")),
               "SLUICE_KEY": str(pki.path("statistics-officer.key"))}
    wrong = folder / "wrong.note"
    wrong.write_text(change.read_text().replace(ORIGIN, "another/log", 1))
    assert offline("audit", "announce", wrong, **officer).returncode == WRONG
    done = offline("audit", "announce", change, **officer)
    assert done.returncode == OK, done
    use("two")
    house.gateway.reload()
    wait_for(lambda: new_signature(house, policy, folder), 15,
             "the new key to sign")
    house.grow(5)
    second = house.export("second")
    result = verify(second, policy, "--older", first)
    assert result["ok"] and result["keyChanges"] == 1, result
    evidence = folder / "evidence.zip"
    # The newest reading by this officer is one of its own entries.
    size = result["size"]
    done = offline("audit", "evidence", size - 1, "--out", evidence, **officer)
    assert done.returncode == OK, done
    result = verify(evidence, policy)
    assert result["ok"] and result["keyChanges"] == 1
    with zipfile.ZipFile(evidence) as bundle:
        (folder / "verify.py").write_bytes(bundle.read("verify.py"))
    assert run("/usr/bin/python3", "-I", folder / "verify.py", evidence, policy).startswith("OK")
    # Who pins the second key needs no chain.
    assert verify(second, policy_of(folder, keys["two"], *(["--sm2-key", keys["two-sm2"]] if sm2 else [])))["ok"]


def new_signature(house, policy, folder):
    note = folder / "now"
    note.write_text(house.officer.audit.GetCheckpoint(
        house.officer.stubs.audit.GetCheckpointRequest(), timeout=5).note)
    return not verify(note, policy)["ok"]
