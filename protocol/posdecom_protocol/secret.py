"""A key as a value that does not show itself. Knows nothing of algorithms.

A `Secret` owns one ``bytearray``, because ``bytes`` cannot be overwritten. ``repr`` shows only the length,
comparison takes the same time wherever the difference is, and `Secret.wipe` overwrites the buffer. What the
interpreter or OpenSSL copied elsewhere is out of its reach.
"""

from __future__ import annotations

import hmac
from types import TracebackType
from typing import Final, TypeAlias

from .errors import LocalError

BytesLike: TypeAlias = bytes | bytearray | memoryview


class Secret:
    """A key of 1 or more bytes; copies ``data``, so the caller may (and should) wipe its own buffer.

    >>> with Secret(bytes(16)) as key:
    ...     print(key)
    Secret(16 bytes)
    >>> key
    Secret(wiped)
    """

    __slots__ = ("_data",)
    __hash__ = None  # type: ignore[assignment]  # mutable, and a hash would be a fingerprint

    def __init__(self, data: BytesLike) -> None:
        if len(data) == 0:
            raise LocalError("a secret has at least one byte")
        self._data: Final = bytearray(data)

    @property
    def data(self) -> bytearray:
        """The live buffer, not a copy: hand it to a primitive, do not keep it. `LocalError` once wiped."""
        if not self._data:
            raise LocalError("the secret is wiped")
        return self._data

    def wipe(self) -> None:
        """Overwrite, then empty; again is harmless."""
        wipe(self._data)
        self._data.clear()

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._data, other._data)

    def __repr__(self) -> str:
        return f"Secret({len(self._data)} bytes)" if self._data else "Secret(wiped)"

    def __enter__(self) -> Secret:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()


def wipe(buffer: bytearray) -> None:
    """Overwrite ``buffer`` with zeros in place, its length unchanged."""
    buffer[:] = bytes(len(buffer))
