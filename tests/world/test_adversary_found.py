"""What the adversary got when it was first let in, one thing each; the matrices keep all of it found."""

from __future__ import annotations

import pytest

from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Items, Refusal, Refused, Released, encode
from posdecom_world.adversary.matrix import Outcome
from posdecom_world.adversary.meeting import STANCES, Meeting
from posdecom_world.adversary.rogue import Lie
from posdecom_world.overheard import overhear

BUSY = encode(Refused(Refusal.BUSY))


def met(stance: str, lie: Lie) -> Outcome:
    """`Breach` where the agent does not come away; any other exception is one, too."""
    (here,) = (one for one in STANCES if one.name == stance)
    return Meeting(here, overhear(3, 4), lie).outcome()


@pytest.mark.parametrize("lie", [Lie(is_mute=True), Lie(handshake=b"")], ids=["confirmation", "handshake"])
@pytest.mark.parametrize("stance", ["looks", "begins", "erase due"])
def test_a_terminal_that_keeps_the_line_alive_and_lets_nobody_in_is_left(stance: str, lie: Lie) -> None:
    assert met(stance, lie) is Outcome.CLOSED


def test_items_that_come_before_the_seal_are_out_of_place_from_a_busy_terminal_too() -> None:
    assert met("begins", Lie(answer=BUSY + encode(Items(1, (b"item",))))) is Outcome.CLOSED


@pytest.mark.parametrize(
    "stance", ["begins", "reads items", "receipt held", "erase due", "waits for the evidence"]
)
def test_a_terminal_that_is_busy_and_then_refuses_has_refused(stance: str) -> None:
    assert met(stance, Lie(answer=BUSY + encode(Refused(Refusal.STATE)))) is Outcome.REFUSED


@pytest.mark.parametrize("stance", ["reads items", "salvages"])
def test_a_read_that_is_refused_is_a_trouble_with_a_name(stance: str) -> None:
    assert met(stance, Lie(answer=encode(Refused(Refusal.NOT_FOUND)))) is Outcome.REFUSED


@pytest.mark.parametrize("stance", ["looks", "thaws"])
def test_a_session_that_is_over_as_soon_as_it_begins_is_asked_nothing(stance: str) -> None:
    assert met(stance, Lie(unasked=encode(Released(LifecycleState.SETTLED)))) is Outcome.CLOSED
