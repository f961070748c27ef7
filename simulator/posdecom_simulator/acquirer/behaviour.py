"""What a host makes of the truth: nothing, or faults that a test, the world or a scenario file wants.

A host asks its `Behaviour` twice about a message: when it is judged, whether the books are to be told a lie
(`refusal`, `agrees`), and when it is carried (delivery.py), what happens to it on the way there and back (`conduct`).
`Scenario` is a behaviour made of `Rule` rows, as scenario.py reads them from a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from posdecom_protocol.errors import MessageError
from posdecom_protocol.iso8583 import IsoMessage, decode
from posdecom_protocol.money import CardGroup

LATE_S: Final = 70.0
"""Longer than a terminal or an agent waits for an answer."""


class HostFault(StrEnum):
    """What a host can do wrong; the words stand in scenario files."""

    SILENCE = "silence"
    """From this message on the connection stays open, and nothing is heard or said on it any more."""
    TIMEOUT_BEFORE = "time-out before commit"
    TIMEOUT_AFTER = "time-out after commit"
    LATE = "late answer"
    TWICE = "answer twice"
    CONTRADICTION = "contradicting answer"
    """Two answers: the true one, and one that says the opposite."""
    HANG_UP = "hang up before commit"
    CUT = "cut inside the answer"
    RESTART = "restart"
    """Host and desk end before they hear the message, and open again from their books."""
    REFUSE = "refuse"
    NOT_BALANCED = "not balanced"
    BAD_TPDU = "bad TPDU"
    BAD_HEADER = "bad header"
    TRUNCATED = "truncated answer"
    OVERLONG = "over-long answer"
    UNKNOWN = "unknown message"
    FORGET = "forget"
    """The books are restored from an older copy, before the message is heard."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault, and the messages that it strikes. An empty set is no condition."""

    fault: HostFault
    mti: frozenset[str] = frozenset()
    stan: frozenset[int] = frozenset()
    at: frozenset[int] = frozenset()
    """Numbers, from 1, among the messages that fit ``mti`` and ``stan``, repeats counted."""
    code: str = "05"
    """Of a refusal, or of a contradiction to an approval."""
    group: CardGroup = CardGroup.DOMESTIC
    """That is called not balanced."""
    delay_s: float = LATE_S
    messages: int = 1
    """How many the older copy of the books lacks."""
    bytes: int | None = None
    """Of an answer that is cut, length prefix included; None for half of it."""
    lie_first: bool = False
    """Of a contradiction."""

    def fits(self, message: IsoMessage) -> bool:
        return (not self.mti or message.mti in self.mti) and (
            not self.stan or int(message.text(11)) in self.stan
        )


class Behaviour:
    """An honest host on a good line. Tests and the world override what they need."""

    def refusal(self, request: IsoMessage) -> str | None:
        """A code to refuse ``request`` with, whatever the books say."""
        return None

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        """Whether the totals of ``group`` are called balanced; ``equal`` is the truth."""
        return equal

    def answers(self, request: IsoMessage) -> bool:
        """Whether there is an answer. The books have changed by then."""
        return True

    def conduct(self, data: bytes) -> Sequence[Rule]:
        """What happens to the message ``data`` on its way; asked once each time that it comes."""
        return ()


class Scenario(Behaviour):
    """Faults by rules, until it is `calm`."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._seen: Counter[int] = Counter()
        self.is_calm = False
        """From now on nothing goes wrong."""

    def refusal(self, request: IsoMessage) -> str | None:
        struck = self._struck(request, {HostFault.REFUSE})
        return struck[0].code if struck else None

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        named = any(one.fault is HostFault.NOT_BALANCED and one.group is group for one in self.rules)
        return equal and (self.is_calm or not named)

    def conduct(self, data: bytes) -> Sequence[Rule]:
        try:
            return self._struck(decode(data), _ON_THE_WAY)
        except MessageError:
            return ()

    def _struck(self, message: IsoMessage, faults: frozenset[HostFault] | set[HostFault]) -> list[Rule]:
        found = []
        for number, rule in enumerate(self.rules):
            if rule.fault in faults and not self.is_calm and rule.fits(message):
                self._seen[number] += 1
                if not rule.at or self._seen[number] in rule.at:
                    found.append(rule)
        return found


_ON_THE_WAY: Final = frozenset(HostFault) - {HostFault.REFUSE, HostFault.NOT_BALANCED}


@dataclass(slots=True)
class ScriptedBehaviour(Behaviour):
    """Faults by STAN, for tests that look at the host alone."""

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
