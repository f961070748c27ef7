"""What does the channel cost beside TLS itself, and how large should a record be?

    pytest -n0 --benchmark-enable benchmarks/test_bench_channel.py

Rows: one message from end to end through two channels of ours, and the same through OpenSSL's `ssl.SSLObject` with the
same settings and nothing around it (the floor); and a whole handshake with both certificates judged, beside a bare one.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from posdecom_protocol.certificates import Role, load_anchors
from posdecom_protocol.channel import Plain, TlsChannel, client_context, server_context
from posdecom_simulator.authority import NEVER, Authority, Subject, Validity, key_pem, new_key

SIZES: Final = (256, 4096, 16_384)
NOW: Final = 1_790_000_000.0
SERIAL: Final = "PD-000001"
ALWAYS: Final = Validity(0.0, NEVER)

Measured = Callable[..., Any]


class End(Protocol):
    """Of a session: bytes of the line in and out, text in and out."""

    def receive(self, data: bytes) -> None: ...
    def bytes_to_send(self) -> bytes: ...
    def send(self, data: bytes) -> None: ...
    def read(self) -> bytes: ...


class Ours:
    def __init__(self, channel: TlsChannel) -> None:
        self._channel = channel
        self.bytes_to_send = channel.bytes_to_send
        self.send = channel.send

    def receive(self, data: bytes) -> None:
        self._channel.receive(data, NOW)

    def read(self) -> bytes:
        return b"".join(event.data for event in self._channel.events() if isinstance(event, Plain))


class Bare:
    """OpenSSL over two buffers."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side)
        self._is_open = False
        self.bytes_to_send = self._out.read
        self._shake()

    def receive(self, data: bytes) -> None:
        self._in.write(data)
        if not self._is_open:
            self._shake()

    def send(self, data: bytes) -> None:
        self._tls.write(data)

    def read(self) -> bytes:
        """Until OpenSSL says that there is no more, as whoever cannot know how much there is."""
        text = bytearray()
        try:
            while piece := self._tls.read(16_384):
                text += piece
        except ssl.SSLWantReadError:
            return bytes(text)
        raise AssertionError("the session is over")

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
            self._is_open = True
        except ssl.SSLWantReadError:
            self._is_open = False


class Ends:
    """Both parties' certificates; makes sessions of either kind."""

    def __init__(self, folder: Path) -> None:
        entropy = random.Random(1).randbytes
        maker = Authority.create("maker", (Role.TERMINAL_CHANNEL, Role.MAKER), ALWAYS, entropy)
        technicians = Authority.create("technicians", (Role.TECHNICIAN_CHANNEL,), ALWAYS, entropy)
        self._maker, self._technicians = load_anchors(maker.pem()), load_anchors(technicians.pem())
        technician, terminal = Subject("technician"), Subject("terminal", SERIAL)
        self._client = client_context(
            *_party(folder / "agent", technicians, technician, Role.TECHNICIAN_CHANNEL), self._maker
        )
        self._server = server_context(
            *_party(folder / "terminal", maker, terminal, Role.TERMINAL_CHANNEL), self._technicians
        )

    def ours(self) -> tuple[End, End]:
        client = TlsChannel.client(self._client, self._maker, SERIAL)
        return _opened(Ours(client), Ours(TlsChannel.server(self._server, self._technicians)))

    def bare(self) -> tuple[End, End]:
        return _opened(Bare(self._client, server_side=False), Bare(self._server, server_side=True))


def _party(name: Path, authority: Authority, subject: Subject, role: Role) -> tuple[str, str]:
    key = new_key(random.Random(subject.name).randbytes)
    certificate = authority.issue(key.public_key(), subject, [role], ALWAYS)
    chain, secret = name.with_suffix(".pem"), name.with_suffix(".key")
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key_pem(key))
    return str(chain), str(secret)


def _opened(client: End, server: End) -> tuple[End, End]:
    out = client.bytes_to_send()
    while out:
        server.receive(out)
        client.receive(server.bytes_to_send())
        out = client.bytes_to_send()
    return client, server


def carry(ends: tuple[End, End], data: bytes) -> bytes:
    """``data`` from the server's end to the client's."""
    client, server = ends
    server.send(data)
    client.receive(server.bytes_to_send())
    return client.read()


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return Ends(tmp_path_factory.mktemp("channel"))


@pytest.mark.benchmark(group="a message through the channel")
@pytest.mark.parametrize("size", SIZES)
def test_floor_openssl_alone(benchmark: Measured, ends: Ends, size: int) -> None:
    data, session = random.Random(size).randbytes(size), ends.bare()
    assert benchmark(carry, session, data) == data


@pytest.mark.benchmark(group="a message through the channel")
@pytest.mark.parametrize("size", SIZES)
def test_channel(benchmark: Measured, ends: Ends, size: int) -> None:
    data, session = random.Random(size).randbytes(size), ends.ours()
    assert benchmark(carry, session, data) == data


@pytest.mark.benchmark(group="a handshake")
def test_floor_a_handshake_of_openssl_alone(benchmark: Measured, ends: Ends) -> None:
    assert carry(benchmark(ends.bare), b"open") == b"open"


@pytest.mark.benchmark(group="a handshake")
def test_handshake_with_both_certificates_judged(benchmark: Measured, ends: Ends) -> None:
    assert carry(benchmark(ends.ours), b"open") == b"open"
