"""Masks: whatever way a record leaves under an agreement, a masked value leaves masked. What should arrive is
computed here a second time, from what another agreement without masks delivers."""

import calendar
import contextlib
import hashlib
import hmac
import json
import re
import shutil
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import grpc
import psycopg2
import pytest

import harness
from audit_log import AuditLog
from clients import PURPOSE, Failure, Peer, Records, unique
from conftest import RESIDENTS, VILLAGES
from harness import run, wait_for

INVALID = grpc.StatusCode.INVALID_ARGUMENT
RECEIVED = "statistics/residents_received"
FIELDS = ["id_number", "name", "sex", "birth_date", "address", "division_code", "mobile", "updated_at"]
MASKS = {"name": ("KEEP_FIRST", 1, "＊"), "mobile": ("KEEP_LAST", 4), "birth_date": ("YEAR",), "address": ("HASH",),
         "division_code": ("PREFIX", 4), "updated_at": ("MONTH",), "sex": ("DROP",)}
MAPPING = """
version: 1
title: {en: Residents received, zh: 接收的居民}
type: gov.person.v1.Resident
source: statistics
table: resident_received
sharing: denied
fields:
  id_number: {from: id_number, normalise: [cn_id]}
  name: name
  birth_date: birth_date
  address: address
  division_code: division_code
  mobile: mobile
"""
TABLE = """CREATE TABLE resident_received (id_number text PRIMARY KEY, name text, birth_date text, address text,
    division_code text, mobile text)"""


def admin(cluster, *statements):
    conninfo = re.sub(r"dbname=\S+", "dbname=statistics", cluster.conninfo["admin"])
    with contextlib.closing(psycopg2.connect(conninfo)) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def descriptors(folder, edit=lambda text: text):
    """The canonical types compiled again, after `edit` of the residents' file."""
    shutil.copytree(harness.REPO / "schemas/canonical", folder)
    file = folder / "gov/person/v1/resident.proto"
    file.write_text(edit(file.read_text()))
    protos = [str(path) for path in sorted(folder.rglob("*.proto"))]
    run("protoc", f"--proto_path={folder}", f"--proto_path={harness.REPO}/proto", "--proto_path=/usr/include",
        "--include_imports", "--include_source_info", f"--descriptor_set_out={folder}/canonical.pb", *protos)
    return folder / "canonical.pb"


@pytest.fixture(scope="module")
def house(workspace, cluster, pki, stubs):
    """One gateway with a table that the statistics department lets others' records be copied to."""
    schemas = workspace / unique("schemas")
    shutil.copytree(harness.REPO / "schemas", schemas)
    (schemas / "departments/statistics/residents_received.yaml").write_text(MAPPING)
    admin(cluster, "DROP SCHEMA IF EXISTS sluice CASCADE", "CREATE SCHEMA sluice AUTHORIZATION statistics_owner")
    cluster.rows("statistics_owner", TABLE)
    admin(cluster, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO statistics_reader")
    types = workspace / unique("types")
    gateway = harness.Gateway(
        workspace / unique("gateway"), cluster, pki,
        schemas={"directory": schemas, "descriptors": descriptors(types)},
        targets=[{"name": "statistics", "database": cluster.conninfo["statistics_owner"]}]).start()
    owner = Peer(stubs, gateway, "civil-affairs-officer", "officers")
    bureau = Peer(stubs, gateway, "statistics-officer", "officers")
    name = unique()
    system = pki.system("statistics", name)
    house = SimpleNamespace(gateway=gateway, cluster=cluster, pki=pki, stubs=stubs, owner=owner, bureau=bureau,
                            system=system, name=f"statistics/{name}",
                            peer=Peer(stubs, gateway, system), types=types)
    dataset = owner.catalog.GetDataset(stubs.catalog.GetDatasetRequest(name=RESIDENTS), timeout=10)
    house.records = Records(dataset)
    house.plain = granted(house, modes=["QUERY", "LOOKUP", "VERIFY"])
    house.truth = {record.id_number: record for record in queried(
        house, house.plain, fields=[name for name in FIELDS if name != "sex"])}
    assert len(house.truth) == 196  # one more than with the sex, which nobody could read
    yield house
    for peer in (owner, bureau, house.peer):
        peer.close()
    assert gateway.stop() == 0
    cluster.rows("statistics_owner", "DROP TABLE resident_received")


def mask(house, field, kind, keep=0, character=""):
    return house.stubs.agreement.AgreementMask(field=field, kind=kind, keep=keep, character=character)


def granted(house, masks=(), modes=("LOOKUP", "QUERY"), fields=FIELDS, wait=True, consumer=None, **rest):
    """An agreement of the house's system, known to the worker that serves it."""
    made = house.owner.grant(consumer or house.name, RESIDENTS, fields, modes=modes,
                             masks=[mask(house, name, *how) for name, how in dict(masks).items()], **rest)

    def known():
        failure = house.peer.failure(lambda: house.peer.lookup(RESIDENTS, "-", agreement=made.id, timeout=5))
        return failure.reason not in ("DATASET_NOT_FOUND", "AGREEMENT_NOT_FOUND")
    if wait and consumer is None:
        wait_for(known, 5, "the agreement to be known")
    return made


def lookup_failure(house, key, agreement):
    """None when it succeeds."""
    try:
        house.peer.lookup(RESIDENTS, key, agreement=agreement.id)
    except grpc.RpcError as error:
        return Failure(house.stubs, error)
    return None


def queried(house, agreement, **rest):
    return list(house.records.of_stream(house.peer.query(RESIDENTS, agreement=agreement.id, **rest)))


@pytest.fixture
def officers_of(house):
    with contextlib.ExitStack() as stack:
        yield lambda department: stack.enter_context(
            contextlib.closing(Peer(house.stubs, house.gateway, f"{department}-officer", "officers")))


@pytest.fixture(scope="module")
def masked(house):
    return granted(house, MASKS)


def pseudonym(house, agreement, text):
    key = hmac.digest(house.pki.read("mask.key"), b"agreement-mask\0" + agreement.id.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def month(seconds):
    """Its first instant in China."""
    local = SimpleNamespace(**dict(zip(("year", "month"), time.gmtime(seconds + 8 * 3600)[:2])))
    return calendar.timegm((local.year, local.month, 1, 0, 0, 0)) - 8 * 3600


def expected(house, agreement, record):
    """MASKS by hand."""
    made = house.records.type(id_number=record.id_number, birth_date=record.birth_date[:4],
                              division_code=record.division_code[:4])
    made.name = record.name[0] + "＊" * (len(record.name) - 1) if len(record.name) > 1 else "＊" * len(record.name)
    if record.mobile:
        made.mobile = "*" * (len(record.mobile) - 4) + record.mobile[-4:]
    if record.address:
        made.address = pseudonym(house, agreement, record.address)
    if record.HasField("updated_at"):
        made.updated_at.seconds = month(record.updated_at.seconds)
    return made


def raw_values(house):
    """Everything that must not be found in an answer under MASKS."""
    for record in house.truth.values():
        for text in (record.name if len(record.name) > 1 else "", record.birth_date, record.address, record.mobile):
            if text:
                yield text.encode()


def without_raw(house, data):
    found = [value.decode() for value in raw_values(house) if value in data]
    assert found == []


# --- the paths --------------------------------------------------------------------------------------
def test_the_truth_has_what_is_looked_for(house):
    data = b"".join(record.SerializeToString() for record in house.truth.values())
    assert all(value in data for value in raw_values(house))
    assert len(set(raw_values(house))) > 500


def test_lookup_delivers_masked_values(house, masked):
    for number in list(house.truth)[:20]:
        answer = house.peer.lookup(RESIDENTS, number, agreement=masked.id)
        assert house.records.read(answer.record) == expected(house, masked, house.truth[number])
        without_raw(house, answer.SerializeToString())


def test_batch_lookup_delivers_masked_values(house, masked):
    answer = house.peer.batch_lookup(RESIDENTS, list(house.truth), agreement=masked.id)
    for result in answer.results:
        assert house.records.read(result.record) == expected(house, masked, house.truth[result.key])
    without_raw(house, answer.SerializeToString())


def test_a_query_delivers_masked_values(house, masked):
    batches = list(house.peer.query(RESIDENTS, agreement=masked.id))
    records = {record.id_number: record for record in house.records.of_stream(batches)}
    assert records == {number: expected(house, masked, record) for number, record in house.truth.items()}
    without_raw(house, b"".join(batch.SerializeToString() for batch in batches))


def test_pages_and_fields_change_nothing(house, masked):
    seen, token = [], ""
    for _ in range(100):
        batches = list(house.peer.query(RESIDENTS, agreement=masked.id, page_size=50, page_token=token,
                                        fields=["name", "sex", "birth_date"]))
        without_raw(house, b"".join(batch.SerializeToString() for batch in batches))
        seen += house.records.of_stream(batches)
        token = batches[-1].next_page_token
        if not token:
            break
    assert len(seen) == len(queried(house, house.plain, fields=["name", "birth_date"]))
    assert all(not record.id_number and not record.sex and len(record.birth_date) == 4 for record in seen)


def test_pseudonyms_join_within_an_agreement_only(house, masked):
    other = granted(house, {"address": ("HASH",)})
    ours = [record.address for record in queried(house, masked)]
    theirs = [record.address for record in queried(house, other)]
    again = [record.address for record in queried(house, masked)]
    assert ours == again and any(ours)
    assert not (set(ours) & set(theirs)) - {""}


def test_a_query_alone_may_mask_the_key(house):
    agreement = granted(house, {"id_number": ("HASH",), "name": ("DROP",), "birth_date": ("YEAR",)}, modes=["QUERY"],
                        fields=["id_number", "name", "birth_date"])
    batches = list(house.peer.query(RESIDENTS, agreement=agreement.id))
    numbers = {record.id_number for record in house.records.of_stream(batches)}
    assert numbers == {pseudonym(house, agreement, number) for number in house.truth}
    data = b"".join(batch.SerializeToString() for batch in batches)
    assert not [number for number in house.truth if number.encode() in data]


def test_the_owners_row_filter_sees_what_is_stored(house):
    record = next(iter(house.truth.values()))
    agreement = granted(house, MASKS, row_filter=f'name = "{record.name}"')
    assert {found.id_number for found in queried(house, agreement)} \
        == {other.id_number for other in house.truth.values() if other.name == record.name}


def test_a_masked_field_cannot_be_filtered_by(house, masked):
    """Or its value could be found by asking."""
    record = next(iter(house.truth.values()))
    for filter in (f'name = "{record.name}"', f'id_number = "{record.id_number}" '
                   f'AND mobile = "{record.mobile}"', "sex = MALE"):
        failure = house.peer.failure(lambda: house.peer.query(RESIDENTS, filter, agreement=masked.id))
        assert (failure.code, failure.reason) == (INVALID, "FIELD_MASKED"), filter
    unknown = house.peer.failure(lambda: house.peer.query(RESIDENTS, 'ethnic_group = "01"', agreement=masked.id))
    assert unknown.reason == "FILTER_FIELD"
    assert len(queried(house, masked, filter=f'id_number = "{record.id_number}"')) == 1


def test_a_masked_field_cannot_be_verified(house):
    """Whatever is claimed, about whomever: one refusal."""
    agreement = granted(house, {"name": ("KEEP_FIRST", 1), "mobile": ("DROP",)}, modes=["LOOKUP", "VERIFY"])
    record = next(iter(house.truth.values()))
    api = house.stubs.exchange

    def verify(key, **claims):
        request = api.VerifyRequest(dataset=RESIDENTS, key=key, purpose=PURPOSE, agreement=agreement.id)
        for field, value in claims.items():
            request.claims.add(field=field, value=value)
        return house.peer.exchange.Verify(request, timeout=10)
    refusals = {repr(house.peer.failure(lambda: verify(key, name=name))) for key, name in (
        (record.id_number, record.name), (record.id_number, "某人"), (record.id_number, record.name[0] + "*"),
        ("990101200002290003", record.name), (record.id_number, ""))}
    assert len(refusals) == 1 and "PERMISSION_DENIED/FIELD_MASKED" in refusals.pop()
    assert house.peer.failure(lambda: verify(record.id_number, mobile=record.mobile)).reason == "FIELD_MASKED"
    assert house.peer.failure(lambda: verify(record.id_number, birth_date=record.birth_date, name=record.name)).reason \
        == "FIELD_MASKED"
    assert verify(record.id_number, birth_date=record.birth_date).outcome == api.VerifyResponse.MATCH


def test_a_transfer_copies_masked_values(house):
    house.cluster.rows("statistics_owner", "TRUNCATE resident_received")
    fields = ["id_number", "name", "birth_date", "address", "division_code", "mobile"]
    masks = {**{name: MASKS[name] for name in fields[1:]}, "mobile": ("DROP",)}
    agreement = granted(house, masks, modes=["TRANSFER", "LOOKUP"], fields=fields)
    api = house.stubs.transfer
    job = house.peer.transfers.CreateTransfer(api.CreateTransferRequest(
        dataset=RESIDENTS, target=RECEIVED, purpose=PURPOSE, agreement=agreement.id), timeout=10)

    def ended():
        found = house.peer.transfers.GetTransfer(api.GetTransferRequest(id=job.id), timeout=10)
        return found if found.state in (api.TRANSFER_SUCCEEDED, api.TRANSFER_FAILED) else None
    done = wait_for(ended, 30, "the transfer to end")
    assert done.state == api.TRANSFER_SUCCEEDED, done
    rows = house.cluster.rows("statistics_owner", "SELECT * FROM resident_received")
    wanted = {number: expected(house, agreement, record) for number, record in house.truth.items()}
    assert {row[0]: tuple(value or "" for value in row[1:]) for row in rows} == {
        number: (made.name, made.birth_date, made.address, made.division_code, "")
        for number, made in wanted.items()}
    without_raw(house, repr(rows).encode())
    assert house.peer.transfers.VerifyTransfer(api.VerifyTransferRequest(id=job.id), timeout=30).equal
    failure = house.peer.failure(lambda: house.peer.transfers.CreateTransfer(api.CreateTransferRequest(
        dataset=RESIDENTS, target=RECEIVED, purpose=PURPOSE, agreement=agreement.id, filter='name = "张"'), timeout=10))
    assert failure.reason == "FIELD_MASKED"
    rules = {entry.decision.rule for entry in AuditLog(house.cluster, house.stubs).entries(agreement=agreement.id)}
    assert "agreement.masks" in rules and "agreement" not in rules


def test_a_comparison_leaves_masked_fields_out(house):
    """Though its own side holds what to compare with."""
    fields = ["id_number", "name", "birth_date", "division_code"]
    house.cluster.rows("statistics_owner", "TRUNCATE resident_received")
    with house.cluster.connect("statistics_owner") as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO resident_received VALUES (%s, %s, %s, '', '000000', '')", [
            (record.id_number, record.name, "1900-01-01") for record in house.truth.values()])
        connection.commit()
    api = house.stubs.quality

    def compare(agreement, *fields):
        request = api.CompareDatasetsRequest(dataset_a=RECEIVED, dataset_b=RESIDENTS, purpose=PURPOSE,
                                             agreement=agreement.id)
        request.fields.paths.extend(fields)
        return list(house.bureau.quality.CompareDatasets(request, timeout=30))
    whole = granted(house, modes=["QUERY"], fields=fields, consumer="statistics/*")
    wait_for(lambda: house.bureau.failure(lambda: compare(whole, "sex")).reason == "FIELD_NOT_GRANTED", 5, "the agreement")
    plain = b"".join(message.SerializeToString() for message in compare(whole))
    births = [record.birth_date.encode() for record in house.truth.values()]
    assert any(birth in plain for birth in births), "a comparison shows the values of conflicts"

    half = granted(house, {"birth_date": ("YEAR",)}, modes=["QUERY"], fields=fields, consumer="statistics/*")
    answered = wait_for(lambda: answered_or_none(lambda: compare(half)), 5, "the agreement")
    data = b"".join(message.SerializeToString() for message in answered)
    assert answered[-1].comparison.conflicts and b"birth_date" not in data
    assert not [birth for birth in births if birth in data]
    failure = house.bureau.failure(lambda: compare(half, "birth_date"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "FIELD_MASKED")

    keyed = granted(house, {"id_number": ("HASH",)}, modes=["QUERY"], fields=fields, consumer="statistics/*")
    failure = wait_for(lambda: [f for f in [house.bureau.failure(lambda: compare(keyed))]
                                if f.reason not in ("DATASET_NOT_FOUND", "AGREEMENT_NOT_FOUND")], 5, "the agreement")[0]
    assert failure.reason == "FIELD_MASKED"


def answered_or_none(call):
    try:
        return call()
    except grpc.RpcError:
        return None


# --- what may be granted ----------------------------------------------------------------------------
@pytest.mark.parametrize("masks, modes, reason", [
    ({"name": ("YEAR",)}, ["LOOKUP"], "MASK_UNFIT"), ({"name": ("PREFIX", 2)}, ["LOOKUP"], "MASK_UNFIT"),
    ({"sex": ("KEEP_FIRST", 1)}, ["LOOKUP"], "MASK_UNFIT"), ({"updated_at": ("HASH",)}, ["LOOKUP"], "MASK_UNFIT"),
    ({"birth_date": ("KEEP_FIRST", 4)}, ["LOOKUP"], "MASK_UNFIT"),
    ({"name": ("KEEP_FIRST", 257)}, ["LOOKUP"], "MASK_INVALID"), ({"name": ("KEEP_FIRST", -1)}, ["LOOKUP"], "MASK_INVALID"),
    ({"name": ("KEEP_FIRST", 1, "**")}, ["LOOKUP"], "MASK_INVALID"),
    ({"name": ("KEEP_FIRST", 1, "abcdef")}, ["LOOKUP"], "MASK_INVALID"), ({"name": (0,)}, ["LOOKUP"], "MASK_INVALID"),
    ({"name": (77,)}, ["LOOKUP"], "MASK_INVALID"), ({"ethnic_group": ("DROP",)}, ["LOOKUP"], "MASK_FIELD"),
    ({"nothing": ("DROP",)}, ["LOOKUP"], "MASK_FIELD"), ({"name": ("HASH",)}, ["VERIFY"], "MASK_MODE"),
    ({"id_number": ("KEEP_LAST", 4)}, ["LOOKUP"], "MASK_KEY"), ({"id_number": ("HASH",)}, ["QUERY", "LOOKUP"], "MASK_KEY"),
    ({"id_number": ("HASH",)}, ["TRANSFER"], "MASK_KEY"), ({"id_number": ("DROP",)}, ["QUERY", "VERIFY"], "MASK_KEY")])
def test_a_mask_that_does_not_fit_is_not_granted(house, masks, modes, reason):
    failure = house.owner.failure(lambda: granted(house, masks, modes=modes, wait=False))
    assert (failure.code, failure.reason) == (INVALID, reason)


def test_a_field_has_one_mask(house):
    failure = house.owner.failure(lambda: house.owner.grant("statistics/x", RESIDENTS, FIELDS, masks=[
        mask(house, "name", "HASH"), mask(house, "name", "DROP")]))
    assert (failure.code, failure.reason) == (INVALID, "MASK_REPEATED")


def test_masks_are_bound_and_shown(house, masked):
    api = house.stubs.agreement
    shown = house.owner.agreements.GetAgreement(api.GetAgreementRequest(id=masked.id), timeout=5)
    assert {m.field: (api.AgreementMask.Kind.Name(m.kind), m.keep, m.character) for m in shown.masks} == {
        name: (how + (0, ""))[:3] if len(how) != 2 else (*how, "*" if how[0].startswith("KEEP") else "")
        for name, how in MASKS.items()}
    bound = api.Agreement(**{name: getattr(shown, name) for name in (
        "id", "consumer", "dataset", "fields", "purposes", "modes", "valid_from", "valid_until", "legal_basis")})
    plain = hashlib.sha256(bound.SerializeToString()).hexdigest()
    bound.masks.extend(shown.masks)
    assert shown.digest == hashlib.sha256(bound.SerializeToString()).hexdigest() != plain
    listed = house.bureau.agreements.ListAgreements(api.ListAgreementsRequest(dataset=RESIDENTS, page_size=1000), timeout=5)
    assert masked.id in [one.id for one in listed.agreements if len(one.masks) == len(MASKS)]
    rules = {entry.decision.rule for entry in AuditLog(house.cluster, house.stubs).decisions(agreement=masked.id)}
    assert "agreement.masks" in rules and "agreement" not in rules
    rules = {entry.decision.rule for entry in AuditLog(house.cluster, house.stubs).decisions(agreement=house.plain.id)}
    assert "agreement" in rules and "agreement.masks" not in rules
    with pytest.raises(psycopg2.Error, match="does not change"):
        house.cluster.rows("control", "UPDATE control.agreement SET masks = '{}' WHERE id = %s", (masked.id,))


# --- what changes under it --------------------------------------------------------------------------
def test_a_schema_that_makes_a_mask_unfit_closes_the_agreement(house, masked, workspace):
    """A date that is a date no more has no year; agreements without this mask go on."""
    record = next(iter(house.truth.values()))
    good = (house.types / "canonical.pb").read_bytes()
    changed = descriptors(workspace / unique("types"),
                          lambda text: text.replace("(sluice.options.semantic) = DATE,", ""))
    changed.replace(house.types / "canonical.pb")
    try:
        house.gateway.reload()
        failure = wait_for(lambda: lookup_failure(house, record.id_number, masked), 15, "the new schema")
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGREEMENT_OUTDATED")
        assert "birth_date" in failure.text
        assert lookup_failure(house, record.id_number, house.plain) is None
    finally:
        (house.types / "canonical.pb").write_bytes(good)
        house.gateway.reload()
    wait_for(lambda: lookup_failure(house, record.id_number, masked) is None, 15, "the old schema")


def test_another_mask_key_closes_agreements_with_hashes(house, masked, workspace, new_gateway):
    """Pseudonyms would be strangers to those delivered before."""
    key = workspace / unique("key")
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    record = next(iter(house.truth.values()))
    half = granted(house, {"name": ("KEEP_FIRST", 1)})
    for setting, reason in ((key, "MASK_KEY_CHANGED"), ("", "MASK_KEY_MISSING")):
        gateway = new_gateway(**({"mask_key": setting} if setting else {}))
        if not setting:
            del gateway.config["mask_key"]
            gateway.change()
        gateway.start()
        with contextlib.closing(Peer(house.stubs, gateway, house.system)) as peer:
            failure = peer.failure(lambda: peer.lookup(RESIDENTS, record.id_number, agreement=masked.id))
            assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
            answer = peer.lookup(RESIDENTS, record.id_number, agreement=half.id)
            assert house.records.read(answer.record).name[1:] == "*" * (len(record.name) - 1)
        if not setting:
            with contextlib.closing(Peer(house.stubs, gateway, "civil-affairs-officer", "officers")) as owner:
                failure = owner.failure(lambda: owner.grant("statistics/x", RESIDENTS, FIELDS, masks=[
                    mask(house, "name", "HASH")]))
                assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MASK_KEY_MISSING")


# --- where from, when, to whom ----------------------------------------------------------------------
def china():
    return datetime.now(timezone(timedelta(hours=8)))


def clock(minutes):
    return f"{minutes // 60:02}:{minutes % 60:02}"


def around_now(before=10, after=10):
    """A window that is open for at least `after` - 1 minutes; whole days near midnight."""
    now = china().hour * 60 + china().minute
    return f"{clock(max(now - before, 0))}-{clock(min(now + after, 1440))}" if now + after <= 1440 else "00:00-24:00"


def later_only():
    """Weekdays that are neither today nor, at midnight, tomorrow."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    return f"{days[(china().weekday() + 3) % 7]} 00:00-24:00"


def test_calls_come_from_the_networks_granted(house):
    number = next(iter(house.truth))
    assert lookup_failure(house, number, granted(house, networks=["10.0.0.0/8", "127.0.0.0/8"])) is None
    closed = granted(house, networks=["10.0.0.0/8", "2001:db8::/32"])
    failure = lookup_failure(house, number, closed)
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NETWORK_NOT_GRANTED")
    assert "10.0.0.0/8 or 2001:db8::/32" in failure.text
    for call in (lambda: house.peer.query(RESIDENTS, agreement=closed.id),
                 lambda: house.peer.batch_lookup(RESIDENTS, [number], agreement=closed.id)):
        assert house.peer.failure(call).reason == "NETWORK_NOT_GRANTED"
    rules = {entry.decision.rule for entry in AuditLog(house.cluster, house.stubs).decisions(agreement=closed.id)}
    assert "agreement.network" in rules


def test_a_transfer_is_created_from_there_and_moves_by_itself(house):
    house.cluster.rows("statistics_owner", "TRUNCATE resident_received")
    api = house.stubs.transfer
    fields = ["id_number", "name"]

    def create(agreement):
        return house.peer.transfers.CreateTransfer(api.CreateTransferRequest(
            dataset=RESIDENTS, target=RECEIVED, purpose=PURPOSE, agreement=agreement.id), timeout=10)
    closed = granted(house, modes=["TRANSFER"], fields=fields, networks=["10.0.0.0/8"])
    assert house.peer.failure(lambda: create(closed)).reason == "NETWORK_NOT_GRANTED"
    job = create(granted(house, modes=["TRANSFER"], fields=fields, networks=["127.0.0.1"]))
    done = wait_for(lambda: [found for found in [house.peer.transfers.GetTransfer(api.GetTransferRequest(id=job.id), timeout=10)]
                             if found.state in (api.TRANSFER_SUCCEEDED, api.TRANSFER_FAILED)], 30, "the transfer to end")[0]
    assert done.state == api.TRANSFER_SUCCEEDED, done


def test_calls_come_at_the_times_granted(house):
    number = next(iter(house.truth))
    assert lookup_failure(house, number, granted(house, windows=[later_only(), around_now()])) is None
    failure = lookup_failure(house, number, granted(house, windows=[later_only()]))
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WINDOW_CLOSED")
    assert later_only() in failure.text and "Asia/Shanghai" in failure.text


def test_of_two_agreements_the_one_that_may_be_used_now_is_chosen(house):
    """Day and night, office and field: nobody has to name which."""
    number = next(iter(house.truth))
    purpose = unique("purpose")
    granted(house, windows=[later_only()], purposes=[purpose])
    granted(house, networks=["10.0.0.0/8"], purposes=[purpose])
    granted(house, networks=["127.0.0.0/8"], windows=[around_now()], purposes=[purpose])
    assert house.peer.lookup(RESIDENTS, number, purpose=purpose).record.value


@pytest.mark.parametrize("terms, reason", [
    ({"networks": ["10.0.0.1/8"]}, "NETWORK_INVALID"), ({"networks": ["everywhere"]}, "NETWORK_INVALID"),
    ({"networks": [""]}, "NETWORK_INVALID"), ({"networks": ["10.0.0.0/8"] * 65}, "NETWORK_INVALID"),
    ({"windows": ["17:30-08:30"]}, "WINDOW_INVALID"), ({"windows": [""]}, "WINDOW_INVALID"),
    ({"windows": ["08:00-09:00"] * 17}, "WINDOW_INVALID"), ({"onward_recipient": "x" * 1025}, "ONWARD_INVALID")])
def test_bounds_that_make_no_sense_are_not_granted(house, terms, reason):
    failure = house.owner.failure(lambda: granted(house, wait=False, **terms))
    assert (failure.code, failure.reason) == (INVALID, reason)


def test_consent_to_passing_on_is_told_with_every_answer(house):
    number = next(iter(house.truth))

    def label(agreement):
        request = house.stubs.exchange.LookupRequest(dataset=RESIDENTS, key=number, purpose=PURPOSE, agreement=agreement.id)
        _, call = house.peer.exchange.Lookup.with_call(request, timeout=10)
        query = house.peer.query(RESIDENTS, agreement=agreement.id)
        list(query)
        return [dict(trailers.trailing_metadata()).get("sluice-onward-supply") for trailers in (call, query)]
    api = house.stubs.agreement
    consented = granted(house, onward_recipient="市统计局下属调查队，仅限年度调查", networks=["127.0.0.0/8"],
                        windows=[around_now()])
    assert label(consented) == ["consented", "consented"]
    assert label(house.plain) == [None, None]
    shown = house.owner.agreements.GetAgreement(api.GetAgreementRequest(id=consented.id), timeout=5)
    assert shown.onward_recipient == "市统计局下属调查队，仅限年度调查"
    bound = api.Agreement(**{name: getattr(shown, name) for name in (
        "id", "consumer", "dataset", "fields", "purposes", "modes", "valid_from", "valid_until", "legal_basis",
        "networks", "windows", "onward_recipient")})
    assert shown.digest == hashlib.sha256(bound.SerializeToString()).hexdigest()
    with pytest.raises(psycopg2.Error, match="does not change"):
        house.cluster.rows("control", "UPDATE control.agreement SET onward_recipient = '' WHERE id = %s", (consented.id,))


# --- who can read what, and why not -----------------------------------------------------------------
def explain(peer, field="mobile", dataset=RESIDENTS, **call):
    api = peer.stubs.agreement
    request = api.ExplainAccessRequest(dataset=dataset, field=field)
    if call:
        request.call.CopyFrom(api.ExplainedCall(**call))
    return peer.agreements.ExplainAccess(request, timeout=10)


def test_who_can_read_a_field_is_one_call(house, masked):
    whole = granted(house)
    dropped = granted(house, {"mobile": ("DROP",)})
    verifying = granted(house, modes=["VERIFY"])
    without = granted(house, fields=["id_number", "name"])
    gone = granted(house)
    house.owner.revoke(gone.id)
    seen = {reader.agreement.id: reader.mask for reader in explain(house.owner).readers}
    assert seen[masked.id].kind == house.stubs.agreement.AgreementMask.KEEP_LAST and not seen[whole.id].kind
    assert not {dropped.id, verifying.id, without.id, gone.id} & set(seen)
    assert without.id in [reader.agreement.id for reader in explain(house.owner, "").readers]
    # The consumer's officers see their own department's, others nothing at all.
    foreign = granted(house, consumer="health/triage", wait=False)
    wait_for(lambda: foreign.id in [r.agreement.id for r in explain(house.owner).readers], 5, "the agreement")
    mine = [reader.agreement for reader in explain(house.bureau).readers]
    assert masked.id in [one.id for one in mine] and all(one.consumer.startswith("statistics/") for one in mine)
    hidden = house.owner.failure(lambda: explain(house.owner, dataset="statistics/provinces"))
    absent = house.owner.failure(lambda: explain(house.owner, dataset="statistics/no-such"))
    assert (hidden.code, hidden.reason, hidden.text) == (absent.code, absent.reason, absent.text)
    assert hidden.reason == "DATASET_NOT_FOUND"


def test_a_refusal_is_explained_with_what_would_be_allowed(house):
    agreement = granted(house, {"name": ("HASH",)}, modes=["LOOKUP", "VERIFY"], purposes=["care", "billing"],
                        fields=["id_number", "name"], networks=["10.0.0.0/8"])
    night = granted(house, windows=[later_only()])
    asked = {"consumer": house.name, "purpose": "care", "mode": "LOOKUP", "agreement": agreement.id}
    # The worker that answers the officers may be another one than the system's.
    wait_for(lambda: explain(house.owner, "name", **asked).explanation.allowed, 5, "the agreement")
    wait_for(lambda: explain(house.owner, **{**asked, "agreement": night.id}).explanation.reason == "WINDOW_CLOSED", 5, "it")
    for peer in (house.owner, house.bureau):
        for change, field, rule, reason, words in (
                ({}, "name", "agreement.masks", "", ""), ({}, "id_number", "agreement", "", ""),
                ({"purpose": "marketing"}, "name", "agreement.purpose", "PURPOSE_NOT_GRANTED", "care, billing"),
                ({"mode": "QUERY"}, "name", "agreement.mode", "MODE_NOT_GRANTED", "lookup, verify"),
                ({}, "mobile", "agreement.fields", "FIELD_NOT_GRANTED", "grants the field"),
                ({"mode": "VERIFY"}, "name", "agreement.masks", "FIELD_MASKED", "without a mask"),
                ({"address": "10.7.7.7"}, "id_number", "agreement", "", ""),
                ({"address": "192.0.2.1"}, "name", "agreement.network", "NETWORK_NOT_GRANTED", "10.0.0.0/8"),
                ({"address": "nonsense"}, "name", "agreement.network", "NETWORK_NOT_GRANTED", "10.0.0.0/8"),
                ({"agreement": night.id}, "name", "agreement.window", "WINDOW_CLOSED", later_only()),
                ({"agreement": "agr-none"}, "name", "agreement", "AGREEMENT_NOT_FOUND", "id of one")):
            told = explain(peer, field, **{**asked, **change}).explanation
            assert (told.rule, told.reason, told.allowed) == (rule, reason, not reason), (change, told)
            assert words in told.would_allow, told
    nobody = explain(house.owner, "name", consumer="civil-affairs/registry", purpose="care", mode="LOOKUP").explanation
    assert (nobody.rule, nobody.reason, nobody.allowed) == ("dataset", "DATASET_NOT_FOUND", False)
    assert "apply for one" in nobody.would_allow
    foreign = house.bureau.failure(lambda: explain(house.bureau, "name", **{**asked, "consumer": "health/triage"}))
    assert (foreign.code, foreign.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CONSUMER_FOREIGN")
    for change, reason in (({"consumer": "statistics"}, "CONSUMER_INVALID"), ({"consumer": "statistics/*"}, "CONSUMER_INVALID"),
                           ({"mode": 0}, "MODE_INVALID"), ({"mode": 40}, "MODE_INVALID")):
        assert house.owner.failure(lambda: explain(house.owner, "name", **{**asked, **change})).reason == reason
    assert house.owner.failure(lambda: explain(house.owner, "no_such")).reason == "FIELD_UNKNOWN"


def test_an_explanation_uses_nothing_up(house):
    """Neither the call rate nor an audit entry."""
    agreement = granted(house, wait=False, rate_per_second=0.001, rate_burst=1)
    asked = {"consumer": house.name, "purpose": PURPOSE, "mode": "LOOKUP", "agreement": agreement.id}
    wait_for(lambda: explain(house.owner, **asked).explanation.allowed, 5, "the agreement")
    for _ in range(20):
        assert explain(house.owner, **asked).explanation.allowed
    assert not AuditLog(house.cluster, house.stubs).decisions(agreement=agreement.id)
    number = next(iter(house.truth))
    assert wait_for(lambda: answered_or_none(
        lambda: house.peer.lookup(RESIDENTS, number, agreement=agreement.id)), 5, "a look-up").record.value


def test_a_consumer_is_told_that_its_agreement_was_revoked(house, officers_of):
    peer = officers_of("health")
    agreement = granted(house, consumer="health/triage", wait=False)
    asked = {"consumer": "health/triage", "purpose": PURPOSE, "mode": "LOOKUP", "agreement": agreement.id}

    def told():
        return answered_or_none(lambda: explain(peer, **asked).explanation)
    wait_for(lambda: told() and told().allowed, 5, "the agreement")
    house.owner.revoke(agreement.id)
    wait_for(lambda: told().rule == "agreement.revoked" and "new agreement" in told().would_allow, 5, "the revocation")


def test_the_command_line_explains(house, masked, sluice):
    done = sluice("agreement", "explain", RESIDENTS, "mobile", officer="civil-affairs-officer", to=house.gateway)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{masked.id} .*mobile=keep-last:4:\*", done.stdout)
    done = sluice("agreement", "explain", RESIDENTS, "mobile", "--consumer", house.name, "--purpose", "marketing",
                  "--agreement", masked.id, "--format", "csv", officer="statistics-officer", to=house.gateway)
    assert "agreement.purpose" in done.stderr and "PURPOSE_NOT_GRANTED" in done.stderr and PURPOSE in done.stderr
    done = sluice("agreement", "explain", RESIDENTS, "mobile", "--consumer", house.name, "--purpose", PURPOSE,
                  "--agreement", masked.id, "--format", "json", officer="statistics-officer", to=house.gateway)
    assert json.loads(done.stdout)["explanation"]["allowed"]
    assert sluice("agreement", "explain", RESIDENTS, "mobile", "--consumer", house.name, "--modes", "steal",
                  officer="statistics-officer", to=house.gateway).returncode != 0


@pytest.mark.long
def test_a_stream_ends_when_its_window_closes(house, villages):
    """Its client does not read on, so that it is still running when the minute is over."""
    now = china()
    closes = now.hour * 60 + now.minute + (2 if now.second > 45 else 1)
    if closes >= 1440:
        pytest.skip("no window reaches past midnight")
    made = house.bureau.grant(house.name, VILLAGES, ["code", "name"], modes=["QUERY"],
                              windows=[f"{clock(closes - 2)}-{clock(closes)}"])
    wait_for(lambda: answered_or_none(lambda: list(house.peer.query(VILLAGES, agreement=made.id, limit=1))), 5,
             "the agreement")
    stream = house.peer.query(VILLAGES, agreement=made.id, timeout=180)
    next(stream)
    wait_for(lambda: china().hour * 60 + china().minute >= closes, 90, "the window to close")
    failure = house.peer.failure(lambda: stream)
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WINDOW_CLOSED")
