"""A terminal as a process: clock, chance, files and a face around the pure `Front`.

When the terminal must restart, the process replaces itself by a fresh image (exec) of the same command: what the old
one had in memory, the standard library's copies of the identity key among it, is gone. Nothing secret goes along, by
environment or by descriptor.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.channel import Channel, TlsChannel, server_context
from posdecom_protocol.errors import LocalError
from posdecom_protocol.speed_raise import Speeds

from . import slots
from .faces import Face
from .front import Front
from .store import Store
from .terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITE_PAUSE_S: Final = 0.002
WAIT_S_MAX: Final = 1.0
PENDING_BYTES_MAX: Final = 8 * 1024


def serve(
    store: Store, face: Callable[[], Face], announce: Callable[[str], None], *, baud_max: int = 0
) -> None:
    """Boot on ``store`` and answer on ``face`` until the process ends. Replaces the process after an erase.

    ``baud_max``: where the speed of a face that has one may be raised to.
    """
    terminal = Terminal.boot(store, os.urandom)
    if terminal.restart_due:
        restart()
    clock = _clock()
    line = face()
    front = Front(
        terminal,
        _channel_maker(store, lambda: terminal.dates_floor(clock())),
        clock(),
        speeds=None if line.baud is None else Speeds(line.baud, baud_max),
    )
    announce(line.name)
    _answer(front, line, clock)
    line.close()
    restart()


def restart() -> None:
    """Become a fresh process image of the same command. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)


def _answer(front: Front, line: Face, clock: Callable[[], float]) -> None:
    """Until a restart is due, whatever is not written by then: a peer that takes no byte holds up no erase."""
    pending, baud = bytearray(), line.baud
    while not front.is_restart_due(clock()):
        if baud is not None and not pending and baud != (wanted := front.stack.link.baud or baud):
            line.set_speed(wanted)
            baud = wanted
        if len(pending) < PENDING_BYTES_MAX:
            pending += front.bytes_to_send(clock(), PENDING_BYTES_MAX - len(pending))
        while pending and (taken := line.write(bytes(pending))):
            del pending[:taken]
        data = line.read(_wait_s(front, pending, clock()))
        if data:
            front.receive(data, clock())
        front.tick(clock())


def _wait_s(front: Front, pending: bytearray, now: float) -> float:
    if pending:
        return WRITE_PAUSE_S
    deadline = front.deadline()
    return WAIT_S_MAX if deadline is None else max(0.0, min(WAIT_S_MAX, deadline - now))


def _clock() -> Callable[[], float]:
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def _channel_maker(store: Store, floor: Callable[[], float | None]) -> Callable[[], Channel]:
    """TLS with the terminal's channel identity; the context is made at the first connection that asks for it.

    ``floor`` is asked at each connection: a freeze in one changes by what the next one is judged.
    """
    made: list[Callable[[float | None], Channel]] = []

    def channel() -> Channel:
        if not made:
            made.append(_tls(store))
        return made[0](floor())

    return channel


def _tls(store: Store) -> Callable[[float | None], Channel]:
    key, certificate = store.get(slots.CHANNEL_KEY.key), store.get(slots.CHANNEL_CERTIFICATE)
    anchors_pem = store.get(slots.CHANNEL_ANCHORS)
    if key is None or certificate is None or anchors_pem is None:
        raise LocalError("the terminal has no channel identity")
    anchors = load_anchors(anchors_pem)
    private = Ed25519PrivateKey.from_private_bytes(key)
    pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    with (
        _anonymous_file(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())) as key_path,
        _anonymous_file(pem) as chain_path,
    ):
        context = server_context(chain_path, key_path, anchors)
    return lambda floor_at: TlsChannel.server(context, anchors, floor_at=floor_at)


@contextmanager
def _anonymous_file(content: bytes) -> Iterator[str]:
    """A path to ``content`` that lies in memory only: the standard library loads keys from paths and nothing else."""
    descriptor = os.memfd_create("identity")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
