"""What a certificate amounts to: derived from the documents inside it, never believed.

`judge` takes the checked documents of a `.posdecom` file (`chain`) and derives the state from what they say. Anything
forged, damaged or overstated is a `DocumentError`; what is merely absent makes the state worse and is named. Open
paperwork is listed and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from .certificates import Anchors, Signer
from .chain import FILE_BYTES_MAX as FILE_BYTES_MAX
from .chain import Chain, check_supersedes, open_chain
from .chain import split as split
from .documents import Signed
from .documents.certificate import Certificate, Standing, State
from .documents.closure import Closure
from .documents.order import Order
from .documents.receipt import Basis, ReceiptContext
from .documents.remedy import Held, Means, Remedy
from .documents.salvage import Salvage
from .documents.seal import Tamper
from .errors import DocumentError
from .held import HeldItem, held_items
from .money import CardGroup, Tally
from .wording import N_


class Area(StrEnum):
    MONEY = "money"
    HELD = "held"
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
    held: tuple[HeldItem, ...]
    """What the receipt lists for people to follow, with the remedies stated so far."""

    @property
    def supersedes(self) -> bytes | None:
        """Digest of the certificate that this one takes the place of."""
        return self.certificate.body.supersedes


def judge(data: bytes, anchors: Anchors) -> Verdict:
    """The verdict over a `.posdecom` file; `DocumentError` if anything in it is broken, forged or overstated."""
    chain, signers = open_chain(data, anchors)
    held = held_items(chain.receipts[0].body, chain.certificate.body.remedies) if chain.receipts else ()
    findings = (*_money(chain), *_held(held), *_keys(chain), *_paperwork(chain))
    at_terminal = _state(chain, findings)
    if chain.certificate.body.stated < at_terminal:
        raise DocumentError("certificate.stated", N_("is better than the documents inside allow"))
    with_closure = (*findings, *_closure(chain))
    return Verdict(
        state=_state(chain, with_closure),
        state_at_terminal=at_terminal,
        serial=chain.certificate.body.serial,
        certificate=chain.certificate,
        closure=chain.closure,
        findings=with_closure,
        signers=tuple(signers.items()),
        held=held,
    )


def judge_succession(files: Sequence[bytes], anchors: Anchors) -> tuple[Verdict, ...]:
    """The verdicts over several `.posdecom` files of one case, oldest first, whatever their order.

    `DocumentError` unless each but the oldest supersedes one of the others, none twice, and changes nothing that
    terminal and acquirer had signed. The oldest may supersede one that is not given.
    """
    left = {verdict.certificate.digest: verdict for verdict in (judge(data, anchors) for data in files)}
    newest = [digest for digest in left if digest not in {one.supersedes for one in left.values()}]
    if len(left) != len(files) or len(newest) != 1:
        raise DocumentError("certificates", N_("are not one line of certificates, each superseding the next"))
    line = [left.pop(newest[0])]
    while (older := left.pop(line[-1].supersedes or b"", None)) is not None:
        check_supersedes(line[-1].certificate.body, older.certificate)
        line.append(older)
    # any other would be superseded by one of the others, in a circle, and a digest makes none
    assert not left
    return tuple(reversed(line))


# --- findings ------------------------------------------------------------------------------------


def _money(chain: Chain) -> Iterator[Finding]:
    if chain.seal is None:
        yield from _without_seal(chain.certificate.body.salvage)
        return
    if chain.seal.body.tamper is Tamper.TAMPERED:
        yield Finding(
            Area.MONEY, Weight.EXCEPTION, N_("the terminal reported tampering before it was sealed")
        )
    for preauth in chain.seal.body.preauths:
        yield Finding(
            Area.MONEY,
            Weight.NOTE,
            N_("open pre-authorisation, STAN {stan:06d}, in no total", stan=preauth.stan),
        )
    if not chain.receipts:
        yield Finding(Area.MONEY, Weight.MISSING, N_("no receipt: the acquirer has not agreed to the batch"))
        return
    receipt = chain.receipts[0].body
    if receipt.basis is Basis.EXCEPTION:
        yield Finding(Area.MONEY, Weight.EXCEPTION, N_("released by exception, with two acquirer signatures"))
    for context in receipt.contexts:
        yield from _context_findings(context)
        if receipt.basis is Basis.EXCEPTION:
            yield from _at_stake(context)
    if receipt.remark:
        yield Finding(Area.MONEY, Weight.NOTE, N_("the acquirer remarks: {remark}", remark=receipt.remark))
    if not receipt.contexts:
        yield Finding(Area.MONEY, Weight.PROVED, N_("the terminal held no transaction"))


def _without_seal(salvage: Salvage | None) -> Iterator[Finding]:
    """What was salvaged is told as what it is: read from a terminal that could not sign for it."""
    if salvage is None:
        yield Finding(Area.MONEY, Weight.MISSING, N_("no seal: nobody knows what the terminal held"))
        return
    yield Finding(
        Area.MONEY,
        Weight.MISSING,
        N_(
            "no seal: the terminal was tampered with; {count} records salvaged, unsigned", count=salvage.count
        ),
    )
    for one in salvage.sums:
        text = N_(
            "salvaged, currency {currency:03d}: debit {debit}, credit {credit}",
            currency=one.currency,
            debit=_amount(one.debit),
            credit=_amount(one.credit),
        )
        yield Finding(Area.MONEY, Weight.NOTE, text)
    yield Finding(
        Area.MONEY, Weight.NOTE, N_("digest of the salvaged records: {digest}", digest=salvage.digest.hex())
    )


def _context_findings(context: ReceiptContext) -> Iterator[Finding]:
    name = _context(context.index, context.currency)
    for word, tally, is_there in (
        (N_("refused by the host"), context.refused, context.refused != Tally() or context.refusals),
        (N_("not delivered"), context.undelivered, context.undelivered != Tally()),
        (N_("withheld after the cut-off"), context.withheld, context.withheld != Tally()),
    ):
        if is_there:
            yield Finding(Area.MONEY, Weight.EXCEPTION, _sum(name, tally, word))
    yield Finding(Area.MONEY, Weight.PROVED, _sum(name, context.delivered, N_("delivered and agreed")))


def _at_stake(context: ReceiptContext) -> Iterator[Finding]:
    """By card group, what the terminal had sealed: an exception may have lost any of it."""
    for totals in context.totals:
        sealed = N_(
            "{context}, {group} cards: sealed debit {debit}, credit {credit}",
            context=_context(context.index, context.currency),
            group=_GROUPS[totals.group],
            debit=_amount(totals.debit),
            credit=_amount(totals.credit),
        )
        yield Finding(Area.MONEY, Weight.NOTE, sealed)


def _context(index: int, currency: int) -> str:
    return N_("context {index}, currency {currency:03d}", index=index, currency=currency)


def _amount(tally: Tally) -> str:
    return N_("{count} transactions ({amount} in minor units)", count=tally.count, amount=tally.amount)


def _sum(context: str, tally: Tally, what: str) -> str:
    return N_("{context}: {sum} {what}", context=context, sum=_amount(tally), what=what)


_GROUPS: Final = {CardGroup.DOMESTIC: N_("domestic"), CardGroup.FOREIGN: N_("foreign")}
_HELD_FOR: Final = {
    Held.WITHHELD: N_("sold offline after the cut-off, nobody charged"),
    Held.SOLD_LATE: N_("sold online after the cut-off, settled all the same"),
    Held.REFUND: N_("refunded, not yet through"),
}
_MEANS: Final = {
    Means.CHARGED_AGAIN: N_("charged again on another terminal"),
    Means.RETURNED: N_("returned by the bank"),
    Means.AGREED: N_("agreed with the customer"),
}


def _held(items: Sequence[HeldItem]) -> Iterator[Finding]:
    """Listed for whoever has to follow it. Neither the list nor a person's word about it changes the state."""
    for item in items:
        name = _context(item.context, item.currency)
        yield Finding(Area.HELD, Weight.NOTE, _sum(name, item.listed, _HELD_FOR[item.held]))
        for remedy in item.remedies:
            yield Finding(Area.HELD, Weight.NOTE, _about(name, _stated(remedy)))
        if item.open.count:
            yield Finding(Area.HELD, Weight.NOTE, _about(name, N_("open: {what}", what=_amount(item.open))))


def _about(context: str, words: str) -> str:
    return N_("{where}: {reason}", where=context, reason=words)


def _stated(remedy: Remedy) -> str:
    means = _MEANS[remedy.means]
    if remedy.agreed_for is not None:
        means = N_("{means} for {day}", means=means, day=_day(remedy.agreed_for))
    return N_(
        "{sum} {means}, as {name} stated on {day}, reference {reference}",
        sum=_amount(remedy.tally),
        means=means,
        name=remedy.by,
        day=_day(remedy.stated_at),
        reference=remedy.reference,
    )


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def _keys(chain: Chain) -> Iterator[Finding]:
    if chain.evidence is None:
        yield Finding(Area.KEYS, Weight.MISSING, N_("no evidence that any key was erased"))
        return
    evidence = chain.evidence.body
    if evidence.every_slot_is_empty:
        yield Finding(
            Area.KEYS, Weight.PROVED, N_("{count} key slots, each read back empty", count=len(evidence.slots))
        )
    else:
        yield Finding(Area.KEYS, Weight.MISSING, N_("not every key slot was read back empty"))
    if evidence.tamper is Tamper.TAMPERED:
        yield Finding(Area.KEYS, Weight.EXCEPTION, N_("the terminal reported tampering before the erase"))
    for slot in evidence.to_be_destroyed:
        yield Finding(
            Area.KEYS, Weight.NOTE, N_("to be destroyed after signing this evidence: {slot}", slot=slot)
        )
    for kept in evidence.kept:
        yield Finding(Area.KEYS, Weight.NOTE, N_("kept: {what} ({why})", what=kept.what, why=kept.why))


def _closure(chain: Chain) -> Iterator[Finding]:
    if chain.closure is None:
        yield Finding(Area.CLOSURE, Weight.MISSING, N_("no closure: complete at the terminal at best"))
        return
    body = chain.closure.body
    yield Finding(Area.CLOSURE, Weight.PROVED, N_("the acquirer saw this certificate and closed it"))
    if not body.has_forgotten_the_terminal or not _has_revoked_what_was_ordered(chain.order, body):
        yield Finding(
            Area.CLOSURE, Weight.MISSING, N_("the acquirer still knows a key or certificate of the terminal")
        )
    if body.refunds_open:
        yield Finding(
            Area.CLOSURE, Weight.EXCEPTION, N_("{count} refunds not yet closed", count=body.refunds_open)
        )
    if body.remark:
        yield Finding(Area.CLOSURE, Weight.NOTE, N_("the acquirer remarks: {remark}", remark=body.remark))
    for remedy in chain.certificate.body.remedies:
        if remedy.held is Held.REFUND:
            yield Finding(
                Area.CLOSURE,
                Weight.NOTE,
                _about(N_("context {index}", index=remedy.context), _stated(remedy)),
            )


def _has_revoked_what_was_ordered(order: Signed[Order] | None, closure: Closure) -> bool:
    """Where the terminal could not be reached, the order lists what the acquirer has to revoke."""
    ordered = () if order is None or order.body.revoke is None else order.body.revoke
    return set(ordered) <= {*closure.ksn_denied, *closure.certificates_revoked}


def _paperwork(chain: Chain) -> Iterator[Finding]:
    for point in chain.certificate.body.case:
        if point.standing is Standing.OPEN:
            yield Finding(Area.PAPERWORK, Weight.NOTE, N_("open: {what}", what=point.point))


def _state(chain: Chain, findings: Iterable[Finding]) -> State:
    """Without the terminal's own signature there is nothing to be complete or incomplete about."""
    weights = {finding.weight for finding in findings}
    if chain.seal is None:
        return State.UNATTESTED
    if Weight.MISSING in weights:
        return State.INCOMPLETE
    return State.EXCEPTIONS if Weight.EXCEPTION in weights else State.COMPLETE
