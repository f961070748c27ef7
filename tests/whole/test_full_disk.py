"""A real disk that is full, at each step of the job: named, nothing lost, nothing erased, and it goes on with room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from real_parts import RealParts

from . import small_disk
from .books import assert_finishes
from .small_disk import SmallDisk

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(small_disk.why_not()), reason=small_disk.why_not() or "disks can be mounted"),
]

STEPS = [("flush", 1), ("settle", 1), ("settle", 2), ("agree", 1), ("erase", 1), ("certify", 1), ("close", 1)]
"""Of `procedure.Step`, and at which append in it the disk is full; one job meets them all."""

KEEPS_ITS_KEYS = ("flush", "settle", "agree", "erase")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[RealParts]:
    with RealParts(tmp_path, transactions=20) as real:
        real.start_acquirer()
        real.wait_for_terminal(real.start_terminal())
        real.write_order()
        yield real


def state_of(parts: RealParts) -> str:
    looked = parts.run(["posdecom_agent", "info", "--port", parts.tty, "--site", parts.site / "technician"])
    return looked.stdout.splitlines()[1].split()[1]


def test_a_disk_that_fills_up_at_any_step_is_named_and_the_job_goes_on_with_room(parts: RealParts) -> None:
    with SmallDisk(parts.journal, 300) as disk:
        small = parts.retire(before=disk.inside)
        assert small.returncode == Exit.STORAGE
        assert "error[PD-E30]: " in small.stderr
        assert "bytes are needed" in small.stderr
        disk.resize(8 * 1024)
        for step, nth in STEPS:
            full = parts.retire("journal", step, str(nth), "full", before=disk.inside)
            assert full.returncode == Exit.STORAGE, f"{step} {nth}: {full.stderr}"
            assert "error[PD-E30]: " in full.stderr
            assert "Traceback" not in full.stderr
            if step in KEEPS_ITS_KEYS:
                assert state_of(parts) in ("FROZEN", "SETTLED"), step
            disk.make_room()
        assert_finishes(parts, before=disk.inside)


def test_a_certificate_that_does_not_fit_is_written_once_there_is_room(parts: RealParts) -> None:
    with SmallDisk(parts.out, 4) as disk:
        full = parts.retire(before=disk.inside)
        assert full.returncode == Exit.STORAGE, full.stderr
        assert "error[PD-E30]: " in full.stderr
        disk.resize(1024)
        assert_finishes(parts, before=disk.inside)
