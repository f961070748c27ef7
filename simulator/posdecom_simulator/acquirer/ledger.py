"""The acquirer's ledger: rows (books.py) that are durable before their answer goes out, and what they add up to.

`Ledger` is a fold over rows; a `Store` only keeps them. A transaction is known by TID, batch number and its own
STAN. It counts once, from its posting until it is withdrawn.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, assert_never

from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE, BatchTotals, Reply
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side

from .books import (
    Alarm,
    AlarmKind,
    BatchEnd,
    ChipProof,
    Denial,
    Exchange,
    Posting,
    Row,
    SignOff,
    Source,
    Upload,
    Withdrawal,
    decode_row,
    encode_row,
)


class Place(NamedTuple):
    """Where a transaction or message belongs; all three as the terminal says."""

    tid: str
    batch: int
    stan: int


class Store(Protocol):
    """Keeps rows in order."""

    def rows(self) -> Iterable[tuple[str, bytes]]:
        """All of them, oldest first."""

    def append(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """All or none; durable on return."""

    def replace(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """These instead of all that there were; all or none."""


class MemoryStore:
    """A store for one process and one thread. Survives whatever holds it."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, bytes]] = []

    def rows(self) -> Iterable[tuple[str, bytes]]:
        return tuple(self._rows)

    def append(self, rows: Sequence[tuple[str, bytes]]) -> None:
        self._rows += rows

    def replace(self, rows: Sequence[tuple[str, bytes]]) -> None:
        self._rows = list(rows)


class SqliteStore:
    """A store in one SQLite file, for one thread. ``synchronous=FULL``: a commit survives a power cut."""

    def __init__(self, path: Path) -> None:
        self._connection: Final = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS row (n INTEGER PRIMARY KEY, kind TEXT, body BLOB)"
        )

    def rows(self) -> Iterable[tuple[str, bytes]]:
        return self._connection.execute("SELECT kind, body FROM row ORDER BY n").fetchall()

    def append(self, rows: Sequence[tuple[str, bytes]]) -> None:
        with self._connection:
            self._connection.executemany("INSERT INTO row (kind, body) VALUES (?, ?)", rows)

    def replace(self, rows: Sequence[tuple[str, bytes]]) -> None:
        with self._connection:
            self._connection.execute("DELETE FROM row")
            self._connection.executemany("INSERT INTO row (kind, body) VALUES (?, ?)", rows)

    def close(self) -> None:
        self._connection.close()


class Ledger:
    """What the rows of ``store`` add up to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read()

    def _read(self) -> None:
        """Fold everything that the store has."""
        self._exchanges: dict[Place, Exchange] = {}
        self._exchange_of_ksn: dict[bytes, Exchange] = {}
        self._postings: dict[Place, Posting] = {}
        self._batches: dict[tuple[str, int], list[Posting]] = {}
        self._withdrawn: set[Place] = set()
        self._uploads: dict[tuple[str, int], list[Upload]] = {}
        self._proofs: dict[tuple[str, int], dict[int, ChipProof]] = {}
        self._ends: dict[tuple[str, int], BatchEnd] = {}
        self._replies: dict[tuple[str, int], tuple[Reply, Reply]] = {}
        self._signed_off: set[tuple[str, int]] = set()
        self._alarms: list[Alarm] = []
        self._alarm_counts: Counter[AlarmKind] = Counter()
        self._denied: set[bytes] = set()
        for kind, body in self._store.rows():
            self._add(decode_row(kind, body))

    # --- in

    def commit(self, rows: Sequence[Row]) -> None:
        """Add ``rows``, all or none; durable on return."""
        self._store.append([encode_row(row) for row in rows])
        for row in rows:
            self._add(row)

    def seed_posted(self, postings: Iterable[Posting]) -> None:
        """Book what the terminal sold online before today; what is there already stays as it is."""
        self.commit([one for one in postings if Place(one.tid, one.batch, one.stan) not in self._postings])

    def forget(self, messages: int) -> None:
        """Lose the last ``messages`` exchanges and what came of them: a restored copy. What was sold online stays."""
        rows = [decode_row(kind, body) for kind, body in self._store.rows()]
        exchanges = [place for place, row in enumerate(rows) if isinstance(row, Exchange)]
        cut = exchanges[-messages - 1] + 1 if len(exchanges) > messages else 0
        kept = rows[:cut] + [row for row in rows[cut:] if _outlives_a_restore(row)]
        self._store.replace([encode_row(row) for row in kept])
        self._read()

    # --- out

    def rows(self) -> Iterable[tuple[str, bytes]]:
        """Everything in the order in which it was written, as the store keeps it."""
        return self._store.rows()

    def exchange(self, place: Place, ksn: bytes) -> Exchange | None:
        """The message that had this place or this KSN before."""
        return self._exchanges.get(place) or self._exchange_of_ksn.get(ksn)

    def posting(self, place: Place) -> Posting | None:
        """The transaction, if it is in the books and not withdrawn."""
        return None if place in self._withdrawn else self._postings.get(place)

    def was_turned_away(self, place: Place) -> bool:
        """Whether the transaction was withdrawn, or its own message refused."""
        exchange = self._exchanges.get(place)
        return place in self._withdrawn or (
            exchange is not None and exchange.code not in (CODE_APPROVED, CODE_DUPLICATE)
        )

    def refundable(self, place: Place) -> int:
        """What of the transaction's amount no advice about it has given back; 0 where it is not in the books."""
        sale = self.posting(place)
        if sale is None:
            return 0
        about = [one for one in self.postings(place.tid, place.batch) if one.original == place.stan]
        return sale.amount - sum(one.amount for one in about if SIDE[one.transaction_class] is Side.CREDIT)

    def postings(self, tid: str, batch: int) -> list[Posting]:
        """The batch as it counts now, in the order of booking."""
        booked = self._batches.get((tid, batch), [])
        return [one for one in booked if Place(tid, batch, one.stan) not in self._withdrawn]

    def totals(self, tid: str, batch: int) -> tuple[GroupTotals, GroupTotals]:
        """Domestic and foreign, as field 48 counts."""
        totals = {group: GroupTotals(group) for group in CardGroup}
        for one in self.postings(tid, batch):
            totals[one.group] = totals[one.group].plus(one.transaction_class, one.amount)
        return totals[CardGroup.DOMESTIC], totals[CardGroup.FOREIGN]

    def replies(self, tid: str, batch: int) -> tuple[Reply, Reply] | None:
        """What the terminal was told about its totals last."""
        return self._replies.get((tid, batch))

    def uploads(self, tid: str, batch: int) -> Sequence[Upload]:
        return self._uploads.get((tid, batch), ())

    def upload_count(self, tid: str, batch: int) -> int:
        """How many different details came, whatever was made of them."""
        return len({one.stan for one in self.uploads(tid, batch)})

    def proofs(self, tid: str, batch: int) -> Mapping[int, ChipProof]:
        """What chips said of transactions of the batch, by STAN."""
        return self._proofs.get((tid, batch), {})

    def unconfirmed(self, tid: str, batch: int) -> list[Posting]:
        """Money that the books have and the terminal did not name in the upload that it ended: for a person."""
        end = self._ends.get((tid, batch))
        if end is None or end.balanced:
            return []
        named = {one.stan for one in self.uploads(tid, batch)}
        money = [one for one in self.postings(tid, batch) if SIDE[one.transaction_class] is not Side.NEITHER]
        return [one for one in money if one.stan not in named]

    def batch_end(self, tid: str, batch: int) -> BatchEnd | None:
        return self._ends.get((tid, batch))

    def is_signed_off(self, tid: str, batch: int) -> bool:
        return (tid, batch) in self._signed_off

    @property
    def alarms(self) -> Sequence[Alarm]:
        return self._alarms

    def alarm_count(self, kind: AlarmKind) -> int:
        return self._alarm_counts[kind]

    def is_denied(self, initial_key_id: bytes) -> bool:
        return initial_key_id in self._denied

    # --- the fold

    def _add(self, row: Row) -> None:
        match row:
            case Exchange():
                self._add_exchange(row)
            case Posting():
                self._postings[Place(row.tid, row.batch, row.stan)] = row
                self._batches.setdefault((row.tid, row.batch), []).append(row)
            case Withdrawal():
                self._withdrawn.add(Place(row.tid, row.batch, row.stan))
            case Upload():
                self._uploads.setdefault((row.tid, row.batch), []).append(row)
            case ChipProof():
                self._proofs.setdefault((row.tid, row.batch), {})[row.stan] = row
            case BatchEnd():
                self._ends[row.tid, row.batch] = row
            case SignOff():
                self._signed_off.add((row.tid, row.batch))
            case Alarm():
                self._alarms.append(row)
                self._alarm_counts[row.kind] += 1
            case Denial():
                self._denied.add(row.initial_key_id)
            case _:
                assert_never(row)

    def _add_exchange(self, row: Exchange) -> None:
        self._exchanges[Place(row.tid, row.batch, row.stan)] = row
        self._exchange_of_ksn[row.ksn] = row
        if row.totals_reply:
            self._replies[row.tid, row.batch] = BatchTotals.decode(row.totals_reply).replies


def _outlives_a_restore(row: Row) -> bool:
    """Not from a message of this visit."""
    return isinstance(row, Denial) or (isinstance(row, Posting) and row.source is Source.ONLINE)
