"""One visit to the terminal: ask, as long as the visit's goal is not reached, for what the job still lacks.

What to ask follows from the terminal's state and from the job, in the table `NEXT`; nothing is remembered between
visits but the journal. So a visit may end at any byte, and the next one goes on.

Every document is judged when it arrives, before it is kept: the signer's role and device serial, and that it belongs
to this order. The erase is asked for only after a mark of it is durable in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, TypeGuard, assert_never

from posdecom_protocol.cose import digest
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.greeting import Feature, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    Erasing,
    GetProof,
    Items,
    OfferOrder,
    OfferRelease,
    PackedItems,
    Proof,
    ProofKind,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Salvaged,
    Sealed,
    StartErase,
)
from posdecom_protocol.speed_raise import Speeds
from posdecom_protocol.stack import ChannelOver, LinkOver, Stack
from posdecom_protocol.wording import N_

from .approach import Access, Answered, Approach, Met, Over, Ready, Stranger
from .job import Job
from .judgement import check_evidence, check_receipts, check_seal
from .reading import Reading

ANSWER_S: Final = 60.0
"""A terminal that prepares a thousand messages with slow cryptography takes tens of seconds."""

BUSY_RETRY_S: Final = 1.0
BUSY_RETRIES_MAX: Final = 60


class Goal(Enum):
    FLUSH = "flush"
    """The seal and every item are in custody."""
    ERASE = "erase"
    """The receipt is delivered, the erase done, and its evidence here. Takes two visits: the terminal restarts."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The goal is reached, or passed: the terminal is further than the visit wanted it."""


@dataclass(frozen=True, slots=True)
class Restarting:
    """The erase is durable in the terminal, which starts afresh now."""


@dataclass(frozen=True, slots=True)
class TurnedDown:
    """The terminal refused a request for a reason that asking again does not change."""

    request: str
    reason: Refusal


@dataclass(frozen=True, slots=True)
class WrongTerminal:
    serial: str


@dataclass(frozen=True, slots=True)
class WasThawed:
    """The terminal trades again: somebody delivered the acquirer's cancellation. This job is over."""


@dataclass(frozen=True, slots=True)
class BadDocument:
    """What the terminal sent is not what it must be; nothing of it was kept."""

    error: DocumentError


@dataclass(frozen=True, slots=True)
class Silent:
    """The line is up but the terminal does not answer."""


@dataclass(frozen=True, slots=True)
class Unplugged:
    """The port itself is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class CutOff:
    """The line, or the session, ended. Come again."""

    cause: LinkOver | ChannelOver | Unplugged


VisitEnd: TypeAlias = (
    Reached | Restarting | TurnedDown | WrongTerminal | WasThawed | BadDocument | Silent | CutOff
)


Answer: TypeAlias = Refused | Sealed | Items | PackedItems | Salvaged | Released | Erasing | Proof
"""What a request of a visit may be answered with."""


class Visit:
    """One visit, sans-IO; over when `end` is set."""

    def __init__(
        self,
        job: Job,
        access: Access,
        goal: Goal,
        now: float,
        *,
        line_rate_bytes_per_s: float | None = None,
        speeds: Speeds | None = None,
    ) -> None:
        serial = job.order.body.serial
        self._approach = Approach(
            access, now, serial=serial, line_rate_bytes_per_s=line_rate_bytes_per_s, speeds=speeds
        )
        self._job = job
        self._access = access
        self._goal = goal
        self._state: LifecycleState | None = None
        self._can_only_salvage = False
        """The terminal serves in the clear, or has no key left to seal with."""
        self._request: Request | None = None
        """What the next reply must answer; while a busy terminal is left alone, what it will be asked again."""
        self._is_asked = False
        self._reading = Reading(job)
        self._answer_by: float | None = None
        self._ask_again_at: float | None = None
        self._busy_left = BUSY_RETRIES_MAX
        self._receipts: tuple[bytes, ...] = ()
        self.welcome: Welcome | None = None
        self.end: VisitEnd | None = None

    # --- the turn of a driver ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        self._approach.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self._approach.tick(now)
        self._turn(now)
        if self._reading.due_at is not None and now >= self._reading.due_at:
            self._guarded(self._reading.store, now)
        if self._answer_by is not None and now >= self._answer_by:
            self._finish(Silent(), now)
        if self._ask_again_at is not None and now >= self._ask_again_at:
            self._next(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        self._ask()
        return self._approach.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        own = (self._approach.deadline(), self._answer_by, self._ask_again_at, self._reading.due_at)
        return min((due for due in own if due is not None), default=None)

    @property
    def is_over(self) -> bool:
        return self.end is not None

    @property
    def stack(self) -> Stack:
        """For its counters, and to say goodbye."""
        return self._approach.stack

    # --- what came -----------------------------------------------------------------------------------

    def _turn(self, now: float) -> None:
        for event in self._approach.events():
            if self.end is not None:
                return
            match event:
                case Met(welcome):
                    self.welcome = welcome
                    self._reading.is_packed = bool(welcome.features & Feature.PACKED_ITEMS)
                case Ready(state, in_clear):
                    self._state, self._can_only_salvage = state, in_clear
                    self._next(now)
                case Answered(reply):
                    self._judge(reply, now)
                case Stranger(serial):
                    self._finish(WrongTerminal(serial), now)
                case Over(cause):
                    self._finish(CutOff(cause), now)
                case _:
                    assert_never(event)

    def _judge(self, reply: Reply, now: float) -> None:
        self._answer_by = None
        if not self._is_answer(reply):
            self._finish(CutOff(ChannelOver(N_("the terminal sent a message out of place"))), now)
            return
        self._guarded(lambda at: self._keep(reply, at), now)

    def _guarded(self, keep: Callable[[float], None], now: float) -> None:
        try:
            keep(now)
        except DocumentError as error:
            self._finish(BadDocument(error), now)

    def _is_answer(self, reply: Reply) -> TypeGuard[Answer]:
        """Whether the terminal may say this to what it was asked."""
        match reply:
            case Refused():
                return True
            case _ if (
                self._ask_again_at is not None
            ):  # to a read that was on the line with the one that was refused
                return isinstance(reply, Items | PackedItems) and isinstance(self._request, READS)
            case Released(state) if state not in RELEASED:
                return False
            case Proof(kind):
                return self._request == GetProof(kind)
            case _:
                return isinstance(reply, ANSWERS.get(type(self._request), ()))

    def _keep(self, reply: Answer, now: float) -> None:
        match reply:
            case Refused(reason=Refusal.BUSY) if self._busy_left:
                self._busy_left -= 1
                self._reading.refused()
                self._ask_again_at = now + BUSY_RETRY_S
                return
            case Refused(reason=Refusal.NOT_FOUND) if self._request == GetProof(ProofKind.SECOND_RECEIPT):
                self._keep_receipts(self._receipts)  # most releases have one signature
            case Refused(reason=Refusal.TAMPERED) if isinstance(self._request, OfferOrder):
                self._can_only_salvage = True
            case Refused(reason=reason):
                self._finish(TurnedDown(type(self._request).__name__, reason), now)
                return
            case Sealed(seal):
                self._keep_seal(seal)
                self._state = LifecycleState.FROZEN
            case Items() | PackedItems():
                self._reading.take(reply, now)
                if not self._job.custody_is_complete:
                    self._wait_for_answer(now)
                    return
            case Salvaged():
                self._job.keep_salvaged(reply)
            case Released(state):
                self._state = state
            case Erasing():
                self._finish(Restarting(), now)
                return
            case Proof():
                self._keep_proof(reply)
            case _:
                assert_never(reply)
        self._next(now)

    def _keep_proof(self, proof: Proof) -> None:
        match proof.kind:
            case ProofKind.SEAL:
                self._keep_seal(proof.document)
            case ProofKind.RECEIPT:
                self._receipts = (proof.document,)
            case ProofKind.SECOND_RECEIPT:
                self._keep_receipts((*self._receipts, proof.document))
            case kind:
                assert kind is ProofKind.EVIDENCE, "no visit asks for the order"
                check_evidence(proof.document, self._job, self._access.anchors)
                self._job.keep_once("evidence", proof.document)

    def _keep_seal(self, seal: bytes) -> None:
        check_seal(open_document(seal, Seal), self._job.order, self._access.anchors)
        self._job.keep_seal(seal)

    def _keep_receipts(self, receipts: tuple[bytes, ...]) -> None:
        check_receipts(receipts, self._job, self._access.anchors)
        self._job.keep_receipts(receipts)

    # --- what to ask ---------------------------------------------------------------------------------

    def _next(self, now: float) -> None:
        assert self._state is not None
        self._ask_again_at = None
        step = NEXT[self._state](self, now)
        match self._salvaged(step) if self._can_only_salvage else step:
            case request if isinstance(request, Request):
                self._request, self._is_asked = request, False
                self._wait_for_answer(now)
            case end:
                self._finish(end, now)

    def _salvaged(self, step: Request | VisitEnd) -> Request | VisitEnd:
        """What is left of ``step``: a terminal that has lost its identity, or its keys, takes no document any more."""
        match step:
            case OfferOrder() if self._state is not LifecycleState.ACTIVE:
                return GetProof(ProofKind.SEAL)
            case OfferOrder() if not self._job.salvage_is_complete:
                return ReadSalvage(self._job.salvaged_stored + 1)
            case OfferOrder() | OfferRelease() | StartErase():
                return TurnedDown(type(step).__name__, Refusal.TAMPERED)
            case _:
                return step

    def _ask(self) -> None:
        """Whatever the line takes now. Where the session is over, `Over` is on its way, and nothing is asked."""
        while self.end is None and self._approach.is_ready and (request := self._unasked()) is not None:
            self._approach.ask(request)

    def _unasked(self) -> Request | None:
        """The request that is due, once; of reads as many as may be under way."""
        request = self._request
        if self._ask_again_at is not None:
            return None
        if isinstance(request, READS):
            return self._reading.next_request()
        if self._is_asked:
            return None
        self._is_asked = True
        if isinstance(request, StartErase):
            self._job.keep_once("erasing")
        return request

    def _wait_for_answer(self, now: float) -> None:
        self._answer_by = now + ANSWER_S

    def _finish(self, end: VisitEnd, now: float) -> None:
        if self.end is None and not isinstance(end, BadDocument):
            self._guarded(self._reading.store, now)
        if self.end is not None:
            return
        self.end = end
        self._answer_by = self._ask_again_at = None
        self._approach.close(now)

    # --- the table: what a terminal in a state is asked for ----------------------------------------------

    def _when_active(self, now: float) -> Request | VisitEnd:
        if self._job.seal is not None:
            return WasThawed()
        return OfferOrder(int(now), self._job.order.data)

    def _when_frozen(self, now: float) -> Request | VisitEnd:
        if self._job.seal is None:
            return OfferOrder(int(now), self._job.order.data)
        if not self._job.custody_is_complete:
            return self._reading.begin()
        if self._goal is Goal.FLUSH or not self._job.receipts:
            return Reached()
        return OfferRelease(self._job.receipts)

    def _when_released(self, now: float) -> Request | VisitEnd:
        missing = self._missing_proof()
        if missing not in (None, ProofKind.EVIDENCE):
            return GetProof(missing)
        return Reached() if self._goal is Goal.FLUSH else StartErase(digest(self._job.receipts[0]))

    def _when_erasing(self, now: float) -> Request | VisitEnd:
        return Restarting()

    def _when_erased(self, now: float) -> Request | VisitEnd:
        missing = self._missing_proof()
        return Reached() if missing is None else GetProof(missing)

    def _missing_proof(self) -> ProofKind | None:
        if self._job.seal is None:
            return ProofKind.SEAL
        if not self._job.receipts:
            return ProofKind.SECOND_RECEIPT if self._receipts else ProofKind.RECEIPT
        return ProofKind.EVIDENCE if self._job.evidence is None else None


READS: Final = (ReadItems, ReadPacked)

RELEASED: Final = frozenset({LifecycleState.SETTLED, LifecycleState.EXCEPTED})

ANSWERS: Final[dict[type[object], type[object]]] = {
    OfferOrder: Sealed,
    ReadItems: Items,
    ReadPacked: PackedItems,
    ReadSalvage: Salvaged,
    OfferRelease: Released,
    StartErase: Erasing,
}
"""Which reply answers which request, beside `Refused`, and `Proof` of the kind that was asked for."""

NEXT: Final[dict[LifecycleState, Callable[[Visit, float], Request | VisitEnd]]] = {
    LifecycleState.ACTIVE: Visit._when_active,
    LifecycleState.FROZEN: Visit._when_frozen,
    LifecycleState.SETTLED: Visit._when_released,
    LifecycleState.EXCEPTED: Visit._when_released,
    LifecycleState.ERASING: Visit._when_erasing,
    LifecycleState.ERASED: Visit._when_erasing,
    LifecycleState.RETIRED: Visit._when_erased,
    LifecycleState.BLANK: Visit._when_erased,
}
