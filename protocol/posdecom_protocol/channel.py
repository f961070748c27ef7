"""The channel: mutual TLS 1.3 (RFC 8446) over bytes that somebody else carries, and who the peer is.

It protects the line and names the peer; it gives no authority, which sits in the documents. `TlsChannel` is the
standard library's TLS on memory buffers, without sockets: bytes in, events and bytes out. OpenSSL brings its own
randomness, the one place in this package where chance enters by itself.

What the two ends must know:

- **The client believes the handshake is done before the server has judged its certificate** (section 4.4.4: the
  server's Finished comes first). `Secured` at the agent says who the terminal is, not that the terminal accepted
  the agent. The agent says nothing until the terminal's first message, its confirmation, has come; an `Ended` or
  `Failed` before it means refused.
- A TLS error is final: one `Failed`, an alert to the peer, and the object is dead. Never a retry inside a
  session: a new channel, a new handshake.
- The end of the stream means nothing: what is complete is said by messages and documents.
- OpenSSL checks signatures and TLS purposes (serverAuth, clientAuth); its look at the computer's clock is switched
  off. Dates and roles are judged here by `certificates.validate`, against the caller's ``now``.
- **TLS leaf certificates are issued by an anchor directly**: Python 3.11 gives the peer's leaf and hides the rest
  of the chain, so that only a chain of one can be judged here. A longer one is refused.
- A mismatch of ALPN does not fail by itself in OpenSSL; both ends compare.
- The standard library reads private keys from a path only, and leaves copies of them in memory until the process
  ends. On Linux the caller may give the path of an anonymous file (``/proc/self/fd/N``).
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol, TypeAlias

from .certificates import Anchors, Role, Signer, validate
from .errors import DocumentError, LocalError
from .wording import N_

ALPN: Final = "posdecom/1"
"""Application protocol (RFC 7301): the version of the messages inside."""

_X509_V_FLAG_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""OpenSSL x509_vfy.h; the ssl module has no name for it. Dates are judged here, against ``now``."""

_READ_BYTES: Final = 16 * 1024
"""The largest record (section 5.1); a read returns at most one."""


@dataclass(frozen=True, slots=True)
class Secured:
    """The handshake is done at this end and the peer is who it must be. At the client see the module's contract."""

    peer: Signer


@dataclass(frozen=True, slots=True)
class Plain:
    """Bytes of the peer, authentic and in order; never empty. Record boundaries mean nothing."""

    data: bytes

    def __repr__(self) -> str:
        return f"Plain({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer closed its side with close_notify. Nothing follows."""


@dataclass(frozen=True, slots=True)
class Failed:
    """TLS, the peer's identity or the line failed; ``reason`` is for people. Nothing follows."""

    reason: str


ChannelEvent: TypeAlias = Secured | Plain | Ended | Failed


class Channel(Protocol):
    """What the stack needs of a channel, so that simulations may use one without cryptography."""

    def receive(self, data: bytes, now: float) -> None: ...
    def receive_end(self) -> None: ...
    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def bytes_to_send(self) -> bytes: ...
    def events(self) -> list[ChannelEvent]: ...


@dataclass(frozen=True, slots=True)
class ExpectedPeer:
    """Whom this end lets in."""

    anchors: Anchors
    role: Role
    serial_number: str | None = None
    """The device serial that the peer's certificate must carry; None takes any."""
    floor_at: float | None = None
    """Seconds since 1970 that are surely past, at a terminal whose clock is not to be believed: a certificate that was
    over by then is refused, and no other date is judged. An expired technician who is let in can do no more than
    read ciphertext. None: the dates are judged at ``now``."""


# --- contexts -------------------------------------------------------------------------------------------------


def client_context(chain_path: str, key_path: str, anchors: Anchors) -> ssl.SSLContext:
    """For the agent: its certificate and key (PEM files, key unencrypted), and whose terminals it talks to.

    Reads both files now; a context serves any number of channels. Raises LocalError when they do not fit.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, chain_path, key_path, anchors)


def server_context(chain_path: str, key_path: str, anchors: Anchors) -> ssl.SSLContext:
    """For a terminal: as `client_context`, with the anchors of the technicians that may talk to it."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, chain_path, key_path, anchors)
    context.num_tickets = 0  # no resumption: every session shows its certificates, and lengths stay the same
    return context


def _context(protocol: int, chain_path: str, key_path: str, anchors: Anchors) -> ssl.SSLContext:
    # A plain context: create_default_context() would obey SSLKEYLOGFILE and add the system's authorities.
    context = ssl.SSLContext(protocol)
    context.check_hostname = False  # terminals have serial numbers, no host names; compared in _identify
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= _X509_V_FLAG_NO_CHECK_TIME
    context.set_alpn_protocols([ALPN])
    try:
        context.load_verify_locations(cadata=anchors.pem().decode("ascii"))
        # A password that cannot be right, because OpenSSL would otherwise ask for one on the terminal.
        context.load_cert_chain(chain_path, key_path, password="")
    except (OSError, ValueError) as error:
        raise LocalError("the channel's anchors, certificate or key cannot be loaded") from error
    assert context.keylog_filename is None
    return context


# --- the channel ----------------------------------------------------------------------------------------------


class _State(Enum):
    HANDSHAKE = auto()
    SECURED = auto()
    OVER = auto()


class TlsChannel:
    """One TLS session from first byte to last; see the module's contract."""

    def __init__(self, context: ssl.SSLContext, expected: ExpectedPeer, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._expected = expected
        self._state = _State.HANDSHAKE
        self._events: list[ChannelEvent] = []

    @classmethod
    def client(cls, context: ssl.SSLContext, anchors: Anchors, expected_serial: str) -> TlsChannel:
        """The agent's end, towards the terminal with this serial. Its ClientHello waits in `bytes_to_send`."""
        channel = cls(
            context, ExpectedPeer(anchors, Role.TERMINAL_CHANNEL, expected_serial), server_side=False
        )
        channel._handshake(now=0.0)  # only writes: nothing has come in that could be judged
        return channel

    @classmethod
    def server(
        cls, context: ssl.SSLContext, anchors: Anchors, *, floor_at: float | None = None
    ) -> TlsChannel:
        """The terminal's end; ``floor_at``: see `ExpectedPeer`."""
        expected = ExpectedPeer(anchors, Role.TECHNICIAN_CHANNEL, floor_at=floor_at)
        return cls(context, expected, server_side=True)

    # --- in

    def receive(self, data: bytes, now: float) -> None:
        """Takes any piece of the peer's stream. Afterwards look at `events` and `bytes_to_send`."""
        if self._state is _State.OVER:
            return
        self._incoming.write(data)
        if self._state is _State.HANDSHAKE:
            self._handshake(now)
        if self._state is _State.SECURED:
            self._read()

    def receive_end(self) -> None:
        """The line is gone. Without a close_notify before it that is a failure, never a clean end."""
        if self._state is not _State.OVER:
            self._over(Failed("the line ended inside the session"))

    # --- out

    def send(self, data: bytes) -> None:
        """Encrypts ``data``. Once the session is over it is dropped: `events` says so, maybe not yet read.

        Raises LocalError before `Secured`.
        """
        if self._state is _State.HANDSHAKE:
            raise LocalError("nothing may be sent before the channel is secured")
        if self._state is _State.SECURED and data:
            self._tls.write(data)

    def close(self) -> None:
        """Says close_notify, where there is a session. No event follows."""
        if self._state is _State.SECURED:
            self._notify_close()
        self._state = _State.OVER

    def bytes_to_send(self) -> bytes:
        """Drains what must go to the peer; after the end this may still be an alert."""
        return self._outgoing.read()

    def events(self) -> list[ChannelEvent]:
        """Drains what happened, in order."""
        drained, self._events = self._events, []
        return drained

    # --- private

    def _handshake(self, now: float) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self._over(Failed(_reason(error)))
            return
        try:
            peer = self._identify(now)
        except DocumentError as error:
            self._notify_close()  # the ssl module offers no alert of our choice
            self._over(Failed(str(error)))
            return
        self._state = _State.SECURED
        self._events.append(Secured(peer))

    def _identify(self, now: float) -> Signer:
        """Who the peer is, or DocumentError."""
        expected = self._expected
        assert self._tls.version() == "TLSv1.3"
        if self._tls.selected_alpn_protocol() != ALPN:
            raise DocumentError("channel", N_("the peer does not speak {alpn}", alpn=ALPN))
        leaf = self._tls.getpeercert(binary_form=True)
        assert leaf is not None  # CERT_REQUIRED
        at = now if expected.floor_at is None else None
        peer = validate([leaf], expected.anchors, expected.role, at)
        if expected.floor_at is not None and peer.not_after < expected.floor_at:
            raise DocumentError(
                "channel", N_("the peer's certificate was over before this terminal was frozen")
            )
        if expected.serial_number is not None and peer.serial_number != expected.serial_number:
            raise DocumentError("channel", N_("the peer is another terminal than expected"))
        return peer

    def _read(self) -> None:
        """Everything that OpenSSL can decrypt now; what was authentic before a failure is delivered."""
        plain = bytearray()
        end: Ended | Failed | None = None
        try:
            while piece := self._tls.read(_READ_BYTES):
                plain += piece
            end = Ended()  # no bytes and no error: close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            end = Failed(_reason(error))
        if plain:
            self._events.append(Plain(bytes(plain)))
        if isinstance(end, Ended):
            self._notify_close()
        if end is not None:
            self._over(end)

    def _notify_close(self) -> None:
        # unwrap() then waits for the peer's close_notify, which we do not need; ours is written.
        with suppress(ssl.SSLError):
            self._tls.unwrap()

    def _over(self, event: Ended | Failed) -> None:
        self._state = _State.OVER
        self._events.append(event)


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's own constant words: no bytes of the session."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    return f"TLS: {error.reason or type(error).__name__}"
