"""The agent meeting a rogue terminal at each step of its job: what comes of it, in virtual time.

A job's rows are those of a run that was overheard, up to some step. After the meeting the journal may hold nothing more
than that run's own rows: anything else is a breach, and so is an erase that is asked for without the receipt, an end
without a name, and no end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Final

from posdecom_agent.approach import Access
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_agent.line import Machine
from posdecom_agent.look import Look
from posdecom_agent.procedure import Step, carry_out
from posdecom_agent.question import Question
from posdecom_agent.stations import AcquirerStations
from posdecom_agent.thaw import Thaw
from posdecom_agent.trouble import Trouble
from posdecom_agent.visit import (
    BadDocument,
    CutOff,
    Goal,
    Reached,
    Restarting,
    Silent,
    TurnedDown,
    Visit,
    VisitEnd,
    WasThawed,
    WrongTerminal,
)
from posdecom_protocol.channel import Channel
from posdecom_protocol.greeting import Welcome
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR, LifecycleState
from posdecom_protocol.messages import (
    GetInventory,
    Inventory,
    OfferCancellation,
    ReadSalvage,
    Salvaged,
    StartErase,
)
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal
from posdecom_simulator.world.channel import StubChannel

from ..overheard import Heard
from ..scene import NOW, SERIAL, entropy, site
from .life import SEED, life
from .matrix import Breach, Outcome
from .rogue import Lie, Rogue, Truth, welcome_of

TURN_S: Final = 0.01
TURNS_MAX: Final = 20_000
MEETING_S_MAX: Final = 900.0
"""Virtual. Sixty answers of "busy", and a minute of silence after the last, are half of it."""

SOME_ITEMS: Final = 2
ENDS_MAX: Final = 200
"""More visits with one end than the command makes."""


@dataclass(frozen=True, slots=True)
class Stance:
    """The agent at one step, and how the true terminal stands then."""

    name: str
    before: str
    """The kind of the first row that is not there yet; "" for a question without a job."""
    terminal: LifecycleState
    goal: Goal = Goal.FLUSH
    is_tampered: bool = False
    skips: frozenset[str] = frozenset()
    """Kinds of rows that this journal lost."""
    asks: bool = True
    """Whether the true terminal would be asked for anything."""

    @property
    def welcome(self) -> Welcome:
        return welcome_of(self.terminal, is_tampered=self.is_tampered)

    def instead(self, said: bytes) -> Lie:
        """Said first of all, where a confirmation stands if there is a channel."""
        return (
            Lie(unasked=said)
            if self.is_tampered or self.terminal in PROOFS_IN_CLEAR
            else Lie(confirmation=said)
        )

    def answering(self, said: bytes) -> Lie:
        """Said to the first request; unasked where there is none."""
        return Lie(answer=said) if self.asks else Lie(unasked=said)

    @property
    def through(self) -> Step:
        return Step.FLUSH if self.goal is Goal.FLUSH else Step.ERASE

    def rows(self, heard: Heard) -> list[Row]:
        kinds = [row.kind for row in heard.rows]
        end = kinds.index(self.before) + (SOME_ITEMS if self.before == "item" else 0)
        return [row for row in heard.rows[:end] if row.kind not in self.skips]


_OF_ENDS: Final[dict[type[object], Outcome]] = {
    TurnedDown: Outcome.REFUSED,
    BadDocument: Outcome.REFUSED,
    WrongTerminal: Outcome.REFUSED,
    WasThawed: Outcome.REFUSED,
    CutOff: Outcome.CLOSED,
    Silent: Outcome.DEAF,
    Reached: Outcome.SAME,
    Restarting: Outcome.SAME,
}

S = LifecycleState
LOOKS, THAWS, SALVAGES = "looks", "thaws", "salvages"
STANCES: Final = (
    Stance(LOOKS, "", S.ACTIVE),
    Stance(THAWS, "", S.FROZEN),
    Stance("begins", "seal", S.ACTIVE),
    Stance(SALVAGES, "seal", S.ACTIVE, is_tampered=True),
    Stance("reads items", "item", S.FROZEN),
    Stance("waits for the receipt", "receipt", S.FROZEN, asks=False),
    Stance("fetches the receipt", "receipt", S.SETTLED, skips=frozenset({"item"})),
    Stance("receipt held", "erasing", S.FROZEN, Goal.ERASE),
    Stance("erase due", "erasing", S.SETTLED, Goal.ERASE),
    Stance("erase asked", "evidence", S.ERASING, Goal.ERASE, asks=False),
    Stance("waits for the evidence", "evidence", S.RETIRED, Goal.ERASE),
    Stance("certified", "closure", S.RETIRED, Goal.ERASE, asks=False),
)
"""The agent visits no terminal for its receipt, nor with its certificate; if it did, nothing would be kept."""


class Meeting:
    """One rogue terminal met at one stance, until the agent has had enough."""

    def __init__(
        self,
        stance: Stance,
        heard: Heard,
        lie: Lie,
        rogues_end: Callable[[], Channel] | None = None,
        agents_end: Callable[[str], Channel] | None = None,
    ) -> None:
        """Over a stub channel, unless both ends of another are made."""
        self._stance = stance
        self._agents_end = agents_end or (lambda _: StubChannel(site().terminal_peer, server_side=False))
        self._true = {(row.kind, row.key, row.body) for row in heard.rows}
        self._before = () if not stance.before else tuple(stance.rows(heard))
        self._journal = MemoryJournal(self._before)
        self.job = Job(self._journal)
        self.truth = truth_of(heard)
        self.rogue = Rogue(self.truth, stance.terminal, lie, rogues_end, is_tampered=stance.is_tampered)
        self.seconds = 0.0

    def outcome(self) -> Outcome:
        """What came of it; `Breach`."""
        if not self._stance.before:
            return self._asked(self._question())
        visit = Visit(self.job, self._access(), self._stance.goal, NOW)
        self._run(visit)
        assert visit.end is not None
        kept = self._judged_rows()
        self._require_named_end(visit.end)
        if kept is not None:
            return kept
        return _OF_ENDS[type(visit.end)]

    def afterwards(self) -> VisitEnd:
        """How the next visit ends, to the true terminal and with the journal as it is now."""
        is_frozen = self._stance.terminal is LifecycleState.ACTIVE and self.job.seal is not None
        state = LifecycleState.FROZEN if is_frozen else self._stance.terminal
        self.rogue = Rogue(self.truth, state, Lie(), is_tampered=self._stance.is_tampered and not is_frozen)
        visit = Visit(Job(self._journal), self._access(), self._stance.goal, NOW)
        self._run(visit)
        assert visit.end is not None
        return visit.end

    # --- private

    def _access(self) -> Access:
        numbers, anchors = count(1), site().technician.anchors
        return Access(self._agents_end, anchors, lambda length: next(numbers).to_bytes(length, "big"))

    def _question(self) -> Question:
        if self._stance.name == LOOKS:
            return Look(self._access(), NOW)
        return Thaw(life().now.cancellation, SERIAL, self._access(), NOW)

    def _asked(self, question: Question) -> Outcome:
        self._run(question)
        if question.reply is not None:
            return Outcome.GRANTED if question.reply == self._true_reply() else Outcome.TOLD
        if question.cause is not None:
            return Outcome.CLOSED
        return Outcome.REFUSED

    def _true_reply(self) -> object:
        asked = GetInventory() if self._stance.name == LOOKS else OfferCancellation(b"")
        return self.truth.answer(asked)

    def _run(self, machine: Machine) -> None:
        """`Breach` where it does not come to its end."""
        now = NOW
        for _ in range(TURNS_MAX):
            machine.tick(now)
            out = machine.bytes_to_send(now)
            self.rogue.tick(now)
            if out:
                self.rogue.receive(out, now)
            back = self.rogue.bytes_to_send(now)
            if back:
                machine.receive(back, now)
            if machine.is_over:
                return
            now = now + TURN_S if out or back else max(now + TURN_S, _next(machine, self.rogue))
            if now > NOW + MEETING_S_MAX:
                break
        raise Breach(f"{self._stance.name}: the agent is still there after {now - NOW:.0f} s")

    def _judged_rows(self) -> Outcome | None:
        """What the journal holds now that it did not before; None: nothing."""
        new = list(self._journal.rows())[len(self._before) :]
        if self._asked_to_erase() and not self.job.receipts:
            raise Breach(f"{self._stance.name}: an erase is asked for without a receipt")
        false = [row for row in new if (row.kind, row.key, row.body) not in self._true]
        bad = {row.kind for row in false} - self._may_be_unproved()
        if bad:
            raise Breach(f"{self._stance.name}: kept as good: {', '.join(sorted(bad))}")
        if false:
            return Outcome.UNPROVED
        return Outcome.GRANTED if any(row.kind != "erasing" for row in new) else None

    def _may_be_unproved(self) -> set[str]:
        """Items until the seal's chain is closed (void, where it does not close), and what a tampered terminal has:
        nobody signed that."""
        items = set() if self.job.seal is None or self.job.custody_is_complete else {"item", "void"}
        return items | ({"salvaged"} if self.job.seal is None else set())

    def _asked_to_erase(self) -> bool:
        return any(isinstance(request, StartErase) for request in self.rogue.asked)

    def _require_named_end(self, end: VisitEnd) -> None:
        """As the command tells it: a `Trouble`, or it goes on to what is no visit."""
        with suppress(Trouble):
            carry_out(self.job, _Ended(None, None, end=end), lambda step, text: None, self._stance.through)


@dataclass(slots=True)
class _Ended(AcquirerStations):
    """Every visit ends as this one did."""

    end: VisitEnd = field(default_factory=Silent)
    visits: int = 0

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        self.visits += 1
        if self.visits > ENDS_MAX:
            raise Breach(f"visited again and again after {self.end}")
        return self.end

    def pause(self, seconds: float) -> None:
        """In no time."""


def truth_of(heard: Heard) -> Truth:
    """What the terminal of that run says, and what it would say to questions that were not asked in it."""
    return _truth(tuple(heard.rows))


# --- private --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _truth(rows: tuple[Row, ...]) -> Truth:
    stages = {stage.name: stage for stage in life().stages}
    active, tampered = (
        Terminal.boot(MemoryStore(values=stages[name].memory), entropy(SEED, 7))
        for name in ("ACTIVE", "TAMPERED, ACTIVE")
    )
    (inventory,) = active.answer(GetInventory(), NOW)
    (salvaged,) = tampered.answer_in_clear(ReadSalvage(1))
    assert isinstance(inventory, Inventory) and isinstance(salvaged, Salvaged)
    return Truth(rows, inventory, salvaged)


def _next(machine: Machine, rogue: Rogue) -> float:
    due = (machine.deadline(), rogue.deadline())
    return min((at for at in due if at is not None), default=NOW + 2 * MEETING_S_MAX)
