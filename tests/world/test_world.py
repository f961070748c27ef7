"""Whole decommissions in virtual time: clean, by seeds, and with one fault at every place where it may strike.

`run` itself checks the invariants after every event and, at the end, the acquirer's books against the oracle. A
failing seed prints the command that replays it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from posdecom_protocol.documents.certificate import State
from posdecom_simulator.world.faults import Fault, FaultPlan

from .run import Result, run

SEEDS = range(150)
RECORDS_MAX = 8
REFERENCE_SEED = 1
"""The job whose places are enumerated: a reversal, two sales, in two contexts."""
REFERENCE_RECORDS = 3
UNPLUG_EVERY_BYTES = 97
"""A prime, so that no multiple of a frame or chunk is hit again and again."""

Report = Callable[[str, object], None]


def only(fault: Fault, *numbers: int) -> FaultPlan:
    return FaultPlan(at={fault: frozenset(numbers)})


def reference(plan: FaultPlan) -> Result:
    return run(REFERENCE_SEED, REFERENCE_RECORDS, plan=plan)


def report(record_property: Report, results: Iterable[Result]) -> Counter[str]:
    """What was done, for people; and how often each fault struck."""
    results = list(results)
    fired = sum((result.fired for result in results), Counter[str]())
    figures = {
        "runs": len(results),
        "virtual hours": round(sum(result.seconds for result in results) / 3600, 2),
        "steps": sum(result.steps for result in results),
        "exceptions": sum(result.state is State.EXCEPTIONS for result in results),
        "faults": {str(fault): count for fault, count in sorted(fired.items())},
    }
    for name, value in figures.items():
        record_property(name, value)
    print(figures)
    return fired


@pytest.mark.parametrize("tier", ["A", "B"])
@pytest.mark.parametrize("records", [0, 1, 5, 40])
def test_a_run_without_faults_completes_at_once(records: int, tier: str) -> None:
    result = run(2, records, tier, FaultPlan())
    assert (result.state, result.runs, result.troubles, +result.fired) == (State.COMPLETE, 1, (), Counter())


def test_every_seed_ends_well_and_every_fault_strikes(record_property: Report) -> None:
    fired = report(record_property, (run(seed, 1 + seed % RECORDS_MAX) for seed in SEEDS))
    assert [fault for fault in Fault if not fired[fault]] == []


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    first, again = run(seed), run(seed)
    assert first == again
    assert first.trace != run(seed + 1).trace


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_trace_does_not_depend_on_the_order_of_sets(hash_seed: str) -> None:
    tests = Path(__file__).parent.parent
    path = os.pathsep.join([str(tests), *sys.path])
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "world.run", "3"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"trace {run(3).trace}"


def test_real_tls_gives_the_same_lengths_every_time() -> None:
    plan = only(Fault.POWER_CUT, 30)
    assert run(6, tier="B", plan=plan).trace == run(6, tier="B", plan=plan).trace


def test_power_cut_at_every_change_of_the_memory(record_property: Report) -> None:
    places = reference(FaultPlan()).seen[Fault.POWER_CUT]
    results = [reference(only(Fault.POWER_CUT, place)) for place in range(1, places + 1)]
    assert report(record_property, results) == {Fault.POWER_CUT: places}


@pytest.mark.parametrize("later", [1, 2])
def test_second_power_cut_while_the_terminal_recovers(later: int, record_property: Report) -> None:
    places = reference(FaultPlan()).seen[Fault.POWER_CUT]
    results = [reference(only(Fault.POWER_CUT, place, place + later)) for place in range(1, places + 1)]
    assert report(record_property, results)[Fault.POWER_CUT] >= 2 * places - later


@pytest.mark.parametrize("when", [Fault.KILL_BEFORE, Fault.KILL_AFTER])
def test_agent_killed_at_every_append_to_the_journal(when: Fault, record_property: Report) -> None:
    places = reference(FaultPlan()).seen[when]
    results = [reference(only(when, place)) for place in range(1, places + 1)]
    assert report(record_property, results) == {when: places}


def test_line_unplugged_all_along_the_session(record_property: Report) -> None:
    places = range(1, reference(FaultPlan()).delivered_bytes, UNPLUG_EVERY_BYTES)
    results = [reference(only(Fault.UNPLUG, place)) for place in places]
    assert report(record_property, results) == {Fault.UNPLUG: len(places)}


# --- what the world found once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 0.99])
def test_an_older_copy_of_the_journal_after_the_closure_finds_the_receipt_at_the_desk(share: float) -> None:
    """The host denies the terminal's keys by then: settling again would be refused from the first message on."""
    appends = reference(FaultPlan()).seen[Fault.KILL_AFTER]
    at = {Fault.KILL_AFTER: frozenset({appends}), Fault.OLD_JOURNAL: frozenset({1})}
    assert reference(FaultPlan(at=at, old_journal_share=share)).state is State.COMPLETE


@pytest.mark.parametrize("tier", ["A", "B"])
def test_a_terminal_whose_clock_is_dead_after_the_freeze_lets_the_technician_in(tier: str) -> None:
    """Its clock then begins in 1970, before any certificate: judging dates would lock everybody out for ever."""
    changes = reference(FaultPlan()).seen[Fault.POWER_CUT]
    for place in range(1, changes + 1):
        at = {Fault.POWER_CUT: frozenset({place}), Fault.CLOCK_RESET: frozenset({1})}
        assert run(REFERENCE_SEED, REFERENCE_RECORDS, tier, FaultPlan(at=at)).state is State.COMPLETE
