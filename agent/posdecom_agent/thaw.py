"""Brings the acquirer's cancellation to a frozen terminal, which judges it and trades again. Sans-IO, as `look`."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR
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
            # it has erased itself, and nothing is left to thaw; or it has lost the keys to trade with
            is_tampered = self.welcome is not None and self.welcome.state not in PROOFS_IN_CLEAR
            self.refusal = Refusal.TAMPERED if is_tampered else Refusal.STATE
        super()._finish(now)
