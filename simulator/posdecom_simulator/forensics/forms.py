"""The forms in which a key may lie about, each as bytes to look for. Knows nothing of where it looks.

A form is looked for in windows of eight equal key bytes, wherever they begin, so that a half, a fragment or a torn
copy is a find too. Of a base64 text the window is ten characters, which is what eight bytes determine at the least.

Not here: bit-sliced and masked key schedules, DES key schedules, compression, and any encryption: a value that was
encrypted has to be searched for as the other value that it then is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

WINDOW_BYTES: Final = 8
_BASE64_WINDOW: Final = 10
_AES_KEY_BYTES: Final = frozenset({16, 24, 32})
_TDES_KEY_BYTES: Final = frozenset({16, 24})
_WORD: Final = 4


class Form(Enum):
    RAW = "raw"
    REVERSED = "byte-reversed"
    HEX = "hex"
    BASE64 = "base64"
    PARITY = "DES parity changed"
    """Parity bits cleared, set to odd, or left out (56 bits of each half)."""
    SCHEDULE = "AES key schedule"
    """Round keys for encryption (FIPS 197 section 5.2) and for decryption (equivalent inverse cipher, section 5.3.5),
    in memory order and with the bytes of each word turned round."""


@dataclass(frozen=True, slots=True, repr=False)
class Rendering:
    """One form of one value: look for each ``window`` bytes of ``text``, in steps of ``step``."""

    form: Form
    text: bytes
    window: int = WINDOW_BYTES
    step: int = 1


def renderings(value: bytes) -> Iterator[Rendering]:
    """Every form of ``value``, which has 8 bytes or more."""
    yield Rendering(Form.RAW, value)
    yield Rendering(Form.REVERSED, value[::-1])
    text = value.hex()
    for cased in (text, text.upper()):
        yield Rendering(Form.HEX, cased.encode("ascii"), 2 * WINDOW_BYTES, 2)
    yield from _base64(value)
    if len(value) in _TDES_KEY_BYTES:
        yield from _parities(value)
    if len(value) in _AES_KEY_BYTES:
        yield from _schedules(value)


def _base64(value: bytes) -> Iterator[Rendering]:
    """At each of the three phases, without the characters that depend on what stands before or after."""
    for phase in range(3):
        encoded = base64.b64encode(bytes(phase) + value)
        text = encoded[-(-8 * phase // 6) : 8 * (phase + len(value)) // 6]
        yield Rendering(Form.BASE64, text, _BASE64_WINDOW)
        url_safe = text.translate(bytes.maketrans(b"+/", b"-_"))
        if url_safe != text:
            yield Rendering(Form.BASE64, url_safe, _BASE64_WINDOW)


def _parities(value: bytes) -> Iterator[Rendering]:
    cleared = bytes(byte & 0xFE for byte in value)
    odd = bytes(byte | (byte.bit_count() + 1) % 2 for byte in cleared)
    for changed in {cleared, odd} - {value}:
        yield Rendering(Form.PARITY, changed)
    bits = "".join(f"{byte >> 1:07b}" for byte in value)
    yield Rendering(Form.PARITY, int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _schedules(value: bytes) -> Iterator[Rendering]:
    words = expanded_key(value)
    inverse = [*words[:4], *map(_inverse_mix_column, words[4:-4]), *words[-4:]]
    # the key itself is the form RAW, and both schedules end alike: leave no stretch to two forms
    yield _schedule(words[len(value) // _WORD - 1 :])
    yield _schedule(inverse[3:-3])
    yield _schedule([word[::-1] for word in words])
    yield _schedule([word[::-1] for word in inverse[3:-3]])


def _schedule(words: list[bytes]) -> Rendering:
    return Rendering(Form.SCHEDULE, b"".join(words), step=_WORD)


def expanded_key(key: bytes) -> list[bytes]:
    """The AES key schedule of ``key`` (16, 24 or 32 bytes) in words of 4 bytes: FIPS 197 section 5.2."""
    in_key = len(key) // _WORD
    words = [key[at : at + _WORD] for at in range(0, len(key), _WORD)]
    constant = 1
    for number in range(in_key, 4 * (in_key + 7)):
        word = words[-1]
        if number % in_key == 0:
            word = (word[1:] + word[:1]).translate(_SUBSTITUTION)
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _doubled(constant)
        elif in_key > 6 and number % in_key == 4:
            word = word.translate(_SUBSTITUTION)
        words.append(_xor(word, words[number - in_key]))
    return words


def _inverse_mix_column(column: bytes) -> bytes:
    """FIPS 197 section 5.3.3, by a table for each byte of the column."""
    mixed = 0
    for table, byte in zip(_MIXED, column, strict=True):
        mixed ^= table[byte]
    return mixed.to_bytes(_WORD, "big")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _doubled(byte: int) -> int:
    """Times x in the field of FIPS 197 section 4.2."""
    return byte << 1 ^ (0x11B if byte & 0x80 else 0)


def _product(one: int, other: int) -> int:
    product = 0
    while other:
        if other & 1:
            product ^= one
        one, other = _doubled(one), other >> 1
    return product


def _substitution() -> bytes:
    """The S-box, from its definition: inverse in the field, then an affine transformation (section 5.1.1)."""
    box = bytearray(256)
    for byte in range(256):
        inverse = next((other for other in range(256) if _product(byte, other) == 1), 0)
        spread = inverse * 0b1_0000_0001
        box[byte] = (spread ^ spread >> 4 ^ spread >> 5 ^ spread >> 6 ^ spread >> 7 ^ 0x63) & 0xFF
    return bytes(box)


_SUBSTITUTION: Final = _substitution()
_COEFFICIENTS: Final = ((14, 9, 13, 11), (11, 14, 9, 13), (13, 11, 14, 9), (9, 13, 11, 14))
"""Columns of the matrix of section 5.3.3."""
_MIXED: Final = [
    [int.from_bytes(bytes(_product(factor, byte) for factor in column), "big") for byte in range(256)]
    for column in _COEFFICIENTS
]
