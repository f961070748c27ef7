"""The terminal that takes over in a migration: met, checked against the order, kept, stated. Pure.

An order that names a replacement is not carried out before that terminal was there: its identity proved over its own
channel, in service, untampered, and holding the numbers that the order gives it. A shop without any terminal is what a
migration must not leave behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from posdecom_protocol import cbor
from posdecom_protocol.certificates import Signer
from posdecom_protocol.documents.certificate import CasePoint, Standing
from posdecom_protocol.documents.kinds import NAME, SERIAL, TIME
from posdecom_protocol.documents.order import ACCOUNT, Account, Order
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.limits import CONTEXTS_MAX
from posdecom_protocol.messages import Inventory
from posdecom_protocol.schema import Field, Many, Octets, Record
from posdecom_protocol.wording import N_

from . import catalogue
from .trouble import Trouble

POINT: Final = "replacement terminal"
TEXT_CHARACTERS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Introduced:
    """What a terminal said of itself, in a channel that proved whose channel it is."""

    peer: Signer
    inventory: Inventory
    at: int


@dataclass(frozen=True, slots=True)
class SomebodyElse:
    """Another terminal is on that line; it was asked nothing."""

    serial: str


@dataclass(frozen=True, slots=True)
class NotThere:
    cause: str


Introduction: TypeAlias = Introduced | SomebodyElse | NotThere


@dataclass(frozen=True, slots=True)
class Replacement:
    """What was checked, as the journal keeps it."""

    serial: str
    model: str
    key_id: bytes
    """Of the certificate that its channel showed."""
    accounts: tuple[Account, ...]
    checked_at: int


REPLACEMENT: Final = Record(
    Replacement,
    {
        1: Field("serial", SERIAL),
        2: Field("model", NAME),
        3: Field("key_id", Octets(8)),
        4: Field("accounts", Many(ACCOUNT, CONTEXTS_MAX)),
        5: Field("checked_at", TIME),
    },
)


def encode_replacement(replacement: Replacement) -> bytes:
    return cbor.encode(REPLACEMENT.pack(replacement))


def decode_replacement(data: bytes) -> Replacement:
    """Inverse of `encode_replacement`; `DocumentError` for anything else."""
    return REPLACEMENT.unpack(cbor.decode(data, "replacement"), "replacement")


def checked(order: Order, introduction: Introduction) -> Replacement:
    """The replacement of ``order``, where it was met and fits; else `Trouble`, and nothing may be erased."""
    assert order.replacement is not None
    match introduction:
        case NotThere(cause):
            party = N_("the replacement terminal {serial}", serial=order.replacement)
            raise Trouble(catalogue.WAITING, party=party, cause=cause)
        case SomebodyElse(serial):
            port = N_("the replacement's line")
            raise Trouble(catalogue.WRONG_TERMINAL, port=port, found=serial, expected=order.replacement)
        case Introduced(peer, inventory, at):
            fault = next(_faults(order, peer, inventory), None)
            if fault is not None:
                raise Trouble(catalogue.REPLACEMENT, serial=order.replacement, cause=fault)
            found = Replacement(order.replacement, inventory.model, peer.key_id, _accounts(inventory), at)
            return _storable(found)


def case_point(replacement: Replacement) -> CasePoint:
    """Proved by the machine: the identity by the channel, the numbers by what that terminal said in it."""
    day = datetime.fromtimestamp(replacement.checked_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    numbers = ", ".join(f"{one.acquirer}/{one.mid}/{one.tid}" for one in replacement.accounts)
    text = (
        f"{replacement.serial} ({replacement.model}), identity authenticated over its channel, "
        f"key {replacement.key_id.hex()}, on {day}, in service with {numbers}"
    )
    shortened = text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[: TEXT_CHARACTERS_MAX - 3]}..."
    return CasePoint(POINT, Standing.PROVED, shortened)


# --- private -----------------------------------------------------------------------------------------


def _storable(replacement: Replacement) -> Replacement:
    """A terminal may say longer names than a record takes; kept all the same, it would stop the job for ever."""
    try:
        return decode_replacement(encode_replacement(replacement))
    except DocumentError as error:
        raise Trouble(catalogue.REPLACEMENT, serial=replacement.serial, cause=error) from error


def _faults(order: Order, peer: Signer, inventory: Inventory) -> Iterator[str]:
    if order.replacement == order.serial:
        yield N_("the order names the same terminal twice")
    if {peer.serial_number, inventory.serial} != {order.replacement}:
        yield N_("its certificate and what it says of itself are of two terminals")
    if inventory.tampered:
        yield N_("it was tampered with")
    if inventory.state is not LifecycleState.ACTIVE:
        yield N_("it is not in service, but {state}", state=inventory.state.name)
    for account in order.replacement_accounts or ():
        if account not in _accounts(inventory):
            numbers = f"{account.acquirer}/{account.mid}/{account.tid}"
            yield N_("it does not hold the numbers {numbers}", numbers=numbers)


def _accounts(inventory: Inventory) -> tuple[Account, ...]:
    return tuple(Account(one.acquirer, one.mid, one.tid) for one in inventory.contexts)
