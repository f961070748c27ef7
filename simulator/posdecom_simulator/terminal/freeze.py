"""Freezing and thawing: from transactions to items and seal, and back to trade.

Everything here is written before the state is, so a power cut in the middle leaves a terminal that is still ACTIVE
(or still FROZEN); `discard` then drops what was half done. KSNs and STANs that were spent stay spent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from posdecom_protocol.aes_dukpt import TerminalDukpt
from posdecom_protocol.documents import Signed, issue
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.seal import CLOCK_OFFSET_S_MAX, Seal, Tamper
from posdecom_protocol.money import SIDE, Side, TransactionClass
from posdecom_protocol.records import ItemKind, chain_head, decode_item, encode_item
from posdecom_protocol.salvage import encode_salvaged
from posdecom_protocol.secret import wipe

from . import room, slots
from .device import Device, encode_device
from .identity import attestation_key
from .key_loading import held_key
from .prepare import Prepared, Rules, StanCounter, prepare
from .store import MemoryFull, Store, held
from .stored import StoredTransaction


@dataclass(frozen=True, slots=True)
class Moment:
    """When the order arrived, by both clocks, and the freshness of this freeze."""

    now: float
    agent_time_s: int
    challenge: bytes


def freeze(store: Store, device: Device, order: Signed[Order], moment: Moment) -> bytes:
    """Prepare every message, write items, order and seal, and return the seal. The caller writes the state.

    `MemoryFull` where they leave no room for what follows, `ExhaustedError` where there are too few keys: but for KSNs
    and STANs nothing was written.
    """
    prepared = _prepare_messages(store, device, Rules.from_order(order.body))
    items = [encode_item(item) for item in prepared.items]
    body = _seal(store, device, order, moment, prepared, items)
    seal = issue(body, attestation_key(store))
    values = {slots.item_name(sequence): item for sequence, item in enumerate(items, 1)}
    values |= {slots.ORDER: order.data, slots.SEAL: seal}
    to_come = {**room.for_release(store, order.data, body), **room.for_thaw(prepared.items)}
    if not store.has_room({name: len(value) for name, value in values.items()} | to_come):
        raise MemoryFull("the memory has no room for a freeze and what follows it")
    store.put(values)
    return seal


def discard(store: Store) -> None:
    """Drop items and documents of a freeze that is not in force, and of a former life."""
    store.erase([*store.names(slots.ITEM_PREFIX), slots.ORDER, slots.SEAL, *slots.RECEIPTS, slots.EVIDENCE])


def thaw(store: Store, device: Device, cancellation: Cancellation) -> None:
    """Mark what the acquirer has as delivered, drop what it settled with closed contexts, and take its batch numbers.

    Done twice, after a power cut, it is as if it had been done once.
    """
    for span in cancellation.delivered:
        for sequence in range(span.first, span.last + 1):
            _mark_delivered(store, sequence)
    for context in cancellation.closed:
        store.erase(_settled_names(store, context))
    batches = {one.context: one.batch for one in cancellation.next_batches}
    store.put({slots.DEVICE: encode_device(device.with_batches(batches))})


def transactions(store: Store) -> Iterator[StoredTransaction]:
    """What the terminal has sold, in the order of time."""
    return (_read(store, name) for name in store.names(slots.TRANSACTION_PREFIX))


def count_records(store: Store, context: int) -> tuple[int, int]:
    """How many transactions a context holds, and how many of them the host has not had."""
    records = [one for one in transactions(store) if one.context == context]
    unsent = [one for one in records if _is_unsent(one)]
    return len(records), len(unsent)


def salvaged(store: Store, device: Device, first: int, bytes_max: int) -> tuple[int, tuple[bytes, ...]]:
    """How many records there are, and those from the ``first`` one (from 1) on, until ``bytes_max`` are full."""
    names = list(store.names(slots.TRANSACTION_PREFIX))
    currencies = {context.index: context.currency for context in device.contexts}
    records: list[bytes] = []
    size = 0
    for name in names[max(first, 1) - 1 :]:
        one = _read(store, name)
        records.append(encode_salvaged(one.salvaged(currencies[one.context])))
        size += len(records[-1])
        if size >= bytes_max:
            break
    return len(names), tuple(records)


def _is_unsent(one: StoredTransaction) -> bool:
    unsent_money = SIDE[one.transaction_class] is not Side.NEITHER and not one.posted
    return unsent_money or one.transaction_class is TransactionClass.REVERSAL


def _prepare_messages(store: Store, device: Device, rules: Rules) -> Prepared:
    with held_key(store, slots.DUKPT) as before:
        keys = TerminalDukpt.import_state(before.data)
    stans = StanCounter(int.from_bytes(store.get(slots.STAN) or b"", "big"))
    try:
        prepared = prepare(device.contexts, tuple(transactions(store)), keys, stans, rules)
        state = keys.export_state()
        store.put({slots.DUKPT.key: bytes(state), slots.STAN: stans.last.to_bytes(3, "big")})
        wipe(state)
    finally:
        keys.wipe()
    return prepared


def _seal(
    store: Store, device: Device, order: Signed[Order], moment: Moment, prepared: Prepared, items: list[bytes]
) -> Seal:
    offset = int(moment.now) - moment.agent_time_s
    return Seal(
        serial=device.serial,
        order_digest=order.digest,
        challenge=moment.challenge,
        sealed_at=int(moment.now),
        clock_offset_s=max(-CLOCK_OFFSET_S_MAX, min(CLOCK_OFFSET_S_MAX, offset)),
        boot_count=int.from_bytes(held(store, slots.BOOT_COUNT), "big"),
        tamper=Tamper.TAMPERED if store.get(slots.TAMPER_MARK) else Tamper.INTACT,
        contexts=prepared.contexts,
        item_count=len(items),
        head=chain_head(items),
        preauths=prepared.preauths,
    )


def _settled_names(store: Store, context: int) -> list[str]:
    """The records of a closed context that the host has. What was withheld, and open pre-authorisations, stay.

    Pre-authorisations first: cut in between, those whose completion is gone would seem open.
    """
    records = [one for one in transactions(store) if one.context == context]
    completed = {one.original for one in records if one.transaction_class is TransactionClass.COMPLETION}
    preauths = [one for one in records if one.number in completed]
    money = [one for one in records if one.posted and SIDE[one.transaction_class] is not Side.NEITHER]
    declined = [one for one in records if one.transaction_class is TransactionClass.DECLINED]
    return [slots.transaction_name(one.number) for one in (*preauths, *money, *declined)]


def _mark_delivered(store: Store, sequence: int) -> None:
    """What the host booked is posted from now on, a reversal or void that it took is over, a refund is a record."""
    data = store.get(slots.item_name(sequence))
    item = None if data is None else decode_item(data)
    if item is None or item.summary is None:
        return
    name = slots.transaction_name(item.summary.record)
    if store.get(name) is None:
        return
    match item.kind:
        case ItemKind.ADVICE:
            store.put({name: replace(_read(store, name), posted=True).encode()})
        case ItemKind.REVERSAL | ItemKind.PREAUTH_VOID:
            store.erase((name,))
        case ItemKind.REFUND:
            _keep_refund(store, _read(store, name), item.summary.stan)
        case _:
            pass


def _keep_refund(store: Store, sale: StoredTransaction, stan: int) -> None:
    """The acquirer gave the sale back under a message that this freeze prepared: from now on it is in the batch."""
    records = list(transactions(store))
    if any((one.context, one.stan) == (sale.context, stan) for one in records):
        return
    number = 1 + max(one.number for one in records)
    refund = sale.given_back(number, stan, posted=True)
    store.put({slots.transaction_name(number): refund.encode()})


def _read(store: Store, name: str) -> StoredTransaction:
    return StoredTransaction.decode(held(store, name))
