"""Destroys the transactions of a closed job on this laptop. What stays: documents, outcomes, and each item's hash.

The journal is append-only, so nothing is taken out of it: a new one is written beside it, whose first row notes when
the purge was and the old journal's head, in which every item is its SHA-256, and salvaged records are what their
certificate says of them. Once that is durable the old file is overwritten and the new one takes its name. Cut
anywhere, running it again ends the same: the new file is all there or empty, because its rows are one transaction.

Overwriting is all that a program can do; a flash drive may keep old pages. What they hold is ciphertext that this
laptop never had a key for, and masked summaries.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from posdecom_protocol import cbor
from posdecom_protocol.documents.salvage import SALVAGE

from .job import Job
from .journal import Journal, Row, SqliteJournal
from .storage import storage_error

SUFFIX: Final = ".purged"
_CHUNK_BYTES: Final = 1024 * 1024
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""A journal's file, and those that SQLite may have left beside it."""


def purge(path: Path, now: float) -> None:
    """Replace the journal at ``path`` by one without items. The job must be closed and nobody have it open.

    Errors: every `StorageError`.
    """
    fresh = path.with_name(path.name + SUFFIX)
    if not _is_written(fresh):
        _discard(fresh)
        _write(path, fresh, now)
    try:
        for end in _BESIDE:
            _overwrite(path.with_name(path.name + end))
        fresh.replace(path)
        for end in _BESIDE[1:]:
            path.with_name(path.name + end).unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error) from error


def is_interrupted(path: Path) -> bool:
    """Whether a purge of ``path`` was cut after its new journal was written: `purge` again before anything else."""
    return _is_written(path.with_name(path.name + SUFFIX))


def purged_rows(journal: Journal, now: float) -> Iterator[Row]:
    """The rows of the new journal."""
    yield Row("purged", 0, int(now).to_bytes(8, "big") + journal.head())
    for row in journal.rows():
        if row.kind == "item":
            yield Row("item-hash", row.key, hashlib.sha256(row.body).digest())
        elif row.kind != "salvaged":
            yield row
    salvage = Job(journal).salvage
    if salvage is not None:
        yield Row("salvage", 0, cbor.encode(SALVAGE.pack(salvage)))


def _is_written(fresh: Path) -> bool:
    if not fresh.exists():
        return False
    journal = SqliteJournal.open(fresh)
    try:
        return journal.count("purged") == 1
    finally:
        journal.close()


def _write(path: Path, fresh: Path, now: float) -> None:
    old = SqliteJournal.open(path)
    try:
        rows = list(purged_rows(old, now))
    finally:
        old.close()
    new = SqliteJournal.open(fresh)
    try:
        new.append(rows)
    finally:
        new.close()


def _discard(fresh: Path) -> None:
    for end in _BESIDE:
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)


def _overwrite(path: Path) -> None:
    """Zeros over every byte, on the disk before this returns."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, _CHUNK_BYTES)))
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
