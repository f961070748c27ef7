"""What the host makes of 0320: the details of a batch, and chip data that come without money.

A detail is confirmed, or booked where the books lack it, or left to a person where it differs. Chip data are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from posdecom_protocol.chip_data import ChipData, Cryptogram
from posdecom_protocol.data_elements import (
    CODE_APPROVED,
    NETWORK_CODE_CHIP_BALANCED,
    NETWORK_CODE_CHIP_UNBALANCED,
    NETWORK_CODE_DECLINED_BALANCED,
    NETWORK_CODE_DECLINED_UNBALANCED,
    NETWORK_CODE_NONE,
    NETWORK_CODE_TOTALS,
    PROCESSING_CHIP_PROOF,
    ChipDetail,
    OriginalMessage,
    UploadDetail,
)
from posdecom_protocol.money import SIDE, Side, TransactionClass

from .books import ChipProof, Finding, Posting, Row, Source, Upload
from .hsm import Hsm
from .ledger import Ledger, Place
from .requests import CLASS_OF, CODE_INVALID_TRANSACTION, Request, Verdict, posting_of, same_money

_UPLOADS: Final = frozenset(
    {("0320", NETWORK_CODE_TOTALS), ("0320", NETWORK_CODE_CHIP_UNBALANCED), ("0320", NETWORK_CODE_NONE)}
)
_PROOFS: Final = frozenset(
    {
        ("0320", NETWORK_CODE_CHIP_BALANCED),
        ("0320", NETWORK_CODE_DECLINED_BALANCED),
        ("0320", NETWORK_CODE_DECLINED_UNBALANCED),
    }
)


class Uploads:
    def __init__(self, ledger: Ledger, hsm: Hsm) -> None:
        self._ledger = ledger
        self._hsm = hsm

    # --- cup

    def take_detail(self, request: Request) -> Verdict:
        """0320 with one transaction: confirm it, book what is missing, and leave what differs to a person."""
        detail = UploadDetail.decode(request.message.text(48))
        kind = CLASS_OF.get(request.reference.message_type)
        if kind is None:
            return Verdict(CODE_INVALID_TRANSACTION)
        card = request.card(self._hsm)
        posting = posting_of(request, detail.stan, kind, card, detail.amount, request.currency, Source.UPLOAD)
        is_its_card = card.masked_number == detail.masked_number and card.group is detail.group
        return self._uploaded(posting, self._finding(posting) if is_its_card else Finding.DISPUTED)

    def take_chip_detail(self, request: Request) -> Verdict:
        """0320 205: the upload of a sale made online with a chip, and its TC."""
        told = ChipDetail.decode(request.message.text(62))
        kind, card = TransactionClass.SALE, request.card(self._hsm)
        request.message.binary(55)
        proof = request.chip_proof(kind, told.stan, told.amount, told.currency)
        posting = posting_of(request, told.stan, kind, card, told.amount, told.currency, Source.UPLOAD)
        finding = self._finding(posting) if card.group is told.group else Finding.DISPUTED
        return self._uploaded(posting, finding, proof)

    def take_proof(self, request: Request) -> Verdict:
        """0320 203, 204, 206: what the chip said in the end. Money is in other messages."""
        told = ChipDetail.decode(request.message.text(62))
        return self._proof(request, _proof_class(request), told.stan, told.amount, told.currency)

    # --- edc

    def take_record(self, request: Request) -> Verdict:
        """0320: as `take_detail`, but the transaction is told in the message's own fields; or its chip data alone."""
        if is_proof(request):
            return self._take_chip_record(request)
        kind = CLASS_OF.get(request.reference.message_type)
        if kind is None:
            return Verdict(CODE_INVALID_TRANSACTION)
        stan = OriginalMessage.decode(request.message.text(62)).stan
        card = request.card(self._hsm)
        amount, currency = request.amount, request.currency
        proof = request.chip_proof(kind, stan, amount, currency)
        posting = posting_of(request, stan, kind, card, amount, currency, Source.UPLOAD)
        return self._uploaded(posting, self._finding(posting), proof)

    def _take_chip_record(self, request: Request) -> Verdict:
        """0320/940000: approved or declined, as the cryptogram says."""
        stan = OriginalMessage.decode(request.message.text(62)).stan
        cryptogram = ChipData.decode(request.message.binary(55)).cryptogram
        kind = TransactionClass.SALE if cryptogram is Cryptogram.TC else TransactionClass.DECLINED
        return self._proof(request, kind, stan, request.amount, request.currency)

    # --- both

    def _proof(
        self, request: Request, kind: TransactionClass, stan: int, amount: int, currency: int
    ) -> Verdict:
        card = request.card(self._hsm)
        request.message.binary(55)
        proof = request.chip_proof(kind, stan, amount, currency)
        booked = self._ledger.posting(request.place_of(stan))
        named = posting_of(request, stan, kind, card, amount, currency, Source.UPLOAD)
        declined = kind is TransactionClass.DECLINED
        agrees = booked is None if declined else booked is not None and same_money(booked, named)
        finding = Finding.AGREES if agrees else Finding.DISPUTED
        return Verdict(CODE_APPROVED, tuple(replace(one, finding=finding) for one in proof))

    def _uploaded(self, posting: Posting, finding: Finding, proof: tuple[ChipProof, ...] = ()) -> Verdict:
        upload = Upload(posting.tid, posting.batch, posting.stan, posting.amount, finding)
        rows: tuple[Row, ...] = (posting, upload) if finding is Finding.POSTED else (upload,)
        return Verdict(CODE_APPROVED, (*rows, *(replace(one, finding=finding) for one in proof)))

    def _finding(self, posting: Posting) -> Finding:
        place = Place(posting.tid, posting.batch, posting.stan)
        booked = self._ledger.posting(place)
        if booked is not None:
            return Finding.AGREES if same_money(booked, posting) else Finding.DISPUTED
        if self._ledger.was_turned_away(place) or not self._may_give_back(posting):
            return Finding.DISPUTED
        return Finding.POSTED

    def _may_give_back(self, posting: Posting) -> bool:
        """An upload gives nothing back that its own message could not: no more than is left of the sale it names."""
        if SIDE[posting.transaction_class] is not Side.CREDIT:
            return True
        sale = Place(posting.tid, posting.batch, posting.original)
        return posting.amount <= self._ledger.refundable(sale)


def counted(request: Request, verdict: Verdict) -> Verdict:
    """An upload that is refused counts among those received, so that the batch can end."""
    if verdict.rows:
        return verdict
    if is_proof(request):
        kind = _proof_class(request)
        return replace(verdict, rows=(ChipProof(*request.place, kind, bytes(8), Finding.REFUSED),))
    if request.kind in _UPLOADS:
        return replace(verdict, rows=(Upload(*request.place, 0, Finding.REFUSED),))
    return verdict


def _proof_class(request: Request) -> TransactionClass:
    approved = request.reference.network_code == NETWORK_CODE_CHIP_BALANCED
    return TransactionClass.SALE if approved else TransactionClass.DECLINED


def is_proof(request: Request) -> bool:
    is_edc = request.kind == ("0320", NETWORK_CODE_NONE)
    return request.kind in _PROOFS or (is_edc and request.message.fields.get(3) == PROCESSING_CHIP_PROOF)
