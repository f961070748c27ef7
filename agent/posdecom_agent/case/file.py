"""Reads a case file. Every problem is named with its line and key; nothing is guessed, nothing unknown is passed over.

The case that comes out is flat: each answered point by its key (``application.submitted``; ``equipment.2`` for a row
of a table), in the table's order, as the one line of text that will stand in the certificate.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ..wording import N_
from .points import BY_NAME, SECTIONS, Point, Section

CASE_BYTES_MAX: Final = 256 * 1024
LINE_CHARACTERS_MAX: Final = 1024
"""Three times the longest text; of a key with thousands of parts in one line `tomllib` takes the square."""

UNKNOWN_SHOWN_MAX: Final = 20
"""Of one table: each is looked for in the whole file."""

ROW_CHARACTERS_MAX: Final = 400

HashOf: TypeAlias = Callable[[str], str | None]
"""SHA-256 (hexadecimal) of a file that a row names, None where it is not there."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``line`` is 0 where it is about something that is not there."""

    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.line}: {self.key}: {self.reason}" if self.line else f"{self.key}: {self.reason}"


class CaseError(Exception):
    """The file is no case. ``problems`` has all of them, by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda one: one.line))
        super().__init__(str(self.problems[0]))


@dataclass(frozen=True, slots=True)
class Case:
    answers: Mapping[str, str]
    """Answered points, in the table's order."""

    def get(self, key: str) -> str | None:
        return self.answers.get(key)


def read_case(data: bytes, hash_of: HashOf = lambda name: None) -> Case:
    """The case in ``data`` (UTF-8 TOML). `CaseError` names everything that is wrong with it."""
    text, table = _parse(data)
    reader = _Reader(text, hash_of)
    reader.unknown(table, BY_NAME, "")
    answers: dict[str, str] = {}
    for section in SECTIONS:
        value = table.get(section.name, [] if section.many else {})
        read = reader.rows if section.many else reader.single
        answers.update(read(section, value))
    if reader.problems:
        raise CaseError(reader.problems)
    return Case(answers)


def _parse(data: bytes) -> tuple[str, dict[str, Any]]:
    if len(data) > CASE_BYTES_MAX:
        raise CaseError([Problem(0, "file", N_("more than {count} bytes", count=CASE_BYTES_MAX))])
    try:
        text = data.decode()
        _check_lines(text)
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CaseError([Problem(line, "file", N_("is not UTF-8 text"))]) from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        reason = str(error).partition(" (at ")[0]
        raise CaseError([Problem(int(found[1]) if found else 0, "TOML", reason)]) from error
    except RecursionError as error:
        raise CaseError([Problem(0, "TOML", "Nested too deeply")]) from error


def _check_lines(text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LINE_CHARACTERS_MAX:
            reason = N_("more than {count} characters", count=LINE_CHARACTERS_MAX)
            raise CaseError([Problem(number, "file", reason)])


class _Reader:
    """Collects answers and problems."""

    def __init__(self, text: str, hash_of: HashOf) -> None:
        self._lines = text.splitlines()
        self._hash_of = hash_of
        self.problems: list[Problem] = []

    def single(self, section: Section, table: object) -> Iterator[tuple[str, str]]:
        if not isinstance(table, dict):
            self._wrong(section, 0, "", N_("write [{name}], once", name=section.name))
            return
        for name, text in self._cells(section, 0, table).items():
            yield f"{section.name}.{name}", text

    def rows(self, section: Section, tables: object) -> Iterator[tuple[str, str]]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._wrong(
                section, 0, "", N_("write [[{name}]], with two brackets, once for each", name=section.name)
            )
            return
        if len(tables) > section.rows_max:
            self._wrong(section, len(tables), "", N_("more than {count} of them", count=section.rows_max))
        for number, table in enumerate(tables[: section.rows_max], 1):
            text = self._row(section, number, table)
            if len(text) > ROW_CHARACTERS_MAX:
                self._wrong(section, number, "", N_("more than {count} characters", count=ROW_CHARACTERS_MAX))
            yield f"{section.name}.{number}", text

    def unknown(self, table: Mapping[str, object], known: Collection[str], where: str, row: int = 0) -> None:
        for name in [name for name in table if name not in known][:UNKNOWN_SHOWN_MAX]:
            near = difflib.get_close_matches(name, known, 1)
            reason = (
                N_('there is no such key; did you mean "{near}"?', near=near[0])
                if near
                else N_("there is no such key")
            )
            line = self._line(where, row, name) if where else self._line(name, 0, "")
            self.problems.append(Problem(line, _key(where, row, name), reason))

    # --- private -----------------------------------------------------------------------------------

    def _row(self, section: Section, number: int, table: dict[str, object]) -> str:
        if section.point("sha256"):
            table = self._hashed(section, number, table)
        cells = self._cells(section, number, table)
        for point in section.points:
            if point.expected is not None and point.name not in table:
                self._wrong(section, number, point.name, N_("is missing"))
        first, *_ = section.points
        rest = (
            f"{point.label.en} {cells[point.name]}" for point in section.points[1:] if point.name in cells
        )
        return ", ".join((cells.get(first.name, ""), *rest))

    def _hashed(self, section: Section, number: int, table: dict[str, object]) -> dict[str, object]:
        """The row with the hash of its file; one that is written and differs is a problem."""
        name = table.get("file")
        found = self._hash_of(name) if isinstance(name, str) else None
        if found is None:
            return table
        if table.get("sha256", found) != found:
            self._wrong(section, number, "sha256", N_("is not the hash of the file that is there"))
        return {**table, "sha256": found}

    def _cells(self, section: Section, number: int, table: dict[str, object]) -> dict[str, str]:
        self.unknown(table, [point.name for point in section.points], section.name, number)
        found = {}
        for point in section.points:
            if point.name in table:
                found[point.name] = self._cell(section, number, point, table[point.name])
        return found

    def _cell(self, section: Section, number: int, point: Point, value: object) -> str:
        try:
            return point.kind.text(value)
        except ValueError as error:
            self._wrong(section, number, point.name, error.args[0])
            return ""

    def _wrong(self, section: Section, row: int, name: str, reason: str) -> None:
        line = self._line(section.name, row, name)
        self.problems.append(Problem(line, _key(section.name, row, name), reason))

    def _line(self, section: str, row: int, name: str) -> int:
        """Where ``name`` stands in that table (its ``row``-th); the header where it does not; 0 without either."""
        header = re.compile(rf"\s*\[\[?\s*{re.escape(section)}\s*\]")
        assignment = re.compile(rf"""\s*["']?{re.escape(name)}["']?\s*=""") if name else None
        seen = found = 0
        for number, line in enumerate(self._lines, 1):
            if line.lstrip().startswith("["):
                seen += bool(header.match(line))
                if header.match(line) and seen == max(row, 1):
                    found = number
                elif found:
                    break
            elif found and assignment and assignment.match(line):
                return number
        return found


def _key(section: str, row: int, name: str) -> str:
    return ".".join(part for part in (section, str(row) if row else "", name) if part)
