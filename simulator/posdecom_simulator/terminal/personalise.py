"""From an empty memory to a trading terminal: keys and certificates loaded, and a day's transactions in the batch.

Stands in for the key injection room and for the shop's day. The clear card numbers of the population exist here only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from posdecom_protocol.aes_dukpt import TerminalDukpt
from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.errors import LocalError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.secret import BytesLike, wipe

from ..forensics.record import Kind, Note, note_nothing
from ..population import Transaction
from ..site import SiteTerminal
from . import slots
from .batch_room import BatchRoom
from .binding import check_bind
from .device import Device, Life, decode_device, decode_life, encode_device, encode_life
from .key_loading import load_block, load_identity_key, load_initial_key, load_master_key
from .recording import block_body, secrets_in
from .store import Store
from .stored import StoredTransaction, store_transaction


def is_personalised(store: Store) -> bool:
    return store.get(slots.STATE) is not None


def personalise(
    store: Store,
    site: SiteTerminal,
    population: Iterable[Transaction],
    note: Note = note_nothing,
    *,
    bind: bytes | None = None,
) -> None:
    """Load everything; the state is written last, so that a cut in the middle starts over.

    A terminal from the factory takes all of it. A blank one takes keys and merchant accounts, and only with its maker's
    ``bind``, whose anchors count then, not the site's (`DocumentError` for any other, before anything is changed);
    make, serial, identity and maker stay. Every other one is in service or at its end (`LocalError`). ``note`` hears of
    every secret that passes through the terminal on the way.
    """
    life = Life(LifecycleState.ACTIVE)
    acquirer, technicians = site.acquirer_anchors.pem(), site.technician_anchors.pem()
    is_new = not is_personalised(store)
    if not is_new:
        life, acquirer, technicians = _bound(store, bind)
    if len(load_anchors(acquirer).links) != 1:
        # with two, either acquirer could freeze and release what the terminal holds for the other
        raise LocalError("a terminal trusts one acquirer's authority, neither none nor several")
    _load_keys(store, site, note)
    if is_new:
        _make(store, site)
    device = decode_device(store.get(slots.DEVICE) or b"")
    store.put(
        {
            slots.DEVICE: encode_device(replace(device, contexts=site.settings.contexts)),
            slots.ACQUIRER_ANCHORS: acquirer,
            slots.CHANNEL_ANCHORS: technicians,
        }
    )
    last_record_at = _trade(store, site, population, note)
    last_record_at = max(last_record_at, life.last_record_at)
    store.put({slots.STATE: encode_life(replace(life, last_record_at=last_record_at))})


def _bound(store: Store, bind: bytes | None) -> tuple[Life, bytes, bytes]:
    """How the life of a blank terminal goes on: the counters of orders stay, so that no old order works again."""
    if bind is None:
        raise LocalError("the terminal is not from the factory, and there is no bind")
    body = check_bind(store, bind)
    life = decode_life(store.get(slots.STATE) or b"").to(LifecycleState.ACTIVE)
    return life, body.acquirer_anchors, body.technician_anchors


def _make(store: Store, site: SiteTerminal) -> None:
    """What a device has from its maker for life."""
    for slot, identity in ((slots.CHANNEL_KEY, site.channel), (slots.ATTESTATION_KEY, site.attestation)):
        load_identity_key(store, slot, identity.secret, identity.chain[0])
    store.put(
        {
            slots.DEVICE: encode_device(_device(site)),
            slots.MAKER_ANCHORS: site.maker_anchors.pem(),
            slots.CHANNEL_CERTIFICATE: site.channel.chain[0],
            slots.ATTESTATION_CERTIFICATE: site.attestation.chain[0],
        }
    )


def _load_keys(store: Store, site: SiteTerminal, note: Note) -> None:
    """The key injection room: master keys first, because the key blocks are under them."""
    clear, blocks = site.keys.clear, site.keys.blocks
    for master in (slots.TMK, slots.TMK_TDES):
        load_master_key(store, master, clear[master.name])
    key_sets = {slots.DUKPT: site.keys.initial_key_id, slots.DUKPT_TDES: site.keys.initial_ksn}
    for slot, key_set in key_sets.items():
        note(slot.name, Kind.PASSING, [clear[slot.name].data])
        load_initial_key(store, slot, clear[slot.name], key_set)
    for name, text in blocks.items():
        note(name, Kind.PASSING, [block_body(text)])
        load_block(store, slots.BY_NAME[name], text)


def _trade(store: Store, site: SiteTerminal, population: Iterable[Transaction], note: Note) -> int:
    """Store each transaction as at the time of sale; only the spent key set remains, as in a real terminal."""
    keys = TerminalDukpt.import_state(store.get(slots.DUKPT.key) or b"")
    stored: list[StoredTransaction] = []
    room = BatchRoom()
    currencies = {context.index: context.currency for context in site.settings.contexts}
    for transaction in population:
        room.take(transaction.context, transaction.amount)
        stored.append(store_transaction(transaction, keys, currencies[transaction.context]))
        note(slots.DUKPT.name, Kind.PASSING, _registers(keys))
    state = keys.export_state()
    store.put({slots.transaction_name(one.number): one.encode() for one in stored})
    store.put(
        {
            slots.DUKPT.key: bytes(state),
            slots.STAN: max((one.stan for one in stored), default=0).to_bytes(3, "big"),
        }
    )
    wipe(state)
    keys.wipe()
    return max((_local_time_s(one.local_time) for one in stored), default=0)


def _registers(keys: TerminalDukpt) -> Iterator[BytesLike]:
    """What ``keys`` hold; nothing is looked at until somebody wants to know."""
    state = keys.export_state()
    yield from secrets_in(slots.DUKPT, state)
    wipe(state)


def _device(site: SiteTerminal) -> Device:
    settings = site.settings
    return Device(
        serial=settings.serial,
        manufacturer=settings.manufacturer,
        model=settings.model,
        software_version=settings.software_version,
        ueid=settings.ueid,
        oem_id=settings.oem_id,
        contexts=settings.contexts,
    )


def _local_time_s(local_time: str) -> int:
    """Seconds since 1970 of a record's YYMMDDhhmmss: this terminal keeps its clock in UTC."""
    return int(datetime.strptime(local_time, "%y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
