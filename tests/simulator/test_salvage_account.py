"""What the desk makes of the records of a tampered terminal: each MAC, and the books both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posdecom_protocol.aes_dukpt import InitialKeyId
from posdecom_protocol.errors import MessageError
from posdecom_protocol.money import SIDE, Side, TransactionClass
from posdecom_protocol.salvage import decode_salvaged, encode_salvaged, salvage_of
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.books import BatchEnd
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Place
from posdecom_simulator.acquirer.salvage import Account, account_for
from shop import BDK, CONTEXTS, START_S, booked, open_acquirer, open_shop

SHOP = open_shop()
RECORDS = [encode_salvaged(one.salvaged(CONTEXTS[one.context].currency)) for one in SHOP.stored]
UNSENT = [one for one in SHOP.stored if SIDE[one.transaction_class] is not Side.NEITHER and not one.posted]
POSTED = next(one for one in SHOP.stored if one.posted and one.transaction_class is TransactionClass.SALE)


def account(records: list[bytes]) -> Account:
    _, ledger = open_acquirer(SHOP)
    return account_for(records, booked()[0], ledger, Hsm(Secret(BDK), Secret(b"card digest key")))


def with_amount(number: int, amount: int) -> list[bytes]:
    records = list(RECORDS)
    record = decode_salvaged(records[number - 1])
    records[number - 1] = encode_salvaged(replace(record, summary=replace(record.summary, amount=amount)))
    return records


def test_every_record_that_the_terminal_made_holds_and_what_was_never_sent_is_named() -> None:
    found = account(RECORDS)
    assert (found.unproved, found.differing, found.only_in_books) == ((), (), ())
    assert found.unbooked_records == tuple(one.number for one in UNSENT)
    assert sum(debit.count + credit.count for _, debit, credit in found.unbooked) == len(UNSENT)
    assert sum(debit.amount + credit.amount for _, debit, credit in found.unbooked) == sum(
        one.amount for one in UNSENT
    )


def test_whether_it_was_posted_is_the_terminals_word_and_under_no_mac() -> None:
    flipped = [data[:1] + bytes((data[1] ^ 1,)) + data[2:] for data in RECORDS]
    assert account(flipped) == account(RECORDS)


@pytest.mark.parametrize("at", [0, 8, 12, 30, 46, 60, -20, -1])
def test_a_record_with_any_other_byte_changed_does_not_hold(at: int) -> None:
    record = bytearray(RECORDS[POSTED.number - 1])
    record[at] ^= 1
    try:
        found = account([bytes(record)])
    except MessageError:
        return  # it is no record any more
    assert found.unproved == (decode_salvaged(bytes(record)).summary.record,)


def test_money_that_somebody_made_up_is_charged_to_nobody() -> None:
    found = account(with_amount(UNSENT[0].number, UNSENT[0].amount + 1))
    assert found.unproved == (UNSENT[0].number,)
    assert UNSENT[0].number not in found.unbooked_records


def test_a_record_of_another_terminal_does_not_hold() -> None:
    _, ledger = open_acquirer(SHOP)
    stranger = replace(booked()[0], initial_key_id=InitialKeyId(bytes(8)))
    found = account_for(RECORDS, stranger, ledger, Hsm(Secret(BDK), Secret(b"card digest key")))
    assert len(found.unproved) == len(RECORDS) and not found.unbooked


def test_what_only_the_books_have_is_named() -> None:
    left = [data for number, data in enumerate(RECORDS, 1) if number != POSTED.number]
    assert account(left).only_in_books == (POSTED.stan,)


def test_after_a_batch_ended_what_only_the_books_have_is_in_the_one_after_it() -> None:
    """An ended batch is settled, whatever the terminal still has of it."""
    _, ledger = open_acquirer(SHOP)
    context = CONTEXTS[POSTED.context]
    ended = ledger.posting(Place(context.tid, context.batch, POSTED.stan))
    assert ended is not None
    next_day = replace(ended, batch=context.batch + 1, stan=999_999)
    ledger.commit([BatchEnd(context.tid, context.batch, True, 0, START_S), next_day])
    left = [data for number, data in enumerate(RECORDS, 1) if number != POSTED.number]
    found = account_for(left, booked()[0], ledger, Hsm(Secret(BDK), Secret(b"card digest key")))
    assert found.only_in_books == (999_999,)


def test_what_came_is_told_by_count_sums_and_digest() -> None:
    salvage = salvage_of(RECORDS)
    assert salvage.count == len(RECORDS)
    assert [one.currency for one in salvage.sums] == [156, 344]
    assert salvage_of(reversed(RECORDS)).digest != salvage.digest


def test_a_record_that_comes_twice_is_not_counted_twice() -> None:
    again = RECORDS[UNSENT[0].number - 1]
    with pytest.raises(MessageError, match="comes twice"):
        account([*RECORDS, again])
