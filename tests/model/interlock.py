"""The interlock as a small model: every order in which its steps, power cuts and a hostile courier can come.

The courier holds whatever was ever signed or read out, and offers any of it, to anybody, at any moment, or never; it
stands for the agent, the technician and the man on the wire at once. A terminal's answer to a request is a list of
durable writes, and the power may fail before each. `explore` visits every state that can be reached, in the order of
distance, so that the trace to a state in which an invariant does not hold is a shortest one.

What a document says is modelled, how it is signed is not: forgeries are the guard's own tests. Lifecycle steps go
through the product's own table. `test_lockstep.py` drives the real terminal through the same situations and requires
of it the same answers, write by write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from posdecom_protocol.lifecycle import TRANSITIONS, LifecycleState

S = LifecycleState
TRADING: Final = frozenset({S.ACTIVE, S.FROZEN, S.SETTLED, S.EXCEPTED})
RELEASED: Final = frozenset({S.SETTLED, S.EXCEPTED})

Write = tuple[str, int]
"""Name of one durable write of the terminal, and its argument."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How large the modelled world is. ``records``: unsent transactions, sold one by one."""

    records: int = 2
    keys: int = 3
    orders: int = 2
    freezes: int = 2
    """How often the terminal is frozen at most."""


@dataclass(frozen=True, slots=True)
class Design:
    """The rules of the interlock; each may be left out, to see what it is for."""

    seal_is_compared: bool = True
    challenge_is_compared: bool = True
    second_signature_is_needed: bool = True
    counter_is_stored: bool = True
    intent_comes_first: bool = True
    boot_finishes_the_erase: bool = True
    evidence_comes_last: bool = True
    intent_is_written: bool = True
    freeze_deletes_nothing: bool = True
    sales_end_at_the_freeze: bool = True
    desk_looks_into_its_books: bool = True
    host_books_once: bool = True
    state_is_written_last: bool = True
    exception_names_its_seal: bool = True


class Receipt(NamedTuple):
    """What the acquirer signed for seal ``epoch``. The courier may leave away the second signature."""

    epoch: int
    given_up: int
    """Mask of records that were refused or could not be delivered."""
    is_exception: bool


class Seal(NamedTuple):
    """Of one freeze: its number stands for challenge and digest, both of which are new every time."""

    epoch: int
    order: int
    records: int
    """Mask of what was sold until then."""


class Offer(NamedTuple):
    receipt: Receipt
    signatures: int


class State(NamedTuple):
    # the terminal's memory
    life: LifecycleState = S.ACTIVE
    counter: int = 0
    records: int = 0
    """Mask of the transactions in the memory."""
    order: int = 0
    seal: Seal | None = None
    release: Offer | None = None
    intent: bool = False
    keys: int = 0
    evidence: bool = False
    identity: bool = True
    # the terminal's process
    todo: tuple[Write, ...] | None = None
    """Writes of the answer that is under way; () is idle, None is switched off."""
    # the world outside
    sold: int = 0
    """Mask of every transaction that was ever made."""
    seals: tuple[Seal, ...] = ()
    """Every seal that was ever in force; the courier has their items too."""
    books: int = 0
    """Mask of records at the host."""
    refused: int = 0
    """Mask of records that the host refused for good."""
    twice: bool = False
    receipts: frozenset[Receipt] = frozenset()
    cancelled: frozenset[int] = frozenset()
    """Epochs of seals for which a cancellation was signed."""


Step = tuple[str, State]


class Model:
    """What can happen next, in a world of ``scope`` by the rules of ``design``."""

    def __init__(self, scope: Scope, design: Design | None = None) -> None:
        self.scope = scope
        self.design = design or Design()

    def start(self) -> State:
        return State(keys=self.scope.keys)

    def steps(self, state: State) -> Iterator[Step]:
        """Every step from ``state``, with its name."""
        if state.todo is None:
            yield "boot", state._replace(todo=self.boot(state))
        else:
            yield "power cut", state._replace(todo=None)
            yield from self._own_steps(state, state.todo)
        yield from self._acquirer(state)

    def _own_steps(self, state: State, todo: tuple[Write, ...]) -> Iterator[Step]:
        if todo:
            yield f"write {todo[0][0]}", self.written(state, todo[0])._replace(todo=_rest(todo))
            return
        for name, answer in self.requests(state):
            yield name, state._replace(todo=answer)
        if state.sold.bit_count() < self.scope.records and self._trades(state):
            yield "sale", state._replace(todo=(("records", state.records | 1 << state.sold.bit_count()),))

    # --- the terminal

    def requests(self, state: State) -> Iterator[tuple[str, tuple[Write, ...]]]:
        """Requests that change something in ``state``, by name, and the durable writes of the answer."""
        for order in range(1, self.scope.orders + 1):
            if state.life is S.ACTIVE and order > state.counter and len(state.seals) < self.scope.freezes:
                yield f"order {order}", self._freeze(order)
        for receipt in sorted(state.receipts):
            for signatures in (1, 2):
                if self._releases(state, Offer(receipt, signatures)):
                    yield f"{_name(receipt)} signed by {signatures}", _take(receipt, signatures)
        if state.life in RELEASED:
            yield "start erase", self._intend()
        if state.life is S.FROZEN and state.seal is not None and state.seal.epoch in state.cancelled:
            yield f"cancellation {state.seal.epoch}", (("state", S.ACTIVE), *_DISCARD)

    def boot(self, state: State) -> tuple[Write, ...]:
        """The durable writes before the terminal serves anything."""
        if state.life is S.ERASING and self.design.boot_finishes_the_erase:
            return (*self._erase(state), *_END)
        if state.life is S.ERASED:
            return _END
        return _DISCARD if state.life is S.ACTIVE else ()

    def _trades(self, state: State) -> bool:
        return state.life is S.ACTIVE or (state.life is S.FROZEN and not self.design.sales_end_at_the_freeze)

    def _releases(self, state: State, offer: Offer) -> bool:
        """The conditions of `guard.RELEASE` that say something about what a document says."""
        seal, receipt, design = state.seal, offer.receipt, self.design
        if state.life is not S.FROZEN or seal is None:
            return False
        is_same = receipt.epoch == seal.epoch or (
            receipt.is_exception and not design.exception_names_its_seal
        )
        if design.seal_is_compared and not is_same:
            return False
        if design.challenge_is_compared and not is_same:
            return False
        needs_two = bool(receipt.given_up) or receipt.is_exception
        return offer.signatures == 2 or not needs_two or not design.second_signature_is_needed

    def _freeze(self, order: int) -> tuple[Write, ...]:
        writes: tuple[Write, ...] = (("order", order), ("seal", order), ("state", S.FROZEN))
        return writes if self.design.freeze_deletes_nothing else (*writes, ("records", 0))

    def _intend(self) -> tuple[Write, ...]:
        intent: tuple[Write, ...] = (("intent", 1),) if self.design.intent_is_written else ()
        writes: tuple[Write, ...] = (*intent, ("state", S.ERASING), ("off", 0))
        return writes if self.design.intent_comes_first else (("key", 0), *writes)

    def _erase(self, state: State) -> tuple[Write, ...]:
        keys: tuple[Write, ...] = (("key", 0),) * state.keys
        records: Write = ("records", 0)
        evidence: Write = ("evidence", 1)
        erased: Write = ("state", S.ERASED)
        if not self.design.evidence_comes_last:
            return (evidence, *keys, records, erased)
        if not self.design.state_is_written_last:
            return (erased, *keys, records, evidence)
        return (*keys, records, evidence, erased)

    def written(self, state: State, write: Write) -> State:
        """``state`` with one durable write done."""
        match write:
            case ("state", target):
                return self._moved(state, S(target))
            case ("seal", order):
                seal = Seal(1 + len(state.seals), order, state.records) if order else None
                return state._replace(seal=seal)
            case ("release", code):
                return state._replace(release=_offer(state.receipts, code))
            case ("key", _):
                return state._replace(keys=max(0, state.keys - 1))
            case ("intent", is_there):
                return state._replace(intent=bool(is_there))
            case ("evidence", _):
                return state._replace(evidence=True)
            case ("identity", _):
                return state._replace(identity=False)
            case ("records", mask):
                return state._replace(records=mask, sold=state.sold | mask)
            case ("order", order):
                return state._replace(order=order)
            case _:
                return state  # "off": the process ends, see `_rest`

    def _moved(self, state: State, target: LifecycleState) -> State:
        assert target in TRANSITIONS[state.life]
        state = state._replace(life=target)
        if target is not S.FROZEN:
            return state
        assert state.seal is not None
        counter = state.order if self.design.counter_is_stored else state.counter
        return state._replace(counter=counter, seals=(*state.seals, state.seal))

    # --- host and desk

    def _acquirer(self, state: State) -> Iterator[Step]:
        for seal in state.seals:
            yield from self._host(state, seal)
            yield from self._desk(state, seal)

    def _host(self, state: State, seal: Seal) -> Iterator[Step]:
        for bit in _bits(seal.records):
            if not (state.books | state.refused) & bit:
                yield f"host books {bit}", state._replace(books=state.books | bit)
                yield f"host refuses {bit}", state._replace(refused=state.refused | bit)
            elif state.books & bit and not self.design.host_books_once and not state.twice:
                yield f"host books {bit} again", state._replace(twice=True)

    def _desk(self, state: State, seal: Seal) -> Iterator[Step]:
        signed = {(one.epoch, one.is_exception) for one in state.receipts}
        open_money = seal.records & ~state.books
        is_settled = not open_money & ~state.refused or not self.design.desk_looks_into_its_books
        if (seal.epoch, False) not in signed and is_settled:
            given_up = open_money if self.design.desk_looks_into_its_books else 0
            yield f"receipt {seal.epoch}", self._sign(state, Receipt(seal.epoch, given_up, False))
        if (seal.epoch, True) not in signed and open_money:
            yield f"exception {seal.epoch}", self._sign(state, Receipt(seal.epoch, open_money, True))
        if seal.epoch not in state.cancelled:
            yield (
                f"cancellation {seal.epoch} is signed",
                state._replace(cancelled=state.cancelled | {seal.epoch}),
            )

    def _sign(self, state: State, receipt: Receipt) -> State:
        return state._replace(receipts=state.receipts | {receipt})


_END: Final[tuple[Write, ...]] = (("identity", 0), ("intent", 0), ("state", S.RETIRED), ("off", 0))
_DISCARD: Final[tuple[Write, ...]] = (("order", 0), ("seal", 0), ("release", 0))


def _take(receipt: Receipt, signatures: int) -> tuple[Write, ...]:
    """One signed receipt after the other, once what a power cut left of others is gone; then the state."""
    stored: tuple[Write, ...] = tuple(("release", _code(receipt, n)) for n in range(1, signatures + 1))
    return (("release", 0), *stored, ("state", S.EXCEPTED if receipt.is_exception else S.SETTLED))


def _rest(todo: tuple[Write, ...]) -> tuple[Write, ...] | None:
    return None if todo[0][0] == "off" else todo[1:]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit
        mask &= ~bit


def _name(receipt: Receipt) -> str:
    kind = "exception" if receipt.is_exception else "receipt"
    return f"{kind} {receipt.epoch} giving up {receipt.given_up}"


def _code(receipt: Receipt, signatures: int) -> int:
    """A write's argument is a number; 0 stands for no receipt at all."""
    return (receipt.given_up << 8 | receipt.epoch << 2) + receipt.is_exception * 2 + signatures - 1


def _offer(receipts: frozenset[Receipt], code: int) -> Offer | None:
    signatures = code % 2 + 1
    return next((Offer(one, signatures) for one in receipts if _code(one, signatures) == code), None)


# --- what must hold in every state --------------------------------------------------------------------------------


def keys_stay_until_the_intent(state: State, scope: Scope) -> bool:
    return state.life not in TRADING or (state.keys == scope.keys and state.identity)


def records_stay_until_the_intent(state: State, scope: Scope) -> bool:
    if state.life not in TRADING or state.seal is None:
        return True
    return not state.seal.records & ~state.records


def an_erase_stands_on_intent_and_release(state: State, scope: Scope) -> bool:
    if state.life in TRADING:
        return True
    return (state.intent or state.life is not S.ERASING) and None not in (state.seal, state.release)


def nothing_that_is_destroyed_was_unsettled(state: State, scope: Scope) -> bool:
    """Each sale is in the books, or two signers gave exactly it up over exactly this seal."""
    if state.life in TRADING or state.seal is None or state.release is None:
        return True
    receipt, signatures = state.release
    given_up = receipt.given_up if signatures == 2 and receipt.epoch == state.seal.epoch else 0
    return not state.sold & ~state.books & ~given_up


def nothing_is_booked_twice(state: State, scope: Scope) -> bool:
    return not state.twice


def keys_are_gone_before_it_speaks_again(state: State, scope: Scope) -> bool:
    return state.life in TRADING or state.todo != () or state.keys == 0


def evidence_means_empty_slots(state: State, scope: Scope) -> bool:
    return not state.evidence or state.keys == 0


def erased_means_erased(state: State, scope: Scope) -> bool:
    return state.life not in (S.ERASED, S.RETIRED) or (
        state.keys == 0 and state.evidence and not state.records
    )


def an_order_freezes_once(state: State, scope: Scope) -> bool:
    """An order that was cancelled never takes the terminal from the shop again."""
    return len({seal.order for seal in state.seals}) == len(state.seals)


Invariant = Callable[[State, Scope], bool]

INVARIANTS: Final[tuple[Invariant, ...]] = (
    keys_stay_until_the_intent,
    records_stay_until_the_intent,
    an_erase_stands_on_intent_and_release,
    nothing_that_is_destroyed_was_unsettled,
    nothing_is_booked_twice,
    keys_are_gone_before_it_speaks_again,
    evidence_means_empty_slots,
    erased_means_erased,
    an_order_freezes_once,
)


# --- exploring ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exploration:
    states: Mapping[State, tuple[State, str] | None]
    """Each with the state before it on a shortest way, and the step from there."""
    transitions: int
    broken: tuple[str, State] | None
    """Name of the invariant and the first state in which it does not hold."""

    def trace(self, state: State) -> list[str]:
        """Names of the steps of a shortest way to ``state``."""
        names = []
        while (before := self.states[state]) is not None:
            state, name = before
            names.append(name)
        return names[::-1]


def explore(model: Model, invariants: tuple[Invariant, ...] = INVARIANTS) -> Exploration:
    """Every state, or as many as it takes to find one in which an invariant does not hold."""
    start = model.start()
    states: dict[State, tuple[State, str] | None] = {start: None}
    waiting, transitions = deque([start]), 0
    while waiting:
        state = waiting.popleft()
        for invariant in invariants:
            if not invariant(state, model.scope):
                return Exploration(states, transitions, (invariant.__name__, state))
        for name, after in model.steps(state):
            transitions += 1
            if after not in states:
                states[after] = (state, name)
                waiting.append(after)
    return Exploration(states, transitions, None)


def without_a_good_end(model: Model, states: Iterable[State]) -> set[State]:
    """States from which no way leads to a retired terminal, though there would be an order left to retire it under."""
    before: dict[State, list[State]] = {state: [] for state in states}
    for state in before:
        for _, after in model.steps(state):
            before[after].append(state)
    waiting = [state for state in before if state.life is S.RETIRED or _is_back_in_trade(state, model.scope)]
    stuck = set(before).difference(waiting)
    while waiting:
        for state in before[waiting.pop()]:
            if state in stuck:
                stuck.remove(state)
                waiting.append(state)
    return stuck


def _is_back_in_trade(state: State, scope: Scope) -> bool:
    return state.life is S.ACTIVE and (state.counter == scope.orders or len(state.seals) == scope.freezes)
