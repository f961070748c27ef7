"""Why a terminal refuses: the reasons that a `messages.Refused` can name."""

from __future__ import annotations

from enum import IntEnum


class Refusal(IntEnum):
    """Why a terminal refuses a request. The first ten are the guard's conditions (`guard`)."""

    ISSUER_CHAIN = 1
    ROLE = 2
    SIGNATURES = 3
    TYPE_AND_VERSION = 4
    TERMINAL = 5
    ORDER = 6
    SEAL = 7
    CHALLENGE = 8
    ACTION = 9
    STATE = 10
    ORDER_STALE = 11
    """Its counter is not above the last one taken from this issuer."""
    ORDER_NOT_VALID_NOW = 12
    """Outside its validity by the terminal's clock, where that clock is plausible."""
    ORDER_ACCOUNTS = 13
    """It does not name every account that this terminal holds."""
    CLOCK_IMPLAUSIBLE = 14
    """The terminal's clock is before its last record."""
    NOT_FOUND = 15
    BUSY = 16
    """A sale is in progress; ask again."""
    TAMPERED = 17
    TOO_MUCH = 18
    """It holds more than one seal can name."""
    NO_ROOM = 19
    """Its memory has no room for a freeze and what follows it, or for these receipts and the erase."""
    NO_KEYS = 20
    """Its key set has fewer keys left than the freeze has messages."""
