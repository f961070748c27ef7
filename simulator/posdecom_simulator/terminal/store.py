"""The terminal's memory behind one small seam: named values, each written or forgotten durably or not at all.

What is written together (`put`) may be torn between the values by a power cut, never inside one. `erase` makes a value
unreachable by its name; older copies of it may remain until `sanitize` has destroyed them.

* `MemoryStore`: a dict, for the deterministic world; every value that changes asks ``before_change`` first, which may
  raise `PowerCut`.
* `hardware.HardwareStore`: flash, SRAM and secure element, as files or in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from posdecom_protocol.documents.evidence import EraseMethod
from posdecom_protocol.errors import LocalError

from ..memory.supply import MemoryFull as MemoryFull
from ..memory.supply import PowerCut as PowerCut


@dataclass(frozen=True, slots=True)
class RegionErasure:
    """How one region of the memory was freed of all that no name leads to."""

    method: EraseMethod
    is_read_back: bool
    """Every unit of it was read again, and holds nothing of what it held."""
    stuck_bits: int = 0
    """Worn cells that were programmed to 0 and do not erase any more; they hold nothing."""


class Store(Protocol):
    def get(self, name: str) -> bytes | None:
        """The value, or None where there is none."""

    def holds(self, name: str) -> bool:
        """Whether `get` has a value, without a copy of it: a key is read where it is used and nowhere else."""

    def put(self, values: Mapping[str, bytes]) -> None:
        """Write each value, in order; all are durable on return. `MemoryFull` at the first that finds no room."""

    def erase(self, names: Iterable[str]) -> None:
        """Forget each value, in order; none is found again, ever, on return. Absent names do not matter."""

    def has_room(self, sizes: Mapping[str, int]) -> bool:
        """Whether new values of these lengths (bytes, by name) find room together, beside all that it holds."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names that begin with ``prefix``, in the order of their characters."""

    def sanitize(self, regions: Collection[str] | None = None) -> Mapping[str, RegionErasure]:
        """Destroy every copy of everything that was erased or replaced, and read back; by region.

        ``regions``: only these, of those that `region_of` names; None: all.
        """

    def region_of(self, name: str) -> str:
        """Where a value of that name lies: a key of what `sanitize` returns."""


def held(store: Store, name: str) -> bytes:
    """A value that the terminal cannot be without; `LocalError` names what its memory has lost."""
    value = store.get(name)
    if value is None:
        raise LocalError(f"the store holds no {name}")
    return value


MEMORY: Final = "memory"
"""The only region of a `MemoryStore`."""


class MemoryStore:
    """A store without an OS underneath. ``values``: what it holds already."""

    def __init__(
        self, before_change: Callable[[], None] = lambda: None, values: Mapping[str, bytes] | None = None
    ) -> None:
        self._values: dict[str, bytes] = dict(values or {})
        self._before_change = before_change

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def holds(self, name: str) -> bool:
        return name in self._values

    def put(self, values: Mapping[str, bytes]) -> None:
        for name, value in values.items():
            self._before_change()
            self._values[name] = value

    def erase(self, names: Iterable[str]) -> None:
        for name in list(names):
            self._before_change()
            self._values.pop(name, None)

    def has_room(self, sizes: Mapping[str, int]) -> bool:
        return True

    def names(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self._values if name.startswith(prefix)))

    def sanitize(self, regions: Collection[str] | None = None) -> Mapping[str, RegionErasure]:
        return {MEMORY: RegionErasure(EraseMethod.OVERWRITE, is_read_back=True)}

    def region_of(self, name: str) -> str:
        return MEMORY
