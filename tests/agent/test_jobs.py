"""The list of jobs: what each waits for at every step, and a job that cannot be read does not hide the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import main
from posdecom_agent.cli.jobs import WAITS_FOR, describe
from posdecom_agent.job import Job
from posdecom_agent.journal import SqliteJournal
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.purge import purge
from release_case import Case, CaseStations, begin_job, open_case

STEPS: list[Step] = [step for step in Step if step not in (Step.REPLACE, Step.DONE)]
"""Of an order that names no replacement."""


def jobs(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    with pytest.raises(SystemExit) as caught:
        main(["jobs", "--journal", str(folder), "--json"])
    assert caught.value.code == 0
    found = json.loads(capsys.readouterr().out)["jobs"]
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def case() -> Case:
    return open_case(count=10)


def journal_of(case: Case, path: Path, through: Step | None) -> None:
    journal = SqliteJournal.open(path)
    job = Job(journal)
    job.begin(case.order)
    if through is not None:
        carry_out(job, CaseStations(case), lambda step, words: None, through)
    journal.close()


def test_every_step_has_its_words() -> None:
    assert set(WAITS_FOR) == {step.value for step in Step}


@pytest.mark.parametrize("through", STEPS)
def test_a_job_waits_for_what_comes_after_the_step_it_has_made(through: Step) -> None:
    case = open_case(count=10)
    job = begin_job(case)
    carry_out(job, CaseStations(case), lambda step, words: None, through)
    document = describe(job, Path("x.journal")).document
    following = [*STEPS, Step.DONE][STEPS.index(through) + 1]
    assert next_step(job) is following
    assert (document["next_step"], document["waits_for"]) == (following.value, WAITS_FOR[following.value])
    assert document["items_in_custody"] == document["items"] == len(case.items)


def test_jobs_are_listed_by_file_with_their_order(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "jobs"
    journal_of(case, folder / "b.journal", Step.FLUSH)
    journal_of(case, folder / "a.journal", None)
    first, second = jobs(folder, capsys)
    assert [Path(str(one["journal"])).name for one in (first, second)] == ["a.journal", "b.journal"]
    assert (first["next_step"], first["items"]) == ("flush", None)
    assert (second["next_step"], second["order"]) == ("settle", "O-1")


def test_a_damaged_journal_and_one_in_use_are_named_beside_the_others(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "jobs"
    for name in ("busy", "damaged", "good"):
        journal_of(case, folder / f"{name}.journal", Step.FLUSH)
    (folder / "damaged.journal").write_bytes(b"no journal")
    held = SqliteJournal.open(folder / "busy.journal")
    busy, damaged, good = jobs(folder, capsys)
    held.close()
    assert [one.get("trouble", {}).get("code") for one in (busy, damaged)] == ["PD-E32", "PD-E33"]  # type: ignore[attr-defined]
    assert good["next_step"] == "settle"


def exit_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("through", [Step.FLUSH, Step.AGREE, Step.CERTIFY])
def test_a_job_that_is_not_closed_is_not_purged(case: Case, tmp_path: Path, through: Step) -> None:
    path = tmp_path / "jobs" / "one.journal"
    journal_of(case, path, through)
    before = path.read_bytes()
    assert exit_of("purge", "--journal", path) == Exit.DECLINED
    assert path.read_bytes() == before


def test_after_a_purge_there_is_nothing_left_to_purge_or_to_list(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "jobs" / "one.journal"
    journal_of(case, path, Step.CLOSE)
    assert exit_of("transactions", "--journal", path) == Exit.DONE
    assert exit_of("purge", "--journal", path) == Exit.DONE
    assert exit_of("purge", "--journal", path) == Exit.NOTHING_TO_DO
    assert exit_of("transactions", "--journal", path) == Exit.NOTHING_TO_DO


def test_an_empty_folder_is_said_and_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert jobs(tmp_path, capsys) == []


def test_a_purge_that_was_cut_is_named_with_the_command_that_ends_it(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs" / "one.journal"
    journal_of(case, path, Step.CLOSE)

    def dies(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("posdecom_agent.purge._overwrite", dies)
        purge(path, 0.0)
    (listed,) = jobs(path.parent, capsys)
    assert listed["trouble"]["code"] == "PD-E57"  # type: ignore[index]
    assert listed["trouble"]["next_actions"] == [f"posdecom purge --journal {path}"]  # type: ignore[index]
    with pytest.raises(SystemExit) as caught:
        main(["purge", "--journal", str(path)])
    assert caught.value.code == 0
    capsys.readouterr()
    (listed,) = jobs(path.parent, capsys)
    assert listed["purged"] is True
