"""What the machine proves: derived from the signed documents alone, never from what somebody wrote into a case.

Every reader of a certificate derives these points again. What a certificate says about them is a convenience.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Final

from posdecom_protocol.documents import Signed
from posdecom_protocol.documents.certificate import CasePoint, Standing
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis, Receipt, ReceiptContext
from posdecom_protocol.documents.seal import Seal, SealedContext, Tamper
from posdecom_protocol.money import Tally
from posdecom_protocol.wording import Text

from ..wording import N_
from .kinds import Words
from .money import amount_text

PREFIX: Final = "machine."
TEXTS_SHOWN_MAX: Final = 3

DELIVERED: Final = N_("delivered {count}: {amount}").template
REFUSED: Final = N_("refused {count}: {amount}").template
UNDELIVERED: Final = N_("not delivered {count}: {amount}").template
WITHHELD: Final = N_("withheld {count}: {amount}").template


@dataclass(frozen=True, slots=True)
class Held:
    """The documents that there are: in a job, or in a certificate."""

    order: Signed[Order] | None = None
    seal: Signed[Seal] | None = None
    receipts: tuple[Signed[Receipt], ...] = ()
    evidence: Signed[Evidence] | None = None
    closure: Signed[Closure] | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """One point: proved with these words, or open with these."""

    key: str
    label: Words
    find: Callable[[Held], tuple[bool, Text]]

    def point(self, held: Held) -> CasePoint:
        proved, text = self.find(held)
        return CasePoint(self.key, Standing.PROVED if proved else Standing.OPEN, text)


def terminal_points(held: Held) -> tuple[CasePoint, ...]:
    """What is settled, one way or the other, when the certificate is made."""
    return tuple(proof.point(held) for proof in AT_THE_TERMINAL)


def closure_points(held: Held) -> tuple[CasePoint, ...]:
    """What only the acquirer's closure can prove, afterwards."""
    return tuple(proof.point(held) for proof in AT_THE_ACQUIRER)


def joined(texts: Sequence[Text]) -> Text:
    """One behind the other, each translatable, as many as fit into a point of a certificate."""
    shown, more = texts[:TEXTS_SHOWN_MAX], len(texts) - TEXTS_SHOWN_MAX
    if more > 0:
        shown = (*shown, N_("{count} more in the documents", count=more))
    *before, last = shown
    return reduce(lambda rest, text: N_("{first}; and {rest}", first=text, rest=rest), reversed(before), last)


def date_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


# --- money ---------------------------------------------------------------------------------------


def _ordered(held: Held) -> tuple[bool, Text]:
    if held.order is None:
        return False, N_("no order")
    body = held.order.body
    return True, N_(
        "order {id} of {issuer}, {time}", id=body.order_id, issuer=body.issuer, time=date_text(body.issued_at)
    )


def _spoke(held: Held) -> tuple[bool, Text]:
    if held.seal is None:
        return False, N_("the terminal never spoke")
    return True, N_("sealed {time} by its own clock", time=date_text(held.seal.body.sealed_at))


def _intact(held: Held) -> tuple[bool, Text]:
    if held.seal is None:
        return False, N_("unknown: the terminal never spoke")
    words = [held.seal.body.tamper] + ([held.evidence.body.tamper] if held.evidence else [])
    return (False, N_("tampering was reported")) if Tamper.TAMPERED in words else (True, N_("none reported"))


def _before(held: Held) -> tuple[bool, Text]:
    if held.seal is None:
        return False, N_("unknown: the terminal never spoke")
    sums = [_sealed(context) for context in held.seal.body.contexts if context.totals]
    return True, joined(sums) if sums else N_("nothing was stored")


def _sealed(context: SealedContext) -> Text:
    debit = _sum([totals.debit for totals in context.totals])
    credit = _sum([totals.credit for totals in context.totals])
    return N_(
        "debit {debits}: {debit}, credit {credits}: {credit}",
        debits=debit.count,
        debit=amount_text(debit.amount, context.currency),
        credits=credit.count,
        credit=amount_text(credit.amount, context.currency),
    )


def _counted(template: str, tally: Tally, currency: int) -> Text:
    return N_(template, count=tally.count, amount=amount_text(tally.amount, currency))


def _preauths(count: int) -> Text:
    return N_("{count} open, holding money on cards", count=count)


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(sum(one.count for one in tallies), sum(one.amount for one in tallies))


def _delivered(held: Held) -> tuple[bool, Text]:
    if not held.receipts:
        return False, N_("no receipt of the acquirer")
    contexts = held.receipts[0].body.contexts
    sums = [_counted(DELIVERED, one.delivered, one.currency) for one in contexts]
    return True, joined(sums) if sums else N_("nothing was there to deliver")


def _nothing_left(held: Held) -> tuple[bool, Text]:
    if not held.receipts:
        return False, N_("unknown: no receipt of the acquirer")
    left = [text for context in held.receipts[0].body.contexts for text in _left(context)]
    return not left, joined(left) if left else N_("nothing is left")


def _left(context: ReceiptContext) -> Iterator[Text]:
    for word, tally in (
        (REFUSED, context.refused),
        (UNDELIVERED, context.undelivered),
        (WITHHELD, context.withheld),
    ):
        if tally != Tally():
            yield _counted(word, tally, context.currency)
    if context.refusals and context.refused == Tally():
        yield N_("{count} messages refused", count=len(context.refusals))


def _agreed(held: Held) -> tuple[bool, Text]:
    if not held.receipts:
        return False, N_("no receipt of the acquirer")
    body = held.receipts[0].body
    if body.basis is not Basis.AGREED:
        return False, N_("released by exception, {count} signatures", count=len(held.receipts))
    return True, N_("receipt of {issuer}, {time}", issuer=body.issuer, time=date_text(body.issued_at))


def _no_preauth(held: Held) -> tuple[bool, Text]:
    if held.seal is None:
        return False, N_("unknown: the terminal never spoke")
    held_open = held.seal.body.preauths
    return not held_open, _preauths(len(held_open)) if held_open else N_("none")


# --- keys and closure ----------------------------------------------------------------------------


def _erased(held: Held) -> tuple[bool, Text]:
    if held.evidence is None:
        return False, N_("no evidence of the terminal")
    slots = held.evidence.body.slots
    empty = sum(slot.is_empty for slot in slots)
    text = N_("{empty} of {count} key slots read back empty", empty=empty, count=len(slots))
    return held.evidence.body.every_slot_is_empty, text


def _closed(held: Held) -> tuple[bool, Text]:
    if held.closure is None:
        return False, N_("no closure yet")
    return True, N_(
        "closed by {issuer}, {time}",
        issuer=held.closure.body.issuer,
        time=date_text(held.closure.body.closed_at),
    )


def _forgotten(held: Held) -> tuple[bool, Text]:
    if held.closure is None:
        return False, N_("no closure yet")
    body = held.closure.body
    text = N_(
        "{ksn} KSN denied, {keys} keys deleted, {certificates} certificates revoked",
        ksn=len(body.ksn_denied),
        keys=len(body.keys_deleted),
        certificates=len(body.certificates_revoked),
    )
    return body.has_forgotten_the_terminal, text


def _refunded(held: Held) -> tuple[bool, Text]:
    if held.closure is None:
        return False, N_("no closure yet")
    still_open = held.closure.body.refunds_open
    return not still_open, N_("{count} refunds still open", count=still_open) if still_open else N_(
        "none open"
    )


AT_THE_TERMINAL: Final = (
    Proof("machine.ordered", Words("Ordered by the acquirer", "收单机构下达撤机令"), _ordered),
    Proof("machine.sealed", Words("The terminal stated what it held", "终端封存并自报存量"), _spoke),
    Proof("machine.intact", Words("No tampering", "无拆机痕迹"), _intact),
    Proof("machine.before", Words("Money pending before", "处理前待结算款项"), _before),
    Proof("machine.delivered", Words("Delivered to the acquirer", "已送达收单机构"), _delivered),
    Proof("machine.after", Words("Money pending after", "处理后待结算款项"), _nothing_left),
    Proof("machine.agreed", Words("Totals agreed by the acquirer", "总额与收单机构一致"), _agreed),
    Proof("machine.preauths", Words("Open pre-authorisations", "未完成预授权"), _no_preauth),
    Proof("machine.erased", Words("Keys erased and read back", "密钥已清除并回读确认"), _erased),
)
AT_THE_ACQUIRER: Final = (
    Proof("machine.closed", Words("Acquirer saw this and closed it", "收单机构已结案"), _closed),
    Proof(
        "machine.forgotten",
        Words("Acquirer forgot the terminal's keys", "收单机构已注销终端密钥"),
        _forgotten,
    ),
    Proof("machine.refunds", Words("Refunds after the cut-off done", "截止后退款已完成"), _refunded),
)
