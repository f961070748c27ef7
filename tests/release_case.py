"""One decommission in memory: a shop's order, seal and items, its acquirer's host, books and desk, and a courier.

No line and no terminal process: `shop` prepares what a terminal would, `document_chain` lends the hands.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from document_chain import (
    ANCHORS,
    APPROVER,
    DAY,
    HANDS,
    NOW,
    SERIAL,
    certificate_body,
    evidence_body,
    order_body,
    seal_body,
)
from posdecom_agent.certify import certify
from posdecom_agent.desk import Desk as DeskClient
from posdecom_agent.dialects import DIALECTS
from posdecom_agent.host import settle as settle_over
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal
from posdecom_agent.procedure import DeskReply, Receipts, SettleEnd
from posdecom_agent.replacement import Introduction, NotThere
from posdecom_agent.stations import JudgedDesk
from posdecom_agent.visit import CutOff, Goal, Reached, Unplugged, VisitEnd
from posdecom_protocol.custody import decode_receipts, encode_custody
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.order import Account, AfterCutoff, Order, Preauths
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.seal import Seal, SealedContext
from posdecom_protocol.iso8583 import LengthPrefix, frame_message
from posdecom_protocol.messages import Salvaged
from posdecom_protocol.records import chain_head, encode_item
from posdecom_protocol.salvage import encode_salvaged
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.desk import Answer, Desk, MemoryShelf, Shelf, Signers
from posdecom_simulator.acquirer.host import Behaviour, Host
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_simulator.site import BookedTerminal
from posdecom_simulator.terminal.device import Context
from posdecom_simulator.terminal.prepare import Rules
from shop import BDK, CONTEXTS, INITIAL_KEY_ID, Shop, converse, open_acquirer, open_shop, settle

CHANNEL_KEY_ID: Final = bytes.fromhex("C4A1C4A1C4A1C4A1")
LATER: Final = float(NOW + 2 * 3600)
"""When the desk is asked."""
HSM: Final = Hsm(Secret(BDK), Secret(b"card digest key"))


def as_it_is(body: Any) -> Any:
    return body


@dataclass
class Case:
    """A frozen terminal and its acquirer. Items and documents may be changed before they are used."""

    shop: Shop
    order: bytes
    seal: bytes
    items: list[bytes]
    host: Host
    ledger: Ledger
    contexts: tuple[Context, ...] = CONTEXTS
    shelf: Shelf = field(default_factory=MemoryShelf)
    approver: bool = True
    clearing_s: float = 0.0

    @property
    def seal_body(self) -> Seal:
        return open_document(self.seal, Seal).body

    @property
    def desk(self) -> Desk:
        """As it starts afresh: what it knows is on the shelf and in the books."""
        signers = Signers("acquirer-a", HANDS.release, APPROVER if self.approver else None)
        terminals = (BookedTerminal(SERIAL, INITIAL_KEY_ID, CHANNEL_KEY_ID, self.contexts),)
        return Desk(self.ledger, HSM, self.shelf, signers, ANCHORS, terminals, self.clearing_s)

    def settle(self, *indexes: int) -> None:
        """The agent's whole conversation with the host, of all contexts or those named."""
        for context in self.contexts:
            if not indexes or context.index in indexes:
                converse(settle(self.shop, context.index, dialect=DIALECTS[context.dialect]), self.host)

    def post(self, items: Iterable[bytes] | None = None, now: float = LATER) -> Answer:
        """Order, seal and items to the desk."""
        custody = encode_custody(self.order, self.seal, self.items if items is None else items)
        return self.desk.post_seal(b"".join(custody), now)

    def receipts(self) -> tuple[bytes, ...]:
        answer = self.post()
        assert answer.status == 200, answer.body
        return decode_receipts(answer.body)

    def receipt(self) -> Receipt:
        return open_document(self.receipts()[0], Receipt).body

    def evidence(self, receipts: tuple[bytes, ...]) -> bytes:
        return issue(evidence_body(self.order, self.seal, receipts), HANDS.evidence)

    def certificate(self, change: Callable[[Any], Any] = as_it_is) -> bytes:
        receipts = self.receipts()
        body = certificate_body(self.order, self.seal, receipts, self.evidence(receipts))
        return issue(change(body), HANDS.technician)

    def reseal(self, change: Callable[[Seal], Seal]) -> None:
        """Another seal over what the items are now, and the change."""
        body = replace(self.seal_body, head=chain_head(self.items), item_count=len(self.items))
        self.seal = issue(change(body), HANDS.seal)

    def context(self, index: int) -> SealedContext:
        return self.seal_body.contexts[index]


def open_case(
    seed: int = 1,
    count: int = 40,
    *,
    cutoff_at: int = NOW + DAY,
    after: AfterCutoff = AfterCutoff.HOLD,
    preauths: Preauths = Preauths.LIST,
    behaviour: Behaviour | None = None,
    contexts: tuple[Context, ...] = CONTEXTS,
    order_changes: Callable[[Order], Order] = as_it_is,
) -> Case:
    """A day from `NOW` on, frozen under an order with this cut-off."""
    body = order_changes(
        replace(
            order_body(),
            accounts=tuple(Account(one.acquirer, one.mid, one.tid) for one in contexts),
            cutoff_at=cutoff_at,
            after_cutoff=after,
            preauths=preauths,
        )
    )
    shop = open_shop(seed, count, Rules.from_order(body), contexts)
    return case_of(shop, body, contexts, behaviour)


def case_of(
    shop: Shop, order_of: Order, contexts: tuple[Context, ...] = CONTEXTS, behaviour: Behaviour | None = None
) -> Case:
    order = issue(order_of, HANDS.order)
    items = [encode_item(item) for item in shop.prepared.items]
    body = replace(
        seal_body(order),
        contexts=shop.prepared.contexts,
        item_count=len(items),
        head=chain_head(items),
        preauths=shop.prepared.preauths,
    )
    host, ledger = open_acquirer(shop, behaviour, contexts=contexts)
    return Case(shop, order, issue(body, HANDS.seal), items, host, ledger, contexts)


def reason(answer: Answer) -> str:
    text = json.loads(answer.body)["reason"]
    assert isinstance(text, str)
    return text


def missing(answer: Answer) -> list[int]:
    assert answer.status == 409, answer.body
    return list(json.loads(answer.body)["missing"])


# --- the courier ---------------------------------------------------------------------------------


class Noon:
    """A clock that stands."""

    def now(self) -> float:
        return LATER


@dataclass
class Wire:
    """One connection to a host in memory; as `posdecom_agent.host.Connection`."""

    case: Case
    heard: list[bytes]
    _stream: LengthPrefix = field(default_factory=LengthPrefix)
    _answers: deque[bytes] = field(default_factory=deque)

    def send(self, data: bytes) -> None:
        for message in self._stream.receive(data):
            self.heard.append(message)
            answer = self.case.host.answer(message, LATER)
            if answer is not None:
                self._answers.append(frame_message(answer))

    def receive(self, timeout_s: float) -> bytes | None:
        return self._answers.popleft() if self._answers else b""

    def close(self) -> None:
        pass


@dataclass
class CaseStations:
    """As `procedure.Stations`: the terminal hands over at once what the case holds, the desk is the case's."""

    case: Case
    sent: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    host_is_dead: bool = False
    terminal_is_gone: bool = False
    replacement: Introduction = field(default_factory=lambda: NotThere("nobody brought it"))

    def connect(self) -> Wire:
        if self.host_is_dead:
            raise ConnectionRefusedError(111, "Connection refused")
        return Wire(self.case, self.sent)

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        if self.terminal_is_gone:
            return CutOff(Unplugged("no cable"))
        job.keep_seal(self.case.seal)
        if not job.custody_is_complete:
            job.keep_items(job.items_stored + 1, self.case.items[job.items_stored :])
        if goal is Goal.ERASE:
            job.keep_once("erasing")
            job.keep_once("evidence", self.case.evidence(job.receipts))
        return Reached()

    def settle(self, job: Job, context: SealedContext) -> SettleEnd:
        return settle_over(job, context, self, Noon(), self.pause)

    def find_receipt(self, job: Job) -> Receipts | None:
        return self._desk().find_receipt(job)

    def ask_receipt(self, job: Job) -> DeskReply:
        return self._desk().ask_receipt(job)

    def ask_closure(self, job: Job) -> DeskReply:
        return self._desk().ask_closure(job)

    def _desk(self) -> JudgedDesk:
        return JudgedDesk(DeskClient("desk:", self._exchange), ANCHORS)

    def meet(self, serial: str) -> Introduction:
        self.asked.append(f"meet {serial}")
        return self.replacement

    def certify(self, job: Job) -> bytes:
        return certify(job, "A. Technician", HANDS.technician, ANCHORS, "0", LATER)

    def pause(self, seconds: float) -> None:
        pass

    def _exchange(self, method: str, url: str, body: bytes | None, media_type: str) -> tuple[int, bytes]:
        path = url.removeprefix("desk:")
        self.asked.append(f"{method} {path.split('/')[2]}")
        answer = self._answer(path, body or b"")
        return answer.status, answer.body

    def _answer(self, path: str, body: bytes) -> Answer:
        match path.split("/")[2:]:
            case ["seals"]:
                return self.case.desk.post_seal(body, LATER)
            case ["seals", digest]:
                return self.case.desk.poll_seal(digest)
            case _:
                return self.case.desk.post_certificate(body, LATER)


def begin_job(case: Case) -> Job:
    job = Job(MemoryJournal())
    job.begin(case.order)
    return job


def salvaged_records(case: Case, count: int) -> Salvaged:
    """The first of the day, as a terminal gives them that a tamper has left no key."""
    stored = case.shop.stored[:count]
    records = (one.salvaged(case.contexts[one.context].currency) for one in stored)
    return Salvaged(1, count, tuple(encode_salvaged(one) for one in records))


def sequences_sent(case: Case, sent: Sequence[bytes]) -> list[int]:
    """Which items these messages are."""
    by_message = {item.message: sequence for sequence, item in enumerate(case.shop.prepared.items, 1)}
    return [by_message[message] for message in sent]
