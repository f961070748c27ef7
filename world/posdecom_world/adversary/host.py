"""The acquirer's host, sent what is not its terminal's next message: forged, replayed, of another life, out of turn.

Two kinds of messages. What the terminal's keys did not protect moves nothing: no row of the books but an alarm. What
they did protect may come out of turn, since anybody on the way can hold messages back: then it may book its own money,
once, and close nothing early; the conversation goes on after it, and must end with the same books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Final

from posdecom_protocol.aes_dukpt import HostDukpt, Ksn
from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE
from posdecom_protocol.iso8583 import ENVELOPE_BYTES, FIELDS, ISO_BYTES_MAX, IsoMessage, decode, seal
from posdecom_protocol.money import CardGroup
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import ItemKind, decode_item
from posdecom_simulator.acquirer.behaviour import Behaviour
from posdecom_simulator.acquirer.books import Alarm, BatchEnd, Denial, Posting, Row, decode_row
from posdecom_simulator.acquirer.host import Host
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore

from ..scene import NOW, hsm, scene, site
from .forgery import damaged
from .life import RECORDS, SEED, life, lived, other_terminal
from .matrix import Breach, Matrix, Outcome

NEXT: Final = "its next message"
OUT_OF_TURN: Final = "its own, out of turn"
OWN_ELSE: Final = "its own, of another life"
OWN_AGAIN: Final = "its own, again"
OWN_ENVELOPE: Final = "its next message, other envelope"
PROTECTED: Final = frozenset({NEXT, OUT_OF_TURN, OWN_ELSE, OWN_AGAIN, OWN_ENVELOPE})
"""By this terminal's keys, in this set of keys."""

Stored = tuple[tuple[str, bytes], ...]
Saying = tuple[str, bytes]


class _Unequal(Behaviour):
    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Stand:
    """The books in one state, and the messages that are still to come."""

    name: str
    rows: Stored
    said: tuple[bytes, ...]
    to_come: tuple[bytes, ...]
    is_balanced: bool

    def opened(self) -> tuple[Ledger, Host]:
        store = MemoryStore()
        store.append(self.rows)
        ledger = Ledger(store)
        behaviour = Behaviour() if self.is_balanced else _Unequal()
        return ledger, Host(ledger, hsm(site()), site().acquirer.settings.terminals, behaviour)


def attack(every: int = 1) -> Matrix:
    """Everything at every stand; each ``every``th of what there is much of. `Breach` where the books move."""
    matrix = Matrix("the acquirer's host")
    for stand in stands():
        for kind, data in _protected(stand, every):
            matrix.add(kind, stand.name, _taken(stand, kind, data))
        ledger, host = stand.opened()
        for kind, data in _unprotected(stand, every):
            matrix.add(kind, stand.name, _refused(stand, kind, data, ledger, host))
    return matrix


@lru_cache(maxsize=1)
def stands() -> tuple[Stand, ...]:
    unequal, balanced = _course(is_balanced=False), _course(is_balanced=True)
    mtis = [decode(data).mti for data in unequal[-1].said]
    totals, end = mtis.index("0500"), mtis.index("0820")
    named = (
        (unequal[0], "nothing seen"),
        (unequal[totals], "money in"),
        (balanced[totals + 1], "totals equal"),
        (unequal[totals + 1], "totals not equal"),
        (unequal[totals + 2], "uploading"),
        (unequal[end], "batch closed"),
        (unequal[-1], "all closed"),
        (_revoked(unequal[-1]), "revoked"),
    )
    return tuple(replace(stand, name=name) for stand, name in named)


# --- the true conversation ------------------------------------------------------------------------------------


def _course(*, is_balanced: bool) -> list[Stand]:
    """Before each message, and after the last."""
    requests = tuple(data for data in lived(is_balanced=is_balanced).host if _is_request(data))
    store = MemoryStore()
    ledger = Ledger(store)
    ledger.seed_posted(scene(SEED, RECORDS).posted)
    course = [Stand("", tuple(store.rows()), (), requests, is_balanced)]
    _, host = course[0].opened()
    for number in range(1, len(requests) + 1):
        ledger, host = course[-1].opened()
        host.answer(requests[number - 1], NOW)
        course.append(Stand("", tuple(ledger.rows()), requests[:number], requests[number:], is_balanced))
    return course


def _revoked(stand: Stand) -> Stand:
    ledger, _ = stand.opened()
    ledger.commit([Denial(site().acquirer.settings.terminals[0].initial_key_id, int(NOW))])
    return replace(stand, rows=tuple(ledger.rows()))


def _is_request(data: bytes) -> bool:
    return int(decode(data).mti[2]) % 2 == 0


# --- what its own keys protected ------------------------------------------------------------------------------


def _protected(stand: Stand, every: int) -> Iterator[Saying]:
    following = stand.to_come[:1] or stand.said[-1:]
    yield from ((NEXT, data) for data in following)
    for data in following:
        yield OWN_ENVELOPE, data[:1] + bytes(4) + data[5:]
        yield OWN_ENVELOPE, data[:5] + bytes(6) + data[11:]
    yield from ((OWN_AGAIN, data) for data in islice(stand.said or following, 0, None, every))
    items = lived(is_balanced=stand.is_balanced).bodies("item")
    own = [data for data in _messages(items) if data not in (*stand.said, *following)]
    yield from ((OUT_OF_TURN, data) for data in islice(own, 0, None, every))
    yield from ((OWN_ELSE, data) for data in islice(_messages(life().now.items), 0, None, every))


def _taken(stand: Stand, kind: str, data: bytes) -> Outcome:
    ledger, host = stand.opened()
    outcome = _outcome(host.answer(data, NOW))
    if kind == NEXT and stand.to_come and outcome is not Outcome.GRANTED:
        raise Breach(f"{stand.name}: the host refuses the next message by the right hands")
    _require_own_money(stand, kind, ledger)
    for message in stand.to_come:
        host.answer(message, NOW)
    _require_the_true_end(stand, kind, ledger)
    return outcome


def _require_own_money(stand: Stand, kind: str, ledger: Ledger) -> None:
    """Each posting is a true one, and there once; a batch is closed only with all its money in it."""
    true = _end_of(stand)
    for row in _new(stand, ledger):
        if isinstance(row, Posting) and _money(row) not in map(_money, _postings(true)):
            raise Breach(f"{stand.name}: {kind} books what was not sold")
        if isinstance(row, BatchEnd) and _batch(ledger, row) != _batch(true, row):
            raise Breach(f"{stand.name}: {kind} closes a batch before its money is in it")
        if isinstance(row, Denial):
            raise Breach(f"{stand.name}: {kind} revokes")


def _require_the_true_end(stand: Stand, kind: str, ledger: Ledger) -> None:
    true = _end_of(stand)
    for batch in _batches():
        ended, wanted = (one.batch_end(*batch) is not None for one in (ledger, true))
        if _live(ledger, batch) != _live(true, batch) or (wanted and not ended):
            raise Breach(f"{stand.name}: after {kind} the books do not end as they should")


# --- what they did not ----------------------------------------------------------------------------------------


def _refused(stand: Stand, kind: str, data: bytes, ledger: Ledger, host: Host) -> Outcome:
    before = sum(1 for _ in ledger.rows())
    outcome = _outcome(host.answer(data, NOW))
    moved = [row for row in _decoded(tuple(ledger.rows())[before:]) if not isinstance(row, Alarm)]
    if moved or outcome is Outcome.GRANTED:
        raise Breach(f"{stand.name}: {kind} moves the books")
    return outcome


def _unprotected(stand: Stand, every: int) -> Iterator[Saying]:
    following = (stand.to_come or stand.said)[0]
    others = _messages(life().others[1].items)
    for genuine in dict.fromkeys((following, stand.said[-1] if stand.said else following)):
        for message in islice(_changed(decode(genuine)), 0, None, every):
            yield "field changed", message.encode()
            for name, key in _keys():
                yield f"field changed, {name}", _sealed(message, key)
        for data in islice(damaged(genuine[ENVELOPE_BYTES:]), 0, None, every):
            yield "damaged", genuine[:ENVELOPE_BYTES] + data
        for name, key in _keys():
            yield f"nothing changed, {name}", _sealed(decode(genuine), key)
    for data in islice(others, 0, None, every):
        yield "another terminal's", data
        yield "another terminal's, under this TID", _as_ours(decode(data), following)
    answers = [data for data in lived(is_balanced=stand.is_balanced).host if not _is_request(data)]
    yield from (("an answer", data) for data in islice(answers, 0, None, every))
    for data in (
        b"",
        bytes(21),
        b"\x60" + bytes(20),
        following[:21],
        bytes(ISO_BYTES_MAX + 1),
        b"\xff" * 200,
    ):
        yield "no message", data


def _changed(message: IsoMessage) -> Iterator[IsoMessage]:
    """One field changed, left out or added; or another message type."""
    for number, value in message.fields.items():
        yield replace(message, fields={**message.fields, number: _other(number, value)})
        if number != 64:
            yield replace(message, fields={n: one for n, one in message.fields.items() if n != number})
    for number in FIELDS.keys() - message.fields.keys():
        yield replace(message, fields={**message.fields, number: _any(number)})
    for mti in ("0200", "0220", "0320", "0400", "0500", "0820"):
        if mti != message.mti:
            yield replace(message, mti=mti)


def _other(number: int, value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    return value[:-1] + ("1" if value[-1] != "1" else "2")


def _any(number: int) -> str | bytes:
    layout = FIELDS[number]
    return bytes(layout.length) if layout.kind.value == "b" else "1" * layout.length


Key = tuple[bytes, Callable[[bytes], bytes]]
"""A KSN, and what makes a MAC under it."""


@lru_cache(maxsize=1)
def _keys() -> tuple[tuple[str, Key], ...]:
    """What somebody has who took another terminal apart, and who has nothing."""
    other = other_terminal().keys.initial_key_id
    ours = site().acquirer.settings.terminals[0].initial_key_id
    ksn = Ksn(other, 5)
    keys = HostDukpt.from_bdk(site().acquirer.bdk, other).message_keys(ksn)
    return (
        ("another terminal's key", (ksn.encode(), lambda data: cmac8(keys.mac, data))),
        ("another terminal's key, this KSN", (Ksn(ours, 900).encode(), lambda data: cmac8(keys.mac, data))),
        ("no key", (Ksn(ours, 901).encode(), lambda _: bytes(8))),
        ("no key, an impossible KSN", (ours + b"\xff" * 4, lambda _: bytes(8))),
    )


def _sealed(message: IsoMessage, key: Key) -> bytes:
    ksn, mac = key
    return seal(replace(message, fields={**message.fields, 53: ksn}), mac)


def _as_ours(message: IsoMessage, ours: bytes) -> bytes:
    to = decode(ours)
    return replace(message, fields={**message.fields, 41: to.text(41), 42: to.text(42)}).encode()


# --- the books ------------------------------------------------------------------------------------------------


def _outcome(answer: bytes | None) -> Outcome:
    if answer is None:
        return Outcome.DEAF
    return _OF_CODES.get(decode(answer).text(39), Outcome.REFUSED)


_OF_CODES: Final = {CODE_APPROVED: Outcome.GRANTED, CODE_DUPLICATE: Outcome.SAME, "95": Outcome.GRANTED}


def _messages(items: Sequence[bytes]) -> list[bytes]:
    decoded = (decode_item(item) for item in items)
    return [item.message for item in decoded if item.kind is not ItemKind.WITHHELD]


@lru_cache(maxsize=16)
def _end_of(stand: Stand) -> Ledger:
    """The books at the end of the true conversation."""
    ledger, host = stand.opened()
    for message in stand.to_come:
        host.answer(message, NOW)
    return ledger


def _new(stand: Stand, ledger: Ledger) -> list[Row]:
    return _decoded(tuple(ledger.rows())[len(stand.rows) :])


def _decoded(rows: Stored) -> list[Row]:
    return [decode_row(kind, body) for kind, body in rows]


def _batches() -> list[tuple[str, int]]:
    return [(one.tid, one.batch) for one in site().acquirer.settings.terminals[0].contexts]


def _postings(ledger: Ledger) -> list[Posting]:
    return [one for one in _decoded(tuple(ledger.rows())) if isinstance(one, Posting)]


def _live(ledger: Ledger, batch: tuple[str, int]) -> set[tuple[object, ...]]:
    return {_money(one) for one in ledger.postings(*batch)}


def _batch(ledger: Ledger, end: BatchEnd) -> set[tuple[object, ...]]:
    return _live(ledger, (end.tid, end.batch))


def _money(one: Posting) -> tuple[object, ...]:
    return one.tid, one.batch, one.stan, one.transaction_class, one.amount, one.currency, one.card
