"""All chips of one terminal: their shape, and their cells in memory or in the files of a directory.

A directory holds ``flash.bin``, ``wear.bin`` (erases of each flash block), ``sram.bin``, ``secure-element.bin`` and
``geometry.json``, which is written last: a directory without it has no image yet. The files are mapped into memory and
changed in place, so a killed process loses nothing that it has written; they are not synced to the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Any, Final

from posdecom_protocol.errors import PosdecomError

from .flash import BLANK, COUNT_BYTES, Flash, FlashShape
from .slot_memory import SlotMemory
from .supply import Cells, Supply, steady

FLASH, WEAR, SRAM, SECURE_ELEMENT = "flash", "wear", "sram", "secure-element"
REGIONS: Final = (FLASH, SRAM, SECURE_ELEMENT)
"""Those that hold values."""
GEOMETRY_FILE: Final = "geometry.json"
FORMAT: Final = 1


class ImageError(PosdecomError):
    """A directory holds no image of a terminal's memory, or one that does not fit its own geometry."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of the chips. The default is a plausible terminal: 4 MiB flash, 64 KiB SRAM."""

    flash: FlashShape = field(default_factory=FlashShape)
    sram_bytes: int = 64 * 1024
    sram_slot_bytes: int = 2048
    """The registers of an AES-256 DUKPT key set are 1038 bytes."""
    secure_element_bytes: int = 8 * 1024
    secure_element_slot_bytes: int = 256

    def sizes(self) -> dict[str, int]:
        """Bytes of cells by region, wear counters included."""
        return {
            FLASH: self.flash.size_bytes,
            WEAR: self.flash.blocks * COUNT_BYTES,
            SRAM: self.sram_bytes,
            SECURE_ELEMENT: self.secure_element_bytes,
        }

    def json(self) -> str:
        return json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Geometry:
        try:
            values: dict[str, Any] = json.loads(text)
            if values.pop("format") != FORMAT:
                raise ValueError("format")
            return cls(flash=FlashShape(**values.pop("flash")), **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ImageError(f"{GEOMETRY_FILE} is malformed") from error


SMALL: Final = Geometry(FlashShape(64, 4096), 32 * 1024)
"""256 KiB of flash, for tests."""


@dataclass(frozen=True, slots=True)
class Image:
    """The cells of every chip, by region."""

    geometry: Geometry
    cells: Mapping[str, Cells]

    @classmethod
    def new(cls, geometry: Geometry) -> Image:
        """As from the factory, in memory: flash erased, all else zeros."""
        return cls(
            geometry, {name: bytearray(_factory(name, size)) for name, size in geometry.sizes().items()}
        )

    @classmethod
    def open(cls, directory: Path, geometry: Geometry | None = None) -> Image:
        """The image in ``directory``; made there first, with ``geometry`` (or the default), if there is none."""
        if not (directory / GEOMETRY_FILE).exists():
            _create(directory, geometry or Geometry())
        return cls._map(directory, writable=True)

    @classmethod
    def inspect(cls, directory: Path) -> Image:
        """A copy of the image in ``directory``, for looking at; `ImageError` where there is none."""
        return cls._map(directory, writable=False)

    @classmethod
    def _map(cls, directory: Path, *, writable: bool) -> Image:
        try:
            found = Geometry.from_json((directory / GEOMETRY_FILE).read_text("ascii"))
            cells = {
                name: _mapped(_file(directory, name))
                if writable
                else bytearray(_file(directory, name).read_bytes())
                for name in found.sizes()
            }
        except (OSError, UnicodeDecodeError) as error:
            raise ImageError(f"{directory} holds no image of a terminal's memory") from error
        if {name: len(one) for name, one in cells.items()} != found.sizes():
            raise ImageError(f"the files in {directory} do not have the sizes of {GEOMETRY_FILE}")
        return cls(found, cells)

    def copy(self) -> Image:
        """The same cells, in memory."""
        return Image(self.geometry, {name: bytearray(cells) for name, cells in self.cells.items()})

    def regions(self) -> Mapping[str, bytes]:
        """Every byte that can hold a value, by region: what a laboratory would read out."""
        return {name: bytes(self.cells[name]) for name in REGIONS}

    def flash(self, supply: Supply = steady) -> Flash:
        return Flash(self.cells[FLASH], self.cells[WEAR], self.geometry.flash, supply)

    def sram(self, supply: Supply = steady) -> SlotMemory:
        return SlotMemory(SRAM, self.cells[SRAM], self.geometry.sram_slot_bytes, supply)

    def secure_element(self, supply: Supply = steady) -> SlotMemory:
        slot_bytes = self.geometry.secure_element_slot_bytes
        return SlotMemory(SECURE_ELEMENT, self.cells[SECURE_ELEMENT], slot_bytes, supply)


def _factory(name: str, size_bytes: int) -> bytes:
    return (BLANK if name == FLASH else b"\0") * size_bytes


def _create(directory: Path, geometry: Geometry) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, size_bytes in geometry.sizes().items():
        _write_private(_file(directory, name), _factory(name, size_bytes))
    unfinished = directory / f".{GEOMETRY_FILE}"
    _write_private(unfinished, geometry.json().encode("ascii"))
    unfinished.replace(directory / GEOMETRY_FILE)


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _mapped(path: Path) -> mmap:
    with path.open("r+b") as file:
        return mmap(file.fileno(), 0)


def _file(directory: Path, name: str) -> Path:
    return directory / f"{name}.bin"
