"""What a frozen terminal has ready: which messages, in which order, and what they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

import pytest

from document_chain import order_body
from posdecom_protocol.aes_dukpt import HostDukpt, Ksn
from posdecom_protocol.data_elements import (
    BatchReference,
    BatchTotals,
    EncryptedAccount,
    Original,
    UploadDetail,
)
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.errors import LocalError
from posdecom_protocol.iso8583 import IsoMessage, decode, mac_input
from posdecom_protocol.money import CardGroup, GroupTotals, Tally, TransactionClass
from posdecom_protocol.protection import cmac8_matches, decrypt_account_data
from posdecom_protocol.records import Item, ItemKind, decode_item, encode_item
from posdecom_protocol.secret import Secret
from posdecom_simulator.population import Transaction
from posdecom_simulator.terminal.prepare import Rules, StanCounter, prepare
from posdecom_simulator.terminal.stored import StoredTransaction
from shop import BDK, CONTEXTS, INITIAL_KEY_ID, NO_CUTOFF, Shop, open_shop, terminal_keys

SHOP = open_shop(seed=2, count=300)
NOON = Rules("270115120000", AfterCutoff.REFUND, Preauths.VOID)


def host() -> HostDukpt:
    return HostDukpt.from_bdk(Secret(BDK), INITIAL_KEY_ID)


def items(shop: Shop, context: int, *kinds: ItemKind) -> list[Item]:
    return [i for i in shop.prepared.items if i.context == context and (i.kind in kinds or not kinds)]


def messages(shop: Shop, context: int, *kinds: ItemKind) -> list[IsoMessage]:
    return [decode(item.message) for item in items(shop, context, *kinds)]


def records(found: list[Item]) -> list[int]:
    return [item.summary.record for item in found if item.summary is not None]


def of_class(shop: Shop, context: int, *classes: TransactionClass) -> list[Transaction]:
    return [t for t in shop.day if t.context == context and t.transaction_class in classes]


DEBIT = (
    TransactionClass.SALE,
    TransactionClass.OFFLINE_SALE,
    TransactionClass.ADJUSTMENT,
    TransactionClass.COMPLETION,
)
CREDIT = (TransactionClass.VOID, TransactionClass.REFUND, TransactionClass.COMPLETION_VOID)


def recounted(day: list[Transaction]) -> tuple[GroupTotals, GroupTotals]:
    """The totals by hand: one loop over plain transactions, no code of the terminal."""
    found: dict[tuple[CardGroup, bool], list[int]] = {}
    for one in day:
        if one.transaction_class in DEBIT + CREDIT:
            found.setdefault((one.group, one.transaction_class in DEBIT), []).append(one.amount)

    def tally(group: CardGroup, debit: bool) -> Tally:
        amounts = found.get((group, debit), [])
        return Tally(len(amounts), sum(amounts))

    domestic, foreign = (GroupTotals(g, tally(g, True), tally(g, False)) for g in CardGroup)
    return domestic, foreign


def sealed(shop: Shop, context: int) -> SealedContext:
    return shop.prepared.contexts[context]


@pytest.mark.parametrize("context", [0, 1])
def test_messages_are_ready_in_the_order_of_the_conversation(context: int) -> None:
    kinds = [kind for kind, _ in groupby(item.kind for item in items(SHOP, context))]
    assert kinds == [
        ItemKind.REVERSAL,
        ItemKind.ADVICE,
        ItemKind.TOTALS,
        ItemKind.CHIP_PROOF,
        ItemKind.UPLOAD,
        ItemKind.CHIP_PROOF_UNBALANCED,
        ItemKind.END_BALANCED,
        ItemKind.END_UNBALANCED,
        ItemKind.SIGN_OFF,
    ]


def test_items_of_a_context_are_a_closed_range_of_sequences() -> None:
    first, second = SHOP.prepared.contexts
    assert first.item_first == 1
    assert second.item_first == first.item_last + 1
    assert second.item_last == len(SHOP.prepared.items)
    for sequence, item in enumerate(SHOP.prepared.items, 1):
        assert item.context == (0 if sequence <= first.item_last else 1)


@pytest.mark.parametrize("context", [0, 1])
def test_every_transaction_that_needs_a_message_has_exactly_that(context: int) -> None:
    unsent = [t for t in of_class(SHOP, context, TransactionClass.OFFLINE_SALE) if not t.posted]
    adjustments = of_class(SHOP, context, TransactionClass.ADJUSTMENT)
    reversals = of_class(SHOP, context, TransactionClass.REVERSAL)
    money = of_class(SHOP, context, *DEBIT, *CREDIT)
    assert records(items(SHOP, context, ItemKind.REVERSAL)) == [t.number for t in reversals] != []
    assert records(items(SHOP, context, ItemKind.ADVICE)) == sorted(t.number for t in unsent + adjustments)
    assert sorted(records(items(SHOP, context, ItemKind.UPLOAD))) == [t.number for t in money]


@pytest.mark.parametrize("context", [0, 1])
def test_totals_are_what_a_recount_of_the_day_gives(context: int) -> None:
    expected = recounted([t for t in SHOP.day if t.context == context])
    (message,) = messages(SHOP, context, ItemKind.TOTALS)
    assert BatchTotals.decode(message.text(48)).groups == expected
    assert sealed(SHOP, context).totals == expected
    assert message.text(49) == f"{CONTEXTS[context].currency}"


def test_the_seal_counts_every_record_by_class() -> None:
    for context in (0, 1):
        for count in sealed(SHOP, context).classes:
            amounts = [t.amount for t in of_class(SHOP, context, count.transaction_class)]
            assert count.tally == Tally(len(amounts), sum(amounts))
        assert sum(c.tally.count for c in sealed(SHOP, context).classes) == sum(
            t.context == context for t in SHOP.day
        )


def test_every_message_has_a_mac_under_a_ksn_of_its_own_and_says_who_and_which_batch() -> None:
    dukpt = host()
    seen: set[bytes] = {EncryptedAccount.decode(one.account_data).ksn for one in SHOP.stored}
    for item in SHOP.prepared.items:
        message = decode(item.message)
        context = CONTEXTS[item.context]
        ksn = message.binary(53)
        assert ksn not in seen
        seen.add(ksn)
        with dukpt.message_keys(Ksn.decode(ksn)) as keys:
            assert cmac8_matches(keys.mac, mac_input(item.message), message.binary(64))
        assert (message.text(41), message.text(42)) == (context.tid, context.mid)
        assert BatchReference.decode(message.text(60)).batch == context.batch


def test_account_data_open_at_the_host_and_are_the_card_of_the_transaction() -> None:
    dukpt = host()
    for item in SHOP.prepared.items:
        if item.summary is None:
            continue
        account = EncryptedAccount.decode(decode(item.message).binary(57))
        with dukpt.message_keys(Ksn.decode(account.ksn)) as keys:
            card = decrypt_account_data(keys.data, account.cipher)
        sold = SHOP.number(item.summary.record)
        assert (card.pan, card.expiry) == (sold.card_number, sold.expiry)


def test_no_card_number_is_in_any_item_or_stored_record() -> None:
    blobs = [encode_item(item) for item in SHOP.prepared.items] + [one.encode() for one in SHOP.stored]
    whole = b"\x00".join(blobs)
    for number in {t.card_number for t in SHOP.day}:
        assert number.encode() not in whole
        assert bytes.fromhex(number + "0" * (len(number) % 2)) not in whole
        assert bytes.fromhex("0" * (len(number) % 2) + number) not in whole


def test_stans_are_fresh_but_for_advices_which_keep_their_sales() -> None:
    fresh = [
        m.text(11) for i in SHOP.prepared.items if i.kind is not ItemKind.ADVICE for m in [decode(i.message)]
    ]
    assert len(set(fresh)) == len(fresh)
    assert min(map(int, fresh)) > SHOP.day[-1].stan
    for item in items(SHOP, 0, ItemKind.ADVICE):
        assert item.summary is not None
        assert decode(item.message).text(11) == f"{item.summary.stan:06d}"


def test_a_reversal_names_the_sale_it_takes_back() -> None:
    (item, *_) = items(SHOP, 0, ItemKind.REVERSAL)
    assert item.summary is not None
    sold = SHOP.number(item.summary.record)
    message = decode(item.message)
    assert message.mti == "0400"
    assert Original.decode(message.text(61)) == Original(CONTEXTS[0].batch, sold.stan, sold.local_time[2:6])
    assert message.text(4) == f"{sold.amount:012d}"


def test_an_adjustment_names_its_offline_sale() -> None:
    sold = next(t for t in SHOP.day if t.transaction_class is TransactionClass.ADJUSTMENT)
    assert sold.original is not None
    found = [i for i in SHOP.prepared.items if i.kind is ItemKind.ADVICE and i.summary is not None]
    (message,) = [decode(i.message) for i in found if i.summary and i.summary.record == sold.number]
    assert Original.decode(message.text(61)).stan == SHOP.number(sold.original).stan


def test_an_upload_carries_one_transaction_with_a_masked_number() -> None:
    for item, message in zip(
        items(SHOP, 1, ItemKind.UPLOAD), messages(SHOP, 1, ItemKind.UPLOAD), strict=True
    ):
        assert item.summary is not None
        if 48 not in message.fields:
            continue  # an online sale by chip: test_chip_records.py
        sold = SHOP.number(item.summary.record)
        detail = UploadDetail.decode(message.text(48))
        middle = "0" * (len(sold.card_number) - 10)
        assert detail.masked_number.lstrip("0") == sold.card_number[:6] + middle + sold.card_number[-4:]
        assert (detail.stan, detail.amount, detail.group) == (sold.stan, sold.amount, sold.group)


def test_both_ends_of_an_upload_are_ready_with_their_codes_and_counts() -> None:
    (balanced,) = messages(SHOP, 0, ItemKind.END_BALANCED)
    (unbalanced,) = messages(SHOP, 0, ItemKind.END_UNBALANCED)
    uploads = len(items(SHOP, 0, ItemKind.UPLOAD, ItemKind.CHIP_PROOF_UNBALANCED))
    proofs = len(items(SHOP, 0, ItemKind.CHIP_PROOF))
    assert (balanced.text(60)[-3:], balanced.text(48)) == ("207", f"{proofs:04d}")
    assert (unbalanced.text(60)[-3:], unbalanced.text(48)) == ("202", f"{uploads:04d}")


def test_open_preauthorisations_are_listed_and_voided_only_where_the_order_says_so() -> None:
    completed = {t.original for t in SHOP.day if t.transaction_class is TransactionClass.COMPLETION}
    still_open = [
        t
        for context in (0, 1)
        for t in of_class(SHOP, context, TransactionClass.PREAUTH)
        if t.number not in completed
    ]
    assert [p.stan for p in SHOP.prepared.preauths] == [t.stan for t in still_open] != []
    assert not [i for i in SHOP.prepared.items if i.kind is ItemKind.PREAUTH_VOID]
    voiding = open_shop(2, 300, Rules("991231235959", AfterCutoff.HOLD, Preauths.VOID))
    voids = [i for i in voiding.prepared.items if i.kind is ItemKind.PREAUTH_VOID]
    assert records(voids) == [t.number for t in still_open]
    assert voiding.prepared.preauths == SHOP.prepared.preauths


def test_after_the_cutoff_offline_sales_are_withheld_and_posted_sales_refunded() -> None:
    shop = open_shop(2, 300, NOON)
    after = [t for t in shop.day if t.local_time >= NOON.cutoff_local_time]
    voided = {t.original for t in shop.day if t.transaction_class in (TransactionClass.VOID, CREDIT[2])}
    withheld = [t for t in after if t.rrn.isspace() and t.transaction_class in DEBIT and not t.posted]
    refunded = [t for t in after if t.transaction_class in DEBIT and t.posted and t.number not in voided]
    by_context = sorted(withheld, key=lambda t: (t.context, t.number))
    assert [s.record for s in shop.prepared.withheld] == [t.number for t in by_context] != []
    for context in (0, 1):
        expected = [t.number for t in refunded if t.context == context]
        assert records(items(shop, context, ItemKind.REFUND)) == expected != []
        sent = set(records(items(shop, context, ItemKind.ADVICE, ItemKind.UPLOAD)))
        assert not sent & {t.number for t in withheld}
        kept = [t for t in shop.day if t.context == context and t not in withheld]
        back = sum(t.amount for t in refunded if t.context == context)
        expected_totals = recounted(kept)
        credit = sum(g.credit.amount for g in sealed(shop, context).totals)
        assert credit == sum(g.credit.amount for g in expected_totals) + back
        assert [g.debit for g in sealed(shop, context).totals] == [g.debit for g in expected_totals]


def test_a_refund_names_the_sale_it_gives_back_and_has_a_stan_of_its_own() -> None:
    shop = open_shop(2, 300, NOON)
    for item in items(shop, 0, ItemKind.REFUND):
        assert item.summary is not None
        sold = shop.number(item.summary.record)
        message = decode(item.message)
        assert Original.decode(message.text(61)).stan == sold.stan
        assert int(message.text(11)) == item.summary.stan > shop.day[-1].stan
        assert (message.text(3), message.text(4)) == ("200000", f"{sold.amount:012d}")


def test_what_was_sold_at_the_very_cutoff_was_sold_after_it() -> None:
    unsent = [one for one in SHOP.stored if one.transaction_class is TransactionClass.OFFLINE_SALE]
    (last, *_) = [one for one in reversed(unsent) if not one.posted]
    shop = open_shop(2, 300, Rules(last.local_time, AfterCutoff.HOLD, Preauths.LIST))
    assert last.number in [summary.record for summary in shop.prepared.withheld]
    later = f"{int(last.local_time) + 1}"
    shop = open_shop(2, 300, Rules(later, AfterCutoff.HOLD, Preauths.LIST))
    assert last.number not in [summary.record for summary in shop.prepared.withheld]


def test_after_the_cutoff_nothing_is_refunded_where_the_order_says_hold() -> None:
    shop = open_shop(2, 300, Rules(NOON.cutoff_local_time, AfterCutoff.HOLD, Preauths.LIST))
    assert shop.prepared.withheld == open_shop(2, 300, NOON).prepared.withheld
    assert not [i for i in shop.prepared.items if i.kind is ItemKind.REFUND]


def test_an_empty_context_has_nothing_to_say_to_its_host() -> None:
    shop = open_shop(count=0)
    assert shop.prepared.items == ()
    for context in shop.prepared.contexts:
        assert context.is_empty
        assert list(range(context.item_first, context.item_last + 1)) == []


def test_the_largest_batch_fits_its_counters_and_its_items_are_small() -> None:
    full = open_shop(3, 999, contexts=CONTEXTS[:1])
    assert sum(t.debit.count + t.credit.count for t in sealed(full, 0).totals) <= 999
    assert max(len(encode_item(item)) for item in full.prepared.items) < 400


def test_a_counter_over_999_is_refused_and_not_wrapped() -> None:
    one = next(t for t in SHOP.stored if t.transaction_class is TransactionClass.SALE)
    many = [replace(one, number=number, stan=number, context=0) for number in range(1, 1001)]
    with pytest.raises(LocalError, match="999"):
        prepare(CONTEXTS, many, terminal_keys(), StanCounter(1000), NO_CUTOFF)


def test_items_survive_their_own_encoding() -> None:
    for item in SHOP.prepared.items:
        assert decode_item(encode_item(item)) == item


def test_a_stored_record_is_these_bytes_and_reads_back() -> None:
    one = StoredTransaction(
        number=258,
        context=1,
        transaction_class=TransactionClass.VOID,
        group=CardGroup.FOREIGN,
        amount=1250,
        stan=42,
        rrn="701500000042",
        auth_code="",
        local_time="270115120000",
        posted=True,
        original=7,
        first6="400000",
        last4="0002",
        card_digits=16,
        account_data=b"\x01\xff",
        chip_data=bytes.fromhex("820100"),
        mac=bytes.fromhex("0102030405060708"),
    )
    wire = (
        "00000102 01 02 01 01 0000000004e2 00002a 373031353030303030303432 202020202020 270115120000"
        "00000007 400000 0002 10 0102030405060708 02 01ff 03 820100"
    )
    assert one.encode() == bytes.fromhex(wire)
    assert StoredTransaction.decode(one.encode()) == one
    assert "ff" not in repr(one)
    assert "x82" not in repr(one)
    for bad in (one.encode()[:-1], one.encode() + b"\x00", b""):
        with pytest.raises(LocalError):
            StoredTransaction.decode(bad)


def test_every_stored_record_of_a_day_reads_back() -> None:
    assert [StoredTransaction.decode(one.encode()) for one in SHOP.stored] == list(SHOP.stored)


def test_stans_go_round_after_999999() -> None:
    stans = StanCounter(999_998)
    assert [stans.next(), stans.next()] == [999_999, 1]


@pytest.mark.parametrize(
    ("year", "expected"), [(1999, "0" * 12), (2000, "000101000000"), (2099, "990101000000"), (2100, "9" * 12)]
)
def test_a_cutoff_of_another_century_is_before_or_after_every_record(year: int, expected: str) -> None:
    order = replace(order_body(), cutoff_at=int(datetime(year, 1, 1, tzinfo=UTC).timestamp()))
    assert Rules.from_order(order).cutoff_local_time == expected
