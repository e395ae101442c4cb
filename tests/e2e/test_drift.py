"""Drift: the owner alters a mapped table while the gateway serves it. What a mapping can live with is a notice
to the owner and nobody else; anything else closes the dataset before its next row leaves, and mending the
table opens it again."""

import json
import re
import shutil

import grpc
import pytest

from clients import Peer, unique
from conftest import canonical_number
from harness import BUILD, REPO, Gateway, wait_for

LEDGER = "civil-affairs/ledger"
KEY = "11010519491231002X"
LOOK = 15  # seconds in which every worker has looked at the catalogue again: DRIFT_LOOK_MS and a reserve
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

MAPPING = """version: 1
title: {en: Ledger of residents (synthetic), zh: 虚构登记簿}
type: gov.person.v1.Resident
source: civil-affairs
schema: drifting
table: "登记 簿"
sharing: conditional
columns: {xb: enum, csrq: date}
fields:
  id_number: {from: sfzh, normalise: [cn_id]}
  name: {from: xm, required: true}
  sex: {from: xb, normalise: [cn_sex]}
  birth_date: {from: csrq, normalise: [cn_date]}
  mobile: lxdh
"""
TABLE = '"drifting"."登记 簿"'


def make_table(cluster):
    """The table as the mapping was written for it, with one row."""
    cluster.rows("civil_affairs_owner", f"""
        DROP SCHEMA IF EXISTS drifting CASCADE;
        CREATE SCHEMA drifting;
        CREATE TYPE drifting.xb AS ENUM ('男', '女');
        CREATE TABLE {TABLE} (sfzh varchar(18) PRIMARY KEY, xm varchar(10) NOT NULL, xb drifting.xb,
                              csrq date, lxdh varchar(20), bz text);
        GRANT USAGE ON SCHEMA drifting TO civil_affairs_reader;
        GRANT SELECT ON {TABLE} TO civil_affairs_reader;
        INSERT INTO {TABLE} VALUES ('{KEY}', '张三', '男', '1949-12-31', '14100000000', '-')""")


@pytest.fixture(scope="module")
def schemas(workspace):
    folder = workspace / unique("schemas")
    shutil.copytree(REPO / "schemas", folder)
    (folder / "departments/civil-affairs/ledger.yaml").write_text(MAPPING)
    return {"directory": folder, "descriptors": BUILD / "schemas/canonical.pb"}


@pytest.fixture
def ledger(workspace, cluster, schemas, pki, stubs):
    """A gateway over a fresh table, its owner's officer, and a consumer with an agreement."""
    make_table(cluster)
    assert canonical_number(KEY) == KEY
    gateway = Gateway(workspace / unique("gateway"), cluster, pki, schemas=schemas).start()
    house = Ledger(gateway, cluster, pki, stubs)
    try:
        wait_for(house.served, 10, "the agreement and the dataset")
        wait_for(lambda: len(house.lines("schema_drift_watched")) == gateway.config["workers"], 10, "the first look")
        assert house.drift() == [] and house.lines("schema_drift") == []
        yield house
    finally:
        house.close()
        gateway.stop()
        cluster.rows("civil_affairs_owner", "DROP SCHEMA drifting CASCADE")


class Ledger:
    def __init__(self, gateway, cluster, pki, stubs):
        self.gateway, self.cluster, self.stubs = gateway, cluster, stubs
        name = unique()
        certificate = pki.system("health", name)
        self.owner = Peer(stubs, gateway, "civil-affairs-officer", "officers")
        self.consumer = Peer(stubs, gateway, certificate)
        self.owner.grant(f"health/{name}", LEDGER, ["id_number", "name", "sex", "birth_date", "mobile"])

    def close(self):
        for peer in (self.owner, self.consumer):
            peer.close()

    def alter(self, text):
        self.cluster.rows("civil_affairs_owner", text)

    def served(self):
        try:
            return self.consumer.lookup(LEDGER, KEY, timeout=5).record.value
        except grpc.RpcError:
            return None

    def dataset(self, peer):
        return peer.catalog.GetDataset(self.stubs.catalog.GetDatasetRequest(name=LEDGER), timeout=5)

    def drift(self):
        kind = self.stubs.catalog.DriftNotice.Kind
        return [(kind.Name(n.kind), n.column, n.expected, n.found, n.compatible)
                for n in self.dataset(self.owner).drift]

    def wait_told(self, wanted):
        """Until every worker has the notices and no other; the officer may be answered by any of them."""
        workers = self.gateway.config["workers"]
        wait_for(lambda: len(self.lines("schema_drift")) >= workers * len(wanted), LOOK, "the notices in the log")
        found = [(line["kind"].upper(), line["column"], line["expected"], line["found"], line["compatible"] == "1")
                 for line in self.lines("schema_drift")]
        assert sorted(found) == sorted([*wanted] * workers)
        assert sorted(self.drift()) == sorted(wanted)

    def lines(self, event):
        """What the log says of the dataset: a dict a line."""
        found = [dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)) for line in self.gateway.log().splitlines()
                 if f"event={event} " in line and LEDGER in line]
        return [{name: value.strip('"') for name, value in line.items()} for line in found]

    def metrics(self):
        """Of all workers: {kind: number}."""
        found = {}
        for line in self.gateway.ops("/metrics")[1].splitlines():
            match = re.match(rf'sluice_schema_drift_notices{{.*dataset="{LEDGER}",kind="(\w+)"}} (\d+)$', line)
            if match:
                found[match[1]] = found.get(match[1], 0) + int(match[2])
        return found


# --- what a mapping can live with -----------------------------------------------------------------
COMPATIBLE = [  # what the owner does, and the notice
    (f"ALTER TABLE {TABLE} ADD COLUMN extra integer", ("COLUMN_ADDED", "extra", "", "integer", True)),
    (f"ALTER TABLE {TABLE} ALTER COLUMN xm TYPE varchar(20)",
     ("TYPE_CHANGED", "xm", "character varying(10)", "character varying(20)", True)),
    (f"ALTER TABLE {TABLE} ALTER COLUMN xm DROP NOT NULL", ("NOW_NULLABLE", "xm", "not null", "nullable", True)),
    (f"ALTER TABLE {TABLE} ALTER COLUMN lxdh SET NOT NULL", ("NOW_NOT_NULL", "lxdh", "nullable", "not null", True)),
    ("ALTER TYPE drifting.xb ADD VALUE '未知'", ("LABELS_CHANGED", "xb", "男, 女", "男, 女, 未知", True)),
    (f"ALTER TABLE {TABLE} RENAME COLUMN bz TO memo", ("COLUMN_RENAMED", "bz", "bz", "memo", True)),
]


def test_changes_a_mapping_can_live_with_are_told_once_and_stop_nothing(ledger, sluice):
    workers = ledger.gateway.config["workers"]
    first = ledger.served()
    for statement, _ in COMPATIBLE:
        ledger.alter(statement)
        for _ in range(20):  # over every connection of whichever worker answers
            assert ledger.consumer.lookup(LEDGER, KEY).record.value == first
        assert ledger.consumer.batch_lookup(LEDGER, [KEY])
    wanted = {notice for _, notice in COMPATIBLE}
    ledger.wait_told(wanted)
    assert ledger.dataset(ledger.owner).state == "ready"
    wait_for(lambda: ledger.metrics() == {notice[0].lower(): workers for notice in wanted}, LOOK, "the metrics")
    for line in ledger.lines("schema_drift"):
        assert line["dataset"] == LEDGER and line["level"] == "info" and "登记 簿" in line["table"]

    ledger.alter(f"ALTER TABLE {TABLE} DROP COLUMN extra")
    wait_for(lambda: len(ledger.lines("schema_drift_over")) == workers, LOOK, "the end of a notice")
    assert {line["column"] for line in ledger.lines("schema_drift_over")} == {"extra"}
    assert len(ledger.lines("schema_drift")) == workers * len(wanted), "a later look repeats nothing"
    wait_for(lambda: set(ledger.drift()) == wanted - {COMPATIBLE[0][1]}, LOOK, "the notice to go")
    assert not ledger.lines("dataset_closed"), "no look took a stale plan for drift"

    told = sluice("catalog", "drift", LEDGER, "--format", "jsonl", to=ledger.gateway)
    assert told.returncode == 0, told.stderr
    assert {row["kind"] for row in map(json.loads, told.stdout.splitlines())} == {n[0] for n in wanted} - {"COLUMN_ADDED"}
    assert all(json.loads(line)["compatible"] for line in told.stdout.splitlines())
    assert sluice("quality", "assess", LEDGER, to=ledger.gateway).returncode == 0
    for show in (["quality", "report", LEDGER], ["quality", "report", LEDGER, "--lang", "zh"]):
        done = sluice(*show, to=ledger.gateway)
        assert done.returncode == 0, done.stderr
        assert "character varying(20)" in done.stderr and "未知" in done.stderr and "memo" in done.stderr
        assert ("提示" if "zh" in show else "notice since") in done.stderr
    report = json.loads(sluice("quality", "report", LEDGER, "--format", "json", to=ledger.gateway).stdout)
    assert {n["kind"] for n in report["drift"]} == {n[0] for n in wanted} - {"COLUMN_ADDED"}
    assert "closed" not in report


# --- what closes the dataset ----------------------------------------------------------------------
@pytest.mark.parametrize("change, mend, notice, words", [
    ("RENAME COLUMN xm TO xingming", "RENAME COLUMN xingming TO xm",
     ("COLUMN_RENAMED", "xm", "xm", "xingming", False), 'column "xm" of "drifting"."登记 簿" is now called "xingming"'),
    ("DROP COLUMN xm", "ADD COLUMN xm varchar(10) NOT NULL DEFAULT '张三'",
     ("COLUMN_MISSING", "xm", "character varying(10)", "", False), 'column "xm" of "drifting"."登记 簿" is gone'),
    ("ALTER COLUMN xm TYPE bytea USING convert_to(xm, 'UTF8')", "ALTER COLUMN xm TYPE varchar(10) USING convert_from(xm, 'UTF8')",
     ("TYPE_CHANGED", "xm", "character varying(10)", "bytea", False), "is bytea instead of character varying(10)"),
    ("RENAME TO elsewhere", None, ("TABLE_MISSING", "", "a table or view", "", False), 'the table "drifting"."登记 簿" is not there'),
], ids=["rename", "drop", "retype", "table"])
def test_a_change_that_breaks_the_mapping_closes_the_dataset_until_it_is_mended(ledger, sluice, change, mend, notice, words):
    first = ledger.served()
    assert first
    assert sluice("quality", "assess", LEDGER, to=ledger.gateway).returncode == 0
    ledger.alter(f"ALTER TABLE {TABLE} {change}")
    for call in (lambda: ledger.consumer.lookup(LEDGER, KEY), lambda: list(ledger.consumer.query(LEDGER)),
                 lambda: ledger.consumer.batch_lookup(LEDGER, [KEY])):  # at once, before anybody has looked
        failure = ledger.consumer.failure(call)
        assert (failure.code, failure.reason) == (FAILED_PRECONDITION, "SCHEMA_DRIFT")
        assert not re.search("xm|xingming|登记", failure.text), "the owner's names are not the caller's business"

    ledger.wait_told({notice})
    owned = ledger.dataset(ledger.owner)
    assert owned.state == "closed" and words in owned.state_reason
    seen = ledger.dataset(ledger.consumer)
    assert seen.state == "closed" and not seen.drift and "xm" not in seen.state_reason
    done = sluice("catalog", "drift", LEDGER, "--format", "jsonl", to=ledger.gateway)
    assert done.returncode == 0 and "not served now" in done.stderr and words in done.stderr, done.stderr
    assert json.loads(done.stdout)["compatible"] is False
    foreign = sluice("catalog", "drift", LEDGER, officer="health-officer", to=ledger.gateway)
    assert "xm" not in foreign.stdout + foreign.stderr and "登记" not in foreign.stdout + foreign.stderr
    done = sluice("quality", "report", LEDGER, to=ledger.gateway)
    assert done.returncode == 0 and "not served now" in done.stderr and words in done.stderr, done.stderr
    assert "closes the dataset since" in done.stderr
    assert all(line["level"] == "warn" for line in ledger.lines("schema_drift"))
    wait_for(lambda: ledger.metrics() == {notice[0].lower(): ledger.gateway.config["workers"]}, LOOK, "the metrics")

    ledger.alter(f"ALTER TABLE {TABLE} {mend}" if mend else 'ALTER TABLE "drifting".elsewhere RENAME TO "登记 簿"')
    wait_for(ledger.served, 10, "the dataset to open by itself")
    assert ledger.served() == first
    wait_for(lambda: len(ledger.lines("schema_drift_over")) == ledger.gateway.config["workers"], LOOK, "all to be well")
    assert ledger.drift() == [] and ledger.dataset(ledger.owner).state == "ready"
    wait_for(lambda: ledger.metrics() == {}, LOOK, "the metrics")


def test_a_dataset_that_is_closed_from_the_start_says_why_and_opens(cluster, pki, stubs, workspace, schemas):
    make_table(cluster)
    cluster.rows("civil_affairs_owner", f"ALTER TABLE {TABLE} ALTER COLUMN csrq TYPE text")
    gateway = Gateway(workspace / unique("gateway"), cluster, pki, schemas=schemas).start()
    house = Ledger(gateway, cluster, pki, stubs)
    try:
        house.wait_told({("TYPE_CHANGED", "csrq", "date", "text", False)})
        assert "csrq" in house.dataset(house.owner).state_reason
        assert len(house.lines("dataset_closed")) == gateway.config["workers"], "one line, however often it looks"
        house.alter(f"ALTER TABLE {TABLE} ALTER COLUMN csrq TYPE date USING csrq::date")
        wait_for(house.served, 10, "the dataset to open by itself")
        wait_for(lambda: len(house.lines("schema_drift_watched")) == gateway.config["workers"], LOOK, "the first good look")
        assert house.drift() == []
    finally:
        house.close()
        gateway.stop()
        cluster.rows("civil_affairs_owner", "DROP SCHEMA drifting CASCADE")
