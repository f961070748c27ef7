"""A look at one terminal: what is on the line and what it holds. Asks for the inventory and changes nothing."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.greeting import Welcome
from posdecom_protocol.messages import GetInventory, Inventory, Refusal, Refused
from posdecom_protocol.stack import ChannelOver, LinkOver, Stack

from .approach import Access, Answered, Approach, Met, Over, Ready, Stranger

ANSWER_S: Final = 20.0
"""An inventory is made at once; a terminal that counts its records on slow flash takes seconds."""


class Look:
    """Sans-IO, over when `is_over`. A retired terminal gives a `welcome` and no `inventory`."""

    def __init__(self, access: Access, now: float, *, line_rate_bytes_per_s: float | None = None) -> None:
        self._approach = Approach(access, now, line_rate_bytes_per_s=line_rate_bytes_per_s)
        self.welcome: Welcome | None = None
        self.inventory: Inventory | None = None
        self.refusal: Refusal | None = None
        self.cause: LinkOver | ChannelOver | None = None
        """Why there is no inventory, where the line or the session ended, or no answer came."""
        self._answer_by: float | None = None
        self._over = False

    def receive(self, data: bytes, now: float) -> None:
        self._approach.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self._approach.tick(now)
        self._turn(now)
        if self._answer_by is not None and now >= self._answer_by and not self._over:
            self.cause = ChannelOver("the terminal does not answer")
            self._finish(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self._approach.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        due = (self._approach.deadline(), self._answer_by)
        return min((at for at in due if at is not None), default=None)

    @property
    def stack(self) -> Stack:
        return self._approach.stack

    @property
    def is_over(self) -> bool:
        return self._over

    # --- private -----------------------------------------------------------------------------------

    def _turn(self, now: float) -> None:
        for event in self._approach.events():
            if self._over:
                return
            match event:
                case Met(welcome):
                    self.welcome = welcome
                case Ready(in_clear=True):
                    self._finish(now)
                case Ready():
                    self._approach.ask(GetInventory())
                    self._answer_by = now + ANSWER_S
                case Answered(Inventory() as inventory):
                    self.inventory = inventory
                    self._finish(now)
                case Answered(Refused(reason)):
                    self.refusal = reason
                    self._finish(now)
                case Over(cause):
                    self.cause = cause
                    self._finish(now)
                case Answered() | Stranger():
                    self.cause = ChannelOver("the terminal sent a message out of place")
                    self._finish(now)

    def _finish(self, now: float) -> None:
        self._over = True
        self._answer_by = None
        self._approach.close(now)
