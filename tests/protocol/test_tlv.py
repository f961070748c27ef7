"""BER-TLV objects: both directions, one spelling each, and everything that BER allows and field 55 does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol import tlv
from posdecom_protocol.errors import LocalError, MessageError

EXAMPLES = [
    # EMV 4.3 Book 3 annex A gives tag and length of each, annex B the coding; the values are made up
    ("9f0206000000000612", {0x9F02: "000000000612"}),
    ("5f2a0201569a0326112182027c00", {0x5F2A: "0156", 0x9A: "261121", 0x82: "7c00"}),
    ("9f270140" + "9f3602" + "01ff", {0x9F27: "40", 0x9F36: "01ff"}),
    ("df810101ff", {0xDF8101: "ff"}),
    ("9f1000", {0x9F10: ""}),
    ("9f10" + "7f" + "aa" * 127, {0x9F10: "aa" * 127}),
    ("9f10" + "8180" + "aa" * 128, {0x9F10: "aa" * 128}),
    ("", {}),
]


@pytest.mark.parametrize(("wire", "objects"), EXAMPLES)
def test_objects_are_these_bytes_and_read_back(wire: str, objects: dict[int, str]) -> None:
    values = {tag: bytes.fromhex(value) for tag, value in objects.items()}
    assert tlv.encode(values).hex() == wire
    assert tlv.decode(bytes.fromhex(wire)) == values


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("9f", "ends inside its tag"),
        ("9f02", "length at byte 2 is missing"),
        ("9f0206000000", "6 bytes of value, 3 there"),
        ("8280000000", "indefinite"),
        ("8281", "cut off"),
        ("82810200ff", "longer than it need be"),
        ("82820002ffff", "over 255"),
        ("7003820100", "constructed"),
        ("0082020000", "filler"),
        ("8202000000", "filler"),
        ("ff0100", "filler"),
        ("9f808001 00", "no tag of at most 3"),
        ("9f8001 00", "no tag of at most 3"),
        ("9f81828300", "no tag of at most 3"),
        ("820100820100", "byte 3: tag 82 was there before"),
    ],
)
def test_what_is_no_list_of_primitive_objects_is_refused(wire: str, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        tlv.decode(bytes.fromhex(wire))


@pytest.mark.parametrize(
    "objects", [{0x00: b""}, {0xFF: b""}, {0x70: b""}, {0x9F: b""}, {0x8200: b""}, {0x9F8001: b""}, {0x82: bytes(256)}]
)  # fmt: skip
def test_what_nobody_could_read_back_is_not_written(objects: dict[int, bytes]) -> None:
    with pytest.raises(LocalError):
        tlv.encode(objects)


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_are_the_one_spelling_of_their_objects(data: bytes) -> None:
    try:
        objects = tlv.decode(data)
    except MessageError:
        return
    assert tlv.encode(objects) == data


TAGS = st.sampled_from([0x82, 0x95, 0x9A, 0x9F02, 0x9F10, 0x5F2A, 0xDF01, 0xDF8101])


@given(st.dictionaries(TAGS, st.binary(max_size=255)), st.data())
def test_objects_survive_and_no_beginning_of_them_is_taken_for_all(
    objects: dict[int, bytes], data: st.DataObject
) -> None:
    wire = tlv.encode(objects)
    assert list(tlv.decode(wire).items()) == list(objects.items())
    cut = wire[: data.draw(st.integers(0, len(wire)))]
    try:
        assert len(tlv.decode(cut)) < len(objects) or cut == wire
    except MessageError:
        assert cut != wire
