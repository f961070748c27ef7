"""One message on its way to the host and its answer on the way back, with what a `Behaviour` does to both.

Pure: `deliver` says what is to be put on the connection, and when; whoever owns the connection does it: serve.py with
sockets, tests with a clock of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Protocol

from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE
from posdecom_protocol.iso8583 import (
    ENVELOPE_BYTES,
    ISO_BYTES_MAX,
    ISO_BYTES_MIN,
    TPDU_BYTES,
    decode,
    frame_message,
)

from .behaviour import Behaviour, HostFault, Rule


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes for the connection as they are, length prefix included."""

    wire: bytes
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What comes of one message, in this order."""

    said: tuple[Said, ...] = ()
    restarts: bool = False
    """The acquirer opens again from its books, and every connection breaks."""
    hangs_up: bool = False
    goes_silent: bool = False
    """Nothing that comes on this connection from now on is heard."""


class AnsweringHost(Protocol):
    """As `host.Host`."""

    def answer(self, data: bytes, now: float) -> bytes | None: ...
    def forget(self, messages: int) -> None: ...


def deliver(host: AnsweringHost, behaviour: Behaviour, data: bytes, now: float) -> Delivery:
    """Carry ``data`` (no length prefix) to ``host`` and its answer back."""
    struck = {rule.fault: rule for rule in behaviour.conduct(data)}
    if HostFault.FORGET in struck:
        host.forget(struck[HostFault.FORGET].messages)
    for fault, unheard in _UNHEARD.items():
        if fault in struck:
            return unheard
    answer = host.answer(data, now)
    if answer is None or HostFault.TIMEOUT_AFTER in struck:
        return Delivery()
    return Delivery(_said(answer, struck), hangs_up=HostFault.CUT in struck)


_UNHEARD: Final[Mapping[HostFault, Delivery]] = MappingProxyType(
    {
        HostFault.RESTART: Delivery(restarts=True, hangs_up=True),
        HostFault.SILENCE: Delivery(goes_silent=True),
        HostFault.HANG_UP: Delivery(hangs_up=True),
        HostFault.TIMEOUT_BEFORE: Delivery(),
    }
)
"""The books do not change."""


def _said(answer: bytes, struck: Mapping[HostFault, Rule]) -> tuple[Said, ...]:
    wires = [frame_message(answer)]
    for fault, damage in _DAMAGE.items():
        if fault in struck:
            wires = [damage(answer)]
    if (rule := struck.get(HostFault.CONTRADICTION)) is not None:
        lie = frame_message(_opposite(answer, rule.code))
        wires = [lie, *wires] if rule.lie_first else [*wires, lie]
    if HostFault.TWICE in struck:
        wires = [wire for wire in wires for _ in range(2)]
    if (rule := struck.get(HostFault.CUT)) is not None:
        wires = [wires[0][: len(wires[0]) // 2 if rule.bytes is None else rule.bytes]]
    after_s = struck[HostFault.LATE].delay_s if HostFault.LATE in struck else 0.0
    return tuple(Said(wire, after_s) for wire in wires)


def _opposite(answer: bytes, code: str) -> bytes:
    message = decode(answer)
    approved = message.text(39) in (CODE_APPROVED, CODE_DUPLICATE)
    return replace(message, fields={**message.fields, 39: code if approved else CODE_APPROVED}).encode()


def _truncated(answer: bytes) -> bytes:
    return frame_message(answer[: max(ISO_BYTES_MIN, len(answer) // 2)])


def _overlong(answer: bytes) -> bytes:
    """A prefix that no message has, and as many bytes."""
    return (ISO_BYTES_MAX + 1).to_bytes(2, "big") + answer.ljust(ISO_BYTES_MAX + 1, b"\x00")


_DAMAGE: Final[Mapping[HostFault, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        HostFault.BAD_TPDU: lambda answer: frame_message(b"\x61" + answer[1:]),
        HostFault.BAD_HEADER: lambda answer: frame_message(
            answer[:TPDU_BYTES] + b"\xff" + answer[TPDU_BYTES + 1 :]
        ),
        HostFault.TRUNCATED: _truncated,
        HostFault.OVERLONG: _overlong,
        HostFault.UNKNOWN: lambda answer: frame_message(
            answer[:ENVELOPE_BYTES] + b"\x09\x99" + answer[ENVELOPE_BYTES + 2 :]
        ),
    }
)
"""The answer as it comes out; of several the last counts."""
