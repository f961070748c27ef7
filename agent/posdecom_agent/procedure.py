"""What a decommission needs next, and how the courier goes about it. Knows no port, no socket, no file.

`next_step` derives the step from the job: there is no other memory of how far it came, so that any run may be cut at
any moment and the next one goes on. `carry_out` walks the steps over `Stations`, which are handed in: real ones from
the command line, virtual ones in the deterministic world.

It erases nothing by itself: the erase is the terminal's, against a receipt that the terminal verifies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, TypeAlias, assert_never

from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.messages import Refusal
from posdecom_protocol.stack import ChannelOver, LinkOver
from posdecom_protocol.wording import N_

from . import catalogue
from .catalogue import Entry
from .job import Job
from .refusals import REFUSALS
from .replacement import Introduction, checked
from .salvage import tampered_trouble
from .settlement import Finished, Reason, Stopped
from .trouble import Trouble
from .visit import (
    BadDocument,
    CutOff,
    Goal,
    Reached,
    Restarting,
    Silent,
    TurnedDown,
    Unplugged,
    VisitEnd,
    WasThawed,
    WrongTerminal,
)

CUTS_MAX: Final = 20
"""Line cuts in a row without any progress; a technician who jiggles a plug does it less often."""

CHANNEL_FAILURES_MAX: Final = 2
"""Noise hardly ever gets through the frames' checks: a channel that fails again fails for a reason."""

CUT_PAUSE_S: Final = 0.5
RESTART_PAUSE_S: Final = 0.3
RESTARTS_MAX: Final = 100
DESK_POLLS_MAX: Final = 60
DESK_PAUSE_S: Final = 1.0
"""An approver who signs within the minute is waited for; otherwise the job waits and this run ends."""


class Step(Enum):
    FLUSH = "flush"
    """Everything that the terminal holds into custody."""
    SETTLE = "settle"
    """Every context through the conversation with the host."""
    AGREE = "agree"
    """The desk compares and signs the receipt."""
    REPLACE = "replace"
    """The terminal that takes over, where the order names one, is met and checked."""
    ERASE = "erase"
    """The terminal verifies the receipt and destroys its keys; its evidence is fetched."""
    CERTIFY = "certify"
    CLOSE = "close"
    """The desk forgets the terminal and signs the closure."""
    DONE = "done"


# --- what the stations answer --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receipts:
    receipts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ClosedBy:
    closure: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """The desk has it and is not ready yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Item sequences that the desk's books lack; they are offered to the host again."""

    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Declined:
    """The desk will not sign; asking again does not change that."""

    reason: str


@dataclass(frozen=True, slots=True)
class Accounted:
    """The desk has the salvaged records, and has compared them with its books."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    reason: str


DeskReply: TypeAlias = Receipts | ClosedBy | Pending | Missing | Declined | Accounted | Unreachable
SettleEnd: TypeAlias = Finished | Stopped | Unreachable


class Stations(Protocol):
    """Everything outside the laptop, and its clock. What they hand in is judged: it is kept as it comes."""

    def visit(self, job: Job, goal: Goal) -> VisitEnd: ...
    def settle(self, job: Job, context: SealedContext) -> SettleEnd: ...
    def find_receipt(self, job: Job) -> Receipts | None:
        """What the desk has signed for the job's seal already; None also where it is not reached."""

    def ask_receipt(self, job: Job) -> DeskReply: ...
    def ask_closure(self, job: Job) -> DeskReply: ...
    def meet(self, serial: str) -> Introduction:
        """Ask the terminal that takes over who it is, on a line of its own."""

    def certify(self, job: Job) -> bytes:
        """The signed certificate over what the job holds."""

    def pause(self, seconds: float) -> None: ...


Tell: TypeAlias = Callable[[Step, str], None]
"""Progress for people: the step, and a few words."""


# --- what comes next -----------------------------------------------------------------------------


def next_step(job: Job) -> Step:
    """The first thing that the job lacks. Receipts, and then evidence, make everything before them unnecessary.

    Without a terminal there is nothing to do but certify that and have it closed.
    """
    for step, is_done in _DONE[-2:] if job.is_absent else _DONE:
        if not is_done(job):
            return step
    return Step.DONE


def _settled(job: Job) -> bool:
    seal = job.seal
    assert seal is not None
    return all(context.index in job.settled for context in seal.body.contexts if context.has_items)


_DONE: Final[tuple[tuple[Step, Callable[[Job], bool]], ...]] = (
    (Step.FLUSH, lambda job: job.custody_is_complete or bool(job.receipts)),
    (Step.SETTLE, lambda job: bool(job.receipts) or _settled(job)),
    (Step.AGREE, lambda job: bool(job.receipts)),
    (Step.REPLACE, lambda job: job.evidence is not None or job.is_replaced),
    (Step.ERASE, lambda job: job.evidence is not None),
    (Step.CERTIFY, lambda job: job.certificate is not None),
    (Step.CLOSE, lambda job: job.closure is not None),
)


# --- carrying it out -----------------------------------------------------------------------------

_ORDER: Final = tuple(Step)


def carry_out(job: Job, stations: Stations, tell: Tell, through: Step = Step.CLOSE) -> None:
    """Bring ``job`` through this step, or raise `Trouble` where it has to wait or somebody has to decide."""
    while (step := next_step(job)) is not Step.DONE and _ORDER.index(step) <= _ORDER.index(through):
        tell(step, "begins")
        match step:
            case Step.FLUSH:
                _visit(job, stations, Goal.FLUSH, tell)
            case Step.SETTLE if (found := stations.find_receipt(job)) is not None:
                # Settled before, and this journal does not know: an older copy, or another laptop's case. After the
                # closure the host would refuse every message.
                job.keep_receipts(found.receipts)
            case Step.SETTLE:
                _settle(job, stations, tell)
            case Step.AGREE:
                _agree(job, stations, tell)
            case Step.REPLACE:
                order = job.order.body
                job.keep_replacement(checked(order, stations.meet(order.replacement or "")))
            case Step.ERASE:
                _visit(job, stations, Goal.ERASE, tell)
            case Step.CERTIFY:
                job.keep_certificate(stations.certify(job))
            case Step.CLOSE:
                _close(job, stations)
            case _:
                assert_never(step)


def _visit(job: Job, stations: Stations, goal: Goal, tell: Tell) -> None:
    """Visit until the goal is reached; a cut line is visited again as long as visits make progress."""
    cuts = restarts = 0
    step = Step.FLUSH if goal is Goal.FLUSH else Step.ERASE
    while True:
        before = job.journal_head
        match stations.visit(job, goal):
            case Reached():
                return
            case Restarting():
                restarts += 1
                if restarts > RESTARTS_MAX:
                    raise Trouble(
                        catalogue.ERASE_UNVERIFIED, cause=N_("the terminal restarts again and again")
                    )
                stations.pause(RESTART_PAUSE_S)
            case CutOff(cause):
                cuts = 0 if job.journal_head != before else cuts + 1
                if cuts > _cuts_max(cause) or _is_final(cause, job):
                    raise _cut_trouble(cause)
                tell(
                    step,
                    N_("the terminal restarts") if job.erase_was_started else N_("line cut, trying again"),
                )
                stations.pause(CUT_PAUSE_S)
            case end:
                raise _visit_trouble(job, end)


def _cuts_max(cause: LinkOver | ChannelOver | Unplugged) -> int:
    return CHANNEL_FAILURES_MAX if isinstance(cause, ChannelOver) else CUTS_MAX


def _is_final(cause: LinkOver | ChannelOver | Unplugged, job: Job) -> bool:
    """No answer to the greeting is final unless the terminal is known to be restarting; a version does not change."""
    match cause:
        case LinkOver(CloseReason.NO_ANSWER):
            return not job.erase_was_started
        case LinkOver(CloseReason.NO_COMMON_VERSION):
            return True
        case _:
            return False


def _settle(job: Job, stations: Stations, tell: Tell) -> None:
    assert job.seal is not None
    contexts = [context for context in job.seal.body.contexts if context.has_items]
    for context in contexts:
        if context.index in job.settled:
            continue
        count = len(job.seal.body.contexts)
        tell(Step.SETTLE, N_("context {index} of {count}", index=context.index + 1, count=count))
        match end := stations.settle(job, context):
            case Finished():
                job.keep_settled(context.index)
            case Stopped(Reason.TOTALS_REFUSED, sequence):
                # whether it was the host that refused them only the desk can tell: on the way anybody could have
                tell(
                    Step.SETTLE,
                    N_(
                        "the totals were refused, at item {sequence}; the desk has the last word",
                        sequence=sequence,
                    ),
                )
                job.keep_settled(context.index)
            case Stopped(reason, sequence):
                raise _stop_trouble(reason, sequence)
            case Unreachable(reason):
                raise Trouble(catalogue.HOST_UNREACHABLE, party=N_("the acquirer's host"), cause=reason)
            case _:
                assert_never(end)


def _agree(job: Job, stations: Stations, tell: Tell) -> None:
    offered: set[int] = set()
    reason: str = N_("the desk has not signed yet")
    for _ in range(DESK_POLLS_MAX):
        match stations.ask_receipt(job):
            case Receipts(receipts):
                job.keep_receipts(receipts)
                return
            case Missing(sequences) if max(sequences) > job.items_stored:
                raise _no_desk(N_("it misses items that there are not"))
            case Missing(sequences) if not offered.issuperset(sequences):
                offered.update(sequences)
                job.offer_again(sequences)
                words = N_("the desk misses {count} messages; offering them again", count=len(sequences))
                tell(Step.AGREE, words)
                _settle(job, stations, tell)
            case Pending(why):
                reason = why
                stations.pause(DESK_PAUSE_S)
            case reply:
                raise _desk_trouble(reply)
    raise Trouble(catalogue.WAITING, party=N_("the acquirer's signature"), cause=reason)


def _close(job: Job, stations: Stations) -> None:
    for _ in range(DESK_POLLS_MAX):
        match stations.ask_closure(job):
            case ClosedBy(closure):
                job.keep_closure(closure)
                return
            case Pending():
                stations.pause(DESK_PAUSE_S)
            case reply:
                raise _desk_trouble(reply)
    raise Trouble(
        catalogue.WAITING, party=N_("the acquirer's closure"), cause=N_("the desk has not signed yet")
    )


# --- troubles ------------------------------------------------------------------------------------

ENDS: Final[dict[CloseReason, str]] = {
    CloseReason.CLOSED: N_("it was closed here"),
    CloseReason.UNCONFIRMED: N_("it was closed here"),
    CloseReason.PEER_CLOSED: N_("the terminal closed it"),
    CloseReason.SUPERSEDED: N_("a new connection took its place"),
    CloseReason.TIMED_OUT: N_("nothing was heard from the terminal for a long time"),
    CloseReason.NO_ANSWER: N_("nothing answered the greeting"),
    CloseReason.NO_COMMON_VERSION: N_("it speaks no version of the protocol that is spoken here"),
}
"""Why a link ended, for people."""


def _cut_trouble(cause: LinkOver | ChannelOver | Unplugged) -> Trouble:
    match cause:
        case ChannelOver(reason):
            return Trouble(catalogue.PEER_REFUSED, cause=reason)
        case Unplugged(reason):
            return Trouble(catalogue.LINK_LOST, port=N_("the line"), cause=reason)
        case LinkOver(CloseReason.NO_ANSWER as over):
            return Trouble(catalogue.NO_TERMINAL, port=N_("the line"), cause=ENDS[over])
        case LinkOver(CloseReason.NO_COMMON_VERSION as over):
            return Trouble(catalogue.PROTOCOL, cause=ENDS[over])
        case LinkOver(over):
            return Trouble(catalogue.LINK_LOST, port=N_("the line"), cause=ENDS[over])
        case _:
            assert_never(cause)


_REFUSED: Final[dict[str, Entry]] = {
    "OfferOrder": catalogue.ORDER_REFUSED,
    **dict.fromkeys(("ReadItems", "ReadPacked", "ReadSalvage"), catalogue.PROTOCOL),
    "OfferRelease": catalogue.ERASE_REFUSED,
    "StartErase": catalogue.ERASE_REFUSED,
    "GetProof": catalogue.ERASE_UNVERIFIED,
}
"""What it means that the terminal refuses a request for good. A proof is asked of those that must have it."""


def _visit_trouble(job: Job, end: TurnedDown | WrongTerminal | WasThawed | BadDocument | Silent) -> Trouble:
    match end:
        case TurnedDown(request, reason):
            if reason is Refusal.TAMPERED and (job.salvage is not None or job.receipts):
                return tampered_trouble(job)
            if reason is Refusal.BUSY:
                return Trouble(catalogue.WAITING, party=N_("the terminal"), cause=REFUSALS[reason])
            return Trouble(_REFUSED[request], cause=REFUSALS[reason])
        case WrongTerminal(serial):
            expected = job.order.body.serial
            return Trouble(catalogue.WRONG_TERMINAL, port=N_("the line"), found=serial, expected=expected)
        case WasThawed():
            return Trouble(catalogue.THAWED, serial=job.order.body.serial)
        case BadDocument(error):
            return Trouble(catalogue.DOCUMENT, cause=error)
        case Silent():
            return Trouble(
                catalogue.LINK_LOST, port=N_("the line"), cause=N_("the terminal hears but does not answer")
            )
        case _:
            assert_never(end)


def _stop_trouble(reason: Reason, sequence: int) -> Trouble:
    cause = (
        N_("{reason}, at item {sequence}", reason=reason.value, sequence=sequence)
        if sequence
        else reason.value
    )
    if reason.resumable:
        return Trouble(catalogue.HOST_UNREACHABLE, party=N_("the acquirer's host"), cause=cause)
    return Trouble(catalogue.MISMATCH, cause=cause)


def _desk_trouble(reply: DeskReply) -> Trouble:
    match reply:
        case Declined(reason):
            return Trouble(catalogue.MISMATCH, cause=reason)
        case Missing(sequences):
            shown = ", ".join(map(str, sequences[:10])) + (" ..." if len(sequences) > 10 else "")
            return Trouble(
                catalogue.MISMATCH,
                cause=N_("still missing after they were offered again: items {shown}", shown=shown),
            )
        case Unreachable(reason):
            return Trouble(catalogue.HOST_UNREACHABLE, party=N_("the release desk"), cause=reason)
        case Receipts() | ClosedBy() | Pending() | Accounted():
            return _no_desk(N_("it answers something else than it was asked"))
        case _:
            assert_never(reply)


def _no_desk(why: str) -> Trouble:
    return Trouble(
        catalogue.HOST_UNREACHABLE,
        party=N_("the release desk"),
        cause=N_("what answers there is no release desk: {why}", why=why),
    )
