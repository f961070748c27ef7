"""What a certificate says of records that were read out of a tampered terminal without its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..limits import CONTEXTS_MAX, RECORDS_PER_CONTEXT_MAX
from ..money import Tally
from ..schema import Field, Many, Record, Whole
from .kinds import CURRENCY, DIGEST, TALLY

RECORDS_MAX: Final = CONTEXTS_MAX * RECORDS_PER_CONTEXT_MAX
CURRENCIES_MAX: Final = CURRENCY.high + 1
"""Not `CONTEXTS_MAX`: nobody signed what the records say, and any three digits may stand in one."""


@dataclass(frozen=True, slots=True)
class SalvagedSum:
    """Of one currency. What moves no money (pre-authorisations, reversals, declined) is counted in no sum."""

    currency: int
    debit: Tally
    credit: Tally


@dataclass(frozen=True, slots=True)
class Salvage:
    """Not signed by the terminal. The digest says which records the acquirer has to have."""

    count: int
    """All records, those in no sum too."""
    digest: bytes
    """Head of the chain over them (`salvage`)."""
    sums: tuple[SalvagedSum, ...]
    """By rising currency."""


SALVAGED_SUM: Final = Record(
    SalvagedSum,
    {1: Field("currency", CURRENCY), 2: Field("debit", TALLY), 3: Field("credit", TALLY)},
)
SALVAGE: Final = Record(
    Salvage,
    {
        1: Field("count", Whole(RECORDS_MAX)),
        2: Field("digest", DIGEST),
        3: Field("sums", Many(SALVAGED_SUM, CURRENCIES_MAX)),
    },
)
