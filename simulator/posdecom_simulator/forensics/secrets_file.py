"""The secrets file: a record of every key value, in the clear, outside the terminal. For tests and forensics only.

It is the ground truth of a search: neither in the terminal's memory nor in its process, which only appends to it and
never reads it. One JSON object a line: slot, kind, values in hexadecimal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from posdecom_protocol.errors import PosdecomError
from posdecom_protocol.secret import BytesLike

from .record import Entry, Kind, Note

VALUE_BYTES_MIN: Final = 8
"""Shorter ones would be found by chance."""


class RecordError(PosdecomError):
    """A secrets file cannot be read; the message names file and line, never a value."""


def note_in(path: Path) -> Note:
    """Append to ``path`` (made for its owner only); each line is written when it is noted, and kept nowhere else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        line = {"slot": slot, "kind": kind.value, "values": [value.hex() for value in values]}
        os.write(descriptor, json.dumps(line).encode("ascii") + b"\n")

    return note


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


def _entry(line: dict[str, object]) -> Entry:
    slot, values = line["slot"], line["values"]
    if not isinstance(slot, str) or not isinstance(values, list):
        raise TypeError
    secrets = tuple(bytes.fromhex(value) for value in values)
    if any(len(value) < VALUE_BYTES_MIN for value in secrets):
        raise ValueError
    return Entry(slot, Kind(line["kind"]), secrets)
