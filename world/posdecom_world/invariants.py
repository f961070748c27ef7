"""What must hold after every event of every run, one small function each. Each raises `Broken` with the reason.

They look at what really is in the terminal's memory, on the line, in the journal and in the books, not at what
anybody says about it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from posdecom_agent.journal import Row
from posdecom_protocol.certificates import Anchors
from posdecom_protocol.documents import Signed, authenticate, open_document
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.money import Tally
from posdecom_simulator.acquirer.books import Posting
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_simulator.population import Transaction
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.device import decode_life
from posdecom_simulator.terminal.store import Store

from . import oracle
from .scene import Scene

TRADING: Final = frozenset(
    {LifecycleState.ACTIVE, LifecycleState.FROZEN, LifecycleState.SETTLED, LifecycleState.EXCEPTED}
)
"""States before the intent: the terminal has to have everything."""
UNDER_WAY_BYTES_MAX: Final = 96 * 1024
"""Two windows of the link, one each way, their frames' overhead, and what is said twice on a bad line."""


class Broken(AssertionError):
    """An invariant does not hold."""


def state_of(store: Store) -> LifecycleState:
    return _state(_held(store, slots.STATE))


# --- the terminal's memory ------------------------------------------------------------------------------------


def keys_stay_until_the_intent_is_durable(store: Store, scene: Scene) -> None:
    if state_of(store) not in TRADING:
        return
    changed = {name for name, value in scene.keys.items() if store.get(name) != value}
    if store.get(slots.DUKPT.key) is not None:
        changed.discard(slots.DUKPT.key)  # its registers move on with every message that is prepared
    _require(not changed, f"changed before the intent: {sorted(changed)}")


def nothing_is_deleted_before_the_intent(store: Store, scene: Scene) -> None:
    state = state_of(store)
    if state not in TRADING:
        return
    changed = [name for name, value in scene.sold.items() if store.get(name) != value]
    _require(not changed, f"changed or deleted: {changed}")
    if state is not LifecycleState.ACTIVE:
        sealed = _seal(_held(store, slots.SEAL)).body.item_count
        _require(len(list(store.names(slots.ITEM_PREFIX))) == sealed, "a sealed item is gone")


def intent_stands_on_a_receipt(store: Store, scene: Scene) -> None:
    if state_of(store) in TRADING:
        return
    _check_receipt(
        _held(store, slots.RECEIPTS[0]), _held(store, slots.SEAL), scene.site.terminal.acquirer_anchors
    )


def evidence_means_empty_slots(store: Store, scene: Scene) -> None:
    data = store.get(slots.EVIDENCE)
    if data is not None:
        full = _full_slots(store, scene)
        _require(_evidence(data).body.every_slot_is_empty, "the evidence names a full slot")
        _require(not full, f"evidence, and still there: {full}")


def keys_are_gone_after_a_boot_with_intent(
    store: Store, scene: Scene, boots: int, boots_at_intent: int | None
) -> None:
    """Called before each byte that goes out."""
    if boots_at_intent is not None and boots > boots_at_intent:
        full = _full_slots(store, scene)
        _require(not full, f"speaks after a boot with an intent, and holds {full}")


def no_secret_is_left(store: Store, scene: Scene) -> None:
    """At the end: no key's bytes anywhere in the memory; in redeploy and repair the identity stays."""
    gone = scene.keys if scene.retires else scene.secrets
    for place in store.names():
        value = _held(store, place)
        left = [name for name, key in gone.items() if key in value]
        _require(not left, f"{left} still in the memory, at {place}")


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


def _full_slots(store: Store, scene: Scene) -> list[str]:
    return [name for name in scene.secrets if store.get(name) is not None]


def _booked(one: Posting) -> oracle.Booked:
    return oracle.Booked(one.stan, one.transaction_class.name, one.group.name, one.amount)


def _held(store: Store, name: str) -> bytes:
    value = store.get(name)
    _require(value is not None, f"the terminal holds no {name}")
    assert value is not None
    return value


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise Broken(reason)
