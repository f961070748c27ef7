"""Chip transactions from the shop to the acquirer's books: which message carries what, and what nobody may slip in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import pytest

from posdecom_agent.dialects import DIALECTS
from posdecom_agent.settlement import Finished
from posdecom_protocol import tlv
from posdecom_protocol.chip_data import ChipData, Cryptogram
from posdecom_protocol.data_elements import BatchReference, ChipDetail, OriginalMessage
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.iso8583 import IsoMessage, decode, seal
from posdecom_protocol.money import CardGroup, TransactionClass
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import Item, ItemKind, encode_item
from posdecom_simulator.acquirer.books import Finding
from posdecom_simulator.acquirer.host import Behaviour
from posdecom_simulator.terminal.device import Context
from posdecom_world import oracle
from release_case import Case, missing, open_case, reason
from shop import CONTEXTS, START_S, converse, settle, terminal_keys

NOON = START_S + 4 * 3600
RULES = oracle.Rules("270115120000", refunds_after=True, voids_preauths=False)
DECLINED = TransactionClass.DECLINED
SENT = set(ItemKind) - {ItemKind.WITHHELD}


class Differs(Behaviour):
    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return False


def chip_case(dialect: str, *, balanced: bool = True, seed: int = 3) -> Case:
    return open_case(
        seed,
        90,
        cutoff_at=NOON,
        after=AfterCutoff.REFUND,
        behaviour=None if balanced else Differs(),
        contexts=tuple(replace(one, dialect=dialect) for one in CONTEXTS),
    )


@lru_cache
def settled() -> Case:
    """Over many tests: who changes its items takes a copy; a seal that is refused leaves nothing on the shelf."""
    case = chip_case("cup")
    case.settle()
    return case


BRANCHES = pytest.mark.parametrize("balanced", [True, False], ids=["balanced", "not balanced"])
ALL_DIALECTS = pytest.mark.parametrize("dialect", DIALECTS)


def items(case: Case, *kinds: ItemKind) -> list[Item]:
    return [item for item in case.shop.prepared.items if item.kind in kinds]


def codes(found: list[Item]) -> set[int]:
    return {BatchReference.decode(decode(item.message).text(60)).network_code for item in found}


def sent_kinds(case: Case, context: Context) -> list[Item]:
    by_message = {item.message: item for item in case.shop.prepared.items}
    events, sent = converse(settle(case.shop, context.index, dialect=DIALECTS[context.dialect]), case.host)
    assert events[-1] == Finished()
    return [by_message[message] for message in sent]


# --- what is sent


def test_balanced_cup_sends_tc_as_203_and_declined_as_204_and_no_detail() -> None:
    case = chip_case("cup")
    sent = sent_kinds(case, case.contexts[0])
    proofs = [item for item in sent if item.kind is ItemKind.CHIP_PROOF]
    declined = [item for item in proofs if item.summary and item.summary.transaction_class is DECLINED]
    approved = [item for item in proofs if item not in declined]
    assert (codes(approved), codes(declined)) == ({203}, {204})
    assert not [item for item in sent if item.kind in (ItemKind.UPLOAD, ItemKind.CHIP_PROOF_UNBALANCED)]


def test_unbalanced_cup_sends_tc_as_205_in_its_upload_and_declined_as_206() -> None:
    case = chip_case("cup", balanced=False)
    sent = sent_kinds(case, case.contexts[0])
    by_chip = [item for item in sent if item.kind is ItemKind.UPLOAD and 55 in decode(item.message).fields]
    declined = [item for item in sent if item.kind is ItemKind.CHIP_PROOF_UNBALANCED]
    assert (codes(by_chip), codes(declined)) == ({205}, {206})
    assert not [item for item in sent if item.kind is ItemKind.CHIP_PROOF]


def test_an_unbalanced_upload_goes_in_the_order_of_unionpay_terminals() -> None:
    """Offline, offline by chip, online, refunds, completions, online by chip; then what was declined."""
    case = open_case(5, 150, behaviour=Differs(), contexts=CONTEXTS[:1])
    by_number = {one.number: one for one in case.shop.day}
    ranks = []
    for item in sent_kinds(case, case.contexts[0]):
        if item.kind is ItemKind.UPLOAD and item.summary is not None:
            kind, by_chip = (
                item.summary.transaction_class.name,
                bool(by_number[item.summary.record].chip_data),
            )
            ranks.append(kind + (" chip" if by_chip and kind in ("SALE", "OFFLINE_SALE") else ""))
        if item.kind is ItemKind.CHIP_PROOF_UNBALANCED:
            ranks.append("DECLINED")
    order = [
        {"OFFLINE_SALE", "ADJUSTMENT"}, {"OFFLINE_SALE chip"}, {"SALE", "VOID"}, {"REFUND"},
        {"COMPLETION", "COMPLETION_VOID"}, {"SALE chip"}, {"DECLINED"},
    ]  # fmt: skip
    places = [next(n for n, kinds in enumerate(order) if rank in kinds) for rank in ranks]
    assert places == sorted(places)
    assert set(places) == set(range(len(order)))


def test_edc_sends_chip_data_as_940000_before_the_totals_that_may_close_the_batch() -> None:
    case = chip_case("edc")
    sent = sent_kinds(case, case.contexts[0])
    proofs = [item for item in sent if item.kind is ItemKind.CHIP_PROOF]
    assert proofs
    assert {decode(item.message).text(3) for item in proofs} == {"940000"}
    assert sent.index(proofs[-1]) < next(n for n, item in enumerate(sent) if item.kind is ItemKind.TOTALS)


@ALL_DIALECTS
def test_a_message_with_chip_data_has_the_header_and_names_the_transaction(dialect: str) -> None:
    case = chip_case(dialect)
    for item in items(case, *SENT):
        message = decode(item.message)
        assert message.header[:2] == ("61" if 55 in message.fields else "60")
        if 55 not in message.fields or item.summary is None:
            continue
        told = ChipData.decode(message.binary(55))
        assert (told.amount, told.currency) == (item.summary.amount, item.summary.currency)
        if item.kind is ItemKind.CHIP_PROOF:
            text = message.text(62)
            detail = ChipDetail.decode(text) if dialect == "cup" else OriginalMessage.decode(text)
            assert detail.stan == item.summary.stan


@pytest.mark.parametrize("seeds", [2, pytest.param(4, marks=pytest.mark.long)])
def test_advices_and_reversals_by_chip_carry_field_55_and_refunds_never(seeds: int) -> None:
    found = {
        (item.kind, ChipData.decode(decode(item.message).binary(55)).cryptogram)
        for seed in range(seeds)
        for item in items(chip_case("cup", seed=seed), *SENT)
        if 55 in decode(item.message).fields
    }
    assert found == {
        (ItemKind.REVERSAL, Cryptogram.ARQC),
        (ItemKind.ADVICE, Cryptogram.TC),
        (ItemKind.UPLOAD, Cryptogram.TC),
        (ItemKind.CHIP_PROOF, Cryptogram.TC),
        (ItemKind.CHIP_PROOF, Cryptogram.AAC),
        (ItemKind.CHIP_PROOF_UNBALANCED, Cryptogram.AAC),
    }


# --- what the acquirer has in the end


@ALL_DIALECTS
@BRANCHES
@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.long)])
def test_the_acquirer_has_every_cryptogram_and_no_declined_money(
    dialect: str, balanced: bool, seed: int
) -> None:
    case = chip_case(dialect, balanced=balanced, seed=seed)
    case.settle()
    for context in case.contexts:
        proofs = case.ledger.proofs(context.tid, context.batch).values()
        assert {one.finding for one in proofs} <= {Finding.AGREES}
        found = {
            oracle.Proof(one.stan, one.transaction_class is DECLINED, one.cryptogram.hex().upper())
            for one in proofs
        }
        due = oracle.proofs_after(case.shop.day, context.index, RULES)
        assert (found == due) or (dialect == "edc" and not balanced and found >= due)
        booked = {one.stan for one in case.ledger.postings(context.tid, context.batch)}
        assert not booked & {one.stan for one in due if one.declined}
        books = oracle.books_after(case.shop.day, context.index, RULES)
        for mine, theirs in zip(books.totals(), case.context(context.index).totals, strict=True):
            assert mine == (
                theirs.debit.count,
                theirs.debit.amount,
                theirs.credit.count,
                theirs.credit.amount,
            )
    assert case.post().status == 200


@ALL_DIALECTS
@BRANCHES
def test_chip_data_that_never_arrived_are_named_missing_while_the_batch_is_open(
    dialect: str, balanced: bool
) -> None:
    case = chip_case(dialect, balanced=balanced)
    case.settle(1)
    kind = ItemKind.CHIP_PROOF if balanced or dialect == "edc" else ItemKind.CHIP_PROOF_UNBALANCED
    early = {ItemKind.REVERSAL, ItemKind.ADVICE, ItemKind.REFUND, ItemKind.TOTALS}
    for item in case.shop.prepared.items:
        if item.context == 0 and item.kind in early - ({ItemKind.TOTALS} if dialect == "edc" else set()):
            case.host.answer(item.message, NOON)
    named = {case.shop.prepared.items[sequence - 1].kind for sequence in missing(case.post())}
    assert kind in named


def test_a_batch_does_not_end_before_the_chip_data_that_it_announces_are_there() -> None:
    case = chip_case("cup")
    for kind in (ItemKind.REVERSAL, ItemKind.ADVICE, ItemKind.REFUND, ItemKind.TOTALS):
        for item in items(case, kind):
            case.host.answer(item.message, NOON)
    end = next(item for item in items(case, ItemKind.END_BALANCED) if item.context == 0)

    def code() -> str:
        answer = case.host.answer(end.message, NOON)
        assert answer is not None
        return decode(answer).text(39)

    assert code() == "12"
    for item in items(case, ItemKind.CHIP_PROOF):
        case.host.answer(item.message, NOON)
    assert code() == "00"


# --- what nobody may slip in


def resealed(case: Case, sequence: int, change: Callable[[IsoMessage], IsoMessage]) -> IsoMessage:
    """The item with another content and a good MAC, as a terminal with a fault would prepare it; the seal over it."""
    item = case.shop.prepared.items[sequence - 1]
    message = change(decode(item.message))
    keys = terminal_keys()
    for _ in range(5000):
        ksn, message_keys = keys.next_message_keys()
    with message_keys:
        plain = {number: value for number, value in message.fields.items() if number != 64} | {
            53: ksn.encode()
        }
        data = seal(replace(message, fields=plain), partial(cmac8, message_keys.mac))
    case.items[sequence - 1] = encode_item(replace(item, message=data))
    case.reseal(lambda body: body)
    return decode(data)


def with_tag(tag: int, value: str, message: IsoMessage) -> IsoMessage:
    objects = {**tlv.decode(message.binary(55)), tag: bytes.fromhex(value)}
    return replace(message, fields={**message.fields, 55: tlv.encode(objects)})


def first(case: Case, kind: ItemKind, transaction_class: TransactionClass) -> int:
    return next(
        n
        for n, item in enumerate(case.shop.prepared.items, 1)
        if item.kind is kind and item.summary and item.summary.transaction_class is transaction_class
    )


@pytest.mark.parametrize(
    ("tag", "value"), [(0x9F02, "000000000001"), (0x5F2A, "0840"), (0x9F27, "00"), (0x9A, "270116")]
)
def test_the_desk_refuses_chip_data_about_another_transaction(tag: int, value: str) -> None:
    case = replace(settled(), items=list(settled().items))
    sequence = first(case, ItemKind.CHIP_PROOF, TransactionClass.SALE)
    resealed(case, sequence, partial(with_tag, tag, value))
    assert reason(case.post()) == "context 0 has chip data that are about another transaction"


@pytest.mark.parametrize(
    ("transaction_class", "problem"),
    [
        (TransactionClass.SALE, "context 0 does not prove every sale by chip once"),
        (DECLINED, "context 0 does not tell every declined transaction once"),
    ],
)
def test_the_desk_misses_a_proof_that_was_never_prepared(
    transaction_class: TransactionClass, problem: str
) -> None:
    """Another one stands twice in its place, so that nothing else shows it."""
    case = open_case(5, 150, contexts=CONTEXTS[:1])
    case.settle()
    sequence = first(case, ItemKind.CHIP_PROOF, transaction_class)
    case.items[sequence - 1] = case.items[sequence]  # the next one of its class
    case.reseal(lambda body: body)
    assert reason(case.post()) == problem


@pytest.mark.parametrize(("tag", "value"), [(0x9F02, "000000000001"), (0x9F27, "80"), (0x5F2A, "0840")])
def test_the_host_refuses_an_advice_whose_chip_data_are_about_another_sale(tag: int, value: str) -> None:
    case = chip_case("cup")
    sequence = next(
        n
        for n, item in enumerate(case.shop.prepared.items, 1)
        if item.kind is ItemKind.ADVICE and 55 in decode(item.message).fields
    )
    message = resealed(case, sequence, partial(with_tag, tag, value))
    answer = case.host.answer(message.encode(), NOON)
    assert answer is not None
    assert decode(answer).text(39) == "30"
    place = message.text(41), int(message.text(60)[2:8])
    assert int(message.text(11)) not in {one.stan for one in case.ledger.postings(*place)}


class RefusesChips(Behaviour):
    def refusal(self, request: IsoMessage) -> str | None:
        return "30" if 55 in request.fields and request.mti == "0320" else None


def test_chip_data_that_the_host_will_not_have_are_listed_and_end_the_batch_all_the_same() -> None:
    case = open_case(3, 90, behaviour=RefusesChips(), preauths=Preauths.LIST)
    case.settle()
    proofs = [n for n, item in enumerate(case.shop.prepared.items, 1) if item.kind is ItemKind.CHIP_PROOF]
    listed = {one.sequence: one.code for context in case.receipt().contexts for one in context.refusals}
    assert listed == dict.fromkeys(proofs, "30")
    assert all(context.refused.count == 0 for context in case.receipt().contexts)
