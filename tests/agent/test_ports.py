"""Real PTYs and real TCP sockets: bytes move, waits end, and every failure is a `PortError` with its cause."""

from __future__ import annotations

import errno
import os
import socket
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import serial
from serial.tools import list_ports, list_ports_common

from posdecom_agent import ports
from posdecom_agent.port_access import group_of, holder, rights
from posdecom_agent.ports import LinkLost, Port, PortBusy, PortForbidden, PortMissing, candidates, open_port

SOON_S = 5.0
"""Far longer than anything here takes; a wait that lasts it is a failure."""


@dataclass
class Line:
    """The far end of an open port: ``send`` and ``receive`` block, ``cut`` unplugs."""

    port: Port
    send: Callable[[bytes], object]
    receive: Callable[[int], bytes]
    cut: Callable[[], None]


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(master)
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    with suppress(OSError):
        os.close(master)


@pytest.fixture(params=["pty", "socket"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    if request.param == "pty":
        master, name = request.getfixturevalue("pty")
        port = open_port(name)
        yield Line(
            port, lambda data: os.write(master, data), lambda n: os.read(master, n), lambda: os.close(master)
        )
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}")
            far, _ = server.accept()
            with far:
                yield Line(port, far.sendall, far.recv, far.close)
    port.close()


# ---- bytes


def test_bytes_go_both_ways_unchanged(line: Line) -> None:
    every_byte = bytes(range(256))
    assert line.port.write(every_byte) == 256
    assert line.receive(256) == every_byte
    line.send(every_byte)
    assert line.port.read(SOON_S) == every_byte


def test_a_read_takes_what_is_there_without_waiting_for_more(line: Line) -> None:
    line.send(b"ab")
    started = time.monotonic()
    assert line.port.read(SOON_S) == b"ab"
    assert time.monotonic() - started < SOON_S / 2


def test_a_read_that_nothing_answers_ends_in_time(line: Line) -> None:
    started = time.monotonic()
    assert line.port.read(0.05) == b""
    assert 0.04 < time.monotonic() - started < SOON_S / 2
    assert line.port.read(0) == b""


def test_waiting_costs_no_processor_time(line: Line) -> None:
    started = time.process_time()
    line.port.read(0.2)
    assert time.process_time() - started < 0.05


def test_a_write_into_a_full_line_takes_what_fits_and_returns(line: Line) -> None:
    chunk, accepted = bytes(64 * 1024), 0
    for _ in range(1000):
        count = line.port.write(chunk)
        accepted += count
        if count == 0:
            break
    assert count == 0
    assert accepted > 0
    while accepted:
        accepted -= len(line.receive(64 * 1024))
    assert line.port.write(b"again") == 5


def test_writing_nothing_is_nothing(line: Line) -> None:
    assert line.port.write(b"") == 0


def test_a_descriptor_is_offered_to_wait_on(line: Line) -> None:
    descriptor = line.port.fileno()
    assert descriptor is not None
    os.fstat(descriptor)


def test_a_speed_change_reaches_the_device(pty: tuple[int, str]) -> None:
    master, name = pty
    port = open_port(name, baud=9600)
    assert termios.tcgetattr(master)[5] == termios.B9600
    port.set_speed(921_600)
    assert termios.tcgetattr(master)[5] == termios.B921600
    port.close()


def test_a_network_port_ignores_the_speed(line: Line) -> None:
    line.port.set_speed(921_600)
    line.send(b"x")
    assert line.port.read(SOON_S) == b"x"


def test_a_port_without_a_descriptor_behaves_the_same() -> None:
    port = open_port("loop://", baud=3_000_000)
    assert port.fileno() is None
    assert port.read(0) == b""
    assert port.write(bytes(range(200))) == 200
    assert port.read(SOON_S) == bytes(range(200))
    assert port.write(bytes(10_000)) == ports.WRITE_BYTES_MAX
    port.set_speed(115_200)
    port.close()
    with pytest.raises(LinkLost):
        port.read(0)


# ---- opening


def test_dtr_and_rts_are_low_before_the_port_opens(
    monkeypatch: pytest.MonkeyPatch, pty: tuple[int, str]
) -> None:
    seen: list[tuple[bool, bool, object]] = []
    real_open = serial.Serial.open

    def watched_open(port: serial.Serial) -> None:
        seen.append((port.dtr, port.rts, port.exclusive))
        real_open(port)

    monkeypatch.setattr(serial.Serial, "open", watched_open)
    open_port(pty[1]).close()
    assert seen == [(False, False, True)]


def test_small_writes_on_a_socket_are_not_held_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        descriptor = port.fileno()
        assert descriptor is not None
        with socket.socket(fileno=os.dup(descriptor)) as line:
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        server.accept()[0].close()
        port.close()


def test_a_second_exclusive_open_is_busy_and_names_the_holder(pty: tuple[int, str]) -> None:
    port = open_port(pty[1])
    with pytest.raises(PortBusy, match=rf"process {os.getpid()}. has it open"):
        open_port(pty[1])
    port.close()
    open_port(pty[1]).close()


def test_a_device_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PortMissing, match="there is no such device") as caught:
        open_port(str(tmp_path / "ttyUSB0"))
    assert caught.value.port == str(tmp_path / "ttyUSB0")


@pytest.mark.parametrize("name", ["/dev/null", "/tmp"])
def test_what_is_no_serial_port_is_missing(name: str) -> None:
    with pytest.raises(PortMissing, match="it is no serial port"):
        open_port(name)


def test_a_network_port_without_a_listener_is_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    with pytest.raises(PortMissing, match="nobody listens there"):
        open_port(f"socket://127.0.0.1:{number}")


@pytest.mark.parametrize("url", ["carrier-pigeon://roof", "socket://", "socket://127.0.0.1:99999", ""])
def test_a_url_that_makes_no_sense_is_missing(url: str) -> None:
    with pytest.raises(PortMissing):
        open_port(url)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EACCES, PortForbidden),
        (errno.EPERM, PortForbidden),
        (errno.EBUSY, PortBusy),
        (errno.EAGAIN, PortBusy),
        (errno.ENODEV, PortMissing),
        (errno.ENXIO, PortMissing),
        (errno.EIO, PortMissing),
    ],
)
def test_what_the_system_answers_to_open_decides_the_error(
    monkeypatch: pytest.MonkeyPatch, pty: tuple[int, str], code: int, expected: type[ports.PortError]
) -> None:
    real_open = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if path == pty[1]:
            raise OSError(code, os.strerror(code), path)
        return real_open(path, flags, mode)

    monkeypatch.setattr("serial.serialposix.os.open", refuse)
    with pytest.raises(expected) as caught:
        open_port(pty[1])
    assert type(caught.value) is expected


def test_a_forbidden_port_tells_its_rights_and_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = tmp_path / "ttyUSB0"
    node.touch()
    node.chmod(0o600)
    error = ports._open_error(str(node), serial.SerialException(errno.EACCES, "no"))
    assert isinstance(error, PortForbidden)
    assert ":" in error.cause
    assert error.cause.startswith("node is ")
    assert " 0600; you are in: " in error.cause


# ---- losing the line


def test_a_read_from_an_unplugged_line_is_a_lost_link(line: Line) -> None:
    line.cut()
    with pytest.raises(LinkLost):
        line.port.read(SOON_S)


def test_bytes_sent_before_the_unplug_still_arrive(line: Line) -> None:
    line.send(b"last words")
    assert line.port.read(SOON_S) == b"last words"
    line.cut()
    with pytest.raises(LinkLost):
        line.port.read(SOON_S)


def test_a_write_into_an_unplugged_line_is_a_lost_link(line: Line) -> None:
    line.cut()
    with pytest.raises(LinkLost):
        # a socket learns of it from the answer to its first write
        for _ in range(1000):
            line.port.write(b"x")
            line.port.read(0.01)


def test_a_speed_change_on_an_unplugged_device_is_a_lost_link(pty: tuple[int, str]) -> None:
    port = open_port(pty[1])
    os.close(pty[0])
    with pytest.raises(LinkLost):
        port.set_speed(9600)
    port.close()


@pytest.mark.parametrize(
    "error",
    [
        serial.SerialException("device reports readiness to read but returned no data"),
        OSError(errno.EIO, "Input/output error"),
        termios.error(errno.EIO, "Input/output error"),
        serial.SerialTimeoutException("Write timeout"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_each_exception_type_of_an_unplug_is_a_lost_link(
    monkeypatch: pytest.MonkeyPatch, pty: tuple[int, str], error: BaseException
) -> None:
    def fail(*_: object) -> bytes:
        raise error

    master, name = pty
    port = open_port(name)
    monkeypatch.setattr(serial.Serial, "read", fail)
    os.write(master, b"x")
    with pytest.raises(LinkLost) as caught:
        port.read(SOON_S)
    assert caught.value.port == name
    assert caught.value.__cause__ is error
    port.close()


def test_a_closed_port_is_a_lost_link_and_closes_again(line: Line) -> None:
    line.port.close()
    line.port.close()
    for use in (lambda: line.port.read(0), lambda: line.port.write(b"x"), line.port.fileno):
        with pytest.raises(LinkLost, match="closed here"):
            use()


# ---- the list


def test_candidates_are_sorted_by_name_with_numbers_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["/dev/ttyUSB10", "/dev/ttyS0", "/dev/ttyUSB9", "/dev/ttyACM0"]
    monkeypatch.setattr(
        list_ports, "comports", lambda: [list_ports_common.ListPortInfo(name) for name in names]
    )
    assert [info.device for info in candidates()] == [
        "/dev/ttyACM0",
        "/dev/ttyS0",
        "/dev/ttyUSB9",
        "/dev/ttyUSB10",
    ]


def test_a_candidate_carries_what_usb_says(monkeypatch: pytest.MonkeyPatch, pty: tuple[int, str]) -> None:
    found = list_ports_common.ListPortInfo(pty[1])
    found.vid, found.pid, found.serial_number, found.location = 0x0403, 0x6001, "POS0001", "1-4.3"
    found.description = "QEMU USB SERIAL"
    monkeypatch.setattr(list_ports, "comports", lambda: [found, list_ports_common.ListPortInfo("/dev/gone")])
    gone, here = candidates()
    assert here == ports.PortInfo(
        pty[1], "QEMU USB SERIAL", 0x0403, 0x6001, "POS0001", "1-4.3", accessible=True
    )
    assert gone == ports.PortInfo("/dev/gone", "", None, None, None, None, accessible=False)


# ---- why not


def test_the_holder_is_looked_up_among_open_files(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    process = tmp_path / "proc" / "42"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("ModemManager\n")
    assert holder(device, tmp_path / "proc") == "another program has it open"
    (process / "fd" / "7").symlink_to(device)
    assert holder(device, tmp_path / "proc") == "ModemManager (process 42) has it open"


def test_rights_of_a_node_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    assert rights(tmp_path / "gone") == "its rights cannot be read"
    assert group_of(tmp_path / "gone") is None


def test_a_node_of_nobody_known_shows_numbers(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    node = tmp_path / "ttyUSB0"
    node.touch()
    os.chown(node, 54321, 54322)
    assert rights(node).startswith("node is 54321:54322 ")
    assert group_of(node) == "54322"
