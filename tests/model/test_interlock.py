"""The interlock's model, explored completely; and that each rule of the design is needed, by leaving it out."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import pytest

from .interlock import INVARIANTS, Design, Model, Scope, explore, without_a_good_end

SMALL: Final = Scope(records=1, keys=2)
LARGE: Final = Scope(records=2, keys=3)
STATES_MIN: Final = 25_000

REDUNDANT: Final = {"seal_is_compared", "challenge_is_compared"}
"""A seal holds its challenge, so that its digest is as fresh: either comparison is enough. The guard makes both."""


@pytest.mark.parametrize("scope", [SMALL, pytest.param(LARGE, marks=pytest.mark.long)], ids=str)
def test_every_invariant_holds_in_every_state(scope: Scope) -> None:
    found = explore(Model(scope))
    print(f"{scope}: {len(found.states)} states, {found.transitions} transitions")
    assert found.broken is None
    assert scope is SMALL or len(found.states) >= STATES_MIN


@pytest.mark.parametrize("scope", [SMALL, pytest.param(LARGE, marks=pytest.mark.long)], ids=str)
def test_a_good_end_can_be_reached_from_every_state(scope: Scope) -> None:
    model = Model(scope)
    assert without_a_good_end(model, explore(model).states) == set()


BROKEN_WITHOUT: Final = {
    "second_signature_is_needed": "nothing_that_is_destroyed_was_unsettled",
    "counter_is_stored": "an_order_freezes_once",
    "intent_comes_first": "keys_stay_until_the_intent",
    "intent_is_written": "an_erase_stands_on_intent_and_release",
    "freeze_deletes_nothing": "records_stay_until_the_intent",
    "sales_end_at_the_freeze": "nothing_that_is_destroyed_was_unsettled",
    "boot_finishes_the_erase": "keys_are_gone_before_it_speaks_again",
    "evidence_comes_last": "evidence_means_empty_slots",
    "state_is_written_last": "erased_means_erased",
    "exception_names_its_seal": "nothing_that_is_destroyed_was_unsettled",
    "desk_looks_into_its_books": "nothing_that_is_destroyed_was_unsettled",
    "host_books_once": "nothing_is_booked_twice",
}
"""Which invariant fails first where a rule is left out."""


@pytest.mark.parametrize("rule", BROKEN_WITHOUT)
def test_leaving_out_a_rule_breaks_an_invariant(rule: str) -> None:
    found = explore(Model(SMALL, Design(**{rule: False})))
    assert found.broken is not None
    print(f"without {rule}: {' > '.join(found.trace(found.broken[1]))}")
    assert found.broken[0] == BROKEN_WITHOUT[rule]


def test_every_rule_is_left_out_once_and_every_invariant_broken() -> None:
    """One that nothing breaks would check nothing."""
    assert set(BROKEN_WITHOUT) | REDUNDANT == {rule.name for rule in fields(Design)}
    assert set(BROKEN_WITHOUT.values()) == {invariant.__name__ for invariant in INVARIANTS}


def test_an_old_receipt_erases_where_neither_seal_nor_challenge_is_compared() -> None:
    found = explore(Model(SMALL, Design(seal_is_compared=False, challenge_is_compared=False)))
    assert found.broken is not None
    trace = found.trace(found.broken[1])
    assert found.broken[0] == "nothing_that_is_destroyed_was_unsettled"
    assert trace.index("cancellation 1") < trace.index("receipt 1 giving up 0 signed by 1")


@pytest.mark.parametrize("rule", sorted(REDUNDANT))
def test_seal_and_challenge_each_keep_an_old_receipt_out(rule: str) -> None:
    assert explore(Model(SMALL, Design(**{rule: False}))).broken is None
