"""A stand-in for the gateway's Connect endpoint, so that the command can be tested against answers that
a healthy gateway never gives. Standard library only; HTTP/1.1 over mutual TLS 1.3."""

import base64
import contextlib
import http.server
import json
import ssl
import struct
import threading
import time
from email.utils import formatdate


class Refusal(Exception):
    """A Connect error with an ErrorInfo detail."""

    http_status = {"not_found": 404, "permission_denied": 403, "unauthenticated": 401,
                   "unavailable": 503, "resource_exhausted": 429, "invalid_argument": 400,
                   "deadline_exceeded": 504, "unimplemented": 501, "already_exists": 409}

    def __init__(self, code, message="", reason=None, debug_only=False):
        super().__init__(message)
        self.body = {"code": code, "message": message}
        if reason and debug_only:
            self.body["details"] = [{"type": "google.rpc.ErrorInfo", "value": "!!",
                                     "debug": {"reason": reason}}]
        elif reason:
            self.body["details"] = [
                {"type": "google.rpc.RequestInfo", "value": ""},
                {"type": "google.rpc.ErrorInfo", "value": error_info(reason)}]
        self.status = self.http_status.get(code, 500)


class Raw(Exception):
    """Any bytes as the whole answer."""

    def __init__(self, body, content_type="application/json", status=200):
        super().__init__()
        self.body, self.content_type, self.status = body, content_type, status


class Cut(Exception):
    """Ends a stream without its end."""


def error_info(reason, domain="sluice"):
    """google.rpc.ErrorInfo {reason = 1, domain = 2}, base64 without padding as Connect wants it."""
    fields = b"".join(bytes([tag, len(text)]) + text.encode()
                      for tag, text in ((0x12, domain), (0x0A, reason)))
    return base64.b64encode(fields).decode().rstrip("=")


def envelope(message, flags=0):
    body = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    return struct.pack(">BI", flags, len(body)) + body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return formatdate(time.time() + self.server.clock_offset, usegmt=True)

    def do_GET(self):
        status, answer = self.server.pages.get(self.path, (404, {}))
        self.answer(json.dumps(answer).encode(), "application/json", status)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        method = self.path.lstrip("/")
        streaming = self.headers["Content-Type"] == "application/connect+json"
        request = json.loads(body[5:] if streaming else body)
        self.server.calls.append((method, request, dict(self.headers)))
        answer = self.server.methods.get(method)
        try:
            if answer is None:
                raise Refusal("unimplemented", f"no method {method}")
            if streaming:
                self.stream(answer(request))
            else:
                self.answer(json.dumps(answer(request), ensure_ascii=False).encode())
        except Refusal as refusal:
            self.answer(json.dumps(refusal.body).encode(), status=refusal.status)
        except Raw as raw:
            self.answer(raw.body, raw.content_type, raw.status)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def answer(self, body, content_type="application/json", status=200):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, messages):
        self.send_response(200)
        self.send_header("Content-Type", "application/connect+json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        end = {}
        try:
            for message in messages:
                self.chunk(message if isinstance(message, bytes) else envelope(message))
        except Refusal as refusal:
            end = {"error": refusal.body, "metadata": {}}
        except Cut:
            self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True
            return
        self.chunk(envelope(end, 2))
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def handle_error(self, request, client_address):
        pass  # refused handshakes are what some tests are about


def _serve(context):
    server = Server(("127.0.0.1", 0), Handler)
    server.methods, server.pages, server.calls, server.clock_offset = {}, {}, [], 0
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    server.address = f"127.0.0.1:{server.server_address[1]}"
    return server


@contextlib.contextmanager
def serve(certificate=None, key=None, ca=None):
    """A server in a thread: `methods` maps "package.Service/Method" to a function of the request that
    answers a dict (unary) or yields dicts and bytes (streaming); `pages` maps GET paths to (status,
    object); `calls` records. Without a certificate it speaks plain HTTP, as the ops listener does."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    server = _serve(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
