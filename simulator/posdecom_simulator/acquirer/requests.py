"""One message at the host whose form is good, and the host's verdict on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from posdecom_protocol.aes_dukpt import INITIAL_KEY_ID_BYTES
from posdecom_protocol.chip_data import CRYPTOGRAM
from posdecom_protocol.data_elements import MESSAGE_TYPE, BatchReference, Original
from posdecom_protocol.errors import MessageError
from posdecom_protocol.iso8583 import ENVELOPE_BYTES, IsoMessage
from posdecom_protocol.money import TransactionClass

from .books import ChipProof, Finding, Posting, Row, Source
from .chip import read_chip
from .hsm import Card, Hsm
from .ledger import Place

CODE_INVALID_TRANSACTION: Final = "12"

CLASS_OF: Final = {message_type: kind for kind, message_type in MESSAGE_TYPE.items()}
"""By field 60.1 of an advice or upload."""


@dataclass(frozen=True, slots=True)
class Request:
    """A message whose form is good."""

    message: IsoMessage
    place: Place
    mid: str
    reference: BatchReference
    ksn: bytes
    digest: bytes
    at: int

    @property
    def kind(self) -> tuple[str, int]:
        """MTI and field 60.3."""
        return self.message.mti, self.reference.network_code

    @property
    def currency(self) -> int:
        text = self.message.text(49)
        if not (text.isascii() and text.isdigit()):
            raise MessageError("field 49 is not three digits")
        return int(text)

    @property
    def amount(self) -> int:
        return int(self.message.text(4))

    @property
    def original(self) -> Place | None:
        """The transaction that field 61 names, in the same batch; None without one."""
        if 61 not in self.message.fields:
            return None
        original = Original.decode(self.message.text(61))
        if original.batch != self.place.batch:
            raise MessageError("field 61 names another batch than field 60")
        return self.place_of(original.stan)

    def card(self, hsm: Hsm) -> Card:
        """Only of account data that the same terminal encrypted; else `KeyMaterialError`."""
        return hsm.open_card(self.message.binary(57), self.ksn[:INITIAL_KEY_ID_BYTES])

    def chip_proof(
        self, kind: TransactionClass, stan: int, amount: int, currency: int
    ) -> tuple[ChipProof, ...]:
        """Of field 55, if the message has one; `MessageError` where it is about another transaction."""
        if 55 not in self.message.fields:
            return ()
        data = read_chip(self.message.binary(55), kind, amount, currency)
        cryptogram = bytes(data.objects[CRYPTOGRAM])
        tid, batch, _ = self.place
        return (ChipProof(tid, batch, stan, kind, cryptogram, Finding.AGREES),)

    def place_of(self, stan: int) -> Place:
        """Of another transaction of the same batch."""
        return Place(self.place.tid, self.place.batch, stan)


@dataclass(frozen=True, slots=True)
class Verdict:
    code: str
    rows: tuple[Row, ...] = ()
    totals_reply: str = ""
    final: bool = True
    """Whether it becomes the host's word on this KSN and STAN, for ever."""


def read_request(message: IsoMessage, data: bytes, at: int) -> Request:
    """``data`` decoded to ``message``; `MessageError` when a field that every message has is missing."""
    message.binary(64)
    reference = BatchReference.decode(message.text(60))
    place = Place(message.text(41), reference.batch, int(message.text(11)))
    digest = hashlib.sha256(data[ENVELOPE_BYTES:]).digest()
    return Request(message, place, message.text(42), reference, message.binary(53), digest, at)


def posting_of(
    request: Request,
    stan: int,
    kind: TransactionClass,
    card: Card,
    amount: int,
    currency: int,
    source: Source,
) -> Posting:
    original = request.original
    tid, batch, _ = request.place
    return Posting(
        tid,
        request.mid,
        batch,
        stan,
        kind,
        card.group,
        amount,
        currency,
        card.digest,
        source,
        request.at,
        0 if original is None else original.stan,
    )


def same_money(booked: Posting, named: Posting) -> bool:
    return (booked.transaction_class, booked.amount, booked.card) == (
        named.transaction_class,
        named.amount,
        named.card,
    )
