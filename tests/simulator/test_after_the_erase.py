"""What a terminal can still do when its keys are gone: nothing that needs one, with anything that it was ever given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from posdecom_protocol.documents.order import Mode
from posdecom_protocol.messages import GetInventory, Inventory, OfferOrder, Refusal, Refused
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.identity import attestation_key
from posdecom_simulator.terminal.key_loading import KeyRefused, Why, load_block
from posdecom_simulator.terminal.keyring import RULES, Keyring, Operation
from terminal_life import NOW, Estate, TerminalLife


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return Estate(tmp_path_factory.mktemp("estate") / "site")


@pytest.fixture
def frozen(estate: Estate) -> Callable[[Mode], TerminalLife]:
    def life(mode: Mode) -> TerminalLife:
        one = estate.life()
        one.freeze(mode)
        return one

    return life


def refused_at(keyring: Keyring, operation: Operation, slot: slots.Slot, data: bytes) -> Why | None:
    """Why the slot does not do it; None where it does."""
    try:
        keyring.perform(operation, slot, data)
    except KeyRefused as error:
        return error.why
    return None


@pytest.mark.parametrize("mode", Mode)
def test_every_operation_with_every_slot_fails(frozen: Callable[[Mode], TerminalLife], mode: Mode) -> None:
    life = frozen(mode)
    life.erase()
    kept = () if mode is Mode.RETIRE else slots.IDENTITY
    for slot in (*slots.EVERY_SLOT, slots.WRAP):
        for operation in Operation:
            why = refused_at(life.keyring, operation, slot, bytes(16))
            if slot in kept and operation is Operation.SIGN:
                assert why is None
            elif slot.usage == RULES[operation].usage and slot.mode in RULES[operation].modes:
                assert why is Why.EMPTY, (operation, slot.name)
            else:
                assert why in (Why.USAGE, Why.MODE)


def test_the_same_operations_worked_before(frozen: Callable[[Mode], TerminalLife]) -> None:
    """Control: the refusals after the erase are not those of a terminal that never could."""
    life = frozen(Mode.RETIRE)
    life.use_keys()
    able = {
        (operation, slot.name)
        for operation in (Operation.SIGN, Operation.DUKPT_MAC, Operation.GENERATE_MAC, Operation.ENCRYPT_DATA)
        for slot in slots.EVERY_SLOT
        if refused_at(life.keyring, operation, slot, bytes(16)) is None
    }
    assert len(able) == 7


@pytest.mark.parametrize("mode", Mode)
def test_no_check_value_is_left_but_the_identitys(frozen: Callable[[Mode], TerminalLife], mode: Mode) -> None:
    life = frozen(mode)
    before = {slot.name: life.store.get(slot.kcv) for slot in slots.EVERY_SLOT}
    assert None not in before.values()
    terminal = life.erase()
    (inventory,) = terminal.answer(GetInventory(), NOW)
    assert isinstance(inventory, Inventory)
    told = {slot.slot: (slot.kcv_method, slot.kcv) for slot in inventory.slots}
    for slot in slots.ERASE_ORDER:
        assert told[slot.name] == (0, b"")
        assert life.store.get(slot.kcv) is None
    for slot in slots.IDENTITY:
        assert told[slot.name][1] == (b"" if mode is Mode.RETIRE else before[slot.name])


def test_key_blocks_that_loaded_before_open_no_more(frozen: Callable[[Mode], TerminalLife]) -> None:
    life = frozen(Mode.RETIRE)
    wrapped = [slot for slot in slots.ERASE_ORDER if slot.protected_by is not None]
    blocks = {slot.name: life.block_for(slot) for slot in wrapped} | dict(life.site.keys.blocks)
    for slot in wrapped:
        load_block(life.store, slot, blocks[slot.name])
    life.erase()
    for slot in wrapped:
        with pytest.raises(KeyRefused) as caught:
            load_block(life.store, slot, blocks[slot.name])
        assert caught.value.why is Why.EMPTY
        assert life.store.get(slot.key) is None


def test_data_at_rest_stay_closed(frozen: Callable[[Mode], TerminalLife]) -> None:
    life = frozen(Mode.REDEPLOY)
    sealed = life.keyring.perform(Operation.ENCRYPT_DATA, slots.STORAGE, b"data")
    life.erase()
    assert refused_at(life.keyring, Operation.DECRYPT_DATA, slots.STORAGE, sealed) is Why.EMPTY


@pytest.mark.parametrize("slot", [slots.DUKPT, slots.DUKPT_TDES], ids=lambda slot: slot.name)
def test_dukpt_continues_nowhere(frozen: Callable[[Mode], TerminalLife], slot: slots.Slot) -> None:
    """Neither under its KSN nor from the start: a key set begins with an initial key, and that is not there."""
    life = frozen(Mode.RETIRE)
    life.keyring.perform(Operation.DUKPT_MAC, slot, b"message")
    life.erase()
    for _ in range(2):
        assert refused_at(life.keyring, Operation.DUKPT_MAC, slot, b"message") is Why.EMPTY
        life.boot()
    assert life.store.get(slot.key) is None


def test_a_retired_terminal_signs_nothing_any_more(frozen: Callable[[Mode], TerminalLife]) -> None:
    life = frozen(Mode.RETIRE)
    assert attestation_key(life.store).sign(b"message")
    life.erase()
    with pytest.raises(KeyRefused, match="slot IDENTITY-ATTESTATION is empty"):
        attestation_key(life.store).sign(b"message")


def test_a_retired_terminal_takes_no_new_order(frozen: Callable[[Mode], TerminalLife]) -> None:
    life = frozen(Mode.RETIRE)
    other = frozen(Mode.REDEPLOY).order
    terminal = life.erase()
    assert list(terminal.answer(OfferOrder(NOW, other), NOW)) == [Refused(Refusal.STATE)]
