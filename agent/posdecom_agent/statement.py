"""The merchant's list: what the terminal held, masked, with what became of each, and totals that are the seal's.

Everything comes from the items in custody, their outcomes and the seal. Pure. Withheld sales have an item without a
message; open pre-authorisations stand in the seal by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.money import CardGroup, GroupTotals, Tally, TransactionClass
from posdecom_protocol.records import ItemKind, Summary
from posdecom_protocol.wording import N_

from .dialects import Delivered, Outcome, Refused
from .job import Job

_OFFLINE = frozenset({TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT})
_SENT = frozenset({ItemKind.ADVICE, ItemKind.REFUND, ItemKind.REVERSAL, ItemKind.PREAUTH_VOID})
"""A message of its own says what became of the transaction."""
_UNSENT = {
    ItemKind.CHIP_PROOF: N_("declined by the chip"),
    ItemKind.WITHHELD: N_("withheld after the cut-off"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One transaction."""

    context: SealedContext
    transaction_class: TransactionClass
    group: CardGroup | None
    """None for an open pre-authorisation: the seal does not say."""
    stan: int
    rrn: str
    local_time: str
    card: str
    """First six and last four digits."""
    amount: int
    """Minor units of the context's currency."""
    status: str
    counted: bool
    """Whether it is in the totals."""


@dataclass(frozen=True, slots=True)
class Sums:
    """One context; equal to what the seal says of it, or nothing would have been agreed."""

    context: SealedContext
    totals: tuple[GroupTotals, ...]
    withheld: Tally
    sealed_withheld: Tally
    """Offline sales that the seal counts and no total does."""

    @property
    def agree_with_the_seal(self) -> bool:
        sealed = {one.group: one for one in self.context.totals}
        return self.withheld == self.sealed_withheld and all(
            one == sealed.get(one.group, GroupTotals(one.group)) for one in self.totals
        )


def lines(job: Job) -> Iterator[Line]:
    """Every transaction in custody, context by context, in the order of time; then its open pre-authorisations."""
    assert job.seal is not None
    outcomes = job.outcomes()
    for context in job.seal.body.contexts:
        yield from sorted(_of_context(job, context, outcomes), key=lambda line: (line.local_time, line.stan))
        for preauth in job.seal.body.preauths:
            if preauth.context == context.index and preauth.stan not in _voided(job, context):
                yield Line(
                    context,
                    TransactionClass.PREAUTH,
                    None,
                    preauth.stan,
                    "",
                    preauth.local_time,
                    _card(preauth.first6, preauth.last4),
                    preauth.amount,
                    N_("open"),
                    counted=False,
                )


def sums(job: Job) -> Iterator[Sums]:
    """Counted again from the transactions themselves."""
    assert job.seal is not None
    for context in job.seal.body.contexts:
        totals = {group: GroupTotals(group) for group in CardGroup}
        offline, withheld = Tally(), Tally()
        for summary in _summaries(job, context, ItemKind.WITHHELD):
            withheld = withheld.plus(summary.amount)
        for summary in _summaries(job, context, ItemKind.UPLOAD):
            totals[summary.group] = totals[summary.group].plus(summary.transaction_class, summary.amount)
            if summary.transaction_class in _OFFLINE:
                offline = offline.plus(summary.amount)
        yield Sums(context, tuple(totals.values()), withheld, _less(_recorded_offline(context), offline))


def _of_context(job: Job, context: SealedContext, outcomes: dict[int, Outcome]) -> Iterator[Line]:
    sent: dict[int, str] = {}
    for sequence in range(context.item_first, context.item_last + 1):
        item = job.item(sequence)
        if item.summary is None:
            continue
        declined = item.summary.transaction_class is TransactionClass.DECLINED
        if item.kind is ItemKind.WITHHELD or (item.kind is ItemKind.CHIP_PROOF and declined):
            yield _line(context, item.summary, _UNSENT[item.kind], counted=False)
        if item.kind not in _SENT and item.kind is not ItemKind.UPLOAD:
            continue
        counted = item.kind is ItemKind.UPLOAD
        if not counted:
            sent[item.summary.stan] = _status(outcomes.get(sequence))
            if item.kind in (ItemKind.ADVICE, ItemKind.REFUND):
                continue  # its upload, which comes later, is the line
        status = sent.get(item.summary.stan, N_("posted at the time of sale"))
        yield _line(context, item.summary, status, counted)


def _line(context: SealedContext, summary: Summary, status: str, counted: bool) -> Line:
    return Line(
        context,
        summary.transaction_class,
        summary.group,
        summary.stan,
        summary.rrn.strip(),
        summary.local_time,
        _card(summary.first6, summary.last4),
        summary.amount,
        status,
        counted,
    )


def _status(outcome: Outcome | None) -> str:
    match outcome:
        case None:
            return N_("not sent yet")
        case Delivered():
            return N_("delivered")
        case Refused(code):
            return N_("refused by the host ({code})", code=code)


def _card(first6: str, last4: str) -> str:
    return f"{first6}...{last4}"


def _summaries(job: Job, context: SealedContext, kind: ItemKind) -> Iterator[Summary]:
    for sequence in range(context.item_first, context.item_last + 1):
        item = job.item(sequence)
        if item.kind is kind and item.summary is not None:
            yield item.summary


def _voided(job: Job, context: SealedContext) -> set[int]:
    found = set()
    for sequence in range(context.item_first, context.item_last + 1):
        item = job.item(sequence)
        if item.kind is ItemKind.PREAUTH_VOID and item.summary is not None:
            found.add(item.summary.stan)
    return found


def _recorded_offline(context: SealedContext) -> Tally:
    recorded = (one.tally for one in context.classes if one.transaction_class in _OFFLINE)
    return sum(recorded, Tally())


def _less(whole: Tally, part: Tally) -> Tally:
    return Tally(whole.count - part.count, whole.amount - part.amount)
