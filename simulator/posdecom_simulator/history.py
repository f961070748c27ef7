"""The file by which a simulated acquirer learns what a simulated terminal sold online before today.

JSON lines, one per transaction that the host had in its books, written by the terminal at its first boot and loaded
by the acquirer. Account data are encrypted as in field 57; no line holds a card number.

A pending reversal whose sale the host had booked stands there as that sale: the host knew nothing of the reversal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from posdecom_protocol.aes_dukpt import INITIAL_KEY_ID_BYTES
from posdecom_protocol.data_elements import EncryptedAccount
from posdecom_protocol.errors import LocalError
from posdecom_protocol.money import TransactionClass

from .acquirer.books import Posting, Source
from .acquirer.hsm import Hsm
from .terminal.device import Context
from .terminal.stored import StoredTransaction


@dataclass(frozen=True, slots=True)
class Line:
    """One transaction as the host had it."""

    tid: str
    mid: str
    batch: int
    stan: int
    transaction_class: str
    """Name of the `TransactionClass`."""
    amount: int
    currency: int
    local_time: str
    """YYMMDDhhmmss by the host's clock."""
    account_data: str = field(repr=False)
    """Field 57 in hexadecimal."""
    original: int = 0
    """STAN of the transaction that it is about, 0 for none; older files do not say."""


def write_history(contexts: Sequence[Context], stored: Iterable[StoredTransaction]) -> Iterator[str]:
    """The lines, each with its line feed, of what is ``posted`` among ``stored`` (in the order of their numbers)."""
    by_index = {context.index: context for context in contexts}
    records = list(stored)
    times = _host_times(records)
    stans = {one.number: one.stan for one in records}
    for one in records:
        if one.posted:
            line = _line(by_index[one.context], one, times[one.number], stans.get(one.original or 0, 0))
            yield json.dumps(asdict(line), sort_keys=True) + "\n"


def _host_times(records: Sequence[StoredTransaction]) -> dict[int, str]:
    """By the host's clock: its own answer's time, and for what was made offline that of the terminal, but never
    outside the two answers around it."""
    times = {one.number: one.local_time for one in records}
    earliest = ""
    for one in records:
        earliest = max(earliest, one.local_time) if one.is_answered else earliest
        times[one.number] = max(times[one.number], earliest)
    latest = "9" * 12
    for one in reversed(records):
        latest = min(latest, one.local_time) if one.is_answered else latest
        times[one.number] = min(times[one.number], latest)
    return times


def read_history(lines: Iterable[str], hsm: Hsm) -> Iterator[Posting]:
    """Inverse of `write_history`, as the ledger books it (`Ledger.seed_posted`).

    `LocalError` for a line that is none, `KeyMaterialError` for one under another acquirer's keys.
    """
    for number, text in enumerate(lines, 1):
        try:
            line = Line(**json.loads(text))
            kind = TransactionClass[line.transaction_class]
            at = datetime.strptime(line.local_time, "%y%m%d%H%M%S").replace(tzinfo=UTC)
            account = bytes.fromhex(line.account_data)
            # the file is the terminal's own and not a message: there is no TID to hold the key set against
            key_set = EncryptedAccount.decode(account).ksn[:INITIAL_KEY_ID_BYTES]
            card = hsm.open_card(account, key_set)
        except (ValueError, TypeError, KeyError):
            raise LocalError(f"history: line {number} is malformed") from None
        yield Posting(
            tid=line.tid,
            mid=line.mid,
            batch=line.batch,
            stan=line.stan,
            transaction_class=kind,
            group=card.group,
            amount=line.amount,
            currency=line.currency,
            card=card.digest,
            source=Source.ONLINE,
            at=int(at.timestamp()),
            original=line.original,
        )


def _line(context: Context, one: StoredTransaction, local_time: str, original: int) -> Line:
    kind = one.transaction_class
    if kind is TransactionClass.REVERSAL:
        kind = TransactionClass.SALE
    return Line(
        tid=context.tid,
        mid=context.mid,
        batch=context.batch,
        stan=one.stan,
        transaction_class=kind.name,
        amount=one.amount,
        currency=context.currency,
        local_time=local_time,
        account_data=one.account_data.hex(),
        original=original,
    )
