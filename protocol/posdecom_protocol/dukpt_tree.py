"""The tree of DUKPT counters, as both X9.24 standards use it; knows no cipher.

The key of counter ``c`` is the child of the key of ``c & (c - 1)``, which has its lowest one bit cleared; the root,
counter 0, is the initial key. The number of one bits is bounded, and so is the way from the root to any key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from .errors import ExhaustedError, KeyMaterialError, LocalError
from .secret import Secret

Node = TypeVar("Node")


@dataclass(frozen=True, slots=True)
class CounterShape:
    """Which counters a standard allows."""

    bits: int
    ones_max: int

    @property
    def last(self) -> int:
        """The highest counter: as many one bits as allowed, all at the top."""
        return (1 << self.bits) - (1 << self.bits - self.ones_max)

    def check(self, counter: int) -> None:
        """`KeyMaterialError` unless a terminal reaches ``counter``."""
        if not 1 <= counter <= self.last or counter.bit_count() > self.ones_max:
            raise KeyMaterialError("DUKPT counter that no terminal reaches")

    def held(self, next_counter: int) -> list[int]:
        """The counters whose keys a terminal holds when the legal ``next_counter`` is the lowest of them.

        One for each bit that is not set in ``next_counter - 1``: the next counter that ends with it.
        """
        prefixes = [(bit, next_counter - 1 >> bit) for bit in range(self.bits)]
        return [prefix + 1 << bit for bit, prefix in prefixes if not prefix & 1]


class Ancestors(Generic[Node]):
    """The way from the root to the node reached last: in a sequence of counters nearly all of the next one's way."""

    def __init__(self, root: Node, child: Callable[[Node, int], Node]) -> None:
        self._way: Final = [(0, root)]
        """Counters, each a prefix of the next. At most one more than the counter has bits."""
        self._child: Final = child

    def reach(self, counter: int) -> Node:
        """The node of ``counter``, made from its nearest ancestor on the way, which it then extends."""
        way = self._way
        if not way:
            raise LocalError("the key set is wiped")
        while not _is_prefix(way[-1][0], counter):
            way.pop()
        reached, node = way[-1]
        while reached != counter:
            reached |= 1 << (counter ^ reached).bit_length() - 1
            node = self._child(node, reached)
            way.append((reached, node))
        return node

    def wipe(self) -> None:
        self._way.clear()


class KeyRegisters:
    """A terminal's future keys, by counter: none of a spent counter, and none that is still below one in here.

    There is at most one for each lowest one bit, so they have places: ``bits`` registers of one key each.
    """

    def __init__(self, shape: CounterShape, key_bytes: int) -> None:
        self._shape: Final = shape
        self._key_bytes: Final = key_bytes
        self._keys: Final[dict[int, Secret]] = {}

    @property
    def next_counter(self) -> int | None:
        """The lowest counter that is left; None when every one is spent, or the keys wiped."""
        return min(self._keys, default=None)

    @property
    def size_bytes(self) -> int:
        """Length of `write`'s image."""
        return self._shape.bits * self._key_bytes

    def start(self, child: Callable[[int], Secret]) -> None:
        """Fill every register with a child of the initial key."""
        self._fill(0, self._shape.bits, child)

    def take(self) -> tuple[int, Secret]:
        """Move the next key out: its counter, and the key for the caller to wipe. `ExhaustedError` after the last."""
        counter = self.next_counter
        if counter is None:
            raise ExhaustedError("DUKPT: no counter is left")
        return counter, self._keys.pop(counter)

    def refill(self, counter: int, child: Callable[[int], Secret]) -> None:
        """Put the children of the key just taken into the registers below its own, which are empty."""
        if counter.bit_count() < self._shape.ones_max:
            self._fill(counter, _lowest_bit(counter), child)

    def write(self, image: memoryview) -> None:
        """Copy every key to its place in ``image`` of `size_bytes` zeros."""
        for counter, key in self._keys.items():
            self._place(image, counter)[:] = key.data

    def read(self, image: memoryview, next_counter: int) -> None:
        """Inverse of `write`, where ``next_counter`` (0: none) says which places hold a key."""
        if next_counter:
            self._shape.check(next_counter)
            for counter in self._shape.held(next_counter):
                self._keys[counter] = Secret(self._place(image, counter))

    def wipe(self) -> None:
        while self._keys:
            self._keys.popitem()[1].wipe()

    def _fill(self, parent_counter: int, registers: int, child: Callable[[int], Secret]) -> None:
        for bit in range(registers):
            counter = parent_counter | 1 << bit
            self._keys[counter] = child(counter)

    def _place(self, image: memoryview, counter: int) -> memoryview:
        start = _lowest_bit(counter) * self._key_bytes
        return image[start : start + self._key_bytes]


def _is_prefix(ancestor: int, counter: int) -> bool:
    """Whether ``ancestor`` is ``counter`` with some of its lowest one bits cleared, or all, or none."""
    return counter & -(ancestor & -ancestor) == ancestor


def _lowest_bit(counter: int) -> int:
    return (counter & -counter).bit_length() - 1
