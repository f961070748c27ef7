"""The real journal on a disk that forgets: every call is a place to die at, or to fail.

A journal's life here is: made, appended to, folded into its file, closed, opened again and appended to. What was
acknowledged must be there after each death, and nothing by half.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field

import pytest

from posdecom_agent import journal
from posdecom_agent.journal import Row, SqliteJournal
from posdecom_agent.storage import DiskFull, StorageError, StorageFailed
from posdecom_world.disk import SECTOR_BYTES, Connection, Disk, File, Survivors, Trouble

FREE_BYTES = 1 << 40
APPENDS = [
    [Row("item", 10 * n + k, bytes([n + k]) * (700 * n + k)) for k in range(1 + n % 3)] for n in range(8)
]
BIG = Row("item", 1000, bytes(range(256)) * 64)
SHUFFLES = 4


class Killed(Exception):
    """As the world raises it."""


def opened(disk: Disk) -> SqliteJournal:
    return SqliteJournal.over(Connection(disk, "journal", Killed), lambda: FREE_BYTES)


@dataclass
class Life:
    """What a journal went through on ``disk``: what it was given, and how much of it was acknowledged."""

    disk: Disk
    given: list[Row] = field(default_factory=list)
    acknowledged: int = 0

    def live(self) -> None:
        with closing(opened(self.disk)) as made:
            for rows in APPENDS:
                self._append(made, rows)
            with suppress(sqlite3.Error):  # as SQLite does by itself once the log is long
                made._connection.execute("PRAGMA wal_checkpoint(FULL)")
            self._append(made, [BIG])
            self._append(made, APPENDS[0])
        with closing(opened(self.disk)) as made:
            self._append(made, APPENDS[1])

    def _append(self, made: SqliteJournal, rows: list[Row]) -> None:
        self.given += rows
        made.append(rows)
        self.acknowledged = len(self.given)

    def require(self, files: dict[str, bytes]) -> None:
        """``files`` hold what was acknowledged, and of what was under way all or nothing; and can be gone on with."""
        with closing(opened(Disk(files))) as made:
            rows = list(made.rows())
            assert rows in (self.given[: self.acknowledged], self.given)
            made.append([BIG])
            assert list(made.rows()) == [*rows, BIG]


def calls_of_a_life() -> list[str]:
    calls: list[str] = []
    Life(Disk(before=calls.append)).live()
    return calls


def survivors(disk: Disk) -> Iterator[dict[str, bytes]]:
    yield disk.left(Survivors.NONE, random.Random(0))
    yield disk.left(Survivors.ALL, random.Random(0))
    yield from (disk.left(Survivors.SHUFFLED, random.Random(n)) for n in range(SHUFFLES))


def test_killed_at_every_call_of_the_disk_nothing_acknowledged_is_lost(
    record_property: Callable[[str, object], None],
) -> None:
    cases: Counter[str] = Counter()

    def look(call: str) -> None:
        for files in survivors(life.disk):
            life.require(files)
            cases[call] += 1

    life = Life(Disk(before=look))
    life.live()
    life.require(life.disk.left(Survivors.NONE, random.Random(0)))
    assert set(cases) == {"create", "read", "write", "sync", "truncate", "delete"}
    assert cases.total() == len(calls_of_a_life()) * (2 + SHUFFLES)
    record_property("crash cases", dict(cases))


@pytest.mark.parametrize("trouble", [Trouble.EIO, Trouble.ENOSPC, Trouble.SHORT_WRITE])
def test_failing_at_every_call_of_the_disk_is_named_and_nothing_acknowledged_is_lost(
    trouble: Trouble,
) -> None:
    for place in range(1, len(calls_of_a_life()) + 1):
        life = Life(Disk())

        def fail(call: str, life: Life = life, place: int = place) -> Trouble | None:
            is_possible = trouble is not Trouble.SHORT_WRITE or call == "write"
            return trouble if life.disk.calls == place and is_possible else None

        life.disk.before = fail
        with suppress(StorageError):
            life.live()
        life.require(life.disk.left(Survivors.NONE, random.Random(0)))
        life.require(life.disk.left(Survivors.ALL, random.Random(0)))


@pytest.mark.parametrize(
    ("trouble", "error"),
    [(Trouble.EIO, StorageFailed), (Trouble.ENOSPC, DiskFull), (Trouble.SHORT_WRITE, DiskFull)],
)
def test_a_failed_append_is_final_until_the_journal_is_opened_again(
    trouble: Trouble, error: type[StorageError]
) -> None:
    disk = Disk()
    made = opened(disk)
    made.append(APPENDS[0])
    disk.before = lambda call: trouble if call == "write" else None
    with pytest.raises(error):
        made.append(APPENDS[1])
    disk.before = lambda call: None
    with pytest.raises(StorageFailed):
        made.append(APPENDS[1])
    made.close()
    with closing(opened(Disk(disk.left(Survivors.ALL, random.Random(0))))) as again:
        assert list(again.rows()) == APPENDS[0]


def test_a_death_is_raised_through_sqlite_and_what_it_left_is_kept() -> None:
    disk = Disk()
    made = opened(disk)
    disk.before = lambda call: Trouble.KILL if call == "sync" else None
    with pytest.raises(Killed):
        made.append(APPENDS[2])
    assert disk.killed_with[Survivors.NONE] != disk.killed_with[Survivors.ALL]


# --- the model itself: were it kinder than a disk, the tests above would show nothing


def test_a_sync_that_lies_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(File, "sync", lambda self: None)
    life = Life(Disk())
    life.live()
    with pytest.raises(AssertionError):
        life.require(life.disk.left(Survivors.NONE, random.Random(0)))


def test_a_commit_without_a_sync_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = [one if one[0] != "synchronous" else ("synchronous", "NORMAL", 1) for one in journal._PRAGMAS]
    monkeypatch.setattr(journal, "_PRAGMAS", careless)
    life = Life(Disk())

    def look(_: str) -> None:
        life.require(life.disk.left(Survivors.NONE, random.Random(0)))

    life.disk.before = look
    with pytest.raises(AssertionError):
        life.live()


def test_unsynced_sectors_survive_one_by_one_and_torn() -> None:
    file = File()
    file.write(0, b"\1" * 4 * SECTOR_BYTES)
    file.sync()
    file.write(0, b"\2" * 4 * SECTOR_BYTES)
    found = {file.survivor(Survivors.SHUFFLED, random.Random(n)) for n in range(200)}
    kept = {tuple(one[at] for at in range(0, len(one), SECTOR_BYTES)) for one in found if one is not None}
    assert {(1, 1, 1, 1), (2, 1, 1, 2), (1, 2, 2, 1)} <= kept
    assert any(one is not None and 0 < one[:SECTOR_BYTES].count(2) < SECTOR_BYTES for one in found)
