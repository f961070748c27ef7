"""Certificate: the technician binds order, seal, receipt and evidence byte for byte, with the case beside them.

Its stated state is a convenience for readers. `verdict` derives the real one from the documents inside; a certificate
that states a better one than it holds is invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..schema import Choice, Field, Many, Octets, Record, Text
from .kinds import DIGEST, EMBEDDED, NAME, REMARK, SERIAL, TIME, VERSION, VERSION_KIND
from .remedy import REMEDY, Remedy
from .salvage import SALVAGE, Salvage


class State(IntEnum):
    """From best to worst. What a certificate states, and what the documents inside it amount to."""

    COMPLETE = 1
    EXCEPTIONS = 2
    INCOMPLETE = 3
    UNATTESTED = 4


class Standing(IntEnum):
    """How a point of the case is known. A person's word is never called proof."""

    PROVED = 1
    STATED = 2
    OPEN = 3


@dataclass(frozen=True, slots=True)
class CasePoint:
    point: str
    standing: Standing
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    version: str
    crypto: str
    """Versions of the cryptographic libraries that did the work."""


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate_id: str
    """At most 97 characters: those of an order's name, a slash, and a serial."""
    issued_at: int
    serial: str
    technician: str
    stated: State
    """State at the terminal; the acquirer's closure is not counted, it comes later."""
    order: bytes | None
    seal: bytes | None
    receipts: tuple[bytes, ...]
    evidence: bytes | None
    case: tuple[CasePoint, ...]
    journal_head: bytes
    tool: Tool
    supersedes: bytes | None = None
    revoke: tuple[bytes, ...] | None = None
    remedies: tuple[Remedy, ...] = ()
    """Stated by people for what the receipt lists as held; a certificate that supersedes another repeats its own."""
    salvage: Salvage | None = None
    """Records that a tampered terminal gave without being able to sign for them; never beside a seal."""
    version: int = VERSION


CASE_POINT: Final = Record(
    CasePoint,
    {1: Field("point", Text(80)), 2: Field("standing", Choice(Standing)), 3: Field("text", REMARK)},
)
TOOL: Final = Record(Tool, {1: Field("name", NAME), 2: Field("version", NAME), 3: Field("crypto", NAME)})
REMEDIES_MAX: Final = 200

CERTIFICATE: Final = Record(
    Certificate,
    {
        1: Field("version", VERSION_KIND),
        2: Field("certificate_id", Text(97)),
        3: Field("issued_at", TIME),
        4: Field("serial", SERIAL),
        5: Field("technician", NAME),
        6: Field("stated", Choice(State)),
        7: Field("order", EMBEDDED, optional=True),
        8: Field("seal", EMBEDDED, optional=True),
        9: Field("receipts", Many(EMBEDDED, 2)),
        10: Field("evidence", EMBEDDED, optional=True),
        11: Field("case", Many(CASE_POINT, 200)),
        12: Field("journal_head", DIGEST),
        13: Field("tool", TOOL),
        14: Field("supersedes", DIGEST, optional=True),
        15: Field("revoke", Many(Octets(32, low=1), 64), optional=True),
        16: Field("remedies", Many(REMEDY, REMEDIES_MAX)),
        17: Field("salvage", SALVAGE, optional=True),
    },
)
