"""What does a frame cost beside the least that any code could do: its CRC? And what would `construct` alone cost?

    pytest -n0 --benchmark-enable benchmarks/test_bench_frames.py

At 3 Mbaud a frame of 1 KiB lasts 3.4 ms. Rows: the bare CRC-32 (the floor), header and CRC by `struct`, the same as one
`construct` declaration, and ours. Decoding ours includes the search for the header.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import construct
import pytest

from posdecom_protocol.frames import HEADER_LAYOUT, Frame, FrameDecoder, FrameKind, encode_frame, header_check

SIZES: Final = (128, 1024, 4095)
CONNECTION_ID: Final = 0x5EED0001
BODIES: Final = {size: random.Random(size).randbytes(size) for size in SIZES}
_HEADER: Final = struct.Struct(">BHHHB")
_WHOLE: Final = construct.Struct(
    "header" / HEADER_LAYOUT,
    "body" / construct.Bytes(lambda context: context.header.kind_and_length & 0xFFF),
    "check" / construct.Int32ub,
)

Measured = Callable[..., Any]


def by_struct(body: bytes) -> bytes:
    head = _HEADER.pack(0xA7, FrameKind.DATA << 12 | len(body), 1, 2, 0)[:-1]
    checked = head + bytes((header_check(head),)) + body
    return checked + zlib.crc32(checked, CONNECTION_ID).to_bytes(4, "big")


def by_construct(body: bytes) -> bytes:
    whole = by_struct(body)
    header = HEADER_LAYOUT.parse(whole)
    data: bytes = _WHOLE.build({"header": header, "body": body, "check": int.from_bytes(whole[-4:], "big")})
    return data


def ours(body: bytes) -> bytes:
    return encode_frame(Frame(FrameKind.DATA, 1, 2, body), CONNECTION_ID)


def decoded(data: bytes) -> Frame | None:
    decoder = FrameDecoder()
    decoder.connection_id = CONNECTION_ID
    decoder.receive(data)
    return decoder.next_frame()


@pytest.mark.parametrize("size", SIZES)
def test_bench_crc_alone(benchmark: Measured, size: int) -> None:
    benchmark(zlib.crc32, BODIES[size])


@pytest.mark.parametrize("size", SIZES)
def test_bench_encode_by_struct(benchmark: Measured, size: int) -> None:
    assert benchmark(by_struct, BODIES[size]) == ours(BODIES[size])


@pytest.mark.parametrize("size", SIZES)
def test_bench_encode(benchmark: Measured, size: int) -> None:
    assert len(benchmark(ours, BODIES[size])) == size + 12


@pytest.mark.parametrize("size", SIZES)
def test_bench_encode_by_construct(benchmark: Measured, size: int) -> None:
    assert benchmark(by_construct, BODIES[size]) == ours(BODIES[size])


@pytest.mark.parametrize("size", SIZES)
def test_bench_decode(benchmark: Measured, size: int) -> None:
    assert benchmark(decoded, ours(BODIES[size])) == Frame(FrameKind.DATA, 1, 2, BODIES[size])


@pytest.mark.parametrize("size", SIZES)
def test_bench_decode_by_construct(benchmark: Measured, size: int) -> None:
    assert benchmark(_WHOLE.parse, ours(BODIES[size])).body == BODIES[size]
