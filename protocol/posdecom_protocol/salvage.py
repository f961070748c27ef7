"""Salvaged records: what a tampered terminal still has of its sales, where no order had frozen it.

No key is left in it, so nothing can be sealed and nothing sent to the host. Each record carries a MAC that was made at
the time of sale, under the MAC key of the KSN that its account data are under; the acquirer derives that key again and
checks it. Records are numbered from 1 in the order of their numbers in the terminal; what came is known by a hash chain
``h_i = SHA-256(h_{i-1} | i (4, big-endian) | record)``, ``h_0 = SHA-256("posdecom/salvage/1")``, which nobody signed.

Layout (big-endian): context 1, posted 1 (0 or 1), summary 40 (as in `records`), authorisation code 6 (blanks if none),
number of the record that it is about 4 (0 if none), field 57 with length 1, field 55 with length 1, MAC 8. The MAC
(AES-CMAC, leftmost 8 bytes) covers everything before it with posted as 0: a record is posted after it was made.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from .documents.salvage import Salvage, SalvagedSum
from .errors import MessageError
from .limits import CONTEXTS_MAX, ITEM_BYTES_MAX
from .money import SIDE, Side, Tally
from .protection import MAC_BYTES
from .records import SUMMARY_BYTES, Summary, chain, decode_summary, encode_summary


@dataclass(frozen=True, slots=True)
class SalvagedRecord:
    """Values out of their bounds: `ValueError`."""

    context: int
    posted: bool
    """Whether the host had booked it, as the terminal knew; no MAC covers this."""
    summary: Summary
    auth_code: str
    """6 characters; blanks where there was none."""
    original: int
    """Number of the record that it is about, 0 for none."""
    account_data: bytes = field(repr=False)
    """Field 57: scheme, KSN, ciphertext; at most 255 bytes."""
    chip_data: bytes = field(repr=False)
    """Field 55, empty without a chip; at most 255 bytes."""
    mac: bytes
    """8 bytes; zeros where the terminal made the record out of another one, after that one's key was gone."""

    def __post_init__(self) -> None:
        if not 0 <= self.context < CONTEXTS_MAX or not 0 <= self.original < 2**32:
            raise ValueError("context or original is out of its bounds")
        if len(self.auth_code) != 6 or not (self.auth_code.isascii() and self.auth_code.isprintable()):
            raise ValueError("authorisation code is not 6 printable ASCII characters")
        if max(len(self.account_data), len(self.chip_data)) > 255 or len(self.mac) != MAC_BYTES:
            raise ValueError("account data, chip data or MAC is not as long as it may be")


_HEAD: Final = struct.Struct(f">B?{SUMMARY_BYTES}s6sI")
_POSTED_AT: Final = 1

SALVAGE_START: Final = hashlib.sha256(b"posdecom/salvage/1").digest()


def encode_salvaged(record: SalvagedRecord) -> bytes:
    """The record as it goes over the line and to the desk."""
    summary, auth_code = encode_summary(record.summary), record.auth_code.encode("ascii")
    head = _HEAD.pack(record.context, record.posted, summary, auth_code, record.original)
    return head + _prefixed(record.account_data) + _prefixed(record.chip_data) + record.mac


def decode_salvaged(data: bytes) -> SalvagedRecord:
    """Inverse of `encode_salvaged`; `MessageError` unless re-encoding gives the same bytes."""
    try:
        record = _decode(data)
    except (struct.error, ValueError, IndexError) as error:
        raise MessageError("salvaged record is malformed") from error
    if len(data) > ITEM_BYTES_MAX or encode_salvaged(record) != data:
        raise MessageError("salvaged record is not in its one encoding")
    return record


def _decode(data: bytes) -> SalvagedRecord:
    context, posted, summary, auth_code, original = _HEAD.unpack_from(data)
    account_data, at = _cut(data, _HEAD.size)
    chip_data, at = _cut(data, at)
    return SalvagedRecord(
        context=context,
        posted=posted,
        summary=decode_summary(summary),
        auth_code=auth_code.decode("ascii"),
        original=original,
        account_data=account_data,
        chip_data=chip_data,
        mac=data[at:],
    )


def salvage_mac_input(data: bytes) -> bytes:
    """What the MAC at the end of an encoded record covers."""
    return data[:_POSTED_AT] + b"\0" + data[_POSTED_AT + 1 : -MAC_BYTES]


@dataclass(frozen=True, slots=True)
class SalvageCount:
    """What the records so far amount to."""

    count: int = 0
    head: bytes = SALVAGE_START
    sums: Mapping[int, tuple[Tally, Tally]] = field(default_factory=dict)
    """Debit and credit by currency."""

    def after(self, records: Iterable[bytes]) -> SalvageCount:
        """With these encoded records behind them; `MessageError` where one is malformed."""
        head, sums, count = self.head, dict(self.sums), self.count
        for data in records:
            count += 1
            head = chain(head, count, data)
            one = decode_salvaged(data).summary
            debit, credit = sums.get(one.currency, (Tally(), Tally()))
            match SIDE[one.transaction_class]:
                case Side.DEBIT:
                    sums[one.currency] = debit.plus(one.amount), credit
                case Side.CREDIT:
                    sums[one.currency] = debit, credit.plus(one.amount)
                case Side.NEITHER:
                    pass
                case side:
                    assert_never(side)
        return SalvageCount(count, head, sums)

    @property
    def salvage(self) -> Salvage:
        """As a certificate says it."""
        sums = tuple(SalvagedSum(currency, *self.sums[currency]) for currency in sorted(self.sums))
        return Salvage(self.count, self.head, sums)


def salvage_of(records: Iterable[bytes]) -> Salvage:
    """What a certificate says of these encoded records; `MessageError` where one is malformed."""
    return SalvageCount().after(records).salvage


def _prefixed(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _cut(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end], end
