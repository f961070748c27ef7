"""The secrets file: every key value that was ever made for a terminal, in the clear. For tests and forensics only.

It is the ground truth of a search and lies outside the terminal: neither in its memory nor in its process, which only
appends to it and never reads it. One JSON object a line: slot, kind, values in hexadecimal.

A slot is *live* with the values of its last line of kind "stored", or, as its memory keeps it encrypted, with those of
"wrapped" lines after that one. All other values must never be in a terminal's memory, or not any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias

from posdecom_protocol.errors import PosdecomError
from posdecom_protocol.secret import BytesLike

VALUE_BYTES_MIN: Final = 8
"""Shorter ones would be found by chance."""


class RecordError(PosdecomError):
    """A secrets file cannot be read; the message names file and line, never a value."""


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


def note_in(path: Path) -> Note:
    """Append to ``path`` (made for its owner only); each line is written when it is noted, and kept nowhere else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        line = {"slot": slot, "kind": kind.value, "values": [value.hex() for value in values]}
        os.write(descriptor, json.dumps(line).encode("ascii") + b"\n")

    return note


def prefixed(note: Note, prefix: str) -> Note:
    """``note`` with ``prefix`` before each slot: for files about several terminals."""
    return lambda slot, kind, values: note(prefix + slot, kind, values)


def read_record(path: Path) -> Iterator[Entry]:
    """Each line of a secrets file. Raises RecordError."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            yield _entry(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):  # each of them may carry the line
            raise RecordError(f"{path}: line {number} is no entry of a secrets file") from None


def live(entries: Iterable[Entry]) -> Mapping[str, tuple[Sequence[bytes], Sequence[bytes]]]:
    """By slot: the values that it holds now, and the encrypted forms of them that its memory may hold instead."""
    found: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for entry in entries:
        if entry.kind is Kind.STORED:
            found[entry.slot] = (list(entry.values), [])
        elif entry.kind is Kind.WRAPPED and entry.slot in found:
            found[entry.slot][1].extend(entry.values)
    return found


def _entry(line: dict[str, object]) -> Entry:
    slot, values = line["slot"], line["values"]
    if not isinstance(slot, str) or not isinstance(values, list):
        raise TypeError
    secrets = tuple(bytes.fromhex(value) for value in values)
    if any(len(value) < VALUE_BYTES_MIN for value in secrets):
        raise ValueError
    return Entry(slot, Kind(line["kind"]), secrets)
