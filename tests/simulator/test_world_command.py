"""`posdecom-sim world`: one seed told event by event, many with their totals, a failing one made smaller."""

from __future__ import annotations

from collections import Counter

import pytest
from click.testing import CliRunner

from posdecom_simulator.cli import simulator
from posdecom_simulator.terminal import erase
from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_simulator.world.line import Noise
from posdecom_world.run import plan_of, run
from posdecom_world.shrink import decode_plan, encode_plan, shrunk
from posdecom_world.sweep import Failure, Totals


def called(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(simulator, ["world", *arguments])
    return result.exit_code, result.output.splitlines()


def test_one_seed_begins_with_its_options_and_ends_with_the_hash_of_its_trace() -> None:
    code, lines = called("--seed", "3", "--records", "1")
    assert code == 0
    assert lines[0].startswith("seed 3, 1 records, tier A: ")
    assert lines[-1] == f"trace {run(3, 1).trace}"


def test_a_sweep_that_met_too_few_faults_fails_and_says_which() -> None:
    code, lines = called("--seeds", "0..0")
    assert code == 1
    assert any("1 sessions" in line for line in lines)
    assert any(line.startswith("FAILED no ") for line in lines)


@pytest.mark.parametrize(
    "arguments", [[], ["--seeds", "5..2"], ["--seeds", "x"], ["--seed", "1", "--plan", "[]"]]
)
def test_what_cannot_be_run_is_a_wrong_command_line(arguments: list[str]) -> None:
    assert called(*arguments)[0] == 2


def test_a_failing_seed_is_told_with_as_few_faults_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "finish", lambda store: False)
    plan = FaultPlan(at={Fault.DESK_AWAY: frozenset({1, 2}), Fault.ANSWER_LATE: frozenset({1})})
    code, lines = called("--seed", "1", "--records", "1", "--plan", encode_plan(plan), "--shrink")
    assert code == 1
    least = f"--seed 1 --records 0 --tier A --plan '{encode_plan(FaultPlan())}'"
    assert lines[-1] == f"posdecom-sim world {least}"


def test_shrinking_keeps_what_the_failure_needs_and_nothing_else() -> None:
    plan = FaultPlan(
        Noise(flip=1e-4, drop=1e-4),
        ((1.0, 2.0),),
        at={Fault.POWER_CUT: frozenset({3, 9, 27}), Fault.UNPLUG: frozenset({100})},
    )

    def fails(smaller: FaultPlan) -> bool:
        return 9 in smaller.at.get(Fault.POWER_CUT, ()) and smaller.noise.drop > 0

    assert shrunk(plan, fails) == FaultPlan(Noise(drop=1e-4), at={Fault.POWER_CUT: frozenset({9})})


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_comes_back_from_its_text(seed: int) -> None:
    assert decode_plan(encode_plan(plan_of(seed))) == plan_of(seed)


def test_totals_count_failures_and_name_every_kind_that_never_struck() -> None:
    totals = Totals("A")
    totals.add(run(3, 1, plan=FaultPlan.only(Fault.POWER_CUT, 7)))
    totals.add(Failure(4, "A", "Broken: a key is gone"))
    assert (totals.results, totals.fired, len(totals.failures)) == (1, Counter({Fault.POWER_CUT: 1}), 1)
    assert sum(one.endswith("ever struck") for one in totals.shortcomings()) == len(Fault) - 1
    assert "only 0 of 1 seeds had 2 kinds of fault" in totals.shortcomings()
