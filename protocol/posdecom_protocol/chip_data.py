"""Field 55: what a chip said about one transaction, with the cryptogram that it made over it.

Only the tags of `TAGS` are known, so that a card number (5A), track data (57), a name (5F20) or an expiry date (5F24)
cannot travel here. Whether a cryptogram is right only the card's issuer can tell: nobody in this project judges it.
Tags, formats and lengths: EMV 4.3 Book 3 annex A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from . import tlv
from .errors import LocalError, MessageError

CHIP_DATA_BYTES_MAX: Final = 255
"""Field 55 has three digits of length and this bound."""


class Cryptogram(IntEnum):
    """The high two bits of tag 9F27: how the chip ended the transaction (EMV 4.3 Book 3 table 14)."""

    AAC = 0x00
    """Declined."""
    TC = 0x40
    """Approved: the merchant's proof in a dispute."""
    ARQC = 0x80
    """It wanted the issuer's word. The last one where that never came: a reversal."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Lengths of its value in bytes."""

    least: int
    most: int
    digits: bool = False
    """Format n: BCD."""
    optional: bool = False


CRYPTOGRAM: Final = 0x9F26
INFORMATION: Final = 0x9F27
AMOUNT: Final = 0x9F02
CURRENCY: Final = 0x5F2A
DATE: Final = 0x9A
SEQUENCE: Final = 0x9F41

TAGS: Final[Mapping[int, Tag]] = MappingProxyType(
    {
        CRYPTOGRAM: Tag(8, 8),
        INFORMATION: Tag(1, 1),
        0x9F10: Tag(1, 32),  # issuer application data
        0x9F37: Tag(4, 4),  # unpredictable number
        0x9F36: Tag(2, 2),  # application transaction counter
        0x95: Tag(5, 5),  # terminal verification results
        DATE: Tag(3, 3, digits=True),  # YYMMDD
        0x9C: Tag(1, 1, digits=True),  # transaction type
        AMOUNT: Tag(6, 6, digits=True),
        CURRENCY: Tag(2, 2, digits=True),
        0x82: Tag(2, 2),  # application interchange profile
        0x9F1A: Tag(2, 2, digits=True),  # terminal country code
        0x9F03: Tag(6, 6, digits=True),  # amount, other
        0x9F33: Tag(3, 3),  # terminal capabilities
        0x9F34: Tag(3, 3, optional=True),  # cardholder verification results
        0x9F35: Tag(1, 1, digits=True, optional=True),  # terminal type
        0x9F1E: Tag(8, 8, optional=True),  # interface device serial number
        0x84: Tag(5, 16, optional=True),  # dedicated file name: the application
        0x9F09: Tag(2, 2, optional=True),  # application version number
        SEQUENCE: Tag(2, 4, digits=True, optional=True),  # transaction sequence counter: the STAN
    }
)
"""What field 55 may hold, in the order in which it is written."""


@dataclass(frozen=True, slots=True)
class ChipData:
    """Valid once built. Built wrongly: `LocalError`."""

    objects: Mapping[int, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        problem = _problem(self.objects)
        if problem:
            raise LocalError(problem)

    def encode(self) -> bytes:
        """Field 55."""
        return tlv.encode({tag: self.objects[tag] for tag in TAGS if tag in self.objects})

    @classmethod
    def decode(cls, data: bytes) -> ChipData:
        """Inverse of `encode`, in whichever order the tags came; `MessageError` names the tag that is wrong."""
        objects = tlv.decode(data)
        problem = _problem(objects)
        if problem:
            raise MessageError(problem)
        return cls(MappingProxyType(objects))

    @property
    def cryptogram(self) -> Cryptogram:
        return Cryptogram(self.objects[INFORMATION][0] & 0xC0)

    @property
    def amount(self) -> int:
        """Minor units."""
        return int(self.objects[AMOUNT].hex())

    @property
    def currency(self) -> int:
        """ISO 4217 numeric."""
        return int(self.objects[CURRENCY].hex())

    @property
    def date(self) -> str:
        """YYMMDD by the terminal's clock."""
        return self.objects[DATE].hex()


def _problem(objects: Mapping[int, bytes]) -> str | None:
    """What is wrong with them, in words without a value."""
    for tag, kind in TAGS.items():
        if tag not in objects and not kind.optional:
            return f"chip data lack tag {tag:X}"
    for tag, value in objects.items():
        known = TAGS.get(tag)
        if known is None:
            return f"chip data hold tag {tag:X}, which has no place there"
        if not known.least <= len(value) <= known.most:
            return f"chip data tag {tag:X} has {len(value)} bytes; {known.least} to {known.most}"
        if known.digits and not value.hex().isdecimal():
            return f"chip data tag {tag:X} is not BCD"
    if objects[INFORMATION][0] & 0xC0 == 0xC0:
        return "chip data tag 9F27 is of no known cryptogram"
    return None
