"""What lies in an image, counted: for people who look at a terminal's memory. Reads, changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .flash import BLANK
from .flash_layout import HEADER_BYTES, read_entries, read_header
from .image import SECURE_ELEMENT, SRAM, Image
from .slot_memory import SlotMemory, read_slots


class Use(Enum):
    IN_USE = "in use"
    SPARE = "spare"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class BlockSurvey:
    """One flash block. In a spare or retired block every copy counts as dead."""

    block: int
    use: Use
    is_blank: bool
    erases: int
    live: Counter[str]
    """Copies by name; parts of a value count each."""
    dead: Counter[str]


@dataclass(frozen=True, slots=True)
class ChipSurvey:
    """SRAM or secure element."""

    region: str
    size_bytes: int
    slots: int
    names: tuple[str, ...]
    is_latched: bool


def survey_flash(image: Image) -> Iterator[BlockSurvey]:
    flash = image.flash()
    for number in range(flash.shape.blocks):
        block = flash.read_block(number)
        header = read_header(block[:HEADER_BYTES])
        use = _use(header.opening is not None, header.is_retired)
        live, dead = Counter[str](), Counter[str]()
        for entry in read_entries(block):
            (live if entry.is_live and header.opening is not None else dead)[entry.name] += 1
        yield BlockSurvey(number, use, block == BLANK * len(block), flash.erases(number), live, dead)


def survey_chips(image: Image) -> Iterator[ChipSurvey]:
    geometry = image.geometry
    slot_bytes = {SRAM: geometry.sram_slot_bytes, SECURE_ELEMENT: geometry.secure_element_slot_bytes}
    for region, bytes_each in slot_bytes.items():
        cells = bytes(image.cells[region])
        names = sorted(filled.name for filled in read_slots(cells, bytes_each))
        chip = SlotMemory(region, bytearray(cells), bytes_each)
        yield ChipSurvey(region, len(cells), len(cells) // bytes_each - 1, tuple(names), chip.is_latched)


def _use(is_open: bool, is_retired: bool) -> Use:
    if is_retired:
        return Use.RETIRED
    return Use.IN_USE if is_open else Use.SPARE
