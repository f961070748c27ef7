"""Frames: each example both ways, and nothing good lost in garbage."""

from __future__ import annotations

import re
from pathlib import Path

import construct
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_agent.ports import BAUD_DEFAULT
from posdecom_protocol.acknowledgement import NUMBERS_MAPPED, Acknowledgement
from posdecom_protocol.frames import (
    FRAME_OVERHEAD_BYTES,
    UNSEEDED_KINDS,
    Frame,
    FrameDecoder,
    FrameKind,
    encode_frame,
    header_check,
)
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import FINISHED_IDS
from posdecom_protocol.pace import QUIET_BYTES
from posdecom_protocol.stream_receiver import NUMBERS_AHEAD_MAX, PIECES_AHEAD_MAX
from posdecom_protocol.waits import (
    CLOSE_REPEAT_S,
    CLOSE_S,
    HELLO_ANSWER_S,
    HELLO_REPEAT_S,
    HELLO_REPEAT_S_MAX,
    KEEPALIVE_S,
    QUIET_S,
    SILENCE_S,
)

CONNECTION_ID = 0x5EED0001
GUIDE = Path(__file__).parents[2] / "docs" / "link.md"

WELCOME = Welcome(CONNECTION_ID, LifecycleState.FROZEN, False, "Acme", "T1", "0042", 1, 1024, 8192)

EXAMPLES = [
    (
        Frame(FrameKind.HELLO, 0, 0, Hello(CONNECTION_ID, Service.CHANNEL).encode()),
        "a7 10 0f 00 00 00 00 4b 50 44 43 4d 01 01 5e ed 00 01 01 0f ff 80 00 43 65 15 d6",
    ),
    (
        Frame(FrameKind.WELCOME, 0, 0, WELCOME.encode()),
        (
            "a7 20 1e 00 00 00 00 65 50 44 43 4d 01 5e ed 00 01 04 00 20 00 00 00 02 00 04 41 63 6d 65 02 54 31 "
            "04 30 30 34 32 84 c6 7e 18"
        ),
    ),
    (Frame(FrameKind.DATA, 0, 0, b"posdecom"), "a7 30 08 00 00 00 00 f0 70 6f 73 64 65 63 6f 6d 71 7d f8 af"),
    (Frame(FrameKind.DATA, 65535, 65533, b"abc"), "a7 30 03 ff ff ff fd f3 61 62 63 16 4f aa 3d"),
    (
        Frame(FrameKind.ACK, 0, 0, Acknowledgement(0, 32768, 65535).encode()),
        "a7 40 08 00 00 00 00 97 00 00 00 00 80 00 ff ff bb f9 71 11",
    ),
    (
        Frame(FrameKind.ACK, 0, 0, Acknowledgement(8, 32768, 0).encode()),
        "a7 40 08 00 00 00 00 97 00 00 00 08 80 00 00 00 35 af 28 2f",
    ),
    (
        Frame(
            FrameKind.ACK,
            0,
            0,
            Acknowledgement(1536, 28672, 12, 1 << (12 - 1 - 11) | 1 << (12 - 1 - 3)).encode(),
        ),
        "a7 40 0a 00 00 00 00 e2 00 00 06 00 70 00 00 0c 01 01 e9 b1 ca 5f",
    ),
    (Frame(FrameKind.CLOSE, 0, 0, b"\0"), "a7 50 01 00 00 00 00 12 00 ae e1 c9 39"),
    (Frame(FrameKind.CLOSE, 0, 0, b"\1"), "a7 50 01 00 00 00 00 12 01 d9 e6 f9 af"),
]


def decoder(connection_id: int = CONNECTION_ID) -> FrameDecoder:
    fresh = FrameDecoder()
    fresh.connection_id = connection_id
    return fresh


def decode(data: bytes, source: FrameDecoder, *, then_quiet: bool = False) -> list[Frame]:
    source.receive(data)
    frames = []
    while True:
        while (frame := source.next_frame()) is not None:
            frames.append(frame)
        if not (then_quiet and source.is_waiting):
            return frames
        source.give_up()


# -- examples and independent oracles ------------------------------------------------------------------------------


@pytest.mark.parametrize(("frame", "wire"), EXAMPLES)
def test_example_encodes_to_its_bytes(frame: Frame, wire: str) -> None:
    assert encode_frame(frame, CONNECTION_ID) == bytes.fromhex(wire)


@pytest.mark.parametrize(("frame", "wire"), EXAMPLES)
def test_example_decodes_from_its_bytes_at_once_and_one_by_one(frame: Frame, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert decode(data, decoder()) == [frame]
    slow = decoder()
    for byte in data[:-1]:
        assert decode(bytes([byte]), slow) == []
    assert decode(data[-1:], slow) == [frame]
    assert not slow.is_waiting


def test_guide_shows_exactly_these_examples() -> None:
    shown = re.findall(r"^    (a7(?: [0-9a-f]{2})+)$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert shown == [wire for _, wire in EXAMPLES]


@pytest.mark.parametrize(
    "phrase",
    [
        f"HELLO, {len(Hello(CONNECTION_ID, Service.CHANNEL).encode())} bytes",
        f"WELCOME, {len(WELCOME.encode()) - len('AcmeT10042') - 3} bytes and three names",
        f"{HELLO_ANSWER_S:g} s: CLOSED (no answer)",
        f"{HELLO_REPEAT_S:g}, {2 * HELLO_REPEAT_S:g}, {4 * HELLO_REPEAT_S:g}, then every {HELLO_REPEAT_S_MAX:g} s",
        f"{SILENCE_S:g} s of silence: over (timed out)",
        f"every {CLOSE_REPEAT_S:g} s. Confirmation",
        f"{CLOSE_S:g} s: over (unconfirmed)",
        f"sent no ACK for {KEEPALIVE_S:g} s",
        f"nothing came for {QUIET_S:g} s (or the time of {QUIET_BYTES} bytes",
        f"the last {FINISHED_IDS} connections",
        f"At most {NUMBERS_MAPPED} numbers are open",
        f"more than {NUMBERS_AHEAD_MAX} above it: drop",
        f"at most {PIECES_AHEAD_MAX} pieces",
        f"{BAUD_DEFAULT:,} bit/s",
    ],
)
def test_guide_tells_lengths_waits_and_bounds_as_they_are(phrase: str) -> None:
    assert phrase in GUIDE.read_text("utf-8")


def bitwise_crc32(data: bytes, connection_id: int) -> int:
    """The guide's words, taken literally."""
    register = ~connection_id & 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return ~register & 0xFFFFFFFF


def bitwise_crc8(data: bytes) -> int:
    register = 0xFF
    for bit in (byte >> shift & 1 for byte in data for shift in range(7, -1, -1)):
        register = (register << 1 & 0xFF) ^ (0x2F if register >> 7 ^ bit else 0)
    return register ^ 0xFF


DECLARED = construct.Struct(
    "covered"
    / construct.RawCopy(
        construct.Struct(
            "head"
            / construct.RawCopy(
                construct.Struct(
                    construct.Const(b"\xa7"),
                    "shape"
                    / construct.BitStruct("kind" / construct.Nibble, "length" / construct.BitsInteger(12)),
                    "number" / construct.Int16ub,
                    "offset" / construct.Int16ub,
                )
            ),
            construct.Checksum(construct.Int8ub, bitwise_crc8, lambda this: this.head.data),
            "body" / construct.Bytes(lambda this: this.head.value.shape.length),
        )
    ),
    "check" / construct.Int32ub,
    construct.Terminated,
)


@given(st.sampled_from(FrameKind), st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=300))
def test_frame_is_what_the_guide_declares(kind: FrameKind, number: int, offset: int, body: bytes) -> None:
    data = encode_frame(Frame(kind, number, offset, body), CONNECTION_ID)
    parsed = DECLARED.parse(data)
    head = parsed.covered.value.head.value
    assert (head.shape.kind, head.number, head.offset) == (kind, number, offset)
    assert parsed.covered.value.body == body
    assert parsed.check == bitwise_crc32(parsed.covered.data, 0 if kind in UNSEEDED_KINDS else CONNECTION_ID)
    assert decode(data, decoder()) == [Frame(kind, number, offset, body)]


def test_header_check_gives_the_published_check_value() -> None:
    assert header_check(b"123456789") == bitwise_crc8(b"123456789") == 0xDF


def test_overhead_is_twelve_bytes() -> None:
    assert len(encode_frame(Frame(FrameKind.DATA, 0, 0, bytes(4095)), 1)) - 4095 == FRAME_OVERHEAD_BYTES == 12


def test_body_of_4096_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="4096 bytes; at most 4095"):
        encode_frame(Frame(FrameKind.DATA, 0, 0, bytes(4096)), 1)


def test_repr_shows_no_payload() -> None:
    assert repr(Frame(FrameKind.DATA, 1, 2, b"secret")) == "Frame(DATA, number=1, offset=2, 6 bytes)"


# -- damage --------------------------------------------------------------------------------------------------------

FRAME = Frame(FrameKind.DATA, 5, 77, b"a body with \xa7 inside")
FOLLOWER = Frame(FrameKind.DATA, 6, 97, b"the next")


@pytest.mark.parametrize("bit", range(8 * len(encode_frame(FRAME, CONNECTION_ID))))
def test_any_flipped_bit_loses_that_frame_and_not_the_next(bit: int) -> None:
    damaged = bytearray(encode_frame(FRAME, CONNECTION_ID))
    damaged[bit // 8] ^= 1 << bit % 8
    data = bytes(damaged) + encode_frame(FOLLOWER, CONNECTION_ID)
    assert decode(data, decoder(), then_quiet=True) == [FOLLOWER]


@pytest.mark.parametrize("kept", range(len(encode_frame(FRAME, CONNECTION_ID))))
def test_frame_cut_short_anywhere_does_not_lose_the_next(kept: int) -> None:
    data = encode_frame(FRAME, CONNECTION_ID)[:kept] + encode_frame(FOLLOWER, CONNECTION_ID)
    assert decode(data, decoder(), then_quiet=True) == [FOLLOWER]


def false_header(body_bytes: int) -> bytes:
    return encode_frame(Frame(FrameKind.DATA, 0, 0, bytes(body_bytes)), CONNECTION_ID)[:8]


garbage = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.just(b"\xa7"),
        st.just(b"\xa7" * 9),
        st.integers(0, 4095).map(false_header),
        st.just(b"AT+GCAP\r"),
        st.integers(1, 20).map(lambda kept: encode_frame(FRAME, CONNECTION_ID)[:kept]),
        st.just(encode_frame(FRAME, 0x0BAD)),
    ),
    max_size=4,
).map(b"".join)


@given(st.lists(st.tuples(garbage, st.binary(max_size=50)), max_size=6), garbage, st.integers(1, 70))
def test_no_garbage_before_between_or_behind_loses_a_good_frame(
    pieces: list[tuple[bytes, bytes]], tail: bytes, chunk_bytes: int
) -> None:
    frames = [Frame(FrameKind.DATA, number, 0, body) for number, (_, body) in enumerate(pieces)]
    noises = [noise for noise, _ in pieces]
    encoded = [encode_frame(frame, CONNECTION_ID) for frame in frames]
    data = b"".join(noise + good for noise, good in zip(noises, encoded, strict=True)) + tail
    source = decoder()
    found = []
    for start in range(0, len(data), chunk_bytes):
        found += decode(data[start : start + chunk_bytes], source)
    assert found + decode(b"", source, then_quiet=True) == frames


@given(st.integers(0, 8 + len(FRAME.body) + 3), st.binary(min_size=1, max_size=30))
def test_garbage_inside_a_frame_loses_only_that_frame(position: int, noise: bytes) -> None:
    first = encode_frame(FRAME, CONNECTION_ID)
    data = first[:position] + noise + first[position:] + encode_frame(FOLLOWER, CONNECTION_ID)
    found = decode(data, decoder(), then_quiet=True)
    assert found[-1] == FOLLOWER
    assert found in ([FOLLOWER], [FRAME, FOLLOWER])


def test_false_header_holds_good_frames_back_only_until_given_up() -> None:
    source = decoder()
    good = encode_frame(FRAME, CONNECTION_ID)
    assert decode(false_header(4095) + good, source) == []
    assert source.is_waiting
    source.give_up()
    assert source.next_frame() == FRAME
    assert not source.is_waiting
    assert source.bad_frames == 1


def test_frame_of_another_connection_never_checks() -> None:
    for other in (0, 1, CONNECTION_ID - 1, CONNECTION_ID ^ 1 << 31, 0xFFFFFFFF):
        assert decode(encode_frame(FRAME, other), decoder(), then_quiet=True) == []


def test_greeting_checks_whatever_the_connection() -> None:
    for frame, wire in EXAMPLES[:2]:
        assert decode(bytes.fromhex(wire), decoder(0x12345678)) == [frame]


def test_header_of_unknown_kind_or_of_a_longer_body_than_announced_is_no_header() -> None:
    source = FrameDecoder(body_bytes_max=128)
    source.connection_id = CONNECTION_ID
    head = bytes([0xA7, 0x80, 0, 0, 0, 0, 0])
    unknown_kind = head + bytes([header_check(head)])
    assert decode(unknown_kind + false_header(129), source) == []
    assert not source.is_waiting


@settings(deadline=None)
@given(st.data())
def test_never_more_than_one_frame_is_held(data: st.DataObject) -> None:
    source = decoder()
    for _ in range(20):
        decode(data.draw(garbage) * 50, source)
        assert len(source._buffer) < 4095 + FRAME_OVERHEAD_BYTES


def test_endless_headers_do_not_grow_the_buffer() -> None:
    source = decoder()
    for _ in range(30):
        decode(false_header(4095) * 128, source)
        assert len(source._buffer) < 4095 + FRAME_OVERHEAD_BYTES
    decode(encode_frame(FRAME, CONNECTION_ID), source)
    source.give_up()
    assert decode(b"", source, then_quiet=True) == [FRAME]
