from __future__ import annotations

import psec.des
import pytest

from posdecom_protocol.errors import LocalError
from posdecom_protocol.kcv import KCV_BYTES, KcvMethod, kcv
from posdecom_protocol.secret import Secret
from published_vectors import published

METHODS = {"T": KcvMethod.TDES_ZEROS, "A": KcvMethod.AES_CMAC}


@pytest.mark.parametrize(
    ("key", "method", "value"),
    [
        ("F039121BEC83D26B169BDCD5B22AAF8F", KcvMethod.TDES_ZEROS, "CB9DEA"),
        ("3F419E1CB7079442AA37474C2EFBF8B8", KcvMethod.AES_CMAC, "08793E25AB"),
        ("2B7E151628AED2A6ABF7158809CF4F3C", KcvMethod.AES_ZEROS, "7DF76B"),
        ("000000000000000000000000000000000000000000000000", KcvMethod.TDES_ZEROS, "8CA64D"),
    ],
    ids=["TR-31:2018 A.7.2.1", "ANSI X9.143:2021 8.1", "NIST SP 800-38B L of AES-128", "DES of zeros"],
)
def test_published_check_values(key: str, method: KcvMethod, value: str) -> None:
    assert kcv(Secret(bytes.fromhex(key)), method) == bytes.fromhex(value)


def test_every_check_value_of_the_published_key_blocks() -> None:
    rows = published("tr31_key_blocks.json")["rows"]
    assert len(rows) == 15
    for row in rows:
        value = kcv(Secret(bytes.fromhex(row["key"])), METHODS[row["key_block"][7]])
        assert value.hex().upper().startswith(row["kcv"]), row["origin"]


@pytest.mark.parametrize("length", [16, 24])
def test_the_tdes_check_value_is_psecs(length: int) -> None:
    key = bytes(range(7, 7 + length))
    assert kcv(Secret(key), KcvMethod.TDES_ZEROS) == psec.des.generate_kcv(key, 3)


def test_check_values_have_their_lengths() -> None:
    lengths = {method: len(kcv(Secret(bytes(16)), method)) for method in KcvMethod}
    assert lengths == KCV_BYTES == {KcvMethod.TDES_ZEROS: 3, KcvMethod.AES_ZEROS: 3, KcvMethod.AES_CMAC: 5}


def test_a_wiped_key_has_no_check_value() -> None:
    key = Secret(bytes(16))
    key.wipe()
    for method in KcvMethod:
        with pytest.raises(LocalError, match="wiped"):
            kcv(key, method)
