"""A second laptop takes over in the middle, with a journal of its own or an older copy: the books do not know of it.

The first one is gone at any message, before anything of its answer arrives. The terminal hands over the same seal and
items to whoever has the order; the host knows every message that it has had.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_host import Acquirer, Courier, Laptop, LaptopGone
from posdecom_agent.journal import Row
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.money import CardGroup
from posdecom_simulator.acquirer.behaviour import HostFault, Rule

DIALECTS = (("cup",), ("edc",), ("cup", "edc"))
NOTHING_BALANCES = tuple(Rule(HostFault.NOT_BALANCED, group=group) for group in CardGroup)
LOSSY = (Rule(HostFault.TIMEOUT_AFTER, at=frozenset({2, 9})), Rule(HostFault.CUT, at=frozenset({5, 12})))


class Has(Enum):
    """What the second laptop finds in its folder."""

    NOTHING = "an empty journal"
    OLDER_COPY = "a copy of the first one's journal from an earlier moment"


@dataclass(frozen=True)
class Scene:
    dialects: tuple[str, ...]
    rules: tuple[Rule, ...]

    def open(self) -> Acquirer:
        return Acquirer.open(self.rules, seed=2, size=12, dialects=self.dialects)


SCENES = tuple(
    Scene(dialects, rules)
    for dialects in DIALECTS
    for rules in ((), NOTHING_BALANCES, LOSSY + NOTHING_BALANCES)
)


def run(acquirer: Acquirer, laptop: Laptop, messages: int | None = None) -> None:
    """The command on this laptop, which is gone when the host has had so many messages more."""
    last = None if messages is None else acquirer.heard + messages

    def gone() -> None:
        if acquirer.heard == last:
            raise LaptopGone

    acquirer.on_message = gone
    with suppress(LaptopGone):
        carry_out(laptop.start(), Courier.to(acquirer), lambda step, words: None, Step.AGREE)


def outcome(acquirer: Acquirer) -> list[object]:
    """Everything that the acquirer's books say in the end, and what the receipt is over."""
    ledger = acquirer.case.ledger
    said: list[object] = []
    for context in acquirer.case.contexts:
        batch = context.tid, context.batch
        end = ledger.batch_end(*batch)
        said += [
            sorted(
                (one.stan, one.transaction_class, one.amount, one.card) for one in ledger.postings(*batch)
            ),
            sorted({(one.stan, one.amount, one.finding) for one in ledger.uploads(*batch)}),
            (ledger.totals(*batch), ledger.replies(*batch), ledger.is_signed_off(*batch)),
            None if end is None else (end.balanced, end.uploads_announced),
        ]
    receipts = [open_document(one, Receipt).body for one in acquirer.case.receipts()]
    return [*said, ledger.alarms, [one.contexts for one in receipts]]


@cache
def alone(scene: Scene) -> tuple[list[object], int]:
    """What one laptop comes to, and with how many messages."""
    acquirer = scene.open()
    run(acquirer, Laptop(acquirer.case))
    return outcome(acquirer), acquirer.heard


def check_takeover(scene: Scene, has: Has, share: float, copied: float) -> None:
    """The first laptop gets through ``share`` of the messages; of its journal ``copied`` is there afterwards."""
    expected, messages = alone(scene)
    acquirer = scene.open()
    first = Laptop(acquirer.case)
    run(acquirer, first, 1 + int(share * (messages - 1)))
    copy: Sequence[Row] = first.rows[: int(copied * len(first.rows))] if has is Has.OLDER_COPY else ()
    second = Laptop(acquirer.case, list(copy))
    run(acquirer, second)
    assert next_step(second.start()) is Step.ERASE
    assert outcome(acquirer) == expected
    run(acquirer, first)
    assert next_step(first.start()) is Step.ERASE, "and the first one, found again, sees that it is over"
    assert outcome(acquirer) == expected


@settings(deadline=None, max_examples=4)
@given(st.sampled_from(SCENES), st.sampled_from(Has), st.floats(0, 1), st.floats(0, 1))
def test_a_second_laptop_taking_over_anywhere_changes_nothing(
    scene: Scene, has: Has, share: float, copied: float
) -> None:
    check_takeover(scene, has, share, copied)


@pytest.mark.long
@pytest.mark.parametrize("has", Has)
@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_a_second_laptop_taking_over_at_every_message_changes_nothing(scene: Scene, has: Has) -> None:
    _, messages = alone(scene)
    for died_after in range(messages):
        check_takeover(scene, has, died_after / max(1, messages - 1), copied=(died_after % 5) / 4)


@settings(deadline=None, max_examples=4)
@given(st.sampled_from(SCENES), st.lists(st.integers(1, 9), max_size=30), st.integers(2, 3))
def test_laptops_that_settle_by_turns_change_nothing(scene: Scene, turns: list[int], count: int) -> None:
    expected, _ = alone(scene)
    acquirer = scene.open()
    laptops = [Laptop(acquirer.case) for _ in range(count)]
    for number, messages in enumerate(turns):
        run(acquirer, laptops[number % count], messages)
    for laptop in laptops:
        run(acquirer, laptop)
        assert next_step(laptop.start()) is Step.ERASE
    assert outcome(acquirer) == expected
