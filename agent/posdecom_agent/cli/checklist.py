"""``posdecom checklist``: every point of a decommission, and how it is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_, _
from .output import Output, output_options, pass_output
from .work import FILE

if TYPE_CHECKING:
    from posdecom_protocol.documents.certificate import CasePoint

    from ..case.file import Case


@click.command(
    "checklist",
    help=N_("""List each point as proved by the machine, stated by a person, or open.

    Of CERTIFICATE (with --trust), or of a --case and the documents in a job's --journal so far. Only signed
    documents prove; a person's word is listed as what it is."""),
)
@click.argument("certificate", type=FILE, required=False)
@click.option("--trust", type=FILE, help=N_("PEM bundle of trusted anchors, for CERTIFICATE."))
@click.option("--case", "case_file", type=FILE, help=N_("The case file."))
@click.option("--journal", "journal_file", type=FILE, help=N_("The job's journal."))
@output_options
@pass_output
def command(
    output: Output,
    certificate: Path | None,
    trust: Path | None,
    case_file: Path | None,
    journal_file: Path | None,
) -> None:
    if certificate is not None and trust is not None:
        points = _of_certificate(certificate, trust)
    elif certificate is not None:
        raise click.UsageError(_("a certificate is believed under --trust only"))
    elif case_file is None and journal_file is None:
        raise click.UsageError(_("give a certificate, --case or --journal"))
    else:
        points = _of_job(output, case_file, journal_file)
    output.result("checklist", {"points": [_document(point) for point in points]}, "\n".join(_lines(points)))


def _of_certificate(certificate: Path, trust: Path) -> tuple[CasePoint, ...]:
    from ..view import open_view
    from .work import read_trust

    return open_view(certificate, read_trust(trust)).points


def _of_job(output: Output, case_file: Path | None, journal_file: Path | None) -> tuple[CasePoint, ...]:
    from ..case.checklist import decode_case, known_points
    from ..case.proofs import Held
    from ..certify import held_by
    from .case import load_case
    from .work import open_job

    case: Case | None = None if case_file is None else load_case(output, case_file)
    held = Held()
    if journal_file is not None:
        with open_job(journal_file) as job:
            held = held_by(job)
            if case is None and job.case is not None:
                case = decode_case(job.case)
    return known_points(case, held)


def _lines(points: Iterable[CasePoint]) -> Iterator[str]:
    from posdecom_protocol.documents.certificate import Standing

    from ..case.checklist import STANDING_WORDS, label_of, meaning_of, section_of
    from .case import in_language

    for heading, grouped in groupby(points, lambda point: section_of(point.point)):
        yield in_language(heading)
        for point in grouped:
            text = in_language(meaning_of(point))
            label = in_language(label_of(point.point))
            said = _("{where}: {reason}", where=label, reason=text) if text else label
            yield f"  [{in_language(STANDING_WORDS[point.standing])}] {said}"
    counts = (sum(point.standing is standing for point in points) for standing in Standing)
    proved, stated, still_open = counts
    yield _(
        "{proved} proved by the machine, {stated} stated by a person, {open} open",
        proved=proved,
        stated=stated,
        open=still_open,
    )


def _document(point: CasePoint) -> dict[str, object]:
    return {"point": point.point, "standing": point.standing.name.lower(), "text": point.text}
