"""Cancellation: the acquirer thaws a frozen terminal. Trade goes on, and every receipt over the old seal is dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..limits import CONTEXTS_MAX
from ..schema import Field, Many, Record, Text
from .kinds import (
    BATCH,
    CHALLENGE,
    CONTEXT_INDEX,
    DIGEST,
    NAME,
    SEQUENCE,
    SERIAL,
    TIME,
    VERSION,
    VERSION_KIND,
)


@dataclass(frozen=True, slots=True)
class Span:
    """Item sequences that the host has, both ends inclusive."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class NextBatch:
    """The batch number that a context goes on with; ``closed`` contexts were settled as a whole."""

    context: int
    batch: int


@dataclass(frozen=True, slots=True)
class Cancellation:
    cancellation_id: str
    serial: str
    seal_digest: bytes
    challenge: bytes
    issued_at: int
    issuer: str
    delivered: tuple[Span, ...]
    closed: tuple[int, ...]
    next_batches: tuple[NextBatch, ...]
    reason: str
    version: int = VERSION


SPAN: Final = Record(Span, {1: Field("first", SEQUENCE), 2: Field("last", SEQUENCE)})
NEXT_BATCH: Final = Record(NextBatch, {1: Field("context", CONTEXT_INDEX), 2: Field("batch", BATCH)})
CANCELLATION: Final = Record(
    Cancellation,
    {
        1: Field("version", VERSION_KIND),
        2: Field("cancellation_id", Text(64)),
        3: Field("serial", SERIAL),
        4: Field("seal_digest", DIGEST),
        5: Field("challenge", CHALLENGE),
        6: Field("issued_at", TIME),
        7: Field("issuer", NAME),
        8: Field("delivered", Many(SPAN, 1000)),
        9: Field("closed", Many(CONTEXT_INDEX, CONTEXTS_MAX)),
        10: Field("next_batches", Many(NEXT_BATCH, CONTEXTS_MAX)),
        11: Field("reason", Text(200)),
    },
)
