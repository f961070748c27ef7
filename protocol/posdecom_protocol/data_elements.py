"""What is inside the composite fields 48, 57, 60 to 63: values and their digits, both directions.

Both ends and the acquirer use these; which message carries which is their business. Everything is integers; a text
that is not exactly its layout is a `MessageError`, a value that does not fit is a `LocalError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from .errors import LocalError, MessageError
from .money import AMOUNT_MAX, COUNT_MAX, CardGroup, GroupTotals, Tally, TransactionClass

NETWORK_CODE_TOTALS: Final = 201
"""Field 60.3 of 0500, and of a 0320 that carries a transaction of a magnetic stripe or one made offline."""
NETWORK_CODE_END_UNBALANCED: Final = 202
NETWORK_CODE_CHIP_BALANCED: Final = 203
"""Field 60.3 of a 0320 with the chip data of one transaction that was approved online, where the totals balance."""
NETWORK_CODE_DECLINED_BALANCED: Final = 204
"""The same of one that the chip declined."""
NETWORK_CODE_CHIP_UNBALANCED: Final = 205
"""As 203 where the totals do not balance: then it is the upload of its transaction as well."""
NETWORK_CODE_DECLINED_UNBALANCED: Final = 206
NETWORK_CODE_END_BALANCED: Final = 207
NETWORK_CODE_SIGN_OFF: Final = 2
NETWORK_CODE_NONE: Final = 0

CODE_APPROVED: Final = "00"
CODE_DUPLICATE: Final = "94"
"""Field 39: the host has had exactly this message before; as good as approved."""

CODE_UPLOAD: Final = "95"
"""Field 39 of the edc answer to totals: they are not the host's; upload the batch."""

PROCESSING_SETTLEMENT: Final = "920000"
"""Field 3 of the edc 0500 that brings the totals."""
PROCESSING_CHIP_PROOF: Final = "940000"
"""Field 3 of the edc 0320 that brings the chip data of one transaction and no money."""
PROCESSING_SETTLEMENT_AFTER_UPLOAD: Final = "960000"
"""Field 3 of the edc 0500 that closes a batch after its upload."""

ACCOUNT_SCHEME: Final = 1
"""AES-DUKPT data key, AES-CBC, ISO/IEC 9797-1 method 2 padding (protection.py)."""


class MessageType(IntEnum):
    """Field 60.1, two digits. The acquirer assigns them: these are the simulated one's, not a standard's."""

    NONE = 0
    PREAUTH = 10
    PREAUTH_VOID = 11
    COMPLETION = 20
    COMPLETION_VOID = 21
    SALE = 22
    VOID = 23
    REFUND = 25
    OFFLINE_SALE = 30
    ADJUSTMENT = 32


MESSAGE_TYPE: Final[Mapping[TransactionClass, MessageType]] = MappingProxyType(
    {
        TransactionClass.SALE: MessageType.SALE,
        TransactionClass.VOID: MessageType.VOID,
        TransactionClass.REFUND: MessageType.REFUND,
        TransactionClass.OFFLINE_SALE: MessageType.OFFLINE_SALE,
        TransactionClass.ADJUSTMENT: MessageType.ADJUSTMENT,
        TransactionClass.COMPLETION: MessageType.COMPLETION,
        TransactionClass.COMPLETION_VOID: MessageType.COMPLETION_VOID,
    }
)
"""Field 60.1 of the advice or upload of a transaction; exactly the classes that are in totals. What a chip declined
has that of the sale that it was to be."""


class Reply(IntEnum):
    """How the host judges the totals of one card group in the field 48 of its 0510."""

    RESERVED = 0
    """As the terminal sends it."""
    BALANCED = 1
    NOT_BALANCED = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class BatchReference:
    """Field 60: type N2, batch number N6, network management code N3."""

    message_type: MessageType
    batch: int
    network_code: int

    def encode(self) -> str:
        return _n(self.message_type, 2) + _n(self.batch, 6) + _n(self.network_code, 3)

    @classmethod
    def decode(cls, text: str) -> BatchReference:
        kind, batch, code = _cut(text, 60, (2, 6, 3))
        try:
            return cls(MessageType(kind), batch, code)
        except ValueError:
            raise MessageError("field 60.1 is no type that this acquirer knows") from None


@dataclass(frozen=True, slots=True)
class Original:
    """Field 61: the transaction that a message is about: batch N6, STAN N6, date MMDD."""

    batch: int
    stan: int
    date: str

    def encode(self) -> str:
        return _n(self.batch, 6) + _n(self.stan, 6) + self.date

    @classmethod
    def decode(cls, text: str) -> Original:
        batch, stan, _ = _cut(text, 61, (6, 6, 4))
        return cls(batch, stan, text[12:])


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """Field 48 of 0500 and 0510, 62 digits: per card group debit amount N12, count N3, credit amount N12, count N3,
    reply N1; domestic first."""

    groups: tuple[GroupTotals, GroupTotals]
    replies: tuple[Reply, Reply] = (Reply.RESERVED, Reply.RESERVED)

    def encode(self) -> str:
        return "".join(
            _tally(totals.debit) + _tally(totals.credit) + _n(reply, 1)
            for totals, reply in zip(self.groups, self.replies, strict=True)
        )

    @classmethod
    def decode(cls, text: str) -> BatchTotals:
        cells = _cut(text, 48, (12, 3, 12, 3, 1) * 2)
        groups = (_group(CardGroup.DOMESTIC, cells[:4]), _group(CardGroup.FOREIGN, cells[5:9]))
        try:
            return cls(groups, (Reply(cells[4]), Reply(cells[9])))
        except ValueError:
            raise MessageError("reply code in field 48 is above 3") from None


@dataclass(frozen=True, slots=True)
class UploadDetail:
    """Field 48 of a 0320 that carries one transaction, 42 digits: "01", card type N2, STAN N6, number N20, amount N12.

    The number is masked: zeros between the first six and the last four digits, zeros in front.
    """

    group: CardGroup
    stan: int
    masked_number: str
    """20 digits."""
    amount: int

    def encode(self) -> str:
        return "01" + _n(self.group, 2) + _n(self.stan, 6) + self.masked_number + _n(self.amount, 12)

    @classmethod
    def decode(cls, text: str) -> UploadDetail:
        count, group, stan, _, amount = _cut(text, 48, (2, 2, 6, 20, 12))
        if count != 1 or group not in tuple(CardGroup):
            raise MessageError("field 48 holds not exactly one detail of a known card type")
        return cls(CardGroup(group), stan, text[10:30], amount)


@dataclass(frozen=True, slots=True)
class ChipDetail:
    """Field 62 of a cup 0320 with chip data, 23 characters: card type N2, STAN N6, amount N12, currency N3."""

    group: CardGroup
    stan: int
    """Of the transaction itself."""
    amount: int
    currency: int

    def encode(self) -> str:
        return _n(self.group, 2) + _n(self.stan, 6) + _n(self.amount, 12) + _n(self.currency, 3)

    @classmethod
    def decode(cls, text: str) -> ChipDetail:
        group, stan, amount, currency = _cut(text, 62, (2, 6, 12, 3))
        if group not in tuple(CardGroup):
            raise MessageError("field 62 names no known card type")
        return cls(CardGroup(group), stan, amount, currency)


@dataclass(frozen=True, slots=True)
class BatchSums:
    """Field 63 of the edc 0500, 30 characters: sale count N3, amount N12, refund count N3, amount N12."""

    sale: Tally
    refund: Tally

    @classmethod
    def of(cls, groups: Sequence[GroupTotals]) -> BatchSums:
        """Debit and credit of all card groups together."""
        sale = sum((one.debit for one in groups), Tally())
        return cls(sale, sum((one.credit for one in groups), Tally()))

    def encode(self) -> str:
        return "".join(_n(one.count, 3) + _n(one.amount, 12) for one in (self.sale, self.refund))

    @classmethod
    def decode(cls, text: str) -> BatchSums:
        sales, sold, refunds, refunded = _cut(text, 63, (3, 12, 3, 12))
        return cls(Tally(sales, sold), Tally(refunds, refunded))


@dataclass(frozen=True, slots=True)
class OriginalMessage:
    """Field 62 of the edc 0320, 22 characters: MTI N4 and STAN N6 of the message that is uploaded, 12 blanks."""

    mti: str
    stan: int

    def encode(self) -> str:
        return self.mti + _n(self.stan, 6) + " " * 12

    @classmethod
    def decode(cls, text: str) -> OriginalMessage:
        _, stan = _cut(text[:10], 62, (4, 6))
        if text[10:] != " " * 12:
            raise MessageError("field 62 is no MTI and STAN")
        return cls(text[:4], stan)


@dataclass(frozen=True, slots=True)
class EncryptedAccount:
    """Field 57: scheme 1 byte, KSN of the data key 12 bytes, ciphertext."""

    ksn: bytes
    cipher: bytes

    def encode(self) -> bytes:
        return bytes([ACCOUNT_SCHEME]) + self.ksn + self.cipher

    @classmethod
    def decode(cls, data: bytes) -> EncryptedAccount:
        if len(data) < 14 or data[0] != ACCOUNT_SCHEME:
            raise MessageError("field 57 is no account data of a known scheme")
        return cls(data[1:13], data[13:])


def masked_number(first6: str, last4: str, digits: int) -> str:
    """20 digits for field 48; ``digits`` is the length of the card number.

    >>> masked_number("620000", "0005", 16)
    '00006200000000000005'
    """
    return (first6 + "0" * (digits - 10) + last4).rjust(20, "0")


def upload_count(count: int) -> str:
    """Field 48 of the 0320 that ends an upload: how many details went before, N4."""
    return _n(count, 4)


def decode_upload_count(text: str) -> int:
    """Inverse of `upload_count`."""
    return _cut(text, 48, (4,))[0]


def _n(value: int, digits: int) -> str:
    if not 0 <= value < 10**digits:
        raise LocalError(f"a number does not fit {digits} digits")
    return f"{value:0{digits}d}"


def _cut(text: str, number: int, widths: Sequence[int]) -> list[int]:
    """The cells of a composite field as integers; the codec has seen to it that ``text`` is digits."""
    if len(text) != sum(widths) or not text.isdecimal():
        raise MessageError(f"field {number} has {len(text)} digits; {sum(widths)}")
    cells = []
    for width in widths:
        cells.append(int(text[:width]))
        text = text[width:]
    return cells


def _tally(tally: Tally) -> str:
    if tally.count > COUNT_MAX or tally.amount > AMOUNT_MAX:
        raise LocalError(f"totals over {COUNT_MAX} transactions or 12 digits of amount")
    return _n(tally.amount, 12) + _n(tally.count, 3)


def _group(group: CardGroup, cells: Sequence[int]) -> GroupTotals:
    return GroupTotals(group, Tally(cells[1], cells[0]), Tally(cells[3], cells[2]))
