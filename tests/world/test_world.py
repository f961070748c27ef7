"""Whole decommissions in virtual time: without faults, the same every time, and those that went wrong once.

`run` itself checks the invariants after every event and, at the end, the acquirer's books against the oracle.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from posdecom_agent.dialects import Delivered
from posdecom_agent.job import Job
from posdecom_agent.procedure import SettleEnd
from posdecom_agent.settlement import Finished
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.records import ItemKind
from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_world.run import run
from posdecom_world.stations import VirtualStations

from .reference import REFERENCE_RECORDS, REFERENCE_SEED, reference


@pytest.mark.parametrize("tier", ["A", "B"])
@pytest.mark.parametrize("records", [0, 1, 5, 40])
def test_a_run_without_faults_completes_at_once(records: int, tier: str) -> None:
    result = run(2, records, tier, FaultPlan())
    assert (result.state, result.runs, result.troubles, +result.fired) == (State.COMPLETE, 1, (), Counter())


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    first, again = run(seed), run(seed)
    assert first == again
    assert first.trace != run(seed + 1).trace


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_the_trace_does_not_depend_on_the_order_of_sets(hash_seed: str) -> None:
    command = [sys.executable, "-m", "posdecom_simulator", "world", "--seed", "3", "--records", "5"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"trace {run(3).trace}"


def test_real_tls_gives_the_same_lengths_every_time() -> None:
    plan = FaultPlan.only(Fault.POWER_CUT, 30)
    assert run(6, tier="B", plan=plan).trace == run(6, tier="B", plan=plan).trace


# --- what the world found once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 0.99])
def test_an_older_copy_of_the_journal_after_the_closure_finds_the_receipt_at_the_desk(share: float) -> None:
    """The host denies the terminal's keys by then: settling again would be refused from the first message on."""
    appends = reference(FaultPlan()).seen[Fault.KILL_AFTER]
    at = {Fault.KILL_AFTER: frozenset({appends}), Fault.OLD_JOURNAL: frozenset({1})}
    assert reference(FaultPlan(at=at, old_journal_share=share)).state is State.COMPLETE


@pytest.mark.parametrize(
    ("tier", "every"), [("A", 9), ("B", 23), pytest.param("B", 1, marks=pytest.mark.long)]
)
def test_a_terminal_whose_clock_is_dead_after_the_freeze_lets_the_technician_in(
    tier: str, every: int
) -> None:
    """Its clock then begins in 1970, before any certificate: judging dates would lock everybody out for ever."""
    changes = reference(FaultPlan()).seen[Fault.POWER_CUT]
    for place in range(1, changes + 1, every):
        at = {Fault.POWER_CUT: frozenset({place}), Fault.CLOCK_RESET: frozenset({1})}
        assert run(REFERENCE_SEED, REFERENCE_RECORDS, tier, FaultPlan(at=at)).state is State.COMPLETE


@pytest.mark.parametrize("seed", range(6))
def test_an_agent_that_believes_it_delivered_everything_is_sent_back_by_the_desk(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that lies, however it came to: the desk looks into its own books, and names what they lack."""
    settle, believed = VirtualStations.settle, set[int]()

    def believe_first(self: VirtualStations, job: Job, context: SealedContext) -> SettleEnd:
        if context.index in believed:
            return settle(self, job, context)
        believed.add(context.index)
        for sequence in range(context.item_first, context.item_last + 1):
            is_totals = job.item(sequence).kind is ItemKind.TOTALS
            job.keep_outcome(sequence, Delivered(balanced=True if is_totals else None), bytes(32))
        return Finished()

    monkeypatch.setattr(VirtualStations, "settle", believe_first)
    assert run(seed, plan=FaultPlan()).state in (State.COMPLETE, State.EXCEPTIONS)
    assert believed
