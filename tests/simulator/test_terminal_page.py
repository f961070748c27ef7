"""The examples in docs/terminal.md are what the chips hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from posdecom_simulator.memory.flash_log import FlashLog
from posdecom_simulator.memory.image import Geometry, Image

PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"


def dumps() -> dict[int, bytes]:
    """The lines of hexadecimal on the page, by address."""
    if not PAGE.exists():
        pytest.skip("docs/ is not beside the tests")
    lines = (
        line.split("  ") for line in PAGE.read_text().splitlines() if line[:6].isalnum() and line[6:8] == "  "
    )
    return {int(address, 16): bytes.fromhex(content) for address, content in lines}


def test_the_dump_of_the_flash_is_what_two_puts_leave() -> None:
    image = Image.new(Geometry())
    for value in ("000141", "000142"):
        FlashLog(image.flash()).put("stan", bytes.fromhex(value))
    shown = {address: line for address, line in dumps().items() if address < 0x800}
    assert len(shown) == 4
    assert shown == {address: image.regions()["flash"][address : address + 16] for address in shown}


def test_the_dump_of_the_sram_is_what_a_put_leaves() -> None:
    sram = Image.new(Geometry())
    sram.sram().put("slot/TPK", bytes(range(0x40, 0x50)))
    shown = {address: line for address, line in dumps().items() if address >= 0x800}
    assert len(shown) == 3
    assert shown == {address: sram.regions()["sram"][address : address + 16] for address in shown}


def test_the_sizes_on_the_page_are_the_default() -> None:
    if not PAGE.exists():
        pytest.skip("docs/ is not beside the tests")
    geometry, page = Geometry(), PAGE.read_text()
    assert f"{geometry.flash.blocks} blocks of {geometry.flash.block_bytes} bytes" in page
    assert (
        f"{geometry.sram_bytes // geometry.sram_slot_bytes - 1} slots of {geometry.sram_slot_bytes} bytes"
        in page
    )
    count = geometry.secure_element_bytes // geometry.secure_element_slot_bytes - 1
    assert f"{count} slots of {geometry.secure_element_slot_bytes} bytes" in page
