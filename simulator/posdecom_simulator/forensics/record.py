"""What is recorded of a terminal's secrets: every value that was ever made for it. Knows no file.

A slot is *live* with the values of its last entry of kind "stored", or, as its memory keeps it encrypted, with those of
"wrapped" entries after that one. All other values must never be in a terminal's memory, or not any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from posdecom_protocol.secret import BytesLike


class Kind(Enum):
    INJECTED = "injected"
    """Made for the terminal, outside of it."""
    PASSING = "passing"
    """In the terminal for a moment: initial keys, key blocks, registers that are spent since."""
    STORED = "stored"
    """Put into a slot; together with whatever else the line holds it is all that the slot holds."""
    WRAPPED = "wrapped"
    """A slot's value as the memory keeps it, encrypted."""


Note: TypeAlias = Callable[[str, Kind, Iterable[BytesLike]], None]
"""Slot, kind, values: called before the terminal does anything with them."""


def note_nothing(slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
    """What runs without a record calls."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One line."""

    slot: str
    kind: Kind
    values: tuple[bytes, ...]


def prefixed(note: Note, prefix: str) -> Note:
    """``note`` with ``prefix`` before each slot: for files about several terminals."""
    return lambda slot, kind, values: note(prefix + slot, kind, values)


def live(entries: Iterable[Entry]) -> Mapping[str, tuple[Sequence[bytes], Sequence[bytes]]]:
    """By slot: the values that it holds now, and the encrypted forms of them that its memory may hold instead."""
    found: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for entry in entries:
        if entry.kind is Kind.STORED:
            found[entry.slot] = (list(entry.values), [])
        elif entry.kind is Kind.WRAPPED and entry.slot in found:
            found[entry.slot][1].extend(entry.values)
    return found
