"""Lookup: one record by key, exactly as the owner holds it, in canonical form."""

import grpc
import pytest

from conftest import RESIDENTS, STREETS, TOWNS

DONGHUAMEN = "110101001"  # 东华门街道 in the statistics bureau's codes


def test_lookup_answers_the_canonical_record(consumer, grant, datasets):
    grant(STREETS)
    answer = consumer.peer.lookup(STREETS, DONGHUAMEN)
    dataset = datasets(STREETS)
    assert answer.record.type_url == f"type.googleapis.com/{dataset.message.type_name}"
    record = dataset.records.read(answer.record)
    assert record.name == "东华门街道"
    assert answer.exchange_id


def test_one_place_has_one_canonical_form_in_both_departments(consumer, grant, datasets):
    grant(STREETS)
    grant(TOWNS)
    ours = datasets(STREETS).records.read(consumer.peer.lookup(STREETS, DONGHUAMEN).record)
    towns = [datasets(TOWNS).records.read(record) for batch in consumer.peer.query(
        TOWNS, filter=f'name = "{ours.name}" AND county_code = "110101"') for record in batch.records]
    assert [town.name for town in towns] == [ours.name]
    assert towns[0].county_code == ours.county_code
    assert towns[0].level == ours.level


def test_lookup_returns_only_the_fields_asked_for(consumer, grant, datasets):
    grant(STREETS)
    record = datasets(STREETS).records.read(
        consumer.peer.lookup(STREETS, DONGHUAMEN, fields=["name"]).record)
    assert [field.name for field, _ in record.ListFields()] == ["name"]


def test_lookup_of_a_missing_key_is_not_found(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, "110101099"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "RECORD_NOT_FOUND")


def test_lookup_with_a_malformed_key_is_an_invalid_argument(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, "not a code"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_INVALID")


@pytest.mark.parametrize("number", [199, 200])
def test_a_row_that_breaks_the_rules_is_quarantined_not_guessed(consumer, grant, resident, number):
    """199 was born in month 13, 200 has a sex that no standard knows."""
    grant(RESIDENTS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(RESIDENTS, resident(number).sfzh))
    assert (failure.code, failure.reason) == (grpc.StatusCode.DATA_LOSS, "RECORD_QUARANTINED")


@pytest.mark.parametrize("number", [196, 197, 198])
def test_a_number_that_cannot_be_is_no_key(consumer, grant, resident, number):
    """30 February, a wrong check digit, a digit missing."""
    grant(RESIDENTS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(RESIDENTS, resident(number).sfzh))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_INVALID")


@pytest.mark.parametrize("number", [1, 3, 7, 11, 13, 17])
def test_a_person_is_found_however_the_owner_wrote_the_number(consumer, grant, datasets, resident, number):
    """As the standard says, with a lower-case x, full width, the old 15 digits, spaces, a wide space."""
    grant(RESIDENTS)
    row = resident(number)
    record = datasets(RESIDENTS).records.read(consumer.peer.lookup(RESIDENTS, row.id_number).record)
    assert record.id_number == row.id_number
    assert record.name == row.xm


def test_every_dirty_form_is_normalised_exactly(consumer, grant, datasets, resident):
    grant(RESIDENTS)
    ours = {record.id_number for record in datasets(RESIDENTS).records.of_stream(consumer.peer.query(RESIDENTS))}
    assert ours == {resident(number).id_number for number in range(1, 196)}


def test_an_ungranted_field_cannot_be_asked_for(consumer, grant, resident):
    grant(RESIDENTS, fields=["id_number", "name"])
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(RESIDENTS, resident(1).id_number, fields=["mobile"]))
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "FIELD_NOT_GRANTED")


def test_an_ungranted_field_is_never_fetched(consumer, grant, cluster, datasets, resident):
    """The owner takes the column away from the gateway's role: a lookup without it must not notice."""
    grant(RESIDENTS, fields=["id_number", "name"])
    owner = "civil_affairs_owner"
    cluster.rows(owner, "REVOKE SELECT ON resident FROM civil_affairs_reader")
    cluster.rows(owner, "GRANT SELECT (sfzh, xm) ON resident TO civil_affairs_reader")
    try:
        record = datasets(RESIDENTS).records.read(consumer.peer.lookup(RESIDENTS, resident(1).id_number).record)
        assert [field.name for field, _ in record.ListFields()] == ["id_number", "name"]
    finally:
        cluster.rows(owner, "REVOKE ALL ON resident FROM civil_affairs_reader")
        cluster.rows(owner, "GRANT SELECT ON resident TO civil_affairs_reader")


def test_a_deadline_that_has_passed_is_reported_as_such(consumer, grant, cluster):
    """The owner holds the table: the call must end at its deadline, and the next one must work."""
    grant(STREETS)
    with cluster.connect("statistics_owner") as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE street IN ACCESS EXCLUSIVE MODE")
        failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, DONGHUAMEN, timeout=0.1))
        assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
        cursor.execute("ROLLBACK")
    assert consumer.peer.lookup(STREETS, DONGHUAMEN).record.value
