"""Query: streams, filters, pages, limits, field masks; and its accounts always balance."""

import grpc
import pytest

from conftest import RESIDENTS, STREETS, TOWNS

CHAOYANG = "110105"


def balance(batches):
    """The totals of the last batch; checks that they stand there only and add up."""
    assert batches, "a stream has at least one batch"
    assert not any(batch.HasField("totals") for batch in batches[:-1])
    totals = batches[-1].totals
    assert totals.read == totals.delivered + totals.quarantined + totals.filtered + totals.duplicates
    assert totals.delivered == sum(len(batch.records) for batch in batches)
    return totals


def test_all_streets_arrive_once_and_in_key_order(consumer, grant, datasets):
    grant(STREETS)
    batches = list(consumer.peer.query(STREETS))
    codes = [record.code for record in datasets(STREETS).records.of_stream(batches)]
    assert len(codes) == 41352
    assert codes == sorted(set(codes))
    assert balance(batches).read == 41352


def test_every_street_keeps_its_name_exactly(consumer, grant, datasets, cluster):
    grant(STREETS)
    ours = sorted(r.name for r in datasets(STREETS).records.of_stream(consumer.peer.query(STREETS)))
    theirs = sorted(name for name, in cluster.rows("statistics_owner", "SELECT name FROM street"))
    assert ours == theirs


def test_all_towns_arrive(consumer, grant, cluster):
    grant(TOWNS)
    batches = list(consumer.peer.query(TOWNS))
    assert balance(batches).read == cluster.rows("civil_affairs_owner", "SELECT count(*) FROM town")[0][0]


def test_a_batch_parses_as_repeated_records(consumer, grant, datasets):
    """Its bytes also are a message whose field 1 is `repeated Division`."""
    grant(STREETS)
    batch = next(iter(consumer.peer.query(STREETS, limit=3)))
    assert batch.type_name == datasets(STREETS).message.type_name
    assert len(batch.records) == 3
    assert all(datasets(STREETS).records.read(record).code for record in batch.records)


@pytest.mark.parametrize("filter, where", [
    (f'county_code = "{CHAOYANG}"', f"\"areaCode\" = '{CHAOYANG}'"),
    (f'county_code = "{CHAOYANG}" AND code > "110105020"', f"\"areaCode\" = '{CHAOYANG}' AND code > '110105020'"),
    (f'county_code = "{CHAOYANG}" AND NOT code = "110105020"',
     f"\"areaCode\" = '{CHAOYANG}' AND code <> '110105020'"),
    ('code = "110101001" OR code = "110101002"', "code IN ('110101001', '110101002')"),
    ('(code = "110101001" OR code = "110101002") AND name != "东华门街道"', "code = '110101002'"),
    ('name = "城关镇"', "name = '城关镇'"),
    ('code >= "659" AND code <= "6591"', "code >= '659' AND code <= '6591'"),
], ids=["equal", "and", "not", "or", "brackets", "name", "range"])
def test_a_filter_selects_what_the_same_sql_selects(consumer, grant, datasets, cluster, filter, where):
    grant(STREETS)
    ours = [r.code for r in datasets(STREETS).records.of_stream(consumer.peer.query(STREETS, filter=filter))]
    theirs = [code for code, in cluster.rows(
        "statistics_owner", f"SELECT code FROM street WHERE {where} ORDER BY code")]
    assert ours == theirs


def test_a_filter_on_an_enum_by_its_name(consumer, grant):
    grant(STREETS)
    totals = balance(list(consumer.peer.query(STREETS, filter="level = TOWN", limit=5)))
    assert totals.delivered == 5


def test_a_filter_on_a_normalised_value_finds_every_way_it_is_written(consumer, grant, datasets, resident):
    """男, 男性, 1 and M are one value."""
    grant(RESIDENTS)
    batches = list(consumer.peer.query(RESIDENTS, filter="sex = MALE"))
    people = [resident(number) for number in range(1, 196)]
    found = {r.id_number for r in datasets(RESIDENTS).records.of_stream(batches)}
    assert found == {p.id_number for p in people if p.xb in ("男", "男性", "1", "M")}
    balance(batches)


def test_pages_join_to_the_whole(consumer, grant, datasets):
    grant(STREETS)
    records = datasets(STREETS).records
    filter = f'county_code = "{CHAOYANG}"'
    whole = [r.code for r in records.of_stream(consumer.peer.query(STREETS, filter=filter))]
    paged, token = [], ""
    while True:
        batches = list(consumer.peer.query(STREETS, filter=filter, page_size=10, page_token=token))
        page = [r.code for r in records.of_stream(batches)]
        assert len(page) <= 10
        paged += page
        token = batches[-1].next_page_token
        if not token:
            break
    assert paged == whole


def test_a_page_token_of_another_query_is_refused(consumer, grant):
    grant(STREETS)
    token = list(consumer.peer.query(STREETS, page_size=10))[-1].next_page_token
    failure = consumer.peer.failure(
        lambda: consumer.peer.query(STREETS, filter='name = "城关镇"', page_size=10, page_token=token))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_page_token_of_another_caller_is_refused(consumer, grant, connect, pki, datasets):
    grant(STREETS)
    token = list(consumer.peer.query(STREETS, page_size=10))[-1].next_page_token
    other = connect("health-triage")
    agreement = datasets(STREETS).owner.grant("health/triage", STREETS, datasets(STREETS).fields)
    failure = other.failure(lambda: other.query(
        STREETS, page_size=10, page_token=token, agreement=agreement.id))
    assert failure.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED)


def test_a_forged_page_token_is_refused(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(
        lambda: consumer.peer.query(STREETS, page_size=10, page_token="AAAA" * 20))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_limit_stops_the_stream(consumer, grant):
    grant(STREETS)
    assert balance(list(consumer.peer.query(STREETS, limit=1234))).delivered == 1234


def test_a_resume_token_continues_behind_its_batch(consumer, grant, datasets):
    grant(STREETS)
    records = datasets(STREETS).records
    stream = consumer.peer.query(STREETS)
    first = next(iter(stream))
    stream.cancel()
    assert first.resume_token
    rest = consumer.peer.query(STREETS, resume_token=first.resume_token)
    codes = [records.read(r).code for r in first.records] + [r.code for r in records.of_stream(rest)]
    assert len(codes) == 41352
    assert codes == sorted(set(codes))


def test_a_field_mask_narrows_every_record(consumer, grant, datasets):
    grant(STREETS)
    for record in datasets(STREETS).records.of_stream(consumer.peer.query(STREETS, fields=["code"], limit=50)):
        assert [field.name for field, _ in record.ListFields()] == ["code"]


def test_a_query_skips_and_counts_quarantined_rows(consumer, grant):
    grant(RESIDENTS)
    totals = balance(list(consumer.peer.query(RESIDENTS)))
    assert (totals.read, totals.delivered, totals.quarantined) == (200, 195, 5)


def test_an_empty_result_is_one_batch_with_totals(consumer, grant):
    grant(STREETS)
    batches = list(consumer.peer.query(STREETS, filter='name = "没有这个名字"'))
    assert balance(batches).read == 0


def test_a_row_filter_of_the_agreement_always_holds(consumer, grant, datasets):
    grant(STREETS, row_filter=f'county_code = "{CHAOYANG}"')
    records = datasets(STREETS).records
    counties = {r.county_code for r in records.of_stream(consumer.peer.query(STREETS))}
    assert counties == {CHAOYANG}
    # OR in the caller's filter must not open the agreement's.
    widened = consumer.peer.query(STREETS, filter='name = "东华门街道" OR name != "东华门街道"')
    assert {r.county_code for r in records.of_stream(widened)} == {CHAOYANG}
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, "110101001"))
    assert failure.code == grpc.StatusCode.NOT_FOUND


def test_cancelling_a_stream_ends_its_statement(consumer, grant, cluster, villages):
    """Cancellation reaches PostgreSQL: no backend goes on with the query."""
    from harness import wait_for
    grant("statistics/villages")
    stream = consumer.peer.query("statistics/villages")
    next(iter(stream))
    stream.cancel()

    def active():
        return cluster.rows("control", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'statistics' "
                            "AND usename = 'statistics_reader' AND state = 'active'")[0][0]
    wait_for(lambda: active() == 0, 5, "the statement to end")
