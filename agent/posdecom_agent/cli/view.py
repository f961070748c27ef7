"""``posdecom view``: a certificate as a PDF for people, as JSON for programs. Both are made from the signed file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_
from .output import Output, output_options, pass_output
from .work import FILE

if TYPE_CHECKING:
    from ..view import View

NEW_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "view",
    help=N_("""Show CERTIFICATE: as a PDF in English and Chinese with --pdf, as JSON with --json.

    It is checked against --trust first; what is forged or broken has no view. The PDF carries the signed original
    as an attachment, and the same certificate always gives the same bytes."""),
)
@click.argument("certificate", type=FILE)
@click.option("--trust", required=True, type=FILE, help=N_("PEM bundle of trusted anchors."))
@click.option("--pdf", "pdf_file", type=NEW_FILE, help=N_("Where the PDF goes."))
@click.option("--font", type=FILE, help=N_("A font for characters that ours does not have."))
@output_options
@pass_output
def command(output: Output, certificate: Path, trust: Path, pdf_file: Path | None, font: Path | None) -> int:
    from ..view import open_view
    from .findings import EXITS, verdict_text
    from .work import read_trust

    view = open_view(certificate, read_trust(trust))
    text = verdict_text(view.verdict)
    if pdf_file is not None:
        write_pdf(view, pdf_file, font)
        text = str(pdf_file)
    output.result("certificate", _document(view) if output.as_json else {}, text)
    return EXITS[view.verdict.state]


def write_pdf(view: View, file: Path, font: Path | None = None) -> None:
    """The PDF at ``file``. `Trouble` names the characters that no font has."""
    from .. import catalogue
    from ..report.paper import MissingGlyphs
    from ..report.pdf import certificate_pdf
    from ..trouble import Trouble
    from .finish import write_whole

    try:
        data = certificate_pdf(view, font)
    except MissingGlyphs as error:
        raise Trouble(catalogue.GLYPHS, cause=str(error)) from error
    write_whole(file, data)


def _document(view: View) -> dict[str, object]:
    from ..report.document import certificate_document

    return certificate_document(view)
