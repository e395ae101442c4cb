"""@grpc/grpc-js as a second client that nobody here wrote."""

import filecmp
import json
import os
import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from conftest import STREETS
from harness import run

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def modules():
    """npm ci, once per lockfile."""
    mark = HERE / "node_modules/.fetched"
    lock = HERE / "package-lock.json"
    if not mark.exists() or not filecmp.cmp(lock, mark, shallow=False):
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", cwd=HERE)
        shutil.copy(lock, mark)


@pytest.fixture
def node(modules, gateway, pki, consumer):
    def call(*arguments):
        done = subprocess.run(
            ["node", "client.js", *arguments], cwd=HERE, capture_output=True, text=True, timeout=60,
            env={**os.environ, "SLUICE_TARGET": f"127.0.0.1:{gateway.ports['systems']}",
                 "SLUICE_CA": str(pki.path("ca.pem")), "SLUICE_CERT": str(pki.path(f"{consumer.certificate}.pem")),
                 "SLUICE_KEY": str(pki.path(f"{consumer.certificate}.key"))})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return call


def test_unary(node, grant):
    grant(STREETS)
    answer = node("lookup", STREETS, "110101001")
    assert answer["type"] == "type.googleapis.com/gov.division.v1.Division"
    assert answer["bytes"] > 0 and answer["exchange"]


def test_stream_of_all_streets(node, grant):
    grant(STREETS)
    answer = node("query", STREETS, "")
    assert answer["records"] == 41352
    assert answer["totals"]["read"] == "41352"


def test_filtered_stream(node, grant, cluster):
    grant(STREETS)
    expected = cluster.rows("statistics_owner", "SELECT count(*) FROM street WHERE \"areaCode\" = '110105'")[0][0]
    assert node("query", STREETS, 'county_code = "110105"')["records"] == expected


def test_refusal_carries_status_and_details(node, grant):
    grant(STREETS)
    answer = node("denied", STREETS, "110101001")
    assert answer["code"] == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert "grpc-status-details-bin" in answer["trailers"]
