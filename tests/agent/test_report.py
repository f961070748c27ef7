"""Views of a certificate: what PDF and JSON say is what the documents say, in both languages, the same each time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import jsonschema
import pytest

from document_chain import ANCHORS, HANDS, TERMINALS, TWO_HANDS, Script, write_chain
from posdecom_agent.case.checklist import certificate_points, certified_points
from posdecom_agent.case.file import Case, read_case
from posdecom_agent.case.kinds import Words
from posdecom_agent.case.points import SECTIONS
from posdecom_agent.case.proofs import AT_THE_ACQUIRER, AT_THE_TERMINAL, Held
from posdecom_agent.report import labels
from posdecom_agent.report.cover import ROOMS, draw_cover
from posdecom_agent.report.document import certificate_document
from posdecom_agent.report.paper import MissingGlyphs, Paper, Style
from posdecom_agent.report.pdf import certificate_pdf
from posdecom_agent.view import View, view_of
from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.documents.certificate import CasePoint, Certificate, Standing, State
from posdecom_protocol.documents.receipt import Receipt, Refusal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.money import Tally

CASE = """
[case]
serial = "T-0001"
place = "Lucky Star Tea House 吉星茶楼"
[application]
reason = "closing"
decision = "approved"
[custody]
next_use = "recycle"
"""
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/certificate.schema.json").read_text())


def with_case(case: Case | None) -> Callable[[Certificate], Certificate]:
    return lambda body: replace(body, case=certified_points(case, Held()), technician="Zhang Wei 张伟")


def one_refused(body: Receipt) -> Receipt:
    contexts = (
        replace(one, delivered=Tally(2, 3000), refused=Tally(1, 500), refusals=(Refusal(3, "51"),))
        for one in body.contexts
    )
    return replace(body, contexts=tuple(contexts))


def unattested(body: Certificate) -> Certificate:
    return replace(body, seal=None, receipts=(), evidence=None)


@cache
def sample(state: State) -> View:
    """One certificate in each state."""
    case = with_case(read_case(CASE.encode()))
    match state:
        case State.COMPLETE:
            data = write_chain(Script(certificate=case)).file
        case State.EXCEPTIONS:
            data = write_chain(Script(receipt=one_refused, certificate=case), TWO_HANDS).file
        case State.INCOMPLETE:
            data = write_chain(Script(certificate=with_case(None))).certificate
        case State.UNATTESTED:
            data = write_chain(
                Script(order=lambda body: replace(body, revoke=(bytes(8),)), certificate=unattested)
            ).file
    view = view_of(data, ANCHORS)
    assert view.verdict.state is state
    return view


# --- points -----------------------------------------------------------------------------------------------


def standings(view: View) -> dict[str, Standing]:
    return {point.point: point.standing for point in view.points}


def test_what_the_documents_prove_is_proved_and_what_they_lack_is_open() -> None:
    complete, open_case = standings(sample(State.COMPLETE)), standings(sample(State.UNATTESTED))
    keys = {proof.key for proof in (*AT_THE_TERMINAL, *AT_THE_ACQUIRER)}
    assert {key for key in keys if complete[key] is not Standing.PROVED} == {"machine.preauths"}
    assert {key for key in keys if open_case[key] is Standing.PROVED} == {
        "machine.ordered",
        "machine.closed",
        "machine.forgotten",
        "machine.refunds",
    }


def test_a_refused_transaction_leaves_money_pending_whatever_the_certificate_says() -> None:
    points = {point.point: point for point in sample(State.EXCEPTIONS).points}
    assert points["machine.after"].standing is Standing.OPEN
    assert points["machine.after"].text == "refused 1: 5.00 CNY"


def test_a_certificate_cannot_call_a_persons_word_proved() -> None:
    claims = (
        CasePoint("custody.returned_to", Standing.PROVED, "x"),
        CasePoint("machine.after", Standing.PROVED, "x"),
    )
    certificate = replace(sample(State.EXCEPTIONS).chain.certificate.body, case=claims)
    known = {one.point: one.standing for one in certificate_points(certificate, Held())}
    assert known["custody.returned_to"] is Standing.STATED
    assert known["machine.after"] is Standing.OPEN


# --- JSON -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_the_json_view_of_each_state_fits_the_published_schema(state: State) -> None:
    document = {"schema": "posdecom/certificate/1", **certificate_document(sample(state))}
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)
    assert document["state"] == state.name.lower()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, SCHEMA)


# --- PDF --------------------------------------------------------------------------------------------------


@cache
def pdf(state: State) -> bytes:
    return certificate_pdf(sample(state))


def streams(data: bytes) -> list[bytes]:
    """Every stream of a PDF, inflated: read by its syntax alone."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    return [zlib.decompress(one) if one[:1] == b"\x78" else one for one in found]


def test_the_same_certificate_gives_the_same_bytes() -> None:
    assert certificate_pdf(sample(State.COMPLETE)) == pdf(State.COMPLETE)


def test_the_signed_original_is_inside_byte_for_byte() -> None:
    view = sample(State.COMPLETE)
    assert view.data in streams(pdf(State.COMPLETE))
    assert b"certificate.posdecom" in pdf(State.COMPLETE)
    assert b"/AFRelationship /Source" in pdf(State.COMPLETE)


def test_every_font_is_embedded_and_no_conformance_is_claimed() -> None:
    data = pdf(State.COMPLETE)
    assert data.count(b"/FontFile3") + data.count(b"/FontFile2") == data.count(b"/Type /FontDescriptor") == 2
    assert not any(b"pdfaid" in stream for stream in (data, *streams(data)))


def bar(data: bytes) -> str:
    """Which of red, green and blue is strongest in the bar behind the state: the first box across the page."""
    across = re.compile(rb"([\d.]+) ([\d.]+) ([\d.]+) rg\n[\d.]+ [\d.]+ 510\.24 ")
    found = next(found for one in streams(data) if (found := across.search(one)))
    return max(zip(map(float, found.groups()), ("red", "green", "blue"), strict=True))[1]


def test_complete_is_green_and_with_exceptions_is_red() -> None:
    assert (bar(pdf(State.COMPLETE)), bar(pdf(State.EXCEPTIONS))) == ("green", "red")


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
@pytest.mark.parametrize(
    "state",
    [
        State.EXCEPTIONS,
        *(pytest.param(one, marks=pytest.mark.long) for one in State if one is not State.EXCEPTIONS),
    ],
)
def test_its_first_page_says_the_state_in_both_languages_and_what_was_stated(
    state: State, tmp_path: Path
) -> None:
    (tmp_path / "c.pdf").write_bytes(pdf(state))
    text = subprocess.run(
        ["pdftotext", "-l", "1", "-layout", str(tmp_path / "c.pdf"), "-"], capture_output=True, check=True
    ).stdout.decode()
    words = labels.STATES[state]
    assert words.en in text and words.zh in text
    assert "posdecom verify" in text
    if state is State.EXCEPTIONS:
        assert "5.00 CNY refused by the host" in text
    if state in (State.COMPLETE, State.EXCEPTIONS):
        assert "吉星茶楼" in text and "张伟" in text


def test_every_label_can_be_drawn_in_bold() -> None:
    words = [value for value in vars(labels).values() if isinstance(value, Words)]
    words += [
        meaning
        for value in vars(labels).values()
        if isinstance(value, dict)
        for meaning in value.values()
        if isinstance(meaning, Words)
    ]
    words += [section.label for section in SECTIONS]
    with Paper("t", "a", 0) as paper:
        for one in words:
            paper.width_mm(one.en + one.zh, Style(9, bold=True))


def test_a_character_that_no_font_has_is_named_and_never_dropped() -> None:
    def named(body: Certificate) -> Certificate:
        return replace(body, technician="𠮷田䶮")

    view = view_of(write_chain(Script(certificate=named)).file, ANCHORS)
    with pytest.raises(MissingGlyphs, match=r"䶮 \(U\+4DAE\), 𠮷 \(U\+20BB7\)"):
        certificate_pdf(view)


def test_the_first_page_is_one_page_however_much_there_is_to_say() -> None:
    """Every name as long as it may be, more accounts and reasons than the page shows."""

    def wordy(body: Certificate) -> Certificate:
        case = read_case(CASE.replace("Lucky Star Tea House 吉星茶楼", "长" * 300).encode())
        return replace(with_case(case)(body), technician="张" * 80)

    view = view_of(
        write_chain(Script(receipt=one_refused, certificate=wordy), TWO_HANDS).certificate, ANCHORS
    )
    fits = []
    for room in (ROOMS[0], ROOMS[-1]):
        with Paper("t", "a", 0) as paper:
            fits.append(draw_cover(paper, view, room))
    assert fits == [False, True]


def test_a_certificate_that_nobody_here_trusts_has_no_view() -> None:

    with pytest.raises(DocumentError):
        view_of(write_chain(hands=HANDS).file, load_anchors(TERMINALS.pem()))


def test_what_the_pdf_library_takes_for_the_number_of_pages_stays_what_somebody_wrote() -> None:
    drawn = []
    for text in ("{nb}", "{mb}"):
        with Paper("t", "a", 1_800_000_000) as paper:
            paper.add_page()
            paper.text(text, Style(9), 20, 20, 100)
            drawn.append(next(one for one in streams(paper.output()) if b" Tj" in one))
    assert drawn[0] == drawn[1], "four characters, of which the subset's second is another"
