"""Time stamps of RFC 3161 over checkpoints: the authority is `openssl ts` behind a small HTTP server, and the
same program, which needs nothing of ours, checks them again."""

import http.server
import json
import subprocess
import threading
import zipfile
from types import SimpleNamespace

import pytest

from harness import BUILD, run
from test_audit_verify import entry_index, evidence, shared, verify  # noqa: F401

CONFIGURATION = """
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
[leaf]
extendedKeyUsage = critical,timeStamping
"""


@pytest.fixture(scope="module")
def authority(workspace):
    """An authority: url, certificate of its root, and `answer`, which a test may replace."""
    folder = workspace / "tsa"
    folder.mkdir()
    (folder / "openssl.cnf").write_text(CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")

    def openssl(*arguments, **rest):
        return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder, **rest)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=Test TSA root", "-config", "openssl.cnf", "-extensions", "ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Test TSA",
            "-config", "openssl.cnf")
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "openssl.cnf", "-extensions", "leaf", "-out", "tsa.pem")

    def stamp(query):
        (folder / "query").write_bytes(query)
        return openssl("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query", "-signer", "tsa.pem",
                       "-inkey", "tsa.key", "-chain", "ca.pem").stdout
    it = SimpleNamespace(root=folder / "ca.pem", stamp=stamp, answer=stamp, queries=[])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"]))
            it.queries.append((self.headers["Content-Type"], query))
            reply = it.answer(query)
            self.send_response(200 if reply else 503)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    it.url = f"http://127.0.0.1:{server.server_address[1]}/"
    yield it
    server.shutdown()
    thread.join()
    server.server_close()


def sluice(*arguments):
    return subprocess.run([BUILD / "sluice", *map(str, arguments)], capture_output=True, text=True)


def test_evidence_is_stamped_and_checked(evidence, authority, shared, tmp_path):  # noqa: F811
    before = verify(evidence, shared.policy)
    assert before["ok"] and "timestamp" not in before
    done = sluice("audit", "timestamp", evidence, "--url", authority.url, "--timestamp-ca", authority.root)
    assert done.returncode == 0 and "stamped at" in done.stderr, done
    assert authority.queries[-1][0] == "application/timestamp-query" and len(authority.queries[-1][1]) < 100

    result = verify(evidence, shared.policy, "--timestamp-ca", authority.root)
    assert result["ok"] and result["timestamp"]["authorityChecked"]
    result = verify(evidence, shared.policy)
    assert result["ok"] and not result["timestamp"]["authorityChecked"]
    with zipfile.ZipFile(evidence) as bundle:
        bundle.extractall(tmp_path / "bundle")
    said = run("openssl", "ts", "-verify", "-in", tmp_path / "bundle/timestamp.tsr", "-data",
               tmp_path / "bundle/checkpoint", "-CAfile", authority.root)
    assert "Verification: OK" in said
    run("sha256sum", "-c", "SHA256SUMS", cwd=tmp_path / "bundle")
    assert run("/usr/bin/python3", "-I", tmp_path / "bundle/verify.py", evidence, shared.policy).startswith("OK")

    # A later stamp takes its place.
    assert sluice("audit", "timestamp", evidence, "--url", authority.url).returncode == 0
    with zipfile.ZipFile(evidence) as bundle:
        assert bundle.namelist().count("timestamp.tsr") == 1


def test_a_stamp_of_another_checkpoint_is_found(evidence, authority, shared, pki, tmp_path):  # noqa: F811
    query = tmp_path / "query"
    run("openssl", "ts", "-query", "-data", pki.path("ca.pem"), "-sha256", "-cert", "-out", query)
    with zipfile.ZipFile(evidence, "a") as bundle:
        bundle.writestr("timestamp.tsr", authority.stamp(query.read_bytes()))
    for trust in ([], ["--timestamp-ca", authority.root]):
        result = verify(evidence, shared.policy, *trust)
        assert [finding["check"] for finding in result["findings"]] == ["timestamp"]


def test_a_checkpoint_is_stamped_beside_it(evidence, authority, shared, tmp_path):  # noqa: F811
    note = tmp_path / "checkpoint"
    with zipfile.ZipFile(evidence) as bundle:
        note.write_bytes(bundle.read("checkpoint"))
    assert sluice("audit", "timestamp", note, "--url", authority.url).returncode == 0
    stamp = tmp_path / "checkpoint.tsr"
    trusted = ["--timestamp", stamp, "--timestamp-ca", authority.root]
    assert verify(note, shared.policy, *trusted)["timestamp"]["authorityChecked"]
    damaged = bytearray(stamp.read_bytes())
    damaged[-20] ^= 1  # in the signature
    stamp.write_bytes(damaged)
    assert verify(note, shared.policy, *trusted)["findings"][0]["check"] == "timestamp"


@pytest.mark.parametrize("answer", [lambda _: b"", lambda _: b"<html>", lambda _: bytes(100_000)],
                         ids=["unavailable", "a page", "too long"])
def test_what_is_no_stamp_is_not_kept(evidence, authority, answer):  # noqa: F811
    before = evidence.read_bytes()
    authority.answer = answer
    try:
        done = sluice("audit", "timestamp", evidence, "--url", authority.url)
    finally:
        authority.answer = authority.stamp
    assert done.returncode == 1 and done.stderr and evidence.read_bytes() == before
    earlier = authority.stamp(authority.queries[0][1])  # replayed: the nonce is another
    authority.answer = lambda _: earlier
    try:
        done = sluice("audit", "timestamp", evidence, "--url", authority.url)
    finally:
        authority.answer = authority.stamp
    assert done.returncode == 1 and evidence.read_bytes() == before
    assert sluice("audit", "timestamp", evidence).returncode == 2
    assert sluice("audit", "timestamp", evidence, "--url", authority.url, "--timestamp-ca",
                  "/nowhere").returncode == 2
