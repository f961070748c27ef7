"""How much a batch may hold before the terminal asks to settle first. Nothing that was taken ever overflows a message.

As real terminals do, the one that would be too much is refused at the time of sale, and no new batch is opened
unasked: the number of a batch is the acquirer's to give. Two bounds per context:

- 999 transactions, because the counters in fields 48 and 63 have three digits. What a freeze may add, one refund for
  each debit, then has room on the other side;
- amounts that together fit twelve digits, debit and credit alike, so that every sum fits whatever is given back.
"""

from __future__ import annotations

from posdecom_protocol.errors import LocalError
from posdecom_protocol.limits import RECORDS_PER_CONTEXT_MAX
from posdecom_protocol.money import AMOUNT_MAX, Tally


class BatchRoom:
    """Of every context of a terminal, by index."""

    def __init__(self) -> None:
        self._held: dict[int, Tally] = {}

    def has(self, context: int, amount: int) -> bool:
        """Whether one more transaction of ``amount`` (minor units) may be made."""
        after = self._held.get(context, Tally()).plus(amount)
        return after.count <= RECORDS_PER_CONTEXT_MAX and after.amount <= AMOUNT_MAX

    def take(self, context: int, amount: int) -> None:
        """One more; `LocalError` where it does not fit: the cashier has to settle first."""
        if not self.has(context, amount):
            raise LocalError(f"context {context}: the batch is full; settle it first")
        self._held[context] = self._held.get(context, Tally()).plus(amount)
