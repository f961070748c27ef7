"""Whether a key is there is asked of its chip; the key itself is read for its own use and for nothing else."""

from __future__ import annotations

import pytest

from memory_line import NOW, Demo
from posdecom_protocol.messages import GetInventory, Inventory, OfferOrder, Sealed
from posdecom_simulator.memory.image import SMALL, Image
from posdecom_simulator.population import populate
from posdecom_simulator.provision import seeded
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore, tamper
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.terminal import Terminal


class Watched(HardwareStore):
    """Takes down which names were read out."""

    def __init__(self, image: Image) -> None:
        self.read: list[str] = []
        super().__init__(image, entropy=seeded(5))

    def get(self, name: str) -> bytes | None:
        self.read.append(name)
        return super().get(name)

    def keys_read(self) -> set[str]:
        return {name for name in self.read if name.startswith(slots.SLOT_PREFIX)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "site")


@pytest.fixture
def image(demo: Demo) -> Image:
    image, site = Image.new(SMALL), demo.site_terminal()
    population = populate(1, 6, site.settings.contexts, NOW - 86_400)
    personalise(HardwareStore(image, entropy=seeded(5)), site, population)
    return image


def test_greeting_and_inventory_read_no_key_but_wrapped_ones(image: Image) -> None:
    store = Watched(image)
    terminal = Terminal.boot(store, seeded(6))
    assert terminal.has_identity
    (inventory,) = terminal.answer(GetInventory(), NOW)
    assert isinstance(inventory, Inventory) and all(slot.kcv for slot in inventory.slots)
    assert store.keys_read() == {slots.TMK.key, slots.TMK_TDES.key}  # whether they unwrap is the question


def test_a_freeze_reads_the_key_set_and_the_key_that_signs(demo: Demo, image: Image) -> None:
    store = Watched(image)
    (sealed,) = Terminal.boot(store, seeded(6)).answer(OfferOrder(NOW, demo.order()), NOW)
    assert isinstance(sealed, Sealed)
    assert store.keys_read() == {slots.DUKPT.key, slots.ATTESTATION_KEY.key}


@pytest.mark.parametrize("is_tampered", [False, True])
def test_a_store_holds_what_it_can_read(image: Image, is_tampered: bool) -> None:
    if is_tampered:
        tamper(image)
    store = HardwareStore(image, entropy=seeded(5))
    names = [
        *store.names(),
        slots.TAMPER_MARK,
        "nothing of this name",
        *(slot.key for slot in slots.EVERY_SLOT),
    ]
    assert [name for name in names if store.holds(name)] == [
        name for name in names if store.get(name) is not None
    ]
    assert store.holds(slots.TAMPER_MARK) == is_tampered != store.holds(slots.CHANNEL_KEY.key)
