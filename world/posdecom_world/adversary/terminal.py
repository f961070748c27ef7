"""The real terminal on a line with an adversary: a technician's certificate, or none, and anything to say.

Not one value of its memory may be written. What the right hands signed for this terminal as it is now is offered too,
to a copy: it must be granted, or the refusals would prove nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from posdecom_protocol.cose import digest
from posdecom_protocol.greeting import Service
from posdecom_protocol.messages import (
    GetInventory,
    GetProof,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    ProofKind,
    Reader,
    ReadItems,
    ReadPacked,
    Request,
    StartErase,
    encode,
)

from ..overheard import Heard
from ..scene import NOW
from .forgery import forgeries
from .intruder import TURN_S, Intruder
from .life import Life, Stage, life
from .matrix import Breach, Matrix, Outcome

OWN_PAPERS: Final = "its own papers"
TRIES_ELSEWHERE: Final = 3
"""In the clear, while it erases, or where no session begins at all, so many attempts of each kind are enough."""


def attack(heard: Iterable[Heard], every: int = 1) -> Matrix:
    """Everything at every stage; each ``every``th of the forgeries that are many. `Breach` where anything moves."""
    whole, matrix = life(), Matrix("the terminal")
    lines = [chunk for one in heard for chunk in one.line]
    said = [*_heard(heard), *_papers(whole, every), *_simple(whole)]
    for stage in whole.stages:
        for request in dict.fromkeys(whole.now.requests):
            matrix.add(OWN_PAPERS, stage.name, _own(stage, request))
        for service in (Service.CHANNEL, Service.PROOFS):
            _tell(stage, service, said, matrix)
        matrix.add("line: all of it replayed", stage.name, _replay(stage, lines))
    return matrix


# --- what is said ---------------------------------------------------------------------------------------------

Saying = tuple[str, bytes]
"""Kind, and the bytes of a message."""


def _heard(heard: Iterable[Heard]) -> Iterator[Saying]:
    for message in dict.fromkeys(data for one in heard for data in one.plain):
        (found,) = Reader().receive(message)
        yield ("heard: a request" if isinstance(found, Request) else "heard: a reply"), message


def _papers(whole: Life, every: int) -> Iterator[Saying]:
    now = whole.now
    receipts, both, exceptions = now.receipts, now.giving_up, now.exceptions
    for one in forgeries(now.order, "order", every):
        yield f"order: {one.origin}", encode(OfferOrder(int(NOW), one.data))
    for one in forgeries(receipts[0], "release", every):
        yield f"receipt: {one.origin}", encode(OfferRelease((one.data,)))
    for one in forgeries(exceptions[1], "approver", every):
        yield f"second receipt: {one.origin}", encode(OfferRelease((exceptions[0], one.data)))
    for one in forgeries(now.cancellation, "order", every):
        yield f"cancellation: {one.origin}", encode(OfferCancellation(one.data))
    for few in ((both[0],), (exceptions[0],), (both[1],), (both[0],) * 2, (receipts[0], exceptions[1])):
        yield "receipt: too few hands", encode(OfferRelease(few))
    for epoch, origin in zip(whole.others, ("an earlier epoch", "another terminal"), strict=True):
        for request in epoch.requests:
            yield f"papers of {origin}", encode(request)
    for document in (now.order, now.seal, receipts[0], now.cancellation):
        for request in (OfferOrder(0, document), OfferRelease((document,)), OfferCancellation(document)):
            if request not in (*now.requests, OfferOrder(0, now.order)):
                yield "a document in another's place", encode(request)


def _simple(whole: Life) -> Iterator[Saying]:
    for document in (whole.now.order, whole.now.seal, whole.others[0].receipts[0], b""):
        yield "erase without a receipt", encode(StartErase(digest(document)))
    reads = ((0, 1), (1, 1), (1, 0xFFFFFFFF), (0xFFFFFFFF, 1))
    yield "questions", encode(GetInventory())
    yield from (("questions", encode(GetProof(kind))) for kind in ProofKind)
    yield from (("questions", encode(kind(*one))) for one in reads for kind in (ReadItems, ReadPacked))
    some = encode(OfferRelease(whole.now.receipts[:1]))
    for head in (b"\x00", b"\x0b", b"\x7f", b"\xff"):
        yield "no message", head + some[1:]
    yield from (("no message", some[:1] + bytes([size]) + some[2:]) for size in (0x80, 0xFF))
    yield "no message", some[:4] + some[5:] + b"\0"


# --- to whom --------------------------------------------------------------------------------------------------


def _tell(stage: Stage, service: Service, said: Iterable[Saying], matrix: Matrix) -> None:
    intruder, tries = Intruder(stage, service), Counter[str]()
    is_elsewhere = intruder.is_shut_out or service is Service.PROOFS or stage.begun is not None
    for kind, data in said:
        name = kind if service is Service.CHANNEL else f"in the clear: {kind.partition(':')[0]}"
        if is_elsewhere and tries[name] == TRIES_ELSEWHERE:
            continue
        if stage.begun is not None:  # each for itself: what a busy terminal does not answer fills its queue
            intruder = Intruder(stage, service)
        tries[name] += 1
        matrix.add(name, stage.name, intruder.say(data))


def _own(stage: Stage, request: Request) -> Outcome:
    intruder = Intruder(stage, Service.CHANNEL)
    if request not in stage.genuine:
        return intruder.say(encode(request))
    intruder.is_watched, intruder.writes = False, 0
    outcome = intruder.say(encode(request))
    if outcome is not Outcome.SAME or not intruder.writes:
        raise Breach(f"{stage.name} refuses {type(request).__name__} by the right hands: {outcome.name}")
    return Outcome.GRANTED


def _replay(stage: Stage, chunks: Iterable[bytes]) -> Outcome:
    front, now = Intruder(stage, Service.CHANNEL).front, NOW
    answered = b""
    for chunk in chunks:
        now += TURN_S
        front.receive(chunk, now)
        answered = front.bytes_to_send(now) or answered
    return Outcome.SAME if answered else Outcome.DEAF
