"""What the machine proves: derived from the signed documents alone, never from what somebody wrote into a case.

Every reader of a certificate derives these points again. What a certificate says about them is a convenience.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from posdecom_protocol.documents import Signed
from posdecom_protocol.documents.certificate import CasePoint, Standing
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis, Receipt, ReceiptContext
from posdecom_protocol.documents.seal import Seal, SealedContext, Tamper
from posdecom_protocol.money import Tally

from .kinds import Words
from .money import amount_text

PREFIX: Final = "machine."


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
    find: Callable[[Held], tuple[bool, str]]

    def point(self, held: Held) -> CasePoint:
        proved, text = self.find(held)
        return CasePoint(self.key, Standing.PROVED if proved else Standing.OPEN, text[:400])


def terminal_points(held: Held) -> tuple[CasePoint, ...]:
    """What is settled, one way or the other, when the certificate is made."""
    return tuple(proof.point(held) for proof in AT_THE_TERMINAL)


def closure_points(held: Held) -> tuple[CasePoint, ...]:
    """What only the acquirer's closure can prove, afterwards."""
    return tuple(proof.point(held) for proof in AT_THE_ACQUIRER)


def date_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


# --- money ---------------------------------------------------------------------------------------


def _ordered(held: Held) -> tuple[bool, str]:
    if held.order is None:
        return False, "no order"
    body = held.order.body
    return True, f"{body.order_id} of {body.issuer}, {date_text(body.issued_at)}"


def _spoke(held: Held) -> tuple[bool, str]:
    if held.seal is None:
        return False, "the terminal never spoke"
    return True, f"sealed {date_text(held.seal.body.sealed_at)} by its own clock"


def _intact(held: Held) -> tuple[bool, str]:
    if held.seal is None:
        return False, "unknown"
    words = [held.seal.body.tamper] + ([held.evidence.body.tamper] if held.evidence else [])
    return (False, "tampering was reported") if Tamper.TAMPERED in words else (True, "none reported")


def _before(held: Held) -> tuple[bool, str]:
    if held.seal is None:
        return False, "unknown: the terminal never spoke"
    sums = [_sealed(context) for context in held.seal.body.contexts if context.totals]
    return True, "; ".join(sums) or "nothing"


def _sealed(context: SealedContext) -> str:
    debit = _sum([totals.debit for totals in context.totals])
    credit = _sum([totals.credit for totals in context.totals])
    return (
        f"debit {debit.count}: {amount_text(debit.amount, context.currency)}, "
        f"credit {credit.count}: {amount_text(credit.amount, context.currency)}"
    )


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(sum(one.count for one in tallies), sum(one.amount for one in tallies))


def _delivered(held: Held) -> tuple[bool, str]:
    if not held.receipts:
        return False, "no receipt of the acquirer"
    contexts = held.receipts[0].body.contexts
    sums = [f"{one.delivered.count}: {amount_text(one.delivered.amount, one.currency)}" for one in contexts]
    return True, "; ".join(sums) or "nothing was there to deliver"


def _nothing_left(held: Held) -> tuple[bool, str]:
    if not held.receipts:
        return False, "unknown: no receipt of the acquirer"
    left = [text for context in held.receipts[0].body.contexts for text in _left(context)]
    return not left, "; ".join(left) or "nothing"


def _left(context: ReceiptContext) -> Iterator[str]:
    for word, tally in (
        ("refused", context.refused),
        ("not delivered", context.undelivered),
        ("withheld", context.withheld),
    ):
        if tally != Tally():
            yield f"{word} {tally.count}: {amount_text(tally.amount, context.currency)}"
    if context.refusals and context.refused == Tally():
        yield f"refused {len(context.refusals)} messages"


def _agreed(held: Held) -> tuple[bool, str]:
    if not held.receipts:
        return False, "no receipt of the acquirer"
    body = held.receipts[0].body
    if body.basis is not Basis.AGREED:
        return False, f"released by exception, {len(held.receipts)} signatures"
    return True, f"receipt {body.receipt_id[:48]} of {body.issuer}"


def _no_preauth(held: Held) -> tuple[bool, str]:
    if held.seal is None:
        return False, "unknown: the terminal never spoke"
    held_open = held.seal.body.preauths
    return not held_open, f"{len(held_open)} still hold money on cards" if held_open else "none"


# --- keys and closure ----------------------------------------------------------------------------


def _erased(held: Held) -> tuple[bool, str]:
    if held.evidence is None:
        return False, "no evidence of the terminal"
    slots = held.evidence.body.slots
    empty = sum(slot.is_empty for slot in slots)
    return held.evidence.body.every_slot_is_empty, f"{empty} of {len(slots)} key slots read back empty"


def _closed(held: Held) -> tuple[bool, str]:
    if held.closure is None:
        return False, "no closure yet"
    return True, f"{held.closure.body.issuer}, {date_text(held.closure.body.closed_at)}"


def _forgotten(held: Held) -> tuple[bool, str]:
    if held.closure is None:
        return False, "no closure yet"
    body = held.closure.body
    counts = f"{len(body.ksn_denied)} KSN denied, {len(body.keys_deleted)} keys deleted"
    return body.has_forgotten_the_terminal, f"{counts}, {len(body.certificates_revoked)} certificates revoked"


def _refunded(held: Held) -> tuple[bool, str]:
    if held.closure is None:
        return False, "no closure yet"
    still_open = held.closure.body.refunds_open
    return not still_open, f"{still_open} refunds still open" if still_open else "none open"


AT_THE_TERMINAL: Final = (
    Proof("machine.ordered", Words("Ordered by the acquirer", "收单机构下达指令"), _ordered),
    Proof("machine.sealed", Words("The terminal stated what it held", "终端封存并自报存量"), _spoke),
    Proof("machine.intact", Words("No tampering", "无拆机痕迹"), _intact),
    Proof("machine.before", Words("Money pending before", "处理前待结算款项"), _before),
    Proof("machine.delivered", Words("Delivered to the acquirer", "已送达收单机构"), _delivered),
    Proof("machine.after", Words("Money pending after", "处理后待结算款项"), _nothing_left),
    Proof("machine.agreed", Words("Totals agreed by the acquirer", "总额与收单机构一致"), _agreed),
    Proof("machine.preauths", Words("Open pre-authorisations", "未完成预授权"), _no_preauth),
    Proof("machine.erased", Words("Keys erased and read back", "密钥已擦除并回读确认"), _erased),
)
AT_THE_ACQUIRER: Final = (
    Proof("machine.closed", Words("Acquirer saw this and closed it", "收单机构已核销"), _closed),
    Proof(
        "machine.forgotten",
        Words("Acquirer forgot the terminal's keys", "收单机构已注销终端密钥"),
        _forgotten,
    ),
    Proof("machine.refunds", Words("Refunds after the cut-off done", "截止后退款已完成"), _refunded),
)
