"""A host's misbehaviour as a file: TOML, one ``[[fault]]`` for each rule. docs/settlement.md has the table.

``do`` names the fault; ``mti``, ``stan`` and ``at`` say which messages it strikes; some faults take one entry more.
Every complaint names the file, the fault by its number, and the entry.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from posdecom_protocol.errors import PosdecomError
from posdecom_protocol.iso8583 import ISO_BYTES_MAX
from posdecom_protocol.money import CardGroup

from .behaviour import HostFault, Rule

FAULTS_MAX: Final = 1000
DELAY_S_MAX: Final = 3600


class ScenarioError(PosdecomError):
    """The file is no scenario; the message says where and what would be right."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What may stand behind a name, and what is made of it."""

    wanted: str
    holds: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value


def _is_list_of(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and 0 < len(value) <= FAULTS_MAX and all(map(holds, value))


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high  # not isinstance: true is no number


def _is_text(value: Any, length: int) -> bool:
    return isinstance(value, str) and len(value) == length and value.isascii() and value.isprintable()


_GROUPS: Final = {group.name.lower(): group for group in CardGroup}
_ENTRIES: Final[Mapping[str, _Entry]] = MappingProxyType(
    {
        "mti": _Entry(
            "a list of message types as four digits each",
            lambda value: _is_list_of(value, lambda one: _is_text(one, 4) and one.isdigit()),
            frozenset,
        ),
        "stan": _Entry(
            "a list of numbers from 1 to 999999",
            lambda value: _is_list_of(value, lambda one: _is_whole(one, 1, 999_999)),
            frozenset,
        ),
        "at": _Entry(
            "a list of numbers from 1 on",
            lambda value: _is_list_of(value, lambda one: _is_whole(one, 1, 10**9)),
            frozenset,
        ),
        "code": _Entry("two characters", lambda value: _is_text(value, 2)),
        "group": _Entry(
            "domestic or foreign",
            lambda value: isinstance(value, str) and value in _GROUPS,
            _GROUPS.__getitem__,
        ),
        "delay_s": _Entry(
            f"seconds, 0 to {DELAY_S_MAX}",
            lambda value: type(value) in (int, float) and 0 <= value <= DELAY_S_MAX,
            float,
        ),
        "messages": _Entry("a number from 1 to 9999", lambda value: _is_whole(value, 1, 9999)),
        "bytes": _Entry(
            f"a number from 0 to {ISO_BYTES_MAX}", lambda value: _is_whole(value, 0, ISO_BYTES_MAX)
        ),
        "lie_first": _Entry("true or false", lambda value: type(value) is bool),
    }
)

_WHICH: Final = frozenset({"mti", "stan", "at"})
_OWN: Final[Mapping[HostFault, frozenset[str]]] = MappingProxyType(
    {
        HostFault.REFUSE: _WHICH | {"code"},
        HostFault.NOT_BALANCED: frozenset({"group"}),
        HostFault.LATE: _WHICH | {"delay_s"},
        HostFault.CONTRADICTION: _WHICH | {"code", "lie_first"},
        HostFault.CUT: _WHICH | {"bytes"},
        HostFault.FORGET: _WHICH | {"messages"},
    }
)
"""Entries beside ``do``, where they are others than `_WHICH`."""

_NEEDED: Final[Mapping[HostFault, str]] = MappingProxyType({HostFault.NOT_BALANCED: "group"})


def read_scenario(path: Path) -> list[Rule]:
    """The rules in ``path``. Raises ScenarioError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ScenarioError(f"{path} is no TOML: {error}") from error
    try:
        return rules_from(values)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from error


def rules_from(values: Mapping[str, Any]) -> list[Rule]:
    """The rules in a TOML document that is read already. Raises ScenarioError."""
    faults = values.get("fault")
    if set(values) != {"fault"} or not isinstance(faults, list) or len(faults) > FAULTS_MAX:
        raise ScenarioError(f"a scenario is 1 to {FAULTS_MAX} tables [[fault]] and nothing else")
    return [_rule(number, table) for number, table in enumerate(faults, 1)]


def _rule(number: int, table: Any) -> Rule:
    where = f"fault {number}"
    if not isinstance(table, dict):
        raise ScenarioError(f"{where} is no table: write [[fault]]")
    word = table.get("do")
    if not isinstance(word, str) or word not in frozenset(HostFault):
        raise ScenarioError(f"{where}: do is none of: {', '.join(HostFault)}")
    fault = HostFault(word)
    allowed = _OWN.get(fault, _WHICH)
    for name, value in table.items():
        if name != "do" and name not in allowed:
            raise ScenarioError(f"{where} ({fault}) takes no {name}, only: {', '.join(sorted(allowed))}")
        if name != "do" and not _ENTRIES[name].holds(value):
            raise ScenarioError(f"{where} ({fault}): {name} is not {_ENTRIES[name].wanted}")
    needed = _NEEDED.get(fault)
    if needed is not None and needed not in table:
        raise ScenarioError(f"{where} ({fault}) needs {needed}: {_ENTRIES[needed].wanted}")
    return Rule(fault, **{name: _ENTRIES[name].read(value) for name, value in table.items() if name != "do"})
