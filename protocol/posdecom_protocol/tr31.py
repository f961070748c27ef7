"""Key blocks: a key encrypted, and bound to what it may be used for (TR-31:2018, ANSI X9.143:2021).

Versions B (TDES) and D (AES) are wrapped and unwrapped: two keys are derived from the key block protection key by
CMAC, one for a MAC over header and clear key data, one for CBC encryption with that MAC as IV. The deprecated A and C
(variants of the protection key, MAC over the ciphertext) are only unwrapped.

A key that comes out is the one that was put in, under this very header. Whether it is any good, whether its mode of
use fits its usage, and whether it may be loaded where it shall be loaded is not judged here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.cmac import CMAC

from .errors import KeyMaterialError, LocalError
from .secret import Secret, wipe
from .tdes import tdes
from .tr31_header import KeyBlockAlgorithm, KeyBlockHeader, KeyBlockVersion, decode_header, encode_header


@dataclass(frozen=True, slots=True)
class KeyBlock:
    header: KeyBlockHeader
    key: Secret


@dataclass(frozen=True, slots=True)
class _Scheme:
    """The numbers of one version."""

    block_bytes: int
    mac_bytes: int
    algorithms: dict[int, int]
    """Length of the protection key: algorithm indicator in the derivation data."""


_TDES_ALGORITHMS: Final = {16: 0x0000, 24: 0x0001}
_AES_ALGORITHMS: Final = {16: 0x0002, 24: 0x0003, 32: 0x0004}
_SCHEMES: Final[dict[KeyBlockVersion, _Scheme]] = {
    KeyBlockVersion.VARIANT_2005: _Scheme(8, 4, _TDES_ALGORITHMS),
    KeyBlockVersion.TDES_DERIVATION: _Scheme(8, 8, _TDES_ALGORITHMS),
    KeyBlockVersion.VARIANT: _Scheme(8, 4, _TDES_ALGORITHMS),
    KeyBlockVersion.AES_DERIVATION: _Scheme(16, 16, _AES_ALGORITHMS),
}
_BY_DERIVATION: Final = frozenset({KeyBlockVersion.TDES_DERIVATION, KeyBlockVersion.AES_DERIVATION})

_ENCRYPTION: Final = 0x0000
_AUTHENTICATION: Final = 0x0001
"""Key usage indicators in the derivation data of versions B and D."""
_ENCRYPTION_VARIANT: Final = 0x45
_AUTHENTICATION_VARIANT: Final = 0x4D
"""Added to each byte of the protection key in versions A and C."""

_KEY_BYTES: Final[dict[KeyBlockAlgorithm, frozenset[int]]] = {
    KeyBlockAlgorithm.AES: frozenset({16, 24, 32}),
    KeyBlockAlgorithm.DES: frozenset({8}),
    KeyBlockAlgorithm.HMAC: frozenset(range(1, 65)),
    KeyBlockAlgorithm.TDES: frozenset({16, 24}),
}
"""Every key is padded to the longest of its algorithm, so that the block's length does not tell its strength."""
_HEX: Final = re.compile(r"[0-9A-F]*", re.ASCII)


def wrap_key_block(kbpk: Secret, key_block: KeyBlock, entropy: Callable[[int], bytes]) -> str:
    """The key under the protection key ``kbpk``: 16 or 24 bytes for version B, 16, 24 or 32 for D. ``entropy`` pads.

    `LocalError` for versions A and C, and for a key whose length its algorithm does not know.
    """
    header, key = key_block.header, key_block.key
    scheme = _SCHEMES[header.version]
    if header.version not in _BY_DERIVATION:
        raise LocalError(f"key block version {header.version.value} is only unwrapped")
    if len(kbpk) not in scheme.algorithms:
        raise LocalError(_misfit(header.version, kbpk))
    if len(key) not in _KEY_BYTES[header.algorithm]:
        raise LocalError(f"{header.algorithm.name} key of {len(key)} bytes")
    clear = _key_data(key, header.algorithm, scheme.block_bytes, entropy)
    text = encode_header(header, 2 * (len(clear) + scheme.mac_bytes), scheme.block_bytes)
    mac = _cmac(header.version, kbpk, text, clear)
    with _derived(header.version, kbpk, _ENCRYPTION) as encryption_key:
        cipher = Cipher(_algorithm(header.version, encryption_key), CBC(mac)).encryptor().update(clear)
    wipe(clear)
    return text + (cipher + mac).hex().upper()


def unwrap_key_block(kbpk: Secret, text: str) -> KeyBlock:
    """Inverse of `wrap_key_block`, for versions A to D; the caller wipes the key.

    `KeyMaterialError` if it is malformed, if anything in it was changed, or if ``kbpk`` is another key.
    """
    header, header_text = decode_header(text)
    scheme = _SCHEMES[header.version]
    if len(kbpk) not in scheme.algorithms:
        raise KeyMaterialError(_misfit(header.version, kbpk))
    body = text[len(header_text) :]
    if not _HEX.fullmatch(body) or len(body) % 2:
        raise KeyMaterialError("key block is not in hexadecimal after its header")
    sealed = bytes.fromhex(body)
    cipher, mac = sealed[: -scheme.mac_bytes], sealed[-scheme.mac_bytes :]
    if not cipher or len(cipher) % scheme.block_bytes or len(header_text) % scheme.block_bytes:
        raise KeyMaterialError(f"key block is not in whole cipher blocks of {scheme.block_bytes} bytes")
    unwrap = _unwrap_by_derivation if header.version in _BY_DERIVATION else _unwrap_by_variant
    clear = unwrap(header.version, kbpk, header_text, cipher, mac)
    try:
        return KeyBlock(header, _key_from(clear, header.algorithm))
    finally:
        wipe(clear)


def _unwrap_by_derivation(
    version: KeyBlockVersion, kbpk: Secret, header_text: str, cipher: bytes, mac: bytes
) -> bytearray:
    with _derived(version, kbpk, _ENCRYPTION) as encryption_key:
        clear = _decrypted(_algorithm(version, encryption_key), mac, cipher)
    if not hmac.compare_digest(_cmac(version, kbpk, header_text, clear), mac):
        wipe(clear)
        raise KeyMaterialError("key block MAC does not match")
    return clear


def _unwrap_by_variant(
    version: KeyBlockVersion, kbpk: Secret, header_text: str, cipher: bytes, mac: bytes
) -> bytearray:
    header_bytes = header_text.encode("ascii")
    with _variant(kbpk, _AUTHENTICATION_VARIANT) as authentication_key:
        chain = Cipher(_algorithm(version, authentication_key), CBC(bytes(8))).encryptor()
        expected = chain.update(header_bytes + cipher)[-8:-4]
    if not hmac.compare_digest(expected, mac):
        raise KeyMaterialError("key block MAC does not match")
    with _variant(kbpk, _ENCRYPTION_VARIANT) as encryption_key:
        return _decrypted(_algorithm(version, encryption_key), header_bytes[:8], cipher)


def _key_data(
    key: Secret, algorithm: KeyBlockAlgorithm, block_bytes: int, entropy: Callable[[int], bytes]
) -> bytearray:
    """Length in bits 2, key, random padding."""
    longest = 2 + max(_KEY_BYTES[algorithm])
    padding_bytes = longest + -longest % block_bytes - 2 - len(key)
    return bytearray((8 * len(key)).to_bytes(2, "big")) + key.data + entropy(padding_bytes)


def _key_from(clear: bytearray, algorithm: KeyBlockAlgorithm) -> Secret:
    key_bytes, odd_bits = divmod(int.from_bytes(clear[:2], "big"), 8)
    if odd_bits or 2 + key_bytes > len(clear):
        raise KeyMaterialError("key block says an impossible length of its key")
    if key_bytes not in _KEY_BYTES[algorithm]:
        raise KeyMaterialError(f"key block with an {algorithm.name} key of {key_bytes} bytes")
    return Secret(memoryview(clear)[2 : 2 + key_bytes])


def _derived(version: KeyBlockVersion, kbpk: Secret, usage: int) -> Secret:
    """CMAC under the protection key of: counter 1, usage 2, separator 00, algorithm 2, length in bits 2; repeated
    until there are as many bytes as the protection key has."""
    tail = usage.to_bytes(2, "big") + b"\0" + _SCHEMES[version].algorithms[len(kbpk)].to_bytes(2, "big")
    tail += (8 * len(kbpk)).to_bytes(2, "big")
    derived = bytearray()
    for counter in range(1, -(-len(kbpk) // _SCHEMES[version].block_bytes) + 1):
        mac = CMAC(_algorithm(version, kbpk))
        mac.update(bytes([counter]) + tail)
        derived += mac.finalize()
    key = Secret(memoryview(derived)[: len(kbpk)])
    wipe(derived)
    return key


def _cmac(version: KeyBlockVersion, kbpk: Secret, header_text: str, clear: bytearray) -> bytes:
    with _derived(version, kbpk, _AUTHENTICATION) as authentication_key:
        mac = CMAC(_algorithm(version, authentication_key))
        mac.update(header_text.encode("ascii"))
        mac.update(clear)  # type: ignore[arg-type]  # takes any buffer; only its annotation says bytes
        return mac.finalize()


def _variant(kbpk: Secret, variant: int) -> Secret:
    return Secret(bytearray(byte ^ variant for byte in kbpk.data))


def _decrypted(algorithm: BlockCipherAlgorithm, iv: bytes, cipher: bytes) -> bytearray:
    clear = bytearray(len(cipher) + len(iv) - 1)  # the library insists on room for a padded block
    size = Cipher(algorithm, CBC(iv)).decryptor().update_into(cipher, clear)
    del clear[size:]
    return clear


def _algorithm(version: KeyBlockVersion, key: Secret) -> BlockCipherAlgorithm:
    return AES(key.data) if version is KeyBlockVersion.AES_DERIVATION else tdes(key.data)


def _misfit(version: KeyBlockVersion, kbpk: Secret) -> str:
    return f"protection key of {len(kbpk)} bytes for a key block of version {version.value}"
