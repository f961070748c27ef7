"""Contingency: a frozen terminal, partly settled, is thawed, trades on, and is retired later with what is new.

The terminal answers requests in memory; the acquirer's host and books are those of the site.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from posdecom_agent.dialects import DIALECTS
from posdecom_agent.settlement import Entry, Finished, Settlement
from posdecom_protocol.aes_dukpt import TerminalDukpt
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.order import Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    Items,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    ReadItems,
    Refusal,
    Refused,
    Released,
    Request,
    Sealed,
    Thawed,
)
from posdecom_protocol.money import SIDE, CardGroup, Side, TransactionClass
from posdecom_protocol.records import ItemKind, decode_item
from posdecom_protocol.release import Findings, Terms, all_delivered, receipt_over
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.audit import audit
from posdecom_simulator.acquirer.host import Host
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_simulator.acquirer.ledger import MemoryStore as Books
from posdecom_simulator.acquirer.standing import standing
from posdecom_simulator.history import read_history, write_history
from posdecom_simulator.population import Transaction, populate
from posdecom_simulator.provision import provision, seeded
from posdecom_simulator.site import AcquirerSite, SiteTerminal
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.freeze import transactions
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.stored import store_transaction
from posdecom_simulator.terminal.terminal import Terminal
from shop import converse

NOW: Final = 1_800_000_000
OPENED: Final = NOW - 86_400
CUTOFF: Final = OPENED + 4 * 3600
"""In the middle of the first day: something is refunded, something is withheld."""


@lru_cache(maxsize=1)
def sites() -> tuple[SiteTerminal, AcquirerSite]:
    with TemporaryDirectory() as folder:
        provision(Path(folder) / "site", seed=4, now=NOW)
        terminal = SiteTerminal.load(Path(folder) / "site" / "terminals" / "PD-000001")
        return terminal, AcquirerSite.load(Path(folder) / "site" / "acquirer")


class PowerCut(Exception):
    """In the middle of a thaw."""


class Cuttable(MemoryStore):
    """Loses power before its n-th change."""

    changes_left: int | None = None

    def put(self, values: Any) -> None:
        self._count()
        super().put(values)

    def erase(self, names: Any) -> None:
        for name in names:
            self._count()
            super().erase((name,))

    def _count(self) -> None:
        if self.changes_left is not None:
            self.changes_left -= 1
            if self.changes_left < 0:
                raise PowerCut


@dataclass
class Frozen:
    order: bytes
    seal: bytes
    items: list[bytes]

    @property
    def body(self) -> Seal:
        return open_document(self.seal, Seal).body


@dataclass
class Shop:
    """A terminal that trades, and its acquirer."""

    store: Cuttable = field(default_factory=Cuttable)
    orders: int = 0
    seed: int = 11

    def __post_init__(self) -> None:
        site, acquirer = sites()
        self.acquirer = acquirer
        self.day = populate(self.seed, 60, site.settings.contexts, OPENED)
        personalise(self.store, site, self.day)
        self.terminal = Terminal.boot(self.store, seeded(1))
        self.hsm = Hsm(acquirer.bdk, Secret(b"card digest key"))
        self.ledger = Ledger(Books())
        self.host = Host(self.ledger, self.hsm, acquirer.settings.terminals)
        self._seed_history()

    @property
    def key_set(self) -> bytes:
        return self.acquirer.terminal("PD-000001").initial_key_id

    def ask(self, request: Request) -> Any:
        *_, last = self.terminal.answer(request, NOW)
        return last

    def freeze(
        self,
        after: AfterCutoff = AfterCutoff.REFUND,
        cutoff: int = CUTOFF,
        preauths: Preauths = Preauths.LIST,
    ) -> Frozen:
        self.orders += 1
        order = issue(
            Order(
                order_id=f"O-{self.orders}",
                counter=self.orders,
                issued_at=NOW,
                not_before=NOW - 60,
                not_after=NOW + 3600,
                serial="PD-000001",
                accounts=tuple(context.account for context in self.terminal.device.contexts),
                reason=Reason.CLOSING,
                mode=Mode.RETIRE,
                cutoff_at=cutoff,
                after_cutoff=after,
                preauths=preauths,
                actions=(Action.FLUSH, Action.ERASE),
                issuer="Demo Acquirer",
            ),
            self.acquirer.order.signing_key(),
        )
        sealed = self.ask(OfferOrder(NOW, order))
        assert isinstance(sealed, Sealed)
        return Frozen(order, sealed.seal, list(self._items(sealed.seal)))

    def settle(self, frozen: Frozen, index: int, messages_max: int = 10_000) -> list[bytes]:
        context = frozen.body.contexts[index]
        sequences = range(context.item_first, context.item_last + 1)
        items = {sequence: decode_item(frozen.items[sequence - 1]) for sequence in sequences}
        engine = Settlement(
            DIALECTS[context.dialect],
            [Entry(sequence, item.kind) for sequence, item in items.items()],
            lambda sequence: items[sequence].message,
            {},
        )
        events, sent = converse(engine, self.host, messages_max=messages_max)
        assert len(sent) == messages_max or events[-1] == Finished()
        return sent

    def cancel(self, frozen: Frozen) -> bytes:
        seal = open_document(frozen.seal, Seal)
        reached = standing(seal.body, frozen.items, self.ledger)
        body = Cancellation(
            cancellation_id="X-1",
            serial="PD-000001",
            seal_digest=seal.digest,
            challenge=seal.body.challenge,
            issued_at=NOW,
            issuer="Demo Acquirer",
            delivered=reached.delivered,
            closed=reached.closed,
            next_batches=reached.next_batches,
            reason="the appeal was won",
        )
        return issue(body, self.acquirer.order.signing_key())

    def receipts(self, frozen: Frozen, basis: Basis = Basis.AGREED) -> tuple[bytes, ...]:
        order, seal = open_document(frozen.order, Order), open_document(frozen.seal, Seal)
        findings: dict[int, Findings] = {one.index: all_delivered(one) for one in seal.body.contexts}
        body = receipt_over(order, seal, findings, Terms("R-1", "Demo Acquirer", NOW, basis))
        hands = [self.acquirer.release, self.acquirer.approver][: 1 if basis is Basis.AGREED else 2]
        return tuple(issue(body, hand.signing_key()) for hand in hands)

    def sell(self, count: int) -> None:
        """Trade goes on: online sales, which the host has at once."""
        keys = TerminalDukpt.import_state(self.store.get(slots.DUKPT.key) or b"")
        last = max((one.number for one in transactions(self.store)), default=len(self.day))
        stan = int.from_bytes(self.store.get(slots.STAN) or b"", "big")
        sold = [new_sale(last + n, stan + n) for n in range(1, count + 1)]
        for one in sold:
            stored = store_transaction(one, keys, self.terminal.device.contexts[one.context].currency)
            self.store.put({slots.transaction_name(one.number): stored.encode()})
        state = keys.export_state()
        self.store.put({slots.DUKPT.key: bytes(state), slots.STAN: (stan + count).to_bytes(3, "big")})
        self.day = (*self.day, *sold)
        self._seed_history()

    def booked(self, index: int) -> Counter[int]:
        """STANs of the money in the books, over every batch number that the context ever had."""
        tid = self.terminal.device.contexts[index].tid
        found: Counter[int] = Counter()
        for batch in range(1, 2000):
            for one in self.ledger.postings(tid, batch):
                if SIDE[one.transaction_class] is not Side.NEITHER:
                    found[one.stan] += 1
        return found

    def _items(self, seal: bytes) -> Iterator[bytes]:
        count = open_document(seal, Seal).body.item_count
        for reply in self.terminal.answer(ReadItems(1, count), NOW):
            assert isinstance(reply, Items)
            yield from reply.items

    def _seed_history(self) -> None:
        contexts = self.terminal.device.contexts
        self.ledger.seed_posted(
            read_history(write_history(contexts, tuple(transactions(self.store))), self.hsm)
        )


def new_sale(number: int, stan: int) -> Transaction:
    return Transaction(
        number=number,
        context=0,
        transaction_class=TransactionClass.SALE,
        card_number="6200000000000005",
        expiry="3012",
        group=CardGroup.DOMESTIC,
        amount=700 + number,
        stan=stan,
        rrn="701508123456",
        auth_code="A1B2C3",
        local_time=datetime.fromtimestamp(NOW + number, UTC).strftime("%y%m%d%H%M%S"),
        posted=True,
        original=None,
    )


def money_of(day: tuple[Transaction, ...], index: int) -> set[int]:
    """STANs of everything that is money in the end, whether withheld for a while or not."""
    return {
        one.stan for one in day if one.context == index and SIDE[one.transaction_class] is not Side.NEITHER
    }


def partly_settled() -> tuple[Shop, Frozen, list[bytes]]:
    """The first context is settled as a whole, the second one was cut after its advices and one more message."""
    shop = Shop()
    frozen = shop.freeze()
    first = shop.settle(frozen, 0)
    kinds = [decode_item(item).kind for item in frozen.items]
    second = frozen.body.contexts[1]
    own = kinds[second.item_first - 1 : second.item_last]
    until = own.index(ItemKind.TOTALS) - 1
    return shop, frozen, first + shop.settle(frozen, 1, until)


def test_a_thawed_terminal_trades_on_and_a_later_retirement_settles_only_what_is_new() -> None:
    shop, frozen, first_sent = partly_settled()
    old_receipts = shop.receipts(frozen)
    assert shop.ask(OfferCancellation(shop.cancel(frozen))) == Thawed()
    assert shop.terminal.life.state is LifecycleState.ACTIVE
    assert not list(shop.store.names(slots.ITEM_PREFIX))
    assert (shop.store.get(slots.ORDER), shop.store.get(slots.SEAL)) == (None, None)
    old, new = frozen.body.contexts, shop.terminal.device.contexts
    assert [one.batch for one in new] == [old[0].batch + 1, old[1].batch]
    shop.sell(3)
    again = shop.freeze(AfterCutoff.HOLD, cutoff=NOW + 3600)
    assert again.body.challenge != frozen.body.challenge
    assert shop.ask(OfferRelease(old_receipts)) in (Refused(Refusal.ORDER), Refused(Refusal.SEAL))
    assert shop.ask(OfferCancellation(shop.cancel(frozen))) == Refused(Refusal.SEAL)
    sent = shop.settle(again, 0) + shop.settle(again, 1)
    assert not set(sent) & set(first_sent)
    delivered = {
        item.summary.stan
        for item in map(decode_item, frozen.items)
        if item.message in first_sent and item.summary is not None and item.kind is ItemKind.ADVICE
    }
    resent = {
        item.summary.stan
        for item in map(decode_item, again.items)
        if item.kind is ItemKind.ADVICE and item.summary is not None
    }
    assert delivered
    assert not delivered & resent
    result = audit(again.body, again.items, shop.ledger, shop.hsm, shop.key_set, NOW + 3600)
    assert result.missing == ()
    assert not any(one.refused.count or one.withheld.count for one in result.findings.values())
    for index in (0, 1):
        booked = shop.booked(index)
        assert max(booked.values()) == 1
        assert money_of(shop.day, index) <= set(booked)


def test_what_was_withheld_and_what_is_held_on_cards_survives_the_closing_of_its_context() -> None:
    shop, frozen, _ = partly_settled()
    withheld = {
        one.stan
        for one in shop.day
        if one.context == 0 and not one.posted and SIDE[one.transaction_class] is Side.DEBIT
        and datetime.strptime(one.local_time, "%y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() >= CUTOFF
    }  # fmt: skip
    on_cards = {one.stan for one in frozen.body.preauths if one.context == 0}
    assert withheld
    shop.ask(OfferCancellation(shop.cancel(frozen)))
    left = {one.stan for one in transactions(shop.store) if one.context == 0}
    assert left == withheld | on_cards


def test_a_refund_that_was_delivered_is_in_the_batch_and_is_not_given_again() -> None:
    shop = Shop()
    frozen = shop.freeze()
    kinds = [decode_item(item).kind for item in frozen.items]
    context = frozen.body.contexts[0]
    own = kinds[context.item_first - 1 : context.item_last]
    refunds = [n for n, kind in enumerate(own, 1) if kind is ItemKind.REFUND]
    assert len(refunds) > 1
    shop.settle(frozen, 0, refunds[0])
    shop.ask(OfferCancellation(shop.cancel(frozen)))
    again = shop.freeze()
    prepared = [
        item for item in map(decode_item, again.items) if item.kind is ItemKind.REFUND and item.context == 0
    ]
    assert len(prepared) == len(refunds) - 1
    shop.settle(again, 0)
    shop.settle(again, 1)
    result = audit(again.body, again.items, shop.ledger, shop.hsm, shop.key_set, CUTOFF)
    assert (result.missing, result.findings[0].refusals) == ((), ())


def test_a_reversal_and_a_void_that_the_host_took_are_over_and_those_it_did_not_are_prepared_again() -> None:
    over = (ItemKind.REVERSAL, ItemKind.PREAUTH_VOID)

    def prepared(frozen: Frozen) -> list[int]:
        """Records that the first context has a reversal or a void for."""
        found = (decode_item(item) for item in frozen.items)
        return [one.summary.record for one in found if one.context == 0 and one.kind in over and one.summary]

    shop = Shop(seed=28)
    frozen = shop.freeze(preauths=Preauths.VOID)
    *taken, left = prepared(frozen)
    assert len(taken) > 1
    shop.settle(frozen, 0, messages_max=len(taken))
    assert shop.ask(OfferCancellation(shop.cancel(frozen))) == Thawed()
    records_left = {one.number for one in transactions(shop.store)}
    assert not records_left & set(taken)
    assert left in records_left
    assert prepared(shop.freeze(preauths=Preauths.VOID)) == [left]


@pytest.mark.parametrize("changes", range(0, 40, 7))
def test_a_power_cut_in_the_middle_of_a_thaw_is_mended_by_the_same_cancellation(changes: int) -> None:
    whole, frozen, _ = partly_settled()
    whole.ask(OfferCancellation(whole.cancel(frozen)))
    cut, frozen, _ = partly_settled()
    cancellation = cut.cancel(frozen)
    cut.store.changes_left = changes
    with pytest.raises(PowerCut):
        cut.ask(OfferCancellation(cancellation))
    cut.store.changes_left = None
    cut.terminal = Terminal.boot(cut.store, seeded(2))
    assert cut.terminal.life.state is LifecycleState.FROZEN
    assert cut.ask(OfferCancellation(cancellation)) == Thawed()
    assert records(cut) == records(whole)


def records(shop: Shop) -> set[tuple[int, int, int, bool]]:
    return {(one.context, one.stan, one.transaction_class, one.posted) for one in transactions(shop.store)}


def change_of(name: str, value: Any) -> Callable[[Cancellation], Cancellation]:
    return lambda body: replace(body, **{name: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_of("serial", "PD-000002"), Refusal.TERMINAL),
        (change_of("seal_digest", bytes(32)), Refusal.SEAL),
        (change_of("challenge", bytes(32)), Refusal.CHALLENGE),
    ],
)
def test_a_cancellation_of_anything_else_thaws_nothing(
    change: Callable[[Cancellation], Cancellation], reason: Refusal
) -> None:
    shop = Shop()
    frozen = shop.freeze()
    body = change(open_document(shop.cancel(frozen), Cancellation).body)
    assert shop.ask(OfferCancellation(issue(body, shop.acquirer.order.signing_key()))) == Refused(reason)
    release = shop.acquirer.release.signing_key()
    good = open_document(shop.cancel(frozen), Cancellation).body
    assert shop.ask(OfferCancellation(issue(good, release))) == Refused(Refusal.ROLE)
    assert shop.terminal.life.state is LifecycleState.FROZEN


def test_after_an_exception_the_terminal_is_excepted_and_thaws_no_more() -> None:
    shop = Shop()
    frozen = shop.freeze()
    receipts = shop.receipts(frozen, Basis.EXCEPTION)
    assert shop.ask(OfferRelease(receipts[:1])) == Refused(Refusal.SIGNATURES)
    assert shop.ask(OfferRelease(receipts)) == Released(LifecycleState.EXCEPTED)
    assert shop.terminal.life.state is LifecycleState.EXCEPTED
    assert shop.ask(OfferCancellation(shop.cancel(frozen))) == Refused(Refusal.STATE)
