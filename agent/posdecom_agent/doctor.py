"""What keeps a technician from working with a terminal on this machine, and the line to type against it.

Looks and changes nothing: opens no port, asks no terminal. What Linux says about itself is read below two roots
(``/sys`` and ``/proc``), so that tests bring their own machine.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from posdecom_protocol.wording import N_

from .adapters import KNOWN_ADAPTERS, likely
from .exits import Exit
from .port_access import busy_with, group_of, rights
from .ports import PortInfo

RULE_FILE: Final = "/etc/udev/rules.d/70-posdecom.rules"
INSTALL_RULE: Final = (
    f"posdecom doctor --udev | sudo tee {RULE_FILE} && sudo udevadm control --reload && sudo udevadm trigger"
)
FREE_BYTES_MIN: Final = 200_000_000
"""A job of 4,000 transactions takes a few megabytes; a disk with less than this is filling up anyway."""

LATENCY_MS_MAX: Final = 1
"""FTDI adapters wait 16 ms for more bytes unless told otherwise; every exchange waits with them."""

HUB_CLASS: Final = "09"


class Standing(Enum):
    GOOD = "good"
    NOTE = "note"
    """Works, and could work better."""
    BAD = "bad"
    """Stands in the way."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``remedy`` is a line to type, or what to do, empty where nothing is to be done."""

    name: str
    standing: Standing
    text: str
    remedy: str = ""
    exit: Exit = Exit.DONE


@dataclass(frozen=True, slots=True)
class Machine:
    """What is looked at."""

    ports: Sequence[PortInfo]
    folder: Path
    """Where jobs are going to be kept."""
    now: float
    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    rule: Path = Path(RULE_FILE)
    versions: Sequence[tuple[str, str]] = field(default_factory=tuple)


def examine(machine: Machine) -> Iterator[Check]:
    """Everything, in the order in which it would stop somebody."""
    known = likely(machine.ports)
    yield from _ports(machine, known)
    yield from _modem_manager(machine)
    yield from _disk(machine.folder)
    yield _clock(machine.now)
    yield _fonts()
    yield from (Check(N_("version"), Standing.GOOD, f"{name} {text}") for name, text in machine.versions)


def exit_of(checks: Iterable[Check]) -> Exit:
    """That of the first check that stands in the way."""
    return next((check.exit for check in checks if check.standing is Standing.BAD), Exit.DONE)


def udev_rules() -> Iterator[str]:
    """Rules that keep ModemManager off known adapters, give them to whoever sits at this machine, and name them."""
    yield "# posdecom: converters that card terminals hang on"
    for vendor, product in sorted(KNOWN_ADAPTERS):
        yield (
            f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", ATTR{{idVendor}}=="{vendor:04x}", '
            f'ATTR{{idProduct}}=="{product:04x}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
        )
        yield (
            f'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor:04x}", ATTRS{{idProduct}}=="{product:04x}", '
            'ENV{ID_MM_PORT_IGNORE}="1", TAG+="uaccess", SYMLINK+="posterm-$attr{serial}"'
        )


# ---- ports


def _ports(machine: Machine, known: Sequence[PortInfo]) -> Iterator[Check]:
    if not known:
        yield _no_port(machine)
    for info in known:
        yield _port(machine, info)
        yield from _latency(machine.sys, info)


def _port(machine: Machine, info: PortInfo) -> Check:
    name, device = N_("port"), Path(info.device)
    if not os.access(device, os.R_OK | os.W_OK):
        remedy = N_("sudo usermod -aG {group} $USER, then log in again", group=group_of(device) or "dialout")
        text = N_("{port}: not allowed; {rights}", port=info.device, rights=rights(device))
        return Check(name, Standing.BAD, text, remedy, Exit.FORBIDDEN)
    user = busy_with(device, machine.proc)
    if user is not None:
        text, remedy = N_("{where}: {reason}", where=info.device, reason=user), N_("close the other program")
        return Check(name, Standing.BAD, text, remedy, Exit.BUSY)
    text = N_(
        "{port}: allowed and free, adapter {adapter}", port=info.device, adapter=info.serial_number or "-"
    )
    return Check(name, Standing.GOOD, text)


def _no_port(machine: Machine) -> Check:
    """Why there is none: nothing on the USB at all, or something without a driver that makes a port of it."""
    devices = list(_usb_devices(machine.sys))
    without = [name for name, has_port in devices if not has_port]
    if not without:
        text = N_("no terminal on the USB: it has no power, or the cable is a charge-only cable")
        remedy = N_("switch the terminal on; take the data cable that came with it")
    else:
        text = N_("no serial port, but USB devices without one: {devices}", devices=", ".join(without))
        remedy = N_(
            "if the terminal is among them, its driver is missing: sudo modprobe usbserial; see dmesg"
        )
    return Check(N_("port"), Standing.BAD, text, remedy, Exit.NO_TERMINAL)


def _usb_devices(root: Path) -> Iterator[tuple[str, bool]]:
    """Id and name of each USB device that is no hub, and whether a driver has made a serial port of it."""
    for device in sorted((root / "bus/usb/devices").glob("*")):
        vendor, product = _read(device / "idVendor"), _read(device / "idProduct")
        if vendor and _read(device / "bDeviceClass") != HUB_CLASS:
            has_port = any(device.glob("*/tty*")) or any(device.glob("*/tty/tty*"))
            yield f"{vendor}:{product} {_read(device / 'product')}".strip(), has_port


def _latency(root: Path, info: PortInfo) -> Iterator[Check]:
    file = root / "bus/usb-serial/devices" / Path(info.device).name / "latency_timer"
    found = _read(file)
    if found.isdecimal() and int(found) > LATENCY_MS_MAX:
        text = N_("{port}: latency timer {count} ms; posdecom asks for 1 ms", port=info.device, count=found)
        yield Check(N_("latency"), Standing.NOTE, text, f"echo 1 | sudo tee {file}")


# ---- everything else


def _modem_manager(machine: Machine) -> Iterator[Check]:
    runs = any(_read(process / "comm") == "ModemManager" for process in machine.proc.glob("[0-9]*"))
    if runs and not machine.rule.exists():
        text = N_("ModemManager runs, and talks to every new port for some seconds")
        yield Check(N_("modem"), Standing.NOTE, text, INSTALL_RULE)


def _disk(folder: Path) -> Iterator[Check]:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = N_("{count} MB free in {folder}", count=free // 1_000_000, folder=there)
    if free < FREE_BYTES_MIN:
        yield Check(N_("disk"), Standing.BAD, text, N_("free some space"), Exit.STORAGE)
    else:
        yield Check(N_("disk"), Standing.GOOD, text)


def _clock(now: float) -> Check:
    """A laptop whose clock is before its own software cannot judge any certificate."""
    if now < Path(__file__).stat().st_mtime:
        text = N_("the clock of this computer is behind: it is before this software was installed")
        return Check(N_("clock"), Standing.BAD, text, "sudo timedatectl set-ntp true", Exit.FORBIDDEN)
    return Check(N_("clock"), Standing.GOOD, N_("plausible"))


def _fonts() -> Check:
    """The certificate's PDF needs Chinese glyphs: from the fonts that come with posdecom, else the system's."""
    shipped = [
        path
        for path in (Path(__file__).parent / "fonts").glob("*")
        if path.suffix in (".otf", ".ttf", ".ttc")
    ]
    if shipped:
        return Check(N_("fonts"), Standing.GOOD, ", ".join(path.name for path in shipped))
    return Check(N_("fonts"), Standing.NOTE, N_("none came with posdecom"), "sudo apt install fonts-noto-cjk")


def versions() -> list[tuple[str, str]]:
    """What a report of a mistake should name."""
    from importlib.metadata import version

    packages = ("posdecom", "cryptography", "pyserial", "click")
    kernel = os.uname()
    return [
        *((name, version(name)) for name in packages),
        ("Python", sys.version.split()[0]),
        (kernel.sysname, kernel.release),
    ]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
