"""A world in which everything that is said is kept: on the line, in the channel, to host and desk, into the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from posdecom_agent.journal import Row
from posdecom_simulator.terminal import slots
from posdecom_simulator.world.faults import FaultPlan

from .run import World, decommission, plan_of
from .scene import Scene, scene


@dataclass(frozen=True, slots=True)
class Heard:
    line: list[bytes] = field(default_factory=list)
    """Chunks as they arrived at either end."""
    plain: list[bytes] = field(default_factory=list)
    """What was said in the channel: one message each."""
    host: list[bytes] = field(default_factory=list)
    """ISO 8583 requests and answers."""
    posts: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    """Calls to the desk: path, what was posted, what it answered."""
    rows: list[Row] = field(default_factory=list)
    anchors: list[bytes] = field(default_factory=list)
    """Bundles of certificates, as PEM."""

    def bodies(self, *kinds: str) -> list[bytes]:
        return [row.body for row in self.rows if row.kind in kinds]


class Overheard(World):
    def __init__(self, seed: int, here: Scene, plan: FaultPlan, tier: str = "A") -> None:
        self.heard = Heard()
        super().__init__(seed, here, plan, tier)

    def host_was_asked(self, message: bytes, answer: bytes | None) -> None:
        self.heard.host.extend(one for one in (message, answer) if one is not None)
        super().host_was_asked(message, answer)

    def desk_was_asked(self, path: str, body: bytes, answer: bytes) -> None:
        self.heard.posts.append((path, body, answer))
        super().desk_was_asked(path, body, answer)

    def _before_append(self, rows: Sequence[Row]) -> None:
        self.heard.rows.extend(rows)
        super()._before_append(rows)

    def _arrived(self, data: bytes, to_left: bool) -> None:
        self.heard.line.append(data)
        super()._arrived(data, to_left)

    def _tap(self, data: bytes) -> None:
        self.heard.plain.append(data)
        super()._tap(data)


@lru_cache(maxsize=8)
def overhear(seed: int, records: int, *, is_faulty: bool = False) -> Heard:
    """All that is said in one run of tier A, with the faults of its seed or without any."""
    return listen(Overheard(seed, scene(seed, records), plan_of(seed) if is_faulty else FaultPlan()))


def listen(world: Overheard) -> Heard:
    """All that is said in ``world`` until the job is done."""
    decommission(world)
    names = (slots.ACQUIRER_ANCHORS, slots.CHANNEL_ANCHORS)
    world.heard.anchors.extend(world.scene.memory[name] for name in names)
    return world.heard
