"""How far a seal's items have come in the books: what a cancellation has to tell the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE, BatchReference
from posdecom_protocol.documents.cancellation import NextBatch, Span
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.iso8583 import decode
from posdecom_protocol.records import ItemKind, decode_item

from .ledger import Ledger, Place

BATCH_MAX = 999_999


@dataclass(frozen=True, slots=True)
class Standing:
    delivered: tuple[Span, ...]
    """Items that the host took, or whose money it has."""
    closed: tuple[int, ...]
    """Contexts whose batch ended."""
    next_batches: tuple[NextBatch, ...]
    """For those."""


def standing(seal: Seal, items: Sequence[bytes], ledger: Ledger) -> Standing:
    """What the books say of the items of ``seal``, numbered from 1."""
    taken = (sequence for sequence, data in enumerate(items, 1) if _was_taken(data, ledger))
    ended = [one for one in seal.contexts if ledger.batch_end(one.tid, one.batch) is not None]
    next_batches = tuple(NextBatch(one.index, next_batch(one.batch)) for one in ended)
    return Standing(tuple(_spans(taken)), tuple(one.index for one in ended), next_batches)


def next_batch(batch: int) -> int:
    """Batch numbers are 1 to 999999 and round again."""
    return batch % BATCH_MAX + 1


def _was_taken(data: bytes, ledger: Ledger) -> bool:
    """Money is taken where it is booked, whichever message brought it: it may have come as an upload."""
    item = decode_item(data)
    if item.kind is ItemKind.WITHHELD:
        return False
    message = decode(item.message)
    batch, ksn = BatchReference.decode(message.text(60)).batch, message.binary(53)
    place = Place(message.text(41), batch, int(message.text(11)))
    if item.kind in (ItemKind.ADVICE, ItemKind.REFUND):
        posting, told = ledger.posting(place), item.summary
        return posting is not None and told is not None and posting.amount == told.amount
    exchange = ledger.exchange(place, ksn)
    return exchange is not None and exchange.ksn == ksn and exchange.code in (CODE_APPROVED, CODE_DUPLICATE)


def _spans(sequences: Iterable[int]) -> Iterator[Span]:
    """
    >>> list(_spans([1, 2, 3, 7]))
    [Span(first=1, last=3), Span(first=7, last=7)]
    """
    first = last = 0
    for sequence in sequences:
        if sequence != last + 1 and last:
            yield Span(first, last)
        if sequence != last + 1 or not last:
            first = sequence
        last = sequence
    if last:
        yield Span(first, last)
