"""The agent asking a desk that is none: of whatever is answered, only the document signed for its job is taken."""

from __future__ import annotations

from collections.abc import Iterator

from posdecom_agent.desk import Desk
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_agent.procedure import ClosedBy, DeskReply, Receipts
from posdecom_agent.stations import JudgedDesk
from posdecom_agent.trouble import Trouble
from posdecom_protocol.custody import encode_receipts

from ..overheard import Heard
from ..scene import site
from .forgery import forgeries
from .life import life
from .matrix import Breach, Matrix, Outcome

Answer = tuple[str, int, bytes]
"""Kind, HTTP status and body."""

JOBS = {"waits for its receipt": "receipt", "waits for its closure": "closure"}
"""States of a job, by the row that comes next."""


def attack(heard: Heard, other: Heard, every: int = 1) -> Matrix:
    """A desk's part played by who heard two runs; each ``every``th of the forgeries that are many."""
    matrix = Matrix("the agent, asking the desk")
    answers = [*_forged(heard, every), *_from_elsewhere(heard, other), *_nonsense()]
    for state, awaited in JOBS.items():
        rows = heard.rows[: [row.kind for row in heard.rows].index(awaited)]
        for kind, status, body in answers:
            matrix.add(kind, state, _asked(rows, awaited, status, body))
    return matrix


def _asked(rows: list[Row], awaited: str, status: int, body: bytes) -> Outcome:
    job = Job(MemoryJournal(rows))
    desk = JudgedDesk(Desk("desk:", lambda *_: (status, body)), site().technician.anchors)
    try:
        reply: DeskReply = desk.ask_receipt(job) if awaited == "receipt" else desk.ask_closure(job)
    except Trouble:
        return Outcome.REFUSED
    wanted = Receipts if awaited == "receipt" else ClosedBy
    if isinstance(reply, wanted):
        raise Breach(f"a {awaited} is taken that was not signed for this job")
    return Outcome.REFUSED


def _forged(heard: Heard, every: int) -> Iterator[Answer]:
    receipt, closure = heard.bodies("receipt")[0], heard.bodies("closure")[0]
    for one in forgeries(receipt, "release", every):
        yield f"receipt: {one.origin}", 200, encode_receipts([one.data])
    for one in forgeries(closure, "release", every):
        yield f"closure: {one.origin}", 200, one.data


def _from_elsewhere(heard: Heard, other: Heard) -> Iterator[Answer]:
    for epoch in life().others:
        yield "receipt of another epoch or terminal", 200, encode_receipts(epoch.receipts[:1])
    yield "receipt of another run", 200, encode_receipts(other.bodies("receipt"))
    yield "closure of another run", 200, other.bodies("closure")[0]
    for document in (heard.bodies("order")[0], heard.bodies("seal")[0], heard.bodies("certificate")[0]):
        yield "a document in another's place", 200, document
        yield "a document in another's place", 200, encode_receipts([document])


def _nonsense() -> Iterator[Answer]:
    for status in (200, 202, 204, 409, 418, 422, 500):
        for body in (b"", b"{}", b'{"missing": [0]}', b"\xd2\x84", b"[" * 5000):
            yield "nonsense", status, body
