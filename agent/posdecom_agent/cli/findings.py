"""A verdict for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.seal import Seal, SealedContext
from posdecom_protocol.verdict import Area, Finding, Verdict, Weight

from ..catalogue import Exit
from ..sentences import sentence
from ..wording import N_, _, spoken
from .columns import padded, screen_columns, width, wrapped

EXITS: Final[dict[State, Exit]] = {
    State.COMPLETE: Exit.DONE,
    State.EXCEPTIONS: Exit.COMPLETE_WITH_EXCEPTIONS,
    State.INCOMPLETE: Exit.INCOMPLETE,
    State.UNATTESTED: Exit.UNATTESTED,
}
WORDS: Final[dict[State, str]] = {
    State.COMPLETE: N_("COMPLETE"),
    State.EXCEPTIONS: N_("COMPLETE WITH EXCEPTIONS"),
    State.INCOMPLETE: N_("INCOMPLETE"),
    State.UNATTESTED: N_("UNATTESTED"),
}
AREAS: Final[dict[Area, str]] = {
    Area.MONEY: N_("money"),
    Area.HELD: N_("held"),
    Area.KEYS: N_("keys"),
    Area.CLOSURE: N_("closure"),
    Area.PAPERWORK: N_("paperwork"),
}
AREA_COLUMNS: Final = 10
NOTES_SHOWN_MAX: Final = 5
"""A shop with hundreds of open pre-authorisations must still see the line that counts."""

_MORE: Final = {
    False: N_("... and {count} more: posdecom explain"),
    True: N_("... and {count} more: posdecom checklist"),
}
"""Paperwork has a list of its own."""

_MARKS: Final = {
    Weight.PROVED: "  ok  ",
    Weight.EXCEPTION: "  !!  ",
    Weight.MISSING: "  --  ",
    Weight.NOTE: "      ",
}


def verdict_text(verdict: Verdict) -> str:
    """The state first, then each finding with its mark, then who signed."""
    return "\n".join(_lines(verdict))


def _state(verdict: Verdict) -> str:
    """What was salvaged is no part of the state, and a person should not miss it."""
    is_salvaged = verdict.certificate.body.salvage is not None
    return N_("UNATTESTED, SALVAGED") if is_salvaged else WORDS[verdict.state]


def _lines(verdict: Verdict) -> Iterator[str]:
    contexts = _contexts(verdict)
    yield _("terminal {serial}: {state}", serial=verdict.serial, state=_state(verdict))
    for area in Area:
        findings = sorted(
            (finding for finding in verdict.findings if finding.area is area),
            key=lambda finding: finding.weight is Weight.NOTE,
        )
        notes = [finding for finding in findings if finding.weight is Weight.NOTE]
        shown = [finding for finding in findings if finding not in notes[NOTES_SHOWN_MAX:]]
        for finding in shown:
            yield from _row(finding.weight, AREAS[area], _said(finding, contexts))
        if len(shown) < len(findings):
            more = _(_MORE[area is Area.PAPERWORK], count=len(findings) - len(shown))
            yield from _row(Weight.NOTE, AREAS[area], more)
    for name, signer in verdict.signers:
        signed = _(
            "{document} by {name} ({role}), key {key}",
            document=_(name),
            name=signer.name,
            role=_(signer.role.value),
            key=signer.key_id.hex(),
        )
        yield from _row(Weight.NOTE, N_("signed"), signed)


def _row(weight: Weight, name: str, text: str) -> Iterator[str]:
    """One finding: mark, what it is about, and the text; on a screen the text stays in its own column."""
    head = _MARKS[weight] + padded(_(name), AREA_COLUMNS)
    columns = screen_columns()
    for line in [text] if columns is None else wrapped(text, max(columns - width(head), 20)):
        yield head + line
        head = " " * width(head)


def _contexts(verdict: Verdict) -> tuple[SealedContext, ...]:
    """What the seal calls each account; nothing where there is none."""
    seal = verdict.certificate.body.seal
    return () if seal is None else open_document(seal, Seal).body.contexts


def _said(finding: Finding, contexts: tuple[SealedContext, ...]) -> str:
    words = sentence(finding.text, contexts)
    return words.zh if spoken() == "zh" else words.en


def verdict_document(verdict: Verdict) -> dict[str, object]:
    """The same for programs."""
    contexts = _contexts(verdict)
    return {
        "serial": verdict.serial,
        "state": verdict.state.name.lower(),
        "state_at_terminal": verdict.state_at_terminal.name.lower(),
        "certificate_sha256": verdict.certificate.digest.hex(),
        "supersedes": None if verdict.supersedes is None else verdict.supersedes.hex(),
        "closed": verdict.closure is not None,
        "findings": [
            {"area": finding.area.value, "weight": finding.weight.value, "text": _said(finding, contexts)}
            for finding in verdict.findings
        ],
        "signers": [
            {"document": name, "role": signer.role.value, "name": signer.name, "key_id": signer.key_id.hex()}
            for name, signer in verdict.signers
        ],
    }
