"""What the acquirer's books must hold after a decommission: counted again from the shop's day and the order's rules.

Shares no code with terminal, host or agent: of the product it reads the population's plain transactions only, and has
its own tables for everything else. A refund that the order asks for gets its STAN from the terminal, so refunds are
compared without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from posdecom_simulator.population import Transaction

_DEBIT: Final = ("SALE", "OFFLINE_SALE", "ADJUSTMENT", "COMPLETION")
_CREDIT: Final = ("VOID", "REFUND", "COMPLETION_VOID")
_UNDOES: Final = ("VOID", "COMPLETION_VOID")
_GROUPS: Final = ("DOMESTIC", "FOREIGN")


@dataclass(frozen=True)
class Rules:
    """What the order says about money."""

    cutoff: str
    """YYMMDDhhmmss: what carries this time or a later one was sold after the cut-off."""
    refunds_after: bool
    """Else such sales are held."""
    voids_preauths: bool


class Booked(NamedTuple):
    """A transaction in the books, amount in minor units."""

    stan: int
    kind: str
    group: str
    amount: int


class Totals(NamedTuple):
    debit_count: int
    debit_amount: int
    credit_count: int
    credit_amount: int


@dataclass(frozen=True)
class Books:
    """One context, as it must be."""

    booked: frozenset[Booked]
    refunds: Counter[tuple[str, int]]
    """Card group and amount of those that the order asks for."""
    withheld: tuple[int, ...]
    """Amounts of offline sales that were made after the cut-off and never sent: nobody was charged."""
    refused: tuple[int, ...]
    """Amounts of offline sales that the host would not have."""

    def totals(self) -> tuple[Totals, ...]:
        """Domestic and foreign."""
        refunds = [Booked(0, "REFUND", group, amount) for group, amount in self.refunds.elements()]
        return tuple(_sum([*self.booked, *refunds], group) for group in _GROUPS)


def books_before(day: Sequence[Transaction], context: int) -> frozenset[Booked]:
    """What the host had booked before anybody came; a sale that awaits its reversal is there as a sale."""
    return frozenset(
        _booked(one)._replace(kind="SALE" if _kind(one) == "REVERSAL" else _kind(one))
        for one in day
        if one.context == context and one.posted
    )


def books_after(
    day: Sequence[Transaction], context: int, rules: Rules, refused: Collection[int] = ()
) -> Books:
    """The books once everything is over; what a chip declined is in none.

    ``refused``: STANs of advices about sales that the host would not have.
    """
    records = [one for one in day if one.context == context]
    undone = {one.original for one in records if _kind(one) in _UNDOES}
    completed = {one.original for one in records if _kind(one) == "COMPLETION"}
    booked: dict[int, Booked] = {}
    refunds: Counter[tuple[str, int]] = Counter()
    withheld, turned_down = [], []
    late = _sold_after(day, rules.cutoff)
    for one in records:
        is_late = one.number in late
        if _kind(one) in ("REVERSAL", "DECLINED"):
            continue
        if _kind(one) == "PREAUTH" and rules.voids_preauths and one.number not in completed:
            continue
        if not one.posted and is_late:
            withheld.append(one.amount)
            continue
        if not one.posted and (one.stan in refused or one.original not in (None, *booked)):
            turned_down.append(one.amount)  # itself, or because the sale that it adjusts was
            continue
        booked[one.number] = _booked(one)
        is_taken = one.posted and _kind(one) in _DEBIT and one.number not in undone
        if rules.refunds_after and is_late and is_taken:
            refunds[one.group.name, one.amount] += 1
    return Books(frozenset(booked.values()), refunds, tuple(withheld), tuple(turned_down))


def sold_by_currency(day: Sequence[Transaction], currencies: Mapping[int, int]) -> dict[int, Totals]:
    """All that moved money, whether the host heard of it or not. ``currencies``: by context."""
    sums: dict[int, Totals] = {}
    for currency in sorted(set(currencies.values())):
        own = [_booked(one) for one in day if currencies[one.context] == currency]
        debit = [one.amount for one in own if one.kind in _DEBIT]
        credit = [one.amount for one in own if one.kind in _CREDIT]
        if debit or credit:
            sums[currency] = Totals(len(debit), sum(debit), len(credit), sum(credit))
    return sums


class Proof(NamedTuple):
    """What a chip said in the end of one transaction."""

    stan: int
    declined: bool
    cryptogram: str


def proofs_after(
    day: Sequence[Transaction], context: int, rules: Rules, refused: Collection[int] = ()
) -> frozenset[Proof]:
    """The cryptograms that the acquirer has in the end: of all by chip that was declined, sold online, or advised."""
    found, late = set(), _sold_after(day, rules.cutoff)
    for one in day:
        kept_back = one.posted or one.number in late or one.stan in refused
        if one.context != context or not one.chip_data:
            continue
        if _kind(one) in ("SALE", "DECLINED") or (_kind(one) == "OFFLINE_SALE" and not kept_back):
            found.add(_proof(one))
    return frozenset(found)


def _proof(one: Transaction) -> Proof:
    """Read without the product's parser: tag, one byte of length, value."""
    data, values = one.chip_data.hex().upper(), dict[str, str]()
    while data:
        digits = 4 if int(data[:2], 16) & 0x1F == 0x1F else 2
        length = 2 * int(data[digits : digits + 2], 16)
        values[data[:digits]] = data[digits + 2 : digits + 2 + length]
        data = data[digits + 2 + length :]
    declined = {"40": False, "00": True}[values["9F27"]]
    assert int(values["9F02"]) == one.amount
    assert declined == (_kind(one) == "DECLINED")
    return Proof(one.stan, declined, values["9F26"])


def differences(books: Books, found: Iterable[Booked], stans_of_day: Collection[int]) -> list[str]:
    """What is wrong with ``found``, the acquirer's books, in words; nothing if all is well."""
    found = list(found)
    ordered = [one for one in found if one.stan not in stans_of_day]
    sold = [one for one in found if one.stan in stans_of_day]
    problems = [f"{one} counts twice" for one, times in Counter(found).items() if times > 1]
    problems += [f"{one} is missing" for one in books.booked - set(sold)]
    problems += [f"{one} should not be there" for one in set(sold) - books.booked]
    problems += [f"{one} is no refund" for one in ordered if one.kind != "REFUND"]
    refunds = Counter((one.group, one.amount) for one in ordered if one.kind == "REFUND")
    problems += [f"refund missing: {one}" for one in (books.refunds - refunds).elements()]
    problems += [f"refund too many: {one}" for one in (refunds - books.refunds).elements()]
    return sorted(problems)


def _sold_after(day: Sequence[Transaction], cutoff: str) -> set[int]:
    """What was made after the cut-off, by number: the host's time where it answered; else what the answers before and
    after leave no doubt about; else the terminal's clock."""
    answers = [one for one in day if one.rrn.strip() and _kind(one) not in ("OFFLINE_SALE", "ADJUSTMENT")]
    online = {one.number: one.local_time for one in answers}
    first_late = min((number for number, time in online.items() if time >= cutoff), default=10**9)
    last_early = max((number for number, time in online.items() if time < cutoff), default=0)
    late = set()
    for one in day:
        if one.number in online or not (one.number > first_late) ^ (one.number < last_early):
            is_late = one.local_time >= cutoff
        else:
            is_late = one.number > first_late
        if is_late:
            late.add(one.number)
    return late


def _sum(booked: Iterable[Booked], group: str) -> Totals:
    own = [one for one in booked if one.group == group]
    debit = [one.amount for one in own if one.kind in _DEBIT]
    credit = [one.amount for one in own if one.kind in _CREDIT]
    return Totals(len(debit), sum(debit), len(credit), sum(credit))


def _booked(one: Transaction) -> Booked:
    return Booked(one.stan, _kind(one), one.group.name, one.amount)


def _kind(one: Transaction) -> str:
    return one.transaction_class.name
