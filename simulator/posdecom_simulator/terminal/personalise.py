"""From an empty memory to a trading terminal: keys and certificates loaded, and a day's transactions in the batch.

Stands in for the key injection room and for the shop's day. The clear card numbers of the population exist here only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from posdecom_protocol.aes_dukpt import TerminalDukpt
from posdecom_protocol.certificates import key_id
from posdecom_protocol.kcv import KcvMethod, kcv
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.secret import wipe

from ..population import Transaction
from ..site import SiteTerminal
from . import slots
from .device import Device, Life, encode_device, encode_life
from .store import Store
from .stored import store_transaction


def is_personalised(store: Store) -> bool:
    return store.get(slots.STATE) is not None


def personalise(store: Store, site: SiteTerminal, population: Iterable[Transaction]) -> None:
    """Load everything; the state is written last, so that a cut in the middle starts over."""
    _load_keys(store, site)
    store.put(
        {
            slots.DEVICE: encode_device(_device(site)),
            slots.ACQUIRER_ANCHORS: site.acquirer_anchors.pem(),
            slots.CHANNEL_ANCHORS: site.technician_anchors.pem(),
            slots.CHANNEL_CERTIFICATE: site.channel.chain[0],
            slots.ATTESTATION_CERTIFICATE: site.attestation.chain[0],
        }
    )
    last_record_at = _trade(store, site, population)
    store.put({slots.STATE: encode_life(Life(LifecycleState.ACTIVE, last_record_at=last_record_at))})


def _load_keys(store: Store, site: SiteTerminal) -> None:
    for slot in slots.ERASE_ORDER:
        key = site.keys.slots[slot.name]
        if slot is not slots.DUKPT:
            store.put({slot.key: bytes(key.data)})
        store.put({slot.kcv: kcv(key, KcvMethod(slot.kcv_method))})
    for slot, identity in ((slots.CHANNEL_KEY, site.channel), (slots.ATTESTATION_KEY, site.attestation)):
        store.put({slot.key: bytes(identity.secret.data), slot.kcv: key_id(identity.chain[0])})


def _trade(store: Store, site: SiteTerminal, population: Iterable[Transaction]) -> int:
    """Store each transaction as at the time of sale; only the spent key set remains, as in a real terminal."""
    keys = TerminalDukpt.load(site.keys.slots[slots.DUKPT.name], site.keys.initial_key_id)
    stored = [store_transaction(transaction, keys) for transaction in population]
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
