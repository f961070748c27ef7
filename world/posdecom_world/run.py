"""One decommission from beginning to end in virtual time, by one seed: agent, terminal, host and desk in one thread.

A technician runs the agent again whenever it died or named a trouble. After `RUNS_WITH_FAULTS` attempts, or
`FAULTS_S`, nothing goes wrong any more, and the job must come to its end.

Replay one seed, with what happened: ``posdecom-sim world --seed N``
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, ParamSpec

from posdecom_agent import catalogue
from posdecom_agent.absent import declare_absent
from posdecom_agent.approach import Access
from posdecom_agent.job import Job
from posdecom_agent.journal import Row
from posdecom_agent.procedure import Step, carry_out
from posdecom_agent.storage import StorageError
from posdecom_agent.trouble import Trouble, trouble_from
from posdecom_protocol.channel import Channel
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.iso8583 import ENVELOPE_BYTES, decode
from posdecom_simulator.acquirer.books import Posting
from posdecom_simulator.acquirer.desk import Desk, MemoryShelf, Signers
from posdecom_simulator.acquirer.host import Host
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.world.faults import Fate, Fault, FaultPlan, draw
from posdecom_simulator.world.line import DAMAGE, SILENCE, VirtualLine, Wire
from posdecom_simulator.world.terminal import YEARS_S, VirtualTerminal

from . import invariants
from .ending import Unfinished as Unfinished
from .ending import judge_end
from .laptop import AgentKilled, Laptop, Watch
from .memory_watch import MemoryWatch
from .scene import NOW, Scene, entropy, hsm, scene
from .stations import MoodyHost, Nobody, VirtualStations
from .tls_chance import seeded

RATE_BYTES_PER_S = 11_520.0
"""115,200 baud, 8N1."""
DRIP_BYTES_PER_S = 40.0
RUNS_WITH_FAULTS = 8
FAULTS_S = 1800.0
QUIET_RUNS = 2
STEPS_MAX = 300_000
RETRY_S = 5.0
"""A technician reads what went wrong and runs the command again."""
RECORDS_MAX = 12

RESUMABLE = frozenset(
    {
        catalogue.HOST_UNREACHABLE,
        catalogue.NO_TERMINAL,
        catalogue.LINK_LOST,
        catalogue.WAITING,
        catalogue.DISK_FULL,
        catalogue.STORAGE_FAILED,
    }
)
"""Troubles that running the command again may mend; anything else would need a person, and fails a run."""


_LAPTOP_CLOCK: Final = frozenset({Fault.LAPTOP_BEHIND, Fault.LAPTOP_AHEAD})
_DESK_CLOCK: Final = frozenset({Fault.DESK_BEHIND, Fault.DESK_AHEAD})
MENDED_BY_A_PERSON: Final = {
    catalogue.PEER_REFUSED: _LAPTOP_CLOCK,
    catalogue.DOCUMENT: _LAPTOP_CLOCK,
    catalogue.MISMATCH: _DESK_CLOCK | {Fault.HOST_CONTRADICTS},
}
"""Troubles that are right only once one of these struck: somebody sets a clock or asks the acquirer."""

WITHOUT_THE_TERMINAL: Final = frozenset({catalogue.SALVAGED, catalogue.ERASE_UNVERIFIED})
"""Troubles after a tamper that end in a certificate without the terminal."""

P = ParamSpec("P")
Spells = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Result:
    trace: str
    """SHA-256 over all that was said on the line (tier B: its lengths) and every event."""
    steps: int
    seconds: float
    """Virtual."""
    runs: int
    fired: Counter[str]
    seen: Counter[str]
    """How many events there were at which each kind of fault might have struck."""
    checked: Counter[str]
    """How often each invariant was looked at."""
    delivered_bytes: int
    records: int
    troubles: tuple[str, ...]
    state: State


class World:
    """Everything outside the laptop, and what of the laptop survives. Also the agent's clock."""

    def __init__(self, seed: int, here: Scene, plan: FaultPlan, tier: str) -> None:
        chance = random.Random(f"world {seed}")
        self.scene = here
        self.fate = Fate(plan)
        watch = Watch(self._before_append, self._after_append, self._journal_was_opened)
        self._laptops = [Laptop(self.fate, watch) for _ in range(2)]
        self._laptop_is_off_s = 0.0
        self._is_interrupted = False
        self.canary = invariants.canary(here.day)
        self.agent_rate_bytes_per_s = chance.choice((None, RATE_BYTES_PER_S))
        self.events = hashlib.sha256()
        self.checked: Counter[str] = Counter()
        self.log: Callable[[str], None] = lambda _: None
        self._seen_postings: dict[tuple[str, int], Posting] = {}
        self._spells: set[tuple[Fault, tuple[float, float]]] = set()
        self._ledger_rows, self._shelf = MemoryStore(), MemoryShelf()
        self._moody = MoodyHost(self.fate, frozenset(one.stan for one in here.day))
        self.open_acquirer()
        self.ledger.seed_posted(here.posted)
        self.check(invariants.books_begin_as_sold, self.ledger, here)
        client, server = here.site.channels(tier, self._tap)
        self.terminal = self._terminal(seed, server, chance.choice((None, RATE_BYTES_PER_S)))
        wires = [_wire(plan, chance, self.fate) for _ in range(2)]
        self.line: VirtualLine[Nobody, VirtualTerminal] = VirtualLine(
            Nobody(), self.terminal, wires[0], wires[1], NOW, lengths_only=tier == "B", watch=self._arrived
        )
        self.line.fired = self.fate.fired
        self.line.unplug_at = sorted(plan.at.get(Fault.UNPLUG, ()))
        self.line.damage_at = {fault: numbers for fault, numbers in plan.at.items() if fault in DAMAGE}
        self.line.luck = plan.luck
        anchors = here.site.technician.anchors
        self.stations = VirtualStations(self, Access(lambda _: client(), anchors, entropy(seed, 2)))

    def open_acquirer(self) -> None:
        """Start host and desk on what they keep: the ledger's rows and the shelf."""
        acquirer = self.scene.site.acquirer
        safe, self.ledger = hsm(self.scene.site), Ledger(self._ledger_rows)
        self.host = Host(self.ledger, safe, acquirer.settings.terminals, self._moody)
        signers = Signers(
            acquirer.settings.issuer, acquirer.release.signing_key(), acquirer.approver.signing_key()
        )
        self.desk = Desk(
            self.ledger, safe, self._shelf, signers, acquirer.anchors, acquirer.settings.terminals
        )

    @property
    def laptop(self) -> Laptop:
        """The one at which the technician sits."""
        return self._laptops[0]

    def now(self) -> float:
        """By the laptop's clock."""
        return self.line.now + self._laptop_is_off_s

    def host_now(self) -> float:
        return self.line.now + self._years(Fault.HOST_BEHIND, Fault.HOST_AHEAD)

    def desk_now(self) -> float:
        return self.line.now + self._years(Fault.DESK_BEHIND, Fault.DESK_AHEAD)

    def agent_starts(self) -> None:
        """Maybe on another laptop."""
        self._laptop_is_off_s = 0.0
        if self.fate.strikes(Fault.OTHER_LAPTOP):
            self._laptops.reverse()

    def before_asking(self) -> None:
        """Of line, host or desk: another technician may take the cable, and go as far as the command gets."""
        if self._is_interrupted or not self.fate.strikes(Fault.SECOND_AGENT):
            return
        left, is_off_s = self.line.left, self._laptop_is_off_s
        self._is_interrupted, self._laptop_is_off_s = True, 0.0
        self._laptops.reverse()
        try:
            self.note(f"second agent: {_run_command(self)}")
        finally:
            self._laptops.reverse()
            self._is_interrupted, self._laptop_is_off_s = False, is_off_s
            self.line.left = left

    def agent_has_read(self, job: Job) -> None:
        """Its journal. From the freeze on its clock may say anything: before, an order is over that has not begun."""
        if job.seal is not None:
            self._laptop_is_off_s = self._years(Fault.LAPTOP_BEHIND, Fault.LAPTOP_AHEAD)

    def has_met(self, faults: Iterable[Fault]) -> bool:
        """Whether one of ``faults`` struck so far."""
        return any(self.fate.fired[fault] for fault in faults)

    def set_line(self, now: float) -> None:
        """As the line's bad times have it."""
        is_garbled = self._is_in(self.fate.plan.mismatches, now, Fault.SPEED_MISMATCH)
        drips = self._is_in(self.fate.plan.drips, now, Fault.SLOW_DRIP)
        for wire in (self.line.rightward, self.line.leftward):
            wire.garbles = is_garbled
            wire.rate_bytes_per_s = DRIP_BYTES_PER_S if drips else RATE_BYTES_PER_S

    def let_pass(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        if self.line.turns > STEPS_MAX:
            raise Unfinished(f"no end after {STEPS_MAX} steps")
        self.line.run_until(done, seconds)

    def note(self, event: str) -> None:
        self.events.update(f"{self.line.now:.6f} {event}\n".encode())
        self.log(f"{self.line.now - NOW:10.4f} {event}")

    def host_was_asked(self, message: bytes, answer: bytes | None) -> None:
        code = "nothing" if answer is None else decode(answer).text(39)
        mti = message[ENVELOPE_BYTES : ENVELOPE_BYTES + 2].hex()
        self.note(f"host {mti} {code}")
        self.check(invariants.no_posting_twice_or_changed, self.ledger, self.scene, self._seen_postings)

    def desk_was_asked(self, path: str, body: bytes, answer: bytes) -> None:
        """For who listens."""

    def fall_quiet(self) -> None:
        self.fate.is_quiet = True
        self.line.unplug_at.clear()
        self.line.damage_at.clear()
        for wire in (self.line.rightward, self.line.leftward):
            wire.noise = SILENCE
            wire.cuts.clear()

    @property
    def refused(self) -> frozenset[int]:
        """STANs of advices about sales that the host would not have."""
        return frozenset(self._moody.refused)

    def books_are_complete(self) -> None:
        self.check(invariants.books_are_complete, self.ledger, self.scene, self.refused)

    def look_at_disks(self) -> None:
        """Every byte of both laptops' files."""
        for laptop in self._laptops:
            data = laptop.disk()
            self.check(invariants.no_card_number, self.canary, data, "on a laptop's disk")
            self.check(invariants.no_key_on_a_disk, self.scene.search, data)

    def check(self, invariant: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """``invariant`` holds; counted by its name."""
        self.checked[invariant.__name__] += 1
        invariant(*args, **kwargs)

    # --- private

    def _years(self, behind: Fault, ahead: Fault) -> float:
        """How far a clock is off."""
        return YEARS_S * (self.fate.strikes(ahead) - self.fate.strikes(behind))

    def _is_in(self, spells: Spells, now: float, fault: Fault) -> bool:
        """Counted once a spell."""
        if self.fate.is_quiet or not spells:
            return False
        found = [spell for spell in spells if NOW + spell[0] <= now < NOW + spell[1]]
        new = [spell for spell in found if (fault, spell) not in self._spells]
        self._spells.update((fault, spell) for spell in new)
        self.fate.fired[fault] += len(new)
        return bool(found)

    def _terminal(
        self, seed: int, channel: Callable[[float | None], Channel], rate_bytes_per_s: float | None
    ) -> VirtualTerminal:
        image = self.scene.image.copy()
        self.memory = MemoryWatch(image, self.scene, self.check, self.books_are_complete)
        self.memory.terminal = VirtualTerminal(
            image,
            channel,
            entropy(seed, 1),
            self.fate,
            NOW,
            line_rate_bytes_per_s=rate_bytes_per_s,
            watch=self.memory.hooks(),
        )
        return self.memory.terminal

    def _before_append(self, rows: Sequence[Row]) -> None:
        self.check(invariants.rows_hold_no_card_number, self.canary, rows)

    def _after_append(self, rows: Sequence[Row]) -> None:
        self.note(f"journal {rows[0].kind} {rows[0].key} {len(rows)}")

    def _journal_was_opened(
        self, acknowledged: Sequence[Row], under_way: Sequence[Row], found: Sequence[Row]
    ) -> None:
        self.check(invariants.the_journal_keeps_its_promise, acknowledged, under_way, found)

    def _arrived(self, data: bytes, to_left: bool) -> None:
        self.check(invariants.little_is_under_way, self.line.under_way_bytes)
        self.check(invariants.no_card_number, self.canary, data, "on the line")

    def _tap(self, data: bytes) -> None:
        self.check(invariants.no_card_number, self.canary, data, "in the channel")


def _wire(plan: FaultPlan, chance: random.Random, fate: Fate) -> Wire:
    cuts = [(NOW + start, NOW + end) for start, end in plan.stalls]
    return Wire(RATE_BYTES_PER_S, plan.noise, chance, chunk_bytes=256, cuts=cuts, fired=fate.fired)


def records_of(seed: int) -> int:
    """How many transactions the shop of ``seed`` has made: one at least, in most of them five or more."""
    return 1 + seed % RECORDS_MAX


def plan_of(seed: int) -> FaultPlan:
    """What goes wrong in the run of ``seed``."""
    return draw(random.Random(f"faults {seed}"))


def run(
    seed: int,
    records: int = 5,
    tier: str = "A",
    plan: FaultPlan | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Result:
    """One run; without a plan, one is drawn from the seed. `AssertionError` with the way to replay it."""
    plan = plan or plan_of(seed)
    world = World(seed, scene(seed, records), plan, tier)
    world.log = log
    try:
        with seeded(seed) if tier == "B" else nullcontext():
            return decommission(world)
    except Exception as error:
        error.add_note(f"seed {seed}, {records} records, tier {tier}: {plan}")
        error.add_note(f"replay: posdecom-sim world --seed {seed} --records {records} --tier {tier}")
        raise


def decommission(world: World) -> Result:
    """The command again and again until the job is done. `AssertionError` where an invariant breaks, or it is not."""
    troubles: list[str] = []
    runs, quiet_since = 0, 0
    while isinstance(outcome := _attempt(world), str):
        runs += 1
        troubles.append(outcome)
        world.note(outcome)
        if runs > RUNS_WITH_FAULTS or world.line.now > NOW + FAULTS_S:
            quiet_since = quiet_since or runs
            world.fall_quiet()
        if quiet_since and runs >= quiet_since + QUIET_RUNS:
            raise Unfinished(f"not done after {runs} runs: {outcome}")
        world.let_pass(RETRY_S)
    world.look_at_disks()
    return Result(
        trace=hashlib.sha256(world.line.trace.digest() + world.events.digest()).hexdigest(),
        steps=world.line.turns,
        seconds=world.line.now - NOW,
        runs=runs + 1,
        fired=world.fate.fired,
        seen=world.fate.seen,
        checked=world.checked,
        delivered_bytes=world.line.delivered_bytes,
        records=len(world.scene.day),
        troubles=tuple(troubles),
        state=outcome,
    )


def _attempt(world: World) -> State | str:
    world.agent_starts()
    return _run_command(world)


def _run_command(world: World) -> State | str:
    """The command, once: what the certificate amounts to, or what ended it before."""
    try:
        with world.laptop.journal() as journal:
            job = Job(journal)
            world.agent_has_read(job)
            job.begin(world.scene.order)
            _bring_to_its_end(world, job)
            return judge_end(world, job)
    except AgentKilled:
        if world.fate.strikes(Fault.OLD_JOURNAL):
            world.laptop.lose_rows(world.fate.plan.old_journal_share)
        return "the agent died"
    except (Trouble, StorageError, DocumentError) as error:
        trouble = trouble_from(error)
        if not (trouble.entry in RESUMABLE or world.has_met(MENDED_BY_A_PERSON.get(trouble.entry, ()))):
            raise Unfinished(f"{trouble}: {trouble.cause}") from error
        return f"{trouble.entry.name}: {trouble.cause}"


def _bring_to_its_end(world: World, job: Job) -> None:
    """Where a tamper has made that impossible, what the trouble advises: certify without the terminal."""

    def tell(step: Step, text: str) -> None:
        world.note(f"step {step.value} {text}")

    try:
        carry_out(job, world.stations, tell)
    except Trouble as trouble:
        if trouble.entry not in WITHOUT_THE_TERMINAL or not world.terminal.is_tampered:
            raise
        world.note(f"{trouble.entry.name}: {trouble.cause}")
        declare_absent(job)
        carry_out(job, world.stations, tell)
