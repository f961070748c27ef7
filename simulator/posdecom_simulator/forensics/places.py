"""Where bytes are looked at: files and folders, and the memory of a running process (Linux)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CHUNK_BYTES_MAX: Final = 64 << 20
_CHUNK_OVERLAP_BYTES: Final = 4096
"""More than any form of a key is long."""
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")


def files_in(place: Path) -> Iterator[tuple[str, bytes]]:
    """Every regular file of a folder and below (or the one file), by its path. Links are not followed."""
    paths = sorted(place.rglob("*")) if place.is_dir() else [place]
    for path in paths:
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


def process_memory(pid: int) -> Iterator[tuple[str, bytes]]:
    """Every writable mapping of process ``pid``, by name and address. `OSError` where the system does not allow it."""
    descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            found = _MAPPING.match(line)
            if found is not None and found[3].startswith("rw"):
                start, end = int(found[1], 16), int(found[2], 16)
                yield from _mapping(descriptor, start, end, found[4] or "anonymous")
    finally:
        os.close(descriptor)


def _mapping(descriptor: int, start: int, end: int, name: str) -> Iterator[tuple[str, bytes]]:
    for at in range(start, end, CHUNK_BYTES_MAX):
        size = min(CHUNK_BYTES_MAX + _CHUNK_OVERLAP_BYTES, end - at)
        try:
            data = os.pread(descriptor, size, at)
        except OSError:  # what is mapped behind the end of its file, or belongs to a device
            continue
        yield f"memory {at:#x} {name}", data
