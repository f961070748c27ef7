"""Key check values: which key is that, without showing it. Never a proof that a key is gone."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, assert_never

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.cmac import CMAC

from .secret import Secret
from .tdes import tdes


class KcvMethod(IntEnum):
    """How a check value was made; it says the algorithm too, so no wrong pair can be asked for."""

    TDES_ZEROS = 1
    """Legacy: a zero block encrypted with TDES, first 3 bytes (ANSI X9.24-1)."""
    AES_ZEROS = 2
    """The same with AES, as older terminals print it: first 3 bytes."""
    AES_CMAC = 3
    """CMAC of one zero block, first 5 bytes (ANSI X9.24-1:2017)."""


KCV_BYTES: Final[dict[KcvMethod, int]] = {
    KcvMethod.TDES_ZEROS: 3,
    KcvMethod.AES_ZEROS: 3,
    KcvMethod.AES_CMAC: 5,
}


def kcv(key: Secret, method: KcvMethod) -> bytes:
    """Check value of ``key`` (TDES 16 or 24 bytes, AES 16, 24 or 32): 3 or 5 bytes, see `KCV_BYTES`.

    >>> kcv(Secret(bytes.fromhex("3F419E1CB7079442AA37474C2EFBF8B8")), KcvMethod.AES_CMAC).hex()
    '08793e25ab'
    """
    match method:
        case KcvMethod.TDES_ZEROS:
            value = _encrypted_zeros(tdes(key.data), 8)
        case KcvMethod.AES_ZEROS:
            value = _encrypted_zeros(AES(key.data), 16)
        case KcvMethod.AES_CMAC:
            mac = CMAC(AES(key.data))
            mac.update(bytes(16))
            value = mac.finalize()
        case _:
            assert_never(method)
    return value[: KCV_BYTES[method]]


def _encrypted_zeros(algorithm: BlockCipherAlgorithm, block_bytes: int) -> bytes:
    return Cipher(algorithm, ECB()).encryptor().update(bytes(block_bytes))
