"""Salvaged records: one encoding each, both directions, and what a certificate says of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from document_chain import HANDS, certificate_body, write_chain
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.documents.salvage import RECORDS_MAX, Salvage, SalvagedSum
from posdecom_protocol.errors import MessageError
from posdecom_protocol.money import AMOUNT_MAX, CardGroup, Tally, TransactionClass
from posdecom_protocol.records import Summary
from posdecom_protocol.salvage import (
    SALVAGE_START,
    SalvagedRecord,
    decode_salvaged,
    encode_salvaged,
    salvage_mac_input,
    salvage_of,
)

SUMMARY = Summary(
    record=7,
    transaction_class=TransactionClass.OFFLINE_SALE,
    group=CardGroup.FOREIGN,
    stan=123456,
    rrn="000000000042",
    amount=10_000,
    currency=156,
    local_time="270115093000",
    first6="400000",
    last4="0005",
)
RECORD = SalvagedRecord(1, True, SUMMARY, "A1B2C3", 6, b"\xaa\xbb", b"\xcc", bytes(range(8)))
TEXT = (
    "01 01 00000007 04 01 01E240 303030303030303030303432 000000002710 009C 270115093000 400000 0005"
    " 413142324333 00000006 02 AABB 01 CC 0001020304050607"
)
DATA = bytes.fromhex(TEXT.replace(" ", ""))


def test_a_record_is_these_bytes_in_both_directions() -> None:
    assert encode_salvaged(RECORD).hex() == DATA.hex()
    assert decode_salvaged(DATA) == RECORD


def test_a_record_with_fewer_bytes_or_one_more_is_none() -> None:
    for data in (*(DATA[:end] for end in range(len(DATA))), DATA + b"\0"):
        with pytest.raises(MessageError, match=r"^salvaged record is malformed$"):
            decode_salvaged(data)


def test_posted_has_one_encoding() -> None:
    """A struct takes any byte but zero for true."""
    with pytest.raises(MessageError, match=r"^salvaged record is not in its one encoding$"):
        decode_salvaged(DATA[:1] + b"\x02" + DATA[2:])


def test_the_longest_record_comes_back() -> None:
    longest = replace(RECORD, context=63, original=2**32 - 1, account_data=bytes(255), chip_data=bytes(255))
    assert decode_salvaged(encode_salvaged(longest)) == longest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": -1}, "context or original"),
        ({"context": 64}, "context or original"),
        ({"original": -1}, "context or original"),
        ({"original": 2**32}, "context or original"),
        ({"auth_code": "A1B2C"}, "authorisation code"),
        ({"auth_code": "A1B2C\u00e9"}, "authorisation code"),
        ({"auth_code": "A1B2C\n"}, "authorisation code"),
        ({"account_data": bytes(256)}, "as long as it may be"),
        ({"chip_data": bytes(256)}, "as long as it may be"),
        ({"mac": bytes(7)}, "as long as it may be"),
    ],
)
def test_a_record_out_of_its_bounds_cannot_be_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RECORD, **change)


@pytest.mark.parametrize(("at", "byte"), [(0, 64), (42, 0x0A), (42, 0xE9)])
def test_such_a_record_cannot_be_read_either(at: int, byte: int) -> None:
    with pytest.raises(MessageError, match=r"^salvaged record is malformed$"):
        decode_salvaged(DATA[:at] + bytes([byte]) + DATA[at + 1 :])


@settings(deadline=None, max_examples=60)
@given(
    st.binary(max_size=120)
    | st.integers(0, len(DATA)).flatmap(lambda end: st.binary().map(DATA[:end].__add__))
)
def test_any_bytes_are_the_one_encoding_of_a_record_or_a_message_error(data: bytes) -> None:
    try:
        record = decode_salvaged(data)
    except MessageError:
        return
    assert encode_salvaged(record) == data


def test_neither_account_nor_chip_data_are_shown() -> None:
    shown = repr(replace(RECORD, account_data=b"account", chip_data=b"chip"))
    assert "account" not in shown and "chip" not in shown


def test_the_mac_covers_all_but_itself_and_whether_it_was_posted() -> None:
    assert salvage_mac_input(DATA) == DATA[:1] + b"\0" + DATA[2:-8]
    assert salvage_mac_input(encode_salvaged(replace(RECORD, posted=False))) == salvage_mac_input(DATA)


# --- what a certificate says of them ---------------------------------------------------------------


def of(transaction_class: TransactionClass, amount: int, currency: int = 156) -> bytes:
    summary = replace(SUMMARY, transaction_class=transaction_class, amount=amount, currency=currency)
    return encode_salvaged(replace(RECORD, summary=summary))


def test_sums_are_by_rising_currency_each_class_on_its_side() -> None:
    found = salvage_of(
        [
            of(TransactionClass.REFUND, 70, 344),
            of(TransactionClass.SALE, 900),
            of(TransactionClass.PREAUTH, 10_000),
            of(TransactionClass.VOID, 100),
            of(TransactionClass.OFFLINE_SALE, 1),
            of(TransactionClass.REVERSAL, 10_000, 978),
        ]
    )
    assert found.count == 6
    assert found.sums == (
        SalvagedSum(156, Tally(2, 901), Tally(1, 100)),
        SalvagedSum(344, Tally(), Tally(1, 70)),
    )


def test_the_digest_is_a_chain_over_the_records_and_their_places() -> None:
    head = hashlib.sha256(b"posdecom/salvage/1").digest()
    assert (salvage_of([]).count, salvage_of([]).digest, salvage_of([]).sums) == (0, head, ())
    records = [of(TransactionClass.SALE, amount) for amount in (1, 2)]
    for number, record in enumerate(records, 1):
        head = hashlib.sha256(head + number.to_bytes(4, "big") + record).digest()
    assert salvage_of(records).digest == head


@pytest.mark.parametrize("currencies", [1, 1000])
def test_whatever_a_tampered_terminal_claims_fits_a_certificate(currencies: int) -> None:
    """Nobody signed it: as many records as there may be, of the highest amount, in one currency or in every one."""
    most = Tally(RECORDS_MAX, RECORDS_MAX * AMOUNT_MAX)
    sums = tuple(SalvagedSum(currency, most, most) for currency in range(currencies))
    documents = write_chain()
    body = certificate_body(documents.order, documents.seal, documents.receipts, documents.evidence)
    body = replace(
        body, seal=None, receipts=(), evidence=None, salvage=Salvage(RECORDS_MAX, SALVAGE_START, sums)
    )
    assert open_document(issue(body, HANDS.technician), Certificate).body == body


def test_a_malformed_record_is_in_no_certificate() -> None:
    with pytest.raises(MessageError, match=r"^salvaged record is malformed$"):
        salvage_of([DATA, DATA[:-1]])
