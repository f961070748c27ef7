"""The desk's three calls: what each answer means, and that nothing it says can do more than end in a reply."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from posdecom_agent import desk as desk_module
from posdecom_agent.desk import ANSWER_BYTES_MAX, JSON_BYTES_MAX, MISSING_MAX, Desk
from posdecom_agent.job import Job
from posdecom_agent.procedure import (
    ClosedBy,
    Declined,
    DeskReply,
    Missing,
    Pending,
    Receipts,
    Unreachable,
    carry_out,
)
from posdecom_protocol.custody import MEDIA_TYPE, encode_custody, encode_receipts, encode_salvage
from posdecom_protocol.limits import ITEMS_MAX
from release_case import Case, CaseStations, begin_job, open_case, salvaged_records

Call = tuple[str, str, bytes | None, str]


@pytest.fixture(scope="module")
def case() -> Case:
    made = open_case()
    made.settle()
    return made


@pytest.fixture(scope="module")
def job(case: Case) -> Job:
    """Closed, with all that a desk may be asked about."""
    made = begin_job(case)
    carry_out(made, CaseStations(case), lambda step, words: None)
    return made


class Script:
    """An exchange that gives these answers in turn, or fails, and notes the calls."""

    def __init__(self, *answers: tuple[int, bytes] | Exception) -> None:
        self._answers = iter(answers)
        self.calls: list[Call] = []

    def __call__(self, method: str, url: str, body: bytes | None, media_type: str) -> tuple[int, bytes]:
        self.calls.append((method, url, body, media_type))
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def words(**members: object) -> bytes:
    return json.dumps(members).encode()


UNREAD = Unreachable("the desk's answer cannot be read (ValueError)")
BROKEN_JSON = Unreachable("the desk's answer cannot be read (JSONDecodeError)")


@pytest.mark.parametrize(
    ("status", "body", "reply"),
    [
        (202, words(reason="two have to sign"), Pending("two have to sign")),
        (202, words(), Pending("no reason given")),
        (202, words(reason=7), Pending("no reason given")),
        (202, b"[]", Pending("no reason given")),
        (202, b"soon", BROKEN_JSON),
        (409, words(missing=[3, 1]), Missing((3, 1))),
        (409, words(missing=[1, ITEMS_MAX]), Missing((1, ITEMS_MAX))),
        (409, words(missing=[]), UNREAD),
        (409, words(missing=[0]), UNREAD),
        (409, words(missing=[ITEMS_MAX + 1]), UNREAD),
        (409, words(missing=[True]), UNREAD),
        (409, words(missing=["1"]), UNREAD),
        (409, words(missing=[1] * (MISSING_MAX + 1)), UNREAD),
        (409, words(missing=[ITEMS_MAX] * MISSING_MAX), Missing((ITEMS_MAX,) * MISSING_MAX)),
        (409, words(missing=7), UNREAD),
        (409, words(), UNREAD),
        (409, b"7", UNREAD),
        (422, words(reason="x" * 500), Declined("x" * 200)),
        (422, words(reason="x" * JSON_BYTES_MAX), UNREAD),
        (422, words(reason="stale order"), Declined("stale order")),
        (413, words(reason="too large"), Declined("too large")),
        (422, b"<html>", BROKEN_JSON),
        (422, b"\xff\xfe{", Unreachable("the desk's answer cannot be read (UnicodeDecodeError)")),
        (401, words(reason="who are you"), Unreachable("the desk answered with status 401")),
        (429, b"", Unreachable("the desk answered with status 429")),
        (301, b"", Unreachable("the desk answered with status 301")),
        (500, b"", Unreachable("the desk answered with status 500")),
        (503, words(reason="later"), Unreachable("the desk answered with status 503")),
        (200, b"", Unreachable("the desk's answer cannot be read (MessageError)")),
        (200, b"<html>", Unreachable("the desk's answer cannot be read (MessageError)")),
        (200, b"\xd2\x84", Unreachable("the desk's answer cannot be read (DocumentError)")),
    ],
)
def test_each_status_has_one_meaning_and_what_cannot_be_read_is_no_desk(
    job: Job, status: int, body: bytes, reply: DeskReply
) -> None:
    assert Desk("desk:", Script((status, body))).ask_receipt(job) == reply
    assert Desk("desk:", Script((status, body))).ask_closure(job) == reply
    assert Desk("desk:", Script((status, body))).find_receipt(job) is None


@pytest.fixture
def salvaged(case: Case) -> Job:
    """Of a terminal that a tamper left no key: its records are here, and a certificate over them."""
    made = begin_job(case)
    made.keep_salvaged(salvaged_records(case, 3))
    made.keep_certificate(b"certificate")
    return made


def test_salvaged_records_go_to_the_desk_before_the_certificate(job: Job, salvaged: Job) -> None:
    assert job.closure is not None
    script = Script((200, words(records=3)), (200, job.closure))
    assert Desk("desk:", script).ask_closure(salvaged) == ClosedBy(job.closure)
    records, certificate = script.calls
    body = b"".join(encode_salvage(salvaged.order.data, salvaged.salvaged_messages()))
    assert records == ("POST", "desk:/v1/salvages", body, MEDIA_TYPE)
    assert certificate[1:3] == ("desk:/v1/certificates", b"certificate")


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ((422, words(reason="MACs of 2 records")), Declined("MACs of 2 records")),
        ((404, b""), Unreachable("the desk does not know the call to post salvaged records")),
        (OSError(111, "Connection refused"), Unreachable("desk:: Connection refused")),
    ],
)
def test_nothing_is_closed_while_salvaged_records_are_on_the_laptop_alone(
    salvaged: Job, answer: tuple[int, bytes] | Exception, reply: DeskReply
) -> None:
    script = Script(answer)
    assert Desk("desk:", script).ask_closure(salvaged) == reply
    assert len(script.calls) == 1


def test_deep_json_of_a_stranger_does_no_harm(job: Job) -> None:
    reply = Desk("desk:", Script((202, b"[" * 200_000))).ask_receipt(job)
    assert isinstance(reply, Unreachable)


def test_a_receipt_that_is_signed_is_found_by_polling(job: Job) -> None:
    script = Script((200, encode_receipts(job.receipts)))
    assert Desk("desk:", script).ask_receipt(job) == Receipts(job.receipts)
    assert job.seal is not None
    assert script.calls == [("GET", f"desk:/v1/seals/{job.seal.digest.hex()}", None, "")]


def test_a_seal_that_the_desk_does_not_know_is_posted_with_every_item(job: Job, case: Case) -> None:
    script = Script((404, b""), (200, encode_receipts(job.receipts)))
    assert Desk("desk:", script).ask_receipt(job) == Receipts(job.receipts)
    custody = b"".join(encode_custody(case.order, case.seal, case.items))
    assert script.calls[1] == ("POST", "desk:/v1/seals", custody, MEDIA_TYPE)


def test_the_certificate_is_posted_for_its_closure(job: Job) -> None:
    assert job.closure is not None
    script = Script((200, job.closure))
    assert Desk("desk:", script).ask_closure(job) == ClosedBy(job.closure)
    assert script.calls == [("POST", "desk:/v1/certificates", job.certificate, "application/cose")]


def test_a_url_that_is_no_desk_is_told(job: Job) -> None:
    told = Unreachable("the desk does not know the call to post a seal")
    assert Desk("desk:", Script((404, b""), (404, b""))).ask_receipt(job) == told
    told = Unreachable("the desk does not know the call to post a certificate")
    assert Desk("desk:", Script((404, b""))).ask_closure(job) == told


@pytest.mark.parametrize(
    "url", ["desk:", "file:///etc", "ftp://desk", "http://", "https:///x", "desk.example", "http://a b", ""]
)
def test_only_http_and_https_are_ways_to_a_desk(url: str) -> None:
    with pytest.raises(ValueError, match="a desk is http"):
        Desk(url)


@pytest.mark.parametrize(
    "url", ["http://desk", "https://desk.example:8443", "http://[::1]:80/", "http://h/x"]
)
def test_a_desk_may_have_a_port_and_a_path(url: str) -> None:
    Desk(url)


# --- over real sockets ---------------------------------------------------------------------------------


@contextmanager
def serving(
    answer: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server on the loopback that answers every call so; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up is what some of these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def replying(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(call: BaseHTTPRequestHandler) -> None:
        call.rfile.read(int(call.headers.get("Content-Length", 0)))
        call.send_response(status)
        call.send_header("Content-Length", str(len(body)))
        call.end_headers()
        call.wfile.write(body)

    return answer


def test_it_posts_and_reads_over_http(job: Job) -> None:
    heard: list[tuple[str, str, str | None]] = []

    def answer(call: BaseHTTPRequestHandler) -> None:
        heard.append((call.command, call.path, call.headers.get("Content-Type")))
        status = 404 if call.command == "GET" else 202
        replying(status, words(reason="two have to sign"))(call)

    with serving(answer) as port:
        reply = Desk(f"http://127.0.0.1:{port}/").ask_receipt(job)
    assert reply == Pending("two have to sign")
    assert job.seal is not None
    assert heard == [
        ("GET", f"/v1/seals/{job.seal.digest.hex()}", None),
        ("POST", "/v1/seals", MEDIA_TYPE),
    ]


@pytest.mark.parametrize("status", [409, 422, 500])
def test_an_error_status_brings_its_body_along(job: Job, status: int) -> None:
    with serving(replying(status, words(missing=[2], reason="stale"))) as port:
        reply = Desk(f"http://127.0.0.1:{port}").ask_closure(job)
    expected = {409: Missing((2,)), 422: Declined("stale")}
    assert reply == expected.get(status, Unreachable("the desk answered with status 500"))


def test_an_answer_without_end_is_cut_off(job: Job) -> None:
    """Two messages' worth is read and then judged: neither memory nor time goes with what a stranger sends."""

    def answer(call: BaseHTTPRequestHandler) -> None:
        call.send_response(200)
        call.end_headers()
        try:
            while True:
                call.wfile.write(bytes(64 * 1024))
        except OSError:
            pass

    with serving(answer) as port:
        assert isinstance(Desk(f"http://127.0.0.1:{port}").ask_receipt(job), Unreachable)
    assert ANSWER_BYTES_MAX < 64 * 1024 * 1024


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_comes_byte_by_byte_has_one_deadline_for_all_of_it(
    job: Job, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "ANSWER_TIMEOUT_S", 0.2)
    is_over = threading.Event()

    def drip(call: BaseHTTPRequestHandler) -> None:
        call.wfile.write(head)
        try:
            while not is_over.wait(0.01):
                call.wfile.write(b"x")
        except OSError:
            pass

    with serving(drip) as port:
        reply = Desk(f"http://127.0.0.1:{port}").ask_receipt(job)
        is_over.set()
    assert reply == Unreachable(f"http://127.0.0.1:{port}: no answer in time")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_sent_on_to_another_desk(job: Job, status: int) -> None:
    asked: list[str] = []

    def elsewhere(call: BaseHTTPRequestHandler) -> None:
        asked.append(call.path)
        replying(200, job.closure or b"")(call)

    with serving(elsewhere) as other:

        def send_on(call: BaseHTTPRequestHandler) -> None:
            call.rfile.read(int(call.headers.get("Content-Length", 0)))
            call.send_response(status)
            call.send_header("Location", f"http://127.0.0.1:{other}/v1/certificates")
            call.send_header("Content-Length", "0")
            call.end_headers()

        with serving(send_on) as port:
            reply = Desk(f"http://127.0.0.1:{port}").ask_closure(job)
    assert reply == Unreachable(f"the desk answered with status {status}")
    assert asked == []


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 ?\r\n\r\n",
    ],
)
def test_what_speaks_no_http_is_unreachable(job: Job, sent: bytes) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(sent)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        reply = Desk(f"http://127.0.0.1:{port}").find_receipt(job)
        thread.join()
    assert reply is None


def test_nobody_there_is_said_with_the_url_and_the_reason(job: Job) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reply = Desk(f"http://127.0.0.1:{port}").ask_receipt(job)
    assert reply == Unreachable(f"http://127.0.0.1:{port}: Connection refused")


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "desk.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_desk_whose_certificate_nobody_vouches_for_is_told_as_that(job: Job, tmp_path: Path) -> None:
    with serving(replying(200, b""), self_signed(tmp_path)) as port:
        reply = Desk(f"https://127.0.0.1:{port}").ask_receipt(job)
    assert reply == Unreachable(
        f"https://127.0.0.1:{port}: its certificate is not trusted: self-signed certificate"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError("timed out"), "desk:: no answer in time"),
        (ConnectionResetError(104, "Connection reset by peer"), "desk:: Connection reset by peer"),
        (OSError("something"), "desk:: OSError"),
    ],
)
def test_every_way_to_fail_is_a_reason(job: Job, error: Exception, said: str) -> None:
    assert Desk("desk:", Script(error)).ask_receipt(job) == Unreachable(said)
    assert Desk("desk:", Script(error)).find_receipt(job) is None
