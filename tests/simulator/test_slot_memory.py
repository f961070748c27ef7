from __future__ import annotations

import struct
import zlib
from itertools import product

import pytest

from posdecom_protocol.errors import LocalError
from posdecom_simulator.memory.slot_memory import SlotMemory, SlotMemoryFull
from posdecom_simulator.memory.supply import Outcome, PowerCut, Supply, steady
from power import CutAt

SLOT_BYTES = 64
OLD, NEW = bytes(range(0x10, 0x20)), bytes(range(0x40, 0x58))


def chip(cells: bytearray, supply: Supply = steady) -> SlotMemory:
    return SlotMemory("sram", cells, SLOT_BYTES, supply)


def formatted() -> bytearray:
    cells = bytearray(6 * SLOT_BYTES)
    chip(cells).format()
    return cells


def test_header_and_first_slot_lie_where_the_page_says() -> None:
    """Written out by hand from the documented layout."""
    cells = formatted()
    chip(cells).put("TPK", OLD)
    checked = bytes.fromhex("03 0010 00000001")
    check = struct.pack(">I", zlib.crc32(checked + b"TPK" + OLD))
    slot = b"\xa5" + checked + check + b"TPK" + OLD
    assert bytes(cells) == b"PDSM".ljust(64, b"\0") + slot.ljust(5 * 64, b"\0")


def test_a_replaced_value_is_overwritten_with_zeros() -> None:
    cells = formatted()
    chip(cells).put("TPK", OLD)
    chip(cells).put("TPK", NEW)
    assert chip(cells).get("TPK") == NEW
    assert OLD[:8] not in cells
    assert cells.count(NEW) == 1


def test_an_erased_value_is_overwritten_with_zeros() -> None:
    cells = formatted()
    empty = bytes(cells)
    memory = chip(cells)
    memory.put("TPK", OLD)
    memory.put("TAK", NEW)
    memory.erase(["TPK", "TAK", "never there"])
    assert bytes(cells) == empty
    assert memory.names() == set()


def test_it_holds_one_value_less_than_it_has_slots_so_that_each_can_be_replaced() -> None:
    memory = chip(formatted())
    for number in range(5):
        memory.put(f"K{number}", OLD)
    with pytest.raises(SlotMemoryFull):
        memory.put("K5", OLD)
    memory.erase(["K0"])
    memory.put("K1", NEW)
    assert memory.get("K1") == NEW


def test_a_value_that_fits_no_slot_is_refused() -> None:
    with pytest.raises(LocalError):
        chip(formatted()).put("TPK", bytes(64))


def every_cut(change: str) -> list[tuple[bytearray, str]]:
    """The cells after each cut of a replacement or an erase."""
    states = []
    for outcome, nth in product(Outcome, range(1, 4)):
        cells = formatted()
        chip(cells).put("TPK", OLD)
        memory = chip(cells, CutAt(nth, outcome))
        try:
            memory.put("TPK", NEW) if change == "put" else memory.erase(["TPK"])
        except PowerCut:
            states.append((cells, f"{outcome.value} of operation {nth}"))
    return states


def test_a_cut_replacement_leaves_the_old_or_the_new_value_and_after_a_repair_nothing_of_the_other() -> None:
    states = every_cut("put")
    assert len(states) == 15
    seen = set()
    for cells, case in states:
        found = chip(cells).get("TPK")
        chip(cells).repair()
        assert found == chip(cells).get("TPK"), case
        assert found in (OLD, NEW), case
        other = NEW if found == OLD else OLD
        assert not any(other[at : at + 4] in cells for at in range(9)), case
        seen.add(found)
    assert seen == {OLD, NEW}


def test_a_repair_keeps_the_newer_value_also_where_it_lies_in_front_of_the_older() -> None:
    cells = formatted()
    chip(cells).put("TAK", OLD)
    chip(cells).put("TPK", OLD)
    chip(cells).erase(["TAK"])
    with pytest.raises(PowerCut):
        chip(cells, CutAt(2, Outcome.COMPLETE)).put("TPK", NEW)
    assert cells.index(NEW) < cells.index(OLD)
    chip(cells).repair()
    assert chip(cells).get("TPK") == NEW and OLD not in cells


def test_a_cut_erase_leaves_the_value_or_after_a_repair_nothing_of_it() -> None:
    states = every_cut("erase")
    assert len(states) == 5
    for cells, case in states:
        chip(cells).repair()
        is_left = chip(cells).get("TPK") == OLD
        assert is_left is any(OLD[at : at + 4] in cells for at in range(13)), case


def test_a_second_cut_while_it_is_repaired_changes_nothing() -> None:
    for cells, case in every_cut("put"):
        found = chip(cells).get("TPK")
        for outcome in Outcome:
            once_more = bytearray(cells)
            try:
                chip(once_more, CutAt(1, outcome)).repair()
            except PowerCut:
                chip(once_more).repair()
            assert chip(once_more).get("TPK") == found, case


def test_an_overwrite_of_empty_slots_reaches_what_no_value_is_in_and_reads_it_back() -> None:
    cells = formatted()
    chip(cells).put("TPK", OLD)
    cells[3 * 64 + 20 : 3 * 64 + 36] = NEW[:16]
    assert chip(cells).overwrite_empty_slots()
    assert NEW[:8] not in cells
    assert chip(cells).get("TPK") == OLD


def test_an_overwrite_that_does_not_happen_is_seen_when_it_is_read_back() -> None:
    class Stubborn(bytearray):
        def __setitem__(self, place: object, value: object) -> None:
            pass

    cells = formatted()
    cells[100:116] = OLD
    assert not chip(Stubborn(cells)).overwrite_empty_slots()


def test_a_loss_leaves_zeros_and_the_latch() -> None:
    cells = formatted()
    memory = chip(cells)
    assert memory.is_formatted
    assert not memory.is_latched
    memory.put("TPK", OLD)
    chip(cells).lose()
    assert bytes(cells) == bytes(4) + b"\xff" + bytes(6 * 64 - 5)
    assert memory.get("TPK") is None
    assert memory.is_latched
    assert not memory.is_formatted


def test_cells_that_are_no_whole_slots_are_refused() -> None:
    with pytest.raises(LocalError):
        chip(bytearray(100))
