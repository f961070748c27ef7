"""What must hold after every event of every run, one small function each. Each raises `Broken` with the reason.

They look at what really is in the terminal's memory, on the line, in the journal and in the books, not at what
anybody says about it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from posdecom_agent.journal import Row
from posdecom_protocol.certificates import Anchors
from posdecom_protocol.documents import Signed, authenticate, open_document
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.salvage import Salvage
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.money import Tally
from posdecom_simulator.acquirer.books import Posting
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_simulator.forensics.search import Search
from posdecom_simulator.population import Transaction
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.device import decode_life

from . import oracle
from .scene import Scene

TRADING: Final = frozenset(
    {LifecycleState.ACTIVE, LifecycleState.FROZEN, LifecycleState.SETTLED, LifecycleState.EXCEPTED}
)
"""States before the intent: the terminal has to have everything."""
UNDER_WAY_BYTES_MAX: Final = 96 * 1024
"""Two windows of the link, one each way, their frames' overhead, and what is said twice on a bad line."""


Memory = Mapping[str, bytes]
"""As `readout.Readout.values` has it."""
_IDENTITY: Final = frozenset(slot.name for slot in slots.IDENTITY)
"""Slots that outlive the evidence, which they sign."""


class Broken(AssertionError):
    """An invariant does not hold."""


def state_of(memory: Memory) -> LifecycleState:
    return _state(_held(memory, slots.STATE))


# --- the terminal's memory ------------------------------------------------------------------------------------


def every_key_is_found_to_begin_with(found: frozenset[str], scene: Scene) -> None:
    """Who looks for keys finds them while they are there; otherwise it means nothing that they are not found later."""
    missing = {_slot(name) for name in scene.keys} - found
    _require(not missing, f"the search does not find {sorted(missing)}")


def keys_stay_until_the_intent_is_durable(memory: Memory, scene: Scene, lost: frozenset[str]) -> None:
    """``lost``: what a tamper took."""
    if state_of(memory) not in TRADING:
        return
    changed = {name for name, value in scene.keys.items() if memory.get(name) != value} - lost
    if slots.DUKPT.key in memory:
        changed.discard(slots.DUKPT.key)  # its registers move on with every message that is prepared
    _require(not changed, f"changed before the intent: {sorted(changed)}")


def a_tamper_takes_the_keys(memory: Memory, lost: frozenset[str]) -> None:
    _require(not lost & memory.keys(), f"tampered with, and holds {sorted(lost & memory.keys())}")


def nothing_is_deleted_before_the_intent(memory: Memory, scene: Scene) -> None:
    state = state_of(memory)
    if state not in TRADING:
        return
    changed = [name for name, value in scene.sold.items() if memory.get(name) != value]
    _require(not changed, f"changed or deleted: {changed}")
    if state is not LifecycleState.ACTIVE:
        sealed = _seal(_held(memory, slots.SEAL)).body.item_count
        there = sum(name.startswith(slots.ITEM_PREFIX) for name in memory)
        _require(there == sealed, "a sealed item is gone")


def intent_stands_on_a_receipt(memory: Memory, scene: Scene) -> None:
    if state_of(memory) in TRADING:
        return
    _check_receipt(
        _held(memory, slots.RECEIPTS[0]), _held(memory, slots.SEAL), scene.site.terminal.acquirer_anchors
    )


def evidence_means_empty_slots(evidence: bytes, found: frozenset[str]) -> None:
    """``found``: slots of which eight bytes lie anywhere in the chips."""
    left = found - _IDENTITY
    _require(_evidence(evidence).body.every_slot_is_empty, "the evidence names a full slot")
    _require(not left, f"evidence, and still there: {sorted(left)}")


def keys_are_gone_after_a_boot_with_intent(found: frozenset[str]) -> None:
    """Called before each byte that goes out then."""
    left = found - _IDENTITY
    _require(not left, f"speaks after a boot with an intent, and holds {sorted(left)}")


def no_secret_is_left(found: frozenset[str], scene: Scene) -> None:
    """At the end, in any block or slot; in redeploy and repair the identity stays."""
    left = found if scene.retires else found - _IDENTITY
    _require(not left, f"{sorted(left)} still in the memory")


# --- the acquirer's books -------------------------------------------------------------------------------------


def books_begin_as_sold(ledger: Ledger, scene: Scene) -> None:
    for context in scene.site.terminal.settings.contexts:
        found = frozenset(map(_booked, ledger.postings(context.tid, context.batch)))
        _require(
            found == oracle.books_before(scene.day, context.index), "the books begin otherwise than sold"
        )


def no_posting_twice_or_changed(ledger: Ledger, scene: Scene, seen: dict[tuple[str, int], Posting]) -> None:
    for context in scene.site.terminal.settings.contexts:
        postings = ledger.postings(context.tid, context.batch)
        stans = [one.stan for one in postings]
        _require(len(stans) == len(set(stans)), "the books count a transaction twice")
        for one in postings:
            before = seen.setdefault((one.tid, one.stan), one)
            _require(before == one, f"STAN {one.stan} was changed in the books")


def books_are_complete(ledger: Ledger, scene: Scene, refused: frozenset[int]) -> None:
    """As the independent oracle counts them, transaction by transaction and in total."""
    stans = {one.stan for one in scene.day}
    for context in scene.site.terminal.settings.contexts:
        books = oracle.books_after(scene.day, context.index, scene.rules, refused)
        postings = ledger.postings(context.tid, context.batch)
        problems = oracle.differences(books, map(_booked, postings), stans)
        _require(not problems, f"context {context.index}: {'; '.join(problems)}")
        totals = tuple(
            oracle.Totals(one.debit.count, one.debit.amount, one.credit.count, one.credit.amount)
            for one in ledger.totals(context.tid, context.batch)
        )
        _require(totals == books.totals(), f"context {context.index}: totals {totals}, not {books.totals()}")


def salvage_is_what_was_sold(salvage: Salvage | None, scene: Scene) -> None:
    """Every record, and what they add up to, against the oracle."""
    _require(salvage is not None, "nothing was salvaged")
    assert salvage is not None
    _require(salvage.count == len(scene.day), f"{salvage.count} of {len(scene.day)} records salvaged")
    currencies = {one.index: one.currency for one in scene.site.terminal.settings.contexts}
    found = {
        one.currency: (one.debit.count, one.debit.amount, one.credit.count, one.credit.amount)
        for one in salvage.sums
    }
    wanted = oracle.sold_by_currency(scene.day, currencies)
    _require(found == wanted, f"salvaged {found}, sold {wanted}")


def receipt_says_what_the_books_say(receipt: bytes, scene: Scene, refused: frozenset[int]) -> None:
    """What an auditor will read, against the oracle: delivered, refused and withheld, of every context with any."""
    for said in open_document(receipt, Receipt).body.contexts:
        books = oracle.books_after(scene.day, said.index, scene.rules, refused)
        totals = books.totals()
        wanted = {
            "delivered": (
                sum(one.debit_count + one.credit_count for one in totals),
                sum(one.debit_amount + one.credit_amount for one in totals),
            ),
            "refused": (len(books.refused), sum(books.refused)),
            "withheld": (len(books.withheld), sum(books.withheld)),
            "undelivered": (0, 0),
        }
        for name, (count, amount) in wanted.items():
            _require(
                getattr(said, name) == Tally(count, amount), f"the receipt is wrong about what was {name}"
            )


# --- line and journal -----------------------------------------------------------------------------------------


def canary(day: Iterable[Transaction]) -> re.Pattern[bytes]:
    """Every card number of the day as ASCII, packed decimal (padded either way) and hexadecimal text of ASCII.

    But for those whose hidden digits are all zeros: masked, with zeros as field 48 wants it, they look the same.
    """
    forms: set[bytes] = set()
    for number in {one.card_number for one in day if one.card_number[6:-4].strip("0")}:
        text = number.encode("ascii")
        even = number if len(number) % 2 == 0 else number[1:]
        forms |= {text, bytes.fromhex(even), text.hex().encode("ascii")}
        if len(number) % 2:
            forms.add(bytes.fromhex(number[:-1]))
    return re.compile(b"|".join(map(re.escape, sorted(forms))) or rb"(?!)")


def no_card_number(pattern: re.Pattern[bytes], data: bytes, where: str) -> None:
    _require(pattern.search(data) is None, f"a card number in the clear: {where}")


def rows_hold_no_card_number(pattern: re.Pattern[bytes], rows: Sequence[Row]) -> None:
    for row in rows:
        no_card_number(pattern, row.body, f"journal row {row.kind}")


def no_key_on_a_disk(secrets: Search, data: bytes) -> None:
    found = {find.slot for find in secrets.look("disk", data)}
    _require(not found, f"on a laptop's disk: {sorted(found)}")


def the_journal_keeps_its_promise(
    acknowledged: Sequence[Row], under_way: Sequence[Row], found: Sequence[Row]
) -> None:
    """What was acknowledged before the process ended is there; what was under way is there as a whole or not at all."""
    wanted = (list(acknowledged), [*acknowledged, *under_way])
    _require(list(found) in wanted, f"{len(acknowledged)} rows were acknowledged, {len(found)} are there")


def little_is_under_way(under_way_bytes: int) -> None:
    _require(under_way_bytes <= UNDER_WAY_BYTES_MAX, f"{under_way_bytes} bytes on the line at once")


# --- private --------------------------------------------------------------------------------------------------


# Reading is the expensive part of looking, and the same bytes are looked at hundreds of times.
@lru_cache(maxsize=32)
def _state(data: bytes) -> LifecycleState:
    return decode_life(data).state


@lru_cache(maxsize=32)
def _seal(data: bytes) -> Signed[Seal]:
    return open_document(data, Seal)


@lru_cache(maxsize=32)
def _evidence(data: bytes) -> Signed[Evidence]:
    return open_document(data, Evidence)


@lru_cache(maxsize=32)
def _check_receipt(data: bytes, seal: bytes, anchors: Anchors) -> None:
    receipt = open_document(data, Receipt)
    authenticate(receipt, anchors, at=None)
    _require(receipt.body.seal_digest == hashlib.sha256(seal).digest(), "the receipt is over another seal")
    _require(receipt.body.challenge == _seal(seal).body.challenge, "the receipt answers another challenge")


def _slot(name: str) -> str:
    return name.removeprefix(slots.SLOT_PREFIX)


def _booked(one: Posting) -> oracle.Booked:
    return oracle.Booked(one.stan, one.transaction_class.name, one.group.name, one.amount)


def _held(memory: Memory, name: str) -> bytes:
    value = memory.get(name)
    _require(value is not None, f"the terminal holds no {name}")
    assert value is not None
    return value


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise Broken(reason)
