"""Does the chain or the disk decide what custody costs, and what does it cost to open the journal of a large job?

    pytest -n0 --benchmark-enable benchmarks/test_bench_journal.py

First group: one commit of `ITEMS` items, as a flush makes them. Two floors: SQLite with the same settings, without
chain and look-up; and the chain without a disk. Second: opening a journal of `LARGE` items, which recomputes its chain,
beside reading the same rows and looking at nothing.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from posdecom_agent.journal import HEAD_EMPTY, MemoryJournal, Row, SqliteJournal, chain

ITEMS: Final = 64
LARGE: Final = 20_000
ITEM_BYTES: Final = 250
COMMIT: Final = pytest.mark.benchmark(group=f"one commit of {ITEMS} items")
OPENING: Final = pytest.mark.benchmark(group=f"opening {LARGE} items")

Measured = Callable[..., Any]


def rows(first: int, number: int) -> list[Row]:
    chance = random.Random(first)
    return [Row("item", first + index, chance.randbytes(ITEM_BYTES)) for index in range(number)]


ROWS: Final = rows(1, ITEMS)


def in_memory(number: int = 1) -> bytes:
    journal = MemoryJournal()
    for _ in range(number):
        journal.append(ROWS)
    return journal.head()


def chain_alone(number: int = 1) -> bytes:
    head = HEAD_EMPTY
    for _ in range(number):
        for row in ROWS:
            head = chain(head, row)
    return head


def bare_database(path: Path) -> sqlite3.Connection:
    """With the journal's own settings."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "fullfsync=1"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(
        "CREATE TABLE row (n INTEGER PRIMARY KEY, kind TEXT, key INTEGER, head BLOB, body BLOB)"
    )
    return connection


def insert(connection: sqlite3.Connection, first: int, made: Sequence[Row]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    entries = [(n, row.kind, row.key, HEAD_EMPTY, row.body) for n, row in enumerate(made, first)]
    connection.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?)", entries)
    connection.execute("COMMIT")


@COMMIT
def test_floor_the_chain_alone(benchmark: Measured) -> None:
    assert benchmark(chain_alone) == in_memory()


@COMMIT
def test_floor_sqlite_alone(benchmark: Measured, tmp_path: Path) -> None:
    connection, places = bare_database(tmp_path / "bare"), count(1, ITEMS)
    benchmark(lambda: insert(connection, next(places), ROWS))
    ((stored,),) = connection.execute("SELECT count(*) FROM row")
    connection.close()
    assert stored % ITEMS == 0 < stored


@COMMIT
def test_journal_on_disk(benchmark: Measured, tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "jobs" / "one.journal")
    benchmark(lambda: journal.append(ROWS))
    assert journal.count("item") % ITEMS == 0 < journal.count("item")
    journal.close()


@COMMIT
def test_journal_in_memory(benchmark: Measured) -> None:
    assert benchmark(in_memory) == chain_alone()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "jobs" / "large.journal"
    journal = SqliteJournal.open(path)
    journal.append(rows(1, LARGE))
    journal.close()
    return path


@OPENING
def test_floor_reading_the_rows(benchmark: Measured, large: Path) -> None:
    def read() -> int:
        connection = sqlite3.connect(large)
        number = sum(1 for _ in connection.execute("SELECT n, kind, key, head, body FROM row ORDER BY n"))
        connection.close()
        return number

    assert benchmark(read) == LARGE


@OPENING
def test_opening(benchmark: Measured, large: Path) -> None:
    def opened() -> int:
        journal = SqliteJournal.open(large)
        number = journal.count("item")
        journal.close()
        return number

    assert benchmark(opened) == LARGE
