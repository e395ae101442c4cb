"""Bad input: each with a precise status and reason, no crash, and the gateway goes on."""

import socket
import ssl
import struct
import subprocess

import grpc
import pytest

from clients import unique
from conftest import RESIDENTS, STREETS
from harness import BUILD, tls_context, wait_for

KEY = "110101001"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
HOSTILE = ["'; DROP TABLE street; --", "\" OR 1=1 --", "$1", "%s%n", "\\", "x' UNION SELECT sfzh FROM resident --",
           "é'́", "𠀀", "a" * 5000, "\t\n"]


@pytest.fixture(autouse=True)
def the_gateway_survives(gateway):
    before = set(gateway.children())
    yield
    assert set(gateway.children()) == before, gateway.log()[-3000:]
    assert gateway.ready()


# --- TLS ------------------------------------------------------------------------------------------
def handshake_alert(gateway, pki, certificate, listener="systems"):
    """The alert with which the gateway ends the connection. In TLS 1.3 a client learns of it on reading."""
    with socket.create_connection(("127.0.0.1", gateway.ports[listener]), timeout=5) as raw:
        try:
            with tls_context(pki, certificate).wrap_socket(raw, server_hostname="localhost") as secure:
                # Sending would race with the alert: a reset throws away what was not read yet.
                while secure.recv(4096):
                    pass
        except ssl.SSLError as error:
            return error.reason
    return None


@pytest.mark.parametrize("listener", ["systems", "officers"])
@pytest.mark.parametrize("certificate, alert", [
    (None, "CERTIFICATE_REQUIRED"), ("stranger", "UNKNOWN_CA"), ("expired", "CERTIFICATE_EXPIRED"),
    ("revoked", "CERTIFICATE_REVOKED"),
])
def test_a_certificate_that_does_not_hold_is_refused_with_its_alert(gateway, pki, certificate, alert, listener):
    assert alert in (handshake_alert(gateway, pki, certificate, listener) or "no alert")


def test_tls_1_2_is_refused(gateway, pki):
    context = tls_context(pki, "health-triage")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5) as raw:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(raw, server_hostname="localhost")


def test_plain_text_is_refused(gateway):
    with socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        raw.settimeout(10)
        try:
            assert b"HTTP/" not in raw.recv(4096)
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("certificate, reason", [
    ("plain", "IDENTITY_MISSING"), ("foreign-domain", "IDENTITY_TRUST_DOMAIN"),
])
def test_a_certificate_without_our_identity_is_unauthenticated(connect, certificate, reason):
    peer = connect(certificate)
    failure = peer.failure(lambda: peer.lookup(STREETS, KEY))
    assert (failure.code, failure.reason) == (UNAUTHENTICATED, reason)


def test_an_unknown_department_is_told_so(connect):
    peer = connect("unknown-department")
    failure = peer.failure(lambda: peer.lookup(STREETS, KEY))
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DEPARTMENT_UNKNOWN")


# --- methods and messages -------------------------------------------------------------------------
def raw_call(peer, method, body, **options):
    """Sends any bytes as a unary request."""
    call = peer.channel.unary_unary(method, request_serializer=lambda b: b, response_deserializer=lambda b: b)
    return peer.failure(lambda: call(body, timeout=5, **options))


LOOKUP = "/sluice.v1.ExchangeService/Lookup"


@pytest.mark.parametrize("method", ["/sluice.v1.ExchangeService/NoSuch", "/no.such.Service/Lookup", "/", "/x"])
def test_an_unknown_method_is_unimplemented(consumer, method):
    assert raw_call(consumer.peer, method, b"").code == grpc.StatusCode.UNIMPLEMENTED


def deep_message(depth):
    """`depth` messages, one in the other, in field 6 (the field mask)."""
    body = b""
    for _ in range(depth):
        body = b"\x32" + varint(len(body)) + body
    return body


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


@pytest.mark.parametrize("body", [
    b"\xff", b"\x0a\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b\x0c", b"\x00", b"\x0a\x05abc", b"\x08\x01",
    b"\x0a\x02\xff\xfe", b"\x0a\x03\xed\xa0\x80", b"\x0a\x02\xc0\xaf", b"\x0a\x01a" * 70000,
    b"\x80" * 11,
], ids=["cut-tag", "cut-length", "huge-length", "group", "field-zero", "cut-text", "wrong-wire-type",
        "invalid-utf8", "surrogate", "overlong", "too-many-fields", "endless-varint"])
def test_a_malformed_message_is_an_invalid_argument(consumer, body):
    failure = raw_call(consumer.peer, LOOKUP, body)
    assert failure.code in (INVALID, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert failure.reason


@pytest.mark.parametrize("depth", [100, 10000])
def test_a_deep_message_does_no_harm(consumer, depth):
    """No message of the API nests for ever, so that depth can only stand in fields nobody knows."""
    failure = raw_call(consumer.peer, LOOKUP, deep_message(depth))
    assert failure.code in (INVALID, grpc.StatusCode.NOT_FOUND)


def test_an_oversize_message_is_refused(consumer):
    failure = raw_call(consumer.peer, LOOKUP, b"\x0a" + varint(3 << 20) + b"a" * (3 << 20))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")


def test_a_metadata_flood_is_refused(consumer):
    flood = [(f"x-flood-{number}", "y" * 200) for number in range(2000)]
    failure = raw_call(consumer.peer, LOOKUP, b"", metadata=flood)
    assert failure.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE,
                            grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)


def test_an_unknown_compression_is_unimplemented(consumer):
    failure = raw_call(consumer.peer, LOOKUP, b"a" * 2000, compression=grpc.Compression.Deflate)
    assert failure.code == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("request_id", ["x" * 65, "two words", "naïve", "line\nbreak"])
def test_a_malformed_request_id_is_refused(consumer, grant, request_id):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, request_id=request_id))
    assert (failure.code, failure.reason) == (INVALID, "REQUEST_ID_INVALID")


# --- filters, fields, keys ------------------------------------------------------------------------
@pytest.mark.parametrize("filter, reason, position", [
    ('code = ', "FILTER_SYNTAX", None), ('code = "1', "FILTER_SYNTAX", 8), ('= "1"', "FILTER_SYNTAX", 1),
    ('code == "1"', "FILTER_SYNTAX", 7), ('(code = "1"', "FILTER_SYNTAX", None),
    ('code = "1" AND', "FILTER_SYNTAX", None), ('code = "1" XOR code = "2"', "FILTER_SYNTAX", 12),
    ('no_such = "1"', "FILTER_FIELD", 1), ('code = "1" AND no_such = 2', "FILTER_FIELD", 16),
    ('level = NO_SUCH_LEVEL', "FILTER_TYPE", 9), ('level > "x"', "FILTER_TYPE", None),
])
def test_a_bad_filter_names_its_position(consumer, grant, filter, reason, position):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.query(STREETS, filter=filter))
    assert (failure.code, failure.reason) == (INVALID, reason), failure
    assert "position" in failure.text
    if position is not None:
        assert f"position {position}" in failure.text


def test_a_filter_too_long_or_too_deep_is_refused(consumer, grant):
    grant(STREETS)
    for filter in ("(" * 500 + 'code = "1"' + ")" * 500, " OR ".join(['code = "1"'] * 1000)):
        failure = consumer.peer.failure(lambda: consumer.peer.query(STREETS, filter=filter))
        assert failure.code == INVALID
        assert failure.reason in ("FILTER_TOO_LARGE", "FILTER_SYNTAX")


def test_an_unknown_field_in_the_mask_is_named(consumer, grant):
    grant(STREETS)
    failure = consumer.peer.failure(lambda: consumer.peer.lookup(STREETS, KEY, fields=["nmae"]))
    assert (failure.code, failure.reason) == (INVALID, "FIELD_UNKNOWN")
    assert "nmae" in failure.text


@pytest.mark.parametrize("arguments", [
    {"page_size": -1}, {"page_size": 10001}, {"limit": -1}, {"page_token": "x", "page_size": 0},
    {"resume_token": "x"},
])
def test_numbers_out_of_range_are_refused(consumer, grant, arguments):
    grant(STREETS)
    assert consumer.peer.failure(lambda: consumer.peer.query(STREETS, **arguments)).code == INVALID


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_sql_metacharacters_are_data_everywhere(consumer, grant, cluster, text):
    """In key, purpose, dataset, agreement, request id and filter: an error or an empty answer, never more."""
    agreement = grant(STREETS)
    calls = [
        lambda: consumer.peer.lookup(STREETS, text), lambda: consumer.peer.lookup(STREETS, KEY, purpose=text),
        lambda: consumer.peer.lookup(text, KEY), lambda: consumer.peer.lookup(STREETS, KEY, agreement=text),
        lambda: consumer.peer.batch_lookup(STREETS, [text]),
    ]
    if text.strip():  # blanks are an empty filter
        calls.append(lambda: consumer.peer.query(STREETS, filter=text))
    for call in calls:
        failure = consumer.peer.failure(call)
        assert failure.code in (INVALID, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED,
                                grpc.StatusCode.RESOURCE_EXHAUSTED), failure
        for word in ("syntax error", "pg_", "SELECT", "relation", "street"):
            assert word not in failure.text.replace(STREETS, ""), failure
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    batches = []
    try:
        batches = list(consumer.peer.query(STREETS, filter=f'name = "{quoted}"', agreement=agreement.id))
    except grpc.RpcError as error:
        assert error.code() == INVALID
    assert not any(batch.records for batch in batches)
    assert cluster.rows("statistics_owner", "SELECT count(*) FROM street")[0][0] == 41352


# --- HTTP/2 itself --------------------------------------------------------------------------------
def h2_frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0)
PING, RST_STREAM, SETTINGS, DATA = 6, 3, 4, 0


@pytest.mark.parametrize("flood", [
    h2_frame(PING, 0, 0, b"12345678"), h2_frame(SETTINGS, 0, 0), h2_frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),
    h2_frame(DATA, 0, 1), h2_frame(9, 0, 1, b"x" * 100), b"\xff" * 64,
], ids=["ping", "settings", "reset", "empty-data", "continuation", "garbage"])
def test_a_flood_of_frames_ends_the_connection(gateway, pki, flood):
    with socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5) as raw:
        with tls_context(pki, "health-triage").wrap_socket(raw, server_hostname="localhost") as secure:
            secure.settimeout(10)
            try:
                secure.sendall(PREFACE)
                for _ in range(200):
                    secure.sendall(flood * 100)
                while secure.recv(65536):
                    pass
            except (ssl.SSLError, OSError) as error:
                assert not isinstance(error, TimeoutError), "the connection was not ended"


def test_a_client_that_says_nothing_is_cut(new_gateway, pki):
    """A dripping client: TLS is up, headers never come."""
    gateway = new_gateway().start()
    with socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5) as raw:
        with tls_context(pki, "health-triage").wrap_socket(raw, server_hostname="localhost") as secure:
            secure.settimeout(90)
            secure.sendall(PREFACE[:10])
            try:
                while secure.recv(4096):
                    pass
            except ssl.SSLError:
                pass


# --- starting with something wrong ----------------------------------------------------------------
def start_and_fail(gateway):
    gateway.spawn()
    status = gateway.process.wait(20)
    assert status != 0
    return gateway.log()


def test_a_wrong_configuration_key_is_named_with_file_line_and_column(new_gateway):
    gateway = new_gateway()
    gateway.change(limits={"drain_msec": 10})
    log = start_and_fail(gateway)
    lines = gateway.config_file.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "drain_msec" in text)
    column = lines[line - 1].index('"drain_msec"') + 1
    assert f"{gateway.config_file}:{line}:{column}" in log, log
    assert "drain_ms" in log  # did you mean


@pytest.mark.parametrize("change", [
    {"workers": 0}, {"workers": "many"}, {"limits": {"drain_ms": -1}}, {"log": {"level": "loud"}},
    {"listen": {"systems": "127.0.0.1:99999"}}, {"listen": {"ops": "no port"}},
])
def test_a_value_out_of_range_is_refused_with_its_place(new_gateway, change):
    gateway = new_gateway()
    gateway.change(**change)
    log = start_and_fail(gateway)
    assert f"{gateway.config_file}:" in log, log


def test_a_missing_file_is_named(new_gateway):
    gateway = new_gateway()
    gateway.change(tls={"certificate": "/no/such/certificate.pem"})
    assert "/no/such/certificate.pem" in start_and_fail(gateway)


def test_a_port_in_use_is_named(new_gateway):
    gateway = new_gateway()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", gateway.ports["systems"]))
        taken.listen()
        assert str(gateway.ports["systems"]) in start_and_fail(gateway)


def test_config_check_finds_the_same_without_starting(new_gateway):
    gateway = new_gateway()
    gateway.change(limits={"drain_msec": 10})
    done = subprocess.run([str(BUILD / "sluice"), "config", "check", str(gateway.config_file)],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "drain_msec" in done.stdout + done.stderr


def test_a_database_down_at_start_is_waited_for(new_gateway, new_cluster, connect):
    """It does not die and does not serve; with the database back it becomes ready unaided."""
    cluster = new_cluster("control", "statistics", "civil-affairs")
    gateway = new_gateway(cluster=cluster)
    cluster.down()
    gateway.spawn()
    wait_for(lambda: gateway.ops("/healthz")[0] == 200, 10, "the process to be up")
    assert not gateway.ready()
    cluster.up()
    gateway.wait_ready(10)


# --- schema drift ---------------------------------------------------------------------------------
@pytest.mark.parametrize("change, undo", [
    ("ALTER TABLE resident RENAME COLUMN xm TO xingming", "ALTER TABLE resident RENAME COLUMN xingming TO xm"),
    ("ALTER TABLE resident ALTER COLUMN xm TYPE bytea USING convert_to(xm, 'UTF8')",
     "ALTER TABLE resident ALTER COLUMN xm TYPE text USING convert_from(xm, 'UTF8')"),
], ids=["column-missing", "type-changed"])
def test_a_mapping_whose_column_changed_closes_only_its_dataset(new_gateway, cluster, connect, pki, stubs,
                                                                 officers, resident, change, undo):
    name = unique()
    certificate = pki.system("health", name)
    for owner, dataset, fields in (("civil-affairs", RESIDENTS, ["id_number", "name"]), ("statistics", STREETS, ["name"])):
        officers[owner].grant(f"health/{name}", dataset, fields)
    cluster.rows("civil_affairs_owner", change)
    try:
        gateway = new_gateway().start()
        peer = connect(certificate, to=gateway)
        failure = peer.failure(lambda: peer.lookup(RESIDENTS, resident(1).id_number))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SCHEMA_DRIFT")
        assert "xm" not in failure.text, "the owner's column names are not the caller's business"
        assert peer.lookup(STREETS, KEY).record.value
    finally:
        cluster.rows("civil_affairs_owner", undo)
    wait_for(lambda: not isinstance(attempt(peer, RESIDENTS, resident(1).id_number), grpc.RpcError), 10, "the dataset to reopen")


def attempt(peer, dataset, key):
    try:
        return peer.lookup(dataset, key)
    except grpc.RpcError as error:
        return error
