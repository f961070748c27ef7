"""Purging a closed job: the items go, hashes and documents stay, and a cut anywhere ends the same on the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from posdecom_agent import catalogue
from posdecom_agent import purge as purging
from posdecom_agent.cli.finish import journal_file, open_journal, so_far
from posdecom_agent.job import Job
from posdecom_agent.journal import Row, SqliteJournal
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.purge import SUFFIX, is_interrupted, purge
from posdecom_agent.trouble import Trouble
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.order import Order
from release_case import Case, CaseStations, open_case

NOW = 1_900_000_000.0


@pytest.fixture
def closed(tmp_path: Path) -> tuple[Path, Case]:
    """A job that was carried to its closure, in a file."""
    case = open_case(count=10)
    path = tmp_path / "jobs" / "one.journal"
    journal = SqliteJournal.open(path)
    job = Job(journal)
    job.begin(case.order)
    carry_out(job, CaseStations(case), lambda step, words: None)
    journal.close()
    return path, case


def rows(path: Path) -> list[Row]:
    journal = SqliteJournal.open(path)
    try:
        return list(journal.rows())
    finally:
        journal.close()


def test_items_become_their_hashes_and_everything_else_stays(closed: tuple[Path, Case]) -> None:
    path, case = closed
    before = rows(path)
    journal = SqliteJournal.open(path)
    head = journal.head()
    journal.close()
    purge(path, NOW)
    note, *after = rows(path)
    assert note == Row("purged", 0, int(NOW).to_bytes(8, "big") + head)
    assert [row for row in after if row.kind != "item-hash"] == [row for row in before if row.kind != "item"]
    hashes = {row.key: row.body for row in after if row.kind == "item-hash"}
    assert hashes == {n: hashlib.sha256(item).digest() for n, item in enumerate(case.items, 1)}


def test_a_purged_job_is_done_says_when_and_keeps_its_documents(closed: tuple[Path, Case]) -> None:
    path, case = closed
    purge(path, NOW)
    journal = SqliteJournal.open(path)
    job = Job(journal)
    assert next_step(job) is Step.DONE
    assert job.purged_at == int(NOW)
    assert job.order.data == case.order
    assert job.certificate is not None
    assert job.closure is not None
    journal.close()


def test_no_byte_of_a_message_is_left_in_the_folder(closed: tuple[Path, Case]) -> None:
    path, case = closed
    purge(path, NOW)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    left = path.read_bytes()
    assert not any(item.message[-40:] in left for item in case.shop.prepared.items)


def test_the_old_file_itself_was_overwritten_and_not_only_unlinked(closed: tuple[Path, Case]) -> None:
    path, _ = closed
    other_name = path.with_name("same file")
    other_name.hardlink_to(path)
    size = path.stat().st_size
    purge(path, NOW)
    assert other_name.read_bytes() == bytes(size)


class Cut(Exception):
    """The laptop dies."""


@pytest.mark.parametrize("place", ["_write", "_overwrite", "_sync_folder"])
@pytest.mark.parametrize("after", [False, True])
def test_cut_anywhere_it_ends_the_same_on_the_next_run(
    closed: tuple[Path, Case], monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    path, case = closed
    works: Callable[..., None] = getattr(purging, place)

    def dies(*arguments: object) -> None:
        if after:
            works(*arguments)
        raise Cut

    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr(purging, place, dies)
        purge(path, NOW)
    assert is_interrupted(path) is not (place == "_sync_folder" or (place == "_write" and not after))
    purge(path, NOW + 5)
    note, *after_all = rows(path)
    assert note.kind == "purged"
    assert len([row for row in after_all if row.kind == "item-hash"]) == len(case.items)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_new_journal_that_was_never_filled_is_made_again(closed: tuple[Path, Case]) -> None:
    path, case = closed
    SqliteJournal.open(path.with_name(path.name + purging.SUFFIX)).close()
    assert not is_interrupted(path)
    purge(path, NOW)
    assert len(rows(path)) > len(case.items)


def test_nothing_is_added_to_a_journal_whose_purge_was_cut(tmp_path: Path) -> None:
    """A journal of zeros would be called damaged, and the job begun again elsewhere."""
    case = open_case(count=3)
    order = open_document(case.order, Order)
    path = journal_file(tmp_path / "jobs", order)
    fresh = SqliteJournal.open(path.with_name(path.name + SUFFIX))
    fresh.append([Row("purged", 0, bytes(40))])
    fresh.close()
    path.write_bytes(bytes(4096))
    for look in (open_journal, so_far):
        with pytest.raises(Trouble) as caught:
            look(path.parent, order)
        assert caught.value.entry is catalogue.PURGE_CUT
