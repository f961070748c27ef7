"""Any shop, over a host with any faults: in the end its books are those of an independent count, or the job waits.

A run is what a technician does: the command again and again, until it is done; then the host is well, and it must
come to its end. Each start finds nothing but the journal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from any_host import NOON_S, Acquirer, Courier, Laptop
from posdecom_agent.catalogue import Exit
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.trouble import Trouble
from posdecom_protocol.data_elements import Original
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.iso8583 import decode
from posdecom_protocol.money import CardGroup, TransactionClass
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.behaviour import HostFault, Rule
from posdecom_simulator.acquirer.books import AlarmKind
from posdecom_simulator.acquirer.host import CODE_BATCH_CLOSED, CODE_NO_ORIGINAL
from posdecom_simulator.acquirer.ledger import Ledger, Place
from posdecom_simulator.terminal.device import Context
from posdecom_world import oracle

RUNS_BEFORE_IT_IS_WELL = 3
RUNS_AFTER = 3
MONEY = (ItemKind.REVERSAL, ItemKind.PREAUTH_VOID, ItemKind.ADVICE, ItemKind.REFUND)
MTIS = ("0400", "0220", "0500", "0320", "0820")

# --- a run


@dataclass(frozen=True)
class World:
    """What a run is drawn from."""

    seed: int
    size: int
    dialects: tuple[str, ...]
    after: AfterCutoff
    preauths: Preauths
    rules: tuple[Rule, ...]

    def open(self) -> Acquirer:
        return Acquirer.open(
            self.rules,
            seed=self.seed,
            size=self.size,
            dialects=self.dialects,
            after=self.after,
            preauths=self.preauths,
        )


def settle_to_the_end(acquirer: Acquirer, laptop: Laptop) -> list[str]:
    """Why it stopped, each time. In the end it is signed, whatever was refused for good."""
    stops: list[str] = []
    for run in range(RUNS_BEFORE_IT_IS_WELL + RUNS_AFTER):
        acquirer.scenario.is_calm = run >= RUNS_BEFORE_IT_IS_WELL
        job = laptop.start()
        try:
            carry_out(job, Courier.to(acquirer), lambda step, words: None, Step.AGREE)
        except Trouble as trouble:
            stops.append(f"{next_step(job).value}: {trouble.cause}")
            assert next_step(job) in (Step.SETTLE, Step.AGREE), stops
            assert trouble.exit in (Exit.FLUSH_INCOMPLETE, Exit.MISMATCH), stops
        else:
            assert next_step(job) is Step.ERASE, "the desk has signed"
            return stops
    raise AssertionError(stops)


# --- what must be true in the end


def assert_books(world: World, acquirer: Acquirer) -> None:
    """To the last transaction, what the oracle counts from the shop's day; and what the host promised is there."""
    case, ledger = acquirer.case, acquirer.case.ledger
    for context in case.contexts:
        expected = expected_books(world, acquirer, context)
        found = [
            oracle.Booked(one.stan, one.transaction_class.name, one.group.name, one.amount)
            for one in ledger.postings(context.tid, context.batch)
        ]
        assert oracle.differences(expected, found, {one.stan for one in case.shop.day}) == []
        totals = [
            oracle.Totals(one.debit.count, one.debit.amount, one.credit.count, one.credit.amount)
            for one in ledger.totals(context.tid, context.batch)
        ]
        assert tuple(totals) == expected.totals()
        assert_all_announced(ledger, context)
    wrong = {AlarmKind.KSN_REUSED, AlarmKind.STAN_REUSED, AlarmKind.BAD_MAC, AlarmKind.MALFORMED}
    assert not [alarm for alarm in ledger.alarms if alarm.kind in wrong]


def assert_all_announced(ledger: Ledger, context: Context) -> None:
    """A batch that ended after uploads has as many messages as its end announced, whatever the books once forgot: in
    ``cup`` the details and what a chip declined, in ``edc`` the details alone, for its chip data come earlier."""
    batch = context.tid, context.batch
    end = ledger.batch_end(*batch)
    if end is None or end.balanced:
        return
    proofs = ledger.proofs(*batch).values() if context.dialect == "cup" else ()
    declined = sum(one.transaction_class is TransactionClass.DECLINED for one in proofs)
    assert ledger.upload_count(*batch) + declined == end.uploads_announced


def expected_books(world: World, acquirer: Acquirer, context: Context) -> oracle.Books:
    """The oracle's, less the refunds that the host refused for good, and with what it would not undo left as it was."""
    cutoff = datetime.fromtimestamp(NOON_S, UTC).strftime("%y%m%d%H%M%S")
    refunds, voids = world.after is AfterCutoff.REFUND, world.preauths is Preauths.VOID
    day = acquirer.case.shop.day
    refused = refused_for_good(acquirer, context)
    advices = {stan for mti, stan in refused if mti == "0220"}
    books = oracle.books_after(day, context.index, oracle.Rules(cutoff, refunds, voids), advices)
    originals = {original_of(acquirer, context, stan) for mti, stan in refused if mti == "0400"}
    given_up = Counter(refund_of(acquirer, context, stan) for mti, stan in refused if mti == "0220")
    left = {
        one
        for one in oracle.books_before(day, context.index)
        if one.stan in originals and one.kind in ("SALE", "PREAUTH")
    }
    return oracle.Books(books.booked | left, books.refunds - given_up, books.withheld, books.refused)


def refused_for_good(acquirer: Acquirer, context: Context) -> set[tuple[str, int]]:
    """MTI and STAN of the money that it would not have, as its own books say, each for a reason that the rules give."""
    found: set[tuple[str, int]] = set()
    for item in acquirer.case.shop.prepared.items:
        if item.context == context.index and item.kind in MONEY:
            message = decode(item.message)
            name = message.mti, int(message.text(11))
            exchange = acquirer.case.ledger.exchange(Place(context.tid, context.batch, name[1]), b"")
            if exchange is not None and exchange.code not in ("00", "94"):
                about = ("0220", Original.decode(message.text(61)).stan) if 61 in message.fields else None
                is_asked_for = (context.tid, *name) in acquirer.scenario.refused
                assert is_asked_for or about in found or may_be_turned_away(acquirer, exchange.code)
                found.add(name)
    return found


def may_be_turned_away(acquirer: Acquirer, code: str) -> bool:
    """Books that were restored from an older copy may have closed the batch without it, or lack what it is about."""
    forgets = any(rule.fault is HostFault.FORGET for rule in acquirer.scenario.rules)
    return forgets and code in (CODE_BATCH_CLOSED, CODE_NO_ORIGINAL)


def refund_of(acquirer: Acquirer, context: Context, stan: int) -> tuple[str, int]:
    """Card group and amount of a refund that the order asks for; nothing that counts for any other advice."""
    for item in acquirer.case.shop.prepared.items:
        summary = item.summary
        is_refund = item.context == context.index and item.kind is ItemKind.REFUND
        if is_refund and summary is not None and summary.stan == stan:
            return summary.group.name, summary.amount
    return "", 0


def original_of(acquirer: Acquirer, context: Context, stan: int) -> int:
    for item in acquirer.case.shop.prepared.items:
        if item.context == context.index and item.kind in (ItemKind.REVERSAL, ItemKind.PREAUTH_VOID):
            message = decode(item.message)
            if int(message.text(11)) == stan:
                return Original.decode(message.text(61)).stan
    raise AssertionError("the host refused what nobody sent")


# --- what it is drawn from

SELDOM = st.frozensets(st.integers(1, 40), min_size=1, max_size=3)
ALWAYS: Any = st.just(frozenset())


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    fault = draw(st.sampled_from(HostFault))
    return Rule(
        fault,
        mti=draw(st.frozensets(st.sampled_from(MTIS), max_size=2)),
        at=draw(
            SELDOM if fault in (HostFault.FORGET, HostFault.RESTART) else st.one_of(SELDOM, SELDOM, ALWAYS)
        ),
        code=draw(st.sampled_from(("05", "51", "96", "A0"))),
        group=draw(st.sampled_from(CardGroup)),
        delay_s=draw(st.sampled_from((0.2, 70.0))),
        messages=draw(st.integers(1, 30)),
        bytes=draw(st.sampled_from((None, 0, 1, 2, 30))),
        lie_first=draw(st.booleans()),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    after = draw(st.sampled_from(AfterCutoff))
    return World(
        seed=draw(st.integers(1, 4)),
        size=draw(st.sampled_from((0, 1, 5, 9, 20))),
        dialects=draw(st.sampled_from((("cup",), ("edc",), ("edc", "cup")))),
        after=after,
        preauths=Preauths.VOID if after is AfterCutoff.REFUND else Preauths.LIST,
        rules=tuple(draw(st.lists(rules(), max_size=4))),
    )


def check(world: World) -> None:
    acquirer = world.open()
    stops = settle_to_the_end(acquirer, Laptop(acquirer.case))
    event(f"stopped {len(stops)} times")
    assert_books(world, acquirer)


ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(ANY, max_examples=12)
@given(worlds())
def test_any_shop_over_any_host_ends_with_the_oracles_books(world: World) -> None:
    check(world)


@pytest.mark.long
@settings(ANY, max_examples=1200)
@given(worlds())
def test_thousands_of_shops_over_any_host_end_with_the_oracles_books(world: World) -> None:
    check(world)
