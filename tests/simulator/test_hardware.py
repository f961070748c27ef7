from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding

from chips import Chips, erasing, small, trading
from memory_line import NOW, Demo
from posdecom_protocol.channel import Channel
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.kcv import KcvMethod, kcv
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.messages import (
    GetInventory,
    GetProof,
    Inventory,
    Items,
    OfferOrder,
    Proof,
    ProofKind,
    ReadItems,
    Refusal,
    Refused,
    StartErase,
)
from posdecom_protocol.records import chain_head
from posdecom_protocol.secret import Secret
from posdecom_protocol.stack import Greeted, Stack
from posdecom_simulator.memory.image import Image
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.freeze import transactions
from posdecom_simulator.terminal.front import Front
from posdecom_simulator.terminal.hardware import HardwareStore


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "site")


@pytest.fixture
def chips(demo: Demo) -> Chips:
    """A terminal in service."""
    return trading(demo, small(64))


def regions_with(chips: Chips, value: bytes) -> set[str]:
    return {name for name, data in chips.image.regions().items() if value in data}


# --- places ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slot", [slots.TPK, slots.TAK, slots.TDK, slots.DUKPT, slots.DUKPT_TDES, slots.STORAGE, slots.WRAP]
)
def test_a_working_secret_lies_in_sram_and_nowhere_else(chips: Chips, slot: slots.Slot) -> None:
    value = chips.store().get(slot.key)
    assert value is not None
    assert regions_with(chips, value) == {"sram"}


@pytest.mark.parametrize("slot", slots.IDENTITY)
def test_an_identity_key_lies_in_the_secure_element_and_nowhere_else(chips: Chips, slot: slots.Slot) -> None:
    value = chips.store().get(slot.key)
    assert value is not None
    assert regions_with(chips, value) == {"secure-element"}


@pytest.mark.parametrize("slot", [slots.TMK, slots.TMK_TDES])
def test_a_master_key_lies_in_flash_wrapped_under_the_key_that_lies_in_sram(
    chips: Chips, slot: slots.Slot
) -> None:
    value, wrapping = chips.store().get(slot.key), chips.store().get(slots.WRAP.key)
    assert value is not None
    assert wrapping is not None
    assert regions_with(chips, value) == set()
    assert regions_with(chips, slot.key.encode()) == {"flash"}
    flash = chips.image.regions()["flash"]
    at = flash.index(slot.key.encode()) + len(slot.key)
    assert aes_key_unwrap_with_padding(wrapping, flash[at : at + 8 + -(-len(value) // 8) * 8]) == value


def test_sales_and_what_is_no_secret_lie_in_flash(chips: Chips) -> None:
    for name in (slots.STATE, slots.DEVICE, slots.ACQUIRER_ANCHORS, "transaction/000001"):
        assert regions_with(chips, name.encode()) == {"flash"}


def test_a_secret_that_nobody_has_thought_of_lies_in_sram(chips: Chips) -> None:
    chips.store().put({"slot/NEW": b"a key of another day"})
    assert regions_with(chips, b"a key of another day") == {"sram"}


def test_the_wrapping_key_is_made_once_and_has_its_check_value(chips: Chips) -> None:
    store = chips.store()
    key = store.get(slots.WRAP.key) or b""
    store.put({slots.TMK.key: bytes(32)})
    assert chips.store().get(slots.WRAP.key) == key
    assert store.get(slots.WRAP.kcv) == kcv(Secret(key), KcvMethod.AES_CMAC)


def test_without_its_wrapping_key_or_under_another_one_a_master_key_is_gone(chips: Chips) -> None:
    store = HardwareStore(chips.image)
    former = store.get(slots.WRAP.kcv)
    store.erase([slots.WRAP.key])
    assert store.get(slots.TMK.key) is None
    store.put({slots.TMK_TDES.key: bytes(16)})  # makes a new wrapping key
    assert store.get(slots.TMK.key) is None
    assert store.get(slots.WRAP.kcv) != former
    assert store.get(slots.TMK_TDES.key) == bytes(16)


def test_names_come_from_every_chip_in_order(chips: Chips) -> None:
    names = list(chips.store().names("slot/"))
    assert names == sorted(slot.key for slot in (*slots.EVERY_SLOT, slots.WRAP))
    assert list(chips.store().names("transaction/"))[:2] == ["transaction/000001", "transaction/000002"]


# --- tamper ---------------------------------------------------------------------------------------------------


def test_a_tamper_takes_the_working_secrets_at_once_and_leaves_the_sales(chips: Chips) -> None:
    store = chips.store()
    sales = list(transactions(store))
    store.tamper()
    gone = (*slots.EVERY_SLOT, slots.WRAP)
    assert [store.get(slot.key) for slot in gone] == [None] * len(gone)
    assert list(transactions(store)) == sales
    assert store.get(slots.TAMPER_MARK) is not None
    regions = chips.image.regions()
    assert sum(map(bool, regions["sram"] + regions["secure-element"])) == 2  # the two latches


def test_a_tamper_is_known_for_ever_even_once_its_latch_is_reset(chips: Chips) -> None:
    chips.store().tamper()
    chips.boot()
    chips.image.cells["sram"][:] = bytes(len(chips.image.cells["sram"]))
    assert chips.boot().is_tampered
    assert chips.boot().is_tampered


def test_an_empty_battery_is_a_tamper(chips: Chips) -> None:
    chips.image.cells["sram"][:] = bytes(len(chips.image.cells["sram"]))
    assert chips.boot().is_tampered


def test_a_new_terminal_is_not_tampered(chips: Chips) -> None:
    assert not chips.boot().is_tampered
    assert HardwareStore(Image.new(small(64))).get(slots.TAMPER_MARK) is None


def test_a_tampered_terminal_that_kept_its_identity_says_so_in_its_inventory_and_takes_no_order(
    chips: Chips, demo: Demo
) -> None:
    chips.store().tamper(reaches_identity=False)
    terminal = chips.boot()
    assert terminal.has_identity
    assert terminal.confirm().tampered
    (inventory,) = terminal.answer(GetInventory(), NOW)
    assert isinstance(inventory, Inventory)
    assert inventory.tampered
    assert sum(context.records for context in inventory.contexts) == 6
    held = {slot.slot for slot in inventory.slots if slot.kcv_method}
    assert held == {slot.name for slot in slots.IDENTITY}
    assert list(terminal.answer(OfferOrder(NOW, demo.order()), NOW)) == [Refused(Refusal.TAMPERED)]
    assert terminal.life.state is LifecycleState.ACTIVE


def test_a_frozen_terminal_that_lost_its_identity_gives_seal_and_items_in_the_clear(
    chips: Chips, demo: Demo
) -> None:
    (sealed,) = chips.boot().answer(OfferOrder(NOW, demo.order()), NOW)
    assert list(chips.boot().answer_in_clear(ReadItems(1, 1))) == [Refused(Refusal.STATE)]
    chips.store().tamper()
    terminal = chips.boot()
    assert not terminal.has_identity
    (proof,) = terminal.answer_in_clear(GetProof(ProofKind.SEAL))
    assert isinstance(proof, Proof)
    assert proof.document == getattr(sealed, "seal", None)
    seal = open_document(proof.document, Seal).body
    bulks = list(terminal.answer_in_clear(ReadItems(1, seal.item_count)))
    items = [item for bulk in bulks if isinstance(bulk, Items) for item in bulk.items]
    assert chain_head(items) == seal.head
    (order,) = terminal.answer_in_clear(GetProof(ProofKind.ORDER))
    assert isinstance(order, Proof)
    assert open_document(order.document, Order).data == demo.order()


@pytest.mark.parametrize("service", Service)
def test_its_greeting_says_that_it_is_tampered_and_no_channel_is_made(chips: Chips, service: Service) -> None:
    def no_channel() -> Channel:
        raise AssertionError("there is no identity to make a channel with")

    chips.store().tamper()
    front = Front(chips.boot(), no_channel, NOW)
    agent = Stack(Link.initiator(Hello(7, service), NOW, line_rate_bytes_per_s=None), lambda _: None)
    agent.tick(NOW)
    front.receive(agent.bytes_to_send(NOW), NOW)
    agent.receive(front.bytes_to_send(NOW), NOW)
    (welcome,) = (event.greeting for event in agent.events() if isinstance(event, Greeted))
    assert isinstance(welcome, Welcome)
    assert welcome.tampered
    assert welcome.state is LifecycleState.ACTIVE


@pytest.mark.parametrize("request_", [GetInventory(), StartErase(bytes(32))])
def test_nothing_else_is_answered_in_the_clear(chips: Chips, request_: GetInventory | StartErase) -> None:
    chips.store().tamper()
    assert list(chips.boot().answer_in_clear(request_)) == [Refused(Refusal.STATE)]


# --- reading back ---------------------------------------------------------------------------------------------


def test_what_is_erased_by_name_only_is_still_in_the_flash_until_it_is_sanitized(chips: Chips) -> None:
    store = chips.store()
    names = list(store.names(slots.TRANSACTION_PREFIX))
    sales = [store.get(name) or b"" for name in names]
    sale = next(sale for sale in sales if regions_with(chips, sale))  # not one that goes on in the next block
    store.erase(names)
    assert regions_with(chips, sale) == {"flash"}
    report = store.sanitize()
    assert regions_with(chips, sale) == set()
    assert all(one.is_read_back for one in report.values())
    assert set(report) == {
        store.region_of(name) for name in (slots.TPK.key, slots.TMK.key, slots.CHANNEL_KEY.key)
    }


def test_retirement_overwrites_the_identity_last(chips: Chips, demo: Demo) -> None:
    keys = [chips.store().get(slot.key) or b"" for slot in slots.IDENTITY]
    erasing(chips, demo).boot()
    assert [regions_with(chips, key) for key in keys] == [set(), set()]


@pytest.mark.parametrize("reaches_identity", [True, False])
@pytest.mark.parametrize("nth", [1, 5, 9, 12])
def test_a_tamper_between_any_two_steps_of_an_erase_still_ends_in_a_retired_terminal(
    demo: Demo, nth: int, reaches_identity: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = erasing(trading(demo, small(32)), demo)
    erase, calls = HardwareStore.erase, 0

    def erase_and_tamper(store: HardwareStore, names: Iterable[str]) -> None:
        nonlocal calls
        calls += 1
        erase(store, names)
        if calls == nth:
            store.tamper(reaches_identity=reaches_identity)

    monkeypatch.setattr(HardwareStore, "erase", erase_and_tamper)
    terminal = chips.boot()
    assert terminal.life.state is LifecycleState.RETIRED
    assert terminal.is_tampered
    assert chips.names_left() == set()
    assert (chips.store().get(slots.EVIDENCE) is None) is reaches_identity
