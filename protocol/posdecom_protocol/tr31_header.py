"""What a key block says in the clear about the key in it: TR-31:2018, ANSI X9.143:2021. Knows no cryptography.

Sixteen characters, then optional blocks: version 1, length of the whole key block 4 (decimal), usage 2, algorithm 1,
mode of use 1, key version 2, exportability 1, number of optional blocks 2 (decimal), reserved ``00``. An optional
block: id 2, its own length 2 (hexadecimal, id and length included), text; a last one ``PB`` fills up the cipher block.

Not here: proprietary (numeric) values, optional blocks with extended length (certificates), and whether a mode of use
fits a usage: who loads the key asks that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .errors import KeyMaterialError, LocalError

HEADER_CHARS: Final = 16
KEY_BLOCK_CHARS_MAX: Final = 9999
"""Four digits of length."""
OPTIONAL_TEXT_CHARS_MAX: Final = 251
"""Two hexadecimal digits of length, which count the four characters before the text."""
OPTIONAL_BLOCKS_MAX: Final = 99


class KeyBlockVersion(Enum):
    """How the key is bound to its header."""

    VARIANT_2005 = "A"
    """TDES variants, 4-byte MAC. Deprecated: only unwrapped here."""
    TDES_DERIVATION = "B"
    VARIANT = "C"
    """As A. Deprecated: only unwrapped here."""
    AES_DERIVATION = "D"


class KeyBlockUsage(Enum):
    """Usages of symmetric keys."""

    BDK = "B0"
    DUKPT_INITIAL_KEY = "B1"
    BASE_KEY_VARIANT = "B2"
    CARD_VERIFICATION = "C0"
    DATA_ENCRYPTION = "D0"
    DECIMALIZATION_TABLE = "D2"
    EMV_CRYPTOGRAMS = "E0"
    EMV_CONFIDENTIALITY = "E1"
    EMV_INTEGRITY = "E2"
    EMV_DATA_AUTHENTICATION = "E3"
    EMV_DYNAMIC_NUMBERS = "E4"
    EMV_PERSONALIZATION = "E5"
    EMV_OTHER = "E6"
    INITIALIZATION_VECTOR = "I0"
    KEY_ENCRYPTION = "K0"
    KEY_BLOCK_PROTECTION = "K1"
    MAC_ISO_16609 = "M0"
    MAC_ALGORITHM_1 = "M1"
    MAC_ALGORITHM_2 = "M2"
    MAC_ALGORITHM_3 = "M3"
    """Retail MAC."""
    MAC_ALGORITHM_4 = "M4"
    MAC_ALGORITHM_5_1999 = "M5"
    CMAC = "M6"
    HMAC = "M7"
    MAC_ALGORITHM_6 = "M8"
    PIN_ENCRYPTION = "P0"
    PIN_VERIFICATION = "V0"
    PIN_VERIFICATION_IBM_3624 = "V1"
    PIN_VERIFICATION_PVV = "V2"
    PIN_VERIFICATION_X9_132_1 = "V3"
    PIN_VERIFICATION_X9_132_2 = "V4"


class KeyBlockAlgorithm(Enum):
    """What the key in the block is used with."""

    AES = "A"
    DES = "D"
    HMAC = "H"
    TDES = "T"


class ModeOfUse(Enum):
    ENCRYPT_AND_DECRYPT = "B"
    GENERATE_AND_VERIFY = "C"
    DECRYPT = "D"
    ENCRYPT = "E"
    GENERATE = "G"
    ANY = "N"
    VERIFY = "V"
    DERIVE = "X"
    VARIANTS = "Y"


class Exportability(Enum):
    TRUSTED = "E"
    """Under a key of the same standard."""
    NONE = "N"
    SENSITIVE = "S"
    """Under any key, as this domain's policy says."""


_FIXED: Final = re.compile(
    r"([A-D])([0-9]{4})([A-Z][0-9])([A-Z])([A-Z])([A-Za-z0-9]{2})([A-Z])([0-9]{2})00", re.ASCII
)
_OPTIONAL: Final = re.compile(r"([A-Z0-9]{2})([0-9A-F]{2})", re.ASCII)
_KEY_VERSION: Final = re.compile(r"[A-Za-z0-9]{2}", re.ASCII)
_OPTIONAL_ID: Final = re.compile(r"[A-Z0-9]{2}", re.ASCII)
_TEXT: Final = re.compile(r"[ -~]*", re.ASCII)
_PADDING_ID: Final = "PB"


@dataclass(frozen=True, slots=True)
class OptionalBlock:
    """``KS``: initial KSN, ``IK``: initial key id, ``TS``: time stamp, ...; not secret."""

    block_id: str
    text: str
    """Printable ASCII, at most 251 characters."""

    def __post_init__(self) -> None:
        if not _OPTIONAL_ID.fullmatch(self.block_id) or self.block_id == _PADDING_ID:
            raise LocalError("optional block id has two capitals or digits and is not PB")
        if len(self.text) > OPTIONAL_TEXT_CHARS_MAX or not _TEXT.fullmatch(self.text):
            raise LocalError(f"optional block has at most {OPTIONAL_TEXT_CHARS_MAX} printable characters")

    def encode(self) -> str:
        return _optional(self.block_id, self.text)


@dataclass(frozen=True, slots=True)
class KeyBlockHeader:
    version: KeyBlockVersion
    usage: KeyBlockUsage
    algorithm: KeyBlockAlgorithm
    mode: ModeOfUse
    exportability: Exportability
    key_version: str = "00"
    """Two letters or digits; ``00``: not versioned, ``c`` first: a component."""
    optional_blocks: tuple[OptionalBlock, ...] = ()
    """Without the padding."""

    def __post_init__(self) -> None:
        if not _KEY_VERSION.fullmatch(self.key_version):
            raise LocalError("key version has two letters or digits")


def encode_header(header: KeyBlockHeader, body_chars: int, align_chars: int) -> str:
    """The header of a key block with ``body_chars`` after it; padded to ``align_chars``, 8 (TDES) or 16 (AES)."""
    blocks = [block.encode() for block in header.optional_blocks]
    surplus = sum(map(len, blocks)) % align_chars
    if surplus:
        blocks.append(_optional(_PADDING_ID, "0" * (-(surplus + 4) % align_chars)))
    if len(blocks) > OPTIONAL_BLOCKS_MAX:
        raise LocalError(f"{len(blocks)} optional blocks with padding; at most {OPTIONAL_BLOCKS_MAX}")
    length = HEADER_CHARS + sum(map(len, blocks)) + body_chars
    if length > KEY_BLOCK_CHARS_MAX:
        raise LocalError(f"key block of {length} characters; at most {KEY_BLOCK_CHARS_MAX}")
    return (
        f"{header.version.value}{length:04}{header.usage.value}{header.algorithm.value}{header.mode.value}"
        f"{header.key_version}{header.exportability.value}{len(blocks):02}00{''.join(blocks)}"
    )


def decode_header(key_block: str) -> tuple[KeyBlockHeader, str]:
    """The header of a whole key block, and its text as it stands there; `KeyMaterialError` if it is malformed."""
    fixed = _FIXED.match(key_block)
    if fixed is None:
        raise KeyMaterialError("key block header is malformed")
    version, length, usage, algorithm, mode, key_version, exportability, count = fixed.groups()
    if int(length) != len(key_block):
        raise KeyMaterialError(f"key block of {len(key_block)} characters says {int(length)}")
    optional_blocks, end = _decode_optional_blocks(key_block, int(count))
    try:
        header = KeyBlockHeader(
            KeyBlockVersion(version),
            KeyBlockUsage(usage),
            KeyBlockAlgorithm(algorithm),
            ModeOfUse(mode),
            Exportability(exportability),
            key_version,
            optional_blocks,
        )
    except ValueError as error:
        raise KeyMaterialError(
            "key block header has an unknown usage, algorithm, mode or exportability"
        ) from error
    return header, key_block[:end]


def _decode_optional_blocks(key_block: str, count: int) -> tuple[tuple[OptionalBlock, ...], int]:
    blocks, position = [], HEADER_CHARS
    for _ in range(count):
        head = _OPTIONAL.match(key_block, position)
        if head is None:
            raise KeyMaterialError("optional block is malformed")
        end = position + int(head[2], 16)
        text = key_block[head.end() : end]
        if end < head.end() or end > len(key_block) or not _TEXT.fullmatch(text):
            raise KeyMaterialError("optional block is malformed, or has an extended length")
        if head[1] != _PADDING_ID:
            blocks.append(OptionalBlock(head[1], text))
        position = end
    return tuple(blocks), position


def _optional(block_id: str, text: str) -> str:
    return f"{block_id}{len(text) + 4:02X}{text}"
