"""The agent's process killed before any one of its writes, syncs and renames, and those that fail: strace does both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from real_parts import RealParts

from . import struck
from .books import assert_finishes
from .struck import KILL, Place

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(struck.why_not()), reason=struck.why_not() or "strace is here"),
]

KINDS = ("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "unlink")
"""Calls by which something gets into a file, onto the disk, onto the line or to the acquirer."""

DEATHS = 12
"""Each in a job of its own; which calls they strike moves on from day to day (POSDECOM_OFFSET chooses)."""

DEAD: list[bool] = []
RUNS_MAX = 40
STORAGE_CODES = re.compile(r"^error\[PD-E(08|30|31)\]: ", re.MULTILINE)


@contextmanager
def trading(folder: Path) -> Iterator[RealParts]:
    with RealParts(folder, transactions=20) as parts:
        parts.start_acquirer()
        parts.wait_for_terminal(parts.start_terminal())
        parts.write_order()
        yield parts


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Place]:
    """All those calls of a job that nobody disturbs, in order."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with trading(folder) as parts:
        done = parts.retire(before=struck.observed(KINDS, folder / "calls"))
        assert done.returncode == Exit.DONE, done.stderr
    found = struck.calls(folder / "calls")
    assert len(found) > 10 * DEATHS
    return found


@pytest.mark.parametrize("share", range(DEATHS))
def test_an_agent_killed_at_any_call_finishes_with_nothing_lost_or_doubled(
    share: int, places: list[Place], tmp_path: Path
) -> None:
    place = struck.sample(places, share, DEATHS)
    print(f"SIGKILL before {place}, one of {len(places)} calls; POSDECOM_OFFSET={struck.offset_now()}")
    with trading(tmp_path) as parts:
        killed = parts.retire(before=struck.struck(place, KILL, tmp_path / "calls"))
        # in how many pieces the line hands over what it reads hangs on the machine, and so do the last numbers
        assert killed.returncode == -9 or not struck.was_struck(tmp_path / "calls"), killed.stderr
        DEAD.append(killed.returncode == -9)
        assert_finishes(parts)


def test_most_of_them_were_killed() -> None:
    """Runs after the others, in the same process (--dist=loadfile)."""
    assert sum(DEAD) >= 0.75 * len(DEAD)


@pytest.mark.parametrize(
    ("call", "error", "step"),
    [
        ("pwrite64", "ENOSPC", 4), ("fdatasync", "EIO", 2), ("fsync", "EIO", 1), ("rename", "EIO", 1),
    ],
)  # fmt: skip
def test_a_disk_that_refuses_one_call_after_the_other_is_named_each_time_and_loses_nothing(
    call: str, error: str, step: int, tmp_path: Path
) -> None:
    """Each run gets a little further before it is refused; the last one is not refused any more."""
    log, refused = tmp_path / "calls", 0
    with trading(tmp_path) as parts:
        for nth in count(1, step):
            done = parts.retire(before=struck.struck(Place(call, nth, "any"), f"error={error}", log))
            if done.returncode == Exit.DONE:
                break
            refused += 1
            assert struck.was_struck(log)
            assert done.returncode == Exit.STORAGE, done.stderr
            assert len(STORAGE_CODES.findall(done.stderr)) == 1, done.stderr
            assert refused < RUNS_MAX
        print(f"{call} refused with {error} in {refused} runs")
        assert refused >= 3
        assert_finishes(parts)
