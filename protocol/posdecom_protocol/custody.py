"""What passes between agent and release desk: documents and items as a stream of the line's own messages.

`Proof` carries a document, `Items` a run of items: the same bytes go over HTTP and into files. Nothing new to parse,
and the sender never holds more than one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .errors import MessageError
from .limits import ITEMS_MAX
from .messages import (
    ITEMS_PER_BULK_BYTES,
    RECEIPTS_BYTES_MAX,
    Items,
    Message,
    Proof,
    ProofKind,
    Reader,
    Salvaged,
    encode,
)

MEDIA_TYPE: Final = "application/vnd.posdecom.messages"


@dataclass(frozen=True, slots=True)
class Custody:
    """What the desk needs to judge a seal. ``items`` are numbered from 1."""

    order: bytes
    seal: bytes
    items: tuple[bytes, ...]


def encode_custody(order: bytes, seal: bytes, items: Iterable[bytes]) -> Iterator[bytes]:
    """The stream in pieces: order, seal, then items in bulks."""
    yield encode(Proof(ProofKind.ORDER, order))
    yield encode(Proof(ProofKind.SEAL, seal))
    first, bulk, size = 1, list[bytes](), 0
    for item in items:
        if bulk and size + len(item) > ITEMS_PER_BULK_BYTES:
            yield encode(Items(first, tuple(bulk)))
            first, bulk, size = first + len(bulk), [], 0
        bulk.append(item)
        size += len(item)
    if bulk:
        yield encode(Items(first, tuple(bulk)))


def decode_custody(data: bytes) -> Custody:
    """Inverse of `encode_custody`; `MessageError` as `read_custody`."""
    order, seal, items = read_custody(data)
    return Custody(order, seal, tuple(items))


def read_custody(data: bytes) -> tuple[bytes, bytes, Iterator[bytes]]:
    """Order and seal at once, and the items as they are asked for: the documents can be judged before any is read.

    `MessageError` unless order, seal and then items 1, 2, 3 ... are there; for items, when their turn comes. At most
    `ITEMS_MAX` items. How they were cut into messages does not matter.
    """
    messages = _complete(data)
    match next(messages, None), next(messages, None):
        case Proof(ProofKind.ORDER, order), Proof(ProofKind.SEAL, seal):
            return order, seal, _in_sequence(messages)
        case _:
            raise MessageError("custody does not begin with order and seal")


def _in_sequence(bulks: Iterable[Message]) -> Iterator[bytes]:
    count = 0
    for bulk in bulks:
        if not isinstance(bulk, Items) or not bulk.items or bulk.first != count + 1:
            raise MessageError("custody holds something other than items in sequence")
        count += len(bulk.items)
        if count > ITEMS_MAX:
            raise MessageError(f"custody of more than {ITEMS_MAX} items")
        yield from bulk.items


def encode_salvage(order: bytes, messages: Iterable[bytes]) -> Iterator[bytes]:
    """The stream of a tampered terminal's records in pieces: order, then each `Salvaged` as it came."""
    yield encode(Proof(ProofKind.ORDER, order))
    yield from messages


def decode_salvage(data: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Order and records, all of them from 1; `MessageError` for anything else."""
    match list(_complete(data)):
        case [Proof(ProofKind.ORDER, order), *messages] if messages:
            return order, _salvaged(messages)
        case _:
            raise MessageError("a salvage does not begin with order and records")


def _salvaged(messages: list[Message]) -> tuple[bytes, ...]:
    records: list[bytes] = []
    totals: set[int] = set()
    for message in messages:
        if not isinstance(message, Salvaged) or message.first != len(records) + 1:
            raise MessageError("a salvage holds something other than records in sequence")
        records += message.records
        totals.add(message.total)
    if totals != {len(records)}:
        raise MessageError("a salvage does not hold as many records as it says")
    return tuple(records)


def read_salvaged(data: bytes) -> Salvaged:
    """The one `Salvaged` that ``data`` is; `MessageError` for anything else."""
    match list(_complete(data)):
        case [Salvaged() as message]:
            return message
        case _:
            raise MessageError("these bytes are no salvaged records")


def encode_receipts(receipts: Iterable[bytes]) -> bytes:
    """One or two receipts as the desk answers them; `ValueError` for any other number."""
    receipts = tuple(receipts)
    if not 1 <= len(receipts) <= 2:
        raise ValueError(f"{len(receipts)} receipts; one or two")
    return b"".join(encode(Proof(kind, receipt)) for kind, receipt in zip(_RECEIPTS, receipts, strict=False))


def decode_receipts(data: bytes) -> tuple[bytes, ...]:
    """Inverse of `encode_receipts`; `MessageError` also where both do not fit one `OfferRelease`."""
    match list(_complete(data)):
        case [Proof(ProofKind.RECEIPT, first)]:
            receipts: tuple[bytes, ...] = (first,)
        case [Proof(ProofKind.RECEIPT, first), Proof(ProofKind.SECOND_RECEIPT, second)]:
            receipts = (first, second)
        case _:
            raise MessageError("the desk's answer holds something other than one or two receipts")
    if sum(map(len, receipts)) > RECEIPTS_BYTES_MAX:
        raise MessageError(f"receipts of more than {RECEIPTS_BYTES_MAX} bytes together")
    return receipts


_RECEIPTS: Final = (ProofKind.RECEIPT, ProofKind.SECOND_RECEIPT)


def _complete(data: bytes) -> Iterator[Message]:
    reader = Reader()
    yield from reader.receive(data)
    if not reader.is_between_messages:
        raise MessageError("the stream ends inside a message")
