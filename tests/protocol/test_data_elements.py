"""The digits of fields 48, 57, 60 and 61, both directions."""

from __future__ import annotations

import pytest

from posdecom_protocol import aes_dukpt, iso8583, protection
from posdecom_protocol.data_elements import (
    BatchReference,
    BatchTotals,
    ChipDetail,
    EncryptedAccount,
    MessageType,
    Original,
    OriginalMessage,
    Reply,
    UploadDetail,
    masked_number,
    upload_count,
)
from posdecom_protocol.errors import LocalError, MessageError
from posdecom_protocol.money import CardGroup, GroupTotals, Tally


def test_totals_are_62_digits_domestic_first_with_a_reply_code_each() -> None:
    totals = BatchTotals(
        (
            GroupTotals(CardGroup.DOMESTIC, Tally(2, 1250), Tally(1, 99)),
            GroupTotals(CardGroup.FOREIGN, Tally(999, 999_999_999_999)),
        ),
        (Reply.BALANCED, Reply.NOT_BALANCED),
    )
    text = "00000000125000200000000009900119999999999999990000000000000002"
    assert len(text) == 62
    assert totals.encode() == text
    assert BatchTotals.decode(text) == totals


def test_what_chip_data_are_about_is_23_digits_both_ways() -> None:
    detail = ChipDetail(CardGroup.FOREIGN, 123, 94_315, 156)
    assert detail.encode() == "01000123000000094315156"
    assert ChipDetail.decode(detail.encode()) == detail


@pytest.mark.parametrize(
    "text", ["0100012300000009431515", "02000123000000094315156", "0100012300000009431515A"]
)
def test_what_names_no_transaction_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        ChipDetail.decode(text)


@pytest.mark.parametrize("tally", [Tally(1000, 1), Tally(1, 10**12)])
def test_totals_that_do_not_fit_their_digits_are_our_own_fault(tally: Tally) -> None:
    groups = (GroupTotals(CardGroup.DOMESTIC, tally), GroupTotals(CardGroup.FOREIGN))
    with pytest.raises(LocalError, match="999"):
        BatchTotals(groups).encode()


@pytest.mark.parametrize("text", ["", "0" * 61, "0" * 63, "0" * 61 + "4"])
def test_totals_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(MessageError, match="field 48"):
        BatchTotals.decode(text)


def test_an_upload_detail_carries_one_transaction_with_a_masked_number() -> None:
    detail = UploadDetail(CardGroup.FOREIGN, 42, masked_number("400000", "0002", 16), 1250)
    text = "010100004200004000000000000002000000001250"
    assert len(text) == 42
    assert detail.encode() == text
    assert UploadDetail.decode(text) == detail
    for bad in (text[:-1], "02" + text[2:], "0102" + text[4:]):
        with pytest.raises(MessageError, match="field 48"):
            UploadDetail.decode(bad)


def test_the_mask_keeps_the_length_of_the_number_out_of_its_zeros() -> None:
    assert masked_number("620000", "1234", 19) == "0" + "620000" + "0" * 9 + "1234"


def test_field_60_and_61_are_these_digits() -> None:
    reference = BatchReference(MessageType.OFFLINE_SALE, 12, 201)
    assert reference.encode() == "30000012201"
    assert BatchReference.decode("30000012201") == reference
    with pytest.raises(MessageError, match=r"60\.1"):
        BatchReference.decode("99000012201")
    original = Original(12, 42, "1121")
    assert original.encode() == "0000120000421121"
    assert Original.decode("0000120000421121") == original
    with pytest.raises(MessageError, match="field 61"):
        Original.decode("000012000042112")


def test_field_62_of_an_upload_names_the_message_by_mti_and_stan() -> None:
    original = OriginalMessage("0320", 42)
    assert original.encode() == "0320000042            "
    assert OriginalMessage.decode(original.encode()) == original
    for bad in (
        "0320000042",
        "0320000042           1",
        "0320000042             ",
        "03200000A2            ",
        "",
    ):
        with pytest.raises(MessageError, match="field 62"):
            OriginalMessage.decode(bad)


def test_account_data_name_their_scheme_and_key() -> None:
    account = EncryptedAccount(bytes(range(12)), b"\xee" * 32)
    assert account.encode() == b"\x01" + bytes(range(12)) + b"\xee" * 32
    assert EncryptedAccount.decode(account.encode()) == account
    for bad in (b"", account.encode()[:13], b"\x02" + account.encode()[1:]):
        with pytest.raises(MessageError, match="field 57"):
            EncryptedAccount.decode(bad)


def test_the_end_of_an_upload_counts_in_four_digits() -> None:
    assert upload_count(1998) == "1998"
    with pytest.raises(LocalError, match="4 digits"):
        upload_count(10_000)


def test_the_field_table_and_the_keys_agree_about_lengths() -> None:
    assert iso8583.KSN_BYTES == aes_dukpt.KSN_BYTES
    assert iso8583.MAC_BYTES == protection.MAC_BYTES
