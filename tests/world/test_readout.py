"""What the world finds in a terminal's chips: every secret wherever it lies, and the newest value of each name."""

from __future__ import annotations

from posdecom_simulator.forensics.record import Entry, Kind
from posdecom_simulator.memory.flash_log import FlashLog
from posdecom_simulator.memory.image import FLASH, REGIONS, SMALL, Image
from posdecom_simulator.memory.supply import Operation, Supply
from posdecom_world.readout import Readout

SECRET = bytes(range(0x40, 0x50))
ENTRIES = (Entry("TPK", Kind.STORED, (SECRET,)),)
BLOCK_BYTES = SMALL.flash.block_bytes


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
        assert Readout(with_secret_at(region, start), ENTRIES).secrets() == {"TPK"}, (region, start)
    assert Readout(with_secret_at(FLASH, last), ()).secrets() == set()


def test_what_an_operation_has_changed_is_read_again() -> None:
    image = with_secret_at(FLASH, BLOCK_BYTES * 9)
    readout = Readout(image, ENTRIES)
    assert readout.secrets() == {"TPK"} and readout.values() == {"name": b"value"}
    FlashLog(image.flash(telling(readout))).put("name", b"newer")
    assert readout.values() == {"name": b"newer"}
    image.flash(telling(readout)).erase(9)
    assert readout.secrets() == set()
