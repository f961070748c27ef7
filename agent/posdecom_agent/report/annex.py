"""The annexes: every point of the case, every key slot, every account, every document."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from posdecom_protocol.documents.evidence import SlotReport
from posdecom_protocol.verdict import Area, Weight

from ..case.checklist import STANDING_WORDS, label_of, meaning_of, section_of
from ..case.kinds import Words
from ..view import View
from . import labels
from .cover import POINT_COLUMNS, STANDING_COLOURS, Room, draw_heading, draw_signatures
from .money_rows import CELLS, finding_words, money_rows
from .paper import AMBER, BODY_MM, GREEN, GREY, INK, MARGIN_MM, RED, Colour, Paper, Style, both
from .table import Cell, Column, draw_row, draw_table, row_height

TITLE: Final = Style(12, INK, bold=True)
SECTION: Final = Style(8.6, INK, bold=True)
WEIGHT_COLOURS: Final[dict[Weight, Colour]] = {
    Weight.PROVED: GREEN,
    Weight.EXCEPTION: RED,
    Weight.MISSING: AMBER,
    Weight.NOTE: GREY,
}
SLOT_COLUMNS: Final = (
    Column(labels.SLOT, 40),
    Column(labels.USAGE, 18),
    Column(labels.ALGORITHM, 26),
    Column(labels.KCV, 34),
    Column(labels.METHOD, 34),
    Column(labels.READ_BACK, 28),
)
NAMED_COLUMNS: Final = (Column(labels.WHAT, 58), Column(labels.WHAT, 122))
FINDING_COLUMNS: Final = (Column(labels.WHAT, 90), Column(labels.WHAT, 90))


def draw_annexes(paper: Paper, view: View, room: Room) -> None:
    _draw_points(paper, view)
    if view.chain.evidence is not None:
        _draw_slots(paper, view)
    _draw_money(paper, view)
    _draw_documents(paper, view, room)


def _begin(paper: Paper, words: Words, room_mm: float = 40) -> None:
    """Under its title: on this page where there is room, else on a new one."""
    if paper.left_mm < room_mm or paper.page == 1:
        paper.add_page()
    else:
        paper.y += 6
    paper.y = paper.text(both(words), TITLE, MARGIN_MM, paper.y, BODY_MM) + 2


def _draw_points(paper: Paper, view: View) -> None:
    _begin(paper, labels.ANNEX_POINTS)
    for section, points in groupby(view.points, lambda point: section_of(point.point)):
        for number, point in enumerate(points):
            text, standing = meaning_of(point), STANDING_WORDS[point.standing]
            cells = (label_of(point.point), text, both(standing))
            if row_height(paper, POINT_COLUMNS, cells) + 8 > paper.left_mm:
                paper.add_page()
            if number == 0:
                paper.rule(paper.y + 0.6)
                paper.y = paper.text(both(section), SECTION, MARGIN_MM, paper.y + 1.6, BODY_MM) + 0.5
            draw_row(paper, POINT_COLUMNS, cells, (INK, INK, STANDING_COLOURS[point.standing]))


def _draw_slots(paper: Paper, view: View) -> None:
    assert view.chain.evidence is not None
    body = view.chain.evidence.body
    _begin(paper, labels.ANNEX_KEYS)
    rows = [_slot(slot) for slot in body.slots]
    colours = [INK if slot.is_empty else RED for slot in body.slots]
    draw_table(paper, SLOT_COLUMNS, rows, colours, paper.add_page)
    paper.y += 1.5
    for slot in body.to_be_destroyed:
        _draw_named(paper, both(labels.TO_BE_DESTROYED), slot)
    for kept in body.kept:
        _draw_named(paper, both(labels.KEPT), f"{kept.what} ({kept.why})")


def _slot(slot: SlotReport) -> tuple[Cell, ...]:
    kcv = slot.kcv_before.hex().upper() or "–"
    return (
        slot.slot,
        slot.usage,
        slot.algorithm,
        kcv,
        labels.METHODS[slot.method],
        labels.READ_BACKS[slot.read_back],
    )


def _draw_money(paper: Paper, view: View) -> None:
    rows = money_rows(view.chain)
    if not rows:
        return
    _begin(paper, labels.ANNEX_MONEY)
    draw_table(paper, CELLS, [row.cells for row in rows], [row.colour for row in rows], paper.add_page)


def _draw_documents(paper: Paper, view: View, room: Room) -> None:
    _begin(paper, labels.ANNEX_DOCUMENTS)
    for name, text in _named(view):
        _draw_named(paper, name, text)
    paper.y += 3
    if not room.signatures:
        if paper.left_mm < 60:
            paper.add_page()
        draw_signatures(paper, view)
    draw_heading(paper, labels.FINDINGS)
    for finding in (one for one in view.verdict.findings if one.area is not Area.PAPERWORK):
        words = finding_words(finding.text, view.chain)
        cells = (words.en, "" if words.zh == words.en else words.zh)
        if row_height(paper, FINDING_COLUMNS, cells) > paper.left_mm:
            paper.add_page()
        draw_row(paper, FINDING_COLUMNS, cells, [WEIGHT_COLOURS[finding.weight]] * 2)


def _named(view: View) -> Iterator[tuple[str, str]]:
    chain, body = view.chain, view.chain.certificate.body
    singles = (("order", chain.order), ("seal", chain.seal))
    receipts = tuple((f"receipt {number}", one) for number, one in enumerate(chain.receipts, 1))
    rest = (("evidence", chain.evidence), ("certificate", chain.certificate), ("closure", chain.closure))
    for name, document in (*singles, *receipts, *rest):
        if document is not None:
            yield f"{both(labels.DOCUMENTS[name])}  SHA-256", document.digest.hex()
    if body.supersedes is not None:
        yield f"{both(labels.SUPERSEDES)}  SHA-256", body.supersedes.hex()
    yield both(labels.JOURNAL_HEAD), body.journal_head.hex()
    yield both(labels.TOOL), f"{body.tool.name} {body.tool.version}, {body.tool.crypto}"
    for key in body.revoke or ():
        yield both(labels.REVOKE), key.hex()


def _draw_named(paper: Paper, name: str, text: str) -> None:
    if row_height(paper, NAMED_COLUMNS, (name, text)) > paper.left_mm:
        paper.add_page()
    draw_row(paper, NAMED_COLUMNS, (name, text), (GREY, INK))
