"""The greeting: what both ends say in the clear before anything else. Information, never authority.

The agent says HELLO, the terminal answers WELCOME. Whatever stands in them may be forged: it helps a technician to see
what hangs on the cable, and both ends to agree on limits; what counts is said later, in the channel and in documents.

Layout (big-endian). HELLO: magic "PDCM" 4, lowest and highest version 1 + 1, connection id 4, service 1, largest frame
body 2, receive window 2. WELCOME: magic 4, version 1, connection id 4, largest frame body 2, receive window 2, features
2, lifecycle state 1, tampered 1, then manufacturer, model and serial, each length 1 and ASCII. Bytes behind the last
field belong to a later version and are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final

import construct

from .errors import FrameError
from .lifecycle import LifecycleState
from .limits import FRAME_BODY_BYTES_MAX, STREAM_WINDOW_BYTES_MAX

PROTOCOL_VERSION: Final = 1
NO_COMMON_VERSION: Final = 0
"""In a WELCOME: none of the versions that the HELLO offers is spoken here."""

FRAME_BODY_BYTES_MIN: Final = 128
"""Nobody may ask for smaller frames: below this the overhead is what fills the line."""

NAME_CHARACTERS_MAX: Final = 32

MAGIC: Final = b"PDCM"


class Service(IntEnum):
    """What the connection is for. Wire values."""

    IDENTIFY = 0
    """The WELCOME is all that is wanted."""
    CHANNEL = 1
    """TLS over the stream."""
    PROOFS = 2
    """Messages in the clear: the documents of a retired or blank terminal."""
    SALVAGE = 3
    """Messages in the clear: whatever a tampered terminal without an identity has left, card data encrypted."""


class Feature(IntFlag):
    """What a terminal can do beyond what each must. Wire values."""

    PACKED_ITEMS = 1
    """It answers `messages.ReadPacked`."""
    SPEED = 2
    """The speed of its line can be raised."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The initiator's greeting. Values out of their bounds: `ValueError`."""

    connection_id: int
    """Random, 1 to 2**32-1: never the same for two connections."""
    service: Service
    version_min: int = PROTOCOL_VERSION
    version_max: int = PROTOCOL_VERSION
    frame_body_bytes_max: int = FRAME_BODY_BYTES_MAX
    """Largest body that the sender of this greeting takes."""
    receive_window_bytes: int = STREAM_WINDOW_BYTES_MAX
    """How much of the stream the sender of this greeting holds for its application."""

    def __post_init__(self) -> None:
        _check_common(self.connection_id, self.frame_body_bytes_max, self.receive_window_bytes)
        _check_range("lowest version", self.version_min, 1, 255)
        _check_range("highest version", self.version_max, self.version_min, 255)

    def common_version(self) -> int:
        """The version to speak, or `NO_COMMON_VERSION`."""
        spoken = self.version_min <= PROTOCOL_VERSION <= self.version_max
        return PROTOCOL_VERSION if spoken else NO_COMMON_VERSION

    def encode(self) -> bytes:
        """15 bytes."""
        return bytes(_HELLO.build({name: getattr(self, name) for name in self.__slots__}))

    @classmethod
    def decode(cls, body: bytes) -> Hello:
        """`FrameError` on anything that `encode` cannot give, but for bytes behind the last field."""
        try:
            fields = _HELLO.parse(body)
            return cls(**_values(fields, cls.__slots__) | {"service": Service(fields.service)})
        except (construct.ConstructError, ValueError) as error:
            raise FrameError("HELLO is malformed") from error


@dataclass(frozen=True, slots=True)
class Welcome:
    """The acceptor's greeting. Values out of their bounds: `ValueError`."""

    connection_id: int
    """As in the HELLO that it answers."""
    state: LifecycleState
    tampered: bool
    manufacturer: str
    """ASCII, at most 32 characters, as are the next two."""
    model: str
    serial: str
    version: int = PROTOCOL_VERSION
    frame_body_bytes_max: int = FRAME_BODY_BYTES_MAX
    receive_window_bytes: int = STREAM_WINDOW_BYTES_MAX
    features: int = 0
    """Sixteen bits of `Feature`; unknown ones are ignored."""

    def __post_init__(self) -> None:
        _check_common(self.connection_id, self.frame_body_bytes_max, self.receive_window_bytes)
        _check_range("version", self.version, 0, 255)
        _check_range("features", self.features, 0, 0xFFFF)
        for name in (self.manufacturer, self.model, self.serial):
            if len(name) > NAME_CHARACTERS_MAX or not (name.isascii() and name.isprintable()):
                raise ValueError(f"a name has at most {NAME_CHARACTERS_MAX} printable ASCII characters")

    def encode(self) -> bytes:
        """17 bytes and the three names, each with its length."""
        return bytes(_WELCOME.build({name: getattr(self, name) for name in self.__slots__}))

    @classmethod
    def decode(cls, body: bytes) -> Welcome:
        """`FrameError` on anything that `encode` cannot give, but for bytes behind the last field."""
        try:
            fields = _WELCOME.parse(body)
            if fields.tampered > 1:
                raise ValueError("tampered is neither 0 nor 1")
            typed = {"state": LifecycleState(fields.state), "tampered": bool(fields.tampered)}
            return cls(**_values(fields, cls.__slots__) | typed)
        except (construct.ConstructError, ValueError) as error:
            raise FrameError("WELCOME is malformed") from error


_NAME: Final = construct.PascalString(construct.Int8ub, "ascii")
_HELLO: Final = construct.Struct(
    construct.Const(MAGIC),
    "version_min" / construct.Int8ub,
    "version_max" / construct.Int8ub,
    "connection_id" / construct.Int32ub,
    "service" / construct.Int8ub,
    "frame_body_bytes_max" / construct.Int16ub,
    "receive_window_bytes" / construct.Int16ub,
)
_WELCOME: Final = construct.Struct(
    construct.Const(MAGIC),
    "version" / construct.Int8ub,
    "connection_id" / construct.Int32ub,
    "frame_body_bytes_max" / construct.Int16ub,
    "receive_window_bytes" / construct.Int16ub,
    "features" / construct.Int16ub,
    "state" / construct.Int8ub,
    "tampered" / construct.Int8ub,
    "manufacturer" / _NAME,
    "model" / _NAME,
    "serial" / _NAME,
)


def _values(fields: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names}


def _check_common(connection_id: int, frame_body_bytes_max: int, receive_window_bytes: int) -> None:
    _check_range("connection id", connection_id, 1, 0xFFFFFFFF)
    _check_range("largest frame body", frame_body_bytes_max, FRAME_BODY_BYTES_MIN, FRAME_BODY_BYTES_MAX)
    _check_range("receive window", receive_window_bytes, FRAME_BODY_BYTES_MIN, STREAM_WINDOW_BYTES_MAX)


def _check_range(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{what} is {value}; {least} to {most}")
