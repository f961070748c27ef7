"""Mending single flipped bits: against brute force, and never where it could not be caught."""

from __future__ import annotations

import random
import zlib

import pytest

from posdecom_protocol.frames import Frame, FrameDecoder, FrameKind, encode_frame
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import Received
from posdecom_protocol.repair import mended

CONNECTION_ID = 0x5EED0001
BODY = random.Random(1).randbytes(40)
SENT = encode_frame(Frame(FrameKind.DATA, 7, 9, BODY), CONNECTION_ID)


def flipped(data: bytes, *places: int) -> bytes:
    out = bytearray(data)
    for place in places:
        out[place // 8] ^= 1 << place % 8
    return bytes(out)


def heard(data: bytes, *, mends: bool = True) -> tuple[Frame | None, FrameDecoder]:
    decoder = FrameDecoder()
    decoder.connection_id, decoder.mends_data = CONNECTION_ID, mends
    decoder.receive(data)
    return decoder.next_frame(), decoder


def test_every_single_flipped_bit_of_body_and_check_is_mended() -> None:
    for place in range(8 * 8, 8 * len(SENT)):
        frame, decoder = heard(flipped(SENT, place))
        assert frame == Frame(FrameKind.DATA, 7, 9, BODY), place
        assert decoder.mended_frames == 1


def test_a_flipped_bit_in_the_header_is_none_of_its_business() -> None:
    for place in range(8 * 8):
        assert heard(flipped(SENT, place))[0] is None


def test_the_last_and_the_first_bit_of_the_largest_body_are_mended() -> None:
    body = random.Random(2).randbytes(4095)
    for place in (0, 1, 8 * 2000 + 3, 8 * 4095 - 1):
        damaged = flipped(body, place)
        assert mended(damaged, zlib.crc32(damaged) ^ zlib.crc32(body)) == body


def test_two_flipped_bits_are_never_mistaken_for_one() -> None:
    chance = random.Random(3)
    for _ in range(1000):
        places = chance.sample(range(8 * 8, 8 * len(SENT)), 2)
        assert heard(flipped(SENT, *places))[0] is None, places


def test_what_is_mended_has_the_check_that_came() -> None:
    """Whatever the damage: what comes out is what some sender could have sent, never a third thing."""
    chance = random.Random(4)
    for _ in range(300):
        body, difference = chance.randbytes(20), chance.getrandbits(32)
        found = mended(body, difference)
        if found is not None and found != body:
            assert zlib.crc32(found) == zlib.crc32(body) ^ difference


@pytest.mark.parametrize("kind", [kind for kind in FrameKind if kind is not FrameKind.DATA])
def test_no_frame_of_another_kind_is_mended(kind: FrameKind) -> None:
    sent = encode_frame(Frame(kind, 0, 0, BODY), CONNECTION_ID)
    assert heard(sent)[0] == Frame(kind, 0, 0, BODY)
    assert heard(flipped(sent, 8 * 20))[0] is None


def test_nothing_is_mended_unless_allowed() -> None:
    assert heard(flipped(SENT, 8 * 20), mends=False)[0] is None


@pytest.mark.parametrize("service", Service)
def test_only_where_a_channel_checks_again_what_comes_a_connection_mends(service: Service) -> None:
    welcome = Welcome(CONNECTION_ID, LifecycleState.RETIRED, False, "Acme", "T1", "0042")
    link = Link.acceptor(lambda hello: welcome, 0.0, line_rate_bytes_per_s=None)
    hello = Hello(CONNECTION_ID, service)
    link.receive(encode_frame(Frame(FrameKind.HELLO, 0, 0, hello.encode()), CONNECTION_ID), 0.0)
    link.receive(flipped(encode_frame(Frame(FrameKind.DATA, 0, 0, BODY), CONNECTION_ID), 8 * 20), 0.0)
    received = [event.data for event in link.events() if isinstance(event, Received)]
    assert received == ([BODY] if service is Service.CHANNEL else [])
