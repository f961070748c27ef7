"""A visit asks for what the job lacks, keeps what it has judged, and names what ended it: state by state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import pytest

from document_chain import ANCHORS, APPROVER, BY_ROLE, HANDS, SERIAL, SHIFT, TERMINALS, Identity
from memory_line import NOW, MemoryLine
from posdecom_agent.approach import Access
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal
from posdecom_agent.reading import GROUP_S, ITEMS_PER_READ, READS_AHEAD, Reading
from posdecom_agent.visit import (
    ANSWER_S,
    BUSY_RETRIES_MAX,
    BUSY_RETRY_S,
    NEXT,
    BadDocument,
    CutOff,
    Goal,
    Reached,
    Restarting,
    Silent,
    TurnedDown,
    Visit,
    VisitEnd,
    WasThawed,
    WrongTerminal,
)
from posdecom_protocol.certificates import Role, validate
from posdecom_protocol.channel import Channel
from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Mode
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.greeting import Feature, Hello, Service, Welcome
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR, LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.messages import (
    Confirmed,
    Erasing,
    GetProof,
    Items,
    OfferOrder,
    OfferRelease,
    PackedItems,
    Proof,
    ProofKind,
    ReadItems,
    ReadPacked,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Sealed,
    StartErase,
    Thawed,
)
from posdecom_protocol.packed_items import pack
from posdecom_protocol.stack import Arrived, ChannelOver, Opened, Stack
from posdecom_simulator.world.channel import StubChannel
from release_case import Case, begin_job, open_case

OUT_OF_PLACE = CutOff(ChannelOver("the terminal sent a message out of place"))
TERMINAL_PEER = validate(BY_ROLE[Role.TERMINAL_CHANNEL].chain, ANCHORS, Role.TERMINAL_CHANNEL, None)
TECHNICIAN_PEER = validate(BY_ROLE[Role.TECHNICIAN_CHANNEL].chain, ANCHORS, Role.TECHNICIAN_CHANNEL, None)
OTHER_KEY = Identity("the same terminal with another key", SERIAL).hand(TERMINALS, Role.TERMINAL)
STRANGER = Identity("another terminal", "T-0002").hand(TERMINALS, Role.TERMINAL)


@dataclass
class Paper:
    """A settled case with every document that its terminal will hold."""

    case: Case
    receipts: tuple[bytes, ...]
    evidence: bytes


@lru_cache(maxsize=2)
def paper(count: int = 40) -> Paper:
    case = open_case(count=count)
    case.settle()
    receipts = case.receipts()
    return Paper(case, receipts, case.evidence(receipts))


@dataclass
class ScriptedTerminal:
    """Answers as the terminal of a case would, but for what a test puts into ``says`` by type of request."""

    paper: Paper
    state: LifecycleState
    says: Mapping[type[object], tuple[Reply, ...]] = field(default_factory=dict)
    serial: str = SERIAL
    hangs_up_after: type[object] | None = None
    when_asked: Callable[[Request], None] = lambda _: None
    asked: list[Request] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    waiting: list[Reply] = field(default_factory=list)
    features: int = 0
    stack: Stack = field(init=False)

    def __post_init__(self) -> None:
        self.stack = Stack(Link.acceptor(self._welcome, NOW, line_rate_bytes_per_s=None), self._channel_for)

    def receive(self, data: bytes, now: float) -> None:
        self.stack.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self.stack.tick(now)
        self._turn(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self.stack.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        return self.stack.deadline()

    def _welcome(self, hello: Hello) -> Welcome:
        return Welcome(
            hello.connection_id, self.state, False, "Acme", "T1", self.serial, features=self.features
        )

    def _channel_for(self, hello: Welcome | Hello) -> Channel | None:
        assert isinstance(hello, Hello)
        self.services.append(hello.service)
        return StubChannel(TECHNICIAN_PEER, server_side=True) if hello.service is Service.CHANNEL else None

    def _turn(self, now: float) -> None:
        for event in self.stack.events():
            match event:
                case Opened(peer) if peer is not None:
                    self.stack.send(Confirmed(self.state, tampered=False))
                case Arrived(message):
                    assert isinstance(message, Request)
                    self.asked.append(message)
                    self.when_asked(message)
                    self.waiting += self.says.get(type(message), ()) or self._reply(message)
                    self._send()
                    if type(message) is self.hangs_up_after:
                        self.stack.close(now)
                case _:
                    pass
        self._send()

    def _send(self) -> None:
        while self.waiting and self.stack.is_ready:
            self.stack.send(self.waiting.pop(0))

    def _reply(self, request: Request) -> tuple[Reply, ...]:
        if type(request) in self.says:
            return ()
        match request:
            case OfferOrder():
                return (Sealed(self.paper.case.seal),)
            case ReadItems(first, count):
                return (Items(first, tuple(self.paper.case.items[first - 1 : first - 1 + count])),)
            case ReadPacked(first, count):
                return (pack(Items(first, tuple(self.paper.case.items[first - 1 : first - 1 + count]))),)
            case OfferRelease():
                return (Released(LifecycleState.SETTLED),)
            case StartErase():
                return (Erasing(),)
            case GetProof(kind):
                return (self._proof(kind),)
            case _:
                raise AssertionError("a visit asks for nothing else")

    def _proof(self, kind: ProofKind) -> Reply:
        first, *second = self.paper.receipts
        held = {
            ProofKind.SEAL: self.paper.case.seal,
            ProofKind.RECEIPT: first,
            ProofKind.EVIDENCE: self.paper.evidence,
        }
        if second:
            held[ProofKind.SECOND_RECEIPT] = second[0]
        return Proof(kind, held[kind]) if kind in held else Refused(Refusal.NOT_FOUND)


@dataclass
class Met:
    """What became of one visit."""

    end: VisitEnd | None
    job: Job
    terminal: ScriptedTerminal
    seconds: float

    @property
    def asked(self) -> list[Request]:
        return self.terminal.asked

    @property
    def kinds(self) -> list[str]:
        return [
            request.kind.name if isinstance(request, GetProof) else type(request).__name__
            for request in self.asked
        ]


def access() -> Access:
    numbers = iter(range(1, 1000))
    return Access(
        lambda serial: StubChannel(TERMINAL_PEER, server_side=False),
        ANCHORS,
        lambda count: next(numbers).to_bytes(count, "big"),
    )


def visit(terminal: ScriptedTerminal, goal: Goal, job: Job | None = None, limit_s: float = 300) -> Met:
    job = job or begin_job(terminal.paper.case)
    one = Visit(job, access(), goal, NOW)
    line = MemoryLine(one, terminal)
    line.run(lambda: one.is_over, limit_s)
    return Met(one.end, job, terminal, line.now - NOW)


def job_with(*parts: str, of: Paper | None = None) -> Job:
    """A job that holds these of the case: ``seal``, ``items``, ``some items``, ``receipts``, ``evidence``."""
    held = of or paper()
    job = begin_job(held.case)
    if parts:
        job.keep_seal(held.case.seal)
    if "items" in parts:
        job.keep_items(1, held.case.items)
    if "some items" in parts:
        job.keep_items(1, held.case.items[:5])
    if "receipts" in parts:
        job.keep_receipts(held.receipts)
    if "evidence" in parts:
        job.keep_once("evidence", held.evidence)
    return job


# --- the table: state, goal, what the job has, what is asked for, how it ends ------------------------

S = LifecycleState
ALL_PROOFS = ["SEAL", "RECEIPT", "SECOND_RECEIPT"]


@pytest.mark.parametrize(
    ("state", "goal", "has", "kinds", "end"),
    [
        (S.ACTIVE, Goal.FLUSH, (), ["OfferOrder", "ReadItems"], Reached()),
        (S.ACTIVE, Goal.FLUSH, ("seal",), [], WasThawed()),
        (S.ACTIVE, Goal.ERASE, ("seal", "items", "receipts"), [], WasThawed()),
        (S.FROZEN, Goal.FLUSH, (), ["OfferOrder", "ReadItems"], Reached()),
        (S.FROZEN, Goal.FLUSH, ("some items",), ["ReadItems"], Reached()),
        (S.FROZEN, Goal.FLUSH, ("items",), [], Reached()),
        (S.FROZEN, Goal.ERASE, ("items", "receipts"), ["OfferRelease", "StartErase"], Restarting()),
        (S.FROZEN, Goal.ERASE, ("receipts",), ["ReadItems", "OfferRelease", "StartErase"], Restarting()),
        (S.SETTLED, Goal.FLUSH, (), ALL_PROOFS, Reached()),
        (S.SETTLED, Goal.FLUSH, ("some items",), ALL_PROOFS[1:], Reached()),
        (S.SETTLED, Goal.ERASE, ("items", "receipts"), ["StartErase"], Restarting()),
        (S.EXCEPTED, Goal.ERASE, (), [*ALL_PROOFS, "StartErase"], Restarting()),
        (S.ERASING, Goal.ERASE, ("items", "receipts"), [], Restarting()),
        (S.ERASED, Goal.ERASE, ("items", "receipts"), [], Restarting()),
        (S.RETIRED, Goal.ERASE, ("items", "receipts"), ["EVIDENCE"], Reached()),
        (S.RETIRED, Goal.FLUSH, (), [*ALL_PROOFS, "EVIDENCE"], Reached()),
        (S.BLANK, Goal.ERASE, ("items", "receipts"), ["EVIDENCE"], Reached()),
        (S.RETIRED, Goal.ERASE, ("items", "receipts", "evidence"), [], Reached()),
    ],
)
def test_what_is_asked_follows_from_state_and_job(
    state: LifecycleState, goal: Goal, has: tuple[str, ...], kinds: list[str], end: VisitEnd
) -> None:
    met = visit(ScriptedTerminal(paper(), state), goal, job_with(*has))
    assert met.kinds == kinds
    assert met.end == end
    clear = state in PROOFS_IN_CLEAR
    assert met.terminal.services == [Service.IDENTIFY, Service.PROOFS if clear else Service.CHANNEL]


def test_every_state_has_its_row() -> None:
    assert set(NEXT) == set(LifecycleState)


def test_a_flush_keeps_the_seal_and_every_item_as_they_came() -> None:
    held = paper(120)
    met = visit(ScriptedTerminal(held, S.ACTIVE), Goal.FLUSH)
    assert met.job.seal is not None and met.job.seal.data == held.case.seal
    assert list(met.job.items()) == held.case.items
    assert met.job.custody_is_complete


def test_items_are_read_in_bulk_and_several_bulks_are_under_way() -> None:
    held = paper(320)
    count = len(held.case.items)
    assert count > READS_AHEAD * ITEMS_PER_READ, "or this shows nothing"
    silent = ScriptedTerminal(held, S.FROZEN, {ReadItems: ()})
    assert visit(silent, Goal.FLUSH).end == Silent()
    whole = visit(ScriptedTerminal(held, S.FROZEN), Goal.FLUSH).asked[1:]
    firsts = list(range(1, count + 1, ITEMS_PER_READ))
    assert whole == [ReadItems(first, min(ITEMS_PER_READ, count + 1 - first)) for first in firsts]
    assert silent.asked[1:] == whole[:READS_AHEAD]


def test_items_are_read_packed_where_the_greeting_says_so() -> None:
    held = paper(120)
    met = visit(ScriptedTerminal(held, S.FROZEN, features=Feature.PACKED_ITEMS), Goal.FLUSH)
    assert met.end == Reached()
    assert {type(request) for request in met.asked} == {OfferOrder, ReadPacked}
    assert list(met.job.items()) == held.case.items


def test_items_that_do_not_unpack_are_not_kept() -> None:
    lies: dict[type[object], tuple[Reply, ...]] = {ReadPacked: (PackedItems(1, 1, 9, b"\xff"),)}
    met = visit(ScriptedTerminal(paper(), S.FROZEN, lies, features=Feature.PACKED_ITEMS), Goal.FLUSH)
    assert isinstance(met.end, BadDocument)
    assert met.job.items_stored == 0


def test_what_arrives_within_a_fifth_of_a_second_is_synced_together() -> None:
    held = paper(120)
    job, items = job_with(), held.case.items
    job.keep_seal(held.case.seal)
    reading = Reading(job)
    reading.begin()
    reading.take(Items(1, tuple(items[:2])), NOW)
    assert job.items_stored == 2
    reading.take(Items(3, tuple(items[2:4])), NOW + 0.01)
    reading.take(Items(5, tuple(items[4:6])), NOW + 0.02)
    assert job.items_stored == 2
    assert reading.due_at == NOW + GROUP_S
    reading.store(NOW + GROUP_S)
    assert job.items_stored == 6
    assert reading.due_at is None
    reading.take(Items(7, tuple(items[6:])), NOW + GROUP_S + 0.01)
    assert job.custody_is_complete


def test_a_flush_goes_on_after_the_last_item_that_is_in_custody() -> None:
    met = visit(ScriptedTerminal(paper(), S.FROZEN), Goal.FLUSH, job_with("some items"))
    assert met.asked[0] == ReadItems(6, len(paper().case.items) - 5)
    assert list(met.job.items()) == paper().case.items


def test_two_receipts_are_fetched_where_the_release_has_two() -> None:
    held = paper()
    exception = Paper(held.case, (held.receipts[0], second_signature(held.receipts[0])), held.evidence)
    met = visit(ScriptedTerminal(exception, S.EXCEPTED), Goal.FLUSH)
    assert met.end == Reached()
    assert met.job.receipts == exception.receipts


def second_signature(receipt: bytes) -> bytes:
    return issue(open_document(receipt, Receipt).body, APPROVER)


# --- the erase ---------------------------------------------------------------------------------------


def test_the_mark_of_the_erase_is_in_the_journal_when_the_terminal_is_asked() -> None:
    job = job_with("items", "receipts")
    marks: list[tuple[str, bool]] = []

    def note(request: Request) -> None:
        marks.append((type(request).__name__, job.erase_was_started))

    visit(ScriptedTerminal(paper(), S.FROZEN, when_asked=note), Goal.ERASE, job)
    assert marks == [("OfferRelease", False), ("StartErase", True)]


def test_the_erase_names_the_first_receipt() -> None:
    met = visit(ScriptedTerminal(paper(), S.SETTLED), Goal.ERASE, job_with("items", "receipts"))
    assert met.asked == [StartErase(digest(paper().receipts[0]))]


def test_a_disk_that_fails_at_the_mark_lets_no_erase_out() -> None:
    class Full(MemoryJournal):
        def append(self, rows: object) -> None:
            if rows and any(row.kind == "erasing" for row in rows):  # type: ignore[attr-defined]
                raise OSError(28, "No space left on device")
            super().append(rows)  # type: ignore[arg-type]

    job = Job(Full(job_with("items", "receipts")._journal.rows()))
    terminal = ScriptedTerminal(paper(), S.SETTLED)
    with pytest.raises(OSError, match="No space"):
        visit(terminal, Goal.ERASE, job)
    assert terminal.asked == []


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "request_type", "name"),
    [(S.ACTIVE, OfferOrder, "OfferOrder"), (S.FROZEN, OfferRelease, "OfferRelease"),
     (S.SETTLED, StartErase, "StartErase"), (S.RETIRED, GetProof, "GetProof")],
)  # fmt: skip
def test_a_refusal_ends_the_visit_with_its_reason(
    state: LifecycleState, request_type: type[object], name: str
) -> None:
    job = job_with() if state is S.ACTIVE else job_with("items", "receipts")
    met = visit(ScriptedTerminal(paper(), state, {request_type: (Refused(Refusal.STATE),)}), Goal.ERASE, job)
    assert met.end == TurnedDown(name, Refusal.STATE)
    assert len(met.asked) == 1


def test_a_busy_terminal_is_asked_again_each_second() -> None:
    terminal = ScriptedTerminal(paper(), S.ACTIVE)
    terminal.says = {OfferOrder: (Refused(Refusal.BUSY),)}

    def finish_sale(request: Request) -> None:
        if len(terminal.asked) == 4:
            terminal.says = {}

    terminal.when_asked = finish_sale
    met = visit(terminal, Goal.FLUSH)
    assert met.end == Reached()
    assert met.kinds[:4] == ["OfferOrder"] * 4
    assert 3 * BUSY_RETRY_S <= met.seconds < 4 * BUSY_RETRY_S


def test_a_terminal_that_stays_busy_is_given_up_with_that_reason() -> None:
    met = visit(ScriptedTerminal(paper(), S.ACTIVE, {OfferOrder: (Refused(Refusal.BUSY),)}), Goal.FLUSH)
    assert met.end == TurnedDown("OfferOrder", Refusal.BUSY)
    assert len(met.asked) == 1 + BUSY_RETRIES_MAX


def test_a_terminal_that_is_busy_in_mid_flush_is_read_from_the_same_item() -> None:
    held = paper(120)
    terminal = ScriptedTerminal(held, S.FROZEN)
    terminal.says = {ReadItems: (Refused(Refusal.BUSY),)}

    def calm_down(request: Request) -> None:
        if len(terminal.asked) == 4:
            terminal.says = {}

    terminal.when_asked = calm_down
    met = visit(terminal, Goal.FLUSH)
    assert met.end == Reached()
    assert list(met.job.items()) == held.case.items


def test_silence_is_given_up_after_a_minute() -> None:
    met = visit(ScriptedTerminal(paper(), S.ACTIVE, {OfferOrder: ()}), Goal.FLUSH)
    assert met.end == Silent()
    assert ANSWER_S <= met.seconds < ANSWER_S + 1


def test_silence_in_mid_flush_keeps_what_came() -> None:
    half = Items(1, tuple(paper().case.items[:3]))
    met = visit(ScriptedTerminal(paper(), S.FROZEN, {ReadItems: (half,)}), Goal.FLUSH)
    assert met.end == Silent()
    assert met.job.items_stored == 3


def test_another_terminal_is_asked_for_nothing() -> None:
    met = visit(ScriptedTerminal(paper(), S.ACTIVE, serial="T-0002"), Goal.FLUSH)
    assert met.end == WrongTerminal("T-0002")
    assert (met.asked, met.terminal.services) == ([], [Service.IDENTIFY])


# --- what is not believed ------------------------------------------------------------------------------


def resealed(change: Callable[[Case], None]) -> bytes:
    case = open_case()
    change(case)
    return case.seal


def sealed_by_another() -> bytes:
    return issue(paper().case.seal_body, STRANGER)


def sealed_in_the_wrong_role() -> bytes:
    return issue(paper().case.seal_body, HANDS.release)


def seal_of_another_order() -> bytes:
    return resealed(lambda case: case.reseal(lambda body: replace(body, order_digest=bytes(32))))


def seal_of_another_serial() -> bytes:
    return resealed(lambda case: case.reseal(lambda body: replace(body, serial="T-0002")))


def seal_with_a_gap() -> bytes:
    return resealed(lambda case: case.reseal(lambda body: replace(body, item_count=body.item_count + 1)))


@pytest.mark.parametrize(
    ("seal", "said"),
    [
        (sealed_by_another(), "seal: is signed by another terminal"),
        (sealed_in_the_wrong_role(), "seal, "),
        (seal_of_another_order(), "seal: is not under this order"),
        (seal_of_another_serial(), "seal: is not under this order"),
        (seal_with_a_gap(), "seal: its contexts do not share out its items"),
        (b"\xd2\x84", "seal, "),
    ],
)
@pytest.mark.parametrize("asked", [OfferOrder, GetProof])
def test_a_seal_that_does_not_hold_is_not_kept(seal: bytes, said: str, asked: type[object]) -> None:
    state = S.ACTIVE if asked is OfferOrder else S.RETIRED
    reply = Sealed(seal) if asked is OfferOrder else Proof(ProofKind.SEAL, seal)
    met = visit(ScriptedTerminal(paper(), state, {asked: (reply,)}), Goal.FLUSH)
    assert isinstance(met.end, BadDocument)
    assert str(met.end.error).startswith(said)
    assert met.job.seal is None


def test_another_seal_for_the_same_order_is_noticed() -> None:
    other = resealed(lambda case: case.reseal(lambda body: replace(body, challenge=bytes(32))))
    job = job_with()
    job.keep_seal(paper().case.seal)
    with pytest.raises(Exception, match="the terminal made another one for the same order"):
        job.keep_seal(other)


def items(first: int, *sequences: int) -> Items:
    return Items(first, tuple(paper().case.items[sequence - 1] for sequence in sequences))


EVERY = range(1, len(paper().case.items) + 1)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (items(2, 2, 3), "items: came out of sequence"),
        (items(0, 1), "items: came out of sequence"),
        (items(1, *EVERY, 1), "items: came out of sequence"),
        (
            items(1, 2, 1, *EVERY[2:]),
            "items: do not add up to the seal's chain head, and are dropped: read them again",
        ),
    ],
)
def test_items_that_do_not_fit_the_seal_are_not_kept(reply: Items, said: str) -> None:
    met = visit(ScriptedTerminal(paper(), S.FROZEN, {ReadItems: (reply,)}), Goal.FLUSH, job_with("seal"))
    assert isinstance(met.end, BadDocument)
    assert str(met.end.error) == said
    assert met.job.items_stored == 0


def test_an_item_that_is_none_is_not_kept() -> None:
    reply = Items(1, (b"\x00",))
    met = visit(ScriptedTerminal(paper(), S.FROZEN, {ReadItems: (reply,)}), Goal.FLUSH)
    assert isinstance(met.end, BadDocument)
    assert str(met.end.error) == "items: one is malformed"
    assert met.job.items_stored == 0


def test_what_came_is_judged_before_a_visit_ends_whatever_ends_it() -> None:
    """The second bulk waits for its sync when the terminal refuses to go on."""
    replies = (items(1, 1, 2), Items(3, (b"\x00",)), Refused(Refusal.STATE))
    met = visit(ScriptedTerminal(paper(), S.FROZEN, {ReadItems: replies}), Goal.FLUSH, job_with("seal"))
    assert isinstance(met.end, BadDocument)
    assert str(met.end.error) == "items: one is malformed"
    assert met.job.items_stored == 2


def receipt_for_another_seal() -> bytes:
    body = open_document(paper().receipts[0], Receipt).body
    return issue(replace(body, seal_digest=bytes(32)), HANDS.release)


@pytest.mark.parametrize(
    ("receipt", "said"),
    [
        (receipt_for_another_seal(), "receipt: it does not agree with this terminal's seal and totals"),
        (
            issue(open_document(paper().receipts[0], Receipt).body, HANDS.order),
            "receipt: the signer's certificate does not carry the role for this document",
        ),
        (paper().case.seal, "receipt: it is not a document of the type and version that is needed"),
    ],
)
def test_a_receipt_that_releases_nothing_is_not_kept(receipt: bytes, said: str) -> None:
    """In the clear anybody can answer: what would be kept for ever would block the job for ever."""
    forged = Paper(paper().case, (receipt,), paper().evidence)
    met = visit(ScriptedTerminal(forged, S.RETIRED), Goal.FLUSH)
    assert isinstance(met.end, BadDocument)
    assert str(met.end.error) == said
    assert met.job.receipts == ()


def evidence(change: Callable[[Evidence], Evidence]) -> bytes:
    return issue(change(open_document(paper().evidence, Evidence).body), HANDS.evidence)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (issue(open_document(paper().evidence, Evidence).body, STRANGER), "evidence: is signed by another"),
        (evidence(lambda body: replace(body, seal_digest=bytes(32))), "evidence: does not belong"),
        (evidence(lambda body: replace(body, receipt_digests=(bytes(32),))), "evidence: does not belong"),
        (evidence(lambda body: replace(body, order_digest=bytes(32))), "evidence: does not belong"),
        (evidence(lambda body: replace(body, nonce=bytes(32))), "evidence: does not belong"),
        (evidence(lambda body: replace(body, mode=Mode.REDEPLOY)), "evidence: does not belong"),
        (evidence(lambda body: replace(body, serial="T-0002")), "evidence: is signed by another terminal"),
        (
            issue(open_document(paper().evidence, Evidence).body, OTHER_KEY),
            "evidence: is signed by another key",
        ),
        (paper().receipts[0], "evidence, typ"),
    ],
)
def test_evidence_that_does_not_hold_is_not_kept(document: bytes, said: str) -> None:
    terminal = ScriptedTerminal(Paper(paper().case, paper().receipts, document), S.RETIRED)
    met = visit(terminal, Goal.ERASE, job_with("items", "receipts"))
    assert isinstance(met.end, BadDocument)
    assert str(met.end.error).startswith(said)
    assert met.job.evidence is None


@pytest.mark.parametrize(
    ("state", "has", "says"),
    [
        (S.ACTIVE, (), {OfferOrder: (items(1, 1),)}),
        (S.ACTIVE, (), {OfferOrder: (Released(S.SETTLED),)}),
        (S.ACTIVE, (), {OfferOrder: (Erasing(),)}),
        (S.ACTIVE, (), {OfferOrder: (Thawed(),)}),
        (S.ACTIVE, (), {OfferOrder: (Refused(Refusal.BUSY), Sealed(paper().case.seal))}),
        (S.FROZEN, ("seal",), {ReadItems: (Sealed(paper().case.seal),)}),
        (S.FROZEN, ("items", "receipts"), {OfferRelease: (Released(S.FROZEN),)}),
        (S.FROZEN, ("items", "receipts"), {OfferRelease: (Released(S.ACTIVE),)}),
        (S.FROZEN, ("items", "receipts"), {OfferRelease: (Erasing(),)}),
        (S.RETIRED, ("items", "receipts"), {GetProof: (Proof(ProofKind.ORDER, paper().case.order),)}),
        (S.RETIRED, ("items", "receipts"), {GetProof: (Proof(ProofKind.SEAL, paper().case.seal),)}),
    ],
)
def test_an_answer_to_something_else_ends_the_visit(
    state: LifecycleState, has: tuple[str, ...], says: Mapping[type[object], tuple[Reply, ...]]
) -> None:
    job = job_with(*has)
    before = job.journal_head
    met = visit(ScriptedTerminal(paper(), state, says), Goal.ERASE, job)
    assert met.end == OUT_OF_PLACE
    assert len(met.asked) == 1
    assert job.journal_head == before


# --- where the line ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "has", "after"),
    [(S.ACTIVE, (), OfferOrder), (S.FROZEN, ("items", "receipts"), OfferRelease), (S.RETIRED, (), GetProof)],
)
def test_a_terminal_that_answers_and_hangs_up_at_once_is_a_cut_line(
    state: LifecycleState, has: tuple[str, ...], after: type[object]
) -> None:
    """Answer and end arrive together: the next question has nowhere to go."""
    met = visit(ScriptedTerminal(paper(), state, hangs_up_after=after), Goal.ERASE, job_with(*has))
    assert isinstance(met.end, CutOff)
    assert not met.job.erase_was_started


def test_a_dead_line_is_no_answer_and_a_cut_one_loses_nothing_that_was_kept() -> None:
    terminal = ScriptedTerminal(paper(120), S.FROZEN)
    job = begin_job(terminal.paper.case)
    one = Visit(job, access(), Goal.FLUSH, NOW)
    line = MemoryLine(one, terminal)

    def cut_after_one_bulk() -> None:
        line.is_cut = line.is_cut or job.items_stored >= ITEMS_PER_READ

    line.watch = cut_after_one_bulk
    line.run(lambda: one.is_over, 300)
    assert isinstance(one.end, CutOff)
    stored = job.items_stored
    assert ITEMS_PER_READ <= stored < len(terminal.paper.case.items)
    again = visit(ScriptedTerminal(paper(120), S.FROZEN), Goal.FLUSH, job)
    first = again.asked[0]
    assert isinstance(first, ReadItems) and first.first == stored + 1
    assert list(job.items()) == terminal.paper.case.items


def test_a_visit_that_is_over_wakes_nobody_for_its_own_timers() -> None:
    met = visit(ScriptedTerminal(paper(), S.FROZEN), Goal.FLUSH, job_with("items"))
    assert met.end == Reached()
    assert met.seconds < 1.0


def test_the_case_is_of_the_shift() -> None:
    assert SHIFT.not_before < NOW < SHIFT.not_after, "or every certificate of the channel is out of date"
