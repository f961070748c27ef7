"""What a job is going to do to a terminal, from its order and from what the terminal says it holds. Pure.

A plan is shown before anybody confirms it, and its `digest` binds the confirmation to what was shown: order, terminal,
state, and every batch with its counts. The keys are shown and not bound: they do not change what is confirmed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from posdecom_protocol.documents import Signed
from posdecom_protocol.documents.order import Order
from posdecom_protocol.greeting import Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import ContextInfo, Inventory, SlotInfo


@dataclass(frozen=True, slots=True)
class Plan:
    order: Signed[Order]
    serial: str
    state: LifecycleState
    tampered: bool
    contexts: tuple[ContextInfo, ...]
    slots: tuple[SlotInfo, ...]

    @classmethod
    def of(cls, order: Signed[Order], welcome: Welcome, inventory: Inventory | None) -> Plan:
        """``inventory`` is None where the terminal only serves its proofs: it holds nothing that could be planned."""
        if inventory is None:
            return cls(order, welcome.serial, welcome.state, welcome.tampered, (), ())
        held = inventory
        return cls(order, held.serial, held.state, held.tampered, held.contexts, held.slots)

    def digest(self) -> str:
        """SHA-256 of order digest, terminal, state, and batches with their counts; 64 hexadecimal digits."""
        bound = {
            "order": self.order.digest.hex(),
            "serial": self.serial,
            "state": self.state.name.lower(),
            "tampered": self.tampered,
            "contexts": [asdict(context) for context in self.contexts],
        }
        return hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()
