"""Zeroization: intent first, then slot by slot with read-back, then evidence, then the identity.

The erase runs at boot and only there. `intend` makes it durable and the terminal restarts; `finish` brings whatever
was intended to its end before the terminal serves one byte, however often the supply fails in between. Each step may
be repeated: erasing what is gone changes nothing, and the evidence comes out as the same bytes.

What is destroyed: every slot of `slots.ERASE_ORDER` and the memory's own wrapping key, all transactions and items, the
acquirer's and the technicians' anchors and settings, and then every older copy of any of them, wherever the memory has
left it; in mode retire the identity keys too. What is kept: the chain of documents, the device's make and serial, its
certificates and, in redeploy and repair, its identity keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from posdecom_protocol import cbor
from posdecom_protocol.documents import Signed, issue, open_document
from posdecom_protocol.documents.evidence import (
    SLOT_REPORT,
    EraseMethod,
    Evidence,
    Kept,
    ReadBack,
    SlotReport,
)
from posdecom_protocol.documents.kinds import DIGEST, TIME
from posdecom_protocol.documents.order import Mode, Order
from posdecom_protocol.documents.seal import Seal, Tamper
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.schema import Choice, Field, Many, Record, Whole

from . import slots
from .device import Life, decode_device, decode_life, encode_device, encode_life
from .identity import attestation_key
from .store import RegionErasure, Store, held


@dataclass(frozen=True, slots=True)
class Intent:
    """What the erase was started under, and what stood in each slot before the first byte went."""

    order_digest: bytes
    seal_digest: bytes
    receipt_digests: tuple[bytes, ...]
    mode: Mode
    intended_at: int
    boot_count: int
    slots: tuple[SlotReport, ...]


_INTENT: Final = Record(
    Intent,
    {
        1: Field("order_digest", DIGEST),
        2: Field("seal_digest", DIGEST),
        3: Field("receipt_digests", Many(DIGEST, 2)),
        4: Field("mode", Choice(Mode)),
        5: Field("intended_at", TIME),
        6: Field("boot_count", Whole(2**32 - 1)),
        7: Field("slots", Many(SLOT_REPORT, 64)),
    },
)

_KEPT: Final = (
    Kept("order, seal, receipt, evidence", "the proofs are served again for ever"),
    Kept("make, model, serial and device certificates", "public, and they name the device in its proofs"),
)
_KEPT_IDENTITY: Final = Kept(
    "identity keys and order counters", "the terminal is to be bound again by its maker"
)


def intend(store: Store, life: Life, receipt_digests: tuple[bytes, ...], now: float) -> Life:
    """Write down what is about to be destroyed, then the state ERASING: from here there is only forward."""
    order, seal = _order(store), _seal(store)
    intent = Intent(
        order_digest=order.digest,
        seal_digest=seal.digest,
        receipt_digests=receipt_digests,
        mode=order.body.mode,
        intended_at=int(now),
        boot_count=int.from_bytes(store.get(slots.BOOT_COUNT) or b"", "big"),
        slots=tuple(_before(store, slot) for slot in _slots()),
    )
    erasing = life.to(LifecycleState.ERASING)
    store.put({slots.INTENT: cbor.encode(_INTENT.pack(intent))})
    store.put({slots.STATE: encode_life(erasing)})
    return erasing


def finish(store: Store) -> bool:
    """Bring a started erase to its end. True if anything was done: the process should then start afresh."""
    life = decode_life(held(store, slots.STATE))
    if life.state is LifecycleState.ERASING:
        life = _erase_slots(store, life)
    elif life.state is not LifecycleState.ERASED:
        return False
    _erase_identity(store, life)
    return True


def _erase_slots(store: Store, life: Life) -> Life:
    intent = _INTENT.unpack(cbor.decode(held(store, slots.INTENT), "intent"), "intent")
    for slot in _slots():
        store.erase((slot.key, slot.kcv))
    for prefix in (slots.TRANSACTION_PREFIX, slots.ITEM_PREFIX):
        store.erase(list(store.names(prefix)))
    store.erase((slots.ACQUIRER_ANCHORS, slots.CHANNEL_ANCHORS, slots.STAN))
    device = decode_device(held(store, slots.DEVICE))
    store.put({slots.DEVICE: encode_device(replace(device, contexts=()))})
    regions = store.sanitize()
    if store.holds(slots.ATTESTATION_KEY.key):  # a tamper may have taken it: then nobody can attest
        store.put({slots.EVIDENCE: _evidence(store, intent, regions)})
    erased = life.to(LifecycleState.ERASED)
    store.put({slots.STATE: encode_life(erased)})
    return erased


def _erase_identity(store: Store, life: Life) -> None:
    """The end of the order: in retire the terminal loses the key that signed its evidence."""
    if _order(store).body.mode is Mode.RETIRE:
        store.erase(slot.key for slot in slots.IDENTITY)
        store.sanitize({store.region_of(slot.key) for slot in slots.IDENTITY})
        final = LifecycleState.RETIRED
    else:
        final = LifecycleState.BLANK
    store.erase((slots.INTENT,))
    store.put({slots.STATE: encode_life(life.to(final))})


def _slots() -> tuple[slots.Slot, ...]:
    return (*slots.ERASE_ORDER, slots.WRAP)


def _evidence(store: Store, intent: Intent, regions: Mapping[str, RegionErasure]) -> bytes:
    """Signed after read-back: each slot is looked at again, and one that is not empty is said to be so."""
    device = decode_device(held(store, slots.DEVICE))
    retire = intent.mode is Mode.RETIRE
    evidence = Evidence(
        issued_at=intent.intended_at,
        nonce=_seal(store).body.challenge,
        boot_count=intent.boot_count,
        ueid=device.ueid,
        manufacturer=device.oem_id,
        model=device.model.encode("ascii"),
        software="posdecom-sim terminal",
        software_version=(device.software_version,),
        serial=device.serial,
        order_digest=intent.order_digest,
        seal_digest=intent.seal_digest,
        receipt_digests=intent.receipt_digests,
        mode=intent.mode,
        erased_at=intent.intended_at,
        tamper=Tamper.TAMPERED if store.get(slots.TAMPER_MARK) else Tamper.INTACT,
        slots=tuple(
            _after(store, slot, report, regions[store.region_of(slot.key)])
            for slot, report in zip(_slots(), intent.slots, strict=True)
        ),
        to_be_destroyed=tuple(slot.name for slot in slots.IDENTITY) if retire else (),
        kept=(*_KEPT, *(() if retire else (_KEPT_IDENTITY,)), *_stuck(regions)),
    )
    return issue(evidence, attestation_key(store))


def _before(store: Store, slot: slots.Slot) -> SlotReport:
    is_held = store.holds(slot.key)
    return SlotReport(
        slot=slot.name,
        usage=slot.usage,
        algorithm=slot.algorithm,
        kcv_method=slot.kcv_method if is_held else slots.KcvMethod.NONE,
        kcv_before=(store.get(slot.kcv) or b"") if is_held else b"",
        method=EraseMethod.NOT_YET,
        read_back=ReadBack.NOT_DONE if is_held else ReadBack.WAS_EMPTY,
    )


def _after(store: Store, slot: slots.Slot, before: SlotReport, region: RegionErasure) -> SlotReport:
    """By the region as a whole: a slot is not empty while any part of its region did not read back."""
    if not store.holds(slot.key) and before.read_back is ReadBack.WAS_EMPTY:
        return before
    is_empty = not store.holds(slot.key) and region.is_read_back
    return replace(before, method=region.method, read_back=ReadBack.EMPTY if is_empty else ReadBack.NOT_EMPTY)


def _stuck(regions: Mapping[str, RegionErasure]) -> Iterator[Kept]:
    for name, region in regions.items():
        if region.stuck_bits:
            yield Kept(
                f"{region.stuck_bits} worn bits of {name}",
                "read back zero; they hold nothing and do not erase",
            )


def _order(store: Store) -> Signed[Order]:
    return open_document(held(store, slots.ORDER), Order)


def _seal(store: Store) -> Signed[Seal]:
    return open_document(held(store, slots.SEAL), Seal)
