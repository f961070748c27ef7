"""Many seeds, on several cores: what all of them together did, and what the totals must show.

A kind of fault that never struck, or an invariant that was never looked at, fails a sweep as a broken seed does.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from inspect import isfunction
from itertools import count, islice, takewhile
from typing import Final

from posdecom_protocol.documents.certificate import State
from posdecom_simulator.world.faults import Fault

from . import invariants
from .run import Result, plan_of, records_of, run
from .scene import site

SEEDS_PER_TASK: Final = 8
TASKS_AHEAD: Final = 4
"""A process, whether begun or not."""
GC_OBJECTS: Final = 100_000
"""A run makes some ten thousand objects that stay until its end: looked for every 700, garbage costs a tenth of it."""
KINDS_MIN: Final = 2
SHARE_WITH_KINDS_MIN: Final = 0.9
"""So many seeds must have had `KINDS_MIN` kinds of fault or more."""


EVERY_INVARIANT: Final = frozenset(
    name
    for name, one in vars(invariants).items()
    if isfunction(one) and one.__module__ == invariants.__name__ and not name.startswith("_")
) - {"state_of", "canary"}
"""By name: all functions that judge something."""


@dataclass(frozen=True, slots=True)
class Failure:
    seed: int
    tier: str
    reason: str
    """Type and text of the exception, and its notes."""


@dataclass(slots=True)
class Totals:
    """What the runs so far amount to."""

    tier: str
    results: int = 0
    virtual_s: float = 0.0
    records: list[int] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    exceptions: int = 0
    """Certificates that are complete with exceptions."""
    with_kinds: int = 0
    """Seeds with `KINDS_MIN` kinds of fault or more."""
    failures: list[Failure] = field(default_factory=list)

    def add(self, outcome: Result | Failure) -> None:
        if isinstance(outcome, Failure):
            self.failures.append(outcome)
            return
        self.results += 1
        self.virtual_s += outcome.seconds
        self.records.append(outcome.records)
        self.fired += outcome.fired
        self.checked += outcome.checked
        self.exceptions += outcome.state is State.EXCEPTIONS
        self.with_kinds += len(+outcome.fired) >= KINDS_MIN

    def shortcomings(self) -> list[str]:
        """Why these runs prove less than they should; empty if they do not."""
        found = [f"no {fault} ever struck" for fault in Fault if not self.fired[fault]]
        found += [f"{one} was never checked" for one in sorted(EVERY_INVARIANT) if not self.checked[one]]
        if self.with_kinds < SHARE_WITH_KINDS_MIN * self.results:
            found.append(f"only {self.with_kinds} of {self.results} seeds had {KINDS_MIN} kinds of fault")
        return found

    def lines(self, seconds: float) -> Iterator[str]:
        """For people."""
        yield f"tier {self.tier}: {self.results} sessions in {seconds:.0f} s, {self.results / seconds:.1f} a second"
        yield f"virtual hours      {self.virtual_s / 3600:.1f}"
        if self.records:
            yield f"records per seed   median {statistics.median(self.records):g}, most {max(self.records)}"
        yield f"with exceptions    {self.exceptions}"
        yield f"{KINDS_MIN} kinds or more    {self.with_kinds} of {self.results} seeds"
        yield "faults that struck"
        yield from (f"  {self.fired[fault]:>9}  {fault}" for fault in Fault)
        yield "invariants checked"
        yield from (f"  {number:>9}  {name}" for name, number in sorted(self.checked.items()))


def prepare() -> None:
    """Make this process one for many runs: what is there by now is no garbage, and no run ends in the middle of one."""
    site()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)


def one(seed: int, tier: str) -> Result | Failure:
    """The run of ``seed`` as a sweep makes it."""
    try:
        return run(seed, records_of(seed), tier, plan_of(seed))
    except Exception as error:  # noqa: BLE001 - whatever a seed meets is what it was run for
        notes = "; ".join(getattr(error, "__notes__", ()))
        return Failure(seed, tier, f"{type(error).__name__}: {error}; {notes}")


def several(seeds: Sequence[int], tier: str) -> list[Result | Failure]:
    return [one(seed, tier) for seed in seeds]


def sweep(
    seeds: Iterable[int], tier: str, jobs: int, end_at: float | None = None
) -> Iterator[Result | Failure]:
    """Outcomes of ``seeds`` in their order, until ``end_at`` (`time.monotonic`) if given."""
    numbers = iter(seeds)
    tasks = takewhile(bool, (list(islice(numbers, SEEDS_PER_TASK)) for _ in count()))
    if end_at is not None:
        tasks = takewhile(lambda _: time.monotonic() < end_at, tasks)
    with ProcessPoolExecutor(jobs, initializer=prepare) as pool:
        # always some more than are worked at: nobody waits for the slowest
        waiting = deque(pool.submit(several, task, tier) for task in islice(tasks, TASKS_AHEAD * jobs))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(several, task, tier) for task in islice(tasks, 1))
