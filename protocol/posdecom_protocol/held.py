"""What a receipt leaves for people to follow, and what they state was done about it. Pure.

The list comes from what the acquirer signed; remedies only take from it, and never more than is on it. They change no
state: a person's word is listed and is no proof. Refunds are not on the list: the acquirer counts them in each closure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .documents.receipt import Receipt
from .documents.remedy import Held, Means, Remedy
from .errors import DocumentError
from .money import Tally
from .wording import N_


@dataclass(frozen=True, slots=True)
class HeldItem:
    """One kind of held money of one context."""

    held: Held
    context: int
    currency: int
    listed: Tally
    """By the receipt, in minor units."""
    remedies: tuple[Remedy, ...]

    @property
    def open(self) -> Tally:
        """What no remedy was stated for."""
        closed = sum((one.tally for one in self.remedies), Tally())
        return Tally(self.listed.count - closed.count, self.listed.amount - closed.amount)


def held_items(receipt: Receipt, remedies: Sequence[Remedy]) -> tuple[HeldItem, ...]:
    """What ``receipt`` lists, by context; `DocumentError` where ``remedies`` do not fit it."""
    currencies = {context.index: context.currency for context in receipt.contexts}
    for one in remedies:
        _check(one, currencies)
    items = tuple(
        HeldItem(held, context.index, context.currency, tally, _of(remedies, held, context.index))
        for context in receipt.contexts
        for held, tally in ((Held.WITHHELD, context.withheld), (Held.SOLD_LATE, context.held))
    )
    for item in items:
        if not _is_possible(item.open):
            raise DocumentError(
                "remedies", N_("close more than is held in context {context}", context=item.context)
            )
    return tuple(item for item in items if item.listed != Tally())


def _check(remedy: Remedy, currencies: dict[int, int]) -> None:
    if remedy.context not in currencies:
        raise DocumentError(
            "remedies",
            N_("speak of context {context}, which the receipt does not have", context=remedy.context),
        )
    if not remedy.tally.count:
        raise DocumentError("remedies", N_("close nothing"))
    if (remedy.agreed_for is not None) != (remedy.means is Means.AGREED):
        raise DocumentError(
            "remedies", N_("have a date exactly where something was agreed with the customer")
        )


def _of(remedies: Sequence[Remedy], held: Held, context: int) -> tuple[Remedy, ...]:
    return tuple(one for one in remedies if (one.held, one.context) == (held, context))


def _is_possible(tally: Tally) -> bool:
    """No transaction has a negative amount, and none means no amount."""
    return min(tally.count, tally.amount) >= 0 and (tally.count > 0 or tally.amount == 0)
