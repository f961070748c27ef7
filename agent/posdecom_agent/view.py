"""A certificate as its reader sees it: the judged file with everything that PDF and JSON show, derived in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.chain import Chain, open_chain
from posdecom_protocol.documents.certificate import CasePoint
from posdecom_protocol.verdict import FILE_BYTES_MAX, Verdict, judge

from .case.checklist import certificate_points
from .case.proofs import Held

SCHEMA: Final = "posdecom/certificate/1"


@dataclass(frozen=True, slots=True)
class View:
    """One checked certificate."""

    data: bytes
    chain: Chain
    verdict: Verdict
    points: tuple[CasePoint, ...]


def open_view(file: Path, anchors: Anchors) -> View:
    """The certificate in ``file``. `DocumentError` if anything in it is broken, forged or overstated."""
    with file.open("rb") as opened:
        return view_of(opened.read(FILE_BYTES_MAX + 1), anchors)


def view_of(data: bytes, anchors: Anchors) -> View:
    """The same of bytes."""
    verdict = judge(data, anchors)
    chain, _ = open_chain(data, anchors)
    return View(data, chain, verdict, certificate_points(chain.certificate.body, held_in(chain)))


def held_in(chain: Chain) -> Held:
    return Held(chain.order, chain.seal, chain.receipts, chain.evidence, chain.closure)
