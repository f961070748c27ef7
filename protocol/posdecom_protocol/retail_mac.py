"""Retail MAC: ISO/IEC 9797-1 algorithm 3 with DES, as terminals with TDES keys use it. New messages have a CMAC."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, assert_never

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from .errors import LocalError
from .secret import Secret
from .tdes import BLOCK_BYTES, tdes

KEY_BYTES: Final = 16
MAC_BYTES: Final = 8


class Padding(IntEnum):
    """Padding methods of ISO/IEC 9797-1."""

    ZEROS = 1
    """Up to a whole block, and one block if there is no message; messages that differ in final zeros collide."""
    ONE_AND_ZEROS = 2
    """A one bit, then zeros up to a whole block: always at least one byte."""


def retail_mac(key: Secret, message: bytes, padding: Padding) -> bytes:
    """8 bytes; some protocols send only the leftmost 4. ``key``: 16 bytes, K then K'.

    DES-CBC under K over the padded message, the last block decrypted under K' and encrypted under K.
    """
    if len(key) != KEY_BYTES:
        raise LocalError(f"retail MAC key of {len(key)} bytes; {KEY_BYTES}")
    with Secret(key.data[:8]) as first, Secret(key.data[8:]) as second:
        chained = (
            Cipher(tdes(first.data), CBC(bytes(BLOCK_BYTES))).encryptor().update(_padded(message, padding))
        )
        opened = Cipher(tdes(second.data), ECB()).decryptor().update(chained[-BLOCK_BYTES:])
        return Cipher(tdes(first.data), ECB()).encryptor().update(opened)


def _padded(message: bytes, padding: Padding) -> bytes:
    match padding:
        case Padding.ZEROS:
            return message + bytes(-len(message) % BLOCK_BYTES) if message else bytes(BLOCK_BYTES)
        case Padding.ONE_AND_ZEROS:
            return message + b"\x80" + bytes(-(len(message) + 1) % BLOCK_BYTES)
        case _:
            assert_never(padding)
