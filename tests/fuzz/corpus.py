"""What goes over the line, into the journal, to host and desk in one decommission: seeds for fuzzing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from posdecom_agent.journal import Row
from posdecom_protocol.custody import encode_custody, encode_receipts
from posdecom_simulator.terminal import slots
from posdecom_simulator.world.faults import FaultPlan
from posdecom_world.run import World, decommission
from posdecom_world.scene import scene

SEED: Final = 3
RECORDS: Final = 4


@dataclass(frozen=True, slots=True)
class Corpus:
    line: list[bytes] = field(default_factory=list)
    """Chunks as they arrived at either end."""
    plain: list[bytes] = field(default_factory=list)
    """What was said in the channel: one message each."""
    host: list[bytes] = field(default_factory=list)
    """ISO 8583 requests and answers."""
    rows: list[Row] = field(default_factory=list)
    anchors: list[bytes] = field(default_factory=list)
    """Bundles of certificates, as PEM."""

    def bodies(self, *kinds: str) -> list[bytes]:
        return [row.body for row in self.rows if row.kind in kinds]


class _Overheard(World):
    """A world that keeps what is said."""

    def __init__(self) -> None:
        self.corpus = Corpus()
        super().__init__(SEED, scene(SEED, RECORDS), FaultPlan(), "A")

    def host_was_asked(self, message: bytes, answer: bytes | None) -> None:
        self.corpus.host.extend(one for one in (message, answer) if one is not None)
        super().host_was_asked(message, answer)

    def _before_append(self, rows: Sequence[Row]) -> None:
        self.corpus.rows.extend(rows)
        super()._before_append(rows)

    def _arrived(self, data: bytes, to_left: bool) -> None:
        self.corpus.line.append(data)
        super()._arrived(data, to_left)

    def _tap(self, data: bytes) -> None:
        self.corpus.plain.append(data)
        super()._tap(data)


@lru_cache(maxsize=1)
def corpus() -> Corpus:
    world = _Overheard()
    decommission(world)
    names = (slots.ACQUIRER_ANCHORS, slots.CHANNEL_ANCHORS)
    world.corpus.anchors.extend(world.scene.memory[name] for name in names)
    return world.corpus


def custody() -> Iterable[bytes]:
    """As the desk is asked for receipts, and as it answers."""
    heard = corpus()
    (order,), (seal,) = heard.bodies("order"), heard.bodies("seal")
    yield b"".join(encode_custody(order, seal, heard.bodies("item")))
    yield encode_receipts(heard.bodies("receipt"))
