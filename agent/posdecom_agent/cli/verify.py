"""``posdecom verify``: what a certificate proves, from the file and the trust anchors alone."""

from __future__ import annotations

from pathlib import Path

import click

from ..wording import N_
from .output import Output, output_options, pass_output

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(
    help=N_("""Check CERTIFICATE against the anchors in --trust, offline, and derive its state from the documents
    inside.

    Exit codes: 0 complete, 30 broken, forged or overstated, 31 complete with exceptions, 32 incomplete,
    33 unattested.""")
)
@click.argument("certificate", type=_FILE)
@click.option(
    "--trust",
    required=True,
    type=_FILE,
    help=N_("PEM bundle of acquirers', makers' and technicians' anchors."),
)
@output_options
@pass_output
def command(output: Output, certificate: Path, trust: Path) -> int:
    from posdecom_protocol.verdict import FILE_BYTES_MAX, judge

    from . import work
    from .findings import EXITS, verdict_document, verdict_text

    with certificate.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    verdict = judge(data, work.read_trust(trust))
    output.result("verify", verdict_document(verdict), verdict_text(verdict))
    return EXITS[verdict.state]
