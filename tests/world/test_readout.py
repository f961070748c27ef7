"""What the world finds in a terminal's chips: every secret wherever it lies, and the newest value of each name."""

from __future__ import annotations

from posdecom_simulator.forensics.record import Entry, Kind
from posdecom_simulator.forensics.search import Search
from posdecom_simulator.memory.flash_log import FlashLog
from posdecom_simulator.memory.image import FLASH, REGIONS, SECURE_ELEMENT, SMALL, SRAM, Image
from posdecom_simulator.memory.supply import Operation, Supply
from posdecom_world.readout import Readout, raw

SECRET = bytes(range(0x40, 0x50))
KEY = "slot/TPK"
BLOCK_BYTES = SMALL.flash.block_bytes


def search(secret: bytes = SECRET) -> Search:
    return Search((Entry("TPK", Kind.STORED, (secret,)),), raw)


def with_secret_at(region: str, start: int) -> Image:
    image = Image.new(SMALL)
    FlashLog(image.flash()).put("name", b"value")
    image.cells[region][start : start + len(SECRET)] = SECRET
    return image


def telling(readout: Readout) -> Supply:
    """Power that never fails, and tells of every operation."""

    def supply(operation: Operation) -> None:
        readout.touched(operation)

    return supply


def test_a_secret_is_found_in_every_chip_and_in_blocks_that_nothing_lives_in() -> None:
    """A spare block was never opened, or its header is gone: whatever lies there can be read out all the same."""
    last = SMALL.sizes()[FLASH] - BLOCK_BYTES
    places = [(FLASH, BLOCK_BYTES - 64), (FLASH, last), (FLASH, last + 100)]
    places += [(region, SMALL.sizes()[region] - 64) for region in REGIONS]
    for region, start in places:
        assert Readout(with_secret_at(region, start), search()).secrets() == {"TPK"}, (region, start)
    assert Readout(with_secret_at(FLASH, last)).secrets() == set()


def test_what_an_operation_has_changed_is_read_again() -> None:
    image = with_secret_at(FLASH, BLOCK_BYTES * 9)
    readout = Readout(image, search())
    assert readout.secrets() == {"TPK"} and readout.values() == {"name": b"value"}
    FlashLog(image.flash(telling(readout))).put("name", b"newer")
    assert readout.values() == {"name": b"newer"}
    image.flash(telling(readout)).erase(9)
    assert readout.secrets() == set()


def test_eight_bytes_of_a_secret_are_found_though_seven_look_like_the_blank_memory_after_them() -> None:
    for region, blank in ((FLASH, b"\xff"), (SRAM, b"\0"), (SECURE_ELEMENT, b"\0")):
        image = Image.new(SMALL)
        image.cells[region][100] = 0x5A
        assert Readout(image, search(b"nothing\x5a" + 7 * blank)).secrets() == {"TPK"}, region
        assert Readout(image, search(b"nothing\x5a" + 6 * blank)).secrets() == set(), region


def test_looking_for_certain_slots_finds_them_wherever_they_lie_and_misses_what_is_not_there() -> None:
    for start in (BLOCK_BYTES - 64, BLOCK_BYTES * 9):
        assert Readout(with_secret_at(FLASH, start), search()).secrets_of({KEY}) == {"TPK"}
    assert Readout(Image.new(SMALL), search()).secrets_of({KEY}) == set()
