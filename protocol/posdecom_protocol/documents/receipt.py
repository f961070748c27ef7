"""Receipt: the acquirer's permission to erase, over exactly one seal.

Where anything was refused or not delivered, and for every exception, it counts only together with a second signature
over the same payload by another key (role approver, or release).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..limits import CONTEXTS_MAX
from ..money import GroupTotals, Tally
from ..schema import Choice, Field, Many, Record, Text
from .kinds import (
    CHALLENGE,
    CONTEXT_INDEX,
    CURRENCY,
    DIGEST,
    GROUP_TOTALS,
    NAME,
    REMARK,
    SEQUENCE,
    SERIAL,
    TALLY,
    TIME,
    VERSION,
    VERSION_KIND,
)

_NOTHING: Final = Tally()


class Basis(IntEnum):
    AGREED = 1
    """The acquirer's books and the seal say the same."""
    EXCEPTION = 2
    """They do not, or cannot; two signers accept what the receipt says was lost or left."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One message that the host refused for good, with its answer code."""

    sequence: int
    code: str


@dataclass(frozen=True, slots=True)
class ReceiptContext:
    """What became of one context of the seal; amounts in its currency's minor units."""

    index: int
    currency: int
    totals: tuple[GroupTotals, ...]
    delivered: Tally
    refused: Tally
    undelivered: Tally
    withheld: Tally
    """Held back on purpose: offline sales after the cut-off, charged to nobody."""
    refusals: tuple[Refusal, ...]
    held: Tally = _NOTHING
    """Of what was delivered: sold after the cut-off and not given back. Online by the acquirer's own time, offline by
    that of the online sales around it."""

    @property
    def is_short(self) -> bool:
        """Anything refused or not delivered, by count, by amount or by name."""
        return self.refused != Tally() or self.undelivered != Tally() or bool(self.refusals)


@dataclass(frozen=True, slots=True)
class Receipt:
    receipt_id: str
    basis: Basis
    serial: str
    order_digest: bytes
    seal_digest: bytes
    challenge: bytes
    issued_at: int
    issuer: str
    contexts: tuple[ReceiptContext, ...]
    remark: str
    version: int = VERSION

    @property
    def needs_second_signature(self) -> bool:
        """True wherever money could be lost by believing a single key."""
        return self.basis is Basis.EXCEPTION or any(context.is_short for context in self.contexts)


REFUSAL: Final = Record(Refusal, {1: Field("sequence", SEQUENCE), 2: Field("code", Text(2))})
RECEIPT_CONTEXT: Final = Record(
    ReceiptContext,
    {
        1: Field("index", CONTEXT_INDEX),
        2: Field("currency", CURRENCY),
        3: Field("totals", Many(GROUP_TOTALS, 2)),
        4: Field("delivered", TALLY),
        5: Field("refused", TALLY),
        6: Field("undelivered", TALLY),
        7: Field("withheld", TALLY),
        8: Field("refusals", Many(REFUSAL, 999)),
        9: Field("held", TALLY),
    },
)
RECEIPT: Final = Record(
    Receipt,
    {
        1: Field("version", VERSION_KIND),
        2: Field("receipt_id", Text(64)),
        3: Field("basis", Choice(Basis)),
        4: Field("serial", SERIAL),
        5: Field("order_digest", DIGEST),
        6: Field("seal_digest", DIGEST),
        7: Field("challenge", CHALLENGE),
        8: Field("issued_at", TIME),
        9: Field("issuer", NAME),
        10: Field("contexts", Many(RECEIPT_CONTEXT, CONTEXTS_MAX)),
        11: Field("remark", REMARK),
    },
)
