"""TDES as the ciphers of the house get it: any of three key lengths is 24 bytes, and the published blocks come out."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from posdecom_protocol.errors import LocalError
from posdecom_protocol.tdes import tdes


@pytest.mark.parametrize(
    ("key", "plain", "cipher"),
    [
        ("10316E028C8F3B4A", "0000000000000000", "82DCBAFBDEAB6602"),
        ("0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123", "5468652071756663", "A826FD8CE53B855F"),
    ],
    ids=["NIST SP 800-17, permutation operation: one key", "NIST SP 800-67 B.1: three keys"],
)
def test_the_published_blocks(key: str, plain: str, cipher: str) -> None:
    encryptor = Cipher(tdes(bytes.fromhex(key)), ECB()).encryptor()
    assert encryptor.update(bytes.fromhex(plain)).hex().upper() == cipher


@pytest.mark.parametrize(("length", "expanded"), [(8, "111"), (16, "121"), (24, "123")])
def test_a_short_key_is_repeated_as_its_keying_option_says(length: int, expanded: str) -> None:
    key = b"".join(bytes([number]) * 8 for number in (1, 2, 3))[:length]
    assert tdes(key).key == b"".join(bytes([int(number)]) * 8 for number in expanded)


@pytest.mark.parametrize("length", [0, 7, 9, 15, 17, 23, 25, 32])
def test_a_key_of_any_other_length_is_our_own_fault(length: int) -> None:
    with pytest.raises(LocalError, match=f"^TDES key of {length} bytes; 8, 16 or 24$"):
        tdes(bytes(length))
