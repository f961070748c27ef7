"""``posdecom-sim world``: one seed with everything that happened, or many with their totals."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from itertools import count

import click

from posdecom_simulator.world.faults import FaultPlan

from .adversary import agent, terminal
from .overheard import overhear
from .run import plan_of, records_of, run
from .shrink import decode_plan, encode_plan, shrunk
from .sweep import Totals, sweep

ADVERSARY_SEEDS = range(1, 8)
"""The runs that the adversary heard; the later ones with their faults."""


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
    help="Everything that an adversary could say to a terminal, in every state: the matrix.",
)
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
    tier: str,
    records: int | None,
    plan_text: str | None,
    jobs: int,
    wants_shrink: bool,
) -> None:
    if adversary:
        sys.exit(_adversary())
    if seed is not None:
        plan = plan_of(seed) if plan_text is None else _plan(plan_text)
        sys.exit(_one(seed, records_of(seed) if records is None else records, tier, plan, wants_shrink))
    if seeds is None and minutes is None:
        raise click.UsageError("one of --seed, --seeds, --minutes and --adversary is needed")
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


def _adversary() -> int:
    """`Breach` comes through: whoever broke in has to be seen."""
    heard = [overhear(seed, 4, is_faulty=seed > 3) for seed in ADVERSARY_SEEDS]
    matrices = terminal.attack(heard), agent.attack(heard[0], heard[1])
    for matrix in matrices:
        for line in (*matrix.lines(), ""):
            click.echo(line)
        for kind, state in matrix.empty():
            click.echo(f"FAILED nothing was tried: {kind}, {state}")
    return 1 if any(matrix.empty() for matrix in matrices) else 0


def _range(text: str) -> range:
    first, _, last = text.partition("..")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise click.BadParameter("is no A..B", param_hint="--seeds")
    return range(int(first), int(last) + 1)


def _plan(text: str) -> FaultPlan:
    try:
        return decode_plan(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise click.BadParameter(f"is no plan: {error}", param_hint="--plan") from error
