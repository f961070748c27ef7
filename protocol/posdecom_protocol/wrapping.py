"""Counters that travel modulo a power of two: expanded to what they must be, from where they are expected."""

from __future__ import annotations


def expand(wrapped: int, bits: int, near: int) -> int:
    """The integer congruent to ``wrapped`` modulo ``2**bits`` that is nearest to ``near`` (ties go below).

    >>> expand(0x0003, 16, 0xFFFE), expand(0xFFFE, 16, 0x10003)
    (65539, 65534)
    """
    half = 1 << (bits - 1)
    return near - half + (wrapped - near + half) % (1 << bits)
