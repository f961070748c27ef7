"""What this machine must offer to keep a journal: a private folder on a local disk, with room. Knows no row.

StorageError
├── DiskFull         the disk cannot hold what is needed
├── StorageFailed    the operating system or SQLite failed; open again
├── JournalBusy      somebody else has the file open
├── JournalCorrupt   a row is not what was written
└── UnsafePlace      the folder is open to others, or on a network drive
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Final

from posdecom_protocol.errors import PosdecomError
from posdecom_protocol.wording import N_

RESERVE_FACTOR: Final = 3
"""A byte is held twice until a checkpoint (log and file); half as much again for heads and part-filled
pages."""

RESERVE_MARGIN_BYTES: Final = 4 * 1024 * 1024
"""The write-ahead log grows to about 1,000 pages of 4 KiB before it is folded into the file."""

# fmt: off
NETWORK_FILE_SYSTEMS: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "davfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs2", "fuse.curlftpfs",
    "fuse.cephfs", "fuse.smbnetfs",
})
# fmt: on
"""Their locks and syncs are promises of another machine. 9p and virtiofs are not listed: they are the only
disk that some virtual machines have, and nobody else mounts it."""

MOUNTS: Final = Path("/proc/self/mounts")
"""Linux's mount table, one mount a line (proc(5)); other systems have none, and nothing is refused there."""


_IS_POSIX: Final = os.name == "posix"
"""Elsewhere files have no modes, and a folder cannot be synced."""


class StorageError(PosdecomError):
    """Abstract: what this machine keeps its journal on does not do its part."""


class DiskFull(StorageError):
    """Too little space, in bytes."""

    def __init__(self, needed_bytes: int | None = None, free_bytes: int | None = None) -> None:
        needed, free = needed_bytes, free_bytes
        text = N_("the disk is full: {needed} bytes are needed, {free} are free", needed=needed, free=free)
        super().__init__(N_("the disk is full") if needed is None else text)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class StorageFailed(StorageError):
    """A read, write or sync failed. Final for the object that raised it."""


class JournalBusy(StorageError):
    """Another process (or another object of this one) has the journal open."""


class JournalCorrupt(StorageError):
    """Row ``row`` (from 1; 0 = the file's frame) is not what was written."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(N_("journal row {row}: {reason}", row=row, reason=reason))
        self.row = row


class UnsafePlace(StorageError):
    """The journal may not live there."""


def storage_error(error: OSError) -> StorageError:
    """Translate what the operating system says about the journal's place."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull()
    name = errno.errorcode.get(error.errno or 0, "no errno")
    return StorageFailed(N_("the journal's place cannot be used: {name}", name=name))


def free_bytes_at(folder: Path) -> int:
    """Space that this user may still fill on the disk that holds ``folder``."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise storage_error(error) from error


def require_space(bytes_needed: int, free_bytes: int) -> None:
    """Raise `DiskFull` unless ``bytes_needed`` of row bodies, with all that SQLite adds, go into ``free_bytes``."""
    needed = bytes_needed * RESERVE_FACTOR + RESERVE_MARGIN_BYTES
    if free_bytes < needed:
        raise DiskFull(needed, free_bytes)


def require_safe_place(path: Path, mounts: Path) -> None:
    """Make the file ``path`` (empty, 0600) and its folder (0700) if missing; refuse them if unsafe."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        system = _file_system(path.parent.resolve(), mounts)
        if system in NETWORK_FILE_SYSTEMS:
            raise UnsafePlace(N_("the journal's folder is on a network drive ({system})", system=system))
        _require_private(path.parent, "folder", 0o700)
        if path.exists():
            _require_private(path, "file", 0o600)
        else:
            _create(path)
    except OSError as error:
        raise storage_error(error) from error


def _require_private(path: Path, noun: str, mode: int) -> None:
    """Refuse what others may read or write."""
    found = path.stat().st_mode & 0o777
    if _IS_POSIX and found & ~mode & 0o077:
        raise UnsafePlace(
            N_(
                "the journal's {noun} has mode {found:04o}, others may use it: chmod {mode:04o} {path}",
                noun=noun,
                found=found,
                mode=mode,
                path=path,
            )
        )


def _create(path: Path) -> None:
    """Make an empty file before SQLite does, with its final mode, and make its name durable."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if _IS_POSIX:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _file_system(folder: Path, mounts: Path) -> str | None:
    """Type of the file system that holds ``folder``; None where the system has no mount table to read."""
    if not mounts.exists():
        return None
    found, depth = None, -1
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, point, system, *_ = line.split(" ")
        place = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point))
        if folder.is_relative_to(place) and len(place.parts) >= depth:
            found, depth = system, len(place.parts)
    return found
