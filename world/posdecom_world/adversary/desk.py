"""The release desk, called with what it should not sign: its shelf and the books stay as they are.

Signed papers that lie are among it: a terminal that signs other sums over the same items, a technician who leaves a
document out of a certificate. The desk may sign over such a paper only where nothing differs that it answers for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from posdecom_protocol.aes_dukpt import InitialKeyId
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.custody import (
    decode_custody,
    decode_receipts,
    encode_custody,
    encode_receipts,
    encode_salvage,
)
from posdecom_protocol.documents import Signed, issue, open_any, open_document
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.documents.certificate import State as Stated
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.messages import encode
from posdecom_protocol.money import SIDE, GroupTotals, Side
from posdecom_protocol.verdict import judge, split
from posdecom_simulator.acquirer.desk import OK, Answer, Desk, MemoryShelf, Signers
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore

from ..overheard import Heard
from ..scene import NOW, hsm, site
from .forgery import changed, damaged, forgeries, hands
from .host import Stored, stands
from .lies import TRIES_ELSEWHERE
from .life import life, lived
from .matrix import Breach, Matrix, Outcome
from .meeting import truth_of

OWN_SEAL: Final = "its own seal and items"
OWN_CERTIFICATE: Final = "its own certificate"
OWN_SEAL_CHANGED: Final = "seal: field changed, its own hand"
OWN_CERTIFICATE_CHANGED: Final = "certificate: field changed, its own hand"
OTHER_DOCUMENTS: Final = "certificate: of other documents, its own hand"
WITH_CLOSURE: Final = "certificate: with a closure"
BY_ITS_OWN_HAND: Final = frozenset({OWN_SEAL_CHANGED, OWN_CERTIFICATE_CHANGED, OTHER_DOCUMENTS, WITH_CLOSURE})
"""By whoever may sign such a paper: the desk signs over it where nothing differs that it answers for."""

_OWN: Final = (OWN_SEAL, OWN_CERTIFICATE)
LATER_S: Final = 60
"""The certificate is posted so long after everything began."""

DAMAGED_ONE_IN: Final = 4
"""Of certificates, which hold all other documents."""

NOTHING: Final = frozenset[str]()
NEW_KEYS: Final = InitialKeyId(bytes(8))

Call = tuple[str, str, bytes]
"""What it is called, the path, and what is posted."""


class Shelf(MemoryShelf):
    """Its documents can be looked at."""

    @property
    def documents(self) -> dict[str, bytes]:
        return dict(self._values)


@dataclass(frozen=True, slots=True)
class State:
    """The acquirer's side at one time."""

    name: str
    rows: Stored
    shelf: tuple[tuple[str, bytes], ...] = ()
    awaits: frozenset[str] = frozenset()
    """Paths on which everything is tried."""
    has_new_keys: bool = False
    signs: frozenset[str] = frozenset({"seals", "certificates"})
    """Paths on which the true papers are signed now."""

    def opened(self) -> Office:
        store, shelf = MemoryStore(), Shelf()
        store.append(self.rows)
        for name, value in self.shelf:
            shelf.put(name, value)
        return Office(self, Ledger(store), shelf)


@dataclass(slots=True)
class Office:
    """A desk that was opened in one state."""

    state: State
    ledger: Ledger
    shelf: Shelf
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        acquirer = site().acquirer
        (terminal,) = acquirer.settings.terminals
        terminals = (replace(terminal, initial_key_id=NEW_KEYS) if self.state.has_new_keys else terminal,)
        keys = acquirer.release.signing_key(), acquirer.approver.signing_key()
        signers = Signers(acquirer.settings.issuer, *keys)
        self.desk = Desk(self.ledger, hsm(site()), self.shelf, signers, acquirer.anchors, terminals)

    def post(self, path: str, body: bytes, now: float) -> Answer:
        match path:
            case "seals":
                return self.desk.post_seal(body, now)
            case "certificates":
                return self.desk.post_certificate(body, now)
            case "salvages":
                return self.desk.post_salvage(body)
            case _:
                return self.desk.poll_seal(body.decode())

    def kept(self, name: str) -> State:
        return replace(
            self.state, name=name, rows=tuple(self.ledger.rows()), shelf=tuple(self.shelf.documents.items())
        )


def attack(every: int = 1) -> Matrix:
    """Everything in every state; each ``every``th of what there is much of. `Breach` where any of it is believed."""
    matrix, few = Matrix("the release desk"), TRIES_ELSEWHERE if every == 1 else 1
    calls = list(_calls(every))
    for state in states():
        tries = Counter[str]()
        for kind, path, body in calls:
            tries[kind] += 1
            if tries[kind] <= few or (path in state.awaits and every == 1):
                matrix.add(kind, state.name, _posted(state, kind, path, body))
    return matrix


@lru_cache(maxsize=1)
def states() -> tuple[State, ...]:
    course = {stand.name: stand for stand in stands()}
    unknown = State("nothing seen", course["nothing seen"].rows, signs=frozenset({"certificates"}))
    settled = State("all settled", course["all closed"].rows, awaits=frozenset({"seals", "salvages"}))
    office = settled.opened()
    _done(office.post("seals", _custody(_heard()), NOW + LATER_S))
    signed = replace(office.kept("receipt signed"), awaits=frozenset({"certificates"}))
    _done(office.post("certificates", _heard().bodies("certificate")[0], NOW + LATER_S))
    closed = replace(office.kept("closed"), awaits=NOTHING)
    serial = open_document(_heard().bodies("order")[0], Order).body.serial
    newer = ((f"counter-{serial}", b"9"),)
    return (
        unknown,
        settled,
        signed,
        closed,
        replace(signed, name="a later order", shelf=(*signed.shelf, *newer), awaits=NOTHING, signs=NOTHING),
        replace(signed, name="new keys", has_new_keys=True, awaits=NOTHING, signs=NOTHING),
        replace(closed, name="closed, then new keys", has_new_keys=True, signs=NOTHING),
    )


# --- what is posted -------------------------------------------------------------------------------------------


def _calls(every: int) -> Iterator[Call]:
    heard = _heard()
    yield OWN_SEAL, "seals", _custody(heard)
    yield OWN_CERTIFICATE, "certificates", heard.bodies("certificate")[0]
    yield from (
        ("polls", "polls", text)
        for text in (b"", b"0" * 64, b"../" * 20, life().now.seal[:32].hex().encode())
    )
    yield from _seals(heard, every)
    yield from _items(heard, every)
    yield from _certificates(heard, every)
    yield from _salvages(heard, every)
    yield from _anywhere(heard)


def _seals(heard: Heard, every: int) -> Iterator[Call]:
    order, seal, items = _parts(heard)
    for one in forgeries(order, "order", every):
        yield f"order: {one.origin}", "seals", _stream(one.data, seal, items)
    for one in forgeries(seal, "terminal", every):
        yield f"seal: {one.origin}", "seals", _stream(order, one.data, items)
    for data in _by(hands()["terminal"], open_any(seal), every):
        yield OWN_SEAL_CHANGED, "seals", _stream(order, data, items)
    for epoch, origin in ((life().now, "another life"), (life().others[1], "another terminal")):
        yield f"seal and items of {origin}", "seals", _stream(epoch.order, epoch.seal, epoch.items)
        yield f"seal of {origin}", "seals", _stream(order, epoch.seal, items)
        yield f"items of {origin}", "seals", _stream(order, seal, epoch.items)
        yield f"order of {origin}", "seals", _stream(epoch.order, seal, items)


def _items(heard: Heard, every: int) -> Iterator[Call]:
    order, seal, items = _parts(heard)
    for other in islice(changed(items), 0, None, every):
        yield "items: one changed, left out or added", "seals", _stream(order, seal, other)
    swapped = [(*items[:at], items[at + 1], items[at], *items[at + 2 :]) for at in range(len(items) - 1)]
    for other in islice(swapped, 0, None, every):
        yield "items: two swapped", "seals", _stream(order, seal, other)
    for data in islice(damaged(_stream(order, seal, items)), 0, None, 3 * every):
        yield "order, seal and items: damaged", "seals", data


def _certificates(heard: Heard, every: int) -> Iterator[Call]:
    certificate, closure = heard.bodies("certificate")[0], heard.bodies("closure")[0]
    for number, one in enumerate(forgeries(certificate, "technician", every)):
        if one.origin != "damaged" or number % DAMAGED_ONE_IN == 0:
            yield f"certificate: {one.origin}", "certificates", one.data
    for data in _by(hands()["technician"], open_any(certificate), every):
        yield OWN_CERTIFICATE_CHANGED, "certificates", data
    body = open_document(certificate, Certificate).body
    yield from ((OTHER_DOCUMENTS, "certificates", _issued(one)) for one in _overstated(body))
    yield WITH_CLOSURE, "certificates", certificate + closure


def _overstated(body: Certificate) -> Iterator[Certificate]:
    """Signed by the technician: without a document, with one of another life, or as the successor of another."""
    now, (earlier, elsewhere) = life().now, life().others
    yield from (replace(body, receipts=one.receipts[:1]) for one in (earlier, elsewhere, now))
    yield replace(body, receipts=earlier.exceptions)
    yield from (replace(body, order=one.order, seal=one.seal) for one in (earlier, elsewhere))
    yield replace(body, supersedes=bytes(32))
    without = replace(body, evidence=None)
    yield from (without, replace(without, supersedes=bytes(32)), without := replace(without, receipts=()))
    yield from (absent(body), replace(without, seal=None, order=None))


def absent(body: Certificate) -> Certificate:
    """The same case as of a terminal that nobody could reach."""
    return replace(body, seal=None, receipts=(), evidence=None)


def _salvages(heard: Heard, every: int) -> Iterator[Call]:
    order = heard.bodies("order")[0]
    salvaged = truth_of(heard).salvaged
    whole = b"".join(encode_salvage(order, [encode(salvaged)]))
    yield "salvage: what nobody signed", "salvages", whole
    for one in forgeries(order, "order", 4 * every):
        yield (
            f"salvage, order: {one.origin}",
            "salvages",
            b"".join(encode_salvage(one.data, [encode(salvaged)])),
        )
    for data in islice(damaged(whole), 0, None, 2 * every):
        yield "salvage: damaged", "salvages", data


def _anywhere(heard: Heard) -> Iterator[Call]:
    documents = [row.body for row in heard.rows if row.kind in _DOCUMENTS]
    bodies = (
        b"",
        b"\0",
        b"{}",
        b"\xd2\x84",
        b"[" * 5000,
        b"\x88\xff\xff\xff",
        encode_receipts(documents[2:3]),
    )
    for path in ("seals", "certificates", "salvages"):
        yield from (("nonsense", path, body) for body in bodies)
        for document in documents:
            if (path, document) != ("certificates", documents[-2]):
                yield "a document in another's place", path, document
    yield "one call's body in another's place", "certificates", _custody(heard)
    yield "one call's body in another's place", "salvages", _custody(heard)


_DOCUMENTS: Final = ("order", "seal", "receipt", "evidence", "certificate", "closure")


def _by(key: SigningKey, document: Signed[Any], every: int) -> Iterator[bytes]:
    """Whatever that hand may really sign, one field changed."""
    for body in islice(changed(document.body), 0, None, every):
        with suppress(DocumentError, ValueError):
            yield issue(body, key)


def _issued(body: Certificate) -> bytes:
    return issue(replace(body, stated=Stated.UNATTESTED), hands()["technician"])


# --- what comes of it -----------------------------------------------------------------------------------------


def _posted(state: State, kind: str, path: str, body: bytes) -> Outcome:
    office = state.opened()
    before = office.shelf.documents
    answer = office.post(path, body, NOW + LATER_S)
    new = {name: value for name, value in office.shelf.documents.items() if before.get(name) != value}
    rows = tuple(office.ledger.rows())[len(state.rows) :]
    if kind in _OWN and path in state.awaits and answer.status != OK:
        raise Breach(f"{state.name}: the desk refuses {kind}")
    if path == "salvages":
        _require_nothing(state, kind, new, rows, may_keep="salvage-")
        return Outcome.UNPROVED if answer.status == OK else Outcome.REFUSED
    if answer.status == OK and answer.body not in before.values():
        if path not in state.signs or kind not in {*_OWN, *BY_ITS_OWN_HAND}:
            raise Breach(f"{state.name}: {kind} is signed")
        return _signed(kind, path, body, answer)
    _require_nothing(state, kind, new, rows)
    return Outcome.SAME if answer.status == OK else Outcome.REFUSED


def _signed(kind: str, path: str, body: bytes, answer: Answer) -> Outcome:
    """Something new was signed: over what is true, or `Breach`."""
    is_true = _is_true_seal(body, answer) if path == "seals" else _is_true_certificate(body, answer)
    if not is_true:
        raise Breach(f"the desk signs over {kind}")
    return Outcome.GRANTED


def _is_true_seal(custody: bytes, answer: Answer) -> bool:
    """Order, items and sums are the terminal's; what else a terminal says of itself is its own affair."""
    posted = decode_custody(custody)
    order, seal, items = _parts(_heard())
    said, true = open_document(posted.seal, Seal), open_document(seal, Seal)
    receipts = [open_document(one, Receipt).body for one in decode_receipts(answer.body)]
    is_own = (posted.order, posted.items) == (order, items)
    return (
        is_own
        and _sums(said.body) == _sums(true.body)
        and all(one.seal_digest == said.digest for one in receipts)
    )


def _sums(seal: Seal) -> tuple[object, ...]:
    """What the acquirer answers for; a total of nothing may be left out, and what is in no total."""
    contexts = tuple(
        replace(
            one,
            totals=tuple(total for total in one.totals if total != GroupTotals(total.group)),
            classes=tuple(kind for kind in one.classes if SIDE[kind.transaction_class] is not Side.NEITHER),
        )
        for one in seal.contexts
    )
    return seal.order_digest, seal.serial, contexts, seal.item_count, seal.head


def _is_true_certificate(certificate: bytes, answer: Answer) -> bool:
    """What is in it is true, and it claims no more than that: a terminal may be out of reach by the order's leave."""
    heard = _heard()
    body = judge(split(certificate)[0] + answer.body, site().acquirer.anchors).certificate.body
    said = (body.order, body.seal, *body.receipts, body.evidence)
    return {one for one in said if one is not None} <= set(
        heard.bodies("order", "seal", "receipt", "evidence")
    )


def _require_nothing(
    state: State, kind: str, new: dict[str, bytes], rows: Stored, may_keep: str = "counter-"
) -> None:
    """Nothing is kept but the number of an order that the right hand signed, or what ``may_keep`` says."""
    kept = [name for name in new if not name.startswith(("counter-", may_keep))]
    if (
        kept
        or rows
        or any(name.startswith("counter-") and value not in _COUNTERS for name, value in new.items())
    ):
        raise Breach(f"{state.name}: {kind} moves shelf or books")


_COUNTERS: Final = (b"1", b"2")
"""Of the orders that were signed for this terminal."""


# --- the true papers ------------------------------------------------------------------------------------------


def _heard() -> Heard:
    return lived(is_balanced=False)


def _parts(heard: Heard) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    return heard.bodies("order")[0], heard.bodies("seal")[0], tuple(heard.bodies("item"))


def _custody(heard: Heard) -> bytes:
    return _stream(*_parts(heard))


def _stream(order: bytes, seal: bytes, items: Iterable[bytes]) -> bytes:
    return b"".join(encode_custody(order, seal, items))


def _done(answer: Answer) -> None:
    assert answer.status == OK, answer.body
