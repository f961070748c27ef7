"""The dialect edc end to end: sums in field 63, 95 asks for the whole batch, and 960000 closes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from posdecom_agent.dialects import EDC, Delivered, Outcome, Refused
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.settlement import Finished
from posdecom_protocol.aes_dukpt import HostDukpt, Ksn
from posdecom_protocol.data_elements import BatchSums
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.iso8583 import IsoMessage, decode, seal
from posdecom_protocol.money import CardGroup, Tally
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import ItemKind
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.host import Behaviour, Host, ScriptedBehaviour
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.terminal.device import Context
from posdecom_world import oracle
from release_case import HSM, Case, CaseStations, begin_job, missing, open_case
from shop import BDK, CONTEXTS, START_S, booked, converse, settle

EDC_CONTEXT = Context(0, "acquirer-e", "223456789012345", "TERME001", 360, 9, "edc")
ALONE = (EDC_CONTEXT,)
MIXED = (CONTEXTS[0], Context(1, "acquirer-e", "223456789012345", "TERME001", 360, 9, "edc"))
NOON = START_S + 4 * 3600


class Differs(Behaviour):
    """A host whose books never seem to say the same."""

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return False


def edc_case(behaviour: Behaviour | None = None, seed: int = 3, cutoff_at: int = NOON) -> Case:
    return open_case(
        seed, 60, cutoff_at=cutoff_at, after=AfterCutoff.REFUND, preauths=Preauths.VOID, contexts=ALONE,
        behaviour=behaviour,
    )  # fmt: skip


def messages(case: Case, *kinds: ItemKind) -> list[IsoMessage]:
    return [decode(item.message) for item in case.shop.prepared.items if item.kind in kinds]


def kinds_sent(case: Case, sent: list[bytes]) -> set[ItemKind]:
    by_message = {item.message: item.kind for item in case.shop.prepared.items}
    return {by_message[message] for message in sent}


def assert_books(case: Case) -> None:
    """As the oracle counts them, to the last transaction."""
    cutoff = datetime.fromtimestamp(NOON, UTC).strftime("%y%m%d%H%M%S")
    rules = oracle.Rules(cutoff, refunds_after=True, voids_preauths=True)
    books = oracle.books_after(case.shop.day, 0, rules)
    found = [
        oracle.Booked(one.stan, one.transaction_class.name, one.group.name, one.amount)
        for one in case.ledger.postings(EDC_CONTEXT.tid, EDC_CONTEXT.batch)
    ]
    assert oracle.differences(books, found, {one.stan for one in case.shop.day}) == []


# --- messages


def test_the_settlement_requests_carry_the_sums_of_both_card_groups_without_groups() -> None:
    case = edc_case()
    first, last = messages(case, ItemKind.TOTALS, ItemKind.CLOSE)
    domestic, foreign = case.context(0).totals
    sums = BatchSums(domestic.debit + foreign.debit, domestic.credit + foreign.credit)
    assert (first.mti, first.text(3)) == ("0500", "920000")
    assert (last.mti, last.text(3)) == ("0500", "960000")
    assert first.text(63) == last.text(63) == sums.encode()
    assert first.text(49) == "360"


def test_sums_are_30_digits_count_before_amount() -> None:
    sums = BatchSums(Tally(12, 345), Tally(1, 99))
    assert sums.encode() == "012000000000345001000000000099"
    assert BatchSums.decode("012000000000345001000000000099") == sums


def test_an_upload_is_one_transaction_with_the_mti_and_stan_that_it_had() -> None:
    case = edc_case()
    by_stan = {one.stan: one for one in case.shop.day}
    uploads = [item for item in case.shop.prepared.items if item.kind is ItemKind.UPLOAD]
    seen = set()
    for item in uploads:
        message = decode(item.message)
        assert item.summary is not None
        mti, stan, blanks = message.text(62)[:4], int(message.text(62)[4:10]), message.text(62)[10:]
        assert (message.mti, stan, blanks) == ("0320", item.summary.stan, " " * 12)
        assert int(message.text(4)) == item.summary.amount
        if stan in by_stan:
            assert mti == ("0220" if by_stan[stan].rrn.isspace() else "0200")
            assert message.text(13) + message.text(12) == by_stan[stan].local_time[2:]
        seen.add(mti)
    assert seen == {"0200", "0220"}


# --- the conversation


def test_equal_sums_close_the_batch_without_uploads_and_without_sign_off() -> None:
    case = edc_case()
    events, sent = converse(settle(case.shop, 0, dialect=EDC), case.host)
    assert events[-1] == Finished()
    assert kinds_sent(case, sent) & {ItemKind.UPLOAD, ItemKind.CLOSE, ItemKind.SIGN_OFF} == set()
    end = case.ledger.batch_end(EDC_CONTEXT.tid, EDC_CONTEXT.batch)
    assert end is not None
    assert end.balanced
    assert_books(case)
    assert not case.receipt().contexts[0].is_short


def test_95_brings_every_record_and_then_the_close() -> None:
    case = edc_case(Differs())
    events, sent = converse(settle(case.shop, 0, dialect=EDC), case.host)
    assert events[-1] == Finished()
    uploads = [item.message for item in case.shop.prepared.items if item.kind is ItemKind.UPLOAD]
    close = [item.message for item in case.shop.prepared.items if item.kind is ItemKind.CLOSE]
    assert sent[-len(uploads) - 1 :] == uploads + close
    end = case.ledger.batch_end(EDC_CONTEXT.tid, EDC_CONTEXT.batch)
    assert end is not None
    assert (end.balanced, end.uploads_announced) == (False, len(uploads))
    assert case.ledger.unconfirmed(EDC_CONTEXT.tid, EDC_CONTEXT.batch) == []
    assert_books(case)
    assert not case.receipt().contexts[0].is_short


def test_what_the_books_lack_is_booked_from_its_upload() -> None:
    """The host lost a posting: its sums differ, it says 95, and the upload puts it back."""
    case = edc_case()
    lost = next(one for one in case.shop.day if one.posted and one.transaction_class.name == "SALE")
    whole = case.ledger.postings(EDC_CONTEXT.tid, EDC_CONTEXT.batch)
    case.ledger = Ledger(MemoryStore())
    case.ledger.seed_posted(one for one in whole if one.stan != lost.stan)
    case.host = Host(case.ledger, HSM, booked(ALONE))
    converse(settle(case.shop, 0, dialect=EDC), case.host)
    assert_books(case)


@pytest.mark.parametrize("differs", [False, True])
def test_dying_after_any_message_and_going_on_gives_the_same_books(differs: bool) -> None:
    whole = edc_case(Differs() if differs else None)
    _, sent = converse(settle(whole.shop, 0, dialect=EDC), whole.host)
    for cut in range(1, len(sent) + 1, 7):
        case = edc_case(Differs() if differs else None)
        journal: dict[int, Outcome] = {}
        converse(settle(case.shop, 0, dialect=EDC), case.host, journal=journal, messages_max=cut)
        events, _ = converse(settle(case.shop, 0, journal, EDC), case.host, journal=journal)
        assert events[-1] == Finished()
        assert_books(case)
        assert case.post().status == 200


def test_the_answer_to_the_totals_lost_comes_back_as_94_and_means_closed() -> None:
    case = edc_case()
    (totals,) = messages(case, ItemKind.TOTALS)
    host = edc_case(ScriptedBehaviour(lose_once={int(totals.text(11))}))
    journal: dict[int, Outcome] = {}
    events, sent = converse(settle(host.shop, 0, dialect=EDC), host.host, journal=journal)
    assert events[-1] == Finished()
    assert len(sent) == len(set(sent)) + 1
    sequence = next(n for n, item in enumerate(host.shop.prepared.items, 1) if item.kind is ItemKind.TOTALS)
    assert journal[sequence] == Delivered(balanced=True)


def test_a_close_before_the_uploads_is_refused_and_may_come_again() -> None:
    case = edc_case(Differs())
    (totals,), (close,) = messages(case, ItemKind.TOTALS), messages(case, ItemKind.CLOSE)
    codes = [decode(case.host.answer(one.encode(), 0.0) or b"").text(39) for one in (totals, close)]
    assert codes == ["95", "12"]
    assert case.ledger.batch_end(EDC_CONTEXT.tid, EDC_CONTEXT.batch) is None
    converse(settle(case.shop, 0, dialect=EDC), case.host)
    assert case.ledger.batch_end(EDC_CONTEXT.tid, EDC_CONTEXT.batch) is not None


def test_a_processing_code_that_is_no_settlement_is_refused() -> None:
    case = edc_case()
    (totals,) = messages(case, ItemKind.TOTALS)
    changed = replace(totals, fields={**totals.fields, 3: "930000"})
    ksn = Ksn.decode(totals.binary(53))
    with HostDukpt.from_bdk(Secret(BDK), ksn.initial_key_id).message_keys(ksn) as keys:
        answer = case.host.answer(seal(changed, lambda data: cmac8(keys.mac, data)), 0.0)
    assert answer is not None
    assert EDC.phases[4].judge(decode(answer)) == Refused("12")


# --- the desk, and both dialects in one terminal


def test_a_batch_whose_close_never_arrived_is_missing_exactly_that() -> None:
    case = edc_case(Differs())
    _, sent = converse(settle(case.shop, 0, dialect=EDC), edc_case(Differs()).host)
    converse(settle(case.shop, 0, dialect=EDC), case.host, messages_max=len(sent) - 1)
    close = next(n for n, item in enumerate(case.shop.prepared.items, 1) if item.kind is ItemKind.CLOSE)
    assert missing(case.post()) == [close]


def test_one_terminal_settles_a_batch_in_each_dialect_and_is_retired() -> None:
    case = open_case(7, 80, contexts=MIXED)
    job = begin_job(case)
    carry_out(job, CaseStations(case), lambda step, words: None)
    assert next_step(job) is Step.DONE
    assert [one.dialect for one in case.seal_body.contexts] == ["cup", "edc"]
    for context in MIXED:
        assert case.ledger.batch_end(context.tid, context.batch) is not None
