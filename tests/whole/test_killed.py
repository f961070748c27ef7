"""SIGKILL of real processes at exact points of each phase: the same command again finishes, nothing lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from posdecom_simulator.population import populate
from posdecom_simulator.terminal.device import Context
from posdecom_world.oracle import books_after, differences
from real_parts import LIMIT_S, RealParts

from .books import RULES, assert_finishes

Kill = tuple[str, int, str]
TerminalKill = tuple[str, str, int, str]

AGENT_KILLS: list[Kill] = [
    ("begin", 1, "before"), ("begin", 1, "before"), ("begin", 1, "after"),
    ("flush", 1, "before"), ("flush", 1, "after"), ("flush", 2, "after"),
    ("settle", 1, "before"), ("settle", 9, "after"), ("settle", 12, "before"),
    ("agree", 1, "before"), ("agree", 1, "before"), ("agree", 1, "after"),
    ("erase", 1, "before"), ("erase", 1, "after"), ("erase", 1, "before"), ("erase", 1, "after"),
    ("certify", 1, "before"), ("certify", 1, "before"), ("certify", 1, "after"),
    ("close", 1, "before"), ("close", 1, "before"), ("close", 1, "after"),
]  # fmt: skip
"""One job is killed at all of them, one run after the other: each run gets a little further."""

TERMINAL_KILLS: list[TerminalKill] = [
    ("memory", "NEW", 2, "after"), ("memory", "NEW", 9, "before"), ("memory", "NEW", 12, "before"),
    ("memory", "ACTIVE", 1, "before"), ("memory", "ACTIVE", 3, "after"), ("memory", "ACTIVE", 5, "before"),
    ("line", "FROZEN", 2, "after"), ("line", "FROZEN", 4, "before"), ("line", "FROZEN", 6, "after"),
    ("memory", "FROZEN", 2, "before"), ("memory", "FROZEN", 3, "before"), ("memory", "FROZEN", 3, "after"),
    ("memory", "SETTLED", 2, "before"), ("memory", "SETTLED", 2, "after"), ("memory", "SETTLED", 3, "after"),
    ("memory", "ERASING", 2, "after"), ("memory", "ERASING", 8, "before"), ("memory", "ERASING", 12, "after"),
    ("memory", "ERASED", 2, "before"), ("memory", "ERASED", 2, "after"), ("memory", "ERASED", 3, "after"),
]  # fmt: skip
"""One terminal's life is cut at all of them: while it is loaded, frozen, read, released, told to erase, and erases."""

AGENT_KILLS_FIRST: list[Kill] = [
    ("begin", 1, "after"), ("flush", 2, "after"), ("settle", 9, "after"), ("agree", 1, "before"), ("erase", 1, "after"),
    ("certify", 1, "before"), ("close", 1, "before"),
]  # fmt: skip
TERMINAL_KILLS_FIRST = TERMINAL_KILLS[1::3]
"""One in each phase for the ordinary run; all of them in the long one."""

HISTOGRAM: Counter[str] = Counter()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[RealParts]:
    with RealParts(tmp_path, transactions=120) as real:
        real.start_acquirer()
        real.write_order()
        yield real


@pytest.mark.parametrize(
    "kills", [AGENT_KILLS_FIRST, pytest.param(AGENT_KILLS, marks=pytest.mark.long)], ids=len
)
def test_an_agent_killed_in_every_phase_finishes_with_nothing_lost_or_doubled(
    kills: list[Kill], parts: RealParts
) -> None:
    terminal = parts.start_terminal()
    parts.wait_for_terminal(terminal)
    for step, nth, when in kills:
        killed = parts.retire("journal", step, str(nth), when)
        assert killed.returncode == -9, f"{step} {nth} {when}: {killed.stderr}"
        HISTOGRAM[f"agent, {step}"] += 1
    assert_finishes(parts)


@pytest.mark.parametrize(
    "kills", [TERMINAL_KILLS_FIRST, pytest.param(TERMINAL_KILLS, marks=pytest.mark.long)], ids=len
)
def test_a_terminal_killed_in_every_phase_finishes_with_nothing_lost_or_doubled(
    kills: list[TerminalKill], parts: RealParts
) -> None:
    for kind, state, nth, when in kills:
        killed = parts.start_terminal(kind, state, str(nth), when)
        said = parts.retire(reconnect_s=0).stderr if parts.comes_up(killed) else ""
        assert killed.wait(LIMIT_S) == -9, f"{kind} {state} {nth} {when}: {said}"
        HISTOGRAM[f"terminal, {kind} in {state}"] += 1
    parts.wait_for_terminal(parts.start_terminal())
    assert_finishes(parts)


def test_the_oracle_sees_a_lost_and_a_doubled_transaction() -> None:
    contexts = (Context(0, "acquirer-a", "123456789012345", "TERM0001", 156, 24, "cup"),)
    day = populate(1, 30, contexts, 0)
    books, stans = books_after(day, 0, RULES), {one.stan for one in day}
    found = sorted(books.booked)
    assert differences(books, found, stans) == []
    assert differences(books, found[1:], stans) == [f"{found[0]} is missing"]
    assert differences(books, [*found, found[0]], stans) == [f"{found[0]} counts twice"]


@pytest.mark.long
def test_each_phase_was_killed_at_least_three_times() -> None:
    """Runs last in this file; with -s and in one process it prints the histogram."""
    print(
        "\nkilled while:", *(f"  {count:2} x {phase}" for phase, count in sorted(HISTOGRAM.items())), sep="\n"
    )
    assert min(HISTOGRAM.values()) >= 3
