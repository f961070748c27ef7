"""The lifecycle table, entry by entry, and what follows from it."""

from __future__ import annotations

import itertools

import pytest

from posdecom_protocol.errors import LocalError
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR, TRANSITIONS, LifecycleState, step

S = LifecycleState
ALLOWED = {
    (S.ACTIVE, S.FROZEN),
    (S.FROZEN, S.SETTLED),
    (S.FROZEN, S.EXCEPTED),
    (S.FROZEN, S.ACTIVE),
    (S.SETTLED, S.ERASING),
    (S.EXCEPTED, S.ERASING),
    (S.ERASING, S.ERASED),
    (S.ERASED, S.RETIRED),
    (S.ERASED, S.BLANK),
    (S.BLANK, S.ACTIVE),
}


def test_wire_values_never_change() -> None:
    assert {state.name: state.value for state in LifecycleState} == {
        "ACTIVE": 1, "FROZEN": 2, "SETTLED": 3, "EXCEPTED": 4, "ERASING": 5, "ERASED": 6, "RETIRED": 7, "BLANK": 8,
    }  # fmt: skip


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(LifecycleState)


@pytest.mark.parametrize(("state", "target"), list(itertools.product(LifecycleState, repeat=2)))
def test_exactly_the_allowed_transitions_are_made(state: S, target: S) -> None:
    if (state, target) in ALLOWED:
        assert step(state, target) is target
    else:
        with pytest.raises(
            LocalError, match=rf"^lifecycle: {state.name} > {target.name} is not in the table$"
        ):
            step(state, target)


def reachable(state: S, without: S) -> set[S]:
    found, waiting = set[S](), [state]
    while waiting:
        new = TRANSITIONS[waiting.pop()] - found - {without}
        found |= new
        waiting += new
    return found


def test_nothing_is_erased_that_was_not_frozen_first() -> None:
    assert S.ERASING not in reachable(S.ACTIVE, without=S.FROZEN)


def test_from_erasing_there_is_only_forward() -> None:
    assert reachable(S.ERASING, without=S.BLANK) == {S.ERASED, S.RETIRED}


def test_a_retired_terminal_stays_retired() -> None:
    assert reachable(S.RETIRED, without=S.BLANK) == set()


def test_proofs_are_in_the_clear_only_where_nothing_is_left_to_protect() -> None:
    assert {S.RETIRED, S.BLANK} == PROOFS_IN_CLEAR
