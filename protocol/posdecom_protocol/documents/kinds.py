"""Field kinds that several documents share."""

from __future__ import annotations

from typing import Final

from ..limits import DOCUMENT_BYTES_MAX, RECORDS_PER_CONTEXT_MAX
from ..money import CardGroup, GroupTotals, Tally
from ..schema import Choice, Field, Octets, Record, Text, Time, Whole

VERSION: Final = 1
"""Of every document. A reader refuses any other: there is no negotiation inside signed bytes."""

VERSION_KIND: Final = Whole(VERSION, low=VERSION)
TIME: Final = Time()
DIGEST: Final = Octets(32)
CHALLENGE: Final = Octets(32)
SERIAL: Final = Text(32)
NAME: Final = Text(80)
REMARK: Final = Text(400, empty=True)
CURRENCY: Final = Whole(999)
SEQUENCE: Final = Whole(2**32 - 1, low=1)
CONTEXT_INDEX: Final = Whole(63)
BATCH: Final = Whole(999_999)
EMBEDDED: Final = Octets(DOCUMENT_BYTES_MAX, low=1)

TALLY: Final = Record(
    Tally,
    {1: Field("count", Whole(64 * RECORDS_PER_CONTEXT_MAX)), 2: Field("amount", Whole(10**17))},
)
"""As many as a terminal can hold, of twelve digits each: what a tampered one claims must fit its certificate."""
GROUP_TOTALS: Final = Record(
    GroupTotals,
    {1: Field("group", Choice(CardGroup)), 2: Field("debit", TALLY), 3: Field("credit", TALLY)},
)
