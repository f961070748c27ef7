"""Held money is followed until closed: stated in the journal, certified again, closed again, and read as one line."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest

from document_chain import ANCHORS, DAY, NOW
from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import main
from posdecom_agent.cli.findings import EXITS
from posdecom_agent.cli.finish import deliver
from posdecom_agent.cli.output import Output
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, SqliteJournal
from posdecom_agent.procedure import Declined, DeskReply, Step, carry_out, next_step
from posdecom_agent.purge import purged_rows
from posdecom_agent.supersede import certify_again
from posdecom_agent.trouble import Trouble
from posdecom_protocol.documents.certificate import REMEDIES_MAX, State
from posdecom_protocol.documents.order import AfterCutoff
from posdecom_protocol.documents.remedy import Held, Means, Remedy
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.money import Tally
from posdecom_protocol.verdict import judge, judge_succession
from release_case import Case, CaseStations, begin_job, open_case


def tell(step: Step, words: str) -> None:
    pass


def held_case(clearing_s: float = 0.0, after: AfterCutoff = AfterCutoff.HOLD) -> Case:
    """Everything was sold after the cut-off."""
    case = open_case(count=20, cutoff_at=NOW, after=after)
    case.clearing_s = clearing_s
    return case


@dataclass
class Done:
    """A closed job with all that is held still open."""

    case: Case
    job: Job
    stations: CaseStations

    @property
    def file(self) -> bytes:
        assert self.job.certificate is not None and self.job.closure is not None
        return self.job.certificate + self.job.closure

    def whole(self, held: Held) -> Remedy:
        """A remedy for all of one kind in the first context."""
        item = next(one for one in judge(self.file, ANCHORS).held if (one.held, one.context) == (held, 0))
        return Remedy(held, 0, item.listed, Means.RETURNED, "B. Clerk", NOW + DAY, "bank case 17")


def done(case: Case | None = None) -> Done:
    case = case or held_case()
    job, stations = begin_job(case), CaseStations(case)
    carry_out(job, stations, tell)
    return Done(case, job, stations)


def test_a_remedy_goes_into_a_certificate_that_supersedes_the_first_and_is_closed_by_the_desk() -> None:
    one = done()
    first = one.file
    one.job.keep_remedy(one.whole(Held.SOLD_LATE))
    certify_again(one.job, one.stations, tell)
    assert next_step(one.job) is Step.DONE
    older, newer = judge_succession([one.file, first], ANCHORS)
    assert older.closure is not None
    assert (older.certificate.data + older.closure.data, newer.state) == (first, older.state)
    before = {(item.held, item.context): item.open for item in older.held}
    now = {(item.held, item.context): item.open for item in newer.held}
    assert before[Held.SOLD_LATE, 0].count > 0
    assert now == {**before, (Held.SOLD_LATE, 0): Tally()}


def test_no_more_is_stated_than_a_certificate_holds() -> None:
    """One more in the journal, which forgets nothing, would keep every later certificate from being made."""
    one = done()
    told = Remedy(Held.REFUND, 0, Tally(1, 100), Means.RETURNED, "B. Clerk", NOW + DAY, "bank case 17")
    for _ in range(REMEDIES_MAX):
        one.job.keep_remedy(told)
    with pytest.raises(DocumentError, match="as many as a certificate holds"):
        one.job.keep_remedy(told)
    certify_again(one.job, one.stations, tell)
    assert next_step(one.job) is Step.DONE


def test_refunds_that_were_open_are_counted_again_until_none_is() -> None:
    one = done(held_case(clearing_s=DAY, after=AfterCutoff.REFUND))
    assert judge(one.file, ANCHORS).state is State.EXCEPTIONS
    open_before = open_refunds(one)
    certify_again(one.job, one.stations, tell)
    assert open_refunds(one) == open_before > 0
    one.case.clearing_s = 0.0
    certify_again(one.job, one.stations, tell)
    assert (open_refunds(one), one.job.certificates) == (0, 3)


def open_refunds(one: Done) -> int:
    closure = judge(one.file, ANCHORS).closure
    assert closure is not None
    return closure.body.refunds_open


def test_without_news_no_certificate_is_made() -> None:
    one = done()
    with pytest.raises(Trouble) as caught:
        certify_again(one.job, one.stations, tell)
    assert (caught.value.exit, one.job.certificates) == (Exit.NOTHING_TO_DO, 1)


def test_before_the_first_certificate_there_is_nothing_to_supersede() -> None:
    case = held_case()
    with pytest.raises(Trouble) as caught:
        certify_again(begin_job(case), CaseStations(case), tell)
    assert caught.value.cause == "the job has no certificate yet"


def test_a_job_cut_before_the_new_closure_asks_for_that_one_and_makes_no_third() -> None:
    one = done()
    one.job.keep_remedy(one.whole(Held.SOLD_LATE))
    one.job.keep_certificate(one.stations.certify(one.job))
    assert next_step(one.job) is Step.CLOSE
    certify_again(one.job, one.stations, tell)
    assert (one.job.certificates, next_step(one.job)) == (2, Step.DONE)


@dataclass
class Yesterdays(CaseStations):
    """The first certificate reaches the desk when the technician's day is over; a fresh technician goes on."""

    def ask_closure(self, job: Job) -> DeskReply:
        return (
            Declined("certificate chain: a certificate has expired")
            if job.certificates == 1
            else super().ask_closure(job)
        )


def test_a_certificate_that_came_too_late_is_made_again_and_closed() -> None:
    case = held_case()
    job, stations = begin_job(case), Yesterdays(case)
    with pytest.raises(Trouble):
        carry_out(job, stations, tell)
    assert next_step(job) is Step.CLOSE
    certify_again(job, stations, tell)
    assert (next_step(job), job.certificates) == (Step.DONE, 2)
    assert judge(Done(case, job, stations).file, ANCHORS).closure is not None


def test_without_a_desk_a_certificate_is_made_again_and_waits_for_its_closure() -> None:
    case = held_case()
    job, stations = begin_job(case), CaseStations(case)
    carry_out(job, stations, tell, Step.CERTIFY)
    certify_again(job, stations, tell, Step.CERTIFY)
    assert (next_step(job), job.certificates) == (Step.CLOSE, 2)


def test_nobody_states_more_than_is_held_and_the_journal_stays_as_it_was() -> None:
    one = done()
    whole = one.whole(Held.SOLD_LATE)
    head = one.job.journal_head
    too_much = replace(whole, tally=Tally(whole.tally.count + 1, whole.tally.amount))
    for wrong in (too_much, replace(whole, by="x" * 81), replace(whole, agreed_for=NOW)):
        with pytest.raises(DocumentError):
            one.job.keep_remedy(wrong)
    assert (one.job.journal_head, one.job.remedies) == (head, ())


def test_a_purge_keeps_every_certificate_and_remedy() -> None:
    journal = MemoryJournal()
    job = Job(journal)
    case = held_case()
    job.begin(case.order)
    carry_out(job, CaseStations(case), tell)
    one = Done(case, job, CaseStations(case))
    job.keep_remedy(one.whole(Held.SOLD_LATE))
    certify_again(job, one.stations, tell)
    after = Job(MemoryJournal(purged_rows(journal, NOW)))
    assert (after.certificate, after.closure, after.remedies) == (job.certificate, job.closure, job.remedies)


def test_the_newer_certificate_lies_beside_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = done()
    with click.Context(click.Command("held")):
        deliver(Output(), one.job, ANCHORS, tmp_path)
        one.job.keep_remedy(one.whole(Held.SOLD_LATE))
        certify_again(one.job, one.stations, tell)
        deliver(Output(), one.job, ANCHORS, tmp_path, "held-certify")
    names = ("certificate.posdecom", "certificate-2.posdecom")
    older, newer = judge_succession([(tmp_path / name).read_bytes() for name in names], ANCHORS)
    assert newer.supersedes == older.certificate.digest
    capsys.readouterr()
    files = [tmp_path / name for name in names]
    assert run("verify", *files, "--trust", tmp_path / "trust.pem") == EXITS[newer.state]
    said = capsys.readouterr().out
    assert "as B. Clerk stated on 2027-01-16" in said
    assert f"supersedes {older.certificate.digest.hex()[:16]} of 2027-01-15" in said
    assert run("verify", files[0], files[0], "--trust", tmp_path / "trust.pem") == Exit.FORGED


# --- the command -----------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A closed job on disk."""
    folder = tmp_path / "jobs"
    folder.mkdir(mode=0o700)
    path = folder / "one.journal"
    kept = SqliteJournal.open(path)
    job, case = Job(kept), held_case()
    job.begin(case.order)
    carry_out(job, CaseStations(case), tell)
    kept.close()
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(ended.value.code or 0)


def test_held_money_is_listed_closed_in_part_and_listed_again(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("held", "list", "--journal", journal, "--json") == Exit.DONE
    late = first_late(capsys)
    assert late["open"] == late["listed"]
    amount = late["listed"]["amount"] // 2
    statement = ("--what", "sold-late", "--context", 0, "--count", 1, "--amount", amount, "--means", "agreed")
    who = ("--by", "B. Clerk", "--reference", "letter 3", "--agreed-for", "2027-03-01T00:00:00Z")
    assert run("held", "close", "--journal", journal, *statement, *who, "--json") == Exit.DONE
    after = first_late(capsys)
    assert after["open"] == {"count": late["open"]["count"] - 1, "amount": late["open"]["amount"] - amount}
    assert [one["by"] for one in after["remedies"]] == ["B. Clerk"]
    assert run("held", "list", "--journal", journal) == Exit.DONE
    assert f"open {after['open']['count']} ({after['open']['amount']})" in capsys.readouterr().out


def test_what_does_not_fit_is_a_usage_error(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    statement = ("--what", "sold-late", "--context", 0, "--count", 999, "--amount", 1, "--means", "returned")
    assert (
        run("held", "close", "--journal", journal, *statement, "--by", "B", "--reference", "r") == Exit.USAGE
    )
    assert "close more than is held" in capsys.readouterr().err


def first_late(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["schema"] == "posdecom/held/1"
    found: dict[str, Any] = next(
        one for one in said["held"] if (one["what"], one["context"]) == ("sold_late", 0)
    )
    return found
