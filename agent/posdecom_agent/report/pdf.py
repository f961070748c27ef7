"""The certificate as a PDF: one page for everybody, annexes for the auditor, the signed original inside.

English and Chinese stand on one document. Everything on it is derived from the documents inside the certificate and
from the certificate's own points, which say themselves how they are known. The same file gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..view import View
from . import labels
from .annex import draw_annexes
from .cover import ROOMS, draw_cover, draw_footers
from .paper import Paper

ATTACHMENT: Final = "certificate.posdecom"
MEDIA_TYPE: Final = "application/cbor-seq"


def certificate_pdf(view: View, font: Path | None = None) -> bytes:
    """The PDF. `MissingGlyphs` names what no font has; ``font`` (a TrueType or OpenType file) is asked after ours."""
    for room in ROOMS:
        with _paper(view, font) as paper:
            if draw_cover(paper, view, room) or room is ROOMS[-1]:
                draw_annexes(paper, view, room)
                draw_footers(paper, view)
                return paper.output()
    raise AssertionError("the last room is taken, whatever there is")


def _paper(view: View, font: Path | None) -> Paper:
    """Empty, with the original attached. Its time is the acquirer's where there is one."""
    certificate, closure = view.chain.certificate.body, view.chain.closure
    made_at = certificate.issued_at if closure is None else closure.body.closed_at
    paper = Paper(f"{labels.TITLE.en} {certificate.serial}", certificate.technician, made_at, font)
    paper.attach(ATTACHMENT, view.data, MEDIA_TYPE, made_at)
    return paper
