"""The schema commands of `sluice` against a real PostgreSQL: drafts, previews, grants, dictionaries."""

import html.parser
import json
import os
import re
import subprocess
from types import SimpleNamespace

import psycopg2
import psycopg2.extensions
import pytest

import clients
import harness

SLUICE = harness.BUILD / "sluice"
CANONICAL = harness.BUILD / "schemas/canonical.pb"
OK, FAILED, USAGE, NOT_FOUND, DENIED, UNAVAILABLE = range(6)


def sluice(*words, **changes):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "PG"))}
    environment |= {"LC_ALL": "C.UTF-8", **changes}
    return subprocess.run([SLUICE, *map(str, words)], env=environment, capture_output=True, text=True,
                          timeout=60, cwd=harness.REPO)


@pytest.fixture
def database(databases):
    """A database of the test's own: conninfo for `sluice`, execute() as its administrator."""
    name = clients.unique("author").replace("-", "_")
    conninfo = re.sub(r"passfile=\S+", f"passfile={databases.folder}/secrets/sluice_admin.pgpass",
                      databases.conninfo["control"].replace("user=control_owner", "user=sluice_admin"))

    def connect(database, **changes):
        options = psycopg2.extensions.parse_dsn(conninfo) | {"dbname": database} | changes
        connection = psycopg2.connect(**options)
        connection.autocommit = True
        return connection

    def execute(statement, values=None, **changes):
        connection = connect(name, **changes)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    admin = connect("control")
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING UTF8 LOCALE 'C.UTF-8'")
    yield SimpleNamespace(name=name, conninfo=re.sub(r"dbname=\S+", f"dbname={name}", conninfo), execute=execute)
    with admin.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


@pytest.fixture
def folder(tmp_path):
    """A schemas folder; write(path, text) puts a file there."""
    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target
    (tmp_path / "canonical.pb").write_bytes(CANONICAL.read_bytes())
    return SimpleNamespace(path=tmp_path, write=write)


def compile_types(folder, *files):
    harness.run("protoc", "-I", folder / "canonical", "-I", harness.REPO / "proto", "--include_imports",
                "--include_source_info", f"--descriptor_set_out={folder}/canonical.pb", *files)


RESIDENT = """version: 1
title: {en: Residents, zh: 居民}
type: gov.person.v1.Resident
source: here
table: people
sharing: open
fields:
  id_number: sfzh
  name: {from: xm, required: true}
  birth_date: {from: csrq, normalise: [cn_date]}
"""
PEOPLE = ("CREATE TABLE people (sfzh text PRIMARY KEY, xm text, csrq text, salary integer);"
          "INSERT INTO people VALUES ('11010519491231002X', '王小明', '1949年12月31日', 1),"
          "('110105194912310011', NULL, '19491231', 2), ('110105194912310038', '李雷', '49/12/31', 3),"
          "('1101051949123100', '坏号', '1949-12-31', 4)")


# --- infer ----------------------------------------------------------------------------------------

NAMES = ['two words', 'quo"te', "it's", '$money$', '年报 2023', 'a.b', 'x"; DROP TABLE t; --', 'semi:colon #hash']


@pytest.mark.parametrize("name", NAMES)
def test_infer_reads_tables_of_any_name(database, tmp_path, name):
    quoted = '"' + name.replace('"', '""') + '"'
    database.execute(f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} text PRIMARY KEY, b integer);"
                     f"INSERT INTO {quoted}.{quoted} VALUES ('k1', 1), ('k2', 2)")
    done = sluice("schema", "infer", "--database", database.conninfo, "--table", f"{quoted}.{quoted}",
                  "--department", "d", "--dataset", "things", "--out", tmp_path)
    assert done.returncode == OK, done.stderr
    compile_types(tmp_path, tmp_path / "canonical/d/things/v1/things.proto")
    checked = sluice("schema", "check", tmp_path)
    assert checked.returncode == OK, checked.stderr
    seen = sluice("schema", "preview", "d/things", tmp_path, "--database", database.conninfo, "--format", "json")
    assert seen.returncode == OK, seen.stderr
    assert json.loads(seen.stdout)["delivered"] == 2


def test_infer_drafts_every_type_that_a_mapping_reads(database, tmp_path):
    database.execute("""CREATE DOMAIN code AS varchar(6); CREATE TABLE t (a smallint PRIMARY KEY, b integer, c bigint,
        d numeric(10,2), e real, f double precision, g boolean, h char(4), i varchar(9), j text, k date, l timestamp,
        m timestamptz, n uuid, o json, p jsonb, q bytea, r text[], s code, "t u" point);
        INSERT INTO t SELECT n, n, n, n / 3.0, n, n, true, 'ab', 'cd', 'text ' || n, date '2024-01-01' + n, now(),
        now(), md5(n::text)::uuid, '{}', '{"a": 1}', 'x', ARRAY['a', 'b'], '110105', point(1, 2)
        FROM generate_series(1, 30) AS n""")
    done = sluice("schema", "infer", "--database", database.conninfo, "--table", "t", "--department", "d",
                  "--dataset", "all-types", "--out", tmp_path)
    assert done.returncode == OK, done.stderr
    assert 'column "t u" is point, which a mapping cannot read' in done.stderr
    compile_types(tmp_path, tmp_path / "canonical/d/all_types/v1/all_types.proto")
    seen = sluice("schema", "preview", "d/all-types", tmp_path, "--database", database.conninfo, "--format", "json",
                  "--unmasked")
    assert seen.returncode == OK, seen.stdout + seen.stderr
    assert json.loads(seen.stdout)["delivered"] == 30


def fields_of(mapping):
    """{field: (column, first word of its chain)} of a drafted mapping."""
    found = {}
    for name, body in re.findall(r"^  (\w+):\n((?:    .*\n)+)", mapping, re.M):
        column = re.search(r"^    from: (.+)$", body, re.M).group(1)
        chain = re.search(r"^    normalise: \[\{?(\w+)", body, re.M)
        found[name] = (column, chain.group(1) if chain else None)
    return found


def test_infer_finds_what_a_person_wrote_for_the_demo(databases):
    """The messy residents of the demo: each field from the column of the mapping written by hand."""
    done = sluice("schema", "infer", "--database", databases.conninfo["civil_affairs"], "--table", "resident",
                  "--department", "civil-affairs", "--dataset", "residents", "--type", "gov.person.v1.Resident",
                  "--descriptors", CANONICAL)
    assert done.returncode == OK, done.stderr
    assert fields_of(done.stdout) == {
        "id_number": ("sfzh", "cn_id"), "name": ("xm", None), "sex": ("xb", "cn_sex"),
        "ethnic_group": ("mz", "cn_ethnic"), "birth_date": ("csrq", "cn_date"), "address": ("hjdz", None),
        "division_code": ("xzqh", "cn_division"), "mobile": ("lxdh", "cn_mobile"),
        "marital_status": ("hyzk", "cn_marital"), "updated_at": ("gxsj", None)}


def test_infer_samples_a_large_table_all_over(databases):
    databases.rows("statistics_owner", "ANALYZE street")
    done = sluice("schema", "infer", "--database", databases.conninfo["statistics"], "--table", "street",
                  "--department", "statistics", "--dataset", "streets", "--type", "gov.division.v1.Division",
                  "--descriptors", CANONICAL, "--sample", "100")
    assert done.returncode == OK and "100 rows looked at" in done.stderr
    assert fields_of(done.stdout)["code"] == ("code", "cn_division")


def test_infer_never_leaks_a_sample_value(database, tmp_path):
    database.execute(PEOPLE)
    words = ("schema", "infer", "--database", database.conninfo, "--table", "people", "--department", "d",
             "--dataset", "people", "--type", "gov.person.v1.Resident", "--descriptors", CANONICAL)
    for extra in ((), ("--show-samples",)):
        done = sluice(*words, *extra)
        assert done.returncode == OK, done.stderr
        for value in ("11010519491231002X", "王小明", "李雷", "110105194912310038", "1949年12月31日"):
            assert value not in done.stdout + done.stderr
    assert "110105********002X" in done.stdout  # masked, and only when asked for
    assert "********" not in sluice(*words).stdout


def test_infer_writes_nothing(database):
    database.execute("""CREATE TABLE log (n integer); CREATE FUNCTION spy() RETURNS integer LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO public.log VALUES (1); RETURN 1; END$$;
        CREATE VIEW trap AS SELECT public.spy() AS a""")
    done = sluice("schema", "infer", "--database", database.conninfo, "--table", "trap", "--department", "d",
                  "--dataset", "x", "--type", "gov.person.v1.Resident", "--descriptors", CANONICAL)
    assert done.returncode == FAILED and "read-only" in done.stderr
    assert database.execute("SELECT count(*) FROM log") == [(0,)]


def test_bytes_that_are_no_text_do_no_harm(database, folder):
    """A database without an encoding holds whatever somebody wrote; the server refuses to call it UTF-8."""
    name = f"{database.name}_ascii"
    conninfo = database.conninfo.replace(f"dbname={database.name}", f"dbname={name}")
    psql = ["/usr/lib/postgresql/15/bin/psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d"]
    harness.run(*psql, database.conninfo, "-c",
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
    try:
        harness.run(*psql, conninfo, "-c", "CREATE TABLE people (sfzh text PRIMARY KEY, xm text, csrq text)", "-c",
                    "INSERT INTO people VALUES ('11010519491231002X', E'\\xff\\xfe\\xe4', '1949-12-31')", "-c",
                    "COMMENT ON TABLE people IS E'bad \\xff'")
        done = sluice("schema", "infer", "--database", conninfo, "--table", "people", "--department", "d", "--dataset",
                      "people", "--type", "gov.person.v1.Resident", "--descriptors", CANONICAL, "--show-samples")
        assert done.returncode == FAILED and "22021" in done.stderr and "gb18030" in done.stderr
        folder.write("departments/d/people.yaml", RESIDENT)
        seen = sluice("schema", "preview", "d/people", folder.path, "--database", conninfo)
        assert seen.returncode == FAILED and "22021" in seen.stderr and "\ufffd" not in seen.stderr
    finally:
        harness.run(*psql, database.conninfo, "-c", f"DROP DATABASE {name} WITH (FORCE)")


def test_infer_says_what_is_wrong(database, tmp_path):
    words = ("schema", "infer", "--database", database.conninfo, "--department", "d", "--dataset", "x")
    database.execute("CREATE TABLE resident (a text)")
    typed = ("--type", "gov.person.v1.Resident", "--descriptors", CANONICAL)
    missing = sluice(*words, "--table", "residents", *typed)
    assert missing.returncode == NOT_FOUND and 'did you mean "resident"' in missing.stderr
    assert sluice(*words, "--table", "resident").returncode == USAGE  # two files need --out
    assert sluice(*words, "--table", "resident", "--type", "no.Such", "--descriptors", CANONICAL).returncode == NOT_FOUND
    assert sluice(*words, *typed).returncode == USAGE  # no table
    bad = ("schema", "infer", "--database", database.conninfo, "--department", "D!", "--dataset", "x", "--table", "t")
    assert sluice(*bad, *typed).returncode == USAGE
    away = sluice("schema", "infer", "--database", "host=127.0.0.1 port=1", "--table", "t", "--department", "d",
                  "--dataset", "x", *typed)
    assert away.returncode == UNAVAILABLE
    # A draft that cannot load yet says which point stands in the way.
    draft = sluice(*words, "--table", "resident", *typed)
    assert draft.returncode == OK
    assert "no column was found for id_number, which is the key" in draft.stderr
    assert "does not pass schema check yet" in draft.stderr
    once = (*words, "--table", "resident", "--out", tmp_path)
    assert sluice(*once).returncode == OK
    assert sluice(*once).returncode == FAILED  # never over somebody's work


# --- preview --------------------------------------------------------------------------------------

def preview(folder, database, *extra):
    return sluice("schema", "preview", "d/people", folder.path, "--database", database.conninfo, *extra)


def test_preview_shows_fields_verdicts_and_reasons(database, folder):
    database.execute(PEOPLE)
    folder.write("departments/d/people.yaml", RESIDENT)
    done = preview(folder, database, "--format", "json", "--unmasked")
    assert done.returncode == OK, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["read"], answer["delivered"], answer["quarantined"]) == (4, 1, 3)
    assert {(r["field"], r["code"]): r["rows"] for r in answer["rejects"]} == {
        ("name", "REQUIRED_MISSING"): 1, ("birth_date", "DATE_AMBIGUOUS"): 1, ("id_number", "CN_ID_LENGTH"): 1}
    cells = {(c["native"], c["field"]): c for c in answer["cells"]}
    date = cells["1949年12月31日", "birth_date"]
    assert (date["canonical"], date["verdict"]) == ("1949-12-31", "CHANGED")
    # A field is judged by itself: the row of the bad number still has a good name.
    assert cells["坏号", "name"]["verdict"] == "OK"
    assert cells["49/12/31", "birth_date"]["verdict"] == "ERROR"


def test_preview_masks_what_is_sensitive(database, folder):
    database.execute(PEOPLE)
    folder.write("departments/d/people.yaml", RESIDENT)
    for style in ("table", "json", "csv", "jsonl"):
        done = preview(folder, database, "--format", style)
        assert done.returncode == OK, done.stderr
        for value in ("11010519491231002X", "王小明", "1949年12月31日", "坏号", "49/12/31"):
            assert value not in done.stdout + done.stderr, style
        assert "110105********002X" in done.stdout


def test_preview_of_one_record(database, folder):
    database.execute(PEOPLE)
    folder.write("departments/d/people.yaml", RESIDENT)
    for option in ("--record", "--key"):
        done = preview(folder, database, option, "11010519491231002x", "--format", "json")
        assert json.loads(done.stdout)["read"] == 1, done.stderr
    assert preview(folder, database, "--record", "110105194912310054").returncode == NOT_FOUND
    assert preview(folder, database, "--record", "nonsense").returncode == FAILED


def test_preview_names_every_drifted_column(database, folder):
    database.execute(PEOPLE.replace("csrq text", "csrq date").replace("xm text", "xmx text")
                     .replace("'1949年12月31日'", "NULL").replace("'49/12/31'", "NULL"))
    folder.write("departments/d/people.yaml", RESIDENT)
    done = preview(folder, database, "--format", "json")
    assert done.returncode == FAILED
    drift = {row["column"]: row for row in json.loads(done.stdout)["drift"]}
    assert drift["xm"]["fix"] == 'the column is gone; was it renamed to "xmx"?'
    assert drift["csrq"]["found"] == "date" and drift["csrq"]["fix"] == 'write columns: {"csrq": date}'
    database.execute("DROP TABLE people")
    assert preview(folder, database).returncode == NOT_FOUND
    near = sluice("schema", "preview", "d/peple", folder.path, "--database", database.conninfo)
    assert near.returncode == NOT_FOUND and 'did you mean "d/people"' in near.stderr


def test_check_holds_the_mappings_against_live_tables(database, folder):
    def check(*words):
        return sluice("schema", "check", folder.path, "--database", database.conninfo, "--format", "jsonl", *words)

    def rows(done):
        return [json.loads(line) for line in done.stdout.splitlines()]
    database.execute(PEOPLE)
    folder.write("departments/d/people.yaml", RESIDENT)
    done = check()
    assert done.returncode == OK, done.stderr
    [nullable] = rows(done)  # a required field over a column that may be NULL
    assert nullable == {"dataset": "d/people", "kind": "now_nullable", "table": '"public"."people"', "column": "xm",
                        "expected": "not null", "found": "nullable", "compatible": True}
    database.execute("DELETE FROM people; ALTER TABLE people ALTER xm SET NOT NULL")
    assert rows(check()) == []
    database.execute("ALTER TABLE people DROP xm; ALTER TABLE people ALTER csrq TYPE date USING NULL")
    folder.write("departments/d/two.yaml", RESIDENT.replace("Residents", "Twice").replace(
        "table: people", "query: SELECT sfzh, missing AS xm, '' AS csrq FROM public.people"))
    done = check()
    assert done.returncode == FAILED and "2 of 2 datasets" in done.stderr
    assert [(row["kind"], row["column"], row["expected"], row["found"], row["compatible"]) for row in rows(done)] == [
        ("column_missing", "xm", "text", "", False), ("type_changed", "csrq", "text", "date", False)]
    assert "missing" in done.stderr, "a query is judged by its description"
    folder.write("departments/d/two.yaml", RESIDENT.replace("Residents", "Twice").replace("source: here", "source: there"))
    done = check()
    assert done.returncode == USAGE and '"here" and "there"' in done.stderr
    assert check("--source", "there").returncode == FAILED
    assert check("--source", "nowhere").returncode == USAGE
    assert check("--against", folder.path).returncode == USAGE


def test_preview_agrees_with_the_gateways_own_data(databases):
    """The real mappings over the demo's data: every row accounted for."""
    for dataset, role, table in (("statistics/streets", "statistics", "street"),
                                 ("civil-affairs/residents", "civil_affairs", "resident")):
        done = sluice("schema", "preview", dataset, "schemas", "--descriptors", CANONICAL, "--limit", "2",
                      "--sample", "50000", "--database", databases.conninfo[role], "--format", "json")
        assert done.returncode == OK, done.stderr
        answer = json.loads(done.stdout)
        owner = f"{role}_owner"
        assert answer["read"] == databases.rows(owner, f"SELECT count(*) FROM {table}")[0][0]
        assert answer["read"] == answer["delivered"] + answer["quarantined"]
        assert sum(row["rows"] for row in answer["rejects"]) == answer["quarantined"]


# --- check and diff -------------------------------------------------------------------------------

def test_check_tells_every_fault_of_every_file(folder):
    folder.write("codes/kind.csv", "wrong,header\n")
    folder.write("departments/d/a.yaml", RESIDENT.replace("name: {", "nmae: {").replace("cn_date", "cn_dat")
                 .replace("sharing: open", "sharing: perhaps"))
    folder.write("departments/d/b.yaml", "version: [")
    folder.write("departments/d/c.yaml", RESIDENT)
    done = sluice("schema", "check", folder.path)
    assert done.returncode == FAILED
    for line in ("codes/kind.csv:1:1: ", "departments/d/a.yaml:6:10: ", 'departments/d/a.yaml:9:3: gov.person.v1.Resident has '
                 'no field "nmae"; did you mean "name"?', 'departments/d/a.yaml:10:40: there is no normaliser "cn_dat"; '
                 'did you mean "cn_date"?', "departments/d/b.yaml:"):
        assert line in done.stderr, done.stderr
    assert "departments/d/c.yaml" not in done.stderr and "faults: 5" in done.stderr


def proto(fields, rest=""):
    return ('syntax = "proto3"; package t.v1; import "sluice/options/field.proto";\n'
            f"enum Kind {{ NONE = 0; ONE = 1; }}\nmessage Inner {{ string a = 1; }}\nmessage Thing {{ {fields} }}\n{rest}")


FIELDS = ("string id = 1 [(sluice.options.key) = 1]; string name = 2; Kind kind = 3; Inner inner = 4; "
          "string gone = 5;")


def test_check_against_an_older_version(tmp_path):
    def version(name, text, mapped=True):
        (tmp_path / name / "canonical/t/v1").mkdir(parents=True)
        (tmp_path / name / "canonical/t/v1/t.proto").write_text(text)
        compile_types(tmp_path / name, tmp_path / name / "canonical/t/v1/t.proto")
        if mapped:
            (tmp_path / name / "departments/d").mkdir(parents=True)
            (tmp_path / name / "departments/d/things.yaml").write_text(
                "version: 1\ntitle: {en: T, zh: 物}\ntype: t.v1.Thing\nsource: s\ntable: t\nsharing: open\n"
                "fields: {id: id}\n")
        return tmp_path / name

    old = version("old", proto(FIELDS))
    good = version("good", proto("reserved 5; reserved \"gone\"; " + FIELDS.replace(" string gone = 5;", "")
                                 + " string more = 6;"))
    done = sluice("schema", "check", good, "--against", old, "--format", "json")
    assert done.returncode == OK, done.stderr
    assert {row["change"] for row in json.loads(done.stdout)} == {"FIELD_REMOVED", "FIELD_ADDED"}
    for number, (bad, change) in enumerate([
            (proto(FIELDS.replace(" string gone = 5;", "")), "FIELD_REMOVED"),
            (proto(FIELDS.replace("string name = 2", "int64 name = 2")), "FIELD_TYPE_CHANGED"),
            (proto(FIELDS.replace("string name = 2", "string other = 2")), "FIELD_RENAMED"),
            (proto(FIELDS).replace("string a = 1", "int32 a = 1"), "FIELD_TYPE_CHANGED"),
            (proto(FIELDS).replace("ONE = 1", "ONE = 2"), "ENUM_VALUE_RENUMBERED")]):
        new = version(f"bad{number}", bad)
        for against in (old, old / "canonical.pb"):
            done = sluice("schema", "check", new, "--against", against, "--format", "json")
            assert done.returncode == FAILED
            broken = [row for row in json.loads(done.stdout) if row["effect"] == "breaking"]
            # Also a type inside a type: the dataset that can hold it is named.
            assert [(row["change"], row["dataset"]) for row in broken] == [(change, "d/things")]


def test_diff_between_two_folders(folder, tmp_path):
    folder.write("old/departments/d/people.yaml", RESIDENT)
    folder.write("same/departments/d/people.yaml", RESIDENT + "# a comment\n")
    folder.write("new/departments/d/people.yaml", RESIDENT.replace("  name: {from: xm, required: true}\n", ""))
    same = sluice("schema", "diff", folder.path / "old", folder.path / "same", "--fail-on-breaking", "--format", "json")
    assert same.returncode == OK and json.loads(same.stdout) == []
    changed = sluice("schema", "diff", folder.path / "old", folder.path / "new", "--format", "json")
    assert changed.returncode == OK
    assert [(r["item"], r["change"], r["effect"]) for r in json.loads(changed.stdout)] == [
        ("name", "FIELD_REMOVED", "breaking")]
    assert sluice("schema", "diff", folder.path / "old", folder.path / "new", "--fail-on-breaking").returncode == FAILED
    assert sluice("schema", "diff", folder.path / "old", folder.path / "nowhere").returncode == FAILED


# --- grants ---------------------------------------------------------------------------------------

def columns_of(database, role, table):
    """What the role can really read: each column tried alone."""
    readable = []
    for (column,) in database.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
                                      (table,)):
        quoted = '"' + column.replace('"', '""') + '"'
        try:
            database.execute(f"SET ROLE {role}; SELECT {quoted} FROM {table} LIMIT 1")
            readable.append(column)
        except psycopg2.errors.InsufficientPrivilege:
            pass
    return readable


@pytest.fixture
def reader(database):
    role = '"reader ""%s"""' % clients.unique()
    database.execute(f"CREATE ROLE {role}")
    yield role
    database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_grants_open_exactly_the_mapped_columns(database, folder, reader):
    table = 'odd."年 ""报$"'
    database.execute(f'CREATE SCHEMA odd; CREATE TABLE {table} ("s f""zh" text PRIMARY KEY, "x$m" text, secret text);'
                     f"CREATE TABLE odd.other (a text); INSERT INTO {table} VALUES ('1', '2', '3')")
    folder.write("departments/d/people.yaml", RESIDENT.replace("table: people", 'schema: odd\ntable: "年 \\"报$"')
                 .replace("sfzh", '"s f\\"zh"').replace("xm", '"x$m"').replace(
                     "  birth_date: {from: csrq, normalise: [cn_date]}\n", ""))
    name = reader[1:-1].replace('""', '"')
    plain = sluice("schema", "grants", "d/people", folder.path, "--role", name)
    assert plain.returncode == OK, plain.stderr
    database.execute(plain.stdout)
    assert columns_of(database, reader, table) == ['s f"zh', "x$m"]
    # The gateway's own probe runs with it, and a second look finds nothing to revoke.
    words = ("schema", "grants", folder.path, "--role", name, "--database", database.conninfo)
    assert "REVOKE" not in sluice(*words).stdout
    # Somebody was generous.
    database.execute(f"GRANT SELECT ON {table} TO {reader}; GRANT SELECT, INSERT ON odd.other TO {reader};"
                     f"GRANT UPDATE (secret) ON {table} TO {reader}")
    again = sluice(*words)
    assert again.returncode == OK and "REVOKE" in again.stdout, again.stderr
    database.execute(again.stdout)
    assert columns_of(database, reader, table) == ['s f"zh', "x$m"]
    assert columns_of(database, reader, "odd.other") == []
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.execute(f"SET ROLE {reader}; UPDATE {table} SET secret = 'x'")
    assert "REVOKE" not in sluice(*words).stdout


def test_grants_keep_what_other_datasets_need(database, folder, reader):
    database.execute(PEOPLE)
    folder.write("departments/d/people.yaml", RESIDENT)
    folder.write("departments/d/names.yaml", RESIDENT.replace(
        "  birth_date: {from: csrq, normalise: [cn_date]}\n", "  address: salary\ncolumns: {salary: integer}\n"))
    name = reader[1:-1].replace('""', '"')
    database.execute(sluice("schema", "grants", folder.path, "--role", name).stdout)
    one = sluice("schema", "grants", "d/people", folder.path, "--role", name, "--database", database.conninfo)
    assert one.returncode == OK and "REVOKE" not in one.stdout, one.stdout
    assert sluice("schema", "grants", "d/nobody", folder.path, "--role", "x").returncode == NOT_FOUND
    assert sluice("schema", "grants", folder.path).returncode == USAGE


def test_grants_open_the_tables_of_lists_too(database, folder, reader):
    """What the sub-select of a list names: columns that are read, joined and ordered by."""
    (folder.path / "canonical/t/v1").mkdir(parents=True)
    folder.write("canonical/t/v1/t.proto", """syntax = "proto3";
package t.v1;
import "sluice/options/field.proto";
message Person {
  string id = 1 [(sluice.options.key) = 1, (sluice.options.label_zh) = "编号"];
  repeated string phones = 2 [(sluice.options.label_zh) = "电话"];
}
""")
    compile_types(folder.path, folder.path / "canonical/t/v1/t.proto")
    database.execute("CREATE SCHEMA \"x y\"; CREATE TABLE person (id text PRIMARY KEY, secret text);"
                     "CREATE TABLE \"x y\".phone (owner text, seq integer, number text, note text);"
                     "INSERT INTO person VALUES ('1', 's'); INSERT INTO \"x y\".phone VALUES ('1', 1, '2', 'n')")
    folder.write("departments/d/people.yaml", """version: 1
title: {en: Persons, zh: 人员}
type: t.v1.Person
source: here
table: person
sharing: open
fields:
  id: id
  phones: {child: {table: phone, schema: "x y", join: {owner: id}, order: [seq], columns: {seq: integer}}, from: number}
""")
    name = reader[1:-1].replace('""', '"')
    plain = sluice("schema", "grants", "d/people", folder.path, "--role", name)
    assert plain.returncode == OK, plain.stderr
    database.execute(plain.stdout)
    assert columns_of(database, reader, "person") == ["id"]
    assert columns_of(database, reader, '"x y".phone') == ["owner", "seq", "number"]
    again = sluice("schema", "grants", folder.path, "--role", name, "--database", database.conninfo)
    assert again.returncode == OK and "REVOKE" not in again.stdout, again.stdout


# --- docs -----------------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    """Checks that tags are balanced; keeps the tags and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_docs_are_the_same_each_time_and_in_both_languages(tmp_path):
    for name in ("one", "two"):
        done = sluice("schema", "docs", "schemas", "--descriptors", CANONICAL, "--out", tmp_path / name)
        assert done.returncode == OK, done.stderr
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["dictionary.html", "dictionary.md", "dictionary.zh-CN.html", "dictionary.zh-CN.md"]
    for name in files:
        text = (tmp_path / "one" / name).read_text()
        assert text == (tmp_path / "two" / name).read_text()
        for piece in ("statistics/streets", "gov.person.v1.Resident", "公民身份号码", "CITIZEN_ID", "marital"):
            assert piece in text.replace("\\", "")
    page = Page()
    page.feed((tmp_path / "one/dictionary.zh-CN.html").read_text())
    assert page.open == [] and "数据字典" in page.text and "有条件共享" in page.text
    assert sluice("schema", "docs", "schemas", "--descriptors", CANONICAL).stdout == (
        tmp_path / "one/dictionary.md").read_text()


def test_docs_escape_what_people_wrote(folder, tmp_path):
    evil = "<script>alert(1)</script>|`x`\u202e</title>"
    folder.write("departments/d/people.yaml", RESIDENT.replace("en: Residents", f'en: "{evil}"')
                 .replace("name: {from: xm", f'name: {{from: "{evil}"'))
    folder.write("codes/odd.csv", f'native,canonical\n"<b>""1""</b>",{evil}\n')
    assert sluice("schema", "docs", folder.path, "--out", tmp_path / "out").returncode == OK
    text = (tmp_path / "out/dictionary.html").read_text()
    page = Page()
    page.feed(text)
    assert "script" not in page.tags and "b" not in page.tags and page.open == []
    assert "<script>alert(1)</script>" in page.text and "\u202e" not in text
    markdown = (tmp_path / "out/dictionary.md").read_text()
    assert "<script>" not in markdown and "\\|" in markdown


@pytest.mark.parametrize("command", ["check", "infer", "preview", "diff", "grants", "docs"])
def test_help_in_both_languages(command):
    english, chinese = (sluice("schema", command, "--help", "--lang", lang) for lang in ("en", "zh"))
    assert english.returncode == chinese.returncode == OK
    assert f"sluice schema {command}" in english.stdout and "用法" in chinese.stdout
