"""Every point of a decommission with how it is known: proved by the machine, stated by a person, or open.

`stated_points` takes a case, `certificate_points` a certificate; what is proved comes from `proofs` both times. A
certificate that calls anything else proved is not believed: its reader sees it as stated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from posdecom_protocol.documents.certificate import CasePoint, Certificate, Standing
from posdecom_protocol.wording import Text

from ..wording import N_, said
from . import witness
from .file import Case
from .kinds import Choice, Words
from .points import ALWAYS, BY_NAME, SECTIONS, WITNESS, Point, Section
from .proofs import AT_THE_ACQUIRER, AT_THE_TERMINAL, PREFIX, Held, closure_points, terminal_points

WITNESSED: Final = "machine.witnessed"
WITNESSED_LABEL: Final = Words("A key signed what is stated", "所述内容已由密钥签名")
NO_CASE: Final = CasePoint("case file", Standing.OPEN, N_("no case file was given"))
STANDING_WORDS: Final[dict[Standing, Words]] = {
    Standing.PROVED: Words("proved by the machine", "机器证明"),
    Standing.STATED: Words("stated by a person", "人工陈述"),
    Standing.OPEN: Words("open", "未完成"),
}


def stated_points(case: Case) -> tuple[CasePoint, ...]:
    """Stated and open points of ``case``, in the table's order."""
    return tuple(point for section in SECTIONS for point in _section_points(section, case))


def known_points(case: Case | None, held: Held) -> tuple[CasePoint, ...]:
    """Everything that a case and the documents so far say."""
    proofs = (*terminal_points(held), *closure_points(held))
    return (*proofs, NO_CASE) if case is None else (*proofs, *stated_points(case), *_witnessed(case.answers))


def certified_points(case: Case | None, held: Held) -> tuple[CasePoint, ...]:
    """What goes into a certificate. What the documents leave open, or the closure proves, its reader sees there."""
    points = known_points(case, replace(held, closure=None))
    return tuple(
        one for one in points if one.standing is not Standing.OPEN or not one.point.startswith(PREFIX)
    )


def certificate_points(certificate: Certificate, held: Held) -> tuple[CasePoint, ...]:
    """A certificate's points as its reader knows them: what the documents prove, and what people state."""
    case = [point for point in certificate.case if not point.point.startswith(PREFIX)]
    known = [_not_overstated(point) for point in case]
    stated = (point for point in case if point.standing is Standing.STATED and _is_of_a_case(point.point))
    answers = {point.point: point.text for point in stated}
    return (*terminal_points(held), *closure_points(held), *known, *_witnessed(answers))


def label_of(key: str) -> Words:
    """What ``key`` is called; itself where this version does not know it."""
    if key in _PROOF_LABELS:
        return _PROOF_LABELS[key]
    section_name, _, name = key.partition(".")
    section = BY_NAME.get(section_name)
    if section is None:
        return Words(key, key)
    if section.many or not name:
        number = f" {name}" if name else ""
        return Words(f"{section.label.en}{number}", f"{section.label.zh}{number}")
    point = section.point(name)
    return Words(key, key) if point is None else point.label


def section_of(key: str) -> Words:
    """The heading that ``key`` stands under."""
    section = BY_NAME.get(WITNESS if key == WITNESSED else key.partition(".")[0])
    return Words("Money and keys", "款项与密钥") if section is None else section.label


def meaning_of(point: CasePoint) -> Words:
    """What is stated, in both languages where it is a word of a list; else as the person wrote it."""
    section_name, _, name = point.point.partition(".")
    section = BY_NAME.get(section_name)
    known = None if section is None else section.point(name)
    if known is not None and isinstance(known.kind, Choice):
        return known.kind.meaning(point.text)
    if isinstance(point.text, Text):
        return Words(point.text, said(point.text, "zh"))
    return _FIXED.get(point.text, Words(point.text, point.text))


def encode_case(case: Case) -> bytes:
    """The answers as a job keeps them, in their order."""
    return json.dumps(dict(case.answers), ensure_ascii=False).encode()


def decode_case(data: bytes) -> Case:
    return Case(json.loads(data))


# --- private -------------------------------------------------------------------------------------

_PROOF_LABELS: Final[Mapping[str, Words]] = {
    **{proof.key: proof.label for proof in (*AT_THE_TERMINAL, *AT_THE_ACQUIRER)},
    WITNESSED: WITNESSED_LABEL,
    "replacement terminal": Words("Replacement terminal", "替换终端"),
    NO_CASE.point: Words("Case file", "案卷文件"),
}
UNWITNESSED: Final = Words("nobody witnessed it", "无人见证")
_FIXED: Final = {
    "yes": Words("yes", "是"),
    "no": Words("no", "否"),
    "none": Words("none", "无"),
    UNWITNESSED.en: UNWITNESSED,
}
"""What stands in a case in English, whatever was spoken when it was written."""


def _section_points(section: Section, case: Case) -> Iterator[CasePoint]:
    if section.many:
        yield from _rows(section, case)
    elif section.name == WITNESS and case.get("witness.name") is None:
        yield CasePoint(WITNESS, Standing.OPEN, UNWITNESSED.en)
    else:
        yield from _singles(section, case)


def _rows(section: Section, case: Case) -> Iterator[CasePoint]:
    rows = [(key, text) for key, text in case.answers.items() if key.partition(".")[0] == section.name]
    for key, text in rows:
        yield CasePoint(key, Standing.STATED, text)
    if not rows and section.expected:
        yield CasePoint(section.name, Standing.OPEN, "")


def _singles(section: Section, case: Case) -> Iterator[CasePoint]:
    for point in section.points:
        key = f"{section.name}.{point.name}"
        text = case.get(key)
        if text is not None:
            yield CasePoint(key, Standing.STATED, text)
        elif _is_expected(point, case):
            yield CasePoint(key, Standing.OPEN, "")


def _is_expected(point: Point, case: Case) -> bool:
    where = point.expected
    return where is not None and (where is ALWAYS or case.get(where.key) in where.answers)


def _witnessed(answers: Mapping[str, str]) -> Iterable[CasePoint]:
    """The signature proves that a key signed these words; it makes none of them proved."""
    if witness.KEY not in answers:
        return ()
    if not witness.signature_holds(answers):
        return (CasePoint(WITNESSED, Standing.OPEN, N_("the signature is over other words")),)
    return (CasePoint(WITNESSED, Standing.PROVED, N_("key {key}", key=witness.fingerprint(answers))),)


def _is_of_a_case(key: str) -> bool:
    """Whether a witness saw it; what the job itself added came later."""
    return key.partition(".")[0] in BY_NAME


def _not_overstated(point: CasePoint) -> CasePoint:
    return replace(point, standing=Standing.STATED) if point.standing is Standing.PROVED else point
