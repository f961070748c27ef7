"""Power cuts, enumerated: whatever a cut leaves of the writes that were under way, acknowledged rows are there.

A cut is modelled on the files: what was synced is kept; of the write-ahead log of the append under way the first bytes
are kept, and behind them come zeros, noise or what was there before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from posdecom_agent.journal import JournalCorrupt, Row, SqliteJournal

APPENDS = [[Row("item", 10 * n + k, bytes([n]) * (900 * n)) for k in range(3)] for n in range(1, 6)]

STEP = 4093
"""Bytes between two cuts; prime, so that cuts fall at every place of a page over the run."""


def files(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), Path(f"{path}-wal").read_bytes()


def reopened(folder: Path, database: bytes, log: bytes) -> list[Row]:
    """What a journal with these two files holds."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "journal"
    for file, content in ((path, database), (Path(f"{path}-wal"), log)):
        file.write_bytes(content)
        file.chmod(0o600)
    journal = SqliteJournal.open(path)
    rows = list(journal.rows())
    journal.close()
    return rows


def rows_after(count: int) -> list[Row]:
    return [row for rows in APPENDS[:count] for row in rows]


def tails(before: bytes, after: bytes) -> Iterator[bytes]:
    """Every cut of the log between two appends, with each kind of leftover behind it."""
    noise = random.Random(1).randbytes(len(after))
    for kept in range(0, len(after), STEP):
        for leftover in (b"", bytes(len(after)), noise, before):
            image = after[:kept] + leftover[kept:]
            if image.startswith(before) or len(before) > len(after):
                yield image
    yield after


def test_a_cut_during_an_append_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "job" / "journal")
    images = [files(tmp_path / "job" / "journal")]
    for rows in APPENDS:
        journal.append(rows)
        images.append(files(tmp_path / "job" / "journal"))
    journal.close()
    cuts = 0
    for done, ((_, before), (database, after)) in enumerate(pairwise(images)):
        for log in tails(before, after):
            found = reopened(tmp_path / "cut", database, log)
            assert found in (rows_after(done), rows_after(done + 1))
            cuts += 1
        assert found == rows_after(done + 1)
    assert cuts > 100


def test_a_cut_while_the_log_starts_over_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "job" / "journal"
    journal = SqliteJournal.open(path)
    for rows in APPENDS[:4]:
        journal.append(rows)
    # folded into the file and synced there; the next append writes over the log from its beginning
    journal._connection.execute("PRAGMA wal_checkpoint(FULL)")
    database, before = files(path)
    journal.append(APPENDS[4])
    _, after = files(path)
    assert len(after) == len(before)
    assert after[:32] != before[:32]
    journal.close()
    found = []
    for kept in range(0, len(after), STEP):
        found = reopened(tmp_path / "cut", database, after[:kept] + before[kept:])
        assert found in (rows_after(4), rows_after(5))
    assert found == rows_after(5)


def test_a_cut_while_the_log_is_folded_into_the_file_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "job" / "journal"
    journal = SqliteJournal.open(path)
    for rows in APPENDS:
        journal.append(rows)
    before, log = files(path)
    journal._connection.execute("PRAGMA wal_checkpoint(FULL)")
    after, _ = files(path)
    journal.close()
    assert len(after) > len(before)
    for kept in range(0, len(after), STEP):
        assert reopened(tmp_path / "cut", after[:kept] + before[kept:], log) == rows_after(5)
        assert reopened(tmp_path / "cut", before[:kept] + after[kept:], log) == rows_after(5)


def test_the_model_notices_a_file_without_its_log(tmp_path: Path) -> None:
    """The counter-test: were the log not synced, acknowledged rows would be lost, and the tests above would see it."""
    path = tmp_path / "job" / "journal"
    journal = SqliteJournal.open(path)
    journal.append(APPENDS[0])
    database, _ = files(path)
    journal.close()
    with pytest.raises((AssertionError, JournalCorrupt)):
        assert reopened(tmp_path / "cut", database, b"") == rows_after(1)
