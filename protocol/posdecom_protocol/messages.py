"""The closed set of requests and replies inside the channel, and of proofs served in the clear.

Each message on the byte stream is: type 1 byte, length 3 bytes (big-endian), body. `encode` and `Reader` come from one
table; a type that is not in it, a body that is over the cap or is not in its one encoding is a `MessageError`, and the
session ends. docs/protocol.md tells every layout in full, with examples. No message can compose a document or a payment
message: they carry those as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Final, TypeAlias

import construct

from .errors import MessageError
from .inventory import ContextInfo as ContextInfo
from .inventory import Inventory as Inventory
from .inventory import SlotInfo as SlotInfo
from .lifecycle import LifecycleState
from .limits import DOCUMENT_BYTES_MAX, ITEM_BYTES_MAX, MESSAGE_BYTES_MAX
from .refusals import Refusal as Refusal

HEAD_BYTES: Final = 4
ITEMS_PER_BULK_BYTES: Final = 16 * 1024
"""A terminal fills one `Items` message up to about this: large enough for large TLS records, small enough for a
terminal's memory."""


class ProofKind(IntEnum):
    ORDER = 1
    SEAL = 2
    RECEIPT = 3
    SECOND_RECEIPT = 4
    EVIDENCE = 5


# --- requests of the agent -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GetInventory:
    """What are you, and what do you hold?"""


@dataclass(frozen=True, slots=True)
class OfferOrder:
    """Freeze under this order. The same order again gives the same seal."""

    agent_time_s: int
    order: bytes


@dataclass(frozen=True, slots=True)
class ReadItems:
    """Items ``first`` to ``first + count - 1``; they arrive as one or more `Items`, in order."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class ReadPacked:
    """As `ReadItems`, answered by `PackedItems`: only of a terminal whose greeting says that it can."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class ReadSalvage:
    """Salvaged records from number ``first`` on, of a tampered terminal that nothing had frozen; one `Salvaged`."""

    first: int


@dataclass(frozen=True, slots=True)
class OfferRelease:
    """One or two receipts over the seal."""

    receipts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StartErase:
    """Erase under the stored receipt with this digest. Irreversible: keys, account data and, in retire, identity."""

    receipt_digest: bytes


@dataclass(frozen=True, slots=True)
class OfferCancellation:
    """Thaw under this cancellation."""

    cancellation: bytes


@dataclass(frozen=True, slots=True)
class GetProof:
    kind: ProofKind


Request: TypeAlias = (
    GetInventory
    | OfferOrder
    | ReadItems
    | ReadPacked
    | ReadSalvage
    | OfferRelease
    | StartErase
    | OfferCancellation
    | GetProof
)


# --- replies of the terminal ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Confirmed:
    """First message of the terminal in every channel: it has judged the agent's certificate and let it in."""

    state: LifecycleState
    tampered: bool


@dataclass(frozen=True, slots=True)
class Sealed:
    seal: bytes


@dataclass(frozen=True, slots=True)
class Items:
    """At least one item, and none of them empty: a stream of nothing would never come to its end."""

    first: int
    items: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not self.items or not all(self.items):
            raise ValueError("no items, or an empty one")


@dataclass(frozen=True, slots=True)
class PackedItems:
    """``count`` items, compressed: see `packed_items`."""

    first: int
    count: int
    plain_bytes: int
    """What ``packed`` expands to; whatever it says, no more than a message may have is expanded."""
    packed: bytes


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Records ``first`` and following of ``total`` (`salvage`); none only where there is none at all."""

    first: int
    total: int
    records: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not all(self.records) or bool(self.records) != bool(self.total):
            raise ValueError("no records, or an empty one")


@dataclass(frozen=True, slots=True)
class Released:
    """The receipt holds and is stored; the terminal erases when asked."""

    state: LifecycleState


@dataclass(frozen=True, slots=True)
class Erasing:
    """The intent is durable. The terminal restarts now and comes back when the erase is done."""


@dataclass(frozen=True, slots=True)
class Thawed:
    """Trading again; the old challenge is burnt."""


@dataclass(frozen=True, slots=True)
class Proof:
    kind: ProofKind
    document: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Refusal


Reply: TypeAlias = (
    Confirmed
    | Inventory
    | Sealed
    | Items
    | PackedItems
    | Salvaged
    | Released
    | Erasing
    | Thawed
    | Proof
    | Refused
)
Message: TypeAlias = Request | Reply


# --- layouts -------------------------------------------------------------------------------------

_NAME = construct.ExprValidator(
    construct.PascalString(construct.Int8ub, "ascii"), lambda text, _: text.isprintable()
)
_FLAG = construct.Mapping(construct.Int8ub, {False: 0, True: 1})
_STATE = construct.Int8ub
_DIGEST = construct.Bytes(32)
_DOCUMENT = construct.Prefixed(construct.Int24ub, construct.GreedyBytes)


def _many(of: Any) -> Any:
    return construct.PrefixedArray(construct.Int16ub, of)


_SLOT = construct.Struct(
    "slot" / _NAME,
    "usage" / _NAME,
    "algorithm" / _NAME,
    "kcv_method" / construct.Int8ub,
    "kcv" / construct.Prefixed(construct.Int8ub, construct.GreedyBytes),
)
_CONTEXT = construct.Struct(
    "index" / construct.Int8ub,
    "acquirer" / _NAME,
    "mid" / _NAME,
    "tid" / _NAME,
    "currency" / construct.Int16ub,
    "batch" / construct.Int24ub,
    "records" / construct.Int16ub,
    "unsent" / construct.Int16ub,
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """A type number, the dataclass, its layout, and the classes or enums that plain members become."""

    number: int
    of: type[Any]
    struct: Any
    members: dict[str, Any]


def _layout(number: int, of: type[Any], *subcons: Any, **members: Any) -> _Layout:
    return _Layout(number, of, construct.Struct(*subcons), members)


LAYOUTS: Final[tuple[_Layout, ...]] = (
    _layout(0x01, GetInventory),
    _layout(0x02, OfferOrder, "agent_time_s" / construct.Int64ub, "order" / _DOCUMENT),
    _layout(0x03, ReadItems, "first" / construct.Int32ub, "count" / construct.Int32ub),
    _layout(0x04, OfferRelease, "receipts" / _many(_DOCUMENT), receipts=bytes),
    _layout(0x05, StartErase, "receipt_digest" / _DIGEST),
    _layout(0x06, OfferCancellation, "cancellation" / _DOCUMENT),
    _layout(0x07, GetProof, "kind" / construct.Int8ub, kind=ProofKind),
    _layout(0x08, ReadPacked, "first" / construct.Int32ub, "count" / construct.Int32ub),
    _layout(0x09, ReadSalvage, "first" / construct.Int32ub),
    _layout(0x81, Confirmed, "state" / _STATE, "tampered" / _FLAG, state=LifecycleState),
    _layout(
        0x82,
        Inventory,
        "state" / _STATE,
        "tampered" / _FLAG,
        "serial" / _NAME,
        "manufacturer" / _NAME,
        "model" / _NAME,
        "software_version" / _NAME,
        "boot_count" / construct.Int32ub,
        "clock_s" / construct.Int64ub,
        "slots" / _many(_SLOT),
        "contexts" / _many(_CONTEXT),
        state=LifecycleState,
        slots=SlotInfo,
        contexts=ContextInfo,
    ),
    _layout(0x83, Sealed, "seal" / _DOCUMENT),
    _layout(
        0x84,
        Items,
        "first" / construct.Int32ub,
        "items" / _many(construct.Prefixed(construct.Int16ub, construct.GreedyBytes)),
        items=bytes,
    ),
    _layout(0x85, Released, "state" / _STATE, state=LifecycleState),
    _layout(0x86, Erasing),
    _layout(0x87, Thawed),
    _layout(0x88, Proof, "kind" / construct.Int8ub, "document" / _DOCUMENT, kind=ProofKind),
    _layout(0x89, Refused, "reason" / construct.Int8ub, reason=Refusal),
    _layout(
        0x8A,
        PackedItems,
        "first" / construct.Int32ub,
        "count" / construct.Int16ub,
        "plain_bytes" / construct.Int24ub,
        "packed" / _DOCUMENT,
    ),
    _layout(
        0x8B,
        Salvaged,
        "first" / construct.Int32ub,
        "total" / construct.Int32ub,
        "records" / _many(construct.Prefixed(construct.Int16ub, construct.GreedyBytes)),
        records=bytes,
    ),
)
_BY_NUMBER: Final = {layout.number: layout for layout in LAYOUTS}
_BY_TYPE: Final = {layout.of: layout for layout in LAYOUTS}

RECEIPTS_BYTES_MAX: Final = MESSAGE_BYTES_MAX - 8
"""Both receipts of an `OfferRelease` together: its count and two lengths are the rest of the message."""

assert DOCUMENT_BYTES_MAX + 16 < MESSAGE_BYTES_MAX
assert 3 * ITEMS_PER_BULK_BYTES + ITEM_BYTES_MAX < MESSAGE_BYTES_MAX, "each item adds a length of two bytes"


def encode(message: Message) -> bytes:
    """The message with its head. `ValueError`: a member, or the body over `MESSAGE_BYTES_MAX`, does not fit."""
    layout = _BY_TYPE[type(message)]
    try:
        body: bytes = layout.struct.build(_plain(message))
    except construct.ConstructError as error:
        raise ValueError(f"{layout.of.__name__} has a member that does not fit its layout") from error
    if len(body) > MESSAGE_BYTES_MAX:
        raise ValueError(f"message of {len(body)} bytes; at most {MESSAGE_BYTES_MAX}")
    return bytes((layout.number,)) + len(body).to_bytes(3, "big") + body


def decode(number: int, body: bytes) -> Message:
    """The message with type ``number`` whose body fills ``body``; `MessageError` for anything else."""
    layout = _layout_of(number)
    try:
        parsed = layout.struct.parse(body)
        message: Message = layout.of(
            **{field.name: _typed(layout, parsed, field.name) for field in fields(layout.of)}
        )
        canonical = encode(message)
    except (construct.ConstructError, ValueError, TypeError) as error:
        raise MessageError(f"{layout.of.__name__} is malformed") from error
    if canonical[HEAD_BYTES:] != body:
        raise MessageError(f"{layout.of.__name__} is not in its one encoding")
    return message


class Reader:
    """Cuts a byte stream into messages. Between two pieces it holds less than one message; one that is too long or of
    unknown type is refused from its head alone."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_between_messages(self) -> bool:
        """Nothing is held of a message that has begun."""
        return not self._buffer

    def receive(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes, one at a time: take them all before the next `receive`.

        `MessageError`: the stream cannot be read any further.
        """
        self._buffer += data
        return self._cut()

    def _cut(self) -> Iterator[Message]:
        while len(self._buffer) >= HEAD_BYTES:
            _layout_of(self._buffer[0])
            length = int.from_bytes(self._buffer[1:HEAD_BYTES], "big")
            if length > MESSAGE_BYTES_MAX:
                raise MessageError(f"message announces {length} bytes; at most {MESSAGE_BYTES_MAX}")
            if len(self._buffer) < HEAD_BYTES + length:
                return
            number, body = self._buffer[0], bytes(self._buffer[HEAD_BYTES : HEAD_BYTES + length])
            del self._buffer[: HEAD_BYTES + length]
            yield decode(number, body)


def _layout_of(number: int) -> _Layout:
    layout = _BY_NUMBER.get(number)
    if layout is None:
        raise MessageError(f"message type 0x{number:02x} is unknown")
    return layout


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: _plain_member(getattr(value, field.name)) for field in fields(value)}


def _plain_member(value: Any) -> Any:
    if isinstance(value, tuple):
        return [member if isinstance(member, bytes) else _plain(member) for member in value]
    return value


def _typed(layout: _Layout, parsed: Any, name: str) -> Any:
    value, of = parsed[name], layout.members.get(name)
    if of is None:
        return bytes(value) if isinstance(value, bytes | bytearray) else value
    if of is bytes:
        return tuple(bytes(member) for member in value)
    if issubclass(of, IntEnum):
        return of(value)
    return tuple(of(**{field.name: member[field.name] for field in fields(of)}) for member in value)
