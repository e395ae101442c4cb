"""A department nobody knew, with three messy tables that contradict each other, joins by YAML alone."""

import json
import subprocess

import pytest

import harness

SHOPS = 40

PROTO = """
syntax = "proto3";
package trade.shop.v1;
import "google/protobuf/timestamp.proto";
import "sluice/options/field.proto";
enum Kind { KIND_UNSPECIFIED = 0; FOOD = 1; REPAIR = 2; }
message Licence {
  string number = 1;
  string issued_on = 2;
}
message Shop {
  string credit_code = 1 [(sluice.options.key) = 1, (sluice.options.semantic) = CREDIT_CODE];
  string name = 2 [(sluice.options.semantic) = PLACE_NAME];
  Kind kind = 3;
  string opened_on = 4 [(sluice.options.semantic) = DATE];
  int64 capital_fen = 5 [(sluice.options.semantic) = MONEY];
  string area_m2 = 6;
  string phone = 7;
  repeated string tags = 8;
  repeated Licence licences = 9;
  string open_time = 10;
  string address = 11;
  google.protobuf.Timestamp changed_at = 12;
}
"""

# One truth, told three times. Column names have blanks, quotes, $ and Chinese.
SQL = """
CREATE TYPE mood AS ENUM ('吃的', '修的');
CREATE DOMAIN price AS numeric(12, 4);
CREATE TABLE truth AS
SELECT n, '91990000MA' || lpad(n::text, 6, '0') AS head, '测试店铺' || n AS name, n % 2 AS kind,
       date '1998-01-05' + n * 97 AS opened, (n * 12500)::bigint AS yuan, (n * 30) AS area
FROM generate_series(1, {shops}) AS n;
CREATE FUNCTION code(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    letters constant text := '0123456789ABCDEFGHJKLMNPQRTUWXY';
    body text := '91990000';
    org text := lpad((10000000 + n * 7)::text, 8, '0');
    weights constant int[] := ARRAY[3, 7, 9, 10, 5, 8, 4, 2];
    total int := 0; rest int; weight int := 1;
BEGIN
    FOR i IN 1..8 LOOP total := total + weights[i] * substr(org, i, 1)::int; END LOOP;
    rest := 11 - total % 11;
    body := body || org || CASE rest WHEN 10 THEN 'X' WHEN 11 THEN '0' ELSE rest::text END;
    total := 0;
    FOR i IN 1..17 LOOP
        total := total + weight * (strpos(letters, substr(body, i, 1)) - 1);
        weight := weight * 3 % 31;
    END LOOP;
    RETURN body || substr(letters, (31 - total % 31) % 31 + 1, 1);
END $$;

-- 1: everything is text, a licence is a row of another table
CREATE TABLE "门店 台账" ("信用 代码" text PRIMARY KEY, "名""称" text, "类$" text, "开 业" text, "资本" text,
                        "面积" text, "电话1" text, "电话2" text);
INSERT INTO "门店 台账" SELECT lower(code(n)), '  ' || name, CASE kind WHEN 0 THEN '餐饮' ELSE '维修' END,
    to_char(opened, 'FMYYYY年FMMM月FMDD日'), (yuan / 10000.0)::text || '万元', (area / 10000.0)::text,
    CASE WHEN n % 3 = 0 THEN 'NA' ELSE '+86 138-0013-' || lpad(n::text, 4, '0') END, '1380013' || lpad(n::text, 4, '0')
    FROM truth;
CREATE TABLE licence (shop text, no int, nr text, day text);
INSERT INTO licence SELECT lower(code(n)), k, 'L' || n || '-' || k, '2020010' || k FROM truth, generate_series(1, 2) k;

-- 2: typed columns, an older register with several rows a shop
CREATE TABLE "shop$old" (id bigserial PRIMARY KEY, uscc char(20) NOT NULL, title varchar(60), art mood, opened int,
                         fen price, mu numeric, tags text[], hours time, addr inet, seen timestamptz);
INSERT INTO "shop$old" (uscc, title, art, opened, fen, mu, tags, hours, addr, seen)
    SELECT code(n), CASE k WHEN 1 THEN 'old name' ELSE name END,
           (CASE kind WHEN 0 THEN '吃的' ELSE '修的' END)::mood, to_char(opened, 'YYYYMMDD')::int, yuan,
           area * 0.0015, ARRAY['t' || n, 'u'], '08:30', '10.0.0.1', timestamptz '2024-01-01 00:00+08' + k * interval '1 day'
    FROM truth, generate_series(1, 2) k;
CREATE INDEX ON "shop$old" (uscc, seen);

-- 3: a query over two tables, two-digit years, GB 18030 bytes
CREATE TABLE part_a (k int PRIMARY KEY, code text);
CREATE TABLE part_b (k int, name bytea, day text, what int);
INSERT INTO part_a SELECT n, code(n) FROM truth;
INSERT INTO part_b SELECT n, convert_to(name, 'GB18030'), to_char(opened, 'YYMMDD'), kind + 7 FROM truth;
INSERT INTO part_a VALUES (900, 'not a code');
INSERT INTO part_b VALUES (900, 'x', '240101', 7);
"""

HEAD = "version: 1\ntitle: {{en: Shops {n} (synthetic), zh: 门店 {n}（虚构）}}\ntype: trade.shop.v1.Shop\nsource: trade\nsharing: open\n"

MAPPINGS = {
    "ledger": '''table: "门店 台账"
fields:
  credit_code: {from: "信用 代码", normalise: [cn_uscc]}
  name: {from: "名\\"称", normalise: [trim], required: true}
  kind: {from: "类$", codes: {餐饮: FOOD, 维修: REPAIR}}
  opened_on: {from: "开 业", normalise: [cn_date]}
  capital_fen: {from: 资本, normalise: [{cn_money: {minor: true}}]}
  area_m2: {from: 面积, normalise: [{unit: {from: 公顷, to: m2}}]}
  phone: {coalesce: [电话1, 电话2], normalise: [cn_mobile], null_values: [NA, "-", ""]}
  licences:
    child: {table: licence, join: {shop: "信用 代码"}, order: [no]}
    fields: {number: nr, issued_on: {from: day, normalise: [cn_date]}}
''',
    "old": '''table: "shop$old"
columns: {uscc: char, art: enum, opened: integer, fen: numeric, mu: numeric, tags: "text[]", hours: time, addr: inet, seen: timestamptz}
duplicates: {keep: newest, by: seen}
fields:
  credit_code: {from: uscc, normalise: [cn_uscc]}
  name: title
  kind: {from: art, codes: {吃的: FOOD, 修的: REPAIR}}
  opened_on: {from: opened, normalise: [cn_date]}
  capital_fen: {from: fen, normalise: [{decimal: {minor: 2}}]}
  area_m2: {from: mu, normalise: [{unit: {from: 亩, to: m2}}]}
  tags: tags
  open_time: hours
  address: addr
  changed_at: seen
''',
    "query": '''query: SELECT a.code AS "代码", b.name AS n, b.day, b.what FROM public.part_a a JOIN public.part_b b USING (k)
columns: {n: bytea, what: integer}
fields:
  credit_code: {from: 代码, normalise: [cn_uscc]}
  name: {from: n, normalise: [gb18030]}
  kind: {from: what, codes: {"7": FOOD, "8": REPAIR}}
  opened_on: {from: day, normalise: [{cn_date: {formats: [YYMMDD], century: {pivot: 50}}}]}
''',
}


@pytest.fixture(scope="module")
def trade(workspace, admin_environment):
    """The department's database and a private gateway that serves it; answers a way to run commands."""
    folder = workspace / "trade"
    schemas = folder / "schemas"
    (schemas / "departments/trade").mkdir(parents=True)
    (folder / "shop.proto").write_text(PROTO)
    for number, (name, text) in enumerate(MAPPINGS.items()):
        (schemas / f"departments/trade/{name}.yaml").write_text(HEAD.format(n=number) + text)

    def run(*command, status=0):
        done = subprocess.run(command, cwd=folder, env=admin_environment, text=True, capture_output=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr if status else done.stdout

    trial = str(harness.REPO / "deploy/trial.sh")
    try:
        run("createdb", "trade")
        run("createdb", "trade_control")
        run("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", "trade", "-c", SQL.format(shops=SHOPS))
        run("protoc", "-I", str(folder), "-I", str(harness.REPO / "proto"), "--include_imports",
            "--include_source_info", f"--descriptor_set_out={schemas}/canonical.pb", "shop.proto")
        run("sluice", "schema", "check", str(schemas))
        run(trial, "up", "gateway", "--schemas", str(schemas), "--control", "dbname=trade_control",
            "--source", "trade=dbname=trade")
        yield lambda *command, status=0: run("bash", "-c", '. gateway/env && exec "$@"', "sh", *command,
                                             status=status)
    finally:
        run(trial, "down", "gateway")
        for name in ("trade", "trade_control"):
            run("dropdb", "--if-exists", "--force", name)


def records(trade, dataset):
    text = trade("sluice", "query", f"trade/{dataset}", "--purpose", "address-check", "--format", "jsonl")
    return {record["credit_code"]: record for record in map(json.loads, text.splitlines())}


def test_three_tables_that_contradict_each_other_say_the_same(trade):
    for name in MAPPINGS:
        trade("sluice", "agreement", "grant", "--consumer", "trial/system", "--dataset", f"trade/{name}", "--fields", "all",
              "--purposes", "address-check", "--modes", "lookup,query", "--days", "1")
    ledger, old, query = (records(trade, name) for name in MAPPINGS)
    assert len(ledger) == SHOPS and ledger.keys() == old.keys() == query.keys()
    for code, shop in ledger.items():
        for field in ("name", "kind", "opened_on"):
            assert shop[field] == old[code][field] == query[code][field], (code, field)
        for field in ("capital_fen", "area_m2"):
            assert shop[field] == old[code][field], (code, field)
    number = next(iter(sorted(ledger)))
    assert len(ledger[number]["licences"]) == 2
    assert [one["issued_on"] for one in ledger[number]["licences"]] == ["2020-01-01", "2020-01-02"]
    assert old[number]["open_time"] == "08:30:00" and old[number]["address"] == "10.0.0.1"
    assert old[number]["name"] != "old name" and old[number]["tags"][1] == "u"
    assert all(shop["phone"].startswith("1380013") for shop in ledger.values())
    found = json.loads(trade("sluice", "lookup", "trade/old", number, "--purpose", "address-check", "--format", "json"))
    assert found.pop("@type") == "type.googleapis.com/trade.shop.v1.Shop"
    assert found == old[number]


def test_the_accounts_of_each_table_balance(trade):
    wanted = {"ledger": (SHOPS, SHOPS, 0, 0), "old": (2 * SHOPS, SHOPS, 0, SHOPS),
              "query": (SHOPS + 1, SHOPS, 1, 0)}
    for name, (read, delivered, quarantined, duplicates) in wanted.items():
        text = trade("bash", "-c", f"sluice quality assess trade/{name} 2>&1")
        assert (f"read {read} = delivered {delivered} + quarantined {quarantined} + filtered 0 + "
                f"duplicates {duplicates}") in text, text
