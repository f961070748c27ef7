"""What passes between agent and release desk: documents and items as a stream of the line's own messages.

`Proof` carries a document, `Items` a run of items: the same bytes go over HTTP and into files. Nothing new to parse,
and neither side needs to hold more than one message at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from .errors import MessageError
from .messages import ITEMS_PER_BULK_BYTES, Items, Message, Proof, ProofKind, Reader, encode

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
    """Inverse of `encode_custody`; `MessageError` unless order, seal and then items 1, 2, 3 ... are there."""
    messages = _complete(data)
    documents = {message.kind: message.document for message in messages[:2] if isinstance(message, Proof)}
    if set(documents) != {ProofKind.ORDER, ProofKind.SEAL}:
        raise MessageError("custody does not begin with order and seal")
    items: list[bytes] = []
    for message in messages[2:]:
        if not isinstance(message, Items) or message.first != len(items) + 1:
            raise MessageError("custody holds something other than items in sequence")
        items += message.items
    return Custody(documents[ProofKind.ORDER], documents[ProofKind.SEAL], tuple(items))


def encode_receipts(receipts: Iterable[bytes]) -> bytes:
    """One or two receipts as the desk answers them."""
    kinds = (ProofKind.RECEIPT, ProofKind.SECOND_RECEIPT)
    return b"".join(encode(Proof(kind, receipt)) for kind, receipt in zip(kinds, receipts, strict=False))


def decode_receipts(data: bytes) -> tuple[bytes, ...]:
    """Inverse of `encode_receipts`."""
    proofs: Mapping[ProofKind, bytes] = {
        message.kind: message.document for message in _complete(data) if isinstance(message, Proof)
    }
    kinds = (ProofKind.RECEIPT, ProofKind.SECOND_RECEIPT)
    receipts = tuple(proofs[kind] for kind in kinds if kind in proofs)
    if ProofKind.RECEIPT not in proofs or encode_receipts(receipts) != data:
        raise MessageError("the desk's answer holds something other than one or two receipts")
    return receipts


def _complete(data: bytes) -> list[Message]:
    messages = list(Reader().receive(data))
    if sum(len(encode(message)) for message in messages) != len(data):
        raise MessageError("the stream ends inside a message")
    return messages
