"""Officers find entries by all they ask by, in stable pages; statistics equal the log; each read is an entry."""

import csv
import io
import json
import subprocess
import struct
from collections import Counter
from datetime import datetime, timedelta, timezone

import grpc
import psycopg2
import pytest

from audit_log import AuditLog
from clients import unique
from conftest import RESIDENTS, STREETS, TOWNS
from harness import BUILD, wait_for

KEY = "110101001"
BLOCK = 1024
CHINA = timezone(timedelta(hours=8))


@pytest.fixture
def audit(cluster, stubs):
    return AuditLog(cluster, stubs)


@pytest.fixture
def search(stubs):
    """search(officer, dataset=…): all pages, newest first, as (index, entry)."""

    def run(officer, page_size=500, **query):
        found, token = [], ""
        while True:
            request = stubs.audit.SearchAuditRequest(page_size=page_size, page_token=token, **query)
            answer = officer.audit.Search(request, timeout=10)
            found += [(record.index, record.entry) for record in answer.records]
            token = answer.next_page_token
            if not token:
                return found
    return run


@pytest.fixture
def traffic(consumer, grant, officers, resident, audit):
    """Exchanges of all sorts of this test's consumer; answers the two agreements."""
    first = audit.size()
    streets, residents = grant(STREETS), grant(RESIDENTS)
    for _ in range(3):
        consumer.peer.lookup(STREETS, KEY)
    consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, purpose="marketing"))
    consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, "110101099"))
    list(consumer.peer.query(STREETS, filter='code = "110101001"'))
    consumer.peer.lookup(RESIDENTS, resident(1).id_number)
    consumer.peer.batch_lookup(RESIDENTS, [resident(1).id_number, resident(2).id_number])
    return first, streets, residents


def summarise(cluster):
    """All whole blocks have sums."""
    wait_for(lambda: cluster.rows("control", "SELECT audit.summarise(1000)")[0][0], 20, "the sums")


@pytest.fixture(params=["as it comes", "summed up"])
def sums(request, cluster, audit, officers, stubs):
    """Makes the test's entries part of whole blocks that have sums, when asked to."""

    def make():
        if request.param == "summed up":
            officer = officers["civil-affairs"].audit
            while audit.size() % BLOCK > 5:
                officer.GetCheckpoint(stubs.audit.GetCheckpointRequest(), timeout=5)
            summarise(cluster)
            assert cluster.rows("control", "SELECT max(block) FROM audit.summary")[0][0] is not None
    return make


def concerns(entry, department):
    return department in (entry.who.department, entry.what.owner)


def test_each_filter_finds_what_a_scan_of_the_leaves_finds(search, traffic, sums, consumer, officers, audit, stubs):
    first, streets, residents = traffic
    kinds = stubs.audit_entry.AuditEntry
    sums()
    entries = list(enumerate(audit.entries()))
    exchange = next(entry.exchange_id for _, entry in entries if entry.who.subject == consumer.uri)
    middle = entries[first][1].time_us + 1
    moment = stubs.audit.SearchAuditRequest().time_from
    moment.FromMicroseconds(middle)
    cases = [
        (dict(), lambda e: True),
        (dict(dataset=STREETS), lambda e: e.what.dataset == STREETS),
        (dict(agreement=streets.id), lambda e: e.why.agreement == streets.id),
        (dict(purpose="marketing"), lambda e: e.why.purpose == "marketing"),
        (dict(subject=consumer.uri), lambda e: e.who.subject == consumer.uri),
        (dict(department="health"), lambda e: e.who.department == "health"),
        (dict(owner="statistics"), lambda e: e.what.owner == "statistics"),
        (dict(kind=kinds.DELIVERY), lambda e: e.kind == kinds.DELIVERY),
        (dict(outcome=kinds.REFUSED), lambda e: e.decision.outcome == kinds.REFUSED),
        (dict(exchange_id=exchange.hex()), lambda e: e.exchange_id == exchange),
        (dict(time_from=moment), lambda e: e.time_us >= middle),
        (dict(time_to=moment), lambda e: e.time_us < middle),
        (dict(subject=consumer.uri, purpose="marketing", outcome=kinds.REFUSED, kind=kinds.DECISION),
         lambda e: e.who.subject == consumer.uri and e.why.purpose == "marketing"),
        (dict(agreement=unique("agr")), lambda e: False),
    ]
    for query, fits in cases:
        if "exchange_id" in query:
            text = query["exchange_id"]
            query["exchange_id"] = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        expected = [index for index, entry in entries if concerns(entry, "statistics") and fits(entry)]
        found = [index for index, _ in search(officers["statistics"], **query) if index < len(entries)]
        assert found == expected[::-1], query
    assert [index for index, _ in search(officers["statistics"], subject=consumer.uri)]


def test_oldest_first_goes_on_where_it_was(search, traffic, sums, consumer, officers):
    first, *_ = traffic
    sums()
    newest_first = [index for index, _ in search(officers["statistics"], subject=consumer.uri)]
    oldest_first = [index for index, _ in search(officers["statistics"], page_size=2, subject=consumer.uri,
                                                 after_index=first)]
    assert oldest_first == newest_first[::-1]
    assert len(oldest_first) > 4


def test_pages_are_stable_while_entries_are_appended(search, traffic, consumer, officers, stubs):
    officer = officers["statistics"].audit
    before = [index for index, _ in search(officers["statistics"], subject=consumer.uri)]
    found, token = [], ""
    while True:
        answer = officer.Search(stubs.audit.SearchAuditRequest(
            subject=consumer.uri, page_size=2, page_token=token), timeout=5)
        found += [record.index for record in answer.records]
        consumer.peer.lookup(STREETS, KEY)  # matches too, and is newer than every page
        token = answer.next_page_token
        if not token:
            break
    assert found == before


def test_a_page_token_fits_only_its_caller_and_query(traffic, consumer, officers, stubs):
    def page(officer, token="", **query):
        return officers[officer].audit.Search(stubs.audit.SearchAuditRequest(
            page_size=1, page_token=token, **query), timeout=5)

    token = page("statistics", subject=consumer.uri).next_page_token
    assert page("statistics", token, subject=consumer.uri).records
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for officer, bad, query in [("health", token, dict(subject=consumer.uri)), ("statistics", token, {}),
                                ("statistics", token, dict(subject=consumer.uri, dataset=STREETS)),
                                ("statistics", token, dict(subject=consumer.uri, after_index=1)),
                                ("statistics", changed, dict(subject=consumer.uri)),
                                ("statistics", "4711", dict(subject=consumer.uri))]:
        failure = officers[officer].failure(lambda: page(officer, bad, **query))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOKEN_INVALID")


@pytest.mark.parametrize("query", [
    {"exchange_id": "no-uuid"}, {"dataset": "x" * 3000}, {"after_index": -1}, {"kind": 99}, {"outcome": 17}])
def test_a_filter_that_cannot_be_is_refused(officers, stubs, query):
    failure = officers["statistics"].failure(lambda: officers["statistics"].audit.Search(
        stubs.audit.SearchAuditRequest(**query), timeout=5))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FILTER_INVALID")
    assert next(iter(query)) in failure.text


# --- people ---------------------------------------------------------------------------------------

def test_who_read_about_a_person(search, traffic, consumer, officers, resident, audit):
    person = resident(2).id_number
    mine = [entry for _, entry in search(officers["civil-affairs"], person=person) if entry.who.subject == consumer.uri]
    assert [entry.what.method for entry in mine] == ["/sluice.v1.ExchangeService/BatchLookup"]
    mine = [entry for _, entry in search(officers["civil-affairs"], person=resident(1).id_number, dataset=RESIDENTS)
            if entry.who.subject == consumer.uri]
    assert [entry.what.method.rsplit("/")[-1] for entry in mine] == ["BatchLookup", "Lookup"]
    assert not [entry for _, entry in search(officers["statistics"], person=person) if entry.who.subject == consumer.uri]


def test_asking_about_a_person_is_found_by_asking_about_the_person(search, officers, resident):
    person = resident(3).id_number
    search(officers["civil-affairs"], person=person)
    _, newest = search(officers["civil-affairs"], person=person)[0]
    assert newest.what.method == "/sluice.v1.AuditService/Search"
    assert newest.what.object == "person"


def test_a_persons_number_is_stored_nowhere(search, officers, resident, cluster, gateway):
    person = resident(4).id_number
    search(officers["civil-affairs"], person=person)
    officers["civil-affairs"].failure(lambda: search(officers["civil-affairs"], person=person, exchange_id="x"))
    officers["civil-affairs"].failure(lambda: search(officers["civil-affairs"], person=person[:-2]))
    dump = subprocess.run(["pg_dump", "--data-only", cluster.conninfo["control"]], capture_output=True, check=True)
    raw = cluster.rows("control", "SELECT string_agg(leaf, '') FROM audit.entry")[0][0]
    for place in (dump.stdout, bytes(raw), gateway.log().encode()):
        assert len(place) > 1000
        assert person.encode() not in place and person[:-2].encode() not in place


@pytest.mark.parametrize("person", ["110101199003070001", "nobody", "1" * 3000])
def test_a_number_that_is_none_is_refused(officers, search, person):
    failure = officers["civil-affairs"].failure(lambda: search(officers["civil-affairs"], person=person))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failure.reason in ("PERSON", "FILTER_INVALID")
    assert person not in failure.text


def test_a_worker_may_not_read_the_person_index_by_itself(cluster):
    for statement in ("SELECT * FROM audit.person", "DELETE FROM audit.summary", "UPDATE audit.summary SET calls = 0",
                      "INSERT INTO control.audit_filter VALUES ('a', 'b', 'c', '')"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cluster.rows("worker", statement)


def test_each_page_read_is_an_entry_that_names_the_filters(traffic, officers, audit, stubs, consumer):
    before = audit.size()
    officers["statistics"].audit.Search(stubs.audit.SearchAuditRequest(
        subject=consumer.uri, dataset=STREETS, page_size=2), timeout=5)
    entry, = [entry for entry in audit.entries(above=before - 1)
              if entry.what.method == "/sluice.v1.AuditService/Search"]
    assert entry.what.object == "dataset subject" and entry.what.dataset == STREETS
    assert entry.who.subject.endswith("/officer/data-officer")


# --- statistics -----------------------------------------------------------------------------------

def exported_entries(folder, kind):
    """Decoded leaves of the bundles of an export, in order: nothing but its bytes."""
    entries = []
    bundles = sorted((p for p in (folder / "tile/entries").rglob("*") if p.is_file()),
                     key=lambda p: str(p.relative_to(folder)).replace(".p/", "/").replace("x", ""))
    for bundle in bundles:
        data = bundle.read_bytes()
        while data:
            size, = struct.unpack(">H", data[:2])
            entries.append(kind.FromString(data[2:2 + size]))
            data = data[2 + size:]
    return entries


def day_of(entry):
    return datetime.fromtimestamp(entry.time_us / 1e6, CHINA).strftime("%Y-%m-%d")


COLUMNS = {"DAY": day_of, "DEPARTMENT": lambda e: e.who.department, "OWNER": lambda e: e.what.owner,
           "DATASET": lambda e: e.what.dataset, "KIND": lambda e: e.kind, "OUTCOME": lambda e: e.decision.outcome}


def test_statistics_equal_the_exported_log(traffic, sums, consumer, officers, audit, stubs, sluice, tmp_path):
    types = stubs.audit_entry.AuditEntry
    for _ in range(40):  # after 20 the rest share an entry
        consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, purpose="marketing"))
    wait_for(lambda: audit.entries(above=traffic[0], subject=consumer.uri)[-1].kind == types.DENIALS, 15,
             "the shared entry")
    sums()
    answers = []
    today = datetime.now(CHINA).strftime("%Y-%m-%d")
    for officer in ("statistics", "health"):
        for by in ((), ("KIND",), ("DAY", "DEPARTMENT", "OWNER", "DATASET", "KIND", "OUTCOME"), ("DATASET", "OUTCOME")):
            answers.append((officer, by, officers[officer].audit.GetStatistics(
                stubs.audit.GetStatisticsRequest(by=by, day_to=today), timeout=10)))
    done = sluice("audit", "export", tmp_path / "log", officer="statistics-officer")
    assert done.returncode == 0, done.stderr
    entries = exported_entries(tmp_path / "log", types)
    assert any(entry.kind == types.DENIALS and entry.stands_for > 10 for entry in entries)
    for officer, by, answer in answers:
        assert 0 < answer.log_size <= len(entries)
        counts, calls = Counter(), Counter()
        for entry in entries[:answer.log_size]:
            if concerns(entry, officer):
                group = tuple(COLUMNS[column](entry) for column in by)
                counts[group] += 1
                calls[group] += entry.stands_for if entry.kind == types.DENIALS else 1
        told = {tuple(getattr(one, column.lower()) for column in by): (one.entries, one.calls)
                for one in answer.statistics}
        assert told == {group: (counts[group], calls[group]) for group in counts}


@pytest.mark.parametrize("query", [{"day_from": "2026-2-1"}, {"day_to": "2026-02-30"}, {"by": [9]}, {"by": [0]}])
def test_statistics_that_cannot_be_are_refused(officers, stubs, query):
    failure = officers["statistics"].failure(lambda: officers["statistics"].audit.GetStatistics(
        stubs.audit.GetStatisticsRequest(**query), timeout=5))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


def test_statistics_of_days_without_entries_are_empty(officers, stubs):
    answer = officers["statistics"].audit.GetStatistics(stubs.audit.GetStatisticsRequest(
        by=["DAY"], day_to="2001-01-01"), timeout=5)
    assert answer.log_size > 0 and not answer.statistics


def test_a_leaf_is_read_for_what_it_stands_for(cluster, stubs):
    """The database reads field 18 of the stored bytes; whatever the bytes are."""
    types = stubs.audit_entry.AuditEntry
    good = [(types(stands_for=n, request_id="r" * 300, time_us=2**60, boot_id=b"\x90\x01\x05").SerializeToString(), n)
            for n in (0, 1, 127, 128, 2**31, 2**63 - 1)]
    bad = [(b"\x90\x01", 0), (b"\x90\x01\xff", 0), (b"\x0a\x7f", 0), (b"\xff" * 30, 0), (b"\x0b", 0), (b"", 0),
           (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 0), (b"\x90\x01\x07\x0d\x01", 0)]
    for leaf, expected in good + bad:
        assert cluster.rows("control", "SELECT audit.stands_for(%s)", [psycopg2.Binary(leaf)]) == [(expected,)], leaf


# --- saved filters and the command ----------------------------------------------------------------

def test_filters_are_each_officers_own(officers, stubs):
    name = unique("filter")
    saved = stubs.audit.SearchAuditRequest(dataset=STREETS, outcome="REFUSED")

    def names(officer):
        return [one.name for one in officers[officer].audit.ListFilters(
            stubs.audit.ListFiltersRequest(), timeout=5).filters]

    for search in (stubs.audit.SearchAuditRequest(dataset=TOWNS), saved):  # the second replaces the first
        officers["statistics"].audit.SaveFilter(stubs.audit.SaveFilterRequest(name=name, search=search), timeout=5)
    found, = [one for one in officers["statistics"].audit.ListFilters(
        stubs.audit.ListFiltersRequest(), timeout=5).filters if one.name == name]
    assert found.search == saved and found.save_time.seconds > 0
    assert name not in names("health")
    failure = officers["health"].failure(lambda: officers["health"].audit.DeleteFilter(
        stubs.audit.DeleteFilterRequest(name=name), timeout=5))
    assert failure.code == grpc.StatusCode.NOT_FOUND
    officers["statistics"].audit.DeleteFilter(stubs.audit.DeleteFilterRequest(name=name), timeout=5)
    assert name not in names("statistics")


def test_filters_that_are_not_saved(officers, stubs, resident):
    def save(name="x", **query):
        return officers["statistics"].failure(lambda: officers["statistics"].audit.SaveFilter(
            stubs.audit.SaveFilterRequest(name=name, search=stubs.audit.SearchAuditRequest(**query)), timeout=5))

    assert save(person=resident(1).id_number).reason == "FILTER_PERSON"
    assert save(page_size=5).reason == "FILTER_INVALID"
    assert save(kind=99).reason == "FILTER_INVALID"
    for name in ("", "x" * 65, "a b", "../x", "名"):
        assert save(name).reason == "FILTER_NAME"


def test_an_officer_has_at_most_100_filters(officers, stubs):
    officer = officers["health"].audit
    names = [f"many-{i}" for i in range(100)]
    for name in names:
        officer.SaveFilter(stubs.audit.SaveFilterRequest(name=name, search=stubs.audit.SearchAuditRequest()), timeout=5)
    failure = officers["health"].failure(lambda: officer.SaveFilter(
        stubs.audit.SaveFilterRequest(name="one-more", search=stubs.audit.SearchAuditRequest()), timeout=5))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "FILTERS_MAX")
    officer.SaveFilter(stubs.audit.SaveFilterRequest(name="many-5", search=stubs.audit.SearchAuditRequest(
        dataset=STREETS)), timeout=5)
    for name in names:
        officer.DeleteFilter(stubs.audit.DeleteFilterRequest(name=name), timeout=5)


def test_the_command_searches_and_exports(traffic, consumer, sluice, search, officers):
    def command(*arguments):
        done = sluice("audit", *arguments, officer="statistics-officer")
        assert done.returncode == 0, done.stderr
        return done

    expected = [index for index, _ in search(officers["statistics"], subject=consumer.uri)]
    rows = list(csv.DictReader(io.StringIO(command("search", "--subject", consumer.uri, "--format", "csv").stdout)))
    assert [int(row["index"]) for row in rows] == expected
    assert {row["owner"] for row in rows} == {"statistics"} and len(rows[0]["exchangeId"]) == 36
    found = json.loads(command("search", "--exchange", rows[0]["exchangeId"], "--format", "json").stdout)
    assert found[0]["index"] == rows[0]["index"]
    name = unique("filter")
    command("filter", "save", name, "--subject", consumer.uri, "--decision", "refused")
    assert name in command("filter", "list").stdout
    refused = [row["index"] for row in rows if row["outcome"] == "REFUSED"]
    lines = command("search", "--filter", name, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["index"] for line in lines] == refused and refused
    lines = command("search", "--filter", name, "--kind", "quota", "--format", "jsonl").stdout.splitlines()
    assert lines == []
    limited = command("search", "--subject", consumer.uri, "--limit", "3", "--format", "jsonl").stdout.splitlines()
    assert [int(json.loads(line)["index"]) for line in limited] == expected[:3]
    today = datetime.now().strftime("%Y-%m-%d")
    day = command("search", "--subject", consumer.uri, "--from", today, "--to", today, "--format", "jsonl").stdout
    assert len(day.splitlines()) == len(expected)
    command("filter", "delete", name)
    done = sluice("audit", "search", "--filter", name, officer="statistics-officer")
    assert done.returncode == 3 and name in done.stderr


def test_the_command_counts(traffic, sluice):
    done = sluice("audit", "statistics", "--by", "kind,decision", "--format", "csv", officer="statistics-officer")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["kind", "outcome", "entries", "calls"]
    assert sum(int(row["entries"]) for row in rows) > 5 and "entries of the log" in done.stderr
    whole = json.loads(sluice("audit", "statistics", "--format", "json", officer="statistics-officer").stdout)
    assert int(whole["statistics"][0]["entries"]) > 5


@pytest.mark.parametrize("arguments", [
    ("search", "--from", "2026-02-30"), ("search", "--kind", "nothing"), ("search", "--decision", "ALLOWED"),
    ("search", "--limit", "0"), ("filter", "save"), ("filter", "list", "x"), ("filter", "rename", "x"),
    ("statistics", "--by", "day,nothing"), ("statistics", "--from", "2026-11-24T00:00:00Z")])
def test_the_command_says_what_is_wrong(sluice, arguments):
    done = sluice("audit", *arguments, officer="statistics-officer")
    assert done.returncode == 2 and done.stderr


def test_the_person_comes_from_standard_input(traffic, consumer, resident, pki, gateway):
    environment = {
        "SLUICE_CA": str(pki.path("ca.pem")), "LC_ALL": "C.UTF-8",
        "SLUICE_OFFICER_ENDPOINT": f"https://127.0.0.1:{gateway.ports['officers']}",
        "SLUICE_OFFICER_CERT": str(pki.path("civil-affairs-officer.pem")),
        "SLUICE_OFFICER_KEY": str(pki.path("civil-affairs-officer.key"))}
    command = [str(BUILD / "sluice"), "audit", "search", "--person", "-", "--format", "jsonl"]
    done = subprocess.run(command, env=environment, input=resident(2).id_number + "\n", capture_output=True,
                          text=True, timeout=30)
    subjects = [json.loads(line)["entry"]["who"]["subject"] for line in done.stdout.splitlines()]
    assert done.returncode == 0 and consumer.uri in subjects
    done = subprocess.run(command, env=environment, input="", capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
