"""What a recorded terminal tells of its secrets: all of them, and each before it could be lost from sight."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding

from posdecom_protocol.aes_dukpt import HostDukpt, InitialKeyId, TerminalDukpt
from posdecom_protocol.documents.order import Mode
from posdecom_protocol.secret import BytesLike, Secret
from posdecom_protocol.tdes_dukpt import InitialKsn, TdesTerminalDukpt
from posdecom_simulator.forensics.record import Entry, Kind, live
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore
from posdecom_simulator.terminal.recording import RecordingStore, block_body, secrets_in
from posdecom_simulator.terminal.store import MEMORY, MemoryStore
from terminal_life import Estate


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return Estate(tmp_path_factory.mktemp("estate") / "site")


def test_a_value_is_told_before_it_is_stored() -> None:
    order: list[str] = []

    def note(slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        assert list(values) == [b"a key"]
        order.append(f"{kind.value} {slot}")

    store = RecordingStore(MemoryStore(lambda: order.append("stored in memory")), note)
    store.put({slots.TAK.key: b"a key", "no secret": b"value"})
    assert order == ["stored TAK", "stored in memory", "stored in memory"]


def test_all_else_goes_through_unchanged() -> None:
    inner = MemoryStore()
    store = RecordingStore(inner, lambda *_: None)
    store.put({"a": b"1", "b": b"2"})
    store.erase(["a"])
    assert (store.get("a"), store.get("b"), list(store.names())) == (None, b"2", ["b"])
    assert store.region_of("b") == MEMORY and set(store.sanitize()) == {MEMORY}


def test_the_registers_of_a_key_set_are_told_one_by_one_and_empty_ones_not() -> None:
    key = Secret(bytes(range(16)))
    aes = TerminalDukpt.load(key, InitialKeyId(b"\xff" * 8))
    tdes = TdesTerminalDukpt.load(key, InitialKsn(b"\xff" * 7 + bytes(3)))
    assert len(list(secrets_in(slots.DUKPT, aes.export_state()))) == 32
    assert len(list(secrets_in(slots.DUKPT_TDES, tdes.export_state()))) == 21
    host = HostDukpt(key, InitialKeyId(b"\xff" * 8))
    state = aes.export_state()
    ksn, keys = aes.next_message_keys()
    assert keys == host.message_keys(ksn)
    assert len(list(secrets_in(slots.DUKPT, aes.export_state()))) == 31
    assert not any(b"\xff" * 4 in bytes(register) for register in secrets_in(slots.DUKPT, state))


def test_every_slot_is_live_after_personalisation_and_master_keys_are_wrapped(estate: Estate) -> None:
    life = estate.life()
    found = live(life.entries)
    assert set(found) == {slot.name for slot in (*slots.EVERY_SLOT, slots.WRAP)}
    wrapping_key = bytes(found["WRAP"][0][0])
    for name in ("TMK", "TMK-TDES"):
        (key,), (wrapped,) = found[name]
        assert aes_key_unwrap_with_padding(wrapping_key, wrapped) == key
        assert wrapped in life.image.regions()["flash"]
    assert all(not wrapped for name, (_, wrapped) in found.items() if name not in ("TMK", "TMK-TDES"))


def test_what_only_passes_through_is_told_too(estate: Estate) -> None:
    life = estate.life(transactions=3)
    passing = {value for entry in life.entries if entry.kind is Kind.PASSING for value in entry.values}
    keys = life.site.keys
    assert {bytes(keys.clear[name].data) for name in ("DUKPT", "DUKPT-TDES")} <= passing
    assert {block_body(block) for block in keys.blocks.values()} <= passing


def test_the_registers_of_every_counter_that_traded_are_told(estate: Estate) -> None:
    """Spent ones too: replay the key set and miss none that it held between two sales."""
    life = estate.life(transactions=5)
    told = {value for entry in life.entries if entry.slot == "DUKPT" for value in entry.values}
    key_set = TerminalDukpt.load(life.site.keys.clear["DUKPT"], life.site.keys.initial_key_id)
    for _ in range(5):
        assert {bytes(register) for register in secrets_in(slots.DUKPT, key_set.export_state())} <= told
        key_set.next_message_keys()


def test_an_erase_tells_nothing_new(estate: Estate) -> None:
    life = estate.life()
    life.freeze(Mode.REPAIR)
    before = len(life.entries)
    life.erase()
    assert life.entries[before:] == list[Entry]()
    assert HardwareStore(life.image).get(slots.TMK.key) is None
