"""Terminals long retired, from the files that are left: judged where somebody is trusted, and never more than that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from document_chain import ANCHORS
from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import main
from posdecom_agent.job import Job
from posdecom_agent.journal import SqliteJournal
from posdecom_agent.procedure import Step, carry_out
from release_case import CaseStations, open_case

SERIAL = "T-0001"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job: its journal in one folder, its certificate deep in another; and a file that is none."""
    folder = tmp_path_factory.mktemp("archive")
    case = open_case(count=5)
    (folder / "2027" / "spring").mkdir(parents=True)
    journal = SqliteJournal.open(folder / "jobs" / "one.journal")
    job = Job(journal)
    job.begin(case.order)
    carry_out(job, CaseStations(case), lambda step, words: None, Step.CLOSE)
    assert job.certificate is not None and job.closure is not None
    (folder / "2027" / "spring" / "certificate.posdecom").write_bytes(job.certificate + job.closure)
    (folder / "2027" / "broken.posdecom").write_bytes(b"no certificate")
    (folder / "trust.pem").write_bytes(ANCHORS.pem())
    journal.close()
    return folder


def records(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, object]]:
    assert exit_of(*arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)["records"]
    assert isinstance(found, list)
    return found


def exit_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_every_file_is_listed_oldest_first_and_a_broken_one_hides_no_other(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, job, certificate = records(capsys, "history", archive, "--trust", archive / "trust.pem")
    assert (broken["serial"], broken["state"]) == ("-", None)
    assert (job["serial"], job["state"]) == (SERIAL, None)
    assert (certificate["serial"], certificate["state"], certificate["judged"]) == (SERIAL, "complete", True)


def test_without_trust_nothing_is_judged(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *_, certificate = records(capsys, "history", archive)
    assert certificate["judged"] is False
    assert "not judged" in str(certificate["text"])


def test_the_status_of_one_terminal_is_what_its_files_say(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {one["serial"] for one in records(capsys, "status", "--serial", SERIAL, archive)} == {SERIAL}
    assert exit_of("status", "--serial", SERIAL, archive, "--trust", archive / "trust.pem") == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split()[:2] == ["WHEN", "TERMINAL"]
    assert "COMPLETE" in rows[-1]


def test_a_terminal_that_no_file_names_is_exit_4(archive: Path) -> None:
    assert exit_of("status", "--serial", "T-9999", archive) == Exit.NOTHING_TO_DO
