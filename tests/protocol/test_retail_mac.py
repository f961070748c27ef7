from __future__ import annotations

import psec.mac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.errors import LocalError
from posdecom_protocol.retail_mac import Padding, retail_mac
from posdecom_protocol.secret import Secret

KEY = Secret(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))


@pytest.mark.parametrize(
    ("message", "padding", "mac"),
    [
        (b"Now is the time for all ", Padding.ZEROS, "A1C72E74EA3FA9B6"),
        (b"Now is the time for it", Padding.ZEROS, "2E2B1428CC78254F"),
        (b"Now is the time for all ", Padding.ONE_AND_ZEROS, "E9086230CA3BE796"),
        (b"Now is the time for it", Padding.ONE_AND_ZEROS, "5A692CE64F404145"),
    ],
)
def test_the_examples_of_the_standard(message: bytes, padding: Padding, mac: str) -> None:
    """ISO/IEC 9797-1:1999, the examples of algorithm 3: both messages, both paddings."""
    assert retail_mac(KEY, message, padding) == bytes.fromhex(mac)


@given(
    key=st.binary(min_size=16, max_size=16),
    message=st.binary(max_size=40),
    padding=st.sampled_from(Padding),
)
def test_every_mac_is_psecs(key: bytes, message: bytes, padding: Padding) -> None:
    expected = psec.mac.generate_retail_mac(key[:8], key[8:], message, padding.value)
    assert retail_mac(Secret(key), message, padding) == expected


def test_only_the_second_padding_tells_final_zeros_apart() -> None:
    zeros, one_and_zeros = [
        [retail_mac(KEY, message, padding) for message in (b"12", b"12\0")] for padding in Padding
    ]
    assert zeros[0] == zeros[1]
    assert one_and_zeros[0] != one_and_zeros[1]


@pytest.mark.parametrize("length", [8, 15, 17, 24])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(LocalError, match=f"{length} bytes; 16"):
        retail_mac(Secret(bytes(length)), b"", Padding.ZEROS)
