"""The terminal: answers requests by its lifecycle table, its guard and its store. Knows no line and no channel.

`Terminal.boot` first finishes whatever erase was started. `answer` yields the replies to one request; a terminal whose
`restart_due` is set has made an erase durable and must start afresh before it serves anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, assert_never

from posdecom_protocol.certificates import Anchors, load_anchors
from posdecom_protocol.documents import Signed, authenticate, open_document
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError, ExhaustedError
from posdecom_protocol.guard import (
    GuardRefusal,
    Holding,
    Vacancy,
    check_cancellation,
    check_order,
    check_release,
)
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR, LifecycleState
from posdecom_protocol.messages import (
    ITEMS_PER_BULK_BYTES,
    Confirmed,
    ContextInfo,
    Erasing,
    GetInventory,
    GetProof,
    Inventory,
    Items,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Proof,
    ProofKind,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Salvaged,
    Sealed,
    SlotInfo,
    StartErase,
    Thawed,
)
from posdecom_protocol.packed_items import pack

from . import erase, freeze, room, slots
from .device import Context, Device, Life, decode_device, decode_life, encode_life
from .store import MemoryFull, Store, held

Entropy = Callable[[int], bytes]

_PROOFS: Final = {
    ProofKind.ORDER: slots.ORDER,
    ProofKind.SEAL: slots.SEAL,
    ProofKind.RECEIPT: slots.RECEIPTS[0],
    ProofKind.SECOND_RECEIPT: slots.RECEIPTS[1],
    ProofKind.EVIDENCE: slots.EVIDENCE,
}

_RELEASED: Final = (LifecycleState.SETTLED, LifecycleState.EXCEPTED)


class Terminal:
    """One terminal, running. Made by `boot`."""

    def __init__(self, store: Store, entropy: Entropy) -> None:
        self._store = store
        self._entropy = entropy
        self.restart_due = False

    @classmethod
    def boot(cls, store: Store, entropy: Entropy) -> Terminal:
        """Start the terminal: count the boot, finish a started erase, drop what a cut freeze left behind.

        ``restart_due`` is set if an erase was finished here: its process has seen the identity key.
        """
        terminal = cls(store, entropy)
        count = int.from_bytes(store.get(slots.BOOT_COUNT) or b"", "big") + 1
        store.put({slots.BOOT_COUNT: count.to_bytes(4, "big")})
        terminal.restart_due = erase.finish(store)
        if terminal.life.state is LifecycleState.ACTIVE:
            freeze.discard(store)
        return terminal

    @property
    def life(self) -> Life:
        return decode_life(held(self._store, slots.STATE))

    @property
    def device(self) -> Device:
        return decode_device(held(self._store, slots.DEVICE))

    @property
    def is_tampered(self) -> bool:
        return self._store.get(slots.TAMPER_MARK) is not None

    def dates_floor(self, now: float) -> float | None:
        """What a technician's certificate must outlast where the clock judges nobody; None where it does.

        It judges before the freeze only, and only if it does not stand before the last transaction (a dead battery).
        Later it may jump as it likes and locks nobody out: what counts then is bound by the challenge, not by time,
        and the order and the last record say what is surely past.
        """
        life = self.life
        if life.state is LifecycleState.ACTIVE:
            return None if now >= life.last_record_at else life.last_record_at
        order = self._store.get(slots.ORDER)
        begun = 0 if order is None else open_document(order, Order).body.not_before
        return max(life.last_record_at, begun)

    @property
    def _cannot_seal(self) -> bool:
        """A tamper, or an empty battery, has left no key under which anything could be prepared."""
        return self.is_tampered and not self._store.holds(slots.DUKPT.key)

    @property
    def has_identity(self) -> bool:
        """Whether the terminal can prove who it is: not once retired, nor after a tamper that reached its keys."""
        return self._store.holds(slots.CHANNEL_KEY.key)

    def confirm(self) -> Confirmed:
        """What the terminal says first in every channel."""
        return Confirmed(self.life.state, self.is_tampered)

    def answer(self, request: Request, now: float) -> Iterator[Reply]:
        """Replies to ``request``, made one at a time as they are taken; a refusal names its reason."""
        try:
            yield from self._answer(request, now)
        except GuardRefusal as error:
            yield Refused(error.reason)
        except MemoryFull:
            yield Refused(Refusal.NO_ROOM)  # values before states: what was written does not count

    def answer_in_clear(self, request: Request) -> Iterator[Reply]:
        """What anybody may have: the proofs of a terminal that is retired or blank.

        A terminal that has lost its identity to a tamper gives its proofs and its sealed items in the clear too, or its
        records where nothing was sealed: it cannot make a channel any more, and account data in them are encrypted.
        There is nothing else left to do for it.
        """
        is_salvage = self.is_tampered and not self.has_identity
        match request:
            case GetProof() if is_salvage or self.life.state in PROOFS_IN_CLEAR:
                yield self._proof(request.kind)
            case ReadItems() | ReadPacked() if is_salvage:
                yield from self._items(request)
            case ReadSalvage() if is_salvage:
                yield self._salvage(request.first)
            case _:
                yield Refused(Refusal.STATE)

    # --- private ---------------------------------------------------------------------------------

    def _answer(self, request: Request, now: float) -> Iterator[Reply]:
        match request:
            case GetInventory():
                yield self._inventory(now)
            case OfferOrder():
                yield self._freeze(request, now)
            case ReadItems() | ReadPacked():
                yield from self._items(request)
            case OfferRelease():
                yield self._release(request)
            case StartErase():
                yield self._start_erase(request, now)
            case OfferCancellation():
                yield self._thaw(request)
            case GetProof():
                yield self._proof(request.kind)
            case ReadSalvage():
                yield self._salvage(request.first) if self._cannot_seal else Refused(Refusal.STATE)
            case _:
                assert_never(request)

    def _freeze(self, request: OfferOrder, now: float) -> Reply:
        life = self.life
        if life.state is not LifecycleState.ACTIVE:
            return self._same_seal(request)
        if self._cannot_seal:
            return Refused(Refusal.TAMPERED)
        device = self.device
        vacancy = Vacancy(
            serial=device.serial,
            anchors=self._anchors(),
            accounts=frozenset(context.account for context in device.contexts),
            now=now,
            last_record_at=life.last_record_at,
            counter_of=life.counter_of,
        )
        order, signer = check_order(request.order, vacancy)
        moment = freeze.Moment(now=now, agent_time_s=request.agent_time_s, challenge=self._entropy(32))
        try:
            seal = freeze.freeze(self._store, device, order, moment)
        except ExhaustedError:
            return Refused(Refusal.NO_KEYS)
        except DocumentError:
            return Refused(Refusal.TOO_MUCH)
        except MemoryFull:
            freeze.discard(self._store)
            return Refused(Refusal.NO_ROOM)
        self._store.put({slots.STATE: encode_life(life.frozen(signer.issuer_id, order.body.counter))})
        return Sealed(seal)

    def _same_seal(self, request: OfferOrder) -> Reply:
        """The order that froze this terminal gives the same bytes again; any other comes too late."""
        if request.order != self._store.get(slots.ORDER):
            return Refused(Refusal.STATE)
        return Sealed(held(self._store, slots.SEAL))

    def _items(self, request: ReadItems | ReadPacked) -> Iterator[Reply]:
        """As many `Items` as the range needs, each filled up to about `ITEMS_PER_BULK_BYTES`; packed if so asked."""
        if self.life.state is not LifecycleState.FROZEN:
            yield Refused(Refusal.STATE)
            return
        last = self._seal().body.item_count
        if not 1 <= request.first <= last or not 1 <= request.count <= last - request.first + 1:
            yield Refused(Refusal.NOT_FOUND)
            return
        for items in self._bulks(request.first, request.count):
            yield pack(items) if isinstance(request, ReadPacked) else items

    def _bulks(self, first: int, count: int) -> Iterator[Items]:
        bulk, size = list[bytes](), 0
        for sequence in range(first, first + count):
            item = held(self._store, slots.item_name(sequence))
            if bulk and size + len(item) > ITEMS_PER_BULK_BYTES:
                yield Items(first, tuple(bulk))
                first, bulk, size = sequence, [], 0
            bulk.append(item)
            size += len(item)
        yield Items(first, tuple(bulk))

    def _salvage(self, first: int) -> Reply:
        """Records as they were stored, filled up to about `ITEMS_PER_BULK_BYTES`."""
        if self.life.state is not LifecycleState.ACTIVE:
            return Refused(Refusal.STATE)
        total, records = freeze.salvaged(self._store, self.device, first, ITEMS_PER_BULK_BYTES)
        return Salvaged(first, total, records) if records or first == 1 else Refused(Refusal.NOT_FOUND)

    def _release(self, request: OfferRelease) -> Reply:
        """Verify, store, then write the state: a release that was taken before is confirmed again."""
        life = self.life
        stored = tuple(filter(None, (self._store.get(name) for name in slots.RECEIPTS)))
        if life.state in _RELEASED and stored == request.receipts:
            return Released(life.state)
        release = check_release(request.receipts, self._holding(life))
        target = (
            LifecycleState.EXCEPTED if release.receipt.basis is Basis.EXCEPTION else LifecycleState.SETTLED
        )
        self._store.erase(slots.RECEIPTS)  # of a release that a power cut left half stored
        receipts = dict(zip(slots.RECEIPTS, request.receipts, strict=False))
        sizes = {name: len(receipt) for name, receipt in receipts.items()}
        if not self._store.has_room({**sizes, **room.for_erase(self._store)}):
            return Refused(Refusal.NO_ROOM)
        self._store.put(receipts)
        self._store.put({slots.STATE: encode_life(life.to(target))})
        return Released(target)

    def _start_erase(self, request: StartErase, now: float) -> Reply:
        """The stored receipts are verified once more: between release and erase the memory may have been touched."""
        life = self.life
        if life.state not in _RELEASED:
            return Refused(Refusal.STATE)
        receipts = tuple(filter(None, (self._store.get(name) for name in slots.RECEIPTS)))
        release = check_release(receipts, self._holding(Life(LifecycleState.FROZEN)))
        if request.receipt_digest != release.digests[0]:
            return Refused(Refusal.SEAL)
        erase.intend(self._store, life, release.digests, now)
        self.restart_due = True
        return Erasing()

    def _thaw(self, request: OfferCancellation) -> Reply:
        life = self.life
        cancellation = check_cancellation(request.cancellation, self._holding(life))
        freeze.thaw(self._store, self.device, cancellation.body)
        self._store.put({slots.STATE: encode_life(life.to(LifecycleState.ACTIVE))})
        freeze.discard(self._store)
        return Thawed()

    def _proof(self, kind: ProofKind) -> Reply:
        document = self._store.get(_PROOFS[kind])
        return Refused(Refusal.NOT_FOUND) if document is None else Proof(kind, document)

    def _inventory(self, now: float) -> Inventory:
        life, device = self.life, self.device
        return Inventory(
            state=life.state,
            tampered=self.is_tampered,
            serial=device.serial,
            manufacturer=device.manufacturer,
            model=device.model,
            software_version=device.software_version,
            boot_count=int.from_bytes(held(self._store, slots.BOOT_COUNT), "big"),
            clock_s=int(now),
            slots=tuple(self._slot_info(slot) for slot in (*slots.ERASE_ORDER, *slots.IDENTITY)),
            contexts=tuple(self._context_info(context) for context in device.contexts),
        )

    def _slot_info(self, slot: slots.Slot) -> SlotInfo:
        is_held = self._store.holds(slot.key)
        kcv = (self._store.get(slot.kcv) or b"") if is_held else b""
        method = slot.kcv_method if is_held else slots.KcvMethod.NONE
        return SlotInfo(slot.name, slot.usage, slot.algorithm, int(method), kcv)

    def _context_info(self, context: Context) -> ContextInfo:
        records, unsent = freeze.count_records(self._store, context.index)
        return ContextInfo(
            context.index,
            context.acquirer,
            context.mid,
            context.tid,
            context.currency,
            context.batch,
            records,
            unsent,
        )

    def _holding(self, life: Life) -> Holding:
        if self._store.get(slots.SEAL) is None:
            raise GuardRefusal(Refusal.STATE)
        order = open_document(held(self._store, slots.ORDER), Order)
        anchors = self._anchors()
        return Holding(
            serial=self.device.serial,
            state=life.state,
            anchors=anchors,
            order=order,
            order_signer=authenticate(order, anchors, at=None),
            seal=self._seal(),
        )

    def _seal(self) -> Signed[Seal]:
        return open_document(held(self._store, slots.SEAL), Seal)

    def _anchors(self) -> Anchors:
        return load_anchors(held(self._store, slots.ACQUIRER_ANCHORS))
