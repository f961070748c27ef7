"""That the world notices: one fault at a time is planted into the product, and the runs that should fail, do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from posdecom_agent.job import Job
from posdecom_protocol import frames
from posdecom_protocol.data_elements import NETWORK_CODE_NONE, NETWORK_CODE_SIGN_OFF
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_simulator.acquirer import audit, host
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_simulator.memory.flash_log import FlashLog, Scrubbed
from posdecom_simulator.terminal import erase, freeze, slots
from posdecom_simulator.terminal.device import Life, encode_life
from posdecom_simulator.terminal.store import Store
from posdecom_simulator.world import terminal as virtual_terminal
from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_simulator.world.line import Noise
from posdecom_world import scene
from posdecom_world.invariants import Broken
from posdecom_world.run import Unfinished, run

from .reference import REFERENCE_RECORDS, REFERENCE_SEED

Patch = pytest.MonkeyPatch
Plans = Iterable[FaultPlan]

CLEAN = (FaultPlan(),)
NOISY = (FaultPlan(Noise(flip=1e-3)),)
EVERY_CUT = tuple(FaultPlan.only(Fault.FLASH_CUT, place) for place in range(12, 60))
EVERY_ANSWER_LOST = tuple(FaultPlan.only(Fault.ANSWER_LOST, place) for place in range(1, 12))


def forgets_that_it_booked(patch: Patch) -> None:
    """The host is not idempotent."""
    patch.setattr(Ledger, "exchange", lambda *_: None)
    patch.setattr(Ledger, "posting", lambda *_: None)


def does_not_finish_the_erase(patch: Patch) -> None:
    patch.setattr(erase, "finish", lambda store: False)


def says_erased_before_it_erased(patch: Patch) -> None:
    def intend(store: Store, life: Life, *_: Any) -> Life:
        store.put({slots.STATE: encode_life(replace(life, state=LifecycleState.RETIRED))})
        return life

    patch.setattr(erase, "intend", intend)


def erases_before_the_intent(patch: Patch) -> None:
    intend = erase.intend

    def erased_first(store: Store, *rest: Any) -> Life:
        store.erase([slots.ERASE_ORDER[0].key])
        return intend(store, *rest)

    patch.setattr(erase, "intend", erased_first)


def leaves_a_key_behind(patch: Patch) -> None:
    patch.setattr(slots, "ERASE_ORDER", slots.ERASE_ORDER[1:])


def deletes_what_it_sold_at_the_freeze(patch: Patch) -> None:
    frozen = freeze.freeze

    def freeze_and_forget(store: Store, *rest: Any) -> bytes:
        store.erase([next(store.names(slots.TRANSACTION_PREFIX))])
        return frozen(store, *rest)

    patch.setattr(freeze, "freeze", freeze_and_forget)


def skips_a_context(patch: Patch) -> None:
    """The agent takes what it has not delivered for delivered."""
    patch.setattr(Job, "settled", frozenset({0, 1}))


def signs_without_looking(patch: Patch) -> None:
    """The desk believes an agent that has delivered nothing."""

    patch.setattr(audit, "_missing", lambda *_: ())
    patch.setattr(audit, "_check_end", lambda *_: None)
    patch.setattr(audit, "_check_books", lambda *_: None)
    skips_a_context(patch)


def takes_damaged_frames(patch: Patch) -> None:
    patch.setattr(frames, "_check", lambda *_: 0)


def books_twice(patch: Patch) -> None:
    commit = Ledger.commit
    patch.setattr(Ledger, "commit", lambda self, rows: commit(self, [*rows, *rows]))


def reverses_nothing(patch: Patch) -> None:
    """The host says yes to a reversal, as it does to a sign-off, and leaves the sale in its books."""
    sign_off = host._HANDLERS["0820", NETWORK_CODE_SIGN_OFF]
    patch.setattr(host, "_HANDLERS", {**host._HANDLERS, ("0400", NETWORK_CODE_NONE): sign_off})


def keeps_a_card_number(patch: Patch) -> None:
    keep = Job.keep_outcome

    def with_card(self: Job, sequence: int, outcome: Any, _: bytes) -> None:
        card = scene.scene(REFERENCE_SEED, REFERENCE_RECORDS).day[0].card_number
        keep(self, sequence, outcome, card.encode("ascii").ljust(32))

    patch.setattr(Job, "keep_outcome", with_card)


def keeps_a_key(patch: Patch) -> None:
    keep = Job.keep_outcome

    def with_key(self: Job, sequence: int, outcome: Any, _: bytes) -> None:
        entry = scene.scene(REFERENCE_SEED, REFERENCE_RECORDS).entries[-1]
        keep(self, sequence, outcome, entry.values[0].ljust(32))

    patch.setattr(Job, "keep_outcome", with_key)


def leaves_stale_copies(patch: Patch) -> None:
    """The flash says that it was scrubbed, and was not: dead entries, spare and retired blocks are as they were."""
    patch.setattr(FlashLog, "scrub", lambda self: Scrubbed(blocks=1))


def forgets_a_value_before_it_has_the_next(patch: Patch) -> None:
    put = FlashLog.put

    def put_after_erase(self: FlashLog, name: str, value: bytes, *, is_last: bool = False) -> None:
        self.erase([name])
        put(self, name, value, is_last=is_last)

    patch.setattr(FlashLog, "put", put_after_erase)


def keeps_its_keys_through_a_tamper(patch: Patch) -> None:
    patch.setattr(virtual_terminal, "tamper", lambda image, *, reaches_identity: None)


PLANTED: dict[Callable[[Patch], None], Plans] = {
    forgets_that_it_booked: EVERY_ANSWER_LOST,
    does_not_finish_the_erase: CLEAN,
    says_erased_before_it_erased: CLEAN,
    erases_before_the_intent: CLEAN,
    leaves_a_key_behind: CLEAN,
    signs_without_looking: CLEAN,
    takes_damaged_frames: NOISY,
    deletes_what_it_sold_at_the_freeze: CLEAN,
    skips_a_context: CLEAN,
    books_twice: CLEAN,
    reverses_nothing: CLEAN,
    keeps_a_card_number: CLEAN,
    keeps_a_key: CLEAN,
    leaves_stale_copies: CLEAN,
    forgets_a_value_before_it_has_the_next: EVERY_CUT,
    keeps_its_keys_through_a_tamper: (FaultPlan.only(Fault.TAMPER, 1),),
}


def failures(plans: Plans) -> Iterator[Broken | Unfinished]:
    for plan in plans:
        try:
            run(REFERENCE_SEED, REFERENCE_RECORDS, plan=plan)
        except (Broken, Unfinished) as error:
            yield error


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_noticed(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    assert next(failures(PLANTED[plant]), None) is not None
