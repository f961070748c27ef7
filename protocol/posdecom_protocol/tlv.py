"""BER-TLV as EMV uses it in field 55: primitive data objects one after the other. Strict, both directions.

Source: EMV 4.3 Book 3 annex B (tag and length coding), ISO/IEC 8825-1 clause 8.1. Refused beyond what BER refuses,
so that bytes have one reading and one spelling: constructed tags (a template could hide a card number), indefinite
lengths, lengths longer than needed, filler bytes 00 and FF, and a tag that comes twice.

Own code because the packages that do this have had no release since 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .errors import LocalError, MessageError

TAG_BYTES_MAX: Final = 3
"""EMV's own tags have one or two; contactless kernels use three."""

VALUE_BYTES_MAX: Final = 255
"""What a one-byte long form tells; field 55 holds no more."""

_CONSTRUCTED: Final = 0x20
_MORE: Final = 0x1F
"""All five low bits of the first byte: the tag number goes on in the next byte."""
_FILLERS: Final = (0x00, 0xFF)
_LONG_FORM: Final = 0x80


def encode(objects: Mapping[int, bytes]) -> bytes:
    """The objects in their order; `LocalError` for a tag or value that cannot be written.

    >>> encode({0x9F02: bytes.fromhex("000000000612"), 0x82: b"\\x7c\\x00"}).hex()
    '9f020600000000061282027c00'
    """
    return b"".join(_object(tag, value) for tag, value in objects.items())


def decode(data: bytes) -> dict[int, bytes]:
    """Inverse of `encode`, order kept. `MessageError` says what is wrong and at which byte, never a value."""
    objects: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        tag, start = _tag(data, at)
        length, start = _length(data, start)
        if start + length > len(data):
            raise MessageError(f"TLV object at byte {at}: {length} bytes of value, {len(data) - start} there")
        if tag in objects:
            raise MessageError(f"TLV object at byte {at}: tag {tag:X} was there before")
        objects[tag] = data[start : start + length]
        at = start + length
    return objects


def _object(tag: int, value: bytes) -> bytes:
    name = tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")
    if len(value) > VALUE_BYTES_MAX:
        raise LocalError(f"TLV value of {len(value)} bytes; at most {VALUE_BYTES_MAX}")
    length = bytes([len(value)]) if len(value) < _LONG_FORM else bytes([_LONG_FORM + 1, len(value)])
    try:
        found = _tag(name, 0)
    except MessageError as error:
        raise LocalError(f"{tag:X} is no tag of a primitive TLV object") from error
    if found != (tag, len(name)):
        raise LocalError(f"{tag:X} is no tag of a primitive TLV object")
    return name + length + value


def _tag(data: bytes, at: int) -> tuple[int, int]:
    """The tag that begins at ``at``, and where its length begins."""
    first = data[at]
    if first in _FILLERS:
        raise MessageError(f"TLV object at byte {at}: filler where a tag should be")
    if first & _CONSTRUCTED:
        raise MessageError(f"TLV object at byte {at}: constructed; only primitive ones are known here")
    end = at + 1
    if first & _MORE == _MORE:
        end = _tag_end(data, at)
    return int.from_bytes(data[at:end], "big"), end


def _tag_end(data: bytes, at: int) -> int:
    for end in range(at + 2, at + TAG_BYTES_MAX + 1):
        if end > len(data):
            raise MessageError(f"TLV object at byte {at}: ends inside its tag")
        if not data[end - 1] & 0x80:
            return end
        if data[at + 1] == 0x80:  # ISO/IEC 8825-1 8.1.2.4.2: a number with a zero in front
            break
    raise MessageError(f"TLV object at byte {at}: no tag of at most {TAG_BYTES_MAX} bytes")


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length that begins at ``at``, and where its value begins."""
    if at >= len(data):
        raise MessageError(f"TLV length at byte {at} is missing")
    first = data[at]
    if first < _LONG_FORM:
        return first, at + 1
    if first != _LONG_FORM + 1 or at + 1 >= len(data):
        raise MessageError(f"TLV length at byte {at}: indefinite, cut off, or over {VALUE_BYTES_MAX}")
    if data[at + 1] < _LONG_FORM:
        raise MessageError(f"TLV length at byte {at} is longer than it need be")
    return data[at + 1], at + 2
