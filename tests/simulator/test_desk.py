"""The release desk: counts again, names what is missing, refuses what does not fit, and repeats itself to the byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from document_chain import ANCHORS, DAY, NOW, OTHER_ACQUIRER, TERMINALS, Identity
from posdecom_protocol.aes_dukpt import HostDukpt, Ksn
from posdecom_protocol.certificates import Role
from posdecom_protocol.custody import encode_custody
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.iso8583 import IsoMessage, decode, seal
from posdecom_protocol.money import CardGroup, GroupTotals, Tally
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import ItemKind, decode_item, encode_item
from posdecom_protocol.secret import Secret
from posdecom_protocol.verdict import judge
from posdecom_simulator.acquirer.books import Posting, Source
from posdecom_simulator.acquirer.host import Behaviour
from release_case import CHANNEL_KEY_ID, LATER, Case, missing, open_case, reason
from shop import BDK, INITIAL_KEY_ID, START_S


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


def test_contexts_that_are_not_those_in_the_books_are_refused(case: Case) -> None:
    case.reseal(
        lambda seal: replace(seal, contexts=(replace(seal.contexts[0], tid="TERM0009"), seal.contexts[1]))
    )
    assert reason(case.post()) == "the seal's contexts are not those in the books"


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


@pytest.mark.parametrize("body", [b"", b"\xd2", bytes(100)])
def test_bytes_that_are_no_custody_are_refused_and_nothing_is_signed(case: Case, body: bytes) -> None:
    assert case.desk.post_seal(body, LATER).status == 422
    assert case.desk.post_certificate(body, LATER).status == 422


def test_a_post_that_ends_in_the_middle_is_refused(case: Case) -> None:
    whole = b"".join(encode_custody(case.order, case.seal, case.items))
    assert case.desk.post_seal(whole[:-1], LATER).status == 422


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
