"""The rows of the acquirer's books, and their bytes. What they add up to is the ledger's business.

Rows are only ever added. No row holds a card number: `Posting.card` is a keyed digest of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

from posdecom_protocol import cbor
from posdecom_protocol.aes_dukpt import INITIAL_KEY_ID_BYTES, KSN_BYTES
from posdecom_protocol.documents.kinds import BATCH, CURRENCY, DIGEST, TIME
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.money import AMOUNT_MAX, CardGroup, TransactionClass
from posdecom_protocol.schema import Choice, Field, Flag, Kind, Octets, Record, Text, Whole
from posdecom_protocol.tdes_dukpt import KSN_BYTES as TDES_KSN_BYTES


class Source(IntEnum):
    """How a posting came into the books."""

    ONLINE = 1
    """At the time of sale, before the visit."""
    ADVICE = 2
    UPLOAD = 3


class Finding(IntEnum):
    """What the host made of an uploaded detail."""

    AGREES = 1
    """The books had the same; of what was declined: nothing."""
    POSTED = 2
    """The books did not have it: posted now."""
    DISPUTED = 3
    """The books have it otherwise, or it was refused or reversed before: for a person."""
    REFUSED = 4
    """The detail itself was refused; ``stan`` is then that of its message, and the amount 0."""


class AlarmKind(IntEnum):
    MALFORMED = 1
    BAD_MAC = 2
    KSN_REUSED = 3
    """One KSN, two messages: the terminal's key set was copied or rolled back."""
    STAN_REUSED = 4
    KSN_DENIED = 5
    """A message under a key set that has been revoked."""
    KSN_FOREIGN = 6
    """A message under a key set that is not that of the terminal whose TID it has."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message with a good MAC and the host's final word on it."""

    tid: str
    batch: int
    stan: int
    ksn: bytes
    digest: bytes
    """SHA-256 of the message from the MTI on."""
    code: str
    totals_reply: str
    """Field 48 of the answer to a 0500, else empty."""
    at: int
    """Host's time, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Posting:
    tid: str
    mid: str
    batch: int
    stan: int
    """Of the transaction itself."""
    transaction_class: TransactionClass
    group: CardGroup
    amount: int
    currency: int
    card: bytes
    """Keyed digest of the card number (`hsm.Card`)."""
    source: Source
    at: int
    original: int = 0
    """STAN of the transaction that it is about, 0 for none."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A reversal or void of ``stan``, whether the books had it or not; it may not come in afterwards."""

    tid: str
    batch: int
    stan: int
    at: int


@dataclass(frozen=True, slots=True)
class Upload:
    tid: str
    batch: int
    stan: int
    amount: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class ChipProof:
    """The last cryptogram of one transaction, kept for a dispute. It moves no money."""

    tid: str
    batch: int
    stan: int
    """Of the transaction; of the message where the finding is REFUSED."""
    transaction_class: TransactionClass
    """DECLINED: an AAC, else a TC."""
    cryptogram: bytes
    """Tag 9F26; zeros where the finding is REFUSED."""
    finding: Finding


@dataclass(frozen=True, slots=True)
class BatchEnd:
    tid: str
    batch: int
    balanced: bool
    uploads_announced: int
    at: int


@dataclass(frozen=True, slots=True)
class SignOff:
    tid: str
    batch: int
    at: int


@dataclass(frozen=True, slots=True)
class Alarm:
    kind: AlarmKind
    tid: str
    """Empty where the message does not say."""
    stan: int
    at: int


@dataclass(frozen=True, slots=True)
class Denial:
    """Nothing under this key set is accepted any more."""

    initial_key_id: bytes
    """8 bytes; or the 10 of a TDES key set's initial KSN."""
    at: int


Row: TypeAlias = Exchange | Posting | Withdrawal | Upload | ChipProof | BatchEnd | SignOff | Alarm | Denial

_TID: Final = Text(8, empty=True)
_STAN: Final = Whole(999_999)
_AMOUNT: Final = Whole(AMOUNT_MAX)


def _record(of: type[Row], **kinds: Kind[Any]) -> Record[Any]:
    fields = {label: Field(name, kind) for label, (name, kind) in enumerate(kinds.items(), 1)}
    return Record(of, fields)


_RECORDS: Final[dict[str, Record[Any]]] = {
    "exchange": _record(
        Exchange,
        tid=_TID,
        batch=BATCH,
        stan=_STAN,
        ksn=Octets(KSN_BYTES),
        digest=DIGEST,
        code=Text(2),
        totals_reply=Text(62, empty=True),
        at=TIME,
    ),
    "posting": _record(
        Posting,
        tid=_TID,
        mid=Text(15),
        batch=BATCH,
        stan=_STAN,
        transaction_class=Choice(TransactionClass),
        group=Choice(CardGroup),
        amount=_AMOUNT,
        currency=CURRENCY,
        card=DIGEST,
        source=Choice(Source),
        at=TIME,
        original=_STAN,
    ),
    "withdrawal": _record(Withdrawal, tid=_TID, batch=BATCH, stan=_STAN, at=TIME),
    "upload": _record(Upload, tid=_TID, batch=BATCH, stan=_STAN, amount=_AMOUNT, finding=Choice(Finding)),
    "chip-proof": _record(
        ChipProof,
        tid=_TID,
        batch=BATCH,
        stan=_STAN,
        transaction_class=Choice(TransactionClass),
        cryptogram=Octets(8),
        finding=Choice(Finding),
    ),
    "batch-end": _record(
        BatchEnd, tid=_TID, batch=BATCH, balanced=Flag(), uploads_announced=Whole(9999), at=TIME
    ),
    "sign-off": _record(SignOff, tid=_TID, batch=BATCH, at=TIME),
    "alarm": _record(Alarm, kind=Choice(AlarmKind), tid=_TID, stan=_STAN, at=TIME),
    "denial": _record(Denial, initial_key_id=Octets(TDES_KSN_BYTES, low=INITIAL_KEY_ID_BYTES), at=TIME),
}
_KINDS: Final = {record.of: kind for kind, record in _RECORDS.items()}


def encode_row(row: Row) -> tuple[str, bytes]:
    """Kind and body, as a store keeps them."""
    kind = _KINDS[type(row)]
    return kind, cbor.encode(_RECORDS[kind].pack(row))


def decode_row(kind: str, body: bytes) -> Row:
    """Inverse of `encode_row`; `DocumentError` on an unknown kind or a body of another shape."""
    if kind not in _RECORDS:
        raise DocumentError("books", "row of an unknown kind")
    row: Row = _RECORDS[kind].unpack(cbor.decode(body, kind), kind)
    return row
