"""All that a rogue terminal says to the agent: what was heard, forged, changed, damaged, out of turn, and too much."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from posdecom_agent.visit import BadDocument, VisitEnd
from posdecom_protocol.greeting import Feature
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.limits import DOCUMENT_BYTES_MAX
from posdecom_protocol.messages import (
    Confirmed,
    GetInventory,
    GetProof,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Proof,
    ProofKind,
    Reader,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Sealed,
    StartErase,
    Thawed,
    encode,
)
from posdecom_protocol.packed_items import pack

from ..overheard import Heard
from .forgery import changed, damaged, forgeries
from .life import life
from .matrix import Breach, Matrix, Outcome
from .meeting import STANCES, Meeting, Stance, truth_of
from .rogue import BROKEN_HANDSHAKE, Lie, Truth, welcome_of

OWN_WORDS: Final = "its own words"
AFTERWARDS_EVERY: Final = 400
TRIES_ELSEWHERE: Final = 3
"""Of forgeries, where nobody waits for that kind of document."""

MEMORY_BYTES_MAX: Final = 8 * 1024 * 1024
"""More than the largest message takes on its way through the layers, and little for a laptop."""

Saying = tuple[str, bytes]
"""What it is called, and the bytes of a message."""


def attack(heard: list[Heard], every: int = 1, stances: Sequence[Stance] = STANCES) -> Matrix:
    """Every lie at ``stances``; each ``every``th of those that are many. `Breach` where the agent believes one.

    The jobs are of the first run, whose own words are the truth; the others are lies.
    """
    matrix = Matrix("the agent, meeting a rogue terminal")
    whole, others = heard[0], heard[1:]
    for stance in stances:
        matrix.add(OWN_WORDS, stance.name, Meeting(stance, whole, Lie()).outcome())
        tries = Counter[str]()
        for kind, lie, is_document in _lies(stance, whole, others, every):
            tries[kind] += 1
            is_one_of_many = not stance.asks or (is_document and not _awaits(stance, kind))
            if tries[kind] <= TRIES_ELSEWHERE or not (is_one_of_many or every > 1):
                matrix.add(kind, stance.name, _met(stance, whole, lie))
    return matrix


def afterwards(heard: list[Heard], stance: Stance) -> Iterator[tuple[str, Outcome, VisitEnd]]:
    """What came of one lie of each kind, and of the next visit to the true terminal; of one more where that found false
    items, which it drops."""
    told = dict[str, Lie]()
    for kind, lie, _ in _lies(stance, heard[0], heard[1:], AFTERWARDS_EVERY):
        told.setdefault(kind, lie)
    for kind, lie in told.items():
        meeting = Meeting(stance, heard[0], lie)
        outcome, end = meeting.outcome(), meeting.afterwards()
        if isinstance(end, BadDocument) and meeting.job.seal is not None:
            end = meeting.afterwards()
        yield kind, outcome, end


# --- lies by where they stand ---------------------------------------------------------------------------------

Told = tuple[str, Lie, bool]
"""What it is called, the lie, and whether it is a forgery of which there are many."""


def _lies(stance: Stance, whole: Heard, others: list[Heard], every: int) -> Iterator[Told]:
    for kind, said in _messages(truth_of(whole), [whole, *others], every):
        yield f"before it lets anybody in: {kind}", stance.instead(said), False
        yield f"unasked: {kind}", Lie(unasked=said), False
        yield f"as the answer: {kind}", stance.answering(said), False
        yield f"busy first: {kind}", stance.answering(encode(Refused(Refusal.BUSY)) + said), False
        if kind == "each kind of reply":
            for greets, lie in _in_the_clear():
                yield f"{greets}: {kind}", replace(lie, unasked=said), False
    for kind, said in _forged(truth_of(whole), others, every):
        packs = Feature(0) if kind.startswith("items") else Feature.PACKED_ITEMS
        welcome = replace(stance.welcome, features=packs)
        yield kind, replace(stance.answering(said), welcome=welcome), True
    for welcome in changed(stance.welcome):
        with suppress(ValueError):  # what no greeting can hold
            yield "greeting: field changed", Lie(welcome=replace(welcome)), False
    yield from ((kind, lie, False) for kind, lie in _silences())
    for said in _floods(truth_of(whole)):
        yield "too much of one thing", replace(stance.answering(said), is_endless=True), False


def _in_the_clear() -> Iterator[tuple[str, Lie]]:
    """Whoever holds the cable greets as he likes; no channel, no key."""
    yield "greets as retired, in the clear", Lie(welcome=welcome_of(LifecycleState.RETIRED))
    tampered = welcome_of(LifecycleState.FROZEN, is_tampered=True)
    yield "greets as tampered, in the clear", Lie(welcome=tampered, makes_channel=False)


def _silences() -> Iterator[tuple[str, Lie]]:
    yield "says nothing", Lie(is_mute=True)
    yield "says nothing", Lie(handshake=b"")
    yield "says nothing", Lie(handshake=BROKEN_HANDSHAKE[:10])
    yield "no handshake", Lie(handshake=BROKEN_HANDSHAKE)


# --- what is said ---------------------------------------------------------------------------------------------


def _messages(truth: Truth, heard: list[Heard], every: int) -> Iterator[Saying]:
    replies = dict.fromkeys(data for one in heard for data in one.plain if _is_reply(data))
    yield from (("heard", data) for data in islice(replies, 0, None, every))
    for reply in _each_kind(truth):
        yield "each kind of reply", encode(reply)
    for reason in islice(Refusal, 0, None, every):
        yield "refusals", encode(Refused(reason))
    for request in _each_request():
        yield "requests", encode(request)
    some = encode(truth.items(1, 2))
    yield "no message", b"\x7f" + some[1:]
    yield "no message", some[:1] + b"\xff\xff\xff" + some[4:]
    yield "no message", some[:-1]
    yield "no message", some[:4] + bytes(len(some) - 4)


def _each_kind(truth: Truth) -> Iterator[Reply]:
    yield from (Confirmed(state, tampered) for state in LifecycleState for tampered in (False, True))
    yield from (Released(state) for state in LifecycleState)
    yield from (truth.answer(request) for request in _each_request())
    yield from (truth.answer(GetProof(kind)) for kind in ProofKind)
    yield Thawed()


def _each_request() -> tuple[Request, ...]:
    now = life().now
    return (
        GetInventory(),
        OfferOrder(0, now.order),
        ReadItems(1, 2),
        ReadPacked(1, 2),
        ReadSalvage(1),
        OfferRelease(now.receipts[:1]),
        StartErase(bytes(32)),
        OfferCancellation(now.cancellation),
        GetProof(ProofKind.EVIDENCE),
    )


def _forged(truth: Truth, others: list[Heard], every: int) -> Iterator[Saying]:
    """Documents, and what comes in their place; each as the reply that carries it."""
    for kind, hand in (
        (ProofKind.SEAL, "terminal"),
        (ProofKind.RECEIPT, "release"),
        (ProofKind.EVIDENCE, "terminal"),
    ):
        name = kind.name.lower()
        proof = truth.answer(GetProof(kind))
        assert isinstance(proof, Proof)
        for one in forgeries(proof.document, hand, every):
            yield f"{name}: {one.origin}", encode(_carrying(kind, one.data))
        for other in others:
            yield f"{name}: of another run", encode(_carrying(kind, *other.bodies(name)[:1]))
    for epoch in life().others:
        yield "seal: of another epoch or terminal", encode(Sealed(epoch.seal))
        yield "receipt: of another epoch or terminal", encode(Proof(ProofKind.RECEIPT, epoch.receipts[0]))
    for kind in ProofKind:
        wrong = truth.answer(GetProof(kind))
        if isinstance(wrong, Proof):
            yield "a document in another's place", encode(Sealed(wrong.document))
            yield from (
                ("a document in another's place", encode(Proof(other, wrong.document)))
                for other in ProofKind
                if other is not kind
            )
    yield from _of_parts("items", truth.items(3, 2), every)
    yield from _of_parts("packed items", pack(truth.items(3, 2)), every)
    for items in islice(changed(truth.items(3, 2)), 0, None, every):
        with suppress(ValueError):  # what no message can hold
            yield "packed items: what is packed changed", encode(pack(replace(items)))
    yield from _of_parts("salvaged", truth.salvaged, every)
    yield from _of_parts("inventory", truth.inventory, every)


def _carrying(kind: ProofKind, document: bytes) -> Reply:
    return Sealed(document) if kind is ProofKind.SEAL else Proof(kind, document)


def _of_parts(name: str, genuine: Any, every: int) -> Iterator[Saying]:
    for other in islice(changed(genuine), 0, None, every):
        with suppress(ValueError):  # what no message can hold
            yield f"{name}: field changed", encode(other)
    for data in islice(damaged(encode(genuine)), 0, None, every):
        yield f"{name}: damaged", data


def _floods(truth: Truth) -> Iterator[bytes]:
    yield encode(truth.items(3, 2))
    yield encode(Refused(Refusal.BUSY))
    yield encode(Confirmed(LifecycleState.FROZEN, False))
    yield encode(Sealed(bytes(DOCUMENT_BYTES_MAX)))
    yield encode(truth.salvaged)


# --- to whom --------------------------------------------------------------------------------------------------

_AWAITED: Final = {
    "seal": "begins",
    "receipt": "fetches the receipt",
    "evidence": "waits for the evidence",
    "items": "reads items",
    "packed items": "reads items",
    "salvaged": "salvages",
    "inventory": "looks",
}


def _awaits(stance: Stance, kind: str) -> bool:
    return _AWAITED.get(kind.partition(":")[0]) == stance.name


def _met(stance: Stance, whole: Heard, lie: Lie) -> Outcome:
    if not lie.is_endless:
        return Meeting(stance, whole, lie).outcome()
    tracemalloc.start()
    try:
        outcome = Meeting(stance, whole, lie).outcome()
        held_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if held_bytes > MEMORY_BYTES_MAX:
        raise Breach(f"{stance.name}: {held_bytes} bytes are held")
    return outcome


def _is_reply(data: bytes) -> bool:
    (message,) = Reader().receive(data)
    return not isinstance(message, Request)
