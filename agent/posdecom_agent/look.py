"""A look at one terminal: what is on the line and what it holds. Asks for the inventory and changes nothing."""

from __future__ import annotations

from posdecom_protocol.greeting import Welcome
from posdecom_protocol.messages import GetInventory, Inventory, Refusal, Refused
from posdecom_protocol.stack import ChannelOver, LinkOver, Stack

from .approach import Access, Answered, Approach, Met, Over, Ready, Stranger


class Look:
    """Sans-IO, over when `is_over`. A retired terminal gives a `welcome` and no `inventory`."""

    def __init__(self, access: Access, now: float, *, line_rate_bytes_per_s: float | None = None) -> None:
        self._approach = Approach(access, now, line_rate_bytes_per_s=line_rate_bytes_per_s)
        self.welcome: Welcome | None = None
        self.inventory: Inventory | None = None
        self.refusal: Refusal | None = None
        self.cause: LinkOver | ChannelOver | None = None
        """Why there is no inventory, where the line or the session ended."""
        self._over = False

    def receive(self, data: bytes, now: float) -> None:
        self._approach.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self._approach.tick(now)
        self._turn(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self._approach.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        return self._approach.deadline()

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
                case Answered(Inventory() as inventory):
                    self.inventory = inventory
                    self._finish(now)
                case Answered(Refused(reason)):
                    self.refusal = reason
                    self._finish(now)
                case Over(cause):
                    self.cause = cause
                    self._over = True
                case Answered() | Stranger():
                    self._finish(now)

    def _finish(self, now: float) -> None:
        self._over = True
        self._approach.close(now)
