"""The chip of a made-up card: what it says about one transaction (field 55).

Its cryptogram is drawn by lot: no issuer is simulated, and nobody else could tell. Everything that hosts do compare
(amount, currency, date, kind of cryptogram) is that of the transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posdecom_protocol.chip_data import (
    AMOUNT,
    CRYPTOGRAM,
    CURRENCY,
    DATE,
    INFORMATION,
    SEQUENCE,
    ChipData,
    Cryptogram,
)
from posdecom_protocol.money import TransactionClass

CRYPTOGRAM_OF: Final = {
    TransactionClass.SALE: Cryptogram.TC,
    TransactionClass.OFFLINE_SALE: Cryptogram.TC,
    TransactionClass.DECLINED: Cryptogram.AAC,
    TransactionClass.REVERSAL: Cryptogram.ARQC,
}
"""The classes at which the simulated shop asks a chip. All else is keyed, or done without the card."""

_APPLICATIONS: Final = {
    "62": "A000000333010101",
    "40": "A0000000031010",
    "52": "A0000000041010",
    "37": "A00000002501",
}
"""Registered application identifiers by the first digits of the card number."""

_COUNTRY: Final = 156


def chip_data(
    draw: Callable[[int], bytes],
    kind: TransactionClass,
    *,
    card_prefix: str,
    amount: int,
    currency: int,
    stan: int,
    local_time: str,
    tid: str,
) -> bytes:
    """Field 55 of one transaction. ``draw``: that many random bytes; ``local_time``: YYMMDDhhmmss."""
    cryptogram = CRYPTOGRAM_OF[kind]
    declined = cryptogram is Cryptogram.AAC
    objects = {
        CRYPTOGRAM: draw(8),
        INFORMATION: bytes([cryptogram]),
        0x9F10: bytes.fromhex("07010103A0B802010A01000000000000") + draw(4),
        0x9F37: draw(4),
        0x9F36: draw(2),
        0x95: bytes.fromhex("0400000000" if declined else "0000008000"),
        DATE: bytes.fromhex(local_time[:6]),
        0x9C: b"\x00",
        AMOUNT: _bcd(amount, 12),
        CURRENCY: _bcd(currency, 4),
        0x82: bytes.fromhex("7C00"),
        0x9F1A: _bcd(_COUNTRY, 4),
        0x9F03: bytes(6),
        0x9F33: bytes.fromhex("E0E1C8"),
        0x9F34: bytes.fromhex("420300"),
        0x9F35: b"\x22",
        0x9F1E: tid.encode("ascii"),
        0x84: bytes.fromhex(_APPLICATIONS[card_prefix]),
        0x9F09: bytes.fromhex("0030"),
        SEQUENCE: _bcd(stan, 8),
    }
    return ChipData(objects).encode()


def _bcd(value: int, digits: int) -> bytes:
    return bytes.fromhex(f"{value:0{digits}d}")
