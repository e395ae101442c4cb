"""The `sluice` command against a stand-in gateway that answers what a healthy one never would, and its
operators' commands against a real PostgreSQL."""

import csv
import io
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import harness
import mock_connect
from mock_connect import Cut, Raw, Refusal, envelope

SLUICE = harness.BUILD / "sluice"
POSTGRES = harness.PG_BIN
TOWNS = "civil-affairs/towns"

OK, FAILED, USAGE, NOT_FOUND, DENIED, UNAVAILABLE, QUARANTINED = range(7)


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr


@pytest.fixture
def gateway(pki):
    """The stand-in, and the command with the right environment for it."""
    with mock_connect.serve(pki.path("gateway.pem"), pki.path("gateway.key"), pki.path("ca.pem")) as server:
        server.environment = {
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC",
            "SLUICE_ENDPOINT": server.address, "SLUICE_CA": str(pki.path("ca.pem")),
            "SLUICE_CERT": str(pki.path("statistics-collector.pem")),
            "SLUICE_KEY": str(pki.path("statistics-collector.key")),
            "SLUICE_OFFICER_CERT": str(pki.path("civil-affairs-officer.pem")),
            "SLUICE_OFFICER_KEY": str(pki.path("civil-affairs-officer.key")),
        }

        def sluice(*args, **changes):
            environment = {**server.environment, **changes}
            environment = {name: str(value) for name, value in environment.items() if value is not None}
            return Result(subprocess.run([SLUICE, *map(str, args)], capture_output=True, text=True,
                                         env=environment, timeout=60, cwd=harness.REPO))

        server.sluice = sluice
        yield server


def offline(*args, **changes):
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **changes}
    return Result(subprocess.run([SLUICE, *map(str, args)], capture_output=True, text=True,
                                 env=environment, timeout=60, cwd=harness.REPO))


def refuse(*args, **kwargs):
    def answer(_):
        raise Refusal(*args, **kwargs)
    return answer


def raw(*args, **kwargs):
    def answer(_):
        raise Raw(*args, **kwargs)
    return answer


# --- catalogue ------------------------------------------------------------------------------------

DATASETS = [
    {"name": TOWNS, "title": "Towns", "titleZh": "乡镇街道", "department": "civil-affairs",
     "sharing": "CONDITIONAL", "state": "ready"},
    {"name": "statistics/divisions", "title": "Divisions", "title_zh": "统计区划", "department": "statistics",
     "sharing": "OPEN", "state": "closed"},
]
DATASET = {**DATASETS[0], "typeName": "gov.division.v1.Division", "key": ["code"], "fields": [
    {"name": "code", "type": "string", "semantic": "DIVISION_CODE", "filterable": True, "granted": True},
    {"name": "name", "type": "string", "labelZh": "名称", "filterable": True, "granted": True},
    {"name": "county_code", "type": "string", "filterable": True, "granted": False}]}


def catalogue(server):
    def pages(request):
        if request.get("pageToken") == "two":
            return {"datasets": DATASETS[1:]}
        return {"datasets": DATASETS[:1], "nextPageToken": "two"}
    server.methods["sluice.v1.CatalogService/ListDatasets"] = pages
    server.methods["sluice.v1.CatalogService/GetDataset"] = lambda request: DATASET


def test_catalog_list_reads_every_page(gateway):
    catalogue(gateway)
    result = gateway.sluice("catalog", "list")
    assert result.status == OK
    lines = result.out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("name ")
    assert "统计区划" in lines[3]  # also when a server writes the .proto's own names
    method, request, headers = gateway.calls[0]
    assert headers["Connect-Protocol-Version"] == "1"
    assert headers["Connect-Timeout-Ms"] == "30000"


def test_catalog_list_in_every_format(gateway):
    catalogue(gateway)
    assert json.loads(gateway.sluice("catalog", "list", "--format", "json").out) == DATASETS
    lines = gateway.sluice("catalog", "list", "--format=jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == DATASETS
    rows = list(csv.DictReader(io.StringIO(gateway.sluice("catalog", "list", "--format", "csv").out)))
    assert rows[0]["name"] == TOWNS and rows[1]["titleZh"] == "统计区划"


def test_catalog_show(gateway):
    catalogue(gateway)
    result = gateway.sluice("catalog", "show", TOWNS)
    assert result.status == OK and "county_code" in result.out and "名称" in result.out
    assert json.loads(gateway.sluice("catalog", "show", TOWNS, "--format", "json").out) == DATASET


def test_a_repeated_page_token_ends(gateway):
    calls = []

    def same(request):
        calls.append(request)
        if len(calls) > 50:
            raise Refusal("aborted", "enough")
        return {"datasets": [], "nextPageToken": "again"}
    gateway.methods["sluice.v1.CatalogService/ListDatasets"] = same
    assert gateway.sluice("catalog", "list").status == UNAVAILABLE


# --- lookup ---------------------------------------------------------------------------------------

LOOKUP = "sluice.v1.ExchangeService/Lookup"
RECORD = {"@type": "type.googleapis.com/gov.division.v1.Division", "code": "110105001", "name": "建外街道",
          "parent": {"code": "110105"}}


def lookup(gateway, *args, **changes):
    return gateway.sluice("lookup", TOWNS, "110105001", "--purpose", "address-check", *args, **changes)


def test_lookup(gateway):
    gateway.methods[LOOKUP] = lambda request: {
        "record": RECORD, "exchangeId": "0190a0b0-0000-7000-8000-000000000000",
        "warnings": ["name: WIDTH_FOLDED"]}
    result = lookup(gateway, "--fields", "code,county_code", "--agreement", "agr-1")
    assert result.status == OK
    assert "建外街道" in result.out and '{"code": "110105"}' in result.out and "@type" not in result.out
    assert "WIDTH_FOLDED" in result.err and "0190a0b0" in result.err
    request = gateway.calls[-1][1]
    assert request.pop("requestId")
    assert request == {"dataset": TOWNS, "key": "110105001", "purpose": "address-check",
                       "agreement": "agr-1", "fields": "code,countyCode"}
    assert json.loads(lookup(gateway, "--format", "json").out) == RECORD
    rows = list(csv.DictReader(io.StringIO(lookup(gateway, "--format", "csv").out)))
    assert rows == [{"code": "110105001", "name": "建外街道", "parent": '{"code": "110105"}'}]


@pytest.mark.parametrize("code, reason, status", [
    ("not_found", "RECORD_NOT_FOUND", NOT_FOUND), ("not_found", "DATASET_NOT_FOUND", NOT_FOUND),
    ("permission_denied", "PURPOSE_NOT_GRANTED", DENIED), ("unauthenticated", "IDENTITY_MISSING", DENIED),
    ("unavailable", "AUDIT_UNAVAILABLE", UNAVAILABLE), ("deadline_exceeded", None, UNAVAILABLE),
    ("resource_exhausted", "RATE_LIMITED", UNAVAILABLE), ("data_loss", "RECORD_QUARANTINED", QUARANTINED),
    ("invalid_argument", "KEY_INVALID", FAILED), ("internal", None, FAILED),
    ("failed_precondition", "SCHEMA_DRIFT", FAILED), ("unimplemented", None, FAILED)])
def test_each_error_has_its_exit_status(gateway, code, reason, status):
    gateway.methods[LOOKUP] = refuse(code, "This sentence says what to do.", reason)
    result = lookup(gateway)
    assert result.status == status and result.out == ""
    expected = "sluice: This sentence says what to do." + (f" [{reason}]" if reason else "")
    assert result.err == expected + "\n"
    chinese = lookup(gateway, LANG="zh_CN.UTF-8")
    assert chinese.status == status
    assert re.search("[\u4e00-\u9fff]", chinese.err) and "This sentence says what to do." in chinese.err
    assert reason is None or f"[{reason}]" in chinese.err


def test_reason_from_debug_when_the_value_is_broken(gateway):
    gateway.methods[LOOKUP] = refuse("data_loss", "m", "RECORD_QUARANTINED", debug_only=True)
    assert lookup(gateway).status == QUARANTINED


def test_hostile_error_text_does_not_reach_the_terminal(gateway):
    gateway.methods[LOOKUP] = refuse("internal", "a\x1b[2Jb\nsluice: forged\u202e")
    result = lookup(gateway)
    assert result.status == FAILED
    assert "\x1b" not in result.err and "\u202e" not in result.err and len(result.err.splitlines()) == 1


@pytest.mark.parametrize("body, content_type, http, status", [
    (b"<html>", "text/html", 200, FAILED), (b"{", "application/json", 200, FAILED),
    (b"[]", "application/json", 200, FAILED), (b'{"a":1,"a":2}', "application/json", 200, FAILED),
    (b"\xff\xfe", "application/json", 200, FAILED), (b"", "application/json", 200, FAILED),
    (b"<html>", "text/html", 503, UNAVAILABLE), (b"[]", "application/json", 403, DENIED),
    (b"{}", "application/json", 404, FAILED), (b'{"code":5}', "application/json", 500, FAILED),
    (b"[" * 100000, "application/json", 200, FAILED), (b'{"record":[]}', "application/json", 200, FAILED)])
def test_answers_that_are_none(gateway, body, content_type, http, status):
    gateway.methods[LOOKUP] = raw(body, content_type, http)
    result = lookup(gateway)
    assert result.status == status and result.out == "" and result.err.startswith("sluice: ")


def test_an_answer_without_end_is_cut_off(gateway):
    gateway.methods[LOOKUP] = raw(b'{"record":"' + b"x" * (40 << 20))
    assert lookup(gateway).status in (FAILED, UNAVAILABLE)


def test_the_deadline_is_sent_and_kept(gateway):
    def slow(_):
        time.sleep(30)
    gateway.methods[LOOKUP] = slow
    started = time.monotonic()
    result = lookup(gateway, "--timeout", "1")
    assert result.status == UNAVAILABLE and time.monotonic() - started < 10
    assert gateway.calls[-1][2]["Connect-Timeout-Ms"] == "1000"
    assert "--timeout" in result.err


# --- query ----------------------------------------------------------------------------------------

QUERY = "sluice.v1.ExchangeService/Query"


def query(gateway, *args, **changes):
    return gateway.sluice("query", TOWNS, "--purpose", "address-check", *args, **changes)


def batches(total, size=500, **last):
    for first in range(0, total, size):
        yield {"typeName": "gov.division.v1.Division", "resumeToken": f"r{first}",
               "records": [{"code": str(n), "name": f"街道{n}"} for n in range(first, min(first + size, total))]}
    yield {"totals": {"read": str(total), "delivered": str(total), **last}}


def test_query_streams(gateway):
    catalogue(gateway)
    gateway.methods[QUERY] = lambda request: batches(5000)
    result = query(gateway, "--format", "jsonl", "--filter", "level = TOWN", "--limit", "5000")
    assert result.status == OK and len(result.out.splitlines()) == 5000
    request = gateway.calls[-1][1]
    assert request["filter"] == "level = TOWN" and request["limit"] == 5000
    assert "Connect-Timeout-Ms" not in gateway.calls[-1][2]
    assert len(json.loads(query(gateway, "--format", "json").out)) == 5000
    rows = list(csv.reader(io.StringIO(query(gateway, "--format", "csv").out)))
    assert rows[0] == ["code", "name"] and len(rows) == 5001  # the granted fields of the catalogue
    table = query(gateway).out.splitlines()
    assert len(table) == 5002 and table[0].split() == ["code", "name"]


def test_query_memory_does_not_grow_with_rows(gateway):
    gateway.methods[QUERY] = lambda request: batches(int(request["filter"]), 2000)

    def peak(rows):
        process = subprocess.Popen(
            [SLUICE, "query", TOWNS, "--purpose", "p", "--format", "csv", "--fields", "code,name",
             "--filter", str(rows)], stdout=subprocess.DEVNULL,
            # The sanitizer's quarantine of freed memory is no growth of ours.
            env={**gateway.environment, "ASAN_OPTIONS": "quarantine_size_mb=1"})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == OK
        return usage.ru_maxrss
    assert peak(300000) - peak(10000) < 4096


def test_query_escapes_on_a_terminal_and_guards_spreadsheets(gateway):
    gateway.methods[QUERY] = lambda request: iter(
        [{"records": [{"code": "=cmd|'/c calc'!A1", "name": "\x1b]0;owned\x07"}]}])
    table = query(gateway, "--fields", "code,name").out
    assert "\x1b" not in table and "\\x1b]0;owned\\x07" in table
    rows = list(csv.reader(io.StringIO(query(gateway, "--fields", "code,name", "--format", "csv").out)))
    assert rows[1][0] == "'=cmd|'/c calc'!A1"
    rows = list(csv.reader(io.StringIO(
        query(gateway, "--fields", "code,name", "--format", "csv", "--csv-raw", "--no-header").out)))
    assert rows[0][0] == "=cmd|'/c calc'!A1"
    line = query(gateway, "--format", "jsonl").out
    assert "\x1b" not in line and json.loads(line)["name"] == "\x1b]0;owned\x07"


def test_query_that_is_cut_says_so_and_how_to_go_on(gateway):
    def cut(_):
        yield from list(batches(1000))[:2]
        raise Cut
    gateway.methods[QUERY] = cut
    result = query(gateway, "--format", "jsonl")
    assert result.status == UNAVAILABLE and len(result.out.splitlines()) == 1000
    assert "not complete" in result.err and "--resume r500" in result.err
    array = query(gateway, "--format", "json")
    with pytest.raises(ValueError):
        json.loads(array.out)  # a cut array must not look whole
    gateway.methods[QUERY] = lambda request: batches(10)
    query(gateway, "--format", "jsonl", "--resume", "r500")
    assert gateway.calls[-1][1]["resumeToken"] == "r500"


def test_query_error_at_the_end_of_the_stream(gateway):
    def revoked(_):
        yield from list(batches(500))[:1]
        raise Refusal("permission_denied", "The agreement was revoked.", "AGREEMENT_REVOKED")
    gateway.methods[QUERY] = revoked
    result = query(gateway, "--format", "jsonl")
    assert result.status == DENIED and len(result.out.splitlines()) == 500
    assert "The agreement was revoked. [AGREEMENT_REVOKED]" in result.err


def test_query_error_before_the_first_row_prints_nothing(gateway):
    def refused(_):
        raise Refusal("not_found", "No such dataset.", "DATASET_NOT_FOUND")
        yield
    gateway.methods[QUERY] = refused
    for form in ("table", "json", "jsonl", "csv"):
        result = query(gateway, "--format", form, "--fields", "code")
        assert result.status == NOT_FOUND and result.out == ""


@pytest.mark.parametrize("message", [
    envelope(b"not json"), envelope(b"[]"), envelope({"records": ["text"]}), b"\x00\xff\xff\xff\xff",
    envelope({}, 1), envelope({}, 2) + envelope({})])
def test_query_refuses_malformed_streams(gateway, message):
    gateway.methods[QUERY] = lambda request: iter([message])
    result = query(gateway, "--format", "jsonl")
    assert result.status == FAILED and "cannot be understood" in result.err


def test_query_answered_by_something_else(gateway):
    gateway.methods[QUERY] = raw(b"<html>", "text/html", 502)
    assert query(gateway, "--format", "jsonl").status == UNAVAILABLE
    gateway.methods[QUERY] = raw(b"{}", "application/json", 200)
    assert query(gateway, "--format", "jsonl").status == FAILED


def test_query_counts_quarantined_rows(gateway):
    gateway.methods[QUERY] = lambda request: batches(10, quarantined="1200")
    result = query(gateway, "--format", "jsonl")
    assert result.status == OK and "1,200 rows are not here" in result.err
    assert query(gateway, "--format", "jsonl", "--strict").status == QUARANTINED


def test_query_walks_pages(gateway):
    def page(request):
        first = int(request.get("pageToken", 0))
        size = min(request["pageSize"], request.get("limit", 1000))
        batch = {"records": [{"code": str(n)} for n in range(first, min(first + size, 25))]}
        if first + size < 25:
            batch["nextPageToken"] = str(first + size)
        yield batch
    gateway.methods[QUERY] = page
    result = query(gateway, "--page-size", "10", "--format", "jsonl")
    assert [json.loads(line)["code"] for line in result.out.splitlines()] == [str(n) for n in range(25)]
    result = query(gateway, "--page-size", "10", "--limit", "15", "--resume", "r", "--format", "jsonl")
    assert len(result.out.splitlines()) == 15
    requests = [call[1] for call in gateway.calls[-2:]]
    assert "resumeToken" in requests[0] and "pageToken" not in requests[0]
    assert "resumeToken" not in requests[1] and requests[1]["pageToken"] == "10"


def test_query_never_drops_a_field_silently(gateway):
    gateway.methods[QUERY] = lambda request: iter([{"records": [{"code": "1", "surprise": "x"}]}])
    result = query(gateway, "--fields", "code", "--format", "csv")
    assert result.status == FAILED and "surprise" in result.err


def test_query_into_a_closed_pipe_ends_quietly(gateway):
    gateway.methods[QUERY] = lambda request: batches(200000)
    done = subprocess.run(
        ["bash", "-c", f"'{SLUICE}' query {TOWNS} --purpose p --format jsonl | head -1; "
                       'echo "${PIPESTATUS[0]}"'],
        env=gateway.environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[1] == str(128 + signal.SIGPIPE) and done.stderr == ""


def test_query_onto_a_full_disk_fails(gateway):
    gateway.methods[QUERY] = lambda request: batches(20000)
    with open("/dev/full", "w") as full:
        done = subprocess.run([SLUICE, "query", TOWNS, "--purpose", "p", "--format", "jsonl"],
                              env=gateway.environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == FAILED and "cannot be written" in done.stderr


def test_progress_only_on_a_terminal(gateway):
    gateway.methods[QUERY] = lambda request: batches(3000)
    assert "rows/s" not in query(gateway, "--format", "jsonl").err
    done = subprocess.run(
        ["script", "-qec", f"'{SLUICE}' query {TOWNS} --purpose p --format jsonl >/dev/null", "/dev/null"],
        env={**gateway.environment, "SHELL": "/bin/sh"}, capture_output=True, text=True, timeout=60)
    assert "3,000 rows" in done.stdout and "rows/s" in done.stdout


# --- agreements -----------------------------------------------------------------------------------

GRANT = ["agreement", "grant", "--consumer", "statistics/collector", "--dataset", TOWNS,
         "--purposes", "address-check,statistics", "--modes", "lookup,query"]
AGREEMENT = {"id": "agr-abc234def567", "consumer": "statistics/collector", "dataset": TOWNS,
             "fields": ["code"], "modes": ["LOOKUP"], "purposes": ["address-check"], "state": "ACTIVE",
             "validUntil": "2027-12-31T23:59:59Z", "ratePerSecond": 0.1}


def test_agreement_grant(gateway):
    catalogue(gateway)
    gateway.methods["sluice.v1.AgreementService/GrantAgreement"] = lambda request: AGREEMENT
    result = gateway.sluice(*GRANT, "--fields", "code,name", "--valid-until", "2027-12-31", "--rate", "2.5",
                            "--burst", "10", "--legal-basis", "第十四条", "--row-filter", "level = TOWN",
                            "--masks", "name=keep-last:2:＃,code=drop", "--networks", "10.0.0.0/8,::1",
                            "--windows", "mon-fri 08:30-17:30,sat+sun 10:00-12:00", "--onward", "调查队")
    assert result.status == OK and "agr-abc234def567" in result.out
    request = gateway.calls[-1][1]
    assert request["requestId"]
    assert request["agreement"] == {
        "consumer": "statistics/collector", "dataset": TOWNS, "fields": ["code", "name"],
        "purposes": ["address-check", "statistics"], "modes": ["LOOKUP", "QUERY"],
        "validUntil": "2027-12-31T23:59:59Z", "ratePerSecond": 2.5, "rateBurst": 10,
        "legalBasis": "第十四条", "rowFilter": "level = TOWN",
        "masks": [{"field": "name", "kind": "KEEP_LAST", "keep": 2, "character": "＃"}, {"field": "code", "kind": "DROP"}],
        "networks": ["10.0.0.0/8", "::1"], "windows": ["mon-fri 08:30-17:30", "sat+sun 10:00-12:00"],
        "onwardRecipient": "调查队"}
    assert json.loads(gateway.sluice(*GRANT, "--fields", "code", "--days", "1", "--format", "json").out) \
        == AGREEMENT
    assert gateway.sluice(*GRANT, "--fields", "all", "--days", "1").status == OK
    assert gateway.calls[-1][1]["agreement"]["fields"] == ["code", "name", "county_code"]


@pytest.mark.parametrize("extra", [
    [], ["--days", "1"], ["--fields", "code"], ["--fields", "code", "--days", "1", "--valid-until", "2027-01-01"],
    ["--fields", "code", "--days", "0"], ["--fields", "code", "--days", "x"],
    ["--fields", "code,,name", "--days", "1"], ["--fields", "code", "--valid-until", "2027-02-30"],
    ["--fields", "code", "--days", "1", "--modes", "steal"], ["--fields", "code", "--days", "1", "--rate", "-1"],
    ["--fields", "code", "--days", "1", "--masks", "code"], ["--fields", "code", "--days", "1", "--masks", "code=blur"],
    ["--fields", "code", "--days", "1", "--masks", "code=drop,"], ["--fields", "code", "--days", "1", "--masks", "=drop"],
    ["--fields", "code", "--days", "1", "--rate", "nan"], ["--fields", "code", "--days", "1", "--consumer", ""]])
def test_agreement_grant_refuses_half_a_grant(gateway, extra):
    assert gateway.sluice(*GRANT, *extra).status == USAGE
    assert gateway.calls == []


def test_agreement_list_show_revoke(gateway):
    service = "sluice.v1.AgreementService/"
    gateway.methods[service + "ListAgreements"] = lambda request: {"agreements": [AGREEMENT]}
    gateway.methods[service + "GetAgreement"] = lambda request: {
        **AGREEMENT, "masks": [{"field": "code", "kind": "PREFIX", "keep": 6}]}
    gateway.methods[service + "RevokeAgreement"] = lambda request: {**AGREEMENT, "state": "REVOKED"}
    assert "agr-abc234def567" in gateway.sluice("agreement", "list", "--dataset", TOWNS).out
    assert gateway.calls[-1][1]["dataset"] == TOWNS
    assert "code=prefix:6" in gateway.sluice("agreement", "show", "agr-abc234def567").out
    assert "ratePerSecond  0.1\n" in gateway.sluice("agreement", "show", "agr-abc234def567").out
    assert gateway.sluice("agreement", "revoke", "agr-1").status == USAGE
    assert "REVOKED" in gateway.sluice("agreement", "revoke", "agr-1", "--reason", "done").out
    assert gateway.calls[-1][1]["id"] == "agr-1" and gateway.calls[-1][1]["reason"] == "done"


def test_officer_commands_use_the_officers_endpoint(gateway):
    gateway.methods["sluice.v1.AgreementService/ListAgreements"] = lambda request: {}
    result = gateway.sluice("agreement", "list", SLUICE_ENDPOINT="127.0.0.1:1",
                            SLUICE_OFFICER_ENDPOINT=gateway.address)
    assert result.status == OK


# --- audit ----------------------------------------------------------------------------------------

def entry(index, kind="DECISION", subject="spiffe://sluice.example/dept/statistics/system/collector",
          method="/sluice.v1.ExchangeService/Lookup"):
    return {"index": str(index), "time": "2026-11-23T08:00:00Z", "entry": {
        "kind": kind, "who": {"subject": subject}, "what": {"method": method, "dataset": TOWNS},
        "why": {"agreement": "agr-1", "purpose": "address-check"},
        "decision": {"outcome": "ALLOWED"}, "rows": {"count": "1"}}}


class Log:
    """Search as the service describes it."""

    def __init__(self, count):
        self.entries = [entry(n) for n in range(count)]

    def search(self, request):
        after, size = int(request.get("afterIndex", 0)), request.get("pageSize", 50)
        if after > 0:
            return {"records": self.entries[after + 1:after + 1 + size]}
        end = int(request.get("pageToken", len(self.entries)))
        answer = {"records": self.entries[max(0, end - size):end][::-1]}
        if end - size > 0:
            answer["nextPageToken"] = str(end - size)
        return answer


def indices(result):
    return [int(json.loads(line)["index"]) for line in result.out.splitlines()]


def test_audit_tail_shows_the_newest_last(gateway):
    log = Log(1300)
    gateway.methods["sluice.v1.AuditService/Search"] = log.search
    assert indices(gateway.sluice("audit", "tail", "--format", "jsonl")) == list(range(1280, 1300))
    assert indices(gateway.sluice("audit", "tail", "-n", "1200", "--format", "jsonl")) == list(range(100, 1300))
    assert indices(gateway.sluice("audit", "tail", "-n2000", "--format", "jsonl")) == list(range(1300))
    table = gateway.sluice("audit", "tail", "-n", "1").out.splitlines()
    assert table[0].split()[:3] == ["index", "time", "kind"] and "ExchangeService/Lookup" in table[2]
    assert gateway.sluice("audit", "tail", "-n", "0").status == USAGE
    assert gateway.sluice("audit", "tail", "-f", "--format", "json").status == USAGE


@pytest.mark.parametrize("before", [0, 1, 2, 30])
def test_audit_tail_follows(gateway, before):
    log = Log(before)
    gateway.methods["sluice.v1.AuditService/Search"] = log.search
    process = subprocess.Popen([SLUICE, "audit", "tail", "-f", "--format", "jsonl"], env=gateway.environment,
                               stdout=subprocess.PIPE, text=True)
    try:
        shown = [json.loads(process.stdout.readline()) for _ in range(min(before, 20))]
        harness.wait_for(lambda: gateway.calls, what="the first search")
        own = "spiffe://sluice.example/dept/civil-affairs/officer/"
        subject = subprocess.run(
            ["openssl", "x509", "-in", gateway.environment["SLUICE_OFFICER_CERT"], "-noout", "-ext",
             "subjectAltName"], capture_output=True, text=True).stdout.split("URI:")[1].split(",")[0].strip()
        assert subject.startswith(own)
        log.entries.append(entry(before, "OFFICER_QUERY", subject, "/sluice.v1.AuditService/Search"))
        log.entries.append(entry(before + 1))
        log.entries.append(entry(before + 2))
        shown += [json.loads(process.stdout.readline()) for _ in range(2)]
    finally:
        process.kill()
        process.wait()
    expected = list(range(max(0, before - 20), before)) + [before + 1, before + 2]
    assert [int(record["index"]) for record in shown] == expected


def test_audit_checkpoint_prints_the_note_as_it_is(gateway):
    note = "sluice.example/log\n3\nAAAA=\n\n— sluice.example+abcd AAA=\n"
    gateway.methods["sluice.v1.AuditService/GetCheckpoint"] = lambda request: {"note": note, "size": "3"}
    assert gateway.sluice("audit", "checkpoint").out == note
    assert json.loads(gateway.sluice("audit", "checkpoint", "--format", "json").out)["note"] == note


# --- the way to the gateway -----------------------------------------------------------------------

def test_what_is_missing_is_named(gateway):
    assert "SLUICE_ENDPOINT" in lookup(gateway, SLUICE_ENDPOINT=None).err
    assert "SLUICE_CA" in lookup(gateway, SLUICE_CA=None).err
    result = lookup(gateway, SLUICE_CERT=None)
    assert result.status == USAGE and "SLUICE_CERT" in result.err
    result = gateway.sluice("agreement", "list", SLUICE_OFFICER_CERT=None, SLUICE_CERT=None)
    assert result.status == USAGE and "SLUICE_OFFICER_CERT" in result.err
    assert lookup(gateway, "--cert", "/nonexistent.pem").status == USAGE
    assert lookup(gateway, "--endpoint", f"http://{gateway.address}").status == USAGE
    assert gateway.calls == []


def test_nobody_listens(gateway):
    result = lookup(gateway, "--endpoint", f"127.0.0.1:{harness.free_port()}")
    assert result.status == UNAVAILABLE and "is sluiced running" in result.err


def test_unknown_host(gateway):
    result = lookup(gateway, "--endpoint", "nowhere.invalid:1")
    assert result.status == UNAVAILABLE and "DNS" in result.err


def test_wrong_authority(gateway, pki):
    result = lookup(gateway, "--ca", pki.path("stranger-ca/ca.pem") if pki.path("stranger-ca/ca.pem").exists()
                    else pki.path("stranger.pem"))
    assert result.status == FAILED and "authority" in result.err
    assert gateway.calls == []


def test_our_certificate_is_refused(gateway, pki):
    result = lookup(gateway, "--cert", pki.path("stranger.pem"), "--key", pki.path("stranger.key"))
    assert result.status == DENIED and "refused our certificate" in result.err


def test_key_of_another_certificate(gateway, pki):
    result = lookup(gateway, "--key", pki.path("gateway.key"))
    assert result.status == USAGE and "belong together" in result.err


def test_a_port_without_tls(gateway):
    with mock_connect.serve() as plain:
        result = lookup(gateway, "--endpoint", plain.address)
    assert result.status == FAILED and "TLS" in result.err


def test_a_port_that_says_nothing(gateway):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        result = lookup(gateway, "--endpoint", f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "1")
    assert result.status == UNAVAILABLE


# --- doctor ---------------------------------------------------------------------------------------

def healthy(server):
    server.methods["grpc.health.v1.Health/Check"] = lambda request: {"status": "SERVING"}


def findings(result):
    return {row["check"]: row for row in json.loads(result.out)}


def test_doctor_finds_nothing(gateway):
    healthy(gateway)
    with mock_connect.serve() as ops:
        ops.pages["/readyz"] = (200, {"ready": True, "checks": {
            name: {"ready": True, "reason": ""} for name in ("control_database", "audit_log", "civil-affairs")}})
        result = gateway.sluice("doctor", "--format", "json", SLUICE_OPS_ENDPOINT=ops.address)
    assert result.status == OK, result.out
    found = findings(result)
    assert {"authority", "identity", "certificate", "key", "connection", "server certificate", "clock", "health",
            "control_database", "audit_log", "civil-affairs", "readyz"} <= set(found)
    assert found["identity"]["detail"].startswith("spiffe://sluice.example/dept/statistics/")
    assert all(row["state"] in ("ok", "warn") for row in found.values())
    table = gateway.sluice("doctor")
    assert table.status == OK and "skip" in table.out and "SLUICE_OPS_ENDPOINT" in table.out


def test_doctor_names_the_fix_of_each_fault(gateway, pki):
    gateway.methods["grpc.health.v1.Health/Check"] = lambda request: {"status": "NOT_SERVING"}
    gateway.clock_offset = -3600
    with mock_connect.serve() as ops:
        ops.pages["/readyz"] = (503, {"ready": False, "checks": {
            "audit_log": {"ready": False, "reason": "the audit log takes no entries"}}})
        result = gateway.sluice("doctor", "--format", "json", "--key", pki.path("gateway.key"),
                                SLUICE_OPS_ENDPOINT=ops.address)
    found = findings(result)
    assert result.status == FAILED
    assert found["key"]["state"] == "fail" and found["connection"]["state"] == "fail"
    assert "takes no entries" in found["audit_log"]["detail"] and found["audit_log"]["fix"]
    assert found["readyz"]["state"] == "fail"
    found = findings(gateway.sluice("doctor", "--format", "json"))
    assert found["health"]["state"] == "fail" and found["clock"]["state"] == "fail"
    assert "3600" in found["clock"]["detail"] and found["clock"]["fix"]
    assert gateway.sluice("doctor", LANG="zh_CN.UTF-8").out.count("处理：") == 2


def test_doctor_and_certificates_that_end(gateway, pki):
    healthy(gateway)
    soon = pki.issue("cli-soon", "spiffe://sluice.example/dept/statistics/system/soon", 10)
    found = findings(gateway.sluice("doctor", "--format", "json", "--cert", pki.path(f"{soon}.pem"),
                                    "--key", pki.path(f"{soon}.key")))
    assert found["certificate"]["state"] == "warn" and found["certificate"]["fix"]
    result = gateway.sluice("doctor", "--format", "json", "--cert", pki.path("expired.pem"),
                            "--key", pki.path("expired.key"))
    assert result.status == FAILED and findings(result)["certificate"]["state"] == "fail"
    found = findings(gateway.sluice("doctor", "--format", "json", "--cert", pki.path("plain.pem"),
                                    "--key", pki.path("plain.key")))
    assert found["identity"]["state"] == "fail"
    found = findings(gateway.sluice("doctor", "--format", "json", "--ca", "README.md"))
    assert found["authority"]["state"] == "fail"


def test_doctor_when_readyz_does_not_answer(gateway):
    healthy(gateway)
    result = gateway.sluice("doctor", "--format", "json",
                            SLUICE_OPS_ENDPOINT=f"127.0.0.1:{harness.free_port()}")
    assert result.status == FAILED and findings(result)["readyz"]["state"] == "fail"


# --- usage, help, completion ----------------------------------------------------------------------

def commands():
    found = []
    for line in offline("--help").out.split("Commands")[1].split("Options")[0].splitlines()[1:]:
        words = re.split(r"  +", line.strip())[0].split()
        if words:
            found.append([word for word in words if re.fullmatch("[a-z-]+", word)])
    return found


def test_every_command_teaches(gateway):
    assert len(commands()) == 100
    for command in commands():
        for language in ("en", "zh"):
            result = offline(*command, "--help", "--lang", language)
            assert result.status == OK, command
            assert "sluice " + " ".join(command) in result.out or command == ["completion"]
        assert re.search("[\u4e00-\u9fff]", result.out)


@pytest.mark.parametrize("args", [
    [], ["frobnicate"], ["catalog", "shwo"], ["lookup"], ["lookup", TOWNS], ["lookup", TOWNS, "1", "2"],
    ["query", TOWNS, "--limit", "-1", "--purpose", "p"], ["query", TOWNS, "--limit", "ten", "--purpose", "p"],
    ["query", TOWNS, "--limit"], ["query", TOWNS, "--nonsense"], ["query", TOWNS, "--strict=yes", "--purpose", "p"],
    ["query", TOWNS, "--page-size", "10001", "--purpose", "p"], ["query", TOWNS], ["version", "--purpose", "p"],
    ["version", "--format", "xml"], ["version", "--lang", "fr"], ["version", "-x"], ["version", "extra"],
    ["completion", "fish"], ["query", TOWNS, "--timeout", "0", "--purpose", "p"], ["department", "add", "Upper"],
    ["officer", "add", "no-slash"], ["control", "init"], ["version", b"\xff"]])
def test_wrong_use(args):
    done = subprocess.run([SLUICE, *args], capture_output=True, env={"PATH": os.environ["PATH"]}, timeout=60)
    assert done.returncode == USAGE and done.stdout == b"" and done.stderr


def test_near_misses_are_guessed():
    assert 'did you mean "lookup"?' in offline("lokup").err
    assert "did you mean --purpose?" in offline("lookup", "a", "b", "--pupose", "x").err


def test_version():
    assert re.fullmatch(r"sluice [0-9.]*\n", offline("version").out)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts(shell):
    script = offline("completion", shell).out
    packaged = harness.REPO / "deploy/completion" / {"bash": "sluice.bash", "zsh": "_sluice"}[shell]
    assert packaged.read_text() == script, f"run: sluice completion {shell} > {packaged}"
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("line, expected", [
    ("sluice ", "catalog lookup query"), ("sluice agreement ", "grant list show revoke"),
    ("sluice agreement re", "revoke"), ("sluice query a/b --fil", "--filter"),
    ("sluice catalog list --format ", "table json jsonl csv"), ("sluice --lang zh agreement grant --mod", ""),
    ("sluice agreement grant --mod", "--modes"), ("sluice completion ", "bash zsh")])
def test_bash_completes(line, expected):
    program = 'source <("$1" completion bash); read -ra COMP_WORDS <<<"$2"; ' \
              '[[ $2 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); ' \
              'COMPREPLY=(); _sluice; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program, "-", SLUICE, line], capture_output=True, text=True)
    assert set(expected.split()) <= set(done.stdout.split()), done


def test_the_manual_names_everything():
    manual = (harness.REPO / "docs/cli.md").read_text()
    for command in commands():
        assert f"sluice {' '.join(command)}" in manual, command
        for option in re.findall(r"--[a-z-]+", offline(*command, "--help").out.split("Options")[-1]):
            assert f"`{option}" in manual, option
    for variable in re.findall(r"SLUICE_[A-Z_]+", offline("--help").out):
        assert variable in manual


# --- offline checks -------------------------------------------------------------------------------

def test_config_check_names_the_place(tmp_path):
    bad = tmp_path / "sluiced.yaml"
    bad.write_text("listen:\n  no_such_option: 1\n")
    result = offline("config", "check", bad)
    assert result.status == FAILED and re.search(r"sluiced\.yaml:2:\d+: ", result.err)
    assert offline("config", "check", tmp_path / "absent.yaml").status == FAILED


def test_schema_check():
    result = offline("schema", "check", "schemas", "--descriptors", harness.BUILD / "schemas/canonical.pb",
                     "--format", "json")
    assert result.status == OK, result.err
    assert {"civil-affairs/towns"} <= {row["name"] for row in json.loads(result.out)}
    assert re.search("digest [0-9a-f]{64}", result.err)


def test_schema_check_names_the_place(tmp_path):
    shutil.copytree(harness.REPO / "schemas", tmp_path / "schemas")
    mapping = tmp_path / "schemas/departments/civil-affairs/towns.yaml"
    mapping.write_text(mapping.read_text() + "\nno_such_key: 1\n")
    result = offline("schema", "check", tmp_path / "schemas", "--descriptors",
                     harness.BUILD / "schemas/canonical.pb")
    assert result.status == FAILED and re.search(r"towns\.yaml:\d+:\d+: ", result.err)


def lossiness(*args, **environment):
    return offline("schema", "lossiness", *args, "--descriptors", harness.BUILD / "schemas/canonical.pb",
                   **environment)


def test_schema_lossiness():
    result = lossiness("civil-affairs/residents", "schemas", "--format", "json")
    assert result.status == OK, result.err
    kinds = {row["name"]: row["kind"] for row in json.loads(result.out)}
    assert kinds["name"] == "LOSSLESS" and kinds["updated_at"] == "LOSSLESS"
    assert kinds["birth_date"] == "CANONICAL_LOSSLESS" and len(kinds) == 10
    everything = lossiness("schemas", "--format", "json")
    assert len({row["dataset"] for row in json.loads(everything.out)}) == 8
    chinese = lossiness("civil-affairs/residents", "schemas", "--lang", "zh")
    assert "原样保存" in chinese.out and chinese.out.split()[:2] == ["数据集", "名称"]
    assert lossiness("civil-affairs/nothing", "schemas").status == NOT_FOUND


def test_schema_lossiness_says_why_not(tmp_path):
    shutil.copytree(harness.REPO / "schemas", tmp_path / "schemas")
    mapping = tmp_path / "schemas/departments/civil-affairs/residents.yaml"
    mapping.write_text(mapping.read_text().replace(
        "address: hjdz", "address: {from: hjdz, normalise: [{regex: {match: '(.)号', replace: '$1'}}]}") +
        "write:\n  table: resident_import\n  fill: {loaded_at: now}\n")
    result = lossiness("civil-affairs/residents", tmp_path / "schemas")
    assert result.status == FAILED and "ONE_WAY" in result.out and "regex" in result.out
    assert lossiness(tmp_path / "schemas").status == OK
    mapping.write_text(mapping.read_text() + "  fields: {address: {skip: true}}\n")
    result = lossiness("civil-affairs/residents", tmp_path / "schemas", "--format", "json")
    rows = {row["name"]: row["kind"] for row in json.loads(result.out)}
    assert result.status == OK and rows["address"] == "ABSENT" and rows["loaded_at"] == "FILLED"
    mapping.write_text(mapping.read_text() + "  tabel: x\n")
    result = lossiness(tmp_path / "schemas")
    assert result.status == FAILED and re.search(r"residents\.yaml:\d+:\d+: ", result.err)


# --- the control database -------------------------------------------------------------------------

class Postgres:
    """A cluster without a network, run as `postgres` when we are root."""

    def __init__(self, folder):
        self.user = []
        folder.mkdir()
        if os.geteuid() == 0:
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        self.folder, self.data = folder, folder / "data"
        self.run("initdb", "-D", self.data, "-U", "boss", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.run("pg_ctl", "start", "-w", "-D", self.data, "-l", folder / "log", "-o",
                 f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off")
        folder.chmod(0o755)

    def run(self, program, *args):
        harness.run(*self.user, POSTGRES / program, *args, cwd=self.folder)

    def stop(self):
        self.run("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    def database(self, name, user="boss"):
        return f"host={self.folder} dbname={name} user={user}"

    def sql(self, name, statement):
        return harness.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.database(name), "-c", statement)


@pytest.fixture(scope="module")
def postgres(workspace):
    postgres = Postgres(workspace / "cli-postgres")
    yield postgres
    postgres.stop()


@pytest.fixture
def control(postgres, request):
    """A fresh database and the command pointed at it."""
    name = "t_" + re.sub(r"\W", "_", request.node.name.lower())[:50]
    postgres.sql("postgres", f'CREATE DATABASE "{name}"')

    def sluice(*args, database=postgres.database(name), **changes):
        return offline(*args, SLUICE_CONTROL_DATABASE=database, **changes)
    sluice.sql = lambda statement: postgres.sql(name, statement).strip()
    sluice.name = name
    return sluice


def test_control_init_twice(control):
    first = control("control", "init", SLUICE_SCHEMAS="schemas")
    assert first.status == OK, first.err
    assert "applied 001_control.sql" in first.err
    second = control("control", "init")
    assert second.status == OK and "0 migrations applied now" in second.err
    assert control.sql("SELECT count(*) FROM pg_roles WHERE rolname IN"
                       " ('sluice_worker', 'sluice_auditor', 'sluice_officer') AND NOT rolcanlogin") == "3"
    assert control.sql("SELECT count(*) FROM public.control_migration WHERE length(sha256) = 64") \
        == str(len(list((harness.REPO / "schemas/control").glob("*.sql"))))


def test_two_operators_at_once(control):
    both = [subprocess.Popen([SLUICE, "control", "init"], stderr=subprocess.PIPE, text=True, cwd=harness.REPO,
                             env={"PATH": os.environ["PATH"], "SLUICE_CONTROL_DATABASE":
                                  control.__kwdefaults__["database"]}) for _ in range(4)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [OK] * 4, said
    assert "".join(said).count("applied 001_control.sql") == 1


def migrations(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name.lstrip('m')}.sql").write_text(text)
    return folder


def test_migrations(control, tmp_path):
    folder = migrations(tmp_path / "m", m001_a="CREATE TABLE public.a (n int);")
    assert control("control", "migrate", "--migrations", folder).status == OK
    migrations(folder, m002_b="CREATE TABLE public.b (n int);\nINSERT INTO public.b VALUES (1);",
               m003_c="CREATE TABLE public.c (n int);\n\nSELECT no_such_column FROM public.a;")
    result = control("control", "migrate", "--migrations", folder)
    assert result.status == FAILED and "003_c.sql failed at line 3" in result.err
    # Nothing of 003 stayed, 002 did.
    assert control.sql("SELECT max(number) FROM public.control_migration") == "2"
    assert control.sql("SELECT to_regclass('public.c') IS NULL") == "t"
    migrations(folder, m003_c="CREATE TABLE public.c (n int);")
    assert control("control", "migrate", "--migrations", folder).status == OK


def test_migrations_that_must_not_run(control, tmp_path):
    folder = migrations(tmp_path / "m", m002_a="SELECT 1;")
    assert control("control", "migrate", "--migrations", folder).status == OK
    (folder / "002_a.sql").write_text("SELECT 2;")
    result = control("control", "migrate", "--migrations", folder)
    assert result.status == FAILED and "was changed after it was applied" in result.err
    (folder / "002_a.sql").write_text("SELECT 1;")
    migrations(folder, m001_late="SELECT 1;")
    result = control("control", "migrate", "--migrations", folder)
    assert result.status == FAILED and "001_late.sql has a lower number" in result.err
    (folder / "001_late.sql").unlink()
    (folder / "002_a.sql").rename(folder / "003_a.sql")
    result = control("control", "migrate", "--migrations", folder)
    assert result.status == FAILED and "newer Sluice" in result.err
    (folder / "003_a.sql").rename(folder / "002_a.sql")
    migrations(folder, m003_commit="CREATE TABLE public.x (n int); COMMIT;")
    result = control("control", "migrate", "--migrations", folder)
    assert result.status == FAILED and "ends the transaction itself" in result.err
    assert control.sql("SELECT max(number) FROM public.control_migration") == "2"
    assert control("control", "migrate", "--migrations", tmp_path / "absent").status == FAILED


def epoch(control):
    return int(control.sql("SELECT n FROM control.agreement_epoch"))


def test_departments_and_officers(control):
    assert control("control", "init").status == OK
    assert control("officer", "add", "health/wang.wei").status == NOT_FOUND
    result = control("department", "add", "health", "--title", "Health", "--title-zh", "卫生健康委")
    assert result.status == OK and "added health" in result.err
    before = epoch(control)
    assert control("department", "add", "health").status == OK  # the same again changes nothing
    assert epoch(control) == before
    assert control("department", "add", "health", "--title", "Health'); DROP TABLE x; --").status == OK
    assert epoch(control) == before + 1
    listed = json.loads(control("department", "list", "--format", "json").out)
    assert listed[0]["titleZh"] == "卫生健康委" and listed[0]["title"].startswith("Health')")
    result = control("officer", "add", "health/wang.wei", "--title", "数据专员")
    assert result.status == OK and "/dept/health/officer/wang.wei" in result.err
    before = epoch(control)
    assert control("officer", "disable", "health/wang.wei").status == OK
    assert epoch(control) == before + 1
    assert control.sql("SELECT epoch FROM control.officer") == str(before + 1)
    assert json.loads(control("officer", "list", "--format", "json").out)[0]["state"] == "disabled"
    result = control("officer", "add", "health/wang.wei")
    assert result.status == FAILED and "--enable" in result.err
    assert control("officer", "add", "health/wang.wei", "--enable").status == OK
    assert "enabled" in control("officer", "list").out
    assert control("officer", "disable", "health/nobody").status == NOT_FOUND


def test_database_faults_name_their_fix(control, postgres):
    result = control("department", "list")
    assert result.status == FAILED and "sluice control init" in result.err
    result = control("department", "list", database=postgres.database("absent"))
    assert result.status == UNAVAILABLE and "createdb" in result.err
    result = control("department", "list", database="host=/nonexistent dbname=x")
    assert result.status == UNAVAILABLE and "cannot be reached" in result.err
    assert control("department", "list", database="host=x nonsense").status == UNAVAILABLE
    assert control("control", "init").status == OK
    postgres.sql("postgres", "CREATE ROLE weak LOGIN")
    result = control("department", "add", "x", database=postgres.database(control.name, "weak"))
    assert result.status == DENIED and "owner of the control database" in result.err
    result = control("control", "migrate", database=postgres.database(control.name, "weak"))
    assert result.status == DENIED


def test_a_weak_role_cannot_create_the_group_roles(workspace):
    """A cluster of its own: roles belong to all databases of one."""
    postgres = Postgres(workspace / "cli-roles")
    try:
        postgres.sql("postgres", "CREATE ROLE weak LOGIN CREATEDB")
        postgres.sql("postgres", "CREATE DATABASE control OWNER weak")
        result = offline("control", "init", "--database", postgres.database("control", "weak"))
        assert result.status == DENIED and "CREATE ROLE sluice_worker NOLOGIN" in result.err
        for role in ("worker", "auditor", "officer"):
            postgres.sql("postgres", f"CREATE ROLE sluice_{role} NOLOGIN")
        result = offline("control", "init", "--database", postgres.database("control", "weak"))
        assert result.status == DENIED or result.status == OK, result.err
    finally:
        postgres.stop()
