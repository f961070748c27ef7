"""The first page: what became of the terminal, at a glance and then in detail. It is always one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import segno

from posdecom_protocol.certificates import Signer
from posdecom_protocol.documents.certificate import CasePoint, Standing, State
from posdecom_protocol.verdict import Weight

from ..case.checklist import STANDING_WORDS, label_of, meaning_of
from ..case.kinds import Words
from ..case.points import NEXT_USES
from ..case.proofs import date_text
from ..view import View
from . import labels
from .money_rows import CELLS, finding_words, money_rows
from .paper import (
    AMBER,
    BLUE,
    BODY,
    BODY_MM,
    BOTTOM_MM,
    FAINT,
    GREEN,
    GREY,
    HEADING,
    HEIGHT_MM,
    INK,
    LABEL,
    MARGIN_MM,
    RED,
    SLATE,
    SMALL,
    WHITE,
    WIDTH_MM,
    Colour,
    Paper,
    Style,
    both,
)
from .table import Column, draw_row, draw_table

STATE_COLOURS: Final[dict[State, Colour]] = {
    State.COMPLETE: GREEN,
    State.EXCEPTIONS: RED,
    State.INCOMPLETE: AMBER,
    State.UNATTESTED: SLATE,
}
STANDING_COLOURS: Final[dict[Standing, Colour]] = {
    Standing.PROVED: GREEN,
    Standing.STATED: BLUE,
    Standing.OPEN: AMBER,
}
QR_MM: Final = 29.0
CHECK_MM: Final = 13.0
REVOKE_MAX: Final = 3
COLUMNS: Final = 3
VERIFY: Final = "posdecom verify certificate.posdecom --trust trust.pem"


@dataclass(frozen=True, slots=True)
class Room:
    """How much of each list the page shows; what is left out stands in an annex, and the page says so."""

    reasons: int
    accounts: int
    open_points: int
    signatures: bool


ROOMS: Final = (Room(5, 4, 6, True), Room(4, 2, 3, True), Room(4, 2, 3, False), Room(2, 1, 0, False))
"""From the ordinary page to the fullest; the first that fits is taken."""


@dataclass(frozen=True, slots=True)
class Fact:
    label: Words
    text: str


def draw_cover(paper: Paper, view: View, room: Room) -> bool:
    """Whether all of it fitted onto the page."""
    paper.add_page()
    _draw_head(paper, view)
    _draw_state(paper, view, room)
    _draw_facts(paper, list(_facts(view)))
    _draw_money(paper, view, room)
    _draw_keys(paper, view)
    _draw_standings(paper, view.points, room)
    if room.signatures:
        draw_signatures(paper, view)
    fits = paper.left_mm >= CHECK_MM
    _draw_check(paper)
    return fits


def draw_footers(paper: Paper, view: View) -> None:
    """On every page, once it is known how many there are."""
    pages, serial = paper.page, view.verdict.serial
    for number in range(1, pages + 1):
        with paper.revisit(number):
            y = HEIGHT_MM - 11
            paper.rule(y - 1.5)
            left = f"{labels.TITLE.en} {labels.TITLE.zh}   {serial}   {view.chain.certificate.body.certificate_id}"
            paper.text(left, paper.fitted(left, LABEL, BODY_MM - 30), MARGIN_MM, y, BODY_MM - 30)
            paper.text(
                f"{labels.PAGE.en} {labels.PAGE.zh} {number} / {pages}",
                LABEL,
                WIDTH_MM - MARGIN_MM - 40,
                y,
                40,
                "R",
            )


def is_salvaged(view: View) -> bool:
    """Nothing that the terminal signed, and records that were read from it all the same."""
    return view.chain.certificate.body.salvage is not None


# --- head and state ------------------------------------------------------------------------------


def _draw_head(paper: Paper, view: View) -> None:
    digest = view.chain.certificate.digest.hex()
    x = WIDTH_MM - MARGIN_MM - QR_MM
    code = segno.make(f"{VERIFY}\nsha256:{digest}", error="m", micro=False)
    paper.squares(list(code.matrix), x, MARGIN_MM - 2, QR_MM)
    wide = BODY_MM - QR_MM - 8
    y = paper.text(labels.TITLE.en, Style(19, INK, bold=True), MARGIN_MM, MARGIN_MM - 2, wide)
    y = paper.text(labels.TITLE.zh, Style(15, INK, bold=True), MARGIN_MM, y, wide)
    y = paper.text(f"{labels.DIGEST.en}  {labels.DIGEST.zh}", LABEL, MARGIN_MM, y + 2.5, wide)
    line = " ".join(digest[start : start + 8] for start in range(0, 64, 8))
    y = paper.text(line, paper.fitted(line, Style(7.2, GREY), wide), MARGIN_MM, y, wide)
    paper.y = max(y, MARGIN_MM - 2 + QR_MM) + 3


def _draw_state(paper: Paper, view: View, room: Room) -> None:
    """The state on its colour; below it, on paper, what it means and every reason."""
    state = view.verdict.state
    colour, words = STATE_COLOURS[state], labels.SALVAGED if is_salvaged(view) else labels.STATES[state]
    top, height = paper.y, 11.5
    paper.box(MARGIN_MM, top, BODY_MM, height, colour)
    title = Style(14.5, WHITE, bold=True)
    paper.text(words.en, title, MARGIN_MM + 4, top + 2.3, BODY_MM / 2)
    paper.text(words.zh, title, MARGIN_MM + BODY_MM / 2 + 4, top + 2.3, BODY_MM / 2 - 8)
    y = top + height + 1.6
    meaning = labels.MEANINGS[state]
    end = paper.text(meaning.en, BODY, MARGIN_MM + 4, y, BODY_MM / 2 - 6)
    y = max(end, paper.text(meaning.zh, BODY, MARGIN_MM + BODY_MM / 2 + 4, y, BODY_MM / 2 - 8))
    paper.y = _draw_reasons(paper, view, y + 0.6, room) + 2


def _draw_reasons(paper: Paper, view: View, y: float, room: Room) -> float:
    """What keeps it from being complete: exceptions in red, what is missing in amber."""
    reasons = [one for one in view.verdict.findings if one.weight in (Weight.EXCEPTION, Weight.MISSING)]
    for finding in reasons[: room.reasons]:
        style = Style(BODY.size_pt, RED if finding.weight is Weight.EXCEPTION else AMBER)
        y = _draw_pair(paper, finding_words(finding.text, view.chain), style, y)
    if len(reasons) > room.reasons:
        y = _draw_pair(paper, labels.IN_ANNEX, LABEL, y)
    return y


def _draw_pair(paper: Paper, words: Words, style: Style, y: float) -> float:
    """English left, Chinese right, a mark before each."""
    half = BODY_MM / 2
    left = paper.text(f"– {words.en}", style, MARGIN_MM + 4, y, half - 6)
    if words.zh == words.en:
        return left
    return max(left, paper.text(f"– {words.zh}", style, MARGIN_MM + half + 4, y, half - 8))


# --- facts ---------------------------------------------------------------------------------------


def _facts(view: View) -> Iterator[Fact]:
    body, order, evidence = view.chain.certificate.body, view.chain.order, view.chain.evidence
    closure = view.chain.closure
    stated = {point.point: point.text for point in view.points if point.standing is Standing.STATED}
    unknown = both(labels.UNKNOWN)
    yield Fact(labels.TERMINAL, body.serial)
    yield Fact(labels.MODEL, _model(view) or unknown)
    yield Fact(labels.SHOP, stated.get("case.place", unknown))
    yield Fact(labels.ORDER, unknown if order is None else order.body.order_id)
    yield Fact(labels.ISSUER, unknown if order is None else order.body.issuer)
    yield Fact(labels.REASON, unknown if order is None else both(labels.REASONS[order.body.reason]))
    yield Fact(labels.MODE, unknown if order is None else both(labels.MODES[order.body.mode]))
    yield Fact(labels.CUTOFF, unknown if order is None else date_text(order.body.cutoff_at))
    yield Fact(labels.REFERENCE, stated.get("case.reference", unknown))
    yield Fact(labels.TECHNICIAN, body.technician)
    yield Fact(labels.ISSUED_AT, date_text(body.issued_at))
    yield Fact(labels.ERASED_AT, unknown if evidence is None else date_text(evidence.body.erased_at))
    yield Fact(labels.WITNESS, stated.get("witness.name", both(labels.NONE)))
    yield Fact(labels.CLOSED_AT, unknown if closure is None else date_text(closure.body.closed_at))
    next_use = stated.get("custody.next_use")
    yield Fact(labels.NEXT_USE, unknown if next_use is None else both(NEXT_USES.meaning(next_use)))


def _model(view: View) -> str:
    if view.chain.evidence is None:
        return ""
    body = view.chain.evidence.body
    model = body.model.decode("ascii", "replace").replace("\ufffd", "?")
    return f"{model}, {body.software} {' '.join(body.software_version)}"


def _draw_facts(paper: Paper, facts: Sequence[Fact]) -> None:
    wide, top = BODY_MM / COLUMNS, paper.y
    for start in range(0, len(facts), COLUMNS):
        ends = []
        for number, fact in enumerate(facts[start : start + COLUMNS]):
            x = MARGIN_MM + number * wide
            y = paper.text(both(fact.label), LABEL, x, top, wide - 3)
            ends.append(paper.text(fact.text, _small_enough(paper, fact.text, wide - 3), x, y, wide - 3))
        top = max(ends) + 1.3
    paper.y = top + 0.7


def _small_enough(paper: Paper, text: str, width: float) -> Style:
    """Ordinary size on one line, else smaller on as many as it takes."""
    style = Style(9)
    return style if paper.width_mm(text, style) <= width else Style(7)


# --- money, keys, standings ----------------------------------------------------------------------


def draw_heading(paper: Paper, words: Words) -> None:
    paper.rule(paper.y)
    paper.y = paper.text(both(words), HEADING, MARGIN_MM, paper.y + 1.2, BODY_MM) + 0.6


def _draw_money(paper: Paper, view: View, room: Room) -> None:
    rows = money_rows(view.chain)
    draw_heading(paper, labels.MONEY)
    if rows:
        shown = rows[: room.accounts]
        draw_table(paper, CELLS, [row.cells for row in shown], [row.colour for row in shown])
    if len(rows) > room.accounts:
        paper.y = paper.text(both(labels.IN_ANNEX), LABEL, MARGIN_MM, paper.y, BODY_MM)
    for key in ("machine.agreed", "machine.preauths"):
        _draw_point(paper, view.points, key)
    paper.y += 1.6


def _draw_keys(paper: Paper, view: View) -> None:
    draw_heading(paper, labels.KEYS)
    for key in ("machine.erased", "machine.forgotten", "machine.intact"):
        _draw_point(paper, view.points, key)
    revoke = view.chain.certificate.body.revoke
    if revoke:
        keys = ", ".join(key.hex() for key in revoke[:REVOKE_MAX])
        more = "" if len(revoke) <= REVOKE_MAX else f", {both(labels.IN_ANNEX)}"
        draw_row(paper, POINT_COLUMNS[:2], (labels.REVOKE, keys + more), (INK, INK))
    paper.y += 1.6


def _draw_point(paper: Paper, points: Sequence[CasePoint], key: str) -> None:
    point = next((one for one in points if one.point == key), None)
    if point is not None:
        draw_point(paper, point)


def draw_point(paper: Paper, point: CasePoint) -> None:
    """One point of the case with how it is known."""
    standing, label, text = STANDING_WORDS[point.standing], label_of(point.point), meaning_of(point)
    cells = (label, text, standing)
    draw_row(paper, POINT_COLUMNS, cells, (INK, INK, STANDING_COLOURS[point.standing]))


POINT_COLUMNS: Final = (
    Column(labels.POINT, 52),
    Column(labels.WHAT, 84),
    Column(labels.STANDING, 44),
)


def _draw_standings(paper: Paper, points: Sequence[CasePoint], room: Room) -> None:
    """How many points are known how, and the first of those that are open."""
    draw_heading(paper, labels.SUMMARY)
    wide, top = BODY_MM / len(Standing), paper.y
    for number, standing in enumerate(Standing):
        x, count = MARGIN_MM + number * wide, sum(point.standing is standing for point in points)
        colour = STANDING_COLOURS[standing]
        paper.box(x, top + 0.6, 1.2, 5, colour)
        shown = Style(13, colour, bold=True)
        paper.text(str(count), shown, x + 3, top, 10)
        beside = x + 5 + paper.width_mm(str(count), shown)
        paper.text(both(STANDING_WORDS[standing]), Style(8, colour), beside, top + 1.7, wide)
    paper.y = top + 7
    still_open = [both(label_of(point.point)) for point in points if point.standing is Standing.OPEN]
    if still_open:
        more = f"; {both(labels.IN_ANNEX)}" if len(still_open) > room.open_points else ""
        text = f"{both(labels.OPEN_POINTS)}: {'; '.join(still_open[: room.open_points])}{more}"
        paper.y = paper.text(text, Style(SMALL.size_pt, AMBER), MARGIN_MM, paper.y, BODY_MM)
    paper.y += 1.6


# --- signatures and checking ---------------------------------------------------------------------

SIGNATURE_COLUMNS: Final = (
    Column(labels.DOCUMENT, 42),
    Column(labels.SIGNER, 40),
    Column(labels.ROLE, 45),
    Column(labels.KEY_ID, 29),
    Column(labels.TIME, 24),
)


def draw_signatures(paper: Paper, view: View) -> None:
    draw_heading(paper, labels.SIGNATURES)
    rows = [_signature(view, name, signer) for name, signer in view.verdict.signers]
    draw_table(paper, SIGNATURE_COLUMNS, rows, [INK] * len(rows))
    paper.y += 1.6


def _signature(view: View, name: str, signer: Signer) -> tuple[str, ...]:
    document = labels.DOCUMENTS.get(name, Words(name, name))
    role = labels.ROLES.get(signer.role.value, Words(signer.role.value, signer.role.value))
    return both(document), signer.name, both(role), signer.key_id.hex(), _signed_at(view, name)


def _signed_at(view: View, name: str) -> str:
    chain = view.chain
    times = {"certificate": chain.certificate.body.issued_at}
    times |= {f"receipt {number}": one.body.issued_at for number, one in enumerate(chain.receipts, 1)}
    if chain.order is not None:
        times["order"] = chain.order.body.issued_at
    if chain.seal is not None:
        times["seal"] = chain.seal.body.sealed_at
    if chain.evidence is not None:
        times["evidence"] = chain.evidence.body.issued_at
    if chain.closure is not None:
        times["closure"] = chain.closure.body.closed_at
    return date_text(times[name]).removesuffix(" UTC") if name in times else ""


def _draw_check(paper: Paper) -> None:
    """How to check it, at the foot of the page."""
    top = HEIGHT_MM - BOTTOM_MM - CHECK_MM
    paper.box(MARGIN_MM, top, BODY_MM, CHECK_MM, FAINT)
    y = paper.text(labels.CHECK.en, SMALL, MARGIN_MM + 3, top + 1.2, BODY_MM - 6)
    y = paper.text(labels.CHECK.zh, SMALL, MARGIN_MM + 3, y, BODY_MM - 6)
    paper.text(VERIFY, Style(8, INK, bold=True), MARGIN_MM + 3, y + 0.6, BODY_MM - 6)
    paper.y = top + CHECK_MM
