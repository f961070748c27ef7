"""What does the link cost the processor beside its frames: offsets, window, acknowledgements, order?

    pytest -n0 --benchmark-enable benchmarks/test_bench_link.py

One transfer of `SIZE` bytes between two links that are joined directly, clean and with every tenth piece lost, whole
connection included. The floor encodes and decodes as many frames of the largest size, and does nothing else. At
3,000,000 baud the transfer lasts 0.44 s on the line.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import pytest

from link_end import LinkEnd
from posdecom_protocol.frames import Frame, FrameDecoder, FrameKind, encode_frame
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.limits import FRAME_BODY_BYTES_MAX
from posdecom_protocol.link import Link

SIZE: Final = 128 * 1024
DATA: Final = random.Random(1).randbytes(SIZE)
HELLO: Final = Hello(0x5EED0001, Service.CHANNEL)
STEP_S: Final = 0.001
TRANSFER: Final = pytest.mark.benchmark(group=f"{SIZE} bytes from one link to another")

Measured = Callable[..., Any]


def welcome_for(hello: Hello) -> Welcome:
    return Welcome(hello.connection_id, LifecycleState.FROZEN, False, "Acme", "T1", "0042")


def transfer(lose_every: int = 0) -> bytes:
    """What the agent's end heard of `DATA`; ``lose_every``: of so many pieces to it one is lost, 0 for none."""
    agent = LinkEnd(Link.initiator(HELLO, 0.0, line_rate_bytes_per_s=None))
    terminal = LinkEnd(Link.acceptor(welcome_for, 0.0, line_rate_bytes_per_s=None), bytearray(DATA))
    now, pieces = 0.0, 0
    while len(agent.heard) < SIZE:
        now += STEP_S
        terminal.receive(agent.turn(now), now)
        piece = terminal.turn(now)
        pieces += 1
        if not lose_every or pieces % lose_every:
            agent.receive(piece, now)
    return bytes(agent.heard)


def frames_alone() -> bytes:
    decoder, heard = FrameDecoder(), bytearray()
    decoder.connection_id = HELLO.connection_id
    for number, offset in enumerate(range(0, SIZE, FRAME_BODY_BYTES_MAX)):
        frame = Frame(FrameKind.DATA, number, offset & 0xFFFF, DATA[offset : offset + FRAME_BODY_BYTES_MAX])
        decoder.receive(encode_frame(frame, HELLO.connection_id))
        found = decoder.next_frame()
        assert found is not None
        heard += found.body
    return bytes(heard)


@TRANSFER
def test_floor_the_frames_alone(benchmark: Measured) -> None:
    assert benchmark(frames_alone) == DATA


@TRANSFER
def test_transfer(benchmark: Measured) -> None:
    assert benchmark(transfer) == DATA


@TRANSFER
def test_transfer_with_every_tenth_piece_lost(benchmark: Measured) -> None:
    assert benchmark(transfer, 10) == DATA
