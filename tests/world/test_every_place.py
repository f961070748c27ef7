"""One fault at every place where it may strike: seeds miss what enumeration finds."""

from __future__ import annotations

import pytest

from posdecom_simulator.world.faults import Fault, FaultPlan

from .reference import Report, reference, report

UNPLUG_EVERY_BYTES = pytest.mark.parametrize("every_bytes", [331, pytest.param(17, marks=pytest.mark.long)])
"""Primes, so that no multiple of a frame or chunk is hit again and again."""


def test_power_cut_at_every_change_of_the_memory(record_property: Report) -> None:
    places = reference(FaultPlan()).seen[Fault.POWER_CUT]
    results = [reference(FaultPlan.only(Fault.POWER_CUT, place)) for place in range(1, places + 1)]
    assert report(record_property, results) == {Fault.POWER_CUT: places}


@pytest.mark.long
@pytest.mark.parametrize("later", [1, 2, 3, 7, 13])
def test_second_power_cut_while_the_terminal_recovers(later: int, record_property: Report) -> None:
    places = reference(FaultPlan()).seen[Fault.POWER_CUT]
    results = [
        reference(FaultPlan.only(Fault.POWER_CUT, place, place + later)) for place in range(1, places + 1)
    ]
    assert report(record_property, results)[Fault.POWER_CUT] >= 2 * places - later


@pytest.mark.parametrize("when", [Fault.KILL_BEFORE, Fault.KILL_AFTER])
def test_agent_killed_at_every_append_to_the_journal(when: Fault, record_property: Report) -> None:
    places = reference(FaultPlan()).seen[when]
    results = [reference(FaultPlan.only(when, place)) for place in range(1, places + 1)]
    assert report(record_property, results) == {when: places}


@UNPLUG_EVERY_BYTES
def test_line_unplugged_all_along_the_session(every_bytes: int, record_property: Report) -> None:
    places = range(1, reference(FaultPlan()).delivered_bytes, every_bytes)
    results = [reference(FaultPlan.only(Fault.UNPLUG, place)) for place in places]
    assert report(record_property, results) == {Fault.UNPLUG: len(places)}


DISK_EVERY_CALLS = pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.long)])


@DISK_EVERY_CALLS
@pytest.mark.parametrize(
    ("fault", "luck"),
    [
        (Fault.KILL_UNSYNCED_LOST, 0),
        (Fault.KILL_UNSYNCED_KEPT, 0),
        *((Fault.KILL_UNSYNCED_SHUFFLED, luck) for luck in range(4)),
        (Fault.DISK_EIO, 0),
        (Fault.DISK_ENOSPC, 0),
        (Fault.DISK_SHORT_WRITE, 0),
    ],
)
def test_agent_killed_or_its_disk_failing_at_every_call_of_the_disk(
    fault: Fault, luck: int, every: int, record_property: Report
) -> None:
    """The rotating offset makes the ordinary runs of nine rows take different calls."""
    calls = reference(FaultPlan()).seen[fault]
    places = range(1 + luck, calls + 1, every)
    results = [reference(FaultPlan(at={fault: frozenset({place})}, luck=luck)) for place in places]
    assert report(record_property, results) == {fault: len(places)}


CLOCKS_AND_LAPTOPS = [
    Fault.LAPTOP_BEHIND, Fault.LAPTOP_AHEAD, Fault.OTHER_LAPTOP, Fault.CLOCK_AHEAD, Fault.CLOCK_RESET
]  # fmt: skip


@pytest.mark.parametrize("fault", CLOCKS_AND_LAPTOPS)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_another_laptop_or_a_clock_that_is_years_off_after_any_interruption(
    fault: Fault, every: int, record_property: Report
) -> None:
    """The agent dies, and the terminal starts again, at any place; what comes back knows nothing of the time."""
    places = range(1, reference(FaultPlan()).seen[Fault.KILL_AFTER] + 1, every)
    at = {fault: frozenset({1, 2}), Fault.POWER_CUT: frozenset({20, 60})}
    results = [reference(FaultPlan(at={**at, Fault.KILL_AFTER: frozenset({place})})) for place in places]
    assert report(record_property, results)[fault] > 0


@pytest.mark.parametrize("fault", [Fault.DESK_BEHIND, Fault.DESK_AHEAD, Fault.HOST_CONTRADICTS])
def test_a_desk_in_another_year_and_a_host_that_contradicts_itself_at_every_call(
    fault: Fault, record_property: Report
) -> None:
    """Seeds 1 and 5: the desk signed a receipt outside the life of its own certificate, and kept it for ever."""
    places = reference(FaultPlan()).seen[fault]
    results = [reference(FaultPlan.only(fault, place)) for place in range(1, places + 1)]
    assert report(record_property, results) == {fault: places}


@pytest.mark.parametrize("every", [19, pytest.param(1, marks=pytest.mark.long)])
def test_a_line_of_another_speed_or_next_to_none_at_any_time(every: int, record_property: Report) -> None:
    starts = [tenths / 10 for tenths in range(0, 60, every)]
    plans = [FaultPlan(mismatches=((start, start + 2.0),)) for start in starts]
    plans += [FaultPlan(drips=((start, start + 20.0),)) for start in starts]
    fired = report(record_property, map(reference, plans))
    assert fired[Fault.SPEED_MISMATCH] > 0.9 * len(starts), (
        "the last of them come when the line is quiet already"
    )
    assert fired[Fault.SLOW_DRIP] > 0
