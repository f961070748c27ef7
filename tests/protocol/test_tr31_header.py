from __future__ import annotations

from typing import Final

import pytest

from posdecom_protocol.errors import KeyMaterialError, LocalError
from posdecom_protocol.tr31_header import (
    Exportability,
    KeyBlockAlgorithm,
    KeyBlockHeader,
    KeyBlockUsage,
    KeyBlockVersion,
    ModeOfUse,
    OptionalBlock,
    decode_header,
    encode_header,
)

PIN_KEY: Final = KeyBlockHeader(
    KeyBlockVersion.AES_DERIVATION,
    KeyBlockUsage.PIN_ENCRYPTION,
    KeyBlockAlgorithm.AES,
    ModeOfUse.ENCRYPT,
    Exportability.TRUSTED,
)
BDK: Final = KeyBlockHeader(
    KeyBlockVersion.TDES_DERIVATION,
    KeyBlockUsage.BDK,
    KeyBlockAlgorithm.TDES,
    ModeOfUse.DERIVE,
    Exportability.SENSITIVE,
    "12",
    (OptionalBlock("KS", "00604B120F9292800000"),),
)


@pytest.mark.parametrize(
    ("header", "body_chars", "align_chars", "text"),
    [
        (PIN_KEY, 128, 16, "D0144P0AE00E0000"),
        (BDK, 80, 8, "B0120B0TX12S0100KS1800604B120F9292800000"),
    ],
    ids=["ANSI X9.143:2021 8.1", "ANSI X9.143:2021 8.4.2"],
)
def test_published_headers_in_both_directions(
    header: KeyBlockHeader, body_chars: int, align_chars: int, text: str
) -> None:
    assert encode_header(header, body_chars, align_chars) == text
    assert decode_header(text + "0" * body_chars) == (header, text)


@pytest.mark.parametrize("chars", range(40))
@pytest.mark.parametrize("align_chars", [8, 16])
def test_optional_blocks_are_padded_to_whole_cipher_blocks_and_the_padding_is_not_one_of_them(
    chars: int, align_chars: int
) -> None:
    blocks = (OptionalBlock("TS", "x" * chars), OptionalBlock("KS", "FFFF9876543210E00000"))
    header = KeyBlockHeader(
        BDK.version, BDK.usage, BDK.algorithm, BDK.mode, BDK.exportability, optional_blocks=blocks
    )
    text = encode_header(header, 64, align_chars)
    assert len(text) % align_chars == 0
    assert decode_header(text + "0" * 64) == (header, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D0016P0AE00E000",
        "E0016P0AE00E0000",
        "D001６P0AE00E0000",
        "D 016P0AE00E0000",
        "D0016P0AE00E+000",
        "D0016P0AE00E0001",
        "d0016P0AE00E0000",
        "D0016Z9AE00E0000",
        "D0016P0ZE00E0000",
        "D0016P0AZ00E0000",
        "D0016P0AE00Z0000",
        "D0016P0AE0-E0000",
        "D0017P0AE00E0000",
        "D0016P0AE00E0000 ",
    ],
    ids=[
        "empty", "too short", "version E", "wide digit", "space in the length", "sign in the count", "reserved",
        "small letter", "usage", "algorithm", "mode", "exportability", "key version", "length above", "length below",
    ],
)  # fmt: skip
def test_a_header_with_one_wrong_character_is_refused(text: str) -> None:
    with pytest.raises(KeyMaterialError, match="key block"):
        decode_header(text)


@pytest.mark.parametrize(
    "optional",
    [
        "",
        "K",
        "KS",
        "KS0",
        "KS03",
        "KS00",
        "KS0002000A",
        "KS0Gxx",
        "KS05",
        "KS06xxx",
        "ks04",
        "KS05\n",
        "KS05\x80",
    ],
)
def test_a_malformed_optional_block_is_refused(optional: str) -> None:
    count = 2 if optional == "KS06xxx" else 1
    text = f"D{16 + len(optional):04}P0AE00E{count:02}00{optional}"
    with pytest.raises(KeyMaterialError, match="optional block is malformed"):
        decode_header(text)


def test_values_that_fit_no_header_are_our_own_mistake() -> None:
    for block_id, text in [("PB", ""), ("K", ""), ("ks", ""), ("KS", "x" * 252), ("KS", "é"), ("KS", "\n")]:
        with pytest.raises(LocalError):
            OptionalBlock(block_id, text)
    with pytest.raises(LocalError, match="key version"):
        KeyBlockHeader(BDK.version, BDK.usage, BDK.algorithm, BDK.mode, BDK.exportability, "1")


@pytest.mark.parametrize(
    ("count", "chars", "refusal"), [(100, 0, "100 optional blocks"), (99, 251, "characters; at most 9999")]
)
def test_more_than_a_header_can_count_is_refused(count: int, chars: int, refusal: str) -> None:
    blocks = (OptionalBlock("TS", "x" * chars),) * count
    header = KeyBlockHeader(
        BDK.version, BDK.usage, BDK.algorithm, BDK.mode, BDK.exportability, optional_blocks=blocks
    )
    with pytest.raises(LocalError, match=refusal):
        encode_header(header, 0, 1)


def test_the_longest_key_block_has_9999_characters() -> None:
    text = encode_header(PIN_KEY, 9999 - 16, 16)
    assert decode_header(text + "0" * (9999 - 16)) == (PIN_KEY, text)
    with pytest.raises(LocalError, match="10000 characters"):
        encode_header(PIN_KEY, 10_000 - 16, 16)


def test_a_header_may_end_with_its_optional_block() -> None:
    """Whether a key has to follow is the key block's question."""
    text = encode_header(BDK, 0, 8)
    assert decode_header(text) == (BDK, text)
