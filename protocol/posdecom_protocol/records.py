"""Items: what a frozen terminal hands over, one after the other, under one hash chain.

An item is a ready-to-send ISO 8583 message with the little about it that may be read in the clear. Items are
numbered from 1 over the whole seal; the seal closes the chain ``h_i = SHA-256(h_{i-1} | seq (4, big-endian) |
item)``, ``h_0 = SHA-256("posdecom/items/1")``. The agent moves item bytes as they are: it never builds one.

Layout (big-endian): kind 1, context 1, summary length 1 (0 or 40), summary, message length 2, message.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from .errors import MessageError
from .limits import CONTEXTS_MAX, ITEM_BYTES_MAX
from .money import AMOUNT_MAX, CardGroup, TransactionClass


class ItemKind(IntEnum):
    """The part that a message plays in the conversation with the host."""

    REVERSAL = 1
    """0400 for an authorisation whose outcome is unknown."""
    ADVICE = 2
    """0220 for what was approved offline."""
    TOTALS = 3
    """0500 of one context."""
    UPLOAD = 4
    """0320 for one transaction, sent when the totals do not balance."""
    END_BALANCED = 5
    END_UNBALANCED = 6
    SIGN_OFF = 7
    """0820 of one context."""
    PREAUTH_VOID = 8
    """0400 that releases an open pre-authorisation, where the order says so."""
    REFUND = 9
    """0220 that gives back what was sold after the cut-off, where the order says so."""
    CLOSE = 10
    """0500/960000, the edc dialect's close after uploads."""
    CHIP_PROOF = 11
    """0320 with the chip data of one transaction and no money: approved (TC), for a dispute, or declined (AAC)."""
    CHIP_PROOF_UNBALANCED = 12
    """The same where the totals do not balance, of declined ones only: the uploads hold the others."""
    WITHHELD = 13
    """An offline sale or adjustment from after the cut-off that the host has not had, and is not to get: no message."""


_BOUNDS: Final = {
    "record": (1, 2**32 - 1),
    "stan": (1, 999_999),
    "amount": (0, AMOUNT_MAX),
    "currency": (0, 999),
}
_DIGITS: Final = {"local_time": 12, "first6": 6, "last4": 4}


@dataclass(frozen=True, slots=True)
class Summary:
    """What may be shown of one transaction. At most the first six and last four digits of the card.

    Values out of their bounds: `ValueError`.
    """

    record: int
    """Number of the transaction in the terminal, 1 to 2**32-1; its messages share it."""
    transaction_class: TransactionClass
    group: CardGroup
    stan: int
    """STAN of the transaction itself, 1 to 999999."""
    rrn: str
    """Retrieval reference number, 12 characters; blanks where there was no online answer."""
    amount: int
    """Minor units, 0 to 999,999,999,999."""
    currency: int
    """ISO 4217 numeric."""
    local_time: str
    """YYMMDDhhmmss by the terminal's clock."""
    first6: str
    last4: str

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is not {least} to {most}")
        for name, count in _DIGITS.items():
            if not _is_digits(getattr(self, name), count):
                raise ValueError(f"{name} is not {count} digits")
        if len(self.rrn) != 12 or not (self.rrn.isascii() and self.rrn.isprintable()):
            raise ValueError("rrn is not 12 printable ASCII characters")


@dataclass(frozen=True, slots=True)
class Item:
    kind: ItemKind
    context: int
    """Index of the context in the seal, 0 to 63."""
    summary: Summary | None
    """Absent where the message concerns a batch and not one transaction."""
    message: bytes
    """The ISO 8583 message without length prefix: TPDU, header, MTI, bitmap, fields. Empty for WITHHELD alone."""

    def __post_init__(self) -> None:
        if not 0 <= self.context < CONTEXTS_MAX:
            raise ValueError(f"context is not 0 to {CONTEXTS_MAX - 1}")
        if self.kind is ItemKind.WITHHELD and (self.message or self.summary is None):
            raise ValueError("what is withheld has a summary and no message")


_HEAD: Final = struct.Struct(">BBB")
_SUMMARY: Final = struct.Struct(">IBB3s12s6sH6s3s2s")
"""Record, class, group, STAN, RRN, amount, currency, local time, first 6, last 4. With `struct`, because each item of a
flush passes here: 140 us as a construct declaration, of which the reader of a line of 3 Mbaud has 800."""
SUMMARY_BYTES: Final = _SUMMARY.size
_LENGTH: Final = struct.Struct(">H")

CHAIN_START: Final = hashlib.sha256(b"posdecom/items/1").digest()


def encode_item(item: Item) -> bytes:
    """The item as it is stored, hashed and sent; `ValueError` over `ITEM_BYTES_MAX` bytes."""
    summary = b"" if item.summary is None else encode_summary(item.summary)
    if len(item.message) > ITEM_BYTES_MAX:
        raise ValueError(f"message of {len(item.message)} bytes; an item has at most {ITEM_BYTES_MAX}")
    head = _HEAD.pack(item.kind, item.context, len(summary))
    data = head + summary + _LENGTH.pack(len(item.message)) + item.message
    if len(data) > ITEM_BYTES_MAX:
        raise ValueError(f"item of {len(data)} bytes; at most {ITEM_BYTES_MAX}")
    return data


def decode_item(data: bytes) -> Item:
    """Inverse of `encode_item`; `MessageError` unless re-encoding would give the same bytes."""
    if len(data) > ITEM_BYTES_MAX:
        raise MessageError(f"item of {len(data)} bytes; at most {ITEM_BYTES_MAX}")
    try:
        return _decode_item(data)
    except (struct.error, ValueError) as error:
        raise MessageError("item is malformed") from error


def _decode_item(data: bytes) -> Item:
    """Every field is of a fixed width or fills what is left, so that what is read is also what would be written."""
    kind, context, summary_bytes = _HEAD.unpack_from(data)
    length_at = _HEAD.size + summary_bytes
    (message_bytes,) = _LENGTH.unpack_from(data, length_at)
    message = data[length_at + _LENGTH.size :]
    if len(message) < message_bytes:
        raise ValueError("the item is cut off")
    if len(message) > message_bytes or summary_bytes > _SUMMARY.size:
        raise MessageError("item is not in its one encoding")
    summary = decode_summary(data[_HEAD.size : length_at]) if summary_bytes else None
    return Item(ItemKind(kind), context, summary, message)


def chain(head: bytes, sequence: int, item: bytes) -> bytes:
    """The chain's next value (32 bytes) after ``item`` with number ``sequence``."""
    return hashlib.sha256(head + sequence.to_bytes(4, "big") + item).digest()


def chain_head(items: Iterable[bytes]) -> bytes:
    """The chain over ``items`` numbered from 1 (32 bytes)."""
    head = CHAIN_START
    for sequence, item in enumerate(items, 1):
        head = chain(head, sequence, item)
    return head


def encode_summary(summary: Summary) -> bytes:
    """`SUMMARY_BYTES` bytes."""
    return _SUMMARY.pack(
        summary.record,
        summary.transaction_class,
        summary.group,
        summary.stan.to_bytes(3, "big"),
        summary.rrn.encode("ascii"),
        summary.amount.to_bytes(6, "big"),
        summary.currency,
        bytes.fromhex(summary.local_time),
        bytes.fromhex(summary.first6),
        bytes.fromhex(summary.last4),
    )


def decode_summary(data: bytes) -> Summary:
    """Inverse of `encode_summary`; `ValueError` or `struct.error` for anything else."""
    record, of, group, stan, rrn, amount, currency, local_time, first6, last4 = _SUMMARY.unpack(data)
    return Summary(
        record=record,
        transaction_class=TransactionClass(of),
        group=CardGroup(group),
        stan=int.from_bytes(stan, "big"),
        rrn=rrn.decode("ascii"),
        amount=int.from_bytes(amount, "big"),
        currency=currency,
        local_time=local_time.hex(),
        first6=first6.hex(),
        last4=last4.hex(),
    )


def _is_digits(text: str, count: int) -> bool:
    """A BCD nibble above nine decodes to a letter, which is no digit."""
    return len(text) == count and text.isascii() and text.isdigit()
