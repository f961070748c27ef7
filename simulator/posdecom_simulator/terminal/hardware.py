"""The terminal's store on its chips: which value lies where, and what a tamper does.

* Working secrets (session keys, DUKPT registers, the data-at-rest key) lie in battery-backed SRAM and nowhere else.
* Master keys lie in flash, wrapped (RFC 5649) by a key that lies in SRAM: losing the SRAM loses them at once, and the
  erase destroys both the wrapping key and every wrapped copy.
* The identity keys lie in the secure element.
* Everything else lies in flash as it is: account data are encrypted already, under keys that are spent.

A secure element would sign inside; here its keys are read for one signature, because the standard library's TLS
takes a private key only as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Final, assert_never

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from posdecom_protocol.documents.evidence import EraseMethod
from posdecom_protocol.kcv import KcvMethod, kcv
from posdecom_protocol.secret import Secret

from ..memory import image as chips
from ..memory.flash_log import FlashLog
from ..memory.image import Image
from ..memory.slot_memory import SlotMemory
from ..memory.supply import Supply, steady
from . import slots
from .store import RegionErasure


class Place(Enum):
    FLASH = "flash"
    WRAPPED = "flash, wrapped"
    SRAM = "sram"
    SECURE_ELEMENT = "secure element"


REGION: Final = {
    Place.FLASH: chips.FLASH,
    Place.WRAPPED: chips.FLASH,
    Place.SRAM: chips.SRAM,
    Place.SECURE_ELEMENT: chips.SECURE_ELEMENT,
}

_MASTER_KEY_USAGES: Final = {"K0", "K1"}
_WRAPPED: Final = {slot.key for slot in slots.ERASE_ORDER if slot.usage in _MASTER_KEY_USAGES}
_IDENTITY: Final = {slot.key for slot in slots.IDENTITY}
_TAMPERED: Final = b"\x01"
_LAST: Final = {slots.INTENT, slots.EVIDENCE}
"""Written however full the flash is, and though it has shrunk since they were promised room."""


def place_of(name: str) -> Place:
    """A secret that nobody has thought of lies in SRAM."""
    if name in _IDENTITY:
        return Place.SECURE_ELEMENT
    if name in _WRAPPED:
        return Place.WRAPPED
    return Place.SRAM if name.startswith(slots.SLOT_PREFIX) else Place.FLASH


class HardwareStore:
    """A `store.Store` on ``image``; boots the chips, which repairs what a power cut left.

    ``entropy`` makes the wrapping key. ``place_of``: where values lie; a terminal without battery-backed memory has
    them all in flash.
    """

    def __init__(
        self,
        image: Image,
        supply: Supply = steady,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        place_of: Callable[[str], Place] = place_of,
    ) -> None:
        self._image = image
        self._entropy = entropy
        self._place_of = place_of
        self._sram = image.sram(supply)
        self._secure_element = image.secure_element(supply)
        self._flash = FlashLog(image.flash(supply))
        self._boot()

    # --- Store -----------------------------------------------------------------------------------------

    def get(self, name: str) -> bytes | None:
        if name == slots.TAMPER_MARK and self._sram.is_latched:
            return _TAMPERED
        match place := self._place_of(name):
            case Place.FLASH:
                return self._flash.get(name)
            case Place.WRAPPED:
                return self._unwrap(self._flash.get(name))
            case Place.SRAM:
                return self._sram.get(name)
            case Place.SECURE_ELEMENT:
                return self._secure_element.get(name)
            case _:
                assert_never(place)

    def holds(self, name: str) -> bool:
        if name == slots.TAMPER_MARK or self._place_of(name) is Place.WRAPPED:
            return self.get(name) is not None  # the latch tells, too; and only unwrapping does
        return name in self._chip(name).names()

    def put(self, values: Mapping[str, bytes]) -> None:
        for name, value in values.items():
            match place := self._place_of(name):
                case Place.FLASH:
                    self._flash.put(name, value, is_last=name in _LAST)
                case Place.WRAPPED:
                    self._flash.put(name, aes_key_wrap_with_padding(self._wrapping_key(), value))
                case Place.SRAM:
                    self._sram.put(name, value)
                case Place.SECURE_ELEMENT:
                    self._secure_element.put(name, value)
                case _:
                    assert_never(place)

    def erase(self, names: Iterable[str]) -> None:
        for name in list(names):
            self._chip(name).erase((name,))

    def has_room(self, sizes: Mapping[str, int]) -> bool:
        """In flash; what lies elsewhere has its slot for life."""
        return self._flash.has_room(
            {name: size for name, size in sizes.items() if self._chip(name) is self._flash}
        )

    def names(self, prefix: str = "") -> Iterator[str]:
        every = (*self._flash.names(), *self._sram.names(), *self._secure_element.names())
        return iter(sorted(name for name in every if name.startswith(prefix)))

    def sanitize(self, regions: Collection[str] | None = None) -> Mapping[str, RegionErasure]:
        """SRAM and secure element are overwritten where no value lies, the flash is scrubbed block by block."""
        wanted = chips.REGIONS if regions is None else regions
        done = {
            chip.region: RegionErasure(EraseMethod.OVERWRITE, chip.overwrite_empty_slots())
            for chip in (self._sram, self._secure_element)
            if chip.region in wanted
        }
        if chips.FLASH in wanted:
            scrubbed = self._flash.scrub()
            done[chips.FLASH] = RegionErasure(
                EraseMethod.BLOCK_ERASE, scrubbed.is_read_back, scrubbed.stuck_bits
            )
        return done

    def region_of(self, name: str) -> str:
        return REGION[self._place_of(name)]

    # --- beyond the seam -------------------------------------------------------------------------------

    def tamper(self, *, reaches_identity: bool = True) -> None:
        """What the tamper circuit does, at any moment: the SRAM is gone, and as a rule the identity keys."""
        tamper(self._image, reaches_identity=reaches_identity)

    def regions(self) -> Mapping[str, bytes]:
        """Every byte that can hold a value, by region."""
        return self._image.regions()

    # --- private ---------------------------------------------------------------------------------------

    def _boot(self) -> None:
        """First of all the tamper status: it is written down before anything else is looked at."""
        is_used = bool(self._flash.names())
        has_lost = self._sram.is_latched or not self._sram.is_formatted
        if is_used and has_lost and self._flash.get(slots.TAMPER_MARK) is None:
            self._flash.put(slots.TAMPER_MARK, _TAMPERED)
        for chip in (self._sram, self._secure_element):
            if not chip.is_formatted and not chip.is_latched:
                chip.format()
            chip.repair()

    def _chip(self, name: str) -> FlashLog | SlotMemory:
        match place := self._place_of(name):
            case Place.FLASH | Place.WRAPPED:
                return self._flash
            case Place.SRAM:
                return self._sram
            case Place.SECURE_ELEMENT:
                return self._secure_element
            case _:
                assert_never(place)

    def _wrapping_key(self) -> bytes:
        """Made when the first key has to be wrapped; its check value is the memory's own to write."""
        key = self._sram.get(slots.WRAP.key)
        if key is None:
            key = self._entropy(slots.WRAP.key_bytes)
            with Secret(key) as secret:
                self._flash.put(slots.WRAP.kcv, kcv(secret, KcvMethod.AES_CMAC))
            self._sram.put(slots.WRAP.key, key)
        return key

    def _unwrap(self, wrapped: bytes | None) -> bytes | None:
        """None where the wrapping key is gone, or is another one than then."""
        key = self._sram.get(slots.WRAP.key)
        if wrapped is None or key is None:
            return None
        try:
            return aes_key_unwrap_with_padding(key, wrapped)
        except InvalidUnwrap:
            return None


def tamper(image: Image, *, reaches_identity: bool = True) -> None:
    """The tamper circuit, without any firmware: also for an image whose terminal runs in another process."""
    image.sram().lose()
    if reaches_identity:
        image.secure_element().lose()
