"""Why a port cannot be used, and what the operating system says about it. Opens no port, imports no driver.

    PortError
    ├── PortMissing      nothing answers to that name
    ├── PortForbidden    it is there, but this user may not open it
    ├── PortBusy         another program holds it
    └── LinkLost         it was open and is gone (unplugged, closed by the other side)

Each has ``port`` (the name or URL that was asked for) and ``cause`` (what is known about the reason).
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from posdecom_protocol.errors import PosdecomError
from posdecom_protocol.wording import N_

PROC: Final = Path("/proc")


class PortError(PosdecomError):
    """Abstract: the wire to the terminal cannot be used."""

    def __init__(self, port: str, cause: str) -> None:
        super().__init__(N_("{where}: {reason}", where=port, reason=cause))
        self.port = port
        self.cause = cause


class PortMissing(PortError):
    """No such device, nobody listening, or a name that is no serial port."""


class PortForbidden(PortError):
    """The device exists; its rights or a security policy keep this user out."""


class PortBusy(PortError):
    """The device exists and is allowed; somebody else has it open."""


class LinkLost(PortError):
    """The port worked and does no more: unplugged, powered off, or the far end of a network port closed."""


def rights(device: Path) -> str:
    """Say who may open ``device`` and who is asking: ``node is root:dialout 0660; you are in: users``."""
    try:
        node = device.stat()
    except OSError:
        return N_("its rights cannot be read")
    owner, group = _user(node.st_uid), _group(node.st_gid)
    mine = ", ".join(sorted({_group(gid) for gid in {os.getegid(), *os.getgroups()}}))
    return N_(
        "node is {owner}:{group} {mode:04o}; you are in: {groups}",
        owner=owner,
        group=group,
        mode=stat.S_IMODE(node.st_mode),
        groups=mine,
    )


def group_of(device: Path) -> str | None:
    """Name of the group that owns ``device``; None if the node cannot be looked at."""
    try:
        return _group(device.stat().st_gid)
    except OSError:
        return None


def holder(device: Path, proc: Path = PROC) -> str:
    """Say which program has ``device`` open, as far as this user may see."""
    return busy_with(device, proc) or N_("another program has it open")


def busy_with(device: Path, proc: Path = PROC) -> str | None:
    """As `holder`; None where nobody is seen to have it open (proc(5), ``/proc/PID/fd``)."""
    node = str(device.resolve())
    for process in sorted(proc.glob("[0-9]*")):
        if node in _open_files(process):
            return N_(
                "{program} (process {number}) has it open", program=_program(process), number=process.name
            )
    return None


def _open_files(process: Path) -> set[str]:
    """What the process has open; empty when it is gone or not ours to look at."""
    files = set()
    try:
        for descriptor in (process / "fd").iterdir():
            files.add(str(descriptor.readlink()))
    except OSError:
        pass
    return files


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return N_("a program")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
