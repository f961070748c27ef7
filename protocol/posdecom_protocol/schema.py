"""What a document's fields are, said once: both directions of the encoding and the readable text come from it.

A *kind* packs a Python value into what `cbor` encodes, unpacks it again with every bound checked, and knows how it
reads as text. A `Record` is a frozen dataclass together with the integer label of each field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from .cbor import Value
from .errors import DocumentError
from .wording import N_

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
Line = tuple[int, str, str]
"""Indentation level, name, text."""

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Controls, line ends, zero width and direction marks: a line of text that is shown must look like what it says.

A fixed list, not `str.isprintable`, which changes with each release of Unicode: what was valid once must stay it.
"""


class Kind(Protocol[T]):
    def pack(self, value: T) -> Value: ...
    def unpack(self, value: Value, where: str) -> T: ...
    def text(self, value: T) -> str: ...


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer from ``low`` to ``high``."""

    high: int
    low: int = 0

    def pack(self, value: int) -> Value:
        return value

    def unpack(self, value: Value, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise DocumentError(
                where, N_("must be an integer from {low} to {high}", low=self.low, high=self.high)
            )
        return value

    def text(self, value: int) -> str:
        return str(value)


class Time(Whole):
    """Seconds since 1970-01-01T00:00:00Z, up to the year 9999."""

    def __init__(self) -> None:
        super().__init__(253_402_300_799)

    def text(self, value: int) -> str:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Text:
    """UTF-8 text that shows all its characters, 1 to ``high`` of them (0 where ``empty``)."""

    high: int
    empty: bool = False

    def pack(self, value: str) -> Value:
        return value

    def unpack(self, value: Value, where: str) -> str:
        if not isinstance(value, str) or not (0 if self.empty else 1) <= len(value) <= self.high:
            low = 0 if self.empty else 1
            raise DocumentError(
                where, N_("must be text of {low} to {high} characters", low=low, high=self.high)
            )
        if _UNSEEN.search(value):
            raise DocumentError(where, N_("has a character that does not show"))
        return value

    def text(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Fixed:
    """Exactly this text."""

    value: str

    def pack(self, value: str) -> Value:
        return value

    def unpack(self, value: Value, where: str) -> str:
        if value != self.value:
            raise DocumentError(where, N_("must be {value}", value=self.value))
        return self.value

    def text(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Octets:
    """``low`` to ``high`` bytes; exactly ``high`` unless ``low`` is given."""

    high: int
    low: int | None = None

    def pack(self, value: bytes) -> Value:
        return value

    def unpack(self, value: Value, where: str) -> bytes:
        low = self.high if self.low is None else self.low
        if not isinstance(value, bytes) or not low <= len(value) <= self.high:
            raise DocumentError(where, N_("must be {low} to {high} bytes", low=low, high=self.high))
        return value

    def text(self, value: bytes) -> str:
        return value.hex() if len(value) <= 64 else f"{len(value)} bytes"


@dataclass(frozen=True, slots=True)
class Flag:
    def pack(self, value: bool) -> Value:
        return value

    def unpack(self, value: Value, where: str) -> bool:
        if not isinstance(value, bool):
            raise DocumentError(where, N_("must be true or false"))
        return value

    def text(self, value: bool) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True)
class Choice(Generic[E]):
    """A member of a closed set, by its number."""

    of: type[E]

    def pack(self, value: E) -> Value:
        return int(value)

    def unpack(self, value: Value, where: str) -> E:
        if isinstance(value, int) and not isinstance(value, bool):
            with suppress(ValueError):
                return self.of(value)
        raise DocumentError(where, N_("is no {name}", name=self.of.__name__))

    def text(self, value: E) -> str:
        return value.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Many(Generic[T]):
    """An array of ``low`` to ``high`` members of one kind."""

    of: Kind[T]
    high: int
    low: int = 0

    def pack(self, value: Sequence[T]) -> Value:
        return tuple(self.of.pack(member) for member in value)

    def unpack(self, value: Value, where: str) -> tuple[T, ...]:
        if not isinstance(value, tuple) or not self.low <= len(value) <= self.high:
            raise DocumentError(
                where, N_("must be an array of {low} to {high}", low=self.low, high=self.high)
            )
        return tuple(self.of.unpack(member, f"{where}[{index}]") for index, member in enumerate(value))

    def text(self, value: Sequence[T]) -> str:
        return ", ".join(self.of.text(member) for member in value) or "none"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record; an optional one is absent from the map when its value is None."""

    name: str
    kind: Kind[Any]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Record(Generic[T]):
    """A map with integer labels and the frozen dataclass that it becomes."""

    of: type[T]
    fields: Mapping[int, Field]

    def pack(self, value: T) -> Value:
        present = ((label, field, getattr(value, field.name)) for label, field in self.fields.items())
        return {label: field.kind.pack(member) for label, field, member in present if member is not None}

    def unpack(self, value: Value, where: str) -> T:
        if not isinstance(value, dict):
            raise DocumentError(where, N_("must be a map"))
        unknown = set(value) - set(self.fields)
        if unknown:
            raise DocumentError(where, N_("has unknown field {number}", number=min(unknown)))
        return self.of(
            **{field.name: self._member(value, label, where) for label, field in self.fields.items()}
        )

    def _member(self, value: dict[int, Value], label: int, where: str) -> Any:
        field = self.fields[label]
        if label in value:
            return field.kind.unpack(value[label], f"{where}.{field.name}")
        if field.optional:
            return None
        raise DocumentError(f"{where}.{field.name}", N_("is missing"))

    def text(self, value: T) -> str:
        parts = ((field, getattr(value, field.name)) for field in self.fields.values())
        return ", ".join(
            f"{field.name} {field.kind.text(member)}" for field, member in parts if member is not None
        )


def lines(record: Record[Any], value: Any, level: int = 0) -> Iterator[Line]:
    """``value`` as readable lines, one for each field, records and arrays of records indented below their name."""
    for field in record.fields.values():
        member = getattr(value, field.name)
        if member is not None:
            yield from _field_lines(field, member, level)


def _field_lines(field: Field, member: Any, level: int) -> Iterator[Line]:
    name = field.name.replace("_", " ")
    match field.kind:
        case Record() as inner:
            yield level, name, ""
            yield from lines(inner, member, level + 1)
        case Many(of=Record() as inner) if member:
            for index, one in enumerate(member, 1):
                yield level, f"{name} {index} of {len(member)}", ""
                yield from lines(inner, one, level + 1)
        case kind:
            yield level, name, kind.text(member)
