"""The command line tool against the real gateway: what it prints and how it exits."""

import csv
import io
import json

import pytest

from conftest import STREETS
from harness import REPO

KEY = "110101001"
ASK = ["--purpose", "medical-triage"]


@pytest.fixture
def agreed(consumer, grant):
    grant(STREETS)
    return {"certificate": consumer.certificate}


def test_lookup_prints_the_record(sluice, agreed):
    done = sluice("lookup", STREETS, KEY, *ASK, "--format", "json", **agreed)
    assert done.returncode == 0, done.stderr
    assert "东华门街道" in done.stdout


def test_query_as_jsonl_is_one_object_a_line(sluice, agreed):
    done = sluice("query", STREETS, *ASK, "--filter", 'county_code = "110105"', "--format", "jsonl", **agreed)
    assert done.returncode == 0, done.stderr
    names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
    assert len(names) > 20


def test_query_as_csv_has_a_header_and_all_rows(sluice, agreed):
    done = sluice("query", STREETS, *ASK, "--limit", "100", "--format", "csv", **agreed)
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert "code" in rows[0]
    assert len(rows) == 101


def test_all_streets_arrive(sluice, agreed):
    done = sluice("query", STREETS, *ASK, "--format", "jsonl", **agreed)
    assert len(done.stdout.splitlines()) == 41352


@pytest.mark.parametrize("arguments, status", [
    (["lookup", STREETS, "110101099", *ASK], 3), (["lookup", STREETS, KEY, "--purpose", "marketing"], 4),
    (["lookup", STREETS], 2), (["no-such-command"], 2), (["lookup", STREETS, KEY], 2),
], ids=["missing", "denied", "no-key", "no-command", "no-purpose"])
def test_exit_codes_tell_failures_apart(sluice, agreed, arguments, status):
    done = sluice(*arguments, **agreed)
    assert done.returncode == status, done.stderr
    assert done.stderr


def test_a_gateway_that_is_down_is_told_apart(sluice, agreed, new_gateway):
    done = sluice("lookup", STREETS, KEY, *ASK, to=new_gateway(), **agreed)
    assert done.returncode == 5, done.stderr


def test_catalog_list_shows_what_is_granted_only(sluice, agreed):
    done = sluice("catalog", "list", "--format", "json", **agreed)
    assert STREETS in done.stdout
    assert "civil-affairs/residents" not in done.stdout


def test_agreements_can_be_granted_listed_and_revoked(sluice, consumer):
    grant = sluice("agreement", "grant", "--consumer", consumer.name, "--dataset", STREETS, "--fields", "code,name",
                   "--purposes", "address-check", "--modes", "lookup", "--days", "1", "--format", "json",
                   officer="statistics-officer")
    assert grant.returncode == 0, grant.stderr
    id = json.loads(grant.stdout)["id"]
    listed = sluice("agreement", "list", "--format", "jsonl", officer="statistics-officer")
    assert id in listed.stdout
    revoked = sluice("agreement", "revoke", id, "--reason", "end of test", officer="statistics-officer")
    assert revoked.returncode == 0, revoked.stderr


def test_audit_tail_shows_the_newest_entries(sluice, agreed):
    sluice("lookup", STREETS, KEY, *ASK, **agreed)
    done = sluice("audit", "tail", "--lines", "5", officer="statistics-officer")
    assert done.returncode == 0, done.stderr
    assert STREETS in done.stdout


def test_doctor_finds_nothing_wrong(sluice, agreed):
    done = sluice("doctor", **agreed)
    assert done.returncode == 0, done.stdout + done.stderr
    clock = [line.split() for line in done.stdout.splitlines() if " clock " in line]
    assert [line[0] for line in clock] == ["ok"], done.stdout


def test_control_init_twice_changes_nothing(sluice, cluster):
    before = cluster.rows("control", "SELECT count(*) FROM control.department")
    done = sluice("control", "init", "--database", cluster.conninfo["control"], "--migrations",
                  REPO / "schemas/control")
    assert done.returncode == 0, done.stderr
    assert cluster.rows("control", "SELECT count(*) FROM control.department") == before
