"""What a host must not swallow because the MAC is good: another terminal's card, and a refund without its limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from posdecom_agent.dialects import DIALECTS
from posdecom_protocol.aes_dukpt import InitialKeyId, TerminalDukpt, initial_key
from posdecom_protocol.data_elements import EncryptedAccount, UploadDetail
from posdecom_protocol.documents.order import AfterCutoff
from posdecom_protocol.iso8583 import IsoMessage, decode, seal
from posdecom_protocol.protection import AccountData, cmac8, encrypt_account_data
from posdecom_protocol.records import ItemKind, encode_item
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.books import Finding, Upload
from release_case import Case, open_case, reason
from shop import BDK, CONTEXTS, START_S, terminal_keys

LATER = float(START_S + 86_400)
OTHER = InitialKeyId(bytes.fromhex("1234567899999999"))
ALL_DIALECTS = pytest.mark.parametrize("dialect", DIALECTS)


def case_of(dialect: str) -> Case:
    contexts = (replace(CONTEXTS[0], dialect=dialect),)
    return open_case(3, 60, cutoff_at=START_S, after=AfterCutoff.REFUND, contexts=contexts)


def first(case: Case, kind: ItemKind, *, about: ItemKind | None = None) -> int:
    """Its sequence; ``about``: of the transaction that the first item of that kind is about."""
    wanted = None if about is None else case.shop.prepared.items[first(case, about) - 1].summary
    items = enumerate(case.shop.prepared.items, 1)
    return next(n for n, item in items if item.kind is kind and wanted in (None, item.summary))


def told_anew(
    case: Case, sequence: int, change: Callable[[IsoMessage], IsoMessage], ksns_before: int = 2000
) -> bytes:
    """The item with another content and a good MAC under the terminal's own keys, in the case's custody as well."""
    item = case.shop.prepared.items[sequence - 1]
    message = change(decode(item.message))
    keys = terminal_keys()
    for _ in range(ksns_before + 1):
        ksn, message_keys = keys.next_message_keys()
    fields = {number: value for number, value in message.fields.items() if number != 64} | {53: ksn.encode()}
    with message_keys:
        data = seal(replace(message, fields=fields), partial(cmac8, message_keys.mac))
    case.items[sequence - 1] = encode_item(replace(item, message=data))
    case.reseal(lambda body: body)
    return data


def with_fields(changes: dict[int, str | bytes], message: IsoMessage) -> IsoMessage:
    return replace(message, fields={**message.fields, **changes})


def code(case: Case, message: bytes) -> str:
    answer = case.host.answer(message, LATER)
    assert answer is not None
    return decode(answer).text(39)


# --- account data of another terminal


def borrowed_account() -> bytes:
    """A good field 57 of the same acquirer's next terminal."""
    keys = TerminalDukpt.load(initial_key(Secret(BDK), OTHER), OTHER)
    ksn, message_keys = keys.next_message_keys()
    with message_keys:
        cipher = encrypt_account_data(message_keys.data, AccountData("6200000000000005", "3012"))
    return EncryptedAccount(ksn.encode(), cipher).encode()


@ALL_DIALECTS
@pytest.mark.parametrize("kind", [ItemKind.ADVICE, ItemKind.UPLOAD, ItemKind.CHIP_PROOF])
def test_the_host_refuses_account_data_under_the_key_set_of_another_terminal(
    kind: ItemKind, dialect: str
) -> None:
    contexts = (replace(CONTEXTS[0], dialect=dialect),)
    case = open_case(3, 60, contexts=contexts)
    before = case.ledger.postings(contexts[0].tid, contexts[0].batch)
    message = told_anew(case, first(case, kind), partial(with_fields, {57: borrowed_account()}))
    assert code(case, message) == "14"
    assert case.ledger.postings(contexts[0].tid, contexts[0].batch) == before


def test_the_desk_refuses_an_upload_with_the_card_of_another_terminal() -> None:
    case = case_of("cup")
    case.settle()
    sequence = first(case, ItemKind.UPLOAD)
    told_anew(case, sequence, partial(with_fields, {57: borrowed_account()}))
    assert reason(case.post()) == f"item {sequence} has account data that do not open"


# --- a refund that comes as an upload and not as its own message


def upload_of_a_refund(case: Case, amount: int | None = None, *, names_its_sale: bool = True) -> bytes:
    sequence = first(case, ItemKind.UPLOAD, about=ItemKind.REFUND)

    def change(message: IsoMessage) -> IsoMessage:
        fields = dict(message.fields)
        if amount is not None and 48 in fields:
            detail = UploadDetail.decode(message.text(48))
            fields[48] = replace(detail, amount=amount).encode()
        elif amount is not None:
            fields[4] = f"{amount:012d}"
        if not names_its_sale:
            del fields[61]
        return replace(message, fields=fields)

    return told_anew(case, sequence, change)


def last_upload(case: Case) -> Upload:
    return case.ledger.uploads(case.contexts[0].tid, case.contexts[0].batch)[-1]


def refundable_of(case: Case) -> int:
    summary = case.shop.prepared.items[first(case, ItemKind.REFUND) - 1].summary
    assert summary is not None
    return summary.amount


@ALL_DIALECTS
def test_a_refund_whose_own_message_was_lost_is_booked_from_its_upload(dialect: str) -> None:
    case = case_of(dialect)
    assert code(case, upload_of_a_refund(case)) == "00"
    assert last_upload(case).finding is Finding.POSTED


@ALL_DIALECTS
def test_an_upload_gives_back_no_more_than_its_sale(dialect: str) -> None:
    case = case_of(dialect)
    assert code(case, upload_of_a_refund(case, refundable_of(case) + 1)) == "00"
    assert last_upload(case).finding is Finding.DISPUTED


@ALL_DIALECTS
def test_an_upload_that_names_no_sale_gives_nothing_back(dialect: str) -> None:
    case = case_of(dialect)
    assert code(case, upload_of_a_refund(case, names_its_sale=False)) == "00"
    assert last_upload(case).finding is Finding.DISPUTED


@ALL_DIALECTS
def test_a_refund_counts_against_its_sale_whichever_message_brought_it(dialect: str) -> None:
    """Once as an upload of its own, then as the advice of another refund of the same sale."""
    case = case_of(dialect)
    assert code(case, upload_of_a_refund(case)) == "00"
    sequence = first(case, ItemKind.REFUND)
    stan = int(decode(case.shop.prepared.items[sequence - 1].message).text(11))
    another = partial(with_fields, {11: f"{stan + 100_000:06d}"})
    assert code(case, told_anew(case, sequence, another, ksns_before=2500)) == "64"
