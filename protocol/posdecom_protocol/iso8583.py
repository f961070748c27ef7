"""ISO 8583 as UnionPay terminals speak it: TPDU (5 bytes), header (6 bytes BCD), MTI, bitmap, fields 3 to 64.

`IsoMessage` is the value, `IsoMessage.encode` and `decode` are the two directions; packing is left to
``pyiso8583`` with the table below. No field carries a clear card number: account data travel encrypted in
field 57, under the key that the KSN inside it names; field 53 holds the KSN of the message's own MAC, field 64
that MAC (`seal`, `mac_input`).

What this module does not know: keys, MAC algorithms, which message follows which, and what a code means.

Deviations from the UnionPay tables, all because AES-DUKPT came later: field 53 is 12 bytes binary, field 57
is binary, field 64 is an AES-CMAC cut to 8 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, assert_never

import iso8583

from .errors import LocalError, MessageError

ISO_BYTES_MAX: Final = 2000
"""TPDU to MAC. An item of `limits.ITEM_BYTES_MAX` holds it with its summary; a prefix could say 65535."""

TPDU_BYTES: Final = 5
HEADER_BYTES: Final = 6
ENVELOPE_BYTES: Final = TPDU_BYTES + HEADER_BYTES
"""In front of the MTI; not covered by the MAC, because hosts and network controllers rewrite it."""

MAC_BYTES: Final = 8
KSN_BYTES: Final = 12
"""AES-DUKPT: initial key identifier 8, transaction counter 4 (ANSI X9.24-3)."""

_TPDU_ID: Final = 0x60
_BITMAP_AT: Final = ENVELOPE_BYTES + 2
_BITMAP_BYTES: Final = 8
ISO_BYTES_MIN: Final = _BITMAP_AT + _BITMAP_BYTES
"""A message without any field. None is empty: a stream of empty ones would be work for nothing."""


class Field(Enum):
    """How the content of a field is written."""

    DIGITS = "n"
    """BCD; an odd count is padded on the right with 0."""
    TEXT = "ans"
    """Printable ASCII."""
    BINARY = "b"
    """Bytes as they are."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One row of the table. ``length`` counts digits, characters or bytes; a maximum where ``variable``."""

    kind: Field
    length: int
    variable: bool = False


FIELDS: Final[Mapping[int, Layout]] = MappingProxyType(
    {
        3: Layout(Field.DIGITS, 6),  # processing code
        4: Layout(Field.DIGITS, 12),  # amount, minor units
        11: Layout(Field.DIGITS, 6),  # STAN of this message
        12: Layout(Field.DIGITS, 6),  # local time hhmmss
        13: Layout(Field.DIGITS, 4),  # local date MMDD
        22: Layout(Field.DIGITS, 3),  # point of service entry mode
        25: Layout(Field.DIGITS, 2),  # point of service condition code
        37: Layout(Field.TEXT, 12),  # retrieval reference number
        38: Layout(Field.TEXT, 6),  # authorisation code
        39: Layout(Field.TEXT, 2),  # answer code, or the reason of a reversal
        41: Layout(Field.TEXT, 8),  # TID
        42: Layout(Field.TEXT, 15),  # MID
        48: Layout(Field.DIGITS, 322, variable=True),  # totals, upload detail, or count
        49: Layout(Field.TEXT, 3),  # currency, ISO 4217 numeric
        53: Layout(Field.BINARY, KSN_BYTES),  # KSN of this message's MAC
        55: Layout(Field.BINARY, 255, variable=True),  # chip data, without tags 57 and 5A
        57: Layout(Field.BINARY, 255, variable=True),  # account data: scheme 1, KSN 12, ciphertext
        60: Layout(Field.DIGITS, 17, variable=True),  # type 2, batch 6, network management code 3
        61: Layout(Field.DIGITS, 29, variable=True),  # original: batch 6, STAN 6, date MMDD 4
        62: Layout(Field.TEXT, 512, variable=True),
        63: Layout(Field.TEXT, 163, variable=True),  # operator
        64: Layout(Field.BINARY, MAC_BYTES),  # MAC
    }
)
"""Every field there is. A bit for any other one is an error, not something to skip: its length is unknown."""

FieldMap = Mapping[int, str | bytes]


@dataclass(frozen=True, slots=True)
class IsoMessage:
    """One message. Digits and text are ``str``, binary fields ``bytes``; content stays out of ``repr``."""

    tpdu: bytes
    """5 bytes: 60, destination 2, source 2; an answer has the addresses swapped."""
    header: str
    """12 digits: application class 2, total version 2, terminal state, processing demand, sub-version 6."""
    mti: str
    """Four digits."""
    fields: FieldMap = field(repr=False)

    def encode(self) -> bytes:
        """The bytes without length prefix; `LocalError` when a field breaks `FIELDS`. All at their longest fit."""
        problem = _envelope_problem(self.tpdu, self.header, self.mti)
        if problem:
            raise LocalError(problem)
        document = {"t": self.mti} | {str(n): _packed(n, value) for n, value in self.fields.items()}
        try:
            body, _ = iso8583.encode(document, _SPEC)
        except iso8583.EncodeError as error:
            # the library's error holds the whole message: cut it off
            raise LocalError(f"field {error.field}: {error.msg}") from None
        return self.tpdu + bytes.fromhex(self.header) + bytes(body)

    def text(self, number: int) -> str:
        """A field of digits or text; `MessageError` when absent."""
        value = self.fields.get(number)
        if not isinstance(value, str):
            raise MessageError(f"field {number} is missing in {self.mti}")
        return value

    def binary(self, number: int) -> bytes:
        """A binary field; `MessageError` when absent."""
        value = self.fields.get(number)
        if not isinstance(value, bytes):
            raise MessageError(f"field {number} is missing in {self.mti}")
        return value

    @property
    def demand(self) -> int:
        """What the host wants next (download pending, sign on again...), 0 for nothing; header digit 6."""
        return int(self.header[5])

    def answer(self, fields: FieldMap) -> IsoMessage:
        """The frame of an answer to this message: addresses swapped, MTI + 10, same header."""
        swapped = self.tpdu[:1] + self.tpdu[3:5] + self.tpdu[1:3]
        return IsoMessage(swapped, self.header, answer_mti(self.mti), fields)


def decode(data: bytes) -> IsoMessage:
    """Inverse of `IsoMessage.encode`. `MessageError` names the part that is wrong, never its content."""
    if not ISO_BYTES_MIN <= len(data) <= ISO_BYTES_MAX:
        raise MessageError(f"ISO 8583 message of {len(data)} bytes; {ISO_BYTES_MIN} to {ISO_BYTES_MAX}")
    tpdu, header = data[:TPDU_BYTES], data[TPDU_BYTES:ENVELOPE_BYTES].hex()
    problem = _envelope_problem(tpdu, header, data[ENVELOPE_BYTES:_BITMAP_AT].hex()) or _bitmap_problem(data)
    if problem:
        raise MessageError(problem)
    try:
        document, _ = iso8583.decode(data[ENVELOPE_BYTES:], _SPEC)
    except iso8583.DecodeError as error:
        # the library's error holds the whole message: cut it off
        raise MessageError(f"field {error.field}: {error.msg}") from None
    fields = {int(name): _unpacked(int(name), value) for name, value in document.items() if name.isdigit()}
    return IsoMessage(tpdu, header, document["t"], MappingProxyType(fields))


def answer_mti(mti: str) -> str:
    """The MTI of the answer: 0220 gives 0230."""
    return f"{int(mti) + 10:04d}"


def mac_input(data: bytes) -> bytes:
    """What the MAC of an encoded message covers: from the MTI to the byte before field 64's data."""
    return data[ENVELOPE_BYTES:-MAC_BYTES]


def seal(message: IsoMessage, mac: Callable[[bytes], bytes]) -> bytes:
    """Encode ``message`` with field 64 = ``mac(mac_input)`` (8 bytes). The bitmap's bit 64 is covered too."""
    data = replace(message, fields={**message.fields, 64: bytes(MAC_BYTES)}).encode()
    tag = mac(mac_input(data))
    if len(tag) != MAC_BYTES:
        raise LocalError(f"MAC of {len(tag)} bytes; exactly {MAC_BYTES}")
    return data[:-MAC_BYTES] + tag


def frame_message(data: bytes) -> bytes:
    """``data`` with the two length bytes (big-endian) that go in front of it on TCP."""
    if len(data) > ISO_BYTES_MAX:
        raise LocalError(f"message of {len(data)} bytes; at most {ISO_BYTES_MAX}")
    return len(data).to_bytes(2, "big") + data


class LengthPrefix:
    """Cuts a TCP stream into messages. Holds at most one message and what came with it in one ``receive``.

    >>> stream = LengthPrefix()
    >>> stream.receive(b"\\x00\\x15" + bytes(20)), stream.receive(b"\\x01\\x00") == [bytes(20) + b"\\x01"]
    ([], True)
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[bytes]:
        """The messages that are whole now; `MessageError` on a length that none has: stream lost."""
        self._buffer += data
        messages: list[bytes] = []
        while len(self._buffer) >= 2:
            length = int.from_bytes(self._buffer[:2], "big")
            if not ISO_BYTES_MIN <= length <= ISO_BYTES_MAX:
                raise MessageError(f"length prefix of {length} bytes; {ISO_BYTES_MIN} to {ISO_BYTES_MAX}")
            if len(self._buffer) < 2 + length:
                break
            messages.append(bytes(self._buffer[2 : 2 + length]))
            del self._buffer[: 2 + length]
        return messages


def _envelope_problem(tpdu: bytes, header: str, mti: str) -> str | None:
    if len(tpdu) != TPDU_BYTES or tpdu[0] != _TPDU_ID:
        return "TPDU is not 60 and two addresses of 2 bytes"
    if len(header) != 2 * HEADER_BYTES or not _digits(header):
        return "header is not 12 BCD digits"
    if len(mti) != 4 or not _digits(mti):
        return "MTI is not four BCD digits"
    return None


def _bitmap_problem(data: bytes) -> str | None:
    bits = int.from_bytes(data[_BITMAP_AT : _BITMAP_AT + _BITMAP_BYTES], "big")
    unknown = [n for n in range(1, 65) if bits >> (64 - n) & 1 and n not in FIELDS]
    return f"field {unknown[0]} is not in the table" if unknown else None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _packed(number: int, value: str | bytes) -> str:
    """The field as pyiso8583 wants it; `LocalError` when it is of the wrong kind."""
    layout = FIELDS.get(number)
    if layout is None:
        raise LocalError(f"field {number} is not in the table")
    match layout.kind, value:
        case Field.DIGITS, str() if _digits(value):
            return value
        case Field.TEXT, str() if value.isascii() and value.isprintable():
            return value
        case Field.BINARY, bytes():
            return value.hex()
        case _:
            raise LocalError(f"field {number} is not of kind {layout.kind.value}")


def _unpacked(number: int, value: str) -> str | bytes:
    """The field as we hold it; pyiso8583 lets A to F through in BCD and anything below 128 in text."""
    kind = FIELDS[number].kind
    match kind:
        case Field.DIGITS:
            problem = not _digits(value)
        case Field.TEXT:
            problem = not value.isprintable()
        case Field.BINARY:
            return bytes.fromhex(value)
        case _:
            assert_never(kind)
    if problem:
        raise MessageError(f"field {number} is not of kind {kind.value}")
    return value


def _spec() -> dict[str, dict[str, Any]]:
    """The table in pyiso8583's words. Variable lengths are LLLVAR: two BCD bytes."""
    fixed: dict[str, Any] = {"data_enc": "b", "len_enc": "bcd", "len_type": 0}
    spec = {
        "h": fixed | {"max_len": 0},
        "t": fixed | {"max_len": 2},
        "p": fixed | {"max_len": 8},
        "1": fixed | {"max_len": 8},
    }
    for number, layout in FIELDS.items():
        row = fixed | {"max_len": layout.length, "len_type": 2 if layout.variable else 0}
        match layout.kind:
            case Field.DIGITS:
                row |= {"len_count": "nibbles", "right_pad": "0"}
            case Field.TEXT:
                row["data_enc"] = "ascii"
            case Field.BINARY:
                pass
            case _:
                assert_never(layout.kind)
        spec[str(number)] = row
    return spec


_SPEC: Final = _spec()
