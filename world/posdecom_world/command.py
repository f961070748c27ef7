"""``posdecom-sim world``: one seed with everything that happened, or many with their totals."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from itertools import count

import click

from posdecom_simulator.world.faults import Fault, FaultPlan

from .adversary.whole import MATRICES, matrix
from .every_place import (
    CHECK_OF,
    MODES,
    Slice,
    offset_of_today,
    packets,
    session_bytes,
    strike_everywhere,
)
from .run import plan_of, records_of, run
from .shrink import decode_plan, encode_plan, shrunk
from .sweep import Totals, sweep

FAILURES_SHOWN_MAX = 20
"""Of --every-byte: the totals count all of them."""


@click.command(
    help="Decommission a terminal in virtual time, agent, line, terminal, host and desk in one thread, while things "
    "go wrong as the seed says. One seed prints everything that happened and the hash of it; many print totals. "
    "Exit code 1 if an invariant did not hold."
)
@click.option("--seed", type=click.IntRange(0), help="One run, told event by event.")
@click.option("--seeds", metavar="A..B", help="All of these, both ends included.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Seeds from A (or 0) on, for so long."
)
@click.option(
    "--adversary",
    is_flag=True,
    help="Everything that an adversary could say to terminal, agent, host and desk, in every state: the matrices.",
)
@click.option(
    "--every-byte",
    is_flag=True,
    help="One fault at every byte of a session of three records: unplug, drop, duplicate, flip each of its bits.",
)
@click.option("--modes", default=",".join(MODES), show_default=True, help="Of --every-byte: only these.")
@click.option("--every", default=1, show_default=True, type=click.IntRange(1),
              help="Of --every-byte: at one byte in so many...")  # fmt: skip
@click.option("--offset", type=click.IntRange(0), help="... and which; by the day if not given.")
@click.option("--check-of", default=CHECK_OF, show_default=True, type=click.IntRange(1),
              help="Of --every-byte: one in so many of what needs no run is run all the same.")  # fmt: skip
@click.option("--tier", type=click.Choice(["A", "B"]), default="A", show_default=True,
              help="A: a stub channel of true lengths; B: real TLS.")  # fmt: skip
@click.option(
    "--records", type=click.IntRange(0, 500), help="Transactions in the terminal; default: by the seed."
)
@click.option("--plan", "plan_text", metavar="JSON", help="Other faults than the seed's; {} for none.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes.")
@click.option(
    "--shrink", "wants_shrink", is_flag=True, help="Of a failing --seed: which faults does it take?"
)
def command(
    seed: int | None,
    seeds: str | None,
    minutes: float | None,
    adversary: bool,
    every_byte: bool,
    modes: str,
    every: int,
    offset: int | None,
    check_of: int,
    tier: str,
    records: int | None,
    plan_text: str | None,
    jobs: int,
    wants_shrink: bool,
) -> None:
    if adversary:
        sys.exit(_adversary())
    if every_byte:
        which = Slice(every, offset_of_today(every) if offset is None else offset)
        sys.exit(_every_byte(_modes(modes), which, jobs, check_of))
    if seed is not None:
        plan = plan_of(seed) if plan_text is None else _plan(plan_text)
        sys.exit(_one(seed, records_of(seed) if records is None else records, tier, plan, wants_shrink))
    if seeds is None and minutes is None:
        raise click.UsageError("one of --seed, --seeds, --minutes, --every-byte and --adversary is needed")
    numbers = range(1) if seeds is None else _range(seeds)
    sys.exit(_many(numbers if minutes is None else count(numbers[0]), tier, jobs, minutes))


def _one(seed: int, records: int, tier: str, plan: FaultPlan, wants_shrink: bool) -> int:
    click.echo(f"seed {seed}, {records} records, tier {tier}: {plan}")
    try:
        result = run(seed, records, tier, plan, click.echo)
    except AssertionError as error:
        click.echo(f"FAILED {type(error).__name__}: {error}")
        if wants_shrink:
            smaller, fewer = _shrink(seed, records, tier, plan, type(error))
            click.echo(f"enough are {fewer} records and: {smaller}")
            click.echo(
                f"posdecom-sim world --seed {seed} --records {fewer} --tier {tier} --plan '{encode_plan(smaller)}'"
            )
        return 1
    click.echo(
        f"{result.state.name}: {result.runs} runs, {result.steps} steps, {result.seconds:.1f} virtual s"
    )
    click.echo(f"fired {dict(+result.fired)}")
    click.echo(f"trace {result.trace}")
    return 0


def _shrink(
    seed: int, records: int, tier: str, plan: FaultPlan, kind: type[AssertionError]
) -> tuple[FaultPlan, int]:
    """Faults that are still enough, and records: the fewest with which they are, if not as many as there were."""

    def fails(smaller: FaultPlan, records: int) -> bool:
        try:
            run(seed, records, tier, smaller)
        except AssertionError as error:
            return type(error) is kind
        return False

    fewer = next((number for number in range(records) if fails(plan, number)), records)
    return shrunk(plan, lambda smaller: fails(smaller, fewer)), fewer


def _many(seeds: Iterable[int], tier: str, jobs: int, minutes: float | None) -> int:
    totals, started = Totals(tier), time.monotonic()
    end_at = None if minutes is None else started + 60 * minutes
    for outcome in sweep(seeds, tier, jobs, end_at):
        totals.add(outcome)
    for line in totals.lines(time.monotonic() - started):
        click.echo(line)
    for failure in totals.failures:
        click.echo(f"FAILED seed {failure.seed}: {failure.reason}")
    for shortcoming in totals.shortcomings():
        click.echo(f"FAILED {shortcoming}")
    return 1 if totals.failures or totals.shortcomings() else 0


def _every_byte(faults: list[Fault], which: Slice, jobs: int, check_of: int) -> int:
    started = time.monotonic()
    click.echo(f"one byte in {which.every}: --every {which.every} --offset {which.offset}")
    click.echo(f"{session_bytes()} bytes arrive in {packets()} packets")
    totals = strike_everywhere(faults, which, jobs, check_of)
    for line in totals.lines(time.monotonic() - started):
        click.echo(line)
    for failed in totals.failed[:FAILURES_SHOWN_MAX]:
        click.echo(f"FAILED {failed.reason}: {failed.strike.replay}")
    return 1 if totals.failed else 0


def _adversary() -> int:
    """`Breach` comes through: whoever broke in has to be seen."""
    empty = 0
    for name in MATRICES:
        tried = matrix(name)
        for line in (*tried.lines(), ""):
            click.echo(line)
        for kind, state in tried.empty():
            click.echo(f"FAILED nothing was tried: {kind}, {state}")
        empty += len(tried.empty())
    return 1 if empty else 0


def _range(text: str) -> range:
    first, _, last = text.partition("..")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise click.BadParameter("is no A..B", param_hint="--seeds")
    return range(int(first), int(last) + 1)


def _modes(text: str) -> list[Fault]:
    names = text.split(",")
    if not set(names) <= MODES.keys():
        raise click.BadParameter(f"are not all of {', '.join(MODES)}", param_hint="--modes")
    return [MODES[name] for name in names]


def _plan(text: str) -> FaultPlan:
    try:
        return decode_plan(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise click.BadParameter(f"is no plan: {error}", param_hint="--plan") from error
