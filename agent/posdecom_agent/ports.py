"""The only file that knows pyserial: opens a port by name or URL and makes every failure one of `PortError`.

A port is dumb: it reads what is there, writes what fits, changes speed, closes. It knows no frame and no timer of the
protocol, and it never changes a setting while bytes move (some drivers damage a start bit by that).

Names: a device (``/dev/ttyUSB0``), or a pyserial URL (``socket://host:port``, ``rfc2217://host:port``, ``spy://...``).
RFC 2217 has no write timeout: a write there can last as long as the network lets it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import stat
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import serial
from serial.tools import list_ports, list_ports_common

from posdecom_protocol.wording import N_

from .port_access import LinkLost as LinkLost
from .port_access import PortBusy as PortBusy
from .port_access import PortError as PortError
from .port_access import PortForbidden as PortForbidden
from .port_access import PortMissing as PortMissing
from .port_access import holder, rights

BAUD_DEFAULT: Final = 115_200

READ_BYTES_MAX: Final = 64 * 1024
"""More than any kernel buffer of a serial port holds (4 KiB on Linux)."""

WRITE_BYTES_MAX: Final = 1024
"""Handed to a port without a descriptor at once: 0.09 s at 115,200 baud, well inside its write timeout."""

READ_SLICE_S: Final = 0.02
"""Ports without a descriptor: fixed read timeout, so a wait can end this much late."""

WRITE_TIMEOUT_S: Final = 0.5

# what the operating system says when a port is opened; anything else is "missing", with the errno as the cause
_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MISSING: Final[dict[int, str]] = {
    errno.ENOENT: N_("there is no such device"),
    errno.ENODEV: N_("there is no such device"),
    errno.ENXIO: N_("there is no such device"),
    errno.ENOTTY: N_("it is no serial port"),
    errno.EISDIR: N_("it is no serial port"),
    errno.ECONNREFUSED: N_("nobody listens there"),
    errno.EHOSTUNREACH: N_("the host cannot be reached"),
    errno.ENETUNREACH: N_("the host cannot be reached"),
}


class Port(Protocol):
    """The seam to the wire. Everything but `close` raises `LinkLost` once the wire is gone."""

    def read(self, timeout_s: float) -> bytes:
        """Return what is there, at most 64 KiB; wait up to ``timeout_s`` for the first byte; empty if none came."""

    def write(self, data: bytes) -> int:
        """Hand over as much of ``data`` as fits now, return how many bytes that was (0 = the line is full)."""

    def set_speed(self, baud: int) -> None:
        """Let what was written leave, then change the speed. Ports without a speed ignore it."""

    def fileno(self) -> int | None:
        """A descriptor to wait on, where there is one."""

    def close(self) -> None:
        """Let go of the port; never fails, closing twice does nothing."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """One port of this machine. ``location`` is the USB bus path (``1-4.3``), the only name that stays."""

    device: str
    description: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    location: str | None
    accessible: bool


def open_port(url: str, baud: int = BAUD_DEFAULT) -> Port:
    """Open ``url`` raw, 8N1, without flow control, exclusively where that exists.

    DTR and RTS are low from the start (raising them resets some terminals). Errors: `PortMissing`,
    `PortForbidden`, `PortBusy`.
    """
    try:
        opened = serial.serial_for_url(url, do_not_open=True, baudrate=baud, exclusive=True)
        opened.dtr = opened.rts = False
        # with a descriptor select waits and pyserial only takes what is there; without one these bound each call
        has_descriptor = type(opened).fileno is not serial.SerialBase.fileno
        opened.timeout = 0 if has_descriptor else READ_SLICE_S
        opened.write_timeout = 0 if has_descriptor else WRITE_TIMEOUT_S
        opened.open()
    except (serial.SerialException, OSError, termios.error, ValueError) as error:
        raise _open_error(url, error) from error
    _prefer_low_latency(opened)
    return _DescriptorPort(url, opened) if has_descriptor else _PolledPort(url, opened)


def candidates() -> list[PortInfo]:
    """List this machine's serial ports, always in the same order: by name, numbers as numbers."""
    return sorted(map(_port_info, list_ports.comports()), key=lambda info: _natural(info.device))


# ---- the two kinds of port


class _DescriptorPort:
    """Serial devices, PTYs and sockets of a POSIX system: wakes on the first byte, polls nothing."""

    def __init__(self, url: str, opened: serial.Serial) -> None:
        self._url = url
        self._serial = opened

    def read(self, timeout_s: float) -> bytes:
        with _translated(self._url, self._serial):
            ready, _, _ = select.select([self._serial], [], [], timeout_s)
            return self._serial.read(READ_BYTES_MAX) if ready else b""

    def write(self, data: bytes) -> int:
        with _translated(self._url, self._serial):
            # asked first: pyserial 3.5 spins on a full buffer when its write timeout is 0
            _, ready, _ = select.select([], [self._serial], [], 0)
            return self._serial.write(data) or 0 if ready and data else 0

    def set_speed(self, baud: int) -> None:
        with _translated(self._url, self._serial):
            self._serial.flush()
            self._serial.baudrate = baud

    def fileno(self) -> int | None:
        with _translated(self._url, self._serial):
            return self._serial.fileno()

    def close(self) -> None:
        _close(self._serial)


class _PolledPort:
    """What has no descriptor (``rfc2217://``, ``loop://``): waits in slices of a fixed read timeout."""

    def __init__(self, url: str, opened: serial.Serial) -> None:
        self._url = url
        self._serial = opened

    def read(self, timeout_s: float) -> bytes:
        deadline_s = time.monotonic() + timeout_s
        with _translated(self._url, self._serial):
            while not (first := self._serial.read(1)):
                if time.monotonic() >= deadline_s:
                    return b""
            return first + self._serial.read(min(self._serial.in_waiting, READ_BYTES_MAX - 1))

    def write(self, data: bytes) -> int:
        with _translated(self._url, self._serial):
            try:
                return self._serial.write(data[:WRITE_BYTES_MAX]) or 0
            except serial.SerialTimeoutException:
                return 0

    def set_speed(self, baud: int) -> None:
        with _translated(self._url, self._serial):
            self._serial.flush()
            self._serial.baudrate = baud

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        _close(self._serial)


# ---- translation, in one place


@contextlib.contextmanager
def _translated(url: str, opened: serial.Serial) -> Iterator[None]:
    """Every way in which an open port fails is a lost link: seen with ftdi_sio, one unplug raises all three types."""
    if not opened.is_open:
        raise LinkLost(url, N_("it was closed here"))
    try:
        yield
    except (serial.SerialException, OSError, termios.error) as error:
        raise LinkLost(url, _reason(error)) from error


def _open_error(url: str, error: BaseException) -> PortError:
    code = _errno_of(error)
    device = Path(url)
    if code in _BUSY:
        return PortBusy(url, holder(device))
    if code in _FORBIDDEN:
        return PortForbidden(url, rights(device))
    if isinstance(error, ValueError) and not isinstance(error, serial.SerialException):
        return PortMissing(url, N_("it is neither a device nor a port URL that this version knows"))
    return PortMissing(url, _reason(error))


def _reason(error: BaseException) -> str:
    code = _errno_of(error)
    if code is None:
        return N_("the connection ended")
    return _MISSING.get(code) or os.strerror(code)


def _errno_of(error: BaseException) -> int | None:
    """The errno that pyserial often leaves in the exception behind its own; ``termios.error`` has it as argument."""
    cause: BaseException | None = error
    while cause is not None:
        code = (
            cause.args[0]
            if isinstance(cause, termios.error) and cause.args
            else getattr(cause, "errno", None)
        )
        if isinstance(code, int):
            return code
        cause = cause.__context__
    return None


# ---- settings that help and may fail


def _prefer_low_latency(opened: serial.Serial) -> None:
    """1 ms instead of 16 on FTDI adapters, no Nagle delay on sockets; before traffic, for the switch can stall."""
    with contextlib.suppress(AttributeError, NotImplementedError, ValueError, OSError):
        opened.set_low_latency_mode(True)
    with contextlib.suppress(OSError):
        descriptor = opened.fileno()
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close(opened: serial.Serial) -> None:
    with contextlib.suppress(serial.SerialException, OSError, termios.error):
        # pyserial 3.5 leaves a socket open when the far end was gone first
        if line := getattr(opened, "_socket", None):
            line.close()
        opened.close()


# ---- the list of ports


def _port_info(found: list_ports_common.ListPortInfo) -> PortInfo:
    accessible = os.access(found.device, os.R_OK | os.W_OK)
    described = found.description if found.description not in (None, "n/a") else ""
    return PortInfo(
        found.device, described, found.vid, found.pid, found.serial_number, found.location, accessible
    )


def _natural(name: str) -> list[tuple[str, int]]:
    """Sort key: ``ttyUSB10`` after ``ttyUSB9``."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
