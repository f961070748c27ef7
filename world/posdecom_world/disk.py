"""A disk that forgets, under the agent's real journal: SQLite itself runs on it, through a VFS of its own.

What the process wrote is there as long as the machine runs. What survives a power cut is what was synced, and of the
rest whatever the drive happened to have done: nothing, everything, or single sectors in any order, the last of them
torn. A new name survives from the first sync of its file on, as SQLite's own VFS for Unix sees to.

The storage is modelled and nothing else: journal, SQL, write-ahead log and recovery are those of production. The SQLite
that runs here is the one inside ``apsw``, newer than the interpreter's; `Connection` lends it the face of `sqlite3`.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final

import apsw

SECTOR_BYTES: Final = 512
_POWERSAFE_OVERWRITE: Final = 0x1000
"""SQLITE_IOCAP_POWERSAFE_OVERWRITE, as on Unix: writing some bytes of a sector endangers no others."""


class Survivors(Enum):
    """Which of the writes that were not synced a power cut leaves."""

    NONE = "none"
    ALL = "all"
    """Also what is there after the process alone was killed."""
    SHUFFLED = "shuffled"


class Trouble(StrEnum):
    """What a call of the disk may answer instead."""

    EIO = "eio"
    ENOSPC = "enospc"
    SHORT_WRITE = "short write"
    KILL = "kill"
    """The process dies in this call; what it was to do is not done."""


Before = Callable[[str], Trouble | None]
"""Told the name of each call that could fail or change something, before it does."""


def _no_trouble(call: str) -> None:
    return None


@dataclass(slots=True)
class File:
    content: bytearray = field(default_factory=bytearray)
    """As the process sees it."""
    synced: bytes | None = None
    """None: the name was never synced."""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Since the last sync: offset and data written, or the length that the file was cut to and None."""

    def write(self, offset: int, data: bytes) -> None:
        _write(self.content, offset, data)
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.content[size:]
        self.pending.append((size, None))

    def sync(self) -> None:
        self.synced = bytes(self.content)
        self.pending.clear()

    def survivor(self, which: Survivors, chance: random.Random) -> bytes | None:
        match which:
            case Survivors.NONE:
                return self.synced
            case Survivors.ALL:
                return bytes(self.content)
            case Survivors.SHUFFLED:
                return self._shuffled(chance)

    def _shuffled(self, chance: random.Random) -> bytes | None:
        if self.synced is None and chance.random() < 0.5:
            return None
        sectors = [one for one in _sectors(self.pending) if chance.random() < 0.5]
        chance.shuffle(sectors)
        if sectors and (data := sectors[-1][1]) is not None:
            sectors[-1] = sectors[-1][0], data[: chance.randrange(len(data) + 1)]
        content = bytearray(self.synced or b"")
        for offset, data in sectors:
            if data is None:
                del content[offset:]
            else:
                _write(content, offset, data)
        return bytes(content)


class Disk:
    """Files by name, and what would be left of them. ``before`` decides about each call."""

    def __init__(
        self, files: dict[str, bytes] | None = None, before: Before = _no_trouble, luck: int = 0
    ) -> None:
        self.files = {name: File(bytearray(content), content) for name, content in (files or {}).items()}
        self.before = before
        self._luck = luck
        self.calls = 0
        self.killed_with: dict[Survivors, dict[str, bytes]] = {}
        """Once the process was killed: what it left."""

    def left(self, which: Survivors, chance: random.Random) -> dict[str, bytes]:
        """Files as a power cut now would leave them."""
        contents = ((name, file.survivor(which, chance)) for name, file in self.files.items())
        return {name: content for name, content in contents if content is not None}

    def call(self, name: str) -> Trouble | None:
        """Count a call; raises what SQLite is to be told if it fails as a whole."""
        self.calls += 1
        trouble = self.before(name)
        match trouble:
            case Trouble.EIO:
                raise _io_error()
            case Trouble.ENOSPC:
                raise _full()
            case Trouble.KILL:
                chance = random.Random(f"{self._luck} {self.calls}")
                self.killed_with = {which: self.left(which, chance) for which in Survivors}
                raise _io_error()
            case _:
                return trouble


class _Quiet:
    """Where SQLite makes nothing of a failed call (on closing), nobody is told."""

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> Any:
        pass


class _OpenFile(_Quiet):
    """As SQLite's ``sqlite3_io_methods`` want it."""

    def __init__(self, disk: Disk, file: File) -> None:
        self._disk, self._file = disk, file

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.call("read")
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.call("write") is Trouble.SHORT_WRITE:
            self._file.write(offset, bytes(data[: len(data) // 2]))
            raise _full()
        self._file.write(offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        self._disk.call("truncate")
        self._file.truncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.call("sync")
        self._file.sync()

    def xFileSize(self) -> int:
        return len(self._file.content)

    def xClose(self) -> None:
        pass

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        return _POWERSAFE_OVERWRITE


_numbers = itertools.count()


class _Vfs(_Quiet, apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name = f"posdecom-disk-{next(_numbers)}"
        self._disk = disk
        super().__init__(self.name, "", makedefault=False)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> Any:
        assert name is not None, "SQLite asked for a temporary file"
        text = name if isinstance(name, str) else name.filename()
        if text not in self._disk.files:
            self._disk.call("create")
            self._disk.files[text] = File()
        flags[1] = flags[0]
        return _OpenFile(self._disk, self._disk.files[text])

    def xDelete(self, name: str, sync_folder: bool) -> None:
        self._disk.call("delete")
        if self._disk.files.pop(name, None) is None:
            raise _io_error()

    def xAccess(self, name: str, flags: int) -> bool:
        return name in self._disk.files

    def xFullPathname(self, name: str) -> str:
        return name

    def xRandomness(self, count: int) -> bytes:
        return bytes(range(1, 1 + min(count, 255)))

    def xSleep(self, microseconds: int) -> int:
        return microseconds

    def xCurrentTime(self) -> float:
        return 2_461_000.5

    def xCurrentTimeInt64(self) -> int:
        return int(2_461_000.5 * 86_400_000)

    def xGetLastError(self) -> tuple[int, str]:
        return 0, ""


class Rows(list[tuple[Any, ...]]):
    """All rows of one statement."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self


class Connection:
    """What a journal asks of a `sqlite3.Connection`, to a database on ``disk``; opened when it is used first.

    ``on_kill`` makes what a death inside a call raises.
    """

    def __init__(self, disk: Disk, name: str, on_kill: Callable[[], Exception]) -> None:
        self._disk = disk
        self._name = name
        self._on_kill = on_kill
        self._vfs = _Vfs(disk)
        self._made: apsw.Connection | None = None

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        return Rows(self._done(lambda made: made.execute(statement, tuple(values)).fetchall()))

    def executemany(self, statement: str, entries: Iterable[Sequence[Any]], /) -> Rows:
        return Rows(self._done(lambda made: made.executemany(statement, entries).fetchall()))

    def close(self) -> None:
        """Of a log that cannot be folded into the file on closing SQLite says nothing: it is there the next time."""
        if self._made is not None:
            with contextlib.suppress(sqlite3.Error):
                self._done(lambda made: made.close())

    def _open(self) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        return apsw.Connection(self._name, vfs=self._vfs.name, flags=flags)

    def _done(self, action: Callable[[apsw.Connection], Any]) -> Any:
        try:
            self._made = self._made or self._open()
            return action(self._made)
        except apsw.Error as error:
            if self._disk.killed_with:
                self._bury()
                raise self._on_kill() from None
            translated = sqlite3.OperationalError(str(error))
            translated.sqlite_errorcode = vars(error).get("extendedresult", sqlite3.SQLITE_ERROR)
            translated.sqlite_errorname = type(error).__name__
            raise translated from error

    def _bury(self) -> None:
        """The process is gone, and what it left is kept; only this interpreter still has its connection."""
        self._disk.before = _no_trouble
        if self._made is not None:
            self._made.close(True)


def _io_error() -> Exception:
    return apsw.exception_for(apsw.SQLITE_IOERR)


def _full() -> Exception:
    return apsw.exception_for(apsw.SQLITE_FULL)


def _write(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content += bytes(offset - len(content))
    content[offset : offset + len(data)] = data


def _sectors(writes: Iterable[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None]]:
    """Each write in pieces that lie in one sector."""
    for offset, data in writes:
        if data is None:
            yield offset, None
            continue
        while data:
            size = SECTOR_BYTES - offset % SECTOR_BYTES
            yield offset, data[:size]
            offset, data = offset + size, data[size:]
