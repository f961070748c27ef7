"""A courier between any case and a host that misbehaves by rules, in virtual time: nothing waits by the clock.

The host is the simulator's, the faults are those of a scenario file, the agent's part is `host.settle` and the
procedure; only the sockets are missing. A run ends where the real one would: done, or in a `Trouble`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

from posdecom_agent.host import Connection
from posdecom_agent.host import settle as settle_over
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_agent.procedure import SettleEnd
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.iso8583 import IsoMessage, LengthPrefix
from posdecom_simulator.acquirer.behaviour import Rule, Scenario
from posdecom_simulator.acquirer.delivery import Delivery, deliver
from posdecom_simulator.acquirer.desk import MemoryShelf
from posdecom_simulator.acquirer.host import Host
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.terminal.device import Context
from release_case import HSM, LATER, Case, CaseStations, open_case
from shop import START_S, booked

ROUND_TRIP_S = 0.05
NOON_S = START_S + 4 * 3600
"""The order's cut-off: part of a day lies behind it."""


def contexts(*dialects: str) -> tuple[Context, ...]:
    """One of each, with a merchant number, terminal id and currency of its own."""
    return tuple(
        Context(
            index, "acquirer-a", f"12345678901234{index}", f"TERM000{index}", 156 + 188 * index, 24, dialect
        )
        for index, dialect in enumerate(dialects)
    )


class Remembers(Scenario):
    """Knows afterwards whom it refused."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__(rules)
        self.refused: set[tuple[str, str, int]] = set()
        """TID, MTI, STAN."""

    def refusal(self, request: IsoMessage) -> str | None:
        code = super().refusal(request)
        if code is not None:
            self.refused.add((request.text(41), request.mti, int(request.text(11))))
        return code


class LaptopGone(BaseException):
    """It burns, is stolen, or its battery ends: no more of it is heard."""


@lru_cache(maxsize=512)
def _prepared(
    seed: int, size: int, dialects: tuple[str, ...], after: AfterCutoff, preauths: Preauths
) -> Case:
    return open_case(
        seed, size, cutoff_at=NOON_S, after=after, preauths=preauths, contexts=contexts(*dialects)
    )


@dataclass
class Acquirer:
    """One case's acquirer behind a misbehaving line; as `posdecom_agent.host.Host`. Keeps the time."""

    case: Case
    scenario: Remembers
    store: MemoryStore
    time_s: float = LATER
    round_trip_s: float = ROUND_TRIP_S
    heard: int = 0
    """Messages that came, over all connections."""
    on_message: Callable[[], None] = lambda: None
    """After each message that came, before anything of its answer arrives."""

    @classmethod
    def open(
        cls,
        rules: Sequence[Rule] = (),
        *,
        seed: int = 1,
        size: int = 30,
        dialects: tuple[str, ...] = ("cup",),
        after: AfterCutoff = AfterCutoff.REFUND,
        preauths: Preauths = Preauths.VOID,
    ) -> Acquirer:
        """Fresh books for a case that may have been prepared before."""
        prepared = _prepared(seed, size, dialects, after, preauths)
        store = MemoryStore()
        store.append(list(prepared.ledger.rows()))
        acquirer = cls(replace(prepared, shelf=MemoryShelf()), Remembers(rules), store)
        acquirer.restart()
        return acquirer

    def restart(self) -> None:
        """Host and desk have their books and their shelf, and nothing else."""
        self.case.ledger = Ledger(self.store)
        self.case.host = Host(self.case.ledger, HSM, booked(self.case.contexts), self.scenario)

    def now(self) -> float:
        return self.time_s

    def pause(self, seconds: float) -> None:
        self.time_s += seconds

    def connect(self) -> Connection:
        return VirtualConnection(self)

    def __str__(self) -> str:
        return "the host"


@dataclass
class VirtualConnection:
    """As `posdecom_agent.host.Connection`."""

    acquirer: Acquirer
    _stream: LengthPrefix = field(default_factory=LengthPrefix)
    _coming: list[tuple[float, int, bytes]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _is_silent: bool = False
    _is_over: bool = False

    def send(self, data: bytes) -> None:
        for message in self._stream.receive(data):
            if self._is_over:
                raise ConnectionResetError(104, "Connection reset by peer")
            self.acquirer.heard += 1
            if not self._is_silent:
                scenario, host = self.acquirer.scenario, self.acquirer.case.host
                self._take(deliver(host, scenario, message, self.acquirer.time_s))
            self.acquirer.on_message()

    def receive(self, timeout_s: float) -> bytes | None:
        until = self.acquirer.time_s + timeout_s
        if self._coming and self._coming[0][0] <= until:
            due, _, wire = heapq.heappop(self._coming)
            self.acquirer.time_s = max(due, self.acquirer.time_s)
            return wire
        if self._is_over:
            return b""
        self.acquirer.time_s = until
        return None

    def close(self) -> None:
        pass

    def _take(self, delivery: Delivery) -> None:
        for said in delivery.said:
            due = self.acquirer.time_s + self.acquirer.round_trip_s + said.after_s
            heapq.heappush(self._coming, (due, next(self._numbers), said.wire))
        self._is_silent |= delivery.goes_silent
        self._is_over |= delivery.hangs_up
        if delivery.restarts:
            self.acquirer.restart()


@dataclass
class Courier(CaseStations):
    """One laptop's way to that acquirer; the terminal and the desk are the case's."""

    acquirer: Acquirer = field(kw_only=True)

    @classmethod
    def to(cls, acquirer: Acquirer) -> Courier:
        return cls(acquirer.case, acquirer=acquirer)

    def settle(self, job: Job, context: SealedContext) -> SettleEnd:
        return settle_over(job, context, self.acquirer, self.acquirer, self.acquirer.pause)

    def pause(self, seconds: float) -> None:
        self.acquirer.pause(seconds)


@dataclass
class Laptop:
    """A journal, and the job that is read from it anew at each start of the command."""

    case: Case
    rows: list[Row] = field(default_factory=list)

    def start(self) -> Job:
        """What a new process finds."""
        laptop = self

        class Kept(MemoryJournal):
            def append(self, rows: Sequence[Row]) -> None:
                super().append(rows)
                laptop.rows[:] = self._rows

        job = Job(Kept(list(self.rows)))
        job.begin(self.case.order)
        return job
