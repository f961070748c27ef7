"""One terminal's whole life, with every paper of it: what its memory holds in each state, and what may move it on.

The terminal was frozen and thawed once before. So there are papers that the right hands signed for this very terminal
and that count no more, and every order of the runs that were overheard is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from posdecom_protocol.cose import SigningKey, digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.order import Mode, Order
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.documents.seal import Seal, SealedContext
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    Items,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    ReadItems,
    Request,
    StartErase,
)
from posdecom_protocol.release import Findings, Terms, all_delivered, receipt_over
from posdecom_simulator.population import populate
from posdecom_simulator.provision import provision
from posdecom_simulator.site import SiteTerminal
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.device import decode_life
from posdecom_simulator.terminal.hardware import Place, place_of
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal
from posdecom_simulator.world.faults import Fault, FaultPlan

from ..overheard import Heard, Overheard, listen
from ..scene import NOW, OPENED, SITE_SEED, entropy, scene, site

SEED: Final = 22
RECORDS: Final = 5
"""A reversal, an advice, and money in two contexts."""

OTHER_SERIAL: Final = "PD-000002"
BOOTS_MAX: Final = 5

Memory = Mapping[str, bytes]
Finding = Callable[[SealedContext], Findings]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One freeze of one terminal, and what the right hands would sign over it."""

    order: bytes
    seal: bytes
    items: tuple[bytes, ...]

    @property
    def receipts(self) -> tuple[bytes, ...]:
        """Everything was delivered: the release key alone says so, or both hands do."""
        return self._receipts(Basis.AGREED, all_delivered)

    @property
    def giving_up(self) -> tuple[bytes, ...]:
        """Everything was refused; takes both hands."""
        return self._receipts(Basis.AGREED, lambda one: Findings(refused=all_delivered(one).delivered))

    @property
    def exceptions(self) -> tuple[bytes, ...]:
        """Nothing was delivered; takes both hands."""
        return self._receipts(Basis.EXCEPTION, lambda one: Findings(undelivered=all_delivered(one).delivered))

    @property
    def cancellation(self) -> bytes:
        seal = open_document(self.seal, Seal)
        serial, challenge = seal.body.serial, seal.body.challenge
        body = Cancellation(
            "X", serial, seal.digest, challenge, int(NOW), "Acquirer", (), (), (), "the appeal was won"
        )
        return issue(body, site().acquirer.order.signing_key())

    def _receipts(self, basis: Basis, finding: Finding) -> tuple[bytes, ...]:
        order, seal = open_document(self.order, Order), open_document(self.seal, Seal)
        findings = {one.index: finding(one) for one in seal.body.contexts}
        receipt = receipt_over(order, seal, findings, Terms("R", "Acquirer", int(NOW), basis))
        hands = (site().acquirer.release, site().acquirer.approver)
        return tuple(issue(receipt, hand.signing_key()) for hand in hands)

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that a courier may ask of a terminal that is frozen so, whatever it has already."""
        both = (self.receipts[:1], self.receipts, self.giving_up, self.exceptions)
        return (
            OfferOrder(int(NOW), self.order),
            *map(OfferRelease, both),
            OfferCancellation(self.cancellation),
            *(StartErase(digest(one[0])) for one in both),
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """A terminal in one state."""

    name: str
    memory: Memory
    genuine: tuple[Request, ...]
    """What may move it on, by the right of those who signed it."""
    begun: Request | None = None
    """Asked first: the rest meets a terminal that is busy with this."""


@dataclass(frozen=True, slots=True)
class Life:
    stages: tuple[Stage, ...]
    now: Epoch
    """The one that the stages are about."""
    others: tuple[Epoch, ...]
    """An earlier one of this terminal, and one of another terminal."""


def attestation_key(number: int) -> SigningKey:
    """Of the terminal that is judged (1), or of another one of the same maker (2)."""
    return (site().terminal if number == 1 else other_terminal()).attestation.signing_key()


@lru_cache(maxsize=2)
def lived(*, is_balanced: bool) -> Heard:
    """Another life of this terminal as it was overheard, with totals that the host found equal, or not."""
    unequal = FaultPlan() if is_balanced else FaultPlan.only(Fault.HOST_DISAGREES, *range(1, 9))
    return listen(Overheard(SEED, scene(SEED, RECORDS), unequal))


@lru_cache(maxsize=1)
def other_terminal() -> SiteTerminal:
    """Of the same maker, with the same acquirer."""
    with TemporaryDirectory() as folder:
        made = provision(Path(folder) / "site", seed=SITE_SEED, now=NOW, terminals=2)
        return SiteTerminal.load(made.terminal(OTHER_SERIAL))


@lru_cache(maxsize=1)
def life() -> Life:
    here = scene(SEED, RECORDS)
    frozen, earlier = _frozen(here.memory, order(1), 3)
    active = _after(frozen, OfferCancellation(earlier.cancellation))
    frozen, now = _frozen(active, order(2), 4)
    settled = _after(frozen, OfferRelease(now.receipts[:1]))
    excepted = _after(frozen, OfferRelease(now.exceptions))
    end = StartErase(digest(now.receipts[0]))
    erasing = _history(settled, end)
    freed, blank = _frozen(active, order(2, Mode.REDEPLOY), 4)
    released = _after(freed, OfferRelease(blank.receipts[:1]))
    reused = _history(released, StartErase(digest(blank.receipts[0])))
    of_frozen = now.requests[1:6]
    stages = (
        Stage("ACTIVE", active, (OfferOrder(int(NOW), now.order),)),
        Stage("FROZEN", frozen, of_frozen),
        Stage("SETTLED", settled, (end,)),
        Stage("EXCEPTED", excepted, (StartErase(digest(now.exceptions[0])),)),
        Stage("ERASING", settled, (), begun=end),
        Stage("ERASED", _first(erasing, LifecycleState.ERASED), ()),
        Stage("RETIRED", erasing[-1], ()),
        Stage("BLANK", reused[-1], ()),
        Stage("TAMPERED, ACTIVE", _tampered(active, {Place.SRAM, Place.SECURE_ELEMENT}), ()),
        Stage("TAMPERED, FROZEN", _tampered(frozen, {Place.SRAM, Place.SECURE_ELEMENT}), ()),
        Stage("TAMPERED, identity left", _tampered(frozen, {Place.SRAM}), of_frozen),
    )
    return Life(stages, now, (earlier, _elsewhere()))


def order(counter: int, mode: Mode = Mode.RETIRE, **changed: object) -> bytes:
    """By the right hand; of the judged terminal unless ``changed`` says otherwise."""
    body = open_document(scene(SEED, RECORDS).order, Order).body
    body = replace(body, order_id=f"L-{counter}", counter=counter, mode=mode, **changed)  # type: ignore[arg-type]  # fields by name
    return issue(body, site().acquirer.order.signing_key())


# --- private --------------------------------------------------------------------------------------------------


class _Recorder(MemoryStore):
    """A memory that keeps what was in it before each change."""

    def __init__(self, values: Memory) -> None:
        self.before: list[Memory] = []
        super().__init__(lambda: self.before.append(dict(self._values)), values)

    def history(self) -> list[Memory]:
        return [*self.before, dict(self._values)]


def _history(memory: Memory, request: Request) -> list[Memory]:
    """What the memory holds around every change that ``request`` leads to, the boots after it included."""
    store = _Recorder(memory)
    terminal = Terminal(store, entropy(SEED, 5))
    list(terminal.answer(request, NOW))
    for _ in range(BOOTS_MAX):
        if not terminal.restart_due:
            break
        terminal = Terminal.boot(store, entropy(SEED, 5))
    assert len(store.before) > 0, "what the right hands signed was refused"
    return store.history()


def _after(memory: Memory, request: Request) -> Memory:
    return _history(memory, request)[-1]


def _frozen(memory: Memory, order: bytes, purpose: int) -> tuple[Memory, Epoch]:
    store = MemoryStore(values=memory)
    terminal = Terminal.boot(store, entropy(SEED, purpose))
    list(terminal.answer(OfferOrder(int(NOW), order), NOW))
    seal = store.get(slots.SEAL)
    assert seal is not None, "the order was refused"
    bulks = terminal.answer(ReadItems(1, open_document(seal, Seal).body.item_count), NOW)
    items = tuple(item for bulk in bulks if isinstance(bulk, Items) for item in bulk.items)
    return {name: store.get(name) or b"" for name in store.names()}, Epoch(order, seal, items)


def _first(history: list[Memory], state: LifecycleState) -> Memory:
    return next(one for one in history if decode_life(one[slots.STATE]).state is state)


def _tampered(memory: Memory, lost: set[Place]) -> Memory:
    """As the circuit leaves it, and the first boot after that notes it."""
    kept = {name: value for name, value in memory.items() if place_of(name) not in lost}
    return {**kept, slots.TAMPER_MARK: b"\1"}


def _elsewhere() -> Epoch:
    terminal, store = other_terminal(), MemoryStore()
    personalise(store, terminal, populate(SEED, RECORDS, terminal.settings.contexts, OPENED))
    accounts = tuple(one.account for one in terminal.settings.contexts)
    memory = {name: store.get(name) or b"" for name in store.names()}
    return _frozen(memory, order(1, serial=OTHER_SERIAL, accounts=accounts), 6)[1]
