"""The terminal's power fails in every operation of its chips, in every way, and its tamper circuit strikes at each."""

from __future__ import annotations

import pytest

from posdecom_protocol.documents.certificate import State
from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_simulator.world.terminal import OUTCOMES

from .reference import Report, reference, report

LUCKS = range(len(OUTCOMES))
"""With each luck the cuts at all operations end otherwise: nothing, half, the other half, every second bit, done."""


def cut(place: int, luck: int, *later: int) -> FaultPlan:
    at = {Fault.FLASH_CUT: frozenset({place, *(place + one for one in later)})}
    return FaultPlan(at=at, luck=luck)


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.long)])
def test_power_cut_in_every_operation_in_every_way(every: int, record_property: Report) -> None:
    operations = reference(FaultPlan()).seen[Fault.FLASH_CUT]
    places = [(place, luck) for luck in LUCKS for place in range(1 + luck, operations + 1, every)]
    results = [reference(cut(place, luck)) for place, luck in places]
    assert report(record_property, results) == {Fault.FLASH_CUT: len(places)}
    assert {result.state for result in results} == {State.COMPLETE}


@pytest.mark.long
@pytest.mark.parametrize("later", [1, 2, 5])
def test_second_cut_while_the_terminal_recovers_from_the_first(later: int, record_property: Report) -> None:
    """Pairs in the erase, all of them, are in `tests/simulator/test_erase_cut_twice.py`."""
    operations = reference(FaultPlan()).seen[Fault.FLASH_CUT]
    results = [reference(cut(place, place // 7, later)) for place in range(1, operations + 1)]
    assert report(record_property, results)[Fault.FLASH_CUT] > 1.9 * operations
    assert {result.state for result in results} == {State.COMPLETE}


@pytest.mark.parametrize("reaches_identity", [False, True])
@pytest.mark.parametrize("every", [19, pytest.param(1, marks=pytest.mark.long)])
def test_tamper_at_every_operation_and_at_everything_that_the_terminal_says(
    reaches_identity: bool, every: int, record_property: Report
) -> None:
    """Before the freeze: salvaged. After it: settled, and evidence if it is left its identity, or made it before."""
    places = reference(FaultPlan()).seen[Fault.TAMPER]
    luck = next(
        luck for luck in range(99) if FaultPlan(luck=luck).tamper_reaches_identity == reaches_identity
    )
    struck = [*range(1, places, every), places]
    results = [reference(FaultPlan(at={Fault.TAMPER: frozenset({place})}, luck=luck)) for place in struck]
    assert report(record_property, results) == {Fault.TAMPER: len(results)}
    states = [result.state for result in results]
    ends = {State.UNATTESTED, State.COMPLETE, State.INCOMPLETE if reaches_identity else State.EXCEPTIONS}
    assert set(states) == ends
    assert states[0] is State.UNATTESTED and states[-1] is State.COMPLETE
