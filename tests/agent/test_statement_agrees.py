"""The merchant's list as it is printed, CSV and JSON, against seal and day: to the last cent."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from document_chain import NOW
from posdecom_agent.cli import main
from posdecom_agent.job import Job
from posdecom_agent.journal import SqliteJournal
from posdecom_agent.procedure import Step, carry_out
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.iso8583 import IsoMessage
from posdecom_simulator.acquirer.host import Behaviour
from release_case import Case, CaseStations, open_case
from shop import CONTEXTS

DEBIT = ("SALE", "OFFLINE_SALE", "ADJUSTMENT", "COMPLETION")
CREDIT = ("VOID", "REFUND", "COMPLETION_VOID")
OFFLINE = ("OFFLINE_SALE", "ADJUSTMENT")


@dataclass(frozen=True)
class RefusesEveryThird(Behaviour):
    """Of the advices; refused money is in the list, and in the seal's totals, all the same."""

    def refusal(self, request: IsoMessage) -> str | None:
        return "05" if request.mti == "0220" and int(request.text(11)) % 3 == 0 else None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dialects = draw(st.tuples(st.sampled_from(["cup", "edc"]), st.sampled_from(["cup", "edc"])))
    contexts = tuple(replace(one, dialect=name) for one, name in zip(CONTEXTS, dialects, strict=True))
    return open_case(
        draw(st.integers(0, 10_000)),
        draw(st.integers(0, 45)),
        cutoff_at=NOW + draw(st.integers(-1, 6)) * 3600,
        after=draw(st.sampled_from(AfterCutoff)),
        preauths=draw(st.sampled_from(Preauths)),
        behaviour=draw(st.sampled_from([None, RefusesEveryThird()])),
        contexts=contexts,
    )


def printed(case: Case, path: Path, through: Step, capsys: pytest.CaptureFixture[str]) -> tuple[Any, Any]:
    """The list as CSV, with its numbers as numbers, and as JSON."""
    journal = SqliteJournal.open(path)
    job = Job(journal)
    job.begin(case.order)
    carry_out(job, CaseStations(case), lambda step, words: None, through)
    journal.close()
    texts = []
    for how in ("--csv", "--json"):
        with pytest.raises(SystemExit) as ended:
            main(["transactions", "--journal", str(path), how])
        assert ended.value.code == 0
        texts.append(capsys.readouterr().out)
    table = list(csv.DictReader(io.StringIO(texts[0])))
    return table, json.loads(texts[1])


def tally(rows: list[dict[str, str]], kinds: tuple[str, ...], group: str) -> tuple[int, int]:
    own = [
        one
        for one in rows
        if one["class"].upper().replace(" ", "_") in kinds and one["group"].upper() == group
    ]
    return len(own), sum(int(one["amount_minor_units"]) for one in own)


@pytest.mark.parametrize(
    "examples", [pytest.param(3, id="a few"), pytest.param(12, id="more", marks=pytest.mark.long)]
)
def test_csv_and_json_agree_with_seal_and_day_to_the_last_cent(
    examples: int, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(case=cases(), through=st.sampled_from([Step.FLUSH, Step.SETTLE]))
    def any_case(case: Case, through: Step) -> None:
        check_list(case, through, tmp_path_factory, capsys)

    any_case()


def check_list(
    case: Case, through: Step, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path_factory.mktemp("jobs") / "one.journal"
    rows, document = printed(case, path, through, capsys)
    assert [
        {**one, "amount_minor_units": int(one["amount_minor_units"]), "batch": int(one["batch"])}
        for one in rows
    ] == [{**one, "counted": str(one["counted"])} for one in document["transactions"]]
    for context, sums in zip(case.seal_body.contexts, document["totals"], strict=True):
        own = [one for one in rows if one["tid"] == context.tid]
        counted = [one for one in own if one["counted"] == "True"]
        for group in context.totals:
            debit = tally(counted, DEBIT, group.group.name)
            credit = tally(counted, CREDIT, group.group.name)
            assert debit == (group.debit.count, group.debit.amount)
            assert credit == (group.credit.count, group.credit.amount)
        assert sums["agree_with_the_seal"]
        assert_classes(case, context.index, own, (sums["withheld_count"], sums["withheld_amount"]))


def assert_classes(case: Case, context: int, rows: list[dict[str, str]], withheld: tuple[int, int]) -> None:
    """Class by class the list is the day: declined and reversed ones too, whatever is in no total."""
    day = [one for one in case.shop.day if one.context == context]
    stans = {one.stan for one in day}
    completed = {one.original for one in day if one.transaction_class.name == "COMPLETION"}
    shown = Counter(
        (int(one["stan"]), one["class"].upper().replace(" ", "_"), int(one["amount_minor_units"]))
        for one in rows
    )
    sold = Counter(
        (one.stan, one.transaction_class.name, one.amount) for one in day if one.number not in completed
    )
    kept_back = [one for one in rows if one["status"] == "withheld after the cut-off"]
    assert {one["class"].upper().replace(" ", "_") for one in kept_back} <= set(OFFLINE)
    assert (len(kept_back), sum(int(one["amount_minor_units"]) for one in kept_back)) == withheld
    assert not sold - shown
    assert {(kind, stan in stans) for stan, kind, _ in shown - sold} <= {("REFUND", False)}
