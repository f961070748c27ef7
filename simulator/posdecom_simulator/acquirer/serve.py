"""The acquirer as a process: an ISO 8583 host on TCP and a release desk on HTTP over the same books.

Every call of either goes through one worker thread, which alone owns the books: answers come one after the other, as
if there were one clerk. Connections are served by a thread each and hold nothing but their own end. What a `Behaviour`
does to messages on their way (delivery.py) is carried out here, with sockets and the wall clock.
"""

from __future__ import annotations

import heapq
import http.server
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from posdecom_protocol.custody import MEDIA_TYPE
from posdecom_protocol.errors import MessageError
from posdecom_protocol.iso8583 import LengthPrefix
from posdecom_protocol.secret import Secret

from ..history import read_history
from ..site import AcquirerSite
from .behaviour import Behaviour
from .delivery import Delivery, Said, deliver
from .desk import OK, Answer, Desk, Signers
from .host import Host
from .hsm import Hsm
from .ledger import Ledger, SqliteStore

if TYPE_CHECKING:
    import ssl

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Two hundred thousand items of 300 bytes."""

IDLE_S: Final = 120.0
WAIT_S_MIN: Final = 0.001
"""Of a socket: none at all would be another mode of it."""

T = TypeVar("T")


class FolderShelf:
    """One file for each document that the desk signed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    def get(self, name: str) -> bytes | None:
        path = self._directory / name
        return path.read_bytes() if path.exists() else None

    def put(self, name: str, value: bytes) -> None:
        temporary = self._directory / f".{name}"
        with temporary.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._directory / name)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@dataclass(frozen=True, slots=True)
class _Acquirer:
    host: Host
    desk: Desk
    refresh: Callable[[], None]
    close: Callable[[], None]


class Clerk:
    """The one thread that owns the books; both servers ask it. ``behaviour`` outlives a restart of the acquirer."""

    def __init__(
        self, site: AcquirerSite, state: Path, *, approve: bool, behaviour: Behaviour | None = None
    ) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._behaviour = behaviour or Behaviour()
        self._open: Callable[[], _Acquirer] = partial(_open, site, state, approve, self._behaviour)
        self._acquirer = self._worker.submit(self._open).result()

    def host_hears(self, message: bytes) -> Delivery:
        return self._do(lambda acquirer: self._deliver(acquirer, message))

    def desk_answer(self, call: Callable[[Desk], Answer]) -> Answer:
        return self._do(lambda acquirer: call(acquirer.desk))

    def _deliver(self, acquirer: _Acquirer, message: bytes) -> Delivery:
        delivery = deliver(acquirer.host, self._behaviour, message, time.time())
        if delivery.restarts:
            acquirer.close()
            self._acquirer = self._open()
        return delivery

    def _do(self, work: Callable[[_Acquirer], T]) -> T:
        def refreshed() -> T:
            self._acquirer.refresh()
            return work(self._acquirer)

        return self._worker.submit(refreshed).result()


def _open(site: AcquirerSite, state: Path, approve: bool, behaviour: Behaviour) -> _Acquirer:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = SqliteStore(state / "books.sqlite")
    ledger = Ledger(store)
    hsm = Hsm(site.bdk, Secret(site.bdk.data))
    approver = site.approver.signing_key() if approve else None
    signers = Signers(site.settings.issuer, site.release.signing_key(), approver)
    shelf = FolderShelf(state / "signed")
    desk = Desk(ledger, hsm, shelf, signers, site.anchors, site.settings.terminals)
    host = Host(ledger, hsm, site.settings.terminals, behaviour)
    return _Acquirer(host, desk, _history_reader(site, ledger, hsm), store.close)


def _history_reader(site: AcquirerSite, ledger: Ledger, hsm: Hsm) -> Callable[[], None]:
    """Books what terminals sold online before today, as soon as their files are there."""
    seen: set[Path] = set()

    def refresh() -> None:
        for path in sorted((site.directory / "history").glob("*.jsonl")):
            if path not in seen:
                with path.open(encoding="ascii") as lines:
                    ledger.seed_posted(read_history(lines, hsm))
                seen.add(path)

    return refresh


def serve(
    clerk: Clerk,
    host: tuple[str, int],
    desk: tuple[str, int],
    announce: Callable[[str, str], None],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until the process ends; ``announce`` gets both addresses once they are bound. ``tls``: of the host."""
    host_server = _HostServer(host, clerk, tls)
    desk_server = _DeskServer(desk, clerk)
    threading.Thread(target=host_server.serve_forever, daemon=True).start()
    scheme = "" if tls is None else "tls://"
    announce(
        f"{scheme}{_address(host_server.server_address)}", f"http://{_address(desk_server.server_address)}"
    )
    desk_server.serve_forever()


def _address(bound: object) -> str:
    assert isinstance(bound, tuple)
    return f"{bound[0]}:{bound[1]}"


# --- host: length-prefixed ISO 8583 over TCP -----------------------------------------------------


class _HostServer(socketserver.ThreadingTCPServer):
    """With ``tls``, nothing else is spoken."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], clerk: Clerk, tls: ssl.SSLContext | None = None) -> None:
        self.clerk = clerk
        self.tls = tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _HostConnection)

    def has(self, connection: socket.socket, is_open: bool) -> None:
        """Note that a connection is there, or no more."""
        with self._lock:
            if is_open:
                self._open.add(connection)
            else:
                self._open.discard(connection)

    def hang_up(self) -> None:
        """Break every connection: the acquirer has restarted."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _HostConnection(socketserver.BaseRequestHandler):
    server: _HostServer

    def handle(self) -> None:
        plain: socket.socket = self.request
        plain.settimeout(IDLE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self.server.tls
        with suppress(OSError, MessageError):  # the other side comes again; what was answered is in the books
            connection = plain if tls is None else tls.wrap_socket(plain, server_side=True)
            with connection:
                self.server.has(connection, True)
                try:
                    self._serve(connection)
                finally:
                    self.server.has(connection, False)

    def _serve(self, connection: socket.socket) -> None:
        stream, late, is_silent = LengthPrefix(), _Late(), False
        while data := _read(connection, late):
            for message in stream.receive(data):
                if is_silent:
                    continue
                delivery = self.server.clerk.host_hears(message)
                for said in delivery.said:
                    late.add(said)
                late.say(connection)
                is_silent = delivery.goes_silent
                if delivery.restarts:
                    self.server.hang_up()
                if delivery.hangs_up:
                    return


class _Late:
    """What is to be said on one connection, each when its time comes, in order."""

    def __init__(self) -> None:
        self._numbers = count()
        self._waiting: list[tuple[float, int, bytes]] = []

    def add(self, said: Said) -> None:
        due = time.monotonic() + said.after_s if said.after_s else 0.0
        heapq.heappush(self._waiting, (due, next(self._numbers), said.wire))

    def say(self, connection: socket.socket) -> None:
        connection.settimeout(IDLE_S)
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            connection.sendall(heapq.heappop(self._waiting)[2])

    def wait_s(self) -> float | None:
        return max(WAIT_S_MIN, self._waiting[0][0] - time.monotonic()) if self._waiting else None


def _read(connection: socket.socket, late: _Late) -> bytes:
    """What comes next; what has to be said before it comes is said. `TimeoutError` after `IDLE_S` of nothing."""
    while True:
        late.say(connection)
        wait_s = late.wait_s()
        connection.settimeout(IDLE_S if wait_s is None else wait_s)
        try:
            return connection.recv(64 * 1024)
        except TimeoutError:
            if wait_s is None:
                raise


# --- desk: four calls over HTTP -----------------------------------------------------------------


class _DeskServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], clerk: Clerk) -> None:
        self.clerk = clerk
        super().__init__(address, _DeskCall)


class _DeskCall(http.server.BaseHTTPRequestHandler):
    server: _DeskServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        prefix = "/v1/seals/"
        if not self.path.startswith(prefix):
            self._answer(Answer(HTTPStatus.NOT_FOUND, b'{"reason": "no such call"}'))
            return
        digest = self.path.removeprefix(prefix)
        self._answer(self.server.clerk.desk_answer(lambda desk: desk.poll_seal(_hex_only(digest))))

    def do_POST(self) -> None:
        body = self._body()
        calls: dict[str, Callable[[Desk, bytes], Answer]] = {
            "/v1/seals": lambda desk, data: desk.post_seal(data, time.time()),
            "/v1/salvages": lambda desk, data: desk.post_salvage(data),
            "/v1/certificates": lambda desk, data: desk.post_certificate(data, time.time()),
        }
        call = calls.get(self.path)
        if body is None:
            self._answer(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b'{"reason": "no or too long a body"}'))
        elif call is None:
            self._answer(Answer(HTTPStatus.NOT_FOUND, b'{"reason": "no such call"}'))
        else:
            self._answer(self.server.clerk.desk_answer(lambda desk: call(desk, body)))

    def log_message(self, format: str, *args: object) -> None:
        """No access log: paths and sizes of a batch are nobody's business."""

    def _body(self) -> bytes | None:
        text = self.headers.get("Content-Length", "")
        if not text.isdecimal() or int(text) > BODY_BYTES_MAX:
            self.close_connection = True
            return None
        return self.rfile.read(int(text))

    def _answer(self, answer: Answer) -> None:
        document = answer.body[:1] == b"\xd2"
        binary = "application/cose" if document else MEDIA_TYPE
        is_json = answer.status != OK or answer.body[:1] == b"{"
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json" if is_json else binary)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


def _hex_only(text: str) -> str:
    """A digest as it may stand in a file name: 64 hexadecimal digits, or nothing that exists."""
    return text if len(text) == 64 and set(text) <= set("0123456789abcdef") else "none"
