"""Brings the acquirer's cancellation to a frozen terminal, which judges it and trades again. Sans-IO, as `look`."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.messages import OfferCancellation, Refusal, Refused, Thawed
from posdecom_protocol.stack import ChannelOver, LinkOver, Stack

from .approach import Access, Answered, Approach, Met, Over, Ready, Stranger

ANSWER_S: Final = 60.0
"""The terminal marks what was delivered, one record after the other."""


class Thaw:
    """Over when `is_over`; then exactly one of `is_thawed`, `refusal`, `stranger` and `cause` says how it ended."""

    def __init__(
        self,
        cancellation: bytes,
        serial: str,
        access: Access,
        now: float,
        *,
        line_rate_bytes_per_s: float | None = None,
    ) -> None:
        self._approach = Approach(access, now, serial=serial, line_rate_bytes_per_s=line_rate_bytes_per_s)
        self._cancellation = cancellation
        self.is_thawed = False
        self.refusal: Refusal | None = None
        self.stranger: str | None = None
        """The serial of another terminal that is on the line."""
        self.cause: LinkOver | ChannelOver | None = None
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
                case Met():
                    pass
                case Ready(in_clear=True):
                    self.refusal = Refusal.STATE  # it has erased itself: nothing is left to thaw
                    self._finish(now)
                case Ready():
                    self._approach.ask(OfferCancellation(self._cancellation))
                    self._answer_by = now + ANSWER_S
                case Answered(Thawed()):
                    self.is_thawed = True
                    self._finish(now)
                case Answered(Refused(reason)):
                    self.refusal = reason
                    self._finish(now)
                case Stranger(serial):
                    self.stranger = serial
                    self._finish(now)
                case Over(cause):
                    self.cause = cause
                    self._finish(now)
                case Answered():
                    self.cause = ChannelOver("the terminal sent a message out of place")
                    self._finish(now)

    def _finish(self, now: float) -> None:
        self._over = True
        self._answer_by = None
        self._approach.close(now)
