"""What a host makes of the truth: nothing, or faults that a test or the world wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posdecom_protocol.iso8583 import IsoMessage
from posdecom_protocol.money import CardGroup


class Behaviour:
    """An honest host on a good line. Tests and the world override what they need."""

    def refusal(self, request: IsoMessage) -> str | None:
        """A code to refuse ``request`` with, whatever the books say."""
        return None

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        """Whether the totals of ``group`` are called balanced; ``equal`` is the truth."""
        return equal

    def answers(self, request: IsoMessage) -> bool:
        """Whether the answer arrives. The books have changed by then."""
        return True


@dataclass(slots=True)
class ScriptedBehaviour(Behaviour):
    """Faults by STAN."""

    refuse: Mapping[int, str] = field(default_factory=dict)
    not_balanced: frozenset[CardGroup] = frozenset()
    lose_once: set[int] = field(default_factory=set)
    """STANs whose next answer is lost; each is taken out when it happens."""

    def refusal(self, request: IsoMessage) -> str | None:
        return self.refuse.get(int(request.text(11)))

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return equal and group not in self.not_balanced

    def answers(self, request: IsoMessage) -> bool:
        stan = int(request.text(11))
        lost = stan in self.lose_once
        self.lose_once.discard(stan)
        return not lost
