"""The money of a certificate, account by account: what the terminal had sealed and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from posdecom_protocol.chain import Chain
from posdecom_protocol.documents.receipt import ReceiptContext
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.money import Tally
from posdecom_protocol.wording import Text

from ..case.kinds import Words
from ..case.money import amount_text
from ..wording import N_, said
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
    """A sentence of the verdict in both languages, with accounts by name and amounts as people write them."""
    reworded = _reworded(text, chain, None) if isinstance(text, Text) else text
    return Words(str(reworded), said(reworded, "zh"))


_CONTEXT: Final = "context {index}, currency {currency:03d}"
_AMOUNT: Final = "{count} transactions ({amount} in minor units)"


def _reworded(text: Text, chain: Chain, currency: int | None) -> Text:
    """What the verdict says by index and in minor units; a sentence of any other form stays as it is."""
    found = text.parameters
    if text.template == _CONTEXT and chain.seal is not None:
        account = chain.seal.body.contexts[_number(found, "index")]
        return N_(
            "account {mid} {tid}, batch {batch}",
            mid=account.mid,
            tid=account.tid,
            batch=f"{account.batch:06d}",
        )
    if text.template == _AMOUNT and currency is not None:
        amount = amount_text(_number(found, "amount"), currency)
        return N_("{count} transactions, {amount}", count=found["count"], amount=amount)
    inner = [value.parameters for value in found.values() if isinstance(value, Text)]
    currency = next((_number(one, "currency") for one in inner if "currency" in one), currency)
    parts = {
        name: _reworded(value, chain, currency) if isinstance(value, Text) else value
        for name, value in found.items()
    }
    return N_(text.template, **parts)


def _number(parameters: Mapping[str, object], name: str) -> int:
    value = parameters[name]
    assert isinstance(value, int)
    return value


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
