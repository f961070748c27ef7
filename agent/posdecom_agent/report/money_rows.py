"""The money of a certificate, account by account: what the terminal had sealed and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posdecom_protocol.chain import Chain
from posdecom_protocol.documents.receipt import ReceiptContext
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.money import Tally

from ..case.kinds import Words
from ..case.money import amount_text
from ..sentences import sentence
from . import labels
from .paper import INK, RED, Colour
from .table import Cell, Column

CELLS: Final = (
    Column(labels.ACCOUNT, 50),
    Column(labels.BATCH, 14),
    Column(labels.DEBIT, 28),
    Column(labels.CREDIT, 26),
    Column(labels.DELIVERED, 28),
    Column(labels.LEFT, 34),
)


@dataclass(frozen=True, slots=True)
class MoneyRow:
    cells: tuple[Cell, ...]
    colour: Colour
    """Red where not everything was delivered."""


def money_rows(chain: Chain) -> list[MoneyRow]:
    """One for each context of the seal that held anything; none where the terminal never spoke."""
    if chain.seal is None:
        return []
    received = {one.index: one for one in chain.receipts[0].body.contexts} if chain.receipts else {}
    contexts = [one for one in chain.seal.body.contexts if one.has_items or one.classes]
    return [_row(context, received.get(context.index)) for context in contexts]


def finding_words(text: str, chain: Chain) -> Words:
    """A sentence of the verdict, for this certificate."""
    return sentence(text, () if chain.seal is None else chain.seal.body.contexts)


def _row(context: SealedContext, received: ReceiptContext | None) -> MoneyRow:
    debit = _sum([totals.debit for totals in context.totals])
    credit = _sum([totals.credit for totals in context.totals])
    left = [] if received is None else _left(received)
    delivered = "" if received is None else _shown(received.delivered, context.currency)
    cells = (
        f"{context.acquirer} {context.mid} {context.tid}",
        f"{context.batch:06d}",
        _shown(debit, context.currency),
        _shown(credit, context.currency),
        delivered,
        Words(", ".join(one.en for one in left), "，".join(one.zh for one in left)) if left else "–",
    )
    return MoneyRow(cells, RED if left else INK)


def _left(received: ReceiptContext) -> list[Words]:
    named = (
        (labels.REFUSED, received.refused),
        (labels.UNDELIVERED, received.undelivered),
        (labels.WITHHELD, received.withheld),
    )
    left = [(words, _shown(tally, received.currency)) for words, tally in named if tally != Tally()]
    return [Words(f"{words.en} {shown}", f"{words.zh} {shown}") for words, shown in left]


def _shown(tally: Tally, currency: int) -> str:
    return f"{amount_text(tally.amount, currency)} ({tally.count})"


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(sum(one.count for one in tallies), sum(one.amount for one in tallies))
