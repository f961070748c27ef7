"""Whose fault it is. Every error that this package raises is one of these.

    PosdecomError
    ├── LocalError            we used a module against its contract (a bug on this side)
    │   └── ExhaustedError    a DUKPT key set has no key left: load a new initial key
    ├── RemoteError           the other end of the line broke the protocol
    │   ├── FrameError        bytes on the wire
    │   ├── ChannelError      TLS, or the peer's identity
    │   └── MessageError      a message that is malformed, unknown or out of place
    ├── DocumentError         a signed document is malformed, forged or not applicable
    ├── KeyMaterialError      a KSN, key block or cryptogram is malformed or forged
    └── HostError             the acquirer's ISO 8583 host broke its protocol
        └── HostUntrusted     what answers there does not prove to be that host

No message of any of them holds a key, a card number or payload: only names, lengths, bounds and units.
"""

from __future__ import annotations

from .wording import N_


class PosdecomError(Exception):
    """Abstract root: never raised itself."""


class LocalError(PosdecomError):
    """This side called something that its contract forbids."""


class ExhaustedError(LocalError):
    """Every legal counter of a DUKPT key set is spent."""


class RemoteError(PosdecomError):
    """The peer on the line sent what it may not send."""


class FrameError(RemoteError):
    """A frame whose declared shape is impossible (checks that fail are noise, not errors)."""


class ChannelError(RemoteError):
    """The TLS session failed or the peer is not who it must be; the session is over."""


class MessageError(RemoteError):
    """A message that is malformed, of unknown type, over a limit or out of place."""


class DocumentError(PosdecomError):
    """A document that cannot be accepted. ``where`` names the field or the check, never its content."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(N_("{where}: {reason}", where=where, reason=reason))
        self.where = where
        self.reason = reason


class KeyMaterialError(PosdecomError):
    """A KSN, key block or cryptogram that cannot be accepted: says what is wrong, not with which bytes."""


class HostError(PosdecomError):
    """The host's bytes are no ISO 8583 answer that this dialect knows."""


class HostUntrusted(HostError):
    """What answers at the host's address does not prove to be the host. Nothing was sent to it."""
