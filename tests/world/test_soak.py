"""The world overnight: ``pytest -m soak -n0 -s``, POSDECOM_SOAK_MINUTES minutes (480 by default), half of it tier B.

Seeds begin at POSDECOM_SOAK_FROM (2,000,000 by default, beyond those of every other run).
"""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from posdecom_simulator.cli import simulator


@pytest.mark.soak
@pytest.mark.parametrize("tier", ["A", "B"])
def test_no_seed_fails_in_a_long_night(tier: str) -> None:
    minutes = float(os.environ.get("POSDECOM_SOAK_MINUTES", "480")) / 2
    first = int(os.environ.get("POSDECOM_SOAK_FROM", "2000000"))
    options = [f"--minutes={minutes}", f"--seeds={first}..{first}", f"--tier={tier}", "--jobs=2"]
    outcome = CliRunner().invoke(simulator, ["world", *options])
    print(outcome.output)
    assert outcome.exit_code == 0, outcome.output
