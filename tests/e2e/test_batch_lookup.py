"""BatchLookup: up to 1,000 keys, answers in the order of the keys, misses marked."""

import grpc

from conftest import RESIDENTS, STREETS


def test_answers_stand_in_the_order_of_the_keys(consumer, grant, datasets, cluster):
    grant(STREETS)
    rows = cluster.rows("statistics_owner", "SELECT code, name FROM street ORDER BY md5(code) LIMIT 1000")
    answer = consumer.peer.batch_lookup(STREETS, [code for code, _ in rows])
    assert [result.key for result in answer.results] == [code for code, _ in rows]
    records = datasets(STREETS).records
    assert [records.read(result.record).name for result in answer.results] == [name for _, name in rows]


def test_misses_and_repeats_are_answered_in_place(consumer, grant, stubs):
    grant(STREETS)
    keys = ["110101001", "110101099", "110101001", "110101002"]
    answer = consumer.peer.batch_lookup(STREETS, keys)
    states = stubs.exchange.BatchLookupResult
    assert [result.key for result in answer.results] == keys
    assert [result.state for result in answer.results] == [
        states.FOUND, states.NOT_FOUND, states.FOUND, states.FOUND]
    assert answer.results[0].record == answer.results[2].record
    assert not answer.results[1].HasField("record")


def test_quarantined_rows_are_marked_without_their_values(consumer, grant, stubs, resident):
    grant(RESIDENTS)
    answer = consumer.peer.batch_lookup(RESIDENTS, [resident(n).id_number for n in (1, 199, 2)])
    states = stubs.exchange.BatchLookupResult
    assert [result.state for result in answer.results] == [states.FOUND, states.QUARANTINED, states.FOUND]
    assert not answer.results[1].HasField("record")


def test_more_than_a_thousand_keys_are_refused(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.batch_lookup(STREETS, ["110101001"] * 1001))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


def test_no_keys_are_refused(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.batch_lookup(STREETS, []))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


def test_one_malformed_key_refuses_the_batch(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(
        lambda: consumer.peer.batch_lookup(STREETS, ["110101001", "'; DROP TABLE street; --"]))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_INVALID")
