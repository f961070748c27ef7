"""Asks for a case, point by point. Pure: how to ask is handed in, so that a screen, a test or a form may."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .kinds import Day, Kind, YesNo
from .points import ALWAYS, SECTIONS, WITNESS, Point, Section
from .template import Value

Ask: TypeAlias = Callable[[Section, Point], str]
"""The person's answer to one point; empty: not now."""

Complain: TypeAlias = Callable[[str], None]

_YES_NO = {
    "yes": True,
    "true": True,
    "y": True,
    "是": True,
    "no": False,
    "false": False,
    "n": False,
    "否": False,
}


@dataclass(slots=True)
class Answers:
    single: dict[str, Value] = field(default_factory=dict)
    rows: dict[str, list[Mapping[str, Value]]] = field(default_factory=dict)


def ask_case(ask: Ask, complain: Complain) -> Answers:
    """Every point that counts, in the table's order. The first point of a row, left empty, ends the rows."""
    answers = Answers()
    for section in SECTIONS:
        if section.name == WITNESS:
            continue
        if section.many:
            answers.rows[section.name] = list(_ask_rows(section, ask, complain))
            continue
        for point in section.points:
            value = _ask_one(section, point, ask, complain) if _counts(point, answers.single) else None
            if value is not None:
                answers.single[f"{section.name}.{point.name}"] = value
    return answers


def value_of(kind: Kind, typed: str) -> Value:
    """What was typed, as TOML would give it; `ValueError` says how to write it."""
    value: Value = typed
    match kind:
        case YesNo():
            value = _YES_NO.get(typed.lower(), typed)
        case Day():
            kind.text(typed)
            value = datetime.date.fromisoformat(typed)
        case _:
            pass
    kind.text(value)
    return value


def _ask_rows(section: Section, ask: Ask, complain: Complain) -> Iterator[Mapping[str, Value]]:
    for _ in range(section.rows_max):
        row: dict[str, Value] = {}
        for point in section.points:
            value = _ask_one(section, point, ask, complain, must=bool(row) and point.expected is not None)
            if value is not None:
                row[point.name] = value
            elif not row:
                return
        yield row


def _ask_one(
    section: Section, point: Point, ask: Ask, complain: Complain, *, must: bool = False
) -> Value | None:
    while True:
        typed = ask(section, point).strip()
        if not typed and not must:
            return None
        try:
            return value_of(point.kind, typed)
        except ValueError as error:
            complain(error.args[0])


def _counts(point: Point, answers: Mapping[str, Value]) -> bool:
    where = point.expected
    return where is None or where is ALWAYS or answers.get(where.key) in where.answers
