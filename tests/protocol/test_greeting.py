"""The greeting's two bodies, both ways, byte by byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.errors import FrameError
from posdecom_protocol.greeting import NO_COMMON_VERSION, Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState

HELLO = Hello(0x01020304, Service.PROOFS, 1, 3, 1000, 20000)
HELLO_BYTES = bytes.fromhex("5044434d0103010203040203e84e20")

WELCOME = Welcome(0x01020304, LifecycleState.RETIRED, True, "Acme", "T-1", "", 1, 200, 300, features=0x8001)
WELCOME_BYTES = bytes.fromhex("5044434d010102030400c8012c800107010441636d6503542d3100")

hellos = st.builds(
    Hello,
    connection_id=st.integers(1, 2**32 - 1),
    service=st.sampled_from(Service),
    version_min=st.integers(1, 5),
    version_max=st.integers(5, 255),
    frame_body_bytes_max=st.integers(128, 4095),
    receive_window_bytes=st.integers(128, 32768),
)
names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=32)
welcomes = st.builds(
    Welcome,
    connection_id=st.integers(1, 2**32 - 1),
    state=st.sampled_from(LifecycleState),
    tampered=st.booleans(),
    manufacturer=names,
    model=names,
    serial=names,
    version=st.integers(0, 255),
    frame_body_bytes_max=st.integers(128, 4095),
    receive_window_bytes=st.integers(128, 32768),
    features=st.integers(0, 0xFFFF),
)


def test_hello_is_these_bytes_both_ways() -> None:
    assert HELLO.encode() == HELLO_BYTES
    assert Hello.decode(HELLO_BYTES) == HELLO


def test_welcome_is_these_bytes_both_ways() -> None:
    assert WELCOME.encode() == WELCOME_BYTES
    assert Welcome.decode(WELCOME_BYTES) == WELCOME


@given(hellos)
def test_every_hello_comes_back(hello: Hello) -> None:
    assert Hello.decode(hello.encode()) == hello


@given(welcomes)
def test_every_welcome_comes_back_with_its_types(welcome: Welcome) -> None:
    again = Welcome.decode(welcome.encode())
    assert again == welcome
    assert isinstance(again.state, LifecycleState)
    assert isinstance(again.tampered, bool)


def test_bytes_of_a_later_version_are_ignored() -> None:
    assert Hello.decode(HELLO_BYTES + b"later") == HELLO
    assert Welcome.decode(WELCOME_BYTES + b"later") == WELCOME


@pytest.mark.parametrize("kept", range(len(HELLO_BYTES)))
def test_hello_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(FrameError):
        Hello.decode(HELLO_BYTES[:kept])


@pytest.mark.parametrize("kept", range(len(WELCOME_BYTES)))
def test_welcome_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(FrameError):
        Welcome.decode(WELCOME_BYTES[:kept])


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, b"X"),  # magic
        (4, b"\0"),  # lowest version 0
        (5, b"\0"),  # highest below lowest
        (6, b"\0\0\0\0"),  # connection id 0
        (10, b"\4"),  # no such service
        (11, b"\0\x7f"),  # frame body of 127 bytes
        (11, b"\x10\0"),  # of 4096
        (13, b"\0\x7f"),  # window of 127 bytes
        (13, b"\x80\1"),  # of 32769
    ],
)
def test_hello_out_of_bounds_is_refused(position: int, value: bytes) -> None:
    with pytest.raises(FrameError):
        Hello.decode(HELLO_BYTES[:position] + value + HELLO_BYTES[position + len(value) :])


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (3, b"X"),  # magic
        (5, b"\0\0\0\0"),  # connection id 0
        (9, b"\x10\0"),  # frame body of 4096 bytes
        (11, b"\x80\1"),  # window of 32769 bytes
        (15, b"\0"),  # no such state
        (15, b"\x09"),
        (16, b"\2"),  # tampered neither 0 nor 1
        (17, b"\x21" + b"A" * 33),  # name of 33 characters
        (18, b"\x80"),  # not ASCII
        (18, b"\x1b"),  # would steer the technician's screen
    ],
)
def test_welcome_out_of_bounds_is_refused(position: int, value: bytes) -> None:
    with pytest.raises(FrameError):
        Welcome.decode(WELCOME_BYTES[:position] + value + WELCOME_BYTES[position + len(value) :] + bytes(20))


@given(st.binary(max_size=80))
def test_anything_else_is_a_frame_error_and_nothing_worse(tail: bytes) -> None:
    for decode in (Hello.decode, Welcome.decode):
        for body in (tail, b"PDCM" + tail):
            try:
                decode(body)
            except FrameError as error:
                assert str(error) in ("HELLO is malformed", "WELCOME is malformed")


def test_own_values_out_of_bounds_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="connection id is 0; 1 to 4294967295"):
        replace(HELLO, connection_id=0)
    with pytest.raises(ValueError, match="features is 65536; 0 to 65535"):
        replace(WELCOME, features=0x10000)
    with pytest.raises(ValueError, match="at most 32 printable ASCII characters"):
        replace(WELCOME, serial="0" * 33)


def test_version_is_chosen_only_where_the_ranges_meet() -> None:
    assert replace(HELLO, version_min=1, version_max=9).common_version() == 1
    assert replace(HELLO, version_min=2, version_max=9).common_version() == NO_COMMON_VERSION
