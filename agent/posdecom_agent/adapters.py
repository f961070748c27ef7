"""Which port hangs on which adapter: USB ids that terminals are seen with, and the same adapter under a new name.

A port's name says nothing: an adapter that is plugged again comes back under another (a program that still holds the
old one keeps that name taken). What stays is the adapter's serial number, else the USB path. Which terminal hangs on
it only the terminal itself says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .ports import PortInfo, candidates

# fmt: off
KNOWN_ADAPTERS: Final = frozenset({
    (0x0403, 0x6001), (0x0403, 0x6010), (0x0403, 0x6011), (0x0403, 0x6014), (0x0403, 0x6015),  # FTDI
    (0x067B, 0x2303), (0x067B, 0x23A3), (0x067B, 0x23C3),  # Prolific
    (0x10C4, 0xEA60), (0x10C4, 0xEA70), (0x10C4, 0xEA71),  # Silicon Labs
    (0x1A86, 0x5523), (0x1A86, 0x7523), (0x1A86, 0x55D3), (0x1A86, 0x55D4),  # WCH
    (0x0525, 0xA4A7),  # Linux gadget serial, as terminals with Linux inside use
})
# fmt: on
"""(vendor, product) of the converters that card terminals and their cables use. Nothing is ever written to a port with
another id that nobody named: it may be a modem, a printer, a machine."""


def likely(found: Sequence[PortInfo]) -> list[PortInfo]:
    """Those of ``found`` whose adapter is a known one."""
    return [info for info in found if (info.vid, info.pid) in KNOWN_ADAPTERS]


def selected(found: Sequence[PortInfo], wanted: str) -> list[PortInfo]:
    """Those of ``found`` that carry ``wanted``: the adapter's serial number, its USB path, or the device's name."""
    return [info for info in found if wanted in (info.serial_number, info.location, info.device)]


class SamePort:
    """The port that was named, followed through its names by the adapter that it hangs on."""

    def __init__(self, url: str, find: Callable[[], Sequence[PortInfo]] = candidates) -> None:
        self._url = url
        self._find = find
        self._adapter = self._named() if url.startswith("/") else None

    def url(self) -> str:
        """The name that the adapter has now; the one that was given where the adapter is unknown or not there."""
        if self._adapter is None or Path(self._url).exists():
            return self._url
        again = [info for info in self._find() if _is_same(info, self._adapter)]
        return again[0].device if len(again) == 1 else self._url

    def _named(self) -> PortInfo | None:
        device = str(Path(self._url).resolve())
        return next((info for info in self._find() if info.device == device), None)


def _is_same(info: PortInfo, adapter: PortInfo) -> bool:
    """By serial number; cheap converters have none, and stay the same only in the same socket."""
    if (info.vid, info.pid) != (adapter.vid, adapter.pid) or info.vid is None:
        return False
    if adapter.serial_number:
        return info.serial_number == adapter.serial_number
    return info.location == adapter.location
