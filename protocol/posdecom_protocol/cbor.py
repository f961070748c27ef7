"""Deterministic CBOR (RFC 8949 section 4.2), and nothing but it.

A head walker runs before the decoder and refuses, from lengths alone, what `cbor2` would accept: tags, floats, null,
indefinite lengths, depth, sizes. Then the bytes are decoded, encoded again and compared, so that exactly one encoding
of each value is accepted. Allowed: integers, byte strings, text, booleans, arrays, maps. Map keys are unsigned
integers, or below -65536 (private claims of an entity attestation token): for those the length-first order of
`cbor2` and the bytewise order of RFC 8949 agree.

Arrays come back as tuples and maps as dicts, whichever release of `cbor2` is installed.
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

import cbor2

from .errors import DocumentError
from .limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX

Value: TypeAlias = "int | bytes | str | bool | tuple[Value, ...] | dict[int, Value]"

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_BOOLEANS: Final = (20, 21)
_ARGUMENT_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
PRIVATE_KEY_MAX: Final = -65537
"""Private claim keys are at or below this."""


def encode(value: Value) -> bytes:
    """The one encoding of ``value``."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, where: str) -> Value:
    """Decode one item that fills ``data``; `DocumentError` at ``where`` unless it is in its one encoding."""
    if walk(data, 0, where) != len(data):
        raise DocumentError(where, "bytes after the end")
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise DocumentError(where, "not decodable CBOR") from error
    if cbor2.dumps(value, canonical=True) != data:
        raise DocumentError(where, "not in its one deterministic encoding")
    return _plain(value)


def head(data: bytes, position: int, where: str) -> tuple[int, int, int]:
    """Major type, argument and the position behind the head at ``position``; only minimal, definite heads."""
    if position >= len(data):
        raise DocumentError(where, "ends too early")
    major, short = data[position] >> 5, data[position] & 0x1F
    if short < 24:
        return major, short, position + 1
    width = _ARGUMENT_BYTES.get(short)
    if width is None:
        raise DocumentError(where, "indefinite or reserved length")
    if position + 1 + width > len(data):
        raise DocumentError(where, "ends too early")
    return major, int.from_bytes(data[position + 1 : position + 1 + width], "big"), position + 1 + width


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
            raise DocumentError(self._where, f"deeper than {CBOR_DEPTH_MAX} or over {CBOR_ITEMS_MAX} items")
        major, argument, behind = head(self._data, position, self._where)
        match major:
            case 0 | 1:
                return behind
            case 2 | 3:
                return self._string(behind, argument)
            case 4:
                return self._members(behind, argument, depth)
            case 5:
                return self._map(behind, argument, depth)
            case 7 if argument in _BOOLEANS and behind == position + 1:
                return behind
            case _:
                raise DocumentError(self._where, "tag, float or simple value that is not allowed")

    def _string(self, position: int, length: int) -> int:
        if length > len(self._data) - position:
            raise DocumentError(self._where, "string longer than the data")
        return position + length

    def _members(self, position: int, count: int, depth: int) -> int:
        if count > len(self._data) - position:
            raise DocumentError(self._where, "array longer than the data")
        for _ in range(count):
            position = self.item(position, depth + 1)
        return position

    def _map(self, position: int, count: int, depth: int) -> int:
        if 2 * count > len(self._data) - position:
            raise DocumentError(self._where, "map longer than the data")
        for _ in range(count):
            major, argument, _behind = head(self._data, position, self._where)
            if major != _UINT and not (major == _NINT and -1 - argument <= PRIVATE_KEY_MAX):
                raise DocumentError(self._where, "map key that is neither unsigned nor private")
            position = self.item(self.item(position, depth + 1), depth + 1)
        return position


def _plain(value: object) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_plain(member) for member in value)
    if hasattr(value, "items"):
        return {cast(int, key): _plain(member) for key, member in value.items()}
    return cast(Value, value)
