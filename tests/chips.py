"""A demo terminal on hardware, and the simplest search there is for what it was to destroy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from memory_line import NOW, Demo
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import OfferOrder, Sealed
from posdecom_simulator.memory.flash import FlashShape
from posdecom_simulator.memory.image import Geometry, Image
from posdecom_simulator.memory.supply import Supply, steady
from posdecom_simulator.population import populate
from posdecom_simulator.provision import seeded
from posdecom_simulator.terminal import erase, slots
from posdecom_simulator.terminal.device import decode_life, encode_life
from posdecom_simulator.terminal.hardware import HardwareStore, Place, place_of
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.store import Store
from posdecom_simulator.terminal.stored import StoredTransaction
from posdecom_simulator.terminal.terminal import Terminal

TRANSACTIONS = 6
SURVIVORS = (
    slots.ORDER,
    slots.SEAL,
    slots.RECEIPTS[0],
    slots.CHANNEL_CERTIFICATE,
    slots.ATTESTATION_CERTIFICATE,
)
WINDOW_BYTES = 8
DIFFERENT_BYTES_MIN = 6
"""Windows with fewer (runs of zeros, counters) may lie anywhere by chance."""


def small(blocks: int, endurance_erases: int = 100_000) -> Geometry:
    """Blocks of one page of 1 KiB, and just enough SRAM and secure element."""
    return Geometry(FlashShape(blocks, 1024, 1024, endurance_erases), 10 * 2048, 2048, 4 * 256, 256)


def all_in_flash(_: str) -> Place:
    """Of a terminal without battery-backed memory and secure element."""
    return Place.FLASH


class Secrets:
    """Every secret that was ever put into a terminal, under names that say where it lay."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._by_window: dict[bytes, list[str]] = {}
        self._values: set[bytes] = set()

    def add(self, where: str, value: bytes) -> None:
        if value in self._values:
            return
        self._values.add(value)
        self.names.append(f"{where} #{len(self.names)}")
        for window in _windows(value):
            if len(set(window)) >= DIFFERENT_BYTES_MIN:
                self._by_window.setdefault(window, []).append(self.names[-1])

    def found_in(self, regions: Mapping[str, bytes]) -> set[str]:
        """Names of those of which any eight bytes lie in any region."""
        found: set[str] = set()
        for data in regions.values():
            for window in self._by_window.keys() & _windows(_shortened(data)):
                found.update(self._by_window[window])
        return found

    def latest(self) -> set[str]:
        """Of each place the last."""
        return set({name.rpartition(" #")[0]: name for name in self.names}.values())


@dataclass
class Chips:
    """One terminal's image, and the secrets that it had."""

    image: Image
    place_of: Callable[[str], Place] = place_of
    secrets: Secrets = field(default_factory=Secrets)

    def store(self, supply: Supply = steady) -> HardwareStore:
        return HardwareStore(self.image, supply, entropy=seeded(5), place_of=self.place_of)

    def boot(self, supply: Supply = steady) -> Terminal:
        """As often as the terminal asks for it."""
        for _ in range(3):
            terminal = Terminal.boot(self.store(supply), seeded(6))
            if not terminal.restart_due:
                return terminal
        raise AssertionError("the terminal restarts for ever")

    def on(self, image: Image) -> Chips:
        """The same terminal, left like this."""
        return Chips(image, self.place_of, self.secrets)

    def remember(self, store: Store) -> None:
        """Take down what the store holds in its slots, and how its flash has it."""
        for name in store.names(slots.SLOT_PREFIX):
            value = store.get(name) or b""
            self.secrets.add(name, value[16:] if "DUKPT" in name else value)
            wrapping = store.get(slots.WRAP.key)
            if wrapping is not None and self.place_of(name) is Place.WRAPPED:
                self.secrets.add(f"{name} wrapped", aes_key_wrap_with_padding(wrapping, value))
        for name in store.names(slots.TRANSACTION_PREFIX):
            self.secrets.add(name, StoredTransaction.decode(store.get(name) or b"").account_data[-16:])

    def names_left(self) -> set[str]:
        return self.secrets.found_in(self.image.regions())


def _windows(data: bytes) -> set[bytes]:
    return {data[at : at + WINDOW_BYTES] for at in range(len(data) - WINDOW_BYTES + 1)}


def _shortened(data: bytes) -> bytes:
    """Without long blank runs: they hold no window but the blank ones."""
    return re.sub(rb"\xff{24,}", b"\xff" * 16, re.sub(rb"\x00{24,}", bytes(16), data))


def trading(
    demo: Demo, geometry: Geometry, place_of: Callable[[str], Place] = place_of, *, busy: int = 0
) -> Chips:
    """A terminal in service; ``busy``: so often its session and master keys were replaced, with sales in between."""
    chips = Chips(Image.new(geometry), place_of)
    store, site = chips.store(), demo.site_terminal()
    personalise(store, site, populate(1, TRANSACTIONS, site.settings.contexts, NOW - 86_400))
    chips.remember(store)
    for _ in range(busy):
        turn_over(chips, store)
    return chips


def turn_over(chips: Chips, store: Store) -> None:
    """New session and master keys, and something else that is written and forgotten."""
    keys = (slots.TPK, slots.TAK, slots.TDK, slots.TMK, slots.STORAGE)
    fresh = seeded(len(chips.secrets.names))
    store.put({slot.key: fresh(slot.key_bytes) for slot in keys})
    chips.remember(store)
    store.put({slots.item_name(1): bytes(700)})
    store.erase([slots.item_name(1)])


def erasing(chips: Chips, demo: Demo) -> Chips:
    """Frozen, with a receipt, and the intent to erase written down."""
    terminal = chips.boot()
    (sealed,) = terminal.answer(OfferOrder(NOW, demo.order()), NOW)
    assert isinstance(sealed, Sealed)
    store = chips.store()
    store.put({slots.RECEIPTS[0]: b"a receipt that the guard has judged"})
    life = decode_life(store.get(slots.STATE) or b"").to(LifecycleState.SETTLED)
    store.put({slots.STATE: encode_life(life)})
    chips.remember(store)
    erase.intend(store, life, (bytes(32),), NOW)
    return chips
