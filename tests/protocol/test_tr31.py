"""Key blocks against the standards' own examples and, on random keys, against psec in both directions."""

from __future__ import annotations

import os
from typing import Final

import psec.tr31
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posdecom_protocol import tr31
from posdecom_protocol.errors import KeyMaterialError, LocalError
from posdecom_protocol.secret import Secret
from posdecom_protocol.tr31 import KeyBlock, unwrap_key_block, wrap_key_block
from posdecom_protocol.tr31_header import (
    Exportability,
    KeyBlockAlgorithm,
    KeyBlockHeader,
    KeyBlockUsage,
    KeyBlockVersion,
    ModeOfUse,
    OptionalBlock,
)
from published_vectors import published

VERSION_A: Final = (
    "89E88CF7931444F334BD7547FC3F380C",
    "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
    "F039121BEC83D26B169BDCD5B22AAF8F",
)
VERSION_B: Final = (
    "DD7515F2BFC17F85CE48F3CA25CB21F6",
    "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
    "3F419E1CB7079442AA37474C2EFBF8B8",
)
VERSION_C: Final = (
    "B8ED59E0A279A295E9F5ED7944FD06B9",
    "C0096B0TX12S0100KS1800604B120F9292800000BFB9B689CB567E66FC3FEE5AD5F52161FC6545B9D60989015D02155C",
    "EDB380DD340BC2620247D445F5B8D678",
)
VERSION_D: Final = (
    "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
    (
        "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A2"
        "7E8E31DA05F7425509593D03A457DC34"
    ),
    "3F419E1CB7079442AA37474C2EFBF8B8",
)
EXAMPLES: Final = pytest.mark.parametrize(
    ("kbpk", "text", "key"),
    [VERSION_A, VERSION_B, VERSION_C, VERSION_D],
    ids=["TR-31:2018 A.7.2.1", "TR-31:2018 A.7.2.2", "TR-31:2018 A.7.3.1", "TR-31:2018 A.7.4"],
)
WRAPPED: Final = [KeyBlockVersion.TDES_DERIVATION, KeyBlockVersion.AES_DERIVATION]
KBPK_BYTES: Final = {KeyBlockVersion.TDES_DERIVATION: [16, 24], KeyBlockVersion.AES_DERIVATION: [16, 24, 32]}
KEY_BYTES: Final = {KeyBlockAlgorithm.TDES: [16, 24], KeyBlockAlgorithm.AES: [16, 24, 32]}


def secret(text: str) -> Secret:
    return Secret(bytes.fromhex(text))


def header(version: KeyBlockVersion, algorithm: KeyBlockAlgorithm = KeyBlockAlgorithm.TDES) -> KeyBlockHeader:
    return KeyBlockHeader(
        version, KeyBlockUsage.KEY_ENCRYPTION, algorithm, ModeOfUse.ENCRYPT_AND_DECRYPT, Exportability.NONE
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, KeyBlock]:
    """A protection key, and a key with a header."""
    version = draw(st.sampled_from(WRAPPED))
    kbpk_bytes = draw(st.sampled_from(KBPK_BYTES[version]))
    kbpk = draw(st.binary(min_size=kbpk_bytes, max_size=kbpk_bytes))
    algorithm = draw(st.sampled_from(list(KEY_BYTES)))
    key_bytes = draw(st.sampled_from(KEY_BYTES[algorithm]))
    key = draw(st.binary(min_size=key_bytes, max_size=key_bytes))
    texts = draw(st.lists(st.text("0123456789ABCDEFxyz", max_size=40), max_size=1))
    details = KeyBlockHeader(
        version,
        draw(st.sampled_from(KeyBlockUsage)),
        algorithm,
        draw(st.sampled_from(ModeOfUse)),
        draw(st.sampled_from(Exportability)),
        draw(st.sampled_from(["00", "12", "c1"])),
        tuple(OptionalBlock("KS", text) for text in texts),
    )
    return kbpk, KeyBlock(details, Secret(key))


# --- published values ------------------------------------------------------------------------------------------


@EXAMPLES
def test_the_examples_of_the_standard_unwrap(kbpk: str, text: str, key: str) -> None:
    assert unwrap_key_block(secret(kbpk), text).key == secret(key)


def test_every_published_block_of_versions_a_to_d_unwraps_and_version_e_is_refused() -> None:
    unwrapped = ""
    for row in published("tr31_key_blocks.json")["rows"]:
        kbpk, text = secret(row["kbpk"]), row["key_block"]
        if text.startswith("E"):
            with pytest.raises(KeyMaterialError, match="header is malformed"):
                unwrap_key_block(kbpk, text)
            continue
        key_block = unwrap_key_block(kbpk, text)
        assert key_block.key == secret(row["key"]), row["origin"]
        optional = [block.text for block in key_block.header.optional_blocks if block.block_id == "KS"]
        assert optional == ([row["ksn_optional_block"]] if "ksn_optional_block" in row else [])
        unwrapped += text[0]
    assert sorted(unwrapped) == list("AABBBBCCCDDDDD")


# --- an independent implementation -----------------------------------------------------------------------------


@given(case=cases())
def test_what_we_wrap_psec_unwraps(case: tuple[bytes, KeyBlock]) -> None:
    kbpk, key_block = case
    text = wrap_key_block(Secret(kbpk), key_block, os.urandom)
    psec_header, psec_key = psec.tr31.unwrap(kbpk, text)
    assert psec_key == key_block.key.data
    assert psec_header.key_usage == key_block.header.usage.value
    assert psec_header.algorithm == key_block.header.algorithm.value
    assert psec_header.mode_of_use == key_block.header.mode.value
    assert psec_header.exportability == key_block.header.exportability.value
    assert psec_header.version_num == key_block.header.key_version
    assert unwrap_key_block(Secret(kbpk), text) == key_block


@given(case=cases())
def test_with_the_same_padding_we_wrap_byte_for_byte_as_psec(case: tuple[bytes, KeyBlock]) -> None:
    kbpk, key_block = case
    text = wrap_key_block(Secret(kbpk), key_block, bytes)
    psec_header = psec.tr31.Header(
        key_block.header.version.value,
        key_block.header.usage.value,
        key_block.header.algorithm.value,
        key_block.header.mode.value,
        key_block.header.key_version,
        key_block.header.exportability.value,
    )
    for block in key_block.header.optional_blocks:
        psec_header.blocks[block.block_id] = block.text
        # where four characters of padding are enough, psec adds a whole cipher block to them
        assume(
            (len(block.text) + 8) % (16 if key_block.header.version is KeyBlockVersion.AES_DERIVATION else 8)
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psec.tr31, "_urandom", bytes)
        assert psec.tr31.wrap(kbpk, psec_header, bytes(key_block.key.data)) == text


@given(kbpk=st.binary(min_size=16, max_size=16), key=st.binary(min_size=16, max_size=16))
@pytest.mark.parametrize("version", ["A", "C"])
def test_the_deprecated_versions_of_psec_unwrap(version: str, kbpk: bytes, key: bytes) -> None:
    text = psec.tr31.wrap(kbpk, f"{version}0000M3TC00N0000", key)
    key_block = unwrap_key_block(Secret(kbpk), text)
    assert key_block.key == Secret(key)
    assert key_block.header.usage is KeyBlockUsage.MAC_ALGORITHM_3


# --- what must not pass ----------------------------------------------------------------------------------------


@EXAMPLES
def test_a_block_with_any_one_character_changed_is_refused(kbpk: str, text: str, key: str) -> None:
    for position, character in enumerate(text):
        for other in {"0", "1", "A", "B", "D", "F", "N", "T"} - {character}:
            with pytest.raises(KeyMaterialError):
                unwrap_key_block(secret(kbpk), text[:position] + other + text[position + 1 :])


@EXAMPLES
def test_a_block_cut_short_anywhere_is_refused_even_if_its_length_agrees(
    kbpk: str, text: str, key: str
) -> None:
    for length in range(len(text)):
        agreeing = f"{text[0]}{length:04}{text[5:]}"[:length]
        for cut in (text[:length], agreeing):
            with pytest.raises(KeyMaterialError):
                unwrap_key_block(secret(kbpk), cut)


@EXAMPLES
def test_under_another_protection_key_a_block_is_refused(kbpk: str, text: str, key: str) -> None:
    other = secret(kbpk)
    other.data[0] ^= 0x02  # not a parity bit
    with pytest.raises(KeyMaterialError, match=r"^key block MAC does not match$"):
        unwrap_key_block(other, text)


@pytest.mark.parametrize("body", ["0g", "a0", " 0", "0"], ids=["letter", "small", "space", "odd"])
def test_what_is_not_in_capital_hexadecimal_is_refused(body: str) -> None:
    kbpk, text, _ = VERSION_B
    changed = text[: -len(body)] + body if len(body) == 2 else f"B0081{text[5:]}0"
    with pytest.raises(KeyMaterialError, match="hexadecimal"):
        unwrap_key_block(secret(kbpk), changed)


@pytest.mark.parametrize("version", list(KeyBlockVersion))
def test_protection_keys_have_the_lengths_of_their_version(version: KeyBlockVersion) -> None:
    texts = {text[0]: text for _, text, _ in (VERSION_A, VERSION_B, VERSION_C, VERSION_D)}
    wrong = [8, 15, 33] if version is KeyBlockVersion.AES_DERIVATION else [8, 15, 32]
    for length in wrong:
        with pytest.raises(KeyMaterialError, match=f"protection key of {length} bytes"):
            unwrap_key_block(Secret(bytes(length)), texts[version.value])
        if version in WRAPPED:
            with pytest.raises(LocalError, match=f"protection key of {length} bytes"):
                wrap_key_block(Secret(bytes(length)), KeyBlock(header(version), Secret(bytes(16))), bytes)


def test_the_deprecated_versions_are_not_wrapped() -> None:
    for version in (KeyBlockVersion.VARIANT_2005, KeyBlockVersion.VARIANT):
        with pytest.raises(LocalError, match="only unwrapped"):
            wrap_key_block(Secret(bytes(16)), KeyBlock(header(version), Secret(bytes(16))), bytes)


@pytest.mark.parametrize(
    ("algorithm", "length"),
    [
        (KeyBlockAlgorithm.AES, 8),
        (KeyBlockAlgorithm.TDES, 32),
        (KeyBlockAlgorithm.DES, 16),
        (KeyBlockAlgorithm.HMAC, 65),
    ],
)
def test_a_key_that_its_algorithm_does_not_know_is_neither_wrapped_nor_unwrapped(
    algorithm: KeyBlockAlgorithm, length: int
) -> None:
    kbpk, details = bytes(32), header(KeyBlockVersion.AES_DERIVATION, algorithm)
    with pytest.raises(LocalError, match=f"{algorithm.name} key of {length} bytes"):
        wrap_key_block(Secret(kbpk), KeyBlock(details, Secret(bytes(length))), bytes)
    text = psec.tr31.wrap(kbpk, f"D0000K0{algorithm.value}B00N0000", bytes(length))
    with pytest.raises(KeyMaterialError, match=f"{algorithm.name} key of {length} bytes"):
        unwrap_key_block(Secret(kbpk), text)


@pytest.mark.parametrize(
    ("clear", "key"),
    [
        (bytes.fromhex("00F0") + bytes(range(30)), bytes(range(30))),
        (bytes.fromhex("00F8") + bytes(range(30)), None),
        (bytes.fromhex("00F1") + bytes(range(30)), None),
        (bytes.fromhex("FFF8") + bytes(range(30)), None),
        (bytes(32), None),
    ],
    ids=["fits exactly", "one byte too long", "not whole bytes", "far too long", "no key"],
)
def test_the_length_inside_a_block_is_judged_even_under_a_good_mac(
    clear: bytes, key: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kbpk, details = Secret(bytes(32)), header(KeyBlockVersion.AES_DERIVATION, KeyBlockAlgorithm.HMAC)
    monkeypatch.setattr(tr31, "_key_data", lambda *_: bytearray(clear))
    text = wrap_key_block(kbpk, KeyBlock(details, Secret(bytes(30))), bytes)
    if key is not None:
        assert unwrap_key_block(kbpk, text).key == Secret(key)
    else:
        with pytest.raises(KeyMaterialError, match=r"impossible length|key of 0 bytes"):
            unwrap_key_block(kbpk, text)


@pytest.mark.parametrize("shift", range(1, 8))
def test_a_header_that_does_not_fill_its_cipher_blocks_is_refused(shift: int) -> None:
    kbpk, text, _ = VERSION_C
    body = text[40:]
    optional = f"TS{4 + shift:02X}{'x' * shift}"
    padded = f"C{16 + len(optional) + len(body):04}{text[5:12]}0100{optional}{body}"
    whole = len(optional) % 8 == 0
    with pytest.raises(KeyMaterialError, match="MAC" if whole else "whole cipher blocks of 8 bytes"):
        unwrap_key_block(secret(kbpk), padded)


@pytest.mark.parametrize("version", WRAPPED)
def test_the_length_of_a_block_does_not_tell_the_length_of_its_key(version: KeyBlockVersion) -> None:
    lengths = {
        len(wrap_key_block(Secret(bytes(16)), KeyBlock(header(version), Secret(bytes(key_bytes))), bytes))
        for key_bytes in (16, 24)
    }
    assert len(lengths) == 1


def test_a_key_block_does_not_show_its_key() -> None:
    key_block = unwrap_key_block(secret(VERSION_D[0]), VERSION_D[1])
    assert "key=Secret(16 bytes)" in repr(key_block)
