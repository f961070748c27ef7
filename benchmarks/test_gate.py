"""The gate on a clock of its own: it finds what is slower by a fifth, and nothing else. The real one: `gate.py`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import gate
import pytest


class Clock:
    """Processor seconds; every look at it costs a little, as on a real machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 0.0
        monkeypatch.setattr(time, "thread_time", self.read)

    def read(self) -> float:
        self.s += 1e-7
        return self.s

    def work(self, seconds: float) -> Callable[[], None]:
        def spend() -> None:
            self.s += seconds

        return spend


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def figures(layer: Callable[[], object], floor: Callable[[], object]) -> dict[str, float]:
    return {"layer": gate.ratio(layer, floor)}


def test_a_layer_as_fast_as_its_baseline_passes(clock: Clock) -> None:
    assert gate.judge(figures(clock.work(0.002), clock.work(0.001)), {"layer": 2.0})


def test_a_layer_that_became_a_fifth_slower_is_found(clock: Clock) -> None:
    assert not gate.judge(figures(gate.slowed(clock.work(0.002)), clock.work(0.001)), {"layer": 2.0})


def test_a_machine_that_is_half_as_fast_changes_nothing(clock: Clock) -> None:
    assert gate.judge(figures(clock.work(0.004), clock.work(0.002)), {"layer": 2.0})


def test_one_slow_round_in_three_changes_nothing(clock: Clock) -> None:
    turns = count()

    def disturbed() -> None:
        clock.s += 0.004 if next(turns) % 3 == 0 else 0.002

    assert gate.judge(figures(disturbed, clock.work(0.001)), {"layer": 2.0})


def test_another_machine_is_not_judged_by_this_ones_baseline(tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    file.write_text(json.dumps({"machine": "CPython 2.7 on a toaster", "ratios": {"layer": 2.0}}))
    assert gate.compare(file, []) == 0
