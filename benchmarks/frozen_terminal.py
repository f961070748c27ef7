"""Frozen terminals for the flush benchmarks: a site, an order, and a memory that holds the records to be read out.

``noise``: items of 250 bytes that do not compress. ``shop``: a day of trade, prepared by the terminal itself.
"""

from __future__ import annotations

import lzma
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.order import Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.messages import OfferOrder, Sealed
from posdecom_protocol.records import Item, ItemKind, chain_head, encode_item
from posdecom_simulator.memory.flash import FlashShape
from posdecom_simulator.memory.image import Geometry, Image
from posdecom_simulator.population import TRADING_S, populate
from posdecom_simulator.provision import provision
from posdecom_simulator.site import AcquirerSite, SiteTerminal
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore
from posdecom_simulator.terminal.identity import attestation_key
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.store import Store
from posdecom_simulator.terminal.terminal import Terminal

SERIAL: Final = "PD-000001"
ITEM_BYTES: Final = 250
XZ_BYTES_MAX: Final = 1024 * 1024
_HEAD_BYTES: Final = len(encode_item(Item(ItemKind.ADVICE, 0, None, b"")))


@dataclass(frozen=True, slots=True)
class FrozenTerminal:
    site: Path
    order_file: Path
    state: Path
    item_count: int
    useful_bytes: int
    """All items together, as they are stored."""
    xz_ratio: float
    """Of all items to what ``xz -9`` makes of them (of at most `XZ_BYTES_MAX`): what there is to win."""


def freeze(folder: Path, kind: str, count: int, item_bytes: int = ITEM_BYTES) -> FrozenTerminal:
    """Make ``folder`` a site with one terminal that is frozen: ``count`` items of noise, or ``count`` transactions."""
    now = time.time()
    provision(folder / "site", seed=1, now=now)
    site = SiteTerminal.load(folder / "site" / "terminals" / SERIAL)
    order = _write_order(folder, site, int(now))
    shape = FlashShape(blocks=max(1024, count // 8), block_bytes=4096)
    store = HardwareStore(Image.open(folder / "terminal", Geometry(shape)))
    contexts = site.settings.contexts
    sold = populate(1, count if kind == "shop" else 20, contexts, int(now) - TRADING_S - 3600)
    personalise(store, site, sold)
    terminal = Terminal.boot(store, random.Random(1).randbytes)
    (reply,) = terminal.answer(OfferOrder(int(now), order), now)
    assert isinstance(reply, Sealed), reply
    if kind == "noise":
        _replace_items(store, count, item_bytes)
    items = _items(store)
    useful_bytes, sample = sum(map(len, items)), b"".join(items)[:XZ_BYTES_MAX]
    ratio = len(sample) / len(lzma.compress(sample, preset=9))
    return FrozenTerminal(
        folder / "site", folder / "order.cose", folder / "terminal", len(items), useful_bytes, ratio
    )


def items_of(terminal: FrozenTerminal) -> list[bytes]:
    return _items(HardwareStore(Image.open(terminal.state)))


def noise(chance: random.Random, item_bytes: int = ITEM_BYTES) -> bytes:
    """One item, of which all but the five of its own head are random."""
    return encode_item(Item(ItemKind.ADVICE, 0, None, chance.randbytes(item_bytes - _HEAD_BYTES)))


def _replace_items(store: Store, count: int, item_bytes: int) -> None:
    """Other items under a seal of the same terminal: what it would have sealed, had it sold this."""
    chance = random.Random(2)
    store.erase(store.names(slots.ITEM_PREFIX))
    items = [noise(chance, item_bytes) for _ in range(count)]
    seal = open_document(store.get(slots.SEAL) or b"", Seal).body
    first, *others = seal.contexts
    contexts = (
        replace(first, item_first=1, item_last=count),
        *(replace(one, item_first=count + 1, item_last=count) for one in others),
    )
    seal = replace(seal, item_count=count, head=chain_head(items), contexts=contexts)
    store.put({slots.item_name(sequence): item for sequence, item in enumerate(items, 1)})
    store.put({slots.SEAL: issue(seal, attestation_key(store))})


def _items(store: Store) -> list[bytes]:
    return [store.get(name) or b"" for name in store.names(slots.ITEM_PREFIX)]


def _write_order(folder: Path, site: SiteTerminal, now: int) -> bytes:
    order = Order(
        order_id="BENCH-1",
        counter=1,
        issued_at=now,
        not_before=now - 60,
        not_after=now + 86_400,
        serial=SERIAL,
        accounts=tuple(context.account for context in site.settings.contexts),
        reason=Reason.CLOSING,
        mode=Mode.RETIRE,
        cutoff_at=now,
        after_cutoff=AfterCutoff.REFUND,
        preauths=Preauths.LIST,
        actions=(Action.FLUSH, Action.ERASE),
        issuer="Demo Acquirer",
    )
    data = issue(order, AcquirerSite.load(folder / "site" / "acquirer").order.signing_key())
    (folder / "order.cose").write_bytes(data)
    return data
