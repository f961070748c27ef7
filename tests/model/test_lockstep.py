"""The real terminal beside the model: in every situation the same answers, and the same writes in the same order.

The courier has everything that could be signed for every seal: a receipt, one that gives money up, an exception,
a cancellation, two orders. Every request is made in every situation, and the power is cut before every write of every
answer and of every boot; what comes out of that is a situation again, until there is none that was not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Final

import pytest

from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.documents.seal import Seal as SealDocument
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR
from posdecom_protocol.messages import (
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Refused,
    Request,
    StartErase,
)
from posdecom_protocol.release import Findings, Terms, all_delivered, receipt_over
from posdecom_simulator.site import AcquirerSite
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.device import Life, decode_life
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal
from posdecom_world.scene import NOW, Scene, scene

from .interlock import TRADING, Model, Offer, Receipt, S, Scope, Seal, State, Write

KINDS: Final = ((0, False), (1, False), (1, True))
"""What a receipt gives up, and whether it is an exception."""

Values = Mapping[str, bytes]


@lru_cache(maxsize=1)
def here() -> Scene:
    """A terminal with one sale that the host does not have, and an order that retires it."""
    return next(found for seed in range(100) if (found := scene(seed, 1)).retires and _has_money(found))


def _has_money(found: Scene) -> bool:
    return any(not one.posted for one in found.day) and found.rules.cutoff > found.day[-1].local_time


@lru_cache(maxsize=2)
def order(number: int) -> bytes:
    body = replace(open_document(here().order, Order).body, order_id=f"O-{number}", counter=number)
    return issue(body, acquirer().order.signing_key())


def acquirer() -> AcquirerSite:
    return here().site.acquirer


@dataclass(frozen=True)
class Situation:
    """What the memory holds, and the seals that were in force so far."""

    values: Values
    seals: tuple[bytes, ...]
    is_on: bool

    def model(self) -> State:
        """What the model calls it."""
        held = self.values.get
        life = life_in(self.values[slots.STATE])
        return State(
            life=life.state,
            counter=max((one.counter for one in life.counters), default=0),
            records=int(any(name.startswith(slots.TRANSACTION_PREFIX) for name in self.values)),
            order=next((n for n in (1, 2) if held(slots.ORDER) == order(n)), 0),
            seal=self._seal(held(slots.SEAL)),
            release=self._release(tuple(filter(None, map(held, slots.RECEIPTS)))),
            intent=held(slots.INTENT) is not None,
            keys=sum(slot.key in self.values for slot in slots.ERASE_ORDER),
            evidence=held(slots.EVIDENCE) is not None,
            identity=any(slot.key in self.values for slot in slots.IDENTITY),
            todo=() if self.is_on else None,
            sold=1,
            seals=tuple(self._seal(seal) or NO_SEAL for seal in self.seals),
            receipts=frozenset(Receipt(n, *kind) for n in self.epochs() for kind in KINDS),
            cancelled=frozenset(self.epochs()),
        )

    def epochs(self) -> range:
        return range(1, 1 + len(self.seals))

    def _seal(self, data: bytes | None) -> Seal | None:
        if data is None:
            return None
        epoch = 1 + (self.seals.index(data) if data in self.seals else len(self.seals))
        return Seal(epoch, order_of(data), 1)

    def _release(self, held: tuple[bytes, ...]) -> Offer | None:
        return next((offer for offer, data in self.offers() if held and data == held), None)

    def offers(self) -> Iterator[tuple[Offer, tuple[bytes, ...]]]:
        for epoch, seal in enumerate(self.seals, 1):
            for kind in KINDS:
                both = receipts(seal, *kind)
                yield from ((Offer(Receipt(epoch, *kind), n), both[:n]) for n in (1, 2))

    def requests(self, orders: int) -> Iterator[tuple[str, Request]]:
        """Everything that the courier could offer, under the names of the model."""
        for n in range(1, orders + 1):
            yield f"order {n}", OfferOrder(int(NOW), order(n))
        for offer, data in self.offers():
            receipt, signatures = offer
            kind = "exception" if receipt.is_exception else "receipt"
            name = f"{kind} {receipt.epoch} giving up {receipt.given_up} signed by {signatures}"
            yield name, OfferRelease(data)
        for epoch, seal in enumerate(self.seals, 1):
            yield f"cancellation {epoch}", OfferCancellation(cancellation(seal))
        yield "start erase", StartErase(digest(self.values.get(slots.RECEIPTS[0], b"none")))


@lru_cache(maxsize=64)
def life_in(data: bytes) -> Life:
    return decode_life(data)


@lru_cache(maxsize=64)
def order_of(seal: bytes) -> int:
    under = open_document(seal, SealDocument).body.order_digest
    return next(n for n in (1, 2) if digest(order(n)) == under)


NO_SEAL: Final = Seal(0, 0, 0)


@lru_cache(maxsize=512)
def receipts(seal: bytes, given_up: int, is_exception: bool) -> tuple[bytes, ...]:
    body = open_document(seal, SealDocument)
    under = open_document(order(order_of(seal)), Order)
    findings = {one.index: all_delivered(one) for one in body.body.contexts}
    if is_exception:
        findings = {index: Findings(undelivered=one.delivered) for index, one in findings.items()}
    elif given_up:
        findings = {index: Findings(refused=one.delivered) for index, one in findings.items()}
    basis = Basis.EXCEPTION if is_exception else Basis.AGREED
    receipt = receipt_over(under, body, findings, Terms("R", "Acquirer", int(NOW), basis))
    return tuple(issue(receipt, hand.signing_key()) for hand in (acquirer().release, acquirer().approver))


@lru_cache(maxsize=8)
def cancellation(seal: bytes) -> bytes:
    body = open_document(seal, SealDocument)
    thawed = Cancellation(
        "X", body.body.serial, body.digest, body.body.challenge, int(NOW), "Acquirer", (), (), (), "appeal"
    )
    return issue(thawed, acquirer().order.signing_key())


class Recorder(MemoryStore):
    """A memory that keeps what a power cut before each of its changes would have left."""

    def __init__(self, values: Values) -> None:
        self.left: list[Values] = []
        super().__init__(lambda: self.left.append(dict(self._values)), values)

    def history(self) -> list[Values]:
        return [*self.left, dict(self._values)]


def booted(situation: Situation) -> tuple[list[Values], bool]:
    """What the memory holds before and after each write of a boot, and whether the terminal then serves."""
    store = Recorder(situation.values)
    terminal = Terminal.boot(store, _challenge)
    return store.history(), not terminal.restart_due


def _challenge(count: int) -> bytes:
    return bytes(count)


def asked(situation: Situation, request: Request) -> tuple[list[Values], bool] | None:
    """The same of the answer to ``request``; None where it changes nothing. As `Front`: once retired, in the clear."""
    store = Recorder(situation.values)
    terminal = Terminal(store, _challenge)
    in_clear = terminal.life.state in PROOFS_IN_CLEAR
    (reply,) = terminal.answer_in_clear(request) if in_clear else terminal.answer(request, NOW)
    history = store.history()
    if isinstance(reply, Refused) or len(history) == 1:
        return None
    return history, not terminal.restart_due


def _situations(before: Situation, history: list[Values], serves: bool) -> list[Situation]:
    """What a power cut before each write leaves, and where it ends."""
    found = []
    for values in history:
        seals, seal = before.seals, values.get(slots.SEAL)
        is_in_force = life_in(values[slots.STATE]).state is S.FROZEN
        if is_in_force and seal is not None and seal not in seals:
            seals = (*seals, seal)
        found.append(Situation(values, seals, is_on=False))
    found.append(replace(found[-1], is_on=serves))
    return found


def _memory(state: State) -> State:
    """What of a state is the terminal's memory; counts of keys are compared, the rest exactly."""
    return state._replace(todo=None, receipts=frozenset(), cancelled=frozenset(), seals=())


def _without_pauses(states: list[State]) -> list[State]:
    return [state for state, _ in groupby(map(_memory, states))]


def _by_the_model(model: Model, state: State, writes: tuple[Write, ...]) -> list[State]:
    states = [state]
    for write in writes:
        states.append(model.written(states[-1], write))
    return states


@pytest.mark.parametrize("orders", [1, pytest.param(2, marks=pytest.mark.long)])
def test_the_terminal_and_the_model_answer_alike_everywhere(orders: int) -> None:
    model = Model(Scope(records=1, keys=len(slots.ERASE_ORDER), orders=orders))
    waiting = [Situation(here().memory, (), is_on=False)]
    seen, cuts, answers = {waiting[0].model()}, 0, 0
    while waiting:
        situation = waiting.pop()
        for writes, history, serves in _answers(situation, model):
            after = _situations(situation, history, serves)
            expected = _without_pauses(_by_the_model(model, situation.model(), writes))
            assert _without_pauses([one.model() for one in after]) == expected
            answers, cuts = answers + 1, cuts + len(history) - 1
            for one in after:
                if one.model() not in seen:
                    seen.add(one.model())
                    waiting.append(one)
    print(f"{len(seen)} situations, {answers} answers that change something, cut at {cuts} writes")
    assert {state.life for state in seen} == {*TRADING, S.ERASING, S.ERASED, S.RETIRED}


def _answers(situation: Situation, model: Model) -> Iterator[tuple[tuple[Write, ...], list[Values], bool]]:
    """Writes by the model, and what the real terminal did."""
    state = situation.model()
    if not situation.is_on:
        yield model.boot(state), *booted(situation)
        return
    by_model = dict(model.requests(state))
    for name, request in situation.requests(model.scope.orders):
        answer = asked(situation, request)
        assert (answer is not None) == (name in by_model), f"{name} in {state}"
        if answer is not None:
            yield by_model[name], *answer
