"""The bytes of ISO 8583 messages, both directions, and everything that must be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.errors import LocalError, MessageError
from posdecom_protocol.iso8583 import (
    ENVELOPE_BYTES,
    FIELDS,
    ISO_BYTES_MAX,
    ISO_BYTES_MIN,
    Field,
    IsoMessage,
    LengthPrefix,
    decode,
    frame_message,
    mac_input,
    seal,
)

TPDU = bytes.fromhex("6000120034")
HEADER = "600100310000"

ADVICE = IsoMessage(
    TPDU,
    HEADER,
    "0220",
    {
        3: "000000",
        4: "000000001250",
        11: "000042",
        37: "324109000042",
        48: "12345",
        49: "156",
        57: bytes.fromhex("01AABB"),
        60: "24000001201",
        64: bytes.fromhex("1122334455667788"),
    },
)

ADVICE_HEX = (
    "60 0012 0034"  # TPDU
    "600100310000"  # header
    "0220"  # MTI
    "3020 0000 0801 8091"  # bits 3 4 11 37 48 49 57 60 64
    "000000"  # 3
    "000000001250"  # 4
    "000042"  # 11
    "333234313039303030303432"  # 37
    "0005 123450"  # 48, odd count padded on the right
    "313536"  # 49
    "0003 01AABB"  # 57
    "0011 240000012010"  # 60
    "1122334455667788"  # 64
)


def test_an_advice_is_these_bytes_in_both_directions() -> None:
    wire = bytes.fromhex(ADVICE_HEX)
    assert ADVICE.encode().hex() == wire.hex()
    assert decode(wire) == ADVICE


def test_an_answer_swaps_the_addresses_and_raises_the_mti_by_ten() -> None:
    answer = ADVICE.answer({39: "00"})
    assert answer.encode()[:13].hex() == "600034001260010031000002" + "30"


def test_the_demand_of_the_host_is_the_sixth_digit_of_the_header() -> None:
    assert IsoMessage(TPDU, "600103310000", "0230", {}).demand == 3


def test_every_shorter_message_and_every_trailing_byte_is_refused() -> None:
    wire = bytes.fromhex(ADVICE_HEX)
    for length in range(len(wire)):
        with pytest.raises(MessageError):
            decode(wire[:length])
    with pytest.raises(MessageError, match="Extra data"):
        decode(wire + b"\x00")


@pytest.mark.parametrize("offset", [21, 24, 30])
@pytest.mark.parametrize("bad", [0xAB, 0x1F, 0xF1])
def test_a_bcd_digit_above_nine_is_refused_in_every_field_of_digits(offset: int, bad: int) -> None:
    wire = bytearray.fromhex(ADVICE_HEX)
    wire[offset] = bad
    with pytest.raises(MessageError, match=r"field (3|4|11) is not of kind n"):
        decode(bytes(wire))


@pytest.mark.parametrize(
    ("offset", "bad", "reason"),
    [
        (0, 0x61, "TPDU"),
        (5, 0x6A, "header"),
        (11, 0xA2, "MTI"),
        (13, 0xB0, "field 1 is not in the table"),
        (13, 0x70, "field 2 is not in the table"),
        (19, 0x88, "field 57"),  # field 53 takes the bytes of what follows
    ],
)
def test_a_bad_envelope_or_bitmap_is_named(offset: int, bad: int, reason: str) -> None:
    wire = bytearray.fromhex(ADVICE_HEX)
    wire[offset] = bad
    with pytest.raises(MessageError, match=reason):
        decode(bytes(wire))


def test_a_pad_that_is_not_zero_is_refused() -> None:
    wire = bytes.fromhex(ADVICE_HEX.replace("0005 123450", "0005 123451"))
    with pytest.raises(MessageError, match="field 48"):
        decode(wire)


def test_a_variable_field_longer_than_its_maximum_is_refused_both_ways() -> None:
    wire = bytes.fromhex(ADVICE_HEX.replace("0011 240000012010", "0018 240000012010240000"))
    with pytest.raises(MessageError, match="field 60"):
        decode(wire)
    with pytest.raises(LocalError, match="field 60"):
        IsoMessage(TPDU, HEADER, "0220", {60: "0" * 18}).encode()


def test_unprintable_text_is_refused_both_ways() -> None:
    wire = bytes.fromhex(ADVICE_HEX.replace("333234313039", "330034313039"))
    with pytest.raises(MessageError, match="field 37 is not of kind ans"):
        decode(wire)
    with pytest.raises(LocalError, match="field 39"):
        IsoMessage(TPDU, HEADER, "0230", {39: "0\x00"}).encode()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({2: "4000000000000002"}, "field 2 is not in the table"),
        ({3: b"\x00\x00\x00"}, "field 3 is not of kind n"),
        ({3: "00000A"}, "field 3 is not of kind n"),
        ({3: "00000٣"}, "field 3 is not of kind n"),
        ({4: "1250"}, "field 4"),
        ({57: "01AABB"}, "field 57 is not of kind b"),
        ({64: bytes(7)}, "field 64"),
    ],
)
def test_a_field_of_the_wrong_shape_cannot_be_encoded(fields: dict[int, str | bytes], reason: str) -> None:
    with pytest.raises(LocalError, match=reason):
        IsoMessage(TPDU, HEADER, "0220", fields).encode()


@pytest.mark.parametrize(
    ("tpdu", "header", "mti", "reason"),
    [
        (TPDU[:4], HEADER, "0220", "TPDU is not"),
        (b"\x61" + TPDU[1:], HEADER, "0220", "TPDU is not"),
        (TPDU, HEADER + "0", "0220", "header is not 12"),
        (TPDU, HEADER[:11] + "A", "0220", "header is not 12"),
        (TPDU, HEADER, "220", "MTI is not four"),
        (TPDU, HEADER, "022A", "MTI is not four"),
    ],
)
def test_a_message_in_a_bad_envelope_cannot_be_encoded(
    tpdu: bytes, header: str, mti: str, reason: str
) -> None:
    with pytest.raises(LocalError, match=reason):
        IsoMessage(tpdu, header, mti, {}).encode()


def test_every_field_at_its_longest_still_fits_one_message() -> None:
    fillings: dict[Field, str | bytes] = {Field.DIGITS: "9", Field.TEXT: "~", Field.BINARY: b"\xff"}
    longest = IsoMessage(
        TPDU, HEADER, "0220", {n: fillings[one.kind] * one.length for n, one in FIELDS.items()}
    )
    assert len(longest.encode()) == 1491 <= ISO_BYTES_MAX
    assert decode(longest.encode()) == longest


def test_no_error_and_no_repr_shows_what_is_in_a_field() -> None:
    assert "1250" not in repr(ADVICE)
    with pytest.raises(MessageError) as caught:
        decode(bytes.fromhex(ADVICE_HEX) + b"\x00")
    assert caught.value.__cause__ is None, "the library's error holds the message"
    assert caught.value.__suppress_context__
    assert "1250" not in str(caught.value)


def test_a_missing_field_is_the_senders_fault() -> None:
    with pytest.raises(MessageError, match="field 39 is missing in 0220"):
        ADVICE.text(39)
    with pytest.raises(MessageError, match="field 4 is missing"):
        ADVICE.binary(4)


def test_the_mac_covers_everything_from_the_mti_to_the_byte_before_it() -> None:
    seen: list[bytes] = []

    def mac(data: bytes) -> bytes:
        seen.append(data)
        return b"MACBYTES"

    wire = seal(ADVICE, mac)
    assert wire[-8:] == b"MACBYTES"
    assert seen == [wire[ENVELOPE_BYTES:-8]] == [mac_input(wire)]
    assert seen[0][:2].hex() == "0220"
    with pytest.raises(LocalError, match="MAC of 16 bytes"):
        seal(ADVICE, lambda data: bytes(16))


def test_field_64_is_last_so_the_mac_is_always_the_last_eight_bytes() -> None:
    assert max(FIELDS) == 64


@st.composite
def messages(draw: st.DrawFn) -> IsoMessage:
    fields: dict[int, str | bytes] = {}
    for number in draw(st.sets(st.sampled_from(sorted(FIELDS)))):
        layout = FIELDS[number]
        length = draw(st.integers(1, layout.length)) if layout.variable else layout.length
        match layout.kind:
            case Field.DIGITS:
                fields[number] = "7" * length
            case Field.TEXT:
                fields[number] = "~" * length
            case Field.BINARY:
                fields[number] = b"\xff" * length
    return IsoMessage(TPDU, HEADER, draw(st.sampled_from(["0220", "0320", "0510"])), fields)


@given(messages())
def test_whatever_can_be_encoded_decodes_to_itself(message: IsoMessage) -> None:
    assert decode(message.encode()) == message


@given(st.data())
def test_a_changed_byte_is_refused_or_has_one_meaning(data: st.DataObject) -> None:
    wire = bytearray.fromhex(ADVICE_HEX)
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(bytes(wire))
    except MessageError:
        return
    assert message.encode() == bytes(wire)


def test_messages_come_out_of_a_stream_however_it_is_cut() -> None:
    sent = [b"a" * ISO_BYTES_MIN, b"b" * 300, b"c" * ISO_BYTES_MAX]
    stream = b"".join(map(frame_message, sent))
    assert stream[:3] == b"\x00\x15a"
    for size in (1, 2, 3, 7, len(stream)):
        prefix = LengthPrefix()
        got = [m for at in range(0, len(stream), size) for m in prefix.receive(stream[at : at + size])]
        assert got == sent


@pytest.mark.parametrize("length", [0, 1, ISO_BYTES_MIN - 1])
def test_a_length_prefix_under_the_shortest_message_ends_the_stream(length: int) -> None:
    with pytest.raises(MessageError, match=f"length prefix of {length} bytes; 21 to"):
        LengthPrefix().receive(length.to_bytes(2, "big") + bytes(length))


def test_a_length_prefix_over_the_cap_is_refused_before_its_body_is_kept() -> None:
    prefix = LengthPrefix()
    with pytest.raises(MessageError, match=f"{ISO_BYTES_MAX + 1} bytes"):
        prefix.receive((ISO_BYTES_MAX + 1).to_bytes(2, "big"))
    with pytest.raises(LocalError, match="at most"):
        frame_message(bytes(ISO_BYTES_MAX + 1))
