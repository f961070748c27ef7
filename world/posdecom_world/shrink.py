"""A failing seed made smaller: fewer faults that still break the same thing. And a plan as text, to replay it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from typing import Final

from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_simulator.world.line import SILENCE, Noise

_SPELLS: Final = ("stalls", "mismatches", "drips")


def shrunk(plan: FaultPlan, fails: Callable[[FaultPlan], bool]) -> FaultPlan:
    """A plan of which nothing can be left away without ``fails`` turning false; ``fails(plan)`` must hold."""
    while (smaller := next(filter(fails, _smaller(plan)), None)) is not None:
        plan = smaller
    return plan


def encode_plan(plan: FaultPlan) -> str:
    """JSON; `decode_plan` is the inverse."""
    return json.dumps(
        {
            "noise": {
                name: value for name, value in asdict(plan.noise).items() if value != getattr(SILENCE, name)
            },
            **{name: getattr(plan, name) for name in _SPELLS},
            "at": {fault.value: sorted(numbers) for fault, numbers in plan.at.items()},
            "old_journal_share": plan.old_journal_share,
            "luck": plan.luck,
        }
    )


def decode_plan(text: str) -> FaultPlan:
    """Inverse of `encode_plan`; `ValueError` or `TypeError` on what is none."""
    found = json.loads(text)
    stalls, mismatches, drips = (
        tuple((float(start), float(end)) for start, end in found.get(name, ())) for name in _SPELLS
    )
    return FaultPlan(
        Noise(**found.get("noise", {})),
        stalls,
        mismatches,
        drips,
        {Fault(name): frozenset(numbers) for name, numbers in found.get("at", {}).items()},
        found.get("old_journal_share", 0.5),
        found.get("luck", 0),
    )


def _smaller(plan: FaultPlan) -> Iterator[FaultPlan]:
    """``plan`` with one thing less, whole kinds first."""
    for fault in plan.at:
        yield replace(plan, at={kind: numbers for kind, numbers in plan.at.items() if kind is not fault})
    for one in fields(Noise):
        if getattr(plan.noise, one.name) != getattr(SILENCE, one.name):
            yield replace(plan, noise=replace(plan.noise, **{one.name: getattr(SILENCE, one.name)}))
    for name in _SPELLS:
        for spell in getattr(plan, name):
            fewer = tuple(other for other in getattr(plan, name) if other != spell)
            yield replace(plan, **{name: fewer})  # type: ignore[arg-type]  # the name is that of such a field
    for fault, numbers in plan.at.items():
        if len(numbers) > 1:
            yield from (
                replace(plan, at={**plan.at, fault: numbers - {number}}) for number in sorted(numbers)
            )
