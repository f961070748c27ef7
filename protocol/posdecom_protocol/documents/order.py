"""Order: the acquirer tells one terminal to leave service, and the agent what it may do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..limits import CONTEXTS_MAX
from ..schema import Choice, Field, Many, Octets, Record, Text, Whole
from .kinds import NAME, SERIAL, TIME, VERSION, VERSION_KIND


class Mode(IntEnum):
    RETIRE = 1
    """Everything is destroyed, the identity last."""
    REDEPLOY = 2
    """The identity and the stored chain stay; only a maker-signed bind brings the terminal back."""
    REPAIR = 3
    """As redeploy, unless the order names less."""


class Reason(IntEnum):
    CLOSING = 1
    LICENCE_WITHDRAWN = 2
    CONTRACT_END = 3
    MIGRATION = 4
    FAULT = 5
    REPAIR = 6
    LOST = 7
    COMPROMISED = 8


class AfterCutoff(IntEnum):
    """What happens to a sale that was posted online after the cut-off."""

    REFUND = 1
    HOLD = 2


class Preauths(IntEnum):
    """What happens to open pre-authorisations; none is ever completed after the freeze."""

    VOID = 1
    LIST = 2


class Action(IntEnum):
    """What the order allows. FREEZE is implied by an order at all."""

    FLUSH = 1
    ERASE = 2


@dataclass(frozen=True, slots=True)
class Account:
    """One (acquirer, MID, TID) that the order covers."""

    acquirer: str
    mid: str
    tid: str


@dataclass(frozen=True, slots=True)
class Order:
    order_id: str
    counter: int
    """Grows with every order of this issuer for this terminal; the terminal takes none at or below the last."""
    issued_at: int
    not_before: int
    not_after: int
    serial: str
    accounts: tuple[Account, ...]
    reason: Reason
    mode: Mode
    cutoff_at: int
    after_cutoff: AfterCutoff
    preauths: Preauths
    actions: tuple[Action, ...]
    issuer: str
    replacement: str | None = None
    """Serial of the terminal that takes over, in a migration."""
    revoke: tuple[bytes, ...] | None = None
    """Key identifiers for the acquirer to revoke when the terminal cannot be reached at all."""
    replacement_accounts: tuple[Account, ...] | None = None
    """What the replacement must hold, each; with ``replacement`` only."""
    version: int = VERSION


ACCOUNT: Final = Record(
    Account, {1: Field("acquirer", Text(32)), 2: Field("mid", Text(15)), 3: Field("tid", Text(8))}
)
ORDER: Final = Record(
    Order,
    {
        1: Field("version", VERSION_KIND),
        2: Field("order_id", Text(64)),
        3: Field("counter", Whole(2**63 - 1, low=1)),
        4: Field("issued_at", TIME),
        5: Field("not_before", TIME),
        6: Field("not_after", TIME),
        7: Field("serial", SERIAL),
        8: Field("accounts", Many(ACCOUNT, CONTEXTS_MAX)),
        9: Field("reason", Choice(Reason)),
        10: Field("mode", Choice(Mode)),
        11: Field("cutoff_at", TIME),
        12: Field("after_cutoff", Choice(AfterCutoff)),
        13: Field("preauths", Choice(Preauths)),
        14: Field("actions", Many(Choice(Action), 8)),
        15: Field("issuer", NAME),
        16: Field("replacement", SERIAL, optional=True),
        17: Field("revoke", Many(Octets(32, low=1), 64), optional=True),
        18: Field("replacement_accounts", Many(ACCOUNT, CONTEXTS_MAX), optional=True),
    },
)
