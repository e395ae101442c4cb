"""Connect on the same port: curl with JSON and with protobuf, nothing of ours in between."""

from email.utils import parsedate_to_datetime
import json
import subprocess
import time

import pytest

from conftest import RESIDENTS, STREETS

KEY = "110101001"


@pytest.fixture
def curl(gateway, pki, consumer):
    """curl(method, body, …) -> (HTTP status, headers, body)"""

    def call(method, body, content_type="application/json", listener="systems", *arguments):
        command = ["curl", "-sS", "--noproxy", "*", "--max-time", "20", "-D", "-", "--cacert",
                   pki.path("ca.pem"), "--cert", pki.path(f"{consumer.certificate}.pem"), "--key",
                   pki.path(f"{consumer.certificate}.key"), "-H", f"Content-Type: {content_type}",
                   *arguments, "--data-binary", "@-",
                   f"https://127.0.0.1:{gateway.ports[listener]}/{method}"]
        done = subprocess.run([str(word) for word in command], input=body, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        return int(lines[0].split()[1]), headers, rest
    return call


def ask(**members):
    return json.dumps({"dataset": STREETS, "key": KEY, "purpose": "medical-triage", **members}).encode()


LOOKUP = "sluice.v1.ExchangeService/Lookup"


def test_json_lookup_answers_an_object_with_canonical_names(curl, grant):
    grant(STREETS)
    status, headers, body = curl(LOOKUP, ask())
    assert (status, headers["content-type"]) == (200, "application/json")
    answer = json.loads(body)
    assert answer["record"]["name"] == "东华门街道"
    assert answer["record"]["@type"].endswith("gov.division.v1.Division")
    assert answer["exchangeId"]


def test_json_members_may_be_written_in_both_ways(curl, grant):
    """proto3 JSON: lowerCamelCase and the field's own name are both accepted."""
    grant(STREETS)
    for name in ("requestId", "request_id"):
        assert curl(LOOKUP, ask(**{name: "curl-1"}))[0] == 200


def test_protobuf_lookup_answers_protobuf(curl, grant, stubs, datasets):
    grant(STREETS)
    request = stubs.exchange.LookupRequest(dataset=STREETS, key=KEY, purpose="medical-triage")
    status, headers, body = curl(LOOKUP, request.SerializeToString(), "application/proto")
    assert (status, headers["content-type"]) == (200, "application/proto")
    answer = stubs.exchange.LookupResponse.FromString(body)
    assert datasets(STREETS).records.read(answer.record).name == "东华门街道"


def test_every_answer_has_a_date(curl, grant):
    """RFC 9110 6.6.1; `sluice doctor` judges the clocks by it."""
    grant(STREETS)
    for body, content_type, expected in ((ask(), "application/json", 200), (ask(purpose="marketing"), "application/json", 403),
                                         (ask(), "text/plain", 415)):
        status, headers, _ = curl(LOOKUP, body, content_type)
        assert status == expected
        assert headers["date"].endswith(" gmt")
        assert abs(parsedate_to_datetime(headers["date"]).timestamp() - time.time()) <= 2


def test_a_refusal_is_connects_error_object(curl, grant):
    grant(STREETS)
    status, headers, body = curl(LOOKUP, ask(purpose="marketing"))
    assert (status, headers["content-type"]) == (403, "application/json")
    error = json.loads(body)
    assert error["code"] == "permission_denied"
    assert error["message"]
    assert error["details"][0]["type"] == "google.rpc.ErrorInfo"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"dataset": 5}', b'{"no_such": 1}',
                                  b'{"dataset":"a","dataset":"b"}', b'{"dataset":"\xff"}', b"{}" * 2,
                                  b"[" * 100000],
                         ids=["empty", "cut", "array", "null", "wrong-type", "unknown-member", "duplicate",
                              "invalid-utf8", "two-objects", "too-deep"])
def test_malformed_json_is_an_invalid_argument(curl, body):
    status, _, answer = curl(LOOKUP, body)
    assert status == 400
    assert json.loads(answer)["code"] == "invalid_argument"


def test_an_unknown_method_is_unimplemented(curl):
    status, _, body = curl("sluice.v1.ExchangeService/NoSuch", b"{}")
    assert status in (404, 501)
    assert status == 404 or json.loads(body)["code"] == "unimplemented"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_another_content_type_is_refused(curl, content_type):
    """What a browser's form could send across sites must never reach a method."""
    assert curl(LOOKUP, ask(), content_type)[0] == 415


def test_a_foreign_origin_is_refused_on_the_officers_port(gateway, pki):
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", pki.path("ca.pem"),
         "--cert", pki.path("statistics-officer.pem"), "--key", pki.path("statistics-officer.key"),
         "-H", "Content-Type: application/json", "-H", "Origin: https://elsewhere.example", "-d", "{}",
         f"https://127.0.0.1:{gateway.ports['officers']}/sluice.v1.AgreementService/ListAgreements"],
        capture_output=True, text=True, timeout=20)
    assert done.stdout == "403", done


def test_a_deadline_in_connects_header_is_kept(curl, grant, cluster):
    grant(STREETS)
    with cluster.connect("statistics_owner") as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE street IN ACCESS EXCLUSIVE MODE")
        status, _, body = curl(LOOKUP, ask(), "application/json", "systems", "-H", "Connect-Timeout-Ms: 100")
        assert (status, json.loads(body)["code"]) == (504, "deadline_exceeded")


def test_numbers_dates_and_enums_follow_proto3_json(curl, grant, resident):
    grant(RESIDENTS)
    body = json.dumps({"dataset": RESIDENTS, "key": resident(1).id_number, "purpose": "medical-triage"})
    record = json.loads(curl(LOOKUP, body.encode())[2])["record"]
    assert record["sex"] == "MALE"
    assert record["updated_at"].startswith("2026-") and record["updated_at"].endswith("Z")
    assert record["id_number"] == resident(1).id_number
