"""What a terminal does with its keys: a closed table. Keys go in by `key_loading` and never come out.

Bytes in, bytes out; no operation gives a key away. Each has one X9.143 usage and its modes of use, and every slot that
is for another usage, for another mode, or empty refuses it (`KeyRefused`). After an erase every slot is empty.

A key is read from the store for one operation and wiped after it. The new state of a DUKPT key set is stored before
anything that its key protected is handed out: a power cut may lose a counter, and never gives one twice.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from posdecom_protocol.aes_dukpt import KeyUsage, TerminalDukpt
from posdecom_protocol.errors import KeyMaterialError, LocalError
from posdecom_protocol.protection import cmac8
from posdecom_protocol.retail_mac import MAC_BYTES, Padding, retail_mac
from posdecom_protocol.secret import Secret, wipe
from posdecom_protocol.tdes import BLOCK_BYTES, tdes
from posdecom_protocol.tdes_dukpt import TdesKeyUsage, TdesTerminalDukpt

from .key_loading import INITIAL_KEY_USAGE, KeyRefused, Why, held_key
from .slots import Slot
from .store import Store

Entropy: TypeAlias = Callable[[int], bytes]

NONCE_BYTES: Final = 12
PIN_BLOCK_BYTES: Final = BLOCK_BYTES
"""Formats 0 and 3 of ISO 9564-1. How one is made is not known here."""


class Operation(Enum):
    ENCRYPT_PIN_BLOCK = "encrypt PIN block"
    """8 bytes in, 8 out: TDES, one block."""
    GENERATE_MAC = "generate MAC"
    """Message in, retail MAC of 8 bytes out (padding method 2)."""
    VERIFY_MAC = "verify MAC"
    """Message and its MAC in, message out; `KeyMaterialError` if it is not that one."""
    ENCRYPT_DATA = "encrypt data"
    """Data in; nonce of 12 bytes, AES-GCM ciphertext, tag of 16 bytes out."""
    DECRYPT_DATA = "decrypt data"
    """The inverse; `KeyMaterialError` if anything was changed, or if it was another key."""
    DUKPT_MAC = "MAC under the next DUKPT key"
    """Message in; KSN (AES 12 bytes, TDES 10) and MAC of 8 bytes (CMAC, or retail MAC) out."""
    DUKPT_ENCRYPT = "encrypt under the next DUKPT key"
    """Whole cipher blocks in; KSN and ciphertext (CBC, zero IV: the key serves once) out."""
    SIGN = "sign"
    """Message in, Ed25519 signature of 64 bytes out."""


@dataclass(frozen=True, slots=True)
class _Rule:
    usage: str
    modes: str
    """Each letter a mode of use that allows it."""


RULES: Final[Mapping[Operation, _Rule]] = {
    Operation.ENCRYPT_PIN_BLOCK: _Rule("P0", "EB"),
    Operation.GENERATE_MAC: _Rule("M3", "CG"),
    Operation.VERIFY_MAC: _Rule("M3", "CV"),
    Operation.ENCRYPT_DATA: _Rule("D0", "EB"),
    Operation.DECRYPT_DATA: _Rule("D0", "DB"),
    Operation.DUKPT_MAC: _Rule(INITIAL_KEY_USAGE, "X"),
    Operation.DUKPT_ENCRYPT: _Rule(INITIAL_KEY_USAGE, "X"),
    Operation.SIGN: _Rule("S0", "S"),
}


class Keyring:
    """A terminal's slots at work. ``entropy`` gives nonces."""

    def __init__(self, store: Store, entropy: Entropy) -> None:
        self._store = store
        self._entropy = entropy

    def perform(self, operation: Operation, slot: Slot, data: bytes) -> bytes:
        """What ``operation`` makes of ``data`` with the key in ``slot``: see `Operation` for both.

        `KeyRefused` where the slot does not do it, `ExhaustedError` where a key set is spent, `LocalError` for data
        of the wrong length.
        """
        rule = RULES[operation]
        if slot.usage != rule.usage:
            raise KeyRefused(slot, Why.USAGE)
        if slot.mode not in rule.modes:
            raise KeyRefused(slot, Why.MODE)
        if slot.usage == INITIAL_KEY_USAGE:
            return self._with_next_key(operation, slot, data)
        with held_key(self._store, slot) as key:
            return _WITH_KEY[operation](key, data, self._entropy)

    def _with_next_key(self, operation: Operation, slot: Slot, data: bytes) -> bytes:
        with held_key(self._store, slot) as before:
            if slot.algorithm == "TDES-2KEY":
                answer, state = _tdes_dukpt(operation, before, data)
            else:
                answer, state = _aes_dukpt(operation, before, data)
        self._store.put({slot.key: bytes(state)})
        wipe(state)
        return answer


def _encrypt_pin_block(key: Secret, data: bytes, _: Entropy) -> bytes:
    if len(data) != PIN_BLOCK_BYTES:
        raise LocalError(f"PIN block of {len(data)} bytes; {PIN_BLOCK_BYTES}")
    return Cipher(tdes(key.data), ECB()).encryptor().update(data)


def _generate_mac(key: Secret, data: bytes, _: Entropy) -> bytes:
    return retail_mac(key, data, Padding.ONE_AND_ZEROS)


def _verify_mac(key: Secret, data: bytes, _: Entropy) -> bytes:
    message = data[:-MAC_BYTES]
    if not hmac.compare_digest(retail_mac(key, message, Padding.ONE_AND_ZEROS), data[-MAC_BYTES:]):
        raise KeyMaterialError("MAC does not match")
    return message


def _encrypt_data(key: Secret, data: bytes, entropy: Entropy) -> bytes:
    nonce = entropy(NONCE_BYTES)
    return nonce + AESGCM(key.data).encrypt(nonce, data, None)


def _decrypt_data(key: Secret, data: bytes, _: Entropy) -> bytes:
    try:
        return AESGCM(key.data).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None)
    except (InvalidTag, ValueError) as error:  # ValueError: too short for its nonce
        raise KeyMaterialError("data do not decrypt under this key") from error


def _sign(key: Secret, data: bytes, _: Entropy) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(key.data).sign(data)


_WITH_KEY: Final[Mapping[Operation, Callable[[Secret, bytes, Entropy], bytes]]] = {
    Operation.ENCRYPT_PIN_BLOCK: _encrypt_pin_block,
    Operation.GENERATE_MAC: _generate_mac,
    Operation.VERIFY_MAC: _verify_mac,
    Operation.ENCRYPT_DATA: _encrypt_data,
    Operation.DECRYPT_DATA: _decrypt_data,
    Operation.SIGN: _sign,
}


def _aes_dukpt(operation: Operation, state: Secret, data: bytes) -> tuple[bytes, bytearray]:
    """The answer and the new state of an AES-DUKPT key set."""
    is_mac = operation is Operation.DUKPT_MAC
    usage = KeyUsage.MAC_GENERATION if is_mac else KeyUsage.DATA_ENCRYPTION
    key_set = TerminalDukpt.import_state(state.data)
    try:
        ksn, (key,) = key_set.next_working_keys((usage,))
        with key:
            answer = cmac8(key, data) if is_mac else _cbc(AES(key.data), data)
        return ksn.encode() + answer, key_set.export_state()
    finally:
        key_set.wipe()


def _tdes_dukpt(operation: Operation, state: Secret, data: bytes) -> tuple[bytes, bytearray]:
    """The same of a TDES-DUKPT key set."""
    is_mac = operation is Operation.DUKPT_MAC
    usage = TdesKeyUsage.MAC_REQUEST if is_mac else TdesKeyUsage.DATA_REQUEST
    key_set = TdesTerminalDukpt.import_state(state.data)
    try:
        ksn, (key,) = key_set.next_working_keys((usage,))
        with key:
            answer = retail_mac(key, data, Padding.ONE_AND_ZEROS) if is_mac else _cbc(tdes(key.data), data)
        return ksn.encode() + answer, key_set.export_state()
    finally:
        key_set.wipe()


def _cbc(algorithm: BlockCipherAlgorithm, data: bytes) -> bytes:
    block_bytes = algorithm.block_size // 8
    if not data or len(data) % block_bytes:
        raise LocalError(f"data of {len(data)} bytes are not in whole blocks of {block_bytes}")
    return Cipher(algorithm, CBC(bytes(block_bytes))).encryptor().update(data)
