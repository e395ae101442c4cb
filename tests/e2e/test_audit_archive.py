"""Old entries move into an archive: read back before anything goes, pruned only by the rules, every proof and the
whole verification as before."""

import hashlib
import json
import random
import shutil

import psycopg2
import pytest

from audit_log import leaf_hash, root
from harness import BUILD, run, wait_for
from old_log import NUMBER, ORIGIN, append, as_owner, old_house, without_triggers

OLD = 2500  # entries of years ago; two whole blocks of them can be archived


@pytest.fixture(scope="module")
def house(workspace, pki, stubs, databases):
    def fill(house):
        for count in (700, 700, 700, OLD - 2100):  # batches that end inside blocks
            append(house, count)
    with old_house(workspace / "archive", pki, stubs, databases, before=fill) as made:
        made.folder = workspace / "archive"
        made.policy = made.folder / "policy.txt"
        made.policy.write_text(run(BUILD / "sluice", "audit", "policy", pki.path("audit-signing.key"),
                                   "--origin", ORIGIN))
        wait_for(lambda: made.sluice("audit", "checkpoint").returncode == 0, 10, "a checkpoint")
        yield made


def archive(house, folder, *options):
    return house.sluice("audit", "archive", folder, "--policy", house.policy, *options)


def verify(house, path, *options):
    done = house.sluice("audit", "verify", path, "--policy", house.policy, "--format", "json", *options)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture(scope="module")
def archived(house):
    """The first block, archived and not pruned; and an export and proofs of before."""
    assert house.sluice("audit", "export", house.folder / "before").returncode == 0
    done = archive(house, house.folder / "a", "--to", 1024)
    assert done.returncode == 0, done.stderr
    return house.folder / "a"


def minimum(house):
    return as_owner(house, "SELECT index FROM audit.minimum")[0][0]


def test_an_archive_is_whole_by_itself(house, archived):
    status, report = verify(house, archived)
    assert status == 0 and report["kind"] == "archive"
    assert (report["firstIndex"], report["lastIndex"], report["entries"]) == (0, 1023, 1024)
    header, files = (archived / "manifest").read_text().split("\n\n")
    lines = dict(line.split(" ", 1) for line in header.splitlines()[1:])
    size, root = (archived / "checkpoint").read_text().splitlines()[1:3]
    assert header.startswith("sluice-archive/1\n")
    assert lines == {"origin": ORIGIN, "first": "0", "last": "1023", "size": size, "root": root}
    named = [line.split("  ") for line in files.splitlines()]
    for digest, length, name in named:
        data = (archived / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (int(length), digest), name
    there = {str(path.relative_to(archived)) for path in archived.rglob("*") if path.is_file()}
    assert there - {"manifest"} == {name for _, _, name in named}
    assert minimum(house) == 0


def test_one_changed_byte_anywhere_is_found(house, archived, tmp_path):
    """Every file of the archive, a random bit of it; then each file missing."""
    chance = random.Random(20261124)
    copy = tmp_path / "copy"
    shutil.copytree(archived, copy)
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        data = bytearray(path.read_bytes())
        if data:
            at = chance.randrange(len(data))
            data[at] ^= 1 << chance.randrange(8)
            whole = path.read_bytes()
            path.write_bytes(data)
            assert verify(house, copy)[0] in (1, 2), (path, at)
            path.write_bytes(whole)
    for name in ("tile/entries/000", "tile/0/000", "columns/001", "checkpoint"):
        whole = (copy / name).read_bytes()
        (copy / name).unlink()
        assert verify(house, copy)[0] in (1, 2), name
        (copy / name).write_bytes(whole)
    status, report = verify(house, copy)
    assert status == 0, report
    (copy / "columns/001").write_bytes((copy / "columns/001").read_bytes().replace(b"health", b"wealth", 1))
    status, report = verify(house, copy)
    assert status == 1 and any(one.get("detail") == "columns/001" for one in report["findings"])


def test_what_cannot_be_archived(house, tmp_path):
    for options in (("--to", 4096), ("--to", 1024 * 1024)):  # young, and not there
        done = archive(house, tmp_path / "x", *options)
        assert done.returncode == 1 and "2048" in done.stderr, done.stderr
        assert not (tmp_path / "x").exists()
    assert archive(house, tmp_path / "x", "--to", 1000).returncode == 2
    assert house.sluice("audit", "archive", tmp_path / "x").returncode == 2  # no policy
    (tmp_path / "there").mkdir()
    done = archive(house, tmp_path / "there", "--to", 1024)
    assert done.returncode == 1 and "there" in done.stderr


def announce(house, first, last, manifest=b"m" * 32):
    return house.first.audit.AnnounceArchive(house.stubs.audit.AnnounceArchiveRequest(
        first=first, last=last, manifest=manifest), timeout=5)


def test_only_what_was_announced_old_and_not_held_is_pruned(house, archived):
    digest = hashlib.sha256((archived / "manifest").read_bytes()).digest()
    for first, last, manifest, reason in [
            (0, 1000, digest, "ARCHIVE_INVALID"), (1, 1024, digest, "ARCHIVE_INVALID"), (0, 1023, b"x", "ARCHIVE_INVALID"),
            (-1024, 1023, digest, "ARCHIVE_INVALID"), (0, 2**63 - 1, digest, "ARCHIVE_INVALID"),
            (1024, 2047, digest, "ARCHIVE_TOO_YOUNG"), (0, 4095, digest, "ARCHIVE_TOO_YOUNG")]:
        assert house.first.failure(lambda: announce(house, first, last, manifest)).reason == reason
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):  # told to nobody
        as_owner(house, "SELECT audit.prune(%s)", [digest])
    hold = house.health.audit.PlaceHold(house.stubs.audit.PlaceHoldRequest(
        scope=house.stubs.audit.HoldScope(index_from=1000, index_to=1001), reason="case 9"), timeout=5)
    done = archive(house, archived, "--prune")
    assert done.returncode not in (0, 2) and hold.id in done.stderr and minimum(house) == 0
    assert as_owner(house, "SELECT count(*) FROM audit.entry WHERE index < 1024") == [(1024,)]
    as_owner(house, "SELECT audit.request_lift(%s, 'health', 'a', 'over'), audit.lift_hold(%s, 'health', 'b')",
             [hold.id, hold.id])
    # The database's own clock counts, whatever the entries say.
    without_triggers(house, "batch", "UPDATE audit.batch SET committed_at = now() WHERE first = 700")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_owner(house, "SELECT audit.prune(%s)", [digest])
    without_triggers(house, "batch", "UPDATE audit.batch SET committed_at = now() - interval '2000 days' WHERE first = 700")
    as_owner(house, "UPDATE audit.retention SET days = 2001 WHERE class = 'usage'")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_owner(house, "SELECT audit.prune(%s)", [digest])
    as_owner(house, "UPDATE audit.retention SET days = 1096 WHERE class = 'usage'")
    for statement in ("UPDATE audit.minimum SET index = 2048", "UPDATE audit.minimum SET index = 1024"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):  # no such archive; no hashes kept
            as_owner(house, statement)
    assert minimum(house) == 0


def old_statistics(house):
    done = house.sluice("audit", "statistics", "--to", "2025-01-01", "--format", "json")
    return json.loads(done.stdout)["statistics"]


@pytest.fixture(scope="module")
def pruned(house, archived):
    proofs = {index: inclusion(house, index) for index in (3, 1023, 1024, 2000)}
    statistics = old_statistics(house)
    done = archive(house, archived, "--prune")
    assert done.returncode == 0, done.stderr
    return archived, proofs, statistics


def inclusion(house, index):
    return house.first.audit.GetInclusionProof(house.stubs.audit.GetInclusionProofRequest(index=index), timeout=10)


def test_what_is_pruned_is_gone_and_nothing_else(house, pruned):
    _, proofs, statistics = pruned
    assert minimum(house) == 1024
    counts = as_owner(house, """
        SELECT (SELECT count(*) FROM audit.entry WHERE index < 1024), (SELECT count(*) FROM audit.entry_id WHERE index < 1024),
            (SELECT count(*) FROM audit.person WHERE index < 1024), (SELECT count(*) FROM audit.batch WHERE first + count <= 1024),
            (SELECT count(*) FROM audit.salt s LEFT JOIN audit.entry_id i ON i.id = s.entry_id WHERE i.id IS NULL),
            (SELECT min(index) FROM audit.entry), (SELECT min(first) FROM audit.batch),
            (SELECT count(*) FROM audit.person WHERE index BETWEEN 1024 AND 2499)""")
    assert counts == [(0, 0, 0, 0, 0, 1024, 700, OLD - 1024)]
    told = [house.types.FromString(bytes(leaf)).what.object for leaf, in as_owner(
        house, "SELECT leaf FROM audit.entry WHERE kind = 3 ORDER BY index DESC LIMIT 20")]
    assert any(one.startswith("archive 0-1023 manifest ") for one in told)
    search = house.stubs.audit.SearchAuditRequest(person=NUMBER, page_size=500)
    assert min(one.index for one in house.first.audit.Search(search, timeout=5).records) >= 1024
    oldest = house.stubs.audit.SearchAuditRequest(agreement="agr-old", after_index=1, page_size=2)
    assert [one.index for one in house.first.audit.Search(oldest, timeout=5).records] == [1024, 1025]
    assert old_statistics(house) == statistics and statistics[0]["entries"] == str(OLD)


def test_old_and_new_proofs_stay_valid(house, pruned, tmp_path):
    """Inclusion across the cut; consistency from trees that end inside what was pruned; proofs taken before."""
    _, proofs, _ = pruned

    def holds(proof, leaf):
        (tmp_path / "proof").write_text(proof.proof)
        (tmp_path / "leaf").write_bytes(leaf)
        done = house.sluice("audit", "verify", tmp_path / "proof", "--policy", house.policy, "--leaf", tmp_path / "leaf")
        return done.returncode == 0
    leaves = dict(as_owner(house, "SELECT index, leaf FROM audit.entry"))
    for index in (1024, 2000):
        proof = inclusion(house, index)
        assert proof.size > proofs[index].size
        assert holds(proof, bytes(leaves[index])) and holds(proofs[index], bytes(leaves[index]))
        assert not holds(proof, bytes(leaves[index + 1]))
    kept = bytes(as_owner(house, "SELECT string_agg(hashes, ''::bytea ORDER BY tile) FROM audit.hash_tile")[0][0])
    hashes = [kept[at:at + 32] for at in range(0, len(kept), 32)]
    hashes += [leaf_hash(bytes(leaves[index])) for index in sorted(leaves)]
    for size in (1, 700, 1000, 1024, 1025, 2300):
        proof = house.first.audit.GetConsistencyProof(
            house.stubs.audit.GetConsistencyProofRequest(old_size=size), timeout=10)
        assert proof.old_root == root(hashes[:size]) and proof.size > OLD
    failure = house.first.failure(lambda: inclusion(house, 3))
    assert failure.reason == "ENTRY_ARCHIVED"


def test_the_log_and_its_archives_are_verified_together(house, pruned):
    folder, _, _ = pruned
    out = house.folder / "after"
    done = house.sluice("audit", "export", out)
    assert done.returncode == 0, done.stderr
    status, report = verify(house, out, "--older", house.folder / "before")
    assert status == 0 and report["firstIndex"] == 1024 and "partial" in {one["check"] for one in report["notices"]}
    assert report["entries"] == report["size"] - 1024
    status, report = verify(house, out, "--archive", folder, "--older", house.folder / "before")
    assert status == 0, report
    assert (report["firstIndex"], report["entries"]) == (0, report["size"]) and not [
        one for one in report["notices"] if one["check"] == "partial"]
    done = house.sluice("audit", "export", house.folder / "before")  # made before the cut: it goes on
    assert done.returncode == 0, done.stderr
    assert verify(house, house.folder / "before")[0] == 0
    assert house.sluice("audit", "export", out).returncode == 0  # and so does this one


def test_the_next_archive_begins_where_the_last_ended(house, pruned):
    first, _, _ = pruned
    second = house.folder / "b"
    done = archive(house, second, "--prune")
    assert done.returncode == 0, done.stderr
    assert minimum(house) == 2048
    assert verify(house, second)[1]["firstIndex"] == 1024
    out = house.folder / "later"
    assert house.sluice("audit", "export", out).returncode == 0
    status, report = verify(house, out, "--archive", f"{first},{second}")
    assert status == 0 and report["entries"] == report["size"], report
    assert verify(house, out, "--archive", second)[0] == 2  # a gap
    status, report = verify(house, out, "--archive", first)
    assert status == 0 and report["firstIndex"] == 2048
    broken = house.folder / "broken"
    shutil.copytree(first, broken)
    bundle = bytearray((broken / "tile/entries/002").read_bytes())
    bundle[40] ^= 1
    (broken / "tile/entries/002").write_bytes(bundle)
    status, report = verify(house, out, "--archive", f"{broken},{second}")
    assert status == 1 and report["firstBadIndex"] == 512
    done = archive(house, first, "--prune")  # pruned already
    assert done.returncode not in (0, 2) and minimum(house) == 2048


def test_a_new_database_gets_the_log_back(house, pruned, new_cluster):
    """The export of the pruned log and its archives, loaded and exported again: the same entries, hash for hash."""
    folders = [house.folder / name for name in ("a", "b") if (house.folder / name / "manifest").exists()]
    archives, out = ",".join(map(str, folders)), house.folder / "lost"
    assert house.sluice("audit", "export", out).returncode == 0
    fresh = new_cluster("control")
    size = int((out / "checkpoint").read_text().splitlines()[1])

    def restore(path, *options):
        return house.sluice("audit", "restore", path, "--policy", house.policy, "--database", fresh.conninfo["control"],
                            *options)
    done = restore(out)
    assert done.returncode == 1 and "--archive" in done.stderr  # the first entries are missing
    for old in (house.folder / "before", folders[0]):
        done = restore(old, "--checkpoint", out / "checkpoint")
        assert done.returncode == 1 and "roll" in done.stderr and str(size) in done.stderr
    broken = house.folder / "broken-copy"
    shutil.copytree(folders[0], broken)
    (broken / "columns/001").write_bytes((broken / "columns/001").read_bytes().replace(b"health", b"wealth", 1))
    done = restore(out, "--archive", ",".join(map(str, [broken, *folders[1:]])))
    assert done.returncode == 1 and "does not verify" in done.stderr
    assert fresh.rows("control", "SELECT size, (SELECT count(*) FROM audit.entry) FROM audit.head") == [(0, 0)]

    done = restore(out, "--archive", archives, "--checkpoint", out / "checkpoint")
    assert done.returncode == 0, done.stderr
    again = house.folder / "again"
    done = house.sluice("audit", "export", again, "--database", fresh.conninfo["control"], "--checkpoint", out / "checkpoint")
    assert done.returncode == 0, done.stderr
    status, report = verify(house, again, "--older", house.folder / "before")
    assert status == 0 and (report["firstIndex"], report["entries"]) == (0, size), report
    assert fresh.rows("control", "SELECT audit.fill_nodes(size, 1000000), audit.summarise(1000) FROM audit.head") == [(True, True)]
    done = restore(out, "--archive", archives)
    assert done.returncode == 1 and "not empty" in done.stderr
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):  # append only again
        fresh.rows("control", "DELETE FROM audit.entry WHERE index = 0")
