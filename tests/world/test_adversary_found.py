"""What the adversary got when it was first let in, one thing each; the matrices keep all of it found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import Certificate, State
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Items, Refusal, Refused, Released, encode
from posdecom_world.adversary import desk
from posdecom_world.adversary.forgery import hands
from posdecom_world.adversary.life import lived
from posdecom_world.adversary.matrix import Outcome
from posdecom_world.adversary.meeting import STANCES, Meeting
from posdecom_world.adversary.rogue import Lie
from posdecom_world.overheard import overhear
from posdecom_world.scene import NOW

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


def test_a_case_of_an_earlier_life_without_its_terminal_revokes_no_keys_of_the_next() -> None:
    """The technician's certificate and the order are good, and were never closed; the terminal has new keys since."""
    heard = lived(is_balanced=False)
    body = open_document(heard.bodies("certificate")[0], Certificate).body
    certificate = issue(replace(desk.absent(body), stated=State.UNATTESTED), hands()["technician"])
    for name, status in (("receipt signed", 200), ("new keys", 422)):
        (state,) = (one for one in desk.states() if one.name == name)
        office = state.opened()
        assert office.post("certificates", certificate, NOW + desk.LATER_S).status == status
        assert office.ledger.is_denied(desk.NEW_KEYS) is False
