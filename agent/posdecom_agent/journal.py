"""The journal of one job: rows that are only ever added, chained by SHA-256, durable when ``append`` returns.

What a row means is not known here. Two implementations of one contract: `SqliteJournal` (a file) and
`MemoryJournal` (the deterministic world); equal rows give equal heads in both.

* One connection, one process: a second opener gets `JournalBusy`. Write-ahead log with ``synchronous=FULL``:
  what was acknowledged survives a power cut as far as the drive keeps its promises.
* Every row carries the chain's head up to itself, and the whole chain is recomputed when the file is opened.
  Counts and look-ups are derived from the rows in memory: no index in the file could disagree with them.
* A failed commit is final: the kernel may have dropped the dirty pages, so a retried fsync proves nothing.
  The object refuses everything after it; opening again says what really is there.
* The chain cannot show that the *last* rows are missing (an old copy of the file, a damaged end of the
  write-ahead log). That costs time, not money: the terminal keeps everything until it holds the receipt.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

from posdecom_protocol.errors import LocalError
from posdecom_protocol.wording import N_

from .storage import MOUNTS, free_bytes_at, require_safe_place, require_space
from .storage import DiskFull as DiskFull
from .storage import JournalBusy as JournalBusy
from .storage import JournalCorrupt as JournalCorrupt
from .storage import StorageError as StorageError
from .storage import StorageFailed as StorageFailed
from .storage import UnsafePlace as UnsafePlace

KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")

KEY_MAX: Final = 2**63 - 1
"""SQLite's largest integer."""

BODY_BYTES_MAX: Final = 1024 * 1024
"""Twice the largest document; a body beyond it is a mistake on this side."""

HEAD_EMPTY: Final = hashlib.sha256(b"posdecom journal 1").digest()
"""Head of a journal without rows; names the format, so that another one cannot share a chain."""

APPLICATION_ID: Final = 0x504F5344
"""``POSD``, in SQLite's header: tells this file from any other database."""

_SCHEMA: Final = (
    "CREATE TABLE row (n INTEGER PRIMARY KEY, kind TEXT, key INTEGER, head BLOB, body BLOB)",
    "CREATE TRIGGER row_no_update BEFORE UPDATE ON row BEGIN SELECT RAISE(ABORT, 'append only'); END",
    "CREATE TRIGGER row_no_delete BEFORE DELETE ON row BEGIN SELECT RAISE(ABORT, 'append only'); END",
)

_PRAGMAS: Final[tuple[tuple[str, str, str | int], ...]] = (
    # name, value set, value read back; exclusive comes first, then WAL needs no shared-memory file
    ("locking_mode", "EXCLUSIVE", "exclusive"),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("fullfsync", "1", 1),
    ("checkpoint_fullfsync", "1", 1),
)

_ROWS_PER_READ: Final = 256


@dataclass(frozen=True, slots=True)
class Row:
    """``kind`` a short lowercase word, ``key`` 0 where unused, ``body`` at most 1 MiB and never in a repr."""

    kind: str
    key: int
    body: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not KIND.fullmatch(self.kind):
            raise LocalError("journal row: the kind is no short lowercase word")
        if not 0 <= self.key <= KEY_MAX:
            raise LocalError(f"journal row: key {self.key} is outside 0..{KEY_MAX}")
        if len(self.body) > BODY_BYTES_MAX:
            raise LocalError(f"journal row: {len(self.body)} bytes are more than {BODY_BYTES_MAX}")


class Journal(Protocol):
    """The seam. All but `close` raise `StorageFailed` once a commit has failed, `LocalError` once closed."""

    def append(self, rows: Sequence[Row]) -> None:
        """Add all of ``rows`` or none; on return they are durable. A `StorageError` here is final."""

    def rows(self, kind: str | None = None) -> Iterator[Row]:
        """Rows in the order in which they were added, of one kind or all, up to the last one at the call."""

    def find(self, kind: str, key: int) -> bytes | None:
        """Body of the first row with this kind and key."""

    def count(self, kind: str) -> int:
        """How many rows of this kind there are."""

    def head(self) -> bytes:
        """SHA-256 over all rows (32 bytes), see `chain`."""

    def reserve(self, bytes_needed: int) -> None:
        """Raise `DiskFull` (not final) unless ``bytes_needed`` of bodies will fit; before asking for them."""

    def close(self) -> None:
        """Let go of the file; closing twice does nothing."""


def chain(head: bytes, row: Row) -> bytes:
    """Return the head after ``row``: SHA-256(head | kind length (1) | kind | key (8, big-endian) | body).

    >>> chain(HEAD_EMPTY, Row("order", 0, b"")).hex()[:16]
    'c410ca1b4185a461'
    """
    kind = row.kind.encode("ascii")
    return hashlib.sha256(
        b"".join((head, bytes([len(kind)]), kind, row.key.to_bytes(8, "big"), row.body))
    ).digest()


@dataclass(slots=True)
class _Places:
    """Where each (kind, key) is first.

    Keys that come in order, as those of items and outcomes do, cost 8 bytes each: an array a kind, key 0 its first
    entry, 0 where there is no such row. A dictionary of all of them took 38 MiB in a flush of 50 MiB.
    """

    _dense: dict[str, array[int]] = field(default_factory=dict)
    _sparse: dict[tuple[str, int], int] = field(default_factory=dict)
    """Keys beyond the array's next one when they came. It may grow over them later, and they stay the first."""

    def add(self, kind: str, key: int, place: int) -> None:
        dense = self._dense.setdefault(kind, array("q", [0]))
        if key < len(dense):
            dense[key] = dense[key] or place
        elif key == len(dense):
            dense.append(place)
        else:
            self._sparse.setdefault((kind, key), place)

    def find(self, kind: str, key: int) -> int | None:
        if (found := self._sparse.get((kind, key))) is not None:
            return found
        dense = self._dense.get(kind, ())
        return (dense[key] or None) if key < len(dense) else None


@dataclass(slots=True)
class _Summary:
    """What is derived from the rows: the head, how many of each kind, where each (kind, key) is first."""

    head: bytes = HEAD_EMPTY
    total: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    places: _Places = field(default_factory=_Places)

    def add(self, row: Row) -> None:
        self.head = chain(self.head, row)
        self.total += 1
        self.counts[row.kind] += 1
        self.places.add(row.kind, row.key, self.total)


class MemoryJournal:
    """A journal without a disk. ``rows``: those that survived; ``free_bytes``: how much would still fit."""

    def __init__(self, rows: Iterable[Row] = (), *, free_bytes: Callable[[], int] | None = None) -> None:
        self._rows: list[Row] = []
        self._summary = _Summary()
        self._free_bytes = free_bytes
        self._closed = False
        self.append(tuple(rows))

    def append(self, rows: Sequence[Row]) -> None:
        self._require_open()
        for row in rows:
            self._rows.append(row)
            self._summary.add(row)

    def rows(self, kind: str | None = None) -> Iterator[Row]:
        self._require_open()
        return (row for row in self._rows[:] if kind in (None, row.kind))

    def find(self, kind: str, key: int) -> bytes | None:
        self._require_open()
        place = self._summary.places.find(kind, key)
        return None if place is None else self._rows[place - 1].body

    def count(self, kind: str) -> int:
        self._require_open()
        return self._summary.counts[kind]

    def head(self) -> bytes:
        self._require_open()
        return self._summary.head

    def reserve(self, bytes_needed: int) -> None:
        self._require_open()
        if self._free_bytes is not None:
            require_space(bytes_needed, self._free_bytes())

    def close(self) -> None:
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise LocalError("journal: used after close")


class Found(Protocol):
    """What a statement gives, as a `sqlite3.Cursor` does."""

    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """What is asked of SQLite: a `sqlite3.Connection`, or the world's, on a disk that forgets."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Found: ...
    def executemany(self, statement: str, entries: Sequence[Sequence[Any]], /) -> Found: ...
    def close(self) -> None: ...


class SqliteJournal:
    """A journal in one SQLite file; made by `open` only. For one thread of one process.

    Nothing else in that process may open and close the file meanwhile: POSIX drops a process's locks on a file as soon
    as any descriptor on it is closed (fcntl(2)).
    """

    def __init__(self, connection: Database, free_bytes: Callable[[], int]) -> None:
        self._connection = connection
        self._free_bytes = free_bytes
        self._summary = _Summary()
        self._failed = False
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, free_bytes: Callable[[], int] | None = None, mounts: Path = MOUNTS
    ) -> SqliteJournal:
        """Open and verify the journal at ``path``; file (0600) and folder (0700) are made if missing.

        ``free_bytes`` and ``mounts`` replace the disk's free space and the kernel's mount table in tests.
        Errors: every `StorageError`.
        """
        require_safe_place(path, mounts)
        return cls.over(_connect(path), free_bytes or (lambda: free_bytes_at(path.parent)))

    @classmethod
    def over(cls, connection: Database, free_bytes: Callable[[], int]) -> Self:
        """Verify the journal in an open database; closes it where it raises one of `StorageError`."""
        journal = cls(connection, free_bytes)
        try:
            _set_pragmas(connection)
            _require_schema(connection)
            journal._verify()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            connection.close()
            raise _translated(error, journal._summary.total + 1) from error
        except StorageError:
            connection.close()
            raise
        return journal

    def append(self, rows: Sequence[Row]) -> None:
        self._require_usable()
        head, entries = self._summary.head, []
        for n, row in enumerate(rows, self._summary.total + 1):
            head = chain(head, row)
            entries.append((n, row.kind, row.key, head, row.body))
        # failed until proven otherwise: an interrupt in here leaves open whether the commit happened
        self._failed = True
        self._commit(entries)
        for row in rows:
            self._summary.add(row)
        self._failed = False

    def rows(self, kind: str | None = None) -> Iterator[Row]:
        self._require_usable()
        return self._read(kind, last=self._summary.total)

    def find(self, kind: str, key: int) -> bytes | None:
        self._require_usable()
        place = self._summary.places.find(kind, key)
        if place is None:
            return None
        ((body,),) = self._query("SELECT body FROM row WHERE n = ?", (place,))
        found: bytes = body
        return found

    def count(self, kind: str) -> int:
        self._require_usable()
        return self._summary.counts[kind]

    def head(self) -> bytes:
        self._require_usable()
        return self._summary.head

    def reserve(self, bytes_needed: int) -> None:
        self._require_usable()
        require_space(bytes_needed, self._free_bytes())

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._connection.close()

    # ---- private

    def _require_usable(self) -> None:
        if self._closed:
            raise LocalError("journal: used after close")
        if self._failed:
            raise StorageFailed(N_("the journal failed before; it must be opened again"))

    def _commit(self, entries: Sequence[tuple[int, str, int, bytes, bytes]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO row (n, kind, key, head, body) VALUES (?, ?, ?, ?, ?)", entries
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _translated(error, self._summary.total + 1) from error

    def _query(self, statement: str, values: Sequence[object]) -> list[Any]:
        try:
            return self._connection.execute(statement, tuple(values)).fetchall()
        except sqlite3.Error as error:
            self._failed = True
            raise _translated(error, 0) from error

    def _read(self, kind: str | None, last: int) -> Iterator[Row]:
        """Yield rows 1..last in small reads, so that no statement is open while the caller appends."""
        n = 0
        while page := self._page(kind, n, last):
            n = page[-1][0]
            yield from (Row(found_kind, key, body) for _, found_kind, key, body in page)

    def _page(self, kind: str | None, after: int, last: int) -> list[Any]:
        self._require_usable()
        return self._query(
            "SELECT n, kind, key, body FROM row"
            " WHERE n > ? AND n <= ? AND (? IS NULL OR kind = ?) ORDER BY n LIMIT ?",
            (after, last, kind, kind, _ROWS_PER_READ),
        )

    def _verify(self) -> None:
        """Recompute the chain; `JournalCorrupt` names the first row that is not what was written."""
        for n, kind, key, head, body in self._connection.execute(
            "SELECT n, kind, key, head, body FROM row ORDER BY n"
        ):
            expected = self._summary.total + 1
            if n != expected:
                raise JournalCorrupt(expected, N_("is missing"))
            try:
                self._summary.add(Row(kind, key, body))
            except (LocalError, TypeError, AttributeError) as error:
                raise JournalCorrupt(n, N_("is no row")) from error
            if head != self._summary.head:
                raise JournalCorrupt(n, N_("its hash does not fit"))


# ---- the file


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path.absolute(), timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise _translated(error, 0) from error


def _set_pragmas(connection: Database) -> None:
    for name, value, expected in _PRAGMAS:
        connection.execute(f"PRAGMA {name}={value}").fetchall()
        ((found,),) = connection.execute(f"PRAGMA {name}").fetchall()
        if found != expected:
            raise StorageFailed(N_("SQLite does not take {name}={value} here", name=name, value=value))


def _require_schema(connection: Database) -> None:
    """Lay the schema into an empty file; refuse any other than ours."""
    found = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master ORDER BY rowid")]
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    if not found and application == 0:
        for statement in ("BEGIN IMMEDIATE", *_SCHEMA, f"PRAGMA application_id={APPLICATION_ID}", "COMMIT"):
            connection.execute(statement)
    elif found != list(_SCHEMA) or application != APPLICATION_ID:
        raise JournalCorrupt(0, N_("the file is no posdecom journal"))


def _translated(error: sqlite3.Error | UnicodeDecodeError, row: int) -> StorageError:
    """The one place that knows SQLite's result codes (sqlite.org/rescode.html); the low byte is primary."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DiskFull()
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return JournalBusy(N_("another program has the journal open"))
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return JournalCorrupt(row, N_("the file is damaged"))
        case 0 if isinstance(error, (sqlite3.OperationalError, UnicodeDecodeError)):
            # Python's module meets damaged text in a row or in SQLite's own message, and sets no code
            return JournalCorrupt(row, N_("the file is damaged"))
        case _:
            return StorageFailed(
                N_("SQLite reports {name}", name=getattr(error, "sqlite_errorname", type(error).__name__))
            )
