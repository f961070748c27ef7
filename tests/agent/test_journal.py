"""One contract suite for both journals, then what only a file can do: crash, rot, fill up, be shared."""

from __future__ import annotations

import hashlib
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_agent import journal as journal_module
from posdecom_agent.journal import (
    BODY_BYTES_MAX,
    HEAD_EMPTY,
    KEY_MAX,
    Database,
    DiskFull,
    Found,
    Journal,
    JournalBusy,
    JournalCorrupt,
    MemoryJournal,
    Row,
    SqliteJournal,
    StorageFailed,
)
from posdecom_agent.storage import RESERVE_FACTOR, RESERVE_MARGIN_BYTES
from posdecom_protocol.errors import LocalError

ORDER = Row("order", 0, b"signed order")
ITEMS = [Row("item", sequence, b"message %d" % sequence) for sequence in range(1, 6)]

# sqlite.org/pragma.html: synchronous 2 = FULL; whoever finds the file locked is told at once
DURABLE = {
    "locking_mode": "exclusive",
    "journal_mode": "wal",
    "synchronous": 2,
    "fullfsync": 1,
    "checkpoint_fullfsync": 1,
    "busy_timeout": 0,
}

FreeBytes = Callable[[], int]
Opener = Callable[[FreeBytes | None], Journal]


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    def open_journal(free_bytes: FreeBytes | None = None) -> Journal:
        if request.param == "memory":
            return MemoryJournal(free_bytes=free_bytes)
        return SqliteJournal.open(tmp_path / "journal", free_bytes=free_bytes)

    return open_journal


@pytest.fixture
def journal(opener: Opener) -> Iterator[Journal]:
    opened = opener(None)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job" / "journal"


# ---- the contract, on both


def test_rows_come_back_in_the_order_in_which_they_were_added(journal: Journal) -> None:
    journal.append([ORDER, *ITEMS[:2]])
    journal.append(ITEMS[2:])
    assert list(journal.rows()) == [ORDER, *ITEMS]
    assert list(journal.rows("item")) == ITEMS
    assert list(journal.rows("seal")) == []


def test_more_rows_than_one_read_holds_come_back_too(journal: Journal) -> None:
    rows = [Row("item" if n % 3 else "note", n, b"%d" % n) for n in range(1, 1200)]
    journal.append(rows)
    assert list(journal.rows()) == rows
    assert list(journal.rows("note")) == [row for row in rows if row.kind == "note"]


def test_find_gives_the_first_row_of_a_kind_and_key(journal: Journal) -> None:
    journal.append([*ITEMS, Row("item", 3, b"another"), ORDER])
    assert journal.find("item", 3) == b"message 3"
    assert journal.find("order", 0) == b"signed order"
    assert journal.find("item", 6) is None
    assert journal.find("order", 3) is None


@given(st.lists(st.tuples(st.sampled_from(["item", "outcome"]), st.integers(0, 6) | st.integers(0, KEY_MAX))))
def test_find_gives_the_first_row_whatever_the_order_of_the_keys(places: list[tuple[str, int]]) -> None:
    rows = [Row(kind, key, b"%d" % n) for n, (kind, key) in enumerate(places)]
    first = {(row.kind, row.key): row.body for row in reversed(rows)}
    journal = MemoryJournal(rows)
    assert {place: journal.find(*place) for place in first} == first
    absent = {(kind, key) for kind in ("item", "outcome", "seal") for key in range(8)} - set(first)
    assert {journal.find(*place) for place in absent} == {None}


def test_count_counts_rows_of_one_kind(journal: Journal) -> None:
    journal.append([ORDER, *ITEMS])
    assert (journal.count("item"), journal.count("order"), journal.count("seal")) == (5, 1, 0)


def test_an_iteration_ends_with_the_rows_that_were_there_when_it_began(journal: Journal) -> None:
    journal.append(ITEMS)
    seen = []
    for row in journal.rows("item"):
        seen.append(row)
        journal.append([Row("item", 100 + row.key, b"")])
    assert seen == ITEMS
    assert journal.count("item") == 10


def test_the_head_is_the_documented_hash_chain(journal: Journal) -> None:
    head = hashlib.sha256(b"posdecom journal 1").digest()
    assert journal.head() == head == HEAD_EMPTY
    journal.append([ORDER, ITEMS[0]])
    head = hashlib.sha256(head + b"\x05order" + bytes(8) + b"signed order").digest()
    head = hashlib.sha256(head + b"\x04item" + bytes(7) + b"\x01" + b"message 1").digest()
    assert journal.head() == head


def test_a_head_does_not_depend_on_how_rows_were_grouped(journal: Journal) -> None:
    for row in (ORDER, *ITEMS):
        journal.append([row])
    assert journal.head() == MemoryJournal([ORDER, *ITEMS]).head()


def test_an_empty_append_changes_nothing(journal: Journal) -> None:
    journal.append([])
    assert journal.head() == HEAD_EMPTY


def test_extreme_keys_and_bodies_come_back(journal: Journal) -> None:
    rows = [
        Row("a", 2**63 - 1, b""),
        Row("z9_-", 0, bytes(range(256)) * 4096),
        Row("text", 1, "€\0'".encode()),
    ]
    assert len(rows[1].body) == BODY_BYTES_MAX
    journal.append(rows)
    assert list(journal.rows()) == rows


def test_reserve_refuses_what_would_not_fit_and_is_not_final(opener: Opener) -> None:
    journal = opener(lambda: RESERVE_MARGIN_BYTES + 1000 * RESERVE_FACTOR)
    journal.reserve(1000)
    with pytest.raises(DiskFull, match="4197307 bytes are needed, 4197304 are free") as caught:
        journal.reserve(1001)
    assert (caught.value.needed_bytes, caught.value.free_bytes) == (4197307, 4197304)
    journal.append([ORDER])
    journal.close()


def test_a_closed_journal_refuses_everything_and_closes_again(journal: Journal) -> None:
    journal.close()
    journal.close()
    uses: list[Callable[[], object]] = [
        lambda: journal.append([ORDER]),
        lambda: journal.rows(),
        lambda: journal.find("order", 0),
        lambda: journal.count("order"),
        lambda: journal.head(),
        lambda: journal.reserve(1),
    ]
    for use in uses:
        with pytest.raises(LocalError, match="used after close"):
            use()


@pytest.mark.parametrize("kind", ["", "Order", "1st", "two words", "x" * 33, "order\n", "é"])
def test_a_kind_is_a_short_lowercase_word(kind: str) -> None:
    with pytest.raises(LocalError, match="kind"):
        Row(kind, 0, b"")


@pytest.mark.parametrize("key", [-1, 2**63])
def test_a_key_fits_an_unsigned_63_bit_number(key: int) -> None:
    with pytest.raises(LocalError, match="key"):
        Row("item", key, b"")


def test_a_body_is_bounded() -> None:
    with pytest.raises(LocalError, match="1048577 bytes"):
        Row("item", 0, bytes(BODY_BYTES_MAX + 1))


def test_a_body_is_in_no_repr() -> None:
    assert repr(Row("item", 7, b"4111111111111111")) == "Row(kind='item', key=7)"


# ---- the file


def test_a_reopened_journal_holds_everything_under_the_same_head(path: Path) -> None:
    with_rows(path, [ORDER, *ITEMS])
    journal = SqliteJournal.open(path)
    assert list(journal.rows()) == [ORDER, *ITEMS]
    assert journal.head() == MemoryJournal([ORDER, *ITEMS]).head()
    assert journal.count("item") == 5
    journal.append([Row("seal", 0, b"seal")])
    journal.close()
    assert [row for row in rows_in(path) if row.kind == "seal"] == [Row("seal", 0, b"seal")]


def test_folder_and_file_are_private(path: Path) -> None:
    journal = SqliteJournal.open(path)
    journal.append([ORDER])
    assert path.parent.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"journal": 0o600, "journal-wal": 0o600}
    journal.close()


def test_a_second_opener_finds_the_journal_busy(path: Path) -> None:
    first = SqliteJournal.open(path)
    with pytest.raises(JournalBusy):
        SqliteJournal.open(path)
    script = "import sys; from pathlib import Path; from posdecom_agent.journal import *\n"
    script += "try: SqliteJournal.open(Path(sys.argv[1]))\nexcept JournalBusy: sys.exit(13)"
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 13
    first.append([ORDER])
    first.close()
    assert rows_in(path) == [ORDER]


def test_the_settings_that_make_a_commit_durable_are_in_force(path: Path) -> None:
    journal = SqliteJournal.open(path)
    ask = {name: journal._connection.execute(f"PRAGMA {name}").fetchall()[0][0] for name in DURABLE}
    assert ask == DURABLE
    assert not Path(f"{path}-shm").exists()
    journal.close()


def test_a_setting_that_does_not_take_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PRAGMAS", (("synchronous", "OFF", 2),))
    with pytest.raises(StorageFailed, match="does not take synchronous=OFF"):
        SqliteJournal.open(path)


# ---- append only, and rot


@pytest.mark.parametrize(
    "change", ["UPDATE row SET body = x'00'", "DELETE FROM row", "DELETE FROM row WHERE n = 2"]
)
def test_rows_cannot_be_changed_or_deleted_through_sql(path: Path, change: str) -> None:
    with_rows(path, [ORDER, *ITEMS])
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        connection.execute(change)
    connection.close()


@pytest.mark.parametrize(
    ("change", "row", "said"),
    [
        ("UPDATE row SET body = x'00' WHERE n = 2", 2, "its hash does not fit"),
        ("UPDATE row SET key = 9 WHERE n = 3", 3, "its hash does not fit"),
        ("UPDATE row SET key = 3.5 WHERE n = 3", 3, "is no row"),
        ("UPDATE row SET kind = 'item' WHERE n = 1", 1, "its hash does not fit"),
        ("UPDATE row SET kind = NULL WHERE n = 1", 1, "is no row"),
        ("UPDATE row SET kind = CAST(x'ff' AS TEXT) WHERE n = 4", 4, "the file is damaged"),
        ("UPDATE row SET head = zeroblob(32) WHERE n = 6", 6, "its hash does not fit"),
        ("UPDATE row SET body = 'text' WHERE n = 2", 2, "is no row"),
        ("DELETE FROM row WHERE n = 1", 1, "is missing"),
        ("DELETE FROM row WHERE n = 4", 4, "is missing"),
        ("INSERT INTO row SELECT 7, kind, key, head, body FROM row WHERE n = 6", 7, "its hash does not fit"),
    ],
)
def test_a_changed_row_is_named_on_open(path: Path, change: str, row: int, said: str) -> None:
    with_rows(path, [ORDER, *ITEMS])
    around_the_triggers(path, change)
    with pytest.raises(JournalCorrupt, match=f"^journal row {row}: {said}$") as caught:
        SqliteJournal.open(path)
    assert caught.value.row == row


def test_every_flipped_byte_of_the_rows_is_found_on_open(path: Path) -> None:
    with_rows(path, [ORDER, *ITEMS])
    whole = path.read_bytes()
    start = whole.index(b"message 5")
    assert whole[start:].endswith(b"signed order")
    for place in range(start, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        with pytest.raises(JournalCorrupt):
            SqliteJournal.open(path)


def test_a_flipped_byte_anywhere_is_found_or_harmless(path: Path) -> None:
    rows = [ORDER, *ITEMS]
    with_rows(path, rows)
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            journal = SqliteJournal.open(path)
        except (JournalCorrupt, StorageFailed):
            continue
        assert (list(journal.rows()), journal.find("item", 3)) == (rows, b"message 3")
        journal.close()
        Path(f"{path}-wal").unlink(missing_ok=True)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 40, b"\0" * 4096])
def test_another_file_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(JournalCorrupt):
        SqliteJournal.open(path)
    assert path.read_bytes() == content


def test_another_database_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    path.chmod(0o600)
    with pytest.raises(JournalCorrupt, match="journal row 0: the file is no posdecom journal"):
        SqliteJournal.open(path)


def test_the_file_says_in_its_header_whose_it_is(path: Path) -> None:
    """sqlite.org/fileformat.html, 1.3: the application's number is at offset 68."""
    with_rows(path, [ORDER])
    assert path.read_bytes()[68:72] == b"POSD"


def test_a_journal_without_its_triggers_is_refused(path: Path) -> None:
    with_rows(path, [ORDER])
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER row_no_delete")
    connection.close()
    with pytest.raises(JournalCorrupt, match="no posdecom journal"):
        SqliteJournal.open(path)


# ---- full and failing disks


def test_a_full_disk_is_named_final_and_loses_nothing(path: Path) -> None:
    journal = SqliteJournal.open(path)
    journal.append([ORDER])
    journal._connection.execute("PRAGMA max_page_count = 8")
    with pytest.raises(DiskFull):
        journal.append([Row("item", 1, bytes(100_000))])
    with pytest.raises(StorageFailed, match="must be opened again"):
        journal.append([ITEMS[0]])
    with pytest.raises(StorageFailed, match="must be opened again"):
        journal.find("order", 0)
    journal.close()
    assert rows_in(path) == [ORDER]


def test_a_write_that_the_system_refuses_is_final_and_loses_nothing(path: Path) -> None:
    journal = SqliteJournal.open(path)
    journal.append([ORDER])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    try:
        with pytest.raises(StorageFailed, match="SQLITE_IOERR"):
            journal.append([Row("item", 1, bytes(200_000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with pytest.raises(StorageFailed, match="must be opened again"):
        journal.append([ITEMS[0]])
    journal.close()
    assert rows_in(path) == [ORDER]


def test_a_read_that_fails_is_final_too(path: Path) -> None:
    journal = SqliteJournal.open(path)
    journal.append([ORDER, *ITEMS])
    begun = journal.rows()
    connection = journal._connection
    assert isinstance(connection, sqlite3.Connection)
    connection.set_progress_handler(lambda: 1, 1)
    with pytest.raises(StorageFailed, match="SQLite reports SQLITE_INTERRUPT"):
        journal.find("item", 3)
    connection.set_progress_handler(None, 1)
    for use in (lambda: journal.find("item", 3), lambda: next(begun), lambda: journal.append([ORDER])):
        with pytest.raises(StorageFailed, match="must be opened again"):
            use()
    journal.close()
    assert rows_in(path) == [ORDER, *ITEMS]


def test_damage_that_shows_at_work_names_the_row_that_was_to_be_written_or_the_file(path: Path) -> None:
    """SQLite says nothing of which row it could not read."""
    uses: dict[int, Callable[[SqliteJournal], object]] = {
        7: lambda journal: journal.append([ORDER]),
        0: lambda journal: journal.find("item", 3),
    }
    for row, use in uses.items():
        journal = SqliteJournal.open(path.with_name(f"row {row}"))
        journal.append([ORDER, *ITEMS])
        journal._connection = Damaged(journal._connection)
        with pytest.raises(JournalCorrupt, match=f"journal row {row}: the file is damaged"):
            use(journal)


def test_a_folder_in_the_place_of_the_file_is_a_storage_failure(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True)
    path.parent.chmod(0o700)
    with pytest.raises(StorageFailed, match="SQLite reports SQLITE_CANTOPEN"):
        SqliteJournal.open(path)


@pytest.mark.parametrize(("count", "size"), [(3000, 100), (300, 2048), (3, 500_000)])
def test_what_reserve_promised_is_what_the_file_may_grow_by(path: Path, count: int, size: int) -> None:
    journal = SqliteJournal.open(path)
    for start in range(0, count, 50):
        journal.append([Row("item", n, os.urandom(size)) for n in range(start, min(start + 50, count))])
    grown = sum(file.stat().st_size for file in path.parent.iterdir())
    journal.close()
    assert grown <= count * size * RESERVE_FACTOR + RESERVE_MARGIN_BYTES


def test_an_empty_file_left_by_a_crash_while_making_it_becomes_a_journal(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    journal = SqliteJournal.open(path)
    journal.append([ORDER])
    journal.close()


# ---- what the tests above use


class Damaged:
    """A database whose file turns out to be damaged at the next statement."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Found:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    executemany = execute

    def close(self) -> None:
        self._connection.close()


def with_rows(path: Path, rows: list[Row]) -> None:
    journal = SqliteJournal.open(path)
    journal.append(rows)
    journal.close()


def rows_in(path: Path) -> list[Row]:
    with closing(SqliteJournal.open(path)) as journal:
        return list(journal.rows())


def around_the_triggers(path: Path, change: str) -> None:
    """Change rows as somebody with a hex editor would: the schema afterwards is the one before."""
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(change)
    for _, sql in triggers:
        connection.execute(sql)
    connection.commit()
    connection.close()
