"""A look at one terminal: what is on the line and what it holds. Asks for the inventory and changes nothing."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.messages import GetInventory, Inventory

from .approach import Access
from .question import Question

ANSWER_S: Final = 20.0
"""An inventory is made at once; a terminal that counts its records on slow flash takes seconds."""


class Look(Question):
    """Sans-IO, over when `is_over`. A retired terminal gives a `welcome` and no `inventory`."""

    def __init__(self, access: Access, now: float, *, line_rate_bytes_per_s: float | None = None) -> None:
        super().__init__(
            GetInventory(), Inventory, ANSWER_S, access, now, line_rate_bytes_per_s=line_rate_bytes_per_s
        )

    @property
    def inventory(self) -> Inventory | None:
        return self.reply if isinstance(self.reply, Inventory) else None
