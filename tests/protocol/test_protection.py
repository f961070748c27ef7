from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.errors import KeyMaterialError, LocalError
from posdecom_protocol.protection import (
    AccountData,
    MessageKeys,
    cmac8,
    cmac8_matches,
    decrypt_account_data,
    encrypt_account_data,
)
from posdecom_protocol.secret import Secret

KEY = Secret(bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"))
CARD = AccountData("4111111111111111", "3112")
FIRST_BLOCK = bytes.fromhex("6BC1BEE22E409F96E93D7E117393172A")


@pytest.mark.parametrize(
    ("key", "message", "mac"),
    [
        ("2B7E151628AED2A6ABF7158809CF4F3C", b"", "BB1D6929E9593728"),
        ("2B7E151628AED2A6ABF7158809CF4F3C", FIRST_BLOCK, "070A16B46B4D4144"),
        (
            "603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4",
            FIRST_BLOCK,
            "28A7023F452E8F82",
        ),
    ],
    ids=["AES-128 empty", "AES-128 one block", "AES-256 one block"],
)
def test_the_mac_is_the_left_half_of_the_cmac_examples_of_nist(key: str, message: bytes, mac: str) -> None:
    """NIST SP 800-38B, examples of AES-CMAC."""
    secret = Secret(bytes.fromhex(key))
    assert cmac8(secret, message) == bytes.fromhex(mac)
    assert cmac8_matches(secret, message, bytes.fromhex(mac))


@pytest.mark.parametrize("position", range(8))
def test_a_mac_with_any_bit_changed_or_cut_short_does_not_match(position: int) -> None:
    mac = bytearray(cmac8(KEY, FIRST_BLOCK))
    assert not cmac8_matches(KEY, FIRST_BLOCK, mac[:position])
    mac[position] ^= 1
    assert not cmac8_matches(KEY, FIRST_BLOCK, mac)


def test_account_data_are_padded_by_method_2_and_chained_from_a_zero_iv() -> None:
    cipher = encrypt_account_data(KEY, CARD)
    block = Cipher(AES(KEY.data), ECB()).encryptor()
    first = block.update(b"4111111111111111")
    second = block.update(bytes(a ^ b for a, b in zip(first, b"=3112\x80" + bytes(10), strict=True)))
    assert cipher == first + second
    assert decrypt_account_data(KEY, cipher) == CARD


@given(st.from_regex(r"[0-9]{12,19}", fullmatch=True), st.integers(0, 99), st.integers(1, 12))
def test_every_card_takes_32_bytes_and_comes_back(pan: str, year: int, month: int) -> None:
    card = AccountData(pan, f"{year:02}{month:02}")
    cipher = encrypt_account_data(KEY, card)
    assert len(cipher) == 32
    assert decrypt_account_data(KEY, cipher) == card


@pytest.mark.parametrize("length", [*range(32), 33, 48, 64])
def test_account_data_of_another_length_are_refused(length: int) -> None:
    cipher = (encrypt_account_data(KEY, CARD) * 2)[:length]
    with pytest.raises(KeyMaterialError, match=f"{length} bytes"):
        decrypt_account_data(KEY, cipher)


def test_another_key_does_not_open_account_data() -> None:
    with pytest.raises(KeyMaterialError, match=r"^account data do not decrypt under this key$"):
        decrypt_account_data(Secret(bytes(16)), encrypt_account_data(KEY, CARD))


@pytest.mark.parametrize(
    "clear",
    [
        b"4111111111111111=3112" + bytes(11),
        b"4111111111111111=3112\x80\x80" + bytes(9),
        b"4111111111111111=3113\x80" + bytes(10),
        b"411111111111111A=3112\x80" + bytes(10),
        b"41111111111=3112\x80" + bytes(15),
        b"41111111111111111111=3112\x80" + bytes(6),
        b"4111111111111111D3112\x80" + bytes(10),
        b"\xb411111111111111=3112\x80" + bytes(11),
        bytes(32),
    ],
    ids=[
        "no padding", "padding twice", "month 13", "letter", "11 digits",
        "20 digits", "track separator", "not ASCII", "zeros",
    ],
)  # fmt: skip
def test_a_clear_text_that_is_no_account_data_is_refused_without_being_shown(clear: bytes) -> None:
    block = Cipher(AES(KEY.data), ECB()).encryptor()
    first = block.update(clear[:16])
    cipher = first + block.update(bytes(a ^ b for a, b in zip(first, clear[16:], strict=True)))
    with pytest.raises(KeyMaterialError, match=r"^account data do not decrypt under this key$") as refusal:
        decrypt_account_data(KEY, cipher)
    assert refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("pan", "expiry"),
    [
        ("4" * 11, "3112"),
        ("4" * 20, "3112"),
        ("411111111111111x", "3112"),
        ("٤" * 16, "3112"),
        ("4" * 16, "3100"),
        ("4" * 16, "311"),
        ("4" * 16 + "\n", "3112"),
    ],
)
def test_an_impossible_card_is_not_built_and_not_shown(pan: str, expiry: str) -> None:
    with pytest.raises(LocalError) as refusal:
        AccountData(pan, expiry)
    assert pan not in str(refusal.value)
    assert expiry not in str(refusal.value)


def test_a_card_does_not_show_itself() -> None:
    assert repr(CARD) == "AccountData(hidden)"
    assert "4111" not in f"{CARD}"


def test_the_keys_of_a_message_show_only_lengths() -> None:
    keys = MessageKeys(Secret(bytes(16)), Secret(bytes(32)))
    assert repr(keys) == "MessageKeys(mac=Secret(16 bytes), data=Secret(32 bytes))"


def test_the_keys_of_a_message_are_wiped_when_their_block_ends() -> None:
    with MessageKeys(Secret(bytes(16)), Secret(bytes(16))) as keys:
        assert len(keys.mac) == len(keys.data) == 16
    assert len(keys.mac) == len(keys.data) == 0
