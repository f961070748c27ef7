"""The faces of a simulated terminal: all bytes go both ways, what nobody takes holds nothing up, peers come and go."""

from __future__ import annotations

import os
import socket
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import serial

from posdecom_simulator.terminal.faces import BAUD_DEFAULT, Face, Pipe, PtyFace, SerialFace, TcpFace

WAIT_S = 5.0
"""For what comes at once; only a failing test waits so long."""


def read(face: Face, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := face.read(WAIT_S)):
        data += piece
    return data


# --- a pseudo-terminal -----------------------------------------------------------------------------


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "tty"


def test_bytes_go_both_ways_through_a_pseudo_terminal_unchanged(link: Path) -> None:
    every = bytes(range(256))
    with closing(PtyFace(link)) as face, link.open("r+b", buffering=0) as peer:
        peer.write(every)
        assert read(face, 256) == every
        assert face.write(every) == 256
        assert os.read(peer.fileno(), 1024) == every
        assert (face.read(0.0), face.name, face.baud) == (b"", str(link), None)


def test_a_pseudo_terminal_that_nobody_reads_takes_no_more_and_does_not_wait(link: Path) -> None:
    with closing(PtyFace(link)) as face:
        taken = [face.write(bytes(4096)) for _ in range(200)]
    # the system moves bytes on by itself and may take a few more later, but not without an end
    assert 0 in taken and sum(taken) < 100 * 4096


def test_the_link_leads_to_the_newest_terminal_and_goes_with_it(link: Path) -> None:
    with closing(PtyFace(link)) as first:
        before = link.readlink()
        with closing(PtyFace(link)) as second:
            assert link.readlink() != before
            with link.open("r+b", buffering=0) as peer:
                peer.write(b"hello")
                assert (read(second, 5), first.read(0.0)) == (b"hello", b"")
        assert not link.exists()


def test_a_pipe_has_no_speed_to_change() -> None:
    with pytest.raises(AssertionError, match="a pipe has no speed"):
        Pipe().set_speed(9600)


# --- TCP ---------------------------------------------------------------------------------------------


@pytest.fixture
def tcp() -> Iterator[TcpFace]:
    face = TcpFace("127.0.0.1", 0)
    yield face
    face.close()


def connect(face: TcpFace) -> socket.socket:
    host, _, port = face.name.removeprefix("socket://").rpartition(":")
    peer = socket.create_connection((host, int(port)))
    assert face.read(WAIT_S) == b""  # takes the connection
    return peer


def test_bytes_go_both_ways_over_tcp(tcp: TcpFace) -> None:
    with connect(tcp) as peer:
        peer.sendall(b"hello")
        assert read(tcp, 5) == b"hello"
        assert tcp.write(b"welcome") == 7
        assert peer.recv(100) == b"welcome"
        assert tcp.read(0.0) == b""


def test_what_nobody_listens_to_counts_as_taken(tcp: TcpFace) -> None:
    assert tcp.write(b"hello?") == 6
    assert tcp.read(0.0) == b""


def test_a_new_connection_takes_the_place_of_the_old(tcp: TcpFace) -> None:
    with connect(tcp) as old, connect(tcp) as new:
        assert old.recv(1) == b""
        tcp.write(b"hello")
        assert new.recv(100) == b"hello"


def test_a_peer_that_hangs_up_is_forgotten_and_another_one_comes(tcp: TcpFace) -> None:
    connect(tcp).close()
    assert tcp.read(WAIT_S) == b""
    assert tcp.write(b"nobody hears this") == 17
    with connect(tcp) as peer:
        peer.sendall(b"x")
        assert read(tcp, 1) == b"x"


def test_a_peer_that_reads_nothing_takes_no_more_and_one_that_is_gone_takes_all(tcp: TcpFace) -> None:
    peer = connect(tcp)
    while tcp.write(bytes(65536)):
        pass
    assert tcp.write(b"more") == 0
    reset(peer)
    assert tcp.write(b"more") == 4


def test_a_connection_that_is_reset_is_no_error(tcp: TcpFace) -> None:
    reset(connect(tcp))
    assert tcp.read(WAIT_S) == b""
    assert tcp.write(b"nobody") == 6


def reset(peer: socket.socket) -> None:
    """Close so that the other end hears of it at once, with whatever was under way lost."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# --- a serial port -------------------------------------------------------------------------------------


@pytest.fixture
def cable() -> Iterator[tuple[int, str]]:
    """One end's descriptor and the other's name."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_bytes_go_both_ways_over_a_serial_port(cable: tuple[int, str]) -> None:
    ours, name = cable
    with closing(SerialFace(name)) as face:
        os.write(ours, b"hello")
        assert read(face, 5) == b"hello"
        assert face.write(b"welcome") == 7
        assert os.read(ours, 100) == b"welcome"
        assert (face.read(0.0), face.name, face.baud) == (b"", name, BAUD_DEFAULT)


def test_the_speed_of_a_serial_port_is_changed_at_the_device(cable: tuple[int, str]) -> None:
    _, name = cable
    with closing(SerialFace(name, 9600)) as face:
        assert speed_of(name) == termios.B9600
        face.set_speed(230_400)
        assert speed_of(name) == termios.B230400


def speed_of(name: str) -> int:
    descriptor = os.open(name, os.O_RDWR | os.O_NOCTTY)
    try:
        speed: int = termios.tcgetattr(descriptor)[5]
        return speed
    finally:
        os.close(descriptor)


def test_a_serial_port_whose_other_end_reads_nothing_takes_no_more_and_does_not_wait(
    cable: tuple[int, str],
) -> None:
    _, name = cable
    with closing(SerialFace(name)) as face:
        taken = [face.write(bytes(4096)) for _ in range(200)]
    # the system moves bytes on by itself and may take a few more later, but not without an end
    assert 0 in taken and sum(taken) < 100 * 4096


def test_what_pyserial_opens_without_a_descriptor_is_read_by_its_own_timeout() -> None:
    with closing(SerialFace("loop://")) as face:
        assert face.read(0.0) == b""
        assert face.write(bytes(2000)) == 1024
        assert read(face, 1024) == bytes(1024)


def test_a_write_that_times_out_took_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(data: bytes) -> int:
        raise serial.SerialTimeoutException

    with closing(SerialFace("loop://")) as face:
        monkeypatch.setattr(face._serial, "write", never)
        assert face.write(b"hello") == 0
