"""The release desk: counts again, names what is missing, refuses what does not fit, and repeats itself to the byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from document_chain import ANCHORS, APPROVER, DAY, HANDS, NOW, OTHER_ACQUIRER, SERIAL, TERMINALS, Identity
from posdecom_agent.dialects import DIALECTS, Outcome, Refused
from posdecom_agent.procedure import Step, carry_out
from posdecom_agent.settlement import Finished
from posdecom_protocol.aes_dukpt import HostDukpt, InitialKeyId, Ksn, TerminalDukpt, initial_key
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import digest
from posdecom_protocol.custody import encode_custody, encode_salvage
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.order import AfterCutoff, Order
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.documents.seal import ClassCount, Seal, SealedContext
from posdecom_protocol.iso8583 import IsoMessage, decode, seal
from posdecom_protocol.messages import Salvaged, encode
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, Tally, TransactionClass
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import ItemKind, decode_item, encode_item
from posdecom_protocol.release import receipt_over
from posdecom_protocol.salvage import encode_salvaged, salvage_of
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import InitialKsn
from posdecom_protocol.verdict import judge
from posdecom_simulator.acquirer import desk
from posdecom_simulator.acquirer.books import BatchEnd, Posting, Source, decode_row
from posdecom_simulator.acquirer.desk import SALVAGES_MAX, Desk, MemoryShelf, Signers
from posdecom_simulator.acquirer.host import Behaviour, Host
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.acquirer.serve import FolderShelf
from posdecom_simulator.acquirer.standing import standing
from posdecom_simulator.site import BookedTerminal
from release_case import CHANNEL_KEY_ID, HSM, LATER, Case, CaseStations, begin_job, missing, open_case, reason
from shop import BDK, CONTEXTS, INITIAL_KEY_ID, START_S, booked, converse, settle


@pytest.fixture
def case() -> Case:
    """Everything is settled."""
    made = open_case()
    made.settle()
    return made


class Refuses(Behaviour):
    """Every message of one type gets one code."""

    def __init__(self, mti: str, code: str) -> None:
        self._mti, self._code = mti, code

    def refusal(self, request: IsoMessage) -> str | None:
        return self._code if request.mti == self._mti else None


# --- the receipt


def test_what_was_settled_gets_a_receipt_over_exactly_its_seal(case: Case) -> None:
    receipt = case.receipt()
    seal = open_document(case.seal, Seal)
    assert receipt.basis is Basis.AGREED
    assert (receipt.seal_digest, receipt.challenge) == (seal.digest, seal.body.challenge)
    assert [context.totals for context in receipt.contexts] == [one.totals for one in seal.body.contexts]
    for context, sealed in zip(receipt.contexts, seal.body.contexts, strict=True):
        debit_and_credit = [side for one in sealed.totals for side in (one.debit, one.credit)]
        assert context.delivered == sum(debit_and_credit, Tally())
        assert not context.is_short


def test_the_same_seal_gets_the_same_receipt_bytes_again_and_by_poll(case: Case) -> None:
    digest = open_document(case.seal, Seal).digest.hex()
    assert case.desk.poll_seal(digest).status == 404
    first = case.post()
    assert case.post(now=LATER + DAY) == first
    assert case.desk.poll_seal(digest) == first


def test_a_seal_over_nothing_is_agreed_at_once() -> None:
    receipt = open_case(count=0).receipt()
    assert receipt.contexts == ()


# --- what is missing


def test_before_anything_was_settled_everything_that_must_arrive_is_missing() -> None:
    case = open_case()
    kinds = {decode_item(case.items[sequence - 1]).kind for sequence in missing(case.post())}
    assert {ItemKind.ADVICE, ItemKind.TOTALS, ItemKind.SIGN_OFF} <= kinds
    assert ItemKind.UPLOAD not in kinds


def test_a_context_that_was_left_out_is_missing_and_the_other_one_is_not() -> None:
    case = open_case()
    case.settle(0)
    left_out = case.context(1)
    named = missing(case.post())
    assert named
    assert all(left_out.item_first <= sequence <= left_out.item_last for sequence in named)


def test_what_is_missing_is_no_longer_once_it_was_delivered() -> None:
    case = open_case()
    assert case.post().status == 409
    case.settle()
    assert case.post().status == 200


# --- what it refuses


def changed(items: list[bytes], sequence: int, at: int) -> list[bytes]:
    data = bytearray(items[sequence - 1])
    data[at] ^= 1
    return [*items[: sequence - 1], bytes(data), *items[sequence:]]


def test_a_changed_item_does_not_add_up_to_the_seals_head(case: Case) -> None:
    answer = case.post(changed(case.items, 5, -20))
    assert (answer.status, reason(answer)) == (422, "the items do not add up to the seal's chain head")


def test_a_changed_item_under_a_head_that_fits_has_a_mac_that_is_not_the_terminals(case: Case) -> None:
    case.items = changed(case.items, 5, -1)
    case.reseal(lambda seal: seal)
    answer = case.post()
    assert (answer.status, reason(answer)) == (422, "item 5 has a MAC that is not this terminal's")


def test_an_item_that_was_left_out_is_noticed(case: Case) -> None:
    answer = case.post(case.items[:-1])
    assert (answer.status, reason(answer)) == (422, "the items do not add up to the seal's chain head")


def test_a_wrong_head_is_refused(case: Case) -> None:
    case.reseal(lambda seal: replace(seal, head=bytes(32)))
    answer = case.post()
    assert (answer.status, reason(answer)) == (422, "the items do not add up to the seal's chain head")


def other_totals(seal: Seal) -> Seal:
    first, *rest = seal.contexts
    domestic, foreign = first.totals
    more = GroupTotals(CardGroup.DOMESTIC, domestic.debit.plus(1), domestic.credit)
    return replace(seal, contexts=(replace(first, totals=(more, foreign)), *rest))


def no_totals(seal: Seal) -> Seal:
    first, *rest = seal.contexts
    return replace(seal, contexts=(replace(first, totals=()), *rest))


def same_group_twice(seal: Seal) -> Seal:
    first, *rest = seal.contexts
    return replace(seal, contexts=(replace(first, totals=(first.totals[0], first.totals[0])), *rest))


@pytest.mark.parametrize("change", [other_totals, no_totals])
def test_totals_that_are_not_those_of_the_transactions_are_refused(
    case: Case, change: Callable[[Seal], Seal]
) -> None:
    case.reseal(change)
    answer = case.post()
    assert answer.status == 422
    assert reason(answer) == "context 0: the seal's totals are not those of its transactions"


def test_totals_that_name_a_card_group_twice_are_refused(case: Case) -> None:
    case.reseal(same_group_twice)
    assert reason(case.post()) == "context 0: the seal has two totals for one card group"


def test_another_message_under_the_ksn_of_a_delivered_one_has_not_arrived(case: Case) -> None:
    """Its MAC is good, for a key set that was copied can make it; the books know other bytes."""
    sequence = next(n for n, item in enumerate(case.shop.prepared.items, 1) if item.kind is ItemKind.SIGN_OFF)
    item = case.shop.prepared.items[sequence - 1]
    message = decode(item.message)
    ksn = Ksn.decode(message.binary(53))
    with HostDukpt.from_bdk(Secret(BDK), ksn.initial_key_id).message_keys(ksn) as keys:
        forged = seal(
            replace(message, fields={**message.fields, 63: "02 "}), lambda data: cmac8(keys.mac, data)
        )
    case.items[sequence - 1] = encode_item(replace(item, message=forged))
    case.reseal(lambda body: body)
    assert missing(case.post()) == [sequence]


def test_items_that_the_seal_gives_to_another_context_are_refused(case: Case) -> None:
    case.reseal(
        lambda seal: replace(
            seal,
            contexts=(
                replace(seal.contexts[0], item_last=seal.contexts[0].item_last + 1),
                replace(seal.contexts[1], item_first=seal.contexts[1].item_first + 1),
            ),
        )
    )
    assert reason(case.post()) == "context 0 holds items of another"


@pytest.mark.parametrize(
    "change",
    [
        {"tid": "TERM0009"},
        {"mid": "9" * 15},
        {"acquirer": "acquirer-b"},
        {"currency": 999},
        {"batch": 26},
        {"dialect": "edc"},
        {"dialect": "unheard of"},
    ],
    ids=str,
)
def test_contexts_that_are_not_those_in_the_books_are_refused(case: Case, change: dict[str, Any]) -> None:
    case.reseal(lambda seal: replace(seal, contexts=(replace(seal.contexts[0], **change), seal.contexts[1])))
    assert reason(case.post()) == "the seal's contexts are not those in the books"


def test_a_context_fewer_than_the_books_have_is_refused(case: Case) -> None:
    case.reseal(lambda seal: replace(seal, contexts=seal.contexts[:1]))
    assert reason(case.post()) == "the seal's contexts are not those in the books"


def test_a_batch_that_follows_one_that_the_host_ended_is_that_of_the_books() -> None:
    """The terminal was frozen and thawed before, and its batches closed then."""
    later = tuple(replace(context, batch=context.batch + 2) for context in CONTEXTS)
    case = open_case(contexts=later)
    case.settle()
    case.contexts = CONTEXTS
    assert reason(case.post()) == "the seal's contexts are not those in the books"
    for one in CONTEXTS:
        case.ledger.commit([BatchEnd(one.tid, one.batch + n, True, 0, 0) for n in (0, 1)])
    assert case.post().status == 200


def nothing(context: SealedContext) -> SealedContext:
    return replace(context, classes=(), totals=(), item_first=1, item_last=0)


def test_a_seal_over_nothing_is_refused_where_the_books_hold_something() -> None:
    case = open_case()
    case.items = []
    case.reseal(
        lambda seal: replace(seal, contexts=tuple(map(nothing, seal.contexts)), item_count=0, preauths=())
    )
    answer = case.post()
    assert (answer.status, reason(answer)) == (
        422,
        "context 0: the acquirer's books do not agree with the seal",
    )


def test_items_that_no_context_holds_are_refused(case: Case) -> None:
    case.reseal(lambda seal: replace(seal, contexts=(nothing(seal.contexts[0]), seal.contexts[1])))
    assert reason(case.post()) == "the seal's contexts do not share out its items"


def test_a_seal_that_counts_fewer_offline_sales_than_it_uploads_is_refused(case: Case) -> None:
    kept = {TransactionClass.SALE, TransactionClass.DECLINED}
    case.reseal(
        lambda seal: replace(
            seal,
            contexts=tuple(
                replace(one, classes=tuple(c for c in one.classes if c.transaction_class in kept))
                for one in seal.contexts
            ),
        )
    )
    assert reason(case.post()) == "context 0 counts other transactions by class than it uploads and withholds"


@pytest.mark.parametrize(
    "count", [ClassCount(TransactionClass.REFUND, Tally(1, 100)), None], ids=["more", "twice"]
)
def test_a_seal_that_counts_what_its_items_do_not_tell_is_refused(
    case: Case, count: ClassCount | None
) -> None:
    def counting(one: SealedContext) -> SealedContext:
        return replace(one, classes=(*one.classes, count or one.classes[0]))

    case.reseal(lambda seal: replace(seal, contexts=(counting(seal.contexts[0]), *seal.contexts[1:])))
    assert reason(case.post()) == "context 0 counts other transactions by class than it uploads and withholds"


def test_an_item_under_the_key_set_of_another_terminal_is_refused(case: Case) -> None:
    other = InitialKeyId(bytes.fromhex("1234567899999999"))
    keys = TerminalDukpt.load(initial_key(Secret(BDK), other), other)
    sequence = sequence_of(case, ItemKind.SIGN_OFF)
    item = case.shop.prepared.items[sequence - 1]
    message = decode(item.message)
    ksn, message_keys = keys.next_message_keys()
    with message_keys:
        foreign = seal(
            replace(message, fields={**message.fields, 53: ksn.encode()}),
            lambda data: cmac8(message_keys.mac, data),
        )
    case.items[sequence - 1] = encode_item(replace(item, message=foreign))
    case.reseal(lambda body: body)
    assert reason(case.post()) == f"item {sequence} has a MAC that is not this terminal's"


def test_order_and_seal_are_judged_before_any_item_is_read(case: Case) -> None:
    documents = b"".join(encode_custody(case.order, case.seal, ()))
    rubbish = b"\xff" * 100
    assert "type 0xff is unknown" in reason(case.desk.post_seal(documents + rubbish, LATER))
    case.reseal(lambda seal: replace(seal, order_digest=bytes(32)))
    documents = b"".join(encode_custody(case.order, case.seal, ()))
    assert reason(case.desk.post_seal(documents + rubbish, LATER)) == "the seal is not under this order"


def test_a_seal_that_another_terminal_signed_is_refused(case: Case) -> None:
    other = Identity("other terminal", "T-0002").hand(TERMINALS, Role.TERMINAL)
    case.seal = issue(case.seal_body, other)
    answer = case.post()
    assert (answer.status, reason(answer)) == (422, "order, seal and its signer are not of one terminal")


def test_a_seal_of_a_terminal_that_the_books_do_not_know_is_refused(case: Case) -> None:
    other = Identity("other terminal", "T-0002").hand(TERMINALS, Role.TERMINAL)
    case.seal = issue(replace(case.seal_body, serial="T-0002"), other)
    assert reason(case.post()) == "the books know no such terminal"


def test_a_seal_under_another_order_is_refused(case: Case) -> None:
    case.reseal(lambda seal: replace(seal, order_digest=bytes(32)))
    assert reason(case.post()) == "the seal is not under this order"


def test_an_order_of_somebody_without_that_role_is_refused(case: Case) -> None:
    stranger = Identity("order signer").hand(OTHER_ACQUIRER, Role.RELEASE)
    case.order = issue(open_document(case.order, Order).body, stranger)
    assert case.post().status == 422


def test_an_order_is_stale_once_a_later_one_was_seen(case: Case) -> None:
    later = open_case(order_changes=lambda order: replace(order, counter=order.counter + 1))
    later.shelf = case.shelf
    later.settle()
    assert later.post().status == 200
    answer = case.post()
    assert (answer.status, reason(answer)) == (422, "a later order exists for this terminal")


# --- salvages ------------------------------------------------------------------------------------


def salvage(case: Case, last: int, end: bytes = b"") -> bytes:
    """The first ``last`` records of the shop, as a tampered terminal gives them; with ``end`` in place of theirs."""
    whole = [encode_salvaged(one.salvaged(156)) for one in case.shop.stored[:last]]
    records = tuple(record[: len(record) - len(end)] + end for record in whole)
    return b"".join(encode_salvage(case.order, [encode(Salvaged(1, last, records))]))


def test_so_many_different_salvages_are_kept_under_one_order_and_each_of_them_once(case: Case) -> None:
    first = [case.desk.post_salvage(salvage(case, last)) for last in range(1, SALVAGES_MAX + 1)]
    assert {one.status for one in first} == {200}
    assert case.desk.post_salvage(salvage(case, 1)) == first[0]
    answer = case.desk.post_salvage(salvage(case, SALVAGES_MAX + 1))
    assert (answer.status, reason(answer)) == (
        422,
        "8 different salvages are here under this order: it takes a new one",
    )
    later = open_case(order_changes=lambda order: replace(order, counter=order.counter + 1))
    later.shelf = case.shelf
    assert later.desk.post_salvage(salvage(later, SALVAGES_MAX + 1)).status == 200


def test_salvages_without_a_good_mac_shut_no_true_one_out(case: Case) -> None:
    made_up = [salvage(case, last, bytes(4)) for last in range(1, SALVAGES_MAX + 2)]
    assert [case.desk.post_salvage(one).status for one in made_up] == [200] * SALVAGES_MAX + [422]
    assert case.desk.post_salvage(salvage(case, 3)).status == 200
    nothing = b"".join(encode_salvage(case.order, [encode(Salvaged(1, 0, ()))]))
    assert case.desk.post_salvage(nothing).status == 200


def test_a_salvage_under_an_order_that_a_later_one_has_replaced_is_refused(case: Case) -> None:
    later = open_case(order_changes=lambda order: replace(order, counter=order.counter + 1))
    later.shelf = case.shelf
    assert later.desk.post_salvage(salvage(later, 3)).status == 200
    answer = case.desk.post_salvage(salvage(case, 3))
    assert (answer.status, reason(answer)) == (422, "a later order exists for this terminal")


# --- bytes that are none -------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"\xd2", bytes(100)])
def test_bytes_that_are_no_custody_are_refused_and_nothing_is_signed(case: Case, body: bytes) -> None:
    assert case.desk.post_seal(body, LATER).status == 422
    assert case.desk.post_certificate(body, LATER).status == 422


def test_a_post_that_ends_in_the_middle_is_refused(case: Case) -> None:
    whole = b"".join(encode_custody(case.order, case.seal, case.items))
    assert case.desk.post_seal(whole[:-1], LATER).status == 422


def with_books_changed(case: Case, change: Callable[[Posting], Posting | None]) -> Posting:
    """The acquirer's books as they would be with its first debit otherwise, or not there at all."""
    rows = [decode_row(*row) for row in case.ledger.rows()]
    first = next(
        row for row in rows if isinstance(row, Posting) and SIDE[row.transaction_class] is Side.DEBIT
        and row.tid == case.contexts[0].tid
    )  # fmt: skip
    changed_to = change(first)
    case.ledger = Ledger(MemoryStore())
    case.ledger.commit(
        [one for one in (changed_to if row is first else row for row in rows) if one is not None]
    )
    case.host = Host(case.ledger, HSM, booked(case.contexts))
    return first


@pytest.mark.parametrize(
    "change",
    [
        lambda sale: replace(sale, stan=999_998),
        lambda sale: replace(sale, card=bytes(32)),
        lambda sale: replace(sale, transaction_class=TransactionClass.ADJUSTMENT),
        lambda sale: replace(sale, currency=999),
    ],
    ids=["another transaction", "another card", "another class", "another currency"],
)
def test_books_with_the_same_totals_but_not_the_same_transactions_do_not_agree(
    change: Callable[[Posting], Posting],
) -> None:
    case = open_case()
    before = case.ledger.totals(case.contexts[0].tid, case.contexts[0].batch)
    with_books_changed(case, change)
    assert case.ledger.totals(case.contexts[0].tid, case.contexts[0].batch) == before
    case.settle()
    answer = case.post()
    assert (answer.status, reason(answer)) == (
        422,
        "context 0: the acquirer's books do not agree with the seal",
    )


def settle_with_a_forged_refusal(case: Case) -> int:
    """Everything is settled, but the last advice never reached the host. Its sequence number."""
    advice = [n for n, one in enumerate(case.shop.prepared.items, 1) if one.kind is ItemKind.ADVICE][-1]
    context = decode_item(case.items[advice - 1]).context
    journal: dict[int, Outcome] = {advice: Refused("05")}
    engine = settle(case.shop, context, journal, DIALECTS["cup"])
    assert converse(engine, case.host)[0][-1] == Finished()
    case.settle(1 - context)
    return advice


def test_a_thaw_learns_of_money_that_is_booked_whichever_message_brought_it() -> None:
    """Else it would be sold again into the next batch."""
    case = open_case()
    advice = settle_with_a_forged_refusal(case)
    reached = standing(case.seal_body, case.items, case.ledger)
    assert any(span.first <= advice <= span.last for span in reached.delivered)
    assert reached.closed == (0, 1)


def test_an_advice_whose_answer_was_a_refusal_but_whose_upload_was_booked_is_delivered() -> None:
    """Somebody on the line answered in the host's place: the host never had the advice."""
    case = open_case()
    settle_with_a_forged_refusal(case)
    assert not any(one.is_short for one in case.receipt().contexts)


def test_an_advice_that_came_after_the_end_of_its_batch_is_for_a_person() -> None:
    """77 says nothing about the sale: approving that as a refusal would throw it away."""
    case = open_case(behaviour=Refuses("0220", "77"))
    case.settle()
    answer = case.post()
    advice = sequence_of(case, ItemKind.ADVICE)
    assert (answer.status, reason(answer)) == (422, f"item {advice} came after the end of its batch")


def test_the_uploads_that_the_host_asked_for_are_missing_as_long_as_the_batch_is_open() -> None:
    case = open_case()
    with_books_changed(case, lambda sale: None)
    for kind in (ItemKind.REVERSAL, ItemKind.ADVICE, ItemKind.REFUND, ItemKind.TOTALS):
        for item in case.shop.prepared.items:
            if item.kind is kind:
                case.host.answer(item.message, LATER)
    kinds = {
        decode_item(case.items[sequence - 1]).kind
        for sequence in missing(case.post())
        if decode_item(case.items[sequence - 1]).context == 0
    }
    assert kinds - {ItemKind.CHIP_PROOF_UNBALANCED} == {
        ItemKind.UPLOAD,
        ItemKind.END_UNBALANCED,
        ItemKind.SIGN_OFF,
    }
    case.settle()
    assert case.post().status == 200


def sequence_of(case: Case, kind: ItemKind) -> int:
    return next(n for n, item in enumerate(case.shop.prepared.items, 1) if item.kind is kind)


def test_errors_that_cancel_out_in_the_totals_are_still_found() -> None:
    case = open_case()
    case.settle()
    context = case.contexts[0]
    booked = next(one for one in case.ledger.postings(context.tid, context.batch) if one.amount > 1)
    extra = replace(booked, stan=999_998, amount=1)
    case.ledger.commit([extra])
    answer = case.post()
    assert (answer.status, reason(answer)) == (
        422,
        "context 0: the acquirer's books do not agree with the seal",
    )


# --- refused and withheld


def test_what_the_host_refused_waits_for_a_second_signature() -> None:
    case = open_case(behaviour=Refuses("0220", "05"))
    case.settle()
    case.approver = False
    answer = case.post()
    assert (answer.status, reason(answer)) == (
        202,
        "something was refused: a second signer has to approve it",
    )
    case.approver = True
    receipts = case.receipts()
    assert len(receipts) == 2
    advices = [item for item in case.shop.prepared.items if item.kind is ItemKind.ADVICE]
    for context in case.receipt().contexts:
        own = [item.summary.amount for item in advices if item.context == context.index and item.summary]
        assert context.refused == Tally(len(own), sum(own))
        assert [one.code for one in context.refusals] == ["05"] * len(own)


def test_more_refusals_than_a_receipt_can_name_are_refused_with_a_reason(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = open_case(behaviour=Refuses("0220", "05"))
    refused.settle()
    monkeypatch.setattr(desk, "RECEIPTS_BYTES_MAX", sum(map(len, refused.receipts())) - 1)
    refused.shelf = MemoryShelf()
    answer = refused.post()
    assert (answer.status, reason(answer)) == (422, "more was refused than a receipt can name")


def test_a_receipt_that_breaks_a_bound_is_a_refusal_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    case = open_case(behaviour=Refuses("0220", "05"))
    case.settle()
    monkeypatch.setattr(desk, "receipt_over", lambda *most: replace(receipt_over(*most), remark="x" * 401))
    answer = case.post()
    assert answer.status == 422
    assert "remark" in reason(answer)


def test_offline_sales_after_the_cut_off_are_listed_as_withheld() -> None:
    case = open_case(cutoff_at=START_S)
    case.settle()
    withheld = case.shop.prepared.withheld
    assert withheld
    for context in case.receipt().contexts:
        own = [one for one in withheld if one.currency == context.currency]
        assert context.withheld == Tally(len(own), sum(one.amount for one in own))
        assert not context.is_short


def test_an_upload_that_was_refused_by_the_books_does_not_pass_as_agreed() -> None:
    """The books hold one transaction under another amount: uploads dispute it, and the desk does not sign."""
    case = open_case()
    context = case.contexts[0]
    booked = case.ledger.postings(context.tid, context.batch)[0]
    stranger: Posting = replace(booked, stan=booked.stan + 500_000, source=Source.ONLINE)
    case.ledger.commit([stranger])
    case.settle()
    assert case.post().status == 422


# --- the closure


def test_a_complete_certificate_is_closed_and_the_key_set_denied(case: Case) -> None:
    certificate = case.certificate()
    assert not case.ledger.is_denied(bytes(INITIAL_KEY_ID))
    answer = case.desk.post_certificate(certificate, LATER)
    assert answer.status == 200
    closure = open_document(answer.body, Closure).body
    assert closure.ksn_denied == (bytes(INITIAL_KEY_ID),)
    attestation = open_document(case.seal, Seal).sign1.kid
    assert closure.certificates_revoked == (attestation, CHANNEL_KEY_ID)
    assert closure.has_forgotten_the_terminal
    assert case.ledger.is_denied(bytes(INITIAL_KEY_ID))
    assert judge(certificate + answer.body, ANCHORS).state is State.COMPLETE


def test_the_closure_names_every_key_of_the_host_and_both_key_sets(case: Case) -> None:
    ksn = InitialKsn(bytes.fromhex("FFFF9876543210E00000"))
    terminals = (BookedTerminal(SERIAL, INITIAL_KEY_ID, CHANNEL_KEY_ID, case.contexts, ksn),)
    one = Desk(case.ledger, HSM, case.shelf, Signers("acquirer-a", HANDS.release, None), ANCHORS, terminals)
    closure = open_document(one.post_certificate(case.certificate(), LATER).body, Closure).body
    assert closure.ksn_denied == (INITIAL_KEY_ID, ksn)
    assert closure.keys_deleted == ("TMK", "TMK-TDES", "TPK", "TAK", "TDK")
    assert case.ledger.is_denied(ksn) and case.ledger.is_denied(INITIAL_KEY_ID)


def test_a_host_takes_nothing_more_after_the_closure(case: Case) -> None:
    case.desk.post_certificate(case.certificate(), LATER)
    answer = case.host.answer(case.shop.prepared.items[0].message, LATER)
    assert answer is not None
    assert decode(answer).text(39) == "58"


def test_the_same_certificate_gets_the_same_closure_again_and_one_denial(case: Case) -> None:
    certificate = case.certificate()
    first = case.desk.post_certificate(certificate, LATER)
    assert case.desk.post_certificate(certificate, LATER + DAY) == first
    denials = [kind for kind, _ in case.ledger.rows() if kind == "denial"]
    assert denials == ["denial"]


def test_a_certificate_over_an_order_that_a_later_one_replaced_closes_nothing(case: Case) -> None:
    certificate = case.certificate()
    later = open_case(order_changes=lambda order: replace(order, counter=order.counter + 1))
    later.shelf = case.shelf
    later.settle()
    assert later.post().status == 200
    answer = case.desk.post_certificate(certificate, LATER)
    assert (answer.status, reason(answer)) == (422, "a later order exists for this terminal")
    assert not case.ledger.is_denied(bytes(INITIAL_KEY_ID))


def test_an_old_certificate_does_not_close_the_terminals_next_life(case: Case) -> None:
    """Same serial, same order known, new keys: a technician signs the old documents once more."""
    old, again = case.certificate(), case.certificate(lambda body: replace(body, technician="Another"))
    assert old != again
    new = InitialKeyId(bytes.fromhex("1234567890129999"))
    signers = Signers("acquirer-a", HANDS.release, APPROVER)
    terminals = (BookedTerminal(SERIAL, new, CHANNEL_KEY_ID, case.contexts),)
    assert case.desk.post_certificate(old, LATER).status == 200
    answer = Desk(case.ledger, HSM, case.shelf, signers, ANCHORS, terminals).post_certificate(again, LATER)
    assert (answer.status, reason(answer)) == (422, "the terminal has new keys since this seal")
    assert not case.ledger.is_denied(bytes(new))


NEW_KEY_SET = InitialKeyId(bytes.fromhex("1234567890129999"))


def absent(case: Case, **changes: Any) -> bytes:
    """A certificate of a terminal that nobody reached any more; its order lists what to revoke."""
    revoke = open_document(case.order, Order).body.revoke
    return case.certificate(lambda body: replace(body, evidence=None, revoke=revoke, **changes))


def test_a_settled_terminal_that_has_new_keys_is_not_closed_as_absent_either() -> None:
    """Its order would revoke the keys of the next life, too."""
    case = open_case(order_changes=lambda order: replace(order, revoke=(INITIAL_KEY_ID, NEW_KEY_SET)))
    case.settle()
    assert case.post().status == 200
    terminals = (BookedTerminal(SERIAL, NEW_KEY_SET, CHANNEL_KEY_ID, case.contexts),)
    later = Desk(case.ledger, HSM, case.shelf, Signers("acquirer-a", HANDS.release, None), ANCHORS, terminals)
    answer = later.post_certificate(absent(case), LATER)
    assert (answer.status, reason(answer)) == (422, "the terminal has new keys since this seal")
    assert not case.ledger.is_denied(NEW_KEY_SET)


def test_a_certificate_over_salvaged_records_is_closed_once_they_are_here() -> None:
    case = open_case(order_changes=lambda order: replace(order, revoke=(INITIAL_KEY_ID,)))
    case.settle()
    salvaged = salvage_of([encode_salvaged(one.salvaged(156)) for one in case.shop.stored[:3]])
    certificate = absent(case, seal=None, receipts=(), salvage=salvaged)
    assert case.desk.post_salvage(salvage(case, 2)).status == 200
    answer = case.desk.post_certificate(certificate, LATER)
    assert (answer.status, reason(answer)) == (422, "its salvaged records are not here: they come first")
    assert not case.ledger.is_denied(INITIAL_KEY_ID)
    assert case.desk.post_salvage(salvage(case, 3)).status == 200
    assert case.desk.post_certificate(certificate, LATER).status == 200
    assert case.ledger.is_denied(INITIAL_KEY_ID)


@pytest.mark.parametrize(
    ("not_before", "not_after", "day"),
    [(NOW - 9 * DAY, NOW - 2 * DAY, "was over"), (NOW + 2 * DAY, NOW + 9 * DAY, "had not begun")],
)
def test_an_order_that_was_not_valid_when_it_froze_the_terminal_is_stale(
    not_before: int, not_after: int, day: str
) -> None:
    """The terminal's clock said otherwise; the laptop's, which the seal states as well, has to agree with it."""
    case = open_case(order_changes=lambda order: replace(order, not_before=not_before, not_after=not_after))
    case.settle()
    answer = case.post()
    assert (answer.status, reason(answer)) == (422, f"the order {day} when it froze the terminal")


@pytest.mark.parametrize("away_s", [-23 * 3600, 23 * 3600])
def test_a_laptops_clock_that_is_less_than_a_day_wrong_makes_no_order_stale(away_s: int) -> None:
    case = open_case()
    case.reseal(lambda body: replace(body, clock_offset_s=body.clock_offset_s - away_s))
    case.settle()
    assert case.post().status == 200


@pytest.mark.parametrize("lacking", ["evidence", "seal"])
def test_a_certificate_that_is_incomplete_is_refused_and_nothing_is_forgotten(
    case: Case, lacking: str
) -> None:
    def without(body: Any) -> Any:
        taken = (
            {"evidence": None} if lacking == "evidence" else {"seal": None, "receipts": (), "evidence": None}
        )
        return replace(body, **taken)

    answer = case.desk.post_certificate(case.certificate(without), LATER)
    assert (answer.status, reason(answer)) == (422, "the certificate is not complete at the terminal")
    assert not case.ledger.is_denied(bytes(INITIAL_KEY_ID))


def test_a_certificate_signed_after_the_technicians_day_is_refused(case: Case) -> None:
    answer = case.desk.post_certificate(case.certificate(), float(NOW + 2 * DAY))
    assert answer.status == 422
    assert not case.ledger.is_denied(bytes(INITIAL_KEY_ID))


def test_what_was_signed_survives_a_power_cut_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is made durable after the file has its name in it."""
    synced: list[tuple[bool, list[str]]] = []

    def witness(handle: int) -> None:
        synced.append(
            (stat.S_ISDIR(os.fstat(handle).st_mode), sorted(path.name for path in tmp_path.iterdir()))
        )

    monkeypatch.setattr(os, "fsync", witness)
    FolderShelf(tmp_path).put("receipts-1", b"signed")
    assert synced == [(False, [".receipts-1"]), (True, ["receipts-1"])]


# --- a certificate that supersedes another -------------------------------------------------------


def refunding_case(clearing_s: float) -> Case:
    """Everything sold after the cut-off, and given back by refunds that take ``clearing_s``."""
    case = open_case(cutoff_at=NOW, after=AfterCutoff.REFUND)
    case.clearing_s = clearing_s
    carry_out(begin_job(case), CaseStations(case), lambda step, words: None, Step.SETTLE)
    return case


def closed(case: Case, certificate: bytes, now: float) -> Closure:
    answer = case.desk.post_certificate(certificate, now)
    assert answer.status == 200, answer.body
    return open_document(answer.body, Closure).body


def superseding(case: Case, older: bytes, **changes: Any) -> bytes:
    """Signed by the same technician an hour later."""
    changes = {"supersedes": digest(older), "issued_at": int(LATER) + 3600, **changes}
    return case.certificate(lambda body: replace(body, **changes))


def test_refunds_are_open_until_the_banks_have_carried_them_out_and_a_later_closure_says_so() -> None:
    case = refunding_case(clearing_s=5 * 3600.0)
    refunds = sum(item.kind is ItemKind.REFUND for item in case.shop.prepared.items)
    assert refunds > 0
    first = case.certificate()
    closure = closed(case, first, LATER)
    assert closure.refunds_open == refunds
    assert judge(first + case.desk.post_certificate(first, LATER).body, ANCHORS).state is State.EXCEPTIONS
    second = superseding(case, first)
    later = closed(case, second, LATER + 6 * 3600)
    assert later.refunds_open == 0
    assert (later.ksn_denied, later.keys_deleted) == (closure.ksn_denied, closure.keys_deleted)


def test_refunds_that_are_through_leave_a_complete_certificate() -> None:
    case = refunding_case(clearing_s=0.0)
    certificate = case.certificate()
    assert closed(case, certificate, LATER).refunds_open == 0


def test_a_successor_closes_also_after_the_terminal_began_another_life(case: Case) -> None:
    first = case.certificate()
    before = closed(case, first, LATER)
    second = superseding(case, first)
    new = InitialKeyId(bytes.fromhex("1234567890129999"))
    terminals = (BookedTerminal(SERIAL, new, CHANNEL_KEY_ID, case.contexts),)
    signers = Signers("acquirer-a", HANDS.release, APPROVER)
    answer = Desk(case.ledger, HSM, case.shelf, signers, ANCHORS, terminals).post_certificate(
        second, LATER + 4000
    )
    assert open_document(answer.body, Closure).body.ksn_denied == before.ksn_denied
    assert not case.ledger.is_denied(bytes(new))


def test_a_successor_of_a_certificate_that_was_never_closed_is_judged_as_a_first_one(case: Case) -> None:
    """The technician's day was over before the desk saw the first."""
    first = case.certificate()
    second = superseding(case, first)
    assert closed(case, second, LATER + 4000).has_forgotten_the_terminal
    assert case.ledger.is_denied(INITIAL_KEY_ID)
    incomplete = superseding(case, second, evidence=None)
    case.shelf = MemoryShelf()
    answer = case.desk.post_certificate(incomplete, LATER + 4000)
    assert reason(answer) == "the certificate is not complete at the terminal"


def test_a_successor_that_differs_in_what_was_signed_is_refused(case: Case) -> None:
    first = case.certificate()
    closed(case, first, LATER)
    answer = case.desk.post_certificate(superseding(case, first, evidence=None), LATER + 4000)
    assert answer.status == 422
    assert "differs from the certificate that it supersedes" in reason(answer)


def test_a_successor_signed_after_the_technicians_day_is_refused(case: Case) -> None:
    first = case.certificate()
    closed(case, first, LATER)
    answer = case.desk.post_certificate(superseding(case, first), float(NOW + 2 * DAY))
    assert answer.status == 422
