"""Looks at a terminal's chips whenever they change, and judges what really lies in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.secret import BytesLike
from posdecom_simulator.forensics.record import Entry, Kind
from posdecom_simulator.memory.image import Image
from posdecom_simulator.terminal import slots
from posdecom_simulator.world.terminal import VirtualTerminal, Watch

from . import invariants
from .readout import Readout
from .scene import Scene

Check = Callable[..., None]
"""`World.check`: an invariant, and what it is told."""


class MemoryWatch:
    """``left_trade`` is called once, when the terminal is first seen beyond the release of its erase."""

    terminal: VirtualTerminal
    """Set before anything happens."""

    def __init__(self, image: Image, here: Scene, check: Check, left_trade: Callable[[], None]) -> None:
        self.readout = Readout(image, here.search)
        self._scene = here
        self._check = check
        self._left_trade = left_trade
        self._looked_at: Mapping[str, bytes] | None = None
        self._boots_at_intent: int | None = None
        check(invariants.every_key_is_found_to_begin_with, self.readout.secrets_of(here.keys), here)

    def hooks(self) -> Watch:
        return Watch(
            before_change=self.look,
            before_operation=self.readout.touched,
            before_bytes=self._before_bytes,
            after_cut=self._after_cut,
            note=self._note,
        )

    @property
    def state(self) -> LifecycleState:
        return invariants.state_of(self.readout.values())

    def look(self) -> None:
        """At what lies in the chips, where that is new."""
        memory, here, lost = self.readout.values(), self._scene, self._lost()
        if memory is self._looked_at:
            return
        self._looked_at = memory
        self._check(invariants.keys_stay_until_the_intent_is_durable, memory, here, lost)
        self._check(invariants.a_tamper_takes_the_keys, memory, lost)
        self._check(invariants.nothing_is_deleted_before_the_intent, memory, here)
        self._check(invariants.intent_stands_on_a_receipt, memory, here)
        if (evidence := memory.get(slots.EVIDENCE)) is not None:
            self._check(invariants.evidence_means_empty_slots, evidence, self.readout.secrets())
        if self._boots_at_intent is None and invariants.state_of(memory) not in invariants.TRADING:
            self._boots_at_intent = self.terminal.boots
            self._left_trade()

    # --- private

    def _lost(self) -> frozenset[str]:
        """Keys that a tamper has taken."""
        if not self.terminal.is_tampered:
            return frozenset()
        return self._scene.taken_by_a_tamper(with_identity=self.terminal.has_lost_identity)

    def _before_bytes(self) -> None:
        self.look()
        if self._boots_at_intent is not None and self.terminal.boots > self._boots_at_intent:
            self._check(invariants.keys_are_gone_after_a_boot_with_intent, self.readout.secrets())

    def _after_cut(self) -> None:
        """In the middle of an operation, too, what is left has to be right."""
        self.readout.struck()
        self.look()

    def _note(self, slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        self.readout.note(Entry(slot, kind, tuple(map(bytes, values))))
