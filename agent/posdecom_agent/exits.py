"""Exit codes of the command line: stable, documented in the README, one for each class of outcome."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, one for each class of outcome that a script may want to tell apart."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    DECLINED = 3
    """The operator said no, or there was nobody to ask. Never 0."""
    NOTHING_TO_DO = 4
    NO_TERMINAL = 10
    FORBIDDEN = 11
    SEVERAL_CANDIDATES = 12
    BUSY = 13
    LINK_LOST = 14
    PROTOCOL = 15
    FLUSH_INCOMPLETE = 20
    """Money is not yet where it belongs; the same command continues."""
    MISMATCH = 21
    ERASE_REFUSED = 22
    ERASE_UNVERIFIED = 23
    FORGED = 30
    """A document is broken, forged or claims more than it proves."""
    COMPLETE_WITH_EXCEPTIONS = 31
    INCOMPLETE = 32
    UNATTESTED = 33
    STORAGE = 40
    SOME_FAILED = 50
    ALL_FAILED = 51
    INTERRUPTED = 130
