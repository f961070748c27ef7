"""The courier's walk from flush to closure over stations in memory: what it offers again, and where it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from document_chain import ANCHORS
from posdecom_agent import catalogue
from posdecom_agent.catalogue import Entry, Exit
from posdecom_agent.job import Job
from posdecom_agent.procedure import (
    CHANNEL_FAILURES_MAX,
    CUTS_MAX,
    DESK_POLLS_MAX,
    RESTARTS_MAX,
    ClosedBy,
    Declined,
    DeskReply,
    Missing,
    Pending,
    Receipts,
    SettleEnd,
    Step,
    Unreachable,
    carry_out,
    next_step,
)
from posdecom_agent.refusals import REFUSALS
from posdecom_agent.settlement import Reason, Stopped
from posdecom_agent.trouble import Trouble
from posdecom_agent.visit import (
    BadDocument,
    CutOff,
    Goal,
    Restarting,
    Silent,
    TurnedDown,
    Unplugged,
    VisitEnd,
    WasThawed,
    WrongTerminal,
)
from posdecom_protocol.data_elements import PROCESSING_SETTLEMENT, BatchTotals, Reply
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.iso8583 import IsoMessage, decode, frame_message
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.messages import Refusal
from posdecom_protocol.records import ItemKind
from posdecom_protocol.stack import ChannelOver, LinkOver
from posdecom_protocol.verdict import judge
from posdecom_simulator.acquirer.books import Exchange, decode_row
from posdecom_simulator.acquirer.host import Behaviour, Host
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from release_case import (
    HSM,
    Case,
    CaseStations,
    Wire,
    begin_job,
    open_case,
    salvaged_records,
    sequences_sent,
)
from shop import CONTEXTS, booked


def set_back(case: Case, sequence: int) -> None:
    """Host and desk with books that know nothing of one message, as if they had been restored from before it."""
    stan = int(decode(case.shop.prepared.items[sequence - 1].message).text(11))
    before = MemoryStore()
    before.append([row for row in case.ledger.rows() if not is_exchange(row, stan)])
    case.ledger = Ledger(before)
    case.host = Host(case.ledger, HSM, booked(case.contexts))


def is_exchange(row: tuple[str, bytes], stan: int) -> bool:
    about = decode_row(*row)
    return isinstance(about, Exchange) and about.stan == stan


def sign_off_of(case: Case) -> int:
    items = case.shop.prepared.items
    return next(number for number, item in enumerate(items, 1) if item.kind is ItemKind.SIGN_OFF)


class RefusesAdvices(Behaviour):
    def refusal(self, request: IsoMessage) -> str | None:
        return "05" if request.mti == "0220" else None


def walk(job: Job, stations: CaseStations) -> list[str]:
    told: list[str] = []
    carry_out(job, stations, lambda step, words: told.append(f"{step.value}: {words}"))
    return told


def test_a_job_walks_from_flush_to_a_closed_certificate() -> None:
    case = open_case()
    job, stations = begin_job(case), CaseStations(case)
    told = walk(job, stations)
    assert [line for line in told if line.endswith("begins")] == [
        f"{step.value}: begins" for step in Step if step not in (Step.REPLACE, Step.DONE)
    ]
    assert job.certificate is not None
    assert job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.COMPLETE


def test_a_message_that_the_books_lost_is_offered_again_and_nothing_else_is() -> None:
    case = open_case()
    job = begin_job(case)
    lost = sign_off_of(case)

    class LosesOne(CaseStations):
        def ask_receipt(self, job: Job) -> DeskReply:
            if "POST seals" not in self.asked:
                set_back(case, lost)
                self.sent.clear()
            return super().ask_receipt(job)

    stations = LosesOne(case)
    told = walk(job, stations)
    assert "agree: the desk misses 1 messages; offering them again" in told
    assert sequences_sent(case, stations.sent) == [lost]
    assert job.closure is not None


def test_what_is_still_missing_after_it_was_offered_again_is_for_a_person() -> None:
    case = open_case()
    job = begin_job(case)
    lost = sign_off_of(case)

    class NeverKeeps(CaseStations):
        def ask_receipt(self, job: Job) -> DeskReply:
            set_back(case, lost)
            return super().ask_receipt(job)

    with pytest.raises(Trouble) as caught:
        walk(job, NeverKeeps(case))
    assert caught.value.entry is catalogue.MISMATCH
    assert caught.value.cause == f"still missing after they were offered again: items {lost}"
    assert next_step(job) is Step.AGREE


def test_a_dead_host_leaves_a_job_that_waits_with_everything_in_custody() -> None:
    case = open_case()
    job, stations = begin_job(case), CaseStations(case, host_is_dead=True)
    with pytest.raises(Trouble) as caught:
        walk(job, stations)
    assert caught.value.entry is catalogue.HOST_UNREACHABLE
    assert job.custody_is_complete
    assert next_step(job) is Step.SETTLE
    stations.host_is_dead = False
    walk(job, stations)
    assert next_step(job) is Step.DONE


def test_a_second_signature_that_does_not_come_leaves_a_job_that_waits() -> None:
    case = open_case(count=12, behaviour=RefusesAdvices())
    case.approver = False
    job, stations = begin_job(case), CaseStations(case)
    with pytest.raises(Trouble) as caught:
        walk(job, stations)
    assert caught.value.entry is catalogue.WAITING
    assert next_step(job) is Step.AGREE
    case.approver = True
    walk(job, stations)
    assert len(job.receipts) == 2
    assert job.certificate is not None
    assert job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.EXCEPTIONS


# --- what comes next: the first thing that a job lacks -----------------------------------------------


def job_that_has(*parts: str) -> Job:
    case = open_case()
    job = begin_job(case)
    case.settle()
    receipts = case.receipts()
    if parts:
        job.keep_seal(case.seal)
    if "items" in parts:
        job.keep_items(1, case.items)
    if "one settled" in parts or "all settled" in parts:
        job.keep_settled(0)
    if "all settled" in parts:
        job.keep_settled(1)
    if "again" in parts:
        job.offer_again([1])
    if "receipts" in parts:
        job.keep_receipts(receipts)
    for kind in ("absent", "erasing", "evidence", "certificate", "closure"):
        if kind in parts:
            job.keep_once(kind, b"kept as it is")
    return job


SETTLED = ("seal", "items", "all settled")
RELEASED = ("seal", "items", "receipts")


@pytest.mark.parametrize(
    ("has", "step"),
    [
        ((), Step.FLUSH),
        (("seal",), Step.FLUSH),
        (("seal", "items"), Step.SETTLE),
        (("seal", "items", "one settled"), Step.SETTLE),
        (SETTLED, Step.AGREE),
        ((*SETTLED, "again"), Step.SETTLE),
        (("seal", "receipts"), Step.ERASE),
        (RELEASED, Step.ERASE),
        ((*RELEASED, "erasing"), Step.ERASE),
        ((*RELEASED, "evidence"), Step.CERTIFY),
        ((*RELEASED, "evidence", "certificate"), Step.CLOSE),
        ((*RELEASED, "evidence", "certificate", "closure"), Step.DONE),
        (("absent",), Step.CERTIFY),
        (("absent", "certificate"), Step.CLOSE),
        (("absent", "certificate", "closure"), Step.DONE),
    ],
)
def test_the_next_step_is_the_first_thing_that_is_missing(has: tuple[str, ...], step: Step) -> None:
    assert next_step(job_that_has(*has)) is step


# --- cut lines, restarts, and what else ends a visit ---------------------------------------------------

LINE_CUT = CutOff(LinkOver(CloseReason.TIMED_OUT))
NOBODY = CutOff(LinkOver(CloseReason.NO_ANSWER))
NO_CHANNEL = CutOff(ChannelOver("its certificate is of another maker"))
UNPLUGGED = CutOff(Unplugged("the device is gone"))


@dataclass
class Scripted(CaseStations):
    """Visits end as ``ends`` says, and then well; ``pauses`` notes each wait."""

    ends: Iterator[VisitEnd] = field(default_factory=lambda: iter(()))
    visits: int = 0
    pauses: int = 0

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        self.visits += 1
        end = next(self.ends, None)
        return super().visit(job, goal) if end is None else end

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.pauses += 1


def forever(end: VisitEnd) -> Iterator[VisitEnd]:
    while True:
        yield end


def trouble_of(job: Job, stations: CaseStations) -> Trouble:
    with pytest.raises(Trouble) as caught:
        walk(job, stations)
    return caught.value


@pytest.mark.parametrize(
    ("end", "visits", "entry", "exit_code"),
    [
        (LINE_CUT, CUTS_MAX + 1, catalogue.LINK_LOST, Exit.LINK_LOST),
        (UNPLUGGED, CUTS_MAX + 1, catalogue.LINK_LOST, Exit.LINK_LOST),
        (NO_CHANNEL, CHANNEL_FAILURES_MAX + 1, catalogue.PEER_REFUSED, Exit.PROTOCOL),
        (NOBODY, 1, catalogue.NO_TERMINAL, Exit.NO_TERMINAL),
        (CutOff(LinkOver(CloseReason.NO_COMMON_VERSION)), 1, catalogue.PROTOCOL, Exit.PROTOCOL),
        (Silent(), 1, catalogue.LINK_LOST, Exit.LINK_LOST),
        (WrongTerminal("T-0002"), 1, catalogue.WRONG_TERMINAL, Exit.NO_TERMINAL),
        (WasThawed(), 1, catalogue.THAWED, Exit.NOTHING_TO_DO),
        (BadDocument(DocumentError("seal", "is forged")), 1, catalogue.DOCUMENT, Exit.FORGED),
        (Restarting(), RESTARTS_MAX + 1, catalogue.ERASE_UNVERIFIED, Exit.ERASE_UNVERIFIED),
    ],
)
def test_a_visit_that_always_ends_so_is_given_up_with_its_name(
    end: VisitEnd, visits: int, entry: Entry, exit_code: Exit
) -> None:
    case = open_case()
    stations = Scripted(case, ends=forever(end))
    trouble = trouble_of(begin_job(case), stations)
    assert (trouble.entry, trouble.exit) == (entry, exit_code)
    assert stations.visits == visits
    assert stations.pauses == visits - 1


@pytest.mark.parametrize(
    ("request_name", "reason", "entry"),
    [
        ("OfferOrder", Refusal.ORDER_NOT_VALID_NOW, catalogue.ORDER_REFUSED),
        ("OfferOrder", Refusal.BUSY, catalogue.WAITING),
        ("OfferOrder", Refusal.TAMPERED, catalogue.ORDER_REFUSED),
        ("ReadItems", Refusal.STATE, catalogue.PROTOCOL),
        ("OfferRelease", Refusal.CHALLENGE, catalogue.ERASE_REFUSED),
        ("StartErase", Refusal.ACTION, catalogue.ERASE_REFUSED),
        ("GetProof", Refusal.NOT_FOUND, catalogue.ERASE_UNVERIFIED),
    ],
)
def test_a_refusal_is_told_by_what_was_refused(request_name: str, reason: Refusal, entry: Entry) -> None:
    case = open_case()
    ends: Iterator[VisitEnd] = iter([TurnedDown(request_name, reason)])
    trouble = trouble_of(begin_job(case), Scripted(case, ends=ends))
    assert trouble.entry is entry
    assert trouble.cause == REFUSALS[reason]


def test_a_tampered_terminal_whose_records_are_here_is_told_by_them_and_their_sums() -> None:
    case = open_case()
    job = begin_job(case)
    job.keep_salvaged(salvaged_records(case, 3))
    stations = Scripted(case, ends=iter([TurnedDown("OfferOrder", Refusal.TAMPERED)]))
    trouble = trouble_of(job, stations)
    assert trouble.entry is catalogue.SALVAGED
    assert trouble.cause == (
        "TAMPERED before any order froze it; 3 records are in custody, unsigned; 1,090.29 CNY (2) - 0.00 CNY (0)"
    )


def test_every_refusal_has_its_words() -> None:
    assert set(REFUSALS) == set(Refusal)


@pytest.mark.parametrize("end", [LINE_CUT, UNPLUGGED])
def test_a_line_that_comes_back_in_time_is_no_trouble(end: VisitEnd) -> None:
    case = open_case()
    job, stations = begin_job(case), Scripted(case, ends=iter([end] * CUTS_MAX))
    told = walk(job, stations)
    assert next_step(job) is Step.DONE
    assert told.count("flush: line cut, trying again") == CUTS_MAX


def test_cuts_are_counted_afresh_where_a_visit_brought_something() -> None:
    class OneItemAVisit(Scripted):
        def visit(self, job: Job, goal: Goal) -> VisitEnd:
            job.keep_seal(self.case.seal)
            if job.custody_is_complete:
                return super().visit(job, goal)
            job.keep_items(job.items_stored + 1, self.case.items[job.items_stored :][:1])
            return LINE_CUT

    case = open_case()
    job = begin_job(case)
    assert len(case.items) > CUTS_MAX, "or this shows nothing"
    walk(job, OneItemAVisit(case))
    assert next_step(job) is Step.DONE


def test_a_terminal_that_restarts_into_its_erase_may_be_away_for_a_while() -> None:
    class Restarts(Scripted):
        def visit(self, job: Job, goal: Goal) -> VisitEnd:
            if goal is Goal.ERASE and not job.erase_was_started:
                job.keep_once("erasing")
                self.ends = iter([Restarting(), NOBODY, UNPLUGGED, Restarting()])
            return super().visit(job, goal)

    case = open_case()
    job = begin_job(case)
    told = walk(job, Restarts(case))
    assert next_step(job) is Step.DONE
    assert "erase: the terminal restarts" in told


# --- host and desk --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "entry"),
    [
        (Reason.NO_ANSWER, catalogue.HOST_UNREACHABLE),
        (Reason.STREAM_BROKEN, catalogue.HOST_UNREACHABLE),
        (Reason.CONTRADICTION, catalogue.MISMATCH),
        (Reason.BAD_ITEM, catalogue.MISMATCH),
    ],
)
def test_a_conversation_that_stops_says_why_and_where(reason: Reason, entry: Entry) -> None:
    class Stops(CaseStations):
        def settle(self, job: Job, context: SealedContext) -> SettleEnd:
            return Stopped(reason, 7)

    case = open_case()
    job = begin_job(case)
    trouble = trouble_of(job, Stops(case))
    assert trouble.entry is entry
    assert trouble.cause == f"{reason.value}, at item 7"
    assert next_step(job) is Step.SETTLE


def refuses_totals(request: IsoMessage) -> str | None:
    return "05" if request.mti == "0500" else None


def balances_totals(request: IsoMessage) -> str | None:
    return "00" if request.mti == "0500" else None


def demands_uploads(request: IsoMessage) -> str | None:
    return "95" if request.mti == "0500" and request.text(3) == PROCESSING_SETTLEMENT else None


def takes_everything(request: IsoMessage) -> str | None:
    return "00"


Forge = Callable[[IsoMessage], str | None]


@dataclass
class ForgedWire(Wire):
    """Somebody on the way answers a message that he likes, once, and swallows it."""

    forge: Forge = takes_everything
    forged: set[bytes] = field(default_factory=set)

    def send(self, data: bytes) -> None:
        message = data[2:]
        code = None if message in self.forged else self.forge(decode(message))
        if code is None:
            super().send(data)
            return
        self.forged.add(message)
        request = decode(message)
        fields = {n: request.fields[n] for n in (3, 4, 11, 41, 42, 49, 60) if n in request.fields}
        if 48 in request.fields and request.mti == "0500":
            totals = BatchTotals.decode(request.text(48)).groups
            fields[48] = BatchTotals(totals, (Reply.BALANCED, Reply.BALANCED)).encode()
        self._answers.append(frame_message(request.answer({**fields, 39: code}).encode()))


@dataclass
class ForgedHost(CaseStations):
    forge: Forge = takes_everything
    forged: set[bytes] = field(default_factory=set)

    def connect(self) -> Wire:
        return ForgedWire(self.case, self.sent, forge=self.forge, forged=self.forged)


@pytest.mark.parametrize("dialect", ["cup", "edc"])
@pytest.mark.parametrize("forge", [refuses_totals, balances_totals, takes_everything])
def test_what_somebody_on_the_way_answered_for_the_host_is_mended_by_what_the_desk_names(
    dialect: str, forge: Forge
) -> None:
    case = open_case(contexts=tuple(replace(context, dialect=dialect) for context in CONTEXTS))
    job, stations = begin_job(case), ForgedHost(case, forge=forge)
    walk(job, stations)
    assert stations.forged, "or this shows nothing"
    assert job.certificate is not None
    assert job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.COMPLETE


def test_a_forged_demand_of_the_whole_batch_leaves_no_job_that_stands_still() -> None:
    """The batch is over when the totals come at last; what the host says to them then, the desk judges."""
    case = open_case(contexts=tuple(replace(context, dialect="edc") for context in CONTEXTS))
    job, stations = begin_job(case), ForgedHost(case, forge=demands_uploads)
    walk(job, stations)
    assert stations.forged, "or this shows nothing"
    assert next_step(job) is Step.DONE


def test_totals_that_the_host_itself_refuses_wait_for_a_second_signature() -> None:
    class Refuses(Behaviour):
        def refusal(self, request: IsoMessage) -> str | None:
            return refuses_totals(request)

    case = open_case(behaviour=Refuses())
    case.approver = False
    job, stations = begin_job(case), CaseStations(case)
    told: list[str] = []
    for _ in range(2):
        with pytest.raises(Trouble) as caught:
            carry_out(job, stations, lambda step, words: told.append(words))
        assert caught.value.entry is catalogue.WAITING
    assert any(words.startswith("the totals were refused, at item") for words in told)
    assert not job.receipts
    case.approver = True
    walk(job, stations)
    assert len(job.receipts) == 2
    assert job.certificate is not None and job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.EXCEPTIONS


@dataclass
class MoodyDesk(CaseStations):
    """A desk that answers what a test wants."""

    receipt_replies: Iterator[DeskReply] = field(default_factory=lambda: iter(()))
    closure_replies: Iterator[DeskReply] = field(default_factory=lambda: iter(()))
    pauses: int = 0

    def ask_receipt(self, job: Job) -> DeskReply:
        return next(self.receipt_replies, None) or super().ask_receipt(job)

    def ask_closure(self, job: Job) -> DeskReply:
        return next(self.closure_replies, None) or super().ask_closure(job)

    def pause(self, seconds: float) -> None:
        self.pauses += 1


def always(reply: DeskReply) -> Iterator[DeskReply]:
    while True:
        yield reply


DESK = "the release desk cannot be reached"


@pytest.mark.parametrize("asked", ["receipt_replies", "closure_replies"])
@pytest.mark.parametrize(
    ("reply", "entry", "said"),
    [
        (Pending("two have to sign"), catalogue.WAITING, "the job waits for the acquirer's "),
        (Declined("stale"), catalogue.MISMATCH, "the acquirer's books do not agree"),
        (Unreachable("no route"), catalogue.HOST_UNREACHABLE, DESK),
    ],
)
def test_a_desk_that_does_not_sign_is_told_and_the_job_goes_on_later(
    asked: str, reply: DeskReply, entry: Entry, said: str
) -> None:
    case = open_case()
    job = begin_job(case)
    stations = MoodyDesk(case, **{asked: always(reply)})  # type: ignore[arg-type]
    trouble = trouble_of(job, stations)
    assert trouble.entry is entry
    assert trouble.message.startswith(said)
    assert stations.pauses == (DESK_POLLS_MAX if entry is catalogue.WAITING else 0)
    assert next_step(job) is (Step.AGREE if asked == "receipt_replies" else Step.CLOSE)
    walk(job, CaseStations(case))
    assert next_step(job) is Step.DONE


@pytest.mark.parametrize("asked", ["receipt_replies", "closure_replies"])
def test_a_desk_that_signs_within_the_minute_is_waited_for(asked: str) -> None:
    case = open_case()
    replies: Iterator[DeskReply] = iter([Pending("two have to sign")] * 5)
    stations = MoodyDesk(case, **{asked: replies})  # type: ignore[arg-type]
    job = begin_job(case)
    walk(job, stations)
    assert next_step(job) is Step.DONE
    assert stations.pauses == 5


@pytest.mark.parametrize(
    ("asked", "reply"),
    [("receipt_replies", ClosedBy(b"closure")), ("closure_replies", Receipts((b"receipt",)))],
)
def test_what_answers_something_else_is_no_desk(asked: str, reply: DeskReply) -> None:
    case = open_case()
    trouble = trouble_of(begin_job(case), MoodyDesk(case, **{asked: always(reply)}))  # type: ignore[arg-type]
    assert trouble.entry is catalogue.HOST_UNREACHABLE
    assert trouble.message == DESK


def test_a_desk_that_misses_more_than_there_is_is_not_believed() -> None:
    case = open_case()
    job = begin_job(case)
    stations = MoodyDesk(case, receipt_replies=always(Missing((len(case.items) + 1,))))
    trouble = trouble_of(job, stations)
    assert trouble.message == DESK
    assert trouble.cause == "what answers there is no release desk: it misses items that there are not"
    walk(job, CaseStations(case))
    assert next_step(job) is Step.DONE


def test_a_desk_that_misses_ever_more_is_asked_so_often_and_no_more() -> None:
    case = open_case(count=120)
    assert len(case.items) > DESK_POLLS_MAX, "or this shows nothing"
    job = begin_job(case)
    replies: Iterator[DeskReply] = (Missing((sequence,)) for sequence in range(1, len(case.items)))
    assert trouble_of(job, MoodyDesk(case, receipt_replies=replies)).entry is catalogue.WAITING


def test_a_receipt_over_another_seal_is_not_kept() -> None:
    other = open_case(seed=2)
    other.settle()
    case = open_case()
    job = begin_job(case)
    with pytest.raises(DocumentError, match="receipt: is over another seal"):
        walk(job, MoodyDesk(case, receipt_replies=iter([Receipts(other.receipts())])))
    assert job.receipts == ()
    walk(job, CaseStations(case))
    assert next_step(job) is Step.DONE


@pytest.mark.parametrize("step", [step for step in Step if step not in (Step.REPLACE, Step.DONE)])
def test_an_interrupt_in_any_step_leaves_a_job_that_goes_on(step: Step) -> None:
    case = open_case()
    job = begin_job(case)

    def interrupt(at: Step, words: str) -> None:
        if at is step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(job, CaseStations(case), interrupt)
    assert next_step(job) is step
    walk(job, CaseStations(case))
    assert next_step(job) is Step.DONE


def test_a_job_that_is_done_asks_nobody() -> None:
    case = open_case()
    job = begin_job(case)
    walk(job, CaseStations(case))
    stations = Scripted(case)
    assert walk(job, stations) == []
    assert (stations.visits, stations.asked, stations.sent) == (0, [], [])


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.9])
def test_books_restored_from_an_older_copy_are_healed_by_what_is_offered_again(kept: float) -> None:
    """Acknowledged rows are gone, whichever they were; the history of online sales is not."""
    case = open_case(count=12)
    history = len(tuple(case.ledger.rows()))
    job = begin_job(case)
    carry_out(job, CaseStations(case), lambda step, words: None, Step.SETTLE)
    rows = tuple(case.ledger.rows())
    store = MemoryStore()
    store.append(rows[: history + int(kept * (len(rows) - history))])
    case.ledger = Ledger(store)
    case.host = Host(case.ledger, HSM, booked(case.contexts))
    walk(job, CaseStations(case))
    assert next_step(job) is Step.DONE
