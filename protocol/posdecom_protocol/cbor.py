"""Deterministic CBOR (RFC 8949 section 4.2), and nothing but it.

A head walker runs before the decoder and refuses, from heads alone, what `cbor2` would accept: tags, floats, null,
indefinite lengths, longer heads than needed, depth, sizes. Then the bytes are decoded, encoded again and compared,
which leaves exactly one encoding of each value (it settles the order of map keys, and repeated ones). Allowed:
integers of 64 bits, byte strings, text, booleans, arrays, maps.

Map keys are integers from 0 to 2^32-1, or from -65537 to -2^32 (private claims of an entity attestation token). For
those the length-first order of `cbor2` and the bytewise order of RFC 8949 are the same: no unsigned key has a longer
head than a private one, which always takes five bytes.

Arrays come back as tuples and maps as dicts, whichever release of `cbor2` is installed.
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

import cbor2

from .errors import DocumentError
from .limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX
from .wording import N_

Value: TypeAlias = "int | bytes | str | bool | tuple[Value, ...] | dict[int, Value]"

PRIVATE_KEY_MAX: Final = -65537
"""Private claim keys are at or below this (RFC 8392 section 9.1: less than -65536)."""

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_BOOLEANS: Final = (20, 21)
_ARGUMENT_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_LEAST_ARGUMENT: Final = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}
"""What needs this many bytes; anything below has a shorter head."""


def encode(value: Value) -> bytes:
    """The one encoding of ``value``. Values that `decode` would refuse are the caller's mistake."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, where: str) -> Value:
    """Decode one item that fills ``data``; `DocumentError` at ``where`` unless it is in its one encoding."""
    if walk(data, 0, where) != len(data):
        raise DocumentError(where, N_("bytes after the end"))
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError) as error:  # text that is not UTF-8
        raise DocumentError(where, N_("not decodable CBOR")) from error
    if cbor2.dumps(value, canonical=True) != data:
        raise DocumentError(where, N_("not in its one deterministic encoding"))
    return _plain(value)


def walk(data: bytes, start: int, where: str) -> int:
    """The position behind the item at ``start``, after a look at every head in it and at no content."""
    return _Walker(data, where).item(start, 0)


class _Walker:
    def __init__(self, data: bytes, where: str) -> None:
        self._data = data
        self._where = where
        self._items = 0

    def item(self, position: int, depth: int) -> int:
        self._items += 1
        if depth > CBOR_DEPTH_MAX or self._items > CBOR_ITEMS_MAX:
            raise self._refused(f"deeper than {CBOR_DEPTH_MAX} or over {CBOR_ITEMS_MAX} items")
        major, argument, behind = self._head(position)
        match major:
            case 0 | 1:
                return behind
            case 2 | 3:
                return behind + self._fits(argument, behind)
            case 4:
                return self._members(behind, self._fits(argument, behind), depth + 1)
            case 5:
                return self._pairs(behind, self._fits(argument, behind), depth + 1)
            case 7 if argument in _BOOLEANS and behind == position + 1:
                return behind
            case _:
                raise self._refused("tag, float or simple value that is not allowed")

    def _head(self, position: int) -> tuple[int, int, int]:
        """Major type, argument and the position behind the head: definite and the shortest there is."""
        if position >= len(self._data):
            raise self._refused("ends too early")
        major, short = self._data[position] >> 5, self._data[position] & 0x1F
        if short < 24:
            return major, short, position + 1
        width = _ARGUMENT_BYTES.get(short)
        if width is None:
            raise self._refused("indefinite or reserved length")
        behind = position + 1 + width
        argument = int.from_bytes(self._data[position + 1 : behind], "big")
        if behind > len(self._data):
            raise self._refused("ends too early")
        if major != _SIMPLE and argument < _LEAST_ARGUMENT[width]:
            raise self._refused("longer head than needed")
        return major, argument, behind

    def _fits(self, length: int, position: int) -> int:
        """``length``, if so many bytes are left; the members of arrays and maps take at least one each."""
        if length > len(self._data) - position:
            raise self._refused("longer than the data")
        return length

    def _members(self, position: int, count: int, depth: int) -> int:
        for _ in range(count):
            position = self.item(position, depth)
        return position

    def _pairs(self, position: int, count: int, depth: int) -> int:
        for _ in range(count):
            major, argument, _behind = self._head(position)
            if argument >> 32 or not (
                major == _UINT or (major == _NINT and -1 - argument <= PRIVATE_KEY_MAX)
            ):
                raise self._refused("map key that is neither unsigned nor private")
            position = self.item(self.item(position, depth), depth)
        return position

    def _refused(self, reason: str) -> DocumentError:
        return DocumentError(self._where, reason)


def _plain(value: object) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_plain(member) for member in value)
    if hasattr(value, "items"):
        return {cast(int, key): _plain(member) for key, member in value.items()}
    return cast(Value, value)
