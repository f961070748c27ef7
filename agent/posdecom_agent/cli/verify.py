"""``posdecom verify``: what a certificate proves, from the file and the trust anchors alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_, _
from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from posdecom_protocol.verdict import Verdict

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(
    help=N_("""Check CERTIFICATE against the anchors in --trust, offline, and derive its state from the documents
    inside.

    Given the certificates that it supersedes too, in any order, check that they are one line in which nothing that was
    signed changes; the newest counts.

    Exit codes: 0 complete, 30 broken, forged or overstated, 31 complete with exceptions, 32 incomplete,
    33 unattested.""")
)
@click.argument("certificates", metavar="CERTIFICATE...", type=_FILE, nargs=-1, required=True)
@click.option(
    "--trust",
    required=True,
    type=_FILE,
    help=N_("PEM bundle of acquirers', makers' and technicians' anchors."),
)
@output_options
@pass_output
def command(output: Output, certificates: tuple[Path, ...], trust: Path) -> int:
    from posdecom_protocol.verdict import judge_succession

    from . import work
    from .findings import EXITS, verdict_document, verdict_text

    *older, verdict = judge_succession([_read(path) for path in certificates], work.read_trust(trust))
    lines = [verdict_text(verdict), *(_superseded(one) for one in reversed(older))]
    before = [one.certificate.digest.hex() for one in older]
    output.result("verify", {**verdict_document(verdict), "checked_line": before}, "\n".join(lines))
    return EXITS[verdict.state]


def _read(path: Path) -> bytes:
    from posdecom_protocol.verdict import FILE_BYTES_MAX

    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def _superseded(older: Verdict) -> str:
    from .findings import WORDS

    return _(
        "      supersedes {digest} of {day}, {state}; nothing signed differs",
        digest=older.certificate.digest.hex()[:16],
        day=datetime.fromtimestamp(older.certificate.body.issued_at, UTC).strftime("%Y-%m-%d"),
        state=_(WORDS[older.state]),
    )
