"""Which single bit was flipped, from what the CRC-32 says.

The CRC is linear: the difference between the computed and the received check depends on the flipped bits alone, and is
another one for each single bit of a frame. Its Hamming distance is 4 up to 11,450 bytes, so two flipped bits never look
like one; of damage by three and more, or by noise, one frame of n bytes in about 2**32 / 8 n does. A mended frame is
what was sent, *in all probability*: only for bytes that something above checks again, where a refusal costs little.
"""

from __future__ import annotations

from typing import Final

_POLYNOMIAL: Final = 0xEDB88320
"""CRC-32 of ITU-T V.42, reflected."""


def mended(body: bytes, difference: int) -> bytes | None:
    """``body`` with the one bit turned that explains the ``difference`` of the two checks behind it, or None.

    A single bit in ``difference`` itself is a flip in the received check: the body is good.
    """
    if difference.bit_count() == 1:
        return body
    place = _bits_behind(difference, 8 * len(body))
    if place is None:
        return None
    at, bit = divmod(8 * len(body) - place, 8)
    return body[:at] + bytes((body[at] ^ 1 << bit,)) + body[at + 1 :]


def _bits_behind(difference: int, most: int) -> int | None:
    """How many bits went into the register from the flipped one on, itself included: the register run backwards."""
    register = difference
    for count in range(1, most + 1):
        if register & 0x80000000:
            register = ((register ^ _POLYNOMIAL) << 1 | 1) & 0xFFFFFFFF
        else:
            register = register << 1
        if register == 1:
            return count
    return None
