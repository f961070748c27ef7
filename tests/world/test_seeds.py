"""Decommissions by seed, each with its own faults. A failing one prints the command that replays it."""

from __future__ import annotations

import pytest

from posdecom_simulator.world.faults import Fault
from posdecom_world.run import run

from .reference import Report, report

SEEDS = range(50)
"""The first slice: enough for every kind of fault to strike."""

MORE_SEEDS = range(50, 400)
RECORDS_MAX = 8


def test_every_seed_ends_well_and_every_fault_strikes(record_property: Report) -> None:
    fired = report(record_property, (run(seed, 1 + seed % RECORDS_MAX) for seed in SEEDS))
    assert [fault for fault in Fault if not fired[fault]] == []


@pytest.mark.long
def test_many_more_seeds_end_well(record_property: Report) -> None:
    fired = report(record_property, (run(seed, 1 + seed % RECORDS_MAX) for seed in MORE_SEEDS))
    assert [fault for fault in Fault if not fired[fault]] == []
