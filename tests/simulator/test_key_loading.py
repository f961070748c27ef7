"""What goes into a slot and what does not: the right key block under the right master key, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import psec
import pytest

from posdecom_protocol.aes_dukpt import TerminalDukpt
from posdecom_protocol.errors import KeyMaterialError
from posdecom_protocol.kcv import KcvMethod, kcv
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import TdesTerminalDukpt
from posdecom_protocol.tr31 import KeyBlock, wrap_key_block
from posdecom_protocol.tr31_header import (
    Exportability,
    KeyBlockAlgorithm,
    KeyBlockHeader,
    KeyBlockUsage,
    KeyBlockVersion,
    ModeOfUse,
)
from posdecom_simulator.provision import seeded
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.key_loading import (
    KeyRefused,
    Why,
    block_header,
    load_block,
    load_identity_key,
    load_initial_key,
    load_master_key,
)
from posdecom_simulator.terminal.slots import Slot
from posdecom_simulator.terminal.store import MemoryStore

WRAPPED: Final = tuple(slot for slot in slots.ERASE_ORDER if slot.protected_by is not None)


@dataclass
class Room:
    """A terminal with its master keys, and whoever wraps keys for it."""

    store: MemoryStore = field(default_factory=MemoryStore)
    entropy: Callable[[int], bytes] = field(default_factory=lambda: seeded(1))
    masters: dict[str, Secret] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for slot in (slots.TMK, slots.TMK_TDES):
            self.masters[slot.name] = Secret(self.entropy(slot.key_bytes))
            load_master_key(self.store, slot, self.masters[slot.name])

    def block(self, slot: Slot, key: Secret, header: KeyBlockHeader | None = None) -> str:
        kbpk = self.masters[slot.protected_by or ""]
        return wrap_key_block(kbpk, KeyBlock(header or block_header(slot), key), self.entropy)

    def key_for(self, slot: Slot) -> Secret:
        return Secret(self.entropy(slot.key_bytes))


def refusal(load: Callable[[], object]) -> Why:
    with pytest.raises(KeyRefused) as caught:
        load()
    return caught.value.why


# --- key blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", WRAPPED, ids=lambda slot: slot.name)
def test_a_key_block_fills_its_slot_and_the_check_value_is_that_of_its_key(slot: Slot) -> None:
    room = Room()
    key = room.key_for(slot)
    load_block(room.store, slot, room.block(slot, key))
    assert room.store.get(slot.key) == bytes(key.data)
    assert room.store.get(slot.kcv) == kcv(key, KcvMethod(slot.kcv_method))


@pytest.mark.parametrize("slot", WRAPPED, ids=lambda slot: slot.name)
def test_a_block_made_by_somebody_else_is_taken_as_well(slot: Slot) -> None:
    room = Room()
    key, kbpk = room.key_for(slot), bytes(room.masters[slot.protected_by or ""].data)
    version = "D" if slot.protected_by == "TMK" else "B"
    header = psec.tr31.Header(version, slot.usage, slot.algorithm[0], slot.mode, "00", slot.exportability)
    load_block(room.store, slot, psec.tr31.KeyBlock(kbpk, header).wrap(bytes(key.data)))
    assert room.store.get(slot.key) == bytes(key.data)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"usage": KeyBlockUsage.PIN_ENCRYPTION}, Why.USAGE),
        ({"usage": KeyBlockUsage.CMAC}, Why.USAGE),
        ({"mode": ModeOfUse.GENERATE}, Why.MODE),
        ({"mode": ModeOfUse.ANY}, Why.MODE),
        ({"algorithm": KeyBlockAlgorithm.AES}, Why.ALGORITHM),
        ({"exportability": Exportability.SENSITIVE}, Why.EXPORTABILITY),
        ({"exportability": Exportability.TRUSTED}, Why.EXPORTABILITY),
    ],
)
def test_a_block_that_says_anything_else_of_its_key_is_refused(change: dict[str, object], why: Why) -> None:
    room = Room()
    before = list(room.store.names())
    header = replace(block_header(slots.TAK), **change)  # type: ignore[arg-type]  # each is of its field's type
    block = room.block(slots.TAK, room.key_for(slots.TAK), header)
    assert refusal(lambda: load_block(room.store, slots.TAK, block)) is why
    assert list(room.store.names()) == before


@pytest.mark.parametrize("slot", WRAPPED, ids=lambda slot: slot.name)
@pytest.mark.parametrize("other", WRAPPED, ids=lambda slot: slot.name)
def test_a_block_for_one_slot_loads_into_no_other(slot: Slot, other: Slot) -> None:
    if slot is other:
        return
    room = Room()
    block = room.block(slot, room.key_for(slot))
    with pytest.raises((KeyRefused, KeyMaterialError)):
        load_block(room.store, other, block)
    assert room.store.get(other.key) is None


def test_a_key_of_another_length_is_refused() -> None:
    room = Room()
    block = room.block(slots.TDK, Secret(room.entropy(32)))
    assert refusal(lambda: load_block(room.store, slots.TDK, block)) is Why.ALGORITHM


def test_the_deprecated_versions_are_refused_though_they_open() -> None:
    room = Room()
    kbpk = bytes(room.masters["TMK-TDES"].data)
    for version in ("A", "C"):
        header = psec.tr31.Header(version, "M3", "T", "C", "00", "N")
        block = psec.tr31.KeyBlock(kbpk, header).wrap(room.entropy(16))
        assert refusal(lambda block=block: load_block(room.store, slots.TAK, block)) is Why.VERSION  # type: ignore[misc]


def test_a_forged_block_changes_nothing() -> None:
    room = Room()
    load_block(room.store, slots.TAK, room.block(slots.TAK, room.key_for(slots.TAK)))
    before = {name: room.store.get(name) for name in room.store.names()}
    forged = bytearray(room.block(slots.TAK, room.key_for(slots.TAK)), "ascii")
    forged[40] ^= 1
    with pytest.raises(KeyMaterialError):
        load_block(room.store, slots.TAK, forged.decode("ascii"))
    assert {name: room.store.get(name) for name in room.store.names()} == before


def test_without_the_master_key_no_block_loads() -> None:
    room = Room()
    block = room.block(slots.TAK, room.key_for(slots.TAK))
    room.store.erase((slots.TMK_TDES.key,))
    assert refusal(lambda: load_block(room.store, slots.TAK, block)) is Why.EMPTY


def test_a_session_key_is_replaced_by_the_next_one() -> None:
    room = Room()
    old, new = room.key_for(slots.TPK), room.key_for(slots.TPK)
    for key in (old, new):
        load_block(room.store, slots.TPK, room.block(slots.TPK, key))
    assert room.store.get(slots.TPK.key) == bytes(new.data)
    assert room.store.get(slots.TPK.kcv) == kcv(new, KcvMethod.TDES_ZEROS)


# --- in the clear ---------------------------------------------------------------------------------


def test_of_an_initial_key_only_its_registers_stay() -> None:
    store, key = MemoryStore(), Secret(bytes(range(16)))
    load_initial_key(store, slots.DUKPT, key, bytes(range(8)))
    load_initial_key(store, slots.DUKPT_TDES, key, bytes(7) + bytes(3))
    for name in (slots.DUKPT.key, slots.DUKPT_TDES.key):
        assert bytes(key.data) not in (store.get(name) or b"")
    assert TerminalDukpt.import_state(store.get(slots.DUKPT.key) or b"").next_counter == 1
    assert TdesTerminalDukpt.import_state(store.get(slots.DUKPT_TDES.key) or b"").next_counter == 1
    assert store.get(slots.DUKPT.kcv) == kcv(key, KcvMethod.AES_CMAC)
    assert store.get(slots.DUKPT_TDES.kcv) == kcv(key, KcvMethod.TDES_ZEROS)


@pytest.mark.parametrize("slot", slots.EVERY_SLOT, ids=lambda slot: slot.name)
def test_each_slot_is_loaded_in_its_own_way_and_in_no_other(slot: Slot) -> None:
    store, key = MemoryStore(), Secret(bytes(range(slot.key_bytes)))
    ways: dict[str, Callable[[], None]] = {
        "K1": lambda: load_master_key(store, slot, key),
        "B1": lambda: load_initial_key(store, slot, key, bytes(8 if slot is slots.DUKPT else 10)),
        "S0": lambda: load_identity_key(store, slot, key, b"certificate"),
        "block": lambda: load_block(store, slot, "D0016"),
    }
    own = slot.usage if slot.protected_by is None else "block"
    for way, load in ways.items():
        if way != own:
            assert refusal(load) is Why.PROTECTION
    assert not list(store.names())


@pytest.mark.parametrize("slot", [slots.TMK, slots.TMK_TDES, slots.DUKPT], ids=lambda slot: slot.name)
def test_a_clear_key_of_another_length_is_refused(slot: Slot) -> None:
    store, key = MemoryStore(), Secret(bytes(24))
    if slot is slots.DUKPT:
        assert refusal(lambda: load_initial_key(store, slot, key, bytes(8))) is Why.ALGORITHM
    else:
        assert refusal(lambda: load_master_key(store, slot, key)) is Why.ALGORITHM


def test_refusals_name_the_slot_and_never_a_key() -> None:
    room = Room()
    with pytest.raises(KeyRefused) as caught:
        load_block(room.store, slots.TAK, room.block(slots.TAK, Secret(b"\xc0\xff\xee" * 8)))
    assert str(caught.value) == "slot TAK is for another algorithm or length of key"


def test_the_versions_of_blocks_follow_the_master_keys() -> None:
    versions = {slot.name: block_header(slot).version for slot in WRAPPED}
    assert versions == {
        "TPK": KeyBlockVersion.TDES_DERIVATION,
        "TAK": KeyBlockVersion.TDES_DERIVATION,
        "TDK": KeyBlockVersion.AES_DERIVATION,
        "STORAGE": KeyBlockVersion.AES_DERIVATION,
    }
