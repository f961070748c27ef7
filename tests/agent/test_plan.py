"""A plan binds the confirmation to what was shown: whatever changes in between is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from posdecom_agent import catalogue
from posdecom_agent.cli.confirmation import Given, confirm, plan_lines
from posdecom_agent.plan import Plan
from posdecom_agent.trouble import Trouble
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.order import Order
from posdecom_protocol.greeting import Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import ContextInfo, Inventory, SlotInfo
from release_case import open_case

ORDER = open_document(open_case(count=5).order, Order)
OTHER_ORDER = open_document(open_case(count=5, cutoff_at=ORDER.body.cutoff_at + 1).order, Order)
SERIAL = ORDER.body.serial
BATCH = ContextInfo(0, "ACQ", "898156000000001", "15600001", 156, 1, records=40, unsent=3)
SLOT = SlotInfo("TPK", "P0", "TDES-2KEY", 1, b"\x01\x02\x03")
WELCOME = Welcome(1, LifecycleState.ACTIVE, False, "Acme", "T1", SERIAL)
HELD = Inventory(
    LifecycleState.ACTIVE, False, SERIAL, "Acme", "T1", "2.1", 7, 1_800_000_000, (SLOT,), (BATCH,)
)
PLAN = Plan.of(ORDER, WELCOME, HELD)
CHANGED = replace(PLAN, contexts=(replace(BATCH, records=41),))


@pytest.mark.parametrize(
    "other",
    [
        CHANGED,
        replace(PLAN, contexts=()),
        replace(PLAN, state=LifecycleState.FROZEN),
        replace(PLAN, tampered=True),
        replace(PLAN, serial="T-9999"),
        replace(PLAN, order=OTHER_ORDER),
    ],
)
def test_whatever_is_bound_changes_the_hash(other: Plan) -> None:
    assert other.digest() != PLAN.digest()


def test_the_same_plan_has_the_same_hash_and_keys_do_not_count() -> None:
    assert Plan.of(ORDER, WELCOME, HELD).digest() == PLAN.digest() == replace(PLAN, slots=()).digest()
    assert len(bytes.fromhex(PLAN.digest())) == 32


def test_a_retired_terminal_has_nothing_to_plan() -> None:
    plan = Plan.of(ORDER, replace(WELCOME, state=LifecycleState.RETIRED), None)
    assert (plan.state, plan.contexts, plan.slots) == (LifecycleState.RETIRED, (), ())


def test_the_plan_says_what_is_held_and_what_becomes_of_it() -> None:
    text = "\n".join(plan_lines(PLAN))
    for words in (
        SERIAL,
        "15600001 batch 000001, currency CNY: 40 records to settle, 3 not sent yet",
        PLAN.digest(),
    ):
        assert words in text


# ---- the confirmation

Looks = Callable[..., list[Plan]]


def ask(given: Given, *looks: Plan, begun: bool = False) -> list[Plan]:
    """Confirm over a terminal that looks like this, one look after the other; what was not looked at is left."""
    left = list(looks)
    confirm(ORDER.body, given, "It cannot be undone.", lambda: left.pop(0), begun=begun)
    return left


def refused(given: Given, *looks: Plan) -> Trouble:
    with pytest.raises(Trouble) as caught:
        ask(given, *looks)
    return caught.value


class Screen:
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there, and types the terminal's serial."""
    monkeypatch.setattr("sys.stdin", Screen())
    monkeypatch.setattr("click.prompt", lambda *_, **__: SERIAL)


def test_the_terminal_is_looked_at_again_after_the_serial_was_typed(typing: None) -> None:
    assert ask(Given(None, None), PLAN, PLAN) == []
    assert refused(Given(None, None), PLAN, CHANGED).entry is catalogue.PLAN_CHANGED


def test_a_hash_from_an_earlier_plan_holds_at_the_screen_too(typing: None) -> None:
    assert refused(Given(None, PLAN.digest()), CHANGED, CHANGED).entry is catalogue.PLAN_CHANGED


def test_without_a_keyboard_the_serial_is_enough_and_a_hash_binds_it() -> None:
    assert ask(Given(SERIAL, None)) == []
    assert ask(Given(SERIAL, PLAN.digest().upper()), PLAN) == []
    trouble = refused(Given(SERIAL, PLAN.digest()), CHANGED)
    assert trouble.entry is catalogue.PLAN_CHANGED
    assert CHANGED.digest() in trouble.cause


def test_another_serial_is_refused_before_anything_is_asked() -> None:
    assert refused(Given("T-9999", PLAN.digest())).entry is catalogue.DECLINED


def test_a_job_that_has_its_seal_goes_on_without_a_look() -> None:
    assert ask(Given(SERIAL, PLAN.digest()), begun=True) == []
