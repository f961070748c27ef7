"""The conversation with the acquirer's host about one context: which stored message goes out next, and what came back.

Sans-IO. The engine composes and changes nothing: it sends the terminal's bytes, waits for the answer that belongs to
them, and reports what it means. As many messages are under way at once as their phase allows (dialects.py); phases
never overlap, and a message about another one waits for the other's outcome. Answers may come in any order.

The caller's part, in this order, whenever something happened (`receive`, `tick`, `connected`, `disconnected`):

1. drain `events` and make every `Answered` durable;
2. then ask `bytes_to_send`. It gives nothing as long as an event waits to be drained.

So an outcome is in the journal before another message is on its way, and a new `Settlement` built from the journal
goes on where the old one stood. What was under way is sent again as the same bytes; the host answers 94 if it had
them. Silence and lost connections are met the same way, a bounded number of times; then `Stopped` names why. Until
the host has answered again, what is repeated goes out one message at a time: a dead host is not flooded. Where a repeat
is not answered either, `wants_new_connection` asks the caller to close this one and make another.

Not here: sockets and their reconnection, the journal, other contexts, and judging answers (dialects.py).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Final, TypeAlias

from posdecom_protocol.data_elements import BatchReference
from posdecom_protocol.errors import MessageError
from posdecom_protocol.iso8583 import IsoMessage, LengthPrefix, answer_mti, decode, frame_message
from posdecom_protocol.records import ItemKind
from posdecom_protocol.wording import N_

from .dialects import Branch, Delivered, Dialect, Outcome, Phase, Refused

ANSWER_TIMEOUT_S: Final = 60.0
"""As store-and-forward hosts are given; a settlement answer may take that long at the end of a day."""

RESENDS_MAX: Final = 3
"""UnionPay's usual limit for repeating a reversal; each answer of the host to anything begins the count again."""


SENDS_PER_CONNECTION: Final = 2
"""A silence may be a slow host's. A repeat that nothing answers either may have gone into a connection that is open on
this side only, because a router in between forgot it: the next one goes over another."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of the context, as the journal lists it."""

    sequence: int
    kind: ItemKind


class Reason(Enum):
    """Why a conversation stopped before its end. What was answered stays answered."""

    NO_ANSWER = N_("the host did not answer")
    STREAM_BROKEN = N_("the host's bytes are no messages")
    CONTRADICTION = N_("the host contradicts itself")
    TOTALS_REFUSED = N_("the host refused the totals")
    BAD_ITEM = N_("a stored message is not what its place in the conversation needs")

    @property
    def resumable(self) -> bool:
        """Trying again later can help, without anybody's decision."""
        return self in (Reason.NO_ANSWER, Reason.STREAM_BROKEN)


@dataclass(frozen=True, slots=True)
class Answered:
    """Journal this before anything else is sent."""

    sequence: int
    outcome: Outcome
    answer_digest: bytes
    """SHA-256 of the answer's bytes."""


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """Every item of this kind has its outcome."""

    kind: ItemKind
    delivered: int
    refused: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The conversation is complete; some of it may have been refused."""


@dataclass(frozen=True, slots=True)
class Stopped:
    reason: Reason
    sequence: int
    """The item that it stopped at, 0 for none."""


Event: TypeAlias = Answered | PhaseDone | Finished | Stopped

Identity: TypeAlias = tuple[str, str, str, str]
"""MTI, STAN, TID, MID: what makes an answer belong to a message."""


@dataclass(slots=True)
class _Exchange:
    """A message under way, or the next to be."""

    phase: Phase
    sequence: int
    data: bytes
    request: IsoMessage
    answered_by: Identity
    sends: int = 0
    """Since the host last answered anything..."""
    sends_here: int = 0
    """... or this connection was made."""
    due: bool = True
    """To be sent, or sent again."""
    deadline: float | None = None


class Settlement:
    """See the module. ``index``: the context's items; ``message``: the ISO 8583 bytes of a sequence, looked up when
    its turn comes; ``outcomes``: what the journal holds of earlier runs; ``wanted``: what the desk named missing, sent
    whichever way the answers led, because they may have been forged."""

    def __init__(
        self,
        dialect: Dialect,
        index: Sequence[Entry],
        message: Callable[[int], bytes],
        outcomes: Mapping[int, Outcome],
        wanted: Collection[int] = (),
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        resends_max: int = RESENDS_MAX,
    ) -> None:
        self._dialect = dialect
        self._sequences = {
            phase.kind: [entry.sequence for entry in index if entry.kind is phase.kind]
            for phase in dialect.phases
        }
        self._message = message
        self._outcomes = dict(outcomes)
        self._wanted = frozenset(wanted)
        self._answer_timeout_s = answer_timeout_s
        self._resends_max = resends_max
        self._stream = LengthPrefix()
        self._connected = False
        self._events: list[Event] = []
        self._concluded: dict[Identity, tuple[Phase, Outcome]] = {}
        self._stages = self._walk()
        self._waiting: deque[tuple[Phase, int]] = deque()
        """The rest of the phase."""
        self._next: _Exchange | None = None
        """The first of them, once it is unpacked."""
        self._under_way: dict[Identity, _Exchange] = {}
        """The oldest first."""
        self._is_wary = False
        """Nothing was answered since a silence or a lost connection."""
        self.wants_new_connection = False
        """This one may be dead without a sign of it: close it and say so by `disconnected`."""
        self.ignored = 0
        """Answers that belonged to nothing: late, duplicate, foreign or malformed."""
        self._go_on()

    # --- what happens to it

    def connected(self, now: float) -> None:
        """A connection to the host is up: what is under way goes out (again) on it."""
        self._stream = LengthPrefix()
        self._connected = True
        self.wants_new_connection = False
        for one in self._under_way.values():
            one.sends_here = 0

    def disconnected(self, now: float) -> None:
        """The connection is gone; the driver tries to make another, and this object asks for nothing meanwhile."""
        self._connected = False
        self._send_again(list(self._under_way.values()))

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the host, cut anyhow."""
        try:
            messages = self._stream.receive(data) if self._connected else []
        except MessageError:
            self._stop(Reason.STREAM_BROKEN, self._oldest())
            return
        for message in messages:
            self._answer(message)

    def tick(self, now: float) -> None:
        """Time has passed; does something only at `deadline`."""
        late = [one for one in self._under_way.values() if one.deadline is not None and now >= one.deadline]
        self.wants_new_connection |= any(one.sends_here >= SENDS_PER_CONNECTION for one in late)
        self._send_again(late)

    # --- what it wants

    def events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def bytes_to_send(self, now: float) -> bytes:
        """One message with its length prefix, or nothing more for now; see the module about events that wait."""
        if not self._connected or self._events:
            return b""
        open_to = islice(self._under_way.values(), 1 if self._is_wary else None)
        exchange = next((one for one in open_to if one.due), None)
        if exchange is None:
            return b""
        exchange.due = False
        exchange.sends += 1
        exchange.sends_here += 1
        exchange.deadline = now + self._answer_timeout_s
        return frame_message(exchange.data)

    def deadline(self) -> float | None:
        """When to call `tick` at the latest."""
        return min(
            (one.deadline for one in self._under_way.values() if one.deadline is not None), default=None
        )

    @property
    def outcomes(self) -> Mapping[int, Outcome]:
        """By sequence, of this run and those before it."""
        return self._outcomes

    # --- the order of the conversation

    def _walk(self) -> Iterator[deque[tuple[Phase, int]]]:
        """Phase by phase what has no outcome yet. Asked for the next one once all of that has its outcome."""
        branches, refused_at = {Branch.ALWAYS}, 0
        for phase in self._dialect.phases:
            sequences = self._sequences[phase.kind]
            missing = [
                sequence
                for sequence in sequences
                if sequence not in self._outcomes and (phase.branch in branches or sequence in self._wanted)
            ]
            if missing:
                yield deque((phase, sequence) for sequence in missing)
            outcomes = [self._outcomes[sequence] for sequence in sequences if sequence in self._outcomes]
            if missing:
                self._events.append(_phase_done(phase.kind, outcomes))
            if phase.decides and outcomes:
                is_refused = any(isinstance(outcome, Refused) for outcome in outcomes)
                refused_at = sequences[0] if is_refused else 0
                branches = set() if is_refused else {Branch.ALWAYS, _branch(outcomes)}
        self._events.append(Stopped(Reason.TOTALS_REFUSED, refused_at) if refused_at else Finished())

    def _go_on(self) -> None:
        """Take up as much as may be under way. Nothing left: the walk has said why."""
        if not self._waiting and not self._under_way:
            self._waiting = next(self._stages, deque())
        while self._waiting:
            phase, sequence = self._waiting[0]
            if len(self._under_way) >= phase.window:
                return
            self._next = self._next or self._begin(phase, sequence)
            if self._under_way and (self._next is None or self._depends(self._next)):
                return
            if self._next is None:
                self._stop(Reason.BAD_ITEM, sequence)
                return
            self._under_way[self._next.answered_by] = self._next
            self._waiting.popleft()
            self._next = None

    def _begin(self, phase: Phase, sequence: int) -> _Exchange | None:
        """None for an item that is no message of this phase."""
        data = self._message(sequence)
        try:
            request = decode(data)
            mti, stan, tid, mid = _identity(request)
        except MessageError:
            return None
        if mti != phase.mti:
            return None
        return _Exchange(phase, sequence, data, request, (answer_mti(mti), stan, tid, mid))

    def _depends(self, exchange: _Exchange) -> bool:
        """It is about a message under way, or could not be told from one."""
        if exchange.answered_by in self._under_way:
            return True
        original = exchange.phase.original(exchange.request)
        return original is not None and any(stan == original for _, stan, _, _ in self._under_way)

    # --- answers

    def _answer(self, data: bytes) -> None:
        try:
            answer = decode(data)
            identity = _identity(answer)
            exchange = self._exchange_of(identity, answer)
            if exchange is None:
                self._unexpected(identity, answer)
            elif _differs(exchange.request, answer):
                self._stop(Reason.CONTRADICTION, exchange.sequence)
            else:
                self._conclude(exchange, exchange.phase.judge(answer), data)
        except MessageError:
            self.ignored += 1

    def _exchange_of(self, identity: Identity, answer: IsoMessage) -> _Exchange | None:
        """The message under way that this is the answer to."""
        exchange = self._under_way.get(identity)
        return exchange if exchange is not None and _same_batch(exchange.request, answer) else None

    def _conclude(self, exchange: _Exchange, outcome: Outcome, answer: bytes) -> None:
        del self._under_way[exchange.answered_by]
        self._is_wary = False
        for one in self._under_way.values():
            one.sends = one.sends_here = 0
        self._outcomes[exchange.sequence] = outcome
        self._concluded[exchange.answered_by] = exchange.phase, outcome
        self._events.append(Answered(exchange.sequence, outcome, hashlib.sha256(answer).digest()))
        self._go_on()

    def _unexpected(self, identity: Identity, answer: IsoMessage) -> None:
        """Late and duplicate answers are normal; one that says the opposite of the first is not."""
        if identity in self._concluded:
            phase, outcome = self._concluded[identity]
            if _contradict(outcome, phase.judge(answer)):
                self._stop(Reason.CONTRADICTION, self._oldest())
        self.ignored += 1

    def _send_again(self, exchanges: Sequence[_Exchange]) -> None:
        for one in exchanges:
            one.deadline, one.due, self._is_wary = None, True, True
        if any(one.sends > self._resends_max for one in exchanges):
            self._stop(Reason.NO_ANSWER, self._oldest())

    def _oldest(self) -> int:
        return next((one.sequence for one in self._under_way.values()), 0)

    def _stop(self, reason: Reason, sequence: int) -> None:
        self._under_way.clear()
        self._waiting.clear()
        self._connected = False
        self._events.append(Stopped(reason, sequence))


def _identity(message: IsoMessage) -> Identity:
    return message.mti, message.text(11), message.text(41), message.text(42)


def _same_batch(request: IsoMessage, answer: IsoMessage) -> bool:
    """STANs start again after 999999: an answer that names another batch belongs to another message."""
    if 60 not in answer.fields or 60 not in request.fields:
        return True
    return BatchReference.decode(answer.text(60)).batch == BatchReference.decode(request.text(60)).batch


def _differs(request: IsoMessage, answer: IsoMessage) -> bool:
    """The answer is about another amount or currency than the message."""
    return any(
        answer.fields[number] != request.fields[number]
        for number in (4, 49)
        if number in answer.fields and number in request.fields
    )


def _contradict(first: Outcome, second: Outcome) -> bool:
    match first, second:
        case Delivered(one), Delivered(other):
            return one is not None and other is not None and one is not other
        case Refused(), Refused():
            return False
        case _:
            return True


def _branch(outcomes: Sequence[Outcome]) -> Branch:
    """Balanced only if the host said so. A host that says nothing gets every detail."""
    return Branch.BALANCED if outcomes == [Delivered(balanced=True)] else Branch.NOT_BALANCED


def _phase_done(kind: ItemKind, outcomes: Sequence[Outcome]) -> PhaseDone:
    refused = sum(isinstance(outcome, Refused) for outcome in outcomes)
    return PhaseDone(kind, len(outcomes) - refused, refused)
