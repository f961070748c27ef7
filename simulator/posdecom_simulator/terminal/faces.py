"""How bytes reach the simulated terminal: a pseudo-terminal, a TCP port, or any serial port by URL."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tty
from pathlib import Path
from typing import Final, Protocol

import serial

READ_BYTES_MAX: Final = 64 * 1024
BAUD_DEFAULT: Final = 115_200


class Face(Protocol):
    """What `serve` needs of a line. A peer that goes away is no error: another one comes."""

    name: str
    """For people: where to point the agent."""

    baud: int | None
    """Speed of the line; None for a pipe, which is as fast as it goes."""

    def read(self, timeout_s: float) -> bytes:
        """What is there, waiting up to ``timeout_s`` for the first byte; empty if none came."""

    def write(self, data: bytes) -> int:
        """How many of ``data`` were taken; bytes that nobody listens to count as taken."""

    def set_speed(self, baud: int) -> None:
        """Let what was written leave, then change the speed. Only where there is one."""

    def close(self) -> None: ...


class Pipe:
    """A face without a speed."""

    baud: int | None = None

    def set_speed(self, baud: int) -> None:
        raise AssertionError("a pipe has no speed")


class PtyFace(Pipe):
    """A raw pseudo-terminal, found under a symbolic link that stays the same when the terminal restarts."""

    def __init__(self, link: Path) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        temporary = link.with_name(f"{link.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.ttyname(self._slave))
        temporary.replace(link)
        self._link = link
        self.name = str(link)

    def read(self, timeout_s: float) -> bytes:
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        return os.read(self._master, READ_BYTES_MAX) if ready else b""

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)


class TcpFace(Pipe):
    """One connection at a time; a new one takes the place of the old."""

    def __init__(self, host: str, port: int) -> None:
        self._listener = socket.create_server((host, port), reuse_port=False)
        self._connection: socket.socket | None = None
        bound = self._listener.getsockname()
        self.name = f"socket://{bound[0]}:{bound[1]}"

    def read(self, timeout_s: float) -> bytes:
        sources = [self._listener] if self._connection is None else [self._listener, self._connection]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._listener in ready:
            self._accept()
            return b""
        if not ready or self._connection is None:
            return b""
        with contextlib.suppress(OSError):
            data = self._connection.recv(READ_BYTES_MAX)
            if data:
                return data
        self._drop()
        return b""

    def write(self, data: bytes) -> int:
        if self._connection is None:
            return len(data)
        try:
            return self._connection.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop()
            return len(data)

    def close(self) -> None:
        self._drop()
        self._listener.close()

    def _accept(self) -> None:
        self._drop()
        self._connection, _ = self._listener.accept()
        self._connection.setblocking(False)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SerialFace:
    """A real serial port, or whatever else pyserial can open."""

    def __init__(self, url: str, baud: int = BAUD_DEFAULT) -> None:
        self._serial = serial.serial_for_url(url, baudrate=baud, timeout=0.02, write_timeout=0.5)
        self.name = url
        self.baud: int | None = baud
        self._descriptor = _descriptor_of(self._serial)

    def read(self, timeout_s: float) -> bytes:
        """Without a descriptor to wait on, in slices of pyserial's own timeout."""
        if self._descriptor is not None:
            ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
            return os.read(self._descriptor, READ_BYTES_MAX) if ready else b""
        first: bytes = self._serial.read(1)
        return first + self._serial.read(min(self._serial.in_waiting, READ_BYTES_MAX)) if first else b""

    def write(self, data: bytes) -> int:
        try:
            if self._descriptor is not None:
                return os.write(self._descriptor, data)
            return self._serial.write(data[:1024]) or 0
        except (serial.SerialTimeoutException, BlockingIOError):
            return 0

    def set_speed(self, baud: int) -> None:
        self._serial.flush()
        self._serial.baudrate = baud

    def close(self) -> None:
        self._serial.close()


def _descriptor_of(opened: serial.SerialBase) -> int | None:
    """Of a serial device, which pyserial opens without blocking."""
    return opened.fileno() if isinstance(opened, serial.Serial) else None
