"""How a stored message is protected: MAC over it, account data in it encrypted. Knows no ISO 8583 and no KSN.

Account data are ``PAN "=" YYMM`` in ASCII (17 to 24 bytes), padded by ISO/IEC 9797-1 method 2 to always 32
bytes, so that the length tells nothing, then AES-CBC with a zero IV. The zero IV is sound because a DUKPT data
key encrypts one record and no other. The cipher alone does not authenticate: check the MAC first.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.cmac import CMAC

from .errors import KeyMaterialError, LocalError
from .secret import BytesLike, Secret, wipe

MAC_BYTES: Final = 8
ACCOUNT_DATA_BYTES: Final = 32
"""Ciphertext of any account data."""

_ZERO_IV: Final = bytes(16)
_PAN: Final = re.compile(r"[0-9]{12,19}")
_EXPIRY: Final = re.compile(r"[0-9]{2}(0[1-9]|1[0-2])")
_CLEAR: Final = re.compile(rb"([0-9]{12,19})=([0-9]{2}(?:0[1-9]|1[0-2]))\x80\x00*")


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """The two keys that protect one stored message; wipe them, or leave the ``with`` block, after use."""

    mac: Secret
    data: Secret

    def wipe(self) -> None:
        self.mac.wipe()
        self.data.wipe()

    def __enter__(self) -> MessageKeys:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()


@dataclass(frozen=True, slots=True, repr=False)
class AccountData:
    """One card. Its strings cannot be wiped, so only terminal and host ever make one; repr shows nothing."""

    pan: str
    """12 to 19 digits; the check digit is not judged here."""
    expiry: str
    """YYMM."""

    def __post_init__(self) -> None:
        if not _PAN.fullmatch(self.pan):
            raise LocalError("PAN has 12 to 19 digits")
        if not _EXPIRY.fullmatch(self.expiry):
            raise LocalError("expiry is YYMM")

    def __repr__(self) -> str:
        return "AccountData(hidden)"


def cmac8(key: Secret, message: bytes) -> bytes:
    """AES-CMAC (NIST SP 800-38B) of ``message``, leftmost 8 bytes. ``key``: 16 or 32 bytes."""
    mac = CMAC(AES(key.data))
    mac.update(message)
    return mac.finalize()[:MAC_BYTES]


def cmac8_matches(key: Secret, message: bytes, mac: BytesLike) -> bool:
    """Whether ``mac`` is `cmac8` of ``message``, in constant time."""
    return hmac.compare_digest(cmac8(key, message), mac)


def encrypt_account_data(key: Secret, account: AccountData) -> bytes:
    """32 bytes that only ``key`` (16 or 32 bytes, never used before) opens."""
    clear = bytearray(ACCOUNT_DATA_BYTES)
    text = f"{account.pan}={account.expiry}".encode("ascii")
    clear[: len(text)] = text
    clear[len(text)] = 0x80
    cipher = Cipher(AES(key.data), CBC(_ZERO_IV)).encryptor().update(clear)
    wipe(clear)
    return cipher


def decrypt_account_data(key: Secret, cipher: BytesLike) -> AccountData:
    """Inverse of `encrypt_account_data`; `KeyMaterialError` for a wrong length, key or byte."""
    if len(cipher) != ACCOUNT_DATA_BYTES:
        raise KeyMaterialError(f"account data of {len(cipher)} bytes; {ACCOUNT_DATA_BYTES}")
    clear = Cipher(AES(key.data), CBC(_ZERO_IV)).decryptor().update(cipher)
    found = _CLEAR.fullmatch(clear)
    if found is None:
        raise KeyMaterialError("account data do not decrypt under this key")
    return AccountData(found[1].decode("ascii"), found[2].decode("ascii"))
