"""Brings the acquirer's cancellation to a frozen terminal, which judges it and trades again. Sans-IO, as `look`."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.messages import OfferCancellation, Refusal, Thawed

from .approach import Access
from .question import Question

ANSWER_S: Final = 60.0
"""The terminal marks what was delivered, one record after the other."""


class Thaw(Question):
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
        super().__init__(
            OfferCancellation(cancellation),
            Thawed,
            ANSWER_S,
            access,
            now,
            serial=serial,
            line_rate_bytes_per_s=line_rate_bytes_per_s,
        )

    @property
    def is_thawed(self) -> bool:
        return self.reply is not None

    def _finish(self, now: float) -> None:
        if self.in_clear:
            self.refusal = Refusal.STATE  # it has erased itself: nothing is left to thaw
        super()._finish(now)
