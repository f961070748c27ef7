"""What a certificate amounts to: derived from the documents inside it, never believed.

`judge` takes the checked documents of a `.posdecom` file (`chain`) and derives the state from what they say. Anything
forged, damaged or overstated is a `DocumentError`; what is merely absent makes the state worse and is named. Open
paperwork is listed and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from .certificates import Anchors, Signer
from .chain import FILE_BYTES_MAX as FILE_BYTES_MAX
from .chain import Chain, open_chain
from .chain import split as split
from .documents import Signed
from .documents.certificate import Certificate, Standing, State
from .documents.closure import Closure
from .documents.order import Order
from .documents.receipt import Basis, ReceiptContext
from .documents.seal import Tamper
from .errors import DocumentError
from .money import Tally


class Area(StrEnum):
    MONEY = "money"
    KEYS = "keys"
    CLOSURE = "closure"
    PAPERWORK = "paperwork"


class Weight(StrEnum):
    PROVED = "proved"
    EXCEPTION = "exception"
    MISSING = "missing"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    area: Area
    weight: Weight
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The derived state, and why."""

    state: State
    state_at_terminal: State
    serial: str
    certificate: Signed[Certificate]
    closure: Signed[Closure] | None
    findings: tuple[Finding, ...]
    signers: tuple[tuple[str, Signer], ...]
    """Document name and who signed it."""


def judge(data: bytes, anchors: Anchors) -> Verdict:
    """The verdict over a `.posdecom` file; `DocumentError` if anything in it is broken, forged or overstated."""
    chain, signers = open_chain(data, anchors)
    findings = (*_money(chain), *_keys(chain), *_paperwork(chain))
    at_terminal = _state(chain, findings)
    if chain.certificate.body.stated < at_terminal:
        raise DocumentError("certificate.stated", "is better than the documents inside allow")
    with_closure = (*findings, *_closure(chain))
    return Verdict(
        state=_state(chain, with_closure),
        state_at_terminal=at_terminal,
        serial=chain.certificate.body.serial,
        certificate=chain.certificate,
        closure=chain.closure,
        findings=with_closure,
        signers=tuple(signers.items()),
    )


# --- findings ------------------------------------------------------------------------------------


def _money(chain: Chain) -> Iterator[Finding]:
    if chain.seal is None:
        yield Finding(Area.MONEY, Weight.MISSING, "no seal: nobody knows what the terminal held")
        return
    if chain.seal.body.tamper is Tamper.TAMPERED:
        yield Finding(Area.MONEY, Weight.EXCEPTION, "the terminal reported tampering before it was sealed")
    for preauth in chain.seal.body.preauths:
        yield Finding(
            Area.MONEY, Weight.NOTE, f"open pre-authorisation, STAN {preauth.stan:06d}, in no total"
        )
    if not chain.receipts:
        yield Finding(Area.MONEY, Weight.MISSING, "no receipt: the acquirer has not agreed to the batch")
        return
    receipt = chain.receipts[0].body
    if receipt.basis is Basis.EXCEPTION:
        yield Finding(Area.MONEY, Weight.EXCEPTION, "released by exception, with two acquirer signatures")
    for context in receipt.contexts:
        yield from _context_findings(context)
        if receipt.basis is Basis.EXCEPTION:
            yield from _at_stake(context)
    if receipt.remark:
        yield Finding(Area.MONEY, Weight.NOTE, f"the acquirer remarks: {receipt.remark}")
    if not receipt.contexts:
        yield Finding(Area.MONEY, Weight.PROVED, "the terminal held no transaction")


def _context_findings(context: ReceiptContext) -> Iterator[Finding]:
    name = f"context {context.index}, currency {context.currency:03d}"
    for word, tally, is_there in (
        ("refused by the host", context.refused, context.refused != Tally() or context.refusals),
        ("not delivered", context.undelivered, context.undelivered != Tally()),
        ("withheld after the cut-off", context.withheld, context.withheld != Tally()),
    ):
        if is_there:
            yield Finding(Area.MONEY, Weight.EXCEPTION, f"{name}: {_amount(tally)} {word}")
    yield Finding(Area.MONEY, Weight.PROVED, f"{name}: {_amount(context.delivered)} delivered and agreed")


def _at_stake(context: ReceiptContext) -> Iterator[Finding]:
    """By card group, what the terminal had sealed: an exception may have lost any of it."""
    for totals in context.totals:
        group = f"context {context.index}, currency {context.currency:03d}, {totals.group.name.lower()} cards"
        sides = f"debit {_amount(totals.debit)}, credit {_amount(totals.credit)}"
        yield Finding(Area.MONEY, Weight.NOTE, f"{group}: sealed {sides}")


def _amount(tally: Tally) -> str:
    return f"{tally.count} transactions ({tally.amount} in minor units)"


def _keys(chain: Chain) -> Iterator[Finding]:
    if chain.evidence is None:
        yield Finding(Area.KEYS, Weight.MISSING, "no evidence that any key was erased")
        return
    evidence = chain.evidence.body
    if evidence.every_slot_is_empty:
        yield Finding(Area.KEYS, Weight.PROVED, f"{len(evidence.slots)} key slots, each read back empty")
    else:
        yield Finding(Area.KEYS, Weight.MISSING, "not every key slot was read back empty")
    if evidence.tamper is Tamper.TAMPERED:
        yield Finding(Area.KEYS, Weight.EXCEPTION, "the terminal reported tampering before the erase")
    for slot in evidence.to_be_destroyed:
        yield Finding(Area.KEYS, Weight.NOTE, f"to be destroyed after signing this evidence: {slot}")
    for kept in evidence.kept:
        yield Finding(Area.KEYS, Weight.NOTE, f"kept: {kept.what} ({kept.why})")


def _closure(chain: Chain) -> Iterator[Finding]:
    if chain.closure is None:
        yield Finding(Area.CLOSURE, Weight.MISSING, "no closure: complete at the terminal at best")
        return
    body = chain.closure.body
    yield Finding(Area.CLOSURE, Weight.PROVED, "the acquirer saw this certificate and closed it")
    if not body.has_forgotten_the_terminal or not _has_revoked_what_was_ordered(chain.order, body):
        yield Finding(
            Area.CLOSURE, Weight.MISSING, "the acquirer still knows a key or certificate of the terminal"
        )
    if body.refunds_open:
        yield Finding(Area.CLOSURE, Weight.EXCEPTION, f"{body.refunds_open} refunds not yet closed")


def _has_revoked_what_was_ordered(order: Signed[Order] | None, closure: Closure) -> bool:
    """Where the terminal could not be reached, the order lists what the acquirer has to revoke."""
    ordered = () if order is None or order.body.revoke is None else order.body.revoke
    return set(ordered) <= {*closure.ksn_denied, *closure.certificates_revoked}


def _paperwork(chain: Chain) -> Iterator[Finding]:
    for point in chain.certificate.body.case:
        if point.standing is Standing.OPEN:
            yield Finding(Area.PAPERWORK, Weight.NOTE, f"open: {point.point}")


def _state(chain: Chain, findings: Iterable[Finding]) -> State:
    """Without the terminal's own signature there is nothing to be complete or incomplete about."""
    weights = {finding.weight for finding in findings}
    if chain.seal is None:
        return State.UNATTESTED
    if Weight.MISSING in weights:
        return State.INCOMPLETE
    return State.EXCEPTIONS if Weight.EXCEPTION in weights else State.COMPLETE
