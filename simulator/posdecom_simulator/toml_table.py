"""Small TOML files that people may edit: read with every complaint naming file and entry, written plainly.

Nothing here shows a value in a complaint, because some of the values are keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posdecom_protocol.errors import PosdecomError


class SiteError(PosdecomError):
    """A site cannot be read or laid out; the message names the file and the entry, never a value of a key."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that says in which file, and under which name, something is wrong."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> Table:
        try:
            return cls(path, tomllib.loads(read_file(path).decode("utf-8")))
        except ValueError:  # bad UTF-8 or bad TOML; both errors carry the text, and there may be keys in it
            raise SiteError(f"{path} is no TOML") from None

    def _get(self, name: str, kind: type) -> Any:
        value = self.values.get(name)
        if type(value) is not kind:  # not isinstance: True is no number
            raise SiteError(f"{self.path}: {name} is missing or not of type {kind.__name__}")
        return value

    def text(self, name: str, low: int, high: int) -> str:
        """``low`` to ``high`` printable characters."""
        value: str = self._get(name, str)
        if not low <= len(value) <= high or not value.isprintable():
            raise SiteError(f"{self.path}: {name} is not {low} to {high} printable characters")
        return value

    def number(self, name: str, low: int, high: int) -> int:
        value: int = self._get(name, int)
        if not low <= value <= high:
            raise SiteError(f"{self.path}: {name} is not {low} to {high}")
        return value

    def octets(self, name: str, length: int) -> bytes:
        """``length`` bytes in hexadecimal."""
        value = unhex(self._get(name, str))
        if value is None or len(value) != length:
            raise SiteError(f"{self.path}: {name} is not {length} bytes in hexadecimal")
        return value

    def table(self, name: str) -> Table:
        return Table(self.path, self._get(name, dict))

    def tables(self, name: str) -> list[Table]:
        entries = self._get(name, list)
        if not all(isinstance(entry, dict) for entry in entries):
            raise SiteError(f"{self.path}: {name} is no array of tables")
        return [Table(self.path, entry) for entry in entries]


def read_file(path: Path) -> bytes:
    """What ``path`` holds, read without a buffer that would keep a copy. Raises SiteError."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        raise SiteError(f"{path} cannot be read: {error.strerror}") from error


def unhex(text: str) -> bytes | None:
    """The bytes; None if ``text`` is not hexadecimal."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


# --- writing: strings and integers, which is all that a site needs ------------------------------------


def toml_lines(values: Mapping[str, str | int]) -> str:
    """One ``name = value`` a line."""
    return "".join(f"{name} = {_value(value)}\n" for name, value in values.items())


def _value(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    assert value.isprintable() and not set(value) & {'"', "\\"}  # ours, so a basic string needs no escape
    return f'"{value}"'
