"""Our proofs and notes judged by an implementation that is not ours: Go's golang.org/x/mod/sumdb."""

import json
import os
import re

import pytest

from harness import BUILD, REPO, run
from test_audit_verify import ORIGIN, house  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """The program of go_tlog/, built from Debian's packages alone."""
    folder = tmp_path_factory.mktemp("go")
    program = folder / "go_tlog"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(folder / "cache"),
                   "GOFLAGS": "", "GOPROXY": "off"}
    run("go", "build", "-o", program, ".", cwd=REPO / "tests/e2e/go_tlog", env=environment)

    def judge(cases):
        said = run(program, input=cases)
        return int(re.match(r"(\d+) cases, 0 mismatches", said.splitlines()[-1]).group(1))
    return judge


def test_proofs_of_all_small_and_of_random_large_trees(oracle, tmp_path):
    """Good proofs must hold, changed ones must not: 0 mismatches."""
    program = BUILD / "tests/unit/audit/test_proof"
    run("make", f"O={BUILD}", program, cwd=REPO)
    run(program, env={**os.environ, "SLUICE_PROOF_VECTORS": str(tmp_path / "vectors")})
    assert oracle((tmp_path / "vectors").read_text()) > 10000


def test_checkpoints(oracle, house):  # noqa: F811
    house.start()
    house.grow(3)
    note = house.officer.audit.GetCheckpoint(house.officer.stubs.audit.GetCheckpointRequest(), timeout=5).note
    key = house.policy.read_text().split()[1]
    cases = [{"kind": "note", "note": note, "key": key, "wantErr": False},
             {"kind": "note", "note": note.replace(ORIGIN, ORIGIN + "x", 1), "key": key, "wantErr": True},
             {"kind": "note", "note": note.replace("\n", "\n1", 1), "key": key, "wantErr": True}]
    assert oracle("".join(json.dumps(case) + "\n" for case in cases)) == 3
