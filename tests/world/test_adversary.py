"""Somebody who heard every run and signs with every key but the right one gets nowhere, in no state.

`Breach` is raised where anything moves: one write to the terminal's memory is enough. That the net holds is shown by
guards from which one condition was taken out.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from posdecom_agent import stations
from posdecom_protocol import guard
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Refusal
from posdecom_world.adversary import agent, terminal
from posdecom_world.adversary.life import life
from posdecom_world.adversary.matrix import Breach, Matrix, Outcome
from posdecom_world.overheard import overhear

from .reference import Report

SLICE_EVERY = 400


def require_nowhere(matrix: Matrix, record_property: Report) -> None:
    """No cell is empty, and nothing was granted but what the right hands had signed."""
    assert matrix.empty() == []
    granted = {kind for (kind, _), found in matrix.cells.items() if found[Outcome.GRANTED]}
    assert granted <= {terminal.OWN_PAPERS}
    for line in matrix.lines():
        print(line)
    record_property(matrix.title, str(matrix.attempts()))


def test_no_message_and_no_forgery_moves_a_terminal_in_any_state(record_property: Report) -> None:
    require_nowhere(terminal.attack([overhear(3, 4)], SLICE_EVERY), record_property)


@pytest.mark.long
def test_no_message_of_many_runs_and_no_forgery_at_all_moves_a_terminal(record_property: Report) -> None:
    heard = [overhear(seed, 4, is_faulty=seed > 3) for seed in range(1, 8)]
    require_nowhere(terminal.attack(heard), record_property)


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.long)])
def test_no_answer_of_a_false_desk_is_kept_by_a_job(every: int, record_property: Report) -> None:
    require_nowhere(agent.attack(overhear(1, 4), overhear(2, 4), every), record_property)


def test_an_agent_that_judges_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stations, "check_receipts", lambda *_: None)
    with pytest.raises(Breach):
        agent.attack(overhear(1, 4), overhear(2, 4), 60)


def test_the_adversary_meets_a_terminal_in_every_state_of_its_life() -> None:
    names = {stage.name for stage in life().stages}
    assert {state.name for state in LifecycleState} <= names
    assert {name for name in names if name.startswith("TAMPERED")}


ALONE = {Refusal.ROLE, Refusal.SIGNATURES, Refusal.STATE}
"""Conditions that nothing else stands in for. The others overlap: seal and challenge for an earlier epoch, chain and
role for a forger where only one acquirer is trusted; each has its own test beside the guard."""


@pytest.mark.long
@pytest.mark.parametrize("left_out", sorted(ALONE))
def test_a_guard_without_one_of_its_conditions_is_noticed(
    left_out: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def holds_always(_: object) -> bool:
        return True

    table: list[tuple[Refusal, Callable[..., bool]]] = [
        (reason, holds_always if reason is left_out else holds) for reason, holds in guard.RELEASE
    ]
    life()
    monkeypatch.setattr(guard, "RELEASE", tuple(table))
    with pytest.raises(Breach):
        terminal.attack([overhear(3, 4)], SLICE_EVERY)
