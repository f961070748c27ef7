"""All matrices, with everything that is tried: half a minute of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Final

from ..overheard import Heard, overhear
from . import agent, desk, host, impostors, lies, terminal
from .life import lived
from .matrix import Matrix

SEEDS: Final = range(1, 8)
"""The runs that the adversary heard; the later ones with their faults."""

FEW: Final = 3
"""Of them, whose documents a rogue terminal gives for its own."""


@lru_cache(maxsize=1)
def heard() -> tuple[Heard, ...]:
    return tuple(overhear(seed, 4, is_faulty=seed > 3) for seed in SEEDS)


@cache
def matrix(name: str) -> Matrix:
    """By its name in `MATRICES`."""
    return MATRICES[name]()


MATRICES: Final[Mapping[str, Callable[[], Matrix]]] = {
    "terminal": lambda: terminal.attack(heard()),
    "terminal tls": impostors.at_the_terminal,
    "agent": lambda: lies.attack([lived(is_balanced=False), *heard()[:FEW]]),
    "agent tls": lambda: impostors.at_the_agent(heard()[0]),
    "agent and desk": lambda: agent.attack(heard()[0], heard()[1]),
    "host": host.attack,
    "desk": desk.attack,
}
"""Whom the adversary speaks to."""
