"""What totals demand of a sweep, how a failing seed is made smaller, and what the command says without its extra."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from posdecom_simulator.cli import simulator
from posdecom_simulator.terminal import erase
from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_world.run import records_of, run
from posdecom_world.sweep import EVERY_INVARIANT, KINDS_MIN, Totals, one

from .reference import REFERENCE_RECORDS, REFERENCE_SEED


def perfect() -> Totals:
    """As if every fault had struck and every invariant had been checked in one seed."""
    totals = Totals("A", results=1, with_kinds=1)
    totals.fired.update(dict.fromkeys(Fault, 1))
    totals.checked.update(dict.fromkeys(EVERY_INVARIANT, 1))
    return totals


def test_totals_in_which_everything_happened_lack_nothing() -> None:
    assert perfect().shortcomings() == []


@pytest.mark.parametrize("name", sorted(EVERY_INVARIANT))
def test_an_invariant_that_was_never_checked_fails_a_sweep(name: str) -> None:
    totals = perfect()
    del totals.checked[name]
    assert totals.shortcomings() == [f"{name} was never checked"]


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_that_never_struck_fails_a_sweep(fault: Fault) -> None:
    totals = perfect()
    del totals.fired[fault]
    assert totals.shortcomings() == [f"no {fault} ever struck"]


def test_seeds_with_too_few_kinds_of_fault_fail_a_sweep() -> None:
    totals = perfect()
    totals.with_kinds = 0
    assert totals.shortcomings() == [f"only 0 of 1 seeds had {KINDS_MIN} kinds of fault"]


def test_two_runs_check_every_invariant() -> None:
    """One of them of a terminal that was tampered with while it traded."""
    totals = Totals("A")
    totals.add(one(4, "A"))
    totals.add(run(REFERENCE_SEED, REFERENCE_RECORDS, plan=FaultPlan.only(Fault.TAMPER, 1)))
    assert {name for name in EVERY_INVARIANT if not totals.checked[name]} == set()


def test_every_seed_has_a_record_and_most_have_five() -> None:
    records = sorted(records_of(seed) for seed in range(1200))
    assert records[0] >= 1
    assert records[len(records) // 2] >= 5


def test_a_failing_seed_is_told_with_fewer_faults_and_fewer_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "finish", lambda store: False)
    done = CliRunner().invoke(simulator, ["world", "--seed", "4", "--shrink"])
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "enough are 0 records and: no faults" in done.output
    assert "posdecom-sim world --seed 4 --records 0 --tier A --plan" in done.output


def test_without_its_extra_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("posdecom_world")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "apsw", None)
    done = CliRunner().invoke(simulator, ["world", "--seed", "1"])
    assert done.exit_code == 1
    assert "pip install 'posdecom[world]'" in done.output
