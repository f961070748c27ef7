"""The receipt that an acquirer's findings amount to. Pure; the desk and the acquirer's command line both use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .documents import Signed
from .documents.order import Order
from .documents.receipt import Basis, Receipt, ReceiptContext, Refusal
from .documents.seal import Seal, SealedContext
from .money import Tally

NOTHING: Final = Tally()


@dataclass(frozen=True, slots=True)
class Findings:
    """What the acquirer found of one context, in its currency's minor units."""

    delivered: Tally = NOTHING
    refused: Tally = NOTHING
    undelivered: Tally = NOTHING
    withheld: Tally = NOTHING
    refusals: tuple[Refusal, ...] = ()
    held: Tally = NOTHING


@dataclass(frozen=True, slots=True)
class Terms:
    """What the acquirer decides about a receipt, beside the findings."""

    receipt_id: str
    issuer: str
    issued_at: int
    basis: Basis = Basis.AGREED
    remark: str = ""


def all_delivered(context: SealedContext) -> Findings:
    """The findings where everything that the seal counts in its totals was delivered."""
    totals = Tally()
    for group in context.totals:
        totals = totals + group.debit + group.credit
    return Findings(delivered=totals)


def receipt_over(
    order: Signed[Order], seal: Signed[Seal], findings: Mapping[int, Findings], terms: Terms
) -> Receipt:
    """A receipt over ``seal`` with ``findings`` by context index, one for every context that is not empty."""
    return Receipt(
        receipt_id=terms.receipt_id,
        basis=terms.basis,
        serial=seal.body.serial,
        order_digest=order.digest,
        seal_digest=seal.digest,
        challenge=seal.body.challenge,
        issued_at=terms.issued_at,
        issuer=terms.issuer,
        contexts=tuple(
            _context(context, findings[context.index])
            for context in seal.body.contexts
            if not context.is_empty
        ),
        remark=terms.remark,
    )


def _context(context: SealedContext, findings: Findings) -> ReceiptContext:
    return ReceiptContext(
        index=context.index,
        currency=context.currency,
        totals=context.totals,
        delivered=findings.delivered,
        refused=findings.refused,
        undelivered=findings.undelivered,
        withheld=findings.withheld,
        refusals=findings.refusals,
        held=findings.held,
    )
