"""One decommission as the journal knows it. Everything here is derived from rows; nothing is remembered beside them.

Row kinds: ``order`` (0), ``seal`` (0), ``item`` (sequence, on top of the rows of items that are void), ``void`` (0 ...:
the items before it are not the seal's, and count no more), ``outcome`` (sequence: SHA-256 of the answer and its
meaning), ``settled`` (context), ``again`` (sequence), ``receipt`` (1, 2), ``erasing`` (0),
``replacement`` (0), ``evidence`` (0), ``certificate`` and its ``closure`` (0; then one more for each that supersedes
the one before),
``salvaged`` (number of its first record: a `messages.Salvaged`, as it came),
``remedy`` (0 ...: what somebody states about held money), ``case`` (0 ...: each version of the paperwork), ``absent``
(0); after a purge ``purged`` (0: time and the head before), ``item-hash`` (sequence) in place of the items, and
``salvage`` (0: what the certificate says of them) in place of the salvaged records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Final

from posdecom_protocol import cbor
from posdecom_protocol.custody import read_salvaged
from posdecom_protocol.documents import Signed, open_document
from posdecom_protocol.documents.certificate import REMEDIES_MAX
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.remedy import REMEDY, Remedy
from posdecom_protocol.documents.salvage import RECORDS_MAX, SALVAGE, Salvage
from posdecom_protocol.documents.seal import Seal, item_ranges_hold
from posdecom_protocol.errors import DocumentError, MessageError
from posdecom_protocol.held import held_items
from posdecom_protocol.limits import ITEM_BYTES_MAX
from posdecom_protocol.messages import Salvaged, encode
from posdecom_protocol.records import CHAIN_START, Item, chain, decode_item
from posdecom_protocol.salvage import SalvageCount, decode_salvaged
from posdecom_protocol.wording import N_

from .dialects import Outcome, decode_outcome, encode_outcome
from .journal import Journal, Row
from .replacement import Replacement, decode_replacement, encode_replacement

DIGEST_BYTES: Final = 32

OUTCOME_BYTES_MAX: Final = DIGEST_BYTES + 16
"""An answer's digest, and its meaning in a word or two."""

_RESERVE_FOR_DOCUMENTS_BYTES: Final = 1024 * 1024
"""Receipts, evidence, certificate and closure together stay below this."""


class Job:
    """The fold over one journal. For one process."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._order: Signed[Order] | None = None
        self._seal: Signed[Seal] | None = None
        self._stored = 0
        self._void = 0
        """Rows of items that turned out not to be the seal's; they stay in the journal, before all others."""
        self._head = CHAIN_START
        self._outcomes: dict[int, Outcome] = {}
        self._salvage = SalvageCount()
        self._salvage_total: int | None = None
        self._last_salvaged = 0
        """By its number in the terminal."""
        self._settled: set[int] = set()
        self._offered_again: set[int] = set()
        for row in journal.rows():
            self._fold(row)

    # --- what is known ---------------------------------------------------------------------------

    @property
    def order(self) -> Signed[Order]:
        if self._order is None:
            data = self._journal.find("order", 0)
            if data is None:
                raise DocumentError("order", N_("the job has none yet"))
            self._order = open_document(data, Order)
        return self._order

    @property
    def seal(self) -> Signed[Seal] | None:
        if self._seal is None and (data := self._journal.find("seal", 0)) is not None:
            self._seal = open_document(data, Seal)
        return self._seal

    @property
    def items_stored(self) -> int:
        """Items 1 to this number are in custody: stored and synced."""
        return self._stored

    @property
    def items_missing(self) -> int | None:
        """How many are still in the terminal alone; None before the seal says how many there are."""
        return None if self.seal is None else self.seal.body.item_count - self._stored

    @property
    def custody_is_complete(self) -> bool:
        return self.items_missing == 0

    @property
    def salvaged_stored(self) -> int:
        """Records 1 to this number of a tampered terminal are here: stored and synced."""
        return self._salvage.count

    @property
    def salvage_is_complete(self) -> bool:
        """All that a tampered terminal says it has, which may be nothing."""
        return self.salvaged_stored == self._salvage_total

    @property
    def salvage_is_over(self) -> bool:
        """All is here, or what is here is all that there will be: the terminal is gone. False after a purge."""
        return self.salvage_is_complete or (self.is_absent and self.salvaged_stored > 0)

    def salvaged_messages(self) -> Iterator[bytes]:
        """The records as they came, for the desk; of ones that are no more than a part, as all that there are."""
        total = self.salvaged_stored
        return (
            encode(replace(read_salvaged(row.body), total=total)) for row in self._journal.rows("salvaged")
        )

    @property
    def salvage(self) -> Salvage | None:
        """What was salvaged, once it is over."""
        held = self._journal.find("salvage", 0)
        if held is not None:
            return SALVAGE.unpack(cbor.decode(held, "salvage"), "salvage")
        return self._salvage.salvage if self.salvage_is_over else None

    @property
    def receipts(self) -> tuple[bytes, ...]:
        found = (self._journal.find("receipt", number) for number in (1, 2))
        return tuple(receipt for receipt in found if receipt is not None)

    @property
    def evidence(self) -> bytes | None:
        return self._journal.find("evidence", 0)

    @property
    def is_absent(self) -> bool:
        """Somebody declared that there is no terminal to go to (`absent.declare_absent`)."""
        return self._journal.count("absent") > 0

    @property
    def case(self) -> bytes | None:
        """The paperwork as it was last handed in (`case.checklist.decode_case`)."""
        versions = self._journal.count("case")
        return self._journal.find("case", versions - 1) if versions else None

    @property
    def replacement(self) -> Replacement | None:
        """The terminal that takes over, once it was met and checked."""
        data = self._journal.find("replacement", 0)
        return None if data is None else decode_replacement(data)

    @property
    def is_replaced(self) -> bool:
        """Also where the order wants no terminal to take over."""
        return self.order.body.replacement is None or self._journal.count("replacement") > 0

    @property
    def certificates(self) -> int:
        """How many there are; each but the first supersedes the one before."""
        return self._journal.count("certificate")

    @property
    def certificate(self) -> bytes | None:
        """The newest."""
        return self._journal.find("certificate", self.certificates - 1) if self.certificates else None

    @property
    def closure(self) -> bytes | None:
        """Of the newest certificate."""
        return self._journal.find("closure", self.certificates - 1) if self.certificates else None

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What was stated about held money, in the order in which it was."""
        rows = self._journal.rows("remedy")
        return tuple(REMEDY.unpack(cbor.decode(row.body, "remedy"), "remedy") for row in rows)

    @property
    def purged_at(self) -> int | None:
        """When the items were destroyed on this laptop, seconds since 1970; None while they are here."""
        note = self._journal.find("purged", 0)
        return None if note is None else int.from_bytes(note[:8], "big")

    @property
    def journal_head(self) -> bytes:
        return self._journal.head()

    @property
    def erase_was_started(self) -> bool:
        return self._journal.count("erasing") > 0

    def item(self, sequence: int) -> Item:
        """Item ``sequence``, which must be in custody."""
        return decode_item(self.item_bytes(sequence))

    def item_bytes(self, sequence: int) -> bytes:
        data = self._journal.find("item", self._void + sequence)
        assert data is not None, "asked for an item that is not in custody"
        return data

    def items(self) -> Iterator[bytes]:
        return (row.body for row in islice(self._journal.rows("item"), self._void, None))

    @property
    def answers(self) -> int:
        """How many answers of the host are in the journal."""
        return self._journal.count("outcome")

    def outcomes(self) -> dict[int, Outcome]:
        """What the host said, by item sequence; the last word counts, and what is offered again has none."""
        return dict(self._outcomes)

    @property
    def offered_again(self) -> frozenset[int]:
        """Items that the desk named missing at some time."""
        return frozenset(self._offered_again)

    @property
    def settled(self) -> frozenset[int]:
        """Contexts whose conversation came to its end, and of which nothing is offered again since."""
        return frozenset(self._settled)

    # --- what is added, durable on return ----------------------------------------------------------

    def begin(self, order: bytes) -> None:
        """Take the order on; the same order again changes nothing, another one is refused."""
        held = self._journal.find("order", 0)
        if held is None:
            open_document(order, Order)
            self._add([Row("order", 0, order)])
        elif held != order:
            raise DocumentError("order", N_("this journal belongs to another order"))

    def keep_seal(self, data: bytes) -> None:
        """Keep the seal, once there is room for everything that it announces."""
        held = self._journal.find("seal", 0)
        if held is not None and held != data:
            raise DocumentError("seal", N_("the terminal made another one for the same order"))
        if held is None:
            seal = open_document(data, Seal)
            if seal.body.order_digest != self.order.digest or seal.body.serial != self.order.body.serial:
                raise DocumentError("seal", N_("is not under this order"))
            if not item_ranges_hold(seal.body):
                raise DocumentError("seal", N_("its contexts do not share out its items"))
            rows_bytes = seal.body.item_count * (ITEM_BYTES_MAX + OUTCOME_BYTES_MAX)
            self._journal.reserve(rows_bytes + _RESERVE_FOR_DOCUMENTS_BYTES)
            self._add([Row("seal", 0, data)])

    def keep_items(self, first: int, items: Sequence[bytes]) -> None:
        """Take items ``first`` ... into custody. The last one must close the seal's chain; where it does not, nobody
        can say which of them is wrong: all are void, and the next visit reads them anew."""
        assert self.seal is not None, "items before the seal"
        if not items or first != self._stored + 1 or self._stored + len(items) > self.seal.body.item_count:
            raise DocumentError("items", N_("came out of sequence"))
        head = self._head
        for sequence, item in enumerate(items, first):
            _require_item(item)
            head = chain(head, sequence, item)
        if self._stored + len(items) == self.seal.body.item_count and head != self.seal.body.head:
            self._void_items()
            raise DocumentError(
                "items", N_("do not add up to the seal's chain head, and are dropped: read them again")
            )
        self._add([Row("item", self._void + sequence, item) for sequence, item in enumerate(items, first)])

    def keep_salvaged(self, message: Salvaged) -> None:
        """Take the next records of a tampered terminal into custody. Nobody signed them; the desk checks their MACs."""
        stored = self.salvaged_stored
        total = message.total if self._salvage_total is None else self._salvage_total
        is_next = (message.first, message.total) == (stored + 1, total)
        if not is_next or not stored + len(message.records) <= total <= RECORDS_MAX:
            raise DocumentError("salvaged records", N_("came out of sequence"))
        try:
            numbers = [decode_salvaged(record).summary.record for record in message.records]
        except MessageError as error:
            raise DocumentError("salvaged records", N_("one is malformed")) from error
        if not all(one < other for one, other in pairwise((self._last_salvaged, *numbers))):
            raise DocumentError("salvaged records", N_("are not in the order of their numbers"))
        if self._salvage_total is None:
            self._journal.reserve(total * ITEM_BYTES_MAX + _RESERVE_FOR_DOCUMENTS_BYTES)
        self._add([Row("salvaged", message.first, encode(message))])

    def keep_outcome(self, sequence: int, outcome: Outcome, answer_digest: bytes) -> None:
        self._add([Row("outcome", sequence, answer_digest + encode_outcome(outcome))])

    def keep_settled(self, context: int) -> None:
        self._add([Row("settled", context, b"")])

    def offer_again(self, sequences: Sequence[int]) -> None:
        """The desk misses these: their outcomes no longer count, their contexts are settled again."""
        assert self.seal is not None
        if not all(1 <= sequence <= self.items_stored for sequence in sequences):
            raise DocumentError("missing items", N_("are not in custody"))
        self._add([Row("again", sequence, b"") for sequence in sequences])

    def keep_receipts(self, receipts: Sequence[bytes]) -> None:
        if self.receipts:
            return
        for receipt in receipts:
            if self.seal is None or open_document(receipt, Receipt).body.seal_digest != self.seal.digest:
                raise DocumentError("receipt", N_("is over another seal"))
        self._add([Row("receipt", number, receipt) for number, receipt in enumerate(receipts, 1)])

    def keep_replacement(self, replacement: Replacement) -> None:
        self.keep_once("replacement", encode_replacement(replacement))

    def keep_certificate(self, data: bytes) -> None:
        self._add([Row("certificate", self.certificates, data)])

    def keep_closure(self, data: bytes) -> None:
        """The closure of the newest certificate."""
        if self.closure is None:
            self._add([Row("closure", self.certificates - 1, data)])

    def keep_remedy(self, remedy: Remedy) -> None:
        """`DocumentError` unless it fits the receipt: nobody closes more than is held."""
        if not self.receipts:
            raise DocumentError("remedies", "there is no receipt that lists anything yet")
        if self._journal.count("remedy") == REMEDIES_MAX:  # one more would be in the way of every certificate
            raise DocumentError(
                "remedies", N_("are {max} already, as many as a certificate holds", max=REMEDIES_MAX)
            )
        held_items(open_document(self.receipts[0], Receipt).body, (*self.remedies, remedy))
        body = cbor.encode(REMEDY.pack(remedy))
        REMEDY.unpack(cbor.decode(body, "remedy"), "remedy")
        self._add([Row("remedy", self._journal.count("remedy"), body)])

    def keep_case(self, data: bytes) -> None:
        """The paperwork as it is now; an earlier version stays in the journal and counts no more."""
        if data != self.case:
            self._add([Row("case", self._journal.count("case"), data)])

    def keep_once(self, kind: str, data: bytes = b"") -> None:
        """A document or a mark of which there is one: ``erasing``, ``evidence`` ..."""
        if self._journal.find(kind, 0) is None:
            self._add([Row(kind, 0, data)])

    # --- private -----------------------------------------------------------------------------------

    def _void_items(self) -> None:
        if self._stored:
            self._add([Row("void", self._journal.count("void"), b"")])

    def _add(self, rows: Sequence[Row]) -> None:
        self._journal.append(rows)
        for row in rows:
            self._fold(row)

    def _fold(self, row: Row) -> None:
        match row.kind:
            case "item":
                self._stored += 1
                self._head = chain(self._head, self._stored, row.body)
            case "void":
                self._void, self._stored, self._head = self._void + self._stored, 0, CHAIN_START
            case "salvaged":
                message = read_salvaged(row.body)
                self._salvage = self._salvage.after(message.records)
                self._salvage_total = message.total
                for record in message.records[-1:]:
                    self._last_salvaged = decode_salvaged(record).summary.record
            case "outcome":
                self._outcomes[row.key] = decode_outcome(row.body[DIGEST_BYTES:])
            case "settled":
                self._settled.add(row.key)
            case "again":
                self._outcomes.pop(row.key, None)
                self._offered_again.add(row.key)
                self._settled.discard(self._context_of(row.key))
            case _:
                pass  # documents and marks are looked up where they lie

    def _context_of(self, sequence: int) -> int:
        for one in () if self.seal is None else self.seal.body.contexts:
            if one.item_first <= sequence <= one.item_last:
                return one.index
        raise DocumentError("journal", "offers an item again that is not under its seal")


def _require_item(data: bytes) -> None:
    try:
        decode_item(data)
    except MessageError as error:
        raise DocumentError("items", N_("one is malformed")) from error
