"""Peers that cost work and say nothing, frame by frame: floods, drips, more than the limits. Each is cut
with its code, at its limit and not before, and others do not notice."""

import socket
import ssl
import struct
import time

import grpc
import pytest

from conftest import STREETS
from harness import tls_context, wait_for

KEY = "110101001"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
REFUSED_STREAM, ENHANCE_YOUR_CALM = 7, 11
FLOOD_MAX = 1000  # H2_FLOOD_FRAMES_MAX
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    """HPACK, literal without indexing, no Huffman code (RFC 7541 6.2.2)."""
    def text(octets):
        assert len(octets) < 127
        return bytes([len(octets)]) + octets
    return b"\x00" + text(name) + text(value)


def request(path=b"/sluice.v1.ExchangeService/Query", content_type=b"application/grpc"):
    return (field(b":method", b"POST") + field(b":scheme", b"https") + field(b":authority", b"localhost") +
            field(b":path", path) + field(b"content-type", content_type) + field(b"te", b"trailers"))


class Raw:
    """A connection of which the test writes every frame."""

    def __init__(self, gateway, pki, certificate="health-triage"):
        plain = socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5)
        self.socket = tls_context(pki, certificate).wrap_socket(plain, server_hostname="localhost")
        self.socket.settimeout(20)
        self.buffer = b""
        self.ended = False
        self.send(PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the gateway has gone; what it said before is still to be read."""
        try:
            self.socket.sendall(data)
            return True
        except (ssl.SSLError, OSError):
            return False

    def frames(self):
        """The frames that come, until the connection ends."""
        while True:
            while len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + length:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big")
                payload = self.buffer[9:9 + length]
                self.buffer = self.buffer[9 + length:]
                yield kind, flags, stream, payload
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                raise
            except (ssl.SSLError, OSError):
                more = b""
            if not more:
                self.ended = True
                return
            self.buffer += more

    def goaway(self):
        """The error code with which the gateway ends the connection; None: it just ended."""
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                code = int.from_bytes(payload[4:8], "big")
                if code:
                    return code
        return None

    def alive(self):
        """A PING of our own comes back."""
        assert self.send(frame(PING, 0, 0, b"are you?"))
        return any(kind == PING and flags == ACK and payload == b"are you?"
                   for kind, flags, _, payload in self.frames_until(b"are you?"))

    def frames_until(self, token):
        for one in self.frames():
            yield one
            if one[0] == PING and one[3] == token:
                return


@pytest.fixture(autouse=True)
def the_gateway_survives(gateway):
    before = set(gateway.children())
    yield
    assert set(gateway.children()) == before, gateway.log()[-3000:]
    assert gateway.ready()


@pytest.fixture
def raw(gateway, pki):
    with Raw(gateway, pki) as connection:
        yield connection


def open_stream(raw, stream=1, flags=END_HEADERS):
    assert raw.send(frame(HEADERS, flags, stream, request()))


def pings(_):
    return [frame(PING, 0, 0, b"12345678")] * (FLOOD_MAX + 100)


def settings(_):
    return [frame(SETTINGS, 0, 0)] * (FLOOD_MAX + 100)


def priorities(_):
    return [frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")] * (FLOOD_MAX + 100)


def empty_data(raw):
    open_stream(raw)
    return [frame(DATA, 0, 1)] * (FLOOD_MAX + 100)


def rapid_resets(_):
    return [frame(HEADERS, END_HEADERS, stream, request()) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            for stream in range(1, 2 * (FLOOD_MAX + 100), 2)]


@pytest.mark.parametrize("flood", [pings, settings, priorities, empty_data, rapid_resets])
def test_a_flood_is_told_to_calm_down_at_its_limit(gateway, pki, flood):
    with Raw(gateway, pki) as raw:
        frames = flood(raw)
        # The preface's own SETTINGS count too.
        for start in range(0, FLOOD_MAX - 100, 100):
            assert raw.send(b"".join(frames[start:start + 100]))
        assert raw.alive(), "cut below the limit"
        raw.send(b"".join(frames[FLOOD_MAX - 100:]))
        assert raw.goaway() == ENHANCE_YOUR_CALM


def test_a_flood_of_continuations_is_cut_and_holds_no_memory(gateway, pki):
    workers = gateway.children("worker")
    before = {pid: gateway.resident_bytes(pid) for pid in workers}
    with Raw(gateway, pki) as raw:
        assert raw.send(frame(HEADERS, 0, 1, request()))
        piece = frame(CONTINUATION, 0, 1, field(b"x-filler", b"y" * 120) * 100)
        for _ in range(2000):
            if not raw.send(piece):
                break
        assert raw.goaway() or raw.ended
    for pid in workers:
        assert gateway.resident_bytes(pid) - before[pid] < 8 << 20


def test_streams_beyond_the_limit_are_refused_and_the_rest_lives(raw):
    streams = range(1, 2 * 300, 2)
    assert raw.send(b"".join(frame(HEADERS, END_HEADERS, stream, request()) for stream in streams))
    missing = set(list(streams)[256:])
    # A gateway that refused too few would let this wait until the socket's time-out.
    for kind, _, stream, payload in raw.frames():
        if kind == RST_STREAM and int.from_bytes(payload, "big") == REFUSED_STREAM:
            missing.discard(stream)
        if not missing:
            break
    assert not missing
    assert raw.alive()


@pytest.mark.parametrize("kind", ["frame-header", "header-block", "continuations"])
def test_headers_that_drip_are_cut(gateway, pki, kind):
    """A byte now and then keeps nothing alive: the time-out runs from the first one."""
    block = request() * 20
    bytes_to_drip = {
        "frame-header": frame(HEADERS, END_HEADERS, 1, block),
        "header-block": frame(HEADERS, END_HEADERS, 1, block)[9:],
        "continuations": b"".join(frame(CONTINUATION, 0, 1, b"") for _ in range(7)),
    }[kind]
    with Raw(gateway, pki) as raw:
        if kind == "header-block":
            assert raw.send(frame(HEADERS, END_HEADERS, 1, block)[:9])
        elif kind == "continuations":
            assert raw.send(frame(HEADERS, 0, 1, block[:50]))
        raw.socket.settimeout(0.25)
        started = time.monotonic()
        place = 0
        while not raw.ended and time.monotonic() - started < 30:
            if place < len(bytes_to_drip):
                raw.send(bytes_to_drip[place:place + 1])
                place += 1
            try:
                for _ in raw.frames():
                    pass
            except TimeoutError:
                pass
        assert raw.ended
        # An empty CONTINUATION is refused as such, before any time-out.
        assert (1 if kind == "continuations" else 5) < time.monotonic() - started < 20


def test_a_request_body_that_drips_ends_at_its_deadline(gateway, pki):
    headers = request(b"/sluice.v1.ExchangeService/Lookup") + field(b"grpc-timeout", b"1S")
    with Raw(gateway, pki) as raw:
        assert raw.send(frame(HEADERS, END_HEADERS, 1, headers))
        raw.socket.settimeout(0.1)
        started = time.monotonic()
        ended = False
        while not ended and time.monotonic() - started < 10:
            raw.send(frame(DATA, 0, 1, b"\0"))
            try:
                for kind, flags, stream, payload in raw.frames():
                    ended = ended or (stream == 1 and kind == HEADERS and flags & END_STREAM)
                    if ended:
                        break
            except TimeoutError:
                pass
        assert ended and time.monotonic() - started < 5
        assert not raw.ended


def test_more_connections_than_allowed_wait_and_are_served_later(new_gateway, pki, stubs, connect):
    gateway = new_gateway(workers=1, limits={"connections_max": 4}).start()
    held = [Raw(gateway, pki) for _ in range(4)]
    assert all(one.alive() for one in held)
    # The kernel takes the fifth, the gateway not yet: its handshake waits.
    plain = socket.create_connection(("127.0.0.1", gateway.ports["systems"]), timeout=5)
    plain.settimeout(0.5)
    with pytest.raises((TimeoutError, ssl.SSLError)):
        tls_context(pki, "health-triage").wrap_socket(plain, server_hostname="localhost")
    plain.close()
    wait_for(lambda: "connections_full" in gateway.log(), 5, "the log to say so")
    held.pop().socket.close()
    with Raw(gateway, pki) as late:
        assert late.alive()
    for one in held:
        one.socket.close()


def test_others_do_not_notice_a_flood(gateway, pki, consumer, grant):
    grant(STREETS)
    with Raw(gateway, pki) as raw:
        for _ in range(9):
            raw.send(frame(PING, 0, 0, b"12345678") * 100)
            assert consumer.peer.lookup(STREETS, KEY).record.value
        raw.send(frame(PING, 0, 0, b"12345678") * 300)
        assert raw.goaway() == ENHANCE_YOUR_CALM
        try:
            assert consumer.peer.lookup(STREETS, KEY).record.value
        except grpc.RpcError as error:
            pytest.fail(str(error))
