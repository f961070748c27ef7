"""What a terminal asks before it freezes, releases its erase, or thaws. Pure: documents and what it holds go in.

The release is the one that destroys: ten conditions, one function each, in the table `RELEASE`. The terminal runs them;
the acquirer's desk and `verdict` run the same table over the same bytes, so that nobody has a second opinion about
what a valid receipt is. Time plays no part after the freeze: everything is bound by the seal's challenge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import cose
from .certificates import Anchors, Role, Signer, claims, validate
from .documents import Signed, authenticate, open_document
from .documents.cancellation import Cancellation
from .documents.order import Account, Action, Order
from .documents.receipt import Receipt, ReceiptContext
from .documents.seal import Seal, SealedContext, Tamper
from .errors import DocumentError, PosdecomError
from .lifecycle import LifecycleState
from .messages import Refusal
from .money import GroupTotals, Tally


class GuardRefusal(PosdecomError):
    """A document does not do what it was offered for; ``reason`` names the first condition that failed."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(f"refused: {reason.name.lower().replace('_', ' ')}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Holding:
    """What the terminal knows of itself while it is frozen."""

    serial: str
    state: LifecycleState
    anchors: Anchors
    """The acquirer's."""
    order: Signed[Order]
    order_signer: Signer
    seal: Signed[Seal]


@dataclass(frozen=True, slots=True)
class Release:
    """Receipts that satisfy every condition: the seal's owner may erase."""

    receipt: Receipt
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Offer:
    """Receipts as offered, read but not yet judged."""

    signed: tuple[Signed[Receipt], ...]
    holding: Holding

    @property
    def receipt(self) -> Receipt:
        return self.signed[0].body


# --- the ten conditions --------------------------------------------------------------------------


def _issuer_chain(offer: _Offer) -> bool:
    """Every signer descends from the authority that issued the order, whatever its role."""
    return all(
        _issuer_id(signed, offer.holding.anchors) == offer.holding.order_signer.issuer_id
        for signed in offer.signed
    )


def _role(offer: _Offer) -> bool:
    """The first signer has the role release, the second approver or release, in every CA above too."""
    anchors = offer.holding.anchors
    first, *rest = offer.signed
    return _has_role(first, Role.RELEASE, anchors) and all(
        _has_role(second, Role.APPROVER, anchors) or _has_role(second, Role.RELEASE, anchors)
        for second in rest
    )


def _signatures(offer: _Offer) -> bool:
    """Valid signatures by different keys over one payload, as many as are needed; never the key of the order."""
    keys = {offer.holding.order_signer.public_key, *(_signing_key(signed) for signed in offer.signed)}
    payloads = {signed.sign1.payload for signed in offer.signed}
    if None in keys or len(keys) != 1 + len(offer.signed) or len(payloads) != 1:
        return False
    return len(offer.signed) == 2 or not needs_second_signature(offer.receipt, offer.holding.seal.body)


def _terminal(offer: _Offer) -> bool:
    return offer.receipt.serial == offer.holding.serial


def _order(offer: _Offer) -> bool:
    return offer.receipt.order_digest == offer.holding.order.digest


def _seal(offer: _Offer) -> bool:
    """The seal's digest and, in its order, each context that is not empty with its currency and totals."""
    seal = offer.holding.seal
    sealed = [_agreed(context) for context in seal.body.contexts if not context.is_empty]
    agreed = [_agreed(context) for context in offer.receipt.contexts]
    accounted = all(_accounts_for_its_totals(context) for context in offer.receipt.contexts)
    return offer.receipt.seal_digest == seal.digest and sealed == agreed and accounted


def _challenge(offer: _Offer) -> bool:
    return offer.receipt.challenge == offer.holding.seal.body.challenge


def _action(offer: _Offer) -> bool:
    return Action.ERASE in offer.holding.order.body.actions


def _state(offer: _Offer) -> bool:
    return offer.holding.state is LifecycleState.FROZEN


RELEASE: Final[tuple[tuple[Refusal, Callable[[_Offer], bool]], ...]] = (
    (Refusal.ISSUER_CHAIN, _issuer_chain),
    (Refusal.ROLE, _role),
    (Refusal.SIGNATURES, _signatures),
    (Refusal.TERMINAL, _terminal),
    (Refusal.ORDER, _order),
    (Refusal.SEAL, _seal),
    (Refusal.CHALLENGE, _challenge),
    (Refusal.ACTION, _action),
    (Refusal.STATE, _state),
)
"""Nine of the ten; the tenth, TYPE_AND_VERSION, is that the offer can be read as receipts at all."""


def check_release(receipts: Sequence[bytes], holding: Holding, *, erase: bool = True) -> Release:
    """The release that ``receipts`` (one or two) amount to over what the terminal holds; else `GuardRefusal`.

    ``erase`` is False for readers of a chain in which nothing was erased: an order that only settles needs no ACTION.
    """
    if not 1 <= len(receipts) <= 2:
        raise GuardRefusal(Refusal.SIGNATURES)
    offer = _Offer(tuple(_read(data, Receipt) for data in receipts), holding)
    for reason, holds in RELEASE:
        if not holds(offer) and (erase or reason is not Refusal.ACTION):
            raise GuardRefusal(reason)
    return Release(offer.receipt, tuple(signed.digest for signed in offer.signed))


def needs_second_signature(receipt: Receipt, seal: Seal) -> bool:
    """True wherever money could be lost by believing a single key, or a seal that a tampered terminal signed."""
    return receipt.needs_second_signature or seal.tamper is Tamper.TAMPERED


# --- freezing and thawing ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vacancy:
    """What the terminal knows of itself when an order arrives."""

    serial: str
    anchors: Anchors
    accounts: frozenset[Account]
    now: float
    last_record_at: float
    counter_of: Callable[[bytes], int]
    """Issuer id (32 bytes) to the last order counter taken from it, 0 where none was."""


def check_order(data: bytes, vacancy: Vacancy) -> tuple[Signed[Order], Signer]:
    """The order and its signer, where it may freeze this terminal now; else `GuardRefusal`.

    Its validity and its signer's are judged here and never again, by a clock that is not before the last record.
    """
    order = _read(data, Order)
    signer = _authentic(order, vacancy.anchors)
    body = order.body
    if body.serial != vacancy.serial:
        raise GuardRefusal(Refusal.TERMINAL)
    if not vacancy.accounts <= set(body.accounts):
        raise GuardRefusal(Refusal.ORDER_ACCOUNTS)
    if body.counter <= vacancy.counter_of(signer.issuer_id):
        raise GuardRefusal(Refusal.ORDER_STALE)
    if vacancy.now < vacancy.last_record_at:
        raise GuardRefusal(Refusal.CLOCK_IMPLAUSIBLE)
    since, until = max(body.not_before, signer.not_before), min(body.not_after, signer.not_after)
    if not since <= vacancy.now <= until:
        raise GuardRefusal(Refusal.ORDER_NOT_VALID_NOW)
    return order, signer


def check_cancellation(data: bytes, holding: Holding) -> Signed[Cancellation]:
    """The cancellation, where it thaws exactly this frozen seal; else `GuardRefusal`."""
    cancellation = _read(data, Cancellation)
    signer = _authentic(cancellation, holding.anchors)
    body = cancellation.body
    conditions = (
        (Refusal.ISSUER_CHAIN, signer.issuer_id == holding.order_signer.issuer_id),
        (Refusal.TERMINAL, body.serial == holding.serial),
        (Refusal.SEAL, body.seal_digest == holding.seal.digest and _names_its_items(body, holding.seal.body)),
        (Refusal.CHALLENGE, body.challenge == holding.seal.body.challenge),
        (Refusal.STATE, holding.state is LifecycleState.FROZEN),
    )
    for reason, holds in conditions:
        if not holds:
            raise GuardRefusal(reason)
    return cancellation


def _names_its_items(cancellation: Cancellation, seal: Seal) -> bool:
    """Ascending spans without overlap, items and contexts of this seal only, a new batch for each closed context.

    A thaw walks through them; a new batch number for a context that stays open would let its sales be booked twice.
    """
    ends = [0]
    for span in cancellation.delivered:
        if not ends[-1] < span.first <= span.last:
            return False
        ends.append(span.last)
    indexes = {context.index for context in seal.contexts}
    named = set(cancellation.closed)
    going_on = {one.context for one in cancellation.next_batches}
    return ends[-1] <= seal.item_count and named <= indexes and going_on == set(cancellation.closed)


# --- private -------------------------------------------------------------------------------------


def _accounts_for_its_totals(context: ReceiptContext) -> bool:
    """Everything in the totals was delivered, refused or given up; what is withheld is in no total."""
    total = Tally()
    for group in context.totals:
        total = total + group.debit + group.credit
    return context.delivered + context.refused + context.undelivered == total


def _agreed(context: SealedContext | ReceiptContext) -> tuple[int, int, tuple[GroupTotals, ...]]:
    """What seal and receipt must say alike of a context."""
    return context.index, context.currency, context.totals


def _read(data: bytes, kind: Any) -> Signed[Any]:
    try:
        return open_document(data, kind)
    except DocumentError as error:
        raise GuardRefusal(Refusal.TYPE_AND_VERSION) from error


def _authentic(document: Signed[Any], anchors: Anchors) -> Signer:
    """The ordinary signer of a document with one signature; the first failing condition by name if it is not."""
    if _issuer_id(document, anchors) is None:
        raise GuardRefusal(Refusal.ISSUER_CHAIN)
    if not _has_role(document, Role.ORDER, anchors):
        raise GuardRefusal(Refusal.ROLE)
    try:
        return authenticate(document, anchors, at=None)
    except DocumentError as error:
        raise GuardRefusal(Refusal.SIGNATURES) from error


def _issuer_id(document: Signed[Any], anchors: Anchors) -> bytes | None:
    """The anchor above the signer in any role that its certificate carries; None without one."""
    for role in claims(document.sign1.chain[0]).roles:
        try:
            return validate(document.sign1.chain, anchors, role, None).issuer_id
        except DocumentError:
            continue
    return None


def _has_role(document: Signed[Any], role: Role, anchors: Anchors) -> bool:
    try:
        validate(document.sign1.chain, anchors, role, None)
    except DocumentError:
        return False
    return True


def _signing_key(document: Signed[Receipt]) -> bytes | None:
    """The certificate's public key if the signature is valid under it; None if not."""
    key = claims(document.sign1.chain[0]).public_key
    try:
        cose.check_signature(document.sign1, key)
    except DocumentError:
        return None
    return key
