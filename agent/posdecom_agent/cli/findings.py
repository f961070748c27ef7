"""A verdict for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from posdecom_protocol.documents.certificate import State
from posdecom_protocol.verdict import Area, Verdict, Weight

from ..catalogue import Exit

EXITS: Final[dict[State, Exit]] = {
    State.COMPLETE: Exit.DONE,
    State.EXCEPTIONS: Exit.COMPLETE_WITH_EXCEPTIONS,
    State.INCOMPLETE: Exit.INCOMPLETE,
    State.UNATTESTED: Exit.UNATTESTED,
}
WORDS: Final[dict[State, str]] = {
    State.COMPLETE: "COMPLETE",
    State.EXCEPTIONS: "COMPLETE WITH EXCEPTIONS",
    State.INCOMPLETE: "INCOMPLETE",
    State.UNATTESTED: "UNATTESTED",
}
NOTES_SHOWN_MAX: Final = 5
"""A shop with hundreds of open pre-authorisations must still see the line that counts."""

_MARKS: Final = {
    Weight.PROVED: "  ok  ",
    Weight.EXCEPTION: "  !!  ",
    Weight.MISSING: "  --  ",
    Weight.NOTE: "      ",
}


def verdict_text(verdict: Verdict) -> str:
    """The state first, then each finding with its mark, then who signed."""
    return "\n".join(_lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"terminal {verdict.serial}: {WORDS[verdict.state]}"
    for area in Area:
        findings = [finding for finding in verdict.findings if finding.area is area]
        notes = [finding for finding in findings if finding.weight is Weight.NOTE]
        shown = [finding for finding in findings if finding not in notes[NOTES_SHOWN_MAX:]]
        for finding in shown:
            yield f"{_MARKS[finding.weight]}{finding.area:<10}{finding.text}"
        if len(shown) < len(findings):
            yield f"{_MARKS[Weight.NOTE]}{area:<10}... and {len(findings) - len(shown)} more: posdecom explain"
    for name, signer in verdict.signers:
        yield f"      signed    {name} by {signer.name} ({signer.role}), key {signer.key_id.hex()}"


def verdict_document(verdict: Verdict) -> dict[str, object]:
    """The same for programs."""
    return {
        "serial": verdict.serial,
        "state": verdict.state.name.lower(),
        "state_at_terminal": verdict.state_at_terminal.name.lower(),
        "certificate_sha256": verdict.certificate.digest.hex(),
        "closed": verdict.closure is not None,
        "findings": [
            {"area": finding.area.value, "weight": finding.weight.value, "text": finding.text}
            for finding in verdict.findings
        ],
        "signers": [
            {"document": name, "role": signer.role.value, "name": signer.name, "key_id": signer.key_id.hex()}
            for name, signer in verdict.signers
        ],
    }
