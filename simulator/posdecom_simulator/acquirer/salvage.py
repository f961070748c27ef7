"""What the desk makes of records that a tampered terminal gave without being able to sign for them.

Each record's MAC was made at the time of sale; its key is derived again from the KSN in its account data. What holds
is compared with the books, transaction by transaction, both ways: what the books do not have was not charged and is for
a person to follow, and so is what the open batch has and the terminal does not. Nothing is booked here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posdecom_protocol.data_elements import EncryptedAccount
from posdecom_protocol.errors import KeyMaterialError, MessageError
from posdecom_protocol.money import SIDE, Side, Tally
from posdecom_protocol.protection import MAC_BYTES
from posdecom_protocol.salvage import SalvagedRecord, decode_salvaged, salvage_mac_input

from ..site import BookedTerminal
from ..terminal.device import Context
from .books import Posting
from .hsm import Hsm
from .ledger import Ledger, Place
from .standing import next_batch

NUMBERS_SHOWN: Final = 6
REMARK_CHARACTERS_MAX: Final = 400
"""Of a closure (documents.md)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Records by their numbers in the terminal."""

    records: int
    unproved: tuple[int, ...]
    """Without a good MAC of this terminal's key set: they count for nothing unless the books have just the same."""
    booked: int
    """As the books have them."""
    differing: tuple[int, ...]
    """The books have them otherwise; or have what the terminal meant to reverse."""
    unbooked: tuple[tuple[int, Tally, Tally], ...]
    """Money that the books do not have: currency, debit, credit; by rising currency."""
    unbooked_records: tuple[int, ...]
    only_in_books: tuple[int, ...]
    """STANs in the open batches that no record has."""

    def words(self) -> str:
        """For the closure's remark: what is settled, and what somebody has to follow."""
        sums = "; ".join(
            f"{currency:03d}: debit {debit.count} for {debit.amount}, credit {credit.count} for {credit.amount}"
            for currency, debit, credit in self.unbooked[:3]
        )
        text = ", ".join(
            (
                f"{self.records} records salvaged",
                f"{self.booked} booked alike",
                f"{len(self.unbooked_records)} not booked{f' ({sums})' if sums else ''}",
                _some("booked otherwise", self.differing),
                _some("without a good MAC", self.unproved),
                _some("only in the books", self.only_in_books, "STAN"),
            )
        )
        return text[:REMARK_CHARACTERS_MAX]


def _some(what: str, numbers: Sequence[int], name: str = "record") -> str:
    """How many, and the first few by number."""
    shown = " ".join(map(str, numbers[:NUMBERS_SHOWN])) + (" ..." if len(numbers) > NUMBERS_SHOWN else "")
    return f"{len(numbers)} {what}" + (f" ({name} {shown})" if numbers else "")


class Word(Enum):
    """What the books say of one record."""

    NOTHING = "it moves no money, and they have none of it"
    BOOKED = "they have just the same"
    DIFFERS = "they have it otherwise, or have what the terminal meant to reverse"
    MISSING = "they do not have it"


def account_for(records: Sequence[bytes], terminal: BookedTerminal, ledger: Ledger, hsm: Hsm) -> Account:
    """``records``: encoded, in any order. `MessageError` where one is malformed, or comes twice: it counts once."""
    books = _Books(terminal, ledger, hsm)
    judged = [(one := decode_salvaged(data), books.holds(one, data), books.word(one)) for data in records]
    if len({one.summary.record for one, _, _ in judged}) < len(judged):
        raise MessageError("a salvaged record comes twice")
    unbooked = [one for one, holds, word in judged if holds and word is Word.MISSING]
    return Account(
        records=len(records),
        unproved=tuple(one.summary.record for one, holds, _ in judged if not holds),
        booked=sum(word is Word.BOOKED for _, _, word in judged),
        differing=tuple(one.summary.record for one, holds, word in judged if holds and word is Word.DIFFERS),
        unbooked=tuple(_sums(unbooked)),
        unbooked_records=tuple(one.summary.record for one in unbooked),
        only_in_books=tuple(books.unseen({(one.context, one.summary.stan) for one, _, _ in judged})),
    )


@dataclass(frozen=True, slots=True)
class _Books:
    """One terminal's part of the books."""

    terminal: BookedTerminal
    ledger: Ledger
    hsm: Hsm

    def holds(self, record: SalvagedRecord, data: bytes) -> bool:
        """Whether this terminal made the record, at a time when it had its keys."""
        try:
            ksn = EncryptedAccount.decode(record.account_data).ksn
        except MessageError:
            return False
        is_own = ksn.startswith(self.terminal.initial_key_id)
        return is_own and self.hsm.data_mac_is_good(ksn, salvage_mac_input(data), data[-MAC_BYTES:])

    def word(self, record: SalvagedRecord) -> Word:
        posting = self._find(record)
        if posting is not None:
            return Word.BOOKED if self._agrees(record, posting) else Word.DIFFERS
        is_money = SIDE[record.summary.transaction_class] is not Side.NEITHER
        return Word.MISSING if is_money else Word.NOTHING

    def unseen(self, seen: Collection[tuple[int, int]]) -> Iterator[int]:
        """STANs that the open batches have beside ``seen``, which are pairs of context and STAN."""
        for context in self.terminal.contexts:
            *_, batch = self._batches(context)
            for one in self.ledger.postings(context.tid, batch):
                if (context.index, one.stan) not in seen:
                    yield one.stan

    def _find(self, record: SalvagedRecord) -> Posting | None:
        """In any batch of its context that may still be in the terminal."""
        for context in self.terminal.contexts:
            if context.index == record.context:
                for batch in self._batches(context):
                    found = self.ledger.posting(Place(context.tid, batch, record.summary.stan))
                    if found is not None:
                        return found
        return None

    def _batches(self, context: Context) -> Iterator[int]:
        """The booked one, and those after it while the host has ended the one before; the last is open."""
        batch = context.batch
        yield batch
        while self.ledger.batch_end(context.tid, batch) is not None:
            batch = next_batch(batch)
            yield batch

    def _agrees(self, record: SalvagedRecord, posting: Posting) -> bool:
        told = record.summary
        try:
            card = self.hsm.open_card(record.account_data, self.terminal.initial_key_id)
        except (KeyMaterialError, MessageError):
            return False
        return (posting.transaction_class, posting.group, posting.amount, posting.currency, posting.card) == (
            told.transaction_class,
            told.group,
            told.amount,
            told.currency,
            card.digest,
        )


def _sums(records: Sequence[SalvagedRecord]) -> Iterator[tuple[int, Tally, Tally]]:
    for currency in sorted({one.summary.currency for one in records}):
        sides = {Side.DEBIT: Tally(), Side.CREDIT: Tally()}
        for one in (each.summary for each in records if each.summary.currency == currency):
            side = SIDE[one.transaction_class]
            sides[side] = sides[side].plus(one.amount)
        yield currency, sides[Side.DEBIT], sides[Side.CREDIT]
