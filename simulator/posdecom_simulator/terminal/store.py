"""The terminal's memory behind one small seam: named values, each written or destroyed durably or not at all.

What is written together (`put`) may be torn between the values by a power cut, never inside one. `erase` destroys
contents; what remains of a name afterwards is that it is not there.

* `MemoryStore`: a dict, for the deterministic world; every value that changes asks ``before_change`` first, which may
  raise `PowerCut`.
* `LogStore`: one append-only file that a person can open with a hex viewer. Entry: magic 0x5D 1, name length 1, value
  length 4 (0xFFFFFFFF: erased), name, value, CRC-32 4 over all before. A torn tail is cut off when it is opened.
  Erased values are overwritten with zeros in place.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from posdecom_protocol.errors import PosdecomError


class PowerCut(PosdecomError):
    """The supply failed: nothing after the last completed change happened."""


class StoreCorrupt(PosdecomError):
    """A value inside the log is not what was written (not a torn tail)."""


class Store(Protocol):
    def get(self, name: str) -> bytes | None:
        """The value, or None where there is none."""

    def put(self, values: Mapping[str, bytes]) -> None:
        """Write each value, in order; all are durable on return."""

    def erase(self, names: Iterable[str]) -> None:
        """Destroy each value, in order; all are gone, durably, on return. Absent names do not matter."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names that begin with ``prefix``, in the order of their characters."""


class MemoryStore:
    """A store without an OS underneath. ``values``: what it holds already."""

    def __init__(
        self, before_change: Callable[[], None] = lambda: None, values: Mapping[str, bytes] | None = None
    ) -> None:
        self._values: dict[str, bytes] = dict(values or {})
        self._before_change = before_change

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def put(self, values: Mapping[str, bytes]) -> None:
        for name, value in values.items():
            self._before_change()
            self._values[name] = value

    def erase(self, names: Iterable[str]) -> None:
        for name in list(names):
            self._before_change()
            self._values.pop(name, None)

    def names(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self._values if name.startswith(prefix)))


_HEAD: Final = struct.Struct(">BBI")
_MAGIC: Final = 0x5D
_ERASED: Final = 0xFFFF_FFFF
_CRC_BYTES: Final = 4


class LogStore:
    """A store in one file of ``directory``; made by `open`. For one process."""

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._read_all()

    @classmethod
    def open(cls, directory: Path) -> LogStore:
        """Open or make ``directory/memory.log`` (0600); `StoreCorrupt` where its middle is damaged."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        store = cls(os.open(directory / "memory.log", flags, 0o600))
        _sync_directory(directory)
        return store

    def get(self, name: str) -> bytes | None:
        place = self._places.get(name)
        return None if place is None else os.pread(self._file, place[1], place[0])

    def put(self, values: Mapping[str, bytes]) -> None:
        entries = [(name, _entry(name, value), len(value)) for name, value in values.items()]
        self._write(b"".join(entry for _, entry, _ in entries))
        for name, entry, length in entries:
            old = self._places.get(name)
            self._end += len(entry)
            self._places[name] = (self._end - _CRC_BYTES - length, length)
            if old is not None:
                os.pwrite(self._file, bytes(old[1]), old[0])
        os.fdatasync(self._file)

    def erase(self, names: Iterable[str]) -> None:
        present = [name for name in names if name in self._places]
        self._write(b"".join(_entry(name, None) for name in present))
        for name in present:
            start, length = self._places.pop(name)
            self._end += len(_entry(name, None))
            os.pwrite(self._file, bytes(length), start)
        os.fdatasync(self._file)

    def names(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self._places if name.startswith(prefix)))

    def close(self) -> None:
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        """At the end, synced before anything that it replaces is touched."""
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], self._end + done)
        os.fdatasync(self._file)

    def _read_all(self) -> None:
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        while (found := _read_entry(data, self._end)) is not None:
            name, start, length, end = found
            if length == _ERASED:
                self._places.pop(name, None)
            else:
                self._places[name] = (start, length)
            self._end = end
        os.ftruncate(self._file, self._end)
        self._check_values(data)

    def _check_values(self, data: bytes) -> None:
        """Only live values: those that were replaced or erased are zeros by now."""
        for name, (start, length) in self._places.items():
            stored = int.from_bytes(data[start + length : start + length + _CRC_BYTES], "big")
            if stored != _check(name, data[start : start + length]):
                raise StoreCorrupt(f"value {name!r} in the terminal's memory is damaged")


def _entry(name: str, value: bytes | None) -> bytes:
    length = _ERASED if value is None else len(value)
    encoded, content = name.encode("ascii"), value or b""
    head = _HEAD.pack(_MAGIC, len(encoded), length)
    return head + encoded + content + _check(name, content).to_bytes(_CRC_BYTES, "big")


def _read_entry(data: bytes, position: int) -> tuple[str, int, int, int] | None:
    """Name, start and length of the value, end of the entry at ``position``; None where a torn tail begins."""
    if position + _HEAD.size > len(data):
        return None
    magic, name_length, length = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size + name_length
    end = start + (0 if length == _ERASED else length) + _CRC_BYTES
    if magic != _MAGIC or end > len(data):
        return None
    return data[position + _HEAD.size : start].decode("ascii", "replace"), start, length, end


def _check(name: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(name.encode("ascii")))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
