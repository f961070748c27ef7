"""TDES keys as the library wants them: always 24 bytes, and from its module for decrepit algorithms.

Payment terminals still hold double-length keys (NIST SP 800-67 keying option 2), which are expanded here.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

from .errors import LocalError
from .secret import BytesLike

BLOCK_BYTES: Final = 8
KEY_BYTES: Final = frozenset({8, 16, 24})
"""Single length serves only the inner steps of X9.24-1 and of ISO/IEC 9797-1 algorithm 3."""


def tdes(key: BytesLike) -> TripleDES:
    """A cipher algorithm from 8 (K1 K1 K1, which is DES), 16 (K1 K2 K1) or 24 bytes; parity is not checked."""
    if len(key) not in KEY_BYTES:
        raise LocalError(f"TDES key of {len(key)} bytes; 8, 16 or 24")
    expanded = bytearray(key)
    while len(expanded) < 24:
        expanded += key[:8]
    return TripleDES(expanded)  # type: ignore[arg-type]  # takes any buffer; only its annotation says bytes
