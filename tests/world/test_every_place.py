"""One fault at every place where it may strike: seeds miss what enumeration finds."""

from __future__ import annotations

import pytest

from posdecom_protocol import frames
from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_world import every_place
from posdecom_world.every_place import MODES, Slice, Strike, strike_everywhere

from .reference import Report, reference, report

BYTES_EVERY = 1499
"""A prime, so that no multiple of a frame or packet is hit again and again."""


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_power_cut_at_every_change_of_the_memory(every: int, record_property: Report) -> None:
    places = range(1, reference(FaultPlan()).seen[Fault.POWER_CUT] + 1, every)
    results = [reference(FaultPlan.only(Fault.POWER_CUT, place)) for place in places]
    assert report(record_property, results) == {Fault.POWER_CUT: len(places)}


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


@pytest.mark.parametrize("every", [BYTES_EVERY, pytest.param(41, marks=pytest.mark.long)])
def test_line_unplugged_and_each_byte_lost_doubled_and_flipped_all_along_the_session(
    every: int, record_property: Report
) -> None:
    """Each day at other bytes; `posdecom-sim world --every-byte` strikes all of them, and is run by ``.ci/run``."""
    which = Slice(every, every_place.offset_of_today(every))
    totals = strike_everywhere(tuple(MODES.values()), which, check_of=97)
    record_property("which", str(which))
    record_property("judged", {str(fault): count for fault, count in totals.judged.items()})
    print(which, *totals.lines(0), *(f"{one.reason}: {one.strike.replay}" for one in totals.failed), sep="\n")
    places = sum(number in which for number in range(1, every_place.session_bytes() + 1))
    assert totals.failed == []
    assert totals.judged == {
        fault: places * (8 if fault is Fault.BYTE_FLIPPED else 1) for fault in MODES.values()
    }


def test_every_byte_of_the_session_is_one_of_a_packet() -> None:
    clean = reference(FaultPlan())
    arrivals = every_place.clean().tape.arrivals
    assert every_place.session_bytes() == clean.delivered_bytes == sum(len(one.data) for one in arrivals)
    assert [one.first for one in arrivals[1:]] == [one.first + len(one.data) for one in arrivals[:-1]]


@pytest.mark.parametrize("every", [5003, pytest.param(997, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", MODES)
def test_what_needs_no_run_would_have_gone_as_was_said(mode: str, every: int) -> None:
    """Run all the same, each of them: the proof is not believed here."""
    which = Slice(every, 1 + 617 * list(MODES).index(mode))
    totals = strike_everywhere((MODES[mode],), which, check_of=1)
    assert totals.failed == []
    assert totals.run.total() + totals.checked.total() == totals.judged.total()


def test_a_tape_vouches_for_what_arrived_and_for_no_frame_that_lacks_a_byte() -> None:
    """But for those that nobody took: the terminal was off."""
    tape = every_place.clean().tape
    for place, arrival in enumerate(tape.arrivals):
        lacking = Strike(Fault.BYTE_DROPPED, arrival.first + len(arrival.data) // 2).leaves(arrival)
        assert tape.would_answer(place, arrival.data)
        assert tape.would_answer(place, lacking) == (arrival.received is None)
    assert sum(arrival.received is None for arrival in tape.arrivals) < 5


def test_a_strike_is_the_same_on_the_line_and_in_the_proof() -> None:
    tape = every_place.clean().tape
    for place in (3, 30):
        arrival = tape.arrivals[place]
        number = arrival.first + len(arrival.data) // 3
        strikes = [Strike(fault, number) for fault in MODES.values()]
        for strike in (*strikes, *(Strike(Fault.BYTE_FLIPPED, number, bit) for bit in (1, 7))):
            struck = every_place.run_course(strike.plan).tape.arrivals[place]
            assert struck.data == strike.leaves(arrival)


def test_frames_that_are_taken_damaged_fail_it(monkeypatch: pytest.MonkeyPatch) -> None:
    every_place.clean.cache_clear()
    monkeypatch.setattr(frames, "_check", lambda *_: 0)
    try:
        failed = []
        for place in (14, 19):
            arrival = every_place.clean().tape.arrivals[place]
            middle = Slice(10**6, arrival.first + len(arrival.data) // 2)
            failed += every_place.strike_packet(place, [Fault.BYTE_FLIPPED], middle, check_of=10**9).failed
    finally:
        every_place.clean.cache_clear()
    assert failed


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
    """Another slice each day, and for each of the nine rows; in the long run every call."""
    calls = reference(FaultPlan()).seen[fault]
    offset = (luck + every_place.offset_of_today(every)) % every
    places = range(1 + offset, calls + 1, every)
    record_property("calls of the disk", f"{len(places)} of {calls}, from {1 + offset} on")
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
