"""Somebody who heard every run and signs with every key but the right one gets nowhere, in no state, with nobody.

`Breach` is raised where anything moves: one write to the terminal's memory, one row of journal or books, one document
on the desk's shelf is enough. That the nets hold is shown by products from which one check was taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import pytest

from posdecom_agent import stations, visit
from posdecom_agent.job import Job
from posdecom_agent.visit import Reached, Restarting
from posdecom_protocol import channel, guard
from posdecom_protocol.certificates import Anchors, Role, Signer, validate
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Refusal
from posdecom_simulator.acquirer import audit
from posdecom_simulator.acquirer import desk as release_desk
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_world.adversary import agent, desk, host, impostors, lies, terminal
from posdecom_world.adversary.life import life, lived
from posdecom_world.adversary.matrix import Breach, Matrix, Outcome
from posdecom_world.adversary.meeting import STANCES, Stance
from posdecom_world.adversary.whole import MATRICES, matrix
from posdecom_world.overheard import overhear

from .adversary_page import cells, table, written
from .reference import Report

Patch = pytest.MonkeyPatch

SLICE_EVERY: Final = 400


def stances(*names: str) -> list[Stance]:
    return [one for one in STANCES if one.name in names]


SLICES: Final[dict[str, Callable[[], Matrix]]] = {
    "terminal": lambda: terminal.attack([overhear(3, 4)], SLICE_EVERY),
    "terminal tls": lambda: impostors.at_the_terminal(20),
    "agent": lambda: lies.attack([lived(is_balanced=False), overhear(3, 4)], SLICE_EVERY, stances("begins")),
    "agent tls": lambda: impostors.at_the_agent(overhear(3, 4), 20),
    "agent and desk": lambda: agent.attack(overhear(1, 4), overhear(2, 4), 60),
    "host": lambda: host.attack(SLICE_EVERY),
    "desk": lambda: desk.attack(SLICE_EVERY),
}

ONLY_OWN: Final = {
    "terminal": {terminal.OWN_PAPERS},
    "terminal tls": {impostors.RIGHT, impostors.EARLY},
    "agent tls": {impostors.RIGHT},
    "agent and desk": set[str](),
    "host": set(host.PROTECTED),
    "desk": {desk.OWN_SEAL, desk.OWN_CERTIFICATE, *desk.BY_ITS_OWN_HAND},
}
"""What is granted; what the agent is told and may believe is compared with the truth word by word instead."""


@cache
def a_slice(name: str) -> Matrix:
    return SLICES[name]()


def granted(made: Matrix) -> set[str]:
    return {kind for (kind, _), found in made.cells.items() if found[Outcome.GRANTED]}


@pytest.mark.parametrize("name", MATRICES)
def test_nothing_that_is_offered_in_a_slice_gets_anywhere(name: str, record_property: Report) -> None:
    made = a_slice(name)
    assert made.empty() == []
    assert granted(made) <= ONLY_OWN.get(name, granted(made))
    record_property(made.title, str(made.attempts()))


@pytest.mark.parametrize("name", MATRICES)
def test_the_page_tells_of_every_row_and_column_and_of_every_outcome_of_a_slice(name: str) -> None:
    told, made = cells(written(name)), a_slice(name)
    assert {kind for kind, _ in told} == set(made.kinds)
    assert {state for _, state in told} >= set(made.states)
    for cell, found in made.cells.items():
        assert told[cell] >= set(+found), cell
    assert all(told.values())


@pytest.mark.long
@pytest.mark.parametrize("name", MATRICES)
def test_nothing_at_all_gets_anywhere_and_the_page_says_what_came_of_it(
    name: str, record_property: Report
) -> None:
    made = matrix(name)
    for line in made.lines():
        print(line)
    record_property(made.title, str(made.attempts()))
    assert made.empty() == []
    assert granted(made) <= ONLY_OWN.get(name, granted(made))
    assert table(made) == written(name)


@pytest.mark.parametrize(
    "name",
    [
        "begins",
        *(pytest.param(one.name, marks=pytest.mark.long) for one in STANCES[4:]),
    ],
)
def test_whatever_was_said_the_job_goes_on_with_the_true_terminal(name: str) -> None:
    """But for salvaged records, which nothing proves: a journal that has false ones is of no more use."""
    (stance,) = stances(name)
    for kind, outcome, end in lies.afterwards([lived(is_balanced=False), overhear(3, 4)], stance):
        is_lost = outcome is Outcome.UNPROVED and stance.is_tampered
        assert is_lost or isinstance(end, Reached | Restarting), kind


def test_the_adversary_meets_a_terminal_in_every_state_of_its_life() -> None:
    names = {stage.name for stage in life().stages}
    assert {state.name for state in LifecycleState} <= names
    assert {name for name in names if name.startswith("TAMPERED")}


# --- a check is missing, and it is noticed ------------------------------------------------------------------------


def holds_always(*_: object) -> None:
    """A check that was left out."""


def an_agent_that_judges_no_receipt_of_the_desk(patch: Patch) -> None:
    patch.setattr(stations, "check_receipts", holds_always)


def an_agent_that_judges_no_seal(patch: Patch) -> None:
    patch.setattr(visit, "check_seal", holds_always)
    patch.setattr(Job, "keep_seal", lambda job, data: job.keep_once("seal", data))


def an_agent_that_judges_no_evidence(patch: Patch) -> None:
    patch.setattr(visit, "check_evidence", holds_always)


def an_agent_that_waits_for_ever(patch: Patch) -> None:
    patch.setattr("posdecom_agent.approach.LET_IN_S", 1e9)


def a_host_that_checks_no_mac(patch: Patch) -> None:
    patch.setattr(Hsm, "mac_is_good", lambda *_: True)


def a_host_that_ends_a_batch_early(patch: Patch) -> None:
    patch.setattr(Ledger, "upload_count", lambda *_: 9999)


def a_desk_that_does_not_open_its_books(patch: Patch) -> None:
    patch.setattr(audit, "_missing", lambda *_: ())
    patch.setattr(audit, "_check_end", holds_always)
    patch.setattr(audit, "_check_books", holds_always)


def a_desk_that_asks_nobody_who_signed(patch: Patch) -> None:
    patch.setattr(release_desk, "authenticate", lambda *_, **__: _Somebody())


class _Somebody:
    serial_number = "PD-000001"


def a_desk_that_forgets_whose_keys_it_closed(patch: Patch) -> None:
    patch.setattr(release_desk.Desk, "_judge_certificate", holds_always)


def a_channel_that_judges_no_role(patch: Patch) -> None:
    def whoever(chain: list[bytes], anchors: Anchors, role: Role, at: float | None) -> Signer:
        return validate(chain, anchors, role, None)

    patch.setattr(channel, "validate", whoever)


PLANTED: Final[dict[Callable[[Patch], None], Callable[[], Matrix]]] = {
    an_agent_that_judges_no_receipt_of_the_desk: SLICES["agent and desk"],
    an_agent_that_judges_no_seal: SLICES["agent"],
    an_agent_that_waits_for_ever: SLICES["agent"],
    an_agent_that_judges_no_evidence: lambda: lies.attack(
        [lived(is_balanced=False), overhear(3, 4)], SLICE_EVERY, stances("waits for the evidence")
    ),
    a_host_that_checks_no_mac: SLICES["host"],
    a_host_that_ends_a_batch_early: lambda: host.attack(),
    a_desk_that_does_not_open_its_books: SLICES["desk"],
    a_desk_that_asks_nobody_who_signed: SLICES["desk"],
    a_desk_that_forgets_whose_keys_it_closed: SLICES["desk"],
    a_channel_that_judges_no_role: SLICES["terminal tls"],
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_check_that_is_left_out_is_noticed(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    life()
    lived(is_balanced=False)
    lived(is_balanced=True)
    host.stands()
    desk.states()
    impostors.credentials(Role.TECHNICIAN_CHANNEL)
    plant(monkeypatch)
    with pytest.raises(Breach):
        PLANTED[plant]()


ALONE = {Refusal.ROLE, Refusal.SIGNATURES, Refusal.STATE}
"""Conditions that nothing else stands in for. The others overlap: seal and challenge for an earlier epoch, chain and
role for a forger where only one acquirer is trusted; each has its own test beside the guard."""


@pytest.mark.long
@pytest.mark.parametrize("left_out", sorted(ALONE))
def test_a_guard_without_one_of_its_conditions_is_noticed(left_out: Refusal, monkeypatch: Patch) -> None:
    conditions = ((one, (lambda _: True) if one is left_out else holds) for one, holds in guard.RELEASE)
    life()
    monkeypatch.setattr(guard, "RELEASE", tuple(conditions))
    with pytest.raises(Breach):
        SLICES["terminal"]()
