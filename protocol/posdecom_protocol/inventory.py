"""What a terminal says of itself and of what it holds, inside the channel: the reply to `messages.GetInventory`."""

from __future__ import annotations

from dataclasses import dataclass

from .lifecycle import LifecycleState


@dataclass(frozen=True, slots=True)
class SlotInfo:
    slot: str
    usage: str
    algorithm: str
    kcv_method: int
    kcv: bytes


@dataclass(frozen=True, slots=True)
class ContextInfo:
    index: int
    acquirer: str
    mid: str
    tid: str
    currency: int
    batch: int
    records: int
    unsent: int
    """Reversals and advices that the host has not had yet."""


@dataclass(frozen=True, slots=True)
class Inventory:
    state: LifecycleState
    tampered: bool
    serial: str
    manufacturer: str
    model: str
    software_version: str
    boot_count: int
    clock_s: int
    slots: tuple[SlotInfo, ...]
    contexts: tuple[ContextInfo, ...]
