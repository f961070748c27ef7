"""Bind: the maker hands a blank terminal to its next owner. Without one, any laptop could re-own a blank terminal.

It says whom the terminal trusts from then on, and no key: keys are loaded where keys are loaded. It names the evidence
that made the terminal blank, so that it serves once and for that erase only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..schema import Field, Octets, Record, Text
from .kinds import DIGEST, NAME, SERIAL, TIME, VERSION, VERSION_KIND


@dataclass(frozen=True, slots=True)
class Bind:
    bind_id: str
    serial: str
    evidence_digest: bytes
    issued_at: int
    issuer: str
    acquirer_anchors: bytes
    """PEM bundle, as `certificates.load_anchors` reads it: whose orders and receipts count from now on."""
    technician_anchors: bytes
    """The same for those who may open a channel."""
    version: int = VERSION


_ANCHORS: Final = Octets(16 * 1024, low=1)

BIND: Final = Record(
    Bind,
    {
        1: Field("version", VERSION_KIND),
        2: Field("bind_id", Text(64)),
        3: Field("serial", SERIAL),
        4: Field("evidence_digest", DIGEST),
        5: Field("issued_at", TIME),
        6: Field("issuer", NAME),
        7: Field("acquirer_anchors", _ANCHORS),
        8: Field("technician_anchors", _ANCHORS),
    },
)
